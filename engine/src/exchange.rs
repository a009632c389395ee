//! The exchange as a function: numbered, stamped commands in, events out.
//!
//! There is one door, [`Exchange::apply`]. Nothing behind it reads a clock, draws a number at random,
//! depends on the order of a hash map, or does any I/O. Each command is first decided (`admission.rs`)
//! and then done (`matching.rs`, `amend.rs`, ...); after the decision nothing can fail.

use std::collections::BTreeSet;

use crate::{
    book::Book,
    command::{Command, Origin, Side, Stamped},
    event::{
        Address, BalanceRow, Event, Fill, LevelChange, OrderEvent, OrderEventKind, PositionRow,
        Refused, StatisticsChange,
    },
    ids::{AccountId, FirmId, InstrumentId, Seq, SessionId},
    instrument::{Asset, Commodity, Instrument},
    ledger::Ledger,
    order::{Order, Orders},
    position::Positions,
    reason::{Problem, Reason},
    units::{Lots, Nanos, Ticks},
};
mod admin;
mod admission;
mod ahead;
mod amend;
mod auction;
mod audit;
mod batch;
mod blocks;
mod clearing;
mod client_ids;
mod clock;
mod combinations;
mod delivery;
mod digest;
mod exits;
mod implied;
mod legs;
mod margins;
mod marks;
mod matching;
mod off_book;
pub mod oracle;
mod pegs;
mod preview;
mod protection;
mod quotes;
mod reducing;
mod remembered;
mod rfq;
mod roots;
mod saved;
mod sessions;
pub mod states;
mod stops;
mod switches;
mod tables;
mod timers;
mod transfers;
mod volatility;

pub use auction::Found;
pub use blocks::Block;
pub use clearing::{Bid, Offer};
pub use client_ids::{ClientIds, FirstResult};
pub(crate) use digest::encoding;
pub use exits::ExitRequest;
pub use margins::{Asked, Family};
pub use preview::{Parts, Preview};
pub use protection::{Group, GroupFill};
pub use remembered::RequestIds;
use remembered::Withdrawals;
pub use rfq::{Acceptance, Rfq, RfqQuote};
pub use roots::{ChainDeposits, Epochs, Issued, Owner};
pub use tables::{Account, Firm, IndexState, Key, Presence, Session, Transfer, TransferState};
pub use timers::Timer;

/// The whole state of the exchange.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    seq: Seq,
    at: Nanos,
    assets: Vec<Asset>,
    commodities: Vec<Commodity>,
    indexes: Vec<IndexState>,
    products: Vec<String>,
    firms: Vec<Firm>,
    keys: Vec<Key>,
    accounts: Vec<Account>,
    sessions: Vec<Session>,
    transfers: Vec<Transfer>,
    withdrawals: Withdrawals,
    instruments: Vec<Instrument>,
    books: Vec<Book>,
    /// Stops that wait, by contract.
    stops: Vec<stops::Stops>,
    /// Pegged orders, by contract, in order of acceptance.
    pegs: Vec<Vec<u32>>,
    auctions: Vec<auction::Auction>,
    windows: Vec<volatility::Window>,
    /// What each contract has to do with combinations.
    links: Vec<combinations::Links>,
    /// Contracts in a call.
    calls: BTreeSet<InstrumentId>,
    orders: Orders,
    positions: Positions,
    ledger: Ledger,
    deliveries: delivery::Deliveries,
    client_ids: ClientIds,
    requests: RequestIds,
    timers: timers::Timers,
    /// Sources, what they said, and rounds.
    oracle: oracle::Oracle,
    reducing: reducing::Reducing,
    commitments: roots::Commitments,
    /// Requests to leave, filed on the chain.
    exits: exits::Exits,
    /// Margin of whole families of forwards.
    margins: margins::Margins,
    reference_version: u64,
    priorities: u64,
    trades: u64,
    /// Days of positions settled.
    settlements: u64,
    /// Who has not enough.
    defaults: clearing::Defaults,
    /// Trades agreed off the book.
    blocks: blocks::Blocks,
    /// Requests for quote.
    rfqs: rfq::Rfqs,
    /// Nobody may enter orders.
    killed: bool,
    /// Trades that the present command may still make (ORDER-16).
    trades_left: usize,
    /// Item of the present batch, with the batch's account and session.
    step: Option<(u16, AccountId, SessionId)>,
    /// Room for a mass quote's answers, empty between commands.
    quoting: quotes::Scratch,
    /// Levels that the present command changed.
    touched_levels: Vec<(InstrumentId, Side, Ticks)>,
    /// Contracts whose statistics the present command changed.
    touched_statistics: Vec<InstrumentId>,
    /// Contracts with stops or pegged orders whose prices the present command changed.
    stirred: Vec<InstrumentId>,
    /// Contracts where a stop began to wait, or more are due.
    woken: Vec<InstrumentId>,
    /// Working room for the pegged orders of one contract.
    moving: Vec<u32>,
    /// Contracts whose call the present command began, or whose price it may tell again.
    called: Vec<InstrumentId>,
    /// Trades that auctions may still make in the present command.
    uncross_left: usize,
    /// Debug builds do not recount the books now and then.
    unaudited: bool,
}

impl Exchange {
    /// An empty exchange, before its first command.
    #[must_use]
    pub fn new() -> Self {
        let mut exchange = Self::default();
        exchange.open_house();
        exchange.trades_left = crate::limits::TRADES_PER_COMMAND;
        exchange
    }

    /// Makes room for so many client order ids and orders before the first one comes, and for what a
    /// command may change, so that the first hours of trading take no memory from the system either. A
    /// copy has to ask for its own.
    pub fn reserve(&mut self, client_ids: usize, orders: usize) {
        // A trade changes one level, one maker and one position more.
        let changes = 2 * crate::limits::TRADES_PER_COMMAND;
        self.client_ids.reserve(client_ids);
        self.orders.reserve(orders);
        self.touched_levels.reserve(changes);
        self.touched_statistics.reserve(changes);
        self.ledger.reserve(changes);
        self.positions.reserve(changes);
    }

    /// Leaves out the recounts that debug builds make now and then, for tests that measure what the
    /// exchange itself does.
    pub fn skip_audits(&mut self) {
        self.unaudited = true;
    }

    /// Applies one command; appends what happened to `out`.
    ///
    /// # Panics
    /// If the command is not the next one, or time stands still: the journal is broken, and nothing may
    /// be told. In debug builds also if money is not conserved.
    pub fn apply(&mut self, stamped: &Stamped, out: &mut Vec<Event>) {
        assert_eq!(stamped.seq, self.seq + 1, "commands come without a gap");
        assert!(stamped.at > self.at, "time moves with every command");
        self.seq = stamped.seq;
        self.at = stamped.at;
        self.uncross_left = crate::limits::TRADES_PER_COMMAND;
        self.trades_left = crate::limits::TRADES_PER_COMMAND;
        match &stamped.command {
            Command::Tick => self.tick(out),
            Command::Restart(restart) => self.restart(restart, out),
            Command::Place(place) => self.place(place, out),
            Command::Replace(replace) => self.replace(replace, out),
            Command::Cancel(cancel) => self.cancel(cancel, out),
            Command::MassCancel(mass) => self.mass_cancel(mass, out),
            Command::SetCancelTimer(timer) => self.set_cancel_timer(timer, out),
            Command::SetOrderEntry(entry) => self.set_order_entry(entry, out),
            Command::Login(login) => self.login(login, out),
            Command::Lost(lost) => self.lost(lost, out),
            Command::Logout(logout) => self.logout(logout, out),
            Command::CreateAsset(_)
            | Command::CreateCommodity(_)
            | Command::CreateIndex(_)
            | Command::CreateFirm(_)
            | Command::CreateAccount(_)
            | Command::SetAccountStatus(_)
            | Command::CreateKey(_)
            | Command::RevokeKey(_)
            | Command::CreateInstrument(_)
            | Command::SetTradingState(_)
            | Command::CreditDeposit(_)
            | Command::ResolveWithdrawal(_)
            | Command::SetMmpGroup(_)
            | Command::SetKillSwitch(_)
            | Command::SetDefaultTerms(_)
            | Command::SetFeed(_)
            | Command::SetSource(_)
            | Command::SetMethod(_)
            | Command::Delivery(_)
            | Command::SetAccountOwner(_)
            | Command::CreditChainDeposit(_)
            | Command::ServeExit(_)
            | Command::SetMarginMethod(_) => self.administer(&stamped.command, out),
            Command::RequestWithdrawal(request) => self.request_withdrawal(request, out),
            Command::SubmitFixing(fixing) => self.submit_fixing(fixing, out),
            Command::Batch(batch) => self.batch(batch, out),
            Command::MassQuote(quote) => self.mass_quote(quote, out),
            Command::ResetMmp(reset) => self.reset_mmp(reset, out),
            Command::BidOffer(bid) => self.bid_offer(bid, out),
            Command::Report(report) => self.report(report, out),
            Command::SubmitHeader(header) => self.submit_header(header, out),
            Command::SignValue(value) => self.sign_value(value, out),
            Command::MarkEpoch => self.mark_epoch(out),
            Command::Block(wish) => self.block(wish, out),
            Command::Rfq(wish) => self.rfq_wish(wish, out),
        }
        if !self.stirred.is_empty() || !self.woken.is_empty() {
            self.release_stops(out);
            self.move_pegs(out);
        }
        self.tell_auctions(out);
        // Previews between commands look at a whole command's room.
        self.trades_left = crate::limits::TRADES_PER_COMMAND;
        self.tell_changes(out);
        assert!(
            self.ledger.is_conserved(),
            "money is conserved after command {}",
            self.seq
        );
        if cfg!(debug_assertions) && !self.unaudited {
            self.audit_now_and_then();
        }
    }

    /// Number of the newest command.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Time of the newest command.
    #[must_use]
    pub fn at(&self) -> Nanos {
        self.at
    }

    /// When the next timer falls due. A Tick must come before any command stamped later than this.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.timers.next()
    }

    /// Assets, by number.
    #[must_use]
    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }

    /// Commodities, by number.
    #[must_use]
    pub fn commodities(&self) -> &[Commodity] {
        &self.commodities
    }

    /// Indexes, by number.
    #[must_use]
    pub fn indexes(&self) -> &[IndexState] {
        &self.indexes
    }

    /// Names of products, by number.
    #[must_use]
    pub fn products(&self) -> &[String] {
        &self.products
    }

    /// Firms, by number.
    #[must_use]
    pub fn firms(&self) -> &[Firm] {
        &self.firms
    }

    /// Keys, in order of registration.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Accounts, by number; the venue's own first.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// One account.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(id.index()?)
    }

    /// Sessions, by number.
    #[must_use]
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// One session.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(id.index()?)
    }

    /// Deposits and withdrawals, by number.
    #[must_use]
    pub fn transfers(&self) -> &[Transfer] {
        &self.transfers
    }

    /// Contracts, by number.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// One contract.
    #[must_use]
    pub fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instruments.get(id.index()?)
    }

    /// Book of a contract.
    #[must_use]
    pub fn book(&self, id: InstrumentId) -> Option<&Book> {
        self.books.get(id.index()?)
    }

    /// All orders.
    #[must_use]
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Open orders of an account, in order of entry.
    pub fn orders_of(&self, account: AccountId) -> impl Iterator<Item = &Order> {
        let list = self
            .account(account)
            .map(|account| account.orders)
            .unwrap_or_default();
        self.orders.of(list)
    }

    /// Client order ids.
    #[must_use]
    pub fn client_ids(&self) -> &ClientIds {
        &self.client_ids
    }

    /// Balances.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Positions.
    #[must_use]
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// Grows with every change of reference data.
    #[must_use]
    pub fn reference_version(&self) -> u64 {
        self.reference_version
    }

    /// A position as it is told.
    #[must_use]
    pub fn position_row(&self, position: &crate::position::Position) -> PositionRow {
        position_row(position, self.contract(position.instrument))
    }

    /// A contract that admission has found.
    fn contract(&self, id: InstrumentId) -> &Instrument {
        &self.instruments[id.index().unwrap_or(usize::MAX)]
    }

    fn contract_mut(&mut self, id: InstrumentId) -> &mut Instrument {
        &mut self.instruments[id.index().unwrap_or(usize::MAX)]
    }

    fn account_mut(&mut self, id: AccountId) -> Option<&mut Account> {
        self.accounts.get_mut(id.index()?)
    }

    fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id.index()?)
    }

    fn firm_of(&self, account: AccountId) -> FirmId {
        self.account(account)
            .map(|account| account.firm)
            .unwrap_or_default()
    }

    /// Next place in a session's numbering; 0 without a session.
    fn address(&mut self, account: AccountId, session: SessionId, client_seq: u64) -> Address {
        let event_seq = self.session_mut(session).map_or(0, |session| {
            session.last_event_seq += 1;
            session.last_event_seq
        });
        let client_seq = if event_seq == 0 { 0 } else { client_seq };
        Address {
            account,
            session,
            event_seq,
            client_seq,
            item: self.item_for(account, session, client_seq),
        }
    }

    /// Tells a commander that its command had no effect.
    fn refuse(&mut self, origin: &Origin, problem: Problem, out: &mut Vec<Event>) {
        let to = self.address(origin.account, origin.session, origin.client_seq);
        out.push(Event::Refused(Refused { to, problem }));
    }

    /// What an order shows of itself, if it is an iceberg (ORDER-17).
    fn iceberg(&self, slot: u32) -> Lots {
        let order = self.orders.at(slot);
        match order.terms.display {
            Lots::ZERO => Lots::ZERO,
            _ if !order.is_open() => Lots::ZERO,
            _ if order.resting => self.orders.nodes().at(slot).lots,
            _ => order.visible(order.open),
        }
    }

    /// Tells an order's session, and the commander if that is another session of the account.
    fn tell(&mut self, slot: u32, news: News, commander: &Origin, out: &mut Vec<Event>) {
        let order = self.orders.at_mut(slot);
        order.updated_at = self.at;
        order.updated_seq = self.seq;
        let (account, session) = (order.account, order.session);
        let client_seq = if session == commander.session {
            commander.client_seq
        } else {
            0
        };
        let to = self.address(account, session, client_seq);
        let shown = self.iceberg(slot);
        describe(event_of_order(out), self.orders.at(slot), shown, to, &news);
        let by_other_session = commander.session.is_set()
            && commander.session != session
            && commander.account == account;
        if by_other_session {
            let to = self.address(account, commander.session, commander.client_seq);
            let event = event_of_order(out);
            describe(event, self.orders.at(slot), shown, to, &news);
            event.copy = true;
        }
    }

    /// Tells what the command did to levels, statistics, balances and positions, each once.
    fn tell_changes(&mut self, out: &mut Vec<Event>) {
        if self.touched_levels.len() > 1 {
            self.touched_levels.sort_unstable();
            self.touched_levels.dedup();
        }
        // By place and not by iterator: what tells must not be taken out and put back each time.
        for place in 0..self.touched_levels.len() {
            let (id, side, price) = self.touched_levels[place];
            let index = id.index().unwrap_or(usize::MAX);
            let level = self.books[index].level(side, price);
            let instrument = &mut self.instruments[index];
            instrument.public_seq += 1;
            out.push(Event::Level(LevelChange {
                instrument: id,
                public_seq: instrument.public_seq,
                side,
                price,
                lots: Lots(level.map_or(0, |level| level.lots)),
                orders: level.map_or(0, |level| level.orders),
            }));
        }
        self.touched_levels.clear();

        if self.touched_statistics.len() > 1 {
            self.touched_statistics.sort_unstable();
            self.touched_statistics.dedup();
        }
        for place in 0..self.touched_statistics.len() {
            let id = self.touched_statistics[place];
            let instrument = self.contract_mut(id);
            instrument.public_seq += 1;
            out.push(Event::Statistics(StatisticsChange {
                instrument: id,
                public_seq: instrument.public_seq,
                statistics: instrument.statistics,
                mark: instrument.mark,
                band: instrument.at_mark.band,
            }));
        }
        self.touched_statistics.clear();

        self.ledger.take_touched(|account, asset, balance| {
            out.push(Event::Balance(BalanceRow {
                account,
                asset,
                cash: balance.cash,
                held: balance.held,
                margin: balance.margin,
                result: balance.result,
            }));
        });
        let instruments = &self.instruments;
        self.positions.take_touched(|position| {
            let contract = &instruments[position.instrument.index().unwrap_or(usize::MAX)];
            out.push(Event::Position(position_row(position, contract)));
        });
    }

    fn touch_level(&mut self, instrument: InstrumentId, side: Side, price: Ticks) {
        self.touched_levels.push((instrument, side, price));
        self.stir(instrument);
    }

    /// A price of the contract may have changed that stops or pegged orders follow.
    fn stir(&mut self, instrument: InstrumentId) {
        if self.contract(instrument).followers > 0 {
            self.stirred.push(instrument);
        }
    }
}

fn position_row(position: &crate::position::Position, contract: &Instrument) -> PositionRow {
    PositionRow {
        account: position.account,
        instrument: position.instrument,
        net: position.net,
        open_buy: position.open_buy,
        open_sell: position.open_sell,
        cost: position.cost,
        realised: position.realised_total(contract),
        unrealised: position.unrealised_at(contract),
        result: position.result,
        requirement: position.requirement,
    }
}

/// What is new about an order.
#[derive(Clone, Copy, Debug)]
struct News {
    kind: OrderEventKind,
    problem: Option<Problem>,
    priority_lost: bool,
    fill: Option<Fill>,
}

impl News {
    fn plain(kind: OrderEventKind) -> Self {
        Self {
            kind,
            problem: None,
            priority_lost: false,
            fill: None,
        }
    }

    fn because(kind: OrderEventKind, reason: Reason) -> Self {
        Self {
            problem: Some(Problem::new(reason)),
            ..Self::plain(kind)
        }
    }
}

/// Appends an order event to be filled in where it lies. Built elsewhere and copied, it would be read in
/// wide pieces just after it was written in narrow ones, for which the processor makes everybody wait.
fn event_of_order(out: &mut Vec<Event>) -> &mut OrderEvent {
    out.push(Event::Order(OrderEvent::BLANK));
    match out.last_mut() {
        Some(Event::Order(event)) => event,
        _ => unreachable!("it was appended just now"),
    }
}

/// Fills in a blank event.
fn describe(event: &mut OrderEvent, order: &Order, shown: Lots, to: Address, news: &News) {
    event.to = to;
    event.kind = news.kind;
    event.status = order.status;
    if news.problem.is_some() {
        event.problem = news.problem;
    }
    event.order_id = order.id;
    event.client_order_id = order.terms.client_order_id;
    event.instrument = order.terms.instrument;
    event.side = order.terms.side;
    event.price = order.price;
    event.total = order.total;
    event.filled = order.filled;
    event.open = if order.lives() { order.open } else { Lots(0) };
    event.priority_lost = news.priority_lost;
    event.priority = order.priority;
    event.cancel_group = order.terms.cancel_group;
    event.display = shown;
    event.mmp_group = order.terms.mmp_group;
    event.quote = order.quote;
    event.tag = order.terms.tag;
    if news.fill.is_some() {
        event.fill = news.fill;
    }
}
