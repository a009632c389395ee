//! The way from the publisher to one live session: bounded, and never waited for.
//!
//! A client that does not read fills its own mailbox and loses its stream, nobody else's. What it
//! missed is in the journal; it resumes.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use engine::{
    command::SwitchScope,
    event::Event,
    ids::{AccountId, FirmId, SessionId},
};
use tokio::sync::mpsc;

use crate::bulletin::Bulletin;

/// Bulletins that wait for one session.
const MAIL: usize = 1_024;

/// A session's events in one bulletin: which commands, which of their events.
#[derive(Debug)]
pub struct Mail {
    /// The bulletin.
    pub bulletin: Arc<Bulletin>,
    /// Place of the command and place of the event in the whole bulletin, in order.
    pub picks: Vec<(u32, u32)>,
}

/// Why a mailbox closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The exchange is stopping.
    Stopped,
    /// A newer login took over.
    Fenced,
    /// The client did not read.
    Slow,
}

/// The publisher's end.
#[derive(Debug)]
pub struct Slot {
    mail: mpsc::Sender<Mail>,
    why: Arc<AtomicU8>,
    account: AccountId,
    firm: FirmId,
    /// Login that owns it.
    pub login: u32,
}

/// The session's end.
#[derive(Debug)]
pub struct Mailbox {
    /// What arrives; ends when the mailbox is closed.
    pub mail: mpsc::Receiver<Mail>,
    why: Arc<AtomicU8>,
}

/// A new mailbox; the login is filled in when it is known.
#[must_use]
pub fn mailbox(account: AccountId, firm: FirmId) -> (Slot, Mailbox) {
    let (sender, receiver) = mpsc::channel(MAIL);
    let why = Arc::new(AtomicU8::new(0));
    (
        Slot {
            mail: sender,
            why: why.clone(),
            account,
            firm,
            login: 0,
        },
        Mailbox {
            mail: receiver,
            why,
        },
    )
}

impl Slot {
    /// Whether something without an address concerns this session all the same: a protection group of its
    /// account, a switch above it.
    #[must_use]
    pub fn overhears(&self, session: SessionId, event: &Event) -> bool {
        match event {
            Event::Mmp(change) => change.account == self.account,
            Event::Switch(change) => match change.scope {
                SwitchScope::Session(one) => one == session,
                SwitchScope::Account(account) => account == self.account,
                SwitchScope::Firm(firm) => firm == self.firm,
                SwitchScope::Venue => true,
            },
            _ => false,
        }
    }

    /// Puts mail in; `false` = full or gone, drop the slot.
    #[must_use]
    pub fn put(&self, mail: Mail) -> bool {
        match self.mail.try_send(mail) {
            Ok(()) => true,
            Err(_) => {
                self.close(Closed::Slow);
                false
            }
        }
    }

    /// Notes why it closes; dropping the slot closes it.
    pub fn close(&self, why: Closed) {
        let code = match why {
            Closed::Stopped => 0,
            Closed::Fenced => 1,
            Closed::Slow => 2,
        };
        self.why.store(code, Ordering::Release);
    }
}

impl Mailbox {
    /// Why it closed, once it has.
    #[must_use]
    pub fn why(&self) -> Closed {
        match self.why.load(Ordering::Acquire) {
            1 => Closed::Fenced,
            2 => Closed::Slow,
            _ => Closed::Stopped,
        }
    }

    /// Bulletins waiting.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.mail.len()
    }
}

#[cfg(test)]
mod tests {
    use engine::{
        event::{MmpChange, SwitchChange},
        units::Nanos,
    };

    use super::*;

    #[test]
    fn a_session_overhears_what_is_above_it_and_nothing_else() {
        let (slot, _mailbox) = mailbox(AccountId(4), FirmId(2));
        let session = SessionId(7);
        let hears = |scope| {
            let moved = Event::Switch(SwitchChange {
                scope,
                engaged: true,
            });
            slot.overhears(session, &moved)
        };
        assert!(hears(SwitchScope::Venue));
        assert!(hears(SwitchScope::Firm(FirmId(2))) && !hears(SwitchScope::Firm(FirmId(3))));
        let account = |number| SwitchScope::Account(AccountId(number));
        assert!(hears(account(4)) && !hears(account(5)));
        let one = |number| SwitchScope::Session(SessionId(number));
        assert!(hears(one(7)) && !hears(one(8)));
        let froze = |account| {
            Event::Mmp(MmpChange {
                account: AccountId(account),
                mmp_group: 1,
                frozen: true,
                until: Nanos(0),
                limit: None,
                cancelled: 0,
            })
        };
        assert!(slot.overhears(session, &froze(4)) && !slot.overhears(session, &froze(5)));
    }
}
