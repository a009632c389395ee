//! A real disk with little room.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use engine::journal::{Disk, DiskFile, IoChoice, JournalError, JournalIo, Lock, RealDisk};

/// A disk with room for so many bytes more; what is there already stays writable. Clones share the room.
#[derive(Clone, Debug)]
pub struct SmallDisk(Arc<AtomicI64>);

impl SmallDisk {
    /// With room for so many bytes.
    #[must_use]
    pub fn with_room(bytes: i64) -> Self {
        Self(Arc::new(AtomicI64::new(bytes)))
    }

    /// Somebody makes room.
    pub fn make_room(&self, bytes: i64) {
        self.0.fetch_add(bytes, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct SmallFile {
    file: Box<dyn DiskFile>,
    /// Only a file being made needs new room; segments are zero-written ahead.
    room: Option<Arc<AtomicI64>>,
}

impl DiskFile for SmallFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Some(room) = &self.room {
            let needed = length(bytes.len() as u64);
            let fits = |room: i64| (room >= needed).then_some(room - needed);
            if room
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits)
                .is_err()
            {
                return Err(ErrorKind::StorageFull.into());
            }
        }
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

/// No file here is too long for a signed number.
fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Disk for SmallDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.make_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (file, room) = (RealDisk.create(path)?, Some(Arc::clone(&self.0)));
        Ok(Box::new(SmallFile { file, room }))
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
        let bytes = self.open(path)?.length()?;
        RealDisk.remove(path)?;
        self.make_room(length(bytes));
        Ok(())
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
