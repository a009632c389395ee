//! Quotes, batches, protection, switches, stops, icebergs and auctions, seen by real clients on a real
//! wire.

use std::time::Duration;

use gateway::{
    client::{Client, Quotes, Session, SessionOptions, Steps},
    keys::PrivateKey,
};
use proto::{
    admin::v1::{
        ApiKey, CreateApiKeyRequest, GetSystemStatusRequest, ListAccountsRequest,
        SetExchangeKillSwitchRequest, SetTradingStateRequest, set_trading_state_request,
    },
    common::v1::{Permission, Problem, Reason, Side, TradingState},
    marketdata::v1::{
        AuctionState, BookSnapshot, Channel, GetBookRequest, ListTradesRequest, SubscribeRequest,
        Subscription, TradeKind, market_data_update::Payload,
    },
    reference::v1::Instrument,
    risk::v1::{
        ListKillSwitchesRequest, ListMmpGroupsRequest, MmpGroup, SetKillSwitchRequest,
        SetMmpGroupRequest, kill_switch, set_kill_switch_request,
    },
    trading::v1::{
        BatchDone, BatchPolicy, Cancel, DisconnectAction, GetOrderRequest, Liquidity,
        ListOpenOrdersRequest, MassQuoteDone, MmpEvent, MmpLimit, MmpReset, NewOrder, Order,
        OrderEvent, OrderEventKind, OrderStatus, OrderType, SessionEvent, SetOrderEntry,
        StreamEventsRequest, SubmitOrderRequest, SubmitOrderResponse, TimeInForce, TriggerSource,
        cancel, get_order_request, open_session_request::Command, private_event,
        session_event::Event, stream_events_request,
    },
};
use tests::venue::{Folder, Venue, limit};
use tonic::{Code, Status};
use tonic_types::StatusExt;

const PATIENCE: Duration = Duration::from_secs(20);

/// The next event that says something about orders, commands, groups or switches.
async fn next(session: &mut Session) -> SessionEvent {
    let event = tokio::time::timeout(PATIENCE, async {
        loop {
            let event = session.next().await.expect("the session lives");
            match event.event {
                Some(
                    Event::Heartbeat(_)
                    | Event::Established(_)
                    | Event::OrderImage(_)
                    | Event::ReplayComplete(_)
                    | Event::Notice(_),
                ) => {}
                _ => return event,
            }
        }
    });
    event.await.expect("an event in time")
}

/// The next event, which is about an order.
async fn next_order(session: &mut Session) -> (SessionEvent, OrderEvent) {
    let told = next(session).await;
    match &told.event {
        Some(Event::Order(order)) => (told.clone(), order.clone()),
        _ => panic!("about an order: {told:?}"),
    }
}

fn options(venue: &Venue, name: &str) -> SessionOptions {
    SessionOptions {
        name: name.into(),
        account_id: venue.account("maker-1"),
        heartbeat_interval_ms: 1_000,
        disconnect_action: DisconnectAction::CancelSessionOrders,
        disconnect_grace_ms: 0,
    }
}

async fn next_done(session: &mut Session) -> MassQuoteDone {
    let told = next(session).await;
    match told.event {
        Some(Event::MassQuoteDone(done)) => done,
        _ => panic!("the end of a mass quote: {told:?}"),
    }
}

async fn send(session: &mut Session, command: impl Into<Command>) -> i64 {
    session.send(command.into()).await.expect("sent")
}

async fn submit(
    venue: &Venue,
    actor: &str,
    order: NewOrder,
) -> Result<SubmitOrderResponse, Status> {
    let request = SubmitOrderRequest {
        account_id: venue.account(actor),
        order: Some(order),
        ..Default::default()
    };
    let client = venue.client(actor).await;
    let answer = client.trading().submit_order(request).await;
    answer.map(tonic::Response::into_inner)
}

/// Takes or leaves `lots` at a price.
fn take(id: u64, contract: &Instrument, side: Side, lots: i64, price: i64) -> NewOrder {
    NewOrder {
        time_in_force: TimeInForce::Ioc as i32,
        ..limit(id, contract, side, lots, price)
    }
}

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.expect("a refusal of ours carries ErrorInfo").reason
}

fn why(problem: Option<&Problem>) -> Reason {
    problem.expect("a cause").reason()
}

async fn book(venue: &Venue, contract: &Instrument) -> BookSnapshot {
    let request = GetBookRequest {
        instrument_id: contract.instrument_id,
        depth_levels: 0,
    };
    let client = venue.client("taker-2").await;
    let answer = client.market_data().get_book(request).await;
    let book = answer.expect("a book").into_inner().book;
    book.expect("a book")
}

/// Price and lots of each level, best first.
fn levels(levels: &[proto::marketdata::v1::PriceLevel]) -> Vec<(i64, i64)> {
    let row = |level: &proto::marketdata::v1::PriceLevel| (level.price_ticks, level.lots);
    levels.iter().map(row).collect()
}

async fn order(venue: &Venue, actor: &str, client_order_id: u64) -> Order {
    let request = GetOrderRequest {
        account_id: venue.account(actor),
        key: Some(get_order_request::Key::ClientOrderId(client_order_id)),
    };
    let client = venue.client(actor).await;
    let answer = client.trading().get_order(request).await;
    answer.expect("known").into_inner().order.expect("an order")
}

/// A client of an actor's firm with these permissions and no others.
async fn key_with(venue: &Venue, actor: &str, permissions: &[Permission]) -> Client {
    let operator = venue.client("operator").await;
    let all = operator
        .admin()
        .list_accounts(ListAccountsRequest::default())
        .await;
    let all = all.expect("accounts are listed").into_inner().accounts;
    let account = venue.account(actor);
    let row = all.iter().find(|row| row.account_id == account);
    let key = PrivateKey::generate().expect("a key");
    let described = ApiKey {
        firm_id: row.expect("the account").firm_id,
        label: "test".into(),
        public_key: key.public_key().to_vec(),
        permissions: permissions.iter().map(|held| *held as i32).collect(),
        ..Default::default()
    };
    let request = CreateApiKeyRequest {
        key: Some(described),
        request_id: gateway::auth::now_nanos().unsigned_abs(),
    };
    let made = operator.admin().create_api_key(request).await;
    made.expect("the key is registered");
    let address = venue.address();
    Client::connect(&address, key)
        .await
        .expect("somebody listens")
}

/// Protects a maker's contract: so many fills within a minute, quotes of up to 100 lots.
async fn protect(venue: &Venue, contract: &Instrument, fill_count_limit: i32) {
    let group = MmpGroup {
        mmp_group: 1,
        product_id: contract.product_id,
        window_ms: 60_000,
        fill_count_limit,
        max_quote_lots: 100,
        ..Default::default()
    };
    let request = SetMmpGroupRequest {
        account_id: venue.account("maker-1"),
        group: Some(group),
        request_id: 1,
    };
    let client = venue.client("maker-1").await;
    let answer = client.risk().set_mmp_group(request).await;
    let stored = answer.expect("the group is set").into_inner().group;
    assert_eq!(stored, Some(group));
}

async fn groups(venue: &Venue) -> Vec<MmpGroup> {
    let request = ListMmpGroupsRequest {
        account_id: venue.account("maker-1"),
        ..Default::default()
    };
    let client = venue.client("maker-1").await;
    let answer = client.risk().list_mmp_groups(request).await;
    answer.expect("groups are listed").into_inner().groups
}

/// The freeze at a journal position, as the account's drop copy tells it.
async fn dropped_copy(venue: &Venue, position: i64) -> MmpEvent {
    let request = StreamEventsRequest {
        scope: Some(stream_events_request::Scope::AccountId(
            venue.account("maker-1"),
        )),
        resume_after_journal_seq: Some(position - 1),
        fills_only: false,
    };
    let client = venue.client("maker-1").await;
    let answer = client.trading().stream_events(request).await;
    let mut stream = answer.expect("a stream").into_inner();
    let found = async {
        loop {
            let message = stream.message().await.expect("the stream lives");
            for event in message.expect("no end").events {
                if let Some(private_event::Event::Mmp(change)) = event.event {
                    assert_eq!(event.journal_seq, position);
                    assert!(event.index > 0, "after the fill and the cancels");
                    return change;
                }
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    found.expect("the freeze is copied in time")
}

async fn open_orders(venue: &Venue, actor: &str, include_quotes: bool) -> Vec<Order> {
    let request = ListOpenOrdersRequest {
        account_id: venue.account(actor),
        include_quotes,
        ..Default::default()
    };
    let client = venue.client(actor).await;
    let answer = client.trading().list_open_orders(request).await;
    answer.expect("orders are listed").into_inner().orders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_refresh_keeps_loses_and_refuses_side_by_side() {
    let folder = Folder::new("mass-quote");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    protect(&venue, &contract, 0).await;
    let mut maker = venue.session("maker-1", "quotes", 0).await;
    let (inner, outer) = ((contract.instrument_id, 0), (contract.instrument_id, 1));
    let first = Quotes::new(1, 1)
        .with_order_ids()
        .bid(inner, 42_600, 10)
        .ask(inner, 42_700, 10);
    send(&mut maker, first).await;
    let first = next_done(&mut maker).await;
    assert_eq!((first.quote_id, first.accepted_sides), (1, 2));
    assert_eq!((first.kept_priority_sides, first.problems.len()), (0, 0));

    let second = Quotes::new(1, 2)
        .with_order_ids()
        .bid(inner, 42_600, 5)
        .ask(inner, 42_690, 10)
        .bid(outer, 42_500, 200);
    let client_seq = send(&mut maker, second).await;
    let told = next(&mut maker).await;
    assert_eq!((told.client_seq, told.event_seq), (client_seq, 2));
    let Some(Event::MassQuoteDone(second)) = told.event else {
        panic!("{told:?}")
    };
    assert_eq!((second.accepted_sides, second.kept_priority_sides), (2, 1));
    let [refused] = second.problems.as_slice() else {
        panic!("one refused side: {second:?}")
    };
    assert_eq!((refused.entry_index, refused.side), (1, Side::Buy as i32));
    let problem = refused.problem.as_ref();
    assert_eq!(why(problem), Reason::QuantityOutOfRange);
    assert_eq!(problem.map(|p| (p.limit, p.actual)), Some((100, 200)));
    let same = |side: usize| second.sides[side].order_id == first.sides[side].order_id;
    assert!(same(0) && same(1), "the same orders go on");
    assert_eq!(second.sides[0].priority, first.sides[0].priority, "kept");
    assert!(second.sides[1].priority > first.sides[1].priority, "lost");

    let shown = book(&venue, &contract).await;
    assert_eq!(levels(&shown.bids), [(42_600, 5)]);
    assert_eq!(levels(&shown.asks), [(42_690, 10)]);
    assert_eq!(open_orders(&venue, "maker-1", false).await.len(), 0);
    let quotes = open_orders(&venue, "maker-1", true).await;
    let keys: Vec<_> = quotes.iter().filter_map(|order| order.quote).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|key| (key.quote_id, key.slot) == (2, 0)));

    let hit = take(1, &contract, Side::Buy, 4, 42_690);
    submit(&venue, "taker-1", hit).await.expect("trades");
    let (_, fill) = next_order(&mut maker).await;
    assert_eq!(fill.kind(), OrderEventKind::Fill);
    assert_eq!((fill.client_order_id, fill.open_lots), (0, 6));
    assert_eq!(fill.quote.map(|key| (key.quote_id, key.slot)), Some((2, 0)));

    // Trading is not quoting: a key may hold the one permission without the other.
    let trader = key_with(&venue, "maker-1", &[Permission::Trade]).await;
    let mut trader = Session::open(trader, options(&venue, "trader"))
        .await
        .expect("logs on");
    send(&mut trader, Quotes::new(1, 3).bid(inner, 42_600, 5)).await;
    let told = next(&mut trader).await;
    let Some(Event::CommandRejected(rejected)) = told.event else {
        panic!("{told:?}")
    };
    assert_eq!(why(rejected.problem.as_ref()), Reason::NotAuthorized);
    venue.running.stop().await;
}

/// An order, a cancel of nothing, an order.
fn steps(policy: BatchPolicy, contract: &Instrument, id: u64) -> Steps {
    let nothing = Cancel {
        target: Some(cancel::Target::ClientOrderId(4_711)),
        instrument_id: 0,
    };
    Steps::new(policy)
        .place(limit(id, contract, Side::Buy, 1, 42_000))
        .cancel(nothing)
        .place(limit(id + 1, contract, Side::Buy, 1, 42_001))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_does_about_a_refusal_what_its_policy_says() {
    use OrderEventKind::{Accepted, CancelRejected, Rejected};
    let folder = Folder::new("batch");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let mut maker = venue.session("maker-1", "batches", 0).await;
    let (ran, unknown, stopped) = (
        (Accepted, None),
        (CancelRejected, Some(Reason::UnknownOrder)),
        (Rejected, Some(Reason::BatchStopped)),
    );
    let cases = [
        (BatchPolicy::BestEffort, [ran, unknown, ran], [2, 1, 0]),
        (
            BatchPolicy::StopOnReject,
            [ran, unknown, stopped],
            [1, 1, 1],
        ),
        (
            BatchPolicy::AllOrNoneValidate,
            [stopped, unknown, stopped],
            [0, 1, 2],
        ),
    ];
    for (turn, (policy, told, counts)) in (0..).zip(cases) {
        let batch = steps(policy, &contract, 1 + turn * 2);
        let client_seq = send(&mut maker, batch).await;
        let mut position = None;
        for (item, (kind, reason)) in (0..).zip(told) {
            let (event, order) = next_order(&mut maker).await;
            assert_eq!((event.client_seq, event.item_index), (client_seq, item));
            let known = *position.get_or_insert(event.journal_seq);
            assert_eq!(event.journal_seq, known, "one command");
            assert_eq!(order.kind(), kind, "{policy:?} item {item}");
            let cause = order.problem.as_ref().map(Problem::reason);
            assert_eq!(cause, reason, "{policy:?} item {item}");
        }
        let event = next(&mut maker).await;
        let Some(Event::BatchDone(done)) = event.event else {
            panic!("{event:?}")
        };
        let [accepted, rejected, not_attempted] = counts;
        let expected = BatchDone {
            accepted,
            rejected,
            not_attempted,
        };
        assert_eq!(done, expected, "{policy:?}");
    }
    assert_eq!(open_orders(&venue, "maker-1", true).await.len(), 3);

    // What cannot be said to the core refuses the whole, before the core.
    let mut broken = limit(20, &contract, Side::Buy, 1, 42_000);
    broken.price_ticks = None;
    let batch = steps(BatchPolicy::BestEffort, &contract, 18).place(broken);
    let client_seq = send(&mut maker, batch).await;
    let event = next(&mut maker).await;
    assert_eq!((event.client_seq, event.event_seq), (client_seq, 0));
    let Some(Event::CommandRejected(rejected)) = event.event else {
        panic!("{event:?}")
    };
    let problem = rejected.problem.expect("a cause");
    assert_eq!(problem.reason(), Reason::InvalidField);
    assert_eq!(problem.field, "batch.items[3].price_ticks");
    assert_eq!(open_orders(&venue, "maker-1", true).await.len(), 3);
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protected_maker_freezes_at_its_limit_and_resets() {
    let folder = Folder::new("protection");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    protect(&venue, &contract, 2).await;
    let mut maker = venue.session("maker-1", "protected", 0).await;
    let rung = (contract.instrument_id, 0);
    let quote = || {
        Quotes::new(1, 1)
            .bid(rung, 42_600, 10)
            .ask(rung, 42_700, 10)
    };
    send(&mut maker, quote()).await;
    next_done(&mut maker).await;
    for id in 1..=2 {
        let hit = take(id, &contract, Side::Buy, 1, 42_700);
        submit(&venue, "taker-1", hit).await.expect("trades");
        let (_, fill) = next_order(&mut maker).await;
        assert_eq!(fill.kind(), OrderEventKind::Fill, "fill {id}");
    }
    // In the step of the second fill: both sides go, then the freeze is told.
    let mut position = 0;
    for _ in 0..2 {
        let (event, gone) = next_order(&mut maker).await;
        assert_eq!(gone.kind(), OrderEventKind::Cancelled);
        assert_eq!(why(gone.problem.as_ref()), Reason::MmpTriggered);
        position = event.journal_seq;
    }
    let told = next(&mut maker).await;
    let Some(Event::Mmp(froze)) = &told.event else {
        panic!("{told:?}")
    };
    assert_eq!((told.event_seq, told.client_seq), (0, 0), "no number");
    assert_eq!(told.journal_seq, position);
    assert!(froze.frozen);
    assert_eq!((froze.mmp_group, froze.cancelled_orders), (1, 2));
    assert_eq!(froze.limit_hit(), MmpLimit::FillCount);
    assert_eq!(froze.frozen_until_unix_nanos, 0, "until reset");
    assert!(groups(&venue).await[0].frozen);
    assert_eq!(dropped_copy(&venue, position).await, *froze);

    send(&mut maker, quote()).await;
    let told = next(&mut maker).await;
    let Some(Event::CommandRejected(rejected)) = told.event else {
        panic!("{told:?}")
    };
    assert_eq!(why(rejected.problem.as_ref()), Reason::MmpFrozen);
    let mut protected = limit(1, &contract, Side::Buy, 1, 42_000);
    protected.mmp_group = 1;
    send(&mut maker, Command::NewOrder(protected)).await;
    let (last, refused) = next_order(&mut maker).await;
    assert_eq!(why(refused.problem.as_ref()), Reason::MmpFrozen);

    let reset = Command::MmpReset(MmpReset { mmp_group: 1 });
    let client_seq = send(&mut maker, reset).await;
    let told = next(&mut maker).await;
    let Some(Event::Mmp(thawed)) = &told.event else {
        panic!("{told:?}")
    };
    assert_eq!((told.client_seq, told.event_seq), (client_seq, 0));
    assert!(!thawed.frozen);
    assert!(!groups(&venue).await[0].frozen);
    // It has no number, but a client that comes back learns that its reset was done.
    let options = options(&venue, "protected");
    let client = venue.client("maker-1").await;
    let mut maker = Session::open_after(client, options, last.event_seq)
        .await
        .expect("comes back");
    let again = next(&mut maker).await;
    assert_eq!((again.client_seq, again.replayed), (client_seq, true));
    assert_eq!(again.event, told.event);
    send(&mut maker, quote()).await;
    assert_eq!(next_done(&mut maker).await.accepted_sides, 2);
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_risk_managers_switch_stops_an_account_and_only_risk_releases_it() {
    let folder = Folder::new("switch");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let account = venue.account("maker-1");
    let mut maker = venue.session("maker-1", "stopped", 0).await;
    let place = |id| Command::NewOrder(limit(id, &contract, Side::Buy, 1, 42_000));
    send(&mut maker, place(1)).await;
    next_order(&mut maker).await;

    let switch = |engaged, request_id| SetKillSwitchRequest {
        scope: Some(set_kill_switch_request::Scope::AccountId(account)),
        engaged,
        cancel_open_orders: engaged,
        note: "too fast".into(),
        request_id,
    };
    let trader = key_with(&venue, "maker-1", &[Permission::Trade, Permission::Read]).await;
    let stranger = venue.client("taker-1").await;
    for denied in [&trader, &stranger] {
        let status = denied.risk().set_kill_switch(switch(true, 5)).await;
        let status = status.expect_err("not theirs");
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    }
    let risk = key_with(&venue, "maker-1", &[Permission::Risk]).await;
    let done = risk.risk().set_kill_switch(switch(true, 7)).await;
    let done = done.expect("engaged").into_inner();
    assert_eq!(done.cancelled_orders, 1);

    // Which of the two is told first is the core's business.
    let (mut cancelled, mut blocked) = (false, false);
    for _ in 0..2 {
        let told = next(&mut maker).await;
        assert_eq!(told.journal_seq, done.journal_seq);
        match told.event {
            Some(Event::Order(order)) => {
                assert_eq!(why(order.problem.as_ref()), Reason::KillSwitchAccount);
                cancelled = order.kind() == OrderEventKind::Cancelled;
            }
            Some(Event::OrderEntryChanged(entry)) => {
                assert_eq!((told.event_seq, told.client_seq), (0, 0));
                assert_eq!(entry.reason(), Reason::KillSwitchAccount);
                blocked = entry.blocked;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(cancelled && blocked);
    send(&mut maker, place(2)).await;
    let (_, refused) = next_order(&mut maker).await;
    assert_eq!(why(refused.problem.as_ref()), Reason::KillSwitchAccount);
    // A session releases its own blocks only.
    send(
        &mut maker,
        Command::SetOrderEntry(SetOrderEntry { blocked: false }),
    )
    .await;
    next(&mut maker).await;
    send(&mut maker, place(3)).await;
    let (_, refused) = next_order(&mut maker).await;
    assert_eq!(why(refused.problem.as_ref()), Reason::KillSwitchAccount);

    let listed = async || {
        let request = ListKillSwitchesRequest::default();
        let answer = risk.risk().list_kill_switches(request).await;
        answer.expect("switches are listed").into_inner().switches
    };
    let on = listed().await;
    let [one] = on.as_slice() else {
        panic!("one switch: {on:?}")
    };
    assert_eq!(one.scope, Some(kill_switch::Scope::AccountId(account)));
    let by = (one.note.as_str(), one.key_id.as_str());
    assert_eq!(by, ("too fast", risk.key_id()));
    assert!(one.engaged_unix_nanos > 0);

    let released = risk.risk().set_kill_switch(switch(false, 8)).await;
    released.expect("released");
    assert!(listed().await.is_empty());
    let told = next(&mut maker).await;
    assert!(
        matches!(&told.event, Some(Event::OrderEntryChanged(entry)) if !entry.blocked),
        "{told:?}"
    );
    send(&mut maker, place(4)).await;
    let (_, accepted) = next_order(&mut maker).await;
    assert_eq!(accepted.kind(), OrderEventKind::Accepted);

    // The exchange's own switch is the operator's, and is everybody's.
    let operator = venue.client("operator").await;
    let venue_switch = |engaged, request_id| SetExchangeKillSwitchRequest {
        engaged,
        request_id,
        ..Default::default()
    };
    let (mut theirs, mut admin) = (risk.admin(), operator.admin());
    let status = theirs.set_exchange_kill_switch(venue_switch(true, 9)).await;
    assert_eq!(
        status.expect_err("not theirs").code(),
        Code::PermissionDenied
    );
    let done = admin.set_exchange_kill_switch(venue_switch(true, 9)).await;
    done.expect("engaged");
    let order = limit(1, &contract, Side::Buy, 1, 42_000);
    let status = submit(&venue, "taker-1", order).await.expect_err("stopped");
    assert_eq!(reason(&status), "KILL_SWITCH_EXCHANGE");
    let health = admin.get_system_status(GetSystemStatusRequest {}).await;
    assert!(health.expect("a status").into_inner().exchange_kill_switch);
    let done = admin
        .set_exchange_kill_switch(venue_switch(false, 10))
        .await;
    done.expect("released");
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_unseen_and_trades_with_the_trade_that_releases_it() {
    let folder = Folder::new("stop");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let resting = limit(1, &contract, Side::Sell, 5, 42_700);
    submit(&venue, "maker-1", resting).await.expect("rests");
    let mut owner = venue.session("taker-1", "stops", 0).await;
    let mut stop = limit(1, &contract, Side::Buy, 2, 42_720);
    stop.order_type = OrderType::StopLimit as i32;
    stop.trigger_price_ticks = Some(42_700);
    stop.trigger_source = TriggerSource::LastTrade as i32;
    send(&mut owner, Command::NewOrder(stop.clone())).await;
    let (_, accepted) = next_order(&mut owner).await;
    assert_eq!(accepted.kind(), OrderEventKind::Accepted);
    assert_eq!(accepted.status(), OrderStatus::Untriggered);

    let waiting = order(&venue, "taker-1", 1).await;
    assert_eq!(waiting.status(), OrderStatus::Untriggered);
    assert_eq!(waiting.open_lots, 2);
    let said = waiting.instructions.expect("instructions");
    assert_eq!(said.order_type(), OrderType::StopLimit);
    assert_eq!(said.trigger_price_ticks, stop.trigger_price_ticks);
    assert_eq!(said.trigger_source(), TriggerSource::LastTrade);
    assert_eq!(said.price_ticks, Some(42_720));
    assert!(book(&venue, &contract).await.bids.is_empty(), "unseen");

    let hit = take(1, &contract, Side::Buy, 1, 42_700);
    let hit = submit(&venue, "miner-1", hit).await.expect("trades");
    let (event, triggered) = next_order(&mut owner).await;
    assert_eq!(triggered.kind(), OrderEventKind::Triggered);
    assert_eq!(triggered.status(), OrderStatus::Open);
    assert_eq!(event.client_seq, 0, "somebody else's command");
    assert_eq!(event.journal_seq, hit.journal_seq);
    let (event, fill) = next_order(&mut owner).await;
    assert_eq!(event.journal_seq, hit.journal_seq, "in the same step");
    let traded = fill.fill.as_ref().expect("a fill");
    assert_eq!((traded.price_ticks, traded.lots), (42_700, 2));
    assert_eq!(fill.status(), OrderStatus::Filled);
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hidden_part_of_an_iceberg_is_not_in_the_depth() {
    let folder = Folder::new("iceberg");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let mut maker = venue.session("maker-1", "iceberg", 0).await;
    let mut iceberg = limit(1, &contract, Side::Sell, 10, 42_700);
    iceberg.display_lots = 3;
    send(&mut maker, Command::NewOrder(iceberg)).await;
    let (_, accepted) = next_order(&mut maker).await;
    assert_eq!((accepted.open_lots, accepted.display_lots), (10, 3));
    let shown = book(&venue, &contract).await;
    assert_eq!(levels(&shown.asks), [(42_700, 3)]);

    let hit = take(1, &contract, Side::Buy, 4, 42_700);
    let hit = submit(&venue, "taker-1", hit).await.expect("trades");
    let lots: Vec<i64> = hit
        .events
        .iter()
        .filter_map(|event| event.fill.as_ref().map(|fill| fill.lots))
        .collect();
    assert_eq!(lots, [3, 1], "no trade takes more than what is visible");
    let (_, fill) = next_order(&mut maker).await;
    assert_eq!(fill.kind(), OrderEventKind::Fill);
    let (_, refreshed) = next_order(&mut maker).await;
    assert_eq!(refreshed.kind(), OrderEventKind::Restated);
    assert_eq!(why(refreshed.problem.as_ref()), Reason::IcebergRefresh);
    assert!(refreshed.priority_lost);
    assert_eq!((refreshed.open_lots, refreshed.display_lots), (7, 3));
    let (_, fill) = next_order(&mut maker).await;
    assert_eq!((fill.open_lots, fill.display_lots), (6, 2));
    let shown = book(&venue, &contract).await;
    assert_eq!(levels(&shown.asks), [(42_700, 2)]);
    let said = order(&venue, "maker-1", 1).await.instructions;
    assert_eq!(said.expect("instructions").display_lots, 3);
    venue.running.stop().await;
}

/// What CHANNEL_AUCTION says of one contract, with the chain of its positions checked.
struct Auctions {
    stream: tonic::Streaming<proto::marketdata::v1::SubscribeResponse>,
    waiting: std::collections::VecDeque<AuctionState>,
    last_seq: i64,
}

impl Auctions {
    async fn subscribe(venue: &Venue, contract: &Instrument) -> Self {
        let request = SubscribeRequest {
            subscriptions: vec![Subscription {
                subscription_id: 1,
                channel: Channel::Auction as i32,
                instrument_ids: vec![contract.instrument_id],
                ..Default::default()
            }],
        };
        let client = venue.client("taker-2").await;
        let answer = client.market_data().subscribe(request).await;
        Self {
            stream: answer.expect("a stream").into_inner(),
            waiting: std::collections::VecDeque::new(),
            last_seq: 0,
        }
    }

    async fn next(&mut self) -> AuctionState {
        while self.waiting.is_empty() {
            let message = self.stream.message().await.expect("the stream lives");
            for update in message.expect("no end").updates {
                if let Some(Payload::Auction(state)) = update.payload {
                    assert_eq!(update.prev_seq, self.last_seq, "nothing missed");
                    self.last_seq = update.seq;
                    self.waiting.push_back(state);
                }
            }
        }
        self.waiting.pop_front().expect("one waits")
    }

    /// The first state that is as wished.
    async fn until(&mut self, wished: impl Fn(&AuctionState) -> bool) -> AuctionState {
        let found = async {
            loop {
                let state = self.next().await;
                if wished(&state) {
                    return state;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, found);
        found.await.expect("the auction gets there in time")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_auction_is_followed_to_its_one_price() {
    let folder = Folder::new("auction");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let mut auctions = Auctions::subscribe(&venue, &contract).await;
    assert_eq!(auctions.next().await, AuctionState::default(), "no call");

    let operator = venue.client("operator").await;
    let set = async |state: TradingState, effective, request_id| {
        let scope = set_trading_state_request::Scope::InstrumentId(contract.instrument_id);
        let request = SetTradingStateRequest {
            scope: Some(scope),
            target_state: state as i32,
            effective_unix_nanos: effective,
            request_id,
            ..Default::default()
        };
        operator.admin().set_trading_state(request).await
    };
    let refused = set(TradingState::NoCancel, 0, 1).await;
    let refused = refused.expect_err("calls end by themselves");
    assert_eq!(reason(&refused), "INVALID_FIELD");
    set(TradingState::Halted, 0, 2).await.expect("halted");
    set(TradingState::PreOpen, 0, 3).await.expect("called");
    let ends = gateway::auth::now_nanos() + 4_000_000_000;
    set(TradingState::Open, ends, 4).await.expect("scheduled");
    let called = auctions
        .until(|state| state.uncross_unix_nanos == ends)
        .await;
    assert_eq!((called.indicative_ticks, called.matched_lots), (None, 0));

    let now = take(9, &contract, Side::Buy, 1, 42_700);
    let status = submit(&venue, "taker-1", now).await.expect_err("a call");
    assert_eq!(reason(&status), "INSTRUMENT_NOT_TRADING");
    let sell = limit(1, &contract, Side::Sell, 10, 42_600);
    submit(&venue, "maker-1", sell).await.expect("collected");
    let buy = limit(1, &contract, Side::Buy, 15, 42_700);
    submit(&venue, "taker-1", buy).await.expect("collected");
    let mut only_now = limit(1, &contract, Side::Sell, 3, 42_800);
    only_now.time_in_force = TimeInForce::AtAuction as i32;
    submit(&venue, "miner-1", only_now)
        .await
        .expect("collected");
    let crossed = auctions.until(|state| state.matched_lots == 10).await;
    assert_eq!(crossed.indicative_ticks, Some(42_700), "buyers are left");
    assert_eq!(crossed.imbalance_lots, 5);
    assert_eq!(crossed.imbalance_side(), Side::Buy);
    assert_eq!(crossed.uncross_unix_nanos, ends);
    let shown = book(&venue, &contract).await;
    assert_eq!(levels(&shown.bids)[0], (42_700, 15));
    assert_eq!(
        levels(&shown.asks)[0],
        (42_600, 10),
        "crossed, and shown so"
    );

    let over = auctions.until(|state| state.uncross_unix_nanos == 0).await;
    assert_eq!(
        (over.indicative_ticks, over.matched_lots),
        (Some(42_700), 10)
    );
    let request = ListTradesRequest {
        instrument_id: contract.instrument_id,
        ..Default::default()
    };
    let client = venue.client("taker-1").await;
    let tape = client.market_data().list_trades(request).await;
    let tape = tape.expect("a tape").into_inner().trades;
    let trade = tape[0].trade.expect("a trade");
    assert_eq!((trade.price_ticks, trade.lots), (42_700, 10));
    assert_eq!(trade.kind(), TradeKind::Auction);
    assert_eq!(trade.aggressor(), Side::Unspecified, "nobody came in");
    let fills = client.fills(proto::trading::v1::ListFillsRequest {
        account_id: venue.account("taker-1"),
        ..Default::default()
    });
    let fills = fills.await.expect("fills are listed");
    let fill = fills[0].fill.as_ref().expect("a fill");
    assert_eq!(fill.liquidity(), Liquidity::Auction);
    let left = order(&venue, "miner-1", 1).await;
    assert_eq!(why(left.problem.as_ref()), Reason::AuctionRemainder);
    let shown = book(&venue, &contract).await;
    assert_eq!(levels(&shown.bids), [(42_700, 5)]);
    assert!(shown.asks.is_empty());
    venue.running.stop().await;
}
