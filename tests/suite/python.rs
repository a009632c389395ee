//! Can a client generated from proto/ in another language trade, lose its connection, and resume?
//!
//! Needs Python with `tests/python/requirements.txt`. Where that is missing the test says so and
//! passes, so that the suite needs only the Rust toolchain; under CI, or with `HASHPIT_PYTHON` naming
//! an interpreter, it must run.

use std::{path::Path, process::Command};

use tests::venue::{Folder, Venue};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_resumes_without_a_gap() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let chosen = std::env::var("HASHPIT_PYTHON").ok();
    let must_run = chosen.is_some() || std::env::var("CI").is_ok();
    let python = chosen.unwrap_or_else(|| "python3".into());
    let modules = ["-c", "import grpc, grpc_tools, cryptography"];
    let ready = Command::new(&python)
        .args(modules)
        .output()
        .is_ok_and(|out| out.status.success());
    if !ready {
        assert!(!must_run, "{python} lacks tests/python/requirements.txt");
        println!("NOT RUN: {python} lacks the packages of tests/python/requirements.txt");
        return;
    }
    let folder = Folder::new("python");
    let venue = Venue::start(folder.path()).await;
    let mut test = tokio::process::Command::new(&python);
    let key = |actor: &str| venue.keys.join(format!("{actor}.key"));
    test.arg(root.join("python/test_session.py"))
        .arg("--proto-root")
        .arg(root.join("../proto"))
        .args(["--address", &venue.running.address.to_string()])
        .arg("--maker-key")
        .arg(key("maker-1"))
        .arg("--taker-key")
        .arg(key("taker-1"))
        .args(["--maker-account", &venue.account("maker-1").to_string()])
        .args(["--taker-account", &venue.account("taker-1").to_string()]);
    let output = test.output().await.expect("python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    assert!(
        text.contains(" passed, 0 failed"),
        "the script counts what it checked"
    );
    venue.running.stop().await;
}
