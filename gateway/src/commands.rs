//! What the binary does apart from being a client: serve, demo, keys, journals.

pub mod audit;
pub mod demo;
pub mod follow;
pub mod journal;
pub mod key;
pub mod meter;
pub mod serve;
pub mod verify;
