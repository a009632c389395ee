//! `statement` and `settlements`: a day of an account as its books have it, and what each day was settled at.

use anyhow::{Context, Result};
use clap::Args;
use jiff::civil::Date;
use proto::{
    account::v1::{Balance, GetStatementRequest, GetStatementResponse, LedgerEntryKind},
    common::v1 as common,
    delivery::v1::{ListSettlementsRequest, Settlement},
};

use super::{
    AccountChoice, Connection, account, amounts, names, print,
    table::{Align, Table},
};
use crate::client::ClientError;

/// Shows what one UTC day did to an account: realised, unrealised, fees, margin, cash.
#[derive(Args, Clone, Debug)]
pub struct Statement {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    /// The UTC day, such as 2026-12-05; by default today so far.
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<Date>,
    /// Comma-separated values, amounts in whole coins, for a spreadsheet.
    #[arg(long)]
    csv: bool,
}

/// Lists the settled days of an account's positions.
#[derive(Args, Clone, Debug)]
pub struct Settlements {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    /// Only those after this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: i64,
    /// Only those of this contract.
    #[arg(long, value_name = "SYMBOL")]
    symbol: Option<String>,
}

/// A part of the day's books: what accountants call it, and the causes that belong to it.
const PARTS: [(&str, &[LedgerEntryKind]); 9] = [
    ("deposits", &[LedgerEntryKind::Deposit]),
    (
        "withdrawals",
        &[LedgerEntryKind::Withdrawal, LedgerEntryKind::WithdrawalFee],
    ),
    (
        "realised: daily mark",
        &[LedgerEntryKind::Variation, LedgerEntryKind::TradeBust],
    ),
    (
        "realised: days settled at the index",
        &[LedgerEntryKind::FinalSettlement],
    ),
    (
        "realised: hashrate bought and sold",
        &[
            LedgerEntryKind::Payment,
            LedgerEntryKind::DeliveryPayment,
            LedgerEntryKind::Shortfall,
        ],
    ),
    (
        "fees",
        &[LedgerEntryKind::TradeFee, LedgerEntryKind::Liquidation],
    ),
    ("rebates", &[LedgerEntryKind::Rebate]),
    ("insurance fund", &[LedgerEntryKind::InsuranceFund]),
    // Whatever else there is; the statement must add up.
    ("other", &[]),
];

fn part_of(kind: i32) -> usize {
    let named = PARTS
        .iter()
        .position(|(_, kinds)| kinds.iter().any(|known| i32::from(*known) == kind));
    named.unwrap_or(PARTS.len() - 1)
}

/// The books of a day in one asset, in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Books {
    asset: i32,
    opening: i64,
    /// By part: sum and number of postings.
    parts: [(i64, i32); PARTS.len()],
    closing: i64,
    held: i64,
    available: i64,
}

impl Books {
    /// Of each asset that the account has or had on that day.
    fn of(told: &GetStatementResponse) -> Vec<Self> {
        let opening = |asset| find(&told.opening, asset).map_or(0, |row| row.total_minor);
        let lines = told.lines.iter().map(|line| line.asset_id);
        let mut assets: Vec<i32> = told
            .closing
            .iter()
            .map(|row| row.asset_id)
            .chain(lines)
            .collect();
        assets.sort_unstable();
        assets.dedup();
        let books = assets.into_iter().map(|asset| {
            let closing = find(&told.closing, asset).copied().unwrap_or_default();
            let mut parts = [(0, 0); PARTS.len()];
            for line in told.lines.iter().filter(|line| line.asset_id == asset) {
                let part = &mut parts[part_of(line.kind)];
                part.0 += line.sum_minor;
                part.1 += line.count;
            }
            Self {
                asset,
                opening: opening(asset),
                parts,
                closing: closing.total_minor,
                held: closing.held_minor,
                available: closing.available_minor,
            }
        });
        books.collect()
    }

    fn adds_up(&self) -> bool {
        let moved: i128 = self.parts.iter().map(|(sum, _)| i128::from(*sum)).sum();
        i128::from(self.opening) + moved == i128::from(self.closing)
    }
}

fn find(rows: &[Balance], asset: i32) -> Option<&Balance> {
    rows.iter().find(|row| row.asset_id == asset)
}

impl Statement {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let names = names::Names::fetch_with_past(&client).await?;
        let date = match self.date {
            Some(date) => date,
            None => jiff::Timestamp::now()
                .to_zoned(jiff::tz::TimeZone::UTC)
                .date(),
        };
        let request = GetStatementRequest {
            account_id,
            date: Some(common::Date {
                year: date.year().into(),
                month: date.month().into(),
                day: date.day().into(),
            }),
        };
        let answer = client.account().get_statement(request).await;
        let told = answer.map_err(ClientError::from)?.into_inner();
        let books = Books::of(&told);
        if let Some(wrong) = books.iter().find(|books| !books.adds_up()) {
            anyhow::bail!(
                "the statement does not add up in asset {}; tell the exchange",
                wrong.asset
            );
        }
        let text = if self.csv {
            csv(account_id, date, &told, &books, &names)
        } else {
            written(account_id, date, &told, &books, &names)
        };
        print(&text).map(drop)
    }
}

fn written(
    account: i64,
    date: Date,
    told: &GetStatementResponse,
    books: &[Books],
    names: &names::Names,
) -> String {
    let mut text = format!("account {account}, statement of {date} (00:00 to 24:00 UTC)");
    match told.first_journal_seq {
        0 => text.push_str(", nothing booked\n"),
        first => text.push_str(&format!(
            ", journal positions {first} to {}\n",
            told.last_journal_seq
        )),
    }
    for day in books {
        let money = |minor| names.money(minor, day.asset);
        let mut table = Table::new(&[
            ("cash", Align::Left),
            ("amount", Align::Right),
            ("postings", Align::Right),
        ]);
        let mut row = |name: &str, minor: i64, count: Option<i32>| {
            let count = count.map_or_else(String::new, |count| count.to_string());
            table.row(vec![name.into(), money(minor), count]);
        };
        row("opening balance", day.opening, None);
        for ((name, _), (sum, count)) in PARTS.iter().zip(day.parts) {
            if count > 0 {
                row(name, sum, Some(count));
            }
        }
        row("closing balance", day.closing, None);
        row("of it margin, escrow, bonds", day.held, None);
        row("of it available", day.available, None);
        text.push('\n');
        text.push_str(&table.render(""));
    }
    if books.is_empty() {
        text.push_str("\nno money\n");
    }
    let mut positions = Table::new(&[
        ("position", Align::Left),
        ("net lots", Align::Right),
        ("average", Align::Right),
        ("settlement price", Align::Right),
        ("unrealised", Align::Right),
        ("realised since opened", Align::Right),
    ]);
    for p in &told.positions {
        positions.row(vec![
            names.symbol(p.instrument_id),
            amounts::grouped(p.net_lots),
            amounts::optional(p.cost_ticks_lots.checked_div(p.net_lots)),
            amounts::grouped(p.mark_ticks),
            names.price_money(p.unrealised_minor, p.instrument_id),
            names.price_money(p.realised_minor, p.instrument_id),
        ]);
    }
    text.push('\n');
    text.push_str(&positions.render("no positions"));
    if let Some(margin) = &told.margin {
        text.push('\n');
        text.push_str(&account::margin_table(margin, None, names));
    }
    text
}

/// One row per figure: account, date, section, item, symbol or asset, lots, price, amount, count.
fn csv(
    account: i64,
    date: Date,
    told: &GetStatementResponse,
    books: &[Books],
    names: &names::Names,
) -> String {
    let mut text =
        "account,date,section,item,asset,symbol,lots,price_ticks,amount,postings\n".to_owned();
    let mut row = |section: &str, item: &str, (symbol, asset): (&str, &str), cells: [String; 4]| {
        let [lots, price, amount, count] = cells;
        text.push_str(&format!(
            "{account},{date},{section},{item},{asset},{symbol},{lots},{price},{amount},{count}\n"
        ));
    };
    let none = String::new;
    for day in books {
        let (decimals, asset) = names.coin(day.asset);
        let money = |minor| amounts::money(minor, decimals);
        let mut cash = |item: &str, minor: i64, count: Option<i32>| {
            let count = count.map_or_else(String::new, |count| count.to_string());
            let cells = [none(), none(), money(minor), count];
            row("cash", item, ("", &asset), cells);
        };
        cash("opening balance", day.opening, None);
        for line in told.lines.iter().filter(|line| line.asset_id == day.asset) {
            let kind = LedgerEntryKind::try_from(line.kind).unwrap_or_default();
            let item = kind.as_str_name().trim_start_matches("LEDGER_ENTRY_KIND_");
            cash(item, line.sum_minor, Some(line.count));
        }
        cash("closing balance", day.closing, None);
        cash("held", day.held, None);
        cash("available", day.available, None);
    }
    for p in &told.positions {
        let symbol = names.symbol(p.instrument_id);
        let (decimals, asset) = names.price_coin(p.instrument_id);
        for (item, minor) in [
            ("unrealised", p.unrealised_minor),
            ("realised since opened", p.realised_minor),
        ] {
            let (lots, price) = (p.net_lots.to_string(), p.mark_ticks.to_string());
            let cells = [lots, price, amounts::money(minor, decimals), none()];
            row("position", item, (&symbol, &asset), cells);
        }
    }
    if let Some(m) = &told.margin {
        let (decimals, asset) = names.coin(m.margin_asset_id);
        for (item, minor) in [
            ("equity", m.equity_minor),
            ("initial", m.initial_minor),
            ("maintenance", m.maintenance_minor),
            ("delivery bond", m.delivery_bond_minor),
        ] {
            let cells = [none(), none(), amounts::money(minor, decimals), none()];
            row("margin", item, ("", &asset), cells);
        }
    }
    text
}

impl Settlements {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let names = names::Names::fetch_with_past(&client).await?;
        let instrument_id = match &self.symbol {
            Some(symbol) => names::instrument(&client, symbol).await?.instrument_id,
            None => 0,
        };
        let request = ListSettlementsRequest {
            account_id,
            after_settlement_id: self.after,
            instrument_id,
            ..Default::default()
        };
        let rows = client.settlements(request).await?;
        let mut table = Table::new(&[
            ("number", Align::Right),
            ("day", Align::Left),
            ("symbol", Align::Left),
            ("lots", Align::Right),
            ("index", Align::Right),
            ("round", Align::Right),
            ("payment", Align::Right),
            ("obligation", Align::Right),
            ("", Align::Left),
        ]);
        for row in &rows {
            table.row(cells(row, &names).context("an incomplete settlement")?);
        }
        print(&table.render("no settlements")).map(drop)
    }
}

fn cells(row: &Settlement, names: &names::Names) -> Option<Vec<String>> {
    let (date, payment) = (row.settlement_date?, row.payment?);
    let obligation = match row.obligation_id {
        0 => "cash".into(),
        id => id.to_string(),
    };
    let open = if row.finalized { "" } else { "provisional" };
    Some(vec![
        row.settlement_id.to_string(),
        format!("{:04}-{:02}-{:02}", date.year, date.month, date.day),
        names.symbol(row.instrument_id),
        amounts::grouped(row.lots),
        row.index_value
            .as_ref()
            .map_or_else(String::new, amounts::decimal),
        row.index_round_id.to_string(),
        names.money(payment.minor_units, payment.asset_id),
        obligation,
        open.into(),
    ])
}

#[cfg(test)]
mod tests {
    use proto::account::v1::StatementLine;

    use super::*;

    #[test]
    fn every_cause_has_its_part_and_the_rest_is_not_lost() {
        let line = |kind: i32, sum_minor| StatementLine {
            asset_id: 1,
            kind,
            sum_minor,
            count: 1,
        };
        let balance = |total_minor| Balance {
            asset_id: 1,
            total_minor,
            ..Default::default()
        };
        let all: Vec<StatementLine> = (1..40).map(|kind| line(kind, 10)).collect();
        let told = GetStatementResponse {
            opening: vec![balance(100)],
            closing: vec![balance(100 + 390)],
            lines: all,
            ..Default::default()
        };
        let books = Books::of(&told);
        assert_eq!(books.len(), 1);
        assert!(books[0].adds_up());
        let wrong = GetStatementResponse {
            closing: vec![balance(1)],
            ..told
        };
        assert!(!Books::of(&wrong)[0].adds_up());
    }
}
