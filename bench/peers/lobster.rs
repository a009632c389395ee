//! `lobster` 0.7: slots of orders preallocated, statistics off.

use bench::{
    books::{BareBook, Report, Room},
    flows::{Message, Side},
};
use lobster::{FillMetadata, OrderBook, OrderEvent, OrderType};

/// One of its books per contract.
pub(super) struct Books(Vec<OrderBook>);

impl Books {
    pub(super) fn new(room: &Room) -> Self {
        // It never gives slots of filled orders back, so ids bound them, not living orders.
        let slots = room.ids / room.books;
        let books = (0..room.books).map(|_| OrderBook::new(slots, 16, false));
        Self(books.collect())
    }
}

fn order(side: Side, id: u32, lots: u32, price: i64) -> OrderType {
    OrderType::Limit {
        id: id.into(),
        side: match side {
            Side::Buy => lobster::Side::Bid,
            Side::Sell => lobster::Side::Ask,
        },
        qty: lots.into(),
        price: super::unsigned(price),
    }
}

fn fills(fills: &[FillMetadata], out: &mut Vec<Report>) {
    out.extend(fills.iter().map(|fill| Report::Fill {
        taker: fill.order_1 as u32,
        maker: fill.order_2 as u32,
        price: fill.price.cast_signed(),
        lots: fill.qty as u32,
    }));
}

impl BareBook for Books {
    fn apply(&mut self, message: &Message, out: &mut Vec<Report>) {
        match *message {
            Message::Add {
                book,
                side,
                id,
                lots,
                price,
            } => {
                out.push(Report::Ack { id });
                match self.0[usize::from(book)].execute(order(side, id, lots, price)) {
                    OrderEvent::Filled { fills: trades, .. }
                    | OrderEvent::PartiallyFilled { fills: trades, .. } => fills(&trades, out),
                    _ => {}
                }
            }
            // It has no immediate-or-cancel: what rests is cancelled at once.
            Message::Cross {
                book,
                side,
                id,
                lots,
                price,
            } => {
                out.push(Report::Ack { id });
                let book = &mut self.0[usize::from(book)];
                match book.execute(order(side, id, lots, price)) {
                    OrderEvent::Filled { fills: trades, .. } => return fills(&trades, out),
                    OrderEvent::PartiallyFilled { fills: trades, .. } => fills(&trades, out),
                    _ => {}
                }
                book.execute(OrderType::Cancel { id: id.into() });
                out.push(Report::Cancelled { id });
            }
            Message::Cancel { book, id } => {
                let cancel = OrderType::Cancel { id: id.into() };
                out.push(match self.0[usize::from(book)].execute(cancel) {
                    OrderEvent::Canceled { .. } => Report::Cancelled { id },
                    _ => Report::Rejected { id },
                });
            }
        }
    }
}
