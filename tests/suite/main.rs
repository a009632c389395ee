//! The integration tests: one binary, one file per question.

mod journal;
mod kill;
mod overload;
mod properties;
mod python;
mod restart;
mod tidy;
mod wire;
