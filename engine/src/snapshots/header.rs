//! What stands before the state in a snapshot file: 512 bytes, drawn in `JOURNAL.md`.

use super::Flaw;
use crate::{journal, journal::Position};

/// Bytes before the state.
pub(super) const BYTES: usize = 512;
/// The header's own checksum covers everything before it.
const SUM: usize = BYTES - 4;
/// Where the journal's place begins, and the most bytes it can have.
const PLACE: usize = 112;
const PLACE_BYTES: usize = SUM - PLACE;

const MAGIC: [u8; 4] = *b"HPSN";

/// The format of header and state together: one number for both.
pub(super) const VERSION: u16 = crate::saved::VERSION as u16;

/// What a snapshot says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) seq: u64,
    pub(super) position: Position,
    pub(super) state_bytes: u64,
    pub(super) state_hash: [u8; 32],
    pub(super) annex_bytes: u64,
    pub(super) annex_hash: [u8; 32],
}

impl Header {
    pub(super) fn encode(&self) -> [u8; BYTES] {
        let mut place = Vec::new();
        crate::record::append(&self.position, &mut place);
        assert!(place.len() <= PLACE_BYTES, "a place has a fixed size");
        let mut bytes = [0; BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[6..8].copy_from_slice(&journal::VERSION.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.position.exchange_id().to_le_bytes());
        bytes[16..24].copy_from_slice(&self.seq.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.state_bytes.to_le_bytes());
        bytes[32..64].copy_from_slice(&self.state_hash);
        bytes[64..68].copy_from_slice(&(place.len() as u32).to_le_bytes());
        bytes[72..80].copy_from_slice(&self.annex_bytes.to_le_bytes());
        bytes[80..112].copy_from_slice(&self.annex_hash);
        bytes[PLACE..PLACE + place.len()].copy_from_slice(&place);
        let sum = crc32c::crc32c(&bytes[..SUM]);
        bytes[SUM..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; BYTES]) -> Result<Self, Flaw> {
        let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from_le_bytes(array(bytes, at));
        let long = |at: usize| u64::from_le_bytes(array(bytes, at));
        if bytes[0..4] != MAGIC {
            return Err(Flaw::NoSnapshot);
        }
        // The sum comes first: a version that is only a flipped bit is damage.
        if word(SUM) != crc32c::crc32c(&bytes[..SUM]) {
            return Err(Flaw::HeaderChecksum);
        }
        if short(4) != VERSION {
            return Err(Flaw::Version {
                found: short(4),
                known: VERSION,
            });
        }
        if short(6) != journal::VERSION {
            return Err(Flaw::JournalVersion {
                found: short(6),
                known: journal::VERSION,
            });
        }
        let place = bytes.get(PLACE..PLACE + word(64) as usize);
        let place = place.filter(|place| place.len() <= PLACE_BYTES);
        let place = place.ok_or(Flaw::Contradiction("the place is longer than its room"))?;
        let config = crate::exchange::encoding().with_limit::<PLACE_BYTES>();
        let unreadable = Flaw::Contradiction("the place in the journal cannot be read");
        let (position, used) = match bincode::decode_from_slice::<Position, _>(place, config) {
            Ok(read) => read,
            Err(_) => return Err(unreadable),
        };
        let header = Self {
            seq: long(16),
            position,
            state_bytes: long(24),
            state_hash: array(bytes, 32),
            annex_bytes: long(72),
            annex_hash: array(bytes, 80),
        };
        let rest = &bytes[PLACE + place.len()..SUM];
        let facts = [
            (used == place.len(), "the place has bytes too many"),
            (
                rest.iter().all(|byte| *byte == 0),
                "the padding is not zero",
            ),
            (bytes[68..72] == [0; 4], "the reserved bytes are not zero"),
            (
                header.position.exchange_id() == long(8) && long(8) != 0,
                "the place is in another exchange's journal",
            ),
            (
                header.position.last_seq() == header.seq,
                "the place is not behind the state's last command",
            ),
        ];
        match facts.iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(Flaw::Contradiction(what)),
            None => Ok(header),
        }
    }
}

fn array<const N: usize>(bytes: &[u8; BYTES], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}
