//! What the publisher has told: durable commands with their events, shared by everybody who listens.

use std::sync::Arc;

use engine::{
    command::Stamped,
    event::{Address, Event, LegFill},
    ids::Seq,
    pipeline::Batch,
    units::Nanos,
};

/// A durable batch.
#[derive(Debug)]
pub struct Bulletin {
    /// Commands, in order.
    pub stamped: Vec<Stamped>,
    /// What they did, one after the other.
    pub events: Vec<Event>,
    /// Where the events of each command end.
    pub ends: Vec<u32>,
}

impl Bulletin {
    /// Takes a batch apart: what is told, and who waits.
    pub fn from_batch<R>(batch: Batch<R>) -> (Arc<Self>, Vec<(u32, R)>) {
        let Batch {
            stamped,
            events,
            ends,
            replies,
        } = batch;
        (
            Arc::new(Self {
                stamped,
                events,
                ends,
            }),
            replies,
        )
    }

    /// Position of the newest command.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.stamped.last().map_or(0, |stamped| stamped.seq)
    }

    /// Position of the oldest command.
    #[must_use]
    pub fn first_seq(&self) -> Seq {
        self.stamped.first().map_or(0, |stamped| stamped.seq)
    }

    /// One command and its events.
    #[must_use]
    pub fn command(&self, place: usize) -> Option<(&Stamped, &[Event])> {
        let stamped = self.stamped.get(place)?;
        let end = *self.ends.get(place)? as usize;
        let start = place
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let start = start.map_or(0, |start| *start as usize);
        Some((stamped, self.events.get(start..end)?))
    }

    /// Commands with their events.
    pub fn commands(&self) -> impl Iterator<Item = (&Stamped, &[Event])> {
        (0..self.stamped.len()).filter_map(|place| self.command(place))
    }
}

/// One command's part of a bulletin: an answer.
#[derive(Clone, Debug)]
pub struct Answer {
    bulletin: Arc<Bulletin>,
    place: usize,
}

impl Answer {
    /// The command at `place`.
    #[must_use]
    pub fn new(bulletin: Arc<Bulletin>, place: usize) -> Self {
        Self { bulletin, place }
    }

    /// Journal position.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.bulletin
            .stamped
            .get(self.place)
            .map_or(0, |stamped| stamped.seq)
    }

    /// Core time.
    #[must_use]
    pub fn at(&self) -> Nanos {
        self.bulletin
            .stamped
            .get(self.place)
            .map_or(Nanos(0), |stamped| stamped.at)
    }

    /// The command.
    #[must_use]
    pub fn stamped(&self) -> Option<&Stamped> {
        self.bulletin.stamped.get(self.place)
    }

    /// What happened.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.bulletin
            .command(self.place)
            .map_or(&[], |(_, events)| events)
    }
}

/// The legs of the fill at a place: they follow it directly, and are told as part of it.
pub fn legs_after(events: &[Event], at: usize) -> impl Iterator<Item = &LegFill> {
    let behind = events.get(at + 1..).unwrap_or_default();
    behind.iter().map_while(|event| match event {
        Event::Leg(leg) => Some(leg),
        _ => None,
    })
}

/// Whom a private event is for; `None` for public and bookkeeping events, and for legs, which are told
/// inside the fill they follow.
#[must_use]
pub fn address(event: &Event) -> Option<&Address> {
    match event {
        Event::Order(order) => Some(&order.to),
        Event::Refused(refused) => Some(&refused.to),
        Event::MassCancelled(done) => Some(&done.to),
        Event::OrderEntry(entry) => Some(&entry.to),
        Event::BatchDone(done) => Some(&done.to),
        Event::QuoteProblem(refused) => Some(&refused.to),
        Event::QuoteOrder(named) => Some(&named.to),
        Event::Quoted(done) => Some(&done.to),
        Event::CancelTimer(_)
        | Event::SessionOpened(_)
        | Event::SessionClosed(_)
        | Event::Trade(_)
        | Event::Level(_)
        | Event::Status(_)
        | Event::Statistics(_)
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
        | Event::Mmp(_)
        | Event::Switch(_)
        | Event::Auction(_)
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
