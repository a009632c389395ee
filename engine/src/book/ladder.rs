//! One side of a book: price levels by tick.
//!
//! ```text
//!  words of 64 words:   [ 0001 0100 ... ]            which words are not empty
//!  words of 64 ticks:   [..][..][0010..][..]         which ticks have a level
//!  levels:               a dense row of 2^14 ticks around the first price, plus a sorted map
//!                        for prices far outside of it
//! ```
//!
//! Best price, next price either way, insert and remove touch a fixed number of words however empty
//! the row is. The far map is slower but correct; the row is laid anew around the next price whenever
//! the side is empty.

use std::collections::BTreeMap;

use crate::{order::NIL, units::Ticks};

const WORDS: usize = 256;
const ROW: usize = WORDS * 64;

/// One price: a queue of orders, first come first served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Slot of the oldest order.
    pub head: u32,
    /// Slot of the newest order.
    pub tail: u32,
    /// Orders.
    pub orders: u32,
    /// Sum of their open lots.
    pub lots: i64,
}

impl Level {
    pub(super) const EMPTY: Self = Self {
        head: NIL,
        tail: NIL,
        orders: 0,
        lots: 0,
    };
}

/// Price levels of one side.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    /// Price of the row's first tick.
    base: i64,
    row: Vec<Level>,
    ticks: Vec<u64>,
    words: [u64; WORDS / 64],
    far: BTreeMap<i64, Level>,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            base: 0,
            row: Vec::new(),
            ticks: vec![0; WORDS],
            words: [0; WORDS / 64],
            far: BTreeMap::new(),
        }
    }
}

impl Ladder {
    fn place(&self, price: Ticks) -> Option<usize> {
        let offset = usize::try_from(price.0.checked_sub(self.base)?).ok()?;
        (offset < self.row.len()).then_some(offset)
    }

    fn price(&self, place: usize) -> Ticks {
        Ticks(self.base + i64::try_from(place).unwrap_or(0))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0) && self.far.is_empty()
    }

    pub(super) fn get(&self, price: Ticks) -> Option<&Level> {
        match self.place(price) {
            Some(place) => Some(&self.row[place]).filter(|level| level.orders > 0),
            None => self.far.get(&price.0),
        }
    }

    /// The level at a price, made if it is not there.
    pub(super) fn entry(&mut self, price: Ticks) -> &mut Level {
        if self.is_empty() && self.place(price).is_none() {
            self.row.resize(ROW, Level::EMPTY);
            self.base = price.0 - i64::try_from(ROW / 2).unwrap_or(0);
        }
        match self.place(price) {
            Some(place) => {
                self.ticks[place / 64] |= 1 << (place % 64);
                self.words[place / 4096] |= 1 << (place / 64 % 64);
                &mut self.row[place]
            }
            None => self.far.entry(price.0).or_insert(Level::EMPTY),
        }
    }

    /// A level that is known to be there.
    pub(super) fn existing(&mut self, price: Ticks) -> Option<&mut Level> {
        match self.place(price) {
            Some(place) => Some(&mut self.row[place]),
            None => self.far.get_mut(&price.0),
        }
    }

    pub(super) fn remove(&mut self, price: Ticks) {
        let Some(place) = self.place(price) else {
            self.far.remove(&price.0);
            return;
        };
        self.row[place] = Level::EMPTY;
        self.ticks[place / 64] &= !(1 << (place % 64));
        if self.ticks[place / 64] == 0 {
            self.words[place / 4096] &= !(1 << (place / 64 % 64));
        }
    }

    /// Lowest price at or above.
    pub(super) fn at_or_above(&self, price: Ticks) -> Option<Ticks> {
        let offset = price.0.saturating_sub(self.base).max(0);
        let near = usize::try_from(offset)
            .ok()
            .and_then(|place| self.row_above(place));
        let far = self
            .far
            .range(price.0..)
            .next()
            .map(|(price, _)| Ticks(*price));
        [near, far].into_iter().flatten().min()
    }

    /// Highest price at or below.
    pub(super) fn at_or_below(&self, price: Ticks) -> Option<Ticks> {
        let offset = price.0.saturating_sub(self.base);
        let near = usize::try_from(offset)
            .ok()
            .and_then(|place| self.row_below(place.min(ROW - 1)));
        let far = self
            .far
            .range(..=price.0)
            .next_back()
            .map(|(price, _)| Ticks(*price));
        [near, far].into_iter().flatten().max()
    }

    fn row_above(&self, place: usize) -> Option<Ticks> {
        if place >= ROW {
            return None;
        }
        let word = place / 64;
        let bits = self.ticks[word] & (u64::MAX << (place % 64));
        if bits != 0 {
            return Some(self.price(word * 64 + bits.trailing_zeros() as usize));
        }
        let mut group = (word + 1) / 64;
        let mut mask = u64::MAX << ((word + 1) % 64);
        while group < self.words.len() {
            let bits = self.words[group] & mask;
            if bits != 0 {
                let word = group * 64 + bits.trailing_zeros() as usize;
                return Some(self.price(word * 64 + self.ticks[word].trailing_zeros() as usize));
            }
            group += 1;
            mask = u64::MAX;
        }
        None
    }

    fn row_below(&self, place: usize) -> Option<Ticks> {
        let word = place / 64;
        let bits = self.ticks[word] & (u64::MAX >> (63 - place % 64));
        if bits != 0 {
            return Some(self.price(word * 64 + 63 - bits.leading_zeros() as usize));
        }
        let last = word.checked_sub(1)?;
        let mut group = last / 64;
        let mut mask = u64::MAX >> (63 - last % 64);
        loop {
            let bits = self.words[group] & mask;
            if bits != 0 {
                let word = group * 64 + 63 - bits.leading_zeros() as usize;
                return Some(
                    self.price(word * 64 + 63 - self.ticks[word].leading_zeros() as usize),
                );
            }
            group = group.checked_sub(1)?;
            mask = u64::MAX;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a plain sorted set, over prices near, at the edges of the row, and far away.
    #[test]
    fn neighbours_agree_with_a_sorted_set() {
        let mut ladder = Ladder::default();
        let mut plain = std::collections::BTreeSet::new();
        let mut seed = 7_u64;
        let mut next = move || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            seed >> 33
        };
        for step in 0..20_000 {
            let spread = [64, 4_096, 16_384, 200_000][(next() % 4) as usize];
            let price = 100_000 + (next() % spread) as i64 - (spread / 2) as i64;
            if next() % 2 == 0 {
                ladder.entry(Ticks(price)).orders = 1;
                plain.insert(price);
            } else if plain.remove(&price) {
                ladder.remove(Ticks(price));
            }
            let probe = 100_000 + (next() % spread) as i64 - (spread / 2) as i64;
            let above = plain.range(probe..).next().map(|price| Ticks(*price));
            let below = plain.range(..=probe).next_back().map(|price| Ticks(*price));
            assert_eq!(
                ladder.at_or_above(Ticks(probe)),
                above,
                "step {step} above {probe}"
            );
            assert_eq!(
                ladder.at_or_below(Ticks(probe)),
                below,
                "step {step} below {probe}"
            );
            assert_eq!(ladder.is_empty(), plain.is_empty());
        }
    }
}
