//! `rust_ob` 2.5: decimal prices; a match tells its cost, from which the price follows.

use bench::{
    books::{BareBook, Report, Room},
    flows::{Message, Side},
};
use rust_decimal::Decimal;
use rust_ob::{OrderBook, OrderMatch};

/// One of its books per contract. It offers no way to ask for room.
pub(super) struct Books(Vec<OrderBook<u32>>);

impl Books {
    pub(super) fn new(room: &Room) -> Self {
        Self((0..room.books).map(|_| OrderBook::new()).collect())
    }
}

/// Reports the trades; how many lots they were.
fn fills(id: u32, matches: &[OrderMatch<u32>], out: &mut Vec<Report>) -> u32 {
    let mut done = 0;
    // The last entry sums the taker up.
    let makers = matches.split_last().map_or(&[][..], |(_, makers)| makers);
    for one in makers {
        // Whole numbers have no decimals, so mantissas divide as they are.
        let lots = one.quantity.mantissa();
        let price = one.cost.mantissa().abs() / lots;
        done += lots as u32;
        out.push(Report::Fill {
            taker: id,
            maker: one.order,
            price: price as i64,
            lots: lots as u32,
        });
    }
    done
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
            }
            | Message::Cross {
                book,
                side,
                id,
                lots,
                price,
            } => {
                let side = match side {
                    Side::Buy => rust_ob::Side::Buy,
                    Side::Sell => rust_ob::Side::Sell,
                };
                let book = &mut self.0[usize::from(book)];
                let (price, size) = (Decimal::from(price), Decimal::from(lots));
                let Ok(matches) = book.process_limit_order(id, side, price, size) else {
                    return out.push(Report::Rejected { id });
                };
                out.push(Report::Ack { id });
                let done = fills(id, &matches, out);
                // It has no immediate-or-cancel: what rests is cancelled at once.
                if matches!(message, Message::Cross { .. }) && done < lots {
                    book.cancel_order(id).expect("the rest rests");
                    out.push(Report::Cancelled { id });
                }
            }
            Message::Cancel { book, id } => {
                out.push(match self.0[usize::from(book)].cancel_order(id) {
                    Ok(()) => Report::Cancelled { id },
                    Err(_) => Report::Rejected { id },
                });
            }
        }
    }
}
