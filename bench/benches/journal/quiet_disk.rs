//! The system's disk with a say in when the journal's helper may make segments: a burst goes into segments
//! that were made in quieter times, and should not pay for those that will replace them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use engine::journal::{Disk, DiskFile, IoChoice, JournalError, JournalIo, Lock, RealDisk};

/// Clones share one say.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuietDisk {
    held: Arc<(Mutex<bool>, Condvar)>,
}

impl QuietDisk {
    /// Holds back every new segment from here on.
    pub(crate) fn hold(&self) {
        self.set(true);
    }

    /// Lets the helper go on.
    pub(crate) fn release(&self) {
        self.set(false);
    }

    fn set(&self, hold: bool) {
        let (held, changed) = &*self.held;
        *held.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = hold;
        changed.notify_all();
    }
}

impl Disk for QuietDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.make_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.create(path)
    }

    fn create_direct(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (held, changed) = &*self.held;
        let held = held.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        drop(changed.wait_while(held, |held| *held));
        RealDisk.create_direct(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.open(path)
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.open_to_write(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        RealDisk.lock(path)
    }

    fn journal_io(&self, choice: IoChoice) -> Result<Box<dyn JournalIo>, JournalError> {
        RealDisk.journal_io(choice)
    }
}
