//! COMBO-01: which terms make a combination.

use engine::{
    instrument::{Kind, Terms, Volatility},
    limits,
    reason::Reason,
};

use super::{Contract, Model};

impl Model {
    /// Legs and all that has to do with them; what every contract has in common is not looked at.
    pub(super) fn check_legs(&self, terms: &Terms) -> Result<(), Reason> {
        let combined = matches!(terms.kind, Kind::CalendarSpread | Kind::Strip);
        if !combined && !terms.legs.is_empty() {
            return Err(Reason::InvalidField);
        }
        if combined {
            self.check_each_leg(terms)?;
        }
        let mixed = |known: &Contract| {
            known.terms.product == terms.product && known.is_combination() != combined
        };
        if self.contracts.values().any(mixed) {
            return Err(Reason::InvalidField);
        }
        match combined && !self.fits_its_legs(terms) {
            true => Err(Reason::InvalidField),
            false => Ok(()),
        }
    }

    fn check_each_leg(&self, terms: &Terms) -> Result<(), Reason> {
        if !(2..=limits::COMBINATION_LEGS).contains(&terms.legs.len()) {
            return Err(Reason::TooManyItems);
        }
        let mut legs = Vec::new();
        for leg in &terms.legs {
            let contract = self.contracts.get(&leg.instrument);
            legs.push(&contract.ok_or(Reason::InvalidField)?.terms);
        }
        let alike = |leg: &&Terms| {
            leg.kind == Kind::Forward
                && leg.last_trade.0 > self.now
                && leg.commodity == terms.commodity
                && leg.price_asset == terms.price_asset
                && leg.index == terms.index
                && leg.lot_hashes_per_second == terms.lot_hashes_per_second
                && leg.tick_size == terms.tick_size
        };
        // Windows that begin one after the other are those of different contracts.
        let ordered = legs
            .windows(2)
            .all(|two| two[0].window.start < two[1].window.start);
        let ratios: Vec<i64> = terms.legs.iter().map(|leg| leg.ratio).collect();
        let shaped = match terms.kind {
            Kind::CalendarSpread => ratios == [-1, 1] && legs[0].window.end <= legs[1].window.end,
            _ => ratios.iter().all(|ratio| *ratio == 1),
        };
        if !legs.iter().all(alike) || !ordered || !shaped {
            return Err(Reason::InvalidField);
        }
        for leg in &terms.legs {
            let living = self.contracts.values().filter(|contract| {
                let mut its = contract.terms.legs.iter();
                !contract.expired && its.any(|its| its.instrument == leg.instrument)
            });
            if living.count() >= limits::COMBINATIONS_OF_A_CONTRACT {
                return Err(Reason::TooManyItems);
            }
        }
        Ok(())
    }

    fn fits_its_legs(&self, terms: &Terms) -> bool {
        let legs = terms.legs.iter();
        let legs: Vec<&Terms> = legs
            .map(|leg| &self.contracts[&leg.instrument].terms)
            .collect();
        let last = legs[legs.len() - 1];
        let band = terms.limits.band_basis_points;
        terms.window.start == legs[0].window.start
            && terms.window.end == last.window.end
            && legs.iter().all(|leg| terms.last_trade <= leg.last_trade)
            && terms.limits.position_limit == 0
            && legs.iter().all(|leg| band <= leg.limits.band_basis_points)
            && terms.maker_fee.0 >= 0
            && terms.taker_fee.0 >= 0
            && terms.volatility == Volatility::default()
    }
}
