//! What the journal keeps of a command: the command itself, and the fills and refusals it produced.
//!
//! Replaying executes the command again and compares: the results must be the recorded ones, and all
//! events together must have the recorded checksum, byte for byte.

use bincode::{Decode, Encode};

use crate::{
    command::Stamped,
    event::{Event, OrderEventKind},
    ids::{AccountId, InstrumentId, OrderId, TradeId},
    reason::Problem,
    units::{Lots, Minor, Ticks},
};

/// One fill, one side of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RecordedFill {
    /// Trade.
    pub trade: TradeId,
    /// Whose side.
    pub account: AccountId,
    /// Order.
    pub order: OrderId,
    /// Contract.
    pub instrument: InstrumentId,
    /// Price.
    pub price: Ticks,
    /// Quantity.
    pub lots: Lots,
    /// Fee of this side.
    pub fee: Minor,
}

/// What a command produced, as far as the journal keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Results {
    /// Fills, in order.
    pub fills: Vec<RecordedFill>,
    /// Refusals, in order.
    pub refusals: Vec<Problem>,
    /// Number of all events.
    pub events: u32,
    /// CRC-32C over the encoding of all events.
    pub checksum: u32,
}

/// One journal record. Its bytes are two lengths, then the two parts: see [`write`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The command, numbered and stamped.
    pub stamped: Stamped,
    /// What it did.
    pub results: Results,
}

impl Results {
    /// Of these events. `scratch` is working room.
    #[must_use]
    pub fn of(events: &[Event], scratch: &mut Vec<u8>) -> Self {
        let mut results = Self::default();
        scratch.clear();
        for event in events {
            append(event, scratch);
            results.keep(event);
        }
        results.events = u32::try_from(events.len()).unwrap_or(u32::MAX);
        results.checksum = crc32c::crc32c(scratch);
        results
    }

    /// Fills and refusals of these events only; number and checksum stay 0.
    #[must_use]
    pub fn lists(events: &[Event]) -> Self {
        let mut results = Self::default();
        for event in events {
            results.keep(event);
        }
        results
    }

    #[inline]
    fn keep(&mut self, event: &Event) {
        match event {
            Event::Order(order) => {
                if let Some(fill) = order.fill.filter(|_| !order.copy) {
                    self.fills.push(RecordedFill {
                        trade: fill.trade,
                        account: order.to.account,
                        order: order.order_id,
                        instrument: order.instrument,
                        price: fill.price,
                        lots: fill.lots,
                        fee: fill.fee,
                    });
                }
                let refused = matches!(
                    order.kind,
                    OrderEventKind::Rejected
                        | OrderEventKind::ReplaceRejected
                        | OrderEventKind::CancelRejected
                );
                if let Some(problem) = order.problem.filter(|_| refused && !order.copy) {
                    self.refusals.push(problem);
                }
            }
            Event::Refused(refused) => self.refusals.push(refused.problem),
            Event::MassCancelled(_)
            | Event::Clearing(_)
            | Event::OrderEntry(_)
            | Event::CancelTimer(_)
            | Event::SessionOpened(_)
            | Event::SessionClosed(_)
            | Event::Trade(_)
            | Event::Level(_)
            | Event::Status(_)
            | Event::Statistics(_)
            | Event::Index(_)
            | Event::Listed(_)
            | Event::Posting(_)
            | Event::Balance(_)
            | Event::Position(_)
            | Event::Done(_)
            | Event::Access(_)
            | Event::BatchDone(_)
            | Event::QuoteProblem(_)
            | Event::QuoteOrder(_)
            | Event::Quoted(_)
            | Event::Mmp(_)
            | Event::Switch(_)
            | Event::Auction(_)
            | Event::Leg(_)
            | Event::Round(_)
            | Event::Quality(_)
            | Event::ChainHeight(_)
            | Event::Delivery(_)
            | Event::Epoch(_)
            | Event::Owner(_)
            | Event::Exit(_)
            | Event::Block(_)
            | Event::Rfq(_) => {}
        }
    }
}

/// Appends the encoding of a value.
pub fn append<T: Encode>(value: &T, bytes: &mut Vec<u8>) {
    let written = bincode::encode_into_std_write(value, bytes, crate::exchange::encoding());
    assert!(written.is_ok(), "encoding into memory: {written:?}");
}

/// How many bytes [`append`] would append.
#[must_use]
pub fn length_of<T: Encode>(value: &T) -> usize {
    let mut writer = bincode::enc::write::SizeWriter::default();
    let sized = bincode::encode_into_writer(value, &mut writer, crate::exchange::encoding());
    assert!(sized.is_ok(), "counting bytes: {sized:?}");
    writer.bytes_written
}

/// Bytes before the two parts of a record: their lengths.
pub const LENGTHS_BYTES: usize = 8;
/// Most bytes of one part of a record. A block holds no more, and a forged length inside a part cannot
/// ask for more memory than this.
pub(crate) const PART_BYTES: usize = 1 << 20;

/// Appends the bytes of a record: the lengths of its two parts, the command, what it did. Whoever does
/// not know a command can step over it.
pub fn write(stamped: &Stamped, results: &Results, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; LENGTHS_BYTES]);
    append(stamped, bytes);
    let middle = bytes.len();
    append(results, bytes);
    let command = middle - start - LENGTHS_BYTES;
    let lengths = [command, bytes.len() - middle].map(|length| {
        // The journal refuses what does not fit a block; a length that is cut short would hide it.
        u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
    });
    bytes[start..start + LENGTHS_BYTES].copy_from_slice(lengths.as_flattened());
}

/// Decodes the records of one journal block.
///
/// # Errors
/// What is wrong with the bytes. A length inside them never asks for more memory than they have.
pub fn decode(mut payload: &[u8], count: u32) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    for place in 0..count {
        let record = take(&mut payload);
        records.push(record.map_err(|why| format!("record {place} of {count}: {why}"))?);
    }
    if !payload.is_empty() {
        return Err(format!(
            "{} bytes after the last of {count} records",
            payload.len()
        ));
    }
    Ok(records)
}

/// The bytes of the first `count` records of a journal block: stepped over by their lengths, not decoded.
///
/// # Errors
/// If a length leads beyond the bytes.
pub fn first(payload: &[u8], count: u32) -> Result<&[u8], String> {
    let mut end = 0;
    for place in 0..count {
        let rest = payload.get(end..).unwrap_or_default();
        let behind = length("command", rest).and_then(|(command, rest)| {
            let (results, rest) = length("results", rest)?;
            let parts = command.saturating_add(results);
            match parts <= rest.len() {
                true => Ok(end + LENGTHS_BYTES + parts),
                false => Err(format!(
                    "its parts claim {parts} bytes, the block has {} left",
                    rest.len()
                )),
            }
        });
        end = behind.map_err(|why| format!("record {place}: {why}"))?;
    }
    Ok(&payload[..end])
}

/// The record that the bytes begin with; they are shorter by it afterwards.
fn take(bytes: &mut &[u8]) -> Result<Record, String> {
    let (command, rest) = length("command", bytes)?;
    let (results, rest) = length("results", rest)?;
    let mut rest = rest;
    let stamped = part("command", command, &mut rest)?;
    let results = part("results", results, &mut rest)?;
    *bytes = rest;
    Ok(Record { stamped, results })
}

fn length<'a>(part: &str, bytes: &'a [u8]) -> Result<(usize, &'a [u8]), String> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(format!(
            "{} bytes where the length of its {part} part should be, 4 bytes",
            bytes.len()
        ));
    };
    Ok((u32::from_le_bytes(*length) as usize, rest))
}

/// Decodes the part that the bytes begin with, and takes it off.
fn part<T: Decode<()>>(name: &str, length: usize, bytes: &mut &[u8]) -> Result<T, String> {
    if length > PART_BYTES {
        return Err(format!(
            "its {name} part claims {length} bytes, the limit is {PART_BYTES}"
        ));
    }
    let Some((mine, rest)) = bytes.split_at_checked(length) else {
        let left = bytes.len();
        return Err(format!(
            "its {name} part claims {length} bytes, the block has {left} left"
        ));
    };
    let config = crate::exchange::encoding().with_limit::<PART_BYTES>();
    let (value, used) = bincode::decode_from_slice(mine, config)
        .map_err(|error| format!("its {name} part: {error}"))?;
    if used != length {
        return Err(format!(
            "its {name} part claims {length} bytes and needs {used}"
        ));
    }
    *bytes = rest;
    Ok(value)
}
