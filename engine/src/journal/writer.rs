//! The journal thread: packs what is ready into one block, writes it, syncs it, then lets it out.
//!
//! One block is in flight; while the disk works the inbox gathers, and that is all the batching there
//! is. The first error of any kind ends the thread, and nothing that is not durable gets out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::ahead::Ahead;
use super::block::{Kind, block_bytes};
use super::buffer::Buffer;
use super::error::{JournalError, io_error};
use super::inbox::Inbox;
use super::io::{JournalIo, select};
use super::limits::{BATCH_BYTES_MAX, IDLE};
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
    let choice = journal.io;
    spawn_with(journal, inbox, durable, move || select(choice))
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
            let result = backend().and_then(|io| Writer::start(journal, inbox, durable, io)?.run());
            if let Err(error) = &result {
                tracing::error!(%error, "the journal has ended");
            }
            result
        })
        .expect("a process that cannot start its journal thread must not start at all")
}

struct Writer<E, D> {
    at: Place,
    path: PathBuf,
    payload_max: usize,
    io: Box<dyn JournalIo>,
    ahead: Ahead,
    buffer: Buffer,
    batch: Vec<E>,
    batch_count: u32,
    batch_next_seq: u64,
    kept_back: Option<(E, Vec<u8>)>,
    durable: D,
    durable_seq: Arc<AtomicU64>,
    stats: Arc<JournalStats>,
    inbox: Inbox<E>,
    // Last, so that the folder is free only when nothing writes to it any more.
    _lock: std::fs::File,
}

impl<E: Entry, D: FnMut(Vec<E>)> Writer<E, D> {
    fn start(
        journal: Journal,
        inbox: Inbox<E>,
        durable: D,
        mut io: Box<dyn JournalIo>,
    ) -> Result<Self, JournalError> {
        let Journal {
            dir,
            io: _,
            at,
            payload_max,
            durable_seq,
            stats,
            lock,
        } = journal;
        let path = segment::path(&dir, at.segment_id);
        io.next_segment(&path).map_err(io_error("open", &path))?;
        stats.chose(io.backend());
        let ahead = Ahead::start(dir, at.segment_id + 1, at.segment_bytes);
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
            durable,
            durable_seq,
            stats,
            inbox,
            _lock: lock,
        })
    }

    fn run(mut self) -> Result<(), JournalError> {
        loop {
            // In this order: what was pushed before the close is then seen by the gathering.
            let closed = self.inbox.is_closed();
            self.gather()?;
            if !self.batch.is_empty() {
                self.commit()?;
            } else if closed {
                return self.cover_last();
            } else if self.at.last_kind != Kind::Data {
                self.inbox.wait(None);
            } else if !self.inbox.wait(Some(IDLE)) {
                self.cover_last()?;
            }
        }
    }

    /// Packs entries that are ready, up to the batch limit or one entry that is larger.
    fn gather(&mut self) -> Result<(), JournalError> {
        assert!(self.batch.is_empty());
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

    /// Makes the batch durable, says so, and lets it out.
    fn commit(&mut self) -> Result<(), JournalError> {
        self.append(Kind::Data, self.batch_count)?;
        self.at.durable_seq = self.at.next_seq - 1;
        self.durable_seq
            .store(self.at.durable_seq, Ordering::Release);
        let next_batch = Vec::with_capacity(self.batch.len());
        (self.durable)(std::mem::replace(&mut self.batch, next_batch));
        Ok(())
    }

    /// Writes a watermark block if the last block is a data block.
    fn cover_last(&mut self) -> Result<(), JournalError> {
        if self.at.last_kind != Kind::Data {
            return Ok(());
        }
        self.buffer.clear();
        self.append(Kind::Watermark, 0)
    }

    /// Seals the buffer as the next block; returns once it is durable.
    fn append(&mut self, kind: Kind, count: u32) -> Result<(), JournalError> {
        let bytes = block_bytes(self.buffer.payload_len()) as u64;
        if self.at.offset + bytes > self.at.segment_bytes {
            self.next_segment()?;
        }
        let offset = tail::seal(&mut self.at, kind, count, &mut self.buffer);
        let block = std::mem::replace(&mut self.buffer, Buffer::nothing());
        let (written, block) = self.io.write(block, offset);
        self.buffer = block;
        written.map_err(io_error("write", &self.path))?;
        self.io.sync().map_err(io_error("sync", &self.path))?;
        self.stats.block(bytes, kind == Kind::Watermark);
        Ok(())
    }

    /// Everything in the old segment is durable by now, since one block is in flight.
    fn next_segment(&mut self) -> Result<(), JournalError> {
        self.path = self.ahead.take()?;
        self.io
            .next_segment(&self.path)
            .map_err(io_error("open", &self.path))?;
        self.at.segment_id += 1;
        self.at.offset = 0;
        self.at.last_offset = 0;
        self.stats.segment();
        Ok(())
    }
}
