//! Flows of stamped commands, the same for the same seed on every machine.
//!
//! A flow is made by running it once: a shadow exchange tells which orders live, so that every cancel
//! names a living order by the exchange's own id, every add rests and every crossing trades. What is
//! measured later is the same list of commands on the same start, and it must give the same [`Tally`].
//! [`Flow::new`] draws its own commands; [`Flow::mapped`] sends the messages of a bare flow.

use engine::{
    command::{
        AccountKind, Cancel, Command, CreditDeposit, DisconnectAction, Login, NewAccount, NewFirm,
        OrderTerms, Origin, Place, PostOnly, Pricing, Rail, Replace, Request, SelfTrade,
        SetTradingState, Side, Stamped, StateScope, Tag, Target, TimeInForce,
    },
    event::{Event, OrderEventKind},
    exchange::Exchange,
    ids::{AccountId, AssetId, CommodityId, FirmId, IndexId, InstrumentId, SessionId},
    instrument::{
        Algorithm, Asset, Commodity, EntryLimits, Index, IndexKind, Kind, MarginTerms, Terms,
        TradingState, Window,
    },
    reason::Reason,
    units::{DAY, Decimal, Lots, Nanos, Ppm, SECOND, Ticks},
};

mod live;
mod mapped;
mod quotes;
mod random;
mod rules;

use live::Live;
pub use quotes::{Curve, Refresh};
pub use random::Random;
pub use rules::Rule;

/// Funded accounts of every flow, one session each: more than a first-level cache holds.
pub const ACCOUNTS: usize = 10_000;
/// Of every 100 commands of a flow, this many add; 5 cross; the others cancel.
const ADDS: u64 = 60;
const CROSSES: u64 = 5;
/// Resting orders that a crossing takes on average: what 60 adds bring and 35 cancels leave.
const MAKERS: i64 = 5;
/// Commands of a flow that run before its start, so that order slots are used again by then, as in any
/// exchange that has been open for a minute, and the tables no longer grow.
const WARM_UP: usize = 120_000;
/// Sizes are uniform from 1 to this.
const LOTS_MAX: u64 = 9;
/// The middle of the book, in ticks; also the mark.
const MIDDLE: i64 = 42_000;
/// The first command's time, 2100-01-01: later than any clock that runs the whole pipeline on a flow.
const START: i64 = 47_482 * DAY;
/// Core time between two commands.
const STEP: i64 = 1_000;
const PETA: i64 = 1_000_000_000_000_000;
/// Enough for every hold of every flow.
const DEPOSIT: i64 = 1 << 49;

/// The shape of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// For ids of results.
    pub name: &'static str,
    /// Orders that live before the first command and, within a few percent, after every one.
    pub live: usize,
    /// Price levels of one side that adds choose from.
    pub levels: u64,
}

/// 50,000 live orders, 1,050 price levels.
pub const BALANCED: Shape = Shape {
    name: "balanced",
    live: 50_000,
    levels: 525,
};
/// 1,000 live orders close to the middle.
pub const HOT: Shape = Shape {
    name: "hot",
    live: 1_000,
    levels: 32,
};
/// 900,000 live orders: every touch misses the caches.
pub const DEEP: Shape = Shape {
    name: "deep",
    live: 900_000,
    levels: 2_000,
};

/// What commands did, counted from events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All events.
    pub events: u64,
    /// Orders accepted.
    pub accepted: u64,
    /// Orders changed by a replace.
    pub replaced: u64,
    /// Orders cancelled, for whatever reason.
    pub cancelled: u64,
    /// Trades.
    pub trades: u64,
    /// Refusals of any kind.
    pub refused: u64,
}

impl Tally {
    /// Adds what these events say.
    pub fn count(&mut self, events: &[Event]) {
        self.events += events.len() as u64;
        for event in events {
            match event {
                Event::Order(order) => match order.kind {
                    OrderEventKind::Accepted => self.accepted += 1,
                    OrderEventKind::Replaced => self.replaced += 1,
                    OrderEventKind::Cancelled => self.cancelled += 1,
                    OrderEventKind::Rejected
                    | OrderEventKind::ReplaceRejected
                    | OrderEventKind::CancelRejected => self.refused += 1,
                    OrderEventKind::Fill | OrderEventKind::Restated | OrderEventKind::Triggered => {
                    }
                },
                Event::Refused(_) => self.refused += 1,
                Event::Trade(_) => self.trades += 1,
                _ => {}
            }
        }
    }
}

/// A flow that is ready to run.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Brings an empty exchange to the start: reference data, accounts, money, sessions, resting
    /// orders, and a part of the flow to warm up.
    pub prelude: Vec<Stamped>,
    /// The exchange at the start.
    pub start: Exchange,
    /// What is measured.
    pub commands: Vec<Stamped>,
    /// What the commands do, all together.
    pub tally: Tally,
    /// Price levels at the start, both sides.
    pub levels: usize,
}

impl Flow {
    /// Makes a flow.
    ///
    /// # Panics
    /// If it would not be what its shape says: orders refused, crossings that find nobody, a book that
    /// grows or melts.
    #[must_use]
    pub fn new(shape: Shape, commands: usize, seed: u64) -> Self {
        Self::on(Venue::new(ACCOUNTS), shape, commands, seed)
    }

    /// The same flow where a rule has more to do.
    ///
    /// # Panics
    /// As [`Flow::new`].
    #[must_use]
    pub fn under(rule: Rule, shape: Shape, commands: usize, seed: u64) -> Self {
        Self::on(Venue::under(rule, ACCOUNTS), shape, commands, seed)
    }

    fn on(mut venue: Venue, shape: Shape, commands: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut live = Live::default();
        while live.len() < shape.live {
            let add = venue.add(shape, &mut random);
            venue.run(add);
            live.hear(&venue.events);
        }
        for _ in 0..WARM_UP {
            let command = venue.draw(shape, &live, &mut random);
            venue.run(command);
            live.hear(&venue.events);
        }
        let prelude = std::mem::take(&mut venue.history);
        let start = venue.exchange.clone();
        let levels = venue.levels();
        let mut tally = Tally::default();
        for _ in 0..commands {
            let command = venue.draw(shape, &live, &mut random);
            venue.run(command);
            live.hear(&venue.events);
            tally.count(&venue.events);
        }
        let drift = live.len().abs_diff(shape.live);
        assert!(
            drift * 4 < shape.live,
            "{} orders live at the end",
            live.len()
        );
        assert_eq!(tally.refused, 0, "nothing in a flow is refused");
        let crosses = commands as u64 * CROSSES / 100;
        assert!(
            tally.trades > crosses * 3,
            "{} trades in {commands}",
            tally.trades
        );
        Self {
            prelude,
            start,
            commands: venue.history,
            tally,
            levels,
        }
    }

    /// One line for a table.
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "{} commands on {} live orders at {} levels: {} accepted, {} cancelled, {} trades, \
             {} events",
            self.commands.len(),
            self.start.orders().live(),
            self.levels,
            self.tally.accepted,
            self.tally.cancelled,
            self.tally.trades,
            self.tally.events,
        )
    }
}

/// How far from the mark a contract lets prices go, and the margin that this asks for.
#[derive(Clone, Copy, Debug)]
struct Band {
    basis_points: i32,
    margin: Ppm,
}

/// As in the sandbox.
const USUAL: Band = Band {
    basis_points: 1_000,
    margin: Ppm(180_000),
};

/// An exchange with open contracts and funded accounts, and what was done to it.
#[derive(Debug)]
pub struct Venue {
    /// The exchange.
    pub exchange: Exchange,
    /// Its first contract, a month forward.
    pub contract: InstrumentId,
    /// All of them.
    contracts: Vec<InstrumentId>,
    /// Events of the newest command.
    pub events: Vec<Event>,
    /// Commands so far; may be taken out.
    pub history: Vec<Stamped>,
    traders: Vec<Trader>,
    next_client_id: u64,
    at: i64,
    /// Protection group of all orders; 0 = none.
    mmp_group: u16,
}

#[derive(Clone, Copy, Debug)]
struct Trader {
    account: AccountId,
    session: SessionId,
    login: u32,
    client_seq: u64,
}

impl Venue {
    /// Opens the contract and `accounts` accounts, each with money and a session.
    ///
    /// # Panics
    /// If the exchange refuses any of it.
    #[must_use]
    pub fn new(accounts: usize) -> Self {
        Self::with(accounts, 1, USUAL)
    }

    /// The same with so many contracts.
    fn with(accounts: usize, contracts: u16, band: Band) -> Self {
        Self::listing(accounts, contracts, |terms, number, _| {
            // One month in many variants is as good as many months here.
            if number > 0 {
                terms.symbol = format!("{}-{number}", terms.symbol);
            }
            terms.limits.band_basis_points = band.basis_points;
            terms.margin.initial_buy = band.margin;
            terms.margin.initial_sell = band.margin;
        })
    }

    /// Three months and their quarter, and a rule that has something to do.
    ///
    /// # Panics
    /// If the exchange refuses any of it.
    #[must_use]
    pub fn under(rule: Rule, accounts: usize) -> Self {
        let mut venue = Self::listing(accounts, 4, |terms, number, made| {
            if number > 0 {
                *terms = rules::later(terms, number.into(), made);
            }
            rule.terms(terms);
        });
        rule.prepare(&mut venue);
        venue.mmp_group = rule.group();
        venue
    }

    /// With contracts as the sheet says: terms of the first month, number, contracts so far.
    fn listing(
        accounts: usize,
        contracts: u16,
        sheet: impl Fn(&mut Terms, u16, &[InstrumentId]),
    ) -> Self {
        let mut venue = Self {
            exchange: roomy(),
            contract: InstrumentId::NONE,
            contracts: Vec::new(),
            events: Vec::new(),
            history: Vec::new(),
            traders: Vec::new(),
            next_client_id: 0,
            at: START,
            mmp_group: 0,
        };
        let asset = AssetId(venue.create(Command::CreateAsset(request(bitcoin()))));
        let commodity = CommodityId(venue.create(Command::CreateCommodity(request(hashrate()))));
        let index = Index {
            name: "BTC-HASHPRICE-SAT".into(),
            kind: IndexKind::Hashprice,
            commodity,
            quote: asset,
            unit: "sat per PH/s per day".into(),
        };
        let index = IndexId(venue.create(Command::CreateIndex(request(index))));
        for number in 0..contracts {
            let mut terms = month(commodity, asset, index);
            sheet(&mut terms, number, &venue.contracts);
            let made = venue.create(Command::CreateInstrument(request(terms)));
            venue.contracts.push(InstrumentId(made));
        }
        venue.contract = venue.contracts[0];
        venue.create(Command::SetTradingState(request(SetTradingState {
            scope: StateScope::All,
            target: TradingState::Open,
            reason: Reason::Operator,
            effective: Nanos(0),
            cancel_open_orders: false,
        })));
        for number in 0..accounts {
            venue.welcome(number, asset);
        }
        venue
    }

    fn welcome(&mut self, number: usize, asset: AssetId) {
        let firm = FirmId(self.create(Command::CreateFirm(request(NewFirm {
            code: format!("FIRM-{number}"),
            legal_name: format!("Firm {number}"),
            lei: String::new(),
        }))));
        let account = AccountId(self.create(Command::CreateAccount(request(NewAccount {
            firm,
            label: "desk".into(),
            kind: AccountKind::Client,
            maker_fee_offset: 0,
            taker_fee_offset: 0,
        }))));
        self.create(Command::CreditDeposit(request(CreditDeposit {
            account,
            asset,
            amount: DEPOSIT,
            rail: Rail::Sandbox,
        })));
        self.run(Command::Login(login(account)));
        let opened = self.events.iter().find_map(|event| match event {
            Event::SessionOpened(opened) => Some(opened.session),
            _ => None,
        });
        self.traders.push(Trader {
            account,
            session: opened.expect("the login is accepted"),
            login: 1,
            client_seq: 0,
        });
    }

    /// Runs a command that makes something; its number.
    fn create(&mut self, command: Command) -> u32 {
        self.run(command);
        let done = self.events.iter().find_map(|event| match event {
            Event::Done(done) => u32::try_from(done.object).ok(),
            _ => None,
        });
        done.unwrap_or_else(|| panic!("the set-up is refused: {:?}", self.events))
    }

    /// Gives a command its number and its time. The exchange has not seen it yet.
    pub fn stamp(&mut self, ahead: usize, command: Command) -> Stamped {
        self.at += STEP;
        Stamped {
            seq: self.exchange.seq() + 1 + ahead as u64,
            at: Nanos(self.at),
            command,
        }
    }

    /// Stamps, applies and remembers a command.
    pub fn run(&mut self, command: Command) {
        let stamped = self.stamp(0, command);
        self.events.clear();
        self.exchange.apply(&stamped, &mut self.events);
        self.history.push(stamped);
    }

    /// A limit order of the trader with this number.
    pub fn order(&mut self, trader: usize, side: Side, price: i64, lots: i64) -> Place {
        self.next_client_id += 1;
        let origin = self.origin(trader % self.traders.len());
        Place {
            origin,
            order: OrderTerms {
                client_order_id: self.next_client_id,
                instrument: self.contract,
                side,
                pricing: Pricing::Limit(Ticks(price)),
                lots: Lots(lots),
                time_in_force: TimeInForce::Gtc,
                post_only: PostOnly::No,
                reduce_only: false,
                self_trade: SelfTrade::CancelResting,
                self_trade_group: 0,
                cancel_group: 0,
                display: engine::units::Lots(0),
                min_fill: engine::units::Lots(0),
                trigger: None,
                mmp_group: self.mmp_group,
                keep_on_disconnect: false,
                tag: Tag::default(),
            },
        }
    }

    /// A cancel by the owner.
    pub fn cancel(&mut self, account: AccountId, target: Target) -> Command {
        Command::Cancel(Cancel {
            origin: self.origin_of(account),
            target,
            instrument: self.contract,
        })
    }

    /// A change of price or total by the owner.
    pub fn replace(
        &mut self,
        account: AccountId,
        target: Target,
        price: Option<i64>,
        lots: Option<i64>,
    ) -> Command {
        Command::Replace(Replace {
            origin: self.origin_of(account),
            target,
            instrument: self.contract,
            price: price.map(Ticks),
            lots: lots.map(Lots),
            post_only: None,
            expire: None,
            display: None,
            trigger: None,
            reject_if_priority_lost: false,
        })
    }

    fn origin_of(&mut self, account: AccountId) -> Origin {
        let trader = self
            .traders
            .binary_search_by_key(&account, |trader| trader.account)
            .expect("only traders have orders");
        self.origin(trader)
    }

    fn origin(&mut self, trader: usize) -> Origin {
        let trader = &mut self.traders[trader];
        trader.client_seq += 1;
        Origin {
            account: trader.account,
            session: trader.session,
            login: trader.login,
            client_seq: trader.client_seq,
            deadline: Nanos(0),
        }
    }

    /// Price levels of all books, both sides.
    fn levels(&self) -> usize {
        let sides = [Side::Buy, Side::Sell];
        let books = self.contracts.iter().map(|contract| {
            let book = self.exchange.book(*contract).expect("the contract is open");
            sides
                .map(|side| book.levels(side).count())
                .iter()
                .sum::<usize>()
        });
        books.sum()
    }

    fn best(&self, side: Side) -> Option<i64> {
        Some(self.exchange.book(self.contract)?.best(side)?.0)
    }

    /// The next command of a flow.
    fn draw(&mut self, shape: Shape, live: &Live, random: &mut Random) -> Command {
        match random.below(100) {
            draw if draw < ADDS => self.add(shape, random),
            draw if draw < ADDS + CROSSES => self.cross(shape, live.len(), random),
            _ => {
                let (account, order) = live.any(random);
                self.cancel(account, Target::Order(order))
            }
        }
    }

    /// An order that rests. Most come close to the middle, as in a real book; a best price that has
    /// moved beyond the middle is respected.
    fn add(&mut self, shape: Shape, random: &mut Random) -> Command {
        let trader = random.index(self.traders.len());
        let lots = 1 + random.below(LOTS_MAX).cast_signed();
        // The smaller of two uniform draws: a triangle with its peak at the middle.
        let near = random.below(shape.levels).min(random.below(shape.levels));
        let distance = 1 + near.cast_signed();
        let (side, price) = if random.below(2) == 0 {
            let most = self.best(Side::Sell).map_or(i64::MAX, |best| best - 1);
            (Side::Buy, (MIDDLE - distance).min(most))
        } else {
            let least = self.best(Side::Buy).map_or(i64::MIN, |best| best + 1);
            (Side::Sell, (MIDDLE + distance).max(least))
        };
        Command::Place(self.order(trader, side, price, lots))
    }

    /// An order that trades at once with about [`MAKERS`] others, more or fewer if the book has grown
    /// or melted; what is left of it is cancelled.
    fn cross(&mut self, shape: Shape, live: usize, random: &mut Random) -> Command {
        let trader = random.index(self.traders.len());
        let surplus = live as i64 - shape.live as i64;
        let slack = (shape.live as i64 / 100).max(1);
        let makers = (MAKERS + surplus / slack).clamp(1, 4 * MAKERS);
        let lots = makers * (1 + LOTS_MAX.cast_signed()) / 2;
        let side = if random.below(2) == 0 {
            Side::Buy
        } else {
            Side::Sell
        };
        let reach = shape.levels.cast_signed();
        let price = match side {
            Side::Buy => MIDDLE + reach,
            Side::Sell => MIDDLE - reach,
        };
        let mut place = self.order(trader, side, price, lots);
        place.order.time_in_force = TimeInForce::Ioc;
        Command::Place(place)
    }
}

/// An exchange with room for the client ids of every flow, as one has that has run for a day.
fn roomy() -> Exchange {
    let mut exchange = Exchange::new();
    exchange.reserve(1 << 21, 1 << 18);
    // With ten thousand accounts a debug build would do little else; tests ask for the audits they want.
    exchange.skip_audits();
    exchange
}

fn login(account: AccountId) -> Login {
    Login {
        account,
        name: "bench".into(),
        heartbeat_ms: 30_000,
        action: DisconnectAction::Keep,
        grace_ms: 0,
        key_id: "bench".into(),
    }
}

fn request<T>(body: T) -> Request<T> {
    Request {
        id: 0,
        key_id: "bench".into(),
        note: String::new(),
        body,
    }
}

fn bitcoin() -> Asset {
    Asset {
        symbol: "BTC".into(),
        decimals: 8,
        min_withdrawal: 1,
    }
}

fn hashrate() -> Commodity {
    Commodity {
        symbol: "BTC".into(),
        algorithm: Algorithm::Sha256d,
        coins: vec!["BTC".into()],
        rate_unit: "PH/s".into(),
        rate_unit_hashes_per_second: PETA,
        hashes_per_share: 1 << 32,
    }
}

/// A month forward with the margins and fees of the sandbox, and no limit in the way of a flow.
fn month(commodity: CommodityId, asset: AssetId, index: IndexId) -> Terms {
    Terms {
        symbol: "BTC-FWD-2100-03".into(),
        kind: Kind::Forward,
        product: "BTC-FWD".into(),
        commodity,
        price_asset: asset,
        tick_size: Decimal {
            mantissa: 1,
            exponent: -8,
        },
        price_unit: "sat per PH/s per day".into(),
        lot_hashes_per_second: PETA,
        window: Window {
            start: Nanos(START + 60 * DAY),
            end: Nanos(START + 91 * DAY),
        },
        index,
        last_trade: Nanos(START + 60 * DAY - 3_600 * SECOND),
        margin: MarginTerms {
            initial_buy: USUAL.margin,
            initial_sell: USUAL.margin,
            maintenance_of_initial: Ppm(750_000),
            delivery_bond: Ppm(0),
            concentration_lots: 0,
            concentration: Ppm(0),
        },
        limits: EntryLimits {
            min_lots: 1,
            max_lots: 1_000_000,
            max_notional: 1 << 50,
            band_basis_points: USUAL.basis_points,
            max_open_orders: 1 << 24,
            position_limit: 0,
            min_display: 1,
        },
        maker_fee: Ppm(-20),
        taker_fee: Ppm(150),
        reference: Ticks(MIDDLE),
        volatility: engine::instrument::Volatility::default(),
        legs: Vec::new(),
        cascade: Vec::new(),
    }
}
