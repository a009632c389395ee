//! A real exchange, random orders, and clients that rebuild what they are told.

use std::{collections::BTreeMap, path::PathBuf, pin::pin};

use engine::{
    command::{
        AccountKind, Command, CreditDeposit, FixingKind, NewAccount, NewFirm, OrderTerms, Origin,
        Place, PostOnly, Pricing, Rail, Request, SelfTrade, SetTradingState, Side, StateScope,
        SubmitFixing, Tag, TimeInForce,
    },
    ids::{AccountId, AssetId, CommodityId, FirmId, IndexId},
    instrument::{
        Algorithm, Asset, Commodity, EntryLimits, Index, IndexKind, Kind, MarginTerms, Terms,
        TradingState, Window,
    },
    journal,
    pipeline::{self, Pipeline, Settings, SystemClock},
    units::{DAY, Decimal, Lots, Nanos, Ppm, Ticks},
};

use super::*;
use crate::{
    archive::Archive,
    auth,
    desk::Environment,
    hub::{Hub, HubOutlet, Reply},
    marketdata::row::{Channel, Seed},
    outbound::{Outgoing, pipe},
};

type Failure = Box<dyn std::error::Error>;

struct Exhibit {
    desk: Desk,
    pipeline: Pipeline<Reply>,
    drain: tokio::sync::watch::Sender<bool>,
    dir: PathBuf,
    orders: u64,
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

fn tick() -> Decimal {
    Decimal {
        mantissa: 1,
        exponent: -8,
    }
}

fn forward(number: i64) -> Terms {
    let start = Nanos(auth::now_nanos() / DAY * DAY + (10 + number) * DAY);
    Terms {
        symbol: format!("F{number}"),
        kind: Kind::Forward,
        product: "F".into(),
        commodity: CommodityId(1),
        price_asset: AssetId(1),
        tick_size: tick(),
        price_unit: "sat".into(),
        lot_hashes_per_second: 1_000,
        window: Window {
            start,
            end: start.after(DAY),
        },
        index: IndexId(1),
        last_trade: start,
        margin: MarginTerms {
            initial_buy: Ppm(500_000),
            initial_sell: Ppm(500_000),
            maintenance_of_initial: Ppm(750_000),
            delivery_bond: Ppm(0),
            concentration_lots: 0,
            concentration: Ppm(0),
        },
        limits: EntryLimits {
            min_lots: 1,
            max_lots: 1_000,
            max_notional: 1 << 50,
            band_basis_points: 2_000,
            max_open_orders: 100_000,
            position_limit: 0,
            min_display: 1,
        },
        maker_fee: Ppm(0),
        taker_fee: Ppm(0),
        reference: Ticks(1_000),
        volatility: engine::instrument::Volatility::default(),
        legs: Vec::new(),
        cascade: Vec::new(),
    }
}

impl Exhibit {
    async fn open(name: &str) -> Result<Self, Failure> {
        let dir = std::env::temp_dir().join(format!("feed-{name}-{}", std::process::id()));
        let settings = journal::Settings::new(&dir, 7);
        let pipeline::Recovered {
            exchange, journal, ..
        } = pipeline::recover(settings, |_| Ok(()))?;
        let hub = Hub::new(Archive::default());
        let (settings, outlet) = (Settings::default(), HubOutlet(hub.clone()));
        let pipeline = pipeline::start(exchange, journal, settings, SystemClock, outlet)?;
        let (drain, draining) = tokio::sync::watch::channel(false);
        let desk = Desk {
            intake: pipeline.intake.clone(),
            follower: pipeline.follower.clone(),
            clock: crate::clock::ExchangeClock::default(),
            hub,
            fault: pipeline.fault.clone(),
            durable: pipeline.durable.clone(),
            environment: Environment::Sandbox,
            journal: dir.clone(),
            draining,
            excavations: [
                Arc::new(tokio::sync::Semaphore::new(1)),
                Arc::new(tokio::sync::Semaphore::new(1)),
            ],
        };
        let orders = 0;
        let exhibit = Self {
            desk,
            pipeline,
            drain,
            dir,
            orders,
        };
        exhibit.furnish().await?;
        Ok(exhibit)
    }

    async fn ask(&self, command: Command) -> Result<(), Status> {
        let answer = self.desk.ask(command).await?;
        crate::desk::refused(&answer).map_or(Ok(()), |problem| Err(refusal::status(&problem)))
    }

    async fn furnish(&self) -> Result<(), Status> {
        self.ask(Command::CreateAsset(request(Asset {
            symbol: "BTC".into(),
            decimals: 8,
            min_withdrawal: 1,
        })))
        .await?;
        self.ask(Command::CreateCommodity(request(Commodity {
            symbol: "BTC".into(),
            algorithm: Algorithm::Sha256d,
            coins: vec!["BTC".into()],
            rate_unit: "kH/s".into(),
            rate_unit_hashes_per_second: 1_000,
            hashes_per_share: 1,
        })))
        .await?;
        self.ask(Command::CreateIndex(request(Index {
            name: "I".into(),
            kind: IndexKind::Hashprice,
            commodity: CommodityId(1),
            quote: AssetId(1),
            unit: "sat".into(),
        })))
        .await?;
        self.fix(1, 1_000).await?;
        self.ask(Command::CreateFirm(request(NewFirm {
            code: "F".into(),
            legal_name: "F".into(),
            lei: String::new(),
        })))
        .await?;
        let firm = FirmId(u32::try_from(self.desk.state(|e| e.firms().len())).unwrap_or(0));
        for label in ["a", "b"] {
            self.ask(Command::CreateAccount(request(NewAccount {
                firm,
                label: label.into(),
                kind: AccountKind::Client,
                maker_fee_offset: 0,
                taker_fee_offset: 0,
            })))
            .await?;
            let account =
                AccountId(u32::try_from(self.desk.state(|e| e.accounts().len())).unwrap_or(0));
            self.ask(Command::CreditDeposit(request(CreditDeposit {
                account,
                asset: AssetId(1),
                amount: 1 << 50,
                rail: Rail::Sandbox,
            })))
            .await?;
        }
        for number in 1..=2 {
            self.list(number).await?;
        }
        Ok(())
    }

    async fn list(&self, number: i64) -> Result<(), Status> {
        self.ask(Command::CreateInstrument(request(forward(number))))
            .await?;
        self.ask(Command::SetTradingState(request(SetTradingState {
            scope: StateScope::All,
            target: TradingState::Open,
            reason: Reason::Operator,
            effective: Nanos::ZERO,
            cancel_open_orders: false,
        })))
        .await
    }

    async fn fix(&self, round: u64, ticks: i64) -> Result<(), Status> {
        self.ask(Command::SubmitFixing(SubmitFixing {
            index: IndexId(1),
            kind: FixingKind::Indicative,
            round,
            value: Decimal {
                mantissa: ticks,
                exponent: -8,
            },
            day: Nanos(0),
            key_id: "oracle".into(),
        }))
        .await
    }

    /// An order by dice: mostly resting near the middle, now and then crossing.
    fn place(&mut self, roll: &mut impl FnMut(u64) -> u64) -> Result<(), Status> {
        self.orders += 1;
        let accounts = self.desk.state(|exchange| exchange.accounts().len());
        let account = accounts - usize::try_from(roll(2)).unwrap_or(0);
        let side = if roll(2) == 0 { Side::Buy } else { Side::Sell };
        let order = OrderTerms {
            client_order_id: self.orders,
            instrument: InstrumentId(u32::try_from(roll(2)).unwrap_or(0) + 1),
            side,
            pricing: Pricing::Limit(Ticks(985 + i64::try_from(roll(30)).unwrap_or(0))),
            lots: Lots(1 + i64::try_from(roll(9)).unwrap_or(0)),
            time_in_force: if roll(4) == 0 {
                TimeInForce::Ioc
            } else {
                TimeInForce::Gtc
            },
            post_only: PostOnly::No,
            reduce_only: false,
            self_trade: SelfTrade::Decrement,
            self_trade_group: 0,
            cancel_group: 0,
            display: engine::units::Lots(0),
            min_fill: engine::units::Lots(0),
            trigger: None,
            mmp_group: 0,
            keep_on_disconnect: false,
            tag: Tag::default(),
        };
        let origin = Origin {
            account: AccountId(u32::try_from(account).unwrap_or(0)),
            ..Origin::default()
        };
        self.desk
            .send(Command::Place(Place { origin, order }), None)
    }

    fn close(self) {
        self.pipeline.stop();
        // What is left of a test that failed to clean up is the system's to remove.
        drop(std::fs::remove_dir_all(self.dir));
    }
}

/// A client of many subscriptions that believes nothing.
#[derive(Default)]
struct Client {
    /// Last seq per subscription and instrument.
    last: BTreeMap<(i32, i32), i64>,
    books: BTreeMap<(i32, i32), [BTreeMap<i64, i64>; 2]>,
    bbos: BTreeMap<(i32, i32), wire::Bbo>,
    curve: Option<wire::ForwardCurve>,
    index: Option<i64>,
    trades: Vec<i64>,
    /// Newest public change known to the server when a heartbeat was sent.
    heard: BTreeMap<i32, i64>,
    lagged: i64,
    active: usize,
    journal: i64,
}

impl Client {
    fn take(&mut self, update: &Update) {
        let key = (update.subscription_id, update.instrument_id);
        match &update.payload {
            Some(Payload::SubscriptionStatus(status)) => {
                assert_eq!(status.state, i32::from(wire::SubscriptionState::Active));
                self.active += 1;
                return;
            }
            Some(Payload::Heartbeat(beat)) => {
                let seqs = beat.last_seqs.iter();
                self.heard = seqs.map(|row| (row.instrument_id, row.seq)).collect();
                return;
            }
            Some(Payload::Lagged(lagged)) => {
                self.lagged += lagged.skipped_updates;
                return;
            }
            _ => {}
        }
        if update.prev_seq != 0 {
            assert_eq!(self.last.get(&key), Some(&update.prev_seq), "{update:?}");
            assert!(update.seq >= update.prev_seq);
        }
        self.last.insert(key, update.seq);
        self.journal = self.journal.max(update.journal_seq);
        match &update.payload {
            Some(Payload::BookSnapshot(book)) => {
                assert_eq!(update.prev_seq, 0);
                self.books.insert(key, Default::default());
                self.levels(key, &book.bids, &book.asks, book.digest);
            }
            Some(Payload::DepthDelta(delta)) => {
                assert_ne!(update.prev_seq, 0);
                self.levels(key, &delta.bids, &delta.asks, delta.digest);
            }
            Some(Payload::Bbo(bbo)) => {
                let before = self.bbos.insert(key, *bbo);
                assert!(update.prev_seq == 0 || before != Some(*bbo), "unchanged");
            }
            Some(Payload::Trade(trade)) => self.trades.push(trade.trade_id),
            Some(Payload::ForwardCurve(curve)) => self.curve = Some(curve.clone()),
            Some(Payload::Index(value)) => self.index = value.value.map(|value| value.mantissa),
            _ => {}
        }
    }

    fn levels(
        &mut self,
        key: (i32, i32),
        bids: &[wire::PriceLevel],
        asks: &[wire::PriceLevel],
        digest: u32,
    ) {
        let book = self.books.entry(key).or_default();
        for (side, levels) in book.iter_mut().zip([bids, asks]) {
            for level in levels {
                match level.lots {
                    0 => side.remove(&level.price_ticks),
                    lots => side.insert(level.price_ticks, lots),
                };
            }
        }
        let best = book[0].iter().rev().take(25).chain(book[1].iter().take(25));
        let bytes: Vec<u8> = best
            .flat_map(|(price, lots)| [price.to_le_bytes(), lots.to_le_bytes()])
            .flatten()
            .collect();
        assert_eq!(digest, crc32c::crc32c(&bytes), "{key:?}");
    }
}

fn asked(id: i32, channel: wire::Channel, depth: i32, interval: i32) -> wire::Subscription {
    wire::Subscription {
        subscription_id: id,
        channel: channel.into(),
        depth_levels: depth,
        min_interval_ms: interval,
        ..wire::Subscription::default()
    }
}

async fn begin(
    exhibit: &Exhibit,
    subscriptions: &[wire::Subscription],
) -> Outgoing<Vec<Update>, Vec<Update>> {
    let mut feed = Feed::new(exhibit.desk.clone(), Box::new(|| true));
    for subscription in subscriptions {
        feed.subscribe(subscription).await;
    }
    let (outbound, outgoing) = pipe(&exhibit.desk, std::convert::identity as fn(_) -> _);
    tokio::spawn(async move {
        let over = feed.run(tokio_stream::pending(), &outbound).await;
        outbound.end(over);
    });
    outgoing
}

/// Compares the client with the state, side by side.
fn compare(client: &Client, desk: &Desk, depths: &[(i32, usize)], bbo: i32) {
    desk.state(|exchange| {
        for contract in exchange.instruments() {
            let number = contract.id.0.cast_signed();
            for (id, depth) in depths {
                let seed = Seed::take(exchange, contract, Channel::Depth(*depth));
                let truth = seed.view(*depth).snapshot();
                let plain = |levels: &[wire::PriceLevel]| -> BTreeMap<i64, i64> {
                    levels
                        .iter()
                        .map(|row| (row.price_ticks, row.lots))
                        .collect()
                };
                let truth = [plain(&truth.bids), plain(&truth.asks)];
                assert_eq!(
                    client.books.get(&(*id, number)),
                    Some(&truth),
                    "{id} of {number}"
                );
            }
            let seed = Seed::take(exchange, contract, Channel::Bbo);
            let truth = seed.view(1).bbo();
            assert_eq!(client.bbos.get(&(bbo, number)), Some(&truth));
        }
        let curve = crate::translate::market::curve(exchange, engine::ids::ProductId(1));
        assert_eq!(client.curve.as_ref(), Some(&curve));
    });
}

/// Reads until the stream has been silent for a moment.
async fn settle(
    client: &mut Client,
    mut stream: std::pin::Pin<&mut Outgoing<Vec<Update>, Vec<Update>>>,
) -> Result<(), Status> {
    let mut quiet = 0;
    while quiet < 2 {
        match tokio::time::timeout(Duration::from_millis(1_500), stream.next()).await {
            Ok(Some(updates)) => {
                let updates = updates?;
                let idle = |update: &Update| matches!(update.payload, Some(Payload::Heartbeat(_)));
                quiet = if updates.iter().all(idle) {
                    quiet + 1
                } else {
                    0
                };
                updates.iter().for_each(|update| client.take(update));
            }
            Ok(None) => return Err(Status::unknown("the stream ended without a word")),
            Err(_) => return Err(Status::unknown("no heartbeat")),
        }
    }
    Ok(())
}

fn dice(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |sides| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % sides
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_rebuild_the_books_they_subscribed_to() -> Result<(), Failure> {
    use wire::Channel as C;
    let mut exhibit = Exhibit::open("books").await?;
    let mut roll = dice(3);
    for _ in 0..200 {
        exhibit.place(&mut roll)?;
    }
    let stream = begin(
        &exhibit,
        &[
            asked(1, C::Depth, 0, 0),
            asked(2, C::Depth, 3, 0),
            asked(3, C::Depth, 5, 20),
            asked(4, C::Bbo, 0, 0),
            asked(5, C::Trades, 0, 0),
            asked(6, C::ForwardCurve, 0, 10),
            asked(7, C::Index, 0, 0),
            asked(8, C::Status, 0, 0),
            asked(9, C::Statistics, 0, 5),
        ],
    )
    .await;
    let (mut client, mut stream) = (Client::default(), pin!(stream));
    for turn in 0..3_000 {
        exhibit.place(&mut roll)?;
        if turn % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    exhibit.fix(2, 1_003).await?;
    exhibit.list(3).await?;
    settle(&mut client, stream.as_mut()).await?;
    assert_eq!(client.active, 9);
    assert_eq!(client.lagged, 0);
    assert_eq!(client.index, Some(1_003));
    assert!(client.trades.len() > 100, "{} trades", client.trades.len());
    assert!(client.trades.is_sorted());
    compare(&client, &exhibit.desk, &[(1, 0), (2, 3), (3, 5)], 4);
    assert_eq!(client.heard.len(), 3);
    exhibit.drain.send(true)?;
    let last = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(status)) => break status.code(),
            None => break tonic::Code::Ok,
        }
    };
    assert_eq!(last, tonic::Code::Unavailable);
    exhibit.close();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_gets_a_fresh_snapshot() -> Result<(), Failure> {
    use wire::Channel as C;
    let mut exhibit = Exhibit::open("lag").await?;
    let strict = wire::Subscription {
        lag_policy: wire::LagPolicy::Disconnect.into(),
        ..asked(1, C::Depth, 0, 0)
    };
    let recorder = begin(&exhibit, &[strict]).await;
    let patient = begin(
        &exhibit,
        &[
            asked(1, C::Depth, 0, 0),
            asked(2, C::Bbo, 0, 0),
            asked(3, C::ForwardCurve, 0, 0),
        ],
    )
    .await;
    let mut roll = dice(5);
    // One bulletin each, more than message queue and broadcast hold together.
    for _ in 0..512 + 1_024 {
        let seq = exhibit.desk.as_of();
        exhibit.place(&mut roll)?;
        while exhibit.desk.as_of() == seq {
            tokio::task::yield_now().await;
        }
    }
    let (mut client, mut patient) = (Client::default(), pin!(patient));
    settle(&mut client, patient.as_mut()).await?;
    assert!(client.lagged > 0, "it lagged");
    compare(&client, &exhibit.desk, &[(1, 0)], 2);
    let mut recorder = pin!(recorder);
    let last = loop {
        match recorder.next().await {
            Some(Ok(_)) => {}
            Some(Err(status)) => break status.code(),
            None => break tonic::Code::Ok,
        }
    };
    assert_eq!(last, tonic::Code::ResourceExhausted);
    exhibit.close();
    Ok(())
}
