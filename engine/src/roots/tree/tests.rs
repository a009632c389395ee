use super::*;
use crate::roots::keccak::{keccak256, pad};

const TAG: u8 = 1;

fn leaf(index: u32, money: u128) -> Sum {
    let hash = keccak::hash_block(&pad(
        &[&index.to_be_bytes()[..], &money.to_be_bytes()].concat()
    ));
    Node::new(hash, &[money])
}

/// The root of a few leaves, hashed byte by byte, with every empty place written out up to a height.
fn by_hand(leaves: &[(u32, Sum)], height: usize) -> ([u8; 32], u128) {
    let mut level: Vec<([u8; 32], u128)> = vec![([0; 32], 0); 1 << height];
    for (index, leaf) in leaves {
        level[*index as usize] = (leaf.hash(), leaf.sum(0));
    }
    let up = |(left, one): ([u8; 32], u128), (right, other): ([u8; 32], u128)| {
        let bytes = [
            &left[..],
            &one.to_be_bytes(),
            &right,
            &other.to_be_bytes(),
            &[TAG],
        ];
        (keccak256(&bytes.concat()), one + other)
    };
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| up(pair[0], pair[1])).collect();
    }
    let (mut root, mut empty) = (level[0], ([0; 32], 0));
    for below in 0..DEPTH {
        if below >= height {
            root = up(root, empty);
        }
        empty = up(empty, empty);
    }
    root
}

#[test]
fn a_tree_grown_bit_by_bit_is_the_tree_written_out() {
    for lanes in Lanes::all() {
        let mut tree = Tree::new(TAG, lanes);
        assert_eq!((tree.root().hash(), 0), by_hand(&[], 0));
        let mut leaves: Vec<(u32, Sum)> = Vec::new();
        let mut state = 7_u32;
        for round in 0..60_u32 {
            let mut changes = std::collections::BTreeMap::new();
            for _ in 0..=round % 23 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let index = (state >> 8) % (round * 4 + 1).min(200);
                changes.insert(index, leaf(index, u128::from(state)));
            }
            let changes: Vec<(u32, Sum)> = changes.into_iter().collect();
            for (index, leaf) in &changes {
                leaves.retain(|known| known.0 != *index);
                leaves.push((*index, *leaf));
            }
            tree.update(&changes);
            let root = tree.root();
            assert_eq!(
                (root.hash(), root.sum(0)),
                by_hand(&leaves, 8),
                "{lanes:?} {round}"
            );
            for (index, leaf) in &leaves {
                let climbed = climb(TAG, *index, *leaf, &tree.siblings(*index));
                assert_eq!(climbed, Some(root));
            }
        }
    }
}

#[test]
fn a_place_nobody_has_is_proven_empty() {
    let mut tree = Tree::new(TAG, Lanes::detect());
    tree.update(&[(5, leaf(5, 50))]);
    for index in [0, 4, 6, 7, 1_000, u32::MAX] {
        let climbed = climb(TAG, index, Node::EMPTY, &tree.siblings(index));
        assert_eq!(climbed, Some(tree.root()), "place {index}");
    }
}

#[test]
fn a_sum_that_does_not_fit_is_refused_and_no_bytes_are_misread() {
    let huge = Node::new([1; 4], &[u128::MAX]);
    assert_eq!(Sum::parent(TAG, &huge, &leaf(0, 1)), None);
    let node = Node::new([1, 2, 3, 4], &[7, 1 << 100]);
    let again = Pair::from_bytes(&node.hash(), &node.sum_bytes());
    assert_eq!(again, Some(node));
    assert_eq!((node.sum(0), node.sum(1), node.sum(2)), (7, 1 << 100, 0));
    assert_eq!(Pair::from_bytes(&node.hash(), &[0; 16]), None);
    assert_eq!(Plain::from_bytes(&[0; 31], &[]), None);
}
