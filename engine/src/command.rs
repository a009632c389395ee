//! Everything that can be asked of the exchange. What is numbered and stamped here is history.
//!
//! The set is closed and, because the journal stores the position of each variant, append-only.

use bincode::{Decode, Encode};

use crate::{
    ids::{AccountId, Seq, SessionId},
    instrument::{Asset, Commodity, Index, Terms},
    units::Nanos,
};

mod admin;
mod blocks;
mod clearing;
mod delivery;
mod exits;
mod margin;
mod oracle;
mod orders;
mod quotes;
mod rfq;
mod roots;
mod sessions;

pub use admin::*;
pub use blocks::*;
pub use clearing::*;
pub use delivery::*;
pub use exits::*;
pub use margin::*;
pub use oracle::*;
pub use orders::*;
pub use quotes::*;
pub use rfq::*;
pub use roots::*;
pub use sessions::*;

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
    /// Sets how defaults are dealt with.
    SetDefaultTerms(Request<DefaultTerms>),
    /// Bids for a defaulter's position.
    BidOffer(BidOffer),

    /// Adds something outside that sources report, or changes its rules.
    SetFeed(Request<SetFeed>),
    /// Registers a source, or changes one.
    SetSource(Request<SetSource>),
    /// Says how an index gets its value.
    SetMethod(Request<SetMethod>),
    /// A signed observation.
    Report(Box<Report>),
    /// A signed block header.
    SubmitHeader(Box<SubmitHeader>),
    /// A signed index value.
    SignValue(Box<SignValue>),
    /// Everything about delivery: rules, meters, capacity, destinations, readings, disputes.
    Delivery(Request<Delivery>),

    /// Ends an epoch: what is committed to is the state after this command.
    MarkEpoch,
    /// Names the address that may leave with an account's balances.
    SetAccountOwner(Request<SetAccountOwner>),
    /// Credits a deposit on the chain.
    CreditChainDeposit(Request<ChainDeposit>),
    /// Serves an exit request on the chain.
    ServeExit(Request<ServeExit>),
    /// Sets the margin of a family of forwards.
    SetMarginMethod(Request<MarginMethod>),

    /// A trade agreed off the book: reported, affirmed or refused.
    Block(BlockWish),
    /// Requests for quote: asked, quoted, accepted.
    Rfq(Box<RfqWish>),
}

impl Command {
    /// Whether the command only takes orders or rights away, so that it may use the reserved room: whoever
    /// wants out, or stops somebody, gets through a flood of orders.
    #[must_use]
    pub fn is_cancel(&self) -> bool {
        match self {
            Self::Cancel(_)
            | Self::MassCancel(_)
            | Self::Lost(_)
            | Self::Logout(_)
            | Self::SetCancelTimer(_)
            | Self::SetOrderEntry(_)
            | Self::RevokeKey(_)
            | Self::MarkEpoch
            // It only takes away, and it has a deadline on the chain.
            | Self::ServeExit(_)
            | Self::Tick => true,
            Self::SetKillSwitch(request) => request.body.engaged,
            Self::SetAccountStatus(request) => request.body.status != AccountStatus::Active,
            Self::SetTradingState(request) => !request.body.target.takes_orders(),
            Self::Batch(batch) => batch
                .items
                .iter()
                .all(|item| matches!(item, BatchItem::Cancel(_))),
            Self::MassQuote(quote) => quote.entries.iter().all(|entry| {
                let pulls = |side: Option<QuoteSide>| side.is_none_or(|side| side.lots.0 == 0);
                pulls(entry.bid) && pulls(entry.ask)
            }),
            // Both bring orders back.
            Self::ResetMmp(_) | Self::SetMmpGroup(_) => false,
            Self::SetDefaultTerms(_) | Self::BidOffer(_) => false,
            Self::Restart(_)
            | Self::Place(_)
            | Self::Replace(_)
            | Self::Login(_)
            | Self::CreateAsset(_)
            | Self::CreateCommodity(_)
            | Self::CreateIndex(_)
            | Self::CreateFirm(_)
            | Self::CreateAccount(_)
            | Self::CreateKey(_)
            | Self::CreateInstrument(_)
            | Self::CreditDeposit(_)
            | Self::RequestWithdrawal(_)
            | Self::ResolveWithdrawal(_)
            | Self::SubmitFixing(_)
            | Self::SetFeed(_)
            | Self::SetSource(_)
            | Self::SetMethod(_)
            | Self::Report(_)
            | Self::SubmitHeader(_)
            | Self::SignValue(_)
            | Self::Delivery(_)
            | Self::SetAccountOwner(_)
            | Self::CreditChainDeposit(_)
            | Self::SetMarginMethod(_)
            | Self::Block(_) => false,
            Self::Rfq(wish) => matches!(**wish, RfqWish::Cancel(_) | RfqWish::Pull(_)),
        }
    }
}

impl Command {
    /// Whether the command is let in while the journal lives on its reserve: what takes risk away, what
    /// settles, and what a client needs to get at it. It may be refused by the core as always.
    #[must_use]
    pub fn fits_reserve(&self) -> bool {
        self.is_cancel()
            || matches!(
                self,
                Self::Restart(_)
                    | Self::Login(_)
                    | Self::RequestWithdrawal(_)
                    | Self::ResolveWithdrawal(_)
                    | Self::SubmitFixing(_)
                    | Self::Report(_)
                    | Self::SubmitHeader(_)
                    | Self::SignValue(_)
                    | Self::Delivery(_)
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

#[cfg(test)]
mod tests;
