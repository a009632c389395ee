//! What clearing did to an account.

use bincode::{Decode, Encode};

use crate::{
    command::Side,
    ids::{AccountId, AssetId, InstrumentId},
    units::{Decimal, Lots, Minor, Nanos, TickLots, Ticks},
};

/// A step of clearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ClearingEvent {
    /// A position became positions in other contracts.
    Cascaded(Cascaded),
    /// A day of a position was settled against the index.
    DaySettled(DaySettled),
    /// An account fell below its initial margin: it should bring money or close.
    Called(Health),
    /// It has enough again.
    CallMet(Health),
    /// It fell below its maintenance margin: its orders in contracts of the asset are cancelled, then its
    /// positions closed.
    LiquidationBegan(Health),
    /// It has enough again, or nothing is left of its positions.
    LiquidationEnded(Health),
    /// A position that no order closed is offered to the makers.
    Offered(Offered),
    /// Lots of a position changed hands outside the book; one for each side.
    Moved(Moved),
    /// The insurance fund paid what an account could not.
    Covered(Covered),
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

/// What an account has in an asset against what it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Health {
    /// Whose.
    pub account: AccountId,
    /// Of which asset.
    pub asset: AssetId,
    /// Cash less what is held, with the results since the last fixing, gains included.
    pub equity: Minor,
    /// Maintenance margin of its positions.
    pub maintenance: Minor,
    /// What it lacks for the initial margin of positions and orders; 0 = nothing.
    pub missing: Minor,
}

/// A position is offered to the makers, sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Offered {
    /// Number of the offer.
    pub offer: u64,
    /// Whose position; told to nobody else.
    pub account: AccountId,
    /// In which contract.
    pub instrument: InstrumentId,
    /// Signed.
    pub net: Lots,
    /// Worst price that a bid may name.
    pub worst: Ticks,
    /// When the bids are opened.
    pub closes: Nanos,
}

/// Why lots changed hands outside the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Moving {
    /// A maker's bid in this offer won.
    Offer(u64),
    /// The backstop took what no maker wanted.
    Backstop,
    /// The other side's position was closed, by its place in the queue.
    Deleveraged,
    /// The insurance fund stands in, because the other side hedges real machines.
    Fund,
}

/// One side of lots that changed hands outside the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Moved {
    /// Who.
    pub account: AccountId,
    /// In which contract.
    pub instrument: InstrumentId,
    /// What it did.
    pub side: Side,
    /// How many.
    pub lots: Lots,
    /// At which price.
    pub price: Ticks,
    /// Position after it.
    pub net: Lots,
    /// Why.
    pub why: Moving,
}

/// The insurance fund paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Covered {
    /// For whom.
    pub account: AccountId,
    /// In which asset.
    pub asset: AssetId,
    /// How much.
    pub amount: Minor,
    /// What the fund has after it; negative = its debt.
    pub fund: Minor,
}
