//! What positions are valued with, and the maintenance margin that follows: the numbers of MARGIN and
//! DEFAULT-01 over what has been told, so that a stream can tell them at any journal position.

use engine::{
    exchange::{Exchange, Family},
    ids::AssetId,
    instrument::{Instrument, Kind, MarginTerms},
    margin::Matching,
    units::{Lots, Minor, PPM, Ppm, TickValue, Ticks},
};

/// What positions in a contract are valued with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Valuation {
    pub(super) kind: Kind,
    pub(super) asset: AssetId,
    pub(super) margin: MarginTerms,
    pub(super) value: TickValue,
    pub(super) mark: Ticks,
    /// Initial margin in force, long and short.
    pub(super) rates: (Ppm, Ppm),
    family: u16,
    month: u32,
}

impl Valuation {
    pub(super) fn of(contract: &Instrument) -> Self {
        Self {
            kind: contract.terms.kind,
            asset: contract.terms.price_asset,
            margin: contract.terms.margin,
            value: contract.tick_value,
            mark: contract.mark,
            rates: contract.rates,
            family: contract.family,
            month: contract.terms.window.start.utc_month(),
        }
    }

    /// Takes over what changes without a new mark.
    pub(super) fn learn(&mut self, contract: &Instrument) {
        // A month in delivery counts fewer days with every one that settles.
        self.value = contract.tick_value;
        (self.rates, self.family) = (contract.rates, contract.family);
    }

    /// Initial margin of a net position, orders not counted.
    fn initial(&self, net: Lots) -> Minor {
        let rate = if net.0 < 0 {
            self.rates.1
        } else {
            self.rates.0
        };
        let lot = self.value.lot_share_up(self.mark, rate);
        lot.for_lots(Lots(net.0.abs()))
    }

    /// Concentration included (MARGIN-07).
    fn surcharge(&self, net: Lots) -> Minor {
        let beyond = Lots((net.0.abs() - self.margin.concentration_lots).max(0));
        match self.margin.concentration_lots {
            0 => Minor::ZERO,
            _ => {
                let lot = self
                    .value
                    .lot_share_up(self.mark, self.margin.concentration);
                lot.for_lots(beyond)
            }
        }
    }
}

/// Rates of credit of all families, by place.
pub(super) fn credits(exchange: &Exchange) -> Vec<(Ppm, Ppm)> {
    exchange.families().iter().map(Family::credits).collect()
}

/// Maintenance margin, position after position.
#[derive(Default)]
pub(super) struct Maintenance {
    sum: Minor,
    /// Family, month, margin (negative for a short), share that is kept.
    rows: Vec<(u16, u32, Minor, Ppm)>,
}

impl Maintenance {
    pub(super) fn add(&mut self, contract: &Valuation, net: Lots) {
        let initial = contract.initial(net);
        let share = contract.margin.maintenance_of_initial;
        self.sum += share.of_rounded_up(initial + contract.surcharge(net));
        if contract.family != 0 && net != Lots::ZERO {
            let signed = if net.0 < 0 { -initial } else { initial };
            self.rows
                .push((contract.family, contract.month, signed, share));
        }
    }

    /// Less the credit of opposite months (MARGIN-06).
    pub(super) fn total(mut self, credits: &[(Ppm, Ppm)]) -> Minor {
        self.rows.sort_unstable();
        let mut credit = Minor::ZERO;
        for rows in self.rows.chunk_by(|one, other| one.0 == other.0) {
            let mut matching = Matching::default();
            for (_, month, margin, _) in rows {
                matching.add(*month, *margin);
            }
            let place = usize::from(rows[0].0).wrapping_sub(1);
            let rates = credits.get(place).copied().unwrap_or_default();
            let least = rows.iter().map(|row| row.3).min().unwrap_or_default();
            let exact = i128::from(matching.credit(rates).0) * i128::from(least.0) / PPM;
            credit += Minor(i64::try_from(exact).unwrap_or(0));
        }
        self.sum - credit.min(self.sum)
    }
}
