//! Pegged orders: they follow the best price of their side, or the index, and never take (ORDER-21).

use super::{Exchange, News};
use crate::{
    command::{OrderTerms, Origin, Peg, PegTo, Pricing, Side},
    event::{Event, OrderEventKind},
    ids::{AccountId, InstrumentId},
    limits,
    reason::{Field, Problem, Reason},
    units::Ticks,
};

/// What pegged orders of one contract follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct References {
    bid: Option<Ticks>,
    ask: Option<Ticks>,
    index: Option<Ticks>,
}

/// Rank 8: a peg's distance from what it follows.
pub(super) fn check_offset(peg: Peg, side: Side) -> Result<(), Problem> {
    let actual = peg.offset.0;
    let problem = |limit| Problem::limit(Reason::InvalidField, Field::Price, limit, actual);
    // The range first: the most negative number has no opposite.
    if !(-limits::PRICE_TICKS..=limits::PRICE_TICKS).contains(&actual) {
        return Err(problem(limits::PRICE_TICKS));
    }
    if peg.to == PegTo::Best && side.signed(crate::units::Lots(actual)).0 > 0 {
        return Err(problem(0));
    }
    Ok(())
}

impl Exchange {
    /// Whether one more pegged order fits into the contract.
    pub(super) fn check_pegs(&self, account: AccountId, id: InstrumentId) -> Result<(), Problem> {
        let pegs = id.index().map_or(&[][..], |index| &self.pegs[index]);
        let own = |slot: &&u32| self.orders.at(**slot).account == account;
        let reached = [
            (limits::PEGS, pegs.len()),
            (limits::PEGS_PER_ACCOUNT, pegs.iter().filter(own).count()),
        ];
        let Some((limit, live)) = reached.into_iter().find(|(limit, live)| live >= limit) else {
            return Ok(());
        };
        let reason = Reason::OpenOrderLimit;
        let (limit, live) = (limit as i64, live as i64);
        Err(Problem::limit(reason, Field::OrderType, limit, live))
    }

    /// The contract's references, pegged orders not counted.
    pub(super) fn references(&self, id: InstrumentId) -> References {
        References {
            bid: self.best_unpegged(id, Side::Buy),
            ask: self.best_unpegged(id, Side::Sell),
            index: self.index_in_ticks(id),
        }
    }

    /// At most as many levels are passed as there are pegged orders.
    fn best_unpegged(&self, id: InstrumentId, side: Side) -> Option<Ticks> {
        let index = id.index()?;
        let pegged_at = |price: Ticks| {
            let here = |slot: &&u32| {
                let order = self.orders.at(**slot);
                order.resting && order.terms.side == side && order.price == price
            };
            self.pegs[index].iter().filter(here).count()
        };
        self.books[index]
            .levels(side)
            .find(|(price, level)| level.orders as usize > pegged_at(*price))
            .map(|(price, _)| price)
    }

    /// Where a pegged order would work now; `None` = it sleeps.
    pub(super) fn peg_price(&self, terms: &OrderTerms, peg: Peg, to: References) -> Option<Ticks> {
        let reference = match (peg.to, terms.side) {
            (PegTo::Best, Side::Buy) => to.bid?,
            (PegTo::Best, Side::Sell) => to.ask?,
            (PegTo::Index, _) => to.index?,
        };
        let index = terms.instrument.index()?;
        let opposite = self.books[index].best(terms.side.opposite());
        let wish = reference + peg.offset;
        let price = match terms.side {
            Side::Buy => {
                let below = opposite.map_or(Ticks(i64::MAX), |ask| ask - Ticks(1));
                wish.min(peg.cap).min(below)
            }
            Side::Sell => {
                let above = opposite.map_or(Ticks(i64::MIN), |bid| bid + Ticks(1));
                wish.max(peg.cap).max(above)
            }
        };
        let (low, high) = self.contract(terms.instrument).at_mark.band;
        (price >= low.max(Ticks(1)) && price <= high).then_some(price)
    }

    /// A new pegged order takes its place, or falls asleep.
    pub(super) fn follow(&mut self, slot: u32) {
        let order = self.orders.at(slot);
        let index = order.terms.instrument.index().unwrap_or(usize::MAX);
        self.pegs[index].push(slot);
    }

    /// Moves the pegged orders of the contracts that the command stirred.
    pub(super) fn move_pegs(&mut self, out: &mut Vec<Event>) {
        self.stirred.sort_unstable();
        self.stirred.dedup();
        for place in 0..self.stirred.len() {
            let id = self.stirred[place];
            let state = self.contract(id).state;
            let index = id.index().unwrap_or(usize::MAX);
            if !state.moves_pegs() || self.pegs[index].is_empty() {
                continue;
            }
            let to = self.references(id);
            let mut slots = std::mem::take(&mut self.moving);
            slots.extend_from_slice(&self.pegs[index]);
            for slot in slots.drain(..) {
                self.move_peg(slot, to, out);
            }
            self.moving = slots;
        }
        // Moving has stirred them again, but moved pegs are no reference.
        self.stirred.clear();
    }

    fn move_peg(&mut self, slot: u32, to: References, out: &mut Vec<Event>) {
        let order = self.orders.at(slot);
        let Pricing::Peg(peg) = order.terms.pricing else {
            return;
        };
        let working = self.peg_price(&order.terms, peg, to);
        let now = order.resting.then_some(order.price);
        if working == now {
            return;
        }
        if order.resting {
            self.unrest(slot);
        }
        self.reprioritise(slot);
        let order = self.orders.at_mut(slot);
        order.price = working.unwrap_or(peg.cap);
        order.waiting = working.is_none();
        if working.is_some() {
            self.rest(slot);
        }
        let mut news = News::because(OrderEventKind::Restated, Reason::PegRepriced);
        news.priority_lost = true;
        self.tell(slot, news, &Origin::default(), out);
    }
}
