//! What single rules cost. Flows on which one rule more has something to do run in turns with those on which
//! it has not, on the thread's own CPU time; then what a day of clearing costs for each position and order.

use std::{hint::black_box, time::Duration};

use bench::workload::{ACCOUNTS, BALANCED, Flow, HOT, Rule, Shape, Venue};
use cpu_time::ThreadTime;
use engine::{
    command::{Command, Stamped},
    event::Event,
    exchange::Exchange,
    margin::Ranges,
    units::{DAY, Nanos, Ppm},
};

/// As in the exchange's own program.
#[global_allocator]
static MEMORY: engine::memory::LargePages = engine::memory::LargePages;

/// Commands of a measured flow.
const FLOW: usize = 100_000;
/// Turns of each flow; the median counts.
const TURNS: usize = 9;

fn main() {
    if !bench::report::wanted() {
        return;
    }
    println!("{}", bench::report::machine());
    for shape in [BALANCED, HOT] {
        flows(shape);
    }
    days();
}

/// Nanoseconds of one command.
fn run(flow: &Flow) -> f64 {
    let (mut exchange, mut out) = (flow.start.clone(), Vec::with_capacity(1 << 12));
    let mut events = 0;
    let start = ThreadTime::now();
    for (place, stamped) in flow.commands.iter().enumerate() {
        let ahead = |at: usize| flow.commands.get(at).map(|ahead| &ahead.command);
        exchange.look_ahead(ahead, place);
        out.clear();
        exchange.apply(black_box(stamped), &mut out);
        events += black_box(&out).len();
    }
    let took = start.elapsed();
    assert_eq!(
        events as u64, flow.tally.events,
        "the flow does what it did"
    );
    took.as_nanos() as f64 / flow.commands.len() as f64
}

fn flows(shape: Shape) {
    let make = |rule| (rule, Flow::under(rule, shape, FLOW, 1), Vec::new());
    let mut all: Vec<(Rule, Flow, Vec<f64>)> = [Rule::None]
        .into_iter()
        .chain(Rule::ALL.map(|(rule, _, _)| rule))
        .map(make)
        .collect();
    for turn in 0..=TURNS {
        for (_, flow, times) in &mut all {
            let time = run(flow);
            // The first turn warms up.
            if turn > 0 {
                times.push(time);
            }
        }
    }
    let median = |rule: Rule| {
        let (_, _, times) = all.iter().find(|row| row.0 == rule).expect("measured");
        let mut times = times.clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    println!(
        "\n{}: {:.0} ns a command without any of them",
        shape.name,
        median(Rule::None)
    );
    for (rule, beside, words) in Rule::ALL {
        let (with, without) = (median(rule), median(beside));
        println!(
            "{words:42} {:+6.0} ns ({:+.1} %)",
            with - without,
            (with / without - 1.0) * 100.0
        );
    }
}

/// Runs a command and says how long it took, and how many events it had.
fn timed(exchange: &mut Exchange, at: Nanos, command: Command) -> (Duration, Vec<Event>) {
    let stamped = Stamped {
        seq: exchange.seq() + 1,
        at,
        command,
    };
    let mut out = Vec::with_capacity(1 << 20);
    let start = ThreadTime::now();
    exchange.apply(black_box(&stamped), &mut out);
    let took = start.elapsed();
    let refused = out.iter().find(|event| matches!(event, Event::Refused(_)));
    assert!(refused.is_none(), "{refused:?}");
    (took, out)
}

/// Lets everything fall due up to a moment.
fn until(exchange: &mut Exchange, moment: Nanos) -> Duration {
    let mut took = Duration::ZERO;
    while exchange.next_deadline().is_some_and(|due| due <= moment) {
        let at = moment.max(exchange.at().after(1));
        took += timed(exchange, at, Command::Tick).0;
    }
    took
}

fn say(words: &str, took: Duration, what: usize, of: &str) {
    let each = took.as_nanos() as f64 / what as f64;
    println!("{words:60} {each:7.0} ns for each of {what} {of}");
}

/// A mark, a method, a day: with 50,000 resting orders, and with ten thousand positions alone.
fn days() {
    println!();
    let flow = Flow::under(Rule::Credit, BALANCED, FLOW, 1);
    let orders = flow.start.orders().live();
    let mut exchange = flow.start.clone();
    let later = |exchange: &Exchange| exchange.at().after(1_000);
    let at = later(&exchange);
    let (took, _) = timed(&mut exchange, at, Venue::fixing(1, 42_010, None));
    say(
        "a mark moves (MARK-02, MONEY-07, MONEY-08)",
        took,
        orders,
        "orders, with their positions",
    );
    let at = later(&exchange);
    let (took, _) = timed(&mut exchange, at, Venue::fixing(1, 42_020, Some(Nanos(0))));
    say(
        "a daily fixing (MONEY-10)",
        took,
        orders,
        "orders, with their positions",
    );

    let mut venue = Venue::under(Rule::Credit, ACCOUNTS);
    venue.hold_quarter();
    let count = ACCOUNTS;
    let ranges = Ranges {
        difficulty: Ppm(250_000),
        ..Ranges::default()
    };
    let mut exchange = venue.exchange.clone();
    let start = ThreadTime::now();
    venue.set_ranges(ranges, Ppm(700_000));
    let took = start.elapsed();
    say(
        "a margin method is set anew (MARGIN-01)",
        took,
        2 * count,
        "positions",
    );
    let at = later(&exchange);
    let (took, _) = timed(&mut exchange, at, Venue::fixing(1, 42_010, None));
    say(
        "a mark moves, positions alone",
        took,
        2 * count,
        "positions",
    );
    let first = Venue::first_day();
    let took = until(&mut exchange, first.after(1_000));
    say(
        "a quarter becomes its months (CASCADE-02)",
        took,
        count,
        "positions",
    );
    let midnight = first.after(DAY + 1_000);
    until(&mut exchange, midnight);
    let at = midnight.after(1_000);
    let (took, out) = timed(&mut exchange, at, Venue::fixing(2, 42_020, Some(first)));
    let settled = out
        .iter()
        .filter(|event| matches!(event, Event::Clearing(_)))
        .count();
    assert!(settled >= count, "{settled} settled");
    say(
        "a day settles, the other months pay variation (SETTLE-02)",
        took,
        3 * count,
        "positions",
    );
}
