//! What is compared: the events a client or the public would act on, without the engine's order ids.

use engine::{
    command::Side,
    event::{Event, Liquidity, OrderEvent, OrderEventKind, OrderStatus},
    ids::{AccountId, InstrumentId, SessionId},
    reason::Reason,
};

/// An order by its owner and the owner's name for it.
pub type Key = (AccountId, u64);

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

/// Something happened to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Who hears it.
    pub account: AccountId,
    /// Where.
    pub session: SessionId,
    /// Because of which command of that session.
    pub client_seq: u64,
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
    /// Moved back in the queue.
    pub priority_lost: bool,
    /// The execution.
    pub fill: Option<FillRow>,
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
    /// Account and number of cancelled orders.
    pub mass_cancelled: Vec<(AccountId, u32)>,
}

impl Observed {
    /// What the engine did. `admin`: the refusal of a command without [`engine::command::Origin`].
    #[must_use]
    pub fn from_events(events: &[Event], admin: bool) -> Self {
        let mut seen = Self::default();
        for event in events {
            match event {
                Event::Order(order) => seen.private.push(Row::from_event(order)),
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
                    seen.mass_cancelled.push((mass.to.account, mass.orders));
                }
                _ => {}
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
        rows.chain(trades).chain(refused).chain(mass).collect()
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
            priority_lost: event.priority_lost,
            fill: event.fill.map(|fill| FillRow {
                trade: fill.trade.0,
                price: fill.price.0,
                lots: fill.lots.0,
                liquidity: fill.liquidity,
                fee: fill.fee.0,
                position_after: fill.position_after.0,
            }),
        }
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
        self.priority_lost = false;
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
        if let Some(fill) = &self.fill {
            line += &format!(" | {fill:?}");
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
