//! COMBO-08 to 13: prices that several books make together.

use engine::{
    command::{PostOnly, Side, TimeInForce},
    event::{Liquidity, OrderStatus},
    ids::InstrumentId,
    instrument::TradingState,
    reason::Reason,
    units::Ticks,
};

use super::{
    Model, Order,
    combinations::{Party, side_of, sign},
};
use crate::rows::Key;

/// What an incoming order could meet through one combination.
#[derive(Clone, Debug)]
pub(super) struct Implied {
    /// For the incoming order.
    pub price: i64,
    combination: InstrumentId,
    /// Price of each leg.
    prices: Vec<i64>,
    /// The resting order of each leg; none where the incoming one stands.
    outrights: Vec<Option<Order>>,
    /// The resting order of the combination, unless it is the incoming one.
    resting: Option<Order>,
}

impl Implied {
    /// COMBO-12: what it uses up of ORDER-16.
    pub(super) fn count(&self) -> usize {
        self.prices.len()
    }
}

impl Order {
    /// COMBO-13: promises are kept from one book alone.
    fn is_direct_only(&self) -> bool {
        self.terms.time_in_force == TimeInForce::Fok
            || self.terms.min_fill.0 != 0
            || self.post_only != PostOnly::No
    }

    pub(super) fn takes_at(&self, price: i64) -> bool {
        self.terms.side.accepts(Ticks(self.price), Ticks(price))
    }
}

impl Model {
    /// COMBO-08 to 10: every implied price that exists for an order, best first; its limit is not
    /// looked at.
    pub(super) fn implied(&self, order: &Order) -> Vec<Implied> {
        let mut all: Vec<Implied> = self
            .contracts
            .iter()
            .filter(|(_, contract)| contract.is_combination())
            .filter(|(_, contract)| {
                contract.state == TradingState::Open && self.legs_match(contract)
            })
            .filter_map(|(id, _)| self.through(order.terms.instrument, order.terms.side, *id))
            .filter(|one| self.exists_for(order, one))
            .collect();
        all.sort_by_key(|one| (sign(order.terms.side) * one.price, one.combination));
        all
    }

    fn first(&self, instrument: InstrumentId, side: Side) -> Option<Order> {
        let queue = self.queue(instrument, side);
        queue.first().map(|order| (*order).clone())
    }

    /// COMBO-08.
    fn through(&self, own: InstrumentId, of: Side, combination: InstrumentId) -> Option<Implied> {
        let legs = &self.contracts[&combination].terms.legs;
        // Which side the combination's order is on.
        let (side, resting) = if own == combination {
            (sign(of), None)
        } else {
            let leg = legs.iter().find(|leg| leg.instrument == own)?;
            let side = -sign(of) * leg.ratio;
            (side, Some(self.first(combination, side_of(side))?))
        };
        let mut outrights = Vec::new();
        for leg in legs {
            outrights.push(if leg.instrument == own {
                None
            } else {
                Some(self.first(leg.instrument, side_of(-side * leg.ratio))?)
            });
        }
        let sum: i64 = legs
            .iter()
            .zip(&outrights)
            .filter_map(|(leg, outright)| Some(leg.ratio * outright.as_ref()?.price))
            .sum();
        let ratio = legs.iter().find(|leg| leg.instrument == own);
        let price = match (&resting, ratio) {
            (Some(resting), Some(leg)) => leg.ratio * (resting.price - sum),
            _ => sum,
        };
        let prices = outrights
            .iter()
            .map(|outright| outright.as_ref().map_or(price, |order| order.price))
            .collect();
        Some(Implied {
            price,
            combination,
            prices,
            outrights,
            resting,
        })
    }

    /// COMBO-10.
    fn exists_for(&self, order: &Order, implied: &Implied) -> bool {
        let outrights = implied.outrights.iter().flatten();
        let of_one_group = match &implied.resting {
            Some(resting) => {
                self.same_group(order, resting)
                    || outrights.clone().any(|one| self.same_group(resting, one))
            }
            None => outrights.clone().any(|one| self.same_group(order, one)),
        };
        let (low, high) = self.contracts[&order.terms.instrument].band();
        let legs = &self.contracts[&implied.combination].terms.legs;
        let mut priced = legs.iter().zip(&implied.prices);
        let every_leg_fits = priced.all(|(leg, price)| {
            let (low, high) = self.contracts[&leg.instrument].band();
            (low..=high).contains(price) && !self.moves_too_far(leg.instrument, *price, &[])
        });
        let positive = implied.resting.is_none() || implied.price >= 1;
        !of_one_group && (low..=high).contains(&implied.price) && every_leg_fits && positive
    }

    /// COMBO-09: the best implied price that an incoming order accepts, if it is better than what its
    /// own book has.
    pub(super) fn better_than_direct(
        &self,
        order: &Order,
        direct: Option<&Order>,
    ) -> Option<Implied> {
        if order.is_direct_only() {
            return None;
        }
        let best = self.implied(order).into_iter().next()?;
        let better = direct.is_none_or(|direct| match order.terms.side {
            Side::Buy => best.price < direct.price,
            Side::Sell => best.price > direct.price,
        });
        (order.takes_at(best.price) && better).then_some(best)
    }

    /// COMBO-13: the best price that an order would find, direct or implied.
    pub(super) fn best_anywhere(&self, order: &Order) -> Option<i64> {
        let side = order.terms.side;
        let direct = self.best(order.terms.instrument, side.opposite());
        let implied = self.implied(order).first().map(|one| one.price);
        let both = direct.into_iter().chain(implied);
        match side {
            Side::Buy => both.min(),
            Side::Sell => both.max(),
        }
    }

    /// COMBO-10, COMBO-11. False: the incoming order cannot pay for it.
    pub(super) fn trade_implied(&mut self, order: &Order, implied: &Implied) -> bool {
        let own = order.terms.instrument;
        let legs = self.contracts[&implied.combination].terms.legs.clone();
        let resting = implied.outrights.iter().flatten().chain(&implied.resting);
        let lots = resting.map(Order::shown).fold(order.open, i64::min);
        let incoming = Party {
            order: order.clone(),
            price: implied.price,
            prices: match implied.resting {
                Some(_) => vec![implied.price],
                None => implied.prices.clone(),
            },
            liquidity: Liquidity::Taker,
        };
        let combined = implied.resting.as_ref().map(|resting| Party {
            order: resting.clone(),
            price: resting.price,
            prices: implied.prices.clone(),
            liquidity: Liquidity::Maker,
        });
        if !self.can_pay(combined.as_ref().unwrap_or(&incoming), lots) {
            if let Some(combined) = combined {
                self.trades_left -= 1;
                let reason = Reason::InsufficientMargin;
                self.end(combined.order.key, OrderStatus::Cancelled, reason);
                return true;
            }
            return false;
        }
        self.trades_left -= implied.count();
        let mut parties = vec![incoming];
        for outright in implied.outrights.iter().flatten() {
            parties.push(Party {
                order: outright.clone(),
                price: outright.price,
                prices: vec![outright.price],
                liquidity: Liquidity::Maker,
            });
        }
        parties.extend(combined);
        let tapes: Vec<_> = legs
            .iter()
            .zip(implied.outrights.iter().zip(&implied.prices))
            .map(|(leg, (outright, price))| {
                let aggressor = match outright {
                    Some(outright) => outright.terms.side.opposite(),
                    None => order.terms.side,
                };
                debug_assert!(outright.is_some() || leg.instrument == own);
                (leg.instrument, *price, aggressor)
            })
            .collect();
        let asset = self.contracts[&own].terms.price_asset;
        let before: Vec<i128> = parties
            .iter()
            .map(|party| self.available(party.order.key.0, asset))
            .collect();
        self.settle(&parties, lots, &tapes);
        self.check_promise(&parties, &before);
        let keys: Vec<Key> = parties.iter().map(|party| party.order.key).collect();
        for key in &keys[1..] {
            self.refresh(*key);
        }
        for party in &parties {
            self.keep_reduced(&party.order);
        }
        for party in &parties {
            self.protect_party(party, lots);
        }
        for party in &parties {
            self.freeze_if_hit(&party.order);
        }
        true
    }

    /// COMBO-10: what the trade would cost the combination's owner, against what is available.
    fn can_pay(&mut self, party: &Party, lots: i64) -> bool {
        let (order, account) = (&party.order, party.order.key.0);
        let asset = self.contracts[&order.terms.instrument].terms.price_asset;
        let available = self.available(account, asset);
        let (needed, result) = (self.needed(order), self.unsettled(account, asset));
        let credit = self.credit(account, asset);
        let positions = self.positions.clone();
        let mut fees = 0;
        for ((id, side), price) in self.exposures(order).into_iter().zip(&party.prices) {
            fees += self.fee_of(party, id, *price, lots);
            self.move_position(account, (id, side), *price, lots, 0);
        }
        let rest = Order {
            open: order.open - lots,
            ..order.clone()
        };
        self.orders.insert(order.key, rest);
        let lost = (credit - self.credit(account, asset)).max(0);
        let more =
            self.needed(order) - needed + result - self.unsettled(account, asset) + fees + lost;
        // As it was: so far this was only looked at.
        self.positions = positions;
        self.orders.insert(order.key, order.clone());
        more <= 0 || more <= available
    }

    /// Requirements of an order's owner in all its legs.
    fn needed(&self, order: &Order) -> i128 {
        let legs = self.exposures(order);
        let of = |(id, _): &(InstrumentId, Side)| self.requirement(order.key.0, *id);
        legs.iter().map(of).sum()
    }

    /// MONEY-09.
    fn check_promise(&mut self, parties: &[Party], before: &[i128]) {
        for (party, before) in parties.iter().zip(before) {
            let contract = &self.contracts[&party.order.terms.instrument];
            let after = self.available(party.order.key.0, contract.terms.price_asset);
            // An outright's own check is as old as its mark; a combination's was made just now.
            let checked = contract.is_combination() || party.order.checked_at == contract.mark;
            if *before >= 0 && after < 0 && checked {
                self.broken_promises.push(format!(
                    "MONEY-09: trade {} of {:?} took available from {before} to {after}",
                    self.trades, party.order.key
                ));
            }
        }
    }
}

impl Model {
    /// For those who aim at it: the best implied price on the other side, whoever makes it.
    #[must_use]
    pub fn implied_touch(&self, instrument: InstrumentId, side: Side) -> Option<i64> {
        let mut ids: Vec<InstrumentId> = Vec::new();
        for (id, contract) in &self.contracts {
            let mut legs = contract.terms.legs.iter();
            if contract.is_combination()
                && (*id == instrument || legs.any(|leg| leg.instrument == instrument))
            {
                ids.push(*id);
            }
        }
        let found = ids
            .into_iter()
            .filter_map(|id| self.through(instrument, side, id));
        let prices = found.map(|implied| implied.price);
        match side {
            Side::Buy => prices.min(),
            Side::Sell => prices.max(),
        }
    }
}
