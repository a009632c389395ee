//! This exchange's own book, without the exchange around it: the same places, ladders and primitives that
//! the exchange matches with.

use engine::{
    book::{Book, NIL, Node, Nodes},
    command,
    ids::AccountId,
    units::{Lots, Ticks},
};

use super::{BareBook, Report, Room};
use crate::flows::{Message, Side};

/// An id that was used and is over.
const ENDED: u32 = NIL - 1;

/// Books over one table of places.
#[derive(Debug)]
pub struct Hashpit {
    books: Vec<Book>,
    nodes: Nodes,
    free: Vec<u32>,
    /// Slot by id; [`NIL`] = never used.
    slots: Vec<u32>,
}

impl Hashpit {
    /// Empty books.
    #[must_use]
    pub fn new(room: &Room) -> Self {
        Self {
            books: vec![Book::default(); room.books],
            nodes: Nodes::with_capacity(room.ids),
            free: Vec::with_capacity(room.ids),
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
            let Some((at, slot)) = book.front(side.opposite()) else {
                break;
            };
            if !side.accepts(price, at) {
                break;
            }
            let maker = self.nodes.at(slot);
            let (lots, name) = (open.min(maker.lots), maker.account.0);
            let filled = lots == maker.lots;
            out.push(Report::Fill {
                taker: id,
                maker: name,
                price: at.0,
                lots: lots.0 as u32,
            });
            open -= lots;
            if filled {
                book.remove(&mut self.nodes, slot);
                self.free.push(slot);
                self.slots[name as usize] = ENDED;
            } else {
                book.shrink(&mut self.nodes, slot, lots);
            }
        }
        self.slots[id as usize] = ENDED;
        if open == Lots::ZERO {
            return;
        }
        if !rests {
            return out.push(Report::Cancelled { id });
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.nodes.grow();
            self.nodes.len() as u32 - 1
        });
        // The flow's id stands where the exchange keeps the owner.
        let node = Node::new(side, price, open, AccountId(id));
        book.rest(&mut self.nodes, slot, node);
        self.slots[id as usize] = slot;
    }

    fn cancel(&mut self, book: u16, id: u32, out: &mut Vec<Report>) {
        let slot = match self.slots.get(id as usize) {
            None | Some(&(NIL | ENDED)) => return out.push(Report::Rejected { id }),
            Some(&slot) => slot,
        };
        self.books[usize::from(book)].remove(&mut self.nodes, slot);
        self.free.push(slot);
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
