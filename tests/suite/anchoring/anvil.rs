//! The same process against a real node: anvil, another program in another language family, over HTTP.
//!
//! `.ci/run` installs it from the npm registry and sets `HASHPIT_REQUIRE_ANVIL=1`, under which a missing node
//! is a failure; otherwise the test says that it was skipped. `HASHPIT_ANVIL` names the program.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use engine::journal::{Disk, RealDisk};
use gateway::anchor::{
    agree::Agreeing,
    chain::{At, Chain, Sent},
    contract::{Contract, Deployment},
    decide::{Policy, Rest},
    deposits::Watcher,
    header::Newest,
    process::{Parts, Process},
    root_signer::RootSigner,
    rpc::{Finality, Rpc},
    signer::Signer,
    transaction::{Price, Transaction},
};
use revm::primitives::{Address, B256, Bytes, U256};
use serde_json::{Value, json};
use tests::{
    anchor::{ANYBODY, CHAIN_ID, GAS, Ledger, SIGNERS, TestHeads, TestWitness, key, terms},
    venue::Folder,
};

struct Anvil {
    child: Child,
    url: String,
    other_url: String,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts a node, or says why not. Blocks come only when they are asked for.
fn anvil() -> Option<Anvil> {
    let required = std::env::var("HASHPIT_REQUIRE_ANVIL").is_ok_and(|value| value == "1");
    let program = std::env::var("HASHPIT_ANVIL").unwrap_or_else(|_| "anvil".into());
    let arguments = [
        "--port",
        "0",
        "--chain-id",
        "11501",
        "--hardfork",
        "london",
        "--no-mining",
        "--slots-in-an-epoch",
        "1",
        "--base-fee",
        "50000000",
    ];
    let started = Command::new(&program)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            assert!(
                !required,
                "HASHPIT_REQUIRE_ANVIL=1, but {program} does not start: {error}"
            );
            println!(
                "SKIPPED: {program} does not start ({error}); set HASHPIT_ANVIL to a node's program"
            );
            return None;
        }
    };
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let listening = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, address) = line.split_once("Listening on ")?;
        Some(address.trim().to_owned())
    });
    let address = listening.expect("anvil says where it listens");
    // Whatever else it prints must not fill the pipe.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    let port = address.rsplit(':').next().expect("a port");
    Some(Anvil {
        child,
        url: format!("http://127.0.0.1:{port}"),
        other_url: format!("http://localhost:{port}"),
    })
}

impl Anvil {
    fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut response = ureq::post(&self.url)
            .header("content-type", "application/json")
            .send(body.to_string().as_bytes())
            .expect("anvil answers");
        let text = response.body_mut().read_to_string().expect("text");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn mine(&self, blocks: u64) {
        self.ask("anvil_mine", json!([format!("{blocks:#x}")]));
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([name, &id])
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }

    fn rpc(&self, url: &str) -> Arc<dyn Chain> {
        let finality = Finality {
            tag: true,
            confirmations: 0,
        };
        Arc::new(Rpc::new(url, Duration::from_secs(2), finality))
    }

    fn chain(&self) -> Arc<dyn Chain> {
        Arc::new(Agreeing::new(
            vec![self.rpc(&self.url), self.rpc(&self.other_url)],
            2,
        ))
    }

    /// Somebody's transaction, in a block of its own; answers its hash.
    fn transact(&self, who: u8, to: Option<Address>, value: u128, data: Bytes) -> B256 {
        let chain = self.chain();
        let who = key(who);
        let nonce = chain
            .read(At::Latest, who.address(), &[])
            .expect("read")
            .nonce;
        let transaction = Transaction {
            chain_id: CHAIN_ID,
            nonce,
            price: Price::Legacy(chain.gas_price().expect("a price") * 2),
            gas: 6_500_000,
            to,
            value: U256::from(value),
            data,
        };
        let signed = transaction.sign(&who).expect("signs");
        assert_eq!(chain.send(&signed.raw).expect("sent"), Sent::Accepted);
        self.mine(1);
        signed.hash
    }
}

struct Bench {
    anvil: Anvil,
    folder: Folder,
    contract: Contract,
    code_hash: B256,
    heads: TestHeads,
    policy: Policy,
    process: Option<Process>,
    rest: Rest,
    now: u64,
}

impl Bench {
    fn new(anvil: Anvil, name: &str, legacy: bool) -> Self {
        for number in [GAS, ANYBODY] {
            let wei = format!("{:#x}", 10_u128.pow(20));
            anvil.ask("anvil_setBalance", json!([key(number).address(), wei]));
        }
        let deployment = Deployment::new(CHAIN_ID, key(ANYBODY).address(), 0, &terms());
        let chain = anvil.chain();
        for data in deployment.calls {
            let hash = anvil.transact(ANYBODY, None, 0, data);
            let receipt = chain.receipt(hash).expect("asked").expect("mined");
            assert!(receipt.success, "a London node takes the contracts");
        }
        let contract = deployment.contract;
        assert_eq!(Contract::find(&*chain, contract.registry), Ok(contract));
        let code_hash = contract.code_hash(&*chain).expect("asked");
        anvil.mine(4);
        let now = chain.block(At::Latest).expect("a head").time;
        let mut bench = Self {
            folder: Folder::new(name),
            contract,
            code_hash,
            heads: TestHeads::default(),
            policy: Policy {
                every: 1,
                every_urgent: 1,
                legacy,
                fee_cap: 20_000_000_000,
                ..Policy::default()
            },
            process: None,
            rest: Rest::NotDue,
            anvil,
            now,
        };
        bench.open();
        bench
    }

    fn open(&mut self) {
        self.process = None;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let path = |name: &str| self.folder.path().join(name);
        let signers = SIGNERS.map(|number| {
            let witness = Box::new(TestWitness::default());
            let log = path(&format!("signer-{number}.log"));
            RootSigner::open(Box::new(key(number)), witness, &disk, &log).expect("opens")
        });
        let parts = Parts {
            chain: self.anvil.chain(),
            contract: self.contract,
            code_hash: self.code_hash,
            gas: Box::new(key(GAS)),
            signers: signers.into(),
            threshold: 2,
            heads: Box::new(self.heads.clone()),
            policy: self.policy.clone(),
        };
        self.process =
            Some(Process::open(parts, &disk, Path::new(&path("anchors.log"))).expect("opens"));
    }

    fn turn(&mut self) -> Rest {
        self.now += 2;
        self.heads.set(Newest {
            epoch: self.now,
            seq: self.now,
            urgent: false,
        });
        self.rest = self
            .process
            .as_mut()
            .expect("it runs")
            .turn(self.now)
            .expect("the log holds");
        self.rest.clone()
    }

    fn until_final(&mut self, number: u64) {
        for _ in 0..60 {
            // The turn that sees it final may send the next one, which then waits in the pool.
            self.turn();
            if self.process.as_ref().expect("it runs").state().last.number >= number {
                return;
            }
            self.anvil.mine(1);
        }
        panic!("anchor {number} is not final: {:?}", self.rest);
    }

    /// The contract's count and head at the newest block, as the node tells them.
    fn found(&self) -> (u64, B256) {
        let chain = self.anvil.chain();
        let reading = chain
            .read(At::Latest, key(GAS).address(), &self.contract.reads())
            .expect("read");
        let standing = self
            .contract
            .standing(&reading.answers, "anvil")
            .expect("its answers");
        (standing.number, standing.head)
    }
}

#[test]
fn a_real_node_takes_anchors_bumps_reorganisations_and_restarts() {
    for legacy in [true, false] {
        let Some(anvil) = anvil() else {
            return;
        };
        let mut bench = Bench::new(anvil, &format!("anvil-{legacy}"), legacy);
        bench.until_final(2);

        // Stuck: the base fee rises above the first price; a bump with the same nonce is mined.
        while bench
            .process
            .as_ref()
            .expect("it runs")
            .state()
            .open
            .as_ref()
            .is_none_or(|open| open.intents.is_empty())
        {
            bench.turn();
        }
        bench.anvil.ask(
            "anvil_setNextBlockBaseFeePerGas",
            json!([format!("{:#x}", 6_000_000_000_u64)]),
        );
        bench.until_final(3);
        let state = bench.process.as_ref().expect("it runs").state();
        assert!(state.bumps > 0, "the first price was too low");
        assert!(
            state
                .settled
                .iter()
                .all(|intent| intent.nonce == state.settled[0].nonce)
        );

        // A restart with a transaction on its way.
        while bench
            .process
            .as_ref()
            .expect("it runs")
            .state()
            .open
            .as_ref()
            .is_none_or(|open| open.intents.is_empty())
        {
            bench.turn();
        }
        bench.open();
        bench.until_final(4);

        // Thrown out by a reorganisation, and brought back by the same bytes.
        while bench
            .process
            .as_ref()
            .expect("it runs")
            .state()
            .open
            .as_ref()
            .is_none_or(|open| open.intents.is_empty())
        {
            bench.turn();
        }
        bench.anvil.mine(1);
        bench.turn();
        let hash = bench
            .process
            .as_ref()
            .expect("it runs")
            .state()
            .open
            .as_ref()
            .expect("in flight")
            .hash;
        assert_eq!(bench.found(), (5, hash));
        bench.anvil.ask("anvil_reorg", json!([1, []]));
        assert_eq!(bench.found().0, 4, "the post is gone");
        bench.until_final(5);
        assert_eq!(
            bench.process.as_ref().expect("it runs").state().last.head,
            hash
        );

        // Frozen: every call ends in bounded time, and it goes on afterwards.
        bench.anvil.signal("-STOP");
        let since = Instant::now();
        assert!(matches!(bench.turn(), Rest::Away(_)), "{:?}", bench.rest);
        assert!(since.elapsed() < Duration::from_secs(20), "bounded waits");
        bench.anvil.signal("-CONT");
        bench.until_final(6);

        let chain = bench.anvil.chain();
        let gas = key(GAS).address();
        let nonce = chain.read(At::Latest, gas, &[]).expect("read").nonce;
        assert_eq!(
            (bench.found().0, nonce),
            (6, 6),
            "each once, one nonce each"
        );
        println!(
            "anvil, legacy {legacy}: six anchors, {} bumps",
            bench.process.as_ref().expect("it runs").state().bumps
        );
    }
}

#[test]
fn deposits_come_from_a_real_nodes_logs() {
    let Some(anvil) = anvil() else {
        return;
    };
    let bench = Bench::new(anvil, "anvil-deposits", true);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let path = bench.folder.path().join("deposits.log");
    let call = Contract::deposit_call(1);
    for wei in [100, 200, 300] {
        bench
            .anvil
            .transact(ANYBODY, Some(bench.contract.vault), wei, call.clone());
    }
    let watcher = Watcher::new(bench.anvil.chain(), bench.contract, 0);
    let mut ledger = Ledger::open(&disk, &path).expect("opens");
    let early = watcher.turn(&mut ledger).expect("agreed");
    assert!(early < 3, "the newest is not final");
    bench.anvil.mine(4);
    assert_eq!(early + watcher.turn(&mut ledger).expect("agreed"), 3);
    drop(ledger);
    let mut ledger = Ledger::open(&disk, &path).expect("opens");
    assert_eq!(watcher.turn(&mut ledger).expect("agreed"), 0, "each once");
    let amounts: Vec<u128> = ledger
        .deposits()
        .iter()
        .map(|deposit| u128::from(deposit.amount.unsigned_abs()))
        .collect();
    assert_eq!(amounts, [100, 200, 300]);
    assert!(
        ledger
            .deposits()
            .iter()
            .all(|deposit| deposit.owner == key(ANYBODY).address().into_array())
    );
}

#[test]
fn a_node_reads_a_transaction_as_it_was_signed_here() {
    let Some(anvil) = anvil() else {
        return;
    };
    anvil.ask(
        "anvil_setBalance",
        json!([key(ANYBODY).address(), format!("{:#x}", 10_u128.pow(20))]),
    );
    let hash = anvil.transact(ANYBODY, Some(key(3).address()), 7, Bytes::new());
    let found = anvil.ask("eth_getTransactionByHash", json!([hash]));
    let from: Address = serde_json::from_value(found["from"].clone()).expect("an address");
    assert_eq!(
        (from, &found["value"]),
        (key(ANYBODY).address(), &json!("0x7"))
    );
}
