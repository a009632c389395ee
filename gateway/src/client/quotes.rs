//! Commands that are made of many parts: ladders of two-sided quotes, and batches.

use proto::trading::v1::{
    Batch, BatchItem, BatchPolicy, Cancel, MassQuote, MassQuoteDone, NewOrder, QuoteEntry, Replace,
    batch_item::Item, open_session_request::Command, session_event::Event,
};

use super::{ClientError, Refusal, Session};

/// A ladder of quotes, rung by rung. A side that is not mentioned stays as it is.
#[derive(Clone, Debug)]
pub struct Quotes(MassQuote);

impl Quotes {
    /// Nothing yet, of this protection group; `quote_id` comes back in every fill.
    #[must_use]
    pub fn new(mmp_group: i32, quote_id: i64) -> Self {
        Self(MassQuote {
            quote_id,
            mmp_group,
            ..MassQuote::default()
        })
    }

    /// Asks for the numbers of the orders.
    #[must_use]
    pub fn with_order_ids(mut self) -> Self {
        self.0.report_order_ids = true;
        self
    }

    /// A bid of `lots` at `ticks` on a rung; 0 lots pull it.
    #[must_use]
    pub fn bid(mut self, (instrument_id, slot): (i32, i32), ticks: i64, lots: i64) -> Self {
        let entry = self.rung(instrument_id, slot);
        (entry.bid_ticks, entry.bid_lots) = (Some(ticks), lots);
        self
    }

    /// An ask of `lots` at `ticks` on a rung; 0 lots pull it.
    #[must_use]
    pub fn ask(mut self, (instrument_id, slot): (i32, i32), ticks: i64, lots: i64) -> Self {
        let entry = self.rung(instrument_id, slot);
        (entry.ask_ticks, entry.ask_lots) = (Some(ticks), lots);
        self
    }

    /// The entry of a rung, made if it is not there.
    fn rung(&mut self, instrument_id: i32, slot: i32) -> &mut QuoteEntry {
        let entries = &mut self.0.entries;
        let same = |entry: &QuoteEntry| (entry.instrument_id, entry.slot) == (instrument_id, slot);
        let place = entries.iter().position(same).unwrap_or(entries.len());
        if place == entries.len() {
            entries.push(QuoteEntry {
                instrument_id,
                slot,
                ..QuoteEntry::default()
            });
        }
        &mut entries[place]
    }
}

impl From<Quotes> for Command {
    fn from(quotes: Quotes) -> Self {
        Self::MassQuote(quotes.0)
    }
}

/// The steps of a batch, in the order in which they run. Put cancels first: what they free is there for
/// the rest.
#[derive(Clone, Debug)]
pub struct Steps(Batch);

impl Steps {
    /// No step yet.
    #[must_use]
    pub fn new(policy: BatchPolicy) -> Self {
        Self(Batch {
            policy: policy.into(),
            items: Vec::new(),
        })
    }

    fn step(mut self, item: Item) -> Self {
        self.0.items.push(BatchItem { item: Some(item) });
        self
    }

    /// Cancels an order.
    #[must_use]
    pub fn cancel(self, cancel: Cancel) -> Self {
        self.step(Item::Cancel(cancel))
    }

    /// Changes an order.
    #[must_use]
    pub fn replace(self, replace: Replace) -> Self {
        self.step(Item::Replace(replace))
    }

    /// Enters an order.
    #[must_use]
    pub fn place(self, order: NewOrder) -> Self {
        self.step(Item::NewOrder(order))
    }
}

impl From<Steps> for Command {
    fn from(steps: Steps) -> Self {
        Self::Batch(steps.0)
    }
}

impl Session {
    /// Sends quotes and reads up to their answer. What comes before it, fills above all, goes to `seen`.
    pub async fn quote(
        &mut self,
        quotes: Quotes,
        mut seen: impl FnMut(Event),
    ) -> Result<MassQuoteDone, ClientError> {
        let client_seq = self.send(quotes.into()).await?;
        loop {
            let event = self.next().await?;
            let mine = event.client_seq == client_seq;
            match event.event {
                Some(Event::MassQuoteDone(done)) if mine => return Ok(done),
                Some(Event::CommandRejected(rejected)) if mine => {
                    let problem = rejected.problem.unwrap_or_default();
                    return Err(ClientError::Refused(Box::new(Refusal::from_problem(
                        &problem,
                    ))));
                }
                // No refusal: the quotes may stand. A resume tells.
                Some(Event::Terminated(ended)) => {
                    let why = ended.problem.unwrap_or_default().message;
                    return Err(ClientError::SessionLost(why));
                }
                Some(other) => seen(other),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_rung_are_one_entry() {
        let quotes = Quotes::new(2, 7)
            .bid((3, 0), 100, 5)
            .ask((3, 1), 110, 5)
            .ask((3, 0), 105, 0);
        let Command::MassQuote(quote) = quotes.into() else {
            panic!("a mass quote");
        };
        let [first, second] = quote.entries.as_slice() else {
            panic!("two rungs: {quote:?}");
        };
        assert_eq!((first.bid_ticks, first.bid_lots), (Some(100), 5));
        assert_eq!((first.ask_ticks, first.ask_lots), (Some(105), 0));
        assert_eq!((second.slot, second.bid_ticks), (1, None));
    }

    #[test]
    fn steps_keep_their_order() {
        let steps = Steps::new(BatchPolicy::BestEffort)
            .cancel(Cancel::default())
            .place(NewOrder::default());
        let Command::Batch(batch) = steps.into() else {
            panic!("a batch");
        };
        let kinds: Vec<bool> = batch
            .items
            .iter()
            .map(|step| matches!(step.item, Some(Item::Cancel(_))))
            .collect();
        assert_eq!(kinds, [true, false]);
    }
}
