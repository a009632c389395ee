//! What each day did to each account: opening, movements by cause, closing, positions and their prices.
//!
//! Filed from what is published, by the replay at start and in the keeper's snapshots, so that a start
//! from a snapshot answers the same. A movement belongs to the UTC day in which it was booked; the fixing
//! of a day is known only when the day is over, so its settlement stands in the statement of the day after
//! (and [`DaySettled::day`] names the day that it is for).
//!
//! Bounded: at most [`ROWS`] rows of past days over all accounts, and besides them, per account, what it has
//! now and one day to begin from. When there are more, the oldest days go, for everybody at once; asking
//! for them is refused and names the first that is left. The journal still has them.

use std::collections::{BTreeMap, VecDeque};

use bincode::{Decode, Encode};
use engine::{
    command::Stamped,
    event::{BalanceRow, ClearingEvent, DaySettled, Event, PositionRow, Posting},
    ids::{AccountId, AssetId, InstrumentId, Seq},
    ledger::Balance,
    units::{DAY, Lots, Minor, Nanos, Ticks},
};

use crate::archive::Dated;

mod service;

pub use service::{day_settlements, statement};

/// Rows of past days kept: balances, movements, positions, prices and settlements, about 100 bytes each.
pub const ROWS: usize = 400_000;

/// Everything of one cause in one asset on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Line {
    /// Together; positive = received.
    pub sum: Minor,
    /// How many postings.
    pub count: u32,
}

/// What an account has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Standing {
    balances: BTreeMap<AssetId, BalanceRow>,
    positions: BTreeMap<InstrumentId, PositionRow>,
}

impl Standing {
    fn rows(&self) -> usize {
        self.balances.len() + self.positions.len()
    }

    /// Forgets positions that are over.
    fn tidy(&mut self) {
        let none = Lots::ZERO;
        self.positions.retain(|_, row| {
            (row.net, row.open_buy, row.open_sell) != (none, none, none)
                || row.requirement != Minor::ZERO
                || row.result != Minor::ZERO
        });
    }

    /// Money by asset.
    #[must_use]
    pub fn money(&self) -> BTreeMap<AssetId, Balance> {
        let rows = self.balances.iter();
        rows.map(|(asset, row)| {
            let balance = Balance {
                cash: row.cash,
                held: row.held,
                margin: row.margin,
                result: row.result,
            };
            (*asset, balance)
        })
        .collect()
    }

    /// Positions by contract.
    #[must_use]
    pub fn positions(&self) -> &BTreeMap<InstrumentId, PositionRow> {
        &self.positions
    }
}

/// One day of one account on which something happened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Record {
    /// Days since 1970-01-01.
    day: i64,
    /// First and last command that changed the account.
    seqs: (Seq, Seq),
    opening: BTreeMap<AssetId, BalanceRow>,
    /// By asset and number of the cause.
    lines: BTreeMap<(AssetId, u8), Line>,
    /// None while the day is the account's newest: then it is what the account has now.
    closing: Option<Standing>,
}

impl Record {
    fn rows(&self) -> usize {
        let closing = self.closing.as_ref().map_or(0, Standing::rows);
        self.opening.len() + self.lines.len() + closing
    }
}

/// The days of one account, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Books {
    now: Standing,
    days: VecDeque<Record>,
    /// Days of its positions that were settled, oldest first.
    settled: VecDeque<Dated<DaySettled>>,
    /// Number of the last settlement that is gone; 0 = none is.
    gone: u64,
}

/// One day of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Money at the beginning.
    pub opening: Standing,
    /// Movements by asset and number of the cause ([`engine::event::PostingKind`]).
    pub lines: BTreeMap<(AssetId, u8), Line>,
    /// Money and positions at the end, or now.
    pub closing: Standing,
    /// Last mark of that day, or before it, of each contract with a position.
    pub marks: BTreeMap<InstrumentId, Ticks>,
    /// First and last command that changed the account; zeros on a quiet day.
    pub seqs: (Seq, Seq),
}

impl Statement {
    /// The first asset whose movements do not lead from opening to closing, if there is one: a defect.
    #[must_use]
    pub fn gap(&self) -> Option<AssetId> {
        let cash = |standing: &Standing, asset| {
            let row = standing.balances.get(&asset);
            row.map_or(Minor::ZERO, |row| row.cash)
        };
        let assets = self.closing.balances.keys().copied();
        let mut assets = assets.chain(self.lines.keys().map(|(asset, _)| *asset));
        assets.find(|asset| {
            let own = self.lines.iter().filter(|((of, _), _)| of == asset);
            let moved = own.fold(Minor::ZERO, |sum, (_, line)| sum + line.sum);
            cash(&self.opening, *asset) + moved != cash(&self.closing, *asset)
        })
    }
}

/// The statements of all accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Statements {
    /// First and newest day heard of; days before the first cannot be told.
    span: Option<(i64, i64)>,
    /// Rows of past days.
    rows: u64,
    /// By place of the account.
    books: Vec<Books>,
    /// By place of the contract: days on which its mark moved, with the last one.
    marks: Vec<VecDeque<(i64, Ticks)>>,
}

/// The UTC day of a moment, counted from 1970-01-01.
#[must_use]
pub fn day_of(at: Nanos) -> i64 {
    at.0.div_euclid(DAY)
}

impl Statements {
    /// Notes what a command did.
    pub fn hear(&mut self, stamped: &Stamped, events: &[Event]) {
        self.hear_within(stamped, events, ROWS);
    }

    fn hear_within(&mut self, stamped: &Stamped, events: &[Event], most: usize) {
        let (seq, day) = (stamped.seq, day_of(stamped.at));
        let (first, newest) = self.span.unwrap_or((day, day));
        self.span = Some((first, newest.max(day)));
        for event in events {
            match event {
                Event::Posting(posting) => self.post(posting, (seq, day)),
                Event::Balance(row) => {
                    if let Some(books) = self.books_on(row.account, (seq, day)) {
                        books.now.balances.insert(row.asset, *row);
                    }
                }
                Event::Position(row) => {
                    if let Some(books) = self.books_on(row.account, (seq, day)) {
                        books.now.positions.insert(row.instrument, *row);
                    }
                }
                Event::Statistics(change) => self.mark(change.instrument, day, change.mark),
                Event::Clearing(ClearingEvent::DaySettled(settled)) => {
                    if let Some(books) = self.books_on(settled.account, (seq, day)) {
                        books.settled.push_back(Dated {
                            seq,
                            at: stamped.at,
                            what: *settled,
                        });
                        self.rows += 1;
                    }
                }
                _ => {}
            }
        }
        while self.rows > most as u64 && self.forget_a_day() {}
    }

    fn post(&mut self, posting: &Posting, at: (Seq, i64)) {
        let Some(books) = self.books_on(posting.account, at) else {
            return;
        };
        if let Some(today) = books.days.back_mut() {
            let key = (posting.asset, posting.kind as u8);
            let line = today.lines.entry(key).or_default();
            line.sum += posting.delta;
            line.count += 1;
        }
    }

    /// An account's books, opened on this day.
    fn books_on(&mut self, account: AccountId, (seq, day): (Seq, i64)) -> Option<&mut Books> {
        let place = account.index()?;
        if self.books.len() <= place {
            self.books.resize_with(place + 1, Books::default);
        }
        let books = self.books.get_mut(place)?;
        match books.days.back_mut() {
            Some(today) if today.day >= day => today.seqs.1 = seq,
            before => {
                if let Some(before) = before {
                    before.closing = Some(books.now.clone());
                    self.rows += before.rows() as u64;
                }
                books.now.tidy();
                books.days.push_back(Record {
                    day,
                    seqs: (seq, seq),
                    opening: books.now.balances.clone(),
                    lines: BTreeMap::new(),
                    closing: None,
                });
            }
        }
        Some(books)
    }

    fn mark(&mut self, contract: InstrumentId, day: i64, mark: Ticks) {
        let Some(place) = contract.index() else {
            return;
        };
        if self.marks.len() <= place {
            self.marks.resize_with(place + 1, VecDeque::new);
        }
        let marks = &mut self.marks[place];
        match marks.back_mut() {
            Some(last) if last.0 >= day => last.1 = mark,
            // Not moved since: nothing to keep.
            Some(last) if last.1 == mark => {}
            _ => {
                marks.push_back((day, mark));
                self.rows += 1;
            }
        }
    }

    /// Lets the oldest day go. Each account keeps one day from which the first that is left begins.
    fn forget_a_day(&mut self) -> bool {
        let Some((first, newest)) = self.span.filter(|(first, newest)| first < newest) else {
            return false;
        };
        let floor = first + 1;
        self.span = Some((floor, newest));
        let mut gone = 0;
        for books in &mut self.books {
            while books.days.get(1).is_some_and(|next| next.day <= floor) {
                gone += books.days.pop_front().map_or(0, |day| day.rows());
            }
            while let Some(row) = books.settled.front().filter(|row| day_of(row.at) < floor) {
                books.gone = row.what.settlement;
                books.settled.pop_front();
                gone += 1;
            }
        }
        for marks in &mut self.marks {
            while marks.get(1).is_some_and(|(day, _)| *day <= floor) {
                marks.pop_front();
                gone += 1;
            }
        }
        self.rows = self.rows.saturating_sub(gone as u64);
        true
    }

    /// First and newest day that can be told.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        self.span
    }

    /// A day of an account. Of a day before [`Self::span`] it knows nothing; the caller asks first.
    #[must_use]
    pub fn of(&self, account: AccountId, day: i64) -> Statement {
        let books = account.index().and_then(|place| self.books.get(place));
        let found = books.and_then(|books| {
            let after = books.days.partition_point(|record| record.day <= day);
            let record = books.days.get(after.checked_sub(1)?)?;
            Some((record, record.closing.as_ref().unwrap_or(&books.now)))
        });
        let Some((record, closing)) = found else {
            return Statement {
                opening: Standing::default(),
                lines: BTreeMap::new(),
                closing: Standing::default(),
                marks: BTreeMap::new(),
                seqs: (0, 0),
            };
        };
        let mut closing = closing.clone();
        let quiet = record.day < day;
        if quiet {
            closing.tidy();
        }
        let marks = closing.positions.keys();
        let marks = marks.filter_map(|id| Some((*id, self.mark_on(*id, day)?)));
        let marks = marks.collect();
        let opening = if quiet {
            closing.balances.clone()
        } else {
            record.opening.clone()
        };
        Statement {
            opening: Standing {
                balances: opening,
                positions: BTreeMap::new(),
            },
            lines: if quiet {
                BTreeMap::new()
            } else {
                record.lines.clone()
            },
            closing,
            marks,
            seqs: if quiet { (0, 0) } else { record.seqs },
        }
    }

    fn mark_on(&self, contract: InstrumentId, day: i64) -> Option<Ticks> {
        let marks = self.marks.get(contract.index()?)?;
        let after = marks.partition_point(|(from, _)| *from <= day);
        marks.get(after.checked_sub(1)?).map(|(_, mark)| *mark)
    }

    /// Settled days of an account's cash-settled positions, oldest first.
    pub fn settled(&self, account: AccountId) -> impl Iterator<Item = &Dated<DaySettled>> {
        let books = account.index().and_then(|place| self.books.get(place));
        books.into_iter().flat_map(|books| &books.settled)
    }

    /// Number of the last settlement of an account that is gone; 0 = none is.
    #[must_use]
    pub fn settled_gone(&self, account: AccountId) -> u64 {
        let books = account.index().and_then(|place| self.books.get(place));
        books.map_or(0, |books| books.gone)
    }
}

#[cfg(test)]
mod tests;
