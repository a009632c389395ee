//! What is hashed into the leaves of each tree, byte for byte as `ROOTS.md` draws it. All numbers are
//! big-endian and the tag is the last byte.

use super::{
    keccak,
    tree::{Node, Pair, Plain, Sum},
};

/// The last byte of everything that is hashed, so that no leaf can pass for a node, nor for the leaf of
/// another tree.
pub mod tag {
    /// Leaf of an account in the tree of an asset.
    pub const BALANCE: u8 = 0;
    /// Node of such a tree.
    pub const BALANCE_NODE: u8 = 1;
    /// Leaf of an issued withdrawal.
    pub const WITHDRAWAL: u8 = 2;
    /// Node of an asset's withdrawals.
    pub const WITHDRAWAL_NODE: u8 = 3;
    /// Leaf of a position in the tree of a contract.
    pub const POSITION: u8 = 4;
    /// Node of such a tree.
    pub const POSITION_NODE: u8 = 5;
    /// Leaf of a page of fills.
    pub const FILLS: u8 = 6;
    /// Node of the tree of pages.
    pub const FILLS_NODE: u8 = 7;
    /// Leaf of a contract in the tree over contracts.
    pub const CONTRACT: u8 = 8;
    /// Node of the tree over contracts.
    pub const CONTRACT_NODE: u8 = 9;
}

/// Reads fields off the front of bytes; `None` when they end too early.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    /// The rest must be this tag alone.
    fn ends_with(&self, tag: u8) -> Option<()> {
        (self.0 == [tag]).then_some(())
    }
}

/// An account in one asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BalanceLeaf {
    /// Number of the account, which is also its place in the tree.
    pub index: u32,
    /// Address that may leave with it; zeros if none was named.
    pub owner: [u8; 20],
    /// How often the owner was changed.
    pub nonce: u64,
    /// Minor units that are the account's and nothing holds.
    pub available: u128,
    /// Minor units that escrow, bonds, margin or pending withdrawals hold.
    pub locked: u128,
    /// Number of the asset.
    pub asset: u16,
    /// The account is closed for ever.
    pub closed: bool,
}

impl BalanceLeaf {
    /// What is hashed.
    #[must_use]
    pub fn bytes(&self) -> [u8; 68] {
        let mut bytes = [0; 68];
        bytes[..4].copy_from_slice(&self.index.to_be_bytes());
        bytes[4..24].copy_from_slice(&self.owner);
        bytes[24..32].copy_from_slice(&self.nonce.to_be_bytes());
        bytes[32..48].copy_from_slice(&self.available.to_be_bytes());
        bytes[48..64].copy_from_slice(&self.locked.to_be_bytes());
        bytes[64..66].copy_from_slice(&self.asset.to_be_bytes());
        bytes[66] = self.closed.into();
        bytes[67] = tag::BALANCE;
        bytes
    }

    /// Of these bytes, if they are such a leaf.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let leaf = Self {
            index: u32::from_be_bytes(fields.take()?),
            owner: fields.take()?,
            nonce: u64::from_be_bytes(fields.take()?),
            available: u128::from_be_bytes(fields.take()?),
            locked: u128::from_be_bytes(fields.take()?),
            asset: u16::from_be_bytes(fields.take()?),
            closed: match fields.take()? {
                [0] => false,
                [1] => true,
                _ => return None,
            },
        };
        fields.ends_with(tag::BALANCE)?;
        leaf.available.checked_add(leaf.locked)?;
        Some(leaf)
    }

    /// Everything the account has.
    #[must_use]
    pub fn sum(&self) -> u128 {
        self.available.saturating_add(self.locked)
    }

    /// Its place in the tree.
    #[must_use]
    pub fn node(&self) -> Sum {
        let hash = keccak::hash_block(&keccak::pad(&self.bytes()));
        Node::new(hash, &[self.sum()])
    }
}

/// A withdrawal that was paid out of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WithdrawalLeaf {
    /// Place among the withdrawals of its asset, from 0.
    pub id: u64,
    /// The account's owner when it was issued; zeros if it had none.
    pub to: [u8; 20],
    /// Minor units.
    pub amount: u128,
    /// Number of the asset.
    pub asset: u16,
}

impl WithdrawalLeaf {
    /// What is hashed.
    #[must_use]
    pub fn bytes(&self) -> [u8; 47] {
        let mut bytes = [0; 47];
        bytes[..8].copy_from_slice(&self.id.to_be_bytes());
        bytes[8..28].copy_from_slice(&self.to);
        bytes[28..44].copy_from_slice(&self.amount.to_be_bytes());
        bytes[44..46].copy_from_slice(&self.asset.to_be_bytes());
        bytes[46] = tag::WITHDRAWAL;
        bytes
    }

    /// Of these bytes, if they are such a leaf.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let leaf = Self {
            id: u64::from_be_bytes(fields.take()?),
            to: fields.take()?,
            amount: u128::from_be_bytes(fields.take()?),
            asset: u16::from_be_bytes(fields.take()?),
        };
        fields.ends_with(tag::WITHDRAWAL)?;
        Some(leaf)
    }

    /// Its place in the tree.
    #[must_use]
    pub fn node(&self) -> Sum {
        let hash = keccak::hash_block(&keccak::pad(&self.bytes()));
        Node::new(hash, &[self.amount])
    }
}

/// A position of an account in one contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionLeaf {
    /// Number of the contract.
    pub contract: u32,
    /// Place in the contract's tree: accounts are numbered as they come to the contract, from 0.
    pub slot: u32,
    /// Number of the account.
    pub account: u32,
    /// Lots bought and not sold; 0 if it is short.
    pub long: u64,
    /// Lots sold and not bought; 0 if it is long.
    pub short: u64,
}

impl PositionLeaf {
    /// What is hashed.
    #[must_use]
    pub fn bytes(&self) -> [u8; 29] {
        let mut bytes = [0; 29];
        bytes[..4].copy_from_slice(&self.contract.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.slot.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.account.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.long.to_be_bytes());
        bytes[20..28].copy_from_slice(&self.short.to_be_bytes());
        bytes[28] = tag::POSITION;
        bytes
    }

    /// Of these bytes, if they are such a leaf.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let leaf = Self {
            contract: u32::from_be_bytes(fields.take()?),
            slot: u32::from_be_bytes(fields.take()?),
            account: u32::from_be_bytes(fields.take()?),
            long: u64::from_be_bytes(fields.take()?),
            short: u64::from_be_bytes(fields.take()?),
        };
        fields.ends_with(tag::POSITION)?;
        Some(leaf)
    }

    /// Its place in the tree.
    #[must_use]
    pub fn node(&self) -> Pair {
        let hash = keccak::hash_block(&keccak::pad(&self.bytes()));
        Node::new(hash, &[self.long.into(), self.short.into()])
    }
}

/// A contract: the root of its positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContractLeaf {
    /// Number of the contract, which is also its place in the tree.
    pub contract: u32,
    /// Root of its positions' tree.
    pub root: [u8; 32],
    /// Lots that all accounts are long.
    pub long: u128,
    /// Lots that all accounts are short: as many.
    pub short: u128,
}

impl ContractLeaf {
    /// What is hashed.
    #[must_use]
    pub fn bytes(&self) -> [u8; 69] {
        let mut bytes = [0; 69];
        bytes[..4].copy_from_slice(&self.contract.to_be_bytes());
        bytes[4..36].copy_from_slice(&self.root);
        bytes[36..52].copy_from_slice(&self.long.to_be_bytes());
        bytes[52..68].copy_from_slice(&self.short.to_be_bytes());
        bytes[68] = tag::CONTRACT;
        bytes
    }

    /// Of these bytes, if they are such a leaf.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let leaf = Self {
            contract: u32::from_be_bytes(fields.take()?),
            root: fields.take()?,
            long: u128::from_be_bytes(fields.take()?),
            short: u128::from_be_bytes(fields.take()?),
        };
        fields.ends_with(tag::CONTRACT)?;
        Some(leaf)
    }

    /// Its place in the tree.
    #[must_use]
    pub fn node(&self) -> Plain {
        let hash = keccak::hash_block(&keccak::pad(&self.bytes()));
        Node::new(hash, &[])
    }
}
