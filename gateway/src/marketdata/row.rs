//! One contract as one subscription sees it: what the client was told last, and what waits to be told.

use engine::{
    command::Stamped,
    event::{Event, LevelChange},
    exchange::Exchange,
    ids::InstrumentId,
    units::Nanos,
};
use proto::marketdata::v1::{
    self as wire, MarketDataUpdate as Update, market_data_update::Payload,
};
use tokio::time::{Duration, Instant};

use super::view::{Level, View};
use crate::{desk::wide, translate};

/// Journal position and time of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Position.
    pub journal: u64,
    /// Core time.
    pub at: Nanos,
}

impl Moment {
    /// When a command happened.
    #[must_use]
    pub fn of(stamped: &Stamped) -> Self {
        Self {
            journal: stamped.seq,
            at: stamped.at,
        }
    }

    /// The newest command of a state.
    #[must_use]
    pub fn now(exchange: &Exchange) -> Self {
        Self {
            journal: exchange.seq(),
            at: exchange.at(),
        }
    }
}

/// Channels whose updates belong to one contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Best prices.
    Bbo,
    /// This many best levels; 0 = all.
    Depth(usize),
    /// The tape.
    Trades,
    /// Trading state.
    Status,
    /// Day statistics, mark, band.
    Statistics,
    /// What an auction would do now.
    Auction,
}

/// What a subscription begins from, copied under one short look.
#[derive(Clone, Debug)]
pub struct Seed {
    id: InstrumentId,
    seq: i64,
    levels: Vec<(engine::command::Side, i64, Level)>,
    status: Option<wire::InstrumentStatus>,
    statistics: Option<wire::Statistics>,
    auction: Option<wire::AuctionState>,
}

impl Seed {
    /// Copies what the channel needs of a contract.
    #[must_use]
    pub fn take(
        exchange: &Exchange,
        contract: &engine::instrument::Instrument,
        channel: Channel,
    ) -> Self {
        use engine::command::Side;
        let mut levels = Vec::new();
        if matches!(channel, Channel::Bbo | Channel::Depth(_))
            && let Some(book) = exchange.book(contract.id)
        {
            for side in [Side::Buy, Side::Sell] {
                levels.extend(book.levels(side).map(|(price, level)| {
                    let (lots, orders) = (level.lots, level.orders);
                    (side, price.0, Level { lots, orders })
                }));
            }
        }
        let status = translate::market::status_now(contract);
        let statistics = translate::market::statistics_now(contract, exchange.at());
        Self {
            id: contract.id,
            seq: wide(contract.public_seq),
            levels,
            status: (channel == Channel::Status).then_some(status),
            statistics: (channel == Channel::Statistics).then_some(statistics),
            auction: (channel == Channel::Auction)
                .then(|| translate::market::auction_now(exchange, contract)),
        }
    }

    /// A contract just listed: nothing rests, nothing traded.
    #[must_use]
    pub fn listed(id: InstrumentId, status: wire::InstrumentStatus) -> Self {
        Self {
            id,
            seq: 1,
            levels: Vec::new(),
            status: Some(status),
            statistics: None,
            auction: None,
        }
    }

    /// Newest public change of the contract.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// The book, seen through its best levels; 0 = all.
    #[must_use]
    pub fn view(&self, levels: usize) -> View {
        let mut view = View::new(levels);
        for (side, price, level) in &self.levels {
            view.set(*side, *price, *level);
        }
        view
    }

    /// The statistics of a listing follow it in the same command, under its only position.
    #[must_use]
    pub fn before_statistics(self) -> Self {
        Self { seq: 0, ..self }
    }
}

#[derive(Clone, Debug)]
enum Content {
    Bbo(View, wire::Bbo),
    Depth(View),
    Trades,
    Status(wire::InstrumentStatus),
    /// `None` until the statistics of a contract just listed arrive.
    Statistics(Option<wire::Statistics>),
    Auction(wire::AuctionState),
}

/// The row.
#[derive(Clone, Debug)]
pub struct Row {
    id: InstrumentId,
    /// Last seq told; 0 = nothing yet.
    prev: i64,
    /// Newest public change looked at.
    pub seen: i64,
    /// Not before this.
    ready: Option<Instant>,
    /// Newest change not told.
    waiting: Option<Moment>,
    /// Stands in the list of those that wait for their interval.
    pub queued: bool,
    content: Content,
}

impl Row {
    /// A row with the snapshot that begins it, if its channel has one.
    #[must_use]
    pub fn begin(seed: Seed, channel: Channel, moment: Moment) -> (Self, Option<Update>) {
        let content = match channel {
            Channel::Bbo => Content::Bbo(seed.view(1), wire::Bbo::default()),
            Channel::Depth(limit) => Content::Depth(seed.view(limit)),
            Channel::Trades => Content::Trades,
            Channel::Status => Content::Status(seed.status.unwrap_or_default()),
            Channel::Statistics => Content::Statistics(seed.statistics),
            Channel::Auction => Content::Auction(seed.auction.unwrap_or_default()),
        };
        let mut row = Self {
            id: seed.id,
            prev: 0,
            seen: seed.seq,
            ready: None,
            waiting: None,
            queued: false,
            content,
        };
        let snapshot = match &mut row.content {
            Content::Bbo(view, told) => {
                drop(view.snapshot());
                *told = view.bbo();
                Some(Payload::Bbo(*told))
            }
            Content::Depth(view) => Some(Payload::BookSnapshot(view.snapshot())),
            Content::Trades => None,
            Content::Status(status) => Some(Payload::Status(*status)),
            Content::Statistics(statistics) => statistics.map(Payload::Statistics),
            Content::Auction(auction) => Some(Payload::Auction(*auction)),
        };
        let update = snapshot.map(|payload| row.update(row.seen, moment, payload));
        row.prev = if update.is_some() { row.seen } else { 0 };
        (row, update)
    }

    /// Of which contract.
    #[must_use]
    pub fn contract(&self) -> InstrumentId {
        self.id
    }

    /// Continues a tape after a position that the client has.
    pub fn resume(&mut self, after: i64) {
        (self.prev, self.seen) = (after, after);
    }

    /// When the next update may go out, if that is not now.
    #[must_use]
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        self.ready.filter(|ready| *ready > now)
    }

    /// Looks at one public event of this contract. Trades and states are told one by one, at once; the
    /// rest waits for [`Self::tell`]. Answers whether something new waits.
    pub fn look(&mut self, event: &Event, seq: i64, moment: Moment, out: &mut Vec<Update>) -> bool {
        if seq <= self.seen {
            return false; // part of the snapshot, or told from the tape
        }
        self.seen = seq;
        match (&mut self.content, event) {
            (Content::Bbo(view, _) | Content::Depth(view), Event::Level(change)) => {
                set(view, change);
            }
            (Content::Statistics(newest), Event::Statistics(change)) => {
                *newest = Some(translate::market::statistics(change, moment.at));
            }
            (Content::Auction(newest), Event::Auction(change)) => {
                *newest = translate::market::auction(change, newest.uncross_unix_nanos);
            }
            (Content::Auction(newest), Event::Status(change)) => {
                let ends = translate::market::call_ends(change.state, change.scheduled);
                if std::mem::replace(&mut newest.uncross_unix_nanos, ends) == ends {
                    return false;
                }
            }
            (Content::Trades, Event::Trade(trade)) => {
                let payload = Payload::Trade(translate::market::trade(trade));
                self.push(moment, payload, out);
                return false;
            }
            (Content::Status(_), Event::Status(change)) => {
                let payload = Payload::Status(translate::market::status(change));
                self.push(moment, payload, out);
                return false;
            }
            _ => return false,
        }
        let fresh = self.waiting != Some(moment);
        self.waiting = Some(moment);
        fresh
    }

    /// Tells what waits, merged into one update. Its seq is the newest public change of the contract, so
    /// that it names the same book as a query at that seq.
    pub fn tell(&mut self, now: Instant, interval: Duration, out: &mut Vec<Update>) {
        let Some(moment) = self.waiting.take() else {
            return;
        };
        let payload = match &mut self.content {
            Content::Bbo(view, told) => {
                let bbo = view.bbo();
                (std::mem::replace(told, bbo) != bbo).then_some(Payload::Bbo(bbo))
            }
            Content::Depth(view) => view.changes().map(Payload::DepthDelta),
            Content::Statistics(newest) => newest.map(Payload::Statistics),
            Content::Auction(newest) => Some(Payload::Auction(*newest)),
            Content::Trades | Content::Status(_) => None,
        };
        if let Some(payload) = payload {
            self.ready = (!interval.is_zero()).then(|| now + interval);
            self.push(moment, payload, out);
        }
    }

    fn push(&mut self, moment: Moment, payload: Payload, out: &mut Vec<Update>) {
        out.push(self.update(self.seen, moment, payload));
        self.prev = self.seen;
    }

    /// `subscription_id` is filled in by the subscription.
    fn update(&self, seq: i64, moment: Moment, payload: Payload) -> Update {
        Update {
            subscription_id: 0,
            instrument_id: translate::reference::id(self.id.0),
            seq,
            prev_seq: self.prev,
            journal_seq: wide(moment.journal),
            matched_unix_nanos: moment.at.0,
            payload: Some(payload),
        }
    }
}

fn set(view: &mut View, change: &LevelChange) {
    let level = Level {
        lots: change.lots.0,
        orders: change.orders,
    };
    view.set(change.side, change.price.0, level);
}

/// Contract and public position of a public event.
#[must_use]
pub fn public(event: &Event) -> Option<(InstrumentId, u64)> {
    match event {
        Event::Level(change) => Some((change.instrument, change.public_seq)),
        Event::Trade(trade) => Some((trade.instrument, trade.public_seq)),
        Event::Status(change) => Some((change.instrument, change.public_seq)),
        Event::Statistics(change) => Some((change.instrument, change.public_seq)),
        Event::Auction(change) => Some((change.instrument, change.public_seq)),
        Event::Order(_)
        | Event::Refused(_)
        | Event::MassCancelled(_)
        | Event::OrderEntry(_)
        | Event::CancelTimer(_)
        | Event::SessionOpened(_)
        | Event::SessionClosed(_)
        | Event::Index(_)
        | Event::Round(_)
        | Event::Quality(_)
        | Event::ChainHeight(_)
        | Event::Listed(_)
        | Event::Posting(_)
        | Event::Balance(_)
        | Event::Position(_)
        | Event::Done(_)
        | Event::Access(_)
        | Event::BatchDone(_)
        | Event::QuoteProblem(_)
        | Event::QuoteOrder(_)
        | Event::Quoted(_)
        | Event::Mmp(_)
        | Event::Switch(_)
        | Event::Leg(_)
        | Event::Clearing(_)
        | Event::Delivery(_)
        | Event::Epoch(_)
        | Event::Owner(_)
        | Event::Exit(_)
        | Event::Block(_)
        | Event::Rfq(_) => None,
    }
}

#[cfg(test)]
mod tests;
