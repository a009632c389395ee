//! The few looks at the exchange's state that protection groups, switches, quotes and auctions need.

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
pub fn mmp_groups(exchange: &Exchange, account: AccountId) -> Vec<Group> {
    let row = exchange.account(account);
    row.map_or(&[][..], |row| &row.groups)
        .iter()
        .map(|group| Group {
            config: group.terms,
            frozen: group.frozen,
            until: group.until,
        })
        .collect()
}

/// Switches that are on: the exchange's, then firms', accounts' and sessions', each by number.
#[must_use]
pub fn kill_switches(exchange: &Exchange) -> Vec<SwitchScope> {
    exchange.kill_switches().collect()
}

/// Which quote an order is a side of, if any.
#[must_use]
pub fn quote_key(order: &Order) -> Option<QuoteKey> {
    order.quote
}

/// What the auction of a contract that is in a call would do now, as it was told last.
#[must_use]
pub fn auction(exchange: &Exchange, contract: InstrumentId) -> Option<AuctionChange> {
    exchange.indicative(contract)
}
