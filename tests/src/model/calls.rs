//! AUCTION-01 to 02 and 06 to 07: what a change of the trading state brings, and the call of an auction.

use engine::{
    command::Side,
    event::{OrderEventKind, OrderStatus},
    ids::InstrumentId,
    instrument::TradingState,
    limits,
    reason::Reason,
    units::MILLISECOND,
};

use super::{Arrival, Call, Contract, Indication, Model, Reopening};
use crate::{
    readings,
    rows::{Key, Told},
};

impl Contract {
    /// Orders are collected for one price.
    #[must_use]
    pub fn in_call(&self) -> bool {
        is_call(self.state)
    }

    /// AUCTION-02: ten seconds before its end, or as soon as the end is known.
    pub(super) fn plan_no_cancel(&mut self, now: i64) {
        self.call.no_cancel_at = self.last_part().map(|at| at.max(now + 1));
    }

    fn last_part(&self) -> Option<i64> {
        let collects = matches!(
            self.state,
            TradingState::PreOpen | TradingState::VolatilityAuction
        );
        let ends = self
            .scheduled
            .filter(|end| matches(end.state) && !end.cancels);
        let end = ends
            .map(|end| end.at)
            .into_iter()
            .chain(self.reopens)
            .min()?;
        let at = end - limits::NO_CANCEL_MS * MILLISECOND;
        (collects && self.call.began < at).then_some(at)
    }
}

fn matches(state: TradingState) -> bool {
    matches!(state, TradingState::Open | TradingState::PostOnly)
}

pub(super) fn is_call(state: TradingState) -> bool {
    matches!(
        state,
        TradingState::PreOpen | TradingState::VolatilityAuction | TradingState::NoCancel
    )
}

impl Model {
    /// A contract's new state, with all that comes with it.
    pub(super) fn become_state(&mut self, id: InstrumentId, state: TradingState) {
        let reopens = Reopening::No;
        self.arrive(id, Arrival { state, reopens });
    }

    /// STATE-01: all open orders are cancelled instead of an auction.
    pub(super) fn clear_into(&mut self, id: InstrumentId, state: TradingState) {
        self.settle_state(id, state);
        self.clear_book(id, readings::STATE_CANCEL_REASON);
    }

    /// AUCTION-03: an auction comes first where one is needed.
    pub(super) fn arrive(&mut self, id: InstrumentId, then: Arrival) {
        let Some(contract) = self.contracts.get_mut(&id) else {
            return;
        };
        if !matches(then.state) {
            return self.settle_state(id, then.state);
        }
        if let Some(uncross) = &mut contract.call.uncrossing {
            uncross.then = then;
        } else if self.needs_auction(id) {
            self.begin_auction(id, then);
        } else {
            self.open_into(id, then);
        }
    }

    /// A state that matches, after its auction if there was one.
    pub(super) fn open_into(&mut self, id: InstrumentId, then: Arrival) {
        let now = self.now;
        self.settle_state(id, then.state);
        let Some(contract) = self.contracts.get_mut(&id) else {
            return;
        };
        match then.reopens {
            Reopening::No => {}
            Reopening::Soon => contract.reopens = Some(now + limits::REOPEN_MS * MILLISECOND),
            Reopening::At(at) => contract.reopens = Some(at.max(now + 1)),
        }
    }

    /// A restarted contract opens; a volatility call ends (AUCTION-08).
    pub(super) fn reopen(&mut self, id: InstrumentId) {
        let Some(contract) = self.contracts.get_mut(&id) else {
            return;
        };
        contract.reopens = None;
        let then = match contract.in_call() {
            true => (TradingState::PostOnly, Reopening::Soon),
            false => (TradingState::Open, Reopening::No),
        };
        let (state, reopens) = then;
        self.arrive(id, Arrival { state, reopens });
    }

    /// The state without an auction.
    pub(super) fn settle_state(&mut self, id: InstrumentId, state: TradingState) {
        if state != TradingState::NoCancel {
            self.run_deferred(id);
        }
        let now = self.now;
        let Some(contract) = self.contracts.get_mut(&id) else {
            return;
        };
        let begins = is_call(state) && !contract.in_call();
        contract.state = state;
        contract.call.uncrossing = None;
        if begins {
            let deferred = std::mem::take(&mut contract.call.deferred);
            let began = now;
            contract.call = Call {
                began,
                deferred,
                ..Call::default()
            };
            contract.moves.clear();
            self.called.insert(id);
            self.join_call(id);
        }
        if let Some(contract) = self.contracts.get_mut(&id) {
            contract.plan_no_cancel(now);
        }
        self.touched_state(id);
        if state == TradingState::Halted {
            self.pull_quotes(id);
        }
    }

    /// Pegs look at the book again in a new state; calls do not.
    pub(super) fn touched_state(&mut self, id: InstrumentId) {
        if !self.contracts[&id].in_call() {
            self.touched.insert(id);
        }
    }

    /// SESSION-05: a call, after a restart.
    pub(super) fn restart_call(&mut self, id: InstrumentId, until: i64) {
        let Some(contract) = self.contracts.get_mut(&id) else {
            return;
        };
        if let Some(uncross) = &mut contract.call.uncrossing {
            let then = &mut uncross.then;
            if then.state == TradingState::Open || then.reopens != Reopening::No {
                let before = match then.reopens {
                    Reopening::No => until,
                    Reopening::Soon => self.now + limits::REOPEN_MS * MILLISECOND,
                    Reopening::At(at) => at,
                };
                let until = until.max(before);
                (then.state, then.reopens) = (TradingState::PostOnly, Reopening::At(until));
            }
        } else if contract.reopens.is_some_and(|at| at < until) {
            contract.reopens = Some(until);
            contract.plan_no_cancel(self.now);
        }
    }

    /// ORDER-20: what waited for the next auction, in order of priority number; nobody did it.
    fn join_call(&mut self, id: InstrumentId) {
        let cause = std::mem::take(&mut self.cause);
        let waiting = self.orders.values();
        let waiting = waiting
            .filter(|order| order.terms.instrument == id && order.aside && order.at_auction());
        let mut keys: Vec<(u64, Key)> = waiting.map(|order| (order.priority, order.key)).collect();
        keys.sort_unstable();
        for (_, key) in keys {
            let priority = self.next_priority();
            if let Some(order) = self.orders.get_mut(&key) {
                (order.aside, order.resting, order.priority) = (false, true, priority);
                let order = order.clone();
                self.touched.insert(id);
                self.tell(&order, OrderEventKind::Restated, None, true, None);
            }
        }
        self.cause = cause;
    }

    /// QUOTE-06.
    fn pull_quotes(&mut self, id: InstrumentId) {
        for side in [Side::Buy, Side::Sell] {
            let queue = self.queue(id, side);
            let quotes = queue.iter().filter(|order| order.quote.is_some());
            let keys: Vec<Key> = quotes.map(|order| order.key).collect();
            for key in keys {
                self.end(key, OrderStatus::Cancelled, Reason::InstrumentHalted);
            }
        }
    }

    /// AUCTION-06: now, or when the no-cancel period is over.
    pub(super) fn end_or_defer(&mut self, key: Key, status: OrderStatus, reason: Reason) {
        let Some(order) = self.orders.get(&key) else {
            return;
        };
        let Some(contract) = self.contracts.get_mut(&order.terms.instrument) else {
            return;
        };
        if contract.state != TradingState::NoCancel {
            return self.end(key, status, reason);
        }
        if !contract.is_deferred(key) {
            contract.call.deferred.push((key, status, reason));
        }
    }

    /// AUCTION-06.
    pub(super) fn run_deferred(&mut self, id: InstrumentId) {
        let contract = self.contracts.get_mut(&id);
        let deferred = contract.map(|contract| std::mem::take(&mut contract.call.deferred));
        for (key, status, reason) in deferred.unwrap_or_default() {
            self.end(key, status, reason);
        }
    }

    /// AUCTION-02.
    pub(super) fn begin_no_cancel(&mut self, id: InstrumentId) {
        if let Some(contract) = self.contracts.get_mut(&id) {
            contract.state = TradingState::NoCancel;
            contract.call.no_cancel_at = None;
        }
    }

    /// AUCTION-07: the interval after a look is over.
    pub(super) fn look_again(&mut self, id: InstrumentId) {
        if let Some(contract) = self.contracts.get_mut(&id) {
            contract.call.looks = None;
            self.called.insert(id);
        }
    }

    /// AUCTION-07, at the end of a command.
    pub(super) fn indicate(&mut self) {
        let called = std::mem::take(&mut self.called);
        for id in self.touched.union(&called).copied().collect::<Vec<_>>() {
            self.look(id);
        }
    }

    /// AUCTION-07: looks at a book, or plans to.
    fn look(&mut self, id: InstrumentId) {
        let (now, present) = (self.now, self.indication(id));
        let Some(contract) = self.contracts.get_mut(&id).filter(|one| one.in_call()) else {
            return;
        };
        let call = &mut contract.call;
        if call.uncrossing.is_some() || call.looks.is_some() {
            return;
        }
        let next = call
            .looked_at
            .map(|at| at + limits::INDICATIVE_MS * MILLISECOND);
        call.looks = next.filter(|next| now < *next);
        if call.looks.is_none() {
            call.looked_at = Some(now);
            if call.told != Some(present) {
                self.tell_indication(id, present);
            }
        }
    }

    /// AUCTION-07.
    pub(super) fn tell_indication(&mut self, id: InstrumentId, present: Indication) {
        if let Some(contract) = self.contracts.get_mut(&id) {
            contract.call.told = Some(present);
        }
        let (price, lots, imbalance) = present;
        self.seen
            .told
            .push(Told::Auction(id, price, lots, imbalance));
    }
}

impl Contract {
    /// A cancel waits for the end of the no-cancel period.
    #[must_use]
    pub fn is_deferred(&self, key: Key) -> bool {
        self.call.deferred.iter().any(|(of, _, _)| *of == key)
    }
}
