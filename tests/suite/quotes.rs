//! What a mass quote may do at most, with more orders than a story holds.

use engine::{
    command::{
        Command, DisconnectAction, Login, MassQuote, MmpGroup, Origin, QuoteEntry, QuoteSide, Side,
    },
    event::{Event, OrderEventKind},
    ids::ProductId,
    limits,
    reason::Reason,
    units::{Lots, Ticks},
};
use tests::market::{CONTRACT, MARK, Market, orders, request};

/// ORDER-16: all sides of a mass quote share the trades of one command, and what would go on is cancelled;
/// what only rests needs none.
#[test]
fn all_sides_of_a_mass_quote_share_the_trades_of_one_command() {
    const EACH: i64 = 3_000;
    let mut market = Market::open(2);
    let maker = market.accounts[1];
    let opened = market.run(Command::Login(Login {
        account: maker,
        name: "algo".into(),
        heartbeat_ms: 1_000,
        action: DisconnectAction::CancelSession,
        grace_ms: 0,
        key_id: String::new(),
    }));
    let session = opened.iter().find_map(|event| match event {
        Event::SessionOpened(opened) => Some(opened.session),
        _ => None,
    });
    market.run(Command::SetMmpGroup(request(MmpGroup {
        account: maker,
        mmp_group: 1,
        product: ProductId(1),
        window_ms: 1_000,
        frozen_ms: 0,
        quantity_limit: 0,
        net_limit: 0,
        notional_limit: 0,
        fill_limit: 0,
        contracts_limit: 0,
        max_quote_lots: Lots(10_000),
    })));
    for away in [0, 1] {
        for _ in 0..EACH {
            market.enter(0, Side::Sell, MARK + away, 1);
        }
    }
    // An own order in the way counts like a trade (ORDER-08, CancelResting).
    let (own, _) = market.enter(1, Side::Sell, MARK + 1, 7);
    let rung = |slot, price, lots| QuoteEntry {
        instrument: CONTRACT,
        slot,
        bid: Some(QuoteSide {
            price: Ticks(price),
            lots: Lots(lots),
        }),
        ask: None,
    };
    let events = market.run(Command::MassQuote(MassQuote {
        origin: Origin {
            account: maker,
            session: session.expect("a session"),
            login: 1,
            client_seq: 1,
            ..Origin::default()
        },
        quote_id: 1,
        mmp_group: 1,
        entries: vec![
            rung(0, MARK, EACH),
            rung(1, MARK + 1, EACH),
            rung(2, MARK - 5, 10),
            rung(3, MARK + 1, 1),
        ],
        report_order_ids: true,
    }));
    let trades = events
        .iter()
        .filter(|event| matches!(event, Event::Trade(_)));
    assert_eq!(trades.count(), limits::TRADES_PER_COMMAND);
    let ends: Vec<_> = orders(&events)
        .filter(|order| order.kind == OrderEventKind::Cancelled)
        .map(|order| {
            let reason = order.problem.map(|problem| problem.reason);
            (order.price.0 - MARK, order.filled.0, reason)
        })
        .collect();
    let second = limits::TRADES_PER_COMMAND as i64 - EACH;
    let why = Some(Reason::TooManyItems);
    assert_eq!(ends, [(1, second, why), (1, 0, why)]);
    let quoted = events.iter().find_map(|event| match event {
        Event::Quoted(quoted) => Some((quoted.accepted, quoted.kept)),
        _ => None,
    });
    assert_eq!(quoted, Some((4, 0)), "all four were accepted");
    let named = events.iter().filter_map(|event| match event {
        Event::QuoteOrder(row) => Some(row.entry),
        _ => None,
    });
    assert_eq!(named.collect::<Vec<_>>(), [2], "one of them lives");
    assert_eq!(market.best(Side::Buy), Some(MARK - 5));
    assert_eq!(market.best(Side::Sell), Some(MARK + 1));
    let own = market.exchange.orders().get(own);
    assert!(own.is_some_and(|order| order.lives()), "nobody came so far");
    market.exchange.audit().expect("the books add up");
    // The next command has trades of its own.
    let (_, events) = market.enter(1, Side::Buy, MARK + 1, 5);
    let trades = events
        .iter()
        .filter(|event| matches!(event, Event::Trade(_)));
    assert_eq!(trades.count(), 5);
}
