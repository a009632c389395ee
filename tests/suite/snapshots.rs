//! A saved exchange goes on as if nothing had happened; damaged bytes are refused in words.
//!
//! `HASHPIT_MODEL_COMMANDS` sets the length of a stream (4,000).

mod agreed;
mod faults;
mod files;
mod start;
mod state;
