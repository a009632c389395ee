//! QUOTE: two-sided ladders, refreshed as a whole.

use engine::{
    command::{
        DisconnectAction, MassQuote, OrderTerms, PostOnly, Pricing, QuoteEntry, QuoteSide,
        SelfTrade, Side, Tag, TimeInForce,
    },
    event::OrderStatus,
    ids::InstrumentId,
    instrument::TradingState,
    limits,
    reason::Reason,
    units::{Lots, Ticks},
};

use super::{Model, Order};
use crate::{
    readings,
    rows::{Key, QUOTES, Told},
};

/// One accepted side: its order, if it has one, and whether it kept its priority.
struct Accepted {
    key: Option<Key>,
    kept: bool,
}

type Verdict = Result<Accepted, Reason>;

impl Model {
    /// QUOTE-01, QUOTE-05.
    pub(super) fn mass_quote(&mut self, quote: &MassQuote) {
        if !self.enter(&quote.origin) {
            return;
        }
        if let Err(reason) = self.admit_quote(quote) {
            return self.refuse_numbered(reason);
        }
        let mut verdicts: Vec<(u16, Side, Verdict)> = Vec::new();
        let mut contracts: Vec<InstrumentId> = Vec::new();
        for entry in &quote.entries {
            if !contracts.contains(&entry.instrument) {
                contracts.push(entry.instrument);
            }
        }
        for contract in contracts {
            let entries = (0..).zip(&quote.entries);
            let rungs: Vec<(u16, &QuoteEntry)> = entries
                .filter(|(_, entry)| entry.instrument == contract)
                .collect();
            for side in self.order_of_sides(quote, &rungs) {
                for (number, entry) in &rungs {
                    if let Some(wish) = asked(entry, side) {
                        let verdict = self.quote_entry(quote, entry, side, wish);
                        verdicts.push((*number, side, verdict));
                    }
                }
            }
        }
        verdicts.sort_by_key(|(number, side, _)| (*number, *side));
        let heard = self.heard();
        for (entry, side, verdict) in &verdicts {
            if let Err(reason) = verdict {
                self.seen
                    .told
                    .push(Told::Problem(heard, *entry, *side, *reason));
            }
        }
        let accepted: Vec<_> = verdicts
            .iter()
            .filter_map(|(entry, side, verdict)| Some((*entry, *side, verdict.as_ref().ok()?)))
            .collect();
        for (entry, side, one) in accepted.iter().filter(|_| quote.report_order_ids) {
            if one.key.is_some_and(|key| self.orders.contains_key(&key)) {
                self.seen.told.push(Told::Quote(heard, *entry, *side));
            }
        }
        let kept = accepted.iter().filter(|(_, _, one)| one.kept).count();
        let count = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        let told = Told::Quoted(heard, quote.quote_id, count(accepted.len()), count(kept));
        self.seen.told.push(told);
    }

    fn admit_quote(&self, quote: &MassQuote) -> Result<(), Reason> {
        let origin = &quote.origin;
        if !self.in_time(origin) {
            return Err(Reason::DeadlinePassed);
        }
        let session = self.sessions.get(&origin.session);
        let session = session.ok_or(Reason::NotEstablished)?;
        if session.action == DisconnectAction::Keep {
            return Err(Reason::UnsupportedCombination);
        }
        if !(1..=limits::QUOTE_ENTRIES).contains(&quote.entries.len()) {
            return Err(Reason::TooManyItems);
        }
        let group = self.groups.get(&(origin.account, quote.mmp_group));
        let group = group.ok_or(Reason::NotFound)?;
        self.switches(origin)?;
        self.may_trade(origin.account, false)?;
        match group.frozen {
            Some(_) => Err(Reason::MmpFrozen),
            None => Ok(()),
        }
    }

    /// QUOTE-02: which side of a ladder runs first.
    fn order_of_sides(&self, quote: &MassQuote, rungs: &[(u16, &QuoteEntry)]) -> [Side; 2] {
        let sane = rungs
            .iter()
            .map(|(_, entry)| *entry)
            .filter(|entry| usize::from(entry.slot) < limits::QUOTE_SLOTS);
        let sane: Vec<&QuoteEntry> = sane.collect();
        let wanted = |side| {
            let asked_for = sane.iter().filter(|entry| !is_crossed(entry));
            let asked_for = asked_for.filter_map(move |entry| asked(entry, side));
            let prices = asked_for.filter(|wish| wish.lots.0 > 0);
            prices.map(|wish| wish.price.0).collect::<Vec<i64>>()
        };
        let there = |side| {
            let named = sane.iter().filter(|entry| asked(entry, side).is_some());
            let keys = named.filter_map(|entry| self.present_quote(quote, entry, side));
            keys.map(|key| self.orders[&key].price)
                .collect::<Vec<i64>>()
        };
        let (new_bid, new_ask) = (
            wanted(Side::Buy).into_iter().max(),
            wanted(Side::Sell).into_iter().min(),
        );
        let (old_bid, old_ask) = (
            there(Side::Buy).into_iter().max(),
            there(Side::Sell).into_iter().min(),
        );
        let up = [(new_bid, old_bid), (new_ask, old_ask)];
        let up = up.iter().all(|(new, old)| old.is_some() && new > old);
        let bid_meets_ask = new_bid.is_some() && old_ask.is_some() && new_bid >= old_ask;
        let ask_meets_bid = new_ask.is_some() && old_bid.is_some() && old_bid >= new_ask;
        match (bid_meets_ask, ask_meets_bid) {
            (true, _) => [Side::Sell, Side::Buy],
            (false, true) => [Side::Buy, Side::Sell],
            (false, false) if up => [Side::Sell, Side::Buy],
            (false, false) => [Side::Buy, Side::Sell],
        }
    }

    /// QUOTE-02: one side of an entry.
    fn quote_entry(
        &mut self,
        quote: &MassQuote,
        entry: &QuoteEntry,
        side: Side,
        wish: QuoteSide,
    ) -> Verdict {
        if usize::from(entry.slot) >= limits::QUOTE_SLOTS {
            return Err(Reason::InvalidField);
        }
        let product = self.groups[&(quote.origin.account, quote.mmp_group)]
            .terms
            .product;
        let contract = self.contracts.get(&entry.instrument);
        if contract.is_none_or(|contract| contract.product != product) {
            return Err(Reason::UnknownInstrument);
        }
        let present = self.present_quote(quote, entry, side);
        let verdict = match is_crossed(entry) {
            true => Err(Reason::QuoteCrossed),
            false => self.quote_side(quote, entry, side, wish, present),
        };
        verdict.map_err(|reason| self.refuse_side(present, entry, reason))
    }

    /// The order of a key.
    fn present_quote(&self, quote: &MassQuote, entry: &QuoteEntry, side: Side) -> Option<Key> {
        let mut same = self.orders.values().filter(|order| {
            order.key.0 == quote.origin.account
                && order.terms.mmp_group == quote.mmp_group
                && order.terms.instrument == entry.instrument
                && order.terms.side == side
                && order.quote.is_some_and(|(_, slot)| slot == entry.slot)
        });
        same.next().map(|order| order.key)
    }

    /// QUOTE-03: a refused side takes its former quote with it, except in a no-cancel period.
    fn refuse_side(&mut self, present: Option<Key>, entry: &QuoteEntry, reason: Reason) -> Reason {
        if self.contracts[&entry.instrument].state != TradingState::NoCancel
            && let Some(key) = present
        {
            self.vanish(key);
        }
        reason
    }

    /// Over without an event.
    fn vanish(&mut self, key: Key) {
        if let Some(order) = self.orders.remove(&key) {
            self.touched.insert(order.terms.instrument);
        }
    }

    /// QUOTE-03, QUOTE-04.
    fn quote_side(
        &mut self,
        quote: &MassQuote,
        entry: &QuoteEntry,
        side: Side,
        wish: QuoteSide,
        present: Option<Key>,
    ) -> Verdict {
        let no_cancel = self.contracts[&entry.instrument].state == TradingState::NoCancel;
        if present.is_some() && no_cancel {
            return Err(Reason::NoCancelPeriod);
        }
        if wish.lots.0 == 0 {
            if let Some(key) = present {
                self.vanish(key);
            }
            return Ok(Accepted {
                key: None,
                kept: false,
            });
        }
        let old = present.and_then(|key| self.orders.get(&key).cloned());
        let order = self.quoted_order(quote, entry, side, wish, old.as_ref());
        self.admit_side(quote, &order, wish, old.as_ref())?;
        let key = order.key;
        let unmoved = |old: &Order| old.price == wish.price.0 && wish.lots.0 <= old.open;
        let Some(old) = old.filter(unmoved) else {
            let mut order = order;
            if present.is_none() {
                self.quotes += 1;
                self.entries += 1;
                order.entry = self.entries;
            }
            order.priority = self.next_priority();
            if present.is_some() {
                self.touched.insert(entry.instrument);
            }
            self.orders.insert(key, order);
            self.work(key);
            return Ok(Accepted {
                key: Some(key),
                kept: false,
            });
        };
        if wish.lots.0 < old.open || !readings::EQUAL_QUOTE_KEEPS_ITS_ID {
            let order = Order {
                priority: old.priority,
                resting: true,
                ..order
            };
            self.touched.insert(entry.instrument);
            self.orders.insert(key, order);
        }
        Ok(Accepted {
            key: Some(key),
            kept: true,
        })
    }

    /// The side as an order: the present one with the new price and lots, or a new one.
    fn quoted_order(
        &self,
        quote: &MassQuote,
        entry: &QuoteEntry,
        side: Side,
        wish: QuoteSide,
        old: Option<&Order>,
    ) -> Order {
        let account = quote.origin.account;
        let filled = old.map_or(0, |old| old.filled);
        let newest = match readings::QUOTE_MOVES_TO_NEWEST_SESSION {
            true => quote.origin.session,
            false => old.map_or(quote.origin.session, |old| old.session),
        };
        Order {
            key: old.map_or((account, QUOTES + self.quotes), |old| old.key),
            terms: quote_terms(quote, entry.instrument, side, wish.price, wish.lots),
            session: newest,
            price: wish.price.0,
            total: filled.saturating_add(wish.lots.0),
            filled,
            open: wish.lots.0,
            display: 0,
            visible: 0,
            trigger: None,
            quote: Some((quote.quote_id, entry.slot)),
            post_only: PostOnly::No,
            expires: None,
            entry: old.map_or(0, |old| old.entry),
            priority: 0,
            resting: false,
            aside: false,
            status: OrderStatus::Open,
            checked_at: self.contracts[&entry.instrument].mark,
        }
    }

    /// Ranks 7 to 12, 14 and 15.
    fn admit_side(
        &self,
        quote: &MassQuote,
        order: &Order,
        wish: QuoteSide,
        old: Option<&Order>,
    ) -> Result<(), Reason> {
        let instrument = order.terms.instrument;
        let contract = &self.contracts[&instrument];
        let welcome = match contract.state {
            TradingState::Open | TradingState::PreOpen | TradingState::VolatilityAuction => true,
            TradingState::NoCancel => contract.call.uncrossing.is_none(),
            TradingState::PostOnly => !self.crosses(instrument, order.terms.side, order.price),
            TradingState::CancelOnly
            | TradingState::Halted
            | TradingState::Closed
            | TradingState::InDelivery
            | TradingState::Settled => false,
        };
        if !welcome || !self.legs_match(contract) {
            return Err(Reason::InstrumentNotTrading);
        }
        if !contract.possible_prices().contains(&order.price) {
            return Err(Reason::InvalidField);
        }
        let key = (quote.origin.account, quote.mmp_group);
        let most = contract
            .terms
            .limits
            .max_lots
            .min(self.groups[&key].terms.max_quote_lots.0);
        if !(contract.terms.limits.min_lots..=most).contains(&wish.lots.0) {
            return Err(Reason::QuantityOutOfRange);
        }
        let alone = Order {
            total: wish.lots.0,
            ..order.clone()
        };
        self.check_price(contract, &alone)?;
        if old.is_none() {
            self.check_count(contract, order)?;
        }
        self.check_group(key.0, contract, key.1)?;
        self.check_position(order, old)?;
        self.check_money(contract, order)
    }
}

/// What an entry asks for on a side.
fn asked(entry: &QuoteEntry, side: Side) -> Option<QuoteSide> {
    match side {
        Side::Buy => entry.bid,
        Side::Sell => entry.ask,
    }
}

/// QUOTE-02: both sides ask for lots, and they would trade with each other.
fn is_crossed(entry: &QuoteEntry) -> bool {
    let lots = |side: QuoteSide| (side.lots.0 > 0).then_some(side.price);
    let (bid, ask) = (entry.bid.and_then(lots), entry.ask.and_then(lots));
    bid.is_some() && ask.is_some() && bid >= ask
}

fn quote_terms(
    quote: &MassQuote,
    instrument: InstrumentId,
    side: Side,
    price: Ticks,
    lots: Lots,
) -> OrderTerms {
    OrderTerms {
        client_order_id: 0,
        instrument,
        side,
        pricing: Pricing::Limit(price),
        lots,
        time_in_force: TimeInForce::Gtc,
        post_only: PostOnly::No,
        reduce_only: false,
        self_trade: SelfTrade::CancelResting,
        self_trade_group: 0,
        cancel_group: 0,
        display: Lots(0),
        min_fill: Lots(0),
        trigger: None,
        mmp_group: quote.mmp_group,
        keep_on_disconnect: false,
        tag: Tag::default(),
    }
}
