//! A seeded, deterministic simulator of the real exchange on a bad day, in one thread.
//!
//! ```text
//!  clients that repeat, reorder, vanish ──> front (session rules on the real hub and archive)
//!                                             │
//!                  real intake ──> real core ──> real journal writer ──> simulated disk
//!                                             │                            │ torn, lost, rotten,
//!                  real hub <── real publisher and follower <── durable    │ late, full, failing
//!                                             │                            v
//!                  real recovery <── kill, power cut, at any operation ────┘
//! ```
//!
//! A seed decides everything ([`Options::new`]); the same seed gives the same run. First comes a time of
//! faults, then a calm one in which everything must come to an end. Then: what was told is in the journal,
//! once, unchanged; every client's stream is gapless and is the stream of a straight replay; money is
//! conserved; core, follower and replay agree.

use std::panic::{AssertUnwindSafe, catch_unwind};

pub mod blocks;
pub mod bytes;
pub mod clients;
pub mod disk;
pub mod front;
mod io;
pub mod keeping;
mod names;
pub mod options;
pub mod oracle;
pub mod start;
pub mod sweeps;
pub mod trace;
mod world;

pub use options::{Mutation, Options};
pub use trace::Trace;
pub use world::Report;

/// Which exchange the journal belongs to.
pub const EXCHANGE_ID: u64 = 0x51e5;
/// The smallest segments there are, so that a run goes through several.
pub const SEGMENT_BYTES: u64 = engine::journal::SEGMENT_BYTES_MIN;

/// One run. A panic is a failure like any other.
///
/// # Errors
/// What does not hold.
pub fn run(options: &Options, trace: Trace) -> Result<Report, String> {
    let ran = catch_unwind(AssertUnwindSafe(|| world::run(options, trace)));
    ran.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        Err(format!("panic: {}", said.unwrap_or_default()))
    })
}
