//! Waiting stops as they are saved: their slots, list by list in order of release.

use std::io;

use super::{LISTS, Stops, rank};
use crate::{
    exchange::Exchange,
    saved::{LoadError, Loader, Saver, Section},
};

/// Of all contracts.
pub(in crate::exchange) fn save(stops: &[Stops], saver: &mut Saver<'_>) -> io::Result<()> {
    let waiting = |Stops { lists }: &Stops| lists.iter().map(|list| list.len()).sum::<usize>();
    saver.section(Section::Stops, stops.iter().map(waiting).sum())?;
    for slot in stops.iter().flat_map(Stops::slots) {
        saver.item(&slot)?;
    }
    Ok(())
}

impl Exchange {
    /// Orders and contracts are there. How many wait.
    pub(in crate::exchange) fn load_stops(
        &mut self,
        loader: &mut Loader<'_>,
    ) -> Result<usize, LoadError> {
        let (orders, stops) = (&self.orders, &mut self.stops);
        let (mut last, mut count) = (None, 0);
        loader.each(Section::Stops, usize::MAX, |slot: u32| {
            let order = orders.living(slot)?;
            let trigger = order.terms.trigger.filter(|_| order.waiting);
            let trigger = trigger.ok_or("the order is no waiting stop")?;
            let place = (trigger.source, order.terms.side);
            let list = LISTS.iter().position(|list| *list == place);
            let rank = rank(order.terms.side, trigger.price);
            let now = Some((order.terms.instrument, list, rank, order.priority));
            if now <= last {
                return Err("it is out of order".into());
            }
            (last, count) = (now, count + 1);
            let index = order.terms.instrument.index().unwrap_or(usize::MAX);
            stops[index].add(order, slot);
            Ok(())
        })?;
        Ok(count)
    }
}
