//! Start, wait, stop: one exchange with everything embedded.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use engine::{
    command::{Command, Stamped},
    event::Event,
    exchange::Exchange,
    ids::Seq,
    journal::{self, RealDisk},
    keeper::{History, Keeper, Keeping},
    pipeline::{self, Began, Pipeline, RecoverError, Recovered},
    roots::Roots,
};
use tokio::sync::{Semaphore, oneshot, watch};
use tonic::transport::{Server, server::TcpIncoming};

use crate::{
    account, admin,
    anchor::{
        books::BookHeads,
        deposits::Watcher,
        embedded::face,
        run::{self as anchoring, AnchorError, Anchoring, Place},
        settings::{AnchorSettings, Choice, SettingsError},
    },
    archive::Archive,
    auth::Doorman,
    bulletin::Bulletin,
    clock::ExchangeClock,
    delivery,
    desk::{Desk, Environment},
    hub::{Hub, HubOutlet, Reply},
    listing, marketdata,
    proofs::{self, Book, Kept},
    reference, rfq, risk,
    sandbox::{self, Sandbox},
    settings::Settings,
    trading,
};

/// Why the exchange does not start, for an operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error("cannot use the data folder {}: {why}", folder.display())]
    Folder {
        /// Which.
        folder: std::path::PathBuf,
        /// Why not.
        why: String,
    },
    /// The journal or its snapshots.
    #[error(transparent)]
    Journal(#[from] RecoverError),
    /// The address.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Where to anchor.
    #[error("the anchor's settings")]
    AnchorSettings(#[from] SettingsError),
    /// Anchoring.
    #[error("cannot anchor")]
    Anchor(#[from] AnchorError),
    /// Anything of the operating system's.
    #[error("cannot start")]
    System(#[from] std::io::Error),
    /// Accounts, keys and contracts of a new exchange.
    #[error("cannot prepare the exchange: {0}")]
    Prepare(String),
}

/// A running exchange.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its hands, for tests and the demo's last look.
    pub desk: Desk,
    /// Ready-made accounts and keys, if this is a sandbox.
    pub sandbox: Option<Sandbox>,
    /// What the journal held at start.
    pub recovered: journal::RecoveryReport,
    /// The snapshot that the start began with.
    pub began: Began,
    /// Anchoring, unless it is off.
    pub anchoring: Option<Anchoring>,
    /// Where the embedded chain is served by JSON-RPC, if it is.
    pub chain_rpc: Option<SocketAddr>,
    /// Epochs, their proofs, and how far they have come.
    pub book: Arc<Book>,
    /// Counters of the journal.
    pub journal: Arc<journal::JournalStats>,
    pipeline: Pipeline<Reply>,
    keeping: Keeping,
    drain: watch::Sender<bool>,
    close: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<()>,
    calendar: tokio::task::JoinHandle<()>,
    chain_face: Option<tokio::task::JoinHandle<()>>,
}

/// Longest wait for clients to go when the server stops.
const GOOD_BYE: Duration = Duration::from_secs(2);

/// Starts an exchange: recovers the journal, starts the threads, prepares a new sandbox, listens.
///
/// # Errors
/// What an operator can do something about.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    prepare_folder(&settings.data)?;
    let anchor = match &settings.anchor {
        Choice::Off => None,
        Choice::Embedded => Some(AnchorSettings::default()),
        Choice::EmbeddedQuick => Some(AnchorSettings::quick()),
        Choice::File(path) => Some(AnchorSettings::read(path)?),
    };
    // Before the long part: a port in use should be told at once.
    let listener = bind(settings.listen).await?;
    let address = listener.local_addr()?;
    let Recovered {
        exchange,
        history: Filed(archive, roots),
        journal,
        report,
        began,
    } = recover(&settings).await?;
    let stats = journal.stats();
    let book = Book::new(roots);
    let keeper = Keeper::start(
        Arc::new(RealDisk),
        &settings.journal(),
        Some(&journal.position()),
        exchange.clone(),
        Kept {
            archive: archive.without_recent(),
            book: book.clone(),
        },
    )
    .map_err(RecoverError::from)?;
    let hub = Hub::new(archive);
    let outlet = HubOutlet(hub.clone());
    let room = journal.room();
    let clock = match settings.environment {
        Environment::Sandbox => ExchangeClock::after(exchange.at()),
        Environment::Production => ExchangeClock::default(),
    };
    let pipeline = pipeline::start(exchange, journal, settings.pipeline, clock.clone(), outlet)?;
    let keeping = keeper.keep(
        settings.snapshot_every,
        settings.retention.clone(),
        room,
        pipeline.fault.clone(),
    )?;
    let (drain, draining) = watch::channel(false);
    let desk = Desk {
        intake: pipeline.intake.clone(),
        follower: pipeline.follower.clone(),
        clock,
        hub,
        fault: pipeline.fault.clone(),
        durable: pipeline.durable.clone(),
        environment: settings.environment,
        journal: settings.journal(),
        draining,
        excavations: [Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(1))],
    };
    let place = match &anchor {
        Some(anchor) => Some(anchoring::open(anchor, &settings.data)?),
        None => None,
    };
    let home = place.as_ref().and_then(|place| place.home.clone());
    let sandbox = sandbox::prepare(&desk, &settings, home.as_ref())
        .await
        .map_err(|why| StartError::Prepare(format!("{why:#}")))?;
    let anchoring = match place.zip(anchor) {
        Some((place, anchor)) => {
            let books = BookHeads::new(book.clone(), desk.clone());
            first_deposits(&place, &books).await?;
            if place.home.is_some() {
                first_epoch(&desk, &book).await?;
            }
            Some(anchoring::start(place, &anchor, &settings.data, &books)?)
        }
        None => None,
    };
    // On a full disk nothing new is listed, and everybody still gets out; the calendar tries again.
    if let Err(why) = listing::list_due(&desk).await {
        tracing::warn!(%why, "nothing new is listed yet");
    }
    let chain_face = match (settings.chain_rpc, home) {
        (Some(address), Some(home)) => {
            let listener = bind(address).await?;
            Some((
                listener.local_addr()?,
                tokio::spawn(face::serve(home.chain, listener)),
            ))
        }
        (Some(address), None) => {
            let why = "only the embedded chain is served by JSON-RPC".into();
            let source = std::io::Error::other::<String>(why);
            return Err(StartError::Listen { address, source });
        }
        (None, _) => None,
    };
    let calendar = tokio::spawn(listing::keep_listed(desk.clone()));
    let (close, closed) = oneshot::channel();
    let server = tokio::spawn(serve(desk.clone(), book.clone(), listener, closed));
    Ok(Running {
        address,
        desk,
        sandbox,
        recovered: report,
        began,
        anchoring,
        chain_rpc: chain_face.as_ref().map(|(address, _)| *address),
        chain_face: chain_face.map(|(_, task)| task),
        book,
        journal: stats,
        pipeline,
        keeping,
        drain,
        close,
        server,
        calendar,
    })
}

impl Running {
    /// Stops in order: tells every stream, lets what was accepted become durable, ends the threads.
    /// The durable state stays readable through [`Self::desk`]'s follower until dropped.
    pub async fn stop(self) {
        self.calendar.abort();
        if let Some(face) = &self.chain_face {
            face.abort();
        }
        // Nobody may be listening any more; then nobody needs to be told.
        self.drain.send_replace(true);
        self.close.send(()).unwrap_or_default();
        let abort = self.server.abort_handle();
        if tokio::time::timeout(GOOD_BYE, self.server).await.is_err() {
            abort.abort();
        }
        let (pipeline, keeping, anchoring) = (self.pipeline, self.keeping, self.anchoring);
        let threads = tokio::task::spawn_blocking(move || {
            // First: what it credits must still be taken.
            if let Some(anchoring) = anchoring {
                anchoring.stop();
            }
            pipeline.stop();
            keeping.stop();
        });
        drop(threads.await);
        self.desk.hub.close_all();
    }

    /// Waits until the exchange stops by itself, and says why.
    pub async fn fault(&self) -> String {
        loop {
            if let Some(reason) = self.desk.fault.reason() {
                return reason.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What a new sandbox deposited is in the books before anybody trades.
async fn first_deposits(place: &Place, books: &BookHeads) -> Result<(), AnchorError> {
    if place.home.is_none() {
        return Ok(());
    }
    let watcher = Watcher::new(place.chain.clone(), place.contract, place.first_block);
    let mut sink = books.clone();
    let turn = tokio::task::spawn_blocking(move || watcher.turn(&mut sink));
    let turn = turn.await;
    let turn = turn.map_err(|error| AnchorError::Thread(std::io::Error::other(error)))?;
    turn.map(drop)
        .map_err(|error| AnchorError::Deposits(Box::new(error)))
}

/// An epoch with everything that was prepared, or the first one to be anchored would lack assets.
async fn first_epoch(desk: &Desk, book: &Book) -> Result<(), StartError> {
    let mut sealed = book.watch();
    let marked = desk.ask(Command::MarkEpoch).await;
    marked.map_err(|status| StartError::Prepare(status.message().to_owned()))?;
    let wanted = desk.state(|state| state.epochs().newest);
    let there = async {
        while book.sealed(wanted - 1).is_empty() {
            // A reader that is behind looks again, too.
            drop(sealed.recv().await);
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), there).await;
    waited.map_err(|_| StartError::Prepare("the first epoch is not sealed".into()))
}

fn prepare_folder(folder: &Path) -> Result<(), StartError> {
    match std::fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if folder.is_dir() {
                return Ok(());
            }
            Err(StartError::Folder {
                folder: folder.into(),
                why: "it is not a folder".into(),
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let why = "the folder above it does not exist; make it first".into();
            Err(StartError::Folder {
                folder: folder.into(),
                why,
            })
        }
        Err(error) => Err(StartError::Folder {
            folder: folder.into(),
            why: error.to_string(),
        }),
    }
}

async fn bind(address: SocketAddr) -> Result<tokio::net::TcpListener, StartError> {
    tokio::net::TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
}

/// The archive while the journal is executed again.
#[derive(Debug)]
struct Filed(Archive, Roots);

impl History for Filed {
    fn try_annex(annex: &[u8], seq: Seq) -> Result<(), String> {
        proofs::load(annex, seq).map(drop)
    }

    fn hear(&mut self, stamped: &Stamped, events: &[Event]) {
        self.0.file(Arc::new(Bulletin {
            stamped: vec![stamped.clone()],
            events: events.to_vec(),
            ends: vec![u32::try_from(events.len()).unwrap_or(u32::MAX)],
        }));
        if stamped.seq.is_multiple_of(1_000_000) {
            tracing::info!(position = stamped.seq, "replaying the journal");
        }
    }

    fn see(&mut self, exchange: &Exchange, stamped: &Stamped, events: &[Event]) {
        self.hear(stamped, events);
        self.1.hear(exchange, stamped, events);
    }

    fn end_of_block(&mut self, chain: [u8; 32]) {
        self.1.end_of_block(chain);
    }

    fn annex(&self) -> Vec<u8> {
        proofs::annex(&self.0, &self.1.save())
    }
}

/// Brings state and archive back, away from the async threads.
async fn recover(settings: &Settings) -> Result<Recovered<Filed>, StartError> {
    let dir = settings.journal();
    let mut id = [0; 8];
    getrandom::fill(&mut id).map_err(|error| StartError::Prepare(error.to_string()))?;
    // A first start that was killed before its first block leaves a folder without one.
    let known = journal::exchange_id(&journal::RealDisk, &dir).map_err(RecoverError::from)?;
    let exchange_id = known.map_or(u64::from_le_bytes(id) | 1, |_| 0);
    let mut journal_settings = journal::Settings::new(dir, exchange_id);
    journal_settings.io = settings.io;
    journal_settings.segment_bytes = settings.segment_bytes;
    journal_settings.reserve_segments = settings.reserve_segments;
    let mut chosen = settings.chosen_epochs.clone();
    // A log that does not read is told when anchoring starts.
    chosen.extend(anchoring::chosen(&settings.data).unwrap_or_default());
    let replay = tokio::task::spawn_blocking(move || {
        pipeline::recover(journal_settings, |kept| {
            let mut filed = match kept {
                None => Filed(Archive::default(), Roots::default()),
                Some((annex, seq)) => {
                    let (archive, roots) = proofs::load(annex, seq)?;
                    Filed(archive, roots)
                }
            };
            filed.1.want(chosen.iter().copied());
            Ok(filed)
        })
    });
    let recovered = replay
        .await
        .map_err(|error| StartError::Prepare(error.to_string()))??;
    if let Some(cut) = &recovered.report.cut {
        tracing::warn!(?cut, "an unacknowledged tail of the journal was cut");
    }
    Ok(recovered)
}

/// Serves until closed.
async fn serve(
    desk: Desk,
    book: Arc<Book>,
    listener: tokio::net::TcpListener,
    closed: oneshot::Receiver<()>,
) {
    use proto::{
        account::v1::account_service_server::AccountServiceServer,
        admin::v1::{
            admin_service_server::AdminServiceServer, oracle_service_server::OracleServiceServer,
        },
        delivery::v1::delivery_service_server::DeliveryServiceServer,
        marketdata::v1::market_data_service_server::MarketDataServiceServer,
        proof::v1::proof_service_server::ProofServiceServer,
        reference::v1::reference_service_server::ReferenceServiceServer,
        rfq::v1::rfq_service_server::RfqServiceServer,
        risk::v1::risk_service_server::RiskServiceServer,
        trading::v1::trading_service_server::TradingServiceServer,
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    health
        .set_serving::<TradingServiceServer<trading::Service>>()
        .await;
    health
        .set_serving::<MarketDataServiceServer<marketdata::Service>>()
        .await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
    };
    let (v1, v1alpha) = (reflection().build_v1(), reflection().build_v1alpha());
    let (Ok(v1), Ok(v1alpha)) = (v1, v1alpha) else {
        tracing::error!("the descriptor set does not decode; the build is broken");
        return;
    };
    let admin = admin::Service::new(desk.clone());
    // Nagle off, and half-open peers noticed; receive windows wide, because a session's many small
    // frames are charged against them (api.md 10.3).
    let incoming = TcpIncoming::from(listener)
        .with_nodelay(Some(true))
        .with_keepalive(Some(Duration::from_secs(30)));
    let result = Server::builder()
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .max_concurrent_streams(64)
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .layer(Doorman::new(desk.clone()))
        .add_service(health_service)
        .add_service(v1)
        .add_service(v1alpha)
        .add_service(
            TradingServiceServer::new(trading::Service::new(desk.clone()))
                .max_decoding_message_size(64 << 10),
        )
        .add_service(MarketDataServiceServer::new(marketdata::Service::new(
            desk.clone(),
        )))
        .add_service(ReferenceServiceServer::new(reference::Service::new(
            desk.clone(),
        )))
        .add_service(
            RiskServiceServer::new(risk::Service::new(desk.clone()))
                .max_decoding_message_size(64 << 10),
        )
        .add_service(
            DeliveryServiceServer::new(delivery::Service::new(desk.clone()))
                .max_decoding_message_size(64 << 10),
        )
        .add_service(
            RfqServiceServer::new(rfq::Service::new(desk.clone()))
                .max_decoding_message_size(64 << 10),
        )
        .add_service(
            ProofServiceServer::new(proofs::Service::new(desk.clone(), book))
                .max_decoding_message_size(64 << 10),
        )
        .add_service(
            AccountServiceServer::new(account::Service::new(desk))
                .max_decoding_message_size(64 << 10),
        )
        .add_service(AdminServiceServer::new(admin.clone()).max_decoding_message_size(64 << 10))
        .add_service(OracleServiceServer::new(admin).max_decoding_message_size(64 << 10))
        .serve_with_incoming_shutdown(incoming, async {
            // A dropped sender means the same: stop.
            drop(closed.await);
        })
        .await;
    if let Err(error) = result {
        tracing::error!(%error, "the server ended");
    }
}
