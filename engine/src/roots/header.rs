//! What an epoch commits to, byte for byte as `ROOTS.md` draws it.

use super::{keccak::keccak256, leaf::Fields};

/// First bytes of what is hashed into the state root.
pub const STATE_MARK: &[u8; 16] = b"hashpit/state/v1";
/// First bytes of what is hashed into an epoch's hash.
pub const EPOCH_MARK: &[u8; 16] = b"hashpit/epoch/v1";
/// First bytes of what is hashed into the one root over all withdrawals.
pub const WITHDRAWALS_MARK: &[u8; 22] = b"hashpit/withdrawals/v1";

/// The tree of one asset under a state root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetRoot {
    /// Number of the asset.
    pub asset: u16,
    /// Root of its balances.
    pub root: [u8; 32],
    /// Minor units that all accounts have in it together.
    pub sum: u128,
}

/// All trees under a state root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// By number.
    pub assets: Vec<AssetRoot>,
    /// Root of the tree over contracts.
    pub positions: [u8; 32],
}

impl State {
    /// What is hashed.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = STATE_MARK.to_vec();
        bytes.extend_from_slice(&count(self.assets.len()));
        for asset in &self.assets {
            bytes.extend_from_slice(&asset.asset.to_be_bytes());
            bytes.extend_from_slice(&asset.root);
            bytes.extend_from_slice(&asset.sum.to_be_bytes());
        }
        bytes.extend_from_slice(&self.positions);
        bytes
    }

    /// The state root.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        keccak256(&self.bytes())
    }

    /// Of these bytes, if they are such a list.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        (fields.take()? == *STATE_MARK).then_some(())?;
        let mut state = Self::default();
        for _ in 0..u16::from_be_bytes(fields.take()?) {
            state.assets.push(AssetRoot {
                asset: u16::from_be_bytes(fields.take()?),
                root: fields.take()?,
                sum: u128::from_be_bytes(fields.take()?),
            });
        }
        state.positions = fields.take()?;
        fields.0.is_empty().then_some(state)
    }
}

fn count(items: usize) -> [u8; 2] {
    // Assets are at most 64.
    u16::try_from(items).unwrap_or(u16::MAX).to_be_bytes()
}

/// Money of one asset at an epoch. Minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssetFlow {
    /// Number of the asset.
    pub asset: u16,
    /// What all accounts have: the sum at the root of its tree.
    pub liabilities: u128,
    /// Deposits credited so far.
    pub deposited: u128,
    /// Of those, credited without a deposit on the chain: play money, or booked by hand.
    pub sandbox: u128,
    /// Withdrawals issued so far: the sum at the root of their tree.
    pub withdrawn: u128,
    /// Of those, paid otherwise than by the chain.
    pub by_hand: u128,
    /// How many withdrawals that were.
    pub withdrawals: u64,
    /// Root of the tree of withdrawals.
    pub withdrawals_root: [u8; 32],
}

impl AssetFlow {
    /// What accounts lost and neither they nor the venue's own accounts can cover: liabilities are larger by
    /// it than the money there is. `None` if there is *less* owed than there should be, which no honest
    /// exchange writes.
    #[must_use]
    pub fn uncovered(&self) -> Option<u128> {
        let out = self.liabilities.checked_add(self.withdrawn)?;
        out.checked_sub(self.deposited)
    }
}

/// What an epoch commits to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// 1, 2, 3 without a gap.
    pub epoch: u64,
    /// Position of its mark in the journal: the state is the one right after it.
    pub seq: u64,
    /// Core time of the mark, Unix nanoseconds.
    pub time: u64,
    /// Hash of the header before; zeros in epoch 1.
    pub previous: [u8; 32],
    /// Of [`State`].
    pub state_root: [u8; 32],
    /// BLAKE3 chain value of the journal's block that carries the mark.
    pub journal_head: [u8; 32],
    /// Root over the pages of all fills so far.
    pub fills_root: [u8; 32],
    /// Fills so far, each side counted.
    pub fills: u64,
    /// Deposits credited so far.
    pub deposits: u64,
    /// Of those, deposits on the chain.
    pub chain_deposits: u64,
    /// The anchor contract's chain value over them; zeros while there is none.
    pub deposit_chain: [u8; 32],
    /// By number.
    pub assets: Vec<AssetFlow>,
}

impl Header {
    /// What is hashed.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = EPOCH_MARK.to_vec();
        for number in [self.epoch, self.seq, self.time] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for hash in [self.previous, self.state_root, self.journal_head] {
            bytes.extend_from_slice(&hash);
        }
        bytes.extend_from_slice(&self.fills_root);
        bytes.extend_from_slice(&self.fills.to_be_bytes());
        bytes.extend_from_slice(&self.deposits.to_be_bytes());
        bytes.extend_from_slice(&self.chain_deposits.to_be_bytes());
        bytes.extend_from_slice(&self.deposit_chain);
        bytes.extend_from_slice(&count(self.assets.len()));
        for flow in &self.assets {
            bytes.extend_from_slice(&flow.asset.to_be_bytes());
            for sum in [
                flow.liabilities,
                flow.deposited,
                flow.sandbox,
                flow.withdrawn,
                flow.by_hand,
            ] {
                bytes.extend_from_slice(&sum.to_be_bytes());
            }
            bytes.extend_from_slice(&flow.withdrawals.to_be_bytes());
            bytes.extend_from_slice(&flow.withdrawals_root);
        }
        bytes
    }

    /// The epoch's hash.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        keccak256(&self.bytes())
    }

    /// Of these bytes, if they are a header.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        (fields.take()? == *EPOCH_MARK).then_some(())?;
        let mut header = Self {
            epoch: u64::from_be_bytes(fields.take()?),
            seq: u64::from_be_bytes(fields.take()?),
            time: u64::from_be_bytes(fields.take()?),
            previous: fields.take()?,
            state_root: fields.take()?,
            journal_head: fields.take()?,
            fills_root: fields.take()?,
            fills: u64::from_be_bytes(fields.take()?),
            deposits: u64::from_be_bytes(fields.take()?),
            chain_deposits: u64::from_be_bytes(fields.take()?),
            deposit_chain: fields.take()?,
            assets: Vec::new(),
        };
        for _ in 0..u16::from_be_bytes(fields.take()?) {
            header.assets.push(AssetFlow {
                asset: u16::from_be_bytes(fields.take()?),
                liabilities: u128::from_be_bytes(fields.take()?),
                deposited: u128::from_be_bytes(fields.take()?),
                sandbox: u128::from_be_bytes(fields.take()?),
                withdrawn: u128::from_be_bytes(fields.take()?),
                by_hand: u128::from_be_bytes(fields.take()?),
                withdrawals: u64::from_be_bytes(fields.take()?),
                withdrawals_root: fields.take()?,
            });
        }
        fields.0.is_empty().then_some(header)
    }

    /// The one root over the withdrawals of all assets.
    #[must_use]
    pub fn withdrawals_root(&self) -> [u8; 32] {
        let mut bytes = WITHDRAWALS_MARK.to_vec();
        bytes.extend_from_slice(&count(self.assets.len()));
        for flow in &self.assets {
            bytes.extend_from_slice(&flow.asset.to_be_bytes());
            bytes.extend_from_slice(&flow.withdrawals_root);
            bytes.extend_from_slice(&flow.withdrawn.to_be_bytes());
        }
        keccak256(&bytes)
    }
}
