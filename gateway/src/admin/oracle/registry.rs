//! The operator's word on feeds, sources and methods.

use engine::{
    command::{Command, FeedKind, Formula, Scope, SetFeed, SetMethod, SetSource},
    exchange::oracle::{Feed, Source},
};
use proto::admin::v1::{self as wire, set_oracle_source_request::Scope as Named};
use tonic::Status;

use super::{index_of, words};
use crate::{
    admin::asked,
    auth::Caller,
    desk::{Desk, wide},
    refusal,
};

fn byte(value: i32, field: &str) -> Result<u8, Status> {
    u8::try_from(value).map_err(|_| refusal::invalid(field, "0 to 255"))
}

pub(super) fn feed(
    caller: &Caller,
    request: wire::SetOracleFeedRequest,
) -> Result<Command, Status> {
    let feed = request.feed;
    let feed = feed.ok_or_else(|| refusal::invalid("feed", "required"))?;
    let kind = match feed.kind() {
        wire::OracleFeedKind::Chain => FeedKind::Chain {
            depth: words::small(feed.depth, "feed.depth")?,
        },
        wire::OracleFeedKind::Price => FeedKind::Price {
            exponent: feed.price_exponent,
        },
        wire::OracleFeedKind::Unspecified => {
            return Err(refusal::invalid("feed.kind", "CHAIN or PRICE"));
        }
    };
    let body = SetFeed {
        name: feed.feed_name,
        kind,
        agreeing: byte(feed.required_oracles, "feed.required_oracles")?,
        stale_ms: words::small(feed.stale_after_ms, "feed.stale_after_ms")?,
    };
    Ok(Command::SetFeed(asked(
        caller,
        request.request_id,
        "",
        body,
    )?))
}

pub(super) fn source(
    desk: &Desk,
    caller: &Caller,
    request: wire::SetOracleSourceRequest,
) -> Result<Command, Status> {
    let scope = match &request.scope {
        Some(Named::FeedName(name)) => Scope::Feed(words::feed_of(desk, name)?),
        Some(Named::IndexName(name)) => Scope::Index(index_of(desk, name)?),
        None => return Err(refusal::invalid("scope", "feed_name or index_name")),
    };
    let source = request.source;
    let source = source.ok_or_else(|| refusal::invalid("source", "required"))?;
    let body = SetSource {
        scope,
        name: source.source,
        public_key: words::hash(&source.public_key, "source.public_key")?,
        weight: byte(source.weight, "source.weight")?,
        active: source.active,
    };
    Ok(Command::SetSource(asked(
        caller,
        request.request_id,
        "",
        body,
    )?))
}

pub(super) fn method(
    desk: &Desk,
    caller: &Caller,
    request: wire::SetIndexMethodRequest,
) -> Result<Command, Status> {
    let formula = match request.formula() {
        wire::IndexFormula::Unspecified => {
            return Err(refusal::invalid("formula", "required"));
        }
        wire::IndexFormula::Submitted => Formula::Submitted,
        wire::IndexFormula::Sha256 => Formula::Sha256,
        wire::IndexFormula::Sha256Window => Formula::Sha256Window,
        wire::IndexFormula::Scrypt => Formula::Scrypt {
            stale_ppm: words::small(request.stale_work_ppm, "stale_work_ppm")?,
        },
        wire::IndexFormula::Kheavyhash => Formula::KHeavyHash,
        wire::IndexFormula::Etchash => Formula::Etchash,
    };
    let feeds = |names: &[String]| {
        let found = names.iter().map(|name| words::feed_of(desk, name));
        found.collect::<Result<Vec<_>, _>>()
    };
    let body = SetMethod {
        index: index_of(desk, &request.index_name)?,
        version: words::small(request.method_version, "method_version")?,
        formula,
        chains: feeds(&request.chain_feeds)?,
        prices: feeds(&request.price_feeds)?,
        agreeing: byte(request.required_oracles, "required_oracles")?,
        exponent: request.value_exponent,
        halt_after_ms: words::small(request.halt_after_ms, "halt_after_ms")?,
        settle_after_ms: words::small(request.settle_after_ms, "settle_after_ms")?,
    };
    Ok(Command::SetMethod(asked(
        caller,
        request.request_id,
        "",
        body,
    )?))
}

/// As it is told.
pub(super) fn feed_out(feed: &Feed) -> wire::OracleFeed {
    let (kind, depth, price_exponent) = match feed.details.kind {
        FeedKind::Chain { depth } => (wire::OracleFeedKind::Chain, depth, 0),
        FeedKind::Price { exponent } => (wire::OracleFeedKind::Price, 0, exponent),
    };
    let narrow = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let height = feed.headers.last_key_value();
    wire::OracleFeed {
        feed_name: feed.details.name.clone(),
        kind: kind.into(),
        depth: narrow(depth),
        price_exponent,
        required_oracles: feed.details.agreeing.into(),
        stale_after_ms: narrow(feed.details.stale_ms),
        sources: feed.sources.iter().map(source_out).collect(),
        chain_height: height.map_or(0, |(height, _)| wide(*height)),
    }
}

fn source_out(source: &Source) -> wire::OracleSource {
    wire::OracleSource {
        source: source.details.name.clone(),
        public_key: source.details.public_key.to_vec(),
        weight: source.details.weight.into(),
        active: source.details.active,
        last_sequence: source.newest.map_or(0, |word| wide(word.sequence)),
        last_observed_unix_nanos: source.newest.map_or(0, |word| word.observed.0),
        excluded: source.excluded,
    }
}
