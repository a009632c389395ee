//! The contracts that are committed under `proto/l2/artifact` fit the chains they are for: small enough, without
//! opcodes that a London chain lacks, and with the functions that their page lists.

use std::{collections::BTreeSet, fs, path::Path};

/// Bytes of code that a chain takes (EIP-170).
const LIMIT: usize = 24_576;
/// Opcodes that came after London, and some that these contracts must never need.
const FORBIDDEN: [(u8, &str); 10] = [
    (0x1e, "CLZ"),
    (0x49, "BLOBHASH"),
    (0x4a, "BLOBBASEFEE"),
    (0x5c, "TLOAD"),
    (0x5d, "TSTORE"),
    (0x5e, "MCOPY"),
    (0x5f, "PUSH0"),
    (0xf2, "CALLCODE"),
    (0xf4, "DELEGATECALL"),
    (0xff, "SELFDESTRUCT"),
];
const CONTRACTS: [&str; 3] = ["HashpitJudge", "HashpitRegistry", "HashpitVault"];

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../proto/l2")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn artifact(contract: &str) -> serde_json::Value {
    serde_json::from_str(&file(&format!("artifact/{contract}.json"))).expect("JSON")
}

fn code(artifact: &serde_json::Value, part: &str) -> Vec<u8> {
    let hex = artifact[part]["object"].as_str().expect("a string of hex");
    let digits = hex.strip_prefix("0x").expect("0x").as_bytes();
    assert_eq!(digits.len() % 2, 0, "whole bytes");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
    digits
        .chunks(2)
        .map(|pair| byte(pair).expect("hex digits"))
        .collect()
}

/// Walks instruction by instruction: what PUSH1 to PUSH32 carry is data, whatever its bytes.
fn forbidden(code: &[u8]) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&op) = code.get(at) {
        found.extend(
            FORBIDDEN
                .iter()
                .filter(|(bad, _)| *bad == op)
                .map(|(_, name)| *name),
        );
        at += 1;
        if (0x60..=0x7f).contains(&op) {
            at += usize::from(op - 0x5f);
        }
    }
    found
}

#[test]
fn the_walk_tells_data_from_instructions() {
    assert_eq!(forbidden(&[0x60, 0x5f, 0x00]), Vec::<&str>::new());
    assert_eq!(
        forbidden(&[0x5f, 0x61, 0xff, 0xf4, 0xf4]),
        ["PUSH0", "DELEGATECALL"]
    );
    let mut push32 = vec![0x7f];
    push32.extend([0xff; 32]);
    push32.push(0x5e);
    assert_eq!(forbidden(&push32), ["MCOPY"]);
}

#[test]
fn the_contracts_fit_a_london_chain() {
    for contract in CONTRACTS {
        let artifact = artifact(contract);
        let runtime = code(&artifact, "deployedBytecode");
        let size = runtime.len();
        assert!(
            (1_000..=LIMIT).contains(&size),
            "{contract} has {size} bytes"
        );
        assert_eq!(forbidden(&runtime), Vec::<&str>::new(), "{contract}");
        let creation = code(&artifact, "bytecode");
        assert_eq!(
            forbidden(&creation),
            Vec::<&str>::new(),
            "{contract}'s constructor"
        );
    }
}

/// In the page's tables, the first cell of a row names the calls or the readable values in back quotes.
#[test]
fn the_contracts_have_what_their_page_lists() {
    let page = file("README.md");
    let mut names = BTreeSet::new();
    for contract in CONTRACTS {
        let abi = artifact(contract);
        for entry in abi["abi"].as_array().expect("an array") {
            if entry["type"] == "function" {
                names.insert(entry["name"].as_str().expect("a name").to_owned());
            }
        }
    }
    let abi = page.split("## ABI").nth(1).expect("a chapter on the ABI");
    let abi = abi.split("\n## ").next().unwrap_or_default();
    let mut listed = 0;
    for row in abi.lines().filter(|line| line.starts_with("| ")) {
        let mut cells = row.split('|').skip(1);
        let first = cells.next().unwrap_or_default();
        let last = cells.nth(1).unwrap_or_default();
        let cell = if first.trim() == "reading" {
            last
        } else {
            first
        };
        for quoted in cell.split('`').skip(1).step_by(2) {
            let name = quoted.split('(').next().unwrap_or_default();
            assert!(
                names.contains(name),
                "the page lists {name}, no contract has it"
            );
            listed += 1;
        }
    }
    assert!(
        listed > 60,
        "only {listed} functions were found on the page"
    );
}
