//! The slow, obvious exchange: maps and lists, everything recomputed from all orders and positions.
//! It follows RULES.md by number and shares nothing with the fast one but the words of its interface.

mod admission;
mod auctions;
mod batches;
mod calls;
mod combinations;
mod implied;
mod listing;
mod margins;
mod matching;
mod money;
mod orders;
mod pegs;
mod promises;
mod protection;
mod quotes;
mod reference;
mod sessions;
mod state;
mod stops;
#[cfg(test)]
mod stories;
mod switches;
mod telling;
mod timers;
mod volatility;

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    command::{Command, MarginMethod, Stamped},
    ids::{AccountId, AssetId, FirmId, IndexId, InstrumentId, OrderId, SessionId},
    instrument::{Asset, Commodity, TradingState},
    limits,
    reason::Reason,
};

pub use money::Arithmetic;
pub use protection::Group;
pub use state::{
    Account, Arrival, Call, Coming, Contract, First, IndexState, Indication, Order, Position,
    Reopening, Session, Uncross, Withdrawal, WithdrawalState,
};

use crate::rows::{Key, Observed};

/// The engine's private names, learned from its events.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// What an order id of the engine means.
    pub orders: BTreeMap<OrderId, Key>,
    /// The other way round.
    pub ids: BTreeMap<Key, OrderId>,
    /// What a transfer number of the engine means: account and client transfer id.
    pub transfers: BTreeMap<u32, (AccountId, u64)>,
    /// The identity the engine gave to what this command makes; the model takes it over.
    pub created: u64,
}

/// Best first: price, lots, orders.
pub type Levels = Vec<(i64, i64, u32)>;

/// A balance, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BalanceView {
    /// All postings.
    pub cash: i64,
    /// Spot requirements and pending withdrawals.
    pub held: i64,
    /// Forward requirements.
    pub margin: i64,
    /// Unsettled result of forwards.
    pub result: i64,
}

/// A position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositionView {
    /// Positive = long.
    pub net: i64,
    /// Lots of open buy orders.
    pub open_buy: i64,
    /// Lots of open sell orders.
    pub open_sell: i64,
    /// Price times lots of what is open.
    pub cost: i128,
    /// Money held for it.
    pub requirement: i64,
}

/// Who caused what happens now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cause {
    account: AccountId,
    session: SessionId,
    client_seq: u64,
    /// The order the command names; its events are copied to a commander who did not enter it.
    subject: Option<Key>,
    /// Every order this command cancels is named by it.
    all: bool,
    /// Item of a batch.
    item: u16,
}

/// The slow exchange.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub(crate) now: i64,

    pub(crate) assets: BTreeMap<AssetId, Asset>,
    pub(crate) commodities: BTreeMap<u32, Commodity>,
    pub(crate) indexes: BTreeMap<IndexId, IndexState>,
    /// Margin of families, by commodity and asset.
    pub(crate) methods: BTreeMap<(u32, AssetId), MarginMethod>,
    pub(crate) accounts: BTreeMap<AccountId, Account>,
    pub(crate) contracts: BTreeMap<InstrumentId, Contract>,
    pub(crate) products: Vec<String>,
    pub(crate) positions: BTreeMap<(AccountId, InstrumentId), Position>,
    pub(crate) cash: BTreeMap<(AccountId, AssetId), i128>,
    pub(crate) paid_in: BTreeMap<AssetId, i128>,
    pub(crate) withdrawals: BTreeMap<(AccountId, u64), Withdrawal>,
    pub(crate) requests: BTreeMap<u64, Command>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    /// Open orders.
    pub(crate) orders: BTreeMap<Key, Order>,
    /// Orders that lived.
    pub(crate) ended: BTreeMap<Key, Order>,
    /// First results by client order id.
    pub(crate) results: BTreeMap<Key, First>,
    /// Firms, and whether their switch is on.
    pub(crate) firms: BTreeMap<FirmId, bool>,
    /// The venue's switch is on.
    pub(crate) venue_killed: bool,
    /// Protection groups.
    pub(crate) groups: BTreeMap<(AccountId, u16), Group>,
    quotes: u64,
    entries: u64,
    priorities: u64,
    trades: u64,
    /// ORDER-16: trades this command may still make.
    trades_left: usize,
    /// AUCTION-05: trades this command's auctions may still make.
    uncross_left: usize,
    /// ORDER-21, AUCTION-07: contracts whose pegs and calls look again when this command is over.
    touched: BTreeSet<InstrumentId>,
    /// AUCTION-07: contracts whose call began, or whose interval is over.
    called: BTreeSet<InstrumentId>,
    /// A group froze or a price moved too far during this command: FOK may be broken off.
    broken_off: bool,
    /// Fills that broke MONEY-09 and FOK orders that broke ORDER-05, in words.
    pub(crate) broken_promises: Vec<String>,
    pub(crate) cause: Cause,
    pub(crate) seen: Observed,
}

impl Model {
    /// An exchange on which nothing has happened; the venue's own accounts exist.
    #[must_use]
    pub fn new() -> Self {
        let mut model = Self::default();
        for house in 1..=3 {
            model.accounts.insert(AccountId(house), Account::default());
        }
        model
    }

    /// Runs one command and says what happened. `names` is what the engine's events have told so
    /// far, those of this command included.
    pub fn apply(&mut self, stamped: &Stamped, names: &Names) -> Observed {
        self.now = stamped.at.0;
        self.trades_left = limits::TRADES_PER_COMMAND;
        self.uncross_left = limits::TRADES_PER_COMMAND;
        self.touched.clear();
        self.broken_off = false;
        self.cause = Cause::default();
        match &stamped.command {
            Command::Tick => self.tick(),
            Command::Restart(restart) => self.restart(restart),
            Command::Place(place) => self.place(place),
            Command::Replace(replace) => self.replace(replace, names),
            Command::Cancel(cancel) => self.cancel_one(cancel, names),
            Command::MassCancel(mass) => self.mass_cancel(mass),
            Command::SetCancelTimer(timer) => self.set_cancel_timer(timer),
            Command::SetOrderEntry(entry) => self.set_order_entry(entry),
            Command::Login(login) => self.login(login, SessionId(narrow(names.created))),
            Command::Lost(lost) => self.lost(lost),
            Command::Logout(logout) => self.logout(logout),
            Command::Batch(batch) => self.batch(batch, names),
            Command::MassQuote(quote) => self.mass_quote(quote),
            Command::ResetMmp(reset) => self.reset_mmp(reset),
            command => self.administer(command, names),
        }
        self.after();
        std::mem::take(&mut self.seen)
    }

    /// What the end of every command brings, and nobody did: stops, pegs, indications.
    fn after(&mut self) {
        self.cause = Cause::default();
        self.release_stops();
        self.move_pegs();
        self.indicate();
        self.touched.clear();
    }

    /// ORDER-14.
    pub(crate) fn next_priority(&mut self) -> u64 {
        self.priorities += 1;
        self.priorities
    }

    /// Both sides of a book, best first: (buys, sells).
    #[must_use]
    pub fn book(&self, instrument: InstrumentId) -> (Levels, Levels) {
        use engine::command::Side::{Buy, Sell};
        let side = |side| {
            let mut levels: Levels = Vec::new();
            for order in self.queue(instrument, side) {
                match levels.last_mut() {
                    Some(level) if level.0 == order.price => {
                        level.1 += order.shown();
                        level.2 += 1;
                    }
                    _ => levels.push((order.price, order.shown(), 1)),
                }
            }
            levels
        };
        (side(Buy), side(Sell))
    }

    /// A balance, recomputed.
    #[must_use]
    pub fn balance(&self, account: AccountId, asset: AssetId) -> BalanceView {
        BalanceView {
            cash: small(
                self.cash
                    .get(&(account, asset))
                    .copied()
                    .unwrap_or_default(),
            ),
            held: small(self.held(account, asset)),
            margin: small(self.margin(account, asset)),
            result: small(self.unsettled(account, asset)),
        }
    }

    /// A position, recomputed.
    #[must_use]
    pub fn position(&self, account: AccountId, instrument: InstrumentId) -> PositionView {
        use engine::command::Side::{Buy, Sell};
        let position = self.stand(account, instrument);
        PositionView {
            net: position.net,
            open_buy: self.open_lots(account, instrument, Buy),
            open_sell: self.open_lots(account, instrument, Sell),
            cost: position.cost,
            requirement: small(self.requirement(account, instrument)),
        }
    }

    /// What values positions.
    #[must_use]
    pub fn mark(&self, instrument: InstrumentId) -> Option<i64> {
        self.contracts
            .get(&instrument)
            .map(|contract| contract.mark)
    }

    /// What a contract accepts.
    #[must_use]
    pub fn state(&self, instrument: InstrumentId) -> Option<TradingState> {
        self.contracts
            .get(&instrument)
            .map(|contract| contract.state)
    }

    /// Trades so far.
    #[must_use]
    pub fn trades(&self) -> u64 {
        self.trades
    }

    /// What must hold after every command.
    ///
    /// # Errors
    /// The first promise that does not hold, in words.
    pub fn check_invariants(&self) -> Result<(), String> {
        use engine::command::Side::{Buy, Sell};
        for asset in self.assets.keys() {
            let sum: i128 = self
                .cash
                .iter()
                .filter(|((_, of), _)| of == asset)
                .map(|(_, cash)| cash)
                .sum();
            let paid_in = self.paid_in.get(asset).copied().unwrap_or_default();
            if sum != paid_in {
                return Err(format!(
                    "MONEY-03: asset {}: {sum} is not {paid_in}",
                    asset.0
                ));
            }
        }
        for instrument in self.contracts.keys() {
            let nets = self
                .positions
                .iter()
                .filter(|((_, of), _)| of == instrument);
            let sum: i64 = nets.map(|(_, position)| position.net).sum();
            if sum != 0 {
                return Err(format!(
                    "MONEY-03: contract {}: nets sum to {sum}",
                    instrument.0
                ));
            }
            let (buys, sells) = (self.queue(*instrument, Buy), self.queue(*instrument, Sell));
            if let (Some(buy), Some(sell)) = (buys.first(), sells.first())
                && buy.price >= sell.price
                && matches!(
                    self.contracts[instrument].state,
                    TradingState::Open | TradingState::PostOnly
                )
                && !self.same_group(buy, sell)
            {
                return Err(format!("crossed book: {buy:?} {sell:?}"));
            }
            for order in buys.iter().chain(&sells) {
                if order.open <= 0 || order.shown() <= 0 || order.aside || order.waits() {
                    return Err(format!("ORDER-17: an impossible resting order: {order:?}"));
                }
            }
            for account in self.accounts.keys() {
                for side in [Buy, Sell] {
                    let (resting, room) = self.reduce_only_lots(*account, *instrument, side);
                    if resting > room {
                        return Err(format!(
                            "ORDER-07: account {} contract {}: {resting} reduce-only, room {room}",
                            account.0, instrument.0
                        ));
                    }
                }
            }
        }
        match self.broken_promises.first() {
            None => self.check_newer(),
            Some(broken) => Err(broken.clone()),
        }
    }

    /// Number of open orders of an account in a contract.
    pub(crate) fn open_orders(&self, account: AccountId, instrument: InstrumentId) -> usize {
        let own = |order: &&Order| order.key.0 == account && order.terms.instrument == instrument;
        self.orders.values().filter(own).count()
    }

    pub(crate) fn refuse(&mut self, reason: Reason) {
        let account = self.cause.account;
        self.seen.refused.push((account, reason));
    }
}

/// Money fits 64 bits at rest; if not, the difference to the engine will say so.
pub(crate) fn small(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

pub(crate) fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
