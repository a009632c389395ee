//! Flows on which one rule more has something to do: what that rule costs is the difference.

use engine::{
    command::{
        Command, FixingKind, MarginMethod, MmpGroup, Pricing, SetTradingState, Side, StateScope,
        SubmitFixing, Trigger, TriggerSource,
    },
    ids::{AssetId, CommodityId, IndexId, InstrumentId, ProductId},
    instrument::{Kind, Leg, Terms, TradingState, Volatility, Window},
    margin::Ranges,
    reason::Reason,
    units::{DAY, Decimal, Lots, Nanos, Ppm, Ticks},
};

use super::{MIDDLE, START, Venue, request};

/// Days of the four contracts a venue of [`Rule`]s has: three months in a row and the quarter they make.
const DAYS: [i64; 4] = [31, 30, 31, 92];
/// Place of the quarter among the contracts.
const QUARTER: usize = 3;
/// Lots that everybody holds in the second month.
const HELD: i64 = 50;

/// What is different from the usual flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nothing: four contracts, one of which trades.
    None,
    /// The contract bounds every account's position.
    PositionLimit,
    /// Trades are held against the prices of the last minute.
    Volatility,
    /// All orders are in a protection group of their account.
    Protection,
    /// A stop waits in the contract, far away.
    Stop,
    /// The contract asks for more beyond three lots.
    Concentration,
    /// The contract's family has a margin method; nobody has opposite months.
    Family,
    /// Everybody holds a position in the next month; no method.
    Opposite,
    /// Everybody holds a position in the next month, and opposite ones are credited.
    Credit,
    /// A calendar spread between the contract and the next month is listed; its book is empty.
    Spread,
}

impl Rule {
    /// All of them, each with the one it is compared with and the words of RULES.md.
    pub const ALL: [(Self, Self, &'static str); 9] = [
        (Self::PositionLimit, Self::None, "position limit (RANK 14)"),
        (
            Self::Volatility,
            Self::None,
            "volatility window (AUCTION-08)",
        ),
        (
            Self::Protection,
            Self::None,
            "protection group of every order (MMP)",
        ),
        (Self::Stop, Self::None, "a stop waits (ORDER-18)"),
        (Self::Concentration, Self::None, "concentration (MARGIN-07)"),
        (
            Self::Family,
            Self::None,
            "margin of the family (MARGIN-01 to 04)",
        ),
        (Self::Opposite, Self::None, "a position in a second month"),
        (
            Self::Credit,
            Self::Opposite,
            "credit for opposite months (MARGIN-05)",
        ),
        (
            Self::Spread,
            Self::None,
            "implied prices looked for (COMBO-08)",
        ),
    ];

    pub(super) fn terms(self, terms: &mut Terms) {
        match self {
            Self::PositionLimit => terms.limits.position_limit = 1_000_000,
            Self::Volatility => {
                terms.volatility = Volatility {
                    window_ms: 60_000,
                    move_ppm: 900_000,
                };
            }
            Self::Concentration => {
                terms.margin.concentration_lots = 3;
                terms.margin.concentration = Ppm(50_000);
            }
            _ => {}
        }
    }

    /// What the orders of a flow are in, if anything.
    pub(super) fn group(self) -> u16 {
        u16::from(self == Self::Protection)
    }

    /// Before the first order of a flow.
    pub(super) fn prepare(self, venue: &mut Venue) {
        match self {
            Self::Protection => venue.protect_everybody(),
            Self::Stop => venue.wait_for_a_stop(),
            Self::Family => venue.set_method(Ppm(0)),
            Self::Opposite => venue.hold_next_month(),
            Self::Credit => {
                venue.hold_next_month();
                venue.set_method(Ppm(700_000));
            }
            Self::Spread => venue.list_spread(),
            Self::None | Self::PositionLimit | Self::Volatility | Self::Concentration => {}
        }
    }
}

/// The terms of the months after the first one, and of their quarter.
pub(super) fn later(first: &Terms, place: usize, made: &[InstrumentId]) -> Terms {
    let mut terms = first.clone();
    let start = match place {
        QUARTER => first.window.start.0,
        _ => first.window.start.0 + DAYS[..place].iter().sum::<i64>() * DAY,
    };
    terms.symbol = format!("{}-{place}", first.symbol);
    terms.window = Window {
        start: Nanos(start),
        end: Nanos(start + DAYS[place] * DAY),
    };
    if place == QUARTER {
        terms.cascade = made.to_vec();
    } else {
        terms.last_trade = Nanos(start);
    }
    terms
}

impl Venue {
    fn protect_everybody(&mut self) {
        let accounts: Vec<_> = self.traders.iter().map(|trader| trader.account).collect();
        for account in accounts {
            self.create(Command::SetMmpGroup(request(MmpGroup {
                account,
                mmp_group: 1,
                product: ProductId(1),
                window_ms: 1_000,
                frozen_ms: 0,
                quantity_limit: 1 << 50,
                net_limit: 1 << 50,
                notional_limit: 1 << 55,
                fill_limit: 1 << 15,
                contracts_limit: 0,
                max_quote_lots: Lots(1_000_000),
            })));
        }
    }

    fn wait_for_a_stop(&mut self) {
        let mut place = self.order(0, Side::Buy, MIDDLE + 2_000, 1);
        place.order.trigger = Some(Trigger {
            source: TriggerSource::Mark,
            price: Ticks(MIDDLE * 2),
        });
        place.order.pricing = Pricing::Limit(Ticks(MIDDLE + 2_000));
        self.run(Command::Place(place));
        let contract = self.exchange.orders().live();
        assert_eq!(contract, 1, "it waits: {:?}", self.events);
    }

    fn set_method(&mut self, credit: Ppm) {
        let ranges = Ranges {
            difficulty: Ppm(120_000),
            fee_share: Ppm(50_000),
            fees: Ppm(400_000),
            ..Ranges::default()
        };
        self.set_ranges(ranges, credit);
    }

    /// Sets the family's margin; what its scenarios ask for decides from some 20 % of difficulty on.
    pub fn set_ranges(&mut self, ranges: Ranges, credit: Ppm) {
        self.create(Command::SetMarginMethod(request(MarginMethod {
            commodity: CommodityId(1),
            asset: AssetId(1),
            ranges,
            tenors: Vec::new(),
            delivery: Ppm(0),
            adjacent_credit: credit,
            other_credit: credit,
            calendar: None,
        })));
    }

    /// Neighbours trade with each other, half of them long, half short.
    fn hold_next_month(&mut self) {
        let next = self.contracts[1];
        self.hold(next);
    }

    fn hold(&mut self, contract: InstrumentId) {
        let usual = std::mem::replace(&mut self.contract, contract);
        for trader in (0..self.traders.len()).step_by(2) {
            for (trader, side) in [(trader, Side::Sell), (trader + 1, Side::Buy)] {
                let order = self.order(trader, side, MIDDLE, HELD);
                self.run(Command::Place(order));
            }
        }
        assert_eq!(self.exchange.orders().live(), 0, "all have traded");
        self.contract = usual;
    }

    /// Everybody holds a position in the quarter.
    pub fn hold_quarter(&mut self) {
        let quarter = self.contracts[QUARTER];
        self.hold(quarter);
    }

    fn list_spread(&mut self) {
        let (front, back) = (self.contracts[0], self.contracts[1]);
        let contract = self.exchange.instrument(front).expect("listed");
        let mut terms = contract.terms.clone();
        terms.symbol = "BTC-SPREAD".into();
        terms.product = "BTC-SPREAD".into();
        terms.kind = Kind::CalendarSpread;
        terms.reference = Ticks(0);
        terms.window.end = Nanos(terms.window.end.0 + DAYS[1] * DAY);
        terms.legs = [(front, -1), (back, 1)]
            .map(|(instrument, ratio)| Leg { instrument, ratio })
            .to_vec();
        terms.maker_fee = Ppm(0);
        let spread = self.create(Command::CreateInstrument(request(terms)));
        self.create(Command::SetTradingState(request(SetTradingState {
            scope: StateScope::Instrument(InstrumentId(spread)),
            target: TradingState::Open,
            reason: Reason::Operator,
            effective: Nanos(0),
            cancel_open_orders: false,
        })));
    }

    /// An index value: a new mark for every contract.
    #[must_use]
    pub fn fixing(round: u64, sat: i64, day: Option<Nanos>) -> Command {
        Command::SubmitFixing(SubmitFixing {
            index: IndexId(1),
            kind: match day {
                Some(_) => FixingKind::Daily,
                None => FixingKind::Indicative,
            },
            round,
            value: Decimal {
                mantissa: sat,
                exponent: -8,
            },
            day: day.unwrap_or(Nanos(0)),
            key_id: "index".into(),
        })
    }

    /// The day on which the first month's window begins.
    #[must_use]
    pub fn first_day() -> Nanos {
        Nanos(START + 60 * DAY)
    }
}
