//! What journal and snapshots ask of a file system, and the real one.
//!
//! Everything that touches the folder goes through this one door, so that a simulated disk (`tests/`) can
//! tear writes, lose what was never synced, and fail at any operation, under the same code.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::JournalError;
use super::io::{IoChoice, JournalIo, select};
#[cfg(doc)]
use super::limits::BLOCK_ALIGN;

/// A file system. No call is ever repeated after an error.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Makes the folder unless it is there; its own name is durable on return.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
    /// The files in a folder, in no particular order.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// A new, empty file, for reading and writing; what had the name before is gone.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Like [`Self::create`], for a file that is written once and not soon read: where the file system can,
    /// its writes do not pass through the page cache. They must then begin and end on
    /// [`BLOCK_ALIGN`], in the file and in memory.
    fn create_direct(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.create(path)
    }
    /// A file that is there, for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// A file that is there, for reading and writing.
    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name; durable once the folder is synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; durable once the folder is synced.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes a lock that goes with the value, whatever ends the process. None if another has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;
    /// The write path of the journal thread; called on that thread.
    ///
    /// # Errors
    /// [`JournalError::UringUnavailable`] if io_uring was demanded and is forbidden.
    fn journal_io(&self, choice: IoChoice) -> Result<Box<dyn JournalIo>, JournalError>;
}

/// An open file.
pub trait DiskFile: Debug + Send {
    /// Bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills `bytes` from `offset` on.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Content and length are on stable storage on return, as far as the system can tell.
    fn sync(&self) -> io::Result<()>;
}

/// Holds a folder for this process while it lives.
pub trait Lock: Debug + Send {}

/// The system's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        // From the outermost on, each made name synced: none of them is lost with what lies in it.
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.make_dir(parent)?;
        }
        fs::create_dir_all(dir)?;
        match dir.canonicalize()?.parent() {
            Some(parent) => self.sync_dir(parent),
            None => Ok(()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|item| Ok(item?.path())).collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn create_direct(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        Ok(Box::new(RealFile(open_direct(&options, path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(File::open(path)?)))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(RealFile(file)))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn journal_io(&self, choice: IoChoice) -> Result<Box<dyn JournalIo>, JournalError> {
        select(choice)
    }
}

/// `O_DIRECT`, which the standard library does not name; its value depends on the processor.
/// 0 where it is not known: then writes go through the page cache and stay correct.
const O_DIRECT: i32 = if cfg!(any(target_arch = "x86_64", target_arch = "riscv64")) {
    0x4000
} else if cfg!(target_arch = "aarch64") {
    0x1_0000
} else {
    0
};

/// Opens a file for writes that pass the page cache by, or as any file where the file system refuses that.
pub(super) fn open_direct(options: &OpenOptions, path: &Path) -> io::Result<File> {
    match options.clone().custom_flags(O_DIRECT).open(path) {
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            tracing::info!(file = %path.display(), "no direct writes on this file system");
            options.open(path)
        }
        other => other,
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        // With the length: unlike `fdatasync` it stores a new file's whole description.
        self.0.sync_all()
    }
}

impl Lock for RealFile {}
