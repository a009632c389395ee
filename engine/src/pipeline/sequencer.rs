//! Here a command gets its number and its time; from now on it is history.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crossbeam::utils::Backoff;

use super::{
    BATCH_BYTES, BATCH_EVENTS, Batch, Clock, Fault, Settings,
    intake::{Queue, Submission},
    restart_command, room_of,
};
use crate::{
    command::{Command, Stamped},
    exchange::Exchange,
    journal::Feeder,
    units::{MILLISECOND, Nanos},
};

/// Longest sleep when nothing is due, so that a jump of the wall clock is noticed.
const SLEEP: Duration = Duration::from_millis(20);

/// The core thread.
pub(super) struct Sequencer<R, C> {
    exchange: Exchange,
    clock: C,
    queue: Queue<R>,
    /// Taken from the queue, not yet numbered.
    staged: VecDeque<Submission<R>>,
    feeder: Feeder<Batch<R>>,
    fault: Arc<Fault>,
    settings: Settings,
    /// Room that the commands of the present batch need in a journal entry, their fills apart.
    room: usize,
    /// Driven by hand: batches that the journal had no room for. Otherwise the thread waits for room.
    held: Option<VecDeque<Batch<R>>>,
}

/// What a turn of the core came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Something was numbered.
    Worked,
    /// Nothing waits and nothing is due.
    Nothing,
    /// The journal has no room; only when driven by hand.
    Waits,
    /// The intake is closed and empty, or there was a fault.
    Ended,
}

impl<R: Send + 'static, C: Clock> Sequencer<R, C> {
    pub(super) fn new(
        exchange: Exchange,
        clock: C,
        queue: Queue<R>,
        feeder: Feeder<Batch<R>>,
        fault: Arc<Fault>,
        settings: Settings,
    ) -> Self {
        Self {
            exchange,
            clock,
            queue,
            staged: VecDeque::with_capacity(Exchange::LOOKS_AHEAD + 1),
            feeder,
            fault,
            settings,
            room: 0,
            held: None,
        }
    }

    /// Works until the intake is closed and empty.
    pub(super) fn run(mut self, restarted: Option<Settings>) {
        self.open(restarted);
        loop {
            match self.turn() {
                Turn::Worked => {}
                Turn::Ended => break,
                Turn::Nothing | Turn::Waits => self.idle(),
            }
            if self.fault.reason().is_some() {
                break;
            }
        }
        self.feeder.close();
    }

    /// Says that the process started again, if it did.
    pub(super) fn open(&mut self, restarted: Option<Settings>) {
        if let Some(settings) = restarted {
            let mut batch = Batch::new();
            // Before any timer: sessions get their time to come back first (SESSION-05).
            // The clock may have been set back: the wait is counted from the stamp that the restart gets.
            let now = self.clock.now().max(Nanos(self.exchange.at().0 + 1));
            self.apply(restart_command(settings, now), now, &mut batch);
            self.pass_on(batch);
        }
    }

    /// Timers that are due, then what waits, as one batch.
    pub(super) fn turn(&mut self) -> Turn {
        let mut batch = Batch::new();
        let now = self.clock.now();
        self.tick_if_due(now, &mut batch);
        self.mark_if_due(now, &mut batch);
        while batch.stamped.len() < self.settings.batch && batch.events.len() < BATCH_EVENTS {
            self.stage();
            let Some(submission) = self.staged.pop_front() else {
                break;
            };
            let behind = |place: usize| self.staged.get(place - 1).map(|next| &next.command);
            self.exchange.look_ahead(behind, 0);
            self.sequence(submission.command, submission.reply, &mut batch);
        }
        if !batch.stamped.is_empty() {
            self.pass_on(batch);
            Turn::Worked
        } else if self.queue.is_closed() {
            Turn::Ended
        } else {
            Turn::Nothing
        }
    }

    /// Keeps a few submissions at hand, so that the memory of those behind the present one is asked for
    /// in time.
    fn stage(&mut self) {
        while self.staged.len() <= Exchange::LOOKS_AHEAD {
            let Some(submission) = self.queue.pop() else {
                return;
            };
            self.staged.push_back(submission);
        }
    }

    /// Runs timers that a command stamped `at` must not overtake.
    fn tick_if_due(&mut self, at: Nanos, batch: &mut Batch<R>) {
        while self.exchange.next_deadline().is_some_and(|due| due <= at) {
            self.apply(Command::Tick, at, batch);
            if batch.events.len() >= BATCH_EVENTS {
                let full = std::mem::replace(batch, Batch::new());
                self.pass_on(full);
            }
        }
    }

    /// Ends an epoch when its time is over and something happened in it.
    fn mark_if_due(&mut self, at: Nanos, batch: &mut Batch<R>) {
        if self.epoch_due().is_some_and(|due| due <= at) {
            let at = at.max(Nanos(self.exchange.at().0 + 1));
            self.tick_if_due(at, batch);
            self.apply(Command::MarkEpoch, at, batch);
        }
    }

    /// When the present epoch ends; never if epochs are off or nothing happened in it.
    fn epoch_due(&self) -> Option<Nanos> {
        let epochs = self.exchange.epochs();
        let something = self.exchange.seq() > epochs.seq;
        let every = self.settings.epoch_ms.checked_mul(MILLISECOND)?;
        (every > 0 && something).then(|| epochs.at.after(every))
    }

    fn sequence(&mut self, command: Command, reply: Option<R>, batch: &mut Batch<R>) {
        let now = self.clock.now();
        // Time may have jumped back; the stamp never does.
        let at = now.max(Nanos(self.exchange.at().0 + 1));
        self.tick_if_due(at, batch);
        if !batch.stamped.is_empty() && self.room + room_of(&command) > BATCH_BYTES {
            let full = std::mem::replace(batch, Batch::new());
            self.pass_on(full);
        }
        if let Some(reply) = reply {
            let place = u32::try_from(batch.stamped.len()).unwrap_or(u32::MAX);
            batch.replies.push((place, reply));
        }
        self.apply(command, at, batch);
    }

    fn apply(&mut self, command: Command, at: Nanos, batch: &mut Batch<R>) {
        let at = at.max(Nanos(self.exchange.at().0 + 1));
        let stamped = Stamped {
            seq: self.exchange.seq() + 1,
            at,
            command,
        };
        self.room += room_of(&stamped.command);
        self.exchange.apply(&stamped, &mut batch.events);
        batch.stamped.push(stamped);
        batch
            .ends
            .push(u32::try_from(batch.events.len()).unwrap_or(u32::MAX));
    }

    /// Hands a batch to the journal. If the journal is behind by its bound, waits: the intake fills
    /// and refuses meanwhile.
    fn pass_on(&mut self, mut batch: Batch<R>) {
        self.room = 0;
        if let Some(held) = &mut self.held {
            held.push_back(batch);
            self.push_held();
            return;
        }
        let backoff = Backoff::new();
        while let Err(back) = self.feeder.push(batch) {
            if self.fault.reason().is_some() {
                return;
            }
            batch = back;
            if backoff.is_completed() {
                std::thread::park_timeout(Duration::from_micros(50));
            } else {
                backoff.snooze();
            }
        }
    }

    /// From now on nothing waits: what the journal has no room for is held.
    pub(super) fn by_hand(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Hands over what is held; answers whether nothing is left.
    pub(super) fn push_held(&mut self) -> bool {
        let Some(held) = &mut self.held else {
            return true;
        };
        while let Some(batch) = held.pop_front() {
            if let Err(back) = self.feeder.push(batch) {
                held.push_front(back);
                return false;
            }
        }
        true
    }

    /// The state, ahead of the disk.
    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.feeder.close();
    }

    /// Whether there was a fault.
    pub(super) fn has_failed(&self) -> bool {
        self.fault.reason().is_some()
    }

    /// Spins a little, yields a little, then sleeps until something comes in or falls due.
    fn idle(&mut self) {
        let backoff = Backoff::new();
        while !backoff.is_completed() {
            backoff.snooze();
            if self.queue.has_some() {
                return;
            }
        }
        let now = self.clock.now();
        let deadlines = [self.exchange.next_deadline(), self.epoch_due()];
        let due = deadlines.into_iter().flatten().min().map_or(SLEEP, |due| {
            Duration::from_nanos(u64::try_from(due.0 - now.0).unwrap_or(0))
        });
        self.queue.sleep(due.min(SLEEP));
    }
}
