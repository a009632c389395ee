//! Where RULES.md leaves a choice: each reading in one place, so that changing one is one line.

use engine::reason::Reason;

/// RANK 1: a login is present until Lost or Logout; afterwards its commands are fenced, because an
/// order entered after the disconnect action would be nobody's.
pub const FENCED_AFTER_LOST_OR_LOGOUT: bool = true;
/// SESSION-03: the refusal of a fenced command takes no number of the session, which by now belongs
/// to a newer login.
pub const FENCED_REFUSAL_IS_NUMBERED: bool = false;
/// SESSION-02: neither does the refusal of a stale `client_seq`.
pub const STALE_REFUSAL_IS_NUMBERED: bool = false;
/// ORDER-12: releasing the account's block with `SetOrderEntry` tells a second `OrderEntry` event,
/// for the level of the account, if it was set.
pub const RELEASE_OF_ACCOUNT_IS_TOLD: bool = true;
/// ORDER-12: `MassCancelled.blocked` is all that tells of the account's block.
pub const BLOCK_OF_ACCOUNT_IS_TOLD: bool = false;
/// An immediate trading state drops a scheduled one: a halted contract does not open by itself.
pub const IMMEDIATE_STATE_DROPS_SCHEDULE: bool = true;
/// `SetTradingState` with `cancel_open_orders` cancels with this reason, buys best first, then sells.
pub const STATE_CANCEL_REASON: Reason = Reason::Operator;
/// `SetAccountStatus` with `cancel_open_orders` cancels with this reason, oldest first.
pub const STATUS_CANCEL_REASON: Reason = Reason::Operator;
/// SESSION-05: what waiting sessions were lost of is forgotten by a restart.
pub const RESTART_CAUSE: Reason = Reason::Disconnect;
/// ORDER-10: a slide back to the old price still loses priority, because rank 16 asks first.
pub const SLIDE_TO_OLD_PRICE_LOSES_PRIORITY: bool = true;
/// MONEY-10: contracts past their last trade post their result too, at their last mark.
pub const EXPIRED_FORWARDS_POST_VARIATION: bool = true;
/// A Replace that names the present price, post-only setting or expiry beside a smaller total still
/// "only decreases the total".
pub const ONLY_LESS_BY_EFFECT: bool = true;

/// ORDER-07: lots of waiting stops, sleeping pegs and orders for the next auction count as open
/// reduce-only lots, at entry and after each fill: what is released later cannot grow a position.
pub const WAITING_REDUCE_ONLY_COUNTS: bool = true;
/// ORDER-18: TRIGGERED still tells the old price of a market stop; the new band edge shows in what
/// follows.
pub const TRIGGERED_TELLS_OLD_PRICE: bool = true;
/// QUOTE-04: a side that is quoted with the same price and lots keeps the id of its older mass quote.
pub const EQUAL_QUOTE_KEEPS_ITS_ID: bool = true;
/// QUOTE-04: a side belongs to the session that quoted it last.
pub const QUOTE_MOVES_TO_NEWEST_SESSION: bool = true;

/// What streams with a feature must have met at least so often, all seeds of a run together: the
/// feature, the event as `Coverage::events` names it, how often.
pub const WANTED: [(&str, &str, u64); 57] = [
    ("icebergs", "Restated Some(IcebergRefresh)", 200),
    ("icebergs", "Rejected Some(DisplayTooSmall)", 20),
    ("min_fill", "Rejected Some(FokNotFillable)", 100),
    ("stops", "Triggered None", 200),
    ("stops", "Cancelled Some(FokNotFillable)", 10),
    ("pegs", "Restated Some(PegRepriced)", 300),
    ("batches", "Batch", 1_000),
    ("batches", "Rejected Some(BatchStopped)", 100),
    ("batches", "ReplaceRejected Some(BatchStopped)", 100),
    ("batches", "CancelRejected Some(BatchStopped)", 100),
    ("switches", "Switch", 100),
    ("switches", "Rejected Some(KillSwitchExchange)", 20),
    ("switches", "Rejected Some(KillSwitchFirm)", 20),
    ("switches", "Cancelled Some(KillSwitchAccount)", 10),
    ("switches", "Cancelled Some(KillSwitchSession)", 3),
    ("switches", "Cancelled Some(KillSwitchFirm)", 10),
    ("switches", "Cancelled Some(KillSwitchExchange)", 10),
    ("protection", "Mmp", 300),
    ("protection", "froze", 50),
    ("protection", "Cancelled Some(MmpTriggered)", 50),
    ("protection", "Rejected Some(MmpFrozen)", 5),
    ("protection", "Rejected Some(NotFound)", 10),
    ("quotes", "Quoted", 500),
    ("quotes", "Quote", 500),
    ("quotes", "side InstrumentNotTrading", 20),
    ("quotes", "side InsufficientBalance", 10),
    ("quotes", "side InsufficientMargin", 10),
    ("quotes", "side InvalidField", 10),
    ("quotes", "side NotionalTooLarge", 20),
    ("quotes", "side OpenOrderLimit", 5),
    ("quotes", "side PositionLimit", 5),
    ("quotes", "side PriceOutsideBand", 20),
    ("quotes", "side QuantityOutOfRange", 20),
    ("quotes", "side QuoteCrossed", 20),
    ("quotes", "side UnknownInstrument", 20),
    ("quotes", "side MmpFrozen", 20),
    ("quotes", "Cancelled Some(InstrumentHalted)", 5),
    ("quotes", "refused NotEstablished", 5),
    ("quotes", "refused MmpFrozen", 20),
    ("quotes", "refused UnsupportedCombination", 5),
    ("quotes", "refused TooManyItems", 5),
    ("quotes", "refused NotFound", 5),
    ("auctions", "Auction", 500),
    ("auctions", "auction trade", 150),
    ("auctions", "state PreOpen", 50),
    ("auctions", "state NoCancel", 30),
    ("auctions", "Cancelled Some(AuctionRemainder)", 50),
    ("auctions", "CancelRejected Some(NoCancelPeriod)", 20),
    ("auctions", "ReplaceRejected Some(NoCancelPeriod)", 20),
    ("auctions", "kept by mass cancel", 3),
    ("volatility", "state VolatilityAuction", 20),
    ("volatility", "Cancelled Some(Volatility)", 3),
    ("volatility", "auction trade", 10),
    ("combinations", "direct combination trade", 500),
    ("combinations", "implied in trade", 200),
    ("combinations", "implied out trade", 200),
    ("combinations", "Cancelled Some(InsufficientMargin)", 1),
];
