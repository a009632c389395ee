//! A real exchange in a folder of its own, on a free port of this machine, and clients for it.

use std::path::{Path, PathBuf};

use gateway::{
    client::{Client, Session, SessionOptions},
    keys::PrivateKey,
    server::{self, Running},
    settings::Settings,
};
use proto::{
    common::v1::{Side, TradingState},
    reference::v1::{Instrument, ListInstrumentsRequest},
    trading::v1::{DisconnectAction, NewOrder, OrderType, TimeInForce},
};

/// A folder that goes away with its owner.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// An empty folder for one test.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hashpit-{test}-{}", std::process::id()));
        // Left over from a killed run under the same process number.
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind harms nobody.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Settings for a test: small segments, quick reopening.
#[must_use]
pub fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::sandbox(folder);
    settings.segment_bytes = 4 << 20;
    settings.pipeline.post_only_ms = 0;
    settings
}

/// A running exchange with its sandbox actors.
#[derive(Debug)]
pub struct Venue {
    /// The server.
    pub running: Running,
    /// Folder of its keys.
    pub keys: PathBuf,
}

impl Venue {
    /// Starts one in a folder, or starts the folder's again.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(settings(folder)).await
    }

    /// Starts one with its own settings.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_with(settings: Settings) -> Self {
        let keys = settings.keys();
        let running = server::start(settings).await.expect("the exchange starts");
        Self { running, keys }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// A client of a sandbox actor, such as `maker-1`.
    ///
    /// # Panics
    /// If the actor has no key or nobody listens.
    pub async fn client(&self, actor: &str) -> Client {
        connect(&self.address(), &self.keys, actor).await
    }

    /// Number of an actor's account.
    ///
    /// # Panics
    /// If there is no such actor.
    #[must_use]
    pub fn account(&self, actor: &str) -> i64 {
        let sandbox = self.running.sandbox.as_ref().expect("a sandbox");
        sandbox
            .actors
            .iter()
            .find(|known| known.name == actor)
            .expect("a known actor")
            .account
    }

    /// A session of an actor: heartbeats every second, orders cancelled when it is lost.
    ///
    /// # Panics
    /// If the login fails.
    pub async fn session(&self, actor: &str, name: &str, grace_ms: i32) -> Session {
        let options = SessionOptions {
            name: name.into(),
            account_id: self.account(actor),
            heartbeat_interval_ms: 1_000,
            disconnect_action: DisconnectAction::CancelSessionOrders,
            disconnect_grace_ms: grace_ms,
        };
        Session::open(self.client(actor).await, options)
            .await
            .expect("the login succeeds")
    }

    /// The nearest BTC forward that is open.
    ///
    /// # Panics
    /// If none is listed.
    pub async fn forward(&self) -> Instrument {
        let client = self.client("maker-1").await;
        let all = client
            .reference()
            .list_instruments(ListInstrumentsRequest::default())
            .await;
        let all = all
            .expect("instruments are listed")
            .into_inner()
            .instruments;
        all.into_iter()
            .find(|contract| {
                contract.symbol.starts_with("BTC-FWD-")
                    && contract.state == TradingState::Open as i32
            })
            .expect("an open forward")
    }
}

/// A client with a key from a folder.
///
/// # Panics
/// If the key is missing or nobody listens.
pub async fn connect(address: &str, keys: &Path, actor: &str) -> Client {
    let key = PrivateKey::load(&keys.join(format!("{actor}.key"))).expect("a key file");
    Client::connect(address, key)
        .await
        .expect("somebody listens")
}

/// A resting limit order.
#[must_use]
pub fn limit(id: u64, contract: &Instrument, side: Side, lots: i64, price: i64) -> NewOrder {
    NewOrder {
        client_order_id: id,
        instrument_id: contract.instrument_id,
        side: side as i32,
        order_type: OrderType::Limit as i32,
        time_in_force: TimeInForce::Gtc as i32,
        price_ticks: Some(price),
        quantity_lots: lots,
        ..NewOrder::default()
    }
}
