//! A forward market without a wire: one index, forwards of any window, accounts with money; time goes where
//! the test says. For tests that follow contracts from listing to settlement.

use engine::{
    command::{
        AccountKind, Command, CreditDeposit, FixingKind, MassCancel, NewAccount, NewFirm,
        OrderTerms, Origin, Place, PostOnly, Pricing, Rail, Selection, SelfTrade, SetTradingState,
        Side, Stamped, StateScope, SubmitFixing, Tag, TimeInForce,
    },
    event::Event,
    exchange::Exchange,
    ids::{AccountId, AssetId, CommodityId, FirmId, IndexId, InstrumentId},
    instrument::{EntryLimits, Kind, MarginTerms, Terms, TradingState, Volatility, Window},
    reason::Reason,
    units::{Decimal, Lots, Minor, Nanos, Ppm, Ticks},
};

use crate::market::{bitcoin, request};

/// The money of every contract: satoshi.
pub const MONEY: AssetId = AssetId(1);
/// The one index: thousandths of a satoshi per PH/s and day.
pub const INDEX: IndexId = IndexId(1);
/// Exponent of the index's values.
pub const MILLISAT: i32 = -11;

/// Where commands go.
pub trait House {
    /// The state after the newest command.
    fn exchange(&self) -> &Exchange;
    /// Applies a command at a moment, timers that are due before it first.
    fn send(&mut self, at: Nanos, command: Command);
    /// Lets everything happen that is due up to a moment.
    fn wait(&mut self, at: Nanos);
}

/// The exchange alone, with what it was told and what it said.
#[derive(Debug)]
pub struct Direct {
    /// The exchange.
    pub exchange: Exchange,
    /// Every command.
    pub commands: Vec<Stamped>,
    /// Events of the newest command, and of the timers before it.
    pub events: Vec<Event>,
}

impl Direct {
    /// A new exchange.
    #[must_use]
    pub fn new() -> Self {
        Self {
            exchange: Exchange::new(),
            commands: Vec::new(),
            events: Vec::new(),
        }
    }

    fn apply(&mut self, at: Nanos, command: Command) {
        let stamped = Stamped {
            seq: self.exchange.seq() + 1,
            at: at.max(self.exchange.at().after(1)),
            command,
        };
        self.exchange.apply(&stamped, &mut self.events);
        self.commands.push(stamped);
    }
}

impl Default for Direct {
    fn default() -> Self {
        Self::new()
    }
}

impl House for Direct {
    fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    fn send(&mut self, at: Nanos, command: Command) {
        self.wait(at);
        self.apply(at, command);
    }

    fn wait(&mut self, at: Nanos) {
        self.events.clear();
        while self.exchange.next_deadline().is_some_and(|due| due <= at) {
            self.apply(at, Command::Tick);
        }
    }
}

/// What a forward's terms are that differ between contracts.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Unique.
    pub symbol: String,
    /// When the hashes are owed.
    pub window: Window,
    /// What it turns into.
    pub cascade: Vec<InstrumentId>,
    /// Of the value of a taker's fill.
    pub taker_fee: Ppm,
}

/// A market.
#[derive(Debug)]
pub struct Ground<H> {
    /// Where its commands go.
    pub house: H,
    /// Present moment.
    pub now: Nanos,
    orders: u64,
}

impl<H: House> Ground<H> {
    /// Opens it at a moment.
    pub fn open(house: H, now: Nanos) -> Self {
        let mut ground = Self {
            house,
            now,
            orders: 0,
        };
        for command in bitcoin("BTC-HASHPRICE-SAT", "sat per PH/s per day") {
            ground.send(command);
        }
        ground
    }

    /// The state.
    pub fn exchange(&self) -> &Exchange {
        self.house.exchange()
    }

    /// Sends a command a little later than the one before.
    pub fn send(&mut self, command: Command) {
        self.now = self.now.after(1_000);
        self.house.send(self.now, command);
    }

    /// Lets time pass up to a moment.
    pub fn wait_until(&mut self, moment: Nanos) {
        self.now = self.now.max(moment);
        self.house.wait(self.now);
    }

    /// An account of a firm of its own, with money.
    ///
    /// # Panics
    /// If it was not made.
    pub fn account(&mut self, name: &str, kind: AccountKind, money: i64) -> AccountId {
        self.send(Command::CreateFirm(request(NewFirm {
            code: name.into(),
            legal_name: name.into(),
            lei: String::new(),
        })));
        let firm = FirmId::nth(self.exchange().firms().len() - 1);
        self.send(Command::CreateAccount(request(NewAccount {
            firm,
            label: name.into(),
            kind,
            maker_fee_offset: 0,
            taker_fee_offset: 0,
        })));
        let row = self.exchange().accounts().last();
        let account = row.filter(|row| row.label == name).expect("an account").id;
        if money > 0 {
            self.deposit(account, money);
        }
        account
    }

    /// Money comes in.
    pub fn deposit(&mut self, account: AccountId, amount: i64) {
        self.send(Command::CreditDeposit(request(CreditDeposit {
            account,
            asset: MONEY,
            amount,
            rail: Rail::Sandbox,
        })));
    }

    /// Lists a forward and opens it.
    ///
    /// # Panics
    /// If it is refused.
    pub fn list(&mut self, listing: Listing, reference: i64) -> InstrumentId {
        let symbol = listing.symbol.clone();
        self.send(Command::CreateInstrument(request(terms(
            listing, reference,
        ))));
        let row = self.exchange().instruments().last();
        let listed = row.filter(|row| row.terms.symbol == symbol);
        let id = listed.unwrap_or_else(|| panic!("{symbol} is refused")).id;
        self.send(Command::SetTradingState(request(SetTradingState {
            scope: StateScope::Instrument(id),
            target: TradingState::Open,
            reason: Reason::Schedule,
            effective: Nanos(0),
            cancel_open_orders: false,
        })));
        id
    }

    /// An order.
    pub fn order(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        (side, price, lots): (Side, i64, i64),
        time_in_force: TimeInForce,
    ) {
        self.orders += 1;
        let order = OrderTerms {
            client_order_id: self.orders,
            instrument,
            side,
            pricing: Pricing::Limit(Ticks(price)),
            lots: Lots(lots),
            time_in_force,
            post_only: PostOnly::No,
            reduce_only: false,
            self_trade: SelfTrade::default(),
            self_trade_group: 0,
            cancel_group: 0,
            display: Lots(0),
            min_fill: Lots(0),
            trigger: None,
            mmp_group: 0,
            keep_on_disconnect: true,
            tag: Tag::default(),
        };
        let origin = origin(account);
        self.send(Command::Place(Place { origin, order }));
    }

    /// A resting order of one, met by another at once; answers with whether all of it traded.
    pub fn trade(
        &mut self,
        (maker, taker): (AccountId, AccountId),
        instrument: InstrumentId,
        (taker_side, price, lots): (Side, i64, i64),
    ) -> bool {
        let before = self.net(taker, instrument);
        self.order(
            maker,
            instrument,
            (taker_side.opposite(), price, lots),
            TimeInForce::Gtc,
        );
        let at = (taker_side, price, lots);
        self.order(taker, instrument, at, TimeInForce::Ioc);
        let traded = (self.net(taker, instrument) - before).abs() == lots;
        if !traded {
            self.send(Command::MassCancel(MassCancel {
                origin: origin(maker),
                selection: Selection::default(),
                block_new_orders: false,
            }));
        }
        traded
    }

    /// Signed lots.
    pub fn net(&self, account: AccountId, instrument: InstrumentId) -> i64 {
        self.exchange().positions().view(account, instrument).net.0
    }

    /// Cash.
    pub fn cash(&self, account: AccountId) -> Minor {
        self.exchange().ledger().balance(account, MONEY).cash
    }

    /// An index value; `day` is the midnight that began it, for a daily one of a UTC day.
    pub fn fix(&mut self, kind: FixingKind, round: u64, millisat: i64, day: Nanos) {
        self.send(Command::SubmitFixing(SubmitFixing {
            index: INDEX,
            kind,
            round,
            value: Decimal {
                mantissa: millisat,
                exponent: MILLISAT,
            },
            day,
            key_id: "oracle".into(),
        }));
    }
}

/// Somebody without a session.
#[must_use]
pub fn origin(account: AccountId) -> Origin {
    Origin {
        account,
        ..Origin::default()
    }
}

fn terms(listing: Listing, reference: i64) -> Terms {
    Terms {
        product: listing.symbol.clone(),
        symbol: listing.symbol,
        kind: Kind::Forward,
        commodity: CommodityId(1),
        price_asset: MONEY,
        tick_size: Decimal {
            mantissa: 1,
            exponent: -8,
        },
        price_unit: "sat per PH/s per day".into(),
        lot_hashes_per_second: 1_000_000_000_000_000,
        window: listing.window,
        index: INDEX,
        last_trade: listing.window.start,
        margin: MarginTerms {
            initial_buy: Ppm(180_000),
            initial_sell: Ppm(180_000),
            maintenance_of_initial: Ppm(750_000),
            delivery_bond: Ppm(0),
            concentration_lots: 0,
            concentration: Ppm(0),
        },
        limits: EntryLimits {
            min_lots: 1,
            max_lots: 1_000_000,
            max_notional: 1 << 58,
            band_basis_points: 1_000,
            max_open_orders: 1_000_000,
            position_limit: 0,
            min_display: 1,
        },
        maker_fee: Ppm(0),
        taker_fee: listing.taker_fee,
        reference: Ticks(reference),
        volatility: Volatility::default(),
        legs: Vec::new(),
        cascade: listing.cascade,
    }
}
