//! Implied matching (COMBO-08 to 12): an order meets not only its own book but also what a combination
//! and its legs offer together. One level deep: implied prices are made of orders, never of each other.

use super::{
    Exchange,
    combinations::{LegPrices, combined, leg_side},
    legs::{PARTIES, Party},
    margins::Sure,
};
use crate::{
    command::{OrderTerms, Origin, PostOnly, Side, TimeInForce},
    event::{Event, Liquidity, Trade},
    ids::{AccountId, InstrumentId},
    instrument::{Instrument, Kind, TradingState},
    limits::COMBINATION_LEGS,
    order::NIL,
    reason::Reason,
    units::{Lots, Minor, Ppm, Ticks},
};

/// Orders that together offer a price.
#[derive(Clone, Copy, Debug)]
pub(super) struct Implied {
    /// For the incoming order.
    pub(super) price: Ticks,
    combination: InstrumentId,
    /// The combination's resting order; none if the incoming one is in the combination.
    bundle: u32,
    /// Resting orders in the legs; none where the incoming one is.
    legs: [u32; COMBINATION_LEGS],
    prices: LegPrices,
    count: usize,
}

/// Who asks for a price, and which prices are of use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) account: AccountId,
    pub(super) self_trade_group: u32,
    pub(super) side: Side,
    pub(super) limit: Ticks,
}

impl Exchange {
    /// Meets the own book and implied prices, the best first, until nothing is left or nothing fits.
    pub(super) fn sweep_combined(&mut self, slot: u32, commander: &Origin, out: &mut Vec<Event>) {
        let mut looks = may_take(&self.orders.at(slot).terms);
        loop {
            let order = self.orders.at(slot);
            if !order.is_open() {
                return;
            }
            let asker = Asker {
                account: order.account,
                self_trade_group: order.terms.self_trade_group,
                side: order.terms.side,
                limit: order.price,
            };
            let instrument = order.terms.instrument;
            let index = instrument.index().unwrap_or(usize::MAX);
            let front = self.books[index].front(asker.side.opposite());
            let direct = front.filter(|(price, _)| asker.side.accepts(asker.limit, *price));
            let implied = if looks {
                self.best_implied(instrument, &asker, direct.map(|(price, _)| price))
            } else {
                None
            };
            if let Some(implied) = implied {
                if self.trades_left < implied.count {
                    return self.end(slot, Reason::TooManyItems, commander, out);
                }
                looks = self.try_implied(slot, &implied, commander, out);
                continue;
            }
            let Some((_, maker)) = direct else {
                return;
            };
            if self.trades_left == 0 {
                return self.end(slot, Reason::TooManyItems, commander, out);
            }
            self.trades_left -= 1;
            let resting = self.orders.nodes().at(maker);
            let own = self.same_group(asker.account, asker.self_trade_group, self.orders.at(maker));
            if own {
                self.prevent_self_trade(slot, maker, commander, out);
            } else if !self.windows[index].admits(self.at, resting.price) {
                return self.call_volatility_with(slot, out);
            } else if self.orders.at(slot).combined {
                self.trade_combination(slot, maker, commander, out);
            } else {
                self.trade(slot, maker, commander, out);
            }
        }
    }

    /// The best implied price for an incoming order, if it is strictly better than `direct`.
    pub(super) fn best_implied(
        &self,
        instrument: InstrumentId,
        asker: &Asker,
        direct: Option<Ticks>,
    ) -> Option<Implied> {
        let contract = self.contract(instrument);
        if !contract.combined || contract.state != TradingState::Open {
            return None;
        }
        if contract.terms.kind.is_combination() {
            return self.offer(contract, contract, asker, direct);
        }
        let mut best: Option<Implied> = None;
        for id in self.links(instrument).within() {
            let bar = best.map(|best| best.price).or(direct);
            // Strictly better only: the lower number stays at an equal price.
            best = self
                .offer(contract, self.contract(*id), asker, bar)
                .or(best);
        }
        best
    }

    /// What one combination and its legs offer to an order in `contract`, if that is strictly better
    /// than `bar` (COMBO-08, COMBO-10).
    fn offer(
        &self,
        contract: &Instrument,
        combination: &Instrument,
        asker: &Asker,
        bar: Option<Ticks>,
    ) -> Option<Implied> {
        let legs = self.links(combination.id).legs();
        let open = |contract: &Instrument| contract.state == TradingState::Open;
        let all_open = legs.iter().all(|leg| open(self.contract(leg.instrument)));
        if !open(combination) || !all_open {
            return None;
        }
        let mut found = Implied {
            price: Ticks::ZERO,
            combination: combination.id,
            bundle: NIL,
            legs: [NIL; COMBINATION_LEGS],
            prices: [Ticks::ZERO; COMBINATION_LEGS],
            count: legs.len(),
        };
        // Side of the order in the combination, incoming or resting, and the price that is given.
        let own = legs.iter().position(|leg| leg.instrument == contract.id);
        let (bundle_side, given) = match own {
            None => (asker.side, Ticks::ZERO),
            Some(place) => {
                let side = leg_side(asker.side.opposite(), legs[place]);
                let (price, slot) = self.book(combination.id)?.front(side)?;
                found.bundle = slot;
                (side, price)
            }
        };
        for (place, leg) in legs.iter().enumerate() {
            if own != Some(place) {
                let side = leg_side(bundle_side, *leg).opposite();
                let (price, slot) = self.book(leg.instrument)?.front(side)?;
                (found.prices[place], found.legs[place]) = (price, slot);
            }
        }
        let known = combined(legs.iter().copied().zip(found.prices));
        found.price = match own {
            None => known,
            Some(place) => {
                // What makes the sum the combination order's price exactly; the ratio is its own inverse.
                let rest = Ticks((given - known).0 * legs[place].ratio);
                found.prices[place] = rest;
                rest
            }
        };
        let better = |bar: Ticks| found.price != bar && asker.side.accepts(bar, found.price);
        let (low, high) = contract.at_mark.band;
        let wanted = asker.side.accepts(asker.limit, found.price)
            && bar.is_none_or(better)
            && (low..=high).contains(&found.price);
        if !wanted || !self.legs_admit(combination, &found) || self.is_own(asker, &found) {
            return None;
        }
        Some(found)
    }

    /// Whether every leg's price is one its contract may trade at now.
    fn legs_admit(&self, combination: &Instrument, found: &Implied) -> bool {
        let legs = self.links(combination.id).legs().iter();
        legs.zip(found.prices).all(|(leg, price)| {
            let (low, high) = self.contract(leg.instrument).at_mark.band;
            let index = leg.instrument.index().unwrap_or(usize::MAX);
            price.0 >= 1
                && (low..=high).contains(&price)
                && self.windows[index].would_admit(self.at, price)
        })
    }

    /// Whether the combination's order and one of the outrights' may not trade with each other. The
    /// outrights' owners trade with it and not among themselves, so one of them may stand in several legs.
    fn is_own(&self, asker: &Asker, found: &Implied) -> bool {
        let rests = |slot: &&u32| **slot != NIL;
        let meets = |account, group, slot| self.same_group(account, group, self.orders.at(slot));
        let (account, group) = match found.bundle {
            NIL => (asker.account, asker.self_trade_group),
            bundle => {
                if meets(asker.account, asker.self_trade_group, bundle) {
                    return true;
                }
                let order = self.orders.at(bundle);
                (order.account, order.terms.self_trade_group)
            }
        };
        let mut legs = found.legs[..found.count].iter().filter(rests);
        legs.any(|slot| meets(account, group, *slot))
    }

    /// Trades at an implied price if the combination's order has the money; answers whether the incoming
    /// order goes on looking at implied prices.
    fn try_implied(
        &mut self,
        slot: u32,
        found: &Implied,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) -> bool {
        let mut lots = self.orders.at(slot).open;
        for resting in found.legs[..found.count].iter().chain([&found.bundle]) {
            if *resting != NIL {
                lots = lots.min(self.orders.nodes().at(*resting).lots);
            }
        }
        let incoming = found.bundle == NIL;
        let bundle = if incoming { slot } else { found.bundle };
        if !self.can_pay(bundle, incoming, &found.prices, lots) {
            if incoming {
                return false;
            }
            self.trades_left -= 1;
            let nobody = Origin::default();
            self.end(bundle, Reason::InsufficientMargin, &nobody, out);
            return true;
        }
        self.trades_left -= found.count;
        self.trade_implied(slot, found, lots, commander, out);
        true
    }

    /// Whether the owner of a combination's order has the money for its legs at these prices, which are
    /// not the ones it holds money for.
    fn can_pay(&self, slot: u32, takes: bool, prices: &LegPrices, lots: Lots) -> bool {
        let order = self.orders.at(slot);
        let (account, side) = (order.account, order.terms.side);
        let combination = self.contract(order.terms.instrument);
        let terms = &combination.terms;
        let rate = self.account(account).map_or(Ppm(0), |row| {
            if takes {
                row.taker_fee(terms.taker_fee)
            } else {
                row.maker_fee(terms.maker_fee)
            }
            .max(Ppm(0))
        });
        let mut needed = Minor::ZERO;
        let mut sure = Sure::default();
        let legs = self.links(combination.id).legs().iter().enumerate();
        for (place, row) in legs {
            let (leg, price) = (self.contract(row.instrument), prices[place]);
            let side_here = leg_side(side, *row);
            let before = self.positions.view(account, row.instrument);
            let mut after = before;
            let hold = self.leg_hold(account, combination, place, side, order.price);
            after.count_open(side_here, false, -lots, -hold.for_lots(lots));
            if combination.terms.kind == Kind::CalendarSpread {
                after.count_spread(side_here, -lots);
            }
            after.trade(side_here, price, lots);
            sure.note(leg, &before, &after);
            let value = leg.tick_value.money(price.times(lots));
            let loss = |result: Minor| -result.min(Minor::ZERO);
            needed += after.requirement_in(leg) - before.requirement;
            needed += loss(after.result_at(leg)) - loss(before.result);
            needed += rate.of(value);
        }
        needed += self.credit_lost(account, &sure);
        let available = self.ledger.balance(account, terms.price_asset).available();
        needed <= Minor::ZERO || needed <= available
    }

    /// All parties at once, each at its own price, the incoming order at the rest (COMBO-11).
    fn trade_implied(
        &mut self,
        slot: u32,
        found: &Implied,
        lots: Lots,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) {
        let mut parties = [Party::NOBODY; PARTIES];
        parties[0] = Party {
            slot,
            price: found.price,
            liquidity: Liquidity::Taker,
        };
        let mut count = 1;
        for resting in found.legs[..found.count].iter().chain([&found.bundle]) {
            if *resting != NIL {
                parties[count] = Party {
                    slot: *resting,
                    price: self.orders.nodes().at(*resting).price,
                    liquidity: Liquidity::Maker,
                };
                count += 1;
            }
        }
        let parties = &parties[..count];
        let (own, side) = {
            let terms = &self.orders.at(slot).terms;
            (terms.instrument, terms.side)
        };
        let links = *self.links(found.combination);
        for (leg, price) in links.legs().iter().zip(found.prices) {
            let index = leg.instrument.index().unwrap_or(usize::MAX);
            self.windows[index].admits(self.at, price);
        }
        // Before anything ends: the sides of those who rest.
        let mut aggressors = [side; COMBINATION_LEGS];
        for (resting, aggressor) in found.legs.iter().zip(&mut aggressors) {
            if *resting != NIL {
                *aggressor = self.orders.at(*resting).terms.side.opposite();
            }
        }
        let trade = self.next_trade();
        let values = self.exchange_lots(trade, parties, &found.prices, lots, commander, out);
        for (place, leg) in links.legs().iter().enumerate() {
            self.print(
                Trade {
                    instrument: leg.instrument,
                    public_seq: 0,
                    trade,
                    price: found.prices[place],
                    lots,
                    aggressor: Some(aggressors[place]),
                    off_book: None,
                },
                out,
            );
        }
        // No level of the incoming order's own book moved, but its last price did.
        self.stir(own);
        self.clear_up(parties, commander, out);
        let mut fills = [(NIL, Minor::ZERO); PARTIES];
        for (place, party) in parties.iter().enumerate() {
            fills[place] = (party.slot, values[place]);
        }
        self.protect_all(&fills[..count], slot, lots, commander, out);
    }
}

/// Orders whose fill was promised from direct orders keep to these, and post-only ones take nothing
/// (COMBO-13).
pub(super) fn may_take(order: &OrderTerms) -> bool {
    order.time_in_force != TimeInForce::Fok
        && order.min_fill == Lots::ZERO
        && order.post_only == PostOnly::No
}
