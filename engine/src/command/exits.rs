//! What is asked about leaving by the chain.

use bincode::{Decode, Encode};

use crate::ids::AccountId;

/// Serves an exit request that a final block of the chain shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ServeExit {
    /// The registry's number, from 0: the one behind the last that was taken.
    pub id: u64,
    /// Which account is to be paid out and closed; maybe one that nobody has.
    pub account: AccountId,
    /// Who filed it, on the EVM chain.
    pub owner: [u8; 20],
    /// When it was filed by the chain's clock, seconds since 1970.
    pub time: u64,
    /// Block of the chain that carries it.
    pub block: u64,
    /// How long calls in which nobody cancels, and intervals of deliveries that have begun, may take as ever, in
    /// seconds from the command on; then orders go, and deliveries settle with what is known. At most [`crate::limits::EXIT_PATIENCE`].
    pub patience: u32,
}
