//! Scrypt: Litecoin, with Dogecoin mined along.
//!
//! `HP = 86,400 · U / 2^32 · ((S_l + F_l)·X_l/D_l + (S_d + F_d)·X_d/D_d) · (1 − stale)`: both legs have a price
//! of their own, both difficulties are on the 2^32 scale (shares of Scrypt are not: theirs is 2^16).
//! Source: hashrate reference, section 7.2; litecoin and dogecoin chain parameters.

use super::{price::Leg, sha256, work};
use crate::units::Decimal;

/// Decimals of a litoshi and of a koinu.
pub const DECIMALS: u32 = 8;
/// Blocks between two halvings of LTC.
pub const LTC_HALVING_BLOCKS: u64 = 840_000;
/// Blocks of a DOGE window: about a day of 60 seconds each.
pub const DOGE_BLOCKS: u32 = 1_440;
/// From this height on DOGE pays the same for every block; before it, at random or halving.
pub const DOGE_CONSTANT_FROM: u64 = 600_000;
/// What it pays since then.
pub const DOGE_SUBSIDY: u64 = 10_000 * 100_000_000;
/// Of LTC's first block: 50 LTC.
const LTC_FIRST: u64 = 5_000_000_000;

/// Subsidy of the LTC block at this height, in 1e-8 LTC.
#[must_use]
pub fn ltc_subsidy(height: u64) -> u64 {
    sha256::halved(LTC_FIRST, height, LTC_HALVING_BLOCKS)
}

/// Subsidy of the DOGE block at this height, in 1e-8 DOGE; `None` before it became constant.
#[must_use]
pub fn doge_subsidy(height: u64) -> Option<u64> {
    (height >= DOGE_CONSTANT_FROM).then_some(DOGE_SUBSIDY)
}

/// LTC retargets every 2,016 blocks: the next block's subsidy and work, fees of the last `blocks`.
#[must_use]
pub fn ltc_leg(height: u64, bits: u32, blocks: u32, fees: u64, price: Decimal) -> Option<Leg> {
    let blocks = u128::from(blocks);
    let reward = blocks * u128::from(ltc_subsidy(height)) + u128::from(fees);
    Some(Leg {
        reward,
        work: work::of_bits(bits)?
            .checked_mul(blocks)
            .filter(|work| *work > 0)?,
        decimals: DECIMALS,
        price,
    })
}

/// DOGE retargets every block: a window that has been mined, `last` its highest block, `work` as nodes count.
#[must_use]
pub fn doge_leg(last: u64, blocks: u32, fees: u64, work: u128, price: Decimal) -> Option<Leg> {
    let first = last.checked_sub(u64::from(blocks).checked_sub(1)?)?;
    let reward = u128::from(doge_subsidy(first)?) * u128::from(blocks);
    Some(Leg {
        reward: reward + u128::from(fees),
        work: work::of_nodes(work)?,
        decimals: DECIMALS,
        price,
    })
}
