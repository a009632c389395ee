//! A place between two blocks: what the next block must say, whether it is read or about to be written.
//!
//! Writer and reader step over each block with the same [`Place::pass`], which asserts the same facts.

use bincode::{Decode, Encode};

use super::block::{self, Fault, Header, Kind};
use super::error::Reason;

/// A place between two blocks, and what the next block must agree with.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Place {
    pub(super) exchange_id: u64,
    pub(super) segment_id: u64,
    pub(super) segment_bytes: u64,
    pub(super) offset: u64,
    /// Where the block before this place begins.
    pub(super) last_offset: u64,
    pub(super) epoch: u64,
    pub(super) next_block: u64,
    pub(super) next_seq: u64,
    pub(super) durable_seq: u64,
    pub(super) durable_block: u64,
    pub(super) chain: [u8; 32],
    pub(super) last_kind: Kind,
}

impl Place {
    /// The very beginning. An `exchange_id` of 0 takes that of the first block.
    pub(super) fn start(exchange_id: u64, segment_bytes: u64) -> Self {
        Self {
            exchange_id,
            segment_id: 1,
            segment_bytes,
            offset: 0,
            last_offset: 0,
            epoch: 0,
            next_block: 1,
            next_seq: 1,
            durable_seq: 0,
            durable_block: 0,
            chain: [0; 32],
            last_kind: Kind::EpochStart,
        }
    }

    /// To the beginning of the next segment.
    pub(super) fn enter_next_segment(&mut self) {
        self.segment_id += 1;
        self.offset = 0;
        self.last_offset = 0;
    }

    /// Steps over a block that was judged good, or sealed just now.
    pub(super) fn pass(&mut self, header: &Header, chain: [u8; 32]) {
        assert_eq!(header.block_seq, self.next_block);
        assert_eq!(header.first_seq, self.next_seq);
        assert_eq!(header.previous_chain, self.chain);
        self.exchange_id = header.exchange_id;
        self.last_offset = self.offset;
        self.offset += block::block_bytes(header.payload_len as usize) as u64;
        self.epoch = header.epoch;
        self.next_block += 1;
        self.next_seq += u64::from(header.count);
        self.durable_seq = header.durable_seq;
        self.durable_block = header.durable_block;
        self.chain = chain;
        self.last_kind = header.kind;
    }

    /// Whether a sound block is the one that must come here.
    pub(super) fn judge(&self, header: &Header) -> Result<(), Verdict> {
        let known = self.exchange_id;
        if known != 0 && header.exchange_id != known {
            let found = header.exchange_id;
            return Err(Reason::ForeignExchange {
                expected: known,
                found,
            }
            .into());
        }
        if (header.segment_id, header.offset) != (self.segment_id, self.offset) {
            let (segment_id, offset) = (header.segment_id, header.offset);
            return Err(Reason::Misplaced { segment_id, offset }.into());
        }
        if header.epoch < self.epoch {
            return Err(Verdict::Bad(Fault::Abandoned(header.epoch)));
        }
        if header.block_seq != self.next_block {
            let (expected, found) = (self.next_block, header.block_seq);
            return Err(Reason::BlockHole { expected, found }.into());
        }
        if header.previous_chain != self.chain {
            return Err(Reason::BrokenChain.into());
        }
        self.contradiction(header)
            .map_or(Ok(()), |what| Err(Reason::Contradiction(what).into()))
    }

    fn contradiction(&self, header: &Header) -> Option<&'static str> {
        let starts_epoch = header.kind == Kind::EpochStart;
        let is_data = header.kind == Kind::Data;
        let after = header.first_seq.checked_add(u64::from(header.count));
        let facts = [
            (header.exchange_id != 0, "the exchange id is 0"),
            (
                header.first_seq == self.next_seq,
                "the first sequence number is not the next one",
            ),
            (after.is_some(), "the sequence numbers run over"),
            (
                header.epoch == self.epoch + u64::from(starts_epoch),
                "the epoch does not follow",
            ),
            (
                is_data == (header.count > 0),
                "the count does not suit the kind",
            ),
            (
                is_data || header.payload_len == 0,
                "a block without records has a payload",
            ),
            (
                header.durable_seq < header.first_seq,
                "its own records were durable before it",
            ),
            (
                header.durable_seq >= self.durable_seq,
                "the durable sequence number went back",
            ),
            (
                (self.durable_block..header.block_seq).contains(&header.durable_block),
                "the durable block does not follow",
            ),
            (
                header.block_seq - header.durable_block.min(header.block_seq)
                    <= super::limits::BLOCKS_IN_FLIGHT_MAX,
                "more blocks were in flight than ever are",
            ),
        ];
        facts
            .iter()
            .find(|(holds, _)| !holds)
            .map(|(_, what)| *what)
    }
}

/// Why the block at the expected place is not the next one.
pub(super) enum Verdict {
    /// Damaged or abandoned: the blocks behind it decide.
    Bad(Fault),
    /// Sound but wrong: no crash leaves such a thing.
    Wrong(Reason),
}

impl From<Reason> for Verdict {
    fn from(reason: Reason) -> Self {
        Self::Wrong(reason)
    }
}

/// A place between two blocks that was reached by reading, and from which reading can go on: what a
/// snapshot keeps. Opaque; its bytes belong to the journal's format version.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Position(Place);

impl Position {
    pub(super) fn new(place: Place) -> Self {
        Self(place)
    }

    pub(super) fn place(&self) -> &Place {
        &self.0
    }

    pub(super) fn into_place(self) -> Place {
        self.0
    }

    /// The exchange that the journal belongs to.
    #[must_use]
    pub fn exchange_id(&self) -> u64 {
        self.0.exchange_id
    }

    /// The last sequence number before the place; 0 if there is none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.0.next_seq.saturating_sub(1)
    }

    /// The segment that reading goes on in.
    #[must_use]
    pub fn segment_id(&self) -> u64 {
        self.0.segment_id
    }

    /// BLAKE3 of the block before the place.
    #[must_use]
    pub fn chain(&self) -> [u8; 32] {
        self.0.chain
    }
}
