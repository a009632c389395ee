//! Where to anchor: the choice on the command line and the file behind it.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use revm::primitives::{Address, B256};
use serde::Deserialize;

use super::{decide::Policy, rpc::Finality};

/// What `--anchor` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// On the embedded chain.
    #[default]
    Embedded,
    /// On the embedded chain, every few seconds: to be looked at.
    EmbeddedQuick,
    /// Nowhere.
    Off,
    /// As this file says.
    File(PathBuf),
}

impl FromStr for Choice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "embedded" => Self::Embedded,
            "off" => Self::Off,
            path => Self::File(path.into()),
        })
    }
}

/// A known chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// What it is called in the file.
    pub name: &'static str,
    /// Chain id.
    pub chain_id: u64,
    /// Public endpoints. From documents; nobody here has asked them.
    pub endpoints: &'static [&'static str],
}

/// The chains that have a name.
pub const NETWORKS: [Network; 2] = [
    Network {
        name: "bevm",
        chain_id: 11_501,
        endpoints: &[
            "https://rpc-mainnet-1.bevm.io",
            "https://rpc-mainnet-2.bevm.io",
        ],
    },
    Network {
        name: "bevm-testnet",
        chain_id: 11_503,
        endpoints: &["https://testnet.bevm.io"],
    },
];

/// Why a file is no good.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The system.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// Not TOML, or a field that does not exist.
    #[error("{}: {what}", path.display())]
    Text {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A field out of range.
    #[error("{}: anchor.{field}: {what}", path.display())]
    Field {
        /// Which file.
        path: PathBuf,
        /// Which field.
        field: &'static str,
        /// What is wrong.
        what: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    anchor: Fields,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    chain: String,
    network: Option<String>,
    chain_id: Option<u64>,
    #[serde(default)]
    endpoints: Vec<String>,
    agree: Option<usize>,
    timeout_seconds: Option<u64>,
    registry: Option<Address>,
    vault: Option<Address>,
    judge: Option<Address>,
    contract_block: Option<u64>,
    code_hash: Option<B256>,
    adopt: Option<B256>,
    transaction: Option<String>,
    fee_cap_gwei: Option<u64>,
    gas_limit: Option<u64>,
    bump_after_blocks: Option<u64>,
    finality: Option<String>,
    confirmations: Option<u64>,
    every_seconds: Option<u64>,
    gas_key: Option<PathBuf>,
    #[serde(default)]
    signer_keys: Vec<PathBuf>,
    threshold: Option<usize>,
    passphrase_file: Option<PathBuf>,
    #[serde(default)]
    quick: bool,
}

/// A chain by JSON-RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcSettings {
    /// Chain id.
    pub chain_id: u64,
    /// Endpoints.
    pub endpoints: Vec<String>,
    /// How many of them must answer; all that do must agree.
    pub agree: usize,
    /// Longest wait for an answer, seconds.
    pub timeout: u64,
    /// When a block is final.
    pub finality: Finality,
    /// Decides which headers count.
    pub registry: Address,
    /// Holds the coins.
    pub vault: Address,
    /// Reads proofs of lies.
    pub judge: Address,
    /// A block not after the one it was deployed in; deposits are looked for from there.
    pub contract_block: u64,
    /// Keccak of the three contracts' code hashes.
    pub code_hash: B256,
    /// File of the gas key.
    pub gas_key: PathBuf,
    /// Files of the signers' keys in this process.
    pub signer_keys: Vec<PathBuf>,
    /// Signatures that the contract asks for.
    pub threshold: usize,
    /// File with the passphrase of all these keys.
    pub passphrase: PathBuf,
}

/// Where to anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// On the embedded chain.
    Embedded,
    /// On a chain by JSON-RPC.
    Rpc(Box<RpcSettings>),
}

/// Everything the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorSettings {
    /// Where.
    pub place: Where,
    /// How.
    pub policy: Policy,
    /// A new embedded chain gets waiting times of seconds: to be looked at.
    pub quick: bool,
}

impl Default for AnchorSettings {
    /// The embedded chain, an anchor every ten minutes.
    fn default() -> Self {
        Self {
            place: Where::Embedded,
            policy: Policy::default(),
            quick: false,
        }
    }
}

impl AnchorSettings {
    /// The embedded chain, an anchor every three seconds.
    #[must_use]
    pub fn quick() -> Self {
        let policy = Policy {
            every: 3,
            every_urgent: 1,
            heartbeat: 20,
            ..Policy::default()
        };
        Self {
            policy,
            quick: true,
            ..Self::default()
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// With the field that is wrong.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::File {
            path: path.into(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Reads the file's text; `path` is for messages, and where other files are looked for.
    ///
    /// # Errors
    /// With the field that is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, SettingsError> {
        let file: File = toml::from_str(text).map_err(|error| SettingsError::Text {
            path: path.into(),
            what: error.to_string(),
        })?;
        let fields = file.anchor;
        let wrong = |field, what: &str| SettingsError::Field {
            path: path.into(),
            field,
            what: what.into(),
        };
        let policy = fields
            .policy()
            .map_err(|(field, what)| wrong(field, &what))?;
        let place = match fields.chain.as_str() {
            "embedded" => Where::Embedded,
            "rpc" => {
                let folder = path.parent().unwrap_or(Path::new("."));
                let rpc = fields.rpc(folder);
                Where::Rpc(Box::new(rpc.map_err(|(field, what)| wrong(field, &what))?))
            }
            _ => return Err(wrong("chain", "\"embedded\" or \"rpc\" expected")),
        };
        Ok(Self {
            place,
            policy,
            quick: fields.quick,
        })
    }
}

type Wrong = (&'static str, String);

fn needed<T>(field: &'static str, value: Option<T>) -> Result<T, Wrong> {
    value.ok_or_else(|| (field, "missing".into()))
}

fn bounded(field: &'static str, value: u64, low: u64, high: u64) -> Result<u64, Wrong> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err((field, format!("{value}; from {low} to {high}")))
    }
}

impl Fields {
    fn policy(&self) -> Result<Policy, Wrong> {
        let standard = Policy::default();
        let every = bounded(
            "every_seconds",
            self.every_seconds.unwrap_or(600),
            1,
            86_400,
        )?;
        let gwei = bounded("fee_cap_gwei", self.fee_cap_gwei.unwrap_or(5), 1, 1_000_000)?;
        let legacy = match self.transaction.as_deref() {
            None | Some("legacy") => true,
            Some("1559") => false,
            Some(other) => {
                return Err(("transaction", format!("{other:?}; \"legacy\" or \"1559\"")));
            }
        };
        Ok(Policy {
            every,
            every_urgent: every.min(60),
            heartbeat: every.max(1_800),
            gas: bounded(
                "gas_limit",
                self.gas_limit.unwrap_or(standard.gas),
                100_000,
                15_000_000,
            )?,
            fee_cap: u128::from(gwei) * 1_000_000_000,
            legacy,
            bump_after: bounded(
                "bump_after_blocks",
                self.bump_after_blocks.unwrap_or(5),
                1,
                1_000,
            )?,
            adopt: self.adopt,
            ..standard
        })
    }

    fn rpc(&self, folder: &Path) -> Result<RpcSettings, Wrong> {
        let network = match &self.network {
            None => None,
            Some(name) => Some(
                NETWORKS
                    .iter()
                    .find(|network| network.name == name)
                    .ok_or_else(|| {
                        let names: Vec<_> = NETWORKS.iter().map(|network| network.name).collect();
                        ("network", format!("{name:?}; one of {}", names.join(", ")))
                    })?,
            ),
        };
        let chain_id = match (network, self.chain_id) {
            (Some(network), Some(id)) if id != network.chain_id => {
                return Err((
                    "chain_id",
                    format!("{id}, but {} is {}", network.name, network.chain_id),
                ));
            }
            (Some(network), _) => network.chain_id,
            (None, id) => needed("chain_id", id)?,
        };
        let mut endpoints = self.endpoints.clone();
        if endpoints.is_empty() {
            endpoints.extend(
                network
                    .into_iter()
                    .flat_map(|network| network.endpoints)
                    .map(ToString::to_string),
            );
        }
        for (place, endpoint) in endpoints.iter().enumerate() {
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                return Err((
                    "endpoints",
                    format!("number {}: http:// or https:// expected", place + 1),
                ));
            }
            if endpoints
                .iter()
                .take(place)
                .any(|before| before == endpoint)
            {
                return Err(("endpoints", format!("number {} is there twice", place + 1)));
            }
        }
        let agree = self.agree.unwrap_or(2);
        if agree == 0 || agree > endpoints.len() {
            let what = format!(
                "{agree} must agree, {} given; with agree = 1 a single endpoint may say anything",
                endpoints.len()
            );
            return Err(("endpoints", what));
        }
        let tag = match self.finality.as_deref() {
            None | Some("finalized") => true,
            Some("confirmations") => false,
            Some(other) => {
                return Err((
                    "finality",
                    format!("{other:?}; \"finalized\" or \"confirmations\""),
                ));
            }
        };
        let confirmations = bounded(
            "confirmations",
            self.confirmations.unwrap_or(20),
            0,
            100_000,
        )?;
        if !tag && confirmations == 0 {
            return Err(("confirmations", "0; without the tag at least 1".into()));
        }
        let threshold = needed("threshold", self.threshold)?;
        if threshold == 0 || threshold > self.signer_keys.len() {
            return Err((
                "threshold",
                format!("{threshold} of {} signer_keys", self.signer_keys.len()),
            ));
        }
        Ok(RpcSettings {
            chain_id,
            endpoints,
            agree,
            timeout: bounded(
                "timeout_seconds",
                self.timeout_seconds.unwrap_or(10),
                1,
                120,
            )?,
            finality: Finality { tag, confirmations },
            registry: needed("registry", self.registry)?,
            vault: needed("vault", self.vault)?,
            judge: needed("judge", self.judge)?,
            contract_block: self.contract_block.unwrap_or(0),
            code_hash: needed("code_hash", self.code_hash)?,
            gas_key: folder.join(needed("gas_key", self.gas_key.clone())?),
            signer_keys: self
                .signer_keys
                .iter()
                .map(|key| folder.join(key))
                .collect(),
            threshold,
            passphrase: folder.join(needed("passphrase_file", self.passphrase_file.clone())?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        [anchor]
        chain = "rpc"
        network = "bevm"
        registry = "0x00000000000000000000000000000000000000aa"
        vault = "0x00000000000000000000000000000000000000ab"
        judge = "0x00000000000000000000000000000000000000ac"
        code_hash = "0x00000000000000000000000000000000000000000000000000000000000000bb"
        gas_key = "gas.key"
        signer_keys = ["one.key", "two.key", "three.key"]
        threshold = 2
        passphrase_file = "passphrase"
    "#;

    fn parsed(text: &str) -> Result<AnchorSettings, String> {
        AnchorSettings::parse(text, Path::new("/etc/anchor.toml"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn bevm_needs_its_name_the_contract_and_the_keys() {
        let settings = parsed(WHOLE).expect("good");
        let Where::Rpc(rpc) = settings.place else {
            panic!("by JSON-RPC");
        };
        assert_eq!(
            (rpc.chain_id, rpc.endpoints.len(), rpc.agree),
            (11_501, 2, 2)
        );
        assert_eq!(
            rpc.finality,
            Finality {
                tag: true,
                confirmations: 20
            }
        );
        assert_eq!(rpc.gas_key, Path::new("/etc/gas.key"));
        assert!(settings.policy.legacy);
        assert_eq!(settings.policy.fee_cap, 5_000_000_000);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (
                WHOLE.replace("\"bevm\"", "\"beam\""),
                "anchor.network: \"beam\"; one of bevm, bevm-testnet",
            ),
            (
                WHOLE.replace("\"bevm\"", "\"bevm-testnet\""),
                "anchor.endpoints: 2 must agree, 1 given",
            ),
            (
                WHOLE.replace("threshold = 2", "threshold = 4"),
                "anchor.threshold: 4 of 3 signer_keys",
            ),
            (
                format!("{WHOLE}\nevery_seconds = 0"),
                "anchor.every_seconds: 0; from 1 to 86400",
            ),
            (
                format!("{WHOLE}\nchain_id = 1"),
                "anchor.chain_id: 1, but bevm is 11501",
            ),
            (
                format!("{WHOLE}\ntransaction = \"blob\""),
                "anchor.transaction: \"blob\"",
            ),
            (format!("{WHOLE}\nendpoint = 3"), "unknown field `endpoint`"),
            (
                WHOLE.replace("code_hash", "# code_hash"),
                "anchor.code_hash: missing",
            ),
        ];
        for (text, complaint) in cases {
            let found = parsed(&text).expect_err(complaint);
            assert!(
                found.contains(complaint),
                "{complaint:?} expected, found {found}"
            );
        }
    }
}
