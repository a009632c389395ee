//! The flows by name. Every number of `FLOWS.md` stands here.

use crate::workload::Random;

/// Where the middle of the book is while the flow runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// It stays.
    Still,
    /// It rises by this many thousandths, with a ripple of a few ticks.
    Drift(i64),
    /// It rises by this many thousandths and comes back.
    Swing(i64),
    /// It falls by this many thousandths within a hundredth of the flow, and comes back slowly.
    Crash(i64),
}

/// How far from the middle orders are entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The smaller of two uniform draws of so many levels: most are close, as in a real book.
    Near {
        /// Levels of one side.
        levels: i64,
    },
    /// A uniform power of two, then uniform up to the next one: every order of magnitude is as likely.
    Far {
        /// Powers of two.
        bits: u32,
        /// Never further than this.
        most: i64,
    },
    /// One tick, and only bids.
    One,
}

impl Place {
    /// Ticks from the middle of the next order, at least 1.
    pub(super) fn distance(self, random: &mut Random) -> i64 {
        match self {
            Self::Near { levels } => {
                let levels = levels.cast_unsigned();
                1 + random.below(levels).min(random.below(levels)).cast_signed()
            }
            Self::Far { bits, most } => {
                let power = 1_u64 << random.below(u64::from(bits));
                (power + random.below(power)).cast_signed().min(most)
            }
            Self::One => 1,
        }
    }

    /// Ticks from the middle behind which nobody enters orders.
    pub(super) fn reach(self) -> i64 {
        match self {
            Self::Near { levels } => levels,
            Self::Far { bits, most } => (1 << bits).min(most),
            Self::One => 1,
        }
    }
}

/// A flow in numbers.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// For ids of results.
    pub name: &'static str,
    /// What everything is drawn from.
    pub seed: u64,
    /// Orders that live before the first message and, within a tenth, after nearly every one.
    pub live: usize,
    /// Of every 100 messages, this many add.
    pub adds: u64,
    /// And this many cross; the others cancel.
    pub crosses: u64,
    /// Contracts; the `n`-th is drawn with a weight of `1 / n`.
    pub books: u16,
    /// The middle at the start, in ticks.
    pub middle: i64,
    /// Where the middle goes.
    pub path: Path,
    /// Where orders are entered.
    pub place: Place,
    /// Messages before the measured ones, so that nothing grows any more and slots are used again.
    pub warm_up: usize,
    /// Measured messages.
    pub messages: usize,
}

/// Where the middle of a crash is: still up to this many hundredths, fallen one later, back at the end.
const CRASH_AT: i64 = 40;
const CRASH_BACK: i64 = 80;
/// Resting orders that a sale takes while the price falls, if there are so many.
pub(super) const CRASH_SWEEP: i64 = 40;
/// Ripple of a trend: this many ticks up and down, so many times in a flow.
const RIPPLE: i64 = 8;
const RIPPLES: i64 = 50;

impl Shape {
    /// The same flow in small, for tests: fewer orders and messages, everything else as it is.
    #[must_use]
    pub fn small(mut self, live: usize, messages: usize) -> Self {
        self.live = self.live.min(live);
        self.warm_up = self.warm_up.min(messages / 10);
        self.messages = self.messages.min(messages);
        self
    }

    /// Resting orders that a crossing takes on average: what adds bring and cancels leave.
    pub(super) fn makers(&self) -> i64 {
        let cancels = 100 - self.adds - self.crosses;
        ((self.adds - cancels) / self.crosses.max(1))
            .max(1)
            .cast_signed()
    }

    /// The middle after so many messages.
    pub(super) fn middle_at(&self, done: usize) -> i64 {
        let (done, all) = (done as i64, (self.messages as i64).max(1));
        let part = |thousandths: i64| self.middle * thousandths / 1_000;
        self.middle
            + match self.path {
                Path::Still => 0,
                Path::Drift(by) => {
                    let period = (all / RIPPLES).max(1);
                    let here = (done % period) * 4 * RIPPLE / period;
                    part(by) * done / all + (here - 2 * RIPPLE).abs() - RIPPLE
                }
                Path::Swing(by) => part(by) * 2 * done.min(all - done) / all,
                Path::Crash(by) => {
                    let (fall, bottom) = (all * CRASH_AT / 100, all * (CRASH_AT + 1) / 100);
                    let back = all * CRASH_BACK / 100;
                    -part(by)
                        * match done {
                            _ if done < fall || done >= back => return self.middle,
                            _ if done < bottom => done - fall,
                            _ => return self.middle - part(by) * (back - done) / (back - bottom),
                        }
                        / (bottom - fall).max(1)
                }
            }
    }

    /// Whether the price is crashing right now.
    pub(super) fn is_falling(&self, done: usize) -> bool {
        let percent = |percent: i64| self.messages * percent as usize / 100;
        matches!(self.path, Path::Crash(_))
            && (percent(CRASH_AT)..percent(CRASH_AT + 1)).contains(&done)
    }

    /// Where the price is going: 1, 0 or -1.
    pub(super) fn direction(&self, done: usize) -> i64 {
        let ahead = done + self.messages / 100;
        (self.middle_at(ahead.min(self.messages)) - self.middle_at(done)).signum()
    }

    /// A contract, the first ones most often.
    pub(super) fn any_book(&self, random: &mut Random) -> u16 {
        if self.books == 1 {
            return 0;
        }
        // In integers, so that no machine's logarithm matters.
        let weight = |book: u16| (1_u64 << 32) / (u64::from(book) + 1);
        let all = (0..self.books).map(weight).sum();
        let mut left = random.below(all);
        for book in 0..self.books {
            match left.checked_sub(weight(book)) {
                Some(less) => left = less,
                None => return book,
            }
        }
        0
    }
}

/// 60 % add, 35 % cancel, 5 % cross; 100,000 live orders on some 1,050 levels.
pub const BALANCED: Shape = Shape {
    name: "balanced",
    seed: 1,
    live: 100_000,
    adds: 60,
    crosses: 5,
    books: 1,
    middle: 42_000,
    path: Path::Still,
    place: Place::Near { levels: 525 },
    warm_up: 150_000,
    messages: 500_000,
};

/// A thousand orders close to the middle that come and go.
pub const HOT: Shape = Shape {
    name: "hot",
    seed: 2,
    live: 1_000,
    adds: 50,
    crosses: 4,
    place: Place::Near { levels: 32 },
    ..BALANCED
};

/// A million orders: every touch misses the caches.
pub const DEEP: Shape = Shape {
    name: "deep",
    seed: 3,
    live: 1_000_000,
    place: Place::Near { levels: 2_000 },
    ..BALANCED
};

/// Nothing moves: 10,000 orders on 100 levels.
pub const STATIC: Shape = Shape {
    name: "static",
    seed: 4,
    live: 10_000,
    place: Place::Near { levels: 50 },
    ..BALANCED
};

/// Up by a tenth, two steps forward and one back.
pub const TRENDING: Shape = Shape {
    name: "trending",
    seed: 5,
    live: 10_000,
    path: Path::Drift(100),
    place: Place::Near { levels: 500 },
    ..BALANCED
};

/// Up by a quarter and back: 10,500 ticks each way.
pub const SWING_25: Shape = Shape {
    name: "swing25",
    seed: 6,
    live: 10_000,
    path: Path::Swing(250),
    place: Place::Near { levels: 500 },
    messages: 1_000_000,
    ..BALANCED
};

/// Up by two fifths and back: 16,800 ticks each way.
pub const SWING_40: Shape = Shape {
    name: "swing40",
    seed: 7,
    path: Path::Swing(400),
    ..SWING_25
};

/// Down by 35 % within a hundredth of the flow, sold by sweeps of forty orders; then slowly back.
pub const CRASH: Shape = Shape {
    name: "crash",
    seed: 8,
    live: 50_000,
    path: Path::Crash(350),
    place: Place::Near { levels: 1_000 },
    ..BALANCED
};

/// 100,000 orders in one queue. Cancels are uniform, so most lie deep inside.
pub const QUEUE: Shape = Shape {
    name: "queue",
    seed: 9,
    place: Place::One,
    messages: 200_000,
    ..BALANCED
};

/// 20,000 orders from one tick to half a billion ticks away, most of them alone at their price.
pub const SPARSE: Shape = Shape {
    name: "sparse",
    seed: 10,
    live: 20_000,
    middle: 1 << 30,
    place: Place::Far {
        bits: 29,
        most: 1 << 29,
    },
    ..BALANCED
};

/// The same as far as a price band of 50 % around 42,000 lets it, for the full exchange.
pub const SPARSE_IN_BAND: Shape = Shape {
    name: "sparse",
    middle: 42_000,
    place: Place::Far {
        bits: 15,
        most: 20_000,
    },
    ..SPARSE
};

/// 64 contracts, drawn by Zipf's law; the first has a fifth of everything.
pub const ZIPF: Shape = Shape {
    name: "zipf",
    seed: 11,
    books: 64,
    place: Place::Near { levels: 200 },
    ..BALANCED
};

/// All that a bare book is measured on.
pub const ALL: [Shape; 11] = [
    BALANCED, HOT, DEEP, STATIC, TRENDING, SWING_25, SWING_40, CRASH, QUEUE, SPARSE, ZIPF,
];
