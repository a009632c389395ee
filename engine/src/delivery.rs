//! Delivery: what is owed after a physically settled contract stopped trading, how it is measured and
//! what it costs to miss. Statistics and prices as pure functions; the records the exchange keeps.

use bincode::{Decode, Encode};

use crate::{
    ids::{AccountId, CommodityId, DestinationId, DisputeId, InstrumentId, MeterId, ObligationId},
    units::{Minor, Nanos, Ppm, SECOND},
};

pub mod price;
pub mod statistics;

pub use statistics::Shares;

/// How a commodity's spot blocks are delivered; copied into each obligation when it begins, so that a
/// change concerns later ones only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rules {
    /// Step of metering and settlement, in seconds; a shorter rest of a window is a step of its own.
    pub interval_seconds: u32,
    /// Commercial tolerance τ, in hundredths of a percent.
    pub tolerance_bp: u32,
    /// k of the imbalance price.
    pub surcharge: Ppm,
    /// Of what a seller is paid.
    pub fee: Ppm,
    /// Sellers need attested capacity.
    pub capacity_duty: bool,
    /// Part of the attested hashrate that cannot be sold.
    pub reserve: Ppm,
    /// Attestors that must agree: k of n.
    pub attestors: u8,
    /// From the end of an interval to its settlement, in seconds: readings and objections come until then.
    pub settle_after_seconds: u32,
    /// How long a dispute holds an interval's money, in seconds.
    pub dispute_seconds: u32,
    /// Time of an interval for which a dead destination excuses nothing: one probe interval, in seconds.
    pub grace_seconds: u32,
    /// Short intervals in a row that end a delivery; 0 = never.
    pub failures: u8,
}

/// Who measured, in order of trust; numbered as `admin.v1.MeterKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum MeterKind {
    /// A Stratum proxy run by the exchange.
    ExchangeProxy,
    /// The buyer's pool.
    Pool,
    /// The buyer's own.
    Buyer,
    /// The seller's own.
    Seller,
}

/// How a pool is spoken to; numbered as `delivery.v1.StratumProtocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "the protocol's own name")]
pub enum StratumProtocol {
    V1,
    V1Tls,
    V2,
}

/// A registered meter or attestor.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Meter {
    /// Its number.
    pub id: MeterId,
    /// Its name.
    pub name: String,
    /// How far it is trusted.
    pub kind: MeterKind,
    /// Ed25519.
    pub public_key: [u8; 32],
    /// It is one of the n attestors.
    pub attests: bool,
    /// Counts no more.
    pub retired: bool,
}

/// An attestor's newest word on a site.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Attestation {
    /// Seller.
    pub account: AccountId,
    /// Of what.
    pub commodity: CommodityId,
    /// Name of the site.
    pub site: String,
    /// Attestor.
    pub meter: MeterId,
    /// Terahashes per second.
    pub attested_ths: i64,
    /// Counts until then.
    pub valid_until: Nanos,
    /// When it came.
    pub at: Nanos,
    /// Country code.
    pub jurisdiction: String,
    /// Kind of machines.
    pub machine_class: String,
}

/// A buyer's place for hashes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Destination {
    /// Its number.
    pub id: DestinationId,
    /// Whose.
    pub account: AccountId,
    /// For people.
    pub label: String,
    /// Of what.
    pub commodity: CommodityId,
    /// `host:port`.
    pub address: String,
    /// Name the shares are credited to.
    pub worker: String,
    /// How the pool is spoken to.
    pub protocol: StratumProtocol,
    /// Takes obligations that name no other.
    pub account_default: bool,
    /// The newest probe passed.
    pub usable: bool,
    /// Difficulty assigned in the probe; 0 = unknown.
    pub share_difficulty: i64,
}

/// Life of an obligation; numbered as `delivery.v1.ObligationState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ObligationState {
    /// The window lies ahead, no usable destination.
    Matched,
    /// The window lies ahead, a destination waits.
    Ready,
    /// The window is open.
    Delivering,
    /// The window is over; not all of it is settled.
    Completed,
    /// Over.
    Settled,
    /// The running interval looks short, or the last one was.
    Short,
    /// The buyer's destination fails: time counts as delivered.
    SuspendedBuyer,
    /// Force majeure: cash at the index.
    SuspendedForceMajeure,
    /// An interval is in dispute.
    Disputed,
    /// Over before its time.
    ClosedEarly,
}

/// Why a delivery ended early; numbered as `delivery.v1.EarlyCloseCause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum CloseCause {
    /// Too many short intervals in a row.
    UnderDelivery,
    /// The same, without a single reading.
    ShareTimeout,
}

/// What one meter says about one interval so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Reading {
    /// Meter.
    pub meter: MeterId,
    /// How far it is trusted.
    pub kind: MeterKind,
    /// End of what was measured.
    pub end: Nanos,
    /// Accepted shares.
    pub shares: Shares,
    /// Number of them.
    pub count: u64,
    /// Difficulty of refused shares.
    pub rejected_difficulty: u64,
    /// Number of them.
    pub rejected_shares: u64,
    /// Seconds without a destination.
    pub down_seconds: u32,
    /// Blocks found.
    pub blocks_found: u32,
    /// Final.
    pub committed: bool,
}

/// One step of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Interval {
    /// Inclusive.
    pub start: Nanos,
    /// Exclusive.
    pub end: Nanos,
    /// One for each meter, by kind and number.
    pub readings: Vec<Reading>,
    /// Newest dispute about it.
    pub dispute: DisputeId,
}

impl Interval {
    /// Length, in nanoseconds.
    #[must_use]
    pub fn span(&self) -> i64 {
        self.end.0 - self.start.0
    }
}

/// A duty to deliver: a seller's lots for one buyer in one contract.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Obligation {
    /// Its number.
    pub id: ObligationId,
    /// Contract it comes from.
    pub instrument: InstrumentId,
    /// Of what.
    pub commodity: CommodityId,
    /// Owes hashes.
    pub seller: AccountId,
    /// Owes money.
    pub buyer: AccountId,
    /// How much.
    pub lots: i64,
    /// Hashes per second.
    pub rate: u128,
    /// Hashes owed over the window.
    pub hashes: u128,
    /// Contract price, as money for all of it.
    pub value: Minor,
    /// As they were when it began.
    pub rules: Rules,
    /// Where it stands.
    pub state: ObligationState,
    /// Why it ended early.
    pub cause: Option<CloseCause>,
    /// Where the hashes go.
    pub destination: DestinationId,
    /// Since when there is a usable destination; 0 = there is none.
    pub reachable_from: Nanos,
    /// The seller's attested capacity no longer covers what it sold.
    pub uncovered: bool,
    /// Steps, in order; empty once it is over.
    pub intervals: Vec<Interval>,
    /// First step that is not settled.
    pub next: u32,
    /// Short steps in a row.
    pub failures: u8,
    /// The newest settled step was short.
    pub was_short: bool,
    /// All steps of that row had no reading.
    pub silent: bool,
    /// Spans of force majeure; the last one's end is 0 while it lasts.
    pub suspensions: Vec<(Nanos, Nanos)>,
    /// Hashes of settled steps that were to be delivered.
    pub due: u128,
    /// Of those, delivered or excused, surplus within the tolerance included.
    pub counted: u128,
    /// Of those, bought back at the imbalance price.
    pub bought: u128,
    /// Of those, paid.
    pub paid: u128,
    /// Hashes of settled steps under force majeure.
    pub cashed: u128,
    /// Paid to the seller so far.
    pub paid_money: Minor,
    /// Returned to the buyer so far.
    pub returned: Minor,
    /// Still held of the buyer's money.
    pub escrow: Minor,
    /// Still held of the seller's.
    pub bond: Minor,
    /// Its settlements so far, with the journal position of each.
    pub settlements: Vec<(crate::event::SettlementRow, u64)>,
    /// When it looks at itself again; 0 = it is over.
    pub timer: Nanos,
}

impl Obligation {
    /// Whether anything is still to come.
    #[must_use]
    pub fn lives(&self) -> bool {
        !matches!(
            self.state,
            ObligationState::Settled | ObligationState::ClosedEarly
        )
    }

    /// Hashes of a span of so many nanoseconds, rounded down.
    #[must_use]
    pub fn hashes_of(&self, nanos: i64) -> u128 {
        let nanos = u128::from(nanos.max(0).unsigned_abs());
        self.rate.saturating_mul(nanos) / u128::from(SECOND.unsigned_abs())
    }

    /// Whether force majeure lasts.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        let last = self.suspensions.last();
        last.is_some_and(|(_, until)| *until == Nanos::ZERO)
    }

    /// Nanoseconds of a step under force majeure, as far as is known at `now`.
    #[must_use]
    pub fn suspended_in(&self, step: &Interval, now: Nanos) -> i64 {
        let overlap = |(from, until): &(Nanos, Nanos)| {
            let until = if *until == Nanos::ZERO { now } else { *until };
            until.min(step.end).0 - (*from).max(step.start).0
        };
        self.suspensions
            .iter()
            .map(|span| overlap(span).max(0))
            .sum()
    }

    /// Nanoseconds of a step without a usable destination.
    #[must_use]
    pub fn homeless_in(&self, step: &Interval) -> i64 {
        if self.reachable_from == Nanos::ZERO {
            return step.span();
        }
        (self.reachable_from.min(step.end).0 - step.start.0).max(0)
    }

    /// The window it delivers in.
    #[must_use]
    pub fn begins(&self) -> Option<Nanos> {
        self.intervals.first().map(|step| step.start)
    }

    /// Its end.
    #[must_use]
    pub fn ends(&self) -> Option<Nanos> {
        self.intervals.last().map(|step| step.end)
    }
}

/// An objection, by a party or because two meters differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Dispute {
    /// Its number.
    pub id: DisputeId,
    /// About which delivery.
    pub obligation: ObligationId,
    /// About which step.
    pub start: Nanos,
    /// Who objects; nobody = two meters differ.
    pub by: AccountId,
    /// What the objector claims, in hashes.
    pub claimed: u128,
    /// Without a decision the interval settles then.
    pub until: Nanos,
    /// What the operator decided, in hashes.
    pub decided: Option<u128>,
}
