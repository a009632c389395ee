//! What the binary does apart from being a client: serve, demo, keys, journals, anchors.

pub mod anchor;
pub mod audit;
pub mod chain;
pub mod demo;
pub mod deploy;
pub mod follow;
pub mod journal;
pub mod key;
mod leaving;
pub mod meter;
pub mod onchain;
pub mod serve;
pub mod verify;
