//! Orders and their events between wire and engine.

use engine::{
    command::{
        DisconnectAction, OrderTerms, Origin, PostOnly, Replace, Selection, SelfTrade, Side, Tag,
        Target, TimeInForce,
    },
    event::{Fill, LegFill, Liquidity, OrderEvent, OrderEventKind, OrderStatus, QuoteKey},
    exchange::Exchange,
    ids::{AssetId, InstrumentId, OrderId, ProductId},
    limits,
    order::Order,
    reason::{Field, Problem, Reason},
    units::{Lots, Minor, Nanos, Ticks},
};
use proto::{common::v1 as common, trading::v1 as wire};

use super::conditions;
use crate::{core_view, desk::wide, refusal};

/// A refusal before the core: which field of which message, and why.
#[derive(Clone, Debug)]
pub struct BadField {
    /// Number of the reason.
    pub reason: Reason,
    /// Path inside the message.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
    /// The limit that applied.
    pub limit: i64,
    /// What was seen.
    pub actual: i64,
}

impl BadField {
    /// An illegal or missing field.
    #[must_use]
    pub fn new(field: &str, why: &str) -> Self {
        Self {
            reason: Reason::InvalidField,
            field: field.into(),
            why: why.into(),
            limit: 0,
            actual: 0,
        }
    }

    /// A number outside its range: `limit` is the end that was passed.
    #[must_use]
    pub fn beyond(field: &str, why: &str, limit: i64, actual: i64) -> Self {
        Self {
            limit,
            actual,
            ..Self::new(field, why)
        }
    }

    /// The same, found in a part of a message.
    #[must_use]
    pub fn inside(self, part: &str) -> Self {
        Self {
            field: format!("{part}.{}", self.field),
            ..self
        }
    }

    fn unsupported(field: &str, why: &str) -> Self {
        Self {
            reason: Reason::NotImplemented,
            ..Self::new(field, why)
        }
    }

    /// As a message on a stream, `inside` being the path of the message.
    #[must_use]
    pub fn problem(&self, inside: &str) -> common::Problem {
        common::Problem {
            reason: self.reason.number(),
            message: format!("{inside}.{}: {}", self.field, self.why),
            field: format!("{inside}.{}", self.field),
            limit: self.limit,
            actual: self.actual,
            retry_after_nanos: 0,
        }
    }

    /// As the status of a unary call.
    #[must_use]
    pub fn status(&self, inside: &str) -> tonic::Status {
        match self.reason {
            Reason::NotImplemented => {
                refusal::unimplemented(&format!("{inside}.{}: {}", self.field, self.why))
            }
            _ if (self.limit, self.actual) != (0, 0) => {
                let field = format!("{inside}.{}", self.field);
                crate::paging::beyond(&field, self.limit, self.actual)
            }
            _ => refusal::invalid(&format!("{inside}.{}", self.field), &self.why),
        }
    }
}

/// A part of a message, or the field that is wrong.
pub type Parsed<T> = Result<T, BadField>;

/// A side.
#[must_use]
pub fn side_out(side: Side) -> i32 {
    match side {
        Side::Buy => common::Side::Buy as i32,
        Side::Sell => common::Side::Sell as i32,
    }
}

/// A side that must be set.
///
/// # Errors
/// The field.
pub fn side_in(side: i32) -> Parsed<Side> {
    match common::Side::try_from(side) {
        Ok(common::Side::Buy) => Ok(Side::Buy),
        Ok(common::Side::Sell) => Ok(Side::Sell),
        _ => Err(BadField::new("side", "choose SIDE_BUY or SIDE_SELL")),
    }
}

/// Number of a protection group that must be named.
///
/// # Errors
/// If it is missing or out of range.
pub fn required_group(group: i32) -> Parsed<u16> {
    let known = u16::try_from(group).ok().filter(|group| *group > 0);
    known.ok_or_else(|| {
        let limit = if group < 1 { 1 } else { u16::MAX.into() };
        BadField::beyond("mmp_group", "required, 1 to 65535", limit, group.into())
    })
}

pub(super) fn instrument_in(id: i32) -> Parsed<InstrumentId> {
    u32::try_from(id)
        .map(InstrumentId)
        .map_err(|_| BadField::new("instrument_id", "must not be negative"))
}

fn post_only_in(value: i32) -> Parsed<PostOnly> {
    match wire::PostOnly::try_from(value) {
        Ok(wire::PostOnly::Unspecified) => Ok(PostOnly::No),
        Ok(wire::PostOnly::Reject) => Ok(PostOnly::Reject),
        Ok(wire::PostOnly::Slide) => Ok(PostOnly::Slide),
        Err(_) => Err(BadField::new("post_only", "unknown value")),
    }
}

fn refuse_unserved(order: &wire::NewOrder) -> Parsed<()> {
    match order.destination_id {
        0 => Ok(()),
        _ => Err(BadField::unsupported(
            "destination_id",
            "delivery destinations",
        )),
    }
}

/// A number of lots where 0 means "not set".
fn lots_in(field: &str, lots: i64) -> Parsed<Lots> {
    match lots {
        0.. => Ok(Lots(lots)),
        _ => Err(BadField::beyond(field, "must not be negative", 0, lots)),
    }
}

/// Number of a protection group; 0 = none.
///
/// # Errors
/// If it is out of range.
pub fn group_in(group: i32) -> Parsed<u16> {
    u16::try_from(group).map_err(|_| {
        let limit = if group < 0 { 0 } else { u16::MAX.into() };
        BadField::beyond("mmp_group", "0 to 65535", limit, group.into())
    })
}

/// A new order.
///
/// # Errors
/// The first field that is missing, illegal or not served.
pub fn new_order(order: &wire::NewOrder) -> Parsed<OrderTerms> {
    if order.client_order_id == 0 {
        return Err(BadField::new("client_order_id", "required, non-zero"));
    }
    if order.instrument_id <= 0 {
        return Err(BadField::new("instrument_id", "required"));
    }
    let side = side_in(order.side)?;
    let (pricing, trigger) = conditions::pricing_in(order)?;
    let time_in_force = match wire::TimeInForce::try_from(order.time_in_force) {
        Ok(wire::TimeInForce::Gtc) => TimeInForce::Gtc,
        Ok(wire::TimeInForce::Ioc) => TimeInForce::Ioc,
        Ok(wire::TimeInForce::Fok) => TimeInForce::Fok,
        Ok(wire::TimeInForce::Gtd) => TimeInForce::Gtd(Nanos(order.expire_unix_nanos)),
        Ok(wire::TimeInForce::Day) => TimeInForce::Day,
        Ok(wire::TimeInForce::AtAuction) => TimeInForce::AtAuction,
        Ok(wire::TimeInForce::Unspecified) => {
            return Err(BadField::new(
                "time_in_force",
                "required: there is no default",
            ));
        }
        Err(_) => return Err(BadField::new("time_in_force", "unknown value")),
    };
    if order.expire_unix_nanos != 0 && !matches!(time_in_force, TimeInForce::Gtd(_)) {
        return Err(BadField::new(
            "expire_unix_nanos",
            "only with TIME_IN_FORCE_GTD",
        ));
    }
    if order.quantity_lots <= 0 {
        let (least, actual) = (1, order.quantity_lots);
        let why = "must be positive";
        return Err(BadField::beyond("quantity_lots", why, least, actual));
    }
    let self_trade = match wire::SelfTradeMode::try_from(order.self_trade_mode) {
        Ok(wire::SelfTradeMode::Unspecified | wire::SelfTradeMode::CancelResting) => {
            SelfTrade::CancelResting
        }
        Ok(wire::SelfTradeMode::CancelIncoming) => SelfTrade::CancelIncoming,
        Ok(wire::SelfTradeMode::CancelBoth) => SelfTrade::CancelBoth,
        Ok(wire::SelfTradeMode::Decrement) => SelfTrade::Decrement,
        Err(_) => return Err(BadField::new("self_trade_mode", "unknown value")),
    };
    refuse_unserved(order)?;
    let tag = Tag::new(&order.client_tag).ok_or_else(|| {
        let mut bad = BadField::new("client_tag", "at most 36 printable ASCII characters");
        bad.limit = i64::try_from(limits::TAG_BYTES).unwrap_or(0);
        bad.actual = i64::try_from(order.client_tag.len()).unwrap_or(i64::MAX);
        bad
    })?;
    let positive = |value: i32, field: &str| {
        u32::try_from(value).map_err(|_| BadField::new(field, "must not be negative"))
    };
    Ok(OrderTerms {
        client_order_id: order.client_order_id,
        instrument: instrument_in(order.instrument_id)?,
        side,
        pricing,
        lots: Lots(order.quantity_lots),
        time_in_force,
        post_only: post_only_in(order.post_only)?,
        reduce_only: order.reduce_only,
        self_trade,
        self_trade_group: positive(order.self_trade_group, "self_trade_group")?,
        cancel_group: positive(order.cancel_group, "cancel_group")?,
        display: lots_in("display_lots", order.display_lots)?,
        min_fill: lots_in("min_fill_lots", order.min_fill_lots)?,
        trigger,
        mmp_group: group_in(order.mmp_group)?,
        keep_on_disconnect: order.keep_on_disconnect,
        tag,
    })
}

/// Which order a replace means.
///
/// # Errors
/// If it names none.
pub fn replace_target(target: Option<wire::replace::Target>) -> Parsed<Target> {
    match target {
        Some(wire::replace::Target::OrderId(id)) => order_target(id),
        Some(wire::replace::Target::ClientOrderId(id)) => Ok(Target::Client(id)),
        None => Err(BadField::new("target", "name order_id or client_order_id")),
    }
}

/// Which order a cancel means.
///
/// # Errors
/// If it names none.
pub fn cancel_target(target: Option<wire::cancel::Target>) -> Parsed<Target> {
    match target {
        Some(wire::cancel::Target::OrderId(id)) => order_target(id),
        Some(wire::cancel::Target::ClientOrderId(id)) => Ok(Target::Client(id)),
        None => Err(BadField::new("target", "name order_id or client_order_id")),
    }
}

/// An order id from the wire.
///
/// # Errors
/// If it is not positive.
pub fn order_target(id: i64) -> Parsed<Target> {
    match u64::try_from(id) {
        Ok(id) if id > 0 => Ok(Target::Order(OrderId(id))),
        _ => Err(BadField::new("order_id", "must be positive")),
    }
}

/// A change.
///
/// # Errors
/// The first field that is missing, illegal or not served.
pub fn replace(replace: &wire::Replace, origin: Origin) -> Parsed<Replace> {
    Ok(Replace {
        origin,
        target: replace_target(replace.target)?,
        instrument: instrument_in(replace.instrument_id)?,
        price: replace.price_ticks.map(Ticks),
        lots: replace.quantity_lots.map(Lots),
        post_only: replace.post_only.map(post_only_in).transpose()?,
        expire: replace.expire_unix_nanos.map(Nanos),
        display: replace
            .display_lots
            .map(|lots| lots_in("display_lots", lots))
            .transpose()?,
        trigger: replace.trigger_price_ticks.map(Ticks),
        reject_if_priority_lost: replace.reject_if_priority_lost,
    })
}

/// A cancel.
///
/// # Errors
/// The first field that is missing or illegal.
pub fn cancel(cancel: &wire::Cancel, origin: Origin) -> Parsed<engine::command::Cancel> {
    Ok(engine::command::Cancel {
        origin,
        target: cancel_target(cancel.target)?,
        instrument: instrument_in(cancel.instrument_id)?,
    })
}

/// A selection for mass cancel.
///
/// # Errors
/// The first field that is illegal or not served.
pub fn selection(selection: &wire::MassCancelSelection) -> Parsed<Selection> {
    let side = match selection.side {
        0 => None,
        side => Some(side_in(side)?),
    };
    let product = u32::try_from(selection.product_id).map(ProductId);
    let group = u32::try_from(selection.cancel_group);
    Ok(Selection {
        instrument: instrument_in(selection.instrument_id)?,
        product: product.map_err(|_| BadField::new("product_id", "must not be negative"))?,
        side,
        cancel_group: group.map_err(|_| BadField::new("cancel_group", "must not be negative"))?,
        mmp_group: group_in(selection.mmp_group)?,
        this_session_only: selection.this_session_only,
        price_at_or_better: selection.price_at_or_better_ticks.map(Ticks),
    })
}

/// A disconnect action.
///
/// # Errors
/// If the number is unknown.
pub fn action_in(action: i32) -> Parsed<DisconnectAction> {
    match wire::DisconnectAction::try_from(action) {
        Ok(wire::DisconnectAction::Unspecified | wire::DisconnectAction::CancelSessionOrders) => {
            Ok(DisconnectAction::CancelSession)
        }
        Ok(wire::DisconnectAction::CancelAccountOrders) => Ok(DisconnectAction::CancelAccount),
        Ok(wire::DisconnectAction::Keep) => Ok(DisconnectAction::Keep),
        Err(_) => Err(BadField::new("disconnect_action", "unknown value")),
    }
}

/// A disconnect action.
#[must_use]
pub fn action_out(action: DisconnectAction) -> i32 {
    match action {
        DisconnectAction::CancelSession => wire::DisconnectAction::CancelSessionOrders as i32,
        DisconnectAction::CancelAccount => wire::DisconnectAction::CancelAccountOrders as i32,
        DisconnectAction::Keep => wire::DisconnectAction::Keep as i32,
    }
}

fn status_out(status: OrderStatus) -> i32 {
    let status = match status {
        OrderStatus::Open => wire::OrderStatus::Open,
        OrderStatus::Filled => wire::OrderStatus::Filled,
        OrderStatus::Cancelled => wire::OrderStatus::Cancelled,
        OrderStatus::Rejected => wire::OrderStatus::Rejected,
        OrderStatus::Expired => wire::OrderStatus::Expired,
        OrderStatus::Untriggered => wire::OrderStatus::Untriggered,
    };
    status as i32
}

fn kind_out(kind: OrderEventKind) -> i32 {
    use wire::OrderEventKind as W;
    let kind = match kind {
        OrderEventKind::Accepted => W::Accepted,
        OrderEventKind::Replaced => W::Replaced,
        OrderEventKind::Fill => W::Fill,
        OrderEventKind::Cancelled => W::Cancelled,
        OrderEventKind::Rejected => W::Rejected,
        OrderEventKind::ReplaceRejected => W::ReplaceRejected,
        OrderEventKind::CancelRejected => W::CancelRejected,
        OrderEventKind::Restated => W::Restated,
        OrderEventKind::Triggered => W::Triggered,
    };
    kind as i32
}

/// Order and trade ids as the wire carries them: signed.
#[must_use]
pub fn id_out(id: u64) -> i64 {
    wide(id)
}

fn amount_out(amount: Minor, asset: AssetId) -> common::Amount {
    common::Amount {
        asset_id: asset.0.cast_signed(),
        minor_units: amount.0,
    }
}

/// A fill with its legs, if it is one of a combination; `asset` is the contract's price asset, and the
/// legs'.
#[must_use]
pub fn fill_out<'a>(
    fill: &Fill,
    legs: impl IntoIterator<Item = &'a LegFill>,
    asset: AssetId,
) -> wire::Fill {
    let liquidity = match fill.liquidity {
        Liquidity::Maker => wire::Liquidity::Maker,
        Liquidity::Taker => wire::Liquidity::Taker,
        Liquidity::Auction => wire::Liquidity::Auction,
        Liquidity::Block => wire::Liquidity::Block,
    };
    wire::Fill {
        trade_id: id_out(fill.trade.0),
        price_ticks: fill.price.0,
        lots: fill.lots.0,
        liquidity: liquidity as i32,
        fee: Some(amount_out(fill.fee, asset)),
        position_lots_after: fill.position_after.0,
        legs: legs.into_iter().map(|leg| leg_out(leg, asset)).collect(),
    }
}

fn leg_out(leg: &LegFill, asset: AssetId) -> wire::LegFill {
    wire::LegFill {
        instrument_id: leg.instrument.0.cast_signed(),
        side: side_out(leg.side),
        lots: leg.fill.lots.0,
        price_ticks: leg.fill.price.0,
        fee: Some(amount_out(leg.fill.fee, asset)),
        position_lots_after: leg.fill.position_after.0,
    }
}

/// Price asset of a contract.
#[must_use]
pub fn price_asset(exchange: &Exchange, instrument: InstrumentId) -> AssetId {
    exchange
        .instrument(instrument)
        .map_or(AssetId(0), |contract| contract.terms.price_asset)
}

/// An order event, with the legs that follow it; `asset` is the contract's price asset.
#[must_use]
pub fn event_out<'a>(
    event: &OrderEvent,
    legs: impl IntoIterator<Item = &'a LegFill>,
    asset: AssetId,
) -> wire::OrderEvent {
    let unknown = !event.instrument.is_set();
    wire::OrderEvent {
        kind: kind_out(event.kind),
        status: if unknown { 0 } else { status_out(event.status) },
        order_id: id_out(event.order_id.0),
        client_order_id: event.client_order_id,
        instrument_id: event.instrument.0.cast_signed(),
        side: if unknown { 0 } else { side_out(event.side) },
        price_ticks: event.price.0,
        total_lots: event.total.0,
        filled_lots: event.filled.0,
        open_lots: event.open.0,
        display_lots: event.display.0,
        priority_lost: event.priority_lost,
        fill: event.fill.as_ref().map(|fill| fill_out(fill, legs, asset)),
        problem: event.problem.as_ref().map(refusal::problem),
        priority: id_out(event.priority),
        mmp_group: event.mmp_group.into(),
        cancel_group: event.cancel_group.cast_signed(),
        client_tag: event.tag.as_str().into(),
        quote: event.quote.map(quote_key_out),
    }
}

/// Which side of which quote an order is.
#[must_use]
pub fn quote_key_out(key: QuoteKey) -> wire::QuoteKey {
    wire::QuoteKey {
        quote_id: key.quote_id,
        slot: key.slot.into(),
    }
}

/// A client's instructions, as accepted.
pub(super) fn terms_out(terms: &OrderTerms) -> wire::NewOrder {
    let (time_in_force, expire) = match terms.time_in_force {
        TimeInForce::Gtc => (wire::TimeInForce::Gtc, 0),
        TimeInForce::Ioc => (wire::TimeInForce::Ioc, 0),
        TimeInForce::Fok => (wire::TimeInForce::Fok, 0),
        TimeInForce::Gtd(at) => (wire::TimeInForce::Gtd, at.0),
        TimeInForce::Day => (wire::TimeInForce::Day, 0),
        TimeInForce::AtAuction => (wire::TimeInForce::AtAuction, 0),
    };
    let post_only = match terms.post_only {
        PostOnly::No => wire::PostOnly::Unspecified,
        PostOnly::Reject => wire::PostOnly::Reject,
        PostOnly::Slide => wire::PostOnly::Slide,
    };
    let self_trade = match terms.self_trade {
        SelfTrade::CancelResting => wire::SelfTradeMode::CancelResting,
        SelfTrade::CancelIncoming => wire::SelfTradeMode::CancelIncoming,
        SelfTrade::CancelBoth => wire::SelfTradeMode::CancelBoth,
        SelfTrade::Decrement => wire::SelfTradeMode::Decrement,
    };
    let mut order = wire::NewOrder {
        client_order_id: terms.client_order_id,
        instrument_id: terms.instrument.0.cast_signed(),
        side: side_out(terms.side),
        time_in_force: time_in_force as i32,
        quantity_lots: terms.lots.0,
        post_only: post_only as i32,
        reduce_only: terms.reduce_only,
        display_lots: terms.display.0,
        min_fill_lots: terms.min_fill.0,
        self_trade_mode: self_trade as i32,
        self_trade_group: terms.self_trade_group.cast_signed(),
        mmp_group: terms.mmp_group.into(),
        cancel_group: terms.cancel_group.cast_signed(),
        expire_unix_nanos: expire,
        keep_on_disconnect: terms.keep_on_disconnect,
        client_tag: terms.tag.as_str().into(),
        ..wire::NewOrder::default()
    };
    conditions::pricing_out(terms, &mut order);
    order
}

/// An order with its state.
#[must_use]
pub fn order_out(order: &Order) -> wire::Order {
    let exposure = i64::try_from(order.filled_exposure.0).unwrap_or(i64::MAX);
    let lives = matches!(order.status, OrderStatus::Open | OrderStatus::Untriggered);
    wire::Order {
        instructions: Some(terms_out(&order.terms)),
        order_id: id_out(order.id.0),
        account_id: i64::from(order.account.0),
        session_id: i64::from(order.session.0),
        status: status_out(order.status),
        filled_lots: order.filled.0,
        open_lots: if lives { order.open.0 } else { 0 },
        filled_ticks_lots: exposure,
        priority: id_out(order.priority),
        accepted_unix_nanos: order.accepted_at.0,
        updated_unix_nanos: order.updated_at.0,
        journal_seq: wide(order.updated_seq),
        problem: order.problem.as_ref().map(refusal::problem),
        quote: core_view::quote_key(order).map(quote_key_out),
    }
}

/// A refused order, which has no slot: what is known of it by its client id.
#[must_use]
pub fn refused_order_out(
    account: i64,
    client_order_id: u64,
    why: &Problem,
    seq: u64,
) -> wire::Order {
    wire::Order {
        instructions: Some(wire::NewOrder {
            client_order_id,
            ..wire::NewOrder::default()
        }),
        account_id: account,
        status: wire::OrderStatus::Rejected as i32,
        journal_seq: wide(seq),
        problem: Some(refusal::problem(why)),
        ..wire::Order::default()
    }
}

/// A field of the engine's vocabulary as a bad field of a message.
#[must_use]
pub fn bad(field: Field, why: &str) -> BadField {
    BadField::new(refusal::path(field), why)
}
