//! One side of a book: price levels by tick.
//!
//! ```text
//!   top      1 word    [ 0001 0100 ... ]                which groups of 64 x 64 ticks hold a level
//!   groups  64 words   [..][..][0010..][..]             which strips of 64 ticks hold a level
//!   strips  4,096      [ bits | page ] [ bits | page ]  which ticks hold a level, and where they lie
//!                               |
//!   pages              [ level | level | ... 64 ]       taken when the first level of a strip comes,
//!                                                       given back when its last one goes
//! ```
//!
//! The row covers 262,144 ticks around the first price. Best price, next price either way, insert and
//! remove touch three words and one page however empty the row is; nothing is ever walked. Prices
//! outside the row are kept in a sorted map: slower, but correct. The row is laid anew around the next
//! price whenever the side is empty.

use std::collections::BTreeMap;

use crate::{
    book::{NIL, Nodes},
    prefetch::prefetch,
    units::Ticks,
    visits::{Sorted, visit},
};

/// Ticks of a strip, strips of a group, groups of the row: the bits of a word.
const WORD: usize = 64;
const STRIPS: usize = WORD * WORD;
const ROW: usize = STRIPS * WORD;
/// Pages there is room for from the first level on.
const FIRST_PAGES: usize = 16;

/// One price: a queue of orders, first come first served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Slot of the oldest order.
    pub head: u32,
    /// Slot of the newest order.
    pub tail: u32,
    /// Sum of their visible lots.
    pub lots: i64,
    /// Orders.
    pub orders: u32,
}

impl Level {
    /// Slots of its queue, oldest first.
    pub fn slots<'a>(&self, nodes: &'a Nodes) -> impl Iterator<Item = u32> + 'a {
        let mut slot = self.head;
        std::iter::from_fn(move || {
            let here = slot;
            (here != NIL).then(|| {
                slot = nodes.at(here).next();
                here
            })
        })
    }

    pub(super) const EMPTY: Self = Self {
        head: NIL,
        tail: NIL,
        lots: 0,
        orders: 0,
    };
}

/// 64 neighbouring ticks.
#[derive(Clone, Copy, Debug)]
struct Strip {
    /// Bit n: tick n holds a level.
    bits: u64,
    /// Where its levels lie, while there are any.
    page: u32,
}

/// Price levels of one side.
#[derive(Debug, Default)]
pub(super) struct Ladder {
    /// Price of the row's first tick.
    base: i64,
    /// Empty until the first level comes.
    strips: Vec<Strip>,
    groups: Vec<u64>,
    top: u64,
    pages: Vec<[Level; WORD]>,
    free_pages: Vec<u32>,
    far: BTreeMap<Sorted<i64>, Level>,
}

impl Clone for Ladder {
    /// A copy with as much room.
    fn clone(&self) -> Self {
        let mut pages = Vec::with_capacity(self.pages.capacity());
        pages.extend_from_slice(&self.pages);
        let mut free_pages = Vec::with_capacity(self.free_pages.capacity());
        free_pages.extend_from_slice(&self.free_pages);
        Self {
            base: self.base,
            strips: self.strips.clone(),
            groups: self.groups.clone(),
            top: self.top,
            pages,
            free_pages,
            far: self.far.clone(),
        }
    }
}

/// Index of the lowest set bit at or above `from`.
fn bit_from(word: u64, from: usize) -> Option<usize> {
    let rest = word & (u64::MAX.checked_shl(u32::try_from(from).ok()?)?);
    (rest != 0).then(|| rest.trailing_zeros() as usize)
}

/// Index of the highest set bit at or below `to`.
fn bit_to(word: u64, to: usize) -> Option<usize> {
    let rest = word & (u64::MAX >> (WORD - 1 - to));
    (rest != 0).then(|| WORD - 1 - rest.leading_zeros() as usize)
}

impl Ladder {
    /// Where a price lies in the row, if it does.
    fn place(&self, price: Ticks) -> Option<usize> {
        // Below the row wraps around to far above it.
        let offset = price.0.wrapping_sub(self.base) as u64;
        (offset < ROW as u64 && !self.strips.is_empty()).then_some(offset as usize)
    }

    fn price(&self, place: usize) -> Ticks {
        Ticks(self.base + place as i64)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.top == 0 && self.far.is_empty()
    }

    pub(super) fn get(&self, price: Ticks) -> Option<&Level> {
        match self.place(price) {
            Some(place) => {
                let strip = self.strip(place / WORD);
                let here = strip.bits >> (place % WORD) & 1 == 1;
                here.then(|| {
                    visit();
                    &self.pages[strip.page as usize][place % WORD]
                })
            }
            None => self.far.get(&Sorted(price.0)),
        }
    }

    /// The level at a price, made if it is not there.
    pub(super) fn entry(&mut self, price: Ticks) -> &mut Level {
        let place = match self.place(price) {
            Some(place) => place,
            None if self.is_empty() => self.lay_around(price),
            None => return self.far.entry(Sorted(price.0)).or_insert(Level::EMPTY),
        };
        visit();
        let strip = &mut self.strips[place / WORD];
        if strip.bits == 0 {
            visit();
            strip.page = self.free_pages.pop().unwrap_or_else(|| {
                self.pages.push([Level::EMPTY; WORD]);
                self.pages.len() as u32 - 1
            });
            self.groups[place / WORD / WORD] |= 1 << (place / WORD % WORD);
            self.top |= 1 << (place / WORD / WORD);
        }
        strip.bits |= 1 << (place % WORD);
        visit();
        &mut self.pages[strip.page as usize][place % WORD]
    }

    /// Lays the empty row around a price.
    fn lay_around(&mut self, price: Ticks) -> usize {
        if self.strips.is_empty() {
            self.strips = vec![Strip { bits: 0, page: 0 }; STRIPS];
            self.groups = vec![0; WORD];
            self.pages.reserve(FIRST_PAGES);
            self.free_pages.reserve(FIRST_PAGES);
        }
        self.base = price.0 - (ROW / 2) as i64;
        ROW / 2
    }

    /// A level that is known to be there.
    pub(super) fn existing(&mut self, price: Ticks) -> Option<&mut Level> {
        match self.place(price) {
            Some(place) => {
                let page = self.strip(place / WORD).page;
                visit();
                Some(&mut self.pages[page as usize][place % WORD])
            }
            None => self.far.get_mut(&Sorted(price.0)),
        }
    }

    pub(super) fn remove(&mut self, price: Ticks) {
        let Some(place) = self.place(price) else {
            self.far.remove(&Sorted(price.0));
            return;
        };
        visit();
        let strip = &mut self.strips[place / WORD];
        visit();
        self.pages[strip.page as usize][place % WORD] = Level::EMPTY;
        strip.bits &= !(1 << (place % WORD));
        if strip.bits == 0 {
            self.free_pages.push(strip.page);
            visit();
            let group = &mut self.groups[place / WORD / WORD];
            *group &= !(1 << (place / WORD % WORD));
            if *group == 0 {
                self.top &= !(1 << (place / WORD / WORD));
            }
        }
    }

    /// Lowest price at or above.
    pub(super) fn at_or_above(&self, price: Ticks) -> Option<Ticks> {
        let offset = price.0.saturating_sub(self.base).max(0);
        let near = usize::try_from(offset)
            .ok()
            .and_then(|place| self.row_from(place));
        if self.far.is_empty() {
            return near;
        }
        let far = self.far.range(Sorted(price.0)..).next();
        let far = far.map(|(price, _)| Ticks(price.0));
        [near, far].into_iter().flatten().min()
    }

    /// Highest price at or below.
    pub(super) fn at_or_below(&self, price: Ticks) -> Option<Ticks> {
        let offset = price.0.saturating_sub(self.base);
        let near = usize::try_from(offset)
            .ok()
            .and_then(|place| self.row_to(place.min(ROW - 1)));
        if self.far.is_empty() {
            return near;
        }
        let far = self.far.range(..=Sorted(price.0)).next_back();
        let far = far.map(|(price, _)| Ticks(price.0));
        [near, far].into_iter().flatten().max()
    }

    fn strip(&self, strip: usize) -> Strip {
        visit();
        self.strips[strip]
    }

    fn group(&self, group: usize) -> u64 {
        visit();
        self.groups[group]
    }

    fn row_from(&self, place: usize) -> Option<Ticks> {
        if place >= ROW || self.top == 0 {
            return None;
        }
        let strip = place / WORD;
        if let Some(bit) = bit_from(self.strip(strip).bits, place % WORD) {
            return Some(self.price(strip * WORD + bit));
        }
        let next = match bit_from(self.group(strip / WORD), strip % WORD + 1) {
            Some(bit) => strip / WORD * WORD + bit,
            None => {
                let group = bit_from(self.top, strip / WORD + 1)?;
                group * WORD + self.group(group).trailing_zeros() as usize
            }
        };
        Some(self.price(next * WORD + self.strip(next).bits.trailing_zeros() as usize))
    }

    fn row_to(&self, place: usize) -> Option<Ticks> {
        if self.top == 0 {
            return None;
        }
        let highest = |word: u64| WORD - 1 - word.leading_zeros() as usize;
        let strip = place / WORD;
        if let Some(bit) = bit_to(self.strip(strip).bits, place % WORD) {
            return Some(self.price(strip * WORD + bit));
        }
        let below = |word: u64, bit: usize| bit.checked_sub(1).and_then(|bit| bit_to(word, bit));
        let next = match below(self.group(strip / WORD), strip % WORD) {
            Some(bit) => strip / WORD * WORD + bit,
            None => {
                let group = below(self.top, strip / WORD)?;
                group * WORD + highest(self.group(group))
            }
        };
        Some(self.price(next * WORD + highest(self.strip(next).bits)))
    }

    #[inline]
    pub(super) fn ask_strip(&self, price: Ticks) {
        if let Some(place) = self.place(price) {
            prefetch(&self.strips[place / WORD]);
        }
    }

    #[inline]
    pub(super) fn ask_level(&self, price: Ticks) {
        if let Some(place) = self.place(price)
            && let Some(page) = self.pages.get(self.strips[place / WORD].page as usize)
        {
            prefetch(&page[place % WORD]);
        }
    }

    /// Bytes of the structure, for the bound on memory per order.
    pub(super) fn bytes(&self) -> usize {
        self.strips.capacity() * size_of::<Strip>()
            + self.groups.capacity() * size_of::<u64>()
            + self.pages.capacity() * size_of::<[Level; WORD]>()
            + self.free_pages.capacity() * size_of::<u32>()
            + self.far.len() * 2 * size_of::<(i64, Level)>()
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
            let spread = [64, 4_096, 262_144, 2_000_000][(next() % 4) as usize];
            let price = 1_000_000 + (next() % spread) as i64 - (spread / 2) as i64;
            if next() % 2 == 0 {
                ladder.entry(Ticks(price)).orders = 1;
                plain.insert(price);
            } else if plain.remove(&price) {
                ladder.remove(Ticks(price));
            }
            let probe = 1_000_000 + (next() % spread) as i64 - (spread / 2) as i64;
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
