//! The exchange as a function: what one command costs, and what a flow of them costs.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use bench::{
    flows,
    workload::{ACCOUNTS, BALANCED, Curve, DEEP, Flow, HOT, Refresh, Tally, Venue},
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group};
use engine::{
    command::{Command, Side, Stamped, Target, TimeInForce},
    event::Event,
    ids::{AccountId, OrderId},
    limits::QUOTE_ENTRIES,
    prefetch::prefetch_whole,
};

/// As in the exchange's own program.
#[global_allocator]
static MEMORY: engine::memory::LargePages = engine::memory::LargePages;

/// Operations between two looks at the clock, so that looking costs nothing.
const CHUNK: u64 = 128;
/// Levels of one side that stand in the book all the time, and orders at each.
const LEVELS: i64 = 500;
const QUEUE: usize = 8;
/// Best bid and ask of the standing book.
const BID: i64 = 41_900;
const ASK: i64 = 42_100;
/// Times a flow is run for its latencies.
const ROUNDS: usize = 5;
/// Commands of a measured flow.
const FLOW: usize = 100_000;
/// Of one made of a bare flow, whose middle should not move faster than anybody can trade.
const MAPPED: usize = 500_000;

/// A venue with a standing book of 8,000 orders at 1,000 levels.
fn venue() -> Venue {
    let mut venue = Venue::new(ACCOUNTS);
    for level in 0..LEVELS {
        for place in 0..QUEUE {
            let trader = level as usize * QUEUE + place;
            let bid = venue.order(trader, Side::Buy, BID - level, 100);
            venue.run(Command::Place(bid));
            let ask = venue.order(trader + 1, Side::Sell, ASK + level, 100);
            venue.run(Command::Place(ask));
        }
    }
    assert_eq!(venue.exchange.orders().live(), 2 * LEVELS as usize * QUEUE);
    venue
}

/// Applies commands against the clock and gives back what they did.
fn timed(venue: &mut Venue, commands: &[Stamped]) -> (Duration, Tally) {
    let mut out = std::mem::take(&mut venue.events);
    let mut ends = 0;
    out.clear();
    let start = Instant::now();
    for stamped in commands {
        venue.exchange.apply(black_box(stamped), &mut out);
        ends += black_box(&out).len();
    }
    let took = start.elapsed();
    black_box(ends);
    let mut tally = Tally::default();
    tally.count(&out);
    venue.events = out;
    (took, tally)
}

/// Stamps a chunk of commands in advance.
fn stamped(venue: &mut Venue, commands: Vec<Command>) -> Vec<Stamped> {
    commands
        .into_iter()
        .enumerate()
        .map(|(ahead, command)| venue.stamp(ahead, command))
        .collect()
}

/// Orders that rest on levels of the standing book, far enough from each other's accounts.
fn bids(venue: &mut Venue, count: u64, price: impl Fn(i64) -> i64, lots: i64) -> Vec<Stamped> {
    let commands = (0..count as i64)
        .map(|n| Command::Place(venue.order(n as usize * 7, Side::Buy, price(n), lots)))
        .collect();
    stamped(venue, commands)
}

fn accepted(events: &[Event]) -> Vec<(AccountId, OrderId, u64)> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Order(order) if order.kind == engine::event::OrderEventKind::Accepted => {
                Some((order.to.account, order.order_id, order.client_order_id))
            }
            _ => None,
        })
        .collect()
}

/// Cancels what a chunk left behind, unmeasured.
fn clear(venue: &mut Venue, orders: &[(AccountId, OrderId, u64)]) {
    for (account, order, _) in orders {
        let cancel = venue.cancel(*account, Target::Order(*order));
        venue.run(cancel);
    }
    venue.history.clear();
}

/// Runs `chunk` until criterion's count is reached; it says how long its share took.
fn chunks(iterations: u64, mut chunk: impl FnMut(u64) -> Duration) -> Duration {
    let mut left = iterations;
    let mut took = Duration::ZERO;
    while left > 0 {
        let now = left.min(CHUNK);
        took += chunk(now);
        left -= now;
    }
    took
}

fn spread(n: i64) -> i64 {
    BID - n * 13 % LEVELS
}

fn place(criterion: &mut Criterion) {
    let mut venue = venue();
    criterion.bench_function("core/place/resting", |bencher| {
        bencher.iter_custom(|iterations| {
            chunks(iterations, |count| {
                let orders = bids(&mut venue, count, spread, 3);
                let (took, tally) = timed(&mut venue, &orders);
                assert_eq!((tally.accepted, tally.trades), (count, 0));
                let orders = accepted(&venue.events);
                clear(&mut venue, &orders);
                took
            })
        });
    });
}

fn cancel(criterion: &mut Criterion) {
    let mut venue = venue();
    for by_client_id in [false, true] {
        let name = if by_client_id {
            "client-id"
        } else {
            "order-id"
        };
        criterion.bench_function(&format!("core/cancel/{name}"), |bencher| {
            bencher.iter_custom(|iterations| {
                chunks(iterations, |count| {
                    let orders = bids(&mut venue, count, spread, 3);
                    timed(&mut venue, &orders);
                    let orders = accepted(&venue.events);
                    let cancels = orders.iter().map(|(account, order, client)| {
                        let target = match by_client_id {
                            true => Target::Client(*client),
                            false => Target::Order(*order),
                        };
                        venue.cancel(*account, target)
                    });
                    let cancels = cancels.collect();
                    let cancels = stamped(&mut venue, cancels);
                    let (took, tally) = timed(&mut venue, &cancels);
                    assert_eq!((tally.cancelled, tally.refused), (count, 0));
                    took
                })
            });
        });
    }
}

fn amend(criterion: &mut Criterion) {
    let mut venue = venue();
    for keeps in [true, false] {
        let name = if keeps {
            "keeps-priority"
        } else {
            "loses-priority"
        };
        criterion.bench_function(&format!("core/amend/{name}"), |bencher| {
            bencher.iter_custom(|iterations| {
                chunks(iterations, |count| {
                    let orders = bids(&mut venue, count, spread, 3);
                    timed(&mut venue, &orders);
                    let orders = accepted(&venue.events);
                    let amends = orders.iter().zip(0..).map(|((account, order, _), n)| {
                        let (price, lots) = match keeps {
                            true => (None, Some(2)),
                            false => (Some(spread(n + 3)), None),
                        };
                        venue.replace(*account, Target::Order(*order), price, lots)
                    });
                    let amends = amends.collect();
                    let amends = stamped(&mut venue, amends);
                    let (took, tally) = timed(&mut venue, &amends);
                    assert_eq!((tally.replaced, tally.refused), (count, 0));
                    clear(&mut venue, &orders);
                    took
                })
            });
        });
    }
}

/// Orders that take `makers` resting orders whole. The makers stand alone in front of the book.
fn take(criterion: &mut Criterion, name: &str, makers: u64, levels: i64) {
    let mut venue = venue();
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            chunks(iterations, |count| {
                let front = bids(&mut venue, count * makers, |n| BID + 1 + n % levels, 3);
                timed(&mut venue, &front);
                let takers = (0..count).map(|n| {
                    let lots = 3 * makers as i64;
                    let mut taker = venue.order(n as usize * 11 + 3, Side::Sell, BID + 1, lots);
                    taker.order.time_in_force = TimeInForce::Ioc;
                    taker.order.self_trade = engine::command::SelfTrade::Decrement;
                    Command::Place(taker)
                });
                let takers = takers.collect();
                let takers = stamped(&mut venue, takers);
                let (took, tally) = timed(&mut venue, &takers);
                // Now and then a taker meets its own account, and nothing is printed.
                let least = count * makers * 9 / 10;
                assert!(tally.trades >= least && tally.refused == 0, "{tally:?}");
                assert_eq!(tally.accepted, count);
                took
            })
        });
    });
}

fn cross(criterion: &mut Criterion) {
    take(criterion, "core/cross/one-maker", 1, 1);
    take(criterion, "core/sweep/ten-makers", 10, 10);
}

/// 64 entries, both sides, over sixteen months: one command of a maker.
fn quotes(criterion: &mut Criterion) {
    for (name, what) in [
        ("moves", Refresh::Moves),
        ("shrinks", Refresh::Shrinks),
        ("repeats", Refresh::Repeats),
    ] {
        let mut curve: Option<Curve> = None;
        criterion.bench_function(&format!("core/mass-quote/{name}"), |bencher| {
            let curve = curve.get_or_insert_with(|| Curve::new(ACCOUNTS));
            bencher.iter_custom(|iterations| {
                chunks(iterations, |count| {
                    let refreshes = curve.refreshes(what, count as usize);
                    let (took, _) = timed(&mut curve.venue, &refreshes);
                    let sides = curve.venue.events.iter().map(|event| match event {
                        Event::Quoted(quoted) => u64::from(quoted.accepted),
                        _ => 0,
                    });
                    assert_eq!(sides.sum::<u64>(), count * 2 * QUOTE_ENTRIES as u64);
                    curve.venue.history.clear();
                    took
                })
            });
        });
    }
}

/// Whole flows, everything included: sessions, client ids, margin, fees, events.
fn apply(criterion: &mut Criterion) {
    for shape in [BALANCED, HOT, DEEP] {
        flow(criterion, shape.name, FLOW, || Flow::new(shape, FLOW, 1));
    }
    // Of `ALL`, those that the three above do not stand for already.
    let mapped = [
        flows::STATIC,
        flows::TRENDING,
        flows::SWING_25,
        flows::SWING_40,
        flows::CRASH,
        flows::QUEUE,
        flows::SPARSE_IN_BAND,
        flows::ZIPF,
    ];
    for shape in mapped {
        let commands = shape.messages.min(MAPPED);
        flow(criterion, shape.name, commands, || {
            Flow::mapped(shape, commands)
        });
    }
}

fn flow(criterion: &mut Criterion, name: &str, commands: usize, make: impl Fn() -> Flow) {
    // Making the deep book takes seconds: only if criterion, who knows the filter, calls.
    let mut made: Option<Flow> = None;
    let mut group = criterion.benchmark_group("core/apply");
    group.sample_size(10);
    group.throughput(Throughput::Elements(commands as u64));
    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
        let flow = made.get_or_insert_with(|| {
            let flow = make();
            assert_eq!(flow.commands.len(), commands);
            println!("{name}: {}", flow.describe());
            let (mut exchange, mut out) = (flow.start.clone(), Vec::new());
            let mut tally = Tally::default();
            for stamped in &flow.commands {
                out.clear();
                exchange.apply(stamped, &mut out);
                tally.count(&out);
            }
            assert_eq!(tally, flow.tally, "the flow does again what it did");
            flow
        });
        bencher.iter_batched_ref(
            || (flow.start.clone(), Vec::with_capacity(1 << 12)),
            |(exchange, out)| {
                let mut events = 0;
                for (place, stamped) in flow.commands.iter().enumerate() {
                    // As the sequencer does with the commands that wait behind this one.
                    let ahead = |at: usize| flow.commands.get(at).map(|ahead| &ahead.command);
                    // There they were written a moment ago; here they lie in a list of megabytes.
                    if let Some(far) = flow.commands.get(place + 32) {
                        prefetch_whole(far);
                    }
                    exchange.look_ahead(ahead, place);
                    out.clear();
                    exchange.apply(black_box(stamped), out);
                    events += black_box(&*out).len();
                }
                assert_eq!(events as u64, flow.tally.events);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    targets = place, cancel, cross, amend, quotes, apply
}

/// Latency of single commands, the clock's own reading included; sweeps, commands of more than one
/// trade, apart.
fn latencies() {
    println!("core, command by command: {}", bench::report::machine());
    for shape in [BALANCED, HOT, DEEP] {
        let flow = Flow::new(shape, FLOW, 1);
        let mut single = bench::report::histogram();
        let mut sweeps = single.clone();
        for _ in 0..ROUNDS {
            let (mut exchange, mut out) = (flow.start.clone(), Vec::with_capacity(1 << 12));
            for (place, stamped) in flow.commands.iter().enumerate() {
                let ahead = |at: usize| flow.commands.get(at).map(|ahead| &ahead.command);
                exchange.look_ahead(ahead, place);
                out.clear();
                let start = Instant::now();
                exchange.apply(black_box(stamped), &mut out);
                let took = start.elapsed();
                let is_trade = |event: &&Event| matches!(event, Event::Trade(_));
                let trades = black_box(&out).iter().filter(is_trade).count();
                let of = if trades > 1 { &mut sweeps } else { &mut single };
                bench::report::record(of, took);
            }
        }
        for (name, of) in [("", single), (", sweeps", sweeps)] {
            println!("{}{name}: {}", shape.name, bench::report::percentiles(&of));
        }
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "--latency") {
        return latencies();
    }
    if bench::report::wanted() {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
}
