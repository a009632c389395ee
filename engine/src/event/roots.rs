//! What happens to commitments.

use bincode::{Decode, Encode};

use crate::ids::AccountId;

/// An epoch ends with this command: its root is that of the state after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EpochMarked {
    /// 1, 2, 3 without a gap.
    pub epoch: u64,
}

/// Another address may leave with an account's balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OwnerChanged {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub owner: [u8; 20],
    /// How often it changed by now.
    pub nonce: u64,
}
