//! What happens to requests for quote.

use bincode::{Decode, Encode};

use crate::{
    command::{QuotedSide, RfqTerms},
    ids::{AccountId, FirmId, TradeId},
    reason::Problem,
    units::{Lots, Nanos},
};

/// Life of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RfqState {
    /// Wants quotes.
    Open,
    /// Some lots traded, more are wanted.
    PartlyFilled,
    /// All traded.
    Filled,
    /// Taken back, or its account leaves.
    Cancelled,
    /// Its time is over.
    Expired,
}

impl RfqState {
    /// Whether quotes are wanted.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::PartlyFilled)
    }
}

/// Life of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RfqQuoteState {
    /// Firm.
    Live,
    /// All lots of one side traded.
    Traded,
    /// The maker's next one took its place.
    Replaced,
    /// Pulled, or ended with its request or by a problem.
    Cancelled,
    /// Its time is over.
    Expired,
}

/// A request is new, or changed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RfqChange {
    /// Number of the request, from 1.
    pub rfq: u64,
    /// Where it stands.
    pub state: RfqState,
    /// Who asks.
    pub taker: AccountId,
    /// Of which firm; makers see it only if the terms disclose it.
    pub firm: FirmId,
    /// The taker's key.
    pub client_id: u64,
    /// What is wanted.
    pub terms: RfqTerms,
    /// Packages traded.
    pub filled: Lots,
}

/// A quote is new, or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RfqQuoteChange {
    /// Number of the request.
    pub rfq: u64,
    /// Who asked: hears it as well.
    pub taker: AccountId,
    /// Number of the quote, from 1 over all requests.
    pub quote: u64,
    /// Where it stands.
    pub state: RfqQuoteState,
    /// Whose it is.
    pub maker: AccountId,
    /// The maker's key.
    pub client_id: u64,
    /// What is left of it.
    pub bid: Option<QuotedSide>,
    /// What is left of it.
    pub ask: Option<QuotedSide>,
    /// Firm until then.
    pub valid_until: Nanos,
    /// Why it ended, where that was nobody's wish.
    pub problem: Option<Problem>,
}

/// What an acceptance did.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RfqAccepted {
    /// Number of the request.
    pub rfq: u64,
    /// The taker's key of the acceptance.
    pub client_id: u64,
    /// One for each leg and maker.
    pub trades: Vec<TradeId>,
    /// Packages traded.
    pub filled: Lots,
    /// Why nothing traded.
    pub problem: Option<Problem>,
}

/// Something happened to a request for quote. Concerns its taker, and makers as far as they may see it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RfqEvent {
    /// The request itself.
    Request(RfqChange),
    /// A quote on it.
    Quote(RfqQuoteChange),
    /// An acceptance.
    Accepted(RfqAccepted),
}
