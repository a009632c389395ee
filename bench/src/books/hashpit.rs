//! This exchange's own book, without the exchange around it: the same places, ladders and primitives that
//! the exchange matches with.

use engine::{
    book::{Book, NIL, Node, Nodes},
    command,
    ids::AccountId,
    prefetch::prefetch,
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
            if filled && lots < open {
                self.nodes.ask(book.behind(&self.nodes, slot));
            }
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

/// How far ahead of its turn a message is looked at: its id, then its place or level, then the
/// neighbours.
const AHEAD: [usize; 3] = [18, 11, 5];
/// Places from which on looking ahead pays: below, everything is near the processor anyway.
const PAYS: usize = 4_096;

impl Hashpit {
    fn ask_id(&self, message: &Message) {
        let id = match *message {
            Message::Add {
                book,
                side,
                id,
                price,
                ..
            } => {
                self.books[usize::from(book)].ask_price(engine_side(side), Ticks(price));
                id
            }
            Message::Cross { id, .. } | Message::Cancel { id, .. } => id,
        };
        if let Some(slot) = self.slots.get(id as usize) {
            prefetch(slot);
        }
    }

    fn ask_place(&self, message: &Message) {
        match *message {
            Message::Add {
                book, side, price, ..
            } => self.books[usize::from(book)].ask_level(engine_side(side), Ticks(price)),
            Message::Cancel { id, .. } => {
                if let Some(&slot) = self.slots.get(id as usize) {
                    self.nodes.ask(slot);
                }
            }
            Message::Cross { book, side, .. } => {
                let book = &self.books[usize::from(book)];
                if let Some(first) = book.first(engine_side(side).opposite()) {
                    self.nodes.ask(first);
                }
            }
        }
    }

    fn ask_neighbours(&self, message: &Message) {
        match *message {
            Message::Add {
                book, side, price, ..
            } => {
                let book = &self.books[usize::from(book)];
                book.ask_last(&self.nodes, engine_side(side), Ticks(price));
            }
            Message::Cancel { book, id } => {
                if let Some(&slot) = self.slots.get(id as usize)
                    && slot < ENDED
                {
                    self.books[usize::from(book)].ask_around(&self.nodes, slot);
                }
            }
            Message::Cross { book, side, .. } => {
                let book = &self.books[usize::from(book)];
                if let Some(first) = book.first(engine_side(side).opposite()) {
                    self.nodes.ask(book.behind(&self.nodes, first));
                }
            }
        }
    }
}

impl BareBook for Hashpit {
    /// With many orders the misses of the messages to come overlap with the work on this one.
    fn apply_batch(&mut self, batch: &[Message], out: &mut Vec<Report>) {
        let pays = self.nodes.len() - self.free.len() >= PAYS;
        for (turn, message) in batch.iter().enumerate() {
            if pays {
                let [id, place, neighbours] = AHEAD.map(|ahead| batch.get(turn + ahead));
                if let Some(message) = id {
                    self.ask_id(message)
                }
                if let Some(message) = place {
                    self.ask_place(message)
                }
                if let Some(message) = neighbours {
                    self.ask_neighbours(message)
                }
            }
            self.apply(message, out);
        }
    }

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
