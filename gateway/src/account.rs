//! AccountService: money, positions and margin of the caller's own accounts.

use engine::{
    command::{
        Command, OrderTerms, Origin, Place, PostOnly, Pricing, Rail, RequestWithdrawal, SelfTrade,
        Tag, TimeInForce,
    },
    event::Event,
    ids::{AccountId, AssetId, InstrumentId},
    instrument::Kind,
    limits,
    reason::{Field, Problem, Reason},
    units::{Lots, Nanos, Ticks, div_half_even},
};
use proto::{
    account::v1::{self as wire, account_service_server::AccountService},
    common::v1::Permission,
};
use tonic::{Request, Response, Status};

use crate::{
    auth::{self, Caller},
    desk::{self, Desk, Environment, wide},
    outbound::{Outgoing, pipe},
    paging::{List, Page, beyond},
    refusal, statements,
    translate::{self, account::Image, reference::number},
};

pub mod stream;

use stream::AccountStream;

// As many postings as the archive keeps per account; with fewer, it has them all.

/// The service.
#[derive(Clone, Debug)]
pub struct Service {
    desk: Desk,
}

impl Service {
    /// On this desk.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self { desk }
    }

    fn identity(&self, caller: &Caller) -> wire::GetIdentityResponse {
        let accounts = caller.accounts();
        let known = (1..32).filter_map(|bit| Permission::try_from(bit).ok());
        let held = known.filter(|permission| caller.may(*permission));
        self.desk.state(|exchange| {
            let firm = caller.firm.index();
            let firm = firm.and_then(|at| exchange.firms().get(at));
            let rows = accounts.iter().filter_map(|id| exchange.account(*id));
            wire::GetIdentityResponse {
                firm_id: caller.firm.0.into(),
                firm_code: firm.map_or_else(String::new, |firm| firm.details.code.clone()),
                key_id: caller.key_id.clone(),
                permissions: held.map(i32::from).collect(),
                accounts: rows
                    .map(|row| wire::AccountInfo {
                        account_id: row.id.0.into(),
                        label: row.label.clone(),
                        status: translate::account::status(row.status),
                    })
                    .collect(),
                key_expires_unix_nanos: caller.expires_unix_nanos,
            }
        })
    }
}

#[tonic::async_trait]
impl AccountService for Service {
    type StreamAccountStream = Outgoing<wire::StreamAccountResponse, wire::StreamAccountResponse>;

    async fn get_identity(
        &self,
        request: Request<wire::GetIdentityRequest>,
    ) -> Result<Response<wire::GetIdentityResponse>, Status> {
        let caller = auth::caller(&request)?;
        caller.need(Permission::Read)?;
        Ok(Response::new(self.identity(&caller)))
    }

    async fn get_account(
        &self,
        request: Request<wire::GetAccountRequest>,
    ) -> Result<Response<wire::GetAccountResponse>, Status> {
        let account =
            auth::caller(&request)?.need_on(Permission::Read, request.get_ref().account_id)?;
        let image = self.desk.state(|exchange| Image::read(exchange, account));
        Ok(Response::new(wire::GetAccountResponse {
            balances: image.balances(),
            positions: image.positions(),
            margin: Some(image.margin()),
            status: image.wire_status(),
            as_of_journal_seq: wide(image.seq),
        }))
    }

    async fn stream_account(
        &self,
        request: Request<wire::StreamAccountRequest>,
    ) -> Result<Response<Self::StreamAccountStream>, Status> {
        let caller = auth::caller(&request)?;
        let account = caller.need_on(Permission::Read, request.get_ref().account_id)?;
        let resume = request.get_ref().resume_after_journal_seq;
        let resume = resume
            .map(|seq| u64::try_from(seq).map_err(|_| beyond("resume_after_journal_seq", 0, seq)))
            .transpose()?;
        let stream = AccountStream::new(self.desk.clone(), caller, account);
        if let Some(after) = resume {
            stream.check_resume(after)?;
        }
        let (outbound, outgoing) = pipe(&self.desk, std::convert::identity);
        tokio::spawn(async move {
            let over = stream.run(resume, &outbound).await;
            outbound.end(over);
        });
        Ok(Response::new(outgoing))
    }

    async fn get_limits(
        &self,
        request: Request<wire::GetLimitsRequest>,
    ) -> Result<Response<wire::GetLimitsResponse>, Status> {
        auth::caller(&request)?.need_on(Permission::Read, request.get_ref().account_id)?;
        // Limits and fees belong to contracts; one row per account would be true for none of them.
        Err(refusal::unimplemented("GetLimits"))
    }

    async fn preview_order(
        &self,
        request: Request<wire::PreviewOrderRequest>,
    ) -> Result<Response<wire::PreviewOrderResponse>, Status> {
        let asked = request.get_ref();
        let account = auth::caller(&request)?.need_on(Permission::Read, asked.account_id)?;
        let least = self.desk.state(|exchange| {
            let contract = exchange.instrument(InstrumentId(number(asked.instrument_id)));
            match contract.map(|contract| contract.terms.kind) {
                // The price of a spread is a difference.
                Some(Kind::CalendarSpread) => -limits::PRICE_TICKS,
                _ => 1,
            }
        });
        let place = planned(asked, account, least)?;
        let answer = self.desk.state(|exchange| {
            let contract = exchange.instrument(place.order.instrument)?;
            let preview = exchange.preview(&place);
            let parts = translate::margins::parts(contract, place.order.side, &preview.parts);
            Some((preview, parts, exchange.seq()))
        });
        let (preview, parts, seq) = answer.ok_or_else(|| {
            let (reason, field) = (Reason::UnknownInstrument, Field::Instrument);
            let id = asked.instrument_id.into();
            refusal::status(&Problem::limit(reason, field, 0, id))
        })?;
        let fills = i128::from(preview.fill_lots.0);
        let average = (fills > 0).then(|| div_half_even(preview.fill_exposure.0, fills));
        Ok(Response::new(wire::PreviewOrderResponse {
            margin_required_minor: preview.required.0,
            estimated_fee_minor: preview.fee.0,
            max_lots: preview.max_lots.0,
            estimated_average_ticks: average.and_then(|ticks| i64::try_from(ticks).ok()),
            estimated_fill_lots: preview.fill_lots.0,
            problem: preview
                .problem
                .as_ref()
                .map(refusal::problem)
                .map(in_preview),
            as_of_journal_seq: wide(seq),
            parts: Some(parts),
        }))
    }

    async fn list_ledger(
        &self,
        request: Request<wire::ListLedgerRequest>,
    ) -> Result<Response<wire::ListLedgerResponse>, Status> {
        let asked = request.get_ref();
        let account = auth::caller(&request)?.need_on(Permission::Read, asked.account_id)?;
        let page = Page::read(List::Ledger, asked.page_size, &asked.page_token)?;
        let after = u64::try_from(asked.after_entry_id)
            .map_err(|_| beyond("after_entry_id", 0, asked.after_entry_id))?
            .max(page.after);
        let archive = self.desk.hub.archive();
        let oldest = archive.postings(account).next();
        let oldest = oldest.map_or(0, |row| row.what.entry);
        if oldest > after + 1 && archive.postings(account).count() >= archive.rows_kept() {
            // "Every posting" is a promise: say where it can be kept from.
            let (limit, actual) = (wide(oldest - 1), wide(after));
            let problem = Problem::limit(Reason::ResumeTooOld, Field::None, limit, actual);
            return Err(refusal::status(&problem));
        }
        let rows = archive.postings(account).filter(|row| {
            row.what.entry > after
                && (asked.kind == 0 || asked.kind == row.what.kind as i32)
                && (asked.asset_id == 0 || number(asked.asset_id) == row.what.asset.0)
        });
        let (entries, next_page_token) = page.cut(rows, |row| row.what.entry);
        Ok(Response::new(wire::ListLedgerResponse {
            entries: entries.into_iter().map(translate::account::entry).collect(),
            next_page_token,
        }))
    }

    async fn get_statement(
        &self,
        request: Request<wire::GetStatementRequest>,
    ) -> Result<Response<wire::GetStatementResponse>, Status> {
        let asked = request.get_ref();
        let account = auth::caller(&request)?.need_on(Permission::Read, asked.account_id)?;
        let told = statements::statement(&self.desk, account, asked)?;
        Ok(Response::new(told))
    }

    async fn set_l2_owner(
        &self,
        request: Request<wire::SetL2OwnerRequest>,
    ) -> Result<Response<wire::SetL2OwnerResponse>, Status> {
        crate::proofs::set_owner(&self.desk, request).await
    }

    async fn request_withdrawal(
        &self,
        request: Request<wire::RequestWithdrawalRequest>,
    ) -> Result<Response<wire::RequestWithdrawalResponse>, Status> {
        let asked = request.get_ref();
        let account = auth::caller(&request)?.need_on(Permission::Withdraw, asked.account_id)?;
        let command = withdrawal(asked, account, self.desk.environment)?;
        let answer = self.desk.ask(Command::RequestWithdrawal(command)).await?;
        if let Some(problem) = desk::refused(&answer) {
            return Err(refusal::status(&problem));
        }
        let made = answer.events().iter().find_map(|event| match event {
            Event::Done(done) => usize::try_from(done.object).ok()?.checked_sub(1),
            _ => None,
        });
        let transfer = self.desk.state(|exchange| {
            let row = made.and_then(|at| exchange.transfers().get(at));
            row.map(translate::account::transfer)
        });
        Ok(Response::new(wire::RequestWithdrawalResponse { transfer }))
    }

    async fn cancel_withdrawal(
        &self,
        request: Request<wire::CancelWithdrawalRequest>,
    ) -> Result<Response<wire::CancelWithdrawalResponse>, Status> {
        auth::caller(&request)?.need_on(Permission::Withdraw, request.get_ref().account_id)?;
        Err(refusal::unimplemented("CancelWithdrawal"))
    }

    async fn list_transfers(
        &self,
        request: Request<wire::ListTransfersRequest>,
    ) -> Result<Response<wire::ListTransfersResponse>, Status> {
        let asked = request.get_ref();
        let account = auth::caller(&request)?.need_on(Permission::Read, asked.account_id)?;
        let page = Page::read(List::Transfers, asked.page_size, &asked.page_token)?;
        let before = match page.after {
            0 => usize::MAX,
            last => usize::try_from(last.saturating_sub(1)).unwrap_or(usize::MAX),
        };
        let answer = self.desk.state(|exchange| {
            // Newest first: numbers fall from page to page.
            let rows = exchange.transfers();
            let rows = rows.get(..before.min(rows.len())).unwrap_or_default();
            let own = rows.iter().rev().filter(|row| row.account == account);
            let chosen = own.map(translate::account::transfer).filter(|row| {
                (asked.direction == 0 || asked.direction == row.direction)
                    && (asked.state == 0 || asked.state == row.state)
            });
            page.cut(chosen, |row| u64::try_from(row.transfer_id).unwrap_or(0))
        });
        let (transfers, next_page_token) = answer;
        Ok(Response::new(wire::ListTransfersResponse {
            transfers,
            next_page_token,
        }))
    }
}

/// A planned order. Numbers are brought into the range that the engine computes with.
fn planned(
    asked: &wire::PreviewOrderRequest,
    account: AccountId,
    least_price: i64,
) -> Result<Place, Status> {
    let side = translate::account::side(asked.side())
        .ok_or_else(|| refusal::invalid("side", "buy or sell"))?;
    if !(1..=limits::ORDER_LOTS).contains(&asked.lots) {
        let limit = if asked.lots < 1 {
            1
        } else {
            limits::ORDER_LOTS
        };
        return Err(beyond("lots", limit, asked.lots));
    }
    let (pricing, time_in_force) = match asked.price_ticks {
        None => (Pricing::Market, TimeInForce::Ioc),
        Some(price) if (least_price..=limits::PRICE_TICKS).contains(&price) => {
            (Pricing::Limit(Ticks(price)), TimeInForce::Gtc)
        }
        Some(price) => {
            let limit = if price < least_price {
                least_price
            } else {
                limits::PRICE_TICKS
            };
            return Err(beyond("price_ticks", limit, price));
        }
    };
    Ok(Place {
        origin: Origin {
            account,
            deadline: Nanos::ZERO,
            ..Origin::default()
        },
        order: OrderTerms {
            client_order_id: 1, // never looked at
            instrument: InstrumentId(number(asked.instrument_id)),
            side,
            pricing,
            lots: Lots(asked.lots),
            time_in_force,
            post_only: PostOnly::No,
            reduce_only: false,
            self_trade: SelfTrade::default(),
            self_trade_group: 0,
            cancel_group: 0,
            display: engine::units::Lots(0),
            min_fill: engine::units::Lots(0),
            trigger: None,
            mmp_group: 0,
            keep_on_disconnect: false,
            tag: Tag::default(),
        },
    })
}

/// The request calls the quantity "lots".
fn in_preview(problem: proto::common::v1::Problem) -> proto::common::v1::Problem {
    let field = match problem.field.as_str() {
        "quantity_lots" => "lots".to_owned(),
        _ => problem.field,
    };
    proto::common::v1::Problem { field, ..problem }
}

fn withdrawal(
    asked: &wire::RequestWithdrawalRequest,
    account: AccountId,
    environment: Environment,
) -> Result<RequestWithdrawal, Status> {
    let rail = match (asked.rail(), environment) {
        (wire::TransferRail::Manual, _) => Rail::Manual,
        (wire::TransferRail::Sandbox, Environment::Sandbox) => Rail::Sandbox,
        (wire::TransferRail::Sandbox, Environment::Production) => {
            return Err(refusal::about(Reason::NotSandbox, Field::Rail));
        }
        (wire::TransferRail::L2, _) => Rail::Chain,
        (wire::TransferRail::Unspecified, _) => {
            return Err(refusal::invalid("rail", "SANDBOX, MANUAL or L2"));
        }
    };
    if !asked.l2_address.is_empty() {
        return Err(refusal::invalid(
            "l2_address",
            "the chain pays the account's owner (SetL2Owner), other rails have no address",
        ));
    }
    if asked.client_transfer_id == 0 {
        return Err(refusal::invalid("client_transfer_id", "missing"));
    }
    let amount = asked
        .amount
        .ok_or_else(|| refusal::invalid("amount", "missing"))?;
    Ok(RequestWithdrawal {
        account,
        client_transfer_id: asked.client_transfer_id,
        asset: AssetId(number(amount.asset_id)),
        amount: amount.minor_units,
        rail,
    })
}
