//! The vectors of `engine/ROOTS.md`, hashed by the engine and by a stranger in Python.

use std::path::Path;

use engine::roots::{
    fills::{FillEntry, PAGE_BYTES, page_node},
    header::{AssetFlow, AssetRoot, Header, State},
    keccak::{Lanes, keccak256},
    leaf::{BalanceLeaf, ContractLeaf, PositionLeaf, WithdrawalLeaf, tag},
    tree::{Node, Tree},
};

const AT: i64 = 1_700_000_000_000_000_000;

fn tree<const W: usize>(tag: u8, leaves: &[(u32, Node<W>)]) -> Tree<W> {
    let mut tree = Tree::new(tag, Lanes::detect());
    tree.update(leaves);
    tree
}

fn root<const W: usize>(tag: u8, leaves: &[(u32, Node<W>)]) -> [u8; 32] {
    tree(tag, leaves).root().hash()
}

fn vectors() -> Vec<(&'static str, [u8; 32])> {
    let owner = std::array::from_fn(|place| place as u8 + 1);
    let balance = BalanceLeaf {
        index: 4,
        owner,
        nonce: 2,
        available: 1_000,
        locked: 234,
        asset: 1,
        closed: false,
    };
    let withdrawal = WithdrawalLeaf {
        id: 0,
        to: owner,
        amount: 77,
        asset: 1,
    };
    let position = |slot, account, long, short| PositionLeaf {
        contract: 3,
        slot,
        account,
        long,
        short,
    };
    let (long, short) = (position(1, 4, 12, 0), position(0, 5, 0, 12));
    let positions = tree(tag::POSITION_NODE, &[(0, short.node()), (1, long.node())]).root();
    let contract = ContractLeaf {
        contract: 3,
        root: positions.hash(),
        long: positions.sum(0),
        short: positions.sum(1),
    };
    let entry = FillEntry {
        trade: 9,
        order: 4_294_967_297,
        price: -350,
        lots: 5,
        seq: 41,
        at: AT,
        contract: 3,
        bought: true,
        role: 0,
    };
    let mut page = entry.bytes().to_vec();
    page.resize(PAGE_BYTES, 0);
    let balances = root(tag::BALANCE_NODE, &[(4, balance.node())]);
    let withdrawals = root(tag::WITHDRAWAL_NODE, &[(0, withdrawal.node())]);
    let contracts = root(tag::CONTRACT_NODE, &[(3, contract.node())]);
    let fills = root(tag::FILLS_NODE, &[(0, page_node(0, &page))]);
    let state = State {
        assets: vec![AssetRoot {
            asset: 1,
            root: balances,
            sum: 1_234,
        }],
        positions: contracts,
    };
    let header = Header {
        epoch: 1,
        seq: 42,
        time: AT as u64,
        state_root: state.root(),
        journal_head: [0xab; 32],
        fills_root: fills,
        fills: 1,
        deposits: 1,
        assets: vec![AssetFlow {
            asset: 1,
            liabilities: 1_234,
            deposited: 1_311,
            sandbox: 1_311,
            withdrawn: 77,
            by_hand: 77,
            withdrawals: 1,
            withdrawals_root: withdrawals,
        }],
        ..Header::default()
    };
    assert_eq!(header.assets[0].uncovered(), Some(0));
    assert_eq!(Header::parse(&header.bytes()), Some(header.clone()));
    assert_eq!(State::parse(&state.bytes()), Some(state.clone()));
    assert_eq!(BalanceLeaf::parse(&balance.bytes()), Some(balance));
    assert_eq!(WithdrawalLeaf::parse(&withdrawal.bytes()), Some(withdrawal));
    assert_eq!(PositionLeaf::parse(&long.bytes()), Some(long));
    assert_eq!(ContractLeaf::parse(&contract.bytes()), Some(contract));
    assert_eq!(FillEntry::parse(&entry.bytes()), Some(entry));
    vec![
        ("keccak of nothing", keccak256(b"")),
        ("balance leaf", balance.node().hash()),
        ("withdrawal leaf", withdrawal.node().hash()),
        ("position leaf", long.node().hash()),
        ("no balances", root::<2>(tag::BALANCE_NODE, &[])),
        ("no withdrawals", root::<2>(tag::WITHDRAWAL_NODE, &[])),
        ("no positions", root::<4>(tag::POSITION_NODE, &[])),
        ("no fills", root::<0>(tag::FILLS_NODE, &[])),
        ("no contracts", root::<0>(tag::CONTRACT_NODE, &[])),
        ("one balance", balances),
        ("one withdrawal", withdrawals),
        ("two positions", positions.hash()),
        ("contract leaf", contract.node().hash()),
        ("one contract", contracts),
        ("page of fills", page_node(0, &page).hash()),
        ("one page", fills),
        ("state root", state.root()),
        ("epoch", header.hash()),
    ]
}

#[test]
fn the_document_shows_the_hashes_that_the_engine_computes() {
    let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/ROOTS.md"));
    let mut shown = String::new();
    for (name, hash) in vectors() {
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        shown += &format!("{name:<20}{hex}\n");
    }
    assert!(document.contains(&shown), "ROOTS.md should show\n{shown}");
}

#[test]
fn a_stranger_in_python_computes_the_same_hashes() {
    let Some(python) = super::python() else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = std::process::Command::new(python)
        .arg("-B")
        .arg(root.join("python/proof_verifier.py"))
        .arg("--vectors")
        .arg(root.join("../engine/ROOTS.md"))
        .output()
        .expect("python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("\"vectors\": 18"), "{text}");
}
