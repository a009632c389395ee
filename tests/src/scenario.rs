//! Stories a trader can read, and the runner that holds the exchange to them.
//!
//! A story is a text file: comments with the rules it proves, `given` lines that set the market up, one
//! line for each thing somebody does with what must come of it behind `->`, and lines that look at the
//! books. A line that ends in a comma or an arrow goes on in the next one.
//!
//! ```text
//! # ORDER-01  the older order at the same price fills first
//! given spot day-block mark 100
//! given alice 10_000
//! given bob 10_000
//! given carol 10_000
//! alice buy 10 @ 100 #1        -> rests
//! bob buy 10 @ 100 #2          -> rests
//! carol sell 12 @ 100          -> fills 10 @ 100 from alice #1, fills 2 @ 100 from bob #2
//! book                            bid 8 @ 100 (bob #2); ask empty
//! ```
//!
//! What happened is printed in the words a story is written in, so that an actual outcome can be pasted
//! as the expected one after thought. After every line the books are audited; at the end of a story all
//! its commands run a second time and must give the same events.

mod actions;
mod auctions;
mod blocks;
mod checks;
mod clearing;
mod combinations;
mod delivery;
mod desks;
mod exits;
mod given;
mod margins;
mod operator;
mod oracle;
mod quoting;
mod rfq;
mod roots;
mod told;
mod words;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use words::normal;
use world::World;

/// One line of a story, continuations joined.
struct Line {
    number: usize,
    text: String,
}

/// Runs a story; the error is a report with file, line, expected, actual and the books.
///
/// # Errors
/// The first line whose outcome is another one, that cannot be read, or after which the exchange's
/// books do not add up.
pub fn run(file: &str, text: &str) -> Result<(), String> {
    let mut world = World::new();
    for line in lines(text) {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            step(&mut world, &line.text).and_then(|()| world.audit())
        }));
        let problem = match ran {
            Ok(Ok(())) => continue,
            Ok(Err(problem)) => problem,
            Err(_) => "  the exchange panicked".into(),
        };
        let (number, text, books) = (line.number, &line.text, world.books());
        return Err(format!("{file}:{number}: {text}\n{problem}\n{books}"));
    }
    world
        .replay()
        .map_err(|problem| format!("{file}: {problem}"))
}

/// Rule ids in the comments of a story, such as `ORDER-07` or `RANK-12`.
#[must_use]
pub fn rules_cited(text: &str) -> Vec<String> {
    let comments = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix('#'));
    let words = comments.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '-'));
    words
        .filter(|word| is_rule(word))
        .map(str::to_owned)
        .collect()
}

/// Whether a word has the form of a rule's id: capitals, a dash, two digits.
#[must_use]
pub fn is_rule(word: &str) -> bool {
    word.split_once('-').is_some_and(|(topic, number)| {
        topic.len() >= 3
            && topic.bytes().all(|byte| byte.is_ascii_uppercase())
            && number.len() == 2
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Lines that say something, with comments cut off and continuations joined.
fn lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut goes_on = false;
    for (index, raw) in text.lines().enumerate() {
        let comment = raw.trim_start().starts_with('#');
        let text = if comment { "" } else { raw.trim() };
        if text.is_empty() {
            continue;
        }
        match lines.last_mut().filter(|_| goes_on) {
            Some(line) => line.text = format!("{} {text}", line.text),
            None => lines.push(Line {
                number: index + 1,
                text: text.into(),
            }),
        }
        goes_on = text.ends_with(',') || text.ends_with("->");
    }
    lines
}

/// Runs one line and compares.
fn step(world: &mut World, line: &str) -> Result<(), String> {
    if let Some(setup) = line.strip_prefix("given ") {
        return given::set_up(world, setup);
    }
    if let Some((expected, actual)) = checks::look(world, line)? {
        return compare(&expected, &actual);
    }
    let (asked, expected) = match line.split_once("->") {
        Some((asked, expected)) => (asked, Some(expected.trim())),
        None => (line, None),
    };
    let done = actions::act(world, asked)?;
    let wish = normal(expected.unwrap_or_default());
    let actual = told::told(world, &done, &wish);
    match expected {
        Some(expected) => compare(expected, &actual),
        None if done.quiet() => Ok(()),
        None => Err(format!(
            "  expected  no refusal and no order event\n  actual    {actual}"
        )),
    }
}

fn compare(expected: &str, actual: &str) -> Result<(), String> {
    if normal(expected) == normal(actual) {
        return Ok(());
    }
    Err(format!("  expected  {expected}\n  actual    {actual}"))
}
