//! Does the exchange do what the stories in `scenarios/` tell, and is every rule told?

use std::{collections::BTreeSet, fs, path::PathBuf};

use tests::scenario;

/// Rules that no story can tell on one screen.
const UNTOLD: [&str; 2] = [
    "AUCTION-05", // needs more than 4,096 trades; `auctions.rs` goes there
    "ORDER-16",   // needs thousands of resting orders; `quotes.rs` and `bug_classes.rs` go there
];

fn here(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// File name and text of every story, in order of name.
fn stories() -> Vec<(String, String)> {
    let entries = fs::read_dir(here("scenarios")).expect("the stories are there");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension() == Some("txt".as_ref()))
        .collect();
    paths.sort();
    let named = |path: PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        (name, fs::read_to_string(&path).expect("a readable story"))
    };
    paths.into_iter().map(named).collect()
}

/// Every rule of RULES.md: the bold ids, and one for each row of the table of refusals.
fn rules() -> BTreeSet<String> {
    let text = fs::read_to_string(here("../engine/RULES.md")).expect("the rules are there");
    let mut rules = BTreeSet::new();
    for line in text.lines() {
        let bold = line
            .strip_prefix("- **")
            .and_then(|rest| rest.split_once("**"));
        rules.extend(bold.map(|(id, _)| id.to_owned()));
        let row = line
            .strip_prefix("| ")
            .and_then(|rest| rest.split_once(' '));
        let rank = row.and_then(|(rank, _)| rank.parse::<u32>().ok());
        rules.extend(rank.map(|rank| format!("RANK-{rank:02}")));
    }
    assert!(
        rules.iter().all(|id| scenario::is_rule(id)),
        "odd ids in {rules:?}"
    );
    rules
}

#[test]
fn every_story_comes_out_as_told() {
    let stories = stories();
    assert!(stories.len() >= 30, "only {} stories", stories.len());
    let run = |(name, text): &(String, String)| scenario::run(name, text).err();
    let reports: Vec<_> = stories.iter().filter_map(run).collect();
    let (bad, all) = (reports.len(), stories.len());
    assert!(
        reports.is_empty(),
        "{bad} of {all} stories:\n\n{}",
        reports.join("\n\n")
    );
}

#[test]
fn every_story_cites_rules_and_every_rule_is_told() {
    let rules = rules();
    let mut told = BTreeSet::new();
    for (name, text) in stories() {
        let cited = scenario::rules_cited(&text);
        assert!(!cited.is_empty(), "{name} cites no rule");
        for rule in cited {
            assert!(
                rules.contains(&rule),
                "{name} cites {rule}, which RULES.md does not have"
            );
            told.insert(rule);
        }
        let lines = text.lines().count();
        assert!(lines <= 60, "{name} has {lines} lines, more than a screen");
    }
    let untold: Vec<_> = rules.difference(&told).map(String::as_str).collect();
    println!("rules that no story tells: {untold:?}");
    assert_eq!(untold, UNTOLD, "rules without a story");
}

#[test]
fn a_wrong_story_is_reported_with_its_line() {
    let given = "given spot day mark 100\ngiven alice 1_000\n";
    let cases = [
        (
            "alice buy 5 @ 100 #1 -> cancelled IOC_REMAINDER",
            "bid 5 @ 100 (alice #1)",
        ),
        (
            "alice buy 5 @ 100 #1 sideways -> rests",
            "unknown word \"sideways\"",
        ),
        ("zoe buy 5 @ 100 -> rests", "unknown word \"zoe\""),
        ("balance alice cash 999", "cash 1_000"),
        ("balance alice gold 999", "unknown word \"gold\""),
        (
            "book bid 5 @ 100 (alice #1); ask empty",
            "actual    bid empty; ask empty",
        ),
        (
            "given spot week mark 100 colour 7",
            "unknown word \"colour\"",
        ),
        ("state halted sideways", "unknown word \"sideways\""),
        ("alice cancel #1", "UNKNOWN_ORDER"),
    ];
    for (line, wanted) in cases {
        let report = scenario::run("story", &format!("{given}{line}")).expect_err(line);
        assert!(report.starts_with("story:3: "), "{report}");
        assert!(report.contains(wanted), "{wanted:?} is not in\n{report}");
    }
}
