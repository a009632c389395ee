//! Auctions as they are saved: what each contract keeps, then the orders that wait for a call, then the
//! cancels that wait for its end.

use std::io;

use super::{Auction, Found, Uncross};
use crate::{
    command::TimeInForce,
    exchange::Exchange,
    ids::{InstrumentId, OrderId},
    reason::Reason,
    saved::{LoadError, Loader, Saver, Section},
    units::Nanos,
};

/// Everything of an auction but its lists.
type Saved = (
    Option<Nanos>,
    bool,
    Nanos,
    Option<Uncross>,
    Option<Found>,
    Nanos,
    Nanos,
);

/// Of all contracts, waiting orders excepted.
pub(in crate::exchange) fn save(auctions: &[Auction], saver: &mut Saver<'_>) -> io::Result<()> {
    saver.section(Section::Auctions, auctions.len())?;
    for auction in auctions {
        let Auction {
            began,
            broken_off,
            freezes,
            uncross,
            waiting: _,
            deferred: _,
            // The same orders.
            doomed: _,
            told,
            looked_at,
            looks,
        } = auction;
        saver.item(&(began, broken_off, freezes, uncross, told, looked_at, looks))?;
    }
    let deferred = auctions.iter().map(|auction| auction.deferred.len());
    saver.section(Section::Deferred, deferred.sum())?;
    for (index, auction) in auctions.iter().enumerate() {
        for (order, reason) in &auction.deferred {
            saver.item(&(InstrumentId::nth(index), order, reason))?;
        }
    }
    Ok(())
}

/// Slots of the orders that wait for a call, by contract, in order of priority.
pub(in crate::exchange) fn save_waiting(
    auctions: &[Auction],
    saver: &mut Saver<'_>,
) -> io::Result<()> {
    let waiting = auctions.iter().map(|auction| auction.waiting.len());
    saver.section(Section::AtAuction, waiting.sum())?;
    for slot in auctions.iter().flat_map(|auction| auction.waiting.values()) {
        saver.item(slot)?;
    }
    Ok(())
}

impl Exchange {
    /// Contracts are there.
    pub(in crate::exchange) fn load_auctions(
        &mut self,
        loader: &mut Loader<'_>,
    ) -> Result<(), LoadError> {
        let contracts = self.instruments.len();
        loader.each(Section::Auctions, contracts, |saved: Saved| {
            let (began, broken_off, freezes, uncross, told, looked_at, looks) = saved;
            self.auctions.push(Auction {
                began,
                broken_off,
                freezes,
                uncross,
                told,
                looked_at,
                looks,
                ..Auction::default()
            });
            Ok(())
        })?;
        if self.auctions.len() != contracts {
            let rows = self.auctions.len();
            return Err(loader.damaged(format!("{rows} rows for {contracts} contracts")));
        }
        let (auctions, mut last) = (&mut self.auctions, InstrumentId::NONE);
        loader.each(Section::Deferred, usize::MAX, |saved| {
            let (id, order, reason): (InstrumentId, OrderId, Reason) = saved;
            let auction = id.index().and_then(|index| auctions.get_mut(index));
            let auction = auction.filter(|_| id >= last);
            let auction = auction.ok_or("its contract is unknown, or it is out of order")?;
            last = id;
            if !auction.doomed.insert(order) {
                return Err(format!("{order:?} is there twice"));
            }
            auction.deferred.push((order, reason));
            Ok(())
        })
    }

    /// Orders are there too. How many wait.
    pub(in crate::exchange) fn load_waiting(
        &mut self,
        loader: &mut Loader<'_>,
    ) -> Result<usize, LoadError> {
        let (orders, auctions) = (&self.orders, &mut self.auctions);
        let (mut last, mut count) = (Default::default(), 0);
        loader.each(Section::AtAuction, usize::MAX, |slot: u32| {
            let order = orders.living(slot)?;
            let right = order.waiting
                && order.terms.trigger.is_none()
                && order.terms.time_in_force == TimeInForce::AtAuction;
            let now = (order.terms.instrument, order.priority);
            if !right || now <= last {
                return Err("it does not wait for an auction, or is out of order".into());
            }
            (last, count) = (now, count + 1);
            let index = order.terms.instrument.index().unwrap_or(usize::MAX);
            auctions[index].waiting.insert(order.priority, slot);
            Ok(())
        })?;
        Ok(count)
    }
}
