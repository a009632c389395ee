//! `cancel`, `orders`, `fills`: one's own orders and what became of them.

use anyhow::{Result, bail};
use clap::{ArgGroup, Args};
use proto::trading::v1::{
    Cancel as CancelWire, CancelOrderRequest, ListFillsRequest, MassCancelRequest,
    MassCancelSelection, NewOrder, OrderEventKind, OrderType, cancel::Target,
};

use super::{
    AccountChoice, Connection, amounts, names, print,
    submit::{cause, sentence},
    table::{Align, Table},
};
use crate::client::ClientError;

/// Cancels one order, or all that match.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("what").required(true).args(["order", "client_id", "all"])))]
pub struct Cancel {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    /// The exchange's number of the order.
    order: Option<i64>,
    /// One's own number of the order.
    #[arg(long, value_name = "ID")]
    client_id: Option<u64>,
    /// Every order of the account.
    #[arg(long)]
    all: bool,
    /// With --all: only in this contract.
    #[arg(long, requires = "all")]
    symbol: Option<String>,
}

impl Cancel {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let target = match (self.order, self.client_id) {
            (Some(id), _) => Some(Target::OrderId(id)),
            (None, Some(id)) => Some(Target::ClientOrderId(id)),
            (None, None) => None,
        };
        let Some(target) = target else {
            let instrument_id = match &self.symbol {
                Some(symbol) => names::instrument(&client, symbol).await?.instrument_id,
                None => 0,
            };
            let selection = MassCancelSelection {
                instrument_id,
                ..Default::default()
            };
            let request = MassCancelRequest {
                account_id,
                selection: Some(selection),
            };
            let answer = client.trading().mass_cancel(request).await;
            let done = answer.map_err(ClientError::from)?.into_inner().result;
            let done = done.ok_or(ClientError::Incomplete("the result"))?;
            let cancelled = done.cancelled_orders + done.cancelled_quotes;
            print(&format!("cancelled {cancelled} orders\n"))?;
            if done.not_cancelled > 0 {
                bail!(
                    "{} orders cannot be cancelled during the end of an auction call",
                    done.not_cancelled
                );
            }
            return Ok(());
        };
        let request = CancelOrderRequest {
            account_id,
            cancel: Some(CancelWire {
                target: Some(target),
                instrument_id: 0,
            }),
        };
        let answer = client.trading().cancel_order(request).await;
        let event = answer.map_err(ClientError::from)?.into_inner().event;
        let event = event.ok_or(ClientError::Incomplete("the event"))?;
        print(&(sentence(&event) + "\n"))?;
        match event.kind() {
            OrderEventKind::CancelRejected => bail!("refused: {}", cause(&event)),
            _ => Ok(()),
        }
    }
}

/// Lists open orders.
#[derive(Args, Clone, Debug)]
pub struct Orders {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    /// Only in this contract.
    symbol: Option<String>,
}

impl Orders {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let instrument_id = match &self.symbol {
            Some(symbol) => names::instrument(&client, symbol).await?.instrument_id,
            None => 0,
        };
        let orders = client.open_orders(account_id, instrument_id).await?;
        let names = names::Names::fetch(&client).await?;
        let mut table = Table::new(&[
            ("order", Align::Right),
            ("client id", Align::Right),
            ("symbol", Align::Left),
            ("side", Align::Left),
            ("price", Align::Right),
            ("open", Align::Right),
            ("filled", Align::Right),
            ("since", Align::Left),
            ("", Align::Left),
        ]);
        for order in orders {
            let said = order.instructions.unwrap_or_default();
            table.row(vec![
                order.order_id.to_string(),
                said.client_order_id.to_string(),
                names.symbol(said.instrument_id),
                names::side(said.side).into(),
                amounts::optional(said.price_ticks),
                amounts::grouped(order.open_lots),
                amounts::grouped(order.filled_lots),
                names::clock(order.accepted_unix_nanos),
                remark(&said),
            ]);
        }
        print(&table.render("no open orders"))?;
        Ok(())
    }
}

/// What an order waits for, follows or hides.
fn remark(said: &NewOrder) -> String {
    if let Some(price) = said.trigger_price_ticks {
        return format!("stop {}", amounts::grouped(price));
    }
    match (said.order_type(), said.display_lots) {
        (OrderType::Pegged, _) => format!("peg {:+}", said.peg_offset_ticks),
        (_, 0) => String::new(),
        (_, shown) => format!("shows {}", amounts::grouped(shown)),
    }
}

/// Lists fills, oldest first.
#[derive(Args, Clone, Debug)]
pub struct Fills {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    /// Only in this contract.
    symbol: Option<String>,
    /// Only after this trade.
    #[arg(long, default_value_t = 0, value_name = "TRADE")]
    after: i64,
}

impl Fills {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let instrument_id = match &self.symbol {
            Some(symbol) => names::instrument(&client, symbol).await?.instrument_id,
            None => 0,
        };
        let request = ListFillsRequest {
            account_id,
            instrument_id,
            after_trade_id: self.after,
            ..Default::default()
        };
        let fills = client.fills(request).await?;
        let names = names::Names::fetch(&client).await?;
        let mut table = Table::new(&[
            ("trade", Align::Right),
            ("time", Align::Left),
            ("order", Align::Right),
            ("symbol", Align::Left),
            ("side", Align::Left),
            ("price", Align::Right),
            ("lots", Align::Right),
            ("fee", Align::Right),
            ("", Align::Left),
        ]);
        for report in fills {
            let fill = report.fill.clone().unwrap_or_default();
            let fee = fill.fee.unwrap_or_default();
            table.row(vec![
                fill.trade_id.to_string(),
                names::clock(report.matched_unix_nanos),
                report.order_id.to_string(),
                names.symbol(report.instrument_id),
                names::side(report.side).into(),
                amounts::grouped(fill.price_ticks),
                amounts::grouped(fill.lots),
                names.money(fee.minor_units, fee.asset_id),
                if report.busted { "busted" } else { "" }.into(),
            ]);
            // What it became, under the trade that it is a part of.
            for leg in &fill.legs {
                let fee = leg.fee.unwrap_or_default();
                table.row(vec![
                    String::new(),
                    String::new(),
                    String::new(),
                    format!("  {}", names.symbol(leg.instrument_id)),
                    names::side(leg.side).into(),
                    amounts::grouped(leg.price_ticks),
                    amounts::grouped(leg.lots),
                    names.money(fee.minor_units, fee.asset_id),
                    "leg".into(),
                ]);
            }
        }
        print(&table.render("no fills"))?;
        Ok(())
    }
}
