//! How the exchange comes back: the newest snapshot that is whole, then what the journal says came after.

use std::path::PathBuf;

use super::Replay;
use crate::{
    exchange::Exchange,
    ids::Seq,
    journal::{self, Journal, JournalError, RecoveryReport},
    keeper::History,
    snapshots::{self, Rejected, SnapshotError},
};

/// Where the start began.
#[derive(Debug, Default)]
pub struct Began {
    /// The snapshot, and the last command in it; none is the beginning of the journal.
    pub snapshot: Option<(PathBuf, Seq)>,
    /// Newer snapshots that were passed over, and why.
    pub rejected: Vec<Rejected>,
}

/// An exchange that has come back.
#[derive(Debug)]
pub struct Recovered<H> {
    /// The state.
    pub exchange: Exchange,
    /// What is remembered beside it.
    pub history: H,
    /// Ready to append.
    pub journal: Journal,
    /// What the journal held.
    pub report: RecoveryReport,
    /// Where the start began.
    pub began: Began,
}

/// Why the exchange does not come back.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The journal refuses, or a record gives other results than the recorded ones.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The snapshots cannot be used, and must not be passed over.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// What a snapshot remembers of the past cannot be read.
    #[error("{}: {why}", snapshot.display())]
    History {
        /// The file.
        snapshot: PathBuf,
        /// Why not.
        why: String,
    },
}

impl RecoverError {
    /// The exit code that a process should end with, as in [`JournalError::exit_code`].
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Journal(error) => error.exit_code(),
            Self::Snapshot(SnapshotError::Io { .. }) => 74,
            Self::Snapshot(_) | Self::History { .. } => 65,
        }
    }
}

/// Loads the newest whole snapshot beside the journal, if there is one, and executes what came after it
/// again, comparing results. `remember` makes the history from what the snapshot kept of it, or an empty
/// one.
///
/// # Errors
/// What the journal refuses, the first record whose results are not what was recorded, or snapshots of a
/// later version with no other to begin from.
pub fn recover<H: History>(
    settings: journal::Settings,
    remember: impl FnMut(Option<(&[u8], Seq)>) -> Result<H, String>,
) -> Result<Recovered<H>, RecoverError> {
    let room = (crate::limits::CLIENT_IDS_ROOM, crate::limits::ORDERS_ROOM);
    recover_with_room(settings, room, remember)
}

/// The same with room for so many client ids and orders: a simulator starts thousands of times.
///
/// # Errors
/// As [`recover`].
pub fn recover_with_room<H: History>(
    mut settings: journal::Settings,
    (client_ids, orders): (usize, usize),
    mut remember: impl FnMut(Option<(&[u8], Seq)>) -> Result<H, String>,
) -> Result<Recovered<H>, RecoverError> {
    let dir = snapshots::beside(&settings.dir);
    snapshots::remove_unfinished(&*settings.disk, &dir)?;
    let mut began = Began {
        snapshot: None,
        rejected: Vec::new(),
    };
    let mut latest = Seq::MAX;
    let mut whole = None;
    loop {
        let found = snapshots::newest_valid(&*settings.disk, &dir, settings.exchange_id, latest)?;
        began.rejected.extend(found.rejected);
        let Some(loaded) = found.loaded else { break };
        let seq = loaded.exchange.seq();
        match remember(Some((&loaded.annex, seq))) {
            Ok(history) => {
                whole = Some((loaded, history));
                break;
            }
            // As a damaged state is: an older one may be better.
            Err(why) => {
                let snapshot = loaded.path.display();
                tracing::warn!(%snapshot, "a snapshot is passed over: its history: {why}");
                latest = seq.saturating_sub(1);
            }
        }
    }
    let (mut exchange, history) = match whole {
        Some((loaded, history)) => {
            let seq = loaded.exchange.seq();
            settings.from = Some(loaded.position);
            began.snapshot = Some((loaded.path, seq));
            (loaded.exchange, history)
        }
        None => {
            let history = remember(None);
            let snapshot = dir;
            (
                Exchange::new(),
                history.map_err(|why| RecoverError::History { snapshot, why })?,
            )
        }
    };
    let mut history = history;
    exchange.reserve(client_ids, orders);
    let mut replay = Replay::default();
    let (journal, report) = journal::open(settings, |block| {
        replay.block_seen(
            &mut exchange,
            block.payload,
            block.count,
            |state, stamped, events| history.see(state, stamped, events),
        )?;
        history.end_of_block(block.chain);
        Ok(())
    })?;
    Ok(Recovered {
        exchange,
        history,
        journal,
        report,
        began,
    })
}
