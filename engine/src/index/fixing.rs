//! From samples to the value of a day: the mean, if there are enough of them.
//!
//! Source: hashrate reference, section 8.4.

use bincode::{Decode, Encode};

use crate::units::{DAY, SECOND, div_half_even};

/// Nanoseconds between two samples.
pub const SAMPLE: i64 = 15 * SECOND;
/// Samples of a UTC day.
pub const SAMPLES: u32 = 5_760;
/// Valid ones that a fixing needs: 90 %.
pub const ENOUGH: u32 = 5_184;
/// Parts of a day that the fallback asks to be covered.
const QUARTERS: usize = 4;
/// Valid samples of each quarter that the fallback needs: half.
pub const ENOUGH_OF_A_QUARTER: u32 = 720;

const _: () = assert!(SAMPLE * SAMPLES as i64 == DAY);

/// How a day came to its value, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Basis {
    /// Mean of the valid samples, at least 90 % of the day's.
    Samples,
    /// Mean of the valid samples, at least half of each quarter of the day.
    Quarters,
    /// A value that enough registered sources signed.
    Agreed,
}

/// Samples of one UTC day, as they come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Day {
    /// Sum of the valid ones, in the index's own mantissa.
    pub sum: i128,
    /// Valid ones, by quarter of the day.
    pub valid: [u32; QUARTERS],
}

impl Day {
    /// Takes a valid sample at this place of the day, 0 to 5,759.
    pub fn take(&mut self, place: u32, mantissa: i64) {
        self.sum += i128::from(mantissa);
        let quarter = (place as usize * QUARTERS / SAMPLES as usize).min(QUARTERS - 1);
        self.valid[quarter] += 1;
    }

    /// Valid samples so far.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.valid.iter().sum()
    }

    /// The day's value in the index's mantissa, half to even, and on which basis; `None` = postponed.
    #[must_use]
    pub fn close(&self) -> Option<(i64, Basis)> {
        let covered = self.valid.iter().all(|part| *part >= ENOUGH_OF_A_QUARTER);
        let basis = match self.count() {
            ENOUGH.. => Basis::Samples,
            _ if covered => Basis::Quarters,
            _ => return None,
        };
        let mean = div_half_even(self.sum, i128::from(self.count()));
        i64::try_from(mean).ok().map(|mean| (mean, basis))
    }
}
