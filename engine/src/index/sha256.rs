//! SHA-256: Bitcoin and Bitcoin Cash.
//!
//! BTC: `HP = (144·S + ΣF) · 86,400 · U / (144·W)`, with the subsidy S and the work W of the next block to be
//! mined and the fees ΣF of the last 144: a retarget or a halving changes the index at that block only.
//! BCH retargets every block, so its window's own rewards and work: `ΣR / ΣW` over 144 blocks.
//! Source: hashrate reference, section 7.1.

use super::{
    price::{ITSELF, Leg},
    work,
};
use crate::units::Decimal;

/// Decimals of a satoshi.
pub const DECIMALS: u32 = 8;
/// Blocks whose fees are averaged: about a day.
pub const FEE_BLOCKS: u32 = 144;
/// Blocks between two halvings of BTC and BCH.
pub const HALVING_BLOCKS: u64 = 210_000;
/// Blocks between two retargets of BTC and LTC.
pub const RETARGET_BLOCKS: u64 = 2_016;
/// Subsidy of the first block, in satoshi.
const FIRST_SUBSIDY: u64 = 5_000_000_000;

/// Subsidy of the block at this height, in satoshi: 50 BTC, halved every 210,000 blocks.
#[must_use]
pub fn subsidy(height: u64) -> u64 {
    halved(FIRST_SUBSIDY, height, HALVING_BLOCKS)
}

/// A first subsidy after `height / every` halvings, rounded down at each as nodes do.
pub(super) fn halved(first: u64, height: u64, every: u64) -> u64 {
    let halvings = u32::try_from(height / every).unwrap_or(u32::MAX);
    first.checked_shr(halvings).unwrap_or(0)
}

/// Bitcoin on top of a block: `height` is that of the **next** block, `bits` its compact target, `fees` the
/// satoshi of fees of the last 144 blocks, `price` that of a BTC in the quote asset.
#[must_use]
pub fn leg(height: u64, bits: u32, fees: u64, price: Decimal) -> Option<Leg> {
    leg_of(subsidy(height), work::of_bits(bits)?, fees, price)
}

/// The same with subsidy and work of the next block given.
#[must_use]
pub fn leg_of(subsidy: u64, work: u128, fees: u64, price: Decimal) -> Option<Leg> {
    let blocks = u128::from(FEE_BLOCKS);
    Some(Leg {
        reward: blocks * u128::from(subsidy) + u128::from(fees),
        work: blocks.checked_mul(work)?,
        decimals: DECIMALS,
        price,
    })
}

/// A window that has been mined, for chains that retarget every block: all subsidies by height, `fees`, and
/// `work` in the nodes' exact convention (the difference of two chain works). `last` is its highest block.
#[must_use]
pub fn window(last: u64, blocks: u32, fees: u64, work: u128, price: Decimal) -> Option<Leg> {
    let first = last.checked_sub(u64::from(blocks).checked_sub(1)?)?;
    let reward = subsidies(first, last, HALVING_BLOCKS, subsidy)?;
    Some(Leg {
        reward: reward.checked_add(u128::from(fees))?,
        work: work::of_nodes(work)?,
        decimals: DECIMALS,
        price,
    })
}

/// Sum of the subsidies from `first` to `last`, stepping from one change of the subsidy to the next.
pub(super) fn subsidies(
    first: u64,
    last: u64,
    every: u64,
    subsidy: impl Fn(u64) -> u64,
) -> Option<u128> {
    let (mut sum, mut height) = (0_u128, first);
    while height <= last {
        let end = last.min((height / every) * every + (every - 1));
        let blocks = u128::from(end - height + 1);
        sum = sum.checked_add(blocks.checked_mul(u128::from(subsidy(height)))?)?;
        height = end.checked_add(1)?;
    }
    Some(sum)
}

/// The subsidy part alone, without fees, of one epoch: what an epoch contract settles on. The mean subsidy
/// of its 2,016 blocks where a halving falls inside, with the work its header fixes.
#[must_use]
pub fn epoch_leg(epoch: u64, bits: u32) -> Option<Leg> {
    let first = epoch.checked_mul(RETARGET_BLOCKS)?;
    let last = first.checked_add(RETARGET_BLOCKS - 1)?;
    Some(Leg {
        reward: subsidies(first, last, HALVING_BLOCKS, subsidy)?,
        work: work::of_bits(bits)?.checked_mul(u128::from(RETARGET_BLOCKS))?,
        decimals: DECIMALS,
        price: ITSELF,
    })
}
