//! Everything that can be asked of the exchange. What is numbered and stamped here is history.
//!
//! The set is closed and, because the journal stores the position of each variant, append-only.

use bincode::{Decode, Encode};

use crate::{
    ids::{AccountId, AssetId, FirmId, IndexId, InstrumentId, OrderId, ProductId, Seq, SessionId},
    instrument::{Asset, Commodity, Index, Terms, TradingState},
    limits,
    reason::Reason,
    units::{Decimal, Lots, Nanos, Ticks},
};

/// A command with its number and its time: the only thing the state machine ever sees.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Stamped {
    /// Position in the journal; previous + 1.
    pub seq: Seq,
    /// Strictly above the previous command's.
    pub at: Nanos,
    /// What is asked.
    pub command: Command,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Command {
    /// The clock moved past a timer: expiries, grace periods, scheduled states.
    Tick,
    /// The process started again on this journal.
    Restart(Restart),

    /// Enters an order.
    Place(Place),
    /// Changes an order in place.
    Replace(Replace),
    /// Cancels one order.
    Cancel(Cancel),
    /// Cancels every order that matches.
    MassCancel(MassCancel),
    /// Arms or disarms an account's dead man's switch.
    SetCancelTimer(SetCancelTimer),
    /// A session's own switch for new orders.
    SetOrderEntry(SetOrderEntry),

    /// A client logs on to a named session, taking it over if somebody holds it.
    Login(Login),
    /// A session's stream broke, or its heartbeats stopped.
    Lost(Lost),
    /// A session says good-bye.
    Logout(Logout),

    /// Adds an asset.
    CreateAsset(Request<Asset>),
    /// Adds a commodity.
    CreateCommodity(Request<Commodity>),
    /// Adds an index.
    CreateIndex(Request<Index>),
    /// Adds a legal entity.
    CreateFirm(Request<NewFirm>),
    /// Opens an account.
    CreateAccount(Request<NewAccount>),
    /// Restricts, suspends, activates or closes an account.
    SetAccountStatus(Request<SetAccountStatus>),
    /// Registers a public key.
    CreateKey(Request<NewKey>),
    /// Revokes a key.
    RevokeKey(Request<RevokeKey>),
    /// Lists a contract; it starts closed.
    CreateInstrument(Request<Terms>),
    /// Changes trading states.
    SetTradingState(Request<SetTradingState>),
    /// Money in.
    CreditDeposit(Request<CreditDeposit>),
    /// Asks for money out; the amount is held at once.
    RequestWithdrawal(RequestWithdrawal),
    /// The operator's decision on a withdrawal.
    ResolveWithdrawal(Request<ResolveWithdrawal>),
    /// An index value.
    SubmitFixing(SubmitFixing),

    /// Several order commands back to back.
    Batch(Batch),
    /// Refreshes two-sided quotes.
    MassQuote(MassQuote),
    /// Ends the freeze of a protection group.
    ResetMmp(ResetMmp),
    /// Creates or replaces a market maker protection group.
    SetMmpGroup(Request<MmpGroup>),
    /// Blocks or releases order entry at one level.
    SetKillSwitch(Request<SetKillSwitch>),
}

impl Command {
    /// Whether the command only takes away from the book, so that it may use the reserved room.
    #[must_use]
    pub fn is_cancel(&self) -> bool {
        matches!(
            self,
            Self::Cancel(_)
                | Self::MassCancel(_)
                | Self::Lost(_)
                | Self::Logout(_)
                | Self::SetCancelTimer(_)
                | Self::SetOrderEntry(_)
                | Self::Tick
        )
    }
}

/// Who sends an order command, and until when it may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Origin {
    /// Whose order.
    pub account: AccountId,
    /// Entered by this session; none for a unary call.
    pub session: SessionId,
    /// Which login of the session; an older one is fenced.
    pub login: u32,
    /// Number of the command in the session; 0 for a unary call.
    pub client_seq: u64,
    /// The command has no effect after this; 0 = no limit.
    pub deadline: Nanos,
}

/// Buy or sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Side {
    /// Receives hashes or the index, pays the price.
    Buy,
    /// Owes hashes or the index, receives the price.
    Sell,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// Lots with the sign a position has.
    #[must_use]
    pub fn signed(self, lots: Lots) -> Lots {
        match self {
            Self::Buy => lots,
            Self::Sell => -lots,
        }
    }

    /// Whether an order of this side at `limit` accepts a trade at `price`.
    #[must_use]
    pub fn accepts(self, limit: Ticks, price: Ticks) -> bool {
        match self {
            Self::Buy => price <= limit,
            Self::Sell => price >= limit,
        }
    }
}

/// How an order prices itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Hash)]
pub enum Pricing {
    /// At this price or better.
    Limit(Ticks),
    /// Whatever is there up to the edge of the price band, and never rests.
    Market,
    /// Follows the best price of its own side, or the index.
    Peg(Peg),
}

/// A price that follows another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Hash)]
pub struct Peg {
    /// What it follows.
    pub to: PegTo,
    /// Added to what it follows, for both sides.
    pub offset: Ticks,
    /// Never beyond this: a buy never above it, a sell never below.
    pub cap: Ticks,
}

/// What a pegged order follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Hash)]
pub enum PegTo {
    /// Best price of its own side, other pegged orders not counted.
    Best,
    /// The contract's index.
    Index,
}

/// Which price releases a stop order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Hash)]
pub enum TriggerSource {
    /// Newest trade.
    Last,
    /// The mark.
    Mark,
    /// The index, in ticks.
    Index,
}

/// When a stop order becomes active: a buy once the source is at or above the price, a sell once it is
/// at or below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Hash)]
pub struct Trigger {
    /// Which price is watched.
    pub source: TriggerSource,
    /// At which value.
    pub price: Ticks,
}

/// How long an order lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Hash)]
pub enum TimeInForce {
    /// Until cancelled, or until the contract stops trading.
    Gtc,
    /// Fill what is there, cancel the rest.
    Ioc,
    /// Everything at once or nothing.
    Fok,
    /// Until this moment.
    Gtd(Nanos),
    /// Until the end of the UTC day.
    Day,
    /// Only in the next auction of the contract.
    AtAuction,
}

/// What happens when an order that must not take would match on entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Hash)]
pub enum PostOnly {
    /// It may take.
    #[default]
    No,
    /// Refused.
    Reject,
    /// Repriced to one tick outside the opposite best.
    Slide,
}

/// What happens when an order would match one of its own self-trade group. The incoming order decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Hash)]
pub enum SelfTrade {
    /// The resting order goes.
    #[default]
    CancelResting,
    /// The rest of the incoming order goes.
    CancelIncoming,
    /// Both go.
    CancelBoth,
    /// Both shrink by the smaller quantity; the larger one goes on.
    Decrement,
}

/// Text a client wants echoed; at most [`limits::TAG_BYTES`] printable ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Hash)]
pub struct Tag {
    length: u8,
    bytes: [u8; limits::TAG_BYTES],
}

impl Default for Tag {
    fn default() -> Self {
        Self {
            length: 0,
            bytes: [0; limits::TAG_BYTES],
        }
    }
}

impl Tag {
    /// From text, or `None` if it is too long or not printable ASCII.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut tag = Self::default();
        tag.bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        tag.length = u8::try_from(text.len()).ok()?;
        text.bytes()
            .all(|byte| (0x20..0x7f).contains(&byte))
            .then_some(tag)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes
            .get(..usize::from(self.length))
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

impl std::fmt::Debug for Tag {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}", self.as_str())
    }
}

/// What an order is: the client's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Hash)]
pub struct OrderTerms {
    /// Chosen by the client, non-zero, unique per account in the window of [`limits::CLIENT_IDS`].
    pub client_order_id: u64,
    /// Contract.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
    /// Price.
    pub pricing: Pricing,
    /// Total quantity.
    pub lots: Lots,
    /// Life.
    pub time_in_force: TimeInForce,
    /// Must not take.
    pub post_only: PostOnly,
    /// May only shrink the position.
    pub reduce_only: bool,
    /// Against its own group.
    pub self_trade: SelfTrade,
    /// Accounts of one firm that share a number never trade with each other; 0 = this account only.
    pub self_trade_group: u32,
    /// Label for targeted mass cancel; 0 = none.
    pub cancel_group: u32,
    /// Visible part of an iceberg; 0 = all of it.
    pub display: Lots,
    /// Smallest quantity that must trade at once; 0 = any.
    pub min_fill: Lots,
    /// Waits for a price; `None` = works at once.
    pub trigger: Option<Trigger>,
    /// Market maker protection group of the account; 0 = none.
    pub mmp_group: u16,
    /// Survives the session's disconnect action.
    pub keep_on_disconnect: bool,
    /// Echoed.
    pub tag: Tag,
}

/// Enters an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Place {
    /// From whom.
    pub origin: Origin,
    /// The order.
    pub order: OrderTerms,
}

/// Which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Target {
    /// By the exchange's id.
    Order(OrderId),
    /// By the client's id.
    Client(u64),
}

/// Changes an order in place; what is `None` stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Replace {
    /// From whom.
    pub origin: Origin,
    /// Which order.
    pub target: Target,
    /// Optional check; unknown order if it is in another contract.
    pub instrument: InstrumentId,
    /// New price.
    pub price: Option<Ticks>,
    /// New total quantity, filled part included.
    pub lots: Option<Lots>,
    /// New post-only setting.
    pub post_only: Option<PostOnly>,
    /// New expiry of a good-till-date order.
    pub expire: Option<Nanos>,
    /// New visible part; 0 = all of it.
    pub display: Option<Lots>,
    /// New trigger price of a stop that still waits.
    pub trigger: Option<Ticks>,
    /// Refuse rather than move back in the queue.
    pub reject_if_priority_lost: bool,
}

/// Cancels one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Cancel {
    /// From whom.
    pub origin: Origin,
    /// Which order.
    pub target: Target,
    /// Optional check; unknown order if it is in another contract.
    pub instrument: InstrumentId,
}

/// Which orders of an account; every set field narrows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Selection {
    /// Of this contract.
    pub instrument: InstrumentId,
    /// Of this product.
    pub product: ProductId,
    /// Of this side.
    pub side: Option<Side>,
    /// With this label; 0 = any.
    pub cancel_group: u32,
    /// Of this protection group; 0 = any.
    pub mmp_group: u16,
    /// Entered by the commanding session.
    pub this_session_only: bool,
    /// At this price or more aggressive; needs contract and side.
    pub price_at_or_better: Option<Ticks>,
}

/// Cancels every order that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MassCancel {
    /// From whom.
    pub origin: Origin,
    /// Which orders.
    pub selection: Selection,
    /// Also refuse new orders of the account until released.
    pub block_new_orders: bool,
}

/// Arms, re-arms or disarms an account's timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetCancelTimer {
    /// From whom.
    pub origin: Origin,
    /// 0 disarms.
    pub after_ms: i32,
    /// What to cancel when it fires.
    pub selection: Selection,
}

/// A session's own switch for new orders; `false` also releases the account's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetOrderEntry {
    /// From whom.
    pub origin: Origin,
    /// Refuse new orders of this session.
    pub blocked: bool,
}

/// What happens to a session's orders when its stream ends without good-bye.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum DisconnectAction {
    /// Cancel what the session entered.
    #[default]
    CancelSession,
    /// Cancel everything of the account.
    CancelAccount,
    /// Orders stay.
    Keep,
}

/// A client logs on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Login {
    /// Of this account.
    pub account: AccountId,
    /// Stable name of the strategy.
    pub name: String,
    /// Agreed heartbeat interval.
    pub heartbeat_ms: i32,
    /// On loss.
    pub action: DisconnectAction,
    /// Time to come back before the action runs.
    pub grace_ms: i32,
    /// Key that logged on.
    pub key_id: String,
}

/// A session's stream is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Lost {
    /// Which session.
    pub session: SessionId,
    /// Which login of it; a stale one changes nothing.
    pub login: u32,
    /// Heartbeat lost, or disconnect.
    pub cause: Reason,
}

/// A session ends in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Logout {
    /// From whom.
    pub origin: Origin,
    /// Cancel the session's orders first.
    pub cancel_orders: bool,
}

/// The process started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Restart {
    /// Contracts that were open accept only resting orders until then.
    pub post_only_until: Nanos,
    /// Sessions have this long, plus their grace, to come back.
    pub recovery_grace_ms: i32,
}

/// An administrative command: idempotent by id.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Request<T> {
    /// Chosen by the caller; 0 = no protection against repeats.
    pub id: u64,
    /// Key of the caller, for the audit trail.
    pub key_id: String,
    /// The caller's remark, for the audit trail; at most [`limits::NOTE_BYTES`].
    pub note: String,
    /// What is asked.
    pub body: T,
}

/// A legal entity.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewFirm {
    /// Public short name.
    pub code: String,
    /// Legal name.
    pub legal_name: String,
    /// Legal entity identifier; may be empty.
    pub lei: String,
}

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named as in admin.v1.AccountKind")]
pub enum AccountKind {
    Client,
    MarketMaker,
    House,
    InsuranceFund,
    Backstop,
}

/// A new account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewAccount {
    /// Of this firm.
    pub firm: FirmId,
    /// For people.
    pub label: String,
    /// Purpose.
    pub kind: AccountKind,
    /// Added to the contract's maker fee, in parts per million.
    pub maker_fee_offset: i32,
    /// Added to the contract's taker fee, in parts per million.
    pub taker_fee_offset: i32,
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AccountStatus {
    /// Everything.
    Active,
    /// Only shrink positions.
    ReduceOnly,
    /// Cancels only.
    Suspended,
    /// Nothing; it is empty.
    Closed,
}

/// A new status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetAccountStatus {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub status: AccountStatus,
    /// Also cancel its open orders.
    pub cancel_open_orders: bool,
}

/// A credential.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewKey {
    /// Name of the key.
    pub key_id: String,
    /// Whose.
    pub firm: FirmId,
    /// For people.
    pub label: String,
    /// Ed25519.
    pub public_key: [u8; 32],
    /// Set of permissions, bit n = `common.v1.Permission` n.
    pub permissions: u32,
    /// Accounts it may use; empty = all of the firm.
    pub accounts: Vec<AccountId>,
    /// 0 = never.
    pub expires: Nanos,
}

/// Ends a credential.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RevokeKey {
    /// Which.
    pub key_id: String,
    /// Also cancel the open orders of sessions that logged on with it.
    pub cancel_open_orders: bool,
}

/// What a change of trading state covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum StateScope {
    /// One contract.
    Instrument(InstrumentId),
    /// One product.
    Product(ProductId),
    /// Everything.
    All,
}

/// Changes trading states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetTradingState {
    /// Of what.
    pub scope: StateScope,
    /// To which.
    pub target: TradingState,
    /// Told to clients.
    pub reason: Reason,
    /// 0 = now.
    pub effective: Nanos,
    /// Also cancel open orders.
    pub cancel_open_orders: bool,
}

/// Where money comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Rail {
    /// Play money.
    Sandbox,
    /// Booked by hand.
    Manual,
}

/// Money in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CreditDeposit {
    /// For whom.
    pub account: AccountId,
    /// What.
    pub asset: AssetId,
    /// How much, in minor units; positive.
    pub amount: i64,
    /// From where.
    pub rail: Rail,
}

/// Asks for money out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RequestWithdrawal {
    /// From whom.
    pub account: AccountId,
    /// Idempotency key of the account; non-zero.
    pub client_transfer_id: u64,
    /// What.
    pub asset: AssetId,
    /// How much, in minor units; positive.
    pub amount: i64,
    /// To where.
    pub rail: Rail,
}

/// The operator's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Decision {
    /// Pay; in the sandbox this completes it.
    Approve,
    /// It has been paid.
    Complete,
    /// Give the held amount back.
    Reject,
}

/// Decides a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResolveWithdrawal {
    /// Which.
    pub transfer: u32,
    /// What.
    pub decision: Decision,
}

/// What an index value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FixingKind {
    /// One sample; moves marks, never settles.
    Indicative,
    /// Of a UTC day; moves marks and posts the day's result.
    Daily,
}

/// An index value. Write-once per (index, kind, round).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SubmitFixing {
    /// Of which index.
    pub index: IndexId,
    /// For what.
    pub kind: FixingKind,
    /// Increasing per index and kind.
    pub round: u64,
    /// Per rate unit and day, in the quote asset.
    pub value: Decimal,
    /// Key of the submitter.
    pub key_id: String,
}

/// What a batch does about a refused item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum BatchPolicy {
    /// Goes on.
    BestEffort,
    /// Skips the rest.
    StopOnReject,
    /// Looks at every item first; one refusal and nothing runs.
    AllOrNoneValidate,
}

/// One step of a batch. The batch's origin is everybody's; each item's own is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum BatchItem {
    /// Enters an order.
    Place(Place),
    /// Changes an order.
    Replace(Replace),
    /// Cancels an order.
    Cancel(Cancel),
}

/// Order commands that run back to back, with nobody else's in between.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Batch {
    /// From whom.
    pub origin: Origin,
    /// About refusals.
    pub policy: BatchPolicy,
    /// In this order; at most [`limits::BATCH_ITEMS`].
    pub items: Vec<BatchItem>,
}

/// One side of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QuoteSide {
    /// At this price or better.
    pub price: Ticks,
    /// Quantity from now on; 0 = pull this side.
    pub lots: Lots,
}

/// One rung of a two-sided ladder; a side that is `None` stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QuoteEntry {
    /// Contract.
    pub instrument: InstrumentId,
    /// Rung, below [`limits::QUOTE_SLOTS`].
    pub slot: u8,
    /// Buy side.
    pub bid: Option<QuoteSide>,
    /// Sell side.
    pub ask: Option<QuoteSide>,
}

/// Refreshes quotes, whose key is (protection group, contract, slot).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MassQuote {
    /// From whom; a session.
    pub origin: Origin,
    /// Echoed.
    pub quote_id: i64,
    /// Protection group of the account.
    pub mmp_group: u16,
    /// At most [`limits::QUOTE_ENTRIES`].
    pub entries: Vec<QuoteEntry>,
    /// Name the orders of accepted sides.
    pub report_order_ids: bool,
}

/// Ends a freeze.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResetMmp {
    /// From whom.
    pub origin: Origin,
    /// Protection group of the account.
    pub mmp_group: u16,
}

/// Market maker protection. A limit of 0 is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MmpGroup {
    /// Whose.
    pub account: AccountId,
    /// Its number, from 1.
    pub mmp_group: u16,
    /// Covers the contracts of this product.
    pub product: ProductId,
    /// Rolling window, in milliseconds.
    pub window_ms: i32,
    /// Length of a freeze, in milliseconds; 0 = until reset.
    pub frozen_ms: i32,
    /// Sum of filled lots times hours of the delivery window.
    pub quantity_limit: i64,
    /// The same with sign.
    pub net_limit: i64,
    /// Value of fills, in minor units.
    pub notional_limit: i64,
    /// Number of fills.
    pub fill_limit: i32,
    /// Distinct contracts filled.
    pub contracts_limit: i32,
    /// Largest quote side.
    pub max_quote_lots: Lots,
}

/// What a kill switch covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SwitchScope {
    /// One session.
    Session(SessionId),
    /// One account.
    Account(AccountId),
    /// All accounts of a firm.
    Firm(FirmId),
    /// Everybody.
    Venue,
}

/// Moves a kill switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetKillSwitch {
    /// Which.
    pub scope: SwitchScope,
    /// On or off.
    pub engaged: bool,
    /// Also cancel the open orders it covers.
    pub cancel_open_orders: bool,
}
