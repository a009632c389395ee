//! ORDER-21: orders that follow the best price of their own side, or the index.

use engine::{
    command::{Peg, PegTo, Side},
    event::OrderEventKind,
    ids::InstrumentId,
    instrument::TradingState,
    reason::Reason,
};

use super::{Model, Order};
use crate::rows::Key;

/// What pegs look at: best price of each side without pegs, and the index.
#[derive(Clone, Copy)]
struct References {
    buy: Option<i64>,
    sell: Option<i64>,
    index: Option<i64>,
}

impl Model {
    fn references(&self, instrument: InstrumentId) -> References {
        let best = |side| {
            let queue = self.queue(instrument, side);
            let mut others = queue.iter().filter(|order| order.peg().is_none());
            others.next().map(|order| order.price)
        };
        References {
            buy: best(Side::Buy),
            sell: best(Side::Sell),
            index: self.index_ticks(&self.contracts[&instrument]),
        }
    }

    /// Where a peg works now; none = it sleeps.
    fn working_price(&self, order: &Order, peg: Peg, references: References) -> Option<i64> {
        let (instrument, side) = (order.terms.instrument, order.terms.side);
        let reference = match (peg.to, side) {
            (PegTo::Index, _) => references.index,
            (PegTo::Best, Side::Buy) => references.buy,
            (PegTo::Best, Side::Sell) => references.sell,
        };
        let wished = reference?.saturating_add(peg.offset.0);
        let opposite = self.best(instrument, side.opposite());
        let price = match side {
            Side::Buy => wished
                .min(peg.cap.0)
                .min(opposite.map_or(i64::MAX, |ask| ask - 1)),
            Side::Sell => wished
                .max(peg.cap.0)
                .max(opposite.map_or(i64::MIN, |bid| bid + 1)),
        };
        let (low, high) = self.contracts[&instrument].band();
        (price >= 1 && (low..=high).contains(&price)).then_some(price)
    }

    /// Whether pegs of this contract look for their price.
    fn pegs_move(&self, instrument: InstrumentId) -> bool {
        let state = self.contracts[&instrument].state;
        matches!(state, TradingState::Open | TradingState::PostOnly)
    }

    /// Accepted at its price, or asleep at its cap.
    pub(super) fn price_new_peg(&self, order: &mut Order) {
        let Some(peg) = order.peg() else { return };
        let instrument = order.terms.instrument;
        let price = match self.pegs_move(instrument) {
            true => self.working_price(order, peg, self.references(instrument)),
            false => None,
        };
        order.aside = price.is_none();
        order.price = price.unwrap_or(peg.cap.0);
    }

    /// References once, then every peg in the order of acceptance.
    pub(super) fn move_pegs(&mut self) {
        for instrument in self.touched.clone() {
            if !self.pegs_move(instrument) {
                continue;
            }
            let references = self.references(instrument);
            let own = |order: &Order| order.terms.instrument == instrument;
            for key in self.oldest_first(|order| own(order) && order.peg().is_some()) {
                self.move_peg(key, references);
            }
        }
    }

    fn move_peg(&mut self, key: Key, references: References) {
        let Some(mut order) = self.orders.get(&key).cloned() else {
            return;
        };
        let Some(peg) = order.peg() else { return };
        let price = self.working_price(&order, peg, references);
        let (aside, price) = (price.is_none(), price.unwrap_or(peg.cap.0));
        if aside == order.aside && price == order.price {
            return;
        }
        self.touched.insert(order.terms.instrument);
        (order.aside, order.resting, order.price) = (aside, !aside, price);
        order.priority = self.next_priority();
        self.orders.insert(key, order.clone());
        let reason = Some(Reason::PegRepriced);
        self.tell(&order, OrderEventKind::Restated, reason, true, None);
    }
}
