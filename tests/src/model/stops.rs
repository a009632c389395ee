//! ORDER-18: stops wait for a price, and are released one by one when a command is over.

use engine::{
    command::{Origin, Pricing, Side, TimeInForce, TriggerSource},
    event::{OrderEventKind, OrderStatus},
    ids::InstrumentId,
    instrument::TradingState,
    limits,
    reason::Reason,
};

use super::{Contract, Model, Order, money, small};
use crate::{readings, rows::Key};

impl Model {
    /// The index of a contract, in its ticks.
    pub(super) fn index_ticks(&self, contract: &Contract) -> Option<i64> {
        let value = self.indexes.get(&contract.terms.index)?.value?;
        Some(small(money::ratio(value, contract.terms.tick_size)))
    }

    /// Whether the price that a stop watches has come; a price without a value has not.
    fn is_released(&self, contract: &Contract, order: &Order) -> bool {
        let Some(trigger) = order.trigger.filter(|_| order.waits()) else {
            return false;
        };
        let source = match trigger.source {
            TriggerSource::Last => contract.last,
            TriggerSource::Mark => Some(contract.mark),
            TriggerSource::Index => self.index_ticks(contract),
        };
        source.is_some_and(|price| match order.terms.side {
            Side::Buy => price >= trigger.price.0,
            Side::Sell => price <= trigger.price.0,
        })
    }

    /// The stop that is released next: contracts by number; Last, Mark, Index; buys lowest trigger
    /// first, then sells highest first; older first.
    fn next_stop(&self) -> Option<Key> {
        let rank = |order: &Order| {
            let trigger = order.trigger?;
            Some(match order.terms.side {
                Side::Buy => (trigger.source, Side::Buy, trigger.price.0, order.priority),
                Side::Sell => (trigger.source, Side::Sell, -trigger.price.0, order.priority),
            })
        };
        for (id, contract) in &self.contracts {
            if contract.state != TradingState::Open {
                continue;
            }
            let due = self
                .orders
                .values()
                .filter(|order| order.terms.instrument == *id && self.is_released(contract, order));
            if let Some(first) = due.min_by_key(|order| rank(order)) {
                return Some(first.key);
            }
        }
        None
    }

    /// Whether stops are left over for the next tick.
    pub(super) fn stops_are_due(&self) -> Option<InstrumentId> {
        let order = self.orders.get(&self.next_stop()?)?;
        Some(order.terms.instrument)
    }

    /// As many as one command may release, with the trades that it has left.
    pub(super) fn release_stops(&mut self) {
        for _ in 0..limits::TRIGGERS_PER_COMMAND {
            match self.next_stop() {
                Some(key) if self.trades_left > 0 => self.release(key),
                _ => return,
            }
        }
    }

    fn release(&mut self, key: Key) {
        let priority = self.next_priority();
        let Some(order) = self.orders.get_mut(&key) else {
            return;
        };
        let instrument = order.terms.instrument;
        let contract = self.contracts[&instrument].clone();
        let (low, high) = contract.band();
        let market = order.terms.pricing == Pricing::Market;
        let price = match (market, order.terms.side) {
            (false, _) => order.price,
            (true, Side::Buy) => high,
            (true, Side::Sell) => low.max(1),
        };
        (order.status, order.priority) = (OrderStatus::Open, priority);
        order.trigger = None;
        if !readings::TRIGGERED_TELLS_OLD_PRICE {
            order.price = price;
        }
        let told = order.clone();
        self.tell(&told, OrderEventKind::Triggered, None, false, None);
        let mut order = told;
        (order.price, order.aside, order.checked_at) = (price, false, contract.mark);
        let cancelled = OrderStatus::Cancelled;
        // What is told of an order that ends here is what it has become.
        let (owner, reduce_only) = (key.0, order.terms.reduce_only);
        let origin = Origin {
            account: owner,
            session: order.session,
            ..Origin::default()
        };
        let allowed = self
            .switches(&origin)
            .and_then(|()| self.may_trade(owner, reduce_only));
        let affordable = self.check_money(&contract, &order);
        if affordable.is_err() || allowed.is_err() {
            // It has not become dearer.
            order.price = self.orders[&key].price;
        }
        self.orders.insert(key, order.clone());
        if let Err(reason) = allowed {
            return self.end(key, cancelled, reason);
        }
        if !(low..=high).contains(&price) {
            return self.end(key, cancelled, Reason::PriceOutsideBand);
        }
        if let Err(reason) = affordable {
            return self.end(key, cancelled, reason);
        }
        let fok = order.terms.time_in_force == TimeInForce::Fok;
        if fok && !self.fillable(&order, order.open) {
            return self.end(key, cancelled, Reason::FokNotFillable);
        }
        self.work(key);
    }
}
