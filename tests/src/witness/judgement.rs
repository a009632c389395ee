//! Do the clients and the journal tell the same story?

use engine::{command::Command as Journaled, event::OrderEventKind as Kind};
use proto::trading::v1::{
    OrderEventKind, SessionEvent, batch_item::Item, open_session_request::Command,
    session_event::Event,
};

use super::Witness;
use crate::journalled::{Journalled, Told};

/// What was compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verdict {
    /// Commands of the witnesses.
    pub commands: usize,
    /// Of those, never in the core: refused at the door.
    pub refused: usize,
    /// Numbered events, each in the journal under the same number.
    pub events: usize,
    /// Orders acknowledged.
    pub orders: usize,
    /// Fills heard.
    pub fills: usize,
    /// Trades in the journal.
    pub trades: usize,
    /// Commands that are in the journal twice.
    pub doubles: usize,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} commands ({} refused at the door), {} events, {} orders acknowledged, {} fills of {} \
             trades; {} commands twice in the journal, nothing lost, nothing invented",
            self.commands,
            self.refused,
            self.events,
            self.orders,
            self.fills,
            self.trades,
            self.doubles
        )
    }
}

/// Compares event by event and command by command. The witnesses have caught up.
///
/// # Panics
/// At the first difference.
#[must_use]
pub fn judge(witnesses: &[Witness], journal: &Journalled) -> Verdict {
    let mut verdict = Verdict {
        trades: journal.trades.len(),
        doubles: journal.doubles(),
        ..Verdict::default()
    };
    journal.check_trades();
    for witness in witnesses {
        let (record, actor) = (&witness.record, &witness.terms.actor);
        verdict.commands += record.sent.len();
        verdict.refused += record.refused.len() + record.at_the_door;
        verdict.events += record.events.len();
        verdict.fills += record.fills().count();
        let told = journal.told.get(&record.session).expect("a session");
        for event in &record.events {
            let number = event.event_seq.unsigned_abs();
            let told = told.get(&number);
            let told = told.unwrap_or_else(|| panic!("{actor}: event {number} is lost"));
            compare(actor, event, told);
        }
        // Later than the witness's last look there is only what nobody asked for.
        for told in told.range(record.events.len() as u64 + 1..) {
            assert_eq!(told.1.client_seq, 0, "{actor}: untold: {told:?}");
        }
        nothing_unsent(witness, journal);
        orders_once(witness, journal, &mut verdict);
    }
    verdict
}

/// Events that clients were told of and the journal does not hold.
#[must_use]
pub fn lost(witnesses: &[Witness], journal: &Journalled) -> usize {
    let of = |witness: &Witness| {
        let told = journal.told.get(&witness.record.session);
        let held = |event: &&SessionEvent| {
            told.is_some_and(|told| told.contains_key(&event.event_seq.unsigned_abs()))
        };
        witness
            .record
            .events
            .iter()
            .filter(|event| !held(event))
            .count()
    };
    witnesses.iter().map(of).sum()
}

fn compare(actor: &str, event: &SessionEvent, told: &Told) {
    assert_eq!(
        (
            event.journal_seq.unsigned_abs(),
            event.client_seq.unsigned_abs()
        ),
        (told.seq, told.client_seq),
        "{actor}: event {}",
        event.event_seq
    );
    let Some(Event::Order(order)) = &event.event else {
        assert!(told.order.is_none(), "{actor}: {event:?} is {told:?}");
        return;
    };
    let journaled = told.order.unwrap_or_else(|| panic!("{actor}: {event:?}"));
    let fill = order.fill.as_ref();
    let fill = fill.map(|fill| {
        (
            fill.trade_id,
            fill.price_ticks,
            fill.lots,
            fill.position_lots_after,
        )
    });
    let said = (
        order.order_id,
        order.client_order_id,
        order.filled_lots,
        order.open_lots,
        fill,
    );
    let fill = journaled.fill.map(|fill| {
        (
            fill.trade.0.cast_signed(),
            fill.price.0,
            fill.lots.0,
            fill.position_after.0,
        )
    });
    let written = (
        journaled.order_id.0.cast_signed(),
        journaled.client_order_id,
        journaled.filled.0,
        journaled.open.0,
        fill,
    );
    assert_eq!(said, written, "{actor}: event {}", event.event_seq);
    let accepted = order.kind == OrderEventKind::Accepted as i32;
    let filled = order.kind == OrderEventKind::Fill as i32;
    assert_eq!(
        (accepted, filled),
        (
            journaled.kind == Kind::Accepted,
            journaled.kind == Kind::Fill
        ),
        "{actor}: event {}",
        event.event_seq
    );
}

/// Every command of the session in the journal was sent under that number, and is what was sent; every
/// command with an answer from the core is there.
fn nothing_unsent(witness: &Witness, journal: &Journalled) {
    let (record, actor) = (&witness.record, &witness.terms.actor);
    let session = record.session;
    let written = journal.commands.range((session, 0)..=(session, u64::MAX));
    for ((_, number), commands) in written {
        let sent = record.sent.get(&number.cast_signed());
        let sent = sent.unwrap_or_else(|| panic!("{actor}: nobody sent {commands:?}"));
        for command in commands {
            let (said, written) = (names(sent), written_names(command));
            assert_eq!(said, written, "{actor}: command {number}");
        }
    }
    for number in record.sent.keys() {
        let written = journal
            .commands
            .contains_key(&(session, number.unsigned_abs()));
        let refused = record.refused.contains_key(number);
        assert!(
            written != refused,
            "{actor}: command {number} is lost, or refused and done"
        );
    }
}

/// Every acknowledged order came to be once, under the acknowledged number; no other order did.
fn orders_once(witness: &Witness, journal: &Journalled, verdict: &mut Verdict) {
    let (record, actor) = (&witness.record, &witness.terms.actor);
    let account = u32::try_from(witness.terms.account).expect("a number");
    let mut journaled = journal.orders_of(account);
    for (_, order) in record.orders() {
        if order.kind == OrderEventKind::Accepted as i32 && order.quote.is_none() {
            let id = order.order_id.unsigned_abs();
            let orders = journaled.remove(&order.client_order_id);
            assert_eq!(
                orders,
                Some(&[id][..]),
                "{actor}: order {}",
                order.client_order_id
            );
            verdict.orders += 1;
        }
    }
    assert!(
        journaled.is_empty(),
        "{actor}: orders nobody was told of: {journaled:?}"
    );
}

/// Kind and client's names of a command: enough to know it by.
fn names(command: &Command) -> (&'static str, Vec<u64>) {
    match command {
        Command::NewOrder(order) => ("order", vec![order.client_order_id]),
        Command::Replace(_) => ("replace", Vec::new()),
        Command::Cancel(_) => ("cancel", Vec::new()),
        Command::MassCancel(_) => ("mass cancel", Vec::new()),
        Command::MassQuote(quote) => ("quote", vec![quote.quote_id.unsigned_abs()]),
        Command::Batch(batch) => {
            let items = batch.items.iter().filter_map(|item| match &item.item {
                Some(Item::NewOrder(order)) => Some(order.client_order_id),
                _ => None,
            });
            ("batch", items.collect())
        }
        _ => ("other", Vec::new()),
    }
}

fn written_names(command: &Journaled) -> (&'static str, Vec<u64>) {
    match command {
        Journaled::Place(place) => ("order", vec![place.order.client_order_id]),
        Journaled::Replace(_) => ("replace", Vec::new()),
        Journaled::Cancel(_) => ("cancel", Vec::new()),
        Journaled::MassCancel(_) => ("mass cancel", Vec::new()),
        Journaled::MassQuote(quote) => ("quote", vec![quote.quote_id.unsigned_abs()]),
        Journaled::Batch(batch) => {
            let items = batch.items.iter().filter_map(|item| match item {
                engine::command::BatchItem::Place(place) => Some(place.order.client_order_id),
                _ => None,
            });
            ("batch", items.collect())
        }
        _ => ("other", Vec::new()),
    }
}
