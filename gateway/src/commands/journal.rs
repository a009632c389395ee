//! `hashpit journal verify` and `hashpit journal dump`: what is on disk, executed again and shown.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use engine::{exchange::Exchange, journal, pipeline::Replay, record};

/// Journals.
#[derive(Subcommand, Clone, Debug)]
pub enum Journal {
    /// Reads every block, executes every command again, compares results, recounts the books.
    Verify {
        /// Data folder of the exchange, or its journal folder.
        folder: PathBuf,
    },
    /// Prints commands with their fills and refusals, a line each.
    Dump {
        /// Data folder of the exchange, or its journal folder.
        folder: PathBuf,
        /// First position.
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// Last position.
        #[arg(long, default_value_t = u64::MAX)]
        to: u64,
    },
}

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Good blocks.
    pub blocks: u64,
    /// Commands executed again.
    pub commands: u64,
    /// Fills, counting each side.
    pub fills: u64,
    /// Refusals.
    pub refusals: u64,
    /// Digest of the whole state at the end.
    pub digest: [u8; 32],
    /// An unfinished write at the end, which nobody was told of.
    pub torn: bool,
}

/// Executes a journal again from the beginning and recounts the books.
///
/// # Errors
/// Damage, a result that differs from the recorded one, or books that do not add up.
pub fn verify(folder: &Path) -> Result<Verified> {
    let folder = journal_folder(folder)?;
    let mut exchange = Exchange::new();
    let mut replay = Replay::default();
    let (mut fills, mut refusals) = (0_u64, 0_u64);
    let mut scratch = Vec::new();
    let report = journal::scan(&folder, |block| {
        replay.block(
            &mut exchange,
            block.payload,
            block.count,
            |stamped, events| {
                let results = record::Results::of(events, &mut scratch);
                fills += results.fills.len() as u64;
                refusals += results.refusals.len() as u64;
                if stamped.seq.is_multiple_of(1_000_000) {
                    eprintln!("{} commands", stamped.seq);
                }
            },
        )
    })?;
    exchange
        .audit()
        .map_err(|why| anyhow::anyhow!("the books do not add up: {why}"))?;
    Ok(Verified {
        blocks: report.blocks,
        commands: exchange.seq(),
        fills,
        refusals,
        digest: exchange.digest(),
        torn: report.torn.is_some(),
    })
}

/// A digest as people compare it.
#[must_use]
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The journal of a data folder, or the folder itself.
///
/// # Errors
/// If it is no folder.
pub fn journal_folder(folder: &Path) -> Result<PathBuf> {
    if !folder.is_dir() {
        bail!("{} is not a folder", folder.display());
    }
    let inner = folder.join("journal");
    Ok(if inner.is_dir() {
        inner
    } else {
        folder.to_path_buf()
    })
}

impl Journal {
    /// Runs the command.
    ///
    /// # Errors
    /// As [`verify`]; for a dump also a closed output.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Verify { folder } => {
                let found = verify(&folder)?;
                println!("blocks        {}", found.blocks);
                println!(
                    "commands      {}  (each executed again, results as recorded)",
                    found.commands
                );
                println!("fills         {}  (counting both sides)", found.fills);
                println!("refusals      {}", found.refusals);
                println!("books         add up: balances, positions, holds, levels recounted");
                println!("state digest  {}", hex(&found.digest));
                if found.torn {
                    println!("tail          an unfinished write at the end; nobody was told of it");
                }
                Ok(())
            }
            Self::Dump { folder, from, to } => dump(&folder, from, to),
        }
    }
}

fn dump(folder: &Path, from: u64, to: u64) -> Result<()> {
    let folder = journal_folder(folder)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut written = Ok(());
    journal::scan(&folder, |block| {
        let last = block.first_seq + u64::from(block.count);
        if block.count == 0 || last <= from || block.first_seq > to {
            return Ok(());
        }
        for entry in record::decode(block.payload, block.count)? {
            let seq = entry.stamped.seq;
            if (from..=to).contains(&seq) && written.is_ok() {
                written = print(&mut out, &entry);
            }
        }
        Ok(())
    })?;
    written
        .and_then(|()| out.flush())
        .or_else(|error| match error.kind() {
            // `| head` is not an error.
            std::io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error).context("cannot write the dump"),
        })
}

fn print(out: &mut impl Write, entry: &record::Record) -> std::io::Result<()> {
    let stamped = &entry.stamped;
    let at = jiff::Timestamp::from_nanosecond(stamped.at.0.into());
    let at = at.map_or_else(|_| stamped.at.0.to_string(), |at| at.to_string());
    writeln!(out, "{} {at} {:?}", stamped.seq, stamped.command)?;
    for fill in &entry.results.fills {
        writeln!(
            out,
            "    fill trade {} account {} order {} contract {} {} lots at {} fee {}",
            fill.trade.0,
            fill.account.0,
            fill.order.0,
            fill.instrument.0,
            fill.lots.0,
            fill.price.0,
            fill.fee.0
        )?;
    }
    for problem in &entry.results.refusals {
        writeln!(out, "    refused {}", crate::refusal::sentence(problem))?;
    }
    Ok(())
}
