//! `tail`: the market as it happens, one line per change, until Ctrl-C.

use std::collections::HashMap;

use anyhow::Result;
use clap::Args;
use proto::marketdata::v1::{
    Channel, MarketDataUpdate, SubscribeRequest, Subscription, SubscriptionState, TradeKind,
    market_data_update::Payload,
};
use tokio::signal;

use super::{Connection, amounts, names, print};
use crate::client::{ClientError, Refusal};

/// Follows trades, best prices and trading states until Ctrl-C.
#[derive(Args, Clone, Debug)]
pub struct Tail {
    #[command(flatten)]
    connection: Connection,
    /// Only this contract.
    symbol: Option<String>,
}

impl Tail {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let chosen = match &self.symbol {
            Some(symbol) => vec![names::instrument(&client, symbol).await?],
            None => client.instruments().await?,
        };
        let ids = match self.symbol {
            Some(_) => chosen.iter().map(|i| i.instrument_id).collect(),
            None => Vec::new(),
        };
        let symbols: HashMap<i32, String> = chosen
            .into_iter()
            .map(|i| (i.instrument_id, i.symbol))
            .collect();
        let channels = [Channel::Trades, Channel::Bbo, Channel::Status];
        let subscriptions = channels.into_iter().zip(1..);
        let request = SubscribeRequest {
            subscriptions: subscriptions
                .map(|(channel, subscription_id)| Subscription {
                    subscription_id,
                    channel: channel.into(),
                    instrument_ids: ids.clone(),
                    ..Default::default()
                })
                .collect(),
        };
        let answer = client.market_data().subscribe(request).await;
        let mut stream = answer.map_err(ClientError::from)?.into_inner();
        loop {
            let message = tokio::select! {
                message = stream.message() => message.map_err(ClientError::from)?,
                _ = signal::ctrl_c() => return Ok(()),
            };
            let Some(message) = message else {
                return Ok(());
            };
            for update in &message.updates {
                if let Some(line) = line(update, &symbols)?
                    && !print(&(line + "\n"))?
                {
                    return Ok(());
                }
            }
        }
    }
}

/// One update in words; none for those that only keep the stream alive.
fn line(update: &MarketDataUpdate, symbols: &HashMap<i32, String>) -> Result<Option<String>> {
    let symbol = match symbols.get(&update.instrument_id) {
        Some(symbol) => symbol.clone(),
        None => format!("#{}", update.instrument_id),
    };
    let head = format!("{} {symbol:<18}", names::clock(update.matched_unix_nanos));
    Ok(match &update.payload {
        Some(Payload::Trade(t)) if t.kind() == TradeKind::Bust => {
            Some(format!("{head} trade {} annulled", t.trade_id))
        }
        Some(Payload::Trade(t)) => Some(format!(
            "{head} trade {} lots @ {}, {}",
            amounts::grouped(t.lots),
            amounts::grouped(t.price_ticks),
            match t.kind() {
                TradeKind::Auction => "in an auction".to_owned(),
                TradeKind::Block => "agreed off the book".to_owned(),
                TradeKind::Rfq => "by a request for quote".to_owned(),
                _ => format!("{} took it", names::side(t.aggressor)),
            }
        )),
        Some(Payload::Bbo(b)) => Some(format!(
            "{head} {:>6} x {:>9} | {:<9} x {}",
            amounts::grouped(b.bid_lots),
            amounts::optional(b.bid_ticks),
            amounts::optional(b.ask_ticks),
            amounts::grouped(b.ask_lots)
        )),
        Some(Payload::Status(s)) => Some(format!("{head} is {}", names::state(s.state))),
        Some(Payload::Lagged(l)) => Some(format!(
            "(reading too slowly: {} changes skipped)",
            l.skipped_updates
        )),
        Some(Payload::SubscriptionStatus(s)) if s.state() == SubscriptionState::Rejected => {
            let problem = s.problem.clone().unwrap_or_default();
            return Err(ClientError::Refused(Box::new(Refusal::from_problem(&problem))).into());
        }
        _ => None,
    })
}
