//! The reference meter: a Stratum V1 proxy between a seller's machines and a buyer's pool, which counts
//! what it sees and signs it.
//!
//! It believes neither side. A share counts with the difficulty that the pool *assigned* to its job, if
//! the proxy's own hash of it meets that difficulty, its job still lives, and it was not seen before; a
//! lucky hash is no more work. Frauds that end here: replayed and stale shares, shares that are too easy,
//! and a pool that refuses valid work (only its word that a job is stale is taken).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use engine::units::SECOND;
use proto::admin::v1::{MeterKind, MeterReading, SubmitMeterReadingRequest};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::mpsc,
};

use crate::{auth::now_nanos, delivery::signed, keys::PrivateKey};

pub mod stratum;

use stratum::{Verdict, Watch};

/// Longest line of either side, in bytes.
const LINE: usize = 1 << 16;
/// Answers that wait for a slow miner.
const QUEUE: usize = 256;
/// How often a pool that is down is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Intervals kept; older ones were read long ago.
const KEPT: usize = 64;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `host:port` of the buyer's pool.
    pub pool: String,
    /// Name that the meter is registered under.
    pub meter_id: String,
    /// Of which obligation.
    pub obligation_id: i64,
    /// Beginning of the window, UTC nanoseconds.
    pub from: i64,
    /// Its end.
    pub until: i64,
    /// Step, in seconds.
    pub interval_seconds: i64,
    /// Hashes behind a share of difficulty 1.
    pub hashes_per_share: u64,
}

/// Shares of one interval.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    accepted: u64,
    squares: u128,
    count: u64,
    rejected: u64,
    rejected_count: u64,
    down_nanos: i64,
}

/// Counts of a running meter.
#[derive(Debug)]
pub struct Meter {
    plan: Plan,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// By number of the interval.
    intervals: BTreeMap<i64, Tally>,
    /// Since when the pool cannot be reached.
    down_since: Option<i64>,
}

impl Meter {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            book: Mutex::default(),
        }
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        // Numbers are whole after a panic elsewhere.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of the interval that a moment lies in; `None` outside of the window.
    fn interval_at(&self, at: i64) -> Option<i64> {
        let inside = (self.plan.from..self.plan.until).contains(&at);
        inside.then(|| (at - self.plan.from) / (self.plan.interval_seconds.max(1) * SECOND))
    }

    /// Beginning and end of an interval.
    #[must_use]
    pub fn span(&self, interval: i64) -> (i64, i64) {
        let length = self.plan.interval_seconds.max(1) * SECOND;
        let start = self.plan.from + interval * length;
        (start, (start + length).min(self.plan.until))
    }

    /// Counts a share.
    pub fn count(&self, at: i64, verdict: Verdict) {
        let Some(interval) = self.interval_at(at) else {
            return;
        };
        let mut book = self.book();
        let tally = book.intervals.entry(interval).or_default();
        match verdict {
            Verdict::Counts(difficulty) => {
                tally.accepted = tally.accepted.saturating_add(difficulty);
                tally.squares += u128::from(difficulty) * u128::from(difficulty);
                tally.count += 1;
            }
            Verdict::Stale(difficulty)
            | Verdict::Duplicate(difficulty)
            | Verdict::TooEasy(difficulty) => {
                tally.rejected = tally.rejected.saturating_add(difficulty);
                tally.rejected_count += 1;
            }
        }
        while book.intervals.len() > KEPT {
            book.intervals.pop_first();
        }
    }

    /// The pool went away, or is back.
    fn reach(&self, at: i64, reachable: bool) {
        let mut book = self.book();
        match (reachable, book.down_since) {
            (false, None) => book.down_since = Some(at),
            (true, Some(since)) => {
                book.down_since = None;
                self.add_down(&mut book, since, at);
            }
            _ => {}
        }
    }

    fn add_down(&self, book: &mut Book, since: i64, at: i64) {
        let mut from = since.max(self.plan.from);
        while let Some(interval) = self.interval_at(from).filter(|_| from < at) {
            let until = self.span(interval).1.min(at);
            book.intervals.entry(interval).or_default().down_nanos += until - from;
            from = until;
        }
    }

    /// What an interval comes to at a moment: committed once it is over.
    #[must_use]
    pub fn reading(&self, interval: i64, at: i64) -> MeterReading {
        let (start, end) = self.span(interval);
        let mut book = self.book();
        if let Some(since) = book.down_since {
            // Count what has passed, and go on from here.
            self.add_down(&mut book, since, at);
            book.down_since = Some(at.max(since));
        }
        let tally = book.intervals.get(&interval).copied().unwrap_or_default();
        let sum = u128::from(tally.accepted);
        let mean = (tally.squares + sum / 2).checked_div(sum).unwrap_or(0);
        let wide = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let until = end.min(at - at.rem_euclid(SECOND)).max(start);
        let down = (tally.down_nanos / SECOND).min((until - start) / SECOND);
        MeterReading {
            meter_id: self.plan.meter_id.clone(),
            kind: MeterKind::ExchangeProxy.into(),
            obligation_id: self.plan.obligation_id,
            start_unix_nanos: start,
            end_unix_nanos: until,
            accepted_difficulty: wide(tally.accepted),
            accepted_shares: wide(tally.count),
            mean_weighted_difficulty: i64::try_from(mean).unwrap_or(i64::MAX),
            rejected_difficulty: wide(tally.rejected),
            rejected_shares: wide(tally.rejected_count),
            destination_down_seconds: i32::try_from(down).unwrap_or(i32::MAX),
            blocks_found: 0,
            committed: at >= end,
        }
    }
}

/// A reading as the exchange takes it.
#[must_use]
pub fn sign(key: &PrivateKey, reading: MeterReading) -> SubmitMeterReadingRequest {
    let signature = key.signature_over(signed::reading(&reading).as_bytes());
    SubmitMeterReadingRequest {
        reading: Some(reading),
        meter_public_key: key.public_key().into(),
        signature: signature.into(),
    }
}

/// Serves miners for as long as it is polled.
///
/// # Errors
/// The listener.
pub async fn serve(meter: Arc<Meter>, listener: TcpListener) -> std::io::Result<()> {
    let watcher = tokio::spawn(watch_pool(meter.clone()));
    loop {
        let accepted = listener.accept().await;
        let Ok((miner, _)) = accepted else {
            watcher.abort();
            return accepted.map(drop);
        };
        tokio::spawn(carry(meter.clone(), miner));
    }
}

/// Tries a pool that is down until it answers.
async fn watch_pool(meter: Arc<Meter>) {
    loop {
        tokio::time::sleep(RETRY).await;
        if meter.book().down_since.is_some() && TcpStream::connect(&meter.plan.pool).await.is_ok() {
            meter.reach(now_nanos(), true);
        }
    }
}

/// One miner's connection and its own to the pool.
async fn carry(meter: Arc<Meter>, miner: TcpStream) {
    let pool = match TcpStream::connect(&meter.plan.pool).await {
        Ok(pool) => pool,
        Err(error) => {
            tracing::warn!(%error, pool = meter.plan.pool, "the pool cannot be reached");
            return meter.reach(now_nanos(), false);
        }
    };
    meter.reach(now_nanos(), true);
    let watch = Arc::new(Mutex::new(Watch::new(meter.plan.hashes_per_share)));
    let ((from_miner, to_miner), (from_pool, to_pool)) = (miner.into_split(), pool.into_split());
    let up = pass(from_miner, to_pool, {
        let watch = watch.clone();
        move |line: &str| lock(&watch).asked(line)
    });
    let down = pass(from_pool, to_miner, {
        let meter = meter.clone();
        move |line: &str| {
            let verdict = lock(&watch).answered(line);
            if let Some(verdict) = verdict {
                meter.count(now_nanos(), verdict);
            }
        }
    });
    tokio::select! {
        _ = up => {}
        // The pool hung up first: from now on its silence is the buyer's.
        // Said before the miner's connection goes.
        miner = down => {
            meter.reach(now_nanos(), false);
            drop(miner);
        }
    }
}

fn lock(watch: &Mutex<Watch>) -> std::sync::MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries lines one way, each looked at before it goes on; ends with either side, and gives back the end
/// that was written to.
async fn pass(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut look: impl FnMut(&str),
) -> std::io::Result<OwnedWriteHalf> {
    let (lines_in, mut lines) = mpsc::channel::<String>(QUEUE);
    let read = async move {
        let mut from = BufReader::new(from);
        loop {
            let mut line = Vec::new();
            // A line without an end would fill the memory.
            let mut limited = tokio::io::AsyncReadExt::take(&mut from, LINE as u64);
            let bytes = limited.read_until(b'\n', &mut line).await?;
            if bytes == 0 || line.last() != Some(&b'\n') {
                return Ok::<(), std::io::Error>(());
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            look(&text);
            if lines_in.send(text).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some(line) = lines.recv().await {
            to.write_all(line.as_bytes()).await?;
        }
        Ok::<OwnedWriteHalf, std::io::Error>(to)
    };
    let (read, written) = tokio::join!(read, write);
    read.and(written)
}
