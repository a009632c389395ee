//! `hashpit anchor deploy`: the three contracts onto a chain, once, by the operator.

use std::{path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use revm::primitives::{Address, U256};

use crate::anchor::{
    chain::{At, Chain, Sent},
    contract::{Deployment, Span, Terms, VaultAsset},
    key_file::{self, Passphrase, Role},
    rpc::{Finality, Rpc},
    signer::Signer,
    transaction::{Price, Transaction},
};

/// Deploys vault, registry and judge, and prints the settings that name them. Nothing of it can be changed later:
/// assets, waiting times and caps are the contracts' for ever, signers and guardian change by rotation.
#[derive(Args, Clone, Debug)]
pub struct Deploy {
    /// Endpoint (JSON-RPC).
    #[arg(long, value_name = "URL")]
    rpc: String,
    /// Key file of the account that pays: `hashpit anchor key --role gas` makes one.
    #[arg(long, value_name = "FILE")]
    gas_key: PathBuf,
    /// File whose first line opens it.
    #[arg(long, value_name = "FILE")]
    passphrase_file: PathBuf,
    /// Root signers' addresses, one for each --signer.
    #[arg(long, value_name = "ADDRESS", required = true)]
    signer: Vec<Address>,
    /// How many of them must sign.
    #[arg(long)]
    threshold: u64,
    /// Who may stop it; no signer.
    #[arg(long, value_name = "ADDRESS")]
    guardian: Address,
    /// Who gets the fees of exit requests.
    #[arg(long, value_name = "ADDRESS")]
    treasury: Address,
    /// An asset: its number here, its token's address or "native", wei per minor unit, and in minor units how
    /// much leaves in a day and the smallest deposit.
    #[arg(long, value_name = "ID:TOKEN:SCALE:DAYCAP:MIN", required = true)]
    asset: Vec<AssetWords>,
    /// Challenge window: seconds and blocks.
    #[arg(long, value_name = "SECONDS:BLOCKS", default_value = "86400:3600")]
    window: SpanWords,
    /// Silence after which anybody may freeze.
    #[arg(long, value_name = "SECONDS:BLOCKS", default_value = "604800:25000")]
    silence: SpanWords,
    /// Time to serve an exit request.
    #[arg(long, value_name = "SECONDS:BLOCKS", default_value = "259200:10800")]
    exit: SpanWords,
    /// Delay of a change of signers.
    #[arg(long, value_name = "SECONDS:BLOCKS", default_value = "1814400:75000")]
    rotation: SpanWords,
    /// Fee of an exit request, wei.
    #[arg(long, value_name = "WEI", default_value_t = 0)]
    exit_fee: u128,
}

#[derive(Clone, Copy, Debug)]
struct AssetWords(VaultAsset);

#[derive(Clone, Copy, Debug)]
struct SpanWords(Span);

impl FromStr for AssetWords {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let [id, token, scale, day_cap, least] = parts[..] else {
            return Err("ID:TOKEN:SCALE:DAYCAP:MIN expected".into());
        };
        let number = |text: &str| {
            text.parse::<u128>()
                .map_err(|error| format!("{text:?}: {error}"))
        };
        let token = match token {
            "native" => Address::ZERO,
            token => token
                .parse()
                .map_err(|error| format!("{token:?}: {error}"))?,
        };
        Ok(Self(VaultAsset {
            id: id.parse().map_err(|error| format!("{id:?}: {error}"))?,
            token,
            scale: number(scale)?,
            day_cap: number(day_cap)?,
            min_deposit: number(least)?,
        }))
    }
}

impl FromStr for SpanWords {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |text: &str| {
            text.parse::<u64>()
                .map_err(|error| format!("{text:?}: {error}"))
        };
        let (time, blocks) = text.split_once(':').ok_or("SECONDS:BLOCKS expected")?;
        Ok(Self(Span {
            time: read(time)?,
            blocks: read(blocks)?,
        }))
    }
}

impl Deploy {
    fn terms(&self) -> Terms {
        Terms {
            assets: self.asset.iter().map(|asset| asset.0).collect(),
            cap_tail: 7 * 86_400,
            signers: self.signer.clone(),
            threshold: self.threshold,
            guardian: self.guardian,
            window: self.window.0,
            silence: self.silence.0,
            exit: self.exit.0,
            rotation: self.rotation.0,
            pause_length: 86_400,
            pause_every: 14 * 86_400,
            exits_per_block: 10,
            exits_open: 4_096,
            exit_fee: self.exit_fee,
            treasury: self.treasury,
        }
    }

    /// Deploys.
    ///
    /// # Errors
    /// The key, the chain, or a contract that refuses its terms.
    pub fn run(self) -> Result<()> {
        let passphrase = Passphrase::read(&self.passphrase_file)?;
        let key = key_file::load(&self.gas_key, Role::Gas, &passphrase)?;
        let finality = Finality {
            tag: false,
            confirmations: 1,
        };
        let chain = Arc::new(Rpc::new(&self.rpc, Duration::from_secs(20), finality));
        let chain_id = chain.chain_id()?;
        let first = chain.read(At::Latest, key.address(), &[])?;
        let deployment = Deployment::new(chain_id, key.address(), first.nonce, &self.terms());
        for (nonce, (name, data)) in (first.nonce..).zip(
            ["vault", "registry", "judge"]
                .into_iter()
                .zip(deployment.calls),
        ) {
            let transaction = Transaction {
                chain_id,
                nonce,
                price: Price::Legacy(chain.gas_price()?),
                gas: 6_500_000,
                to: None,
                value: U256::ZERO,
                data,
            };
            let signed = transaction.sign(&key)?;
            match chain.send(&signed.raw)? {
                Sent::Accepted | Sent::Known => {}
                other => bail!("the {name} is not taken: {other:?}"),
            }
            let receipt = (0..300).find_map(|_| {
                let found = chain.receipt(signed.hash);
                if let Ok(None) = found {
                    std::thread::sleep(Duration::from_secs(1));
                }
                found.transpose()
            });
            let receipt = receipt.context("in no block after five minutes")??;
            if !receipt.success {
                return Err(anyhow!(
                    "the {name} refuses its terms; {} gas used",
                    receipt.gas_used
                ));
            }
            println!("# {name}: {} gas", receipt.gas_used);
        }
        let contract = deployment.contract;
        println!("registry = \"{}\"", contract.registry);
        println!("vault = \"{}\"", contract.vault);
        println!("judge = \"{}\"", contract.judge);
        println!("code_hash = \"{}\"", contract.code_hash(&*chain)?);
        println!("contract_block = {}", first.block.number);
        Ok(())
    }
}
