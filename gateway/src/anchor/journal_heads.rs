//! The exchange's side without state trees: a header that commits to the journal, and to nothing else.
//!
//! Journal position and chain value are real, so a header proves which history the exchange had; balances,
//! withdrawals and fills are empty, so nobody can prove a balance with it or leave with it. The state trees
//! take this place behind the same two interfaces, [`Heads`] and [`Witness`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use engine::journal::{self, Follow, JournalError, Position, RealDisk};
use revm::primitives::B256;

use super::{
    header::{Content, Header, Heads, Newest},
    root_signer::Witness,
};

/// Blocks of which the chain value is remembered; older ones are read again.
const REMEMBERED: usize = 4_096;

#[derive(Debug)]
struct Books {
    folder: PathBuf,
    follow: Follow,
    /// Chain value after a journal position.
    seen: BTreeMap<u64, B256>,
}

/// The journal of a running exchange; copies look at the same one.
#[derive(Clone, Debug)]
pub struct JournalHeads(Arc<Mutex<Books>>);

impl JournalHeads {
    /// Follows a journal from a place on.
    ///
    /// # Errors
    /// If there is no journal, or not that place in it.
    pub fn follow(folder: &Path, from: &Position) -> Result<Self, JournalError> {
        let follow = Follow::start(Arc::new(RealDisk), folder, Some(from))?;
        let seen = BTreeMap::from([(from.last_seq(), from.chain().into())]);
        Ok(Self(Arc::new(Mutex::new(Books {
            folder: folder.into(),
            follow,
            seen,
        }))))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Reads on; the newest durable position and its chain value.
    fn newest(&mut self) -> Result<(u64, B256), String> {
        loop {
            let seen = &mut self.seen;
            let more = self.follow.turn(|block| {
                let last = block.first_seq + u64::from(block.count);
                seen.insert(last.saturating_sub(1), block.chain.into());
                Ok(())
            });
            while self.seen.len() > REMEMBERED {
                self.seen.pop_first();
            }
            if !more.map_err(|error| error.to_string())? {
                break;
            }
        }
        Ok(self
            .seen
            .last_key_value()
            .map_or((0, B256::ZERO), |(seq, chain)| (*seq, *chain)))
    }

    /// The chain value after a position, read again if it is long ago.
    fn chain_at(&self, seq: u64) -> Result<Option<B256>, String> {
        if let Some(chain) = self.seen.get(&seq) {
            return Ok(Some(*chain));
        }
        let mut found = None;
        journal::scan(&self.folder, |block| {
            if block.first_seq + u64::from(block.count) == seq + 1 {
                found = Some(block.chain.into());
            }
            Ok(())
        })
        .map_err(|error| error.to_string())?;
        Ok(found)
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Heads for JournalHeads {
    fn newest(&mut self) -> Newest {
        let seq = self.books().newest().map_or(0, |(seq, _)| seq);
        // An idle exchange anchors too: silence would let anybody freeze the contract.
        Newest {
            epoch: now(),
            seq,
            urgent: false,
        }
    }

    fn content(&mut self, number: u64, previous: B256) -> Result<Option<Content>, String> {
        let (seq, chain) = self.books().newest()?;
        let header = Header {
            epoch: number,
            seq,
            time: now(),
            prev: previous,
            journal_head: chain,
            ..Header::default()
        };
        Ok(Some(Content {
            header,
            ..Content::default()
        }))
    }
}

impl Witness for JournalHeads {
    fn agrees(&self, header: &Header) -> Result<(), String> {
        match self.books().chain_at(header.seq)? {
            Some(chain) if chain == header.journal_head => Ok(()),
            Some(chain) => Err(format!("after {} the journal has {chain}", header.seq)),
            None => Err(format!(
                "the journal has no block that ends at {}",
                header.seq
            )),
        }
    }
}
