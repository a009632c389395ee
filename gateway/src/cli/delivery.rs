//! `delivery`: what is owed and due in hashes, where they go, and what was paid for them.

use anyhow::Result;
use clap::{Args, Subcommand};
use proto::delivery::v1::{
    AssignDestinationRequest, Destination, DisputeIntervalRequest, GetCapacityRequest,
    ListDestinationsRequest, ListObligationsRequest, ListSettlementsRequest, ObligationState,
    SetDestinationRequest, StratumProtocol,
};

use super::{
    AccountChoice, Connection, names, print,
    table::{Align, Table},
};
use crate::client::{Client, ClientError, now_unix_nanos};

/// Rows of one page; more are asked for with the token.
const PAGE: i32 = 1_000;

/// Deliveries of an account.
#[derive(Args, Clone, Debug)]
pub struct Delivery {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Lists what the account owes and is owed.
    Obligations,
    /// Lists what was paid, charged and returned, interval by interval.
    Settlements,
    /// Shows attested hashrate and what is left to sell.
    Capacity {
        /// Number of the commodity.
        #[arg(long, default_value_t = 1)]
        commodity: i32,
    },
    /// Lists the account's destinations.
    Destinations,
    /// Adds or changes a destination.
    SetDestination {
        /// `host:port` of the pool.
        address: String,
        /// Worker that the shares are credited to.
        worker: String,
        /// Number of the commodity.
        #[arg(long, default_value_t = 1)]
        commodity: i32,
        /// For people.
        #[arg(long, default_value = "pool")]
        label: String,
        /// Change this one instead of adding one.
        #[arg(long, default_value_t = 0)]
        id: i32,
        /// Takes obligations that name no other.
        #[arg(long)]
        default: bool,
    },
    /// Points an obligation at a destination.
    Assign {
        /// Number of the obligation.
        obligation: i64,
        /// Number of the destination.
        destination: i32,
    },
    /// Objects to the reading of one interval before it is settled.
    Dispute {
        /// Number of the obligation.
        obligation: i64,
        /// Beginning of the interval, UTC seconds since 1970.
        start: i64,
        /// What the own meter says, in terahashes.
        terahashes: i64,
        /// Remark.
        #[arg(long, default_value = "")]
        note: String,
    },
}

impl Delivery {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account = self.account.resolve(&client).await?;
        let text = match self.what {
            What::Obligations => obligations(&client, account).await?,
            What::Settlements => settlements(&client, account).await?,
            What::Capacity { commodity } => capacity(&client, account, commodity).await?,
            What::Destinations => destinations(&client, account).await?,
            What::SetDestination {
                address,
                worker,
                commodity,
                label,
                id,
                default,
            } => {
                let destination = Destination {
                    destination_id: id,
                    label,
                    commodity_id: commodity,
                    address,
                    worker,
                    protocol: StratumProtocol::V1.into(),
                    worker_password: String::new(),
                    account_default: default,
                };
                let request = SetDestinationRequest {
                    account_id: account,
                    destination: Some(destination),
                    validate_only: false,
                };
                let answer = client.delivery().set_destination(request).await;
                let stored = answer.map_err(ClientError::from)?.into_inner().destination;
                let id = stored.map_or(0, |stored| stored.destination_id);
                format!("destination {id}\n")
            }
            What::Assign {
                obligation,
                destination,
            } => {
                let request = AssignDestinationRequest {
                    account_id: account,
                    obligation_id: obligation,
                    destination_id: destination,
                };
                let answer = client.delivery().assign_destination(request).await;
                answer.map_err(ClientError::from)?;
                format!("obligation {obligation} goes to destination {destination}\n")
            }
            What::Dispute {
                obligation,
                start,
                terahashes,
                note,
            } => {
                let request = DisputeIntervalRequest {
                    account_id: account,
                    obligation_id: obligation,
                    interval_start_unix_nanos: start.saturating_mul(1_000_000_000),
                    claimed_terahashes: terahashes,
                    note,
                    request_id: now_unix_nanos().unsigned_abs(),
                };
                let answer = client.delivery().dispute_interval(request).await;
                let answer = answer.map_err(ClientError::from)?.into_inner();
                format!("dispute {}\n", answer.dispute_id)
            }
        };
        print(&text).map(drop)
    }
}

fn state_name(state: i32) -> String {
    let name = ObligationState::try_from(state).map_or("?", |state| state.as_str_name());
    name.trim_start_matches("OBLIGATION_STATE_").to_owned()
}

async fn obligations(client: &Client, account_id: i64) -> Result<String> {
    let names = names::Names::fetch(client).await?;
    let mut table = Table::new(&[
        ("obligation", Align::Right),
        ("symbol", Align::Left),
        ("side", Align::Left),
        ("lots", Align::Right),
        ("state", Align::Left),
        ("owed TH", Align::Right),
        ("delivered TH", Align::Right),
        ("destination", Align::Right),
    ]);
    let mut page_token = String::new();
    loop {
        let request = ListObligationsRequest {
            account_id,
            page_size: PAGE,
            page_token,
            ..ListObligationsRequest::default()
        };
        let answer = client.delivery().list_obligations(request).await;
        let answer = answer.map_err(ClientError::from)?.into_inner();
        for row in &answer.obligations {
            let side = row
                .side()
                .as_str_name()
                .trim_start_matches("SIDE_")
                .to_owned();
            table.row(vec![
                row.obligation_id.to_string(),
                names.symbol(row.instrument_id),
                side,
                row.lots.to_string(),
                state_name(row.state),
                row.owed_terahashes.to_string(),
                row.delivered_terahashes.to_string(),
                row.destination_id.to_string(),
            ]);
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(table.render("no obligations"));
        }
    }
}

async fn settlements(client: &Client, account_id: i64) -> Result<String> {
    let names = names::Names::fetch(client).await?;
    let mut table = Table::new(&[
        ("settlement", Align::Right),
        ("obligation", Align::Right),
        ("symbol", Align::Left),
        ("day", Align::Left),
        ("payment", Align::Right),
        ("shortfall", Align::Right),
        ("released", Align::Right),
    ]);
    let mut after_settlement_id = 0;
    loop {
        let request = ListSettlementsRequest {
            account_id,
            after_settlement_id,
            page_size: PAGE,
            ..ListSettlementsRequest::default()
        };
        let answer = client.delivery().list_settlements(request).await;
        let answer = answer.map_err(ClientError::from)?.into_inner();
        for row in &answer.settlements {
            let money = |amount: &Option<proto::common::v1::Amount>| {
                let amount = amount.unwrap_or_default();
                names.money(amount.minor_units, amount.asset_id)
            };
            let day = row.settlement_date.unwrap_or_default();
            table.row(vec![
                row.settlement_id.to_string(),
                row.obligation_id.to_string(),
                names.symbol(row.instrument_id),
                format!("{:04}-{:02}-{:02}", day.year, day.month, day.day),
                money(&row.payment),
                money(&row.shortfall_charge),
                money(&row.bond_released),
            ]);
            after_settlement_id = row.settlement_id;
        }
        if answer.next_page_token.is_empty() {
            return Ok(table.render("no settlements"));
        }
    }
}

async fn capacity(client: &Client, account_id: i64, commodity_id: i32) -> Result<String> {
    let request = GetCapacityRequest {
        account_id,
        commodity_id,
    };
    let answer = client.delivery().get_capacity(request).await;
    let row = answer
        .map_err(ClientError::from)?
        .into_inner()
        .capacity
        .unwrap_or_default();
    let mut table = Table::new(&[
        ("attested TH/s", Align::Right),
        ("committed", Align::Right),
        ("open orders", Align::Right),
        ("left to sell", Align::Right),
    ]);
    table.row(vec![
        row.attested_ths.to_string(),
        row.committed_ths.to_string(),
        row.open_order_ths.to_string(),
        row.available_ths.to_string(),
    ]);
    Ok(table.render("nothing"))
}

async fn destinations(client: &Client, account_id: i64) -> Result<String> {
    let request = ListDestinationsRequest {
        account_id,
        page_size: PAGE,
        page_token: String::new(),
    };
    let answer = client.delivery().list_destinations(request).await;
    let answer = answer.map_err(ClientError::from)?.into_inner();
    let mut table = Table::new(&[
        ("destination", Align::Right),
        ("label", Align::Left),
        ("address", Align::Left),
        ("worker", Align::Left),
        ("default", Align::Left),
    ]);
    for row in answer.destinations {
        let default = if row.account_default { "yes" } else { "" };
        table.row(vec![
            row.destination_id.to_string(),
            row.label,
            row.address,
            row.worker,
            default.to_owned(),
        ]);
    }
    Ok(table.render("no destinations"))
}
