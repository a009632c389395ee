//! What must hold for everything that is told about combinations.

use engine::{event::Event, exchange::Exchange};

/// COMBO-02, COMBO-04 and COMBO-07 on everything that is told: behind each fill of a combination come
/// its legs, under its address, and their prices and fees add up to the fill's.
///
/// # Errors
/// The first event that is not so.
pub fn check_legs(exchange: &Exchange, events: &[Event]) -> Result<(), String> {
    let mut rest = events.iter();
    while let Some(event) = rest.next() {
        let (order, fill) = match event {
            Event::Order(order) => (order, order.fill),
            Event::Leg(leg) => return Err(format!("  COMBO-07: {leg:?} behind no fill")),
            _ => continue,
        };
        let contract = exchange.instrument(order.instrument);
        let legs = contract.map_or(&[][..], |contract| &contract.terms.legs);
        let Some(fill) = fill.filter(|_| !legs.is_empty()) else {
            continue;
        };
        let (mut price, mut fee) = (0, 0);
        for leg in legs {
            let Some(Event::Leg(told)) = rest.next() else {
                return Err(format!("  COMBO-07: a leg of {order:?} is missing"));
            };
            let side = match leg.ratio {
                1 => order.side,
                _ => order.side.opposite(),
            };
            let same = (told.to, told.copy, told.order_id)
                == (order.to, order.copy, order.order_id)
                && (told.instrument, told.side) == (leg.instrument, side)
                && (told.fill.trade, told.fill.lots) == (fill.trade, fill.lots)
                && told.fill.liquidity == fill.liquidity;
            if !same {
                return Err(format!("  COMBO-07: {told:?} is not a leg of {order:?}"));
            }
            price += leg.ratio * told.fill.price.0;
            fee += told.fill.fee.0;
        }
        if (price, fee, 0) != (fill.price.0, fill.fee.0, fill.position_after.0) {
            return Err(format!("  COMBO-02: legs of {order:?} add up to {price}"));
        }
    }
    Ok(())
}
