//! What a bare order book must do to be measured.

use crate::flows::Message;

pub mod hashpit;

/// What a book says, in the order in which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The order is in.
    Ack {
        /// Which.
        id: u32,
    },
    /// Two orders trade.
    Fill {
        /// The incoming one.
        taker: u32,
        /// The resting one.
        maker: u32,
        /// The resting one's price.
        price: i64,
        /// How much.
        lots: u32,
    },
    /// A resting order is gone by request, or the rest of a crossing is not needed.
    Cancelled {
        /// Which.
        id: u32,
    },
    /// The message had no effect: an id that is taken, an order that does not live, no quantity.
    Rejected {
        /// Which id it named.
        id: u32,
    },
}

const _: () = assert!(
    size_of::<Report>() <= 64,
    "a report is a cache line at most"
);

/// What a book may lay out before the clock starts.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Contracts.
    pub books: usize,
    /// Ids lie below this.
    pub ids: usize,
    /// Most orders that live at once.
    pub live: usize,
    /// Lowest and highest price at which an order is entered.
    pub prices: (i64, i64),
}

/// One thread's order books.
pub trait BareBook {
    /// Applies one message; appends what happened.
    fn apply(&mut self, message: &Message, out: &mut Vec<Report>);

    /// Applies messages in order. A book that can overlap their cache misses does it here.
    fn apply_batch(&mut self, batch: &[Message], out: &mut Vec<Report>) {
        for message in batch {
            self.apply(message, out);
        }
    }
}
