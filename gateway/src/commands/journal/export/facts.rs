//! What a command says of itself in columns. Exhaustive, so that a new command gets its row.

use engine::{
    command::{BlockWish, Command, Origin, RfqWish, Target},
    ids::{AccountId, InstrumentId, SessionId},
};

/// Columns of a command; 0 where it names nothing.
pub(super) struct Facts {
    /// Its name, and a number of its own for each name.
    pub(super) kind: &'static str,
    pub(super) number: i32,
    pub(super) account: AccountId,
    pub(super) session: SessionId,
    pub(super) instrument: InstrumentId,
    pub(super) client_order_id: u64,
}

impl Facts {
    fn new(number: i32, kind: &'static str) -> Self {
        Self {
            kind,
            number,
            account: AccountId::NONE,
            session: SessionId::NONE,
            instrument: InstrumentId::NONE,
            client_order_id: 0,
        }
    }

    fn from(self, origin: &Origin) -> Self {
        Self {
            account: origin.account,
            session: origin.session,
            ..self
        }
    }

    fn of_account(self, account: AccountId) -> Self {
        Self { account, ..self }
    }

    fn of_session(self, session: SessionId) -> Self {
        Self { session, ..self }
    }

    fn about(self, instrument: InstrumentId) -> Self {
        Self { instrument, ..self }
    }

    fn named(self, target: Target) -> Self {
        match target {
            Target::Client(client_order_id) => Self {
                client_order_id,
                ..self
            },
            Target::Order(_) => self,
        }
    }
}

/// The columns of a command. A batch and a mass quote are one row.
pub(super) fn of(command: &Command) -> Facts {
    let facts = Facts::new;
    match command {
        Command::Tick => facts(0, "Tick"),
        Command::Restart(_) => facts(1, "Restart"),
        Command::Place(place) => facts(2, "Place")
            .from(&place.origin)
            .about(place.order.instrument)
            .named(Target::Client(place.order.client_order_id)),
        Command::Replace(replace) => facts(3, "Replace")
            .from(&replace.origin)
            .about(replace.instrument)
            .named(replace.target),
        Command::Cancel(cancel) => facts(4, "Cancel")
            .from(&cancel.origin)
            .about(cancel.instrument)
            .named(cancel.target),
        Command::MassCancel(cancel) => facts(5, "MassCancel")
            .from(&cancel.origin)
            .about(cancel.selection.instrument),
        Command::SetCancelTimer(timer) => facts(6, "SetCancelTimer").from(&timer.origin),
        Command::SetOrderEntry(entry) => facts(7, "SetOrderEntry").from(&entry.origin),
        Command::Login(login) => facts(8, "Login").of_account(login.account),
        Command::Lost(lost) => facts(9, "Lost").of_session(lost.session),
        Command::Logout(logout) => facts(10, "Logout").from(&logout.origin),
        Command::CreateAsset(_) => facts(11, "CreateAsset"),
        Command::CreateCommodity(_) => facts(12, "CreateCommodity"),
        Command::CreateIndex(_) => facts(13, "CreateIndex"),
        Command::CreateFirm(_) => facts(14, "CreateFirm"),
        Command::CreateAccount(_) => facts(15, "CreateAccount"),
        Command::SetAccountStatus(request) => {
            facts(16, "SetAccountStatus").of_account(request.body.account)
        }
        Command::CreateKey(_) => facts(17, "CreateKey"),
        Command::RevokeKey(_) => facts(18, "RevokeKey"),
        Command::CreateInstrument(_) => facts(19, "CreateInstrument"),
        Command::SetTradingState(_) => facts(20, "SetTradingState"),
        Command::CreditDeposit(request) => {
            facts(21, "CreditDeposit").of_account(request.body.account)
        }
        Command::RequestWithdrawal(request) => {
            facts(22, "RequestWithdrawal").of_account(request.account)
        }
        Command::ResolveWithdrawal(_) => facts(23, "ResolveWithdrawal"),
        Command::SubmitFixing(_) => facts(24, "SubmitFixing"),
        Command::Batch(batch) => facts(25, "Batch").from(&batch.origin),
        Command::MassQuote(quote) => facts(26, "MassQuote").from(&quote.origin),
        Command::ResetMmp(reset) => facts(27, "ResetMmp").from(&reset.origin),
        Command::SetMmpGroup(request) => facts(28, "SetMmpGroup").of_account(request.body.account),
        Command::SetKillSwitch(_) => facts(29, "SetKillSwitch"),
        Command::SetDefaultTerms(_) => facts(30, "SetDefaultTerms"),
        Command::BidOffer(bid) => facts(31, "BidOffer").from(&bid.origin),
        Command::SetFeed(_) => facts(32, "SetFeed"),
        Command::SetSource(_) => facts(33, "SetSource"),
        Command::SetMethod(_) => facts(34, "SetMethod"),
        Command::Report(_) => facts(35, "Report"),
        Command::SubmitHeader(_) => facts(36, "SubmitHeader"),
        Command::SignValue(_) => facts(37, "SignValue"),
        Command::Delivery(_) => facts(38, "Delivery"),
        Command::MarkEpoch => facts(39, "MarkEpoch"),
        Command::SetAccountOwner(request) => {
            facts(40, "SetAccountOwner").of_account(request.body.account)
        }
        Command::CreditChainDeposit(_) => facts(41, "CreditChainDeposit"),
        Command::ServeExit(request) => facts(42, "ServeExit").of_account(request.body.account),
        Command::SetMarginMethod(_) => facts(43, "SetMarginMethod"),
        Command::Block(BlockWish::Report(report)) => facts(44, "Block").from(&report.origin),
        Command::Block(BlockWish::Affirm(affirm)) => facts(44, "Block").from(&affirm.origin),
        Command::Rfq(wish) => facts(45, "Rfq").from(match &**wish {
            RfqWish::Create(create) => &create.origin,
            RfqWish::Cancel(cancel) => &cancel.origin,
            RfqWish::Quote(quote) => &quote.origin,
            RfqWish::Pull(pull) => &pull.origin,
            RfqWish::Accept(accept) => &accept.origin,
        }),
    }
}
