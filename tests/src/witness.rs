//! A client with a record of its own, that comes back by itself and asks again what was not answered.
//!
//! It speaks the raw session protocol, without the exchange's own client library, and believes nothing:
//! every numbered event is kept, a gap ends the test, and an event that comes a second time must be the
//! same event. After a loss it resumes behind the last event it knows, then sends **every** command again
//! to which it had no answer, under the same numbers and ids, also those that turn out to have happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use gateway::{
    client::{Client, ClientError, now_unix_nanos, reason_name},
    keys::PrivateKey,
};
use proto::{
    common::v1::Reason,
    trading::v1::{
        DisconnectAction, Establish, Established, Fill, Heartbeat, OpenSessionRequest,
        OpenSessionResponse, OrderEvent, OrderEventKind, SessionEvent,
        open_session_request::Command, session_event::Event,
    },
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

mod habits;
mod judgement;

pub use habits::{Habit, maker, quoter, taker, tidy_maker};
pub use judgement::{Verdict, judge, lost};

/// Pause between two attempts to come back.
const RETRY: Duration = Duration::from_millis(10);
/// Longest logon.
const LOGON: Duration = Duration::from_secs(20);

/// What all witnesses together have done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Commands sent for the first time.
    pub sent: u64,
    /// Commands answered.
    pub acks: u64,
    /// Of those, refused before the core.
    pub refused: u64,
    /// Fills heard.
    pub fills: u64,
    /// Commands sent again.
    pub resent: u64,
    /// Of those, that had happened, and whose first answer came again.
    pub repeats: u64,
    /// Logons.
    pub logons: u64,
}

/// What witnesses are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Trade.
    Work,
    /// Ask nothing new, hear every answer, then stop.
    Finish,
    /// Stop at the next loss, with what is known.
    Abandon,
}

/// How a witness logs on.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Actor of the sandbox.
    pub actor: String,
    /// Its account.
    pub account: i64,
    /// What happens to the orders when the stream is lost.
    pub action: DisconnectAction,
    /// Time to come back.
    pub grace_ms: i32,
    /// Heartbeat interval.
    pub heartbeat_ms: i32,
    /// Commands without an answer, at most.
    pub window: usize,
}

impl Terms {
    /// Orders stay; long intervals, so that a busy machine loses nobody.
    #[must_use]
    pub fn patient(actor: &str, account: i64) -> Self {
        Self {
            actor: actor.into(),
            account,
            action: DisconnectAction::Keep,
            grace_ms: 0,
            heartbeat_ms: 30_000,
            window: 64,
        }
    }

    /// The same for a quoter, whose orders go when it stays away too long.
    #[must_use]
    pub fn quoting(actor: &str, account: i64) -> Self {
        Self {
            action: DisconnectAction::CancelSessionOrders,
            grace_ms: 60_000,
            ..Self::patient(actor, account)
        }
    }
}

/// What one client knows.
#[derive(Debug, Default)]
pub struct Record {
    /// Number of the session.
    pub session: u32,
    /// Commands by number.
    pub sent: BTreeMap<i64, Command>,
    /// Numbered events, in the order of their numbers, which have no gap.
    pub events: Vec<SessionEvent>,
    /// Commands without an answer.
    pub open: BTreeSet<i64>,
    /// Commands that had happened before a loss and were sent again; their first answer is to come.
    pub again: BTreeSet<i64>,
    /// Commands that the gateway refused before the core, with the reason.
    pub refused: BTreeMap<i64, i32>,
    /// More of those, whose numbers were used again after a loss.
    pub at_the_door: usize,
    /// All of them, by reason.
    pub reasons: BTreeMap<String, usize>,
    /// Why streams ended.
    pub losses: Vec<String>,
    /// Newest number used.
    pub last_client_seq: i64,
}

impl Record {
    /// The last event heard.
    #[must_use]
    pub fn last_event_seq(&self) -> i64 {
        i64::try_from(self.events.len()).expect("fits")
    }

    /// Events about orders.
    pub fn orders(&self) -> impl Iterator<Item = (&SessionEvent, &OrderEvent)> {
        self.events.iter().filter_map(|event| match &event.event {
            Some(Event::Order(order)) => Some((event, order)),
            _ => None,
        })
    }

    /// Fills with their orders.
    pub fn fills(&self) -> impl Iterator<Item = (&OrderEvent, &Fill)> {
        let orders = self.orders().map(|(_, order)| order);
        orders
            .filter(|order| order.kind == OrderEventKind::Fill as i32)
            .filter_map(|order| Some((order, order.fill.as_ref()?)))
    }
}

/// The client.
pub struct Witness {
    /// How it logs on.
    pub terms: Terms,
    /// What it knows.
    pub record: Record,
    address: String,
    key: Arc<PrivateKey>,
    habit: Habit,
    progress: Arc<watch::Sender<Progress>>,
}

/// Why a stream is over.
#[derive(Debug)]
struct Broken(String);

impl From<ClientError> for Broken {
    fn from(error: ClientError) -> Self {
        Self(error.to_string())
    }
}

impl From<tonic::Status> for Broken {
    fn from(status: tonic::Status) -> Self {
        Self(format!("{:?}: {}", status.code(), status.message()))
    }
}

struct Login {
    outbound: mpsc::Sender<OpenSessionRequest>,
    inbound: Streaming<OpenSessionResponse>,
    next: i64,
}

impl Witness {
    /// A client that has not logged on yet.
    ///
    /// # Panics
    /// If its key is missing.
    #[must_use]
    pub fn new(
        address: &str,
        keys: &Path,
        terms: Terms,
        habit: Habit,
        progress: &Arc<watch::Sender<Progress>>,
    ) -> Self {
        let file = keys.join(format!("{}.key", terms.actor));
        Self {
            key: Arc::new(PrivateKey::load(&file).expect("a key file")),
            address: address.into(),
            record: Record::default(),
            progress: progress.clone(),
            terms,
            habit,
        }
    }

    /// Trades until told to finish and everything is answered; comes back by itself after each loss,
    /// unless it is told that there is nothing to come back to.
    pub async fn work(&mut self, mut phase: watch::Receiver<Phase>) {
        while let Err(Broken(why)) = self.converse(&mut phase).await {
            self.record.losses.push(why);
            if *phase.borrow() == Phase::Abandon {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Logs on once more, hears what is left to hear, and goes.
    ///
    /// # Panics
    /// If the exchange does not take it in.
    pub async fn catch_up(&mut self) {
        let login = self.log_on().await;
        let login = login.unwrap_or_else(|Broken(why)| panic!("{}: {why}", self.terms.actor));
        drop(login);
        assert!(self.record.open.is_empty(), "nothing is open any more");
    }

    async fn log_on(&mut self) -> Result<Login, Broken> {
        let logon = tokio::time::timeout(LOGON, self.establish()).await;
        logon.unwrap_or_else(|_| Err(Broken("the logon took too long".into())))
    }

    async fn establish(&mut self) -> Result<Login, Broken> {
        let client = Client::connect(&self.address, self.key.clone()).await?;
        let (outbound, requests) = mpsc::channel(1_024);
        let establish = Establish {
            session_name: "witness".into(),
            account_id: self.terms.account,
            resume_after_event_seq: Some(self.record.last_event_seq()),
            heartbeat_interval_ms: self.terms.heartbeat_ms,
            disconnect_action: self.terms.action as i32,
            disconnect_grace_ms: self.terms.grace_ms,
            client_software: "witness".into(),
        };
        say(&outbound, 0, Command::Establish(establish)).await?;
        let stream = ReceiverStream::new(requests);
        let call = client.trading().open_session(stream).await;
        let mut inbound = call?.into_inner();
        let mut established: Option<Established> = None;
        loop {
            let message = inbound.message().await?;
            let message = message.ok_or_else(|| Broken("closed at logon".into()))?;
            for event in message.events {
                match &event.event {
                    Some(Event::Established(with)) => established = Some(with.clone()),
                    Some(Event::ReplayComplete(complete)) => {
                        let last = self.record.last_event_seq();
                        assert_eq!(complete.up_to_event_seq, last, "the replay is complete");
                        let with = established.take().expect("Established comes first");
                        self.record.session = u32::try_from(with.session_id).expect("a number");
                        self.progress.send_modify(|all| all.logons += 1);
                        return Ok(Login {
                            outbound,
                            inbound,
                            next: with.next_client_seq,
                        });
                    }
                    _ => self.hear(event)?,
                }
            }
        }
    }

    /// One stream from logon to its end.
    async fn converse(&mut self, phase: &mut watch::Receiver<Phase>) -> Result<(), Broken> {
        let asked: Vec<i64> = self
            .record
            .open
            .union(&self.record.again)
            .copied()
            .collect();
        let mut login = self.log_on().await?;
        if let Err(why) = self.ask_again(&login, &asked).await {
            return Err(self.last_words(&mut login.inbound).await.unwrap_or(why));
        }
        let pause = Duration::from_millis(self.terms.heartbeat_ms.unsigned_abs().into()) / 3;
        let mut beat = tokio::time::interval(pause);
        loop {
            let finishing = *phase.borrow() != Phase::Work;
            let waiting = self.record.open.len() + self.record.again.len();
            if finishing && waiting == 0 {
                return Ok(());
            }
            if !finishing && waiting < self.terms.window {
                if let Err(why) = self.send_next(&login.outbound).await {
                    return Err(self.last_words(&mut login.inbound).await.unwrap_or(why));
                }
                // What has come meanwhile is looked at, but not waited for.
                tokio::task::yield_now().await;
                if waiting + 1 < self.terms.window {
                    continue;
                }
            }
            tokio::select! {
                message = login.inbound.message() => {
                    let message = message?.ok_or_else(|| Broken("closed".into()))?;
                    for event in message.events {
                        self.hear(event)?;
                    }
                }
                _ = beat.tick() => {
                    let client_unix_nanos = now_unix_nanos();
                    let heartbeat = Command::Heartbeat(Heartbeat { client_unix_nanos });
                    if let Err(why) = say(&login.outbound, 0, heartbeat).await {
                        return Err(self.last_words(&mut login.inbound).await.unwrap_or(why));
                    }
                }
                changed = phase.changed() => changed.map_err(|_| Broken("the test is over".into()))?,
            }
        }
    }

    /// What a stream that takes nothing any more still has to say.
    async fn last_words(&mut self, inbound: &mut Streaming<OpenSessionResponse>) -> Option<Broken> {
        while let Ok(Some(message)) = inbound.message().await {
            for event in message.events {
                if let Err(why) = self.hear(event) {
                    return Some(why);
                }
            }
        }
        None
    }

    async fn send_next(
        &mut self,
        outbound: &mpsc::Sender<OpenSessionRequest>,
    ) -> Result<(), Broken> {
        let number = self.record.last_client_seq + 1;
        let command = (self.habit)(&self.record);
        self.record.last_client_seq = number;
        self.record.sent.insert(number, command.clone());
        self.record.open.insert(number);
        self.progress.send_modify(|all| all.sent += 1);
        say(outbound, number, command).await
    }

    /// Sends what had no answer before the loss, in order. What is below the exchange's next number had
    /// reached the core, or was refused before it; the rest certainly had no effect.
    async fn ask_again(&mut self, login: &Login, asked: &[i64]) -> Result<(), Broken> {
        let (happened, without_effect): (Vec<i64>, Vec<i64>) =
            asked.iter().partition(|number| **number < login.next);
        for number in &happened {
            // Its answer may have come with the replay; then this asks for the same answer again.
            self.record.again.insert(*number);
            self.record.open.remove(number);
        }
        // Numbers of commands that were refused at the door are free again.
        let at_the_door = self.record.refused.split_off(&login.next);
        self.record.at_the_door += at_the_door.len();
        for number in at_the_door.keys() {
            self.record.sent.remove(number);
        }
        let mut next = login.next;
        for number in without_effect {
            assert!(self.record.open.remove(&number), "it cannot have an answer");
            let command = self.record.sent.remove(&number).expect("sent once");
            self.record.sent.insert(next, command);
            self.record.open.insert(next);
            next += 1;
        }
        let left = self.record.sent.range(next..).next();
        assert_eq!(
            left, None,
            "{}: every number is known to both",
            self.terms.actor
        );
        self.record.last_client_seq = next - 1;
        for number in happened.into_iter().chain(login.next..next) {
            let command = self.record.sent.get(&number).expect("sent once").clone();
            self.progress.send_modify(|all| all.resent += 1);
            say(&login.outbound, number, command).await?;
        }
        Ok(())
    }

    /// Keeps the record.
    fn hear(&mut self, event: SessionEvent) -> Result<(), Broken> {
        let actor = &self.terms.actor;
        let number = event.client_seq;
        assert!(
            number == 0 || self.record.sent.contains_key(&number),
            "{actor}: an answer to {number}, which nobody sent"
        );
        if event.event_seq == 0 {
            match &event.event {
                Some(Event::CommandRejected(why)) => {
                    let reason = why.problem.as_ref().map_or(0, |problem| problem.reason);
                    let settled = self.record.open.remove(&number);
                    let repeat = self.record.again.remove(&number);
                    assert!(settled || repeat, "{actor}: {number} was answered twice");
                    let had = |event: &SessionEvent| event.client_seq == number;
                    if repeat && reason == Reason::StaleClientSeq as i32 {
                        let happened = self.record.events.iter().any(had);
                        assert!(!happened, "{actor}: {number} happened; it is not stale");
                    }
                    self.record.refused.insert(number, reason);
                    *self.record.reasons.entry(reason_name(reason)).or_default() += 1;
                    self.progress.send_modify(|all| {
                        all.acks += 1;
                        all.refused += 1;
                    });
                }
                Some(Event::Terminated(why)) => {
                    let reason = why.problem.as_ref().map_or(0, |problem| problem.reason);
                    return Err(Broken(reason_name(reason)));
                }
                _ => {}
            }
            return Ok(());
        }
        let last = self.record.last_event_seq();
        let ends = number != 0 && self.ends(&event);
        if event.event_seq <= last {
            let place = usize::try_from(event.event_seq - 1).expect("from 1");
            let first = &self.record.events[place];
            assert_eq!(core_of(&event), core_of(first), "{actor}: told differently");
            assert!(event.replayed, "{actor}: told twice without saying so");
        } else {
            assert_eq!(event.event_seq, last + 1, "{actor}: a gap");
            let fill = matches!(&event.event, Some(Event::Order(order)) if order.fill.is_some());
            self.record.events.push(event);
            self.progress
                .send_modify(|all| all.fills += u64::from(fill));
        }
        if ends {
            if self.record.open.remove(&number) {
                self.progress.send_modify(|all| all.acks += 1);
            } else if self.record.again.remove(&number) {
                self.progress.send_modify(|all| all.repeats += 1);
            }
        }
        Ok(())
    }

    /// Whether the event is the end of the answer to its command.
    fn ends(&self, event: &SessionEvent) -> bool {
        let Some(told) = &event.event else {
            return false;
        };
        match self.record.sent.get(&event.client_seq) {
            Some(Command::MassQuote(_)) => {
                matches!(told, Event::MassQuoteDone(_) | Event::CommandRejected(_))
            }
            Some(Command::MassCancel(_)) => {
                matches!(told, Event::MassCancelDone(_) | Event::CommandRejected(_))
            }
            Some(Command::Batch(_)) => {
                matches!(told, Event::BatchDone(_) | Event::CommandRejected(_))
            }
            _ => true,
        }
    }
}

/// The event without what the gateway adds.
fn core_of(event: &SessionEvent) -> SessionEvent {
    SessionEvent {
        gateway_in_unix_nanos: 0,
        replayed: false,
        ..event.clone()
    }
}

async fn say(
    outbound: &mpsc::Sender<OpenSessionRequest>,
    client_seq: i64,
    command: Command,
) -> Result<(), Broken> {
    let request = OpenSessionRequest {
        client_seq,
        deadline_unix_nanos: 0,
        command: Some(command),
    };
    let sent = outbound.send(request).await;
    sent.map_err(|_| Broken("the stream is closed".into()))
}
