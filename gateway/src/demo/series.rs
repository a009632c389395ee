//! What a day of mining paid, day by day: the real Bitcoin hashprice from 2022-01-01 to 2024-03-24.
//!
//! The file beside the sources carries its own provenance; this module reads it and refuses gaps.

use jiff::{ToSpan, civil::Date, tz::TimeZone};
use thiserror::Error;

const FIXTURE: &str = include_str!("../../fixtures/btc_hashprice_daily.csv");
const HEADING: &str = "date,millisat_per_ph_day";

/// One UTC day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// As in the source.
    pub date: Date,
    /// Thousandths of a satoshi per PH/s per day; 10^11 make a BTC.
    pub millisat: i64,
}

impl Day {
    /// First nanosecond of the day since 1970.
    pub fn start_unix_nanos(&self) -> i64 {
        let midnight = self.date.to_zoned(TimeZone::UTC);
        let nanos = midnight.map_or(0, |m| m.timestamp().as_nanosecond());
        i64::try_from(nanos).unwrap_or(0)
    }

    /// First nanosecond of the day after.
    pub fn end_unix_nanos(&self) -> i64 {
        self.start_unix_nanos() + 86_400_000_000_000
    }
}

/// A line of the file that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("hashprice series, line {line}: {reason}")]
pub struct SeriesError {
    line: usize,
    reason: &'static str,
}

/// The series that comes with the program.
pub fn load() -> Result<Vec<Day>, SeriesError> {
    parse(FIXTURE)
}

/// Reads `#` lines as provenance, then the heading, then one day per line without a gap.
fn parse(text: &str) -> Result<Vec<Day>, SeriesError> {
    let mut days: Vec<Day> = Vec::new();
    let mut headed = false;
    for (number, line) in (1..).zip(text.lines()) {
        let fault = |reason| SeriesError {
            line: number,
            reason,
        };
        if line.starts_with('#') {
            continue;
        }
        if !headed {
            if line != HEADING {
                return Err(fault("expected the heading"));
            }
            headed = true;
            continue;
        }
        let (date, value) = line.split_once(',').ok_or(fault("expected two columns"))?;
        let date: Date = date.parse().map_err(|_| fault("not a date"))?;
        let millisat: i64 = value.parse().map_err(|_| fault("not a whole number"))?;
        if millisat <= 0 {
            return Err(fault("a hashprice is above zero"));
        }
        if let Some(last) = days.last()
            && last.date.checked_add(1.day()).ok() != Some(date)
        {
            return Err(fault("does not follow the day before it"));
        }
        days.push(Day { date, millisat });
    }
    match days.is_empty() {
        true => Err(SeriesError {
            line: 0,
            reason: "no day in the file",
        }),
        false => Ok(days),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_fixture_is_whole() {
        let days = load().expect("the fixture is part of the program");
        assert_eq!(days.len(), 814);
        let first = days[0];
        assert_eq!(
            (first.date, first.millisat),
            (date(2022, 1, 1), 529_030_960)
        );
        let last = days[days.len() - 1];
        assert_eq!((last.date, last.millisat), (date(2024, 3, 24), 154_865_010));
        assert_eq!(first.start_unix_nanos(), 1_640_995_200_000_000_000);
        assert_eq!(first.end_unix_nanos(), days[1].start_unix_nanos());
        assert!(FIXTURE.starts_with("# "), "provenance comes first");
    }

    #[test]
    fn faults_name_their_line() {
        let parse = |rows: &str| super::parse(&format!("# source\n{HEADING}\n{rows}"));
        assert_eq!(parse("2022-01-01,5\n2022-01-03,5").unwrap_err().line, 4);
        assert_eq!(parse("2022-01-01,5.5").unwrap_err().line, 3);
        assert_eq!(parse("2022-01-01").unwrap_err().line, 3);
        assert_eq!(parse("").unwrap_err().reason, "no day in the file");
    }
}
