//! Lines about the life of a contract after trading: `days FIRST to LAST of CONTRACT at VALUE` lets those
//! days of its window pass, each with its daily fixing; `fixing daily ROUND VALUE day N of CONTRACT` is one
//! of them without waiting for it.

use engine::{
    command::{Command, FixingKind, SubmitFixing},
    event::Event,
    ids::InstrumentId,
    units::{DAY, Nanos},
};

use super::{
    actions::Done,
    words::{Words, decimal},
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
