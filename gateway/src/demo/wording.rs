//! A maker's decisions in the words of the wire.

use proto::{
    common::v1::Reason,
    trading::v1::{
        Cancel, MassCancelSelection, NewOrder, OrderEvent, OrderType, PostOnly, Replace,
        TimeInForce, cancel, open_session_request::Command, replace,
    },
};

use super::ladder::Action;

/// The command for one action; `client_order_id` names the order, new or not.
pub(super) fn command(action: Action, client_order_id: u64, instrument_id: i32) -> Command {
    match action {
        Action::Cancel(_) => Command::Cancel(Cancel {
            target: Some(cancel::Target::ClientOrderId(client_order_id)),
            instrument_id,
        }),
        Action::Move { price, total, .. } => Command::Replace(Replace {
            target: Some(replace::Target::ClientOrderId(client_order_id)),
            instrument_id,
            price_ticks: price,
            quantity_lots: total,
            ..Default::default()
        }),
        Action::New(rung) => Command::NewOrder(NewOrder {
            client_order_id,
            instrument_id,
            side: rung.side.into(),
            order_type: OrderType::Limit.into(),
            time_in_force: TimeInForce::Gtc.into(),
            price_ticks: Some(rung.price),
            quantity_lots: rung.lots,
            // Makers make: where another maker is in the way, stand one tick behind it.
            post_only: PostOnly::Slide.into(),
            ..Default::default()
        }),
    }
}

/// Everything the session has in the market.
pub(super) fn cancel_everything() -> Command {
    Command::MassCancel(MassCancelSelection {
        this_session_only: true,
        ..Default::default()
    })
}

/// The order was filled or cancelled while the command was on its way: nobody's fault.
pub(super) fn came_too_late(order: &OrderEvent) -> bool {
    let reason = order.problem.as_ref().map_or(0, |p| p.reason);
    [
        Reason::UnknownOrder,
        Reason::TooLateAlreadyFilled,
        Reason::TooLateAlreadyCancelled,
    ]
    .iter()
    .any(|late| *late as i32 == reason)
}
