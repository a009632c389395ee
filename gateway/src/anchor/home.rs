//! The embedded chain as a sandbox finds it: keys, the contracts, a token for the second asset, a faucet.

use std::{path::Path, sync::Arc};

use engine::journal::Disk;
use revm::primitives::{Address, Bytes, U256, hex};

use super::{
    abi::Words,
    chain::{At, Chain, Sent},
    contract::{Contract, Deployment, Span, Terms, VaultAsset},
    embedded::{BASE_FEE, Clock, Embedded, Genesis},
    key_file::{self, KeyError, Passphrase, Role, Work},
    run::{AnchorError, apart},
    signer::{LocalKey, Signer},
    transaction::{Price, Transaction},
};

/// Root signers.
pub const SIGNERS: usize = 3;
/// How many of them must sign.
pub const THRESHOLD: usize = 2;
/// BEVM's, whose rules it follows.
pub const CHAIN_ID: u64 = 11_501;
/// The exchange's numbers of its two assets.
pub const BTC: u16 = 1;
/// Dollars in millionths.
pub const USDC: u16 = 2;
/// Wei of a satoshi on a chain whose coin has 18 decimals.
pub const WEI_PER_SAT: u128 = 10_000_000_000;

const PLAY_DOLLAR: &str = include_str!("../../../proto/l2/sandbox/PlayDollar.hex");
/// Gas of a transaction here: a deployment's, and more than enough for any other.
const GAS: u64 = 8_000_000;

/// The embedded chain with everything on it.
#[derive(Clone, Debug)]
pub struct Home {
    /// The chain.
    pub chain: Arc<Embedded>,
    /// The contracts.
    pub contract: Contract,
    /// The token that stands for dollars; anybody may make some.
    pub token: Address,
    faucet: Arc<LocalKey>,
}

/// Keys that anchoring needs.
#[derive(Debug)]
pub struct HomeKeys {
    /// Pays for posts.
    pub gas: LocalKey,
    /// Sign headers.
    pub signers: Vec<LocalKey>,
}

/// Opens the chain in a folder, or makes it with keys, contracts and coins. `quick`: waiting times of seconds.
///
/// # Errors
/// The disk, damage, keys.
pub fn open(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    quick: bool,
    clock: Clock,
) -> Result<(Home, HomeKeys), AnchorError> {
    let chain_folder = folder.join("chain");
    let fresh = !chain_folder.join("blocks.log").exists();
    let keys = Keys::open(disk, &folder.join("keys"), fresh)?;
    let coin = U256::from(10).pow(U256::from(18));
    let genesis = Genesis {
        chain_id: CHAIN_ID,
        coins: vec![
            (keys.gas.address(), coin * U256::from(1_000)),
            (keys.guardian.address(), coin),
            (keys.faucet.address(), coin * U256::from(1_000_000)),
        ],
    };
    let chain = Embedded::open(disk.clone(), &chain_folder, &genesis, clock)?;
    let faucet = keys.faucet.address();
    let token = faucet.create(0);
    let terms = terms(&keys, token, quick);
    // The token first: the vault looks whether it is there.
    let deployment = Deployment::new(CHAIN_ID, faucet, 1, &terms);
    let home = Home {
        chain: Arc::new(chain),
        contract: deployment.contract,
        token,
        faucet: Arc::new(keys.faucet),
    };
    let play = hex::decode(PLAY_DOLLAR.trim()).unwrap_or_default();
    let calls = [&[Bytes::from(play)][..], &deployment.calls].concat();
    // A start that was interrupted goes on where it ended.
    let done = usize::try_from(home.nonce(faucet)?).unwrap_or(usize::MAX);
    for data in calls.into_iter().skip(done) {
        home.send(&home.faucet, None, U256::ZERO, data)?;
    }
    let (transactions, replayed) = (home.chain.transactions(), home.chain.replayed());
    let registry = home.contract.registry;
    tracing::info!(%registry, transactions, replayed, "the embedded chain stands");
    let keys = HomeKeys {
        gas: keys.gas,
        signers: keys.signers,
    };
    Ok((home, keys))
}

fn terms(keys: &Keys, token: Address, quick: bool) -> Terms {
    const DAY: u64 = 86_400;
    let asset = |id, token, scale, unit: u128| VaultAsset {
        id,
        token,
        scale,
        day_cap: 1_000_000 * unit,
        min_deposit: 1_000,
    };
    // Blocks are six seconds apart when nothing happens.
    let span = |time: u64| Span {
        time,
        blocks: (time / super::embedded::INTERVAL).max(1),
    };
    Terms {
        assets: vec![
            asset(BTC, Address::ZERO, WEI_PER_SAT, 100_000_000),
            asset(USDC, token, 1, 1_000_000_000),
        ],
        cap_tail: 7 * DAY,
        signers: keys.signers.iter().map(Signer::address).collect(),
        threshold: THRESHOLD as u64,
        guardian: keys.guardian.address(),
        window: span(if quick { 2 } else { 60 }),
        silence: span(if quick { 3_600 } else { 7 * DAY }),
        exit: span(if quick { 1_800 } else { 3 * DAY }),
        rotation: span(21 * DAY),
        pause_length: if quick { 600 } else { DAY },
        pause_every: 14 * DAY,
        exits_per_block: 10,
        exits_open: 4_096,
        exit_fee: 0,
        treasury: keys.guardian.address(),
    }
}

impl Home {
    fn nonce(&self, account: Address) -> Result<u64, AnchorError> {
        Ok(self.chain.read(At::Latest, account, &[])?.nonce)
    }

    /// Sends a transaction, which is mined at once.
    ///
    /// # Errors
    /// If the chain refuses it, or the contract does.
    pub fn send(
        &self,
        from: &LocalKey,
        to: Option<Address>,
        value: U256,
        data: Bytes,
    ) -> Result<u64, AnchorError> {
        let transaction = Transaction {
            chain_id: CHAIN_ID,
            nonce: self.nonce(from.address())?,
            price: Price::Legacy(BASE_FEE.into()),
            gas: GAS,
            to,
            value,
            data,
        };
        let signed = transaction.sign(from)?;
        match self.chain.send(&signed.raw)? {
            Sent::Accepted | Sent::Known => {}
            other => return Err(AnchorError::Refused(format!("{other:?}"))),
        }
        match self.chain.receipt(signed.hash)? {
            Some(receipt) if receipt.success => Ok(receipt.gas_used),
            _ => Err(AnchorError::Refused("the contract reverts".into())),
        }
    }

    /// Coins and dollars for somebody, deposited by himself, so that he owns what is credited: satoshi and
    /// millionths of dollars. Said again after an interruption, it goes on where it ended. Answers the gas.
    ///
    /// # Errors
    /// If the chain refuses something.
    pub fn fund(&self, owner: &LocalKey, sat: u128, dollars: u128) -> Result<u64, AnchorError> {
        let address = owner.address();
        let done = self.nonce(address)?;
        let wei = U256::from(sat) * U256::from(WEI_PER_SAT);
        let mut gas = 0;
        if done == 0 && self.chain.balance(address) < wei {
            // And a coin for gas.
            let coin = U256::from(10).pow(U256::from(18));
            gas += self.send(&self.faucet, Some(address), wei + coin, Bytes::new())?;
        }
        let vault = self.contract.vault;
        let approve = Words::new().word(vault.into_word()).wide(dollars);
        let steps = [
            (vault, wei, Contract::deposit_call(BTC)),
            (
                self.token,
                U256::ZERO,
                Words::new().wide(dollars).call("mint(uint256)"),
            ),
            (
                self.token,
                U256::ZERO,
                approve.call("approve(address,uint256)"),
            ),
            (
                vault,
                U256::ZERO,
                Contract::deposit_token_call(USDC, dollars),
            ),
        ];
        let done = usize::try_from(done).unwrap_or(usize::MAX);
        for (to, value, data) in steps.into_iter().skip(done) {
            gas += self.send(owner, Some(to), value, data)?;
        }
        Ok(gas)
    }
}

struct Keys {
    gas: LocalKey,
    guardian: LocalKey,
    faucet: LocalKey,
    signers: Vec<LocalKey>,
}

impl Keys {
    /// Opens the keys, or makes those that are missing of a chain that has not begun. Their passphrase is
    /// random and lies beside them: on the embedded chain it keeps nobody out who can read the folder.
    fn open(disk: &Arc<dyn Disk>, folder: &Path, fresh: bool) -> Result<Self, AnchorError> {
        let trouble = |source| AnchorError::Folder {
            path: folder.into(),
            source,
        };
        disk.make_dir(folder).map_err(trouble)?;
        let passphrase = passphrase(folder, fresh)?;
        let key = |name: &str, role| key(folder, name, role, &passphrase, fresh);
        let keys = Self {
            gas: key("gas", Role::Gas)?,
            guardian: key("guardian", Role::Guardian)?,
            faucet: key("faucet", Role::Gas)?,
            signers: (1..=SIGNERS)
                .map(|number| key(&format!("signer-{number}"), Role::Signer))
                .collect::<Result<_, _>>()?,
        };
        disk.sync_dir(folder).map_err(trouble)?;
        apart(&[&keys.gas, &keys.guardian, &keys.faucet], &keys.signers)?;
        Ok(keys)
    }
}

/// The passphrase in a folder; made if it may be and is not there.
///
/// # Errors
/// The file.
pub fn passphrase(folder: &Path, make: bool) -> Result<Passphrase, AnchorError> {
    let path = folder.join("passphrase");
    if make && !path.exists() {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random).map_err(|error| KeyError::Random(error.to_string()))?;
        let text = format!("{}\n", hex::encode(random));
        key_file::write_private(&path, text.as_bytes())?;
    }
    Ok(Passphrase::read(&path)?)
}

/// The key `NAME.key` in a folder; made if it may be and is not there.
///
/// # Errors
/// The file.
pub fn key(
    folder: &Path,
    name: &str,
    role: Role,
    passphrase: &Passphrase,
    make: bool,
) -> Result<LocalKey, AnchorError> {
    let path = folder.join(format!("{name}.key"));
    if make && !path.exists() {
        let key = LocalKey::generate().map_err(|error| KeyError::Random(error.to_string()))?;
        key_file::save(&key, role, &path, passphrase, Work::RANDOM)?;
    }
    Ok(key_file::load(&path, role, passphrase)?)
}
