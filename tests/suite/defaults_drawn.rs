//! Defaults by the dozen, drawn from seeds, against a slow notebook: what an account is worth is what came
//! in, plus (mark − price) × lots × days of everything it ever traded or took over, plus what the fund paid
//! for it. Nothing of the exchange's own arithmetic is in it but prices and marks.

use std::collections::BTreeMap;

use engine::{
    command::{
        AccountKind, AccountStatus, BidOffer, Command, DefaultTerms, FixingKind, SetAccountStatus,
        Side, TimeInForce,
    },
    event::{ClearingEvent, Event, Moved, Moving, OrderEventKind},
    ids::{AccountId, InstrumentId, house},
    instrument::Window,
    units::{DAY, Lots, Nanos, Ppm, SECOND, Ticks},
};
use tests::{
    ground::{Direct, Ground, House, Listing, MONEY, origin},
    market::request,
};

/// First days and lengths of the contracts' windows, days from the beginning.
const WINDOWS: [(i64, i64); 2] = [(60, 30), (90, 31)];
/// First index value, millisat.
const INDEX: i64 = 500_000_000;

/// Draws numbers; the same ones for every seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap_or(0) % bound.max(1)
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        let count = i64::try_from(list.len()).unwrap_or(1);
        list[usize::try_from(self.below(count)).unwrap_or(0)]
    }
}

/// What the test writes down.
#[derive(Default)]
struct Notebook {
    /// Came in, and from the fund.
    money: BTreeMap<AccountId, i64>,
    /// Lots and price of everything, by account and contract.
    traded: BTreeMap<(AccountId, InstrumentId), Vec<(i64, i64)>>,
    /// Steps seen, by name.
    seen: BTreeMap<&'static str, u64>,
}

impl Notebook {
    fn note(&mut self, account: AccountId, contract: InstrumentId, side: Side, row: (i64, i64)) {
        let (lots, price) = row;
        let signed = if side == Side::Buy { lots } else { -lots };
        let rows = self.traded.entry((account, contract)).or_default();
        rows.push((signed, price));
    }

    fn net(&self, account: AccountId, contract: InstrumentId) -> i64 {
        let rows = self.traded.get(&(account, contract)).into_iter().flatten();
        rows.map(|(lots, _)| lots).sum()
    }

    fn profit(&self, account: AccountId, contract: InstrumentId, mark: i64) -> i64 {
        let rows = self.traded.get(&(account, contract)).into_iter().flatten();
        rows.map(|(lots, price)| lots * (mark - price)).sum::<i64>() * days_of(contract)
    }

    /// What an account is worth at the marks.
    fn worth(&self, account: AccountId, marks: &BTreeMap<InstrumentId, i64>) -> i64 {
        let profits = marks
            .iter()
            .map(|(contract, mark)| self.profit(account, *contract, *mark));
        self.money.get(&account).copied().unwrap_or(0) + profits.sum::<i64>()
    }
}

fn days_of(contract: InstrumentId) -> i64 {
    WINDOWS[contract.index().unwrap_or(0)].1
}

/// In a queue: whose default, in which contract, with what rank.
type Place = (AccountId, InstrumentId, i128);

/// One seed's market.
struct Story {
    ground: Ground<Direct>,
    book: Notebook,
    dice: Dice,
    contracts: Vec<InstrumentId>,
    makers: Vec<AccountId>,
    everybody: Vec<AccountId>,
    value: i64,
    round: u64,
}

impl Story {
    fn begin(seed: u64) -> Self {
        let start = Nanos(20_000 * DAY);
        let mut ground = Ground::open(Direct::new(), start.after(SECOND));
        ground.fix(FixingKind::Daily, 1, INDEX, Nanos::ZERO);
        let contracts = WINDOWS.map(|(first, days)| {
            let begins = start.after(first * DAY);
            let window = Window {
                start: begins,
                end: begins.after(days * DAY),
            };
            let listing = Listing {
                symbol: format!("MONTH-{first}"),
                window,
                cascade: Vec::new(),
                taker_fee: Ppm(0),
            };
            ground.list(listing, INDEX / 1_000)
        });
        let mut story = Self {
            ground,
            book: Notebook::default(),
            dice: Dice(seed),
            contracts: contracts.to_vec(),
            makers: Vec::new(),
            everybody: vec![house::INSURANCE],
            value: INDEX,
            round: 1,
        };
        let lot = INDEX / 1_000 * 30;
        let maker = AccountKind::MarketMaker;
        for name in ["mia", "max", "moe"] {
            let money = lot * (1 + story.dice.below(60));
            let account = story.open(name, maker, money);
            story.makers.push(account);
        }
        let rich = story.open("rich", AccountKind::Client, lot * 100_000);
        let backstop = story.open("backstop", AccountKind::Client, lot * 3);
        let insured = lot * story.dice.below(20);
        if insured > 0 {
            story.ground.deposit(house::INSURANCE, insured);
            story.book.money.insert(house::INSURANCE, insured);
        }
        let terms = DefaultTerms {
            reach: Ppm(30_000),
            slice: Ppm(300_000),
            pause_ms: 10_000,
            tries: 3,
            offer_ms: 60_000,
            offer_reach: Ppm(200_000),
            debt_cap: lot * 100_000,
            backstop: story.dice.of(&[backstop, AccountId::NONE]),
        };
        story.send(Command::SetDefaultTerms(request(terms)));
        for place in 0..8 {
            story.client(place, rich);
        }
        story
    }

    fn open(&mut self, name: &str, kind: AccountKind, money: i64) -> AccountId {
        let account = self.ground.account(name, kind, money);
        self.book.money.insert(account, money);
        self.everybody.push(account);
        account
    }

    /// Somebody with little more than the initial margin of what it trades.
    fn client(&mut self, place: i64, rich: AccountId) {
        let lots = 1 + self.dice.below(40);
        let contract = self.dice.of(&self.contracts.clone());
        let lot = INDEX / 1_000 * days_of(contract);
        let money = lot * lots * 18 / 100 * (101 + self.dice.below(80)) / 100;
        let account = self.open(&format!("client-{place}"), AccountKind::Client, money);
        let side = self.dice.of(&[Side::Buy, Side::Sell]);
        let price = INDEX / 1_000;
        for (who, side, life) in [
            (rich, side.opposite(), TimeInForce::Gtc),
            (account, side, TimeInForce::Ioc),
        ] {
            self.ground.order(who, contract, (side, price, lots), life);
            self.hear();
        }
        assert_eq!(self.book.net(account, contract).abs(), lots);
    }

    fn send(&mut self, command: Command) {
        self.ground.send(command);
        self.hear();
    }

    fn marks(&self) -> BTreeMap<InstrumentId, i64> {
        let rows = self.ground.exchange().instruments().iter();
        rows.map(|row| (row.id, row.mark.0)).collect()
    }

    /// Writes down what was told, and compares all of it.
    fn hear(&mut self) {
        let events = std::mem::take(&mut self.ground.house.events);
        let marks = self.marks();
        let (mut gives, mut queue) = (None, None);
        for event in &events {
            match event {
                Event::Order(order) if !order.copy && order.kind == OrderEventKind::Fill => {
                    let fill = order.fill.expect("a fill");
                    let row = (fill.lots.0, fill.price.0);
                    self.book
                        .note(order.to.account, order.instrument, order.side, row);
                }
                Event::Clearing(ClearingEvent::Moved(row)) => {
                    let (name, at_mark) = match row.why {
                        Moving::Offer(_) => ("by offer", false),
                        Moving::Backstop => ("by backstop", true),
                        Moving::Deleveraged => ("deleveraged", true),
                        Moving::Fund => ("by fund", true),
                    };
                    assert!(!at_mark || row.price.0 == marks[&row.instrument], "{row:?}");
                    // Two rows for each move: whose position it was, then who has it now.
                    match gives.take() {
                        None => gives = Some(row.account),
                        Some(from) if row.why == Moving::Deleveraged => {
                            queue = self.check_queue((from, row), queue, &marks);
                        }
                        Some(_) => {}
                    }
                    *self.book.seen.entry(name).or_default() += 1;
                    let traded = (row.lots.0, row.price.0);
                    self.book
                        .note(row.account, row.instrument, row.side, traded);
                    assert_eq!(self.book.net(row.account, row.instrument), row.net.0);
                }
                Event::Clearing(ClearingEvent::Covered(row)) => {
                    let owes = -self.book.worth(row.account, &marks);
                    assert_eq!(row.amount.0, owes, "{row:?}");
                    *self.book.money.entry(row.account).or_default() += owes;
                    *self.book.money.entry(house::INSURANCE).or_default() -= owes;
                    *self.book.seen.entry("covered").or_default() += 1;
                }
                _ => {}
            }
        }
        let exchange = self.ground.exchange();
        for account in &self.everybody {
            let balance = exchange.ledger().balance(*account, MONEY);
            let results = exchange.positions().of(*account).map(|row| row.result.0);
            let is = balance.cash.0 + results.sum::<i64>();
            assert_eq!(is, self.book.worth(*account, &marks), "{account:?}");
            for contract in &self.contracts {
                let net = exchange.positions().view(*account, *contract).net.0;
                assert_eq!(net, self.book.net(*account, *contract), "{account:?}");
            }
        }
    }

    /// The queue of a defaulter's contract: highest profit times leverage first, after the fund.
    fn check_queue(
        &self,
        (from, row): (AccountId, &Moved),
        before: Option<Place>,
        marks: &BTreeMap<InstrumentId, i64>,
    ) -> Option<Place> {
        if row.account == house::INSURANCE {
            return before;
        }
        let rank = self.rank(row.account, row.instrument, marks);
        let place = (from, row.instrument, rank);
        if let Some((of, contract, higher)) = before
            && (of, contract) == (from, row.instrument)
        {
            assert!(rank <= higher, "{row:?}: the queue");
        }
        Some(place)
    }

    fn rank(
        &self,
        account: AccountId,
        contract: InstrumentId,
        marks: &BTreeMap<InstrumentId, i64>,
    ) -> i128 {
        let mark = marks[&contract];
        let profit = i128::from(self.book.profit(account, contract, mark));
        let size = self.book.net(account, contract).abs();
        let notional = i128::from(mark * size * days_of(contract));
        let worth = self.book.worth(account, marks).max(1);
        profit * (notional * 1_000_000 / i128::from(worth))
    }

    /// What is due before the next command happens at the marks and with the money of before.
    fn calm_down(&mut self) {
        let mut soon = self.ground.now.after(1_000);
        let due = |story: &Self| story.ground.exchange().next_deadline();
        while due(self).is_some_and(|due| due <= soon) {
            self.ground.wait_until(soon);
            self.hear();
            soon = self.ground.now.after(1_000);
        }
    }

    /// One drawn step.
    fn step(&mut self) {
        self.calm_down();
        match self.dice.below(10) {
            0..=2 => self.fix(),
            3..=5 => self.wait(),
            6..=7 => self.bid(),
            8 => self.quote(),
            _ => self.meddle(),
        }
    }

    fn fix(&mut self) {
        let change = self.dice.below(241) - 120;
        self.value += self.value * change / 1_000;
        self.round += 1;
        let kind = self.dice.of(&[FixingKind::Indicative, FixingKind::Daily]);
        self.ground.fix(kind, self.round, self.value, Nanos::ZERO);
        self.hear();
    }

    fn wait(&mut self) {
        let next = self.ground.exchange().next_deadline();
        if let Some(next) = next.filter(|_| self.ground.exchange().distressed() > 0) {
            let fund = self.ground.cash(house::INSURANCE).0;
            self.ground.wait_until(next);
            // Beyond debts at the mark the fund gave away no more than it had.
            let debts: i64 = self.debts();
            self.hear();
            let after = self.ground.cash(house::INSURANCE).0;
            assert!(
                after >= fund.min(0) - debts,
                "fund {fund} to {after}, debts {debts}"
            );
        }
    }

    /// What accounts owed at the marks before the newest events were written down.
    fn debts(&self) -> i64 {
        let marks = self.marks();
        let worth = |account: &AccountId| self.book.worth(*account, &marks);
        let owed = self
            .everybody
            .iter()
            .filter(|one| **one != house::INSURANCE);
        owed.map(|account| (-worth(account)).max(0)).sum::<i64>() + self.open_loss(&marks)
    }

    /// The fund's own positions go with the market.
    fn open_loss(&self, marks: &BTreeMap<InstrumentId, i64>) -> i64 {
        let open = |contract: &InstrumentId| {
            self.book
                .profit(house::INSURANCE, *contract, marks[contract])
        };
        self.contracts.iter().map(open).map(i64::abs).sum()
    }

    fn bid(&mut self) {
        let offers: Vec<_> = self
            .ground
            .exchange()
            .offers()
            .map(|(number, offer)| (number, offer.net.0, offer.worst.0, offer.instrument))
            .collect();
        if offers.is_empty() {
            return self.wait();
        }
        let (offer, net, worst, contract) = self.dice.of(&offers);
        let mark = self.marks()[&contract];
        let away = (mark - worst).abs();
        let away = self.dice.below(away + 1);
        let price = if net > 0 { mark - away } else { mark + away };
        let bid = BidOffer {
            origin: origin(self.dice.of(&self.makers.clone())),
            offer,
            price: Ticks(price),
            lots: Lots(1 + self.dice.below(net.abs())),
        };
        self.send(Command::BidOffer(bid));
    }

    fn quote(&mut self) {
        let maker = self.dice.of(&self.makers.clone());
        let contract = self.dice.of(&self.contracts.clone());
        let mark = self.marks()[&contract];
        let side = self.dice.of(&[Side::Buy, Side::Sell]);
        let away = mark * (1 + self.dice.below(40)) / 1_000;
        let price = if side == Side::Buy {
            mark - away
        } else {
            mark + away
        };
        let lots = 1 + self.dice.below(10);
        self.ground
            .order(maker, contract, (side, price, lots), TimeInForce::Gtc);
        self.hear();
    }

    /// Money comes in, a maker may only reduce or is back.
    fn meddle(&mut self) {
        let account = self.dice.of(&self.everybody.clone());
        if self.dice.below(2) == 0 {
            let amount = 1 + self.dice.below(50_000_000);
            self.ground.deposit(account, amount);
            *self.book.money.entry(account).or_default() += amount;
            return self.hear();
        }
        let status = self
            .dice
            .of(&[AccountStatus::ReduceOnly, AccountStatus::Active]);
        let account = self.dice.of(&self.makers.clone());
        self.send(Command::SetAccountStatus(request(SetAccountStatus {
            account,
            status,
            cancel_open_orders: false,
        })));
    }
}

#[test]
fn drawn_defaults_agree_with_a_notebook() {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 1..=40 {
        let mut story = Story::begin(seed);
        for _ in 0..120 {
            story.step();
        }
        let audited = story.ground.exchange().audit();
        audited.unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
        for (name, count) in story.book.seen {
            *seen.entry(name).or_default() += count;
        }
        // The same commands, the same state.
        let mut again = engine::exchange::Exchange::new();
        for stamped in &story.ground.house.commands {
            again.apply(stamped, &mut Vec::new());
        }
        assert_eq!(again.digest(), story.ground.house.exchange().digest());
    }
    println!("{seen:?}");
    for name in ["by offer", "by backstop", "deleveraged", "covered"] {
        assert!(
            seen.get(name).is_some_and(|count| *count > 20),
            "{name}: {seen:?}"
        );
    }
}
