//! Index values move marks; a daily fixing also pays the day's result (MARK, MONEY-10).

use super::{Exchange, clearing::leash};
use crate::{
    command::{FixingKind, Side, SubmitFixing},
    event::{Address, Done, Event, IndexChange, Refused},
    ids::{IndexId, InstrumentId},
    instrument::{Instrument, Kind},
    limits,
    reason::{Field, Problem, Reason},
    units::{Decimal, Minor, PPM, Ticks, div_half_even},
};

impl Exchange {
    /// An index value arrives; write-once per round.
    pub(super) fn submit_fixing(&mut self, fixing: &SubmitFixing, out: &mut Vec<Event>) {
        let unsigned = self.check_unsigned(fixing.index);
        match unsigned.and_then(|()| self.decide_fixing(fixing)) {
            Err(problem) => {
                let to = Address::default();
                out.push(Event::Refused(Refused { to, problem }));
            }
            Ok(Some(first_seq)) => out.push(Event::Done(answer(fixing, first_seq))),
            Ok(None) => {
                self.fix(fixing, out);
                out.push(Event::Done(answer(fixing, 0)));
            }
        }
    }

    /// `Some` = the same value was taken before, at that position.
    pub(super) fn decide_fixing(&self, fixing: &SubmitFixing) -> Result<Option<u64>, Problem> {
        let index = fixing.index.index().and_then(|at| self.indexes.get(at));
        let index = index.ok_or(Problem::about(Reason::NotFound, Field::Index))?;
        if fixing.round == 0 {
            return Err(Problem::about(Reason::InvalidField, Field::Round));
        }
        let value = fixing.value;
        let fits = value.mantissa > 0 && (-18..=18).contains(&value.exponent);
        let in_range = self.instruments.iter().all(|contract| {
            contract.terms.index != fixing.index
                || value
                    .ratio(contract.terms.tick_size)
                    .is_some_and(|ticks| ticks <= limits::MARK_TICKS)
        });
        if !fits || !in_range {
            let actual = value.mantissa;
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Value,
                1,
                actual,
            ));
        }
        match index.rounds[slot(fixing.kind)] {
            Some((round, known, seq)) if round == fixing.round => {
                if same_value(known, value) {
                    return Ok(Some(seq));
                }
                Err(Problem::about(Reason::ObservationConflict, Field::Round))
            }
            Some((round, _, _)) if round > fixing.round => {
                let (limit, actual) = (wide(round), wide(fixing.round));
                Err(Problem::limit(
                    Reason::StaleObservation,
                    Field::Round,
                    limit,
                    actual,
                ))
            }
            _ => match index.value {
                Some(known) if !within_reach(known, value) => {
                    let (limit, actual) = (known.mantissa, value.mantissa);
                    Err(Problem::limit(
                        Reason::InvalidField,
                        Field::Value,
                        limit,
                        actual,
                    ))
                }
                _ => self.check_day(fixing).map(|()| None),
            },
        }
    }

    pub(super) fn fix(&mut self, fixing: &SubmitFixing, out: &mut Vec<Event>) {
        let (at, seq) = (self.at, self.seq);
        let index = &mut self.indexes[fixing.index.index().unwrap_or(usize::MAX)];
        let before = index.value.replace(fixing.value);
        index.rounds[slot(fixing.kind)] = Some((fixing.round, fixing.value, seq));
        index.at = at;
        out.push(Event::Index(IndexChange {
            index: fixing.index,
            round: fixing.round,
            value: fixing.value,
            fixing: fixing.kind == FixingKind::Daily,
        }));
        self.lift_combinations(fixing.index);
        for id in self.contracts_on(fixing.index) {
            let contract = self.contract(id);
            if contract.terms.kind.is_combination() {
                // Listed after its legs, so their marks have moved.
                self.follow_legs(id);
            } else if contract.is_marked(self.at) {
                let mark = self.new_mark(contract, before, fixing.value);
                let contract = self.contract_mut(id);
                contract.mark_at(mark);
                let idle = contract.statistics.open_interest == 0;
                if idle || contract.anchor.is_none() || fixing.kind == FixingKind::Daily {
                    contract.anchor = Some((mark, fixing.value));
                }
                self.stir(id);
                self.touched_statistics.push(id);
                self.revalue(id);
            }
            if fixing.kind == FixingKind::Daily {
                let contract = self.contract_mut(id);
                contract.statistics.settlement = Some(contract.mark);
                self.settle_day(id, fixing, out);
            }
        }
        self.check_margins(fixing.index, out);
    }

    pub(super) fn contracts_on(&self, index: IndexId) -> Vec<InstrumentId> {
        self.instruments
            .iter()
            .filter(|contract| contract.terms.index == index)
            .map(|contract| contract.id)
            .collect()
    }

    /// MARK-02.
    fn new_mark(&self, contract: &Instrument, before: Option<Decimal>, now: Decimal) -> Ticks {
        let index = Ticks(
            now.ratio(contract.terms.tick_size)
                .unwrap_or(contract.mark.0)
                .max(1),
        );
        if contract.terms.kind == Kind::SpotBlock {
            return index;
        }
        let model = before.map_or(index, |before| moved_with_index(contract.mark, before, now));
        // A book may pull the mark only a tenth of a band a fixing, and no further than the leash.
        let pulled = self.firm_mid(contract).map_or(model, |mid| {
            let (low, high) = contract.terms.band(model);
            let pull = Ticks((high.0 - low.0) / 20);
            mid.clamp(model - pull, model + pull)
        });
        let (low, high) = on_a_leash(contract, now);
        pulled.clamp(low, high).max(Ticks(1))
    }

    /// The mid of a book with enough on both sides to be meant, rounded half to even.
    fn firm_mid(&self, contract: &Instrument) -> Option<Ticks> {
        let book = self.book(contract.id)?;
        let enough = limits::MARK_LOTS.saturating_mul(contract.terms.limits.min_lots);
        let firm = |side| {
            let price = book.best(side)?;
            (book.level(side, price)?.lots >= enough).then_some(price)
        };
        let (bid, ask) = (firm(Side::Buy)?, firm(Side::Sell)?);
        // In a call nobody has to trade with anybody yet.
        if bid >= ask {
            return None;
        }
        let mid = div_half_even(i128::from(bid.0) + i128::from(ask.0), 2);
        i64::try_from(mid).ok().map(Ticks)
    }

    /// The mark moved: holds of resting orders, then requirements and results of positions.
    pub(super) fn revalue(&mut self, id: InstrumentId) {
        let book = &self.books[id.index().unwrap_or(usize::MAX)];
        let slots: Vec<u32> = book
            .queue(Side::Buy, &self.orders)
            .chain(book.queue(Side::Sell, &self.orders))
            .chain(self.waiting_in(id))
            .collect();
        for slot in slots {
            let order = self.orders.at(slot);
            let (account, terms, open) = (order.account, order.terms, order.open);
            let price = order.hold_price();
            let hold_lot = self.hold_lot(account, self.contract(id), terms.side, price);
            let more = hold_lot.for_lots(open) - order.hold_lot.for_lots(open);
            if more != Minor::ZERO {
                self.orders.at_mut(slot).hold_lot = hold_lot;
                let position = self.positions.change(account, id);
                position.count_open(terms.side, false, crate::units::Lots::ZERO, more);
            }
        }
        let accounts: Vec<_> = self
            .positions
            .in_instrument(id)
            .map(|p| p.account)
            .collect();
        for account in accounts {
            self.rehold(account, id);
        }
    }
}

/// Whether two decimals are one number: 105 is 105.0.
pub(super) fn same_value(one: Decimal, other: Decimal) -> bool {
    let fine = Decimal {
        mantissa: 1,
        exponent: one.exponent.min(other.exponent),
    };
    let scaled = one.ratio(fine).zip(other.ratio(fine));
    scaled.is_some_and(|(one, other)| one == other)
}

/// Whether a value lies within a factor of ten of the one before: no price is better than a wrong one.
pub(super) fn within_reach(before: Decimal, now: Decimal) -> bool {
    let fine = Decimal {
        mantissa: 1,
        exponent: now.exponent.min(before.exponent),
    };
    before
        .ratio(fine)
        .zip(now.ratio(fine))
        .is_some_and(|(before, now)| {
            let (before, now) = (i128::from(before), i128::from(now));
            now <= before * 10 && now * 10 >= before
        })
}

/// Between which marks a book may take a forward until the next daily fixing (MARK-05). A mark that did
/// not follow the index is as good as one that did: the book says which.
fn on_a_leash(contract: &Instrument, now: Decimal) -> (Ticks, Ticks) {
    let held = contract.statistics.open_interest != 0;
    let Some((anchor, then)) = contract.anchor.filter(|_| held) else {
        return (Ticks(1), Ticks(limits::MARK_TICKS));
    };
    let moved = moved_with_index(anchor, then, now);
    let margin = &contract.terms.margin;
    let initial = margin.initial_buy.0.min(margin.initial_sell.0);
    let share = leash(initial, margin.maintenance_of_initial.0);
    let away = |mark: Ticks| {
        let exact = i128::from(mark.0) * share / PPM;
        Ticks(i64::try_from(exact).unwrap_or(0))
    };
    let (low, high) = (anchor.min(moved), anchor.max(moved));
    (
        low - away(low),
        (high + away(high)).min(Ticks(limits::MARK_TICKS)),
    )
}

/// A mark that keeps its ratio to the index, rounded half to even.
fn moved_with_index(mark: Ticks, before: Decimal, now: Decimal) -> Ticks {
    // Both values in one scale: the ratio of an index to itself needs no tick.
    let fine = Decimal {
        mantissa: 1,
        exponent: now.exponent.min(before.exponent),
    };
    let moved = now
        .ratio(fine)
        .zip(before.ratio(fine))
        .and_then(|(now, before)| {
            let exact = i128::from(mark.0).checked_mul(i128::from(now))?;
            i64::try_from(div_half_even(exact, i128::from(before))).ok()
        });
    Ticks(moved.unwrap_or(mark.0).clamp(1, limits::MARK_TICKS))
}

fn slot(kind: FixingKind) -> usize {
    match kind {
        FixingKind::Indicative => 0,
        FixingKind::Daily => 1,
    }
}

fn wide(round: u64) -> i64 {
    i64::try_from(round).unwrap_or(i64::MAX)
}

fn answer(fixing: &SubmitFixing, first_seq: u64) -> Done {
    Done {
        object: fixing.round,
        count: 1,
        cancelled: 0,
        first_seq,
    }
}
