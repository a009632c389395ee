//! A real disk whose every sync takes its time.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use engine::journal::{
    Backend, Buffer, Disk, DiskFile, Done, Door, IoChoice, JournalError, JournalIo, Lock, RealDisk,
    Waker, Woken,
};

/// The disk. Clones count together.
#[derive(Clone, Debug)]
pub struct SlowDisk {
    sync_takes: Duration,
    syncs: Arc<AtomicU64>,
}

impl SlowDisk {
    /// Whose syncs of the journal take so long.
    #[must_use]
    pub fn new(sync_takes: Duration) -> Self {
        Self {
            sync_takes,
            syncs: Arc::default(),
        }
    }

    /// Syncs of the journal that have begun.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }
}

struct SlowIo {
    io: Box<dyn JournalIo>,
    disk: SlowDisk,
}

impl JournalIo for SlowIo {
    fn backend(&self) -> Backend {
        self.io.backend()
    }

    fn waker(&self) -> Waker {
        self.io.waker()
    }

    fn next_segment(&mut self, path: &Path) -> io::Result<()> {
        self.io.next_segment(path)
    }

    fn write(&mut self, block_seq: u64, block: Buffer, offset: u64) {
        self.io.write(block_seq, block, offset);
    }

    fn sync(&mut self) {
        self.disk.syncs.fetch_add(1, Ordering::SeqCst);
        // The device at work.
        std::thread::sleep(self.disk.sync_takes);
        self.io.sync();
    }

    fn answered(&mut self) -> Option<Done> {
        self.io.answered()
    }

    fn wait(&mut self, door: Option<&dyn Door>, limit: Option<Duration>) -> Woken {
        self.io.wait(door, limit)
    }
}

impl Disk for SlowDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.make_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.create(path)
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
        let (io, disk) = (RealDisk.journal_io(choice)?, self.clone());
        Ok(Box::new(SlowIo { io, disk }))
    }
}
