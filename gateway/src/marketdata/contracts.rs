//! Subscriptions to contracts: best prices, depth, tape, states, statistics, auctions.

use std::collections::{BTreeSet, HashMap};

use engine::{
    event::{Event, Trade},
    exchange::Exchange,
    ids::InstrumentId,
    instrument::TradingState,
    reason::Reason,
};
use proto::marketdata::v1::{
    self as wire, MarketDataUpdate as Update, market_data_update::Payload,
};
use tokio::time::{Duration, Instant};

use super::row::{Channel, Moment, Row, Seed, public};
use crate::{
    archive::Dated,
    desk::{Desk, wide},
    translate,
};

/// The rows of one subscription.
#[derive(Debug)]
pub struct Contracts {
    channel: Channel,
    /// `None` = all, present and future.
    chosen: Option<BTreeSet<InstrumentId>>,
    interval: Duration,
    rows: HashMap<InstrumentId, Row>,
    /// Rows whose change waits for their interval, and the first moment one may go.
    held: Vec<InstrumentId>,
    due: Option<Instant>,
    /// Journal position of the snapshot: what is not newer is in it.
    as_of: u64,
}

impl Contracts {
    /// Nothing yet; [`Self::begin`] makes the rows.
    #[must_use]
    pub fn new(
        channel: Channel,
        chosen: Option<BTreeSet<InstrumentId>>,
        interval: Duration,
    ) -> Self {
        Self {
            channel,
            chosen,
            interval,
            rows: HashMap::new(),
            held: Vec::new(),
            due: None,
            as_of: 0,
        }
    }

    /// Takes snapshots of the present state, replacing everything. The caller listens already.
    pub fn begin(&mut self, desk: &Desk, out: &mut Vec<Update>) -> Moment {
        let (moment, seeds) = desk.state(|exchange| (Moment::now(exchange), self.seeds(exchange)));
        (self.as_of, self.due) = (moment.journal, None);
        self.held.clear();
        self.rows.clear();
        for seed in seeds {
            self.add(seed, moment, out);
        }
        moment
    }

    /// Begins a tape after a position, with the trades that were dug up for it and then those of the archive. Trades told here are skipped when they come by
    /// again, by their position, so `as_of` plays no part.
    pub fn resume(
        &mut self,
        desk: &Desk,
        id: InstrumentId,
        after: i64,
        past: Vec<Dated<Trade>>,
        out: &mut Vec<Update>,
    ) {
        let dug_up_to = past.last().map_or(0, |trade| trade.what.public_seq);
        self.begin(desk, out);
        self.as_of = 0;
        let archive = desk.hub.archive();
        let mut missed = past;
        missed.extend(archive.trades(id).copied().filter(|trade| {
            wide(trade.what.public_seq) > after && trade.what.public_seq > dug_up_to
        }));
        drop(archive);
        if let Some(row) = self.rows.get_mut(&id) {
            row.resume(after);
            for trade in missed {
                let (journal, at) = (trade.seq, trade.at);
                let seq = wide(trade.what.public_seq);
                let moment = Moment { journal, at };
                row.look(&Event::Trade(trade.what), seq, moment, out);
            }
        }
    }

    fn seeds(&self, exchange: &Exchange) -> Vec<Seed> {
        let seed = |contract| Seed::take(exchange, contract, self.channel);
        match &self.chosen {
            None => exchange.instruments().iter().map(seed).collect(),
            Some(chosen) => chosen
                .iter()
                .filter_map(|id| exchange.instrument(*id))
                .map(seed)
                .collect(),
        }
    }

    fn add(&mut self, seed: Seed, moment: Moment, out: &mut Vec<Update>) {
        let (row, snapshot) = Row::begin(seed, self.channel, moment);
        self.rows.insert(row.contract(), row);
        out.extend(snapshot);
    }

    /// Whether a contract is subscribed to.
    #[must_use]
    pub fn covers(&self, id: InstrumentId) -> bool {
        self.chosen
            .as_ref()
            .is_none_or(|chosen| chosen.contains(&id))
    }

    /// Contracts subscribed to that exist.
    pub fn ids(&self) -> impl Iterator<Item = InstrumentId> + '_ {
        self.rows.keys().copied()
    }

    /// All contracts, present and future.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.chosen.is_none()
    }

    /// What one command did.
    pub fn command(
        &mut self,
        moment: Moment,
        events: &[Event],
        now: Instant,
        out: &mut Vec<Update>,
    ) {
        if moment.journal <= self.as_of {
            return;
        }
        let mut touched: Vec<InstrumentId> = Vec::new();
        for event in events {
            if let Event::Listed(id) = event {
                self.list(*id, moment, out);
                continue;
            }
            let Some((id, seq)) = public(event) else {
                continue;
            };
            if let Some(row) = self.rows.get_mut(&id)
                && row.look(event, wide(seq), moment, out)
            {
                touched.push(id);
            }
        }
        for id in touched {
            self.tell(id, now, out);
        }
    }

    /// A new contract begins with a snapshot, like every other.
    fn list(&mut self, id: InstrumentId, moment: Moment, out: &mut Vec<Update>) {
        if self.covers(id) && !self.rows.contains_key(&id) {
            let closed = wire::InstrumentStatus {
                state: translate::reference::state(TradingState::Closed),
                reason: Reason::Schedule.number(),
                next_change_unix_nanos: 0,
                next_state: 0,
            };
            let mut seed = Seed::listed(id, closed);
            if self.channel == Channel::Statistics {
                seed = seed.before_statistics();
            }
            self.add(seed, moment, out);
        }
    }

    fn tell(&mut self, id: InstrumentId, now: Instant, out: &mut Vec<Update>) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        if let Some(ready) = row.held_until(now) {
            if !std::mem::replace(&mut row.queued, true) {
                self.held.push(id);
            }
            self.due = Some(self.due.map_or(ready, |due| due.min(ready)));
            return;
        }
        row.tell(now, self.interval, out);
    }

    /// When a held update may go.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Tells what was held long enough.
    pub fn flush(&mut self, now: Instant, out: &mut Vec<Update>) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = None;
        for id in std::mem::take(&mut self.held) {
            if let Some(row) = self.rows.get_mut(&id) {
                row.queued = false;
            }
            self.tell(id, now, out);
        }
    }

    /// After a lag: says how many public changes went by, then begins again.
    pub fn restart(&mut self, desk: &Desk, out: &mut Vec<Update>) {
        let before: HashMap<InstrumentId, i64> =
            self.rows.iter().map(|(id, row)| (*id, row.seen)).collect();
        let at = out.len();
        let moment = self.begin(desk, out);
        let skipped = |(id, row): (&InstrumentId, &Row)| {
            row.seen
                .saturating_sub(before.get(id).copied().unwrap_or(0))
        };
        let lagged = wire::Lagged {
            skipped_updates: self.rows.iter().map(skipped).sum(),
            resumed_at_seq: match self.rows.len() {
                1 => self.rows.values().map(|row| row.seen).sum(),
                _ => 0,
            },
        };
        let only = self.rows.keys().next().filter(|_| self.rows.len() == 1);
        out.insert(
            at,
            Update {
                instrument_id: only.map_or(0, |id| translate::reference::id(id.0)),
                journal_seq: wide(moment.journal),
                matched_unix_nanos: moment.at.0,
                payload: Some(Payload::Lagged(lagged)),
                ..Update::default()
            },
        );
    }
}
