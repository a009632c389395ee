//! Real days of Bitcoin, and what hashing earned on them by the formula.

use engine::{
    index::{price, sha256},
    units::{DAY, Nanos},
};

use crate::ground::MILLISAT;

/// 2022, committed with the engine: difficulty, price, fees and blocks.
const YEAR_2022: &str = include_str!("../../engine/src/index/tests/btc_2022.csv");
/// Days between 1970 and 2022.
const FIRST: i64 = 18_993;
/// Days of the months of 2022.
const MONTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// One UTC day.
#[derive(Clone, Copy, Debug)]
pub struct Day {
    /// Days since 1970.
    pub number: i64,
    /// Month, 1 to 12, and day in it.
    pub date: (usize, i64),
    /// Thousandths of a satoshi for a PH/s during the day.
    pub fixing: i64,
}

/// Midnight that begins a day, by its number since 1970.
#[must_use]
pub fn midnight(number: i64) -> Nanos {
    Nanos(number * DAY)
}

/// First day of a month of 2022, 1 to 12, by its number since 1970; 13 is the next January.
#[must_use]
pub fn first_of(month: usize) -> i64 {
    FIRST + MONTHS.iter().take(month - 1).sum::<i64>()
}

/// All days of 2022.
///
/// # Panics
/// If the file is not what it was.
#[must_use]
pub fn year_2022() -> Vec<Day> {
    let lines = YEAR_2022.lines().filter(|line| !line.starts_with('#'));
    let days: Vec<Day> = lines
        .zip(FIRST..)
        .map(|(line, number)| {
            let month = (1..=12).rfind(|month| first_of(*month) <= number);
            let month = month.expect("a day of the year");
            let date = (month, number - first_of(month) + 1);
            let written = format!("2022-{:02}-{:02},", date.0, date.1);
            assert!(line.starts_with(&written), "{line}");
            let fixing = hashprice(line);
            Day {
                number,
                date,
                fixing,
            }
        })
        .collect();
    assert_eq!(days.len(), 365);
    days
}

/// By the index's formula: subsidy and the mean fees of 144 blocks over the work of one.
fn hashprice(line: &str) -> i64 {
    let columns: Vec<&str> = line.split(',').collect();
    let number = |column: usize, places| scaled(columns[column], places);
    let (difficulty, usd) = (number(1, 2), number(2, 4));
    let (fees, blocks) = (number(3, 2), number(4, 1));
    // Of a day in USD: in satoshi for 144 blocks.
    let fees = fees * 144 * 100_000_000 * 1_000 / (usd * blocks);
    let work = u128::try_from(difficulty).expect("positive") * (1 << 32) / 100;
    let fees = u64::try_from(fees).expect("positive");
    let leg = sha256::leg_of(625_000_000, work, fees, price::ITSELF).expect("work");
    let value = leg.value(1_000_000_000_000_000, MILLISAT);
    value.expect("a value").mantissa
}

/// A decimal number as an integer of so many places.
fn scaled(text: &str, places: u32) -> i128 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let padded = format!("{part:0<width$}", width = places as usize);
    assert_eq!(padded.len(), places as usize, "{text}");
    format!("{whole}{padded}").parse().expect("digits")
}
