//! Three months, their two spreads and a strip, with accounts that enter random orders; after every
//! command everything that must hold is looked at.

use std::collections::BTreeMap;

use engine::{
    command::{
        AccountKind, Cancel, Command, CreditDeposit, FixingKind, MmpGroup, NewAccount, NewFirm,
        OrderTerms, Origin, Place, PostOnly, Pricing, Rail, Replace, Request, SelfTrade,
        SetTradingState, Side, Stamped, StateScope, SubmitFixing, Tag, Target, TimeInForce,
        Trigger, TriggerSource,
    },
    event::{Event, Liquidity, OrderEvent, OrderEventKind},
    exchange::Exchange,
    ids::{AccountId, AssetId, CommodityId, FirmId, IndexId, InstrumentId, OrderId, ProductId},
    instrument::{
        Algorithm, Asset, Commodity, EntryLimits, Index, IndexKind, Kind, Leg, MarginTerms, Terms,
        TradingState, Volatility, Window,
    },
    reason::Reason,
    units::{DAY, Decimal, Lots, MILLISECOND, Nanos, Ppm, Ticks},
};
use tests::{generator::Random, legs::check_legs};

pub(super) const JAN: InstrumentId = InstrumentId(1);
pub(super) const FEB: InstrumentId = InstrumentId(2);
pub(super) const MAR: InstrumentId = InstrumentId(3);
/// February less January, March less February, and all three.
pub(super) const COMBINATIONS: [InstrumentId; 3] =
    [InstrumentId(4), InstrumentId(5), InstrumentId(6)];
pub(super) const MONEY: AssetId = AssetId(1);

pub(super) fn request<T>(body: T) -> Request<T> {
    Request {
        id: 0,
        key_id: "operator".into(),
        note: String::new(),
        body,
    }
}

/// A month of the curve: the number of its first day.
pub(super) fn month(day: i64, mark: i64) -> Terms {
    Terms {
        symbol: format!("M{day}"),
        kind: Kind::Forward,
        product: "MONTHS".into(),
        commodity: CommodityId(1),
        price_asset: MONEY,
        tick_size: Decimal {
            mantissa: 1,
            exponent: -8,
        },
        price_unit: "sat".into(),
        lot_hashes_per_second: 1_000_000_000_000_000,
        window: Window {
            start: Nanos(day * DAY),
            end: Nanos((day + 2) * DAY),
        },
        index: IndexId(1),
        last_trade: Nanos(day * DAY),
        margin: MarginTerms {
            initial_buy: Ppm(180_000),
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
            max_open_orders: 1_000,
            position_limit: 0,
            min_display: 1,
        },
        maker_fee: Ppm(-100),
        taker_fee: Ppm(400),
        reference: Ticks(mark),
        volatility: Volatility::default(),
        legs: Vec::new(),
        cascade: Vec::new(),
    }
}

/// A combination of months that are listed.
pub(super) fn combination(
    symbol: &str,
    legs: &[(InstrumentId, i64)],
    exchange: &Exchange,
) -> Terms {
    let part = |at: usize| &exchange.instrument(legs[at].0).expect("it is listed").terms;
    let spread = legs[0].1 < 0;
    let mut terms = month(0, 1);
    terms.symbol = symbol.into();
    terms.kind = if spread {
        Kind::CalendarSpread
    } else {
        Kind::Strip
    };
    terms.product = "COMBINATIONS".into();
    terms.window = Window {
        start: part(0).window.start,
        end: part(legs.len() - 1).window.end,
    };
    terms.last_trade = part(0).last_trade;
    (terms.maker_fee, terms.taker_fee) = (Ppm(50), Ppm(300));
    terms.reference = Ticks(0);
    terms.legs = legs
        .iter()
        .map(|(instrument, ratio)| Leg {
            instrument: *instrument,
            ratio: *ratio,
        })
        .collect();
    terms
}

pub(super) struct Curve {
    pub(super) exchange: Exchange,
    random: Random,
    pub(super) accounts: Vec<AccountId>,
    pub(super) orders: Vec<(AccountId, OrderId)>,
    next_id: u64,
    round: u64,
    pub(super) counts: BTreeMap<&'static str, u64>,
}

impl Curve {
    pub(super) fn open(seed: u64, money: &[i64], volatile: bool) -> Self {
        let mut curve = Self {
            exchange: Exchange::new(),
            random: Random::new(seed),
            accounts: Vec::new(),
            orders: Vec::new(),
            next_id: 0,
            round: 0,
            counts: BTreeMap::new(),
        };
        curve.make(Command::CreateAsset(request(Asset {
            symbol: "BTC".into(),
            decimals: 8,
            min_withdrawal: 1,
        })));
        curve.make(Command::CreateCommodity(request(Commodity {
            symbol: "BTC".into(),
            algorithm: Algorithm::Sha256d,
            coins: vec!["BTC".into()],
            rate_unit: "PH/s".into(),
            rate_unit_hashes_per_second: 1_000_000_000_000_000,
            hashes_per_share: 1 << 32,
        })));
        curve.make(Command::CreateIndex(request(Index {
            name: "HASHPRICE".into(),
            kind: IndexKind::Hashprice,
            commodity: CommodityId(1),
            quote: MONEY,
            unit: "sat".into(),
        })));
        curve.make(Command::CreateFirm(request(NewFirm {
            code: "F".into(),
            legal_name: "F".into(),
            lei: String::new(),
        })));
        for (day, mark) in [(40, 1_000), (42, 980), (44, 1_010)] {
            let mut terms = month(day, mark);
            if day == 42 && volatile {
                terms.volatility = Volatility {
                    window_ms: 1_000,
                    move_ppm: 40_000,
                };
            }
            curve.make(Command::CreateInstrument(request(terms)));
        }
        let shapes: [(&str, &[(InstrumentId, i64)]); 3] = [
            ("FEB-JAN", &[(JAN, -1), (FEB, 1)]),
            ("MAR-FEB", &[(FEB, -1), (MAR, 1)]),
            ("Q1", &[(JAN, 1), (FEB, 1), (MAR, 1)]),
        ];
        for (symbol, legs) in shapes {
            let terms = combination(symbol, legs, &curve.exchange);
            curve.make(Command::CreateInstrument(request(terms)));
        }
        curve.make(state(StateScope::All, TradingState::Open));
        for (number, money) in money.iter().enumerate() {
            let id = curve.make(Command::CreateAccount(request(NewAccount {
                firm: FirmId(1),
                label: format!("a{number}"),
                kind: AccountKind::Client,
                maker_fee_offset: if number % 2 == 0 { 0 } else { -90 },
                taker_fee_offset: if number % 3 == 0 { 250 } else { 0 },
            })));
            curve.make(Command::CreditDeposit(request(CreditDeposit {
                account: AccountId(id),
                asset: MONEY,
                amount: *money,
                rail: Rail::Sandbox,
            })));
            for mmp_group in [1, 2] {
                curve.make(Command::SetMmpGroup(request(MmpGroup {
                    account: AccountId(id),
                    mmp_group,
                    product: ProductId(mmp_group.into()),
                    window_ms: 1_000,
                    frozen_ms: 200,
                    quantity_limit: 24 * 20,
                    net_limit: 0,
                    notional_limit: 0,
                    fill_limit: 3,
                    contracts_limit: 0,
                    max_quote_lots: Lots(100),
                })));
            }
            curve.accounts.push(AccountId(id));
        }
        curve
    }

    pub(super) fn make(&mut self, command: Command) -> u32 {
        let events = self.run(command);
        let done = events.iter().find_map(|event| match event {
            Event::Done(done) => u32::try_from(done.object).ok(),
            _ => None,
        });
        done.unwrap_or_else(|| panic!("the set-up is refused: {events:?}"))
    }

    /// Runs a command, after whatever falls due before it.
    pub(super) fn run(&mut self, command: Command) -> Vec<Event> {
        let wait = self.random.between(1, 40 * MILLISECOND);
        let at = self.exchange.at().after(wait);
        while let Some(due) = self.exchange.next_deadline().filter(|due| *due <= at) {
            let now = due.max(self.exchange.at().after(1));
            self.apply(Command::Tick, now);
        }
        let at = at.max(self.exchange.at().after(1));
        self.apply(command, at)
    }

    pub(super) fn apply(&mut self, command: Command, at: Nanos) -> Vec<Event> {
        let marks_move = matches!(command, Command::SubmitFixing(_));
        let before: Vec<i64> = self.available();
        let stamped = Stamped {
            seq: self.exchange.seq() + 1,
            at,
            command,
        };
        let mut events = Vec::new();
        self.exchange.apply(&stamped, &mut events);
        let audited = self.exchange.audit();
        assert!(audited.is_ok(), "after {stamped:?}: {audited:?}");
        if let Err(problem) = check_legs(&self.exchange, &events) {
            panic!("after {stamped:?}: {problem}");
        }
        self.check_trades(&events);
        for (number, (before, after)) in before.iter().zip(self.available()).enumerate() {
            // MONEY-09; averages of partial closings round to half an exposure.
            let fell = *before >= 0 && after < -8 && !marks_move;
            assert!(
                !fell,
                "account {number}: {before} to {after} by {stamped:?}, {events:?}"
            );
        }
        events
    }

    pub(super) fn available(&self) -> Vec<i64> {
        let row = |id: &AccountId| self.exchange.ledger().balance(*id, MONEY).available().0;
        self.accounts.iter().map(row).collect()
    }

    /// All prices of one trade make one sum (COMBO-08), and the tapes say what the fills say (COMBO-11).
    pub(super) fn check_trades(&mut self, events: &[Event]) {
        let mut trades: BTreeMap<u64, Vec<&OrderEvent>> = BTreeMap::new();
        for event in events {
            if let Event::Order(order) = event
                && let Some(fill) = order.fill
            {
                trades.entry(fill.trade.0).or_default().push(order);
            }
        }
        for (trade, fills) in trades {
            let terms = |order: &OrderEvent| {
                let contract = self.exchange.instrument(order.instrument);
                &contract.expect("it is listed").terms
            };
            let price = |order: &OrderEvent| order.fill.map_or(0, |fill| fill.price.0);
            let tape: Vec<(InstrumentId, i64)> = events
                .iter()
                .filter_map(|event| match event {
                    Event::Trade(print) if print.trade.0 == trade => {
                        Some((print.instrument, print.price.0))
                    }
                    _ => None,
                })
                .collect();
            let takers = fills.iter().filter(|order| {
                order
                    .fill
                    .is_some_and(|fill| fill.liquidity == Liquidity::Taker)
            });
            if fills
                .iter()
                .any(|order| order.instrument != fills[0].instrument)
            {
                let bundle = fills.iter().find(|order| !terms(order).legs.is_empty());
                let bundle = bundle.expect("a trade in many contracts has a combination");
                let legs = &terms(bundle).legs;
                assert_eq!(fills.len(), legs.len() + 1, "{fills:?}");
                assert_eq!(takers.count(), 1, "{fills:?}");
                let mut sum = 0;
                let mut printed = Vec::new();
                for leg in legs {
                    let of = |order: &&&OrderEvent| order.instrument == leg.instrument;
                    let here = fills.iter().find(of).expect("every leg has a fill");
                    let side = if leg.ratio > 0 {
                        bundle.side.opposite()
                    } else {
                        bundle.side
                    };
                    assert_eq!(here.side, side, "{fills:?}");
                    sum += leg.ratio * price(here);
                    printed.push((leg.instrument, price(here)));
                }
                assert_eq!(sum, price(bundle), "{fills:?}");
                assert_eq!(tape, printed);
                let kind = match (terms(fills[0]).kind, legs.len()) {
                    (Kind::Forward, 2) => "out of a spread",
                    (Kind::Forward, _) => "out of a strip",
                    (_, 2) => "into a spread",
                    _ => "into a strip",
                };
                *self.counts.entry(kind).or_default() += 1;
            } else {
                assert_eq!(fills.len(), 2, "{fills:?}");
                assert_eq!(tape, [(fills[0].instrument, price(fills[0]))]);
                let kind = match terms(fills[0]).legs.is_empty() {
                    true => "in a month",
                    false => "in a combination",
                };
                *self.counts.entry(kind).or_default() += 1;
            }
        }
    }

    pub(super) fn some<T: Copy>(&mut self, of: &[T]) -> T {
        *self.random.pick(of).expect("there is one")
    }

    /// A price near the mark, so that orders often meet.
    pub(super) fn order(&mut self) -> Place {
        let instrument = InstrumentId(u32::try_from(self.random.between(1, 6)).unwrap_or(1));
        let contract = self.exchange.instrument(instrument).expect("it is listed");
        let (mark, combined) = (contract.mark.0, !contract.terms.legs.is_empty());
        let side = self.some(&[Side::Buy, Side::Sell]);
        let wide = if self.random.percent(10) { 110 } else { 6 };
        let price = mark + self.random.between(-wide, wide);
        self.next_id += 1;
        let lots = self.random.between(1, 9);
        let mut order = OrderTerms {
            client_order_id: self.next_id,
            instrument,
            side,
            pricing: Pricing::Limit(Ticks(price)),
            lots: Lots(lots),
            time_in_force: TimeInForce::Gtc,
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
        };
        match self.random.between(0, 29) {
            0..3 => order.time_in_force = TimeInForce::Ioc,
            3 => order.time_in_force = TimeInForce::Fok,
            4 => (order.time_in_force, order.min_fill) = (TimeInForce::Ioc, Lots(1 + lots / 2)),
            5 => (order.time_in_force, order.pricing) = (TimeInForce::Ioc, Pricing::Market),
            6..9 => order.display = Lots(1 + lots / 3),
            9 => order.post_only = PostOnly::Reject,
            10 => order.post_only = PostOnly::Slide,
            11..13 if !combined => order.reduce_only = true,
            13 if !combined => {
                order.trigger = Some(Trigger {
                    source: TriggerSource::Last,
                    price: Ticks(price),
                });
            }
            14 => order.self_trade = SelfTrade::Decrement,
            15..17 => order.self_trade_group = 7,
            17..19 => order.mmp_group = 1 + u16::from(combined),
            _ => {}
        }
        let accounts = self.accounts.clone();
        Place {
            origin: Origin {
                account: self.some(&accounts),
                ..Origin::default()
            },
            order,
        }
    }

    pub(super) fn place(&mut self, place: Place) -> Vec<Event> {
        let events = self.run(Command::Place(place));
        for event in &events {
            if let Event::Order(order) = event
                && order.kind == OrderEventKind::Accepted
            {
                self.orders.push((order.to.account, order.order_id));
            }
        }
        events
    }

    pub(super) fn step(&mut self) {
        let known = self.orders.clone();
        match self.random.between(0, 99) {
            0..12 if !known.is_empty() => {
                let (account, order) = self.some(&known);
                let origin = Origin {
                    account,
                    ..Origin::default()
                };
                let (target, instrument) = (Target::Order(order), InstrumentId::NONE);
                if self.random.percent(50) {
                    self.run(Command::Cancel(Cancel {
                        origin,
                        target,
                        instrument,
                    }));
                    return;
                }
                let old = self.exchange.orders().get(order).map(|order| order.price);
                let up = self.random.between(-3, 3);
                let lots = self.random.between(1, 12);
                self.run(Command::Replace(Replace {
                    origin,
                    target,
                    instrument,
                    price: old.map(|old| Ticks(old.0 + up)).filter(|_| up > -2),
                    lots: Some(Lots(lots)).filter(|_| up < 3),
                    post_only: None,
                    expire: None,
                    display: None,
                    trigger: None,
                    reject_if_priority_lost: false,
                }));
            }
            12..14 => {
                self.round += 1;
                let kind = self.some(&[FixingKind::Daily, FixingKind::Indicative]);
                let value = self.random.between(970, 1_030);
                self.run(Command::SubmitFixing(SubmitFixing {
                    index: IndexId(1),
                    kind,
                    round: self.round,
                    value: Decimal {
                        mantissa: value,
                        exponent: -8,
                    },
                    day: Nanos(0),
                    key_id: "oracle".into(),
                }));
            }
            14 => {
                let id = InstrumentId(u32::try_from(self.random.between(1, 6)).unwrap_or(1));
                let state_ = self.some(&[
                    TradingState::Halted,
                    TradingState::PostOnly,
                    TradingState::PreOpen,
                    TradingState::CancelOnly,
                ]);
                self.run(state(StateScope::Instrument(id), state_));
            }
            15..18 => {
                self.run(state(StateScope::All, TradingState::Open));
            }
            _ => {
                let place = self.order();
                self.place(place);
            }
        }
    }
}

pub(super) fn state(scope: StateScope, target: TradingState) -> Command {
    Command::SetTradingState(request(SetTradingState {
        scope,
        target,
        reason: Reason::Operator,
        effective: Nanos(0),
        cancel_open_orders: false,
    }))
}
