//! Logging on to a session, and the heartbeats that keep it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use proto::{
    common::v1::Problem,
    trading::v1::{
        Establish, Established, Heartbeat, OpenSessionRequest, OpenSessionResponse, SessionEvent,
        open_session_request::Command, session_event::Event,
    },
};
use tokio::{sync::mpsc, task::JoinHandle, time};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{Client, ClientError, Refusal, SessionOptions, now_unix_nanos};

/// Commands that may wait for the transport.
const OUTBOUND: usize = 1024;
/// The longest silence while a session is being set up.
const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(10);
/// Heartbeats are sent this many times per agreed interval.
const BEATS_PER_INTERVAL: u32 = 3;

/// A stream that has been established and read up to the end of its replay or images.
pub(super) struct Login {
    pub(super) outbound: mpsc::Sender<OpenSessionRequest>,
    pub(super) inbound: Streaming<OpenSessionResponse>,
    pub(super) established: Established,
    pub(super) events: VecDeque<SessionEvent>,
}

/// Opens a stream, logs on and reads up to the end of replay or images.
pub(super) async fn login(
    client: &Client,
    options: &SessionOptions,
    resume_after_event_seq: Option<i64>,
) -> Result<Login, ClientError> {
    time::timeout(
        ESTABLISH_TIMEOUT,
        establish(client, options, resume_after_event_seq),
    )
    .await
    .unwrap_or_else(|_| {
        Err(ClientError::SessionLost(
            "the exchange did not establish the session in time".into(),
        ))
    })
}

async fn establish(
    client: &Client,
    options: &SessionOptions,
    resume_after_event_seq: Option<i64>,
) -> Result<Login, ClientError> {
    let (outbound, commands) = mpsc::channel(OUTBOUND);
    let establish = Establish {
        session_name: options.name.clone(),
        account_id: options.account_id,
        resume_after_event_seq,
        heartbeat_interval_ms: options.heartbeat_interval_ms,
        disconnect_action: options.disconnect_action.into(),
        disconnect_grace_ms: options.disconnect_grace_ms,
        client_software: concat!("hashpit ", env!("CARGO_PKG_VERSION")).into(),
    };
    let first = OpenSessionRequest {
        command: Some(Command::Establish(establish)),
        ..Default::default()
    };
    // Queued before the call: the exchange may answer only after it has read it.
    outbound
        .try_send(first)
        .map_err(|_| ClientError::SessionLost("the command queue is closed".into()))?;
    let mut inbound = client
        .trading()
        .open_session(ReceiverStream::new(commands))
        .await?
        .into_inner();
    let mut established = None;
    let mut events = VecDeque::new();
    loop {
        let Some(message) = inbound.message().await? else {
            let text = "the exchange closed the stream at logon";
            return Err(ClientError::SessionLost(text.into()));
        };
        let mut complete = false;
        for event in message.events {
            match &event.event {
                Some(Event::Established(e)) => established = Some(e.clone()),
                Some(Event::ReplayComplete(_)) => complete = true,
                Some(Event::CommandRejected(r)) if established.is_none() => {
                    return Err(refused(r.problem.clone().unwrap_or_default()));
                }
                Some(Event::Terminated(t)) => {
                    return Err(refused(t.problem.clone().unwrap_or_default()));
                }
                _ => {}
            }
            events.push_back(event);
        }
        if let Some(established) = established.take_if(|_| complete) {
            return Ok(Login {
                outbound,
                inbound,
                established,
                events,
            });
        }
    }
}

fn refused(problem: Problem) -> ClientError {
    ClientError::Refused(Box::new(Refusal::from_problem(&problem)))
}

/// Sends heartbeats while the strategy has been seen within the last two intervals.
pub(super) fn beat(login: &Login, alive: &Arc<AtomicBool>) -> JoinHandle<()> {
    let outbound = login.outbound.downgrade();
    let alive = Arc::clone(alive);
    let interval = login.established.heartbeat_interval_ms.clamp(100, 30_000);
    let pause = Duration::from_millis(interval.unsigned_abs().into()) / BEATS_PER_INTERVAL;
    tokio::spawn(async move {
        let mut silent_beats = 0;
        loop {
            time::sleep(pause).await;
            silent_beats = match alive.swap(false, Ordering::Relaxed) {
                true => 0,
                false => silent_beats + 1,
            };
            if silent_beats > 2 * BEATS_PER_INTERVAL {
                continue;
            }
            // The session holds the only strong sender: once it is gone, so is this task's work.
            let Some(outbound) = outbound.upgrade() else {
                return;
            };
            let heartbeat = OpenSessionRequest {
                command: Some(Command::Heartbeat(Heartbeat {
                    client_unix_nanos: now_unix_nanos(),
                })),
                ..Default::default()
            };
            if outbound.send(heartbeat).await.is_err() {
                return;
            }
        }
    })
}
