//! Lines about batches, quotes, protection groups and kill switches.
//!
//! `WHO batch best|stop|all [via DESK ...]: ITEM; ITEM; ...` with items as in the lines of single orders,
//! `WHO quote group N via DESK [id N] [names]: [on CONTRACT] [slot N] [bid LOTS P] [ask LOTS P]; ...`,
//! `WHO group N [product P] [window MS] [freeze MS] [quantity N] [net N] [notional N] [fills N]
//! [contracts N] [most LOTS]`, `WHO reset N [via DESK]`,
//! `kill|release session DESK|account WHO|firm F|venue [cancel]`. An item number is told to those who
//! ask for `item`.

use engine::{
    command::{
        Batch, BatchItem, BatchPolicy, Command, MassQuote, MmpGroup, QuoteEntry, QuoteSide,
        ResetMmp, SetKillSwitch, Side, SwitchScope,
    },
    event::Event,
    ids::{AccountId, FirmId, ProductId, SessionId},
    units::{Lots, Ticks},
};

use super::{
    actions::{Done, origin, read_cancel, read_place, read_replace},
    given::request,
    words::{Words, grouped, reason},
    world::World,
};

/// The protection group of an order or a selection.
pub(super) fn group(words: &mut Words<'_>) -> Result<u16, String> {
    u16::try_from(words.number("mmp")?.unwrap_or(0)).map_err(|e| e.to_string())
}

/// Runs one line.
pub(super) fn act(world: &mut World, account: AccountId, line: &str) -> Result<Done, String> {
    let (head, list) = line.split_once(':').unwrap_or((line, ""));
    let mut words = Words::new(head);
    words.next("who does it")?;
    match words.next("what is done")? {
        "batch" => batch(world, account, words, list),
        "quote" => quote(world, account, words, list),
        "group" => set_group(world, account, words),
        _ => {
            let number = words.next_number("a group")?;
            let mmp_group = u16::try_from(number).map_err(|e| e.to_string())?;
            let origin = origin(world, account, &mut words)?;
            words.finish()?;
            let reset = ResetMmp { origin, mmp_group };
            world.apply(Command::ResetMmp(reset)).map(Done::of)
        }
    }
}

fn batch(
    world: &mut World,
    account: AccountId,
    mut words: Words<'_>,
    list: &str,
) -> Result<Done, String> {
    let policies = [
        ("best", BatchPolicy::BestEffort),
        ("stop", BatchPolicy::StopOnReject),
        ("all", BatchPolicy::AllOrNoneValidate),
    ];
    let policy = words.one_of(&policies).ok_or("  which policy?")?;
    let origin = origin(world, account, &mut words)?;
    words.finish()?;
    let mut items = Vec::new();
    for item in list
        .split(';')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        let mut words = Words::new(item);
        items.push(match words.next("what is done")? {
            "buy" => BatchItem::Place(read_place(world, account, Side::Buy, words)?.0),
            "sell" => BatchItem::Place(read_place(world, account, Side::Sell, words)?.0),
            "replace" => BatchItem::Replace(read_replace(world, account, words)?.0),
            "cancel" => BatchItem::Cancel(read_cancel(world, account, words)?.0),
            word => return Err(format!("  unknown word {word:?}")),
        });
    }
    let batch = Batch {
        origin,
        policy,
        items,
    };
    world.apply(Command::Batch(batch)).map(Done::of)
}

fn quote(
    world: &mut World,
    account: AccountId,
    mut words: Words<'_>,
    list: &str,
) -> Result<Done, String> {
    let number = words.number("group")?.unwrap_or(0);
    let quote_id = words.number("id")?.unwrap_or(1);
    let report_order_ids = words.flag("names");
    let origin = origin(world, account, &mut words)?;
    words.finish()?;
    let mut entries = Vec::new();
    for rung in list
        .split(';')
        .map(str::trim)
        .filter(|rung| !rung.is_empty())
    {
        entries.push(entry(world, Words::new(rung))?);
    }
    let quote = MassQuote {
        origin,
        quote_id,
        mmp_group: u16::try_from(number).map_err(|e| e.to_string())?,
        entries,
        report_order_ids,
    };
    world.apply(Command::MassQuote(quote)).map(Done::of)
}

fn entry(world: &World, mut words: Words<'_>) -> Result<QuoteEntry, String> {
    let instrument = world.contract(words.value("on")?)?;
    let slot = words.number("slot")?.unwrap_or(0);
    let (mut bid, mut ask) = (None, None);
    for _ in 0..2 {
        let Ok(side) = words.next("a side") else {
            break;
        };
        let lots = Lots(words.next_number("lots")?);
        let price = if lots.0 == 0 {
            Ticks(0)
        } else {
            Ticks(words.next_number("a price")?)
        };
        match side {
            "bid" => bid = Some(QuoteSide { price, lots }),
            "ask" => ask = Some(QuoteSide { price, lots }),
            word => return Err(format!("  unknown word {word:?}")),
        }
    }
    words.finish()?;
    Ok(QuoteEntry {
        instrument,
        slot: u8::try_from(slot).map_err(|e| e.to_string())?,
        bid,
        ask,
    })
}

fn set_group(world: &mut World, account: AccountId, mut words: Words<'_>) -> Result<Done, String> {
    let number = words.next_number("a group")?;
    let known = |name: &str| {
        let mut products = world.exchange.products().iter();
        products
            .position(|known| known == name)
            .map_or(ProductId(999), ProductId::nth)
    };
    let product = words.value("product")?.map_or(ProductId(1), known);
    let small = |number: Option<i64>, none| {
        i32::try_from(number.unwrap_or(none)).map_err(|e| e.to_string())
    };
    let set = MmpGroup {
        account,
        mmp_group: u16::try_from(number).map_err(|e| e.to_string())?,
        product,
        window_ms: small(words.number("window")?, 1_000)?,
        frozen_ms: small(words.number("freeze")?, 0)?,
        quantity_limit: words.number("quantity")?.unwrap_or(0),
        net_limit: words.number("net")?.unwrap_or(0),
        notional_limit: words.number("notional")?.unwrap_or(0),
        fill_limit: small(words.number("fills")?, 0)?,
        contracts_limit: small(words.number("contracts")?, 0)?,
        max_quote_lots: Lots(words.number("most")?.unwrap_or(1_000)),
    };
    words.finish()?;
    let command = Command::SetMmpGroup(request(set));
    world.apply(command).map(Done::of)
}

/// A kill switch.
pub(super) fn switch(
    world: &mut World,
    verb: &str,
    words: &mut Words<'_>,
) -> Result<Command, String> {
    let scope = match words.next("a level")? {
        "session" => {
            let name = words.next("a session")?;
            let desk = world.desk(name).map(|desk| desk.id);
            SwitchScope::Session(desk.unwrap_or(SessionId(999)))
        }
        "account" => {
            let id = world.account(words.next("an account")?);
            SwitchScope::Account(id.unwrap_or(AccountId(999)))
        }
        "firm" => {
            let name = words.next("a firm")?;
            let row = world.firms.iter().find(|(known, _)| known == name);
            SwitchScope::Firm(row.map_or(FirmId(999), |(_, id)| *id))
        }
        "venue" => SwitchScope::Venue,
        word => return Err(format!("  unknown word {word:?}")),
    };
    Ok(Command::SetKillSwitch(request(SetKillSwitch {
        scope,
        engaged: verb == "kill",
        cancel_open_orders: words.flag("cancel"),
    })))
}

/// What batches, quotes, groups and switches tell.
pub(super) fn told(world: &World, event: &Event, wish: &str) -> Option<String> {
    let side = |side| if side == Side::Buy { "bid" } else { "ask" };
    Some(match event {
        Event::BatchDone(done) => {
            let (yes, no, not) = (done.accepted, done.rejected, done.not_attempted);
            format!("batch {yes} accepted {no} rejected {not} skipped")
        }
        Event::QuoteProblem(row) => {
            let why = reason(row.problem.reason);
            format!("{} {} {why}", side(row.side), row.entry)
        }
        Event::QuoteOrder(row) => {
            let priority = row.priority;
            format!("{} {} has priority {priority}", side(row.side), row.entry)
        }
        Event::Quoted(quoted) => format!("quoted {} kept {}", quoted.accepted, quoted.kept),
        Event::Mmp(change) if change.frozen => {
            let limit = change.limit.map_or(String::new(), |l| format!("{l:?}"));
            let count = change.cancelled;
            let whose = world.account_name(change.account);
            format!(
                "{whose} group {} frozen {limit}, {count} cancelled",
                change.mmp_group
            )
        }
        Event::Mmp(change) => {
            let whose = world.account_name(change.account);
            format!("{whose} group {} open", change.mmp_group)
        }
        Event::Switch(change) => if change.engaged { "killed" } else { "released" }.into(),
        Event::Done(done) if wish.contains("object") => {
            let (object, count) = (grouped(i64::try_from(done.object).ok()?), done.cancelled);
            format!("object {object} cancelled {count}")
        }
        _ => return None,
    })
}
