//! Epochs and paths in the wire's words.

use engine::roots::{
    Epoch,
    proof::{Inclusion, TreeKind},
};
use proto::{common::v1::Amount, proof::v1 as wire};

use super::Standing;

/// A number of the exchange as the wire's.
pub(super) fn long(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

pub(super) fn epoch(epoch: &Epoch, standing: Standing) -> wire::Epoch {
    let header = &epoch.header;
    wire::Epoch {
        epoch: long(header.epoch),
        status: standing.status.into(),
        state_root: header.state_root.to_vec(),
        journal_head: header.journal_head.to_vec(),
        fills_root: header.fills_root.to_vec(),
        withdrawals_root: header.withdrawals_root().to_vec(),
        header_hash: epoch.hash.to_vec(),
        previous_header_hash: header.previous.to_vec(),
        first_journal_seq: long(epoch.first_seq),
        last_journal_seq: long(header.seq),
        sealed_unix_nanos: long(header.time),
        liabilities: header
            .assets
            .iter()
            .map(|flow| Amount {
                asset_id: flow.asset.into(),
                minor_units: long(flow.liabilities),
            })
            .collect(),
        deposit_count: long(header.deposits),
        withdrawal_count: long(
            header
                .assets
                .iter()
                .map(|flow| flow.withdrawals)
                .sum::<u64>(),
        ),
        covered_by_epoch: standing.covered_by,
        anchor: standing.anchor,
    }
}

/// A path, with the root that it leads to.
pub(super) fn path(path: &Inclusion) -> wire::InclusionProof {
    let tree = match path.tree {
        TreeKind::Balances => wire::TreeKind::Balances,
        TreeKind::Positions => wire::TreeKind::Positions,
        TreeKind::Fills => wire::TreeKind::Fills,
        TreeKind::Withdrawals => wire::TreeKind::Withdrawals,
        TreeKind::Contracts => wire::TreeKind::Contracts,
    };
    // Our own path leads somewhere; if it did not, the reader would find out.
    let reached = path.reach().ok();
    let sums = reached.as_ref().map(|reached| {
        let sums = reached.sums.iter();
        sums.flat_map(|sum| sum.to_be_bytes()).collect()
    });
    wire::InclusionProof {
        tree: tree.into(),
        hash_algorithm: wire::HashAlgorithm::Keccak256.into(),
        leaf_index: path.index.into(),
        leaf_preimage: path.leaf.clone(),
        steps: path
            .steps
            .iter()
            .enumerate()
            .map(|(height, step)| wire::MerkleStep {
                sibling_hash: step.hash.to_vec(),
                sibling_sum: step.sums.clone(),
                sibling_is_left: path.index >> height & 1 == 1,
            })
            .collect(),
        root: reached
            .map(|reached| reached.root.to_vec())
            .unwrap_or_default(),
        root_sum: sums.unwrap_or_default(),
    }
}
