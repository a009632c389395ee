//! One session: what it sends, and a reader that notes when each answer came.

use std::{collections::BTreeMap, time::Instant};

use gateway::client::{Client, reason_name};
use proto::{
    common::v1::{Reason, Side},
    trading::v1::{
        Cancel, Establish, NewOrder, OpenSessionRequest, OpenSessionResponse, OrderEventKind,
        OrderType, SessionEvent, Terminate, TimeInForce, cancel, open_session_request::Command,
        session_event::Event,
    },
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

use crate::{Result, run::Plan};

/// Orders of each session that stand in the book all the time.
pub(crate) const STANDING: i64 = 50;
/// Every so many orders, one takes instead of resting.
const TAKES: i64 = 20;
/// Resting orders keep this close to the mark, in ticks; takers reach over all of them.
const WIDTH: i64 = 50;
/// Lots of a resting order.
const LOTS: i64 = 10;

/// Somebody with an account.
pub(crate) struct Player {
    pub(crate) client: Client,
    pub(crate) account: i64,
    /// Its resting orders are bids, otherwise asks: nobody meets himself.
    pub(crate) buys: bool,
}

/// What came back for a scheduled command.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// When the answer to the n-th command came, durable or not; `None` = never.
    pub(crate) at: Vec<Option<(Instant, bool)>>,
    /// Refused commands by reason.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Cancels of orders that had traded.
    pub(crate) too_late: u64,
    /// Fills of any kind.
    pub(crate) fills: u64,
}

/// The sending half of a session. Sending never waits: what the transport does not take yet lies in
/// memory, and its latency runs.
pub(crate) struct Line {
    outbound: mpsc::UnboundedSender<OpenSessionRequest>,
    next_client_seq: i64,
    /// Names of orders: unique over runs and sessions.
    names: u64,
    order: NewOrder,
    mark: i64,
    takes: bool,
    buys: bool,
    /// Answers so far.
    pub(crate) answered: watch::Receiver<usize>,
    reader: JoinHandle<Answers>,
}

impl Line {
    /// Logs on as session `number` and enters the standing orders.
    pub(crate) async fn open(
        player: &Player,
        plan: &Plan,
        number: usize,
        takes: bool,
    ) -> Result<Self> {
        let (outbound, requests) = mpsc::unbounded_channel();
        let establish = Establish {
            session_name: format!("load-{number}"),
            account_id: player.account,
            heartbeat_interval_ms: 30_000,
            ..Establish::default()
        };
        outbound.send(request(0, Command::Establish(establish)))?;
        let client = player.client.another().await?;
        let stream = UnboundedReceiverStream::new(requests);
        let mut inbound = client.trading().open_session(stream).await?.into_inner();
        let next_client_seq = established(&mut inbound).await?;
        let first = next_client_seq + STANDING;
        let (tell, answered) = watch::channel(0);
        let reader = tokio::spawn(read(inbound, next_client_seq, first, tell));
        let order = NewOrder {
            instrument_id: plan.contract,
            order_type: OrderType::Limit.into(),
            ..NewOrder::default()
        };
        // The clock names orders so that a second run, or a second generator, starts beyond the first.
        let now = gateway::client::now_unix_nanos().unsigned_abs();
        let mut line = Self {
            outbound,
            next_client_seq,
            names: now / 1_000 * 1_024 + number as u64 % 1_024,
            order,
            mark: plan.mark,
            takes,
            buys: player.buys,
            answered,
            reader,
        };
        for index in 0..STANDING {
            let order = line.order(index);
            line.send(order);
        }
        let all = STANDING as usize;
        line.answered.wait_for(|answered| *answered >= all).await?;
        Ok(line)
    }

    /// Sends the `n`-th scheduled command: an order, then the cancel of the oldest one, and so on.
    pub(crate) fn fire(&mut self, n: i64) {
        let command = if n % 2 == 0 {
            self.order(STANDING + n / 2)
        } else {
            Command::Cancel(Cancel {
                target: Some(cancel::Target::ClientOrderId(self.name(n / 2))),
                instrument_id: self.order.instrument_id,
            })
        };
        self.send(command);
    }

    /// Takes the orders out, logs off, and gives back what was heard.
    pub(crate) async fn close(mut self) -> Result<Answers> {
        self.send(Command::Terminate(Terminate {
            cancel_orders: true,
        }));
        let limit = std::time::Duration::from_secs(10);
        let abort = self.reader.abort_handle();
        let ended = tokio::time::timeout(limit, self.reader).await;
        abort.abort();
        Ok(ended.map_err(|_| "a session did not end")??)
    }

    fn send(&mut self, command: Command) {
        let request = request(self.next_client_seq, command);
        self.next_client_seq += 1;
        // A stream that broke shows as commands without an answer.
        drop(self.outbound.send(request));
    }

    fn name(&self, index: i64) -> u64 {
        self.names + index.unsigned_abs() * 1_024
    }

    fn order(&self, index: i64) -> Command {
        let takes = self.takes && index % TAKES == TAKES - 1;
        let away = if takes {
            -WIDTH - 1
        } else {
            1 + index * 7 % WIDTH
        };
        let (side, price) = match self.buys {
            true => (Side::Buy, self.mark - away),
            false => (Side::Sell, self.mark + away),
        };
        let time_in_force = if takes {
            TimeInForce::Ioc
        } else {
            TimeInForce::Gtc
        };
        Command::NewOrder(NewOrder {
            client_order_id: self.name(index),
            side: side.into(),
            price_ticks: Some(price),
            quantity_lots: if takes { 1 } else { LOTS },
            time_in_force: time_in_force.into(),
            ..self.order.clone()
        })
    }
}

fn request(client_seq: i64, command: Command) -> OpenSessionRequest {
    OpenSessionRequest {
        client_seq,
        deadline_unix_nanos: 0,
        command: Some(command),
    }
}

/// Reads up to the end of the logon; the first number to use.
async fn established(inbound: &mut Streaming<OpenSessionResponse>) -> Result<i64> {
    let mut next = None;
    while let Some(message) = inbound.message().await? {
        for event in message.events {
            match event.event {
                Some(Event::Established(established)) => next = Some(established.next_client_seq),
                Some(Event::ReplayComplete(_)) => return Ok(next.ok_or("no logon")?),
                Some(Event::CommandRejected(why)) => return Err(format!("{why:?}").into()),
                Some(Event::Terminated(why)) => return Err(format!("{why:?}").into()),
                _ => {}
            }
        }
    }
    Err("the stream ended at logon".into())
}

/// Notes answers until the stream ends. Numbers from `warm` on are answered, from `first` on measured.
async fn read(
    mut inbound: Streaming<OpenSessionResponse>,
    warm: i64,
    first: i64,
    tell: watch::Sender<usize>,
) -> Answers {
    let mut answers = Answers::default();
    let mut seen = vec![];
    let mut count = 0;
    // The end of the stream, in order or not, is the end of the answers.
    while let Ok(Some(message)) = inbound.message().await {
        let now = Instant::now();
        for event in &message.events {
            if matches!(&event.event, Some(Event::Order(order)) if order.fill.is_some()) {
                answers.fills += 1;
            }
            let Ok(place) = usize::try_from(event.client_seq - warm) else {
                continue;
            };
            if event.client_seq == 0 || seen.get(place) == Some(&true) {
                continue;
            }
            seen.resize(seen.len().max(place + 1), false);
            seen[place] = true;
            count += 1;
            if let Ok(place) = usize::try_from(event.client_seq - first) {
                answers.at.resize(answers.at.len().max(place + 1), None);
                answers.at[place] = Some((now, outcome(event, &mut answers)));
            }
        }
        tell.send_replace(count);
    }
    answers
}

/// Whether the command had its effect, or came too late for one: both are durable. Refusals are counted.
fn outcome(event: &SessionEvent, answers: &mut Answers) -> bool {
    let problem = match &event.event {
        Some(Event::CommandRejected(rejected)) => &rejected.problem,
        Some(Event::Order(order)) => match order.kind() {
            OrderEventKind::Rejected
            | OrderEventKind::CancelRejected
            | OrderEventKind::ReplaceRejected => &order.problem,
            _ => return true,
        },
        _ => return true,
    };
    let reason = problem.as_ref().map_or(0, |problem| problem.reason);
    if reason == Reason::TooLateAlreadyFilled as i32
        || reason == Reason::TooLateAlreadyCancelled as i32
    {
        answers.too_late += 1;
        return true;
    }
    *answers
        .refused
        .entry(reason_name(reason).to_string())
        .or_default() += 1;
    false
}
