//! Positions: a tree for each contract, since nothing is netted across contracts, and one over them.

use std::collections::{BTreeMap, HashMap};

use super::{
    ProvenPosition,
    keccak::Lanes,
    leaf::{ContractLeaf, PositionLeaf, tag},
    past::Past,
    proof::{Inclusion, TreeKind},
    tree::{DEPTH, Node, Pair, Plain, Tree},
};
use crate::{
    exchange::Exchange,
    ids::{AccountId, InstrumentId},
};

/// Positions in one contract.
#[derive(Clone, Debug)]
struct Contract {
    tree: Tree<4>,
    /// Leaves of those who hold something.
    leaves: BTreeMap<u32, PositionLeaf>,
    /// By slot; `None` = he held nothing.
    past: Past<Option<PositionLeaf>>,
    /// Where an account's leaf lies. Only asked, never walked.
    slots: HashMap<u32, u32>,
}

/// See the module's page.
#[derive(Clone, Debug)]
pub(super) struct Positions {
    lanes: Lanes,
    contracts: BTreeMap<u32, Contract>,
    over: Tree<0>,
}

impl Contract {
    /// The place of an account, given to it in the order in which accounts came to the contract.
    fn slot(&mut self, exchange: &Exchange, contract: u32, account: u32) -> Option<u32> {
        if !self.slots.contains_key(&account) {
            let known = self.slots.len();
            let positions = exchange.positions().in_instrument(InstrumentId(contract));
            for position in positions.skip(known) {
                let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
                self.slots.insert(position.account.0, slot);
            }
        }
        self.slots.get(&account).copied()
    }

    fn leaf(&self, contract: u32) -> ContractLeaf {
        contract_leaf(contract, &self.tree.root())
    }

    /// A position and its contract as they are now, or as they were at a kept epoch.
    fn prove(
        &self,
        number: u32,
        account: u32,
        kept: Option<u64>,
    ) -> Option<(PositionLeaf, [Pair; DEPTH], ContractLeaf)> {
        let slot = *self.slots.get(&account)?;
        let now = self.leaves.get(&slot).copied();
        let Some(epoch) = kept else {
            return Some((now?, self.tree.siblings(slot), self.leaf(number)));
        };
        let old = self.past.changed(epoch, slot.into());
        let leaf = old.copied().unwrap_or(now)?;
        let over = contract_leaf(number, &self.tree.root_at(epoch)?);
        Some((leaf, self.tree.siblings_at(epoch, slot)?, over))
    }
}

fn contract_leaf(contract: u32, root: &Pair) -> ContractLeaf {
    ContractLeaf {
        contract,
        root: root.hash(),
        long: root.sum(0),
        short: root.sum(1),
    }
}

impl Positions {
    pub(super) fn new(lanes: Lanes) -> Self {
        Self {
            lanes,
            contracts: BTreeMap::new(),
            over: Tree::new(tag::CONTRACT_NODE, lanes),
        }
    }

    pub(super) fn root(&self) -> [u8; 32] {
        self.over.root().hash()
    }

    pub(super) fn keep(&mut self, epoch: u64) {
        self.over.keep(epoch);
        for contract in self.contracts.values_mut() {
            contract.tree.keep(epoch);
            contract.past.keep(epoch);
        }
    }

    pub(super) fn drop(&mut self, epoch: u64) {
        self.over.drop(epoch);
        for contract in self.contracts.values_mut() {
            contract.tree.drop(epoch);
            contract.past.drop(epoch);
        }
    }

    pub(super) fn remembered(&self) -> usize {
        let contracts = self.contracts.values();
        let below: usize = contracts
            .map(|contract| contract.tree.remembered() + contract.past.len())
            .sum();
        self.over.remembered() + below
    }

    /// Takes up these positions, (contract, account) in ascending order, as they are now.
    pub(super) fn update(
        &mut self,
        exchange: &Exchange,
        changed: impl Iterator<Item = (u32, u32)>,
    ) {
        let mut by_contract: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (contract, account) in changed {
            by_contract.entry(contract).or_default().push(account);
        }
        let mut over: Vec<(u32, Plain)> = Vec::new();
        for (number, accounts) in by_contract {
            let lanes = self.lanes;
            let contract = self.contracts.entry(number).or_insert_with(|| Contract {
                tree: Tree::new(tag::POSITION_NODE, lanes),
                leaves: BTreeMap::new(),
                past: Past::default(),
                slots: HashMap::new(),
            });
            let mut leaves: BTreeMap<u32, Pair> = BTreeMap::new();
            for account in accounts {
                let Some(slot) = contract.slot(exchange, number, account) else {
                    continue;
                };
                let position = exchange
                    .positions()
                    .view(AccountId(account), InstrumentId(number));
                let lots = position.net.0.unsigned_abs();
                let (long, short) = if position.net.0 >= 0 {
                    (lots, 0)
                } else {
                    (0, lots)
                };
                let leaf = PositionLeaf {
                    contract: number,
                    slot,
                    account,
                    long,
                    short,
                };
                // Who holds nothing has no leaf: whether he ever traded here is nobody's business.
                let (old, new) = if lots == 0 {
                    (contract.leaves.remove(&slot), None)
                } else {
                    (contract.leaves.insert(slot, leaf), Some(leaf))
                };
                if old != new {
                    contract.past.note(slot.into(), old);
                    leaves.insert(slot, new.map_or(Node::EMPTY, |leaf| leaf.node()));
                }
            }
            if !leaves.is_empty() {
                let leaves: Vec<(u32, Pair)> = leaves.into_iter().collect();
                contract.tree.update(&leaves);
                // A contract in which nobody holds anything has no leaf either.
                over.push(match contract.leaves.is_empty() {
                    true => (number, Node::EMPTY),
                    false => (number, contract.leaf(number).node()),
                });
            }
        }
        self.over.update(&over);
    }

    pub(super) fn prove(&self, account: AccountId, kept: Option<u64>) -> Vec<ProvenPosition> {
        let mine = self.contracts.iter().filter_map(|(number, contract)| {
            let (leaf, siblings, over) = contract.prove(*number, account.0, kept)?;
            let above = match kept {
                None => self.over.siblings(*number),
                Some(epoch) => self.over.siblings_at(epoch, *number)?,
            };
            let (bytes, over_bytes) = (leaf.bytes().to_vec(), over.bytes().to_vec());
            Some(ProvenPosition {
                path: Inclusion::new(TreeKind::Positions, leaf.slot, bytes, &siblings),
                leaf,
                contract_path: Inclusion::new(TreeKind::Contracts, *number, over_bytes, &above),
                contract: over,
            })
        });
        mine.collect()
    }
}
