//! A core event as a session hears it.

use std::collections::HashMap;

use engine::{
    event::{Event, MassCancelled},
    ids::{AssetId, InstrumentId, Seq, SessionId},
    units::Nanos,
};
use proto::trading::v1::{self as wire, session_event::Event as Told};

use crate::{
    bulletin::address,
    desk::{Desk, wide},
    refusal,
    translate::orders,
};

/// Translates events; remembers what it looked up.
pub(crate) struct News {
    desk: Desk,
    assets: HashMap<InstrumentId, AssetId>,
}

impl News {
    pub(crate) fn new(desk: Desk) -> Self {
        Self {
            desk,
            assets: HashMap::new(),
        }
    }

    /// Price asset of a contract.
    pub(crate) fn asset(&mut self, instrument: InstrumentId) -> AssetId {
        if let Some(asset) = self.assets.get(&instrument) {
            return *asset;
        }
        let asset = self
            .desk
            .state(|state| orders::price_asset(state, instrument));
        if asset.is_set() {
            self.assets.insert(instrument, asset);
        }
        asset
    }

    /// The event, if it is one of this session's.
    pub(crate) fn session_event(
        &mut self,
        event: &Event,
        session: SessionId,
        (seq, at): (Seq, Nanos),
        replayed: bool,
    ) -> Option<wire::SessionEvent> {
        let to = *address(event).filter(|to| to.session == session && to.event_seq > 0)?;
        let mut repeated = false;
        let told = match event {
            Event::Order(order) => {
                repeated = order.repeated;
                Told::Order(orders::event_out(order, self.asset(order.instrument)))
            }
            Event::Refused(refused) => Told::CommandRejected(wire::CommandRejected {
                problem: Some(refusal::problem(&refused.problem)),
                expected_client_seq: wide(to.client_seq + 1),
            }),
            Event::MassCancelled(done) => Told::MassCancelDone(mass_cancel_done(done)),
            Event::OrderEntry(entry) => Told::OrderEntryChanged(wire::OrderEntryChanged {
                blocked: entry.blocked,
                reason: entry.level.number(),
            }),
            Event::CancelTimer(_)
            | Event::SessionOpened(_)
            | Event::SessionClosed(_)
            | Event::Trade(_)
            | Event::Level(_)
            | Event::Status(_)
            | Event::Statistics(_)
            | Event::Index(_)
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
            | Event::Auction(_) => return None,
        };
        Some(wire::SessionEvent {
            event_seq: wide(to.event_seq),
            journal_seq: wide(seq),
            client_seq: wide(to.client_seq),
            item_index: to.item.into(),
            gateway_in_unix_nanos: 0,
            matched_unix_nanos: at.0,
            replayed: replayed || repeated,
            event: Some(told),
        })
    }
}

/// Result of a mass cancel.
pub(crate) fn mass_cancel_done(done: &MassCancelled) -> wire::MassCancelDone {
    wire::MassCancelDone {
        cancelled_orders: i32::try_from(done.orders).unwrap_or(i32::MAX),
        cancelled_quotes: i32::try_from(done.quotes).unwrap_or(i32::MAX),
        not_cancelled: i32::try_from(done.kept).unwrap_or(i32::MAX),
        new_orders_blocked: done.blocked,
    }
}
