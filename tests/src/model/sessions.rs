//! SESSION: logins, losses, good-byes, restarts.

use engine::{
    command::{DisconnectAction, Login, Logout, Lost, Restart},
    event::OrderStatus,
    ids::{AccountId, SessionId},
    instrument::TradingState,
    reason::Reason,
    units::MILLISECOND,
};

use super::{Model, Order, Session};
use crate::readings;

impl Model {
    /// SESSION-01. `fresh`: the number the engine gave, for a name that is unused.
    pub(super) fn login(&mut self, login: &Login, fresh: SessionId) {
        let of_name =
            |session: &Session| session.account == login.account && session.name == login.name;
        let known = self.sessions.iter().find(|(_, session)| of_name(session));
        let id = known.map_or(fresh, |(id, _)| *id);
        let session = self.sessions.entry(id).or_insert_with(|| Session {
            account: login.account,
            name: login.name.clone(),
            login: 0,
            connected: false,
            client_seq: 0,
            event_seq: 0,
            action: login.action,
            grace_ms: 0,
            blocked: false,
            killed: false,
            pending: None,
        });
        session.login += 1;
        session.connected = true;
        session.pending = None;
        (session.action, session.grace_ms) = (login.action, login.grace_ms);
    }

    /// SESSION-04.
    pub(super) fn lost(&mut self, lost: &Lost) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&lost.session) else {
            return;
        };
        if session.login != lost.login || !session.connected {
            return;
        }
        session.connected = false;
        if session.grace_ms == 0 {
            self.disconnect_action(lost.session, lost.cause);
        } else {
            let grace = i64::from(session.grace_ms) * MILLISECOND;
            session.pending = Some((now + grace, lost.cause));
        }
    }

    /// SESSION-04: what was agreed for a session that does not come back.
    pub(super) fn disconnect_action(&mut self, id: SessionId, cause: Reason) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.pending = None;
        let (account, action) = (session.account, session.action);
        let covers = |order: &Order| {
            let own_quote = order.quote.is_some() && order.session == id;
            own_quote
                || !order.terms.keep_on_disconnect
                    && match action {
                        DisconnectAction::CancelSession => order.session == id,
                        DisconnectAction::CancelAccount => order.key.0 == account,
                        DisconnectAction::Keep => false,
                    }
        };
        for key in self.oldest_first(covers) {
            self.end_or_defer(key, OrderStatus::Cancelled, cause);
        }
    }

    /// A good-bye: no action, but the orders go if that was asked.
    pub(super) fn logout(&mut self, logout: &Logout) {
        if !self.enter(&logout.origin) {
            return;
        }
        let id = logout.origin.session;
        if logout.cancel_orders {
            for key in self.oldest_first(|order| order.session == id) {
                self.end_or_defer(key, OrderStatus::Cancelled, Reason::ClientRequest);
            }
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.connected = false;
        }
    }

    /// SESSION-05.
    pub(super) fn restart(&mut self, restart: &Restart) {
        let now = self.now;
        let mut at_once = Vec::new();
        for (id, session) in &mut self.sessions {
            if !session.connected && session.pending.is_none() {
                continue;
            }
            session.connected = false;
            let wait = i64::from(session.grace_ms) + i64::from(restart.recovery_grace_ms);
            if wait == 0 {
                at_once.push(*id);
            } else {
                session.pending = Some((now + wait * MILLISECOND, readings::RESTART_CAUSE));
            }
        }
        for id in at_once {
            self.disconnect_action(id, readings::RESTART_CAUSE);
        }
        let until = restart.post_only_until.0;
        for id in self.contracts.keys().copied().collect::<Vec<_>>() {
            let Some(contract) = self.contracts.get_mut(&id).filter(|_| until > now) else {
                continue;
            };
            let waits = contract.state == TradingState::PostOnly && contract.reopens.is_some();
            if contract.state == TradingState::Open || waits {
                contract.state = TradingState::PostOnly;
                let before = contract.reopens.filter(|_| waits);
                contract.reopens = Some(before.map_or(until, |before| before.max(until)));
                self.touched.insert(id);
            } else if contract.in_call() {
                self.restart_call(id, until);
            }
        }
    }

    /// Sessions of an account.
    #[must_use]
    pub fn sessions_of(&self, account: AccountId) -> Vec<(SessionId, &Session)> {
        let all = self.sessions.iter().map(|(id, session)| (*id, session));
        all.filter(|(_, session)| session.account == account)
            .collect()
    }
}
