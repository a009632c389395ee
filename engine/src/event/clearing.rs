//! What clearing did to an account.

use bincode::{Decode, Encode};

use crate::{
    ids::{AccountId, InstrumentId},
    units::{Decimal, Lots, Minor, Nanos, TickLots},
};

/// A step of clearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ClearingEvent {
    /// A position became positions in other contracts.
    Cascaded(Cascaded),
    /// A day of a position was settled against the index.
    DaySettled(DaySettled),
}

/// A position became one of the same size and cost in each contract of its cascade, without any cash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Cascaded {
    /// Whose.
    pub account: AccountId,
    /// The contract that ended; its terms say what it became.
    pub instrument: InstrumentId,
    /// Signed.
    pub net: Lots,
    /// Signed cost of those lots, per day of delivery.
    pub cost: TickLots,
}

/// One day of a forward's window was settled in cash: (fixing - cost) x lots x that day. A row for each
/// account that held a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DaySettled {
    /// Number of the settlement, from 1, over the whole exchange.
    pub settlement: u64,
    /// Whose.
    pub account: AccountId,
    /// Of which contract.
    pub instrument: InstrumentId,
    /// Midnight that began the day.
    pub day: Nanos,
    /// Signed.
    pub net: Lots,
    /// The day's fixing.
    pub fixing: Decimal,
    /// Its round.
    pub round: u64,
    /// Paid for the day; positive = received.
    pub paid: Minor,
    /// Paid for the days that are left, by their new mark.
    pub variation: Minor,
}
