//! `hashpit anchor`: how anchoring stands, and keys for it. The status only reads, beside a running
//! exchange too.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, bail};
use clap::{Subcommand, ValueEnum};
use engine::journal::{Disk, RealDisk};

use crate::anchor::{
    key_file::{self, Passphrase, Role, Work},
    process,
    record::{Record, State},
    run,
    signer::{LocalKey, Signer},
    store::Store,
};

/// Anchoring.
#[derive(Subcommand, Clone, Debug)]
pub enum Anchor {
    /// Shows the contract, the newest anchors with their status, and what is in flight.
    Status {
        /// Data folder of the exchange.
        #[arg(default_value = "data", env = "HASHPIT_DATA")]
        folder: PathBuf,
        /// Newest anchors to show.
        #[arg(long, value_name = "N", default_value_t = 5)]
        last: usize,
    },
    /// Makes a key file for a chain by JSON-RPC; prints its address.
    Key {
        /// What it is for; no key has two roles.
        #[arg(long, value_enum)]
        role: KeyRole,
        /// File to write; must not exist.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// File whose first line is the passphrase that seals it.
        #[arg(long, value_name = "FILE")]
        passphrase_file: PathBuf,
    },
    /// Deploys the contracts on a chain, once.
    Deploy(Box<super::deploy::Deploy>),
}

/// What a key is for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KeyRole {
    /// Pays for transactions.
    Gas,
    /// Signs headers.
    Signer,
    /// Stops the contract.
    Guardian,
    /// Owns an account of the exchange: deposits, claims, leaves.
    Owner,
}

impl Anchor {
    /// Runs the command.
    ///
    /// # Errors
    /// Files that are not there or do not read.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Deploy(deploy) => deploy.run(),
            Self::Status { folder, last } => {
                print!("{}", status(&folder, last, run::now())?);
                Ok(())
            }
            Self::Key {
                role,
                out,
                passphrase_file,
            } => {
                let passphrase = Passphrase::read(&passphrase_file)?;
                let key = LocalKey::generate()
                    .map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
                let role = match role {
                    KeyRole::Gas => Role::Gas,
                    KeyRole::Signer => Role::Signer,
                    KeyRole::Guardian => Role::Guardian,
                    KeyRole::Owner => Role::Owner,
                };
                key_file::save(&key, role, &out, &passphrase, Work::PERSON)?;
                println!("key file  {}", out.display());
                println!("address   {}", key.address());
                Ok(())
            }
        }
    }
}

/// How anchoring from a data folder stands at `now`, in words.
///
/// # Errors
/// A log that is not there or does not read.
pub fn status(folder: &Path, last: usize, now: u64) -> Result<String> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let path = run::log(folder);
    if !path.exists() {
        bail!(
            "{} has no anchors: the exchange never ran with --anchor here",
            folder.display()
        );
    }
    let records = process::records(&Store::look(&disk, &path)?)?;
    let state = State::of(&records).map_err(anyhow::Error::msg)?;
    let mut out = String::new();
    let Some((contract, _)) = &state.contract else {
        return Ok("nothing is anchored yet\n".into());
    };
    writeln!(
        out,
        "registry    {} on chain {}",
        contract.registry, contract.chain_id
    )?;
    let ago = |at: u64| format!("{} s ago", now.saturating_sub(at));
    match state.last.number {
        0 => writeln!(out, "last final  none")?,
        number => writeln!(
            out,
            "last final  {number}, {}, header {}",
            ago(state.last.at),
            state.last.head
        )?,
    }
    match &state.open {
        None => writeln!(out, "in flight   nothing")?,
        Some(open) => {
            let header = &open.content.header;
            writeln!(
                out,
                "in flight   {} {}, journal position {}, sealed {}",
                open.number,
                open.word(),
                header.seq,
                ago(open.at)
            )?;
            for intent in &open.intents {
                let price = intent.price.most();
                let since = ago(intent.at);
                writeln!(
                    out,
                    "            nonce {} at {price} wei, {}, {since}",
                    intent.nonce, intent.hash
                )?;
            }
        }
    }
    writeln!(out, "bumps       {}", state.bumps)?;
    let exits = &state.exits;
    writeln!(
        out,
        "exits       {} requested on the chain, {} pending, {} served, {} claimed by the newest final header",
        exits.requested,
        exits.requested.saturating_sub(exits.served),
        exits.served,
        exits.claimed
    )?;
    out.push_str(&history(&records, last)?);
    Ok(out)
}

/// The newest anchors, a line each.
fn history(records: &[Record], last: usize) -> Result<String> {
    let mut lines: Vec<(u64, u64, &str, u64)> = Vec::new();
    for record in records {
        let (number, word, at) = match record {
            Record::Sealed {
                number,
                content,
                at,
                ..
            } => {
                lines.push((*number, content.header.seq, "sealed", *at));
                continue;
            }
            Record::Signed { number, at, .. } => (*number, "signed", *at),
            Record::Intent(intent) => (intent.number, "posted", intent.at),
            Record::Mined { number, at, .. } => (*number, "mined", *at),
            Record::Orphaned { number, at, .. } | Record::Failed { number, at, .. } => {
                (*number, "posted", *at)
            }
            Record::Final { number, at, .. } => (*number, "final", *at),
            Record::Began { .. } | Record::Exits(_) => continue,
        };
        if let Some(line) = lines.iter_mut().rfind(|line| line.0 == number) {
            (line.2, line.3) = (word, at);
        }
    }
    let mut out = String::new();
    if !lines.is_empty() && last > 0 {
        writeln!(
            out,
            "\n{:>8}  {:>12}  {:<7} since (UTC)",
            "anchor", "position", "status"
        )?;
    }
    for (number, seq, word, at) in lines.iter().rev().take(last) {
        let seconds = i64::try_from(*at).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_second(seconds)
            .map_or_else(|_| at.to_string(), |time| time.to_string());
        writeln!(out, "{number:>8}  {seq:>12}  {word:<7} {time}")?;
    }
    Ok(out)
}
