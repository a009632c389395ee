//! Contracts with legs (COMBO): calendar spreads and strips. A combination has a book and orders like
//! every contract, but no position: its orders are held for, and its trades booked, in its legs.

use super::{
    Exchange,
    admission::{check_notional, check_position_limit, worst_fee},
    margins::Sure,
};
use crate::{
    command::{OrderTerms, Pricing, Side, TimeInForce},
    ids::{AccountId, InstrumentId},
    instrument::{AtMark, Instrument, Kind, Leg, Terms, TradingState},
    limits::{self, COMBINATION_LEGS, COMBINATIONS_OF_A_CONTRACT},
    order::Order,
    reason::{Field, Problem, Reason},
    units::{Lots, Minor, Ppm, TickValue, Ticks},
};

pub(super) mod saved;

/// Prices of a trade in the legs, by place.
pub(super) type LegPrices = [Ticks; COMBINATION_LEGS];

/// What a contract has to do with combinations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) legs: [Leg; COMBINATION_LEGS],
    pub(super) count: usize,
    within: [InstrumentId; COMBINATIONS_OF_A_CONTRACT],
    within_count: usize,
}

impl Links {
    const LOOSE: Self = Self {
        legs: [Leg {
            instrument: InstrumentId::NONE,
            ratio: 0,
        }; COMBINATION_LEGS],
        count: 0,
        within: [InstrumentId::NONE; COMBINATIONS_OF_A_CONTRACT],
        within_count: 0,
    };

    fn of(terms: &Terms) -> Self {
        let mut links = Self::LOOSE;
        for (place, leg) in links.legs.iter_mut().zip(&terms.legs) {
            *place = *leg;
            links.count += 1;
        }
        links
    }

    /// Legs of a combination, in order.
    pub(super) fn legs(&self) -> &[Leg] {
        &self.legs[..self.count]
    }

    /// Combinations that are not over and have the contract as a leg, in order of number.
    pub(super) fn within(&self) -> &[InstrumentId] {
        &self.within[..self.within_count]
    }

    /// The newest combination has the highest number, so the order stays.
    fn join(&mut self, combination: InstrumentId) {
        if let Some(place) = self.within.get_mut(self.within_count) {
            *place = combination;
            self.within_count += 1;
        }
    }

    fn part(&mut self, combination: InstrumentId) {
        if let Some(place) = self.within().iter().position(|id| *id == combination) {
            self.within.copy_within(place + 1..self.within_count, place);
            self.within_count -= 1;
        }
    }
}

/// Side of a combination's order in one of its legs.
pub(super) fn leg_side(side: Side, leg: Leg) -> Side {
    if leg.ratio > 0 { side } else { side.opposite() }
}

/// Sum over the legs, each with its sign: a combination's price from its legs' prices.
pub(super) fn combined(prices: impl Iterator<Item = (Leg, Ticks)>) -> Ticks {
    prices.fold(Ticks::ZERO, |sum, (leg, price)| {
        Ticks(sum.0 + leg.ratio * price.0)
    })
}

impl Exchange {
    /// What a contract has to do with combinations.
    pub(super) fn links(&self, id: InstrumentId) -> &Links {
        &self.links[id.index().unwrap_or(usize::MAX)]
    }

    /// Whether terms make a combination (COMBO-01); what all contracts have in common is checked.
    pub(super) fn check_combined_terms(&self, terms: &Terms) -> Result<TickValue, Problem> {
        let invalid = |field| Err(Problem::about(Reason::InvalidField, field));
        let many = |limit: usize, actual: usize| {
            let wide = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            let reason = Reason::TooManyItems;
            Problem::limit(reason, Field::Legs, wide(limit), wide(actual))
        };
        let count = terms.legs.len();
        if !(2..=COMBINATION_LEGS).contains(&count) {
            return Err(many(COMBINATION_LEGS, count));
        }
        for (place, leg) in terms.legs.iter().enumerate() {
            let listed = self
                .instrument(leg.instrument)
                .filter(|contract| contract.terms.last_trade > self.at);
            let fits = listed.is_some_and(|contract| {
                let its = &contract.terms;
                its.kind == Kind::Forward
                    && (its.commodity, its.price_asset, its.index)
                        == (terms.commodity, terms.price_asset, terms.index)
                    && its.lot_hashes_per_second == terms.lot_hashes_per_second
                    && its.tick_size == terms.tick_size
            });
            let again = terms.legs[..place]
                .iter()
                .any(|other| other.instrument == leg.instrument);
            if !fits || again {
                return invalid(Field::Legs);
            }
        }
        let window = |leg: &Leg| self.contract(leg.instrument).terms.window;
        let in_order = terms
            .legs
            .windows(2)
            .all(|two| window(&two[0]).start < window(&two[1]).start);
        let (first, last) = (window(&terms.legs[0]), window(&terms.legs[count - 1]));
        let ratios = || terms.legs.iter().map(|leg| leg.ratio);
        let shaped = match terms.kind {
            Kind::CalendarSpread => ratios().eq([-1, 1]) && first.end <= last.end,
            Kind::Strip => ratios().all(|ratio| ratio == 1),
            Kind::SpotBlock | Kind::Forward => false,
        };
        if !in_order || !shaped {
            return invalid(Field::Legs);
        }
        for leg in &terms.legs {
            let taken = self.links(leg.instrument).within().len();
            if taken >= COMBINATIONS_OF_A_CONTRACT {
                return Err(many(COMBINATIONS_OF_A_CONTRACT, taken + 1));
            }
        }
        self.check_product(terms)?;
        if terms.window.start != first.start || terms.window.end != last.end {
            return invalid(Field::Window);
        }
        let ends = |leg: &Leg| self.contract(leg.instrument).terms.last_trade;
        let late = terms.legs.iter().any(|leg| terms.last_trade > ends(leg));
        if terms.last_trade <= self.at || late {
            return invalid(Field::LastTrade);
        }
        let entry = &terms.limits;
        let lots_fit =
            (1..=entry.max_lots).contains(&entry.min_lots) && entry.max_lots <= limits::ORDER_LOTS;
        let counts_fit = entry.max_open_orders > 0
            && (1..=limits::MONEY_MINOR).contains(&entry.max_notional)
            && entry.position_limit == 0
            && (0..=limits::ORDER_LOTS).contains(&entry.min_display);
        if !lots_fit || !counts_fit {
            return invalid(Field::Limit);
        }
        let widest = |leg: &Leg| {
            let its = &self.contract(leg.instrument).terms.limits;
            its.band_basis_points
        };
        let most = terms.legs.iter().map(widest).min().unwrap_or(0);
        if !(1..=most).contains(&entry.band_basis_points) {
            return invalid(Field::Band);
        }
        let fees = [terms.maker_fee.0, terms.taker_fee.0];
        let fee_fits = |fee: &i32| *fee >= 0 && super::admin::FEE_PPM.contains(fee);
        if !fees.iter().all(fee_fits) {
            return invalid(Field::Fee);
        }
        if terms.volatility != crate::instrument::Volatility::default() {
            return invalid(Field::Volatility);
        }
        // Money is counted in the legs; a tick of the combination has no value of its own.
        Ok(self.contract(terms.legs[0].instrument).tick_value)
    }

    /// One product name never covers combinations and outrights.
    pub(super) fn check_product(&self, terms: &Terms) -> Result<(), Problem> {
        let combination = terms.kind.is_combination();
        let mixed = self.instruments.iter().any(|known| {
            known.terms.product == terms.product && known.terms.kind.is_combination() != combination
        });
        if mixed {
            return Err(Problem::about(Reason::InvalidField, Field::Product));
        }
        Ok(())
    }

    /// Ties a new contract to its legs, which must be listed; call it once the contract is.
    pub(super) fn link(&mut self, id: InstrumentId) {
        let links = Links::of(&self.contract(id).terms);
        self.links.push(links);
        if links.count == 0 {
            return;
        }
        self.contract_mut(id).combined = true;
        for leg in links.legs() {
            self.links[leg.instrument.index().unwrap_or(usize::MAX)].join(id);
            self.contract_mut(leg.instrument).combined = true;
        }
        self.remark(id);
    }

    /// A contract is over: as a combination it leaves its legs alone.
    pub(super) fn unlink(&mut self, id: InstrumentId) {
        let links = *self.links(id);
        if links.count == 0 {
            return;
        }
        self.contract_mut(id).combined = false;
        for leg in links.legs() {
            let index = leg.instrument.index().unwrap_or(usize::MAX);
            self.links[index].part(id);
            self.instruments[index].combined = !self.links[index].within().is_empty();
        }
    }

    /// What a combination's mark and band are by its legs' (COMBO-02).
    pub(super) fn combined_mark(&self, id: InstrumentId) -> (Ticks, AtMark) {
        let (contract, legs) = (self.contract(id), self.links(id).legs());
        let marks = || {
            legs.iter()
                .map(|leg| (*leg, self.contract(leg.instrument).mark))
        };
        let mark = combined(marks());
        let share = i64::from(contract.terms.limits.band_basis_points);
        let narrowest = marks()
            .map(|(_, mark)| mark.0.saturating_mul(share) / 10_000)
            .min()
            .unwrap_or(0);
        let width = match contract.terms.kind {
            Kind::Strip => narrowest * i64::try_from(legs.len()).unwrap_or(1),
            _ => narrowest,
        };
        let at_mark = AtMark {
            band: (Ticks(mark.0 - width), Ticks(mark.0 + width)),
            initial_buy: Minor::ZERO,
            initial_sell: Minor::ZERO,
            bond: Minor::ZERO,
            concentration: Minor::ZERO,
        };
        (mark, at_mark)
    }

    fn remark(&mut self, id: InstrumentId) {
        let (mark, at_mark) = self.combined_mark(id);
        let contract = self.contract_mut(id);
        (contract.mark, contract.at_mark) = (mark, at_mark);
    }

    /// Takes the holds of all combinations on an index out of their legs, before marks move.
    pub(super) fn lift_combinations(&mut self, index: crate::ids::IndexId) {
        for place in 0..self.instruments.len() {
            let contract = &self.instruments[place];
            if contract.combined
                && contract.terms.index == index
                && contract.terms.kind.is_combination()
            {
                let id = contract.id;
                self.count_orders(id, -1);
            }
        }
    }

    /// The marks of its legs have moved: a combination's mark and band follow, then its orders' holds.
    pub(super) fn follow_legs(&mut self, id: InstrumentId) {
        if !self.contract(id).combined {
            return;
        }
        self.remark(id);
        self.touched_statistics.push(id);
        self.count_orders(id, 1);
        for side in [Side::Buy, Side::Sell] {
            let book = &self.books[id.index().unwrap_or(usize::MAX)];
            let slots: Vec<u32> = book.queue(side, &self.orders).collect();
            for slot in slots {
                self.require_legs(slot);
            }
        }
    }

    /// Counts all orders of a combination into (1) or out of (-1) its legs.
    fn count_orders(&mut self, id: InstrumentId, times: i64) {
        for side in [Side::Buy, Side::Sell] {
            let book = &self.books[id.index().unwrap_or(usize::MAX)];
            let slots: Vec<u32> = book.queue(side, &self.orders).collect();
            for slot in slots {
                let open = self.orders.at(slot).open;
                self.count_legs(slot, Lots(open.0 * times));
            }
        }
    }

    /// Price of one leg in a trade in the combination's own book (COMBO-03).
    pub(super) fn leg_price(&self, combination: &Instrument, place: usize, price: Ticks) -> Ticks {
        let legs = self.links(combination.id).legs();
        let mark = |leg: &Leg| self.contract(leg.instrument).mark;
        if combination.terms.kind == Kind::CalendarSpread {
            let front = mark(&legs[0]);
            return if place == 0 { front } else { front + price };
        }
        let wide = |count: usize| i64::try_from(count).unwrap_or(1);
        let spread = price - combination.mark;
        let share = (spread.0 + wide(place)).div_euclid(wide(legs.len()));
        Ticks(mark(&legs[place]).0 + share)
    }

    /// All of them.
    pub(super) fn leg_prices(&self, combination: &Instrument, price: Ticks) -> LegPrices {
        let mut prices = [Ticks::ZERO; COMBINATION_LEGS];
        let count = self.links(combination.id).count;
        for (place, leg) in prices.iter_mut().enumerate().take(count) {
            *leg = self.leg_price(combination, place, price);
        }
        prices
    }

    /// Money per open lot in one leg (COMBO-05).
    pub(super) fn leg_hold(
        &self,
        account: AccountId,
        combination: &Instrument,
        place: usize,
        side: Side,
        price: Ticks,
    ) -> Minor {
        let rate = self
            .account(account)
            .map_or(Ppm(0), |account| worst_fee(account, combination));
        let row = self.links(combination.id).legs[place];
        let leg = self.contract(row.instrument);
        let price = self.leg_price(combination, place, price);
        let against = match leg_side(side, row) {
            Side::Buy => price - leg.mark,
            Side::Sell => leg.mark - price,
        };
        let (_, band_high) = leg.at_mark.band;
        let dearest = Ticks(price.0.abs()).max(band_high);
        leg.tick_value.lot_up(against) + rate.of_rounded_up(leg.tick_value.lot_up(dearest))
    }

    /// Counts lots of a combination's order into (negative: out of) its owner's positions in the legs.
    pub(super) fn count_legs(&mut self, slot: u32, lots: Lots) {
        let order = self.orders.at(slot);
        let (account, side, price) = (order.account, order.terms.side, order.price);
        let id = order.terms.instrument;
        let count = self.links(id).count;
        for place in 0..count {
            let leg = self.links(id).legs[place];
            let combination = self.contract(id);
            let spread = combination.terms.kind == Kind::CalendarSpread;
            let hold = self.leg_hold(account, combination, place, side, price);
            let position = self.positions.change(account, leg.instrument);
            let side = leg_side(side, leg);
            position.count_open(side, false, lots, hold.for_lots(lots));
            if spread {
                position.count_spread(side, lots);
            }
        }
    }

    /// Brings the balance of a combination's order in line with what its legs now require.
    pub(super) fn require_legs(&mut self, slot: u32) {
        let order = self.orders.at(slot);
        let (account, id) = (order.account, order.terms.instrument);
        for place in 0..self.links(id).count {
            let leg = self.links(id).legs[place].instrument;
            let position = self.positions.place_of(account, leg);
            self.require_at(position);
        }
    }

    /// Rank 7: a combination matches only while all its legs do.
    pub(super) fn check_legs_open(&self, combination: &Instrument) -> Result<(), Problem> {
        let legs = self.links(combination.id).legs().iter();
        let mut states = legs.map(|leg| self.contract(leg.instrument).state);
        match states.find(|state| *state != TradingState::Open) {
            None => Ok(()),
            Some(state) => Err(Problem::limit(
                Reason::InstrumentNotTrading,
                Field::Instrument,
                0,
                state.number(),
            )),
        }
    }

    /// Rank 11.
    pub(super) fn check_worth(
        &self,
        contract: &Instrument,
        price: Ticks,
        lots: Lots,
    ) -> Result<(), Problem> {
        if !contract.terms.kind.is_combination() {
            return check_notional(contract, price, lots);
        }
        let most = contract.terms.limits.max_notional;
        let value = self.worth(contract, price, lots);
        if value <= most {
            return Ok(());
        }
        let reason = Reason::NotionalTooLarge;
        Err(Problem::limit(reason, Field::Quantity, most, value))
    }

    /// Sum of the legs' values at a price of the combination.
    pub(super) fn worth(&self, combination: &Instrument, price: Ticks, lots: Lots) -> i64 {
        let legs = self.links(combination.id).legs().iter().enumerate();
        legs.fold(0_i64, |sum, (place, leg)| {
            let value = self.contract(leg.instrument).tick_value;
            let price = self.leg_price(combination, place, price);
            let leg = if value.fits(price, lots) {
                value.money(price.times(lots)).0.saturating_abs()
            } else {
                i64::MAX
            };
            sum.saturating_add(leg)
        })
    }

    /// Ranks 14 and 15 of a combination's order; `present` is its former self, which does not count.
    pub(super) fn check_legs(
        &self,
        account: AccountId,
        combination: &Instrument,
        (side, price, lots): (Side, Ticks, Lots),
        present: Option<&Order>,
    ) -> Result<(), Problem> {
        let need = self.need_of_legs(account, combination, (side, price, lots), present)?;
        self.check_need(combination, account, need)
    }

    /// What a combination's order adds to the requirements of its legs, if their limits let it in.
    pub(super) fn need_of_legs(
        &self,
        account: AccountId,
        combination: &Instrument,
        (side, price, lots): (Side, Ticks, Lots),
        present: Option<&Order>,
    ) -> Result<Minor, Problem> {
        let mut need = Minor::ZERO;
        let mut sure = Sure::default();
        for (place, row) in self.links(combination.id).legs().iter().enumerate() {
            let (leg, side_here) = (self.contract(row.instrument), leg_side(side, *row));
            let before = self.positions.view(account, row.instrument);
            let mut after = before;
            if let Some(order) = present {
                let hold = self.leg_hold(account, combination, place, side, order.price);
                after.count_open(side_here, false, -order.open, -hold.for_lots(order.open));
                if combination.terms.kind == Kind::CalendarSpread {
                    after.count_spread(side_here, -order.open);
                }
            }
            check_position_limit(leg, &after, side_here, lots)?;
            let hold = self.leg_hold(account, combination, place, side, price);
            after.count_open(side_here, false, lots, hold.for_lots(lots));
            let more = after.requirement_in(leg) - before.requirement;
            if combination.terms.kind == Kind::CalendarSpread {
                after.count_spread(side_here, lots);
            }
            sure.note(leg, &before, &after);
            // A preview may ask for what no admitted order comes near.
            need = Minor(need.0.saturating_add(more.0));
        }
        Ok(Minor(
            need.0.saturating_add(self.credit_lost(account, &sure).0),
        ))
    }

    /// Whether a contract's call may be set: combinations have none (COMBO-06).
    pub(super) fn has_calls(&self, id: InstrumentId) -> bool {
        !self.contract(id).terms.kind.is_combination()
    }

    /// Marks, bands and ties of combinations are what their legs make them.
    pub(super) fn recount_combinations(&self) -> Result<(), String> {
        for contract in &self.instruments {
            let symbol = &contract.terms.symbol;
            let links = self.links(contract.id);
            if links.legs() != contract.terms.legs {
                return Err(format!("{symbol} has other legs than its terms"));
            }
            if links.count > 0 && contract.combined {
                let (mark, at_mark) = self.combined_mark(contract.id);
                if (mark, at_mark) != (contract.mark, contract.at_mark) {
                    return Err(format!("{symbol}: its legs make the mark {mark:?}"));
                }
            }
            let within: Vec<_> = self
                .instruments
                .iter()
                .filter(|other| other.combined)
                .filter(|other| {
                    let mut legs = other.terms.legs.iter();
                    legs.any(|leg| leg.instrument == contract.id)
                })
                .map(|other| other.id)
                .collect();
            if links.within() != within {
                return Err(format!("{symbol} is a leg of {within:?}"));
            }
            if links.count == 0 && contract.combined == within.is_empty() {
                return Err(format!("{symbol}: combined is {}", contract.combined));
            }
        }
        Ok(())
    }

    /// What an account's combination orders count in one of their legs: buys, sells, each with holds.
    pub(super) fn legs_in(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        position: &mut crate::position::Position,
    ) {
        for order in self.orders_of(account).filter(|order| order.combined) {
            let combination = self.contract(order.terms.instrument);
            let legs = self.links(combination.id).legs().iter().enumerate();
            for (place, leg) in legs.filter(|(_, leg)| leg.instrument == instrument) {
                let side = order.terms.side;
                let hold = self.leg_hold(account, combination, place, side, order.price);
                let hold = hold.for_lots(order.open);
                position.count_open(leg_side(side, *leg), false, order.open, hold);
            }
        }
    }
}

/// Rank 8: what a combination does not take (COMBO-06).
pub(super) fn check_supported(order: &OrderTerms) -> Result<(), Problem> {
    let field = if order.trigger.is_some() {
        Field::Trigger
    } else if matches!(order.pricing, Pricing::Peg(_)) {
        Field::OrderType
    } else if order.time_in_force == TimeInForce::AtAuction {
        Field::TimeInForce
    } else if order.reduce_only {
        Field::ReduceOnly
    } else {
        return Ok(());
    };
    Err(Problem::about(Reason::UnsupportedCombination, field))
}
