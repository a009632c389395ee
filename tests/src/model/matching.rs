//! ORDER: what happens when an order meets the other side.

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

    /// ORDER-05.
    pub(super) fn fillable(&self, order: &Order) -> bool {
        let mut counted = 0;
        for rival in self.meets(order) {
            if counted >= order.open {
                break;
            }
            if self.same_group(order, rival) {
                if order.terms.self_trade != SelfTrade::CancelResting {
                    return false;
                }
                continue;
            }
            let queue = self.queue(rival.terms.instrument, rival.terms.side);
            let alone = queue
                .iter()
                .filter(|other| other.key.0 == rival.key.0)
                .count()
                == 1;
            if !rival.terms.reduce_only || alone {
                counted += rival.open;
            }
        }
        counted >= order.open
    }

    /// Matches an order that is not in the book; what is left rests or is cancelled.
    pub(super) fn work(&mut self, key: Key) {
        while let Some(order) = self.orders.get(&key).cloned() {
            let Some(rival) = self.meets(&order).first().map(|rival| (*rival).clone()) else {
                match order.terms.time_in_force {
                    TimeInForce::Ioc | TimeInForce::Fok => {
                        if order.terms.time_in_force == TimeInForce::Fok {
                            let broken = format!("ORDER-05: {key:?} was not filled");
                            self.broken_promises.push(broken);
                        }
                        self.end(key, OrderStatus::Cancelled, Reason::IocRemainder);
                    }
                    _ => self.rest(key),
                }
                return;
            };
            if self.same_group(&order, &rival) {
                self.prevent(&order, &rival);
            } else {
                self.trade(&order, &rival);
            }
        }
    }

    /// ORDER-14: joins the back of its level.
    fn rest(&mut self, key: Key) {
        self.priorities += 1;
        if let Some(order) = self.orders.get_mut(&key) {
            order.priority = self.priorities;
            order.resting = true;
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

    /// Takes lots from open and total; an order without lots is over.
    fn shrink(&mut self, key: Key, lots: i64, reason: Reason) {
        let Some(order) = self.orders.get_mut(&key) else {
            return;
        };
        order.open -= lots;
        order.total -= lots;
        if order.open == 0 {
            self.end(key, OrderStatus::Cancelled, reason);
        } else {
            let order = order.clone();
            self.tell(&order, OrderEventKind::Restated, Some(reason), false, None);
        }
    }

    /// A trade at the price of the resting order.
    fn trade(&mut self, taker: &Order, maker: &Order) {
        self.trades += 1;
        let trade = self.trades;
        let instrument = taker.terms.instrument;
        let contract = self.contracts[&instrument].clone();
        let asset = contract.terms.price_asset;
        let (price, lots) = (maker.price, taker.open.min(maker.open));
        let value = contract.money.value(i128::from(price) * i128::from(lots));
        let (maker_fee, taker_fee) = self.fees(&contract, maker.key.0, taker.key.0, value);
        let sides = [
            (taker, taker_fee, Liquidity::Taker),
            (maker, maker_fee, Liquidity::Maker),
        ];
        let before = sides.map(|(order, _, _)| self.available(order.key.0, asset));
        let mut rows = Vec::new();
        for (order, fee, liquidity) in sides {
            let position_after = self.book_fill(order, price, lots, value);
            self.pay(order.key.0, house::FEES, asset, fee);
            let mut filled = order.clone();
            filled.open -= lots;
            filled.filled += lots;
            if filled.open == 0 {
                filled.status = OrderStatus::Filled;
                self.orders.remove(&order.key);
                self.ended.insert(order.key, filled.clone());
            } else {
                self.orders.insert(order.key, filled.clone());
            }
            let fee = small(fee);
            rows.push((
                filled,
                FillRow {
                    trade,
                    price,
                    lots,
                    liquidity,
                    fee,
                    position_after,
                },
            ));
        }
        for (order, fill) in rows {
            self.tell(&order, OrderEventKind::Fill, None, false, Some(fill));
        }
        self.seen
            .trades
            .push((instrument, price, lots, Some(taker.terms.side), trade));
        for ((order, _, liquidity), before) in sides.iter().zip(before) {
            let after = self.available(order.key.0, asset);
            if before >= 0 && after < 0 && order.checked_at == contract.mark {
                self.broken_promises.push(format!(
                    "MONEY-09: trade {trade} of {liquidity:?} {:?} took available from {before} to \
                     {after}",
                    order.key
                ));
            }
        }
        for (order, _, _) in sides {
            self.keep_reduce_only(order.key.0, instrument);
        }
    }

    /// ORDER-07, after a fill.
    fn keep_reduce_only(&mut self, account: AccountId, instrument: InstrumentId) {
        for side in [Side::Buy, Side::Sell] {
            loop {
                let (resting, room) = self.reduce_only_lots(account, instrument, side);
                let excess = resting - room;
                let mut own: Vec<Order> =
                    self.queue(instrument, side).into_iter().cloned().collect();
                own.retain(|order| order.key.0 == account && order.terms.reduce_only);
                let Some(newest) = own.iter().max_by_key(|order| order.priority) else {
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
