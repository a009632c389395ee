//! Ties between contracts as they are saved: each contract with each combination that it is a leg of.
//! Legs follow from the terms.

use std::io;

use super::Links;
use crate::{
    exchange::Exchange,
    ids::InstrumentId,
    limits::{COMBINATION_LEGS, COMBINATIONS_OF_A_CONTRACT},
    saved::{LoadError, Loader, Saver, Section},
};

/// Of all contracts.
pub(in crate::exchange) fn save(links: &[Links], saver: &mut Saver<'_>) -> io::Result<()> {
    let ties = |links: &Links| {
        let Links {
            legs: _,
            count: _,
            within: _,
            within_count,
        } = links;
        *within_count
    };
    saver.section(Section::Links, links.iter().map(ties).sum())?;
    for (index, links) in links.iter().enumerate() {
        for combination in links.within() {
            saver.item(&(InstrumentId::nth(index), combination))?;
        }
    }
    Ok(())
}

impl Exchange {
    /// Contracts are there.
    pub(in crate::exchange) fn load_links(
        &mut self,
        loader: &mut Loader<'_>,
    ) -> Result<(), LoadError> {
        let contracts = self.instruments.len();
        let known = |id: InstrumentId| id.index().filter(|index| *index < contracts);
        for contract in &self.instruments {
            let legs = &contract.terms.legs;
            let there = legs.iter().all(|leg| known(leg.instrument).is_some());
            if legs.len() > COMBINATION_LEGS || !there {
                return Err(loader.damaged(format!("legs of {}", contract.terms.symbol)));
            }
            self.links.push(Links::of(&contract.terms));
        }
        let mut last = Default::default();
        loader.each(
            Section::Links,
            usize::MAX,
            |now: (InstrumentId, InstrumentId)| {
                let (leg, combination) = now;
                let leg = known(leg).filter(|_| known(combination).is_some() && now > last);
                let links = leg.map(|leg| &mut self.links[leg]);
                let links = links.filter(|links| links.within_count < COMBINATIONS_OF_A_CONTRACT);
                let out_of_place = "one of them is unknown, they are out of order, or too many";
                links.ok_or(out_of_place)?.join(combination);
                last = now;
                Ok(())
            },
        )
    }
}
