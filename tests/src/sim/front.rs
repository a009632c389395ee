//! The sessions' door, by the gateway's rules (`gateway/src/session.rs`) on the gateway's own hub, mailboxes
//! and archive: numbers in turn, repeats answered from the archive, resume, fencing, loss.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use engine::{
    command::{Command, DisconnectAction, Login, Logout, Lost, Origin},
    event::{Event, SessionOpened},
    ids::{AccountId, FirmId, SessionId},
    pipeline::{Intake, Refusal},
    reason::Reason,
};
use gateway::{
    bulletin::{Answer, address},
    hub::{Hub, Reply},
    mailbox::{Mailbox, mailbox},
};
use tokio::sync::oneshot;

use super::trace::Trace;

/// A stream.
pub type LineId = u64;

/// What a client sends on its stream.
#[derive(Clone, Debug)]
pub enum Say {
    /// First of all.
    Establish {
        /// Whose.
        account: AccountId,
        /// Stable name.
        name: String,
        /// On loss.
        action: DisconnectAction,
        /// Time to come back.
        grace_ms: i32,
        /// The newest event heard.
        resume_after: u64,
    },
    /// A command with its number.
    Do(u64, Box<Command>),
    /// Good-bye with its number.
    Terminate(u64, bool),
}

/// What a client hears on its stream.
#[derive(Clone, Debug)]
pub enum Hear {
    /// Logged on.
    Established {
        /// Which session.
        session: SessionId,
        /// The number to go on with.
        next_client_seq: u64,
        /// Newest event of the session; what was missed up to it follows.
        last_event_seq: u64,
    },
    /// An event. `stored`: the answer to a repeat, not the next event.
    Told {
        /// The event.
        event: Box<Event>,
        /// See above.
        stored: bool,
    },
    /// A refusal at the door, with the number that was expected.
    Rejected(u64, Reason, u64),
    /// The stream is over.
    Gone,
}

#[derive(Debug)]
struct Identity {
    opened: SessionOpened,
    expected: u64,
    in_flight: VecDeque<u64>,
}

#[derive(Debug)]
enum Stage {
    New,
    Opening {
        answer: oneshot::Receiver<Answer>,
        mailbox: Mailbox,
        resume_after: u64,
    },
    Live(Box<Identity>, Mailbox),
    Over,
}

#[derive(Debug)]
struct Line {
    stage: Stage,
    from_client: VecDeque<Say>,
    to_client: VecDeque<Hear>,
    /// The client is gone, which the venue has not noticed yet.
    dangling: bool,
}

/// All streams.
#[derive(Debug)]
pub struct Front {
    intake: Intake<Reply>,
    hub: Arc<Hub>,
    lines: BTreeMap<LineId, Line>,
    lost: VecDeque<Lost>,
    next_line: LineId,
    /// A mistake on purpose: a live event of this many is not delivered.
    pub drops_an_event_of: u64,
    delivered: u64,
    trace: Trace,
}

impl Front {
    /// No stream yet. Numbers go on from `next_line`.
    #[must_use]
    pub fn new(intake: Intake<Reply>, hub: Arc<Hub>, next_line: LineId, trace: Trace) -> Self {
        Self {
            intake,
            hub,
            lines: BTreeMap::new(),
            lost: VecDeque::new(),
            next_line,
            drops_an_event_of: 0,
            delivered: 0,
            trace,
        }
    }

    /// The next stream's number.
    #[must_use]
    pub fn next_line(&self) -> LineId {
        self.next_line
    }

    /// A new stream.
    pub fn connect(&mut self) -> LineId {
        let id = self.next_line;
        self.next_line += 1;
        self.lines.insert(
            id,
            Line {
                stage: Stage::New,
                from_client: VecDeque::new(),
                to_client: VecDeque::new(),
                dangling: false,
            },
        );
        id
    }

    /// The client is gone; what it sent may still arrive, and the venue notices later.
    pub fn vanish(&mut self, id: LineId) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.dangling = true;
        }
    }

    /// The client sends.
    pub fn send(&mut self, id: LineId, say: Say) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.from_client.push_back(say);
        }
    }

    /// The client reads.
    pub fn read(&mut self, id: LineId) -> Option<Hear> {
        match self.lines.get_mut(&id) {
            None => Some(Hear::Gone),
            Some(line) => match line.to_client.pop_front() {
                None if matches!(line.stage, Stage::Over) => {
                    self.lines.remove(&id);
                    Some(Hear::Gone)
                }
                heard => heard,
            },
        }
    }

    /// Streams.
    #[must_use]
    pub fn lines(&self) -> Vec<LineId> {
        self.lines.keys().copied().collect()
    }

    /// Whether something is still on its way in either direction.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.lost.is_empty()
            || self.lines.values().any(|line| {
                !line.from_client.is_empty()
                    || !line.to_client.is_empty()
                    || matches!(line.stage, Stage::Opening { .. })
                    || matches!(&line.stage, Stage::Live(_, mailbox) if mailbox.waiting() > 0)
            })
    }

    /// Whether anything waits on this stream for the venue.
    #[must_use]
    pub fn waits(&self, id: LineId) -> bool {
        self.lines
            .get(&id)
            .is_some_and(|line| !line.from_client.is_empty())
    }

    /// The venue notices a broken stream; what had not been read from it is gone.
    pub fn notice(&mut self, id: LineId) {
        if self.lines.get(&id).is_none_or(|line| !line.dangling) {
            return;
        }
        if let Some(Line {
            stage: Stage::Live(identity, _),
            ..
        }) = self.lines.remove(&id)
        {
            let SessionOpened { session, login, .. } = identity.opened;
            self.hub.leave(session, login);
            self.lost.push_back(Lost {
                session,
                login,
                cause: Reason::Disconnect,
            });
        }
    }

    /// Reports losses until the core has them.
    pub fn report(&mut self) {
        while let Some(lost) = self.lost.front() {
            match self.intake.submit(Command::Lost(*lost), None) {
                Err(Refusal::Overloaded) => return,
                _ => drop(self.lost.pop_front()),
            }
        }
    }

    /// One message from the client.
    pub fn hear(&mut self, id: LineId) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        if matches!(line.stage, Stage::Opening { .. }) {
            return;
        }
        let Some(say) = line.from_client.pop_front() else {
            return;
        };
        self.trace.say(|| format!("line {id} hears {say:?}"));
        match (&mut line.stage, say) {
            (
                Stage::New,
                Say::Establish {
                    account,
                    name,
                    action,
                    grace_ms,
                    resume_after,
                },
            ) => {
                let (slot, mailbox) = mailbox(account, FirmId(1));
                let (reply, answer) = oneshot::channel();
                let login = Login {
                    account,
                    name,
                    heartbeat_ms: 1_000,
                    action,
                    grace_ms,
                    key_id: String::new(),
                };
                let sent = self
                    .intake
                    .submit(Command::Login(login), Some(Reply::Login(reply, slot)));
                line.stage = match sent {
                    Ok(()) => Stage::Opening {
                        answer,
                        mailbox,
                        resume_after,
                    },
                    Err(_) => Stage::Over,
                };
            }
            (Stage::Live(identity, _), Say::Do(client_seq, command)) => {
                if client_seq != identity.expected {
                    let told = out_of_turn(identity, client_seq, &self.hub);
                    line.to_client.extend(told);
                    return;
                }
                identity.expected += 1;
                let origin = origin(identity, client_seq);
                let command = with_origin(*command, origin);
                match self.intake.submit(command, None) {
                    Ok(()) => identity.in_flight.push_back(client_seq),
                    Err(refused) => {
                        let reason = match refused {
                            Refusal::Stopped => Reason::ServerDraining,
                            _ => Reason::Overloaded,
                        };
                        let expected = identity.expected;
                        line.to_client
                            .push_back(Hear::Rejected(client_seq, reason, expected));
                    }
                }
            }
            (Stage::Live(identity, _), Say::Terminate(client_seq, cancel_orders)) => {
                if client_seq != identity.expected {
                    let told = out_of_turn(identity, client_seq, &self.hub);
                    line.to_client.extend(told);
                    return;
                }
                identity.expected += 1;
                let origin = origin(identity, client_seq);
                let logout = Command::Logout(Logout {
                    origin,
                    cancel_orders,
                });
                if self.intake.submit(logout, None).is_err() {
                    let expected = identity.expected;
                    line.to_client.push_back(Hear::Rejected(
                        client_seq,
                        Reason::Overloaded,
                        expected,
                    ));
                }
            }
            _ => line.stage = Stage::Over,
        }
    }

    /// Takes what the publisher has put into the mailbox, or the answer to a login.
    pub fn deliver(&mut self, id: LineId) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        if let Stage::Opening {
            answer,
            resume_after,
            ..
        } = &mut line.stage
        {
            let resume_after = *resume_after;
            let told = match answer.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) => return,
                Err(oneshot::error::TryRecvError::Closed) => None,
                Ok(answer) => established(&answer, resume_after, &self.hub),
            };
            let Some((opened, told)) = told else {
                line.stage = Stage::Over;
                return;
            };
            self.trace
                .say(|| format!("line {id} is {opened:?}, resumes after {resume_after}"));
            line.to_client.extend(told);
            let stage = std::mem::replace(&mut line.stage, Stage::Over);
            if let Stage::Opening { mailbox, .. } = stage {
                let identity = Identity {
                    expected: opened.next_client_seq,
                    opened,
                    in_flight: VecDeque::new(),
                };
                line.stage = Stage::Live(Box::new(identity), mailbox);
            }
            return;
        }
        let Stage::Live(identity, mailbox) = &mut line.stage else {
            return;
        };
        let mail = match mailbox.mail.try_recv() {
            Ok(mail) => mail,
            Err(tokio::sync::mpsc::error::TryRecvError::Empty) => return,
            Err(tokio::sync::mpsc::error::TryRecvError::Disconnected) => {
                // Fenced, or too slow: the client comes back and resumes.
                let SessionOpened { session, login, .. } = identity.opened;
                self.hub.leave(session, login);
                self.lost.push_back(Lost {
                    session,
                    login,
                    cause: Reason::Disconnect,
                });
                line.stage = Stage::Over;
                return;
            }
        };
        for (_, at) in &mail.picks {
            let Some(event) = mail.bulletin.events.get(*at as usize) else {
                continue;
            };
            let Some(to) = address(event) else {
                continue;
            };
            while to.client_seq > 0
                && identity
                    .in_flight
                    .front()
                    .is_some_and(|seq| *seq < to.client_seq)
            {
                identity.in_flight.pop_front();
            }
            self.delivered += 1;
            if self.drops_an_event_of > 0 && self.delivered.is_multiple_of(self.drops_an_event_of) {
                continue;
            }
            line.to_client.push_back(Hear::Told {
                event: Box::new(event.clone()),
                stored: false,
            });
        }
    }
}

fn origin(identity: &Identity, client_seq: u64) -> Origin {
    Origin {
        account: identity.opened.account,
        session: identity.opened.session,
        login: identity.opened.login,
        client_seq,
        deadline: engine::units::Nanos(0),
    }
}

/// A number that is not the next: a gap is refused, a repeat gets its stored result.
fn out_of_turn(identity: &Identity, client_seq: u64, hub: &Hub) -> Vec<Hear> {
    let expected = identity.expected;
    if client_seq > expected || client_seq == 0 {
        return vec![Hear::Rejected(client_seq, Reason::ClientSeqGap, expected)];
    }
    if identity.in_flight.contains(&client_seq) {
        return Vec::new();
    }
    let session = identity.opened.session;
    let archive = hub.archive();
    let seq = archive.position_of_command(session, client_seq);
    let answer = seq.and_then(|seq| archive.answer(seq));
    let stored: Vec<Hear> = answer
        .iter()
        .flat_map(Answer::events)
        .filter(|event| {
            address(event).is_some_and(|to| {
                to.session == session && to.event_seq > 0 && to.client_seq == client_seq
            })
        })
        .map(|event| Hear::Told {
            event: Box::new(event.clone()),
            stored: true,
        })
        .collect();
    if stored.is_empty() {
        return vec![Hear::Rejected(client_seq, Reason::StaleClientSeq, expected)];
    }
    stored
}

/// What a login answers: who, and what was missed.
fn established(answer: &Answer, after: u64, hub: &Hub) -> Option<(SessionOpened, Vec<Hear>)> {
    let opened = answer.events().iter().find_map(|event| match event {
        Event::SessionOpened(opened) => Some(*opened),
        _ => None,
    })?;
    let (session, last) = (opened.session, opened.last_event_seq);
    let mut told = vec![Hear::Established {
        session,
        next_client_seq: opened.next_client_seq,
        last_event_seq: last,
    }];
    let archive = hub.archive();
    // An archive that does not reach back is a mistake here: the run is short. The gap is seen by the client.
    for seq in archive
        .positions_of(session, after, last)
        .unwrap_or_default()
    {
        let Some(missed) = archive.answer(seq) else {
            continue;
        };
        for event in missed.events() {
            let wanted = address(event).is_some_and(|to| {
                to.session == session && (after + 1..=last).contains(&to.event_seq)
            });
            if wanted {
                told.push(Hear::Told {
                    event: Box::new(event.clone()),
                    stored: false,
                });
            }
        }
    }
    Some((opened, told))
}

/// A command as the gateway completes it.
fn with_origin(command: Command, origin: Origin) -> Command {
    match command {
        Command::Place(mut wish) => {
            wish.origin = origin;
            Command::Place(wish)
        }
        Command::Replace(mut wish) => {
            wish.origin = origin;
            Command::Replace(wish)
        }
        Command::Cancel(mut wish) => {
            wish.origin = origin;
            Command::Cancel(wish)
        }
        Command::MassCancel(mut wish) => {
            wish.origin = origin;
            Command::MassCancel(wish)
        }
        Command::SetOrderEntry(mut wish) => {
            wish.origin = origin;
            Command::SetOrderEntry(wish)
        }
        Command::Batch(mut wish) => {
            wish.origin = origin;
            Command::Batch(wish)
        }
        Command::MassQuote(mut wish) => {
            wish.origin = origin;
            Command::MassQuote(wish)
        }
        other => other,
    }
}
