//! Sources, their reports, and the rounds of indexes (INDEX).
//!
//! A report costs a look at the sources of its feed, sixteen at most, and touches nothing that orders look
//! at. Every 15 s of stamped time a timer makes a sample of each index that has a formula; at midnight the
//! day's samples become its fixing, which settles after a while in which it may be restated.

mod halts;
mod headers;
mod inputs;
mod registry;
mod reports;
mod rounds;
mod values;

use std::collections::{BTreeMap, VecDeque};

use bincode::{Decode, Encode};

use crate::{
    command::{FeedKind, Header, Scope, SetFeed, SetMethod, SetSource, Tip, ValueKind},
    event::{Quality, Round},
    ids::{FeedId, IndexId, InstrumentId},
    index::fixing::{Basis, Day},
    instrument::TradingState,
    limits,
    saved::{LoadError, Loader, Saver, Section},
    units::{Decimal, Nanos},
};

use super::Exchange;

/// Everything the exchange knows from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Oracle {
    feeds: Vec<Feed>,
    rounds: BTreeMap<IndexId, Rounds>,
}

/// Something outside, and what its sources say.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Feed {
    /// As set.
    pub details: SetFeed,
    /// Sources, in order of registration.
    pub sources: Vec<Source>,
    /// Chains: what enough sources agree on.
    pub agreed: Option<Agreed>,
    /// Chains: headers in force, by height.
    pub headers: BTreeMap<u64, Header>,
    /// Chains: headers that have not enough words yet, oldest first.
    votes: Vec<HeaderVote>,
}

/// A chain's newest block that enough sources agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Agreed {
    /// The chain.
    pub tip: Tip,
    /// Core time of the newest report that confirmed it.
    pub at: Nanos,
}

/// Who says that a block has this header.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct HeaderVote {
    header: Header,
    /// Places of the sources.
    by: Vec<u8>,
}

/// One source of a feed or an index.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Source {
    /// As registered.
    pub details: SetSource,
    /// Its newest report.
    pub newest: Option<Word>,
    /// Left out of the median until it returns.
    pub excluded: bool,
}

/// The newest report of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Word {
    /// Its number.
    pub sequence: u64,
    /// When it was seen.
    pub observed: Nanos,
    /// What was seen.
    pub said: Seen,
    /// Where it stands in the journal.
    pub seq: u64,
}

/// What was seen, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Seen {
    /// A price in the feed's exponent.
    Price(i64),
    /// A chain.
    Tip(Tip),
}

/// An index's method, sources and rounds.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Rounds {
    /// As set; none while only signed values are taken.
    pub method: Option<SetMethod>,
    /// Who may sign values of it.
    pub sources: Vec<Source>,
    /// Trust at present.
    pub quality: Quality,
    /// Core time of the newest valid sample, or of the method.
    pub last_valid: Nanos,
    /// Valid samples in a row, while halted.
    run: u8,
    /// Present UTC day, since 1970.
    pub day: i64,
    /// Its samples so far.
    pub samples: Day,
    /// Days that wait for a value or for settlement, oldest first.
    pub pending: VecDeque<PendingDay>,
    /// Newest day that has settled; 0 = none.
    pub settled: u64,
    /// Signed values.
    votes: Vec<ValueVote>,
    /// Newest samples with their inputs, oldest first.
    pub samples_kept: VecDeque<Round>,
    /// Newest daily rounds, oldest first; a restated day has two.
    pub days_kept: VecDeque<Round>,
    /// Contracts that the halt stopped, and the state they return to.
    held: Vec<(InstrumentId, TradingState)>,
}

/// A day that has not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PendingDay {
    /// Days since 1970.
    pub day: u64,
    /// Its value, and how it came to it; `None` = postponed.
    pub value: Option<(Decimal, Basis)>,
    /// When it settles.
    pub settles: Nanos,
    /// Valid samples of the day.
    pub valid: u32,
}

/// Who signed a value.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct ValueVote {
    kind: ValueKind,
    round: u64,
    value: Decimal,
    by: Vec<u8>,
    /// Position of the first of them.
    seq: u64,
}

impl Rounds {
    fn new(at: Nanos) -> Self {
        Self {
            method: None,
            sources: Vec::new(),
            quality: Quality::Live,
            last_valid: at,
            run: 0,
            day: at.0.div_euclid(crate::units::DAY),
            samples: Day::default(),
            pending: VecDeque::new(),
            settled: 0,
            votes: Vec::new(),
            samples_kept: VecDeque::new(),
            days_kept: VecDeque::new(),
            held: Vec::new(),
        }
    }
}

impl Feed {
    /// Whether it is a chain.
    #[must_use]
    pub fn is_chain(&self) -> bool {
        matches!(self.details.kind, FeedKind::Chain { .. })
    }
}

impl Exchange {
    /// Feeds, by number.
    #[must_use]
    pub fn feeds(&self) -> &[Feed] {
        &self.oracle.feeds
    }

    /// Method, sources and rounds of an index; `None` while anybody with the right may submit its values.
    #[must_use]
    pub fn rounds(&self, index: IndexId) -> Option<&Rounds> {
        self.oracle.rounds.get(&index)
    }

    /// Highest block of a coin's chain that enough sources agree on, deep enough: what expires by height
    /// looks here. [`crate::event::Event::ChainHeight`] tells when it moves.
    #[must_use]
    pub fn chain_height(&self, coin: &str) -> Option<&Header> {
        Some(self.chain(coin)?.headers.last_key_value()?.1)
    }

    /// The agreed block at this height, if it is kept: the newest 64, and the first ones of 64 epochs.
    #[must_use]
    pub fn chain_header(&self, coin: &str, height: u64) -> Option<&Header> {
        self.chain(coin)?.headers.get(&height)
    }

    /// The value of a day (days since 1970) and how it came to it, if it is kept: its newest round.
    #[must_use]
    pub fn daily_fixing(&self, index: IndexId, day: u64) -> Option<&Round> {
        let rounds = self.rounds(index)?;
        let mut of_day = rounds.days_kept.iter().rev();
        of_day.find(|round| round.number == day)
    }

    fn chain(&self, coin: &str) -> Option<&Feed> {
        let mut feeds = self.oracle.feeds.iter();
        feeds.find(|feed| feed.is_chain() && feed.details.name == coin)
    }

    pub(super) fn feed(&self, id: FeedId) -> Option<&Feed> {
        self.oracle.feeds.get(id.index()?)
    }

    fn feed_mut(&mut self, id: FeedId) -> Option<&mut Feed> {
        self.oracle.feeds.get_mut(id.index()?)
    }
}

impl Oracle {
    /// In order of their numbers.
    pub(super) fn save(&self, saver: &mut Saver<'_>) -> std::io::Result<()> {
        let Self { feeds, rounds } = self;
        saver.items(Section::Feeds, feeds.iter())?;
        saver.items(Section::Rounds, rounds.iter())
    }

    pub(super) fn load(
        loader: &mut Loader<'_>,
        (indexes, contracts): (usize, usize),
    ) -> Result<Self, LoadError> {
        let fits = |feed: &Feed, place: usize| {
            let votes = feed.votes.iter().flat_map(|vote| &vote.by);
            feed.sources.len() <= limits::SOURCES
                && votes
                    .clone()
                    .all(|by| usize::from(*by) < feed.sources.len())
                && feed
                    .sources
                    .iter()
                    .all(|source| source.details.scope == Scope::Feed(FeedId::nth(place)))
        };
        let feeds = loader.table(
            Section::Feeds,
            limits::REFERENCE_ROWS,
            |place, feed: &Feed| fits(feed, place),
        )?;
        let mut rounds: BTreeMap<IndexId, Rounds> = BTreeMap::new();
        loader.each(Section::Rounds, indexes, |(id, row): (IndexId, Rounds)| {
            let known = id.index().is_some_and(|at| at < indexes);
            let ordered = rounds.last_key_value().is_none_or(|(last, _)| *last < id);
            let there = |feed: &FeedId| feed.index().is_some_and(|at| at < feeds.len());
            let method = row.method.as_ref().is_none_or(|method| {
                method.index == id && method.chains.iter().chain(&method.prices).all(there)
            });
            let of_index = |source: &Source| source.details.scope == Scope::Index(id);
            let listed = |(held, _): &(InstrumentId, TradingState)| {
                held.index().is_some_and(|at| at < contracts)
            };
            let rows = row.sources.iter().all(of_index) && row.held.iter().all(listed);
            let mut by = row.votes.iter().flat_map(|vote| &vote.by);
            let voters = by.all(|by| usize::from(*by) < row.sources.len());
            if !known
                || !ordered
                || !method
                || !voters
                || !rows
                || row.sources.len() > limits::SOURCES
            {
                return Err(format!(
                    "{id:?} is unknown, out of order, or reads what is not there"
                ));
            }
            rounds.insert(id, row);
            Ok(())
        })?;
        Ok(Self { feeds, rounds })
    }
}
