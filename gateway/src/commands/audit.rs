//! `hashpit audit`: executes a journal again, computes every root anew, and prints them.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use engine::{ids::AccountId, ids::AssetId, pipeline::Replay, roots::Epoch, roots::Roots};
use revm::primitives::Address;

use super::{
    journal::{begin, hex, journal_folder, verify},
    onchain::ChainChoice,
};
use crate::proofs::file::{Path, ProofFile};

/// Executes a journal again, compares every result, and computes every epoch's root from it. Reads only.
#[derive(Args, Clone, Debug, Default)]
pub struct Audit {
    /// Data folder of the exchange, or its journal folder.
    pub folder: PathBuf,
    /// Ends with this epoch.
    #[arg(long, value_name = "EPOCH")]
    pub until: Option<u64>,
    /// Prints a proof file for this account at the last epoch audited, instead of the list.
    #[arg(long, value_name = "N", requires = "until")]
    pub account: Option<u32>,
    /// Endpoint (JSON-RPC) of a chain; every header that is anchored there must be the one found here.
    #[arg(long, value_name = "URL", requires = "registry")]
    pub rpc: Vec<String>,
    /// The registry there.
    #[arg(long, value_name = "ADDRESS", requires = "rpc")]
    pub registry: Option<Address>,
    /// Look for logs from this block on.
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    pub from_block: u64,
}

impl Audit {
    /// Audits.
    ///
    /// # Errors
    /// Damage, a result that differs from the recorded one, books that do not add up, an asset that owes more
    /// than there is.
    pub fn run(self) -> Result<()> {
        let (roots, commands) = self.replay()?;
        if let (Some(account), Some(until)) = (self.account, self.until) {
            println!("{}", prove(&roots, account, until)?.json());
            return Ok(());
        }
        println!(
            "{} epochs, {commands} commands executed again with the recorded results; the books add up",
            roots.epochs().len(),
        );
        if let Some(told) = self.on_the_chain(&roots)? {
            println!("{told}");
        }
        Ok(())
    }

    /// The epochs that a replay finds.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn epochs(&self) -> Result<Vec<Epoch>> {
        Ok(self.replay()?.0.epochs().iter().cloned().collect())
    }

    /// The proof file that `--account` and `--until` ask for.
    ///
    /// # Errors
    /// As [`Self::run`]; without both of them; an account that was not open, an epoch that there is not.
    pub fn proof(&self) -> Result<ProofFile> {
        let asked = self.account.zip(self.until);
        let (account, until) = asked.context("--account and --until are both needed")?;
        prove(&self.replay()?.0, account, until)
    }

    /// What the chain says to the epochs that were found; none if it is not asked.
    fn on_the_chain(&self, roots: &Roots) -> Result<Option<String>> {
        let Some(registry) = self.registry else {
            return Ok(None);
        };
        let chain = ChainChoice {
            rpc: self.rpc.clone(),
            registry,
            from_block: self.from_block,
            confirmations: None,
        };
        let on = chain.open()?;
        let own = |epoch| roots.epoch(epoch).map(|epoch| &epoch.header);
        let claim = |previous, claimed| {
            let served = roots.claim_exits(previous, claimed);
            served.map_err(|why| why.to_string())
        };
        let (same, unknown) = on.audit(own, claim)?;
        Ok(Some(format!(
            "{same} headers on the chain are those of this journal; {unknown} are of epochs that were not replayed"
        )))
    }

    /// The epochs that a replay finds, compared with the chain if one was named.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn compared(&self) -> Result<Option<String>> {
        self.on_the_chain(&self.replay()?.0)
    }

    fn replay(&self) -> Result<(Roots, u64)> {
        let folder = journal_folder(&self.folder)?;
        let begin = begin::Begin::earliest(&folder)?;
        let mut roots = verify::kept_roots(begin.annex.as_deref())?;
        let mut exchange = begin.exchange;
        let mut replay = Replay::default();
        let mut missing = Vec::new();
        let (list, until) = (self.account.is_none(), self.until.unwrap_or(u64::MAX));
        begin::read(&folder, begin.position.as_ref(), |block| {
            replay.block_seen(
                &mut exchange,
                block.payload,
                block.count,
                |state, stamped, events| {
                    // A block may carry more than one mark: the state proven is that of the last wanted.
                    if state.epochs().newest <= until {
                        roots.hear(state, stamped, events);
                    }
                },
            )?;
            let sealed = roots.end_of_block(block.chain);
            let epochs = roots.epochs().iter();
            for epoch in epochs.skip(roots.epochs().len() - sealed) {
                if list {
                    println!("{}", line(epoch));
                }
                for flow in &epoch.header.assets {
                    if flow.uncovered() != Some(0) {
                        missing.push((epoch.header.epoch, flow.asset));
                    }
                }
            }
            let newest = roots.epochs().back().map_or(0, |epoch| epoch.header.epoch);
            Ok(newest < until)
        })?;
        exchange
            .audit()
            .map_err(|why| anyhow!("the books do not add up: {why}"))?;
        if let Some((epoch, asset)) = missing.first() {
            bail!("epoch {epoch}: more is owed of asset {asset} than there is");
        }
        Ok((roots, exchange.seq()))
    }
}

/// A line of the list.
fn line(epoch: &Epoch) -> String {
    let header = &epoch.header;
    let owed: Vec<String> = header
        .assets
        .iter()
        .map(|flow| format!("{}:{}", flow.asset, flow.liabilities))
        .collect();
    format!(
        "epoch {} position {} hash {} state {} owed {}",
        header.epoch,
        header.seq,
        hex(&epoch.hash),
        hex(&header.state_root),
        owed.join(" ")
    )
}

fn prove(roots: &Roots, account: u32, until: u64) -> Result<ProofFile> {
    let epoch = roots.provable().context("no epoch was marked")?;
    if epoch.header.epoch != until {
        bail!("the journal ends with epoch {}", epoch.header.epoch);
    }
    let mut file = ProofFile::of(epoch, account);
    for tree in &epoch.state.assets {
        let proven = roots.prove_balance(until, AccountId(account), AssetId(tree.asset.into()));
        let (_, path) = proven.with_context(|| format!("account {account} was not open"))?;
        file.balances.push(Path::from(&path));
    }
    for position in roots.prove_positions(until, AccountId(account)) {
        file.positions.push(Path {
            contract: Some(Box::new(Path::from(&position.contract_path))),
            ..Path::from(&position.path)
        });
    }
    Ok(file)
}
