//! Unsigned integers of 256 bits: targets, work, and exact products before the one division. Short rather
//! than fast: indexes need them at a sample, delivery a few times an hour.

use std::cmp::Ordering;

/// 256 bits, least significant limb first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wide([u64; 4]);

impl Wide {
    /// One.
    pub const ONE: Self = Self([1, 0, 0, 0]);

    /// `self << bits`; bits beyond the 256th are lost.
    #[must_use]
    pub fn shifted_left(self, bits: u32) -> Self {
        let (limbs, rest) = ((bits / 64) as usize, bits % 64);
        let mut shifted = [0; 4];
        for (place, limb) in shifted.iter_mut().enumerate().skip(limbs) {
            *limb = self.0[place - limbs] << rest;
            if rest > 0 && place > limbs {
                *limb |= self.0[place - limbs - 1] >> (64 - rest);
            }
        }
        Self(shifted)
    }

    /// Bits up to the highest one that is set.
    #[must_use]
    pub fn bits(self) -> u32 {
        let highest = self.0.iter().rposition(|limb| *limb != 0);
        highest.map_or(0, |place| {
            64 * u32::try_from(place + 1).unwrap_or(4) - self.0[place].leading_zeros()
        })
    }

    /// The exact product of two halves.
    #[must_use]
    pub fn product(a: u128, b: u128) -> Self {
        let [first, second, third, fourth, ..] = Self::from(a).products(Self::from(b));
        Self([first, second, third, fourth])
    }

    /// Sum, or `None` beyond 256 bits.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        let mut sum = [0; 4];
        let mut carry = false;
        for (place, limb) in sum.iter_mut().enumerate() {
            let (part, over) = self.0[place].overflowing_add(other.0[place]);
            let (part, again) = part.overflowing_add(u64::from(carry));
            (*limb, carry) = (part, over || again);
        }
        (!carry).then_some(Self(sum))
    }

    /// Product, or `None` beyond 256 bits.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        let product = self.products(other);
        let fits = product[4..].iter().all(|limb| *limb == 0);
        fits.then_some(Self([product[0], product[1], product[2], product[3]]))
    }

    /// All eight limbs of the product.
    fn products(self, other: Self) -> [u64; 8] {
        let mut product = [0_u64; 8];
        for (place, left) in self.0.iter().enumerate() {
            let mut carry = 0_u128;
            for (offset, right) in other.0.iter().enumerate() {
                let at = place + offset;
                let sum = u128::from(*left) * u128::from(*right) + u128::from(product[at]) + carry;
                product[at] = low(sum);
                carry = sum >> 64;
            }
            product[place + 4] = low(carry);
        }
        product
    }

    /// Quotient and rest, or `None` for a division by zero.
    #[must_use]
    pub fn divided(self, by: Self) -> Option<(Self, Self)> {
        if by == Self::default() {
            return None;
        }
        let (mut quotient, mut rest) = (Self::default(), Self::default());
        for bit in (0..self.bits()).rev() {
            let overflowing = rest.0[3] >> 63 == 1;
            rest = rest.shifted_left(1);
            rest.0[0] |= (self.0[(bit / 64) as usize] >> (bit % 64)) & 1;
            if overflowing || rest >= by {
                rest = rest.minus(by);
                quotient.0[(bit / 64) as usize] |= 1 << (bit % 64);
            }
        }
        Some((quotient, rest))
    }

    /// `self / by` rounded half to even.
    #[must_use]
    pub fn divided_half_even(self, by: Self) -> Option<Self> {
        let (quotient, rest) = self.divided(by)?;
        // Not twice the rest, which may not fit: the rest against what is missing to the next whole.
        let up = match rest.cmp(&by.minus(rest)) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => quotient.0[0] & 1 == 1,
        };
        if up {
            quotient.plus(Self::ONE)
        } else {
            Some(quotient)
        }
    }

    /// `10^power`, or `None` beyond 256 bits.
    #[must_use]
    pub fn ten_to(power: u32) -> Option<Self> {
        (0..power).try_fold(Self::ONE, |ten, _| ten.times(Self::from(10_u64)))
    }

    /// Every bit turned over: of zero, the largest number.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(self.0.map(|limb| !limb))
    }

    /// Difference, or `None` below zero.
    #[must_use]
    pub fn less(self, other: Self) -> Option<Self> {
        (self >= other).then(|| self.minus(other))
    }

    /// As `u128`, if it fits.
    #[must_use]
    pub fn narrow(self) -> Option<u128> {
        let [first, second, third, fourth] = self.0;
        let small = u128::from(first) | u128::from(second) << 64;
        (third == 0 && fourth == 0).then_some(small)
    }

    /// `self - other`, which must not be larger; wraps like the difference inside a division must.
    fn minus(self, other: Self) -> Self {
        let mut difference = [0; 4];
        let mut borrow = false;
        for (place, limb) in difference.iter_mut().enumerate() {
            let (part, under) = self.0[place].overflowing_sub(other.0[place]);
            let (part, again) = part.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (part, under || again);
        }
        Self(difference)
    }
}

/// The lower half.
fn low(wide: u128) -> u64 {
    (wide & u128::from(u64::MAX)) as u64
}

impl From<u64> for Wide {
    fn from(small: u64) -> Self {
        Self([small, 0, 0, 0])
    }
}

impl From<u128> for Wide {
    fn from(small: u128) -> Self {
        Self([low(small), low(small >> 64), 0, 0])
    }
}

impl Ord for Wide {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `amount × part / whole`, rounded half to even; 0 if the whole is nothing.
#[must_use]
pub fn share(amount: i64, part: u128, whole: u128) -> i64 {
    let exact = Wide::product(amount.unsigned_abs().into(), part);
    let rounded = exact.divided_half_even(Wide::from(whole));
    let rounded = rounded.and_then(Wide::narrow).unwrap_or(0);
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
                let back = exact.divided_half_even(Wide::from(b));
                assert_eq!(back.and_then(Wide::narrow), Some(a), "{a} × {b} / {b}");
                if let Some(narrow) = a.checked_mul(b) {
                    assert_eq!(exact, Wide::from(narrow));
                }
            }
        }
        let most = Wide::product(u128::MAX, u128::MAX);
        assert_eq!(most, Wide([1, 0, u64::MAX - 1, u64::MAX]));
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
