//! The exchange's clock: the system's, in a sandbox as far ahead of it as AdvanceClock moved it.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use engine::{
    pipeline::{Clock, SystemClock},
    units::{Nanos, SECOND},
};

/// Less than this between journal and system at a start is the system's own wavering.
const WAVERING: i64 = 60 * SECOND;

/// How far the exchange's time is ahead of the system's. Cheap to clone; all clones are one clock.
#[derive(Clone, Debug, Default)]
pub struct ExchangeClock(Arc<AtomicI64>);

impl ExchangeClock {
    /// A sandbox's clock at its start: ahead, if the journal's last command is. So a restart does not take
    /// a sandbox back in time.
    #[must_use]
    pub fn after(last: Nanos) -> Self {
        let ahead = last.0 - system();
        Self(Arc::new(AtomicI64::new(if ahead > WAVERING {
            ahead
        } else {
            0
        })))
    }

    /// The exchange's time, Unix nanoseconds.
    #[must_use]
    pub fn time(&self) -> i64 {
        system().saturating_add(self.0.load(Ordering::Acquire))
    }

    /// Moves the clock forward, never back.
    pub fn advance_to(&self, target: i64) {
        let ahead = target.saturating_sub(system());
        self.0.fetch_max(ahead, Ordering::AcqRel);
    }
}

fn system() -> i64 {
    SystemClock.now().0
}

impl Clock for ExchangeClock {
    fn now(&mut self) -> Nanos {
        Nanos(self.time())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward_only() {
        let clock = ExchangeClock::default();
        let now = clock.time();
        let day = 86_400 * SECOND;
        clock.advance_to(now + day);
        assert!(clock.time() >= now + day);
        clock.advance_to(now);
        assert!(clock.time() >= now + day);
        assert!(clock.clone().time() >= now + day, "one clock");
        // A restart goes on from there; a journal of this moment needs nothing.
        assert!(ExchangeClock::after(Nanos(now + day)).time() >= now + day);
        assert!(ExchangeClock::after(Nanos(now + SECOND)).time() < now + day);
    }
}
