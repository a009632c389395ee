//! Units are types. A price is not a size, and neither is money.
//!
//! Only products the trade would say aloud exist: a price times a size over a contract's tick value is
//! money. Everything is an integer; intermediate products are `i128`; each rounding has a name.

use bincode::{Decode, Encode};

/// Declares a transparent integer unit with addition, subtraction and comparison, and nothing else.
macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(pub $inner);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);

            /// Sum, or `None` beyond the integer's range.
            #[must_use]
            pub fn plus(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).map(Self)
            }
        }

        impl std::ops::Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl std::ops::Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl std::ops::Neg for $name {
            type Output = Self;
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }

        impl std::ops::AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl std::ops::SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                self.0 -= other.0;
            }
        }
    };
}

unit! {
    /// A price in ticks of its contract.
    Ticks(i64)
}
unit! {
    /// A quantity in lots of its contract; signed where it is a position.
    Lots(i64)
}
unit! {
    /// Money in the smallest unit of an asset: satoshi, micro-dollar.
    Minor(i64)
}
unit! {
    /// UTC nanoseconds since 1970-01-01; 0 = not set. Comes inside a command, is never read from a clock.
    Nanos(i64)
}
unit! {
    /// Sum of price times lots: what a position cost, before it becomes money.
    TickLots(i128)
}

/// Nanoseconds in one second.
pub const SECOND: i64 = 1_000_000_000;
/// Nanoseconds in one millisecond.
pub const MILLISECOND: i64 = 1_000_000;
/// Nanoseconds in one UTC day (leap seconds do not exist here).
pub const DAY: i64 = 86_400 * SECOND;

impl Ticks {
    /// Price times size.
    #[must_use]
    pub fn times(self, lots: Lots) -> TickLots {
        TickLots(i128::from(self.0) * i128::from(lots.0))
    }
}

impl Nanos {
    /// This moment plus a span in nanoseconds, at most the end of time.
    #[must_use]
    pub fn after(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The next UTC midnight after this moment.
    #[must_use]
    pub fn end_of_utc_day(self) -> Self {
        Self((self.0.div_euclid(DAY) + 1) * DAY)
    }

    /// The UTC month this moment lies in, counted from January of year 0; 0 before that. Source: Howard
    /// Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
    #[must_use]
    pub fn utc_month(self) -> u32 {
        let days = self.0.div_euclid(DAY) + 719_468;
        let era = days.div_euclid(146_097);
        let day = days.rem_euclid(146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        // Months from March on, which begins the year here.
        let month = (5 * day + 2) / 153;
        u32::try_from(12 * (era * 400 + year) + month + 2).unwrap_or(0)
    }
}

/// Parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Ppm(pub i32);

/// One million parts per million.
pub const PPM: i128 = 1_000_000;
const SMALL_PPM: i64 = 1_000_000;

impl Ppm {
    /// This share of an amount, rounded half to even.
    #[must_use]
    pub fn of(self, amount: Minor) -> Minor {
        match amount.0.checked_mul(i64::from(self.0)) {
            Some(exact) => Minor(half_even(exact, SMALL_PPM)),
            None => {
                let exact = i128::from(amount.0) * i128::from(self.0);
                Minor(narrow(div_half_even(exact, PPM)))
            }
        }
    }

    /// This share of an amount, rounded up; zero if the share is negative. For holds.
    #[must_use]
    pub fn of_rounded_up(self, amount: Minor) -> Minor {
        match amount.0.checked_mul(i64::from(self.0.max(0))) {
            Some(exact) => Minor(up(exact, SMALL_PPM)),
            None => {
                let exact = i128::from(amount.0) * i128::from(self.0.max(0));
                Minor(narrow(div_up(exact, PPM)))
            }
        }
    }
}

/// Exact decimal: `mantissa * 10^exponent`. Reference data and index values only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Decimal {
    /// Digits.
    pub mantissa: i64,
    /// Power of ten, -18..=18.
    pub exponent: i32,
}

impl Decimal {
    /// `self / other` rounded half to even, or `None` if `other` is zero or a power does not fit.
    #[must_use]
    pub fn ratio(self, other: Self) -> Option<i64> {
        let (top, bottom) = self.over(other)?;
        i64::try_from(div_half_even(top, bottom)).ok()
    }

    /// How many times `other` this is, as an exact fraction `top / bottom`, the sign of `bottom` that of
    /// `other`; none if `other` is zero or a side does not fit.
    #[must_use]
    pub fn over(self, other: Self) -> Option<(i128, i128)> {
        let shift = self.exponent.checked_sub(other.exponent)?;
        let scale = 10_i128.checked_pow(shift.unsigned_abs())?;
        let (mut top, mut bottom) = (i128::from(self.mantissa), i128::from(other.mantissa));
        if shift >= 0 {
            top = top.checked_mul(scale)?;
        } else {
            bottom = bottom.checked_mul(scale)?;
        }
        (bottom != 0).then_some((top, bottom))
    }
}

/// Money of one lot when the price moves by one tick over the whole window, as an exact fraction.
///
/// Example: tick 1 sat per PH/s and day, lot 1 PH/s, 31 days: 31/1. Hour block of 0.1 PH/s: 1/240.
/// Source: `hashpit.reference.v1.Instrument`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TickValue {
    /// Above the line; positive.
    pub numerator: i64,
    /// Below the line; positive.
    pub denominator: i64,
}

impl TickValue {
    /// Of a part of a window that is empty.
    pub const NOTHING: Self = Self {
        numerator: 0,
        denominator: 1,
    };

    /// Money for an exposure of `top / bottom`, rounded half to even once; `bottom` positive.
    #[must_use]
    pub fn money_of_fraction(self, top: i128, bottom: i128) -> Minor {
        let exact = top.saturating_mul(i128::from(self.numerator));
        let below = bottom.saturating_mul(i128::from(self.denominator));
        Minor(narrow(div_half_even(exact, below)))
    }

    /// Money for a sum of price times lots, rounded half to even: the one rounding of a posting.
    #[must_use]
    pub fn money(self, exposure: TickLots) -> Minor {
        let small = i64::try_from(exposure.0).ok();
        match small.and_then(|exposure| exposure.checked_mul(self.numerator)) {
            Some(exact) => Minor(half_even(exact, self.denominator)),
            None => {
                let exact = exposure.0 * i128::from(self.numerator);
                Minor(narrow(div_half_even(exact, i128::from(self.denominator))))
            }
        }
    }

    /// Money for one lot at this price, rounded up, at least zero. For holds: adding it up lot by lot
    /// never falls short of what any split into fills can post.
    #[must_use]
    pub fn lot_up(self, price: Ticks) -> Minor {
        match price.0.max(0).checked_mul(self.numerator) {
            Some(exact) => Minor(up(exact, self.denominator)),
            None => {
                let exact = i128::from(price.0.max(0)) * i128::from(self.numerator);
                Minor(narrow(div_up(exact, i128::from(self.denominator))))
            }
        }
    }

    /// Money for one lot at this price times a share, rounded up once. For margin and bonds.
    #[must_use]
    pub fn lot_share_up(self, price: Ticks, share: Ppm) -> Minor {
        let exact = i128::from(price.0.max(0)) * i128::from(self.numerator) * i128::from(share.0);
        Minor(narrow(div_up(exact, i128::from(self.denominator) * PPM)))
    }

    /// Money of an order's price times lots, where contracts count whole units and everything is far from
    /// the edge of the integers: the common case, without a division.
    #[must_use]
    pub fn small_money(self, price: Ticks, lots: Lots) -> Option<Minor> {
        if self.denominator != 1 {
            return None;
        }
        let value = price.0.checked_mul(lots.0)?.checked_mul(self.numerator)?;
        (value.unsigned_abs() < (i64::MAX / 8) as u64).then_some(Minor(value))
    }

    /// Whether `price * lots` and its money fit the integers used everywhere else.
    #[must_use]
    pub fn fits(self, price: Ticks, lots: Lots) -> bool {
        let small = price.0.checked_mul(lots.0);
        if let Some(exact) = small.and_then(|exact| exact.checked_mul(self.numerator)) {
            return exact.unsigned_abs() / self.denominator.unsigned_abs() < (i64::MAX / 8) as u64;
        }
        let exact = price.times(lots).0.abs() * i128::from(self.numerator);
        exact / i128::from(self.denominator) < i128::from(i64::MAX / 8)
    }
}

impl Minor {
    /// This amount times a count of lots; saturates far above every admitted order.
    #[must_use]
    pub fn for_lots(self, lots: Lots) -> Minor {
        let small = self.0.checked_mul(lots.0);
        Minor(small.unwrap_or_else(|| narrow(i128::from(self.0) * i128::from(lots.0))))
    }
}

/// Division rounded half to even; the divisor must not be zero.
#[must_use]
pub fn div_half_even(top: i128, bottom: i128) -> i128 {
    if let (Ok(top), Ok(bottom @ 1..)) = (i64::try_from(top), i64::try_from(bottom)) {
        return half_even(top, bottom).into();
    }
    let (top, bottom) = if bottom < 0 {
        (-top, -bottom)
    } else {
        (top, bottom)
    };
    let floor = top.div_euclid(bottom);
    let twice = top.rem_euclid(bottom) * 2;
    match twice.cmp(&bottom) {
        std::cmp::Ordering::Less => floor,
        std::cmp::Ordering::Greater => floor + 1,
        std::cmp::Ordering::Equal => floor + (floor & 1),
    }
}

/// Division rounded up; the divisor must be positive.
#[must_use]
pub fn div_up(top: i128, bottom: i128) -> i128 {
    -((-top).div_euclid(bottom))
}

/// As [`div_half_even`] in half the width, where the processor divides ten times faster; most contracts
/// count whole units and need no division at all.
fn half_even(top: i64, bottom: i64) -> i64 {
    if bottom == 1 {
        return top;
    }
    let (floor, rest) = (top.div_euclid(bottom), top.rem_euclid(bottom));
    match (rest.unsigned_abs() * 2).cmp(&bottom.unsigned_abs()) {
        std::cmp::Ordering::Less => floor,
        std::cmp::Ordering::Greater => floor + 1,
        std::cmp::Ordering::Equal => floor + (floor & 1),
    }
}

/// As [`div_up`] in half the width.
fn up(top: i64, bottom: i64) -> i64 {
    if bottom == 1 {
        return top;
    }
    top.div_euclid(bottom) + i64::from(top.rem_euclid(bottom) != 0)
}

/// Into the range of money. Admission keeps every amount far inside it, so the clamp is a belt that
/// shows in the conservation check rather than a wrap that hides.
fn narrow(wide: i128) -> i64 {
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN / 2 } else { i64::MAX / 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_goes_to_the_even_neighbour() {
        let cases = [
            (5, 2, 2),
            (7, 2, 4),
            (-5, 2, -2),
            (-7, 2, -4),
            (1, 3, 0),
            (2, 3, 1),
        ];
        for (top, bottom, want) in cases {
            assert_eq!(div_half_even(top, bottom), want, "{top}/{bottom}");
        }
    }

    /// The short way and the long way are one: amounts on both sides of what fits the half width.
    #[test]
    fn the_short_way_rounds_like_the_long_one() {
        let amounts = [
            0,
            1,
            7,
            499_999,
            500_000,
            1_500_000,
            i64::MAX / 2_000_000,
            1 << 60,
        ];
        let rates = [-1_000_000, -150, -1, 0, 1, 20, 150, 999_999, 1_000_001];
        for amount in amounts.into_iter().flat_map(|amount| [amount, -amount]) {
            for rate in rates {
                let exact = i128::from(amount) * i128::from(rate);
                let want = narrow(div_half_even(exact, PPM));
                assert_eq!(
                    Ppm(rate).of(Minor(amount)),
                    Minor(want),
                    "{rate} of {amount}"
                );
                let exact = i128::from(amount) * i128::from(rate.max(0));
                let want = narrow(div_up(exact, PPM));
                assert_eq!(Ppm(rate).of_rounded_up(Minor(amount)), Minor(want));
            }
            for (numerator, denominator) in [(1, 1), (31, 1), (1, 240), (7, 3), (1 << 29, 6)] {
                let value = TickValue {
                    numerator,
                    denominator,
                };
                let (wide, bottom) = (i128::from(numerator), i128::from(denominator));
                let want = narrow(div_half_even(i128::from(amount) * wide, bottom));
                assert_eq!(value.money(TickLots(amount.into())), Minor(want));
                let want = narrow(div_up(i128::from(amount.max(0)) * wide, bottom));
                assert_eq!(value.lot_up(Ticks(amount)), Minor(want));
            }
        }
    }

    #[test]
    fn an_hour_block_of_a_tenth_petahash_costs_188_sat() {
        // domain.md test n: 45,001 sat per PH/s and day, 0.1 PH/s, one hour = 187.504.
        let hour = TickValue {
            numerator: 1,
            denominator: 240,
        };
        assert_eq!(hour.money(Ticks(45_001).times(Lots(1))), Minor(188));
        assert_eq!(hour.lot_up(Ticks(45_001)), Minor(188));
    }

    #[test]
    fn margin_of_the_worked_example() {
        // domain.md T-MAR, with the mark in whole ticks as contracts carry it.
        let month = TickValue {
            numerator: 31,
            denominator: 1,
        };
        let lot = month.lot_share_up(Ticks(42_636), Ppm(180_000));
        assert_eq!(lot, Minor(237_909));
        assert_eq!(
            month.money(Ticks(42_000).times(Lots(50))),
            Minor(65_100_000)
        );
    }

    #[test]
    fn a_decimal_divides_by_a_tick() {
        let value = Decimal {
            mantissa: 42_635_721,
            exponent: -11,
        };
        let tick = Decimal {
            mantissa: 1,
            exponent: -8,
        };
        assert_eq!(value.ratio(tick), Some(42_636));
        assert_eq!(value.ratio(Decimal::default()), None);
    }
}
