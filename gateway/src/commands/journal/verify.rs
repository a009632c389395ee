//! `hashpit journal verify`.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use engine::{
    command::Stamped, event::Event, exchange::Exchange, pipeline::Replay, record, roots::Roots,
};

use super::{
    begin::{self, Begin},
    hex, journal_folder,
    progress::Progress,
};

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The snapshot that it began with, and the last command in it; none is the first command.
    pub began: Option<(PathBuf, u64)>,
    /// Good blocks, from the journal's first on.
    pub blocks: u64,
    /// The last command.
    pub commands: u64,
    /// Commands executed again.
    pub executed: u64,
    /// Fills, counting each side.
    pub fills: u64,
    /// Refusals.
    pub refusals: u64,
    /// Digest of the whole state at the end.
    pub digest: [u8; 32],
    /// BLAKE3 of the last block.
    pub chain: [u8; 32],
    /// The newest epoch and its hash, computed anew.
    pub epoch: Option<(u64, [u8; 32])>,
    /// An unfinished write at the end, which nobody was told of.
    pub torn: bool,
}

/// Executes a journal again, from the beginning or else from the oldest whole snapshot, and recounts the
/// books.
///
/// # Errors
/// Damage, a result that differs from the recorded one, or books that do not add up.
pub fn verify(folder: &Path) -> Result<Verified> {
    let folder = journal_folder(folder)?;
    let begin = Begin::earliest(&folder)?;
    let began = begin.snapshot.clone().map(|path| {
        let seq = begin.exchange.seq();
        eprintln!(
            "the journal no longer reaches back to its beginning: beginning with the snapshot {}, after \
             position {seq}",
            path.display()
        );
        (path, seq)
    });
    let mut exchange = begin.exchange;
    let mut roots = kept_roots(begin.annex.as_deref())?;
    let mut replay = Replay::default();
    let mut progress = Progress::new(&folder);
    let (mut fills, mut refusals) = (0_u64, 0_u64);
    let report = begin::read(&folder, begin.position.as_ref(), |block| {
        progress.stands_at(&block);
        let seen = |state: &Exchange, stamped: &Stamped, events: &[Event]| {
            roots.hear(state, stamped, events);
            // They were compared with the recorded ones just now.
            let results = record::Results::lists(events);
            fills += results.fills.len() as u64;
            refusals += results.refusals.len() as u64;
            progress.command();
        };
        replay.block_seen(&mut exchange, block.payload, block.count, seen)?;
        roots.end_of_block(block.chain);
        Ok(true)
    })?;
    let report = report.ok_or_else(|| anyhow!("reading ended early"))?;
    progress.end();
    exchange
        .audit()
        .map_err(|why| anyhow!("the books do not add up: {why}"))?;
    Ok(Verified {
        began,
        blocks: report.blocks,
        commands: exchange.seq(),
        executed: progress.commands,
        fills,
        refusals,
        digest: exchange.digest(),
        chain: report.chain,
        epoch: roots
            .epochs()
            .back()
            .map(|epoch| (epoch.header.epoch, epoch.hash)),
        torn: report.torn.is_some(),
    })
}

/// The roots to go on from: those that a snapshot keeps, or none.
///
/// # Errors
/// If they cannot be read.
pub(in crate::commands) fn kept_roots(annex: Option<&[u8]>) -> Result<Roots> {
    // A snapshot of an exchange without a gateway remembers nothing.
    let Some(annex) = annex.filter(|annex| !annex.is_empty()) else {
        return Ok(Roots::default());
    };
    let kept = crate::proofs::split(annex).and_then(|(_, kept)| Roots::load(kept));
    kept.map_err(|why| anyhow!("the snapshot's roots: {why}"))
}

pub(super) fn run(folder: &Path) -> Result<()> {
    let found = verify(folder)?;
    if let Some((path, seq)) = &found.began {
        println!(
            "began         with {}, after position {seq}",
            path.display()
        );
    }
    println!("blocks        {}", found.blocks);
    println!(
        "commands      {}  (each executed again, results as recorded)",
        found.executed
    );
    println!("position      {}", found.commands);
    println!("fills         {}  (counting both sides)", found.fills);
    println!("refusals      {}", found.refusals);
    println!("books         add up: balances, positions, holds, levels recounted");
    println!("state digest  {}", hex(&found.digest));
    println!("chain         {}", hex(&found.chain));
    if let Some((epoch, hash)) = found.epoch {
        println!("epoch         {epoch}, hash {}", hex(&hash));
    }
    if found.torn {
        println!("tail          an unfinished write at the end; nobody was told of it");
    }
    Ok(())
}
