//! The one table of trading states and what each allows to those who trade (AUCTION-01): whether orders
//! and quotes are taken, changed and cancelled, and how they match. What happens by itself in a state
//! (stops, pegs, the lead of a curve, a call's end) is asked where it happens; and changes and quotes ask
//! what a new order would ask, and look for NO_CANCEL themselves.

use crate::{instrument::TradingState, reason::Reason};

/// What somebody wants to do in a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Enter an order.
    Enter,
    /// Change an order so that it is not only smaller.
    Amend,
    /// Cancel an order, or only take lots off it.
    Cancel,
    /// Trade.
    Match,
    /// Enter or change a side of a quote.
    Quote,
}

/// What the state says to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Yes,
    /// Yes, if it does not match at once.
    IfItRests,
    /// Yes, but only when the call ends, at one price.
    AtUncross,
    /// New sides only: what is there stays, with this reason.
    OnlyNew(Reason),
    /// No, for this reason.
    No(Reason),
}

/// The table.
#[must_use]
pub fn allows(state: TradingState, action: Action) -> Answer {
    use Action::{Amend, Cancel, Enter, Match, Quote};
    use Answer::{AtUncross, IfItRests, No, OnlyNew, Yes};
    use Reason::{InstrumentNotTrading, NoCancelPeriod};
    match (state, action) {
        (TradingState::PreOpen | TradingState::VolatilityAuction, Match) => AtUncross,
        (TradingState::PreOpen | TradingState::VolatilityAuction, _) => Yes,

        (TradingState::NoCancel, Enter) => Yes,
        (TradingState::NoCancel, Amend | Cancel) => No(NoCancelPeriod),
        (TradingState::NoCancel, Match) => AtUncross,
        (TradingState::NoCancel, Quote) => OnlyNew(NoCancelPeriod),

        (TradingState::Open, _) => Yes,

        (TradingState::PostOnly, Enter | Amend | Quote) => IfItRests,
        (TradingState::PostOnly, Cancel) => Yes,
        (TradingState::PostOnly, Match) => No(InstrumentNotTrading),

        (
            TradingState::CancelOnly
            | TradingState::Halted
            | TradingState::Closed
            | TradingState::InDelivery
            | TradingState::Settled,
            action,
        ) => match action {
            Cancel => Yes,
            _ => No(InstrumentNotTrading),
        },
    }
}

/// Whether orders are collected for one price: the book may be crossed and nobody takes.
#[must_use]
pub fn is_call(state: TradingState) -> bool {
    allows(state, Action::Match) == Answer::AtUncross
}

/// Whether a book in this state may not be crossed: it matches, or will without an auction.
#[must_use]
pub fn is_uncrossed(state: TradingState) -> bool {
    matches!(
        allows(state, Action::Enter),
        Answer::Yes | Answer::IfItRests
    ) && !is_call(state)
}
