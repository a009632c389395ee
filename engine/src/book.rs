//! Two sides of one contract. Orders wait here, best price first, oldest first.

use crate::{
    command::Side,
    order::{Link, NIL, Orders},
    units::{Lots, Ticks},
};

mod ladder;

pub use ladder::Level;

/// The order book of one contract. It owns the queues; the orders lie in [`Orders`].
#[derive(Clone, Debug, Default)]
pub struct Book {
    bids: ladder::Ladder,
    asks: ladder::Ladder,
}

impl Book {
    fn side(&self, side: Side) -> &ladder::Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut ladder::Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Best price of a side.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<Ticks> {
        match side {
            Side::Buy => self.bids.at_or_below(Ticks(i64::MAX)),
            Side::Sell => self.asks.at_or_above(Ticks(i64::MIN)),
        }
    }

    /// Next worse price of a side.
    #[must_use]
    pub fn worse(&self, side: Side, price: Ticks) -> Option<Ticks> {
        match side {
            Side::Buy => self.bids.at_or_below(Ticks(price.0.checked_sub(1)?)),
            Side::Sell => self.asks.at_or_above(Ticks(price.0.checked_add(1)?)),
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

    /// Slots of a side in matching order.
    pub fn queue<'a>(&'a self, side: Side, orders: &'a Orders) -> impl Iterator<Item = u32> + 'a {
        self.levels(side).flat_map(move |(_, level)| {
            let mut slot = level.head;
            std::iter::from_fn(move || {
                let here = slot;
                (here != NIL).then(|| {
                    slot = orders.at(here).level.next;
                    here
                })
            })
        })
    }

    /// Whether an order at this price would trade at once.
    #[must_use]
    pub fn crosses(&self, side: Side, price: Ticks) -> bool {
        self.best(side.opposite())
            .is_some_and(|best| side.accepts(price, best))
    }

    /// Puts an order at the back of its price.
    pub fn rest(&mut self, orders: &mut Orders, slot: u32) {
        let (side, price, open) = {
            let order = orders.at(slot);
            (order.terms.side, order.price, order.open)
        };
        let level = self.side_mut(side).entry(price);
        let last = level.tail;
        level.tail = slot;
        level.orders += 1;
        level.lots += open.0;
        if last == NIL {
            level.head = slot;
        } else {
            orders.at_mut(last).level.next = slot;
        }
        orders.at_mut(slot).level = Link {
            prev: last,
            next: NIL,
        };
    }

    /// Takes lots off a resting order's level, after a fill or a cut.
    pub fn shrink(&mut self, side: Side, price: Ticks, lots: Lots) {
        if let Some(level) = self.side_mut(side).existing(price) {
            level.lots -= lots.0;
        }
    }

    /// Takes an order out of its queue; its open lots must still be those the level counts.
    pub fn remove(&mut self, orders: &mut Orders, slot: u32) {
        let (side, price, open, Link { prev, next }) = {
            let order = orders.at(slot);
            (order.terms.side, order.price, order.open, order.level)
        };
        if prev != NIL {
            orders.at_mut(prev).level.next = next;
        }
        if next != NIL {
            orders.at_mut(next).level.prev = prev;
        }
        orders.at_mut(slot).level = Link::LOOSE;
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
        level.lots -= open.0;
        if level.orders == 0 {
            assert_eq!(level.lots, 0, "an empty level holds no lots");
            ladder.remove(price);
        }
    }
}
