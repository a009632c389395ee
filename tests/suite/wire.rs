//! Does the exchange keep its printed guarantees towards real clients on a real wire?

use std::time::Duration;

use gateway::client::{Client, Session};
use proto::{
    account::v1::{GetAccountRequest, ListLedgerRequest},
    admin::v1::{
        BustTradeRequest, CreditDepositRequest, GetSystemStatusRequest, SetTradingStateRequest,
        set_trading_state_request::Scope,
    },
    common::v1::{Amount, Side, TradingState},
    marketdata::v1::{GetBookRequest, ListTradesRequest},
    risk::v1::SetAccountLimitsRequest,
    trading::v1::{
        Cancel, GetOrderRequest, ListOpenOrdersRequest, MassCancelSelection, NewOrder,
        OrderEventKind, OrderStatus, Replace, StreamEventsRequest, SubmitOrderRequest,
        SubmitOrderResponse, TimeInForce, cancel, get_order_request, open_session_request::Command,
        replace, session_event::Event, stream_events_request,
    },
};
use tests::venue::{Folder, Venue, limit};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

const PATIENCE: Duration = Duration::from_secs(20);

async fn submit(
    client: &Client,
    account_id: i64,
    order: NewOrder,
) -> Result<SubmitOrderResponse, Status> {
    let request = SubmitOrderRequest {
        account_id,
        order: Some(order),
        ..Default::default()
    };
    client
        .trading()
        .submit_order(request)
        .await
        .map(tonic::Response::into_inner)
}

/// Reason of a refusal of ours.
fn reason(status: &Status) -> String {
    let info = status
        .get_details_error_info()
        .expect("a refusal of ours carries ErrorInfo");
    assert_eq!(info.domain, "hashpit");
    info.reason
}

/// The next event about orders or commands; heartbeats and the words of the login are passed over.
async fn next(session: &mut Session) -> proto::trading::v1::SessionEvent {
    let event = tokio::time::timeout(PATIENCE, async {
        loop {
            let event = session.next().await.expect("the session lives");
            let refused = matches!(event.event, Some(Event::CommandRejected(_)));
            if event.event_seq > 0 || refused {
                return event;
            }
        }
    });
    event.await.expect("an event in time")
}

/// Waits until an account has exactly so many open orders.
async fn wait_for_orders(client: &Client, account_id: i64, count: usize) {
    let request = ListOpenOrdersRequest {
        account_id,
        ..Default::default()
    };
    let same = async {
        loop {
            let open = client.trading().list_open_orders(request.clone()).await;
            if open.expect("orders are listed").into_inner().orders.len() == count {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, same)
        .await
        .expect("the orders change in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_and_unary_call_meet_in_one_book_under_one_journal_position() {
    let folder = Folder::new("one-book");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let mut maker = venue.session("maker-1", "ladder", 0).await;
    let order = limit(1, &contract, Side::Sell, 10, 42_700);
    let client_seq = maker.send(Command::NewOrder(order)).await.expect("sent");
    let accepted = next(&mut maker).await;
    assert_eq!((accepted.client_seq, accepted.event_seq), (client_seq, 1));

    let taker = venue.client("taker-1").await;
    let account = venue.account("taker-1");
    let mut bid = limit(7, &contract, Side::Buy, 4, 42_800);
    bid.time_in_force = TimeInForce::Ioc as i32;
    let answer = submit(&taker, account, bid.clone())
        .await
        .expect("the bid trades");
    let kinds: Vec<i32> = answer.events.iter().map(|event| event.kind).collect();
    let (accepted, fill) = (OrderEventKind::Accepted as i32, OrderEventKind::Fill as i32);
    assert_eq!(kinds, [accepted, fill], "ACCEPTED before FILL");

    let told = next(&mut maker).await;
    let Some(Event::Order(event)) = &told.event else {
        panic!("{told:?}")
    };
    let maker_fill = event.fill.as_ref().expect("a fill");
    let taker_fill = answer.events[1].fill.as_ref().expect("a fill");
    assert_eq!(told.journal_seq, answer.journal_seq);
    assert_eq!(maker_fill.trade_id, taker_fill.trade_id);
    assert_eq!(
        (maker_fill.price_ticks, maker_fill.lots),
        (42_700, 4),
        "at the maker's price"
    );
    assert_eq!((told.event_seq, told.client_seq), (2, 0), "unsolicited");
    assert_eq!((event.open_lots, event.filled_lots), (6, 4));

    let request = ListTradesRequest {
        instrument_id: contract.instrument_id,
        ..Default::default()
    };
    let tape = taker
        .market_data()
        .list_trades(request)
        .await
        .expect("a tape")
        .into_inner();
    let trade = tape.trades[0].trade.as_ref().expect("a trade");
    assert_eq!(trade.trade_id, taker_fill.trade_id);
    assert_eq!(tape.trades[0].journal_seq, answer.journal_seq);

    let again = submit(&taker, account, bid.clone())
        .await
        .expect("a repeat is no error");
    assert!(again.replayed);
    assert_eq!(
        (again.journal_seq, &again.events),
        (answer.journal_seq, &answer.events)
    );
    bid.quantity_lots = 5;
    let other = submit(&taker, account, bid)
        .await
        .expect_err("other content");
    assert_eq!(
        (other.code(), reason(&other)),
        (Code::AlreadyExists, "DUPLICATE_CLIENT_ORDER_ID".into())
    );
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reads_or_trades_anothers_account() {
    let folder = Folder::new("trespass");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let thief = venue.client("taker-1").await;
    let victim = venue.account("maker-1");
    let owner = venue.client("maker-1").await;
    let order = limit(1, &contract, Side::Buy, 1, 42_000);
    let resting = submit(&owner, victim, order.clone())
        .await
        .expect("rests")
        .events[0]
        .order_id;

    let denied = |what: &str, status: Status| {
        assert_eq!(status.code(), Code::PermissionDenied, "{what}: {status:?}");
        assert_eq!(reason(&status), "NOT_AUTHORIZED", "{what}");
    };
    denied(
        "trade",
        submit(&thief, victim, order.clone())
            .await
            .expect_err("trading"),
    );
    let key = Some(get_order_request::Key::OrderId(resting));
    let request = GetOrderRequest {
        account_id: victim,
        key,
    };
    denied(
        "order",
        thief
            .trading()
            .get_order(request)
            .await
            .expect_err("reading"),
    );
    let request = GetAccountRequest { account_id: victim };
    denied(
        "balance",
        thief
            .account()
            .get_account(request)
            .await
            .expect_err("reading"),
    );
    let request = ListLedgerRequest {
        account_id: victim,
        ..Default::default()
    };
    denied(
        "ledger",
        thief
            .account()
            .list_ledger(request)
            .await
            .expect_err("reading"),
    );
    let scope = Some(stream_events_request::Scope::AccountId(victim));
    let request = StreamEventsRequest {
        scope,
        ..Default::default()
    };
    denied(
        "events",
        thief
            .trading()
            .stream_events(request)
            .await
            .expect_err("listening"),
    );
    let scope = Some(stream_events_request::Scope::FirmId(2));
    let request = StreamEventsRequest {
        scope,
        ..Default::default()
    };
    denied(
        "drop copy",
        thief
            .trading()
            .stream_events(request)
            .await
            .expect_err("listening"),
    );
    let request = CreditDepositRequest {
        account_id: venue.account("taker-1"),
        amount: Some(Amount {
            asset_id: 1,
            minor_units: 1,
        }),
        rail: 1,
        request_id: 1,
        ..Default::default()
    };
    denied(
        "money",
        thief
            .admin()
            .credit_deposit(request)
            .await
            .expect_err("printing money"),
    );

    // By name of the order within the own account: it is not there.
    let target = Some(cancel::Target::OrderId(resting));
    let request = proto::trading::v1::CancelOrderRequest {
        account_id: venue.account("taker-1"),
        cancel: Some(Cancel {
            target,
            instrument_id: 0,
        }),
    };
    let unknown = thief
        .trading()
        .cancel_order(request)
        .await
        .expect_err("cancelling");
    assert_eq!(
        (unknown.code(), reason(&unknown)),
        (Code::NotFound, "UNKNOWN_ORDER".into())
    );

    // An account nobody has answers like one that somebody else has.
    denied(
        "nobody's",
        submit(&thief, 4_711, order).await.expect_err("trading"),
    );
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_one_method_for_a_minute() {
    use proto::trading::v1::trading_service_client::TradingServiceClient;

    let folder = Folder::new("tokens");
    let venue = Venue::start(folder.path()).await;
    let path = venue.keys.join("maker-1.key");
    let key = gateway::keys::PrivateKey::load(&path).expect("a key");
    let account_id = venue.account("maker-1");
    let now = gateway::auth::now_nanos() / 1_000_000_000;
    let list = "/hashpit.trading.v1.TradingService/ListOpenOrders";
    let ask = async |token: Option<String>| {
        let mut client = TradingServiceClient::connect(venue.address())
            .await
            .expect("somebody listens");
        let mut request = Request::new(ListOpenOrdersRequest {
            account_id,
            ..Default::default()
        });
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("a header");
            request.metadata_mut().insert("authorization", value);
        }
        client.list_open_orders(request).await.map(drop)
    };
    assert!(ask(Some(key.mint(list, now, 60))).await.is_ok());
    let get = "/hashpit.trading.v1.TradingService/GetOrder";
    let stranger = gateway::keys::PrivateKey::generate().expect("a key");
    let bad = [
        ("no token", None),
        ("of another method", Some(key.mint(get, now, 60))),
        ("expired", Some(key.mint(list, now - 120, 60))),
        ("from the future", Some(key.mint(list, now + 120, 60))),
        ("of an unknown key", Some(stranger.mint(list, now, 60))),
        ("garbled", Some(format!("{}x", key.mint(list, now, 60)))),
    ];
    for (what, token) in bad {
        let status = ask(token).await.expect_err(what);
        assert_eq!(status.code(), Code::Unauthenticated, "{what}: {status:?}");
        assert_eq!(reason(&status), "AUTHENTICATION_FAILED", "{what}");
    }
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_stream_cancels_what_the_session_entered_and_nothing_else() {
    let folder = Folder::new("disconnect");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let account = venue.account("maker-1");
    let watcher = venue.client("maker-1").await;
    let mut other = venue.session("maker-1", "other", 0).await;
    let order = limit(1, &contract, Side::Buy, 1, 42_000);
    other.send(Command::NewOrder(order)).await.expect("sent");
    next(&mut other).await;
    submit(&watcher, account, limit(2, &contract, Side::Buy, 1, 42_001))
        .await
        .expect("rests");

    let mut lost = venue.session("maker-1", "lost", 0).await;
    lost.send(Command::NewOrder(limit(3, &contract, Side::Buy, 1, 42_002)))
        .await
        .expect("sent");
    let mut kept = limit(4, &contract, Side::Buy, 1, 42_003);
    kept.keep_on_disconnect = true;
    lost.send(Command::NewOrder(kept)).await.expect("sent");
    next(&mut lost).await;
    next(&mut lost).await;
    wait_for_orders(&watcher, account, 4).await;
    drop(lost);
    wait_for_orders(&watcher, account, 3).await;
    let key = Some(get_order_request::Key::ClientOrderId(3));
    let request = GetOrderRequest {
        account_id: account,
        key,
    };
    let gone = watcher
        .trading()
        .get_order(request)
        .await
        .expect("known")
        .into_inner();
    let gone = gone.order.expect("an order");
    assert_eq!(gone.status, OrderStatus::Cancelled as i32);
    let why = gone.problem.expect("a cause").reason;
    assert_eq!(why, proto::common::v1::Reason::Disconnect as i32);

    // With grace, a session that comes back in time keeps its orders.
    let mut patient = venue.session("maker-1", "patient", 60_000).await;
    let order = limit(5, &contract, Side::Buy, 1, 42_004);
    patient.send(Command::NewOrder(order)).await.expect("sent");
    next(&mut patient).await;
    let recovered = patient.resume().await.expect("the session resumes");
    assert!(!recovered.disconnect_action_ran);
    wait_for_orders(&watcher, account, 4).await;
    patient.terminate(true).await.expect("good-bye");
    wait_for_orders(&watcher, account, 3).await;
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_client_is_lost_by_its_heartbeat() {
    use proto::trading::v1::{Establish, OpenSessionRequest};

    let folder = Folder::new("heartbeat");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let client = venue.client("maker-1").await;
    let account_id = venue.account("maker-1");
    let (say, hear) = tokio::sync::mpsc::channel(8);
    let message = |client_seq, command| OpenSessionRequest {
        client_seq,
        deadline_unix_nanos: 0,
        command: Some(command),
    };
    let establish = Establish {
        session_name: "silent".into(),
        account_id,
        heartbeat_interval_ms: 100,
        ..Default::default()
    };
    say.send(message(0, Command::Establish(establish)))
        .await
        .expect("sent");
    let order = limit(1, &contract, Side::Buy, 1, 42_000);
    say.send(message(1, Command::NewOrder(order)))
        .await
        .expect("sent");
    let stream = tokio_stream::wrappers::ReceiverStream::new(hear);
    let mut told = client
        .trading()
        .open_session(stream)
        .await
        .expect("opens")
        .into_inner();
    // Silence from here on; the stream stays open.
    let end = tokio::time::timeout(PATIENCE, async {
        let mut last = None;
        loop {
            match told.message().await {
                Ok(Some(response)) => last = response.events.last().cloned().or(last),
                Ok(None) => panic!("ends with a status"),
                Err(status) => return (last, status),
            }
        }
    });
    let (last, status) = end.await.expect("the silence is noticed");
    assert_eq!(reason(&status), "HEARTBEAT_TIMEOUT");
    let Some(Event::Terminated(ended)) = last.and_then(|event| event.event) else {
        panic!("Terminated comes before the status");
    };
    let why = ended.problem.expect("a cause").reason;
    assert_eq!(why, proto::common::v1::Reason::HeartbeatTimeout as i32);
    wait_for_orders(&client, account_id, 0).await;
    let key = Some(get_order_request::Key::ClientOrderId(1));
    let request = GetOrderRequest { account_id, key };
    let order = client
        .trading()
        .get_order(request)
        .await
        .expect("known")
        .into_inner();
    let why = order
        .order
        .and_then(|order| order.problem)
        .expect("a cause")
        .reason;
    assert_eq!(why, proto::common::v1::Reason::HeartbeatLost as i32);
    drop(say);
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_login_fences_the_first() {
    let folder = Folder::new("fence");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let mut first = venue.session("maker-1", "only", 0).await;
    first
        .send(Command::NewOrder(limit(1, &contract, Side::Buy, 1, 42_000)))
        .await
        .expect("sent");
    next(&mut first).await;
    let second = venue.session("maker-1", "only", 0).await;
    assert_eq!(
        second.upcoming_client_seq(),
        2,
        "counts what the first got in"
    );
    let ended = tokio::time::timeout(PATIENCE, async {
        loop {
            match first.next().await {
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    });
    let error = ended.await.expect("the first is told");
    assert_eq!(error.reason(), "SESSION_FENCED", "{error}");
    let watcher = venue.client("maker-1").await;
    wait_for_orders(&watcher, venue.account("maker-1"), 1).await;
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_amend_keeps_or_loses_its_place_as_published() {
    let folder = Folder::new("amend");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let mut maker = venue.session("maker-1", "amend", 0).await;
    let order = limit(1, &contract, Side::Buy, 10, 42_000);
    maker.send(Command::NewOrder(order)).await.expect("sent");
    next(&mut maker).await;
    let change = |lots, price, strict| {
        Command::Replace(Replace {
            target: Some(replace::Target::ClientOrderId(1)),
            quantity_lots: lots,
            price_ticks: price,
            reject_if_priority_lost: strict,
            ..Default::default()
        })
    };
    let cases = [
        (change(Some(8), None, true), OrderEventKind::Replaced, false),
        (
            change(Some(9), None, true),
            OrderEventKind::ReplaceRejected,
            false,
        ),
        (change(Some(9), None, false), OrderEventKind::Replaced, true),
        (
            change(None, Some(42_001), false),
            OrderEventKind::Replaced,
            true,
        ),
        (change(None, None, true), OrderEventKind::Replaced, false),
    ];
    for (place, (command, kind, lost)) in cases.into_iter().enumerate() {
        maker.send(command).await.expect("sent");
        let told = next(&mut maker).await;
        let Some(Event::Order(event)) = told.event else {
            panic!("case {place}: {told:?}")
        };
        assert_eq!(
            (event.kind, event.priority_lost),
            (kind as i32, lost),
            "case {place}"
        );
    }
    let all = MassCancelSelection::default();
    maker.send(Command::MassCancel(all)).await.expect("sent");
    next(&mut maker).await;
    let told = next(&mut maker).await;
    let Some(Event::MassCancelDone(done)) = told.event else {
        panic!("{told:?}")
    };
    assert_eq!(done.cancelled_orders, 1);
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_served_says_so() {
    let folder = Folder::new("unserved");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let operator = venue.client("operator").await;
    let request = BustTradeRequest::default();
    let status = operator
        .admin()
        .bust_trade(request)
        .await
        .expect_err("not served");
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::Unimplemented, "NOT_IMPLEMENTED".into())
    );

    let maker = venue.client("maker-1").await;
    let mut physical = limit(1, &contract, Side::Buy, 10, 42_000);
    physical.destination_id = 2;
    let status = submit(&maker, venue.account("maker-1"), physical.clone())
        .await
        .expect_err("not served");
    assert_eq!(status.code(), Code::Unimplemented);
    let request = SetAccountLimitsRequest::default();
    let status = maker.risk().set_account_limits(request).await;
    let status = status.expect_err("not served");
    assert_eq!(status.code(), Code::Unimplemented);

    let mut session = venue.session("maker-1", "unserved", 0).await;
    session
        .send(Command::NewOrder(physical))
        .await
        .expect("sent");
    let told = next(&mut session).await;
    let Some(Event::CommandRejected(rejected)) = told.event else {
        panic!("{told:?}")
    };
    let why = rejected.problem.expect("a cause").reason;
    assert_eq!(why, proto::common::v1::Reason::NotImplemented as i32);
    assert_eq!(
        told.event_seq, 0,
        "the gateway's own refusals are not journaled"
    );

    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halt_stops_new_orders_but_never_a_cancel() {
    let folder = Folder::new("halt");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let maker = venue.client("maker-1").await;
    let account = venue.account("maker-1");
    submit(&maker, account, limit(1, &contract, Side::Buy, 5, 42_000))
        .await
        .expect("rests");
    let operator = venue.client("operator").await;
    let request = SetTradingStateRequest {
        scope: Some(Scope::InstrumentId(contract.instrument_id)),
        target_state: TradingState::Halted as i32,
        request_id: 7,
        ..Default::default()
    };
    operator
        .admin()
        .set_trading_state(request)
        .await
        .expect("halted");
    let order = limit(2, &contract, Side::Buy, 5, 42_000);
    let status = submit(&maker, account, order).await.expect_err("halted");
    assert_eq!(reason(&status), "INSTRUMENT_NOT_TRADING");
    let cancel = Cancel {
        target: Some(cancel::Target::ClientOrderId(1)),
        instrument_id: 0,
    };
    let request = proto::trading::v1::CancelOrderRequest {
        account_id: account,
        cancel: Some(cancel),
    };
    maker
        .trading()
        .cancel_order(request)
        .await
        .expect("a cancel always works");
    let status = operator
        .admin()
        .get_system_status(GetSystemStatusRequest {})
        .await;
    assert!(status.expect("a status").into_inner().conservation_ok);
    let request = GetBookRequest {
        instrument_id: contract.instrument_id,
        depth_levels: 0,
    };
    let book = maker
        .market_data()
        .get_book(request)
        .await
        .expect("a book")
        .into_inner();
    let book = book.book.expect("a book");
    assert!(book.bids.is_empty() && book.asks.is_empty());
    venue.running.stop().await;
}
