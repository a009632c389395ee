//! What is asked about commitments: who may leave with an account's money.

use bincode::{Decode, Encode};

use crate::ids::AccountId;

/// Names the address that may claim an account's withdrawals, and leave with its balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetAccountOwner {
    /// Whose.
    pub account: AccountId,
    /// On an EVM chain; never zero.
    pub owner: [u8; 20],
}
