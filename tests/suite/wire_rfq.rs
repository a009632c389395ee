//! A block trade on the wire: reported by one firm, seen by the other, affirmed after a restart, on the tape
//! and in both positions; refusals name their reason.

use std::time::Duration;

use gateway::client::now_unix_nanos;
use proto::{
    account::v1::GetIdentityRequest,
    common::v1::Side,
    reference::v1::Instrument,
    rfq::v1::{
        AffirmBlockTradeRequest, AffirmBlockTradeResponse, BlockTrade, BlockTradeState,
        ReportBlockTradeRequest, ReportBlockTradeResponse, RfqLeg, StreamRfqsRequest,
        stream_rfqs_response::Event,
    },
};
use tests::venue::{Folder, Venue};
use tonic::Status;
use tonic_types::StatusExt;

const PATIENCE: Duration = Duration::from_secs(30);
const LOTS: i64 = 3;
const PRICE: i64 = 42_000;

fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    let status = answer.expect_err("refused");
    let info = status.get_details_error_info();
    info.expect("a refusal of ours").reason.clone()
}

async fn firm(venue: &Venue, actor: &str) -> String {
    let client = venue.client(actor).await;
    let request = GetIdentityRequest::default();
    let answer = client.account().get_identity(request).await;
    answer.expect("an identity").into_inner().firm_code
}

async fn report(
    venue: &Venue,
    contract: &Instrument,
    (price_ticks, affirm_by): (i64, i64),
) -> Result<ReportBlockTradeResponse, Status> {
    let request = ReportBlockTradeRequest {
        account_id: venue.account("maker-1"),
        client_block_id: 7,
        counterparty_firm_code: firm(venue, "maker-2").await,
        legs: vec![RfqLeg {
            instrument_id: contract.instrument_id,
            side: Side::Buy.into(),
            ratio: 1,
        }],
        side: Side::Sell.into(),
        price_ticks,
        lots: LOTS,
        affirm_by_unix_nanos: affirm_by,
        allocations: Vec::new(),
    };
    let client = venue.client("maker-1").await;
    let answer = client.rfq().report_block_trade(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn affirm(
    venue: &Venue,
    actor: &str,
    block_id: i64,
) -> Result<AffirmBlockTradeResponse, Status> {
    let request = AffirmBlockTradeRequest {
        account_id: venue.account(actor),
        block_id,
        accept: true,
        allocations: Vec::new(),
    };
    let client = venue.client(actor).await;
    let answer = client.rfq().affirm_block_trade(request).await;
    answer.map(tonic::Response::into_inner)
}

/// First block trade that an actor's stream tells, from a position on or among those open.
async fn told(venue: &Venue, actor: &str, after: Option<i64>) -> BlockTrade {
    let request = StreamRfqsRequest {
        account_id: venue.account(actor),
        resume_after_journal_seq: after,
    };
    let client = venue.client(actor).await;
    let stream = client.rfq().stream_rfqs(request).await;
    let mut stream = stream.expect("a stream").into_inner();
    let first = async {
        loop {
            let told = stream.message().await.expect("it goes on").expect("more");
            if let Some(Event::BlockTrade(block)) = told.event {
                return block;
            }
        }
    };
    let first = tokio::time::timeout(PATIENCE, first).await;
    first.expect("told in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_reported_seen_and_affirmed_after_a_restart() {
    let folder = Folder::new("block");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let by = now_unix_nanos() + 3_600_000_000_000;

    let far = report(&venue, &contract, (PRICE * 3, by)).await;
    assert_eq!(reason(far), "PRICE_OUTSIDE_BAND");
    let reported = report(&venue, &contract, (PRICE, by)).await;
    let reported = reported.expect("it waits");
    let again = report(&venue, &contract, (PRICE, by)).await;
    assert_eq!(again.expect("done before"), reported, "one effect");

    let seen = told(&venue, "maker-2", None).await;
    assert_eq!(seen.block_id, reported.block_id);
    assert_eq!((seen.price_ticks, seen.lots), (PRICE, LOTS));
    assert_eq!(seen.side, i32::from(Side::Sell), "the reporter's");
    assert_eq!(seen.state, i32::from(BlockTradeState::Reported));
    assert_eq!(seen.reporter_firm_code, firm(&venue, "maker-1").await);

    venue.running.stop().await;
    let venue = Venue::start(folder.path()).await;
    let other = affirm(&venue, "maker-1", reported.block_id).await;
    assert_eq!(reason(other), "UNKNOWN_RFQ", "nobody affirms his own");
    let closed = venue.forward().await;
    assert_eq!(closed.instrument_id, contract.instrument_id);
    let traded = affirm(&venue, "maker-2", reported.block_id).await;
    let traded = traded.expect("it trades");
    assert_eq!(traded.trade_ids.len(), 1);

    let after = Some(traded.journal_seq - 1);
    for actor in ["maker-1", "maker-2"] {
        let end = told(&venue, actor, after).await;
        assert_eq!(end.state, i32::from(BlockTradeState::Affirmed));
        assert_eq!(end.trade_ids, traded.trade_ids);
    }
    venue.running.stop().await;
}
