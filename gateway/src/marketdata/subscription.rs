//! One subscription: checked, begun with ACTIVE and snapshots, then fed bulletin by bulletin.

use std::collections::BTreeSet;

use engine::{
    event::{Event, Trade},
    exchange::Exchange,
    ids::{IndexId, InstrumentId},
    reason::{Field, Problem, Reason},
};
use proto::{
    common::v1 as common,
    marketdata::v1::{
        self as wire, Channel as Wanted, MarketDataUpdate as Update, market_data_update::Payload,
    },
};
use tokio::time::{Duration, Instant};

use super::{
    contracts::Contracts,
    row::{Channel, Moment},
    series::{Curves, Indexes, products},
};
use crate::{
    archive::Dated,
    desk::{Desk, wide},
    refusal,
    translate::reference::number,
};

/// Longest interval of conflation, in milliseconds.
const LONGEST_INTERVAL_MS: i32 = 60_000;

#[derive(Debug)]
enum Body {
    Contracts(Contracts),
    Indexes(Indexes),
    Curves(Curves),
}

/// The subscription.
#[derive(Debug)]
pub struct Subscription {
    /// Chosen by the client.
    pub id: i32,
    /// A lag ends the stream.
    pub ends_on_lag: bool,
    body: Body,
}

impl Subscription {
    /// Checks what is asked and begins it: ACTIVE, then snapshots. The caller listens already, and has dug up the
    /// trades of a continued tape that memory no longer holds.
    ///
    /// # Errors
    /// What to answer with REJECTED; nothing was told then.
    pub fn begin(
        asked: &wire::Subscription,
        past: Vec<Dated<Trade>>,
        desk: &Desk,
        now: Instant,
        out: &mut Vec<Update>,
    ) -> Result<Self, common::Problem> {
        check_numbers(asked)?;
        let body = desk.state(|exchange| body(exchange, asked))?;
        let mut begun = Self {
            id: asked.subscription_id,
            ends_on_lag: asked.lag_policy() == wire::LagPolicy::Disconnect,
            body,
        };
        let resume = resume_point(asked, desk)?;
        out.push(status(begun.id, wire::SubscriptionState::Active, None));
        let at = out.len();
        match (&mut begun.body, resume) {
            (Body::Contracts(body), Some(id)) => {
                body.resume(desk, id, asked.resume_after_seq, past, out);
            }
            (Body::Contracts(body), None) => {
                body.begin(desk, out);
            }
            (Body::Indexes(body), _) => {
                body.begin(desk, out);
            }
            (Body::Curves(body), _) => {
                body.begin(desk, now, out);
            }
        }
        begun.sign(out, at);
        Ok(begun)
    }

    /// Puts the subscription's name on the updates from a place on.
    fn sign(&self, out: &mut [Update], at: usize) {
        for update in out.iter_mut().skip(at) {
            update.subscription_id = self.id;
        }
    }

    /// Contracts that it is about, as far as they exist.
    #[must_use]
    pub fn contracts(&self) -> Vec<InstrumentId> {
        match &self.body {
            Body::Contracts(body) => body.ids().collect(),
            Body::Indexes(_) => Vec::new(),
            Body::Curves(body) => body.ids().collect(),
        }
    }

    /// Wants every contract's changes, also of those to come.
    #[must_use]
    pub fn wants_all(&self) -> bool {
        matches!(&self.body, Body::Contracts(body) if body.is_all())
    }

    /// What one command did.
    pub fn command(
        &mut self,
        desk: &Desk,
        moment: Moment,
        events: &[Event],
        now: Instant,
        out: &mut Vec<Update>,
    ) {
        let at = out.len();
        match &mut self.body {
            Body::Contracts(body) => body.command(moment, events, now, out),
            Body::Indexes(body) => body.command(desk, moment, events, out),
            Body::Curves(body) => body.command(desk, events),
        }
        self.sign(out, at);
    }

    /// After a bulletin, and when an interval is over: tells what was held back.
    pub fn flush(&mut self, desk: &Desk, now: Instant, out: &mut Vec<Update>) {
        let at = out.len();
        match &mut self.body {
            Body::Contracts(body) => body.flush(now, out),
            Body::Indexes(_) => {}
            Body::Curves(body) => body.tell(desk, now, out),
        }
        self.sign(out, at);
    }

    /// When something held back may go.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        match &self.body {
            Body::Contracts(body) => body.due(),
            Body::Indexes(_) => None,
            Body::Curves(body) => body.due(),
        }
    }

    /// `bulletins` went by unread: says so, and begins again from the present state.
    pub fn restart(&mut self, desk: &Desk, bulletins: u64, now: Instant, out: &mut Vec<Update>) {
        let at = out.len();
        match &mut self.body {
            Body::Contracts(body) => body.restart(desk, out),
            Body::Indexes(body) => body.restart(desk, bulletins, out),
            Body::Curves(body) => body.restart(desk, bulletins, now, out),
        }
        self.sign(out, at);
    }
}

/// The first or last update of a subscription.
#[must_use]
pub fn status(id: i32, state: wire::SubscriptionState, problem: Option<common::Problem>) -> Update {
    let status = wire::SubscriptionStatus {
        state: state.into(),
        problem,
    };
    Update {
        subscription_id: id,
        payload: Some(Payload::SubscriptionStatus(status)),
        ..Update::default()
    }
}

/// A refusal about a field that only subscriptions have.
#[must_use]
pub fn wrong(reason: Reason, field: &str, limit: i64, actual: i64) -> common::Problem {
    let plain = refusal::problem(&Problem::limit(reason, Field::None, limit, actual));
    common::Problem {
        message: format!("{} ({field})", plain.message),
        field: field.to_owned(),
        ..plain
    }
}

fn check_numbers(asked: &wire::Subscription) -> Result<(), common::Problem> {
    let range = |field, value: i32, least: i32, most: i32| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        let limit = if value < least { least } else { most };
        let (limit, value) = (limit.into(), value.into());
        Err(wrong(Reason::InvalidField, field, limit, value))
    };
    range("subscription_id", asked.subscription_id, 1, i32::MAX)?;
    range("depth_levels", asked.depth_levels, 0, i32::MAX)?;
    let interval = asked.min_interval_ms;
    range("min_interval_ms", interval, 0, LONGEST_INTERVAL_MS)?;
    let policies = i32::from(wire::LagPolicy::Disconnect);
    range("lag_policy", asked.lag_policy, 0, policies)?;
    if asked.resume_after_seq < 0 {
        let seq = asked.resume_after_seq;
        return Err(wrong(Reason::InvalidField, "resume_after_seq", 0, seq));
    }
    Ok(())
}

fn body(exchange: &Exchange, asked: &wire::Subscription) -> Result<Body, common::Problem> {
    let millis = u64::try_from(asked.min_interval_ms).unwrap_or(0);
    let interval = Duration::from_millis(millis);
    let channel = match asked.channel() {
        Wanted::Bbo => Channel::Bbo,
        Wanted::Depth => Channel::Depth(usize::try_from(asked.depth_levels).unwrap_or(0)),
        Wanted::Trades => Channel::Trades,
        Wanted::Statistics => Channel::Statistics,
        Wanted::Auction => Channel::Auction,
        Wanted::Status => Channel::Status,
        Wanted::Index => {
            let chosen = indexes(exchange, &asked.index_names)?;
            return Ok(Body::Indexes(Indexes::new(chosen)));
        }
        Wanted::ForwardCurve => {
            let chosen = products(exchange, &asked.product_ids)
                .ok_or_else(|| wrong(Reason::NotFound, "product_ids", 0, 0))?;
            let chosen = (!chosen.is_empty()).then_some(chosen);
            return Ok(Body::Curves(Curves::new(chosen, interval)));
        }
        Wanted::Orders | Wanted::Candles => {
            let number = asked.channel.into();
            return Err(wrong(Reason::NotImplemented, "channel", 0, number));
        }
        Wanted::Unspecified => {
            let number = asked.channel.into();
            return Err(wrong(Reason::InvalidField, "channel", 0, number));
        }
    };
    let mut chosen = BTreeSet::new();
    for id in &asked.instrument_ids {
        let known = InstrumentId(number(*id));
        if exchange.instrument(known).is_none() {
            let (reason, id) = (Reason::UnknownInstrument, i64::from(*id));
            return Err(wrong(reason, "instrument_ids", 0, id));
        }
        chosen.insert(known);
    }
    let chosen = (!chosen.is_empty()).then_some(chosen);
    Ok(Body::Contracts(Contracts::new(channel, chosen, interval)))
}

fn indexes(
    exchange: &Exchange,
    names: &[String],
) -> Result<Option<BTreeSet<IndexId>>, common::Problem> {
    let all = exchange.indexes();
    let place = |name: &String| all.iter().position(|index| index.details.name == *name);
    let chosen: Option<BTreeSet<IndexId>> = names
        .iter()
        .map(|name| place(name).map(IndexId::nth))
        .collect();
    let chosen = chosen.ok_or_else(|| wrong(Reason::NotFound, "index_names", 0, 0))?;
    Ok((!chosen.is_empty()).then_some(chosen))
}

/// The field that names where a tape is continued.
pub(super) const FIELD: &str = "resume_after_seq";

/// The contract whose tape is to be continued, if that was asked and is possible.
pub(super) fn resume_point(
    asked: &wire::Subscription,
    desk: &Desk,
) -> Result<Option<InstrumentId>, common::Problem> {
    let after = asked.resume_after_seq;
    if after == 0 {
        return Ok(None);
    }
    let ([id], Wanted::Trades) = (asked.instrument_ids.as_slice(), asked.channel()) else {
        return Err(wrong(Reason::UnsupportedCombination, FIELD, 0, after));
    };
    let id = InstrumentId(number(*id));
    let newest = desk.state(|exchange| exchange.instrument(id).map(|row| wide(row.public_seq)));
    if let Some(newest) = newest.filter(|newest| after > *newest) {
        return Err(wrong(Reason::InvalidField, FIELD, newest, after));
    }
    Ok(Some(id))
}
