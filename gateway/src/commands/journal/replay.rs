//! `hashpit journal replay --until`: the exchange as it stood after a command.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use engine::{exchange::Exchange, pipeline::Replay, record};

use super::{
    begin::{self, Begin},
    hex, journal_folder,
    progress::Progress,
    time,
};
use crate::cli::{
    amounts,
    table::{Align, Table},
};

/// An exchange after a command, and how it came there.
#[derive(Debug)]
pub struct Moment {
    /// The state.
    pub exchange: Exchange,
    /// The snapshot that it began with, and the last command in it; none is the first command.
    pub began: Option<(PathBuf, u64)>,
    /// Commands executed.
    pub executed: u64,
}

/// Executes a journal up to and including command `until`, from the newest snapshot at or before it, or with
/// `from_start` from the first command, and recounts the books.
///
/// # Errors
/// Damage, a result that differs from the recorded one, books that do not add up, and a position that the
/// journal does not have, naming the last one that it has.
pub fn replay(folder: &Path, until: u64, from_start: bool) -> Result<Moment> {
    if until == 0 {
        bail!("--until 0: positions begin at 1");
    }
    let folder = journal_folder(folder)?;
    let begin = if from_start {
        let begin = Begin::earliest(&folder)?;
        if let Some(path) = &begin.snapshot {
            bail!(
                "the journal no longer reaches back to its beginning: the earliest that can be begun with is \
                 the snapshot {}, after position {}; leave out --from-start, or put the retired segments back",
                path.display(),
                begin.exchange.seq()
            );
        }
        begin
    } else {
        Begin::latest(&folder, until)?
    };
    let before = begin.exchange.seq();
    if before > until {
        bail!(
            "position {until} is no longer in the journal: the oldest that can be shown is {before}"
        );
    }
    let began = begin.snapshot.zip(Some(begin.exchange.seq()));
    let mut exchange = begin.exchange;
    let mut replay = Replay::default();
    let mut progress = Progress::new(&folder);
    begin::read(&folder, begin.position.as_ref(), |block| {
        progress.stands_at(&block);
        let missing = until.saturating_sub(exchange.seq());
        let count = block.count.min(u32::try_from(missing).unwrap_or(u32::MAX));
        let payload = record::first(block.payload, count)?;
        replay.block(&mut exchange, payload, count, |_, _| progress.command())?;
        Ok(exchange.seq() < until)
    })?;
    progress.end();
    if exchange.seq() < until {
        bail!(
            "--until {until} is beyond the end: the last position in the journal is {}",
            exchange.seq()
        );
    }
    exchange
        .audit()
        .map_err(|why| anyhow!("the books do not add up: {why}"))?;
    Ok(Moment {
        exchange,
        began,
        executed: progress.commands,
    })
}

pub(super) fn run(folder: &Path, until: u64, from_start: bool) -> Result<()> {
    let moment = replay(folder, until, from_start)?;
    let mut out = std::io::stdout().lock();
    match out.write_all(moment.text().as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

impl Moment {
    /// Everything about it that a person asks for.
    #[must_use]
    pub fn text(&self) -> String {
        let exchange = &self.exchange;
        let began = match &self.began {
            None => "the first command".to_owned(),
            Some((path, seq)) => format!("{}, after position {seq}", path.display()),
        };
        let mut text = format!(
            "began         with {began}\n\
             executed      {} commands, results as recorded\n\
             position      {}\n\
             time          {}\n\
             open orders   {}\n\
             books         add up: balances, positions, holds, levels recounted\n\
             state digest  {}\n\n",
            self.executed,
            exchange.seq(),
            time(exchange.at()),
            exchange.orders().live(),
            hex(&exchange.digest()),
        );
        text.push_str(&balances(exchange).render("no money"));
        text.push('\n');
        text.push_str(&positions(exchange).render("no positions"));
        text
    }
}

fn balances(exchange: &Exchange) -> Table {
    let mut table = Table::new(&[
        ("account", Align::Right),
        ("label", Align::Left),
        ("asset", Align::Left),
        ("total", Align::Right),
        ("held", Align::Right),
        ("margin", Align::Right),
        ("available", Align::Right),
    ]);
    for account in exchange.accounts() {
        for (asset, balance) in exchange.ledger().balances(account.id) {
            if balance == engine::ledger::Balance::default() {
                continue;
            }
            let row = asset.index().and_then(|row| exchange.assets().get(row));
            let decimals = row.map_or(0, |row| row.decimals);
            let money = |minor: engine::units::Minor| amounts::money(minor.0, decimals);
            table.row(vec![
                account.id.0.to_string(),
                account.label.clone(),
                row.map_or_else(|| asset.0.to_string(), |row| row.symbol.clone()),
                money(balance.cash),
                money(balance.held),
                money(balance.margin),
                money(balance.available()),
            ]);
        }
    }
    table
}

fn positions(exchange: &Exchange) -> Table {
    let mut table = Table::new(&[
        ("account", Align::Right),
        ("contract", Align::Left),
        ("net lots", Align::Right),
        ("open buy", Align::Right),
        ("open sell", Align::Right),
        ("unrealised", Align::Right),
        ("realised", Align::Right),
    ]);
    for account in exchange.accounts() {
        for position in exchange.positions().of(account.id) {
            let row = exchange.position_row(position);
            if (row.net.0, row.open_buy.0, row.open_sell.0, row.realised.0) == (0, 0, 0, 0) {
                continue;
            }
            let contract = exchange.instrument(row.instrument);
            let asset = contract.and_then(|contract| contract.terms.price_asset.index());
            let asset = asset.and_then(|asset| exchange.assets().get(asset));
            let money = |minor: engine::units::Minor| {
                let words = amounts::money(minor.0, asset.map_or(0, |asset| asset.decimals));
                asset.map_or(words.clone(), |asset| format!("{words} {}", asset.symbol))
            };
            table.row(vec![
                account.id.0.to_string(),
                contract.map_or_else(
                    || row.instrument.0.to_string(),
                    |contract| contract.terms.symbol.clone(),
                ),
                amounts::grouped(row.net.0),
                amounts::grouped(row.open_buy.0),
                amounts::grouped(row.open_sell.0),
                money(row.unrealised),
                money(row.realised),
            ]);
        }
    }
    table
}
