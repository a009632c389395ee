//! A miner's half year through the public API alone: capacity attested, a quarter sold forward, its months settled day
//! by day against the index, next week's spot sold, 93 % of it delivered, the shortfall priced, and statements that
//! add up.

use gateway::{client::Client, delivery::signed, keys::PrivateKey};
use proto::{
    account::v1::{GetStatementResponse, LedgerEntryKind},
    admin::v1::{
        CapacityAttestation, DeliveryRules, MeterKind, MeterReading, RegisterMeterRequest,
        SetDeliveryRulesRequest, SubmitCapacityAttestationRequest, SubmitMeterReadingRequest,
    },
    common::v1::{Amount, Side},
    delivery::v1::{
        Destination, GetCapacityRequest, ListObligationsRequest, Obligation, ObligationState,
        SetDestinationRequest, StratumProtocol,
    },
    reference::v1::Instrument,
    trading::v1::SubmitOrderRequest,
};
use tests::venue::{Folder, Venue, limit};

use super::statements::{
    DAY, advance, contracts, date, days_of, fixing, line, net, settlements, statement,
};

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;
/// PH/s sold forward, and at which price.
const FORWARD: i64 = 10;
const PRICE: i64 = 42_500;
/// Sold of one day: lots of 100 TH/s, 100 PH/s.
const SPOT: i64 = 1_000;
/// Share difficulty of the miner's pool connection.
const DIFFICULTY: i64 = 900_000;

async fn submit(venue: &Venue, actor: &str, contract: &Instrument, order: (u64, Side, i64, i64)) {
    let (id, side, lots, price) = order;
    let request = SubmitOrderRequest {
        account_id: venue.account(actor),
        order: Some(limit(id, contract, side, lots, price)),
        ..Default::default()
    };
    let client = venue.client(actor).await;
    let done = client.trading().submit_order(request).await;
    done.unwrap_or_else(|status| panic!("{actor}, {}: {status}", contract.symbol));
}

/// The operator lets blocks be delivered, and has a meter of his own.
async fn delivery_begins(operator: &Client, eye: &PrivateKey) {
    let rules = DeliveryRules {
        interval_seconds: 86_400,
        tolerance_ppm: 20_000,
        imbalance_surcharge_ppm: 50_000,
        capacity_duty: true,
        capacity_reserve_ppm: 100_000,
        attestors: 1,
        settle_after_seconds: 3_600,
        dispute_seconds: 3_600,
        grace_seconds: 1,
        failures_to_close: 3,
        ..DeliveryRules::default()
    };
    let request = SetDeliveryRulesRequest {
        commodity_id: 1,
        rules: Some(rules),
        request_id: 2_001,
    };
    let set = operator.admin().set_delivery_rules(request).await;
    set.expect("rules");
    let meter = RegisterMeterRequest {
        meter_id: "eye".into(),
        kind: MeterKind::ExchangeProxy as i32,
        public_key: eye.public_key().into(),
        attests: true,
        retired: false,
        request_id: 2_002,
    };
    let registered = operator.admin().register_meter(meter).await;
    registered.expect("a meter");
}

/// One exahash, seen by the meter, good for most of a year.
async fn attest(operator: &Client, eye: &PrivateKey, seller: i64, now: i64) {
    let attestation = CapacityAttestation {
        account_id: seller,
        commodity_id: 1,
        attested_ths: 1_000_000,
        measured_start_unix_nanos: now - HOUR,
        measured_end_unix_nanos: now - SECOND,
        accepted_shares: 1_000_000,
        valid_until_unix_nanos: now + 350 * DAY,
        meter_id: "eye".into(),
        site: "hall-1".into(),
        jurisdiction: "NO".into(),
        machine_class: "S21".into(),
    };
    let signature = eye.signature_over(signed::attestation(&attestation).as_bytes());
    let request = SubmitCapacityAttestationRequest {
        attestation: Some(attestation),
        meter_public_key: eye.public_key().into(),
        signature: signature.into(),
    };
    let attested = operator.oracle().submit_capacity_attestation(request).await;
    attested.expect("attested");
}

async fn pool(fund: &Client, buyer: i64) {
    let destination = Destination {
        label: "pool".into(),
        commodity_id: 1,
        address: "pool.example:3333".into(),
        worker: "fund.1".into(),
        protocol: StratumProtocol::V1.into(),
        account_default: true,
        ..Destination::default()
    };
    let request = SetDestinationRequest {
        account_id: buyer,
        destination: Some(destination),
        validate_only: false,
    };
    let stored = fund.delivery().set_destination(request).await;
    stored.expect("a destination");
}

async fn obligation(client: &Client, account_id: i64) -> Obligation {
    let request = ListObligationsRequest {
        account_id,
        ..Default::default()
    };
    let answer = client.delivery().list_obligations(request).await;
    let rows = answer.expect("obligations").into_inner().obligations;
    let [row] = rows.as_slice() else {
        panic!("one obligation, not {rows:?}");
    };
    row.clone()
}

/// What the meter read of the whole day: 93 % of it, in whole shares.
async fn measured(operator: &Client, eye: &PrivateKey, of: &Obligation) {
    let hashes = u128::from(SPOT.unsigned_abs()) * 100_000_000_000_000 * 86_400;
    let share = u128::from(DIFFICULTY.unsigned_abs()) << 32;
    let shares = i64::try_from(hashes * 93 / 100 / share).expect("few");
    let reading = MeterReading {
        meter_id: "eye".into(),
        kind: MeterKind::ExchangeProxy as i32,
        obligation_id: of.obligation_id,
        start_unix_nanos: of.start_unix_nanos,
        end_unix_nanos: of.end_unix_nanos,
        accepted_difficulty: shares * DIFFICULTY,
        accepted_shares: shares,
        mean_weighted_difficulty: DIFFICULTY,
        committed: true,
        ..MeterReading::default()
    };
    let signature = eye.signature_over(signed::reading(&reading).as_bytes());
    let request = SubmitMeterReadingRequest {
        reading: Some(reading),
        meter_public_key: eye.public_key().into(),
        signature: signature.into(),
    };
    let read = operator.oracle().submit_meter_reading(request).await;
    let read = read.expect("read").into_inner();
    assert!(read.shortfall_terahashes > 0, "{read:?}");
}

fn minor(amount: Option<Amount>) -> i64 {
    amount.map_or(0, |amount| amount.minor_units)
}

fn total(told: &GetStatementResponse) -> i64 {
    let btc = told.closing.iter().find(|row| row.asset_id == 1);
    btc.map_or(0, |row| row.total_minor)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_miner_lives_through_the_public_api_alone() {
    let folder = Folder::new("miner");
    let venue = Venue::start(folder.path()).await;
    let (operator, miner, fund) = (
        venue.client("operator").await,
        venue.client("miner-1").await,
        venue.client("taker-1").await,
    );
    let (seller, buyer) = (venue.account("miner-1"), venue.account("taker-1"));
    let eye = PrivateKey::from_seed([7; 32]);
    let today = venue.running.desk.clock.time() / DAY * DAY + DAY;
    advance(&operator, today + HOUR).await;

    // Attested capacity, less a tenth.
    delivery_begins(&operator, &eye).await;
    attest(&operator, &eye, seller, today + HOUR).await;
    let request = GetCapacityRequest {
        account_id: seller,
        commodity_id: 1,
    };
    let capacity = miner.delivery().get_capacity(request).await;
    let capacity = capacity.expect("capacity").into_inner().capacity;
    assert_eq!(capacity.map(|row| row.available_ths), Some(900_000));

    // A quarter, sold forward to a maker.
    let all = contracts(&miner).await;
    let quarter = all.iter().find(|row| row.product == "BTC-FWD-QUARTER");
    let quarter = quarter.expect("a quarter is listed");
    let bid = (1, Side::Buy, FORWARD, PRICE);
    submit(&venue, "maker-1", quarter, bid).await;
    submit(&venue, "miner-1", quarter, (1, Side::Sell, FORWARD, PRICE)).await;
    let sold = statement(&venue, "miner-1", today).await;
    assert_eq!(net(&sold.positions, quarter), -FORWARD);

    // It becomes its months without cash, and the first of them settles day by day.
    let start = quarter.delivery_window.expect("a window").start_unix_nanos;
    advance(&operator, start + HOUR).await;
    let cascaded = statement(&venue, "miner-1", start).await;
    assert!(cascaded.lines.is_empty(), "no cash: {:?}", cascaded.lines);
    assert_eq!(net(&cascaded.positions, quarter), 0);
    for day in (today..start).step_by(usize::try_from(DAY).expect("wide")) {
        fixing(&operator, day, PRICE * 1_000).await;
    }
    let mut index = PRICE;
    for (sat, place) in [42_000, 41_000, 41_700].into_iter().zip(0..) {
        let day = start + place * DAY;
        advance(&operator, day + DAY + HOUR).await;
        fixing(&operator, day, sat * 1_000).await;
        let told = statement(&venue, "miner-1", day + DAY).await;
        let fell = (index - sat) * FORWARD;
        assert_eq!(line(&told, LedgerEntryKind::FinalSettlement), fell);
        let left = days_of(quarter) - place - 1;
        assert_eq!(line(&told, LedgerEntryKind::Variation), fell * left);
        index = sat;
    }

    // The last spot day of the coming week, sold to a fund that says where it wants the shares.
    pool(&fund, buyer).await;
    let listed = contracts(&miner).await;
    let now = start + 3 * DAY + HOUR;
    let open =
        |row: &&Instrument| row.symbol.starts_with("BTC-SPOT-") && row.last_trade_unix_nanos > now;
    let block = listed
        .iter()
        .filter(open)
        .max_by_key(|row| row.last_trade_unix_nanos)
        .expect("a day of the coming week");
    let price = venue.running.desk.state(|state| {
        let id = engine::ids::InstrumentId(block.instrument_id.unsigned_abs());
        state.instrument(id).expect("listed").mark.0
    });
    let window = block.delivery_window.expect("a window");
    assert_eq!(window.end_unix_nanos - window.start_unix_nanos, DAY);
    submit(&venue, "miner-1", block, (2, Side::Sell, SPOT, price)).await;
    submit(&venue, "taker-1", block, (2, Side::Buy, SPOT, price)).await;

    // The days until then go on settling, then the day itself is measured: 93 %.
    let delivered = window.start_unix_nanos;
    for day in (start + 3 * DAY..=delivered).step_by(usize::try_from(DAY).expect("wide")) {
        advance(&operator, day + DAY + SECOND).await;
        fixing(&operator, day, index * 1_000).await;
    }
    let owed = obligation(&miner, seller).await;
    assert_eq!(
        (owed.side(), owed.lots, owed.state()),
        (Side::Sell, SPOT, ObligationState::Completed)
    );
    measured(&operator, &eye, &owed).await;
    advance(&operator, window.end_unix_nanos + 2 * HOUR).await;

    // 100 PH/s for a day at the price; 93 % of it paid, 5 % on the missing 7 % charged, where index and price are one.
    let rows = settlements(&venue, "miner-1").await;
    let own = rows
        .iter()
        .find(|row| row.obligation_id == owed.obligation_id);
    let own = own.expect("the block is settled");
    let (paid, charged) = (minor(own.payment), minor(own.shortfall_charge));
    let value = SPOT / 10 * price;
    assert!((paid - value * 93 / 100).abs() <= 2, "{paid} of {value}");
    let missing = SPOT / 10 * 7;
    let dearer = missing * (index * 105 - price * 100) / 10_000;
    assert!((charged + dearer).abs() <= 3, "{charged}, not {dearer}");
    assert_eq!(
        obligation(&miner, seller).await.state(),
        ObligationState::Settled
    );

    // The statement of that day adds up, and says the same as the settlement; the fund's is its mirror.
    let day = window.end_unix_nanos;
    let told = statement(&venue, "miner-1", day).await;
    assert_eq!(line(&told, LedgerEntryKind::DeliveryPayment), paid);
    assert_eq!(line(&told, LedgerEntryKind::Shortfall), charged);
    let theirs = statement(&venue, "taker-1", day).await;
    assert_eq!(line(&theirs, LedgerEntryKind::DeliveryPayment), -paid);
    assert_eq!(line(&theirs, LedgerEntryKind::Shortfall), -charged);
    assert_eq!(own.settlement_date, Some(date(delivered)));

    // From the first day to the last every satoshi stands in a line of some day.
    let mut closing = total(&statement(&venue, "miner-1", today - DAY).await);
    for at in (today..=day).step_by(usize::try_from(DAY).expect("wide")) {
        let told = statement(&venue, "miner-1", at).await;
        let opening = told.opening.iter().find(|row| row.asset_id == 1);
        assert_eq!(opening.map_or(0, |row| row.total_minor), closing);
        closing = total(&told);
    }
    venue.running.stop().await;
}
