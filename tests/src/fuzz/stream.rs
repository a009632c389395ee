//! Bytes as commands for a small exchange, whose books are recounted after each one.
//!
//! A byte says what is done, the following ones by whom and with what; where bytes are missing they are
//! zeros. Accounts, contracts, orders and prices are drawn from few, so that commands meet each other, and
//! now and then from the ends of their ranges. The exchange begins as the generator sets it up.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    mem::discriminant,
};

use engine::{
    command::{
        AccountStatus, Batch, BatchItem, BatchPolicy, Cancel, Command, CreditDeposit, Decision,
        DisconnectAction, FixingKind, Login, Logout, Lost, MassCancel, MassQuote, MmpGroup,
        OrderTerms, Origin, Peg, PegTo, Place, PostOnly, Pricing, QuoteEntry, QuoteSide, Rail,
        Replace, RequestWithdrawal, ResetMmp, ResolveWithdrawal, Restart, Selection, SelfTrade,
        SetAccountStatus, SetCancelTimer, SetKillSwitch, SetOrderEntry, SetTradingState, Side,
        Stamped, StateScope, SubmitFixing, SwitchScope, Tag, Target as Named, TimeInForce, Trigger,
        TriggerSource,
    },
    event::{Event, OrderEventKind},
    exchange::Exchange,
    ids::{AccountId, AssetId, IndexId, InstrumentId, OrderId, ProductId, SessionId},
    instrument::TradingState,
    reason::Reason,
    units::{DAY, Decimal, Lots, MILLISECOND, Nanos, SECOND, Ticks},
};

use super::{Target, Traits};
use crate::{generator::Features, market::request, streams};

/// Commands of the generator's set-up.
const SET_UP: usize = 61;
/// Most commands of one input.
const COMMANDS: usize = 96;
/// Accounts that the bytes name; each has a session of its own.
const ACCOUNTS: u32 = 4;
/// The venue's own accounts come first.
const FIRST: u32 = 4;

/// Command streams.
#[derive(Debug)]
pub struct Stream {
    start: Exchange,
    sessions: Vec<SessionId>,
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

/// What is left of an input.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn one<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        of[usize::from(self.byte()) % N]
    }

    /// `None` in most cases.
    fn seldom<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.byte() % 4 == 3).then(|| value(self))
    }

    /// Small, and sometimes as large as can be.
    fn lots(&mut self) -> Lots {
        Lots(match self.byte() {
            byte @ 0..=239 => i64::from(byte % 40),
            240..=243 => 5_000,
            244..=247 => -1,
            248..=251 => i64::MIN,
            _ => i64::MAX,
        })
    }

    /// Around the marks of the set-up, which are 1,000 and some.
    fn price(&mut self) -> Ticks {
        Ticks(match self.byte() {
            byte @ 0..=239 => 985 + i64::from(byte % 32),
            byte @ 240..=245 => [1, 900, 1_099, 1_100, 10, 0][usize::from(byte - 240)],
            246..=248 => 1_000_000_000_000,
            249..=251 => i64::MIN,
            _ => i64::MAX,
        })
    }

    fn contract(&mut self) -> InstrumentId {
        InstrumentId(match self.byte() {
            byte @ 0..=249 => 1 + u32::from(byte % 5),
            250..=252 => 0,
            _ => u32::MAX,
        })
    }

    fn account(&mut self) -> AccountId {
        AccountId(match self.byte() {
            byte @ 0..=251 => FIRST + u32::from(byte) % ACCOUNTS,
            252 => 0,
            253 => 1,
            _ => u32::MAX,
        })
    }

    fn side(&mut self) -> Side {
        self.one([Side::Buy, Side::Sell])
    }

    fn span(&mut self) -> i64 {
        self.one([
            1,
            MILLISECOND,
            50 * MILLISECOND,
            SECOND,
            15 * SECOND,
            130 * SECOND,
            DAY / 24,
            DAY,
        ])
    }
}

/// An exchange in the middle of an input.
struct Run<'a> {
    exchange: Exchange,
    sessions: &'a [SessionId],
    now: i64,
    client_ids: u64,
    /// Orders accepted so far, newest last.
    orders: Vec<OrderId>,
    rounds: u64,
    events: Vec<Event>,
}

impl Stream {
    /// Sets the market up.
    ///
    /// # Panics
    /// If the set-up is refused.
    #[must_use]
    pub fn new() -> Self {
        let mut start = Exchange::new();
        // The books are recounted here, after every command.
        start.skip_audits();
        let mut events = Vec::new();
        for stamped in streams::record(1, Features::ALL, SET_UP) {
            start.apply(&stamped, &mut events);
        }
        let mut sessions = Vec::new();
        for account in FIRST..FIRST + ACCOUNTS {
            let login = login(AccountId(account), DisconnectAction::CancelSession, 0);
            events.clear();
            start.apply(&streams::stamp(&start, login), &mut events);
            sessions.extend(events.iter().find_map(|event| match event {
                Event::SessionOpened(opened) => Some(opened.session),
                _ => None,
            }));
        }
        assert_eq!(sessions.len(), ACCOUNTS as usize, "{events:?}");
        Self { start, sessions }
    }

    /// The commands that an input stands for, with what each did.
    ///
    /// # Errors
    /// The first recount that does not come out.
    pub fn tell(
        &self,
        bytes: &[u8],
        mut hear: impl FnMut(&Stamped, &[Event]),
    ) -> Result<Exchange, String> {
        let mut run = Run {
            exchange: self.start.clone(),
            sessions: &self.sessions,
            now: self.start.at().0,
            client_ids: 0,
            orders: Vec::new(),
            rounds: 0,
            events: Vec::new(),
        };
        let mut bytes = Bytes(bytes);
        for _ in 0..COMMANDS {
            if bytes.0.is_empty() {
                break;
            }
            let command = run.command(&mut bytes);
            // Whatever is due comes before it, as the sequencer sees to.
            let mut ticks = 0;
            while run
                .exchange
                .next_deadline()
                .is_some_and(|due| due.0 <= run.now)
            {
                run.apply(Command::Tick, &mut hear)?;
                ticks += 1;
                if ticks > 10_000 {
                    return Err("timers are due for ever".into());
                }
            }
            run.apply(command, &mut hear)?;
        }
        Ok(run.exchange)
    }
}

fn login(account: AccountId, action: DisconnectAction, grace_ms: i32) -> Command {
    Command::Login(Login {
        account,
        name: "desk".into(),
        heartbeat_ms: 1_000,
        action,
        grace_ms,
        key_id: String::new(),
    })
}

impl Run<'_> {
    fn apply(
        &mut self,
        command: Command,
        hear: &mut impl FnMut(&Stamped, &[Event]),
    ) -> Result<(), String> {
        self.now += 1;
        let stamped = Stamped {
            seq: self.exchange.seq() + 1,
            at: Nanos(self.now),
            command,
        };
        self.events.clear();
        self.exchange.apply(&stamped, &mut self.events);
        for event in &self.events {
            if let Event::Order(order) = event
                && order.kind == OrderEventKind::Accepted
                && !order.repeated
            {
                self.orders.push(order.order_id);
            }
        }
        hear(&stamped, &self.events);
        self.exchange
            .audit()
            .map_err(|broken| format!("{broken}\nafter {stamped:?}"))
    }

    /// The account's own session, or none.
    fn origin(&self, bytes: &mut Bytes<'_>) -> Origin {
        let account = bytes.account();
        let named = self.sessions.get(account.0.wrapping_sub(FIRST) as usize);
        let session = named.copied().filter(|_| bytes.byte() % 8 != 7);
        let known = session.and_then(|session| self.exchange.session(session));
        Origin {
            account,
            session: session.unwrap_or_default(),
            login: known.map_or(0, |session| session.login),
            client_seq: known.map_or(0, |session| session.last_client_seq + 1),
            deadline: Nanos(if bytes.byte() == 255 { 1 } else { 0 }),
        }
    }

    fn order_id(&self, bytes: &mut Bytes<'_>) -> OrderId {
        match bytes.byte() {
            255 => OrderId(u64::MAX),
            back => {
                let back = usize::from(back).min(self.orders.len().saturating_sub(1));
                self.orders
                    .iter()
                    .rev()
                    .nth(back)
                    .copied()
                    .unwrap_or_default()
            }
        }
    }

    fn named(&self, bytes: &mut Bytes<'_>) -> Named {
        if bytes.flag() {
            return Named::Client(self.client_ids.saturating_sub(u64::from(bytes.byte())));
        }
        Named::Order(self.order_id(bytes))
    }

    fn terms(&mut self, bytes: &mut Bytes<'_>) -> OrderTerms {
        let again = bytes.byte() == 255;
        self.client_ids += u64::from(!again);
        let pricing = match bytes.byte() % 16 {
            0..=12 => Pricing::Limit(bytes.price()),
            13 => Pricing::Market,
            _ => Pricing::Peg(Peg {
                to: bytes.one([PegTo::Best, PegTo::Index]),
                offset: Ticks(i64::from(bytes.byte() as i8)),
                cap: bytes.price(),
            }),
        };
        let gtd = Nanos(self.now + bytes.span());
        OrderTerms {
            client_order_id: self.client_ids,
            instrument: bytes.contract(),
            side: bytes.side(),
            pricing,
            lots: bytes.lots(),
            time_in_force: bytes.one([
                TimeInForce::Gtc,
                TimeInForce::Gtc,
                TimeInForce::Gtc,
                TimeInForce::Ioc,
                TimeInForce::Fok,
                TimeInForce::Gtd(gtd),
                TimeInForce::Day,
                TimeInForce::AtAuction,
            ]),
            post_only: bytes
                .seldom(|bytes| bytes.one([PostOnly::Reject, PostOnly::Slide]))
                .unwrap_or_default(),
            reduce_only: bytes.byte() % 8 == 7,
            self_trade: bytes.one([
                SelfTrade::CancelResting,
                SelfTrade::CancelIncoming,
                SelfTrade::CancelBoth,
                SelfTrade::Decrement,
            ]),
            self_trade_group: u32::from(bytes.byte() % 8 == 7),
            cancel_group: u32::from(bytes.byte() % 8 == 7),
            display: bytes.seldom(Bytes::lots).unwrap_or_default(),
            min_fill: match bytes.byte() % 16 {
                15 => bytes.lots(),
                _ => Lots(0),
            },
            trigger: bytes.seldom(|bytes| Trigger {
                source: bytes.one([
                    TriggerSource::Last,
                    TriggerSource::Mark,
                    TriggerSource::Index,
                ]),
                price: bytes.price(),
            }),
            mmp_group: u16::from(bytes.byte() % 8 == 7),
            keep_on_disconnect: bytes.flag(),
            tag: Tag::default(),
        }
    }

    fn place(&mut self, bytes: &mut Bytes<'_>) -> Place {
        let origin = self.origin(bytes);
        let order = self.terms(bytes);
        Place { origin, order }
    }

    fn replace(&self, bytes: &mut Bytes<'_>) -> Replace {
        Replace {
            origin: self.origin(bytes),
            target: self.named(bytes),
            instrument: InstrumentId::NONE,
            price: bytes.flag().then(|| bytes.price()),
            lots: bytes.flag().then(|| bytes.lots()),
            post_only: bytes
                .seldom(|bytes| bytes.one([PostOnly::No, PostOnly::Reject, PostOnly::Slide])),
            expire: bytes.seldom(|bytes| Nanos(self.now + bytes.span())),
            display: bytes.seldom(Bytes::lots),
            trigger: bytes.seldom(Bytes::price),
            reject_if_priority_lost: bytes.byte() % 8 == 7,
        }
    }

    fn cancel(&self, bytes: &mut Bytes<'_>) -> Cancel {
        Cancel {
            origin: self.origin(bytes),
            target: self.named(bytes),
            instrument: InstrumentId::NONE,
        }
    }

    fn selection(bytes: &mut Bytes<'_>) -> Selection {
        Selection {
            instrument: bytes.seldom(Bytes::contract).unwrap_or_default(),
            product: bytes
                .seldom(|bytes| ProductId(u32::from(bytes.byte() % 6)))
                .unwrap_or_default(),
            side: bytes.seldom(Bytes::side),
            cancel_group: u32::from(bytes.byte() % 8 == 7),
            mmp_group: u16::from(bytes.byte() % 8 == 7),
            this_session_only: bytes.flag(),
            price_at_or_better: bytes.seldom(Bytes::price),
        }
    }

    fn quote(&self, bytes: &mut Bytes<'_>) -> MassQuote {
        let side = |bytes: &mut Bytes<'_>| {
            (bytes.byte() % 8 != 7).then(|| QuoteSide {
                price: bytes.price(),
                lots: bytes.lots(),
            })
        };
        let count = bytes.byte() % 5;
        MassQuote {
            origin: self.origin(bytes),
            quote_id: 1,
            mmp_group: u16::from(bytes.byte() % 8 != 7),
            entries: (0..count)
                .map(|_| QuoteEntry {
                    instrument: bytes.contract(),
                    slot: bytes.byte() % 10,
                    bid: side(bytes),
                    ask: side(bytes),
                })
                .collect(),
            report_order_ids: bytes.flag(),
        }
    }

    fn batch(&mut self, bytes: &mut Bytes<'_>) -> Batch {
        let count = bytes.byte() % 6;
        Batch {
            origin: self.origin(bytes),
            policy: bytes.one([
                BatchPolicy::BestEffort,
                BatchPolicy::StopOnReject,
                BatchPolicy::AllOrNoneValidate,
            ]),
            items: (0..count)
                .map(|_| match bytes.byte() % 4 {
                    0 | 1 => BatchItem::Place(self.place(bytes)),
                    2 => BatchItem::Replace(self.replace(bytes)),
                    _ => BatchItem::Cancel(self.cancel(bytes)),
                })
                .collect(),
        }
    }

    fn fixing(&mut self, bytes: &mut Bytes<'_>) -> SubmitFixing {
        self.rounds += u64::from(bytes.byte() != 255);
        SubmitFixing {
            index: bytes.one([IndexId(1), IndexId(2), IndexId(1), IndexId(9)]),
            kind: bytes.one([FixingKind::Indicative, FixingKind::Daily]),
            round: self.rounds,
            value: Decimal {
                mantissa: bytes.price().0,
                exponent: bytes.one([-8, -6, -8, 0]),
            },
            day: Nanos(0),
            key_id: "oracle".into(),
        }
    }

    fn group(bytes: &mut Bytes<'_>) -> MmpGroup {
        let limit = |bytes: &mut Bytes<'_>| i64::from(bytes.seldom(Bytes::byte).unwrap_or(0));
        MmpGroup {
            account: bytes.account(),
            mmp_group: 1,
            product: ProductId(1 + u32::from(bytes.byte() % 4)),
            window_ms: 1_000,
            frozen_ms: i32::from(bytes.byte()) * 4,
            quantity_limit: limit(bytes) * 24,
            net_limit: limit(bytes) * 24,
            notional_limit: limit(bytes) * 1_000,
            fill_limit: i32::from(bytes.byte() % 8),
            contracts_limit: i32::from(bytes.seldom(Bytes::byte).unwrap_or(0) % 3),
            max_quote_lots: Lots(1 + i64::from(bytes.byte())),
        }
    }

    fn command(&mut self, bytes: &mut Bytes<'_>) -> Command {
        match bytes.byte() % 64 {
            0..=21 => Command::Place(self.place(bytes)),
            22..=27 => Command::Replace(self.replace(bytes)),
            28..=31 => Command::Cancel(self.cancel(bytes)),
            32..=33 => Command::MassCancel(MassCancel {
                origin: self.origin(bytes),
                selection: Self::selection(bytes),
                block_new_orders: bytes.byte() % 8 == 7,
            }),
            34..=36 => Command::Batch(self.batch(bytes)),
            37..=41 => Command::MassQuote(self.quote(bytes)),
            42..=43 => Command::SetMmpGroup(request(Self::group(bytes))),
            44 => Command::ResetMmp(ResetMmp {
                origin: self.origin(bytes),
                mmp_group: 1,
            }),
            45..=47 => {
                self.now += bytes.span();
                Command::Tick
            }
            48..=50 => Command::SetTradingState(request(SetTradingState {
                scope: bytes.one([
                    StateScope::Instrument(InstrumentId(1)),
                    StateScope::Instrument(InstrumentId(3)),
                    StateScope::Product(ProductId(3)),
                    StateScope::All,
                ]),
                target: bytes.one([
                    TradingState::Open,
                    TradingState::PreOpen,
                    TradingState::PostOnly,
                    TradingState::Halted,
                    TradingState::NoCancel,
                    TradingState::CancelOnly,
                    TradingState::VolatilityAuction,
                    TradingState::Closed,
                ]),
                reason: Reason::Operator,
                effective: Nanos(bytes.seldom(|bytes| self.now + bytes.span()).unwrap_or(0)),
                cancel_open_orders: bytes.byte() % 8 == 7,
            })),
            51..=53 => Command::SubmitFixing(self.fixing(bytes)),
            54 => {
                let action = bytes.one([
                    DisconnectAction::CancelSession,
                    DisconnectAction::CancelAccount,
                    DisconnectAction::Keep,
                ]);
                login(bytes.account(), action, i32::from(bytes.byte()) * 100)
            }
            55 => {
                let session = bytes.one([0, 1, 2, 3]).min(self.sessions.len() - 1);
                let session = self.sessions[session];
                let login = self.exchange.session(session).map_or(0, |row| row.login);
                let cause = bytes.one([Reason::Disconnect, Reason::HeartbeatLost]);
                Command::Lost(Lost {
                    session,
                    login,
                    cause,
                })
            }
            56 => Command::Logout(Logout {
                origin: self.origin(bytes),
                cancel_orders: bytes.flag(),
            }),
            57 => Command::SetCancelTimer(SetCancelTimer {
                origin: self.origin(bytes),
                after_ms: bytes.one([0, 1_000, 60_000, -1]),
                selection: Self::selection(bytes),
            }),
            58 => Command::SetOrderEntry(SetOrderEntry {
                origin: self.origin(bytes),
                blocked: bytes.flag(),
            }),
            59 => Command::SetKillSwitch(request(SetKillSwitch {
                scope: match bytes.byte() % 4 {
                    0 => SwitchScope::Session(self.sessions[0]),
                    1 => SwitchScope::Account(bytes.account()),
                    2 => SwitchScope::Firm(engine::ids::FirmId(1)),
                    _ => SwitchScope::Venue,
                },
                engaged: bytes.flag(),
                cancel_open_orders: bytes.flag(),
            })),
            60 => Command::SetAccountStatus(request(SetAccountStatus {
                account: bytes.account(),
                status: bytes.one([
                    AccountStatus::Active,
                    AccountStatus::ReduceOnly,
                    AccountStatus::Suspended,
                    AccountStatus::Closed,
                ]),
                cancel_open_orders: bytes.flag(),
            })),
            61 => self.money(bytes),
            62 => Command::Restart(Restart {
                post_only_until: Nanos(self.now + bytes.span()),
                recovery_grace_ms: i32::from(bytes.byte()) * 100,
            }),
            _ => Command::Tick,
        }
    }

    fn money(&mut self, bytes: &mut Bytes<'_>) -> Command {
        let account = bytes.account();
        let asset = bytes.one([AssetId(1), AssetId(2), AssetId(1), AssetId(9)]);
        let amount = bytes.one([1, 1_000, 1_000_000, 0, -1, i64::MAX, i64::MIN]);
        let rail = bytes.one([Rail::Sandbox, Rail::Manual]);
        match bytes.byte() % 3 {
            0 => Command::CreditDeposit(request(CreditDeposit {
                account,
                asset,
                amount,
                rail,
            })),
            1 => Command::RequestWithdrawal(RequestWithdrawal {
                account,
                client_transfer_id: u64::from(bytes.byte()),
                asset,
                amount,
                rail,
            }),
            _ => Command::ResolveWithdrawal(request(ResolveWithdrawal {
                transfer: self.exchange.transfers().len() as u32 - u32::from(bytes.byte() % 4),
                decision: bytes.one([Decision::Approve, Decision::Complete, Decision::Reject]),
            })),
        }
    }
}

/// What is worth telling apart in an event.
fn mark(event: &Event, hash: &mut DefaultHasher) {
    discriminant(event).hash(hash);
    match event {
        Event::Order(order) => {
            (discriminant(&order.kind), discriminant(&order.status)).hash(hash);
            order
                .problem
                .map(|problem| problem.reason as u32)
                .hash(hash);
            order
                .fill
                .map(|fill| discriminant(&fill.liquidity))
                .hash(hash);
            (
                order.copy,
                order.repeated,
                order.display.0 > 0,
                order.quote.is_some(),
            )
                .hash(hash);
        }
        Event::Refused(refused) => (refused.problem.reason as u32).hash(hash),
        Event::QuoteProblem(row) => (row.problem.reason as u32).hash(hash),
        Event::Status(status) => (discriminant(&status.state), status.reason as u32).hash(hash),
        Event::Mmp(change) => (
            change.frozen,
            change.limit.map(|limit| discriminant(&limit)),
        )
            .hash(hash),
        Event::MassCancelled(mass) => {
            (mass.orders.min(2), mass.quotes.min(2), mass.kept.min(2)).hash(hash)
        }
        _ => {}
    }
}

impl Target for Stream {
    const LONGEST: usize = 1_024;

    fn run(&mut self, bytes: &[u8], traits: &mut Traits) -> Result<(), String> {
        let mut before = 0;
        let mut marks = Vec::new();
        self.tell(bytes, |stamped, events| {
            let mut kind = DefaultHasher::new();
            discriminant(&stamped.command).hash(&mut kind);
            let kind = kind.finish();
            marks.clear();
            for event in events {
                let mut one = DefaultHasher::new();
                kind.hash(&mut one);
                mark(event, &mut one);
                marks.push(one.finish() as u32);
            }
            // What happened together, whatever the order and however often.
            marks.sort_unstable();
            marks.dedup();
            traits.extend(&marks);
            let mut all = DefaultHasher::new();
            marks.hash(&mut all);
            traits.push(all.finish() as u32);
            // And roughly what came before it.
            (before, kind).hash(&mut all);
            traits.push(all.finish() as u32);
            before = kind % 8;
        })?;
        Ok(())
    }
}
