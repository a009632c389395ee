//! What must hold of the roots of any state: the leaves are everybody's money, and they add up to what came in.

use engine::{
    command::Stamped,
    event::{EpochMarked, Event},
    exchange::Exchange,
    ids::{AccountId, AssetId, house},
    roots::{Epoch, Roots, keccak::Lanes, leaf::tag},
};

/// The same epoch from the whole state at once, by somebody who saw nothing of what led to it.
///
/// # Panics
/// If nothing was sealed.
#[must_use]
pub fn from_scratch(exchange: &Exchange, stamped: &Stamped) -> Epoch {
    let number = exchange.epochs().newest;
    sealed(&mut Roots::new(Lanes::One), exchange, stamped, number)
}

/// As if an epoch ended here.
fn sealed(roots: &mut Roots, exchange: &Exchange, stamped: &Stamped, epoch: u64) -> Epoch {
    let mark = Event::Epoch(EpochMarked { epoch });
    roots.hear(exchange, stamped, &[mark]);
    roots.end_of_block([0; 32]);
    roots.provable().expect("sealed").clone()
}

/// The roots after an epoch that ends here, so that the next one builds on their trees.
#[must_use]
pub fn marked(mut roots: Roots, exchange: &Exchange, stamped: &Stamped) -> Roots {
    let newest = roots.epochs().back().map_or(0, |epoch| epoch.header.epoch);
    sealed(&mut roots, exchange, stamped, newest + 1);
    roots
}

/// Roots that were kept along say what the whole state says, and that adds up.
///
/// # Errors
/// What does not.
pub fn check(roots: &Roots, exchange: &Exchange, stamped: &Stamped) -> Result<(), String> {
    let at = stamped.seq;
    let mut kept = roots.clone();
    let newest = roots.epochs().back().map_or(0, |epoch| epoch.header.epoch);
    let epoch = sealed(&mut kept, exchange, stamped, newest + 1);
    let again = from_scratch(exchange, stamped);
    if (&epoch.state, &epoch.header.assets) != (&again.state, &again.header.assets) {
        return Err(format!(
            "command {at}: roots kept along {epoch:?} are not those of the state {again:?}"
        ));
    }
    for (place, flow) in epoch.header.assets.iter().enumerate() {
        let asset = AssetId::nth(place);
        let leaves = exchange.accounts().iter().map(|account| {
            let proven = kept.prove_balance(newest + 1, account.id, asset);
            proven.map_or(0, |(leaf, _)| leaf.sum())
        });
        let sum: u128 = leaves.sum();
        let missing = missing(exchange, asset);
        let books = exchange.ledger().flow(asset);
        let (came, left) = (wide(books.deposited), wide(books.withdrawn));
        if sum != flow.liabilities
            || (flow.deposited, flow.withdrawn) != (came, left)
            || flow.uncovered() != Some(missing)
        {
            return Err(format!(
                "command {at}, asset {}: leaves {sum}, {missing} missing, {came} came in, {left} went out, but \
                 the header says {flow:?}",
                flow.asset
            ));
        }
        let top = epoch.tops.balances[place].root(tag::BALANCE_NODE);
        let tree = &epoch.state.assets[place];
        if top != Some((tree.root, tree.sum)) {
            return Err(format!("command {at}: {:?} is not above its tops", tree));
        }
    }
    Ok(())
}

fn wide(amount: impl TryInto<u128>) -> u128 {
    amount.try_into().unwrap_or(0)
}

/// What accounts lack and the venue's own cannot cover, counted from the books alone.
fn missing(exchange: &Exchange, asset: AssetId) -> u128 {
    let variation = |account: AccountId| -> i128 {
        let mine = exchange.positions().of(account).filter(|position| {
            let contract = exchange.instrument(position.instrument);
            contract.is_some_and(|contract| {
                contract.terms.price_asset == asset
                    && contract.terms.kind == engine::instrument::Kind::Forward
            })
        });
        mine.map(|position| i128::from(position.result.0)).sum()
    };
    let accounts = || exchange.accounts().iter().map(|account| account.id);
    let all: i128 = accounts()
        .filter(|account| *account != house::ROUNDING)
        .map(variation)
        .sum();
    let equity = |account: AccountId| {
        let exit = match account {
            house::ROUNDING => -all,
            _ => variation(account),
        };
        i128::from(exchange.ledger().balance(account, asset).cash.0) + exit
    };
    let lack: i128 = accounts().map(|account| (-equity(account)).max(0)).sum();
    let cover = [house::INSURANCE, house::FEES, house::ROUNDING];
    let cover: i128 = cover.map(|account| equity(account).max(0)).iter().sum();
    wide((lack - cover).max(0))
}
