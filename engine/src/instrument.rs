//! What is traded: assets, commodities, indexes, and contracts with their terms.

use bincode::{Decode, Encode};

use crate::{
    ids::{AssetId, CommodityId, IndexId, InstrumentId, ProductId},
    reason::{Field, Problem, Reason},
    units::{DAY, Decimal, Lots, Minor, Nanos, Ppm, SECOND, TickValue, Ticks},
};

/// Money the exchange keeps accounts in.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Asset {
    /// Such as `BTC`.
    pub symbol: String,
    /// Smallest unit = 10^-decimals.
    pub decimals: u32,
    /// Smallest withdrawal, in minor units.
    pub min_withdrawal: i64,
}

/// Proof-of-work function, or none for metered compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "the algorithm's own name")]
pub enum Algorithm {
    Sha256d,
    Scrypt,
    KHeavyHash,
    Etchash,
    Compute,
}

/// A tradable kind of hashrate or compute.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Commodity {
    /// Such as `BTC`, `LTC-DOGE`, `H100`; first part of the contracts' symbols.
    pub symbol: String,
    /// What makes its hashes comparable.
    pub algorithm: Algorithm,
    /// Main coin first, then merge-mined ones; empty for compute.
    pub coins: Vec<String>,
    /// Unit prices are quoted per day of: `PH/s`, `GH/s`, `GPU`.
    pub rate_unit: String,
    /// That unit in hashes per second (milli-devices for compute).
    pub rate_unit_hashes_per_second: i64,
    /// Expected hashes behind one share of difficulty 1; 0 for compute.
    pub hashes_per_share: i64,
}

/// What an index measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named as in reference.v1.IndexKind")]
pub enum IndexKind {
    Hashprice,
    Difficulty,
    Compute,
}

/// A published series that contracts settle on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Index {
    /// Unique, such as `BTC-HASHPRICE-SAT`.
    pub name: String,
    /// What it measures.
    pub kind: IndexKind,
    /// Of which commodity.
    pub commodity: CommodityId,
    /// Asset of its value.
    pub quote: AssetId,
    /// For people: `sat per PH/s per day`.
    pub unit: String,
}

/// Shape of a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Kind {
    /// A near block of hashrate, one UTC hour or day: full escrow from the buyer, bond from the seller.
    SpotBlock,
    /// Hashrate over a future window, settled in cash: margined, marked daily.
    Forward,
    /// Two forwards, the nearer one sold and the later one bought: a roll as one contract.
    CalendarSpread,
    /// Forwards in a row, bought together: a quarter or a year as one contract.
    Strip,
}

impl Kind {
    /// Whether it is made of other contracts: its trades become positions in those.
    #[must_use]
    pub fn is_combination(self) -> bool {
        matches!(self, Self::CalendarSpread | Self::Strip)
    }
}

/// One contract inside a combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Leg {
    /// Which.
    pub instrument: InstrumentId,
    /// Lots of it in one lot bought: 1 bought, -1 sold.
    pub ratio: i64,
}

/// When the hashes are owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Window {
    /// Inclusive.
    pub start: Nanos,
    /// Exclusive.
    pub end: Nanos,
}

/// Margin of one contract, in parts per million of its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct MarginTerms {
    /// Forward: initial margin of a long, of mark times lots over the window.
    pub initial_buy: Ppm,
    /// Forward: initial margin of a short.
    pub initial_sell: Ppm,
    /// Maintenance margin, of the initial margin.
    pub maintenance_of_initial: Ppm,
    /// Spot: the seller's bond, of mark times lots.
    pub delivery_bond: Ppm,
    /// Forward: the part of a position beyond so many lots is asked for more; 0 = none is.
    pub concentration_lots: i64,
    /// Forward: by so much, of mark times those lots.
    pub concentration: Ppm,
}

impl MarginTerms {
    /// Forward: initial margin of a long and of a short.
    #[must_use]
    pub fn rates(&self) -> (Ppm, Ppm) {
        (self.initial_buy, self.initial_sell)
    }

    /// Forward: initial margin of a net position.
    #[must_use]
    pub fn initial(&self, net: Lots) -> Ppm {
        if net.0 < 0 {
            self.initial_sell
        } else {
            self.initial_buy
        }
    }
}

/// What an entry must respect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EntryLimits {
    /// Smallest order.
    pub min_lots: i64,
    /// Largest order.
    pub max_lots: i64,
    /// Largest value of one order, in minor units.
    pub max_notional: i64,
    /// Distance from the mark, in hundredths of a percent, both ways.
    pub band_basis_points: i32,
    /// Open orders of one account.
    pub max_open_orders: i32,
    /// Largest net position of one account, open orders filled; 0 = none.
    pub position_limit: i64,
    /// Smallest visible part of an iceberg.
    pub min_display: i64,
}

/// How far a price may move before an auction decides instead; both 0 = any distance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Volatility {
    /// Rolling window, in milliseconds.
    pub window_ms: i32,
    /// Largest distance of a trade from every other trade of the window, in parts per million.
    pub move_ppm: i32,
}

/// The terms of a contract, as listed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Terms {
    /// Such as `BTC-FWD-2026-12`; unique for ever.
    pub symbol: String,
    /// Shape.
    pub kind: Kind,
    /// Name of the product; contracts of one name form a curve.
    pub product: String,
    /// What is delivered.
    pub commodity: CommodityId,
    /// Asset of price and settlement.
    pub price_asset: AssetId,
    /// One tick in the price asset per rate unit and day.
    pub tick_size: Decimal,
    /// For people: `sat per PH/s per day`.
    pub price_unit: String,
    /// Hashrate of one lot.
    pub lot_hashes_per_second: i64,
    /// Delivery window.
    pub window: Window,
    /// Marks and settles the contract.
    pub index: IndexId,
    /// Trading ends here.
    pub last_trade: Nanos,
    /// Margin.
    pub margin: MarginTerms,
    /// Entry limits.
    pub limits: EntryLimits,
    /// Of the value of a fill, for the resting side; negative = rebate.
    pub maker_fee: Ppm,
    /// Of the value of a fill, for the incoming side.
    pub taker_fee: Ppm,
    /// Mark before the first fixing, in ticks.
    pub reference: Ticks,
    /// When a volatility auction begins.
    pub volatility: Volatility,
    /// What a combination is made of, in order; empty for all others.
    pub legs: Vec<Leg>,
    /// A forward that turns into others at its last trade: a quarter into its months, a year into three
    /// months and three quarters. In order of time; they fill its window. Empty for all others.
    pub cascade: Vec<InstrumentId>,
}

/// What a contract accepts at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum TradingState {
    /// Continuous matching.
    Open,
    /// Only orders that cannot match on entry.
    PostOnly,
    /// Cancels and quantity decreases only.
    CancelOnly,
    /// Matching stopped; cancels and quantity decreases only.
    Halted,
    /// Before the first opening, or after the last trade time.
    Closed,
    /// Orders are collected for an opening auction.
    PreOpen,
    /// The last part of an auction's call: orders come in, none is changed or cancelled.
    NoCancel,
    /// Prices moved too far, too fast: orders are collected for one price.
    VolatilityAuction,
    /// Trading is over and the window has begun: day after day settles.
    InDelivery,
    /// Nothing is owed any more: delivered, or turned into other contracts.
    Settled,
}

impl TradingState {
    /// The number on the wire (`common.v1.TradingState`).
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::PreOpen => 1,
            Self::NoCancel => 2,
            Self::Open => 3,
            Self::PostOnly => 4,
            Self::CancelOnly => 5,
            Self::Halted => 6,
            Self::VolatilityAuction => 7,
            Self::Closed => 8,
            Self::InDelivery => 9,
            Self::Settled => 10,
        }
    }

    /// Whether pegged orders follow their references.
    #[must_use]
    pub fn moves_pegs(self) -> bool {
        matches!(self, Self::Open | Self::PostOnly)
    }

    /// Whether new orders may come in at all.
    #[must_use]
    pub fn takes_orders(self) -> bool {
        use crate::exchange::states::{Action, Answer, allows};
        !matches!(allows(self, Action::Enter), Answer::No(_))
    }
}

impl Terms {
    /// Money of one lot per tick over the window, as an exact reduced fraction, or the field that makes
    /// it impossible.
    ///
    /// # Errors
    /// A [`Problem`] naming the field: window, lot or tick size.
    pub fn tick_value(&self, commodity: &Commodity, asset: &Asset) -> Result<TickValue, Problem> {
        self.tick_value_over(self.window, commodity, asset)
    }

    /// The same over a part of the window.
    ///
    /// # Errors
    /// As [`Terms::tick_value`].
    pub fn tick_value_over(
        &self,
        part: Window,
        commodity: &Commodity,
        asset: &Asset,
    ) -> Result<TickValue, Problem> {
        let span = part.end.0.checked_sub(part.start.0);
        let seconds = span.ok_or(Problem::about(Reason::InvalidField, Field::Window))? / SECOND;
        let exponent = self
            .tick_size
            .exponent
            .saturating_add(asset.decimals.cast_signed());
        let scale = 10_i128
            .checked_pow(exponent.unsigned_abs())
            .ok_or(Problem::about(Reason::InvalidField, Field::TickSize))?;
        let (up, down) = if exponent >= 0 {
            (scale, 1)
        } else {
            (1, scale)
        };
        let top = i128::from(self.tick_size.mantissa)
            .checked_mul(up)
            .and_then(|top| top.checked_mul(i128::from(self.lot_hashes_per_second)))
            .and_then(|top| top.checked_mul(i128::from(seconds)))
            .ok_or(Problem::about(Reason::InvalidField, Field::Lot))?;
        let bottom = down
            .checked_mul(i128::from(commodity.rate_unit_hashes_per_second))
            .and_then(|bottom| bottom.checked_mul(i128::from(DAY / SECOND)))
            .ok_or(Problem::about(Reason::InvalidField, Field::TickSize))?;
        if top <= 0 || bottom <= 0 {
            return Err(Problem::about(Reason::InvalidField, Field::Lot));
        }
        let divisor = greatest_common_divisor(top, bottom);
        let fit = |part: i128| {
            i64::try_from(part / divisor)
                .ok()
                .filter(|part| *part <= crate::limits::ORDER_LOTS)
                .ok_or(Problem::about(Reason::InvalidField, Field::TickSize))
        };
        Ok(TickValue {
            numerator: fit(top)?,
            denominator: fit(bottom)?,
        })
    }

    /// Lowest and highest price that may be entered around a mark.
    #[must_use]
    pub fn band(&self, mark: Ticks) -> (Ticks, Ticks) {
        let width = mark
            .0
            .abs()
            .saturating_mul(i64::from(self.limits.band_basis_points))
            / 10_000;
        (Ticks(mark.0 - width), Ticks(mark.0 + width))
    }
}

fn greatest_common_divisor(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// Day statistics, UTC. `None` = no value yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Statistics {
    /// UTC midnight that began the day.
    pub day: Nanos,
    /// First trade.
    pub open: Option<Ticks>,
    /// Highest trade.
    pub high: Option<Ticks>,
    /// Lowest trade.
    pub low: Option<Ticks>,
    /// Newest trade, of any day.
    pub last: Option<Ticks>,
    /// Lots traded.
    pub volume: i64,
    /// Sum of all long positions, of any day.
    pub open_interest: i64,
    /// Mark of the newest daily fixing.
    pub settlement: Option<Ticks>,
}

/// A change of state that will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Scheduled {
    /// When.
    pub at: Nanos,
    /// To which state.
    pub state: TradingState,
    /// Told to clients.
    pub reason: Reason,
    /// Also cancel open orders then.
    pub cancel_open_orders: bool,
}

/// A contract as it stands.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Instrument {
    /// Its number.
    pub id: InstrumentId,
    /// As listed.
    pub terms: Terms,
    /// Computed from the terms.
    pub product: ProductId,
    /// Of what is not settled yet: computed from the terms and `settled_until`.
    pub tick_value: TickValue,
    /// A forward's window is settled up to here; at first its beginning.
    pub settled_until: Nanos,
    /// Present trading state.
    pub state: TradingState,
    /// Why it is in this state.
    pub state_reason: Reason,
    /// Next scheduled change, if any.
    pub scheduled: Option<Scheduled>,
    /// After a restart or a volatility auction: when it matches again; in a volatility call: when its
    /// auction is. 0 otherwise.
    pub reopens: Nanos,
    /// Reference-data version of its last change.
    pub version: u64,
    /// Values positions and centres the price band.
    pub mark: Ticks,
    /// What follows from the mark, computed when it moves.
    pub at_mark: AtMark,
    /// Forward: initial margin in force, long and short: the terms' or what its family asks for.
    pub rates: (Ppm, Ppm),
    /// Place of its family among those with a margin method, from 1; 0 = none.
    pub family: u16,
    /// Public changes so far.
    pub public_seq: u64,
    /// Of the day.
    pub statistics: Statistics,
    /// Where the newest daily fixing left the mark, or the newest fixing at which nobody held a position,
    /// with the index value then: a book takes the mark only so far from there (MARK-05). `None` until the
    /// index has a value.
    pub anchor: Option<(Ticks, Decimal)>,
    /// Stops that wait and pegged orders.
    pub(crate) followers: u32,
    /// A combination, or a leg of one, that is not over.
    pub(crate) combined: bool,
}

/// What follows from terms and mark alone, so that no order has to compute it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AtMark {
    /// Lowest and highest price that may be entered.
    pub band: (Ticks, Ticks),
    /// Forward: initial margin of one lot long.
    pub initial_buy: Minor,
    /// Forward: initial margin of one lot short.
    pub initial_sell: Minor,
    /// Spot: bond of one lot sold.
    pub bond: Minor,
    /// Forward: what one lot beyond the concentration limit is asked for on top.
    pub concentration: Minor,
}

impl AtMark {
    /// Forward: initial margin of one lot of a net position.
    #[must_use]
    pub fn initial(&self, net: Lots) -> Minor {
        if net.0 < 0 {
            self.initial_sell
        } else {
            self.initial_buy
        }
    }

    /// Of a contract at a mark.
    #[must_use]
    pub fn of(terms: &Terms, rates: (Ppm, Ppm), tick_value: TickValue, mark: Ticks) -> Self {
        let share = |ppm| tick_value.lot_share_up(mark, ppm);
        Self {
            band: terms.band(mark),
            initial_buy: share(rates.0),
            initial_sell: share(rates.1),
            bond: share(terms.margin.delivery_bond),
            concentration: match terms.margin.concentration_lots {
                0 => Minor::ZERO,
                _ => share(terms.margin.concentration),
            },
        }
    }
}

impl Instrument {
    /// Moves the mark and what follows from it.
    pub(crate) fn mark_at(&mut self, mark: Ticks) {
        self.mark = mark;
        self.at_mark = AtMark::of(&self.terms, self.rates, self.tick_value, mark);
    }

    /// Forward: what the part of a position beyond the concentration limit is asked for on top.
    #[must_use]
    pub fn surcharge(&self, lots: Lots) -> Minor {
        let beyond = Lots((lots.0 - self.terms.margin.concentration_lots).max(0));
        self.at_mark.concentration.for_lots(beyond)
    }

    /// Whether its mark moves: while it trades, and a forward's while something of it is unsettled.
    pub(crate) fn is_marked(&self, at: Nanos) -> bool {
        let waits = self.terms.kind == Kind::Forward && self.state != TradingState::Settled;
        self.terms.last_trade > at || waits
    }

    /// The next change of state that is known.
    #[must_use]
    pub fn next_change(&self) -> Option<(Nanos, TradingState)> {
        let next = if crate::exchange::states::is_call(self.state) {
            TradingState::PostOnly
        } else {
            TradingState::Open
        };
        let reopens = (self.reopens != Nanos::ZERO).then_some((self.reopens, next));
        let scheduled = self.scheduled.map(|change| (change.at, change.state));
        [reopens, scheduled]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tick_values_of_the_wire_contract() {
        let asset = Asset {
            symbol: "BTC".into(),
            decimals: 8,
            min_withdrawal: 1,
        };
        let commodity = Commodity {
            symbol: "BTC".into(),
            algorithm: Algorithm::Sha256d,
            coins: vec!["BTC".into()],
            rate_unit: "PH/s".into(),
            rate_unit_hashes_per_second: 1_000_000_000_000_000,
            hashes_per_share: 1 << 32,
        };
        let mut terms = Terms {
            symbol: "BTC-FWD-2026-12".into(),
            kind: Kind::Forward,
            product: "BTC-FWD".into(),
            commodity: CommodityId(1),
            price_asset: AssetId(1),
            tick_size: Decimal {
                mantissa: 1,
                exponent: -8,
            },
            price_unit: "sat per PH/s per day".into(),
            lot_hashes_per_second: 1_000_000_000_000_000,
            window: Window {
                start: Nanos(0),
                end: Nanos(31 * DAY),
            },
            index: IndexId(1),
            last_trade: Nanos(0),
            margin: MarginTerms {
                initial_buy: Ppm(180_000),
                initial_sell: Ppm(180_000),
                maintenance_of_initial: Ppm(750_000),
                delivery_bond: Ppm(0),
                concentration_lots: 0,
                concentration: Ppm(0),
            },
            limits: EntryLimits {
                min_lots: 1,
                max_lots: 1_000,
                max_notional: 1 << 50,
                band_basis_points: 1_000,
                max_open_orders: 100,
                position_limit: 0,
                min_display: 1,
            },
            maker_fee: Ppm(0),
            taker_fee: Ppm(0),
            reference: Ticks(42_000),
            volatility: Volatility::default(),
            legs: Vec::new(),
            cascade: Vec::new(),
        };
        let month = terms.tick_value(&commodity, &asset);
        assert_eq!(
            month,
            Ok(TickValue {
                numerator: 31,
                denominator: 1
            })
        );
        terms.lot_hashes_per_second = 100_000_000_000_000;
        terms.window = Window {
            start: Nanos(0),
            end: Nanos(DAY / 24),
        };
        let hour = terms.tick_value(&commodity, &asset);
        assert_eq!(
            hour,
            Ok(TickValue {
                numerator: 1,
                denominator: 240
            })
        );
        assert_eq!(terms.band(Ticks(42_000)), (Ticks(37_800), Ticks(46_200)));
    }
}
