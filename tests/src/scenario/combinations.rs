//! What combinations tell: implied trades, and the legs of fills.

use engine::{
    command::Side,
    event::{Event, Fill, LegFill, Liquidity, OrderEvent},
    ids::TradeId,
};

use super::{actions::Done, words::grouped, world::World};

/// Fills of a trade, in order.
fn fills(events: &[Event], trade: TradeId) -> impl Iterator<Item = (&OrderEvent, Fill)> {
    events.iter().filter_map(move |event| match event {
        Event::Order(order) if !order.copy => {
            Some((order, order.fill.filter(|fill| fill.trade == trade)?))
        }
        _ => None,
    })
}

/// Whether a trade was made in more than one contract.
pub(super) fn is_implied(events: &[Event], trade: TradeId) -> bool {
    let mut contracts = fills(events, trade).map(|(order, _)| order.instrument);
    let first = contracts.next();
    contracts.any(|contract| Some(contract) != first)
}

/// Resting orders in a trade.
pub(super) fn makers(events: &[Event], trade: TradeId) -> usize {
    fills(events, trade)
        .filter(|(_, fill)| fill.liquidity == Liquidity::Maker)
        .count()
}

/// An implied trade from its taker's side: `fills 2 @ -350 through alice #1 @ 42_400 and bob #2 @
/// 42_050`; none if the trade is in one contract.
pub(super) fn implied(
    world: &World,
    taker: &OrderEvent,
    fill: &Fill,
    orders: &[&OrderEvent],
    wish: &str,
) -> Option<String> {
    let (mut others, mut fees) = (Vec::new(), String::new());
    let mut elsewhere = false;
    for order in orders {
        let Some(other) = order.fill.filter(|other| other.trade == fill.trade) else {
            continue;
        };
        if order.order_id == taker.order_id {
            continue;
        }
        elsewhere |= order.instrument != taker.instrument;
        let name = world.order_name(order.to.account, order.client_order_id);
        others.push(format!("{name} @ {}", grouped(other.price.0)));
        fees += &format!(" {}", grouped(other.fee.0));
    }
    let (lots, price) = (grouped(fill.lots.0), grouped(fill.price.0));
    let mut text = format!("fills {lots} @ {price} through {}", others.join(" and "));
    if wish.contains(" fee ") {
        text += &format!(" fee {} makers{fees}", grouped(fill.fee.0));
    }
    elsewhere.then_some(text)
}

/// `leg dec sells 10 @ 42_400`.
pub(super) fn tell_leg(world: &World, done: &Done, leg: &LegFill) -> String {
    let own = done.own == Some((leg.to.account, leg.client_order_id));
    let whose = match own {
        true => String::new(),
        false => world.order_name(leg.to.account, leg.client_order_id) + " ",
    };
    let does = if leg.side == Side::Buy {
        "buys"
    } else {
        "sells"
    };
    let name = world.contract_name(leg.instrument);
    let (lots, price) = (grouped(leg.fill.lots.0), grouped(leg.fill.price.0));
    format!("{whose}leg {name} {does} {lots} @ {price}")
}
