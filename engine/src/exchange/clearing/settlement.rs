//! The daily cycle of forwards: variation at the mark while they trade, and day after day of the window
//! settled at its fixing once they are in delivery (MONEY-10, SETTLE-01 to SETTLE-04).

use crate::{
    command::{FixingKind, SubmitFixing},
    event::{ClearingEvent, DaySettled, Event, PostingKind},
    exchange::Exchange,
    ids::{AccountId, IndexId, InstrumentId, house},
    instrument::{Instrument, Kind, TradingState, Window},
    ledger::About,
    position::Position,
    reason::{Field, Problem, Reason},
    units::{DAY, Decimal, Lots, Minor, Nanos, TickLots, TickValue, div_half_even},
};

/// How a day of a contract settles.
struct Day {
    /// Of the part that the day settles.
    slice: TickValue,
    /// Of what is left behind it.
    rest: TickValue,
    /// Where what is left begins.
    until: Nanos,
    /// The fixing in ticks, as a fraction: a fixing has three decimals more than a tick.
    fixing: (i128, i128),
}

impl Exchange {
    /// The window of a forward begins: from now on its days settle.
    pub(in crate::exchange) fn begin_window(&mut self, id: InstrumentId, out: &mut Vec<Event>) {
        self.set_state(id, TradingState::InDelivery, Reason::Schedule, out);
    }

    /// Whether a daily value's day can be settled: it is over, and every contract in delivery has come
    /// exactly to its beginning. A day is never left out; an oracle that was down begins where it stopped.
    pub(in crate::exchange) fn check_day(&self, fixing: &SubmitFixing) -> Result<(), Problem> {
        if fixing.day == Nanos::ZERO {
            return Ok(());
        }
        let about = Problem::about(Reason::InvalidField, Field::Window);
        let day = fixing.day.0;
        if fixing.kind != FixingKind::Daily || day < 0 || day % DAY != 0 {
            return Err(about);
        }
        if day > self.at.0 - DAY {
            let (limit, reason) = (self.at.0 - DAY, Reason::InvalidField);
            return Err(Problem::limit(reason, Field::Window, limit, day));
        }
        let waits = |contract: &&Instrument| {
            contract.terms.index == fixing.index
                && contract.state == TradingState::InDelivery
                && contract.settled_until < fixing.day
        };
        if let Some(contract) = self.instruments.iter().find(waits) {
            let (limit, reason) = (contract.settled_until.0, Reason::InvalidField);
            return Err(Problem::limit(reason, Field::Window, limit, day));
        }
        let in_delivery = |contract: &&Instrument| {
            contract.terms.index == fixing.index && contract.state == TradingState::InDelivery
        };
        let fits = |contract: &Instrument| in_ticks(fixing.value, contract).is_some();
        let fine = self.is_settleable(fixing.index, fixing.value);
        if !fine || !self.instruments.iter().filter(in_delivery).all(fits) {
            return Err(Problem::about(Reason::InvalidField, Field::Value));
        }
        Ok(())
    }

    /// After the marks moved: pays every forward position's result since the last daily fixing, and the
    /// day itself where the contract is in delivery.
    pub(in crate::exchange) fn settle_day(
        &mut self,
        id: InstrumentId,
        fixing: &SubmitFixing,
        out: &mut Vec<Event>,
    ) {
        let contract = self.contract(id);
        if contract.terms.kind != Kind::Forward || contract.state == TradingState::Settled {
            return;
        }
        let day = self.day_of(contract, fixing);
        self.pay_all(id, day.as_ref().map(|day| (day, fixing)), out);
        let Some(day) = day else { return };
        let contract = self.contract_mut(id);
        contract.settled_until = day.until;
        contract.tick_value = day.rest;
        let mark = contract.mark;
        contract.mark_at(mark);
        let over = day.until >= contract.terms.window.end;
        self.revalue(id);
        if over {
            self.recount_open_interest(id);
            self.set_state(id, TradingState::Settled, Reason::Schedule, out);
        }
    }

    /// Variation between two fixings, of everybody in a contract: a default is being wound up.
    pub(super) fn settle_at_mark(&mut self, id: InstrumentId, out: &mut Vec<Event>) {
        self.pay_all(id, None, out);
    }

    /// Pays every account with a position, in order of account; the two sums are brought to zero.
    fn pay_all(
        &mut self,
        id: InstrumentId,
        day: Option<(&Day, &SubmitFixing)>,
        out: &mut Vec<Event>,
    ) {
        let mut accounts: Vec<AccountId> = self
            .positions
            .in_instrument(id)
            .map(|p| p.account)
            .collect();
        accounts.sort_unstable();
        let mut sums = [Minor::ZERO; 2];
        for account in accounts {
            let paid = self.pay_account(account, id, day, out);
            sums[0] += paid[0];
            sums[1] += paid[1];
        }
        // What rounding leaves, so that the postings of one contract sum to zero.
        for sum in sums {
            self.pay_out(house::ROUNDING, id, -sum, PostingKind::Rounding, out);
        }
    }

    /// What a daily fixing settles of a contract, if it is one of its days.
    fn day_of(&self, contract: &Instrument, fixing: &SubmitFixing) -> Option<Day> {
        let after = fixing.day.after(DAY);
        let window = contract.terms.window;
        let is_next = fixing.day != Nanos::ZERO
            && contract.state == TradingState::InDelivery
            && (contract.settled_until.0 / DAY) * DAY == fixing.day.0;
        if !is_next {
            return None;
        }
        let until = after.min(window.end);
        Some(Day {
            slice: self.tick_value_of(contract, contract.settled_until, until)?,
            rest: self.tick_value_of(contract, until, window.end)?,
            until,
            fixing: in_ticks(fixing.value, contract)?,
        })
    }

    /// Of a part of the window; nothing of an empty one.
    fn tick_value_of(&self, contract: &Instrument, start: Nanos, end: Nanos) -> Option<TickValue> {
        if start >= end {
            return Some(TickValue::NOTHING);
        }
        let terms = &contract.terms;
        let commodity = self.commodities.get(terms.commodity.index()?)?;
        let asset = self.assets.get(terms.price_asset.index()?)?;
        terms
            .tick_value_over(Window { start, end }, commodity, asset)
            .ok()
    }

    /// Pays one account; answers with what it got for the day and as variation.
    fn pay_account(
        &mut self,
        account: AccountId,
        id: InstrumentId,
        day: Option<(&Day, &SubmitFixing)>,
        out: &mut Vec<Event>,
    ) -> [Minor; 2] {
        let (mark, tick_value) = {
            let contract = self.contract(id);
            (contract.mark, contract.tick_value)
        };
        let position = self.positions.change(account, id);
        let held = position.net;
        let unsettled = position.realised + mark.times(held) - position.cost;
        let paid = match day {
            None => [Minor::ZERO, tick_value.money(unsettled)],
            Some((day, _)) => [day.money(position), day.rest.money(unsettled)],
        };
        position.settled += paid[0] + paid[1];
        position.realised = TickLots::ZERO;
        let over = day.is_some_and(|(day, _)| day.rest == TickValue::NOTHING);
        position.net = if over { Lots::ZERO } else { held };
        position.cost = mark.times(position.net);
        self.pay_out(account, id, paid[0], PostingKind::FinalSettlement, out);
        self.pay_out(account, id, paid[1], PostingKind::Variation, out);
        if let Some((_, fixing)) = day
            && (held != Lots::ZERO || paid != [Minor::ZERO; 2])
        {
            self.settlements += 1;
            out.push(Event::Clearing(ClearingEvent::DaySettled(DaySettled {
                settlement: self.settlements,
                account,
                instrument: id,
                day: fixing.day,
                net: held,
                fixing: fixing.value,
                round: fixing.round,
                paid: paid[0],
                variation: paid[1],
            })));
        }
        self.rehold(account, id);
        paid
    }

    fn pay_out(
        &mut self,
        account: AccountId,
        id: InstrumentId,
        delta: Minor,
        kind: PostingKind,
        out: &mut Vec<Event>,
    ) {
        let asset = self.contract(id).terms.price_asset;
        let about = About {
            instrument: id,
            ..About::default()
        };
        self.ledger.post(out, (account, asset), delta, kind, about);
    }
}

impl Day {
    /// What the day pays a position: (fixing - cost) x lots, rounded once, half to even.
    fn money(&self, position: &Position) -> Minor {
        let (top, bottom) = self.fixing;
        let known = (position.realised - position.cost).0 * bottom;
        let exposure = known + top * i128::from(position.net.0);
        self.slice.money_of_fraction(exposure, bottom)
    }
}

/// Parts of a tick that a fixing counts in: what money can hold then stays inside 127 bits on the way.
const FINEST: i128 = 1_000_000;

/// An index value in ticks of a contract, as a fraction, in millionths of a tick at the finest, half to
/// even (what is published needs no rounding here, SETTLE-04); none if it is too large to reckon with.
fn in_ticks(value: Decimal, contract: &Instrument) -> Option<(i128, i128)> {
    let (top, bottom) = value.over(contract.terms.tick_size)?;
    if (1..=FINEST).contains(&bottom) {
        return Some((top, bottom));
    }
    let top = top.checked_mul(FINEST)?;
    Some((div_half_even(top, bottom), FINEST))
}

impl Exchange {
    /// The first UTC day since 1970 that a forward on the index still has to settle, begun or not.
    pub(in crate::exchange) fn first_day_needed(&self, index: IndexId) -> Option<i64> {
        let waits = self.instruments.iter().filter(|contract| {
            contract.terms.index == index
                && contract.terms.kind == Kind::Forward
                && contract.terms.cascade.is_empty()
                && contract.state != TradingState::Settled
        });
        waits
            .map(|contract| contract.settled_until.0.div_euclid(DAY))
            .min()
    }

    /// A day's value as it can be settled: to a millionth of a tick of every forward on the index, half to
    /// even (INDEX-06).
    pub(in crate::exchange) fn settleable(&self, index: IndexId, value: Decimal) -> Decimal {
        let forwards = self.instruments.iter().filter(|contract| {
            contract.terms.index == index
                && contract.terms.kind == Kind::Forward
                && contract.state != TradingState::Settled
        });
        let finest = forwards.map(|contract| {
            let tick = contract.terms.tick_size;
            let digits = (FINEST / i128::from(tick.mantissa.max(1))).max(1).ilog10();
            tick.exponent - digits.cast_signed()
        });
        let exponent = finest.max().unwrap_or(i32::MIN).max(value.exponent);
        let unit = Decimal {
            mantissa: 1,
            exponent,
        };
        let rounded = value.ratio(unit).filter(|mantissa| *mantissa > 0);
        rounded.map_or(value, |mantissa| Decimal { mantissa, exponent })
    }

    /// Whether a value is no finer than what can be settled.
    pub(in crate::exchange) fn is_settleable(&self, index: IndexId, value: Decimal) -> bool {
        crate::exchange::marks::same_value(self.settleable(index, value), value)
    }
}
