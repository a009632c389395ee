//! What is known ahead: the heights at which a chain changes what it pays or how hard it is.
//!
//! Source: hashrate reference, section 7.5.

use super::{etchash, scrypt, sha256};
use crate::units::div_half_even;

/// Next height above this one that is a multiple of `every`.
#[must_use]
pub fn next_multiple(height: u64, every: u64) -> u64 {
    (height / every + 1) * every
}

/// First block of the next epoch of BTC or LTC: 2,016 · e.
#[must_use]
pub fn next_retarget(height: u64) -> u64 {
    next_multiple(height, sha256::RETARGET_BLOCKS)
}

/// Next height at which a coin pays less per block; `None` if it goes by another measure (KAS: DAA score) or
/// not at all (DOGE).
#[must_use]
pub fn next_step(coin: &str, height: u64) -> Option<u64> {
    match coin {
        "BTC" | "BCH" => Some(next_multiple(height, sha256::HALVING_BLOCKS)),
        "LTC" => Some(next_multiple(height, scrypt::LTC_HALVING_BLOCKS)),
        // The last block of an era is the multiple itself.
        "ETC" => Some((etchash::era(height) + 1) * etchash::ERA_BLOCKS + 1),
        _ => None,
    }
}

/// Expected change of difficulty at the retarget in parts per million, from `blocks` intervals that took
/// `millis`: 600 s over their mean, within the factor of four that the rule allows.
#[must_use]
pub fn retarget_ppm(blocks: u32, millis: i64) -> Option<i64> {
    let millis = i128::from(millis);
    if blocks == 0 || millis <= 0 {
        return None;
    }
    let ratio = div_half_even(i128::from(blocks) * 600_000 * 1_000_000, millis);
    let ratio = ratio.clamp(250_000, 4_000_000);
    i64::try_from(ratio - 1_000_000).ok()
}
