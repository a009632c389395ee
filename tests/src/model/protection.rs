//! MMP: groups of orders that leave together when too much of them was filled too quickly.

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    command::{MmpGroup, ResetMmp},
    event::{MmpLimit, OrderStatus},
    ids::{AccountId, InstrumentId},
    limits,
    reason::Reason,
    units::{MILLISECOND, SECOND},
};

use super::{Contract, Model, Order, narrow};
use crate::rows::Told;

/// A protection group.
#[derive(Clone, Debug)]
pub struct Group {
    /// As set.
    pub terms: MmpGroup,
    /// Frozen until then; 0 = until a reset.
    pub frozen: Option<i64>,
    fills: Vec<GroupFill>,
}

/// MMP-03: one fill, as it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupFill {
    at: i64,
    quantity: i128,
    net: i128,
    notional: i128,
    contract: InstrumentId,
}

impl Group {
    /// MMP-04: the first limit that the fills inside the window hit.
    fn hit(&self, now: i64) -> Option<MmpLimit> {
        let window = i64::from(self.terms.window_ms) * MILLISECOND;
        let inside = self.fills.iter().filter(|fill| now < fill.at + window);
        let inside: Vec<&GroupFill> = inside.collect();
        let sum = |part: fn(&GroupFill) -> i128| inside.iter().map(|fill| part(fill)).sum::<i128>();
        let contracts: BTreeSet<InstrumentId> = inside.iter().map(|fill| fill.contract).collect();
        let (fills, contracts) = (inside.len() as i128, contracts.len() as i128);
        let reached = |limit: i128, sum: i128| limit > 0 && sum >= limit;
        let terms = &self.terms;
        [
            (
                MmpLimit::Quantity,
                terms.quantity_limit.into(),
                sum(|fill| fill.quantity),
            ),
            (
                MmpLimit::Net,
                terms.net_limit.into(),
                sum(|fill| fill.net).abs(),
            ),
            (
                MmpLimit::Notional,
                terms.notional_limit.into(),
                sum(|fill| fill.notional),
            ),
            (MmpLimit::Fills, terms.fill_limit.into(), fills),
            (MmpLimit::Fills, limits::MMP_FILLS as i128, fills),
            (MmpLimit::Contracts, terms.contracts_limit.into(), contracts),
        ]
        .into_iter()
        .find(|(_, limit, sum)| reached(*limit, *sum))
        .map(|(name, _, _)| name)
    }
}

/// ORDER-05: the groups a count has met, with their fills and those that were counted; none for a group
/// of which no further order counts.
pub(super) type Met = BTreeMap<(AccountId, u16), Option<Vec<GroupFill>>>;

/// MMP-03: whole hours of the delivery window, at least one.
fn hours(contract: &Contract) -> i128 {
    let window = contract.terms.window;
    i128::from((window.end.0 - window.start.0) / (3_600 * SECOND)).max(1)
}

impl Model {
    /// MMP-01.
    pub(super) fn set_mmp_group(&mut self, body: MmpGroup) -> Result<(), Reason> {
        let product = body
            .product
            .index()
            .is_some_and(|at| at < self.products.len());
        if !self.accounts.contains_key(&body.account) || !product {
            return Err(Reason::NotFound);
        }
        let mut limits_set = [body.quantity_limit, body.net_limit, body.notional_limit]
            .into_iter()
            .chain([body.fill_limit.into(), body.contracts_limit.into()]);
        if body.mmp_group == 0
            || !limits::MMP_WINDOW_MS.contains(&body.window_ms)
            || !(0..=limits::MMP_FROZEN_MS).contains(&body.frozen_ms)
            || limits_set.any(|limit| limit < 0)
            || !(1..=limits::ORDER_LOTS).contains(&body.max_quote_lots.0)
        {
            return Err(Reason::InvalidField);
        }
        let key = (body.account, body.mmp_group);
        match self.groups.get(&key) {
            None => {
                let own = self.groups.keys().filter(|(of, _)| *of == body.account);
                if own.count() >= limits::MMP_GROUPS {
                    return Err(Reason::TooManyItems);
                }
            }
            Some(old) if old.terms.product != body.product => {
                if self.orders.values().any(|order| of_group(order, key)) {
                    return Err(Reason::IllegalTransition);
                }
            }
            Some(_) => {}
        }
        let group = Group {
            terms: body,
            frozen: None,
            fills: Vec::new(),
        };
        let old = self.groups.insert(key, group);
        if old.is_some_and(|old| old.frozen.is_some()) {
            let told = Told::Mmp(key.0, key.1, false, 0, None, 0);
            self.seen.told.push(told);
        }
        Ok(())
    }

    /// MMP-02.
    pub(super) fn check_group(
        &self,
        account: AccountId,
        contract: &Contract,
        group: u16,
    ) -> Result<(), Reason> {
        if group == 0 {
            return Ok(());
        }
        match self.groups.get(&(account, group)) {
            Some(group) if group.terms.product != contract.product => Err(Reason::NotFound),
            Some(group) if group.frozen.is_some() => Err(Reason::MmpFrozen),
            Some(_) => Ok(()),
            None => Err(Reason::NotFound),
        }
    }

    /// MMP-03: a fill counts for the group of its order.
    pub(super) fn protect(&mut self, order: &Order, price: i64, lots: i64, value: i128) {
        let combined = self.contracts[&order.terms.instrument].is_combination();
        debug_assert!((price > 0 || combined) && lots > 0, "a fill of something");
        let hours = hours(&self.contracts[&order.terms.instrument]);
        let at = self.now;
        let quantity = i128::from(lots) * hours;
        let fill = GroupFill {
            at,
            quantity,
            net: match order.terms.side {
                engine::command::Side::Buy => quantity,
                engine::command::Side::Sell => -quantity,
            },
            notional: value.abs(),
            contract: order.terms.instrument,
        };
        let key = (order.key.0, order.terms.mmp_group);
        if let Some(group) = self.groups.get_mut(&key) {
            group.fills.push(fill);
        }
    }

    /// ORDER-05: whether an order of a group counts; no answer if it is one group too many. After one
    /// that is not `plain` no other of its group does.
    pub(super) fn group_bears(&self, met: &mut Met, order: &Order, plain: bool) -> Option<bool> {
        let (key, id) = ((order.key.0, order.terms.mmp_group), order.terms.instrument);
        let group = &self.groups[&key];
        if met.len() == limits::COUNTED_GROUPS && !met.contains_key(&key) {
            return None;
        }
        let its = met.entry(key).or_insert_with(|| {
            let window = i64::from(group.terms.window_ms) * MILLISECOND;
            let last = group.fills.iter().map(|fill| fill.at).max();
            let mut fills = group.fills.clone();
            fills.retain(|fill| last.is_some_and(|last| last < fill.at + window));
            Some(fills)
        });
        let Some(fills) = its else {
            return Some(false);
        };
        let contract = &self.contracts[&id];
        let quantity = i128::from(order.shown()) * hours(contract);
        fills.push(GroupFill {
            at: self.now,
            quantity,
            net: quantity,
            notional: self.notional(contract, order.price, order.shown()).abs(),
            contract: id,
        });
        let sum = |part: fn(&GroupFill) -> i128| fills.iter().map(part).sum::<i128>();
        let contracts: BTreeSet<InstrumentId> = fills.iter().map(|fill| fill.contract).collect();
        let all = sum(|fill| fill.quantity);
        let terms = &group.terms;
        let limits_hit = [
            (i128::from(terms.quantity_limit), all),
            (terms.net_limit.into(), all),
            (terms.notional_limit.into(), sum(|fill| fill.notional)),
            (terms.fill_limit.into(), fills.len() as i128),
            (limits::MMP_FILLS as i128, fills.len() as i128),
            (terms.contracts_limit.into(), contracts.len() as i128),
        ];
        let hit = limits_hit
            .iter()
            .any(|(limit, sum)| *limit > 0 && sum >= limit);
        if hit || !plain {
            *its = None;
        }
        Some(true)
    }

    /// MMP-04.
    pub(super) fn freeze_if_hit(&mut self, order: &Order) {
        let (now, key) = (self.now, (order.key.0, order.terms.mmp_group));
        let Some(group) = self
            .groups
            .get_mut(&key)
            .filter(|group| group.frozen.is_none())
        else {
            return;
        };
        let Some(limit) = group.hit(now) else { return };
        let until = match group.terms.frozen_ms {
            0 => 0,
            frozen_ms => now + i64::from(frozen_ms) * MILLISECOND,
        };
        group.frozen = Some(until);
        let keys = self.oldest_first(|order| of_group(order, key));
        for key in &keys {
            self.end(*key, OrderStatus::Cancelled, Reason::MmpTriggered);
        }
        let cancelled = narrow(keys.len() as u64);
        let told = Told::Mmp(key.0, key.1, true, until, Some(limit), cancelled);
        self.seen.told.push(told);
    }

    /// MMP-05.
    pub(super) fn thaw(&mut self, key: (AccountId, u16)) {
        if let Some(group) = self.groups.get_mut(&key) {
            group.frozen = None;
            group.fills.clear();
            self.seen
                .told
                .push(Told::Mmp(key.0, key.1, false, 0, None, 0));
        }
    }

    /// MMP-05.
    pub(super) fn reset_mmp(&mut self, reset: &ResetMmp) {
        if !self.enter(&reset.origin) {
            return;
        }
        if !self.in_time(&reset.origin) {
            return self.refuse_numbered(Reason::DeadlinePassed);
        }
        let key = (reset.origin.account, reset.mmp_group);
        if !self.groups.contains_key(&key) {
            return self.refuse_numbered(Reason::NotFound);
        }
        self.thaw(key);
    }
}

fn of_group(order: &Order, (account, group): (AccountId, u16)) -> bool {
    order.key.0 == account && order.terms.mmp_group == group
}
