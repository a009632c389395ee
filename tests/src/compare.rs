//! Drives the fast exchange and the slow one with the same commands until they differ.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
};

use engine::{
    command::{Command, Stamped},
    event::{Event, Liquidity, OrderEventKind},
    ids::{AccountId, AssetId, InstrumentId, house},
    instrument::TradingState,
    reason::Reason,
    units::Nanos,
};

pub use crate::model::{BalanceView, Levels, PositionView};
use crate::{
    generator::{Features, Generator},
    model::{Model, Names},
    readings,
    rows::{Observed, Told},
};

/// How the fast exchange is driven and looked at.
pub trait Fast {
    /// Runs one command; all events, in their order.
    fn apply(&mut self, stamped: &Stamped) -> Vec<Event>;
    /// Both sides, best first: (buys, sells) as price, lots, orders.
    fn book(&self, instrument: InstrumentId) -> (Levels, Levels);
    /// A balance.
    fn balance(&self, account: AccountId, asset: AssetId) -> BalanceView;
    /// A position.
    fn position(&self, account: AccountId, instrument: InstrumentId) -> PositionView;
    /// What values positions.
    fn mark(&self, instrument: InstrumentId) -> i64;
    /// What a contract accepts.
    fn trading_state(&self, instrument: InstrumentId) -> Option<TradingState>;
    /// When the clock must tick; may be early, never late.
    fn next_deadline(&self) -> Option<Nanos>;
    /// Its own promises about itself.
    ///
    /// # Errors
    /// The promise that does not hold.
    fn audit(&self) -> Result<(), String>;
}

/// What a run has met.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Refusals, cancels and restatements by reason.
    pub reasons: BTreeMap<Reason, u64>,
    /// Order events by kind and reason, for those who look for what is seldom met.
    pub events: BTreeMap<String, u64>,
    /// Trades.
    pub trades: u64,
    /// Copies to another session.
    pub copies: u64,
    /// Repeated first results.
    pub repeats: u64,
    /// Replacements that traded at once.
    pub crossing_replaces: u64,
    /// When the newest command was stamped.
    pub until: Nanos,
    /// What each contract accepted after the newest command.
    states: BTreeMap<InstrumentId, TradingState>,
}

/// Every reason that the RANK table and the other rules can give.
pub const EXPECTED: [Reason; 41] = [
    Reason::SessionFenced,
    Reason::StaleClientSeq,
    Reason::DeadlinePassed,
    Reason::InvalidField,
    Reason::DuplicateClientOrderId,
    Reason::KillSwitchAccount,
    Reason::KillSwitchSession,
    Reason::AccountNotActive,
    Reason::UnknownInstrument,
    Reason::UnknownOrder,
    Reason::TooLateAlreadyFilled,
    Reason::TooLateAlreadyCancelled,
    Reason::InstrumentNotTrading,
    Reason::UnsupportedCombination,
    Reason::ExpireTimeInvalid,
    Reason::QuantityOutOfRange,
    Reason::PriceOutsideBand,
    Reason::NotionalTooLarge,
    Reason::OpenOrderLimit,
    Reason::ReduceOnlyWouldIncrease,
    Reason::PositionLimit,
    Reason::InsufficientBalance,
    Reason::InsufficientMargin,
    Reason::WouldLosePriority,
    Reason::PostOnlyWouldCross,
    Reason::FokNotFillable,
    Reason::NoLiquidity,
    Reason::PostOnlySlid,
    Reason::SelfTradePrevented,
    Reason::IocRemainder,
    Reason::ClientRequest,
    Reason::MassCancel,
    Reason::Disconnect,
    Reason::HeartbeatLost,
    Reason::Expired,
    Reason::InstrumentExpired,
    Reason::CancelTimer,
    Reason::Operator,
    Reason::ObservationConflict,
    Reason::StaleObservation,
    Reason::RequestIdConflict,
];

impl Coverage {
    fn count(&mut self, command: &Command, seen: &Observed) {
        let told = seen.private.iter().filter_map(|row| row.reason);
        for reason in told.chain(seen.refused.iter().map(|(_, reason)| *reason)) {
            *self.reasons.entry(reason).or_default() += 1;
        }
        for (_, reason) in &seen.refused {
            let name = format!("refused {reason:?}");
            *self.events.entry(name).or_default() += 1;
        }
        for row in &seen.private {
            *self
                .events
                .entry(format!("{:?} {:?}", row.kind, row.reason))
                .or_default() += 1;
        }
        for kind in combined(seen) {
            *self.events.entry(kind.into()).or_default() += 1;
        }
        for told in &seen.told {
            let name = format!("{told:?}");
            let name = name.split('(').next().unwrap_or_default().to_owned();
            *self.events.entry(name).or_default() += 1;
        }
        for (_, _, _, aggressor, _) in &seen.trades {
            let name = if aggressor.is_none() {
                "auction trade"
            } else {
                "trade"
            };
            *self.events.entry(name.into()).or_default() += 1;
        }
        let frozen = |told: &&Told| matches!(told, Told::Mmp(_, _, true, ..));
        let froze = seen.told.iter().filter(frozen).count() as u64;
        *self.events.entry("froze".into()).or_default() += froze;
        let kept: u32 = seen
            .mass_cancelled
            .iter()
            .map(|(_, counts)| counts[2])
            .sum();
        *self.events.entry("kept by mass cancel".into()).or_default() += u64::from(kept);
        for told in &seen.told {
            if let Told::Problem(_, _, _, reason) = told {
                *self.events.entry(format!("side {reason:?}")).or_default() += 1;
            }
        }
        self.trades += seen.trades.len() as u64;
        self.copies += seen.private.iter().filter(|row| row.copy).count() as u64;
        self.repeats += seen.private.iter().filter(|row| row.repeated).count() as u64;
        let replaced = seen
            .private
            .iter()
            .any(|row| row.kind == OrderEventKind::Replaced);
        let crossed = replaced && !seen.trades.is_empty();
        self.crossing_replaces += u64::from(crossed && matches!(command, Command::Replace(_)));
    }

    /// Counts the states that contracts came to.
    fn watch(&mut self, model: &Model) {
        for (id, contract) in &model.contracts {
            if self.states.insert(*id, contract.state) != Some(contract.state) {
                let name = format!("state {:?}", contract.state);
                *self.events.entry(name).or_default() += 1;
            }
        }
    }

    /// What the features should have brought at least so often, and did not.
    #[must_use]
    pub fn too_seldom(events: &BTreeMap<String, u64>, features: Features) -> Vec<String> {
        let met = |name: &str| events.get(name).copied().unwrap_or(0);
        readings::WANTED
            .iter()
            .filter(|(feature, name, times)| features.has(feature) && met(name) < *times)
            .map(|(feature, name, times)| format!("{feature}: {name} {} of {times}", met(name)))
            .collect()
    }

    /// Reasons that were never given.
    #[must_use]
    pub fn missing(&self) -> Vec<Reason> {
        let unseen = |reason: &&Reason| !self.reasons.contains_key(reason);
        EXPECTED.iter().filter(unseen).copied().collect()
    }
}

/// COMBO-07, COMBO-08: what kind of trade each taker of a combination, or through one, made.
fn combined(seen: &Observed) -> impl Iterator<Item = &'static str> {
    let fills = seen.private.iter().filter(|row| !row.copy);
    fills.filter_map(|row| {
        let fill = row.fill.as_ref()?;
        let mut same = seen.private.iter().filter(|other| {
            let of = other.fill.as_ref();
            of.is_some_and(|of| of.trade == fill.trade) && !other.legs.is_empty()
        });
        let mut tapes = seen.trades.iter();
        let on_own_tape = tapes.any(|tape| tape.4 == fill.trade && tape.0 == row.instrument);
        if fill.liquidity != Liquidity::Taker {
            None
        } else if row.legs.is_empty() {
            same.next().map(|_| "implied out trade")
        } else if on_own_tape {
            Some("direct combination trade")
        } else {
            Some("implied in trade")
        }
    })
}

/// Learns the engine's names from what it tells.
pub(crate) fn learn(names: &mut Names, command: &Command, events: &[Event]) {
    names.created = 0;
    for event in events {
        match event {
            Event::Order(order) if order.kind == OrderEventKind::Accepted && !order.repeated => {
                let key = (order.to.account, order.client_order_id);
                names.orders.insert(order.order_id, key);
                names.ids.insert(key, order.order_id);
            }
            Event::Done(done) if done.first_seq == 0 => {
                names.created = done.object;
                if let Command::RequestWithdrawal(request) = command {
                    let key = (request.account, request.client_transfer_id);
                    names
                        .transfers
                        .insert(u32::try_from(done.object).unwrap_or(0), key);
                }
            }
            Event::SessionOpened(opened) => names.created = u64::from(opened.session.0),
            _ => {}
        }
    }
}

/// Runs so many commands through the slow exchange alone, which then gives the numbers itself.
///
/// # Errors
/// The first promise that it breaks.
pub fn alone(seed: u64, features: Features, commands: usize) -> Result<Coverage, String> {
    let (mut model, mut generator) = (Model::new(), Generator::new(seed, features));
    let (mut names, mut coverage) = (Names::default(), Coverage::default());
    let mut past: VecDeque<(Stamped, Observed)> = VecDeque::new();
    // Numbers of each kind count from 1; the venue has three accounts of its own.
    let mut counts: BTreeMap<&str, u64> = BTreeMap::from([("account", 3)]);
    let mut last_created = 0;
    for number in 1..=commands {
        names.created = last_created;
        let stamped = generator.next(&model, &names);
        let kind = match &stamped.command {
            Command::CreateAsset(_) => "asset",
            Command::CreateCommodity(_) => "commodity",
            Command::CreateIndex(_) => "index",
            Command::CreateFirm(_) => "firm",
            Command::CreateAccount(_) => "account",
            Command::CreateInstrument(_) => "contract",
            Command::Login(_) => "session",
            _ => "other",
        };
        let count = counts.entry(kind).or_default();
        *count += 1;
        last_created = *count;
        names.created = last_created;
        let slow = model.apply(&stamped, &names);
        coverage.count(&stamped.command, &slow);
        coverage.watch(&model);
        coverage.until = stamped.at;
        model.check_invariants().map_err(|broken| {
            let names = features.names();
            let mut report = history(&past);
            let _ = writeln!(
                report,
                "seed {seed} of {names}, command {number}: {stamped:?}\n{}\n{broken}",
                slow.lines().join("\n")
            );
            report
        })?;
        generator.learn(&stamped, &slow);
        past.push_back((stamped, slow));
        if past.len() > 12 {
            past.pop_front();
        }
    }
    Ok(coverage)
}

fn has_origin(command: &Command) -> bool {
    matches!(
        command,
        Command::Place(_)
            | Command::Replace(_)
            | Command::Cancel(_)
            | Command::MassCancel(_)
            | Command::SetCancelTimer(_)
            | Command::SetOrderEntry(_)
            | Command::Logout(_)
            | Command::Batch(_)
            | Command::MassQuote(_)
            | Command::ResetMmp(_)
    )
}

/// Runs so many commands through both and compares after each.
///
/// # Errors
/// The first difference: seed, command, expected and actual rows, the books.
pub fn run(
    seed: u64,
    features: Features,
    commands: usize,
    fast: &mut impl Fast,
) -> Result<Coverage, String> {
    let (mut model, mut generator) = (Model::new(), Generator::new(seed, features));
    let (mut names, mut coverage) = (Names::default(), Coverage::default());
    let mut past: VecDeque<(Stamped, Observed)> = VecDeque::new();
    for number in 1..=commands {
        let stamped = generator.next(&model, &names);
        let events = catch_unwind(AssertUnwindSafe(|| fast.apply(&stamped))).map_err(|_| {
            history(&past)
                + &format!(
                    "seed {seed} of {}, command {number}: panic at {stamped:?}",
                    features.names()
                )
        })?;
        learn(&mut names, &stamped.command, &events);
        let slow = model.apply(&stamped, &names);
        let actual = Observed::from_events(&events, !has_origin(&stamped.command));
        coverage.count(&stamped.command, &slow);
        coverage.watch(&model);
        coverage.until = stamped.at;
        let difference = rows(&slow.masked(), &actual.masked())
            .and_then(|()| model.check_invariants())
            .and_then(|()| state(&model, fast, &generator, (&stamped.command, &slow), number));
        difference.map_err(|difference| {
            let mut report = history(&past);
            let _ = writeln!(
                report,
                "seed {seed} of {}, command {number}: {stamped:?}\n{difference}",
                features.names()
            );
            books(&mut report, &model, fast, &generator);
            report
        })?;
        generator.learn(&stamped, &slow);
        past.push_back((stamped, slow));
        if past.len() > 12 {
            past.pop_front();
        }
    }
    fast.audit()?;
    Ok(coverage)
}

/// The newest commands that went well, and what they did.
fn history(past: &VecDeque<(Stamped, Observed)>) -> String {
    let mut report = String::from("before:\n");
    for (stamped, seen) in past {
        let _ = writeln!(
            report,
            "  {} at {}: {:?}",
            stamped.seq, stamped.at.0, stamped.command
        );
        for line in seen.lines() {
            let _ = writeln!(report, "      {line}");
        }
    }
    report
}

/// Expected and actual rows, the differing ones marked.
fn rows(slow: &Observed, fast: &Observed) -> Result<(), String> {
    if slow == fast {
        return Ok(());
    }
    let (expected, actual) = (slow.lines(), fast.lines());
    let mut report = String::new();
    for line in 0..expected.len().max(actual.len()) {
        let (slow, fast) = (expected.get(line), actual.get(line));
        if slow == fast {
            let _ = writeln!(report, "  both     {}", slow.map_or("", String::as_str));
            continue;
        }
        let _ = writeln!(
            report,
            "! expected {}",
            slow.map_or("nothing", String::as_str)
        );
        let _ = writeln!(
            report,
            "! actual   {}",
            fast.map_or("nothing", String::as_str)
        );
    }
    Err(report)
}

/// Books, marks, balances and positions: of all after every sixteenth command and after those that
/// may move all; otherwise of those who were told something.
fn state(
    model: &Model,
    fast: &impl Fast,
    generator: &Generator,
    (command, seen): (&Command, &Observed),
    number: usize,
) -> Result<(), String> {
    let one = matches!(
        command,
        Command::Place(_) | Command::Replace(_) | Command::Cancel(_)
    );
    let all = number.is_multiple_of(16) || !one;
    for id in generator.contracts().iter().copied() {
        if all || seen.private.iter().any(|row| row.instrument == id) {
            same("book", id.0, &model.book(id), &fast.book(id))?;
            let state = fast.trading_state(id);
            same("state", id.0, &model.state(id), &state)?;
            same("mark", id.0, &model.mark(id), &Some(fast.mark(id)))?;
        }
    }
    let house = [house::FEES, house::ROUNDING];
    for of in house.iter().chain(generator.accounts()).copied() {
        let told = seen.private.iter().any(|row| row.account == of);
        let paid = house.contains(&of) && !seen.trades.is_empty();
        if !(all || told || paid) {
            continue;
        }
        for asset in generator.assets().iter().copied() {
            let what = format!("balance in asset {} of account", asset.0);
            same(
                &what,
                of.0,
                &model.balance(of, asset),
                &fast.balance(of, asset),
            )?;
        }
        for id in generator.contracts().iter().copied() {
            let what = format!("position in contract {} of account", id.0);
            same(&what, of.0, &model.position(of, id), &fast.position(of, id))?;
        }
    }
    if let Some(due) = model.next_deadline()
        && fast.next_deadline().is_none_or(|fast| fast > due)
    {
        return Err(format!(
            "deadline {due:?} expected, {:?} told",
            fast.next_deadline()
        ));
    }
    if number.is_multiple_of(256) {
        fast.audit()
    } else {
        Ok(())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    whose: u32,
    slow: &T,
    fast: &T,
) -> Result<(), String> {
    if slow == fast {
        return Ok(());
    }
    Err(format!(
        "! {what} {whose}\n! expected {slow:?}\n! actual   {fast:?}"
    ))
}

fn books(report: &mut String, model: &Model, fast: &impl Fast, generator: &Generator) {
    for id in generator.contracts().iter().copied() {
        let _ = writeln!(
            report,
            "contract {} {:?} mark {:?}",
            id.0,
            model.state(id),
            model.mark(id)
        );
        let _ = writeln!(
            report,
            "  expected {:?}\n  actual   {:?}",
            model.book(id),
            fast.book(id)
        );
    }
}
