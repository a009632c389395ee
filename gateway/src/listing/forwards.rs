//! What the calendar lists beside months: weeks, what is left of this month, quarters and the next year, which
//! cascade (domain.md sections 10 and 14).

use engine::{
    exchange::Exchange,
    ids::{CommodityId, IndexId, InstrumentId},
    instrument::{Kind, Terms},
};
use jiff::{
    ToSpan,
    civil::{Date, Weekday},
};

use super::{Product, date_of, window};

/// Quarters listed ahead.
const QUARTERS: i32 = 4;

/// The first days of a quarter's three months.
fn months_of(first: Date) -> impl Iterator<Item = Date> {
    (0..3).filter_map(move |month: i32| first.checked_add(month.months()).ok())
}

/// The first day of the quarter that a day is in.
fn quarter_of(day: Date) -> Option<Date> {
    Date::new(day.year(), (day.month() - 1) / 3 * 3 + 1, 1).ok()
}

fn month_symbol(commodity: &str, first: Date) -> String {
    format!("{commodity}-FWD-{:04}-{:02}", first.year(), first.month())
}

fn quarter_symbol(commodity: &str, first: Date) -> String {
    let number = (first.month() + 2) / 3;
    format!("{commodity}-FWD-{:04}Q{number}", first.year())
}

/// Balance of month, quarters and year that can be listed at a moment: those whose parts all are.
pub(super) fn due(
    exchange: &Exchange,
    product: &Product,
    of: (CommodityId, IndexId),
    now: i64,
) -> Vec<Terms> {
    let Some(today) = date_of(now).filter(|_| product.quarters) else {
        return Vec::new();
    };
    let (name, mut terms) = (product.commodity, Vec::new());
    terms.extend(weeks(product, of, today));
    terms.extend(balance_of_month(product, of, today));
    let listed = |symbol: &String| {
        let known = exchange.instruments().iter();
        let mut named = known.filter(|contract| contract.terms.symbol == *symbol);
        named.next().map(|contract| contract.id)
    };
    let mut whole = |symbol, kind: &str, (first, after): (Date, Option<Date>), parts: &[String]| {
        let parts: Option<Vec<InstrumentId>> = parts.iter().map(listed).collect();
        let (Some(cascade), Some(window)) = (parts, window(first, after)) else {
            return;
        };
        let part = (product.lot, window, window.start);
        let plain = product.terms(symbol, Kind::Forward, of, part);
        terms.push(Terms {
            // Products of their own: the lead of the months' curve stays a month.
            product: format!("{name}-FWD-{kind}"),
            cascade,
            ..plain
        });
    };
    let Some(this) = quarter_of(today) else {
        return terms;
    };
    for ahead in 1..=QUARTERS {
        let Ok(first) = this.checked_add((3 * ahead).months()) else {
            continue;
        };
        let parts: Vec<String> = months_of(first).map(|m| month_symbol(name, m)).collect();
        let span = (first, first.checked_add(3.months()).ok());
        whole(quarter_symbol(name, first), "QUARTER", span, &parts);
    }
    // A year becomes its first quarter's months and the other three quarters.
    if let Ok(first) = Date::new(today.year() + 1, 1, 1) {
        let quarters = (1..4).filter_map(|ahead: i32| first.checked_add((3 * ahead).months()).ok());
        let parts: Vec<String> = months_of(first)
            .map(|month| month_symbol(name, month))
            .chain(quarters.map(|quarter| quarter_symbol(name, quarter)))
            .collect();
        let span = (first, first.checked_add(1.year()).ok());
        let symbol = format!("{name}-FWD-{:04}", first.year());
        whole(symbol, "YEAR", span, &parts);
    }
    terms
}

/// The next whole weeks, by their ISO number.
pub(super) fn weeks(product: &Product, of: (CommodityId, IndexId), today: Date) -> Vec<Terms> {
    let mut terms = Vec::new();
    for ahead in 1..=product.weeks {
        let monday = today.nth_weekday(ahead, Weekday::Monday);
        let Ok(monday) = monday else { continue };
        let Some(window) = window(monday, monday.checked_add(1.week()).ok()) else {
            continue;
        };
        let week = monday.iso_week_date();
        let symbol = format!(
            "{}-FWD-{:04}-W{:02}",
            product.commodity,
            week.year(),
            week.week()
        );
        let part = (product.lot, window, window.start);
        let plain = product.terms(symbol, Kind::Forward, of, part);
        terms.push(Terms {
            product: format!("{}-FWD-WEEK", product.commodity),
            ..plain
        });
    }
    terms
}

/// From the next UTC day to the month's end; none on its last day.
fn balance_of_month(product: &Product, of: (CommodityId, IndexId), today: Date) -> Option<Terms> {
    let first = today.tomorrow().ok()?;
    let after = today.first_of_month().checked_add(1.month()).ok()?;
    if first >= after {
        return None;
    }
    let window = window(first, Some(after))?;
    let symbol = format!("{}-BOM-{first}", product.commodity);
    let part = (product.lot, window, window.start);
    let plain = product.terms(symbol, Kind::Forward, of, part);
    Some(Terms {
        product: format!("{}-BOM", product.commodity),
        ..plain
    })
}
