//! RANK: the checks in their order; the first that fails wins.

use engine::{
    command::{
        AccountStatus, Origin, Peg, PegTo, Place, PostOnly, Pricing, Replace, Side, TimeInForce,
    },
    ids::{AccountId, InstrumentId},
    instrument::TradingState,
    limits,
    reason::Reason,
    units::DAY,
};

use super::{Contract, Model, Order};
use crate::{readings, rows::Key};

/// What an accepted Replace does.
pub(super) enum Change {
    /// ORDER-10: the total is not above what was filled.
    CancelRest,
    /// The order as it will be.
    Amend {
        /// Before matching.
        order: Box<Order>,
        /// Back of the queue.
        loses: bool,
        /// ORDER-06.
        slid: bool,
    },
}

/// Whether an order meets the other side now, as opposed to waiting or joining a call.
fn meets_now(contract: &Contract, order: &Order) -> bool {
    let released = order.trigger.is_none();
    released && order.peg().is_none() && !order.at_auction() && !contract.in_call()
}

/// Which ranks a Replace still meets.
struct Wish<'a> {
    old: Option<&'a Order>,
    /// Rank 16 refuses a loss of priority.
    loses_against_wish: bool,
    /// Rank 16 looks at post-only.
    check_post_only: bool,
    /// What a Replace names.
    command: Option<&'a Replace>,
    /// Skips 4, 5, 7, 9, 10, 11, 14, 15.
    decreases: bool,
}

impl Model {
    /// Rank 1. Refuses by itself; `false` = nothing more to do.
    pub(super) fn enter(&mut self, origin: &Origin) -> bool {
        self.cause.account = origin.account;
        if !origin.session.is_set() {
            return true;
        }
        let Some(session) = self.sessions.get_mut(&origin.session) else {
            self.refuse(Reason::SessionFenced);
            return false;
        };
        let gone = readings::FENCED_AFTER_LOST_OR_LOGOUT && !session.connected;
        if session.login != origin.login || gone || session.account != origin.account {
            session.event_seq += u64::from(readings::FENCED_REFUSAL_IS_NUMBERED);
            self.refuse(Reason::SessionFenced);
            return false;
        }
        if origin.client_seq <= session.client_seq {
            session.event_seq += u64::from(readings::STALE_REFUSAL_IS_NUMBERED);
            self.refuse(Reason::StaleClientSeq);
            return false;
        }
        session.client_seq = origin.client_seq;
        self.cause.session = origin.session;
        self.cause.client_seq = origin.client_seq;
        true
    }

    /// Rank 2.
    pub(super) fn in_time(&self, origin: &Origin) -> bool {
        origin.deadline.0 == 0 || self.now <= origin.deadline.0
    }

    /// Rank 4, SWITCH-02.
    pub(super) fn switches(&self, origin: &Origin) -> Result<(), Reason> {
        let account = self.accounts.get(&origin.account);
        let firm = account.and_then(|account| self.firms.get(&account.firm));
        if self.venue_killed {
            return Err(Reason::KillSwitchExchange);
        }
        if firm == Some(&true) {
            return Err(Reason::KillSwitchFirm);
        }
        if account.is_some_and(|account| account.blocked || account.killed) {
            return Err(Reason::KillSwitchAccount);
        }
        match self.sessions.get(&origin.session) {
            Some(session) if session.blocked || session.killed => Err(Reason::KillSwitchSession),
            _ => Ok(()),
        }
    }

    /// Rank 5.
    pub(super) fn may_trade(&self, account: AccountId, reduce_only: bool) -> Result<(), Reason> {
        match self.accounts.get(&account).map(|account| account.status) {
            Some(AccountStatus::Active) => Ok(()),
            Some(AccountStatus::ReduceOnly) if reduce_only => Ok(()),
            _ => Err(Reason::AccountNotActive),
        }
    }

    /// Whether an order would match on entry, with whomever.
    pub(super) fn crosses(&self, instrument: InstrumentId, side: Side, price: i64) -> bool {
        match (side, self.best(instrument, side.opposite())) {
            (Side::Buy, Some(ask)) => ask <= price,
            (Side::Sell, Some(bid)) => bid >= price,
            (_, None) => false,
        }
    }

    /// Ranks 4 to 17 of a Place: the order as it enters the book, and whether it slid.
    pub(super) fn admit_place(&self, place: &Place) -> Result<(Order, bool), Reason> {
        let (origin, terms) = (&place.origin, place.order);
        self.switches(origin)?;
        self.may_trade(origin.account, terms.reduce_only)?;
        let contract = self
            .contracts
            .get(&terms.instrument)
            .ok_or(Reason::UnknownInstrument)?;
        let (low, high) = contract.band();
        let order = Order {
            key: (origin.account, terms.client_order_id),
            terms,
            session: origin.session,
            price: match (terms.pricing, terms.side) {
                (Pricing::Limit(price), _) => price.0,
                (Pricing::Market, Side::Buy) => high,
                // COMBO-02: a strip's price is positive.
                (Pricing::Market, Side::Sell) => low.max(*contract.possible_prices().start()),
                (Pricing::Peg(peg), _) => peg.cap.0,
            },
            total: terms.lots.0,
            filled: 0,
            open: terms.lots.0,
            display: terms.display.0,
            visible: 0,
            trigger: terms.trigger,
            quote: None,
            post_only: terms.post_only,
            expires: match terms.time_in_force {
                TimeInForce::Gtd(until) => Some(until.0),
                TimeInForce::Day => Some((self.now.div_euclid(DAY) + 1) * DAY),
                _ => None,
            },
            entry: 0,
            priority: 0,
            resting: false,
            aside: false,
            status: engine::event::OrderStatus::Open,
            checked_at: contract.mark,
        };
        let wish = Wish {
            old: None,
            loses_against_wish: false,
            check_post_only: true,
            command: None,
            decreases: false,
        };
        self.admit(order, &wish)
    }

    /// Ranks 4 to 16 of a Replace.
    pub(super) fn admit_replace(
        &self,
        command: &Replace,
        found: Result<Key, Reason>,
    ) -> Result<Change, Reason> {
        let open = found.ok().and_then(|key| self.orders.get(&key));
        let decreases = open.is_some_and(|order| {
            let names_more = command.price.is_some()
                || command.post_only.is_some()
                || command.expire.is_some()
                || command.display.is_some()
                || command.trigger.is_some();
            (readings::ONLY_LESS_BY_EFFECT || !names_more)
                && command.lots.is_some_and(|lots| lots.0 < order.total)
                && command.price.is_none_or(|price| price.0 == order.price)
                && command
                    .post_only
                    .is_none_or(|post_only| post_only == order.post_only)
                && command
                    .expire
                    .is_none_or(|expire| order.expires == Some(expire.0))
                && command
                    .display
                    .is_none_or(|display| order.display == display.0)
                && command
                    .trigger
                    .is_none_or(|price| order.trigger.map(|trigger| trigger.price) == Some(price))
        });
        if !decreases {
            let known = found
                .ok()
                .and_then(|key| open.or_else(|| self.ended.get(&key)));
            self.switches(&command.origin)?;
            self.may_trade(
                command.origin.account,
                known.is_some_and(|order| order.terms.reduce_only),
            )?;
        }
        let old = match (found, open) {
            (Ok(_), Some(order)) => order,
            (Ok(key), None) => return Err(self.too_late(key)),
            (Err(reason), _) => return Err(reason),
        };
        let mut order = old.clone();
        order.price = command.price.map_or(old.price, |price| price.0);
        order.total = command.lots.map_or(old.total, |lots| lots.0);
        order.open = order.total - order.filled;
        order.post_only = command.post_only.unwrap_or(old.post_only);
        order.expires = command.expire.map_or(old.expires, |expire| Some(expire.0));
        order.display = command.display.map_or(old.display, |display| display.0);
        if let (Some(trigger), Some(price)) = (&mut order.trigger, command.trigger) {
            trigger.price = price;
        }
        let moved = order.price != old.price;
        let shows_more = old.display != 0 && (order.display == 0 || order.display > old.display);
        let retriggers = order.trigger != old.trigger;
        let loses = moved || order.total > old.total || shows_more || retriggers;
        let switched_on = old.post_only == PostOnly::No && order.post_only != PostOnly::No;
        let wish = Wish {
            old: Some(old),
            loses_against_wish: loses && command.reject_if_priority_lost,
            check_post_only: moved || switched_on,
            command: Some(command),
            decreases,
        };
        let (mut order, slid) = self.admit(order, &wish)?;
        if order.open <= 0 {
            return Ok(Change::CancelRest);
        }
        let stayed = order.price == old.price && order.total <= old.total && !shows_more;
        let slid_away = order.price != old.price;
        let loses = slid_away || loses && (readings::SLIDE_TO_OLD_PRICE_LOSES_PRIORITY || !stayed);
        if loses || old.display == 0 {
            order.fill_up();
        } else {
            order.visible = order.visible.min(order.display);
            order.hide_less();
        }
        if !decreases {
            order.checked_at = self.contracts[&order.terms.instrument].mark;
        }
        Ok(Change::Amend {
            order: Box::new(order),
            loses,
            slid,
        })
    }

    /// Ranks 7 to 17.
    fn admit(&self, mut order: Order, wish: &Wish<'_>) -> Result<(Order, bool), Reason> {
        let contract = &self.contracts[&order.terms.instrument];
        let limits = contract.terms.limits;
        let market = order.terms.pricing == Pricing::Market;
        self.welcome(contract, &order, wish)?;
        self.combination(&order, wish)?;
        // ORDER-10: a total that is filled already leaves nothing to check; the rest is cancelled.
        if wish.old.is_some() && order.open <= 0 {
            return Ok((order, false));
        }
        // Ranks 9 to 11.
        if !wish.decreases {
            if !(limits.min_lots..=limits.max_lots).contains(&order.total) {
                return Err(Reason::QuantityOutOfRange);
            }
            let asks_display = wish.old.is_none_or(|old| old.display != order.display);
            let fits = (limits.min_display..=order.total).contains(&order.display);
            if asks_display && order.display != 0 && !fits {
                return Err(Reason::DisplayTooSmall);
            }
            self.check_price(contract, &order)?;
        }
        // Rank 12.
        if wish.old.is_none() {
            self.check_count(contract, &order)?;
            self.check_group(order.key.0, contract, order.terms.mmp_group)?;
        }
        // Rank 13.
        if order.terms.reduce_only {
            let (resting, room) =
                self.reduce_only_lots(order.key.0, order.terms.instrument, order.terms.side);
            let allowed = room - (resting - wish.old.map_or(0, |old| old.open));
            match wish.old {
                Some(_) if order.open > allowed => return Err(Reason::ReduceOnlyWouldIncrease),
                None if allowed <= 0 => return Err(Reason::ReduceOnlyWouldIncrease),
                None => {
                    order.total = order.total.min(allowed);
                    order.open = order.total;
                }
                Some(_) => {}
            }
        }
        // Ranks 14 and 15.
        if !wish.decreases {
            self.check_position(&order, wish.old)?;
            self.check_money(contract, &order)?;
        }
        // Rank 16.
        if wish.loses_against_wish {
            return Err(Reason::WouldLosePriority);
        }
        if !meets_now(contract, &order) {
            return Ok((order, false));
        }
        let slid = wish.check_post_only && self.slide(contract, &mut order)?;
        let slid_away = wish.old.is_some_and(|old| old.price != order.price);
        let keeps = wish
            .command
            .is_some_and(|command| command.reject_if_priority_lost);
        if slid && slid_away && keeps {
            return Err(Reason::WouldLosePriority);
        }
        // Rank 17.
        let fok = order.terms.time_in_force == TimeInForce::Fok;
        if fok && !self.fillable(&order, order.open) {
            return Err(Reason::FokNotFillable);
        }
        if !self.fillable(&order, order.terms.min_fill.0) {
            return Err(Reason::FokNotFillable);
        }
        let liquid = self.best_anywhere(&order);
        if market && !liquid.is_some_and(|price| order.takes_at(price)) {
            return Err(Reason::NoLiquidity);
        }
        Ok((order, slid))
    }

    /// Rank 7, AUCTION-01.
    fn welcome(&self, contract: &Contract, order: &Order, wish: &Wish<'_>) -> Result<(), Reason> {
        if wish.old.is_some() && contract.state == TradingState::NoCancel {
            return Err(Reason::NoCancelPeriod);
        }
        let waits = order.trigger.is_some();
        let takes = !waits && (order.takes_only() || order.terms.pricing == Pricing::Market);
        let crosses = self.crosses(order.terms.instrument, order.terms.side, order.price)
            && order.post_only != PostOnly::Slide
            && !waits
            && order.peg().is_none()
            && !order.at_auction();
        let welcome = match contract.state {
            TradingState::Open => true,
            TradingState::PostOnly => !takes && !crosses,
            TradingState::PreOpen | TradingState::VolatilityAuction => !takes,
            TradingState::NoCancel => !takes && contract.call.uncrossing.is_none(),
            TradingState::CancelOnly
            | TradingState::Halted
            | TradingState::Closed
            | TradingState::InDelivery
            | TradingState::Settled => false,
        };
        if welcome && self.legs_match(contract) || wish.decreases {
            return Ok(());
        }
        Err(Reason::InstrumentNotTrading)
    }

    /// Rank 8.
    fn combination(&self, order: &Order, wish: &Wish<'_>) -> Result<(), Reason> {
        let terms = &order.terms;
        let market = terms.pricing == Pricing::Market;
        let limit = matches!(terms.pricing, Pricing::Limit(_));
        let rests = matches!(
            terms.time_in_force,
            TimeInForce::Gtc | TimeInForce::Gtd(_) | TimeInForce::Day
        );
        let is_gtd = matches!(terms.time_in_force, TimeInForce::Gtd(_));
        let post_only = order.post_only != PostOnly::No;
        let (stop, peg) = (order.trigger.is_some(), order.peg());
        let (min_fill, display) = (terms.min_fill.0, order.display);
        let shows_part = limit && rests && !stop && order.quote.is_none();
        let extras = post_only || display != 0 || min_fill != 0;
        let impossible = [
            market && !order.takes_only(),
            post_only && (market || order.takes_only()),
            display != 0 && !shows_part,
            min_fill != 0 && terms.time_in_force != TimeInForce::Ioc,
            stop && (extras || peg.is_some() || order.at_auction()),
            peg.is_some() && (extras || !rests),
            order.at_auction() && (extras || !limit),
            terms.mmp_group != 0
                && (min_fill != 0 || terms.time_in_force == TimeInForce::Fok)
                && order.quote.is_none(),
        ];
        let wrong_change = wish.command.is_some_and(|command| {
            order.quote.is_some()
                || command.expire.is_some() && !is_gtd
                || command.trigger.is_some() && !order.waits()
                || command.price.is_some() && !limit
        });
        let strange = self.is_strange_to_combinations(order);
        if strange || impossible.contains(&true) || wrong_change {
            return Err(Reason::UnsupportedCombination);
        }
        let asks_expiry = wish.command.is_none_or(|command| command.expire.is_some());
        if is_gtd && asks_expiry && order.expires.is_none_or(|expires| expires <= self.now) {
            return Err(Reason::ExpireTimeInvalid);
        }
        let prices = 1..=limits::PRICE_TICKS;
        let far = |peg: Peg| peg.offset.0.unsigned_abs() > limits::PRICE_TICKS.unsigned_abs();
        let offset_fits = peg.is_none_or(|peg| match (peg.to, terms.side) {
            _ if far(peg) => false,
            (PegTo::Index, _) => true,
            (PegTo::Best, Side::Buy) => peg.offset.0 <= 0,
            (PegTo::Best, Side::Sell) => peg.offset.0 >= 0,
        });
        let trigger_fits = order
            .trigger
            .is_none_or(|trigger| prices.contains(&trigger.price.0));
        let min_fill_fits = min_fill == 0 || (1..=order.total).contains(&min_fill);
        let possible = self.contracts[&terms.instrument].possible_prices();
        let price_fits = possible.contains(&order.hold_price());
        if !price_fits || !offset_fits || !trigger_fits || !min_fill_fits {
            return Err(Reason::InvalidField);
        }
        Ok(())
    }

    /// Ranks 10 and 11.
    pub(super) fn check_price(&self, contract: &Contract, order: &Order) -> Result<(), Reason> {
        let (low, high) = contract.band();
        if !(low..=high).contains(&order.hold_price()) {
            return Err(Reason::PriceOutsideBand);
        }
        let value = self.notional(contract, order.hold_price(), order.total);
        if value > i128::from(contract.terms.limits.max_notional) {
            return Err(Reason::NotionalTooLarge);
        }
        Ok(())
    }

    /// Rank 12.
    pub(super) fn check_count(&self, contract: &Contract, order: &Order) -> Result<(), Reason> {
        let allowed = usize::try_from(contract.terms.limits.max_open_orders).unwrap_or(0);
        let (account, instrument) = (order.key.0, order.terms.instrument);
        if self.open_orders(account, instrument) >= allowed {
            return Err(Reason::OpenOrderLimit);
        }
        let here = |peg: &&Order| peg.peg().is_some() && peg.terms.instrument == instrument;
        let pegs: Vec<&Order> = self.orders.values().filter(here).collect();
        let own = pegs.iter().filter(|peg| peg.key.0 == account).count();
        let full = pegs.len() >= limits::PEGS || own >= limits::PEGS_PER_ACCOUNT;
        if order.peg().is_some() && full {
            return Err(Reason::OpenOrderLimit);
        }
        Ok(())
    }

    /// Rank 14.
    pub(super) fn check_position(&self, order: &Order, old: Option<&Order>) -> Result<(), Reason> {
        let account = order.key.0;
        for (instrument, side) in self.exposures(order) {
            let limit = self.contracts[&instrument].terms.limits.position_limit;
            let net = self.stand(account, instrument).net;
            let others = self.open_lots(account, instrument, side) - old.map_or(0, |old| old.open);
            let towards = match side {
                Side::Buy => net,
                Side::Sell => -net,
            };
            if limit != 0 && towards + others + order.open > limit {
                return Err(Reason::PositionLimit);
            }
        }
        Ok(())
    }

    /// Rank 15: all orders as they are, against all orders with this one as wished.
    pub(super) fn check_money(&self, contract: &Contract, order: &Order) -> Result<(), Reason> {
        let account = order.key.0;
        let mut more = 0;
        for (instrument, _) in self.exposures(order) {
            let others = self.orders.values().filter(|other| other.key != order.key);
            let with = others.chain(std::iter::once(order));
            more += self.requirement_with(account, instrument, with);
            more -= self.requirement(account, instrument);
        }
        // MARGIN-06.
        let asset = contract.terms.price_asset;
        let others = self.orders.values().filter(|other| other.key != order.key);
        let with = others.chain(std::iter::once(order));
        let lost = self.credit(account, asset) - self.credit_with(account, asset, with);
        more += lost.max(0);
        if more <= 0 || more <= self.available(account, contract.terms.price_asset) {
            return Ok(());
        }
        Err(match contract.is_forward() || contract.is_combination() {
            true => Reason::InsufficientMargin,
            false => Reason::InsufficientBalance,
        })
    }

    /// ORDER-06.
    fn slide(&self, contract: &Contract, order: &mut Order) -> Result<bool, Reason> {
        let opposite = self.best_anywhere(order);
        let crosses = opposite.is_some_and(|price| order.takes_at(price));
        if order.post_only == PostOnly::No || !crosses {
            return Ok(false);
        }
        let (low, high) = contract.band();
        let low = low.max(*contract.possible_prices().start());
        let side = order.terms.side;
        let outside = opposite.map(|price| match side {
            Side::Buy => price - 1,
            Side::Sell => price + 1,
        });
        match (order.post_only, outside) {
            (PostOnly::Slide, Some(price)) if price >= low && price <= high => {
                order.price = price;
                Ok(true)
            }
            _ => Err(Reason::PostOnlyWouldCross),
        }
    }
}
