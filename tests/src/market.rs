//! A small market without a wire: one spot contract, a price band as wide as the rules allow, and
//! accounts with money. For tests that drive the exchange itself with more orders than a story holds.

use engine::{
    command::{
        AccountKind, Cancel, Command, CreditDeposit, NewAccount, NewFirm, OrderTerms, Origin,
        Place, PostOnly, Pricing, Rail, Request, SelfTrade, SetTradingState, Side, Stamped,
        StateScope, Tag, Target, TimeInForce,
    },
    event::{Event, OrderEvent, OrderEventKind},
    exchange::Exchange,
    ids::{AccountId, AssetId, CommodityId, FirmId, IndexId, InstrumentId, OrderId},
    instrument::{
        Algorithm, Asset, Commodity, EntryLimits, Index, IndexKind, Kind, MarginTerms, Terms,
        TradingState, Volatility, Window,
    },
    reason::Reason,
    units::{DAY, Decimal, Lots, Nanos, Ppm, Ticks},
};

/// The market's contract.
pub const CONTRACT: InstrumentId = InstrumentId(1);
/// The middle of its band, which reaches from 1 to almost twice this.
pub const MARK: i64 = 10_000_000;
/// What every account has to begin with.
const MONEY: i64 = 1 << 55;

/// An exchange with one open contract, and every command it was given.
#[derive(Debug)]
pub struct Market {
    /// The exchange.
    pub exchange: Exchange,
    /// What it was told to do.
    pub commands: Vec<Stamped>,
    /// Accounts with money.
    pub accounts: Vec<AccountId>,
    next_id: u64,
}

/// An operator's request without protection against repeats.
pub fn request<T>(body: T) -> Request<T> {
    Request {
        id: 0,
        key_id: "operator".into(),
        note: String::new(),
        body,
    }
}

/// What any market of bitcoin hashrate begins with: the money, the commodity, its index in a unit.
#[must_use]
pub fn bitcoin(index: &str, unit: &str) -> [Command; 3] {
    [
        Command::CreateAsset(request(Asset {
            symbol: "BTC".into(),
            decimals: 8,
            min_withdrawal: 1,
        })),
        Command::CreateCommodity(request(Commodity {
            symbol: "BTC".into(),
            algorithm: Algorithm::Sha256d,
            coins: vec!["BTC".into()],
            rate_unit: "PH/s".into(),
            rate_unit_hashes_per_second: 1_000_000_000_000_000,
            hashes_per_share: 1 << 32,
        })),
        Command::CreateIndex(request(Index {
            name: index.into(),
            kind: IndexKind::Hashprice,
            commodity: CommodityId(1),
            quote: AssetId(1),
            unit: unit.into(),
        })),
    ]
}

fn terms() -> Terms {
    Terms {
        symbol: "DAY".into(),
        kind: Kind::SpotBlock,
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
            max_lots: 1_000_000,
            max_notional: 1 << 50,
            band_basis_points: 9_999,
            max_open_orders: 1_000_000,
            position_limit: 0,
            min_display: 1,
        },
        maker_fee: Ppm(0),
        taker_fee: Ppm(0),
        reference: Ticks(MARK),
        volatility: Volatility::default(),
        legs: Vec::new(),
        cascade: Vec::new(),
    }
}

impl Market {
    /// Opens it for so many accounts.
    ///
    /// # Panics
    /// If the exchange refuses any of the set-up.
    #[must_use]
    pub fn open(accounts: usize) -> Self {
        let mut market = Self {
            exchange: Exchange::new(),
            commands: Vec::new(),
            accounts: Vec::new(),
            next_id: 0,
        };
        for command in bitcoin("HASHPRICE", "sat") {
            market.make(command);
        }
        market.make(Command::CreateFirm(request(NewFirm {
            code: "F".into(),
            legal_name: "F".into(),
            lei: String::new(),
        })));
        market.make(Command::CreateInstrument(request(terms())));
        market.make(Command::SetTradingState(request(SetTradingState {
            scope: StateScope::All,
            target: TradingState::Open,
            reason: Reason::Operator,
            effective: Nanos(0),
            cancel_open_orders: false,
        })));
        for number in 0..accounts {
            let account = AccountId(market.make(Command::CreateAccount(request(NewAccount {
                firm: FirmId(1),
                label: format!("a{number}"),
                kind: AccountKind::Client,
                maker_fee_offset: 0,
                taker_fee_offset: 0,
            }))));
            market.make(Command::CreditDeposit(request(CreditDeposit {
                account,
                asset: AssetId(1),
                amount: MONEY,
                rail: Rail::Sandbox,
            })));
            market.accounts.push(account);
        }
        market
    }

    /// Runs a command that must work; the number of what it made.
    fn make(&mut self, command: Command) -> u32 {
        let events = self.run(command);
        let done = events.iter().find_map(|event| match event {
            Event::Done(done) => u32::try_from(done.object).ok(),
            _ => None,
        });
        done.unwrap_or_else(|| panic!("the set-up is refused: {events:?}"))
    }

    /// Gives a command its number and time, and runs it.
    pub fn run(&mut self, command: Command) -> Vec<Event> {
        let stamped = Stamped {
            seq: self.exchange.seq() + 1,
            at: self.exchange.at().after(1_000),
            command,
        };
        let mut events = Vec::new();
        self.exchange.apply(&stamped, &mut events);
        self.commands.push(stamped);
        events
    }

    /// A good-till-cancelled limit order of the account with this place in [`Self::accounts`].
    pub fn order(&mut self, account: usize, side: Side, price: i64, lots: i64) -> Place {
        self.next_id += 1;
        Place {
            origin: self.origin(account),
            order: OrderTerms {
                client_order_id: self.next_id,
                instrument: CONTRACT,
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
            },
        }
    }

    fn origin(&self, account: usize) -> Origin {
        Origin {
            account: self.accounts[account],
            ..Origin::default()
        }
    }

    /// Enters such an order; its number and all events.
    ///
    /// # Panics
    /// If it is refused.
    pub fn enter(
        &mut self,
        account: usize,
        side: Side,
        price: i64,
        lots: i64,
    ) -> (OrderId, Vec<Event>) {
        let place = self.order(account, side, price, lots);
        let events = self.run(Command::Place(place));
        let accepted = orders(&events).find(|order| order.kind == OrderEventKind::Accepted);
        let id = accepted.map(|order| order.order_id);
        (id.unwrap_or_else(|| panic!("refused: {events:?}")), events)
    }

    /// Cancels an order by the exchange's number; how that went.
    pub fn cancel(&mut self, account: usize, order: OrderId) -> Option<Reason> {
        let cancel = Cancel {
            origin: self.origin(account),
            target: Target::Order(order),
            instrument: CONTRACT,
        };
        let events = self.run(Command::Cancel(cancel));
        orders(&events).find_map(|order| order.problem.map(|problem| problem.reason))
    }

    /// Best price of a side.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<i64> {
        let book = self.exchange.book(CONTRACT)?;
        book.best(side).map(|price| price.0)
    }
}

/// Events about orders.
pub fn orders(events: &[Event]) -> impl Iterator<Item = &OrderEvent> {
    events.iter().filter_map(|event| match event {
        Event::Order(order) => Some(order),
        _ => None,
    })
}
