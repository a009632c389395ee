//! The same parts without threads: whoever holds them decides what happens next.
//!
//! A simulator (`tests/`) turns core, journal ([`Writer::turn`](crate::journal::Writer::turn)) and
//! publisher in an order of its own, so that one seed gives one history. Numbering, stamping, the intake's
//! refusals, the follower's comparison and the journal are those of [`start`](super::start).

use std::sync::Arc;

use super::{Batch, Clock, Fault, Intake, Outlet, Settings, intake, publisher, sequencer};
use crate::{
    exchange::Exchange,
    follower::Follower,
    journal::{self, Inbox, Journal, JournalError},
};

pub use super::sequencer::Turn;

/// The parts, not yet connected to a journal writer.
#[derive(Debug)]
pub struct Parts<R, C> {
    /// The way in.
    pub intake: Intake<R>,
    /// Numbers, stamps and applies.
    pub core: Core<R, C>,
    /// The journal's end of the queue behind the core.
    pub inbox: Inbox<Batch<R>>,
    /// The durable copy.
    pub follower: Follower,
    /// Set when something must stop.
    pub fault: Arc<Fault>,
}

/// The parts around a recovered exchange. One that has a history begins with its restart.
pub fn parts<R: Send + 'static, C: Clock>(
    exchange: Exchange,
    journal: &Journal,
    settings: Settings,
    clock: C,
) -> Parts<R, C> {
    let follower = Follower::new(exchange.clone());
    let fault = Arc::new(Fault::default());
    let (intake, queue) = intake::channel(settings, journal.room());
    let (feeder, inbox) = journal::inbox(settings.batches);
    let restarted = (exchange.seq() > 0).then_some(settings);
    let mut core =
        sequencer::Sequencer::new(exchange, clock, queue, feeder, fault.clone(), settings);
    core.by_hand();
    core.open(restarted);
    Parts {
        intake,
        core: Core {
            sequencer: core,
            ended: false,
        },
        inbox,
        follower,
        fault,
    }
}

/// The core, turn by turn.
pub struct Core<R, C> {
    sequencer: sequencer::Sequencer<R, C>,
    ended: bool,
}

impl<R: Send + 'static, C: Clock> Core<R, C> {
    /// Numbers and applies what waits, up to one batch, and hands it to the journal.
    pub fn turn(&mut self) -> Turn {
        if self.ended || self.sequencer.has_failed() {
            self.ended = true;
            self.sequencer.close();
            return Turn::Ended;
        }
        if !self.sequencer.push_held() {
            return Turn::Waits;
        }
        let turn = self.sequencer.turn();
        if turn == Turn::Ended {
            self.ended = true;
            self.sequencer.close();
        }
        turn
    }

    /// The state, ahead of the disk.
    pub fn exchange(&self) -> &Exchange {
        self.sequencer.exchange()
    }
}

impl<R, C> std::fmt::Debug for Core<R, C> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Core").finish_non_exhaustive()
    }
}

/// The publisher, turn by turn.
pub struct Teller<R, O>(publisher::Publisher<R, O>);

impl<R: Send + 'static, O: Outlet<R>> Teller<R, O> {
    /// Tells through `outlet`.
    pub fn new<C>(parts: &Parts<R, C>, outlet: O) -> Self {
        Self(publisher::Publisher::new(
            parts.follower.clone(),
            outlet,
            parts.fault.clone(),
            parts.intake.clone(),
        ))
    }

    /// Tells durable batches; `false` if the copies differ, and then nothing more may be told.
    pub fn tell(&mut self, durable: Vec<Batch<R>>) -> bool {
        self.0.tell(durable)
    }
}

impl<R, O> std::fmt::Debug for Teller<R, O> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Teller").finish_non_exhaustive()
    }
}

/// What the watch over the journal thread does when it has ended.
pub fn journal_ended<R>(ended: Result<(), JournalError>, fault: &Fault, intake: &Intake<R>) {
    if let Err(error) = ended {
        fault.set(error.to_string());
    }
    intake.close();
}
