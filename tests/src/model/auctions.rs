//! AUCTION-03 to 06: one price for all that crosses.

use engine::{
    command::Side,
    event::{Liquidity, OrderStatus},
    ids::InstrumentId,
    instrument::TradingState,
    reason::Reason,
};

use super::{Arrival, Contract, Indication, Model, Order, Uncross, money};
use crate::rows::Key;

/// Volume, surplus (buying less selling interest) at a price.
struct Candidate {
    price: i64,
    volume: i64,
    surplus: i64,
}

impl Model {
    /// Whether a contract has to be uncrossed before it matches again.
    pub(super) fn needs_auction(&self, id: InstrumentId) -> bool {
        let resting = self.orders.values().filter(|order| order.resting);
        let mut own = resting.filter(|order| order.terms.instrument == id);
        own.any(Order::at_auction) || self.auction_price(id).is_some()
    }

    /// AUCTION-03: the price, with volume and surplus, if anything crosses.
    fn auction_price(&self, id: InstrumentId) -> Option<Candidate> {
        let (buys, sells) = (self.queue(id, Side::Buy), self.queue(id, Side::Sell));
        let (highest, lowest) = (buys.first()?.price, sells.first()?.price);
        let open = |orders: &[&Order]| orders.iter().map(|order| order.open).sum::<i64>();
        let mut all: Vec<Candidate> = (lowest..=highest)
            .map(|price| {
                let accept = |order: &&&Order| {
                    order.terms.side.accepts(
                        engine::units::Ticks(order.price),
                        engine::units::Ticks(price),
                    )
                };
                let buying: Vec<&Order> = buys.iter().filter(accept).copied().collect();
                let selling: Vec<&Order> = sells.iter().filter(accept).copied().collect();
                let (buying, selling) = (open(&buying), open(&selling));
                Candidate {
                    price,
                    volume: buying.min(selling),
                    surplus: buying - selling,
                }
            })
            .collect();
        let most = all.iter().map(|one| one.volume).max()?;
        all.retain(|one| one.volume == most);
        let least = all.iter().map(|one| one.surplus.abs()).min()?;
        all.retain(|one| one.surplus.abs() == least);
        let mark = self.contracts[&id].mark;
        if all.iter().all(|one| one.surplus > 0) {
            all.into_iter().max_by_key(|one| one.price)
        } else if all.iter().all(|one| one.surplus < 0) {
            all.into_iter().min_by_key(|one| one.price)
        } else {
            all.into_iter()
                .min_by_key(|one| ((one.price - mark).abs(), -one.price))
        }
    }

    /// AUCTION-07: what an auction would do now.
    pub(super) fn indication(&self, id: InstrumentId) -> Indication {
        match self.auction_price(id) {
            Some(best) => (Some(best.price), best.volume, best.surplus),
            None => (None, 0, 0),
        }
    }

    /// AUCTION-03: the first step on the way to a state that matches.
    pub(super) fn begin_auction(&mut self, id: InstrumentId, then: Arrival) {
        let (price, _, imbalance) = self.indication(id);
        let uncross = Uncross {
            price,
            lots: 0,
            imbalance,
            traded_at: None,
            next: self.now,
            then,
        };
        self.step_auction(id, uncross);
    }

    /// AUCTION-05.
    pub(super) fn step_auction(&mut self, id: InstrumentId, mut uncross: Uncross) {
        loop {
            while let Some((buy, sell)) = self.next_pair(id, uncross.price) {
                if self.uncross_left == 0 {
                    return self.pause_auction(id, uncross);
                }
                self.uncross_left -= 1;
                if self.same_group(&buy, &sell) {
                    let newer = if buy.priority > sell.priority {
                        &buy
                    } else {
                        &sell
                    };
                    let smaller = buy.open.min(sell.open);
                    self.shrink(newer.key, smaller, Reason::SelfTradePrevented);
                } else {
                    let price = uncross.price.unwrap_or(0);
                    uncross.lots += self.cross(&buy, &sell, price);
                    uncross.traded_at = uncross.price;
                }
            }
            // What self-trade prevention or reduce-only took out may leave a crossed rest.
            let again = self.indication(id);
            if uncross.lots > 0 || again.0.is_none() {
                let last = (uncross.price, uncross.lots, uncross.imbalance);
                self.tell_indication(id, last);
            }
            if again.0.is_none() {
                break;
            }
            (uncross.price, uncross.lots, uncross.imbalance) = (again.0, 0, again.2);
        }
        self.finish_auction(id, uncross);
    }

    /// AUCTION-05: the rest comes in a tick of its own.
    fn pause_auction(&mut self, id: InstrumentId, mut uncross: Uncross) {
        uncross.next = self.now + 1;
        if let Some(contract) = self.contracts.get_mut(&id) {
            contract.state = TradingState::NoCancel;
            contract.call.uncrossing = Some(uncross);
        }
    }

    /// Best buy and best sell, if both accept the price.
    fn next_pair(&self, id: InstrumentId, price: Option<i64>) -> Option<(Order, Order)> {
        let price = price?;
        let buy = self
            .queue(id, Side::Buy)
            .first()
            .map(|order| (*order).clone())?;
        let sell = self
            .queue(id, Side::Sell)
            .first()
            .map(|order| (*order).clone())?;
        (buy.price >= price && sell.price <= price).then_some((buy, sell))
    }

    /// AUCTION-04: one trade; its lots.
    fn cross(&mut self, buy: &Order, sell: &Order, price: i64) -> i64 {
        let contract = self.contracts[&buy.terms.instrument].clone();
        let lots = buy.open.min(sell.open);
        let value = contract.money.value(i128::from(price) * i128::from(lots));
        let sides = [buy, sell].map(|order| {
            let fee = self.auction_fee(&contract, order, value);
            (order, fee, Liquidity::Auction)
        });
        self.exchange(sides, price, lots, None);
        for order in [buy, sell] {
            self.keep_reduce_only(order.key.0, order.terms.instrument);
        }
        for order in [buy, sell] {
            self.protect(order, price, lots, value);
        }
        for order in [buy, sell] {
            self.freeze_if_hit(order);
        }
        lots
    }

    /// AUCTION-04: the maker's rate, at least nothing.
    fn auction_fee(&self, contract: &Contract, order: &Order, value: i128) -> i128 {
        let rate = self.rates(order.key.0, contract).0.max(0);
        money::half_even(value * rate, 1_000_000)
    }

    /// AUCTION-06.
    fn finish_auction(&mut self, id: InstrumentId, uncross: Uncross) {
        for side in [Side::Buy, Side::Sell] {
            let queue = self.queue(id, side);
            let left = queue.iter().filter(|order| order.at_auction());
            let keys: Vec<Key> = left.map(|order| order.key).collect();
            for key in keys {
                self.end(key, OrderStatus::Cancelled, Reason::AuctionRemainder);
            }
        }
        self.restart_window(id, uncross.traded_at);
        self.open_into(id, uncross.then);
    }
}
