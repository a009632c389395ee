//! AUCTION-01 to 02 and 06 to 07: what a change of the trading state brings, and the call of an auction.

use engine::{
    command::Side, event::OrderStatus, ids::InstrumentId, instrument::TradingState, limits,
    reason::Reason, units::MILLISECOND,
};

use super::{Contract, Model, state::Coming};
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

    /// AUCTION-02: when its orders can no longer be cancelled.
    pub(super) fn no_cancel_at(&self) -> Option<i64> {
        let end = self.scheduled?;
        let ends = matches!(end.state, TradingState::Open | TradingState::PostOnly);
        let open = matches!(
            self.state,
            TradingState::PreOpen | TradingState::VolatilityAuction
        );
        let volatile = self.state == TradingState::VolatilityAuction;
        let at = end.at - limits::NO_CANCEL_MS * MILLISECOND;
        (open && (ends || volatile) && self.call.began < at).then_some(at)
    }
}

fn is_call(state: TradingState) -> bool {
    matches!(
        state,
        TradingState::PreOpen | TradingState::VolatilityAuction | TradingState::NoCancel
    )
}

impl Model {
    /// A contract's new state, with all that comes with it.
    pub(super) fn become_state(&mut self, id: InstrumentId, state: TradingState, reason: Reason) {
        let Some(contract) = self.contracts.get_mut(&id) else {
            return;
        };
        contract.call.uncrossing = None;
        let matches = matches!(state, TradingState::Open | TradingState::PostOnly);
        if matches && contract.state != state && self.needs_auction(id) {
            return self.begin_auction(id, state, reason);
        }
        self.settle_state(id, state, reason);
    }

    /// The state, after its auction if there was one.
    pub(super) fn settle_state(&mut self, id: InstrumentId, state: TradingState, reason: Reason) {
        if self.contracts[&id].state == TradingState::NoCancel && state != TradingState::NoCancel {
            self.run_deferred(id);
        }
        let now = self.now;
        let Some(contract) = self.contracts.get_mut(&id) else {
            return;
        };
        let begins = is_call(state) && !contract.in_call();
        contract.state = state;
        if begins {
            contract.call.began = now;
            contract.call.told = None;
            contract.call.announce = true;
        }
        if state == TradingState::PostOnly && reason == Reason::Volatility {
            contract.scheduled = Some(Coming {
                at: now + limits::REOPEN_MS * MILLISECOND,
                state: TradingState::Open,
                reason,
            });
        }
        self.touched.insert(id);
        if begins {
            self.join_call(id);
        }
        if state == TradingState::Halted {
            self.pull_quotes(id);
        }
    }

    /// ORDER-20: what waited for the next auction, in order of priority number.
    fn join_call(&mut self, id: InstrumentId) {
        let waiting = self.orders.values();
        let waiting = waiting
            .filter(|order| order.terms.instrument == id && order.aside && order.at_auction());
        let mut keys: Vec<(u64, Key)> = waiting.map(|order| (order.priority, order.key)).collect();
        keys.sort_unstable();
        for (_, key) in keys {
            let fresh = readings::AT_AUCTION_JOINS_AT_THE_BACK.then(|| self.next_priority());
            if let Some(order) = self.orders.get_mut(&key) {
                (order.aside, order.resting) = (false, true);
                order.priority = fresh.unwrap_or(order.priority);
            }
        }
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
        }
    }

    /// AUCTION-07: when something must be told, if something must.
    pub(super) fn indication_due(&self, id: InstrumentId) -> Option<i64> {
        let contract = &self.contracts[&id];
        if !contract.in_call() || contract.call.uncrossing.is_some() {
            return None;
        }
        let present = self.indication(id);
        match contract.call.told {
            // The first one is told when the command is over.
            None => None,
            Some((_, told)) if told == present => None,
            Some((at, _)) => Some(at + limits::INDICATIVE_MS * MILLISECOND),
        }
    }

    /// AUCTION-07, at the end of a command.
    pub(super) fn indicate(&mut self) {
        for id in self.contracts.keys().copied().collect::<Vec<_>>() {
            let due = self.indication_due(id).is_some_and(|due| due <= self.now);
            if due || self.contracts[&id].call.announce {
                self.tell_indication(id);
            }
        }
    }

    /// AUCTION-07.
    pub(super) fn tell_indication(&mut self, id: InstrumentId) {
        let (now, present) = (self.now, self.indication(id));
        let Some(contract) = self.contracts.get_mut(&id) else {
            return;
        };
        contract.call.announce = false;
        if !contract.in_call() {
            return;
        }
        contract.call.told = Some((now, present));
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
