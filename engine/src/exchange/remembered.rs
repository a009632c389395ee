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
    /// Core time of its first use.
    pub at: Nanos,
}

/// Fingerprint of a request's content. Only compared inside one process, never stored.
pub(crate) fn fingerprint(content: &impl Hash) -> u64 {
    std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(content)
}

/// Client order ids in use or recently used, each account's oldest forgotten first.
#[derive(Clone, Debug, Default)]
pub struct ClientIds {
    results: HashMap<(AccountId, u64), FirstResult>,
    /// Per account: ids in order of age, with the position of the use that is meant: an id used again
    /// later is not forgotten with its former use. A flood of one account pushes out only its own.
    ages: Vec<VecDeque<(Nanos, u64, Seq)>>,
    count: usize,
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
        let row = account.index().unwrap_or(0);
        if self.ages.len() <= row {
            self.ages.resize_with(row + 1, VecDeque::new);
        }
        let ages = &mut self.ages[row];
        // At most two leave for each that comes: bounded work, and a backlog still shrinks.
        for _ in 0..2 {
            let Some((age, old, seq)) = ages.front().copied() else {
                break;
            };
            let full =
                ages.len() >= limits::CLIENT_IDS_PER_ACCOUNT || self.count >= limits::CLIENT_IDS;
            if !full && age.after(limits::CLIENT_ID_LIFE) > at {
                break;
            }
            ages.pop_front();
            let meant = self
                .results
                .get(&(account, old))
                .filter(|first| first.seq == seq);
            if meant.is_some_and(|first| is_open(first.order)) {
                ages.push_back((at, old, seq));
                continue;
            }
            if meant.is_some() {
                self.results.remove(&(account, old));
            }
            self.count -= 1;
        }
        ages.push_back((at, id, result.seq));
        self.count += 1;
        self.results.insert((account, id), result);
    }

    pub(crate) fn encode_state(&self, sink: &mut super::Digester) {
        for (row, ages) in self.ages.iter().enumerate() {
            let account = AccountId::nth(row);
            for (age, id, seq) in ages {
                sink.add(&(account, age, id, seq));
                let first = self.results.get(&(account, *id));
                sink.add(&first.map(|first| (first.seq, first.order, first.refused)));
            }
        }
    }
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
