//! Subscriptions to what belongs to no single contract: index values and forward curves.
//!
//! They have no public numbering of their own, so their `seq` is the journal position.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use engine::{
    event::{Event, RoundKind},
    exchange::Exchange,
    ids::{IndexId, InstrumentId, ProductId},
    instrument::Kind,
};
use proto::marketdata::v1::{
    self as wire, MarketDataUpdate as Update, market_data_update::Payload,
};
use tokio::time::{Duration, Instant};

use super::row::{Moment, public};
use crate::{
    desk::{Desk, wide},
    translate::{self, reference::number},
};

fn update(seq: u64, prev_seq: i64, moment: Moment, payload: Payload) -> Update {
    Update {
        subscription_id: 0,
        instrument_id: 0,
        seq: wide(seq),
        prev_seq,
        journal_seq: wide(seq),
        matched_unix_nanos: moment.at.0,
        payload: Some(payload),
    }
}

fn lagged(moment: Moment, skipped: u64) -> Update {
    let lagged = wire::Lagged {
        skipped_updates: wide(skipped),
        resumed_at_seq: wide(moment.journal),
    };
    Update {
        journal_seq: wide(moment.journal),
        matched_unix_nanos: moment.at.0,
        payload: Some(Payload::Lagged(lagged)),
        ..Update::default()
    }
}

/// Index values of one subscription.
#[derive(Debug)]
pub struct Indexes {
    /// `None` = all, present and future.
    chosen: Option<BTreeSet<IndexId>>,
    names: Vec<String>,
    prev: i64,
    as_of: u64,
}

impl Indexes {
    /// Nothing told yet.
    #[must_use]
    pub fn new(chosen: Option<BTreeSet<IndexId>>) -> Self {
        Self {
            chosen,
            names: Vec::new(),
            prev: 0,
            as_of: 0,
        }
    }

    fn covers(&self, id: IndexId) -> bool {
        self.chosen
            .as_ref()
            .is_none_or(|chosen| chosen.contains(&id))
    }

    /// The newest value of each index.
    pub fn begin(&mut self, desk: &Desk, out: &mut Vec<Update>) -> Moment {
        let (moment, names, values) = desk.state(|exchange| {
            let all = (1_u32..).map(IndexId).zip(exchange.indexes());
            let values: Vec<_> = all
                .filter(|(id, _)| self.covers(*id))
                .filter_map(|(id, index)| {
                    // A computed index is as it was sampled last, with all that led to it.
                    let (seq, value) = translate::market::index_now(index)?;
                    let rounds = exchange.rounds(id);
                    let sampled = rounds.and_then(|rounds| rounds.samples_kept.back());
                    let sampled = sampled.map(|round| translate::rounds::round(exchange, round));
                    Some((seq, sampled.unwrap_or(value)))
                })
                .collect();
            (Moment::now(exchange), names(exchange), values)
        });
        (self.names, self.as_of, self.prev) = (names, moment.journal, 0);
        let newest = values.iter().map(|(seq, _)| *seq).max().unwrap_or(0);
        for (_, value) in values {
            let at = engine::units::Nanos(value.as_of_unix_nanos);
            let moment = Moment { at, ..moment };
            out.push(update(newest, 0, moment, Payload::Index(value)));
        }
        self.prev = wide(newest);
        moment
    }

    /// What one command did.
    pub fn command(
        &mut self,
        desk: &Desk,
        moment: Moment,
        events: &[Event],
        out: &mut Vec<Update>,
    ) {
        if moment.journal <= self.as_of {
            return;
        }
        for event in events {
            if let Event::Round(round) = event
                && self.covers(round.index)
            {
                let value = desk.state(|exchange| translate::rounds::round(exchange, round));
                let payload = Payload::Index(value);
                out.push(update(moment.journal, self.prev, moment, payload));
                self.prev = wide(moment.journal);
            }
            let Event::Index(change) = event else {
                continue;
            };
            // A sample is told with its inputs, above.
            if !change.fixing && sampled(events, change.index) {
                continue;
            }
            let Some(place) = change.index.index().filter(|_| self.covers(change.index)) else {
                continue;
            };
            if place >= self.names.len() {
                self.names = desk.state(names);
            }
            let name = self.names.get(place).map_or("", String::as_str);
            let (round, fixing) = (change.round, change.fixing);
            let value =
                translate::market::index_value(name, round, change.value, moment.at, fixing);
            out.push(update(
                moment.journal,
                self.prev,
                moment,
                Payload::Index(value),
            ));
            self.prev = wide(moment.journal);
        }
    }

    /// After a lag.
    pub fn restart(&mut self, desk: &Desk, skipped: u64, out: &mut Vec<Update>) {
        let at = out.len();
        let moment = self.begin(desk, out);
        out.insert(at, lagged(moment, skipped));
    }
}

/// Whether a sample of the index is among the events.
fn sampled(events: &[Event], index: IndexId) -> bool {
    events.iter().any(|event| match event {
        Event::Round(round) => round.index == index && round.kind == RoundKind::Sample,
        _ => false,
    })
}

fn names(exchange: &Exchange) -> Vec<String> {
    let all = exchange.indexes().iter();
    all.map(|index| index.details.name.clone()).collect()
}

/// Forward curves of one subscription. A curve is always taken whole from the present state, at most once
/// per bulletin, and told if it differs from the one told before.
#[derive(Debug)]
pub struct Curves {
    /// `None` = all, present and future.
    chosen: Option<BTreeSet<ProductId>>,
    interval: Duration,
    of: HashMap<InstrumentId, ProductId>,
    told: BTreeMap<ProductId, (wire::ForwardCurve, Option<Instant>)>,
    touched: BTreeSet<ProductId>,
    prev: i64,
}

impl Curves {
    /// Nothing told yet.
    #[must_use]
    pub fn new(chosen: Option<BTreeSet<ProductId>>, interval: Duration) -> Self {
        Self {
            chosen,
            interval,
            of: HashMap::new(),
            told: BTreeMap::new(),
            touched: BTreeSet::new(),
            prev: 0,
        }
    }

    fn learn(&mut self, exchange: &Exchange) {
        let forwards = exchange.instruments().iter().filter(|contract| {
            let chosen = self.chosen.as_ref();
            contract.terms.kind == Kind::Forward
                && chosen.is_none_or(|chosen| chosen.contains(&contract.product))
        });
        self.of = forwards
            .map(|contract| (contract.id, contract.product))
            .collect();
    }

    /// Forwards whose changes matter.
    pub fn ids(&self) -> impl Iterator<Item = InstrumentId> + '_ {
        self.of.keys().copied()
    }

    /// Every curve as it is.
    pub fn begin(&mut self, desk: &Desk, now: Instant, out: &mut Vec<Update>) -> Moment {
        let moment = desk.state(|exchange| {
            self.learn(exchange);
            Moment::now(exchange)
        });
        self.told.clear();
        self.prev = 0;
        self.touched = self.of.values().copied().collect();
        if let Some(chosen) = &self.chosen {
            // Also those without a forward: an empty curve is an answer.
            self.touched.extend(chosen.iter().copied());
        }
        let at = out.len();
        self.tell(desk, now, out);
        for update in out.iter_mut().skip(at) {
            update.prev_seq = 0;
        }
        moment
    }

    /// Notes what one command touched.
    pub fn command(&mut self, desk: &Desk, events: &[Event]) {
        for event in events {
            if let Event::Listed(id) = event {
                desk.state(|exchange| self.learn(exchange));
                self.touched.extend(self.of.get(id).copied());
            } else if let Some((id, _)) = public(event) {
                self.touched.extend(self.of.get(&id).copied());
            }
        }
    }

    /// When a held curve may go.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let ready = |product| self.told.get(product).and_then(|(_, ready)| *ready);
        self.touched.iter().filter_map(ready).min()
    }

    /// Tells the curves that changed and may go.
    pub fn tell(&mut self, desk: &Desk, now: Instant, out: &mut Vec<Update>) {
        let told = &self.told;
        let may_go = |product: &ProductId| {
            let ready = told.get(product).and_then(|(_, ready)| *ready);
            ready.is_none_or(|ready| ready <= now)
        };
        let free: Vec<ProductId> = self.touched.iter().copied().filter(may_go).collect();
        if free.is_empty() {
            return;
        }
        let (moment, curves) = desk.state(|exchange| {
            let curve = |product: &ProductId| translate::market::curve(exchange, *product);
            let curves: Vec<_> = free.iter().map(curve).collect();
            (Moment::now(exchange), curves)
        });
        for (product, curve) in free.into_iter().zip(curves) {
            self.touched.remove(&product);
            if self
                .told
                .get(&product)
                .is_some_and(|(told, _)| *told == curve)
            {
                continue;
            }
            let ready = (!self.interval.is_zero()).then(|| now + self.interval);
            self.told.insert(product, (curve.clone(), ready));
            let payload = Payload::ForwardCurve(curve);
            out.push(update(moment.journal, self.prev, moment, payload));
            self.prev = wide(moment.journal);
        }
    }

    /// After a lag.
    pub fn restart(&mut self, desk: &Desk, skipped: u64, now: Instant, out: &mut Vec<Update>) {
        let at = out.len();
        let moment = self.begin(desk, now, out);
        out.insert(at, lagged(moment, skipped));
    }
}

/// The products of a request; `None` if one does not exist.
#[must_use]
pub fn products(exchange: &Exchange, ids: &[i32]) -> Option<BTreeSet<ProductId>> {
    ids.iter()
        .map(|id| ProductId(number(*id)))
        .map(|id| {
            let known = id.index().is_some_and(|at| at < exchange.products().len());
            known.then_some(id)
        })
        .collect()
}
