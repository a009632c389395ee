//! From reward and work to a value: the one formula and its one rounding.

use crate::units::{Decimal, PPM};
use crate::wide::Wide;

/// Seconds of a day.
const DAY_SECONDS: u64 = 86_400;

/// What one chain pays for work: one of a commodity's coins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Reward of a window of blocks in the coin's smallest unit, fees included.
    pub reward: u128,
    /// Expected hashes of the same window, in the market's convention; positive.
    pub work: u128,
    /// Decimals of the coin's smallest unit: 8 for satoshi, 18 for wei.
    pub decimals: u32,
    /// Price of one coin in the quote asset; 1 if that is the coin itself.
    pub price: Decimal,
}

/// Its price in itself.
pub const ITSELF: Decimal = Decimal {
    mantissa: 1,
    exponent: 0,
};

impl Leg {
    /// `10^exponent` of the quote asset for `unit` hashes per second during a day, as an exact fraction. All
    /// powers of ten meet here, so that the products of two legs stay far below 256 bits.
    fn fraction(&self, unit: u64, exponent: i32) -> Option<(Wide, Wide)> {
        let price = u64::try_from(self.price.mantissa).ok().filter(|p| *p > 0)?;
        let top = Wide::from(self.reward)
            .times(Wide::from(DAY_SECONDS))?
            .times(Wide::from(unit))?
            .times(Wide::from(price))?;
        let bottom = Wide::from(self.work);
        let power = self.price.exponent.checked_sub_unsigned(self.decimals)?;
        let power = power.checked_sub(exponent)?;
        let scale = Wide::ten_to(power.unsigned_abs())?;
        if power < 0 {
            Some((top, bottom.times(scale)?))
        } else {
            Some((top.times(scale)?, bottom))
        }
    }

    /// This leg alone, rounded by itself: for publication, never for adding up.
    #[must_use]
    pub fn value(&self, unit: u64, exponent: i32) -> Option<Decimal> {
        value(&[*self], unit, 0, exponent)
    }
}

/// `86,400 · U · Σ(R · price / W) · (1 − stale)` in the quote asset, rounded half to even, once.
///
/// `unit` in hashes per second, `stale` the share of work a pool does not pay, in parts per million,
/// `exponent` that of the value: −11 for millisat of BTC. `None` without work or a price, or if a number
/// leaves 256 bits (or the value 63): no price is better than a wrong one.
#[must_use]
pub fn value(legs: &[Leg], unit: u64, stale: u32, exponent: i32) -> Option<Decimal> {
    let million = u32::try_from(PPM).ok()?;
    let kept = million.checked_sub(stale)?;
    let mut sum: Option<(Wide, Wide)> = None;
    for leg in legs {
        let (top, bottom) = leg.fraction(unit, exponent)?;
        sum = match sum {
            None => Some((top, bottom)),
            Some((sum_top, sum_bottom)) => {
                let crossed = sum_top.times(bottom)?.plus(top.times(sum_bottom)?)?;
                Some((crossed, sum_bottom.times(bottom)?))
            }
        };
    }
    let (mut top, mut bottom) = sum?;
    if stale > 0 {
        top = top.times(Wide::from(u64::from(kept)))?;
        bottom = bottom.times(Wide::from(u64::from(million)))?;
    }
    let mantissa = i64::try_from(top.divided_half_even(bottom)?.narrow()?).ok()?;
    Some(Decimal { mantissa, exponent })
}
