//! Etchash: Ethereum Classic.
//!
//! Block difficulty **is** hashes per block, no 2^32. `HP = 86,400 · U · ΣR / ΣW` over 6,000 canonical blocks;
//! ommers and what their includers earn are left out, which is part of the published method.
//! Source: hashrate reference, section 7.4; ECIP-1017.

use super::price::Leg;
use crate::units::Decimal;

/// Decimals of a wei.
pub const DECIMALS: u32 = 18;
/// Blocks of an era.
pub const ERA_BLOCKS: u64 = 5_000_000;
/// Canonical blocks of the window: about a day.
pub const BLOCKS: u32 = 6_000;
/// Of the first era: 5 ETC.
const FIRST: u128 = 5_000_000_000_000_000_000;

/// Era of a block; the first is 0, and block 5,000,000 is its last.
#[must_use]
pub fn era(height: u64) -> u64 {
    height.saturating_sub(1) / ERA_BLOCKS
}

/// Reward of the block at this height in wei: `floor(5e18 · 4^era / 5^era)`.
#[must_use]
pub fn subsidy(height: u64) -> u128 {
    // 4^26 · 5e18 still fits; beyond, steps of four fifths of a remainder below one thousandth of a coin.
    let era = era(height);
    let exact = u32::try_from(era.min(26)).unwrap_or(26);
    let first = FIRST * 4_u128.pow(exact) / 5_u128.pow(exact);
    (26..era.min(250)).fold(first, |reward, _| reward * 4 / 5)
}

/// A window that has been mined: `last` its highest block, `work` the sum of difficulties.
#[must_use]
pub fn leg(last: u64, blocks: u32, fees: u128, work: u128, price: Decimal) -> Option<Leg> {
    let first = last.checked_sub(u64::from(blocks).checked_sub(1)?)?;
    let (mut reward, mut height) = (fees, first);
    while height <= last {
        let end = last.min((era(height) + 1).checked_mul(ERA_BLOCKS)?);
        let count = u128::from(end - height + 1);
        reward = reward.checked_add(count.checked_mul(subsidy(height))?)?;
        height = end.checked_add(1)?;
    }
    Some(Leg {
        reward,
        work: Some(work).filter(|work| *work > 0)?,
        decimals: DECIMALS,
        price,
    })
}
