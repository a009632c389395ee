//! Trades agreed off the book: one side reports, the other affirms.

use bincode::{Decode, Encode};

use super::{Origin, Side};
use crate::{
    ids::{FirmId, InstrumentId},
    units::{Lots, Nanos, Ticks},
};

/// What is asked about a trade agreed off the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum BlockWish {
    /// Reports one; it exists once the other side affirms it.
    Report(ReportBlock),
    /// Affirms one that another firm reported, or refuses it.
    Affirm(AffirmBlock),
}

/// A trade as one side reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct BlockTerms {
    /// Which firm is the other side.
    pub counterparty: FirmId,
    /// Which contract; a forward.
    pub instrument: InstrumentId,
    /// What the reporter does.
    pub side: Side,
    /// At which price, inside the contract's band at the report and at the affirmation.
    pub price: Ticks,
    /// How many, as many as an order may have.
    pub lots: Lots,
    /// Until when it may be affirmed; at most a day ahead.
    pub affirm_by: Nanos,
}

/// Reports a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReportBlock {
    /// Who reports; the trade will be this account's.
    pub origin: Origin,
    /// Idempotency key, unique per account while the report is remembered; not 0.
    pub client_id: u64,
    /// What was agreed.
    pub terms: BlockTerms,
}

/// The other side's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AffirmBlock {
    /// Who affirms or refuses; if it trades, the trade is this account's.
    pub origin: Origin,
    /// Number of the report.
    pub block: u64,
    /// Affirm, or refuse.
    pub accept: bool,
}
