//! House rules that a machine can hold.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_inner_ring_does_no_io() {
    let inner = [
        "book",
        "command",
        "event",
        "exchange",
        "ids",
        "instrument",
        "ledger",
        "limits",
        "order",
        "position",
        "reason",
        "record",
        "saved",
        "units",
    ];
    let forbidden = [
        "std::fs",
        "std::net",
        "std::thread",
        "std::time",
        "tokio",
        "crossbeam",
    ];
    let source = root().join("engine/src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    for file in files {
        let place = file
            .strip_prefix(&source)
            .expect("inside")
            .to_string_lossy()
            .into_owned();
        let module = place.split(['/', '.']).next().unwrap_or_default();
        if inner.contains(&module) {
            let text = fs::read_to_string(&file).expect("readable");
            for word in forbidden {
                assert!(!text.contains(word), "{place} mentions {word}");
            }
        }
    }
}

#[test]
fn the_engine_knows_no_wire_and_the_contract_no_engine() {
    for (package, stranger) in [
        ("engine", "proto"),
        ("engine", "tonic"),
        ("proto", "engine"),
    ] {
        let manifest = root().join(package).join("Cargo.toml");
        let text = fs::read_to_string(manifest).expect("a manifest");
        assert!(
            !text.contains(&format!("{stranger}.workspace")),
            "{package} uses {stranger}"
        );
    }
}

#[test]
fn one_place_names_io_uring_and_one_reads_the_clock() {
    let source = root().join("engine/src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let naming = |word: &str| -> Vec<String> {
        let mut places: Vec<String> = files
            .iter()
            .filter(|file| fs::read_to_string(file).expect("readable").contains(word))
            .map(|file| {
                file.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        places.sort();
        places
    };
    assert_eq!(naming("tokio_uring::"), ["uring.rs"]);
    assert_eq!(naming("SystemTime::now"), ["clock.rs"]);
}

#[test]
fn source_files_stay_small_enough_to_hold_in_the_head() {
    let mut files = Vec::new();
    for package in ["engine", "gateway", "bench", "proto"] {
        rust_files(&root().join(package).join("src"), &mut files);
    }
    for file in files {
        let text = fs::read_to_string(&file).expect("readable");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().count();
        assert!(
            lines <= 800,
            "{} has {lines} lines before its tests",
            file.display()
        );
    }
}

#[test]
fn the_top_level_is_what_it_should_be() {
    let listed = Command::new("git")
        .args(["ls-files"])
        .current_dir(root())
        .output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        println!("NOT RUN: not a git checkout");
        return;
    };
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut top: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split('/').next())
        .collect();
    top.retain(|name| !name.starts_with('.'));
    top.sort_unstable();
    top.dedup();
    let want = [
        "Cargo.lock",
        "Cargo.toml",
        "README.md",
        "bench",
        "engine",
        "gateway",
        "proto",
        "tests",
    ];
    assert_eq!(top, want);
}
