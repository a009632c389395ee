//! Who sends: sessions that come, go, are lost and taken over.

use engine::{
    command::{
        Command, DisconnectAction, Login, Logout, Lost, MassCancel, Origin, Selection,
        SetCancelTimer, SetOrderEntry, Side,
    },
    ids::{AccountId, ProductId, SessionId},
    reason::Reason,
    units::{Nanos, SECOND, Ticks},
};

use super::Generator;
use crate::model::{Model, Session};

const NAMES: [&str; 3] = ["maker", "hedger", "desk"];

impl Generator {
    fn some_session(
        &mut self,
        model: &Model,
        account: AccountId,
        wanted: impl Fn(&Session) -> bool,
    ) -> Option<(SessionId, Session)> {
        let all = model
            .sessions_of(account)
            .into_iter()
            .filter(|(_, session)| wanted(session));
        let all: Vec<_> = all.map(|(id, session)| (id, session.clone())).collect();
        self.random.pick(&all).cloned()
    }

    /// Mostly a session in order; sometimes fenced, stale, or past its deadline.
    pub(super) fn origin(&mut self, model: &Model, account: AccountId) -> Origin {
        let mut origin = Origin {
            account,
            ..Origin::default()
        };
        origin.deadline = match self.random.between(0, 99) {
            0 | 1 => Nanos(self.now - self.random.between(1, SECOND)),
            2..=9 => Nanos(self.now + self.random.between(0, SECOND)),
            _ => Nanos(0),
        };
        if self.random.percent(85) {
            self.join(model, &mut origin);
        }
        origin
    }

    /// Sends it through a session of the account, if there is one.
    fn join(&mut self, model: &Model, origin: &mut Origin) {
        let late = self.random.percent(2);
        let wanted = |session: &Session| session.connected || late;
        let Some((id, session)) = self.some_session(model, origin.account, wanted) else {
            return;
        };
        let newest = i64::try_from(session.client_seq).unwrap_or(0);
        let wrong = self.random.between(0, 99);
        let number = match wrong {
            0 => newest - self.random.between(0, newest.min(3)),
            1..=4 => newest + self.random.between(2, 5),
            _ => newest + 1,
        };
        origin.session = id;
        origin.client_seq = u64::try_from(number).unwrap_or(0);
        origin.login = session.login;
        if wrong == 5 && session.login > 1 {
            origin.login -= 1;
        }
    }

    /// An origin that is a session, or none.
    fn session_origin(&mut self, model: &Model) -> Option<Origin> {
        let account = self.some_account();
        let mut origin = Origin {
            account,
            ..Origin::default()
        };
        self.join(model, &mut origin);
        origin.session.is_set().then_some(origin)
    }

    pub(super) fn login(&mut self, model: &Model) -> Command {
        let actions = [
            DisconnectAction::CancelSession,
            DisconnectAction::CancelSession,
            DisconnectAction::CancelAccount,
            DisconnectAction::Keep,
        ];
        let mut login = Login {
            account: self.some_account(),
            name: self.random.pick(&NAMES).copied().unwrap_or_default().into(),
            heartbeat_ms: 1_000,
            action: self.random.pick(&actions).copied().unwrap_or_default(),
            grace_ms: match self.random.percent(40) {
                true => 0,
                false => i32::try_from(self.random.between(1, 5_000)).unwrap_or(0),
            },
            key_id: String::new(),
        };
        // Those who were lost like to come back.
        let gone = self.some_session(model, login.account, |session| !session.connected);
        if let Some((_, session)) = gone.filter(|_| self.random.percent(60)) {
            login.name = session.name;
        }
        Command::Login(login)
    }

    pub(super) fn lost(&mut self, model: &Model) -> Command {
        let account = self.some_account();
        let Some((session, state)) = self.some_session(model, account, |_| true) else {
            return self.login(model);
        };
        let stale = state.login > 1 && self.random.percent(15);
        Command::Lost(Lost {
            session,
            login: state.login - u32::from(stale),
            cause: match self.random.percent(50) {
                true => Reason::Disconnect,
                false => Reason::HeartbeatLost,
            },
        })
    }

    pub(super) fn logout(&mut self, model: &Model) -> Command {
        match self.session_origin(model) {
            Some(origin) => {
                let cancel_orders = self.random.percent(50);
                Command::Logout(Logout {
                    origin,
                    cancel_orders,
                })
            }
            None => self.login(model),
        }
    }

    /// Mostly a release, if something is blocked.
    pub(super) fn order_entry(&mut self, model: &Model) -> Command {
        let blocked = |id: &AccountId| {
            model
                .accounts
                .get(id)
                .is_some_and(|account| account.blocked)
                || model
                    .sessions_of(*id)
                    .iter()
                    .any(|(_, session)| session.blocked)
        };
        let blocked: Vec<_> = self.accounts.iter().copied().filter(blocked).collect();
        let account = self
            .random
            .pick(&blocked)
            .copied()
            .filter(|_| self.random.percent(80));
        let whose = account.unwrap_or_else(|| self.some_account());
        let mut origin = Origin {
            account: whose,
            ..Origin::default()
        };
        self.join(model, &mut origin);
        if !origin.session.is_set() {
            return self.login(model);
        }
        let own = model
            .sessions
            .get(&origin.session)
            .is_some_and(|session| session.blocked);
        let release = account.is_some() || own;
        Command::SetOrderEntry(SetOrderEntry {
            origin,
            blocked: !release,
        })
    }

    pub(super) fn mass_cancel(&mut self, model: &Model) -> Command {
        let account = self.some_account();
        let origin = self.origin(model, account);
        let selection = self.selection(model, origin.session.is_set());
        let block_new_orders = origin.session.is_set() && self.random.percent(8);
        Command::MassCancel(MassCancel {
            origin,
            selection,
            block_new_orders,
        })
    }

    pub(super) fn cancel_timer(&mut self, model: &Model) -> Command {
        let account = self.some_account();
        let origin = self.origin(model, account);
        let after_ms = match self.random.between(0, 9) {
            0 => 999,
            1 => 600_001,
            2 => 0,
            _ => self.random.between(1_000, 8_000),
        };
        let selection = self.selection(model, origin.session.is_set());
        let after_ms = i32::try_from(after_ms).unwrap_or(0);
        Command::SetCancelTimer(SetCancelTimer {
            origin,
            after_ms,
            selection,
        })
    }

    fn selection(&mut self, model: &Model, in_session: bool) -> Selection {
        let mut selection = Selection::default();
        if self.random.percent(40) {
            selection.instrument = self.some_contract();
        } else if self.random.percent(20) {
            let products = self.products();
            let product = self.random.between(1, products);
            selection.product = ProductId(u32::try_from(product).unwrap_or(1));
        }
        if self.random.percent(30) {
            selection.side = Some(if self.random.percent(50) {
                Side::Buy
            } else {
                Side::Sell
            });
        }
        if self.random.percent(15) {
            selection.cancel_group = u32::try_from(self.random.between(1, 3)).unwrap_or(1);
        }
        if self.features.protection && self.random.percent(15) {
            selection.mmp_group = u16::try_from(self.random.between(1, 2)).unwrap_or(1);
        }
        selection.this_session_only = in_session && self.random.percent(20);
        if let (Some(_), Some(mark)) = (selection.side, model.mark(selection.instrument))
            && self.random.percent(50)
        {
            selection.price_at_or_better = Some(Ticks(mark + self.random.between(-5, 5)));
        }
        selection
    }
}
