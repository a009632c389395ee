//! What is compared: the events a client or the public would act on, without the engine's order ids.

use engine::{
    command::{Side, SwitchScope},
    event::{
        Address, Event, Fill, LegFill, Liquidity, MmpLimit, OrderEvent, OrderEventKind, OrderStatus,
    },
    ids::{AccountId, InstrumentId, SessionId},
    reason::Reason,
};

/// An order by its owner and the owner's name for it. Quotes have no name; the model counts them from
/// [`QUOTES`] on.
pub type Key = (AccountId, u64);

/// Keys from here on are quotes.
pub const QUOTES: u64 = 1 << 63;

/// Whom a private event is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Who hears it.
    pub account: AccountId,
    /// Where.
    pub session: SessionId,
    /// Number in that session.
    pub event_seq: u64,
    /// Because of which command of that session.
    pub client_seq: u64,
}

impl Heard {
    fn from_address(to: Address) -> Self {
        Self {
            account: to.account,
            session: to.session,
            event_seq: to.event_seq,
            client_seq: to.client_seq,
        }
    }
}

/// What is told besides orders, trades and refusals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A batch ended: accepted, rejected, not attempted.
    Batch(Heard, [u16; 3]),
    /// A refused side: entry, side, reason.
    Problem(Heard, u16, Side, Reason),
    /// A living accepted side: entry, side.
    Quote(Heard, u16, Side),
    /// A mass quote ended: quote id, accepted, kept.
    Quoted(Heard, i64, u16, u16),
    /// A protection group froze (until, limit, cancelled) or thawed.
    Mmp(AccountId, u16, bool, i64, Option<MmpLimit>, u32),
    /// A kill switch moved.
    Switch(SwitchScope, bool),
    /// Price, lots and imbalance of an auction.
    Auction(InstrumentId, Option<i64>, i64, i64),
    /// A leg of no fill: never expected.
    StrayLeg(InstrumentId),
}

impl Told {
    fn from_event(event: &Event) -> Option<Self> {
        Some(match event {
            Event::BatchDone(done) => Self::Batch(
                Heard::from_address(done.to),
                [done.accepted, done.rejected, done.not_attempted],
            ),
            Event::QuoteProblem(problem) => Self::Problem(
                Heard::from_address(problem.to),
                problem.entry,
                problem.side,
                problem.problem.reason,
            ),
            Event::QuoteOrder(order) => {
                Self::Quote(Heard::from_address(order.to), order.entry, order.side)
            }
            Event::Quoted(quoted) => Self::Quoted(
                Heard::from_address(quoted.to),
                quoted.quote_id,
                quoted.accepted,
                quoted.kept,
            ),
            Event::Mmp(mmp) => Self::Mmp(
                mmp.account,
                mmp.mmp_group,
                mmp.frozen,
                mmp.until.0,
                mmp.limit,
                mmp.cancelled,
            ),
            Event::Switch(switch) => Self::Switch(switch.scope, switch.engaged),
            Event::Auction(auction) => Self::Auction(
                auction.instrument,
                auction.price.map(|price| price.0),
                auction.lots.0,
                auction.imbalance.0,
            ),
            _ => return None,
        })
    }
}

/// An execution, from one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillRow {
    /// Trade.
    pub trade: u64,
    /// Price of the resting order.
    pub price: i64,
    /// Quantity.
    pub lots: i64,
    /// Maker or taker.
    pub liquidity: Liquidity,
    /// Negative = rebate.
    pub fee: i64,
    /// Net position after it.
    pub position_after: i64,
}

impl FillRow {
    fn from_event(fill: &Fill) -> Self {
        Self {
            trade: fill.trade.0,
            price: fill.price.0,
            lots: fill.lots.0,
            liquidity: fill.liquidity,
            fee: fill.fee.0,
            position_after: fill.position_after.0,
        }
    }
}

/// One leg of an execution in a combination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegPart {
    /// The leg.
    pub instrument: InstrumentId,
    /// What the account did there.
    pub side: Side,
    /// Price, lots, fee and net position are the leg's.
    pub fill: FillRow,
}

/// The same, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegRow {
    /// To whom.
    pub to: Heard,
    /// Item of a batch.
    pub item: u16,
    /// Follows a copy.
    pub copy: bool,
    /// Which order.
    pub client_order_id: u64,
    /// The combination.
    pub combination: InstrumentId,
    /// The rest.
    pub part: LegPart,
}

impl LegRow {
    fn from_event(leg: &LegFill) -> Self {
        Self {
            to: Heard::from_address(leg.to),
            item: leg.to.item,
            copy: leg.copy,
            client_order_id: leg.client_order_id,
            combination: leg.combination,
            part: LegPart {
                instrument: leg.instrument,
                side: leg.side,
                fill: FillRow::from_event(&leg.fill),
            },
        }
    }
}

/// Something happened to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Who hears it.
    pub account: AccountId,
    /// Where.
    pub session: SessionId,
    /// Because of which command of that session.
    pub client_seq: u64,
    /// Which item of it, if it was a batch.
    pub item: u16,
    /// Number in that session.
    pub event_seq: u64,
    /// For the commander of somebody else's order.
    pub copy: bool,
    /// First result of a repeated client order id.
    pub repeated: bool,
    /// What.
    pub kind: OrderEventKind,
    /// State after it.
    pub status: OrderStatus,
    /// Why.
    pub reason: Option<Reason>,
    /// Which order.
    pub client_order_id: u64,
    /// Contract.
    pub instrument: InstrumentId,
    /// Side.
    pub side: Side,
    /// Working price.
    pub price: i64,
    /// Total quantity.
    pub total: i64,
    /// Traded.
    pub filled: i64,
    /// Still open.
    pub open: i64,
    /// Visible lots of an iceberg.
    pub display: i64,
    /// Quote id and rung of a quote.
    pub quote: Option<(i64, u8)>,
    /// Moved back in the queue.
    pub priority_lost: bool,
    /// The execution.
    pub fill: Option<FillRow>,
    /// Its legs, told directly after it.
    pub legs: Vec<LegRow>,
}

/// What one command did, as far as it is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Order events.
    pub private: Vec<Row>,
    /// Instrument, price, lots, aggressor, trade id.
    pub trades: Vec<(InstrumentId, i64, i64, Option<Side>, u64)>,
    /// Commands without effect. Admin commands are refused to account 0.
    pub refused: Vec<(AccountId, Reason)>,
    /// Account; cancelled orders, cancelled quotes, kept ones.
    pub mass_cancelled: Vec<(AccountId, [u32; 3])>,
    /// The rest.
    pub told: Vec<Told>,
}

impl Observed {
    /// What the engine did. `admin`: the refusal of a command without [`engine::command::Origin`].
    #[must_use]
    pub fn from_events(events: &[Event], admin: bool) -> Self {
        let mut seen = Self::default();
        for event in events {
            match event {
                Event::Order(order) => seen.private.push(Row::from_event(order)),
                Event::Leg(leg) => match seen.private.last_mut() {
                    Some(row) => row.legs.push(LegRow::from_event(leg)),
                    None => seen.told.push(Told::StrayLeg(leg.instrument)),
                },
                Event::Trade(trade) => seen.trades.push((
                    trade.instrument,
                    trade.price.0,
                    trade.lots.0,
                    trade.aggressor,
                    trade.trade.0,
                )),
                Event::Refused(refused) => {
                    let account = if admin {
                        AccountId::NONE
                    } else {
                        refused.to.account
                    };
                    seen.refused.push((account, refused.problem.reason));
                }
                Event::MassCancelled(mass) => {
                    let counts = [mass.orders, mass.quotes, mass.kept];
                    seen.mass_cancelled.push((mass.to.account, counts));
                }
                event => seen.told.extend(Told::from_event(event)),
            }
        }
        seen
    }

    /// Without the fields on which the rules are silent.
    #[must_use]
    pub fn masked(&self) -> Self {
        let private = self.private.iter().cloned().map(Row::masked).collect();
        Self {
            private,
            ..self.clone()
        }
    }

    /// One line per thing that happened.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let rows = self.private.iter().map(Row::line);
        let trades = self.trades.iter().map(|trade| format!("trade {trade:?}"));
        let refused = self
            .refused
            .iter()
            .map(|refused| format!("refused {refused:?}"));
        let mass = self
            .mass_cancelled
            .iter()
            .map(|mass| format!("mass cancelled {mass:?}"));
        let told = self.told.iter().map(|told| format!("{told:?}"));
        rows.chain(trades)
            .chain(refused)
            .chain(mass)
            .chain(told)
            .collect()
    }
}

impl Row {
    /// The comparable part of an engine event.
    #[must_use]
    pub fn from_event(event: &OrderEvent) -> Self {
        Self {
            account: event.to.account,
            session: event.to.session,
            client_seq: event.to.client_seq,
            item: event.to.item,
            event_seq: event.to.event_seq,
            copy: event.copy,
            repeated: event.repeated,
            kind: event.kind,
            status: event.status,
            reason: event.problem.map(|problem| problem.reason),
            client_order_id: event.client_order_id,
            instrument: event.instrument,
            side: event.side,
            price: event.price.0,
            total: event.total.0,
            filled: event.filled.0,
            open: event.open.0,
            display: event.display.0,
            quote: event.quote.map(|quote| (quote.quote_id, quote.slot)),
            priority_lost: event.priority_lost,
            fill: event.fill.as_ref().map(FillRow::from_event),
            legs: Vec::new(),
        }
    }

    /// Legs under this row's own address.
    pub fn add_legs(&mut self, parts: &[LegPart]) {
        let to = Heard {
            account: self.account,
            session: self.session,
            event_seq: self.event_seq,
            client_seq: self.client_seq,
        };
        let told = |part: &LegPart| LegRow {
            to,
            item: self.item,
            copy: self.copy,
            client_order_id: self.client_order_id,
            combination: self.instrument,
            part: part.clone(),
        };
        self.legs = parts.iter().map(told).collect();
    }

    /// Refusals and repeats: the rules say that they are told and why, but not which state of the
    /// order they carry. A refusal that precedes the look-up of the order (ranks 2 to 6) need not
    /// even know which order it was about.
    #[must_use]
    pub fn masked(mut self) -> Self {
        use OrderEventKind::{CancelRejected, Rejected, ReplaceRejected};
        let refusal = matches!(self.kind, Rejected | ReplaceRejected | CancelRejected);
        if !refusal && !self.repeated {
            return self;
        }
        (self.price, self.total, self.filled, self.open) = (0, 0, 0, 0);
        (self.priority_lost, self.display, self.quote) = (false, 0, None);
        if self.repeated || self.kind != Rejected {
            self.status = OrderStatus::Rejected;
        }
        if matches!(self.kind, ReplaceRejected | CancelRejected) {
            (self.instrument, self.side) = (InstrumentId::NONE, Side::Buy);
            let early = matches!(
                self.reason,
                Some(
                    Reason::UnknownOrder
                        | Reason::DeadlinePassed
                        | Reason::KillSwitchAccount
                        | Reason::KillSwitchSession
                        | Reason::KillSwitchFirm
                        | Reason::KillSwitchExchange
                        | Reason::BatchStopped
                        | Reason::AccountNotActive
                )
            );
            if early {
                self.client_order_id = 0;
            }
        }
        self
    }

    fn line(&self) -> String {
        let mut line = format!(
            "{:?} {:?} account {} order {} {:?} {} @ {} of contract {}: filled {} open {}",
            self.kind,
            self.status,
            self.account.0,
            self.client_order_id,
            self.side,
            self.total,
            self.price,
            self.instrument.0,
            self.filled,
            self.open,
        );
        line += &format!(
            " | session {} event {} command {}",
            self.session.0, self.event_seq, self.client_seq
        );
        if let Some(reason) = self.reason {
            line += &format!(" | {reason:?}");
        }
        if self.display != 0 || self.item != 0 {
            line += &format!(" | shows {} item {}", self.display, self.item);
        }
        if let Some(quote) = self.quote {
            line += &format!(" | quote {quote:?}");
        }
        if let Some(fill) = &self.fill {
            line += &format!(" | {fill:?}");
        }
        for leg in &self.legs {
            line += &format!(" | {leg:?}");
        }
        for (set, word) in [
            (self.copy, " copy"),
            (self.repeated, " repeated"),
            (self.priority_lost, " back"),
        ] {
            if set {
                line += word;
            }
        }
        line
    }
}
