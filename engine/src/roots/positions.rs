//! Positions: a tree for each contract, since nothing is netted across contracts, and one over them.

use std::collections::{BTreeMap, HashMap};

use super::{
    ProvenPosition,
    keccak::Lanes,
    leaf::{ContractLeaf, PositionLeaf, tag},
    proof::{Inclusion, TreeKind},
    tree::{Node, Pair, Plain, Tree},
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
        let root = self.tree.root();
        ContractLeaf {
            contract,
            root: root.hash(),
            long: root.sum(0),
            short: root.sum(1),
        }
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
                if lots == 0 {
                    if contract.leaves.remove(&slot).is_some() {
                        leaves.insert(slot, Node::EMPTY);
                    }
                } else if contract.leaves.insert(slot, leaf) != Some(leaf) {
                    leaves.insert(slot, leaf.node());
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

    pub(super) fn prove(&self, account: AccountId) -> Vec<ProvenPosition> {
        let mine = self.contracts.iter().filter_map(|(number, contract)| {
            let slot = *contract.slots.get(&account.0)?;
            let leaf = *contract.leaves.get(&slot)?;
            let over = contract.leaf(*number);
            Some(ProvenPosition {
                path: Inclusion::new(
                    TreeKind::Positions,
                    slot,
                    leaf.bytes().to_vec(),
                    &contract.tree.siblings(slot),
                ),
                leaf,
                contract_path: Inclusion::new(
                    TreeKind::Contracts,
                    *number,
                    over.bytes().to_vec(),
                    &self.over.siblings(*number),
                ),
                contract: over,
            })
        });
        mine.collect()
    }
}
