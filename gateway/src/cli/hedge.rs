//! `hedge`: which forwards a miner sells to be sure of the revenue, what margin they take, and what comes of it
//! whatever the index does.

use std::{collections::HashMap, fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use engine::units::div_half_even;
use proto::{
    account::v1::{PreviewOrderRequest, PreviewOrderResponse},
    common::v1::{Side, TradingState},
    marketdata::v1::{CurvePoint, GetBookRequest},
    reference::v1::Instrument,
};

use super::{
    AccountChoice, Connection, amounts, market, names, parse, print,
    table::{Align, Table},
};
use crate::{
    client::{Client, ClientError, now_unix_nanos},
    hedge::{self, Fleet, Offer, Outcome, Sale, picture},
};

const DAY_NANOS: i64 = 86_400_000_000_000;
/// One PH/s: what the plan counts in.
const LOT: i64 = 1_000_000_000_000_000;
/// Levels of each book that are looked at.
const DEPTH: i32 = 100;

/// Plans which forwards a miner sells: contracts, margin, revenue hedged and not.
#[derive(Args, Clone, Debug)]
pub struct Hedge {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    /// Hashrate of the fleet, such as 50PH, 12.5PH, 1.2EH or 900TH.
    #[arg(long, value_parser = parse::hashrate)]
    hashrate: i64,
    /// Share of the time that the machines run, percent.
    #[arg(long, default_value = "100", value_parser = parse::share)]
    uptime: i64,
    /// Share of the output to sell forward, percent.
    #[arg(long, default_value = "100", value_parser = parse::share)]
    cover: i64,
    /// Months ahead, beginning with the next one.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=24))]
    months: u8,
    /// Price of power, dollars per kWh, such as 0.055.
    #[arg(long, value_name = "USD", value_parser = parse::millionths, requires_all = ["efficiency", "btc_usd"])]
    power: Option<i64>,
    /// Power of the machines, joules per TH, such as 17.5.
    #[arg(long, value_name = "J/TH", value_parser = parse::thousandths)]
    efficiency: Option<i64>,
    /// Dollars per BTC, to count power in BTC, such as 89316.
    #[arg(long, value_name = "USD", value_parser = parse::cents)]
    btc_usd: Option<i64>,
    /// Moves of the index to look at, percent from the present marks.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_parser = parse::percent,
        default_value = "-50,-25,-10,0,10,25,50")]
    moves: Vec<i64>,
    /// Also draws the picture into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Hedge {
    fn fleet(&self) -> Result<Fleet> {
        let power = match (self.power, self.efficiency, self.btc_usd) {
            (Some(price), Some(joules), Some(btc)) => hedge::power(joules, price, btc)
                .context("--power, --efficiency and --btc-usd: out of range")?,
            _ => 0,
        };
        Ok(Fleet {
            terahashes: self.hashrate,
            uptime: self.uptime,
            cover: self.cover,
            power,
        })
    }

    pub(super) async fn run(self) -> Result<()> {
        let fleet = self.fleet()?;
        let lots = fleet.lots();
        if lots == 0 {
            bail!(
                "the output to sell is less than one lot of 1 PH/s: --hashrate x --uptime x --cover \
                 must come to 1 PH or more"
            );
        }
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let (listed, names) = tokio::try_join!(
            async { Ok::<_, anyhow::Error>(client.instruments().await?) },
            names::Names::fetch(&client)
        )?;
        let points = market::curves(&client, &listed).await;
        let ahead = forwards(&listed, "BTC-FWD");
        let wanted = usize::from(self.months);
        if ahead.len() < wanted {
            bail!(
                "--months {wanted}: only {} are listed and open",
                ahead.len()
            );
        }
        let ahead = &ahead[..wanted];
        let mut months = Vec::with_capacity(wanted);
        for (place, contract) in ahead.iter().enumerate() {
            months.push(offer(&client, contract, &points, vec![place]).await?);
        }
        let mut quarters = Vec::new();
        for quarter in forwards(&listed, "BTC-FWD-QUARTER") {
            let parts = ahead.iter().enumerate();
            let parts = parts.filter(|(_, month)| {
                quarter
                    .cascade_instrument_ids
                    .contains(&month.instrument_id)
            });
            let places: Vec<usize> = parts.map(|(place, _)| place).collect();
            if places.len() == quarter.cascade_instrument_ids.len() {
                quarters.push(offer(&client, quarter, &points, places).await?);
            }
        }
        let sales = hedge::plan(&months, &quarters, lots);
        let contracts: HashMap<i32, &Instrument> =
            listed.iter().map(|i| (i.instrument_id, i)).collect();
        let mut fees = Vec::new();
        let mut previews = Vec::new();
        for sale in &sales {
            let ppm = contracts
                .get(&sale.instrument)
                .map_or(0, |i| i.taker_fee_ppm);
            let value = sale.exposure * i128::from(sale.days);
            let fee = div_half_even(value * i128::from(ppm), 1_000_000);
            fees.push(i64::try_from(fee).context("--hashrate is out of range")?);
            let request = PreviewOrderRequest {
                account_id,
                instrument_id: sale.instrument,
                side: Side::Sell.into(),
                price_ticks: Some(sale.limit),
                lots: sale.lots,
            };
            let answer = client.account().preview_order(request).await;
            previews.push(answer.map_err(ClientError::from)?.into_inner());
        }
        let asset = ahead.first().map_or(0, |month| month.price_asset_id);
        let money = |sat: i128| match i64::try_from(sat) {
            Ok(sat) => names.money(sat, asset),
            Err(_) => format!("{sat} sat"),
        };
        let mut moves = self.moves.clone();
        moves.sort_unstable();
        moves.dedup();
        let fee: i64 = fees.iter().sum();
        let outcomes: Vec<Outcome> = moves
            .into_iter()
            .map(|moved| hedge::outcome(&fleet, &months, &sales, fee, moved))
            .collect();
        let mut text = heading(&fleet, lots, &months);
        text.push_str(&to_sell(&sales, &previews, &fees, money));
        text.push_str(&scenarios(&outcomes, money));
        text.push_str(&orders(&sales, account_id));
        print(&text)?;
        if let Some(path) = &self.svg {
            let title = format!(
                "Revenue of {} months, {lots} PH/s sold forward",
                months.len()
            );
            fs::write(path, picture::svg(&title, &outcomes, money))
                .with_context(|| format!("cannot write the picture to {}", path.display()))?;
        }
        Ok(())
    }
}

/// Contracts of a product that can be sold now and whose delivery is ahead, nearest first: one sat per
/// PH/s and day, lots of 1 PH/s.
fn forwards<'a>(listed: &'a [Instrument], product: &str) -> Vec<&'a Instrument> {
    let now = now_unix_nanos();
    let fits = |contract: &&Instrument| {
        let tick = contract
            .tick_size
            .is_some_and(|tick| (tick.mantissa, tick.exponent) == (1, -8));
        let start = contract
            .delivery_window
            .map(|window| window.start_unix_nanos);
        contract.product == product
            && contract.state() == TradingState::Open
            && contract.lot_hashes_per_second == LOT
            && tick
            && start.is_some_and(|start| start > now)
    };
    let mut found: Vec<&Instrument> = listed.iter().filter(fits).collect();
    found.sort_by_key(|contract| {
        contract
            .delivery_window
            .map(|window| window.start_unix_nanos)
    });
    found
}

async fn offer(
    client: &Client,
    contract: &Instrument,
    points: &HashMap<i32, CurvePoint>,
    months: Vec<usize>,
) -> Result<Offer> {
    let request = GetBookRequest {
        instrument_id: contract.instrument_id,
        depth_levels: DEPTH,
    };
    let answer = client.market_data().get_book(request).await;
    let book = answer.map_err(ClientError::from)?.into_inner().book;
    let mark = points
        .get(&contract.instrument_id)
        .and_then(|point| point.mark_ticks);
    let window = contract.delivery_window.unwrap_or_default();
    let bids = book.unwrap_or_default().bids;
    Ok(Offer {
        symbol: contract.symbol.clone(),
        instrument: contract.instrument_id,
        days: (window.end_unix_nanos - window.start_unix_nanos) / DAY_NANOS,
        mark: mark.with_context(|| format!("{} has no mark", contract.symbol))?,
        bids: bids
            .iter()
            .map(|level| (level.price_ticks, level.lots))
            .collect(),
        months,
    })
}

fn heading(fleet: &Fleet, lots: i64, months: &[Offer]) -> String {
    let rate = amounts::rate(fleet.terahashes.saturating_mul(1_000_000_000_000));
    let mut text = format!(
        "{rate} running {} of the time, {} of it sold forward: {lots} PH/s for {} months from {} on\n",
        picture::percent(fleet.uptime).trim_start_matches('+'),
        picture::percent(fleet.cover).trim_start_matches('+'),
        months.len(),
        months.first().map_or("-", |month| month.symbol.as_str()),
    );
    if fleet.power > 0 {
        text.push_str(&format!(
            "power costs {} sat per PH/s and day; an index below that does not pay for it\n",
            amounts::money(fleet.power, 3)
        ));
    }
    text.push('\n');
    text
}

fn to_sell(
    sales: &[Sale],
    previews: &[PreviewOrderResponse],
    fees: &[i64],
    money: impl Fn(i128) -> String,
) -> String {
    let mut table = Table::new(&[
        ("sell", Align::Left),
        ("lots", Align::Right),
        ("average", Align::Right),
        ("limit", Align::Right),
        ("bid for now", Align::Right),
        ("margin", Align::Right),
        ("fee", Align::Right),
        ("", Align::Left),
    ]);
    let mut total = (0, 0);
    for ((sale, preview), fee) in sales.iter().zip(previews).zip(fees) {
        total.0 += i128::from(preview.margin_required_minor);
        total.1 += i128::from(*fee);
        let problem = preview.problem.as_ref();
        table.row(vec![
            sale.symbol.clone(),
            amounts::grouped(sale.lots),
            amounts::grouped(sale.average()),
            amounts::grouped(sale.limit),
            amounts::grouped(sale.bid),
            money(preview.margin_required_minor.into()),
            money((*fee).into()),
            problem.map_or_else(String::new, |problem| {
                format!(
                    "would be refused: {}",
                    crate::client::reason_name(problem.reason)
                )
            }),
        ]);
    }
    let none = String::new;
    table.row(vec![
        "together".into(),
        none(),
        none(),
        none(),
        none(),
        money(total.0),
        money(total.1),
        none(),
    ]);
    table.render("")
}

fn scenarios(outcomes: &[Outcome], money: impl Fn(i128) -> String) -> String {
    let mut table = Table::new(&[
        ("index", Align::Right),
        ("mined", Align::Right),
        ("power", Align::Right),
        ("forwards", Align::Right),
        ("fees", Align::Right),
        ("without forwards", Align::Right),
        ("with forwards", Align::Right),
    ]);
    for told in outcomes {
        table.row(vec![
            picture::percent(told.moved),
            money(told.mined),
            money(told.power),
            money(told.forwards),
            money(told.fees),
            money(told.unhedged()),
            money(told.hedged()),
        ]);
    }
    format!("\n{}", table.render(""))
}

/// What to type next.
fn orders(sales: &[Sale], account: i64) -> String {
    let mut text = "\nto sell it so:\n".to_owned();
    for sale in sales {
        text.push_str(&format!(
            "  hashpit submit {} --account {account} --side sell --lots {} --price {} --tif gtc\n",
            sale.symbol, sale.lots, sale.limit
        ));
    }
    text
}
