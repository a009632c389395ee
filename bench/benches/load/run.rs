//! One run at one rate: the schedule, and what became of it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bench::report;
use hdrhistogram::Histogram;

use crate::{
    Result,
    line::{Line, Player, STANDING},
};

/// What is offered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Commands per second.
    pub(crate) rate: f64,
    /// How long.
    pub(crate) lasting: Duration,
    /// Over so many sessions.
    pub(crate) sessions: usize,
    /// On this contract.
    pub(crate) contract: i32,
    /// Around this price.
    pub(crate) mark: i64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Figures {
    offered: f64,
    achieved: f64,
    commands: u64,
    latency: Histogram<u64>,
    late: Histogram<u64>,
    refused: BTreeMap<String, u64>,
    unanswered: u64,
    too_late: u64,
    fills: u64,
}

/// Longest wait for the last answers.
const DRAIN: Duration = Duration::from_secs(5);
/// A run keeps up if it achieves this share of what is offered ...
const SHARE: f64 = 0.95;
/// ... and its p99 stays below this, in nanoseconds: beyond it queues grow, they do not serve.
const P99_MAX: u64 = 100_000_000;

/// When command `k` is due, after the start.
fn due(k: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(k as f64 / rate)
}

/// Offers the plan and waits for what is left.
pub(crate) async fn run(players: &[Player], plan: &Plan) -> Result<Figures> {
    let mut lines = Vec::new();
    for number in 0..plan.sessions {
        let player = &players[number % players.len()];
        // Takers need somebody of the other side.
        let takes = players.len() > 1 && plan.sessions > 1;
        lines.push(Line::open(player, plan, number, takes).await?);
    }
    let commands = (plan.rate * plan.lasting.as_secs_f64()) as u64;
    let rate = plan.rate;
    let (lines, start, late) =
        tokio::task::spawn_blocking(move || pace(lines, commands, rate)).await?;
    let sessions = plan.sessions as u64;
    let deadline = tokio::time::Instant::now() + DRAIN;
    for (number, line) in (0_u64..).zip(&lines) {
        let own = commands / sessions + u64::from(number < commands % sessions);
        let all = own as usize + STANDING as usize;
        let mut answered = line.answered.clone();
        let wait = answered.wait_for(|answered| *answered >= all);
        // What is missing after this is counted as unanswered.
        drop(tokio::time::timeout_at(deadline, wait).await);
    }
    let mut figures = Figures {
        offered: rate,
        achieved: 0.0,
        commands,
        latency: report::histogram(),
        late,
        refused: BTreeMap::new(),
        unanswered: 0,
        too_late: 0,
        fills: 0,
    };
    let mut last = start;
    for (number, line) in (0_u64..).zip(lines) {
        let own = commands / sessions + u64::from(number < commands % sessions);
        let answers = line.close().await?;
        for n in 0..own {
            let intended = start + due(n * sessions + number, rate);
            match answers.at.get(n as usize).copied().flatten() {
                Some((at, true)) => {
                    last = last.max(at);
                    let took = at.saturating_duration_since(intended);
                    if !report::record(&mut figures.latency, took) {
                        figures.unanswered += 1;
                    }
                }
                Some((_, false)) => {}
                None => figures.unanswered += 1,
            }
        }
        for (reason, count) in answers.refused {
            *figures.refused.entry(reason).or_default() += count;
        }
        figures.too_late += answers.too_late;
        figures.fills += answers.fills;
    }
    let took = (last - start).max(plan.lasting);
    figures.achieved = report::rate(figures.latency.len(), took);
    Ok(figures)
}

/// Keeps the schedule, on a thread of its own: sleeps until the next command is due, sends everything
/// that is, never looks at an answer. Gives back how late it was itself.
fn pace(mut lines: Vec<Line>, commands: u64, rate: f64) -> (Vec<Line>, Instant, Histogram<u64>) {
    let mut late = report::histogram();
    let sessions = lines.len() as u64;
    let start = Instant::now() + Duration::from_millis(20);
    for k in 0..commands {
        let intended = start + due(k, rate);
        let wait = intended.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        let lag = Instant::now().saturating_duration_since(intended);
        // Out of range only after a minute's stall, which the latencies show.
        report::record(&mut late, lag);
        lines[(k % sessions) as usize].fire((k / sessions).cast_signed());
    }
    (lines, start, late)
}

impl Figures {
    /// Whether this rate can be lived with.
    pub(crate) fn keeps_up(&self) -> bool {
        let p99 = self.latency.value_at_quantile(0.99);
        self.achieved >= self.offered * SHARE && p99 <= P99_MAX
    }

    pub(crate) fn print(&self) {
        let refused: u64 = self.refused.values().sum();
        println!(
            "offered {:>10}  achieved {:>10}  {}",
            report::per_second(self.offered),
            report::per_second(self.achieved),
            report::percentiles(&self.latency),
        );
        println!(
            "    {} commands, {refused} refused {:?}, {} without an answer, {} cancels too late, \
             {} fills; generator late p50 {} p99 {}",
            self.commands,
            self.refused,
            self.unanswered,
            self.too_late,
            self.fills,
            report::time(self.late.value_at_quantile(0.5)),
            report::time(self.late.value_at_quantile(0.99)),
        );
    }
}
