//! Every flow through the whole exchange, with the timing of a real market: commands come in bursts.
//!
//! Arrivals are a self-exciting process: every command calls on average [`BRANCHING`] others within a
//! few hundred microseconds, as a trade calls cancels and new quotes; what nothing calls comes at random.
//! The schedule is made from a seed before the clock starts and kept whatever happens: a command that
//! waits for a full queue, or behind others, is late from the moment it was due. Told = durable on disk,
//! executed again by the follower, handed to the publisher.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use bench::{
    flows, report,
    workload::{BALANCED, DEEP, Flow, HOT, Random, Tally},
};
use clap::Parser;
use engine::{
    exchange::Exchange,
    journal,
    pipeline::{self, Batch, Outlet, Pipeline, SystemClock},
};
use hdrhistogram::Histogram;

/// Commands that a command calls on average.
const BRANCHING: f64 = 0.8;
/// They come within this on average.
const REACTION: f64 = 200e-6;
/// A sender that has longer to wait sleeps.
const NAP: Duration = Duration::from_micros(200);

/// Arguments.
#[derive(Debug, Parser)]
struct Options {
    /// Commands per second on average.
    #[arg(long, default_value_t = 50_000.0)]
    rate: f64,
    /// Commands of a flow.
    #[arg(long, default_value_t = 150_000)]
    commands: usize,
    /// Only flows whose name contains one of these, separated by commas.
    #[arg(long, value_delimiter = ',')]
    flows: Vec<String>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> io::Result<()> {
    if !report::wanted() {
        return Ok(());
    }
    let options = Options::parse();
    println!("shaped: {}", report::machine());
    println!(
        "{} commands a second on average, in bursts; from due to told\n\n\
         | flow | commands | busiest 10 ms | p50 | p99 | p99.9 | max | queue full |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|",
        options.rate
    );
    let wanted = |name: &str| {
        options.flows.is_empty()
            || options
                .flows
                .iter()
                .any(|part| name.contains(part.as_str()))
    };
    for shape in [BALANCED, HOT, DEEP] {
        if wanted(shape.name) {
            run(shape.name, Flow::new(shape, options.commands, 1), &options)?;
        }
    }
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
        if wanted(shape.name) {
            run(shape.name, Flow::mapped(shape, options.commands), &options)?;
        }
    }
    Ok(())
}

/// When each command is due, from the start.
fn schedule(commands: usize, rate: f64) -> Vec<Duration> {
    let mut random = Random::new(7);
    // Uniform in (0, 1].
    let mut draw = || (random.below(1 << 53) + 1) as f64 / (1_u64 << 53) as f64;
    let mut due: Vec<f64> = Vec::with_capacity(2 * commands);
    let mut at = 0.0;
    while due.len() < 2 * commands {
        at -= draw().ln() / (rate * (1.0 - BRANCHING));
        let mut family = vec![at];
        while let Some(parent) = family.pop() {
            due.push(parent);
            // As many children as a Poisson draw says.
            let mut left = (-BRANCHING).exp();
            loop {
                left /= draw();
                if left >= 1.0 {
                    break;
                }
                family.push(parent - draw().ln() * REACTION);
            }
        }
    }
    due.sort_by(f64::total_cmp);
    due.truncate(commands);
    due.into_iter().map(Duration::from_secs_f64).collect()
}

/// Listens to what is told, against the schedule.
struct Listener {
    told: Arc<AtomicU64>,
    /// Journal position before the first measured command, and when that one was due.
    from: u64,
    due: Arc<Vec<Duration>>,
    start: mpsc::Receiver<Instant>,
    started: Option<Instant>,
    late: Histogram<u64>,
    tally: Tally,
    result: mpsc::Sender<(Histogram<u64>, Tally)>,
}

impl Outlet<()> for Listener {
    fn publish(&mut self, batch: Batch<()>) {
        let now = Instant::now();
        for (stamped, events) in batch.commands() {
            let Some(place) = stamped.seq.checked_sub(self.from + 1) else {
                continue;
            };
            let place = usize::try_from(place).expect("a flow fits the memory");
            let start = *self
                .started
                .get_or_insert_with(|| self.start.recv().expect("the sender has started"));
            let late = now.saturating_duration_since(start + self.due[place]);
            let nanos = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
            self.late.saturating_record(nanos);
            self.tally.count(events);
            if place + 1 == self.due.len() {
                let result = (self.late.clone(), self.tally);
                // The other end waits for exactly this.
                self.result.send(result).unwrap_or_default();
            }
        }
        let last = batch.stamped.last().map_or(0, |stamped| stamped.seq);
        self.told.store(last, Ordering::Release);
    }
}

fn run(name: &str, flow: Flow, options: &Options) -> io::Result<()> {
    let folder = Folder::new(name)?;
    let due = Arc::new(schedule(flow.commands.len(), options.rate));
    let told = Arc::new(AtomicU64::new(0));
    let (result, answer) = mpsc::channel();
    let (begin, start) = mpsc::channel();
    let from = flow.prelude.len() as u64;
    let listener = Listener {
        told: told.clone(),
        from,
        due: due.clone(),
        start,
        started: None,
        late: Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(io::Error::other)?,
        tally: Tally::default(),
        result,
    };
    let settings = journal::Settings::new(folder.0.clone(), 1);
    let (journal, _) = journal::open(settings, |_| Ok(())).map_err(io::Error::other)?;
    let settings = pipeline::Settings::default();
    let exchange = Exchange::new();
    let pipeline = pipeline::start::<()>(exchange, journal, settings, SystemClock, listener)?;
    for stamped in &flow.prelude {
        submit(&pipeline, &stamped.command);
    }
    while told.load(Ordering::Acquire) < from {
        std::thread::sleep(Duration::from_millis(1));
    }
    let clock = Instant::now();
    begin.send(clock).map_err(io::Error::other)?;
    let mut full = 0;
    for (stamped, due) in flow.commands.iter().zip(due.iter()) {
        wait_until(clock + *due);
        full += submit(&pipeline, &stamped.command);
    }
    let (late, tally) = answer.recv().map_err(io::Error::other)?;
    pipeline.stop();
    assert_eq!(tally, flow.tally, "the threads did what the function did");
    let micros = |quantile| format!("{} us", late.value_at_quantile(quantile) / 1_000);
    println!(
        "| {name} | {} | {} | {} | {} | {} | {} | {full} |",
        flow.commands.len(),
        busiest(&due),
        micros(0.5),
        micros(0.99),
        micros(0.999),
        micros(1.0),
    );
    Ok(())
}

/// Most commands due within ten milliseconds.
fn busiest(due: &[Duration]) -> usize {
    let mut first = 0;
    let within = due.iter().enumerate().map(|(place, at)| {
        while *at - due[first] >= Duration::from_millis(10) {
            first += 1;
        }
        place - first + 1
    });
    within.max().unwrap_or(0)
}

/// Hands a command in, waiting while the queue is full; how often it was.
fn submit(pipeline: &Pipeline<()>, command: &engine::command::Command) -> u64 {
    let mut full = 0;
    while pipeline.intake.submit(command.clone(), None).is_err() {
        if let Some(reason) = pipeline.fault.reason() {
            panic!("the exchange has stopped: {reason}");
        }
        full += 1;
        std::thread::sleep(Duration::from_micros(50));
    }
    full
}

fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if left > NAP {
            std::thread::sleep(left - NAP);
        } else {
            std::thread::yield_now();
        }
    }
}

/// A temporary folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> io::Result<Self> {
        let path =
            std::env::temp_dir().join(format!("hashpit-shaped-{name}-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} stays behind: {error}", self.0.display());
        }
    }
}
