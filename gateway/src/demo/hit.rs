//! One IOC order by a unary call: how everybody trades who keeps no session.

use std::sync::atomic::{AtomicU64, Ordering};

use proto::{
    common::v1::Side,
    trading::v1::{NewOrder, OrderEventKind, OrderType, SubmitOrderRequest, TimeInForce},
};

use super::tally::Tally;
use crate::client::{Client, ClientError};

/// An actor that takes.
pub(super) struct Hitter {
    pub(super) account_id: i64,
    pub(super) client: Client,
    /// The next client order id.
    pub(super) ids: AtomicU64,
}

/// What an IOC order brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hit {
    pub(super) filled_lots: i64,
    /// Net lots after the last fill, if there was one.
    pub(super) position_lots: Option<i64>,
}

impl Hitter {
    /// Takes up to `lots` at `price` or better. Refusals are counted and bring nothing.
    pub(super) async fn hit(
        &self,
        tally: &Tally,
        instrument_id: i32,
        side: Side,
        lots: i64,
        price: i64,
    ) -> Hit {
        let order = NewOrder {
            client_order_id: self.ids.fetch_add(1, Ordering::Relaxed),
            instrument_id,
            side: side.into(),
            order_type: OrderType::Limit.into(),
            time_in_force: TimeInForce::Ioc.into(),
            price_ticks: Some(price),
            quantity_lots: lots,
            ..Default::default()
        };
        let request = SubmitOrderRequest {
            account_id: self.account_id,
            order: Some(order),
            ..Default::default()
        };
        tally.sent();
        let answer = self.client.trading().submit_order(request).await;
        let events = match answer.map_err(ClientError::from) {
            Ok(answer) => answer.into_inner().events,
            Err(error) => {
                match error.reason() {
                    "" => tally.notice(format!("account {}: {error}", self.account_id)),
                    reason => tally.rejected(reason),
                }
                return Hit::default();
            }
        };
        let mut hit = Hit::default();
        for event in &events {
            tally.order_event(event);
            if let (OrderEventKind::Fill, Some(fill)) = (event.kind(), &event.fill) {
                hit.filled_lots += fill.lots;
                hit.position_lots = Some(fill.position_lots_after);
            }
        }
        hit
    }
}
