//! Message flows for a bare order book: seeded, the same on every machine, and of no engine.
//!
//! A flow is made by running it once through [`Reference`], a book too simple to be wrong, which knows
//! at every moment which orders live. So every cancel names an order that still lives, and what each
//! message must bring about is known before any other book has seen it. Ids are dense, start at 0 and
//! are never used twice. `FLOWS.md` describes the flows one by one.

use crate::{
    books::{BareBook, Report, Room},
    workload::Random,
};

mod reference;
mod shapes;

pub use reference::Reference;
pub use shapes::{
    ALL, BALANCED, CRASH, DEEP, HOT, Path, Place, QUEUE, SPARSE, SPARSE_IN_BAND, STATIC, SWING_25,
    SWING_40, Shape, TRENDING, ZIPF,
};

/// Sizes are uniform from 1 to this.
const LOTS_MAX: u32 = 9;
/// Of every 100 crossings, this many accept only the first few ticks, so that something is left over.
const CAUTIOUS: u64 = 20;
/// Ticks from the middle that a cautious crossing accepts.
const TOUCH: i64 = 3;

/// Buy or sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A bid.
    Buy,
    /// An offer.
    Sell,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// Whether an order of this side at `limit` accepts a trade at `price`.
    #[must_use]
    pub fn accepts(self, limit: i64, price: i64) -> bool {
        match self {
            Self::Buy => price <= limit,
            Self::Sell => price >= limit,
        }
    }
}

/// What a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A limit order: trades with what it crosses, then rests.
    Add {
        /// Which contract.
        book: u16,
        /// Buy or sell.
        side: Side,
        /// Its name from now on.
        id: u32,
        /// Quantity.
        lots: u32,
        /// Limit, in ticks.
        price: i64,
    },
    /// Takes a resting order away.
    Cancel {
        /// Which contract.
        book: u16,
        /// Which order.
        id: u32,
    },
    /// An immediate-or-cancel order: trades with what it crosses, never rests.
    Cross {
        /// Which contract.
        book: u16,
        /// Buy or sell.
        side: Side,
        /// Its name in the reports.
        id: u32,
        /// Quantity.
        lots: u32,
        /// Limit, in ticks.
        price: i64,
    },
}

const _: () = assert!(size_of::<Message>() <= 24, "a message is three words");

/// What messages brought about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Orders taken in.
    pub acks: u64,
    /// Trades.
    pub fills: u64,
    /// Lots traded.
    pub lots: u64,
    /// Orders cancelled, and rests of crossings.
    pub cancelled: u64,
    /// Messages refused.
    pub rejected: u64,
    /// Depends on every field of every report and on their order.
    pub digest: u64,
}

impl Tally {
    /// Adds what these reports say.
    pub fn count(&mut self, reports: &[Report]) {
        for report in reports {
            let words = match *report {
                Report::Ack { id } => {
                    self.acks += 1;
                    [1, u64::from(id), 0, 0]
                }
                Report::Fill {
                    taker,
                    maker,
                    price,
                    lots,
                } => {
                    self.fills += 1;
                    self.lots += u64::from(lots);
                    let pair = u64::from(taker) << 32 | u64::from(maker);
                    [2, pair, price.cast_unsigned(), u64::from(lots)]
                }
                Report::Cancelled { id } => {
                    self.cancelled += 1;
                    [3, u64::from(id), 0, 0]
                }
                Report::Rejected { id } => {
                    self.rejected += 1;
                    [4, u64::from(id), 0, 0]
                }
            };
            for word in words {
                self.digest = (self.digest ^ word)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .rotate_left(29);
            }
        }
    }

    /// Reports of any kind.
    #[must_use]
    pub fn reports(&self) -> u64 {
        self.acks + self.fills + self.cancelled + self.rejected
    }
}

/// A flow that is ready to run.
#[derive(Clone, Debug)]
pub struct Flow {
    /// What it looks like.
    pub shape: Shape,
    /// Brings an empty book to the start: resting orders, and a part of the flow to warm up.
    pub prelude: Vec<Message>,
    /// What is measured.
    pub messages: Vec<Message>,
    /// What a book must have room for.
    pub room: Room,
    /// What the messages, without the prelude, bring about.
    pub tally: Tally,
    /// Orders that live at the start.
    pub live: usize,
    /// Price levels at the start, over all books and both sides.
    pub levels: usize,
}

impl Flow {
    /// Makes a flow.
    ///
    /// # Panics
    /// If it would not be what it says: something rejected, or a book that grows or melts.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let mut maker = Maker::new(shape);
        while maker.book.living() < shape.live {
            let add = maker.add(shape.middle);
            maker.run(add);
        }
        for _ in 0..shape.warm_up {
            let message = maker.draw(0);
            maker.run(message);
        }
        let prelude = std::mem::take(&mut maker.messages);
        maker.tally = Tally::default();
        let (live, levels) = (maker.book.living(), maker.book.levels());
        for done in 0..shape.messages {
            let message = maker.draw(done);
            maker.run(message);
        }
        assert_eq!(maker.tally.rejected, 0, "nothing in a flow is rejected");
        let least = shape.live * 3 / 4;
        // A crash eats a part of the book; it is full again at the end.
        assert!(
            (least..=shape.live * 5 / 4).contains(&maker.book.living()),
            "{}: {} orders live at the end",
            shape.name,
            maker.book.living()
        );
        Self {
            shape,
            prelude,
            messages: maker.messages,
            room: Room {
                books: usize::from(shape.books),
                ids: maker.next_id as usize,
                live: maker.most,
                prices: (maker.low, maker.high),
            },
            tally: maker.tally,
            live,
            levels,
        }
    }

    /// One line for a table.
    #[must_use]
    pub fn describe(&self) -> String {
        let (mut adds, mut cancels) = (0, 0);
        for message in &self.messages {
            match message {
                Message::Add { .. } => adds += 1,
                Message::Cancel { .. } => cancels += 1,
                Message::Cross { .. } => {}
            }
        }
        let share = |count: usize| count as f64 * 100.0 / self.messages.len().max(1) as f64;
        format!(
            "{} messages on {} live orders at {} levels: {:.0} % add, {:.0} % cancel, \
             {:.0} % cross; {} fills; digest {:016x}",
            self.messages.len(),
            self.live,
            self.levels,
            share(adds),
            share(cancels),
            100.0 - share(adds) - share(cancels),
            self.tally.fills,
            self.tally.digest,
        )
    }
}

/// Draws messages and knows what they did.
struct Maker {
    shape: Shape,
    random: Random,
    book: Reference,
    reports: Vec<Report>,
    messages: Vec<Message>,
    tally: Tally,
    next_id: u32,
    /// Most orders that ever lived at once.
    most: usize,
    low: i64,
    high: i64,
}

impl Maker {
    fn new(shape: Shape) -> Self {
        Self {
            shape,
            random: Random::new(shape.seed),
            book: Reference::default(),
            reports: Vec::new(),
            messages: Vec::new(),
            tally: Tally::default(),
            next_id: 0,
            most: 0,
            low: i64::MAX,
            high: i64::MIN,
        }
    }

    fn run(&mut self, message: Message) {
        if let Message::Add { price, .. } = message {
            self.low = self.low.min(price);
            self.high = self.high.max(price);
        }
        self.reports.clear();
        self.book.apply(&message, &mut self.reports);
        self.tally.count(&self.reports);
        self.messages.push(message);
        self.most = self.most.max(self.book.living());
    }

    /// The next message when `done` of the flow's messages are behind us.
    fn draw(&mut self, done: usize) -> Message {
        let shape = self.shape;
        let middle = shape.middle_at(done);
        let (adds, crosses) = if shape.is_falling(done) {
            (20, 50)
        } else {
            (shape.adds, shape.crosses)
        };
        let living = self.book.living();
        let draw = self.random.below(100);
        if draw < crosses {
            return self.cross(middle, done);
        }
        // The book neither melts nor grows, whatever the prices do to it.
        let add = match living {
            _ if living * 10 < shape.live * 9 => true,
            _ if living * 10 > shape.live * 11 => false,
            _ => draw < crosses + adds,
        };
        if add {
            self.add(middle)
        } else {
            let id = self.book.any(&mut self.random);
            let book = self.book.where_is(id).unwrap_or(0);
            Message::Cancel { book, id }
        }
    }

    fn side(&mut self) -> Side {
        if self.random.below(2) == 0 {
            Side::Buy
        } else {
            Side::Sell
        }
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// An order around the middle. It rests unless the middle has just moved through others.
    fn add(&mut self, middle: i64) -> Message {
        let side = match self.shape.place {
            Place::One => Side::Buy,
            Place::Near { .. } | Place::Far { .. } => self.side(),
        };
        let distance = self.shape.place.distance(&mut self.random);
        let price = match side {
            Side::Buy => middle - distance,
            Side::Sell => middle + distance,
        };
        Message::Add {
            book: self.shape.any_book(&mut self.random),
            side,
            id: self.id(),
            lots: 1 + self.random.below(u64::from(LOTS_MAX)) as u32,
            price,
        }
    }

    /// An order that takes about as many others as keep the book's size.
    fn cross(&mut self, middle: i64, done: usize) -> Message {
        let shape = self.shape;
        let falling = shape.is_falling(done);
        let makers = if falling {
            shapes::CRASH_SWEEP
        } else {
            let usual = shape.makers();
            let surplus = self.book.living() as i64 - shape.live as i64;
            let slack = (shape.live as i64 / 100).max(1);
            (usual + surplus / slack).clamp(1, 4 * usual)
        };
        let side = match shape.place {
            Place::One => Side::Sell,
            Place::Near { .. } | Place::Far { .. } if falling => Side::Sell,
            // Three of four push the price where it is going.
            Place::Near { .. } | Place::Far { .. } => match shape.direction(done) {
                0 => self.side(),
                way => {
                    let with = if way > 0 { Side::Buy } else { Side::Sell };
                    if self.random.below(4) < 3 {
                        with
                    } else {
                        with.opposite()
                    }
                }
            },
        };
        let reach = if falling {
            0
        } else if self.random.below(100) < CAUTIOUS {
            TOUCH
        } else {
            shape.place.reach()
        };
        Message::Cross {
            book: shape.any_book(&mut self.random),
            side,
            id: self.id(),
            lots: makers as u32 * LOTS_MAX.div_ceil(2),
            price: match side {
                Side::Buy => middle + reach,
                Side::Sell => middle - reach,
            },
        }
    }
}
