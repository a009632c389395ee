//! Margin of whole families of forwards (MARGIN): what the scenarios ask for in each maturity, raised before
//! what a chain will do, and what opposite maturities are credited.
//!
//! Rates change at midnight, with a block or by the operator, and are told as changes of the contracts; an
//! order only reads what they left at the mark. Credit is kept along: a command that moves no sure lots of an
//! account with both sides costs one comparison.

use std::collections::BTreeSet;

use bincode::{Decode, Encode};

use super::{Exchange, Timer, admin::Outcome};
use crate::{
    command::{ChainCalendar, MarginMethod},
    event::{Done, Event},
    ids::{AssetId, CommodityId, FeedId, InstrumentId},
    instrument::{Instrument, Kind, TradingState},
    limits,
    margin::{Worst, across_a_step, worst},
    reason::{Field, Problem, Reason},
    units::{DAY, MILLISECOND, Nanos, PPM, Ppm, div_up},
};

mod credit;
mod saved;

pub(super) use credit::Sure;

/// A whole, in parts per million.
const WHOLE: i32 = 1_000_000;
/// An hour in nanoseconds.
const HOUR: i64 = DAY / 24;

/// Forwards of one commodity that are paid in one asset.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Family {
    /// As set.
    pub method: MarginMethod,
    /// Its contracts that are not settled, with the month their window begins in, counted from year 0; by
    /// month and number.
    contracts: Vec<(u32, InstrumentId)>,
}

/// All families, and what each account is credited in them.
#[derive(Clone, Debug, Default)]
pub(super) struct Margins {
    families: Vec<Family>,
    /// By family, by account; as long as needed.
    rows: Vec<Vec<credit::Row>>,
}

/// What a family asks for in one of its contracts, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The contract's own terms, long and short: the floor.
    pub floor: (Ppm, Ppm),
    /// Share of the ranges that its bucket has.
    pub share: Ppm,
    /// The next retarget counts.
    pub retarget: bool,
    /// The outcomes that decide.
    pub worst: Worst,
    /// Added because the window is open.
    pub delivery: Ppm,
    /// A known step: its size, and days of the window before and after it.
    pub step: Option<(Ppm, i64, i64)>,
    /// In force, long and short.
    pub rates: (Ppm, Ppm),
}

impl Exchange {
    /// Families with a margin method, in the order they were first set.
    #[must_use]
    pub fn families(&self) -> &[Family] {
        &self.margins.families
    }

    /// What the family of a contract asks for in it now; none outside of families.
    #[must_use]
    pub fn asked(&self, id: InstrumentId) -> Option<Asked> {
        let contract = self.instrument(id)?;
        let family = self.family_of(contract)?;
        let method = &family.method;
        let day = |moment: Nanos| moment.0.div_euclid(DAY);
        let days = (day(contract.terms.window.start) - day(self.at)).max(0);
        let tenor = method.tenors.iter();
        let tenor = tenor.clone().find(|tenor| days < i64::from(tenor.days));
        let tenor = tenor.or(method.tenors.last());
        let share = tenor.map_or(Ppm(WHOLE), |tenor| tenor.share);
        let retarget = self.retarget_is_near(method.calendar.as_ref());
        let worst = worst(&method.ranges.scaled(share, retarget));
        let delivery = match days {
            0 => method.delivery,
            _ => Ppm(0),
        };
        let step = self.step_inside(method, contract);
        let floor = contract.terms.margin.rates();
        let rate = |scenario: Ppm, floor: Ppm| {
            let rate = Ppm((scenario.0 + delivery.0).min(WHOLE)).max(floor);
            step.map_or(rate, |(step, before, after)| {
                across_a_step(rate, step, before, after)
            })
        };
        Some(Asked {
            floor,
            share,
            retarget,
            worst,
            delivery,
            step,
            rates: (
                rate(worst.long.rate, floor.0),
                rate(worst.short.rate, floor.1),
            ),
        })
    }

    /// Whether the next retarget counts: its notice has begun, or nothing is known about it (MARGIN-03).
    fn retarget_is_near(&self, calendar: Option<&ChainCalendar>) -> bool {
        let Some(calendar) = calendar.filter(|calendar| calendar.retarget_blocks > 0) else {
            return true;
        };
        let Some(height) = self.height_of(calendar.feed) else {
            return true;
        };
        let every = u64::from(calendar.retarget_blocks);
        // The block after the tip is the next one that can bring it.
        let left = every - height % every;
        let time = i128::from(left) * i128::from(calendar.block_ms) * i128::from(MILLISECOND);
        time <= i128::from(calendar.retarget_notice_hours) * i128::from(HOUR)
    }

    /// A known step of the subsidy whose notice has begun: its size, and how many days of what a contract has
    /// not settled lie before and after it (MARGIN-04). Half a day counts as after.
    fn step_inside(&self, method: &MarginMethod, contract: &Instrument) -> Option<(Ppm, i64, i64)> {
        let calendar = method.calendar.as_ref()?;
        let step = calendar.step?;
        let height = self.height_of(calendar.feed)?;
        let left = step.height.checked_sub(height).filter(|left| *left > 0)?;
        let wait = i128::from(left) * i128::from(calendar.block_ms) * i128::from(MILLISECOND);
        if wait > i128::from(step.notice_days) * i128::from(DAY) {
            return None;
        }
        let due = i64::try_from(i128::from(self.at.0) + wait).ok()?;
        let (start, end) = (contract.settled_until.0, contract.terms.window.end.0);
        if due >= end {
            return None;
        }
        let days = (end - start) / DAY;
        let before = ((due - start) / DAY).clamp(0, days);
        // Fees stay: a halving takes its part of the subsidy alone.
        let subsidy = i64::from(WHOLE - method.ranges.fee_share.0);
        let lost = i64::from(WHOLE - step.left.0);
        let size = Ppm(i32::try_from(div_up(i128::from(subsidy * lost), PPM)).unwrap_or(WHOLE));
        Some((size, before, days - before))
    }

    /// Height of a chain as its sources agree.
    pub(super) fn height_of(&self, feed: FeedId) -> Option<u64> {
        let agreed = self.feed(feed)?.agreed?;
        Some(agreed.tip.height)
    }

    pub(super) fn family_of(&self, contract: &Instrument) -> Option<&Family> {
        let place = usize::from(contract.family).checked_sub(1)?;
        self.margins.families.get(place)
    }

    /// Sets the margin of a family; everything that follows changes at once (MARGIN-01).
    pub(super) fn set_margin_method(
        &mut self,
        method: &MarginMethod,
        out: &mut Vec<Event>,
    ) -> Outcome {
        self.check_margin_method(method)?;
        let key = (method.commodity, method.asset);
        let families = &mut self.margins.families;
        let known = families.iter().position(|family| family.key() == key);
        let place = known.unwrap_or(families.len());
        match families.get_mut(place) {
            Some(family) => family.method = method.clone(),
            None => families.push(Family {
                method: method.clone(),
                contracts: Vec::new(),
            }),
        }
        if known.is_none() {
            let midnight = Nanos(self.at.end_of_utc_day().0);
            self.timers.set(midnight, Timer::Margin(key.0, key.1));
            for at in 0..self.instruments.len() {
                self.join_family(InstrumentId::nth(at));
            }
        }
        let changed = self.ask_anew(place, true, out);
        Ok(Done {
            object: u64::try_from(place + 1).unwrap_or(0),
            count: changed,
            cancelled: 0,
            first_seq: 0,
        })
    }

    fn check_margin_method(&self, method: &MarginMethod) -> Result<(), Problem> {
        let known = |index: Option<usize>, rows: usize, field| match index {
            Some(index) if index < rows => Ok(()),
            _ => Err(Problem::about(Reason::NotFound, field)),
        };
        known(
            method.commodity.index(),
            self.commodities.len(),
            Field::Commodity,
        )?;
        known(method.asset.index(), self.assets.len(), Field::Asset)?;
        let ranges = &method.ranges;
        let (nine, one) = (i64::from(WHOLE / 10 * 9), i64::from(WHOLE));
        let tenors = method.tenors.len() <= limits::MARGIN_TENORS
            && method
                .tenors
                .windows(2)
                .all(|two| two[0].days < two[1].days);
        if !tenors {
            let most = i64::try_from(limits::MARGIN_TENORS).unwrap_or(0);
            let count = i64::try_from(method.tenors.len()).unwrap_or(i64::MAX);
            let reason = Reason::InvalidField;
            return Err(Problem::limit(reason, Field::Window, most, count));
        }
        let mut checks = vec![
            (ranges.price.0.into(), 0, nine, Field::Price),
            (ranges.difficulty.0.into(), 0, nine, Field::Margin),
            (ranges.fee_share.0.into(), 0, one, Field::Fee),
            (ranges.fees.0.into(), 0, one, Field::Fee),
            (ranges.retarget_down.0.into(), 0, nine, Field::Margin),
            (ranges.retarget_up.0.into(), 0, nine, Field::Margin),
            (ranges.extreme_counts.0.into(), 0, one, Field::Margin),
            (method.delivery.0.into(), 0, one, Field::Margin),
            (method.adjacent_credit.0.into(), 0, one, Field::Margin),
            (
                method.other_credit.0.into(),
                0,
                method.adjacent_credit.0.into(),
                Field::Margin,
            ),
        ];
        for tenor in &method.tenors {
            checks.push((tenor.days.into(), 1, 10_000, Field::Window));
            checks.push((tenor.share.0.into(), 0, 2 * one, Field::Window));
        }
        if let Some(calendar) = &method.calendar {
            if self.feed(calendar.feed).is_none() {
                return Err(Problem::about(Reason::NotFound, Field::Feed));
            }
            checks.push((calendar.block_ms.into(), 100, 3_600_000, Field::Timer));
            checks.push((calendar.retarget_blocks.into(), 0, one, Field::Height));
            let notice = calendar.retarget_notice_hours.into();
            checks.push((notice, 0, 8_760, Field::Timer));
            if let Some(step) = calendar.step {
                checks.push((step.left.0.into(), 0, one, Field::Value));
                checks.push((step.notice_days.into(), 0, 1_000, Field::Timer));
            }
        }
        for (value, least, most, field) in checks {
            if !(least..=most).contains(&value) {
                let limit = if value < least { least } else { most };
                return Err(Problem::limit(Reason::InvalidField, field, limit, value));
            }
        }
        Ok(())
    }

    /// A contract becomes part of its family, if that has a method.
    pub(super) fn join_family(&mut self, id: InstrumentId) {
        let contract = self.contract(id);
        if contract.terms.kind != Kind::Forward || contract.state == TradingState::Settled {
            return;
        }
        let key = (contract.terms.commodity, contract.terms.price_asset);
        let month = contract.terms.window.start.utc_month();
        let families = &mut self.margins.families;
        let Some(place) = families.iter().position(|family| family.key() == key) else {
            return;
        };
        let contracts = &mut families[place].contracts;
        if let Err(at) = contracts.binary_search(&(month, id)) {
            contracts.insert(at, (month, id));
        }
        self.contract_mut(id).family = u16::try_from(place + 1).unwrap_or(0);
        if let Some(asked) = self.asked(id) {
            let contract = self.contract_mut(id);
            contract.rates = asked.rates;
            contract.mark_at(contract.mark);
        }
    }

    /// Computes what a family asks for; says which contracts ask for something else now, and looks at
    /// everybody who holds them. Answers with their number. `credit`: the rates of credit are new, too.
    fn ask_anew(&mut self, place: usize, credit: bool, out: &mut Vec<Event>) -> u32 {
        let settled = |exchange: &Self, id| exchange.contract(id).state == TradingState::Settled;
        let mut contracts = std::mem::take(&mut self.margins.families[place].contracts);
        contracts.retain(|(_, id)| !settled(self, *id));
        self.margins.families[place]
            .contracts
            .clone_from(&contracts);
        let mut changed = BTreeSet::new();
        for (_, id) in contracts {
            let rates = self.asked(id).map_or((Ppm(0), Ppm(0)), |asked| asked.rates);
            let moved = self.contract(id).rates != rates;
            if moved {
                self.reference_version += 1;
                let version = self.reference_version;
                let contract = self.contract_mut(id);
                (contract.rates, contract.version) = (rates, version);
                contract.mark_at(contract.mark);
                changed.insert((contract.terms.index, id));
                out.push(Event::Listed(id));
            }
            if moved || credit {
                let holders = self.positions.in_instrument(id);
                let holders: Vec<_> = holders.map(|position| position.account).collect();
                for account in holders {
                    self.rehold(account, id);
                }
            }
        }
        if credit {
            self.credit_anew(place);
        }
        let mut indexes: Vec<_> = changed.iter().map(|(index, _)| *index).collect();
        indexes.dedup();
        for index in indexes {
            self.check_margins(index, out);
        }
        u32::try_from(changed.len()).unwrap_or(u32::MAX)
    }

    /// A day has gone by: maturities are nearer (MARGIN-02).
    pub(super) fn age_family(
        &mut self,
        (commodity, asset): (CommodityId, AssetId),
        due: Nanos,
        out: &mut Vec<Event>,
    ) {
        let midnight = due.after(DAY);
        self.timers.set(midnight, Timer::Margin(commodity, asset));
        let families = &self.margins.families;
        let place = families
            .iter()
            .position(|family| family.key() == (commodity, asset));
        if let Some(place) = place {
            self.ask_anew(place, false, out);
        }
    }

    /// A chain has grown: what it will do is nearer, or done.
    pub(super) fn follow_calendar(&mut self, feed: FeedId, out: &mut Vec<Event>) {
        for place in 0..self.margins.families.len() {
            let calendar = self.margins.families[place].method.calendar;
            if calendar.is_some_and(|calendar| calendar.feed == feed) {
                self.ask_anew(place, false, out);
            }
        }
    }
}

impl Family {
    /// Its contracts that are not settled, by the month their window begins in.
    pub fn contracts(&self) -> impl Iterator<Item = InstrumentId> + '_ {
        self.contracts.iter().map(|(_, id)| *id)
    }

    fn key(&self) -> (CommodityId, AssetId) {
        (self.method.commodity, self.method.asset)
    }
}
