//! Does any input break something? A short search in the ordinary run; `tests::fuzz` says how to search
//! longer, and how to let the branches of the code guide it.

use std::path::{Path, PathBuf};

use engine::record::{self, Record, Results};
use tests::fuzz::{
    self, Target, Traits,
    decode::{self, Decode},
    stream::Stream,
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Searches from the corpus and these examples on.
fn search(target: &mut impl Target, name: &str, mut known: Vec<Vec<u8>>, rounds: usize) {
    let corpus = fuzz::corpus(&folder(name));
    assert!(!corpus.is_empty(), "the corpus of {name} is empty");
    let files = corpus.len();
    known.extend(corpus.into_iter().map(|(_, bytes)| bytes));
    let rounds = number("HASHPIT_FUZZ_ROUNDS").map_or(rounds, |rounds| rounds as usize);
    let seed = number("HASHPIT_FUZZ_SEED").unwrap_or(1);
    let report = fuzz::search(target, known, rounds, seed).unwrap_or_else(|found| {
        panic!("{found}\nfix it, and let tests/corpus/{name} remember the input")
    });
    println!(
        "{name}: {rounds} rounds by {} from {files} files: {} inputs kept, {} traits",
        if report.by_edges {
            "branches"
        } else {
            "behaviour"
        },
        report.kept.len(),
        report.traits
    );
    if let Ok(keep) = std::env::var("HASHPIT_FUZZ_KEEP") {
        fuzz::keep(&Path::new(&keep).join(name), &report);
    }
}

#[test]
fn any_bytes_are_a_record_or_a_refusal() {
    search(&mut Decode, "decode", decode::examples(), 400_000);
}

#[test]
fn any_commands_leave_the_books_in_order() {
    search(&mut Stream::new(), "stream", Vec::new(), 10_000);
}

/// What was found once stays found: every file of the corpora, one by one.
#[test]
fn inputs_of_the_corpus_break_nothing() {
    let mut traits = Traits::new();
    for (name, bytes) in fuzz::corpus(&folder("decode")) {
        assert_eq!(Decode.run(&bytes, &mut traits), Ok(()), "{name}");
    }
    let mut stream = Stream::new();
    for (name, bytes) in fuzz::corpus(&folder("stream")) {
        assert_eq!(stream.run(&bytes, &mut traits), Ok(()), "{name}");
    }
}

/// The same input gives the same words, and each of its commands survives the journal's encoding.
#[test]
fn commands_made_of_bytes_are_commands_like_any_other() {
    let stream = Stream::new();
    for (name, bytes) in fuzz::corpus(&folder("stream")) {
        let mut first = Vec::new();
        let one = stream.tell(&bytes, |stamped, events| {
            first.push((stamped.clone(), events.to_vec()));
        });
        let mut place = 0;
        let other = stream.tell(&bytes, |stamped, events| {
            assert_eq!(
                (stamped, events),
                (&first[place].0, &first[place].1[..]),
                "{name}"
            );
            place += 1;
        });
        let digest = |ran: Result<engine::exchange::Exchange, String>| ran.map(|end| end.digest());
        assert_eq!(digest(one), digest(other), "{name}");
        for (stamped, events) in first {
            let results = Results::of(&events, &mut Vec::new());
            let record = Record { stamped, results };
            let mut bytes = Vec::new();
            record::write(&record.stamped, &record.results, &mut bytes);
            assert_eq!(record::decode(&bytes, 1), Ok(vec![record]), "{name}");
        }
    }
}
