//! Requests for quote: a taker asks, makers quote, the taker accepts.

use bincode::{Decode, Encode};

use super::{Origin, Side};
use crate::{
    ids::{FirmId, InstrumentId},
    units::{Lots, Nanos, Ticks},
};

/// What is asked about requests for quote.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RfqWish {
    /// Asks for quotes.
    Create(CreateRfq),
    /// Takes a request back.
    Cancel(CancelRfq),
    /// Quotes.
    Quote(SubmitQuote),
    /// Pulls a quote.
    Pull(PullQuote),
    /// Trades against quotes.
    Accept(AcceptQuote),
}

/// Part of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RfqLeg {
    /// Which contract; a forward.
    pub instrument: InstrumentId,
    /// What the buyer of the package does in it.
    pub side: Side,
    /// Lots of this leg per lot of the package, 1 to [`crate::limits::RFQ_RATIO`].
    pub ratio: i64,
}

/// What a taker wants.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RfqTerms {
    /// 1 to [`crate::limits::RFQ_LEGS`] contracts with one price asset, none twice, one of them with ratio 1.
    pub legs: Vec<RfqLeg>,
    /// How many packages.
    pub lots: Lots,
    /// Smallest trade; 0 = all or nothing.
    pub min_lots: Lots,
    /// What the taker wants to do; `None` = hidden.
    pub side: Option<Side>,
    /// Makers see the taker's firm.
    pub disclosed: bool,
    /// Firms asked, at most [`crate::limits::RFQ_MAKERS`]; empty = every other firm.
    pub makers: Vec<FirmId>,
    /// Until when it is open; at most a day ahead.
    pub expire: Nanos,
}

/// Asks for quotes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CreateRfq {
    /// Who asks; what trades will be this account's.
    pub origin: Origin,
    /// Idempotency key, unique per account while the request is remembered; not 0.
    pub client_id: u64,
    /// What is wanted.
    pub terms: RfqTerms,
}

/// Takes a request back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CancelRfq {
    /// Who asked.
    pub origin: Origin,
    /// Number of the request.
    pub rfq: u64,
}

/// One side of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct QuotedSide {
    /// Price of the package: Σ of leg price × ratio, sold legs negative.
    pub price: Ticks,
    /// For how many packages, 1 to what is still wanted.
    pub lots: Lots,
}

/// Quotes; replaces the maker's quote before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SubmitQuote {
    /// Who quotes.
    pub origin: Origin,
    /// Number of the request.
    pub rfq: u64,
    /// Idempotency key, unique per account and request; not 0.
    pub client_id: u64,
    /// At which the maker buys.
    pub bid: Option<QuotedSide>,
    /// At which the maker sells.
    pub ask: Option<QuotedSide>,
    /// Firm until then, at the longest as long as the request is open.
    pub valid_until: Nanos,
}

/// Pulls a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PullQuote {
    /// Whose it is.
    pub origin: Origin,
    /// Number of the request.
    pub rfq: u64,
    /// Number of the quote.
    pub quote: u64,
}

/// Trades against the best quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AcceptQuote {
    /// Who asked.
    pub origin: Origin,
    /// Number of the request.
    pub rfq: u64,
    /// What the taker does.
    pub side: Side,
    /// Worst price of the package.
    pub limit: Ticks,
    /// How many packages, at most what is still wanted.
    pub lots: Lots,
    /// Several makers may fill it.
    pub several: bool,
    /// Idempotency key, unique per request; not 0.
    pub client_id: u64,
}
