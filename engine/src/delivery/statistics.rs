//! What accepted shares say about the hashes behind them. Integers only; the formulas are those of the
//! delivery rules (DELIVERY-06 to 08), whose figures were computed for share counts that follow Poisson's
//! law, as 42,617 consecutive blocks do.
//!
//! An accepted share of assigned difficulty `d` stands for `d × hashes_per_share` hashes on average. The
//! *assigned* difficulty counts, never the hash's luck: a lucky share is no more work.

use bincode::{Decode, Encode};

use crate::wide::Wide;

/// One-sided confidence of the test of shortfall: z = 2.33, squared, times 10^4.
pub const Z_SQUARED: u128 = 54_289;
/// Shares that a window must expect for its test to be sharp: an error of 1 %.
pub const TESTABLE_SHARES: u128 = 10_000;
/// Beyond this score, either way, the sequential test has decided, in nano-nats: `ln(999)`, wrong once in
/// a thousand.
pub const DECIDED: i128 = 6_906_754_779;
/// What an expected share adds to the score, in nano-nats: 2τ for τ = 2 %.
const EXPECTED_SHARE: i128 = 40_000_000;
/// What an accepted share takes off the score, in nano-nats: `-ln(1 - 2τ)`.
const ACCEPTED_SHARE: i128 = 40_821_995;

/// Accepted shares of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Shares {
    /// Σd: sum of assigned difficulties.
    pub difficulty: u64,
    /// Σd²/Σd, rounded: the difficulty if it was constant; at least 1 where there are shares.
    pub mean_difficulty: u64,
}

impl Shares {
    /// Hashes behind them: Σd × hashes of one share of difficulty 1.
    #[must_use]
    pub fn work(self, hashes_per_share: u64) -> u128 {
        u128::from(self.difficulty) * u128::from(hashes_per_share)
    }

    /// One standard deviation of that work, in parts per million of it: √Σd²/Σd, 1/√n for equal
    /// difficulties. `None` without shares. Rounded down.
    #[must_use]
    pub fn error_ppm(self) -> Option<u32> {
        // √(d̄ / Σd) = √(10^12 × d̄ / Σd) / 10^6.
        let square = u128::from(self.mean_difficulty) * 1_000_000_000_000;
        let square = square.checked_div(u128::from(self.difficulty))?;
        u32::try_from(square.isqrt()).ok()
    }
}

/// Whether accepted shares fall short of `expected` hashes by more than the tolerance and the error of
/// counting explain (DELIVERY-07): with E = expected hashes in difficulty-1 shares, rounded down, and
/// W = Σd, short if `W < L` and `(L − W)² × 10^4 > 54,289 × d × E`, where `L = E × (10^4 − τ) / 10^4`.
/// Both sides times 10^8, so that nothing is rounded after E.
///
/// `tolerance_bp` is τ in hundredths of a percent, at most 10,000. The difficulty is taken at most
/// [`hardest_share`] wide, so that few hard shares do not excuse what many easy ones would show.
#[must_use]
pub fn is_short(expected: u128, shares: Shares, hashes_per_share: u64, tolerance_bp: u32) -> bool {
    let Some(expected_shares) = expected.checked_div(hashes_per_share.into()) else {
        return false;
    };
    let wanted = expected_shares.saturating_mul(10_000 - u128::from(tolerance_bp.min(10_000)));
    let seen = u128::from(shares.difficulty) * 10_000;
    let Some(missing) = wanted.checked_sub(seen).filter(|missing| *missing > 0) else {
        return false;
    };
    let hardest = hardest_share(expected, hashes_per_share).max(1);
    let difficulty = u128::from(shares.mean_difficulty.max(1)).min(hardest);
    let noise = Z_SQUARED * 10_000 * difficulty;
    Wide::product(missing, missing) > Wide::product(noise, expected_shares)
}

/// The hardest share with which a window of so many hashes can be tested: 10,000 of them are expected
/// (DELIVERY-06). 0 = none is easy enough.
#[must_use]
pub fn hardest_share(expected: u128, hashes_per_share: u64) -> u128 {
    (expected / TESTABLE_SHARES)
        .checked_div(hashes_per_share.into())
        .unwrap_or(0)
}

/// What a sequential test says before the window is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// Too few shares to say.
    Open,
    /// Full delivery, with an error of one in a thousand.
    Fine,
    /// Short by 4 % or more, with an error of one in a thousand.
    Short,
}

/// Score of the sequential test between H and H × 0.96, in nano-nats (DELIVERY-08):
/// `40,000,000 × n − 40,821,995 × N` with n expected and N accepted shares of equal difficulty.
#[must_use]
pub fn early_score(expected: u128, shares: Shares, hashes_per_share: u64) -> i128 {
    let d = u128::from(shares.mean_difficulty.max(1));
    let of = |work: u128, each: i128| {
        // In shares of the mean difficulty; a millionth of a share is far below a nano-nat of meaning.
        let millionths = work.saturating_mul(1_000_000) / d;
        i128::try_from(millionths).unwrap_or(i128::MAX / 100_000_000) * each / 1_000_000
    };
    let Some(expected_shares) = expected.checked_div(hashes_per_share.into()) else {
        return 0;
    };
    of(expected_shares, EXPECTED_SHARE) - of(shares.difficulty.into(), ACCEPTED_SHARE)
}

/// What that score means.
#[must_use]
pub fn early(score: i128) -> Early {
    if score >= DECIDED {
        Early::Short
    } else if score <= -DECIDED {
        Early::Fine
    } else {
        Early::Open
    }
}

#[cfg(test)]
mod tests;
