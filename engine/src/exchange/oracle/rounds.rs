//! Samples, days, settlement (INDEX-05 to INDEX-08).

use super::{PendingDay, Rounds};
use crate::{
    command::{FixingKind, Formula, SubmitFixing},
    event::{Event, Quality, QualityChange, Round, RoundKind},
    exchange::{Exchange, marks, timers::Timer},
    ids::IndexId,
    index::fixing::{Basis, SAMPLE},
    limits,
    units::{DAY, Decimal, MILLISECOND, Nanos},
};

/// Who submits what the exchange computes.
const CORE: &str = "core";

impl Exchange {
    /// A sample is due; after a pause those in between are missed (INDEX-05).
    pub(in crate::exchange) fn sample(&mut self, id: IndexId, due: Nanos, out: &mut Vec<Event>) {
        let Some(method) = self.rounds(id).and_then(|rounds| rounds.method.clone()) else {
            return;
        };
        if method.formula == Formula::Submitted {
            return;
        }
        let step = self.at.0.div_euclid(SAMPLE);
        let next = Nanos((step + 1) * SAMPLE);
        self.timers.set(next, Timer::Sample(id));
        // The step that time is in now; `due` is an earlier one if the exchange stood still.
        let began = Nanos(step * SAMPLE);
        self.close_days(id, began.0.div_euclid(DAY), out);
        let sampled = self.value_now(&method);
        // Late by more than the step: what sources say now was not so then.
        let punctual = began == due || self.at.0 - began.0 < SAMPLE / 3;
        let value = sampled
            .value
            .filter(|value| punctual && self.is_credible(id, *value));
        let before = self.indexes[id.index().unwrap_or(usize::MAX)].value;
        let at = self.at;
        let Some(rounds) = self.oracle.rounds.get_mut(&id) else {
            return;
        };
        let was = rounds.quality;
        let quality = rounds.judge(value.is_some(), sampled.whole, at, method.halt_after_ms);
        if let Some(value) = value {
            let place = (began.0.rem_euclid(DAY) / SAMPLE).unsigned_abs();
            rounds
                .samples
                .take(u32::try_from(place).unwrap_or(0), value.mantissa);
        }
        let published = value.filter(|_| quality != Quality::Halted);
        let round = Round {
            index: id,
            kind: RoundKind::Sample,
            number: step.unsigned_abs(),
            at,
            value: published,
            quality,
            version: method.version,
            valid: rounds.samples.count(),
            basis: None,
            settles: Nanos::ZERO,
            inputs: sampled.inputs,
        };
        keep(
            &mut rounds.samples_kept,
            round.clone(),
            limits::SAMPLES_KEPT,
        );
        out.push(Event::Round(Box::new(round)));
        if was != quality {
            let change = QualityChange { index: id, quality };
            out.push(Event::Quality(change));
        }
        if let Some(value) = published
            && before.is_none_or(|before| !marks::same_value(before, value))
        {
            self.fix(
                &by_core(id, FixingKind::Indicative, step.unsigned_abs(), value),
                out,
            );
        }
        match (was == Quality::Halted, quality == Quality::Halted) {
            (false, true) => self.halt_contracts(id, out),
            (true, false) => self.resume_contracts(id, out),
            _ => {}
        }
    }

    /// Whether contracts can be marked at it, and it lies within a factor of ten of the newest value.
    pub(super) fn is_credible(&self, id: IndexId, value: Decimal) -> bool {
        let index = id.index().and_then(|at| self.indexes.get(at));
        let near = index.is_some_and(|index| {
            let before = index.value;
            before.is_none_or(|before| marks::within_reach(before, value))
        });
        near && self.instruments.iter().all(|contract| {
            contract.terms.index != id
                || value
                    .ratio(contract.terms.tick_size)
                    .is_some_and(|ticks| ticks <= limits::MARK_TICKS)
        })
    }

    /// Days before this one are over: each gets its value, or waits for one (INDEX-06).
    fn close_days(&mut self, id: IndexId, today: i64, out: &mut Vec<Event>) {
        let at = self.at;
        if self.rounds(id).is_none_or(|rounds| rounds.day >= today) {
            return;
        }
        let needed = self.first_day_needed(id).unwrap_or(today);
        let exponent = |rounds: &Rounds| rounds.method.as_ref().map_or(0, |method| method.exponent);
        let closing = self.rounds(id).and_then(|rounds| {
            let (mantissa, basis) = rounds.samples.close()?;
            let exponent = exponent(rounds);
            Some((Decimal { mantissa, exponent }, basis))
        });
        // Only the first of them has samples.
        let mut closing = closing.map(|(value, basis)| (self.settleable(id, value), basis));
        let Some(rounds) = self.oracle.rounds.get_mut(&id) else {
            return;
        };
        // Whoever was away longer than the list is long begins it anew, but with no day left out that a
        // contract has to settle.
        let oldest = today - i64::try_from(limits::DAYS_PENDING).unwrap_or(0);
        let oldest = oldest.min(needed);
        while rounds.day < today {
            let day = rounds.day.max(oldest);
            let samples = std::mem::take(&mut rounds.samples);
            let value = closing.take().filter(|_| day == rounds.day);
            rounds.day = day + 1;
            let settles = at.after(rounds.wait());
            let pending = PendingDay {
                day: day.unsigned_abs(),
                value,
                settles,
                valid: samples.count(),
            };
            rounds.propose(id, pending, needed, at, out);
        }
        self.plan_settlement(id);
    }

    /// Sets the timer of the oldest day, if it has a value.
    pub(super) fn plan_settlement(&mut self, id: IndexId) {
        let oldest = self.rounds(id).and_then(|rounds| rounds.pending.front());
        if let Some(day) = oldest.filter(|day| day.value.is_some()) {
            let settles = day.settles.max(self.at);
            self.timers.set(settles, Timer::SettleDay(id));
        }
    }

    /// Settles what is due, oldest day first; none overtakes one that was postponed (INDEX-07).
    pub(in crate::exchange) fn settle_days(&mut self, id: IndexId, out: &mut Vec<Event>) {
        let at = self.at;
        while let Some(rounds) = self.oracle.rounds.get_mut(&id) {
            let due = |day: &PendingDay| day.value.is_some() && day.settles <= at;
            if !rounds.pending.front().is_some_and(due) {
                break;
            }
            let Some(day) = rounds.pending.pop_front() else {
                break;
            };
            rounds.settled = day.day;
            if let Some((value, _)) = day.value {
                self.fix(&by_core(id, FixingKind::Daily, day.day, value), out);
            }
        }
        self.plan_settlement(id);
    }
}

impl Rounds {
    /// Nanoseconds between a day's value and its settlement.
    pub(super) fn wait(&self) -> i64 {
        let wait = self
            .method
            .as_ref()
            .map_or(0, |method| method.settle_after_ms);
        i64::from(wait) * MILLISECOND
    }

    /// INDEX-05.
    fn judge(&mut self, valid: bool, whole: bool, at: Nanos, halt_after_ms: u32) -> Quality {
        let patience = i64::from(halt_after_ms) * MILLISECOND;
        self.quality = if valid {
            self.last_valid = at;
            self.run = self.run.saturating_add(1);
            match self.quality {
                Quality::Halted if self.run < limits::SAMPLES_TO_RESUME => Quality::Halted,
                _ if whole => Quality::Live,
                _ => Quality::Degraded,
            }
        } else {
            self.run = 0;
            match self.quality {
                Quality::Halted => Quality::Halted,
                _ if at.0 - self.last_valid.0 >= patience => Quality::Halted,
                _ => Quality::Stale,
            }
        };
        self.quality
    }

    /// A day has a value, or none yet, or another one. `needed`: the first that a contract has to settle.
    pub(super) fn propose(
        &mut self,
        id: IndexId,
        day: PendingDay,
        needed: i64,
        at: Nanos,
        out: &mut Vec<Event>,
    ) {
        let same_day = self.pending.iter_mut().find(|known| known.day == day.day);
        let kind = match (&same_day, day.value) {
            (_, None) => RoundKind::Postponed,
            (Some(known), Some(_)) if known.value.is_some() => RoundKind::Restated,
            _ => RoundKind::Daily,
        };
        match same_day {
            Some(known) => *known = day,
            None => {
                // A day that a contract has to settle waits for as long as it takes.
                let idle = |day: &PendingDay| day.day < needed.unsigned_abs();
                if self.pending.len() >= limits::DAYS_PENDING
                    && self.pending.front().is_some_and(idle)
                {
                    self.pending.pop_front();
                }
                self.pending.push_back(day);
            }
        }
        let round = Round {
            index: id,
            kind,
            number: day.day,
            at,
            value: day.value.map(|(value, _)| value),
            quality: self.quality,
            version: self.version(),
            valid: day.valid,
            basis: day.value.map(|(_, basis)| basis),
            settles: day.settles,
            inputs: Vec::new(),
        };
        keep(&mut self.days_kept, round.clone(), limits::DAYS_KEPT);
        out.push(Event::Round(Box::new(round)));
    }

    /// Gives a waiting day the value that sources agreed on.
    pub(super) fn agree_day(&mut self, day: u64, value: Decimal, at: Nanos) -> Option<PendingDay> {
        let known = self.pending.iter().find(|known| known.day == day)?;
        let settles = known.settles.max(at.after(self.wait()));
        Some(PendingDay {
            value: Some((value, Basis::Agreed)),
            settles,
            ..*known
        })
    }
}

fn by_core(index: IndexId, kind: FixingKind, round: u64, value: Decimal) -> SubmitFixing {
    SubmitFixing {
        index,
        kind,
        round,
        value,
        day: super::values::day_of(kind, round),
        key_id: CORE.into(),
    }
}

fn keep(list: &mut std::collections::VecDeque<Round>, round: Round, most: usize) {
    if list.len() >= most {
        list.pop_front();
    }
    list.push_back(round);
}
