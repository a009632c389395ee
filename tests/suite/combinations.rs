//! Combinations under random orders: three months, their two spreads and a strip (COMBO). After every
//! command the books must add up, nobody may be brought below nothing, every trade's prices must make
//! one sum, and an order that rests may not leave an implied price it should have met.

use std::collections::BTreeMap;

mod curve;

use engine::{
    command::{
        Batch, BatchItem, BatchPolicy, Command, OrderTerms, Origin, PostOnly, Pricing, SelfTrade,
        Side, StateScope, TimeInForce,
    },
    event::{Event, OrderEventKind},
    exchange::Exchange,
    ids::{AccountId, InstrumentId},
    instrument::{Kind, Terms, TradingState},
    order::Order,
    reason::{Field, Reason},
    units::{DAY, Lots, Nanos, Ppm, Ticks},
};

use curve::{COMBINATIONS, Curve, FEB, JAN, MAR, combination, month, request, state};

/// Every implied price an order of this account could meet now, found the long way: each way to fill
/// the legs of each combination with first orders.
fn implied_prices(
    exchange: &Exchange,
    account: AccountId,
    id: InstrumentId,
    side: Side,
) -> Vec<i64> {
    let contract = |id| exchange.instrument(id).expect("it is listed");
    let first = |id, side| {
        let book = exchange.book(id)?;
        let slot = book.queue(side, exchange.orders()).next()?;
        let order = exchange.orders().at(slot);
        Some((order.price.0, order.account))
    };
    let inside = |id, price: i64| {
        let (low, high) = contract(id).at_mark.band;
        (low.0..=high.0).contains(&price)
    };
    let mut prices = Vec::new();
    'next: for bundle in COMBINATIONS {
        let legs = &contract(bundle).terms.legs;
        let own = legs.iter().position(|leg| leg.instrument == id);
        let (bundle_side, bundle_price, owner) = match own {
            None if bundle == id => (side, None, account),
            None => continue,
            Some(place) => {
                // The combination's order does the opposite in this leg.
                let want = [Side::Buy, Side::Sell]
                    .into_iter()
                    .find(|bundle| (*bundle == side) == (legs[place].ratio < 0));
                let want = want.expect("there is one");
                let Some((price, owner)) = first(bundle, want) else {
                    continue;
                };
                if owner == account {
                    continue;
                }
                (want, Some(price), owner)
            }
        };
        let mut sum = 0;
        for (place, leg) in legs.iter().enumerate() {
            if own == Some(place) {
                continue;
            }
            let side = match leg.ratio {
                1 => bundle_side.opposite(),
                _ => bundle_side,
            };
            match first(leg.instrument, side) {
                Some((price, other)) if other != owner && inside(leg.instrument, price) => {
                    sum += leg.ratio * price;
                }
                _ => continue 'next,
            }
        }
        let price = match (own, bundle_price) {
            (Some(place), Some(price)) => (price - sum) * legs[place].ratio,
            _ => sum,
        };
        if inside(id, price) {
            prices.push(price);
        }
    }
    prices
}

#[test]
fn random_orders_in_months_spreads_and_a_strip_add_up() {
    let mut counts = BTreeMap::<_, u64>::new();
    for seed in 0..24 {
        let money = [
            30_000_000, 30_000_000, 900_000, 250_000, 60_000, 25_000, 9_000, 4_000,
        ];
        let mut curve = Curve::open(seed, &money, true);
        for _ in 0..500 {
            curve.step();
        }
        for (kind, count) in curve.counts {
            *counts.entry(kind).or_default() += count;
        }
    }
    println!("{counts:?}");
    let kinds = [
        "in a month",
        "in a combination",
        "into a spread",
        "into a strip",
        "out of a spread",
        "out of a strip",
    ];
    for kind in kinds {
        assert!(counts.get(kind) > Some(&20), "{kind} in {counts:?}");
    }
}

/// While everything is open and everybody rich, an order that rests has met every price it accepts.
#[test]
fn an_order_that_rests_has_met_every_implied_price_it_accepts() {
    let mut rested = 0;
    for seed in 100..116 {
        let mut curve = Curve::open(seed, &[1 << 45; 9], false);
        for _ in 0..300 {
            let mut place = curve.order();
            let order = &mut place.order;
            // What keeps to direct orders is not the question here.
            let plain = order.time_in_force == TimeInForce::Gtc
                && order.post_only == PostOnly::No
                && order.self_trade_group == 0
                && order.mmp_group == 0
                && order.trigger.is_none();
            if !plain {
                continue;
            }
            curve.run(state(StateScope::All, TradingState::Open));
            let events = curve.place(place);
            let accepted = curve.orders.last().map(|(_, id)| *id);
            let order = accepted.and_then(|id| curve.exchange.orders().get(id));
            let open = |id| {
                curve
                    .exchange
                    .instrument(InstrumentId(id))
                    .map(|contract| contract.state)
                    == Some(TradingState::Open)
            };
            let Some(order) = order.filter(|order| rests(order, &curve.exchange)) else {
                continue;
            };
            if !(1..=6).all(open) {
                continue;
            }
            rested += 1;
            let (id, side) = (order.terms.instrument, order.terms.side);
            for price in implied_prices(&curve.exchange, order.account, id, side) {
                let met = !side.accepts(order.price, Ticks(price));
                assert!(met, "{price} is left by {order:?}: {events:?}");
            }
        }
    }
    assert!(rested > 1_000, "only {rested}");
}

fn rests(order: &Order, exchange: &Exchange) -> bool {
    let slot = order.id.slot();
    let book = exchange.book(order.terms.instrument);
    book.is_some_and(|book| {
        let mut queue = book.queue(order.terms.side, exchange.orders());
        queue.any(|other| Some(other) == slot)
    })
}

/// COMBO-01, field by field.
#[test]
fn terms_that_make_no_combination_are_refused() {
    let mut curve = Curve::open(1, &[], false);
    let spread = [(JAN, -1), (FEB, 1)];
    let strip = [(JAN, 1), (FEB, 1), (MAR, 1)];
    let good = |legs: &[(InstrumentId, i64)], curve: &Curve| {
        let mut terms = combination("NEW", legs, &curve.exchange);
        terms.product = "OTHER".into();
        terms
    };
    type Case<'a> = (&'a [(InstrumentId, i64)], fn(&mut Terms), Reason, Field);
    let invalid = Reason::InvalidField;
    let cases: [Case<'_>; 20] = [
        (
            &spread,
            |t| t.legs.truncate(1),
            Reason::TooManyItems,
            Field::Legs,
        ),
        (
            &spread,
            |t| t.legs = vec![t.legs[0]; 13],
            Reason::TooManyItems,
            Field::Legs,
        ),
        (&spread, |t| t.legs[1] = t.legs[0], invalid, Field::Legs),
        (&spread, |t| t.legs.swap(0, 1), invalid, Field::Legs),
        (&spread, |t| t.legs[1].ratio = 2, invalid, Field::Legs),
        (
            &spread,
            |t| t.legs[1].instrument = COMBINATIONS[0],
            invalid,
            Field::Legs,
        ),
        (
            &spread,
            |t| t.legs[1].instrument = InstrumentId(99),
            invalid,
            Field::Legs,
        ),
        (&spread, |t| t.kind = Kind::Strip, invalid, Field::Legs),
        (&spread, |t| t.kind = Kind::Forward, invalid, Field::Legs),
        (&strip, |t| t.legs.swap(1, 2), invalid, Field::Legs),
        (&strip, |t| t.legs[1].ratio = -1, invalid, Field::Legs),
        (
            &spread,
            |t| t.lot_hashes_per_second /= 2,
            invalid,
            Field::Legs,
        ),
        (
            &spread,
            |t| t.product = "MONTHS".into(),
            invalid,
            Field::Product,
        ),
        (
            &spread,
            |t| t.window.end = Nanos(t.window.end.0 + 1),
            invalid,
            Field::Window,
        ),
        (
            &spread,
            |t| t.last_trade = Nanos(40 * DAY + 1),
            invalid,
            Field::LastTrade,
        ),
        (
            &spread,
            |t| t.limits.position_limit = 5,
            invalid,
            Field::Limit,
        ),
        (
            &spread,
            |t| t.limits.band_basis_points = 1_001,
            invalid,
            Field::Band,
        ),
        (&spread, |t| t.maker_fee = Ppm(-1), invalid, Field::Fee),
        (
            &spread,
            |t| t.volatility.window_ms = 1_000,
            invalid,
            Field::Volatility,
        ),
        (
            &strip,
            |t| t.symbol = "Q1".into(),
            Reason::AlreadyExists,
            Field::Symbol,
        ),
    ];
    for (place, (legs, change, reason, field)) in cases.into_iter().enumerate() {
        let mut terms = good(legs, &curve);
        change(&mut terms);
        let refused = curve.exchange.preview_terms(&terms).err();
        let refused = refused.map(|problem| (problem.reason, problem.field));
        assert_eq!(refused, Some((reason, field)), "case {place}");
    }
    // February is a leg of three already.
    for number in 0..13 {
        let mut terms = good(&spread, &curve);
        terms.symbol = format!("NEW-{number}");
        curve.make(Command::CreateInstrument(request(terms)));
    }
    let full = curve.exchange.preview_terms(&good(&spread, &curve));
    let full = full.map_err(|problem| (problem.reason, problem.field));
    assert_eq!(full, Err((Reason::TooManyItems, Field::Legs)));
    let mut month = month(50, 1_000);
    month.product = "OTHER".into();
    let mixed = curve.exchange.preview_terms(&month);
    let mixed = mixed.map_err(|problem| (problem.reason, problem.field));
    assert_eq!(mixed, Err((invalid, Field::Product)));
}

/// COMBO-12: an implied trade counts once for each leg, and what is left over is cancelled.
#[test]
fn one_command_makes_no_more_implied_trades_than_its_legs_allow() {
    let mut curve = Curve::open(2, &[1 << 45; 3], false);
    let plain = |curve: &mut Curve, who: usize, instrument, side, price| {
        let mut place = curve.order();
        place.origin.account = curve.accounts[who];
        place.order = OrderTerms {
            instrument,
            side,
            pricing: Pricing::Limit(Ticks(price)),
            lots: Lots(1_000),
            time_in_force: TimeInForce::Gtc,
            post_only: PostOnly::No,
            reduce_only: false,
            self_trade: SelfTrade::CancelResting,
            self_trade_group: 0,
            display: Lots(0),
            min_fill: Lots(0),
            trigger: None,
            mmp_group: 0,
            ..place.order
        };
        place
    };
    // One lot shown at a time: every lot is a trade of its own.
    for (id, side, price) in [(JAN, Side::Buy, 1_000), (FEB, Side::Sell, 980)] {
        for _ in 0..3 {
            let mut iceberg = plain(&mut curve, 0, id, side, price);
            iceberg.order.display = Lots(1);
            curve.place(iceberg);
        }
    }
    let spread = COMBINATIONS[0];
    let items = [(); 3].map(|()| BatchItem::Place(plain(&mut curve, 1, spread, Side::Buy, -20)));
    let origin = Origin {
        account: curve.accounts[1],
        ..Origin::default()
    };
    let events = curve.run(Command::Batch(Batch {
        origin,
        policy: BatchPolicy::BestEffort,
        items: items.to_vec(),
    }));
    // 2,048 trades of two legs are 4,096.
    assert_eq!(fills_of(&events, curve.accounts[1]), 2_048);
    let cut = events.iter().any(|event| {
        matches!(event, Event::Order(order)
            if order.problem.is_some_and(|problem| problem.reason == Reason::TooManyItems)
                && order.filled == Lots(48) && order.kind == OrderEventKind::Cancelled)
    });
    assert!(cut, "what is left over goes");
}

/// Lots that an account took in these events.
fn fills_of(events: &[Event], account: AccountId) -> i64 {
    let fill = |event: &Event| match event {
        Event::Order(order) if order.to.account == account => order.fill,
        _ => None,
    };
    events.iter().filter_map(fill).map(|fill| fill.lots.0).sum()
}
