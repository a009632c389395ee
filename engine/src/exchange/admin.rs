//! The operator's commands: reference data, accounts, keys, trading states. Idempotent by request id.

use super::{
    Account, Exchange, Firm, IndexState, Key, remembered::fingerprint, states::is_call,
    timers::Timer,
};
use crate::{
    command::{
        AccountKind, AccountStatus, Command, NewAccount, NewFirm, NewKey, Request, RevokeKey,
        SetAccountStatus, SetTradingState, StateScope,
    },
    event::{Address, Done, Event, Refused, StatisticsChange},
    ids::{AccountId, AssetId, CommodityId, FirmId, IndexId, InstrumentId, ProductId, house},
    instrument::{
        Asset, AtMark, Commodity, Index, Instrument, Scheduled, Statistics, Terms, TradingState,
    },
    limits,
    order::OwnerList,
    reason::{Field, Problem, Reason},
    units::{Nanos, Ticks},
};

/// Fees and fee offsets, in parts per million.
pub(super) const FEE_PPM: std::ops::RangeInclusive<i32> = -10_000..=10_000;

/// Offsets of an account, in parts per million; the margin check of a listing allows for the largest.
const OFFSET_PPM: std::ops::RangeInclusive<i32> = -1_000..=1_000;

pub(super) type Outcome = Result<Done, Problem>;

pub(super) fn made(object: u32) -> Done {
    Done {
        object: u64::from(object),
        count: 1,
        cancelled: 0,
        first_seq: 0,
    }
}

pub(super) fn check_name(name: &str, field: Field) -> Result<(), Problem> {
    let (limit, actual) = (limits::NAME_BYTES, name.len());
    if (1..=limit).contains(&actual) && name.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Ok(());
    }
    let wide = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    Err(Problem::limit(
        Reason::InvalidField,
        field,
        wide(limit),
        wide(actual),
    ))
}

pub(super) fn check_text(text: &str, field: Field) -> Result<(), Problem> {
    let wide = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    if text.len() <= limits::NOTE_BYTES {
        return Ok(());
    }
    let (limit, actual) = (wide(limits::NOTE_BYTES), wide(text.len()));
    Err(Problem::limit(Reason::InvalidField, field, limit, actual))
}

pub(super) fn check_room(used: usize, limit: usize) -> Result<(), Problem> {
    if used < limit {
        return Ok(());
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Err(Problem::limit(
        Reason::TooManyItems,
        Field::None,
        limit,
        limit + 1,
    ))
}

impl Exchange {
    /// The venue's own firm and accounts, there before the first command.
    pub(super) fn open_house(&mut self) {
        self.firms.push(Firm {
            id: FirmId(1),
            killed: false,
            details: NewFirm {
                code: "HOUSE".into(),
                legal_name: "The exchange itself".into(),
                lei: String::new(),
            },
        });
        for (label, kind, want) in [
            ("fees", AccountKind::House, house::FEES),
            ("rounding", AccountKind::House, house::ROUNDING),
            ("insurance", AccountKind::InsuranceFund, house::INSURANCE),
        ] {
            let id = self.open_account(&NewAccount {
                firm: FirmId(1),
                label: label.into(),
                kind,
                maker_fee_offset: 0,
                taker_fee_offset: 0,
            });
            assert_eq!(id, want, "the venue's accounts have fixed numbers");
        }
    }

    pub(super) fn open_account(&mut self, new: &NewAccount) -> AccountId {
        let id = AccountId::nth(self.accounts.len());
        let firm = new.firm.index().and_then(|index| self.firms.get(index));
        let firm_killed = firm.is_some_and(|firm| firm.killed);
        self.accounts.push(Account {
            id,
            firm: new.firm,
            label: new.label.clone(),
            kind: new.kind,
            status: AccountStatus::Active,
            maker_fee_offset: new.maker_fee_offset,
            taker_fee_offset: new.taker_fee_offset,
            blocked: false,
            killed: false,
            firm_killed,
            groups: Vec::new(),
            orders: OwnerList::default(),
            cancel_timer: None,
            sessions: Vec::new(),
            created_at: self.at,
        });
        self.ledger.open();
        self.positions.open_account();
        id
    }

    /// Runs an administrative command, once per request id.
    pub(super) fn administer(&mut self, command: &Command, out: &mut Vec<Event>) {
        match command {
            Command::CreateAsset(r) => self.once(r, out, Self::create_asset),
            Command::CreateCommodity(r) => self.once(r, out, Self::create_commodity),
            Command::CreateIndex(r) => self.once(r, out, Self::create_index),
            Command::CreateFirm(r) => self.once(r, out, Self::create_firm),
            Command::CreateAccount(r) => self.once(r, out, Self::create_account),
            Command::SetAccountStatus(r) => self.once(r, out, Self::set_account_status),
            Command::CreateKey(r) => self.once(r, out, Self::create_key),
            Command::RevokeKey(r) => self.once(r, out, Self::revoke_key),
            Command::CreateInstrument(r) => self.once(r, out, Self::create_instrument),
            Command::SetTradingState(r) => self.once(r, out, Self::set_trading_state),
            Command::CreditDeposit(r) => self.once(r, out, Self::credit_deposit),
            Command::ResolveWithdrawal(r) => self.once(r, out, Self::resolve_withdrawal),
            Command::SetMmpGroup(r) => self.once(r, out, Self::set_mmp_group),
            Command::SetKillSwitch(r) => self.once(r, out, Self::set_kill_switch),
            Command::SetDefaultTerms(r) => self.once(r, out, Self::set_default_terms),
            Command::SetFeed(r) => self.once(r, out, Self::set_feed),
            Command::SetSource(r) => self.once(r, out, Self::set_source),
            Command::SetMethod(r) => self.once(r, out, Self::set_method),
            Command::Delivery(r) => self.once(r, out, Self::deliver),
            Command::SetAccountOwner(r) => self.once(r, out, Self::set_account_owner),
            Command::CreditChainDeposit(r) => self.once(r, out, Self::credit_chain_deposit),
            Command::ServeExit(r) => self.once(r, out, Self::serve_exit),
            Command::SetMarginMethod(r) => self.once(r, out, Self::set_margin_method),
            Command::Tick
            | Command::Restart(_)
            | Command::Place(_)
            | Command::Replace(_)
            | Command::Cancel(_)
            | Command::MassCancel(_)
            | Command::SetCancelTimer(_)
            | Command::SetOrderEntry(_)
            | Command::Login(_)
            | Command::Lost(_)
            | Command::Logout(_)
            | Command::RequestWithdrawal(_)
            | Command::SubmitFixing(_)
            | Command::Batch(_)
            | Command::MassQuote(_)
            | Command::ResetMmp(_)
            | Command::BidOffer(_)
            | Command::Report(_)
            | Command::SubmitHeader(_)
            | Command::SignValue(_)
            | Command::MarkEpoch
            | Command::Block(_)
            | Command::Rfq(_) => {
                unreachable!("apply sends only administrative commands here")
            }
        }
    }

    /// Same id and content: the first answer. Same id, other content: a conflict.
    fn once<T: bincode::Encode>(
        &mut self,
        request: &Request<T>,
        out: &mut Vec<Event>,
        run: impl FnOnce(&mut Self, &T, &mut Vec<Event>) -> Outcome,
    ) {
        if let Err(problem) = check_text(&request.note, Field::Request) {
            out.push(Event::Refused(Refused {
                to: Address::default(),
                problem,
            }));
            return;
        }
        let print = super::digest::encoded(&request.body, fingerprint);
        if request.id != 0
            && let Some((first_print, first)) = self.requests.get(&request.key_id, request.id)
        {
            if first_print == print {
                out.push(Event::Done(first));
            } else {
                let problem = Problem::about(Reason::RequestIdConflict, Field::Request);
                out.push(Event::Refused(Refused {
                    to: Address::default(),
                    problem,
                }));
            }
            return;
        }
        match run(self, &request.body, out) {
            Ok(done) => {
                out.push(Event::Done(done));
                if request.id != 0 {
                    let first = Done {
                        first_seq: self.seq,
                        ..done
                    };
                    self.requests
                        .remember(&request.key_id, request.id, print, first);
                }
            }
            Err(problem) => {
                out.push(Event::Refused(Refused {
                    to: Address::default(),
                    problem,
                }));
            }
        }
    }

    fn create_asset(&mut self, asset: &Asset, _: &mut Vec<Event>) -> Outcome {
        check_name(&asset.symbol, Field::Symbol)?;
        check_room(self.assets.len(), limits::ASSETS)?;
        if asset.decimals > 18 || asset.min_withdrawal < 0 {
            return Err(Problem::about(Reason::InvalidField, Field::Amount));
        }
        if self.assets.iter().any(|known| known.symbol == asset.symbol) {
            return Err(Problem::about(Reason::AlreadyExists, Field::Symbol));
        }
        self.assets.push(asset.clone());
        self.ledger.add_asset();
        self.reference_version += 1;
        Ok(made(AssetId::nth(self.assets.len() - 1).0))
    }

    fn create_commodity(&mut self, commodity: &Commodity, _: &mut Vec<Event>) -> Outcome {
        check_name(&commodity.symbol, Field::Symbol)?;
        check_room(self.commodities.len(), limits::REFERENCE_ROWS)?;
        check_text(&commodity.rate_unit, Field::Lot)?;
        check_room(commodity.coins.len(), 16)?;
        for coin in &commodity.coins {
            check_name(coin, Field::Commodity)?;
        }
        if commodity.rate_unit_hashes_per_second <= 0 {
            return Err(Problem::about(Reason::InvalidField, Field::Lot));
        }
        if self
            .commodities
            .iter()
            .any(|known| known.symbol == commodity.symbol)
        {
            return Err(Problem::about(Reason::AlreadyExists, Field::Symbol));
        }
        self.commodities.push(commodity.clone());
        self.reference_version += 1;
        Ok(made(CommodityId::nth(self.commodities.len() - 1).0))
    }

    fn create_index(&mut self, index: &Index, _: &mut Vec<Event>) -> Outcome {
        check_name(&index.name, Field::Name)?;
        check_text(&index.unit, Field::Index)?;
        check_room(self.indexes.len(), limits::REFERENCE_ROWS)?;
        if index
            .commodity
            .index()
            .is_none_or(|at| at >= self.commodities.len())
        {
            return Err(Problem::about(Reason::NotFound, Field::Commodity));
        }
        if index.quote.index().is_none_or(|at| at >= self.assets.len()) {
            return Err(Problem::about(Reason::NotFound, Field::Asset));
        }
        if self
            .indexes
            .iter()
            .any(|known| known.details.name == index.name)
        {
            return Err(Problem::about(Reason::AlreadyExists, Field::Name));
        }
        self.indexes.push(IndexState {
            details: index.clone(),
            value: None,
            rounds: [None; 2],
            at: Nanos::ZERO,
        });
        self.reference_version += 1;
        Ok(made(IndexId::nth(self.indexes.len() - 1).0))
    }

    fn create_firm(&mut self, firm: &NewFirm, _: &mut Vec<Event>) -> Outcome {
        check_name(&firm.code, Field::Firm)?;
        check_text(&firm.legal_name, Field::Name)?;
        check_text(&firm.lei, Field::Name)?;
        check_room(self.firms.len(), limits::REFERENCE_ROWS)?;
        if self
            .firms
            .iter()
            .any(|known| known.details.code == firm.code)
        {
            return Err(Problem::about(Reason::AlreadyExists, Field::Firm));
        }
        let id = FirmId::nth(self.firms.len());
        self.firms.push(Firm {
            id,
            killed: false,
            details: firm.clone(),
        });
        Ok(made(id.0))
    }

    fn create_account(&mut self, account: &NewAccount, out: &mut Vec<Event>) -> Outcome {
        check_name(&account.label, Field::Name)?;
        check_room(self.accounts.len(), limits::ACCOUNTS)?;
        if account.firm.index().is_none_or(|at| at >= self.firms.len()) {
            return Err(Problem::about(Reason::NotFound, Field::Firm));
        }
        let offsets = [account.maker_fee_offset, account.taker_fee_offset];
        if offsets.iter().any(|offset| !OFFSET_PPM.contains(offset)) {
            return Err(Problem::about(Reason::InvalidField, Field::Fee));
        }
        let id = self.open_account(account);
        out.push(Event::Access(id));
        Ok(made(id.0))
    }

    fn set_account_status(&mut self, set: &SetAccountStatus, out: &mut Vec<Event>) -> Outcome {
        let not_found = Problem::about(Reason::NotFound, Field::Account);
        let account = self.account(set.account).ok_or(not_found)?;
        if account.status == AccountStatus::Closed {
            return Err(Problem::about(Reason::IllegalTransition, Field::State));
        }
        let empty = self.orders_of(set.account).next().is_none()
            && self
                .positions
                .of(set.account)
                .all(crate::position::Position::is_flat)
            && self
                .ledger
                .balances(set.account)
                .all(|(_, b)| b.cash.0 == 0 && b.held.0 == 0)
            && !self.delivers(set.account);
        if set.status == AccountStatus::Closed && !empty {
            return Err(Problem::about(Reason::IllegalTransition, Field::Account));
        }
        let mut cancelled = 0;
        if set.cancel_open_orders {
            let slots = self.slots_where(set.account, |_| true);
            let (reason, nobody) = (Reason::Operator, crate::command::Origin::default());
            cancelled = self.cancel_slots(slots, reason, &nobody, out);
        }
        if let Some(account) = self.account_mut(set.account) {
            account.status = set.status;
        }
        out.push(Event::Access(set.account));
        Ok(Done {
            cancelled,
            ..made(set.account.0)
        })
    }

    fn create_key(&mut self, key: &NewKey, out: &mut Vec<Event>) -> Outcome {
        check_name(&key.key_id, Field::Key)?;
        check_text(&key.label, Field::Name)?;
        check_room(key.accounts.len(), limits::KEY_ACCOUNTS)?;
        check_room(self.keys.len(), limits::REFERENCE_ROWS)?;
        if key.firm.index().is_none_or(|at| at >= self.firms.len()) {
            return Err(Problem::about(Reason::NotFound, Field::Firm));
        }
        if self
            .keys
            .iter()
            .any(|known| known.details.key_id == key.key_id)
        {
            return Err(Problem::about(Reason::AlreadyExists, Field::Key));
        }
        for account in &key.accounts {
            if self
                .account(*account)
                .is_none_or(|account| account.firm != key.firm)
            {
                let actual = i64::from(account.0);
                return Err(Problem::limit(Reason::NotFound, Field::Account, 0, actual));
            }
        }
        self.keys.push(Key {
            details: key.clone(),
            revoked: false,
        });
        out.push(Event::Access(AccountId::NONE));
        Ok(made(u32::try_from(self.keys.len()).unwrap_or(u32::MAX)))
    }

    fn revoke_key(&mut self, revoke: &RevokeKey, out: &mut Vec<Event>) -> Outcome {
        let key = self
            .keys
            .iter_mut()
            .find(|key| key.details.key_id == revoke.key_id);
        key.ok_or(Problem::about(Reason::NotFound, Field::Key))?
            .revoked = true;
        let mut cancelled = 0;
        if revoke.cancel_open_orders {
            cancelled = self.cancel_of_key(&revoke.key_id, out);
        }
        out.push(Event::Access(AccountId::NONE));
        Ok(Done {
            cancelled,
            ..made(0)
        })
    }

    fn create_instrument(&mut self, terms: &Terms, out: &mut Vec<Event>) -> Outcome {
        check_room(self.instruments.len(), limits::INSTRUMENTS)?;
        let tick_value = self.check_terms(terms)?;
        let product = self.products.iter().position(|name| *name == terms.product);
        let product = ProductId::nth(product.unwrap_or(self.products.len()));
        if product.index() == Some(self.products.len()) {
            self.products.push(terms.product.clone());
        }
        let index = terms.index.index().and_then(|at| self.indexes.get(at));
        let value = index.and_then(|index| index.value);
        let mark = value
            .and_then(|value| value.ratio(terms.tick_size))
            .map(|t| Ticks(t.max(1)));
        let id = InstrumentId::nth(self.instruments.len());
        self.reference_version += 1;
        // A combination's follows from its legs once it is tied to them.
        let mark = match terms.kind.is_combination() {
            true => Ticks(1),
            false => mark.unwrap_or(terms.reference),
        };
        let rates = terms.margin.rates();
        let at_mark = AtMark::of(terms, rates, tick_value, mark);
        self.instruments.push(Instrument {
            id,
            terms: terms.clone(),
            product,
            tick_value,
            settled_until: terms.window.start,
            state: TradingState::Closed,
            state_reason: Reason::Schedule,
            scheduled: None,
            reopens: Nanos::ZERO,
            version: self.reference_version,
            mark,
            at_mark,
            rates,
            family: 0,
            public_seq: 1,
            statistics: Statistics::default(),
            anchor: value.map(|value| (mark, value)),
            followers: 0,
            combined: false,
        });
        self.stops.push(super::stops::Stops::default());
        self.pegs.push(Vec::new());
        self.books.push(crate::book::Book::default());
        self.auctions.push(super::auction::Auction::default());
        let window = super::volatility::Window::new(&terms.volatility);
        self.windows.push(window);
        self.positions.add_instrument();
        self.link(id);
        self.join_family(id);
        let contract = self.contract(id);
        let (mark, band) = (contract.mark, contract.at_mark.band);
        self.timers.set(terms.last_trade, Timer::LastTrade(id));
        if terms.kind == crate::instrument::Kind::Forward && terms.cascade.is_empty() {
            self.timers.set(terms.window.start, Timer::Window(id));
        }
        out.push(Event::Listed(id));
        out.push(Event::Statistics(StatisticsChange {
            instrument: id,
            public_seq: 1,
            statistics: Statistics::default(),
            mark,
            band,
        }));
        Ok(made(id.0))
    }

    /// Whether terms make a contract; answers with its tick value.
    pub(super) fn check_terms(&self, terms: &Terms) -> Result<crate::units::TickValue, Problem> {
        let invalid = |field| Err(Problem::about(Reason::InvalidField, field));
        check_name(&terms.symbol, Field::Symbol)?;
        check_name(&terms.product, Field::Product)?;
        if self
            .instruments
            .iter()
            .any(|known| known.terms.symbol == terms.symbol)
        {
            return Err(Problem::about(Reason::AlreadyExists, Field::Symbol));
        }
        let not_found = |field| Problem::about(Reason::NotFound, field);
        let commodity = terms
            .commodity
            .index()
            .and_then(|at| self.commodities.get(at));
        let commodity = commodity.ok_or(not_found(Field::Commodity))?;
        let asset = terms.price_asset.index().and_then(|at| self.assets.get(at));
        let asset = asset.ok_or(not_found(Field::Asset))?;
        let index = terms.index.index().and_then(|at| self.indexes.get(at));
        let index = index.ok_or(not_found(Field::Index))?;
        if index.details.quote != terms.price_asset || index.details.commodity != terms.commodity {
            return invalid(Field::Index);
        }
        if !terms.cascade.is_empty() {
            self.check_cascade(terms)?;
        }
        if terms.kind.is_combination() {
            let tick_value = self.check_combined_terms(terms)?;
            check_text(&terms.price_unit, Field::TickSize)?;
            return Ok(tick_value);
        }
        if !terms.legs.is_empty() {
            return invalid(Field::Legs);
        }
        self.check_product(terms)?;
        if terms.window.start >= terms.window.end {
            return invalid(Field::Window);
        }
        // A forward's days begin to settle when its trading is over.
        let ends_by = match terms.kind {
            crate::instrument::Kind::Forward => terms.window.start,
            _ => terms.window.end,
        };
        if terms.last_trade <= self.at || terms.last_trade > ends_by {
            return invalid(Field::LastTrade);
        }
        let tick_value = terms.tick_value(commodity, asset)?;
        let entry = &terms.limits;
        let lots_fit =
            (1..=entry.max_lots).contains(&entry.min_lots) && entry.max_lots <= limits::ORDER_LOTS;
        let counts_fit = entry.max_open_orders > 0
            && (1..=limits::MONEY_MINOR).contains(&entry.max_notional)
            && (0..=limits::ORDER_LOTS).contains(&entry.position_limit)
            && (0..=limits::ORDER_LOTS).contains(&entry.min_display);
        if !lots_fit || !counts_fit {
            return invalid(Field::Limit);
        }
        if !(1..10_000).contains(&entry.band_basis_points) {
            return invalid(Field::Band);
        }
        let margin = &terms.margin;
        let shares = [
            margin.initial_buy,
            margin.initial_sell,
            margin.maintenance_of_initial,
            margin.delivery_bond,
        ];
        if shares
            .iter()
            .any(|share| !(0..=10_000_000).contains(&share.0))
        {
            return invalid(Field::Margin);
        }
        let fees = [terms.maker_fee.0, terms.taker_fee.0];
        let fees_fit = fees.iter().all(|fee| FEE_PPM.contains(fee)) && fees[0] + fees[1] >= 0;
        if !fees_fit || fees[1] < 0 {
            return invalid(Field::Fee);
        }
        // A fill at the band's edge must be covered by the margin it frees (MONEY-09).
        let fee = fees[0].max(fees[1]) + OFFSET_PPM.end();
        let band = entry.band_basis_points * 100 + fee;
        let forward = terms.kind == crate::instrument::Kind::Forward;
        if forward && margin.initial_buy.0.min(margin.initial_sell.0) < band {
            let least = i64::from(margin.initial_buy.0.min(margin.initial_sell.0));
            return Err(Problem::limit(
                Reason::InvalidField,
                Field::Margin,
                band.into(),
                least,
            ));
        }
        if !(1..=limits::MARK_TICKS).contains(&terms.reference.0) {
            return invalid(Field::Price);
        }
        let mark = index.value.map(|value| value.ratio(terms.tick_size));
        if mark.is_some_and(|mark| mark.is_none_or(|mark| mark > limits::MARK_TICKS)) {
            return invalid(Field::TickSize);
        }
        let volatility = &terms.volatility;
        let checked = limits::VOLATILITY_WINDOW_MS.contains(&volatility.window_ms)
            && (1..1_000_000).contains(&volatility.move_ppm);
        if !checked && *volatility != crate::instrument::Volatility::default() {
            return invalid(Field::Volatility);
        }
        check_text(&terms.price_unit, Field::TickSize)?;
        Ok(tick_value)
    }

    fn set_trading_state(&mut self, set: &SetTradingState, out: &mut Vec<Event>) -> Outcome {
        let covered: Vec<InstrumentId> = self
            .instruments
            .iter()
            .filter(|contract| match set.scope {
                StateScope::Instrument(id) => contract.id == id,
                StateScope::Product(product) => contract.product == product,
                // A venue-wide call leaves out what has none.
                StateScope::All => !is_call(set.target) || self.has_calls(contract.id),
            })
            .filter(|contract| {
                contract.terms.last_trade > self.at
                    || matches!(set.scope, StateScope::Instrument(_))
            })
            .map(|contract| contract.id)
            .collect();
        if covered.is_empty() {
            return Err(Problem::about(Reason::NotFound, Field::Instrument));
        }
        let over = |id: &InstrumentId| self.contract(*id).terms.last_trade <= self.at;
        // The last two come by time and fixings alone.
        let given = matches!(set.target, TradingState::InDelivery | TradingState::Settled);
        let begun = |id: &InstrumentId| {
            let state = self.contract(*id).state;
            matches!(state, TradingState::InDelivery | TradingState::Settled)
        };
        if given
            || covered.iter().any(begun)
            || set.target != TradingState::Closed && covered.iter().any(over)
        {
            return Err(Problem::about(Reason::IllegalTransition, Field::State));
        }
        let halted = covered
            .iter()
            .any(|id| self.waits_for_index(*id, set.target));
        if halted && set.effective <= self.at {
            return Err(Problem::about(Reason::IndexUnavailable, Field::State));
        }
        if is_call(set.target) && !covered.iter().all(|id| self.has_calls(*id)) {
            return Err(Problem::about(Reason::IllegalTransition, Field::State));
        }
        let mut cancelled = 0;
        let count = u32::try_from(covered.len()).unwrap_or(u32::MAX);
        for id in covered {
            if set.effective > self.at {
                let change = Scheduled {
                    at: set.effective,
                    state: set.target,
                    reason: set.reason,
                    cancel_open_orders: set.cancel_open_orders,
                };
                self.schedule(id, change, out);
                continue;
            }
            self.unschedule(id);
            self.forget_reopening(id);
            if set.cancel_open_orders {
                cancelled += self.clear_into(id, set.target, set.reason, out);
            } else {
                self.change_state(id, set.target, set.reason, out);
            }
        }
        Ok(Done {
            count,
            cancelled,
            ..made(0)
        })
    }
}
