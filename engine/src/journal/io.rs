//! Three verbs that reach the disk, and the plain backend: `pwrite` and `fdatasync`.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::buffer::Buffer;
use super::error::JournalError;
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

/// What the journal thread asks of a disk. An error is final: nothing is tried twice.
pub trait JournalIo {
    /// Which one this is, for logs and counters.
    fn backend(&self) -> Backend;

    /// From now on writes go to this segment, which is there and full of zeros.
    fn next_segment(&mut self, path: &Path) -> io::Result<()>;

    /// Writes the whole block at `offset` bytes. A short write is an error. The buffer comes back.
    fn write(&mut self, block: Buffer, offset: u64) -> (io::Result<()>, Buffer);

    /// Returns once every write so far is on stable storage, as far as the system can tell.
    fn sync(&mut self) -> io::Result<()>;
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

/// `pwrite` and `fdatasync` through the page cache.
#[derive(Debug, Default)]
pub struct PlainIo {
    file: Option<File>,
}

impl PlainIo {
    /// A backend without a segment.
    pub fn new() -> Self {
        Self::default()
    }
}

impl JournalIo for PlainIo {
    fn backend(&self) -> Backend {
        Backend::Plain
    }

    fn next_segment(&mut self, path: &Path) -> io::Result<()> {
        self.file = Some(OpenOptions::new().write(true).open(path)?);
        Ok(())
    }

    fn write(&mut self, block: Buffer, offset: u64) -> (io::Result<()>, Buffer) {
        let file = self.file.as_ref().ok_or_else(no_segment);
        let done = file.and_then(|file| file.write_at(block.block(), offset));
        (
            done.and_then(|written| whole(written, block.block().len())),
            block,
        )
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.as_ref().ok_or_else(no_segment)?.sync_data()
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
        assert!(PlainIo::new().write(Buffer::new(), 0).0.is_err());
        assert!(PlainIo::new().sync().is_err());
    }
}
