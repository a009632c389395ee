//! What the slow exchange remembers.

use std::collections::BTreeMap;

use engine::{
    command::{
        AccountStatus, Decision, DisconnectAction, OrderTerms, Peg, PostOnly, Pricing, Rail,
        Selection, Side, TimeInForce, Trigger,
    },
    event::OrderStatus,
    ids::{AccountId, AssetId, FirmId, InstrumentId, ProductId, SessionId},
    instrument::{Kind, Terms, TradingState},
    reason::Reason,
    units::Decimal,
};

use super::{Model, money::Arithmetic};
use crate::{readings, rows::Key};

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Of this firm.
    pub firm: FirmId,
    /// Added to the contract's maker fee.
    pub maker_offset: i128,
    /// Added to the contract's taker fee.
    pub taker_offset: i128,
    /// What it may do.
    pub status: AccountStatus,
    /// New orders are refused.
    pub blocked: bool,
    /// Risk's own switch.
    pub killed: bool,
    /// Dead man's switch: when, of which session, what.
    pub timer: Option<(i64, SessionId, Selection)>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            firm: FirmId::NONE,
            maker_offset: 0,
            taker_offset: 0,
            status: AccountStatus::Active,
            blocked: false,
            killed: false,
            timer: None,
        }
    }
}

/// A contract.
#[derive(Clone, Debug)]
pub struct Contract {
    /// As listed.
    pub terms: Terms,
    /// Contracts of one name.
    pub product: ProductId,
    /// Money per tick and lot.
    pub money: Arithmetic,
    /// Values positions, centres the band.
    pub mark: i64,
    /// MARK-05: the mark and the index value of the newest daily fixing, or the newest with nobody in it.
    pub anchor: Option<(i64, engine::units::Decimal)>,
    /// COMBO-02: half the band of a combination; an outright's follows from its mark.
    pub width: Option<i64>,
    /// Accepts what.
    pub state: TradingState,
    /// Next change.
    pub scheduled: Option<Coming>,
    /// After a restart: when it matches again.
    pub reopens: Option<i64>,
    /// Its last trade time has been run.
    pub expired: bool,
    /// Newest trade.
    pub last: Option<i64>,
    /// Its calls.
    pub call: Call,
    /// AUCTION-08: slices of the window: when it began, lowest, highest trade.
    pub moves: Vec<(i64, i64, i64)>,
}

/// A change of state that will come.
#[derive(Clone, Copy, Debug)]
pub struct Coming {
    /// When.
    pub at: i64,
    /// To which.
    pub state: TradingState,
    /// Why.
    pub reason: Reason,
    /// STATE-01: all open orders are cancelled then.
    pub cancels: bool,
}

/// The call of an auction, the present or the last one.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// When it began.
    pub began: i64,
    /// AUCTION-02: when its orders can no longer be cancelled.
    pub no_cancel_at: Option<i64>,
    /// AUCTION-07: what was told.
    pub told: Option<Indication>,
    /// AUCTION-07: when the book was looked at for it.
    pub looked_at: Option<i64>,
    /// AUCTION-07: when it will be looked at again.
    pub looks: Option<i64>,
    /// AUCTION-05: an auction that is not over.
    pub uncrossing: Option<Uncross>,
    /// AUCTION-06: cancels that wait for the end.
    pub deferred: Vec<(Key, OrderStatus, Reason)>,
}

/// Price, lots, imbalance.
pub type Indication = (Option<i64>, i64, i64);

/// An auction under way.
#[derive(Clone, Copy, Debug)]
pub struct Uncross {
    /// The one price; none = nothing crosses.
    pub price: Option<i64>,
    /// Traded so far at it.
    pub lots: i64,
    /// Buying interest less selling interest when it began.
    pub imbalance: i64,
    /// Newest price at which something traded.
    pub traded_at: Option<i64>,
    /// When the next step is due.
    pub next: i64,
    /// Where it leads.
    pub then: Arrival,
}

/// A state that a contract comes to, perhaps after an auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which.
    pub state: TradingState,
    /// Whether it opens from there by itself, and when.
    pub reopens: Reopening,
}

/// Whether a contract opens by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopening {
    /// No.
    No,
    /// So long after a volatility auction.
    Soon,
    /// Then.
    At(i64),
}

impl Contract {
    /// MARK-03.
    #[must_use]
    pub fn band(&self) -> (i64, i64) {
        match self.width {
            Some(width) => (self.mark - width, self.mark + width),
            None => self.band_around(self.mark),
        }
    }

    /// MARK-03 around some mark.
    #[must_use]
    pub fn band_around(&self, mark: i64) -> (i64, i64) {
        let wide = i128::from(mark.abs()) * i128::from(self.terms.limits.band_basis_points);
        let width = i64::try_from(wide / 10_000).unwrap_or(i64::MAX);
        (mark - width, mark + width)
    }

    /// Whether results are margined and marked.
    #[must_use]
    pub fn is_forward(&self) -> bool {
        self.terms.kind == Kind::Forward
    }
}

/// An index: newest value of either kind, and all rounds of each kind.
#[derive(Clone, Debug, Default)]
pub struct IndexState {
    /// Newest.
    pub value: Option<Decimal>,
    /// Write-once; `true` = daily.
    pub rounds: BTreeMap<(bool, u64), Decimal>,
}

/// MONEY-05 and MONEY-06.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Positive = long.
    pub net: i64,
    /// Signed price times lots of what is open.
    pub cost: i128,
    /// Unsettled exposure of what was closed.
    pub realised: i128,
    /// Spot: to be paid at delivery.
    pub owed: i128,
}

/// A withdrawal.
#[derive(Clone, Copy, Debug)]
pub struct Withdrawal {
    /// What.
    pub asset: AssetId,
    /// How much.
    pub amount: i64,
    /// How.
    pub rail: Rail,
    /// How far.
    pub state: WithdrawalState,
}

/// How far a withdrawal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithdrawalState {
    /// Held.
    Pending,
    /// Held, to be paid.
    Approved,
    /// Paid, or given back.
    Over,
}

impl Withdrawal {
    /// The state after a decision, and whether the money leaves.
    #[must_use]
    pub fn decide(self, decision: Decision) -> Option<(WithdrawalState, bool)> {
        use WithdrawalState::{Approved, Over, Pending};
        match (self.state, decision, self.rail) {
            (Pending, Decision::Approve, Rail::Sandbox | Rail::Chain) => Some((Over, true)),
            (Pending, Decision::Approve, Rail::Manual) => Some((Approved, false)),
            (Approved, Decision::Complete, _) => Some((Over, true)),
            (Pending | Approved, Decision::Reject, _) => Some((Over, false)),
            _ => None,
        }
    }
}

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whose.
    pub account: AccountId,
    /// Name.
    pub name: String,
    /// Present login.
    pub login: u32,
    /// The present login has neither been lost nor logged out.
    pub connected: bool,
    /// Newest number of a client's command.
    pub client_seq: u64,
    /// Newest number of an event.
    pub event_seq: u64,
    /// On loss.
    pub action: DisconnectAction,
    /// Time to come back.
    pub grace_ms: i32,
    /// New orders are refused.
    pub blocked: bool,
    /// Risk's own switch.
    pub killed: bool,
    /// When the action runs, and why.
    pub pending: Option<(i64, Reason)>,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Account and client order id.
    pub key: Key,
    /// As entered.
    pub terms: OrderTerms,
    /// Entered by.
    pub session: SessionId,
    /// Working price.
    pub price: i64,
    /// Total quantity.
    pub total: i64,
    /// Traded.
    pub filled: i64,
    /// Open.
    pub open: i64,
    /// Visible at most; 0 = all.
    pub display: i64,
    /// Visible now, if it is an iceberg.
    pub visible: i64,
    /// What it waits for.
    pub trigger: Option<Trigger>,
    /// Quote id and rung, if it is a side of a quote.
    pub quote: Option<(i64, u8)>,
    /// May be switched.
    pub post_only: PostOnly,
    /// GTD and DAY.
    pub expires: Option<i64>,
    /// Older orders have lower numbers.
    pub entry: u64,
    /// ORDER-14.
    pub priority: u64,
    /// In the book, as opposed to being matched.
    pub resting: bool,
    /// Neither in the book nor being matched: a waiting stop, a sleeping peg, an order for the next
    /// auction.
    pub aside: bool,
    /// Life.
    pub status: OrderStatus,
    /// Mark at its newest check of money, for MONEY-09.
    pub checked_at: i64,
}

/// ORDER-13: what a client order id was used for first.
#[derive(Clone, Debug)]
pub struct First {
    /// Content.
    pub terms: OrderTerms,
    /// Refusal, or none if it was accepted.
    pub refused: Option<Reason>,
}

impl Order {
    /// Lots that its level shows.
    #[must_use]
    pub fn shown(&self) -> i64 {
        match self.display {
            0 => self.open,
            _ => self.visible,
        }
    }

    /// ORDER-17: the visible part filled up.
    pub fn fill_up(&mut self) {
        self.visible = self.display.min(self.open);
    }

    /// ORDER-17: hidden lots went first.
    pub fn hide_less(&mut self) {
        self.visible = self.visible.min(self.open);
    }

    /// How it follows another price.
    #[must_use]
    pub fn peg(&self) -> Option<Peg> {
        match self.terms.pricing {
            Pricing::Peg(peg) => Some(peg),
            _ => None,
        }
    }

    /// MONEY-07: price of its hold.
    #[must_use]
    pub fn hold_price(&self) -> i64 {
        self.peg().map_or(self.price, |peg| peg.cap.0)
    }

    /// A stop that waits.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.status == OrderStatus::Untriggered
    }

    /// Only for the next auction.
    #[must_use]
    pub fn at_auction(&self) -> bool {
        self.terms.time_in_force == TimeInForce::AtAuction
    }

    /// Whether it may not rest.
    #[must_use]
    pub fn takes_only(&self) -> bool {
        matches!(
            self.terms.time_in_force,
            TimeInForce::Ioc | TimeInForce::Fok
        )
    }
}

impl Model {
    /// A side of a book in the order of priority.
    #[must_use]
    pub fn queue(&self, instrument: InstrumentId, side: Side) -> Vec<&Order> {
        let mut queue: Vec<&Order> = self
            .orders
            .values()
            .filter(|order| order.resting && order.terms.instrument == instrument)
            .filter(|order| order.terms.side == side)
            .collect();
        queue.sort_by_key(|order| match side {
            Side::Buy => (-order.price, order.priority),
            Side::Sell => (order.price, order.priority),
        });
        queue
    }

    /// Best price of a side.
    #[must_use]
    pub fn best(&self, instrument: InstrumentId, side: Side) -> Option<i64> {
        self.queue(instrument, side)
            .first()
            .map(|order| order.price)
    }

    /// ORDER-08.
    #[must_use]
    pub fn same_group(&self, one: &Order, other: &Order) -> bool {
        let firm = |order: &Order| self.accounts.get(&order.key.0).map(|account| account.firm);
        let group = one.terms.self_trade_group;
        one.key.0 == other.key.0
            || (firm(one) == firm(other) && group != 0 && group == other.terms.self_trade_group)
    }

    /// ORDER-07: living reduce-only lots of a side, and lots of the position that side may close.
    #[must_use]
    pub fn reduce_only_lots(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        side: Side,
    ) -> (i64, i64) {
        let net = self.stand(account, instrument).net;
        let room = match side {
            Side::Buy => (-net).max(0),
            Side::Sell => net.max(0),
        };
        let living = self.reduce_only_orders(account, instrument, side);
        (living.iter().map(|order| order.open).sum(), room)
    }

    /// ORDER-07: what waits for its price or its auction counts like what rests.
    pub(super) fn reduce_only_orders(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        side: Side,
    ) -> Vec<&Order> {
        let own = |order: &&Order| {
            order.key.0 == account
                && order.terms.instrument == instrument
                && order.terms.side == side
                && order.terms.reduce_only
                && (order.resting || order.aside && readings::WAITING_REDUCE_ONLY_COUNTS)
        };
        self.orders.values().filter(own).collect()
    }

    /// A position, or a flat one.
    #[must_use]
    pub fn stand(&self, account: AccountId, instrument: InstrumentId) -> Position {
        self.positions
            .get(&(account, instrument))
            .copied()
            .unwrap_or_default()
    }

    /// Lots of open orders of a side, those of combinations included (COMBO-05).
    #[must_use]
    pub fn open_lots(&self, account: AccountId, instrument: InstrumentId, side: Side) -> i64 {
        let own = |order: &&Order| {
            order.key.0 == account
                && (order.terms.instrument == instrument && order.terms.side == side
                    || self.exposures(order).contains(&(instrument, side)))
        };
        self.orders
            .values()
            .filter(own)
            .map(|order| order.open)
            .sum()
    }
}
