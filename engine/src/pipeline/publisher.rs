//! The only place that tells: durable batches, once the follower agrees with them.

use std::sync::Arc;

use crossbeam::channel::Receiver;

use super::{Batch, Fault, Intake, Outlet};
use crate::{event::Event, follower::Follower};

/// The publisher thread.
pub(super) struct Publisher<R, O> {
    follower: Follower,
    outlet: O,
    fault: Arc<Fault>,
    intake: Intake<R>,
    scratch: Vec<Event>,
}

impl<R, O: Outlet<R>> Publisher<R, O> {
    pub(super) fn new(follower: Follower, outlet: O, fault: Arc<Fault>, intake: Intake<R>) -> Self {
        Self {
            follower,
            outlet,
            fault,
            intake,
            scratch: Vec::new(),
        }
    }

    /// Tells until the journal thread is done, or until the copies differ.
    pub(super) fn run(mut self, durable: &Receiver<Vec<Batch<R>>>) {
        for batches in durable {
            if !self.tell(batches) {
                return;
            }
        }
    }

    /// Tells durable batches; `false` if the copies differ, and then nothing more may be told.
    pub(super) fn tell(&mut self, batches: Vec<Batch<R>>) -> bool {
        for batch in batches {
            // Somebody else's alarm: the keeper's, the journal's.
            if self.fault.reason().is_some() {
                self.intake.close();
                return false;
            }
            let agreed = self.follower.apply(
                &batch.stamped,
                &batch.events,
                &batch.ends,
                &mut self.scratch,
            );
            if let Err(divergence) = agreed {
                self.fault.set(divergence.to_string());
                self.intake.close();
                return false;
            }
            self.outlet.publish(batch);
        }
        true
    }
}
