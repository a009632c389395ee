//! The index's sources: one real day of hashprice per beat, signed by three of them.
//!
//! Days keep their historical dates. The listed contracts deliver later than that, so these fixings move
//! marks and settle nothing.

use std::{error::Error, sync::Arc, time::Duration};

use engine::command::ValueKind;

use proto::{
    admin::v1::{
        FixingKind, IndexFixing, IndexFormula, OracleSource, SetIndexMethodRequest,
        SetOracleSourceRequest, set_oracle_source_request::Scope,
    },
    common::v1::Decimal,
    reference::v1::ListIndexesRequest,
};
use tokio::time::{self, MissedTickBehavior};

use super::{INDEX_NAME, market::Market, series::Day, stop::Stop, tally::Tally};
use crate::{
    client::{Client, ClientError, now_unix_nanos, reports},
    keys::PrivateKey,
};

/// A BTC is 10^11 millisat.
const MILLISAT_EXPONENT: i32 = -11;
/// Who computes the series.
const SOURCES: [&str; 3] = ["node-a", "node-b", "node-c"];

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
    let sources = match register(&client).await {
        Ok(sources) => sources,
        Err(error) => return tally.notice(format!("no index: {error}")),
    };
    let mut ticks = time::interval(beat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for (day, round_id) in days.iter().zip(1..) {
        tokio::select! {
            () = stop.wait() => return,
            _ = ticks.tick() => {}
        }
        // Every source signs what it has computed; the venue believes what two of them say.
        for source in &sources {
            let fixing = fixing(day, round_id, method_version);
            let request = reports::value(source, ValueKind::Daily, fixing);
            let answer = client.oracle().submit_index_fixing(request).await;
            match answer.map_err(ClientError::from) {
                Ok(answer) if answer.get_ref().in_force => {
                    market.picture().day = day.date.to_string();
                }
                Ok(_) => {}
                Err(error) => {
                    if !error.reason().is_empty() {
                        tally.rejected(error.reason());
                    }
                    tally.notice(format!("index of {}: {error}", day.date));
                }
            }
        }
    }
    tally.notice("the series has ended; the index stays where it is".into());
}

/// Three sources with keys of their own, and the rule that two of them must agree.
async fn register(client: &Client) -> Result<Vec<PrivateKey>, Box<dyn Error + Send + Sync>> {
    let first_id = now_unix_nanos().unsigned_abs();
    let mut sources = Vec::new();
    for (request_id, name) in (first_id..).zip(SOURCES) {
        let key = PrivateKey::generate()?;
        let request = SetOracleSourceRequest {
            scope: Some(Scope::IndexName(INDEX_NAME.into())),
            source: Some(OracleSource {
                source: name.into(),
                public_key: key.public_key().to_vec(),
                weight: 1,
                active: true,
                ..OracleSource::default()
            }),
            request_id,
        };
        let answer = client.oracle().set_oracle_source(request).await;
        answer.map_err(ClientError::from)?;
        sources.push(key);
    }
    let request = SetIndexMethodRequest {
        index_name: INDEX_NAME.into(),
        method_version: 1,
        formula: IndexFormula::Submitted.into(),
        required_oracles: 2,
        value_exponent: MILLISAT_EXPONENT,
        halt_after_ms: 300_000,
        // A day lasts less than a second here.
        settle_after_ms: 0,
        request_id: first_id + sources.len() as u64,
        ..SetIndexMethodRequest::default()
    };
    let answer = client.oracle().set_index_method(request).await;
    answer.map_err(ClientError::from)?;
    Ok(sources)
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
