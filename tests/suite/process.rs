//! Not a question: the server process that other files' tests start, kill, freeze and stop.

use std::path::Path;

use tests::{
    process::{FOLDER, LISTEN, STOPPED_BY_ITSELF},
    venue::settings,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by other tests as a process of its own"]
async fn serves_until_told_otherwise() {
    let told = |name| std::env::var(name).expect("started by another test");
    let mut settings = settings(Path::new(&told(FOLDER)));
    settings.listen = told(LISTEN).parse().expect("an address");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("a handler");
    let running = gateway::server::start(settings).await.expect("starts");
    println!("\nlistening http://{}", running.address);
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
