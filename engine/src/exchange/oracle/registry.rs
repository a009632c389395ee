//! The operator's word on feeds, sources and methods (INDEX-01, INDEX-02).

use super::{Feed, Rounds, Source};
use crate::{
    command::{FeedKind, Formula, Scope, SetFeed, SetMethod, SetSource},
    event::{Done, Event},
    exchange::{
        Exchange,
        admin::{Outcome, check_name, check_room, made},
        timers::Timer,
    },
    ids::{FeedId, IndexId},
    index::fixing::SAMPLE,
    instrument::IndexKind,
    limits,
    reason::{Field, Problem, Reason},
    units::Nanos,
};

fn invalid(field: Field, limit: i64, actual: i64) -> Result<(), Problem> {
    Err(Problem::limit(Reason::InvalidField, field, limit, actual))
}

/// Sources that must agree: at least one, never more than there can be.
fn check_agreeing(agreeing: u8) -> Result<(), Problem> {
    if (1..=limits::SOURCES).contains(&usize::from(agreeing)) {
        return Ok(());
    }
    let limit = i64::try_from(limits::SOURCES).unwrap_or(i64::MAX);
    invalid(Field::Source, limit, agreeing.into())
}

fn check_span(field: Field, least: u32, millis: u32) -> Result<(), Problem> {
    if (least..=limits::ORACLE_MS).contains(&millis) {
        return Ok(());
    }
    invalid(field, limits::ORACLE_MS.into(), millis.into())
}

impl Exchange {
    /// A name that is known changes its rules, never what it is.
    pub(in crate::exchange) fn set_feed(&mut self, set: &SetFeed, _: &mut Vec<Event>) -> Outcome {
        check_name(&set.name, Field::Feed)?;
        check_agreeing(set.agreeing)?;
        check_span(Field::Timer, 1, set.stale_ms)?;
        let fits = match set.kind {
            FeedKind::Chain { depth } => depth <= 10_000,
            FeedKind::Price { exponent } => (-18..=0).contains(&exponent),
        };
        if !fits {
            return Err(Problem::about(Reason::InvalidField, Field::Feed));
        }
        let known = self
            .oracle
            .feeds
            .iter()
            .position(|feed| feed.details.name == set.name);
        self.reference_version += 1;
        if let Some(place) = known {
            let feed = &mut self.oracle.feeds[place];
            let same = match (feed.details.kind, set.kind) {
                (FeedKind::Chain { .. }, FeedKind::Chain { .. }) => true,
                (was, is) => was == is,
            };
            if !same {
                return Err(Problem::about(Reason::ImmutableField, Field::Feed));
            }
            feed.details = set.clone();
            return Ok(made(FeedId::nth(place).0));
        }
        check_room(self.oracle.feeds.len(), limits::REFERENCE_ROWS)?;
        self.oracle.feeds.push(Feed {
            details: set.clone(),
            sources: Vec::new(),
            agreed: None,
            headers: Default::default(),
            votes: Vec::new(),
        });
        Ok(made(FeedId::nth(self.oracle.feeds.len() - 1).0))
    }

    /// A key that is known in the scope changes its weight or is switched off; its name stays.
    pub(in crate::exchange) fn set_source(
        &mut self,
        set: &SetSource,
        _: &mut Vec<Event>,
    ) -> Outcome {
        check_name(&set.name, Field::Name)?;
        let at = self.at;
        let sources = match set.scope {
            Scope::Feed(id) => self.feed_mut(id).map(|feed| &mut feed.sources),
            Scope::Index(id) if id.index().is_some_and(|at| at < self.indexes.len()) => {
                let rounds = self.oracle.rounds.entry(id);
                Some(&mut rounds.or_insert_with(|| Rounds::new(at)).sources)
            }
            Scope::Index(_) => None,
        };
        let sources = sources.ok_or(Problem::about(Reason::NotFound, Field::Feed))?;
        let mut by_key = sources.iter_mut();
        let known = by_key.find(|source| source.details.public_key == set.public_key);
        if let Some(source) = known {
            if source.details.name != set.name {
                return Err(Problem::about(Reason::ImmutableField, Field::Name));
            }
            source.details = set.clone();
            return Ok(made(0));
        }
        if sources.iter().any(|source| source.details.name == set.name) {
            return Err(Problem::about(Reason::AlreadyExists, Field::Name));
        }
        check_room(sources.len(), limits::SOURCES)?;
        sources.push(Source {
            details: set.clone(),
            newest: None,
            excluded: false,
        });
        Ok(Done {
            object: sources.len() as u64,
            ..made(0)
        })
    }

    pub(in crate::exchange) fn set_method(
        &mut self,
        set: &SetMethod,
        _: &mut Vec<Event>,
    ) -> Outcome {
        self.check_method(set)?;
        let at = self.at;
        let today = at.0.div_euclid(crate::units::DAY);
        // Days of contracts that are in delivery already wait for a value too.
        let first = self.first_day_needed(set.index).unwrap_or(today).min(today);
        let rounds = self.oracle.rounds.entry(set.index);
        let rounds = rounds.or_insert_with(|| Rounds::new(at));
        let before = rounds.method.replace(set.clone());
        let sampled = |method: &SetMethod| method.formula != Formula::Submitted;
        if sampled(set) && !before.as_ref().is_some_and(sampled) {
            (rounds.last_valid, rounds.day) = (at, first.max(0));
            rounds.samples = Default::default();
            let first = Nanos((at.0.div_euclid(SAMPLE) + 1) * SAMPLE);
            self.timers.set(first, Timer::Sample(set.index));
        }
        self.reference_version += 1;
        Ok(made(set.index.0))
    }

    fn check_method(&self, set: &SetMethod) -> Result<(), Problem> {
        let index = set.index.index().and_then(|at| self.indexes.get(at));
        let index = index.ok_or(Problem::about(Reason::NotFound, Field::Index))?;
        let before = self
            .rounds(set.index)
            .and_then(|rounds| rounds.method.as_ref());
        let version = before.map_or(0, |method| method.version);
        if set.version <= version {
            return invalid(Field::Version, i64::from(version) + 1, set.version.into());
        }
        if let Some(before) = before {
            // A settled series goes on in its own scale, and a sampled one stays sampled.
            let sampled = |method: &SetMethod| method.formula != Formula::Submitted;
            if before.exponent != set.exponent || sampled(before) != sampled(set) {
                return Err(Problem::about(Reason::ImmutableField, Field::Formula));
            }
        }
        check_agreeing(set.agreeing)?;
        check_span(Field::Timer, 15_000, set.halt_after_ms)?;
        check_span(Field::Window, 0, set.settle_after_ms)?;
        if !(-18..=0).contains(&set.exponent) {
            return invalid(Field::Value, -18, set.exponent.into());
        }
        let chains = match set.formula {
            Formula::Submitted => 0,
            Formula::Scrypt { stale_ppm } if stale_ppm >= 1_000_000 => {
                return invalid(Field::Formula, 999_999, stale_ppm.into());
            }
            Formula::Scrypt { .. } => 2,
            _ => 1,
        };
        // A formula says what hashing earns; compute has none.
        if chains > 0 && index.details.kind == IndexKind::Compute {
            return Err(Problem::about(
                Reason::UnsupportedCombination,
                Field::Formula,
            ));
        }
        let reads = (set.chains.len(), set.prices.len());
        if reads != (chains, chains) && reads != (chains, 0) {
            let actual = i64::try_from(set.chains.len()).unwrap_or(i64::MAX);
            return invalid(Field::Feed, i64::try_from(chains).unwrap_or(0), actual);
        }
        let is = |id: &FeedId, chain: bool| self.feed(*id).is_some_and(|f| f.is_chain() == chain);
        if !set.chains.iter().all(|id| is(id, true)) || !set.prices.iter().all(|id| is(id, false)) {
            return Err(Problem::about(Reason::NotFound, Field::Feed));
        }
        Ok(())
    }

    /// Unsigned values only of indexes without sources (INDEX-09).
    pub(in crate::exchange) fn check_unsigned(&self, index: IndexId) -> Result<(), Problem> {
        match self.oracle.rounds.contains_key(&index) {
            true => Err(Problem::about(Reason::SignatureInvalid, Field::Key)),
            false => Ok(()),
        }
    }
}
