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
    command::{Command, Stamped, SwitchScope},
    event::{Event, Fill, LegFill, OrderEvent, Posting, Trade},
    ids::{AccountId, InstrumentId, Seq, SessionId},
    units::Nanos,
};

use bincode::{Decode, Encode};

use crate::{
    bulletin::{Answer, Bulletin, address, legs_after},
    statements::Statements,
};

mod saved;

/// Events kept in memory for resuming streams and repeated answers.
const RECENT_EVENTS: usize = 500_000;
/// Rows kept per account, session and contract, as long as all of them fit.
const ROWS: usize = 100_000;
/// Rows in all, of fills, postings and trades: 100 to 350 bytes each.
const ROWS_IN_ALL: usize = 4_000_000;
/// Rows that each account and contract keeps, however many of them there are.
const ROWS_AT_LEAST: usize = 1_000;

/// Something with its journal position and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Dated<T> {
    /// Journal position.
    pub seq: Seq,
    /// Core time.
    pub at: Nanos,
    /// What.
    pub what: T,
}

/// A fill with its order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FillRow {
    /// Event that told it.
    pub order: OrderEvent,
    /// The fill.
    pub fill: Fill,
    /// What it did in each leg; empty outside combinations.
    pub legs: Vec<LegFill>,
}

/// Where a session's event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Place {
    event_seq: u64,
    client_seq: u64,
    seq: Seq,
}

/// The archive.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    /// Journal position of the snapshot that it began with: what lies up to there is not among the recent.
    base: Seq,
    recent: VecDeque<Arc<Bulletin>>,
    recent_events: usize,
    sessions: HashMap<SessionId, VecDeque<Place>>,
    fills: HashMap<AccountId, VecDeque<Dated<FillRow>>>,
    postings: HashMap<AccountId, VecDeque<Dated<Posting>>>,
    trades: HashMap<InstrumentId, VecDeque<Dated<Trade>>>,
    /// Answers without a number: which command, and where it stands.
    resets: HashMap<SessionId, VecDeque<(u64, Seq)>>,
    switches: HashMap<(u8, u32), SwitchNote>,
    statements: Statements,
    /// Rows of all lists together.
    rows: usize,
    /// How often the rows kept of each list were halved, so that all lists together have room.
    halvings: u32,
}

/// Who moved a kill switch that is on, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SwitchNote {
    /// The caller's remark.
    pub note: String,
    /// Key of the caller.
    pub key_id: String,
    /// Core time.
    pub at: Nanos,
}

/// Level and number of what a switch covers; higher levels first.
#[must_use]
pub fn switch_key(scope: SwitchScope) -> (u8, u32) {
    match scope {
        SwitchScope::Venue => (0, 0),
        SwitchScope::Firm(firm) => (1, firm.0),
        SwitchScope::Account(account) => (2, account.0),
        SwitchScope::Session(session) => (3, session.0),
    }
}

/// The newest rows of one list; whether it has become longer.
fn push<T>(rows: &mut VecDeque<T>, row: T, kept: usize) -> bool {
    let full = rows.len() >= kept;
    if full {
        rows.pop_front();
    }
    rows.push_back(row);
    !full
}

/// Rows there would be if each list kept at most so many.
fn within<K, T>(lists: &HashMap<K, VecDeque<T>>, kept: usize) -> usize {
    lists.values().map(|rows| rows.len().min(kept)).sum()
}

fn shorten<K, T>(lists: &mut HashMap<K, VecDeque<T>>, kept: usize) {
    for rows in lists.values_mut().filter(|rows| rows.len() > kept) {
        rows.drain(..rows.len() - kept);
        rows.shrink_to_fit();
    }
}

impl Archive {
    /// Files a bulletin.
    pub fn file(&mut self, bulletin: Arc<Bulletin>) {
        for (stamped, events) in bulletin.commands() {
            self.index(stamped, events);
        }
        self.recent_events += bulletin.events.len() + bulletin.stamped.len();
        self.recent.push_back(bulletin);
        while self.recent_events > RECENT_EVENTS
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_events -= oldest.events.len() + oldest.stamped.len();
        }
    }

    /// Rows kept of each account and contract: older ones are in the journal.
    #[must_use]
    pub fn rows_kept(&self) -> usize {
        (ROWS >> self.halvings).max(ROWS_AT_LEAST)
    }

    /// Gives up every row but the newest of each list, as happens by itself, step by step, when there are too many
    /// of them in all.
    pub fn keep_least(&mut self) {
        self.make_room(0);
    }

    /// Makes room for all lists: each keeps half as many rows as before, so that the long ones give up
    /// theirs and the short ones lose nothing. Depends on what was filed alone, as a replay must. The places
    /// of sessions' events stay: a command sent again must find its first answer.
    fn make_room(&mut self, in_all: usize) {
        if self.rows <= in_all || self.rows_kept() == ROWS_AT_LEAST {
            return;
        }
        let mut rows = self.rows;
        while rows > in_all && self.rows_kept() > ROWS_AT_LEAST {
            self.halvings += 1;
            let kept = self.rows_kept();
            rows = within(&self.fills, kept)
                + within(&self.postings, kept)
                + within(&self.trades, kept);
        }
        let kept = self.rows_kept();
        shorten(&mut self.fills, kept);
        shorten(&mut self.postings, kept);
        shorten(&mut self.trades, kept);
        self.rows = rows;
        tracing::warn!(
            kept,
            "memory for the past is used up: listings keep fewer rows of each account and contract"
        );
    }

    /// Notes what a command did, without keeping its events at hand.
    pub fn index(&mut self, stamped: &Stamped, events: &[Event]) {
        let kept = self.rows_kept();
        {
            let (seq, at) = (stamped.seq, stamped.at);
            self.note(stamped, events);
            self.statements.hear(stamped, events);
            for (place, event) in events.iter().enumerate() {
                match event {
                    Event::Order(order) => {
                        if let Some(fill) = order.fill.filter(|_| !order.copy) {
                            let row = FillRow {
                                order: *order,
                                fill,
                                legs: legs_after(events, place).copied().collect(),
                            };
                            let rows = self.fills.entry(order.to.account).or_default();
                            let row = Dated { seq, at, what: row };
                            self.rows += usize::from(push(rows, row, kept));
                        }
                    }
                    Event::Posting(posting) => {
                        let rows = self.postings.entry(posting.account).or_default();
                        let what = *posting;
                        self.rows += usize::from(push(rows, Dated { seq, at, what }, kept));
                    }
                    Event::Trade(trade) => {
                        let rows = self.trades.entry(trade.instrument).or_default();
                        let what = *trade;
                        self.rows += usize::from(push(rows, Dated { seq, at, what }, kept));
                    }
                    // One place for the whole answer, its last event.
                    Event::QuoteProblem(_) | Event::QuoteOrder(_) => continue,
                    _ => {}
                }
                if let Some(to) = address(event).filter(|to| to.event_seq > 0) {
                    let place = Place {
                        event_seq: to.event_seq,
                        client_seq: to.client_seq,
                        seq,
                    };
                    let places = self.sessions.entry(to.session).or_default();
                    push(places, place, ROWS);
                }
            }
        }
        self.make_room(ROWS_IN_ALL);
    }

    /// Notes what is in a command but not in its events.
    fn note(&mut self, stamped: &Stamped, events: &[Event]) {
        match &stamped.command {
            Command::ResetMmp(reset)
                if reset.origin.session.is_set()
                    && events.iter().any(|event| matches!(event, Event::Mmp(_))) =>
            {
                let rows = self.resets.entry(reset.origin.session).or_default();
                push(rows, (reset.origin.client_seq, stamped.seq), ROWS);
            }
            Command::SetKillSwitch(request) => {
                let moved = events.iter().find_map(|event| match event {
                    Event::Switch(moved) => Some(*moved),
                    _ => None,
                });
                let Some(moved) = moved else { return };
                let key = switch_key(moved.scope);
                if moved.engaged {
                    let note = SwitchNote {
                        note: request.note.clone(),
                        key_id: request.key_id.clone(),
                        at: stamped.at,
                    };
                    self.switches.insert(key, note);
                } else {
                    self.switches.remove(&key);
                }
            }
            _ => {}
        }
    }

    /// Who engaged a switch.
    #[must_use]
    pub fn switch(&self, scope: SwitchScope) -> Option<&SwitchNote> {
        self.switches.get(&switch_key(scope))
    }

    /// Newest journal position filed.
    #[must_use]
    pub fn newest(&self) -> Seq {
        let newest = self.recent.back();
        newest.map_or(self.base, |bulletin| bulletin.last_seq())
    }

    /// First journal position still in memory; the next one if nothing is.
    #[must_use]
    pub fn oldest(&self) -> Seq {
        let oldest = self.recent.front();
        oldest.map_or(self.base + 1, |bulletin| bulletin.first_seq())
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
        if self.oldest() > seq + 1 {
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
        let places = self.sessions.get(&session).into_iter().flatten();
        let numbered = places
            .rev()
            .find(|place| place.client_seq == client_seq)
            .map(|place| place.seq);
        numbered.or_else(|| {
            let mut resets = self.resets.get(&session)?.iter().rev();
            resets
                .find(|(reset, _)| *reset == client_seq)
                .map(|(_, seq)| *seq)
        })
    }

    /// Journal positions of the resets that a session asked for after its event `event_seq`.
    #[must_use]
    pub fn resets_after(&self, session: SessionId, event_seq: u64) -> Vec<Seq> {
        let places = self.sessions.get(&session).into_iter().flatten();
        let seen = places
            .rev()
            .find(|place| place.event_seq <= event_seq)
            .map_or(0, |place| place.seq);
        let resets = self.resets.get(&session).into_iter().flatten();
        resets
            .map(|(_, seq)| *seq)
            .filter(|seq| *seq > seen)
            .collect()
    }

    /// Fills of an account, oldest first.
    pub fn fills(&self, account: AccountId) -> impl Iterator<Item = &Dated<FillRow>> {
        self.fills.get(&account).into_iter().flatten()
    }

    /// Postings of an account, oldest first.
    pub fn postings(&self, account: AccountId) -> impl Iterator<Item = &Dated<Posting>> {
        self.postings.get(&account).into_iter().flatten()
    }

    /// What each day did to each account.
    #[must_use]
    pub fn statements(&self) -> &Statements {
        &self.statements
    }

    /// Trades of a contract, oldest first.
    pub fn trades(&self, instrument: InstrumentId) -> impl Iterator<Item = &Dated<Trade>> {
        self.trades.get(&instrument).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use engine::{
        command::{Origin, Request, ResetMmp, SetKillSwitch},
        event::{MmpChange, SwitchChange},
    };

    use super::*;

    fn file(archive: &mut Archive, seq: Seq, command: Command, events: Vec<Event>) {
        let at = Nanos(seq.cast_signed() * 10);
        let ends = vec![u32::try_from(events.len()).unwrap_or(0)];
        archive.file(Arc::new(Bulletin {
            stamped: vec![Stamped { seq, at, command }],
            events,
            ends,
        }));
    }

    #[test]
    fn a_switch_is_remembered_until_it_is_off() {
        let mut archive = Archive::default();
        let scope = SwitchScope::Account(AccountId(4));
        let moved = |engaged| {
            let body = SetKillSwitch {
                scope,
                engaged,
                cancel_open_orders: false,
            };
            let request = Request {
                id: 1,
                key_id: "risk".into(),
                note: "too fast".into(),
                body,
            };
            let told = Event::Switch(SwitchChange { scope, engaged });
            (Command::SetKillSwitch(request), vec![told])
        };
        let (command, events) = moved(true);
        file(&mut archive, 1, command, events);
        let note = archive.switch(scope).expect("is on");
        assert_eq!((note.key_id.as_str(), note.at), ("risk", Nanos(10)));
        assert_eq!(note.note, "too fast");
        assert_eq!(archive.switch(SwitchScope::Account(AccountId(5))), None);
        let (command, events) = moved(false);
        file(&mut archive, 2, command, events);
        assert_eq!(archive.switch(scope), None);
    }

    #[test]
    fn when_all_lists_together_are_too_long_the_long_ones_give_up_their_oldest_rows() {
        let mut archive = Archive::default();
        let posting = |number: u64| Dated {
            seq: number,
            at: Nanos(0),
            what: Posting {
                entry: number,
                account: AccountId(1),
                asset: engine::ids::AssetId(1),
                delta: engine::units::Minor(1),
                balance: engine::units::Minor(1),
                kind: engine::event::PostingKind::Deposit,
                trade: engine::ids::TradeId(0),
                instrument: InstrumentId(0),
                transfer: 0,
            },
        };
        for (account, rows) in [(1, 60_000), (2, 30_000), (3, 10)] {
            let postings: VecDeque<_> = (1..=rows).map(posting).collect();
            archive.rows += postings.len();
            archive.postings.insert(AccountId(account), postings);
        }
        archive.make_room(90_010);
        assert_eq!(
            (archive.rows, archive.rows_kept()),
            (90_010, ROWS),
            "they fit"
        );
        archive.make_room(90_000);
        assert_eq!((archive.rows, archive.rows_kept()), (80_010, 50_000));
        archive.make_room(60_000);
        assert_eq!((archive.rows, archive.rows_kept()), (50_010, 25_000));
        let oldest = |account| {
            archive
                .postings(AccountId(account))
                .next()
                .map(|row| row.seq)
        };
        assert_eq!([1, 2, 3].map(oldest), [Some(35_001), Some(5_001), Some(1)]);
        let again = Archive::load(&archive.save(), 0).expect("as saved");
        assert_eq!((again.rows, again.rows_kept()), (50_010, 25_000));
        archive.make_room(0);
        assert_eq!(
            (archive.rows, archive.rows_kept()),
            (2_010, ROWS_AT_LEAST),
            "no further"
        );
    }

    #[test]
    fn the_answer_to_a_reset_is_found_although_it_has_no_number() {
        let mut archive = Archive::default();
        let session = SessionId(2);
        let origin = Origin {
            account: AccountId(4),
            session,
            client_seq: 7,
            ..Origin::default()
        };
        let mmp_group = 1;
        let reset = Command::ResetMmp(ResetMmp { origin, mmp_group });
        let thawed = Event::Mmp(MmpChange {
            account: AccountId(4),
            mmp_group,
            frozen: false,
            until: Nanos(0),
            limit: None,
            cancelled: 0,
        });
        file(&mut archive, 1, reset, vec![thawed]);
        assert_eq!(archive.position_of_command(session, 7), Some(1));
        assert_eq!(archive.position_of_command(session, 6), None);
        assert_eq!(archive.position_of_command(SessionId(3), 7), None);
        assert_eq!(archive.resets_after(session, 0), [1]);
        assert!(archive.resets_after(SessionId(3), 0).is_empty());
    }

    #[test]
    fn a_mass_quote_has_one_place_for_its_whole_answer() {
        use engine::{
            command::{MassQuote, Side},
            event::{Address, QuoteProblem, Quoted},
            reason::{Problem, Reason},
        };
        let mut archive = Archive::default();
        let to = Address {
            account: AccountId(4),
            session: SessionId(2),
            event_seq: 1,
            client_seq: 1,
            item: 0,
        };
        let refused = Event::QuoteProblem(QuoteProblem {
            to,
            entry: 0,
            side: Side::Buy,
            problem: Problem::new(Reason::QuoteCrossed),
        });
        let done = Event::Quoted(Quoted {
            to,
            quote_id: 9,
            accepted: 0,
            kept: 0,
        });
        let command = Command::MassQuote(MassQuote {
            origin: Origin::default(),
            quote_id: 9,
            mmp_group: 1,
            entries: Vec::new(),
            report_order_ids: false,
        });
        file(
            &mut archive,
            5,
            command,
            vec![refused.clone(), refused, done],
        );
        let places = archive.sessions.get(&SessionId(2)).map(VecDeque::len);
        assert_eq!(places, Some(1));
        assert_eq!(archive.positions_of(SessionId(2), 0, 1), Some(vec![5]));

        // A reset after that event is news to who has seen it, and to who has not.
        let origin = Origin {
            session: SessionId(2),
            client_seq: 2,
            ..Origin::default()
        };
        let mmp_group = 1;
        let reset = Command::ResetMmp(ResetMmp { origin, mmp_group });
        let thawed = Event::Mmp(MmpChange {
            account: AccountId(4),
            mmp_group,
            frozen: false,
            until: Nanos(0),
            limit: None,
            cancelled: 0,
        });
        file(&mut archive, 6, reset, vec![thawed]);
        assert_eq!(archive.resets_after(SessionId(2), 1), [6]);
        assert_eq!(archive.resets_after(SessionId(2), 0), [6]);
        let next = Event::Quoted(Quoted {
            to: Address { event_seq: 2, ..to },
            quote_id: 10,
            accepted: 0,
            kept: 0,
        });
        file(&mut archive, 7, Command::Tick, vec![next]);
        assert!(archive.resets_after(SessionId(2), 2).is_empty(), "seen");
    }
}
