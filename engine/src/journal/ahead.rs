//! Has the next segments zero-written before the journal needs them, and holds them as its reserve.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};

use super::disk::Disk;
use super::error::JournalError;
use super::room::Room;
use super::segment;

/// How long a helper that found the disk full waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Where segments are made and what has been made.
struct Maker {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    bytes: u64,
    next: u64,
    room: Arc<Room>,
}

impl Maker {
    /// The next segment; None for want of room, which is said and may pass.
    fn make(&mut self, stop: &AtomicBool) -> Result<Option<PathBuf>, JournalError> {
        let attempt = self.room.begin();
        match segment::prepare(&*self.disk, &self.dir, self.next, self.bytes, stop) {
            Ok(path) => {
                self.next += 1;
                self.room.found_short(false);
                Ok(Some(path))
            }
            Err(JournalError::Io { source, .. }) if source.kind() == ErrorKind::StorageFull => {
                // What was begun takes room that others may need.
                segment::remove_unfinished(&*self.disk, &self.dir)?;
                self.room.found_short(true);
                self.room.fail(attempt);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}

/// Segments that are ready, in order.
pub(super) enum Ahead {
    /// A helper thread makes them.
    Helper(Helper),
    /// Made by whoever drives the journal by hand, one thread in all.
    ByHand { maker: Box<MakerByHand> },
}

/// See [`Ahead::ByHand`].
pub(super) struct MakerByHand {
    maker: Maker,
    reserve: usize,
    ready: VecDeque<PathBuf>,
}

/// The helper thread. Dropping it ends the thread and waits for it, so that nothing writes to the folder
/// any more.
pub(super) struct Helper {
    dir: PathBuf,
    ready: Option<Receiver<Result<PathBuf, JournalError>>>,
    room: Arc<Room>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Keeps `reserve` segments ready from number `first` on. After an error there are no more.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        first: u64,
        bytes: u64,
        reserve: usize,
        room: Arc<Room>,
        by_hand: bool,
    ) -> Self {
        let mut maker = Maker {
            disk,
            dir,
            bytes,
            next: first,
            room: Arc::clone(&room),
        };
        if by_hand {
            let maker = Box::new(MakerByHand {
                maker,
                reserve,
                ready: VecDeque::new(),
            });
            return Self::ByHand { maker };
        }
        let dir = maker.dir.clone();
        // The thread holds one more in its hand.
        let (made, ready) = bounded(reserve.saturating_sub(1));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || help(&mut maker, &made, &stopped));
        Self::Helper(Helper {
            dir,
            ready: Some(ready),
            room,
            stop,
            thread: Some(thread),
        })
    }

    /// Makes what is missing in the reserve, where nobody else does.
    pub(super) fn tend(&mut self) -> Result<(), JournalError> {
        let Self::ByHand { maker } = self else {
            return Ok(());
        };
        while maker.ready.len() < maker.reserve {
            match maker.maker.make(&AtomicBool::new(false))? {
                Some(path) => maker.ready.push_back(path),
                None => break,
            }
        }
        Ok(())
    }

    /// The next segment; waits for it if the helper is behind.
    ///
    /// # Errors
    /// [`JournalError::DiskFull`] if the reserve is used up and the disk has no room for another.
    pub(super) fn take(&mut self) -> Result<PathBuf, JournalError> {
        match self {
            Self::ByHand { maker } => match maker.ready.pop_front() {
                Some(path) => Ok(path),
                None => (maker.maker.make(&AtomicBool::new(false))?).ok_or_else(|| {
                    JournalError::DiskFull {
                        dir: maker.maker.dir.clone(),
                    }
                }),
            },
            Self::Helper(helper) => helper.take(),
        }
    }
}

impl Helper {
    fn take(&self) -> Result<PathBuf, JournalError> {
        let ready = self.ready.as_ref().ok_or(JournalError::HelperGone)?;
        // Room may have come back since the helper last looked: it looks again now, and only an attempt
        // that begins after this one counts.
        let before = self.room.attempts();
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        loop {
            match ready.recv_timeout(LOOK_AGAIN) {
                Ok(segment) => return segment,
                Err(crossbeam::channel::RecvTimeoutError::Disconnected) => {
                    return Err(JournalError::HelperGone);
                }
                Err(crossbeam::channel::RecvTimeoutError::Timeout)
                    if self.room.newest_failure() > before =>
                {
                    let dir = self.dir.clone();
                    return Err(JournalError::DiskFull { dir });
                }
                Err(crossbeam::channel::RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

fn help(maker: &mut Maker, made: &Sender<Result<PathBuf, JournalError>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let segment = match maker.make(stop) {
            Ok(Some(path)) => Ok(path),
            Ok(None) => {
                std::thread::park_timeout(LOOK_AGAIN);
                continue;
            }
            Err(error) => {
                tracing::error!(%error, "cannot prepare the next segment");
                Err(error)
            }
        };
        let failed = segment.is_err();
        if made.send(segment).is_err() || failed {
            return;
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.ready = None;
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has no result, and if it panicked that is on stderr already.
            let _ = thread.join();
        }
    }
}
