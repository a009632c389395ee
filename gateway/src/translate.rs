//! Wire words become engine words and back: total functions, no side effects.

pub mod account;
mod combinations;
pub mod conditions;
pub mod delivery;
pub mod margins;
pub mod market;
pub mod orders;
pub mod quotes;
pub mod reference;
pub mod risk;
pub mod rounds;
pub mod terms;
mod valuation;
