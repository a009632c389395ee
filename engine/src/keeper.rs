//! Follows the journal from the disk, checks it, and takes snapshots of it.
//!
//! A copy of the exchange of its own, fed with blocks that are proven durable: every command is executed
//! again and its results compared with the recorded ones. Nobody waits for it, so it can write a million
//! orders to disk while trading goes on. It also decides which segments nobody needs any more. The same
//! code runs as a thread of the exchange and, without writing anything, as a process of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{
    command::Stamped,
    event::Event,
    exchange::Exchange,
    ids::Seq,
    journal::{self, Disk, Follow, JournalError, Position, Retired, Room},
    pipeline::{Fault, Replay},
    snapshots::{self, SnapshotError, Written},
};

/// How long the thread rests when nothing has become durable.
const REST: Duration = Duration::from_millis(50);
/// Turns without anything new before it looks whether damage is in the way: about ten seconds.
const LOOK_AFTER: u32 = 200;

/// How far the thread steps back behind trading when processors are short.
const NICE: i32 = 10;

/// Snapshots that are kept: the newest, and one to fall back to.
pub const SNAPSHOTS_KEPT: usize = 2;

/// What somebody remembers of the past beside the state, and wants kept in snapshots.
pub trait History: Send + 'static {
    /// One command and what it did, in order.
    fn hear(&mut self, stamped: &Stamped, events: &[Event]);
    /// The same with the state right after the command; unless it is wanted, only [`Self::hear`] hears of it.
    fn see(&mut self, _exchange: &Exchange, stamped: &Stamped, events: &[Event]) {
        self.hear(stamped, events);
    }
    /// A block of the journal ends here, with this chain value.
    fn end_of_block(&mut self, _chain: [u8; 32]) {}
    /// What to put beside the state.
    fn annex(&self) -> Vec<u8>;
    /// Whether a start could begin with what was once put beside the state after command `seq`.
    ///
    /// # Errors
    /// Which part cannot be read, and why.
    fn try_annex(annex: &[u8], seq: Seq) -> Result<(), String>;
}

/// Nobody remembers anything.
impl History for () {
    fn hear(&mut self, _: &Stamped, _: &[Event]) {}
    fn annex(&self) -> Vec<u8> {
        Vec::new()
    }
    fn try_annex(annex: &[u8], _: Seq) -> Result<(), String> {
        match annex.len() {
            0 => Ok(()),
            bytes => Err(format!("{bytes} bytes where nothing is remembered")),
        }
    }
}

/// What becomes of segments that no snapshot needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// They stay: the whole history can be read again.
    #[default]
    All,
    /// All but the newest so many are moved into this folder, on the same file system.
    Archive(u64, PathBuf),
    /// All but the newest so many are removed.
    Remove(u64),
}

/// Why the keeper cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The journal cannot be read, or executing it again gives something else.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A snapshot could not be written; the journal is whole, and the next attempt may succeed.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Before the first command there is nothing to keep.
    #[error("there is no command yet that a snapshot could be of")]
    Nothing,
}

/// The keeper. See the module's page.
#[derive(Debug)]
pub struct Keeper<H> {
    disk: Arc<dyn Disk>,
    journal: PathBuf,
    follow: Follow,
    replay: Replay,
    exchange: Exchange,
    history: H,
    snapshot_seq: Seq,
    /// Snapshots that a start was tried from.
    tried: BTreeSet<Seq>,
}

impl<H: History> Keeper<H> {
    /// Goes on from a state and the place in the journal that belongs to it; none is the very beginning.
    ///
    /// # Errors
    /// If there is no journal, or not that place in it.
    pub fn start(
        disk: Arc<dyn Disk>,
        journal: &Path,
        from: Option<&Position>,
        exchange: Exchange,
        history: H,
    ) -> Result<Self, JournalError> {
        Ok(Self {
            follow: Follow::start(Arc::clone(&disk), journal, from)?,
            disk,
            journal: journal.to_owned(),
            replay: Replay::default(),
            snapshot_seq: exchange.seq(),
            tried: BTreeSet::new(),
            exchange,
            history,
        })
    }

    /// Executes what has become durable, some blocks at a time. Answers whether there was anything.
    ///
    /// # Errors
    /// The position whose results are not the recorded ones, or why the journal cannot be read.
    pub fn turn(&mut self) -> Result<bool, JournalError> {
        let Self {
            follow,
            replay,
            exchange,
            history,
            ..
        } = self;
        follow.turn(|block| {
            replay.block_seen(
                exchange,
                block.payload,
                block.count,
                |state, stamped, events| {
                    history.see(state, stamped, events);
                },
            )?;
            history.end_of_block(block.chain);
            Ok(())
        })
    }

    /// The state that it has reached.
    #[must_use]
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// What is remembered beside it.
    #[must_use]
    pub fn history(&self) -> &H {
        &self.history
    }

    /// Whether nothing comes because there is nothing, or because what comes is damaged.
    ///
    /// # Errors
    /// What recovery would refuse, with file, byte and advice.
    pub fn check_end(&self) -> Result<(), KeeperError> {
        let position = self.follow.position();
        let from = (position.last_seq() > 0).then_some(&position);
        journal::scan_from(&*self.disk, &self.journal, from, |_| Ok(()))?;
        Ok(())
    }

    /// Commands since the last snapshot, or since it began.
    #[must_use]
    pub fn since_snapshot(&self) -> u64 {
        self.exchange.seq() - self.snapshot_seq
    }

    /// Writes a snapshot of where it stands and removes those older than the newest two.
    ///
    /// # Errors
    /// The system's, or bytes that read back wrong: then the older ones are still there.
    pub fn snapshot(&mut self) -> Result<Written, KeeperError> {
        let (dir, position) = (snapshots::beside(&self.journal), self.follow.position());
        if position.exchange_id() == 0 {
            return Err(KeeperError::Nothing);
        }
        let annex = self.history.annex();
        let written = snapshots::write(&*self.disk, &dir, &self.exchange, &position, &annex)?;
        drop(annex);
        // Before an older one goes: bytes that are what was written may still be nothing to begin with.
        snapshots::try_start(&*self.disk, &written.path, H::try_annex)?;
        self.snapshot_seq = written.seq;
        self.tried.insert(written.seq);
        snapshots::keep(&*self.disk, &dir, position.exchange_id(), SNAPSHOTS_KEPT)?;
        Ok(written)
    }

    /// Lets go of segments that neither a snapshot nor `retention` asks for. Answers which. Before the
    /// first goes, a start was tried from each of the kept snapshots.
    ///
    /// # Errors
    /// The system's.
    pub fn retire(&mut self, retention: &Retention) -> Result<Vec<Retired>, KeeperError> {
        let (kept, archive) = match retention {
            Retention::All => return Ok(Vec::new()),
            Retention::Archive(kept, folder) => (*kept, Some(folder.as_path())),
            Retention::Remove(kept) => (*kept, None),
        };
        let dir = snapshots::beside(&self.journal);
        let exchange_id = self.follow.position().exchange_id();
        let here = self.follow.position().segment_id();
        let unwanted = (here + 1).saturating_sub(kept.max(1));
        let oldest = journal::oldest_segment(&*self.disk, &self.journal)?;
        if oldest.is_none_or(|oldest| oldest >= unwanted) {
            return Ok(Vec::new());
        }
        let needed = snapshots::oldest_needed(
            &*self.disk,
            &dir,
            exchange_id,
            SNAPSHOTS_KEPT,
            |path, seq| {
                if !self.tried.contains(&seq) {
                    snapshots::try_start(&*self.disk, path, H::try_annex)?;
                    self.tried.insert(seq);
                }
                Ok(())
            },
        )?;
        let Some(needed) = needed else {
            // With a single snapshot, or none, the whole journal is the second chance.
            return Ok(Vec::new());
        };
        let before = needed.min(unwanted);
        Ok(journal::retire(
            &*self.disk,
            &self.journal,
            before,
            archive,
        )?)
    }
}

impl<H: History> Keeper<H> {
    /// Does all this on a thread of its own: a snapshot each `every` commands (0 = none), then `retention`.
    /// A record that gives other results than the recorded ones stops the exchange, and so does a journal
    /// that cannot be read; a snapshot that cannot be written is said and tried again later. While the
    /// journal lives on its reserve no snapshot takes room from it.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn keep(
        mut self,
        every: u64,
        retention: Retention,
        room: Arc<Room>,
        fault: Arc<Fault>,
    ) -> std::io::Result<Keeping> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || {
                let fault = Alarm(fault);
                step_back();
                let mut next = every;
                let mut idle = 0;
                while !stopped.load(Ordering::Acquire) {
                    match self.turn() {
                        Ok(true) => idle = 0,
                        Ok(false) => {
                            std::thread::park_timeout(REST);
                            idle += 1;
                            // Quiet for long, or stuck before damage? Once in each silence.
                            if idle == LOOK_AFTER
                                && let Err(error) = self.check_end()
                            {
                                return fault.0.set(format!("the keeper: {error}"));
                            }
                        }
                        Err(error) => return fault.0.set(format!("the keeper: {error}")),
                    }
                    if every > 0 && self.since_snapshot() >= next && !room.is_short() {
                        next = match self.snapshot_and_retire(&retention) {
                            Ok(()) => every,
                            Err(error) => {
                                tracing::error!(%error, "no snapshot was taken");
                                self.since_snapshot() + every
                            }
                        };
                    }
                }
            })?;
        Ok(Keeping {
            stop,
            thread: Some(thread),
        })
    }

    fn snapshot_and_retire(&mut self, retention: &Retention) -> Result<(), KeeperError> {
        let written = self.snapshot()?;
        tracing::info!(
            position = written.seq, bytes = written.bytes, snapshot = %written.path.display(),
            "took a snapshot"
        );
        match self.retire(retention) {
            Ok(gone) => {
                for segment in gone {
                    tracing::info!(segment = segment.id, archived = ?segment.archived, "let go of a segment");
                }
            }
            // The journal only grows; the next snapshot tries again.
            Err(error) => tracing::error!(%error, "no segment could be let go of"),
        }
        Ok(())
    }
}

/// Whoever trades goes first. Where the system does not allow it, they share.
fn step_back() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::info!(%error, "the keeper runs at the same priority as trading");
    }
}

/// A keeper that panicked checks nothing any more, and nobody may believe that it does.
struct Alarm(Arc<Fault>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set("the keeper thread panicked".to_owned());
        }
    }
}

/// The keeper's thread. Dropping it ends the thread after what it is doing.
#[derive(Debug)]
pub struct Keeping {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeping {
    /// Ends the thread and waits for it.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has no result, and if it panicked that is on stderr already.
            let _ = thread.join();
        }
    }
}
