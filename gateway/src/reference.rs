//! ReferenceService: what the numbers of every other service mean. Any valid key may ask.

use engine::{
    event::Event,
    exchange::Exchange,
    ids::{AssetId, CommodityId, InstrumentId},
    instrument::{Instrument, Kind},
    reason::{Field, Problem, Reason},
};
use proto::reference::v1::{self as wire, reference_service_server::ReferenceService};
use tokio::sync::broadcast::error::RecvError;
use tonic::{Request, Response, Status};

use crate::{
    auth,
    bulletin::Bulletin,
    desk::{Desk, Environment, wide},
    outbound::{Outbound, Outgoing, Over, pipe},
    paging::{List, Page},
    refusal, translate,
};

/// What this build really serves.
const FEATURES: [&str; 21] = [
    "orders",
    "sessions",
    "cancel_on_disconnect",
    "self_trade_prevention",
    "post_only",
    "reduce_only",
    "depth",
    "trades",
    "forward_curve",
    "mass_quote",
    "batch",
    "iceberg",
    "stop",
    "pegged",
    "min_fill",
    "auctions",
    "combinations",
    "implied_matching",
    "mmp",
    "kill_switch",
    "margin_families",
];

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
}

#[tonic::async_trait]
impl ReferenceService for Service {
    type WatchInstrumentsStream =
        Outgoing<wire::WatchInstrumentsResponse, wire::WatchInstrumentsResponse>;

    async fn get_server_info(
        &self,
        request: Request<wire::GetServerInfoRequest>,
    ) -> Result<Response<wire::GetServerInfoResponse>, Status> {
        auth::caller(&request)?;
        let environment = match self.desk.environment {
            Environment::Sandbox => wire::Environment::Sandbox,
            Environment::Production => wire::Environment::Production,
        };
        let (seq, version) = self
            .desk
            .state(|exchange| (exchange.seq(), exchange.reference_version()));
        Ok(Response::new(wire::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: environment.into(),
            server_unix_nanos: auth::now_nanos(),
            journal_seq: wide(seq),
            features: FEATURES.map(str::to_owned).to_vec(),
            reference_data_version: wide(version),
            anchor_chain_id: 0,
            anchor_contract: Vec::new(),
        }))
    }

    async fn list_assets(
        &self,
        request: Request<wire::ListAssetsRequest>,
    ) -> Result<Response<wire::ListAssetsResponse>, Status> {
        auth::caller(&request)?;
        let asked = request.get_ref();
        let page = Page::read(List::Assets, asked.page_size, &asked.page_token)?;
        let (rows, next_page_token) = self
            .desk
            .state(|exchange| numbered(exchange.assets(), page));
        let row = |(number, asset)| translate::reference::asset(AssetId(number), &asset);
        Ok(Response::new(wire::ListAssetsResponse {
            assets: rows.into_iter().map(row).collect(),
            next_page_token,
        }))
    }

    async fn list_commodities(
        &self,
        request: Request<wire::ListCommoditiesRequest>,
    ) -> Result<Response<wire::ListCommoditiesResponse>, Status> {
        auth::caller(&request)?;
        let asked = request.get_ref();
        let page = Page::read(List::Commodities, asked.page_size, &asked.page_token)?;
        let (rows, next_page_token) = self
            .desk
            .state(|exchange| numbered(exchange.commodities(), page));
        let row = |(number, row)| translate::reference::commodity(CommodityId(number), &row);
        Ok(Response::new(wire::ListCommoditiesResponse {
            commodities: rows.into_iter().map(row).collect(),
            next_page_token,
        }))
    }

    async fn list_margin_methods(
        &self,
        request: Request<wire::ListMarginMethodsRequest>,
    ) -> Result<Response<wire::ListMarginMethodsResponse>, Status> {
        auth::caller(&request)?;
        let answer = self.desk.state(|exchange| wire::ListMarginMethodsResponse {
            families: translate::margins::families(exchange),
            as_of_journal_seq: wide(exchange.seq()),
        });
        Ok(Response::new(answer))
    }

    async fn list_indexes(
        &self,
        request: Request<wire::ListIndexesRequest>,
    ) -> Result<Response<wire::ListIndexesResponse>, Status> {
        auth::caller(&request)?;
        let asked = request.get_ref();
        let page = Page::read(List::Indexes, asked.page_size, &asked.page_token)?;
        let (rows, next_page_token) = self
            .desk
            .state(|exchange| numbered(exchange.indexes(), page));
        let indexes = rows
            .iter()
            .map(|(_, row)| translate::reference::index(&row.details));
        Ok(Response::new(wire::ListIndexesResponse {
            indexes: indexes.collect(),
            next_page_token,
        }))
    }

    async fn get_instrument(
        &self,
        request: Request<wire::GetInstrumentRequest>,
    ) -> Result<Response<wire::GetInstrumentResponse>, Status> {
        use wire::get_instrument_request::Key;
        auth::caller(&request)?;
        let key = request.into_inner().key;
        let found = self.desk.state(|exchange| {
            let contract = match &key {
                Some(Key::InstrumentId(id)) => {
                    exchange.instrument(InstrumentId(translate::reference::number(*id)))
                }
                Some(Key::Symbol(symbol)) => {
                    let mut all = exchange.instruments().iter();
                    all.find(|contract| contract.terms.symbol == *symbol)
                }
                None => None,
            };
            contract.map(|contract| translate::reference::instrument(exchange, contract))
        });
        match (key, found) {
            (None, _) => Err(refusal::invalid("key", "an instrument_id or a symbol")),
            (_, Some(instrument)) => Ok(Response::new(wire::GetInstrumentResponse {
                instrument: Some(instrument),
            })),
            (Some(Key::InstrumentId(id)), None) => Err(refusal::status(&Problem::limit(
                Reason::UnknownInstrument,
                Field::Instrument,
                0,
                id.into(),
            ))),
            (Some(Key::Symbol(_)), None) => {
                Err(refusal::about(Reason::UnknownInstrument, Field::Symbol))
            }
        }
    }

    async fn list_instruments(
        &self,
        request: Request<wire::ListInstrumentsRequest>,
    ) -> Result<Response<wire::ListInstrumentsResponse>, Status> {
        auth::caller(&request)?;
        let asked = request.get_ref();
        let page = Page::read(List::Instruments, asked.page_size, &asked.page_token)?;
        let first = usize::try_from(page.after).unwrap_or(usize::MAX);
        let answer = self.desk.state(|exchange| {
            let rows = exchange.instruments().iter().skip(first);
            let chosen = rows.filter(|contract| is_chosen(exchange, contract, asked));
            let (rows, next_page_token) = page.cut(chosen, |contract| contract.id.0.into());
            let row = |contract| translate::reference::instrument(exchange, contract);
            wire::ListInstrumentsResponse {
                instruments: rows.into_iter().map(row).collect(),
                next_page_token,
                version: wide(exchange.reference_version()),
            }
        });
        Ok(Response::new(answer))
    }

    async fn watch_instruments(
        &self,
        request: Request<wire::WatchInstrumentsRequest>,
    ) -> Result<Response<Self::WatchInstrumentsStream>, Status> {
        auth::caller(&request)?;
        let after = u64::try_from(request.get_ref().after_version)
            .map_err(|_| refusal::invalid("after_version", "not below 0"))?;
        let (outbound, outgoing) = pipe(&self.desk, std::convert::identity);
        let desk = self.desk.clone();
        tokio::spawn(async move {
            let over = watch(&desk, after, &outbound).await;
            outbound.end(over);
        });
        Ok(Response::new(outgoing))
    }
}

/// One page of a table whose numbers count from 1.
fn numbered<T: Clone>(rows: &[T], page: Page) -> (Vec<(u32, T)>, String) {
    let first = usize::try_from(page.after).unwrap_or(usize::MAX);
    let rest = (1_u32..).zip(rows).skip(first);
    let (rows, next) = page.cut(rest, |(number, _)| (*number).into());
    (
        rows.into_iter().map(|(n, row)| (n, row.clone())).collect(),
        next,
    )
}

fn is_chosen(
    exchange: &Exchange,
    contract: &Instrument,
    asked: &wire::ListInstrumentsRequest,
) -> bool {
    let kind = match contract.terms.kind {
        Kind::SpotBlock => wire::InstrumentKind::SpotBlock,
        Kind::Forward => wire::InstrumentKind::Forward,
        Kind::CalendarSpread => wire::InstrumentKind::CalendarSpread,
        Kind::Strip => wire::InstrumentKind::Strip,
    };
    let number = translate::reference::id;
    (asked.product_id == 0 || asked.product_id == number(contract.product.0))
        && (asked.commodity_id == 0 || asked.commodity_id == number(contract.terms.commodity.0))
        && (asked.kind == 0 || asked.kind == i32::from(kind))
        && (asked.include_expired || contract.terms.last_trade > exchange.at())
}

/// Tells every contract newer than a version, then every newer version as it comes. A reader that lags
/// misses nothing but versions in between, because the state is asked, not the news.
async fn watch(
    desk: &Desk,
    mut version: u64,
    out: &Outbound<wire::WatchInstrumentsResponse>,
) -> Over {
    let mut news = desk.hub.listen();
    let mut caught_up = false;
    loop {
        if let Err(over) = tell_newer(desk, &mut version, !caught_up, out).await {
            return over;
        }
        caught_up = true;
        loop {
            let heard = tokio::select! {
                biased;
                over = out.drained() => return over,
                over = out.gone() => return over,
                heard = news.recv() => heard,
            };
            match heard {
                Ok(bulletin) if !changes_reference(&bulletin) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return refusal::no(Reason::ServerDraining).into(),
            }
        }
    }
}

fn changes_reference(bulletin: &Bulletin) -> bool {
    bulletin
        .events
        .iter()
        .any(|event| matches!(event, Event::Listed(_) | Event::Status(_)))
}

/// In the order of their versions, so that a reader may stop anywhere and go on from the last one.
async fn tell_newer(
    desk: &Desk,
    version: &mut u64,
    first: bool,
    out: &Outbound<wire::WatchInstrumentsResponse>,
) -> Result<(), Over> {
    let (mut newer, newest) = desk.state(|exchange| {
        let rows = exchange.instruments().iter();
        let newer: Vec<wire::Instrument> = rows
            .filter(|contract| contract.version > *version)
            .map(|contract| translate::reference::instrument(exchange, contract))
            .collect();
        (newer, exchange.reference_version())
    });
    newer.sort_by_key(|instrument| instrument.version);
    let last = newer.len().checked_sub(1);
    for (place, instrument) in newer.into_iter().enumerate() {
        let message = wire::WatchInstrumentsResponse {
            version: instrument.version,
            instrument: Some(instrument),
            removed: false,
            caught_up: !first || Some(place) == last,
        };
        out.send(message, 0).await?;
    }
    if first && last.is_none() {
        let message = wire::WatchInstrumentsResponse {
            version: wide(newest),
            caught_up: true,
            ..wire::WatchInstrumentsResponse::default()
        };
        out.send(message, 0).await?;
    }
    *version = (*version).max(newest);
    Ok(())
}
