//! ORDER: what happens when an order meets the other side.

use std::collections::BTreeMap;

use engine::{
    command::{SelfTrade, Side, TimeInForce},
    event::{Liquidity, OrderEventKind, OrderStatus},
    ids::{AccountId, InstrumentId, house},
    reason::Reason,
};

use super::{Model, Order, small};
use crate::rows::{FillRow, Key};

impl Model {
    /// The opposite orders that an order accepts, in the order in which it meets them.
    fn meets(&self, order: &Order) -> Vec<&Order> {
        let mut queue = self.queue(order.terms.instrument, order.terms.side.opposite());
        queue.retain(|rival| match order.terms.side {
            Side::Buy => rival.price <= order.price,
            Side::Sell => rival.price >= order.price,
        });
        queue
    }

    /// ORDER-05: whether so many lots of an order would trade at once.
    pub(super) fn fillable(&self, order: &Order, wanted: i64) -> bool {
        self.can_trade(order, order.open) >= wanted
    }

    /// ORDER-05: lots of an order, up to `wanted`, that would trade at once.
    fn can_trade(&self, order: &Order, wanted: i64) -> i64 {
        let (mut counted, mut meetings) = (0, self.trades_left);
        let (mut prices, rivals) = (Vec::new(), self.meets(order));
        let mut groups = BTreeMap::new();
        for level in rivals.chunk_by(|one, other| one.price == other.price) {
            let (mut hidden, mut parts) = (0, 0);
            for rival in level {
                if counted >= wanted || meetings == 0 {
                    return counted.min(wanted);
                }
                meetings -= 1;
                if self.same_group(order, rival) {
                    match order.terms.self_trade {
                        SelfTrade::CancelResting => continue,
                        _ => return counted,
                    }
                }
                if self.moves_too_far(rival.terms.instrument, rival.price, &prices) {
                    return counted;
                }
                prices.push(rival.price);
                let unseen = rival.open - rival.shown();
                if unseen > 0 {
                    parts += usize::try_from((unseen - 1) / rival.display + 1).unwrap_or(0);
                }
                let open = self.open_lots(rival.key.0, rival.terms.instrument, rival.terms.side);
                let sure = !rival.terms.reduce_only || open == rival.open;
                let bears = rival.terms.mmp_group == 0
                    || match self.group_bears(&mut groups, rival, sure && unseen == 0) {
                        Some(bears) => bears,
                        None => return counted,
                    };
                if sure && bears {
                    counted += rival.shown();
                    if rival.terms.mmp_group == 0 {
                        hidden += unseen;
                    }
                }
            }
            if counted < wanted && parts > 0 {
                if meetings < parts {
                    break;
                }
                meetings -= parts;
                counted += hidden;
            }
        }
        counted.min(wanted)
    }

    /// Matches an order that is not in the book; what is left rests or is cancelled.
    pub(super) fn work(&mut self, key: Key) {
        // COMBO-10: an incoming combination's order without the money for implied prices.
        let mut pays_for_direct_only = false;
        while let Some(order) = self.orders.get(&key).cloned() {
            let instrument = order.terms.instrument;
            if self.contracts[&instrument].in_call() || order.peg().is_some() {
                return match order.takes_only() {
                    // Only a volatility auction can come between it and the book.
                    true => self.end(key, OrderStatus::Cancelled, Reason::Volatility),
                    false => self.rest(key),
                };
            }
            let direct = self.meets(&order).first().map(|rival| (*rival).clone());
            if !pays_for_direct_only
                && let Some(implied) = self.better_than_direct(&order, direct.as_ref())
            {
                if self.trades_left < implied.count() {
                    return self.end(key, OrderStatus::Cancelled, Reason::TooManyItems);
                }
                pays_for_direct_only = !self.trade_implied(&order, &implied);
                continue;
            }
            let Some(rival) = direct else {
                if order.takes_only() {
                    let fok = order.terms.time_in_force == TimeInForce::Fok;
                    if fok && !self.broken_off {
                        let broken = format!("ORDER-05: {key:?} was not filled");
                        self.broken_promises.push(broken);
                    }
                    self.end(key, OrderStatus::Cancelled, Reason::IocRemainder);
                } else {
                    self.rest(key);
                }
                return;
            };
            if self.trades_left == 0 {
                return self.end(key, OrderStatus::Cancelled, Reason::TooManyItems);
            }
            self.trades_left -= 1;
            if self.same_group(&order, &rival) {
                self.prevent(&order, &rival);
            } else if self.moves_too_far(instrument, rival.price, &[]) {
                self.begin_volatility(instrument);
            } else {
                self.trade(&order, &rival);
            }
        }
    }

    /// Joins its level, in the place that its priority number gives it.
    fn rest(&mut self, key: Key) {
        if let Some(order) = self.orders.get_mut(&key) {
            order.fill_up();
            order.resting = true;
            self.touched.insert(order.terms.instrument);
        }
    }

    /// ORDER-08.
    fn prevent(&mut self, incoming: &Order, resting: &Order) {
        let (status, reason) = (OrderStatus::Cancelled, Reason::SelfTradePrevented);
        match incoming.terms.self_trade {
            SelfTrade::CancelResting => self.end(resting.key, status, reason),
            SelfTrade::CancelIncoming => self.end(incoming.key, status, reason),
            SelfTrade::CancelBoth => {
                self.end(resting.key, status, reason);
                self.end(incoming.key, status, reason);
            }
            SelfTrade::Decrement => {
                let smaller = incoming.open.min(resting.open);
                self.shrink(resting.key, smaller, reason);
                self.shrink(incoming.key, smaller, reason);
            }
        }
    }

    /// Takes lots from open and total, hidden ones first; an order without lots is over.
    pub(super) fn shrink(&mut self, key: Key, lots: i64, reason: Reason) {
        let Some(order) = self.orders.get_mut(&key) else {
            return;
        };
        order.open -= lots;
        order.total -= lots;
        order.hide_less();
        if order.resting {
            self.touched.insert(order.terms.instrument);
        }
        if order.open == 0 {
            self.end(key, OrderStatus::Cancelled, reason);
        } else {
            let order = order.clone();
            self.tell(&order, OrderEventKind::Restated, Some(reason), false, None);
        }
    }

    /// A trade at the price of the resting order.
    fn trade(&mut self, taker: &Order, maker: &Order) {
        let contract = &self.contracts[&taker.terms.instrument];
        if contract.is_combination() {
            return self.trade_combination(taker, maker);
        }
        let (price, lots) = (maker.price, taker.open.min(maker.shown()));
        let value = contract.money.value(i128::from(price) * i128::from(lots));
        let (maker_fee, taker_fee) = self.fees(contract, maker.key.0, taker.key.0, value);
        let sides = [
            (taker, taker_fee, Liquidity::Taker),
            (maker, maker_fee, Liquidity::Maker),
        ];
        self.exchange(sides, price, lots, Some(taker.terms.side));
        self.refresh(maker.key);
        for order in [taker, maker] {
            self.keep_reduce_only(order.key.0, taker.terms.instrument);
        }
        for order in [maker, taker] {
            self.protect(order, price, lots, value);
        }
        for order in [maker, taker] {
            self.freeze_if_hit(order);
        }
    }

    /// ORDER-17: shows the next part when the visible one is used up.
    pub(super) fn refresh(&mut self, key: Key) {
        let used_up = |order: &Order| order.display != 0 && order.visible == 0 && order.open > 0;
        if !self.orders.get(&key).is_some_and(used_up) {
            return;
        }
        let priority = self.next_priority();
        if let Some(order) = self.orders.get_mut(&key) {
            order.fill_up();
            order.priority = priority;
            let (order, reason) = (order.clone(), Some(Reason::IcebergRefresh));
            let cause = std::mem::take(&mut self.cause);
            self.tell(&order, OrderEventKind::Restated, reason, true, None);
            self.cause = cause;
        }
    }

    /// Both sides of a trade, told in this order: positions, fees, orders, tape.
    pub(super) fn exchange(
        &mut self,
        sides: [(&Order, i128, Liquidity); 2],
        price: i64,
        lots: i64,
        aggressor: Option<Side>,
    ) {
        self.trades += 1;
        let (trade, instrument) = (self.trades, sides[0].0.terms.instrument);
        let contract = self.contracts[&instrument].clone();
        let asset = contract.terms.price_asset;
        let value = contract.money.value(i128::from(price) * i128::from(lots));
        let before = sides.map(|(order, _, _)| self.available(order.key.0, asset));
        let mut rows = Vec::new();
        for (order, fee, liquidity) in sides {
            let position_after = self.move_position(
                order.key.0,
                (instrument, order.terms.side),
                price,
                lots,
                value,
            );
            self.pay(order.key.0, house::FEES, asset, fee);
            let filled = self.take_lots(order, lots, liquidity);
            let fee = small(fee);
            let row = FillRow {
                trade,
                price,
                lots,
                liquidity,
                fee,
                position_after,
            };
            rows.push((filled, row));
        }
        for (order, fill) in rows {
            self.tell(&order, OrderEventKind::Fill, None, false, Some(fill));
        }
        self.seen
            .trades
            .push((instrument, price, lots, aggressor, trade));
        self.touched.insert(instrument);
        match aggressor {
            Some(_) => self.remember_trade(instrument, price),
            None => self.set_last(instrument, price),
        }
        for ((order, _, liquidity), before) in sides.iter().zip(before) {
            let after = self.available(order.key.0, asset);
            // A bid that a fallen mark left above the band costs a sell more fee than it holds.
            let left_behind = order.terms.side == Side::Sell && price > contract.band().1;
            let unmoved = order.checked_at == contract.mark && !left_behind;
            if before >= 0 && after < 0 && unmoved {
                self.broken_promises.push(format!(
                    "MONEY-09: trade {trade} of {liquidity:?} {:?} took available from {before} to \
                     {after}",
                    order.key
                ));
            }
        }
    }

    /// ORDER-07, after a fill.
    pub(super) fn keep_reduce_only(&mut self, account: AccountId, instrument: InstrumentId) {
        for side in [Side::Buy, Side::Sell] {
            loop {
                let (resting, room) = self.reduce_only_lots(account, instrument, side);
                let excess = resting - room;
                let own = self.reduce_only_orders(account, instrument, side);
                let Some(newest) = own.into_iter().max_by_key(|order| order.priority).cloned()
                else {
                    break;
                };
                if excess <= 0 {
                    break;
                }
                let reason = Reason::ReduceOnlyWouldIncrease;
                if excess >= newest.open {
                    self.end(newest.key, OrderStatus::Cancelled, reason);
                } else {
                    self.shrink(newest.key, excess, reason);
                }
            }
        }
    }
}
