//! Wire words become engine words and back: total functions, no side effects.

pub mod orders;
