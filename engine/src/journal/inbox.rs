//! The bounded queue into the journal thread, and the hand-shake that wakes a sleeping one.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use crossbeam::queue::ArrayQueue;

struct Shared<E> {
    queue: ArrayQueue<E>,
    closed: AtomicBool,
    ended: AtomicBool,
    armed: AtomicBool,
    sleeper: OnceLock<Thread>,
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
            sleeper.unpark();
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

    /// Sleeps until there is something to do, but no longer than `limit`. Answers whether there is.
    pub(super) fn wait(&self, limit: Option<Duration>) -> bool {
        self.0.sleeper.get_or_init(std::thread::current);
        // Two halves: a wake-up left over from earlier may end one of them at once.
        for _ in 0..2 {
            self.0.armed.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            if !self.has_work() {
                match limit {
                    Some(limit) => std::thread::park_timeout(limit / 2),
                    None => std::thread::park(),
                }
            }
            self.0.armed.store(false, Ordering::SeqCst);
            if self.has_work() {
                return true;
            }
        }
        false
    }

    fn has_work(&self) -> bool {
        !self.0.queue.is_empty() || self.is_closed()
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
