//! What operators, meters, attestors, buyers and sellers ask for around a delivery.

use bincode::{Decode, Encode};

use crate::{
    delivery::{MeterKind, Rules, StratumProtocol},
    ids::{AccountId, CommodityId, DestinationId, DisputeId, MeterId, ObligationId},
    units::Nanos,
};

/// A wish about deliveries. The set only grows at its end: the journal stores places.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Delivery {
    /// Operator: delivery of a commodity's spot blocks, on or off.
    SetRules(SetDeliveryRules),
    /// Operator: a meter or attestor.
    RegisterMeter(NewMeter),
    /// Operator: a meter's readings and attestations count no more.
    RetireMeter(MeterId),
    /// An attestor vouches for hashrate.
    Attest(Attest),
    /// A buyer's place for hashes.
    SetDestination(SetDestination),
    /// Points an obligation somewhere else.
    AssignDestination(AssignDestination),
    /// Metered work.
    Read(MeterReading),
    /// A party objects to a reading.
    Dispute(DisputeInterval),
    /// The operator's decision on that.
    Resolve(ResolveDispute),
    /// Force majeure begins or ends.
    Suspend(SetDeliverySuspension),
}

/// Switches delivery on for the spot blocks of a commodity, or off for those that still trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetDeliveryRules {
    /// Of what.
    pub commodity: CommodityId,
    /// From now on; `None` = blocks end without delivery.
    pub rules: Option<Rules>,
}

/// Who may submit readings or attestations, and with which key they are signed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewMeter {
    /// Unique.
    pub name: String,
    /// How far it is trusted.
    pub kind: MeterKind,
    /// Ed25519; every reading and attestation is signed with it.
    pub public_key: [u8; 32],
    /// It is one of the n attestors of capacity.
    pub attests: bool,
}

/// A signature over the canonical text of a reading or attestation. It stands in the journal, so that
/// whoever replays it can check it; the gateway has checked it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Signed {
    /// Key that the signature belongs to; must be the meter's.
    pub public_key: [u8; 32],
    /// Ed25519.
    pub signature: [u8; 64],
}

/// An attestor vouches for a seller's hashrate at a site.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Attest {
    /// Seller.
    pub account: AccountId,
    /// Of what.
    pub commodity: CommodityId,
    /// Terahashes per second; 0 = no longer any.
    pub attested_ths: i64,
    /// Beginning of the period measured.
    pub measured_from: Nanos,
    /// End of it.
    pub measured_to: Nanos,
    /// Accepted shares behind it.
    pub accepted_shares: u64,
    /// It counts until then.
    pub valid_until: Nanos,
    /// Attestor.
    pub meter: MeterId,
    /// Name of the site; capacities of different sites add up.
    pub site: String,
    /// Country code.
    pub jurisdiction: String,
    /// Kind of machines.
    pub machine_class: String,
    /// By whom, provably.
    pub signed: Signed,
}

/// A buyer's place for hashes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetDestination {
    /// Buyer.
    pub account: AccountId,
    /// 0 = a new one.
    pub id: DestinationId,
    /// For people.
    pub label: String,
    /// Of what.
    pub commodity: CommodityId,
    /// `host:port` of the pool.
    pub address: String,
    /// Name the shares are credited to.
    pub worker: String,
    /// How the pool is spoken to.
    pub protocol: StratumProtocol,
    /// Takes obligations that name no other.
    pub account_default: bool,
    /// The gateway's probe passed.
    pub usable: bool,
    /// Difficulty that the pool assigned in the probe; 0 = unknown.
    pub share_difficulty: i64,
}

/// Points an obligation somewhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AssignDestination {
    /// Buyer.
    pub account: AccountId,
    /// Which.
    pub obligation: ObligationId,
    /// Where.
    pub destination: DestinationId,
}

/// Metered work of one obligation in one interval, or in its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MeterReading {
    /// Meter.
    pub meter: MeterId,
    /// Of which delivery.
    pub obligation: ObligationId,
    /// Beginning of an interval.
    pub start: Nanos,
    /// End of what was measured; a committed reading's is the interval's.
    pub end: Nanos,
    /// Sum of assigned difficulties of accepted, non-stale, non-duplicate shares.
    pub accepted_difficulty: u64,
    /// Number of them.
    pub accepted_shares: u64,
    /// Σd²/Σd of them.
    pub mean_difficulty: u64,
    /// Sum of assigned difficulties of stale, duplicate and too easy shares.
    pub rejected_difficulty: u64,
    /// Number of them.
    pub rejected_shares: u64,
    /// Seconds during which the destination could not be reached.
    pub down_seconds: u32,
    /// Blocks found.
    pub blocks_found: u32,
    /// Final; otherwise an estimate that the next reading replaces.
    pub committed: bool,
    /// By whom, provably.
    pub signed: Signed,
}

/// A party objects to the reading of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DisputeInterval {
    /// Buyer or seller.
    pub account: AccountId,
    /// Of which delivery.
    pub obligation: ObligationId,
    /// Beginning of the interval.
    pub start: Nanos,
    /// What its own meter says, in terahashes.
    pub claimed_terahashes: i64,
}

/// Decision on a disputed interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResolveDispute {
    /// Which.
    pub dispute: DisputeId,
    /// Work that counts, in terahashes.
    pub decided_terahashes: i64,
}

/// Force majeure begins or ends for a seller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetDeliverySuspension {
    /// Seller.
    pub account: AccountId,
    /// 0 = all commodities.
    pub commodity: CommodityId,
    /// Begins, or ends.
    pub suspended: bool,
}
