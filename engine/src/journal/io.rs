//! What the journal thread asks of a disk while it writes, and the plain backend: `pwrite` and `fdatasync`.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::buffer::Buffer;
use super::error::JournalError;
use super::inbox::Door;
use super::stats::Backend;
use super::uring::UringIo;

/// Which backend writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoChoice {
    /// io_uring if the kernel allows it, otherwise plain.
    #[default]
    Auto,
    /// io_uring or nothing.
    Uring,
    /// `pwrite` and `fdatasync`.
    Plain,
}

/// Wakes a journal thread that waits in [`JournalIo::wait`].
pub type Waker = Box<dyn Fn() + Send + Sync>;

/// An operation that has answered.
#[derive(Debug)]
pub enum Done {
    /// A write: which one, how it went, and its memory back.
    Write {
        /// The block's number, as given.
        block_seq: u64,
        /// A short write is an error.
        result: io::Result<()>,
        /// The block.
        block: Buffer,
    },
    /// The sync.
    Sync(io::Result<()>),
}

/// Why [`JournalIo::wait`] came back.
#[derive(Debug)]
pub enum Woken {
    /// An operation has answered.
    Done(Done),
    /// There is something at the door.
    Work,
    /// Nothing for as long as was allowed.
    Idle,
}

/// The write path of a disk: several writes and at most one sync at a time. An error is final: nothing
/// is tried twice, and nothing that was begun is abandoned.
pub trait JournalIo {
    /// Which one this is, for logs and counters.
    fn backend(&self) -> Backend;

    /// How to wake a thread out of [`JournalIo::wait`]. Called once, on that thread.
    fn waker(&self) -> Waker;

    /// From now on writes go to this segment, which is there and full of zeros. Nothing is in flight.
    fn next_segment(&mut self, path: &Path) -> io::Result<()>;

    /// Begins to write the whole block at `offset` bytes.
    fn write(&mut self, block_seq: u64, block: Buffer, offset: u64);

    /// Begins to bring onto stable storage, as far as the system can tell, every write whose
    /// [`Done::Write`] has been handed over, and perhaps others. One at a time.
    fn sync(&mut self);

    /// An operation that has answered while this thread was busy, without waiting for one. A backend whose
    /// operations are over before they return has none: it would sync after every write.
    fn answered(&mut self) -> Option<Done> {
        None
    }

    /// Waits for an operation, for work at the door if there is one to watch, no longer than `limit`.
    fn wait(&mut self, door: Option<&dyn Door>, limit: Option<Duration>) -> Woken;
}

/// Makes the backend that `choice` names and says which in the log. Call it on the journal thread.
///
/// # Errors
/// [`JournalError::UringUnavailable`] if io_uring was demanded and is forbidden.
pub fn select(choice: IoChoice) -> Result<Box<dyn JournalIo>, JournalError> {
    if choice != IoChoice::Plain {
        match UringIo::new() {
            Ok(io) => {
                tracing::info!(
                    backend = io.backend().name(),
                    "the journal writes with io_uring"
                );
                return Ok(Box::new(io));
            }
            Err(source) if choice == IoChoice::Uring => {
                return Err(JournalError::UringUnavailable { source });
            }
            Err(error) => tracing::warn!(%error, "io_uring cannot be had"),
        }
    }
    let io = PlainIo::new();
    tracing::info!(
        backend = io.backend().name(),
        "the journal writes with pwrite and fdatasync"
    );
    Ok(Box::new(io))
}

/// `pwrite` and `fdatasync` through the page cache, each finished before the next begins.
#[derive(Debug, Default)]
pub struct PlainIo {
    file: Option<File>,
    done: VecDeque<Done>,
}

impl PlainIo {
    /// A backend without a segment.
    pub fn new() -> Self {
        Self::default()
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(no_segment)
    }
}

impl JournalIo for PlainIo {
    fn backend(&self) -> Backend {
        Backend::Plain
    }

    fn waker(&self) -> Waker {
        let sleeper = std::thread::current();
        Box::new(move || sleeper.unpark())
    }

    fn next_segment(&mut self, path: &Path) -> io::Result<()> {
        self.file = Some(OpenOptions::new().write(true).open(path)?);
        Ok(())
    }

    fn write(&mut self, block_seq: u64, block: Buffer, offset: u64) {
        let written = self
            .file()
            .and_then(|file| file.write_at(block.block(), offset));
        let result = written.and_then(|written| whole(written, block.block().len()));
        self.done.push_back(Done::Write {
            block_seq,
            result,
            block,
        });
    }

    fn sync(&mut self) {
        let result = self.file().and_then(File::sync_data);
        self.done.push_back(Done::Sync(result));
    }

    fn wait(&mut self, door: Option<&dyn Door>, limit: Option<Duration>) -> Woken {
        if let Some(done) = self.done.pop_front() {
            return Woken::Done(done);
        }
        let Some(door) = door else {
            return Woken::Idle;
        };
        // Two halves: a wake-up left over from earlier may end one of them at once.
        for _ in 0..2 {
            if door.arm() {
                return Woken::Work;
            }
            match limit {
                Some(limit) => std::thread::park_timeout(limit / 2),
                None => std::thread::park(),
            }
        }
        if door.arm() {
            return Woken::Work;
        }
        door.disarm();
        Woken::Idle
    }
}

/// A write that stopped early is an error like any other.
pub(super) fn whole(written: usize, asked: usize) -> io::Result<()> {
    if written == asked {
        return Ok(());
    }
    let what = format!("short write: {written} of {asked} bytes");
    Err(io::Error::new(ErrorKind::WriteZero, what))
}

pub(super) fn no_segment() -> io::Error {
    io::Error::new(ErrorKind::NotFound, "no segment is open")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_write_is_an_error_and_so_is_a_missing_segment() {
        assert!(whole(4096, 4096).is_ok());
        assert!(whole(4095, 4096).is_err());
        let mut io = PlainIo::new();
        io.write(1, Buffer::new(), 0);
        io.sync();
        let Woken::Done(Done::Write { result, .. }) = io.wait(None, None) else {
            panic!("the write answers first");
        };
        assert!(result.is_err());
        assert!(matches!(
            io.wait(None, None),
            Woken::Done(Done::Sync(Err(_)))
        ));
    }
}
