//! COMBO-02 to 07: contracts with legs: mark, band, prices of the legs, money, trades in their own book.

use engine::{
    command::Side,
    event::{Liquidity, OrderEventKind, OrderStatus},
    ids::{InstrumentId, house},
    instrument::{Kind, TradingState},
    limits,
    reason::Reason,
};

use super::{Contract, Model, Order, money, small};
use crate::rows::{FillRow, LegPart};

/// +1 for a buy, -1 for a sell.
pub(super) fn sign(side: Side) -> i64 {
    match side {
        Side::Buy => 1,
        Side::Sell => -1,
    }
}

/// The other way round.
pub(super) fn side_of(sign: i64) -> Side {
    if sign > 0 { Side::Buy } else { Side::Sell }
}

/// One order's part in a trade.
#[derive(Clone, Debug)]
pub(super) struct Party {
    /// Before the trade.
    pub order: Order,
    /// Of its fill.
    pub price: i64,
    /// One for each contract of [`Model::exposures`].
    pub prices: Vec<i64>,
    /// Its role.
    pub liquidity: Liquidity,
}

impl Contract {
    /// Whether it has legs.
    #[must_use]
    pub fn is_combination(&self) -> bool {
        !self.terms.legs.is_empty()
    }

    /// Rank 8: which prices an order may name.
    pub(super) fn possible_prices(&self) -> std::ops::RangeInclusive<i64> {
        match self.terms.kind {
            Kind::CalendarSpread => -limits::PRICE_TICKS..=limits::PRICE_TICKS,
            _ => 1..=limits::PRICE_TICKS,
        }
    }
}

impl Model {
    /// COMBO-02: marks and widths of the bands of all combinations follow the marks of their legs.
    pub(super) fn mark_combinations(&mut self) {
        for id in self.contracts.keys().copied().collect::<Vec<_>>() {
            let contract = &self.contracts[&id];
            if !contract.is_combination() || contract.expired {
                continue;
            }
            let legs = &contract.terms.legs;
            let mark_of = |leg: &engine::instrument::Leg| self.contracts[&leg.instrument].mark;
            let mark = legs.iter().map(|leg| leg.ratio * mark_of(leg)).sum();
            let points = i128::from(contract.terms.limits.band_basis_points);
            let widths = legs
                .iter()
                .map(|leg| i128::from(mark_of(leg)) * points / 10_000);
            let times = match contract.terms.kind {
                Kind::Strip => legs.len() as i128,
                _ => 1,
            };
            let width = small(widths.min().unwrap_or(0) * times);
            if let Some(contract) = self.contracts.get_mut(&id) {
                (contract.mark, contract.width) = (mark, Some(width));
            }
        }
    }

    /// In which contracts an order moves positions, and on which side: its own, or its legs in order.
    pub(super) fn exposures(&self, order: &Order) -> Vec<(InstrumentId, Side)> {
        let (id, side) = (order.terms.instrument, order.terms.side);
        let contract = &self.contracts[&id];
        if !contract.is_combination() {
            return vec![(id, side)];
        }
        let legs = contract.terms.legs.iter();
        legs.map(|leg| (leg.instrument, side_of(sign(side) * leg.ratio)))
            .collect()
    }

    /// COMBO-03: prices of the exposures of an order of this contract at this price.
    pub(super) fn leg_prices(&self, contract: &Contract, price: i64) -> Vec<i64> {
        let legs = &contract.terms.legs;
        let marks: Vec<i64> = legs
            .iter()
            .map(|leg| self.contracts[&leg.instrument].mark)
            .collect();
        match contract.terms.kind {
            Kind::CalendarSpread => vec![marks[0], marks[0] + price],
            Kind::Strip => {
                let distance = price - marks.iter().sum::<i64>();
                let parts = marks.len() as i64;
                let share = |(k, mark): (i64, &i64)| mark + (distance + k).div_euclid(parts);
                (0..).zip(&marks).map(share).collect()
            }
            _ => vec![price],
        }
    }

    /// COMBO-05, rank 11: values of the exposures at this price, none of them negative.
    pub(super) fn notional(&self, contract: &Contract, price: i64, lots: i64) -> i128 {
        let prices = self.leg_prices(contract, price);
        let ids = contract.terms.legs.iter().map(|leg| leg.instrument);
        if !contract.is_combination() {
            return contract.money.value(i128::from(price) * i128::from(lots));
        }
        let values = ids.zip(prices).map(|(id, price)| {
            let exposure = i128::from(price) * i128::from(lots);
            self.contracts[&id].money.value(exposure.abs())
        });
        values.sum()
    }

    /// COMBO-05: hold of one lot of a combination's order in one of its legs, and its side there.
    pub(super) fn hold_in_leg(&self, order: &Order, leg: InstrumentId) -> Option<(Side, i128)> {
        let combination = &self.contracts[&order.terms.instrument];
        let at = combination
            .terms
            .legs
            .iter()
            .position(|one| one.instrument == leg)?;
        let price = self.leg_prices(combination, order.price)[at];
        let ratio = combination.terms.legs[at].ratio;
        let (side, contract) = (sign(order.terms.side) * ratio, &self.contracts[&leg]);
        let (maker, taker) = self.rates(order.key.0, combination);
        let base = contract.money.lot_up(price.abs().max(contract.band().1));
        let fee = money::up(base * maker.max(taker).max(0), 1_000_000);
        let loss = contract.money.lot_up(side * (price - contract.mark));
        Some((side_of(side), loss + fee))
    }

    /// COMBO-06: the first leg that does not match keeps new orders out.
    pub(super) fn legs_match(&self, contract: &Contract) -> bool {
        let mut legs = contract.terms.legs.iter();
        legs.all(|leg| self.contracts[&leg.instrument].state == TradingState::Open)
    }

    /// COMBO-06: what no combination takes.
    pub(super) fn is_strange_to_combinations(&self, order: &Order) -> bool {
        self.contracts[&order.terms.instrument].is_combination()
            && (order.terms.trigger.is_some()
                || order.peg().is_some()
                || order.at_auction()
                || order.terms.reduce_only)
    }

    /// COMBO-07.
    pub(super) fn trade_combination(&mut self, taker: &Order, maker: &Order) {
        let contract = self.contracts[&taker.terms.instrument].clone();
        let (price, lots) = (maker.price, taker.open.min(maker.shown()));
        let prices = self.leg_prices(&contract, price);
        let party = |order: &Order, liquidity| Party {
            order: order.clone(),
            price,
            prices: prices.clone(),
            liquidity,
        };
        let parties = [
            party(taker, Liquidity::Taker),
            party(maker, Liquidity::Maker),
        ];
        let tape = (taker.terms.instrument, price, taker.terms.side);
        self.settle(&parties, lots, &[tape]);
        self.refresh(maker.key);
        for party in &parties {
            self.keep_reduced(&party.order);
        }
        for party in parties.iter().rev() {
            self.protect_party(party, lots);
        }
        for party in parties.iter().rev() {
            self.freeze_if_hit(&party.order);
        }
    }

    /// ORDER-07 in every contract that an order moved.
    pub(super) fn keep_reduced(&mut self, order: &Order) {
        for (id, _) in self.exposures(order) {
            self.keep_reduce_only(order.key.0, id);
        }
    }

    /// MMP-03, COMBO-07.
    pub(super) fn protect_party(&mut self, party: &Party, lots: i64) {
        let value = self
            .exposures(&party.order)
            .iter()
            .zip(&party.prices)
            .map(|((id, _), price)| self.value_of(*id, *price, lots))
            .sum();
        self.protect(&party.order, party.price, lots, value);
    }

    fn value_of(&self, id: InstrumentId, price: i64, lots: i64) -> i128 {
        let exposure = i128::from(price) * i128::from(lots);
        self.contracts[&id].money.value(exposure.abs())
    }

    /// COMBO-04: fee of one exposure of a party.
    pub(super) fn fee_of(&self, party: &Party, id: InstrumentId, price: i64, lots: i64) -> i128 {
        let contract = &self.contracts[&party.order.terms.instrument];
        let (maker, taker) = self.rates(party.order.key.0, contract);
        let rate = match party.liquidity {
            Liquidity::Taker => taker.max(0),
            _ => maker.max(0),
        };
        money::half_even(self.value_of(id, price, lots) * rate, 1_000_000)
    }

    /// One trade number for all: positions and fees, orders, then what is told, then the tapes.
    pub(super) fn settle(
        &mut self,
        parties: &[Party],
        lots: i64,
        tapes: &[(InstrumentId, i64, Side)],
    ) {
        self.trades += 1;
        let trade = self.trades;
        let mut rows = Vec::new();
        for party in parties {
            let (order, liquidity) = (&party.order, party.liquidity);
            let account = order.key.0;
            let own = &self.contracts[&order.terms.instrument];
            let (asset, combined) = (own.terms.price_asset, own.is_combination());
            let (mut legs, mut fees, mut net) = (Vec::new(), 0, 0);
            for ((id, side), price) in self.exposures(order).into_iter().zip(&party.prices) {
                let fee = self.fee_of(party, id, *price, lots);
                let value = self.contracts[&id]
                    .money
                    .value(i128::from(*price) * i128::from(lots));
                net = self.move_position(account, (id, side), *price, lots, value);
                self.pay(account, house::FEES, asset, fee);
                fees += fee;
                legs.push(LegPart {
                    instrument: id,
                    side,
                    fill: FillRow {
                        trade,
                        price: *price,
                        lots,
                        liquidity,
                        fee: small(fee),
                        position_after: net,
                    },
                });
            }
            let fill = FillRow {
                trade,
                price: party.price,
                lots,
                liquidity,
                fee: small(fees),
                position_after: if combined { 0 } else { net },
            };
            if !combined {
                legs.clear();
            }
            rows.push((self.take_lots(order, lots, liquidity), fill, legs));
            self.touched.insert(order.terms.instrument);
        }
        for (order, fill, legs) in rows {
            // ORDER-18, COMBO-11: a maker's fill is nobody's doing, not even that of its own session.
            let cause = self.cause;
            if fill.liquidity == Liquidity::Maker {
                self.cause = super::Cause::default();
            }
            let kind = OrderEventKind::Fill;
            self.tell_with(&order, kind, None, false, Some(fill), &legs);
            self.cause = cause;
        }
        for (id, price, aggressor) in tapes {
            let row = (*id, *price, lots, Some(*aggressor), trade);
            self.seen.trades.push(row);
            self.touched.insert(*id);
            self.remember_trade(*id, *price);
        }
    }

    /// COMBO-06: combinations know no calls; whether a command may bring this state there.
    pub(super) fn refuses_calls(
        &self,
        scope: engine::command::StateScope,
        target: TradingState,
    ) -> Result<(), Reason> {
        use engine::command::StateScope;
        let named = |(id, contract): (&InstrumentId, &Contract)| {
            contract.is_combination()
                && match scope {
                    StateScope::Instrument(one) => one == *id,
                    StateScope::Product(product) => product == contract.product,
                    StateScope::All => false,
                }
        };
        match super::calls::is_call(target) && self.contracts.iter().any(named) {
            true => Err(Reason::IllegalTransition),
            false => Ok(()),
        }
    }

    /// An order after so many of its lots have traded.
    pub(super) fn take_lots(&mut self, order: &Order, lots: i64, liquidity: Liquidity) -> Order {
        let mut filled = order.clone();
        filled.open -= lots;
        filled.filled += lots;
        match liquidity {
            Liquidity::Maker => filled.visible -= lots.min(filled.visible),
            Liquidity::Taker | Liquidity::Auction | Liquidity::Block => filled.fill_up(),
        }
        if filled.open == 0 {
            filled.status = OrderStatus::Filled;
            self.orders.remove(&order.key);
            self.ended.insert(order.key, filled.clone());
        } else {
            self.orders.insert(order.key, filled.clone());
        }
        filled
    }
}
