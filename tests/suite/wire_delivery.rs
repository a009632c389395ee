//! A block from listing to the last settlement, seen by real clients on a real wire: the seller shows what
//! it has, sells no more than that, delivers 93 %, and both sides see the arithmetic.

use std::time::Duration;

use gateway::{
    client::{Client, now_unix_nanos},
    delivery::signed,
    keys::PrivateKey,
};
use proto::{
    account::v1::{GetAccountRequest, LedgerEntryKind, ListLedgerRequest},
    admin::v1::{
        CapacityAttestation, CreateInstrumentRequest, DeliveryRules, MeterKind, MeterReading,
        RegisterMeterRequest, SetDeliveryRulesRequest, SetTradingStateRequest,
        SubmitCapacityAttestationRequest, SubmitMeterReadingRequest,
        set_trading_state_request::Scope,
    },
    common::v1::{Side, TradingState},
    delivery::v1::{
        AssignDestinationRequest, Destination, DisputeIntervalRequest, GetCapacityRequest,
        ListDestinationsRequest, ListObligationsRequest, ListSettlementsRequest, Obligation,
        ObligationState, SetDestinationRequest, Settlement, StratumProtocol, StreamDeliveryRequest,
        stream_delivery_response::Event,
    },
    reference::v1::{Instrument, InstrumentKind, ListInstrumentsRequest},
    trading::v1::{SubmitOrderRequest, SubmitOrderResponse},
};
use tests::venue::{Folder, Venue, limit};
use tonic::Status;
use tonic_types::StatusExt;

const PATIENCE: Duration = Duration::from_secs(30);
const SECOND: i64 = 1_000_000_000;
/// Ten exahashes: a few seconds of them are worth something.
const LOTS: i64 = 100_000;

/// Reason, limit and actual of a refusal.
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (String, String, String) {
    let status = answer.expect_err("refused");
    let info = status.get_details_error_info().expect("a refusal of ours");
    let get = |name: &str| info.metadata.get(name).cloned().unwrap_or_default();
    (info.reason.clone(), get("limit"), get("actual"))
}

async fn submit(
    venue: &Venue,
    actor: &str,
    contract: &Instrument,
    (id, side, lots, price): (u64, Side, i64, i64),
) -> Result<SubmitOrderResponse, Status> {
    let request = SubmitOrderRequest {
        account_id: venue.account(actor),
        order: Some(limit(id, contract, side, lots, price)),
        ..Default::default()
    };
    let client = venue.client(actor).await;
    let answer = client.trading().submit_order(request).await;
    answer.map(tonic::Response::into_inner)
}

/// A block of four seconds that begins soon, as the operator lists it.
async fn list_block(operator: &Client) -> Instrument {
    let request = ListInstrumentsRequest {
        kind: InstrumentKind::SpotBlock as i32,
        ..Default::default()
    };
    let all = operator
        .reference()
        .list_instruments(request)
        .await
        .expect("listed")
        .into_inner();
    let day = all
        .instruments
        .into_iter()
        .find(|row| row.symbol.starts_with("BTC-SPOT-"));
    let mut block = day.expect("a day of BTC");
    let start = (now_unix_nanos() / SECOND + 5) * SECOND;
    block.symbol = "BTC-SPOT-NOW".into();
    block.max_lots = 10 * LOTS;
    // Computed anew for four seconds.
    (
        block.lot_tick_value_numerator,
        block.lot_tick_value_denominator,
    ) = (0, 0);
    block.last_trade_unix_nanos = start - SECOND;
    let window = block.delivery_window.as_mut().expect("a window");
    (window.start_unix_nanos, window.end_unix_nanos) = (start, start + 4 * SECOND);
    let request = CreateInstrumentRequest {
        instrument: Some(block),
        validate_only: false,
        request_id: 1_001,
    };
    let stored = operator
        .admin()
        .create_instrument(request)
        .await
        .expect("listed")
        .into_inner();
    let stored = stored.instrument.expect("as stored");
    let open = SetTradingStateRequest {
        scope: Some(Scope::InstrumentId(stored.instrument_id)),
        target_state: TradingState::Open as i32,
        request_id: 1_002,
        ..Default::default()
    };
    operator
        .admin()
        .set_trading_state(open)
        .await
        .expect("open");
    stored
}

async fn obligations(client: &Client, account_id: i64) -> Vec<Obligation> {
    let request = ListObligationsRequest {
        account_id,
        ..Default::default()
    };
    let answer = client.delivery().list_obligations(request).await;
    answer.expect("obligations").into_inner().obligations
}

async fn settlements(client: &Client, account_id: i64) -> Vec<Settlement> {
    let request = ListSettlementsRequest {
        account_id,
        ..Default::default()
    };
    let answer = client.delivery().list_settlements(request).await;
    answer.expect("settlements").into_inner().settlements
}

/// Money of an account in BTC: total and held.
async fn money(client: &Client, account_id: i64) -> (i64, i64) {
    let answer = client
        .account()
        .get_account(GetAccountRequest { account_id })
        .await;
    let account = answer.expect("an account").into_inner();
    let row = account.balances.iter().find(|row| row.asset_id == 1);
    let row = row.expect("BTC");
    (row.total_minor, row.held_minor)
}

/// Waits on the delivery stream until an obligation is in a state.
async fn until(client: &Client, account_id: i64, after: i64, state: ObligationState) -> Obligation {
    let request = StreamDeliveryRequest {
        account_id,
        resume_after_journal_seq: Some(after),
    };
    let stream = client.delivery().stream_delivery(request).await;
    let mut stream = stream.expect("a stream").into_inner();
    let found = async {
        loop {
            let told = stream.message().await.expect("the stream goes on");
            match told.and_then(|told| told.event) {
                Some(Event::Obligation(row)) if row.state() == state => return row,
                Some(_) => {}
                None => panic!("the stream ended before {state:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_sold_measured_and_settled() {
    let folder = Folder::new("wire-delivery");
    let venue = Venue::start(folder.path()).await;
    let (operator, miner) = (
        venue.client("operator").await,
        venue.client("miner-1").await,
    );
    let fund = venue.client("taker-1").await;
    let (seller, buyer) = (venue.account("miner-1"), venue.account("taker-1"));
    let eye = PrivateKey::from_seed([7; 32]);

    // The operator switches delivery on, with capacity duty, and registers the exchange's own meter.
    let rules = DeliveryRules {
        interval_seconds: 3_600,
        tolerance_ppm: 20_000,
        imbalance_surcharge_ppm: 50_000,
        capacity_duty: true,
        capacity_reserve_ppm: 100_000,
        attestors: 1,
        settle_after_seconds: 6,
        dispute_seconds: 60,
        grace_seconds: 1,
        failures_to_close: 3,
        ..DeliveryRules::default()
    };
    let request = SetDeliveryRulesRequest {
        commodity_id: 1,
        rules: Some(rules),
        request_id: 1_010,
    };
    operator
        .admin()
        .set_delivery_rules(request)
        .await
        .expect("rules");
    let (reason, ..) = refused(miner.admin().set_delivery_rules(request).await);
    assert_eq!(reason, "NOT_AUTHORIZED");
    let meter = RegisterMeterRequest {
        meter_id: "eye".into(),
        kind: MeterKind::ExchangeProxy as i32,
        public_key: eye.public_key().into(),
        attests: true,
        retired: false,
        request_id: 1_011,
    };
    operator
        .admin()
        .register_meter(meter)
        .await
        .expect("a meter");
    let block = list_block(&operator).await;
    let price = venue.running.desk.state(|state| {
        let id = engine::ids::InstrumentId(block.instrument_id.unsigned_abs());
        state.instrument(id).expect("listed").mark.0
    });

    // Nothing attested: nothing sold. 20 EH/s less a tenth are 18.
    let sell = |id, lots| submit(&venue, "miner-1", &block, (id, Side::Sell, lots, price));
    let none = refused(sell(1, LOTS).await);
    assert_eq!(
        none,
        ("CAPACITY_EXCEEDED".into(), "0".into(), "10000000".into())
    );
    let now = now_unix_nanos();
    let attestation = CapacityAttestation {
        account_id: seller,
        commodity_id: 1,
        attested_ths: 20_000_000,
        measured_start_unix_nanos: now - 3_600 * SECOND,
        measured_end_unix_nanos: now - SECOND,
        accepted_shares: 1_000_000,
        valid_until_unix_nanos: now + 86_400 * SECOND,
        meter_id: "eye".into(),
        site: "hall-1".into(),
        jurisdiction: "NO".into(),
        machine_class: "S21".into(),
    };
    let attest = |attestation: CapacityAttestation, signature: [u8; 64]| {
        let request = SubmitCapacityAttestationRequest {
            attestation: Some(attestation),
            meter_public_key: eye.public_key().into(),
            signature: signature.into(),
        };
        let mut oracle = operator.oracle();
        async move { oracle.submit_capacity_attestation(request).await }
    };
    let signature = eye.signature_over(signed::attestation(&attestation).as_bytes());
    let mut more = attestation.clone();
    more.attested_ths *= 2;
    let (reason, ..) = refused(attest(more, signature).await);
    assert_eq!(reason, "SIGNATURE_INVALID", "signed was another number");
    attest(attestation, signature).await.expect("attested");
    let over = refused(sell(2, 2 * LOTS).await);
    assert_eq!(
        over,
        (
            "CAPACITY_EXCEEDED".into(),
            "18000000".into(),
            "20000000".into()
        )
    );
    sell(3, LOTS).await.expect("within capacity");
    let capacity = GetCapacityRequest {
        account_id: seller,
        commodity_id: 1,
    };
    let capacity = miner
        .delivery()
        .get_capacity(capacity)
        .await
        .expect("capacity")
        .into_inner();
    let capacity = capacity.capacity.expect("a row");
    assert_eq!(
        (capacity.open_order_ths, capacity.available_ths),
        (10_000_000, 8_000_000)
    );

    // The buyer says where, buys, and the last trade makes it an obligation.
    let destination = Destination {
        label: "pool".into(),
        commodity_id: 1,
        address: "pool.example:3333".into(),
        worker: "fund.1".into(),
        protocol: StratumProtocol::V1.into(),
        account_default: true,
        ..Destination::default()
    };
    let set = |destination: Destination| SetDestinationRequest {
        account_id: buyer,
        destination: Some(destination),
        validate_only: false,
    };
    let mut odd = destination.clone();
    odd.address = "stratum+tcp://pool.example:3333".into();
    let (reason, ..) = refused(fund.delivery().set_destination(set(odd)).await);
    assert_eq!(reason, "INVALID_FIELD");
    let stored = fund
        .delivery()
        .set_destination(set(destination))
        .await
        .expect("stored")
        .into_inner();
    let place = stored.destination.expect("as stored").destination_id;
    let listed = ListDestinationsRequest {
        account_id: buyer,
        ..Default::default()
    };
    let listed = fund
        .delivery()
        .list_destinations(listed)
        .await
        .expect("listed")
        .into_inner();
    assert_eq!(listed.destinations.len(), 1);
    let (miner_before, fund_before) = (money(&miner, seller).await.0, money(&fund, buyer).await.0);
    let bought = submit(&venue, "taker-1", &block, (4, Side::Buy, LOTS, price))
        .await
        .expect("a fill");
    let after = bought
        .events
        .first()
        .map_or(0, |_| venue.running.desk.as_of());
    let waits = until(&miner, seller, after, ObligationState::Ready).await;
    assert_eq!(
        (waits.side(), waits.lots, waits.destination_id),
        (Side::Sell, LOTS, place)
    );
    let obligation_id = waits.obligation_id;
    let assign = AssignDestinationRequest {
        account_id: buyer,
        obligation_id,
        destination_id: place,
    };
    fund.delivery()
        .assign_destination(assign)
        .await
        .expect("as it was");
    until(&fund, buyer, after, ObligationState::Delivering).await;
    let over = until(&fund, buyer, after, ObligationState::Completed).await;

    // 93 % of it, in shares of a difficulty that the window can be tested with.
    let hashes = 10_000_000_000_000_000_000_u128 * 4;
    let difficulty = 900_000;
    let shares = i64::try_from(hashes * 93 / 100 / (1 << 32) / difficulty).expect("few");
    let difficulty = i64::try_from(difficulty).expect("small");
    let reading = MeterReading {
        meter_id: "eye".into(),
        kind: MeterKind::ExchangeProxy as i32,
        obligation_id,
        start_unix_nanos: over.start_unix_nanos,
        end_unix_nanos: over.end_unix_nanos,
        accepted_difficulty: shares * difficulty,
        accepted_shares: shares,
        mean_weighted_difficulty: difficulty,
        committed: true,
        ..MeterReading::default()
    };
    let text = signed::reading(&reading);
    let told = SubmitMeterReadingRequest {
        reading: Some(reading),
        meter_public_key: eye.public_key().into(),
        signature: eye.signature_over(text.as_bytes()).into(),
    };
    let (reason, ..) = refused(miner.oracle().submit_meter_reading(told.clone()).await);
    assert_eq!(reason, "NOT_AUTHORIZED", "a seller is no meter");
    let answer = operator
        .oracle()
        .submit_meter_reading(told)
        .await
        .expect("read")
        .into_inner();
    assert!(answer.shortfall_terahashes > 0, "{answer:?}");
    let foreign = DisputeIntervalRequest {
        account_id: venue.account("maker-1"),
        obligation_id,
        interval_start_unix_nanos: over.start_unix_nanos,
        claimed_terahashes: 1,
        ..Default::default()
    };
    let maker = venue.client("maker-1").await;
    let (reason, ..) = refused(maker.delivery().dispute_interval(foreign).await);
    assert_eq!(
        reason, "UNKNOWN_OBLIGATION",
        "nobody learns of others' deliveries"
    );
    assert!(
        obligations(&maker, venue.account("maker-1"))
            .await
            .is_empty()
    );

    // Both sides see one arithmetic, and the money is where it says.
    until(&miner, seller, after, ObligationState::Settled).await;
    let (ours, theirs) = (
        settlements(&miner, seller).await,
        settlements(&fund, buyer).await,
    );
    assert_eq!((ours.len(), theirs.len()), (1, 1));
    let minor =
        |amount: Option<proto::common::v1::Amount>| amount.map_or(0, |amount| amount.minor_units);
    let (paid, charged) = (minor(ours[0].payment), minor(ours[0].shortfall_charge));
    assert_eq!(
        (minor(theirs[0].payment), minor(theirs[0].shortfall_charge)),
        (-paid, -charged)
    );
    // 10,000 PH/s for four seconds at the mark; 93 % of it, in whole shares.
    let value = 10_000 * price * 4 / 86_400;
    assert!((paid - value * 93 / 100).abs() <= 2, "{paid} of {value}");
    assert!(
        (charged + value * 7 / 100 * 5 / 100).abs() <= 3,
        "{charged}: 5 % on the missing 7 %"
    );
    let fees = |rows: Vec<proto::account::v1::LedgerEntry>| -> i64 {
        let fee = |row: &&proto::account::v1::LedgerEntry| row.kind() == LedgerEntryKind::TradeFee;
        rows.iter().filter(fee).map(|row| row.delta_minor).sum()
    };
    for (client, account, before, own) in [
        (&miner, seller, miner_before, &ours),
        (&fund, buyer, fund_before, &theirs),
    ] {
        let request = ListLedgerRequest {
            account_id: account,
            ..Default::default()
        };
        let ledger = client
            .account()
            .list_ledger(request)
            .await
            .expect("a ledger")
            .into_inner();
        let about = ledger
            .entries
            .iter()
            .filter(|row| row.obligation_id == obligation_id);
        let moved: i64 = about.map(|row| row.delta_minor).sum();
        let wanted = minor(own[0].payment) + minor(own[0].shortfall_charge);
        assert_eq!(moved, wanted, "the ledger names the obligation");
        let (total, held) = money(client, account).await;
        assert_eq!((total, held), (before + wanted + fees(ledger.entries), 0));
    }
    assert_eq!(
        obligations(&miner, seller).await[0].state(),
        ObligationState::Settled
    );
    venue.running.stop().await;
}
