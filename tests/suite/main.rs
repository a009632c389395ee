//! The integration tests: one binary, one file per question.

mod properties;
