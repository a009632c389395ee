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

/// As in the exchange's own program.
#[global_allocator]
static MEMORY: engine::memory::LargePages = engine::memory::LargePages;

#[path = "../peers/mod.rs"]
mod peers;

/// Messages of a batch unless the table is told otherwise: what an exchange finds in its inbox under
/// load. A book that looks ahead in a batch may do so.
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
    /// Messages of a batch; 1 takes away what a book gains by looking ahead.
    #[arg(long, default_value_t = BATCH)]
    batch: usize,
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

    fn drive(&self) -> Drive {
        Drive {
            batch: self.batch.max(1),
            patience: Duration::from_secs_f64(self.patience),
        }
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

/// How books are driven.
#[derive(Clone, Copy)]
struct Drive {
    batch: usize,
    patience: Duration,
}

/// Patience has ended after so many messages.
#[derive(Clone, Copy, Debug)]
struct TooSlow(usize);

/// Runs messages. Looking at the clock once a batch of the usual size costs a thousandth.
fn run(
    book: &mut dyn BareBook,
    messages: &[Message],
    out: &mut Vec<Report>,
    drive: Drive,
) -> Result<(Took, u64), TooSlow> {
    let (mut reports, mut done) = (0, 0);
    let start = (Instant::now(), ThreadTime::now());
    for batch in messages.chunks(drive.batch) {
        out.clear();
        book.apply_batch(black_box(batch), out);
        reports += black_box(&*out).len() as u64;
        done += batch.len();
        if done.is_multiple_of(BATCH) && start.0.elapsed() > drive.patience {
            return Err(TooSlow(done));
        }
    }
    let took = Took {
        wall: start.0.elapsed(),
        cpu: start.1.elapsed(),
    };
    Ok((took, reports))
}

/// A book at the start of a flow.
fn ready(
    entrant: Entrant,
    flow: &Flow,
    out: &mut Vec<Report>,
    drive: Drive,
) -> Result<Box<dyn BareBook>, TooSlow> {
    let mut book = (entrant.make)(&flow.room);
    run(&mut *book, &flow.prelude, out, drive)?;
    Ok(book)
}

/// Looks at every report once, without a clock, and whether there is time for more.
///
/// # Panics
/// If the book says something else than it must.
fn check(
    entrant: Entrant,
    flow: &Flow,
    out: &mut Vec<Report>,
    drive: Drive,
) -> Result<(), TooSlow> {
    let mut book = ready(entrant, flow, out, drive)?;
    let (mut tally, mut done) = (flows::Tally::default(), 0);
    let start = Instant::now();
    for batch in flow.messages.chunks(drive.batch) {
        out.clear();
        book.apply_batch(batch, out);
        tally.count(out);
        done += batch.len();
        if start.elapsed() > drive.patience {
            return Err(TooSlow(done));
        }
    }
    let (name, flow_name) = (entrant.name, flow.shape.name);
    assert_eq!(
        tally, flow.tally,
        "{name} says something else in {flow_name}"
    );
    Ok(())
}

/// Says why a book is left out, and how slow it is at least.
fn left_out(entrant: Entrant, flow: &Flow, drive: Drive, TooSlow(done): TooSlow) {
    println!(
        "{}: {} is LEFT OUT: {done} messages took {:?}, {:.0} ns each",
        flow.shape.name,
        entrant.name,
        drive.patience,
        nanos(drive.patience, done),
    );
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
    let drive = options.drive();
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
            let fits = check(*entrant, &flow, &mut out, drive);
            if let Err(slow) = fits {
                left_out(*entrant, &flow, drive, slow);
            }
            row.rounds.push(fits.is_ok().then(Vec::new));
        }
        for round in 0..options.rounds {
            for turn in 0..entrants.len() {
                // Nobody is always the first.
                let turn = (turn + round) % entrants.len();
                if row.rounds[turn].is_none() {
                    continue;
                }
                // It had time enough before; a noisy moment is no reason to stop.
                let drive = Drive {
                    patience: drive.patience * 4,
                    ..drive
                };
                let took = ready(entrants[turn], &flow, &mut out, drive)
                    .and_then(|mut book| run(&mut *book, &flow.messages, &mut out, drive));
                if let Ok((took, reports)) = took {
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
        "\nns per message, median of {} interleaved rounds, this thread's CPU time, batches of {}; \
         in brackets how many times ours",
        options.rounds, options.batch
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
                let Ok(mut book) = ready(*entrant, &flow, &mut out, options.drive()) else {
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
                let drive = Drive {
                    batch: BATCH,
                    patience: CRITERION_LIMIT / CRITERION_RUNS,
                };
                let fits = *fits.get_or_insert_with(|| {
                    let fits = check(entrant, flow, &mut out, drive);
                    if let Err(slow) = fits {
                        left_out(entrant, flow, drive, slow);
                        println!("the estimate that follows is of nothing at all");
                    }
                    fits.is_ok()
                });
                if !fits {
                    // Criterion insists on a measurement.
                    return bencher.iter(|| black_box(0));
                }
                let drive = Drive {
                    patience: Duration::MAX,
                    ..drive
                };
                bencher.iter_batched_ref(
                    || ready(entrant, flow, &mut Vec::new(), drive),
                    |book| {
                        let book = book.as_mut().expect("there was time");
                        run(&mut **book, &flow.messages, &mut out, drive)
                    },
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
