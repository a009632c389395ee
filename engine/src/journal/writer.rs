//! The journal thread: packs what is ready into blocks, writes them, syncs them, then lets them out.
//!
//! Several blocks are in flight, and at most one sync, which covers exactly the writes that had answered
//! when it was asked for. A block comes out once it and everything before it is durable. While all
//! places are taken the inbox gathers, and that is all the batching there is. The first error of any kind
//! ends the thread, and nothing that is not durable gets out.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::ahead::Ahead;
use super::block::{Kind, block_bytes};
use super::buffer::Buffer;
use super::error::{JournalError, io_error};
use super::inbox::{Door, Inbox};
use super::io::{Done, JournalIo, Woken};
use super::limits::{BATCH_BYTES_MAX, BLOCKS_IN_FLIGHT_MAX, IDLE};
use super::place::Place;
use super::stats::JournalStats;
use super::{Entry, Journal, segment, tail};

/// Runs the journal thread with the backend that the settings chose. `durable` is called on that
/// thread, in order, with entries that are on disk; if it blocks, so does the journal.
///
/// The thread ends with `Ok` after [`Feeder::close`](super::Feeder::close), and otherwise with the
/// first error. It panics if the entries' sequence numbers are not contiguous.
///
/// # Panics
/// If the system refuses to start a thread.
pub fn spawn<E: Entry>(
    journal: Journal,
    inbox: Inbox<E>,
    durable: impl FnMut(Vec<E>) + Send + 'static,
) -> JoinHandle<Result<(), JournalError>> {
    let (disk, choice) = (Arc::clone(&journal.disk), journal.io);
    spawn_with(journal, inbox, durable, move || disk.journal_io(choice))
}

/// Like [`spawn`], with a backend of the caller's own, made on the journal thread.
///
/// # Panics
/// If the system refuses to start a thread.
pub fn spawn_with<E: Entry>(
    journal: Journal,
    inbox: Inbox<E>,
    durable: impl FnMut(Vec<E>) + Send + 'static,
    backend: impl FnOnce() -> Result<Box<dyn JournalIo>, JournalError> + Send + 'static,
) -> JoinHandle<Result<(), JournalError>> {
    std::thread::Builder::new()
        .name("journal".to_owned())
        .spawn(move || {
            let result = backend().and_then(|io| {
                let mut writer = Writer::start(journal, inbox, durable, io, false)?;
                while !writer.turn()? {}
                Ok(())
            });
            if let Err(error) = &result {
                tracing::error!(%error, "the journal has ended");
            }
            result
        })
        .expect("a process that cannot start its journal thread must not start at all")
}

/// How far a block has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Writing,
    /// The write has answered; the next sync will cover it.
    Written,
    /// The sync in flight covers it.
    Syncing,
    Durable,
}

/// A block in flight.
struct Flight<E> {
    block_seq: u64,
    last_seq: u64,
    bytes: u64,
    watermark: bool,
    stage: Stage,
    batch: Vec<E>,
}

/// What the journal thread is: also to be driven by hand, turn by turn, where there is only one thread.
pub struct Writer<E, D> {
    at: Place,
    path: PathBuf,
    payload_max: usize,
    io: Box<dyn JournalIo>,
    ahead: Ahead,
    /// The next block in the making.
    buffer: Buffer,
    batch: Vec<E>,
    batch_count: u32,
    batch_next_seq: u64,
    kept_back: Option<(E, Vec<u8>)>,
    /// Sealed and not yet let out, in order; at most [`BLOCKS_IN_FLIGHT_MAX`].
    flights: VecDeque<Flight<E>>,
    syncing: bool,
    spare: Vec<Buffer>,
    durable: D,
    durable_seq: Arc<AtomicU64>,
    stats: Arc<JournalStats>,
    inbox: Inbox<E>,
    // Last, so that the folder is free only when nothing writes to it any more.
    _lock: Box<dyn super::Lock>,
}

impl<E: Entry, D: FnMut(Vec<E>)> Writer<E, D> {
    /// Ready for its first turn. `by_hand`: no helper thread, segments are made in between.
    ///
    /// # Errors
    /// If the segment cannot be opened.
    pub fn start(
        journal: Journal,
        inbox: Inbox<E>,
        durable: D,
        mut io: Box<dyn JournalIo>,
        by_hand: bool,
    ) -> Result<Self, JournalError> {
        let Journal {
            disk,
            dir,
            io: _,
            reserve,
            room,
            at,
            payload_max,
            durable_seq,
            stats,
            lock,
        } = journal;
        let path = segment::path(&dir, at.segment_id);
        io.next_segment(&path).map_err(io_error("open", &path))?;
        stats.chose(io.backend());
        inbox.wakes(io.waker());
        let next = at.segment_id + 1;
        let ahead = Ahead::start(disk, dir, next, at.segment_bytes, reserve, room, by_hand);
        Ok(Self {
            batch_next_seq: at.next_seq,
            at,
            path,
            payload_max,
            io,
            ahead,
            buffer: Buffer::new(),
            batch: Vec::new(),
            batch_count: 0,
            kept_back: None,
            flights: VecDeque::new(),
            syncing: false,
            spare: Vec::new(),
            durable,
            durable_seq,
            stats,
            inbox,
            _lock: lock,
        })
    }

    /// Seals what is ready, asks for a sync if one is due, and waits for the next thing to happen.
    /// Answers whether everything is done and the inbox closed.
    ///
    /// # Errors
    /// The first error of the disk. Then this writer must not be used again.
    pub fn turn(&mut self) -> Result<bool, JournalError> {
        self.ahead.tend()?;
        // In this order: what was pushed before the close is then seen by the gathering.
        let closed = self.inbox.is_closed();
        while self.may_seal() {
            self.gather()?;
            if self.batch.is_empty() || !self.begin_block(Kind::Data)? {
                break;
            }
            if !self.inbox.has_work() {
                // The wait below gives the disk what was begun.
                break;
            }
            // The disk works on while this thread packs: what it has done is synced now, not after the last
            // place is taken.
            while let Some(done) = self.io.answered() {
                self.done(done)?;
            }
            self.sync_if_due();
        }
        self.sync_if_due();
        let nothing_left = self.batch.is_empty();
        if self.flights.is_empty() && nothing_left && closed {
            if self.at.last_kind != Kind::Data {
                return Ok(true);
            }
            self.begin_block(Kind::Watermark)?;
        }
        let quiet = self.flights.is_empty() && nothing_left && self.at.last_kind == Kind::Data;
        let watched = !closed && self.may_seal();
        let door = watched.then_some(&self.inbox as &dyn Door);
        match self.io.wait(door, quiet.then_some(IDLE)) {
            Woken::Done(done) => self.done(done)?,
            Woken::Idle if quiet => {
                self.begin_block(Kind::Watermark)?;
            }
            Woken::Work | Woken::Idle => {}
        }
        Ok(false)
    }

    /// Whether anything waits for the disk.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// A place is free, and no packed block waits for the segment before its own to be finished.
    fn may_seal(&self) -> bool {
        (self.flights.len() as u64) < BLOCKS_IN_FLIGHT_MAX && self.batch.is_empty()
            || self.flights.is_empty()
    }

    /// Packs entries that are ready, up to the batch limit or one entry that is larger.
    fn gather(&mut self) -> Result<(), JournalError> {
        if !self.batch.is_empty() {
            return Ok(());
        }
        self.buffer.clear();
        self.batch_count = 0;
        if let Some((entry, bytes)) = self.kept_back.take() {
            self.buffer.payload_end().extend_from_slice(&bytes);
            self.batch_count = entry.count();
            self.batch.push(entry);
        }
        while self.buffer.payload_len() < BATCH_BYTES_MAX {
            let Some(mut entry) = self.inbox.pop() else {
                break;
            };
            assert_eq!(
                entry.first_seq(),
                self.batch_next_seq,
                "sequence numbers are contiguous"
            );
            assert!(
                entry.count() > 0,
                "an entry covers at least one sequence number"
            );
            self.batch_next_seq += u64::from(entry.count());
            let before = self.buffer.payload_len();
            entry.encode(self.buffer.payload_end());
            let bytes = self.buffer.payload_len() - before;
            if bytes > self.payload_max {
                let (first_seq, limit) = (entry.first_seq(), self.payload_max);
                return Err(JournalError::EntryTooLarge {
                    first_seq,
                    bytes,
                    limit,
                });
            }
            let count = self.batch_count.checked_add(entry.count());
            let fits = before == 0 || before + bytes <= BATCH_BYTES_MAX;
            let (Some(count), true) = (count, fits) else {
                self.kept_back = Some((entry, self.buffer.split_off(before)));
                break;
            };
            self.batch_count = count;
            self.batch.push(entry);
        }
        Ok(())
    }

    /// Seals the buffer as the next block and begins to write it. Answers `false` if it goes into the
    /// next segment and this one is not yet durable.
    fn begin_block(&mut self, kind: Kind) -> Result<bool, JournalError> {
        if kind == Kind::Watermark {
            self.buffer.clear();
            self.batch_count = 0;
        }
        let bytes = block_bytes(self.buffer.payload_len()) as u64;
        if self.at.offset + bytes > self.at.segment_bytes {
            if !self.flights.is_empty() {
                return Ok(false);
            }
            self.next_segment()?;
        }
        let block_seq = self.at.next_block;
        let offset = tail::seal(&mut self.at, kind, self.batch_count, &mut self.buffer);
        let next = self.spare.pop().unwrap_or_else(Buffer::new);
        let block = std::mem::replace(&mut self.buffer, next);
        let next_batch = Vec::with_capacity(self.batch.len());
        self.flights.push_back(Flight {
            block_seq,
            last_seq: self.at.next_seq - 1,
            bytes,
            watermark: kind == Kind::Watermark,
            stage: Stage::Writing,
            batch: std::mem::replace(&mut self.batch, next_batch),
        });
        self.io.write(block_seq, block, offset);
        Ok(true)
    }

    /// One sync at a time, over every write that has answered by now.
    fn sync_if_due(&mut self) {
        if self.syncing {
            return;
        }
        for flight in &mut self.flights {
            if flight.stage == Stage::Written {
                flight.stage = Stage::Syncing;
                self.syncing = true;
            }
        }
        if self.syncing {
            self.io.sync();
        }
    }

    fn done(&mut self, done: Done) -> Result<(), JournalError> {
        match done {
            Done::Write {
                block_seq,
                result,
                block,
            } => {
                result.map_err(io_error("write", &self.path))?;
                self.spare.push(block);
                let flight = self
                    .flights
                    .iter_mut()
                    .find(|flight| flight.block_seq == block_seq);
                let flight = flight.expect("a write answers for a block in flight");
                assert_eq!(flight.stage, Stage::Writing, "a write answers once");
                flight.stage = Stage::Written;
            }
            Done::Sync(result) => {
                result.map_err(io_error("sync", &self.path))?;
                self.stats.sync();
                self.syncing = false;
                for flight in &mut self.flights {
                    if flight.stage == Stage::Syncing {
                        flight.stage = Stage::Durable;
                    }
                }
                self.let_out();
            }
        }
        Ok(())
    }

    /// Lets out the blocks that are durable with everything before them.
    fn let_out(&mut self) {
        let mut told = Vec::new();
        while self
            .flights
            .front()
            .is_some_and(|flight| flight.stage == Stage::Durable)
            && let Some(flight) = self.flights.pop_front()
        {
            self.at.durable_seq = flight.last_seq;
            self.at.durable_block = flight.block_seq;
            self.stats.block(flight.bytes, flight.watermark);
            if told.is_empty() {
                told = flight.batch;
            } else {
                told.extend(flight.batch);
            }
        }
        if !told.is_empty() {
            self.durable_seq
                .store(self.at.durable_seq, Ordering::Release);
            (self.durable)(told);
        }
    }

    /// Everything in the old segment is durable by now, since nothing is in flight.
    fn next_segment(&mut self) -> Result<(), JournalError> {
        assert!(
            self.flights.is_empty(),
            "a segment is finished before the next"
        );
        self.path = self.ahead.take()?;
        self.io
            .next_segment(&self.path)
            .map_err(io_error("open", &self.path))?;
        self.at.enter_next_segment();
        self.stats.segment();
        Ok(())
    }
}

impl<E, D> std::fmt::Debug for Writer<E, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("at", &self.at)
            .field("in_flight", &self.flights.len())
            .finish_non_exhaustive()
    }
}
