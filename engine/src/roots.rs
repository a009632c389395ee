//! Commitments to the whole state that anybody can check.

pub mod keccak;
pub mod tree;
