//! Lines about epochs and the chain.
//!
//! `epoch`, `owner WHO NN`, `chain NN deposit MONEY [number N] [forged]` (NN: an address, two hex digits twenty
//! times; without an account it gets one by the name `0xNN`). Checks: `root [owed N] [in N] [out N] [sandbox N]
//! [missing N] [deposits N] [postable N]`, `leaf WHO [available N] [locked N] [closed N]` of the newest epoch.

use engine::{
    command::{ChainDeposit, Command, SetAccountOwner},
    event::Event,
    ids::{AccountId, house},
    roots::chain::{ChainHeader, Tip},
};

use super::{
    actions::Done,
    given::request,
    words::Words,
    world::{MONEY, World},
};

pub(super) fn address(text: &str) -> Result<[u8; 20], String> {
    let byte = u8::from_str_radix(text, 16);
    byte.map(|byte| [byte; 20])
        .map_err(|_| format!("  {text:?} is no address: two hex digits"))
}

/// Runs one line, if it is one of these.
pub(super) fn act(world: &mut World, verb: &str, line: &str) -> Result<Option<Done>, String> {
    let mut words = Words::new(line);
    words.next("a command")?;
    let command = match verb {
        "epoch" => Command::MarkEpoch,
        "owner" => Command::SetAccountOwner(request(SetAccountOwner {
            account: match words.next("an account")? {
                "house-fees" => house::FEES,
                name => world.account(name)?,
            },
            owner: address(words.next("an address")?)?,
        })),
        "chain" => return deposit(world, words).map(Some),
        _ => return super::exits::act(world, verb, line),
    };
    words.finish()?;
    Ok(Some(Done::of(world.apply(command)?)))
}

fn deposit(world: &mut World, mut words: Words<'_>) -> Result<Done, String> {
    let name = words.next("an address")?;
    let owner = address(name)?;
    let label = format!("0x{name}");
    if words.next("'deposit'")? != "deposit" {
        return Err("  what does the chain show?".into());
    }
    let amount = words.next_number("an amount")?;
    let known = world.exchange.chain_deposits();
    let id = words.unsigned("number")?.unwrap_or(known.count);
    let mut totals = known.tip.totals.clone();
    totals.resize(world.exchange.assets().len(), 0);
    totals[0] += u128::try_from(amount).unwrap_or(0);
    let tip = Tip {
        previous: known.chain,
        owner,
        asset: 1,
        amount: u128::try_from(amount).unwrap_or(0),
        totals,
    };
    let mut chain = tip.chained(id);
    if words.flag("forged") {
        chain[0] ^= 1;
    }
    words.finish()?;
    let before = world.exchange.accounts().len();
    let events = world.apply(Command::CreditChainDeposit(request(ChainDeposit {
        id,
        owner,
        asset: MONEY,
        amount,
        totals: tip.totals,
        chain,
        block: 1,
    })))?;
    if world.exchange.accounts().len() > before {
        world.accounts.push((label, AccountId::nth(before)));
    }
    Ok(Done::of(events))
}

/// In a story's words.
pub(super) fn told(event: &Event) -> Option<String> {
    match event {
        Event::Epoch(mark) => Some(format!("epoch {}", mark.epoch)),
        Event::Owner(change) => {
            let (byte, nonce) = (change.owner[0], change.nonce);
            Some(format!("owner {byte:02x} change {nonce}"))
        }
        other => super::exits::told(other),
    }
}

/// Numbers of the newest epoch.
pub(super) fn rows(
    world: &World,
    what: &str,
    words: &mut Words<'_>,
) -> Result<Vec<(&'static str, i64)>, String> {
    let epoch = world.roots.provable().ok_or("  no epoch has ended")?;
    let long = |amount: u128| i64::try_from(amount).unwrap_or(i64::MAX);
    if what == "leaf" {
        let account = match words.next("an account")? {
            "insurance" => house::INSURANCE,
            name => world.account(name)?,
        };
        let number = epoch.header.epoch;
        let proven = world.roots.prove_balance(number, account, MONEY);
        let (leaf, path) = proven.ok_or("  the account was not open")?;
        let reached = path.reach()?;
        let tree = &epoch.state.assets[0];
        if (reached.root, &reached.sums[..]) != (tree.root, &[tree.sum][..]) {
            return Err("  the path does not lead to the root".into());
        }
        return Ok(vec![
            ("available", long(leaf.available)),
            ("locked", long(leaf.locked)),
            ("closed", leaf.closed.into()),
        ]);
    }
    let flow = &epoch.header.assets[0];
    let missing = flow.uncovered().ok_or("  less is owed than came in")?;
    let postable = ChainHeader::of(&epoch.header, (1, [0; 32]), 0);
    Ok(vec![
        ("owed", long(flow.liabilities)),
        ("in", long(flow.deposited)),
        ("out", long(flow.withdrawn)),
        ("sandbox", long(flow.sandbox)),
        ("missing", long(missing)),
        ("deposits", long(epoch.header.chain_deposits.into())),
        ("postable", postable.is_ok().into()),
    ])
}
