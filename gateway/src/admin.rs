//! The operator's service. Every change is a journaled command; what is not served says so.

use engine::{
    command::{
        AccountKind, AccountStatus, Command, CreditDeposit, Decision, NewAccount, NewFirm, NewKey,
        Rail, Request as Asked, ResolveWithdrawal, RevokeKey, SetAccountStatus, SetKillSwitch,
        SetTradingState, StateScope, SwitchScope,
    },
    event::{Done, Event},
    exchange::Exchange,
    ids::{AccountId, AssetId, CommodityId, FirmId, InstrumentId, ProductId},
    instrument::TradingState,
    reason::{Field, Problem, Reason},
    units::Nanos,
};
use proto::{
    account::v1 as account_wire,
    admin::v1::{self as wire, admin_service_server::AdminService},
    common::v1::{self as common, Permission},
};
use tonic::{Request, Response, Status};

use crate::{
    auth::{Caller, caller, now_nanos},
    bulletin::Answer,
    core_view,
    desk::{Desk, Environment, refused, wide},
    keys,
    paging::{List, Page},
    refusal,
    translate::{account, reference, terms},
};

mod clock;
mod defaults;
mod delivery;
mod margins;
mod oracle;
mod rows;

/// The service.
#[derive(Clone, Debug)]
pub struct Service {
    desk: Desk,
}

type Reply<T> = Result<Response<T>, Status>;

impl Service {
    /// For this exchange.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self { desk }
    }

    fn operator<T>(request: &Request<T>) -> Result<Caller, Status> {
        let caller = caller(request)?;
        caller.need(Permission::Operator)?;
        Ok(caller)
    }

    /// Runs an administrative command; its answer, or the refusal as a status.
    async fn run(&self, command: Command) -> Result<(Answer, Done), Status> {
        run(&self.desk, command).await
    }
}

/// Runs an administrative command; its answer, or the refusal as a status.
pub(crate) async fn run(desk: &Desk, command: Command) -> Result<(Answer, Done), Status> {
    let answer = desk.ask(command).await?;
    if let Some(problem) = refused(&answer) {
        return Err(refusal::status(&problem));
    }
    let done = answer.events().iter().find_map(|event| match event {
        Event::Done(done) => Some(*done),
        _ => None,
    });
    let done = done.ok_or_else(|| Status::internal("a command was neither done nor refused"))?;
    Ok((answer, done))
}

/// Position of the first result of a request.
pub(crate) fn position(answer: &Answer, done: &Done) -> i64 {
    wide(if done.first_seq > 0 {
        done.first_seq
    } else {
        answer.seq()
    })
}

/// An administrative command, which must be safe to repeat.
pub(crate) fn asked<T>(caller: &Caller, id: u64, note: &str, body: T) -> Result<Asked<T>, Status> {
    if id == 0 {
        let why = "required, non-zero: a repeat under the same id has no second effect";
        return Err(refusal::invalid("request_id", why));
    }
    Ok(Asked {
        id,
        key_id: caller.key_id.clone(),
        note: note.into(),
        body,
    })
}

pub(crate) fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn account_id(id: i64) -> AccountId {
    u32::try_from(id).map(AccountId).unwrap_or_default()
}

#[tonic::async_trait]
impl AdminService for Service {
    async fn create_firm(
        &self,
        request: Request<wire::CreateFirmRequest>,
    ) -> Reply<wire::CreateFirmResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let firm = request
            .firm
            .ok_or_else(|| refusal::invalid("firm", "required"))?;
        let body = NewFirm {
            code: firm.firm_code,
            legal_name: firm.legal_name,
            lei: firm.lei,
        };
        let command = Command::CreateFirm(asked(&caller, request.request_id, "", body)?);
        let (answer, done) = self.run(command).await?;
        let id = u32::try_from(done.object).map(FirmId).unwrap_or_default();
        let firm = self.desk.state(|state| {
            id.index()
                .and_then(|at| state.firms().get(at))
                .map(rows::firm_out)
        });
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::CreateFirmResponse {
            firm,
            journal_seq,
        }))
    }

    async fn list_firms(
        &self,
        request: Request<wire::ListFirmsRequest>,
    ) -> Reply<wire::ListFirmsResponse> {
        Self::operator(&request)?;
        let request = request.into_inner();
        let page = Page::read(List::Firms, request.page_size, &request.page_token)?;
        self.desk.state(|state| {
            let rows = state
                .firms()
                .iter()
                .filter(|firm| u64::from(firm.id.0) > page.after);
            let (firms, next_page_token) = page.cut(rows, |firm| u64::from(firm.id.0));
            let firms = firms.into_iter().map(rows::firm_out).collect();
            Ok(Response::new(wire::ListFirmsResponse {
                firms,
                next_page_token,
            }))
        })
    }

    async fn create_account(
        &self,
        request: Request<wire::CreateAccountRequest>,
    ) -> Reply<wire::CreateAccountResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let account = request
            .account
            .ok_or_else(|| refusal::invalid("account", "required"))?;
        let kind = match wire::AccountKind::try_from(account.kind) {
            Ok(wire::AccountKind::Client) => AccountKind::Client,
            Ok(wire::AccountKind::MarketMaker) => AccountKind::MarketMaker,
            Ok(wire::AccountKind::Backstop) => AccountKind::Backstop,
            _ => {
                return Err(refusal::invalid(
                    "account.kind",
                    "CLIENT, MARKET_MAKER or BACKSTOP",
                ));
            }
        };
        if !account.l2_owner.is_empty() {
            return Err(refusal::unimplemented("account.l2_owner"));
        }
        let body = NewAccount {
            firm: u32::try_from(account.firm_id)
                .map(FirmId)
                .unwrap_or_default(),
            label: account.label,
            kind,
            maker_fee_offset: account.maker_fee_offset_ppm,
            taker_fee_offset: account.taker_fee_offset_ppm,
        };
        let command = Command::CreateAccount(asked(&caller, request.request_id, "", body)?);
        let (answer, done) = self.run(command).await?;
        let id = u32::try_from(done.object)
            .map(AccountId)
            .unwrap_or_default();
        let account = self
            .desk
            .state(|state| state.account(id).map(rows::account_out));
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::CreateAccountResponse {
            account,
            journal_seq,
        }))
    }

    async fn list_accounts(
        &self,
        request: Request<wire::ListAccountsRequest>,
    ) -> Reply<wire::ListAccountsResponse> {
        Self::operator(&request)?;
        let request = request.into_inner();
        let page = Page::read(List::Accounts, request.page_size, &request.page_token)?;
        self.desk.state(|state| {
            let wanted = |row: &engine::exchange::Account| {
                (request.firm_id == 0 || request.firm_id == i64::from(row.firm.0))
                    && (request.status == 0 || request.status == account::status(row.status))
            };
            let rows = state.accounts().iter().filter(|row| wanted(row));
            let rows = rows.filter(|row| u64::from(row.id.0) > page.after);
            let (accounts, next_page_token) = page.cut(rows, |row| u64::from(row.id.0));
            let accounts = accounts.into_iter().map(rows::account_out).collect();
            Ok(Response::new(wire::ListAccountsResponse {
                accounts,
                next_page_token,
            }))
        })
    }

    async fn set_account_status(
        &self,
        request: Request<wire::SetAccountStatusRequest>,
    ) -> Reply<wire::SetAccountStatusResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let status = match account_wire::AccountStatus::try_from(request.status) {
            Ok(account_wire::AccountStatus::Active) => AccountStatus::Active,
            Ok(account_wire::AccountStatus::ReduceOnly) => AccountStatus::ReduceOnly,
            Ok(account_wire::AccountStatus::Suspended) => AccountStatus::Suspended,
            Ok(account_wire::AccountStatus::Closed) => AccountStatus::Closed,
            _ => {
                let why = "ACTIVE, REDUCE_ONLY, SUSPENDED or CLOSED";
                return Err(refusal::invalid("status", why));
            }
        };
        let body = SetAccountStatus {
            account: account_id(request.account_id),
            status,
            cancel_open_orders: request.cancel_open_orders,
        };
        let command =
            Command::SetAccountStatus(asked(&caller, request.request_id, &request.note, body)?);
        let (answer, done) = self.run(command).await?;
        Ok(Response::new(wire::SetAccountStatusResponse {
            journal_seq: position(&answer, &done),
            cancelled_orders: count(done.cancelled),
        }))
    }

    async fn create_api_key(
        &self,
        request: Request<wire::CreateApiKeyRequest>,
    ) -> Reply<wire::CreateApiKeyResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let key = request
            .key
            .ok_or_else(|| refusal::invalid("key", "required"))?;
        let public_key = <[u8; 32]>::try_from(key.public_key.as_slice())
            .map_err(|_| refusal::invalid("key.public_key", "32 bytes, Ed25519"))?;
        if !key.allowed_cidrs.is_empty() {
            return Err(refusal::unimplemented("key.allowed_cidrs"));
        }
        let mut permissions = 0_u32;
        for permission in &key.permissions {
            match Permission::try_from(*permission) {
                Ok(Permission::Unspecified) | Err(_) => {
                    return Err(refusal::invalid("key.permissions", "unknown permission"));
                }
                Ok(known) => permissions |= 1 << known as u32,
            }
        }
        let body = NewKey {
            key_id: keys::key_id_of(&public_key),
            firm: u32::try_from(key.firm_id).map(FirmId).unwrap_or_default(),
            label: key.label,
            public_key,
            permissions,
            accounts: key.account_ids.iter().map(|id| account_id(*id)).collect(),
            expires: Nanos(key.expires_unix_nanos),
        };
        let key_id = body.key_id.clone();
        let command = Command::CreateKey(asked(&caller, request.request_id, "", body)?);
        let (answer, done) = self.run(command).await?;
        let key = self.desk.state(|state| {
            state
                .keys()
                .iter()
                .find(|key| key.details.key_id == key_id)
                .map(rows::key_out)
        });
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::CreateApiKeyResponse {
            key,
            journal_seq,
        }))
    }

    async fn list_api_keys(
        &self,
        request: Request<wire::ListApiKeysRequest>,
    ) -> Reply<wire::ListApiKeysResponse> {
        Self::operator(&request)?;
        let request = request.into_inner();
        let page = Page::read(List::Keys, request.page_size, &request.page_token)?;
        self.desk.state(|state| {
            let rows = (1_u64..).zip(state.keys()).filter(|(number, key)| {
                *number > page.after
                    && (request.firm_id == 0 || request.firm_id == i64::from(key.details.firm.0))
                    && (request.include_revoked || !key.revoked)
            });
            let (keys, next_page_token) = page.cut(rows, |(number, _)| *number);
            let keys = keys
                .into_iter()
                .map(|(_, key)| rows::key_out(key))
                .collect();
            Ok(Response::new(wire::ListApiKeysResponse {
                keys,
                next_page_token,
            }))
        })
    }

    async fn revoke_api_key(
        &self,
        request: Request<wire::RevokeApiKeyRequest>,
    ) -> Reply<wire::RevokeApiKeyResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let body = RevokeKey {
            key_id: request.key_id,
            cancel_open_orders: request.cancel_open_orders,
        };
        let command = Command::RevokeKey(asked(&caller, request.request_id, &request.note, body)?);
        let (answer, done) = self.run(command).await?;
        Ok(Response::new(wire::RevokeApiKeyResponse {
            journal_seq: position(&answer, &done),
            cancelled_orders: count(done.cancelled),
        }))
    }

    async fn credit_deposit(
        &self,
        request: Request<wire::CreditDepositRequest>,
    ) -> Reply<wire::CreditDepositResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let amount = request
            .amount
            .ok_or_else(|| refusal::invalid("amount", "required"))?;
        let rail = match account_wire::TransferRail::try_from(request.rail) {
            Ok(account_wire::TransferRail::Sandbox) => {
                if self.desk.environment != Environment::Sandbox {
                    return Err(refusal::about(Reason::NotSandbox, Field::Rail));
                }
                Rail::Sandbox
            }
            Ok(account_wire::TransferRail::Manual) => Rail::Manual,
            Ok(account_wire::TransferRail::L2) => {
                return Err(refusal::invalid(
                    "rail",
                    "deposits on the chain are credited when it shows them",
                ));
            }
            _ => return Err(refusal::invalid("rail", "SANDBOX or MANUAL")),
        };
        let body = CreditDeposit {
            account: account_id(request.account_id),
            asset: u32::try_from(amount.asset_id)
                .map(AssetId)
                .unwrap_or_default(),
            amount: amount.minor_units,
            rail,
        };
        let command =
            Command::CreditDeposit(asked(&caller, request.request_id, &request.note, body)?);
        let (answer, done) = self.run(command).await?;
        let transfer = self.transfer(done.object);
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::CreditDepositResponse {
            transfer,
            journal_seq,
        }))
    }

    async fn resolve_withdrawal(
        &self,
        request: Request<wire::ResolveWithdrawalRequest>,
    ) -> Reply<wire::ResolveWithdrawalResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let decision = match wire::WithdrawalDecision::try_from(request.decision) {
            Ok(wire::WithdrawalDecision::Approve) => Decision::Approve,
            Ok(wire::WithdrawalDecision::Complete) => Decision::Complete,
            Ok(wire::WithdrawalDecision::Reject) => Decision::Reject,
            _ => return Err(refusal::invalid("decision", "APPROVE, COMPLETE or REJECT")),
        };
        let transfer = u32::try_from(request.transfer_id).unwrap_or(0);
        let body = ResolveWithdrawal { transfer, decision };
        let command =
            Command::ResolveWithdrawal(asked(&caller, request.request_id, &request.note, body)?);
        let (answer, done) = self.run(command).await?;
        let transfer = self.transfer(done.object);
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::ResolveWithdrawalResponse {
            transfer,
            journal_seq,
        }))
    }

    async fn list_transfers(
        &self,
        request: Request<wire::ListTransfersRequest>,
    ) -> Reply<wire::ListTransfersResponse> {
        Self::operator(&request)?;
        let request = request.into_inner();
        let page = Page::read(List::Transfers, request.page_size, &request.page_token)?;
        self.desk.state(|state| {
            let rows = state
                .transfers()
                .iter()
                .rev()
                .filter(|row| page.after == 0 || u64::from(row.id) < page.after)
                .map(account::transfer)
                .filter(|row| {
                    (request.account_id == 0 || request.account_id == row.account_id)
                        && (request.direction == 0 || request.direction == row.direction)
                        && (request.state == 0 || request.state == row.state)
                });
            let (transfers, next_page_token) = page.cut(rows, |row| row.transfer_id.unsigned_abs());
            Ok(Response::new(wire::ListTransfersResponse {
                transfers,
                next_page_token,
            }))
        })
    }

    async fn create_asset(
        &self,
        request: Request<wire::CreateAssetRequest>,
    ) -> Reply<wire::CreateAssetResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let asset = request
            .asset
            .ok_or_else(|| refusal::invalid("asset", "required"))?;
        let body = terms::asset_terms(&asset)?;
        let command = Command::CreateAsset(asked(&caller, request.request_id, "", body)?);
        let (answer, done) = self.run(command).await?;
        let asset = self.desk.state(|state| {
            let at = usize::try_from(done.object).ok()?.checked_sub(1)?;
            Some(reference::asset(AssetId::nth(at), state.assets().get(at)?))
        });
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::CreateAssetResponse {
            asset,
            journal_seq,
        }))
    }

    async fn create_commodity(
        &self,
        request: Request<wire::CreateCommodityRequest>,
    ) -> Reply<wire::CreateCommodityResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let commodity = request
            .commodity
            .ok_or_else(|| refusal::invalid("commodity", "required"))?;
        let body = terms::commodity_terms(&commodity)?;
        let command = Command::CreateCommodity(asked(&caller, request.request_id, "", body)?);
        let (answer, done) = self.run(command).await?;
        let commodity = self.desk.state(|state| {
            let at = usize::try_from(done.object).ok()?.checked_sub(1)?;
            Some(reference::commodity(
                CommodityId::nth(at),
                state.commodities().get(at)?,
            ))
        });
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::CreateCommodityResponse {
            commodity,
            journal_seq,
        }))
    }

    async fn create_index(
        &self,
        request: Request<wire::CreateIndexRequest>,
    ) -> Reply<wire::CreateIndexResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        if !request.oracle_public_keys.is_empty() || request.required_oracles > 1 {
            return Err(refusal::unimplemented(
                "oracle_public_keys (several oracles)",
            ));
        }
        let index = request
            .index
            .ok_or_else(|| refusal::invalid("index", "required"))?;
        let body = terms::index_terms(&index)?;
        let command = Command::CreateIndex(asked(&caller, request.request_id, "", body)?);
        let (answer, done) = self.run(command).await?;
        let index = self.desk.state(|state| {
            let at = usize::try_from(done.object).ok()?.checked_sub(1)?;
            Some(reference::index(&state.indexes().get(at)?.details))
        });
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::CreateIndexResponse {
            index,
            journal_seq,
        }))
    }

    async fn create_instrument(
        &self,
        request: Request<wire::CreateInstrumentRequest>,
    ) -> Reply<wire::CreateInstrumentResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let wished = request
            .instrument
            .ok_or_else(|| refusal::invalid("instrument", "required"))?;
        let body = self.desk.state(|state| terms::terms(state, &wished))?;
        let given = (
            wished.lot_tick_value_numerator,
            wished.lot_tick_value_denominator,
        );
        let checked = self.desk.state(|state| state.preview_terms(&body));
        let computed = checked.as_ref().ok().map(|value| match body.kind {
            // Its legs' values count.
            kind if kind.is_combination() => (0, 0),
            _ => (value.numerator, value.denominator),
        });
        if let Some(computed) = computed
            && given != (0, 0)
            && given != computed
        {
            let why = format!("computed {}/{}", computed.0, computed.1);
            return Err(refusal::invalid(
                "instrument.lot_tick_value_numerator",
                &why,
            ));
        }
        if request.validate_only {
            checked.map_err(|problem| refusal::status(&problem))?;
            let journal_seq = self.desk.as_of();
            let instrument = Some(wished);
            return Ok(Response::new(wire::CreateInstrumentResponse {
                instrument,
                journal_seq,
            }));
        }
        let command = Command::CreateInstrument(asked(&caller, request.request_id, "", body)?);
        let (answer, done) = self.run(command).await?;
        let id = u32::try_from(done.object)
            .map(InstrumentId)
            .unwrap_or_default();
        let instrument = self.desk.state(|state| {
            state
                .instrument(id)
                .map(|contract| reference::instrument(state, contract))
        });
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::CreateInstrumentResponse {
            instrument,
            journal_seq,
        }))
    }

    async fn set_trading_state(
        &self,
        request: Request<wire::SetTradingStateRequest>,
    ) -> Reply<wire::SetTradingStateResponse> {
        use wire::set_trading_state_request::Scope;
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let scope = match request.scope {
            Some(Scope::InstrumentId(id)) => {
                StateScope::Instrument(u32::try_from(id).map(InstrumentId).unwrap_or_default())
            }
            Some(Scope::ProductId(id)) => {
                StateScope::Product(u32::try_from(id).map(ProductId).unwrap_or_default())
            }
            Some(Scope::AllInstruments(true)) => StateScope::All,
            _ => return Err(refusal::invalid("scope", "name exactly one scope")),
        };
        let target = state_in(request.target_state)?;
        let reason = reason_in(request.reason)?;
        let body = SetTradingState {
            scope,
            target,
            reason,
            effective: Nanos(request.effective_unix_nanos),
            cancel_open_orders: request.cancel_open_orders,
        };
        let command =
            Command::SetTradingState(asked(&caller, request.request_id, &request.note, body)?);
        let (answer, done) = self.run(command).await?;
        Ok(Response::new(wire::SetTradingStateResponse {
            journal_seq: position(&answer, &done),
            changed_instruments: count(done.count),
            cancelled_orders: count(done.cancelled),
        }))
    }

    async fn get_system_status(
        &self,
        request: Request<wire::GetSystemStatusRequest>,
    ) -> Reply<wire::GetSystemStatusResponse> {
        Self::operator(&request)?;
        let durable = self.desk.durable.load(std::sync::atomic::Ordering::Acquire);
        let (seq, at, conserved) = self
            .desk
            .state(|state: &Exchange| (state.seq(), state.at(), state.ledger().recount().is_ok()));
        let switches = self.desk.state(core_view::kill_switches);
        Ok(Response::new(wire::GetSystemStatusResponse {
            server_unix_nanos: now_nanos(),
            exchange_unix_nanos: at.0,
            journal_seq: wide(durable.max(seq)),
            durable_journal_seq: wide(durable),
            follower_journal_seq: wide(seq),
            core_queue_depth: i32::try_from(self.desk.intake.depth()).unwrap_or(i32::MAX),
            open_sessions: i32::try_from(self.desk.hub.open_sessions()).unwrap_or(i32::MAX),
            market_data_streams: i32::try_from(self.desk.hub.streams()).unwrap_or(i32::MAX),
            exchange_kill_switch: switches.contains(&SwitchScope::Venue),
            conservation_ok: conserved,
            ..wire::GetSystemStatusResponse::default()
        }))
    }

    async fn create_instrument_series(
        &self,
        _: Request<wire::CreateInstrumentSeriesRequest>,
    ) -> Reply<wire::CreateInstrumentSeriesResponse> {
        Err(refusal::unimplemented(
            "AdminService.CreateInstrumentSeries",
        ))
    }

    async fn update_instrument(
        &self,
        _: Request<wire::UpdateInstrumentRequest>,
    ) -> Reply<wire::UpdateInstrumentResponse> {
        Err(refusal::unimplemented("AdminService.UpdateInstrument"))
    }

    async fn delist_instrument(
        &self,
        _: Request<wire::DelistInstrumentRequest>,
    ) -> Reply<wire::DelistInstrumentResponse> {
        Err(refusal::unimplemented("AdminService.DelistInstrument"))
    }

    async fn set_exchange_kill_switch(
        &self,
        request: Request<wire::SetExchangeKillSwitchRequest>,
    ) -> Reply<wire::SetExchangeKillSwitchResponse> {
        let caller = Self::operator(&request)?;
        let request = request.into_inner();
        let body = SetKillSwitch {
            scope: SwitchScope::Venue,
            engaged: request.engaged,
            cancel_open_orders: request.cancel_open_orders,
        };
        let command =
            Command::SetKillSwitch(asked(&caller, request.request_id, &request.note, body)?);
        let (answer, done) = self.run(command).await?;
        Ok(Response::new(wire::SetExchangeKillSwitchResponse {
            journal_seq: position(&answer, &done),
            cancelled_orders: count(done.cancelled),
        }))
    }

    async fn set_default_terms(
        &self,
        request: Request<wire::SetDefaultTermsRequest>,
    ) -> Reply<wire::SetDefaultTermsResponse> {
        self.default_terms(request).await
    }

    async fn set_margin_method(
        &self,
        request: Request<wire::SetMarginMethodRequest>,
    ) -> Reply<wire::SetMarginMethodResponse> {
        self.margin_method(request).await
    }

    async fn bust_trade(
        &self,
        _: Request<wire::BustTradeRequest>,
    ) -> Reply<wire::BustTradeResponse> {
        Err(refusal::unimplemented("AdminService.BustTrade"))
    }

    async fn set_delivery_suspension(
        &self,
        request: Request<wire::SetDeliverySuspensionRequest>,
    ) -> Reply<wire::SetDeliverySuspensionResponse> {
        self.deliver_suspension(request).await
    }

    async fn resolve_dispute(
        &self,
        request: Request<wire::ResolveDisputeRequest>,
    ) -> Reply<wire::ResolveDisputeResponse> {
        self.deliver_decision(request).await
    }

    async fn set_delivery_rules(
        &self,
        request: Request<wire::SetDeliveryRulesRequest>,
    ) -> Reply<wire::SetDeliveryRulesResponse> {
        self.deliver_rules(request).await
    }

    async fn register_meter(
        &self,
        request: Request<wire::RegisterMeterRequest>,
    ) -> Reply<wire::RegisterMeterResponse> {
        self.deliver_meter(request).await
    }

    async fn announce_maintenance(
        &self,
        _: Request<wire::AnnounceMaintenanceRequest>,
    ) -> Reply<wire::AnnounceMaintenanceResponse> {
        Err(refusal::unimplemented("AdminService.AnnounceMaintenance"))
    }

    async fn advance_clock(
        &self,
        request: Request<wire::AdvanceClockRequest>,
    ) -> Reply<wire::AdvanceClockResponse> {
        caller(&request)?.need(Permission::Operator)?;
        let target = request.get_ref().target_unix_nanos;
        clock::advance(&self.desk, target).await.map(Response::new)
    }
}

impl Service {
    fn transfer(&self, id: u64) -> Option<account_wire::Transfer> {
        self.desk.state(|state| {
            let at = usize::try_from(id).ok()?.checked_sub(1)?;
            state.transfers().get(at).map(account::transfer)
        })
    }
}

fn state_in(state: i32) -> Result<TradingState, Status> {
    match common::TradingState::try_from(state) {
        Ok(common::TradingState::Open) => Ok(TradingState::Open),
        Ok(common::TradingState::PostOnly) => Ok(TradingState::PostOnly),
        Ok(common::TradingState::CancelOnly) => Ok(TradingState::CancelOnly),
        Ok(common::TradingState::Halted) => Ok(TradingState::Halted),
        Ok(common::TradingState::Closed) => Ok(TradingState::Closed),
        Ok(common::TradingState::PreOpen) => Ok(TradingState::PreOpen),
        Ok(common::TradingState::VolatilityAuction) => Ok(TradingState::VolatilityAuction),
        // The end of a call, which the exchange enters by itself.
        Ok(common::TradingState::NoCancel) => Err(refusal::invalid(
            "target_state",
            "NO_CANCEL ends a call by itself; set PRE_OPEN and schedule the opening",
        )),
        Ok(common::TradingState::Unspecified) | Err(_) => {
            Err(refusal::invalid("target_state", "required"))
        }
        Ok(other) => Err(refusal::unimplemented(other.as_str_name())),
    }
}

fn reason_in(reason: i32) -> Result<Reason, Status> {
    match common::Reason::try_from(reason) {
        Ok(common::Reason::Unspecified | common::Reason::Operator) => Ok(Reason::Operator),
        Ok(common::Reason::Schedule) => Ok(Reason::Schedule),
        Ok(common::Reason::Volatility) => Ok(Reason::Volatility),
        Ok(common::Reason::DailyLimit) => Ok(Reason::DailyLimit),
        Ok(common::Reason::IndexUnavailable) => Ok(Reason::IndexUnavailable),
        _ => Err(refusal::status(&Problem::about(
            Reason::InvalidField,
            Field::State,
        ))),
    }
}
