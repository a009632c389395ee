//! Money in and out, index values, account and trading states.

use engine::{
    command::{
        AccountStatus, Command, CreditDeposit, Decision, FixingKind, Rail, RequestWithdrawal,
        ResolveWithdrawal, Restart, SetAccountStatus, SetTradingState, StateScope, SubmitFixing,
    },
    ids::ProductId,
    instrument::TradingState,
    reason::Reason,
    units::{Decimal, Nanos, SECOND},
};

use super::{Generator, HORIZON};
use crate::model::{Model, Names, WithdrawalState};

impl Generator {
    pub(super) fn deposit(&mut self) -> Command {
        let repeat = self.deposits.clone();
        if let Some(Command::CreditDeposit(mut first)) = repeat.filter(|_| self.random.percent(15))
        {
            first.body.amount += i64::from(self.random.percent(50));
            return Command::CreditDeposit(first);
        }
        let asset = usize::from(self.random.percent(50));
        let most = [600_000, 60_000_000][asset];
        let body = CreditDeposit {
            account: self.some_account(),
            asset: self.assets[asset],
            amount: self.random.between(1, most),
            rail: Rail::Sandbox,
        };
        let command = Command::CreditDeposit(self.request(body));
        self.deposits = Some(command.clone());
        command
    }

    /// Mostly what is available or less, sometimes more.
    pub(super) fn withdraw(&mut self, model: &Model) -> Command {
        let (mut account, mut asset) = (
            self.some_account(),
            self.assets[usize::from(self.random.percent(50))],
        );
        // COMBO-10: an order in a combination whose owner has little left.
        let poor = self.owner_in_combination(model);
        if let Some(owner) = poor {
            (account, asset) = (owner, self.assets[0]);
        }
        let available = i64::try_from(model.available(account, asset))
            .unwrap_or(0)
            .max(1);
        let amount = match self.random.between(0, 9) {
            _ if poor.is_some() => available,
            0 => available + self.random.between(1, 1_000),
            1..=3 => available,
            _ => self.random.between(1, available),
        };
        self.transfers += 1;
        Command::RequestWithdrawal(RequestWithdrawal {
            account,
            client_transfer_id: self.transfers,
            asset,
            amount,
            rail: if self.random.percent(70) {
                Rail::Sandbox
            } else {
                Rail::Manual
            },
        })
    }

    /// Only what may be decided: the rules do not say how a second decision is refused.
    pub(super) fn resolve(&mut self, model: &Model, names: &Names) -> Command {
        let undecided: Vec<(u32, WithdrawalState)> = names
            .transfers
            .iter()
            .filter_map(|(number, key)| Some((*number, model.withdrawals.get(key)?.state)))
            .filter(|(_, state)| *state != WithdrawalState::Over)
            .collect();
        let Some((transfer, state)) = self.random.pick(&undecided).copied() else {
            return self.deposit();
        };
        let decision = match state {
            WithdrawalState::Approved => Decision::Complete,
            _ if self.random.percent(60) => Decision::Approve,
            _ => Decision::Reject,
        };
        Command::ResolveWithdrawal(self.request(ResolveWithdrawal { transfer, decision }))
    }

    /// A walk of about one percent, pulled back to 1000 ticks; sometimes a repeat, a conflict, a
    /// round that is too old, or a value that is none.
    pub(super) fn fixing(&mut self, model: &Model) -> Command {
        let first = self.fixing.clone();
        if let Some(Command::SubmitFixing(mut first)) = first.filter(|_| self.random.percent(15)) {
            match self.random.between(0, 2) {
                0 => {}
                1 => first.value.mantissa += 1,
                _ => first.round -= 1,
            }
            return Command::SubmitFixing(first);
        }
        let which = usize::from(self.random.percent(40));
        let index = self.indexes[which];
        let exponent = [-11, -9][which];
        let last = model.indexes.get(&index).and_then(|index| index.value);
        let last = last.map_or(1_000_000, |value| value.mantissa);
        let pull = (1_000_000 - last) / 20;
        let mantissa = last + pull + self.random.between(-last / 80, last / 80);
        // Rounds are even, so that an odd one is always a new one that is too old.
        self.rounds += 2;
        let bad = self.random.percent(2);
        let command = Command::SubmitFixing(SubmitFixing {
            index,
            kind: match self.random.percent(30) {
                true => FixingKind::Daily,
                false => FixingKind::Indicative,
            },
            round: self.rounds,
            value: Decimal {
                mantissa: if bad { 0 } else { mantissa.max(1) },
                exponent,
            },
            day: Nanos(0),
            key_id: "index".into(),
        });
        if !bad {
            self.fixing = Some(command.clone());
        }
        command
    }

    /// Mostly back to Active.
    pub(super) fn account_status(&mut self, model: &Model) -> Command {
        let restricted = |id: &&engine::ids::AccountId| {
            model
                .accounts
                .get(id)
                .is_some_and(|account| account.status != AccountStatus::Active)
        };
        let restricted: Vec<_> = self.accounts.iter().filter(restricted).copied().collect();
        let back = self.random.pick(&restricted).copied();
        let (account, status) = match back.filter(|_| self.random.percent(85)) {
            Some(account) => (account, AccountStatus::Active),
            None if self.random.percent(60) => (self.some_account(), AccountStatus::ReduceOnly),
            None => (self.some_account(), AccountStatus::Suspended),
        };
        let cancel_open_orders = status == AccountStatus::Suspended && self.random.percent(50);
        let body = SetAccountStatus {
            account,
            status,
            cancel_open_orders,
        };
        Command::SetAccountStatus(self.request(body))
    }

    /// Mostly back to Open; sometimes later, sometimes for a product or for all.
    pub(super) fn trading_state(&mut self, model: &Model) -> Command {
        use TradingState::{CancelOnly, Closed, Halted, Open, PostOnly};
        let alive = self.alive.clone();
        let shut: Vec<_> = alive
            .iter()
            .copied()
            .filter(|id| model.state(*id) != Some(Open))
            .collect();
        let (scope, target) = match self.random.pick(&shut).copied() {
            Some(_) if self.random.percent(30) => (StateScope::All, Open),
            Some(id) if self.random.percent(80) => (StateScope::Instrument(id), Open),
            _ => {
                let any = self.random.pick(&alive).copied().unwrap_or_default();
                let targets = [PostOnly, PostOnly, CancelOnly, Halted, Closed];
                let target = self.random.pick(&targets).copied().unwrap_or(Halted);
                let product =
                    ProductId(u32::try_from(self.random.between(1, self.products())).unwrap_or(1));
                match self.random.percent(20) {
                    true => (StateScope::Product(product), target),
                    false => (StateScope::Instrument(any), target),
                }
            }
        };
        let later = self.random.percent(25);
        let effective = match later {
            true => Nanos(self.now + self.random.between(1, 10 * SECOND)),
            false => Nanos(0),
        };
        let cancel_open_orders = !later && target != Open && self.random.percent(30);
        Command::SetTradingState(self.request(SetTradingState {
            scope,
            target,
            reason: Reason::Operator,
            effective,
            cancel_open_orders,
        }))
    }

    /// Not while a change is scheduled: the rules do not say which of the two would win.
    pub(super) fn restart(&mut self, model: &Model) -> Command {
        let waiting = model
            .contracts
            .values()
            .any(|contract| contract.scheduled.is_some());
        if waiting || self.now > HORIZON {
            return self.place(model);
        }
        Command::Restart(Restart {
            post_only_until: Nanos(self.now + self.random.between(SECOND, 20 * SECOND)),
            recovery_grace_ms: i32::try_from(self.random.between(0, 5_000)).unwrap_or(0),
        })
    }
}
