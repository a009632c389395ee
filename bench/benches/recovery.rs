//! What coming back costs, and what taking snapshots costs those who trade meanwhile.
//!
//! ```text
//! cargo bench -p bench --bench recovery [-- --rate 50000 --seconds 10]
//! ```
//!
//! One exchange with 10,000 accounts and 900,000 resting orders. Commands come at a steady rate, first
//! with nobody taking snapshots, then while the keeper takes one after the other: latency from due to told
//! stands side by side. Then the exchange stops, and comes back from the journal alone, and from the
//! newest snapshot.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bench::{
    report,
    workload::{DEEP, Flow},
};
use clap::Parser;
use engine::{
    exchange::Exchange,
    journal::{self, RealDisk},
    keeper::{Keeper, Retention},
    memory::LargePages,
    pipeline::{self, Batch, Outlet, SystemClock},
    snapshots,
};
use hdrhistogram::Histogram;

#[global_allocator]
static ALLOCATOR: LargePages = LargePages;

/// What to measure.
#[derive(Parser, Debug)]
struct Options {
    /// Commands a second.
    #[arg(long, default_value_t = 50_000.0)]
    rate: f64,
    /// Seconds with and without snapshots, each.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// When commands were due, and how late they were told.
struct Watch {
    begun: Instant,
    /// Position of the first measured command, and the time between two.
    from: u64,
    between: Duration,
    late: Histogram<u64>,
}

#[derive(Clone)]
struct Listener {
    told: Arc<AtomicU64>,
    watch: Arc<Mutex<Option<Watch>>>,
}

impl Outlet<()> for Listener {
    fn publish(&mut self, batch: Batch<()>) {
        let now = Instant::now();
        let mut watch = self.watch.lock().expect("nobody panics with it");
        if let Some(watch) = watch.as_mut() {
            for stamped in &batch.stamped {
                let Some(place) = stamped.seq.checked_sub(watch.from) else {
                    continue;
                };
                let due = watch.begun + watch.between * u32::try_from(place).expect("some seconds");
                let late = now.saturating_duration_since(due).as_nanos();
                watch
                    .late
                    .saturating_record(u64::try_from(late).unwrap_or(u64::MAX));
            }
        }
        let last = batch.stamped.last().map_or(0, |stamped| stamped.seq);
        self.told.store(last, Ordering::Release);
    }
}

fn main() -> io::Result<()> {
    if !report::wanted() {
        return Ok(());
    }
    let options = Options::parse();
    println!("recovery: {}", report::machine());
    let each = (options.rate * options.seconds as f64) as usize;
    let flow = Flow::new(DEEP, 2 * each, 1);
    let folder = Folder::new()?;
    let dir = folder.0.join("journal");
    trade(&options, &flow, &dir, each)?;
    come_back(&dir)
}

fn trade(options: &Options, flow: &Flow, dir: &std::path::Path, each: usize) -> io::Result<()> {
    let settings = journal::Settings::new(dir, 1);
    let (journal, _) = journal::open(settings, |_| Ok(())).map_err(io::Error::other)?;
    let (beginning, room) = (journal.position(), journal.room());
    let listener = Listener {
        told: Arc::default(),
        watch: Arc::default(),
    };
    let pipeline = pipeline::start::<()>(
        Exchange::new(),
        journal,
        pipeline::Settings::default(),
        SystemClock,
        listener.clone(),
    )?;
    let submit = |command: &engine::command::Command| {
        while pipeline.intake.submit(command.clone(), None).is_err() {
            assert_eq!(pipeline.fault.reason(), None);
            std::thread::sleep(Duration::from_micros(50));
        }
    };
    let wait_for = |position: u64| {
        while listener.told.load(Ordering::Acquire) < position {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    for stamped in &flow.prelude {
        submit(&stamped.command);
    }
    let mut position = flow.prelude.len() as u64;
    wait_for(position);
    let measure = |commands: &[engine::command::Stamped], position: &mut u64| {
        let between = Duration::from_secs_f64(1.0 / options.rate);
        let begun = Instant::now();
        *listener.watch.lock().expect("nobody panics with it") = Some(Watch {
            begun,
            from: *position + 1,
            between,
            late: report::histogram(),
        });
        for (place, stamped) in (0..).zip(commands) {
            let due = begun + between * place;
            while Instant::now() < due {
                std::thread::yield_now();
            }
            submit(&stamped.command);
        }
        *position += commands.len() as u64;
        wait_for(*position);
        let watch = listener.watch.lock().expect("nobody panics with it").take();
        watch.expect("set above").late
    };
    let (first, second) = flow.commands.split_at(each);
    let without = measure(first, &mut position);
    println!("without snapshots: {}", report::percentiles(&without));

    let mut keeper = Keeper::start(
        Arc::new(RealDisk),
        dir,
        Some(&beginning),
        Exchange::new(),
        (),
    )
    .map_err(io::Error::other)?;
    let begun = Instant::now();
    while keeper.turn().map_err(io::Error::other)? {}
    let (took, caught_up) = (begun.elapsed(), keeper.exchange().seq());
    println!(
        "the keeper caught up: {} commands/s executed again and compared, reading along",
        report::per_second(report::rate(caught_up, took))
    );
    let fault = pipeline.fault.clone();
    let keeping = keeper.keep(1, Retention::All, room, fault.clone())?;
    let with = measure(second, &mut position);
    println!(
        "while snapshots are written: {}",
        report::percentiles(&with)
    );
    assert_eq!(fault.reason(), None);
    drop(keeping);
    pipeline.stop();
    Ok(())
}

fn come_back(dir: &std::path::Path) -> io::Result<()> {
    let kept = snapshots::beside(dir);
    let aside = kept.with_extension("aside");
    std::fs::rename(&kept, &aside)?;
    let settings = || journal::Settings::new(dir, 1);
    let recover = || {
        let begun = Instant::now();
        let back = pipeline::recover(settings(), |_| Ok(())).map_err(io::Error::other);
        back.map(|back| (back, begun.elapsed()))
    };
    let (whole, took) = recover()?;
    let seq = whole.exchange.seq();
    println!(
        "from the journal alone: {seq} commands in {took:.2?}, {} commands/s",
        report::per_second(report::rate(seq, took))
    );
    let digest = whole.exchange.digest();
    drop(whole);
    std::fs::rename(&aside, &kept)?;
    let (back, took) = recover()?;
    let (path, at) = back.began.snapshot.expect("one was taken");
    println!(
        "from a snapshot of {:.0} MB and {} commands after it: {took:.2?}",
        std::fs::metadata(path)?.len() as f64 / 1e6,
        seq - at
    );
    assert_eq!(back.exchange.digest(), digest, "the same exchange");
    Ok(())
}

/// A temporary folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("hashpit-recovery-{}", std::process::id()));
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
