//! A core event as a session hears it.

use std::collections::HashMap;

use engine::{
    command::{Command, Stamped},
    event::{Event, MassCancelled},
    ids::{AssetId, InstrumentId, Seq, SessionId},
    units::Nanos,
};
use proto::trading::v1::{self as wire, session_event::Event as Told};

use crate::{
    bulletin::{address, legs_after},
    desk::{Desk, wide},
    refusal,
    translate::{orders, quotes},
};

/// Translates events; remembers what it looked up.
pub(crate) struct News {
    desk: Desk,
    assets: HashMap<InstrumentId, AssetId>,
    /// Sides of a mass quote whose end is still to come: it follows under the same address.
    sides: quotes::Sides,
}

impl News {
    pub(crate) fn new(desk: Desk) -> Self {
        Self {
            desk,
            assets: HashMap::new(),
            sides: quotes::Sides::default(),
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

    /// The event at a place among others, if it is one of this session's.
    pub(crate) fn session_event(
        &mut self,
        (events, place): (&[Event], usize),
        session: SessionId,
        (seq, at): (Seq, Nanos),
        replayed: bool,
    ) -> Option<wire::SessionEvent> {
        let event = events.get(place)?;
        let to = *address(event).filter(|to| to.session == session && to.event_seq > 0)?;
        let mut repeated = false;
        let told = match event {
            Event::Order(order) => {
                repeated = order.repeated;
                let legs = legs_after(events, place);
                Told::Order(orders::event_out(order, legs, self.asset(order.instrument)))
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
            Event::BatchDone(done) => Told::BatchDone(quotes::batch_done(done)),
            Event::QuoteProblem(refused) => {
                self.sides.refuse(refused);
                return None;
            }
            Event::QuoteOrder(named) => {
                self.sides.name(named);
                return None;
            }
            Event::Quoted(done) => Told::MassQuoteDone(self.sides.end(done)),
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
            | Event::Rfq(_) => return None,
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

/// What a session overhears: it has no number, and is not told again after a reconnect. Only the
/// session that asked for a reset hears it as its answer.
pub(crate) fn overheard(
    event: &Event,
    session: SessionId,
    stamped: &Stamped,
) -> Option<wire::SessionEvent> {
    let (told, asked) = match (event, &stamped.command) {
        (Event::Mmp(change), Command::ResetMmp(reset)) => {
            let asked = reset.origin.session == session && session.is_set();
            let answer = Told::Mmp(quotes::mmp_event(change));
            (answer, asked.then_some(reset.origin.client_seq))
        }
        (Event::Mmp(change), _) => (Told::Mmp(quotes::mmp_event(change)), None),
        (Event::Switch(change), _) => (Told::OrderEntryChanged(quotes::switch_moved(change)), None),
        _ => return None,
    };
    Some(wire::SessionEvent {
        journal_seq: wide(stamped.seq),
        client_seq: asked.map_or(0, wide),
        matched_unix_nanos: stamped.at.0,
        event: Some(told),
        ..wire::SessionEvent::default()
    })
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

#[cfg(test)]
mod tests {
    use engine::{
        command::{Origin, ResetMmp, SwitchScope},
        event::{MmpChange, SwitchChange},
        ids::AccountId,
        reason::Reason,
    };

    use super::*;

    fn stamped(command: Command) -> Stamped {
        Stamped {
            seq: 5,
            at: Nanos(50),
            command,
        }
    }

    #[test]
    fn only_who_asked_for_a_reset_hears_it_as_an_answer() {
        let session = SessionId(2);
        let origin = Origin {
            session,
            client_seq: 7,
            ..Origin::default()
        };
        let mmp_group = 1;
        let reset = stamped(Command::ResetMmp(ResetMmp { origin, mmp_group }));
        let change = Event::Mmp(MmpChange {
            account: AccountId(4),
            mmp_group,
            frozen: false,
            until: Nanos(0),
            limit: None,
            cancelled: 0,
        });
        let heard = |by, because: &Stamped| {
            let told = overheard(&change, by, because).expect("told");
            assert_eq!((told.event_seq, told.journal_seq), (0, 5), "no number");
            told.client_seq
        };
        assert_eq!(heard(session, &reset), 7);
        assert_eq!(heard(SessionId(3), &reset), 0);
        assert_eq!(heard(session, &stamped(Command::Tick)), 0, "a timer");
        let unary = ResetMmp {
            origin: Origin::default(),
            mmp_group,
        };
        let unary = stamped(Command::ResetMmp(unary));
        assert_eq!(heard(SessionId::NONE, &unary), 0);
    }

    #[test]
    fn a_switch_says_which_level_it_is() {
        let scope = SwitchScope::Venue;
        let moved = Event::Switch(SwitchChange {
            scope,
            engaged: true,
        });
        let told = overheard(&moved, SessionId(2), &stamped(Command::Tick));
        let Some(Told::OrderEntryChanged(told)) = told.and_then(|told| told.event) else {
            panic!("a switch moved");
        };
        assert!(told.blocked);
        assert_eq!(told.reason, Reason::KillSwitchExchange.number());
    }
}
