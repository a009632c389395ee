use super::*;
use crate::roots::tree::{Tree, climb};

fn entry(trade: u64) -> FillEntry {
    FillEntry {
        trade,
        order: trade * 10,
        price: -5,
        lots: 7,
        seq: trade + 1,
        at: 99,
        contract: 3,
        bought: trade.is_multiple_of(2),
        role: 1,
    }
}

/// The root over so many fills, from all pages at once.
fn by_hand(count: u64) -> [u8; 32] {
    let bytes: Vec<u8> = (0..count).flat_map(|trade| entry(trade).bytes()).collect();
    let pages = bytes.chunks(PAGE_BYTES).enumerate();
    let leaves: Vec<(u32, Plain)> = pages
        .map(|(page, bytes)| (page as u32, page_node(page as u64, &padded(bytes))))
        .collect();
    let mut tree = Tree::new(tag::FILLS_NODE, keccak::Lanes::One);
    tree.update(&leaves);
    tree.root().hash()
}

#[test]
fn the_root_over_growing_fills_is_that_of_all_pages_and_proves_each_fill() {
    let mut fills = Fills::default();
    let (mut count, mut root) = (0, fills.seal());
    assert_eq!(root, by_hand(0));
    for step in [1, 30, 1, 1, 31, 64, 5, 200, 0, 27] {
        for _ in 0..step {
            fills.push(count as u32 % 7, &entry(count));
            count += 1;
        }
        assert!(step == 0 || newest(&fills, ((count - 1) as u32 % 7, count - 1, 0)).is_none());
        root = fills.seal();
        assert_eq!(root, by_hand(count), "{count} fills");
    }
    // Fills of the next epoch change nothing about what is proven.
    for later in count..count + 40 {
        fills.push(9, &entry(later));
    }
    for trade in 0..count {
        let proof = newest(&fills, (trade as u32 % 7, trade, 3)).expect("at hand");
        let leaf = page_node(proof.page, &proof.bytes);
        let climbed = climb(tag::FILLS_NODE, proof.page as u32, leaf, &proof.siblings);
        assert_eq!(climbed.map(|node| node.hash()), Some(root), "trade {trade}");
        let told = &proof.bytes[proof.offset..proof.offset + FILL_BYTES];
        assert_eq!(FillEntry::parse(told), Some(entry(trade)));
    }
    assert!(newest(&fills, (9, count, 0)).is_none(), "not sealed yet");
    assert!(newest(&fills, (3, 4, 0)).is_none(), "somebody else's");
}

#[test]
fn after_a_restart_from_the_frontier_the_roots_are_the_same_and_new_fills_are_proven() {
    let mut fills = Fills::default();
    for count in 0..150_u64 {
        fills.push(1, &entry(count));
    }
    let saved = fills.save();
    let bytes = bincode::encode_to_vec(&saved, bincode::config::standard()).unwrap();
    let (saved, _) = bincode::decode_from_slice(&bytes, bincode::config::standard()).unwrap();
    let mut again = Fills::load(saved).unwrap();
    for count in 150..400_u64 {
        fills.push(1, &entry(count));
        again.push(1, &entry(count));
        let root = fills.seal();
        assert_eq!(root, again.seal());
        for trade in [130, 149, count] {
            let proof = newest(&again, (1, trade, 0)).expect("at hand");
            let leaf = page_node(proof.page, &proof.bytes);
            let climbed = climb(tag::FILLS_NODE, proof.page as u32, leaf, &proof.siblings);
            assert_eq!(
                climbed.map(|node| node.hash()),
                Some(root),
                "{count} {trade}"
            );
        }
    }
    assert!(newest(&again, (1, 100, 0)).is_none(), "no longer at hand");
    assert!(newest(&fills, (1, 100, 0)).is_some());
}

#[test]
fn old_pages_go_and_the_rest_still_climbs_to_the_root() {
    let mut fills = Fills::default();
    let count = ((PAGES_KEPT + 5) * PAGE_FILLS + 3) as u64;
    for trade in 0..count {
        fills.push(1, &entry(trade));
    }
    let root = fills.seal();
    let oldest = count - (PAGES_KEPT * PAGE_FILLS + 3) as u64;
    assert!(newest(&fills, (1, oldest - 1, 0)).is_none());
    for trade in [oldest, count - 1] {
        let proof = newest(&fills, (1, trade, 0)).expect("at hand");
        let leaf = page_node(proof.page, &proof.bytes);
        let climbed = climb(tag::FILLS_NODE, proof.page as u32, leaf, &proof.siblings);
        assert_eq!(climbed.map(|node| node.hash()), Some(root));
    }
}

/// Proven against the newest sealed root.
fn newest(fills: &Fills, which: (u32, u64, u32)) -> Option<FillProof> {
    fills.prove(which, fills.sealed)
}

#[test]
fn a_fill_is_proven_against_an_older_root_as_well() {
    let mut fills = Fills::default();
    let mut roots = Vec::new();
    for trade in 1..=200_u64 {
        fills.push(1, &entry(trade));
        if trade % 37 == 0 {
            roots.push((trade, fills.seal()));
        }
    }
    for (sealed, root) in roots {
        for trade in [1, sealed / 2, sealed] {
            let proof = fills.prove((1, trade, 0), sealed).expect("at hand");
            let page = page_node(proof.page, &proof.bytes);
            let index = proof.page as u32;
            let climbed = climb(tag::FILLS_NODE, index, page, &proof.siblings);
            assert_eq!(climbed.expect("a path").hash(), root, "{trade} of {sealed}");
        }
        assert!(fills.prove((1, sealed + 1, 0), sealed).is_none());
    }
}
