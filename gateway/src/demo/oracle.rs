//! The index publisher: one real day of hashprice per beat.
//!
//! Days keep their historical dates. The listed contracts deliver later than that, so these fixings move
//! marks and settle nothing.

use std::{sync::Arc, time::Duration};

use proto::{
    admin::v1::{FixingKind, IndexFixing, SubmitIndexFixingRequest},
    common::v1::Decimal,
    reference::v1::ListIndexesRequest,
};
use tokio::time::{self, MissedTickBehavior};

use super::{INDEX_NAME, market::Market, series::Day, stop::Stop, tally::Tally};
use crate::client::{Client, ClientError};

/// A BTC is 10^11 millisat.
const MILLISAT_EXPONENT: i32 = -11;

/// Submits day after day until stopped or until the series ends.
pub(super) async fn run(
    client: Client,
    days: Vec<Day>,
    beat: Duration,
    market: Arc<Market>,
    tally: Arc<Tally>,
    mut stop: Stop,
) {
    let method_version = method_version(&client).await.unwrap_or(1);
    let mut ticks = time::interval(beat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for (day, round_id) in days.iter().zip(1..) {
        tokio::select! {
            () = stop.wait() => return,
            _ = ticks.tick() => {}
        }
        let request = SubmitIndexFixingRequest {
            fixing: Some(fixing(day, round_id, method_version)),
            // The key that signs the call is the oracle's; the venue asks for nothing more.
            ..Default::default()
        };
        let answer = client.oracle().submit_index_fixing(request).await;
        match answer.map_err(ClientError::from) {
            Ok(_) => market.picture().day = day.date.to_string(),
            Err(error) => {
                if !error.reason().is_empty() {
                    tally.rejected(error.reason());
                }
                tally.notice(format!("index of {}: {error}", day.date));
            }
        }
    }
    tally.notice("the series has ended; the index stays where it is".into());
}

fn fixing(day: &Day, round_id: i64, method_version: i32) -> IndexFixing {
    IndexFixing {
        index_name: INDEX_NAME.into(),
        kind: FixingKind::Daily.into(),
        round_id,
        value: Some(Decimal {
            mantissa: day.millisat,
            exponent: MILLISAT_EXPONENT,
        }),
        start_unix_nanos: day.start_unix_nanos(),
        end_unix_nanos: day.end_unix_nanos(),
        valid_samples: 1,
        expected_samples: 1,
        components: Vec::new(),
        method_version,
    }
}

/// Version of the methodology the index is listed with.
async fn method_version(client: &Client) -> Option<i32> {
    let request = ListIndexesRequest::default();
    let answer = client.reference().list_indexes(request).await.ok()?;
    let listed = answer.into_inner().indexes;
    let index = listed.iter().find(|i| i.index_name == INDEX_NAME)?;
    Some(index.method_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixing_is_the_day_in_btc() {
        let days = super::super::series::load().expect("the fixture is part of the program");
        let fixing = fixing(&days[0], 1, 1);
        let value = fixing.value.expect("just set");
        assert_eq!((value.mantissa, value.exponent), (529_030_960, -11));
        assert_eq!(
            fixing.end_unix_nanos - fixing.start_unix_nanos,
            86_400_000_000_000
        );
    }
}
