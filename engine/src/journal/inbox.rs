//! The bounded queue into the journal thread, and the hand-shake that wakes a sleeping one.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};

use crossbeam::queue::ArrayQueue;

use super::io::Waker;

struct Shared<E> {
    queue: ArrayQueue<E>,
    closed: AtomicBool,
    ended: AtomicBool,
    armed: AtomicBool,
    sleeper: OnceLock<Waker>,
}

/// The producer's end. One thread pushes; dropping it closes the queue.
pub struct Feeder<E>(Arc<Shared<E>>);

/// The journal thread's end.
pub struct Inbox<E>(Arc<Shared<E>>);

/// A queue for at most `capacity` entries, at least 1.
pub fn inbox<E>(capacity: usize) -> (Feeder<E>, Inbox<E>) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(capacity.max(1)),
        closed: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        armed: AtomicBool::new(false),
        sleeper: OnceLock::new(),
    });
    (Feeder(Arc::clone(&shared)), Inbox(shared))
}

impl<E> Feeder<E> {
    /// Never blocks.
    ///
    /// # Errors
    /// Gives the entry back if the queue is full or closed, or if the journal thread has ended.
    pub fn push(&self, entry: E) -> Result<(), E> {
        if self.0.closed.load(Ordering::Relaxed) || self.has_ended() {
            return Err(entry);
        }
        self.0.queue.push(entry)?;
        self.wake();
        Ok(())
    }

    /// The journal thread ends once everything pushed is durable. Later pushes are refused.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether the journal thread is gone, after an error or a close: nothing will become durable.
    pub fn has_ended(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }

    fn wake(&self) {
        // Not optional: without it the load below may pass the push before it, the thread may look
        // at an empty queue after it armed, and the entry lies there until the next one.
        fence(Ordering::SeqCst);
        if self.0.armed.load(Ordering::Relaxed)
            && self.0.armed.swap(false, Ordering::SeqCst)
            && let Some(sleeper) = self.0.sleeper.get()
        {
            sleeper();
        }
    }
}

impl<E> Drop for Feeder<E> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<E> Inbox<E> {
    pub(super) fn pop(&self) -> Option<E> {
        self.0.queue.pop()
    }

    /// Whether nothing more will be pushed. Read it before the last look into the queue.
    pub(super) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Names who is woken by a push while the journal thread has armed the door.
    pub(super) fn wakes(&self, sleeper: Waker) {
        // One journal thread per inbox, which says this once.
        self.0.sleeper.get_or_init(|| sleeper);
    }

    /// Whether something waits, or nothing more will come.
    pub(super) fn has_work(&self) -> bool {
        !self.0.queue.is_empty() || self.is_closed()
    }
}

/// What a backend needs to know of the inbox to sleep without missing a push.
pub trait Door {
    /// From now on a push wakes. Answers whether there is work already, in which case nobody is woken.
    fn arm(&self) -> bool;
    /// A push need not wake any more.
    fn disarm(&self);
}

impl<E> Door for Inbox<E> {
    fn arm(&self) -> bool {
        self.0.armed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if !self.has_work() {
            return false;
        }
        self.disarm();
        true
    }

    fn disarm(&self) {
        self.0.armed.store(false, Ordering::SeqCst);
    }
}

impl<E> Drop for Inbox<E> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
    }
}

impl<E> std::fmt::Debug for Feeder<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feeder")
            .field("waiting", &self.0.queue.len())
            .finish()
    }
}

impl<E> std::fmt::Debug for Inbox<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox")
            .field("waiting", &self.0.queue.len())
            .finish()
    }
}
