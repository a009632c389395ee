//! `obcore` 0.1: one message is evaluated, then applied.
//!
//! Its evaluator takes batches too, but within one it does not see orders that the batch itself adds,
//! so a batch of several messages would not match them.

use bench::{
    books::{BareBook, Report, Room},
    flows::{Message, Side},
};
use obcore::{Evaluator, Instruction, InstructionPrimitive, Msg, OrderBook, OrderInterface, TIF};

/// What its own benchmark stores, and the time in force.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Order {
    id: u32,
    is_buy: bool,
    rests: bool,
    price: u64,
    quantity: u64,
    remaining: u64,
}

impl OrderInterface for Order {
    type T = u32;
    type N = u64;
    type Owner = u32;

    fn id(&self) -> &u32 {
        &self.id
    }

    fn is_buy(&self) -> bool {
        self.is_buy
    }

    fn price(&self) -> u64 {
        self.price
    }

    fn quantity(&self) -> u64 {
        self.quantity
    }

    fn remaining(&self) -> u64 {
        self.remaining
    }

    fn fill(&mut self, quantity: u64) {
        self.remaining -= quantity;
    }

    fn owner(&self) -> &u32 {
        &self.id
    }

    fn tif(&self) -> TIF {
        if self.rests { TIF::GTC } else { TIF::IOC }
    }
}

/// One of its books per contract. It offers no way to ask for room.
pub(super) struct Books {
    books: Vec<OrderBook<Order>>,
    evaluator: Evaluator<Order>,
}

impl Books {
    pub(super) fn new(room: &Room) -> Self {
        Self {
            books: (0..room.books).map(|_| OrderBook::default()).collect(),
            evaluator: Evaluator::default(),
        }
    }
}

impl BareBook for Books {
    fn apply(&mut self, message: &Message, out: &mut Vec<Report>) {
        self.evaluator.reset();
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
                out.push(Report::Ack { id });
                let rests = matches!(message, Message::Add { .. });
                let order = Order {
                    id,
                    is_buy: side == Side::Buy,
                    rests,
                    price: super::unsigned(price),
                    quantity: lots.into(),
                    remaining: lots.into(),
                };
                let book = &mut self.books[usize::from(book)];
                let instruction = self.evaluator.eval_insert(book, order);
                let mut open = u64::from(lots);
                if let Instruction::Multi(parts) = &instruction {
                    for part in parts {
                        if let InstructionPrimitive::Fill(maker, lots) = part {
                            // A fill does not say its price; the maker does.
                            let resting = book.order(maker).expect("a maker rests");
                            out.push(Report::Fill {
                                taker: id,
                                maker: *maker,
                                price: resting.price.cast_signed(),
                                lots: *lots as u32,
                            });
                            open -= lots;
                        }
                    }
                }
                if !rests && open > 0 {
                    out.push(Report::Cancelled { id });
                }
                book.apply(vec![instruction]);
            }
            Message::Cancel { book, id } => {
                let book = &mut self.books[usize::from(book)];
                let instruction = self.evaluator.eval_cancel(book, id);
                let found = matches!(
                    instruction,
                    Instruction::Single(InstructionPrimitive::Delete(_, Msg::UserCancelled))
                );
                book.apply(vec![instruction]);
                out.push(if found {
                    Report::Cancelled { id }
                } else {
                    Report::Rejected { id }
                });
            }
        }
    }
}
