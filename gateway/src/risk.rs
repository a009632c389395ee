//! The risk service: what a firm's risk manager holds over the own firm. Every change is a journaled
//! command.

use engine::{
    command::{
        AccountKind, BidOffer, Command, Origin, Request as Asked, ResetMmp, SetKillSwitch,
        SwitchScope,
    },
    ids::{FirmId, SessionId},
    reason::{Field, Reason},
    units::{Lots, Ticks},
};
use proto::{
    common::v1::Permission,
    risk::v1::{self as wire, risk_service_server::RiskService, set_kill_switch_request::Scope},
};
use tonic::{Request, Response, Status};

use crate::{
    admin::{asked, count, position, run},
    archive::switch_key,
    auth::{Caller, caller},
    core_view,
    desk::{Desk, refused, wide},
    paging::{List, Page},
    refusal,
    translate::{orders, risk},
};

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

    /// What a switch covers, as far as it is the caller's.
    fn scope(&self, caller: &Caller, scope: Option<Scope>) -> Result<SwitchScope, Status> {
        caller.need(Permission::Risk)?;
        match scope {
            Some(Scope::FirmId(id)) => own_firm(caller, id).map(SwitchScope::Firm),
            Some(Scope::AccountId(id)) => {
                let account = caller.need_on(Permission::Risk, id)?;
                Ok(SwitchScope::Account(account))
            }
            Some(Scope::SessionId(id)) => {
                let session = u32::try_from(id).map(SessionId).unwrap_or_default();
                let owned = caller.accounts();
                let account = self
                    .desk
                    .state(|state| state.session(session).map(|row| row.account));
                // Nobody learns which sessions others have.
                match account.filter(|account| owned.contains(account)) {
                    Some(_) => Ok(SwitchScope::Session(session)),
                    None => Err(refusal::about(Reason::NotAuthorized, Field::Session)),
                }
            }
            None => Err(refusal::invalid(
                "scope",
                "name session_id, account_id or firm_id",
            )),
        }
    }
}

/// The caller's firm, if the key is for all of it.
fn own_firm(caller: &Caller, id: i64) -> Result<FirmId, Status> {
    if i64::from(caller.firm.0) == id && caller.has_all_accounts() {
        return Ok(caller.firm);
    }
    Err(refusal::about(Reason::NotAuthorized, Field::Firm))
}

#[tonic::async_trait]
impl RiskService for Service {
    async fn set_kill_switch(
        &self,
        request: Request<wire::SetKillSwitchRequest>,
    ) -> Reply<wire::SetKillSwitchResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let body = SetKillSwitch {
            scope: self.scope(&caller, request.scope)?,
            engaged: request.engaged,
            cancel_open_orders: request.cancel_open_orders,
        };
        let command = asked(&caller, request.request_id, &request.note, body)?;
        let (answer, done) = run(&self.desk, Command::SetKillSwitch(command)).await?;
        Ok(Response::new(wire::SetKillSwitchResponse {
            journal_seq: position(&answer, &done),
            cancelled_orders: count(done.cancelled),
        }))
    }

    async fn list_kill_switches(
        &self,
        request: Request<wire::ListKillSwitchesRequest>,
    ) -> Reply<wire::ListKillSwitchesResponse> {
        let caller = caller(&request)?;
        caller.need(Permission::Risk)?;
        let request = request.into_inner();
        if request.firm_id != 0 && request.firm_id != i64::from(caller.firm.0) {
            return Err(refusal::about(Reason::NotAuthorized, Field::Firm));
        }
        let page = Page::read(List::Switches, request.page_size, &request.page_token)?;
        let owned = caller.accounts();
        let mut on: Vec<(u64, SwitchScope)> = self.desk.state(|state| {
            let mine = |scope: &SwitchScope| match scope {
                SwitchScope::Venue => false,
                SwitchScope::Firm(firm) => *firm == caller.firm,
                SwitchScope::Account(account) => owned.contains(account),
                SwitchScope::Session(session) => state
                    .session(*session)
                    .is_some_and(|row| owned.contains(&row.account)),
            };
            let on = core_view::kill_switches(state).into_iter();
            on.filter(mine)
                .map(|scope| {
                    let (level, number) = switch_key(scope);
                    (u64::from(level) << 32 | u64::from(number), scope)
                })
                .collect()
        });
        on.sort_unstable_by_key(|(key, _)| *key);
        let rows = on.into_iter().filter(|(key, _)| *key > page.after);
        let (rows, next_page_token) = page.cut(rows, |(key, _)| *key);
        let archive = self.desk.hub.archive();
        let row = |(_, scope)| risk::switch_out(scope, archive.switch(scope));
        Ok(Response::new(wire::ListKillSwitchesResponse {
            switches: rows.into_iter().filter_map(row).collect(),
            next_page_token,
        }))
    }

    async fn set_mmp_group(
        &self,
        request: Request<wire::SetMmpGroupRequest>,
    ) -> Reply<wire::SetMmpGroupResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Risk, request.account_id)?;
        let group = request
            .group
            .ok_or_else(|| refusal::invalid("group", "required"))?;
        let body = risk::group_terms(&group, account).map_err(|bad| bad.status("group"))?;
        let command: Asked<_> = asked(&caller, request.request_id, "", body)?;
        let (answer, done) = run(&self.desk, Command::SetMmpGroup(command)).await?;
        let group = self.desk.state(|state| {
            let groups = core_view::mmp_groups(state, account);
            let same = |known: &&core_view::Group| known.config.mmp_group == body.mmp_group;
            groups.iter().find(same).map(risk::group_out)
        });
        let journal_seq = position(&answer, &done);
        Ok(Response::new(wire::SetMmpGroupResponse {
            group,
            journal_seq,
        }))
    }

    async fn list_mmp_groups(
        &self,
        request: Request<wire::ListMmpGroupsRequest>,
    ) -> Reply<wire::ListMmpGroupsResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Risk, request.account_id)?;
        let page = Page::read(List::MmpGroups, request.page_size, &request.page_token)?;
        let mut groups = self
            .desk
            .state(|state| core_view::mmp_groups(state, account));
        groups.sort_unstable_by_key(|group| group.config.mmp_group);
        let key = |group: &core_view::Group| u64::from(group.config.mmp_group);
        let rows = groups.into_iter().filter(|group| key(group) > page.after);
        let (rows, next_page_token) = page.cut(rows, key);
        Ok(Response::new(wire::ListMmpGroupsResponse {
            groups: rows.iter().map(risk::group_out).collect(),
            next_page_token,
        }))
    }

    async fn reset_mmp_group(
        &self,
        request: Request<wire::ResetMmpGroupRequest>,
    ) -> Reply<wire::ResetMmpGroupResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Risk, request.account_id)?;
        let mmp_group = orders::required_group(request.mmp_group)
            .map_err(|bad| refusal::invalid(&bad.field, &bad.why))?;
        let origin = Origin {
            account,
            ..Origin::default()
        };
        let command = Command::ResetMmp(ResetMmp { origin, mmp_group });
        let answer = self.desk.ask(command).await?;
        match refused(&answer) {
            Some(problem) => Err(refusal::status(&problem)),
            None => Ok(Response::new(wire::ResetMmpGroupResponse {
                journal_seq: wide(answer.seq()),
            })),
        }
    }

    async fn list_default_offers(
        &self,
        request: Request<wire::ListDefaultOffersRequest>,
    ) -> Reply<wire::ListDefaultOffersResponse> {
        let caller = caller(&request)?;
        let account = caller.need_on(Permission::Read, request.get_ref().account_id)?;
        self.desk.state(|state| {
            let maker = state
                .account(account)
                .is_some_and(|row| row.kind == AccountKind::MarketMaker);
            if !maker {
                return Err(refusal::about(Reason::AccountNotActive, Field::Account));
            }
            let offers = state.offers();
            Ok(Response::new(wire::ListDefaultOffersResponse {
                offers: offers
                    .map(|(number, offer)| risk::offer_out(number, offer, account))
                    .collect(),
                as_of_journal_seq: wide(state.seq()),
            }))
        })
    }

    async fn bid_default_offer(
        &self,
        request: Request<wire::BidDefaultOfferRequest>,
    ) -> Reply<wire::BidDefaultOfferResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = caller.need_on(Permission::Trade, request.account_id)?;
        let origin = Origin {
            account,
            ..Origin::default()
        };
        let command = Command::BidOffer(BidOffer {
            origin,
            offer: request.offer_id.max(0).unsigned_abs(),
            price: Ticks(request.price_ticks),
            lots: Lots(request.lots),
        });
        let answer = self.desk.ask(command).await?;
        match refused(&answer) {
            Some(problem) => Err(refusal::status(&problem)),
            None => Ok(Response::new(wire::BidDefaultOfferResponse {
                journal_seq: wide(answer.seq()),
            })),
        }
    }

    async fn set_account_limits(
        &self,
        _: Request<wire::SetAccountLimitsRequest>,
    ) -> Reply<wire::SetAccountLimitsResponse> {
        Err(refusal::unimplemented("RiskService.SetAccountLimits"))
    }
}
