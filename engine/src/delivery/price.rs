//! What missing hashes cost: the imbalance price and the arithmetic of one interval (DELIVERY-09).

use crate::units::{Minor, Ppm, TickLots, TickValue, Ticks, div_half_even};
use crate::wide::{Wide, share};

/// Volume-weighted mean price, rounded half to even: the one rounding of it. `None` without volume.
#[must_use]
pub fn mean_price(exposure: TickLots, lots: i64) -> Option<Ticks> {
    if lots <= 0 {
        return None;
    }
    i64::try_from(div_half_even(exposure.0, lots.into()))
        .ok()
        .map(Ticks)
}

/// Price at which missing hashes are bought back: max(index, spot mean) × (1 + k). Kept as a fraction, so
/// that only the money is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imbalance {
    /// The larger of index and mean price.
    pub base: Ticks,
    /// k.
    pub surcharge: Ppm,
}

impl Imbalance {
    /// From the index in ticks and the block's own mean price, if it traded.
    #[must_use]
    pub fn new(index: Ticks, spot: Option<Ticks>, surcharge: Ppm) -> Self {
        Self {
            base: spot.map_or(index, |spot| index.max(spot)),
            surcharge,
        }
    }

    /// The price in millionths of a tick, exactly.
    #[must_use]
    pub fn millionths(self) -> i128 {
        i128::from(self.base.0) * (1_000_000 + i128::from(self.surcharge.0))
    }

    /// For people: in ticks, rounded half to even.
    #[must_use]
    pub fn in_ticks(self) -> Ticks {
        Ticks(i64::try_from(div_half_even(self.millionths(), 1_000_000)).unwrap_or(i64::MAX))
    }
}

/// What is sold: so many lots, so many hashes, for so much money over the whole window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sold {
    /// Lots.
    pub lots: i64,
    /// Hashes owed over the window; positive.
    pub hashes: u128,
    /// The contract price, as money for all of it.
    pub value: Minor,
    /// Money of one lot per tick over the window.
    pub tick_value: TickValue,
}

impl Sold {
    /// Money for a part of the hashes at the contract price, rounded half to even.
    #[must_use]
    pub fn money(&self, hashes: u128) -> Minor {
        Minor(share(self.value.0, hashes, self.hashes))
    }

    /// What a part of the hashes costs at another price beyond the contract price, rounded half to even
    /// once; negative if it is cheaper. The price is in millionths of a tick.
    #[must_use]
    pub fn difference(&self, hashes: u128, price_millionths: i128) -> Minor {
        let value = &self.tick_value;
        let market = i128::from(self.lots)
            .checked_mul(value.numerator.into())
            .and_then(|lots| lots.checked_mul(price_millionths));
        let contract = i128::from(self.value.0)
            .checked_mul(value.denominator.into())
            .and_then(|value| value.checked_mul(1_000_000));
        // Both lie far inside: prices below 2^36 ticks, lots and tick values below 2^30.
        let more = market
            .zip(contract)
            .and_then(|(market, contract)| market.checked_sub(contract))
            .unwrap_or(0);
        let whole = Wide::product(self.hashes, value.denominator.unsigned_abs().into());
        let top = Wide::product(hashes, more.unsigned_abs());
        let rounded = whole
            .times(Wide::from(1_000_000_u64))
            .and_then(|whole| top.divided_half_even(whole))
            .and_then(Wide::narrow)
            .and_then(|money| i64::try_from(money).ok())
            .unwrap_or(0);
        Minor(if more < 0 { -rounded } else { rounded })
    }

    /// What the seller owes for missing hashes, beyond the refund of the buyer's escrow: at least nothing,
    /// so that failing never pays.
    #[must_use]
    pub fn charge(&self, missing: u128, price: Imbalance) -> Minor {
        self.difference(missing, price.millionths())
            .max(Minor::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10 PH/s in lots of 0.1 for one hour, at 45,000 sat per PH/s and day.
    fn hour() -> Sold {
        Sold {
            lots: 100,
            hashes: 10_000_000_000_000_000 * 3_600,
            value: Minor(18_750),
            tick_value: TickValue {
                numerator: 1,
                denominator: 240,
            },
        }
    }

    /// T-IMB, figure by figure.
    #[test]
    fn the_imbalance_of_the_worked_example() {
        let sold = hour();
        let delivered = sold.hashes * 93 / 100;
        let price = Imbalance::new(Ticks(46_000), Some(Ticks(47_500)), Ppm(50_000));
        assert_eq!(price.in_ticks(), Ticks(49_875));
        let paid = sold.money(delivered);
        assert_eq!(paid, Minor(17_438), "9.3/24 × 45,000 = 17,437.5");
        let charge = sold.charge(sold.hashes - delivered, price);
        assert_eq!(charge, Minor(142), "0.7/24 × (49,875 − 45,000) = 142.1875");
        assert_eq!(
            sold.value - paid,
            Minor(1_312),
            "the escrow returns the rest"
        );
    }

    #[test]
    fn the_larger_of_index_and_spot_counts() {
        let index = Ticks(48_000);
        assert_eq!(
            Imbalance::new(index, Some(Ticks(47_500)), Ppm(0)).base,
            index
        );
        assert_eq!(
            Imbalance::new(index, None, Ppm(50_000)).in_ticks(),
            Ticks(50_400)
        );
        assert_eq!(mean_price(TickLots(95), 2), Some(Ticks(48)), "47.5 to even");
        assert_eq!(mean_price(TickLots(0), 0), None);
    }

    /// A seller who fails while the market falls gains nothing: the buyer gets his refund, no more.
    #[test]
    fn failing_never_pays() {
        let sold = hour();
        let cheap = Imbalance::new(Ticks(30_000), None, Ppm(50_000));
        assert_eq!(sold.charge(sold.hashes, cheap), Minor::ZERO);
        assert!(sold.difference(sold.hashes, cheap.millionths()) < Minor::ZERO);
    }

    #[test]
    fn a_tenth_petahash_for_an_hour_at_45_001() {
        let sold = Sold {
            lots: 1,
            hashes: 100_000_000_000_000 * 3_600,
            value: Minor(188),
            ..hour()
        };
        assert_eq!(sold.money(sold.hashes), Minor(188));
    }
}
