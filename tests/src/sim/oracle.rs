//! What was told, and whether the journal still says the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hasher},
};

use engine::{
    command::{Command, Stamped},
    event::{Event, OrderEventKind},
    ids::{OrderId, SessionId},
    record,
};
use gateway::bulletin::address;

use super::clients::{Caller, Client, Heard};

/// A number for an event's bytes.
#[must_use]
pub fn fingerprint(event: &Event) -> u64 {
    let mut bytes = Vec::new();
    record::append(event, &mut bytes);
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    hasher.finish()
}

/// A number for a command's bytes and those of its events.
#[must_use]
pub fn print_of(stamped: &Stamped, events: &[Event], scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    record::append(stamped, scratch);
    for event in events {
        record::append(event, scratch);
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(scratch);
    hasher.finish()
}

/// What the outside world has been told so far, by journal position.
#[derive(Debug, Default)]
pub struct Told {
    prints: BTreeMap<u64, u64>,
    scratch: Vec<u8>,
    /// The first thing that was wrong.
    pub wrong: Option<String>,
}

impl Told {
    /// The newest position told.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.prints.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    /// Something is told.
    pub fn tell(&mut self, stamped: &Stamped, events: &[Event]) {
        let print = print_of(stamped, events, &mut self.scratch);
        let next = self.newest() + 1;
        if stamped.seq != next {
            let what = format!("position {} told where {next} should be", stamped.seq);
            self.wrong.get_or_insert(what);
        }
        if self.prints.insert(stamped.seq, print).is_some() {
            let what = format!("position {} told twice", stamped.seq);
            self.wrong.get_or_insert(what);
        }
    }

    /// A recovery has found this history; from now on anybody may ask for all of it.
    ///
    /// # Errors
    /// If something told is missing or different.
    pub fn compare(&mut self, history: &[u64]) -> Result<(), String> {
        let newest = self.newest();
        if (history.len() as u64) < newest {
            return Err(format!(
                "told up to position {newest}, the recovered journal ends at {}",
                history.len()
            ));
        }
        for (seq, print) in (1..).zip(history) {
            let told = *self.prints.entry(seq).or_insert(*print);
            if told != *print {
                return Err(format!("position {seq} is not what was told"));
            }
        }
        Ok(())
    }
}

/// The whole history, as replayed from the journal at the very end.
#[derive(Debug, Default)]
pub struct History {
    streams: BTreeMap<SessionId, Vec<Heard>>,
    numbers: BTreeMap<(SessionId, u64), BTreeSet<u64>>,
    accepted: BTreeMap<u64, Vec<OrderId>>,
    answered: BTreeMap<u64, BTreeSet<u64>>,
    deposits: BTreeMap<u64, u64>,
    unnamed_deposits: u64,
    orders: BTreeMap<OrderId, u64>,
    twice: Option<String>,
    /// Fills seen, to know that a run did something.
    pub fills: u64,
}

impl History {
    /// The next command with its events.
    pub fn add(&mut self, stamped: &Stamped, events: &[Event]) {
        for event in events {
            if let Some(to) = address(event).filter(|to| to.event_seq > 0) {
                self.streams.entry(to.session).or_default().push(Heard {
                    event_seq: to.event_seq,
                    print: fingerprint(event),
                });
                if to.client_seq > 0 {
                    let seqs = self.numbers.entry((to.session, to.client_seq)).or_default();
                    seqs.insert(stamped.seq);
                }
            }
            let Event::Order(order) = event else {
                continue;
            };
            self.fills += u64::from(order.fill.is_some());
            if order.copy || order.quote.is_some() {
                continue;
            }
            if order.kind == OrderEventKind::Accepted && !order.repeated {
                self.accepted
                    .entry(order.client_order_id)
                    .or_default()
                    .push(order.order_id);
                let before = self.orders.insert(order.order_id, order.client_order_id);
                if before.is_some_and(|before| before != order.client_order_id) {
                    let what = format!("order number {:?} was given twice", order.order_id);
                    self.twice.get_or_insert(what);
                }
            }
            if matches!(
                order.kind,
                OrderEventKind::Accepted | OrderEventKind::Rejected
            ) {
                let answers = self.answered.entry(order.client_order_id).or_default();
                answers.insert(order.order_id.0);
            }
        }
        if let Command::CreditDeposit(deposit) = &stamped.command
            && events
                .iter()
                .any(|event| matches!(event, Event::Posting(_)))
        {
            if deposit.id == 0 {
                self.unnamed_deposits += 1;
            }
            *self.deposits.entry(deposit.id).or_default() += 1;
        }
    }

    /// Whether this is what the clients know.
    ///
    /// # Errors
    /// The first difference.
    pub fn agrees(&self, clients: &[Client], callers: &[&Caller]) -> Result<(), String> {
        if let Some(what) = &self.twice {
            return Err(what.clone());
        }
        for ((session, client_seq), seqs) in &self.numbers {
            // A batch's events have one position; only a number that was used for two commands has two.
            if seqs.len() > 1 {
                return Err(format!(
                    "command {client_seq} of session {session:?} took effect at {seqs:?}"
                ));
            }
        }
        for (id, orders) in &self.accepted {
            if *id != 0 && orders.len() > 1 {
                return Err(format!("client order {id} became the orders {orders:?}"));
            }
        }
        for client in clients {
            self.agrees_with(client)?;
        }
        for caller in callers {
            for (id, first) in &caller.answered {
                let known = self.answered.get(id);
                if known.is_none_or(|known| known.len() != 1 || !known.contains(first)) {
                    return Err(format!(
                        "call {id} was answered {first}, the journal has {known:?}"
                    ));
                }
            }
            for id in &caller.deposits {
                let times = self.deposits.get(id).copied().unwrap_or(0);
                if times != 1 {
                    return Err(format!("deposit {id} was done {times} times"));
                }
            }
        }
        if self.unnamed_deposits > 0 {
            return Err(format!(
                "{} deposits were done without a name",
                self.unnamed_deposits
            ));
        }
        Ok(())
    }

    fn agrees_with(&self, client: &Client) -> Result<(), String> {
        let none = Vec::new();
        let stream = self.streams.get(&client.session).unwrap_or(&none);
        let mut last = 0;
        for heard in stream {
            if heard.event_seq != last && heard.event_seq != last + 1 {
                return Err(format!(
                    "{}: event {} follows {last}",
                    client.name, heard.event_seq
                ));
            }
            last = heard.event_seq;
        }
        let differs = client
            .heard
            .iter()
            .zip(stream)
            .find(|(heard, replayed)| heard != replayed);
        if let Some((heard, replayed)) = differs {
            return Err(format!(
                "{} heard {heard:?}, the replay says {replayed:?}",
                client.name
            ));
        }
        if client.heard.len() != stream.len() {
            return Err(format!(
                "{} heard {} events of {}",
                client.name,
                client.heard.len(),
                stream.len()
            ));
        }
        for (id, order) in &client.acked {
            if self
                .accepted
                .get(id)
                .is_none_or(|orders| orders != &[*order])
            {
                return Err(format!(
                    "{}: order {id} was acknowledged as {order:?}",
                    client.name
                ));
            }
        }
        for id in &client.refused_ids {
            if self.answered.contains_key(id) {
                return Err(format!(
                    "{}: order {id} was refused at the door and is there",
                    client.name
                ));
            }
        }
        Ok(())
    }
}
