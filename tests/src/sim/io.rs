//! The journal's write path on the simulated disk: operations answer when they are due, in any order.

use std::{io, path::Path, time::Duration};

use engine::journal::{Backend, Buffer, Done, Door, JournalIo, Waker, Woken};

use super::disk::{FileId, Flying, Lie, Op, SimDisk};

/// See [`JournalIo`].
#[derive(Debug)]
pub(super) struct SimIo {
    disk: SimDisk,
    file: Option<FileId>,
    /// When something last answered or began, microseconds.
    busy: u64,
}

impl SimIo {
    pub(super) fn new(disk: SimDisk) -> Self {
        Self {
            disk,
            file: None,
            busy: 0,
        }
    }

    /// One of those that are due.
    fn take_due(&mut self) -> Option<Flying> {
        let mut state = self.disk.state();
        let now = state.now;
        // After the end of the machine everything answers at once, with an error.
        let dead = state.is_dead();
        let due = |flying: &Flying| flying.due <= now || dead;
        let count = state.flying.iter().filter(|flying| due(flying)).count();
        if count == 0 {
            return None;
        }
        let nth = state.random.between(0, count as i64 - 1) as usize;
        let places = state.flying.iter().enumerate();
        let place = places.filter(|(_, flying)| due(flying)).nth(nth)?.0;
        self.busy = now;
        Some(state.flying.remove(place))
    }

    fn answer(&self, flying: Flying) -> Option<Done> {
        let mut state = self.disk.state();
        match flying.what {
            Op::Write {
                block_seq,
                block,
                offset,
            } => {
                let result = state.write(flying.file, block.block(), offset);
                Some(Done::Write {
                    block_seq,
                    result,
                    block,
                })
            }
            Op::Sync { covers } => {
                if state.manners.lie == Lie::SyncAnswersEarly {
                    let due = state.now + 40 * state.latency();
                    state.flying.push(Flying {
                        file: flying.file,
                        due,
                        what: Op::LateSync { covers },
                    });
                    return Some(Done::Sync(Ok(())));
                }
                let result = state.sync(flying.file, covers);
                if state.manners.lie == Lie::SyncErrorSwallowed && !state.is_dead() {
                    return Some(Done::Sync(Ok(())));
                }
                Some(Done::Sync(result))
            }
            Op::LateSync { covers } => {
                state.store(flying.file, covers);
                None
            }
        }
    }

    fn begin(&mut self, what: Op) {
        let mut state = self.disk.state();
        let due = state.now + state.latency();
        self.busy = state.now;
        let file = self.file.unwrap_or_default();
        state.flying.push(Flying { file, due, what });
    }
}

impl JournalIo for SimIo {
    fn backend(&self) -> Backend {
        Backend::Other
    }

    fn waker(&self) -> Waker {
        // One thread in all: nobody sleeps.
        Box::new(|| {})
    }

    fn next_segment(&mut self, path: &Path) -> io::Result<()> {
        self.file = Some(self.disk.open_segment(path)?);
        Ok(())
    }

    fn write(&mut self, block_seq: u64, block: Buffer, offset: u64) {
        self.begin(Op::Write {
            block_seq,
            block,
            offset,
        });
    }

    fn sync(&mut self) {
        let file = self.file.unwrap_or_default();
        // Only what has answered by now.
        let covers = self.disk.state().newest(file);
        self.begin(Op::Sync { covers });
    }

    fn answered(&mut self) -> Option<Done> {
        while let Some(flying) = self.take_due() {
            let done = self.answer(flying);
            if done.is_some() {
                return done;
            }
        }
        None
    }

    fn wait(&mut self, door: Option<&dyn Door>, limit: Option<Duration>) -> Woken {
        if let Some(done) = self.answered() {
            return Woken::Done(done);
        }
        if let Some(door) = door {
            if door.arm() {
                return Woken::Work;
            }
            door.disarm();
        }
        let now = self.disk.state().now;
        match limit {
            Some(limit) if u128::from(now - self.busy) >= limit.as_micros() => Woken::Idle,
            _ => Woken::Work,
        }
    }
}
