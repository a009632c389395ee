//! A second copy of the exchange, fed only with what is durable.
//!
//! It executes every command again and compares with what the core did: a difference is an alarm, and
//! nothing of that command is told to anybody. Because it holds only durable state, every query is
//! answered from it, without touching the core.

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicBool, Ordering},
};

use crate::{command::Stamped, event::Event, exchange::Exchange, ids::Seq};

/// The copies disagree. The exchange must stop before it tells anybody.
#[derive(Clone, Debug, thiserror::Error)]
#[error("core and follower differ at journal position {seq}: core {core}, follower {follower}")]
pub struct Divergence {
    /// The command.
    pub seq: Seq,
    /// First differing event of the core.
    pub core: String,
    /// The follower's event in its place.
    pub follower: String,
}

/// The second copy, and the door for readers.
#[derive(Clone, Debug)]
pub struct Follower {
    exchange: Arc<RwLock<Exchange>>,
    /// Set while the lock is still held, so that nobody reads the state behind a difference unawares.
    differs: Arc<AtomicBool>,
}

impl Follower {
    /// Starts from a state that both copies share.
    #[must_use]
    pub fn new(exchange: Exchange) -> Self {
        Self {
            exchange: Arc::new(RwLock::new(exchange)),
            differs: Arc::default(),
        }
    }

    /// Whether the copies have differed: what can be read is then nobody's truth.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.differs.load(Ordering::SeqCst)
    }

    /// The durable state, for a short look. Writers wait meanwhile: bound what you read.
    pub fn read(&self) -> RwLockReadGuard<'_, Exchange> {
        // A poisoned lock means that the publisher panicked and the exchange is stopping.
        self.exchange.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies durable commands and compares. `events` belong to the commands in order; command `i`
    /// ends at `ends[i]`.
    ///
    /// # Errors
    /// The first difference.
    pub fn apply(
        &self,
        stamped: &[Stamped],
        events: &[Event],
        ends: &[u32],
        scratch: &mut Vec<Event>,
    ) -> Result<(), Divergence> {
        let mut exchange = self
            .exchange
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut start = 0;
        for (place, (command, end)) in stamped.iter().zip(ends).enumerate() {
            exchange.look_ahead(|at| stamped.get(at).map(|ahead| &ahead.command), place);
            let end = *end as usize;
            scratch.clear();
            exchange.apply(command, scratch);
            let core = events.get(start..end).unwrap_or_default();
            if core != scratch.as_slice() {
                self.differs.store(true, Ordering::SeqCst);
                return Err(difference(command.seq, core, scratch));
            }
            start = end;
        }
        Ok(())
    }
}

fn difference(seq: Seq, core: &[Event], follower: &[Event]) -> Divergence {
    let at = core
        .iter()
        .zip(follower)
        .position(|(core, follower)| core != follower);
    let at = at.unwrap_or(core.len().min(follower.len()));
    let show = |events: &[Event]| {
        events
            .get(at)
            .map_or_else(|| "no event".to_owned(), |event| format!("{event:?}"))
    };
    Divergence {
        seq,
        core: show(core),
        follower: show(follower),
    }
}
