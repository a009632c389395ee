//! `hashpit verify`: checks a proof file, and says in words what it shows and what it does not.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use engine::units::Nanos;

use crate::proofs::file::{ProofFile, Shown, hex, unhex};

/// Checks a proof file with nothing but the file; exit code 1 if anything in it does not hold.
#[derive(Args, Clone, Debug)]
pub struct Verify {
    /// The file, as `hashpit proof` prints it.
    pub file: PathBuf,
    /// Hash of the epoch (64 hex digits) as it is known from elsewhere: a chain, an auditor, another user.
    #[arg(long, value_name = "HEX")]
    pub root: Option<String>,
}

impl Verify {
    /// Checks and explains.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn run(self) -> Result<()> {
        print!("{}", self.words()?);
        Ok(())
    }

    /// What it prints.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn words(&self) -> Result<String> {
        let text = std::fs::read_to_string(&self.file)
            .with_context(|| format!("cannot read {}", self.file.display()))?;
        let file = ProofFile::parse(&text)
            .map_err(|why| anyhow!("{} is no proof: {why}", self.file.display()))?;
        let root = match &self.root {
            Some(text) => {
                let bytes = unhex(text).map_err(|why| anyhow!("--root: {why}"))?;
                let root = <[u8; 32]>::try_from(bytes);
                Some(root.map_err(|_| anyhow!("--root {text}: 64 hex digits expected"))?)
            }
            None => None,
        };
        let shown = file
            .check(root)
            .map_err(|why| anyhow!("NOT PROVEN: {why}"))?;
        Ok(words(&file, &shown, root.is_some()))
    }
}

/// What was proven, and what was not.
fn words(file: &ProofFile, shown: &Shown, known: bool) -> String {
    let header = &shown.header;
    let time = Nanos(i64::try_from(header.time).unwrap_or(i64::MAX));
    let mut text = format!(
        "epoch {}, at journal position {}, {}\n  hash {}\n\nPROVEN for account {}:\n",
        header.epoch,
        header.seq,
        super::journal::time(time),
        hex(&shown.hash),
        file.account
    );
    for leaf in &shown.balances {
        let owner = match leaf.owner == [0; 20] {
            true => "nobody may leave with it: no owner was named".to_owned(),
            false => format!("0x{} may leave with it", hex(&leaf.owner)),
        };
        let closed = if leaf.closed { "; closed" } else { "" };
        text += &format!(
            "  asset {}: {} available and {} locked, in minor units; {owner}{closed}\n",
            leaf.asset, leaf.available, leaf.locked
        );
    }
    for (leaf, contract) in &shown.positions {
        text += &format!(
            "  contract {}: {} lots long, {} short, of {} on each side\n",
            leaf.contract, leaf.long, leaf.short, contract.long
        );
    }
    for leaf in &shown.withdrawals {
        text += &format!(
            "  withdrawal {} of asset {}: {} to 0x{}\n",
            leaf.id,
            leaf.asset,
            leaf.amount,
            hex(&leaf.to)
        );
    }
    if !shown.fills.is_empty() {
        let fills = shown.fills.len();
        text +=
            &format!("  {fills} fills on the pages in the file took place as they stand there\n");
    }
    text += "PROVEN for everybody:\n";
    for flow in &header.assets {
        text += &format!(
            "  asset {}: all accounts together have {}, yours among them; {} came in ({} of it not over the chain), \
             {} went out\n",
            flow.asset, flow.liabilities, flow.deposited, flow.sandbox, flow.withdrawn
        );
        match flow.uncovered() {
            Some(0) | None => {}
            Some(missing) => {
                text += &format!(
                    "  asset {}: {missing} IS MISSING: more is owed than there is\n",
                    flow.asset
                );
            }
        }
    }
    text += "NOT PROVEN by this file:\n";
    text += if known {
        "  who else was shown the hash that you gave: that is worth as much as where you have it from\n"
    } else {
        "  that others are shown the same epoch: compare its hash with a chain's or another user's (--root)\n"
    };
    text += "  that the coins are where the exchange says\n";
    text += "  that balances changed by legal matches only: `hashpit audit` replays the journal for that\n";
    text
}
