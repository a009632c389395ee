//! What a journal holds, for comparing it with what clients say.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use engine::{
    command::{Command, Origin, Side, Stamped},
    event::{Event, OrderEvent, OrderEventKind},
    exchange::Exchange,
    journal,
    pipeline::Replay,
};
use gateway::bulletin::address;

/// One event of a session.
#[derive(Clone, Debug)]
pub struct Told {
    /// Journal position.
    pub seq: u64,
    /// The command's number; 0 = unsolicited.
    pub client_seq: u64,
    /// If it is about an order.
    pub order: Option<OrderEvent>,
}

/// One side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// Whose.
    pub account: u32,
    /// Direction.
    pub side: Side,
    /// Price.
    pub price: i64,
    /// Quantity.
    pub lots: i64,
}

/// A journal, executed again.
#[derive(Clone, Debug, Default)]
pub struct Journalled {
    /// Commands of sessions, by session and number.
    pub commands: BTreeMap<(u32, u64), Vec<Command>>,
    /// What each session was told, by its event number. Two under one number would be an error here.
    pub told: BTreeMap<u32, BTreeMap<u64, Told>>,
    /// Orders that came to be, by account and the client's name for them.
    pub accepted: BTreeMap<(u32, u64), Vec<u64>>,
    /// Trades outside combinations, by number.
    pub trades: BTreeMap<u64, Vec<Half>>,
    /// Commands.
    pub length: u64,
}

impl Journalled {
    /// Reads and executes all of it; recorded results must be those of the second execution.
    ///
    /// # Panics
    /// If the journal is not good, an event number comes twice, or the books do not add up.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let mut found = Self::default();
        let (mut exchange, mut replay) = (Exchange::new(), Replay::default());
        journal::scan(folder, |block| {
            let heard = |stamped: &Stamped, events: &[Event]| found.note(stamped, events);
            replay.block(&mut exchange, block.payload, block.count, heard)
        })
        .expect("a good journal");
        exchange.audit().expect("the books add up");
        found.length = exchange.seq();
        found
    }

    fn note(&mut self, stamped: &Stamped, events: &[Event]) {
        if let Some(origin) = origin(&stamped.command)
            && origin.session.is_set()
        {
            let key = (origin.session.0, origin.client_seq);
            let commands = self.commands.entry(key).or_default();
            commands.push(stamped.command.clone());
        }
        for event in events {
            let part_of_another = matches!(event, Event::QuoteProblem(_) | Event::QuoteOrder(_));
            if let Some(to) = address(event).filter(|to| to.event_seq > 0 && !part_of_another) {
                let told = Told {
                    seq: stamped.seq,
                    client_seq: to.client_seq,
                    order: match event {
                        Event::Order(order) => Some(*order),
                        _ => None,
                    },
                };
                let session = self.told.entry(to.session.0).or_default();
                let before = session.insert(to.event_seq, told);
                assert!(before.is_none(), "event {} came twice", to.event_seq);
            }
            if let Event::Order(order) = event
                && !order.copy
                && !order.repeated
            {
                self.note_order(order);
            }
        }
    }

    fn note_order(&mut self, order: &OrderEvent) {
        let account = order.to.account.0;
        if order.kind == OrderEventKind::Accepted && order.quote.is_none() {
            let key = (account, order.client_order_id);
            let orders = self.accepted.entry(key).or_default();
            orders.push(order.order_id.0);
        }
        if let Some(fill) = order.fill.filter(|_| order.kind == OrderEventKind::Fill) {
            let half = Half {
                account,
                side: order.side,
                price: fill.price.0,
                lots: fill.lots.0,
            };
            self.trades.entry(fill.trade.0).or_default().push(half);
        }
    }

    /// Every trade has a buyer and a seller, who agree.
    ///
    /// # Panics
    /// If one has not.
    pub fn check_trades(&self) {
        for (trade, halves) in &self.trades {
            let [one, other] = &halves[..] else {
                panic!("trade {trade} has {} sides", halves.len());
            };
            assert_ne!(one.side, other.side, "trade {trade}");
            assert_eq!(
                (one.price, one.lots),
                (other.price, other.lots),
                "trade {trade}"
            );
        }
    }

    /// Commands that are in it more than once, of all sessions.
    #[must_use]
    pub fn doubles(&self) -> usize {
        let commands = self.commands.values();
        commands.filter(|same| same.len() > 1).count()
    }

    /// Orders by the client's name, of one account.
    #[must_use]
    pub fn orders_of(&self, account: u32) -> HashMap<u64, &[u64]> {
        let of = self.accepted.range((account, 0)..=(account, u64::MAX));
        of.map(|((_, name), orders)| (*name, &orders[..])).collect()
    }
}

/// Where a client's command came from.
fn origin(command: &Command) -> Option<Origin> {
    match command {
        Command::Place(place) => Some(place.origin),
        Command::Replace(replace) => Some(replace.origin),
        Command::Cancel(cancel) => Some(cancel.origin),
        Command::MassCancel(cancel) => Some(cancel.origin),
        Command::SetOrderEntry(set) => Some(set.origin),
        Command::Batch(batch) => Some(batch.origin),
        Command::MassQuote(quote) => Some(quote.origin),
        Command::ResetMmp(reset) => Some(reset.origin),
        Command::Logout(logout) => Some(logout.origin),
        _ => None,
    }
}
