//! What goes onto a chain: the bytes are those of `proto/l2/README.md`, and what a chain would refuse is not made.

use std::path::Path;

use engine::{
    exchange::Exchange,
    roots::{
        chain::{AssetLine, ChainHeader, Tip, Unpostable},
        header::{AssetFlow, AssetRoot, Header, State},
        keccak::{Lanes, keccak256},
        leaf::{BalanceLeaf, ContractLeaf, PositionLeaf, WithdrawalLeaf, tag},
        tree::{Node, Tree},
    },
};

fn root<const W: usize>(tag: u8, leaves: &[(u32, Node<W>)]) -> Node<W> {
    let mut tree = Tree::new(tag, Lanes::detect());
    tree.update(leaves);
    tree.root()
}

fn address(last: u16) -> [u8; 20] {
    let mut address = [0; 20];
    address[18..].copy_from_slice(&last.to_be_bytes());
    address
}

fn balance(asset: u16, index: u32) -> BalanceLeaf {
    BalanceLeaf {
        index,
        owner: address(0x1000 + index as u16),
        nonce: u64::from(index) * 7,
        available: u128::from(index + 1) * 1_000,
        locked: u128::from(index) * 100,
        asset,
        closed: index == 3,
    }
}

fn word(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}

/// The header of the page's vectors, and name and hash of each.
fn vectors() -> (ChainHeader, Vec<(&'static str, [u8; 32])>) {
    let balances = [1, 2].map(|asset| {
        let leaves: Vec<_> = (0..5).map(|i| (i, balance(asset, i).node())).collect();
        root(tag::BALANCE_NODE, &leaves)
    });
    let withdrawal = |id: u32| WithdrawalLeaf {
        id: id.into(),
        to: address(0xa0 + id as u16),
        amount: 5 + u128::from(id),
        asset: 1,
    };
    let leaves: Vec<_> = (0..3).map(|id| (id, withdrawal(id).node())).collect();
    let out = root(tag::WITHDRAWAL_NODE, &leaves);
    let none = root::<2>(tag::WITHDRAWAL_NODE, &[]);
    let position = |slot, account, long, short| PositionLeaf {
        contract: 7,
        slot,
        account,
        long,
        short,
    };
    let (one, other) = (position(0, 3, 30, 0), position(1, 4, 0, 30));
    let seven = root(tag::POSITION_NODE, &[(0, one.node()), (1, other.node())]);
    let contract = ContractLeaf {
        contract: 7,
        root: seven.hash(),
        long: seven.sum(0),
        short: seven.sum(1),
    };
    let positions = root(tag::CONTRACT_NODE, &[(7, contract.node())]).hash();
    let asset = |place: usize| AssetRoot {
        asset: place as u16 + 1,
        root: balances[place].hash(),
        sum: balances[place].sum(0),
    };
    let state = State {
        assets: vec![asset(0), asset(1)],
        positions,
    };
    let line = |place: usize, out: &Node<2>| AssetLine {
        asset: place as u16 + 1,
        liabilities: balances[place].sum(0),
        withdraw_total: out.sum(0),
        withdraw_root: out.hash(),
    };
    // abi.encode("fills", uint64 10)
    let mut fills = [word(0x40), word(10), word(5), [0; 32]].concat();
    fills[96..101].copy_from_slice(b"fills");
    let header = ChainHeader {
        epoch: 10,
        seq: 10,
        time: 1,
        anchor: 1,
        previous: [0; 32],
        state_root: state.root(),
        assets: vec![line(0, &out), line(1, &none)],
        journal_head: keccak256(&word(10)),
        fills_root: keccak256(&fills),
        deposit_count: 4,
        deposit_acc: word(9),
        forced_count: 2,
        withdraw_count: 3,
    };
    let named = vec![
        ("leaf of account 4", balance(1, 4).node().hash()),
        ("balances of asset 1", balances[0].hash()),
        ("leaf of withdrawal 2", withdrawal(2).node().hash()),
        ("withdrawals of asset 1", out.hash()),
        ("no balances", root::<2>(tag::BALANCE_NODE, &[]).hash()),
        ("no withdrawals", none.hash()),
        ("leaf of position 1", other.node().hash()),
        ("positions of contract 7", seven.hash()),
        ("positions root", positions),
        ("state root", state.root()),
        ("header", header.hash()),
    ];
    (header, named)
}

#[test]
fn the_contracts_page_shows_the_hashes_that_the_engine_computes() {
    let page = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../proto/l2/README.md"
    ));
    let table = page.split("| What | Keccak-256 |").nth(1).expect("a table");
    let table = table.split("\n\n").next().expect("its end");
    let shown = table.split('`').filter(|part| part.len() == 64).count();
    let (_, vectors) = vectors();
    assert_eq!(shown, vectors.len(), "every one of them");
    for (name, hash) in vectors {
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(table.contains(&hex), "{name}: {hex}");
    }
}

#[test]
fn a_stranger_in_python_computes_the_contracts_hashes() {
    let Some(python) = super::python() else {
        return;
    };
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = std::process::Command::new(python)
        .arg("-B")
        .arg(here.join("python/proof_verifier.py"))
        .arg("--chain-vectors")
        .arg(here.join("../proto/l2/README.md"))
        .output()
        .expect("python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("\"vectors\": 11"), "{text}");
}

#[test]
fn a_deposit_is_chained_as_the_vault_chains_it() {
    // abi.encode of a string, two words, address, uint16, uint128 and a list of two, written out.
    let tip = Tip {
        previous: word(5),
        owner: address(0x1234),
        asset: 2,
        amount: 77,
        totals: vec![10, 87],
    };
    let mut text = [0; 32];
    text[..18].copy_from_slice(b"hashpit/deposit/v1");
    let words = [
        word(0xe0),
        word(5),
        word(3),
        word(0x1234),
        word(2),
        word(77),
        word(0x120),
        word(18),
        text,
        word(2),
        word(10),
        word(87),
    ];
    assert_eq!(tip.chained(3), keccak256(&words.concat()));
    assert_ne!(tip.chained(4), tip.chained(3));
}

#[test]
fn what_a_chain_would_refuse_is_not_formed() {
    let sound = Header {
        epoch: 9,
        chain_deposits: 4,
        assets: vec![AssetFlow {
            asset: 1,
            liabilities: 90,
            deposited: 100,
            withdrawn: 10,
            withdrawals: 2,
            ..AssetFlow::default()
        }],
        ..Header::default()
    };
    let form = |change: fn(&mut AssetFlow)| {
        let mut header = sound.clone();
        change(&mut header.assets[0]);
        ChainHeader::of(&header, (7, [3; 32]), 1)
    };
    let header = form(|_| {}).expect("it can stand on a chain");
    assert_eq!(
        (header.anchor, header.previous, header.forced_count),
        (7, [3; 32], 1)
    );
    assert_eq!((header.withdraw_count, header.deposit_count), (2, 4));
    let (asset, amount) = (1, 40);
    let refused = [
        (
            form(|flow| flow.sandbox = 40),
            Unpostable::Sandbox { asset, amount },
        ),
        (
            form(|flow| flow.by_hand = 40),
            Unpostable::ByHand { asset, amount },
        ),
        (
            form(|flow| flow.liabilities = 130),
            Unpostable::Uncovered { asset, amount },
        ),
        (
            form(|flow| flow.liabilities = 89),
            Unpostable::Lost { asset },
        ),
    ];
    for (formed, why) in refused {
        assert_eq!(formed, Err(why), "{why}");
    }
    let mut many = sound;
    many.assets = vec![AssetFlow::default(); 9];
    let formed = ChainHeader::of(&many, (1, [0; 32]), 0);
    assert_eq!(formed, Err(Unpostable::Assets { assets: 9 }));
    assert_eq!(Exchange::new().chain_deposits().count, 0);
}
