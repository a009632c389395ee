//! Does an auction find the price that a search over every tick finds, and fill whom two plain queues
//! would fill, however many steps it takes?

use engine::{
    command::{
        AccountKind, Cancel, Command, CreditDeposit, DisconnectAction, Login, Lost, MassCancel,
        NewAccount, NewFirm, OrderTerms, Origin, Place, PostOnly, Pricing, Rail, Replace, Request,
        Restart, Selection, SelfTrade, SetTradingState, Side, Stamped, StateScope, Tag, Target,
        TimeInForce,
    },
    event::{AuctionChange, Event, OrderEventKind},
    exchange::Exchange,
    ids::{AccountId, AssetId, CommodityId, FirmId, IndexId, InstrumentId, SessionId},
    instrument::{
        Algorithm, Asset, Commodity, EntryLimits, Index, IndexKind, Kind, MarginTerms, Terms,
        TradingState, Volatility, Window,
    },
    reason::{Field, Reason},
    units::{DAY, Decimal, Lots, Nanos, Ppm, Ticks},
};

const MARK: i64 = 1_000;
const CONTRACT: InstrumentId = InstrumentId(1);

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((mixed ^ (mixed >> 31)) >> 1).expect("63 bits") % below
    }
}

fn request<T>(body: T) -> Request<T> {
    Request {
        id: 0,
        key_id: "operator".into(),
        note: String::new(),
        body,
    }
}

/// An order as the test remembers it.
#[derive(Clone, Copy, Debug)]
struct Row {
    id: u64,
    side: Side,
    price: i64,
    lots: i64,
}

struct Market {
    exchange: Exchange,
    commands: Vec<Stamped>,
    rows: Vec<Row>,
    first_account: u32,
}

impl Market {
    fn open(kind: Kind, accounts: usize) -> Self {
        Self::open_with(kind, accounts, 1 << 40)
    }

    fn open_with(kind: Kind, accounts: usize, money: i64) -> Self {
        let mut market = Self {
            exchange: Exchange::new(),
            commands: Vec::new(),
            rows: Vec::new(),
            first_account: 0,
        };
        market.run(Command::CreateAsset(request(Asset {
            symbol: "BTC".into(),
            decimals: 8,
            min_withdrawal: 1,
        })));
        market.run(Command::CreateCommodity(request(Commodity {
            symbol: "BTC".into(),
            algorithm: Algorithm::Sha256d,
            coins: vec!["BTC".into()],
            rate_unit: "PH/s".into(),
            rate_unit_hashes_per_second: 1_000_000_000_000_000,
            hashes_per_share: 1 << 32,
        })));
        market.run(Command::CreateIndex(request(Index {
            name: "HASHPRICE".into(),
            kind: IndexKind::Hashprice,
            commodity: CommodityId(1),
            quote: AssetId(1),
            unit: "sat".into(),
        })));
        market.run(Command::CreateFirm(request(NewFirm {
            code: "F".into(),
            legal_name: "F".into(),
            lei: String::new(),
        })));
        market.run(Command::CreateInstrument(request(terms(kind))));
        for number in 0..accounts {
            let events = market.run(Command::CreateAccount(request(NewAccount {
                firm: FirmId(1),
                label: format!("a{number}"),
                kind: AccountKind::Client,
                maker_fee_offset: 0,
                taker_fee_offset: 0,
            })));
            let made = events.iter().find_map(|event| match event {
                Event::Done(done) => u32::try_from(done.object).ok(),
                _ => None,
            });
            let account = made.expect("an account");
            if number == 0 {
                market.first_account = account;
            }
            market.run(Command::CreditDeposit(request(CreditDeposit {
                account: AccountId(account),
                asset: AssetId(1),
                amount: money,
                rail: Rail::Sandbox,
            })));
        }
        market.state(TradingState::PreOpen);
        market
    }

    fn run(&mut self, command: Command) -> Vec<Event> {
        let now = self.exchange.at().after(1_000);
        let in_time = self.exchange.next_deadline().is_none_or(|due| due > now);
        assert!(in_time || command == Command::Tick, "a timer is due");
        let stamped = Stamped {
            seq: self.exchange.seq() + 1,
            at: now,
            command,
        };
        let mut events = Vec::new();
        self.exchange.apply(&stamped, &mut events);
        self.commands.push(stamped);
        events
    }

    fn state(&mut self, target: TradingState) -> Vec<Event> {
        self.run(Command::SetTradingState(request(SetTradingState {
            scope: StateScope::Instrument(CONTRACT),
            target,
            reason: Reason::Operator,
            effective: Nanos(0),
            cancel_open_orders: false,
        })))
    }

    fn is(&self) -> TradingState {
        self.exchange.instrument(CONTRACT).expect("listed").state
    }

    fn place(&mut self, account: u32, side: Side, price: i64, lots: i64, auction: bool) {
        let id = self.rows.len() as u64 + 1;
        let events = self.enter(account, id, (side, price, lots), auction);
        let accepted = events.iter().any(
            |event| matches!(event, Event::Order(order) if order.kind == OrderEventKind::Accepted),
        );
        assert!(accepted, "{events:?}");
        self.rows.push(Row {
            id,
            side,
            price,
            lots,
        });
    }

    fn enter(
        &mut self,
        account: u32,
        id: u64,
        (side, price, lots): (Side, i64, i64),
        auction: bool,
    ) -> Vec<Event> {
        self.run(Command::Place(Place {
            origin: Origin {
                account: AccountId(self.first_account + account),
                session: SessionId::NONE,
                ..Origin::default()
            },
            order: OrderTerms {
                client_order_id: id,
                instrument: CONTRACT,
                side,
                pricing: Pricing::Limit(Ticks(price)),
                lots: Lots(lots),
                time_in_force: if auction {
                    TimeInForce::AtAuction
                } else {
                    TimeInForce::Gtc
                },
                post_only: PostOnly::No,
                reduce_only: false,
                self_trade: SelfTrade::CancelResting,
                self_trade_group: 0,
                cancel_group: 0,
                display: Lots(0),
                min_fill: Lots(0),
                trigger: None,
                mmp_group: 0,
                keep_on_disconnect: false,
                tag: Tag::default(),
            },
        }))
    }

    /// Ticks until no timer is due now.
    fn settle(&mut self) -> (Vec<Event>, usize) {
        let (mut all, mut ticks) = (Vec::new(), 0);
        while self
            .exchange
            .next_deadline()
            .is_some_and(|due| due <= self.exchange.at().after(1_000))
        {
            all.extend(self.run(Command::Tick));
            ticks += 1;
        }
        (all, ticks)
    }

    fn check(&self) {
        self.exchange.audit().expect("the books add up");
        let book = self.exchange.book(CONTRACT).expect("a book");
        let crossed = book
            .best(Side::Buy)
            .zip(book.best(Side::Sell))
            .is_some_and(|(bid, ask)| bid >= ask);
        assert!(!crossed, "crossed after the auction");
        let mut again = Exchange::new();
        for stamped in &self.commands {
            again.apply(stamped, &mut Vec::new());
        }
        assert_eq!(again.digest(), self.exchange.digest(), "replay");
    }
}

fn terms(kind: Kind) -> Terms {
    Terms {
        symbol: "DAY".into(),
        kind,
        product: "DAY".into(),
        commodity: CommodityId(1),
        price_asset: AssetId(1),
        tick_size: Decimal {
            mantissa: 1,
            exponent: -8,
        },
        price_unit: "sat".into(),
        lot_hashes_per_second: 1_000_000_000_000_000,
        window: Window {
            start: Nanos(40 * DAY),
            end: Nanos(41 * DAY),
        },
        index: IndexId(1),
        last_trade: Nanos(40 * DAY),
        margin: MarginTerms {
            initial_buy: Ppm(200_000),
            initial_sell: Ppm(200_000),
            maintenance_of_initial: Ppm(750_000),
            delivery_bond: Ppm(0),
            concentration_lots: 0,
            concentration: Ppm(0),
        },
        limits: EntryLimits {
            min_lots: 1,
            max_lots: 1_000,
            max_notional: 1 << 50,
            band_basis_points: 1_000,
            max_open_orders: 100_000,
            position_limit: 0,
            min_display: 1,
        },
        maker_fee: Ppm(100),
        taker_fee: Ppm(200),
        reference: Ticks(MARK),
        volatility: Volatility {
            window_ms: 8_000,
            move_ppm: 20_000,
        },
        legs: Vec::new(),
        cascade: Vec::new(),
    }
}

/// Volume and surplus at every tick of the crossed range; then the four rules, one after the other.
fn searched(rows: &[Row]) -> Option<(i64, i64, i64)> {
    let of = |side| rows.iter().filter(move |row| row.side == side);
    let bid = of(Side::Buy).map(|row| row.price).max()?;
    let ask = of(Side::Sell).map(|row| row.price).min()?;
    let interest = |price: i64| {
        let buys: i64 = of(Side::Buy)
            .filter(|row| row.price >= price)
            .map(|row| row.lots)
            .sum();
        let sells: i64 = of(Side::Sell)
            .filter(|row| row.price <= price)
            .map(|row| row.lots)
            .sum();
        (buys, sells)
    };
    let all: Vec<(i64, i64, i64)> = (ask..=bid)
        .map(|price| {
            let (buys, sells) = interest(price);
            (price, buys, sells)
        })
        .collect();
    let most = all.iter().map(|(_, buys, sells)| *buys.min(sells)).max()?;
    let volume = all
        .into_iter()
        .filter(|(_, buys, sells)| *buys.min(sells) == most);
    let volume: Vec<_> = volume.collect();
    let least = volume
        .iter()
        .map(|(_, buys, sells)| (buys - sells).abs())
        .min()?;
    let left: Vec<_> = volume
        .into_iter()
        .filter(|(_, buys, sells)| (buys - sells).abs() == least)
        .collect();
    let chosen = if left.iter().all(|(_, buys, sells)| buys > sells) {
        left.last()
    } else if left.iter().all(|(_, buys, sells)| sells > buys) {
        left.first()
    } else {
        left.iter()
            .min_by_key(|(price, _, _)| ((price - MARK).abs(), -price))
    };
    chosen.map(|(price, buys, sells)| (*price, most, buys - sells))
}

/// Buyer, seller and lots of each trade that two plain queues make at a price.
fn paired(rows: &[Row], price: i64) -> Vec<(u64, u64, i64)> {
    let queue = |side: Side| {
        let mut rows: Vec<Row> = rows
            .iter()
            .filter(|row| row.side == side && side.accepts(Ticks(row.price), Ticks(price)))
            .copied()
            .collect();
        rows.sort_by_key(|row| {
            let best = match side {
                Side::Buy => -row.price,
                Side::Sell => row.price,
            };
            (best, row.id)
        });
        rows
    };
    let (mut buys, mut sells) = (queue(Side::Buy), queue(Side::Sell));
    let (mut buy, mut sell) = (0, 0);
    let mut trades = Vec::new();
    while buy < buys.len() && sell < sells.len() {
        let lots = buys[buy].lots.min(sells[sell].lots);
        trades.push((buys[buy].id, sells[sell].id, lots));
        buys[buy].lots -= lots;
        sells[sell].lots -= lots;
        buy += usize::from(buys[buy].lots == 0);
        sell += usize::from(sells[sell].lots == 0);
    }
    trades
}

/// Trades as told: the buyer's fill, then the seller's.
fn told(events: &[Event], price: i64) -> Vec<(u64, u64, i64)> {
    let fills: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Order(order) => Some((order, order.fill?)),
            _ => None,
        })
        .collect();
    fills
        .chunks(2)
        .map(|two| {
            let ((buyer, bought), (seller, sold)) = (two[0], two[1]);
            assert_eq!((buyer.side, seller.side), (Side::Buy, Side::Sell));
            assert_eq!((bought.trade, bought.price.0), (sold.trade, price));
            assert_eq!(bought.lots, sold.lots);
            (buyer.client_order_id, seller.client_order_id, sold.lots.0)
        })
        .collect()
}

fn final_auction(events: &[Event]) -> Option<AuctionChange> {
    let last = events.iter().rev().find_map(|event| match event {
        Event::Auction(change) => Some(*change),
        _ => None,
    });
    last.filter(|change| change.price.is_some())
}

#[test]
fn the_price_is_the_one_a_search_finds() {
    let mut crossed = 0;
    for seed in 0..300_u64 {
        let mut dice = Dice(seed);
        let kind = if seed % 2 == 0 {
            Kind::SpotBlock
        } else {
            Kind::Forward
        };
        let orders = 2 + dice.roll(30);
        let mut market = Market::open(kind, usize::try_from(orders).expect("small"));
        let (width, most) = (1 + dice.roll(30), 1 + dice.roll(20));
        // Off the mark now and then, so that the fourth rule has three cases.
        let middle = MARK - 30 + dice.roll(61);
        for account in 0..orders {
            let side = [Side::Buy, Side::Sell][usize::from(dice.roll(2) == 0)];
            let price = middle - width + dice.roll(2 * width + 1);
            let lots = 1 + dice.roll(most);
            let account = u32::try_from(account).expect("small");
            market.place(account, side, price, lots, dice.roll(4) == 0);
        }
        let wanted = searched(&market.rows);
        let events = market.state(TradingState::Open);
        assert_eq!(market.is(), TradingState::Open);
        let found = final_auction(&events).map(|change| {
            let price = change.price.expect("crossed").0;
            (price, change.lots.0, change.imbalance.0)
        });
        assert_eq!(found, wanted, "seed {seed}: {:?}", market.rows);
        if let Some((price, volume, _)) = wanted {
            let trades = told(&events, price);
            assert_eq!(trades, paired(&market.rows, price), "seed {seed}");
            let traded: i64 = trades.iter().map(|(_, _, lots)| lots).sum();
            assert_eq!(traded, volume);
            crossed += 1;
        }
        market.check();
    }
    assert!(crossed > 200, "only {crossed} books were crossed");
}

#[test]
fn orders_of_one_account_never_meet() {
    for seed in 0..200_u64 {
        let mut dice = Dice(seed ^ 0x5eed);
        let mut market = Market::open(Kind::Forward, 4);
        for _ in 0..40 {
            let side = [Side::Buy, Side::Sell][usize::from(dice.roll(2) == 0)];
            let account = u32::try_from(dice.roll(4)).expect("small");
            market.place(
                account,
                side,
                MARK - 10 + dice.roll(21),
                1 + dice.roll(9),
                false,
            );
        }
        let events = market.state(TradingState::PostOnly);
        let fills: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Order(order) if order.fill.is_some() => Some(order.to.account),
                _ => None,
            })
            .collect();
        assert!(fills.chunks(2).all(|two| two[0] != two[1]), "seed {seed}");
        assert_eq!(market.is(), TradingState::PostOnly);
        market.check();
    }
}

#[test]
fn many_steps_fill_as_one_would() {
    let mut market = Market::open(Kind::SpotBlock, 2);
    for number in 0..9_000 {
        market.place(0, Side::Buy, MARK + 5 - number % 3, 1, false);
        market.place(1, Side::Sell, MARK - 5 + number % 3, 1, number % 7 == 0);
    }
    market.place(0, Side::Buy, MARK + 2, 3, false);
    let wanted = searched(&market.rows).expect("crossed");
    let mut events = market.state(TradingState::Open);
    assert_eq!(market.is(), TradingState::NoCancel);
    interrupted(&market);
    // Between two steps nothing comes in and nothing goes out.
    let middle = market.exchange.clone();
    for (number, command) in [
        Command::Cancel(Cancel {
            origin: Origin {
                account: AccountId(market.first_account),
                ..Origin::default()
            },
            target: Target::Client(18_001),
            instrument: InstrumentId::NONE,
        }),
        Command::Tick,
    ]
    .into_iter()
    .enumerate()
    {
        let stamped = Stamped {
            seq: middle.seq() + 1,
            at: middle.at().after(1),
            command,
        };
        let (mut copy, mut told) = (middle.clone(), Vec::new());
        copy.apply(&stamped, &mut told);
        let refused = told.iter().any(|event| {
            matches!(event, Event::Order(order)
                if order.problem.is_some_and(|why| why.reason == Reason::NoCancelPeriod))
        });
        assert_eq!(refused, number == 0);
    }
    let (more, ticks) = market.settle();
    assert_eq!(ticks, 2, "9,000 trades are three steps");
    events.extend(more);
    assert_eq!(market.is(), TradingState::Open);
    let last = final_auction(&events).expect("an auction");
    let found = (
        last.price.map_or(0, |at| at.0),
        last.lots.0,
        last.imbalance.0,
    );
    assert_eq!(found, wanted);
    assert_eq!(told(&events, wanted.0), paired(&market.rows, wanted.0));
    market.check();
}

/// An auction half done: a halt breaks it off, a restart leads it to post-only trading.
fn interrupted(market: &Market) {
    let copy = || Market {
        exchange: market.exchange.clone(),
        commands: market.commands.clone(),
        rows: Vec::new(),
        first_account: market.first_account,
    };
    let mut halted = copy();
    let stamped = |market: &Market, command| Stamped {
        seq: market.exchange.seq() + 1,
        at: market.exchange.at().after(1),
        command,
    };
    let halt = Command::SetTradingState(request(SetTradingState {
        scope: StateScope::All,
        target: TradingState::Halted,
        reason: Reason::Operator,
        effective: Nanos(0),
        cancel_open_orders: false,
    }));
    let halt = stamped(&halted, halt);
    halted.exchange.apply(&halt, &mut Vec::new());
    halted.commands.push(halt);
    halted.exchange.audit().expect("crossed, but after a call");
    assert_eq!(halted.is(), TradingState::Halted);
    assert_eq!(halted.settle().1, 0, "nothing goes on");
    halted.state(TradingState::Open);
    halted.settle();
    assert_eq!(halted.is(), TradingState::Open);
    halted.check();

    let mut again = copy();
    let until = again.exchange.at().after(60_000_000_000);
    let restart = stamped(
        &again,
        Command::Restart(Restart {
            post_only_until: until,
            recovery_grace_ms: 0,
        }),
    );
    again.exchange.apply(&restart, &mut Vec::new());
    again.commands.push(restart);
    again.settle();
    assert_eq!(again.is(), TradingState::PostOnly);
    let contract = again.exchange.instrument(CONTRACT).expect("listed");
    assert_eq!(
        (contract.state_reason, contract.reopens),
        (Reason::Restart, until)
    );
    again.check();
}

/// One command out of everything that calls have to bear.
fn anything(dice: &mut Dice, market: &Market, id: u64) -> Command {
    let contract = InstrumentId(1 + u32::try_from(dice.roll(2)).expect("small"));
    let account = AccountId(market.first_account + u32::try_from(dice.roll(4)).expect("small"));
    let origin = Origin {
        account,
        ..Origin::default()
    };
    let lives = [
        TimeInForce::Gtc,
        TimeInForce::Gtc,
        TimeInForce::AtAuction,
        TimeInForce::Ioc,
        TimeInForce::Fok,
        TimeInForce::Gtd(market.exchange.at().after(1 + dice.roll(60_000_000_000))),
    ];
    let states = [
        TradingState::Open,
        TradingState::Open,
        TradingState::PostOnly,
        TradingState::PreOpen,
        TradingState::NoCancel,
        TradingState::VolatilityAuction,
        TradingState::Halted,
        TradingState::CancelOnly,
    ];
    let pick = |dice: &mut Dice, from: usize| usize::try_from(dice.roll(from as i64)).unwrap_or(0);
    let target = Target::Client(1 + dice.roll(i64::try_from(id).expect("small")).unsigned_abs());
    match dice.roll(100) {
        0..=59 => Command::Place(Place {
            origin,
            order: OrderTerms {
                client_order_id: id,
                instrument: contract,
                side: [Side::Buy, Side::Sell][pick(dice, 2)],
                pricing: Pricing::Limit(Ticks(MARK - 25 + dice.roll(51))),
                lots: Lots(1 + dice.roll(9)),
                time_in_force: lives[pick(dice, lives.len())],
                post_only: [PostOnly::No, PostOnly::No, PostOnly::Slide][pick(dice, 3)],
                reduce_only: dice.roll(4) == 0,
                self_trade: [SelfTrade::CancelResting, SelfTrade::Decrement][pick(dice, 2)],
                self_trade_group: 0,
                cancel_group: 0,
                display: Lots(0),
                min_fill: Lots(0),
                trigger: None,
                mmp_group: 0,
                keep_on_disconnect: false,
                tag: Tag::default(),
            },
        }),
        60..=67 => Command::Cancel(Cancel {
            origin,
            target,
            instrument: InstrumentId::NONE,
        }),
        68..=77 => Command::Replace(Replace {
            origin,
            target,
            instrument: InstrumentId::NONE,
            price: (dice.roll(2) == 0).then(|| Ticks(MARK - 25 + dice.roll(51))),
            lots: (dice.roll(2) == 0).then(|| Lots(1 + dice.roll(9))),
            post_only: None,
            expire: None,
            display: None,
            trigger: None,
            reject_if_priority_lost: false,
        }),
        78..=79 => Command::MassCancel(MassCancel {
            origin,
            selection: Selection::default(),
            block_new_orders: false,
        }),
        80..=83 => Command::Login(Login {
            account,
            name: "desk".into(),
            heartbeat_ms: 1_000,
            action: DisconnectAction::CancelAccount,
            grace_ms: 0,
            key_id: "key".into(),
        }),
        84..=87 => {
            let known = market.exchange.sessions();
            let session = known.get(pick(dice, known.len().max(1)));
            Command::Lost(Lost {
                session: session.map_or(SessionId::NONE, |session| session.id),
                login: session.map_or(0, |session| session.login),
                cause: Reason::Disconnect,
            })
        }
        88 => Command::Restart(Restart {
            post_only_until: market.exchange.at().after(dice.roll(60_000_000_000)),
            recovery_grace_ms: 0,
        }),
        _ => Command::SetTradingState(request(SetTradingState {
            scope: StateScope::Instrument(contract),
            target: states[pick(dice, states.len())],
            reason: Reason::Operator,
            effective: if dice.roll(2) == 0 {
                Nanos(0)
            } else {
                market.exchange.at().after(dice.roll(40_000_000_000))
            },
            cancel_open_orders: dice.roll(12) == 0,
        })),
    }
}

#[test]
fn whatever_happens_in_calls_the_books_add_up() {
    let mut met = std::collections::BTreeSet::new();
    for seed in 0..60_u64 {
        let mut dice = Dice(seed ^ 0xca11);
        let kind = [Kind::Forward, Kind::SpotBlock][usize::from(seed % 2 == 0)];
        let money = [4_000, 20_000][usize::from(seed % 2 == 0)];
        let mut market = Market::open_with(kind, 4, money);
        let mut far = terms(kind);
        far.symbol = "FAR".into();
        far.last_trade = far.window.end;
        market.run(Command::CreateInstrument(request(far)));
        for id in 1..=400_u64 {
            let span = [1_000, 1_000, 1_000, 60_000_000, 7_000_000_000];
            let wait = span[usize::try_from(dice.roll(5)).expect("small")];
            let mut command = anything(&mut dice, &market, id);
            let mut at = market.exchange.at().after(wait);
            if let Some(due) = market.exchange.next_deadline().filter(|due| *due <= at) {
                (command, at) = (Command::Tick, due.max(market.exchange.at().after(1)));
            }
            let stamped = Stamped {
                seq: market.exchange.seq() + 1,
                at,
                command,
            };
            let mut events = Vec::new();
            market.exchange.apply(&stamped, &mut events);
            market.commands.push(stamped);
            let audit = market.exchange.audit();
            assert!(audit.is_ok(), "seed {seed}, command {id}: {audit:?}");
            // The marks do not move: no fill may cost more than was held for it (MONEY-09).
            for account in 0..4 {
                let account = AccountId(market.first_account + account);
                let balance = market.exchange.ledger().balance(account, AssetId(1));
                assert!(
                    balance.available().0 >= 0,
                    "seed {seed}, command {id}: {balance:?}"
                );
            }
            for event in events {
                if let Event::Order(order) = event
                    && let Some(problem) = order.problem
                {
                    met.insert(problem.reason);
                }
            }
        }
        let mut again = Exchange::new();
        for stamped in &market.commands {
            again.apply(stamped, &mut Vec::new());
        }
        assert_eq!(again.digest(), market.exchange.digest(), "replay");
    }
    for reason in [
        Reason::NoCancelPeriod,
        Reason::AuctionRemainder,
        Reason::Volatility,
        Reason::SelfTradePrevented,
        Reason::ReduceOnlyWouldIncrease,
        Reason::Expired,
        Reason::Disconnect,
        Reason::InsufficientMargin,
        Reason::InsufficientBalance,
    ] {
        assert!(met.contains(&reason), "{reason:?} was never met");
    }
}

#[test]
fn half_a_volatility_check_is_not_listed() {
    let mut market = Market::open(Kind::SpotBlock, 1);
    let cases = [
        ((0, 0), true),
        ((100, 1), true),
        ((86_400_000, 999_999), true),
        ((0, 1), false),
        ((1_000, 0), false),
        ((99, 1), false),
        ((86_400_001, 1), false),
        ((1_000, 1_000_000), false),
        ((1_000, -1), false),
    ];
    for (number, ((window_ms, move_ppm), wanted)) in cases.into_iter().enumerate() {
        let mut odd = terms(Kind::SpotBlock);
        odd.symbol = format!("ODD-{number}");
        odd.volatility = Volatility {
            window_ms,
            move_ppm,
        };
        let events = market.run(Command::CreateInstrument(request(odd)));
        let refused = events.iter().find_map(|event| match event {
            Event::Refused(refused) => Some((refused.problem.reason, refused.problem.field)),
            _ => None,
        });
        let want = (!wanted).then_some((Reason::InvalidField, Field::Volatility));
        assert_eq!(refused, want, "window {window_ms}, move {move_ppm}");
    }
}
