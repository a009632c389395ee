//! Order slots as they are saved: names are places, so every slot keeps its own, and ended orders their
//! age. What the books keep is saved by the books.

use std::io;

use super::{Link, NIL, Order, Orders, OwnerList};
use crate::{
    ids::AccountId,
    limits,
    saved::{LoadError, Loader, Saver, Section},
};

impl Orders {
    pub(crate) fn save(&self, saver: &mut Saver<'_>) -> io::Result<()> {
        let Self {
            slots,
            nodes: _,
            freed,
            live: _,
        } = self;
        saver.items(Section::Orders, slots.iter())?;
        saver.items(Section::Ended, freed.iter().copied())
    }

    /// Every order that `fits` the other tables; none is here yet. Room for all there can be is there.
    pub(crate) fn load(
        &mut self,
        loader: &mut Loader<'_>,
        fits: impl Fn(&Order) -> bool,
    ) -> Result<(), LoadError> {
        loader.each(Section::Orders, limits::ORDERS, |order: Order| {
            if order.id.slot() != u32::try_from(self.slots.len()).ok() || !fits(&order) {
                return Err(format!("{:?} names what is not there", order.id));
            }
            self.live += usize::from(order.lives());
            self.slots.push(order);
            self.nodes.grow();
            Ok(())
        })?;
        let mut seen = vec![false; self.slots.len()];
        loader.each(Section::Ended, self.slots.len(), |slot: u32| {
            match self.slots.get(slot as usize) {
                Some(order) if !order.lives() && !seen[slot as usize] => {
                    seen[slot as usize] = true;
                    self.freed.push_back(slot);
                    Ok(())
                }
                _ => Err(format!("slot {slot} has no ended order")),
            }
        })?;
        if self.freed.len() + self.live != self.slots.len() {
            let (freed, live, slots) = (self.freed.len(), self.live, self.slots.len());
            let lost = format!("{freed} ended and {live} living orders in {slots} slots");
            return Err(loader.damaged(lost));
        }
        Ok(())
    }

    /// The order in a slot, if that is in use.
    pub(crate) fn living(&self, slot: u32) -> Result<&Order, String> {
        let order = self.slots.get(slot as usize).filter(|order| order.lives());
        order.ok_or_else(|| format!("slot {slot} has no living order"))
    }

    /// All slots, ended orders included.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Order> {
        self.slots.iter()
    }

    /// How many orders an account's list holds, if it is one: all of this account, all alive, each
    /// linked to its neighbours.
    pub(crate) fn check_list(&self, account: AccountId, list: OwnerList) -> Result<usize, String> {
        let (mut before, mut slot, mut count) = (NIL, list.head, 0);
        while slot != NIL {
            let order = self.living(slot)?;
            let Link { prev, next } = order.owner;
            if order.account != account || prev != before {
                return Err(format!(
                    "slot {slot} is not the next of the account's orders"
                ));
            }
            (before, slot, count) = (slot, next, count + 1);
        }
        if before != list.tail {
            return Err(format!("its orders end at {before}, not at {}", list.tail));
        }
        Ok(count)
    }
}
