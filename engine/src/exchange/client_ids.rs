//! Client order ids: what was asked under an id before, so that asking twice has one effect.
//!
//! ```text
//!  index:    open addressing, a place per id; grows by moving a few places with each insertion,
//!            so that no single command ever pays for all of them
//!  entries:  in chunks, linked per account from the oldest to the newest
//! ```
//!
//! Finding, remembering and forgetting an id touch a bounded number of places. The index is never
//! walked, so its order cannot reach a result; its hash is seeded at random, so that clients cannot
//! choose ids that collide.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::{
    ids::{AccountId, OrderId, Seq},
    limits,
    prefetch::prefetch,
    reason::Problem,
    units::Nanos,
    visits::visit,
};

mod saved;

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

/// "No entry" in a link.
const NONE: u32 = u32::MAX;
/// Entries of one chunk.
const CHUNK: usize = 4_096;
/// Places of the first index.
const FIRST_INDEX: usize = 1 << 12;
/// Old places moved with each insertion while the index grows: more than two for each new one, so that
/// the old index is gone before the new one is half full.
const MOVED: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u64,
    account: AccountId,
    /// The account's next younger entry.
    younger: u32,
    /// When it came to the young end of its account.
    since: Nanos,
    /// Taken out of the index because a later use of the id replaced it.
    replaced: bool,
    first: FirstResult,
}

impl Entry {
    const BLANK: Self = Self {
        id: 0,
        account: AccountId(0),
        younger: NONE,
        since: Nanos::ZERO,
        replaced: false,
        first: FirstResult {
            content: 0,
            seq: 0,
            order: OrderId(0),
            refused: None,
            at: Nanos::ZERO,
        },
    };
}

/// An id in use by the present command: what is to be remembered, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) hash: u64,
    pub(super) account: AccountId,
    pub(super) id: u64,
    /// Fingerprint of the content it came with.
    pub(super) content: u64,
    /// It has a first result already, which counts no more.
    pub(super) again: bool,
}

/// Oldest and newest id of an account.
#[derive(Clone, Copy, Debug)]
struct Row {
    oldest: u32,
    newest: u32,
    count: usize,
    /// When the oldest came; kept here so that most insertions need not look it up.
    since: Nanos,
}

impl Row {
    const EMPTY: Self = Self {
        oldest: NONE,
        newest: NONE,
        count: 0,
        since: Nanos::ZERO,
    };
}

/// Open addressing with linear probing and backward-shift deletion. A place holds the upper half of an
/// id's hash and its entry + 1; 0 = free. The hash says where a place belongs, so that neither probing
/// nor moving looks at an entry unless it is very likely the one.
#[derive(Clone, Debug, Default)]
struct Index {
    places: Vec<u64>,
    used: usize,
}

impl Index {
    fn with_places(places: usize) -> Self {
        Self {
            places: vec![0; places],
            used: 0,
        }
    }

    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }

    fn home(&self, place: u64) -> usize {
        (place >> 32) as usize & self.mask()
    }

    fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<(usize, u32)> {
        if self.used == 0 {
            return None;
        }
        let mut at = self.home(hash);
        while self.places[at] != 0 {
            visit();
            let place = self.places[at];
            if place >> 32 == hash >> 32 && is_it(place as u32 - 1) {
                return Some((at, place as u32 - 1));
            }
            at = (at + 1) & self.mask();
        }
        None
    }

    fn insert(&mut self, hash: u64, entry: u32) {
        self.put(hash >> 32 << 32 | u64::from(entry + 1));
    }

    fn put(&mut self, place: u64) {
        let mut at = self.home(place);
        while self.places[at] != 0 {
            visit();
            at = (at + 1) & self.mask();
        }
        self.places[at] = place;
        self.used += 1;
    }

    /// Frees a place and closes the gap behind it.
    fn remove(&mut self, mut gap: usize) {
        let mask = self.mask();
        let mut at = gap;
        loop {
            visit();
            at = (at + 1) & mask;
            if self.places[at] == 0 {
                break;
            }
            let home = self.home(self.places[at]);
            let may_move = at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask;
            if may_move {
                self.places[gap] = self.places[at];
                gap = at;
            }
        }
        self.places[gap] = 0;
        self.used -= 1;
    }
}

/// Client order ids in use or recently used, each account's oldest forgotten first.
#[derive(Debug)]
pub struct ClientIds {
    seed: RandomState,
    index: Index,
    /// The index before it grew, from whose `moved`-th place on entries have not moved yet.
    old: Index,
    moved: usize,
    chunks: Vec<Vec<Entry>>,
    /// Entries ever stored in chunks, free ones included.
    stored: usize,
    free: Vec<u32>,
    rows: Vec<Row>,
    count: usize,
}

impl Default for ClientIds {
    fn default() -> Self {
        Self {
            seed: RandomState::default(),
            index: Index::with_places(FIRST_INDEX),
            old: Index::default(),
            moved: 0,
            chunks: Vec::new(),
            stored: 0,
            free: Vec::new(),
            rows: Vec::new(),
            count: 0,
        }
    }
}

impl Clone for ClientIds {
    /// A copy with as much room.
    fn clone(&self) -> Self {
        let chunk = |chunk: &Vec<Entry>| {
            let mut copy = Vec::with_capacity(CHUNK);
            copy.extend_from_slice(chunk);
            copy
        };
        let mut free = Vec::with_capacity(self.free.capacity());
        free.extend_from_slice(&self.free);
        Self {
            seed: self.seed.clone(),
            index: self.index.clone(),
            old: self.old.clone(),
            moved: self.moved,
            chunks: self.chunks.iter().map(chunk).collect(),
            stored: self.stored,
            free,
            rows: self.rows.clone(),
            count: self.count,
        }
    }
}

impl ClientIds {
    /// First result of an id, if remembered.
    #[must_use]
    pub fn get(&self, account: AccountId, id: u64) -> Option<&FirstResult> {
        self.get_hashed(self.hash(account, id), account, id)
    }

    /// As [`Self::get`], where the id's hash is known.
    pub(super) fn get_hashed(
        &self,
        hash: u64,
        account: AccountId,
        id: u64,
    ) -> Option<&FirstResult> {
        let entry = self.find(hash, account, id)?;
        Some(&self.entry(entry).first)
    }

    /// Asks for where an id will be looked for, and for its account's row.
    pub(super) fn ask(&self, account: AccountId, id: u64) {
        let hash = self.hash(account, id);
        for index in [&self.index, &self.old] {
            if let Some(place) = index.places.get(index.home(hash)) {
                prefetch(place);
            }
        }
        if let Some(row) = account.index().and_then(|row| self.rows.get(row)) {
            prefetch(row);
        }
    }

    /// Asks for an account's youngest entry, to which its next one will be linked.
    pub(super) fn ask_last(&self, account: AccountId) {
        if let Some(row) = account.index().and_then(|row| self.rows.get(row))
            && row.newest != NONE
        {
            prefetch(&self.entry(row.newest).younger);
        }
    }

    /// Where an id belongs; valid as long as these ids live, and in no other exchange.
    pub(super) fn hash(&self, account: AccountId, id: u64) -> u64 {
        self.seed
            .hash_one((u64::from(account.0) << 32) ^ id.rotate_left(32) ^ id)
    }

    fn entry(&self, entry: u32) -> &Entry {
        visit();
        &self.chunks[entry as usize / CHUNK][entry as usize % CHUNK]
    }

    fn entry_mut(&mut self, entry: u32) -> &mut Entry {
        visit();
        &mut self.chunks[entry as usize / CHUNK][entry as usize % CHUNK]
    }

    fn find(&self, hash: u64, account: AccountId, id: u64) -> Option<u32> {
        let is_it = |entry| {
            let entry = self.entry(entry);
            entry.id == id && entry.account == account
        };
        let found = self.index.find(hash, is_it);
        found
            .or_else(|| self.old.find(hash, is_it))
            .map(|(_, entry)| entry)
    }

    /// Remembers a first result; `again`: the id has one already. `is_open` keeps ids of open orders from
    /// being forgotten.
    pub(super) fn remember(
        &mut self,
        used: &Use,
        order: OrderId,
        refused: Option<&Problem>,
        (seq, at): (Seq, Nanos),
        is_open: impl Fn(OrderId) -> bool,
    ) {
        let (hash, account, id) = (used.hash, used.account, used.id);
        let row = account.index().unwrap_or(0);
        if self.rows.len() <= row {
            self.rows.resize(row + 1, Row::EMPTY);
        }
        self.forget_oldest(at, row, is_open);
        if used.again
            && let Some(entry) = self.find(hash, account, id)
        {
            self.unindex(entry);
            self.entry_mut(entry).replaced = true;
        }
        let place = self.place();
        let entry = self.entry_mut(place);
        (entry.id, entry.account) = (id, account);
        (entry.younger, entry.since, entry.replaced) = (NONE, at, false);
        let first = &mut entry.first;
        (first.content, first.seq, first.at) = (used.content, seq, at);
        first.order = order;
        match refused {
            Some(problem) => first.refused = Some(*problem),
            None => first.refused = None,
        }
        let entry = place;
        self.append(row, entry);
        self.count += 1;
        self.make_room();
        self.index.insert(hash, entry);
    }

    /// At most two leave for each that comes: bounded work, and a backlog still shrinks.
    fn forget_oldest(&mut self, at: Nanos, row: usize, is_open: impl Fn(OrderId) -> bool) {
        for _ in 0..2 {
            let Row {
                oldest,
                count,
                since,
                ..
            } = self.rows[row];
            let full = count >= limits::CLIENT_IDS_PER_ACCOUNT || self.count >= limits::CLIENT_IDS;
            if oldest == NONE || (!full && since.after(limits::CLIENT_ID_LIFE) > at) {
                return;
            }
            let Entry {
                younger,
                replaced,
                first,
                ..
            } = *self.entry(oldest);
            self.rows[row].oldest = younger;
            self.rows[row].count -= 1;
            match younger {
                NONE => self.rows[row].newest = NONE,
                younger => self.rows[row].since = self.entry(younger).since,
            }
            if !replaced && is_open(first.order) {
                let entry = self.entry_mut(oldest);
                entry.younger = NONE;
                entry.since = at;
                self.append(row, oldest);
                continue;
            }
            if !replaced {
                self.unindex(oldest);
            }
            self.free.push(oldest);
            self.count -= 1;
        }
    }

    /// Puts an entry at the young end of its account.
    fn append(&mut self, row: usize, entry: u32) {
        let since = self.entry(entry).since;
        let newest = std::mem::replace(&mut self.rows[row].newest, entry);
        if newest == NONE {
            self.rows[row].oldest = entry;
            self.rows[row].since = since;
        } else {
            self.entry_mut(newest).younger = entry;
        }
        self.rows[row].count += 1;
    }

    /// A place for a new entry.
    fn place(&mut self) -> u32 {
        if let Some(free) = self.free.pop() {
            return free;
        }
        let place = self.stored;
        if place / CHUNK == self.chunks.len() {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks[place / CHUNK].push(Entry::BLANK);
        self.stored += 1;
        u32::try_from(place).unwrap_or(NONE)
    }

    /// Makes room for so many ids before they come.
    pub(super) fn reserve(&mut self, ids: usize) {
        while self.chunks.len() * CHUNK < ids {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.free.reserve(ids.saturating_sub(self.free.len()));
        let places = (ids * 2).next_power_of_two();
        if self.count == 0 && self.index.places.len() < places {
            self.index = Index::with_places(places);
        }
    }

    fn unindex(&mut self, entry: u32) {
        let Entry { account, id, .. } = *self.entry(entry);
        let hash = self.hash(account, id);
        for index in [&mut self.index, &mut self.old] {
            if let Some((place, _)) = index.find(hash, |other| other == entry) {
                index.remove(place);
                return;
            }
        }
    }

    /// Keeps the index at most half full, and moves a few places of the one before.
    fn make_room(&mut self) {
        if self.old.used == 0 && (self.index.used + 1) * 2 > self.index.places.len() {
            let bigger = Index::with_places(self.index.places.len() * 2);
            self.old = std::mem::replace(&mut self.index, bigger);
            self.moved = 0;
        }
        for _ in 0..MOVED {
            if self.old.used == 0 {
                return;
            }
            visit();
            // A removal may have closed a gap across the end, so the walk may have to begin anew.
            let at = self.moved % self.old.places.len();
            match self.old.places[at] {
                0 => self.moved += 1,
                place => {
                    // The gap is closed from behind: the same place once more.
                    self.old.remove(at);
                    self.index.put(place);
                }
            }
        }
        if self.old.used == 0 {
            self.old = Index::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn result(seq: u64, order: u64) -> FirstResult {
        FirstResult {
            content: seq,
            seq,
            order: OrderId(order),
            refused: None,
            at: Nanos(1),
        }
    }

    fn remember(
        ids: &mut ClientIds,
        account: AccountId,
        id: u64,
        first: FirstResult,
        again: bool,
        is_open: impl Fn(OrderId) -> bool,
    ) {
        let used = Use {
            hash: ids.hash(account, id),
            account,
            id,
            content: first.content,
            again,
        };
        ids.remember(&used, first.order, None, (first.seq, first.at), is_open);
    }

    #[test]
    fn a_hundred_thousand_ids_are_found_while_the_index_grows() {
        let mut ids = ClientIds::default();
        let mut plain = HashMap::new();
        for n in 0..100_000_u64 {
            let (account, id) = (
                AccountId::nth((n % 7) as usize),
                n.wrapping_mul(0x9e37) % 60_000,
            );
            let again = ids.get(account, id).is_some();
            remember(&mut ids, account, id, result(n, n), again, |_| false);
            plain.insert((account, id), n);
            if n % 1_000 == 0 {
                for ((account, id), seq) in &plain {
                    assert_eq!(ids.get(*account, *id).map(|first| first.seq), Some(*seq));
                }
            }
        }
        assert_eq!(ids.get(AccountId(1), 60_001).map(|first| first.seq), None);
    }

    #[test]
    fn after_a_day_the_oldest_leave_but_open_orders_keep_their_ids() {
        let mut ids = ClientIds::default();
        let account = AccountId(1);
        let open = |order: OrderId| order.0 == 3;
        for n in 1..=5 {
            remember(&mut ids, account, n, result(n, n), false, open);
        }
        for n in 6..=10 {
            let mut first = result(n, n);
            first.at = Nanos(1 + limits::CLIENT_ID_LIFE);
            remember(&mut ids, account, n, first, false, open);
        }
        let kept: Vec<_> = (1..=10)
            .filter(|n| ids.get(account, *n).is_some())
            .collect();
        assert_eq!(kept, [3, 6, 7, 8, 9, 10]);
    }
}
