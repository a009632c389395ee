//! The only place in the engine that reads time.

use crate::units::Nanos;

/// Where the sequencer's time comes from.
pub trait Clock: Send + 'static {
    /// Now. May jump; the sequencer makes it strictly increase.
    fn now(&mut self) -> Nanos;
}

/// The system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&mut self) -> Nanos {
        #[expect(clippy::disallowed_methods, reason = "the one clock")]
        let now = std::time::SystemTime::now();
        let since = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}
