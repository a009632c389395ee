//! An exchange with its roots behind the anchoring process, in one thread: everything that the process, the
//! signers and the watchers of the chain ask of a served one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{
    command::{ChainDeposit, Command, Request, ServeExit, Stamped},
    event::Event,
    exchange::Exchange,
    roots::{Roots, chain::ChainHeader},
    units::Nanos,
};
use gateway::{
    anchor::{
        deposits::{Cursor, DepositSink},
        exits::{ExitSink, Filed},
        header::{Behind, Content, ExitCount, Heads, Newest},
        root_signer::Witness,
    },
    proofs::Step,
};

use super::START;

/// The exchange and its roots.
#[derive(Debug)]
pub struct Core {
    /// The state.
    pub exchange: Exchange,
    /// Its trees.
    pub roots: Roots,
    /// Commands so far.
    pub history: Vec<Stamped>,
    /// Exit requests that the next header claims instead of the true number: a liar's exchange.
    pub lie: Option<u64>,
    now: Nanos,
    anchored: (u64, u64),
}

/// Shared by everybody who asks.
#[derive(Clone, Debug)]
pub struct Books(Arc<Mutex<Core>>);

impl Default for Books {
    fn default() -> Self {
        let start = i64::try_from(START).expect("a time");
        Self(Arc::new(Mutex::new(Core {
            exchange: Exchange::new(),
            roots: Roots::default(),
            history: Vec::new(),
            lie: None,
            now: Nanos(start * 1_000_000_000),
            anchored: (0, 0),
        })))
    }
}

/// An operator's request.
pub fn request<T>(body: T) -> Request<T> {
    Request {
        id: 0,
        key_id: "operator".into(),
        note: String::new(),
        body,
    }
}

impl Core {
    /// Runs a command, with every timer that falls due before it.
    pub fn apply(&mut self, command: Command) -> Vec<Event> {
        let mut events = Vec::new();
        self.now = self.now.after(1_000);
        while self
            .exchange
            .next_deadline()
            .is_some_and(|due| due <= self.now)
        {
            self.step(Command::Tick, &mut events);
            self.now = self.now.after(1);
        }
        self.step(command, &mut events);
        events
    }

    fn step(&mut self, command: Command, all: &mut Vec<Event>) {
        let stamped = Stamped {
            seq: self.exchange.seq() + 1,
            at: self.now,
            command,
        };
        let mut events = Vec::new();
        self.exchange.apply(&stamped, &mut events);
        self.roots.hear(&self.exchange, &stamped, &events);
        self.roots.end_of_block([0xcc; 32]);
        self.history.push(stamped);
        all.append(&mut events);
    }

    fn done(&mut self, command: Command) -> Result<(), String> {
        let events = self.apply(command);
        match events
            .iter()
            .find(|event| matches!(event, Event::Refused(_)))
        {
            Some(refused) => Err(format!("{refused:?}")),
            None => Ok(()),
        }
    }
}

impl Books {
    /// A look at them.
    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends an epoch; the process chooses it when its time has come.
    pub fn mark(&self) {
        self.core().apply(Command::MarkEpoch);
    }
}

impl Heads for Books {
    fn newest(&mut self) -> Newest {
        let core = self.core();
        let Some(epoch) = core.roots.provable() else {
            return Newest::default();
        };
        let issued: u64 = epoch
            .header
            .assets
            .iter()
            .map(|flow| flow.withdrawals)
            .sum();
        Newest {
            epoch: epoch.header.epoch,
            seq: epoch.header.seq,
            urgent: issued > core.anchored.0 || core.roots.exits_shown() > core.anchored.1,
        }
    }

    fn content(&mut self, number: u64, behind: &Behind) -> Result<Option<Content>, String> {
        let mut core = self.core();
        let claimed = core.roots.claim_exits(behind.epoch, behind.served);
        let claimed = claimed.map_err(|why| why.to_string())?;
        let claimed = core.lie.unwrap_or(claimed);
        core.roots.keep_newest();
        let Some(epoch) = core.roots.provable().cloned() else {
            return Ok(None);
        };
        let header = ChainHeader::of(&epoch.header, (number, behind.head.0), claimed);
        let header = header.map_err(|why| why.to_string())?;
        core.anchored = (header.withdraw_count, header.forced_count);
        Ok(Some(Content {
            header,
            tops: epoch.tops,
            tip: epoch.tip,
        }))
    }

    fn exits(&mut self) -> ExitCount {
        let core = self.core();
        ExitCount {
            taken: core.exchange.exit_requests().len() as u64,
            served: core.exchange.exits_served(),
        }
    }

    fn note(&mut self, _: u64, _: Step) {}

    fn heartbeat(&mut self) {
        self.mark();
    }
}

impl Witness for Books {
    fn agrees(&self, header: &ChainHeader) -> Result<(), String> {
        let core = self.core();
        let claims = core.roots.check_claim(header.epoch, header.forced_count);
        claims.map_err(|why| why.to_string())
    }
}

impl DepositSink for Books {
    fn cursor(&self) -> Result<Cursor, String> {
        let core = self.core();
        let credited = core.exchange.chain_deposits();
        Ok(Cursor {
            count: credited.count,
            acc: credited.chain.into(),
            block: credited.block,
        })
    }

    fn credit(&mut self, deposit: &ChainDeposit) -> Result<(), String> {
        self.core()
            .done(Command::CreditChainDeposit(request(deposit.clone())))
    }
}

impl ExitSink for Books {
    fn taken(&self) -> u64 {
        self.core().exchange.exit_requests().len() as u64
    }

    fn filed(&self, id: u64) -> Option<Filed> {
        let core = self.core();
        let row = core
            .exchange
            .exit_requests()
            .get(usize::try_from(id).ok()?)?;
        Some(Filed {
            account: row.account.0,
            owner: row.owner.into(),
            time: row.time,
            block: row.block,
        })
    }

    fn serve(&mut self, exit: &ServeExit) -> Result<(), String> {
        self.core().done(Command::ServeExit(request(*exit)))
    }
}
