//! A proof in a file: everything that is needed to check it, and the words for what it shows.

use engine::roots::{
    Epoch,
    fills::FillEntry,
    header::{Header, State},
    leaf::{BalanceLeaf, ContractLeaf, PositionLeaf, WithdrawalLeaf},
    proof::{Inclusion, Step, TreeKind},
};
use proto::proof::v1 as wire;
use serde::{Deserialize, Serialize};

/// What the format calls itself.
pub const FORMAT: &str = "hashpit/proof/v1";

/// A leaf and its path: 32 times hash and sums, the leaf's sibling first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// Place of the leaf.
    pub index: u32,
    /// Hex.
    pub leaf: String,
    /// Hex.
    pub path: Vec<String>,
    /// For positions: their contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Box<Path>>,
}

/// A proof file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofFile {
    /// [`FORMAT`].
    pub format: String,
    /// The epoch's header, hex.
    pub header: String,
    /// What its state root hashes, hex.
    pub state: String,
    /// Whose.
    pub account: u32,
    /// A leaf for each asset.
    #[serde(default)]
    pub balances: Vec<Path>,
    /// A leaf for each contract with lots.
    #[serde(default)]
    pub positions: Vec<Path>,
    /// Withdrawals.
    #[serde(default)]
    pub withdrawals: Vec<Path>,
    /// Pages of fills.
    #[serde(default)]
    pub fills: Vec<Path>,
}

/// What a file shows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The epoch.
    pub header: Header,
    /// Its hash.
    pub hash: [u8; 32],
    /// Balances, one for each asset.
    pub balances: Vec<BalanceLeaf>,
    /// Positions with their contracts.
    pub positions: Vec<(PositionLeaf, ContractLeaf)>,
    /// Withdrawals.
    pub withdrawals: Vec<WithdrawalLeaf>,
    /// Fills on the pages, everybody's.
    pub fills: Vec<FillEntry>,
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of hex digits, with or without `0x`.
///
/// # Errors
/// What is wrong with them.
pub fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(format!("{text:?} is not hex"));
    }
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
    let bytes: Result<Vec<u8>, _> = (0..digits.len()).step_by(2).map(byte).collect();
    bytes.map_err(|error| error.to_string())
}

impl From<&Inclusion> for Path {
    fn from(from: &Inclusion) -> Self {
        let step = |step: &Step| hex(&[&step.hash[..], &step.sums].concat());
        Self {
            index: from.index,
            leaf: hex(&from.leaf),
            path: from.steps.iter().map(step).collect(),
            contract: None,
        }
    }
}

impl From<&wire::InclusionProof> for Path {
    fn from(from: &wire::InclusionProof) -> Self {
        let step = |step: &wire::MerkleStep| {
            hex(&[&step.sibling_hash[..], &step.sibling_sum[..]].concat())
        };
        Self {
            index: u32::try_from(from.leaf_index).unwrap_or(u32::MAX),
            leaf: hex(&from.leaf_preimage),
            path: from.steps.iter().map(step).collect(),
            contract: None,
        }
    }
}

impl Path {
    /// As the engine checks it.
    ///
    /// # Errors
    /// What is wrong with its hex.
    pub fn inclusion(&self, tree: TreeKind) -> Result<Inclusion, String> {
        let mut steps = Vec::new();
        for step in &self.path {
            let bytes = unhex(step)?;
            let (hash, sums) = bytes
                .split_first_chunk::<32>()
                .ok_or("a step is shorter than a hash")?;
            steps.push(Step {
                hash: *hash,
                sums: sums.to_vec(),
            });
        }
        Ok(Inclusion {
            tree,
            index: self.index,
            leaf: unhex(&self.leaf)?,
            steps,
        })
    }
}

impl ProofFile {
    /// About this epoch, with nothing in it yet.
    #[must_use]
    pub fn of(epoch: &Epoch, account: u32) -> Self {
        Self::with(&epoch.header.bytes(), &epoch.state.bytes(), account)
    }

    /// The same from the bytes.
    #[must_use]
    pub fn with(header: &[u8], state: &[u8], account: u32) -> Self {
        Self {
            format: FORMAT.into(),
            header: hex(header),
            state: hex(state),
            account,
            balances: Vec::new(),
            positions: Vec::new(),
            withdrawals: Vec::new(),
            fills: Vec::new(),
        }
    }

    /// As it stands in a file.
    #[must_use]
    pub fn json(&self) -> String {
        // Strings and numbers always can be written.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// From a file's text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Checks everything in it. `root` is an epoch's hash that is known from elsewhere.
    ///
    /// # Errors
    /// In words, the first thing that does not hold.
    pub fn check(&self, root: Option<[u8; 32]>) -> Result<Shown, String> {
        if self.format != FORMAT {
            return Err(format!("the file is {:?}, not {FORMAT}", self.format));
        }
        let header = Header::parse(&unhex(&self.header)?).ok_or("the header cannot be read")?;
        let state = State::parse(&unhex(&self.state)?).ok_or("the list of trees cannot be read")?;
        let hash = header.hash();
        if let Some(root) = root.filter(|root| *root != hash) {
            let (is, given) = (hex(&hash), hex(&root));
            return Err(format!("the header hashes to {is}, not to {given}"));
        }
        if state.root() != header.state_root {
            return Err("the list of trees does not hash to the header's state root".into());
        }
        for flow in &header.assets {
            let tree = state.assets.iter().find(|tree| tree.asset == flow.asset);
            if tree.is_none_or(|tree| tree.sum != flow.liabilities) {
                let asset = flow.asset;
                return Err(format!(
                    "asset {asset}: the header's liabilities are not its tree's sum"
                ));
            }
            if flow.uncovered().is_none() {
                return Err(format!("asset {}: less is owed than came in", flow.asset));
            }
        }
        let mut shown = Shown {
            hash,
            balances: Vec::new(),
            positions: Vec::new(),
            withdrawals: Vec::new(),
            fills: Vec::new(),
            header,
        };
        for path in &self.balances {
            shown.balances.push(self.balance(path, &state)?);
        }
        for path in &self.positions {
            shown.positions.push(self.position(path, &state)?);
        }
        for path in &self.withdrawals {
            let inclusion = path.inclusion(TreeKind::Withdrawals)?;
            let reached = inclusion.reach()?;
            let leaf = WithdrawalLeaf::parse(&inclusion.leaf).ok_or("no withdrawal")?;
            let flow = shown.header.assets.iter().find(|f| f.asset == leaf.asset);
            let fits = flow.is_some_and(|flow| {
                flow.withdrawals_root == reached.root && [flow.withdrawn][..] == reached.sums
            });
            if !fits {
                return Err(format!("withdrawal {}: another root or sum", leaf.id));
            }
            shown.withdrawals.push(leaf);
        }
        for path in &self.fills {
            let inclusion = path.inclusion(TreeKind::Fills)?;
            if inclusion.reach()?.root != shown.header.fills_root {
                return Err(format!("page {}: another root", path.index));
            }
            let entries = inclusion.leaf.chunks(engine::roots::fills::FILL_BYTES);
            shown.fills.extend(entries.filter_map(FillEntry::parse));
        }
        Ok(shown)
    }

    fn balance(&self, path: &Path, state: &State) -> Result<BalanceLeaf, String> {
        let inclusion = path.inclusion(TreeKind::Balances)?;
        let reached = inclusion.reach()?;
        let leaf = BalanceLeaf::parse(&inclusion.leaf).ok_or("no balance")?;
        let tree = state.assets.iter().find(|tree| tree.asset == leaf.asset);
        let fits =
            tree.is_some_and(|tree| tree.root == reached.root && [tree.sum][..] == reached.sums);
        if !fits || leaf.index != self.account {
            return Err(format!(
                "balance in asset {}: another root, sum or account",
                leaf.asset
            ));
        }
        Ok(leaf)
    }

    fn position(&self, path: &Path, state: &State) -> Result<(PositionLeaf, ContractLeaf), String> {
        let inclusion = path.inclusion(TreeKind::Positions)?;
        let reached = inclusion.reach()?;
        let leaf = PositionLeaf::parse(&inclusion.leaf).ok_or("no position")?;
        let over = path
            .contract
            .as_ref()
            .ok_or("a position without contract")?;
        let over = over.inclusion(TreeKind::Contracts)?;
        let contract = ContractLeaf::parse(&over.leaf).ok_or("no contract")?;
        let fits = reached.root == contract.root
            && reached.sums == [contract.long, contract.short]
            && over.reach()?.root == state.positions
            && leaf.contract == contract.contract
            && leaf.account == self.account;
        if !fits {
            return Err(format!(
                "position in contract {}: another root, sum or account",
                leaf.contract
            ));
        }
        if contract.long != contract.short {
            return Err(format!(
                "contract {}: {} lots long and {} short",
                leaf.contract, contract.long, contract.short
            ));
        }
        Ok((leaf, contract))
    }
}
