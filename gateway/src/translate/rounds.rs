//! Rounds of indexes become messages of the wire, every source's word with them.

use engine::{
    event::{Input, Quality, Round, RoundKind, Said, Standing},
    exchange::{Exchange, oracle::Feed},
    units::{Decimal, Nanos},
};
use proto::marketdata::v1 as wire;

use super::reference::decimal;
use crate::desk::wide;

/// How far an index value can be trusted.
#[must_use]
pub fn quality(quality: Quality) -> wire::IndexQuality {
    match quality {
        Quality::Live => wire::IndexQuality::Live,
        Quality::Degraded => wire::IndexQuality::Degraded,
        Quality::Stale => wire::IndexQuality::Stale,
        Quality::Halted => wire::IndexQuality::Halted,
    }
}

/// A round with its inputs. A day's value is `fixing` only once it has settled, which is told apart.
#[must_use]
pub fn round(exchange: &Exchange, round: &Round) -> wire::IndexValue {
    let index = round
        .index
        .index()
        .and_then(|at| exchange.indexes().get(at));
    let feeds = exchange.feeds();
    let inputs = round.inputs.iter().map(|word| input(feeds, word));
    let kind = match round.kind {
        RoundKind::Sample => wire::IndexRoundKind::Sample,
        RoundKind::Daily => wire::IndexRoundKind::Day,
        RoundKind::Postponed => wire::IndexRoundKind::Postponed,
        RoundKind::Restated => wire::IndexRoundKind::Restated,
    };
    wire::IndexValue {
        index_name: index.map_or_else(String::new, |index| index.details.name.clone()),
        value: round.value.map(decimal),
        as_of_unix_nanos: round.at.0,
        round_id: wide(round.number),
        quality: quality(round.quality).into(),
        fixing: false,
        inputs: inputs.collect(),
        valid_samples: i32::try_from(round.valid).unwrap_or(i32::MAX),
        method_version: i32::try_from(round.version).unwrap_or(i32::MAX),
        kind: kind.into(),
        settles_unix_nanos: round.settles.0,
    }
}

fn input(feeds: &[Feed], word: &Input) -> wire::IndexInput {
    let feed = word.feed.index().and_then(|at| feeds.get(at));
    let source = feed.and_then(|feed| feed.sources.get(usize::from(word.source)));
    let standing = match word.standing {
        Standing::Used => wire::InputStanding::Used,
        Standing::Silent => wire::InputStanding::Silent,
        Standing::Excluded => wire::InputStanding::Excluded,
        Standing::Checked => wire::InputStanding::Checked,
        Standing::Disputed => wire::InputStanding::Disputed,
    };
    let mut told = wire::IndexInput {
        feed_name: feed.map_or_else(String::new, |feed| feed.details.name.clone()),
        source: source.map_or_else(String::new, |source| source.details.name.clone()),
        observed_unix_nanos: word.observed.0,
        standing: standing.into(),
        ..Default::default()
    };
    match word.said {
        Said::Nothing => {}
        Said::Price(mantissa) => {
            let exponent = match feed.map(|feed| feed.details.kind) {
                Some(engine::command::FeedKind::Price { exponent }) => exponent,
                _ => 0,
            };
            told.price = Some(decimal(Decimal { mantissa, exponent }));
        }
        Said::Tip {
            height,
            hash,
            bits,
            fees,
            work,
        } => {
            told.block_height = wide(height);
            told.block_hash = hash.to_vec();
            told.bits = bits;
            told.window_fees = fees.to_string();
            told.window_work = work.to_string();
        }
    }
    told
}

/// When a round was made.
#[must_use]
pub fn at(value: &wire::IndexValue) -> Nanos {
    Nanos(value.as_of_unix_nanos)
}
