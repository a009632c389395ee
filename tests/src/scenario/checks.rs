//! Lines that look at the books.
//!
//! `book [CONTRACT] bid LOTS @ PRICE (WHO #N, ...), ...; ask empty`, `balance WHO [cash N] [held N]
//! [margin N] [credit N] [result N] [available N]`, `position WHO [on CONTRACT] [net N] [realised N] [unrealised N]
//! [cost N] [buys N] [sells N] [owed N] [needs N]`, `contract [NAME] [mark N] [low N] [high N] [volume N]
//! [last N] [interest N] [settlement N] [long PPM] [short PPM]` (the last two: initial margin in force), `order WHO #N [price P] [total N] [filled N] [open N]
//! [priority N]`,
//! `fees N`, `rounding N`, `insured N` (what the insurance fund has).

use engine::ids::{AccountId, house};

use super::{
    words::{Words, grouped},
    world::{MONEY, World},
};

/// Expected and actual text of a check line; `None` if it is no check.
pub(super) fn look(world: &World, line: &str) -> Result<Option<(String, String)>, String> {
    let mut words = Words::new(line);
    let rows = match words.next("a check")? {
        what @ ("obligation" | "capacity") => super::delivery::rows(world, what, &mut words)?,
        what @ ("root" | "leaf") => super::roots::rows(world, what, &mut words)?,
        "exits" => super::exits::rows(world),
        "book" => return book(world, line).map(Some),
        "balance" => balance(world, world.account(words.next("an account")?)?),
        "position" => {
            let account = world.account(words.next("an account")?)?;
            let contract = world.contract(words.value("on")?)?;
            position(world, account, contract)?
        }
        "contract" => {
            let named = world.contracts.iter().find(|(name, _)| words.flag(name));
            contract(world, named.map(|(name, _)| name.as_str()))?
        }
        "index" => super::oracle::rows(world)?,
        "order" => {
            let account = world.account(words.next("an account")?)?;
            let id = words.tagged()?.ok_or("  which order?")?;
            order(world, account, id)?
        }
        "fees" => return cash(world, house::FEES, words).map(Some),
        "insured" => return cash(world, house::INSURANCE, words).map(Some),
        "rounding" => return cash(world, house::ROUNDING, words).map(Some),
        _ => return Ok(None),
    };
    let (mut expected, mut actual) = (Vec::new(), Vec::new());
    for (name, is) in rows {
        if let Some(want) = words.number(name)? {
            expected.push(format!("{name} {}", grouped(want)));
            actual.push(format!("{name} {}", grouped(is)));
        }
    }
    words.finish()?;
    if expected.is_empty() {
        return Err("  the line checks nothing".into());
    }
    Ok(Some((expected.join(" "), actual.join(" "))))
}

type Rows = Vec<(&'static str, i64)>;

fn book(world: &World, line: &str) -> Result<(String, String), String> {
    let rest = line.trim_start_matches("book").trim();
    let (name, want) = match rest.split_once(' ') {
        Some(("bid", _)) => (None, rest),
        Some((first, want)) => (Some(first), want),
        None => return Err("  a book line needs 'bid ...; ask ...'".into()),
    };
    let id = world.contract(name)?;
    Ok((want.trim().into(), world.book(id)))
}

fn cash(
    world: &World,
    account: AccountId,
    mut words: Words<'_>,
) -> Result<(String, String), String> {
    let want = words.next_number("an amount")?;
    words.finish()?;
    let is = world.exchange.ledger().balance(account, MONEY).cash.0;
    Ok((grouped(want), grouped(is)))
}

fn balance(world: &World, account: AccountId) -> Rows {
    let balance = world.exchange.ledger().balance(account, MONEY);
    vec![
        ("cash", balance.cash.0),
        ("held", balance.held.0),
        ("margin", balance.margin.0),
        ("credit", world.exchange.credited(account, MONEY).0),
        ("result", balance.result.0),
        ("available", balance.available().0),
    ]
}

fn position(
    world: &World,
    account: AccountId,
    contract: engine::ids::InstrumentId,
) -> Result<Rows, String> {
    let position = world.exchange.positions().view(account, contract);
    let row = world.exchange.position_row(&position);
    let cost = i64::try_from(row.cost.0).map_err(|e| e.to_string())?;
    Ok(vec![
        ("net", row.net.0),
        ("realised", row.realised.0),
        ("unrealised", row.unrealised.0),
        ("cost", cost),
        ("buys", row.open_buy.0),
        ("sells", row.open_sell.0),
        ("owed", position.owed.0),
        ("needs", row.requirement.0),
    ])
}

fn contract(world: &World, name: Option<&str>) -> Result<Rows, String> {
    let id = world.contract(name)?;
    let contract = world.exchange.instrument(id).ok_or("  no such contract")?;
    let (low, high) = contract.at_mark.band;
    let statistics = &contract.statistics;
    let price = |price: Option<engine::units::Ticks>| price.map_or(0, |price| price.0);
    Ok(vec![
        ("mark", contract.mark.0),
        ("low", low.0),
        ("high", high.0),
        ("volume", statistics.volume),
        ("last", price(statistics.last)),
        ("interest", statistics.open_interest),
        ("settlement", price(statistics.settlement)),
        ("long", contract.rates.0.0.into()),
        ("short", contract.rates.1.0.into()),
    ])
}

fn order(world: &World, account: AccountId, id: u64) -> Result<Rows, String> {
    let found = world
        .order_id(account, id)
        .and_then(|id| world.exchange.orders().get(id));
    let order = found.ok_or("  no such order")?;
    Ok(vec![
        ("price", order.price.0),
        ("total", order.total.0),
        ("filled", order.filled.0),
        ("open", order.open.0),
        ("priority", i64::try_from(order.priority).unwrap_or(-1)),
    ])
}
