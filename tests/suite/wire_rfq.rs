//! A block trade on the wire: reported by one firm, seen by the other, affirmed after a restart, on the tape
//! and in both positions; refusals name their reason. A request for quote: three makers are asked, two answer,
//! the taker accepts across both after a restart.

use std::{path::Path, time::Duration};

use gateway::{
    client::now_unix_nanos,
    proofs::file::{Path as LeafPath, ProofFile, hex},
};
use proto::{
    account::v1::GetIdentityRequest,
    common::v1::Side,
    proof::v1::{GetAccountProofRequest, GetFillProofRequest},
    reference::v1::Instrument,
    rfq::v1::{
        AcceptQuoteRequest, AcceptQuoteResponse, AffirmBlockTradeRequest, AffirmBlockTradeResponse,
        Allocation, BlockTrade, BlockTradeState, CreateRfqRequest, GetRfqRequest, GetRfqResponse,
        QuoteState, ReportBlockTradeRequest, ReportBlockTradeResponse, RfqLeg, RfqState,
        StreamRfqsRequest, SubmitQuoteRequest, SubmitQuoteResponse, stream_rfqs_response::Event,
    },
    trading::v1::{
        Fill, FillReport, Liquidity, ListFillsRequest, StreamEventsRequest,
        private_event::Event as PrivateEvent, stream_events_request::Scope,
    },
};
use tests::venue::{Folder, Venue, settings};
use tonic::Status;
use tonic_types::StatusExt;

use super::roots::served::{python, sealed_after};

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
    for actor in ["maker-1", "maker-2"] {
        let fills = fills(&venue, actor).await;
        let fill = fills.last().and_then(|row| row.fill.as_ref());
        let fill = fill.expect("a block is a fill");
        assert_eq!(vec![fill.trade_id], traded.trade_ids);
        assert_eq!(fill.liquidity, i32::from(Liquidity::Block));
        assert_eq!((fill.price_ticks, fill.lots), (PRICE, LOTS));
        let copied = drop_copy(&venue, actor, traded.journal_seq - 1).await;
        assert_eq!(copied.as_ref(), Some(fill), "and in the drop copy");
    }
    venue.running.stop().await;
}

async fn fills(venue: &Venue, actor: &str) -> Vec<FillReport> {
    let request = ListFillsRequest {
        account_id: venue.account(actor),
        ..ListFillsRequest::default()
    };
    let client = venue.client(actor).await;
    let answer = client.trading().list_fills(request).await;
    answer.expect("fills").into_inner().fills
}

/// The first fill that an account's private stream tells after a journal position.
async fn drop_copy(venue: &Venue, actor: &str, after: i64) -> Option<Fill> {
    let request = StreamEventsRequest {
        scope: Some(Scope::AccountId(venue.account(actor))),
        resume_after_journal_seq: Some(after),
        fills_only: true,
    };
    let client = venue.client(actor).await;
    let stream = client.trading().stream_events(request).await;
    let mut stream = stream.expect("a stream").into_inner();
    let told = tokio::time::timeout(PATIENCE, stream.message()).await;
    let told = told.expect("told in time").expect("it goes on");
    told?
        .events
        .into_iter()
        .find_map(|event| match event.event {
            Some(PrivateEvent::Order(order)) => order.fill,
            _ => None,
        })
}

/// 500 PH/s of the month: lots of the package.
const WANTED: i64 = 500;

async fn ask(venue: &Venue, contract: &Instrument, allocated: bool) -> Result<i64, Status> {
    let mut makers = Vec::new();
    for actor in ["maker-1", "maker-2", "maker-3"] {
        makers.push(firm(venue, actor).await);
    }
    let account_id = venue.account("taker-1");
    let whole = Allocation {
        account_id,
        lots: WANTED,
    };
    let request = CreateRfqRequest {
        account_id,
        client_rfq_id: 1,
        legs: vec![RfqLeg {
            instrument_id: contract.instrument_id,
            side: Side::Buy.into(),
            ratio: 1,
        }],
        lots: WANTED,
        min_lots: 100,
        side: Side::Unspecified.into(),
        disclosed: false,
        maker_firm_codes: makers,
        expire_unix_nanos: now_unix_nanos() + 3_600_000_000_000,
        allocations: allocated.then_some(whole).into_iter().collect(),
    };
    let client = venue.client("taker-1").await;
    let answer = client.rfq().create_rfq(request).await;
    answer.map(|answer| answer.into_inner().rfq_id)
}

async fn quote(
    venue: &Venue,
    (actor, rfq_id): (&str, i64),
    (ask_ticks, ask_lots): (i64, i64),
    mmp_group: i32,
) -> Result<SubmitQuoteResponse, Status> {
    let request = SubmitQuoteRequest {
        account_id: venue.account(actor),
        rfq_id,
        client_quote_id: 5,
        bid_ticks: Some(ask_ticks - 500),
        bid_lots: 100,
        ask_ticks: Some(ask_ticks),
        ask_lots,
        valid_until_unix_nanos: now_unix_nanos() + 600_000_000_000,
        mmp_group,
    };
    let client = venue.client(actor).await;
    let answer = client.rfq().submit_quote(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn seen(venue: &Venue, actor: &str, rfq_id: i64) -> Result<GetRfqResponse, Status> {
    let account_id = venue.account(actor);
    let client = venue.client(actor).await;
    let request = GetRfqRequest { account_id, rfq_id };
    let answer = client.rfq().get_rfq(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn accept(
    venue: &Venue,
    rfq_id: i64,
    (limit_ticks, lots): (i64, i64),
    client_accept_id: u64,
) -> Result<AcceptQuoteResponse, Status> {
    let request = AcceptQuoteRequest {
        account_id: venue.account("taker-1"),
        rfq_id,
        side: Side::Buy.into(),
        limit_ticks,
        lots,
        allow_multi_maker: true,
        client_accept_id,
    };
    let client = venue.client("taker-1").await;
    let answer = client.rfq().accept_quote(request).await;
    answer.map(tonic::Response::into_inner)
}

/// Requests and quotes among what an actor's stream begins with.
async fn open(venue: &Venue, actor: &str) -> (usize, usize) {
    let request = StreamRfqsRequest {
        account_id: venue.account(actor),
        resume_after_journal_seq: None,
    };
    let client = venue.client(actor).await;
    let stream = client.rfq().stream_rfqs(request).await;
    let mut stream = stream.expect("a stream").into_inner();
    let count = async {
        let mut seen = (0, 0);
        loop {
            let told = stream.message().await.expect("it goes on").expect("more");
            match told.event {
                Some(Event::Rfq(_)) => seen.0 += 1,
                Some(Event::Quote(_)) => seen.1 += 1,
                Some(Event::Heartbeat(_)) => return seen,
                _ => {}
            }
        }
    };
    let seen = tokio::time::timeout(PATIENCE, count).await;
    seen.expect("told in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_makers_are_asked_two_answer_and_both_trade_after_a_restart() {
    let folder = Folder::new("rfq");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    assert_eq!(
        reason(ask(&venue, &contract, true).await),
        "NOT_IMPLEMENTED"
    );
    let rfq = ask(&venue, &contract, false).await.expect("it asks");

    let cheap = PRICE - 20;
    assert_eq!(
        reason(quote(&venue, ("maker-1", rfq), (PRICE, 300), 2).await),
        "NOT_IMPLEMENTED"
    );
    let first = quote(&venue, ("maker-1", rfq), (PRICE, 300), 0).await;
    let second = quote(&venue, ("maker-2", rfq), (cheap, 300), 0).await;
    let (first, second) = (first.expect("firm"), second.expect("firm"));
    let again = quote(&venue, ("maker-2", rfq), (cheap + 1, 300), 0).await;
    assert_eq!(reason(again), "REQUEST_ID_CONFLICT");

    // Who may see what.
    let of_taker = seen(&venue, "taker-1", rfq).await.expect("his own");
    assert_eq!(of_taker.quotes.len(), 2);
    let row = of_taker.rfq.expect("the request");
    assert_eq!(row.best_ask_ticks, Some(cheap));
    assert_eq!((row.client_rfq_id, row.quote_count), (1, 2));
    let of_maker = seen(&venue, "maker-1", rfq).await.expect("asked");
    let quotes: Vec<i64> = of_maker.quotes.iter().map(|row| row.quote_id).collect();
    assert_eq!(quotes, [first.quote_id], "its own and no other");
    let row = of_maker.rfq.expect("the request");
    assert_eq!((row.side, row.taker_firm_code.as_str()), (0, ""));
    assert_eq!((row.best_ask_ticks, row.quote_count), (None, 0));
    assert_eq!(reason(seen(&venue, "taker-2", rfq).await), "UNKNOWN_RFQ");
    assert_eq!(open(&venue, "taker-1").await, (1, 2));
    assert_eq!(open(&venue, "maker-3").await, (1, 0));
    assert_eq!(open(&venue, "taker-2").await, (0, 0));

    let venue = again_from_its_journal(venue, folder.path()).await;
    let dear = accept(&venue, rfq, (cheap - 1, WANTED), 1).await;
    let dear = dear.expect("an answer").problem.expect("nothing traded");
    assert_eq!(dear.message.split(' ').next(), Some("no"));
    let traded = accept(&venue, rfq, (PRICE, WANTED), 2).await;
    let traded = traded.expect("it trades");
    assert_eq!((traded.filled_lots, traded.trade_ids.len()), (WANTED, 2));
    let again = accept(&venue, rfq, (PRICE, WANTED), 2).await;
    assert_eq!(again.expect("done before"), traded, "one effect");

    let end = seen(&venue, "taker-1", rfq).await.expect("his own");
    assert_eq!(
        end.rfq.expect("the request").state,
        i32::from(RfqState::Filled)
    );
    let state = |id: i64| {
        let row = end.quotes.iter().find(|row| row.quote_id == id);
        row.expect("a quote").state
    };
    assert_eq!(state(second.quote_id), i32::from(QuoteState::Traded));
    assert_eq!(state(first.quote_id), i32::from(QuoteState::Cancelled));

    let own = fills(&venue, "taker-1").await;
    let row = |row: &FillReport| {
        let fill = row.fill.as_ref().expect("a fill");
        (fill.price_ticks, fill.lots)
    };
    assert_eq!(
        own.iter().map(row).collect::<Vec<_>>(),
        [(cheap, 300), (PRICE, 200)]
    );
    for (maker, fill) in [("maker-2", (cheap, 300)), ("maker-1", (PRICE, 200))] {
        let theirs = fills(&venue, maker).await;
        assert_eq!(theirs.iter().map(row).collect::<Vec<_>>(), [fill]);
    }
    let venue = again_from_its_journal(venue, folder.path()).await;
    assert_eq!(fills(&venue, "taker-1").await.len(), 2);
    venue.running.stop().await;
}

/// Stops it, executes its journal again to the same digest, and starts it.
async fn again_from_its_journal(venue: Venue, folder: &Path) -> Venue {
    let follower = venue.running.desk.follower.clone();
    venue.running.stop().await;
    let before = follower.read().digest();
    drop(follower);
    let verified = gateway::commands::journal::verify(folder).expect("the journal is good");
    assert_eq!(verified.digest, before);
    Venue::start(folder).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_off_the_book_is_proven_like_any_other() {
    let folder = Folder::new("block-proof");
    let mut settings = settings(folder.path());
    settings.pipeline.epoch_ms = 200;
    let venue = Venue::start_with(settings).await;
    let contract = venue.forward().await;
    let by = now_unix_nanos() + 3_600_000_000_000;
    let reported = report(&venue, &contract, (PRICE, by)).await;
    let block = reported.expect("it waits").block_id;
    let traded = affirm(&venue, "maker-2", block).await.expect("it trades");
    sealed_after(&venue, traded.journal_seq).await;

    let account_id = venue.account("maker-2");
    let client = venue.client("maker-2").await;
    // Between two marks nothing moves; if a mark passes in between, everything is asked again.
    let (proof, fill) = loop {
        let request = GetAccountProofRequest {
            account_id,
            ..GetAccountProofRequest::default()
        };
        let proof = client.proof().get_account_proof(request).await;
        let proof = proof.expect("proven").into_inner();
        let request = GetFillProofRequest {
            account_id,
            trade_id: traded.trade_ids[0],
            epoch: 0,
        };
        let fill = client.proof().get_fill_proof(request).await;
        let fill = fill.expect("proven").into_inner();
        if fill.header_preimage == proof.header_preimage {
            break (proof, fill);
        }
    };
    let account = u32::try_from(account_id).expect("small");
    let mut file = ProofFile::with(&proof.header_preimage, &proof.state_preimage, account);
    for balance in &proof.balances {
        let path = balance.proof.as_ref().expect("a path");
        file.balances.push(LeafPath::from(path));
    }
    let path = fill.proof.as_ref().expect("a path");
    file.fills.push(LeafPath::from(path));
    let epoch = proof.epoch.as_ref().expect("an epoch");
    let hash = <[u8; 32]>::try_from(&epoch.header_hash[..]).expect("32 bytes");
    let shown = file.check(Some(hash)).expect("it holds");
    let mut fills = shown.fills.iter();
    let trade = traded.trade_ids[0].cast_unsigned();
    let own = fills.find(|fill| fill.trade == trade && fill.bought);
    let own = own.expect("his side");
    assert_eq!((own.order, own.price, own.lots), (0, PRICE, LOTS));
    assert_eq!(own.role, 3, "off the book");
    // A stranger with the document alone agrees.
    let path = folder.path().join("proof.json");
    std::fs::write(&path, file.json()).expect("written");
    if let Some((good, said)) = python(&path, Some(&hex(&hash))) {
        assert!(good, "{said}");
    }
    venue.running.stop().await;
}
