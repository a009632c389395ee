//! The public door, seen from outside: one connection, and a fresh token on every call.
//!
//! Everything a person or a bot does with the exchange goes through here and therefore through public
//! gRPC; nothing in this module knows how the exchange works inside. A [`Client`] is one TCP connection.
//! A trading session and a market data feed deserve one each: see [`Client::another`].

mod error;
mod login;
mod pages;
mod quotes;
pub mod reports;
mod session;
mod sign;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proto::{
    account::v1::account_service_client::AccountServiceClient,
    admin::v1::{
        admin_service_client::AdminServiceClient, oracle_service_client::OracleServiceClient,
    },
    delivery::v1::delivery_service_client::DeliveryServiceClient,
    marketdata::v1::market_data_service_client::MarketDataServiceClient,
    proof::v1::proof_service_client::ProofServiceClient,
    reference::v1::reference_service_client::ReferenceServiceClient,
    rfq::v1::rfq_service_client::RfqServiceClient,
    risk::v1::risk_service_client::RiskServiceClient,
    trading::v1::trading_service_client::TradingServiceClient,
};
use tonic::transport::{Channel, Endpoint};

pub use error::{ClientError, Refusal, reason_name};
pub use quotes::{Quotes, Steps};
pub use session::{Recovered, Session, SessionOptions, Unsent};
pub use sign::{Signed, Signer};

use crate::keys::PrivateKey;

/// Receive window of one stream. Large, because a stream of small messages that waits to be read is
/// charged against the window of the whole connection.
const STREAM_WINDOW: u32 = 4 << 20;
/// Receive window of the connection.
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Largest message the client reads: a full order-by-order snapshot fits.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One connection to an exchange, with the key that speaks on it. Clones share the connection.
#[derive(Clone)]
pub struct Client {
    address: String,
    signer: Arc<Signer>,
    channel: Channel,
}

impl Client {
    /// Connects to an address such as `http://127.0.0.1:7070`. The key is not checked until the first
    /// call.
    pub async fn connect(
        address: &str,
        key: impl Into<Arc<PrivateKey>>,
    ) -> Result<Self, ClientError> {
        Self::open(address, Arc::new(Signer::new(key.into()))).await
    }

    /// A second connection with the same key: one for each session and each feed.
    pub async fn another(&self) -> Result<Self, ClientError> {
        Self::open(&self.address, Arc::clone(&self.signer)).await
    }

    async fn open(address: &str, signer: Arc<Signer>) -> Result<Self, ClientError> {
        let endpoint =
            Endpoint::from_shared(address.to_owned()).map_err(|cause| ClientError::Address {
                address: address.into(),
                cause,
            })?;
        let channel = endpoint
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5))
            .user_agent(concat!("hashpit/", env!("CARGO_PKG_VERSION")))
            .map_err(|cause| ClientError::Address {
                address: address.into(),
                cause,
            })?
            .connect()
            .await
            .map_err(|cause| ClientError::Connect {
                address: address.into(),
                cause,
            })?;
        Ok(Self {
            address: address.into(),
            signer,
            channel,
        })
    }

    /// Where this client is connected to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Name of the key that signs.
    pub fn key_id(&self) -> &str {
        self.signer.key_id()
    }

    fn signed(&self) -> Signed {
        Signed::new(self.channel.clone(), Arc::clone(&self.signer))
    }

    /// Orders, sessions and fills.
    pub fn trading(&self) -> TradingServiceClient<Signed> {
        TradingServiceClient::new(self.signed()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Books, trades, curves and indexes.
    pub fn market_data(&self) -> MarketDataServiceClient<Signed> {
        MarketDataServiceClient::new(self.signed()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Assets, commodities and instruments.
    pub fn reference(&self) -> ReferenceServiceClient<Signed> {
        ReferenceServiceClient::new(self.signed()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Balances, positions and margin.
    pub fn account(&self) -> AccountServiceClient<Signed> {
        AccountServiceClient::new(self.signed()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Epochs and proofs.
    pub fn proof(&self) -> ProofServiceClient<Signed> {
        ProofServiceClient::new(self.signed()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Kill switches and market maker protection of the own firm.
    pub fn risk(&self) -> RiskServiceClient<Signed> {
        RiskServiceClient::new(self.signed()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The operator's calls.
    pub fn admin(&self) -> AdminServiceClient<Signed> {
        AdminServiceClient::new(self.signed()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Destinations, obligations and settlements.
    pub fn delivery(&self) -> DeliveryServiceClient<Signed> {
        DeliveryServiceClient::new(self.signed()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Block trades.
    pub fn rfq(&self) -> RfqServiceClient<Signed> {
        RfqServiceClient::new(self.signed()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Index fixings and other facts from outside.
    pub fn oracle(&self) -> OracleServiceClient<Signed> {
        OracleServiceClient::new(self.signed()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

/// The client's clock, UTC nanoseconds since 1970; 0 if it stands before that.
pub fn now_unix_nanos() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
