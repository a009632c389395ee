//! kHeavyHash: Kaspa.
//!
//! `HP = entry per second · 86,400 · U / network H/s`. The subsidy falls by 2^(−1/12) every month of deflation,
//! which forwards must price; months follow from the DAA score. Source: hashrate reference, section 7.3; the
//! months, the blocks per second and the table are those of rusty-kaspa's coinbase manager and parameters.

use super::price::Leg;
use crate::units::Decimal;

/// Decimals of a sompi.
pub const DECIMALS: u32 = 8;
/// DAA score at which deflation began.
pub const DEFLATION_DAA: u64 = 15_519_600;
/// DAA score at which one block per second became ten.
pub const CRESCENDO_DAA: u64 = 110_165_000;
/// Blocks per second since then.
pub const BLOCKS_PER_SECOND: u64 = 10;
/// Seconds of a month of 365.25 / 12 days.
pub const MONTH_SECONDS: u64 = 2_629_800;
/// Months until nothing is left: the last one pays 0.
pub const MONTHS: u64 = 426;
/// Sompi per second in month 0.
const FIRST: u128 = 44_000_000_000;
/// Bits behind the point in [`TWELFTHS`].
const FRACTION: u32 = 64;
/// `2^(−k/12)` for the months of a year. Nodes carry a table of 426 numbers, computed once in floating
/// point; this gives every one of them (a test compares all).
const TWELFTHS: [u128; 12] = [
    0x1_0000_0000_0000_0000,
    0xf1a1_bf38_809a_1dbc,
    0xe411_f03a_7609_4a35,
    0xd744_fcca_d69d_6af4,
    0xcb2f_f529_eb71_e415,
    0xbfc8_86bb_467d_7f36,
    0xb504_f333_f9de_6484,
    0xaadc_0847_8762_efe4,
    0xa145_17cc_6b94_5711,
    0x9837_f051_8db8_a96f,
    0x8fac_d61e_3eb5_feb5,
    0x879c_7c96_cbcb_165e,
];

/// Sompi per second in a month of deflation, rounded down; 0 from the last one on.
#[must_use]
pub fn per_second(month: u64) -> u64 {
    if month >= MONTHS {
        return 0;
    }
    let years = u32::try_from(month / 12).unwrap_or(u32::MAX);
    let twelfth = TWELFTHS[(month % 12) as usize];
    u64::try_from((FIRST * twelfth) >> (FRACTION + years)).unwrap_or(0)
}

/// Sompi per block in a month, at ten blocks per second: rounded up.
#[must_use]
pub fn per_block(month: u64) -> u64 {
    per_second(month).div_ceil(BLOCKS_PER_SECOND)
}

/// Month of deflation at a DAA score; `None` before deflation began.
#[must_use]
pub fn month(daa: u64) -> Option<u64> {
    let seconds = if daa < CRESCENDO_DAA {
        daa.checked_sub(DEFLATION_DAA)?
    } else {
        (CRESCENDO_DAA - DEFLATION_DAA) + (daa - CRESCENDO_DAA) / BLOCKS_PER_SECOND
    };
    Some(seconds / MONTH_SECONDS)
}

/// First DAA score of a month that begins after Crescendo; `None` for earlier ones.
#[must_use]
pub fn first_daa(month: u64) -> Option<u64> {
    let seconds = month.checked_mul(MONTH_SECONDS)?;
    let after = seconds.checked_sub(CRESCENDO_DAA - DEFLATION_DAA)?;
    after
        .checked_mul(BLOCKS_PER_SECOND)?
        .checked_add(CRESCENDO_DAA)
}

/// At a DAA score, with the network's hashes per second: `2 · difficulty · blocks per second` of a node.
#[must_use]
pub fn leg(daa: u64, network: u128, price: Decimal) -> Option<Leg> {
    Some(Leg {
        // A window of one second.
        reward: u128::from(per_second(month(daa)?)),
        work: Some(network).filter(|network| *network > 0)?,
        decimals: DECIMALS,
        price,
    })
}
