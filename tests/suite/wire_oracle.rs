//! Sources of an index, seen by real clients on a real wire.

use std::time::Duration;

use engine::{
    command::{Header, Observation, Tip, ValueKind},
    units::{Decimal, Nanos},
};
use gateway::{
    client::{Client, now_unix_nanos, reports},
    keys::PrivateKey,
};
use proto::{
    admin::v1::{
        FixingKind, IndexFixing, IndexFormula, ListOracleFeedsRequest, OracleFeed, OracleFeedKind,
        OracleSource, SetIndexMethodRequest, SetOracleFeedRequest, SetOracleSourceRequest,
        SubmitIndexFixingRequest, set_oracle_source_request::Scope,
    },
    marketdata::v1::{
        Channel, IndexQuality, IndexRoundKind, IndexValue, InputStanding, SubscribeRequest,
        Subscription, market_data_update::Payload,
    },
};
use tests::venue::{Folder, Venue};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A sample is due every 15 seconds.
const PATIENCE: Duration = Duration::from_secs(40);
const INDEX: &str = "BTC-HASHPRICE-SAT";
const COMPUTE: &str = "H100-HOUR-USD";

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.map_or_else(String::new, |info| info.reason)
}

fn source(name: &str, key: &PrivateKey) -> OracleSource {
    OracleSource {
        source: name.into(),
        public_key: key.public_key().to_vec(),
        weight: 1,
        active: true,
        ..OracleSource::default()
    }
}

/// Three sources for a scope.
async fn register(operator: &Client, scope: &Scope, keys: &[PrivateKey], first_id: u64) {
    for ((request_id, name), key) in (first_id..).zip(["a", "b", "c"]).zip(keys) {
        let request = SetOracleSourceRequest {
            scope: Some(scope.clone()),
            source: Some(source(name, key)),
            request_id,
        };
        let answer = operator.oracle().set_oracle_source(request).await;
        answer.expect("registered");
    }
}

async fn method(operator: &Client, index: &str, formula: IndexFormula, request_id: u64) {
    let computed = formula != IndexFormula::Submitted;
    let request = SetIndexMethodRequest {
        index_name: index.into(),
        method_version: 1,
        formula: formula.into(),
        chain_feeds: if computed { vec!["BTC".into()] } else { vec![] },
        required_oracles: 2,
        value_exponent: if computed { -11 } else { -6 },
        halt_after_ms: 86_400_000,
        settle_after_ms: 0,
        request_id,
        ..SetIndexMethodRequest::default()
    };
    let answer = operator.oracle().set_index_method(request).await;
    answer.expect("a method");
}

fn tip() -> Observation {
    Observation::Tip(Tip {
        height: 900_000,
        hash: [9; 32],
        bits: 0x1701_e636,
        blocks: 144,
        fees: 230_400_000,
        work: 0,
        daa: 0,
    })
}

/// The next round of an index in which the value is there.
async fn sampled(client: &Client) -> IndexValue {
    let request = SubscribeRequest {
        subscriptions: vec![Subscription {
            subscription_id: 1,
            channel: Channel::Index as i32,
            index_names: vec![INDEX.into()],
            ..Subscription::default()
        }],
    };
    let answer = client.market_data().subscribe(request).await;
    let mut stream = answer.expect("a stream").into_inner();
    let found = async {
        loop {
            let message = stream.message().await.expect("the stream lives");
            for update in message.expect("no end").updates {
                if let Some(Payload::Index(value)) = update.payload
                    && value.kind() == IndexRoundKind::Sample
                    && value.value.is_some()
                {
                    return value;
                }
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, found);
    found.await.expect("a sample within its time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_make_an_index_and_everybody_sees_how() {
    let folder = Folder::new("oracle");
    let venue = Venue::start(folder.path()).await;
    let operator = venue.client("operator").await;
    let keys: Vec<_> = (1..=3)
        .map(|seed| PrivateKey::from_seed([seed; 32]))
        .collect();
    let stranger = PrivateKey::from_seed([9; 32]);
    let feed = OracleFeed {
        feed_name: "BTC".into(),
        kind: OracleFeedKind::Chain.into(),
        depth: 6,
        required_oracles: 2,
        stale_after_ms: 600_000,
        ..OracleFeed::default()
    };
    let request = SetOracleFeedRequest {
        feed: Some(feed),
        request_id: 100,
    };
    let answer = operator.oracle().set_oracle_feed(request).await;
    answer.expect("a feed");
    register(&operator, &Scope::FeedName("BTC".into()), &keys, 101).await;
    method(&operator, INDEX, IndexFormula::Sha256, 110).await;

    // An unsigned value is not one any more.
    let fixing = IndexFixing {
        index_name: INDEX.into(),
        kind: FixingKind::Daily.into(),
        round_id: 5,
        value: Some(reports::wire(Decimal {
            mantissa: 42_000,
            exponent: -8,
        })),
        ..IndexFixing::default()
    };
    let unsigned = SubmitIndexFixingRequest {
        fixing: Some(fixing),
        ..SubmitIndexFixingRequest::default()
    };
    let refused = operator.oracle().submit_index_fixing(unsigned).await;
    assert_eq!(reason(&refused.expect_err("unsigned")), "SIGNATURE_INVALID");

    // A stranger's word, and one that somebody changed on the way.
    let now = Nanos(now_unix_nanos());
    let strange = reports::observation(&stranger, "BTC", 1, now, &tip());
    let refused = operator.oracle().submit_observation(strange).await;
    assert_eq!(refused.expect_err("unknown").code(), Code::PermissionDenied);
    let mut changed = reports::observation(&keys[0], "BTC", 1, now, &tip());
    changed.observation.as_mut().expect("there").sequence = 2;
    let refused = operator.oracle().submit_observation(changed).await;
    assert_eq!(reason(&refused.expect_err("changed")), "SIGNATURE_INVALID");
    // A trader's key carries no reports, whoever signed them.
    let report = reports::observation(&keys[0], "BTC", 1, now, &tip());
    let taker = venue.client("taker-1").await;
    let refused = taker.oracle().submit_observation(report.clone()).await;
    assert_eq!(
        refused.expect_err("no right").code(),
        Code::PermissionDenied
    );

    for (agreeing, key) in (1..).zip(&keys[..2]) {
        let report = reports::observation(key, "BTC", 1, now, &tip());
        let answer = operator.oracle().submit_observation(report).await;
        let answer = answer.expect("taken").into_inner();
        assert_eq!(answer.agreeing_oracles, agreeing);
    }
    let again = operator.oracle().submit_observation(report).await;
    assert!(again.expect("the same once more").into_inner().journal_seq > 0);

    let round = sampled(&taker).await;
    let value = round.value.expect("a value");
    assert_eq!((value.mantissa, value.exponent), (42_635_701, -11));
    assert_eq!(round.quality(), IndexQuality::Degraded, "c is silent");
    assert_eq!((round.method_version, round.inputs.len()), (1, 3));
    let standing: Vec<_> = round
        .inputs
        .iter()
        .map(|i| (i.source.as_str(), i.standing()))
        .collect();
    let want = [
        ("a", InputStanding::Used),
        ("b", InputStanding::Used),
        ("c", InputStanding::Silent),
    ];
    assert_eq!(standing, want);
    assert_eq!(round.inputs[0].block_height, 900_000);

    // A block counts when two name it, deep enough.
    let header = Header {
        height: 1_048_320,
        hash: [7; 32],
        bits: 0x1701_e636,
        time: Nanos(1),
    };
    let shallow = reports::header(&keys[0], "BTC", &header, 5);
    let refused = operator.oracle().submit_chain_header(shallow).await;
    assert_eq!(reason(&refused.expect_err("shallow")), "INVALID_FIELD");
    for (key, in_force) in [(&keys[0], false), (&keys[2], true)] {
        let word = reports::header(key, "BTC", &header, 6);
        let answer = operator.oracle().submit_chain_header(word).await;
        assert_eq!(answer.expect("taken").into_inner().in_force, in_force);
    }
    let feeds = taker
        .oracle()
        .list_oracle_feeds(ListOracleFeedsRequest {})
        .await;
    let feeds = feeds.expect("feeds").into_inner().feeds;
    assert_eq!((feeds.len(), feeds[0].chain_height), (1, 1_048_320));
    assert_eq!(feeds[0].sources[1].last_sequence, 1);
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compute_has_the_value_that_two_sources_sign() {
    let folder = Folder::new("oracle-compute");
    let venue = Venue::start(folder.path()).await;
    let operator = venue.client("operator").await;
    let keys: Vec<_> = (1..=3)
        .map(|seed| PrivateKey::from_seed([seed; 32]))
        .collect();
    register(&operator, &Scope::IndexName(COMPUTE.into()), &keys, 201).await;
    method(&operator, COMPUTE, IndexFormula::Submitted, 210).await;
    for (key, agreeing, in_force) in [(&keys[0], 1, false), (&keys[1], 2, true)] {
        let fixing = IndexFixing {
            index_name: COMPUTE.into(),
            kind: FixingKind::Indicative.into(),
            round_id: 50,
            value: Some(reports::wire(Decimal {
                mantissa: 53_000,
                exponent: -3,
            })),
            ..IndexFixing::default()
        };
        let word = reports::value(key, ValueKind::Indicative, fixing);
        let answer = operator.oracle().submit_index_fixing(word).await;
        let answer = answer.expect("taken").into_inner();
        assert_eq!(
            (answer.agreeing_oracles, answer.in_force),
            (agreeing, in_force)
        );
    }
    venue.running.stop().await;
}
