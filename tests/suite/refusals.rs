//! Does what is refused leave everything as it was?
//!
//! The random commands of the model's comparison, good and bad, once more; around each one that is refused the
//! whole state is compared, byte by byte as a snapshot would hold it, and with it what every root is made of.

use std::collections::BTreeMap;

use engine::{
    command::Stamped,
    event::{Event, OrderEventKind},
    exchange::Exchange,
    ids::{AccountId, AssetId, InstrumentId},
    instrument::TradingState,
    reason::Reason,
    units::Nanos,
};
use tests::{
    compare::{self, Fast},
    generator::Features,
    model::{BalanceView, Levels, PositionView},
};

use crate::properties::Engine;

/// Commands of one seed.
const COMMANDS: usize = 2_000;
/// What a refused command does write, as sections of a saved state (the bytes they begin with, and those of the
/// next one): number and time of the newest command; the session's count of commands and events, and when it was
/// last heard; request ids, client order ids and ended orders, by which
/// the same command is known again and gets its first answer.
const KNOWN_AGAIN: [[&[u8; 4]; 2]; 5] = [
    [b"cntr", b"asst"],
    [b"sess", b"tran"],
    [b"rqid", b"inst"],
    [b"ordr", b"book"],
    [b"clid", b"timr"],
];

/// The engine, with an eye on what refusals leave behind.
struct Watched {
    engine: Engine,
    /// Refusals by reason, each compared.
    compared: BTreeMap<Reason, u64>,
}

/// Where these four bytes stand.
fn place(bytes: &[u8], tag: &[u8; 4]) -> usize {
    let found = bytes.windows(tag.len()).position(|window| window == tag);
    found.expect("the section is there")
}

/// Money, positions, books, contracts, switches, timers, index values, deliveries, what the chain knows: everything
/// but [`KNOWN_AGAIN`].
fn state(exchange: &Exchange) -> Vec<u8> {
    let mut bytes = Vec::new();
    exchange.save(&mut bytes).expect("saved into memory");
    for [from, to] in KNOWN_AGAIN {
        let from = place(&bytes, from);
        let to = from + place(&bytes[from..], to);
        bytes.drain(from..to);
    }
    bytes
}

/// Why nothing happened, if nothing did: every event of the command says so.
fn refusal(events: &[Event]) -> Option<Reason> {
    let reasons = events.iter().map(|event| match event {
        Event::Refused(refused) => Some(refused.problem.reason),
        Event::Order(order) => match order.kind {
            OrderEventKind::Rejected
            | OrderEventKind::ReplaceRejected
            | OrderEventKind::CancelRejected => {
                order.problem.as_ref().map(|problem| problem.reason)
            }
            _ => None,
        },
        _ => None,
    });
    let reasons: Option<Vec<Reason>> = reasons.collect();
    reasons?.first().copied()
}

impl Fast for Watched {
    fn apply(&mut self, stamped: &Stamped) -> Vec<Event> {
        let before = state(&self.engine.0);
        let events = self.engine.apply(stamped);
        if let Some(reason) = refusal(&events) {
            let after = state(&self.engine.0);
            let differs = before
                .iter()
                .zip(&after)
                .position(|(one, other)| one != other);
            assert!(
                before == after,
                "{reason:?} left something behind at byte {differs:?} of {} and {}: {stamped:?}",
                before.len(),
                after.len()
            );
            *self.compared.entry(reason).or_default() += 1;
        }
        events
    }

    fn book(&self, instrument: InstrumentId) -> (Levels, Levels) {
        self.engine.book(instrument)
    }

    fn balance(&self, account: AccountId, asset: AssetId) -> BalanceView {
        self.engine.balance(account, asset)
    }

    fn position(&self, account: AccountId, instrument: InstrumentId) -> PositionView {
        self.engine.position(account, instrument)
    }

    fn mark(&self, instrument: InstrumentId) -> i64 {
        self.engine.mark(instrument)
    }

    fn trading_state(&self, instrument: InstrumentId) -> Option<TradingState> {
        self.engine.trading_state(instrument)
    }

    fn next_deadline(&self) -> Option<Nanos> {
        self.engine.next_deadline()
    }

    fn audit(&self) -> Result<(), String> {
        self.engine.audit()
    }
}

#[test]
fn what_is_refused_leaves_everything_as_it_was() {
    let mut compared = BTreeMap::new();
    for seed in [101, 102] {
        let mut watched = Watched {
            engine: Engine(Exchange::new()),
            compared: BTreeMap::new(),
        };
        compare::run(seed, Features::from_environment(), COMMANDS, &mut watched)
            .unwrap_or_else(|report| panic!("seed {seed}: {report}"));
        for (reason, count) in watched.compared {
            *compared.entry(reason).or_insert(0) += count;
        }
    }
    let refusals: u64 = compared.values().sum();
    println!("{refusals} refusals for {} reasons", compared.len());
    assert!(refusals > 1_000 && compared.len() > 30, "{compared:?}");
}
