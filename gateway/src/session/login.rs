//! Logging on: Establish, Established, then what was missed or what is open, then live.

use std::time::Duration;

use engine::{
    command::{Command, Login},
    event::{Event, SessionOpened},
    ids::SessionId,
    limits,
    reason::{Field, Problem, Reason},
};
use proto::{
    common::v1::Permission,
    trading::v1::{
        self as wire, open_session_request::Command as Wish, session_event::Event as Told,
    },
};
use tokio_stream::StreamExt;
use tonic::{Status, Streaming};

use super::{
    Identity, Responses, is_for,
    news::{News, overheard},
};
use crate::{
    auth::{Caller, now_nanos},
    bulletin::Answer,
    desk::{Desk, Digger, refused, wide},
    mailbox::{Mailbox, mailbox},
    refusal,
    translate::orders,
};

/// Time to send the first message.
const PATIENCE: Duration = Duration::from_secs(10);
/// Heartbeat interval of a client that does not say.
const HEARTBEAT_MS: i32 = 1_000;
/// Events of one response while catching up.
const CHUNK: usize = 256;

/// Hears Establish, takes the session over, and sends everything up to now.
pub(super) async fn establish(
    desk: &Desk,
    caller: &Caller,
    inbound: &mut Streaming<wire::OpenSessionRequest>,
    out: &Responses,
) -> Result<(Identity, Mailbox), Status> {
    let first = tokio::time::timeout(PATIENCE, inbound.next()).await;
    let wish = match first {
        Ok(Some(Ok(request))) => request.command,
        Ok(Some(Err(status))) => return Err(status),
        Ok(None) => return Err(Status::cancelled("the client closed before Establish")),
        Err(_) => return Err(refusal::no(Reason::NotEstablished)),
    };
    let Some(Wish::Establish(wished)) = wish else {
        return Err(refusal::no(Reason::NotEstablished));
    };
    let login = login(caller, &wished)?;
    let interval_ms = login.heartbeat_ms;
    let (slot, mailbox) = mailbox(login.account, caller.firm);
    let answer = desk.log_in(Command::Login(login), slot).await?;
    if let Some(problem) = refused(&answer) {
        return Err(refusal::status(&problem));
    }
    let opened = answer.events().iter().find_map(|event| match event {
        Event::SessionOpened(opened) => Some(*opened),
        _ => None,
    });
    let opened =
        opened.ok_or_else(|| Status::internal("a login was neither opened nor refused"))?;
    let identity = Identity {
        account: opened.account,
        session: opened.session,
        login: opened.login,
        next_client_seq: opened.next_client_seq,
        last_event_seq: opened.last_event_seq,
        interval: Duration::from_millis(u64::from(interval_ms.unsigned_abs())),
    };
    let caught_up = catch_up(desk, &opened, &wished, out).await;
    if let Err(status) = caught_up {
        // The login took the session over, so its loss must be told like any other.
        let lost = engine::command::Lost {
            session: identity.session,
            login: identity.login,
            cause: Reason::Disconnect,
        };
        super::report_lost(desk, lost).await;
        desk.hub.leave(identity.session, identity.login);
        return Err(status);
    }
    Ok((identity, mailbox))
}

fn login(caller: &Caller, wished: &wire::Establish) -> Result<Login, Status> {
    let account = caller.need_on(Permission::Trade, wished.account_id)?;
    let name = &wished.session_name;
    let printable = name.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if !(1..=32).contains(&name.len()) || !printable {
        return Err(refusal::invalid(
            "establish.session_name",
            "1 to 32 printable ASCII characters without spaces",
        ));
    }
    let (least, most) = (*limits::HEARTBEAT_MS.start(), *limits::HEARTBEAT_MS.end());
    if wished.heartbeat_interval_ms > most || wished.heartbeat_interval_ms < 0 {
        return Err(refusal::invalid(
            "establish.heartbeat_interval_ms",
            &format!("{least} to {most}, got {}", wished.heartbeat_interval_ms),
        ));
    }
    if !(0..=limits::GRACE_MS).contains(&wished.disconnect_grace_ms) {
        return Err(refusal::invalid(
            "establish.disconnect_grace_ms",
            &format!(
                "0 to {}, got {}",
                limits::GRACE_MS,
                wished.disconnect_grace_ms
            ),
        ));
    }
    if wished.resume_after_event_seq.is_some_and(|seq| seq < 0) {
        return Err(refusal::invalid(
            "establish.resume_after_event_seq",
            "must not be negative",
        ));
    }
    Ok(Login {
        account,
        name: name.clone(),
        heartbeat_ms: match wished.heartbeat_interval_ms {
            0 => HEARTBEAT_MS,
            wished => wished.max(least),
        },
        action: orders::action_in(wished.disconnect_action)
            .map_err(|bad| bad.status("establish"))?,
        grace_ms: wished.disconnect_grace_ms,
        key_id: caller.key_id.clone(),
    })
}

/// Established, then replayed events or images, then ReplayComplete.
async fn catch_up(
    desk: &Desk,
    opened: &SessionOpened,
    wished: &wire::Establish,
    out: &Responses,
) -> Result<(), Status> {
    let resume_after = wished.resume_after_event_seq.map(i64::unsigned_abs);
    if resume_after.is_some_and(|after| after > opened.last_event_seq) {
        let (limit, actual) = (wide(opened.last_event_seq), resume_after.map_or(0, wide));
        let field = engine::reason::Field::Session;
        let problem = Problem::limit(Reason::InvalidField, field, limit, actual);
        return Err(refusal::status(&problem));
    }
    let mut events = vec![plain(Told::Established(established(desk, opened)))];
    match resume_after {
        None => {
            let images: Vec<wire::Order> = desk.state(|state| {
                state
                    .orders_of(opened.account)
                    .filter(|order| order.session == opened.session)
                    .map(orders::order_out)
                    .collect()
            });
            events.extend(
                images
                    .into_iter()
                    .map(|order| plain(Told::OrderImage(order))),
            );
        }
        Some(after) => {
            let mut news = News::new(desk.clone());
            let resets = desk.hub.archive().resets_after(opened.session, after);
            let mut answers = missed(desk, opened.session, after, opened.last_event_seq).await?;
            answers.extend(desk.answers(&resets, Digger::Session).await?);
            answers.sort_by_key(Answer::seq);
            for answer in answers {
                let position = (answer.seq(), answer.at());
                for (place, event) in answer.events().iter().enumerate() {
                    let reset = answer.stamped().and_then(|stamped| {
                        let told = overheard(event, opened.session, stamped)?;
                        (told.client_seq > 0).then_some(told)
                    });
                    events.extend(reset.map(|told| wire::SessionEvent {
                        replayed: true,
                        ..told
                    }));
                    let told = news.session_event(
                        (answer.events(), place),
                        opened.session,
                        position,
                        true,
                    );
                    let in_range = |told: &wire::SessionEvent| {
                        (after + 1..=opened.last_event_seq).contains(&told.event_seq.unsigned_abs())
                    };
                    events.extend(told.filter(in_range));
                }
            }
        }
    }
    let complete = wire::ReplayComplete {
        up_to_event_seq: wide(opened.last_event_seq),
    };
    events.push(plain(Told::ReplayComplete(complete)));
    let mut events = events.into_iter().peekable();
    while events.peek().is_some() {
        let chunk = events.by_ref().take(CHUNK).collect();
        let response = wire::OpenSessionResponse {
            events: chunk,
            gateway_out_unix_nanos: now_nanos(),
        };
        let sent = tokio::time::timeout(PATIENCE, out.send(Ok(response))).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Status::cancelled("the client is gone")),
            Err(_) => return Err(refusal::no(Reason::SlowConsumer)),
        }
    }
    Ok(())
}

/// Answers that hold a session's events after `after`, up to and with `last`: from memory, or from
/// the journal itself.
async fn missed(
    desk: &Desk,
    session: SessionId,
    after: u64,
    last: u64,
) -> Result<Vec<Answer>, Status> {
    let positions = desk.hub.archive().positions_of(session, after, last);
    if let Some(positions) = positions {
        return desk.answers(&positions, Digger::Session).await;
    }
    let bulletin = desk
        .excavate(
            Digger::Session,
            desk.oldest_on_disk().await?,
            move |_, events| {
                let missed = |event: &Event| {
                    is_for(event, session)
                        && crate::bulletin::address(event)
                            .is_some_and(|to| (after + 1..=last).contains(&to.event_seq))
                };
                events.iter().any(missed)
            },
        )
        .await?;
    // Each event has a number: what the journal no longer holds leaves a gap.
    let mut found: Vec<u64> = (bulletin.events.iter())
        .filter(|event| is_for(event, session))
        .filter_map(|event| crate::bulletin::address(event).map(|to| to.event_seq))
        .filter(|event_seq| (after + 1..=last).contains(event_seq))
        .collect();
    found.sort_unstable();
    found.dedup();
    if found.len() as u64 != last - after {
        let oldest = found.first().map_or(last, |first| first - 1);
        let (limit, actual) = (wide(oldest), wide(after));
        let problem = Problem::limit(Reason::ResumeTooOld, Field::Session, limit, actual);
        return Err(refusal::status(&problem));
    }
    Ok((0..bulletin.stamped.len())
        .map(|place| Answer::new(bulletin.clone(), place))
        .collect())
}

fn established(desk: &Desk, opened: &SessionOpened) -> wire::Established {
    wire::Established {
        session_id: i64::from(opened.session.0),
        next_client_seq: wide(opened.next_client_seq),
        last_event_seq: wide(opened.last_event_seq),
        heartbeat_interval_ms: opened.heartbeat_ms,
        disconnect_action: orders::action_out(opened.action),
        disconnect_grace_ms: opened.grace_ms,
        limits: Vec::new(),
        reference_data_version: wide(desk.state(engine::exchange::Exchange::reference_version)),
        disconnect_action_ran: opened.action_ran,
    }
}

fn plain(event: Told) -> wire::SessionEvent {
    wire::SessionEvent {
        event: Some(event),
        ..wire::SessionEvent::default()
    }
}
