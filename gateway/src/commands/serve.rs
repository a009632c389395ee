//! `hashpit serve`: the exchange with everything embedded, until it is told to stop.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use engine::{
    journal::{IoChoice, RESERVE_SEGMENTS},
    keeper::Retention,
};

use crate::{
    anchor::settings::Choice,
    desk::Environment,
    sandbox::Sandbox,
    server::{self, Running},
    settings::Settings,
};

/// How the journal writes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Io {
    /// io_uring if the kernel allows it.
    Auto,
    /// io_uring or nothing.
    Uring,
    /// Plain writes and fdatasync.
    Plain,
}

/// Runs the exchange.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// Folder of journal and keys; made if the folder above it exists.
    #[arg(
        long,
        default_value = "data",
        env = "HASHPIT_DATA",
        value_name = "FOLDER"
    )]
    pub data: PathBuf,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:7070", env = "HASHPIT_LISTEN")]
    pub listen: SocketAddr,
    /// How the journal writes.
    #[arg(long, value_enum, default_value = "auto")]
    pub io: Io,
    /// Commands between two snapshots, from which a restart begins; 0 takes none.
    #[arg(long, value_name = "COMMANDS", default_value_t = 1_000_000)]
    pub snapshot_every: u64,
    /// Keep only so many journal segments beyond those that the two newest snapshots need; without it all
    /// are kept. At least 1.
    #[arg(long, value_name = "SEGMENTS", value_parser = clap::value_parser!(u64).range(1..))]
    pub retain: Option<u64>,
    /// Move segments that are not kept into this folder instead of removing them. On the same file system.
    #[arg(long, value_name = "FOLDER", requires = "retain")]
    pub archive: Option<PathBuf>,
    /// Zero-written segments kept ready, from 1 to 64: what cancels go on into when the disk is full.
    #[arg(long, value_name = "SEGMENTS", default_value_t = RESERVE_SEGMENTS as u64,
        value_parser = clap::value_parser!(u64).range(1..=64))]
    pub reserve: u64,
    /// Where state roots are anchored: on the embedded chain, nowhere (off), or as a file says.
    #[arg(
        long,
        value_name = "embedded|off|FILE.toml",
        default_value = "embedded",
        env = "HASHPIT_ANCHOR"
    )]
    pub anchor: Choice,
    /// Serve the embedded chain by JSON-RPC on this address, such as 127.0.0.1:8545.
    #[arg(long, value_name = "ADDRESS")]
    pub chain_rpc: Option<SocketAddr>,
    /// Milliseconds between two epochs, each of which gets a root over all accounts; 0 = none.
    #[arg(long, value_name = "MS", default_value_t = crate::settings::EPOCH_MS,
        value_parser = clap::value_parser!(i64).range(0..=86_400_000))]
    pub epoch_ms: i64,
    /// No play money, no ready-made keys.
    #[arg(long, requires = "operator_public_key")]
    pub production: bool,
    /// Production: the operator's Ed25519 public key (64 hex digits), as `hashpit key new` prints it.
    #[arg(long, value_name = "HEX")]
    pub operator_public_key: Option<String>,
}

/// The exchange ended although nobody asked for it.
#[derive(Debug, thiserror::Error)]
#[error("the exchange stopped by itself: {reason}")]
pub struct StoppedByItself {
    /// Why.
    pub reason: String,
    /// The exit code that belongs to it, if it has one.
    pub code: Option<u8>,
}

impl Io {
    pub(crate) fn choice(self) -> IoChoice {
        match self {
            Self::Auto => IoChoice::Auto,
            Self::Uring => IoChoice::Uring,
            Self::Plain => IoChoice::Plain,
        }
    }
}

impl Serve {
    fn retention(&self) -> Retention {
        match (self.retain, &self.archive) {
            (None, _) => Retention::All,
            (Some(kept), Some(folder)) => Retention::Archive(kept, folder.clone()),
            (Some(kept), None) => Retention::Remove(kept),
        }
    }

    /// Serves until Ctrl-C or the exchange stops by itself.
    ///
    /// # Errors
    /// What keeps it from starting, or why it stopped.
    pub async fn run(self) -> Result<()> {
        let mut settings = Settings::sandbox(self.data.clone());
        settings.listen = self.listen;
        settings.io = self.io.choice();
        settings.snapshot_every = self.snapshot_every;
        settings.retention = self.retention();
        settings.pipeline.epoch_ms = self.epoch_ms;
        settings.reserve_segments = usize::try_from(self.reserve).context("--reserve")?;
        settings.anchor = self.anchor.clone();
        settings.chain_rpc = self.chain_rpc;
        if self.production {
            settings.environment = Environment::Production;
        }
        if let Some(hex) = &self.operator_public_key {
            settings.operator_public_key = Some(public_key(hex)?);
        }
        let running = server::start(settings).await?;
        announce(&running);
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                .context("cannot listen for the terminate signal")?;
        let fault = tokio::select! {
            stopped = tokio::signal::ctrl_c() => {
                stopped.context("cannot listen for Ctrl-C")?;
                None
            }
            _ = terminate.recv() => None,
            fault = running.fault() => Some(fault),
        };
        println!("stopping");
        let code = running.desk.fault.exit_code();
        running.stop().await;
        match fault {
            None => Ok(()),
            Some(reason) => Err(StoppedByItself { reason, code }.into()),
        }
    }
}

fn public_key(hex: &str) -> Result<[u8; 32]> {
    let digits = hex.as_bytes();
    let mut key = [0; 32];
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        bail!("--operator-public-key {hex:?}: 64 hex digits expected");
    }
    for (byte, pair) in key.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).unwrap_or_default();
        *byte = u8::from_str_radix(pair, 16).context("--operator-public-key")?;
    }
    Ok(key)
}

/// Says where it listens, what it recovered, and (once) the sandbox's keys.
fn announce(running: &Running) {
    let seq = running.desk.state(engine::exchange::Exchange::seq);
    println!(
        "Hashpit listens on http://{}, journal at position {seq}",
        running.address
    );
    let last = running.recovered.last_seq;
    for rejected in &running.began.rejected {
        let (path, flaw) = (rejected.path.display(), &rejected.flaw);
        println!("passed over the snapshot {path}: {flaw}");
    }
    match &running.began.snapshot {
        Some((path, seq)) => println!(
            "recovered {last} commands: up to {seq} from {}, {} from the journal",
            path.display(),
            last - seq
        ),
        None if last > 0 => println!(
            "recovered {last} commands from {} blocks of the journal",
            running.recovered.blocks
        ),
        None => {}
    }
    if let Some(cut) = &running.recovered.cut {
        println!(
            "cut {} bytes of an unfinished write that nobody had been told of: {} at byte {}, {}",
            cut.bytes,
            cut.segment.display(),
            cut.offset,
            cut.fault
        );
    }
    match &running.anchoring {
        Some(anchoring) => println!(
            "anchors in the registry {} on {} (chain {})",
            anchoring.contract.registry,
            anchoring.chain.name(),
            anchoring.contract.chain_id
        ),
        None => println!("anchors nowhere (--anchor off)"),
    }
    if let Some(sandbox) = running.sandbox.as_ref().filter(|sandbox| sandbox.fresh) {
        print_actors(sandbox, running.address);
    }
}

fn print_actors(sandbox: &Sandbox, address: SocketAddr) {
    println!("\nSandbox accounts (1,000 BTC and 10,000,000 USDC of play money each), ready keys:");
    for actor in &sandbox.actors {
        let account = if actor.account == 0 {
            "-".into()
        } else {
            actor.account.to_string()
        };
        println!(
            "  {:<10} account {account:<4} key {}",
            actor.name,
            actor.key.display()
        );
    }
    if let Some(maker) = sandbox.role("maker").next() {
        let key = maker.key.display();
        println!("\nTry, in another terminal:");
        println!("  hashpit contracts --address http://{address} --key {key}");
        println!("  hashpit balance   --address http://{address} --key {key}");
    }
}
