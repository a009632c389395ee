//! Stop orders: they wait for a price, and become ordinary orders when it comes (ORDER-18).

use std::collections::BTreeMap;

use super::{Exchange, News, timers::Timer};
use crate::{
    command::{Origin, Place, Pricing, Side, TimeInForce, Trigger, TriggerSource},
    event::{Event, OrderEventKind, OrderStatus},
    ids::InstrumentId,
    instrument::{Kind, TradingState},
    limits,
    order::Order,
    reason::Reason,
    units::{Lots, Ticks},
};

pub(super) mod saved;

/// Stops of one contract that wait, by what they watch and by side; each list in order of release.
#[derive(Clone, Debug, Default)]
pub(super) struct Stops {
    lists: [BTreeMap<(i64, u64), u32>; 6],
}

/// The lists in order of release.
const LISTS: [(TriggerSource, Side); 6] = [
    (TriggerSource::Last, Side::Buy),
    (TriggerSource::Last, Side::Sell),
    (TriggerSource::Mark, Side::Buy),
    (TriggerSource::Mark, Side::Sell),
    (TriggerSource::Index, Side::Buy),
    (TriggerSource::Index, Side::Sell),
];

/// Buys are released by a rising price, lowest first; sells by a falling one, highest first.
fn rank(side: Side, price: Ticks) -> i64 {
    match side {
        Side::Buy => price.0,
        Side::Sell => -price.0,
    }
}

impl Stops {
    fn list(&mut self, trigger: Trigger, side: Side) -> &mut BTreeMap<(i64, u64), u32> {
        let list = LISTS
            .iter()
            .position(|list| *list == (trigger.source, side));
        &mut self.lists[list.unwrap_or(0)]
    }

    /// An order begins to wait.
    pub(super) fn add(&mut self, order: &Order, slot: u32) {
        if let Some(trigger) = order.terms.trigger {
            let key = (rank(order.terms.side, trigger.price), order.priority);
            self.list(trigger, order.terms.side).insert(key, slot);
        }
    }

    /// An order waits no more.
    pub(super) fn remove(&mut self, order: &Order) {
        if let Some(trigger) = order.terms.trigger {
            let key = (rank(order.terms.side, trigger.price), order.priority);
            self.list(trigger, order.terms.side).remove(&key);
        }
    }

    /// Slots of all that wait.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.lists.iter().flat_map(|list| list.values().copied())
    }

    /// The next one whose condition holds.
    fn due(&self, value: impl Fn(TriggerSource) -> Option<Ticks>) -> Option<u32> {
        LISTS.iter().zip(&self.lists).find_map(|(list, waiting)| {
            let ((first, _), slot) = waiting.first_key_value()?;
            let value = value(list.0)?;
            (*first <= rank(list.1, value)).then_some(*slot)
        })
    }
}

impl Exchange {
    /// The price a trigger watches, if it has a value.
    fn watched(&self, id: InstrumentId, source: TriggerSource) -> Option<Ticks> {
        let contract = self.contract(id);
        match source {
            TriggerSource::Last => contract.statistics.last,
            TriggerSource::Mark => Some(contract.mark),
            TriggerSource::Index => self.index_in_ticks(id),
        }
    }

    /// A contract's index in its ticks, rounded half to even.
    pub(super) fn index_in_ticks(&self, id: InstrumentId) -> Option<Ticks> {
        let contract = self.contract(id);
        let index = self.indexes.get(contract.terms.index.index()?)?;
        index.value?.ratio(contract.terms.tick_size).map(Ticks)
    }

    /// A new or changed stop begins to wait.
    pub(super) fn wait_for_trigger(&mut self, slot: u32) {
        let order = self.orders.at_mut(slot);
        order.status = OrderStatus::Untriggered;
        order.waiting = true;
        let id = order.terms.instrument;
        let index = id.index().unwrap_or(usize::MAX);
        self.stops[index].add(self.orders.at(slot), slot);
        // No price has changed: pegged orders need not look.
        self.woken.push(id);
    }

    /// Releases the stops whose price has come, one after the other; what they do may release more.
    pub(super) fn release_stops(&mut self, out: &mut Vec<Event>) {
        for _ in 0..limits::TRIGGERS_PER_COMMAND {
            if self.trades_left == 0 {
                break;
            }
            let Some(slot) = self.due_stop() else {
                return self.woken.clear();
            };
            self.release(slot, out);
        }
        let due = |id: &InstrumentId| self.due_in(*id).is_some();
        let watched = self.stirred.iter().chain(&self.woken).copied();
        let left: Vec<InstrumentId> = watched.filter(due).collect();
        for id in left {
            self.timers.set(self.at, Timer::Triggers(id));
        }
        self.woken.clear();
    }

    /// The next stop to release, contracts in order of number.
    fn due_stop(&mut self) -> Option<u32> {
        for list in [&mut self.stirred, &mut self.woken] {
            list.sort_unstable();
            list.dedup();
        }
        let first = |list: &[InstrumentId]| {
            let mut due = list.iter().map(|id| (*id, self.due_in(*id)));
            due.find_map(|(id, slot)| Some((id, slot?)))
        };
        let firsts = [first(&self.stirred), first(&self.woken)];
        firsts.into_iter().flatten().min().map(|(_, slot)| slot)
    }

    /// The next stop to release of one contract.
    fn due_in(&self, id: InstrumentId) -> Option<u32> {
        let open = self.contract(id).state == TradingState::Open;
        let stops = self.stops.get(id.index()?).filter(|_| open)?;
        stops.due(|source| self.watched(id, source))
    }

    fn release(&mut self, slot: u32, out: &mut Vec<Event>) {
        let nobody = Origin::default();
        self.stop_waiting_for_trigger(slot);
        let id = self.orders.at(slot).terms.instrument;
        self.contract_mut(id).followers -= 1;
        self.reprioritise(slot);
        let order = self.orders.at_mut(slot);
        order.status = OrderStatus::Open;
        let (side, open) = (order.terms.side, order.open);
        let (account, limit) = (order.account, order.price);
        let (session, reducing) = (order.session, order.terms.reduce_only);
        let market = order.terms.pricing == Pricing::Market;
        self.tell(slot, News::plain(OrderEventKind::Triggered), &nobody, out);
        // Who may enter no order takes none from the book by one that waited.
        let owner = Origin {
            account,
            session,
            ..nobody
        };
        if let Err(problem) = self.check_trader(&owner, reducing) {
            return self.end(slot, problem.reason, &nobody, out);
        }
        let contract = self.contract(id);
        let (low, high) = contract.at_mark.band;
        let price = match side {
            _ if !market => limit,
            Side::Buy => high,
            Side::Sell => low.max(Ticks(1)),
        };
        if !(low..=high).contains(&price) && !market {
            return self.end(slot, Reason::PriceOutsideBand, &nobody, out);
        }
        let kind = contract.terms.kind;
        let hold_lot = self.hold_lot(account, contract, side, price);
        let order = self.orders.at(slot);
        let before = *self.positions.at(order.position);
        let mut after = before;
        let more = hold_lot.for_lots(open) - order.hold_lot.for_lots(open);
        after.count_open(side, false, Lots::ZERO, more);
        if self.check_money(contract, &before, &after).is_err() {
            let reason = match kind {
                Kind::SpotBlock => Reason::InsufficientBalance,
                Kind::Forward | Kind::CalendarSpread | Kind::Strip => Reason::InsufficientMargin,
            };
            return self.end(slot, reason, &nobody, out);
        }
        self.count_lots(slot, -open);
        let order = self.orders.at_mut(slot);
        order.price = price;
        order.hold_lot = hold_lot;
        self.count_open(slot, open);
        let order = self.orders.at(slot);
        let place = Place {
            origin: Origin {
                account,
                ..Origin::default()
            },
            order: order.terms,
        };
        let whole = order.terms.time_in_force == TimeInForce::Fok;
        if whole && self.can_trade(&place, price, open) < open {
            return self.end(slot, Reason::FokNotFillable, &nobody, out);
        }
        self.work(slot, &nobody, out);
    }

    /// Takes a stop out of its list.
    pub(super) fn stop_waiting_for_trigger(&mut self, slot: u32) {
        let order = self.orders.at_mut(slot);
        order.waiting = false;
        let index = order.terms.instrument.index().unwrap_or(usize::MAX);
        self.stops[index].remove(self.orders.at(slot));
    }
}
