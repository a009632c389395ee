//! A year in a minute: the whole of 2022, day by day, with makers, miners and funds, through core and
//! journal. Days, balances of month, months, quarters and the year are listed, traded, marked, cascaded
//! and settled; every evening the books are recounted, and in the end each account's result in each
//! contract is what a pocket calculator says.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread::JoinHandle,
};

use engine::{
    command::{AccountKind, Command, FixingKind, Side},
    event::{ClearingEvent, Event},
    exchange::Exchange,
    ids::{AccountId, InstrumentId, house},
    instrument::{TradingState, Window},
    journal::{self, JournalError, SEGMENT_BYTES_MIN},
    pipeline::{
        self, Clock, Intake, Replay, Settings,
        by_hand::{self, Core, Turn},
    },
    units::{Lots, Nanos, Ppm, SECOND},
};
use tests::{
    ground::{Ground, House, Listing},
    series::{Day, first_of, midnight, year_2022},
    venue::Folder,
};

/// Of a taker's fill.
const FEE: Ppm = Ppm(75);
/// Deposited by everybody, sat.
const MONEY: i64 = 20_000_000_000_000;

/// Stands where it was put.
#[derive(Clone, Debug)]
struct Hand(Arc<AtomicI64>);

impl Clock for Hand {
    fn now(&mut self) -> Nanos {
        Nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Core and journal of the real exchange, under a clock of the test's own.
struct Kept {
    intake: Intake<()>,
    core: Core<(), Hand>,
    clock: Hand,
    journal: JoinHandle<Result<(), JournalError>>,
}

impl Kept {
    fn start(folder: &Folder) -> Self {
        let dir = folder.path().join("journal");
        let mut first =
            pipeline::recover(journal_settings(&dir), |_| Ok(())).expect("a new folder");
        first.exchange.skip_audits();
        let clock = Hand(Arc::default());
        let settings = Settings::default();
        let parts = by_hand::parts(first.exchange, &first.journal, settings, clock.clone());
        let journal = journal::spawn(first.journal, parts.inbox, drop);
        Self {
            intake: parts.intake,
            core: parts.core,
            clock,
            journal,
        }
    }

    fn turn(&mut self) {
        loop {
            match self.core.turn() {
                Turn::Worked => {}
                Turn::Nothing => return,
                Turn::Waits => std::thread::yield_now(),
                Turn::Ended => panic!("the core has ended"),
            }
        }
    }

    /// Lets the journal finish; answers with the last state.
    fn end(mut self) -> [u8; 32] {
        let digest = self.core.exchange().digest();
        self.intake.close();
        while self.core.turn() != Turn::Ended {
            std::thread::yield_now();
        }
        let ended = self.journal.join().expect("the journal's thread");
        ended.expect("a good journal");
        digest
    }
}

impl House for Kept {
    fn exchange(&self) -> &Exchange {
        self.core.exchange()
    }

    fn send(&mut self, at: Nanos, command: Command) {
        self.clock.0.store(at.0, Ordering::Relaxed);
        let before = self.exchange().seq();
        self.intake.submit(command, None).expect("room");
        self.turn();
        assert!(self.exchange().seq() > before, "it was taken");
    }

    fn wait(&mut self, at: Nanos) {
        self.clock.0.store(at.0, Ordering::Relaxed);
        self.turn();
    }
}

fn journal_settings(dir: &std::path::Path) -> journal::Settings {
    journal::Settings {
        segment_bytes: SEGMENT_BYTES_MIN,
        ..journal::Settings::new(dir, 7)
    }
}

/// One contract in the test's own notebook.
#[derive(Debug)]
struct Page {
    id: InstrumentId,
    symbol: String,
    /// First day since 1970, and how many.
    window: (i64, i64),
    /// Places of the pages it turns into.
    cascade: Vec<usize>,
    /// Lots and price of every entry, by account: own trades, and what came out of a cascade. Of a contract
    /// that cascades, since the newest fixing: what was there before stands at its mark.
    entries: BTreeMap<AccountId, Vec<(i64, i64)>>,
    /// Of a contract that cascades: what its fixings have paid so far.
    paid: BTreeMap<AccountId, i64>,
}

/// A contract's result by hand: (fixing − price) × lots for each day, in sat.
struct Sum {
    /// Each day's total rounded to the nearest, half to even.
    sat: i64,
    /// Days on which it lay exactly between two: there the neighbour is right too, since a cost that is even
    /// or odd decides.
    halves: i64,
}

impl Page {
    fn net(&self, account: AccountId) -> i64 {
        let entries = self.entries.get(&account).into_iter().flatten();
        entries.map(|(lots, _)| lots).sum()
    }

    fn by_hand(&self, account: AccountId, fixings: &BTreeMap<i64, i64>) -> Sum {
        let entries = self.entries.get(&account).into_iter().flatten();
        let cost: i64 = entries.map(|(lots, price)| lots * price).sum();
        let net = self.net(account);
        let mut result = Sum { sat: 0, halves: 0 };
        for day in self.window.0..self.window.0 + self.window.1 {
            let exact = net * fixings[&day];
            let (whole, rest) = (exact.div_euclid(1_000), exact.rem_euclid(1_000));
            let up = i64::from(rest > 500 || (rest == 500 && whole % 2 != 0));
            result.sat += whole + up - cost;
            result.halves += i64::from(rest == 500);
        }
        result
    }
}

/// Draws numbers; the same ones every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap_or(0) % bound
    }
}

/// The year.
struct Year {
    ground: Ground<Kept>,
    pages: Vec<Page>,
    fees: BTreeMap<AccountId, i64>,
    makers: Vec<AccountId>,
    miners: Vec<AccountId>,
    funds: Vec<AccountId>,
    dice: Dice,
    trades: u64,
}

impl Year {
    fn begin(folder: &Folder) -> Self {
        let eve = midnight(first_of(1) - 1).after(8 * 3_600 * SECOND);
        let mut ground = Ground::open(Kept::start(folder), eve);
        let mut open = |kind, names: &[&str]| -> Vec<AccountId> {
            let open = |name: &&str| ground.account(name, kind, MONEY);
            names.iter().map(open).collect()
        };
        let makers = open(AccountKind::MarketMaker, &["mia", "max"]);
        let miners = open(AccountKind::Client, &["north", "south", "small"]);
        let funds = open(AccountKind::Client, &["fund", "desk"]);
        Self {
            ground,
            pages: Vec::new(),
            fees: BTreeMap::new(),
            makers,
            miners,
            funds,
            dice: Dice(2022),
            trades: 0,
        }
    }

    fn list(&mut self, symbol: String, window: (i64, i64), cascade: &[usize]) -> usize {
        let listing = Listing {
            symbol: symbol.clone(),
            window: Window {
                start: midnight(window.0),
                end: midnight(window.0 + window.1),
            },
            cascade: cascade.iter().map(|part| self.pages[*part].id).collect(),
            taker_fee: FEE,
        };
        let id = self.ground.list(listing, 500_000);
        self.pages.push(Page {
            id,
            symbol,
            window,
            cascade: cascade.to_vec(),
            entries: BTreeMap::new(),
            paid: BTreeMap::new(),
        });
        self.pages.len() - 1
    }

    /// Twelve months, four quarters of them, and the year of three months and three quarters.
    fn list_the_year(&mut self) {
        let span = |from: usize, after: usize| (first_of(from), first_of(after) - first_of(from));
        for month in 1..=12 {
            self.list(format!("2022-{month:02}"), span(month, month + 1), &[]);
        }
        for quarter in 0..4_usize {
            let first = 3 * quarter;
            let months = [first, first + 1, first + 2];
            let name = format!("2022Q{}", quarter + 1);
            self.list(name, span(first + 1, first + 4), &months);
        }
        self.list("2022".into(), span(1, 13), &[0, 1, 2, 13, 14, 15]);
    }

    /// The days that are next, and what is left of the month from tomorrow on.
    fn list_what_is_due(&mut self, today: i64) {
        let year = first_of(13);
        for day in today + 1..(today + 3).min(year) {
            let symbol = format!("DAY-{day}");
            if !self.pages.iter().any(|page| page.symbol == symbol) {
                self.list(symbol, (day, 1), &[]);
            }
        }
        let next = (1..=13)
            .map(first_of)
            .find(|first| *first > today + 1)
            .filter(|_| today + 1 < year);
        if let Some(next) = next {
            self.list(
                format!("BOM-{}", today + 1),
                (today + 1, next - today - 1),
                &[],
            );
        }
    }

    /// Every new contract trades, and some of the others.
    fn trade_a_day(&mut self, fresh: usize) {
        let state = |ground: &Ground<Kept>, id| {
            let row = ground.exchange().instrument(id);
            row.is_some_and(|row| row.state == TradingState::Open)
        };
        let open: Vec<usize> = (0..self.pages.len())
            .filter(|place| state(&self.ground, self.pages[*place].id))
            .collect();
        let mut chosen: Vec<usize> = open.iter().copied().filter(|at| *at >= fresh).collect();
        for _ in 0..8 {
            let drawn = self
                .dice
                .below(i64::try_from(open.len().max(1)).unwrap_or(1));
            chosen.extend(open.get(usize::try_from(drawn).unwrap_or(0)));
        }
        for place in chosen {
            self.trade(place);
        }
    }

    fn trade(&mut self, place: usize) {
        let sells = self.dice.below(2) == 0;
        let takers = if sells { &self.miners } else { &self.funds };
        let draw = |dice: &mut Dice, list: &[AccountId]| {
            let count = i64::try_from(list.len()).unwrap_or(1);
            list[usize::try_from(dice.below(count)).unwrap_or(0)]
        };
        let maker = draw(&mut self.dice, &self.makers);
        let taker = draw(&mut self.dice, takers);
        let side = if sells { Side::Sell } else { Side::Buy };
        let id = self.pages[place].id;
        let mark = self
            .ground
            .exchange()
            .instrument(id)
            .map_or(0, |row| row.mark.0);
        let price = mark + (self.dice.below(61) - 30) * mark / 1_000;
        // Fleets of whole exahashes leave nothing to round; small ones do.
        let lots = match self.dice.below(3) {
            0 => 1_000 * (1 + self.dice.below(3)),
            _ => 1 + self.dice.below(60),
        };
        let traded = self.ground.trade((maker, taker), id, (side, price, lots));
        let symbol = &self.pages[place].symbol;
        assert!(traded, "{symbol}: {lots} @ {price} at mark {mark}");
        self.trades += 1;
        let page = &mut self.pages[place];
        let signed = if sells { -lots } else { lots };
        for (account, lots) in [(taker, signed), (maker, -signed)] {
            page.entries.entry(account).or_default().push((lots, price));
        }
        let value = i128::from(price) * i128::from(lots) * i128::from(page.window.1);
        *self.fees.entry(taker).or_default() += half_even(value * i128::from(FEE.0), 1_000_000);
    }

    /// What the notebook says of contracts that end: their entries go on in others. It is the beginning of
    /// a day.
    fn cascade(&mut self, today: i64) {
        for place in 0..self.pages.len() {
            if self.pages[place].window.0 != today || self.pages[place].cascade.is_empty() {
                continue;
            }
            let parts = self.pages[place].cascade.clone();
            let entries = std::mem::take(&mut self.pages[place].entries);
            for part in parts {
                for (account, rows) in &entries {
                    let into = self.pages[part].entries.entry(*account).or_default();
                    into.extend(rows);
                }
            }
        }
    }

    /// What contracts that will cascade pay at a fixing: the way from each price to the mark, on every day.
    fn mark(&mut self, today: i64) {
        for page in &mut self.pages {
            if page.cascade.is_empty() || page.window.0 <= today {
                continue;
            }
            let row = self.ground.exchange().instrument(page.id);
            let mark = row.map_or(0, |row| row.mark.0);
            for (account, rows) in &mut page.entries {
                let paid = rows.iter().map(|(lots, price)| lots * (mark - price));
                *page.paid.entry(*account).or_default() += paid.sum::<i64>() * page.window.1;
                let net = rows.iter().map(|(lots, _)| lots).sum();
                *rows = vec![(net, mark)];
            }
        }
    }

    /// Nobody's books are off by one unit.
    fn recount(&self, day: &Day) {
        let audited = self.ground.exchange().audit();
        audited.unwrap_or_else(|problem| panic!("{:?}: {problem}", day.date));
        for page in &self.pages {
            let over = page.window.0 + page.window.1 <= day.number + 1;
            for account in page.entries.keys() {
                let net = if over { 0 } else { page.net(*account) };
                let is = self.ground.net(*account, page.id);
                assert_eq!(is, net, "{:?}: {} of {account:?}", day.date, page.symbol);
            }
        }
    }

    fn everybody(&self) -> impl Iterator<Item = AccountId> {
        let all = [&self.makers, &self.miners, &self.funds];
        let all: Vec<AccountId> = all.into_iter().flatten().copied().collect();
        all.into_iter()
    }
}

fn half_even(top: i128, bottom: i128) -> i64 {
    let (whole, rest) = (top.div_euclid(bottom), top.rem_euclid(bottom));
    let up = 2 * rest > bottom || (2 * rest == bottom && whole % 2 != 0);
    i64::try_from(whole + i128::from(up)).expect("money")
}

#[test]
fn a_year_in_a_minute() {
    let days = year_2022();
    let fixings: BTreeMap<i64, i64> = days.iter().map(|day| (day.number, day.fixing)).collect();
    let folder = Folder::new("year");
    let mut year = Year::begin(&folder);
    // New Year's Eve: the index stands where the first day will.
    let none = Nanos::ZERO;
    year.ground
        .fix(FixingKind::Indicative, 1, days[0].fixing, none);
    year.list_the_year();
    year.list_what_is_due(days[0].number - 1);
    year.trade_a_day(0);
    for day in &days {
        year.ground.wait_until(midnight(day.number));
        year.cascade(day.number);
        let noon = midnight(day.number).after(12 * 3_600 * SECOND);
        year.ground.wait_until(noon);
        let fresh = year.pages.len();
        year.list_what_is_due(day.number);
        let round = day.number.unsigned_abs();
        year.ground
            .fix(FixingKind::Indicative, round, day.fixing, none);
        year.trade_a_day(fresh);
        year.ground
            .wait_until(midnight(day.number + 1).after(60 * SECOND));
        // What began at midnight did so before the day's value came.
        year.cascade(day.number + 1);
        let start = midnight(day.number);
        year.ground.fix(FixingKind::Daily, round, day.fixing, start);
        year.mark(day.number + 1);
        year.recount(day);
        let (month, last) = (day.date.0, day.number + 1 == first_of(day.date.0 + 1));
        if last {
            let listed = year.pages.len();
            let settled = year.ground.exchange().instruments().iter();
            let settled = settled
                .filter(|row| row.state == TradingState::Settled)
                .count();
            let trades = year.trades;
            println!("2022-{month:02}: {listed} contracts, {settled} settled, {trades} trades");
        }
    }
    check_results(&year, &fixings);
    check_replay(year, &folder);
}

/// Every account in every contract, and all of its money.
fn check_results(year: &Year, fixings: &BTreeMap<i64, i64>) {
    let exchange = year.ground.exchange();
    let (mut halves, mut exact) = (0, 0);
    for page in &year.pages {
        let row = exchange.instrument(page.id).expect("listed");
        assert_eq!(row.state, TradingState::Settled, "{}", page.symbol);
        assert_eq!(row.statistics.open_interest, 0, "{}", page.symbol);
        for account in year.everybody() {
            let position = exchange.positions().view(account, page.id);
            assert_eq!((position.net, position.realised.0), (Lots(0), 0));
            let by_hand = match page.cascade.is_empty() {
                true => page.by_hand(account, fixings),
                false => Sum {
                    sat: page.paid.get(&account).copied().unwrap_or(0),
                    halves: 0,
                },
            };
            let off = (position.settled.0 - by_hand.sat).abs();
            let symbol = &page.symbol;
            assert!(
                off <= by_hand.halves,
                "{symbol} of {account:?}: {} instead of {}",
                position.settled.0,
                by_hand.sat
            );
            halves += by_hand.halves;
            exact += i64::from(by_hand.halves == 0);
        }
    }
    let mut all = 0;
    for account in year.everybody() {
        let settled: i64 = exchange
            .positions()
            .of(account)
            .map(|row| row.settled.0)
            .sum();
        let fees = year.fees.get(&account).copied().unwrap_or(0);
        let balance = exchange.ledger().balance(account, tests::ground::MONEY);
        assert_eq!(balance.cash.0, MONEY + settled - fees, "{account:?}");
        assert_eq!(
            (balance.margin.0, balance.result.0, balance.held.0),
            (0, 0, 0)
        );
        all += balance.cash.0;
    }
    let fees: i64 = year.fees.values().sum();
    assert_eq!(year.ground.cash(house::FEES).0, fees);
    let rounding = year.ground.cash(house::ROUNDING).0;
    let deposits = MONEY * i64::try_from(year.everybody().count()).expect("few");
    assert_eq!(all + fees + rounding, deposits);
    println!(
        "{exact} results to the sat, {halves} days between two; fees {fees} sat, rounding {rounding} sat"
    );
    assert!(exact > 2_000, "hardly anybody traded");
}

/// The journal, executed again, gives the same state, and nothing in it was refused.
fn check_replay(year: Year, folder: &Folder) {
    let digest = year.ground.house.end();
    let (mut exchange, mut replay) = (Exchange::new(), Replay::default());
    exchange.skip_audits();
    let (mut days, mut cascades) = (0, 0);
    journal::scan(&folder.path().join("journal"), |block| {
        replay.block(
            &mut exchange,
            block.payload,
            block.count,
            |stamped, events| {
                for event in events {
                    match event {
                        Event::Refused(refused) => panic!("{stamped:?}: {refused:?}"),
                        Event::Clearing(ClearingEvent::DaySettled(_)) => days += 1,
                        Event::Clearing(ClearingEvent::Cascaded(_)) => cascades += 1,
                        _ => {}
                    }
                }
            },
        )
    })
    .expect("a good journal");
    assert_eq!(
        exchange.digest(),
        digest,
        "the same commands, the same state"
    );
    let seq = exchange.seq();
    println!("replayed {seq} commands: {days} days of positions settled, {cascades} cascaded");
    assert!(cascades > 20 && days > 5_000);
}
