//! What happened to deliveries, capacity and destinations. Work is in hashes, exactly.

use bincode::{Decode, Encode};

use crate::{
    delivery::{CloseCause, MeterKind, Obligation, ObligationState, Shares},
    ids::{AccountId, CommodityId, DestinationId, DisputeId, InstrumentId, MeterId, ObligationId},
    units::{Lots, Minor, Nanos, Ticks},
};

/// Something happened to a delivery, or to what it needs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum DeliveryEvent {
    /// Rules of a commodity's deliveries changed.
    Rules(CommodityId),
    /// A meter was registered or retired.
    Meter(MeterId),
    /// What a seller can sell changed.
    Capacity(CapacityRow),
    /// A destination was made or changed.
    Destination(AccountId, DestinationId),
    /// State of an obligation.
    Obligation(ObligationRow),
    /// Metered work of an interval.
    Interval(IntervalRow),
    /// Money of an interval.
    Settlement(SettlementRow),
    /// A dispute was opened or decided.
    Dispute(DisputeRow),
}

/// A seller's capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CapacityRow {
    /// Seller.
    pub account: AccountId,
    /// Of what.
    pub commodity: CommodityId,
    /// Attested by enough attestors, in hashes per second.
    pub attested: u128,
    /// What may be sold of it.
    pub sellable: u128,
    /// Sold and obliged, at its peak over time.
    pub committed: u128,
    /// Open sell orders on top, at the peak of both.
    pub open: u128,
    /// When the first part of it lapses; 0 = nothing is attested.
    pub until: Nanos,
}

/// An obligation after the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ObligationRow {
    /// Which.
    pub id: ObligationId,
    /// Contract.
    pub instrument: InstrumentId,
    /// Owes hashes.
    pub seller: AccountId,
    /// Owes money.
    pub buyer: AccountId,
    /// How much.
    pub lots: Lots,
    /// Where it stands.
    pub state: ObligationState,
    /// Why it ended early.
    pub cause: Option<CloseCause>,
    /// Where the hashes go.
    pub destination: DestinationId,
    /// Owed over the window.
    pub owed: u128,
    /// Delivered or excused in settled intervals.
    pub delivered: u128,
    /// Capacity no longer covers it.
    pub uncovered: bool,
}

impl From<&Obligation> for ObligationRow {
    fn from(row: &Obligation) -> Self {
        Self {
            id: row.id,
            instrument: row.instrument,
            seller: row.seller,
            buyer: row.buyer,
            lots: Lots(row.lots),
            state: row.state,
            cause: row.cause,
            destination: row.destination,
            owed: row.hashes,
            delivered: row.counted,
            uncovered: row.uncovered,
        }
    }
}

/// One meter's word on one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct IntervalRow {
    /// Of which delivery.
    pub obligation: ObligationId,
    /// Owes hashes.
    pub seller: AccountId,
    /// Owes money.
    pub buyer: AccountId,
    /// Who measured.
    pub meter: MeterKind,
    /// Beginning of the interval.
    pub start: Nanos,
    /// End of what was measured.
    pub end: Nanos,
    /// Hashes expected until there.
    pub expected: u128,
    /// Hashes accepted.
    pub accepted: u128,
    /// Hashes of refused shares.
    pub rejected: u128,
    /// Accepted shares by difficulty.
    pub shares: Shares,
    /// Number of them.
    pub count: u64,
    /// Hashes missing by the test of shortfall; 0 = none.
    pub shortfall: u128,
    /// Final.
    pub committed: bool,
}

/// Money of one settled interval; what the buyer pays the seller receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SettlementRow {
    /// Number of the settlement.
    pub id: u64,
    /// Of which delivery.
    pub obligation: ObligationId,
    /// Contract.
    pub instrument: InstrumentId,
    /// Receives the payment.
    pub seller: AccountId,
    /// Pays it.
    pub buyer: AccountId,
    /// How much is delivered.
    pub lots: Lots,
    /// Beginning of the interval.
    pub start: Nanos,
    /// Hashes that count, excused ones included.
    pub delivered: u128,
    /// Hashes bought back.
    pub missing: u128,
    /// Hashes settled at the index.
    pub cashed: u128,
    /// For delivered hashes, at the contract price.
    pub payment: Minor,
    /// From seller to buyer for missing hashes, beyond the refund.
    pub charge: Minor,
    /// From seller to buyer under force majeure; negative = the other way.
    pub difference: Minor,
    /// The seller's fee.
    pub fee: Minor,
    /// Escrow that the buyer gets back.
    pub returned: Minor,
    /// Bond that is free again.
    pub bond_released: Minor,
    /// What the insurance fund had to add.
    pub insured: Minor,
    /// Index, in ticks of the contract.
    pub index: Ticks,
    /// Imbalance price, rounded to a tick for people.
    pub imbalance: Ticks,
}

/// A dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DisputeRow {
    /// Which.
    pub id: DisputeId,
    /// About which delivery.
    pub obligation: ObligationId,
    /// Owes hashes.
    pub seller: AccountId,
    /// Owes money.
    pub buyer: AccountId,
    /// Beginning of the interval.
    pub start: Nanos,
    /// Who objects; nobody = two meters differ.
    pub by: AccountId,
    /// Without a decision the interval settles then.
    pub until: Nanos,
    /// What was decided, in hashes.
    pub decided: Option<u128>,
}
