//! What time does: expiries, grace periods, scheduled states, the end of trading, a restart.

use super::{Exchange, Presence, timers::Timer};
use crate::{
    command::{Origin, Restart, Side},
    event::{Event, StatusChange},
    ids::{AccountId, InstrumentId},
    instrument::{Scheduled, TradingState},
    limits,
    reason::Reason,
    units::Nanos,
};

impl Exchange {
    /// Runs what is due, a bounded part at a time (TIME-01).
    pub(super) fn tick(&mut self, out: &mut Vec<Event>) {
        for _ in 0..limits::TIMERS_PER_TICK {
            let Some((due, timer)) = self.timers.pop_due(self.at) else {
                return;
            };
            match timer {
                Timer::Expiry(id) => {
                    let lives = self.orders.get(id).is_some_and(crate::order::Order::lives);
                    if let Some(slot) = id.slot().filter(|_| lives)
                        && !self.defers(slot, Reason::Expired)
                    {
                        self.end(slot, Reason::Expired, &Origin::default(), out);
                    }
                }
                Timer::Grace(session) => self.grace_over(session, due, out),
                Timer::CancelTimer(account) => self.fire_cancel_timer(account, due, out),
                Timer::State(instrument) => self.run_scheduled(instrument, due, out),
                Timer::LastTrade(instrument) => self.end_trading(instrument, out),
                Timer::Reopen(instrument) => self.reopen(instrument, due, out),
                Timer::Triggers(instrument) => self.woken.push(instrument),
                Timer::NoCancel(instrument) => self.begin_no_cancel(instrument, due, out),
                Timer::Uncross(instrument) => self.step_uncross(instrument, due, out),
                Timer::Indicative(instrument) => self.look_again(instrument, due),
                Timer::Thaw(account, group) => self.thaw(account, group, due, out),
                Timer::Window(instrument) => self.begin_window(instrument, out),
                Timer::Liquidate(account, asset) => self.liquidate(account, asset, due, out),
                Timer::CloseOffer(offer) => self.close_offer(offer, out),
                Timer::Sample(index) => self.sample(index, due, out),
                Timer::SettleDay(index) => self.settle_days(index, out),
                Timer::Delivery(id) => self.look_at_obligation(id, due, out),
                Timer::Capacity(account, commodity) => {
                    self.fit_capacity(account, commodity, out);
                }
                Timer::Exit(account) => self.go_on_with_exit(account, out),
                Timer::Margin(commodity, asset) => self.age_family((commodity, asset), due, out),
                Timer::Block(number) => self.expire_block(number, out),
                Timer::Rfq(number) => self.expire_rfq(number, out),
                Timer::RfqQuote(rfq, quote) => self.expire_quote((rfq, quote), out),
            }
        }
    }

    fn fire_cancel_timer(&mut self, account: AccountId, due: Nanos, out: &mut Vec<Event>) {
        let armed = self
            .account_mut(account)
            .and_then(|row| row.cancel_timer.take());
        if let Some((at, session, selection)) = armed
            && at == due
        {
            let slots = self.selected(account, session, &selection);
            self.cancel_slots(slots, Reason::CancelTimer, &Origin::default(), out);
        }
    }

    /// Somebody decided on the state: a restart's reopening is off.
    pub(super) fn forget_reopening(&mut self, id: InstrumentId) {
        let reopens = std::mem::replace(&mut self.contract_mut(id).reopens, Nanos::ZERO);
        if reopens != Nanos::ZERO {
            self.timers.clear(reopens, Timer::Reopen(id));
        }
    }

    fn run_scheduled(&mut self, id: InstrumentId, due: Nanos, out: &mut Vec<Event>) {
        let contract = self.contract_mut(id);
        if let Some(change) = contract.scheduled.take_if(|change| change.at == due) {
            self.forget_reopening(id);
            if change.cancel_open_orders {
                self.clear_into(id, change.state, change.reason, out);
            } else {
                self.change_state(id, change.state, change.reason, out);
            }
        }
    }

    /// Trading in a contract is over (TIME-02).
    fn end_trading(&mut self, id: InstrumentId, out: &mut Vec<Event>) {
        self.unschedule(id);
        self.forget_reopening(id);
        self.change_state(id, TradingState::Closed, Reason::Schedule, out);
        self.cancel_book(id, Reason::InstrumentExpired, out);
        self.unlink(id);
        self.cascade(id, out);
        self.begin_delivery(id, out);
    }

    /// Cancels everything in a book, buys first, in matching order, then what waits for an auction;
    /// answers with the number.
    pub(super) fn cancel_book(
        &mut self,
        id: InstrumentId,
        reason: Reason,
        out: &mut Vec<Event>,
    ) -> u32 {
        let book = &self.books[id.index().unwrap_or(usize::MAX)];
        let slots: Vec<u32> = book
            .queue(Side::Buy, &self.orders)
            .chain(book.queue(Side::Sell, &self.orders))
            .chain(self.waiting_in(id))
            .collect();
        let mut cancelled = 0;
        for slot in slots {
            self.end(slot, reason, &Origin::default(), out);
            cancelled += 1;
        }
        cancelled
    }

    /// Orders of a contract that live in no book, in order of priority.
    pub(super) fn waiting_in(&self, id: InstrumentId) -> Vec<u32> {
        let index = id.index().unwrap_or(usize::MAX);
        let pegs = self.pegs[index].iter().copied();
        let asleep = pegs.filter(|slot| self.orders.at(*slot).waiting);
        let mut slots: Vec<u32> = self.stops[index]
            .slots()
            .chain(asleep)
            .chain(self.waiting_for_auction(id))
            .collect();
        slots.sort_unstable_by_key(|slot| self.orders.at(*slot).priority);
        slots
    }

    pub(super) fn unschedule(&mut self, id: InstrumentId) {
        if let Some(change) = self.contract_mut(id).scheduled.take() {
            self.timers.clear(change.at, Timer::State(id));
        }
    }

    pub(super) fn schedule(&mut self, id: InstrumentId, change: Scheduled, out: &mut Vec<Event>) {
        self.unschedule(id);
        self.contract_mut(id).scheduled = Some(change);
        self.timers.set(change.at, Timer::State(id));
        self.plan_no_cancel(id);
        self.tell_status(id, out);
    }

    pub(super) fn set_state(
        &mut self,
        id: InstrumentId,
        state: TradingState,
        reason: Reason,
        out: &mut Vec<Event>,
    ) {
        self.reference_version += 1;
        let version = self.reference_version;
        let contract = self.contract_mut(id);
        contract.state = state;
        contract.state_reason = reason;
        contract.version = version;
        self.stir(id);
        self.tell_status(id, out);
        if state == TradingState::Halted {
            self.pull_quotes(id, out);
        }
    }

    pub(super) fn tell_status(&mut self, id: InstrumentId, out: &mut Vec<Event>) {
        let contract = self.contract_mut(id);
        contract.public_seq += 1;
        out.push(Event::Status(StatusChange {
            instrument: id,
            public_seq: contract.public_seq,
            state: contract.state,
            reason: contract.state_reason,
            scheduled: contract.next_change(),
        }));
    }

    /// The process started again on this journal (SESSION-05).
    pub(super) fn restart(&mut self, restart: &Restart, out: &mut Vec<Event>) {
        let present: Vec<_> = self
            .sessions
            .iter()
            .filter(|session| session.presence != Presence::Away)
            .map(|session| session.id)
            .collect();
        for id in present {
            self.wait_for(id, restart.recovery_grace_ms, Reason::Disconnect, out);
        }
        let open: Vec<_> = self
            .instruments
            .iter()
            .filter(|contract| {
                let waits = contract.reopens != Nanos::ZERO;
                contract.state == TradingState::Open
                    || (waits && contract.state == TradingState::PostOnly)
            })
            .map(|contract| contract.id)
            .collect();
        for id in open {
            if restart.post_only_until > self.at {
                // A timer of its own: what the operator has scheduled stays scheduled. A restart during
                // the wait of another one waits anew, never shorter than it would have.
                let until = restart.post_only_until.max(self.contract(id).reopens);
                self.reopen_at(id, until);
                self.set_state(id, TradingState::PostOnly, Reason::Restart, out);
            }
        }
        let calls: Vec<_> = self.calls.iter().copied().collect();
        for id in calls {
            if restart.post_only_until > self.at {
                self.restart_auction(id, restart.post_only_until, out);
            }
        }
    }
}
