//! What happened, in the words a story is written in.

use engine::{
    command::Side,
    event::{Event, Fill, Liquidity, OrderEvent, OrderEventKind, OrderStatus, StatusChange},
    reason::{Problem, Reason},
};

use super::{
    actions::Done,
    auctions, combinations,
    operator::STATES,
    words::{grouped, reason},
    world::World,
};

/// Tells what a line did. `wish` is what was expected: numbers of refusals (`limit`), of fees (`fee`),
/// of cancelled quotes (`quotes`) and of sessions (`copy`) are told only to those who ask.
pub(super) fn told(world: &World, done: &Done, wish: &str) -> String {
    let mut phrases = Vec::new();
    let copies = wish.contains("copy");
    let orders: Vec<&OrderEvent> = done.events.iter().filter_map(order).collect();
    for event in &done.events {
        match event {
            Event::Order(order) if order.copy && !copies => {}
            // A fill off the book belongs to no order of the story; who wants it asks for it.
            Event::Order(order) if order.order_id.0 == 0 && order.fill.is_some() => {
                phrases.extend(super::blocks::fill(world, order, wish));
            }
            Event::Order(order) => tell_order(world, done, order, &orders, wish, &mut phrases),
            Event::Refused(refused) => {
                phrases.push(format!("refused {}", why(&refused.problem, wish)))
            }
            Event::MassCancelled(mass) => {
                let blocked = if mass.blocked { ", blocked" } else { "" };
                let kept = match mass.kept {
                    0 => String::new(),
                    kept => format!(", {kept} kept"),
                };
                let quotes = if wish.contains(" quotes") {
                    format!(" and {} quotes", mass.quotes)
                } else {
                    String::new()
                };
                phrases.push(format!("{} cancelled{quotes}{kept}{blocked}", mass.orders));
            }
            Event::OrderEntry(entry) => {
                let state = if entry.blocked { "blocked" } else { "open" };
                phrases.push(format!("{state} {}", reason(entry.level)));
            }
            Event::CancelTimer(timer) => {
                let armed = timer.fires_at.0 != 0;
                phrases.push(if armed { "timer armed" } else { "timer off" }.into());
            }
            Event::SessionOpened(opened) => {
                let ran = if opened.action_ran {
                    ", action ran"
                } else {
                    ""
                };
                phrases.push(format!("login {}{ran}", opened.login));
            }
            Event::SessionClosed(closed) => {
                let (cause, count) = (reason(closed.cause), closed.cancelled);
                phrases.push(format!("session closed {cause}, {count} cancelled"));
            }
            Event::Leg(leg) if wish.contains("leg ") && !leg.copy => {
                phrases.push(combinations::tell_leg(world, done, leg));
            }
            Event::Auction(change) if wish.contains("auction ") => {
                phrases.push(auctions::tell_change(world, change));
            }
            Event::Status(status) => phrases.push(tell_status(world, status)),
            Event::Clearing(step) => phrases.extend(super::clearing::told(world, step, wish)),
            Event::Done(answer) if answer.first_seq != 0 => phrases.push("done before".into()),
            Event::Block(change) => phrases.push(super::blocks::told(change)),
            Event::Rfq(change) => phrases.push(super::rfq::told(change)),
            Event::Delivery(_) => phrases.extend(super::delivery::told(world, event, wish)),
            other => {
                let of_index =
                    super::roots::told(other).or_else(|| super::oracle::told(other, wish));
                phrases.extend(of_index.or_else(|| super::quoting::told(world, other, wish)));
            }
        }
    }
    phrases.extend(what_rests(world, done, &orders));
    if phrases.is_empty() {
        let answered = done
            .events
            .iter()
            .any(|event| matches!(event, Event::Done(_)));
        phrases.push(if answered { "done" } else { "nothing" }.into());
    }
    phrases.join(", ")
}

fn order(event: &Event) -> Option<&OrderEvent> {
    match event {
        Event::Order(order) if !order.copy => Some(order),
        _ => None,
    }
}

fn why(problem: &Problem, wish: &str) -> String {
    let mut text = reason(problem.reason);
    if wish.contains(" limit ") {
        let (limit, actual) = (grouped(problem.limit), grouped(problem.actual));
        text += &format!(" limit {limit} actual {actual}");
    }
    text
}

fn tell_order(
    world: &World,
    done: &Done,
    event: &OrderEvent,
    orders: &[&OrderEvent],
    wish: &str,
    phrases: &mut Vec<String>,
) {
    let own = done.own == Some((event.to.account, event.client_order_id));
    let name = world.order_name(event.to.account, event.client_order_id);
    let item = if wish.contains("item ") {
        format!("item {} ", event.to.item)
    } else {
        String::new()
    };
    let copy = if event.copy { "copy of " } else { "" };
    let whose = if own && !event.copy {
        String::new()
    } else {
        format!("{item}{copy}{name} ")
    };
    let because = event
        .problem
        .map_or(String::new(), |problem| why(&problem, wish));
    let repeated = if event.repeated { "repeated " } else { "" };
    let slid = event
        .problem
        .is_some_and(|problem| problem.reason == Reason::PostOnlySlid);
    match event.kind {
        OrderEventKind::Accepted => {
            if event.repeated {
                phrases.push(format!("repeated accepted {:?}", event.status).to_lowercase());
            } else if done.asked.is_some_and(|asked| asked != event.total.0) {
                phrases.push(format!("cut to {}", grouped(event.total.0)));
            }
        }
        OrderEventKind::Replaced => {
            let priority = if event.priority_lost { "lost" } else { "kept" };
            phrases.push(format!("{whose}replaced, priority {priority}"));
        }
        OrderEventKind::Triggered => phrases.push(format!("{whose}triggered")),
        OrderEventKind::Fill => tell_fill(world, event, orders, wish, &whose, phrases),
        OrderEventKind::Cancelled => {
            phrases.push(format!("{whose}cancelled {because}"));
        }
        OrderEventKind::Restated if event.problem.is_none() => {
            phrases.push(format!("{whose}joins the call"));
        }
        OrderEventKind::Restated => {
            let what = match event.problem.map(|problem| problem.reason) {
                Some(Reason::IcebergRefresh) => format!("shows {}", grouped(event.display.0)),
                Some(Reason::PegRepriced) if asleep(world, event) => "sleeps".into(),
                Some(Reason::PegRepriced) => format!("moves to {}", grouped(event.price.0)),
                _ => format!("cut to {} {because}", grouped(event.open.0)),
            };
            phrases.push(format!("{whose}{what}"));
        }
        OrderEventKind::Rejected
        | OrderEventKind::ReplaceRejected
        | OrderEventKind::CancelRejected => {
            phrases.push(format!("{item}{repeated}rejected {because}"));
        }
    }
    if slid {
        phrases.push(format!("slid to {}", grouped(event.price.0)));
    }
}

/// Whether the order stands in no book now.
fn asleep(world: &World, event: &OrderEvent) -> bool {
    let queued = |side| {
        let book = world.exchange.book(event.instrument)?;
        let slot = event.order_id.slot()?;
        let orders = world.exchange.orders();
        Some(book.queue(side, orders).any(|other| other == slot))
    };
    queued(event.side) == Some(false)
}

/// A trade is told once, from the taker's side, with its maker; in an auction from the buyer's.
fn tell_fill(
    world: &World,
    event: &OrderEvent,
    orders: &[&OrderEvent],
    wish: &str,
    whose: &str,
    phrases: &mut Vec<String>,
) {
    let told = |fill: &Fill| match fill.liquidity {
        Liquidity::Taker => true,
        Liquidity::Auction | Liquidity::Block => event.side == Side::Buy,
        Liquidity::Maker => false,
    };
    let Some(fill) = event.fill.filter(told) else {
        return;
    };
    let other = |order: &&&OrderEvent| {
        let same = |other: Fill| other.trade == fill.trade;
        order.side != event.side && order.fill.is_some_and(same)
    };
    if let Some(text) = combinations::implied(world, event, &fill, orders, wish) {
        return phrases.push(format!("{whose}{text}"));
    }
    let maker = orders.iter().find(other);
    let from = maker.map_or("nobody".into(), |maker| {
        world.order_name(maker.to.account, maker.client_order_id)
    });
    let (lots, price) = (grouped(fill.lots.0), grouped(fill.price.0));
    let mut text = format!("{whose}fills {lots} @ {price} from {from}");
    if wish.contains(" fee ") {
        let paid = maker
            .and_then(|maker| maker.fill)
            .map_or(0, |fill| fill.fee.0);
        text += &format!(" fee {} maker {}", grouped(fill.fee.0), grouped(paid));
    }
    phrases.push(text);
}

fn tell_status(world: &World, status: &StatusChange) -> String {
    let named = |state| {
        let row = STATES.iter().find(|(_, known)| *known == state);
        row.map_or("?", |(name, _)| *name)
    };
    let name = world.contract_name(status.instrument);
    let (state, because) = (named(status.state), reason(status.reason));
    match status.scheduled {
        Some((_, next)) => format!("{name} is {state}, {} to come", named(next)),
        None => format!("{name} is {state} {because}"),
    }
}

/// `rests`, with the lots if they are not those asked for.
fn what_rests(world: &World, done: &Done, orders: &[&OrderEvent]) -> Option<String> {
    let (account, id) = done.own?;
    let changed = orders.iter().any(|event| {
        let lives = matches!(
            event.kind,
            OrderEventKind::Accepted | OrderEventKind::Replaced
        );
        lives && !event.repeated && (event.to.account, event.client_order_id) == (account, id)
    });
    let order = world.exchange.orders().get(world.order_id(account, id)?)?;
    if !changed || !order.lives() {
        return None;
    }
    if order.status == OrderStatus::Untriggered {
        return Some("waits".into());
    }
    if done.asked == Some(order.open.0) {
        return Some("rests".into());
    }
    Some(format!("rests {}", grouped(order.open.0)))
}
