//! Whether the disk has room: foreseen while there is still enough to let everybody out.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set while the next segment cannot be made for want of room. The segments made ahead are the reserve:
/// cancels and settlement go on into them, new orders are refused.
#[derive(Debug, Default)]
pub struct Room {
    short: AtomicBool,
}

impl Room {
    /// Whether the journal is living on its reserve.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::Acquire)
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
