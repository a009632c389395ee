//! The tree of one asset: what every account has, in numbers that cannot be negative.
//!
//! ```text
//!   equity    = cash + variation since the last daily mark (its positions' exit value)
//!   locked    = held + margin, at most the equity
//!   available = equity - locked
//! ```
//!
//! Variation sums to zero over all accounts but for rounding; the rounding account carries the residue. An
//! account whose equity is negative shows 0, and what it lacks is taken from the venue's own accounts:
//! insurance, then fees, then rounding. So the sum of all leaves is the cash in the books, unless even those
//! cannot cover it; then it is larger by exactly what is missing, and everybody can see that.

use super::{
    keccak::{self, Lanes},
    leaf::{BalanceLeaf, tag},
    past::Past,
    pays_variation,
    proof::{Inclusion, TreeKind},
    tree::{Node, Sum, Tree},
};
use crate::{
    command::AccountStatus,
    exchange::Exchange,
    ids::{AccountId, AssetId, house},
};

/// Who covers what accounts lack, in this order.
const COVER: [AccountId; 3] = [house::INSURANCE, house::FEES, house::ROUNDING];

/// See the module's page.
#[derive(Clone, Debug)]
pub(super) struct Balances {
    asset: AssetId,
    lanes: Lanes,
    tree: Tree<2>,
    /// By number of the account; nobody has number 0.
    leaves: Vec<BalanceLeaf>,
    past: Past<BalanceLeaf>,
    /// Variation of each account, and what it lacks.
    exits: Vec<i64>,
    lacks: Vec<u128>,
    /// Sums of both.
    exit: i128,
    lack: u128,
}

impl Balances {
    pub(super) fn new(asset: AssetId, lanes: Lanes) -> Self {
        Self {
            asset,
            lanes,
            tree: Tree::new(tag::BALANCE_NODE, lanes),
            leaves: vec![BalanceLeaf::default()],
            past: Past::default(),
            exits: vec![0],
            lacks: vec![0],
            exit: 0,
            lack: 0,
        }
    }

    pub(super) fn root(&self) -> Sum {
        self.tree.root()
    }

    pub(super) fn tops(&self) -> [Sum; 2] {
        self.tree.tops()
    }

    pub(super) fn keep(&mut self, epoch: u64) {
        self.tree.keep(epoch);
        self.past.keep(epoch);
    }

    pub(super) fn drop(&mut self, epoch: u64) {
        self.tree.drop(epoch);
        self.past.drop(epoch);
    }

    pub(super) fn remembered(&self) -> usize {
        self.tree.remembered() + self.past.len()
    }

    /// Takes up these accounts, in ascending order, as they are now.
    pub(super) fn update(&mut self, exchange: &Exchange, accounts: impl Iterator<Item = u32>) {
        let rows = exchange.accounts().len() + 1;
        self.leaves.resize(rows, BalanceLeaf::default());
        self.exits.resize(rows, 0);
        self.lacks.resize(rows, 0);
        let mut changed = Vec::new();
        for account in accounts {
            if !COVER.contains(&AccountId(account)) {
                self.take(exchange, AccountId(account), 0, &mut changed);
            }
        }
        self.cover(exchange, &mut changed);
        changed.sort_unstable();
        let mut leaves: Vec<(u32, Sum)> =
            changed.iter().map(|index| (*index, Node::EMPTY)).collect();
        let block = |n: usize| keccak::pad(&self.leaves[changed[n] as usize].bytes());
        keccak::hash_blocks(self.lanes, changed.len(), block, |n, hash| {
            let sum = self.leaves[changed[n] as usize].sum();
            leaves[n].1 = Node::new(hash, &[sum]);
        });
        self.tree.update(&leaves);
    }

    /// One account; what it lacks is noted, not shown. `less` is taken from it.
    fn take(
        &mut self,
        exchange: &Exchange,
        account: AccountId,
        less: u128,
        changed: &mut Vec<u32>,
    ) {
        let row = account.0 as usize;
        let exit = if account == house::ROUNDING {
            -self.exit
        } else {
            let exit = self.variation(exchange, account);
            self.exit += i128::from(exit) - i128::from(self.exits[row]);
            self.exits[row] = exit;
            exit.into()
        };
        let balance = exchange.ledger().balance(account, self.asset);
        let equity = i128::from(balance.cash.0) + exit;
        let lack = u128::try_from(-equity).unwrap_or(0);
        self.lack = self.lack - self.lacks[row] + lack;
        self.lacks[row] = lack;
        let has = u128::try_from(equity).unwrap_or(0).saturating_sub(less);
        let holds = i128::from(balance.held.0) + i128::from(balance.margin.0);
        let locked = u128::try_from(holds).unwrap_or(0).min(has);
        let owner = exchange.owner(account);
        let status = exchange.account(account).map(|row| row.status);
        let leaf = BalanceLeaf {
            index: account.0,
            owner: owner.address,
            nonce: owner.nonce,
            available: has - locked,
            locked,
            // Assets are at most 64.
            asset: u16::try_from(self.asset.0).unwrap_or(u16::MAX),
            closed: status == Some(AccountStatus::Closed),
        };
        if self.leaves[row] != leaf {
            let old = std::mem::replace(&mut self.leaves[row], leaf);
            self.past.note(account.0.into(), old);
            changed.push(account.0);
        }
    }

    /// The venue's own accounts, which cover what others lack.
    fn cover(&mut self, exchange: &Exchange, changed: &mut Vec<u32>) {
        // First without covering: what they lack themselves is covered as well.
        let mut has = [0; COVER.len()];
        let mut before = COVER.map(|account| self.leaves[account.0 as usize]);
        let mut ignored = Vec::new();
        for (has, account) in has.iter_mut().zip(COVER) {
            self.take(exchange, account, 0, &mut ignored);
            *has = self.leaves[account.0 as usize].sum();
        }
        let mut left = self.lack;
        for (place, account) in COVER.into_iter().enumerate() {
            let gives = left.min(has[place]);
            left -= gives;
            self.take(exchange, account, gives, &mut ignored);
            if self.leaves[account.0 as usize] != std::mem::take(&mut before[place]) {
                changed.push(account.0);
            }
        }
    }

    /// What an account's forwards in this asset have gained since the last daily mark, at the present one.
    fn variation(&self, exchange: &Exchange, account: AccountId) -> i64 {
        let mine = exchange.positions().of(account).filter(|position| {
            let contract = exchange.instrument(position.instrument);
            contract.is_some_and(|contract| {
                contract.terms.price_asset == self.asset && pays_variation(contract.terms.kind)
            })
        });
        mine.map(|position| position.result.0).sum()
    }

    /// As it is now; none for an account that was never opened.
    pub(super) fn leaf(&self, account: AccountId) -> Option<&BalanceLeaf> {
        let leaf = self.leaves.get(account.0 as usize)?;
        (account.is_set() && leaf.index == account.0).then_some(leaf)
    }

    /// As it is now, or as it was at a kept epoch.
    pub(super) fn prove(
        &self,
        account: AccountId,
        kept: Option<u64>,
    ) -> Option<(BalanceLeaf, Inclusion)> {
        let now = *self.leaves.get(account.0 as usize)?;
        let (leaf, siblings) = match kept {
            None => (now, self.tree.siblings(account.0)),
            Some(epoch) => {
                let old = self.past.changed(epoch, account.0.into());
                let siblings = self.tree.siblings_at(epoch, account.0)?;
                (old.copied().unwrap_or(now), siblings)
            }
        };
        if !account.is_set() || leaf.index != account.0 {
            return None;
        }
        let bytes = leaf.bytes().to_vec();
        let path = Inclusion::new(TreeKind::Balances, account.0, bytes, &siblings);
        Some((leaf, path))
    }
}
