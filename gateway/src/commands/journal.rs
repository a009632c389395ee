//! `hashpit journal`: what is on disk, verified, shown, exported, and executed again up to a moment.
//!
//! All of it only reads, and works on the folder of a running exchange too.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Subcommand;

pub(super) mod begin;
mod dump;
mod export;
mod progress;
mod replay;
pub(super) mod verify;

pub use export::{Export, Exported};
pub use replay::{Moment, replay};
pub use verify::{Verified, verify};

/// Journals.
#[derive(Subcommand, Clone, Debug)]
pub enum Journal {
    /// Reads every block, executes every command again, compares results, recounts the books.
    ///
    /// Where old segments were retired, it begins with the oldest whole snapshot.
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
    /// Writes commands, fills and refusals as columnar files (Apache Parquet) for analysts.
    ///
    /// commands.parquet: seq, time, kind, account, session, contract, client_order_id; a batch or a mass
    /// quote is one row. fills.parquet, a row for each side: seq, time, trade, account, order, contract,
    /// price_ticks, lots, fee (minor units of the contract's price asset). refusals.parquet: seq, time,
    /// reason, field, limit, actual. Times are nanoseconds, UTC.
    Export(Export),
    /// Executes up to a position, and shows every account as it stood then.
    Replay {
        /// Data folder of the exchange, or its journal folder.
        folder: PathBuf,
        /// Last position to execute.
        #[arg(long, value_name = "SEQ")]
        until: u64,
        /// Begins with the first command, not with the newest snapshot before the position.
        #[arg(long)]
        from_start: bool,
    },
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
    /// Damage, results that are not the recorded ones, books that do not add up, positions that the
    /// journal does not have; for what is printed or written also a closed or full output.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Verify { folder } => verify::run(&folder),
            Self::Dump { folder, from, to } => dump::run(&folder, from, to),
            Self::Export(export) => export.run(),
            Self::Replay {
                folder,
                until,
                from_start,
            } => replay::run(&folder, until, from_start),
        }
    }
}

/// A time as people read it, or its nanoseconds if no calendar has it.
pub(super) fn time(at: engine::units::Nanos) -> String {
    jiff::Timestamp::from_nanosecond(at.0.into())
        .map_or_else(|_| at.0.to_string(), |at| at.to_string())
}
