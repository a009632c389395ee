//! The end that blocks are added to: seals a block for exactly the place where it goes.

use super::block::{self, Header, Kind};
use super::buffer::Buffer;
use super::limits::BLOCK_ALIGN;
use super::place::Place;

/// Seals what `buffer` holds as the next block and steps over it; answers where it goes, bytes.
/// The block must fit into the segment.
pub(super) fn seal(at: &mut Place, kind: Kind, count: u32, buffer: &mut Buffer) -> u64 {
    let payload_len = buffer.payload_len();
    buffer.pad();
    assert_eq!(kind == Kind::Data, count > 0);
    assert!(at.offset.is_multiple_of(BLOCK_ALIGN as u64));
    assert!(at.offset + buffer.block().len() as u64 <= at.segment_bytes);
    let header = Header {
        kind,
        exchange_id: at.exchange_id,
        segment_id: at.segment_id,
        offset: at.offset,
        epoch: at.epoch + u64::from(kind == Kind::EpochStart),
        block_seq: at.next_block,
        first_seq: at.next_seq,
        count,
        payload_len: payload_len as u32,
        durable_seq: at.durable_seq,
        previous_chain: at.chain,
        durable_block: at.durable_block,
    };
    let chain = block::seal(&header, buffer.block_mut());
    at.pass(&header, chain);
    header.offset
}
