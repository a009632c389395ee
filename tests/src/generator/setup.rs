//! The market of the stream: two assets, two indexes, three firms, eight accounts, five contracts.

use engine::{
    command::{
        AccountKind, Command, CreditDeposit, NewAccount, NewFirm, Rail, Request, SetTradingState,
        StateScope,
    },
    ids::{AccountId, AssetId, CommodityId, FirmId, IndexId, InstrumentId},
    instrument::{
        Algorithm, Asset, Commodity, EntryLimits, Index, IndexKind, Kind, MarginTerms, Terms,
        TradingState, Volatility, Window,
    },
    reason::Reason,
    units::{DAY, Decimal, Nanos, Ppm, SECOND, Ticks},
};

use super::{Generator, START};

const PETA: i64 = 1_000_000_000_000_000;
const ACCOUNTS: usize = 8;

/// Maker and taker offsets of the eight accounts; the last pair makes rebates larger than fees.
const OFFSETS: [(i32, i32); ACCOUNTS] = [
    (0, 0),
    (-50, -20),
    (0, 100),
    (30, 0),
    (0, 0),
    (-100, -100),
    (0, -250),
    (-900, 500),
];

/// A contract in a few words.
pub(super) struct Sheet {
    pub(super) symbol: &'static str,
    pub(super) product: &'static str,
    pub(super) kind: Kind,
    pub(super) asset: usize,
    pub(super) tick: Decimal,
    pub(super) lot: i64,
    pub(super) seconds: i64,
    pub(super) hours_to_last_trade: i64,
    pub(super) min_lots: i64,
    pub(super) max_notional: i64,
    pub(super) fees: (i32, i32),
}

pub(super) const fn tick(mantissa: i64, exponent: i32) -> Decimal {
    Decimal { mantissa, exponent }
}

/// Tick values: 1/240, 1/10, 31, 3/10, 3000.
const SHEETS: [Sheet; 5] = [
    Sheet {
        symbol: "BTC-HOUR-1",
        product: "BTC-HOUR",
        kind: Kind::SpotBlock,
        asset: 0,
        tick: tick(1, -8),
        lot: PETA / 10,
        seconds: 3_600,
        hours_to_last_trade: 400,
        min_lots: 1,
        max_notional: 225,
        fees: (-1_000, 5_000),
    },
    Sheet {
        symbol: "BTC-USDC-DAY-1",
        product: "BTC-USDC-DAY",
        kind: Kind::SpotBlock,
        asset: 1,
        tick: tick(1, -6),
        lot: PETA / 10,
        seconds: 86_400,
        hours_to_last_trade: 400,
        min_lots: 2,
        max_notional: 5_400,
        fees: (300, 700),
    },
    Sheet {
        symbol: "BTC-FWD-1",
        product: "BTC-FWD",
        kind: Kind::Forward,
        asset: 0,
        tick: tick(1, -8),
        lot: PETA,
        seconds: 31 * 86_400,
        hours_to_last_trade: 400,
        min_lots: 1,
        max_notional: 31 * 54_000,
        fees: (-100, 300),
    },
    Sheet {
        symbol: "BTC-FWD-2",
        product: "BTC-FWD",
        kind: Kind::Forward,
        asset: 0,
        tick: tick(1, -9),
        lot: PETA / 10,
        seconds: 30 * 86_400,
        hours_to_last_trade: 9,
        min_lots: 1,
        max_notional: 16_000,
        fees: (200, 400),
    },
    Sheet {
        symbol: "BTC-USDC-FWD-1",
        product: "BTC-USDC-FWD",
        kind: Kind::Forward,
        asset: 1,
        tick: tick(1, -4),
        lot: PETA,
        seconds: 30 * 86_400,
        hours_to_last_trade: 400,
        min_lots: 1,
        max_notional: 3_000 * 54_000,
        fees: (0, 500),
    },
];

impl Generator {
    pub(super) fn request<T>(&mut self, body: T) -> Request<T> {
        self.request_ids += 1;
        Request {
            id: self.request_ids,
            key_id: "operator".into(),
            note: String::new(),
            body,
        }
    }

    /// The next command of the set-up. `created`: the number of what the one before made.
    pub(super) fn set_up(&mut self, created: u64) -> Option<Command> {
        let step = self.step;
        if step > 60 {
            return None;
        }
        self.step += 1;
        if step > 0 {
            self.created.push(created);
        }
        let number = |index: usize| {
            self.created
                .get(index)
                .and_then(|id| u32::try_from(*id).ok())
                .unwrap_or_default()
        };
        let asset = |index: usize| AssetId(number(index));
        Some(match step {
            0 => Command::CreateAsset(self.request(new_asset("BTC", 8))),
            1 => Command::CreateAsset(self.request(new_asset("USDC", 6))),
            2 => Command::CreateCommodity(self.request(bitcoin())),
            3 | 4 => {
                let index = Index {
                    name: ["BTC-HASHPRICE-SAT", "BTC-HASHPRICE-USDC"][step - 3].into(),
                    kind: IndexKind::Hashprice,
                    commodity: CommodityId(number(2)),
                    quote: asset(step - 3),
                    unit: "per PH/s per day".into(),
                };
                Command::CreateIndex(self.request(index))
            }
            5..=7 => {
                let code = ["HYDRO", "LAKE", "FJORD"][step - 5];
                let firm = NewFirm {
                    code: code.into(),
                    legal_name: format!("{code} Mining Ltd"),
                    lei: String::new(),
                };
                Command::CreateFirm(self.request(firm))
            }
            8..=15 => {
                let (maker_fee_offset, taker_fee_offset) = OFFSETS[step - 8];
                let account = NewAccount {
                    firm: FirmId(number(5 + (step - 8) % 3)),
                    label: format!("desk {}", step - 7),
                    kind: AccountKind::Client,
                    maker_fee_offset,
                    taker_fee_offset,
                };
                Command::CreateAccount(self.request(account))
            }
            16..=20 => {
                let sheet = &SHEETS[step - 16];
                let mut terms = terms(
                    sheet,
                    CommodityId(number(2)),
                    asset(sheet.asset),
                    IndexId(number(3 + sheet.asset)),
                );
                if self.features.quotes {
                    terms.limits.max_open_orders = 9;
                }
                if self.features.icebergs && step == 17 {
                    terms.limits.min_display = 2;
                }
                // The lead of its product, and one alone.
                if self.features.volatility && step >= 19 {
                    terms.volatility = Volatility {
                        window_ms: 60_000,
                        move_ppm: 4_000,
                    };
                }
                Command::CreateInstrument(self.request(terms))
            }
            21..=25 => {
                let scope = StateScope::Instrument(InstrumentId(number(step - 5)));
                Command::SetTradingState(self.request(SetTradingState {
                    scope,
                    target: TradingState::Open,
                    reason: Reason::Operator,
                    effective: Nanos(0),
                    cancel_open_orders: false,
                }))
            }
            26..=41 => {
                let (account, asset_index) = ((step - 26) / 2, (step - 26) % 2);
                let deposit = CreditDeposit {
                    account: AccountId(number(8 + account)),
                    asset: asset(asset_index),
                    amount: [2_000_000, 150_000_000][asset_index],
                    rail: Rail::Sandbox,
                };
                Command::CreditDeposit(self.request(deposit))
            }
            42..=53 if self.features.combinations => {
                let contracts: Vec<InstrumentId> =
                    (42..48).map(|at| InstrumentId(number(at))).collect();
                let basics = (CommodityId(number(2)), asset(0), IndexId(number(3)));
                return self.list_combinations(step - 42, &contracts, basics);
            }
            _ => {
                let newest = if self.features.combinations {
                    42..48
                } else {
                    0..0
                };
                self.assets = (0..2).map(asset).collect();
                self.indexes = (3..5).map(|index| IndexId(number(index))).collect();
                self.accounts = (8..16).map(|index| AccountId(number(index))).collect();
                self.contracts = (16..21)
                    .chain(newest)
                    .map(|index| InstrumentId(number(index)))
                    .collect();
                self.step = 100;
                return None;
            }
        })
    }
}

fn new_asset(symbol: &str, decimals: u32) -> Asset {
    Asset {
        symbol: symbol.into(),
        decimals,
        min_withdrawal: 1,
    }
}

fn bitcoin() -> Commodity {
    Commodity {
        symbol: "BTC".into(),
        algorithm: Algorithm::Sha256d,
        coins: vec!["BTC".into()],
        rate_unit: "PH/s".into(),
        rate_unit_hashes_per_second: PETA,
        hashes_per_share: 1 << 32,
    }
}

pub(super) fn terms(
    sheet: &Sheet,
    commodity: CommodityId,
    asset: AssetId,
    index: IndexId,
) -> Terms {
    let start = START.div_euclid(DAY) * DAY + 30 * DAY;
    Terms {
        symbol: sheet.symbol.into(),
        kind: sheet.kind,
        product: sheet.product.into(),
        commodity,
        price_asset: asset,
        tick_size: sheet.tick,
        price_unit: "per PH/s per day".into(),
        lot_hashes_per_second: sheet.lot,
        window: Window {
            start: Nanos(start),
            end: Nanos(start + sheet.seconds * SECOND),
        },
        index,
        last_trade: Nanos(START + sheet.hours_to_last_trade * 3_600 * SECOND),
        margin: MarginTerms {
            initial_buy: Ppm(120_000),
            initial_sell: Ppm(150_000),
            maintenance_of_initial: Ppm(750_000),
            delivery_bond: Ppm(if sheet.kind == Kind::SpotBlock {
                80_000
            } else {
                0
            }),
            concentration_lots: 0,
            concentration: Ppm(0),
        },
        limits: EntryLimits {
            min_lots: sheet.min_lots,
            max_lots: 60,
            max_notional: sheet.max_notional,
            band_basis_points: 500,
            max_open_orders: 5,
            position_limit: 100,
            min_display: 1,
        },
        maker_fee: Ppm(sheet.fees.0),
        taker_fee: Ppm(sheet.fees.1),
        reference: Ticks(1_000),
        volatility: Volatility::default(),
        legs: Vec::new(),
        cascade: Vec::new(),
    }
}
