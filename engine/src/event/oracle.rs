//! What became of the reports of sources.

use bincode::{Decode, Encode};

use crate::{
    command::Header,
    ids::{FeedId, IndexId},
    index::fixing::Basis,
    units::{Decimal, Nanos},
};

/// Trust in an index value; numbered as `marketdata.v1.IndexQuality`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[repr(u8)]
pub enum Quality {
    /// Every registered source contributes.
    #[default]
    Live = 1,
    /// Enough do; some are silent, late or left out.
    Degraded = 2,
    /// No valid sample: the last value stands, marks rest.
    Stale = 3,
    /// None for too long: no value is published, contracts on it are halted.
    Halted = 4,
}

/// What a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RoundKind {
    /// One sample.
    Sample,
    /// A day's value, proposed; it settles at `settles`.
    Daily,
    /// A day without a value yet.
    Postponed,
    /// A day's value, replaced before its settlement.
    Restated,
}

/// What a source said for a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Said {
    /// Nothing so far.
    Nothing,
    /// A price, in the feed's exponent.
    Price(i64),
    /// A chain's newest block, with what enters the formula.
    Tip {
        /// Height.
        height: u64,
        /// First eight bytes of the hash: enough to tell two blocks of a height apart.
        hash: [u8; 8],
        /// Compact target of the next block.
        bits: u32,
        /// Fees of the window.
        fees: u128,
        /// Work of the window.
        work: u128,
    },
}

/// Why a source's word does or does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Standing {
    /// In the value.
    Used,
    /// Too old, or nothing said.
    Silent,
    /// Too far from the others, or on another chain.
    Excluded,
    /// A checker that agrees.
    Checked,
    /// A checker that does not.
    Disputed,
}

/// One input of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Input {
    /// Of what.
    pub feed: FeedId,
    /// Place of the source in its feed's list.
    pub source: u8,
    /// When it was seen.
    pub observed: Nanos,
    /// What was said.
    pub said: Said,
    /// Whether it counts.
    pub standing: Standing,
}

/// A round of an index with all that led to it. Write-once: no later event has its kind and number with
/// another content, but a restatement.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Round {
    /// Which index.
    pub index: IndexId,
    /// What it is.
    pub kind: RoundKind,
    /// Samples: 15-second steps since 1970; days: days since 1970.
    pub number: u64,
    /// Core time of it.
    pub at: Nanos,
    /// `None` = no valid value.
    pub value: Option<Decimal>,
    /// Trust.
    pub quality: Quality,
    /// Version of the method.
    pub version: u32,
    /// Valid samples of the day so far, or of the day.
    pub valid: u32,
    /// How a day came to its value.
    pub basis: Option<Basis>,
    /// When a day settles.
    pub settles: Nanos,
    /// Samples: every registered source of every feed, in order.
    pub inputs: Vec<Input>,
}

/// Trust in an index changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QualityChange {
    /// Which index.
    pub index: IndexId,
    /// Trust from here on.
    pub quality: Quality,
}

/// A block of a chain is agreed upon: what expires by height expires now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChainHeight {
    /// Which chain.
    pub feed: FeedId,
    /// The block.
    pub header: Header,
    /// Sources that agree.
    pub agreeing: u8,
}
