//! How an order prices itself and what it waits for: limits, markets, stops and pegs between wire and
//! engine.

use engine::{
    command::{OrderTerms, Peg, PegTo, Pricing, Trigger, TriggerSource},
    units::Ticks,
};
use proto::trading::v1 as wire;

use super::orders::{BadField, Parsed};

/// The order type, with the fields that go with it.
///
/// # Errors
/// The first field that is missing, or that the type has no use for.
pub fn pricing_in(order: &wire::NewOrder) -> Parsed<(Pricing, Option<Trigger>)> {
    use wire::OrderType as T;
    let kind = match T::try_from(order.order_type) {
        Ok(T::Unspecified) => {
            return Err(BadField::new("order_type", "required: there is no default"));
        }
        Err(_) => return Err(BadField::new("order_type", "unknown value")),
        Ok(kind) => kind,
    };
    let limit = || {
        let why = match kind {
            T::Pegged => "required for a pegged order: its cap",
            _ => "required for a limit order",
        };
        let missing = || BadField::new("price_ticks", why);
        order.price_ticks.map(Ticks).ok_or_else(missing)
    };
    let pricing = match kind {
        T::Limit | T::StopLimit => Pricing::Limit(limit()?),
        T::Pegged => Pricing::Peg(Peg {
            to: peg_in(order.peg_reference)?,
            offset: Ticks(order.peg_offset_ticks),
            cap: limit()?,
        }),
        T::Market | T::StopMarket | T::Unspecified if order.price_ticks.is_some() => {
            return Err(BadField::new("price_ticks", "a market order has none"));
        }
        T::Market | T::StopMarket | T::Unspecified => Pricing::Market,
    };
    let pegged = kind == T::Pegged;
    let stop = matches!(kind, T::StopLimit | T::StopMarket);
    let (only_peg, only_stop) = ("only with ORDER_TYPE_PEGGED", "only with a stop type");
    let stray = [
        (
            !pegged && order.peg_reference != 0,
            "peg_reference",
            only_peg,
        ),
        (
            !pegged && order.peg_offset_ticks != 0,
            "peg_offset_ticks",
            only_peg,
        ),
        (
            !stop && order.trigger_price_ticks.is_some(),
            "trigger_price_ticks",
            only_stop,
        ),
        (
            !stop && order.trigger_source != 0,
            "trigger_source",
            only_stop,
        ),
    ];
    if let Some((_, field, why)) = stray.iter().find(|(set, _, _)| *set) {
        return Err(BadField::new(field, why));
    }
    let trigger = stop.then(|| trigger_in(order)).transpose()?;
    Ok((pricing, trigger))
}

fn peg_in(reference: i32) -> Parsed<PegTo> {
    match wire::PegReference::try_from(reference) {
        Ok(wire::PegReference::Best) => Ok(PegTo::Best),
        Ok(wire::PegReference::Index) => Ok(PegTo::Index),
        Ok(wire::PegReference::Unspecified) => Err(BadField::new(
            "peg_reference",
            "required for a pegged order",
        )),
        Err(_) => Err(BadField::new("peg_reference", "unknown value")),
    }
}

fn trigger_in(order: &wire::NewOrder) -> Parsed<Trigger> {
    let missing = || BadField::new("trigger_price_ticks", "required for a stop order");
    let price = Ticks(order.trigger_price_ticks.ok_or_else(missing)?);
    let source = match wire::TriggerSource::try_from(order.trigger_source) {
        Ok(wire::TriggerSource::LastTrade) => TriggerSource::Last,
        Ok(wire::TriggerSource::Mark) => TriggerSource::Mark,
        Ok(wire::TriggerSource::Index) => TriggerSource::Index,
        Ok(wire::TriggerSource::Unspecified) => {
            return Err(BadField::new("trigger_source", "required for a stop order"));
        }
        Err(_) => return Err(BadField::new("trigger_source", "unknown value")),
    };
    Ok(Trigger { source, price })
}

/// Writes type, price, trigger and peg into a message of instructions.
pub fn pricing_out(terms: &OrderTerms, order: &mut wire::NewOrder) {
    use wire::OrderType as T;
    let kind = match (terms.pricing, terms.trigger) {
        (Pricing::Limit(_), None) => T::Limit,
        (Pricing::Limit(_), Some(_)) => T::StopLimit,
        (Pricing::Market, None) => T::Market,
        (Pricing::Market, Some(_)) => T::StopMarket,
        (Pricing::Peg(_), _) => T::Pegged,
    };
    order.order_type = kind.into();
    match terms.pricing {
        Pricing::Limit(price) => order.price_ticks = Some(price.0),
        Pricing::Market => {}
        Pricing::Peg(peg) => {
            let to = match peg.to {
                PegTo::Best => wire::PegReference::Best,
                PegTo::Index => wire::PegReference::Index,
            };
            order.price_ticks = Some(peg.cap.0);
            order.peg_reference = to.into();
            order.peg_offset_ticks = peg.offset.0;
        }
    }
    if let Some(trigger) = terms.trigger {
        let source = match trigger.source {
            TriggerSource::Last => wire::TriggerSource::LastTrade,
            TriggerSource::Mark => wire::TriggerSource::Mark,
            TriggerSource::Index => wire::TriggerSource::Index,
        };
        order.trigger_price_ticks = Some(trigger.price.0);
        order.trigger_source = source.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(kind: wire::OrderType) -> wire::NewOrder {
        wire::NewOrder {
            client_order_id: 1,
            instrument_id: 1,
            side: 1,
            order_type: kind.into(),
            time_in_force: wire::TimeInForce::Gtc.into(),
            quantity_lots: 5,
            ..wire::NewOrder::default()
        }
    }

    fn kinds() -> Vec<wire::NewOrder> {
        use wire::OrderType as T;
        let limit = wire::NewOrder {
            price_ticks: Some(-3),
            display_lots: 2,
            mmp_group: 65_535,
            ..order(T::Limit)
        };
        let market = wire::NewOrder {
            min_fill_lots: 4,
            time_in_force: wire::TimeInForce::Ioc.into(),
            ..order(T::Market)
        };
        let auction = wire::NewOrder {
            price_ticks: Some(7),
            time_in_force: wire::TimeInForce::AtAuction.into(),
            ..order(T::Limit)
        };
        let stop = wire::NewOrder {
            trigger_price_ticks: Some(9),
            trigger_source: wire::TriggerSource::Index.into(),
            ..order(T::StopMarket)
        };
        let stop_limit = wire::NewOrder {
            price_ticks: Some(7),
            trigger_source: wire::TriggerSource::Mark.into(),
            ..wire::NewOrder {
                order_type: T::StopLimit.into(),
                ..stop.clone()
            }
        };
        let peg = wire::NewOrder {
            price_ticks: Some(7),
            peg_reference: wire::PegReference::Best.into(),
            peg_offset_ticks: -2,
            ..order(T::Pegged)
        };
        vec![limit, market, auction, stop, stop_limit, peg]
    }

    #[test]
    fn every_type_comes_back_as_it_was_said() {
        for said in kinds() {
            let terms = super::super::orders::new_order(&said).expect("well formed");
            let mut told = super::super::orders::terms_out(&terms);
            // There is no silent default on the way back either.
            assert_eq!(told.self_trade_mode, 1);
            told.self_trade_mode = 0;
            assert_eq!(told, said);
        }
    }

    #[test]
    fn a_field_of_another_type_is_named() {
        type Spoil = fn(&mut wire::NewOrder);
        let cases: [(usize, &str, Spoil); 14] = [
            (0, "price_ticks", |order| order.price_ticks = None),
            (0, "peg_reference", |order| order.peg_reference = 1),
            (0, "peg_offset_ticks", |order| order.peg_offset_ticks = 1),
            (0, "trigger_price_ticks", |order| {
                order.trigger_price_ticks = Some(1);
            }),
            (0, "trigger_source", |order| order.trigger_source = 1),
            (0, "mmp_group", |order| order.mmp_group = 65_536),
            (0, "mmp_group", |order| order.mmp_group = -1),
            (0, "display_lots", |order| order.display_lots = -1),
            (1, "min_fill_lots", |order| order.min_fill_lots = -1),
            (1, "price_ticks", |order| order.price_ticks = Some(1)),
            (3, "trigger_price_ticks", |order| {
                order.trigger_price_ticks = None;
            }),
            (3, "trigger_source", |order| order.trigger_source = 0),
            (5, "peg_reference", |order| order.peg_reference = 0),
            (5, "peg_reference", |order| order.peg_reference = 9),
        ];
        for (kind, field, spoil) in cases {
            let mut order = kinds().swap_remove(kind);
            spoil(&mut order);
            let bad = super::super::orders::new_order(&order).expect_err(field);
            assert_eq!(bad.field, field);
        }
    }
}
