//! Bare books on bare flows: ours and published ones, in one run.
//!
//! Without arguments of its own this is a criterion bench. With `--table` it prints one table instead,
//! in which the books take turns on every flow, so that whatever else the machine does meets them all.

use std::{
    hint::black_box,
    io::Write as _,
    time::{Duration, Instant},
};

use bench::{
    books::{BareBook, Report},
    flows::{self, Flow, Message, Shape},
    report,
};
use clap::Parser;
use cpu_time::ThreadTime;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use peers::Entrant;

#[path = "../peers/mod.rs"]
mod peers;

/// Messages between two looks at the reports, as an exchange that drains its inbox has them.
const BATCH: usize = 256;
/// Room for the reports of a batch, so that no list grows under the clock: a crash's sweeps included.
const REPORTS: usize = 1 << 20;
/// A criterion estimate of one flow may take so long in all; criterion runs a flow about twelve times.
const CRITERION_LIMIT: Duration = Duration::from_secs(30);
const CRITERION_RUNS: u32 = 12;

/// Arguments of the table; all others are criterion's.
#[derive(Debug, Parser)]
struct Options {
    /// Print one table instead of criterion's estimates.
    #[arg(long)]
    table: bool,
    /// Print only the latencies.
    #[arg(long)]
    latency: bool,
    /// Only flows whose name contains one of these, separated by commas.
    #[arg(long, value_delimiter = ',')]
    flows: Vec<String>,
    /// Only books whose name contains one of these, separated by commas; ours always runs.
    #[arg(long, value_delimiter = ',')]
    books: Vec<String>,
    /// How often each book runs each flow.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// A book that needs longer for a flow's prelude, or for the flow, is left out, in seconds.
    #[arg(long, default_value_t = 4.0)]
    patience: f64,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn flows(&self) -> impl Iterator<Item = Shape> {
        flows::ALL
            .into_iter()
            .filter(|shape| wanted(&self.flows, shape.name))
    }

    fn entrants(&self) -> Vec<Entrant> {
        let (ours, others) = peers::ALL.split_first().expect("ours is there");
        let others = others
            .iter()
            .filter(|entrant| wanted(&self.books, entrant.name));
        std::iter::once(ours).chain(others).copied().collect()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.patience)
    }
}

fn wanted(filter: &[String], name: &str) -> bool {
    filter.is_empty() || filter.iter().any(|part| name.contains(part))
}

fn main() {
    if !report::wanted() {
        return;
    }
    if std::env::args().any(|argument| argument == "--table" || argument == "--latency") {
        let options = Options::parse();
        println!("books: {}", report::machine());
        if options.table {
            table(&options);
        }
        latency(&options);
    } else {
        criterion();
    }
}

/// Time that a run took.
#[derive(Clone, Copy, Debug)]
struct Took {
    /// On the wall.
    wall: Duration,
    /// Of this thread.
    cpu: Duration,
}

/// Runs messages; `None` if patience ends first. Looking at the clock once a batch costs a ten-thousandth.
fn run(
    book: &mut dyn BareBook,
    messages: &[Message],
    out: &mut Vec<Report>,
    patience: Duration,
) -> Option<(Took, u64)> {
    let mut reports = 0;
    let start = (Instant::now(), ThreadTime::now());
    for batch in messages.chunks(BATCH) {
        out.clear();
        book.apply_batch(black_box(batch), out);
        reports += black_box(&*out).len() as u64;
        if start.0.elapsed() > patience {
            return None;
        }
    }
    let took = Took {
        wall: start.0.elapsed(),
        cpu: start.1.elapsed(),
    };
    Some((took, reports))
}

/// A book at the start of a flow; `None` if patience ends first.
fn ready(
    entrant: Entrant,
    flow: &Flow,
    out: &mut Vec<Report>,
    patience: Duration,
) -> Option<Box<dyn BareBook>> {
    let mut book = (entrant.make)(&flow.room);
    run(&mut *book, &flow.prelude, out, patience)?;
    Some(book)
}

/// What a book says about a flow, without a clock.
fn check(entrant: Entrant, flow: &Flow, out: &mut Vec<Report>, patience: Duration) -> bool {
    let Some(mut book) = ready(entrant, flow, out, patience) else {
        return false;
    };
    let mut tally = flows::Tally::default();
    let start = Instant::now();
    for batch in flow.messages.chunks(BATCH) {
        out.clear();
        book.apply_batch(batch, out);
        tally.count(out);
        if start.elapsed() > patience {
            return false;
        }
    }
    assert_eq!(
        tally, flow.tally,
        "{} says something else in {}",
        entrant.name, flow.shape.name
    );
    true
}

/// One flow's column of results.
struct Row {
    name: &'static str,
    messages: usize,
    /// By book: all rounds, or nothing if it was left out.
    rounds: Vec<Option<Vec<Took>>>,
}

/// Nanoseconds per message.
fn nanos(took: Duration, messages: usize) -> f64 {
    took.as_nanos() as f64 / messages as f64
}

impl Row {
    fn sorted(&self, book: usize, what: impl Fn(&Took) -> Duration) -> Option<Vec<f64>> {
        let rounds = self.rounds[book].as_ref()?;
        let mut all: Vec<f64> = rounds
            .iter()
            .map(|took| nanos(what(took), self.messages))
            .collect();
        all.sort_by(f64::total_cmp);
        Some(all)
    }
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

fn table(options: &Options) {
    let entrants = options.entrants();
    let mut out = Vec::with_capacity(REPORTS);
    let mut rows = Vec::new();
    for shape in options.flows() {
        let flow = Flow::new(shape);
        println!("{}: {}", shape.name, flow.describe());
        let mut row = Row {
            name: shape.name,
            messages: flow.messages.len(),
            rounds: Vec::new(),
        };
        for entrant in &entrants {
            let fit = check(*entrant, &flow, &mut out, options.patience());
            if !fit {
                println!(
                    "{}: {} is left out, it needs more than {:?}",
                    shape.name,
                    entrant.name,
                    options.patience(),
                );
            }
            row.rounds.push(fit.then(Vec::new));
        }
        for round in 0..options.rounds {
            for turn in 0..entrants.len() {
                // Nobody is always the first.
                let turn = (turn + round) % entrants.len();
                if row.rounds[turn].is_none() {
                    continue;
                }
                let patience = options.patience() * 4;
                let took = ready(entrants[turn], &flow, &mut out, patience)
                    .and_then(|mut book| run(&mut *book, &flow.messages, &mut out, patience));
                if let Some((took, reports)) = took {
                    assert_eq!(reports, flow.tally.reports(), "the same as before");
                    if let Some(rounds) = &mut row.rounds[turn] {
                        rounds.push(took);
                    }
                }
            }
        }
        rows.push(row);
        let _ = std::io::stdout().flush();
    }
    print(&rows, &entrants, options);
}

fn print(rows: &[Row], entrants: &[Entrant], options: &Options) {
    println!(
        "\nns per message, median of {} interleaved rounds, this thread's CPU time, batches of {BATCH}; \
         in brackets how many times ours",
        options.rounds
    );
    head(entrants);
    for row in rows {
        let ours = row.sorted(0, |took| took.cpu);
        let ours = ours.as_deref().map(median);
        line(row, entrants, |book| {
            let middle = median(&row.sorted(book, |took| took.cpu)?);
            Some(format!("{middle:.1} ({:.2})", middle / ours?))
        });
    }
    println!("\nbest round, CPU time; in brackets the wall's median");
    head(entrants);
    for row in rows {
        line(row, entrants, |book| {
            let best = row.sorted(book, |took| took.cpu)?[0];
            let wall = median(&row.sorted(book, |took| took.wall)?);
            Some(format!("{best:.1} ({wall:.1})"))
        });
    }
    println!("\nmillion messages per second of CPU time, median; in brackets the best round");
    head(entrants);
    for row in rows {
        line(row, entrants, |book| {
            let all = row.sorted(book, |took| took.cpu)?;
            Some(format!("{:.2} ({:.2})", 1e3 / median(&all), 1e3 / all[0]))
        });
    }
}

fn head(entrants: &[Entrant]) {
    print!("| {:<9} |", "flow");
    for entrant in entrants {
        print!(" {:>18} |", entrant.name);
    }
    print!("\n|---|");
    for _ in entrants {
        print!("---:|");
    }
    println!();
}

fn line(row: &Row, entrants: &[Entrant], cell: impl Fn(usize) -> Option<String>) {
    print!("| {:<9} |", row.name);
    for book in 0..entrants.len() {
        let cell = cell(book).unwrap_or_else(|| "-".into());
        print!(" {cell:>18} |");
    }
    println!();
}

/// How long single messages take on the hot flow. One clock reading per message: what lies between two
/// readings is the message, the reading itself, and whatever the machine did meanwhile.
fn latency(options: &Options) {
    let mut out = Vec::with_capacity(REPORTS);
    let mut bare = report::histogram();
    let mut last = Instant::now();
    for _ in 0..1_000_000 {
        let now = Instant::now();
        report::record(&mut bare, now - last);
        last = now;
    }
    println!("\nlatency, message by message, wall clock, its reading included");
    println!(
        "  {:<9} {:<9}  {}",
        "-",
        "no book",
        report::percentiles(&bare)
    );
    let shapes = [flows::HOT, flows::BALANCED];
    for shape in shapes
        .iter()
        .filter(|shape| wanted(&options.flows, shape.name))
    {
        let flow = Flow::new(*shape);
        let mut stamps = vec![Duration::ZERO; flow.messages.len()];
        let mut histograms: Vec<_> = options
            .entrants()
            .iter()
            .map(|_| report::histogram())
            .collect();
        for _ in 0..options.rounds {
            for (entrant, histogram) in options.entrants().iter().zip(&mut histograms) {
                let Some(mut book) = ready(*entrant, &flow, &mut out, options.patience()) else {
                    continue;
                };
                out.clear();
                let start = Instant::now();
                for (message, stamp) in flow.messages.iter().zip(&mut stamps) {
                    if out.len() > REPORTS / 2 {
                        out.clear();
                    }
                    book.apply(black_box(message), &mut out);
                    *stamp = start.elapsed();
                }
                let mut last = Duration::ZERO;
                for stamp in &stamps {
                    report::record(histogram, *stamp - last);
                    last = *stamp;
                }
            }
        }
        for (entrant, histogram) in options.entrants().iter().zip(&histograms) {
            println!(
                "  {:<9} {:<9}  {}",
                shape.name,
                entrant.name,
                report::percentiles(histogram)
            );
        }
    }
}

fn criterion() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10)
        .configure_from_args();
    for shape in flows::ALL {
        // Making a flow and a book takes time: only if criterion, who knows the filter, calls.
        let mut made: Option<Flow> = None;
        let mut out = Vec::with_capacity(REPORTS);
        let mut group = criterion.benchmark_group(format!("books/{}", shape.name));
        group.throughput(Throughput::Elements(shape.messages as u64));
        for entrant in peers::ALL {
            let mut fits = None;
            group.bench_function(BenchmarkId::from_parameter(entrant.name), |bencher| {
                let flow = made.get_or_insert_with(|| {
                    let flow = Flow::new(shape);
                    println!("{}: {}", shape.name, flow.describe());
                    flow
                });
                let fits = *fits.get_or_insert_with(|| {
                    let patience = CRITERION_LIMIT / CRITERION_RUNS;
                    let fits = check(entrant, flow, &mut out, patience);
                    if !fits {
                        println!(
                            "{} in {} would take minutes: SKIPPED, the line below means nothing",
                            entrant.name, shape.name
                        );
                    }
                    fits
                });
                if !fits {
                    // Criterion insists on a measurement.
                    return bencher.iter(|| black_box(0));
                }
                bencher.iter_batched_ref(
                    || ready(entrant, flow, &mut Vec::new(), Duration::MAX),
                    |book| {
                        let book = book.as_mut().expect("there was time");
                        run(&mut **book, &flow.messages, &mut out, Duration::MAX)
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
