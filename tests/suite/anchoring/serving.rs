//! An exchange that serves also anchors, without set-up, and goes on after a restart where it was.

use std::path::Path;

use gateway::{
    anchor::{chain::At, run::Report, settings::Choice},
    commands::anchor::status,
    server::{self, Running},
    settings::Settings,
};
use revm::primitives::{Address, B256};
use tests::venue::{Folder, settings};

pub(super) fn anchoring(folder: &Path) -> Settings {
    let file = folder.join("anchor.toml");
    std::fs::write(
        &file,
        "[anchor]\nchain = \"embedded\"\nevery_seconds = 1\nquick = true\n",
    )
    .expect("written");
    let mut settings = settings(&folder.join("data"));
    settings.anchor = Choice::File(file);
    settings.pipeline.epoch_ms = 100;
    settings
}

/// Waits until so many anchors are final.
pub(super) async fn until_final(running: &Running, number: u64) -> Report {
    let anchoring = running.anchoring.as_ref().expect("it anchors");
    let mut reports = anchoring.watch();
    let report = reports
        .wait_for(|report| report.state.last.number >= number || report.fault.is_some())
        .await
        .expect("it runs")
        .clone();
    assert_eq!(report.fault, None);
    report
}

/// What the contract itself says: anchors, newest header.
fn contract(running: &Running) -> (u64, B256) {
    let anchoring = running.anchoring.as_ref().expect("it anchors");
    let chain = &anchoring.chain;
    let reading = chain
        .read(At::Finalized, Address::ZERO, &anchoring.contract.reads())
        .expect("read");
    let standing = anchoring
        .contract
        .standing(&reading.answers, &chain.name())
        .expect("its answers");
    (standing.number, standing.head)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_served_exchange_anchors_its_journal_and_resumes_after_a_restart() {
    let folder = Folder::new("anchor-serving");
    let settings = anchoring(folder.path());
    let running = server::start(settings.clone()).await.expect("starts");
    let report = until_final(&running, 2).await;
    assert_eq!(report.health.alarms, []);
    let (number, _) = contract(&running);
    assert!(number >= 2);
    running.stop().await;

    let words = status(&folder.path().join("data"), 3, gateway::anchor::run::now()).expect("reads");
    assert!(
        words.contains("on chain 11501") && words.contains("last final"),
        "{words}"
    );
    assert!(words.contains("  final "), "{words}");

    let running = server::start(settings.clone()).await.expect("starts again");
    let before = contract(&running).0;
    let report = until_final(&running, before + 1).await;
    assert!(
        report.state.last.number > number,
        "it goes on behind the last one"
    );
    let chain_id = running
        .anchoring
        .as_ref()
        .expect("it anchors")
        .contract
        .chain_id;
    assert_eq!(chain_id, 11_501);
    running.stop().await;

    // The header on the chain names the journal that is on disk.
    let mut chains = Vec::new();
    engine::journal::scan(&folder.path().join("data/journal"), |block| {
        chains.push(B256::from(block.chain));
        Ok(())
    })
    .expect("a whole journal");
    let disk: std::sync::Arc<dyn engine::journal::Disk> =
        std::sync::Arc::new(engine::journal::RealDisk);
    let log = gateway::anchor::run::log(&folder.path().join("data"));
    let bodies = gateway::anchor::store::Store::look(&disk, &log).expect("reads");
    let records = gateway::anchor::process::records(&bodies).expect("records");
    let mut seen = 0;
    for record in &records {
        if let gateway::anchor::record::Record::Sealed { content, .. } = record {
            assert!(
                chains.contains(&B256::from(content.header.journal_head)),
                "of this journal"
            );
            seen += 1;
        }
    }
    assert!(seen >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_may_anchor_nowhere_and_wrong_settings_are_named() {
    let folder = Folder::new("anchor-off");
    let mut settings = anchoring(folder.path());
    settings.anchor = Choice::Off;
    let running = server::start(settings.clone()).await.expect("starts");
    assert!(running.anchoring.is_none());
    running.stop().await;
    let file = folder.path().join("anchor.toml");
    std::fs::write(&file, "[anchor]\nchain = \"embeded\"\n").expect("written");
    settings.anchor = Choice::File(file);
    let error = server::start(settings).await.expect_err("refused");
    let words = format!(
        "{error}: {:?}",
        std::error::Error::source(&error).map(ToString::to_string)
    );
    assert!(words.contains("anchor.chain"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_is_away_keeps_nobody_from_trading() {
    let folder = Folder::new("anchor-away");
    let mut settings = anchoring(folder.path());
    // Keys of an embedded chain, used for another one that nobody serves.
    let running = server::start(settings.clone()).await.expect("starts");
    let place = running.anchoring.as_ref().expect("it anchors").contract;
    running.stop().await;
    let keys = folder.path().join("data/anchor/keys");
    let text = format!(
        "[anchor]\nchain = \"rpc\"\nchain_id = 11501\nendpoints = [\"http://127.0.0.1:9\", \"http://127.0.0.1:1\"]\n\
         timeout_seconds = 1\nregistry = \"{}\"\nvault = \"{}\"\njudge = \"{}\"\ncode_hash = \"{}\"\ngas_key = \"{k}/gas.key\"\n\
         signer_keys = [\"{k}/signer-1.key\", \"{k}/signer-2.key\"]\nthreshold = 2\npassphrase_file = \"{k}/passphrase\"\n",
        place.registry,
        place.vault,
        place.judge,
        B256::ZERO,
        k = keys.display()
    );
    let file = folder.path().join("away.toml");
    std::fs::write(&file, text).expect("written");
    settings.anchor = Choice::File(file);
    settings.data = folder.path().join("other");
    let running = server::start(settings)
        .await
        .expect("starts without the chain");
    let mut reports = running.anchoring.as_ref().expect("it anchors").watch();
    let report = reports
        .wait_for(|report| !report.rest.is_empty())
        .await
        .expect("it runs")
        .clone();
    assert!(
        report.rest.contains("no answer from the chain"),
        "{}",
        report.rest
    );
    assert!(running.desk.fault.reason().is_none());
    running.stop().await;
}
