//! Two sides of one contract. Orders wait here, best price first, oldest first.
//!
//! ```text
//!   Book ── bids ─ Ladder: price -> Level { head, tail, lots, orders }
//!        └─ asks ─ Ladder                      |      |
//!                                              v      v
//!   Nodes (all books, by slot):  [ 32 bytes ]<->[ 32 bytes ]<->[ 32 bytes ]
//! ```
//!
//! Bounds: entering, cancelling, filling, and finding the best or the next price touch a fixed number of
//! words, whatever the depth of the book, the length of a queue, or the distance between two prices
//! ([`ladder`]). A resting order takes 32 bytes here, plus its share of a level (24 bytes) and of a page
//! of 64 levels. Nothing is allocated per order; pages are used again.

use crate::{
    command::Side,
    order::Orders,
    units::{Lots, Ticks},
};

mod ladder;
mod nodes;

pub use ladder::Level;
pub use nodes::{NIL, Node, Nodes};

/// The order book of one contract. It owns the queues; the places in them lie in [`Nodes`].
#[derive(Clone, Debug)]
pub struct Book {
    sides: [ladder::Ladder; 2],
    /// Best price of each side, kept along: every incoming order looks at it. [`nothing`] if empty.
    best: [Ticks; 2],
}

impl Default for Book {
    fn default() -> Self {
        Self {
            sides: Default::default(),
            best: [nothing(Side::Buy), nothing(Side::Sell)],
        }
    }
}

/// A best price that no order of the other side accepts.
fn nothing(side: Side) -> Ticks {
    match side {
        Side::Buy => Ticks(i64::MIN),
        Side::Sell => Ticks(i64::MAX),
    }
}

impl Book {
    fn side(&self, side: Side) -> &ladder::Ladder {
        &self.sides[side as usize]
    }

    fn side_mut(&mut self, side: Side) -> &mut ladder::Ladder {
        &mut self.sides[side as usize]
    }

    /// Best price of a side.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<Ticks> {
        let best = self.best[side as usize];
        (best != nothing(side)).then_some(best)
    }

    /// Next worse price of a side.
    #[must_use]
    pub fn worse(&self, side: Side, price: Ticks) -> Option<Ticks> {
        match side {
            Side::Buy => self.side(side).at_or_below(Ticks(price.0.checked_sub(1)?)),
            Side::Sell => self.side(side).at_or_above(Ticks(price.0.checked_add(1)?)),
        }
    }

    /// The level at a price, if there is one.
    #[must_use]
    pub fn level(&self, side: Side, price: Ticks) -> Option<&Level> {
        self.side(side).get(price)
    }

    /// Levels of a side, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = (Ticks, &Level)> {
        let mut price = self.best(side);
        std::iter::from_fn(move || {
            let here = price?;
            price = self.worse(side, here);
            Some((here, self.side(side).get(here)?))
        })
    }

    /// Slot of the first order in the queue at the best price.
    #[must_use]
    pub fn first(&self, side: Side) -> Option<u32> {
        self.level(side, self.best(side)?).map(|level| level.head)
    }

    /// Best price of a side, and the slot of the first order there.
    #[must_use]
    pub fn front(&self, side: Side) -> Option<(Ticks, u32)> {
        let price = self.best(side)?;
        Some((price, self.level(side, price)?.head))
    }

    /// Slot of the order that is matched after this one: behind it, or first at the next price;
    /// [`NIL`] if it is the last.
    #[must_use]
    pub fn behind(&self, nodes: &Nodes, slot: u32) -> u32 {
        let Node {
            next, side, price, ..
        } = *nodes.at(slot);
        if next != NIL {
            return next;
        }
        let worse = self.worse(side, price);
        worse
            .and_then(|price| self.level(side, price))
            .map_or(NIL, |level| level.head)
    }

    /// Slots of a side in matching order.
    pub fn queue<'a>(&'a self, side: Side, orders: &'a Orders) -> impl Iterator<Item = u32> + 'a {
        self.slots(side, orders.nodes())
    }

    /// As [`Self::queue`], for a book alone.
    pub fn slots<'a>(&'a self, side: Side, nodes: &'a Nodes) -> impl Iterator<Item = u32> + 'a {
        self.levels(side)
            .flat_map(move |(_, level)| level.slots(nodes))
    }

    /// Whether an order at this price would trade at once.
    #[must_use]
    pub fn crosses(&self, side: Side, price: Ticks) -> bool {
        side.accepts(price, self.best[side.opposite() as usize])
    }

    /// Puts an order at the back of its price.
    pub fn rest(&mut self, nodes: &mut Nodes, slot: u32, order: Node) {
        let best = &mut self.best[order.side as usize];
        if order.side.accepts(order.price, *best) {
            *best = order.price;
        }
        let level = self.side_mut(order.side).entry(order.price);
        let last = std::mem::replace(&mut level.tail, slot);
        level.orders += 1;
        level.lots += order.lots.0;
        if last == NIL {
            level.head = slot;
        } else {
            nodes.at_mut(last).next = slot;
        }
        *nodes.at_mut(slot) = Node {
            prev: last,
            next: NIL,
            ..order
        };
    }

    /// Takes visible lots off a resting order and its level, after a fill or a cut. An order without
    /// any stays in its place until it is removed.
    pub fn shrink(&mut self, nodes: &mut Nodes, slot: u32, lots: Lots) {
        let node = nodes.at_mut(slot);
        node.lots -= lots;
        if let Some(level) = self.side_mut(node.side).existing(node.price) {
            level.lots -= lots.0;
        }
    }

    /// Shows so many lots of a resting order.
    pub fn show(&mut self, nodes: &mut Nodes, slot: u32, lots: Lots) {
        let less = nodes.at(slot).lots - lots;
        self.shrink(nodes, slot, less);
    }

    /// Takes an order out of its queue.
    pub fn remove(&mut self, nodes: &mut Nodes, slot: u32) {
        let Node {
            prev,
            next,
            lots,
            price,
            side,
            ..
        } = *nodes.at(slot);
        if prev != NIL {
            nodes.at_mut(prev).next = next;
        }
        if next != NIL {
            nodes.at_mut(next).prev = prev;
        }
        let ladder = self.side_mut(side);
        let Some(level) = ladder.existing(price) else {
            return;
        };
        if prev == NIL {
            level.head = next;
        }
        if next == NIL {
            level.tail = prev;
        }
        level.orders -= 1;
        level.lots -= lots.0;
        if level.orders == 0 {
            assert_eq!(level.lots, 0, "an empty level holds no lots");
            ladder.remove(price);
            if self.best[side as usize] == price {
                self.best[side as usize] = self.worse(side, price).unwrap_or(nothing(side));
            }
        }
    }

    /// First step of looking ahead to an order at a price: asks for where its level is found.
    #[inline]
    pub fn ask_price(&self, side: Side, price: Ticks) {
        self.side(side).ask_strip(price);
    }

    /// Second step: asks for the level.
    #[inline]
    pub fn ask_level(&self, side: Side, price: Ticks) {
        self.side(side).ask_level(price);
    }

    /// Third step: asks for the order behind which the next one will stand.
    #[inline]
    pub fn ask_last(&self, nodes: &Nodes, side: Side, price: Ticks) {
        if let Some(level) = self.level(side, price) {
            nodes.ask(level.tail);
        }
    }

    /// Looking ahead to the removal of a place that was asked for before: asks for its neighbours and
    /// its level.
    #[inline]
    pub fn ask_around(&self, nodes: &Nodes, slot: u32) {
        let node = nodes.at(slot);
        nodes.ask(node.prev);
        nodes.ask(node.next);
        self.side(node.side).ask_level(node.price);
    }

    /// Bytes of the book's own structure, places not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.sides.iter().map(ladder::Ladder::bytes).sum()
    }
}
