//! A user who trusts nobody: he keeps a proof, checks it against the chain, and gets his coins with the exchange
//! stopped; and when the operator is gone for good, he leaves with his last proof.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use engine::journal::{Disk, RealDisk};
use gateway::{
    anchor::{
        embedded::{Embedded, Genesis, face},
        home, run,
    },
    cli::{
        proof::{Wanted, download, paid_out},
        withdraw,
    },
    commands::{
        audit::Audit,
        onchain::{ChainChoice, Claim, Deposit, Doing, Exit, Owner},
        verify::Verify,
    },
    server::Running,
};
use revm::primitives::{Address, U256};
use tests::venue::{Folder, Venue};

use super::serving::{anchoring, until_final};

/// What is withdrawn, satoshi.
const SATOSHI: i64 = 250_000_000;

/// The chain of a stopped exchange, by JSON-RPC; its clock may be ahead.
pub(super) struct Node {
    pub(super) chain: Arc<Embedded>,
    pub(super) address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

impl Node {
    pub(super) async fn start(data: &Path, ahead: u64) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let folder = run::folder(data).join("chain");
        let genesis = Genesis {
            chain_id: home::CHAIN_ID,
            coins: Vec::new(),
        };
        let clock = Arc::new(move || run::now() + ahead);
        let chain = Embedded::open(disk, &folder, &genesis, clock).expect("opens");
        let chain = Arc::new(chain);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("listens");
        Self {
            address: listener.local_addr().expect("an address"),
            serving: tokio::spawn(face::serve(chain.clone(), listener)),
            chain,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(super) fn doing(node: SocketAddr, registry: Address, keys: &Path, who: &str) -> Doing {
    Doing {
        chain: ChainChoice {
            rpc: vec![format!("http://{node}")],
            registry,
            from_block: 0,
            confirmations: None,
        },
        owner: Owner {
            key: keys.join(format!("{who}.owner.key")),
            passphrase_file: keys.join("passphrase"),
            patience: 5,
        },
    }
}

fn verify(file: &Path, node: SocketAddr, registry: Address) -> Verify {
    Verify {
        file: file.into(),
        rpc: vec![format!("http://{node}")],
        registry: Some(registry),
        ..Verify::default()
    }
}

/// As the commands run: away from the async threads; errors in words.
pub(super) async fn command<E: std::fmt::Display + Send + 'static>(
    run: impl FnOnce() -> Result<(), E> + Send + 'static,
) -> Result<(), String> {
    let done = tokio::task::spawn_blocking(run).await.expect("no panic");
    done.map_err(|why| format!("{why:#}"))
}

async fn words(verify: Verify) -> Result<String, String> {
    let told = tokio::task::spawn_blocking(move || verify.words()).await;
    told.expect("no panic").map_err(|why| format!("{why:#}"))
}

/// Waits until an epoch with so many withdrawals is final on the chain, and says which.
async fn anchored_with(running: &Running, withdrawals: u64) -> i64 {
    let anchoring = running.anchoring.as_ref().expect("it anchors");
    let mut reports = anchoring.watch();
    let report = reports
        .wait_for(|report| {
            let roots = running.book.roots();
            let epoch = roots.epoch(report.state.last.epoch);
            let issued = |epoch: &engine::roots::Epoch| -> u64 {
                epoch
                    .header
                    .assets
                    .iter()
                    .map(|flow| flow.withdrawals)
                    .sum()
            };
            epoch.is_some_and(|epoch| issued(epoch) >= withdrawals)
        })
        .await
        .expect("it runs")
        .clone();
    i64::try_from(report.state.last.epoch).expect("small")
}

async fn proof(venue: &Venue, who: &str, epoch: i64, transfers: &[i64], to: PathBuf) -> PathBuf {
    let wanted = Wanted {
        account_id: venue.account(who),
        epoch,
        withdrawals: transfers,
        trades: &[],
    };
    let file = download(&venue.client(who).await, &wanted)
        .await
        .expect("proven");
    std::fs::write(&to, file.json()).expect("written");
    to
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coins_come_out_by_proof_with_the_exchange_stopped_and_without_the_operator() {
    let folder = Folder::new("anchor-leaving");
    let mut settings = anchoring(folder.path());
    settings.chain_rpc = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let venue = Venue::start_with(settings.clone()).await;
    let registry = venue
        .running
        .anchoring
        .as_ref()
        .expect("it anchors")
        .contract
        .registry;
    until_final(&venue.running, 1).await;
    let (data, keys) = (settings.data.clone(), settings.keys());

    // A deposit from outside is credited by itself, once.
    let before = venue
        .running
        .desk
        .state(|state| state.chain_deposits().count);
    let node = venue.running.chain_rpc.expect("served");
    let deposit = Deposit {
        amount: 5_000,
        asset: 1,
        on: doing(node, registry, &keys, "taker-2"),
    };
    command(|| deposit.run()).await.expect("deposited");
    let count = |venue: &Venue| {
        venue
            .running
            .desk
            .state(|state| state.chain_deposits().count)
    };
    let mut reports = venue
        .running
        .anchoring
        .as_ref()
        .expect("it anchors")
        .watch();
    let credited = reports.wait_for(|report| report.deposits > before).await;
    credited.expect("credited");
    assert_eq!(count(&venue), before + 1);

    // A withdrawal leaves the books, stands in an anchored epoch, and the user keeps the proof.
    let taker = venue.client("taker-1").await;
    let transfer = withdraw::request(&taker, venue.account("taker-1"), 1, SATOSHI).await;
    let transfer = transfer.expect("asked");
    let operator = venue.client("operator").await;
    withdraw::approve(&operator, transfer)
        .await
        .expect("approved");
    let epoch = anchored_with(&venue.running, 1).await;
    let to = folder.path().join("PROOF.json");
    let file = proof(&venue, "taker-1", epoch, &[transfer], to).await;

    // The operator falls silent; the last proof of another user is of the last anchor.
    let account = u32::try_from(venue.account("taker-2")).expect("small");
    let mut venue = venue;
    let anchoring = venue.running.anchoring.take().expect("it anchors");
    let reports = anchoring.watch();
    anchoring.stop();
    let last = i64::try_from(reports.borrow().state.last.epoch).expect("small");
    let to = folder.path().join("LAST.json");
    let last = proof(&venue, "taker-2", last, &[], to).await;
    venue.running.stop().await;

    // The exchange is gone. Chain and file are enough.
    let node = Node::start(&data, 60).await;
    let told = words(verify(&file, node.address, registry))
        .await
        .expect("holds");
    assert!(told.contains("PROVEN by the registry"), "{told}");
    assert!(told.contains("past its challenge window"), "{told}");
    let audit = Audit {
        folder: data.clone(),
        rpc: vec![format!("http://{}", node.address)],
        registry: Some(registry),
        ..Audit::default()
    };
    let audited = tokio::task::spawn_blocking(move || audit.compared()).await;
    let told = audited
        .expect("no panic")
        .expect("the journal gives what is on the chain");
    let told = told.expect("asked");
    assert!(
        told.contains("are those of this journal; 0 are of"),
        "{told}"
    );
    let text = std::fs::read_to_string(&file).expect("readable");
    let forged = folder.path().join("FORGED.json");
    std::fs::write(&forged, text.replace("\"account\": ", "\"account\": 1")).expect("written");
    let refused = words(verify(&forged, node.address, registry)).await;
    assert!(refused.expect_err("forged").contains("NOT PROVEN"));

    let owner = |who: &str| {
        let passphrase = home::passphrase(&keys, false).expect("there");
        let role = gateway::anchor::key_file::Role::Owner;
        let key = home::key(&keys, &format!("{who}.owner"), role, &passphrase, false);
        gateway::anchor::signer::Signer::address(&key.expect("opens"))
    };
    let before = node.chain.balance(owner("taker-1"));
    let claim = Claim {
        file: file.clone(),
        on: doing(node.address, registry, &keys, "taker-1"),
    };
    let again = claim.clone();
    command(|| claim.run()).await.expect("paid");
    let paid = node.chain.balance(owner("taker-1")) - before;
    let coins = U256::from(SATOSHI) * U256::from(home::WEI_PER_SAT);
    let fee = U256::from(1_000_000) * U256::from(gateway::anchor::embedded::BASE_FEE);
    assert!(paid <= coins && paid > coins - fee, "{paid} wei");
    let refused = command(|| again.run()).await.expect_err("once");
    assert!(refused.contains("AlreadyPaid(id: 0)"), "{refused}");
    let on = || doing(node.address, registry, &keys, "taker-2");
    let early = Exit::Freeze {
        unserved: None,
        on: on(),
    };
    let refused = command(|| early.run()).await.expect_err("too early");
    assert!(refused.contains("NotYet"), "{refused}");
    let request = Exit::Request { account, on: on() };
    command(|| request.run()).await.expect("filed");
    drop(node);

    // Two hours of silence later anybody freezes, anybody settles, and the owner leaves with all he had.
    let node = Node::start(&data, 7_200).await;
    let on = || doing(node.address, registry, &keys, "taker-2");
    let freeze = Exit::Freeze {
        unserved: Some(0),
        on: on(),
    };
    command(|| freeze.run()).await.expect("frozen");
    let early = Exit::Escape {
        file: last.clone(),
        on: on(),
    };
    let leave = early.clone();
    let refused = command(|| early.run()).await.expect_err("not settled");
    assert!(refused.contains("NotSettled"), "{refused}");
    let settle = Exit::Settle {
        file: Some(last.clone()),
        on: on(),
    };
    command(|| settle.run()).await.expect("settled");
    let before = node.chain.balance(owner("taker-2"));
    command(|| leave.run()).await.expect("paid");
    let paid = node.chain.balance(owner("taker-2")) - before;
    let coins = U256::from(1_000 * 100_000_000_u64 + 5_000) * U256::from(home::WEI_PER_SAT);
    assert!(paid <= coins && paid > coins - fee - fee, "{paid} wei");
    let told = words(verify(&last, node.address, registry))
        .await
        .expect("holds");
    assert!(told.contains("it is settled"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_request_ends_in_coins_without_the_operator_and_without_a_freeze() {
    let folder = Folder::new("anchor-exit");
    let mut settings = anchoring(folder.path());
    settings.chain_rpc = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let venue = Venue::start_with(settings.clone()).await;
    until_final(&venue.running, 1).await;
    let anchoring = venue.running.anchoring.as_ref().expect("it anchors");
    let (registry, chain) = (anchoring.contract.registry, anchoring.chain.clone());
    let home = anchoring.home.clone().expect("embedded").chain;
    let (data, keys) = (settings.data.clone(), settings.keys());
    let node = venue.running.chain_rpc.expect("served");
    let on = || doing(node, registry, &keys, "taker-2");
    let address = {
        let passphrase = home::passphrase(&keys, false).expect("there");
        let role = gateway::anchor::key_file::Role::Owner;
        let key = home::key(&keys, "taker-2.owner", role, &passphrase, false);
        gateway::anchor::signer::Signer::address(&key.expect("opens"))
    };

    // An order rests, and his drop copy is open.
    let contract = venue.forward().await;
    let client = venue.client("taker-2").await;
    let account = venue.account("taker-2");
    let order = tests::venue::limit(1, &contract, proto::common::v1::Side::Buy, 1, 42_000);
    let order = proto::trading::v1::SubmitOrderRequest {
        account_id: account,
        order: Some(order),
        ..Default::default()
    };
    let submitted = client.trading().submit_order(order).await;
    submitted.expect("it rests");
    use proto::trading::v1::{
        ExitStage, StreamEventsRequest, private_event::Event as Told, stream_events_request::Scope,
    };
    let scope = StreamEventsRequest {
        scope: Some(Scope::AccountId(account)),
        ..Default::default()
    };
    let told = client.trading().stream_events(scope).await;
    let mut told = told.expect("open").into_inner();

    let number = u32::try_from(account).expect("small");
    let request = Exit::Request {
        account: number,
        on: on(),
    };
    command(|| request.run()).await.expect("filed");
    // The exchange hears of it from the chain, and a header claims it.
    let mut reports = anchoring.watch();
    let claimed = reports.wait_for(|report| {
        assert_eq!((&report.fault, &report.exit_trouble), (&None, &None));
        report.state.exits.claimed == 1
    });
    let epoch = claimed.await.expect("claimed").state.last.epoch;
    let mut stages = Vec::new();
    while stages.last() != Some(&ExitStage::Served) {
        let message = told.message().await.expect("told").expect("open");
        for event in message.events {
            if let Some(Told::Exit(exit)) = event.event {
                assert_eq!((exit.request_id, &exit.owner[..]), (0, address.as_slice()));
                stages.push(exit.stage());
            }
        }
    }
    assert_eq!(stages.first(), Some(&ExitStage::WindingUp));
    let words = gateway::commands::anchor::status(&data, 3, run::now()).expect("reads");
    let line =
        "1 requested on the chain, 0 pending, 1 served, 1 claimed by the newest final header";
    assert!(words.contains(line), "{words}");
    let freeze = Exit::Freeze {
        unserved: Some(0),
        on: on(),
    };
    let refused = command(|| freeze.run()).await.expect_err("served");
    assert!(refused.contains("ExitServed(id: 0)"), "{refused}");

    // His key still reads: what left, and the proof that pays it.
    let epoch = i64::try_from(epoch).expect("small");
    let out = paid_out(&client, account, epoch).await.expect("they left");
    assert_eq!(out.len(), 2, "one of each asset");
    let to = folder.path().join("EXIT.json");
    let file = proof(&venue, "taker-2", epoch, &out, to).await;
    let before = home.balance(address);
    let mut window = tokio::time::interval(std::time::Duration::from_millis(200));
    loop {
        window.tick().await;
        let claim = Claim {
            file: file.clone(),
            on: on(),
        };
        match command(|| claim.run()).await {
            Ok(()) => break,
            // The challenge window.
            Err(why) => assert!(why.contains("NotFinal"), "{why}"),
        }
    }
    let paid = home.balance(address) - before;
    let coins = U256::from(1_000 * 100_000_000_u64) * U256::from(home::WEI_PER_SAT);
    let fee = U256::from(2_000_000) * U256::from(gateway::anchor::embedded::BASE_FEE);
    assert!(paid <= coins && paid > coins - fee, "{paid} wei");
    drop(chain);
    venue.running.stop().await;
    // A replay of the journal finds every header of the chain, and may claim what they claim.
    let node = Node::start(&data, 0).await;
    let audit = Audit {
        folder: data.clone(),
        rpc: vec![format!("http://{}", node.address)],
        registry: Some(registry),
        ..Audit::default()
    };
    let audited = tokio::task::spawn_blocking(move || audit.compared()).await;
    let told = audited.expect("no panic").expect("the same");
    assert!(told.expect("asked").contains("are those of this journal"));
    drop(node);
    // After a restart nothing comes twice.
    let venue = Venue::start_with(settings).await;
    let taken = venue
        .running
        .desk
        .state(|state| (state.exit_requests().len(), state.exits_served()));
    assert_eq!(taken, (1, 1));
    venue.running.stop().await;
}
