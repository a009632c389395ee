//! What is encoded here is what the contracts read: the vectors of `proto/l2/README.md`, asked of the contracts.

use engine::roots::chain::{AssetLine, ChainHeader};
use gateway::anchor::{
    abi::{Part, Words, tuple},
    chain::{Answer, At, Chain},
    contract::Contract,
    header::{Content, header_tuple},
};
use revm::primitives::{Address, B256, hex, keccak256};
use tests::anchor::{Fuse, World};

/// The header of the vectors.
fn header() -> ChainHeader {
    let root = |text: &str| {
        hex::decode(text)
            .expect("hex")
            .try_into()
            .expect("32 bytes")
    };
    let line = |asset, withdraw_total, withdraw_root: &str| AssetLine {
        asset,
        liabilities: 16_000,
        withdraw_total,
        withdraw_root: root(withdraw_root),
    };
    let ten = Words::new().number(10);
    let fills = Part::Far(Words::new().text("fills"));
    let fills = tuple(&[fills, Part::Here(ten.clone())]);
    ChainHeader {
        epoch: 10,
        seq: 10,
        time: 1,
        anchor: 1,
        previous: [0; 32],
        state_root: root("0f9a8a0839dd8f014225f37df6b99a06ad78e71433a89ded2cf2a4e8606f9c72"),
        assets: vec![
            line(
                1,
                18,
                "d17ecdd447e8c4bbbcd07f8250d9f908c2d822ec1e5d3f81f0e3b6bafb509fe6",
            ),
            line(
                2,
                0,
                "725e1b8d0a3de3e6595ecc9400200989a8569c3e4ea277e421f7a23322036963",
            ),
        ],
        journal_head: keccak256(ten.bytes()).0,
        fills_root: keccak256(fills.bytes()).0,
        deposit_count: 4,
        deposit_acc: B256::with_last_byte(9).0,
        forced_count: 2,
        withdraw_count: 3,
    }
}

const HEADER: &str = "277345230e6b2d1fddabe77876b76b8efecc6b7e56ad82a838d1ace365454c41";

#[test]
fn the_contracts_hash_and_sign_what_is_encoded_here() {
    let hash = B256::from(header().hash());
    assert_eq!(hex::encode(hash), HEADER);
    let world = World::new();
    let endpoint = world.endpoint("the test", &Fuse::default());
    let ask = |data| {
        let call = world.contract.call(Address::ZERO, data);
        let reading = endpoint
            .read(At::Latest, Address::ZERO, &[call])
            .expect("read");
        match &reading.answers[..] {
            [Answer::Returned(bytes)] => B256::from_slice(bytes),
            other => panic!("{other:?}"),
        }
    };
    let function = "headerHash((uint64,uint64,uint64,uint64,bytes32,bytes32,\
                    (uint16,uint128,uint128,bytes32)[],bytes32,bytes32,uint64,bytes32,uint64,uint64))";
    let asked = tuple(&[Part::Far(header_tuple(&header()))]).call(function);
    assert_eq!(
        ask(asked),
        hash,
        "the registry reads the header as it was meant"
    );
    let digest = Words::new().word(hash).call("anchorDigest(bytes32)");
    assert_eq!(ask(digest), world.contract.digest(hash, 0), "EIP-712");
    let found = Contract::find(&endpoint, world.contract.registry);
    assert_eq!(found, Ok(world.contract), "the registry names the others");
}

#[test]
fn a_header_in_the_log_reads_back() {
    let content = Content {
        header: header(),
        ..Content::default()
    };
    let text = serde_json::to_string(&content).expect("written");
    assert_eq!(
        serde_json::from_str::<Content>(&text).expect("reads"),
        content
    );
    let cut = format!("{}\"", &text[..text.len() - 3]);
    assert!(serde_json::from_str::<Content>(&cut).is_err());
}
