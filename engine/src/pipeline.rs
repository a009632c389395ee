//! The threads and the queues between them, on one screen.
//!
//! ```text
//!  gateway tasks ──> intake (bounded, refuses when full) ──> core thread: number, stamp, apply
//!                                                               │ batch
//!                                                               v
//!                      gateway <── publisher thread <── journal thread: write, sync
//!                                  follower agrees,      (durable, in order)
//!                                  then tells
//! ```
//!
//! Computing may run ahead of the disk; telling may not: a batch reaches the publisher only when it is
//! durable, and the publisher is the only one who tells.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicU64},
    thread::JoinHandle,
};

use crossbeam::channel;

use crate::{
    command::{Command, Restart, Stamped},
    event::Event,
    exchange::Exchange,
    follower::Follower,
    journal::{self, Journal},
    record,
    units::MILLISECOND,
};

pub mod by_hand;
mod clock;
mod intake;
mod publisher;
mod recovery;
mod sequencer;

pub use clock::{Clock, SystemClock};
pub use intake::{Intake, Refusal, Submission};
pub use recovery::{Began, RecoverError, Recovered, recover, recover_with_room};

/// How the threads behave.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Commands waiting for the core, cancels included.
    pub queue: usize,
    /// Of those, room that only cancels may use.
    pub cancel_room: usize,
    /// Commands in one batch.
    pub batch: usize,
    /// Batches between core and disk.
    pub batches: usize,
    /// After a restart, open contracts accept only resting orders for this long.
    pub post_only_ms: i32,
    /// After a restart, sessions have this long, plus their grace, to come back.
    pub recovery_grace_ms: i32,
    /// Milliseconds from one epoch's mark to the next, if anything happened since; 0 = no epochs are marked.
    pub epoch_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue: 1 << 16,
            cancel_room: 1 << 14,
            batch: 512,
            batches: 64,
            post_only_ms: 3_000,
            recovery_grace_ms: 10_000,
            epoch_ms: 0,
        }
    }
}

/// A batch stops growing at this many events, so that its records fit one journal block.
const BATCH_EVENTS: usize = 4_096;

/// Encoded bytes of a fill, and of an order command or an item of one with its lengths, its results
/// otherwise and a refusal, at most.
const FILL_BYTES: usize = 48;
const RECORD_BYTES: usize = 384;
/// A batch takes no further command when its commands would need more than this. One that is longer by
/// itself, of an operator, gets a batch of its own.
const BATCH_BYTES: usize = 512 * RECORD_BYTES;
// The largest batch: one short of its bound in events, then one sweep of the largest size.
const _: () = assert!(
    (BATCH_EVENTS + 2 * crate::limits::TRADES_PER_COMMAND) * FILL_BYTES + BATCH_BYTES
        <= journal::PAYLOAD_BYTES_MAX,
    "a batch always fits one journal entry"
);

/// Room of a command with its results in a journal entry, its fills apart, at most.
fn room_of(command: &Command) -> usize {
    match command {
        Command::Batch(batch) => (1 + batch.items.len()) * RECORD_BYTES,
        Command::MassQuote(quote) => (1 + quote.entries.len()) * RECORD_BYTES,
        Command::Tick
        | Command::Restart(_)
        | Command::Place(_)
        | Command::Replace(_)
        | Command::Cancel(_)
        | Command::MassCancel(_)
        | Command::SetCancelTimer(_)
        | Command::SetOrderEntry(_)
        | Command::Lost(_)
        | Command::Logout(_)
        | Command::SubmitFixing(_)
        | Command::Report(_)
        | Command::SubmitHeader(_)
        | Command::SignValue(_)
        | Command::ResetMmp(_)
        | Command::MarkEpoch
        | Command::Block(_) => RECORD_BYTES,
        // Legs and firms asked: a few bytes each.
        Command::Rfq(_) => 2 * RECORD_BYTES,
        // Rare, and with words in them, or lists.
        other => RECORD_BYTES + record::length_of(other),
    }
}

/// Commands with what they did, on their way from the core through the journal to the publisher.
#[derive(Debug)]
pub struct Batch<R> {
    /// Commands, in order.
    pub stamped: Vec<Stamped>,
    /// What they did, one after the other.
    pub events: Vec<Event>,
    /// Where the events of each command end.
    pub ends: Vec<u32>,
    /// Who waits for an answer, by place in `stamped`.
    pub replies: Vec<(u32, R)>,
}

impl<R> Batch<R> {
    fn new() -> Self {
        Self {
            stamped: Vec::new(),
            events: Vec::new(),
            ends: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// Commands with their events.
    pub fn commands(&self) -> impl Iterator<Item = (&Stamped, &[Event])> {
        let mut start = 0;
        self.stamped
            .iter()
            .zip(&self.ends)
            .map(move |(stamped, end)| {
                let end = *end as usize;
                let events = self.events.get(start..end).unwrap_or_default();
                start = end;
                (stamped, events)
            })
    }
}

impl<R: Send + 'static> journal::Entry for Batch<R> {
    fn first_seq(&self) -> u64 {
        self.stamped.first().map_or(0, |stamped| stamped.seq)
    }

    fn count(&self) -> u32 {
        u32::try_from(self.stamped.len()).unwrap_or(u32::MAX)
    }

    fn encode(&mut self, out: &mut Vec<u8>) {
        let mut scratch = Vec::new();
        for (stamped, events) in self.commands() {
            record::write(stamped, &record::Results::of(events, &mut scratch), out);
        }
    }
}

/// Tells the world. Called on the publisher thread, with durable batches in order.
pub trait Outlet<R>: Send + 'static {
    /// Everything in the batch is durable, and the follower agrees with it.
    fn publish(&mut self, batch: Batch<R>);
}

/// Why the exchange stopped by itself.
#[derive(Debug, Default)]
pub struct Fault {
    reason: OnceLock<(String, Option<u8>)>,
}

impl Fault {
    /// The first reason, if it stopped.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.get().map(|(reason, _)| reason.as_str())
    }

    /// The exit code that a process should end with, if the first reason has one of its own
    /// ([`journal::JournalError::exit_code`]).
    #[must_use]
    pub fn exit_code(&self) -> Option<u8> {
        self.reason.get().and_then(|(_, code)| *code)
    }

    /// Stops the exchange for this reason, if nothing has stopped it yet.
    pub fn set(&self, reason: String) {
        self.set_with(reason, None);
    }

    pub(crate) fn set_with(&self, reason: String, code: Option<u8>) {
        tracing::error!(%reason, "the exchange stops");
        // Only the first reason counts; a later one is its consequence.
        self.reason.get_or_init(|| (reason, code));
    }
}

/// Closes the door and says why if its thread ends by a panic.
struct Watch<R> {
    name: &'static str,
    fault: Arc<Fault>,
    door: Intake<R>,
}

impl<R> Drop for Watch<R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.fault.set(format!("the {} thread panicked", self.name));
        }
        if self.fault.reason().is_some() {
            self.door.close();
            self.door.abandon();
        }
    }
}

/// The running threads.
#[derive(Debug)]
pub struct Pipeline<R> {
    /// The way in.
    pub intake: Intake<R>,
    /// The durable copy, for readers.
    pub follower: Follower,
    /// Newest durable position.
    pub durable: Arc<AtomicU64>,
    /// Set when a thread stopped by itself.
    pub fault: Arc<Fault>,
    threads: Vec<JoinHandle<()>>,
}

impl<R> Pipeline<R> {
    /// Refuses new commands, lets everything accepted become durable and told, and ends the threads.
    pub fn stop(self) {
        self.intake.close();
        for thread in self.threads {
            if thread.join().is_err() {
                self.fault.set("a thread panicked".into());
            }
        }
    }
}

/// Executes recorded blocks again and compares.
#[derive(Debug, Default)]
pub struct Replay {
    events: Vec<Event>,
    scratch: Vec<u8>,
}

impl Replay {
    /// One block.
    ///
    /// # Errors
    /// The position whose results are not the recorded ones, or why the bytes cannot be read.
    pub fn block(
        &mut self,
        exchange: &mut Exchange,
        payload: &[u8],
        count: u32,
        mut heard: impl FnMut(&Stamped, &[Event]),
    ) -> Result<(), String> {
        self.block_seen(exchange, payload, count, |_, stamped, events| {
            heard(stamped, events);
        })
    }

    /// The same for somebody who also looks at the state right after each command.
    ///
    /// # Errors
    /// As [`Self::block`].
    pub fn block_seen(
        &mut self,
        exchange: &mut Exchange,
        payload: &[u8],
        count: u32,
        mut heard: impl FnMut(&Exchange, &Stamped, &[Event]),
    ) -> Result<(), String> {
        let records = record::decode(payload, count)?;
        for (place, record) in records.iter().enumerate() {
            let behind = |at: usize| records.get(at).map(|next| &next.stamped.command);
            exchange.look_ahead(behind, place);
            self.events.clear();
            let seq = record.stamped.seq;
            if seq != exchange.seq() + 1 || record.stamped.at <= exchange.at() {
                return Err(format!("position {seq} does not follow {}", exchange.seq()));
            }
            exchange.apply(&record.stamped, &mut self.events);
            let again = record::Results::of(&self.events, &mut self.scratch);
            if again != record.results {
                return Err(format!(
                    "position {seq} gives other results on replay: recorded {:?}, now {again:?}",
                    record.results
                ));
            }
            heard(exchange, &record.stamped, &self.events);
        }
        Ok(())
    }
}

/// Starts the threads on a recovered exchange.
///
/// # Errors
/// If a thread cannot be started.
pub fn start<R: Send + 'static>(
    exchange: Exchange,
    journal: Journal,
    settings: Settings,
    clock: impl Clock,
    outlet: impl Outlet<R>,
) -> std::io::Result<Pipeline<R>> {
    let follower = Follower::new(exchange.clone());
    let fault = Arc::new(Fault::default());
    let durable = journal.durable_watermark();
    let (intake, queue) = intake::channel(settings, journal.room());
    let (feeder, inbox) = journal::inbox(settings.batches);
    // One answer of the journal holds the entries of all blocks that became durable with it.
    let answers = (settings.batches / journal::BLOCKS_IN_FLIGHT_MAX as usize).max(1);
    let (to_publisher, from_journal) = channel::bounded::<Vec<Batch<R>>>(answers);

    // Blocks the journal thread when the publisher is behind; the core then fills its bounded queue
    // and the intake refuses. Without a publisher nobody would be told any more: that is a fault.
    let deaf = fault.clone();
    let journal_thread = journal::spawn(journal, inbox, move |batches| {
        if to_publisher.send(batches).is_err() {
            deaf.set("the publisher is gone".into());
        }
    });

    let watch = |name| Watch {
        name,
        fault: fault.clone(),
        door: intake.clone(),
    };
    let mut threads = Vec::new();
    let restarted = exchange.seq() > 0;
    let core = sequencer::Sequencer::new(exchange, clock, queue, feeder, fault.clone(), settings);
    let watched = watch("core");
    threads.push(
        std::thread::Builder::new()
            .name("core".into())
            .spawn(move || {
                let _watched = watched;
                core.run(restarted.then_some(settings));
            })?,
    );
    let publisher =
        publisher::Publisher::new(follower.clone(), outlet, fault.clone(), intake.clone());
    let watched = watch("publisher");
    threads.push(
        std::thread::Builder::new()
            .name("publisher".into())
            .spawn(move || {
                let _watched = watched;
                publisher.run(&from_journal);
            })?,
    );
    let watched = watch("journal");
    threads.push(
        std::thread::Builder::new()
            .name("journal-watch".into())
            .spawn(move || {
                match journal_thread.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        let code = Some(error.exit_code());
                        watched.fault.set_with(error.to_string(), code);
                    }
                    Err(_) => watched.fault.set("the journal thread panicked".into()),
                }
                watched.door.close();
            })?,
    );
    Ok(Pipeline {
        intake,
        follower,
        durable,
        fault,
        threads,
    })
}

/// The command that opens a restarted exchange, as of `now`.
fn restart_command(settings: Settings, now: crate::units::Nanos) -> Command {
    Command::Restart(Restart {
        post_only_until: now.after(i64::from(settings.post_only_ms) * MILLISECOND),
        recovery_grace_ms: settings.recovery_grace_ms,
    })
}
