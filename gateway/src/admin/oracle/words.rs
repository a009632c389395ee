//! Observations become engine words, or a refusal that names the field.

use engine::{
    command::{Observation, Tip},
    ids::FeedId,
    reason::{Field, Reason},
};
use proto::admin::v1::{self as wire, observation::Seen};
use tonic::Status;

use super::decimal;
use crate::{desk::Desk, refusal};

/// A number that counts something: 0 or more.
pub(super) fn number(value: i64, field: &str) -> Result<u64, Status> {
    u64::try_from(value).map_err(|_| refusal::invalid(field, "0 or more"))
}

/// As [`number`], in half the width.
pub(super) fn small(value: i32, field: &str) -> Result<u32, Status> {
    u32::try_from(value).map_err(|_| refusal::invalid(field, "0 or more"))
}

/// A block's hash.
pub(super) fn hash(bytes: &[u8], field: &str) -> Result<[u8; 32], Status> {
    bytes
        .try_into()
        .map_err(|_| refusal::invalid(field, "32 bytes"))
}

/// Decimal digits; empty = 0.
fn digits(text: &str, field: &str) -> Result<u128, Status> {
    if text.is_empty() {
        return Ok(0);
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok().filter(|_| plain);
    value.ok_or_else(|| refusal::invalid(field, "decimal digits below 2^128"))
}

pub(super) fn observation(seen: &wire::Observation) -> Result<Observation, Status> {
    match &seen.seen {
        None => Err(refusal::invalid("observation.seen", "price or tip")),
        Some(Seen::Price(price)) => {
            decimal(Some(*price), "observation.price").map(Observation::Price)
        }
        Some(Seen::Tip(tip)) => Ok(Observation::Tip(Tip {
            height: number(tip.height, "observation.tip.height")?,
            hash: hash(&tip.block_hash, "observation.tip.block_hash")?,
            bits: tip.bits,
            blocks: small(tip.window_blocks, "observation.tip.window_blocks")?,
            fees: digits(&tip.window_fees, "observation.tip.window_fees")?,
            work: digits(&tip.window_work, "observation.tip.window_work")?,
            daa: number(tip.daa_score, "observation.tip.daa_score")?,
        })),
    }
}

/// The feed of this name.
pub(super) fn feed_of(desk: &Desk, name: &str) -> Result<FeedId, Status> {
    let found = desk.state(|state| {
        let mut feeds = state.feeds().iter();
        feeds.position(|feed| feed.details.name == name)
    });
    let found = found.map(FeedId::nth);
    found.ok_or_else(|| refusal::about(Reason::NotFound, Field::Feed))
}
