//! Every private event of an account or a firm, in journal order, resumable: the drop copy.

use std::{collections::HashSet, sync::Arc, time::Duration};

use engine::{
    event::{Event, ExitStage, ExitStep, OrderEventKind},
    ids::{AccountId, FirmId, Seq, SessionId},
    reason::{Field, Reason},
};
use proto::{
    common::v1::Permission,
    trading::v1::{self as wire, private_event::Event as Told, stream_events_request::Scope},
};
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::Status;

use crate::{
    auth::{Caller, now_nanos},
    bulletin::{Bulletin, legs_after},
    desk::{Desk, Digger, wide},
    refusal,
    session::News,
    translate::{orders, quotes},
};

/// Responses between the stream's task and the transport.
const OUT: usize = 64;
/// Events of one response.
const CHUNK: usize = 256;

struct Feed {
    desk: Desk,
    news: News,
    accounts: HashSet<AccountId>,
    /// Whose rights are looked at again with each heartbeat.
    caller: Caller,
    firm: Option<FirmId>,
    fills_only: bool,
    /// Journal position of the newest event sent.
    last_sent: Seq,
    /// Newest journal position looked at.
    scanned: Seq,
    out: mpsc::Sender<Result<wire::StreamEventsResponse, Status>>,
}

/// Opens the stream.
///
/// # Errors
/// Rights, an unknown scope, or a position that lies ahead.
pub async fn open(
    desk: Desk,
    caller: Caller,
    request: wire::StreamEventsRequest,
) -> Result<impl Stream<Item = Result<wire::StreamEventsResponse, Status>>, Status> {
    let (accounts, firm) = match request.scope {
        Some(Scope::AccountId(id)) => {
            (HashSet::from([caller.need_on(Permission::Read, id)?]), None)
        }
        Some(Scope::FirmId(id)) => {
            caller.need(Permission::DropCopy)?;
            if i64::from(caller.firm.0) != id {
                return Err(refusal::about(Reason::NotAuthorized, Field::Firm));
            }
            (caller.accounts().into_iter().collect(), Some(caller.firm))
        }
        None => return Err(refusal::invalid("scope", "name account_id or firm_id")),
    };
    // Listen first, look back second: nothing falls between.
    let live = desk.hub.listen();
    let now = desk.hub.archive().newest();
    let resume_after = match request.resume_after_journal_seq {
        None => now,
        Some(seq) => seq.max(0).unsigned_abs(),
    };
    // The state is a step ahead of the archive: a position read there is no position ahead.
    if resume_after > now.max(desk.state(engine::exchange::Exchange::seq)) {
        return Err(refusal::invalid(
            "resume_after_journal_seq",
            "lies ahead of the journal",
        ));
    }
    let (out, responses) = mpsc::channel(OUT);
    let news = News::new(desk.clone());
    let mut feed = Feed {
        desk,
        news,
        accounts,
        caller,
        firm,
        fills_only: request.fills_only,
        last_sent: 0,
        scanned: resume_after,
        out,
    };
    tokio::spawn(async move {
        if let Err(Some(status)) = feed.run(live, now).await {
            // The client may be gone already.
            drop(feed.out.send(Err(status)).await);
        }
    });
    Ok(ReceiverStream::new(responses))
}

/// `None` = the client is gone.
type Ended = Option<Status>;

impl Feed {
    async fn run(
        &mut self,
        mut live: tokio::sync::broadcast::Receiver<Arc<Bulletin>>,
        now: Seq,
    ) -> Result<(), Ended> {
        self.look_back(now).await?;
        let caught_up = wire::StreamEventsResponse {
            events: Vec::new(),
            caught_up: true,
            gateway_out_unix_nanos: now_nanos(),
        };
        self.out.send(Ok(caught_up)).await.map_err(|_| None)?;
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        let desk = self.desk.clone();
        let mut drained = std::pin::pin!(desk.drained());
        loop {
            tokio::select! {
                told = live.recv() => match told {
                    Ok(bulletin) => self.send(&bulletin).await?,
                    Err(RecvError::Lagged(_)) => self.catch_up().await?,
                    Err(RecvError::Closed) => return Err(Some(refusal::no(Reason::ServerDraining))),
                },
                _ = beat.tick() => {
                    if !self.caller.still_valid() {
                        return Err(Some(refusal::no(Reason::AuthenticationFailed)));
                    }
                    self.heartbeat(live.len()).await?;
                }
                () = &mut drained => {
                    return Err(Some(refusal::no(Reason::ServerDraining)));
                }
            }
        }
    }

    /// The client read too slowly for the broadcast: what it missed comes from the archive, as long as
    /// that reaches back.
    async fn catch_up(&mut self) -> Result<(), Ended> {
        let missed = self.desk.hub.archive().after(self.scanned);
        let missed = missed.ok_or_else(|| Some(refusal::no(Reason::SlowConsumer)))?;
        for bulletin in missed {
            self.send(&bulletin).await?;
        }
        Ok(())
    }

    /// What happened between the position asked for and `now`, from memory or from the journal.
    async fn look_back(&mut self, now: Seq) -> Result<(), Ended> {
        if self.scanned >= now {
            return Ok(());
        }
        let recent = self.desk.hub.archive().after(self.scanned);
        let bulletins = match recent {
            Some(bulletins) => bulletins,
            None => {
                let (after, accounts) = (self.scanned, self.accounts.clone());
                let wanted = move |stamped: &engine::command::Stamped, events: &[Event]| {
                    stamped.seq > after && events.iter().any(|event| concerns(event, &accounts))
                };
                vec![
                    self.desk
                        .excavate(Digger::Reader, after + 1, wanted)
                        .await
                        .map_err(Some)?,
                ]
            }
        };
        for bulletin in bulletins {
            self.send(&bulletin).await?;
        }
        self.scanned = self.scanned.max(now);
        Ok(())
    }

    async fn send(&mut self, bulletin: &Bulletin) -> Result<(), Ended> {
        if self.firm.is_some() {
            self.learn_accounts(bulletin);
        }
        let mut events = Vec::new();
        for (stamped, happened) in bulletin.commands() {
            if stamped.seq <= self.scanned {
                continue;
            }
            self.scanned = stamped.seq;
            let first = events.len();
            let ours = |(_, event): &(usize, &Event)| concerns(event, &self.accounts);
            for (place, event) in happened.iter().enumerate().filter(ours) {
                let (account, session, told) = match event {
                    Event::Order(order) => {
                        if self.fills_only && order.kind != OrderEventKind::Fill {
                            continue;
                        }
                        let asset = self.news.asset(order.instrument);
                        let legs = legs_after(happened, place);
                        let told = Told::Order(orders::event_out(order, legs, asset));
                        (order.to.account, order.to.session, told)
                    }
                    Event::Mmp(change) if !self.fills_only => {
                        let told = Told::Mmp(quotes::mmp_event(change));
                        (change.account, SessionId::NONE, told)
                    }
                    Event::Exit(step) if !self.fills_only => {
                        let told = Told::Exit(exit_event(step));
                        (step.account, SessionId::NONE, told)
                    }
                    _ => continue,
                };
                events.push(wire::PrivateEvent {
                    journal_seq: wide(stamped.seq),
                    prev_journal_seq: wide(self.last_sent),
                    index: i32::try_from(events.len() - first).unwrap_or(i32::MAX),
                    last: false,
                    account_id: i64::from(account.0),
                    session_id: i64::from(session.0),
                    matched_unix_nanos: stamped.at.0,
                    event: Some(told),
                });
            }
            if events.len() > first {
                self.last_sent = stamped.seq;
                if let Some(last) = events.last_mut() {
                    last.last = true;
                }
            }
            if events.len() >= CHUNK {
                self.push(std::mem::take(&mut events)).await?;
            }
        }
        if events.is_empty() {
            Ok(())
        } else {
            self.push(events).await
        }
    }

    /// A firm's new accounts belong to its drop copy from their first event on.
    fn learn_accounts(&mut self, bulletin: &Bulletin) {
        let opened: Vec<AccountId> = bulletin
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Access(account) if account.is_set() => Some(*account),
                _ => None,
            })
            .collect();
        for account in opened {
            // Of the firm, and of the key's own list.
            if self.caller.accounts().contains(&account) {
                self.accounts.insert(account);
            }
        }
    }

    async fn heartbeat(&mut self, waiting: usize) -> Result<(), Ended> {
        let event = wire::PrivateEvent {
            event: Some(Told::Heartbeat(wire::DropCopyHeartbeat {
                scanned_journal_seq: wide(self.scanned),
                queued_bytes: i32::try_from(waiting * 128).unwrap_or(i32::MAX),
            })),
            ..wire::PrivateEvent::default()
        };
        self.push(vec![event]).await
    }

    async fn push(&self, events: Vec<wire::PrivateEvent>) -> Result<(), Ended> {
        let response = wire::StreamEventsResponse {
            events,
            caught_up: false,
            gateway_out_unix_nanos: now_nanos(),
        };
        tokio::select! {
            sent = self.out.send(Ok(response)) => sent.map_err(|_| None),
            () = self.desk.drained() => Err(Some(refusal::no(Reason::ServerDraining))),
        }
    }
}

fn concerns(event: &Event, accounts: &HashSet<AccountId>) -> bool {
    match event {
        Event::Order(order) => !order.copy && accounts.contains(&order.to.account),
        Event::Mmp(change) => accounts.contains(&change.account),
        Event::Exit(step) => accounts.contains(&step.account),
        _ => false,
    }
}

fn exit_event(step: &ExitStep) -> wire::ExitEvent {
    let stage = match step.stage {
        ExitStage::UnknownAccount => wire::ExitStage::UnknownAccount,
        ExitStage::NotTheOwner => wire::ExitStage::NotTheOwner,
        ExitStage::VenueAccount => wire::ExitStage::VenueAccount,
        ExitStage::WindingUp => wire::ExitStage::WindingUp,
        ExitStage::WaitsForCall => wire::ExitStage::WaitsForCall,
        ExitStage::WaitsForDelivery => wire::ExitStage::WaitsForDelivery,
        ExitStage::WaitsForTransfer => wire::ExitStage::WaitsForTransfer,
        ExitStage::WaitsForFund => wire::ExitStage::WaitsForFund,
        ExitStage::Served => wire::ExitStage::Served,
    };
    wire::ExitEvent {
        request_id: wide(step.request),
        owner: step.owner.to_vec(),
        stage: stage.into(),
    }
}
