//! `hashpit follow`: a second copy as a process of its own, on the folder of a running exchange.
//!
//! Reads only, takes no lock, promotes nothing: it executes every durable command again, compares the
//! results with the recorded ones, and stops with the position at the first difference.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use engine::{
    command::Stamped,
    event::Event,
    exchange::Exchange,
    ids::Seq,
    journal::{RealDisk, reaches_back},
    keeper::{History, Keeper},
    roots::Roots,
    snapshots,
};

use super::journal::{hex, journal_folder, verify};

/// How long it rests when nothing has become durable.
const REST: Duration = Duration::from_millis(20);
/// Between two lines of progress.
const LINE: Duration = Duration::from_secs(1);

/// Follows the journal of a running exchange, executing and comparing every command. Reads only.
#[derive(Args, Clone, Debug)]
pub struct Follow {
    /// Data folder of the exchange, or its journal folder.
    pub folder: PathBuf,
    /// Ends when everything that is durable has been compared, instead of waiting for more.
    #[arg(long)]
    pub once: bool,
    /// Begins with the first command even if there are snapshots.
    #[arg(long)]
    pub from_start: bool,
}

/// Counts fills.
#[derive(Debug, Default)]
struct Count {
    fills: u64,
    roots: Roots,
}

impl History for Count {
    fn hear(&mut self, _: &Stamped, events: &[Event]) {
        let fills = events.iter().filter(
            |event| matches!(event, Event::Order(order) if order.fill.is_some() && !order.copy),
        );
        self.fills += fills.count() as u64;
    }

    fn see(&mut self, exchange: &Exchange, stamped: &Stamped, events: &[Event]) {
        self.hear(stamped, events);
        self.roots.hear(exchange, stamped, events);
    }

    fn end_of_block(&mut self, chain: [u8; 32]) {
        self.roots.end_of_block(chain);
    }

    fn annex(&self) -> Vec<u8> {
        Vec::new()
    }

    fn try_annex(annex: &[u8], seq: Seq) -> Result<(), String> {
        <() as History>::try_annex(annex, seq)
    }
}

impl Follow {
    /// Follows until Ctrl-C, or with `--once` until it has caught up.
    ///
    /// # Errors
    /// The position of the first difference, a journal that cannot be read, books that do not add up.
    pub async fn run(self) -> Result<()> {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let following = tokio::task::spawn_blocking(move || self.follow(&stopped));
        tokio::spawn(async move {
            // Without the signal there is nobody to stop it but its end.
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.send_replace(true);
            }
        });
        following.await.context("following the journal failed")?
    }

    fn follow(&self, stopped: &tokio::sync::watch::Receiver<bool>) -> Result<()> {
        let mut keeper = self.begin()?;
        let begun = keeper.exchange().seq();
        println!("following from position {begun}");
        let mut line = Line::new(begun);
        while !*stopped.borrow() {
            let more = keeper.turn()?;
            line.say(&keeper, false)?;
            if !more && self.once {
                // Behind damage there is nothing either: whoever looks once must know the difference.
                keeper.check_end()?;
                break;
            }
            if !more {
                std::thread::park_timeout(REST);
            }
        }
        line.say(&keeper, true)?;
        let exchange = keeper.exchange();
        exchange
            .audit()
            .map_err(|why| anyhow!("the books do not add up: {why}"))?;
        println!(
            "commands      {}  (each executed again, results as recorded)",
            exchange.seq() - begun
        );
        println!(
            "fills         {}  (counting both sides)",
            keeper.history().fills
        );
        println!("books         add up: balances, positions, holds, levels recounted");
        println!("position      {}", exchange.seq());
        if let Some(epoch) = keeper.history().roots.epochs().back() {
            println!(
                "epoch         {}, hash {}",
                epoch.header.epoch,
                hex(&epoch.hash)
            );
        }
        println!("state digest  {}", hex(&exchange.digest()));
        Ok(())
    }

    fn begin(&self) -> Result<Keeper<Count>> {
        let folder = journal_folder(&self.folder)?;
        let dir = snapshots::beside(&folder);
        let from_snapshot = !self.from_start || !reaches_back(&RealDisk, &folder)?;
        let loaded = if from_snapshot {
            snapshots::newest_valid(&RealDisk, &dir, 0, u64::MAX)?.loaded
        } else {
            None
        };
        let position = loaded.as_ref().map(|loaded| loaded.position.clone());
        let annex = loaded.as_ref().map(|loaded| &loaded.annex[..]);
        let count = Count {
            fills: 0,
            roots: verify::kept_roots(annex)?,
        };
        let exchange = loaded.map_or_else(Exchange::new, |loaded| loaded.exchange);
        let disk = Arc::new(RealDisk);
        Ok(Keeper::start(
            disk,
            &folder,
            position.as_ref(),
            exchange,
            count,
        )?)
    }
}

/// One line of progress, rewritten on a terminal.
struct Line {
    since: Instant,
    position: u64,
    told: u64,
}

impl Line {
    fn new(position: u64) -> Self {
        Self {
            since: Instant::now(),
            position,
            told: position,
        }
    }

    /// Says where it stands, once a second while it moves.
    fn say(&mut self, keeper: &Keeper<Count>, last: bool) -> Result<()> {
        let took = self.since.elapsed();
        if took < LINE && !last {
            return Ok(());
        }
        let position = keeper.exchange().seq();
        if position != self.told {
            let rate = (position - self.position) as f64 / took.as_secs_f64();
            let mut out = std::io::stdout().lock();
            let end = if out.is_terminal() && !last {
                "\r"
            } else {
                "\n"
            };
            let fills = keeper.history().fills;
            write!(
                out,
                "position {position}, {fills} fills, {rate:.0} commands/s{end}"
            )?;
            out.flush()?;
            self.told = position;
        }
        self.since = Instant::now();
        self.position = position;
        Ok(())
    }
}
