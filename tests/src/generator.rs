//! Command streams from a seed: mostly sensible, often wrong, so that every refusal is met.
//!
//! The generator looks at the model to aim: at the touch, at open orders, at the next timer.

mod admin;
mod combinations;
mod entry;
mod features;
mod kinds;
mod makers;
mod margins;
mod sessions;
mod setup;

use std::collections::{BTreeMap, VecDeque};

use engine::{
    command::{BatchItem, Command, MassQuote, OrderTerms, Stamped},
    ids::{AccountId, AssetId, IndexId, InstrumentId},
    units::{DAY, MILLISECOND, Nanos, SECOND},
};

pub use features::Features;

use crate::{
    model::{Model, Names},
    rows::{Key, Observed},
};

/// Splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = high.abs_diff(low) + 1;
        low + i64::try_from(self.next_u64() % width).unwrap_or(0)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, share: i64) -> bool {
        self.between(1, 100) <= share
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let last = i64::try_from(of.len())
            .ok()?
            .checked_sub(1)
            .filter(|last| *last >= 0)?;
        of.get(usize::try_from(self.between(0, last)).ok()?)
    }
}

/// When the stream begins: 22:00 UTC of some day, so that DAY orders meet their midnight.
const START: i64 = 20_000 * DAY + 22 * 3_600 * SECOND;
/// Large steps of the clock stop here: client order ids are remembered for a day only.
const HORIZON: i64 = START + 20 * 3_600 * SECOND;

/// A stream of commands.
#[derive(Clone, Debug)]
pub struct Generator {
    random: Random,
    now: i64,
    seq: u64,
    step: usize,
    created: Vec<u64>,
    assets: Vec<AssetId>,
    indexes: Vec<IndexId>,
    accounts: Vec<AccountId>,
    contracts: Vec<InstrumentId>,
    alive: Vec<InstrumentId>,
    request_ids: u64,
    client_ids: u64,
    transfers: u64,
    recent: VecDeque<Key>,
    contents: VecDeque<(AccountId, OrderTerms)>,
    deposits: Option<Command>,
    fixing: Option<Command>,
    rounds: u64,
    quote_ids: i64,
    quotes: BTreeMap<(AccountId, u16), MassQuote>,
    features: Features,
}

impl Generator {
    /// A stream.
    #[must_use]
    pub fn new(seed: u64, features: Features) -> Self {
        Self {
            quote_ids: 0,
            quotes: BTreeMap::new(),
            features,
            random: Random::new(seed),
            now: START,
            seq: 0,
            step: 0,
            created: Vec::new(),
            assets: Vec::new(),
            indexes: Vec::new(),
            accounts: Vec::new(),
            contracts: Vec::new(),
            alive: Vec::new(),
            request_ids: 0,
            client_ids: 0,
            transfers: 0,
            recent: VecDeque::new(),
            contents: VecDeque::new(),
            deposits: None,
            fixing: None,
            rounds: 0,
        }
    }

    /// The next command.
    pub fn next(&mut self, model: &Model, names: &Names) -> Stamped {
        if let Some(command) = self.set_up(names.created) {
            return self.stamp(command, 1_000);
        }
        self.alive = self.contracts.clone();
        self.alive.retain(|id| {
            model
                .contracts
                .get(id)
                .is_some_and(|contract| !contract.expired)
        });
        self.advance(model);
        let due = model.next_deadline().is_some_and(|at| at.0 <= self.now);
        // A timer that is due usually runs at once, but commands may come first.
        if due && self.random.percent(70) {
            return self.stamp(Command::Tick, 0);
        }
        if let Some(command) = self.newer(model, names) {
            return self.stamp(command, 0);
        }
        let command = match self.random.between(0, 999) {
            0..=659 => self.place(model),
            660..=754 => self.replace(model, names),
            755..=814 => self.cancel(model, names),
            815..=820 => self.mass_cancel(model),
            821..=826 => self.cancel_timer(model),
            827..=846 => self.order_entry(model),
            847..=873 => self.login(model),
            874..=882 => self.lost(model),
            883..=887 => self.logout(model),
            888..=897 => self.account_status(model),
            898..=907 => self.trading_state(model),
            908..=929 => self.deposit(),
            930..=949 => self.withdraw(model),
            950..=969 => self.resolve(model, names),
            970..=992 if !due => self.fixing(model),
            993 if !due => self.restart(model),
            _ => self.place(model),
        };
        self.stamp(command, 0)
    }

    /// Time passes: mostly a little, sometimes to just before, at or past the next timer.
    fn advance(&mut self, model: &Model) {
        let wait = match self.random.between(0, 999) {
            0..=699 => self.random.between(1, 2 * MILLISECOND),
            700..=989 => self.random.between(1, SECOND),
            990..=997 => self.random.between(1, 20 * SECOND),
            _ if self.now < HORIZON => self.random.between(1, 1_200 * SECOND),
            _ => 1,
        };
        let next = model.next_deadline().map_or(0, |at| at.0) - self.now;
        let near = next > 0 && next < 30 * SECOND && self.random.percent(3);
        self.now += match near {
            true => (next + self.random.between(-1, 1)).max(1),
            false => wait,
        };
    }

    fn stamp(&mut self, command: Command, wait: i64) -> Stamped {
        self.now += wait;
        self.seq += 1;
        Stamped {
            seq: self.seq,
            at: Nanos(self.now),
            command,
        }
    }

    /// Remembers what may be repeated, cancelled too late, and so on.
    pub fn learn(&mut self, stamped: &Stamped, seen: &Observed) {
        if !seen.refused.is_empty() {
            return;
        }
        match &stamped.command {
            Command::Place(place) => self.remember(place.origin.account, place.order),
            Command::Batch(batch) => {
                for item in &batch.items {
                    if let BatchItem::Place(place) = item {
                        self.remember(batch.origin.account, place.order);
                    }
                }
            }
            _ => {}
        }
    }

    fn remember(&mut self, account: AccountId, order: OrderTerms) {
        if order.client_order_id == 0 || !self.accounts.contains(&account) {
            return;
        }
        self.recent.push_back((account, order.client_order_id));
        self.contents.push_back((account, order));
        if self.recent.len() > 200 {
            self.recent.pop_front();
            self.contents.pop_front();
        }
    }

    fn some_account(&mut self) -> AccountId {
        let accounts = self.accounts.clone();
        self.random.pick(&accounts).copied().unwrap_or_default()
    }

    fn some_contract(&mut self) -> InstrumentId {
        if let Some(id) = self.some_of_combinations() {
            return id;
        }
        let all = self.random.percent(5);
        let contracts = if all { &self.contracts } else { &self.alive };
        self.random.pick(contracts).copied().unwrap_or_default()
    }

    /// The newest product's number.
    fn products(&self) -> i64 {
        if self.features.combinations { 7 } else { 4 }
    }

    /// All contracts, in the order of listing.
    #[must_use]
    pub fn contracts(&self) -> &[InstrumentId] {
        &self.contracts
    }

    /// All accounts that trade.
    #[must_use]
    pub fn accounts(&self) -> &[AccountId] {
        &self.accounts
    }

    /// All assets.
    #[must_use]
    pub fn assets(&self) -> &[AssetId] {
        &self.assets
    }

    /// Whether the set-up is over.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        !self.contracts.is_empty()
    }
}
