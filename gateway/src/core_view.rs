//! The few looks at the exchange's state that protection groups, switches, quotes and auctions need.
//!
//! They stand together because the core's side of them is young: one file to read next to
//! `engine::exchange`.

use engine::{
    command::{MmpGroup, SwitchScope},
    event::{AuctionChange, QuoteKey},
    exchange::Exchange,
    ids::{AccountId, InstrumentId},
    order::Order,
    units::Nanos,
};

/// A protection group as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// As set.
    pub config: MmpGroup,
    /// Frozen now.
    pub frozen: bool,
    /// When it thaws; 0 while frozen = at a reset.
    pub until: Nanos,
}

/// Protection groups of an account, by number.
#[must_use]
pub fn mmp_groups(_exchange: &Exchange, _account: AccountId) -> Vec<Group> {
    // The core refuses SetMmpGroup so far: there are none.
    Vec::new()
}

/// Switches that are on.
#[must_use]
pub fn kill_switches(_exchange: &Exchange) -> Vec<SwitchScope> {
    // The core refuses SetKillSwitch so far: none is on.
    Vec::new()
}

/// Which quote an order is a side of, if any.
#[must_use]
pub fn quote_key(_order: &Order) -> Option<QuoteKey> {
    // The core refuses mass quotes so far: no order is one.
    None
}

/// What the auction of a contract that is in a call would do now.
#[must_use]
pub fn auction(_exchange: &Exchange, _contract: InstrumentId) -> Option<AuctionChange> {
    // The core collects no orders in a call so far: nothing crosses.
    None
}
