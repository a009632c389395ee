//! `margin`: what a family of forwards asks for and why, what an order would need and why, and the operator's
//! way to set it.

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use proto::{
    account::v1::{MarginParts, PreviewOrderRequest},
    admin::v1::SetMarginMethodRequest,
    reference::v1::{
        ChainCalendar, ListMarginMethodsRequest, MarginAsked, MarginFamily, MarginMethod,
        MarginScenario, MarginTenor,
    },
};

use super::{
    AccountChoice, Connection, amounts, names, parse, print,
    table::{Align, Table},
};
use crate::client::{Client, ClientError, now_unix_nanos};

/// Margin of forwards: what is asked for in each maturity, and why.
#[derive(Args, Clone, Debug)]
pub struct Margin {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// What an order would need, part by part, without entering it.
    Preview {
        /// Contract.
        symbol: String,
        /// Side.
        #[arg(long, value_parser = parse::side)]
        side: proto::common::v1::Side,
        /// Lots.
        #[arg(long, value_parser = parse::lots)]
        lots: i64,
        /// Price in ticks; without one, at the market.
        #[arg(long, value_parser = parse::ticks, allow_negative_numbers = true)]
        price: Option<i64>,
    },
    /// Sets the method of a family (operator). Shares in parts per million.
    Set(Box<Method>),
}

/// A whole method; what is not given is 0.
#[derive(Args, Clone, Debug)]
struct Method {
    /// Number of the commodity.
    #[arg(long)]
    commodity: i32,
    /// Number of the asset.
    #[arg(long)]
    asset: i32,
    /// Range of the coin's price in the asset.
    #[arg(long, default_value_t = 0)]
    price: i32,
    /// Range of difficulty.
    #[arg(long, default_value_t = 0)]
    difficulty: i32,
    /// Part of the reward that is fees.
    #[arg(long, default_value_t = 0)]
    fee_share: i32,
    /// Range of fees.
    #[arg(long, default_value_t = 0)]
    fees: i32,
    /// The next retarget, down.
    #[arg(long, default_value_t = 0)]
    retarget_down: i32,
    /// The next retarget, up.
    #[arg(long, default_value_t = 0)]
    retarget_up: i32,
    /// How much of the outcome of twice the ranges counts.
    #[arg(long, default_value_t = 0)]
    extreme: i32,
    /// A bucket of maturities, DAYS:SHARE; again for the next one.
    #[arg(long, value_parser = tenor)]
    tenor: Vec<MarginTenor>,
    /// Added from the day on which the window begins.
    #[arg(long, default_value_t = 0)]
    delivery: i32,
    /// Credit for opposite positions in the same or the next month.
    #[arg(long, default_value_t = 0)]
    adjacent_credit: i32,
    /// Credit for all other opposite positions.
    #[arg(long, default_value_t = 0)]
    other_credit: i32,
    /// Number of the chain's feed, for what is known of its calendar.
    #[arg(long)]
    chain: Option<i32>,
    /// Expected time of a block, in milliseconds.
    #[arg(long, default_value_t = 600_000)]
    block_ms: i32,
    /// Blocks between two retargets.
    #[arg(long, default_value_t = 2_016)]
    retarget_blocks: i32,
    /// So many hours before a retarget it begins to count.
    #[arg(long, default_value_t = 48)]
    retarget_notice_hours: i32,
    /// First block after the next halving; 0 = none.
    #[arg(long, default_value_t = 0)]
    halving: i64,
    /// So many days before a halving it begins to count.
    #[arg(long, default_value_t = 60)]
    halving_notice_days: i32,
}

fn tenor(text: &str) -> Result<MarginTenor, String> {
    let (days, share) = text
        .split_once(':')
        .ok_or("DAYS:SHARE, such as 60:1000000")?;
    let number = |text: &str| {
        text.replace('_', "")
            .parse()
            .map_err(|_| format!("{text:?}"))
    };
    Ok(MarginTenor {
        days: number(days)?,
        share_ppm: number(share)?,
    })
}

impl Method {
    fn message(&self) -> MarginMethod {
        MarginMethod {
            commodity_id: self.commodity,
            asset_id: self.asset,
            price_ppm: self.price,
            difficulty_ppm: self.difficulty,
            fee_share_ppm: self.fee_share,
            fees_ppm: self.fees,
            retarget_down_ppm: self.retarget_down,
            retarget_up_ppm: self.retarget_up,
            extreme_counts_ppm: self.extreme,
            tenors: self.tenor.clone(),
            delivery_ppm: self.delivery,
            adjacent_credit_ppm: self.adjacent_credit,
            other_credit_ppm: self.other_credit,
            calendar: self.chain.map(|feed_id| ChainCalendar {
                feed_id,
                block_ms: self.block_ms,
                retarget_blocks: self.retarget_blocks,
                retarget_notice_hours: self.retarget_notice_hours,
                step_height: self.halving,
                step_left_ppm: 500_000,
                step_notice_days: self.halving_notice_days,
            }),
        }
    }
}

impl Margin {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        match &self.what {
            None => {
                let request = ListMarginMethodsRequest {};
                let answer = client.reference().list_margin_methods(request).await;
                let families = answer.map_err(ClientError::from)?.into_inner().families;
                print(&listed(&client, &families).await?).map(drop)
            }
            Some(What::Preview {
                symbol,
                side,
                lots,
                price,
            }) => {
                let contract = names::instrument(&client, symbol).await?;
                let request = PreviewOrderRequest {
                    account_id: self.account.resolve(&client).await?,
                    instrument_id: contract.instrument_id,
                    side: (*side).into(),
                    price_ticks: *price,
                    lots: *lots,
                };
                let answer = client.account().preview_order(request).await;
                let answer = answer.map_err(ClientError::from)?.into_inner();
                let parts = answer.parts.context("an exchange that says no parts")?;
                let mut text = explained(&parts, answer.margin_required_minor);
                if let Some(problem) = &answer.problem {
                    text.push_str(&format!("it would be refused: {}\n", problem.message));
                }
                print(&text).map(drop)
            }
            Some(What::Set(method)) => {
                let request = SetMarginMethodRequest {
                    method: Some(method.message()),
                    note: String::new(),
                    request_id: now_unix_nanos().unsigned_abs(),
                };
                let answer = client.admin().set_margin_method(request).await;
                let changed = answer.map_err(ClientError::from)?.into_inner();
                let changed = changed.contracts_changed;
                print(&format!(
                    "in force; {changed} contracts ask for another margin\n"
                ))
                .map(drop)
            }
        }
    }
}

/// A share in percent.
fn percent(ppm: i32) -> String {
    format!("{:.2} %", f64::from(ppm) / 10_000.0)
}

async fn listed(client: &Client, families: &[MarginFamily]) -> Result<String> {
    if families.is_empty() {
        return Ok("no family has a method: the contracts' own terms are in force\n".into());
    }
    let names = names::Names::fetch(client).await?;
    let mut text = String::new();
    for family in families {
        let method = family.method.clone().unwrap_or_default();
        let (adjacent, other) = (method.adjacent_credit_ppm, method.other_credit_ppm);
        text.push_str(&format!(
            "commodity {} in asset {}: opposite months are credited {} (same or next) and {}\n",
            method.commodity_id,
            method.asset_id,
            percent(adjacent),
            percent(other)
        ));
        let mut table = Table::new(&[
            ("contract", Align::Left),
            ("long", Align::Right),
            ("short", Align::Right),
            ("own", Align::Right),
            ("ranges", Align::Right),
            ("why", Align::Left),
        ]);
        for row in &family.contracts {
            let floor = row.floor_buy_ppm.max(row.floor_sell_ppm);
            table.row(vec![
                names.symbol(row.instrument_id),
                percent(row.buy_ppm),
                percent(row.sell_ppm),
                percent(floor),
                percent(row.share_ppm),
                why(row),
            ]);
        }
        text.push_str(&table.render("no contracts"));
    }
    Ok(text)
}

/// In words, what decides.
fn why(row: &MarginAsked) -> String {
    let outcome = |outcome: &MarginScenario| {
        let factors = [
            ("price", outcome.price_ppm),
            ("difficulty", outcome.difficulty_ppm),
            ("fees", outcome.fees_ppm),
            ("retarget", outcome.retarget_ppm),
        ];
        let moved = factors.into_iter().filter(|(_, ppm)| *ppm != 0);
        let words = moved.map(|(name, ppm)| format!("{name} {:+.2} %", f64::from(ppm) / 10_000.0));
        let words: Vec<_> = words.collect();
        let part = if outcome.extreme { ", in part" } else { "" };
        format!(
            "{}{part} asks {}",
            words.join(", "),
            percent(outcome.rate_ppm)
        )
    };
    let mut reasons = Vec::new();
    for (side, scenario, rate) in [
        ("long", &row.long, row.buy_ppm),
        ("short", &row.short, row.sell_ppm),
    ] {
        let Some(scenario) = scenario.as_ref().filter(|scenario| scenario.rate_ppm > 0) else {
            continue;
        };
        let floor = if side == "long" {
            row.floor_buy_ppm
        } else {
            row.floor_sell_ppm
        };
        if rate > floor {
            reasons.push(format!("{side}: {}", outcome(scenario)));
        }
    }
    if row.delivery_ppm > 0 {
        reasons.push(format!("in delivery {} more", percent(row.delivery_ppm)));
    }
    if row.step_ppm > 0 {
        let (step, before, after) = (row.step_ppm, row.days_before_step, row.days_after_step);
        reasons.push(format!(
            "a step of {} after {before} of {} days",
            percent(step),
            before + after
        ));
    }
    match reasons.is_empty() {
        true => "the contract's own terms".into(),
        false => reasons.join("; "),
    }
}

fn explained(parts: &MarginParts, required: i64) -> String {
    let mut table = Table::new(&[("part", Align::Left), ("minor units", Align::Right)]);
    let own = match parts.initial_ppm > parts.floor_ppm {
        true => format!(" (the contract's own: {})", percent(parts.floor_ppm)),
        false => String::new(),
    };
    let rows = [
        (
            format!("initial margin at {}{own}", percent(parts.initial_ppm)),
            parts.initial_minor,
        ),
        (
            "price against the mark, and the largest fee".into(),
            parts.hold_minor,
        ),
        (
            "beyond the concentration limit".into(),
            parts.concentration_minor,
        ),
        ("credit it may take away".into(), parts.credit_lost_minor),
        ("covered already".into(), -parts.covered_minor),
        ("needed".into(), required),
    ];
    for (part, minor) in rows {
        table.row(vec![part, amounts::grouped(minor)]);
    }
    table.render("")
}
