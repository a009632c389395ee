//! More commands than an exchange can serve, sent by a schedule that waits for nobody, and a count of what
//! became of each.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gateway::{
    client::{now_unix_nanos, reason_name},
    keys::PrivateKey,
};
use proto::{
    common::v1::Side,
    marketdata::v1::{
        SubscribeRequest, SubscribeResponse, market_data_service_client::MarketDataServiceClient,
    },
    trading::v1::{
        Cancel, DisconnectAction, Establish, NewOrder, OpenSessionRequest, OpenSessionResponse,
        OrderEventKind, OrderType, SessionEvent, TimeInForce, cancel,
        open_session_request::Command, session_event::Event,
        trading_service_client::TradingServiceClient,
    },
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Streaming,
    transport::{Channel, Endpoint},
};

use crate::{crowd::account, process::Plan};

/// Commands of one line that the transport has not taken yet; what does not fit is not sent. Few, since the
/// time that they wait here is part of what is measured.
const OUTBOUND: usize = 1 << 9;
/// Commands of one line without an answer: more than the exchange takes of a session (4,096), so that it has to
/// refuse, and fewer than the answers that may wait for a slow reader (8,192), so that it need not cut off.
const UNANSWERED: usize = 6_000;
/// Orders of one line that stand in the book before the cancels begin.
const STANDING: u64 = 50;
/// A bid that nobody meets.
const PRICE: i64 = 41_500;

/// What became of the commands of one line.
#[derive(Debug, Default)]
pub struct Tally {
    under_way: HashMap<i64, Instant>,
    /// Commands that the core executed, whatever came of them.
    pub executed: u64,
    /// Orders accepted.
    pub accepted: u64,
    /// Orders cancelled.
    pub cancelled: u64,
    /// Refused at the door, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Refusals that do not say when to try again.
    pub without_hint: u64,
    /// Commands of the flood that there was no room for: never sent.
    pub unsent: u64,
    /// From sent to answered, executed commands, in microseconds.
    pub served_after: Vec<u64>,
    /// The same for refused ones.
    pub refused_after: Vec<u64>,
    /// Why the stream ended.
    pub ended: Option<String>,
}

impl Tally {
    /// Commands without an answer.
    #[must_use]
    pub fn open(&self) -> usize {
        self.under_way.len()
    }

    fn hear(&mut self, event: &SessionEvent) {
        if let Some(Event::Terminated(why)) = &event.event {
            let reason = why.problem.as_ref().map_or(0, |problem| problem.reason);
            self.ended = Some(reason_name(reason));
        }
        let Some(sent) = self.under_way.remove(&event.client_seq) else {
            return;
        };
        let took = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        match &event.event {
            Some(Event::CommandRejected(why)) if event.event_seq == 0 => {
                let problem = why.problem.clone().unwrap_or_default();
                let reason = reason_name(problem.reason);
                *self.refused.entry(reason).or_default() += 1;
                self.without_hint += u64::from(problem.retry_after_nanos == 0);
                self.refused_after.push(took);
            }
            told => {
                if let Some(Event::Order(order)) = told {
                    self.accepted += u64::from(order.kind() == OrderEventKind::Accepted);
                    self.cancelled += u64::from(order.kind() == OrderEventKind::Cancelled);
                }
                self.executed += 1;
                self.served_after.push(took);
            }
        }
    }
}

/// A session that sends.
pub struct Line {
    outbound: mpsc::Sender<OpenSessionRequest>,
    inbound: Option<Streaming<OpenSessionResponse>>,
    reader: Option<JoinHandle<()>>,
    tally: Arc<Mutex<Tally>>,
    next: i64,
    names: u64,
    fired: u64,
    contract: i32,
    /// At most so many commands without an answer.
    unanswered: usize,
}

impl Line {
    /// Logs an actor on; nobody reads yet.
    ///
    /// # Panics
    /// If the exchange does not let it in.
    pub async fn open(plan: &Plan, actor: &str, name: &str, contract: i32, window: u32) -> Self {
        let (outbound, requests) = mpsc::channel(OUTBOUND);
        let establish = Establish {
            session_name: name.into(),
            account_id: account(actor),
            heartbeat_interval_ms: 30_000,
            disconnect_action: DisconnectAction::Keep as i32,
            ..Establish::default()
        };
        let first = request(0, Command::Establish(establish));
        outbound.try_send(first).expect("room");
        let channel = channel(plan, window).await;
        let mut client = TradingServiceClient::new(channel);
        let method = "/hashpit.trading.v1.TradingService/OpenSession";
        let call = signed(plan, actor, method, ReceiverStream::new(requests));
        let mut inbound = client
            .open_session(call)
            .await
            .expect("a session")
            .into_inner();
        let mut next = 0;
        'logon: loop {
            let message = inbound.message().await.expect("a logon").expect("a logon");
            for event in message.events {
                match event.event {
                    Some(Event::Established(with)) => next = with.next_client_seq,
                    Some(Event::ReplayComplete(_)) => break 'logon,
                    _ => {}
                }
            }
        }
        Self {
            outbound,
            inbound: Some(inbound),
            reader: None,
            tally: Arc::default(),
            next,
            // Unique over the lines of one account.
            names: now_unix_nanos().unsigned_abs(),
            fired: 0,
            contract,
            unanswered: UNANSWERED,
        }
    }

    /// From now on it sends whether anything is answered or not.
    #[must_use]
    pub fn heedless(mut self) -> Self {
        self.unanswered = usize::MAX;
        self
    }

    /// Logs on again if the stream has ended, under the same name, and forgets what had no answer. Says
    /// why it had ended.
    pub async fn reopen(
        &mut self,
        plan: &Plan,
        actor: &str,
        name: &str,
        window: u32,
    ) -> Option<String> {
        let why = self.tally().ended.take()?;
        let fresh = Self::open(plan, actor, name, self.contract, window).await;
        self.tally().under_way.clear();
        self.outbound = fresh.outbound;
        self.inbound = fresh.inbound;
        self.next = fresh.next;
        self.listen();
        Some(why)
    }

    /// Begins to read, to the end of the stream.
    pub fn listen(&mut self) {
        let Some(mut inbound) = self.inbound.take() else {
            return;
        };
        let tally = self.tally.clone();
        self.reader = Some(tokio::spawn(async move {
            loop {
                match inbound.message().await {
                    Ok(Some(message)) => {
                        let mut tally = lock(&tally);
                        message.events.iter().for_each(|event| tally.hear(event));
                    }
                    Ok(None) => return,
                    Err(status) => {
                        let mut tally = lock(&tally);
                        let told = tally.ended.take().unwrap_or_default();
                        tally.ended = Some(format!("{told} {:?}", status.code()));
                        return;
                    }
                }
            }
        }));
    }

    /// Waits until the stream has ended, and says why it did; none if it does not within the limit.
    pub async fn last_words(&mut self, limit: Duration) -> Option<String> {
        let reader = self.reader.as_mut()?;
        tokio::time::timeout(limit, reader).await.ok()?.ok()?;
        self.tally().ended.clone()
    }

    /// The count so far.
    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    /// Commands of the flood that the transport took.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.fired
    }

    /// The next command of the flood: an order, then the cancel of the oldest one, and so on.
    ///
    /// One that the transport has no room for costs next to nothing: what floods must have time left to read.
    pub fn fire(&mut self) {
        let mut tally = lock(&self.tally);
        if self.outbound.capacity() == 0 || tally.open() >= self.unanswered {
            tally.unsent += 1;
            return;
        }
        drop(tally);
        let nth = self.fired;
        self.fired += 1;
        let command = match nth.checked_sub(STANDING) {
            Some(after) if after % 2 == 1 => self.cancel(after / 2),
            Some(after) => self.order(STANDING + after / 2),
            None => self.order(nth),
        };
        self.send(command);
    }

    /// The `nth` order.
    #[must_use]
    pub fn order(&self, nth: u64) -> Command {
        Command::NewOrder(NewOrder {
            client_order_id: self.names + nth,
            instrument_id: self.contract,
            side: Side::Buy as i32,
            order_type: OrderType::Limit as i32,
            time_in_force: TimeInForce::Gtc as i32,
            price_ticks: Some(PRICE - i64::try_from(nth % 64).unwrap_or(0)),
            quantity_lots: 1,
            ..NewOrder::default()
        })
    }

    /// The cancel of the `nth` order.
    #[must_use]
    pub fn cancel(&self, nth: u64) -> Command {
        Command::Cancel(Cancel {
            target: Some(cancel::Target::ClientOrderId(self.names + nth)),
            instrument_id: self.contract,
        })
    }

    /// Sends a command if the transport has room; never waits.
    pub fn send(&mut self, command: Command) {
        let mut tally = lock(&self.tally);
        tally.under_way.insert(self.next, Instant::now());
        if self.outbound.try_send(request(self.next, command)).is_ok() {
            self.next += 1;
        } else {
            tally.under_way.remove(&self.next);
        }
    }

    /// Waits until everything sent is answered, or the limit is over; what is still open.
    pub async fn drain(&self, limit: Duration) -> usize {
        let deadline = Instant::now() + limit;
        loop {
            let (open, ended) = {
                let tally = self.tally();
                (tally.open(), tally.ended.is_some())
            };
            if open == 0 || ended || Instant::now() >= deadline {
                return open;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn request(client_seq: i64, command: Command) -> OpenSessionRequest {
    OpenSessionRequest {
        client_seq,
        deadline_unix_nanos: 0,
        command: Some(command),
    }
}

/// A connection whose receive window is so small.
async fn channel(plan: &Plan, window: u32) -> Channel {
    let endpoint = Endpoint::from_shared(plan.address()).expect("an address");
    let endpoint = endpoint
        .tcp_nodelay(true)
        .initial_stream_window_size(window)
        .initial_connection_window_size(window);
    endpoint.connect().await.expect("somebody listens")
}

fn signed<T>(plan: &Plan, actor: &str, method: &str, message: T) -> Request<T> {
    let key = PrivateKey::load(&plan.keys().join(format!("{actor}.key"))).expect("a key file");
    let token = key.mint(method, now_unix_nanos() / 1_000_000_000, 60);
    let mut request = Request::new(message);
    let header = format!("Bearer {token}").parse().expect("a header");
    request.metadata_mut().insert("authorization", header);
    request
}

/// A market data stream that nobody reads yet.
///
/// # Panics
/// If it is not given.
pub async fn feed(
    plan: &Plan,
    actor: &str,
    asked: SubscribeRequest,
    window: u32,
) -> Streaming<SubscribeResponse> {
    let method = "/hashpit.marketdata.v1.MarketDataService/Subscribe";
    let call = signed(plan, actor, method, asked);
    let mut client = MarketDataServiceClient::new(channel(plan, window).await);
    client.subscribe(call).await.expect("a feed").into_inner()
}

/// Some percentiles of times in microseconds.
#[must_use]
pub fn percentiles(mut times: Vec<u64>) -> String {
    times.sort_unstable();
    let at = |share: f64| {
        let place = (times.len() as f64 * share) as usize;
        let micros = times.get(place.min(times.len().saturating_sub(1)));
        Duration::from_micros(micros.copied().unwrap_or(0))
    };
    format!(
        "p50 {:.1?}, p99 {:.1?}, at most {:.1?}",
        at(0.5),
        at(0.99),
        at(1.0)
    )
}
