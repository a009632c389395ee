//! Withdrawals and administrative requests asked before, so that asking twice has one effect. Bounded
//! in count; the maps are never walked, so their hash order cannot reach a result (a random hash seed
//! keeps clients from choosing ids that collide).

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, Hash},
};

use crate::{ids::AccountId, limits};

mod saved;

/// Fingerprint of a request's content: the same in every process of one version of this program, since
/// saved states hold it. Whoever makes two contents that collide fools nobody but himself.
pub(crate) fn fingerprint(content: &impl Hash) -> u64 {
    foldhash::fast::FixedState::with_seed(0).hash_one(content)
}

/// Withdrawals by account and the client's id, and how many of an account wait for a decision.
#[derive(Clone, Debug, Default)]
pub(crate) struct Withdrawals {
    by_client_id: HashMap<(AccountId, u64), u32>,
    pending: HashMap<AccountId, usize>,
}

impl Withdrawals {
    /// Number of the transfer asked for under an id.
    pub(crate) fn get(&self, account: AccountId, client_id: u64) -> Option<u32> {
        self.by_client_id.get(&(account, client_id)).copied()
    }

    /// How many of an account wait.
    pub(crate) fn pending(&self, account: AccountId) -> usize {
        self.pending.get(&account).copied().unwrap_or(0)
    }

    pub(crate) fn ask(&mut self, account: AccountId, client_id: u64, transfer: u32) {
        self.by_client_id.insert((account, client_id), transfer);
        *self.pending.entry(account).or_default() += 1;
    }

    pub(crate) fn decide(&mut self, account: AccountId) {
        if let Some(pending) = self.pending.get_mut(&account) {
            *pending = pending.saturating_sub(1);
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
