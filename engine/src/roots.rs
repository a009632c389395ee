//! Commitments to the whole state that anybody can check: a root at each epoch's mark.
//!
//! A [`Roots`] listens to a copy of the exchange, never to the core: it notes which accounts and positions
//! changed, and when an epoch's mark passes it brings the trees up to date with the state of that moment. The
//! mark is a record of the journal, so every copy that reads the journal computes the same root. Nothing here
//! is needed to trade. `ROOTS.md` draws every byte; [`proof`] checks what is proven with nothing but the
//! proof's bytes.

use std::collections::{BTreeSet, VecDeque};

use crate::{
    command::{Rail, Stamped},
    event::Event,
    exchange::{Exchange, TransferState},
    ids::{AccountId, AssetId, InstrumentId, Seq},
    instrument::Kind,
};

mod balances;
pub mod chain;
mod exits;
pub mod fills;
pub mod header;
pub mod keccak;
pub mod leaf;
pub mod past;
mod positions;
pub mod proof;
mod saved;
pub mod tree;

use balances::Balances;
use chain::{Tip, Top, Tops};
use fills::{FillProof, Fills};
use header::{AssetFlow, AssetRoot, Header, State};
use keccak::Lanes;
use leaf::{BalanceLeaf, ContractLeaf, PositionLeaf, WithdrawalLeaf, tag};
use positions::Positions;
use proof::{Inclusion, TreeKind};
use tree::{Sum, Tree};

/// Epochs remembered with their headers.
pub const EPOCHS_KEPT: usize = 10_000;

/// Older epochs that proofs can be made of: each costs what has changed since, at most a copy of the trees.
pub const KEPT_MOST: usize = 4;

/// An epoch whose root is computed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// What it commits to.
    pub header: Header,
    /// What its state root hashes.
    pub state: State,
    /// Children of every root.
    pub tops: Tops,
    /// The newest deposit on the chain that is credited; empty while there is none.
    pub tip: Tip,
    /// First journal position of the epoch: behind the mark before.
    pub first_seq: Seq,
    /// Hash of the header.
    pub hash: [u8; 32],
}

/// A withdrawal's leaf with its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenWithdrawal {
    /// What was issued.
    pub leaf: WithdrawalLeaf,
    /// Its path.
    pub path: Inclusion,
}

/// A position's leaf with its paths: to its contract's root, and from there to the root over contracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenPosition {
    /// The position.
    pub leaf: PositionLeaf,
    /// Its path.
    pub path: Inclusion,
    /// The contract.
    pub contract: ContractLeaf,
    /// Its path.
    pub contract_path: Inclusion,
}

/// Withdrawals of one asset.
#[derive(Clone, Debug)]
struct Withdrawals {
    tree: Tree<2>,
    /// Transfer and leaf, by place.
    leaves: Vec<(u32, WithdrawalLeaf)>,
    /// Minor units of those that the chain did not pay.
    by_hand: u128,
}

/// What was paid in, counted along.
#[derive(Clone, Debug, Default)]
struct Deposits {
    /// Transfers looked at.
    seen: usize,
    /// Deposits among them.
    count: u64,
    /// Not from the chain, by asset.
    sandbox: Vec<u128>,
}

/// The trees, and what is to be done at the next mark.
#[derive(Clone, Debug)]
pub struct Roots {
    lanes: Lanes,
    /// The trees are those of the newest mark. Not so after a start from a snapshot, until the first mark.
    built: bool,
    balances: Vec<Balances>,
    positions: Positions,
    withdrawals: Vec<Withdrawals>,
    /// Issued withdrawals looked at.
    issued: usize,
    deposits: Deposits,
    fills: Fills,
    /// Exit requests that are served, by number.
    exits: Vec<exits::Claim>,
    changed_accounts: BTreeSet<u32>,
    changed_positions: BTreeSet<(u32, u32)>,
    epochs: VecDeque<Epoch>,
    /// Marked in the present block of the journal: they wait for its hash.
    pending: Vec<Epoch>,
    /// Epochs to keep as soon as they are there.
    wanted: BTreeSet<u64>,
    /// Epochs that are kept.
    kept: BTreeSet<u64>,
}

impl Default for Roots {
    fn default() -> Self {
        Self::new(Lanes::detect())
    }
}

impl Roots {
    /// Before the first command.
    #[must_use]
    pub fn new(lanes: Lanes) -> Self {
        Self {
            lanes,
            built: false,
            balances: Vec::new(),
            positions: Positions::new(lanes),
            withdrawals: Vec::new(),
            issued: 0,
            deposits: Deposits::default(),
            fills: Fills::default(),
            exits: Vec::new(),
            changed_accounts: BTreeSet::new(),
            changed_positions: BTreeSet::new(),
            epochs: VecDeque::new(),
            pending: Vec::new(),
            wanted: BTreeSet::new(),
            kept: BTreeSet::new(),
        }
    }

    /// Listens to what a command did; `exchange` is the state right after it.
    pub fn hear(&mut self, exchange: &Exchange, stamped: &Stamped, events: &[Event]) {
        self.fills.hear(stamped.seq, stamped.at.0, events);
        for event in events {
            match event {
                Event::Balance(row) => self.touch(row.account),
                Event::Position(row) => {
                    self.touch(row.account);
                    let place = (row.instrument.0, row.account.0);
                    if self.built {
                        self.changed_positions.insert(place);
                    }
                }
                Event::Access(account) => self.touch(*account),
                Event::Owner(change) => self.touch(change.account),
                Event::Epoch(mark) => {
                    let time = u64::try_from(stamped.at.0).unwrap_or(0);
                    self.seal(exchange, mark.epoch, stamped.seq, time);
                }
                _ => {}
            }
        }
    }

    fn touch(&mut self, account: AccountId) {
        // Before the trees are there, all of it is read anyway.
        if self.built && account.is_set() {
            self.changed_accounts.insert(account.0);
        }
    }

    /// The journal's block that carried the last commands ends, with this chain value. Answers how many epochs
    /// are sealed by it.
    pub fn end_of_block(&mut self, chain: [u8; 32]) -> usize {
        let sealed = self.pending.len();
        for mut epoch in std::mem::take(&mut self.pending) {
            epoch.header.previous = self.epochs.back().map_or([0; 32], |last| last.hash);
            epoch.header.journal_head = chain;
            epoch.hash = epoch.header.hash();
            self.epochs.push_back(epoch);
        }
        while self.epochs.len() > EPOCHS_KEPT {
            self.epochs.pop_front();
        }
        sealed
    }

    /// Sealed epochs, oldest first; the newest [`EPOCHS_KEPT`].
    #[must_use]
    pub fn epochs(&self) -> &VecDeque<Epoch> {
        &self.epochs
    }

    /// A sealed epoch.
    #[must_use]
    pub fn epoch(&self, number: u64) -> Option<&Epoch> {
        let first = self.epochs.front()?.header.epoch;
        let place = usize::try_from(number.checked_sub(first)?).ok()?;
        self.epochs.get(place)
    }

    /// The epoch that proofs are made against: the newest sealed one, if its trees are in memory.
    #[must_use]
    pub fn provable(&self) -> Option<&Epoch> {
        self.epochs
            .back()
            .filter(|_| self.built && self.pending.is_empty())
    }

    /// The epoch of this number, if proofs can be made of it: the newest, or one that is kept.
    #[must_use]
    pub fn provable_at(&self, number: u64) -> Option<&Epoch> {
        match self.view(number)? {
            None => self.provable(),
            Some(_) => self.epoch(number),
        }
    }

    /// How to look at an epoch: `None` is the present.
    fn view(&self, number: u64) -> Option<Option<u64>> {
        let newest = self.provable().map(|epoch| epoch.header.epoch);
        if newest == Some(number) {
            return Some(None);
        }
        self.kept.contains(&number).then_some(Some(number))
    }

    /// Keeps the newest sealed epoch, so that it can be proven when newer ones have come. Answers which;
    /// `None` just after a mark whose block has not ended: then it can be had in a moment. Of more than
    /// [`KEPT_MOST`] the oldest goes.
    pub fn keep_newest(&mut self) -> Option<u64> {
        let number = self.provable()?.header.epoch;
        self.keep(number);
        Some(number)
    }

    /// Keeps these epochs when their marks come, as after a start when the journal is executed again.
    pub fn want(&mut self, epochs: impl IntoIterator<Item = u64>) {
        self.wanted.extend(epochs);
    }

    /// Lets a kept epoch go.
    pub fn let_go(&mut self, number: u64) {
        self.wanted.remove(&number);
        if !self.kept.remove(&number) {
            return;
        }
        for balances in &mut self.balances {
            balances.drop(number);
        }
        for withdrawals in &mut self.withdrawals {
            withdrawals.tree.drop(number);
        }
        self.positions.drop(number);
    }

    /// Epochs that are kept, the oldest first.
    pub fn kept(&self) -> impl Iterator<Item = u64> + '_ {
        self.kept.iter().copied()
    }

    /// Nodes and leaves remembered for kept epochs; about 100 bytes each.
    #[must_use]
    pub fn remembered(&self) -> usize {
        let balances: usize = self.balances.iter().map(Balances::remembered).sum();
        let withdrawals = self.withdrawals.iter();
        let withdrawals: usize = withdrawals.map(|asset| asset.tree.remembered()).sum();
        balances + withdrawals + self.positions.remembered()
    }

    /// The trees are those of this epoch, and stay at hand.
    fn keep(&mut self, number: u64) {
        if !self.kept.insert(number) {
            return;
        }
        for balances in &mut self.balances {
            balances.keep(number);
        }
        for withdrawals in &mut self.withdrawals {
            withdrawals.tree.keep(number);
        }
        self.positions.keep(number);
        while self.kept.len() > KEPT_MOST
            && let Some(oldest) = self.kept.first().copied()
        {
            self.let_go(oldest);
        }
    }

    /// Brings every tree up to date with the state and forms the header, but for the journal's hash.
    fn seal(&mut self, exchange: &Exchange, number: u64, seq: Seq, time: u64) {
        if !self.built {
            self.balances.clear();
            self.withdrawals.clear();
            self.positions = Positions::new(self.lanes);
            (self.issued, self.deposits) = (0, Deposits::default());
            self.exits.clear();
        }
        self.seal_balances(exchange);
        self.seal_positions(exchange);
        self.seal_withdrawals(exchange);
        self.count_deposits(exchange);
        self.seal_exits(exchange);
        self.built = true;
        self.changed_accounts.clear();
        self.changed_positions.clear();
        let mut state = State {
            assets: Vec::new(),
            positions: self.positions.root(),
        };
        let mut flows = Vec::new();
        let mut tops = Tops {
            positions: state.positions,
            ..Tops::default()
        };
        for (place, balances) in self.balances.iter().enumerate() {
            let asset = u16::try_from(place + 1).unwrap_or(u16::MAX);
            let root = balances.root();
            state.assets.push(AssetRoot {
                asset,
                root: root.hash(),
                sum: root.sum(0),
            });
            let flow = exchange.ledger().flow(AssetId::nth(place));
            let withdrawals = &self.withdrawals[place];
            let out = withdrawals.tree.root();
            tops.balances.push(Top::of(balances.tops()));
            tops.withdrawals.push(Top::of(withdrawals.tree.tops()));
            flows.push(AssetFlow {
                asset,
                liabilities: root.sum(0),
                deposited: u128::try_from(flow.deposited).unwrap_or(0),
                sandbox: self.deposits.sandbox.get(place).copied().unwrap_or(0),
                withdrawn: out.sum(0),
                by_hand: withdrawals.by_hand,
                withdrawals: withdrawals.leaves.len() as u64,
                withdrawals_root: out.hash(),
            });
        }
        let last = self.pending.last().or(self.epochs.back());
        let first_seq = last.map_or(1, |last| last.header.seq + 1);
        let fills_root = self.fills.seal();
        let header = Header {
            epoch: number,
            seq,
            time,
            state_root: state.root(),
            fills_root,
            fills: self.fills.len(),
            deposits: self.deposits.count,
            chain_deposits: exchange.chain_deposits().count,
            deposit_chain: exchange.chain_deposits().chain,
            assets: flows,
            ..Header::default()
        };
        self.pending.push(Epoch {
            header,
            state,
            tops,
            tip: exchange.chain_deposits().tip.clone(),
            first_seq,
            hash: [0; 32],
        });
        if self.wanted.remove(&number) {
            self.keep(number);
        }
    }

    fn seal_balances(&mut self, exchange: &Exchange) {
        let accounts = exchange.accounts().len();
        let assets = exchange.assets().len();
        for place in 0..assets {
            let fresh = place == self.balances.len();
            if fresh {
                let asset = AssetId::nth(place);
                self.balances.push(Balances::new(asset, self.lanes));
            }
            let balances = &mut self.balances[place];
            if fresh {
                let all = 1..=u32::try_from(accounts).unwrap_or(u32::MAX);
                balances.update(exchange, all);
            } else {
                balances.update(exchange, self.changed_accounts.iter().copied());
            }
        }
    }

    fn seal_positions(&mut self, exchange: &Exchange) {
        if self.built {
            let changed = self.changed_positions.iter().copied();
            self.positions.update(exchange, changed);
        } else {
            let contracts = exchange.instruments().iter();
            let all = contracts
                .flat_map(|contract| exchange.positions().in_instrument(contract.id))
                .map(|position| (position.instrument.0, position.account.0));
            let all: BTreeSet<(u32, u32)> = all.collect();
            self.positions.update(exchange, all.into_iter());
        }
    }

    fn seal_withdrawals(&mut self, exchange: &Exchange) {
        for _ in self.withdrawals.len()..exchange.assets().len() {
            self.withdrawals.push(Withdrawals {
                tree: Tree::new(tag::WITHDRAWAL_NODE, self.lanes),
                leaves: Vec::new(),
                by_hand: 0,
            });
        }
        let mut fresh: Vec<Vec<(u32, Sum)>> = vec![Vec::new(); self.withdrawals.len()];
        for issued in &exchange.issued()[self.issued..] {
            let place = (issued.transfer as usize).wrapping_sub(1);
            let Some(transfer) = exchange.transfers().get(place) else {
                continue;
            };
            let asset = transfer.asset.index().unwrap_or(0);
            let id = self.withdrawals[asset].leaves.len();
            let leaf = WithdrawalLeaf {
                id: id as u64,
                to: issued.to,
                amount: u128::try_from(transfer.amount).unwrap_or(0),
                asset: u16::try_from(asset + 1).unwrap_or(u16::MAX),
            };
            self.withdrawals[asset].leaves.push((transfer.id, leaf));
            if transfer.rail != Rail::Chain {
                self.withdrawals[asset].by_hand += leaf.amount;
            }
            // Transfers are at most 2^20.
            fresh[asset].push((u32::try_from(id).unwrap_or(u32::MAX), leaf.node()));
        }
        self.issued = exchange.issued().len();
        for (withdrawals, leaves) in self.withdrawals.iter_mut().zip(&fresh) {
            withdrawals.tree.update(leaves);
        }
    }

    fn count_deposits(&mut self, exchange: &Exchange) {
        let Deposits {
            seen,
            count,
            sandbox,
        } = &mut self.deposits;
        sandbox.resize(exchange.assets().len(), 0);
        for transfer in &exchange.transfers()[*seen..] {
            if transfer.state == TransferState::Credited {
                *count += 1;
                if transfer.rail != Rail::Chain {
                    let asset = transfer.asset.index().unwrap_or(0);
                    sandbox[asset] += u128::try_from(transfer.amount).unwrap_or(0);
                }
            }
        }
        *seen = exchange.transfers().len();
    }

    /// An account's leaf in an asset at an epoch, with its path. `None` if that is not provable or the account
    /// was not open then.
    #[must_use]
    pub fn prove_balance(
        &self,
        epoch: u64,
        account: AccountId,
        asset: AssetId,
    ) -> Option<(BalanceLeaf, Inclusion)> {
        let view = self.view(epoch)?;
        self.balances.get(asset.index()?)?.prove(account, view)
    }

    /// An account's positions at an epoch, with their paths, by contract. Where it held nothing it has no
    /// leaf; none at all if the epoch is not provable.
    #[must_use]
    pub fn prove_positions(&self, epoch: u64, account: AccountId) -> Vec<ProvenPosition> {
        let view = self.view(epoch);
        view.map_or_else(Vec::new, |view| self.positions.prove(account, view))
    }

    /// The fill of an account in a trade, against an epoch. `None` if that is not provable, or the fill is too
    /// old or too new.
    #[must_use]
    pub fn prove_fill(
        &self,
        epoch: u64,
        account: AccountId,
        (trade, contract): (u64, InstrumentId),
    ) -> Option<(FillProof, Inclusion)> {
        let sealed = self.provable_at(epoch)?.header.fills;
        let proof = self.fills.prove((account.0, trade, contract.0), sealed)?;
        let index = u32::try_from(proof.page).ok()?;
        let leaf = proof.bytes.clone();
        let path = Inclusion::new(TreeKind::Fills, index, leaf, &proof.siblings);
        Some((proof, path))
    }

    /// A withdrawal by its transfer's number, against an epoch. `None` if that is not provable, or the
    /// withdrawal was issued later.
    #[must_use]
    pub fn prove_withdrawal(&self, epoch: u64, transfer: u32) -> Option<ProvenWithdrawal> {
        let view = self.view(epoch)?;
        let flows = &self.provable_at(epoch)?.header.assets;
        self.withdrawals
            .iter()
            .zip(flows)
            .find_map(|(asset, flow)| {
                let place = asset.leaves.binary_search_by_key(&transfer, |row| row.0);
                // Decided in another order than asked for: then they are not sorted.
                let place = place
                    .ok()
                    .or_else(|| asset.leaves.iter().position(|row| row.0 == transfer))?;
                let leaf = asset.leaves[place].1;
                if leaf.id >= flow.withdrawals {
                    return None;
                }
                let index = u32::try_from(place).ok()?;
                let siblings = match view {
                    None => asset.tree.siblings(index),
                    Some(epoch) => asset.tree.siblings_at(epoch, index)?,
                };
                let bytes = leaf.bytes().to_vec();
                let path = Inclusion::new(TreeKind::Withdrawals, index, bytes, &siblings);
                Some(ProvenWithdrawal { leaf, path })
            })
    }
}

/// Whether a contract's positions have a result that is due on exit.
fn pays_variation(kind: Kind) -> bool {
    match kind {
        Kind::Forward => true,
        Kind::SpotBlock | Kind::CalendarSpread | Kind::Strip => false,
    }
}

#[cfg(test)]
mod tests;
