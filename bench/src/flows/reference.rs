//! A book too simple to be wrong. Every other one must say what it says.
//!
//! Not slow, either, as long as nobody minds the tail: it never frees anything and cancels lazily, so a
//! sweep may have to step over any number of the dead.

use std::collections::{BTreeMap, VecDeque};

use super::{Message, Side};
use crate::{
    books::{BareBook, Report},
    workload::Random,
};

/// Sorted maps of queues. A cancelled order stays in its queue, with nothing open, until it is met.
#[derive(Debug, Default)]
pub struct Reference {
    books: Vec<Sides>,
    orders: Vec<Option<Order>>,
    /// Ids that live, in no order, any of which can be drawn.
    living: Vec<u32>,
}

#[derive(Debug, Default)]
struct Sides {
    bids: BTreeMap<i64, Queue>,
    asks: BTreeMap<i64, Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    ids: VecDeque<u32>,
    living: usize,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    book: u16,
    side: Side,
    price: i64,
    /// 0 = ended, or never rested.
    open: u32,
    /// Where it stands in `living`.
    place: usize,
}

impl Sides {
    fn side(&mut self, side: Side) -> &mut BTreeMap<i64, Queue> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn best(&self, side: Side) -> Option<i64> {
        match side {
            Side::Buy => self.bids.last_key_value(),
            Side::Sell => self.asks.first_key_value(),
        }
        .map(|(price, _)| *price)
    }
}

impl Reference {
    /// How many orders rest.
    #[must_use]
    pub fn living(&self) -> usize {
        self.living.len()
    }

    /// How many prices have an order, over all books.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.books
            .iter()
            .map(|book| book.bids.len() + book.asks.len())
            .sum()
    }

    /// An order that rests.
    ///
    /// # Panics
    /// If none does.
    pub(super) fn any(&self, random: &mut Random) -> u32 {
        self.living[random.index(self.living.len())]
    }

    /// The book of an order, living or not.
    #[must_use]
    pub fn where_is(&self, id: u32) -> Option<u16> {
        let order = self.orders.get(id as usize).copied().flatten()?;
        Some(order.book)
    }

    fn order(&mut self, id: u32) -> &mut Order {
        self.orders[id as usize]
            .as_mut()
            .expect("a queue holds known orders")
    }

    /// Takes a name, if it is free.
    fn name(&mut self, id: u32, order: Order) -> bool {
        let id = id as usize;
        if id >= self.orders.len() {
            self.orders.resize(id + 1, None);
        }
        let free = self.orders[id].is_none();
        if free {
            self.orders[id] = Some(order);
        }
        free
    }

    fn sides(&mut self, book: u16) -> &mut Sides {
        let book = usize::from(book);
        if book >= self.books.len() {
            self.books.resize_with(book + 1, Sides::default);
        }
        &mut self.books[book]
    }

    /// Ends a resting order: its level and the list of the living forget it.
    fn end(&mut self, id: u32) {
        let order = *self.order(id);
        self.order(id).open = 0;
        self.living.swap_remove(order.place);
        if let Some(moved) = self.living.get(order.place).copied() {
            self.order(moved).place = order.place;
        }
        let levels = self.sides(order.book).side(order.side);
        let queue = levels.get_mut(&order.price).expect("it rests at its price");
        queue.living -= 1;
        if queue.living == 0 {
            levels.remove(&order.price);
        }
    }

    /// Trades what can be traded; what is left.
    fn trade(
        &mut self,
        book: u16,
        side: Side,
        taker: u32,
        limit: i64,
        mut open: u32,
        out: &mut Vec<Report>,
    ) -> u32 {
        while open > 0 {
            let sides = self.sides(book);
            let Some(price) = sides.best(side.opposite()) else {
                break;
            };
            if !side.accepts(limit, price) {
                break;
            }
            let queue = sides.side(side.opposite()).get_mut(&price);
            let queue = queue.expect("the best price has a level");
            let maker = *queue.ids.front().expect("a level has an order");
            if self.order(maker).open == 0 {
                let queue = self.sides(book).side(side.opposite()).get_mut(&price);
                queue.expect("it is still there").ids.pop_front();
                continue;
            }
            let lots = open.min(self.order(maker).open);
            out.push(Report::Fill {
                taker,
                maker,
                price,
                lots,
            });
            open -= lots;
            if self.order(maker).open == lots {
                self.end(maker);
            } else {
                self.order(maker).open -= lots;
            }
        }
        open
    }
}

impl BareBook for Reference {
    fn apply(&mut self, message: &Message, out: &mut Vec<Report>) {
        match *message {
            Message::Add {
                book,
                side,
                id,
                lots,
                price,
            }
            | Message::Cross {
                book,
                side,
                id,
                lots,
                price,
            } => {
                let order = Order {
                    book,
                    side,
                    price,
                    open: 0,
                    place: 0,
                };
                if lots == 0 || !self.name(id, order) {
                    return out.push(Report::Rejected { id });
                }
                out.push(Report::Ack { id });
                let open = self.trade(book, side, id, price, lots, out);
                if open == 0 {
                    return;
                }
                if matches!(message, Message::Cross { .. }) {
                    return out.push(Report::Cancelled { id });
                }
                let place = self.living.len();
                self.living.push(id);
                let order = self.order(id);
                (order.open, order.place) = (open, place);
                let queue = self.sides(book).side(side).entry(price).or_default();
                queue.ids.push_back(id);
                queue.living += 1;
            }
            Message::Cancel { id, .. } => {
                let order = self.orders.get(id as usize).copied().flatten();
                if order.is_none_or(|order| order.open == 0) {
                    return out.push(Report::Rejected { id });
                }
                self.end(id);
                out.push(Report::Cancelled { id });
            }
        }
    }
}
