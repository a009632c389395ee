//! Protection groups and switches as a risk manager writes and reads them.

use engine::{
    command::{MmpGroup, SwitchScope},
    exchange::Offer,
    ids::{AccountId, ProductId},
    limits,
    units::Lots,
};
use proto::risk::v1 as wire;

use super::{
    orders::{BadField, Parsed, required_group},
    reference::{id, number},
};
use crate::{archive::SwitchNote, core_view::Group, desk::wide};

fn within(field: &str, value: i64, (least, most): (i64, i64)) -> Parsed<i64> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    let limit = if value < least { least } else { most };
    let why = format!("{least} to {most}, got {value}");
    Err(BadField::beyond(field, &why, limit, value))
}

/// A defaulter's position as a maker sees it.
#[must_use]
pub fn offer_out(number: u64, offer: &Offer, looks: AccountId) -> wire::DefaultOffer {
    let own = offer.bids.iter().find(|bid| bid.account == looks);
    wire::DefaultOffer {
        offer_id: wide(number),
        instrument_id: id(offer.instrument.0),
        side: super::orders::side_out(offer.side()),
        lots: offer.net.0.abs(),
        worst_price_ticks: offer.worst.0,
        closes_unix_nanos: offer.closes.0,
        own_lots: own.map_or(0, |bid| bid.lots.0),
        own_price_ticks: own.map_or(0, |bid| bid.price.0),
    }
}

/// A group to set.
///
/// # Errors
/// The first field out of its range.
pub fn group_terms(group: &wire::MmpGroup, account: AccountId) -> Parsed<MmpGroup> {
    let mmp_group = required_group(group.mmp_group)?;
    within("product_id", group.product_id.into(), (1, i32::MAX.into()))?;
    let (least, most) = (*limits::MMP_WINDOW_MS.start(), *limits::MMP_WINDOW_MS.end());
    within(
        "window_ms",
        group.window_ms.into(),
        (least.into(), most.into()),
    )?;
    let longest = limits::MMP_FROZEN_MS.into();
    within("frozen_ms", group.frozen_ms.into(), (0, longest))?;
    let (whole, long) = ((0, i32::MAX.into()), (0, i64::MAX));
    let fills = group.fill_count_limit;
    within("fill_count_limit", fills.into(), whole)?;
    let contracts = group.instruments_hit_limit;
    within("instruments_hit_limit", contracts.into(), whole)?;
    Ok(MmpGroup {
        account,
        mmp_group,
        product: ProductId(number(group.product_id)),
        window_ms: group.window_ms,
        frozen_ms: group.frozen_ms,
        quantity_limit: within(
            "quantity_limit_lot_hours",
            group.quantity_limit_lot_hours,
            long,
        )?,
        net_limit: within(
            "net_quantity_limit_lot_hours",
            group.net_quantity_limit_lot_hours,
            long,
        )?,
        notional_limit: within("notional_limit_minor", group.notional_limit_minor, long)?,
        fill_limit: fills,
        contracts_limit: contracts,
        max_quote_lots: Lots(within(
            "max_quote_lots",
            group.max_quote_lots,
            (1, limits::ORDER_LOTS),
        )?),
    })
}

/// A group as it stands.
#[must_use]
pub fn group_out(group: &Group) -> wire::MmpGroup {
    let config = &group.config;
    wire::MmpGroup {
        mmp_group: config.mmp_group.into(),
        product_id: id(config.product.0),
        window_ms: config.window_ms,
        frozen_ms: config.frozen_ms,
        quantity_limit_lot_hours: config.quantity_limit,
        net_quantity_limit_lot_hours: config.net_limit,
        notional_limit_minor: config.notional_limit,
        fill_count_limit: config.fill_limit,
        instruments_hit_limit: config.contracts_limit,
        max_quote_lots: config.max_quote_lots.0,
        frozen: group.frozen,
        frozen_until_unix_nanos: if group.frozen { group.until.0 } else { 0 },
    }
}

/// A switch that is on; `None` for the exchange's own, which is no firm's.
#[must_use]
pub fn switch_out(scope: SwitchScope, note: Option<&SwitchNote>) -> Option<wire::KillSwitch> {
    use wire::kill_switch::Scope;
    let scope = match scope {
        SwitchScope::Session(session) => Scope::SessionId(session.0.into()),
        SwitchScope::Account(account) => Scope::AccountId(account.0.into()),
        SwitchScope::Firm(firm) => Scope::FirmId(firm.0.into()),
        SwitchScope::Venue => return None,
    };
    Some(wire::KillSwitch {
        scope: Some(scope),
        note: note.map_or_else(String::new, |note| note.note.clone()),
        engaged_unix_nanos: note.map_or(0, |note| note.at.0),
        key_id: note.map_or_else(String::new, |note| note.key_id.clone()),
    })
}

#[cfg(test)]
mod tests {
    use engine::units::Nanos;

    use super::*;

    fn group() -> wire::MmpGroup {
        wire::MmpGroup {
            mmp_group: 1,
            product_id: 2,
            window_ms: 1_000,
            frozen_ms: 0,
            quantity_limit_lot_hours: 3,
            net_quantity_limit_lot_hours: 4,
            notional_limit_minor: 5,
            fill_count_limit: 6,
            instruments_hit_limit: 7,
            max_quote_lots: 8,
            frozen: false,
            frozen_until_unix_nanos: 0,
        }
    }

    #[test]
    fn a_group_comes_back_as_it_was_set() {
        let config = group_terms(&group(), AccountId(4)).expect("well formed");
        assert_eq!(config.account, AccountId(4));
        let state = Group {
            config,
            frozen: false,
            until: Nanos(9),
        };
        assert_eq!(group_out(&state), group());
        let frozen = group_out(&Group {
            frozen: true,
            ..state
        });
        assert_eq!((frozen.frozen, frozen.frozen_until_unix_nanos), (true, 9));
    }

    #[test]
    fn every_limit_of_a_group_is_named() {
        type Spoil = fn(&mut wire::MmpGroup);
        let cases: [(&str, i64, Spoil); 9] = [
            ("mmp_group", 1, |group| group.mmp_group = 0),
            ("product_id", 1, |group| group.product_id = 0),
            ("window_ms", 100, |group| group.window_ms = 99),
            ("window_ms", 3_600_000, |group| group.window_ms = 3_600_001),
            ("frozen_ms", 86_400_000, |group| {
                group.frozen_ms = 86_400_001;
            }),
            ("notional_limit_minor", 0, |group| {
                group.notional_limit_minor = -1;
            }),
            ("fill_count_limit", 0, |group| group.fill_count_limit = -1),
            ("max_quote_lots", 1, |group| group.max_quote_lots = 0),
            ("max_quote_lots", 1_000_000_000, |group| {
                group.max_quote_lots = i64::MAX;
            }),
        ];
        for (field, limit, spoil) in cases {
            let mut bad = group();
            spoil(&mut bad);
            let bad = group_terms(&bad, AccountId(1)).expect_err(field);
            assert_eq!((bad.field.as_str(), bad.limit), (field, limit));
        }
    }
}
