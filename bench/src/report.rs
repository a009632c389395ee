//! Lines that say what was measured, with what it depends on.

use std::time::Duration;

use hdrhistogram::Histogram;

/// A histogram of nanoseconds, from 1 ns to one minute, three digits.
///
/// # Panics
/// Never: the bounds are good.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")
}

/// Adds a duration; `false` if it is out of range and was not counted.
pub fn record(histogram: &mut Histogram<u64>, took: Duration) -> bool {
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
    histogram.record(nanos).is_ok()
}

/// `p50 .. p99 .. p99.9 .. p99.99 .. max ..` of a histogram of nanoseconds, and how many it holds.
#[must_use]
pub fn percentiles(histogram: &Histogram<u64>) -> String {
    let at = |quantile| time(histogram.value_at_quantile(quantile));
    format!(
        "p50 {:>9}  p99 {:>9}  p99.9 {:>9}  p99.99 {:>9}  max {:>9}  of {}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        time(histogram.max()),
        histogram.len(),
    )
}

/// Nanoseconds for people.
#[must_use]
pub fn time(nanos: u64) -> String {
    let value = nanos as f64;
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{:.1} us", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", value / 1e6),
        _ => format!("{:.2} s", value / 1e9),
    }
}

/// How many per second.
#[must_use]
pub fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}

/// A rate for people.
#[must_use]
pub fn per_second(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{:.2} M/s", rate / 1e6),
        rate if rate >= 1e3 => format!("{:.1} k/s", rate / 1e3),
        rate => format!("{rate:.0} /s"),
    }
}

/// The machine, as far as a process can see it.
#[must_use]
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
    let build = if cfg!(debug_assertions) {
        "DEBUG build"
    } else {
        "release build"
    };
    format!(
        "{cores} cores of {}, {} {}, {build}",
        model.as_deref().unwrap_or("an unknown processor"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}

/// Whether `cargo bench` started this program. `cargo test --benches` does not, and must stay short.
#[must_use]
pub fn wanted() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}
