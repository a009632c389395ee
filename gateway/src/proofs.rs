//! Proofs of what is owed, for those it is owed to: the proof service, and what the keeper seals for it.
//!
//! The keeper's thread owns the trees and changes them only when an epoch's mark passes, so between two marks
//! everything in them is the newest sealed epoch, and proofs are made of it without touching the core. How far
//! an epoch has come on a chain is told here by whoever anchors it ([`Book::note`]).

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use engine::{
    command::Stamped,
    event::Event,
    exchange::Exchange,
    keeper::History,
    roots::{Epoch, Roots},
};
use proto::proof::v1 as wire;
use tokio::sync::broadcast;

use crate::archive::Archive;

pub mod file;
mod service;
mod words;

pub use service::{Service, set_owner};

/// Changes of epochs that a slow watcher may be behind.
const CHANGES: usize = 1_024;

/// How far an epoch has come, and the transaction that carries it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// On the wire's scale; a sealed epoch that nobody anchors stays `SEALED`.
    pub status: wire::EpochStatus,
    /// For `COVERED`: the epoch that carries the transaction.
    pub covered_by: i64,
    /// The transaction, once sent.
    pub anchor: Option<wire::Anchor>,
}

/// Everything about epochs. Shared by the keeper, the service, and whoever anchors.
#[derive(Debug)]
pub struct Book {
    roots: RwLock<Roots>,
    standings: RwLock<BTreeMap<u64, Standing>>,
    changed: broadcast::Sender<u64>,
}

impl Book {
    /// Goes on from these roots.
    #[must_use]
    pub fn new(roots: Roots) -> Arc<Self> {
        Arc::new(Self {
            roots: RwLock::new(roots),
            standings: RwLock::default(),
            changed: broadcast::channel(CHANGES).0,
        })
    }

    /// The roots, for a short look: the keeper waits meanwhile.
    pub fn roots(&self) -> RwLockReadGuard<'_, Roots> {
        self.roots.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// An epoch has come further, or back. Watchers are told.
    pub fn note(&self, epoch: u64, standing: Standing) {
        let mut standings = self
            .standings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        standings.insert(epoch, standing);
        while standings.len() > engine::roots::EPOCHS_KEPT {
            standings.pop_first();
        }
        drop(standings);
        // Nobody may be watching.
        drop(self.changed.send(epoch));
    }

    /// How far a sealed epoch has come.
    #[must_use]
    pub fn standing(&self, epoch: u64) -> Standing {
        let standings = self
            .standings
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        standings.get(&epoch).cloned().unwrap_or(Standing {
            status: wire::EpochStatus::Sealed,
            ..Standing::default()
        })
    }

    /// Numbers of epochs as they are sealed or come further.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<u64> {
        self.changed.subscribe()
    }

    fn see(&self, exchange: &Exchange, stamped: &Stamped, events: &[Event]) {
        let mut roots = self.roots.write().unwrap_or_else(PoisonError::into_inner);
        roots.hear(exchange, stamped, events);
    }

    fn end_of_block(&self, chain: [u8; 32]) {
        let mut roots = self.roots.write().unwrap_or_else(PoisonError::into_inner);
        let sealed = roots.end_of_block(chain);
        let newest = roots.epochs().back().map_or(0, |epoch| epoch.header.epoch);
        drop(roots);
        for behind in (0..sealed as u64).rev() {
            drop(self.changed.send(newest - behind));
        }
    }

    /// What a snapshot keeps of it.
    fn save(&self) -> Vec<u8> {
        self.roots().save()
    }
}

/// What the gateway keeps beside the state in a snapshot: the archive, with its length before it, then the
/// roots.
#[must_use]
pub fn annex(archive: &Archive, roots: &[u8]) -> Vec<u8> {
    let archive = archive.save();
    let mut bytes = (archive.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(&archive);
    bytes.extend_from_slice(roots);
    bytes
}

/// Archive and roots of such an annex, as bytes.
///
/// # Errors
/// If it is too short for what it says.
pub fn split(annex: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let damaged = || "the saved history is shorter than it says".to_owned();
    let (length, rest) = annex.split_first_chunk::<8>().ok_or_else(damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
    rest.split_at_checked(length).ok_or_else(damaged)
}

/// The keeper's memory: what a snapshot keeps of the past, and the roots.
#[derive(Debug)]
pub struct Kept {
    /// Without the events that the journal has.
    pub archive: Archive,
    /// Shared with the service.
    pub book: Arc<Book>,
}

impl History for Kept {
    fn hear(&mut self, stamped: &Stamped, events: &[Event]) {
        self.archive.index(stamped, events);
    }

    fn see(&mut self, exchange: &Exchange, stamped: &Stamped, events: &[Event]) {
        self.hear(stamped, events);
        self.book.see(exchange, stamped, events);
    }

    fn end_of_block(&mut self, chain: [u8; 32]) {
        self.book.end_of_block(chain);
    }

    fn annex(&self) -> Vec<u8> {
        annex(&self.archive, &self.book.save())
    }
}

/// Whether an epoch is the one that proofs can be made of.
fn provable(roots: &Roots, wanted: u64) -> Option<&Epoch> {
    roots
        .provable()
        .filter(|epoch| wanted == 0 || epoch.header.epoch == wanted)
}
