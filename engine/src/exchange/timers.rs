//! What falls due. Timers run only in a Tick, whose time comes from the journal.

use std::collections::BTreeSet;

use bincode::{Decode, Encode};

use crate::{
    ids::{
        AccountId, AssetId, CommodityId, IndexId, InstrumentId, ObligationId, OrderId, SessionId,
    },
    saved::{LoadError, Loader, Saver, Section},
    units::Nanos,
    visits::Sorted,
};

/// What happens when the time comes; the order of kinds is the order within one moment (TIME-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Timer {
    /// An order's time is over.
    Expiry(OrderId),
    /// A session did not come back.
    Grace(SessionId),
    /// An account's dead man's switch.
    CancelTimer(AccountId),
    /// A scheduled trading state.
    State(InstrumentId),
    /// Trading in a contract ends.
    LastTrade(InstrumentId),
    /// A restarted contract matches again.
    Reopen(InstrumentId),
    /// More stops are due than one command releases.
    Triggers(InstrumentId),
    /// The last part of an auction's call begins.
    NoCancel(InstrumentId),
    /// An auction goes on.
    Uncross(InstrumentId),
    /// The price of a call may be told again.
    Indicative(InstrumentId),
    /// A protection group's freeze ends.
    Thaw(AccountId, u16),
    /// The window of a forward begins.
    Window(InstrumentId),
    /// The next order of a liquidation.
    Liquidate(AccountId, AssetId),
    /// The bids for a defaulter's position are opened.
    CloseOffer(u64),
    /// A sample of an index is due.
    Sample(IndexId),
    /// A day's value of an index settles.
    SettleDay(IndexId),
    /// A delivery begins, ends, or an interval of it settles.
    Delivery(ObligationId),
    /// An attestation of capacity lapses.
    Capacity(AccountId, CommodityId),
    /// An account that leaves by the chain is wound up further.
    Exit(AccountId),
    /// A day has gone by for the maturities of a family.
    Margin(CommodityId, AssetId),
    /// A reported block trade was not affirmed.
    Block(u64),
    /// A request for quote was open long enough.
    Rfq(u64),
    /// A quote on a request is not firm any more.
    RfqQuote(u64, u64),
}

/// Timers in order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<Sorted<(Nanos, Timer)>>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Nanos, timer: Timer) {
        self.due.insert(Sorted((at, timer)));
    }

    pub(crate) fn clear(&mut self, at: Nanos, timer: Timer) {
        self.due.remove(&Sorted((at, timer)));
    }

    pub(crate) fn next(&self) -> Option<Nanos> {
        self.due.first().map(|due| due.0.0)
    }

    pub(crate) fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, Timer)> {
        if self.next()? > now {
            return None;
        }
        self.due.pop_first().map(|due| due.0)
    }

    /// In order of time.
    pub(super) fn save(&self, saver: &mut Saver<'_>) -> std::io::Result<()> {
        let Self { due } = self;
        saver.items(Section::Timers, due.iter().map(|due| due.0))
    }

    pub(super) fn load(loader: &mut Loader<'_>) -> Result<Self, LoadError> {
        let mut timers = Self::default();
        loader.each(Section::Timers, usize::MAX, |timer: (Nanos, Timer)| {
            if timers.due.last().is_some_and(|last| last.0 >= timer) {
                return Err("it stands behind a later one".into());
            }
            timers.set(timer.0, timer.1);
            Ok(())
        })?;
        Ok(timers)
    }
}
