//! Lines about trades agreed off the book.
//!
//! `block WHO buy|sell LOTS @ PRICE with FIRM #KEY [on CONTRACT] [by +S]` reports (`by` counts from the beginning of the present hour; 2 h if left out);
//! `affirm WHO NUMBER`, `refuse WHO NUMBER` answer. Told: `block NUMBER STATE`, and to who asks for `off book`, its fills.

use engine::{
    command::{AffirmBlock, BlockTerms, BlockWish, Command, Origin, ReportBlock, Side},
    event::{BlockChange, BlockState, OrderEvent},
    ids::FirmId,
    units::{Lots, Nanos, SECOND, Ticks},
};

use super::{
    actions::Done,
    words::{Words, seconds},
    world::World,
};

/// Runs one line, if it is one of these.
pub(super) fn act(world: &mut World, verb: &str, line: &str) -> Result<Option<Done>, String> {
    let mut words = Words::new(line);
    words.next("a command")?;
    let wish = match verb {
        "block" => BlockWish::Report(report(world, &mut words)?),
        "affirm" | "refuse" => BlockWish::Affirm(AffirmBlock {
            origin: Origin {
                account: world.account(words.next("an account")?)?,
                ..Origin::default()
            },
            block: words.next_number("a report")?.cast_unsigned(),
            accept: verb == "affirm",
        }),
        _ => return Ok(None),
    };
    words.finish()?;
    Ok(Some(Done::of(world.apply(Command::Block(wish))?)))
}

fn report(world: &World, words: &mut Words<'_>) -> Result<ReportBlock, String> {
    let account = world.account(words.next("an account")?)?;
    let instrument = world.contract(words.value("on")?)?;
    let price = Ticks(words.number("@")?.ok_or("  at which price?")?);
    let firm = words.value("with")?.ok_or("  with whom?")?;
    // A firm that nobody has opened is worth a line too.
    let known = world.firms.iter().find(|(name, _)| name == firm);
    let counterparty = known.map_or(FirmId(u32::MAX), |(_, id)| *id);
    let span = words.value("by")?.map_or(Ok(7_200 * SECOND), seconds)?;
    let client_id = words.tagged()?.ok_or("  under which key?")?;
    let sides = [("buy", Side::Buy), ("sell", Side::Sell)];
    let side = words.one_of(&sides).ok_or("  buy or sell?")?;
    Ok(ReportBlock {
        origin: Origin {
            account,
            ..Origin::default()
        },
        client_id,
        terms: BlockTerms {
            counterparty,
            instrument,
            side,
            price,
            lots: Lots(words.next_number("lots")?),
            // From the beginning of the hour, so that the same line again is the same report.
            affirm_by: Nanos(this_hour(world).0 + span),
        },
    })
}

/// The beginning of the present hour.
pub(super) fn this_hour(world: &World) -> Nanos {
    let hour = 3_600 * SECOND;
    Nanos(world.now.0 / hour * hour)
}

/// In a story's words.
pub(super) fn told(change: &BlockChange) -> String {
    let state = match change.state {
        BlockState::Reported => "reported",
        BlockState::Affirmed => "affirmed",
        BlockState::Refused => "refused",
        BlockState::Expired => "expired",
    };
    format!("block {} {state}", change.block)
}

/// A fill off the book: `off book WHO SIDE LOTS @ PRICE`.
pub(super) fn fill(world: &World, order: &OrderEvent, wish: &str) -> Option<String> {
    let fill = order.fill.filter(|_| wish.contains("off book"))?;
    let who = world.account_name(order.to.account);
    let side = if order.side == Side::Buy {
        "buy"
    } else {
        "sell"
    };
    let (lots, price) = (fill.lots.0, super::words::grouped(fill.price.0));
    Some(format!("off book {who} {side} {lots} @ {price}"))
}
