//! A second, slow exchange, what keeps the fast one equal to it, and a real exchange to talk to.

pub mod anchor;
pub mod commitments;
pub mod compare;
pub mod crashes;
pub mod crowd;
#[cfg(feature = "fault-disk")]
pub mod fault_disk;
pub mod flood;
pub mod fuzz;
pub mod generator;
pub mod ground;
pub mod journalled;
pub mod legs;
pub mod market;
pub mod model;
pub mod process;
pub mod readings;
pub mod rows;
pub mod scenario;
pub mod series;
pub mod sim;
pub mod slow_disk;
pub mod small_disk;
pub mod streams;
pub mod venue;
pub mod witness;
