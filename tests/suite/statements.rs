//! Does each day's statement add up, in the life of a quarter sold forward by a miner?

use std::path::Path;

use gateway::client::Client;
use proto::{
    account::v1::{
        Balance, GetAccountRequest, GetStatementRequest, GetStatementResponse, LedgerEntryKind,
        Position,
    },
    admin::v1::{AdvanceClockRequest, FixingKind, IndexFixing, SubmitIndexFixingRequest},
    common::v1::{Date, Decimal, Side, TradingState},
    delivery::v1::{ListSettlementsRequest, Settlement},
    reference::v1::{Instrument, ListInstrumentsRequest},
    trading::v1::SubmitOrderRequest,
};
use tests::venue::{Folder, Venue, limit, settings};
use tonic::Code;

pub(super) const DAY: i64 = 86_400_000_000_000;
const SAT: i64 = 100_000_000;
const LOTS: i64 = 10;
const PRICE: i64 = 42_500;

async fn submit(venue: &Venue, actor: &str, contract: &Instrument, side: Side) {
    let request = SubmitOrderRequest {
        account_id: venue.account(actor),
        order: Some(limit(1, contract, side, LOTS, PRICE)),
        ..Default::default()
    };
    let client = venue.client(actor).await;
    let done = client.trading().submit_order(request).await;
    done.unwrap_or_else(|status| panic!("{actor}: {status}"));
}

pub(super) async fn contracts(client: &Client) -> Vec<Instrument> {
    let request = ListInstrumentsRequest {
        include_expired: true,
        page_size: 1_000,
        ..Default::default()
    };
    let listed = client.reference().list_instruments(request).await;
    listed.expect("listed").into_inner().instruments
}

pub(super) async fn advance(operator: &Client, to: i64) {
    let request = AdvanceClockRequest {
        target_unix_nanos: to,
        request_id: 0,
    };
    let moved = operator.admin().advance_clock(request).await;
    let moved = moved.expect("the clock moves").into_inner();
    assert!(moved.exchange_unix_nanos >= to);
}

/// The mean of a UTC day, in millisat; its round is the day's number.
pub(super) async fn fixing(operator: &Client, day: i64, millisat: i64) {
    let fixing = IndexFixing {
        index_name: "BTC-HASHPRICE-SAT".into(),
        kind: FixingKind::Daily.into(),
        round_id: day / DAY,
        value: Some(Decimal {
            mantissa: millisat,
            exponent: -11,
        }),
        start_unix_nanos: day,
        end_unix_nanos: day + DAY,
        ..Default::default()
    };
    let request = SubmitIndexFixingRequest {
        fixing: Some(fixing),
        ..Default::default()
    };
    let fixed = operator.oracle().submit_index_fixing(request).await;
    fixed.expect("a fixing");
}

/// A calendar day of the wire, counted on from 1970-01-01 by the civil rules.
pub(super) fn date(day: i64) -> Date {
    let (mut year, mut left) = (1970, day / DAY);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while left >= 365 + i64::from(leap(year)) {
        left -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + i64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    let small = |number: i64| i32::try_from(number).expect("a date");
    Date {
        year: small(year),
        month: i32::try_from(month + 1).expect("a month"),
        day: small(left + 1),
    }
}

pub(super) async fn statement(venue: &Venue, actor: &str, day: i64) -> GetStatementResponse {
    let request = GetStatementRequest {
        account_id: venue.account(actor),
        date: Some(date(day)),
    };
    let told = venue
        .client(actor)
        .await
        .account()
        .get_statement(request)
        .await;
    let told = told.expect("a statement").into_inner();
    adds_up(&told);
    told
}

/// Opening and lines are closing, asset by asset.
fn adds_up(told: &GetStatementResponse) {
    for row in &told.closing {
        let opening = told
            .opening
            .iter()
            .find(|open| open.asset_id == row.asset_id);
        let lines = told
            .lines
            .iter()
            .filter(|line| line.asset_id == row.asset_id);
        let moved: i64 = lines.map(|line| line.sum_minor).sum();
        let opening = opening.map_or(0, |row| row.total_minor);
        assert_eq!(opening + moved, row.total_minor, "{told:?}");
    }
}

pub(super) fn line(told: &GetStatementResponse, kind: LedgerEntryKind) -> i64 {
    let lines = told.lines.iter().filter(|line| line.kind() == kind);
    lines.map(|line| line.sum_minor).sum()
}

/// The account's BTC.
fn total(balances: &[Balance]) -> i64 {
    let btc = balances.iter().find(|row| row.asset_id == 1);
    btc.map_or(0, |row| row.total_minor)
}

pub(super) fn net(told: &[Position], contract: &Instrument) -> i64 {
    let own = told
        .iter()
        .find(|row| row.instrument_id == contract.instrument_id);
    own.map_or(0, |row| row.net_lots)
}

pub(super) async fn settlements(venue: &Venue, actor: &str) -> Vec<Settlement> {
    let request = ListSettlementsRequest {
        account_id: venue.account(actor),
        ..Default::default()
    };
    let listed = venue.client(actor).await.settlements(request).await;
    listed.expect("settlements")
}

pub(super) fn days_of(contract: &Instrument) -> i64 {
    let window = contract.delivery_window.expect("a window");
    (window.end_unix_nanos - window.start_unix_nanos) / DAY
}

fn quick(folder: &Path) -> gateway::settings::Settings {
    let mut settings = settings(folder);
    settings.snapshot_every = 50;
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_miner_sells_a_quarter_and_every_day_adds_up() {
    let folder = Folder::new("statements");
    let venue = Venue::start_with(quick(folder.path())).await;
    let operator = venue.client("operator").await;
    let miner = venue.client("miner-1").await;
    // Tomorrow at one o'clock: no midnight passes by itself while the test runs.
    let today = venue.running.desk.clock.time() / DAY * DAY + DAY;
    advance(&operator, today + DAY / 24).await;
    let all = contracts(&miner).await;
    let quarter = all
        .iter()
        .find(|contract| contract.product == "BTC-FWD-QUARTER")
        .expect("a quarter is listed");
    let window = quarter.delivery_window.expect("a window");
    let inside = |contract: &&Instrument| {
        let own = contract.delivery_window.unwrap_or_default();
        contract.product == "BTC-FWD"
            && own.start_unix_nanos >= window.start_unix_nanos
            && own.end_unix_nanos <= window.end_unix_nanos
    };
    let mut months: Vec<Instrument> = all.iter().filter(inside).cloned().collect();
    months.sort_by_key(|month| month.delivery_window.map(|own| own.start_unix_nanos));
    assert_eq!(months.len(), 3);

    // Today: the maker bids for the quarter, the miner sells it.
    assert_eq!(
        total(&statement(&venue, "miner-1", today).await.closing),
        1_000 * SAT
    );
    submit(&venue, "maker-1", quarter, Side::Buy).await;
    submit(&venue, "miner-1", quarter, Side::Sell).await;
    let sold = statement(&venue, "miner-1", today).await;
    assert_eq!(total(&sold.opening), 1_000 * SAT);
    let value = PRICE * LOTS * days_of(quarter);
    // 150 ppm of the value, half to even.
    let fee = line(&sold, LedgerEntryKind::TradeFee);
    assert!((-fee * 1_000_000 - value * 150).abs() <= 500_000, "{fee}");
    assert_eq!(net(&sold.positions, quarter), -LOTS);
    assert!(sold.margin.expect("a margin").initial_minor > 0);

    // Time passes. The quarter becomes its months at its start, without a satoshi.
    let start = window.start_unix_nanos;
    advance(&operator, start + DAY / 24).await;
    let quiet = statement(&venue, "miner-1", start - DAY).await;
    assert_eq!(quiet.opening, quiet.closing);
    assert_eq!((quiet.lines.len(), quiet.first_journal_seq), (0, 0));
    let cascaded = statement(&venue, "miner-1", start).await;
    assert!(cascaded.lines.is_empty(), "no cash: {:?}", cascaded.lines);
    assert_eq!(net(&cascaded.positions, quarter), 0);
    for month in &months {
        assert_eq!(net(&cascaded.positions, month), -LOTS);
    }
    let states = contracts(&miner).await;
    let state = |of: &Instrument| {
        let row = states.iter().find(|row| row.symbol == of.symbol);
        row.expect("listed").state()
    };
    assert_eq!(state(quarter), TradingState::Settled);
    assert_eq!(state(&months[0]), TradingState::InDelivery);

    // The index publisher catches up with the days since: balance of month and December need them. At its
    // mark of 42,636 the miner's sale at 42,500 has lost 136 sat per PH/s and day.
    for day in (today..start).step_by(usize::try_from(DAY).expect("wide")) {
        fixing(&operator, day, 42_635_721).await;
    }
    let marked = statement(&venue, "miner-1", start).await;
    let all_days: i64 = months.iter().map(days_of).sum();
    assert_eq!(all_days, days_of(quarter));
    assert_eq!(
        line(&marked, LedgerEntryKind::Variation),
        -136 * LOTS * all_days
    );

    // Day by day, each settled in the night after it: price or last mark, less the index, times 10 PH/s.
    let fixings = [42_000, 41_000, 41_700];
    let mut before = 42_636;
    for (sat, place) in fixings.into_iter().zip(0..) {
        let day = start + place * DAY;
        advance(&operator, day + DAY + 1).await;
        fixing(&operator, day, sat * 1_000).await;
        let told = statement(&venue, "miner-1", day + DAY).await;
        let fell = (before - sat) * LOTS;
        assert_eq!(
            line(&told, LedgerEntryKind::FinalSettlement),
            fell,
            "day {place}"
        );
        let left = all_days - place - 1;
        assert_eq!(
            line(&told, LedgerEntryKind::Variation),
            fell * left,
            "day {place}"
        );
        // The statement begins where the one before ended.
        let yesterday = statement(&venue, "miner-1", day).await;
        assert_eq!(told.opening, yesterday.closing);
        // At the settlement price, nothing is unrealised any more.
        for row in &told.positions {
            assert_eq!((row.mark_ticks, row.unrealised_minor), (sat, 0));
        }
        let rows = settlements(&venue, "miner-1").await;
        let last = rows.last().expect("a settlement");
        assert_eq!(rows.len(), usize::try_from(place + 1).expect("small"));
        assert_eq!(
            (last.obligation_id, last.lots, last.finalized),
            (0, -LOTS, true)
        );
        assert_eq!(last.settlement_date, Some(date(day)));
        assert_eq!(last.payment.map(|paid| paid.minor_units), Some(fell));
        before = sat;
    }

    // What the miner lost or won, the maker won or lost.
    let last_day = start + 3 * DAY;
    let maker = statement(&venue, "maker-1", last_day).await;
    let own = statement(&venue, "miner-1", last_day).await;
    for kind in [LedgerEntryKind::Variation, LedgerEntryKind::FinalSettlement] {
        assert_eq!(line(&maker, kind), -line(&own, kind));
    }
    // Now is the end of today so far.
    let request = GetAccountRequest {
        account_id: venue.account("miner-1"),
    };
    let now = miner
        .account()
        .get_account(request)
        .await
        .expect("an account");
    assert_eq!(own.closing, now.get_ref().balances);
    assert_eq!(own.margin, now.get_ref().margin);

    // Days that nobody can tell.
    for (day, limit) in [(today - 3 * DAY, None), (last_day + DAY, Some(last_day))] {
        let request = GetStatementRequest {
            account_id: venue.account("miner-1"),
            date: Some(date(day)),
        };
        let refused = miner.account().get_statement(request).await;
        let refused = refused.expect_err("out of reach");
        assert_eq!(refused.code(), Code::InvalidArgument);
        if let Some(limit) = limit.map(date) {
            let limit = limit.year * 10_000 + limit.month * 100 + limit.day;
            assert!(
                refused.message().contains(&format!("limit {limit}")),
                "{refused}"
            );
        }
    }

    // The same after a restart, from a snapshot and from the journal alone.
    let days = [today, start - DAY, start, start + DAY, last_day];
    let mut told = Vec::new();
    for day in days {
        told.push(statement(&venue, "miner-1", day).await);
    }
    let rows = settlements(&venue, "miner-1").await;
    drop((operator, miner));
    venue.running.stop().await;
    for from_snapshot in [true, false] {
        if !from_snapshot {
            let snapshots = engine::snapshots::beside(&folder.path().join("journal"));
            std::fs::remove_dir_all(snapshots).expect("snapshots were taken");
        }
        let venue = Venue::start_with(quick(folder.path())).await;
        assert_eq!(venue.running.began.snapshot.is_some(), from_snapshot);
        assert!(
            venue.running.desk.clock.time() > last_day,
            "no way back in time"
        );
        for (day, told) in days.into_iter().zip(&told) {
            assert_eq!(statement(&venue, "miner-1", day).await, *told);
        }
        assert_eq!(settlements(&venue, "miner-1").await, rows);
        venue.running.stop().await;
    }
}

/// Noon of the fifteenth of December after a moment, in Unix nanoseconds, and its year.
fn mid_december(after: i64) -> (i64, i32) {
    let days = after / DAY + 1..after / DAY + 400;
    let found = days.map(|day| (day * DAY + DAY / 2, date(day * DAY)));
    let mut found = found.filter(|(_, date)| (date.month, date.day) == (12, 15));
    found
        .next()
        .map(|(noon, date)| (noon, date.year))
        .expect("within a year")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calendar_goes_on_by_time_alone() {
    let folder = Folder::new("calendar");
    let venue = Venue::start(folder.path()).await;
    let operator = venue.client("operator").await;
    let (noon, year) = mid_december(venue.running.desk.clock.time());
    advance(&operator, noon).await;
    let all = contracts(&operator).await;
    let named = |symbol: &str| all.iter().find(|contract| contract.symbol == symbol);
    let window = |contract: &Instrument| {
        let own = contract.delivery_window.expect("a window");
        (own.start_unix_nanos, own.end_unix_nanos)
    };
    let next = year + 1;
    // In December all twelve months of the next year are listed, so its quarters are, and so is the year.
    let mut wholes = vec![(format!("BTC-FWD-{next}"), 6)];
    wholes.extend((1..=4).map(|quarter| (format!("BTC-FWD-{next}Q{quarter}"), 3)));
    for (symbol, parts) in wholes {
        let whole = named(&symbol).unwrap_or_else(|| panic!("{symbol} is listed"));
        assert_eq!(whole.state(), TradingState::Open, "{symbol}");
        assert_eq!(whole.cascade_instrument_ids.len(), parts, "{symbol}");
        // The parts fill the window, one after the other.
        let mut reached = window(whole).0;
        for id in &whole.cascade_instrument_ids {
            let part = all.iter().find(|contract| contract.instrument_id == *id);
            let (start, end) = window(part.expect("listed before"));
            assert_eq!(start, reached, "{symbol}");
            reached = end;
        }
        assert_eq!(reached, window(whole).1, "{symbol}");
    }
    // Those whose months are not all listed are not.
    assert!(named(&format!("BTC-FWD-{}Q1", next + 1)).is_none());
    assert!(named(&format!("BTC-FWD-{}", next + 1)).is_none());
    let rest = named(&format!("BTC-BOM-{year}-12-16")).expect("balance of month");
    assert_eq!(rest.state(), TradingState::Open);
    let (start, end) = window(rest);
    assert_eq!((end - start) / DAY, 16);
    // Time goes forward, and only an operator moves it.
    let request = AdvanceClockRequest {
        target_unix_nanos: noon - DAY,
        request_id: 0,
    };
    let refused = operator.admin().advance_clock(request).await;
    assert_eq!(
        refused.expect_err("in the past").code(),
        Code::InvalidArgument
    );
    let miner = venue.client("miner-1").await;
    let refused = miner
        .admin()
        .advance_clock(AdvanceClockRequest::default())
        .await;
    assert_eq!(
        refused.expect_err("an operator's").code(),
        Code::PermissionDenied
    );
    venue.running.stop().await;
}
