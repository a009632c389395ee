//! Bytes as a record of the journal: whatever they are, decoding ends with a record or a refusal.

use std::hash::{DefaultHasher, Hash, Hasher};

use engine::record::{self, Results};

use super::{Target, Traits};
use crate::{generator::Features, streams};

/// Decoding.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decode;

impl Target for Decode {
    const LONGEST: usize = 4_096;

    fn run(&mut self, bytes: &[u8], traits: &mut Traits) -> Result<(), String> {
        let mut hash = DefaultHasher::new();
        match record::decode(bytes, 1) {
            Err(problem) => {
                // Numbers in it would make everything new.
                let words = problem.bytes().filter(|byte| !byte.is_ascii_digit());
                words.collect::<Vec<u8>>().hash(&mut hash);
            }
            Ok(records) => {
                let [record] = records.as_slice() else {
                    return Err(format!("{} records for one", records.len()));
                };
                std::mem::discriminant(&record.stamped.command).hash(&mut hash);
                record.results.fills.len().min(3).hash(&mut hash);
                record.results.refusals.len().min(3).hash(&mut hash);
                let mut again = Vec::new();
                record::write(&record.stamped, &record.results, &mut again);
                if again != bytes {
                    return Err("other bytes stand for the same record".into());
                }
                if record::decode(&again, 1).as_ref() != Ok(&records) {
                    return Err("a record does not survive its own encoding".into());
                }
                // It must be possible to speak of it.
                if format!("{record:?}").is_empty() {
                    return Err("nothing to say".into());
                }
            }
        }
        traits.push(hash.finish() as u32);
        Ok(())
    }
}

/// Records of a stream: some of each kind of command.
#[must_use]
pub fn examples() -> Vec<Vec<u8>> {
    let stream = streams::record(3, Features::ALL, 900);
    let mut kinds: Vec<(std::mem::Discriminant<_>, usize)> = Vec::new();
    let mut examples = Vec::new();
    for stamped in stream {
        let kind = std::mem::discriminant(&stamped.command);
        let count = match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => count,
            None => {
                kinds.push((kind, 0));
                &mut kinds.last_mut().expect("just pushed").1
            }
        };
        *count += 1;
        let mut bytes = Vec::new();
        record::write(&stamped, &Results::default(), &mut bytes);
        if *count <= 3 && bytes.len() <= Decode::LONGEST {
            examples.push(bytes);
        }
    }
    examples
}
