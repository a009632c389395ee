//! Whoever asks the registry to leave is paid out and closed, and no header can be shown to lie about it: the
//! real contracts, the real process, signers and watchers, and an exchange with its roots.

use std::{path::Path, sync::Arc};

use engine::{
    command::Command,
    ids::{AccountId, AssetId, house},
    instrument::Asset,
    journal::Disk,
    roots::{chain::ChainHeader, leaf::BalanceLeaf, proof::Inclusion},
};
use gateway::anchor::{
    abi::{Part, Words, tuple},
    agree::Agreeing,
    chain::{Answer, At, Call, Chain},
    contract::Contract,
    decide::{Policy, Rest},
    deposits::Watcher,
    exits::{ExitError, ExitWatcher, Filed, exit_event},
    header::header_tuple,
    onchain::{OnChain, Row},
    process::{Parts, Process},
    refusals,
    root_signer::RootSigner,
    signer::Signer,
};
use revm::primitives::{Address, Bytes, U256};
use tests::{
    anchor::{ANYBODY, BLOCK_TIME, Books, Endpoint, Fuse, GAS, GUARDIAN, Lie, SIGNERS, World, key},
    sim::disk::{Manners, SimDisk},
};

/// Number of the first account that an address opens by a deposit.
const FIRST: u32 = house::INSURANCE.0 + 1;

/// Everything around an exchange that anchors.
struct Venue {
    world: World,
    books: Books,
    disk: SimDisk,
    endpoints: [Endpoint; 2],
    process: Process,
    rest: Rest,
    now: u64,
}

fn open(world: &World, endpoints: &[Endpoint; 2], books: &Books, disk: &SimDisk) -> Process {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let signer = |number: &u8| {
        let log = format!("anchor/signer-{number}.log");
        let witness = Box::new(books.clone());
        RootSigner::open(Box::new(key(*number)), witness, &disk, Path::new(&log)).expect("opens")
    };
    let parts = Parts {
        chain: agreed(endpoints),
        contract: world.contract,
        code_hash: world.code_hash,
        gas: Box::new(key(GAS)),
        signers: SIGNERS.iter().map(signer).collect(),
        threshold: 2,
        heads: Box::new(books.clone()),
        policy: Policy {
            every: 600,
            every_urgent: 12,
            ..Policy::default()
        },
    };
    Process::open(parts, &disk, Path::new("anchor/anchors.log")).expect("opens")
}

fn agreed(endpoints: &[Endpoint; 2]) -> Arc<dyn Chain> {
    let all = endpoints
        .iter()
        .map(|endpoint| Arc::new(endpoint.clone()) as Arc<dyn Chain>);
    Arc::new(Agreeing::new(all.collect(), 2))
}

/// What the Judge is shown of a header.
struct Shown {
    header: ChainHeader,
    opening: Words,
    leaf: BalanceLeaf,
    path: Inclusion,
}

impl Venue {
    fn new(seed: u64) -> Self {
        let world = World::new();
        let fuse = Fuse::default();
        let endpoints = ["one", "two"].map(|name| world.endpoint(name, &fuse));
        let books = Books::default();
        books
            .core()
            .apply(Command::CreateAsset(tests::anchor::request(Asset {
                symbol: "BTC".into(),
                decimals: 8,
                min_withdrawal: 100,
            })));
        let disk = SimDisk::new(seed, Manners::GOOD, Default::default());
        Self {
            process: open(&world, &endpoints, &books, &disk),
            now: world.now(),
            world,
            books,
            disk,
            endpoints,
            rest: Rest::NotDue,
        }
    }

    fn restart(&mut self) {
        self.process = open(&self.world, &self.endpoints, &self.books, &self.disk);
    }

    fn deposit(&self, who: u8, units: u128) {
        let vault = self.world.contract.vault;
        self.world
            .transact(who, Some(vault), units, Contract::deposit_call(1));
    }

    fn request_exit(&self, who: u8, account: u32) {
        let call = Words::new()
            .number(account.into())
            .call("requestExit(uint32)");
        let registry = self.world.contract.registry;
        self.world.transact(who, Some(registry), 0, call);
    }

    fn exits(&self) -> ExitWatcher {
        let chain = agreed(&self.endpoints);
        ExitWatcher::new(chain, self.world.contract, self.world.first_block)
    }

    /// What became final is taken in.
    fn take_in(&mut self) -> u64 {
        let chain = agreed(&self.endpoints);
        let deposits = Watcher::new(chain, self.world.contract, self.world.first_block);
        let (mut sink, exits) = (self.books.clone(), self.exits());
        let due = exits.look(&sink).expect("agreed");
        deposits.turn(&mut sink).expect("agreed");
        exits.serve(&due, &mut sink).expect("taken")
    }

    /// Blocks and turns until so many anchors are final.
    fn until_final(&mut self, number: u64) {
        for _ in 0..400 {
            if self.process.state().last.number >= number {
                return;
            }
            self.world.mine(1);
            self.now = self.world.now().max(self.now + BLOCK_TIME);
            self.rest = self.process.turn(self.now).expect("the log holds");
        }
        panic!("anchor {number} is not final: {:?}", self.rest);
    }

    /// The headers on the chain.
    fn rows(&self) -> Vec<Row> {
        let newest = self.endpoints[0].block(At::Latest).expect("a block");
        self.on_chain().rows(newest.number).expect("logs")
    }

    fn on_chain(&self) -> OnChain {
        OnChain {
            chain: agreed(&self.endpoints),
            contract: self.world.contract,
            from_block: self.world.first_block,
        }
    }

    /// What a contract says to a call; its refusal in words.
    fn ask(&self, from: u8, to: Address, data: Bytes) -> Result<Bytes, String> {
        let from = tests::anchor::address(from);
        let call = Call { from, to, data };
        let reading = self.endpoints[0]
            .read(At::Latest, from, &[call])
            .expect("an answer");
        match reading.answers.into_iter().next().expect("one") {
            Answer::Returned(bytes) => Ok(bytes),
            Answer::Reverted(data, words) if data.is_empty() => Err(words),
            Answer::Reverted(data, _) => Err(refusals::words(&data)),
        }
    }

    fn served(&self) -> u64 {
        let call = Words::new().call("exitsServed()");
        let answer = self.ask(ANYBODY, self.world.contract.registry, call);
        u64::try_from(U256::from_be_slice(&answer.expect("a number"))).expect("small")
    }

    /// The leaf of an account in the header that stands for an epoch.
    fn shown(&self, number: u64, account: u32) -> Shown {
        let core = self.books.core();
        let (epoch, header) = {
            let row = self.rows()[number as usize - 1];
            let epoch = core.roots.epoch(row.epoch).expect("remembered").clone();
            let header = self
                .on_chain()
                .find(&epoch.header)
                .expect("on the chain")
                .header;
            (epoch, header)
        };
        let (account, asset) = (AccountId(account), AssetId(1));
        let proven = core.roots.prove_balance(epoch.header.epoch, account, asset);
        let (leaf, path) = proven.expect("kept");
        let roots = epoch.state.assets.iter();
        let roots = roots.fold(
            Words::new().number(epoch.state.assets.len() as u64),
            |words, tree| words.word(tree.root.into()),
        );
        let positions = Words::new().word(epoch.state.positions.into());
        Shown {
            header,
            opening: tuple(&[Part::Far(roots), Part::Here(positions)]),
            leaf,
            path,
        }
    }
}

/// A call of the Judge about the request that the claiming header is the first to claim.
fn accuse(
    function: &str,
    (id, filed): (u64, &Filed),
    (before, claim): (&ChainHeader, &ChainHeader),
    posted: Words,
    shown: &Shown,
) -> Bytes {
    const HEADER: &str = "(uint64,uint64,uint64,uint64,bytes32,bytes32,(uint16,uint128,uint128,bytes32)[],\
                          bytes32,bytes32,uint64,bytes32,uint64,uint64)";
    let leaf = &shown.leaf;
    let request = Words::new()
        .number(filed.account.into())
        .word(filed.owner.into_word())
        .number(filed.time)
        .number(filed.block);
    let balance = Words::new()
        .number(leaf.index.into())
        .word(Address::from(leaf.owner).into_word())
        .number(leaf.nonce)
        .wide(leaf.available)
        .wide(leaf.locked)
        .number(leaf.asset.into())
        .number(leaf.closed.into());
    let steps = &shown.path.steps;
    let path = steps
        .iter()
        .fold(Words::new().number(steps.len() as u64), |words, step| {
            let sum = <[u8; 16]>::try_from(&step.sums[..]).map_or(0, u128::from_be_bytes);
            words.word(step.hash.into()).wide(sum)
        });
    tuple(&[
        Part::Here(Words::new().number(id)),
        Part::Here(request),
        Part::Far(header_tuple(before)),
        Part::Far(header_tuple(claim)),
        Part::Here(posted),
        Part::Here(Words::new().number(0)),
        Part::Far(shown.opening.clone()),
        Part::Here(balance),
        Part::Far(path),
    ])
    .call(&format!(
        "{function}(uint64,(uint32,address,(uint64,uint64)),{HEADER},{HEADER},(uint64,uint64),uint256,\
         (bytes32[],bytes32),(uint32,address,uint64,uint128,uint128,uint16,bool),(bytes32,uint128)[])"
    ))
}

#[test]
fn a_request_is_served_anchored_claimed_and_nobody_can_freeze_for_it() {
    let mut venue = Venue::new(70);
    venue.deposit(ANYBODY, 1_000);
    venue.deposit(GUARDIAN, 500);
    venue.world.mine(4);
    venue.take_in();
    venue.books.mark();
    venue.until_final(1);

    // The owner asks, and somebody else for the same account and for one that nobody has.
    venue.request_exit(ANYBODY, FIRST);
    venue.request_exit(GUARDIAN, FIRST);
    venue.request_exit(GUARDIAN, 77);
    venue.world.mine(3);
    assert_eq!(venue.take_in(), 0, "not final yet");
    venue.world.mine(2);
    assert_eq!(venue.take_in(), 3);
    assert_eq!(venue.take_in(), 0, "once");
    assert_eq!(venue.books.core().exchange.exits_served(), 3);
    venue.books.mark();

    // Early, and one after the other: a header that shows it, then one that claims it, with an epoch made for it.
    venue.until_final(2);
    assert_eq!(
        venue.served(),
        0,
        "the header that shows it claims nothing yet"
    );
    venue.until_final(3);
    assert_eq!(venue.served(), 3);
    let exits = venue.process.state().exits;
    assert_eq!((exits.requested, exits.taken, exits.served), (3, 3, 3));
    let times: Vec<u64> = venue.rows().iter().map(|row| row.posted.time).collect();
    assert!(times[2] - times[1] < 600, "due early: {times:?}");

    // The Judge finds nothing: closed, empty, and empty the header before.
    let judge = venue.world.contract.judge;
    let rows = venue.rows();
    let posted = |at: usize| {
        let posted = rows[at].posted;
        Words::new().number(posted.time).number(posted.number)
    };
    let filed: Vec<Filed> = (0..3)
        .map(|id| gateway::anchor::exits::ExitSink::filed(&venue.books, id).expect("taken"))
        .collect();
    let (before, claim) = (venue.shown(2, FIRST), venue.shown(3, FIRST));
    assert_eq!(
        (claim.leaf.sum(), claim.leaf.closed, claim.leaf.index),
        (0, true, FIRST)
    );
    let headers = (&before.header, &claim.header);
    for (id, answer) in [(0, "NothingWrong"), (1, "NotTheOwner"), (2, "NotTheOwner")] {
        let request = (id as u64, &filed[id]);
        let call = accuse("freezeFalselyServed", request, headers, posted(2), &claim);
        let said = venue.ask(ANYBODY, judge, call).expect_err("no lie");
        assert!(said.starts_with(answer), "request {id}: {said}");
    }
    let call = accuse("disputeExit", (0, &filed[0]), headers, posted(2), &before);
    let said = venue.ask(ANYBODY, judge, call).expect_err("no doubt");
    assert!(said.starts_with("NothingWrong"), "{said}");

    // Nobody freezes for it, and the coins are the owner's.
    let paid = {
        let core = venue.books.core();
        let transfer = core.exchange.issued()[0].transfer;
        let epoch = core
            .roots
            .provable_at(claim.header.epoch)
            .expect("kept")
            .clone();
        let proven = core
            .roots
            .prove_withdrawal(claim.header.epoch, transfer)
            .expect("issued");
        (epoch, proven)
    };
    assert_eq!(
        (paid.1.leaf.amount, paid.1.leaf.to),
        (1_000, tests::anchor::address(ANYBODY).into_array())
    );
    venue.world.mine(3_600 / BLOCK_TIME);
    let request = venue.on_chain().exit_request(0).expect("filed");
    let function = "freezeUnserved(uint64,(uint32,address,(uint64,uint64)))";
    let call = Words::new().number(0).raw(request.bytes()).call(function);
    let said = venue
        .ask(ANYBODY, venue.world.contract.registry, call)
        .expect_err("served");
    assert!(said.starts_with("ExitServed"), "{said}");
    let found = venue.on_chain().find(&paid.0.header).expect("on the chain");
    assert_eq!(found.payable, Ok(()));
    let call = OnChain::withdraw(&found, &paid.1.leaf, &paid.1.path);
    let vault = venue.world.contract.vault;
    venue.ask(GUARDIAN, vault, call.clone()).expect("pays");
    venue.world.transact(GUARDIAN, Some(vault), 0, call.clone());
    venue.world.mine(1);
    let said = venue.ask(GUARDIAN, vault, call).expect_err("once");
    assert!(said.starts_with("AlreadyPaid"), "{said}");
    // The other one has all he had.
    assert_eq!(venue.shown(3, FIRST + 1).leaf.sum(), 500);
}

#[test]
fn a_header_that_claims_falsely_is_not_formed_not_signed_and_would_freeze_the_venue() {
    let mut venue = Venue::new(71);
    venue.deposit(ANYBODY, 1_000);
    venue.world.mine(4);
    venue.take_in();
    venue.books.mark();
    venue.until_final(1);
    venue.request_exit(ANYBODY, FIRST);
    venue.world.mine(4);
    // The exchange does not take it, and its header claims it all the same.
    venue.books.core().lie = Some(1);
    venue.books.mark();
    for _ in 0..120 {
        venue.world.mine(1);
        venue.now = venue.world.now().max(venue.now + BLOCK_TIME);
        venue.rest = venue.process.turn(venue.now).expect("the log holds");
    }
    let Rest::Unsigned(why) = &venue.rest else {
        panic!("{:?}", venue.rest);
    };
    assert!(
        why.contains("1 exit requests are claimed as served, an earlier epoch shows 0"),
        "{why}"
    );
    assert_eq!(venue.served(), 0);
    // Two signers without a conscience, and it stands on the chain: the first who looks freezes the venue.
    let open = venue.process.state().open.clone().expect("sealed");
    let digest = venue.world.contract.digest(open.hash, 0);
    let mut signed: Vec<_> = SIGNERS[..2]
        .iter()
        .map(|signer| {
            (
                key(*signer).address(),
                key(*signer).sign_digest(&digest).expect("signs"),
            )
        })
        .collect();
    signed.sort_by_key(|(address, _)| *address);
    let signatures: Vec<_> = signed.into_iter().map(|(_, signature)| signature).collect();
    let (registry, judge) = (venue.world.contract.registry, venue.world.contract.judge);
    let call = venue.world.contract.post(&open.content, &signatures);
    venue.world.transact(ANYBODY, Some(registry), 0, call);
    venue.world.mine(4);
    assert_eq!(venue.served(), 1);
    let logs = venue.endpoints[0].logs(registry, exit_event(), 0, venue.rows()[1].posted.number);
    let (id, filed) = Filed::read(&logs.expect("logs")[0]).expect("a request");
    let (before, claim) = (venue.shown(1, FIRST), venue.shown(2, FIRST));
    assert_eq!((claim.leaf.sum(), claim.leaf.closed), (1_000, false));
    let posted = venue.rows()[1].posted;
    let posted = Words::new().number(posted.time).number(posted.number);
    let headers = (&before.header, &claim.header);
    let call = accuse("freezeFalselyServed", (id, &filed), headers, posted, &claim);
    venue.ask(GUARDIAN, judge, call.clone()).expect("a lie");
    venue.world.transact(GUARDIAN, Some(judge), 0, call);
    venue.world.mine(1);
    let frozen = venue.ask(ANYBODY, registry, Words::new().call("frozen()"));
    assert_eq!(frozen.expect("answers")[31], 1);
    // The same exchange without the lie, when it has served: no claim in the header that shows it first.
    let core = &mut *venue.books.core();
    core.lie = None;
    let epoch = core.roots.provable().expect("sealed").header.epoch;
    assert_eq!(core.roots.claim_exits(epoch, 0), Ok(0));
    assert!(core.roots.check_claim(epoch, 1).is_err());
}

#[test]
fn requests_come_in_once_over_restarts_reorganisations_and_lies() {
    let mut venue = Venue::new(72);
    venue.deposit(ANYBODY, 1_000);
    venue.world.mine(4);
    venue.take_in();
    venue.request_exit(ANYBODY, FIRST);
    venue.world.mine(2);
    // Gone before it was final: it was never taken.
    venue.world.net().reorganise(2, false);
    venue.world.mine(4);
    assert_eq!(venue.take_in(), 0);
    venue.request_exit(GUARDIAN, 9);
    venue.request_exit(ANYBODY, FIRST);
    venue.world.mine(4);
    // An endpoint that leaves one out: nothing is taken while they differ.
    venue.endpoints[1].tell(Lie::FewerLogs);
    let mut sink = venue.books.clone();
    let error = venue.exits().turn(&mut sink).expect_err("two stories");
    assert!(error.is_grave(), "{error}");
    // Both leave it out: the registry's own count tells on them.
    venue.endpoints[0].tell(Lie::FewerLogs);
    let error = venue.exits().turn(&mut sink).expect_err("one is missing");
    assert!(matches!(error, ExitError::Broken { .. }), "{error}");
    venue
        .endpoints
        .iter()
        .for_each(|endpoint| endpoint.tell(Lie::None));
    assert_eq!(venue.take_in(), 2);
    // A restart of everything but the state: nothing comes twice.
    venue.restart();
    assert_eq!(venue.take_in(), 0);
    let account = venue
        .books
        .core()
        .exchange
        .account(AccountId(FIRST))
        .map(|row| row.status);
    assert_eq!(account, Some(engine::command::AccountStatus::Closed));
    // The chain breaks its word: what was taken is not there any more.
    venue.world.net().reorganise(4, false);
    venue.request_exit(GUARDIAN, 10);
    venue.request_exit(GUARDIAN, 11);
    venue.world.mine(5);
    let error = venue.exits().turn(&mut sink).expect_err("another history");
    assert!(
        matches!(error, ExitError::FinalityBroken { taken: 2 }),
        "{error}"
    );
    // The same commands give the same state.
    let history = venue.books.core().history.clone();
    let mut again = engine::exchange::Exchange::new();
    for stamped in &history {
        again.apply(stamped, &mut Vec::new());
    }
    assert_eq!(again.digest(), venue.books.core().exchange.digest());
}
