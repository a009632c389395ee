//! Orders and cancels over gRPC, on a schedule that waits for nobody.
//!
//! `cargo bench -p bench --bench load -- --help`

use std::{path::PathBuf, sync::Arc, time::Duration};

use bench::report;
use clap::Parser;
use gateway::{
    client::Client,
    keys::PrivateKey,
    server::{self, Running},
    settings::Settings,
};

#[path = "load/line.rs"]
mod line;
#[path = "load/run.rs"]
mod run;

use line::Player;
use run::Plan;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Open-loop load on an exchange: latency from the intended send time to the durable answer.
#[derive(Debug, Parser)]
struct Arguments {
    /// Commands per second, over all sessions: half orders, half cancels.
    #[arg(long, default_value_t = 2_000.0)]
    rate: f64,
    /// Order sessions, each on a connection of its own.
    #[arg(long, default_value_t = 4)]
    sessions: usize,
    /// Length of the measured run.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Searches the highest rate that is kept up with, then measures at half of it.
    #[arg(long)]
    peak: bool,
    /// An exchange that runs already, such as `http://127.0.0.1:7070`; otherwise one is started here.
    #[arg(long, requires_all = ["key", "account"])]
    address: Option<String>,
    /// Key file for that exchange.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Account there.
    #[arg(long)]
    account: Option<i64>,
    /// Symbol of the contract to trade.
    #[arg(long, default_value = "")]
    contract: String,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Length of one step of the search.
const STEP: Duration = Duration::from_secs(3);
/// Where the search begins.
const FIRST: f64 = 2_000.0;
/// Each step offers this much more.
const GROWTH: f64 = 1.5;
/// Halvings of the last step once it was too much.
const HALVINGS: u32 = 3;

fn main() -> Result<()> {
    if !report::wanted() {
        return Ok(());
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match &arguments.address {
            Some(address) => {
                let (Some(key), Some(account)) = (&arguments.key, arguments.account) else {
                    return Err("--address needs --key and --account".into());
                };
                let client = Client::connect(address, PrivateKey::load(key)?).await?;
                println!("load: {}; exchange at {address}", report::machine());
                measure(
                    &arguments,
                    &[Player {
                        client,
                        account,
                        buys: true,
                    }],
                )
                .await
            }
            None => in_process(&arguments).await,
        }
    })
}

async fn in_process(arguments: &Arguments) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("hashpit-load-{}", std::process::id()));
    let running = server::start(Settings::sandbox(&folder)).await?;
    let outcome = match players(&running).await {
        Ok(players) => {
            println!("load: {}; exchange in this process", report::machine());
            measure(arguments, &players).await
        }
        Err(error) => Err(error),
    };
    if let Some(reason) = running.desk.fault.reason() {
        println!("THE EXCHANGE STOPPED: {reason}");
    }
    let backend = running
        .journal
        .backend()
        .map_or("none", engine::journal::Backend::name);
    println!(
        "journal: {backend} in the temporary folder, {} blocks, {} MB",
        running.journal.blocks(),
        running.journal.bytes() / 1_000_000,
    );
    running.stop().await;
    std::fs::remove_dir_all(folder)?;
    outcome
}

/// The sandbox's traders; every second one buys, the others sell.
async fn players(running: &Running) -> Result<Vec<Player>> {
    let address = format!("http://{}", running.address);
    let sandbox = running.sandbox.as_ref().ok_or("not a sandbox")?;
    let mut players = Vec::new();
    for actor in sandbox.actors.iter().filter(|actor| actor.account != 0) {
        let client = Client::connect(&address, Arc::new(PrivateKey::load(&actor.key)?)).await?;
        let buys = players.len() % 2 == 0;
        players.push(Player {
            client,
            account: actor.account,
            buys,
        });
    }
    Ok(players)
}

async fn measure(arguments: &Arguments, players: &[Player]) -> Result<()> {
    let (contract, symbol, mark) = contract(players, &arguments.contract).await?;
    let plan = |rate, lasting| Plan {
        rate,
        lasting,
        sessions: arguments.sessions.max(1),
        contract,
        mark,
    };
    println!(
        "contract {symbol} around {mark}; {} sessions, a connection each, {} accounts; TLS off; \
         50 % orders, 50 % cancels; nobody subscribes to market data",
        arguments.sessions.max(1),
        players.len().min(arguments.sessions.max(1)),
    );
    let lasting = Duration::from_secs(arguments.seconds.max(1));
    // The first run also warms everything up.
    run::run(players, &plan(FIRST / 2.0, Duration::from_secs(1))).await?;
    if !arguments.peak {
        run::run(players, &plan(arguments.rate, lasting))
            .await?
            .print();
        return Ok(());
    }
    let search = Search {
        players,
        plan: &plan,
    };
    let (mut good, mut bad, mut rate) = (0.0, 0.0, FIRST);
    while bad == 0.0 {
        if search.keeps_up(rate).await? {
            good = rate;
            rate *= GROWTH;
        } else {
            bad = rate;
        }
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(good, bad);
        if search.keeps_up(middle).await? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    println!("peak: keeps up with {good:.0} commands/s, not with {bad:.0}; at half of it:");
    if good > 0.0 {
        run::run(players, &plan(good / 2.0, lasting)).await?.print();
    }
    Ok(())
}

/// The search for the highest rate.
struct Search<'a, P> {
    players: &'a [Player],
    plan: P,
}

impl<P: Fn(f64, Duration) -> Plan> Search<'_, P> {
    /// Tries a rate, and once more if it is too much: the neighbours on this machine may have been.
    async fn keeps_up(&self, rate: f64) -> Result<bool> {
        for _ in 0..2 {
            let figures = run::run(self.players, &(self.plan)(rate, STEP)).await?;
            figures.print();
            if figures.keeps_up() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The contract to trade, and its mark: the named one, or the nearest BTC month.
async fn contract(players: &[Player], wanted: &str) -> Result<(i32, String, i64)> {
    let client = &players.first().ok_or("nobody to trade")?.client;
    let instruments = client.instruments().await?;
    let found = instruments.into_iter().find(|instrument| match wanted {
        "" => instrument.symbol.starts_with("BTC-FWD-"),
        wanted => instrument.symbol == wanted,
    });
    let found = found.ok_or("no such contract is listed")?;
    let request = proto::marketdata::v1::GetForwardCurveRequest {
        product_id: found.product_id,
    };
    let curve = client
        .market_data()
        .get_forward_curve(request)
        .await?
        .into_inner()
        .curve;
    let points = curve.unwrap_or_default().points;
    let point = points
        .iter()
        .find(|point| point.instrument_id == found.instrument_id);
    let mark = point
        .and_then(|point| point.mark_ticks)
        .ok_or("the contract has no mark")?;
    Ok((found.instrument_id, found.symbol, mark))
}
