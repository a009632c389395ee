//! Batches, mass quotes, protection groups, kill switches, calls.

use engine::{
    command::{
        Batch, BatchItem, BatchPolicy, Cancel, Command, DisconnectAction, MassQuote, MmpGroup,
        Origin, Place, QuoteEntry, QuoteSide, Replace, ResetMmp, SetKillSwitch, SetTradingState,
        StateScope, SwitchScope, Target,
    },
    ids::{AccountId, FirmId, InstrumentId, ProductId, SessionId},
    instrument::TradingState,
    reason::Reason,
    units::{Lots, Nanos, SECOND, Ticks},
};

use super::Generator;
use crate::model::{Model, Names};

fn narrow<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}

impl Generator {
    /// Sometimes one of the newer commands.
    pub(super) fn newer(&mut self, model: &Model, names: &Names) -> Option<Command> {
        let on = self.features;
        Some(match self.random.between(0, 999) {
            0..=69 if on.batches => self.batch(model, names),
            70..=199 if on.quotes => self.mass_quote(model),
            200..=211 if on.protection => self.mmp_group(model),
            212..=227 if on.protection => self.reset_mmp(model),
            228..=235 if on.switches => self.kill_switch(model),
            240..=255 if on.auctions => self.call(model),
            256..=258 if on.combinations => self.list_badly(model),
            260..=263 if on.margins => self.margin_method(model),
            _ => return None,
        })
    }

    fn batch(&mut self, model: &Model, names: &Names) -> Command {
        let account = self.some_account();
        let origin = self.origin(model, account);
        let policies = [
            BatchPolicy::BestEffort,
            BatchPolicy::StopOnReject,
            BatchPolicy::AllOrNoneValidate,
        ];
        let policy = self.random.pick(&policies).copied();
        let count = match self.random.between(0, 99) {
            0 => 0,
            1 => 65,
            _ => self.random.between(1, 7),
        };
        let (mut items, mut newest) = (Vec::new(), None);
        // Half of the batches are meant to go through as a whole.
        let careful = self.random.percent(50);
        for _ in 0..count {
            let item = self.item(model, names, (account, newest, careful));
            if let BatchItem::Place(place) = &item {
                newest = Some(place.order.client_order_id);
            }
            items.push(item);
        }
        Command::Batch(Batch {
            origin,
            policy: policy.unwrap_or(BatchPolicy::BestEffort),
            items,
        })
    }

    fn item(
        &mut self,
        model: &Model,
        names: &Names,
        (account, newest, careful): (AccountId, Option<u64>, bool),
    ) -> BatchItem {
        let origin = Origin::default();
        let roll = self.random.between(0, 9);
        if let Some(id) = newest.filter(|_| roll == 0) {
            let (target, instrument) = (Target::Client(id), InstrumentId::NONE);
            return BatchItem::Cancel(Cancel {
                origin,
                target,
                instrument,
            });
        }
        let own = model.orders.values().any(|order| order.key.0 == account);
        if own && roll < 5 {
            let mut command = self.replace_of(model, names, Some(account));
            if let (Some(id), Command::Replace(replace)) = (newest, &mut command)
                && roll == 1
            {
                replace.target = Target::Client(id);
            }
            if let Command::Replace(replace) = command {
                return BatchItem::Replace(Replace { origin, ..replace });
            }
        }
        if own
            && roll < 7
            && let Command::Cancel(cancel) = self.cancel_of(model, names, Some(account))
        {
            return BatchItem::Cancel(Cancel { origin, ..cancel });
        }
        let mut order = self.terms(model, account);
        if !careful {
            let mut unused = origin;
            if self.random.percent(15) {
                self.spoil(model, &mut order, &mut unused);
            }
        } else {
            order.reduce_only = false;
            order.lots = Lots(order.lots.0.min(8));
        }
        BatchItem::Place(Place { origin, order })
    }

    fn some_group(&mut self, model: &Model) -> Option<MmpGroup> {
        let groups: Vec<MmpGroup> = model.groups.values().map(|group| group.terms).collect();
        self.random.pick(&groups).copied()
    }

    fn mass_quote(&mut self, model: &Model) -> Command {
        let may_quote = |group: &MmpGroup| {
            let sessions = model.sessions_of(group.account);
            let connected = sessions.iter().filter(|(_, session)| session.connected);
            connected.count() > 0
                && sessions
                    .iter()
                    .any(|(_, session)| session.action != DisconnectAction::Keep)
        };
        let groups = model.groups.values().map(|group| group.terms);
        let able: Vec<MmpGroup> = groups.filter(may_quote).collect();
        let able = self.random.pick(&able).copied();
        let any = self.some_group(model);
        let Some(group) = able.filter(|_| self.random.percent(95)).or(any) else {
            return self.mmp_group(model);
        };
        let mut origin = self.origin(model, group.account);
        let keeps = |origin: &Origin| {
            let session = model.sessions.get(&origin.session);
            session.is_none_or(|session| session.action == DisconnectAction::Keep)
        };
        for _ in 0..3 {
            if keeps(&origin) && self.random.percent(90) {
                origin = self.origin(model, group.account);
            }
        }
        self.quote_ids += 1;
        let again = self.quotes.get(&(group.account, group.mmp_group)).cloned();
        if let Some(mut again) = again.filter(|_| self.random.percent(35)) {
            // The same ladder again, some of it changed.
            (again.origin, again.quote_id) = (origin, self.quote_ids);
            let sides = again.entries.iter_mut();
            for side in sides.flat_map(|entry| entry.bid.iter_mut().chain(entry.ask.iter_mut())) {
                match self.random.between(0, 9) {
                    0..=2 => side.lots.0 -= self.random.between(0, 2),
                    3 => side.lots.0 += 1,
                    4 => side.price.0 += 1,
                    5 => side.price.0 -= 1,
                    _ => {}
                }
            }
            return self.remember_quote(again);
        }
        let contracts: Vec<InstrumentId> = self
            .contracts
            .iter()
            .copied()
            .filter(|id| {
                let contract = model.contracts.get(id);
                contract.is_some_and(|contract| contract.product == group.product)
            })
            .collect();
        let count = match self.random.between(0, 99) {
            0 => 0,
            1 => 65,
            _ => self.random.between(1, 4),
        };
        let mut entries = Vec::new();
        for _ in 0..count {
            let wrong = self.random.percent(2);
            let right = self.random.pick(&contracts).copied();
            let instrument = match right.filter(|_| !wrong) {
                Some(id) => id,
                None => self.some_contract(),
            };
            entries.push(self.rung(model, instrument));
        }
        let wrong = self.random.percent(2);
        let quote = MassQuote {
            origin,
            quote_id: self.quote_ids,
            mmp_group: if wrong { 9 } else { group.mmp_group },
            entries,
            report_order_ids: self.random.percent(70),
        };
        self.remember_quote(quote)
    }

    fn remember_quote(&mut self, quote: MassQuote) -> Command {
        let key = (quote.origin.account, quote.mmp_group);
        self.quotes.insert(key, quote.clone());
        Command::MassQuote(quote)
    }

    fn rung(&mut self, model: &Model, instrument: InstrumentId) -> QuoteEntry {
        let mark = model.mark(instrument).unwrap_or(1_000);
        let middle = mark + self.random.between(-6, 6);
        let crossed = self.random.percent(4);
        let half = self.random.between(if crossed { -1 } else { 1 }, 5);
        let mut side = |price: i64| {
            let lots = match self.random.between(0, 19) {
                0 | 1 => 0,
                2 if self.random.percent(40) => self.random.between(-1, 70),
                _ => self.random.between(2, 9),
            };
            let price = match self.random.percent(2) {
                true => self.random.between(-1, 900),
                false => price,
            };
            let (price, lots) = (Ticks(price), Lots(lots));
            self.random.percent(85).then_some(QuoteSide { price, lots })
        };
        let (bid, ask) = (side(middle - half), side(middle + half));
        let high = self.random.percent(2);
        QuoteEntry {
            instrument,
            slot: narrow(self.random.between(0, if high { 9 } else { 2 })),
            bid,
            ask,
        }
    }

    /// The first four accounts make markets.
    fn mmp_group(&mut self, model: &Model) -> Command {
        let makers: Vec<AccountId> = self.accounts.iter().copied().take(4).collect();
        let account = self.random.pick(&makers).copied().unwrap_or_default();
        let products = self.products();
        let product = ProductId(narrow(self.random.between(1, products)));
        let hours = [1, 24, 744, 720, 720, 1_440, 2_160];
        let hours = product
            .index()
            .and_then(|at| hours.get(at))
            .copied()
            .unwrap_or(1);
        let mut limit = |most: i64| match self.random.percent(25) {
            true => self.random.between(1, most),
            false => 0,
        };
        let mut group = MmpGroup {
            account,
            mmp_group: 0,
            product,
            window_ms: 0,
            frozen_ms: 0,
            quantity_limit: limit(60) * hours,
            net_limit: limit(40) * hours,
            notional_limit: limit(1_500),
            fill_limit: narrow(limit(9)),
            contracts_limit: narrow(limit(2)),
            max_quote_lots: Lots(0),
        };
        group.mmp_group = narrow(self.random.between(1, 2));
        group.window_ms = narrow(self.random.between(100, 30_000));
        group.frozen_ms = match self.random.percent(30) {
            true => 0,
            false => narrow(self.random.between(1, 20_000)),
        };
        group.max_quote_lots = Lots(self.random.between(4, 60));
        match self.random.between(0, 39) {
            0 => group.mmp_group = 0,
            1 => group.window_ms = 99,
            2 => group.account = AccountId(77_777),
            3 => group.product = ProductId(99),
            4 => group.fill_limit = -1,
            _ => {
                // Mostly the product that the group covers already.
                let known = model.groups.get(&(group.account, group.mmp_group));
                if let Some(known) = known.filter(|_| self.random.percent(80)) {
                    group.product = known.terms.product;
                }
            }
        }
        Command::SetMmpGroup(self.request(group))
    }

    fn reset_mmp(&mut self, model: &Model) -> Command {
        let frozen = model.groups.values().filter(|group| group.frozen.is_some());
        let frozen: Vec<MmpGroup> = frozen.map(|group| group.terms).collect();
        let frozen = self.random.pick(&frozen).copied();
        let any = self.some_group(model);
        let Some(group) = frozen.filter(|_| self.random.percent(80)).or(any) else {
            return self.mmp_group(model);
        };
        let wrong = self.random.percent(5);
        Command::ResetMmp(ResetMmp {
            origin: self.origin(model, group.account),
            mmp_group: if wrong { 9 } else { group.mmp_group },
        })
    }

    /// Mostly a release, if something is engaged.
    fn kill_switch(&mut self, model: &Model) -> Command {
        let accounts = model.accounts.iter().filter(|(_, account)| account.killed);
        let sessions = model.sessions.iter().filter(|(_, session)| session.killed);
        let firms = model.firms.iter().filter(|(_, killed)| **killed);
        let mut engaged: Vec<SwitchScope> = Vec::new();
        engaged.extend(accounts.map(|(id, _)| SwitchScope::Account(*id)));
        engaged.extend(sessions.map(|(id, _)| SwitchScope::Session(*id)));
        engaged.extend(firms.map(|(id, _)| SwitchScope::Firm(*id)));
        engaged.extend(model.venue_killed.then_some(SwitchScope::Venue));
        if let Some(scope) = self.random.pick(&engaged).copied()
            && self.random.percent(95)
        {
            return self.switch(scope, false);
        }
        let firms: Vec<FirmId> = model.firms.keys().copied().collect();
        let sessions: Vec<SessionId> = model.sessions.keys().copied().collect();
        let scope = match self.random.between(0, 19) {
            0 => SwitchScope::Account(AccountId(77_777)),
            1 => SwitchScope::Firm(FirmId(99)),
            2 => SwitchScope::Session(SessionId(9_999)),
            3 => SwitchScope::Venue,
            4 | 5 => SwitchScope::Firm(self.random.pick(&firms).copied().unwrap_or_default()),
            6..=11 => {
                SwitchScope::Session(self.random.pick(&sessions).copied().unwrap_or_default())
            }
            _ => SwitchScope::Account(self.some_account()),
        };
        let engaged = self.random.percent(90);
        self.switch(scope, engaged)
    }

    fn switch(&mut self, scope: SwitchScope, engaged: bool) -> Command {
        let cancel_open_orders = self.random.percent(40);
        Command::SetKillSwitch(self.request(SetKillSwitch {
            scope,
            engaged,
            cancel_open_orders,
        }))
    }

    /// Calls begin, get an end, or are broken off.
    fn call(&mut self, model: &Model) -> Command {
        let instrument = self.some_contract();
        let contract = model.contracts.get(&instrument);
        let in_call = contract.is_some_and(|contract| contract.in_call());
        let (target, later) = match (in_call, self.random.between(0, 9)) {
            (false, 0..=6) => (TradingState::PreOpen, false),
            (false, 7) => (TradingState::PreOpen, true),
            (false, _) => (TradingState::NoCancel, false),
            (true, 0..=4) => (TradingState::Open, true),
            (true, 5) => (TradingState::PostOnly, true),
            (true, 6) => (TradingState::NoCancel, false),
            (true, 7) => (TradingState::Halted, false),
            (true, 8) => (TradingState::PostOnly, false),
            (true, _) => (TradingState::Open, false),
        };
        let wait = self.random.between(1, 25 * SECOND);
        let wide = self.features.combinations && self.random.percent(6);
        let product = contract.map(|contract| contract.product);
        let scope = match (wide, product.filter(|_| self.random.percent(50))) {
            (true, Some(product)) => StateScope::Product(product),
            (true, None) => StateScope::All,
            (false, _) => StateScope::Instrument(instrument),
        };
        Command::SetTradingState(self.request(SetTradingState {
            scope,
            target,
            reason: Reason::Operator,
            effective: Nanos(if later { self.now + wait } else { 0 }),
            cancel_open_orders: false,
        }))
    }
}
