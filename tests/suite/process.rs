//! Not a question: the server process that other files' tests start, kill, freeze and stop.

use std::path::Path;

use engine::keeper::Retention;
use tests::{
    process::{FOLDER, LISTEN, SNAPSHOT_EVERY, STOPPED_BY_ITSELF},
    venue::settings,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by other tests as a process of its own"]
async fn serves_until_told_otherwise() {
    let told = |name| std::env::var(name).expect("started by another test");
    let mut settings = settings(Path::new(&told(FOLDER)));
    settings.listen = told(LISTEN).parse().expect("an address");
    if let Ok(every) = std::env::var(SNAPSHOT_EVERY) {
        settings.segment_bytes = 1 << 20;
        settings.snapshot_every = every.parse().expect("a number");
        settings.retention = Retention::Archive(1, settings.data.join("archive"));
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("a handler");
    let running = gateway::server::start(settings).await.expect("starts");
    let began = running.began.snapshot.as_ref().map_or(0, |(_, seq)| *seq);
    println!("\nlistening http://{} {began}", running.address);
    let fault = tokio::select! {
        _ = terminate.recv() => None,
        fault = running.fault() => Some(fault),
    };
    running.stop().await;
    if let Some(fault) = fault {
        println!("\nfault {fault}");
        std::process::exit(STOPPED_BY_ITSELF);
    }
}
