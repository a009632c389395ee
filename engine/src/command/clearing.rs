//! What an operator sets about defaults, and what a maker bids for the positions of a defaulter.

use bincode::{Decode, Encode};

use super::Origin;
use crate::{
    ids::AccountId,
    units::{Lots, Ppm, Ticks},
};

/// How the exchange deals with accounts that do not hold enough. Without them it only refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DefaultTerms {
    /// How far from the mark a liquidation order may trade, at most the contract's band. 1 ..= 500,000.
    pub reach: Ppm,
    /// Largest part of a position that one liquidation order closes, rounded up to a lot. 1 ..= 1,000,000.
    pub slice: Ppm,
    /// Between two liquidation orders of an account, ms. 100 ..= 3,600,000.
    pub pause_ms: i32,
    /// Orders before what is left is offered to the makers. 1 ..= 1,000.
    pub tries: i32,
    /// How long makers may bid, ms. 100 ..= 86,400,000.
    pub offer_ms: i32,
    /// How far from the mark, to the defaulter's cost, a bid may be. 1 ..= 900,000.
    pub offer_reach: Ppm,
    /// How far the insurance fund may go into debt in any one asset, minor units. Beyond it the venue's
    /// kill switch engages and no withdrawal is accepted; cancels, liquidation and settlement go on.
    pub debt_cap: i64,
    /// Takes what no maker wants, as far as its money reaches; none = straight to deleveraging.
    pub backstop: AccountId,
}

/// A sealed bid for a defaulter's position. The newest of an account counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BidOffer {
    /// Who bids; a market maker's account.
    pub origin: Origin,
    /// For which offer.
    pub offer: u64,
    /// At which price: of a long position what the maker pays, of a short one what it is taken over at.
    pub price: Ticks,
    /// How many lots at most; 0 withdraws the bid.
    pub lots: Lots,
}
