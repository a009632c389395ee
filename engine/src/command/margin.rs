//! What an operator sets about margin: how far a hashprice may go, and which positions stand for each other.

use bincode::{Decode, Encode};

use crate::{
    ids::{AssetId, CommodityId, FeedId},
    margin::Ranges,
    units::Ppm,
};

/// Margin of all forwards of a commodity that are paid in an asset: a family. What the contracts themselves
/// ask for is the floor.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MarginMethod {
    /// Whose hashprice.
    pub commodity: CommodityId,
    /// Paid in.
    pub asset: AssetId,
    /// How far each factor may go in the nearest contracts.
    pub ranges: Ranges,
    /// Buckets by time until the window begins, nearest first; the last one has no end. Empty: one, with the
    /// whole ranges. At most 8.
    pub tenors: Vec<Tenor>,
    /// Added to the rates from the UTC day on which the window begins. 0 ..= 1,000,000.
    pub delivery: Ppm,
    /// Credit for opposite positions in neighbouring maturities, of the margin of both. 0 ..= 1,000,000.
    pub adjacent_credit: Ppm,
    /// The same for all other maturities; not above `adjacent_credit`. 0 ..= 1,000,000.
    pub other_credit: Ppm,
    /// Where the chain's calendar comes from; none: the next retarget always counts, steps never.
    pub calendar: Option<ChainCalendar>,
}

/// A bucket of maturities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Tenor {
    /// Contracts whose window begins in fewer UTC days than this (0 = today), and not in an earlier bucket.
    /// 1 ..= 10,000.
    pub days: u16,
    /// Their share of the ranges. 0 ..= 2,000,000.
    pub share: Ppm,
}

/// What a chain will do at known heights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChainCalendar {
    /// The chain.
    pub feed: FeedId,
    /// Expected time of one block, in milliseconds. 100 ..= 3,600,000.
    pub block_ms: u32,
    /// A retarget every so many blocks; 0: it always counts. 0 ..= 1,000,000.
    pub retarget_blocks: u32,
    /// So long before a retarget it begins to count, in hours. 0 ..= 8,760.
    pub retarget_notice_hours: u16,
    /// The next change of the subsidy.
    pub step: Option<SubsidyStep>,
}

/// A halving, or whatever else the chain does to its subsidy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SubsidyStep {
    /// First block with the new subsidy.
    pub height: u64,
    /// What is left of the subsidy: 500,000 for a halving. 0 ..= 1,000,000.
    pub left: Ppm,
    /// So many days before its expected time it begins to count. 0 ..= 1,000.
    pub notice_days: u16,
}
