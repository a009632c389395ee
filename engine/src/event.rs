//! Everything that can have happened. Events carry the complete resulting state, so that one is enough
//! to be right, and their bytes are the same on every replay.

mod blocks;
mod clearing;
mod delivery;
mod exits;
mod rfq;
mod roots;

use bincode::{Decode, Encode};

mod oracle;

pub use oracle::*;

use crate::{
    command::{DisconnectAction, Side, SwitchScope, Tag},
    ids::{AccountId, AssetId, IndexId, InstrumentId, OrderId, Seq, SessionId, TradeId},
    instrument::{Statistics, TradingState},
    reason::{Problem, Reason},
    units::{Decimal, Lots, Minor, Nanos, TickLots, Ticks},
};

pub use blocks::{BlockChange, BlockState, OffBook};
pub use clearing::{Cascaded, ClearingEvent, Covered, DaySettled, Health, Moved, Moving, Offered};
pub use delivery::*;
pub use exits::*;
pub use rfq::*;
pub use roots::*;

/// One thing that happened because of one command.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Event {
    /// Something happened to an order.
    Order(OrderEvent),
    /// A command had no effect and concerns no order.
    Refused(Refused),
    /// A mass cancel ended; each cancelled order has its own event before this one.
    MassCancelled(MassCancelled),
    /// New orders of a session or account are refused, or accepted again.
    OrderEntry(OrderEntry),
    /// An account's dead man's switch was armed (or disarmed: 0).
    CancelTimer(CancelTimerSet),
    /// A session has a new login.
    SessionOpened(SessionOpened),
    /// A session's login is over.
    SessionClosed(SessionClosed),

    /// Public: a trade.
    Trade(Trade),
    /// Public: the new state of a price level.
    Level(LevelChange),
    /// Public: a trading state.
    Status(StatusChange),
    /// Public: day statistics, mark and band.
    Statistics(StatisticsChange),
    /// Public: an index value.
    Index(IndexChange),
    /// Public: a contract was listed or its terms changed.
    Listed(InstrumentId),

    /// Money moved.
    Posting(Posting),
    /// State of a balance after the command.
    Balance(BalanceRow),
    /// State of a position after the command.
    Position(PositionRow),

    /// Answer to an administrative command.
    Done(Done),
    /// Rights changed: a key, an account status.
    Access(AccountId),

    /// A batch ended; the events of its items came before.
    BatchDone(BatchDone),
    /// One side of a mass quote was refused; its [`Event::Quoted`] follows under the same address.
    QuoteProblem(QuoteProblem),
    /// Names the order of an accepted side; its [`Event::Quoted`] follows under the same address.
    QuoteOrder(QuoteOrder),
    /// A mass quote ended.
    Quoted(Quoted),
    /// A protection group froze or thawed.
    Mmp(MmpChange),
    /// A kill switch moved.
    Switch(SwitchChange),
    /// Public: what an auction would do now, or did.
    Auction(AuctionChange),
    /// What a fill of a combination did in one of its legs; follows that fill under its address, one for
    /// each leg in order.
    Leg(LegFill),
    /// A step of clearing.
    Clearing(ClearingEvent),

    /// Public: a round of an index with its inputs.
    Round(Box<Round>),
    /// Public: trust in an index changed.
    Quality(QualityChange),
    /// Public: a block of a chain is agreed upon.
    ChainHeight(ChainHeight),
    /// Something happened to a delivery, or to what it needs.
    Delivery(Box<DeliveryEvent>),
    /// An epoch ended.
    Epoch(EpochMarked),
    /// Another address may leave with an account's balances.
    Owner(OwnerChanged),
    /// An exit request on the chain comes further.
    Exit(ExitStep),
    /// A reported block trade is new, or ended; concerns two firms.
    Block(Box<BlockChange>),
    /// Something happened to a request for quote; concerns its taker and those asked.
    Rfq(Box<RfqEvent>),
}

/// Whom a private event is for, and its place in that session's numbering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Address {
    /// Whose event.
    pub account: AccountId,
    /// Session that hears it; none for orders of unary calls.
    pub session: SessionId,
    /// Position in the session's event sequence, from 1; 0 without a session.
    pub event_seq: u64,
    /// Command of that session that caused it; 0 = unsolicited or somebody else's.
    pub client_seq: u64,
    /// Which item of that command, if it was a batch.
    pub item: u16,
}

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum OrderEventKind {
    /// Always before the order's first fill.
    Accepted,
    /// Changed by the client.
    Replaced,
    /// Traded.
    Fill,
    /// Over, filled or not, with the reason.
    Cancelled,
    /// Never lived.
    Rejected,
    /// The order goes on unchanged.
    ReplaceRejected,
    /// The order goes on unchanged.
    CancelRejected,
    /// Changed by the exchange.
    Restated,
    /// A stop became active.
    Triggered,
}

/// Life of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum OrderStatus {
    /// In the book.
    Open,
    /// Nothing left, all traded.
    Filled,
    /// Ended by its owner or the exchange.
    Cancelled,
    /// Never lived.
    Rejected,
    /// Its time was over.
    Expired,
    /// A stop that waits for its price.
    Untriggered,
}

/// Which side of which quote an order is; the side is the order's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QuoteKey {
    /// Of the mass quote that last changed it.
    pub quote_id: i64,
    /// Rung.
    pub slot: u8,
}

/// Something happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OrderEvent {
    /// Who hears it.
    pub to: Address,
    /// A second copy, for the commander of somebody else's order.
    pub copy: bool,
    /// The first result of a repeated client order id.
    pub repeated: bool,
    /// What happened.
    pub kind: OrderEventKind,
    /// State after it.
    pub status: OrderStatus,
    /// Why, for refusals and for everything unsolicited.
    pub problem: Option<Problem>,
    /// Order.
    pub order_id: OrderId,
    /// The client's name for it.
    pub client_order_id: u64,
    /// Contract.
    pub instrument: InstrumentId,
    /// Side.
    pub side: Side,
    /// Working price; market orders: the collar.
    pub price: Ticks,
    /// Total quantity.
    pub total: Lots,
    /// Of that, traded.
    pub filled: Lots,
    /// Of that, still open.
    pub open: Lots,
    /// Of that, visible, while it is an iceberg; 0 otherwise.
    pub display: Lots,
    /// Moved to the back of its level.
    pub priority_lost: bool,
    /// Among orders at one price, lower comes first.
    pub priority: u64,
    /// Label.
    pub cancel_group: u32,
    /// Protection group; 0 = none.
    pub mmp_group: u16,
    /// Set if the order is a side of a mass quote.
    pub quote: Option<QuoteKey>,
    /// Echo.
    pub tag: Tag,
    /// The execution, if this is one.
    pub fill: Option<Fill>,
}

impl OrderEvent {
    /// Nothing filled in yet.
    pub(crate) const BLANK: Self = Self {
        to: Address {
            account: AccountId(0),
            session: SessionId(0),
            event_seq: 0,
            client_seq: 0,
            item: 0,
        },
        copy: false,
        repeated: false,
        kind: OrderEventKind::Accepted,
        status: OrderStatus::Open,
        problem: None,
        order_id: OrderId(0),
        client_order_id: 0,
        instrument: InstrumentId(0),
        side: Side::Buy,
        price: Ticks::ZERO,
        total: Lots::ZERO,
        filled: Lots::ZERO,
        open: Lots::ZERO,
        display: Lots::ZERO,
        priority_lost: false,
        priority: 0,
        cancel_group: 0,
        mmp_group: 0,
        quote: None,
        tag: Tag::EMPTY,
        fill: None,
    };
}

/// Role in a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Liquidity {
    /// Rested.
    Maker,
    /// Came in.
    Taker,
    /// Both sides of an auction.
    Auction,
    /// Both sides of a trade off the book.
    Block,
}

/// One execution, from one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Fill {
    /// The same number on the tape, in the ledger, everywhere.
    pub trade: TradeId,
    /// Price of the resting order.
    pub price: Ticks,
    /// Quantity.
    pub lots: Lots,
    /// Role.
    pub liquidity: Liquidity,
    /// In minor units of the price asset; negative = rebate.
    pub fee: Minor,
    /// Net position after it; 0 in a combination, whose positions are its legs'.
    pub position_after: Lots,
}

/// One leg of an execution in a combination, from one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LegFill {
    /// That of the fill it belongs to.
    pub to: Address,
    /// A second copy, for the commander of another session's order.
    pub copy: bool,
    /// The combination's order.
    pub order_id: OrderId,
    /// The client's name for it.
    pub client_order_id: u64,
    /// The combination.
    pub combination: InstrumentId,
    /// The leg's contract.
    pub instrument: InstrumentId,
    /// What the account did in the leg.
    pub side: Side,
    /// Price (any integer), lots, fee and net position are the leg's; all else is the fill's.
    pub fill: Fill,
}

/// A command without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Refused {
    /// Who hears it.
    pub to: Address,
    /// Why.
    pub problem: Problem,
}

/// Result of a mass cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MassCancelled {
    /// Who hears it.
    pub to: Address,
    /// Orders cancelled.
    pub orders: u32,
    /// Quote sides cancelled.
    pub quotes: u32,
    /// Orders and quote sides that match but may not be cancelled at the moment.
    pub kept: u32,
    /// New orders of the account are refused from here on.
    pub blocked: bool,
}

/// A switch for new orders moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OrderEntry {
    /// Who hears it.
    pub to: Address,
    /// Refused from here on.
    pub blocked: bool,
    /// Which level's switch.
    pub level: Reason,
}

/// The dead man's switch of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CancelTimerSet {
    /// Whose.
    pub account: AccountId,
    /// When it fires; 0 = disarmed.
    pub fires_at: Nanos,
}

/// Answer to a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SessionOpened {
    /// Whose session.
    pub account: AccountId,
    /// Its number.
    pub session: SessionId,
    /// This login; everything under an older one is fenced.
    pub login: u32,
    /// First number the client must use.
    pub next_client_seq: u64,
    /// Newest journaled event of the session.
    pub last_event_seq: u64,
    /// As agreed.
    pub heartbeat_ms: i32,
    /// As agreed.
    pub action: DisconnectAction,
    /// As agreed.
    pub grace_ms: i32,
    /// The disconnect action has run since the last login.
    pub action_ran: bool,
}

/// How a login ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SessionClosed {
    /// Which session.
    pub session: SessionId,
    /// Which login of it.
    pub login: u32,
    /// Good-bye (client request), disconnect, heartbeat lost, operator.
    pub cause: Reason,
    /// Orders cancelled by it so far.
    pub cancelled: u32,
}

/// A public trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Trade {
    /// Contract.
    pub instrument: InstrumentId,
    /// Position among the contract's public changes.
    pub public_seq: u64,
    /// Name.
    pub trade: TradeId,
    /// Price.
    pub price: Ticks,
    /// Quantity.
    pub lots: Lots,
    /// Who came in; nobody in an auction, nor off the book.
    pub aggressor: Option<Side>,
    /// Set if it was not made in the book.
    pub off_book: Option<OffBook>,
}

/// New state of a price level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LevelChange {
    /// Contract.
    pub instrument: InstrumentId,
    /// Position among the contract's public changes.
    pub public_seq: u64,
    /// Side.
    pub side: Side,
    /// Price.
    pub price: Ticks,
    /// Total quantity; 0 = gone.
    pub lots: Lots,
    /// Orders.
    pub orders: u32,
}

/// A trading state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StatusChange {
    /// Contract.
    pub instrument: InstrumentId,
    /// Position among the contract's public changes.
    pub public_seq: u64,
    /// Present state.
    pub state: TradingState,
    /// Why.
    pub reason: Reason,
    /// Next scheduled change.
    pub scheduled: Option<(Nanos, TradingState)>,
}

/// Statistics, mark and band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StatisticsChange {
    /// Contract.
    pub instrument: InstrumentId,
    /// Position among the contract's public changes.
    pub public_seq: u64,
    /// Of the day.
    pub statistics: Statistics,
    /// Values positions.
    pub mark: Ticks,
    /// Edges of the price band.
    pub band: (Ticks, Ticks),
}

/// An index value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct IndexChange {
    /// Which index.
    pub index: IndexId,
    /// Round.
    pub round: u64,
    /// Value.
    pub value: Decimal,
    /// Daily fixing, as opposed to an indicative sample.
    pub fixing: bool,
}

/// Cause of a posting; numbered as `account.v1.LedgerEntryKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named as in account.v1.LedgerEntryKind")]
#[repr(u8)]
pub enum PostingKind {
    Deposit = 1,
    Withdrawal = 2,
    TradeFee = 4,
    Rebate = 5,
    Variation = 7,
    FinalSettlement = 8,
    DeliveryPayment = 9,
    Shortfall = 10,
    InsuranceFund = 14,
    Rounding = 17,
}

/// Money moved on one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Posting {
    /// Name of the entry.
    pub entry: u64,
    /// Account.
    pub account: AccountId,
    /// Asset.
    pub asset: AssetId,
    /// By how much.
    pub delta: Minor,
    /// Total after it.
    pub balance: Minor,
    /// Why.
    pub kind: PostingKind,
    /// Trade, if one.
    pub trade: TradeId,
    /// Contract, if one.
    pub instrument: InstrumentId,
    /// Transfer, if one; the obligation of what a delivery posts (kinds 8, 9, 10, 14 and its fee).
    pub transfer: u32,
}

/// A balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BalanceRow {
    /// Account.
    pub account: AccountId,
    /// Asset.
    pub asset: AssetId,
    /// Everything posted.
    pub cash: Minor,
    /// Escrow, bonds, holds of spot orders, pending withdrawals.
    pub held: Minor,
    /// Initial margin of forwards, orders included.
    pub margin: Minor,
    /// Losses of forwards since the last daily mark, contract by contract; never positive.
    pub result: Minor,
}

/// A position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PositionRow {
    /// Account.
    pub account: AccountId,
    /// Contract.
    pub instrument: InstrumentId,
    /// Positive = long hashrate.
    pub net: Lots,
    /// Lots of open buy orders.
    pub open_buy: Lots,
    /// Lots of open sell orders.
    pub open_sell: Lots,
    /// What the open position cost.
    pub cost: TickLots,
    /// Result of closed lots and settled marks.
    pub realised: Minor,
    /// Result of open lots at the mark.
    pub unrealised: Minor,
    /// Forward: result since the last daily mark, closed and open lots together.
    pub result: Minor,
    /// Money held for it, orders included.
    pub requirement: Minor,
}

/// Answer to an administrative command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Done {
    /// Number of what was made or changed.
    pub object: u64,
    /// How many contracts or orders it touched, where that is the answer.
    pub count: u32,
    /// Orders cancelled on the way.
    pub cancelled: u32,
    /// Position of the first result, if this is a repeat; 0 otherwise.
    pub first_seq: Seq,
}

/// End of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BatchDone {
    /// Who hears it.
    pub to: Address,
    /// Items that ran.
    pub accepted: u16,
    /// Items that were refused.
    pub rejected: u16,
    /// Items that were skipped.
    pub not_attempted: u16,
}

/// A refused side of a mass quote; the former quote on that side is gone, unless nothing may be
/// cancelled at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QuoteProblem {
    /// That of the [`Quoted`] that follows.
    pub to: Address,
    /// Which entry.
    pub entry: u16,
    /// Which side.
    pub side: Side,
    /// Why.
    pub problem: Problem,
}

/// An accepted side of a mass quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QuoteOrder {
    /// That of the [`Quoted`] that follows.
    pub to: Address,
    /// Which entry.
    pub entry: u16,
    /// Which side.
    pub side: Side,
    /// Its order.
    pub order_id: OrderId,
    /// Its place in time.
    pub priority: u64,
}

/// End of a mass quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Quoted {
    /// Who hears it.
    pub to: Address,
    /// Echo.
    pub quote_id: i64,
    /// Sides accepted, pulls included.
    pub accepted: u16,
    /// Of those, how many kept their priority.
    pub kept: u16,
}

/// Limit of a protection group that was hit; numbered as `trading.v1.MmpLimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named as in trading.v1.MmpLimit")]
#[repr(u8)]
pub enum MmpLimit {
    Quantity = 1,
    Net = 2,
    Notional = 3,
    Fills = 4,
    Contracts = 5,
}

/// A protection group froze or thawed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MmpChange {
    /// Whose.
    pub account: AccountId,
    /// Which group.
    pub mmp_group: u16,
    /// Frozen from here on.
    pub frozen: bool,
    /// When it thaws; 0 = at a reset.
    pub until: Nanos,
    /// Why it froze.
    pub limit: Option<MmpLimit>,
    /// Orders and quotes cancelled by it.
    pub cancelled: u32,
}

/// A kill switch moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SwitchChange {
    /// Which.
    pub scope: SwitchScope,
    /// New orders are refused from here on.
    pub engaged: bool,
}

/// What an auction would do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AuctionChange {
    /// Contract.
    pub instrument: InstrumentId,
    /// Position among the contract's public changes.
    pub public_seq: u64,
    /// Price of most volume; none if nothing crosses.
    pub price: Option<Ticks>,
    /// Volume at it.
    pub lots: Lots,
    /// Buying interest at it less selling interest.
    pub imbalance: Lots,
}
