//! Searching for inputs that break something: change bytes, keep what does something new, begin again.
//!
//! What is new is told by a guide. Built as usual it is *behaviour*: which events, reasons and states a
//! command of each kind brought, and which came after which. Built with edge counters it is *coverage*,
//! the branches of the code itself; stable Rust and nothing else is needed for that:
//!
//! ```sh
//! RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
//!   -Cllvm-args=-sanitizer-coverage-inline-8bit-counters" HASHPIT_FUZZ_ROUNDS=1000000 \
//!   cargo test --release --target x86_64-unknown-linux-gnu -p tests --test suite fuzz -- \
//!   --test-threads=1 --nocapture
//! ```
//!
//! (`--target` keeps the counters out of build scripts; one thread, because all threads count in the same
//! counters.) Without `RUSTFLAGS` and `--target` the same line makes a long run guided by behaviour.
//! `HASHPIT_FUZZ_SEED` begins elsewhere, `HASHPIT_FUZZ_KEEP` names a folder for what did something new.
//! A run is the same for the same seed and rounds: it never looks at the clock.

pub mod decode;
mod edges;
pub mod stream;

use std::{
    collections::HashSet,
    fmt::Write,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use crate::generator::Random;

/// What an input did, as numbers; those not seen before make it worth keeping.
pub type Traits = Vec<u32>;

/// Something that inputs are tried on.
pub trait Target {
    /// Longest input.
    const LONGEST: usize;

    /// Tries an input.
    ///
    /// # Errors
    /// A promise that does not hold.
    fn run(&mut self, bytes: &[u8], traits: &mut Traits) -> Result<(), String>;
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Inputs worth keeping, those it began with included.
    pub kept: Vec<Vec<u8>>,
    /// Different traits of all of them.
    pub traits: usize,
    /// Branches counted, or behaviour looked at.
    pub by_edges: bool,
}

fn try_one(target: &mut impl Target, bytes: &[u8], traits: &mut Traits) -> Result<(), String> {
    traits.clear();
    edges::reset();
    let ran = catch_unwind(AssertUnwindSafe(|| target.run(bytes, traits)));
    if edges::available() {
        traits.clear();
        edges::read(traits);
    }
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// Tries so many inputs, beginning with the known ones.
///
/// # Errors
/// The first input that breaks something, made as short as it will go, and what it breaks.
pub fn search(
    target: &mut impl Target,
    known: Vec<Vec<u8>>,
    rounds: usize,
    seed: u64,
) -> Result<Report, String> {
    let (mut random, mut traits) = (Random::new(seed), Traits::new());
    let (mut seen, mut kept): (HashSet<u32>, Vec<Vec<u8>>) = (HashSet::new(), Vec::new());
    let mut fresh = known.into_iter();
    for round in 0.. {
        let input = match fresh.next() {
            Some(input) => input,
            None if round >= rounds => break,
            None => change(&kept, &mut random, longest(target)),
        };
        if let Err(problem) = try_one(target, &input, &mut traits) {
            let (input, problem) = shorten(target, input, problem);
            return Err(format!("{problem}\nround {round}, input {}", hex(&input)));
        }
        let before = seen.len();
        seen.extend(&traits);
        if seen.len() > before || kept.is_empty() {
            kept.push(input);
        }
    }
    Ok(Report {
        kept,
        traits: seen.len(),
        by_edges: edges::available(),
    })
}

fn longest<T: Target>(_: &T) -> usize {
    T::LONGEST
}

/// Takes out whatever is not needed to break it.
fn shorten(target: &mut impl Target, input: Vec<u8>, problem: String) -> (Vec<u8>, String) {
    let (mut best, mut why, mut traits) = (input, problem, Traits::new());
    let mut chunk = best.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at < best.len() {
            let mut less = best.clone();
            less.drain(at..(at + chunk).min(best.len()));
            match try_one(target, &less, &mut traits) {
                Err(problem) => (best, why) = (less, problem),
                Ok(()) => at += chunk,
            }
        }
        chunk /= 2;
    }
    (best, why)
}

/// Bytes that often matter.
const SPECIAL: [u8; 8] = [0, 1, 2, 0x10, 0x7f, 0x80, 0xfe, 0xff];

/// One of the kept inputs with one to four changes.
fn change(kept: &[Vec<u8>], random: &mut Random, longest: usize) -> Vec<u8> {
    let one = |random: &mut Random| random.pick(kept).cloned().unwrap_or_default();
    let mut bytes = one(random);
    for _ in 0..random.between(1, 4) {
        let at = random.between(0, bytes.len() as i64) as usize;
        let here = at < bytes.len();
        let byte = random.next_u64() as u8;
        let span = random.between(1, 24) as usize;
        let end = (at + span).min(bytes.len());
        match random.between(0, 8) {
            0 if here => bytes[at] ^= 1 << (byte % 8),
            1 if here => bytes[at] = byte,
            2 if here => bytes[at] = SPECIAL[usize::from(byte) % SPECIAL.len()],
            3 if here => bytes[at] = bytes[at].wrapping_add(byte % 9).wrapping_sub(4),
            4 => drop(bytes.drain(at..end)),
            5 => bytes.insert(at, byte),
            6 => {
                let copy = bytes[at..end].to_vec();
                let to = random.between(0, bytes.len() as i64) as usize;
                bytes.splice(to..to, copy);
            }
            7 => {
                let other = one(random);
                let from = random.between(0, other.len() as i64) as usize;
                let until = (from + 2 * span).min(other.len());
                bytes.splice(at..at, other[from..until].iter().copied());
            }
            _ => bytes.extend((0..span).map(|_| random.next_u64() as u8)),
        }
    }
    bytes.truncate(longest);
    bytes
}

/// Bytes as text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Inputs of a folder, in order of name: text files of hexadecimal bytes, `#` begins a comment.
///
/// # Panics
/// If a file cannot be read or holds something else.
#[must_use]
pub fn corpus(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("a folder of inputs");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).expect("a text file");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let digits: Vec<u8> = lines
            .flat_map(str::bytes)
            .filter(u8::is_ascii_graphic)
            .collect();
        let byte = |two: &[u8]| {
            let two = std::str::from_utf8(two).ok();
            two.and_then(|two| u8::from_str_radix(two, 16).ok())
        };
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
        let name = path.display().to_string();
        (
            name.clone(),
            bytes.unwrap_or_else(|| panic!("{name}: not hexadecimal")),
        )
    };
    paths.into_iter().map(read).collect()
}

/// Writes what a search kept into a folder.
///
/// # Panics
/// If the folder cannot be written.
pub fn keep(folder: &Path, report: &Report) {
    fs::create_dir_all(folder).expect("a folder to keep inputs in");
    for (number, input) in report.kept.iter().enumerate() {
        let path = folder.join(format!("kept-{number:04}.txt"));
        fs::write(path, hex(input) + "\n").expect("a file");
    }
}
