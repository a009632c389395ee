//! An order entry session that survives its connection.
//!
//! Commands are numbered, answers are matched to them, and after a loss [`Session::resume`] says about
//! every command that was under way whether it happened. A heartbeat task speaks for the strategy only
//! while the strategy still calls [`Session::next`] or [`Session::send`]: a bot that hangs must lose its
//! orders.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use proto::{
    common::v1::Reason,
    trading::v1::{
        DisconnectAction, OpenSessionRequest, OpenSessionResponse, SessionEvent, Terminate,
        open_session_request::Command, session_event::Event,
    },
};
use tokio::{sync::mpsc, task::JoinHandle};
use tonic::Streaming;

use super::{
    Client, ClientError,
    login::{beat, login},
    reason_name,
};

/// How a session logs on.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Stable name of the strategy, unique within the account.
    pub name: String,
    /// Whose orders.
    pub account_id: i64,
    /// 100..=30000 ms.
    pub heartbeat_interval_ms: i32,
    /// What happens to the orders when the stream is lost.
    pub disconnect_action: DisconnectAction,
    /// Time to come back before that.
    pub disconnect_grace_ms: i32,
}

/// A command that certainly had no effect.
#[derive(Clone, Debug)]
pub struct Unsent {
    /// Number it was sent under; it may be used again.
    pub client_seq: i64,
    /// The command.
    pub command: Command,
}

/// What a resumed session knows.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Commands without effect, in the order in which they were sent: send them again, or not.
    pub without_effect: Vec<Unsent>,
    /// The lost events are no longer kept. What follows are images of all open orders; fills in between
    /// are found by `ListFills`.
    pub from_images: bool,
    /// The orders were cancelled while nobody was there.
    pub disconnect_action_ran: bool,
}

/// A live session.
pub struct Session {
    client: Client,
    options: SessionOptions,
    outbound: mpsc::Sender<OpenSessionRequest>,
    inbound: Streaming<OpenSessionResponse>,
    heartbeat: JoinHandle<()>,
    /// Set by the strategy, cleared by the heartbeat task.
    alive: Arc<AtomicBool>,
    waiting: VecDeque<SessionEvent>,
    unanswered: VecDeque<Unsent>,
    next_client_seq: i64,
    last_event_seq: i64,
}

impl Session {
    /// Logs on afresh. Images of open orders come first out of [`Session::next`].
    pub async fn open(client: Client, options: SessionOptions) -> Result<Self, ClientError> {
        Self::open_from(client, options, None).await
    }

    /// Logs on as a process that was away: every event after `last_event_seq`, which it kept itself,
    /// comes first out of [`Session::next`].
    pub async fn open_after(
        client: Client,
        options: SessionOptions,
        last_event_seq: i64,
    ) -> Result<Self, ClientError> {
        Self::open_from(client, options, Some(last_event_seq)).await
    }

    async fn open_from(
        client: Client,
        options: SessionOptions,
        after: Option<i64>,
    ) -> Result<Self, ClientError> {
        let login = login(&client, &options, after).await?;
        let alive = Arc::new(AtomicBool::new(true));
        Ok(Self {
            heartbeat: beat(&login, &alive),
            next_client_seq: login.established.next_client_seq,
            last_event_seq: after.unwrap_or(login.established.last_event_seq),
            outbound: login.outbound,
            inbound: login.inbound,
            waiting: login.events,
            unanswered: VecDeque::new(),
            client,
            options,
            alive,
        })
    }

    /// The number that the next command will get.
    pub fn upcoming_client_seq(&self) -> i64 {
        self.next_client_seq
    }

    /// Sends one command and returns the number its events will carry. An error means that the stream is
    /// gone; [`Session::resume`] settles the command.
    pub async fn send(&mut self, command: Command) -> Result<i64, ClientError> {
        self.alive.store(true, Ordering::Relaxed);
        let client_seq = self.next_client_seq;
        self.unanswered.push_back(Unsent {
            client_seq,
            command: command.clone(),
        });
        self.next_client_seq += 1;
        let request = OpenSessionRequest {
            client_seq,
            deadline_unix_nanos: 0,
            command: Some(command),
        };
        match self.outbound.send(request).await {
            Ok(()) => Ok(client_seq),
            Err(_) => Err(ClientError::SessionLost("the stream is closed".into())),
        }
    }

    /// The next event, heartbeats included. Safe to drop half way, as `select!` does.
    pub async fn next(&mut self) -> Result<SessionEvent, ClientError> {
        loop {
            self.alive.store(true, Ordering::Relaxed);
            if let Some(event) = self.waiting.pop_front() {
                self.note(&event)?;
                return Ok(event);
            }
            match self.inbound.message().await? {
                Some(message) => self.waiting.extend(message.events),
                None => {
                    return Err(ClientError::SessionLost(
                        "the exchange closed the stream".into(),
                    ));
                }
            }
        }
    }

    /// Connects again under the same name. What was missed comes out of [`Session::next`] first.
    pub async fn resume(&mut self) -> Result<Recovered, ClientError> {
        self.heartbeat.abort();
        let client = self.client.another().await?;
        let mut from_images = false;
        let login = match login(&client, &self.options, Some(self.last_event_seq)).await {
            Err(error) if error.reason() == reason_name(Reason::ResumeTooOld as i32) => {
                from_images = true;
                login(&client, &self.options, None).await?
            }
            other => other?,
        };
        let next = login.established.next_client_seq;
        let answered = |seq| login.events.iter().any(|e| e.client_seq == seq);
        // Numbers from `next` on never reached the core. A lower one without an event was refused
        // before it, unless events are missing because we start from images.
        let without_effect = self
            .unanswered
            .iter()
            .filter(|u| u.client_seq >= next || (!from_images && !answered(u.client_seq)))
            .cloned()
            .collect();
        let disconnect_action_ran = login.established.disconnect_action_ran;
        if from_images {
            self.last_event_seq = login.established.last_event_seq;
        }
        self.unanswered.clear();
        self.heartbeat = beat(&login, &self.alive);
        self.client = client;
        self.next_client_seq = next;
        self.outbound = login.outbound;
        self.inbound = login.inbound;
        self.waiting = login.events;
        Ok(Recovered {
            without_effect,
            from_images,
            disconnect_action_ran,
        })
    }

    /// Logs off in order. Reads until the exchange ends the stream.
    pub async fn terminate(mut self, cancel_orders: bool) -> Result<(), ClientError> {
        self.send(Command::Terminate(Terminate { cancel_orders }))
            .await?;
        loop {
            match self.next().await {
                Ok(event) if matches!(event.event, Some(Event::Terminated(_))) => return Ok(()),
                Ok(_) => {}
                Err(ClientError::SessionLost(_)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Keeps the sequence and the list of open questions.
    fn note(&mut self, event: &SessionEvent) -> Result<(), ClientError> {
        if event.event_seq != 0 {
            if event.event_seq > self.last_event_seq + 1 {
                return Err(ClientError::SessionLost(format!(
                    "event {} followed event {}",
                    event.event_seq, self.last_event_seq
                )));
            }
            self.last_event_seq = self.last_event_seq.max(event.event_seq);
        }
        if event.client_seq == 0 {
            return Ok(());
        }
        // Fills of a mass quote and events of a batch's items come before the answer proper.
        let answers = |u: &Unsent| {
            let long = matches!(u.command, Command::Batch(_) | Command::MassQuote(_));
            let ends = matches!(
                event.event,
                Some(Event::BatchDone(_) | Event::MassQuoteDone(_) | Event::CommandRejected(_))
            );
            u.client_seq == event.client_seq && (!long || ends)
        };
        // Answers come nearly in order, so the search is short.
        if let Some(at) = self.unanswered.iter().position(answers) {
            self.unanswered.remove(at);
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}
