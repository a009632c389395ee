//! What registered sources sign, and what the operator says about them.
//!
//! Signatures are checked at the edge, before a command enters, and stay in it: whoever replays the journal
//! can check each of them against [`crate::index::signed`].

use bincode::{Decode, Encode};

use crate::{
    ids::{FeedId, IndexId},
    units::{Decimal, Nanos},
};

/// What is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FeedKind {
    /// The chain of a coin. Its facts are not averaged: sources agree on them or not.
    Chain {
        /// Blocks that must lie on a header before it counts.
        depth: u32,
    },
    /// A price; the median of its sources.
    Price {
        /// Prices are kept as `mantissa · 10^exponent`.
        exponent: i32,
    },
}

/// Something outside that sources report.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetFeed {
    /// `BTC` for a chain, `BTC/USD` for a price; unique.
    pub name: String,
    /// What it is; never changes.
    pub kind: FeedKind,
    /// Sources that must agree, or contribute.
    pub agreeing: u8,
    /// An observation counts for so many milliseconds.
    pub stale_ms: u32,
}

/// Whom a source is registered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Scope {
    /// It reports what it observes.
    Feed(FeedId),
    /// It submits values of the index.
    Index(IndexId),
}

/// Registers a source, or changes one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetSource {
    /// For what.
    pub scope: Scope,
    /// Short name, published with every round; unique in the scope.
    pub name: String,
    /// Ed25519.
    pub public_key: [u8; 32],
    /// How much it counts in a median; 0 = it only checks.
    pub weight: u8,
    /// It may report.
    pub active: bool,
}

/// How an index gets its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Formula {
    /// Registered sources submit it (metered compute).
    Submitted,
    /// One chain that retargets by epoch, such as BTC: the next block's subsidy and work, fees of 144 blocks.
    Sha256,
    /// One chain that retargets every block, such as BCH: rewards and work of 144 blocks.
    Sha256Window,
    /// LTC and DOGE, in this order.
    Scrypt {
        /// Work that pools do not pay, in parts per million.
        stale_ppm: u32,
    },
    /// KAS.
    KHeavyHash,
    /// ETC.
    Etchash,
}

/// The method of an index.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetMethod {
    /// Which.
    pub index: IndexId,
    /// Version of the published method; grows with every change.
    pub version: u32,
    /// Which formula.
    pub formula: Formula,
    /// Chains it reads, main one first.
    pub chains: Vec<FeedId>,
    /// Price of each chain's coin in the index's asset, in the same order; empty = the coin is the asset.
    pub prices: Vec<FeedId>,
    /// Sources that must sign the same value, where values are submitted.
    pub agreeing: u8,
    /// Values are kept as `mantissa · 10^exponent`.
    pub exponent: i32,
    /// Milliseconds without a valid sample after which contracts on it are halted.
    pub halt_after_ms: u32,
    /// Milliseconds between the day's value and its settlement, in which it may be restated.
    pub settle_after_ms: u32,
}

/// A chain as one node sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Tip {
    /// Height of its newest block.
    pub height: u64,
    /// That block's hash.
    pub hash: [u8; 32],
    /// Compact target of the next block; 0 where the window's work is used.
    pub bits: u32,
    /// Blocks of the window that ends here.
    pub blocks: u32,
    /// Fees of the window, in the coin's smallest unit.
    pub fees: u128,
    /// Work of the window as nodes count it; ETC: sum of difficulties; KAS: hashes per second.
    pub work: u128,
    /// KAS: DAA score.
    pub daa: u64,
}

/// What a source saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Observation {
    /// A price.
    Price(Decimal),
    /// A chain.
    Tip(Tip),
}

/// One observation of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Report {
    /// Of what.
    pub feed: FeedId,
    /// Increasing per source and feed; write-once.
    pub sequence: u64,
    /// When it was seen.
    pub observed: Nanos,
    /// What.
    pub observation: Observation,
    /// Registered key of the source.
    pub public_key: [u8; 32],
    /// Over [`crate::index::signed::report`].
    pub signature: [u8; 64],
}

/// A block deep enough in its chain to count on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    /// Height.
    pub height: u64,
    /// Hash.
    pub hash: [u8; 32],
    /// Its compact target.
    pub bits: u32,
    /// Its own time stamp.
    pub time: Nanos,
}

/// One source's word on a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SubmitHeader {
    /// Chain.
    pub feed: FeedId,
    /// Block.
    pub header: Header,
    /// Blocks on top of it when it was observed.
    pub depth: u32,
    /// Registered key of the source.
    pub public_key: [u8; 32],
    /// Over [`crate::index::signed::header`].
    pub signature: [u8; 64],
}

/// What a signed value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum ValueKind {
    /// One sample; moves marks, never settles.
    Indicative,
    /// Of a UTC day; settles. Of a computed index: for a day that was postponed.
    Daily,
    /// Replaces a day's value before its settlement.
    Restatement,
}

/// A value of an index that one source signed; it counts once enough of them sign the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SignValue {
    /// Of which index.
    pub index: IndexId,
    /// For what.
    pub kind: ValueKind,
    /// Round; of a computed index: days since 1970.
    pub round: u64,
    /// Per rate unit and day, in the quote asset.
    pub value: Decimal,
    /// Registered key of the source.
    pub public_key: [u8; 32],
    /// Over [`crate::index::signed::value`].
    pub signature: [u8; 64],
}
