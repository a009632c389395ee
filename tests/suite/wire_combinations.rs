//! Spreads, strips and implied trades, seen by real clients on a real wire.

use std::time::Duration;

use gateway::client::{Client, Session, SessionOptions};
use proto::{
    account::v1::GetAccountRequest,
    admin::v1::{
        CreateInstrumentRequest, SetTradingStateRequest, set_trading_state_request::Scope,
    },
    common::v1::{Side, TradingState},
    marketdata::v1::{GetBookRequest, GetForwardCurveRequest, ListTradesRequest, Trade},
    reference::v1::{Instrument, InstrumentKind, Leg, ListInstrumentsRequest},
    trading::v1::{
        DisconnectAction, Fill, FillReport, LegFill, Liquidity, ListFillsRequest, NewOrder,
        OrderEvent, OrderEventKind, OrderType, PrivateEvent, StreamEventsRequest,
        SubmitOrderRequest, SubmitOrderResponse, TimeInForce, TriggerSource,
        open_session_request::Command, private_event, session_event::Event, stream_events_request,
    },
};
use tests::venue::{Folder, Venue, limit};
use tonic::Status;
use tonic_types::StatusExt;

const PATIENCE: Duration = Duration::from_secs(20);

/// Every contract of one kind in BTC, by delivery.
async fn listed(venue: &Venue, kind: InstrumentKind) -> Vec<Instrument> {
    let request = ListInstrumentsRequest {
        kind: kind as i32,
        ..Default::default()
    };
    let client = venue.client("taker-2").await;
    let answer = client.reference().list_instruments(request).await;
    let mut all = answer
        .expect("contracts are listed")
        .into_inner()
        .instruments;
    // Months paid in BTC, nothing shorter or longer.
    let longer = [
        "BTC-BOM",
        "BTC-FWD-WEEK",
        "BTC-FWD-QUARTER",
        "BTC-FWD-YEAR",
        "BTC-FWD-USD",
    ];
    all.retain(|contract| {
        contract.symbol.starts_with("BTC-") && !longer.contains(&contract.product.as_str())
    });
    all.sort_by_key(|contract| {
        contract
            .delivery_window
            .map(|window| window.start_unix_nanos)
    });
    all
}

/// The mark of a month.
async fn mark(venue: &Venue, contract: &Instrument) -> i64 {
    let request = GetForwardCurveRequest {
        product_id: contract.product_id,
    };
    let client = venue.client("taker-2").await;
    let answer = client.market_data().get_forward_curve(request).await;
    let curve = answer.expect("a curve").into_inner().curve;
    let points = curve.expect("a curve").points;
    let point = points
        .iter()
        .find(|point| point.instrument_id == contract.instrument_id);
    point.expect("on the curve").mark_ticks.expect("marked")
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

fn take(id: u64, contract: &Instrument, side: Side, lots: i64, price: i64) -> NewOrder {
    NewOrder {
        time_in_force: TimeInForce::Ioc as i32,
        ..limit(id, contract, side, lots, price)
    }
}

/// Reason and field of a refusal.
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (String, String) {
    let status = answer.expect_err("refused");
    let info = status.get_details_error_info();
    let info = info.expect("a refusal of ours carries ErrorInfo");
    (info.reason, info.metadata["field"].clone())
}

/// The fill of an event, which is one.
fn fill_of(event: &OrderEvent) -> &Fill {
    assert_eq!(event.kind, OrderEventKind::Fill as i32, "{event:?}");
    event.fill.as_ref().expect("a fill")
}

/// The only fill of an answer.
fn only_fill(answer: &SubmitOrderResponse) -> &Fill {
    let mut fills = answer.events.iter().filter(|event| event.fill.is_some());
    let fill = fill_of(fills.next().expect("a fill"));
    assert!(fills.next().is_none(), "{answer:?}");
    fill
}

/// Contract, side, lots, price and net position of each leg.
fn legs(fill: &Fill) -> Vec<(i32, Side, i64, i64, i64)> {
    let row = |leg: &LegFill| {
        (
            leg.instrument_id,
            leg.side(),
            leg.lots,
            leg.price_ticks,
            leg.position_lots_after,
        )
    };
    fill.legs.iter().map(row).collect()
}

/// The next event about an order.
async fn next_order(session: &mut Session) -> (i64, OrderEvent) {
    let event = tokio::time::timeout(PATIENCE, async {
        loop {
            let event = session.next().await.expect("the session lives");
            if let Some(Event::Order(order)) = event.event {
                return (event.event_seq, order);
            }
        }
    });
    event.await.expect("an event in time")
}

fn options(venue: &Venue, actor: &str) -> SessionOptions {
    SessionOptions {
        name: "spreads".into(),
        account_id: venue.account(actor),
        heartbeat_interval_ms: 1_000,
        disconnect_action: DisconnectAction::Keep,
        disconnect_grace_ms: 0,
    }
}

/// Net lots in a contract; none without a row.
async fn position(venue: &Venue, actor: &str, contract: &Instrument) -> i64 {
    let request = GetAccountRequest {
        account_id: venue.account(actor),
    };
    let client = venue.client(actor).await;
    let answer = client.account().get_account(request).await;
    let positions = answer.expect("an account").into_inner().positions;
    let row = positions
        .iter()
        .find(|row| row.instrument_id == contract.instrument_id);
    row.map_or(0, |row| row.net_lots)
}

async fn fills(venue: &Venue, actor: &str, instrument_id: i32) -> Vec<FillReport> {
    let request = ListFillsRequest {
        account_id: venue.account(actor),
        instrument_id,
        ..Default::default()
    };
    let client = venue.client(actor).await;
    client.fills(request).await.expect("fills are listed")
}

/// What the tape of a contract shows.
async fn tape(venue: &Venue, contract: &Instrument) -> Vec<Trade> {
    let request = ListTradesRequest {
        instrument_id: contract.instrument_id,
        ..Default::default()
    };
    let client = venue.client("taker-2").await;
    let answer = client.market_data().list_trades(request).await;
    let trades = answer.expect("a tape").into_inner().trades;
    trades.into_iter().filter_map(|row| row.trade).collect()
}

async fn is_empty(venue: &Venue, contract: &Instrument) -> bool {
    let request = GetBookRequest {
        instrument_id: contract.instrument_id,
        depth_levels: 0,
    };
    let client = venue.client("taker-2").await;
    let answer = client.market_data().get_book(request).await;
    let book = answer.expect("a book").into_inner().book.expect("a book");
    book.bids.is_empty() && book.asks.is_empty()
}

/// Everything that the drop copy of an account tells after a position.
async fn dropped_copies(venue: &Venue, actor: &str, after: i64) -> Vec<PrivateEvent> {
    let request = StreamEventsRequest {
        scope: Some(stream_events_request::Scope::AccountId(
            venue.account(actor),
        )),
        resume_after_journal_seq: Some(after),
        fills_only: true,
    };
    let client = venue.client(actor).await;
    let answer = client.trading().stream_events(request).await;
    let mut stream = answer.expect("a stream").into_inner();
    let mut all = Vec::new();
    loop {
        let message = tokio::time::timeout(PATIENCE, stream.message()).await;
        let message = message.expect("in time").expect("the stream lives");
        let message = message.expect("no end");
        all.extend(message.events);
        if message.caught_up {
            return all;
        }
    }
}

/// Lists and opens the spread of two months, as an operator does.
async fn list_spread(operator: &Client, front: &Instrument, back: &Instrument) -> Instrument {
    let wished = Instrument {
        symbol: "BTC-TEST-SPREAD".into(),
        kind: InstrumentKind::CalendarSpread as i32,
        product: "BTC-TEST".into(),
        delivery_window: None,
        margin: None,
        legs: vec![
            Leg {
                instrument_id: front.instrument_id,
                ratio: -1,
            },
            Leg {
                instrument_id: back.instrument_id,
                ratio: 1,
            },
        ],
        position_limit_lots: 0,
        maker_fee_ppm: 20,
        taker_fee_ppm: 100,
        product_id: 0,
        lot_tick_value_numerator: 0,
        lot_tick_value_denominator: 0,
        ..front.clone()
    };
    let create = async |instrument: Instrument, validate_only, request_id| {
        let request = CreateInstrumentRequest {
            instrument: Some(instrument),
            validate_only,
            request_id,
        };
        let answer = operator.admin().create_instrument(request).await;
        answer.map(|answer| answer.into_inner().instrument.expect("as stored"))
    };
    let invalid = |field: &str| ("INVALID_FIELD".to_owned(), field.to_owned());
    let mut bad = wished.clone();
    bad.legs.reverse();
    assert_eq!(refused(create(bad, true, 0).await), invalid("legs"));
    let mut bad = wished.clone();
    bad.legs[0].ratio = 1;
    assert_eq!(refused(create(bad, true, 0).await), invalid("legs"));
    let mut bad = wished.clone();
    bad.maker_fee_ppm = -1;
    assert_eq!(refused(create(bad, true, 0).await), invalid("fee_ppm"));
    let bad = Instrument {
        legs: wished.legs.clone(),
        ..front.clone()
    };
    assert_eq!(
        refused(create(bad, true, 0).await),
        invalid("instrument.legs"),
        "a month has no legs"
    );
    create(wished.clone(), true, 0).await.expect("would do");
    let stored = create(wished.clone(), false, 77).await.expect("listed");
    assert_eq!(stored.legs, wished.legs);
    let window = stored.delivery_window.expect("computed");
    let ends = |contract: &Instrument| contract.delivery_window.expect("a window");
    assert_eq!(window.start_unix_nanos, ends(front).start_unix_nanos);
    assert_eq!(window.end_unix_nanos, ends(back).end_unix_nanos);
    let value = (
        stored.lot_tick_value_numerator,
        stored.lot_tick_value_denominator,
    );
    assert_eq!(value, (0, 0), "its legs' values count");
    let open = SetTradingStateRequest {
        scope: Some(Scope::InstrumentId(stored.instrument_id)),
        target_state: TradingState::Open as i32,
        request_id: 78,
        ..Default::default()
    };
    let opened = operator.admin().set_trading_state(open).await;
    opened.expect("opened");
    stored
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_lists_spreads_of_neighbours_and_a_quarter() {
    let folder = Folder::new("combined-list");
    let venue = Venue::start(folder.path()).await;
    let months = listed(&venue, InstrumentKind::Forward).await;
    let spreads = listed(&venue, InstrumentKind::CalendarSpread).await;
    assert_eq!(spreads.len(), months.len() - 1);
    for (spread, pair) in spreads.iter().zip(months.windows(2)) {
        let parts: Vec<(i32, i32)> = spread
            .legs
            .iter()
            .map(|leg| (leg.instrument_id, leg.ratio))
            .collect();
        let (front, back) = (&pair[0], &pair[1]);
        assert_eq!(
            parts,
            [(front.instrument_id, -1), (back.instrument_id, 1)],
            "{}",
            spread.symbol
        );
        assert_eq!(spread.state, TradingState::Open as i32);
        assert_eq!(spread.last_trade_unix_nanos, front.last_trade_unix_nanos);
    }
    let strips = listed(&venue, InstrumentKind::Strip).await;
    let [strip] = strips.as_slice() else {
        panic!("{strips:?}");
    };
    let ratios: Vec<i32> = strip.legs.iter().map(|leg| leg.ratio).collect();
    assert_eq!(ratios, [1, 1, 1]);

    // Whose price may be what: zero is nothing for a strip or a month.
    let zero = |id, contract: &Instrument| limit(id, contract, Side::Buy, 1, 0);
    let named = ("INVALID_FIELD".to_owned(), "price_ticks".to_owned());
    assert_eq!(
        refused(submit(&venue, "taker-1", zero(1, strip)).await),
        named
    );
    assert_eq!(
        refused(submit(&venue, "taker-1", zero(2, &months[0])).await),
        named
    );
    let marks = mark(&venue, &months[0]).await;
    let far = limit(3, &spreads[0], Side::Sell, 1, -marks);
    assert_eq!(
        refused(submit(&venue, "taker-1", far).await),
        ("PRICE_OUTSIDE_BAND".into(), "price_ticks".into())
    );
    let stop = NewOrder {
        order_type: OrderType::StopLimit as i32,
        trigger_price_ticks: Some(-5),
        trigger_source: TriggerSource::LastTrade as i32,
        ..limit(4, &spreads[0], Side::Sell, 1, -10)
    };
    assert_eq!(
        refused(submit(&venue, "taker-1", stop).await),
        (
            "UNSUPPORTED_COMBINATION".into(),
            "trigger_price_ticks".into()
        )
    );
    let answer = submit(&venue, "taker-1", zero(5, &spreads[0])).await;
    assert_eq!(answer.expect("rests").events[0].price_ticks, 0);
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spread_trades_into_its_legs_and_everybody_is_told() {
    let folder = Folder::new("combined-trade");
    let venue = Venue::start(folder.path()).await;
    let months = listed(&venue, InstrumentKind::Forward).await;
    let (front, back) = (&months[1], &months[3]);
    let operator = venue.client("operator").await;
    let spread = list_spread(&operator, front, back).await;
    let anchor = mark(&venue, front).await;

    let maker = venue.client("maker-1").await;
    let mut session = Session::open(maker, options(&venue, "maker-1"))
        .await
        .expect("the login succeeds");
    let sell = limit(1, &spread, Side::Sell, 10, -350);
    let sent = session.send(Command::NewOrder(sell)).await;
    sent.expect("sent");
    let (accepted, order) = next_order(&mut session).await;
    assert_eq!((accepted, order.price_ticks), (1, -350));

    let answer = submit(&venue, "taker-1", take(1, &spread, Side::Buy, 4, -300))
        .await
        .expect("trades");
    let bought = only_fill(&answer);
    assert_eq!((bought.price_ticks, bought.lots), (-350, 4));
    assert_eq!(bought.position_lots_after, 0, "positions are the legs'");
    let (near, far) = (front.instrument_id, back.instrument_id);
    assert_eq!(
        legs(bought),
        [
            (near, Side::Sell, 4, anchor, -4),
            (far, Side::Buy, 4, anchor - 350, 4)
        ]
    );
    let fee = |fill: &Fill| fill.fee.expect("a fee").minor_units;
    let parts = |fill: &Fill| -> Vec<i64> {
        let fees = fill.legs.iter().map(|leg| leg.fee.expect("a fee"));
        fees.map(|fee| fee.minor_units).collect()
    };
    assert!(parts(bought).iter().all(|fee| *fee > 0));
    assert_eq!(fee(bought), parts(bought).iter().sum::<i64>());

    // The maker hears one event, with its legs inside.
    let (told, event) = next_order(&mut session).await;
    let sold = fill_of(&event).clone();
    assert_eq!(told, 2, "a leg has no number of its own");
    assert_eq!(sold.trade_id, bought.trade_id);
    assert_eq!(
        legs(&sold),
        [
            (near, Side::Buy, 4, anchor, 4),
            (far, Side::Sell, 4, anchor - 350, -4)
        ]
    );
    assert_eq!(fee(&sold), parts(&sold).iter().sum::<i64>());
    for (actor, near_lots) in [("taker-1", -4), ("maker-1", 4)] {
        assert_eq!(position(&venue, actor, front).await, near_lots);
        assert_eq!(position(&venue, actor, back).await, -near_lots);
        assert_eq!(position(&venue, actor, &spread).await, 0);
    }

    // The same in listings, also by a leg; in the drop copy; and after coming back.
    for contract in [spread.instrument_id, near, far, 0] {
        let found = fills(&venue, "taker-1", contract).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].instrument_id, spread.instrument_id);
        assert_eq!(found[0].fill.as_ref(), Some(bought));
    }
    let other = months[5].instrument_id;
    assert!(fills(&venue, "taker-1", other).await.is_empty());
    let copies = dropped_copies(&venue, "taker-1", answer.journal_seq - 1).await;
    let [copy] = copies.as_slice() else {
        panic!("{copies:?}");
    };
    let Some(private_event::Event::Order(copied)) = &copy.event else {
        panic!("{copy:?}");
    };
    assert_eq!(fill_of(copied), bought);
    drop(session);
    let maker = venue.client("maker-1").await;
    let mut again = Session::open_after(maker, options(&venue, "maker-1"), 1)
        .await
        .expect("the login succeeds");
    let (told, event) = next_order(&mut again).await;
    assert_eq!((told, fill_of(&event)), (2, &sold));

    // The tape of the spread shows it, its legs' do not.
    let shown = tape(&venue, &spread).await;
    assert_eq!((shown.len(), shown[0].price_ticks), (1, -350));
    assert_eq!(shown[0].trade_id, bought.trade_id);
    assert!(tape(&venue, front).await.is_empty());
    assert!(tape(&venue, back).await.is_empty());
    venue.running.stop().await;

    // The journal gives it all again.
    let venue = Venue::start(folder.path()).await;
    assert_eq!(position(&venue, "taker-1", front).await, -4);
    let found = fills(&venue, "maker-1", 0).await;
    assert_eq!(found[0].fill.as_ref(), Some(&sold));
    venue.running.stop().await;
}

/// Two months and their listed spread.
async fn neighbours(venue: &Venue) -> (Instrument, Instrument, Instrument) {
    let months = listed(venue, InstrumentKind::Forward).await;
    let mut spreads = listed(venue, InstrumentKind::CalendarSpread).await;
    let (front, back) = (months[0].clone(), months[1].clone());
    let spread = spreads.remove(0);
    assert_eq!(spread.legs[1].instrument_id, back.instrument_id);
    (front, back, spread)
}

/// The fill that came without a command of its own.
async fn passive_fill(session: &mut Session) -> Fill {
    let (_, event) = next_order(session).await;
    fill_of(&event).clone()
}

async fn resting(venue: &Venue, actor: &str, order: NewOrder) -> Session {
    let mut session = venue.session(actor, "implied", 0).await;
    let sent = session.send(Command::NewOrder(order)).await;
    sent.expect("sent");
    let (_, event) = next_order(&mut session).await;
    assert_eq!(event.kind, OrderEventKind::Accepted as i32, "{event:?}");
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spread_order_meets_the_books_of_its_legs() {
    let folder = Folder::new("implied-in");
    let venue = Venue::start(folder.path()).await;
    let (front, back, spread) = neighbours(&venue).await;
    let near = mark(&venue, &front).await - 20;
    let far = near - 330;
    let bid = limit(1, &front, Side::Buy, 3, near);
    let mut bidder = resting(&venue, "maker-1", bid).await;
    let ask = limit(1, &back, Side::Sell, 5, far);
    let mut seller = resting(&venue, "maker-2", ask).await;
    assert!(
        is_empty(&venue, &spread).await,
        "implied prices are not told"
    );

    let order = take(1, &spread, Side::Buy, 4, -300);
    let answer = submit(&venue, "taker-1", order).await.expect("trades");
    let rolled = only_fill(&answer);
    assert_eq!((rolled.price_ticks, rolled.lots), (-330, 3));
    assert_eq!(rolled.liquidity(), Liquidity::Taker);
    let (near_id, far_id) = (front.instrument_id, back.instrument_id);
    assert_eq!(
        legs(rolled),
        [
            (near_id, Side::Sell, 3, near, -3),
            (far_id, Side::Buy, 3, far, 3)
        ]
    );
    let bought = passive_fill(&mut bidder).await;
    let sold = passive_fill(&mut seller).await;
    for (fill, price) in [(&bought, near), (&sold, far)] {
        assert_eq!((fill.trade_id, fill.lots), (rolled.trade_id, 3));
        assert_eq!(
            (fill.price_ticks, fill.liquidity()),
            (price, Liquidity::Maker)
        );
        assert!(fill.legs.is_empty());
    }
    assert_eq!(
        (bought.position_lots_after, sold.position_lots_after),
        (3, -3)
    );

    // An ordinary trade on the tape of each leg, nothing on the spread's.
    for (contract, price, aggressor) in [(&front, near, Side::Sell), (&back, far, Side::Buy)] {
        let shown = tape(&venue, contract).await;
        let [trade] = shown.as_slice() else {
            panic!("{shown:?}");
        };
        assert_eq!((trade.trade_id, trade.lots), (rolled.trade_id, 3));
        assert_eq!(
            (trade.price_ticks, trade.aggressor()),
            (price, aggressor),
            "{}",
            contract.symbol
        );
    }
    assert!(tape(&venue, &spread).await.is_empty());
    venue.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_implied_trade_is_one_trade_for_three_clients() {
    let folder = Folder::new("implied-out");
    let venue = Venue::start(folder.path()).await;
    let (front, back, spread) = neighbours(&venue).await;
    let near = mark(&venue, &front).await + 20;
    let ask = limit(1, &front, Side::Sell, 5, near);
    let mut near_seller = resting(&venue, "maker-1", ask).await;
    let ask = limit(1, &spread, Side::Sell, 2, -350);
    let mut roller = resting(&venue, "maker-2", ask).await;
    assert!(is_empty(&venue, &back).await, "implied prices are not told");

    // Who buys the back month meets both: the front month's price and the spread's.
    let far = near - 350;
    let order = take(1, &back, Side::Buy, 4, far + 5);
    let answer = submit(&venue, "taker-1", order).await.expect("trades");
    let bought = only_fill(&answer);
    assert_eq!((bought.price_ticks, bought.lots), (far, 2));
    assert_eq!(bought.liquidity(), Liquidity::Taker);
    assert_eq!(bought.position_lots_after, 2);
    assert!(bought.legs.is_empty(), "an outright has none");

    let sold = passive_fill(&mut near_seller).await;
    assert_eq!((sold.price_ticks, sold.lots), (near, 2));
    let rolled = passive_fill(&mut roller).await;
    assert_eq!((rolled.price_ticks, rolled.lots), (-350, 2));
    assert_eq!(rolled.liquidity(), Liquidity::Maker);
    assert_eq!(
        legs(&rolled),
        [
            (front.instrument_id, Side::Buy, 2, near, 2),
            (back.instrument_id, Side::Sell, 2, far, -2)
        ]
    );
    assert_eq!(sold.trade_id, bought.trade_id);
    assert_eq!(rolled.trade_id, bought.trade_id);
    for contract in [&front, &back] {
        let shown = tape(&venue, contract).await;
        assert_eq!((shown.len(), shown[0].trade_id), (1, bought.trade_id));
    }
    assert!(tape(&venue, &spread).await.is_empty());

    // All three under one journal position.
    for actor in ["maker-1", "maker-2", "taker-1"] {
        let found = fills(&venue, actor, 0).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].journal_seq, answer.journal_seq, "{actor}");
    }
    venue.running.stop().await;
}
