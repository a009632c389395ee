//! Expected hashes of a block, as nodes state them and as the market counts them.
//!
//! The market counts 2^32 hashes to a unit of difficulty, nodes `2^256 / (target + 1)`, which is 65,536 /
//! 65,535 as much: 15.26 ppm more. The index keeps to the market's convention everywhere; work of nodes is
//! converted once, here. Source: hashrate reference, sections 7 and 7.1.

use crate::wide::Wide;

/// The 256-bit target of a compact one ("nBits"): mantissa × 256^(size − 3).
///
/// `None` if it is zero, negative (bit 23 set) or beyond 256 bits: no chain has such a block.
#[must_use]
pub fn target(bits: u32) -> Option<Wide> {
    let (size, mantissa) = (bits >> 24, bits & 0x007f_ffff);
    let value = if size <= 3 {
        mantissa >> (8 * (3 - size))
    } else {
        mantissa
    };
    let shift = 8 * size.saturating_sub(3);
    let wide = Wide::from(u64::from(value));
    let negative = bits & 0x0080_0000 != 0;
    let fits = wide.bits() + shift <= 256;
    (value != 0 && !negative && fits).then(|| wide.shifted_left(shift))
}

/// Expected hashes of a block in the market's convention: `floor(0xFFFF · 2^240 / target)`.
#[must_use]
pub fn of_bits(bits: u32) -> Option<u128> {
    let one = Wide::from(0xFFFF_u64).shifted_left(240);
    let (work, _) = one.divided(target(bits)?)?;
    work.narrow().filter(|work| *work > 0)
}

/// Expected hashes of a block exactly, as nodes add them up: `floor(2^256 / (target + 1))`.
#[must_use]
pub fn exact_of_bits(bits: u32) -> Option<u128> {
    // 2^256 itself has 257 bits: (2^256 - 1 - target) / (target + 1) + 1 is the same number.
    let next = target(bits)?.plus(Wide::ONE)?;
    let most = Wide::default().complement();
    let rest = most.less(next)?.plus(Wide::ONE)?;
    let (work, _) = rest.divided(next)?;
    work.plus(Wide::ONE)?.narrow()
}

/// Work of a window as nodes count it, in the market's convention: times 65,535 / 65,536, floor.
#[must_use]
pub fn of_nodes(exact: u128) -> Option<u128> {
    let (work, _) = Wide::from(exact)
        .times(Wide::from(65_535_u64))?
        .divided(Wide::from(65_536_u64))?;
    work.narrow()
}

/// Difficulty on the 2^32 scale, floor.
#[must_use]
pub fn difficulty(work: u128) -> u128 {
    work >> 32
}

/// Work of one block of a difficulty on the 2^32 scale; `None` beyond 128 bits.
#[must_use]
pub fn of_difficulty(difficulty: u128) -> Option<u128> {
    difficulty.checked_mul(1 << 32)
}
