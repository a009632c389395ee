//! Does the fast exchange do what the slow, obvious one does, on random commands good and bad?
//!
//! `HASHPIT_MODEL_COMMANDS` sets the length of a run, `HASHPIT_MODEL_FEATURES` the newer features of its
//! streams (`tests::generator::Features`): `none`, `all`, or names such as `icebergs,stops`;
//! `HASHPIT_MODEL_SEEDS` the seeds, such as `5` or `7-26`.

use std::{collections::BTreeMap, ops::RangeInclusive};

use engine::{
    command::{Side, Stamped},
    event::Event,
    exchange::Exchange,
    ids::{AccountId, AssetId, InstrumentId},
    instrument::TradingState,
    units::Nanos,
};
use tests::{
    compare::{self, Coverage, Fast},
    generator::Features,
    model::{BalanceView, Levels, PositionView},
};

/// The engine, as the comparison drives it.
pub(crate) struct Engine(pub(crate) Exchange);

impl Fast for Engine {
    fn apply(&mut self, stamped: &Stamped) -> Vec<Event> {
        let mut events = Vec::new();
        self.0.apply(stamped, &mut events);
        events
    }

    fn book(&self, instrument: InstrumentId) -> (Levels, Levels) {
        let side = |side| {
            let book = self.0.book(instrument).into_iter();
            book.flat_map(|book| book.levels(side))
                .map(|(price, level)| (price.0, level.lots, level.orders))
                .collect()
        };
        (side(Side::Buy), side(Side::Sell))
    }

    fn balance(&self, account: AccountId, asset: AssetId) -> BalanceView {
        let balance = self.0.ledger().balance(account, asset);
        BalanceView {
            cash: balance.cash.0,
            held: balance.held.0,
            margin: balance.margin.0,
            result: balance.result.0,
        }
    }

    fn position(&self, account: AccountId, instrument: InstrumentId) -> PositionView {
        let position = self.0.positions().view(account, instrument);
        PositionView {
            net: position.net.0,
            open_buy: position.open_buy.0,
            open_sell: position.open_sell.0,
            cost: position.cost.0,
            requirement: position.requirement.0,
        }
    }

    fn mark(&self, instrument: InstrumentId) -> i64 {
        self.0
            .instrument(instrument)
            .map_or(0, |contract| contract.mark.0)
    }

    fn trading_state(&self, instrument: InstrumentId) -> Option<TradingState> {
        self.0.instrument(instrument).map(|contract| contract.state)
    }

    fn next_deadline(&self) -> Option<Nanos> {
        self.0.next_deadline()
    }

    fn audit(&self) -> Result<(), String> {
        self.0.audit()
    }
}

/// Commands of one seed in the ordinary run; `HASHPIT_MODEL_COMMANDS` for long ones.
fn commands() -> usize {
    let wished = std::env::var("HASHPIT_MODEL_COMMANDS").ok();
    wished.and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

/// The seeds of a run: the first and the last one.
fn seeds() -> RangeInclusive<u64> {
    let Ok(text) = std::env::var("HASHPIT_MODEL_SEEDS") else {
        return 1..=6;
    };
    let number = |text: &str| text.trim().parse().ok();
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..=last,
        _ => panic!("no seeds: {text:?}"),
    }
}

#[test]
fn the_fast_exchange_agrees_with_the_slow_one() {
    let features = Features::from_environment();
    let (mut never_met, mut events): (Option<Vec<_>>, _) = (None, BTreeMap::new());
    for seed in seeds() {
        let coverage = compare::run(seed, features, commands(), &mut Engine(Exchange::new()))
            .unwrap_or_else(|report| panic!("seed {seed}: {report}"));
        println!(
            "seed {seed} of {}: {} trades, {} repeats",
            features.names(),
            coverage.trades,
            coverage.repeats
        );
        assert!(
            coverage.trades > 1_000 || commands() < 20_000,
            "seed {seed} hardly traded: {}",
            coverage.trades
        );
        add(&mut events, &coverage);
        let missing = coverage.missing();
        let left = never_met.take().unwrap_or_else(|| missing.clone());
        never_met = Some(
            left.into_iter()
                .filter(|reason| missing.contains(reason))
                .collect(),
        );
    }
    if is_ordinary() {
        assert_eq!(
            never_met,
            Some(vec![]),
            "refusals that no command of any seed met"
        );
    }
    not_seldom(&events, features);
}

/// What happened in all seeds together.
fn add(events: &mut BTreeMap<String, u64>, of: &Coverage) {
    for (event, count) in &of.events {
        *events.entry(event.clone()).or_default() += count;
    }
}

#[test]
fn the_slow_exchange_keeps_its_own_promises() {
    let (features, mut events) = (Features::from_environment(), BTreeMap::new());
    for seed in seeds() {
        let coverage = compare::alone(seed, features, commands())
            .unwrap_or_else(|report| panic!("seed {seed}: {report}"));
        add(&mut events, &coverage);
    }
    println!("features {}", features.names());
    for (event, count) in &events {
        println!("{count:8} {event}");
    }
    not_seldom(&events, features);
}

/// Enough seeds of enough commands to ask what they met.
fn is_ordinary() -> bool {
    commands() >= 20_000 && seeds().count() >= 6
}

/// Every newer event was really met; short runs on purpose are not asked.
fn not_seldom(events: &BTreeMap<String, u64>, features: Features) {
    if is_ordinary() {
        let seldom = Coverage::too_seldom(events, features);
        assert_eq!(seldom, Vec::<String>::new(), "seldom met");
    }
}
