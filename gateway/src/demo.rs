//! A market day in half a minute: an oracle, makers, miners and takers on a running exchange.
//!
//! The actors use public gRPC only, each with its own key and connection; nothing here knows how the
//! exchange works inside. The index is real history, one day per beat. [`run`] starts everybody, shows
//! what happens, stops everybody in order and returns the totals.

mod fair;
mod feed;
mod hit;
mod ladder;
mod maker;
mod market;
mod miner;
mod oracle;
mod presence;
mod quotes;
mod random;
mod screen;
pub mod series;
mod stop;
mod summary;
mod taker;
mod tally;
mod view;
mod wording;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::{signal, task::JoinSet, time};

pub use summary::{AccountResult, DemoOutcome};

use self::{
    hit::Hitter, maker::Maker, market::Market, random::Random, summary::Equity, tally::Tally,
};
use crate::{
    client::{Client, now_unix_nanos},
    keys::PrivateKey,
};

/// The index the oracle feeds and the contracts settle on.
pub const INDEX_NAME: &str = "BTC-HASHPRICE-SAT";
/// Fewer makers make no market.
const MAKERS_MIN: usize = 3;
/// How long one group of actors may take to come to its end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Client order ids that one actor may use in one demo.
const IDS_PER_ACTOR: u64 = 1 << 32;

/// How the demo runs.
#[derive(Args, Clone, Debug)]
pub struct DemoOptions {
    /// How long; 0 = until Ctrl-C.
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// Milliseconds per day of the index series.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(20..))]
    pub day_millis: u64,
    /// Decides what the actors do by chance.
    #[arg(long, default_value_t = 21)]
    pub seed: u64,
}

/// The actors' keys, registered and funded by the caller.
pub struct DemoKeys {
    /// Permissions OPERATOR and ORACLE.
    pub operator: PrivateKey,
    /// Account and key, READ and TRADE each; at least three.
    pub makers: Vec<(i64, PrivateKey)>,
    /// Account and key, READ and TRADE each.
    pub miners: Vec<(i64, PrivateKey)>,
    /// Account and key, READ and TRADE each.
    pub takers: Vec<(i64, PrivateKey)>,
}

/// One trading account with its connection and its equity at the start.
struct Trader {
    role: &'static str,
    account_id: i64,
    client: Client,
    before: Option<Equity>,
}

/// Runs the demo on the exchange at `address`. `finish` is called once everybody has logged off; its
/// lines end the summary.
pub async fn run(
    address: &str,
    options: DemoOptions,
    keys: DemoKeys,
    finish: impl AsyncFnOnce() -> Vec<String>,
) -> Result<DemoOutcome> {
    if keys.makers.len() < MAKERS_MIN {
        bail!(
            "the demo needs at least {MAKERS_MIN} makers, {} are given",
            keys.makers.len()
        );
    }
    let days = series::load().context("cannot read the hashprice series")?;
    let operator = Client::connect(address, keys.operator).await?;
    let mut traders = Vec::new();
    for (role, group) in [
        ("maker", keys.makers),
        ("miner", keys.miners),
        ("taker", keys.takers),
    ] {
        for (account_id, key) in group {
            let client = Client::connect(address, key).await?;
            let before = summary::equity(&client, account_id).await;
            let before = before.with_context(|| format!("cannot read account {account_id}"))?;
            traders.push(Trader {
                role,
                account_id,
                client,
                before: Some(before),
            });
        }
    }
    let market = Arc::new(Market::discover(&operator).await?);
    if market.contracts.is_empty() {
        bail!("neither a BTC-FWD month nor a BTC-SPOT day is listed");
    }
    let tally = Arc::new(Tally::new());
    let started = Instant::now();
    let actors = Actors::start(&operator, &traders, &market, &tally, &options, days);
    wait(options.seconds).await;
    let elapsed = started.elapsed();
    actors.stop(&tally).await;

    let mut outcome = DemoOutcome::new(elapsed, &tally.read());
    {
        let picture = market.picture();
        outcome.trades = picture.trade_count;
        outcome.combination_trades = picture.combination_count;
        outcome.implied_trades = picture.implied_count;
        outcome.volume_lots = picture.volume_lots;
        outcome.last_day.clone_from(&picture.day);
    }
    for trader in &traders {
        let after = summary::equity(&trader.client, trader.account_id)
            .await
            .ok();
        let both = trader.before.zip(after);
        outcome.accounts.push(AccountResult {
            role: trader.role,
            account_id: trader.account_id,
            result_minor: both.map(|(before, after)| after.minor - before.minor),
            asset_id: trader.before.unwrap_or_default().asset_id,
        });
    }
    outcome.ask(&operator).await;
    outcome.remarks = finish().await;
    Ok(outcome)
}

/// The given time, or until Ctrl-C.
async fn wait(seconds: u64) {
    let over = async {
        match seconds {
            0 => std::future::pending().await,
            seconds => time::sleep(Duration::from_secs(seconds)).await,
        }
    };
    tokio::select! {
        () = over => {}
        // Without a working signal handler only the time ends the demo.
        Ok(()) = signal::ctrl_c() => {}
    }
}

/// Groups of actors, in the order in which they stop.
struct Actors {
    groups: Vec<Group>,
}

struct Group {
    name: &'static str,
    stopper: stop::Stopper,
    tasks: JoinSet<()>,
}

impl Actors {
    fn start(
        operator: &Client,
        traders: &[Trader],
        market: &Arc<Market>,
        tally: &Arc<Tally>,
        options: &DemoOptions,
        days: Vec<series::Day>,
    ) -> Self {
        // Ids of one demo never meet those of an earlier one on the same exchange.
        let first_id = now_unix_nanos().unsigned_abs() / IDS_PER_ACTOR * IDS_PER_ACTOR;
        let group = |name| {
            let (stopper, stop) = stop::channel();
            let tasks = JoinSet::new();
            let group = Group {
                name,
                stopper,
                tasks,
            };
            (group, stop)
        };
        let (mut takers, stop_takers) = group("takers and miners");
        let (mut oracles, stop_oracle) = group("the oracle");
        let (mut makers, stop_makers) = group("the makers");
        let (mut public, stop_public) = group("feed and view");

        public.tasks.spawn(feed::run(
            traders[0].client.clone(),
            Arc::clone(market),
            Arc::clone(tally),
            stop_public.clone(),
        ));
        public.tasks.spawn(view::run(
            Arc::clone(market),
            Arc::clone(tally),
            stop_public,
        ));
        oracles.tasks.spawn(oracle::run(
            operator.clone(),
            days,
            Duration::from_millis(options.day_millis),
            Arc::clone(market),
            Arc::clone(tally),
            stop_oracle,
        ));
        for (number, trader) in (0..).zip(traders) {
            let random = Random::new(options.seed, number);
            let market = Arc::clone(market);
            let tally = Arc::clone(tally);
            let client = trader.client.clone();
            let account_id = trader.account_id;
            if trader.role == "maker" {
                let number = i64::try_from(number).unwrap_or(0);
                let maker = Maker::new(number, account_id, client, market, tally, random, first_id);
                makers.tasks.spawn(maker.run(stop_makers.clone()));
                continue;
            }
            let hitter = Hitter {
                account_id,
                client,
                ids: AtomicU64::new(first_id),
            };
            let stop = stop_takers.clone();
            match trader.role {
                "miner" => takers
                    .tasks
                    .spawn(miner::run(hitter, market, tally, random, stop)),
                _ => takers
                    .tasks
                    .spawn(taker::run(hitter, market, tally, random, stop)),
            };
        }
        Self {
            groups: vec![takers, oracles, makers, public],
        }
    }

    /// Those who take stop first, then the index, then those who make; the view sees it all.
    async fn stop(self, tally: &Tally) {
        for mut group in self.groups {
            group.stopper.stop();
            let all = async { while group.tasks.join_next().await.is_some() {} };
            if time::timeout(STOP_TIMEOUT, all).await.is_err() {
                tally.notice(format!("{} did not stop in time", group.name));
            }
            // What is left is dropped here; the exchange cancels the orders of a lost session.
        }
    }
}
