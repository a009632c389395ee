//! Does a kill -9 in the middle of a burst lose an acknowledged order, or invent one?
//!
//! The server is a process of its own: this test binary, started again for one hidden test.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read as _},
    path::Path,
    process::{Child, ChildStdout, Command as Process, Stdio},
    time::Duration,
};

use gateway::client::{Session, SessionOptions};
use proto::{
    common::v1::Side,
    reference::v1::{Instrument, ListInstrumentsRequest},
    trading::v1::{
        DisconnectAction, GetOrderRequest, OrderEventKind, get_order_request,
        open_session_request::Command, session_event::Event,
    },
};
use tests::venue::{Folder, connect, limit, settings};

const FOLDER: &str = "HASHPIT_KILL_FOLDER";
const PATIENCE: Duration = Duration::from_secs(60);

/// Not a test by itself: the server that the test below starts and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the other test as a process of its own"]
async fn serves_until_killed() {
    let folder = std::env::var(FOLDER).expect("started by the other test");
    let running = gateway::server::start(settings(Path::new(&folder)))
        .await
        .expect("starts");
    println!("\nlistening http://{}", running.address);
    std::future::pending::<()>().await;
}

/// A server process.
struct Server {
    child: Child,
    address: String,
    /// Held open: the test harness in there says so when a minute is over, and a closed pipe would end it.
    _out: ChildStdout,
}

fn start(folder: &Path) -> Server {
    let mut child = Process::new(std::env::current_exe().expect("this binary"))
        .args([
            "--exact",
            "kill::serves_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server process starts");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let address = out
        .by_ref()
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("listening ").map(str::to_owned))
        .expect("the server says where it listens");
    Server {
        child,
        address,
        _out: out.into_inner(),
    }
}

async fn forward(address: &str, keys: &Path) -> Instrument {
    let client = connect(address, keys, "maker-1").await;
    let all = client
        .reference()
        .list_instruments(ListInstrumentsRequest::default())
        .await;
    let all = all.expect("instruments").into_inner().instruments;
    all.into_iter()
        .find(|c| c.symbol.starts_with("BTC-FWD-"))
        .expect("a forward")
}

/// What one client knows: which orders it sent, which were acknowledged, how far it has heard.
#[derive(Default)]
struct Witness {
    sent: BTreeSet<u64>,
    acked: BTreeMap<u64, i64>,
    last_event_seq: i64,
}

impl Witness {
    fn hear(&mut self, event: &proto::trading::v1::SessionEvent) {
        if event.event_seq == 0 {
            return;
        }
        assert_eq!(
            event.event_seq,
            self.last_event_seq + 1,
            "no gap and nothing twice"
        );
        self.last_event_seq = event.event_seq;
        if let Some(Event::Order(order)) = &event.event
            && order.kind == OrderEventKind::Accepted as i32
        {
            assert!(
                self.sent.contains(&order.client_order_id),
                "an order nobody sent"
            );
            self.acked.insert(order.client_order_id, order.order_id);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_order_survives_kill_9_and_no_other_appears() {
    let folder = Folder::new("kill");
    let keys = folder.path().join("keys");
    let mut witness = Witness::default();
    let mut next_id = 1_u64;
    let mut server = start(folder.path());
    let contract = forward(&server.address, &keys).await;
    let options = SessionOptions {
        name: "witness".into(),
        account_id: 4,
        heartbeat_interval_ms: 1_000,
        disconnect_action: DisconnectAction::Keep,
        disconnect_grace_ms: 0,
    };
    for round in 0..6_usize {
        let client = connect(&server.address, &keys, "maker-1").await;
        let login = resume(client, &options, &mut witness).await;
        let (mut session, next_client_seq) = login;
        assert_eq!(session.upcoming_client_seq(), next_client_seq);
        // Send a burst without waiting; kill when so many acks have been heard.
        let heard_before = witness.acked.len();
        let kill_after = [1, 37, 5, 120, 64, 11][round];
        for _ in 0..200 {
            witness.sent.insert(next_id);
            let price = 41_000 + i64::try_from(next_id % 900).expect("small");
            let order = limit(next_id, &contract, Side::Buy, 1, price);
            next_id += 1;
            if session.send(Command::NewOrder(order)).await.is_err() {
                break;
            }
        }
        let burst = async {
            while let Ok(event) = session.next().await {
                witness.hear(&event);
                if witness.acked.len() >= heard_before + kill_after {
                    server.child.kill().expect("kill -9");
                }
            }
        };
        tokio::time::timeout(PATIENCE, burst)
            .await
            .expect("the stream breaks");
        server.child.wait().expect("dead");
        server = start(folder.path());
    }
    let client = connect(&server.address, &keys, "maker-1").await;
    let (session, _) = resume(client, &options, &mut witness).await;
    drop(session);
    let client = connect(&server.address, &keys, "maker-1").await;
    for id in 1..next_id {
        let key = Some(get_order_request::Key::ClientOrderId(id));
        let request = GetOrderRequest { account_id: 4, key };
        let found = client.trading().get_order(request).await;
        match (witness.acked.get(&id), found) {
            (Some(order_id), Ok(found)) => {
                let order = found.into_inner().order.expect("an order");
                assert_eq!(
                    order.order_id, *order_id,
                    "order {id} is the one acknowledged"
                );
            }
            (Some(_), Err(status)) => panic!("acknowledged order {id} is lost: {status}"),
            (None, Ok(found)) => panic!("order {id} exists, but no event told of it: {found:?}"),
            (None, Err(_)) => {}
        }
    }
    assert!(
        witness.acked.len() > 200,
        "only {} acks were heard",
        witness.acked.len()
    );
    server.child.kill().expect("kill -9");
    server.child.wait().expect("dead");
    let verified = gateway::commands::journal::verify(folder.path()).expect("a good journal");
    assert!(verified.commands > 0);
}

/// Logs on from where the witness stands and lets it hear what it missed.
async fn resume(
    client: gateway::client::Client,
    options: &SessionOptions,
    witness: &mut Witness,
) -> (Session, i64) {
    let session = Session::open_after(client, options.clone(), witness.last_event_seq).await;
    let mut session = session.expect("logs on");
    let next_client_seq = session.upcoming_client_seq();
    loop {
        let event = session.next().await.expect("the replay comes");
        witness.hear(&event);
        if matches!(event.event, Some(Event::ReplayComplete(_))) {
            break;
        }
    }
    (session, next_client_seq)
}
