//! How far prices moved lately (AUCTION-08). A trade too far from another one of the rolling window
//! does not happen; an auction finds the price instead.
//!
//! The window is kept in eight slices that begin at whole multiples of their length. While nothing of
//! it changes, a trade costs two comparisons with kept bounds.

use bincode::{Decode, Encode};

use super::{Exchange, Timer};
use crate::{
    command::TimeInForce,
    event::Event,
    ids::InstrumentId,
    instrument::{TradingState, Volatility},
    limits,
    reason::Reason,
    units::{MILLISECOND, Nanos, Ticks},
};

const SLICES: usize = 8;

/// Lowest and highest trade of an eighth of the window.
#[derive(Clone, Copy, Debug, Encode, Decode)]
struct Slice {
    began: Nanos,
    low: Ticks,
    high: Ticks,
}

/// Trades of one contract in its rolling window.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub(super) struct Window {
    /// Of one slice, in nanoseconds; 0 = no check.
    span: i64,
    /// Largest move, in parts per million.
    ppm: i64,
    /// Oldest first.
    slices: Vec<Slice>,
    /// Until then, prices within the newest slice and these bounds change nothing.
    until: Nanos,
    lowest: Ticks,
    highest: Ticks,
}

impl Window {
    pub(super) fn new(terms: &Volatility) -> Self {
        let slices = i64::try_from(SLICES).unwrap_or(1);
        Self {
            span: i64::from(terms.window_ms) * MILLISECOND / slices,
            ppm: i64::from(terms.move_ppm),
            ..Self::default()
        }
    }

    /// Whether a trade may happen now at this price; counts it if so.
    pub(super) fn admits(&mut self, now: Nanos, price: Ticks) -> bool {
        if self.span == 0 || (now < self.until && (self.lowest..=self.highest).contains(&price)) {
            return true;
        }
        self.look(now, price)
    }

    /// As [`Self::admits`], without a trade.
    pub(super) fn would_admit(&self, now: Nanos, price: Ticks) -> bool {
        if self.span == 0 || (now < self.until && (self.lowest..=self.highest).contains(&price)) {
            return true;
        }
        let window = self.span * i64::try_from(SLICES).unwrap_or(1);
        let counts = |slice: &&Slice| slice.began.after(window) > now;
        let low = self
            .slices
            .iter()
            .filter(counts)
            .map(|slice| slice.low)
            .min();
        let high = self
            .slices
            .iter()
            .filter(counts)
            .map(|slice| slice.high)
            .max();
        let (low, high) = (low.unwrap_or(price), high.unwrap_or(price));
        !self.too_far(low, high, price)
    }

    #[cold]
    fn look(&mut self, now: Nanos, price: Ticks) -> bool {
        self.forget(now);
        let (low, high) = self.extremes().unwrap_or((price, price));
        if self.too_far(low, high, price) {
            return false;
        }
        self.count(now, price);
        true
    }

    /// Slices that began a window ago leave as a whole.
    fn forget(&mut self, now: Nanos) {
        let window = self.span * i64::try_from(SLICES).unwrap_or(1);
        self.slices.retain(|slice| slice.began.after(window) > now);
    }

    fn extremes(&self) -> Option<(Ticks, Ticks)> {
        let low = self.slices.iter().map(|slice| slice.low).min()?;
        let high = self.slices.iter().map(|slice| slice.high).max()?;
        Some((low, high))
    }

    fn too_far(&self, low: Ticks, high: Ticks, price: Ticks) -> bool {
        // Prices end at 10^12, so the products fit.
        price.0 * 1_000_000 > low.0 * (1_000_000 + self.ppm)
            || price.0 * 1_000_000 < high.0 * (1_000_000 - self.ppm)
    }

    fn count(&mut self, now: Nanos, price: Ticks) {
        let began = Nanos(now.0 - now.0.rem_euclid(self.span));
        match self.slices.last_mut().filter(|slice| slice.began == began) {
            Some(slice) => {
                slice.low = slice.low.min(price);
                slice.high = slice.high.max(price);
            }
            None => self.slices.push(Slice {
                began,
                low: price,
                high: price,
            }),
        }
        self.until = began.after(self.span);
        let newest = self.slices.last().copied();
        if let (Some(newest), Some((low, high))) = (newest, self.extremes()) {
            let most = low.0 * (1_000_000 + self.ppm) / 1_000_000;
            let least = (high.0 * (1_000_000 - self.ppm) + 999_999) / 1_000_000;
            self.lowest = newest.low.max(Ticks(least));
            self.highest = newest.high.min(Ticks(most));
        }
    }

    /// Starts over, with one price if there is one.
    pub(super) fn restart(&mut self, now: Nanos, price: Option<Ticks>) {
        self.slices.clear();
        self.until = Nanos::ZERO;
        if let Some(price) = price.filter(|_| self.span != 0) {
            self.count(now, price);
        }
    }
}

/// What an order that must fill at once would do to the window.
pub(super) struct Probe {
    window: Window,
    now: Nanos,
}

impl Probe {
    /// As [`Window::admits`], without a trade.
    pub(super) fn admits(&mut self, price: Ticks) -> bool {
        self.window.admits(self.now, price)
    }
}

impl Exchange {
    /// Tries prices one after the other without trading.
    pub(super) fn probe_volatility(&self, id: InstrumentId) -> Probe {
        let window = id.index().and_then(|at| self.windows.get(at));
        Probe {
            window: window.cloned().unwrap_or_default(),
            now: self.at,
        }
    }

    /// An incoming order would trade too far away. It has its place in the call before those who waited
    /// for one and only join now.
    #[cold]
    pub(super) fn call_volatility_with(&mut self, slot: u32, out: &mut Vec<Event>) {
        let terms = &self.orders.at(slot).terms;
        let instrument = terms.instrument;
        if !matches!(terms.time_in_force, TimeInForce::Ioc | TimeInForce::Fok) {
            self.rest(slot);
        }
        self.call_volatility_auction(instrument, out);
    }

    /// A trade would be too far away: the contract, and behind its lead the whole curve, calls an
    /// auction.
    #[cold]
    fn call_volatility_auction(&mut self, id: InstrumentId, out: &mut Vec<Event>) {
        let product = self.contract(id).product;
        let alive = |contract: &&crate::instrument::Instrument| {
            contract.product == product && contract.terms.last_trade > self.at
        };
        let lead = self
            .instruments
            .iter()
            .filter(alive)
            .filter(|contract| {
                !matches!(contract.state, TradingState::Closed | TradingState::Halted)
            })
            .min_by_key(|contract| (contract.terms.last_trade, contract.id))
            .map(|contract| contract.id);
        let mut called = vec![id];
        if lead == Some(id) {
            let open = |contract: &&crate::instrument::Instrument| {
                contract.state == TradingState::Open && contract.id != id
            };
            let curve = self.instruments.iter().filter(alive).filter(open);
            called.extend(curve.map(|contract| contract.id));
        }
        for id in called {
            // The end of the call is kept apart from what the operator has scheduled.
            self.reopen_at(id, self.at.after(limits::VOLATILITY_CALL_MS * MILLISECOND));
            let reason = Reason::Volatility;
            self.change_state(id, TradingState::VolatilityAuction, reason, out);
        }
    }

    /// Sets the end of a volatility call, or of post-only trading.
    pub(super) fn reopen_at(&mut self, id: InstrumentId, at: Nanos) {
        self.forget_reopening(id);
        self.contract_mut(id).reopens = at;
        self.timers.set(at, Timer::Reopen(id));
    }
}
