//! Are the figures of `engine/CLEARING.md` those that the exchange gives?

use std::{fs, path::PathBuf};

use tests::crashes::{Outcome, outcomes, table};

const BEGIN: &str = "<!-- crashes: written by the test of that name -->\n";
const END: &str = "<!-- end of crashes -->\n";

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../engine/CLEARING.md")
}

/// To write the table after a change of the rules, set `HASHPIT_WRITE_CRASHES` for one run of this test.
#[test]
fn crashes_of_2020_to_2024_cost_what_the_document_says() {
    let outcomes = outcomes();
    for row in &outcomes {
        assert_layers(row);
    }
    let table = table(&outcomes);
    println!("{table}");
    let text = fs::read_to_string(document()).expect("the document");
    let (before, rest) = text.split_once(BEGIN).expect("where the table begins");
    let (written, after) = rest.split_once(END).expect("where it ends");
    if std::env::var_os("HASHPIT_WRITE_CRASHES").is_some() {
        let text = format!("{before}{BEGIN}{table}{END}{after}");
        fs::write(document(), text).expect("written");
        return;
    }
    assert_eq!(written, table, "CLEARING.md has other figures");
}

/// What must hold in every crash.
fn assert_layers(row: &Outcome) {
    let window = &row.window;
    assert!(row.liquidated <= 30, "{window}");
    // Nobody but the fund pays for a defaulter, and makers are paid no more than both had.
    assert!(
        row.given.iter().sum::<i64>() <= row.margin + row.fund,
        "{window}"
    );
    // Without anybody closed out nothing is lost.
    let idle = row.liquidated == 0;
    assert!(
        !idle || (row.margin, row.fund, row.lots) == (0, 0, [0; 5]),
        "{window}"
    );
}
