//! Proofs of what is owed, for those it is owed to: the proof service, and what the keeper seals for it.
//!
//! The keeper's thread owns the trees and changes them only when an epoch's mark passes, so between two marks
//! everything in them is the newest sealed epoch, and proofs are made of it without touching the core. How far
//! an epoch has come on a chain is told here by whoever anchors it: [`Book::choose`], then [`Book::note`].

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use engine::{
    command::Stamped,
    event::Event,
    exchange::Exchange,
    ids::Seq,
    keeper::History,
    roots::{Epoch, Roots},
};
use proto::proof::v1 as wire;
use tokio::sync::broadcast;

use crate::archive::Archive;

pub mod deposits;
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

impl Standing {
    /// A transaction carries it. Signatures told before stay.
    fn take(&mut self, status: wire::EpochStatus, mut anchor: wire::Anchor) {
        let before = self.anchor.take();
        if anchor.signatures.is_empty() {
            anchor.signatures = before.map(|anchor| anchor.signatures).unwrap_or_default();
        }
        self.status = status;
        self.anchor = Some(anchor);
    }
}

/// What happens to an epoch that was chosen to be anchored.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Enough root signers signed its header.
    Signed(Vec<wire::RootSignature>),
    /// Its transaction is sent.
    Submitted(wire::Anchor),
    /// Its transaction is in a block.
    Mined(wire::Anchor),
    /// That block is gone.
    Reorganised,
    /// It is in a block that cannot be undone. Older epochs need not be provable any longer.
    Final(wire::Anchor),
    /// It will not be anchored; another one will be chosen.
    Failed,
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

    /// Sealed epochs behind this one, in order, as far as they are remembered.
    #[must_use]
    pub fn sealed(&self, after: u64) -> Vec<Epoch> {
        let roots = self.roots();
        let epochs = roots.epochs().iter();
        epochs
            .filter(|epoch| epoch.header.epoch > after)
            .cloned()
            .collect()
    }

    /// The newest sealed epoch, chosen to be anchored: from now on it can be proven until a later one is final
    /// or it has failed. `None` before the first mark after a start, and just after a mark whose block has not
    /// ended: ask again when [`Self::watch`] tells of one.
    #[must_use]
    pub fn choose(&self) -> Option<Epoch> {
        let mut roots = self.roots.write().unwrap_or_else(PoisonError::into_inner);
        let number = roots.keep_newest()?;
        roots.epoch(number).cloned()
    }

    /// What happened to a chosen epoch. Watchers are told.
    pub fn note(&self, epoch: u64, step: Step) {
        let mut standings = self
            .standings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let standing = standings.entry(epoch).or_insert_with(|| Standing {
            status: wire::EpochStatus::Sealed,
            ..Standing::default()
        });
        let (mut done, mut outdated) = (None, None);
        match step {
            Step::Signed(signatures) => {
                let anchor = standing.anchor.get_or_insert_with(Default::default);
                anchor.signatures = signatures;
            }
            Step::Submitted(anchor) => standing.take(wire::EpochStatus::Submitted, anchor),
            Step::Mined(anchor) => standing.take(wire::EpochStatus::Mined, anchor),
            Step::Reorganised => standing.status = wire::EpochStatus::Reorganised,
            Step::Final(anchor) => {
                standing.take(wire::EpochStatus::Final, anchor);
                outdated = Some(epoch);
            }
            Step::Failed => {
                standings.remove(&epoch);
                done = Some(epoch);
            }
        }
        while standings.len() > engine::roots::EPOCHS_KEPT {
            standings.pop_first();
        }
        drop(standings);
        if done.or(outdated).is_some() {
            let mut roots = self.roots.write().unwrap_or_else(PoisonError::into_inner);
            let older = |kept: &u64| outdated.is_some_and(|newest| *kept < newest);
            let gone: Vec<u64> = roots.kept().filter(older).chain(done).collect();
            for epoch in gone {
                roots.let_go(epoch);
            }
        }
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
        if let Some(standing) = standings.get(&epoch) {
            return standing.clone();
        }
        // Headers are cumulative: a later final one speaks for it as well.
        let mut later = standings.range(epoch..);
        let over = later.find(|(_, row)| row.status == wire::EpochStatus::Final);
        match over {
            Some((covered_by, _)) => Standing {
                status: wire::EpochStatus::Covered,
                covered_by: i64::try_from(*covered_by).unwrap_or(i64::MAX),
                anchor: None,
            },
            None => Standing {
                status: wire::EpochStatus::Sealed,
                ..Standing::default()
            },
        }
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

/// Archive and roots of such an annex.
///
/// # Errors
/// What is wrong with it.
pub fn load(annex: &[u8], seq: Seq) -> Result<(Archive, Roots), String> {
    let (archive, roots) = split(annex)?;
    Ok((Archive::load(archive, seq)?, Roots::load(roots)?))
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
    fn try_annex(annex: &[u8], seq: Seq) -> Result<(), String> {
        load(annex, seq).map(drop)
    }

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

/// The epoch that is asked for (0 = the newest), if proofs can be made of it.
fn provable(roots: &Roots, wanted: u64) -> Option<&Epoch> {
    match wanted {
        0 => roots.provable(),
        number => roots.provable_at(number),
    }
}
