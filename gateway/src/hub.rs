//! The publisher's outlet: files what is durable, answers who waits, and tells who listens.
//!
//! Nobody is waited for. An answer goes into a one-shot, a session's events into its bounded mailbox,
//! everything into a bounded broadcast from which slow readers fall out by themselves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use engine::{
    event::Event,
    ids::SessionId,
    pipeline::{Batch, Outlet},
};
use tokio::sync::{broadcast, oneshot};

use crate::{
    archive::Archive,
    bulletin::{Answer, Bulletin, address},
    mailbox::{Closed, Mail, Slot},
};

/// Bulletins that a slow stream may lag behind before it falls out.
const BROADCAST: usize = 512;

/// Who waits for a command.
#[derive(Debug)]
pub enum Reply {
    /// A unary call, or anybody who wants the events.
    Answer(oneshot::Sender<Answer>),
    /// A login: its mailbox is opened at exactly this place in the order of events.
    Login(oneshot::Sender<Answer>, Slot),
}

/// Shared between the publisher and the gateway's tasks.
#[derive(Debug)]
pub struct Hub {
    archive: RwLock<Archive>,
    mailboxes: Mutex<HashMap<SessionId, Slot>>,
    bulletins: broadcast::Sender<Arc<Bulletin>>,
    /// Grows when rights change, so that the key ring is read again.
    access: std::sync::atomic::AtomicU64,
}

impl Hub {
    /// An empty hub around what the replay filed.
    #[must_use]
    pub fn new(archive: Archive) -> Arc<Self> {
        Arc::new(Self {
            archive: RwLock::new(archive),
            mailboxes: Mutex::new(HashMap::new()),
            bulletins: broadcast::Sender::new(BROADCAST),
            access: std::sync::atomic::AtomicU64::new(1),
        })
    }

    /// The archive, for a short look.
    pub fn archive(&self) -> RwLockReadGuard<'_, Archive> {
        self.archive.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up what memory can do without: see [`Archive::keep_least`].
    pub fn keep_least(&self) {
        let mut archive = self.archive.write().unwrap_or_else(PoisonError::into_inner);
        archive.keep_least();
    }

    /// Everything told from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Arc<Bulletin>> {
        self.bulletins.subscribe()
    }

    /// Version of the rights.
    #[must_use]
    pub fn access_version(&self) -> u64 {
        self.access.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Live sessions.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.mailboxes().len()
    }

    /// Streams that listen to everything.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.bulletins.receiver_count()
    }

    /// Closes a login's mailbox when its stream ends; a newer login's stays.
    pub fn leave(&self, session: SessionId, login: u32) {
        let mut mailboxes = self.mailboxes();
        if mailboxes
            .get(&session)
            .is_some_and(|slot| slot.login == login)
        {
            mailboxes.remove(&session);
        }
    }

    /// Closes every mailbox: the exchange stops.
    pub fn close_all(&self) {
        self.mailboxes().clear();
    }

    fn mailboxes(&self) -> MutexGuard<'_, HashMap<SessionId, Slot>> {
        self.mailboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Delivers what `bulletin` holds for live sessions, from command `from` up to (not with) `to`.
    fn deliver(
        &self,
        bulletin: &Arc<Bulletin>,
        mailboxes: &mut HashMap<SessionId, Slot>,
        (from, to): (usize, usize),
    ) {
        if mailboxes.is_empty() {
            return;
        }
        let mut picks: HashMap<SessionId, Vec<(u32, u32)>> = HashMap::new();
        for place in from..to {
            let end = bulletin.ends.get(place).copied().unwrap_or(0);
            let start = place
                .checked_sub(1)
                .map_or(0, |before| bulletin.ends[before]);
            for at in start..end {
                let Some(event) = bulletin.events.get(at as usize) else {
                    continue;
                };
                let Some(to) = address(event) else {
                    if matches!(event, Event::Mmp(_) | Event::Switch(_)) {
                        let place = u32::try_from(place).unwrap_or(u32::MAX);
                        for (session, slot) in &*mailboxes {
                            if slot.overhears(*session, event) {
                                picks.entry(*session).or_default().push((place, at));
                            }
                        }
                    }
                    continue;
                };
                if to.event_seq > 0 && mailboxes.contains_key(&to.session) {
                    let place = u32::try_from(place).unwrap_or(u32::MAX);
                    picks.entry(to.session).or_default().push((place, at));
                }
            }
        }
        for (session, picks) in picks {
            let mail = Mail {
                bulletin: bulletin.clone(),
                picks,
            };
            if !mailboxes.get(&session).is_some_and(|slot| slot.put(mail)) {
                mailboxes.remove(&session);
            }
        }
    }

    /// Opens the mailbox of a login that succeeded, fencing the one before.
    fn open(answer: &Answer, mut slot: Slot, mailboxes: &mut HashMap<SessionId, Slot>) {
        let opened = answer.events().iter().find_map(|event| match event {
            Event::SessionOpened(opened) => Some(*opened),
            _ => None,
        });
        if let Some(opened) = opened {
            slot.login = opened.login;
            if let Some(old) = mailboxes.insert(opened.session, slot) {
                old.close(Closed::Fenced);
            }
        }
    }
}

/// The hub as the pipeline sees it.
#[derive(Debug)]
pub struct HubOutlet(pub Arc<Hub>);

impl Outlet<Reply> for HubOutlet {
    fn publish(&mut self, batch: Batch<Reply>) {
        let hub = &*self.0;
        let (bulletin, replies) = Bulletin::from_batch(batch);
        hub.archive
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .file(bulletin.clone());
        if bulletin
            .events
            .iter()
            .any(|event| matches!(event, Event::Access(_)))
        {
            hub.access
                .fetch_add(1, std::sync::atomic::Ordering::Release);
        }
        let mut mailboxes = hub.mailboxes();
        let mut from = 0;
        let mut waiters = Vec::with_capacity(replies.len());
        for (place, reply) in replies {
            let place = place as usize;
            let answer = Answer::new(bulletin.clone(), place);
            match reply {
                Reply::Answer(waiting) => waiters.push((waiting, answer)),
                Reply::Login(waiting, slot) => {
                    hub.deliver(&bulletin, &mut mailboxes, (from, place + 1));
                    from = place + 1;
                    Hub::open(&answer, slot, &mut mailboxes);
                    waiters.push((waiting, answer));
                }
            }
        }
        hub.deliver(&bulletin, &mut mailboxes, (from, bulletin.stamped.len()));
        drop(mailboxes);
        // Mail first: who is answered finds everything up to the answer in the box.
        for (waiting, answer) in waiters {
            // A caller that went away does not want its answer any more.
            drop(waiting.send(answer));
        }
        // Without listeners there is nobody to tell.
        drop(hub.bulletins.send(bulletin));
    }
}

#[cfg(test)]
mod tests {
    use engine::{
        command::{Command, DisconnectAction, Side, Stamped, SwitchScope},
        event::{Address, MmpChange, QuoteProblem, Quoted, SessionOpened, SwitchChange},
        ids::{AccountId, FirmId},
        reason::{Problem, Reason},
        units::Nanos,
    };

    use super::*;
    use crate::mailbox::{Mailbox, mailbox};

    fn batch(seq: u64, events: Vec<Event>, replies: Vec<(u32, Reply)>) -> Batch<Reply> {
        let ends = vec![u32::try_from(events.len()).unwrap_or(0)];
        let command = Command::Tick;
        let at = Nanos(seq.cast_signed());
        Batch {
            stamped: vec![Stamped { seq, at, command }],
            events,
            ends,
            replies,
        }
    }

    fn log_in(
        outlet: &mut HubOutlet,
        seq: u64,
        (session, account, firm): (u32, u32, u32),
    ) -> Mailbox {
        let (slot, mailbox) = mailbox(AccountId(account), FirmId(firm));
        let opened = Event::SessionOpened(SessionOpened {
            account: AccountId(account),
            session: SessionId(session),
            login: 1,
            next_client_seq: 1,
            last_event_seq: 0,
            heartbeat_ms: 1_000,
            action: DisconnectAction::CancelSession,
            grace_ms: 0,
            action_ran: false,
        });
        let (reply, _answer) = oneshot::channel();
        outlet.publish(batch(
            seq,
            vec![opened],
            vec![(0, Reply::Login(reply, slot))],
        ));
        mailbox
    }

    #[test]
    fn what_has_no_address_reaches_the_sessions_it_concerns() {
        let mut outlet = HubOutlet(Hub::new(Archive::default()));
        let mut one = log_in(&mut outlet, 1, (7, 4, 2));
        let mut same_firm = log_in(&mut outlet, 2, (8, 5, 2));
        let mut stranger = log_in(&mut outlet, 3, (9, 6, 3));
        let to = Address {
            account: AccountId(4),
            session: SessionId(7),
            event_seq: 1,
            client_seq: 1,
            item: 0,
        };
        let moved = |scope| {
            Event::Switch(SwitchChange {
                scope,
                engaged: true,
            })
        };
        let events = vec![
            Event::QuoteProblem(QuoteProblem {
                to,
                entry: 0,
                side: Side::Buy,
                problem: Problem::new(Reason::QuoteCrossed),
            }),
            Event::Quoted(Quoted {
                to,
                quote_id: 1,
                accepted: 1,
                kept: 0,
            }),
            Event::Mmp(MmpChange {
                account: AccountId(4),
                mmp_group: 1,
                frozen: true,
                until: Nanos(0),
                limit: None,
                cancelled: 0,
            }),
            moved(SwitchScope::Firm(FirmId(2))),
            moved(SwitchScope::Venue),
        ];
        outlet.publish(batch(4, events, Vec::new()));
        let picks = |mailbox: &mut Mailbox| -> Vec<u32> {
            let mail = mailbox.mail.try_recv().expect("mail");
            mail.picks.iter().map(|(_, at)| *at).collect()
        };
        assert_eq!(picks(&mut one), [0, 1, 2, 3, 4], "in their order");
        assert_eq!(picks(&mut same_firm), [3, 4]);
        assert_eq!(picks(&mut stranger), [4]);
    }
}
