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
use revm::primitives::{B256, KECCAK_EMPTY, U256};
use tokio::sync::watch;

use super::{
    agree::Agreeing,
    chain::{Chain, ChainError, Sent},
    contract::{self, Contract, Terms},
    decide::Rest,
    deposits::{DepositLog, Watcher},
    embedded::{BASE_FEE, Embedded, Genesis},
    header::Heads,
    health::{Alarm, Health, Level, health},
    key_file::{self, KeyError, Passphrase, Role, Work},
    process::{Parts, Process, ProcessError},
    record::State,
    root_signer::{RootSigner, Witness},
    rpc::Rpc,
    settings::{AnchorSettings, RpcSettings, Where},
    signer::{LocalKey, Signer, SignerError},
    store::StoreError,
    transaction::{Price, Transaction},
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
    /// The embedded chain refuses the contract.
    #[error("the embedded chain does not take the contract: {0}")]
    Deploy(String),
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
}

impl<T: Heads + Witness + Clone + 'static> Books for T {
    fn heads(&self) -> Box<dyn Heads> {
        Box::new(self.clone())
    }

    fn witness(&self) -> Box<dyn Witness> {
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
    /// Deposits handed over.
    pub deposits: u64,
    /// Why deposits do not come in, if they do not.
    pub deposit_trouble: Option<String>,
    /// Why the process ended by itself, if it did.
    pub fault: Option<String>,
}

/// Anchoring that runs.
#[derive(Debug)]
pub struct Anchoring {
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// The contract on it.
    pub contract: Contract,
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

/// Where in that folder handed-over deposits are listed.
#[must_use]
pub fn deposit_log(data: &Path) -> PathBuf {
    folder(data).join("deposits.log")
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

/// Starts anchoring from a data folder.
///
/// # Errors
/// What an operator can do something about; never a chain that is away.
pub fn start(
    settings: &AnchorSettings,
    data: &Path,
    books: &dyn Books,
) -> Result<Anchoring, AnchorError> {
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
    let place = match &settings.place {
        Where::Embedded => embedded(&disk, &folder)?,
        Where::Rpc(rpc) => by_rpc(rpc)?,
    };
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
    let deposits = DepositLog::open(&disk, &deposit_log(data))?;
    let watcher = Watcher::new(place.chain.clone(), place.contract, place.first_block);
    let (tell, report) = watch::channel(Report {
        state: process.state().clone(),
        ..Report::default()
    });
    let stop = Arc::new(AtomicBool::new(false));
    let turning = Turning {
        process,
        watcher,
        deposits,
        pause: place.pause,
        report: tell,
        stop: stop.clone(),
        told: Told::default(),
        _lock: lock,
    };
    let thread = std::thread::Builder::new()
        .name("anchor".into())
        .spawn(move || turning.run())
        .map_err(AnchorError::Thread)?;
    Ok(Anchoring {
        chain: place.chain,
        contract: place.contract,
        report,
        stop,
        thread,
    })
}

/// A chain with the contract, and the keys for it.
struct Place {
    chain: Arc<dyn Chain>,
    contract: Contract,
    code_hash: B256,
    first_block: u64,
    gas: LocalKey,
    signers: Vec<LocalKey>,
    threshold: usize,
    pause: Duration,
}

fn by_rpc(settings: &RpcSettings) -> Result<Place, AnchorError> {
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
            address: settings.contract,
        },
        code_hash: settings.code_hash,
        first_block: settings.contract_block,
        gas,
        signers,
        threshold: settings.threshold,
        pause: Duration::from_secs(2),
    })
}

/// No two keys are the same.
fn apart(some: &[&LocalKey], others: &[LocalKey]) -> Result<(), AnchorError> {
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

/// Signers of the embedded chain's contract, and how many of them must sign.
const EMBEDDED_SIGNERS: usize = 3;
const EMBEDDED_THRESHOLD: usize = 2;
/// Chain id of the embedded chain: BEVM's, whose rules it follows.
const EMBEDDED_CHAIN: u64 = 11_501;

/// The embedded chain with its keys and its contract, made at the first start.
fn embedded(disk: &Arc<dyn Disk>, folder: &Path) -> Result<Place, AnchorError> {
    let chain_folder = folder.join("chain");
    let fresh = !chain_folder.join("blocks.log").exists();
    let keys = EmbeddedKeys::open(disk, &folder.join("keys"), fresh)?;
    let coin = U256::from(10).pow(U256::from(18));
    let genesis = Genesis {
        chain_id: EMBEDDED_CHAIN,
        coins: vec![
            (keys.gas.address(), coin * U256::from(1_000)),
            (keys.guardian.address(), coin),
            (keys.faucet.address(), coin * U256::from(1_000_000)),
        ],
    };
    let chain = Embedded::open(disk.clone(), &chain_folder, &genesis, Arc::new(now))?;
    let address = keys.gas.address().create(0);
    if chain.code_hash(address)? == KECCAK_EMPTY {
        let terms = Terms {
            signers: keys.signers.iter().map(Signer::address).collect(),
            threshold: EMBEDDED_THRESHOLD as u64,
            guardian: keys.guardian.address(),
            window: 600,
            silence: 7 * 86_400,
            exit: 3 * 86_400,
            day_cap: u128::from(u64::MAX) << 10,
        };
        let deployment = Transaction {
            chain_id: EMBEDDED_CHAIN,
            nonce: 0,
            price: Price::Legacy(BASE_FEE.into()),
            gas: 10_000_000,
            to: None,
            value: U256::ZERO,
            data: Contract::deployment(&contract::code(), &terms),
        };
        let signed = deployment.sign(&keys.gas)?;
        match chain.send(&signed.raw)? {
            Sent::Accepted | Sent::Known => {}
            other => return Err(AnchorError::Deploy(format!("{other:?}"))),
        }
    }
    let code_hash = chain.code_hash(address)?;
    if code_hash == KECCAK_EMPTY {
        return Err(AnchorError::Deploy("its code is not there".into()));
    }
    let (transactions, replayed) = (chain.transactions(), chain.replayed());
    tracing::info!(contract = %address, transactions, replayed, "the embedded chain stands");
    Ok(Place {
        chain: Arc::new(chain),
        contract: Contract {
            chain_id: EMBEDDED_CHAIN,
            address,
        },
        code_hash,
        first_block: 0,
        gas: keys.gas,
        signers: keys.signers,
        threshold: EMBEDDED_THRESHOLD,
        pause: Duration::from_millis(250),
    })
}

struct EmbeddedKeys {
    gas: LocalKey,
    guardian: LocalKey,
    faucet: LocalKey,
    signers: Vec<LocalKey>,
}

impl EmbeddedKeys {
    /// Opens the keys, or makes those that are missing of a chain that has not begun. Their passphrase is
    /// random and lies beside them: on the embedded chain it keeps nobody out who can read the folder.
    fn open(disk: &Arc<dyn Disk>, folder: &Path, fresh: bool) -> Result<Self, AnchorError> {
        let trouble = |source| AnchorError::Folder {
            path: folder.into(),
            source,
        };
        disk.make_dir(folder).map_err(trouble)?;
        let path = folder.join("passphrase");
        if fresh && !path.exists() {
            let mut random = [0_u8; 32];
            getrandom::fill(&mut random).map_err(|error| KeyError::Random(error.to_string()))?;
            let text = format!("{}\n", revm::primitives::hex::encode(random));
            key_file::write_private(&path, text.as_bytes())?;
        }
        let passphrase = Passphrase::read(&path)?;
        let key = |name: &str, role| -> Result<LocalKey, AnchorError> {
            let path = folder.join(format!("{name}.key"));
            if fresh && !path.exists() {
                let key =
                    LocalKey::generate().map_err(|error| KeyError::Random(error.to_string()))?;
                key_file::save(&key, role, &path, &passphrase, Work::RANDOM)?;
            }
            Ok(key_file::load(&path, role, &passphrase)?)
        };
        let keys = Self {
            gas: key("gas", Role::Gas)?,
            guardian: key("guardian", Role::Guardian)?,
            faucet: key("faucet", Role::Gas)?,
            signers: (1..=EMBEDDED_SIGNERS)
                .map(|number| key(&format!("signer-{number}"), Role::Signer))
                .collect::<Result<_, _>>()?,
        };
        disk.sync_dir(folder).map_err(trouble)?;
        apart(&[&keys.gas, &keys.guardian, &keys.faucet], &keys.signers)?;
        Ok(keys)
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
}

/// Seconds between two lines of figures.
const FIGURES_EVERY: u64 = 60;

struct Turning {
    process: Process,
    watcher: Watcher,
    deposits: DepositLog,
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
            let trouble = self.watcher.turn(&mut self.deposits).err();
            self.tell(&rest, now);
            self.tell_deposits(trouble.map(|error| (error.is_grave(), error.to_string())));
            std::thread::park_timeout(self.pause);
        }
    }

    fn report_with(&self, change: impl FnOnce(&mut Report)) {
        self.report.send_modify(change);
    }

    fn tell(&mut self, rest: &Rest, now: u64) {
        let (state, counters) = (self.process.state(), self.process.counters());
        let silence = counters.silence;
        let health = health(self.process.policy(), state, rest, counters, silence, now);
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
        let count = self.deposits.deposits().len() as u64;
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
}
