//! What a real server process does under more load than it can serve, sent without waiting.
//!
//! Closed-loop load (what can be served) and open-loop load (more than that) take turns on
//! the same connections; all the while one client cancels its orders one by one, one session sends and never
//! reads, and one market data stream is never read. What is always demanded cannot flake: everything is
//! answered once, refusals say when to come back, cancels work, memory stays below its bound, who does not
//! read is cut off with the reason, and service does not collapse.
//!
//! `HASHPIT_OVERLOAD_SECONDS=60` for the long version (default 3): one unbroken minute at ten times the load,
//! server and flood on cores of their own, since a flood that takes the server's processor away measures the
//! machine. Then it must have been a flood, what is served in it must stay within a tenth of what can be
//! served, and so must the time that it takes.

use std::time::{Duration, Instant};

use engine::{command::Command, event::Event};
use proto::marketdata::v1::{Channel, LagPolicy, SubscribeRequest, Subscription};
use tests::{
    crowd::forward,
    flood::{Line, feed, percentiles},
    process::{Plan, Server},
    venue::Folder,
};

/// Somebody who does not flood waits at most so many times as long for an answer while others do: queues are
/// bounded, and what does not fit is refused instead of waiting. Flooders wait for themselves: what they do not
/// read in time stays in a queue of their own, and they are cut off when it is full.
const LATER: u64 = 10;
/// Who floods.
const ACTORS: [&str; 4] = ["maker-1", "maker-2", "miner-1", "miner-2"];
/// Seconds from which on speed is measured, and not only printed.
const MEASURES: u64 = 60;
/// Commands under way per line in the closed loop.
const WINDOW: usize = 512;
/// Open-loop load as a multiple of what the closed loop reached: in the short version, and in the long one.
const TIMES: [f64; 2] = [2.0, 10.0];
/// How long the closed loop lasts before and after the long flood.
const CALM: Duration = Duration::from_secs(15);
/// Longest wait for answers that are due.
const PATIENCE: Duration = Duration::from_secs(60);
/// Receive window of an ordinary client, and of one that does not read.
const WIDE: u32 = 4 << 20;
const NARROW: u32 = 64 << 10;
/// Commands of the session that never reads: more than may wait for it anywhere.
const DEAF: u64 = 50_000;

/// The most that may wait in the process, by its own bounds, bytes.
///
/// What was executed stays known in part (orders, client ids, the newest half a million events for
/// resuming): that is state, not overload, and is allowed for with [`PER_COMMAND`].
fn bound(streams: u64) -> u64 {
    let command = size_of::<Command>() as u64 + 256;
    let event = size_of::<Event>() as u64;
    let settings = engine::pipeline::Settings::default();
    // Commands before the core.
    let intake = settings.queue as u64 * command;
    // A batch ends at 512 commands or 4,096 events; so many lie before the journal ...
    let batch = settings.batch as u64 * command + 4_096 * event;
    let before_journal = settings.batches as u64 * batch;
    // ... and so many blocks' worth of them before the publisher; ten bytes of events for one of payload.
    let behind_journal = settings.batches as u64 * engine::journal::BATCH_BYTES_MAX as u64 * 10;
    let blocks =
        (engine::journal::BLOCKS_IN_FLIGHT_MAX + 1) * engine::journal::BLOCK_BYTES_MAX as u64;
    // A stream: two receive windows, 8,192 responses that wait for it, 256 market data messages.
    let stream = (4 << 20) + (8 << 20) + 8_192 * 1_024 + 256 * (64 << 10);
    // Bulletins that mailboxes (1,024) and the broadcast (512) keep alive.
    let bulletins = 1_024 * batch;
    intake + before_journal + behind_journal + blocks + streams * stream + bulletins
}

/// State and history of one executed command, bytes: about four events, an order, a client id, rows.
const PER_COMMAND: u64 = 2_500;

/// The flood's lines, and what they did.
struct Flood {
    lines: Vec<Line>,
    plan: Plan,
    /// Lines that did not read as fast as they sent, and were told so.
    cut: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    sent: u64,
    executed: u64,
    accepted: u64,
    refused: u64,
    took: f64,
}

impl Slice {
    fn rate(self) -> f64 {
        self.executed as f64 / self.took
    }
}

impl Flood {
    fn counts(&self) -> (u64, u64, u64) {
        self.lines.iter().fold((0, 0, 0), |sum, line| {
            let tally = line.tally();
            let refused: u64 = tally.refused.values().sum();
            (
                sum.0 + tally.executed,
                sum.1 + tally.accepted,
                sum.2 + refused,
            )
        })
    }

    /// Sends for so long: as much as the windows allow, or by a schedule of so many commands a second.
    async fn slice(&mut self, lasting: Duration, schedule: Option<f64>) -> Slice {
        let (executed, accepted, refused) = self.counts();
        let start = Instant::now();
        let mut sent = 0_u64;
        while start.elapsed() < lasting {
            match schedule {
                None => {
                    for line in &mut self.lines {
                        let room = WINDOW.saturating_sub(line.tally().open());
                        (0..room).for_each(|_| line.fire());
                        sent += room as u64;
                    }
                }
                Some(rate) => {
                    let due = (start.elapsed().as_secs_f64() * rate) as u64;
                    while sent < due {
                        self.lines[sent as usize % ACTORS.len()].fire();
                        sent += 1;
                    }
                }
            }
            self.come_back().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for line in &self.lines {
            let open = line.drain(PATIENCE).await;
            assert!(
                open == 0 || line.tally().ended.is_some(),
                "everything has an answer"
            );
        }
        self.come_back().await;
        // What was sent in the slice keeps it busy until the last answer.
        let took = start.elapsed().as_secs_f64();
        let now = self.counts();
        Slice {
            sent,
            executed: now.0 - executed,
            accepted: now.1 - accepted,
            refused: now.2 - refused,
            took,
        }
    }

    /// Logs lines on again that were cut off. This process is as busy as the server: it may be too slow to
    /// read its answers, and then it must have been told so.
    async fn come_back(&mut self) {
        for (nth, (line, actor)) in self.lines.iter_mut().zip(ACTORS).enumerate() {
            let name = format!("flood-{nth}");
            if let Some(why) = line.reopen(&self.plan, actor, &name, WIDE).await {
                assert_eq!(why, "SLOW_CONSUMER ResourceExhausted");
                self.cut += 1;
            }
        }
    }

    /// Commands that the transport took.
    fn sent(&self) -> u64 {
        self.lines.iter().map(Line::sent).sum()
    }

    /// Times of the answers since the last look.
    fn times(&self) -> (Vec<u64>, Vec<u64>) {
        let mut all = (Vec::new(), Vec::new());
        for line in &self.lines {
            let mut tally = line.tally();
            all.0.append(&mut tally.served_after);
            all.1.append(&mut tally.refused_after);
        }
        all
    }
}

/// Sends without ever reading.
async fn shout(mut line: Line) -> (Line, Instant) {
    while line.sent() < DEAF {
        (0..200).for_each(|_| line.fire());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (line, Instant::now())
}

/// Cancels its orders one by one until told to stop; when each began, and the microseconds it took.
async fn cancel_one_by_one(
    mut line: Line,
    orders: u64,
    mut stop: tokio::sync::watch::Receiver<bool>,
) -> Vec<(Instant, u64)> {
    let mut took = Vec::new();
    for nth in 0..orders {
        let begin = Instant::now();
        let cancel = line.cancel(nth);
        line.send(cancel);
        assert_eq!(line.drain(PATIENCE).await, 0, "cancel {nth} has no answer");
        {
            let mut tally = line.tally();
            took.extend(tally.served_after.drain(..).map(|took| (begin, took)));
            assert_eq!(
                tally.cancelled,
                nth + 1,
                "cancels work: {:?}",
                tally.refused
            );
        }
        if *stop.borrow() {
            break;
        }
        // Not too many of them: there is a whole run to cover.
        drop(tokio::time::timeout(Duration::from_millis(20), stop.changed()).await);
    }
    took
}

async fn cancels_ready(plan: &Plan, contract: i32, orders: u64) -> Line {
    let mut line = Line::open(plan, "taker-1", "cancels", contract, WIDE).await;
    line.listen();
    for nth in 0..orders {
        let order = line.order(nth);
        line.send(order);
        if nth % 256 == 255 {
            assert_eq!(line.drain(PATIENCE).await, 0);
        }
    }
    assert_eq!(line.drain(PATIENCE).await, 0);
    assert_eq!(line.tally().accepted, orders, "the orders rest");
    line.tally().served_after.clear();
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_refused_in_words_and_served_as_far_as_possible() {
    let seconds = std::env::var("HASHPIT_OVERLOAD_SECONDS").ok();
    let seconds: u64 = seconds.map_or(3, |text| text.parse().expect("a number of seconds"));
    let long = seconds >= MEASURES;
    let (slices, lasting, calmly, times) = if long {
        let minute = Duration::from_secs(seconds);
        (1, minute, CALM, TIMES[1])
    } else {
        let slice = Duration::from_secs(seconds) / 3;
        (3, slice, slice, TIMES[0])
    };
    let folder = Folder::new("flood");
    let plan = Plan::new(folder.path());
    let mut server = plan.start().await;
    if long {
        server.apart().await;
    }
    let contract = forward(&plan).await.instrument_id;

    let mut flood = Flood {
        lines: Vec::new(),
        plan: plan.clone(),
        cut: 0,
    };
    for (nth, actor) in ACTORS.iter().enumerate() {
        let mut line = Line::open(&plan, actor, &format!("flood-{nth}"), contract, WIDE).await;
        line.listen();
        flood.lines.push(line);
    }
    // As many as can be cancelled one by one until the end.
    let orders = 100 * seconds.max(10);
    let careful = cancels_ready(&plan, contract, orders).await;
    let asked = SubscribeRequest {
        subscriptions: vec![Subscription {
            subscription_id: 1,
            channel: Channel::Depth as i32,
            instrument_ids: vec![contract],
            lag_policy: LagPolicy::Disconnect as i32,
            ..Subscription::default()
        }],
    };
    let mut unread = feed(&plan, "taker-2", asked, NARROW).await;
    let deaf = Line::open(&plan, "maker-3", "deaf", contract, NARROW).await;
    let deaf = deaf.heedless();

    // Warm up, and know what is there before.
    flood.slice(Duration::from_millis(300), None).await;
    server.forget_peak();
    let before = server.memory();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let cancels = tokio::spawn(cancel_one_by_one(careful, orders, stopped));
    let deaf = tokio::spawn(shout(deaf));
    let (mut closed, mut open) = (Vec::new(), Vec::new());
    let (mut served, mut refused) = (Vec::new(), Vec::new());
    let (mut calm_times, mut storms) = (Vec::new(), Vec::new());
    flood.times();
    for _ in 0..slices {
        let calm = flood.slice(calmly, None).await;
        calm_times.append(&mut flood.times().0);
        let offered = calm.rate() * times;
        let sent = flood.sent();
        let began = Instant::now();
        let storm = flood.slice(lasting, Some(offered)).await;
        storms.push(began..Instant::now());
        let (mut one, mut other) = flood.times();
        served.append(&mut one);
        refused.append(&mut other);
        println!(
            "closed loop {:.0}/s; offered {offered:.0}/s for {:.1} s: {}, of which the transport took {}, \
             executed {} ({:.0} %), of them {} orders accepted, refused {}",
            calm.rate(),
            storm.took,
            storm.sent,
            flood.sent() - sent,
            storm.executed,
            100.0 * storm.rate() / calm.rate(),
            storm.accepted,
            storm.refused
        );
        closed.push(calm);
        open.push(storm);
    }
    if long {
        // What can be served is what was served before and after.
        closed.push(flood.slice(calmly, None).await);
        calm_times.append(&mut flood.times().0);
    }
    let after = server.memory();
    stop.send_replace(true);
    let cancelled = cancels.await.expect("cancels work throughout");
    let in_a_storm = |began: &Instant| storms.iter().any(|storm| storm.contains(began));
    let (flooded, fair): (Vec<_>, Vec<_>) = (cancelled.into_iter())
        .map(|(began, took)| (in_a_storm(&began), took))
        .partition(|(flooded, _)| *flooded);
    let flooded: Vec<u64> = flooded.into_iter().map(|of| of.1).collect();
    let fair: Vec<u64> = fair.into_iter().map(|of| of.1).collect();
    let (waits, waited) = (median(&flooded), median(&fair));
    println!("cancels one by one, in the flood {}", percentiles(flooded));
    println!("      and without it {}", percentiles(fair));
    println!(
        "in the closed loop, answered after {}",
        percentiles(calm_times)
    );
    println!("executed commands, answered after {}", percentiles(served));
    println!("refused commands, answered after {}", percentiles(refused));

    let executed: u64 = closed.iter().chain(&open).map(|slice| slice.executed).sum();
    memory_is_bounded(before, after, executed + DEAF);
    let (mut deaf, since) = deaf.await.expect("it shouts");
    who_does_not_read_is_told((&mut deaf, since), &mut unread, &mut flood).await;
    let goodput = share(&open, &closed);
    println!(
        "goodput in overload: {:.0} % of the closed loop's",
        100.0 * goodput
    );
    let refused = every_refusal_is_explicit(&flood, &open);
    if long {
        assert!(goodput >= 0.9, "collapsed: {goodput}");
        assert!(refused > 0, "it was no flood");
        assert!(
            waits <= LATER * waited,
            "who does not flood waits {waits} us, and {waited} without a flood"
        );
    }
    assert!(goodput > 0.1, "collapsed: {goodput}");
    assert!(server.lives());
    end(server, &folder).await;
}

fn median(times: &[u64]) -> u64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

/// Medians, so that a neighbour's burst does not decide.
fn share(open: &[Slice], closed: &[Slice]) -> f64 {
    let median = |slices: &[Slice]| {
        let mut rates: Vec<f64> = slices.iter().map(|slice| slice.rate()).collect();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    median(open) / median(closed)
}

fn memory_is_bounded(before: tests::process::Memory, after: tests::process::Memory, executed: u64) {
    let grown = after.peak.saturating_sub(before.resident);
    let (waiting, state) = (bound(ACTORS.len() as u64 + 3), executed * PER_COMMAND);
    let most = (waiting + state) / 1_024;
    println!(
        "memory: {} KiB before, peak {} KiB, grown by {grown} KiB; bound {most} KiB ({} KiB of it may wait \
         in queues, {} KiB are state and history of {executed} commands)",
        before.resident,
        after.peak,
        waiting / 1_024,
        state / 1_024
    );
    assert!(
        grown <= most,
        "memory grew by {grown} KiB, beyond {most} KiB"
    );
}

/// Answers how many there were.
fn every_refusal_is_explicit(flood: &Flood, open: &[Slice]) -> u64 {
    let mut reasons = std::collections::BTreeMap::new();
    for line in &flood.lines {
        let tally = line.tally();
        for (reason, count) in &tally.refused {
            *reasons.entry(reason.clone()).or_insert(0) += count;
            assert!(
                ["OVERLOADED", "RATE_LIMITED"].contains(&reason.as_str()),
                "{reason} is no answer to a flood"
            );
        }
        assert_eq!(tally.without_hint, 0, "each says when to come back");
        println!(
            "{} commands did not fit into the client's own queues",
            tally.unsent
        );
    }
    println!(
        "refused: {reasons:?}; {} times a flooder was cut off as a slow reader",
        flood.cut
    );
    let refused: u64 = open.iter().map(|slice| slice.refused).sum();
    if refused == 0 {
        // The generator had too little of the machine; the pipeline's own test refuses for certain.
        println!("it was no flood: nothing was refused");
    }
    refused
}

/// Both streams that nobody read are over, with the reason, once somebody looks.
async fn who_does_not_read_is_told(
    (deaf, since): (&mut Line, Instant),
    unread: &mut tonic::Streaming<proto::marketdata::v1::SubscribeResponse>,
    flood: &mut Flood,
) {
    deaf.listen();
    let words = deaf.last_words(PATIENCE).await;
    println!("the session that never read was told: {words:?}");
    // The reason waits for one heartbeat interval, 30 s; who looks later finds the stream closed. And on a
    // machine so slow that its heartbeats are missed first, or after the long flood, it is cut off for those.
    let late = since.elapsed() > Duration::from_secs(20);
    let told = match words.as_deref() {
        Some("SLOW_CONSUMER ResourceExhausted") => true,
        Some("HEARTBEAT_TIMEOUT FailedPrecondition" | " FailedPrecondition") | None => late,
        Some(_) => false,
    };
    assert!(told, "told {words:?}");
    // The feed holds 256 messages and then 512 bulletins: one at a time, so that each is one.
    for _ in 0..1_000 {
        flood.lines[0].fire();
        assert_eq!(flood.lines[0].drain(PATIENCE).await, 0);
    }
    let words = loop {
        let message = tokio::time::timeout(PATIENCE, unread.message()).await;
        match message.expect("it is cut off") {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the feed ended without a word"),
            Err(status) => break status,
        }
    };
    println!("the feed that was never read was told: {words}");
    assert_eq!(words.code(), tonic::Code::ResourceExhausted);
}

async fn end(server: Server, folder: &Folder) {
    assert!(server.stop().await.success(), "an orderly stop");
    let verified = gateway::commands::journal::verify(folder.path()).expect("a good journal");
    println!(
        "{} commands in the journal, the books add up",
        verified.commands
    );
}
