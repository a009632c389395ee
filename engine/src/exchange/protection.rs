//! Market maker protection: what a group traded in its rolling window, and what happens at a limit (MMP).
//!
//! The check runs inside the matching step, after each trade, so that not one fill comes after the one
//! that hits a limit.

use std::collections::VecDeque;

use bincode::{Decode, Encode};

use super::{
    Exchange,
    admin::{Outcome, made},
    admission::Door,
    matching::bystander,
    timers::Timer,
};
use crate::{
    command::{MmpGroup, Origin, ResetMmp, Side},
    event::{Event, MmpChange, MmpLimit},
    ids::{AccountId, InstrumentId, OrderId},
    instrument::Instrument,
    limits,
    order::Order,
    reason::{Field, Problem, Reason},
    units::{Lots, MILLISECOND, Minor, Nanos, SECOND, Ticks},
};

pub(super) mod saved;

/// One fill of a group.
#[derive(Clone, Copy, Debug, Encode, Decode)]
pub struct GroupFill {
    /// Core time.
    pub at: Nanos,
    /// Contract.
    pub instrument: InstrumentId,
    /// Lots times hours of the delivery window, with the sign of the side.
    pub signed: i64,
    /// Absolute value, in minor units.
    pub value: i64,
}

/// A protection group with the fills of its window.
#[derive(Clone, Debug)]
pub struct Group {
    /// As set.
    pub terms: MmpGroup,
    /// Its orders are refused.
    pub frozen: bool,
    /// When it thaws; 0 = at a reset.
    pub until: Nanos,
    /// Fills inside the window, oldest first: a ring.
    fills: VecDeque<GroupFill>,
    quantity: i128,
    net: i128,
    notional: i128,
    /// Fills inside the window, by contract.
    per_contract: Vec<u32>,
    contracts: usize,
    /// Quote orders by contract's row, two for each slot; a name whose order ended is a free place.
    rows: Vec<u32>,
    quotes: Vec<[OrderId; limits::QUOTE_SLOTS * 2]>,
}

/// "No row" of a contract.
const NONE: u32 = u32::MAX;

impl Group {
    fn new(terms: MmpGroup) -> Self {
        Self {
            terms,
            frozen: false,
            until: Nanos::ZERO,
            fills: VecDeque::new(),
            quantity: 0,
            net: 0,
            notional: 0,
            per_contract: Vec::new(),
            contracts: 0,
            rows: Vec::new(),
            quotes: Vec::new(),
        }
    }

    /// Name of the order that last stood at a quote's place.
    pub(super) fn quote_at(&self, id: InstrumentId, slot: u8, side: Side) -> OrderId {
        let row = id.index().and_then(|index| self.rows.get(index));
        row.and_then(|row| self.quotes.get(*row as usize))
            .map_or(OrderId::NONE, |row| row[place(slot, side)])
    }

    /// Puts an order at a quote's place.
    pub(super) fn set_quote(&mut self, id: InstrumentId, slot: u8, side: Side, order: OrderId) {
        let index = id.index().unwrap_or(0);
        if self.rows.len() <= index {
            self.rows.resize(index + 1, NONE);
        }
        if self.rows[index] == NONE {
            self.rows[index] = u32::try_from(self.quotes.len()).unwrap_or(NONE);
            self.quotes.push([OrderId::NONE; limits::QUOTE_SLOTS * 2]);
        }
        self.quotes[self.rows[index] as usize][place(slot, side)] = order;
    }

    /// Counts a fill and lets the old ones go.
    fn count(&mut self, now: Nanos, fill: GroupFill) {
        self.forget(now);
        self.fills.push_back(fill);
        self.count_in(&fill);
    }

    /// Adds a fill of the window to what is kept of all of them.
    fn count_in(&mut self, fill: &GroupFill) {
        self.add(fill, 1);
        let index = fill.instrument.index().unwrap_or(0);
        if self.per_contract.len() <= index {
            self.per_contract.resize(index + 1, 0);
        }
        self.per_contract[index] += 1;
        self.contracts += usize::from(self.per_contract[index] == 1);
    }

    /// Lets go what left the window.
    fn forget(&mut self, now: Nanos) {
        let window = i64::from(self.terms.window_ms) * MILLISECOND;
        while let Some(fill) = self.fills.front().copied() {
            if now < fill.at.after(window) {
                break;
            }
            self.fills.pop_front();
            self.add(&fill, -1);
            let count = &mut self.per_contract[fill.instrument.index().unwrap_or(0)];
            *count -= 1;
            self.contracts -= usize::from(*count == 0);
        }
    }

    fn add(&mut self, fill: &GroupFill, times: i128) {
        self.quantity += times * i128::from(fill.signed.abs());
        self.net += times * i128::from(fill.signed);
        self.notional += times * i128::from(fill.value);
    }

    /// The first limit that is hit (MMP-04).
    fn hit(&self) -> Option<MmpLimit> {
        let terms = &self.terms;
        let reached = |sum: i128, limit: i64| limit > 0 && sum >= i128::from(limit);
        let count = |number: usize| i128::try_from(number).unwrap_or(i128::MAX);
        if reached(self.quantity, terms.quantity_limit) {
            Some(MmpLimit::Quantity)
        } else if reached(self.net.abs(), terms.net_limit) {
            Some(MmpLimit::Net)
        } else if reached(self.notional, terms.notional_limit) {
            Some(MmpLimit::Notional)
        } else if reached(count(self.fills.len()), terms.fill_limit.into())
            || self.fills.len() >= limits::MMP_FILLS
        {
            Some(MmpLimit::Fills)
        } else if reached(count(self.contracts), terms.contracts_limit.into()) {
            Some(MmpLimit::Contracts)
        } else {
            None
        }
    }

    fn clear(&mut self) {
        self.fills.clear();
        (self.quantity, self.net, self.notional) = (0, 0, 0);
        self.per_contract.fill(0);
        self.contracts = 0;
        self.frozen = false;
        self.until = Nanos::ZERO;
    }
}

/// What the limits of a group say to one more fill that is counted, not done (ORDER-05).
pub(super) enum Strain {
    /// No limit was hit before it.
    Bears,
    /// A limit may be hit before it.
    MayBreak,
    /// More groups than one count keeps apart.
    TooMany,
}

/// A group with the fills that were counted.
#[derive(Clone, Copy)]
struct Bearing {
    account: AccountId,
    number: u16,
    quantity: i128,
    notional: i128,
    fills: usize,
    broken: bool,
}

/// The groups that a count of what can trade has met.
pub(super) struct Strained {
    groups: [Bearing; limits::COUNTED_GROUPS],
    met: usize,
}

impl Strained {
    pub(super) fn new() -> Self {
        let nobody = Bearing {
            account: AccountId::NONE,
            number: 0,
            quantity: 0,
            notional: 0,
            fills: 0,
            broken: false,
        };
        Self {
            groups: [nobody; limits::COUNTED_GROUPS],
            met: 0,
        }
    }
}

impl Group {
    /// Whether a limit is hit, or might be: fills of the other side may have left the window since the
    /// last one, so the net is at most the sum of all.
    fn may_break(&self, bearing: &Bearing, contracts: usize) -> bool {
        let terms = &self.terms;
        let reached = |sum: i128, limit: i64| limit > 0 && sum >= i128::from(limit);
        let count = |number: usize| i128::try_from(number).unwrap_or(i128::MAX);
        reached(bearing.quantity, terms.quantity_limit)
            || reached(bearing.quantity, terms.net_limit)
            || reached(bearing.notional, terms.notional_limit)
            || reached(count(bearing.fills), terms.fill_limit.into())
            || bearing.fills >= limits::MMP_FILLS
            || reached(count(contracts), terms.contracts_limit.into())
    }
}

fn place(slot: u8, side: Side) -> usize {
    usize::from(slot) * 2 + usize::from(side == Side::Sell)
}

/// Whole hours of a contract's delivery window, at least one.
fn hours(contract: &Instrument) -> i64 {
    let window = &contract.terms.window;
    ((window.end.0 - window.start.0) / (3_600 * SECOND)).max(1)
}

impl Exchange {
    /// A protection group of an account.
    #[must_use]
    pub fn group(&self, account: AccountId, number: u16) -> Option<&Group> {
        let groups = &self.account(account)?.groups;
        let at = groups.binary_search_by_key(&number, |group| group.terms.mmp_group);
        groups.get(at.ok()?)
    }

    pub(super) fn group_mut(&mut self, account: AccountId, number: u16) -> Option<&mut Group> {
        let groups = &mut self.account_mut(account)?.groups;
        let at = groups.binary_search_by_key(&number, |group| group.terms.mmp_group);
        groups.get_mut(at.ok()?)
    }

    /// Rank 12: an order's group is there, covers its contract, and is not frozen (MMP-02).
    pub(super) fn check_group(
        &self,
        account: AccountId,
        number: u16,
        contract: &Instrument,
    ) -> Result<(), Problem> {
        if number == 0 {
            return Ok(());
        }
        match self.group(account, number) {
            Some(group) if group.terms.product == contract.product => {
                if group.frozen {
                    return Err(Problem::about(Reason::MmpFrozen, Field::MmpGroup));
                }
                Ok(())
            }
            _ => Err(Problem::about(Reason::NotFound, Field::MmpGroup)),
        }
    }

    /// Creates or replaces a group (MMP-01).
    pub(super) fn set_mmp_group(&mut self, set: &MmpGroup, out: &mut Vec<Event>) -> Outcome {
        let not_found = |field| Problem::about(Reason::NotFound, field);
        let account = self.account(set.account).ok_or(not_found(Field::Account))?;
        if set
            .product
            .index()
            .is_none_or(|at| at >= self.products.len())
        {
            return Err(not_found(Field::Product));
        }
        check_terms(set)?;
        let number = set.mmp_group;
        let at = account
            .groups
            .binary_search_by_key(&number, |group| group.terms.mmp_group);
        match at {
            Err(_) if account.groups.len() >= limits::MMP_GROUPS => {
                let groups = account.groups.len() + 1;
                let problem = super::batch::too_many(limits::MMP_GROUPS, groups);
                return Err(Problem {
                    field: Field::MmpGroup,
                    ..problem
                });
            }
            Err(at) => {
                let groups = self.account_mut(set.account).map(|row| &mut row.groups);
                groups
                    .ok_or(not_found(Field::Account))?
                    .insert(at, Group::new(*set));
            }
            Ok(_) => {
                let other = self
                    .group(set.account, number)
                    .is_some_and(|group| group.terms.product != set.product);
                let lives = |order: &crate::order::Order| order.terms.mmp_group == number;
                if other && self.orders_of(set.account).any(lives) {
                    return Err(Problem::about(Reason::IllegalTransition, Field::Product));
                }
                let frozen = self.unfreeze(set.account, number);
                if let Some(group) = self.group_mut(set.account, number) {
                    group.terms = *set;
                }
                if frozen {
                    out.push(thawed(set.account, number));
                }
            }
        }
        Ok(made(u32::from(number)))
    }

    /// Ends a freeze by the client's wish (MMP-05).
    pub(super) fn reset_mmp(&mut self, reset: &ResetMmp, out: &mut Vec<Event>) {
        if matches!(self.enter(&reset.origin, out), Door::Shut) {
            return;
        }
        let origin = &reset.origin;
        if let Err(problem) = self.check_deadline(origin) {
            return self.refuse(origin, problem, out);
        }
        if self.group(origin.account, reset.mmp_group).is_none() {
            let problem = Problem::about(Reason::NotFound, Field::MmpGroup);
            return self.refuse(origin, problem, out);
        }
        self.unfreeze(origin.account, reset.mmp_group);
        out.push(thawed(origin.account, reset.mmp_group));
    }

    /// A freeze is over.
    pub(super) fn thaw(
        &mut self,
        account: AccountId,
        number: u16,
        due: Nanos,
        out: &mut Vec<Event>,
    ) {
        let waits = |group: &Group| group.frozen && group.until == due;
        if self.group(account, number).is_some_and(waits) {
            self.unfreeze(account, number);
            out.push(thawed(account, number));
        }
    }

    /// Counters to zero, no freeze; answers whether there was one.
    fn unfreeze(&mut self, account: AccountId, number: u16) -> bool {
        let Some(group) = self.group_mut(account, number) else {
            return false;
        };
        let (frozen, until) = (group.frozen, group.until);
        group.clear();
        if until != Nanos::ZERO {
            self.timers.clear(until, Timer::Thaw(account, number));
        }
        frozen
    }

    /// Counts a fill of an order in a group that would come next, from the sums of the group's last real
    /// fill on. After a `vague` one, whose lots or whose number are not known, the group bears no more.
    pub(super) fn strain(
        &self,
        strained: &mut Strained,
        order: &Order,
        (price, lots): (Ticks, Lots),
        vague: bool,
    ) -> Strain {
        let (account, number) = (order.account, order.terms.mmp_group);
        let Some(group) = self.group(account, number) else {
            return Strain::MayBreak;
        };
        let same = |row: &Bearing| (row.account, row.number) == (account, number);
        let place = match strained.groups[..strained.met].iter().position(same) {
            Some(place) => place,
            None if strained.met == limits::COUNTED_GROUPS => return Strain::TooMany,
            None => {
                strained.groups[strained.met] = Bearing {
                    account,
                    number,
                    quantity: group.quantity,
                    notional: group.notional,
                    fills: group.fills.len(),
                    broken: false,
                };
                strained.met += 1;
                strained.met - 1
            }
        };
        let bearing = &mut strained.groups[place];
        if bearing.broken {
            return Strain::MayBreak;
        }
        let contract = self.contract(order.terms.instrument);
        let value = if contract.terms.kind.is_combination() {
            self.worth(contract, price, lots)
        } else {
            let value = contract.tick_value.money(price.times(lots));
            value.0.saturating_abs()
        };
        bearing.quantity += i128::from(lots.0.saturating_mul(hours(contract)));
        bearing.notional += i128::from(value);
        bearing.fills += 1;
        let index = contract.id.index().unwrap_or(0);
        let fresh = group
            .per_contract
            .get(index)
            .is_none_or(|fills| *fills == 0);
        let contracts = group.contracts + usize::from(fresh);
        bearing.broken = vague || group.may_break(bearing, contracts);
        Strain::Bears
    }

    /// Counts a trade for the groups of both its orders, the first one's before the second one's, and
    /// freezes those that reached a limit (MMP-03, MMP-04).
    pub(super) fn protect(
        &mut self,
        slots: [u32; 2],
        lots: Lots,
        value: Minor,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) {
        for slot in slots {
            self.count_fill(slot, lots, value);
        }
        for slot in slots {
            self.freeze_if_hit(slot, slots[1], commander, out);
        }
    }

    /// As [`Self::protect`], for a trade of many orders, each with its value.
    pub(super) fn protect_all(
        &mut self,
        fills: &[(u32, Minor)],
        taker: u32,
        lots: Lots,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) {
        for (slot, value) in fills {
            self.count_fill(*slot, lots, *value);
        }
        for (slot, _) in fills {
            self.freeze_if_hit(*slot, taker, commander, out);
        }
    }

    fn count_fill(&mut self, slot: u32, lots: Lots, value: Minor) {
        let order = self.orders.at(slot);
        if order.terms.mmp_group == 0 {
            return;
        }
        let (account, number) = (order.account, order.terms.mmp_group);
        let (instrument, side) = (order.terms.instrument, order.terms.side);
        let weight = lots.0.saturating_mul(hours(self.contract(instrument)));
        let now = self.at;
        let fill = GroupFill {
            at: now,
            instrument,
            signed: side.signed(Lots(weight)).0,
            value: value.0.saturating_abs(),
        };
        if let Some(group) = self.group_mut(account, number) {
            group.count(now, fill);
        }
    }

    fn freeze_if_hit(&mut self, slot: u32, taker: u32, commander: &Origin, out: &mut Vec<Event>) {
        let order = self.orders.at(slot);
        let (account, number) = (order.account, order.terms.mmp_group);
        let now = self.at;
        if number == 0 {
            return;
        }
        let Some(group) = self.group_mut(account, number) else {
            return;
        };
        let Some(limit) = group.hit().filter(|_| !group.frozen) else {
            return;
        };
        group.frozen = true;
        if group.terms.frozen_ms > 0 {
            group.until = now.after(i64::from(group.terms.frozen_ms) * MILLISECOND);
        }
        let until = group.until;
        if until != Nanos::ZERO {
            self.timers.set(until, Timer::Thaw(account, number));
        }
        let mut cancelled = 0;
        for slot in self.slots_where(account, |order| order.terms.mmp_group == number) {
            // What is left of the incoming order is the commander's; the others it did not name.
            let aside = bystander(commander);
            let by = if slot == taker { commander } else { &aside };
            self.end(slot, Reason::MmpTriggered, by, out);
            cancelled += 1;
        }
        out.push(Event::Mmp(MmpChange {
            account,
            mmp_group: number,
            frozen: true,
            until,
            limit: Some(limit),
            cancelled,
        }));
    }

    /// Every quote stands at its place, a frozen group has no orders, and the window's sums add up.
    pub(super) fn recount_groups(&self) -> Result<(), String> {
        for account in &self.accounts {
            for order in self.orders_of(account.id) {
                let number = order.terms.mmp_group;
                let group = self.group(account.id, number);
                if number != 0 && group.is_none_or(|group| group.frozen) {
                    return Err(format!("{:?} lives in a frozen or unknown group", order.id));
                }
                let (contract, side) = (order.terms.instrument, order.terms.side);
                let place = |key: crate::event::QuoteKey| {
                    group.map(|group| group.quote_at(contract, key.slot, side))
                };
                if order.quote.is_some_and(|key| place(key) != Some(order.id)) {
                    return Err(format!(
                        "{:?} does not stand at its quote's place",
                        order.id
                    ));
                }
            }
            for group in &account.groups {
                let mut counted = Group::new(group.terms);
                for fill in &group.fills {
                    counted.count(fill.at, *fill);
                }
                let sums = |group: &Group| (group.quantity, group.net, group.notional);
                if sums(&counted) != sums(group) || counted.contracts != group.contracts {
                    let number = group.terms.mmp_group;
                    return Err(format!("{:?}: sums of group {number} are off", account.id));
                }
            }
        }
        Ok(())
    }
}

fn thawed(account: AccountId, mmp_group: u16) -> Event {
    Event::Mmp(MmpChange {
        account,
        mmp_group,
        frozen: false,
        until: Nanos::ZERO,
        limit: None,
        cancelled: 0,
    })
}

fn check_terms(set: &MmpGroup) -> Result<(), Problem> {
    let invalid = |field| Err(Problem::about(Reason::InvalidField, field));
    if set.mmp_group == 0 {
        return invalid(Field::MmpGroup);
    }
    if !limits::MMP_WINDOW_MS.contains(&set.window_ms) {
        return invalid(Field::Window);
    }
    if !(0..=limits::MMP_FROZEN_MS).contains(&set.frozen_ms) {
        return invalid(Field::Timer);
    }
    let counts = [set.fill_limit, set.contracts_limit].map(i64::from);
    let sums = [set.quantity_limit, set.net_limit, set.notional_limit];
    let negative = counts.iter().chain(&sums).any(|limit| *limit < 0);
    if negative || !(1..=limits::ORDER_LOTS).contains(&set.max_quote_lots.0) {
        return invalid(Field::Limit);
    }
    Ok(())
}
