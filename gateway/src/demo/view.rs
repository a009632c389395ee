//! The live view: one screen, redrawn in place, or one line a second where there is no screen.
//!
//! What it shows is made in `screen.rs`; this file alone touches the terminal.

use std::{
    io::{self, IsTerminal, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{self, MissedTickBehavior};

use super::{
    market::Market,
    screen::{Frame, compact, lines},
    stop::Stop,
    tally::Tally,
};

const REDRAW: Duration = Duration::from_millis(250);
/// No cursor, no wrapping of long lines, an empty screen.
const BEGIN: &str = "\x1b[?25l\x1b[?7l\x1b[2J";
/// Cursor and wrapping as they were.
const END: &str = "\x1b[?7h\x1b[?25h\r\n";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// Shows the demo until stopped. Trouble with the terminal ends the view, never the demo.
pub(super) async fn run(market: Arc<Market>, tally: Arc<Tally>, mut stop: Stop) {
    let screen = io::stdout().is_terminal();
    let period = if screen {
        REDRAW
    } else {
        Duration::from_secs(1)
    };
    let mut ticks = time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let started = Instant::now();
    let mut rate = Rate::new(started);
    let mut first = true;
    let _cursor = screen.then(|| Cursor);
    loop {
        let last = tokio::select! {
            () = stop.wait() => true,
            _ = ticks.tick() => false,
        };
        if last && !screen {
            return;
        }
        let counts = tally.read();
        let picture = market.picture().clone();
        let frame = Frame {
            contracts: &market.contracts,
            picture: &picture,
            acks_per_second: rate.update(counts.acks, Instant::now()),
            counts: &counts,
            elapsed: started.elapsed(),
        };
        let text = match screen {
            true => paint(&lines(&frame), first),
            false => compact(&frame) + "\n",
        };
        let mut out = io::stdout().lock();
        if out
            .write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .is_err()
            || last
        {
            return;
        }
        first = false;
    }
}

/// Gives the cursor back, however the view ends.
struct Cursor;

impl Drop for Cursor {
    fn drop(&mut self) {
        // A terminal that has gone away needs no cursor.
        let _ = io::stdout().lock().write_all(END.as_bytes());
    }
}

/// Answers per second over the last second or so.
struct Rate {
    since: Instant,
    acks: u64,
    shown: u64,
}

impl Rate {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            acks: 0,
            shown: 0,
        }
    }

    fn update(&mut self, acks: u64, now: Instant) -> u64 {
        let millis = u64::try_from((now - self.since).as_millis()).unwrap_or(u64::MAX);
        if millis >= 900 {
            self.shown = (acks - self.acks) * 1_000 / millis;
            self.acks = acks;
            self.since = now;
        }
        self.shown
    }
}

/// Lines as bytes for the terminal. Each goes to its own row, so that a low terminal never scrolls: rows
/// it does not have fall together at its foot.
fn paint(lines: &[String], first: bool) -> String {
    let mut text = String::from(if first { BEGIN } else { "" });
    for (row, line) in (1..).zip(lines) {
        text.push_str(&format!("\x1b[{row};1H{line}{CLEAR_LINE}"));
    }
    text.push_str(CLEAR_BELOW);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_row() {
        let lines = ["a".to_owned(), "b".to_owned()];
        let rows = "\x1b[1;1Ha\x1b[K\x1b[2;1Hb\x1b[K\x1b[J";
        assert_eq!(paint(&lines, false), rows);
        assert_eq!(paint(&lines, true), format!("{BEGIN}{rows}"));
    }

    #[test]
    fn the_rate_is_per_second() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert_eq!(rate.update(500, start + Duration::from_millis(250)), 0);
        assert_eq!(rate.update(2_000, start + Duration::from_secs(1)), 2_000);
        assert_eq!(rate.update(2_500, start + Duration::from_secs(2)), 500);
    }
}
