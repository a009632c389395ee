//! This exchange's own book, without the exchange around it.

use engine::{
    book::Book,
    command,
    order::{NIL, Order, Orders},
    units::{Lots, Ticks},
};

use super::{BareBook, Report, Room};
use crate::flows::{Message, Side};

/// An id that was used and is over.
const ENDED: u32 = NIL - 1;

/// Books over one table of orders.
#[derive(Debug)]
pub struct Hashpit {
    books: Vec<Book>,
    orders: Orders,
    /// Slot by id; [`NIL`] = never used.
    slots: Vec<u32>,
}

impl Hashpit {
    /// Empty books.
    #[must_use]
    pub fn new(room: &Room) -> Self {
        Self {
            books: vec![Book::default(); room.books],
            orders: Orders::default(),
            slots: vec![NIL; room.ids],
        }
    }

    fn enter(&mut self, message: Incoming, rests: bool, out: &mut Vec<Report>) {
        let Incoming {
            book,
            side,
            id,
            lots,
            price,
        } = message;
        if lots == 0 || self.slots.get(id as usize) != Some(&NIL) {
            return out.push(Report::Rejected { id });
        }
        out.push(Report::Ack { id });
        let book = &mut self.books[usize::from(book)];
        let mut open = Lots(lots.into());
        while open > Lots::ZERO {
            let Some(slot) = book.first(side.opposite()) else {
                break;
            };
            let maker = self.orders.at_mut(slot);
            if !side.accepts(price, maker.price) {
                break;
            }
            let lots = open.min(maker.open);
            // The client's own number is the flow's id plus one: zero is not a client id.
            let name = maker.terms.client_order_id as u32 - 1;
            out.push(Report::Fill {
                taker: id,
                maker: name,
                price: maker.price.0,
                lots: lots.0 as u32,
            });
            open -= lots;
            maker.open -= lots;
            let (at, left) = (maker.price, maker.open);
            book.shrink(side.opposite(), at, lots);
            if left == Lots::ZERO {
                book.remove(&mut self.orders, slot);
                self.orders.free(slot);
                self.slots[name as usize] = ENDED;
            }
        }
        self.slots[id as usize] = ENDED;
        if open == Lots::ZERO {
            return;
        }
        if !rests {
            return out.push(Report::Cancelled { id });
        }
        let order = Order::bare(u64::from(id) + 1, side, price, open);
        let slot = self.orders.insert(order);
        book.rest(&mut self.orders, slot);
        self.slots[id as usize] = slot;
    }

    fn cancel(&mut self, book: u16, id: u32, out: &mut Vec<Report>) {
        let slot = match self.slots.get(id as usize) {
            None | Some(&(NIL | ENDED)) => return out.push(Report::Rejected { id }),
            Some(&slot) => slot,
        };
        self.books[usize::from(book)].remove(&mut self.orders, slot);
        self.orders.free(slot);
        self.slots[id as usize] = ENDED;
        out.push(Report::Cancelled { id });
    }
}

#[derive(Clone, Copy)]
struct Incoming {
    book: u16,
    side: command::Side,
    id: u32,
    lots: u32,
    price: Ticks,
}

fn engine_side(side: Side) -> command::Side {
    match side {
        Side::Buy => command::Side::Buy,
        Side::Sell => command::Side::Sell,
    }
}

impl BareBook for Hashpit {
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
                let incoming = Incoming {
                    book,
                    side: engine_side(side),
                    id,
                    lots,
                    price: Ticks(price),
                };
                self.enter(incoming, matches!(message, Message::Add { .. }), out);
            }
            Message::Cancel { book, id } => self.cancel(book, id, out),
        }
    }
}
