//! Doing. An admitted order meets the other side: best price first, oldest first; what is left rests.

use super::{
    Exchange, FirstResult, News,
    admission::{Admitted, Door},
    client_ids::Use,
    timers::Timer,
};
use crate::{
    command::{OrderTerms, Origin, Place, Pricing, SelfTrade, Side, TimeInForce},
    event::{Event, Fill, Liquidity, OrderEvent, OrderEventKind, OrderStatus, QuoteKey, Trade},
    ids::{AccountId, InstrumentId, OrderId, TradeId},
    instrument::Kind,
    ledger::About,
    order::{Link, Order},
    reason::{Field, Problem, Reason},
    units::{Lots, Minor, Nanos, Ppm, TickLots, Ticks},
};

impl Exchange {
    /// Enters an order.
    pub(super) fn place(&mut self, place: &Place, out: &mut Vec<Event>) {
        if matches!(self.enter(&place.origin, out), Door::Shut) {
            return;
        }
        if let Err(problem) = self.check_deadline(&place.origin) {
            return self.reject(place, problem, None, out);
        }
        self.place_inside(place, out);
    }

    /// Enters an order whose command is through the door; answers whether it was accepted.
    pub(super) fn place_inside(&mut self, place: &Place, out: &mut Vec<Event>) -> bool {
        if place.order.client_order_id == 0 {
            let problem = Problem::about(Reason::InvalidField, Field::ClientOrderId);
            self.reject(place, problem, None, out);
            return false;
        }
        let (used, first) = self.first_use(place);
        if let Some(first) = first.copied() {
            if first.content == used.content {
                self.repeat(place, &first, out);
                return first.refused.is_none();
            }
            let reason = Reason::DuplicateClientOrderId;
            let problem = Problem::about(reason, Field::ClientOrderId);
            self.reject(place, problem, None, out);
            return false;
        }
        match self.admit(place) {
            Err(problem) => {
                self.reject(place, problem, Some(&used), out);
                false
            }
            // From here the order is in.
            Ok(admitted) => {
                let slot = self.accept(place, &admitted, &used, out);
                self.begin(slot, &admitted, &place.origin, out);
                true
            }
        }
    }

    /// The use of the order's client id, and what came of its first one. It is free again a day later,
    /// unless its order still lives.
    pub(super) fn first_use(&self, place: &Place) -> (Use, Option<&FirstResult>) {
        let (account, id) = (place.origin.account, place.order.client_order_id);
        let hash = self.client_ids.hash(account, id);
        let first = self.client_ids.get_hashed(hash, account, id);
        let used = Use {
            hash,
            account,
            id,
            content: Self::content_of(place),
            again: first.is_some(),
        };
        let counts = first.filter(|first| {
            let lives = self.orders.get(first.order).is_some_and(Order::lives);
            lives || first.at.after(crate::limits::CLIENT_ID_LIFE) > self.at
        });
        (used, counts)
    }

    /// Says no to a new order; remembers the answer if the use of its id is given.
    pub(super) fn reject(
        &mut self,
        place: &Place,
        problem: Problem,
        used: Option<&Use>,
        out: &mut Vec<Event>,
    ) {
        if let Some(used) = used {
            self.remember(used, OrderId::NONE, Some(&problem));
        }
        let event = self.unborn(place, OrderEventKind::Rejected, Some(problem));
        out.push(Event::Order(event));
    }

    /// Gives a repeated id its first result again.
    pub(super) fn repeat(&mut self, place: &Place, first: &FirstResult, out: &mut Vec<Event>) {
        let kind = match first.refused {
            Some(_) => OrderEventKind::Rejected,
            None => OrderEventKind::Accepted,
        };
        let mut event = self.unborn(place, kind, first.refused);
        event.repeated = true;
        event.order_id = first.order;
        if let Some(order) = self.orders.get(first.order) {
            event.price = order.price;
            event.total = order.total;
            event.filled = order.filled;
            event.open = if order.lives() {
                order.open
            } else {
                Lots::ZERO
            };
            event.status = order.status;
            event.priority = order.priority;
        } else if first.refused.is_none() {
            event.status = OrderStatus::Cancelled;
        }
        out.push(Event::Order(event));
    }

    /// An event about an order that has no slot.
    fn unborn(
        &mut self,
        place: &Place,
        kind: OrderEventKind,
        problem: Option<Problem>,
    ) -> OrderEvent {
        let (origin, terms) = (&place.origin, &place.order);
        OrderEvent {
            to: self.address(origin.account, origin.session, origin.client_seq),
            kind,
            status: OrderStatus::Rejected,
            problem,
            client_order_id: terms.client_order_id,
            instrument: terms.instrument,
            side: terms.side,
            price: match terms.pricing {
                Pricing::Limit(price) => price,
                Pricing::Market => Ticks::ZERO,
                Pricing::Peg(peg) => peg.cap,
            },
            total: terms.lots,
            cancel_group: terms.cancel_group,
            display: terms.display,
            mmp_group: terms.mmp_group,
            tag: terms.tag,
            ..OrderEvent::BLANK
        }
    }

    fn remember(&mut self, used: &Use, order: OrderId, refused: Option<&Problem>) {
        if self.account(used.account).is_none() {
            return; // a number nobody has takes no room, however large it is
        }
        let orders = &self.orders;
        let is_open = |order| orders.get(order).is_some_and(Order::lives);
        let now = (self.seq, self.at);
        self.client_ids.remember(used, order, refused, now, is_open);
    }

    /// Gives the order a slot, holds its money, and says ACCEPTED.
    fn accept(
        &mut self,
        place: &Place,
        admitted: &Admitted,
        used: &Use,
        out: &mut Vec<Event>,
    ) -> u32 {
        let (origin, terms) = (&place.origin, &place.order);
        let slot = self.enroll(origin, terms, admitted, None);
        self.remember(used, self.orders.at(slot).id, None);
        let mut news = News::plain(OrderEventKind::Accepted);
        if admitted.slid {
            news.problem = Some(Problem::new(Reason::PostOnlySlid));
        }
        self.tell(slot, news, origin, out);
        slot
    }

    /// Gives an admitted order or quote a slot and its owner's list, and holds its money.
    pub(super) fn enroll(
        &mut self,
        origin: &Origin,
        terms: &OrderTerms,
        admitted: &Admitted,
        quote: Option<QuoteKey>,
    ) -> u32 {
        self.priorities += 1;
        let position = self.positions.place_of(origin.account, terms.instrument);
        let is_combined = self.contract(terms.instrument).terms.kind.is_combination();
        let (slot, order) = self.orders.take_slot();
        let id = order.id;
        // In place, field by field; the pattern makes the compiler ask for every one.
        let Order {
            id: _,
            terms: its_terms,
            account,
            session,
            quote: its_quote,
            price,
            total,
            filled,
            open,
            filled_exposure,
            priority,
            hold_lot,
            expire,
            status,
            problem,
            accepted_at,
            updated_at,
            updated_seq,
            resting,
            waiting,
            combined,
            position: its_position,
            owner,
        } = order;
        *its_terms = *terms;
        (*account, *session) = (origin.account, origin.session);
        *its_quote = quote;
        *price = admitted.price;
        (*total, *open, *filled) = (admitted.lots, admitted.lots, Lots::ZERO);
        *filled_exposure = TickLots::ZERO;
        *priority = self.priorities;
        *hold_lot = admitted.hold_lot;
        *expire = admitted.expire;
        *status = match terms.trigger {
            Some(_) => OrderStatus::Untriggered,
            None => OrderStatus::Open,
        };
        *problem = None;
        (*accepted_at, *updated_at, *updated_seq) = (self.at, self.at, self.seq);
        (*resting, *waiting, *combined) = (false, false, is_combined);
        *its_position = position;
        *owner = Link::LOOSE;
        if admitted.expire != Nanos::ZERO {
            self.timers.set(admitted.expire, Timer::Expiry(id));
        }
        let index = origin.account.index().unwrap_or(usize::MAX);
        let mut list = self.accounts[index].orders;
        self.orders.own(&mut list, slot);
        self.accounts[index].orders = list;
        self.reducing.join(slot, self.orders.at(slot));
        self.positions.change_at(position).orders += 1;
        self.count_open(slot, admitted.lots);
        slot
    }

    /// What a new order does first: a stop waits, a pegged order takes its place, all others trade.
    fn begin(&mut self, slot: u32, admitted: &Admitted, origin: &Origin, out: &mut Vec<Event>) {
        let terms = &self.orders.at(slot).terms;
        let instrument = terms.instrument;
        let follows = terms.trigger.is_some() || matches!(terms.pricing, Pricing::Peg(_));
        if !follows {
            return self.work(slot, origin, out);
        }
        let waits = terms.trigger.is_some();
        self.contract_mut(instrument).followers += 1;
        if waits {
            return self.wait_for_trigger(slot);
        }
        self.follow(slot);
        if admitted.asleep {
            self.orders.at_mut(slot).waiting = true;
        } else {
            self.rest(slot);
        }
    }

    /// Trades what can trade and rests or ends the rest.
    pub(super) fn work(&mut self, slot: u32, commander: &Origin, out: &mut Vec<Event>) {
        if self.waits_for_auction(self.orders.at(slot)) {
            return self.wait_for_auction(slot);
        }
        let contract = self.contract(self.orders.at(slot).terms.instrument);
        if !super::states::is_call(contract.state) {
            if contract.combined {
                self.sweep_combined(slot, commander, out);
            } else {
                self.sweep(slot, commander, out);
            }
        }
        let order = self.orders.at(slot);
        if !order.is_open() || order.resting {
            return;
        }
        match order.terms.time_in_force {
            TimeInForce::Ioc | TimeInForce::Fok => {
                // Only a volatility auction that this order itself called takes its contract away.
                let reason = if self.is_collecting(slot) {
                    Reason::Volatility
                } else {
                    Reason::IocRemainder
                };
                self.end(slot, reason, commander, out);
            }
            TimeInForce::Gtc | TimeInForce::Gtd(_) | TimeInForce::Day | TimeInForce::AtAuction => {
                self.rest(slot)
            }
        }
    }

    /// The order's contract is in a call.
    fn is_collecting(&self, slot: u32) -> bool {
        let instrument = self.orders.at(slot).terms.instrument;
        super::states::is_call(self.contract(instrument).state)
    }

    /// Puts an order at the back of its price.
    pub(super) fn rest(&mut self, slot: u32) {
        let order = self.orders.at_mut(slot);
        order.resting = true;
        let (instrument, side, price) = (order.terms.instrument, order.terms.side, order.price);
        let index = instrument.index().unwrap_or(usize::MAX);
        let node = self.orders.node(slot);
        self.books[index].rest(self.orders.nodes_mut(), slot, node);
        self.touch_level(instrument, side, price);
    }

    /// Meets the other side until nothing is left or nothing fits.
    fn sweep(&mut self, slot: u32, commander: &Origin, out: &mut Vec<Event>) {
        loop {
            let order = self.orders.at(slot);
            if !order.is_open() {
                return;
            }
            let (side, limit, instrument) = (order.terms.side, order.price, order.terms.instrument);
            let (account, group) = (order.account, order.terms.self_trade_group);
            let index = instrument.index().unwrap_or(usize::MAX);
            let book = &self.books[index];
            let best = book.best(side.opposite());
            let Some(price) = best.filter(|best| side.accepts(limit, *best)) else {
                return;
            };
            let Some(maker) = book.level(side.opposite(), price).map(|level| level.head) else {
                return;
            };
            let resting = self.orders.nodes().at(maker);
            let own = account == resting.account
                || (group != 0 && self.same_group(account, group, self.orders.at(maker)));
            if resting.lots < order.open {
                self.ask_behind(instrument, maker);
            }
            if self.trades_left == 0 {
                return self.end(slot, Reason::TooManyItems, commander, out);
            }
            self.trades_left -= 1;
            if own {
                self.prevent_self_trade(slot, maker, commander, out);
            } else if self.windows[index].admits(self.at, resting.price) {
                self.trade(slot, maker, commander, out);
            } else {
                return self.call_volatility_with(slot, out);
            }
        }
    }

    /// One trade between an incoming and a resting order, at the resting price.
    pub(super) fn trade(
        &mut self,
        taker: u32,
        maker: u32,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) {
        let (incoming, resting) = (self.orders.at(taker), self.orders.nodes().at(maker));
        let lots = incoming.open.min(resting.lots);
        let price = resting.price;
        let (side, instrument) = (incoming.terms.side, incoming.terms.instrument);
        let (taker_account, maker_account) = (incoming.account, resting.account);
        let contract = self.contract(instrument);
        let value = contract.tick_value.money(price.times(lots));
        let asset = contract.terms.price_asset;
        let (kind, terms_taker, terms_maker) = (
            contract.terms.kind,
            contract.terms.taker_fee,
            contract.terms.maker_fee,
        );
        self.trades += 1;
        let trade = TradeId(self.trades);

        let taker_rate = self
            .account(taker_account)
            .map_or(Ppm(0), |a| a.taker_fee(terms_taker).max(Ppm(0)));
        // Offsets may take a taker's fee away, never turn it into a rebate; and a maker's rebate never
        // exceeds what the other side pays.
        let maker_rate = self
            .account(maker_account)
            .map_or(Ppm(0), |a| a.maker_fee(terms_maker))
            .max(Ppm(-taker_rate.0));
        let about = About {
            trade,
            instrument,
            transfer: 0,
        };
        let ledger = &mut self.ledger;
        let taker_fee = ledger.charge_fee(out, (taker_account, asset), taker_rate, value, about);
        let maker_fee = ledger.charge_fee(out, (maker_account, asset), maker_rate, value, about);

        let taker_after = self.book_fill(taker, price, lots, kind, value);
        let maker_after = self.book_fill(maker, price, lots, kind, value);
        let index = instrument.index().unwrap_or(usize::MAX);
        self.books[index].shrink(self.orders.nodes_mut(), maker, lots);
        self.touch_level(instrument, side.opposite(), price);

        let fill = |liquidity, fee, position_after| News {
            fill: Some(Fill {
                trade,
                price,
                lots,
                liquidity,
                fee,
                position_after,
            }),
            ..News::plain(OrderEventKind::Fill)
        };
        self.tell(
            taker,
            fill(Liquidity::Taker, taker_fee, taker_after),
            commander,
            out,
        );
        // Not the commander's doing for the maker, even within one account.
        let nobody = Origin::default();
        self.tell(
            maker,
            fill(Liquidity::Maker, maker_fee, maker_after),
            &nobody,
            out,
        );
        self.print(
            Trade {
                instrument,
                public_seq: 0,
                trade,
                price,
                lots,
                aggressor: Some(side),
                off_book: None,
            },
            out,
        );
        self.retire_if_filled(taker);
        self.retire_if_filled(maker);
        self.refresh_if_used_up(maker, out);
        for slot in [taker, maker] {
            let place = self.orders.at(slot).position;
            self.rehold_at(place);
            if self.positions.at(place).has_reducing() {
                let account = self.orders.at(slot).account;
                self.keep_reduce_only(account, instrument, commander, out);
            }
        }
        self.protect([maker, taker], lots, value, commander, out);
    }

    /// An iceberg whose visible part has traded shows the next one, behind everybody (ORDER-17).
    pub(super) fn refresh_if_used_up(&mut self, slot: u32, out: &mut Vec<Event>) {
        let order = self.orders.at(slot);
        if !order.resting || self.orders.nodes().at(slot).lots > Lots::ZERO {
            return;
        }
        self.requeue(slot);
        let mut news = News::because(OrderEventKind::Restated, Reason::IcebergRefresh);
        news.priority_lost = true;
        self.tell(slot, news, &Origin::default(), out);
    }

    /// Moves a resting order to the back of its price with a new priority.
    fn requeue(&mut self, slot: u32) {
        self.unrest(slot);
        self.reprioritise(slot);
        self.rest(slot);
    }

    /// Takes a resting order out of its queue.
    pub(super) fn unrest(&mut self, slot: u32) {
        let order = self.orders.at_mut(slot);
        order.resting = false;
        let (instrument, side, price) = (order.terms.instrument, order.terms.side, order.price);
        let index = instrument.index().unwrap_or(usize::MAX);
        self.books[index].remove(self.orders.nodes_mut(), slot);
        self.touch_level(instrument, side, price);
    }

    /// Takes an order out of whatever it stands or waits in.
    fn leave(&mut self, slot: u32) {
        let order = self.orders.at(slot);
        let instrument = order.terms.instrument;
        let index = instrument.index().unwrap_or(usize::MAX);
        let pegged = matches!(order.terms.pricing, Pricing::Peg(_));
        let (waits, trigger) = (order.waiting, order.terms.trigger.is_some());
        if order.resting {
            self.unrest(slot);
        }
        if pegged {
            self.pegs[index].retain(|peg| *peg != slot);
            self.contract_mut(instrument).followers -= 1;
        } else if waits && trigger {
            self.stop_waiting_for_trigger(slot);
            self.contract_mut(instrument).followers -= 1;
        } else if waits {
            self.stop_waiting_for_auction(slot);
        }
        self.orders.at_mut(slot).waiting = false;
    }

    /// Books a fill on an order and its owner's position; answers with the net position.
    pub(super) fn book_fill(
        &mut self,
        slot: u32,
        price: Ticks,
        lots: Lots,
        kind: Kind,
        value: Minor,
    ) -> Lots {
        self.count_lots(slot, -lots);
        let order = self.orders.at_mut(slot);
        order.open -= lots;
        order.filled += lots;
        order.filled_exposure += price.times(lots);
        if order.open == Lots::ZERO {
            order.status = OrderStatus::Filled;
        }
        let (place, instrument, side) = (order.position, order.terms.instrument, order.terms.side);
        let position = self.positions.change_at(place);
        let long_before = position.net.0.max(0);
        position.trade(side, price, lots);
        if kind == Kind::SpotBlock {
            match side {
                Side::Buy => position.owed += value,
                Side::Sell => position.owed -= value,
            }
        }
        let net = position.net;
        let statistics = &mut self.contract_mut(instrument).statistics;
        statistics.open_interest += net.0.max(0) - long_before;
        net
    }

    /// Puts a trade on the tape and into the day's statistics.
    pub(super) fn print(&mut self, mut trade: Trade, out: &mut Vec<Event>) {
        let day = Nanos(self.at.end_of_utc_day().0 - crate::units::DAY);
        let contract = self.contract_mut(trade.instrument);
        contract.public_seq += 1;
        trade.public_seq = contract.public_seq;
        let statistics = &mut contract.statistics;
        if statistics.day != day {
            (statistics.day, statistics.volume) = (day, 0);
            (statistics.open, statistics.high, statistics.low) = (None, None, None);
        }
        statistics.open.get_or_insert(trade.price);
        statistics.high = statistics.high.max(Some(trade.price));
        statistics.low = Some(
            statistics
                .low
                .map_or(trade.price, |low| low.min(trade.price)),
        );
        statistics.last = Some(trade.price);
        statistics.volume += trade.lots.0;
        self.touched_statistics.push(trade.instrument);
        self.count_block_trade(&trade);
        out.push(Event::Trade(trade));
    }

    pub(super) fn retire_if_filled(&mut self, slot: u32) {
        if self.orders.at(slot).status == OrderStatus::Filled {
            self.retire(slot);
        }
    }

    /// The incoming order would meet one of its own group; its mode decides (ORDER-08).
    pub(super) fn prevent_self_trade(
        &mut self,
        incoming: u32,
        resting: u32,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) {
        let reason = Reason::SelfTradePrevented;
        let aside = &bystander(commander);
        match self.orders.at(incoming).terms.self_trade {
            SelfTrade::CancelResting => self.end(resting, reason, aside, out),
            SelfTrade::CancelIncoming => self.end(incoming, reason, commander, out),
            SelfTrade::CancelBoth => {
                self.end(resting, reason, aside, out);
                self.end(incoming, reason, commander, out);
            }
            SelfTrade::Decrement => {
                let lots = self
                    .orders
                    .at(incoming)
                    .open
                    .min(self.orders.at(resting).open);
                self.cut(resting, lots, reason, aside, out);
                self.cut(incoming, lots, reason, commander, out);
            }
        }
    }

    /// Takes lots off an order by the exchange's own decision; ends it if nothing is left.
    pub(super) fn cut(
        &mut self,
        slot: u32,
        lots: Lots,
        reason: Reason,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) {
        self.shrink(slot, lots);
        self.orders.at_mut(slot).total -= lots;
        if self.orders.at(slot).open == Lots::ZERO {
            self.end(slot, reason, commander, out);
        } else {
            self.tell(
                slot,
                News::because(OrderEventKind::Restated, reason),
                commander,
                out,
            );
        }
    }

    /// Takes open lots off an order, its level and its holds.
    pub(super) fn shrink(&mut self, slot: u32, lots: Lots) {
        self.count_open(slot, -lots);
        let order = self.orders.at_mut(slot);
        order.open -= lots;
        if order.resting && lots != Lots::ZERO {
            let (instrument, side, price) = (order.terms.instrument, order.terms.side, order.price);
            let open = order.open;
            // Hidden lots go first.
            let less = (self.orders.nodes().at(slot).lots - open).max(Lots::ZERO);
            let index = instrument.index().unwrap_or(usize::MAX);
            self.books[index].shrink(self.orders.nodes_mut(), slot, less);
            self.touch_level(instrument, side, price);
        }
    }

    /// Counts lots of an order into (negative: out of) its owner's open orders and holds, and brings the
    /// balance in line.
    pub(super) fn count_open(&mut self, slot: u32, lots: Lots) {
        self.count_lots(slot, lots);
        let order = self.orders.at(slot);
        let combined = order.combined;
        self.require_at(order.position);
        if combined {
            self.require_legs(slot);
        }
    }

    /// As [`Self::count_open`], where more happens to the position before its requirement is due.
    pub(super) fn count_lots(&mut self, slot: u32, lots: Lots) {
        let order = self.orders.at(slot);
        let hold = order.hold_lot.for_lots(lots);
        let (side, reduce_only) = (order.terms.side, order.terms.reduce_only);
        let combined = order.combined;
        self.positions
            .change_at(order.position)
            .count_open(side, reduce_only, lots, hold);
        if combined {
            self.count_legs(slot, lots);
        }
    }

    /// Brings the account's balance in line with what its position now requires.
    pub(super) fn rehold(&mut self, account: AccountId, instrument: InstrumentId) {
        let place = self.positions.place_of(account, instrument);
        self.rehold_at(place);
    }

    /// As [`Self::rehold`], for the position in a place.
    pub(super) fn rehold_at(&mut self, place: u32) {
        let position = self.positions.change_at(place);
        let contract = &self.instruments[position.instrument.index().unwrap_or(usize::MAX)];
        let result = position.result_at(contract);
        // A loss in one contract does not hide behind a gain in another (MONEY-02).
        let gained = result.min(Minor::ZERO) - position.result.min(Minor::ZERO);
        position.result = result;
        if gained != Minor::ZERO {
            let asset = contract.terms.price_asset;
            self.ledger.change(position.account, asset).result += gained;
        }
        self.require_at(place);
    }

    /// The part of it that open orders change: what must be held, not what was won or lost.
    pub(super) fn require_at(&mut self, place: u32) {
        let position = self.positions.change_at(place);
        let contract = &self.instruments[position.instrument.index().unwrap_or(usize::MAX)];
        let requirement = position.requirement_in(contract);
        let more = requirement - position.requirement;
        position.requirement = requirement;
        if contract.family != 0 {
            self.keep_credit(place);
        }
        if more == Minor::ZERO {
            return;
        }
        let position = self.positions.at(place);
        let contract = &self.instruments[position.instrument.index().unwrap_or(usize::MAX)];
        let asset = contract.terms.price_asset;
        let balance = self.ledger.change(position.account, asset);
        match contract.terms.kind {
            Kind::SpotBlock => balance.held += more,
            Kind::Forward | Kind::CalendarSpread | Kind::Strip => balance.margin += more,
        }
    }

    /// Ends an order with what is open of it, and says so.
    pub(super) fn end(
        &mut self,
        slot: u32,
        reason: Reason,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) {
        let open = self.orders.at(slot).open;
        self.count_open(slot, -open);
        let order = self.orders.at_mut(slot);
        order.status = match reason {
            Reason::Expired => OrderStatus::Expired,
            _ => OrderStatus::Cancelled,
        };
        order.problem = Some(Problem::new(reason));
        self.tell(
            slot,
            News::because(OrderEventKind::Cancelled, reason),
            commander,
            out,
        );
        self.retire(slot);
    }

    /// Takes an ended order out of book, owner's list and timers; its slot stays readable.
    pub(super) fn retire(&mut self, slot: u32) {
        self.leave(slot);
        self.reducing.leave(slot, self.orders.at(slot));
        let order = self.orders.at_mut(slot);
        let (account, id, expire) = (order.account, order.id, order.expire);
        order.open = Lots::ZERO;
        if expire != Nanos::ZERO {
            self.timers.clear(expire, Timer::Expiry(id));
        }
        let index = account.index().unwrap_or(usize::MAX);
        let mut list = self.accounts[index].orders;
        self.orders.disown(&mut list, slot);
        self.accounts[index].orders = list;
        let place = self.orders.at(slot).position;
        self.positions.change_at(place).orders -= 1;
        self.orders.free(slot);
    }

    /// Reduce-only orders never exceed what they may close (ORDER-07).
    pub(super) fn keep_reduce_only(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        commander: &Origin,
        out: &mut Vec<Event>,
    ) {
        let place = self.positions.place_of(account, instrument);
        for side in [Side::Buy, Side::Sell] {
            loop {
                let position = self.positions.at(place);
                let excess = position.reducing(side) - position.closable(side);
                if excess <= Lots::ZERO {
                    break;
                }
                // The incoming order, which does not rest yet, is not cut.
                let newest = self.reducing.newest(place, side).find(|slot| {
                    let order = self.orders.at(*slot);
                    order.resting || order.waiting
                });
                let Some(slot) = newest else { break };
                let open = self.orders.at(slot).open;
                let reason = Reason::ReduceOnlyWouldIncrease;
                if excess >= open {
                    self.end(slot, reason, &bystander(commander), out);
                } else {
                    self.cut(slot, excess, reason, &bystander(commander), out);
                }
            }
        }
    }
}

/// A commander as seen by orders its command did not name: it still numbers its own session's events,
/// but gets no copies of another session's.
pub(super) fn bystander(commander: &Origin) -> Origin {
    Origin {
        account: AccountId::NONE,
        ..*commander
    }
}
