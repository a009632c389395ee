//! One order session: a stream in, a stream out, and what happens when either breaks.
//!
//! The stream is always read, also when its answers are not (an unread HTTP/2 stream would take the
//! whole connection with it); a client that does not read its events loses the stream and resumes.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use engine::{
    command::{Command, Logout, Lost, MassCancel, Origin, Place, SetOrderEntry},
    event::Event,
    reason::{Field, Problem, Reason},
    units::Nanos,
};
use proto::{
    common::v1::Permission,
    trading::v1::{
        self as wire, open_session_request::Command as Wish, session_event::Event as Told,
    },
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Status, Streaming};

use crate::{
    auth::{Caller, now_nanos},
    desk::{Desk, Digger, wide},
    hub::Reply,
    mailbox::{Closed, Mail, Mailbox},
    refusal,
    translate::{orders, quotes},
};

mod login;
mod news;

pub(crate) use news::News;
pub(crate) use news::mass_cancel_done;
use news::overheard;

/// Responses between the session's task and the transport.
const OUT: usize = 64;
/// Responses that wait for room there; more ends the stream as a slow consumer.
const PENDING: usize = 128;
/// Events that share a response while they wait: a flood of refusals must not look like a slow reader.
const PACK: usize = 64;
/// Commands of one session without an answer yet; more are refused. Cancels may be twice as many, which
/// is half of the room that the intake reserves for everybody's.
const IN_FLIGHT: usize = 4_096;

type Responses = mpsc::Sender<Result<wire::OpenSessionResponse, Status>>;

/// Opens a session on a stream.
pub fn open(
    desk: Desk,
    caller: Caller,
    inbound: Streaming<wire::OpenSessionRequest>,
) -> impl Stream<Item = Result<wire::OpenSessionResponse, Status>> {
    let (out, responses) = mpsc::channel(OUT);
    tokio::spawn(async move {
        run(desk, caller, inbound, out).await;
    });
    ReceiverStream::new(responses)
}

async fn run(
    desk: Desk,
    caller: Caller,
    mut inbound: Streaming<wire::OpenSessionRequest>,
    out: Responses,
) {
    match login::establish(&desk, &caller, &mut inbound, &out).await {
        Ok((identity, mailbox)) => {
            let mut session = Session {
                news: News::new(desk.clone()),
                expected: identity.next_client_seq,
                last_event_seq: identity.last_event_seq,
                pending: VecDeque::new(),
                in_flight: VecDeque::new(),
                cancels: 0,
                answered: 0,
                echo: 0,
                desk,
                caller,
                identity,
            };
            session.live(inbound, mailbox, &out).await;
        }
        Err(status) => {
            // The client may be gone already.
            drop(out.send(Err(status)).await);
        }
    }
}

/// Who this login is.
#[derive(Clone, Copy, Debug)]
struct Identity {
    account: engine::ids::AccountId,
    session: engine::ids::SessionId,
    login: u32,
    next_client_seq: u64,
    last_event_seq: u64,
    interval: Duration,
}

/// Why the live part ended.
enum End {
    /// The client said good-bye; flush up to this journal position, then close in order.
    GoodBye(u64),
    /// The stream broke.
    Broken,
    /// Ended by us for a reason, with a coarse status.
    Ended(Problem),
}

struct Session {
    desk: Desk,
    caller: Caller,
    identity: Identity,
    news: News,
    /// Next client_seq.
    expected: u64,
    last_event_seq: u64,
    pending: VecDeque<wire::OpenSessionResponse>,
    /// Commands without an answer, in order.
    in_flight: VecDeque<Waiting>,
    /// Cancels among them.
    cancels: usize,
    /// The newest command of which an answer has been told.
    answered: u64,
    /// Newest heartbeat stamp of the client.
    echo: i64,
}

impl Session {
    async fn live(
        &mut self,
        mut inbound: Streaming<wire::OpenSessionRequest>,
        mut mailbox: Mailbox,
        out: &Responses,
    ) {
        let end = self.converse(&mut inbound, &mut mailbox, out).await;
        let identity = self.identity;
        match end {
            End::GoodBye(up_to) => {
                while let Ok(mail) = mailbox.mail.try_recv() {
                    let last = mail.bulletin.last_seq();
                    self.take_mail(&mail);
                    if last >= up_to {
                        break;
                    }
                }
                self.say(0, Told::Terminated(self.terminated(None)));
                self.flush(out).await;
            }
            End::Broken => self.lose(Reason::Disconnect).await,
            End::Ended(problem) => {
                match problem.reason {
                    Reason::SessionFenced | Reason::ServerDraining => {}
                    Reason::HeartbeatTimeout => self.lose(Reason::HeartbeatLost).await,
                    Reason::SlowConsumer => self.lose_later(),
                    _ => self.lose(Reason::Disconnect).await,
                }
                if problem.reason == Reason::SlowConsumer {
                    self.pending.clear();
                }
                self.say(0, Told::Terminated(self.terminated(Some(&problem))));
                self.flush(out).await;
                // The client may be gone already.
                let last = tokio::time::timeout(self.identity.interval, async {
                    drop(out.send(Err(refusal::status(&problem))).await);
                });
                drop(last.await);
            }
        }
        self.desk.hub.leave(identity.session, identity.login);
    }

    async fn converse(
        &mut self,
        inbound: &mut Streaming<wire::OpenSessionRequest>,
        mailbox: &mut Mailbox,
        out: &Responses,
    ) -> End {
        let mut beat = tokio::time::interval(self.identity.interval);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let silence = self.identity.interval * 2;
        let mut heard = Instant::now();
        let desk = self.desk.clone();
        let mut drained = std::pin::pin!(desk.drained());
        loop {
            let many_pending = self.pending.len() >= OUT;
            tokio::select! {
                message = inbound.next() => match message {
                    Some(Ok(request)) => {
                        if let Some(end) = self.hear(request).await {
                            return end;
                        }
                        // After the answer: looking up an old one may have taken long.
                        heard = Instant::now();
                    }
                    Some(Err(_)) | None => return End::Broken,
                },
                permit = out.reserve(), if !self.pending.is_empty() => match permit {
                    Ok(permit) => {
                        if let Some(mut response) = self.pending.pop_front() {
                            response.gateway_out_unix_nanos = now_nanos();
                            permit.send(Ok(response));
                        }
                    }
                    Err(_) => return End::Broken,
                },
                mail = mailbox.mail.recv(), if !many_pending => match mail {
                    Some(mail) => self.take_mail(&mail),
                    None => return End::Ended(closed(mailbox.why())),
                },
                () = tokio::time::sleep_until((heard + silence).into()) => {
                    return End::Ended(Problem::new(Reason::HeartbeatTimeout));
                }
                _ = beat.tick() => {

                    if !self.caller.still_valid() {
                        return End::Ended(Problem::about(
                            Reason::AuthenticationFailed,
                            Field::Key,
                        ));
                    }
                    self.heartbeat(mailbox.waiting());
                }
                () = &mut drained => {
                    self.say(0, Told::Notice(wire::ServerNotice {
                        kind: wire::NoticeKind::Draining as i32,
                        message: "the server is stopping; connect again".into(),
                        effective_unix_nanos: now_nanos(),
                    }));
                    return End::Ended(Problem::new(Reason::ServerDraining));
                }
            }
            if self.pending.len() > PENDING {
                return End::Ended(Problem::new(Reason::SlowConsumer));
            }
        }
    }

    /// One message from the client.
    async fn hear(&mut self, request: wire::OpenSessionRequest) -> Option<End> {
        let read_at = now_nanos();
        let client_seq = request.client_seq.max(0).unsigned_abs();
        let wish = request.command?;
        match &wish {
            Wish::Heartbeat(heartbeat) => {
                self.echo = heartbeat.client_unix_nanos;
                return None;
            }
            Wish::Establish(_) => {
                return Some(End::Ended(Problem::about(
                    Reason::NotEstablished,
                    Field::Session,
                )));
            }
            _ => {}
        }
        if client_seq != self.expected {
            self.out_of_turn(client_seq).await;
            return None;
        }
        self.expected += 1;
        let origin = Origin {
            account: self.identity.account,
            session: self.identity.session,
            login: self.identity.login,
            client_seq,
            deadline: Nanos(request.deadline_unix_nanos),
        };
        if let Wish::Terminate(terminate) = &wish {
            return self.say_good_bye(origin, terminate.cancel_orders).await;
        }
        if matches!(wish, Wish::MassQuote(_)) && !self.caller.may(Permission::Quote) {
            let problem = Problem::about(Reason::NotAuthorized, Field::Key);
            self.reject(client_seq, refusal::problem(&problem));
            return None;
        }
        match command(&wish, origin) {
            Ok(command) => self.submit(command, client_seq, read_at),
            Err(problem) => self.reject(client_seq, problem),
        }
        None
    }

    fn submit(&mut self, command: Command, client_seq: u64, read_at: i64) {
        let most = if command.is_cancel() {
            2 * IN_FLIGHT
        } else {
            IN_FLIGHT
        };
        if self.in_flight.len() >= most {
            return self.reject(
                client_seq,
                refusal::problem(&Problem::new(Reason::RateLimited)),
            );
        }
        let cancels = command.is_cancel();
        let share = self.desk.intake.cancel_share();
        if cancels && share.is_some_and(|share| self.cancels >= share) {
            return self.reject(
                client_seq,
                refusal::problem(&Problem::new(Reason::RateLimited)),
            );
        }
        match self.desk.intake.submit(command, None) {
            Ok(()) => {
                self.cancels += usize::from(cancels);
                self.in_flight.push_back(Waiting {
                    client_seq,
                    read_at,
                    cancels,
                });
            }
            Err(engine::pipeline::Refusal::Overloaded) => {
                self.reject(
                    client_seq,
                    refusal::problem(&Problem::new(Reason::Overloaded)),
                );
            }
            Err(engine::pipeline::Refusal::DiskFull) => {
                self.reject(
                    client_seq,
                    refusal::problem(&Problem::new(Reason::DiskFull)),
                );
            }
            Err(engine::pipeline::Refusal::Stopped) => {
                self.reject(
                    client_seq,
                    refusal::problem(&Problem::new(Reason::ServerDraining)),
                );
            }
        }
    }

    /// A number that is not the next: a gap is refused, a repeat gets its stored result.
    async fn out_of_turn(&mut self, client_seq: u64) {
        if client_seq > self.expected || client_seq == 0 {
            let problem = Problem::limit(
                Reason::ClientSeqGap,
                Field::Session,
                wide(self.expected),
                wide(client_seq),
            );
            return self.reject(client_seq, refusal::problem(&problem));
        }
        let waits = (self.in_flight.iter()).any(|waiting| waiting.client_seq == client_seq);
        if waits && client_seq > self.answered {
            // Its answer is on its way; one answer is enough.
            return;
        }
        let session = self.identity.session;
        let seq = self
            .desk
            .hub
            .archive()
            .position_of_command(session, client_seq);
        let answers = match seq {
            Some(seq) => self.desk.answers(&[seq], Digger::Session).await,
            None => Ok(Vec::new()),
        };
        let answers = match answers {
            Ok(answers) => answers,
            // As for anything older than what is kept (session.proto): it happened, its answer is gone.
            Err(why) => {
                tracing::warn!(?session, client_seq, %why, "a first answer cannot be read again");
                Vec::new()
            }
        };
        let mut events = Vec::new();
        for answer in &answers {
            for (place, event) in answer.events().iter().enumerate() {
                events.extend(self.news.session_event(
                    (answer.events(), place),
                    session,
                    (answer.seq(), answer.at()),
                    true,
                ));
                let stamped = answer.stamped();
                let reset = stamped.and_then(|stamped| overheard(event, session, stamped));
                events.extend(reset.map(|told| wire::SessionEvent {
                    replayed: true,
                    ..told
                }));
            }
        }
        events.retain(|event| event.client_seq == wide(client_seq));
        if events.is_empty() {
            let problem = Problem::about(Reason::StaleClientSeq, Field::Session);
            return self.reject(client_seq, refusal::problem(&problem));
        }
        self.queue(events);
    }

    async fn say_good_bye(&mut self, origin: Origin, cancel_orders: bool) -> Option<End> {
        let command = Command::Logout(Logout {
            origin,
            cancel_orders,
        });
        let (reply, answer) = oneshot::channel();
        if self.desk.send(command, Some(Reply::Answer(reply))).is_err() {
            let problem = Problem::new(Reason::Overloaded);
            self.reject(origin.client_seq, refusal::problem(&problem));
            return None;
        }
        match answer.await {
            Ok(answer) => Some(End::GoodBye(answer.seq())),
            Err(_) => Some(End::Ended(Problem::new(Reason::ServerDraining))),
        }
    }

    /// Events from the publisher.
    fn take_mail(&mut self, mail: &Mail) {
        let mut events = Vec::with_capacity(mail.picks.len());
        for (place, at) in &mail.picks {
            let Some(stamped) = mail.bulletin.stamped.get(*place as usize) else {
                continue;
            };
            let Some(event) = mail.bulletin.events.get(*at as usize) else {
                continue;
            };
            let position = (stamped.seq, stamped.at);
            let told = self
                .news
                .session_event(
                    (&mail.bulletin.events, *at as usize),
                    self.identity.session,
                    position,
                    false,
                )
                .or_else(|| overheard(event, self.identity.session, stamped));
            if let Some(mut told) = told {
                let numbered = told.event_seq.unsigned_abs();
                self.last_event_seq = self.last_event_seq.max(numbered);
                told.gateway_in_unix_nanos = self.read_time(told.client_seq.unsigned_abs());
                events.push(told);
            }
        }
        if !events.is_empty() {
            self.queue(events);
        }
    }

    /// Puts events behind what waits, in the same response if that has room.
    fn queue(&mut self, events: Vec<wire::SessionEvent>) {
        match self.pending.back_mut() {
            Some(last) if last.events.len() + events.len() <= PACK => last.events.extend(events),
            _ => self.pending.push_back(wire::OpenSessionResponse {
                events,
                gateway_out_unix_nanos: 0,
            }),
        }
    }

    /// When the gateway read a command; commands before it have been answered.
    fn read_time(&mut self, client_seq: u64) -> i64 {
        if client_seq == 0 {
            return 0;
        }
        self.answered = self.answered.max(client_seq);
        while let Some(waiting) = self.in_flight.front()
            && waiting.client_seq < client_seq
        {
            self.cancels -= usize::from(waiting.cancels);
            self.in_flight.pop_front();
        }
        self.in_flight
            .front()
            .filter(|waiting| waiting.client_seq == client_seq)
            .map_or(0, |waiting| waiting.read_at)
    }

    fn reject(&mut self, client_seq: u64, problem: proto::common::v1::Problem) {
        let expected_client_seq = wide(self.expected);
        let rejected = wire::CommandRejected {
            problem: Some(problem),
            expected_client_seq,
        };
        self.say(client_seq, Told::CommandRejected(rejected));
    }

    /// Something that is not journaled.
    fn say(&mut self, client_seq: u64, event: Told) {
        let event = wire::SessionEvent {
            client_seq: wide(client_seq),
            event: Some(event),
            ..wire::SessionEvent::default()
        };
        self.queue(vec![event]);
    }

    fn heartbeat(&mut self, waiting: usize) {
        let queued = (waiting + self.pending.len()) * 128;
        self.say(
            0,
            Told::Heartbeat(wire::ServerHeartbeat {
                last_event_seq: wide(self.last_event_seq),
                echo_client_unix_nanos: self.echo,
                limits: Vec::new(),
                queued_bytes: i32::try_from(queued).unwrap_or(i32::MAX),
            }),
        );
    }

    fn terminated(&self, problem: Option<&Problem>) -> wire::Terminated {
        wire::Terminated {
            problem: problem.map(refusal::problem),
            last_event_seq: wide(self.last_event_seq),
        }
    }

    /// Sends what is pending, as long as the client reads.
    async fn flush(&mut self, out: &Responses) {
        while let Some(response) = self.pending.pop_front() {
            let sent = tokio::time::timeout(self.identity.interval, out.send(Ok(response))).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    }

    async fn lose(&self, cause: Reason) {
        let Identity { session, login, .. } = self.identity;
        report_lost(
            &self.desk,
            Lost {
                session,
                login,
                cause,
            },
        )
        .await;
    }

    /// A slow reader may come back within two intervals before it counts as lost.
    fn lose_later(&self) {
        let (desk, identity) = (self.desk.clone(), self.identity);
        tokio::spawn(async move {
            tokio::time::sleep(identity.interval * 2).await;
            let Identity { session, login, .. } = identity;
            let lost = Lost {
                session,
                login,
                cause: Reason::Disconnect,
            };
            // A newer login makes this a no-op.
            report_lost(&desk, lost).await;
        });
    }
}

/// A command that was sent on and not yet answered.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    client_seq: u64,
    read_at: i64,
    cancels: bool,
}

/// Reports a loss to the core; the reserved room makes a refusal rare, a retry settles it. A stopping
/// exchange handles it at its restart.
async fn report_lost(desk: &Desk, lost: Lost) {
    let mut wait = Duration::from_millis(1);
    while let Err(engine::pipeline::Refusal::Overloaded) =
        desk.intake.submit(Command::Lost(lost), None)
    {
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_millis(100));
    }
}

/// A wish as a command.
fn command(wish: &Wish, origin: Origin) -> Result<Command, proto::common::v1::Problem> {
    match wish {
        Wish::NewOrder(order) => orders::new_order(order)
            .map(|order| Command::Place(Place { origin, order }))
            .map_err(|bad| bad.problem("new_order")),
        Wish::Replace(replace) => orders::replace(replace, origin)
            .map(Command::Replace)
            .map_err(|bad| bad.problem("replace")),
        Wish::Cancel(cancel) => orders::cancel(cancel, origin)
            .map(Command::Cancel)
            .map_err(|bad| bad.problem("cancel")),
        Wish::MassCancel(wished) => orders::selection(wished)
            .map(|selection| {
                let block_new_orders = wished.block_new_orders;
                Command::MassCancel(MassCancel {
                    origin,
                    selection,
                    block_new_orders,
                })
            })
            .map_err(|bad| bad.problem("mass_cancel")),
        Wish::SetOrderEntry(set) => Ok(Command::SetOrderEntry(SetOrderEntry {
            origin,
            blocked: set.blocked,
        })),
        Wish::MassQuote(quote) => quotes::mass_quote(quote, origin)
            .map(Command::MassQuote)
            .map_err(|bad| bad.problem("mass_quote")),
        Wish::Batch(batch) => quotes::batch(batch, origin)
            .map(Command::Batch)
            .map_err(|bad| bad.problem("batch")),
        Wish::MmpReset(reset) => quotes::mmp_reset(reset.mmp_group, origin)
            .map(Command::ResetMmp)
            .map_err(|bad| bad.problem("mmp_reset")),
        // Handled before, outside of the order of commands.
        Wish::Establish(_) | Wish::Heartbeat(_) | Wish::Terminate(_) => {
            Err(refusal::problem(&Problem::new(Reason::NotEstablished)))
        }
    }
}

fn closed(why: Closed) -> Problem {
    Problem::new(match why {
        Closed::Stopped => Reason::ServerDraining,
        Closed::Fenced => Reason::SessionFenced,
        Closed::Slow => Reason::SlowConsumer,
    })
}

/// Whether an event is for a session.
pub(crate) fn is_for(event: &Event, session: engine::ids::SessionId) -> bool {
    crate::bulletin::address(event).is_some_and(|to| to.session == session && to.event_seq > 0)
}
