//! Values that sources sign: of metered compute, of a postponed day, in place of a wrong one (INDEX-08, INDEX-09).

use super::{PendingDay, Rounds, ValueVote, reports::place_among};
use crate::{
    command::{FixingKind, Formula, SignValue, SubmitFixing, ValueKind},
    event::{Address, Done, Event, Refused},
    exchange::{Exchange, marks},
    index::fixing::Basis,
    limits,
    reason::{Field, Problem, Reason},
    units::{DAY, Nanos},
};

impl Exchange {
    pub(in crate::exchange) fn sign_value(&mut self, word: &SignValue, out: &mut Vec<Event>) {
        match self.decide_value(word) {
            Err(problem) => {
                let to = Address::default();
                out.push(Event::Refused(Refused { to, problem }));
            }
            Ok(place) => self.take_value(word, place, out),
        }
    }

    /// Answers with the place of the source.
    fn decide_value(&self, word: &SignValue) -> Result<usize, Problem> {
        let rounds = self.rounds(word.index);
        let rounds = rounds.ok_or(Problem::about(Reason::NotFound, Field::Index))?;
        let place = place_among(&rounds.sources, &word.public_key)?;
        let by = u8::try_from(place).unwrap_or(u8::MAX);
        let said = rounds.votes.iter().find(|vote| {
            (vote.kind, vote.round) == (word.kind, word.round) && vote.by.contains(&by)
        });
        if let Some(said) = said {
            return match marks::same_value(said.value, word.value) {
                true => Ok(place),
                false => Err(Problem::about(Reason::ObservationConflict, Field::Round)),
            };
        }
        if word.kind == ValueKind::Restatement || rounds.computes() {
            return self.decide_day(rounds, word).map(|()| place);
        }
        let pending = rounds.pending.iter().find(|day| day.day == word.round);
        let other = pending.and_then(|day| day.value).is_some_and(|(value, _)| {
            word.kind == ValueKind::Daily && !marks::same_value(value, word.value)
        });
        if other {
            return Err(Problem::about(Reason::ObservationConflict, Field::Round));
        }
        // What the unsigned way asks, round by round.
        let asked = self.decide_fixing(&word.unsigned());
        asked.map(|_| place)
    }

    /// Days that have not settled: postponed ones get a value, others another one (INDEX-08).
    fn decide_day(&self, rounds: &Rounds, word: &SignValue) -> Result<(), Problem> {
        if word.kind == ValueKind::Indicative {
            return Err(Problem::about(Reason::UnsupportedCombination, Field::Index));
        }
        if word.value.mantissa <= 0
            || !(-18..=18).contains(&word.value.exponent)
            || !self.is_credible(word.index, word.value)
            || !self.is_settleable(word.index, word.value)
        {
            let actual = word.value.mantissa;
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Value,
                1,
                actual,
            ));
        }
        if word.round <= rounds.settled {
            let wide = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let (limit, actual) = (wide(rounds.settled) + 1, wide(word.round));
            return Err(Problem::limit(
                Reason::IllegalTransition,
                Field::Round,
                limit,
                actual,
            ));
        }
        let pending = rounds.pending.iter().find(|day| day.day == word.round);
        let pending = pending.ok_or(Problem::about(Reason::NotFound, Field::Round))?;
        let fits = match word.kind {
            ValueKind::Restatement => pending.value.is_some(),
            _ => pending.value.is_none_or(|(value, basis)| {
                basis == Basis::Agreed && marks::same_value(value, word.value)
            }),
        };
        if fits {
            return Ok(());
        }
        Err(Problem::about(Reason::IllegalTransition, Field::Round))
    }

    fn take_value(&mut self, word: &SignValue, place: usize, out: &mut Vec<Event>) {
        let (at, seq) = (self.at, self.seq);
        let needed_day = self.first_day_needed(word.index).unwrap_or(i64::MAX);
        let Some(rounds) = self.oracle.rounds.get_mut(&word.index) else {
            return;
        };
        let (agreeing, repeat) = rounds.vote(word, place, seq);
        let needed = rounds.method.as_ref().map_or(1, |method| method.agreeing);
        let computes = rounds.computes();
        let done = Done {
            object: word.round,
            count: agreeing.into(),
            cancelled: 0,
            first_seq: repeat.unwrap_or(0),
        };
        // Exactly now: whoever agrees later changes nothing.
        if repeat.is_none() && agreeing == needed {
            let day = rounds.agree_day(word.round, word.value, at);
            if word.kind == ValueKind::Restatement || computes {
                if let Some(day) = day {
                    rounds.propose(word.index, day, needed_day, at, out);
                }
                self.plan_settlement(word.index);
            } else if word.kind == ValueKind::Daily && rounds.wait() > 0 {
                let day = PendingDay {
                    day: word.round,
                    value: Some((word.value, Basis::Agreed)),
                    settles: at.after(rounds.wait()),
                    valid: 0,
                };
                rounds.propose(word.index, day, needed_day, at, out);
                self.plan_settlement(word.index);
            } else {
                if word.kind == ValueKind::Daily {
                    rounds.settled = word.round;
                }
                self.fix(&word.unsigned(), out);
            }
        }
        out.push(Event::Done(done));
    }
}

impl Rounds {
    /// Whether the exchange makes the values itself.
    fn computes(&self) -> bool {
        let method = self.method.as_ref();
        method.is_some_and(|method| method.formula != Formula::Submitted)
    }

    /// Notes a source's word: how many with weight agree now, and the position of the first, if this one had
    /// said so before.
    fn vote(&mut self, word: &SignValue, place: usize, seq: u64) -> (u8, Option<u64>) {
        let by = u8::try_from(place).unwrap_or(u8::MAX);
        let at = self.votes.iter().position(|vote| {
            (vote.kind, vote.round) == (word.kind, word.round)
                && marks::same_value(vote.value, word.value)
        });
        let at = at.unwrap_or_else(|| {
            if self.votes.len() >= limits::VALUES_REMEMBERED {
                self.votes.remove(0);
            }
            self.votes.push(ValueVote {
                kind: word.kind,
                round: word.round,
                value: word.value,
                by: Vec::new(),
                seq,
            });
            self.votes.len() - 1
        });
        let sources = &self.sources;
        let vote = &mut self.votes[at];
        let repeat = vote.by.contains(&by).then_some(vote.seq);
        if repeat.is_none() {
            vote.by.push(by);
        }
        let counts = |by: &&u8| {
            let source = sources.get(usize::from(**by));
            source.is_some_and(|source| source.details.active && source.details.weight > 0)
        };
        let agreeing = vote.by.iter().filter(counts).count();
        (u8::try_from(agreeing).unwrap_or(u8::MAX), repeat)
    }
}

/// The UTC day of a daily round, which is the number of days since 1970 (INDEX-07).
pub(super) fn day_of(kind: FixingKind, round: u64) -> Nanos {
    let day = i64::try_from(round).unwrap_or(0).saturating_mul(DAY);
    match kind {
        FixingKind::Daily if day < i64::MAX => Nanos(day),
        _ => Nanos::ZERO,
    }
}

impl SignValue {
    /// As it goes on once enough have signed it.
    fn unsigned(&self) -> SubmitFixing {
        let kind = match self.kind {
            ValueKind::Indicative => FixingKind::Indicative,
            ValueKind::Daily | ValueKind::Restatement => FixingKind::Daily,
        };
        SubmitFixing {
            index: self.index,
            kind,
            round: self.round,
            value: self.value,
            day: day_of(kind, self.round),
            key_id: "signed".into(),
        }
    }
}
