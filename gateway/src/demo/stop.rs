//! Telling a group of actors to come to an end.

use tokio::sync::watch;

/// Held by whoever decides.
#[derive(Debug)]
pub(super) struct Stopper(watch::Sender<bool>);

/// Held by whoever must obey. A stopper that is gone counts as a stop.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

/// A connected pair.
pub(super) fn channel() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Tells everybody.
    pub(super) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Returns once the stop has been told, at once if it was before.
    pub(super) async fn wait(&mut self) {
        // An error means that the stopper is gone.
        let _ = self.0.wait_for(|told| *told).await;
    }

    /// Whether the stop has been told.
    pub(super) fn told(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
