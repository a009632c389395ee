//! `given` lines: contracts, accounts with money, firms.
//!
//! `given spot|forward NAME mark P [days N|hours N] [lot PH/s] [margin BUY% SELL%] [bond B%] [band B%]
//! [fees MAKER% TAKER%] [min N] [max N] [notional N] [orders N] [limit N] [product P] [last +SECONDS]
//! [volatility +SECONDS SHARE%] [from DAYS] [beyond LOTS MORE%] [closed]`, `given spread NAME FRONT BACK ...`,
//! `given strip NAME LEG LEG ... [...]` with the words of contracts that have a meaning there, and `given NAME MONEY [firm F] [fees MAKER% TAKER%]`. Money is in sat; a price is in sat
//! per PH/s and day. Without words: one day of 1 PH/s, so that one lot at price 100 is worth 100 sat.

use engine::{
    command::{
        AccountKind, Command, CreditDeposit, NewAccount, NewFirm, Rail, Request, SetTradingState,
        StateScope,
    },
    event::Event,
    ids::{AccountId, FirmId, InstrumentId},
    instrument::{
        Algorithm, Asset, Commodity, EntryLimits, Index, IndexKind, Kind, Leg, MarginTerms, Terms,
        TradingState, Window,
    },
    reason::Reason,
    units::{DAY, Decimal, Nanos, Ppm, Ticks},
};

use super::{
    auctions,
    words::{Words, scaled, seconds, share},
    world::{HASHES, INDEX, MONEY, World},
};

/// One petahash per second.
const PETA: i64 = 1_000_000_000_000_000;

/// An operator's request without protection against repeats.
pub(super) fn request<T>(body: T) -> Request<T> {
    Request {
        id: 0,
        key_id: "operator".into(),
        note: String::new(),
        body,
    }
}

/// Runs one `given` line.
pub(super) fn set_up(world: &mut World, line: &str) -> Result<(), String> {
    open_market(world)?;
    let mut words = Words::new(line);
    match words.next("what is given")? {
        "spot" => list(world, Kind::SpotBlock, words),
        "forward" => list(world, Kind::Forward, words),
        "spread" => list(world, Kind::CalendarSpread, words),
        "strip" => list(world, Kind::Strip, words),
        "oracle" => super::oracle::given(world, words),
        "insurance" => {
            let command = super::delivery::insurance(words.next_number("an amount")?);
            make(world, command).map(|_| ())
        }
        what @ ("delivery" | "meter") => {
            make(world, super::delivery::given(what, words)?).map(|_| ())
        }
        name => open(world, name, words),
    }
}

/// Runs a command of the operator that must work; answers with the number of what it made.
fn make(world: &mut World, command: Command) -> Result<u32, String> {
    for event in world.apply(command)? {
        match event {
            Event::Done(done) => return u32::try_from(done.object).map_err(|e| e.to_string()),
            Event::Refused(refused) => return Err(format!("  refused: {:?}", refused.problem)),
            _ => {}
        }
    }
    Err("  no answer".into())
}

fn open_market(world: &mut World) -> Result<(), String> {
    if !world.exchange.assets().is_empty() {
        return Ok(());
    }
    make(
        world,
        Command::CreateAsset(request(Asset {
            symbol: "BTC".into(),
            decimals: 8,
            min_withdrawal: 1,
        })),
    )?;
    make(
        world,
        Command::CreateCommodity(request(Commodity {
            symbol: "BTC".into(),
            algorithm: Algorithm::Sha256d,
            coins: vec!["BTC".into()],
            rate_unit: "PH/s".into(),
            rate_unit_hashes_per_second: PETA,
            hashes_per_share: 1 << 32,
        })),
    )?;
    let index = Index {
        name: "BTC-HASHPRICE-SAT".into(),
        kind: IndexKind::Hashprice,
        commodity: HASHES,
        quote: MONEY,
        unit: "sat per PH/s per day".into(),
    };
    make(world, Command::CreateIndex(request(index))).map(|_| ())
}

fn list(world: &mut World, kind: Kind, mut words: Words<'_>) -> Result<(), String> {
    let name = words.next("the contract's name")?;
    let closed = words.flag("closed");
    let terms = terms(world, kind, name, words)?;
    let id = InstrumentId(make(world, Command::CreateInstrument(request(terms)))?);
    world.contracts.push((name.into(), id));
    if closed {
        return Ok(());
    }
    let open = SetTradingState {
        scope: StateScope::Instrument(id),
        target: TradingState::Open,
        reason: Reason::Operator,
        effective: Nanos(0),
        cancel_open_orders: false,
    };
    make(world, Command::SetTradingState(request(open))).map(|_| ())
}

/// A listing that may be refused.
pub(super) fn listing(world: &World, kind: &str, words: &mut Words<'_>) -> Result<Command, String> {
    let kind = match kind {
        "spot" => Kind::SpotBlock,
        "forward" => Kind::Forward,
        word => return Err(format!("  unknown word {word:?}")),
    };
    let name = words.next("the contract's name")?;
    let rest = std::mem::replace(words, Words::new(""));
    Ok(Command::CreateInstrument(request(terms(
        world, kind, name, rest,
    )?)))
}

/// The contracts a combination is made of: all that are named next.
fn legs(world: &World, kind: Kind, words: &mut Words<'_>) -> Vec<Leg> {
    let mut legs = Vec::new();
    while kind.is_combination()
        && let Some(id) = words
            .peek()
            .and_then(|name| world.contract(Some(name)).ok())
    {
        let front = kind == Kind::CalendarSpread && legs.is_empty();
        words.skip();
        legs.push(Leg {
            instrument: id,
            ratio: if front { -1 } else { 1 },
        });
    }
    legs
}

fn terms(world: &World, kind: Kind, name: &str, mut words: Words<'_>) -> Result<Terms, String> {
    let legs = legs(world, kind, &mut words);
    let cascade = super::clearing::cascade(world, &mut words);
    let mark = match words.number("mark")? {
        Some(mark) => mark,
        None if !legs.is_empty() => 0,
        None => return Err("  a contract needs a mark".into()),
    };
    let span = match (words.number("days")?, words.number("hours")?) {
        (Some(days), None) => days * DAY,
        (None, Some(hours)) => hours * DAY / 24,
        (None, None) => DAY,
        _ => return Err("  days or hours, not both".into()),
    };
    let from = words.number("from")?.unwrap_or(0);
    let start = world.now.end_of_utc_day().after((30 + from) * DAY);
    let parts = legs
        .iter()
        .filter_map(|leg| world.exchange.instrument(leg.instrument));
    let windows = parts.map(|leg| leg.terms.window);
    let window = windows.reduce(|all, leg| Window {
        start: all.start.min(leg.start),
        end: all.end.max(leg.end),
    });
    let window = window.unwrap_or(Window {
        start,
        end: start.after(span),
    });
    let last = words.value("last")?.map(seconds).transpose()?;
    let margin = words
        .shares("margin")?
        .unwrap_or((Ppm(180_000), Ppm(180_000)));
    let fees = words.shares("fees")?.unwrap_or_default();
    let part = |text: Option<&str>, none| text.map_or(Ok(Ppm(none)), share);
    let bond = part(words.value("bond")?, 0)?;
    let band = part(words.value("band")?, 100_000)?;
    let (concentration_lots, concentration) = match words.pair("beyond")? {
        Some((lots, part)) => (super::words::number(lots)?, share(part)?),
        None => (0, Ppm(0)),
    };
    let orders = words.number("orders")?.unwrap_or(100);
    let terms = Terms {
        symbol: name.into(),
        kind,
        product: words.value("product")?.unwrap_or(name).into(),
        commodity: HASHES,
        price_asset: MONEY,
        tick_size: Decimal {
            mantissa: 1,
            exponent: -8,
        },
        price_unit: "sat per PH/s per day".into(),
        lot_hashes_per_second: scaled(words.value("lot")?.unwrap_or("1"), PETA)?,
        window,
        index: INDEX,
        last_trade: last.map_or(window.start, |span| world.now.after(span)),
        margin: MarginTerms {
            initial_buy: margin.0,
            initial_sell: margin.1,
            maintenance_of_initial: Ppm(750_000),
            delivery_bond: bond,
            concentration_lots,
            concentration,
        },
        limits: EntryLimits {
            min_lots: words.number("min")?.unwrap_or(1),
            max_lots: words.number("max")?.unwrap_or(1_000_000),
            max_notional: words.number("notional")?.unwrap_or(1 << 50),
            band_basis_points: band.0 / 100,
            max_open_orders: i32::try_from(orders).map_err(|e| e.to_string())?,
            position_limit: words.number("limit")?.unwrap_or(0),
            min_display: 1,
        },
        maker_fee: fees.0,
        taker_fee: fees.1,
        reference: Ticks(mark),
        volatility: auctions::volatility(&mut words)?,
        legs,
        cascade,
    };
    words.finish()?;
    Ok(terms)
}

fn open(world: &mut World, name: &str, mut words: Words<'_>) -> Result<(), String> {
    let money = words.next_number("the account's money")?;
    let fees = words.shares("fees")?.unwrap_or_default();
    let firm_name = words.value("firm")?.unwrap_or(name);
    let kind = match words.flag("maker") {
        true => AccountKind::MarketMaker,
        false => AccountKind::Client,
    };
    words.finish()?;
    let known = world.firms.iter().find(|(known, _)| known == firm_name);
    let firm = match known {
        Some((_, id)) => *id,
        None => {
            let firm = NewFirm {
                code: firm_name.into(),
                legal_name: firm_name.into(),
                lei: String::new(),
            };
            let id = FirmId(make(world, Command::CreateFirm(request(firm)))?);
            world.firms.push((firm_name.into(), id));
            id
        }
    };
    let account = NewAccount {
        firm,
        label: name.into(),
        kind,
        maker_fee_offset: fees.0.0,
        taker_fee_offset: fees.1.0,
    };
    let id = AccountId(make(world, Command::CreateAccount(request(account)))?);
    world.accounts.push((name.into(), id));
    if money == 0 {
        return Ok(());
    }
    let deposit = CreditDeposit {
        account: id,
        asset: MONEY,
        amount: money,
        rail: Rail::Sandbox,
    };
    make(world, Command::CreditDeposit(request(deposit))).map(|_| ())
}
