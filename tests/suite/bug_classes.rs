//! The mistakes that matching engines are known for, where a story is too small to show them.
//! `BUG_CLASSES.md` says for each class what would show it; here is also the test that holds that table
//! to the truth.

use std::{collections::BTreeMap, fs, path::PathBuf, thread};

use engine::{
    command::{Command, Place, Side, Stamped, SwitchScope, TimeInForce},
    event::{Event, OrderEventKind, OrderStatus},
    exchange::Exchange,
    ids::{InstrumentId, OrderId},
    limits,
    reason::Reason,
    units::{Lots, Minor, Ticks},
};
use tests::{
    generator::{Features, Random},
    market::{CONTRACT, MARK, Market, orders},
    streams,
};

fn here(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Slots are used again, in turn, and levels give back what they took.
#[test]
fn slots_and_levels_come_back() {
    let mut market = Market::open(2);
    let kept = limits::ENDED_ORDERS_KEPT as u32;
    let mut highest = 0;
    let mut bytes = 0;
    for round in 0..limits::ENDED_ORDERS_KEPT as i64 + 20_000 {
        let (side, away) = ([Side::Buy, Side::Sell][(round % 2) as usize], round % 5_000);
        let price = MARK - side.signed(Lots(1 + away * 3)).0;
        let (id, _) = market.enter(0, side, price, 5);
        assert_eq!(market.cancel(0, id), Some(Reason::ClientRequest));
        highest = highest.max(id.slot().expect("an order has a slot"));
        let book = market.exchange.book(CONTRACT).expect("listed");
        match round {
            20_000 => bytes = book.bytes(),
            n if n > 20_000 => assert_eq!(book.bytes(), bytes, "round {round}"),
            _ => {}
        }
    }
    assert!(
        highest <= kept + 2,
        "slot {highest} with one order at a time"
    );
    assert_eq!(market.exchange.orders().live(), 0);
    // A copy goes on with the same slots in the same turn.
    let mut copy = market.exchange.clone();
    for _ in 0..100 {
        let (_, events) = market.enter(0, Side::Buy, MARK, 1);
        let mut again = Vec::new();
        let newest = market.commands.last().expect("just entered");
        copy.apply(newest, &mut again);
        assert_eq!(again, events);
    }
}

/// A slot that serves a new order does not answer to the old one's number.
#[test]
fn an_old_number_never_means_a_new_order() {
    let mut market = Market::open(1);
    let (old, _) = market.enter(0, Side::Buy, MARK, 1);
    market.cancel(0, old);
    let again = loop {
        let (id, _) = market.enter(0, Side::Buy, MARK, 1);
        if id.slot() == old.slot() {
            break id;
        }
        market.cancel(0, id);
    };
    assert_ne!(again, old);
    assert_eq!(market.cancel(0, old), Some(Reason::UnknownOrder));
    assert_eq!(market.best(Side::Buy), Some(MARK), "the new one stays");
    assert_eq!(market.cancel(0, again), Some(Reason::ClientRequest));
    assert_eq!(market.best(Side::Buy), None);
}

/// Prices far outside the row of levels are kept, found in order, and traded; prices and numbers
/// outside every table are refused in words.
#[test]
fn nothing_outside_the_tables_is_dropped_silently() {
    let mut market = Market::open(2);
    // The row covers 262,144 ticks: these lie in it, at its edges, and far outside.
    let away = [
        1,
        131_071,
        131_072,
        131_073,
        262_145,
        5_000_000,
        MARK - 1_001,
    ];
    for (number, away) in away.iter().enumerate() {
        market.enter(0, Side::Sell, MARK + away, 1 + number as i64);
        market.enter(0, Side::Buy, MARK - away, 1 + number as i64);
    }
    for side in [Side::Buy, Side::Sell] {
        let book = market.exchange.book(CONTRACT).expect("listed");
        let prices: Vec<_> = book.levels(side).map(|(price, _)| price.0).collect();
        let want: Vec<_> = away.map(|away| MARK - side.signed(Lots(away)).0).into();
        assert_eq!(prices, want, "{side:?}");
    }
    let (_, events) = market.enter(1, Side::Buy, MARK + 5_000_000, 100);
    let fills: Vec<_> = orders(&events)
        .filter(|order| order.to.account == market.accounts[1])
        .filter_map(|order| order.fill)
        .map(|fill| (fill.price.0 - MARK, fill.lots.0))
        .collect();
    let want = [1, 131_071, 131_072, 131_073, 262_145, 5_000_000];
    let want: Vec<_> = want.into_iter().zip(1..).collect();
    assert_eq!(fills, want);
    market.exchange.audit().expect("the books add up");

    let refused = |market: &mut Market, place: Place| {
        let events = market.run(Command::Place(place));
        let order = orders(&events).next().copied().expect("an answer");
        assert_eq!(order.kind, OrderEventKind::Rejected);
        order.problem.expect("a reason").reason
    };
    for (price, reason) in [
        (0, Reason::InvalidField),
        (-1, Reason::InvalidField),
        (i64::MIN, Reason::InvalidField),
        (i64::MAX, Reason::InvalidField),
        (limits::PRICE_TICKS + 1, Reason::InvalidField),
        (limits::PRICE_TICKS, Reason::PriceOutsideBand),
        (1, Reason::PriceOutsideBand),
    ] {
        for side in [Side::Buy, Side::Sell] {
            let place = market.order(0, side, price, 1);
            assert_eq!(refused(&mut market, place), reason, "{side:?} at {price}");
        }
    }
    for lots in [0, -1, i64::MIN, i64::MAX] {
        let place = market.order(0, Side::Buy, MARK, lots);
        assert_eq!(refused(&mut market, place), Reason::QuantityOutOfRange);
    }
    for id in [0, 2, u32::MAX] {
        let mut place = market.order(0, Side::Buy, MARK, 1);
        place.order.instrument = InstrumentId(id);
        assert_eq!(refused(&mut market, place), Reason::UnknownInstrument);
    }
    for id in [0, 1 << 40, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(market.cancel(0, OrderId(id)), Some(Reason::UnknownOrder));
    }
    for id in [0, 999, u32::MAX] {
        let mut place = market.order(0, Side::Buy, MARK, 1);
        place.origin.account.0 = id;
        assert_eq!(refused(&mut market, place), Reason::AccountNotActive);
    }
}

/// One order takes as many makers as a command may, on a stack where a call for each would not fit.
#[test]
fn a_sweep_of_thousands_needs_no_stack() {
    const MAKERS: usize = limits::TRADES_PER_COMMAND;
    let mut market = Market::open(2);
    for number in 0..MAKERS as i64 {
        market.enter(0, Side::Sell, MARK + number % 7, 1);
    }
    let mut place = market.order(1, Side::Buy, MARK + 7, MAKERS as i64);
    place.order.time_in_force = TimeInForce::Fok;
    let sweep = thread::Builder::new().stack_size(128 << 10);
    let swept = sweep.spawn(move || {
        let events = market.run(Command::Place(place));
        let trades = events
            .iter()
            .filter(|event| matches!(event, Event::Trade(_)));
        (trades.count(), market.best(Side::Sell))
    });
    let swept = swept.expect("a thread").join();
    assert_eq!(swept.ok(), Some((MAKERS, None)));
}

/// What an order does to the book depends on its number, never on what the clock said.
#[test]
fn a_faster_clock_changes_no_queue() {
    let run = |step: i64| {
        let mut market = Market::open(4);
        let mut random = Random::new(5);
        let mut told = Vec::new();
        for _ in 0..2_000 {
            let side = [Side::Buy, Side::Sell][random.between(0, 1) as usize];
            let (price, lots) = (MARK + random.between(-5, 5), random.between(1, 9));
            let account = random.between(0, 3) as usize;
            let place = market.order(account, side, price, lots);
            let stamped = Stamped {
                seq: market.exchange.seq() + 1,
                at: market.exchange.at().after(step),
                command: Command::Place(place),
            };
            market.exchange.apply(&stamped, &mut told);
        }
        told
    };
    let told = run(1);
    for step in [2, 1_000, 86_399_999, 1_000_000_000] {
        assert!(run(step) == told, "time decided something");
    }
}

/// Two exchanges in one process, whose hash tables are seeded differently, say the same word for word;
/// so does one that was copied in the middle of the stream.
#[test]
fn the_same_commands_give_the_same_words() {
    let stream = streams::record(11, Features::from_environment(), 6_000);
    let (mut one, mut other) = (Exchange::new(), Exchange::new());
    let mut copy = None;
    let (mut first, mut second, mut third) = (Vec::new(), Vec::new(), Vec::new());
    for (number, stamped) in stream.iter().enumerate() {
        let told = [&mut first, &mut second, &mut third];
        told.into_iter().for_each(Vec::clear);
        one.apply(stamped, &mut first);
        other.apply(stamped, &mut second);
        assert!(first == second, "command {number}: {stamped:?}");
        if number == 3_000 {
            copy = Some(one.clone());
        } else if let Some(copy) = &mut copy {
            copy.apply(stamped, &mut third);
            assert!(first == third, "copied, command {number}: {stamped:?}");
        }
    }
    assert_eq!(one.digest(), other.digest());
    assert_eq!(copy.map(|copy| copy.digest()), Some(one.digest()));
}

/// Whatever happened before: when nobody has an order any more, nothing is held for one.
#[test]
fn a_drained_book_holds_nothing() {
    for seed in 21..24 {
        let stream = streams::record(seed, Features::from_environment(), 4_000);
        let mut exchange = Exchange::new();
        let mut events = Vec::new();
        for stamped in &stream {
            events.clear();
            exchange.apply(stamped, &mut events);
        }
        for id in streams::contracts(&exchange) {
            // Cancels wait while a contract is in the last part of a call; halting breaks it off.
            let halt = streams::halt(&exchange, id);
            exchange.apply(&halt, &mut events);
        }
        assert!(exchange.orders().live() > 0, "seed {seed} left no order");
        let kill = streams::kill(&exchange, SwitchScope::Venue);
        exchange.apply(&kill, &mut events);
        exchange.audit().expect("the books add up");
        assert_eq!(exchange.orders().live(), 0, "seed {seed}");
        for account in exchange.accounts() {
            for position in exchange.positions().of(account.id) {
                let open = (position.open_buy, position.open_sell, position.orders);
                assert_eq!(open, (Lots(0), Lots(0), 0), "{position:?}");
                let holds = (position.buy_holds, position.sell_holds);
                assert_eq!(holds, (Minor(0), Minor(0)), "{position:?}");
                let reducing = (position.reduce_buy, position.reduce_sell);
                assert_eq!(reducing, (Lots(0), Lots(0)), "{position:?}");
                if position.is_flat() {
                    assert_eq!(position.requirement, Minor(0), "{position:?}");
                }
            }
        }
        for id in streams::contracts(&exchange) {
            let book = exchange.book(id).expect("listed");
            assert_eq!((book.best(Side::Buy), book.best(Side::Sell)), (None, None));
        }
    }
}

/// Every fill of a long stream: at the resting order's price, of more than nothing, inside both limits,
/// of orders that lived.
#[test]
fn every_fill_is_one_that_both_sides_asked_for() {
    let stream = streams::record(31, Features::NONE, 8_000);
    let mut exchange = Exchange::new();
    let mut resting: BTreeMap<OrderId, (Side, Ticks, Lots)> = BTreeMap::new();
    let mut fills = 0;
    for stamped in &stream {
        let mut events = Vec::new();
        exchange.apply(stamped, &mut events);
        let mut taker = None;
        for order in orders(&events).filter(|order| !order.copy && !order.repeated) {
            let Some(fill) = order.fill else {
                let gone = order.status != OrderStatus::Open || order.open == Lots(0);
                match order.kind {
                    OrderEventKind::Accepted
                    | OrderEventKind::Replaced
                    | OrderEventKind::Restated
                        if !gone =>
                    {
                        resting.insert(order.order_id, (order.side, order.price, order.open));
                    }
                    OrderEventKind::Cancelled => {
                        let known = resting.remove(&order.order_id);
                        assert!(known.is_some(), "ends once: {order:?}");
                    }
                    _ => {}
                }
                continue;
            };
            fills += 1;
            let (side, limit, open) = resting[&order.order_id];
            assert!(fill.lots > Lots(0) && fill.lots <= open, "{order:?}");
            assert!(
                side.accepts(limit, fill.price),
                "{order:?} beyond {limit:?}"
            );
            assert_eq!(order.open, open - fill.lots, "{order:?}");
            match taker.take() {
                None => taker = Some((fill.trade, fill.price, fill.lots)),
                Some(same) => {
                    assert_eq!((fill.trade, fill.price, fill.lots), same);
                    assert_eq!(fill.price, limit, "the maker's price: {order:?}");
                }
            }
            if order.open == Lots(0) {
                resting.remove(&order.order_id);
            } else {
                resting.insert(order.order_id, (side, limit, order.open));
            }
        }
        assert_eq!(taker, None, "every taker meets a maker");
    }
    assert!(fills > 1_000, "{fills} fills");
    assert_eq!(
        resting.len(),
        exchange.orders().live(),
        "nobody is forgotten"
    );
}

/// Rows of the table: the class, and the places that would show it.
fn table() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(here("BUG_CLASSES.md")).expect("the table is there");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    let rows = rows.filter(|row| !row.starts_with("class") && !row.starts_with("---"));
    rows.map(|row| {
        let (class, places) = row.split_once(" | ").expect("two columns");
        let quoted = places.split('`').skip(1).step_by(2);
        (class.to_owned(), quoted.map(str::to_owned).collect())
    })
    .collect()
}

/// A place is a file below the top folder, or a file and a test in it: `file::test`.
#[test]
fn every_bug_class_has_a_test_that_is_there() {
    let rows = table();
    assert!(rows.len() >= 22, "{} classes", rows.len());
    for (class, places) in rows {
        assert!(!places.is_empty(), "nothing would show: {class}");
        for place in places {
            let (file, test) = match place.split_once("::") {
                Some((file, test)) => (file, Some(test)),
                None => (place.as_str(), None),
            };
            let text = fs::read_to_string(here("..").join(file))
                .unwrap_or_else(|error| panic!("{class}: {file}: {error}"));
            match test {
                None => assert!(file.ends_with(".txt"), "{class}: which test of {file}?"),
                Some(test) => {
                    let at = text.find(&format!("fn {test}()"));
                    let before = at.and_then(|at| text.get(at.saturating_sub(200)..at));
                    let is_test = before.is_some_and(|before| {
                        let last = before.rsplit('}').next().unwrap_or_default();
                        last.contains("#[test]") || last.contains("#[tokio::test")
                    });
                    assert!(is_test, "{class}: no test {test} in {file}");
                }
            }
        }
    }
}
