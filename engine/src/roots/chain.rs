//! What of an epoch goes onto an EVM chain: the header that the contract `HashpitRegistry` takes, the
//! children of every root, and the newest deposit. Byte for byte as `proto/l2/README.md` says; headers that
//! the contract would refuse are not even formed.

use bincode::{Decode, Encode};

use super::{
    header::{Header, State},
    keccak::keccak256,
    leaf::tag,
    tree::Sum,
};

/// Assets that the contract's vault can hold.
pub const ASSETS: usize = 8;

/// One asset in a [`ChainHeader`]. Minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct AssetLine {
    /// Number of the asset.
    pub asset: u16,
    /// What all accounts have.
    pub liabilities: u128,
    /// Withdrawals ever issued.
    pub withdraw_total: u128,
    /// Root of their tree.
    pub withdraw_root: [u8; 32],
}

/// The contract's `Header`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ChainHeader {
    /// The exchange's number of the epoch.
    pub epoch: u64,
    /// Position of its mark in the journal.
    pub seq: u64,
    /// Core time of the mark, Unix nanoseconds.
    pub time: u64,
    /// Number on the chain: 1, 2, 3 without a gap.
    pub anchor: u64,
    /// Hash of the header that was posted before; zeros in anchor 1.
    pub previous: [u8; 32],
    /// Of [`State`].
    pub state_root: [u8; 32],
    /// All of the vault's, by number.
    pub assets: Vec<AssetLine>,
    /// BLAKE3 chain value of the journal's block that carries the mark.
    pub journal_head: [u8; 32],
    /// Root over the pages of all fills so far.
    pub fills_root: [u8; 32],
    /// Deposits of the chain credited so far.
    pub deposit_count: u64,
    /// The contract's chain value over them.
    pub deposit_acc: [u8; 32],
    /// Exit requests with numbers below are served.
    pub forced_count: u64,
    /// Withdrawals of all assets ever issued.
    pub withdraw_count: u64,
}

/// The two nodes below a root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Top {
    /// Hash of the left one.
    pub left_hash: [u8; 32],
    /// Minor units in it.
    pub left_sum: u128,
    /// Hash of the right one.
    pub right_hash: [u8; 32],
    /// Minor units in it.
    pub right_sum: u128,
}

/// The contract's `Tops`: with them it sees that the total of every root is what the header says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Tops {
    /// Of each asset's balances, by number.
    pub balances: Vec<Top>,
    /// Of each asset's withdrawals, by number.
    pub withdrawals: Vec<Top>,
    /// Root of the tree over contracts.
    pub positions: [u8; 32],
}

/// The contract's `Tip`: the newest deposit that is credited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Tip {
    /// The contract's chain value before it.
    pub previous: [u8; 32],
    /// Who deposited.
    pub owner: [u8; 20],
    /// Number of the asset.
    pub asset: u16,
    /// Minor units.
    pub amount: u128,
    /// All deposits of each of the vault's assets, this one included. Minor units.
    pub totals: Vec<u128>,
}

/// Why an epoch cannot stand on a chain. The books may be sound all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpostable {
    /// Credited without a deposit on the chain.
    #[error(
        "asset {asset}: {amount} minor units came in without a deposit on the chain (sandbox credit, or booked \
         by hand)"
    )]
    Sandbox {
        /// Number of the asset.
        asset: u16,
        /// Minor units.
        amount: u128,
    },
    /// Paid by somebody else than the vault, which would pay it again.
    #[error("asset {asset}: withdrawals of {amount} minor units were not paid by the chain")]
    ByHand {
        /// Number of the asset.
        asset: u16,
        /// Minor units.
        amount: u128,
    },
    /// The venue is in debt, and its own accounts cannot cover it.
    #[error("asset {asset}: {amount} minor units more are owed than there are")]
    Uncovered {
        /// Number of the asset.
        asset: u16,
        /// Minor units.
        amount: u128,
    },
    /// Less is owed than there should be: the books are wrong.
    #[error("asset {asset}: less is owed than was deposited")]
    Lost {
        /// Number of the asset.
        asset: u16,
    },
    /// More than the vault can hold.
    #[error("the exchange has {assets} assets, the vault takes {ASSETS}")]
    Assets {
        /// How many there are.
        assets: usize,
    },
    /// An exit request is said to be served, and its account shows otherwise: anybody could prove the lie.
    #[error(
        "exit request {request} is said to be served, but account {account} is open or has coins"
    )]
    FalselyServed {
        /// Number of the request.
        request: u64,
        /// Number of the account.
        account: u32,
    },
    /// More exit requests are claimed than an earlier root showed as served.
    #[error("{claimed} exit requests are claimed as served, an earlier epoch shows {shown}")]
    ClaimedEarly {
        /// In the header.
        claimed: u64,
        /// In the books.
        shown: u64,
    },
}

impl ChainHeader {
    /// The header of an epoch as the anchor of this number, behind the one with this hash.
    ///
    /// # Errors
    /// If deposits and withdrawals do not stand on the chain, or not everything that is owed is there.
    pub fn of(
        header: &Header,
        (anchor, previous): (u64, [u8; 32]),
        forced_count: u64,
    ) -> Result<Self, Unpostable> {
        if header.assets.len() > ASSETS {
            let assets = header.assets.len();
            return Err(Unpostable::Assets { assets });
        }
        for flow in &header.assets {
            let asset = flow.asset;
            if flow.sandbox > 0 {
                let amount = flow.sandbox;
                return Err(Unpostable::Sandbox { asset, amount });
            }
            if flow.by_hand > 0 {
                let amount = flow.by_hand;
                return Err(Unpostable::ByHand { asset, amount });
            }
            match flow.uncovered() {
                Some(0) => {}
                Some(amount) => return Err(Unpostable::Uncovered { asset, amount }),
                None => return Err(Unpostable::Lost { asset }),
            }
        }
        let lines = header.assets.iter().map(|flow| AssetLine {
            asset: flow.asset,
            liabilities: flow.liabilities,
            withdraw_total: flow.withdrawn,
            withdraw_root: flow.withdrawals_root,
        });
        Ok(Self {
            epoch: header.epoch,
            seq: header.seq,
            time: header.time,
            anchor,
            previous,
            state_root: header.state_root,
            assets: lines.collect(),
            journal_head: header.journal_head,
            fills_root: header.fills_root,
            deposit_count: header.chain_deposits,
            deposit_acc: header.deposit_chain,
            forced_count,
            withdraw_count: header.assets.iter().map(|flow| flow.withdrawals).sum(),
        })
    }

    /// `abi.encode("hashpit/header/v1", header)`.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut words = Words::default();
        // The text stands behind both offsets, the header behind the text's length and its one word.
        words.number(0x40).number(0x80).text("hashpit/header/v1");
        words.number(self.epoch).number(self.seq).number(self.time);
        words.number(self.anchor);
        words.word(&self.previous).word(&self.state_root);
        // Behind the thirteen words of the header.
        words.number(13 * 32);
        words.word(&self.journal_head).word(&self.fills_root);
        words.number(self.deposit_count).word(&self.deposit_acc);
        words.number(self.forced_count).number(self.withdraw_count);
        words.number(self.assets.len() as u64);
        for line in &self.assets {
            words.number(line.asset.into()).wide(line.liabilities);
            words.wide(line.withdraw_total).word(&line.withdraw_root);
        }
        words.0
    }

    /// What the chain commits to.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        keccak256(&self.bytes())
    }
}

impl Top {
    pub(super) fn of([left, right]: [Sum; 2]) -> Self {
        Self {
            left_hash: left.hash(),
            left_sum: left.sum(0),
            right_hash: right.hash(),
            right_sum: right.sum(0),
        }
    }

    /// The root above, with its sum; `None` if that does not fit 128 bits.
    #[must_use]
    pub fn root(&self, tag: u8) -> Option<([u8; 32], u128)> {
        let left = Sum::from_bytes(&self.left_hash, &self.left_sum.to_be_bytes())?;
        let right = Sum::from_bytes(&self.right_hash, &self.right_sum.to_be_bytes())?;
        let root = Sum::parent(tag, &left, &right)?;
        Some((root.hash(), root.sum(0)))
    }
}

impl Tops {
    /// Whether every root of this state, and of withdrawals with these roots and totals, is above them.
    #[must_use]
    pub fn fit(&self, state: &State, withdrawals: &[([u8; 32], u128)]) -> bool {
        let balances = self.balances.iter().map(|top| top.root(tag::BALANCE_NODE));
        let roots = state.assets.iter().map(|tree| Some((tree.root, tree.sum)));
        let out = self.withdrawals.iter();
        let out = out.map(|top| top.root(tag::WITHDRAWAL_NODE));
        balances.eq(roots)
            && out.eq(withdrawals.iter().map(|root| Some(*root)))
            && self.positions == state.positions
    }
}

impl Tip {
    /// The contract's chain value with this deposit, of this number from 0: `keccak256(abi.encode(
    /// "hashpit/deposit/v1", previous, id, owner, asset, amount, totals))`.
    #[must_use]
    pub fn chained(&self, id: u64) -> [u8; 32] {
        let mut words = Words::default();
        let mut owner = [0; 32];
        owner[12..].copy_from_slice(&self.owner);
        // Behind the seven words: the text with its length, then the list.
        words.number(7 * 32).word(&self.previous).number(id);
        words.word(&owner).number(self.asset.into());
        words.wide(self.amount).number(9 * 32);
        words.text("hashpit/deposit/v1");
        words.number(self.totals.len() as u64);
        for total in &self.totals {
            words.wide(*total);
        }
        keccak256(&words.0)
    }
}

/// Words of 32 bytes, as an EVM chain encodes arguments.
#[derive(Debug, Default)]
struct Words(Vec<u8>);

impl Words {
    fn word(&mut self, word: &[u8; 32]) -> &mut Self {
        self.0.extend_from_slice(word);
        self
    }

    fn wide(&mut self, number: u128) -> &mut Self {
        self.0.extend_from_slice(&[0; 16]);
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.wide(number.into())
    }

    /// Its length, and its bytes with zeros up to a whole word.
    fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        let whole = self.0.len().next_multiple_of(32);
        self.0.resize(whole, 0);
        self
    }
}
