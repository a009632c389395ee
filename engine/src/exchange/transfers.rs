//! Money in and out. Every transfer has two sides: the account and the outside.

use super::{Exchange, Transfer, TransferState};
use crate::{
    command::{AccountStatus, CreditDeposit, Decision, Rail, RequestWithdrawal, ResolveWithdrawal},
    event::{Address, Done, Event, PostingKind, Refused},
    ids::SessionId,
    ledger::About,
    limits,
    reason::{Field, Problem, Reason},
    units::Minor,
};

impl Exchange {
    pub(super) fn credit_deposit(
        &mut self,
        credit: &CreditDeposit,
        out: &mut Vec<Event>,
    ) -> Result<Done, Problem> {
        self.check_rail(credit.rail)?;
        self.credit(credit, out)
    }

    /// Money from the chain comes as [`crate::command::ChainDeposit`] only. Where some came from the chain, all
    /// money comes and goes by it: it holds liabilities against its own deposits (ROOT-06).
    fn check_rail(&self, rail: Rail) -> Result<(), Problem> {
        if rail == Rail::Chain || self.chain_deposits().count > 0 {
            return Err(Problem::about(Reason::UnsupportedCombination, Field::Rail));
        }
        Ok(())
    }

    /// Books money in, wherever it comes from.
    pub(super) fn credit(
        &mut self,
        credit: &CreditDeposit,
        out: &mut Vec<Event>,
    ) -> Result<Done, Problem> {
        let account = self.account(credit.account);
        let account = account.ok_or(Problem::about(Reason::NotFound, Field::Account))?;
        // A header may have shown that nothing is in it, for ever (EXIT-09).
        if account.status == AccountStatus::Closed {
            return Err(Problem::about(Reason::AccountNotActive, Field::Account));
        }
        let asset = credit.asset.index().and_then(|at| self.assets.get(at));
        asset.ok_or(Problem::about(Reason::NotFound, Field::Asset))?;
        check_amount(credit.amount)?;
        let before = self.ledger.balance(credit.account, credit.asset).cash;
        if before.0.saturating_add(credit.amount) > limits::MONEY_MINOR {
            let limit = limits::MONEY_MINOR;
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Amount,
                limit,
                credit.amount,
            ));
        }
        let id = self.record_transfer(Transfer {
            id: 0,
            account: credit.account,
            asset: credit.asset,
            amount: credit.amount,
            rail: credit.rail,
            state: TransferState::Credited,
            client_id: 0,
            created_at: self.at,
            updated_at: self.at,
            seq: self.seq,
        })?;
        let about = About {
            transfer: id,
            ..About::default()
        };
        let row = (credit.account, credit.asset);
        let amount = Minor(credit.amount);
        self.ledger
            .post(out, row, amount, PostingKind::Deposit, about);
        self.ledger.count_flow(credit.asset, amount);
        self.look_again_at(credit.account, credit.asset, out);
        Ok(Done {
            object: u64::from(id),
            count: 1,
            cancelled: 0,
            first_seq: 0,
        })
    }

    pub(super) fn record_transfer(&mut self, mut transfer: Transfer) -> Result<u32, Problem> {
        let id = u32::try_from(self.transfers.len() + 1).unwrap_or(u32::MAX);
        if self.transfers.len() >= limits::TRANSFERS {
            let limit = i64::try_from(limits::TRANSFERS).unwrap_or(i64::MAX);
            return Err(Problem::limit(
                Reason::TooManyItems,
                Field::Transfer,
                limit,
                limit + 1,
            ));
        }
        transfer.id = id;
        self.transfers.push(transfer);
        Ok(id)
    }

    /// A client asks for money out; it is held at once.
    pub(super) fn request_withdrawal(&mut self, request: &RequestWithdrawal, out: &mut Vec<Event>) {
        match self.hold_withdrawal(request) {
            Ok(done) => out.push(Event::Done(done)),
            Err(problem) => {
                let to = Address {
                    account: request.account,
                    session: SessionId::NONE,
                    event_seq: 0,
                    client_seq: 0,
                    item: 0,
                };
                out.push(Event::Refused(Refused { to, problem }));
            }
        }
    }

    fn hold_withdrawal(&mut self, request: &RequestWithdrawal) -> Result<Done, Problem> {
        let account = self.account(request.account);
        let account = account.ok_or(Problem::about(Reason::NotFound, Field::Account))?;
        let asset = request.asset.index().and_then(|at| self.assets.get(at));
        let asset = asset.ok_or(Problem::about(Reason::NotFound, Field::Asset))?;
        if request.client_transfer_id == 0 {
            return Err(Problem::about(Reason::InvalidField, Field::Transfer));
        }
        match request.rail {
            // Whom the vault is to pay must be known (ROOT-05).
            Rail::Chain if self.owner(request.account).address == [0; 20] => {
                return Err(Problem::about(Reason::DestinationRequired, Field::Owner));
            }
            Rail::Chain => {}
            Rail::Sandbox | Rail::Manual => self.check_rail(request.rail)?,
        }
        if self.is_in_debt(request.asset) {
            return Err(Problem::about(Reason::KillSwitchExchange, Field::Asset));
        }
        let known = self
            .withdrawals
            .get(request.account, request.client_transfer_id);
        let earlier = known.and_then(|id| self.transfers.get((id as usize).checked_sub(1)?));
        if let Some(earlier) = earlier {
            let same = earlier.asset == request.asset
                && earlier.amount == request.amount
                && earlier.rail == request.rail;
            if same {
                let object = u64::from(earlier.id);
                return Ok(Done {
                    object,
                    count: 1,
                    cancelled: 0,
                    first_seq: earlier.seq,
                });
            }
            return Err(Problem::about(Reason::RequestIdConflict, Field::Transfer));
        }
        if matches!(
            account.status,
            AccountStatus::Suspended | AccountStatus::Closed
        ) {
            return Err(Problem::about(Reason::AccountNotActive, Field::Account));
        }
        let (most, pending) = (
            limits::PENDING_WITHDRAWALS,
            self.withdrawals.pending(request.account),
        );
        if pending >= most {
            let wide = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            let (limit, actual) = (wide(most), wide(pending));
            return Err(Problem::limit(
                Reason::TooManyItems,
                Field::Transfer,
                limit,
                actual,
            ));
        }
        check_amount(request.amount)?;
        if request.amount < asset.min_withdrawal {
            let (limit, actual) = (asset.min_withdrawal, request.amount);
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Amount,
                limit,
                actual,
            ));
        }
        let available = self
            .ledger
            .balance(request.account, request.asset)
            .available();
        if Minor(request.amount) > available {
            let reason = Reason::InsufficientBalance;
            return Err(Problem::limit(
                reason,
                Field::Amount,
                available.0,
                request.amount,
            ));
        }
        let id = self.record_transfer(Transfer {
            id: 0,
            account: request.account,
            asset: request.asset,
            amount: request.amount,
            rail: request.rail,
            state: TransferState::Pending,
            client_id: request.client_transfer_id,
            created_at: self.at,
            updated_at: self.at,
            seq: self.seq,
        })?;
        self.withdrawals
            .ask(request.account, request.client_transfer_id, id);
        self.ledger.change(request.account, request.asset).held += Minor(request.amount);
        Ok(Done {
            object: u64::from(id),
            count: 1,
            cancelled: 0,
            first_seq: 0,
        })
    }

    /// The operator decides: approve (completes play money), complete, or reject.
    pub(super) fn resolve_withdrawal(
        &mut self,
        resolve: &ResolveWithdrawal,
        out: &mut Vec<Event>,
    ) -> Result<Done, Problem> {
        let not_found = Problem::about(Reason::NotFound, Field::Transfer);
        let index = (resolve.transfer as usize)
            .checked_sub(1)
            .ok_or(not_found)?;
        let transfer = *self.transfers.get(index).ok_or(not_found)?;
        let next = match (transfer.state, resolve.decision) {
            (TransferState::Pending, Decision::Approve) => match transfer.rail {
                // From now on the vault owes it.
                Rail::Sandbox | Rail::Chain => TransferState::Paid,
                Rail::Manual => TransferState::Approved,
            },
            (TransferState::Approved, Decision::Complete) => TransferState::Paid,
            (TransferState::Pending, Decision::Reject) => TransferState::Refused,
            _ => return Err(Problem::about(Reason::IllegalTransition, Field::Transfer)),
        };
        if next == TransferState::Paid {
            self.check_payment(&transfer)?;
        }
        if transfer.state == TransferState::Pending {
            self.withdrawals.decide(transfer.account);
        }
        let (row, amount) = ((transfer.account, transfer.asset), Minor(transfer.amount));
        if matches!(next, TransferState::Paid | TransferState::Refused) {
            self.ledger.change(row.0, row.1).held -= amount;
        }
        if next == TransferState::Paid {
            let about = About {
                transfer: transfer.id,
                ..About::default()
            };
            self.ledger
                .post(out, row, -amount, PostingKind::Withdrawal, about);
            self.ledger.count_flow(transfer.asset, -amount);
            self.note_issued(&transfer);
        }
        let (at, seq) = (self.at, self.seq);
        let stored = &mut self.transfers[index];
        (stored.state, stored.updated_at, stored.seq) = (next, at, seq);
        Ok(Done {
            object: u64::from(transfer.id),
            count: 1,
            cancelled: 0,
            first_seq: 0,
        })
    }
}

impl Exchange {
    /// Money leaves only while the fund can stand for the asset, and never what an account's own positions
    /// lack (MONEY-11).
    fn check_payment(&self, transfer: &Transfer) -> Result<(), Problem> {
        if self.is_in_debt(transfer.asset) {
            return Err(Problem::about(Reason::KillSwitchExchange, Field::Asset));
        }
        if transfer.rail == Rail::Chain && self.owner(transfer.account).address == [0; 20] {
            return Err(Problem::about(Reason::DestinationRequired, Field::Owner));
        }
        let balance = self.ledger.balance(transfer.account, transfer.asset);
        let left = balance.available() + Minor(transfer.amount);
        if balance.available() < Minor::ZERO {
            let reason = Reason::InsufficientBalance;
            return Err(Problem::limit(
                reason,
                Field::Amount,
                left.0.max(0),
                transfer.amount,
            ));
        }
        Ok(())
    }
}

pub(super) fn check_amount(amount: i64) -> Result<(), Problem> {
    if (1..=limits::MONEY_MINOR).contains(&amount) {
        return Ok(());
    }
    let limit = if amount < 1 { 1 } else { limits::MONEY_MINOR };
    Err(Problem::limit(
        Reason::InvalidField,
        Field::Amount,
        limit,
        amount,
    ))
}
