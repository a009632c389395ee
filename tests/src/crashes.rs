//! The worst weeks of the hashprice, with leveraged accounts in the market: who bears what.
//!
//! Every window has a month to trade that begins after it. Fifteen longs and fifteen shorts (20, 100 and 300
//! PH/s, each with 1.05, 1.2, 1.5, 2 and 3 times the initial margin) stand against two whole sides with
//! enough money. Day after day the index is fixed as it was; makers quote a little around each new mark and
//! bid for what is offered; an insurance fund and a backstop stand behind them. All of it is the exchange's
//! own doing; this file only adds up what it told.

use std::collections::BTreeMap;

use engine::{
    command::{AccountKind, BidOffer, Command, DefaultTerms, FixingKind, MassCancel, Selection},
    command::{Side, TimeInForce},
    event::{ClearingEvent, Event, Moving, Offered, OrderEventKind},
    ids::{AccountId, InstrumentId, house},
    instrument::Window,
    units::{DAY, Lots, Nanos, Ppm, SECOND, Ticks},
};

use crate::{
    ground::{Direct, Ground, Listing, origin},
    market::request,
};

const WINDOWS: &str = include_str!("crashes/windows.csv");
/// PH/s of the leveraged accounts.
const SIZES: [i64; 3] = [20, 100, 300];
/// What they have, in hundredths of the initial margin.
const MEANS: [i64; 5] = [105, 120, 150, 200, 300];
/// Days of the month that is traded.
const MONTH: i64 = 30;
/// Initial margin, in hundredths.
const MARGIN: i64 = 18;
/// Parts of the open interest that makers quote each day, in thousandths, and how far from the mark.
const QUOTES: [(i64, i64); 2] = [(10, 5), (20, 20)];
/// Parts of an offer that makers bid for, in thousandths, and how far from the mark, in thousandths.
const BIDS: [(i64, i64); 2] = [(300, 30), (300, 80)];
/// The fund and the backstop, in thousandths of what is open on one side.
const FUND: i64 = 20;
const BACKSTOP: i64 = 20;

/// What happened in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Its name.
    pub window: String,
    /// Thousandths of a satoshi: before and after, lowest and highest.
    pub index: [i64; 4],
    /// The largest step of a day, in ten-thousandths.
    pub step: i64,
    /// Margin calls.
    pub called: usize,
    /// Accounts that were liquidated.
    pub liquidated: usize,
    /// PH/s that their own orders closed, that makers took, the backstop, the queue gave up, the fund took.
    pub lots: [i64; 5],
    /// Sat that those accounts had, and lost.
    pub margin: i64,
    /// Sat given away against the mark, in the book and in auctions: part of the loss.
    pub given: [i64; 2],
    /// Sat that the insurance fund paid.
    pub fund: i64,
    /// Whether the fund went beyond its cap, which stops the venue.
    pub stopped: bool,
}

/// Windows in their order, with their values.
fn windows() -> Vec<(&'static str, Vec<i64>)> {
    let mut windows: Vec<(&str, Vec<i64>)> = Vec::new();
    for line in WINDOWS.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split(',');
        let name = columns.next().unwrap_or_default();
        let value = columns.nth(1).and_then(|text| text.parse().ok());
        let value = value.unwrap_or_else(|| panic!("{line}"));
        match windows.last_mut().filter(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => windows.push((name, vec![value])),
        }
    }
    windows
}

/// All windows, one after the other.
#[must_use]
pub fn outcomes() -> Vec<Outcome> {
    let windows = windows().into_iter();
    windows
        .map(|(name, values)| Crash::run(name, &values))
        .collect()
}

/// The exchange of one window.
struct Crash {
    ground: Ground<Direct>,
    month: InstrumentId,
    makers: [AccountId; 2],
    /// Leveraged accounts, and what they were given.
    means: BTreeMap<AccountId, i64>,
    /// Those that were closed out, and what they had left when it was over.
    closed: BTreeMap<AccountId, i64>,
    outcome: Outcome,
}

impl Crash {
    fn run(name: &str, values: &[i64]) -> Outcome {
        let first = values[0];
        let steps = values
            .windows(2)
            .map(|two| (two[1] - two[0]) * 10_000 / two[0]);
        let step = steps.max_by_key(|step| step.abs()).unwrap_or(0);
        let (low, high) = (values.iter().min(), values.iter().max());
        let last = values[values.len() - 1];
        let ends = [first, last, *low.unwrap_or(&0), *high.unwrap_or(&0)];
        let mut crash = Self::begin(name, first, values.len());
        (crash.outcome.index, crash.outcome.step) = (ends, step);
        for (day, value) in values.iter().enumerate().skip(1) {
            crash.day(day, *value);
        }
        crash.end()
    }

    fn begin(name: &str, first: i64, days: usize) -> Self {
        let start = Nanos(18_993 * DAY);
        let mut ground = Ground::open(Direct::new(), start.after(SECOND));
        let window = start.after((i64::try_from(days).unwrap_or(0) + 1) * DAY);
        let kind = FixingKind::Daily;
        ground.fix(kind, 1, first, Nanos::ZERO);
        let listing = Listing {
            symbol: "MONTH".into(),
            window: Window {
                start: window,
                end: window.after(MONTH * DAY),
            },
            cascade: Vec::new(),
            taker_fee: Ppm(0),
        };
        let month = ground.list(listing, first / 1_000);
        let mark = ground.exchange().instruments()[0].mark.0;
        let lot = mark * MONTH;
        let one_side = SIZES.iter().sum::<i64>() * i64::try_from(MEANS.len()).unwrap_or(0);
        let rich = 10 * lot * one_side;
        let maker = AccountKind::MarketMaker;
        let makers = ["mia", "max"].map(|name| ground.account(name, maker, rich));
        let whole = ["miners", "funds"];
        let [miners, funds] = whole.map(|name| ground.account(name, AccountKind::Client, rich));
        let stand = lot * one_side * BACKSTOP / 1_000;
        let backstop = ground.account("backstop", AccountKind::Client, stand);
        ground.deposit(house::INSURANCE, lot * one_side * FUND / 1_000);
        ground.send(Command::SetDefaultTerms(request(DefaultTerms {
            reach: Ppm(30_000),
            slice: Ppm(250_000),
            pause_ms: 10_000,
            tries: 8,
            offer_ms: 600_000,
            offer_reach: Ppm(200_000),
            debt_cap: lot * one_side * FUND / 1_000,
            backstop,
        })));
        // It may be closed out itself, if what it took over goes on falling.
        let mut means = BTreeMap::from([(backstop, stand)]);
        for (side, against) in [(Side::Buy, miners), (Side::Sell, funds)] {
            for (size, mean) in SIZES
                .iter()
                .flat_map(|size| MEANS.map(|mean| (*size, mean)))
            {
                let margin = lot * size * MARGIN / 100;
                let money = margin * mean / 100;
                let name = format!("{side:?}-{size}-{mean}");
                let account = ground.account(&name, AccountKind::Client, money);
                let traded = ground.trade((against, account), month, (side, mark, size));
                assert!(traded, "{name}");
                means.insert(account, money);
            }
        }
        Self {
            ground,
            month,
            makers,
            means,
            closed: BTreeMap::new(),
            outcome: Outcome {
                window: name.into(),
                ..Outcome::default()
            },
        }
    }

    /// The index of a day, and all that comes of it.
    fn day(&mut self, day: usize, value: i64) {
        for maker in self.makers {
            self.ground.send(Command::MassCancel(MassCancel {
                origin: origin(maker),
                selection: Selection::default(),
                block_new_orders: false,
            }));
        }
        let moment = Nanos(18_993 * DAY).after(i64::try_from(day).unwrap_or(0) * DAY);
        self.ground.wait_until(moment);
        let round = u64::try_from(day).unwrap_or(0) + 1;
        self.ground
            .fix(FixingKind::Daily, round, value, Nanos::ZERO);
        self.hear();
        self.quote();
        // Everything that follows, until nobody is being closed any more.
        while self.ground.exchange().distressed() > 0 {
            let next = self.ground.exchange().next_deadline();
            let Some(next) = next.filter(|next| *next < moment.after(DAY)) else {
                break;
            };
            self.ground.wait_until(next);
            self.hear();
        }
        let audited = self.ground.exchange().audit();
        audited.unwrap_or_else(|problem| panic!("{}: {problem}", self.outcome.window));
    }

    fn quote(&mut self) {
        let contract = &self.ground.exchange().instruments()[0];
        let (mark, open) = (contract.mark.0, contract.statistics.open_interest);
        for (maker, (part, away)) in self.makers.into_iter().zip(QUOTES) {
            let lots = (open * part / 1_000).max(1);
            for (side, price) in [
                (Side::Buy, mark - mark * away / 1_000),
                (Side::Sell, mark + mark * away / 1_000),
            ] {
                let order = (side, price, lots);
                let month = self.month;
                self.ground.order(maker, month, order, TimeInForce::Gtc);
            }
        }
    }

    /// Adds up what was told, and lets makers answer to offers.
    fn hear(&mut self) {
        let events = std::mem::take(&mut self.ground.house.events);
        let mark = self.ground.exchange().instruments()[0].mark.0;
        let told = &mut self.outcome;
        let mut moved = Vec::new();
        let mut offers = Vec::new();
        for event in &events {
            match event {
                Event::Clearing(ClearingEvent::Called(_)) => told.called += 1,
                Event::Clearing(ClearingEvent::LiquidationBegan(row)) => {
                    self.closed.insert(row.account, row.equity.0);
                }
                Event::Clearing(ClearingEvent::LiquidationEnded(row)) => {
                    self.closed.insert(row.account, row.equity.0);
                }
                Event::Clearing(ClearingEvent::Offered(row)) => offers.push(*row),
                Event::Clearing(ClearingEvent::Moved(row)) => moved.push(*row),
                Event::Clearing(ClearingEvent::Covered(row)) => told.fund += row.amount.0,
                Event::Switch(_) => told.stopped = true,
                Event::Order(order)
                    if order.kind == OrderEventKind::Fill
                        && self.means.contains_key(&order.to.account) =>
                {
                    let Some(fill) = order.fill else { continue };
                    told.lots[0] += fill.lots.0;
                    told.given[0] += given(order.side, mark, (fill.price, fill.lots));
                }
                _ => {}
            }
        }
        // Two rows for each move: whose position it was, then who has it now.
        for row in moved.iter().step_by(2) {
            let place = match row.why {
                Moving::Offer(_) => 1,
                Moving::Backstop => 2,
                Moving::Deleveraged => 3,
                Moving::Fund => 4,
            };
            told.lots[place] += row.lots.0;
            told.given[1] += given(row.side, mark, (row.price, row.lots));
        }
        for offer in offers {
            self.bid(&offer, mark);
        }
    }

    /// Makers bid for three tenths of a position each.
    fn bid(&mut self, offer: &Offered, mark: i64) {
        let size = offer.net.0.abs();
        for (maker, (part, away)) in self.makers.into_iter().zip(BIDS) {
            let away = mark * away / 1_000;
            let price = match offer.net.0 {
                0.. => (mark - away).max(offer.worst.0),
                _ => (mark + away).min(offer.worst.0),
            };
            self.ground.send(Command::BidOffer(BidOffer {
                origin: origin(maker),
                offer: offer.offer,
                price: Ticks(price),
                lots: Lots((size * part).div_euclid(1_000).max(1)),
            }));
        }
    }

    fn end(mut self) -> Outcome {
        self.outcome.liquidated = self.closed.len();
        let lost = self
            .closed
            .iter()
            .map(|(account, left)| self.means[account] - left);
        self.outcome.margin = lost.sum();
        self.outcome
    }
}

/// What a price gives away against the mark: so many sat over the month.
fn given(side: Side, mark: i64, (price, lots): (Ticks, Lots)) -> i64 {
    let away = match side {
        Side::Sell => mark - price.0,
        Side::Buy => price.0 - mark,
    };
    away * lots.0 * MONTH
}

/// A number of sat as millions, with a point.
fn millions(sat: i64) -> String {
    let tenths = (sat + 50_000).div_euclid(100_000);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// All of it as rows of a table.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| window | sat per PH/s and day | largest step | called | closed out | closed in the book, by makers, \
         backstop, queue, fund (PH/s) | own margin lost | given away in the book, to makers | fund pays | venue stops |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in outcomes {
        let [first, last, low, high] = row.index.map(|value| value / 1_000);
        let sign = if row.step < 0 { "−" } else { "+" };
        let step = row.step.abs();
        let lots = row.lots.map(|lots| lots.to_string()).join(", ");
        let given = row.given.map(millions).join(", ");
        let stops = if row.stopped { "yes" } else { "no" };
        text += &format!(
            "| {} | {first} to {last} ({low}..{high}) | {sign}{}.{} % | {} | {} | {lots} | {} | {given} | {} | {stops} |\n",
            row.window,
            step / 100,
            step % 100 / 10,
            row.called,
            row.liquidated,
            millions(row.margin),
            millions(row.fund),
        );
    }
    text
}
