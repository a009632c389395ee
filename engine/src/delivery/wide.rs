//! Products of two wide integers, compared and divided without losing a digit.
//!
//! A day of an exahash is 2^76 hashes and the value of a contract 2^60: their product fits no integer of
//! the language. Only settlement and tests of shortfall need it, a few times an hour, so it is short
//! rather than fast.

/// An integer of 256 bits, without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wide {
    high: u128,
    low: u128,
}

impl Wide {
    const ZERO: Self = Self { high: 0, low: 0 };

    /// The exact product.
    #[must_use]
    pub fn product(a: u128, b: u128) -> Self {
        const HALF: u128 = u64::MAX as u128;
        let (a1, a0, b1, b0) = (a >> 64, a & HALF, b >> 64, b & HALF);
        let (low, middle, other) = (a0 * b0, a1 * b0, a0 * b1);
        let carry = (low >> 64) + (middle & HALF) + (other & HALF);
        Self {
            high: a1 * b1 + (middle >> 64) + (other >> 64) + (carry >> 64),
            low: (low & HALF) | (carry << 64),
        }
    }

    /// Times a number below 2^32; what lies beyond 256 bits is lost, and no caller comes near.
    #[must_use]
    pub fn times(self, factor: u32) -> Self {
        let factor = u128::from(factor);
        let low = Self::product(self.low, factor);
        Self {
            high: self.high.wrapping_mul(factor).wrapping_add(low.high),
            low: low.low,
        }
    }

    fn bit(self, place: u32) -> bool {
        match place {
            0..128 => self.low >> place & 1 == 1,
            _ => self.high >> (place - 128) & 1 == 1,
        }
    }

    fn doubled(self) -> Self {
        Self {
            high: self.high << 1 | self.low >> 127,
            low: self.low << 1,
        }
    }

    fn less(self, other: Self) -> Self {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        Self {
            high: self
                .high
                .wrapping_sub(other.high)
                .wrapping_sub(borrow.into()),
            low,
        }
    }

    /// Quotient rounded half to even; `None` for a divisor of zero or above 2^254, or a quotient that
    /// does not fit.
    #[must_use]
    pub fn over(self, divisor: Self) -> Option<u128> {
        if divisor == Self::ZERO || divisor.high >> 126 != 0 {
            return None;
        }
        let (mut rest, mut quotient) = (Self::ZERO, 0_u128);
        for place in (0..256).rev() {
            rest = rest.doubled();
            rest.low |= u128::from(self.bit(place));
            if quotient >> 127 != 0 {
                return None;
            }
            quotient <<= 1;
            if rest >= divisor {
                rest = rest.less(divisor);
                quotient |= 1;
            }
        }
        let up = match rest.doubled().cmp(&divisor) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Greater => 1,
            std::cmp::Ordering::Equal => quotient & 1,
        };
        quotient.checked_add(up)
    }
}

/// `amount × part / whole`, rounded half to even; 0 if the whole is nothing.
#[must_use]
pub fn share(amount: i64, part: u128, whole: u128) -> i64 {
    let size = u128::from(amount.unsigned_abs());
    let exact = Wide::product(size, part);
    let rounded = exact.over(Wide::product(whole, 1)).unwrap_or(0);
    let rounded = i64::try_from(rounded).unwrap_or(i64::MAX);
    if amount < 0 { -rounded } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_quotients_are_exact() {
        let near = [
            0,
            1,
            2,
            3,
            7,
            u128::from(u64::MAX),
            1 << 64,
            (1 << 90) + 12_345,
        ];
        for a in near {
            for b in near.into_iter().filter(|b| *b > 0) {
                let exact = Wide::product(a, b);
                assert_eq!(exact.over(Wide::product(b, 1)), Some(a), "{a} × {b} / {b}");
                if let Some(narrow) = a.checked_mul(b) {
                    assert_eq!((exact.high, exact.low), (0, narrow));
                }
            }
        }
        let most = Wide::product(u128::MAX, u128::MAX);
        assert_eq!((most.high, most.low), (u128::MAX - 1, 1));
    }

    #[test]
    fn half_goes_to_the_even_neighbour() {
        for (amount, part, whole, want) in [
            (5, 1, 2, 2),
            (7, 1, 2, 4),
            (-7, 1, 2, -4),
            (1, 2, 3, 1),
            (9, 1, 0, 0),
        ] {
            assert_eq!(
                share(amount, part, whole),
                want,
                "{amount} × {part} / {whole}"
            );
        }
        // A day of an exahash, of a value of 10^18: beyond 128 bits.
        let day = 86_400_u128 * 1_000_000_000_000_000_000;
        assert_eq!(
            share(1_000_000_000_000_000_001, day / 2, day),
            500_000_000_000_000_000
        );
    }
}
