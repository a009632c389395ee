//! What a maker thinks a contract is worth: the index, carried forward, leaned against its inventory.
//!
//! Integers only. Growth and skew are parts per million; rounding is to the nearest tick.

use proto::common::v1::Decimal;

const PPM: i128 = 1_000_000;
const DAYS_PER_MONTH: i128 = 30;
/// The lean against inventory ends here, however large the position.
const SKEW_PPM_MAX: i64 = 4_000;

/// How one maker sees the future.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opinion {
    /// Expected growth of difficulty per month; hashprice falls by it. Small enough that a year of it
    /// stays inside a 10 % price band around the index.
    pub(super) growth_ppm_per_month: i64,
    /// Above or below the market in general.
    pub(super) bias_ppm: i64,
    /// Price moved against each lot of position.
    pub(super) skew_ppm_per_lot: i64,
}

/// An index value as a number of ticks, rounded half up; none if it does not fit or the tick is zero.
pub(super) fn in_ticks(value: &Decimal, tick: &Decimal) -> Option<i64> {
    let shift = value.exponent.checked_sub(tick.exponent)?;
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let (up, down) = match shift >= 0 {
        true => (power, 1),
        false => (1, power),
    };
    let numerator = i128::from(value.mantissa).checked_mul(up)?;
    let denominator = i128::from(tick.mantissa).checked_mul(down)?;
    if denominator <= 0 {
        return None;
    }
    i64::try_from((2 * numerator + denominator).div_euclid(2 * denominator)).ok()
}

/// Fair value in ticks of a contract whose delivery is centred `days_out` from now.
pub(super) fn fair(index_ticks: i64, days_out: i64, position_lots: i64, opinion: Opinion) -> i64 {
    let growth = i128::from(opinion.growth_ppm_per_month);
    let days = i128::from(days_out.clamp(0, 3_650));
    // A thousandth of a tick is carried through the months, so that twelve roundings do not add up.
    let mut value = i128::from(index_ticks) * 1_000;
    for _ in 0..days / DAYS_PER_MONTH {
        value = value * PPM / (PPM + growth);
    }
    let rest = growth * (days % DAYS_PER_MONTH) / DAYS_PER_MONTH;
    value = value * PPM / (PPM + rest);
    let skew = position_lots
        .saturating_mul(opinion.skew_ppm_per_lot)
        .clamp(-SKEW_PPM_MAX, SKEW_PPM_MAX);
    value = value * (PPM + i128::from(opinion.bias_ppm - skew)) / PPM;
    i64::try_from((value + 500).div_euclid(1_000)).unwrap_or(index_ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAT: Decimal = Decimal {
        mantissa: 1,
        exponent: -8,
    };
    const FLAT: Opinion = Opinion {
        growth_ppm_per_month: 0,
        bias_ppm: 0,
        skew_ppm_per_lot: 0,
    };

    #[test]
    fn millisat_become_ticks_of_a_satoshi() {
        let millisat = |mantissa| Decimal {
            mantissa,
            exponent: -11,
        };
        assert_eq!(in_ticks(&millisat(42_635_721), &SAT), Some(42_636));
        assert_eq!(in_ticks(&millisat(42_635_499), &SAT), Some(42_635));
        assert_eq!(in_ticks(&millisat(42_635_500), &SAT), Some(42_636));
        let dollar = Decimal {
            mantissa: 3_808,
            exponent: -2,
        };
        let cent = Decimal {
            mantissa: 1,
            exponent: -2,
        };
        assert_eq!(in_ticks(&dollar, &cent), Some(3_808));
        let nothing = Decimal {
            mantissa: 0,
            exponent: -8,
        };
        assert_eq!(in_ticks(&dollar, &nothing), None);
    }

    #[test]
    fn a_growing_difficulty_bends_the_curve_down() {
        let grows = Opinion {
            growth_ppm_per_month: 7_000,
            ..FLAT
        };
        assert_eq!(fair(400_000, 0, 0, grows), 400_000);
        let curve: Vec<i64> = (0..=12).map(|m| fair(400_000, 30 * m, 0, grows)).collect();
        assert!(curve.windows(2).all(|w| w[1] < w[0]));
        assert_eq!(curve[1], 397_219); // 400000 / 1.007 = 397219.46
        assert!(curve[12] > 360_000, "a year stays inside a 10 % band");
        assert_eq!(fair(400_000, 360, 0, FLAT), 400_000);
        let half = fair(400_000, 15, 0, grows);
        assert!(curve[1] < half && half < curve[0]);
    }

    #[test]
    fn a_long_maker_quotes_lower_but_only_so_far() {
        let leans = Opinion {
            skew_ppm_per_lot: 20,
            ..FLAT
        };
        assert_eq!(fair(400_000, 0, 10, leans), 399_920);
        assert_eq!(fair(400_000, 0, -10, leans), 400_080);
        assert_eq!(fair(400_000, 0, 1_000_000, leans), 398_400);
        assert_eq!(fair(400_000, 0, i64::MIN, leans), 401_600);
    }
}
