//! What an order would do, without doing it: the same checks as the real thing.

use super::{
    Exchange,
    admission::{check_price_range, lowest_price},
    combinations::leg_side,
    margins::Sure,
};
use crate::{
    command::{Place, Pricing, Replace, Side, TimeInForce},
    ids::{AccountId, InstrumentId},
    instrument::{Instrument, Kind},
    limits,
    position::Position,
    reason::Problem,
    units::{Lots, Minor, Ppm, TickLots, Ticks},
};

/// Answer to "what if".
#[derive(Clone, Copy, Debug, Default)]
pub struct Preview {
    /// What it would add to holds or margin.
    pub required: Minor,
    /// What that is made of.
    pub parts: Parts,
    /// Estimated fee: taker rate on what would fill at once, maker rate on the rest.
    pub fee: Minor,
    /// Largest quantity the money allows, by bisection on the same check.
    pub max_lots: Lots,
    /// Lots that would fill at once, against direct orders; implied prices are not estimated.
    pub fill_lots: Lots,
    /// What they would cost.
    pub fill_exposure: TickLots,
    /// Why it would be refused.
    pub problem: Option<Problem>,
}

/// Why an order needs what it needs: the sum of the first four, less what is covered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Its lots at the initial margin (spot: bond) in force; of a combination, in all legs.
    pub initial: Minor,
    /// Distance of its price from the mark (spot purchases: the price) and the largest fee.
    pub hold: Minor,
    /// More for what is beyond the concentration limit.
    pub concentration: Minor,
    /// Credit for an opposite maturity that it may take away (MARGIN-06).
    pub credit_lost: Minor,
    /// Held already: it closes, or the other side needs more.
    pub covered: Minor,
}

impl Exchange {
    /// Every check of an order, and an estimate of what it would take. The client order id is not
    /// looked at.
    #[must_use]
    pub fn preview(&self, place: &Place) -> Preview {
        let mut preview = Preview {
            problem: self.admit(place).err(),
            ..Preview::default()
        };
        let Some(contract) = self.instrument(place.order.instrument) else {
            return preview;
        };
        let (account, side) = (place.origin.account, place.order.side);
        let price = match place.order.pricing {
            Pricing::Limit(price) => price,
            Pricing::Peg(peg) => peg.cap,
            Pricing::Market => {
                let (low, high) = contract.at_mark.band;
                if side == Side::Buy {
                    high
                } else {
                    low.max(lowest_price(contract))
                }
            }
        };
        let sane = check_price_range(contract, price).is_ok()
            && (1..=limits::ORDER_LOTS).contains(&place.order.lots.0);
        if !sane {
            return preview;
        }
        preview.required = self.need(account, contract.id, side, price, place.order.lots);
        preview.parts = self.parts(
            account,
            contract,
            (side, price, place.order.lots),
            preview.required,
        );
        let balance = self.ledger.balance(account, contract.terms.price_asset);
        let fits = |lots: i64| {
            let need = self.need(account, contract.id, side, price, Lots(lots));
            need <= Minor::ZERO || need <= balance.available()
        };
        let (mut enough, mut too_much) = (0, contract.terms.limits.max_lots + 1);
        while too_much - enough > 1 {
            let middle = enough + (too_much - enough) / 2;
            *(if fits(middle) {
                &mut enough
            } else {
                &mut too_much
            }) = middle;
        }
        preview.max_lots = Lots(enough);
        // In a call nothing fills at once.
        let calls = super::states::is_call(contract.state);
        let waits = calls || place.order.time_in_force == TimeInForce::AtAuction;
        if let Some(book) = self.book(contract.id).filter(|_| !waits) {
            for (level_price, level) in book.levels(side.opposite()) {
                if !side.accepts(price, level_price) || preview.fill_lots >= place.order.lots {
                    break;
                }
                let lots = Lots(level.lots).min(place.order.lots - preview.fill_lots);
                preview.fill_lots += lots;
                preview.fill_exposure += level_price.times(lots);
            }
        }
        let rest = place.order.lots - preview.fill_lots;
        let rate = |taker: bool| {
            self.account(account).map_or(Ppm(0), |row| match taker {
                true => row.taker_fee(contract.terms.taker_fee),
                false => row.maker_fee(contract.terms.maker_fee),
            })
        };
        let value = contract.tick_value;
        preview.fee = if contract.terms.kind.is_combination() {
            // By the legs' values; what would fill is estimated at the order's own price.
            let worth = |lots| Minor(self.worth(contract, price, lots));
            rate(true).of(worth(preview.fill_lots)) + rate(false).of(worth(rest))
        } else {
            rate(true).of(value.money(preview.fill_exposure))
                + rate(false).of(value.money(price.times(rest)))
        };
        preview
    }

    /// What an order would add to the requirement of its position.
    fn need(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        side: Side,
        price: Ticks,
        lots: Lots,
    ) -> Minor {
        let Some(contract) = self.instrument(instrument) else {
            return Minor::ZERO;
        };
        if contract.terms.kind.is_combination() {
            let need = self.need_of_legs(account, contract, (side, price, lots), None);
            // Beyond a leg's position limit no money helps.
            return need.unwrap_or(Minor(i64::MAX / 2));
        }
        let before = self.positions.view(account, instrument);
        let mut after = before;
        let hold_lot = self.hold_lot(account, contract, side, price);
        after.count_open(side, false, lots, hold_lot.for_lots(lots));
        self.more_margin(contract, &before, &after)
    }

    /// What an order's need is made of.
    fn parts(
        &self,
        account: AccountId,
        contract: &Instrument,
        (side, price, lots): (Side, Ticks, Lots),
        required: Minor,
    ) -> Parts {
        let mut parts = Parts::default();
        let mut sure = Sure::default();
        let mut add = |contract: &Instrument, side: Side, hold_lot: Minor, spread: bool| {
            let one_lot = match (contract.terms.kind, side) {
                (Kind::SpotBlock, Side::Buy) => Minor::ZERO,
                (Kind::SpotBlock, Side::Sell) => contract.at_mark.bond,
                (_, Side::Buy) => contract.at_mark.initial_buy,
                (_, Side::Sell) => contract.at_mark.initial_sell,
            };
            parts.initial += one_lot.for_lots(lots);
            parts.hold += hold_lot.for_lots(lots);
            let before = self.positions.view(account, contract.id);
            let mut after = before;
            after.count_open(side, false, lots, Minor::ZERO);
            if spread {
                after.count_spread(side, lots);
            }
            sure.note(contract, &before, &after);
            let worst = |position: &Position| match side {
                Side::Buy => position.net + position.open_buy,
                Side::Sell => position.open_sell - position.net,
            };
            let more = contract.surcharge(worst(&after)) - contract.surcharge(worst(&before));
            parts.concentration += more;
        };
        if contract.terms.kind.is_combination() {
            let spread = contract.terms.kind == Kind::CalendarSpread;
            for (place, leg) in contract.terms.legs.iter().enumerate() {
                let hold = self.leg_hold(account, contract, place, side, price);
                add(
                    self.contract(leg.instrument),
                    leg_side(side, *leg),
                    hold,
                    spread,
                );
            }
        } else {
            let hold = self.hold_lot(account, contract, side, price);
            add(contract, side, hold, false);
        }
        parts.credit_lost = self.credit_lost(account, &sure);
        let sum = parts.initial + parts.hold + parts.concentration + parts.credit_lost;
        parts.covered = sum - required;
        parts
    }

    /// Every check of a change, without changing anything.
    ///
    /// # Errors
    /// The refusal it would meet.
    pub fn preview_replace(&self, replace: &Replace) -> Result<(), Problem> {
        self.decide_replace(replace).map(|_| ())
    }

    /// Whether terms would be listed.
    ///
    /// # Errors
    /// The refusal they would meet.
    pub fn preview_terms(
        &self,
        terms: &crate::instrument::Terms,
    ) -> Result<crate::units::TickValue, Problem> {
        self.check_terms(terms)
    }
}
