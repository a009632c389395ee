//! The reference and admin commands that trading needs. Identities are those the engine gave.

use engine::{
    command::{
        AccountStatus, Command, CreditDeposit, FixingKind, NewAccount, RequestWithdrawal,
        ResolveWithdrawal, SetAccountStatus, SetTradingState, StateScope, SubmitFixing,
    },
    event::OrderStatus,
    ids::{AccountId, AssetId, FirmId, IndexId, InstrumentId, ProductId},
    instrument::{Terms, TradingState},
    limits,
    reason::Reason,
};

use super::{
    Account, Arithmetic, Call, Coming, Contract, IndexState, Model, Names, Withdrawal,
    WithdrawalState, money, narrow, small,
};
use crate::readings;

impl Model {
    /// Any command without an origin. Its refusals are told to account 0.
    pub(super) fn administer(&mut self, command: &Command, names: &Names) {
        if let Some(id) = request_id(command).filter(|id| *id != 0) {
            match self.requests.get(&id) {
                Some(first) if first == command => return,
                Some(_) => return self.refuse(Reason::RequestIdConflict),
                None => {}
            }
        }
        let created = narrow(names.created);
        let done = match command {
            Command::CreateAsset(request) => {
                self.assets.insert(AssetId(created), request.body.clone());
                Ok(())
            }
            Command::CreateCommodity(request) => {
                self.commodities.insert(created, request.body.clone());
                Ok(())
            }
            Command::CreateIndex(_) => {
                self.indexes.insert(IndexId(created), IndexState::default());
                Ok(())
            }
            Command::CreateAccount(request) => {
                self.create_account(AccountId(created), &request.body);
                Ok(())
            }
            Command::CreateInstrument(request) => self.list(InstrumentId(created), &request.body),
            Command::CreateFirm(_) => {
                self.firms.insert(FirmId(created), false);
                Ok(())
            }
            Command::SetMmpGroup(request) => self.set_mmp_group(request.body),
            Command::SetKillSwitch(request) => self.set_kill_switch(request.body),
            Command::SetMarginMethod(request) => self.set_margin_method(&request.body),
            Command::SetAccountStatus(request) => self.set_account_status(request.body),
            Command::SetTradingState(request) => self.set_trading_state(request.body),
            Command::CreditDeposit(request) => self.deposit(request.body),
            Command::RequestWithdrawal(request) => self.request_withdrawal(*request),
            Command::ResolveWithdrawal(request) => self.resolve(request.body, names),
            Command::SubmitFixing(fixing) => self.fix(fixing),
            // Firms and keys: nothing that trading sees but the number of a firm.
            _ => Ok(()),
        };
        match (done, request_id(command)) {
            (Err(reason), _) => self.refuse(reason),
            (Ok(()), Some(id)) => {
                self.requests.insert(id, command.clone());
            }
            (Ok(()), None) => {}
        }
    }

    fn create_account(&mut self, id: AccountId, new: &NewAccount) {
        let account = Account {
            firm: new.firm,
            maker_offset: i128::from(new.maker_fee_offset),
            taker_offset: i128::from(new.taker_fee_offset),
            ..Account::default()
        };
        self.accounts.insert(id, account);
    }

    /// MARK-01.
    fn list(&mut self, id: InstrumentId, terms: &Terms) -> Result<(), Reason> {
        self.check_legs(terms)?;
        let volatility = terms.volatility;
        let off = volatility.window_ms == 0 && volatility.move_ppm == 0;
        let fits = limits::VOLATILITY_WINDOW_MS.contains(&volatility.window_ms)
            && (1..=999_999).contains(&volatility.move_ppm);
        if !off && !fits {
            return Err(Reason::InvalidField);
        }
        let money = Arithmetic::new(
            terms,
            &self.commodities[&terms.commodity.0],
            &self.assets[&terms.price_asset],
        );
        let value = self.indexes.get(&terms.index).and_then(|index| index.value);
        let mark = value.map_or(terms.reference.0, |value| {
            small(money::ratio(value, terms.tick_size).max(1))
        });
        if !self.products.contains(&terms.product) {
            self.products.push(terms.product.clone());
        }
        let product = self.products.iter().position(|name| *name == terms.product);
        let contract = Contract {
            terms: terms.clone(),
            product: product.map_or(ProductId::NONE, ProductId::nth),
            money,
            mark,
            anchor: value.map(|value| (mark, value)),
            width: None,
            state: TradingState::Closed,
            scheduled: None,
            reopens: None,
            expired: false,
            last: None,
            call: Call::default(),
            moves: Vec::new(),
        };
        self.contracts.insert(id, contract);
        self.mark_combinations();
        Ok(())
    }

    fn set_account_status(&mut self, body: SetAccountStatus) -> Result<(), Reason> {
        let account = self
            .accounts
            .get_mut(&body.account)
            .ok_or(Reason::NotFound)?;
        account.status = body.status;
        if body.cancel_open_orders {
            for key in self.oldest_first(|order| order.key.0 == body.account) {
                let reason = readings::STATUS_CANCEL_REASON;
                self.end_or_defer(key, OrderStatus::Cancelled, reason);
            }
        }
        Ok(())
    }

    fn set_trading_state(&mut self, body: SetTradingState) -> Result<(), Reason> {
        let now = self.now;
        let calls = super::calls::is_call(body.target);
        // STATE-01: what is over is left out, unless it is named alone.
        let over = |contract: &Contract| contract.terms.last_trade.0 <= now;
        let covered = |(id, contract): &(&InstrumentId, &Contract)| match body.scope {
            StateScope::Instrument(one) => one == **id,
            StateScope::Product(product) => product == contract.product && !over(contract),
            StateScope::All => !(over(contract) || calls && contract.is_combination()),
        };
        let covered = self.contracts.iter().filter(covered).map(|(id, _)| *id);
        let covered: Vec<InstrumentId> = covered.collect();
        if covered.is_empty() {
            return Err(Reason::NotFound);
        }
        let too_late = covered.iter().any(|id| over(&self.contracts[id]));
        if too_late && body.target != TradingState::Closed {
            return Err(Reason::IllegalTransition);
        }
        self.refuses_calls(body.scope, body.target)?;
        for id in covered {
            let Some(contract) = self.contracts.get_mut(&id) else {
                continue;
            };
            if body.effective.0 > now {
                contract.scheduled = Some(Coming {
                    at: body.effective.0,
                    state: body.target,
                    reason: body.reason,
                    cancels: body.cancel_open_orders,
                });
                contract.plan_no_cancel(now);
                continue;
            }
            contract.reopens = None;
            if readings::IMMEDIATE_STATE_DROPS_SCHEDULE {
                contract.scheduled = None;
            }
            match body.cancel_open_orders {
                true => self.clear_into(id, body.target),
                false => self.become_state(id, body.target),
            }
        }
        Ok(())
    }

    fn deposit(&mut self, body: CreditDeposit) -> Result<(), Reason> {
        if !self.accounts.contains_key(&body.account) {
            return Err(Reason::NotFound);
        }
        if body.amount <= 0 {
            return Err(Reason::InvalidField);
        }
        let amount = i128::from(body.amount);
        *self.cash.entry((body.account, body.asset)).or_default() += amount;
        *self.paid_in.entry(body.asset).or_default() += amount;
        Ok(())
    }

    /// MONEY-02: a pending withdrawal is held.
    fn request_withdrawal(&mut self, request: RequestWithdrawal) -> Result<(), Reason> {
        let key = (request.account, request.client_transfer_id);
        if self.withdrawals.contains_key(&key) {
            return Ok(());
        }
        // MONEY-11: frozen accounts do not pay out.
        let status = self.accounts.get(&request.account).map(|row| row.status);
        if matches!(
            status,
            Some(AccountStatus::Suspended | AccountStatus::Closed)
        ) {
            return Err(Reason::AccountNotActive);
        }
        let waiting = self.withdrawals.iter().filter(|((account, _), row)| {
            *account == request.account && row.state == WithdrawalState::Pending
        });
        if waiting.count() >= 100 {
            return Err(Reason::TooManyItems);
        }
        if i128::from(request.amount) > self.available(request.account, request.asset) {
            return Err(Reason::InsufficientBalance);
        }
        let withdrawal = Withdrawal {
            asset: request.asset,
            amount: request.amount,
            rail: request.rail,
            state: WithdrawalState::Pending,
        };
        self.withdrawals.insert(key, withdrawal);
        Ok(())
    }

    fn resolve(&mut self, body: ResolveWithdrawal, names: &Names) -> Result<(), Reason> {
        let key = *names
            .transfers
            .get(&body.transfer)
            .ok_or(Reason::NotFound)?;
        let asset = self.withdrawals.get(&key).map(|row| row.asset);
        let lacking = asset.is_some_and(|asset| self.available(key.0, asset) < 0);
        let withdrawal = self.withdrawals.get_mut(&key).ok_or(Reason::NotFound)?;
        let (state, leaves) = withdrawal
            .decide(body.decision)
            .ok_or(Reason::IllegalTransition)?;
        // MONEY-11: not what the account's own positions lack.
        if leaves && lacking {
            return Err(Reason::InsufficientBalance);
        }
        withdrawal.state = state;
        if leaves {
            let (asset, amount) = (withdrawal.asset, i128::from(withdrawal.amount));
            *self.cash.entry((key.0, asset)).or_default() -= amount;
            *self.paid_in.entry(asset).or_default() -= amount;
        }
        Ok(())
    }

    /// MARK-02, MARK-04, MONEY-10.
    fn fix(&mut self, fixing: &SubmitFixing) -> Result<(), Reason> {
        let daily = fixing.kind == FixingKind::Daily;
        let index = self
            .indexes
            .get_mut(&fixing.index)
            .ok_or(Reason::NotFound)?;
        if fixing.value.mantissa <= 0 {
            return Err(Reason::InvalidField);
        }
        match index.rounds.get(&(daily, fixing.round)) {
            Some(value) if *value == fixing.value => return Ok(()),
            Some(_) => return Err(Reason::ObservationConflict),
            None => {}
        }
        let of_kind = index.rounds.keys().filter(|(kind, _)| *kind == daily);
        if of_kind
            .map(|(_, round)| *round)
            .max()
            .is_some_and(|newest| fixing.round < newest)
        {
            return Err(Reason::StaleObservation);
        }
        // MARK-04: within a factor of ten of the newest value.
        if let Some(newest) = index.value {
            let least = newest.exponent.min(fixing.value.exponent);
            let scale = |value: engine::units::Decimal| {
                i128::from(value.mantissa) * 10_i128.pow((value.exponent - least).unsigned_abs())
            };
            let (before, now) = (scale(newest), scale(fixing.value));
            if now > before * 10 || now * 10 < before {
                return Err(Reason::InvalidField);
            }
        }
        let old = index.value.replace(fixing.value);
        index.rounds.insert((daily, fixing.round), fixing.value);
        let on_index: Vec<InstrumentId> = self
            .contracts
            .iter()
            .filter(|(_, contract)| contract.terms.index == fixing.index)
            .filter(|(_, contract)| !contract.is_combination())
            .map(|(id, _)| *id)
            .collect();
        for id in &on_index {
            let mark = self.new_mark(*id, old, fixing.value);
            let held = self.is_held(*id);
            if let Some(contract) = self.contracts.get_mut(id)
                && (!contract.expired || contract.is_forward())
            {
                contract.mark = mark;
                if daily || !held || contract.anchor.is_none() {
                    contract.anchor = Some((mark, fixing.value));
                }
            }
            self.touched.insert(*id);
        }
        self.mark_combinations();
        for id in on_index.into_iter().filter(|_| daily) {
            let contract = &self.contracts[&id];
            if contract.is_forward()
                && (!contract.expired || readings::EXPIRED_FORWARDS_POST_VARIATION)
            {
                self.settle_day(id);
            }
        }
        Ok(())
    }
}

fn request_id(command: &Command) -> Option<u64> {
    match command {
        Command::CreateAsset(request) => Some(request.id),
        Command::CreateCommodity(request) => Some(request.id),
        Command::CreateIndex(request) => Some(request.id),
        Command::CreateFirm(request) => Some(request.id),
        Command::CreateAccount(request) => Some(request.id),
        Command::SetAccountStatus(request) => Some(request.id),
        Command::CreateInstrument(request) => Some(request.id),
        Command::SetTradingState(request) => Some(request.id),
        Command::CreditDeposit(request) => Some(request.id),
        Command::ResolveWithdrawal(request) => Some(request.id),
        Command::SetMmpGroup(request) => Some(request.id),
        Command::SetKillSwitch(request) => Some(request.id),
        Command::SetMarginMethod(request) => Some(request.id),
        _ => None,
    }
}
