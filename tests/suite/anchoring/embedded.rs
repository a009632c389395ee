//! The embedded chain keeps its word over restarts, and starts without executing a year again.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use engine::journal::Disk;
use gateway::anchor::{
    chain::{At, Chain, Sent},
    contract::{Contract, Deployment},
    embedded::{BASE_FEE, Clock, Embedded, Genesis, STATE_EVERY},
    signer::Signer,
    store::Store,
    transaction::{Price, Transaction},
};
use revm::primitives::{Address, U256};
use tests::{
    anchor::{ANYBODY, CHAIN_ID, key, terms},
    sim::disk::{Harm, Manners, SimDisk, Trap},
};

struct Place {
    simulated: SimDisk,
    disk: Arc<dyn Disk>,
    time: Arc<AtomicU64>,
}

impl Place {
    fn new() -> Self {
        let simulated = SimDisk::new(1, Manners::GOOD, Default::default());
        Self {
            disk: Arc::new(simulated.clone()),
            simulated,
            time: Arc::new(AtomicU64::new(1_700_000_000)),
        }
    }

    fn open(&self) -> Embedded {
        let time = self.time.clone();
        let clock: Clock = Arc::new(move || time.load(Ordering::Relaxed));
        let coins = vec![(key(ANYBODY).address(), U256::from(10).pow(U256::from(20)))];
        let genesis = Genesis {
            chain_id: CHAIN_ID,
            coins,
        };
        Embedded::open(
            self.disk.clone(),
            Path::new("anchor/chain"),
            &genesis,
            clock,
        )
        .expect("opens")
    }

    fn pass(&self, seconds: u64) {
        self.time.fetch_add(seconds, Ordering::Relaxed);
    }
}

fn transaction(
    nonce: u64,
    to: Option<Address>,
    value: u64,
    data: revm::primitives::Bytes,
) -> Vec<u8> {
    let transaction = Transaction {
        chain_id: CHAIN_ID,
        nonce,
        price: Price::Legacy(BASE_FEE.into()),
        gas: 5_000_000,
        to,
        value: U256::from(value),
        data,
    };
    transaction.sign(&key(ANYBODY)).expect("signs").raw.to_vec()
}

/// Deploys the contracts with the first three nonces.
fn deploy(chain: &Embedded) -> Contract {
    let deployment = Deployment::new(CHAIN_ID, key(ANYBODY).address(), 0, &terms());
    for (nonce, data) in deployment.calls.into_iter().enumerate() {
        let raw = transaction(nonce as u64, None, 0, data);
        assert_eq!(chain.send(&raw).expect("taken"), Sent::Accepted);
        let receipt = chain
            .receipt(revm::primitives::keccak256(&raw))
            .expect("asked")
            .expect("mined");
        assert!(receipt.success);
    }
    deployment.contract
}

#[test]
fn a_restart_finds_everything_and_executes_only_what_is_new() {
    let place = Place::new();
    let mut chain = place.open();
    let contract = deploy(&chain);
    let call = Contract::deposit_call(1);
    let deposits = STATE_EVERY + 20;
    for number in 1..=deposits {
        place.pass(7);
        let raw = transaction(number + 2, Some(contract.vault), number, call.clone());
        assert_eq!(chain.send(&raw).expect("taken"), Sent::Accepted);
    }
    let ask = |chain: &Embedded| {
        let reading = chain
            .read(At::Latest, key(ANYBODY).address(), &contract.reads())
            .expect("read");
        let logs = chain
            .logs(contract.vault, Contract::deposit_event(), 0, u64::MAX)
            .expect("logs");
        let old = chain.block(At::Number(100)).expect("an old block");
        (
            contract.standing(&reading.answers, "").expect("answers"),
            reading,
            logs,
            old,
        )
    };
    let before = ask(&chain);
    assert_eq!(
        (before.0.deposits, before.2.len() as u64),
        (deposits, deposits)
    );
    drop(chain);
    place.simulated.crash(true);
    chain = place.open();
    assert_eq!(ask(&chain), before);
    assert_eq!(
        chain.replayed(),
        23,
        "the accounts were written after {STATE_EVERY} transactions"
    );
    // Without the accounts, or with spoilt ones, it only takes longer.
    drop(chain);
    place
        .simulated
        .spoil(Path::new("anchor/chain/accounts"), 1_000, &[1, 2, 3]);
    chain = place.open();
    assert_eq!(ask(&chain), before);
    assert_eq!(chain.replayed(), deposits + 3);
}

#[test]
fn empty_blocks_come_with_the_clock_and_stay_what_they_were() {
    let place = Place::new();
    let chain = place.open();
    place.pass(60);
    let head = chain.block(At::Latest).expect("a head");
    assert_eq!(head.number, 10);
    let contract = deploy(&chain);
    assert_eq!(
        chain.block(At::Latest).expect("a head").number,
        12,
        "the tenth and two behind it have them"
    );
    place.pass(60);
    assert_eq!(chain.block(At::Finalized).expect("a head").number, 22);
    let (five, six) = (
        chain.block(At::Number(5)).expect("there"),
        chain.block(At::Number(6)).expect("there"),
    );
    assert_eq!(six.parent, five.hash);
    assert!(chain.block(At::Number(23)).is_err(), "not yet");
    drop(chain);
    let chain = place.open();
    assert_eq!(chain.block(At::Number(5)).expect("there"), five);
    assert_ne!(
        chain.code_hash(contract.vault).expect("asked"),
        chain.code_hash(Address::ZERO).expect("asked")
    );
}

#[test]
fn it_refuses_what_a_node_refuses() {
    let place = Place::new();
    let chain = place.open();
    let sent = |raw: &[u8]| chain.send(raw).expect("an answer");
    let to = Some(key(2).address());
    let first = transaction(0, to, 1, Default::default());
    assert_eq!(sent(&first), Sent::Accepted);
    assert_eq!(sent(&first), Sent::Known);
    assert_eq!(
        sent(&transaction(0, to, 2, Default::default())),
        Sent::NonceTooLow
    );
    assert!(
        matches!(
            sent(&transaction(5, to, 2, Default::default())),
            Sent::Refused(_)
        ),
        "no queue"
    );
    assert!(matches!(sent(&first[1..]), Sent::Refused(_)));
    let poor = Transaction {
        chain_id: CHAIN_ID,
        nonce: 0,
        price: Price::Legacy(BASE_FEE.into()),
        gas: 21_000,
        to,
        value: U256::ZERO,
        data: Default::default(),
    };
    assert_eq!(
        sent(&poor.sign(&key(77)).expect("signs").raw),
        Sent::NoFunds
    );
    let elsewhere = Transaction {
        chain_id: 1,
        ..poor
    };
    assert!(matches!(
        sent(&elsewhere.sign(&key(ANYBODY)).expect("signs").raw),
        Sent::Refused(_)
    ));
}

#[test]
fn a_transaction_that_was_told_survives_any_crash() {
    for left in 1..=2 {
        for harm in [Harm::Kill, Harm::PowerCut, Harm::Eio] {
            let place = Place::new();
            let chain = place.open();
            let contract = deploy(&chain);
            let call = Contract::deposit_call(1);
            assert_eq!(
                chain
                    .send(&transaction(3, Some(contract.vault), 5, call.clone()))
                    .expect("taken"),
                Sent::Accepted
            );
            place.simulated.set(Trap {
                verb: None,
                left,
                harm,
            });
            let raw = transaction(4, Some(contract.vault), 6, call.clone());
            assert!(
                chain.send(&raw).is_err(),
                "nobody is told what is not on disk"
            );
            drop(chain);
            place.simulated.crash(harm != Harm::Kill);
            let chain = place.open();
            // Either it is there whole, or it can be sent again.
            let again = chain.send(&raw).expect("an answer");
            assert!(matches!(again, Sent::Accepted | Sent::Known), "{again:?}");
            let logs = chain
                .logs(contract.vault, Contract::deposit_event(), 0, u64::MAX)
                .expect("logs");
            assert_eq!(logs.len(), 2);
        }
    }
}

#[test]
fn a_log_with_a_rotten_record_in_the_middle_is_refused() {
    let simulated = SimDisk::new(1, Manners::GOOD, Default::default());
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    let path = Path::new("anchor/some.log");
    let (mut store, _) = Store::open(&disk, path, "test").expect("opens");
    for body in ["one", "two", "three"] {
        store.append(body.as_bytes()).expect("written");
    }
    drop(store);
    let image = simulated.fork();
    simulated.spoil(path, 64 + 16 + 3 + 16, b"X");
    let refused = Store::open(&disk, path, "test")
        .expect_err("damage")
        .to_string();
    assert!(
        refused.contains("record 2 does not read, but record 3 behind it does"),
        "{refused}"
    );
    // The last one may be torn: nobody acted on it.
    simulated.restore(&image);
    simulated.spoil(path, 64 + 2 * 19 + 16, b"X");
    let (mut store, records) = Store::open(&disk, path, "test").expect("cut");
    assert_eq!(records, [b"one".to_vec(), b"two".to_vec()]);
    store.append(b"four").expect("written");
    drop(store);
    let (_, records) = Store::open(&disk, path, "test").expect("opens");
    assert_eq!(records.last().expect("three"), b"four");
    assert!(
        Store::open(&disk, path, "another").is_err(),
        "another log's name"
    );
}
