//! SESSION-03: who hears what, under which number.

use engine::{
    command::{Place, Side, Target},
    event::{OrderEventKind, OrderStatus},
    ids::{InstrumentId, SessionId},
    reason::Reason,
};

use super::{Model, Order};
use crate::rows::{FillRow, Heard, Key, LegPart, QUOTES, Row};

impl Model {
    /// SESSION-03: the next number of a session; 0 without one.
    pub(super) fn number(&mut self, session: SessionId) -> u64 {
        self.sessions.get_mut(&session).map_or(0, |session| {
            session.event_seq += 1;
            session.event_seq
        })
    }

    /// Events about item n of a batch carry n, if they go to who sent it.
    fn item_of(&self, session: SessionId) -> u16 {
        match session == self.cause.session {
            true => self.cause.item,
            false => 0,
        }
    }

    /// The address of an answer.
    pub(super) fn heard(&mut self) -> Heard {
        let cause = self.cause;
        Heard {
            account: cause.account,
            session: cause.session,
            event_seq: self.number(cause.session),
            client_seq: cause.client_seq,
        }
    }

    pub(super) fn refuse_numbered(&mut self, reason: Reason) {
        self.number(self.cause.session);
        self.refuse(reason);
    }

    /// An event about an order, to the session that entered it; and a copy to a commander elsewhere.
    pub(super) fn tell(
        &mut self,
        order: &Order,
        kind: OrderEventKind,
        reason: Option<Reason>,
        priority_lost: bool,
        fill: Option<FillRow>,
    ) {
        self.tell_with(order, kind, reason, priority_lost, fill, &[]);
    }

    /// COMBO-07: the same, and a Leg for each part under the same address, of a copy too.
    pub(super) fn tell_with(
        &mut self,
        order: &Order,
        kind: OrderEventKind,
        reason: Option<Reason>,
        priority_lost: bool,
        fill: Option<FillRow>,
        legs: &[LegPart],
    ) {
        let cause = self.cause;
        let own = cause.session.is_set() && cause.session == order.session;
        let mut row = self.row(order, order.session, kind, reason);
        (row.priority_lost, row.fill) = (priority_lost, fill);
        row.client_seq = if own { cause.client_seq } else { 0 };
        if order.key.0 != cause.account || order.session != cause.session {
            row.item = 0;
        }
        row.add_legs(legs);
        self.seen.private.push(row.clone());
        let named = cause.all || cause.subject == Some(order.key);
        if named && cause.session.is_set() && !own {
            row.session = cause.session;
            row.event_seq = self.number(cause.session);
            row.client_seq = cause.client_seq;
            row.item = cause.item;
            row.copy = true;
            row.add_legs(legs);
            self.seen.private.push(row);
        }
    }

    fn row(
        &mut self,
        order: &Order,
        session: SessionId,
        kind: OrderEventKind,
        reason: Option<Reason>,
    ) -> Row {
        Row {
            account: order.key.0,
            session,
            client_seq: self.cause.client_seq,
            item: self.item_of(session),
            event_seq: self.number(session),
            copy: false,
            repeated: false,
            kind,
            status: order.status,
            reason,
            client_order_id: Some(order.key.1).filter(|id| *id < QUOTES).unwrap_or(0),
            instrument: order.terms.instrument,
            side: order.terms.side,
            price: order.price,
            total: order.total,
            filled: order.filled,
            open: order.open,
            display: if order.display == 0 { 0 } else { order.visible },
            quote: order.quote,
            priority_lost: false,
            fill: None,
            legs: Vec::new(),
        }
    }

    /// ORDER-13: the first result again, to who asks.
    pub(super) fn tell_repeated(&mut self, key: Key) {
        let order = self
            .orders
            .get(&key)
            .or_else(|| self.ended.get(&key))
            .cloned();
        let Some(order) = order else { return };
        let mut row = self.row(&order, self.cause.session, OrderEventKind::Accepted, None);
        row.repeated = true;
        self.seen.private.push(row);
    }

    /// An order that never lived.
    pub(super) fn tell_rejected(&mut self, place: &Place, reason: Reason, repeated: bool) {
        let (session, terms) = (self.cause.session, place.order);
        let row = Row {
            account: place.origin.account,
            session,
            client_seq: self.cause.client_seq,
            item: self.item_of(session),
            event_seq: self.number(session),
            copy: false,
            repeated,
            kind: OrderEventKind::Rejected,
            status: OrderStatus::Rejected,
            reason: Some(reason),
            client_order_id: terms.client_order_id,
            instrument: terms.instrument,
            side: terms.side,
            price: 0,
            total: terms.lots.0,
            filled: 0,
            open: 0,
            display: 0,
            quote: None,
            priority_lost: false,
            fill: None,
            legs: Vec::new(),
        };
        self.seen.private.push(row);
    }

    /// A refused Replace or Cancel, to who asked.
    pub(super) fn tell_refused_change(
        &mut self,
        kind: OrderEventKind,
        reason: Reason,
        target: Target,
        found: Result<Key, Reason>,
    ) {
        let session = self.cause.session;
        let client_order_id = match (found, target) {
            (Ok(key), _) => key.1,
            (Err(_), Target::Client(id)) => id,
            (Err(_), Target::Order(_)) => 0,
        };
        let row = Row {
            account: self.cause.account,
            session,
            client_seq: self.cause.client_seq,
            item: self.item_of(session),
            event_seq: self.number(session),
            copy: false,
            repeated: false,
            kind,
            status: OrderStatus::Rejected,
            reason: Some(reason),
            client_order_id,
            instrument: InstrumentId::NONE,
            side: Side::Buy,
            price: 0,
            total: 0,
            filled: 0,
            open: 0,
            display: 0,
            quote: None,
            priority_lost: false,
            fill: None,
            legs: Vec::new(),
        };
        self.seen.private.push(row);
    }
}
