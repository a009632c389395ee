//! Deciding. Every check of an order command, in the order RULES.md prints (RANK); nothing here
//! changes anything, so that the same code answers previews.

use super::{
    Account, Exchange,
    implied::Asker,
    protection::{Strain, Strained},
    remembered::fingerprint,
    states::{self, Action, Answer},
};
use crate::{
    command::{
        AccountStatus, OrderTerms, Origin, Place, PostOnly, Pricing, SelfTrade, Side, TimeInForce,
    },
    ids::{AccountId, InstrumentId},
    instrument::{Instrument, Kind},
    limits,
    order::Order,
    position::{Position, hold_of_one_lot},
    reason::{Field, Problem, Reason},
    units::{Lots, Minor, Nanos, Ppm, Ticks},
};

/// What an admitted order will be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted {
    /// Working price; may be slid.
    pub price: Ticks,
    /// Total, after a reduce-only cut.
    pub lots: Lots,
    /// Repriced by post-only.
    pub slid: bool,
    /// A pegged order without a place at the moment.
    pub asleep: bool,
    /// Money per open lot.
    pub hold_lot: Minor,
    /// When its time is over; 0 = never.
    pub expire: Nanos,
}

/// How often a refused command of a session counts.
pub(super) enum Door {
    /// Go on.
    Open,
    /// Already answered.
    Shut,
}

impl Exchange {
    /// Rank 1: the login is the present one and the number is new. Moves the session's number.
    pub(super) fn enter(&mut self, origin: &Origin, out: &mut Vec<crate::event::Event>) -> Door {
        if !origin.session.is_set() {
            return Door::Open;
        }
        let shut = match self.session_mut(origin.session) {
            Some(session)
                if session.login == origin.login
                    && session.account == origin.account
                    && session.presence == super::Presence::Connected =>
            {
                if origin.client_seq > session.last_client_seq {
                    session.last_client_seq = origin.client_seq;
                    return Door::Open;
                }
                Reason::StaleClientSeq
            }
            _ => Reason::SessionFenced,
        };
        // Not numbered: it belongs to no present login, or was answered before.
        let nobody = Origin {
            session: crate::ids::SessionId::NONE,
            ..*origin
        };
        self.refuse(&nobody, Problem::about(shut, Field::Session), out);
        Door::Shut
    }

    /// Rank 2.
    pub(super) fn check_deadline(&self, origin: &Origin) -> Result<(), Problem> {
        if origin.deadline.0 != 0 && origin.deadline < self.at {
            let (limit, actual) = (origin.deadline.0, self.at.0);
            return Err(Problem::limit(
                Reason::DeadlinePassed,
                Field::None,
                limit,
                actual,
            ));
        }
        Ok(())
    }

    /// Ranks 4 and 5: switches and the account's status.
    pub(super) fn check_trader(&self, origin: &Origin, reducing: bool) -> Result<(), Problem> {
        let account = self.account(origin.account);
        self.check_switches(origin)?;
        if !self.defaults.is_quiet() && self.is_liquidated(origin.account) {
            return Err(Problem::about(Reason::Liquidation, Field::Account));
        }
        match account.map(|account| account.status) {
            Some(AccountStatus::Active) => Ok(()),
            Some(AccountStatus::ReduceOnly) if reducing => Ok(()),
            _ => Err(Problem::about(Reason::AccountNotActive, Field::Account)),
        }
    }

    /// Ranks 4 to 17 for a new order.
    pub(super) fn admit(&self, place: &Place) -> Result<Admitted, Problem> {
        let (origin, order) = (&place.origin, &place.order);
        self.check_trader(origin, order.reduce_only)?;
        let contract = self
            .instrument(order.instrument)
            .ok_or(Problem::about(Reason::UnknownInstrument, Field::Instrument))?;
        let market = order.pricing == Pricing::Market;
        let (band_low, band_high) = contract.at_mark.band;
        let price = match (order.pricing, order.side) {
            (Pricing::Limit(price), _) => price,
            (Pricing::Market, Side::Buy) => band_high,
            (Pricing::Market, Side::Sell) => band_low.max(lowest_price(contract)),
            (Pricing::Peg(peg), _) => peg.cap,
        };
        let immediate = matches!(order.time_in_force, TimeInForce::Ioc | TimeInForce::Fok);
        let quiet = !immediate && !market;
        let waits = order.trigger.is_some();
        let pegged = matches!(order.pricing, Pricing::Peg(_));
        let at_auction = order.time_in_force == TimeInForce::AtAuction;
        // What takes nothing on entry cannot cross.
        let quiet = quiet || waits;
        let entry = if waits || pegged || at_auction {
            PostOnly::Slide
        } else {
            order.post_only
        };
        self.check_state(contract, order.side, price, quiet, entry)?;
        let combination = contract.terms.kind.is_combination();
        if combination {
            super::combinations::check_supported(order)?;
        }
        let other = order.post_only != PostOnly::No
            || order.display != Lots::ZERO
            || order.min_fill != Lots::ZERO
            || waits
            || pegged;
        if at_auction && other {
            return Err(Problem::about(
                Reason::UnsupportedCombination,
                Field::TimeInForce,
            ));
        }
        if market && !immediate {
            return Err(Problem::about(
                Reason::UnsupportedCombination,
                Field::TimeInForce,
            ));
        }
        if order.post_only != PostOnly::No && (market || immediate) {
            return Err(Problem::about(
                Reason::UnsupportedCombination,
                Field::PostOnly,
            ));
        }
        check_combination(order)?;
        let expire = self.expiry(order.time_in_force)?;
        check_price_range(contract, price)?;
        check_numbers(order)?;
        check_quantity(contract, order.lots)?;
        if order.display != Lots::ZERO {
            check_display(contract, order.display, order.lots)?;
        }
        check_band(contract, price)?;
        self.check_worth(contract, price, order.lots)?;
        let fresh;
        let position = match self.positions.get(origin.account, order.instrument) {
            Some(position) => position,
            None => {
                fresh = Position::new(origin.account, order.instrument);
                &fresh
            }
        };
        let most = contract.terms.limits.max_open_orders;
        if i64::from(position.orders) >= i64::from(most) || !self.orders.has_room() {
            let actual = i64::from(position.orders);
            return Err(Problem::limit(
                Reason::OpenOrderLimit,
                Field::None,
                most.into(),
                actual,
            ));
        }
        self.check_group(origin.account, order.mmp_group, contract)?;
        if pegged {
            self.check_pegs(origin.account, order.instrument)?;
        }
        let mut lots = order.lots;
        if order.reduce_only {
            let allowed = position.closable(order.side) - position.reducing(order.side);
            if allowed <= Lots::ZERO {
                let reason = Reason::ReduceOnlyWouldIncrease;
                return Err(Problem::limit(
                    reason,
                    Field::ReduceOnly,
                    allowed.0.max(0),
                    lots.0,
                ));
            }
            lots = lots.min(allowed);
        }
        let hold_lot = self.hold_lot(origin.account, contract, order.side, price);
        if combination {
            let wish = (order.side, price, lots);
            self.check_legs(origin.account, contract, wish, None)?;
        } else {
            check_position_limit(contract, position, order.side, lots)?;
            self.check_capacity(contract, position, order.side, lots)?;
            let hold = hold_lot.for_lots(lots);
            let after = position.requirement_with(contract, order.side, lots, hold);
            let mut needed = after - position.requirement;
            if contract.family != 0 {
                needed += self.credit_lost_to(contract, position, order.side, lots);
            }
            self.check_need(contract, origin.account, needed)?;
        }
        let asker = Asker {
            account: origin.account,
            self_trade_group: order.self_trade_group,
            side: order.side,
            limit: price,
        };
        let (price, slid) = match waits || pegged {
            true => (price, false),
            false => self.settle_post_only(contract, &asker, order.post_only)?,
        };
        let hold_lot = if slid {
            self.hold_lot(origin.account, contract, order.side, price)
        } else {
            hold_lot
        };
        let mut admitted = Admitted {
            price,
            lots,
            slid,
            asleep: false,
            hold_lot,
            expire,
        };
        if let Pricing::Peg(peg) = order.pricing {
            let working = contract
                .state
                .moves_pegs()
                .then(|| self.peg_price(order, peg, self.references(order.instrument)))
                .flatten();
            admitted.price = working.unwrap_or(peg.cap);
            admitted.asleep = working.is_none();
        }
        if pegged || waits {
            return Ok(admitted);
        }
        let whole = order.time_in_force == TimeInForce::Fok;
        if whole && self.can_trade(place, price, lots) < lots {
            return Err(Problem::about(Reason::FokNotFillable, Field::Quantity));
        }
        if order.min_fill > Lots::ZERO {
            let trades = self.can_trade(place, price, lots);
            if trades < order.min_fill {
                let reason = Reason::FokNotFillable;
                let (limit, actual) = (order.min_fill.0, trades.0);
                return Err(Problem::limit(reason, Field::MinFill, limit, actual));
            }
        }
        let reaches = |order: &OrderTerms| {
            self.crosses(order.instrument, order.side, price)
                || (super::implied::may_take(order)
                    && self.best_implied(order.instrument, &asker, None).is_some())
        };
        if market && !reaches(order) {
            return Err(Problem::limit(
                Reason::NoLiquidity,
                Field::Price,
                price.0,
                0,
            ));
        }
        Ok(admitted)
    }

    /// Rank 7 for a cancel, or a change that only takes lots off.
    pub(super) fn check_cancel(&self, contract: &Instrument) -> Result<(), Problem> {
        match states::allows(contract.state, Action::Cancel) {
            Answer::No(reason) => Err(not_now(reason, contract)),
            _ => Ok(()),
        }
    }

    /// Rank 7.
    pub(super) fn check_state(
        &self,
        contract: &Instrument,
        side: Side,
        price: Ticks,
        quiet: bool,
        post_only: PostOnly,
    ) -> Result<(), Problem> {
        let allowed = match states::allows(contract.state, Action::Enter) {
            Answer::Yes if states::is_call(contract.state) => {
                // What cannot wait has nothing to do in a call; and an auction under way takes nothing.
                quiet && !self.is_uncrossing(contract.id)
            }
            Answer::Yes => true,
            Answer::IfItRests => {
                let matches = self.crosses(contract.id, side, price);
                quiet && (!matches || post_only == PostOnly::Slide)
            }
            Answer::AtUncross | Answer::OnlyNew(_) | Answer::No(_) => false,
        };
        if allowed && contract.terms.kind.is_combination() {
            return self.check_legs_open(contract);
        }
        if allowed {
            return Ok(());
        }
        Err(not_now(Reason::InstrumentNotTrading, contract))
    }

    fn expiry(&self, time_in_force: TimeInForce) -> Result<Nanos, Problem> {
        match time_in_force {
            TimeInForce::Gtc | TimeInForce::Ioc | TimeInForce::Fok | TimeInForce::AtAuction => {
                Ok(Nanos::ZERO)
            }
            TimeInForce::Day => Ok(self.at.end_of_utc_day()),
            TimeInForce::Gtd(expire) => self.check_expire(expire),
        }
    }

    /// A good-till-date must lie ahead.
    pub(super) fn check_expire(&self, expire: Nanos) -> Result<Nanos, Problem> {
        if expire <= self.at {
            let reason = Reason::ExpireTimeInvalid;
            return Err(Problem::limit(reason, Field::Expire, self.at.0, expire.0));
        }
        Ok(expire)
    }

    /// Whether an order at this price would trade at once.
    pub(super) fn crosses(&self, instrument: InstrumentId, side: Side, price: Ticks) -> bool {
        self.book(instrument)
            .is_some_and(|book| book.crosses(side, price))
    }

    /// Money per open lot (MONEY-07).
    pub(super) fn hold_lot(
        &self,
        account: AccountId,
        contract: &Instrument,
        side: Side,
        price: Ticks,
    ) -> Minor {
        let fee = self
            .account(account)
            .map_or(Ppm(0), |account| worst_fee(account, contract));
        hold_of_one_lot(contract, side, price, fee)
    }

    /// Rank 15: what the change needs is available.
    pub(super) fn check_money(
        &self,
        contract: &Instrument,
        before: &crate::position::Position,
        after: &crate::position::Position,
    ) -> Result<(), Problem> {
        let needed = self.more_margin(contract, before, after);
        self.check_need(contract, before.account, needed)
    }

    /// As [`Self::check_money`], for what is known to be needed.
    pub(super) fn check_need(
        &self,
        contract: &Instrument,
        account: AccountId,
        needed: Minor,
    ) -> Result<(), Problem> {
        let asset = contract.terms.price_asset;
        let available = self.ledger.balance(account, asset).available();
        if needed <= Minor::ZERO || needed <= available {
            return Ok(());
        }
        let reason = match contract.terms.kind {
            Kind::SpotBlock => Reason::InsufficientBalance,
            Kind::Forward | Kind::CalendarSpread | Kind::Strip => Reason::InsufficientMargin,
        };
        Err(Problem::limit(
            reason,
            Field::Quantity,
            available.0,
            needed.0,
        ))
    }

    /// Rank 16: the price a post-only order works at.
    pub(super) fn settle_post_only(
        &self,
        contract: &Instrument,
        asker: &Asker,
        post_only: PostOnly,
    ) -> Result<(Ticks, bool), Problem> {
        let (side, price) = (asker.side, asker.limit);
        if states::is_call(contract.state) {
            return Ok((price, false));
        }
        if post_only == PostOnly::No {
            return Ok((price, false));
        }
        let touch = self
            .book(contract.id)
            .and_then(|book| book.best(side.opposite()));
        let touch = touch.filter(|touch| side.accepts(price, *touch));
        let implied = self.best_implied(contract.id, asker, touch);
        let Some(touch) = implied.map(|implied| implied.price).or(touch) else {
            return Ok((price, false));
        };
        let refused = Problem::limit(Reason::PostOnlyWouldCross, Field::Price, touch.0, price.0);
        match post_only {
            PostOnly::No | PostOnly::Reject => Err(refused),
            PostOnly::Slide => {
                let slid = match side {
                    Side::Buy => Ticks(touch.0 - 1),
                    Side::Sell => Ticks(touch.0 + 1),
                };
                check_price_range(contract, slid)
                    .and_then(|()| check_band(contract, slid))
                    .map_err(|_| refused)?;
                Ok((slid, true))
            }
        }
    }

    /// Lots of an order, up to `wanted`, that would trade at once (ORDER-05): level by level, first what
    /// is seen, in the order of the queue, then what is hidden. An own order that would stop the incoming
    /// one ends the count; orders of a protection group count only until a limit of it may be hit.
    pub(super) fn can_trade(&self, place: &Place, price: Ticks, wanted: Lots) -> Lots {
        let order = &place.order;
        let Some(book) = self.book(order.instrument) else {
            return Lots::ZERO;
        };
        let side = order.side.opposite();
        let mut left = wanted;
        let mut meetings = self.trades_left;
        let mut window = self.probe_volatility(order.instrument);
        let mut strained = Strained::new();
        for (level_price, level) in book.levels(side) {
            if !order.side.accepts(price, level_price) {
                break;
            }
            let (mut hidden, mut parts) = (Lots::ZERO, 0);
            for slot in level.slots(self.orders.nodes()) {
                if left <= Lots::ZERO || meetings == 0 {
                    return wanted - left.max(Lots::ZERO);
                }
                meetings -= 1;
                let resting = self.orders.at(slot);
                if self.same_group(place.origin.account, order.self_trade_group, resting) {
                    if order.self_trade == SelfTrade::CancelResting {
                        continue;
                    }
                    return wanted - left;
                }
                // What would call an auction instead of trading does not fill at once.
                if !window.admits(level_price) {
                    return wanted - left;
                }
                let seen = self.orders.nodes().at(slot).lots;
                let unseen = resting.open - seen;
                if unseen > Lots::ZERO {
                    parts += usize::try_from((unseen.0 - 1) / resting.terms.display.0 + 1)
                        .unwrap_or(usize::MAX);
                }
                // Another order of its owner may trade first and cut it.
                let may_be_cut = resting.terms.reduce_only
                    && self
                        .positions
                        .view(resting.account, order.instrument)
                        .open(side)
                        != resting.open;
                let protected = resting.terms.mmp_group != 0;
                if protected {
                    let vague = may_be_cut || unseen > Lots::ZERO;
                    match self.strain(&mut strained, resting, (level_price, seen), vague) {
                        Strain::Bears => {}
                        Strain::MayBreak => continue,
                        Strain::TooMany => return wanted - left,
                    }
                }
                if may_be_cut {
                    continue;
                }
                left -= seen;
                // A limit may be hit before its group shows what it hides.
                if !protected {
                    hidden += unseen;
                }
            }
            if left > Lots::ZERO && parts > 0 {
                // Every further part is one more meeting; a level that needs too many ends the count.
                let Some(rest) = meetings.checked_sub(parts) else {
                    break;
                };
                meetings = rest;
                left -= hidden;
            }
        }
        wanted - left.max(Lots::ZERO)
    }

    /// Whether two orders may not trade with each other (ORDER-08).
    pub(super) fn same_group(&self, account: AccountId, group: u32, resting: &Order) -> bool {
        account == resting.account
            || (group != 0
                && group == resting.terms.self_trade_group
                && self.firm_of(account) == self.firm_of(resting.account))
    }

    /// Fingerprint of an order's content, for repeated client order ids.
    pub(super) fn content_of(place: &Place) -> u64 {
        let OrderTerms {
            client_order_id: _,
            instrument,
            side,
            pricing,
            lots,
            time_in_force,
            post_only,
            reduce_only,
            self_trade,
            self_trade_group,
            cancel_group,
            display,
            min_fill,
            trigger,
            mmp_group,
            keep_on_disconnect,
            tag,
        } = place.order;
        let (priced, price, offset) = match pricing {
            Pricing::Limit(price) => (0, price, Ticks::ZERO),
            Pricing::Market => (1, Ticks::ZERO, Ticks::ZERO),
            Pricing::Peg(peg) => (2 + peg.to as u64, peg.cap, peg.offset),
        };
        let (lives, until) = match time_in_force {
            TimeInForce::Gtc => (0, Nanos::ZERO),
            TimeInForce::Ioc => (1, Nanos::ZERO),
            TimeInForce::Fok => (2, Nanos::ZERO),
            TimeInForce::Gtd(until) => (3, until),
            TimeInForce::Day => (4, Nanos::ZERO),
            TimeInForce::AtAuction => (5, Nanos::ZERO),
        };
        let (watched, released_at) = match trigger {
            None => (0, Ticks::ZERO),
            Some(trigger) => (1 + trigger.source as u64, trigger.price),
        };
        let choices = priced
            | lives << 4
            | watched << 8
            | (post_only as u64) << 12
            | (self_trade as u64) << 16
            | u64::from(reduce_only) << 20
            | u64::from(keep_on_disconnect) << 21
            | (side as u64) << 22
            | u64::from(mmp_group) << 32;
        let [a, b, c, d, e] = tag.words();
        let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        fingerprint(&[
            choices,
            pair(self_trade_group, cancel_group),
            u64::from(instrument.0),
            price.0.cast_unsigned(),
            offset.0.cast_unsigned(),
            until.0.cast_unsigned(),
            released_at.0.cast_unsigned(),
            lots.0.cast_unsigned(),
            display.0.cast_unsigned(),
            min_fill.0.cast_unsigned(),
            a,
            b,
            c,
            d,
            e,
        ])
    }
}

/// The contract's state does not allow it.
fn not_now(reason: Reason, contract: &Instrument) -> Problem {
    Problem::limit(reason, Field::Instrument, 0, contract.state.number())
}

/// The larger of the two rates an account may be charged, at least zero.
pub(super) fn worst_fee(account: &Account, contract: &Instrument) -> Ppm {
    let maker = account.maker_fee(contract.terms.maker_fee);
    let taker = account.taker_fee(contract.terms.taker_fee);
    maker.max(taker).max(Ppm(0))
}

/// Rank 8: what does not go together.
fn check_combination(order: &OrderTerms) -> Result<(), Problem> {
    let unsupported = |field| Err(Problem::about(Reason::UnsupportedCombination, field));
    let pegged = matches!(order.pricing, Pricing::Peg(_));
    let immediate = matches!(order.time_in_force, TimeInForce::Ioc | TimeInForce::Fok);
    let at_auction = order.time_in_force == TimeInForce::AtAuction;
    let shows_part = order.display != Lots::ZERO;
    let plain = order.post_only == PostOnly::No && !shows_part && order.min_fill == Lots::ZERO;
    if order.trigger.is_some() && (!plain || pegged || at_auction) {
        return unsupported(Field::Trigger);
    }
    if shows_part && (immediate || pegged || at_auction) {
        return unsupported(Field::Display);
    }
    if order.min_fill != Lots::ZERO && order.time_in_force != TimeInForce::Ioc {
        return unsupported(Field::MinFill);
    }
    if pegged && (order.post_only != PostOnly::No || immediate || at_auction) {
        return unsupported(Field::OrderType);
    }
    // Its own group's limits could take away what it was promised.
    let promised = order.time_in_force == TimeInForce::Fok || order.min_fill != Lots::ZERO;
    if promised && order.mmp_group != 0 {
        return unsupported(Field::MmpGroup);
    }
    Ok(())
}

/// Rank 8, the numbers of a kind.
fn check_numbers(order: &OrderTerms) -> Result<(), Problem> {
    let invalid =
        |field, limit, actual| Err(Problem::limit(Reason::InvalidField, field, limit, actual));
    if let Some(trigger) = order.trigger
        && !(1..=limits::PRICE_TICKS).contains(&trigger.price.0)
    {
        return invalid(Field::Trigger, limits::PRICE_TICKS, trigger.price.0);
    }
    let (least, most) = (order.min_fill.0, order.lots.0);
    if least != 0 && !(1..=most).contains(&least) {
        return invalid(Field::MinFill, most, least);
    }
    if let Pricing::Peg(peg) = order.pricing {
        super::pegs::check_offset(peg, order.side)?;
    }
    Ok(())
}

/// Rank 9, the visible part of an iceberg.
pub(super) fn check_display(
    contract: &Instrument,
    display: Lots,
    total: Lots,
) -> Result<(), Problem> {
    let least = contract.terms.limits.min_display;
    if (least..=total.0).contains(&display.0) {
        return Ok(());
    }
    let limit = if display.0 < least { least } else { total.0 };
    let reason = Reason::DisplayTooSmall;
    Err(Problem::limit(reason, Field::Display, limit, display.0))
}

/// Lowest price a contract can have: a spread's may be negative (COMBO-02).
pub(super) fn lowest_price(contract: &Instrument) -> Ticks {
    match contract.terms.kind {
        Kind::CalendarSpread => Ticks(-limits::PRICE_TICKS),
        Kind::SpotBlock | Kind::Forward | Kind::Strip => Ticks(1),
    }
}

/// Rank 8, the price's range.
pub(super) fn check_price_range(contract: &Instrument, price: Ticks) -> Result<(), Problem> {
    let least = lowest_price(contract).0;
    if (least..=limits::PRICE_TICKS).contains(&price.0) {
        return Ok(());
    }
    let limit = if price.0 < least {
        least
    } else {
        limits::PRICE_TICKS
    };
    Err(Problem::limit(
        Reason::InvalidField,
        Field::Price,
        limit,
        price.0,
    ))
}

/// Rank 9.
pub(super) fn check_quantity(contract: &Instrument, lots: Lots) -> Result<(), Problem> {
    let (least, most) = (
        contract.terms.limits.min_lots,
        contract.terms.limits.max_lots,
    );
    if (least..=most).contains(&lots.0) {
        return Ok(());
    }
    let limit = if lots.0 < least { least } else { most };
    Err(Problem::limit(
        Reason::QuantityOutOfRange,
        Field::Quantity,
        limit,
        lots.0,
    ))
}

/// Rank 10.
pub(super) fn check_band(contract: &Instrument, price: Ticks) -> Result<(), Problem> {
    let (low, high) = contract.at_mark.band;
    if (low..=high).contains(&price) {
        return Ok(());
    }
    let limit = if price < low { low } else { high };
    Err(Problem::limit(
        Reason::PriceOutsideBand,
        Field::Price,
        limit.0,
        price.0,
    ))
}

/// Rank 11.
pub(super) fn check_notional(
    contract: &Instrument,
    price: Ticks,
    lots: Lots,
) -> Result<(), Problem> {
    let most = contract.terms.limits.max_notional;
    let small = contract.tick_value.small_money(price, lots);
    let value = match small {
        Some(value) => value.0,
        None if contract.tick_value.fits(price, lots) => {
            contract.tick_value.money(price.times(lots)).0
        }
        None => i64::MAX,
    };
    if value <= most {
        return Ok(());
    }
    Err(Problem::limit(
        Reason::NotionalTooLarge,
        Field::Quantity,
        most,
        value,
    ))
}

/// Rank 14.
pub(super) fn check_position_limit(
    contract: &Instrument,
    position: &crate::position::Position,
    side: Side,
    lots: Lots,
) -> Result<(), Problem> {
    let most = contract.terms.limits.position_limit;
    let worst = side.signed(position.net) + position.open(side) + lots;
    if most == 0 || worst.0 <= most {
        return Ok(());
    }
    Err(Problem::limit(
        Reason::PositionLimit,
        Field::Quantity,
        most,
        worst.0,
    ))
}
