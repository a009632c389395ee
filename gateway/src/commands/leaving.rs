//! The demo's end on the chain: one trader withdraws by proof; then the operator falls silent, and another one
//! leaves without him. Everything a trader does here, he does with his own keys, the public API and the chain.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use engine::{
    journal::{Disk, RealDisk},
    roots::proof::TreeKind,
};
use revm::primitives::{Address, Bytes, U256};

use crate::{
    anchor::{
        abi::Words,
        chain::Chain,
        embedded::Embedded,
        home::{self, Home},
        key_file::Role,
        onchain::{Found, OnChain, OnChainError},
        run::{self, Anchoring},
        signer::{LocalKey, Signer},
    },
    cli::{
        proof::{Wanted, download, paid_out},
        withdraw,
    },
    client::Client,
    commands::onchain::escapes,
    keys::PrivateKey,
    proofs::file::{ProofFile, Shown},
    sandbox::{Actor, Sandbox, owner_key},
    server::Running,
};

/// What is withdrawn, satoshi.
const WITHDRAWN: i64 = 150_000_000;
/// The operator is silent for so long: a clock set ahead, which no public chain has. Seconds.
const SILENT: u64 = 2 * 3_600;
/// Longest wait for an anchor.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who leaves.
struct Leaver {
    name: String,
    account_id: i64,
    client: Client,
    owner: LocalKey,
}

/// What the second one keeps after the operator fell silent.
pub(super) struct Last {
    leaver: Leaver,
    file: ProofFile,
    home: Home,
}

async fn leaver(address: &str, actor: &Actor, keys: &Path) -> Result<Leaver> {
    let passphrase = home::passphrase(keys, false)?;
    let owner = home::key(
        keys,
        &owner_key(&actor.name),
        Role::Owner,
        &passphrase,
        false,
    )?;
    let client = Client::connect(address, PrivateKey::load(&actor.key)?).await?;
    Ok(Leaver {
        name: actor.name.clone(),
        account_id: actor.account,
        client,
        owner,
    })
}

fn on(chain: Arc<Embedded>, home: &Home) -> OnChain {
    OnChain {
        chain: chain as Arc<dyn Chain>,
        contract: home.contract,
        from_block: 0,
    }
}

/// A proof that holds, and its header on the chain.
fn check(on: &OnChain, file: &ProofFile) -> Result<(Shown, Found)> {
    let shown = file.check(None).map_err(anyhow::Error::msg)?;
    let found = on.find(&shown.header)?;
    Ok((shown, found))
}

fn send(on: &OnChain, key: &LocalKey, to: Address, data: Bytes) -> Result<u64, OnChainError> {
    let (_, receipt) = on.send(key, (to, U256::ZERO, data), 10)?;
    Ok(receipt.gas_used)
}

/// Waits until the newest final anchor's epoch is one that `enough` likes.
async fn final_epoch(
    running: &Running,
    anchoring: &Anchoring,
    enough: impl Fn(&engine::roots::Epoch) -> bool,
) -> Result<i64> {
    let mut reports = anchoring.watch();
    let there = reports.wait_for(|report| {
        let roots = running.book.roots();
        let epoch = roots.epoch(report.state.last.epoch);
        report.fault.is_some() || epoch.is_some_and(&enough)
    });
    let report = tokio::time::timeout(PATIENCE, there)
        .await
        .context("no anchor became final in time")??;
    if let Some(fault) = &report.fault {
        bail!("anchoring stopped: {fault}");
    }
    Ok(i64::try_from(report.state.last.epoch)?)
}

/// Waits until the vault pays from a proof's header: the challenge window, short here.
async fn payable(chain: &OnChain, file: &ProofFile) -> Result<(Shown, Found)> {
    let mut window = tokio::time::interval(Duration::from_millis(300));
    loop {
        window.tick().await;
        let (shown, found) = check(chain, file)?;
        match &found.payable {
            Ok(()) => return Ok((shown, found)),
            Err(why) if why.starts_with("NotFinal") => {}
            Err(why) => bail!("not payable: {why}"),
        }
    }
}

/// Somebody with orders and positions asks the chain for his exit; the operator is not asked.
async fn exit(anchoring: &Anchoring, chain: &OnChain, home: &Home, who: &Leaver) -> Result<String> {
    let number = u32::try_from(who.account_id)?;
    let (registry, vault) = (home.contract.registry, home.contract.vault);
    let call = Words::new()
        .number(number.into())
        .call("requestExit(uint32)");
    let asked = send(chain, &who.owner, registry, call)?;
    let mut reports = anchoring.watch();
    let claimed =
        reports.wait_for(|report| report.fault.is_some() || report.state.exits.claimed > 0);
    let report = tokio::time::timeout(PATIENCE, claimed)
        .await
        .context("no header claims the exit in time")??
        .clone();
    let epoch = i64::try_from(report.state.last.epoch)?;
    let withdrawals = paid_out(&who.client, who.account_id, epoch).await?;
    let wanted = Wanted {
        account_id: who.account_id,
        epoch,
        withdrawals: &withdrawals,
        trades: &[],
    };
    let file = download(&who.client, &wanted).await?;
    let (shown, found) = payable(chain, &file).await?;
    if shown
        .balances
        .iter()
        .any(|leaf| !leaf.closed || leaf.sum() != 0)
    {
        bail!("account {number} is served, and not closed and empty");
    }
    let mut paid = Vec::new();
    for (leaf, path) in shown.withdrawals.iter().zip(&file.withdrawals) {
        let path = path
            .inclusion(TreeKind::Withdrawals)
            .map_err(anyhow::Error::msg)?;
        let gas = send(
            chain,
            &who.owner,
            vault,
            OnChain::withdraw(&found, leaf, &path),
        )?;
        paid.push(format!(
            "{} of asset {} ({gas} gas)",
            leaf.amount, leaf.asset
        ));
    }
    Ok(format!(
        "left         {} asked the chain for its exit ({asked} gas): closed and paid out without the operator, claimed \
         by anchor {}; took {}",
        who.name,
        found.row.anchor,
        paid.join(", ")
    ))
}

/// Everything up to the operator's silence. Afterwards nobody anchors any more.
pub(super) async fn withdraw(
    running: &mut Running,
    sandbox: &Sandbox,
    keys: &Path,
) -> Result<(Vec<String>, Last)> {
    let anchoring = running.anchoring.as_ref().context("nothing is anchored")?;
    let home = anchoring
        .home
        .clone()
        .context("another chain than the embedded one")?;
    let address = format!("http://{}", running.address);
    let takers: Vec<_> = sandbox.role("taker").collect();
    let [first, second, ..] = takers.as_slice() else {
        bail!("two takers are needed");
    };
    let operator = sandbox.role("operator").next().context("no operator")?;
    let operator = Client::connect(&address, PrivateKey::load(&operator.key)?).await?;
    let first = leaver(&address, first, keys).await?;
    let second = leaver(&address, second, keys).await?;
    let chain = on(home.chain.clone(), &home);

    let (account, asset) = (first.account_id, i32::from(home::BTC));
    let transfer = withdraw::request(&first.client, account, asset, WITHDRAWN).await?;
    withdraw::approve(&operator, transfer).await?;
    let has =
        |epoch: &engine::roots::Epoch| epoch.header.assets.iter().any(|flow| flow.withdrawals > 0);
    let epoch = final_epoch(running, anchoring, has).await?;
    let wanted = Wanted {
        account_id: account,
        epoch,
        withdrawals: &[transfer],
        trades: &[],
    };
    let file = download(&first.client, &wanted).await?;
    let (shown, found) = payable(&chain, &file).await?;
    let path = file
        .withdrawals
        .first()
        .context("no withdrawal in the proof")?;
    let path = path
        .inclusion(TreeKind::Withdrawals)
        .map_err(anyhow::Error::msg)?;
    let leaf = shown
        .withdrawals
        .first()
        .context("no withdrawal in the proof")?;
    let before = home.chain.balance(first.owner.address());
    let call = OnChain::withdraw(&found, leaf, &path);
    let gas = send(&chain, &first.owner, home.contract.vault, call)?;
    let fee = U256::from(gas) * U256::from(crate::anchor::embedded::BASE_FEE);
    let paid = home.chain.balance(first.owner.address()) + fee - before;
    if paid != U256::from(WITHDRAWN) * U256::from(home::WEI_PER_SAT) {
        bail!("{paid} wei were paid for {WITHDRAWN} satoshi");
    }
    let mut lines = vec![format!(
        "withdrawn    {} took {WITHDRAWN} sat out of the contract with a proof against anchor {} (epoch {}); \
         {gas} gas",
        first.name, found.row.anchor, found.row.epoch
    )];
    if let Some(miner) = sandbox.role("miner").next() {
        let miner = leaver(&address, miner, keys).await?;
        lines.push(exit(anchoring, &chain, &home, &miner).await?);
    }

    // The operator falls silent: nothing is anchored from now on. The trader fetches his last proof.
    let anchoring = running.anchoring.take().context("nothing is anchored")?;
    let mut report = anchoring.watch();
    anchoring.stop();
    let report = report.borrow_and_update().clone();
    lines.push(format!(
        "anchored     {} headers, {} gas in all, the newest with epoch {}",
        report.state.last.number, report.gas_used, report.state.last.epoch
    ));
    let wanted = Wanted {
        account_id: second.account_id,
        epoch: i64::try_from(report.state.last.epoch)?,
        withdrawals: &[],
        trades: &[],
    };
    let file = download(&second.client, &wanted).await?;
    let last = Last {
        leaver: second,
        file,
        home,
    };
    Ok((lines, last))
}

/// The exchange is stopped. Freeze, settle, escape.
pub(super) fn escape(folder: &Path, last: &Last) -> Result<Vec<String>> {
    let Last { leaver, file, home } = last;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let clock = Arc::new(|| run::now() + SILENT);
    let genesis = crate::anchor::embedded::Genesis {
        chain_id: home::CHAIN_ID,
        coins: Vec::new(),
    };
    let chain = Embedded::open(disk, &run::folder(folder).join("chain"), &genesis, clock)?;
    let chain = Arc::new(chain);
    let on = on(chain.clone(), home);
    let (shown, found) = check(&on, file)?;
    let registry = home.contract.registry;
    let freeze = Words::new().call("freezeSilence()");
    let frozen = send(&on, &leaver.owner, registry, freeze)?;
    let settled = send(&on, &leaver.owner, registry, OnChain::settle(&found))?;
    let before = chain.balance(leaver.owner.address());
    let mut gas = Vec::new();
    for (_, call) in escapes(file, &shown, &found)? {
        gas.push(send(&on, &leaver.owner, home.contract.vault, call)?);
    }
    let fee = U256::from(gas.iter().sum::<u64>()) * U256::from(crate::anchor::embedded::BASE_FEE);
    let paid = chain.balance(leaver.owner.address()) + fee - before;
    let coins = shown.balances.iter().filter(|leaf| leaf.asset == home::BTC);
    let owed: u128 = coins.map(engine::roots::leaf::BalanceLeaf::sum).sum();
    if paid != U256::from(owed) * U256::from(home::WEI_PER_SAT) {
        bail!("{paid} wei were paid for {owed} satoshi");
    }
    Ok(vec![format!(
        "escaped      the operator silent for {} h (the chain's clock set ahead), {} froze ({frozen} gas), settled \
         ({settled}) and left with {owed} sat and its dollars ({gas:?} gas): every satoshi of its last proof",
        SILENT / 3_600,
        leaver.name
    )])
}
