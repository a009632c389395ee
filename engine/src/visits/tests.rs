//! No command walks what it could look up. Each test does the same to a small and to a large exchange
//! and compares what single commands looked at; a linear scan would show as a hundred times more.

use super::*;
use crate::{
    command::{Cancel, Command, Origin, Replace, Side, Target, TimeInForce},
    event::Event,
    exchange::Exchange,
    ids::OrderId,
    limits,
    market::{CONTRACT, MARK, Market, orders},
    reason::Reason,
    units::{Lots, Ticks},
};

const SMALL: i64 = 1_000;
const LARGE: i64 = 100_000;
/// What any command without fills may look at.
const COMMAND: u64 = 100;
/// What a fill may look at more.
const FILL: u64 = 60;
/// What a sorted map of a hundred thousand entries may look at more than one of a thousand: two more
/// rows of at most eleven keys each, in the few times that a command asks it.
const DEEPER: u64 = 150;

fn market(accounts: usize) -> Market {
    let mut market = Market::open(accounts);
    market.exchange.skip_audits();
    market
}

/// What a piece of work looks at.
fn visits<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let before = VISITED.get();
    let result = work();
    (VISITED.get() - before, result)
}

fn trades(events: &[Event]) -> u64 {
    let trades = events
        .iter()
        .filter(|event| matches!(event, Event::Trade(_)));
    trades.count() as u64
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as i64) % below
    }
}

fn replace(market: &mut Market, account: usize, order: OrderId, price: Option<i64>, lots: i64) {
    let replace = Replace {
        origin: Origin {
            account: market.accounts[account],
            ..Origin::default()
        },
        target: Target::Order(order),
        instrument: CONTRACT,
        price: price.map(Ticks),
        lots: Some(Lots(lots)),
        post_only: None,
        expire: None,
        display: None,
        trigger: None,
        reject_if_priority_lost: false,
    };
    let events = market.run(Command::Replace(replace));
    assert!(
        orders(&events).all(|order| order.problem.is_none()),
        "{events:?}"
    );
}

#[test]
fn counting_sees_a_walk() {
    let mut market = market(1);
    for _ in 0..50 {
        market.enter(0, Side::Buy, MARK, 1);
    }
    let exchange = &market.exchange;
    let book = exchange.book(CONTRACT).expect("listed");
    let (queue, seen) = visits(|| book.queue(Side::Buy, exchange.orders()).count());
    assert!(
        queue >= 50 && seen == 50,
        "{queue} visits in a queue of {seen}"
    );
    let (own, _) = visits(|| exchange.orders_of(market.accounts[0]).count());
    assert!(own >= 50, "{own} visits in a list of 50");
}

/// Most that one cancel, one decrease and one change of price in a queue of `length` look at.
fn in_a_long_queue(length: i64) -> [u64; 3] {
    let mut market = market(7);
    let queue: Vec<_> = (0..length)
        .map(|number| {
            (
                number as usize % 7,
                market.enter(number as usize % 7, Side::Buy, MARK, 9).0,
            )
        })
        .collect();
    let step = queue.len() / 300;
    let mut most = [0; 3];
    for three in queue[step..].chunks(step) {
        let [(first, one), (second, two), (third, last), ..] = *three else {
            break;
        };
        let seen = [
            visits(|| assert_eq!(market.cancel(first, one), Some(Reason::ClientRequest))).0,
            visits(|| replace(&mut market, second, two, None, 4)).0,
            visits(|| replace(&mut market, third, last, Some(MARK - 1), 9)).0,
        ];
        for (most, seen) in most.iter_mut().zip(seen) {
            *most = seen.max(*most);
        }
    }
    most
}

#[test]
fn a_cancel_or_change_in_the_middle_of_a_queue_walks_nothing() {
    let (small, large) = (in_a_long_queue(SMALL), in_a_long_queue(LARGE));
    println!("cancel, decrease, change of price: {small:?} of {SMALL}, {large:?} of {LARGE}");
    assert_eq!(small, large, "the length of a queue is not seen");
    assert!(large.iter().all(|seen| *seen <= COMMAND), "{large:?}");
}

/// What a cancel of the only order at the best price looks at, and the next order that takes, if the
/// next level is so many ticks away.
fn across_a_gap(gap: i64, far: bool) -> [u64; 2] {
    let mut market = market(2);
    // The row of levels lies around the first price; the two that are measured stand at its ends.
    let middle = if far { MARK - 1_000_000 } else { MARK };
    market.enter(0, Side::Buy, middle - 130_000, 1);
    let (marker, _) = market.enter(0, Side::Sell, middle, 1);
    let next = MARK + gap / 2;
    market.enter(0, Side::Sell, next, 1);
    let (best, _) = market.enter(0, Side::Sell, next - gap, 1);
    if middle != next {
        market.cancel(0, marker);
    }
    let (cancel, _) = visits(|| market.cancel(0, best));
    assert_eq!(market.best(Side::Sell), Some(next));
    let place = market.order(1, Side::Buy, MARK + MARK / 2, 1);
    let (take, events) = visits(|| market.run(Command::Place(place)));
    assert_eq!(trades(&events), 1);
    [cancel, take]
}

#[test]
fn the_next_best_price_is_found_however_far_away_it_is() {
    for far in [false, true] {
        let seen = [2, 100, 5_000, 200_000].map(|gap| across_a_gap(gap, far));
        println!("gaps of 2, 100, 5,000 and 200,000 ticks, outside the row {far}: {seen:?}");
        for seen in seen {
            assert!(seen[0] <= COMMAND && seen[1] <= COMMAND + FILL, "{seen:?}");
        }
    }
}

/// Most that an insert and a cancel look at in a book of `size` orders at prices drawn from twenty
/// million ticks, nearly all of them outside the row.
fn at_random_prices(size: i64) -> [u64; 2] {
    let (mut market, mut dice) = (market(5), Dice(9));
    let mut most = [0; 2];
    let mut known = Vec::new();
    for number in 0..size {
        let side = [Side::Buy, Side::Sell][dice.roll(2) as usize];
        let away = 1 + dice.roll(MARK - 2_000);
        let price = MARK - side.signed(Lots(away)).0;
        let account = dice.roll(5) as usize;
        let (seen, (id, _)) = visits(|| market.enter(account, side, price, 1));
        known.push((account, id));
        // The index of client ids grows with all; its own test looks at single steps.
        if number > size - 500 {
            most[0] = seen.max(most[0]);
        }
    }
    for _ in 0..400 {
        let (account, id) = known.swap_remove(dice.roll(known.len() as i64) as usize);
        let (seen, how) = visits(|| market.cancel(account, id));
        assert_eq!(how, Some(Reason::ClientRequest));
        most[1] = seen.max(most[1]);
    }
    most
}

#[test]
fn inserts_at_prices_all_over_the_range_walk_nothing() {
    let (small, large) = (at_random_prices(SMALL), at_random_prices(LARGE));
    println!("insert, cancel: {small:?} of {SMALL}, {large:?} of {LARGE}");
    for (small, large) in small.into_iter().zip(large) {
        assert!(
            large <= small + DEEPER,
            "{small} of {SMALL}, {large} of {LARGE}"
        );
        assert!(large <= 3 * COMMAND, "{large}");
    }
}

/// Visits for each fill of a sweep of `fills` through a book of `size` orders.
fn sweep(size: i64, fills: i64) -> u64 {
    let mut market = market(8);
    for number in 0..size {
        market.enter(number as usize % 7, Side::Sell, MARK + number / 10, 1);
    }
    let mut place = market.order(7, Side::Buy, MARK + size, fills);
    place.order.time_in_force = TimeInForce::Ioc;
    let (seen, events) = visits(|| market.run(Command::Place(place)));
    assert_eq!(trades(&events), fills as u64);
    seen.saturating_sub(COMMAND) / fills as u64
}

#[test]
fn a_sweep_looks_at_as_much_for_each_fill_whatever_its_length() {
    let most = limits::TRADES_PER_COMMAND as i64;
    let [small, long, large] = [sweep(SMALL, 500), sweep(10_000, most), sweep(LARGE, most)];
    println!(
        "visits for each fill: {small} of 500, {long} of {most}, {large} of {most} in {LARGE}"
    );
    assert!(
        long <= small + 5 && large <= small + 5,
        "{small} {long} {large}"
    );
    assert!(large <= FILL, "{large}");
}

/// A fill-or-kill that meets only its owner's orders stops at the trades that a command may make.
#[test]
fn fill_or_kill_looks_no_further_than_a_command_may_trade() {
    let mut market = market(1);
    for _ in 0..LARGE {
        market.enter(0, Side::Sell, MARK, 1);
    }
    let mut place = market.order(0, Side::Buy, MARK, 1);
    place.order.time_in_force = TimeInForce::Fok;
    let (seen, events) = visits(|| market.run(Command::Place(place)));
    assert_eq!(trades(&events), 0);
    let most = limits::TRADES_PER_COMMAND as u64;
    println!("{seen} visits, {} for each meeting", seen / most);
    assert!((most..=most * 4 + COMMAND).contains(&seen), "{seen}");
}

/// Most and mean that entering and cancelling look at while the ids of `size` orders come and go.
fn turnover(size: i64) -> (u64, u64) {
    let mut market = market(3);
    let (mut most, mut sum) = (0, 0);
    for round in 0..2 {
        for number in 0..size {
            let account = (number % 3) as usize;
            let (seen, ()) = visits(|| {
                let (id, _) = market.enter(account, Side::Buy, MARK, 1);
                market.cancel(account, id);
            });
            most = seen.max(most);
            sum += seen;
        }
        if round == 0 {
            // A day later every id that was used is old, and leaves as new ones come.
            let mut exchange = std::mem::replace(&mut market.exchange, Exchange::new());
            let tick = crate::command::Stamped {
                seq: exchange.seq() + 1,
                at: exchange.at().after(limits::CLIENT_ID_LIFE),
                command: Command::Tick,
            };
            exchange.apply(&tick, &mut Vec::new());
            market.exchange = exchange;
        }
    }
    (most, sum / (2 * size as u64))
}

#[test]
fn ids_that_come_and_go_walk_nothing() {
    let (small, large) = (turnover(SMALL), turnover(LARGE));
    println!("most and mean: {small:?} of {SMALL}, {large:?} of {LARGE}");
    // The mean run of taken places in the index is less than two long. The longest one depends on the
    // random seed of its hash: some sixty, walked by each of a command's look-ups and of the eight places
    // it moves. A walk over all ids would be a hundred thousand.
    assert!(
        large.1 <= small.1 + 20,
        "mean {} of {SMALL}, {} of {LARGE}",
        small.1,
        large.1
    );
    assert!(large.0 <= 20 * COMMAND, "{}", large.0);
}

/// Most that a fill looks at whose owner has `others` open orders, and whose reduce-only orders are cut.
fn reducing(others: i64, reduce_only: i64) -> u64 {
    let mut market = market(2);
    market.enter(1, Side::Sell, MARK, reduce_only);
    market.enter(0, Side::Buy, MARK, reduce_only);
    for number in 0..others {
        market.enter(0, Side::Buy, MARK - 2 - number % 50, 1);
    }
    for _ in 0..reduce_only {
        let mut place = market.order(0, Side::Sell, MARK + 50, 1);
        place.order.reduce_only = true;
        market.run(Command::Place(place));
    }
    let open = market.exchange.orders().live();
    assert_eq!(open as i64, others + reduce_only);
    let mut most = 0;
    for _ in 0..reduce_only.min(200) {
        market.enter(1, Side::Buy, MARK, 1);
        let place = market.order(0, Side::Sell, MARK, 1);
        let (seen, events) = visits(|| market.run(Command::Place(place)));
        let cut = orders(&events).filter(|order| {
            order
                .problem
                .is_some_and(|problem| problem.reason == Reason::ReduceOnlyWouldIncrease)
        });
        assert_eq!((trades(&events), cut.count()), (1, 1));
        most = seen.max(most);
    }
    most
}

#[test]
fn cutting_reduce_only_orders_walks_nothing() {
    let seen = [
        reducing(SMALL, 300),
        reducing(LARGE, 300),
        reducing(SMALL, 50_000),
    ];
    println!(
        "a fill that cuts one of 300, with {SMALL} and {LARGE} others, and one of 50,000: {seen:?}"
    );
    assert!(seen[1] <= seen[0] + COMMAND, "{seen:?}");
    assert!(seen[2] <= seen[0] + COMMAND + DEEPER, "{seen:?}");
}

/// A cancel by the client's own id finds it at once.
#[test]
fn a_client_id_leads_to_its_order() {
    let most = [SMALL, LARGE].map(|size| {
        let mut market = market(1);
        for number in 0..size {
            market.enter(0, Side::Buy, MARK - number % 10, 1);
        }
        let mut most = 0;
        for id in (1..=size as u64).step_by(size as usize / 300) {
            let cancel = Cancel {
                origin: Origin {
                    account: market.accounts[0],
                    ..Origin::default()
                },
                target: Target::Client(id),
                instrument: CONTRACT,
            };
            let (seen, events) = visits(|| market.run(Command::Cancel(cancel)));
            let gone = orders(&events).all(|order| order.client_order_id == id);
            assert!(gone, "{events:?}");
            most = seen.max(most);
        }
        most
    });
    println!("cancel by client id: {most:?}");
    assert!(most[1] <= 5 * COMMAND, "{most:?}");
}
