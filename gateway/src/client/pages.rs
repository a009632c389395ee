//! Whole lists: asks for page after page until the exchange says that it was the last.

use proto::{
    account::v1::GetIdentityRequest,
    delivery::v1::{ListSettlementsRequest, Settlement},
    reference::v1::{
        Asset, Commodity, Instrument, ListAssetsRequest, ListCommoditiesRequest,
        ListInstrumentsRequest,
    },
    trading::v1::{FillReport, ListFillsRequest, ListOpenOrdersRequest, Order},
};

use super::{Client, ClientError};

/// Largest page the contract allows.
const PAGE: i32 = 1000;

/// Collects `$rows` over all pages of one call; evaluates to the vector.
macro_rules! every_page {
    ($client:expr, $call:ident, $request:expr, $rows:ident) => {{
        let mut client = $client;
        let mut request = $request;
        request.page_size = PAGE;
        let mut all = Vec::new();
        loop {
            let page = client.$call(request.clone()).await?.into_inner();
            all.extend(page.$rows);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        all
    }};
}

impl Client {
    /// Every instrument that is not settled yet.
    pub async fn instruments(&self) -> Result<Vec<Instrument>, ClientError> {
        let request = ListInstrumentsRequest::default();
        Ok(every_page!(
            self.reference(),
            list_instruments,
            request,
            instruments
        ))
    }

    /// Every instrument there ever was.
    pub async fn every_instrument(&self) -> Result<Vec<Instrument>, ClientError> {
        let request = ListInstrumentsRequest {
            include_expired: true,
            ..Default::default()
        };
        Ok(every_page!(
            self.reference(),
            list_instruments,
            request,
            instruments
        ))
    }

    /// Every asset.
    pub async fn assets(&self) -> Result<Vec<Asset>, ClientError> {
        let request = ListAssetsRequest::default();
        Ok(every_page!(self.reference(), list_assets, request, assets))
    }

    /// Every kind of hashrate or compute.
    pub async fn commodities(&self) -> Result<Vec<Commodity>, ClientError> {
        let request = ListCommoditiesRequest::default();
        Ok(every_page!(
            self.reference(),
            list_commodities,
            request,
            commodities
        ))
    }

    /// Open orders of an account, quote sides included; instrument 0 = all.
    pub async fn open_orders(
        &self,
        account_id: i64,
        instrument_id: i32,
    ) -> Result<Vec<Order>, ClientError> {
        let request = ListOpenOrdersRequest {
            account_id,
            instrument_id,
            include_quotes: true,
            ..Default::default()
        };
        Ok(every_page!(
            self.trading(),
            list_open_orders,
            request,
            orders
        ))
    }

    /// Fills that match the filters, oldest first.
    pub async fn fills(&self, request: ListFillsRequest) -> Result<Vec<FillReport>, ClientError> {
        Ok(every_page!(self.trading(), list_fills, request, fills))
    }

    /// Settled days and intervals of an account, oldest first.
    pub async fn settlements(
        &self,
        request: ListSettlementsRequest,
    ) -> Result<Vec<Settlement>, ClientError> {
        Ok(every_page!(
            self.delivery(),
            list_settlements,
            request,
            settlements
        ))
    }

    /// Accounts of the key, in the exchange's order.
    pub async fn account_ids(&self) -> Result<Vec<i64>, ClientError> {
        let identity = self
            .account()
            .get_identity(GetIdentityRequest {})
            .await?
            .into_inner();
        Ok(identity.accounts.iter().map(|a| a.account_id).collect())
    }
}
