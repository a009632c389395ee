//! What market makers send beyond single orders: batches, mass quotes, protection groups.

use bincode::{Decode, Encode};

use super::{Cancel, Origin, Place, Replace};
use crate::{
    ids::{AccountId, InstrumentId, ProductId},
    units::{Lots, Ticks},
};

/// What a batch does about a refused item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum BatchPolicy {
    /// Goes on.
    BestEffort,
    /// Skips the rest.
    StopOnReject,
    /// Looks at every item first; one refusal and nothing runs.
    AllOrNoneValidate,
}

/// One step of a batch. The batch's origin is everybody's; each item's own is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum BatchItem {
    /// Enters an order.
    Place(Place),
    /// Changes an order.
    Replace(Replace),
    /// Cancels an order.
    Cancel(Cancel),
}

/// Order commands that run back to back, with nobody else's in between.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Batch {
    /// From whom.
    pub origin: Origin,
    /// About refusals.
    pub policy: BatchPolicy,
    /// In this order; at most [`crate::limits::BATCH_ITEMS`].
    pub items: Vec<BatchItem>,
}

/// One side of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QuoteSide {
    /// At this price or better.
    pub price: Ticks,
    /// Quantity from now on; 0 = pull this side.
    pub lots: Lots,
}

/// One rung of a two-sided ladder; a side that is `None` stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QuoteEntry {
    /// Contract.
    pub instrument: InstrumentId,
    /// Rung, below [`crate::limits::QUOTE_SLOTS`].
    pub slot: u8,
    /// Buy side.
    pub bid: Option<QuoteSide>,
    /// Sell side.
    pub ask: Option<QuoteSide>,
}

/// Refreshes quotes, whose key is (protection group, contract, slot).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MassQuote {
    /// From whom; a session.
    pub origin: Origin,
    /// Echoed.
    pub quote_id: i64,
    /// Protection group of the account.
    pub mmp_group: u16,
    /// At most [`crate::limits::QUOTE_ENTRIES`].
    pub entries: Vec<QuoteEntry>,
    /// Name the orders of accepted sides.
    pub report_order_ids: bool,
}

/// Ends a freeze.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResetMmp {
    /// From whom.
    pub origin: Origin,
    /// Protection group of the account.
    pub mmp_group: u16,
}

/// Market maker protection. A limit of 0 is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MmpGroup {
    /// Whose.
    pub account: AccountId,
    /// Its number, from 1.
    pub mmp_group: u16,
    /// Covers the contracts of this product.
    pub product: ProductId,
    /// Rolling window, in milliseconds.
    pub window_ms: i32,
    /// Length of a freeze, in milliseconds; 0 = until reset.
    pub frozen_ms: i32,
    /// Sum of filled lots times hours of the delivery window.
    pub quantity_limit: i64,
    /// The same with sign.
    pub net_limit: i64,
    /// Value of fills, in minor units.
    pub notional_limit: i64,
    /// Number of fills.
    pub fill_limit: i32,
    /// Distinct contracts filled.
    pub contracts_limit: i32,
    /// Largest quote side.
    pub max_quote_lots: Lots,
}
