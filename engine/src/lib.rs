//! The Hashpit exchange.
//!
//! An order arrives as a [`command`] that has a number and a time. The [`exchange`] is a function: the
//! same numbered commands give the same state and the same [`event`]s, on any machine, for ever. It first
//! decides (`exchange/admission.rs`), saying no in one documented order (`RULES.md`); then it acts, and
//! after the decision nothing can fail. Money is held by the [`ledger`] before anything else may happen;
//! the order meets the other side in the [`book`], best price first, oldest first; positions are valued
//! by the mark. Around this inner ring, which does no I/O at all, lies the outer one (feature `runtime`):
//! the [`journal`] makes what happened durable, the [`pipeline`] carries it between the threads, the
//! [`follower`] applies it a second time and compares, and only then is anybody told.

pub mod book;
pub mod command;
pub mod delivery;
pub mod event;
pub mod exchange;
pub mod ids;
pub mod index;
pub mod instrument;
pub mod ledger;
pub mod limits;
pub mod margin;
pub mod order;
pub mod position;
pub mod prefetch;
pub mod reason;
pub mod record;
pub mod roots;
pub mod saved;
pub mod units;
mod visits;
pub mod wide;

// The kit of the integration tests, for the unit tests that count visits.
#[cfg(test)]
extern crate self as engine;
#[cfg(test)]
#[path = "../../tests/src/market.rs"]
pub mod market;

#[cfg(feature = "runtime")]
pub mod follower;
#[cfg(feature = "runtime")]
pub mod journal;
#[cfg(feature = "runtime")]
pub mod keeper;
#[cfg(feature = "runtime")]
pub mod memory;
#[cfg(feature = "runtime")]
pub mod pipeline;
#[cfg(feature = "runtime")]
pub mod snapshots;
