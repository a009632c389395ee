//! Do clients get over an orderly restart by themselves, while they trade?

use tests::{
    crowd::{Crowd, ask_once_more},
    journalled::Journalled,
    process::Plan,
    venue::Folder,
    witness::judge,
};

const ROUNDS: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_get_over_orderly_restarts_by_themselves() {
    let folder = Folder::new("restart-load");
    let plan = Plan::new(folder.path());
    let mut server = plan.start().await;
    let mut crowd = Crowd::gather(&plan, 9).await;
    for round in 0..ROUNDS {
        let from = crowd.progress();
        crowd
            .reach(&mut server, |now| now.acks >= from.acks + 300 + 200 * round)
            .await;
        let status = server.stop().await;
        assert!(status.success(), "an orderly stop: {status}");
        server = plan.start().await;
    }
    let from = crowd.progress();
    crowd
        .reach(&mut server, |now| now.acks >= from.acks + 300)
        .await;
    let progress = crowd.progress();
    let witnesses = crowd.finish().await;
    let asked = ask_once_more(&plan, &witnesses, 5).await;
    assert!(server.stop().await.success());

    let journal = Journalled::read(&folder.path().join("journal"));
    let verdict = judge(&witnesses, &journal);
    let losses = witnesses.iter().flat_map(|witness| &witness.record.losses);
    let warned = losses.filter(|why| *why == "SERVER_DRAINING").count();
    println!(
        "{verdict}; {ROUNDS} restarts, {} logons, {warned} times told SERVER_DRAINING, {} commands sent \
         again, {} of them had happened; {asked} asked for once more",
        progress.logons, progress.resent, progress.repeats
    );
    assert!(warned > 0, "a stop in order says so");
    assert_eq!(verdict.doubles, 0, "a command ran twice");
    assert!(verdict.fills > 0);
}
