//! A maker's own orders, as its session's events tell them.
//!
//! Every event carries the complete state of its order, so the newest one is always enough.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use proto::{
    common::v1::Side,
    trading::v1::{OrderEvent, OrderStatus},
};

use super::ladder::{Live, Rung};

/// First pause of a side after a refused quote; doubled with each further refusal.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_DOUBLINGS_MAX: u32 = 7;

/// One own order.
#[derive(Clone, Copy, Debug)]
struct Own {
    contract: usize,
    live: Live,
}

/// A command without an answer yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) sent: Instant,
    pub(super) contract: usize,
    pub(super) side: Side,
    pub(super) client_order_id: u64,
    /// The order did not exist before.
    pub(super) new: bool,
}

/// How long a side stays out after refusals.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    strikes: u32,
}

/// All own orders, open questions and rests.
#[derive(Debug, Default)]
pub(super) struct Quotes {
    own: BTreeMap<u64, Own>,
    waiting: BTreeMap<i64, Waiting>,
    rests: HashMap<(usize, Side), Rest>,
    positions: HashMap<usize, i64>,
}

impl Quotes {
    /// A command has been sent.
    pub(super) fn sent(&mut self, client_seq: i64, waiting: Waiting) {
        self.waiting.insert(client_seq, waiting);
    }

    /// A new order is on its way; it counts as resting from now on.
    pub(super) fn entered(&mut self, contract: usize, client_order_id: u64, rung: Rung) {
        let live = Live {
            client_order_id,
            side: rung.side,
            level: rung.level,
            price: rung.price,
            open: rung.lots,
            filled: 0,
        };
        self.own.insert(client_order_id, Own { contract, live });
    }

    /// The first event of a command answers it; later ones find nothing.
    pub(super) fn answered(&mut self, client_seq: i64) -> Option<Waiting> {
        self.waiting.remove(&client_seq)
    }

    /// The command had no effect. A new order is not there then; a side that is refused rests a while.
    pub(super) fn had_no_effect(&mut self, waiting: &Waiting, now: Instant) {
        if waiting.new {
            self.own.remove(&waiting.client_order_id);
        }
        self.refused(waiting.contract, waiting.side, now);
    }

    /// Takes over what an event says. Returns the contract if the order is ours.
    pub(super) fn apply(&mut self, event: &OrderEvent) -> Option<usize> {
        let own = self.own.get_mut(&event.client_order_id)?;
        let contract = own.contract;
        match event.status() {
            OrderStatus::Open => {
                own.live.price = event.price_ticks;
                own.live.open = event.open_lots;
                own.live.filled = event.filled_lots;
            }
            OrderStatus::Unspecified
            | OrderStatus::Filled
            | OrderStatus::Cancelled
            | OrderStatus::Rejected
            | OrderStatus::Expired
            | OrderStatus::Untriggered => {
                self.own.remove(&event.client_order_id);
            }
        }
        if let Some(fill) = &event.fill {
            self.positions.insert(contract, fill.position_lots_after);
        }
        Some(contract)
    }

    /// What a fill says that is held now.
    pub(super) fn holds(&mut self, contract: usize, lots: i64) {
        self.positions.insert(contract, lots);
    }

    /// A quote of this side was refused: keep it out for a while, longer each time.
    pub(super) fn refused(&mut self, contract: usize, side: Side, now: Instant) {
        let rest = self.rests.entry((contract, side)).or_insert(Rest {
            until: now,
            strikes: 0,
        });
        rest.until = now + PAUSE * 2_u32.pow(rest.strikes.min(PAUSE_DOUBLINGS_MAX));
        rest.strikes += 1;
    }

    /// A quote of this side was taken in: the next refusal starts from a short pause again.
    pub(super) fn welcomed(&mut self, contract: usize, side: Side) {
        self.rests.remove(&(contract, side));
    }

    /// Whether the side is resting.
    pub(super) fn rests(&self, contract: usize, side: Side, now: Instant) -> bool {
        self.rests
            .get(&(contract, side))
            .is_some_and(|rest| now < rest.until)
    }

    /// Whether a command of this contract is unanswered.
    pub(super) fn busy(&self, contract: usize) -> bool {
        self.waiting.values().any(|w| w.contract == contract)
    }

    /// Side of an own order.
    pub(super) fn side(&self, client_order_id: u64) -> Side {
        let own = self.own.get(&client_order_id);
        own.map_or(Side::Unspecified, |o| o.live.side)
    }

    /// Own orders of one contract.
    pub(super) fn live(&self, contract: usize) -> Vec<Live> {
        let own = self.own.values().filter(|o| o.contract == contract);
        own.map(|o| o.live).collect()
    }

    /// Net lots, as the last fill said.
    pub(super) fn position(&self, contract: usize) -> i64 {
        self.positions.get(&contract).copied().unwrap_or(0)
    }

    /// Nothing rests and nothing is open: after an image that shows other orders than these.
    pub(super) fn forget(&mut self) {
        self.own.clear();
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::trading::v1::{Fill, OrderEventKind};

    fn quotes() -> Quotes {
        let mut quotes = Quotes::default();
        let rung = Rung {
            side: Side::Buy,
            level: 0,
            price: 100,
            lots: 5,
        };
        quotes.entered(3, 77, rung);
        quotes
    }

    fn event(status: OrderStatus, open_lots: i64) -> OrderEvent {
        OrderEvent {
            kind: OrderEventKind::Fill.into(),
            status: status.into(),
            client_order_id: 77,
            price_ticks: 99,
            open_lots,
            filled_lots: 5 - open_lots,
            fill: Some(Fill {
                position_lots_after: 5 - open_lots,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn the_newest_event_is_the_state() {
        let mut quotes = quotes();
        assert_eq!(quotes.apply(&event(OrderStatus::Open, 2)), Some(3));
        let live = quotes.live(3)[0];
        assert_eq!((live.price, live.open, live.filled), (99, 2, 3));
        quotes.apply(&event(OrderStatus::Filled, 0));
        assert!(quotes.live(3).is_empty());
        assert_eq!(quotes.position(3), 5);
        assert_eq!(quotes.apply(&event(OrderStatus::Open, 1)), None);
    }

    #[test]
    fn a_refused_side_rests_longer_each_time() {
        let mut quotes = quotes();
        let now = Instant::now();
        quotes.refused(3, Side::Buy, now);
        assert!(quotes.rests(3, Side::Buy, now));
        assert!(!quotes.rests(3, Side::Sell, now));
        assert!(!quotes.rests(3, Side::Buy, now + PAUSE));
        quotes.refused(3, Side::Buy, now);
        assert!(quotes.rests(3, Side::Buy, now + PAUSE));
        quotes.welcomed(3, Side::Buy);
        assert!(!quotes.rests(3, Side::Buy, now));
    }

    #[test]
    fn a_lost_new_order_is_not_there() {
        let mut quotes = quotes();
        let waiting = Waiting {
            sent: Instant::now(),
            contract: 3,
            side: Side::Buy,
            client_order_id: 77,
            new: true,
        };
        quotes.sent(1, waiting);
        assert!(quotes.busy(3));
        let answered = quotes.answered(1).expect("just sent");
        assert!(!quotes.busy(3) && quotes.answered(1).is_none());
        quotes.had_no_effect(&answered, answered.sent);
        assert!(quotes.live(3).is_empty());
    }
}
