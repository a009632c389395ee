//! `hashpit verify`: checks a proof file, and says in words what it shows and what it does not.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use engine::units::Nanos;

use revm::primitives::Address;

use super::onchain::ChainChoice;
use crate::{
    anchor::{contract::Contract, onchain::Found},
    proofs::file::{ProofFile, Shown, hex, unhex},
};

/// Checks a proof file with nothing but the file; exit code 1 if anything in it does not hold.
#[derive(Args, Clone, Debug, Default)]
pub struct Verify {
    /// The file, as `hashpit proof` prints it.
    pub file: PathBuf,
    /// Hash of the epoch (64 hex digits) as it is known from elsewhere: a chain, an auditor, another user.
    #[arg(long, value_name = "HEX")]
    pub root: Option<String>,
    /// Endpoint (JSON-RPC) of the chain that the epoch is anchored on; several must all tell the same.
    #[arg(long, value_name = "URL", requires = "registry")]
    pub rpc: Vec<String>,
    /// The registry there.
    #[arg(long, value_name = "ADDRESS", requires = "rpc")]
    pub registry: Option<Address>,
    /// Look for logs from this block on: one not after the contracts' deployment.
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    pub from_block: u64,
    /// Blocks on top of a final one, instead of the node's own word for it.
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u64).range(1..))]
    pub confirmations: Option<u64>,
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
        let found = match self.registry {
            None => None,
            Some(registry) => {
                let chain = ChainChoice {
                    rpc: self.rpc.clone(),
                    registry,
                    from_block: self.from_block,
                    confirmations: self.confirmations,
                };
                let on = chain.open()?;
                let found = on.find(&shown.header);
                let found = found.map_err(|why| anyhow!("NOT PROVEN by the chain: {why}"))?;
                let name = format!("{} (chain {})", on.chain.name(), on.contract.chain_id);
                Some((on.contract, name, found))
            }
        };
        Ok(words(&file, &shown, root.is_some(), found.as_ref()))
    }
}

/// What was proven, and what was not.
fn words(
    file: &ProofFile,
    shown: &Shown,
    known: bool,
    found: Option<&(Contract, String, Found)>,
) -> String {
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
    if let Some((contract, name, found)) = found {
        text += &on_the_chain(contract, name, found);
        text += "NOT PROVEN, neither by the file nor by the chain:\n";
        text += "  that the endpoints tell the truth: ask several (--rpc), or a node of your own\n";
        text += "  that balances changed by legal matches only: `hashpit audit` replays the journal for that\n";
        return text;
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

/// What the contracts say.
fn on_the_chain(contract: &Contract, name: &str, found: &Found) -> String {
    let row = &found.row;
    let seconds = i64::try_from(row.posted.time).unwrap_or(i64::MAX);
    let time = Nanos(seconds.saturating_mul(engine::units::SECOND));
    let mut text = format!(
        "PROVEN by the registry {} on {name}, at final block {}:\n  anchor {} is this epoch's header, hash {}, \
         posted {} in block {}\n  the contract took it because it links to the one before, k of n signers \
         signed it, and all accounts and withdrawals together are exactly what was deposited\n",
        contract.registry,
        found.block,
        row.anchor,
        row.hash,
        super::journal::time(time),
        row.posted.number
    );
    let exits = found.standing.exits_requested
        - found
            .standing
            .exits_served
            .min(found.standing.exits_requested);
    text += &match (&found.payable, found.standing.frozen) {
        (Ok(()), true) => {
            "  it is settled: `hashpit exit escape` pays the balances in the file\n".to_owned()
        }
        (Ok(()), false) => {
            "  it is past its challenge window: `hashpit claim` pays withdrawals\n".to_owned()
        }
        (Err(why), true) => {
            format!("  THE EXCHANGE IS FROZEN; nothing is paid from it now: {why}\n")
        }
        (Err(why), false) => format!("  nothing is paid from it yet: {why}\n"),
    };
    text += &format!("  {exits} exit requests are open\n");
    text
}
