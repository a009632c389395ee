//! What durability costs: bytes, blocks, and the threads around them.
//!
//! Every figure stands next to a raw loop of writes of the same size and `fdatasync` into a file full of
//! zeros in the same folder, in the same run: on another disk the figures differ, the ratios should not.

#[path = "journal/quiet_disk.rs"]
mod quiet_disk;

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use bench::{
    report,
    workload::{BALANCED, Flow, HOT, Shape, Tally},
};
use criterion::{Criterion, Throughput};
use quiet_disk::QuietDisk;

use engine::{
    exchange::Exchange,
    journal::{self, Entry, IoChoice, JournalStats},
    pipeline::{self, Batch, Outlet, SystemClock},
};

/// How long each figure is taken.
const TAKE: Duration = Duration::from_secs(2);
/// Commands of one batch, as the core makes them under load.
const BATCH: usize = 512;
/// Commands through the pipeline.
const PIPELINE: usize = 300_000;
/// The raw loop goes round in a file of this size, like a segment.
const RAW_BYTES: u64 = journal::SEGMENT_BYTES_DEFAULT;

fn main() -> io::Result<()> {
    if !report::wanted() {
        return Ok(());
    }
    let flow = Flow::new(HOT, 4_096, 1);
    let batches = batches(&flow);
    encode(&batches);
    println!("journal: {}", report::machine());
    let folder = Folder::new()?;
    println!("folder {}", folder.0.display());
    let bytes: Vec<Vec<u8>> = batches.into_iter().map(encoded).collect();
    let one = one_record(&flow);
    for io in [IoChoice::Plain, IoChoice::Uring] {
        depth_one(&folder.0, io, &one)?;
    }
    for io in [IoChoice::Plain, IoChoice::Uring] {
        for length in [Length::Burst, Length::Lasting] {
            saturated(&folder.0, io, length, &bytes)?;
        }
    }
    for shape in [HOT, BALANCED] {
        together(&folder.0, shape)?;
    }
    Ok(())
}

/// A temporary folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("hashpit-bench-{}", std::process::id()));
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

/// The flow in batches, with what the core said about each.
fn batches(flow: &Flow) -> Vec<Batch<()>> {
    let mut exchange = flow.start.clone();
    let batches = flow.commands.chunks(BATCH).map(|stamped| {
        let mut batch = Batch {
            stamped: stamped.to_vec(),
            events: Vec::new(),
            ends: Vec::new(),
            replies: Vec::new(),
        };
        for stamped in stamped {
            exchange.apply(stamped, &mut batch.events);
            batch.ends.push(batch.events.len() as u32);
        }
        batch
    });
    batches.collect()
}

fn encoded(mut batch: Batch<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    batch.encode(&mut bytes);
    bytes
}

fn one_record(flow: &Flow) -> Vec<u8> {
    let mut exchange = flow.start.clone();
    let mut events = Vec::new();
    exchange.apply(&flow.commands[0], &mut events);
    encoded(Batch {
        stamped: vec![flow.commands[0].clone()],
        ends: vec![events.len() as u32],
        events,
        replies: Vec::new(),
    })
}

/// Commands and checksummed results into memory.
fn encode(batches: &[Batch<()>]) {
    let mut batches: Vec<Batch<()>> = batches.iter().map(copy).collect();
    let commands: usize = batches.iter().map(|batch| batch.stamped.len()).sum();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(TAKE)
        .sample_size(20)
        .configure_from_args();
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Elements(commands as u64));
    let mut bytes = Vec::with_capacity(1 << 22);
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            bytes.clear();
            for batch in &mut batches {
                batch.encode(&mut bytes);
            }
            std::hint::black_box(bytes.len())
        });
    });
    group.finish();
    criterion.final_summary();
    println!(
        "encoded: {} bytes per command",
        bytes.len() / commands.max(1)
    );
}

fn copy(batch: &Batch<()>) -> Batch<()> {
    Batch {
        stamped: batch.stamped.clone(),
        events: batch.events.clone(),
        ends: batch.ends.clone(),
        replies: Vec::new(),
    }
}

/// Encoded records on their way through the journal thread.
struct Record {
    first_seq: u64,
    count: u32,
    bytes: Arc<[u8]>,
    pushed: Instant,
}

impl Entry for Record {
    fn first_seq(&self) -> u64 {
        self.first_seq
    }

    fn count(&self) -> u32 {
        self.count
    }

    fn encode(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
    }
}

fn open(folder: &Path, name: &str, io: IoChoice, reserve: usize) -> io::Result<journal::Journal> {
    open_on(&QuietDisk::default(), folder, name, io, reserve)
}

fn open_on(
    disk: &QuietDisk,
    folder: &Path,
    name: &str,
    io: IoChoice,
    reserve: usize,
) -> io::Result<journal::Journal> {
    let mut settings = journal::Settings::new(folder.join(name), 1);
    settings.disk = Arc::new(disk.clone());
    settings.io = io;
    settings.reserve_segments = reserve;
    let (journal, _) = journal::open(settings, |_| Ok(())).map_err(io::Error::other)?;
    Ok(journal)
}

/// Whether this machine has the backend.
fn available(io: IoChoice) -> bool {
    match journal::select(io) {
        Ok(_) => true,
        Err(error) => {
            println!("{io:?}: left out, {error}");
            false
        }
    }
}

/// One record, wait until it is durable, the next.
fn depth_one(folder: &Path, io: IoChoice, record: &[u8]) -> io::Result<()> {
    if !available(io) {
        return Ok(());
    }
    let block = (journal::HEADER_BYTES + record.len()).next_multiple_of(journal::BLOCK_ALIGN);
    let raw = raw_loop(folder, block)?;
    let journal = open(
        folder,
        &format!("depth-one-{io:?}"),
        io,
        journal::RESERVE_SEGMENTS,
    )?;
    let (feeder, inbox) = journal::inbox(8);
    let (durable, answers) = mpsc::channel();
    let thread = journal::spawn(journal, inbox, move |records: Vec<Record>| {
        for record in records {
            // Nobody listens any more once the time is over.
            durable.send(record.pushed.elapsed()).unwrap_or_default();
        }
    });
    let bytes: Arc<[u8]> = record.into();
    let mut histogram = report::histogram();
    let start = Instant::now();
    for first_seq in 1.. {
        let bytes = bytes.clone();
        let pushed = Instant::now();
        let record = Record {
            first_seq,
            count: 1,
            bytes,
            pushed,
        };
        if feeder.push(record).is_err() {
            return Err(io::Error::other("the journal has ended"));
        }
        let took = answers.recv().map_err(io::Error::other)?;
        assert!(report::record(&mut histogram, took), "under a minute");
        if start.elapsed() > TAKE {
            break;
        }
    }
    feeder.close();
    finished(thread)?;
    println!("depth one, {io:?}: {}", report::percentiles(&histogram));
    println!("      raw, {block} B: {}", report::percentiles(&raw));
    let ratio = histogram.value_at_quantile(0.5) as f64 / raw.value_at_quantile(0.5) as f64;
    println!("      p50 {ratio:.2} times the raw write and fdatasync");
    Ok(())
}

/// How long the journal is kept busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// As long as segments last that were zero-written in quieter times; none is made meanwhile.
    Burst,
    /// So long that every segment has to be zero-written on the way: a second byte for every byte.
    Lasting,
}

/// Segments kept ready for the burst.
const BURST_SEGMENTS: usize = 24;

/// Waits until so many segments are there besides the one in use.
fn wait_for_segments(dir: &Path, segments: usize) -> io::Result<()> {
    while std::fs::read_dir(dir)?
        .filter_map(Result::ok)
        .filter(|file| file.path().extension().is_some_and(|end| end == "seg"))
        .count()
        <= segments
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// As many records as the journal takes.
fn saturated(folder: &Path, io: IoChoice, length: Length, batches: &[Vec<u8>]) -> io::Result<()> {
    if !available(io) {
        return Ok(());
    }
    let (reserve, most_bytes) = match length {
        Length::Burst => (
            BURST_SEGMENTS,
            (BURST_SEGMENTS as u64 - 1) * journal::SEGMENT_BYTES_DEFAULT,
        ),
        Length::Lasting => (journal::RESERVE_SEGMENTS, u64::MAX),
    };
    let batches: Vec<Arc<[u8]>> = batches
        .iter()
        .map(|bytes| bytes.as_slice().into())
        .collect();
    let name = format!("saturated-{io:?}-{length:?}");
    let disk = QuietDisk::default();
    let journal = open_on(&disk, folder, &name, io, reserve)?;
    let stats = journal.stats();
    let watermark = journal.durable_watermark();
    let (feeder, inbox) = journal::inbox(64);
    let thread = journal::spawn(journal, inbox, |records: Vec<Record>| drop(records));
    wait_for_segments(&folder.join(&name), reserve)?;
    if length == Length::Burst {
        disk.hold();
    }
    let start = Instant::now();
    let mut first_seq = 1;
    let mut pushed_bytes = 0;
    for bytes in batches.iter().cycle() {
        let pushed = Instant::now();
        let bytes = bytes.clone();
        let record_bytes = bytes.len() as u64;
        let mut record = Record {
            first_seq,
            count: BATCH as u32,
            bytes,
            pushed,
        };
        while let Err(back) = feeder.push(record) {
            if feeder.has_ended() {
                return Err(io::Error::other("the journal has ended"));
            }
            record = back;
            std::thread::sleep(Duration::from_micros(50));
        }
        first_seq += BATCH as u64;
        pushed_bytes += record_bytes;
        if start.elapsed() > TAKE || pushed_bytes > most_bytes {
            break;
        }
    }
    feeder.close();
    while watermark.load(Ordering::Acquire) < first_seq - 1 {
        if thread.is_finished() {
            disk.release();
            return finished(thread);
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    let took = start.elapsed();
    disk.release();
    finished(thread)?;
    let records = watermark.load(Ordering::Acquire);
    assert_eq!(records, first_seq - 1, "everything pushed is durable");
    let block = block_size(&stats);
    let raw = raw_loop(folder, block)?;
    let raw_bytes = raw.len() as f64 * block as f64 / (raw.mean() * raw.len() as f64 / 1e9);
    let bytes = stats.bytes() as f64 / took.as_secs_f64();
    println!(
        "saturated, {io:?}, {}: {} durable records, {:.0} MB/s in {} blocks of {} kB on average",
        match length {
            Length::Burst => "into segments that were ready",
            Length::Lasting => "segments made on the way",
        },
        report::per_second(report::rate(records, took)),
        bytes / 1e6,
        stats.blocks(),
        block / 1024,
    );
    // The journal's folder first: raw and journal should find the same page cache.
    std::fs::remove_dir_all(folder.join(&name))?;
    let group = raw_group(folder, block, stats.bytes())?;
    println!(
        "      raw, same blocks one by one: {:.0} MB/s; the journal moves {:.2} of that",
        raw_bytes / 1e6,
        bytes / raw_bytes,
    );
    println!(
        "      raw, same blocks, 8 writes and one sync: {:.0} MB/s; the journal moves {:.2} of that",
        group / 1e6,
        bytes / group,
    );
    Ok(())
}

fn block_size(stats: &JournalStats) -> usize {
    let blocks = stats.blocks().max(1);
    (stats.bytes() / blocks) as usize / journal::BLOCK_ALIGN * journal::BLOCK_ALIGN
}

fn finished(thread: std::thread::JoinHandle<Result<(), journal::JournalError>>) -> io::Result<()> {
    let result = thread
        .join()
        .map_err(|_| io::Error::other("the journal panicked"))?;
    result.map_err(io::Error::other)
}

/// Writes blocks of this size and syncs each, on this thread, into a file that is there already.
fn raw_loop(folder: &Path, block: usize) -> io::Result<hdrhistogram::Histogram<u64>> {
    let path = folder.join("raw");
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&path)?;
    fill(&file)?;
    let bytes = vec![0x5a; block];
    let mut histogram = report::histogram();
    let (start, mut offset) = (Instant::now(), 0);
    while start.elapsed() < TAKE {
        if offset + block as u64 > RAW_BYTES {
            offset = 0;
        }
        let begin = Instant::now();
        file.write_all_at(&bytes, offset)?;
        file.sync_data()?;
        assert!(
            report::record(&mut histogram, begin.elapsed()),
            "under a minute"
        );
        offset += block as u64;
    }
    std::fs::remove_file(path)?;
    Ok(histogram)
}

/// The disk's own group commit: as many writes as the journal has in flight, then one sync, as many bytes
/// as the journal wrote, into files like its segments. Bytes a second.
fn raw_group(folder: &Path, block: usize, bytes: u64) -> io::Result<f64> {
    let room = RAW_BYTES / block as u64 * block as u64;
    let paths: Vec<PathBuf> = (0..bytes.div_ceil(room))
        .map(|at| folder.join(format!("raw-{at}")))
        .collect();
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    let files: Vec<File> = paths
        .iter()
        .map(|path| {
            let file = options.open(path)?;
            fill(&file).map(|()| file)
        })
        .collect::<io::Result<_>>()?;
    let content = vec![0x5a; block];
    let group = block as u64 * journal::BLOCKS_IN_FLIGHT_MAX;
    let start = Instant::now();
    let mut written = 0;
    for file in &files {
        for first in (0..room).step_by(group as usize) {
            for offset in (first..room.min(first + group)).step_by(block) {
                file.write_all_at(&content, offset)?;
                written += block as u64;
            }
            file.sync_data()?;
        }
    }
    let took = start.elapsed();
    for path in paths {
        std::fs::remove_file(path)?;
    }
    Ok(written as f64 / took.as_secs_f64())
}

fn fill(file: &File) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    for at in (0..RAW_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()
}

/// Counts what is told.
struct Counter {
    told: Arc<AtomicU64>,
    tally: Tally,
    result: mpsc::Sender<Tally>,
    /// Positions of the flow: what comes before only prepares.
    from: u64,
    up_to: u64,
}

impl Outlet<()> for Counter {
    fn publish(&mut self, batch: Batch<()>) {
        for (stamped, events) in batch.commands() {
            if stamped.seq > self.from {
                self.tally.count(events);
            }
            if stamped.seq == self.up_to {
                // The other end waits for exactly this.
                self.result.send(self.tally).unwrap_or_default();
            }
        }
        let last = batch.stamped.last().map_or(0, |stamped| stamped.seq);
        self.told.store(last, Ordering::Release);
    }
}

/// Core, journal, follower and publisher, fed as fast as they take it.
fn together(folder: &Path, shape: Shape) -> io::Result<()> {
    let flow = Flow::new(shape, PIPELINE, 2);
    let journal = open(
        folder,
        &format!("pipeline-{}", shape.name),
        IoChoice::Auto,
        journal::RESERVE_SEGMENTS,
    )?;
    let stats = journal.stats();
    let told = Arc::new(AtomicU64::new(0));
    let (result, answer) = mpsc::channel();
    let from = flow.prelude.len() as u64;
    let up_to = from + flow.commands.len() as u64;
    let tally = Tally::default();
    let outlet = Counter {
        told: told.clone(),
        tally,
        result,
        from,
        up_to,
    };
    let settings = pipeline::Settings::default();
    let pipeline = pipeline::start::<()>(Exchange::new(), journal, settings, SystemClock, outlet)?;
    let submit = |stamped: &engine::command::Stamped| {
        let mut full = 0_u64;
        while pipeline
            .intake
            .submit(stamped.command.clone(), None)
            .is_err()
        {
            assert!(
                pipeline.fault.reason().is_none(),
                "{:?}",
                pipeline.fault.reason()
            );
            full += 1;
            std::thread::sleep(Duration::from_micros(50));
        }
        full
    };
    flow.prelude.iter().for_each(|stamped| {
        submit(stamped);
    });
    while told.load(Ordering::Acquire) < from {
        std::thread::sleep(Duration::from_millis(1));
    }
    let before = (stats.blocks(), stats.bytes());
    let start = Instant::now();
    let full: u64 = flow.commands.iter().map(submit).sum();
    let counted = answer.recv().map_err(io::Error::other)?;
    let took = start.elapsed();
    assert_eq!(counted, flow.tally, "the threads did what the function did");
    let (blocks, bytes) = (stats.blocks() - before.0, stats.bytes() - before.1);
    println!(
        "pipeline, {}: {} durable commands, {} told events, {:.0} MB/s in blocks of {} kB, \
         queue full {full} times, backend {}",
        shape.name,
        report::per_second(report::rate(flow.commands.len() as u64, took)),
        report::per_second(report::rate(counted.events, took)),
        bytes as f64 / took.as_secs_f64() / 1e6,
        bytes / blocks.max(1) / 1024,
        stats.backend().map_or("none", journal::Backend::name),
    );
    pipeline.stop();
    Ok(())
}
