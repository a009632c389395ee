//! What was asked before, so that asking twice has one effect. Bounded in count and time; the maps are
//! never walked, so their hash order cannot reach a result (a random hash seed keeps clients from
//! choosing ids that collide).

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, Hash},
};

use crate::{
    ids::{AccountId, OrderId, Seq},
    limits,
    reason::Problem,
    units::Nanos,
};

/// First result of a client order id.
#[derive(Clone, Copy, Debug)]
pub struct FirstResult {
    /// Fingerprint of the content it came with.
    pub content: u64,
    /// Journal position.
    pub seq: Seq,
    /// The order; none if refused.
    pub order: OrderId,
    /// Why it was refused, if so.
    pub refused: Option<Problem>,
}

/// Fingerprint of a request's content. Only compared inside one process, never stored.
pub(crate) fn fingerprint(content: &impl Hash) -> u64 {
    std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(content)
}

/// Client order ids in use or recently used, oldest forgotten first.
#[derive(Clone, Debug, Default)]
pub struct ClientIds {
    results: HashMap<(AccountId, u64), FirstResult>,
    ages: VecDeque<(Nanos, AccountId, u64)>,
}

impl ClientIds {
    /// First result of an id, if remembered.
    #[must_use]
    pub fn get(&self, account: AccountId, id: u64) -> Option<&FirstResult> {
        self.results.get(&(account, id))
    }

    /// Remembers a first result. `is_open` keeps ids of open orders from being forgotten.
    pub(crate) fn remember(
        &mut self,
        at: Nanos,
        account: AccountId,
        id: u64,
        result: FirstResult,
        is_open: impl Fn(OrderId) -> bool,
    ) {
        // At most two leave for each that comes: bounded work, and the backlog still shrinks.
        for _ in 0..2 {
            let Some((age, owner, old)) = self.ages.front().copied() else {
                break;
            };
            let full = self.ages.len() >= limits::CLIENT_IDS;
            if !full && age.after(limits::CLIENT_ID_LIFE) > at {
                break;
            }
            self.ages.pop_front();
            let open = self
                .results
                .get(&(owner, old))
                .is_some_and(|old| is_open(old.order));
            if open {
                self.ages.push_back((at, owner, old));
            } else {
                self.results.remove(&(owner, old));
            }
        }
        self.ages.push_back((at, account, id));
        self.results.insert((account, id), result);
    }

    pub(crate) fn encode_state(&self, sink: &mut super::Digester) {
        for (age, account, id) in &self.ages {
            sink.add(&(age, account, id));
            let first = self.results.get(&(*account, *id));
            sink.add(&first.map(|first| (first.seq, first.order, first.refused)));
        }
    }
}

/// Administrative requests by caller's key and id.
#[derive(Clone, Debug, Default)]
pub struct RequestIds {
    results: HashMap<(String, u64), (u64, crate::event::Done)>,
    ages: VecDeque<(String, u64)>,
}

impl RequestIds {
    /// Fingerprint and first answer of a request id, if remembered.
    #[must_use]
    pub fn get(&self, key_id: &str, id: u64) -> Option<(u64, crate::event::Done)> {
        self.results.get(&(key_id.to_owned(), id)).copied()
    }

    pub(crate) fn remember(&mut self, key: &str, id: u64, print: u64, answer: crate::event::Done) {
        if self.ages.len() >= limits::REQUEST_IDS
            && let Some(oldest) = self.ages.pop_front()
        {
            self.results.remove(&oldest);
        }
        self.ages.push_back((key.to_owned(), id));
        self.results.insert((key.to_owned(), id), (print, answer));
    }
}
