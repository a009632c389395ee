//! Whether the disk has room: foreseen while there is still enough to let everybody out.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Set while the next segment cannot be made for want of room. The segments made ahead are the reserve:
/// cancels and settlement go on into them, new orders are refused.
#[derive(Debug, Default)]
pub struct Room {
    short: AtomicBool,
    /// Attempts to make a segment that were begun.
    begun: AtomicU64,
    /// The newest of them that found no room.
    failed: AtomicU64,
}

impl Room {
    /// Whether the journal is living on its reserve.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::Acquire)
    }

    /// Counts an attempt to make a segment; answers with its number.
    pub(super) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Attempts so far.
    pub(super) fn attempts(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// This attempt found no room.
    pub(super) fn fail(&self, attempt: u64) {
        self.failed.store(attempt, Ordering::Release);
    }

    /// The newest attempt that found no room; 0 = none.
    pub(super) fn newest_failure(&self) -> u64 {
        self.failed.load(Ordering::Acquire)
    }

    pub(super) fn found_short(&self, short: bool) {
        if self.short.swap(short, Ordering::AcqRel) != short {
            if short {
                tracing::error!(
                    "the disk is full: the journal lives on its reserve, only cancels get in"
                );
            } else {
                tracing::warn!("the disk has room again");
            }
        }
    }
}
