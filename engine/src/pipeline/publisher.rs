//! The only place that tells: durable batches, once the follower agrees with them.

use std::sync::Arc;

use crossbeam::channel::Receiver;

use super::{Batch, Fault, Intake, Outlet};
use crate::follower::Follower;

/// The publisher thread.
pub(super) struct Publisher<R, O> {
    follower: Follower,
    outlet: O,
    fault: Arc<Fault>,
    intake: Intake<R>,
}

impl<R, O: Outlet<R>> Publisher<R, O> {
    pub(super) fn new(follower: Follower, outlet: O, fault: Arc<Fault>, intake: Intake<R>) -> Self {
        Self {
            follower,
            outlet,
            fault,
            intake,
        }
    }

    /// Tells until the journal thread is done, or until the copies differ.
    pub(super) fn run(mut self, durable: &Receiver<Vec<Batch<R>>>) {
        let mut scratch = Vec::new();
        for batches in durable {
            for batch in batches {
                let agreed =
                    self.follower
                        .apply(&batch.stamped, &batch.events, &batch.ends, &mut scratch);
                if let Err(divergence) = agreed {
                    self.fault.set(divergence.to_string());
                    self.intake.close();
                    return;
                }
                self.outlet.publish(batch);
            }
        }
    }
}
