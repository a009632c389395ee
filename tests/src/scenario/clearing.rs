//! Lines about the life of a contract after trading: `days FIRST to LAST of CONTRACT at VALUE` lets those
//! days of its window pass, each with its daily fixing; `fixing daily ROUND VALUE day N of CONTRACT` is one
//! of them without waiting for it. `default reach S slice S pause SECONDS tries N offer SECONDS away S cap MONEY
//! [backstop WHO]` sets how defaults are dealt with; `WHO bid OFFER LOTS @ PRICE` is a sealed bid.

use engine::{
    command::{BidOffer, Command, DefaultTerms, FixingKind, Origin, Side, SubmitFixing},
    event::{ClearingEvent, Event, Health, Moving},
    ids::{AccountId, InstrumentId},
    units::{DAY, Lots, Nanos, Ticks},
};

use super::{
    actions::Done,
    given::request,
    words::{Words, decimal, grouped, share},
    world::{INDEX, World},
};

/// Contracts named after `into`.
pub(super) fn cascade(world: &World, words: &mut Words<'_>) -> Vec<InstrumentId> {
    let names = words.rest_after("into");
    let ids = names.iter().map(|name| world.contract(Some(name)));
    ids.filter_map(Result::ok).collect()
}

/// Midnight that begins a contract's day, counted from 1.
pub(super) fn day(world: &World, words: &mut Words<'_>) -> Result<Nanos, String> {
    let Some(number) = words.number("day")? else {
        return Ok(Nanos::ZERO);
    };
    let id = world.contract(words.value("of")?)?;
    let contract = world.exchange.instrument(id).ok_or("  no such contract")?;
    Ok(contract.terms.window.start.after((number - 1) * DAY))
}

/// Lets days pass.
pub(super) fn days(world: &mut World, mut words: Words<'_>) -> Result<Done, String> {
    let first = words.next_number("the first day")?;
    let last = words.number("to")?.unwrap_or(first);
    let id = world.contract(words.value("of")?)?;
    let mut value = decimal(words.value("at")?.ok_or("  at which value?")?)?;
    value.exponent -= 8;
    words.finish()?;
    let contract = world.exchange.instrument(id).ok_or("  no such contract")?;
    let start = contract.terms.window.start;
    let mut events = Vec::new();
    for number in first..=last {
        let day = start.after((number - 1) * DAY);
        events.extend(until(world, day.after(DAY))?);
        let index = &world.exchange.indexes()[INDEX.index().unwrap_or(0)];
        let newest = index.rounds.iter().flatten().map(|(round, _, _)| *round);
        let round = newest.max().unwrap_or(0) + 1;
        let fixing = SubmitFixing {
            index: INDEX,
            kind: FixingKind::Daily,
            round,
            value,
            day,
            key_id: "oracle".into(),
        };
        events.extend(world.apply(Command::SubmitFixing(fixing))?);
    }
    Ok(Done::of(events))
}

/// Lets time pass up to a moment, with everything that falls due.
fn until(world: &mut World, moment: Nanos) -> Result<Vec<Event>, String> {
    world.now = world.now.max(moment);
    let mut events = Vec::new();
    while world
        .exchange
        .next_deadline()
        .is_some_and(|due| due <= world.now)
    {
        events.extend(world.apply(Command::Tick)?);
    }
    Ok(events)
}

/// Sets how defaults are dealt with.
pub(super) fn terms(world: &World, words: &mut Words<'_>) -> Result<Command, String> {
    let backstop = words.value("backstop")?.map(|name| world.account(name));
    let mut part = |name| {
        let text = words.value(name)?.ok_or(format!("  {name}?"))?;
        share(text)
    };
    let (reach, slice, offer_reach) = (part("reach")?, part("slice")?, part("away")?);
    let mut count = |name| {
        let value = words.number(name)?.ok_or(format!("  {name}?"))?;
        i32::try_from(value).map_err(|e| e.to_string())
    };
    let (pause, tries, offer) = (count("pause")?, count("tries")?, count("offer")?);
    Ok(Command::SetDefaultTerms(request(DefaultTerms {
        reach,
        slice,
        pause_ms: pause * 1_000,
        tries,
        offer_ms: offer * 1_000,
        offer_reach,
        debt_cap: words.number("cap")?.ok_or("  cap?")?,
        backstop: backstop.transpose()?.unwrap_or_default(),
    })))
}

/// A sealed bid.
pub(super) fn bid(
    world: &mut World,
    account: AccountId,
    mut words: Words<'_>,
) -> Result<Done, String> {
    let offer = words.next_number("an offer")?.unsigned_abs();
    let lots = Lots(words.next_number("lots")?);
    words.flag("@");
    let price = Ticks(words.next_number("a price")?);
    words.finish()?;
    let origin = Origin {
        account,
        ..Origin::default()
    };
    let bid = BidOffer {
        origin,
        offer,
        price,
        lots,
    };
    Ok(Done::of(world.apply(Command::BidOffer(bid))?))
}

/// A step of clearing, to those who ask for it: the line expects any of its words.
pub(super) fn told(world: &World, event: &ClearingEvent, wish: &str) -> Option<String> {
    let who = |account| world.account_name(account).to_owned();
    let health = |word: &str, health: &Health| {
        let (who, missing) = (who(health.account), grouped(health.missing.0));
        (word.to_owned(), format!("{word} {who} missing {missing}"))
    };
    let (word, text) = match event {
        ClearingEvent::Called(row) => health("called", row),
        ClearingEvent::CallMet(row) => health("met", row),
        ClearingEvent::LiquidationBegan(row) => health("liquidation", row),
        ClearingEvent::LiquidationEnded(row) => health("ended", row),
        ClearingEvent::Offered(row) => {
            let (net, worst) = (grouped(row.net.0), grouped(row.worst.0));
            let text = format!("offered {} net {net} worst {worst}", row.offer);
            ("offered".into(), text)
        }
        ClearingEvent::Moved(row) => {
            let verb = match row.side {
                Side::Buy => "buys",
                Side::Sell => "sells",
            };
            let why = match row.why {
                Moving::Offer(number) => format!("offer {number}"),
                Moving::Backstop => "backstop".into(),
                Moving::Deleveraged => "deleveraged".into(),
                Moving::Fund => "fund".into(),
            };
            let (lots, price) = (grouped(row.lots.0), grouped(row.price.0));
            let text = format!("{} {verb} {lots} @ {price} by {why}", who(row.account));
            ("by".into(), text)
        }
        ClearingEvent::Covered(row) => {
            let (amount, fund) = (grouped(row.amount.0), grouped(row.fund.0));
            let text = format!("covered {} {amount} fund {fund}", who(row.account));
            ("covered".into(), text)
        }
        ClearingEvent::Cascaded(_) | ClearingEvent::DaySettled(_) => return None,
    };
    let asked = wish.split_whitespace().any(|known| known == word);
    asked.then_some(text)
}
