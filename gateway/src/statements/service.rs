//! Statements and settled days as the wire has them.

use engine::{
    event::DaySettled,
    exchange::Exchange,
    ids::AccountId,
    reason::{Field, Problem, Reason},
    units::Nanos,
};
use jiff::{SignedDuration, civil::Date};
use proto::{account::v1 as wire, common::v1 as common, delivery::v1 as delivery};
use tonic::Status;

use super::{Statement, day_of};
use crate::{
    archive::Dated,
    auth::now_nanos,
    desk::{Desk, wide},
    paging::beyond,
    refusal,
    translate::{
        account::Image,
        reference::{decimal, id},
    },
};

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// Answers GetStatement for an account that the caller may look at.
///
/// # Errors
/// INVALID_FIELD on `date`: no date; later than today; or, with the first day as the limit (both as
/// YYYYMMDD), earlier than what is kept.
pub fn statement(
    desk: &Desk,
    account: AccountId,
    asked: &wire::GetStatementRequest,
) -> Result<wire::GetStatementResponse, Status> {
    let date = asked.date.unwrap_or_default();
    let day = day_in(&date).ok_or_else(|| {
        let why = "a day of the calendar: year 1970 to 2262, month 1 to 12, day 1 to 31";
        refusal::invalid("date", why)
    })?;
    let told = {
        let archive = desk.hub.archive();
        let statements = archive.statements();
        let today = day_of(Nanos(now_nanos()));
        let (first, newest) = statements.span().unwrap_or((today, today));
        // The core's own time may be ahead of the wall clock's, never the exchange's last word.
        let newest = newest.max(today);
        if !(first..=newest).contains(&day) {
            let limit = if day < first { first } else { newest };
            return Err(beyond("date", digits(limit), digits(day)));
        }
        statements.of(account, day)
    };
    if let Some(asset) = told.gap() {
        tracing::error!(?account, ?asset, day, "a statement does not add up");
        return Err(Status::internal(
            "the statement does not add up and is not handed out; the operator has been told",
        ));
    }
    Ok(desk.state(|exchange| written(exchange, account, date, told)))
}

fn written(
    exchange: &Exchange,
    account: AccountId,
    date: common::Date,
    told: Statement,
) -> wire::GetStatementResponse {
    let image = |standing: &super::Standing| {
        let held = (standing.money(), standing.positions().clone());
        Image::of_a_day(exchange, account, held, &told.marks)
    };
    let closing = image(&told.closing);
    let lines = told.lines.iter().map(|((asset, kind), line)| {
        let (asset_id, kind) = (id(asset.0), i32::from(*kind));
        wire::StatementLine {
            asset_id,
            kind,
            sum_minor: line.sum.0,
            count: i32::try_from(line.count).unwrap_or(i32::MAX),
        }
    });
    wire::GetStatementResponse {
        date: Some(date),
        opening: image(&told.opening).balances(),
        lines: lines.collect(),
        closing: closing.balances(),
        positions: closing.positions(),
        margin: Some(closing.margin()),
        first_journal_seq: wide(told.seqs.0),
        last_journal_seq: wide(told.seqs.1),
        epoch: 0,
    }
}

/// Settled days of an account's cash-settled positions with a number above `after`, oldest first: the rows
/// of ListSettlements whose `obligation_id` is 0.
///
/// # Errors
/// RESUME_TOO_OLD with the newest number that is gone, if some after `after` are.
pub fn day_settlements(
    desk: &Desk,
    account: AccountId,
    after: u64,
) -> Result<Vec<delivery::Settlement>, Status> {
    let rows: Vec<Dated<DaySettled>> = {
        let archive = desk.hub.archive();
        let statements = archive.statements();
        let gone = statements.settled_gone(account);
        if after < gone {
            let (limit, actual) = (wide(gone), wide(after));
            let problem = Problem::limit(Reason::ResumeTooOld, Field::None, limit, actual);
            return Err(refusal::status(&problem));
        }
        let own = statements.settled(account);
        own.filter(|row| row.what.settlement > after)
            .copied()
            .collect()
    };
    Ok(desk.state(|exchange| {
        let rows = rows.iter();
        rows.map(|row| settlement(exchange, row)).collect()
    }))
}

fn settlement(exchange: &Exchange, row: &Dated<DaySettled>) -> delivery::Settlement {
    let told = &row.what;
    let contract = exchange.instrument(told.instrument);
    let asset = contract.map_or(0, |contract| id(contract.terms.price_asset.0));
    let amount = |minor_units| common::Amount {
        asset_id: asset,
        minor_units,
    };
    delivery::Settlement {
        settlement_id: wide(told.settlement),
        obligation_id: 0,
        instrument_id: id(told.instrument.0),
        settlement_date: date_of(day_of(told.day)),
        lots: told.net.0,
        payment: Some(amount(told.paid.0)),
        shortfall_charge: Some(amount(0)),
        bond_released: Some(amount(0)),
        index_value: Some(decimal(told.fixing)),
        index_round_id: wide(told.round),
        finalized: true,
        journal_seq: wide(row.seq),
    }
}

/// Days since 1970-01-01 of a date of the wire, if it is one.
fn day_in(date: &common::Date) -> Option<i64> {
    let year = i16::try_from(date.year).ok();
    let year = year.filter(|year| (1970..=2262).contains(year))?;
    let (month, day) = (i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?);
    let date = Date::new(year, month, day).ok()?;
    Some(i64::from(EPOCH.until(date).ok()?.get_days()))
}

fn civil(day: i64) -> Option<Date> {
    let since = SignedDuration::from_hours(day.checked_mul(24)?);
    EPOCH.checked_add(since).ok()
}

fn date_of(day: i64) -> Option<common::Date> {
    civil(day).map(|date| common::Date {
        year: date.year().into(),
        month: date.month().into(),
        day: date.day().into(),
    })
}

/// A day as the number YYYYMMDD.
fn digits(day: i64) -> i64 {
    let digits = |date: Date| {
        i64::from(date.year()) * 10_000 + i64::from(date.month()) * 100 + i64::from(date.day())
    };
    civil(day).map_or(0, digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar_and_no_others() {
        let date = |year, month, day| common::Date { year, month, day };
        assert_eq!(day_in(&date(1970, 1, 1)), Some(0));
        assert_eq!(day_in(&date(2026, 12, 5)), Some(20_792));
        assert_eq!(date_of(20_792), Some(date(2026, 12, 5)));
        assert_eq!(digits(20_792), 20_261_205);
        for none in [date(0, 0, 0), date(2026, 2, 29), date(2026, 13, 1)] {
            assert_eq!(day_in(&none), None, "{none:?}");
        }
    }
}
