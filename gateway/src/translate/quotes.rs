//! Mass quotes, batches and protection groups on a session, between wire and engine.

use engine::{
    command::{
        Batch, BatchItem, BatchPolicy, MassQuote, Origin, Place, QuoteEntry, QuoteSide, ResetMmp,
        SwitchScope,
    },
    event::{BatchDone, MmpChange, QuoteOrder, QuoteProblem, Quoted, SwitchChange},
    limits,
    reason::Reason,
    units::{Lots, Ticks},
};
use proto::trading::v1 as wire;

use super::orders::{
    BadField, Parsed, cancel, id_out, instrument_in, new_order, replace, required_group, side_out,
};
use crate::refusal;

/// The number of items of a list that must not be empty.
fn count(field: &str, items: usize, most: usize) -> Parsed<()> {
    if items == 0 {
        return Err(BadField::beyond(field, "at least one", 1, 0));
    }
    if items > most {
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let actual = i64::try_from(items).unwrap_or(i64::MAX);
        return Err(BadField {
            reason: Reason::TooManyItems,
            ..BadField::beyond(field, &format!("at most {most}"), limit, actual)
        });
    }
    Ok(())
}

/// A mass quote. Whether each side is a good quote is the core's to say, side by side; refused here is
/// only what cannot be said to it.
///
/// # Errors
/// The first field that is missing or illegal.
pub fn mass_quote(quote: &wire::MassQuote, origin: Origin) -> Parsed<MassQuote> {
    let mmp_group = required_group(quote.mmp_group)?;
    count("entries", quote.entries.len(), limits::QUOTE_ENTRIES)?;
    let entry = |(place, entry)| {
        quote_entry(entry).map_err(|bad: BadField| bad.inside(&format!("entries[{place}]")))
    };
    Ok(MassQuote {
        origin,
        quote_id: quote.quote_id,
        mmp_group,
        entries: quote
            .entries
            .iter()
            .enumerate()
            .map(entry)
            .collect::<Parsed<_>>()?,
        report_order_ids: quote.report_order_ids,
    })
}

fn quote_entry(entry: &wire::QuoteEntry) -> Parsed<QuoteEntry> {
    let slot = u8::try_from(entry.slot).map_err(|_| {
        let last = i64::try_from(limits::QUOTE_SLOTS - 1).unwrap_or(0);
        let limit = if entry.slot < 0 { 0 } else { last };
        BadField::beyond("slot", "0 to 7", limit, entry.slot.into())
    })?;
    Ok(QuoteEntry {
        instrument: instrument_in(entry.instrument_id)?,
        slot,
        bid: quote_side(("bid_ticks", "bid_lots"), entry.bid_ticks, entry.bid_lots)?,
        ask: quote_side(("ask_ticks", "ask_lots"), entry.ask_ticks, entry.ask_lots)?,
    })
}

fn quote_side(
    (ticks, lots): (&str, &str),
    price: Option<i64>,
    quantity: i64,
) -> Parsed<Option<QuoteSide>> {
    match price {
        None if quantity != 0 => Err(BadField::new(ticks, "a side with lots needs a price")),
        None => Ok(None),
        Some(_) if quantity < 0 => Err(BadField::beyond(lots, "must not be negative", 0, quantity)),
        Some(price) => Ok(Some(QuoteSide {
            price: Ticks(price),
            lots: Lots(quantity),
        })),
    }
}

/// A batch. An item that cannot be said to the core refuses the whole of it: nothing has run then.
///
/// # Errors
/// The first field that is missing, illegal or not served.
pub fn batch(batch: &wire::Batch, origin: Origin) -> Parsed<Batch> {
    let policy = match wire::BatchPolicy::try_from(batch.policy) {
        Ok(wire::BatchPolicy::BestEffort) => BatchPolicy::BestEffort,
        Ok(wire::BatchPolicy::StopOnReject) => BatchPolicy::StopOnReject,
        Ok(wire::BatchPolicy::AllOrNoneValidate) => BatchPolicy::AllOrNoneValidate,
        Ok(wire::BatchPolicy::Unspecified) => {
            return Err(BadField::new("policy", "required: there is no default"));
        }
        Err(_) => return Err(BadField::new("policy", "unknown value")),
    };
    count("items", batch.items.len(), limits::BATCH_ITEMS)?;
    let item = |(place, item): (usize, &wire::BatchItem)| {
        batch_item(item, origin).map_err(|bad| bad.inside(&format!("items[{place}]")))
    };
    Ok(Batch {
        origin,
        policy,
        items: batch
            .items
            .iter()
            .enumerate()
            .map(item)
            .collect::<Parsed<_>>()?,
    })
}

fn batch_item(item: &wire::BatchItem, origin: Origin) -> Parsed<BatchItem> {
    use wire::batch_item::Item;
    match &item.item {
        Some(Item::NewOrder(order)) => {
            new_order(order).map(|order| BatchItem::Place(Place { origin, order }))
        }
        Some(Item::Replace(change)) => replace(change, origin).map(BatchItem::Replace),
        Some(Item::Cancel(which)) => cancel(which, origin).map(BatchItem::Cancel),
        None => Err(BadField::new("item", "cancel, replace or new_order")),
    }
}

/// The end of a freeze.
///
/// # Errors
/// If it names no group.
pub fn mmp_reset(group: i32, origin: Origin) -> Parsed<ResetMmp> {
    let mmp_group = required_group(group)?;
    Ok(ResetMmp { origin, mmp_group })
}

/// The end of a batch.
#[must_use]
pub fn batch_done(done: &BatchDone) -> wire::BatchDone {
    wire::BatchDone {
        accepted: done.accepted.into(),
        rejected: done.rejected.into(),
        not_attempted: done.not_attempted.into(),
    }
}

/// A mass quote's answer in the making: the sides come first, its end last, all under one address.
#[derive(Debug, Default)]
pub struct Sides(wire::MassQuoteDone);

impl Sides {
    /// A side was refused.
    pub fn refuse(&mut self, refused: &QuoteProblem) {
        self.0.problems.push(problem_out(refused));
    }

    /// A side's order was named.
    pub fn name(&mut self, named: &QuoteOrder) {
        self.0.sides.push(side_named(named));
    }

    /// The answer; what comes next belongs to another one.
    pub fn end(&mut self, done: &Quoted) -> wire::MassQuoteDone {
        wire::MassQuoteDone {
            quote_id: done.quote_id,
            accepted_sides: done.accepted.into(),
            kept_priority_sides: done.kept.into(),
            ..std::mem::take(&mut self.0)
        }
    }
}

/// A refused side of a mass quote.
fn problem_out(refused: &QuoteProblem) -> wire::QuoteProblem {
    wire::QuoteProblem {
        entry_index: refused.entry.into(),
        side: side_out(refused.side),
        problem: Some(refusal::problem(&refused.problem)),
    }
}

/// The order of an accepted side.
fn side_named(named: &QuoteOrder) -> wire::QuoteSide {
    wire::QuoteSide {
        entry_index: named.entry.into(),
        side: side_out(named.side),
        order_id: id_out(named.order_id.0),
        priority: id_out(named.priority),
    }
}

/// A protection group froze or thawed.
#[must_use]
pub fn mmp_event(change: &MmpChange) -> wire::MmpEvent {
    wire::MmpEvent {
        mmp_group: change.mmp_group.into(),
        frozen: change.frozen,
        frozen_until_unix_nanos: change.until.0,
        limit_hit: change.limit.map_or(0, |limit| i32::from(limit as u8)),
        cancelled_orders: i32::try_from(change.cancelled).unwrap_or(i32::MAX),
    }
}

/// A kill switch moved.
#[must_use]
pub fn switch_moved(change: &SwitchChange) -> wire::OrderEntryChanged {
    let level = match change.scope {
        SwitchScope::Session(_) => Reason::KillSwitchSession,
        SwitchScope::Account(_) => Reason::KillSwitchAccount,
        SwitchScope::Firm(_) => Reason::KillSwitchFirm,
        SwitchScope::Venue => Reason::KillSwitchExchange,
    };
    wire::OrderEntryChanged {
        blocked: change.engaged,
        reason: level.number(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> wire::QuoteEntry {
        wire::QuoteEntry {
            instrument_id: 3,
            slot: 1,
            bid_ticks: Some(-1),
            bid_lots: 5,
            ask_ticks: None,
            ask_lots: 0,
        }
    }

    fn quote(entries: Vec<wire::QuoteEntry>) -> wire::MassQuote {
        wire::MassQuote {
            quote_id: 9,
            mmp_group: 2,
            entries,
            report_order_ids: true,
        }
    }

    #[test]
    fn a_quote_leaves_alone_what_it_does_not_mention() {
        let pull = wire::QuoteEntry {
            bid_lots: 0,
            ..entry()
        };
        let said = quote(vec![entry(), pull]);
        let heard = mass_quote(&said, Origin::default()).expect("well formed");
        let side = |lots| {
            Some(QuoteSide {
                price: Ticks(-1),
                lots: Lots(lots),
            })
        };
        assert_eq!((heard.quote_id, heard.mmp_group), (9, 2));
        assert!(heard.report_order_ids);
        assert_eq!(
            (heard.entries[0].bid, heard.entries[0].ask),
            (side(5), None)
        );
        assert_eq!(heard.entries[1].bid, side(0), "lots 0 pull the side");
    }

    #[test]
    fn what_cannot_be_said_of_a_quote_is_named_with_its_limit() {
        type Spoil = fn(&mut wire::MassQuote);
        let cases: [(&str, i64, Spoil); 8] = [
            ("mmp_group", 1, |quote| quote.mmp_group = 0),
            ("mmp_group", 65_535, |quote| quote.mmp_group = 70_000),
            ("entries", 1, |quote| quote.entries.clear()),
            ("entries", 64, |quote| quote.entries = vec![entry(); 65]),
            ("entries[1].slot", 7, |quote| quote.entries[1].slot = 300),
            ("entries[1].instrument_id", 0, |quote| {
                quote.entries[1].instrument_id = -1;
            }),
            ("entries[1].bid_lots", 0, |quote| {
                quote.entries[1].bid_lots = -1;
            }),
            ("entries[1].ask_ticks", 0, |quote| {
                quote.entries[1].ask_lots = 1;
            }),
        ];
        for (field, limit, spoil) in cases {
            let mut said = quote(vec![entry(); 2]);
            spoil(&mut said);
            let bad = mass_quote(&said, Origin::default()).expect_err(field);
            assert_eq!((bad.field.as_str(), bad.limit), (field, limit));
        }
        let many = mass_quote(&quote(vec![entry(); 65]), Origin::default());
        assert_eq!(many.map_err(|bad| bad.reason), Err(Reason::TooManyItems));
    }

    #[test]
    fn an_answer_gathers_its_own_sides_only() {
        use engine::{
            command::Side,
            event::Address,
            ids::OrderId,
            reason::{Field, Problem},
        };
        let to = Address::default();
        let done = Quoted {
            to,
            quote_id: 9,
            accepted: 3,
            kept: 1,
        };
        let mut sides = Sides::default();
        sides.refuse(&QuoteProblem {
            to,
            entry: 2,
            side: Side::Sell,
            problem: Problem::limit(Reason::QuantityOutOfRange, Field::Quantity, 10, 11),
        });
        sides.name(&QuoteOrder {
            to,
            entry: 0,
            side: Side::Buy,
            order_id: OrderId(7),
            priority: 8,
        });
        let told = sides.end(&done);
        let counts = (told.quote_id, told.accepted_sides, told.kept_priority_sides);
        assert_eq!(counts, (9, 3, 1));
        let refused = &told.problems[0];
        assert_eq!(
            (refused.entry_index, refused.side),
            (2, side_out(Side::Sell))
        );
        assert_eq!(refused.problem.as_ref().map(|why| why.limit), Some(10));
        assert_eq!((told.sides[0].order_id, told.sides[0].priority), (7, 8));
        assert!(sides.end(&done).problems.is_empty());
    }

    #[test]
    fn one_bad_item_is_named_by_its_place_and_stops_the_batch() {
        use wire::batch_item::Item;
        let cancel = wire::Cancel {
            target: Some(wire::cancel::Target::OrderId(4)),
            instrument_id: 0,
        };
        let order = wire::NewOrder {
            client_order_id: 1,
            instrument_id: 1,
            side: 1,
            order_type: wire::OrderType::Limit.into(),
            time_in_force: wire::TimeInForce::Gtc.into(),
            quantity_lots: 1,
            ..wire::NewOrder::default()
        };
        let item = |item| wire::BatchItem { item: Some(item) };
        let mut said = wire::Batch {
            policy: wire::BatchPolicy::StopOnReject.into(),
            items: vec![item(Item::Cancel(cancel)); 3],
        };
        let heard = batch(&said, Origin::default()).expect("well formed");
        assert_eq!(heard.items.len(), 3);
        said.items.push(item(Item::NewOrder(order)));
        let bad = batch(&said, Origin::default()).expect_err("no price");
        assert_eq!(bad.field, "items[3].price_ticks");
        assert_eq!(bad.problem("batch").field, "batch.items[3].price_ticks");
        said.items[3] = wire::BatchItem::default();
        let bad = batch(&said, Origin::default()).expect_err("nothing to do");
        assert_eq!(bad.field, "items[3].item");
        said.policy = 0;
        let bad = batch(&said, Origin::default()).expect_err("no policy");
        assert_eq!(bad.field, "policy");
    }
}
