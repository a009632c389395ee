//! Delivery: what is owed after a physically settled contract stopped trading, how it is measured and
//! what it costs to miss. Statistics and prices as pure functions; the records the exchange keeps.

pub mod price;
pub mod statistics;
pub mod wide;
