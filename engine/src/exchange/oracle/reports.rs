//! What sources saw (INDEX-03, INDEX-04).

use super::{Agreed, Feed, Seen, Word};
use crate::{
    command::{FeedKind, Observation, Report},
    event::{Address, Done, Event, Refused},
    exchange::Exchange,
    index::{price::ITSELF, work},
    limits,
    reason::{Field, Problem, Reason},
    units::{Decimal, MILLISECOND, Nanos},
};

/// What a report comes to.
enum Outcome {
    /// The same was taken before, at that position.
    Repeat(u64),
    /// From this source (its place in the feed).
    New(usize, Seen),
}

impl Exchange {
    pub(in crate::exchange) fn report(&mut self, report: &Report, out: &mut Vec<Event>) {
        let mut grown = false;
        let done = match self.decide_report(report) {
            Err(problem) => {
                let to = Address::default();
                out.push(Event::Refused(Refused { to, problem }));
                return;
            }
            Ok(Outcome::Repeat(first_seq)) => Done {
                object: report.sequence,
                count: 0,
                cancelled: 0,
                first_seq,
            },
            Ok(Outcome::New(place, said)) => {
                let (at, seq) = (self.at, self.seq);
                let mut agreeing = 1;
                let height = self.height_of(report.feed);
                if let Some(feed) = self.feed_mut(report.feed) {
                    feed.sources[place].newest = Some(Word {
                        sequence: report.sequence,
                        observed: report.observed,
                        said,
                        seq,
                    });
                    agreeing = feed.agree(said, at);
                }
                grown = self.height_of(report.feed) != height;
                Done {
                    object: report.sequence,
                    count: agreeing,
                    cancelled: 0,
                    first_seq: 0,
                }
            }
        };
        out.push(Event::Done(done));
        if grown {
            self.follow_calendar(report.feed, out);
        }
    }

    fn decide_report(&self, report: &Report) -> Result<Outcome, Problem> {
        let feed = self.feed(report.feed);
        let feed = feed.ok_or(Problem::about(Reason::NotFound, Field::Feed))?;
        let place = feed.place_of(&report.public_key)?;
        let said = seen(feed, &report.observation)?;
        check_observed(report.observed, self.at)?;
        let Some(newest) = feed.sources[place].newest else {
            return Ok(Outcome::New(place, said));
        };
        let wide = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        if report.sequence == newest.sequence {
            let same = newest.said == said && newest.observed == report.observed;
            return match same {
                true => Ok(Outcome::Repeat(newest.seq)),
                false => Err(Problem::about(Reason::ObservationConflict, Field::Sequence)),
            };
        }
        if report.sequence < newest.sequence {
            let (limit, actual) = (wide(newest.sequence), wide(report.sequence));
            return Err(Problem::limit(
                Reason::StaleObservation,
                Field::Sequence,
                limit,
                actual,
            ));
        }
        if report.observed < newest.observed {
            let (limit, actual) = (newest.observed.0, report.observed.0);
            return Err(Problem::limit(
                Reason::StaleObservation,
                Field::Observed,
                limit,
                actual,
            ));
        }
        Ok(Outcome::New(place, said))
    }
}

/// Not from the future, beyond what clocks differ by.
fn check_observed(observed: Nanos, at: Nanos) -> Result<(), Problem> {
    let latest = at.after(limits::REPORT_AHEAD_MS * MILLISECOND);
    if observed.0 > 0 && observed <= latest {
        return Ok(());
    }
    let (limit, actual) = (latest.0, observed.0);
    Err(Problem::limit(
        Reason::InvalidField,
        Field::Observed,
        limit,
        actual,
    ))
}

/// What an observation means to this feed.
fn seen(feed: &Feed, observation: &Observation) -> Result<Seen, Problem> {
    match (feed.details.kind, observation) {
        (FeedKind::Price { exponent }, Observation::Price(price)) => {
            let tick = Decimal { exponent, ..ITSELF };
            let in_range = (-18..=18).contains(&price.exponent);
            let value = price.ratio(tick).filter(|value| in_range && *value > 0);
            let actual = price.mantissa;
            let outside = Problem::limit(Reason::InvalidField, Field::Value, 1, actual);
            value.map(Seen::Price).ok_or(outside)
        }
        (FeedKind::Chain { .. }, Observation::Tip(tip)) => {
            let bits = tip.bits == 0 || work::of_bits(tip.bits).is_some();
            if tip.height == 0 || tip.height > 1 << 40 || !bits || tip.blocks > 1 << 20 {
                let actual = i64::try_from(tip.height).unwrap_or(i64::MAX);
                return Err(Problem::limit(
                    Reason::InvalidField,
                    Field::Height,
                    1 << 40,
                    actual,
                ));
            }
            Ok(Seen::Tip(*tip))
        }
        _ => Err(Problem::about(Reason::InvalidField, Field::Feed)),
    }
}

impl Feed {
    /// Place of the active source with this key.
    pub(super) fn place_of(&self, key: &[u8; 32]) -> Result<usize, Problem> {
        place_among(&self.sources, key)
    }

    /// Whether a word still counts.
    pub(super) fn is_fresh(&self, observed: Nanos, at: Nanos) -> bool {
        let span = i64::from(self.details.stale_ms) * MILLISECOND;
        at.0.saturating_sub(observed.0) <= span
    }

    /// Chains: how many active sources with weight say the same now; enough of them put it in force.
    fn agree(&mut self, said: Seen, at: Nanos) -> u32 {
        let Seen::Tip(tip) = said else {
            return 1;
        };
        let same = self.sources.iter().filter(|source| {
            let counts = source.details.active && source.details.weight > 0;
            let newest = source
                .newest
                .filter(|word| self.is_fresh(word.observed, at));
            counts && newest.is_some_and(|word| word.said == said)
        });
        let count = same.count();
        if count >= usize::from(self.details.agreeing) {
            self.agreed = Some(Agreed { tip, at });
        }
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// Place of the active source with this key.
pub(super) fn place_among(sources: &[super::Source], key: &[u8; 32]) -> Result<usize, Problem> {
    let mut all = sources.iter();
    all.position(|source| source.details.active && source.details.public_key == *key)
        .ok_or(Problem::about(Reason::NotAuthorized, Field::Key))
}
