//! Does the journal keep what it said it kept, on every backend and after every kind of damage?
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_imports,
    reason = "tests: a broken expectation is a failure"
)]

mod conformance;
mod damage;
mod follow;
mod full;
mod kill;
mod kit;
