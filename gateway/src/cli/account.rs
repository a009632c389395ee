//! `balance`: money, positions and margin at one moment.

use anyhow::Result;
use clap::Args;
use proto::account::v1::{AccountStatus, GetAccountRequest, Margin};

use super::{
    AccountChoice, Connection, amounts, names, print,
    table::{Align, Table},
};
use crate::client::ClientError;

/// Shows balances, positions and margin.
#[derive(Args, Clone, Debug)]
pub struct Balance {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
}

/// Margin, row by row; what is available only where it is a figure of the present.
pub(super) fn margin_table(
    margin: &Margin,
    available: Option<i64>,
    names: &names::Names,
) -> String {
    let mut table = Table::new(&[("margin", Align::Left), ("", Align::Right)]);
    let rows = [
        ("equity", Some(margin.equity_minor)),
        ("initial", Some(margin.initial_minor)),
        ("maintenance", Some(margin.maintenance_minor)),
        ("available", available),
        ("delivery bond", Some(margin.delivery_bond_minor)),
    ];
    for (name, minor) in rows {
        if let Some(minor) = minor {
            table.row(vec![
                name.into(),
                names.money(minor, margin.margin_asset_id),
            ]);
        }
    }
    table.render("")
}

impl Balance {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let names = names::Names::fetch(&client).await?;
        let answer = client
            .account()
            .get_account(GetAccountRequest { account_id })
            .await
            .map_err(ClientError::from)?
            .into_inner();
        let status = answer.status();
        let status = AccountStatus::as_str_name(&status).trim_start_matches("ACCOUNT_STATUS_");
        let mut text = format!(
            "account {account_id}, {status}, as of journal position {}\n\n",
            answer.as_of_journal_seq
        );

        let mut balances = Table::new(&[
            ("total", Align::Right),
            ("held", Align::Right),
            ("available", Align::Right),
        ]);
        for b in &answer.balances {
            balances.row(vec![
                names.money(b.total_minor, b.asset_id),
                names.money(b.held_minor, b.asset_id),
                names.money(b.available_minor, b.asset_id),
            ]);
        }
        text.push_str(&balances.render("no money"));

        let mut positions = Table::new(&[
            ("symbol", Align::Left),
            ("net lots", Align::Right),
            ("average", Align::Right),
            ("mark", Align::Right),
            ("unrealised", Align::Right),
            ("realised", Align::Right),
            ("open buy", Align::Right),
            ("open sell", Align::Right),
        ]);
        for p in &answer.positions {
            let average = p.cost_ticks_lots.checked_div(p.net_lots);
            positions.row(vec![
                names.symbol(p.instrument_id),
                amounts::grouped(p.net_lots),
                amounts::optional(average),
                amounts::grouped(p.mark_ticks),
                names.price_money(p.unrealised_minor, p.instrument_id),
                names.price_money(p.realised_minor, p.instrument_id),
                amounts::grouped(p.open_buy_lots),
                amounts::grouped(p.open_sell_lots),
            ]);
        }
        text.push('\n');
        text.push_str(&positions.render("no positions"));

        if let Some(margin) = &answer.margin {
            text.push('\n');
            let available = Some(margin.available_minor);
            text.push_str(&margin_table(margin, available, &names));
        }
        print(&text)?;
        Ok(())
    }
}
