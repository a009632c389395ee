//! Does the anchoring process post every header once, whatever chain, endpoints, disk and people do?
//!
//! The contract is the real one, on a simulated network ([`tests::anchor`]); log and signers' promises are on
//! the simulated disk.

mod anvil;
mod chain_trouble;
mod contracts;
mod crashes;
mod deposits;
mod doors;
mod embedded;
mod endpoint;
mod exits;
mod keys;
mod leaving;
mod serving;
mod torture;

use std::{path::Path, sync::Arc};

use engine::journal::Disk;
use gateway::anchor::{
    agree::Agreeing,
    chain::Chain,
    decide::{Policy, Rest},
    header::Newest,
    health::{Health, health},
    process::{Parts, Process, ProcessError},
    record::State,
    root_signer::RootSigner,
};
use tests::{
    anchor::{BLOCK_TIME, Endpoint, Fuse, GAS, SIGNERS, START, TestHeads, TestWitness, World, key},
    sim::disk::{Manners, SimDisk},
};

/// The process with everything around it.
struct Desk {
    world: World,
    disk: SimDisk,
    fuse: Fuse,
    endpoints: [Endpoint; 2],
    heads: TestHeads,
    witnesses: [TestWitness; 3],
    policy: Policy,
    process: Option<Process>,
    rest: Rest,
    now: u64,
}

impl Desk {
    fn new(seed: u64) -> Self {
        let world = World::new();
        let fuse = Fuse::default();
        let endpoints = ["one", "two"].map(|name| world.endpoint(name, &fuse));
        let mut desk = Self {
            now: world.now(),
            world,
            disk: SimDisk::new(seed, Manners::GOOD, Default::default()),
            fuse,
            endpoints,
            heads: TestHeads::default(),
            witnesses: Default::default(),
            policy: Policy {
                every: 60,
                every_urgent: 12,
                ..Policy::default()
            },
            process: None,
            rest: Rest::NotDue,
        };
        desk.open().expect("opens");
        desk
    }

    fn chain(&self) -> Arc<dyn Chain> {
        let endpoints = self
            .endpoints
            .iter()
            .map(|endpoint| Arc::new(endpoint.clone()) as Arc<dyn Chain>);
        Arc::new(Agreeing::new(endpoints.collect(), 2))
    }

    fn parts(&self, disk: &Arc<dyn Disk>) -> Result<Parts, ProcessError> {
        let mut signers = Vec::new();
        for (number, witness) in SIGNERS.iter().zip(&self.witnesses) {
            let log = format!("anchor/signer-{number}.log");
            let witness = Box::new(witness.clone());
            signers.push(RootSigner::open(
                Box::new(key(*number)),
                witness,
                disk,
                Path::new(&log),
            )?);
        }
        Ok(Parts {
            chain: self.chain(),
            contract: self.world.contract,
            code_hash: self.world.code_hash,
            gas: Box::new(key(GAS)),
            signers,
            threshold: 2,
            heads: Box::new(self.heads.clone()),
            policy: self.policy.clone(),
        })
    }

    fn open(&mut self) -> Result<(), ProcessError> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let parts = self.parts(&disk)?;
        self.process = Some(Process::open(
            parts,
            &disk,
            Path::new("anchor/anchors.log"),
        )?);
        Ok(())
    }

    /// The process is gone, with or without the machine's power, and starts again.
    fn restart(&mut self, power_cut: bool) {
        self.process = None;
        self.disk.disarm();
        self.disk.crash(power_cut);
        self.fuse.set(None);
        self.open().expect("opens again");
    }

    fn exchange_at(&self, now: u64) {
        let epoch = (now - START) / 10;
        self.heads.set(Newest {
            epoch,
            seq: now - START,
            urgent: false,
        });
    }

    /// The process takes a turn now.
    fn turn(&mut self) -> Rest {
        self.exchange_at(self.now);
        let process = self.process.as_mut().expect("it runs");
        self.rest = process.turn(self.now).expect("the log holds");
        self.rest.clone()
    }

    /// So many times: a block, and a turn.
    fn go_on(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.world.mine(1);
            // The process's clock may be ahead of the chain's; it goes on all the same.
            self.now = self.world.now().max(self.now + BLOCK_TIME);
            self.turn();
        }
    }

    fn state(&self) -> &State {
        self.process.as_ref().expect("it runs").state()
    }

    fn health(&self) -> Health {
        let process = self.process.as_ref().expect("it runs");
        health(
            &self.policy,
            process.state(),
            &self.rest,
            process.counters(),
            Some(7 * 86_400),
            self.now,
        )
    }

    /// Goes on until so many anchors are final.
    fn until_final(&mut self, number: u64) {
        for _ in 0..200 {
            if self.state().last.number >= number {
                return;
            }
            self.go_on(1);
        }
        panic!(
            "anchor {number} is not final: {:?}, {:?}",
            self.rest,
            self.state()
        );
    }

    /// The chain has exactly these anchors, and no transaction was refused or sent for nothing.
    fn each_was_posted_once(&self) {
        let (number, head, nonce, _) = self.world.found();
        let last = self.state().last;
        assert_eq!(
            (number, head),
            (last.number, last.head),
            "the chain has what is written down"
        );
        assert_eq!(
            self.world.posts(),
            (number as usize, 0),
            "each once, none refused"
        );
        assert_eq!(nonce, number, "one nonce each");
    }
}

#[test]
fn an_anchor_becomes_final_and_the_next_one_links_to_it() {
    let mut desk = Desk::new(1);
    let mut heads = Vec::new();
    for number in 1..=5 {
        desk.until_final(number);
        heads.push(desk.state().last);
    }
    for (before, after) in heads.iter().zip(heads.iter().skip(1)) {
        assert_eq!(after.previous, before.head);
        assert!(
            after.sealed_at >= before.sealed_at + 60,
            "no sooner than every minute"
        );
    }
    desk.each_was_posted_once();
    assert_eq!(desk.health().alarms, []);
}

#[test]
fn a_waiting_withdrawal_hastens_the_next_anchor() {
    let mut desk = Desk::new(2);
    desk.until_final(1);
    assert_eq!(desk.turn(), Rest::NotDue);
    desk.now = desk.state().last.sealed_at + 30;
    assert_eq!(desk.turn(), Rest::NotDue);
    desk.heads.set(Newest {
        epoch: 1_000,
        seq: 1_000,
        urgent: true,
    });
    let process = desk.process.as_mut().expect("it runs");
    assert_eq!(
        process.turn(desk.now).expect("the log holds"),
        Rest::InFlight
    );
}

#[test]
fn the_words_of_an_anchor_come_in_their_order() {
    let mut desk = Desk::new(3);
    for witness in &desk.witnesses {
        witness.say(Some("nothing yet"));
    }
    desk.turn();
    let word = |desk: &Desk| desk.state().open.as_ref().map(|open| open.word());
    assert_eq!(word(&desk), Some("sealed"));
    desk.witnesses.iter().for_each(|witness| witness.say(None));
    // Signed and not sent: the price of gas cannot be paid.
    desk.world.net().base_fee = 10_u128.pow(19);
    desk.policy.fee_cap = u128::MAX;
    desk.restart(false);
    assert!(matches!(desk.turn(), Rest::NoGas { .. }));
    assert_eq!(word(&desk), Some("signed"));
    desk.world.net().base_fee = tests::anchor::CALM;
    assert_eq!(desk.turn(), Rest::InFlight);
    assert_eq!(word(&desk), Some("posted"));
    desk.go_on(1);
    assert_eq!(word(&desk), Some("mined"));
    desk.go_on(3);
    assert_eq!((word(&desk), desk.state().last.number), (None, 1));
    desk.each_was_posted_once();
}

#[test]
fn an_idle_exchange_is_asked_for_an_epoch_and_told_how_far_each_one_came() {
    let mut desk = Desk::new(4);
    desk.until_final(1);
    let words: Vec<_> = desk.heads.told().clone();
    let steps = ["signed", "submitted", "mined", "final"];
    assert_eq!(words, steps.map(|word| (1, word)));
    // Nothing happens any more: no epoch, and the contract would hear nothing.
    let last = desk.state().last;
    desk.heads.set(Newest {
        epoch: last.epoch,
        seq: last.seq,
        urgent: false,
    });
    let asked = |desk: &mut Desk, after: u64| {
        let process = desk.process.as_mut().expect("it runs");
        let rest = process.turn(last.at + after).expect("the log holds");
        assert_eq!(rest, Rest::NothingNew);
        let told = desk.heads.told();
        told.iter().filter(|(_, word)| *word == "heartbeat").count()
    };
    let every = desk.policy.heartbeat;
    assert_eq!(asked(&mut desk, every - 1), 0);
    assert_eq!(asked(&mut desk, every), 1);
    assert_eq!(asked(&mut desk, every + 1), 1, "once in a while");
    assert_eq!(asked(&mut desk, 2 * every), 2);
}
