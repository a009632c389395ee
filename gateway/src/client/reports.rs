//! What a source signs and hands in, ready for [`super::Client::oracle`].

use engine::{
    command::{Header, Observation as Seen, ValueKind},
    index::signed,
    units::{Decimal, Nanos},
};
use proto::{
    admin::v1::{
        ChainTip, IndexFixing, Observation, SubmitChainHeaderRequest, SubmitIndexFixingRequest,
        SubmitObservationRequest, observation,
    },
    common::v1 as common,
};

use crate::keys::PrivateKey;

/// A decimal of the wire.
#[must_use]
pub fn wire(value: Decimal) -> common::Decimal {
    common::Decimal {
        mantissa: value.mantissa,
        exponent: value.exponent,
    }
}

/// A count as the wire carries it.
#[must_use]
pub fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// An observation, signed, as it is handed in.
#[must_use]
pub fn observation(
    key: &PrivateKey,
    feed: &str,
    sequence: u64,
    observed: Nanos,
    seen: &Seen,
) -> SubmitObservationRequest {
    let told = match seen {
        Seen::Price(price) => observation::Seen::Price(wire(*price)),
        Seen::Tip(tip) => observation::Seen::Tip(ChainTip {
            height: number(tip.height),
            block_hash: tip.hash.to_vec(),
            bits: tip.bits,
            window_blocks: i32::try_from(tip.blocks).unwrap_or(i32::MAX),
            window_fees: tip.fees.to_string(),
            window_work: tip.work.to_string(),
            daa_score: number(tip.daa),
        }),
    };
    SubmitObservationRequest {
        observation: Some(Observation {
            feed_name: feed.into(),
            sequence: number(sequence),
            observed_unix_nanos: observed.0,
            seen: Some(told),
        }),
        oracle_public_key: key.public_key().to_vec(),
        signature: key
            .signature_over(&signed::report(feed, sequence, observed, seen))
            .to_vec(),
    }
}

/// A value of an index, signed, as it is handed in.
#[must_use]
pub fn value(key: &PrivateKey, kind: ValueKind, fixing: IndexFixing) -> SubmitIndexFixingRequest {
    let said = fixing.value.unwrap_or_default();
    let said = Decimal {
        mantissa: said.mantissa,
        exponent: said.exponent,
    };
    let round = fixing.round_id.unsigned_abs();
    let bytes = signed::value(&fixing.index_name, kind, round, said);
    SubmitIndexFixingRequest {
        fixing: Some(fixing),
        oracle_public_key: key.public_key().to_vec(),
        signature: key.signature_over(&bytes).to_vec(),
    }
}

/// A block's header, signed, as it is handed in.
#[must_use]
pub fn header(
    key: &PrivateKey,
    coin: &str,
    header: &Header,
    depth: u32,
) -> SubmitChainHeaderRequest {
    let bytes = signed::header(coin, header, depth);
    SubmitChainHeaderRequest {
        coin: coin.into(),
        height: number(header.height),
        block_hash: header.hash.to_vec(),
        bits: header.bits,
        block_unix_nanos: header.time.0,
        depth: i32::try_from(depth).unwrap_or(i32::MAX),
        oracle_public_key: key.public_key().to_vec(),
        signature: key.signature_over(&bytes).to_vec(),
    }
}
