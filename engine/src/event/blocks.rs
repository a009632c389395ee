//! What happens to trades agreed off the book.

use bincode::{Decode, Encode};

use crate::{
    command::BlockTerms,
    ids::{AccountId, FirmId, TradeId},
    units::Minor,
};

/// How a trade came about that was not made in the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum OffBook {
    /// Reported by one side, affirmed by the other.
    Block,
    /// By accepting a quote on a request.
    Rfq,
}

/// Life of a reported trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum BlockState {
    /// Waits for the other side.
    Reported,
    /// It traded.
    Affirmed,
    /// The other side does not know it.
    Refused,
    /// Nobody affirmed it in time.
    Expired,
}

/// A reported trade is new, or ended. Concerns the two firms only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BlockChange {
    /// Number of the report, from 1.
    pub block: u64,
    /// Where it stands.
    pub state: BlockState,
    /// Who reported.
    pub reporter: AccountId,
    /// Of which firm.
    pub firm: FirmId,
    /// The reporter's key.
    pub client_id: u64,
    /// What was agreed.
    pub terms: BlockTerms,
    /// Who affirmed or refused; none before.
    pub affirmer: AccountId,
    /// The trade; 0 if there is none.
    pub trade: TradeId,
    /// Fees of the trade: the reporter's, the affirmer's.
    pub fees: [Minor; 2],
}
