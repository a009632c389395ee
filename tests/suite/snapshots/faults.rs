//! A disk that refuses any one operation, or lies: an older snapshot is still there, and nothing that
//! was not read back counts.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use engine::{
    journal::{Disk, DiskFile, IoChoice, JournalError, JournalIo, Lock, RealDisk},
    snapshots::{Flaw, SnapshotError, write},
};

use super::files::story;

/// The real disk, of which one operation fails, or one write changes a byte.
#[derive(Clone, Debug, Default)]
struct Faulty {
    done: Arc<AtomicU64>,
    /// The operation that fails, counted from 1.
    fails: u64,
    /// Writes change their last byte.
    lies: bool,
}

impl Faulty {
    fn step(&self) -> io::Result<()> {
        match self.done.fetch_add(1, Ordering::Relaxed) + 1 == self.fails {
            true => Err(io::Error::other("the disk is gone")),
            false => Ok(()),
        }
    }

    fn file(&self, file: io::Result<Box<dyn DiskFile>>) -> io::Result<Box<dyn DiskFile>> {
        let (disk, file) = (self.clone(), file?);
        Ok(Box::new(FaultyFile { disk, file }))
    }
}

impl Disk for Faulty {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        self.step().and_then(|()| RealDisk.make_dir(dir))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.step().and_then(|()| RealDisk.list(dir))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file(self.step().and_then(|()| RealDisk.create(path)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file(self.step().and_then(|()| RealDisk.open(path)))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.file(self.step().and_then(|()| RealDisk.open_to_write(path)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step().and_then(|()| RealDisk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step().and_then(|()| RealDisk.remove(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.step().and_then(|()| RealDisk.sync_dir(dir))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        RealDisk.lock(path)
    }

    fn journal_io(&self, choice: IoChoice) -> Result<Box<dyn JournalIo>, JournalError> {
        RealDisk.journal_io(choice)
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: Faulty,
    file: Box<dyn DiskFile>,
}

impl DiskFile for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        self.disk.step().and_then(|()| self.file.length())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let read = |()| self.file.read_exact_at(bytes, offset);
        self.disk.step().and_then(read)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.step()?;
        let mut written = bytes.to_vec();
        if self.disk.lies && offset > 0 {
            written.last_mut().into_iter().for_each(|last| *last ^= 1);
        }
        self.file.write_all_at(&written, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.step().and_then(|()| self.file.sync())
    }
}

#[test]
fn whichever_operation_fails_the_older_snapshot_is_there_and_nothing_is_told() {
    let story = story("refuses");
    let dir = story.folder.dir();
    let [(old, old_place), _, (new, new_place)] = &story.moments[..] else {
        panic!("three moments");
    };
    write(&RealDisk, &dir, old, old_place, &[]).expect("written");
    let mut failed = 0;
    loop {
        let disk = Faulty {
            fails: failed + 1,
            ..Faulty::default()
        };
        match write(&disk, &dir, new, new_place, &[]) {
            Ok(_) => break,
            Err(error) => {
                let words = error.to_string();
                assert!(words.contains("the disk is gone"), "{words}");
                assert_eq!(
                    disk.done.load(Ordering::Relaxed),
                    failed + 1,
                    "nothing is retried"
                );
                // Before the rename the old one, behind it the new one, which is whole.
                let loaded = story.folder.newest().loaded.expect("one of the two");
                assert!([old.seq(), new.seq()].contains(&loaded.exchange.seq()));
                let _ = std::fs::remove_file(story.folder.path(new.seq()));
            }
        }
        failed += 1;
    }
    assert!(failed > 8, "{failed} operations");
    story.expect(500, 0);
}

#[test]
fn a_disk_that_keeps_other_bytes_is_found_out() {
    let story = story("lies");
    let disk = Faulty {
        lies: true,
        ..Faulty::default()
    };
    let (exchange, position) = &story.moments[0];
    let error = write(&disk, &story.folder.dir(), exchange, position, &[]).expect_err("found out");
    let words = error.to_string();
    let hash = matches!(
        &error,
        SnapshotError::NotWritten {
            flaw: Flaw::StateHash,
            ..
        }
    );
    assert!(hash && words.contains("the disk is suspect"), "{words}");
    assert!(story.folder.newest().loaded.is_none());
}
