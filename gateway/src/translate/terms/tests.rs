//! A listed contract told to a client and sent back makes the same terms; each bad field is named.

use engine::{
    command::{Command, FixingKind, Request, Stamped, SubmitFixing},
    event::Event,
    ids::InstrumentId,
    instrument::Leg,
    units::DAY,
};
use tonic_types::StatusExt;

use super::*;
use crate::translate::reference;

/// An exchange with one asset, commodity, index with a value, and a few contracts.
fn exchange(contracts: &[Terms]) -> Exchange {
    let mut exchange = Exchange::new();
    let mut commands = vec![
        Command::CreateAsset(request(btc())),
        Command::CreateCommodity(request(sha())),
        Command::CreateIndex(request(hashprice())),
        Command::SubmitFixing(SubmitFixing {
            index: IndexId(1),
            kind: FixingKind::Indicative,
            round: 1,
            value: Decimal {
                mantissa: 42_000,
                exponent: -8,
            },
            day: Nanos(0),
            key_id: "oracle".into(),
        }),
    ];
    commands.extend(
        contracts
            .iter()
            .map(|terms| Command::CreateInstrument(request(terms.clone()))),
    );
    for (seq, command) in (1..).zip(commands) {
        let at = Nanos(seq.try_into().unwrap_or(i64::MAX));
        let mut events = Vec::new();
        exchange.apply(&Stamped { seq, at, command }, &mut events);
        let refused = events
            .iter()
            .any(|event| matches!(event, Event::Refused(_)));
        assert!(!refused, "{seq}: {events:?}");
    }
    exchange
}

fn request<T>(body: T) -> Request<T> {
    let key_id = "operator".to_owned();
    Request {
        id: 0,
        key_id,
        note: String::new(),
        body,
    }
}

fn btc() -> Asset {
    Asset {
        symbol: "BTC".into(),
        decimals: 8,
        min_withdrawal: 1_000,
    }
}

fn sha() -> Commodity {
    Commodity {
        symbol: "LTC-DOGE".into(),
        algorithm: Algorithm::Scrypt,
        coins: vec!["LTC".into(), "DOGE".into()],
        rate_unit: "GH/s".into(),
        rate_unit_hashes_per_second: 1_000_000_000,
        hashes_per_share: 1 << 16,
    }
}

fn hashprice() -> Index {
    Index {
        name: "LTC-HASHPRICE".into(),
        kind: IndexKind::Hashprice,
        commodity: CommodityId(1),
        quote: AssetId(1),
        unit: "sat per GH/s per day".into(),
    }
}

fn contract(symbol: &str, kind: Kind, seconds: i64) -> Terms {
    Terms {
        symbol: symbol.into(),
        kind,
        product: "LTC-FWD".into(),
        commodity: CommodityId(1),
        price_asset: AssetId(1),
        tick_size: Decimal {
            mantissa: 1,
            exponent: -8,
        },
        price_unit: "sat per GH/s per day".into(),
        lot_hashes_per_second: 1_000_000_000,
        window: Window {
            start: Nanos(10 * DAY),
            end: Nanos(10 * DAY + seconds * SECOND),
        },
        index: IndexId(1),
        last_trade: Nanos(10 * DAY),
        margin: MarginTerms {
            initial_buy: Ppm(180_000),
            initial_sell: Ppm(190_000),
            maintenance_of_initial: Ppm(750_000),
            delivery_bond: Ppm(2_000_000),
            concentration_lots: 0,
            concentration: Ppm(0),
        },
        limits: EntryLimits {
            min_lots: 1,
            max_lots: 1_000,
            max_notional: 1 << 50,
            band_basis_points: 1_000,
            max_open_orders: 100,
            position_limit: 500,
            min_display: 3,
        },
        maker_fee: Ppm(-10),
        taker_fee: Ppm(50),
        reference: Ticks(42_000),
        volatility: Volatility {
            window_ms: 300_000,
            move_ppm: 50_000,
        },
        legs: Vec::new(),
        cascade: Vec::new(),
    }
}

fn listed() -> (Exchange, Vec<Terms>) {
    let all = vec![
        contract("A", Kind::Forward, 31 * 86_400),
        contract("B", Kind::SpotBlock, 3_600),
        contract("C", Kind::Forward, 7_200),
    ];
    (exchange(&all), all)
}

#[test]
fn what_is_told_can_be_sent_back() -> Result<(), Status> {
    let (exchange, all) = listed();
    for (id, wanted) in (1..).map(InstrumentId).zip(&all) {
        let row = exchange
            .instrument(id)
            .ok_or_else(|| Status::not_found("row"))?;
        let told = reference::instrument(&exchange, row);
        assert_eq!(&terms(&exchange, &told)?, wanted);
        assert_eq!(told.index_name, "LTC-HASHPRICE");
        assert!(told.lot_tick_value_denominator > 0);
    }
    assert_eq!(asset_terms(&reference::asset(AssetId(1), &btc()))?, btc());
    let told = reference::commodity(CommodityId(1), &sha());
    assert_eq!(commodity_terms(&told)?, sha());
    assert_eq!(index_terms(&reference::index(&hashprice()))?, hashprice());
    Ok(())
}

/// Two months in a row, their spread and their strip.
fn with_combinations() -> (Exchange, Vec<Terms>) {
    let month = |symbol: &str, number: i64| {
        let mut month = contract(symbol, Kind::Forward, 31 * 86_400);
        let start = Nanos((10 + 31 * number) * DAY);
        month.window = Window {
            start,
            end: Nanos(start.0 + 31 * DAY),
        };
        month.last_trade = start;
        month
    };
    let (front, back) = (month("FRONT", 0), month("BACK", 1));
    let combination = |symbol: &str, kind, first: i64| Terms {
        symbol: symbol.into(),
        kind,
        product: symbol.into(),
        window: Window {
            start: front.window.start,
            end: back.window.end,
        },
        margin: crate::translate::combinations::NO_MARGIN,
        limits: EntryLimits {
            position_limit: 0,
            ..front.limits
        },
        maker_fee: Ppm(0),
        reference: Ticks(1),
        volatility: Volatility::default(),
        legs: vec![
            Leg {
                instrument: InstrumentId(1),
                ratio: first,
            },
            Leg {
                instrument: InstrumentId(2),
                ratio: 1,
            },
        ],
        ..front.clone()
    };
    let spread = combination("SPREAD", Kind::CalendarSpread, -1);
    let strip = combination("STRIP", Kind::Strip, 1);
    let all = vec![front, back, spread, strip];
    (exchange(&all), all)
}

#[test]
fn a_combination_is_told_with_its_legs_and_can_be_sent_back() -> Result<(), Status> {
    let (exchange, all) = with_combinations();
    for (place, kind) in [(2, 4), (3, 5)] {
        let row = &exchange.instruments()[place];
        let mut told = reference::instrument(&exchange, row);
        assert_eq!((told.kind, told.legs.len()), (kind, 2));
        assert_eq!(told.legs[0].ratio, [-1, 1][place - 2]);
        let tick_value = (
            told.lot_tick_value_numerator,
            told.lot_tick_value_denominator,
        );
        assert_eq!(tick_value, (0, 0), "its legs have one each");
        assert_eq!(terms(&exchange, &told)?, all[place]);
        (told.delivery_window, told.margin) = (None, None);
        assert_eq!(terms(&exchange, &told)?, all[place], "both can be left out");
    }
    Ok(())
}

#[test]
fn a_bad_leg_is_named() {
    type Spoil = fn(&mut wire::Instrument);
    let (exchange, _) = with_combinations();
    let good = reference::instrument(&exchange, &exchange.instruments()[2]);
    let cases: [(&str, Spoil); 6] = [
        ("instrument.legs", |row| row.legs.clear()),
        ("legs", |row| row.legs = vec![row.legs[0]; 13]),
        ("instrument.legs[1].instrument_id", |row| {
            row.legs[1].instrument_id = 0;
        }),
        ("instrument.legs[0].ratio", |row| row.legs[0].ratio = 0),
        ("instrument.legs", |row| {
            row.legs[1].instrument_id = 99;
            row.delivery_window = None;
        }),
        ("instrument.settlement", |row| row.settlement = 1),
    ];
    for (field, spoil) in cases {
        let mut bad = good.clone();
        spoil(&mut bad);
        let status = terms(&exchange, &bad).expect_err("refused");
        let info = status.get_details_error_info().expect("a detail");
        assert_eq!(info.metadata["field"], field, "{status:?}");
    }
}

#[test]
fn every_bad_field_is_named() {
    type Spoil = fn(&mut wire::Instrument);
    let (exchange, _) = listed();
    let good = exchange
        .instruments()
        .first()
        .map(|row| reference::instrument(&exchange, row))
        .unwrap_or_default();
    let cases: [(&str, Spoil); 19] = [
        ("instrument.kind", |row| row.kind = 0),
        ("instrument.kind", |row| row.kind = 3),
        ("instrument.legs", |row| row.kind = 5),
        ("instrument.settlement", |row| row.settlement = 3),
        ("instrument.tick_size", |row| row.tick_size = None),
        ("instrument.tick_size.exponent", |row| {
            row.tick_size = Some(proto::common::v1::Decimal {
                mantissa: 1,
                exponent: i32::MAX,
            });
        }),
        ("instrument.delivery_window", |row| {
            row.delivery_window = None
        }),
        ("instrument.delivery_window", |row| {
            row.delivery_window = Some(wire::DeliveryWindow {
                start_unix_nanos: i64::MIN,
                end_unix_nanos: i64::MAX,
                ..wire::DeliveryWindow::default()
            });
        }),
        ("instrument.margin", |row| row.margin = None),
        ("instrument.taker_fee_ppm", |row| {
            row.taker_fee_ppm = i32::MIN
        }),
        ("instrument.legs", |row| row.legs.push(wire::Leg::default())),
        ("instrument.daily_limit_ppm", |row| row.daily_limit_ppm = 1),
        ("instrument.min_display_lots", |row| {
            row.min_display_lots = -1;
        }),
        ("instrument.volatility_move_ppm", |row| {
            row.volatility_move_ppm = 0;
        }),
        ("instrument.volatility_window_ms", |row| {
            row.volatility_window_ms = 99;
        }),
        ("instrument.volatility_move_ppm", |row| {
            row.volatility_move_ppm = 1_000_000;
        }),
        ("instrument.product_id", |row| row.product_id = 9),
        ("instrument.lot_hashes_per_second", |row| {
            row.lot_hashes_per_second = 0;
        }),
        ("index_name", |row| row.index_name = "NONE".into()),
    ];
    for (field, spoil) in cases {
        let mut bad = good.clone();
        spoil(&mut bad);
        let status = terms(&exchange, &bad).map_or_else(|status| status, |_| Status::ok("fine"));
        let info = status.get_details_error_info();
        let named = info.and_then(|info| info.metadata.get("field").cloned());
        assert_eq!(named.as_deref(), Some(field), "{status:?}");
    }
}
