//! Keeps the picture of the market up to date from the public stream, and comes back when it breaks.

use std::{sync::Arc, time::Duration};

use proto::marketdata::v1::{
    Channel, MarketDataUpdate, SubscribeRequest, Subscription, SubscriptionState,
    market_data_update::Payload,
};
use tokio::time;

use super::{
    INDEX_NAME,
    market::{IndexPoint, Market},
    stop::Stop,
    tally::Tally,
};
use crate::client::{Client, ClientError, Refusal};

/// The exchange shows life every second; a longer silence is a loss.
const SILENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(300);

/// Runs until stopped.
pub(super) async fn run(client: Client, market: Arc<Market>, tally: Arc<Tally>, mut stop: Stop) {
    loop {
        let end = tokio::select! {
            () = stop.wait() => return,
            end = follow(&client, &market) => end,
        };
        if let Err(error) = end {
            tally.notice(format!("market data: {error}"));
        }
        tally.reconnected();
        tokio::select! {
            () = stop.wait() => return,
            () = time::sleep(RETRY) => {}
        }
    }
}

/// One stream, from its snapshots to its end.
async fn follow(client: &Client, market: &Market) -> Result<(), ClientError> {
    let client = client.another().await?;
    let request = SubscribeRequest {
        subscriptions: subscriptions(market),
    };
    let mut stream = client.market_data().subscribe(request).await?.into_inner();
    loop {
        let Ok(message) = time::timeout(SILENCE, stream.message()).await else {
            return Err(ClientError::SessionLost("no heartbeat".into()));
        };
        let Some(message) = message? else {
            return Ok(());
        };
        for update in &message.updates {
            apply(market, update)?;
        }
    }
}

fn subscriptions(market: &Market) -> Vec<Subscription> {
    let instrument_ids: Vec<i32> = market.contracts.iter().map(|c| c.id).collect();
    let channels = [
        Channel::Status,
        Channel::Statistics,
        Channel::Bbo,
        Channel::Trades,
        Channel::Index,
    ];
    channels
        .into_iter()
        .zip(1..)
        .map(|(channel, subscription_id)| {
            let on_index = channel == Channel::Index;
            Subscription {
                subscription_id,
                channel: channel.into(),
                instrument_ids: match on_index {
                    true => Vec::new(),
                    false => instrument_ids.clone(),
                },
                index_names: match on_index {
                    true => vec![INDEX_NAME.to_owned()],
                    false => Vec::new(),
                },
                ..Default::default()
            }
        })
        .collect()
}

/// Takes one update into the picture. A refused subscription ends the stream: a maker that cannot see
/// must not quote on.
fn apply(market: &Market, update: &MarketDataUpdate) -> Result<(), ClientError> {
    let mut picture = market.picture();
    match (&update.payload, market.position(update.instrument_id)) {
        (Some(Payload::Index(index)), _) if index.index_name == INDEX_NAME => {
            if let Some(value) = index.value {
                picture.index = Some(IndexPoint {
                    value,
                    round_id: index.round_id,
                });
            }
        }
        (Some(Payload::Bbo(bbo)), Some(at)) => picture.bbo(at, bbo),
        (Some(Payload::Statistics(s)), Some(at)) => picture.statistics(at, s),
        (Some(Payload::Status(status)), Some(at)) => picture.quotes[at].state = status.state(),
        (Some(Payload::Trade(trade)), Some(at)) => {
            picture.trade(at, market.contracts[at].family, trade);
        }
        (Some(Payload::SubscriptionStatus(status)), _)
            if status.state() == SubscriptionState::Rejected =>
        {
            let problem = status.problem.clone().unwrap_or_default();
            return Err(ClientError::Refused(Box::new(Refusal::from_problem(
                &problem,
            ))));
        }
        _ => {}
    }
    Ok(())
}
