//! What is asked about commitments: who may leave with an account's money.

use bincode::{Decode, Encode};

use crate::ids::{AccountId, AssetId};

/// Names the address that may claim an account's withdrawals, and leave with its balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetAccountOwner {
    /// Whose.
    pub account: AccountId,
    /// On an EVM chain; never zero.
    pub owner: [u8; 20],
}

/// Credits a deposit that a final block of the chain shows.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChainDeposit {
    /// The vault's number, from 0: the one behind the last that was credited.
    pub id: u64,
    /// Who deposited.
    pub owner: [u8; 20],
    /// What.
    pub asset: AssetId,
    /// How much, in minor units; positive.
    pub amount: i64,
    /// All deposits of each of the vault's assets, this one included, in minor units.
    pub totals: Vec<u128>,
    /// The vault's chain value with this deposit.
    pub chain: [u8; 32],
    /// Block of the chain that carries it.
    pub block: u64,
}
