//! What an operator can set.

use std::{net::SocketAddr, path::PathBuf};

use engine::{
    journal::{IoChoice, RESERVE_SEGMENTS, SEGMENT_BYTES_DEFAULT},
    keeper::Retention,
};

use crate::{anchor::settings::Choice, desk::Environment};

/// Milliseconds between two epochs of `hashpit serve`, unless told otherwise.
pub const EPOCH_MS: i64 = 10_000;

/// Settings of one exchange process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of journal and keys; made if its parent is there.
    pub data: PathBuf,
    /// Where to listen; port 0 = any free one.
    pub listen: SocketAddr,
    /// How the journal writes.
    pub io: IoChoice,
    /// Bytes of a journal segment, for a new folder.
    pub segment_bytes: u64,
    /// Segments made ahead of need: what cancels go on into when the disk is full. At least 1.
    pub reserve_segments: usize,
    /// Commands between two snapshots; 0 = none are taken.
    pub snapshot_every: u64,
    /// What becomes of segments that no snapshot needs.
    pub retention: Retention,
    /// Sandbox or production.
    pub environment: Environment,
    /// Production: the operator's public key, registered when the journal is new.
    pub operator_public_key: Option<[u8; 32]>,
    /// Value of the BTC hashprice index before its first fixing, in millisat per PH/s and day.
    pub first_hashprice_millisat: i64,
    /// Where state roots are anchored.
    pub anchor: Choice,
    /// Serve the embedded chain by JSON-RPC here.
    pub chain_rpc: Option<SocketAddr>,
    /// Whether the sandbox's actors are given play money. Not where deposits come from a chain: with play money
    /// in the books nothing can be posted there (ROOT-06).
    pub play_money: bool,
    /// Epochs that were chosen to be anchored: kept provable if their marks are executed again at the start.
    pub chosen_epochs: Vec<u64>,
    /// Threads and queues.
    pub pipeline: engine::pipeline::Settings,
}

impl Settings {
    /// A sandbox in a folder, on any free port of this machine.
    #[must_use]
    pub fn sandbox(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            io: IoChoice::Auto,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            reserve_segments: RESERVE_SEGMENTS,
            snapshot_every: 1_000_000,
            retention: Retention::All,
            environment: Environment::Sandbox,
            operator_public_key: None,
            first_hashprice_millisat: 42_635_721,
            anchor: Choice::Off,
            chain_rpc: None,
            play_money: true,
            chosen_epochs: Vec::new(),
            pipeline: engine::pipeline::Settings::default(),
        }
    }

    /// Folder of the journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.data.join("journal")
    }

    /// Folder of the sandbox's keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.data.join("keys")
    }
}
