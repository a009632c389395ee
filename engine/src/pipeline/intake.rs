//! The way in: a bounded, lock-free queue that says no instead of growing.
//!
//! Room at its end is reserved for cancels and for whoever stops others (kill switches, halts, suspensions),
//! so that a flood of orders never keeps anybody from getting
//! out. It is one queue, not two: a cancel never overtakes the order before it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering, fence},
};

use crossbeam::{
    queue::ArrayQueue,
    sync::{Parker, Unparker},
};

use super::Settings;
use crate::{command::Command, journal::Room};

/// Sessions that find room for their cancels at the same time, however many each of them sends.
const SHARES: usize = 64;

/// A command and who waits for the answer.
#[derive(Debug)]
pub struct Submission<R> {
    /// What is asked.
    pub command: Command,
    /// Handed back with the events, once durable.
    pub reply: Option<R>,
}

/// Why a command did not get in. It had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The queue is full; try again later.
    Overloaded,
    /// The journal's disk is full: only what takes risk away gets in until there is room again.
    DiskFull,
    /// The exchange is stopping.
    Stopped,
}

struct Shared<R> {
    queue: ArrayQueue<Submission<R>>,
    order_room: usize,
    disk: Arc<Room>,
    closed: AtomicBool,
    asleep: AtomicBool,
    unparker: Unparker,
}

/// The senders' end. Cheap to clone.
pub struct Intake<R> {
    shared: Arc<Shared<R>>,
}

impl<R> std::fmt::Debug for Intake<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Intake")
            .field("depth", &self.depth())
            .finish()
    }
}

impl<R> Clone for Intake<R> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

/// The core's end.
pub(super) struct Queue<R> {
    shared: Arc<Shared<R>>,
    parker: Parker,
}

pub(super) fn channel<R>(settings: Settings, disk: Arc<Room>) -> (Intake<R>, Queue<R>) {
    let parker = Parker::new();
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(settings.queue.max(2)),
        order_room: settings.queue.saturating_sub(settings.cancel_room).max(1),
        disk,
        closed: AtomicBool::new(false),
        asleep: AtomicBool::new(false),
        unparker: parker.unparker().clone(),
    });
    (
        Intake {
            shared: shared.clone(),
        },
        Queue { shared, parker },
    )
}

impl<R> Intake<R> {
    /// Hands a command to the core, or says why not. Never waits.
    ///
    /// # Errors
    /// Full (for cancels only when the reserved room is full too), out of disk space, or stopping.
    pub fn submit(&self, command: Command, reply: Option<R>) -> Result<(), Refusal> {
        let shared = &*self.shared;
        if shared.closed.load(Ordering::Acquire) {
            return Err(Refusal::Stopped);
        }
        if shared.disk.is_short() && !command.fits_reserve() {
            return Err(Refusal::DiskFull);
        }
        if !command.is_cancel() && shared.queue.len() >= shared.order_room {
            return Err(Refusal::Overloaded);
        }
        shared
            .queue
            .push(Submission { command, reply })
            .map_err(|_| Refusal::Overloaded)?;
        // The push must be visible before the sleeper is looked at, or a wake-up could be lost.
        fence(Ordering::SeqCst);
        if shared.asleep.load(Ordering::Relaxed) && shared.asleep.swap(false, Ordering::AcqRel) {
            shared.unparker.unpark();
        }
        Ok(())
    }

    /// How many cancels of one session may wait, if orders have filled their room: a flood of its own
    /// cancels must not take the way out of everybody else. None while there is room.
    #[must_use]
    pub fn cancel_share(&self) -> Option<usize> {
        let shared = &*self.shared;
        let crowded = shared.queue.len() >= shared.order_room;
        let cancels = shared.queue.capacity() - shared.order_room;
        crowded.then_some((cancels / SHARES).max(1))
    }

    /// Commands that wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.shared.queue.len()
    }

    /// Drops what waits, after a fault: nobody will work it off, and who waits for it must not wait for
    /// ever. None of it was numbered.
    pub(super) fn abandon(&self) {
        while self.shared.queue.pop().is_some() {}
    }

    /// Refuses everything from here on; what got in is still worked off.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.unparker.unpark();
    }
}

impl<R> Queue<R> {
    pub(super) fn pop(&self) -> Option<Submission<R>> {
        self.shared.queue.pop()
    }

    pub(super) fn has_some(&self) -> bool {
        !self.shared.queue.is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Sleeps until something comes in, the door closes, or the time is over.
    pub(super) fn sleep(&self, at_most: std::time::Duration) {
        self.shared.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.shared.queue.is_empty() && !self.is_closed() {
            self.parker.park_timeout(at_most);
        }
        self.shared.asleep.store(false, Ordering::Relaxed);
    }
}
