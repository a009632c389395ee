//! Is margin of forwards what a maker sees and understands: opposite months credited, every part of a need
//! named, the operator's method told contract by contract?

use gateway::client::Client;
use proto::{
    account::v1::{GetAccountRequest, PreviewOrderRequest, PreviewOrderResponse},
    admin::v1::SetMarginMethodRequest,
    common::v1::Side,
    reference::v1::{
        Instrument, ListMarginMethodsRequest, MarginFamily, MarginMethod, MarginTenor,
    },
    trading::v1::SubmitOrderRequest,
};
use tests::venue::{Folder, Venue, limit};
use tonic::{Code, Status};

const PRICE: i64 = 42_500;
const LOTS: i64 = 10;

async fn months(client: &Client) -> Vec<Instrument> {
    let mut all = super::statements::contracts(client).await;
    all.retain(|contract| contract.product == "BTC-FWD");
    all.sort_by_key(|month| month.delivery_window.map(|own| own.start_unix_nanos));
    all
}

async fn trade(venue: &Venue, id: u64, buyer: &str, seller: &str, contract: &Instrument) {
    for (actor, side) in [(buyer, Side::Buy), (seller, Side::Sell)] {
        let request = SubmitOrderRequest {
            account_id: venue.account(actor),
            order: Some(limit(id, contract, side, LOTS, PRICE)),
            ..Default::default()
        };
        let done = venue
            .client(actor)
            .await
            .trading()
            .submit_order(request)
            .await;
        done.unwrap_or_else(|status| panic!("{actor}: {status}"));
    }
}

/// Margin of an account in BTC.
async fn margin(venue: &Venue, actor: &str) -> i64 {
    let request = GetAccountRequest {
        account_id: venue.account(actor),
    };
    let told = venue
        .client(actor)
        .await
        .account()
        .get_account(request)
        .await;
    let told = told.expect("an account").into_inner();
    let btc = told.margin.iter().find(|row| row.margin_asset_id == 1);
    btc.expect("a margin").initial_minor
}

async fn preview(
    venue: &Venue,
    actor: &str,
    contract: &Instrument,
    side: Side,
) -> PreviewOrderResponse {
    let request = PreviewOrderRequest {
        account_id: venue.account(actor),
        instrument_id: contract.instrument_id,
        side: side.into(),
        price_ticks: Some(PRICE),
        lots: LOTS,
    };
    let told = venue
        .client(actor)
        .await
        .account()
        .preview_order(request)
        .await;
    let told = told.expect("a preview").into_inner();
    let parts = told.parts.expect("its parts");
    let sum = parts.initial_minor
        + parts.hold_minor
        + parts.concentration_minor
        + parts.credit_lost_minor
        - parts.covered_minor;
    assert_eq!(sum, told.margin_required_minor, "{parts:?}");
    told
}

async fn families(client: &Client) -> Vec<MarginFamily> {
    let asked = ListMarginMethodsRequest {};
    let listed = client.reference().list_margin_methods(asked).await;
    listed.expect("listed").into_inner().families
}

async fn set(operator: &Client, method: MarginMethod, id: u64) -> Result<i32, Status> {
    let request = SetMarginMethodRequest {
        method: Some(method),
        note: "a story".into(),
        request_id: id,
    };
    let done = operator.admin().set_margin_method(request).await;
    Ok(done?.into_inner().contracts_changed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_maker_long_in_one_month_and_short_in_the_next_is_credited_and_told_why() {
    let folder = Folder::new("wire-margin");
    let venue = Venue::start(folder.path()).await;
    let (operator, maker) = (
        venue.client("operator").await,
        venue.client("maker-1").await,
    );
    let months = months(&maker).await;
    let (near, next, far) = (&months[0], &months[1], &months[5]);

    // The sandbox has a method for BTC; what its scenarios ask for is below the contracts' own terms.
    let told = families(&maker).await;
    assert_eq!(told.len(), 2, "in satoshi and in dollars");
    let method = told[0].method.clone().expect("a method");
    assert_eq!(
        (method.adjacent_credit_ppm, method.other_credit_ppm),
        (700_000, 400_000)
    );
    let asked = told[0]
        .contracts
        .iter()
        .find(|row| row.instrument_id == near.instrument_id);
    let asked = *asked.expect("the nearest month");
    assert_eq!((asked.buy_ppm, asked.sell_ppm), (180_000, 180_000));
    let short = asked.short.expect("an outcome");
    assert_eq!(
        (short.difficulty_ppm, short.fees_ppm, short.rate_ppm),
        (-120_000, 400_000, 159_091)
    );

    // Long the nearest month: a whole margin. Short the next one: most of both comes back.
    trade(&venue, 1, "maker-1", "taker-1", near).await;
    let alone = margin(&venue, "maker-1").await;
    let before = preview(&venue, "maker-1", next, Side::Sell).await;
    assert_eq!(before.parts.expect("parts").initial_ppm, 180_000);
    trade(&venue, 2, "taker-1", "maker-1", next).await;
    let both = margin(&venue, "maker-1").await;
    let second = before.parts.expect("parts").initial_minor;
    let credit = 2 * alone.min(second) * 7 / 10;
    assert_eq!(both, alone + second - credit);
    assert_eq!(
        margin(&venue, "taker-1").await,
        both,
        "the other side stands as well"
    );

    // An order that would leave January alone is told what it takes away.
    let lone = preview(&venue, "maker-1", near, Side::Sell).await;
    assert_eq!(lone.parts.expect("parts").credit_lost_minor, credit);
    // One in a month that nothing stands against costs its own margin and no credit.
    let other = preview(&venue, "maker-1", far, Side::Buy).await;
    assert_eq!(other.parts.expect("parts").credit_lost_minor, 0);

    // The operator foresees a rougher time, most of all near.
    let rough = MarginMethod {
        difficulty_ppm: 300_000,
        tenors: vec![
            MarginTenor {
                days: 62,
                share_ppm: 1_000_000,
            },
            MarginTenor {
                days: 400,
                share_ppm: 100_000,
            },
        ],
        ..method.clone()
    };
    let changed = set(&operator, rough, 1).await.expect("in force");
    assert!(changed > 0);
    let after = months_again(&maker, near, far).await;
    // 1 / 1.3 with dry fees: 1 - 0.98 / 1.3; 1 / 0.7 with rich ones: 1.02 / 0.7 - 1.
    assert_eq!(after.0, (246_154, 457_143));
    assert_eq!(after.1, (180_000, 180_000));
    let seen = preview(&venue, "taker-2", near, Side::Buy).await;
    let parts = seen.parts.expect("parts");
    assert_eq!((parts.initial_ppm, parts.floor_ppm), (246_154, 180_000));

    // Nobody else may set it, and what is out of range is named.
    let refused = set(&maker, method.clone(), 2)
        .await
        .expect_err("not the operator");
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let wide = MarginMethod {
        difficulty_ppm: 900_001,
        ..method
    };
    let refused = set(&operator, wide, 3)
        .await
        .expect_err("too wide")
        .to_string();
    assert!(refused.contains("method.difficulty_ppm"), "{refused}");

    // A restart comes to the same margin.
    let (maker_margin, taker_margin) = (
        margin(&venue, "maker-1").await,
        margin(&venue, "taker-1").await,
    );
    venue.running.stop().await;
    let again = Venue::start(folder.path()).await;
    assert_eq!(margin(&again, "maker-1").await, maker_margin);
    assert_eq!(margin(&again, "taker-1").await, taker_margin);
    again.running.stop().await;
}

/// Rates in force of two months.
async fn months_again(
    client: &Client,
    near: &Instrument,
    far: &Instrument,
) -> ((i32, i32), (i32, i32)) {
    let all = months(client).await;
    let rates = |of: &Instrument| {
        let row = all.iter().find(|row| row.instrument_id == of.instrument_id);
        let margin = row.and_then(|row| row.margin).expect("listed");
        (margin.buy_in_force_ppm, margin.sell_in_force_ppm)
    };
    (rates(near), rates(far))
}
