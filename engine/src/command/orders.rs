//! Orders: entering, changing and cancelling them.

use bincode::{Decode, Encode};

use super::Origin;
use crate::{
    ids::{InstrumentId, OrderId, ProductId},
    limits,
    units::{Lots, Nanos, Ticks},
};

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

    /// The side that makes a net position smaller; a buy if there is none.
    #[must_use]
    pub fn closing(net: Lots) -> Self {
        if net.0 > 0 { Self::Sell } else { Self::Buy }
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
        Self::EMPTY
    }
}

impl Tag {
    /// No text.
    pub(crate) const EMPTY: Self = Self {
        length: 0,
        bytes: [0; limits::TAG_BYTES],
    };

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

    /// Text and length as words, for fingerprints.
    pub(crate) fn words(&self) -> [u64; 5] {
        let (whole, rest) = self.bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[7] = self.length;
        let mut words = [u64::from_le_bytes(last); 5];
        for (word, bytes) in words.iter_mut().zip(whole) {
            *word = u64::from_le_bytes(*bytes);
        }
        words
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

impl OrderTerms {
    /// Nothing filled in.
    pub(crate) const BLANK: Self = Self {
        client_order_id: 0,
        instrument: InstrumentId(0),
        side: Side::Buy,
        pricing: Pricing::Market,
        lots: Lots::ZERO,
        time_in_force: TimeInForce::Ioc,
        post_only: PostOnly::No,
        reduce_only: false,
        self_trade: SelfTrade::CancelResting,
        self_trade_group: 0,
        cancel_group: 0,
        display: Lots::ZERO,
        min_fill: Lots::ZERO,
        trigger: None,
        mmp_group: 0,
        keep_on_disconnect: false,
        tag: Tag::EMPTY,
    };
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
