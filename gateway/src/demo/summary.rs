//! What a demo came to: trades, answer times, everybody's result, the venue's fees, and whether the
//! exchange's own books add up.

use std::{collections::HashMap, fmt, time::Duration};

use proto::{
    account::v1::GetAccountRequest, admin::v1::GetSystemStatusRequest, reference::v1::Asset,
};

use super::{
    screen,
    tally::{Counts, millis},
};
use crate::{
    cli::amounts,
    client::{Client, ClientError},
};

/// Equity of an account, in minor units of one asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Equity {
    pub(super) asset_id: i32,
    pub(super) minor: i64,
}

/// One account before and after.
#[derive(Clone, Debug)]
pub struct AccountResult {
    /// `maker`, `miner` or `taker`.
    pub role: &'static str,
    /// Number of the account.
    pub account_id: i64,
    /// Equity after less equity before, in minor units; none if the exchange did not say.
    pub result_minor: Option<i64>,
    /// Asset of the result.
    pub asset_id: i32,
}

/// Totals of a demo.
#[derive(Clone, Debug)]
pub struct DemoOutcome {
    /// How long the actors ran.
    pub elapsed: Duration,
    /// Days of the index series that the exchange took in; empty = none.
    pub last_day: String,
    /// Public trades.
    pub trades: u64,
    /// Of those, in the books of spreads and strips.
    pub combination_trades: u64,
    /// Of those, implied: on the tapes of several contracts at once.
    pub implied_trades: u64,
    /// Lots on the public tapes.
    pub volume_lots: i64,
    /// Commands sent by all actors.
    pub orders: u64,
    /// Answers that makers received.
    pub acks: u64,
    /// Own executions of all actors.
    pub fills: u64,
    /// Refusals of all actors.
    pub rejects: u64,
    /// Streams that were lost and came back.
    pub reconnects: u64,
    /// Just before the send to the durable answer, at p50, p99, p99.9 and the longest, in nanoseconds.
    pub ack_nanos: [u64; 4],
    /// Everybody's result.
    pub accounts: Vec<AccountResult>,
    /// Fees the venue earned, by asset.
    pub fees: Vec<(i32, i64)>,
    /// The exchange's own check; none if it could not be asked.
    pub conservation_ok: Option<bool>,
    /// Newest durable journal position.
    pub durable_journal_seq: i64,
    /// Lines the caller added.
    pub remarks: Vec<String>,
    rejects_by_reason: String,
    assets: HashMap<i32, Asset>,
}

impl DemoOutcome {
    /// Fills in what the counts say.
    pub(super) fn new(elapsed: Duration, counts: &Counts) -> Self {
        let at = |quantile: f64| counts.ack_nanos.value_at_quantile(quantile);
        Self {
            elapsed,
            last_day: String::new(),
            trades: 0,
            combination_trades: 0,
            implied_trades: 0,
            volume_lots: 0,
            orders: counts.orders,
            acks: counts.acks,
            fills: counts.fills,
            rejects: counts.rejects.values().sum(),
            reconnects: counts.reconnects,
            ack_nanos: [at(0.5), at(0.99), at(0.999), counts.ack_nanos.max()],
            accounts: Vec::new(),
            fees: counts.fees.iter().map(|(a, f)| (*a, *f)).collect(),
            conservation_ok: None,
            durable_journal_seq: 0,
            remarks: Vec::new(),
            rejects_by_reason: screen::rejects(counts),
            assets: HashMap::new(),
        }
    }

    /// Asks the exchange about itself. What it does not answer stays unknown and is printed as such.
    pub(super) async fn ask(&mut self, operator: &Client) {
        let status = operator
            .admin()
            .get_system_status(GetSystemStatusRequest {})
            .await;
        if let Ok(status) = status {
            let status = status.into_inner();
            self.conservation_ok = Some(status.conservation_ok);
            self.durable_journal_seq = status.durable_journal_seq;
        }
        if let Ok(assets) = operator.assets().await {
            self.assets = assets.into_iter().map(|a| (a.asset_id, a)).collect();
        }
    }

    /// Whether the demo may be called a success: people traded, and the books add up.
    pub fn succeeded(&self) -> bool {
        self.trades > 0 && self.conservation_ok == Some(true)
    }

    fn money(&self, minor: i64, asset_id: i32) -> String {
        match self.assets.get(&asset_id) {
            Some(asset) => {
                let amount = amounts::money(minor, asset.decimals.unsigned_abs());
                format!("{amount} {}", asset.symbol)
            }
            None => format!("{minor} of asset {asset_id}"),
        }
    }
}

/// Equity by the account's own key: margin equity, or the only balance where there is no margin.
pub(super) async fn equity(client: &Client, account_id: i64) -> Result<Equity, ClientError> {
    let answer = client
        .account()
        .get_account(GetAccountRequest { account_id })
        .await?
        .into_inner();
    if let Some(margin) = answer.margin {
        return Ok(Equity {
            asset_id: margin.margin_asset_id,
            minor: margin.equity_minor,
        });
    }
    match answer.balances.first() {
        Some(balance) => Ok(Equity {
            asset_id: balance.asset_id,
            minor: balance.total_minor,
        }),
        None => Err(ClientError::Incomplete("margin and balances")),
    }
}

impl fmt::Display for DemoOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: u64| amounts::grouped(i64::try_from(n).unwrap_or(i64::MAX));
        let [p50, p99, p999, max] = self.ack_nanos.map(millis);
        writeln!(f, "ran {} s, index up to {}", self.elapsed.as_secs(), {
            let day = &self.last_day;
            if day.is_empty() { "no day" } else { day }
        })?;
        writeln!(
            f,
            "trades    {} of {} lots in all, {} in spreads and strips, {} implied",
            count(self.trades),
            amounts::grouped(self.volume_lots),
            count(self.combination_trades),
            count(self.implied_trades)
        )?;
        writeln!(
            f,
            "commands  {}, makers' acks {}, fills {}, rejects {}",
            count(self.orders),
            count(self.acks),
            count(self.fills),
            self.rejects_by_reason
        )?;
        writeln!(
            f,
            "order to durable ack  p50 {p50}, p99 {p99}, p99.9 {p999}, longest {max}"
        )?;
        if self.reconnects > 0 {
            writeln!(f, "streams lost and resumed  {}", self.reconnects)?;
        }
        for account in &self.accounts {
            let result = match account.result_minor {
                Some(minor) => self.money(minor, account.asset_id),
                None => "unknown".into(),
            };
            writeln!(f, "{} {:<6} {result:>22}", account.role, account.account_id)?;
        }
        for (asset_id, minor) in &self.fees {
            let earned = self.money(*minor, *asset_id);
            writeln!(f, "venue fees   {earned:>22}")?;
        }
        let books = match self.conservation_ok {
            Some(true) => "balanced: accounts add up to deposits less withdrawals",
            Some(false) => "NOT BALANCED: accounts do not add up to deposits less withdrawals",
            None => "unknown: the exchange did not answer",
        };
        writeln!(f, "books     {books}")?;
        writeln!(
            f,
            "journal   durable up to {}",
            amounts::grouped(self.durable_journal_seq)
        )?;
        for remark in &self.remarks {
            writeln!(f, "{remark}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::tally::Tally;

    #[test]
    fn the_outcome_reads_as_text() {
        let tally = Tally::new();
        tally.sent();
        tally.acked(Duration::from_micros(500));
        let mut outcome = DemoOutcome::new(Duration::from_secs(30), &tally.read());
        assert!(!outcome.succeeded());
        outcome.trades = 12;
        outcome.conservation_ok = Some(true);
        outcome.accounts.push(AccountResult {
            role: "maker",
            account_id: 4,
            result_minor: Some(-1_500),
            asset_id: 1,
        });
        let bitcoin = Asset {
            symbol: "BTC".into(),
            decimals: 8,
            ..Default::default()
        };
        outcome.assets.insert(1, bitcoin);
        outcome.remarks.push("replay: same digest".into());
        let text = outcome.to_string();
        assert!(outcome.succeeded());
        assert!(text.contains("-0.00001500 BTC"), "{text}");
        assert!(text.contains("p50 0.5"), "{text}");
        assert!(text.ends_with("replay: same digest\n"), "{text}");
    }
}
