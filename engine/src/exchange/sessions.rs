//! Named order sessions: logging on, taking over, getting lost, saying good-bye.

use super::{Exchange, Presence, Session, admission::Door, timers::Timer};
use crate::{
    command::{DisconnectAction, Login, Logout, Lost, Origin},
    event::{Event, Refused, SessionClosed, SessionOpened},
    ids::SessionId,
    limits,
    order::Order,
    reason::{Field, Problem, Reason},
    units::{MILLISECOND, Nanos},
};

impl Exchange {
    /// A client logs on; whoever held the session is fenced (SESSION-01).
    pub(super) fn login(&mut self, login: &Login, out: &mut Vec<Event>) {
        let id = match self.find_or_make_session(login) {
            Ok(id) => id,
            Err(problem) => {
                let to = self.address(login.account, SessionId::NONE, 0);
                out.push(Event::Refused(Refused { to, problem }));
                return;
            }
        };
        self.stop_waiting(id);
        let Some(session) = self.session_mut(id) else {
            return;
        };
        session.login += 1;
        session.action = login.action;
        session.grace_ms = login.grace_ms;
        session.presence = Presence::Connected;
        session.key_id.clone_from(&login.key_id);
        let action_ran = std::mem::replace(&mut session.action_ran, false);
        out.push(Event::SessionOpened(SessionOpened {
            account: login.account,
            session: id,
            login: session.login,
            next_client_seq: session.last_client_seq.saturating_add(1),
            last_event_seq: session.last_event_seq,
            heartbeat_ms: login.heartbeat_ms,
            action: login.action,
            grace_ms: login.grace_ms,
            action_ran,
        }));
    }

    fn find_or_make_session(&mut self, login: &Login) -> Result<SessionId, Problem> {
        let account = self
            .account(login.account)
            .ok_or(Problem::about(Reason::NotFound, Field::Account))?;
        let named = account.sessions.iter().find(|id| {
            self.session(**id)
                .is_some_and(|session| session.name == login.name)
        });
        if let Some(id) = named {
            return Ok(*id);
        }
        if !(1..=limits::NAME_BYTES / 2).contains(&login.name.len()) {
            let (limit, actual) = (limits::NAME_BYTES / 2, login.name.len());
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Session,
                i64::try_from(limit).unwrap_or(0),
                i64::try_from(actual).unwrap_or(0),
            ));
        }
        let most = limits::SESSIONS_PER_ACCOUNT;
        if account.sessions.len() >= most || self.sessions.len() >= limits::SESSIONS {
            let limit = i64::try_from(most).unwrap_or(0);
            return Err(Problem::limit(
                Reason::RateLimited,
                Field::Session,
                limit,
                limit + 1,
            ));
        }
        let id = SessionId::nth(self.sessions.len());
        self.sessions.push(Session {
            id,
            account: login.account,
            name: login.name.clone(),
            login: 0,
            last_client_seq: 0,
            last_event_seq: 0,
            action: login.action,
            grace_ms: login.grace_ms,
            presence: Presence::Away,
            action_ran: false,
            blocked: false,
            killed: false,
            key_id: String::new(),
        });
        if let Some(account) = self.account_mut(login.account) {
            account.sessions.push(id);
        }
        Ok(id)
    }

    fn stop_waiting(&mut self, id: SessionId) {
        if let Some(Session {
            presence: Presence::Waiting(at, _),
            ..
        }) = self.session(id)
        {
            let at = *at;
            self.timers.clear(at, Timer::Grace(id));
        }
    }

    /// A session's stream is gone: its action runs now, or after its grace (SESSION-04).
    pub(super) fn lost(&mut self, lost: &Lost, out: &mut Vec<Event>) {
        let present = self
            .session(lost.session)
            .is_some_and(|s| s.login == lost.login && s.presence == Presence::Connected);
        if present {
            self.wait_for(lost.session, 0, lost.cause, out);
        }
    }

    /// Starts a session's grace, with extra milliseconds; without any, its action runs at once.
    pub(super) fn wait_for(
        &mut self,
        id: SessionId,
        extra_ms: i32,
        cause: Reason,
        out: &mut Vec<Event>,
    ) {
        self.stop_waiting(id);
        let now = self.at;
        let Some(session) = self.session_mut(id) else {
            return;
        };
        let wait_ms = i64::from(session.grace_ms) + i64::from(extra_ms);
        if wait_ms == 0 {
            return self.run_disconnect_action(id, cause, out);
        }
        let at = now.after(wait_ms * MILLISECOND);
        session.presence = Presence::Waiting(at, cause);
        self.timers.set(at, Timer::Grace(id));
    }

    /// The grace is over.
    pub(super) fn grace_over(&mut self, id: SessionId, due: Nanos, out: &mut Vec<Event>) {
        if let Some(Session {
            presence: Presence::Waiting(at, cause),
            ..
        }) = self.session(id)
            && *at == due
        {
            let cause = *cause;
            self.run_disconnect_action(id, cause, out);
        }
    }

    fn run_disconnect_action(&mut self, id: SessionId, cause: Reason, out: &mut Vec<Event>) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        session.presence = Presence::Away;
        session.action_ran = session.action != DisconnectAction::Keep;
        let (account, action, login) = (session.account, session.action, session.login);
        let falls = |order: &Order| match action {
            DisconnectAction::CancelSession => order.session == id,
            DisconnectAction::CancelAccount => true,
            // Only possible if a later login of the session chose to keep its orders.
            DisconnectAction::Keep => order.session == id && order.quote.is_some(),
        };
        let slots = self.slots_where(account, |order| {
            falls(order) && (order.quote.is_some() || !order.terms.keep_on_disconnect)
        });
        let cancelled = self.cancel_slots(slots, cause, &Origin::default(), out);
        out.push(Event::SessionClosed(SessionClosed {
            session: id,
            login,
            cause,
            cancelled,
        }));
    }

    /// A session says good-bye: no action, except what it asks for.
    pub(super) fn logout(&mut self, logout: &Logout, out: &mut Vec<Event>) {
        if matches!(self.enter(&logout.origin, out), Door::Shut) {
            return;
        }
        let id = logout.origin.session;
        let mut cancelled = 0;
        if logout.cancel_orders {
            let slots = self.slots_where(logout.origin.account, |order| order.session == id);
            cancelled = self.cancel_slots(slots, Reason::ClientRequest, &logout.origin, out);
        }
        let Some(session) = self.session_mut(id) else {
            return;
        };
        session.presence = Presence::Away;
        let login = session.login;
        let cause = Reason::ClientRequest;
        out.push(Event::SessionClosed(SessionClosed {
            session: id,
            login,
            cause,
            cancelled,
        }));
    }

    /// Cancels the orders of every session that logged on with a key; answers with their number.
    pub(super) fn cancel_of_key(&mut self, key_id: &str, out: &mut Vec<Event>) -> u32 {
        let sessions: Vec<_> = self
            .sessions
            .iter()
            .filter(|session| session.key_id == key_id)
            .map(|session| (session.id, session.account))
            .collect();
        let mut cancelled = 0;
        for (id, account) in sessions {
            let slots = self.slots_where(account, |order| order.session == id);
            cancelled += self.cancel_slots(slots, Reason::Operator, &Origin::default(), out);
        }
        cancelled
    }
}
