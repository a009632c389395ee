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

use super::Model;
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
}

impl Model {
    fn timers(&self) -> Vec<(i64, Timer)> {
        let mut timers = Vec::new();
        for order in self.orders.values() {
            if let Some(at) = order.expires {
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
            if let Some((at, _)) = contract.scheduled {
                timers.push((at, Timer::Scheduled(*id)));
            }
            if let Some(at) = contract.reopens {
                timers.push((at, Timer::Reopens(*id)));
            }
            if !contract.expired {
                timers.push((contract.terms.last_trade.0, Timer::LastTrade(*id)));
            }
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
            match self.timers().into_iter().min() {
                Some((at, timer)) if at <= self.now => self.run(timer),
                _ => return,
            }
        }
    }

    fn run(&mut self, timer: Timer) {
        match timer {
            Timer::Expiry { key, .. } => self.end(key, OrderStatus::Expired, Reason::Expired),
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
                        self.end(key, OrderStatus::Cancelled, Reason::CancelTimer);
                    }
                }
            }
            Timer::Scheduled(id) => {
                if let Some(contract) = self.contracts.get_mut(&id)
                    && let Some((_, state)) = contract.scheduled.take()
                {
                    contract.state = state;
                    contract.reopens = None;
                }
            }
            Timer::Reopens(id) => {
                if let Some(contract) = self.contracts.get_mut(&id) {
                    contract.state = TradingState::Open;
                    contract.reopens = None;
                }
            }
            Timer::LastTrade(id) => {
                if let Some(contract) = self.contracts.get_mut(&id) {
                    contract.expired = true;
                    contract.scheduled = None;
                    contract.reopens = None;
                    contract.state = TradingState::Closed;
                }
                self.clear_book(id, Reason::InstrumentExpired);
            }
        }
    }

    /// TIME-02: cancels a whole book, buys best first, then sells.
    pub(super) fn clear_book(&mut self, instrument: InstrumentId, reason: Reason) {
        for side in [Side::Buy, Side::Sell] {
            let keys: Vec<Key> = self
                .queue(instrument, side)
                .iter()
                .map(|order| order.key)
                .collect();
            for key in keys {
                self.end(key, OrderStatus::Cancelled, reason);
            }
        }
    }
}
