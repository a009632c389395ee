//! Anchoring beside a running exchange: puts the parts together, and is the thread that turns them.
//!
//! Nothing here is waited for by anybody who trades. Settings and keys that are wrong keep the exchange from
//! starting; a chain that does not answer does not.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use engine::journal::{Disk, Lock, RealDisk};
use revm::primitives::B256;
use tokio::sync::watch;

use super::{
    agree::Agreeing,
    chain::{Chain, ChainError},
    contract::Contract,
    decide::Rest,
    deposits::{DepositError, DepositSink, Watcher},
    exits::{ExitSink, ExitWatcher},
    header::Heads,
    health::{Alarm, Health, Level, health},
    home::{self, Home},
    key_file::{self, KeyError, Passphrase, Role},
    process::{Parts, Process, ProcessError},
    record::State,
    root_signer::{RootSigner, Witness},
    rpc::Rpc,
    settings::{AnchorSettings, RpcSettings, Where},
    signer::{LocalKey, Signer, SignerError},
    store::{Store, StoreError},
};

/// Why anchoring does not start.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The folder.
    #[error("{}: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process anchors from here.
    #[error("{} is in use by another process", path.display())]
    Busy {
        /// Which folder.
        path: PathBuf,
    },
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key cannot be used.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// Two roles with one key.
    #[error("the key {0} has two roles; gas, every signer and the guardian need keys of their own")]
    OneKey(revm::primitives::Address),
    /// A log.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// The process's log.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The embedded chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The embedded chain refuses a transaction.
    #[error("the embedded chain does not take a transaction: {0}")]
    Refused(String),
    /// Deposits of a new sandbox.
    #[error("the first deposits do not come in: {0}")]
    Deposits(Box<DepositError>),
    /// No thread.
    #[error("cannot start the anchor's thread: {0}")]
    Thread(std::io::Error),
}

/// The exchange's side, for the process and for each signer in this process.
pub trait Books {
    /// What is anchored.
    fn heads(&self) -> Box<dyn Heads>;
    /// A signer's own look at it.
    fn witness(&self) -> Box<dyn Witness>;
    /// Where deposits go.
    fn sink(&self) -> Box<dyn DepositSink>;
    /// Where exit requests go.
    fn exits(&self) -> Box<dyn ExitSink>;
}

impl<T: Heads + Witness + DepositSink + ExitSink + Clone + 'static> Books for T {
    fn heads(&self) -> Box<dyn Heads> {
        Box::new(self.clone())
    }

    fn witness(&self) -> Box<dyn Witness> {
        Box::new(self.clone())
    }

    fn sink(&self) -> Box<dyn DepositSink> {
        Box::new(self.clone())
    }

    fn exits(&self) -> Box<dyn ExitSink> {
        Box::new(self.clone())
    }
}

/// How anchoring stands, for whoever asks.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is written down.
    pub state: State,
    /// Why nothing is done just now.
    pub rest: String,
    /// How it is.
    pub health: Health,
    /// Gas of all posts that became final since the start.
    pub gas_used: u64,
    /// Deposits credited.
    pub deposits: u64,
    /// Why deposits do not come in, if they do not.
    pub deposit_trouble: Option<String>,
    /// Exit requests taken into the books.
    pub exits: u64,
    /// Why exit requests do not come in, if they do not.
    pub exit_trouble: Option<String>,
    /// Why the process ended by itself, if it did.
    pub fault: Option<String>,
}

/// Anchoring that runs.
#[derive(Debug)]
pub struct Anchoring {
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// The contracts on it.
    pub contract: Contract,
    /// The embedded chain, if it is that one.
    pub home: Option<Home>,
    report: watch::Receiver<Report>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Folder of everything that anchoring keeps, in an exchange's data folder.
#[must_use]
pub fn folder(data: &Path) -> PathBuf {
    data.join("anchor")
}

/// The log of the process in that folder.
#[must_use]
pub fn log(data: &Path) -> PathBuf {
    folder(data).join("anchors.log")
}

/// Epochs that the log still needs proofs of: the one in flight, and the newest that is final.
///
/// # Errors
/// A log that does not read.
pub fn chosen(data: &Path) -> Result<Vec<u64>, ProcessError> {
    let path = log(data);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let records = super::process::records(&Store::look(&disk, &path)?)?;
    let state = State::of(&records).map_err(ProcessError::Record)?;
    let open = state.open.map_or(0, |open| open.content.header.epoch);
    Ok([state.last.epoch, open]
        .into_iter()
        .filter(|epoch| *epoch > 0)
        .collect())
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Anchoring {
    /// How it stands.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report.borrow().clone()
    }

    /// Tells every change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Report> {
        self.report.clone()
    }

    /// Lets the step that runs end, then ends the thread. Whatever is in flight goes on at the next start.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the anchor's thread panicked");
        }
    }
}

/// A chain with the contracts, and the keys for it. Nobody else uses the folder meanwhile.
#[derive(Debug)]
pub struct Place {
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// The contracts on it.
    pub contract: Contract,
    /// The embedded chain, if it is that one.
    pub home: Option<Home>,
    /// Deposits are looked for from this block on.
    pub first_block: u64,
    code_hash: B256,
    gas: LocalKey,
    signers: Vec<LocalKey>,
    threshold: usize,
    pause: Duration,
    lock: Box<dyn Lock>,
}

/// Opens the chain that the settings name, with its keys; makes the embedded one at the first start.
///
/// # Errors
/// What an operator can do something about; never a chain that is away.
pub fn open(settings: &AnchorSettings, data: &Path) -> Result<Place, AnchorError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let folder = folder(data);
    let trouble = |source| AnchorError::Folder {
        path: folder.clone(),
        source,
    };
    disk.make_dir(&folder).map_err(trouble)?;
    let lock = disk
        .lock(&folder.join("lock"))
        .map_err(trouble)?
        .ok_or_else(|| AnchorError::Busy {
            path: folder.clone(),
        })?;
    match &settings.place {
        Where::Embedded => {
            let (home, keys) = home::open(&disk, &folder, settings.quick, Arc::new(now))?;
            Ok(Place {
                chain: home.chain.clone(),
                contract: home.contract,
                code_hash: home.contract.code_hash(&*home.chain)?,
                first_block: 0,
                gas: keys.gas,
                signers: keys.signers,
                threshold: home::THRESHOLD,
                pause: Duration::from_millis(250),
                home: Some(home),
                lock,
            })
        }
        Where::Rpc(rpc) => by_rpc(rpc, lock),
    }
}

/// Starts anchoring from a data folder.
///
/// # Errors
/// What an operator can do something about.
pub fn start(
    place: Place,
    settings: &AnchorSettings,
    data: &Path,
    books: &dyn Books,
) -> Result<Anchoring, AnchorError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let folder = folder(data);
    let mut signers = Vec::new();
    for key in place.signers {
        let log = folder.join(format!("signer-{}.log", key.address()));
        signers.push(RootSigner::open(
            Box::new(key),
            books.witness(),
            &disk,
            &log,
        )?);
    }
    let parts = Parts {
        chain: place.chain.clone(),
        contract: place.contract,
        code_hash: place.code_hash,
        gas: Box::new(place.gas),
        signers,
        threshold: place.threshold,
        heads: books.heads(),
        policy: settings.policy.clone(),
    };
    let process = Process::open(parts, &disk, &log(data))?;
    let watcher = Watcher::new(place.chain.clone(), place.contract, place.first_block);
    let exits = ExitWatcher::new(place.chain.clone(), place.contract, place.first_block);
    let (tell, report) = watch::channel(Report {
        state: process.state().clone(),
        ..Report::default()
    });
    let stop = Arc::new(AtomicBool::new(false));
    let turning = Turning {
        process,
        watcher,
        sink: books.sink(),
        exits,
        exit_sink: books.exits(),
        exit_deadline: 0,
        pause: place.pause,
        report: tell,
        stop: stop.clone(),
        told: Told::default(),
        _lock: place.lock,
    };
    let thread = std::thread::Builder::new()
        .name("anchor".into())
        .spawn(move || turning.run())
        .map_err(AnchorError::Thread)?;
    Ok(Anchoring {
        chain: place.chain,
        contract: place.contract,
        home: place.home,
        report,
        stop,
        thread,
    })
}

fn by_rpc(settings: &RpcSettings, lock: Box<dyn Lock>) -> Result<Place, AnchorError> {
    let timeout = Duration::from_secs(settings.timeout);
    let endpoints = settings
        .endpoints
        .iter()
        .map(|url| Arc::new(Rpc::new(url, timeout, settings.finality)) as Arc<dyn Chain>)
        .collect();
    let passphrase = Passphrase::read(&settings.passphrase)?;
    let gas = key_file::load(&settings.gas_key, Role::Gas, &passphrase)?;
    let signers = settings
        .signer_keys
        .iter()
        .map(|path| key_file::load(path, Role::Signer, &passphrase))
        .collect::<Result<Vec<_>, _>>()?;
    apart(&[&gas], &signers)?;
    Ok(Place {
        chain: Arc::new(Agreeing::new(endpoints, settings.agree)),
        contract: Contract {
            chain_id: settings.chain_id,
            registry: settings.registry,
            vault: settings.vault,
            judge: settings.judge,
        },
        code_hash: settings.code_hash,
        first_block: settings.contract_block,
        gas,
        signers,
        threshold: settings.threshold,
        pause: Duration::from_secs(2),
        home: None,
        lock,
    })
}

/// No two keys are the same.
pub(super) fn apart(some: &[&LocalKey], others: &[LocalKey]) -> Result<(), AnchorError> {
    let mut addresses: Vec<_> = some
        .iter()
        .copied()
        .chain(others)
        .map(Signer::address)
        .collect();
    addresses.sort_unstable();
    match addresses.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(AnchorError::OneKey(pair[0])),
        None => Ok(()),
    }
}

/// What was said last, so that it is not said every quarter of a second.
#[derive(Default)]
struct Told {
    number: u64,
    word: &'static str,
    alarms: Vec<Alarm>,
    metrics: u64,
    deposit_trouble: Option<String>,
    exit_trouble: Option<String>,
}

/// Seconds between two lines of figures.
const FIGURES_EVERY: u64 = 60;

struct Turning {
    process: Process,
    watcher: Watcher,
    sink: Box<dyn DepositSink>,
    exits: ExitWatcher,
    exit_sink: Box<dyn ExitSink>,
    /// Time in which a request must be served, seconds; 0 = unknown.
    exit_deadline: u64,
    pause: Duration,
    report: watch::Sender<Report>,
    stop: Arc<AtomicBool>,
    told: Told,
    _lock: Box<dyn Lock>,
}

impl Turning {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let now = now();
            let rest = match self.process.turn(now) {
                Ok(rest) => rest,
                Err(error) => {
                    // What the disk holds is unknown now; only a new start finds out. Trading goes on.
                    tracing::error!(%error, "anchoring stops; the exchange goes on");
                    self.report_with(|report| report.fault = Some(error.to_string()));
                    return;
                }
            };
            // Deposits in between, up to the same block at least: they leave with whoever leaves.
            let due = self.exits.look(&*self.exit_sink);
            let trouble = self.watcher.turn(&mut *self.sink).err();
            let exit_trouble = due.and_then(|due| {
                self.exit_deadline = due.deadline;
                self.exits.serve(&due, &mut *self.exit_sink)
            });
            let exit_trouble = exit_trouble.err();
            self.tell(&rest, now);
            self.tell_deposits(trouble.map(|error| (error.is_grave(), error.to_string())));
            self.tell_exits(exit_trouble.map(|error| (error.is_grave(), error.to_string())));
            std::thread::park_timeout(self.pause);
        }
    }

    fn report_with(&self, change: impl FnOnce(&mut Report)) {
        self.report.send_modify(change);
    }

    fn tell(&mut self, rest: &Rest, now: u64) {
        let (state, counters) = (self.process.state(), self.process.counters());
        let silence = counters.silence;
        let mut health = health(self.process.policy(), state, rest, counters, silence, now);
        health.alarms.splice(0..0, self.late_exit(now));
        let word = state.open.as_ref().map_or("final", |open| open.word());
        let number = state
            .open
            .as_ref()
            .map_or(state.last.number, |open| open.number);
        if (number, word) != (self.told.number, self.told.word) && number > 0 {
            tracing::info!(anchor = number, status = word, "anchor");
            (self.told.number, self.told.word) = (number, word);
        }
        if health.alarms != self.told.alarms {
            for alarm in health
                .alarms
                .iter()
                .filter(|alarm| !self.told.alarms.contains(alarm))
            {
                match alarm.level {
                    Level::Page => tracing::error!(alarm = alarm.what, "anchor"),
                    Level::Warning => tracing::warn!(alarm = alarm.what, "anchor"),
                }
            }
            if health.alarms.is_empty() {
                tracing::info!("anchor: all alarms are over");
            }
            self.told.alarms.clone_from(&health.alarms);
        }
        if now >= self.told.metrics + FIGURES_EVERY {
            self.told.metrics = now;
            tracing::info!(
                last_final = state.last.number,
                age_seconds = health.age,
                positions_behind = health.behind,
                in_flight_seconds = health.in_flight,
                bumps = state.bumps,
                sent = counters.sent,
                gas_wei = counters.balance.map(|wei| wei.to_string()),
                gas_days = health.fuel_days,
                contradictions = counters.contradictions,
                grave_refusals = counters.grave_refusals,
                rest = %rest,
                "anchor figures"
            );
        }
        let count = self.sink.cursor().map_or(0, |cursor| cursor.count);
        let gas_used = counters.gas_used;
        let state = state.clone();
        self.report_with(|report| {
            report.state = state;
            report.rest = rest.to_string();
            report.health = health;
            report.gas_used = gas_used;
            report.deposits = count;
        });
    }

    fn tell_deposits(&mut self, trouble: Option<(bool, String)>) {
        let words = trouble.as_ref().map(|(_, words)| words.clone());
        if words != self.told.deposit_trouble {
            match &trouble {
                Some((true, words)) => tracing::error!(why = words, "deposits stop"),
                Some((false, words)) => tracing::warn!(why = words, "deposits wait"),
                None => tracing::info!("deposits come in again"),
            }
            self.told.deposit_trouble.clone_from(&words);
        }
        self.report_with(|report| report.deposit_trouble = words);
    }

    /// Half of the time to serve the oldest open exit request is over: unserved, it lets anybody freeze.
    fn late_exit(&self, now: u64) -> Option<Alarm> {
        let counters = self.process.counters();
        let oldest = (counters.exits_open > 0).then_some(counters.exits_served)?;
        let deadline = (self.exit_deadline > 0).then_some(self.exit_deadline)?;
        let filed = self.exit_sink.filed(oldest)?;
        let left = filed.time.saturating_add(deadline).saturating_sub(now);
        (left <= deadline / 2).then(|| Alarm {
            level: Level::Page,
            what: format!(
                "exit request {oldest} for account {} is not served: in {} min anybody may freeze the contract",
                filed.account,
                left / 60
            ),
        })
    }

    fn tell_exits(&mut self, trouble: Option<(bool, String)>) {
        let words = trouble.as_ref().map(|(_, words)| words.clone());
        if words != self.told.exit_trouble {
            match &trouble {
                Some((true, words)) => tracing::error!(why = words, "exit requests stop"),
                Some((false, words)) => tracing::warn!(why = words, "exit requests wait"),
                None => tracing::info!("exit requests come in again"),
            }
            self.told.exit_trouble.clone_from(&words);
        }
        let taken = self.exit_sink.taken();
        self.report_with(|report| {
            report.exits = taken;
            report.exit_trouble = words;
        });
    }
}
