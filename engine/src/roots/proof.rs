//! Checking a proof with nothing but its bytes.

use super::{
    leaf::{BalanceLeaf, ContractLeaf, PositionLeaf, WithdrawalLeaf, tag},
    tree::{DEPTH, Node, climb},
};

/// Which tree a proof climbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeKind {
    /// Balances of an asset.
    Balances,
    /// Positions of a contract.
    Positions,
    /// Pages of fills.
    Fills,
    /// Withdrawals of an asset.
    Withdrawals,
    /// Contracts, under the state root.
    Contracts,
}

/// One level of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Hash of the sibling.
    pub hash: [u8; 32],
    /// Its sums, 16 bytes each, big-endian.
    pub sums: Vec<u8>,
}

/// A leaf and its path to a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// Which tree.
    pub tree: TreeKind,
    /// Place of the leaf.
    pub index: u32,
    /// The bytes that are hashed into the leaf; of fills, the whole page.
    pub leaf: Vec<u8>,
    /// Bottom up, 32 of them.
    pub steps: Vec<Step>,
}

/// A root with its sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Hash.
    pub root: [u8; 32],
    /// Sums, as many as the tree's nodes carry.
    pub sums: Vec<u128>,
}

impl Inclusion {
    /// A leaf in this tree.
    #[must_use]
    pub fn new<const W: usize>(
        tree: TreeKind,
        index: u32,
        leaf: Vec<u8>,
        siblings: &[Node<W>; DEPTH],
    ) -> Self {
        let step = |node: &Node<W>| Step {
            hash: node.hash(),
            sums: node.sum_bytes(),
        };
        Self {
            tree,
            index,
            leaf,
            steps: siblings.iter().map(step).collect(),
        }
    }

    /// Hashes the leaf and every step.
    ///
    /// # Errors
    /// In words: a leaf that is none of this tree or names another place, steps that are too few or too many
    /// or carry other sums than this tree's, a sum that does not fit.
    pub fn reach(&self) -> Result<Reached, String> {
        let no = |what: &str| format!("the leaf is no {what}");
        let place = |named: u32| match named == self.index {
            true => Ok(()),
            false => Err(format!(
                "the leaf names place {named}, the path is that of place {}",
                self.index
            )),
        };
        match self.tree {
            TreeKind::Balances => {
                let leaf = BalanceLeaf::parse(&self.leaf).ok_or_else(|| no("balance"))?;
                place(leaf.index)?;
                self.climb(tag::BALANCE_NODE, leaf.node())
            }
            TreeKind::Positions => {
                let leaf = PositionLeaf::parse(&self.leaf).ok_or_else(|| no("position"))?;
                place(leaf.slot)?;
                self.climb(tag::POSITION_NODE, leaf.node())
            }
            TreeKind::Withdrawals => {
                let leaf = WithdrawalLeaf::parse(&self.leaf).ok_or_else(|| no("withdrawal"))?;
                place(u32::try_from(leaf.id).map_err(|_| no("withdrawal"))?)?;
                self.climb(tag::WITHDRAWAL_NODE, leaf.node())
            }
            TreeKind::Contracts => {
                let leaf = ContractLeaf::parse(&self.leaf).ok_or_else(|| no("contract"))?;
                place(leaf.contract)?;
                self.climb(tag::CONTRACT_NODE, leaf.node())
            }
            TreeKind::Fills => {
                if self.leaf.len() != super::fills::PAGE_BYTES {
                    return Err(no("page of fills"));
                }
                let leaf = super::fills::page_node(self.index.into(), &self.leaf);
                self.climb(tag::FILLS_NODE, leaf)
            }
        }
    }

    fn climb<const W: usize>(&self, tag: u8, leaf: Node<W>) -> Result<Reached, String> {
        if self.steps.len() != DEPTH {
            let steps = self.steps.len();
            return Err(format!("{steps} steps instead of {DEPTH}"));
        }
        let mut siblings = [Node::EMPTY; DEPTH];
        for (height, (sibling, step)) in siblings.iter_mut().zip(&self.steps).enumerate() {
            *sibling = Node::from_bytes(&step.hash, &step.sums).ok_or_else(|| {
                format!("step {height} carries {} bytes of sums", step.sums.len())
            })?;
        }
        let root = climb(tag, self.index, leaf, &siblings)
            .ok_or("a sum on the way does not fit 128 bits")?;
        Ok(Reached {
            root: root.hash(),
            sums: (0..W / 2).map(|which| root.sum(which)).collect(),
        })
    }
}
