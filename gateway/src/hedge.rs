//! What a miner sells forward to be sure of the revenue, and what comes of it: integers, one rounding (half to even)
//! per figure, nothing of the network in it.
//!
//! Money is in sat, prices in sat per PH/s and day (one tick, one lot), days are whole UTC days. The index of
//! a scenario is each month's mark moved by the same share. With H the fleet in TH/s, u its uptime, d the
//! days of a month and m its mark:
//!
//! - revenue unhedged = H/1000 · u · d · m · (1 + move)
//! - the forwards = (price − m · (1 + move)) · lots · d, summed over what was sold
//! - power = H/1000 · u · d · cost, cost = J/TH · 24 h · price per kWh (1 PH/s at 1 J/TH is 1 kW)

use engine::units::div_half_even;

pub mod picture;

const MILLION: i128 = 1_000_000;

/// A miner's machines and bills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// TH/s of all machines.
    pub terahashes: i64,
    /// Share of the time that they run, ppm.
    pub uptime: i64,
    /// Share of the output to sell forward, ppm.
    pub cover: i64,
    /// Power, millisat per PH/s and day.
    pub power: i64,
}

/// Power in millisat per PH/s and day.
///
/// - `joules`: thousandths of a joule per TH
/// - `kilowatt_hour`: millionths of a dollar per kWh
/// - `btc`: cents per BTC
#[must_use]
pub fn power(joules: i64, kilowatt_hour: i64, btc: i64) -> Option<i64> {
    if btc <= 0 || joules < 0 || kilowatt_hour < 0 {
        return None;
    }
    // mJ/TH x 24 x µ$/kWh = $ x 10^-9 per PH/s and day; times 10^11 millisat per BTC, 100 cents per $.
    let top = i128::from(joules)
        .checked_mul(24)?
        .checked_mul(kilowatt_hour.into())?;
    let millisat = div_half_even(top.checked_mul(10_000)?, btc.into());
    i64::try_from(millisat).ok()
}

impl Fleet {
    /// Whole PH/s to sell forward, rounded down: never more than is mined.
    #[must_use]
    pub fn lots(&self) -> i64 {
        let top = i128::from(self.terahashes) * i128::from(self.uptime) * i128::from(self.cover);
        i64::try_from(top / (1_000 * MILLION * MILLION)).unwrap_or(i64::MAX)
    }

    /// Output over days at a price of so many millionths of a sat per PH/s and day, in sat.
    fn money(&self, days: i64, price: i128) -> i128 {
        let output = i128::from(self.terahashes) * i128::from(self.uptime) * i128::from(days);
        div_half_even(output * price, 1_000 * MILLION * MILLION)
    }
}

/// A contract that can be sold, and who bids for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Its symbol.
    pub symbol: String,
    /// Its number.
    pub instrument: i32,
    /// Days of delivery.
    pub days: i64,
    /// What it is worth by the index, sat.
    pub mark: i64,
    /// Price and lots, best first.
    pub bids: Vec<(i64, i64)>,
    /// The months that it is made of, by their place among the months of the plan; one for a month.
    pub months: Vec<usize>,
}

/// What to sell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// Its symbol.
    pub symbol: String,
    /// Its number.
    pub instrument: i32,
    /// PH/s.
    pub lots: i64,
    /// Of that, for which somebody bids now.
    pub bid: i64,
    /// Lowest bid that it takes; the mark if there are too few.
    pub limit: i64,
    /// Sum of price x lots: bids as they stand, what nobody bids for at the mark.
    pub exposure: i128,
    /// Days of delivery.
    pub days: i64,
    /// Months of the plan that it covers.
    pub months: Vec<usize>,
}

impl Sale {
    /// Mean price, rounded.
    #[must_use]
    pub fn average(&self) -> i64 {
        let average = div_half_even(self.exposure, i128::from(self.lots.max(1)));
        i64::try_from(average).unwrap_or(i64::MAX)
    }

    /// Everything that the price comes to over the days of delivery.
    fn value(&self) -> i128 {
        self.exposure * i128::from(self.days)
    }
}

/// Sells lots into the bids of a contract.
#[must_use]
pub fn sell(offer: &Offer, lots: i64) -> Sale {
    let (mut left, mut exposure, mut limit) = (lots, 0, offer.mark);
    for (price, size) in &offer.bids {
        let taken = left.min(*size);
        if taken <= 0 {
            break;
        }
        exposure += i128::from(*price) * i128::from(taken);
        left -= taken;
        limit = *price;
    }
    if left > 0 {
        limit = limit.min(offer.mark);
    }
    Sale {
        symbol: offer.symbol.clone(),
        instrument: offer.instrument,
        lots,
        bid: lots - left,
        limit,
        exposure: exposure + i128::from(offer.mark) * i128::from(left),
        days: offer.days,
        months: offer.months.clone(),
    }
}

/// The contracts to sell for each month of the plan: a quarter instead of its three months where it pays
/// at least as much, the months otherwise.
#[must_use]
pub fn plan(months: &[Offer], quarters: &[Offer], lots: i64) -> Vec<Sale> {
    let mut sales: Vec<Sale> = months.iter().map(|offer| sell(offer, lots)).collect();
    for quarter in quarters {
        let whole = sell(quarter, lots);
        let parts = sales.iter().filter(|sale| {
            sale.months
                .iter()
                .all(|month| quarter.months.contains(month))
        });
        let (covered, value) = parts.fold((0, 0), |(months, value), sale| {
            (months + sale.months.len(), value + sale.value())
        });
        // A quarter that reaches beyond the plan would sell what nobody asked to sell.
        if covered == quarter.months.len() && covered > 0 && whole.value() >= value {
            sales.retain(|sale| {
                !sale
                    .months
                    .iter()
                    .any(|month| quarter.months.contains(month))
            });
            sales.push(whole);
        }
    }
    sales.sort_by_key(|sale| sale.months.first().copied());
    sales
}

/// Money of one scenario over all months, in sat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Move of the index, ppm.
    pub moved: i64,
    /// What the machines earn.
    pub mined: i128,
    /// What the forwards pay; negative when the index stands above their price.
    pub forwards: i128,
    /// What power costs, at most 0.
    pub power: i128,
    /// Fees of the sales, at most 0.
    pub fees: i128,
}

impl Outcome {
    /// Without forwards, after power.
    #[must_use]
    pub fn unhedged(&self) -> i128 {
        self.mined + self.power
    }

    /// With forwards, after power and fees.
    #[must_use]
    pub fn hedged(&self) -> i128 {
        self.mined + self.forwards + self.power + self.fees
    }
}

/// What comes of the plan when the index moves by `moved` ppm from the months' marks.
#[must_use]
pub fn outcome(fleet: &Fleet, months: &[Offer], sales: &[Sale], fees: i64, moved: i64) -> Outcome {
    let index = |mark: i64| i128::from(mark) * (MILLION + i128::from(moved));
    let mined = months
        .iter()
        .map(|month| fleet.money(month.days, index(month.mark)));
    let power = months
        .iter()
        .map(|month| fleet.money(month.days, i128::from(fleet.power) * 1_000));
    let forwards = sales.iter().map(|sale| {
        let covered = sale.months.iter().filter_map(|place| months.get(*place));
        let paid: i128 = covered
            .map(|month| index(month.mark) * i128::from(month.days))
            .sum();
        sale.value() - div_half_even(paid * i128::from(sale.lots), MILLION)
    });
    Outcome {
        moved,
        mined: mined.sum(),
        forwards: forwards.sum(),
        power: -power.sum::<i128>(),
        fees: -i128::from(fees),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 50 PH/s that run all the time, all of it sold, no bill.
    const FLEET: Fleet = Fleet {
        terahashes: 50_000,
        uptime: 1_000_000,
        cover: 1_000_000,
        power: 0,
    };

    fn month(place: usize, days: i64, mark: i64, bids: &[(i64, i64)]) -> Offer {
        Offer {
            symbol: format!("month {place}"),
            instrument: i32::try_from(place).expect("small"),
            days,
            mark,
            bids: bids.to_vec(),
            months: vec![place],
        }
    }

    #[test]
    fn lots_are_whole_and_never_more_than_is_mined() {
        assert_eq!(FLEET.lots(), 50);
        // 1,250 TH/s at 97 % is 1,212.5 TH/s; 80 % of it is 970: not one whole PH/s.
        let small = Fleet {
            terahashes: 1_250,
            uptime: 970_000,
            ..FLEET
        };
        assert_eq!(small.lots(), 1);
        assert_eq!(
            Fleet {
                cover: 800_000,
                ..small
            }
            .lots(),
            0
        );
    }

    #[test]
    fn power_of_a_petahash_for_a_day() {
        // 20 J/TH is 20 kW per PH/s, 480 kWh a day; at $0.055 that is $26.40; at $89,316.00 per BTC
        // 29,557.97... sat.
        assert_eq!(power(20_000, 55_000, 8_931_600), Some(29_557_974));
        assert_eq!(power(20_000, 0, 8_931_600), Some(0));
        assert_eq!(power(20_000, 55_000, 0), None);
    }

    #[test]
    fn fifty_petahashes_of_december_at_42_000() {
        // domain.md 15 a: the index averages 40,000 over 31 days: 2,000 x 50 x 31 = 3,100,000 sat.
        let months = [month(0, 31, 40_000, &[(42_000, 50)])];
        let sales = plan(&months, &[], FLEET.lots());
        assert_eq!(
            (sales[0].bid, sales[0].limit, sales[0].average()),
            (50, 42_000, 42_000)
        );
        let flat = outcome(&FLEET, &months, &sales, 0, 0);
        assert_eq!((flat.mined, flat.forwards), (62_000_000, 3_100_000));
        // Whatever the index does, 42,000 x 50 x 31 = 65,100,000 is sure.
        for moved in [-500_000, -123_456, 0, 250_000, 1_000_000] {
            let told = outcome(&FLEET, &months, &sales, 9_765, moved);
            assert_eq!(told.hedged(), 65_100_000 - 9_765, "{moved}");
        }
        assert_eq!(
            outcome(&FLEET, &months, &sales, 0, -250_000).unhedged(),
            46_500_000
        );
    }

    #[test]
    fn a_fleet_that_stands_still_a_part_of_the_time_is_hedged_for_the_rest() {
        // 10.5 PH/s at 95 %: 9.975 PH/s; 9 are sold. 30 days, mark 40,000, sold at 41,000.
        let fleet = Fleet {
            terahashes: 10_500,
            uptime: 950_000,
            power: 29_557_974,
            ..FLEET
        };
        let months = [month(0, 30, 40_000, &[(41_000, 100)])];
        let sales = plan(&months, &[], fleet.lots());
        let told = outcome(&fleet, &months, &sales, 0, -100_000);
        // 9.975 x 30 x 36,000; (41,000 - 36,000) x 9 x 30; 9.975 x 30 x 29,557.974 = 8,845,223.7...
        assert_eq!(
            (told.mined, told.forwards, told.power),
            (10_773_000, 1_350_000, -8_845_224)
        );
        assert_eq!(told.hedged(), 3_277_776);
    }

    #[test]
    fn bids_are_taken_from_the_best_and_the_rest_waits_at_the_mark() {
        let offer = month(0, 31, 41_500, &[(42_000, 20), (41_800, 10)]);
        let sale = sell(&offer, 50);
        assert_eq!((sale.bid, sale.limit), (30, 41_500));
        assert_eq!(sale.exposure, 42_000 * 20 + 41_800 * 10 + 41_500 * 20);
        // 2,088,000 / 50 = 41,760.
        assert_eq!(sale.average(), 41_760);
        assert_eq!(sell(&offer, 25).limit, 41_800);
    }

    #[test]
    fn a_quarter_is_sold_where_it_pays_more_than_its_months() {
        let months = [
            month(0, 31, 42_000, &[(42_000, 50)]),
            month(1, 31, 42_000, &[(42_000, 50)]),
            month(2, 28, 42_000, &[(41_900, 50)]),
            month(3, 31, 42_000, &[(41_900, 50)]),
        ];
        let quarter = |price| Offer {
            symbol: "quarter".into(),
            instrument: 9,
            days: 90,
            mark: 42_000,
            bids: vec![(price, 50)],
            months: vec![1, 2, 3],
        };
        let names = |price| {
            let sales = plan(&months, &[quarter(price)], 50);
            sales
                .into_iter()
                .map(|sale| sale.symbol)
                .collect::<Vec<_>>()
        };
        // 31 x 42,000 + 59 x 41,900 = 3,774,100 = 90 x 41,934.4...
        assert_eq!(names(41_934), ["month 0", "month 1", "month 2", "month 3"]);
        assert_eq!(names(41_935), ["month 0", "quarter"]);
        // One that reaches beyond the plan is not sold.
        let sales = plan(&months[..3], &[quarter(50_000)], 50);
        assert_eq!(sales.len(), 3);
        // Hedged is the same sum whatever the index does, with the quarter too.
        let sales = plan(&months, &[quarter(42_100)], 50);
        let sure = (42_000 * 31 + 42_100 * 90) * 50;
        for moved in [-300_000, 300_000] {
            assert_eq!(outcome(&FLEET, &months, &sales, 0, moved).hedged(), sure);
        }
    }
}
