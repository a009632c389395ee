//! `hashpit journal export`: columnar files for analysts, in Apache Parquet.
//!
//! Three tables: a row for each command, for each side of each trade, and for each refusal. They are written
//! aside, some rows at a time, and get their names when all three are whole.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use engine::record::Record;
use parquet::data_type::ByteArray;

use super::{dump, journal_folder, progress::Progress};

mod facts;
mod table;

use table::{Cell, Kind, Table};

const COMMANDS: &str = "commands.parquet";
const FILLS: &str = "fills.parquet";
const REFUSALS: &str = "refusals.parquet";

/// Rows written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Commands.
    pub commands: u64,
    /// Fills, counting each side.
    pub fills: u64,
    /// Refusals.
    pub refusals: u64,
}

/// Which part of a journal, and where to.
#[derive(clap::Args, Clone, Debug)]
pub struct Export {
    /// Data folder of the exchange, or its journal folder.
    pub folder: PathBuf,
    /// Folder of the files; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// First position.
    #[arg(long, default_value_t = 1)]
    pub from: u64,
    /// Last position.
    #[arg(long, default_value_t = u64::MAX)]
    pub to: u64,
    /// Replaces files that are there.
    #[arg(long)]
    pub force: bool,
}

impl Export {
    /// Writes the files.
    ///
    /// # Errors
    /// Damage, positions that the journal does not have, files that are there already, and the system's.
    /// Then no file has changed.
    pub fn write(&self) -> Result<Exported> {
        let folder = journal_folder(&self.folder)?;
        for name in [COMMANDS, FILLS, REFUSALS] {
            let path = self.out.join(name);
            if path.exists() && !self.force {
                bail!("{} is there already: --force replaces it", path.display());
            }
        }
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot create {}", self.out.display()))?;
        let mut tables = Tables::create(&self.out)?;
        let mut progress = Progress::new(&folder);
        dump::records(
            &folder,
            self.from..=self.to,
            Some(&mut progress),
            |record| tables.add(&record).map(|()| true),
        )?;
        let exported = tables.finish()?;
        progress.end();
        Ok(exported)
    }

    pub(super) fn run(&self) -> Result<()> {
        let rows = self.write()?;
        for (name, rows) in [
            (COMMANDS, rows.commands),
            (FILLS, rows.fills),
            (REFUSALS, rows.refusals),
        ] {
            println!("{}  {rows} rows", self.out.join(name).display());
        }
        Ok(())
    }
}

struct Tables {
    commands: Table,
    fills: Table,
    refusals: Table,
    /// Words that stand in many rows.
    words: BTreeMap<(u8, i32), ByteArray>,
}

impl Tables {
    fn create(out: &Path) -> Result<Self> {
        use Kind::{Id, MaybeId, Number, Time, Word};
        let commands = [
            ("seq", Id),
            ("time", Time),
            ("kind", Word),
            ("account", MaybeId),
            ("session", MaybeId),
            ("contract", MaybeId),
            ("client_order_id", MaybeId),
        ];
        let fills = [
            ("seq", Id),
            ("time", Time),
            ("trade", Id),
            ("account", Id),
            ("order", Id),
            ("contract", Id),
            ("price_ticks", Number),
            ("lots", Number),
            ("fee", Number),
        ];
        let refusals = [
            ("seq", Id),
            ("time", Time),
            ("reason", Word),
            ("field", Word),
            ("limit", Number),
            ("actual", Number),
        ];
        Ok(Self {
            commands: Table::create(out.join(COMMANDS), &commands)?,
            fills: Table::create(out.join(FILLS), &fills)?,
            refusals: Table::create(out.join(REFUSALS), &refusals)?,
            words: BTreeMap::new(),
        })
    }

    fn add(&mut self, record: &Record) -> Result<()> {
        let (seq, at) = (id(record.stamped.seq), Cell::Number(record.stamped.at.0));
        let facts = facts::of(&record.stamped.command);
        // A number that names nothing is 0.
        let maybe = |id: u64| Cell::Maybe((id != 0).then_some(id.cast_signed()));
        let kind = self
            .words
            .entry((0, facts.number))
            .or_insert_with(|| facts.kind.into());
        self.commands.row([
            seq.clone(),
            at.clone(),
            Cell::Word(kind.clone()),
            maybe(facts.account.0.into()),
            maybe(facts.session.0.into()),
            maybe(facts.instrument.0.into()),
            maybe(facts.client_order_id),
        ])?;
        for fill in &record.results.fills {
            self.fills.row([
                seq.clone(),
                at.clone(),
                id(fill.trade.0),
                id(fill.account.0.into()),
                id(fill.order.0),
                id(fill.instrument.0.into()),
                Cell::Number(fill.price.0),
                Cell::Number(fill.lots.0),
                Cell::Number(fill.fee.0),
            ])?;
        }
        for problem in &record.results.refusals {
            let reason = (1, problem.reason.number());
            let reason = self
                .words
                .entry(reason)
                .or_insert_with(|| format!("{:?}", problem.reason).as_str().into())
                .clone();
            let field = self
                .words
                .entry((2, problem.field as i32))
                .or_insert_with(|| format!("{:?}", problem.field).as_str().into());
            self.refusals.row([
                seq.clone(),
                at.clone(),
                Cell::Word(reason),
                Cell::Word(field.clone()),
                Cell::Number(problem.limit),
                Cell::Number(problem.actual),
            ])?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Exported> {
        let finished = [self.commands, self.fills, self.refusals].map(Table::finish);
        let [commands, fills, refusals] = finished;
        let finished = [commands?, fills?, refusals?];
        // All are whole and on the disk: now they get their names.
        let [commands, fills, refusals] = finished.map(table::Whole::keep);
        Ok(Exported {
            commands: commands?,
            fills: fills?,
            refusals: refusals?,
        })
    }
}

/// Files hold identities as the 64 bits that they are.
fn id(id: u64) -> Cell {
    Cell::Number(id.cast_signed())
}
