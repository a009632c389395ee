//! What a day of hashing earns: the formulas of every commodity, in integers.
//!
//! All of them are one formula, `HP(U) = 86,400 · U · ΣR / ΣW`: what one unit of rate `U` finds in a day,
//! of the reward `ΣR` of a window of blocks that cost `ΣW` expected hashes. They differ in what a block
//! pays ([`sha256`], [`scrypt`], [`kheavyhash`], [`etchash`]) and in how a node states its work ([`work`]).
//! Realised blocks are never used: a Bitcoin day has 147 ± 14 of them.
//!
//! Values are exact up to one rounding, half to even, in [`price::value`]; all of it is pure: no state, no
//! clock, no floating point. Sources: hashrate reference, sections 7 (formulas) and 8 (methodology).

pub mod calendar;
pub mod etchash;
pub mod fixing;
pub mod kheavyhash;
pub mod median;
pub mod price;
pub mod scrypt;
pub mod sha256;
pub mod signed;
pub mod work;

#[cfg(test)]
mod tests;
