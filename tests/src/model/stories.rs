//! Tiny stories computed by hand, so that the slow exchange is not wrong on its own. One tick of one lot
//! is one satoshi of money; the mark is 45,000 and the band half of it.

use engine::{
    command::*,
    event::{Liquidity, OrderEventKind, OrderStatus},
    ids::{AccountId, AssetId, CommodityId, IndexId, InstrumentId, ProductId, SessionId},
    instrument::{
        Algorithm, Asset, Commodity, EntryLimits, Kind, MarginTerms, Terms, TradingState,
        Volatility, Window,
    },
    reason::Reason,
    units::{DAY, Decimal, Lots, MILLISECOND, Nanos, Ppm, SECOND, Ticks},
};

use super::{Model, Names};
use crate::rows::{Observed, Told};

mod auctions;
mod makers;
mod orders;

const ASSET: AssetId = AssetId(1);
const ONE: InstrumentId = InstrumentId(1);
const TWO: InstrumentId = InstrumentId(2);
const START: i64 = 20_000 * DAY;
/// Accounts 4 to 9 of a market.
const ALICE: AccountId = AccountId(4);
const BOB: AccountId = AccountId(5);
const CAROL: AccountId = AccountId(6);

/// A market and its clock.
struct Story {
    model: Model,
    now: i64,
    ids: u64,
}

impl Story {
    /// Two contracts of one product, the second ending first; six rich accounts.
    fn new() -> Self {
        Self::with(Volatility::default())
    }

    fn with(volatility: Volatility) -> Self {
        let mut story = Self {
            model: Model::new(),
            now: START,
            ids: 0,
        };
        let asset = Asset {
            symbol: "BTC".into(),
            decimals: 8,
            min_withdrawal: 1,
        };
        story.run_created(Command::CreateAsset(story.request(asset)), 1);
        let commodity = Commodity {
            symbol: "BTC".into(),
            algorithm: Algorithm::Sha256d,
            coins: vec![],
            rate_unit: "PH/s".into(),
            rate_unit_hashes_per_second: 1_000,
            hashes_per_share: 1,
        };
        story.run_created(Command::CreateCommodity(story.request(commodity)), 1);
        for number in [1, 2] {
            let terms = terms(number, volatility);
            story.run_created(
                Command::CreateInstrument(story.request(terms)),
                number.into(),
            );
        }
        for number in 4..=9 {
            let account = NewAccount {
                firm: engine::ids::FirmId(1),
                label: String::new(),
                kind: AccountKind::Client,
                maker_fee_offset: 0,
                taker_fee_offset: 0,
            };
            story.run_created(Command::CreateAccount(story.request(account)), number);
            story.run(Command::CreditDeposit(story.request(CreditDeposit {
                account: AccountId(u32::try_from(number).unwrap_or(0)),
                asset: ASSET,
                amount: 1 << 40,
                rail: Rail::Sandbox,
            })));
        }
        for contract in [ONE, TWO] {
            story.state(contract, TradingState::Open, 0);
        }
        story
    }

    fn request<T>(&self, body: T) -> Request<T> {
        Request {
            id: 0,
            key_id: String::new(),
            note: String::new(),
            body,
        }
    }

    fn run(&mut self, command: Command) -> Observed {
        self.run_created(command, 0)
    }

    fn run_created(&mut self, command: Command, created: u64) -> Observed {
        self.now += 1;
        let stamped = Stamped {
            seq: 0,
            at: Nanos(self.now),
            command,
        };
        let names = Names {
            created,
            ..Names::default()
        };
        let seen = self.model.apply(&stamped, &names);
        assert_eq!(self.model.check_invariants(), Ok(()));
        seen
    }

    /// Ticks until nothing is due any more.
    fn wait(&mut self, nanos: i64) -> Observed {
        let until = self.now + nanos;
        let mut all = Observed::default();
        while let Some(due) = self.model.next_deadline().filter(|due| due.0 <= until) {
            self.now = self.now.max(due.0 - 1);
            let seen = self.run(Command::Tick);
            all.private.extend(seen.private);
            all.trades.extend(seen.trades);
            all.told.extend(seen.told);
        }
        self.now = until;
        all
    }

    fn state(&mut self, contract: InstrumentId, target: TradingState, wait: i64) -> Observed {
        let effective = Nanos(if wait == 0 { 0 } else { self.now + 1 + wait });
        self.run(Command::SetTradingState(self.request(SetTradingState {
            scope: StateScope::Instrument(contract),
            target,
            reason: Reason::Operator,
            effective,
            cancel_open_orders: false,
        })))
    }

    /// Places; the order's id is its place in the story, from 1.
    fn place(&mut self, account: AccountId, mut order: OrderTerms) -> Observed {
        self.ids += 1;
        order.client_order_id = self.ids;
        let origin = origin(account);
        self.run(Command::Place(Place { origin, order }))
    }

    /// Logs on; the origin of what the session sends.
    fn session(&mut self, account: AccountId, number: u64, action: DisconnectAction) -> Origin {
        let login = Login {
            account,
            name: format!("{number}"),
            heartbeat_ms: 1_000,
            action,
            grace_ms: 0,
            key_id: String::new(),
        };
        self.run_created(Command::Login(login), number);
        Origin {
            session: SessionId(u32::try_from(number).unwrap_or(0)),
            login: 1,
            ..origin(account)
        }
    }
}

fn origin(account: AccountId) -> Origin {
    Origin {
        account,
        ..Origin::default()
    }
}

fn terms(number: u32, volatility: Volatility) -> Terms {
    Terms {
        symbol: format!("BTC-FWD-{number}"),
        kind: Kind::Forward,
        product: "BTC-FWD".into(),
        commodity: CommodityId(1),
        price_asset: ASSET,
        tick_size: Decimal {
            mantissa: 1,
            exponent: -8,
        },
        price_unit: String::new(),
        lot_hashes_per_second: 1_000,
        window: Window {
            start: Nanos(START + 30 * DAY),
            end: Nanos(START + 31 * DAY),
        },
        index: IndexId(1),
        last_trade: Nanos(START + i64::from(30 - number) * DAY),
        margin: MarginTerms {
            initial_buy: Ppm(600_000),
            initial_sell: Ppm(600_000),
            maintenance_of_initial: Ppm(750_000),
            delivery_bond: Ppm(0),
            concentration_lots: 0,
            concentration: Ppm(0),
        },
        limits: EntryLimits {
            min_lots: 1,
            max_lots: 10_000,
            max_notional: 1 << 40,
            band_basis_points: 5_000,
            max_open_orders: 100,
            position_limit: 0,
            min_display: 2,
        },
        maker_fee: Ppm(-100),
        taker_fee: Ppm(300),
        reference: Ticks(45_000),
        volatility,
        legs: Vec::new(),
        cascade: Vec::new(),
    }
}

fn order(side: Side, lots: i64, price: i64) -> OrderTerms {
    OrderTerms {
        client_order_id: 0,
        instrument: ONE,
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
    }
}

fn buy(lots: i64, price: i64) -> OrderTerms {
    order(Side::Buy, lots, price)
}

fn sell(lots: i64, price: i64) -> OrderTerms {
    order(Side::Sell, lots, price)
}

/// Price and lots of each trade.
fn trades(seen: &Observed) -> Vec<(i64, i64)> {
    seen.trades.iter().map(|trade| (trade.1, trade.2)).collect()
}

/// Kind, order and reason of each order event.
fn told(seen: &Observed) -> Vec<(OrderEventKind, u64, Option<Reason>)> {
    let rows = seen.private.iter();
    rows.map(|row| (row.kind, row.client_order_id, row.reason))
        .collect()
}

/// Why the only order event refuses.
fn refusal(seen: &Observed) -> Option<Reason> {
    let only = seen.private.first().filter(|_| seen.private.len() == 1)?;
    only.reason
        .filter(|_| only.kind == OrderEventKind::Rejected)
}
