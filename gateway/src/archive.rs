//! What has been told, kept for those who ask later: fills, postings, trades, recent events.
//!
//! Filled by the publisher, and by the replay at start, so it is the same after a restart. Everything
//! is bounded; what is older is in the journal, and [`crate::desk::Desk`] replays it from there when a
//! session or a private stream resumes further back.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use engine::{
    event::{Event, Fill, OrderEvent, Posting, Trade},
    ids::{AccountId, InstrumentId, Seq, SessionId},
    units::Nanos,
};

use crate::bulletin::{Answer, Bulletin, address};

/// Events kept in memory for resuming streams and repeated answers.
const RECENT_EVENTS: usize = 500_000;
/// Rows kept per account and per contract.
pub const ROWS: usize = 100_000;

/// Something with its journal position and time.
#[derive(Clone, Copy, Debug)]
pub struct Dated<T> {
    /// Journal position.
    pub seq: Seq,
    /// Core time.
    pub at: Nanos,
    /// What.
    pub what: T,
}

/// A fill with its order.
#[derive(Clone, Copy, Debug)]
pub struct FillRow {
    /// Event that told it.
    pub order: OrderEvent,
    /// The fill.
    pub fill: Fill,
}

/// Where a session's event stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    event_seq: u64,
    client_seq: u64,
    seq: Seq,
}

/// The archive.
#[derive(Debug, Default)]
pub struct Archive {
    recent: VecDeque<Arc<Bulletin>>,
    recent_events: usize,
    sessions: HashMap<SessionId, VecDeque<Place>>,
    fills: HashMap<AccountId, VecDeque<Dated<FillRow>>>,
    postings: HashMap<AccountId, VecDeque<Dated<Posting>>>,
    trades: HashMap<InstrumentId, VecDeque<Dated<Trade>>>,
}

fn push<T>(rows: &mut VecDeque<T>, row: T) {
    if rows.len() >= ROWS {
        rows.pop_front();
    }
    rows.push_back(row);
}

impl Archive {
    /// Files a bulletin.
    pub fn file(&mut self, bulletin: Arc<Bulletin>) {
        for (stamped, events) in bulletin.commands() {
            let (seq, at) = (stamped.seq, stamped.at);
            for event in events {
                match event {
                    Event::Order(order) => {
                        if let Some(fill) = order.fill.filter(|_| !order.copy) {
                            let row = FillRow {
                                order: *order,
                                fill,
                            };
                            let rows = self.fills.entry(order.to.account).or_default();
                            push(rows, Dated { seq, at, what: row });
                        }
                    }
                    Event::Posting(posting) => {
                        let rows = self.postings.entry(posting.account).or_default();
                        push(
                            rows,
                            Dated {
                                seq,
                                at,
                                what: *posting,
                            },
                        );
                    }
                    Event::Trade(trade) => {
                        let rows = self.trades.entry(trade.instrument).or_default();
                        push(
                            rows,
                            Dated {
                                seq,
                                at,
                                what: *trade,
                            },
                        );
                    }
                    _ => {}
                }
                if let Some(to) = address(event).filter(|to| to.event_seq > 0) {
                    let place = Place {
                        event_seq: to.event_seq,
                        client_seq: to.client_seq,
                        seq,
                    };
                    push(self.sessions.entry(to.session).or_default(), place);
                }
            }
        }
        self.recent_events += bulletin.events.len() + bulletin.stamped.len();
        self.recent.push_back(bulletin);
        while self.recent_events > RECENT_EVENTS
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_events -= oldest.events.len() + oldest.stamped.len();
        }
    }

    /// Newest journal position filed.
    #[must_use]
    pub fn newest(&self) -> Seq {
        self.recent.back().map_or(0, |bulletin| bulletin.last_seq())
    }

    /// First journal position still in memory; the next one if nothing is.
    #[must_use]
    pub fn oldest(&self) -> Option<Seq> {
        self.recent.front().map(|bulletin| bulletin.first_seq())
    }

    /// The answer at a journal position, if still in memory.
    #[must_use]
    pub fn answer(&self, seq: Seq) -> Option<Answer> {
        let at = self
            .recent
            .partition_point(|bulletin| bulletin.last_seq() < seq);
        let bulletin = self.recent.get(at)?;
        let place = usize::try_from(seq.checked_sub(bulletin.first_seq())?).ok()?;
        bulletin
            .command(place)
            .map(|_| Answer::new(bulletin.clone(), place))
    }

    /// Bulletins with commands after a position, oldest first; `None` if some are gone from memory.
    #[must_use]
    pub fn after(&self, seq: Seq) -> Option<Vec<Arc<Bulletin>>> {
        if self.oldest().is_some_and(|oldest| oldest > seq + 1) {
            return None;
        }
        let at = self
            .recent
            .partition_point(|bulletin| bulletin.last_seq() <= seq);
        Some(self.recent.iter().skip(at).cloned().collect())
    }

    /// Journal positions of a session's events after `event_seq`, up to and with `last`; `None` if the
    /// index does not reach back that far.
    #[must_use]
    pub fn positions_of(&self, session: SessionId, event_seq: u64, last: u64) -> Option<Vec<Seq>> {
        if event_seq >= last {
            return Some(Vec::new());
        }
        let places = self.sessions.get(&session)?;
        if places
            .front()
            .is_none_or(|first| first.event_seq > event_seq + 1)
        {
            return None;
        }
        let at = places.partition_point(|place| place.event_seq <= event_seq);
        let mut seqs: Vec<Seq> = places
            .iter()
            .skip(at)
            .take_while(|place| place.event_seq <= last)
            .map(|place| place.seq)
            .collect();
        seqs.dedup();
        Some(seqs)
    }

    /// Journal position of the answer to a session's command, if indexed.
    #[must_use]
    pub fn position_of_command(&self, session: SessionId, client_seq: u64) -> Option<Seq> {
        let places = self.sessions.get(&session)?;
        places
            .iter()
            .rev()
            .find(|place| place.client_seq == client_seq)
            .map(|place| place.seq)
    }

    /// Fills of an account, oldest first.
    pub fn fills(&self, account: AccountId) -> impl Iterator<Item = &Dated<FillRow>> {
        self.fills.get(&account).into_iter().flatten()
    }

    /// Postings of an account, oldest first.
    pub fn postings(&self, account: AccountId) -> impl Iterator<Item = &Dated<Posting>> {
        self.postings.get(&account).into_iter().flatten()
    }

    /// Trades of a contract, oldest first.
    pub fn trades(&self, instrument: InstrumentId) -> impl Iterator<Item = &Dated<Trade>> {
        self.trades.get(&instrument).into_iter().flatten()
    }
}
