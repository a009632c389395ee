//! `hashpit journal dump`.

use std::{
    io::{BufWriter, Write},
    ops::RangeInclusive,
    path::Path,
};

use anyhow::{Context, Result, bail};
use engine::record::{self, Record};

use super::{
    begin::{self, Begin},
    journal_folder,
    progress::Progress,
    time,
};

/// Hands out the records of these positions, without executing them. What lies before is stepped over: from
/// the newest snapshot before it, or block by block. `visit` answers whether it wants more.
pub(super) fn records(
    folder: &Path,
    positions: RangeInclusive<u64>,
    mut progress: Option<&mut Progress>,
    mut visit: impl FnMut(Record) -> Result<bool>,
) -> Result<()> {
    let (from, to) = positions.into_inner();
    if from == 0 || from > to {
        bail!("--from {from} --to {to}: positions begin at 1, and --from is at most --to");
    }
    let begin = Begin::latest(folder, from - 1)?;
    let before = begin.exchange.seq();
    if before >= from {
        bail!(
            "--from {from}: the oldest position that is still in the journal is {}",
            before + 1
        );
    }
    let position = begin.position;
    // The state is not needed, and may be large.
    drop(begin.exchange);
    let mut failed = Ok(());
    let report = begin::read(folder, position.as_ref(), |block| {
        if let Some(progress) = &mut progress {
            progress.stands_at(&block);
        }
        let behind = block.first_seq + u64::from(block.count);
        if block.first_seq > to {
            return Ok(false);
        }
        if block.count == 0 || behind <= from {
            return Ok(true);
        }
        for record in record::decode(block.payload, block.count)? {
            if !(from..=to).contains(&record.stamped.seq) {
                continue;
            }
            if let Some(progress) = &mut progress {
                progress.command();
            }
            match visit(record) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => {
                    failed = Err(error);
                    return Ok(false);
                }
            }
        }
        Ok(behind <= to)
    })?;
    failed?;
    match report {
        Some(report) if report.last_seq < from => {
            bail!(
                "position {from} is not in the journal: its last is {}",
                report.last_seq
            )
        }
        _ => Ok(()),
    }
}

pub(super) fn run(folder: &Path, from: u64, to: u64) -> Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut open = true;
    records(&journal_folder(folder)?, from..=to, None, |record| {
        open = go_on(print(&mut out, &record))?;
        Ok(open)
    })?;
    if open {
        go_on(out.flush())?;
    }
    Ok(())
}

/// Whether somebody still reads: `| head` is not an error.
fn go_on(written: std::io::Result<()>) -> Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write the dump"),
    }
}

fn print(out: &mut impl Write, entry: &Record) -> std::io::Result<()> {
    let stamped = &entry.stamped;
    writeln!(
        out,
        "{} {} {:?}",
        stamped.seq,
        time(stamped.at),
        stamped.command
    )?;
    for fill in &entry.results.fills {
        writeln!(
            out,
            "    fill trade {} account {} order {} contract {} {} lots at {} fee {}",
            fill.trade.0,
            fill.account.0,
            fill.order.0,
            fill.instrument.0,
            fill.lots.0,
            fill.price.0,
            fill.fee.0
        )?;
    }
    for problem in &entry.results.refusals {
        writeln!(out, "    refused {}", crate::refusal::sentence(problem))?;
    }
    Ok(())
}
