//! What passes by on a Stratum V1 connection, as far as counting needs it: jobs with their assigned
//! difficulty, shares, and the pool's answers.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Jobs that live at a time; a pool that never cleans loses its oldest.
const JOBS: usize = 64;
/// Shares remembered of one job, to know a replay.
const SHARES: usize = 1 << 20;
/// Shares that wait for the pool's answer.
const WAITING: usize = 4_096;
/// Stratum's code for a job that is no longer there.
const STALE: i64 = 21;
/// Bits that version rolling may change where nothing else was agreed (BIP 320).
const ROLLING: u32 = 0x1fff_e000;

/// What became of a share, with its assigned difficulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Work.
    Counts(u64),
    /// Of a job that is over or was never there.
    Stale(u64),
    /// Seen before.
    Duplicate(u64),
    /// Its hash does not meet the assigned difficulty.
    TooEasy(u64),
}

/// A job as the pool handed it out.
#[derive(Clone, Debug)]
pub struct Job {
    /// First and last part of the coinbase transaction.
    pub coinbase: (Vec<u8>, Vec<u8>),
    /// Neighbours on the way to the merkle root.
    pub branch: Vec<[u8; 32]>,
    /// Hash of the block before, in the header's order.
    pub previous: [u8; 32],
    /// Block version.
    pub version: u32,
    /// Compact target, as the header has it.
    pub bits: u32,
    /// Assigned difficulty, rounded down.
    pub difficulty: u64,
}

/// What a miner found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// The miner's part of the coinbase.
    pub extranonce2: Vec<u8>,
    /// Header time.
    pub time: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Rolled version bits.
    pub version_bits: u32,
}

fn twice(parts: &[&[u8]]) -> [u8; 32] {
    let mut first = Sha256::new();
    for part in parts {
        first.update(part);
    }
    Sha256::digest(first.finalize()).into()
}

impl Job {
    /// From the parameters of `mining.notify`.
    #[must_use]
    pub fn read(params: &[Value], difficulty: u64) -> Option<(String, Self, bool)> {
        let text = |place: usize| params.get(place)?.as_str();
        let word = |place: usize| u32::from_str_radix(text(place)?, 16).ok();
        let mut previous = array(text(1)?)?;
        // The wire swaps the bytes of each word.
        for word in previous.chunks_exact_mut(4) {
            word.reverse();
        }
        let branch = params.get(4)?.as_array()?.iter();
        let branch: Option<Vec<[u8; 32]>> = branch.map(|part| array(part.as_str()?)).collect();
        let job = Self {
            coinbase: (bytes(text(2)?)?, bytes(text(3)?)?),
            branch: branch?,
            previous,
            version: word(5)?,
            bits: word(6)?,
            difficulty,
        };
        let clean = params.get(8).and_then(Value::as_bool).unwrap_or(false);
        Some((text(0)?.to_owned(), job, clean))
    }

    /// Hash of a share's block header, last byte most significant.
    #[must_use]
    pub fn hash(&self, extranonce1: &[u8], share: &Share, rolling: u32) -> [u8; 32] {
        let (head, tail) = &self.coinbase;
        let mut root = twice(&[head, extranonce1, &share.extranonce2, tail]);
        for neighbour in &self.branch {
            root = twice(&[&root, neighbour]);
        }
        let version = (self.version & !rolling) | (share.version_bits & rolling);
        let version = if share.version_bits == 0 {
            self.version
        } else {
            version
        };
        twice(&[
            &version.to_le_bytes(),
            &self.previous,
            &root,
            &share.time.to_le_bytes(),
            &self.bits.to_le_bytes(),
            &share.nonce.to_le_bytes(),
        ])
    }
}

/// Whether a hash is at least as hard as `difficulty × hashes_per_share` tries: its upper half, as a
/// number, is at most 2^128 divided by that.
#[must_use]
pub fn meets(hash: &[u8; 32], difficulty: u64, hashes_per_share: u64) -> bool {
    let mut upper = [0; 16];
    upper.copy_from_slice(&hash[16..]);
    let tries = u128::from(difficulty.max(1)) * u128::from(hashes_per_share.max(1));
    u128::from_le_bytes(upper) <= u128::MAX / tries
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| {
        digits
            .chunks_exact(2)
            .map(|two| two[0] << 4 | two[1])
            .collect()
    })
}

fn array(hex: &str) -> Option<[u8; 32]> {
    bytes(hex)?.try_into().ok()
}

#[derive(Debug)]
struct Live {
    job: Job,
    seen: HashSet<Share>,
    order: u64,
}

/// Everything that a proxy has to remember of one connection.
#[derive(Debug)]
pub struct Watch {
    hashes_per_share: u64,
    extranonce1: Vec<u8>,
    rolling: u32,
    /// Of jobs to come; 0 = below 1, which nobody can count.
    difficulty: u64,
    jobs: BTreeMap<String, Live>,
    orders: u64,
    /// What was asked under an id that waits for its answer.
    asked: HashMap<String, Asked>,
}

#[derive(Debug)]
enum Asked {
    Subscribe,
    Configure,
    Share(Verdict),
}

impl Watch {
    /// Nothing has passed yet; difficulty 1 until the pool assigns one.
    #[must_use]
    pub fn new(hashes_per_share: u64) -> Self {
        Self {
            hashes_per_share,
            extranonce1: Vec::new(),
            rolling: ROLLING,
            difficulty: 1,
            jobs: BTreeMap::new(),
            orders: 0,
            asked: HashMap::new(),
        }
    }

    /// A line of the miner's.
    pub fn asked(&mut self, line: &str) {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            return;
        };
        let asked = match value["method"].as_str() {
            Some("mining.subscribe") => Asked::Subscribe,
            Some("mining.configure") => Asked::Configure,
            Some("mining.submit") => Asked::Share(self.judge(&value["params"])),
            _ => return,
        };
        if self.asked.len() < WAITING {
            self.asked.insert(value["id"].to_string(), asked);
        }
    }

    /// A line of the pool's; answers with what a share came to, if it answers one.
    pub fn answered(&mut self, line: &str) -> Option<Verdict> {
        let value = serde_json::from_str::<Value>(line).ok()?;
        let params = value["params"].as_array();
        match (value["method"].as_str(), params) {
            (Some("mining.set_difficulty"), Some(params)) => {
                let given = params.first().and_then(Value::as_f64).unwrap_or(0.0);
                // Truncated: nobody is credited with more than was asked of him.
                self.difficulty = given.clamp(0.0, 1e15) as u64;
                return None;
            }
            (Some("mining.set_extranonce"), Some(params)) => {
                let given = params.first().and_then(Value::as_str).and_then(bytes);
                self.extranonce1 = given.unwrap_or_default();
                return None;
            }
            (Some("mining.notify"), Some(params)) => {
                self.notify(params);
                return None;
            }
            (Some(_), _) => return None,
            (None, _) => {}
        }
        match self.asked.remove(&value["id"].to_string())? {
            Asked::Subscribe => {
                let given = value["result"]
                    .get(1)
                    .and_then(Value::as_str)
                    .and_then(bytes);
                self.extranonce1 = given.unwrap_or_default();
                None
            }
            Asked::Configure => {
                let mask = value["result"]["version-rolling.mask"].as_str();
                let mask = mask.and_then(|mask| u32::from_str_radix(mask, 16).ok());
                self.rolling = mask.unwrap_or(self.rolling);
                None
            }
            Asked::Share(verdict) => {
                let code = value["error"].get(0).and_then(Value::as_i64);
                // Other refusals of work that we found good are the pool's own affair.
                Some(match verdict {
                    Verdict::Counts(difficulty) if code == Some(STALE) => {
                        Verdict::Stale(difficulty)
                    }
                    known => known,
                })
            }
        }
    }

    fn notify(&mut self, params: &[Value]) {
        let Some((name, job, clean)) = Job::read(params, self.difficulty) else {
            return;
        };
        if clean {
            self.jobs.clear();
        }
        self.orders += 1;
        let order = self.orders;
        let seen = HashSet::new();
        self.jobs.insert(name, Live { job, seen, order });
        while self.jobs.len() > JOBS {
            let oldest = self.jobs.iter().min_by_key(|(_, live)| live.order);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else {
                return;
            };
            self.jobs.remove(&name);
        }
    }

    fn judge(&mut self, params: &Value) -> Verdict {
        let share = (|| {
            let text = |place: usize| params.get(place)?.as_str();
            let word = |place: usize| u32::from_str_radix(text(place)?, 16).ok();
            let share = Share {
                extranonce2: bytes(text(2)?)?,
                time: word(3)?,
                nonce: word(4)?,
                version_bits: word(5).unwrap_or(0),
            };
            Some((text(1)?.to_owned(), share))
        })();
        let live = share.and_then(|(job, share)| Some((self.jobs.get_mut(&job)?, share)));
        let Some((live, share)) = live else {
            return Verdict::Stale(self.difficulty);
        };
        let difficulty = live.job.difficulty;
        if live.seen.len() >= SHARES || live.seen.contains(&share) {
            return Verdict::Duplicate(difficulty);
        }
        let hash = live.job.hash(&self.extranonce1, &share, self.rolling);
        if difficulty == 0 || !meets(&hash, difficulty, self.hashes_per_share) {
            return Verdict::TooEasy(difficulty);
        }
        live.seen.insert(share);
        Verdict::Counts(difficulty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first block of all: coinbase, header and hash are known to everybody.
    #[test]
    fn the_genesis_block_is_a_share_of_difficulty_2_536() {
        let coinbase = "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04\
            ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e\
            6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a0100000043410467\
            8afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de\
            5c384df7ba0b8d578a4c702b6bf11d5fac00000000";
        let coinbase = bytes(&coinbase.replace(' ', "")).unwrap();
        let job = Job {
            coinbase: (coinbase[..50].to_vec(), coinbase[58..].to_vec()),
            branch: Vec::new(),
            previous: [0; 32],
            version: 1,
            bits: 0x1d00_ffff,
            difficulty: 1,
        };
        let share = Share {
            extranonce2: coinbase[54..58].to_vec(),
            time: 0x495f_ab29,
            nonce: 0x7c2b_ac1d,
            version_bits: 0,
        };
        let hash = job.hash(&coinbase[50..54], &share, ROLLING);
        let mut shown = hash;
        shown.reverse();
        let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
        );
        assert!(meets(&hash, 2_536, 1 << 32) && !meets(&hash, 2_537, 1 << 32));
    }

    #[test]
    fn noise_on_the_line_is_passed_over() {
        let mut watch = Watch::new(1 << 32);
        for line in [
            "",
            "{}",
            "[1]",
            "not json",
            r#"{"method":"mining.notify","params":[1]}"#,
        ] {
            watch.asked(line);
            assert_eq!(watch.answered(line), None, "{line}");
        }
        watch.asked(r#"{"id":7,"method":"mining.submit","params":["w","nojob","00","1","2"]}"#);
        let verdict = watch.answered(r#"{"id":7,"result":true,"error":null}"#);
        assert_eq!(verdict, Some(Verdict::Stale(1)));
    }
}
