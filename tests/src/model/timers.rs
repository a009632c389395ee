//! TIME: everything that waits for a moment, found anew each time.

use engine::{
    command::Side,
    event::OrderStatus,
    ids::{AccountId, InstrumentId, SessionId},
    instrument::TradingState,
    limits,
    reason::Reason,
    units::Nanos,
};

use super::{Model, Order};
use crate::rows::Key;

/// What waits. The variants are in the order of TIME-01, and so are their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Expiry {
        entry: u64,
        key: Key,
    },
    Grace(SessionId),
    DeadMan(AccountId),
    Scheduled(InstrumentId),
    LastTrade(InstrumentId),
    /// A restarted contract matches again.
    Reopens(InstrumentId),
    /// Stops that the last command could not release any more.
    Stops(InstrumentId),
    /// The end of a call begins.
    NoCancel(InstrumentId),
    /// An auction that is not over.
    Auction(InstrumentId),
    /// A call's book is looked at again.
    Indicate(InstrumentId),
    /// A protection group has been frozen long enough.
    Thaw(AccountId, u16),
    /// A forward's window begins.
    Delivery(InstrumentId),
}

impl Model {
    fn timers(&self) -> Vec<(i64, Timer)> {
        let mut timers = Vec::new();
        for order in self.orders.values() {
            let deferred = self.contracts[&order.terms.instrument].is_deferred(order.key);
            if let Some(at) = order.expires.filter(|_| !deferred) {
                timers.push((
                    at,
                    Timer::Expiry {
                        entry: order.entry,
                        key: order.key,
                    },
                ));
            }
        }
        for (id, session) in &self.sessions {
            if let Some((at, _)) = session.pending {
                timers.push((at, Timer::Grace(*id)));
            }
        }
        for (id, account) in &self.accounts {
            if let Some((at, _, _)) = account.timer {
                timers.push((at, Timer::DeadMan(*id)));
            }
        }
        for (id, contract) in &self.contracts {
            if let Some(coming) = contract.scheduled {
                timers.push((coming.at, Timer::Scheduled(*id)));
            }
            if let Some(at) = contract.call.no_cancel_at.filter(|_| contract.in_call()) {
                timers.push((at, Timer::NoCancel(*id)));
            }
            if let Some(uncross) = contract.call.uncrossing {
                timers.push((uncross.next, Timer::Auction(*id)));
            }
            if let Some(at) = contract.call.looks.filter(|_| contract.in_call()) {
                timers.push((at, Timer::Indicate(*id)));
            }
            if let Some(at) = contract.reopens {
                timers.push((at, Timer::Reopens(*id)));
            }
            if !contract.expired {
                timers.push((contract.terms.last_trade.0, Timer::LastTrade(*id)));
            }
            let waits = contract.is_forward() && contract.state != TradingState::InDelivery;
            if waits {
                timers.push((contract.terms.window.start.0, Timer::Delivery(*id)));
            }
        }
        for ((account, group), state) in &self.groups {
            if let Some(at) = state.frozen.filter(|until| *until != 0) {
                timers.push((at, Timer::Thaw(*account, *group)));
            }
        }
        if let Some(id) = self.stops_are_due() {
            timers.push((self.now, Timer::Stops(id)));
        }
        timers
    }

    /// When the next timer is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.timers().into_iter().min().map(|(at, _)| Nanos(at))
    }

    /// TIME-01.
    pub(super) fn tick(&mut self) {
        for _ in 0..limits::TIMERS_PER_TICK {
            let mut timers = self.timers();
            timers.retain(|(_, timer)| !matches!(timer, Timer::Stops(_)));
            match timers.into_iter().min() {
                Some((at, timer)) if at <= self.now => self.run(timer),
                _ => return,
            }
        }
    }

    fn run(&mut self, timer: Timer) {
        match timer {
            Timer::Expiry { key, .. } => {
                self.end_or_defer(key, OrderStatus::Expired, Reason::Expired)
            }
            Timer::Grace(id) => {
                let pending = self.sessions.get(&id).and_then(|session| session.pending);
                if let Some((_, cause)) = pending {
                    self.disconnect_action(id, cause);
                }
            }
            Timer::DeadMan(id) => {
                let armed = self
                    .accounts
                    .get_mut(&id)
                    .and_then(|account| account.timer.take());
                if let Some((_, session, selection)) = armed {
                    for key in self.selected(id, session, &selection) {
                        self.end_or_defer(key, OrderStatus::Cancelled, Reason::CancelTimer);
                    }
                }
            }
            Timer::Scheduled(id) => {
                let Some(contract) = self.contracts.get_mut(&id) else {
                    return;
                };
                contract.reopens = None;
                match contract.scheduled.take() {
                    Some(coming) if coming.cancels => self.clear_into(id, coming.state),
                    Some(coming) => self.become_state(id, coming.state),
                    None => {}
                }
            }
            Timer::Reopens(id) => self.reopen(id),
            Timer::LastTrade(id) => {
                if let Some(contract) = self.contracts.get_mut(&id) {
                    contract.expired = true;
                    contract.scheduled = None;
                    contract.reopens = None;
                }
                self.become_state(id, TradingState::Closed);
                self.clear_book(id, Reason::InstrumentExpired);
            }
            // They go when this command is over, like all others.
            Timer::Stops(_) => {}
            Timer::NoCancel(id) => self.begin_no_cancel(id),
            Timer::Auction(id) => {
                let contract = self.contracts.get_mut(&id);
                if let Some(uncross) = contract.and_then(|contract| contract.call.uncrossing) {
                    self.step_auction(id, uncross);
                }
            }
            Timer::Thaw(account, group) => self.thaw((account, group)),
            Timer::Indicate(id) => self.look_again(id),
            Timer::Delivery(id) => self.become_state(id, TradingState::InDelivery),
        }
    }

    /// TIME-02: cancels a whole book, buys best first, then sells, then what stands in no book.
    pub(super) fn clear_book(&mut self, instrument: InstrumentId, reason: Reason) {
        let own = |order: &Order| order.terms.instrument == instrument;
        let mut keys: Vec<Key> = Vec::new();
        for side in [Side::Buy, Side::Sell] {
            let queue = self.queue(instrument, side);
            keys.extend(queue.iter().map(|order| order.key));
        }
        let mut aside: Vec<&Order> = self.orders.values().collect();
        aside.retain(|order| own(order) && order.aside);
        aside.sort_by_key(|order| order.priority);
        keys.extend(aside.iter().map(|order| order.key));
        for key in keys {
            self.end(key, OrderStatus::Cancelled, reason);
        }
    }
}
