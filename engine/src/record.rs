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

/// One journal record.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
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
            match event {
                Event::Order(order) => {
                    if let Some(fill) = order.fill.filter(|_| !order.copy) {
                        results.fills.push(RecordedFill {
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
                        results.refusals.push(problem);
                    }
                }
                Event::Refused(refused) => results.refusals.push(refused.problem),
                Event::MassCancelled(_)
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
                | Event::Leg(_) => {}
            }
        }
        results.events = u32::try_from(events.len()).unwrap_or(u32::MAX);
        results.checksum = crc32c::crc32c(scratch);
        results
    }
}

/// Appends the encoding of a value.
pub fn append<T: Encode>(value: &T, bytes: &mut Vec<u8>) {
    let written = bincode::encode_into_std_write(value, bytes, crate::exchange::encoding());
    assert!(written.is_ok(), "encoding into memory: {written:?}");
}

/// Decodes the records of one journal block.
///
/// # Errors
/// What is wrong with the bytes. A length inside them never asks for more memory than they have.
pub fn decode(mut payload: &[u8], count: u32) -> Result<Vec<Record>, String> {
    /// Largest encoding of one record; a forged length inside cannot ask for more memory than this.
    const RECORD_BYTES: usize = 1 << 20;
    let config = crate::exchange::encoding().with_limit::<RECORD_BYTES>();
    let mut records = Vec::new();
    for place in 0..count {
        let (record, used) = bincode::decode_from_slice::<Record, _>(payload, config)
            .map_err(|error| format!("record {place} of {count}: {error}"))?;
        payload = payload.get(used..).unwrap_or_default();
        records.push(record);
    }
    if !payload.is_empty() {
        return Err(format!(
            "{} bytes after the last of {count} records",
            payload.len()
        ));
    }
    Ok(records)
}
