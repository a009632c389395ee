//! Margin of families: mostly modest and with credit, sometimes wide, now and then not to be had.

use engine::{
    command::{Command, MarginMethod, Tenor},
    margin::Ranges,
    units::Ppm,
};

use super::Generator;
use crate::model::Model;

impl Generator {
    pub(super) fn margin_method(&mut self, model: &Model) -> Command {
        let alive = self.alive.clone();
        let families: Vec<_> = alive
            .iter()
            .filter_map(|id| model.contracts.get(id))
            .map(|contract| (contract.terms.commodity, contract.terms.price_asset))
            .collect();
        let Some((commodity, asset)) = self.random.pick(&families).copied() else {
            return self.deposit();
        };
        let mut upto = |most: i64| {
            let part = self.random.between(0, most);
            Ppm(i32::try_from(part).unwrap_or(0))
        };
        let ranges = Ranges {
            price: upto(60_000),
            difficulty: upto(120_000),
            fee_share: upto(200_000),
            fees: upto(1_000_000),
            retarget_down: upto(40_000),
            retarget_up: upto(60_000),
            extreme_counts: upto(400_000),
        };
        let (adjacent_credit, delivery) = (upto(800_000), upto(30_000));
        let other_credit = Ppm(adjacent_credit.0 / 2);
        let tenors = [(1, 0), (10, 3), (300, 40)].map(|(days, more)| Tenor {
            days: u16::try_from(days + i64::from(upto(more).0)).unwrap_or(1),
            share: upto(1_500_000),
        });
        let mut method = MarginMethod {
            commodity,
            asset,
            ranges,
            tenors: tenors.to_vec(),
            delivery,
            adjacent_credit,
            other_credit,
            calendar: None,
        };
        match self.random.between(0, 19) {
            0 => method.ranges.difficulty = Ppm(900_001),
            1 => method.other_credit = Ppm(method.adjacent_credit.0 + 1),
            2 => method.ranges.difficulty = Ppm(900_000),
            3 => method.tenors.clear(),
            _ => {}
        }
        Command::SetMarginMethod(self.request(method))
    }
}
