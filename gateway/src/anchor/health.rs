//! What people are told about anchoring: how old the last anchor is, what is wrong, what must stop.
//!
//! A function of what is written down and what was seen. Trading never waits for the chain; but long before
//! silence lets anybody freeze the contract, first new deposits stop, then people are told to stop trading,
//! so that a freeze surprises nobody.

use revm::primitives::U256;

use super::{
    decide::{Policy, Rest},
    process::Counters,
    record::State,
};

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Somebody should look today.
    Warning,
    /// Somebody must look now.
    Page,
}

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// How bad.
    pub level: Level,
    /// What.
    pub what: String,
}

/// How anchoring is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Seconds since the last anchor became final, or since the log began.
    pub age: u64,
    /// Journal positions that the exchange is ahead of the last final anchor.
    pub behind: u64,
    /// Seconds since the transaction in flight was written down; none if there is none.
    pub in_flight: Option<u64>,
    /// Days for which the gas account can pay; none if unknown.
    pub fuel_days: Option<u64>,
    /// What is wrong, the worst first.
    pub alarms: Vec<Alarm>,
    /// New deposits should not be invited any more.
    pub stop_deposits: bool,
    /// Silence will soon let anybody freeze the contract: trading should wind down.
    pub stop_trading: bool,
}

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// Missed anchors before the first alarm.
const MISSED: u64 = 3;
/// Days of fuel below which somebody should fill up.
const FUEL_DAYS: u64 = 7;

/// How anchoring is, `now` in seconds since 1970; `silence` is the contract's bound in seconds, if known.
#[must_use]
pub fn health(
    policy: &Policy,
    state: &State,
    rest: &Rest,
    counters: &Counters,
    silence: Option<u64>,
    now: u64,
) -> Health {
    let age = if state.contract.is_some() {
        now.saturating_sub(state.last.at)
    } else {
        0
    };
    let mut health = Health {
        age,
        behind: counters.newest.seq.saturating_sub(state.last.seq),
        in_flight: state
            .open
            .as_ref()
            .and_then(|open| open.intents.first())
            .map(|intent| now.saturating_sub(intent.at)),
        fuel_days: fuel_days(policy, counters),
        ..Health::default()
    };
    let mut alarm = |level, what: String| health.alarms.push(Alarm { level, what });
    if rest.is_grave() {
        alarm(Level::Page, rest.to_string());
    }
    if age > HOUR.max(2 * policy.every) {
        alarm(
            Level::Page,
            format!("no final anchor for {} minutes", age / 60),
        );
    } else if age > MISSED * policy.every && *rest != Rest::NothingNew {
        alarm(
            Level::Warning,
            format!("{} anchors missed", age / policy.every),
        );
    }
    if matches!(rest, Rest::AtCap) {
        alarm(
            Level::Warning,
            "the post waits, and its price is at the cap".into(),
        );
    }
    if counters.grave_refusals > 0 {
        alarm(
            Level::Page,
            format!("signers refused {} times", counters.grave_refusals),
        );
    }
    if counters.exits_open > 0 {
        let open = counters.exits_open;
        alarm(
            Level::Warning,
            format!("{open} exit requests are open on the chain"),
        );
    }
    if let Some(days) = fuel_days(policy, counters).filter(|days| *days < FUEL_DAYS) {
        alarm(Level::Warning, format!("the gas account lasts {days} days"));
    }
    health.stop_deposits = age >= DAY;
    if health.stop_deposits {
        health.alarms.push(Alarm {
            level: Level::Page,
            what: "no final anchor for a day: new deposits must stop".into(),
        });
    }
    // A quarter of the time, and at least a day of it, is left to get everybody out in order.
    if let Some(silence) = silence
        && silence > 0
        && age >= silence.saturating_sub((silence / 4).max(DAY.min(silence / 2)))
    {
        health.stop_trading = true;
        health.alarms.push(Alarm {
            level: Level::Page,
            what: format!(
                "after {silence} s of silence anybody may freeze the contract: stop new trading"
            ),
        });
    }
    health
        .alarms
        .sort_by_key(|alarm| std::cmp::Reverse(alarm.level));
    health
}

fn fuel_days(policy: &Policy, counters: &Counters) -> Option<u64> {
    let (balance, price) = (counters.balance?, counters.gas_price?);
    let posts = DAY.div_ceil(policy.every.max(1));
    let a_day = U256::from(price) * U256::from(policy.gas) * U256::from(posts);
    if a_day.is_zero() {
        return None;
    }
    Some(u64::try_from(balance / a_day).unwrap_or(u64::MAX))
}
