//! Wire words become engine words and back: total functions, no side effects.

pub mod account;
pub mod market;
pub mod orders;
pub mod reference;
pub mod terms;
