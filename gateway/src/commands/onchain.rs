//! `hashpit claim`, `exit`, `deposit`: what the owner of an address does on the chain, with the exchange
//! running or not.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use revm::primitives::{Address, Bytes, U256};

use crate::{
    anchor::{
        abi::Words,
        agree::Agreeing,
        chain::Chain,
        contract::Contract,
        key_file::{self, Passphrase, Role},
        onchain::{Found, OnChain},
        rpc::{Finality, Rpc},
        signer::{LocalKey, Signer},
    },
    proofs::file::{ProofFile, Shown},
};
use engine::roots::{header::State, proof::TreeKind};

/// Which chain, and how it is asked.
#[derive(Args, Clone, Debug)]
pub struct ChainChoice {
    /// Endpoint (JSON-RPC); several must all tell the same.
    #[arg(long, value_name = "URL", required = true)]
    pub rpc: Vec<String>,
    /// The registry: `hashpit serve` prints it, and the exchange's users all know the same one.
    #[arg(long, value_name = "ADDRESS")]
    pub registry: Address,
    /// Look for logs from this block on: one not after the contracts' deployment.
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    pub from_block: u64,
    /// Blocks on top of a final one, instead of the node's own word for it.
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u64).range(1..))]
    pub confirmations: Option<u64>,
}

/// Whose coins they are.
#[derive(Args, Clone, Debug)]
pub struct Owner {
    /// Key file: `hashpit anchor key --role owner` makes one. It pays for gas, too.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// File whose first line opens it.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: PathBuf,
    /// Longest wait for a block, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub patience: u64,
}

/// Where something is done, and by whom.
#[derive(Args, Clone, Debug)]
pub struct Doing {
    /// Where.
    #[command(flatten)]
    pub chain: ChainChoice,
    /// Who.
    #[command(flatten)]
    pub owner: Owner,
}

/// Pays the withdrawals in a proof file to their receivers, out of the contract.
#[derive(Args, Clone, Debug)]
pub struct Claim {
    /// The file, as `hashpit proof --withdrawal` prints it.
    pub file: PathBuf,
    /// Where, and who.
    #[command(flatten)]
    pub on: Doing,
}

/// Deposits coins; they are credited to the account of the key's address.
#[derive(Args, Clone, Debug)]
pub struct Deposit {
    /// Minor units, such as satoshi.
    pub amount: u64,
    /// Number of the asset.
    #[arg(long, default_value_t = 1)]
    pub asset: u16,
    /// Where, and who.
    #[command(flatten)]
    pub on: Doing,
}

/// Leaves without the operator.
#[derive(Subcommand, Clone, Debug)]
pub enum Exit {
    /// Asks on the chain to be paid out and closed, which nobody has to approve; if it is not served in time,
    /// anybody may freeze.
    Request {
        /// Number of the account.
        #[arg(long)]
        account: u32,
        /// Where, and who.
        #[command(flatten)]
        on: Doing,
    },
    /// Freezes the exchange: it was silent for too long, or left this exit request unserved.
    Freeze {
        /// The exit request; without it, for silence.
        #[arg(long, value_name = "NUMBER")]
        unserved: Option<u64>,
        /// Where, and who.
        #[command(flatten)]
        on: Doing,
    },
    /// After a freeze: fixes the newest final header, the one of this proof.
    Settle {
        /// A proof of that epoch, anybody's; without it, nothing was final yet and every deposit can be refunded.
        file: Option<PathBuf>,
        /// Where, and who.
        #[command(flatten)]
        on: Doing,
    },
    /// After that: pays the balances in a proof of the settled epoch to their owner.
    Escape {
        /// The proof.
        file: PathBuf,
        /// Where, and who.
        #[command(flatten)]
        on: Doing,
    },
    /// After that: gives back a deposit that the settled header has not credited, to its sender.
    Refund {
        /// Number of the deposit, from its log; the first is 0.
        deposit: u64,
        /// Where, and who.
        #[command(flatten)]
        on: Doing,
    },
    /// Pays what waited for the day cap, once its time has come.
    Release {
        /// Number in the vault's queue.
        due: u64,
        /// Where, and who.
        #[command(flatten)]
        on: Doing,
    },
    /// Pays coins that the owner's contract had refused.
    Collect {
        /// Number of the asset.
        #[arg(long, default_value_t = 1)]
        asset: u16,
        /// To whom; by default the key's address.
        #[arg(long, value_name = "ADDRESS")]
        to: Option<Address>,
        /// Where, and who.
        #[command(flatten)]
        on: Doing,
    },
}

/// What the guardian may do, with `--key` a key of that role: he stops, and moves nothing.
#[derive(Subcommand, Clone, Debug)]
pub enum Guardian {
    /// Holds payments up for a while, while something is looked into; exits go on.
    Pause {
        /// Where, and who.
        #[command(flatten)]
        on: Doing,
    },
    /// Freezes the exchange for ever: replay showed what the chain cannot see.
    Freeze {
        /// Where, and who.
        #[command(flatten)]
        on: Doing,
    },
    /// Stops a proposed change of signers.
    WithdrawRotation {
        /// Where, and who.
        #[command(flatten)]
        on: Doing,
    },
}

impl Guardian {
    /// Runs the command.
    ///
    /// # Errors
    /// The contract's refusal.
    pub fn run(self) -> Result<()> {
        let (what, function, doing) = match self {
            Self::Pause { on } => ("payments paused", "guardianPause()", on),
            Self::Freeze { on } => ("frozen by the guardian", "guardianFreeze()", on),
            Self::WithdrawRotation { on } => ("rotation withdrawn", "withdrawRotation()", on),
        };
        let on = doing.chain.open()?;
        let key = doing.owner.open_as(Role::Guardian)?;
        let call = (
            on.contract.registry,
            U256::ZERO,
            Words::new().call(function),
        );
        send_with(&on, &doing.owner, &key, what, call).map(drop)
    }
}

impl ChainChoice {
    /// The contracts there.
    ///
    /// # Errors
    /// No answer, or no registry.
    pub fn open(&self) -> Result<OnChain> {
        let finality = Finality {
            tag: self.confirmations.is_none(),
            confirmations: self.confirmations.unwrap_or(0),
        };
        let endpoint = |url: &String| -> Arc<dyn Chain> {
            Arc::new(Rpc::new(url, Duration::from_secs(20), finality))
        };
        let endpoints: Vec<_> = self.rpc.iter().map(endpoint).collect();
        let needed = endpoints.len();
        let chain = Arc::new(Agreeing::new(endpoints, needed));
        let contract = Contract::find(&*chain, self.registry)?;
        Ok(OnChain {
            chain,
            contract,
            from_block: self.from_block,
        })
    }
}

impl Owner {
    fn open(&self) -> Result<LocalKey> {
        self.open_as(Role::Owner)
    }

    fn open_as(&self, role: Role) -> Result<LocalKey> {
        let passphrase = Passphrase::read(&self.passphrase_file)?;
        Ok(key_file::load(&self.key, role, &passphrase)?)
    }
}

/// A proof file that holds, and its header on the chain.
///
/// # Errors
/// What does not hold.
pub fn load(path: &std::path::Path, on: &OnChain) -> Result<(ProofFile, Shown, Found)> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file =
        ProofFile::parse(&text).map_err(|why| anyhow!("{} is no proof: {why}", path.display()))?;
    let shown = file
        .check(None)
        .map_err(|why| anyhow!("NOT PROVEN: {why}"))?;
    let found = on.find(&shown.header)?;
    Ok((file, shown, found))
}

fn send(on: &OnChain, owner: &Owner, what: &str, call: (Address, U256, Bytes)) -> Result<u64> {
    send_with(on, owner, &owner.open()?, what, call)
}

fn send_with(
    on: &OnChain,
    owner: &Owner,
    key: &LocalKey,
    what: &str,
    call: (Address, U256, Bytes),
) -> Result<u64> {
    let (hash, receipt) = on
        .send(key, call, owner.patience)
        .with_context(|| what.to_owned())?;
    println!(
        "{what}: transaction {hash} in block {}, {} gas",
        receipt.block, receipt.gas_used
    );
    Ok(receipt.gas_used)
}

impl Claim {
    /// Claims.
    ///
    /// # Errors
    /// What does not hold, or the contract's refusal.
    pub fn run(self) -> Result<()> {
        let on = self.on.chain.open()?;
        let (file, shown, found) = load(&self.file, &on)?;
        if shown.withdrawals.is_empty() {
            bail!(
                "no withdrawal in {}; `hashpit proof --withdrawal TRANSFER` puts one there",
                self.file.display()
            );
        }
        let (mut paid, mut refused) = (0, None);
        for (leaf, path) in shown.withdrawals.iter().zip(&file.withdrawals) {
            let path = path
                .inclusion(TreeKind::Withdrawals)
                .map_err(anyhow::Error::msg)?;
            let call = OnChain::withdraw(&found, leaf, &path);
            let what = format!(
                "withdrawal {} of {} minor units of asset {} to {}",
                leaf.id,
                leaf.amount,
                leaf.asset,
                Address::from(leaf.to)
            );
            let call = (on.contract.vault, U256::ZERO, call);
            match send(&on, &self.on.owner, &what, call) {
                Ok(_) => paid += 1,
                // Somebody claimed it before: the others may still wait.
                Err(why) if format!("{why:#}").contains("AlreadyPaid") => {
                    println!("{what}: {why:#}");
                    refused = Some(why);
                }
                Err(why) => return Err(why),
            }
        }
        match refused.filter(|_| paid == 0) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }
}

impl Deposit {
    /// Deposits.
    ///
    /// # Errors
    /// The contract's refusal.
    pub fn run(self) -> Result<()> {
        let on = self.on.chain.open()?;
        let (scale, token) = on.asset(self.asset)?;
        let wei = u128::from(self.amount)
            .checked_mul(scale)
            .context("the amount in wei is above 2^128")?;
        let vault = on.contract.vault;
        let what = format!(
            "deposit of {} minor units of asset {}",
            self.amount, self.asset
        );
        if token == Address::ZERO {
            let call = Contract::deposit_call(self.asset);
            send(&on, &self.on.owner, &what, (vault, U256::from(wei), call))?;
        } else {
            let approve = Words::new().word(vault.into_word()).wide(wei);
            let approve = approve.call("approve(address,uint256)");
            send(
                &on,
                &self.on.owner,
                "approval of the vault",
                (token, U256::ZERO, approve),
            )?;
            let call = Contract::deposit_token_call(self.asset, wei);
            send(&on, &self.on.owner, &what, (vault, U256::ZERO, call))?;
        }
        Ok(())
    }
}

impl Exit {
    /// Runs the command.
    ///
    /// # Errors
    /// What does not hold, or the contract's refusal.
    pub fn run(self) -> Result<()> {
        let zero = U256::ZERO;
        match self {
            Self::Request { account, on: doing } => {
                let on = doing.chain.open()?;
                let call = Words::new()
                    .number(account.into())
                    .call("requestExit(uint32)");
                let call = (on.contract.registry, on.exit_fee()?, call);
                send(
                    &on,
                    &doing.owner,
                    &format!("exit request for account {account}"),
                    call,
                )?;
                println!(
                    "the exchange closes the account, and pays everything in it to this address; when that is anchored, \
                     `hashpit proof --anchored --withdrawals` and `hashpit claim` take it out of the contract"
                );
            }
            Self::Freeze {
                unserved,
                on: doing,
            } => {
                let on = doing.chain.open()?;
                let (what, call) = match unserved {
                    None => (
                        "freeze for silence".to_owned(),
                        Words::new().call("freezeSilence()"),
                    ),
                    Some(id) => {
                        let request = on.exit_request(id)?;
                        let words = Words::new().number(id).raw(request.bytes());
                        let function = "freezeUnserved(uint64,(uint32,address,(uint64,uint64)))";
                        (
                            format!("freeze for exit request {id}"),
                            words.call(function),
                        )
                    }
                };
                send(&on, &doing.owner, &what, (on.contract.registry, zero, call))?;
            }
            Self::Settle { file, on: doing } => {
                let on = doing.chain.open()?;
                let (what, call) = match file {
                    Some(file) => {
                        let (_, _, found) = load(&file, &on)?;
                        let what = format!("anchor {} settled", found.row.anchor);
                        (what, OnChain::settle(&found))
                    }
                    None => (
                        "settled before any header".to_owned(),
                        on.settle_at_nothing()?,
                    ),
                };
                send(&on, &doing.owner, &what, (on.contract.registry, zero, call))?;
            }
            Self::Escape { file, on: doing } => {
                let on = doing.chain.open()?;
                let (file, shown, found) = load(&file, &on)?;
                for (what, call) in escapes(&file, &shown, &found)? {
                    send(&on, &doing.owner, &what, (on.contract.vault, zero, call))?;
                }
            }
            Self::Refund { deposit, on: doing } => {
                let on = doing.chain.open()?;
                let tip = on.deposit(deposit)?;
                let what = format!(
                    "refund of {} minor units of asset {} to {}",
                    tip.amount,
                    tip.asset,
                    Address::from(tip.owner)
                );
                let call = OnChain::refund(deposit, &tip);
                send(&on, &doing.owner, &what, (on.contract.vault, zero, call))?;
            }
            Self::Release { due, on: doing } => {
                let on = doing.chain.open()?;
                let call = Words::new().number(due).call("release(uint64)");
                send(
                    &on,
                    &doing.owner,
                    &format!("payment {due} released"),
                    (on.contract.vault, zero, call),
                )?;
            }
            Self::Collect {
                asset,
                to,
                on: doing,
            } => {
                let on = doing.chain.open()?;
                let to = match to {
                    Some(to) => to,
                    None => doing.owner.open()?.address(),
                };
                let words = Words::new().number(asset.into()).word(to.into_word());
                let call = words.call("collectTo(uint16,address)");
                send(
                    &on,
                    &doing.owner,
                    "coins collected",
                    (on.contract.vault, zero, call),
                )?;
            }
        }
        Ok(())
    }
}

/// The calls that pay what a proof file shows, an asset each; nothing for assets with nothing.
///
/// # Errors
/// A file that does not read.
pub fn escapes(file: &ProofFile, shown: &Shown, found: &Found) -> Result<Vec<(String, Bytes)>> {
    let state = crate::proofs::file::unhex(&file.state).map_err(anyhow::Error::msg)?;
    let state = State::parse(&state).context("the list of trees cannot be read")?;
    let mut calls = Vec::new();
    for (leaf, path) in shown.balances.iter().zip(&file.balances) {
        if leaf.sum() == 0 {
            continue;
        }
        let path = path
            .inclusion(TreeKind::Balances)
            .map_err(anyhow::Error::msg)?;
        let what = format!(
            "escape of {} minor units of asset {} to {}",
            leaf.sum(),
            leaf.asset,
            Address::from(leaf.owner)
        );
        calls.push((what, OnChain::escape(found, &state, leaf, &path)));
    }
    if calls.is_empty() {
        bail!("no balance in the file");
    }
    Ok(calls)
}
