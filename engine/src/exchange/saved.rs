//! The whole exchange as bytes, and back.
//!
//! What can influence any future event is saved, or follows from what is. Patterns without `..` make the
//! compiler ask about every new field.

use std::io;

use bincode::{Decode, Encode};

use super::{
    Account, Exchange, Withdrawals, auction, client_ids::ClientIds, combinations, oracle::Oracle,
    protection, reducing, remembered::RequestIds, stops, timers::Timers, volatility::Window,
};
use crate::{
    book::{Book, Node},
    command::{AccountKind, AccountStatus, Pricing, Selection, Side},
    ids::{AccountId, FirmId, InstrumentId, SessionId},
    instrument::Instrument,
    ledger::Ledger,
    limits,
    order::{Order, Orders, OwnerList},
    position::Positions,
    saved::{LoadError, Loader, Saver, Section},
    units::{Lots, Nanos, Ticks},
};

/// Beyond every price and every quantity that an order can have, and far from the ends of the integers.
const FAR: u64 = 1 << 60;

#[derive(Encode, Decode)]
struct Counters {
    seq: u64,
    at: Nanos,
    reference_version: u64,
    priorities: u64,
    trades: u64,
    settlements: u64,
    entries: u64,
    killed: bool,
}

/// An account without its protection groups.
#[derive(Encode, Decode)]
struct SavedAccount {
    id: AccountId,
    firm: FirmId,
    maker_fee_offset: i32,
    taker_fee_offset: i32,
    orders: OwnerList,
    kind: AccountKind,
    status: AccountStatus,
    blocked: bool,
    killed: bool,
    firm_killed: bool,
    created_at: Nanos,
    label: String,
    cancel_timer: Option<(Nanos, SessionId, Selection)>,
    sessions: Vec<SessionId>,
}

impl Exchange {
    /// Writes the whole state, in one encoding for equal states, through a small buffer.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn save(&self, out: &mut impl io::Write) -> io::Result<()> {
        let Self {
            seq,
            at,
            assets,
            commodities,
            indexes,
            products,
            firms,
            keys,
            accounts,
            sessions,
            transfers,
            // Follow from the transfers.
            withdrawals: _,
            instruments,
            books,
            stops,
            pegs,
            auctions,
            windows,
            links,
            calls,
            orders,
            positions,
            ledger,
            deliveries,
            client_ids,
            requests,
            timers,
            oracle,
            // Follow from the orders.
            reducing: _,
            commitments,
            exits,
            margins,
            reference_version,
            priorities,
            trades,
            settlements,
            defaults,
            blocks,
            rfqs,
            killed,
            // The rest is of the present command, and there is none.
            trades_left: _,
            uncross_left: _,
            step,
            quoting: _,
            touched_levels,
            touched_statistics,
            stirred,
            woken,
            moving,
            called,
            // Not state, but what a test wishes.
            unaudited: _,
        } = self;
        debug_assert!(
            touched_levels.is_empty()
                && touched_statistics.is_empty()
                && [stirred, woken, called].iter().all(|list| list.is_empty())
                && moving.is_empty()
                && step.is_none(),
            "saved between two commands"
        );
        let mut saver = Saver::begin(out);
        saver.section(Section::Counters, 1)?;
        saver.item(&Counters {
            seq: *seq,
            at: *at,
            reference_version: *reference_version,
            priorities: *priorities,
            trades: *trades,
            settlements: *settlements,
            entries: ledger.entries(),
            killed: *killed,
        })?;
        saver.items(Section::Assets, assets.iter())?;
        saver.items(Section::Commodities, commodities.iter())?;
        saver.items(Section::Indexes, indexes.iter())?;
        saver.items(Section::Products, products.iter())?;
        saver.items(Section::Firms, firms.iter())?;
        saver.items(Section::Keys, keys.iter())?;
        save_accounts(accounts, &mut saver)?;
        saver.items(Section::Sessions, sessions.iter())?;
        saver.items(Section::Transfers, transfers.iter())?;
        requests.save(&mut saver)?;
        saver.items(Section::Instruments, instruments.iter())?;
        combinations::saved::save(links, &mut saver)?;
        saver.items(Section::Windows, windows.iter())?;
        auction::saved::save(auctions, &mut saver)?;
        saver.items(Section::Calls, calls.iter())?;
        positions.save(&mut saver)?;
        ledger.save(&mut saver)?;
        orders.save(&mut saver)?;
        save_books(books, orders, &mut saver)?;
        stops::saved::save(stops, &mut saver)?;
        saver.section(Section::Pegs, pegs.iter().map(Vec::len).sum())?;
        for slot in pegs.iter().flatten() {
            saver.item(slot)?;
        }
        auction::saved::save_waiting(auctions, &mut saver)?;
        protection::saved::save(accounts, &mut saver)?;
        deliveries.save(&mut saver)?;
        client_ids.save(&mut saver)?;
        timers.save(&mut saver)?;
        defaults.save(&mut saver)?;
        oracle.save(&mut saver)?;
        commitments.save(&mut saver)?;
        exits.save(&mut saver)?;
        margins.save(&mut saver)?;
        blocks.save(&mut saver)?;
        rfqs.save(&mut saver)?;
        saver.end()
    }

    /// Reads what [`Self::save`] wrote, to the end of `from`. The copy has no more room than it needs:
    /// ask for it with [`Self::reserve`].
    ///
    /// # Errors
    /// What is wrong with the bytes, and in which section. They never make it panic, and never ask for
    /// much more memory than there are bytes.
    pub fn load(from: &mut impl io::Read) -> Result<Self, LoadError> {
        let mut loader = Loader::begin(from)?;
        let mut exchange = Self::default();
        let counters: Counters = loader.one(Section::Counters)?;
        exchange.load_reference(&mut loader)?;
        exchange.load_accounts(&mut loader)?;
        exchange.load_contracts(&mut loader)?;
        let (accounts, contracts) = (exchange.accounts.len(), exchange.instruments.len());
        let positions = Positions::load(&mut loader, accounts, contracts)?;
        let rows = (accounts, exchange.assets.len());
        exchange.ledger = Ledger::load(&mut loader, rows, counters.entries)?;
        let fits = |order: &Order| positions.is_at(order.position, order);
        exchange.orders.load(&mut loader, fits)?;
        exchange.positions = positions;
        exchange.load_books(&mut loader)?;
        exchange.load_groups(&mut loader)?;
        exchange.load_deliveries(&mut loader)?;
        exchange.client_ids = ClientIds::load(&mut loader, accounts)?;
        exchange.timers = Timers::load(&mut loader)?;
        exchange.defaults = super::clearing::Defaults::load(&mut loader)?;
        exchange.oracle = Oracle::load(&mut loader, (exchange.indexes.len(), contracts))?;
        exchange.commitments =
            super::roots::Commitments::load(&mut loader, accounts, &exchange.transfers)?;
        let newest = exchange.commitments.newest_epoch();
        exchange.exits = super::exits::Exits::load(&mut loader, accounts, newest)?;
        exchange.load_margins(&mut loader)?;
        exchange.load_blocks(&mut loader)?;
        exchange.load_rfqs(&mut loader)?;
        exchange.check_lists(&loader)?;
        loader.end()?;
        for order in exchange.orders.all().filter(|order| order.lives()) {
            let slot = order.id.slot().unwrap_or(crate::order::NIL);
            exchange.reducing.join(slot, order);
        }
        let Counters {
            seq,
            at,
            reference_version,
            priorities,
            trades,
            settlements,
            entries: _,
            killed,
        } = counters;
        (exchange.seq, exchange.at) = (seq, at);
        exchange.reference_version = reference_version;
        (exchange.priorities, exchange.trades) = (priorities, trades);
        exchange.settlements = settlements;
        exchange.killed = killed;
        exchange.trades_left = limits::TRADES_PER_COMMAND;
        Ok(exchange)
    }

    fn load_reference(&mut self, loader: &mut Loader<'_>) -> Result<(), LoadError> {
        const ROWS: usize = limits::REFERENCE_ROWS;
        self.assets = loader.table(Section::Assets, limits::ASSETS, |_, _| true)?;
        self.commodities = loader.table(Section::Commodities, ROWS, |_, _| true)?;
        self.indexes = loader.table(Section::Indexes, ROWS, |_, _| true)?;
        self.products = loader.table(Section::Products, ROWS, |_, _| true)?;
        self.firms = loader.table(Section::Firms, ROWS, |place, firm: &super::Firm| {
            firm.id == FirmId::nth(place)
        })?;
        self.keys = loader.table(Section::Keys, ROWS, |_, _| true)?;
        Ok(())
    }

    fn load_accounts(&mut self, loader: &mut Loader<'_>) -> Result<(), LoadError> {
        let Self {
            accounts, firms, ..
        } = self;
        loader.each(
            Section::Accounts,
            limits::ACCOUNTS,
            |saved: SavedAccount| {
                let known = saved.firm.index().is_some_and(|index| index < firms.len());
                if saved.id != AccountId::nth(accounts.len()) || !known {
                    return Err(format!("account {:?} of {:?}", saved.id, saved.firm));
                }
                accounts.push(saved.account());
                Ok(())
            },
        )?;
        let known = |id: AccountId| self.account(id).is_some();
        let sessions = |place: usize, session: &super::Session| {
            session.id == SessionId::nth(place) && known(session.account)
        };
        let sessions = loader.table(Section::Sessions, limits::SESSIONS, sessions)?;
        let transfers = |place: usize, transfer: &super::Transfer| {
            let asset = transfer.asset.index();
            transfer.id as usize == place + 1
                && known(transfer.account)
                && asset.is_some_and(|index| index < self.assets.len())
        };
        let transfers = loader.table(Section::Transfers, limits::TRANSFERS, transfers)?;
        self.withdrawals = Withdrawals::among(&transfers);
        (self.sessions, self.transfers) = (sessions, transfers);
        self.requests = RequestIds::load(loader)?;
        Ok(())
    }

    fn load_contracts(&mut self, loader: &mut Loader<'_>) -> Result<(), LoadError> {
        let known = |place: usize, contract: &Instrument| {
            let terms = &contract.terms;
            let rows = [
                (terms.price_asset.index(), self.assets.len()),
                (terms.commodity.index(), self.commodities.len()),
                (contract.product.index(), self.products.len()),
            ];
            let mut rows = rows.into_iter();
            contract.id == InstrumentId::nth(place)
                && rows.all(|(index, rows)| index.is_some_and(|index| index < rows))
        };
        self.instruments = loader.table(Section::Instruments, limits::INSTRUMENTS, known)?;
        self.load_links(loader)?;
        let contracts = self.instruments.len();
        self.windows = loader.table(Section::Windows, contracts, |_, _: &Window| true)?;
        if self.windows.len() != contracts {
            let rows = self.windows.len();
            return Err(loader.damaged(format!("{rows} rows for {contracts} contracts")));
        }
        self.load_auctions(loader)?;
        loader.each(Section::Calls, contracts, |id: InstrumentId| {
            let known = id.index().is_some_and(|index| index < contracts);
            if !known || self.calls.last().is_some_and(|last| *last >= id) {
                return Err(format!("{id:?} is unknown or out of order"));
            }
            self.calls.insert(id);
            Ok(())
        })?;
        self.books.resize_with(contracts, Book::default);
        self.stops.resize_with(contracts, stops::Stops::default);
        self.pegs.resize_with(contracts, Vec::new);
        self.reducing = reducing::Reducing::default();
        Ok(())
    }

    /// Where each living order stands or waits: in exactly one place.
    fn load_books(&mut self, loader: &mut Loader<'_>) -> Result<(), LoadError> {
        let resting = self.load_queues(loader)?;
        let stops = self.load_stops(loader)?;
        let asleep = self.load_pegs(loader)?;
        let waiting = self.load_waiting(loader)?;
        let (somewhere, live) = (resting + stops + asleep + waiting, self.orders.live());
        if somewhere != live {
            let lost = format!("{somewhere} orders rest or wait, {live} live");
            return Err(loader.damaged(lost));
        }
        Ok(())
    }

    fn load_queues(&mut self, loader: &mut Loader<'_>) -> Result<usize, LoadError> {
        let (orders, books) = (&mut self.orders, &mut self.books);
        let mut seen = vec![false; orders.nodes().len()];
        let (mut last, mut count) = (Default::default(), 0);
        loader.each(Section::Books, seen.len(), |(slot, lots): (u32, Lots)| {
            let order = orders.living(slot)?;
            let (id, side, price) = (order.terms.instrument, order.terms.side, order.price);
            let fits = |number: i64| number.unsigned_abs() < FAR;
            let shown =
                lots > Lots::ZERO && lots <= order.open && order.open.0 <= limits::ORDER_LOTS;
            if !order.resting || order.waiting || !shown || !fits(price.0) {
                return Err(format!("slot {slot} shows {lots:?} of {:?}", order.open));
            }
            let now = (id, side == Side::Sell, rank(side, price));
            if std::mem::replace(&mut seen[slot as usize], true) || now < last {
                return Err(format!("slot {slot} is there twice or out of order"));
            }
            (last, count) = (now, count + 1);
            let node = Node::new(side, price, lots, order.account);
            books[id.index().unwrap_or(usize::MAX)].rest(orders.nodes_mut(), slot, node);
            Ok(())
        })?;
        let (orders, resting) = (self.orders.all(), |order: &&Order| order.resting);
        if orders.filter(resting).count() != count {
            return Err(loader.damaged(format!("{count} orders, more say that they rest")));
        }
        Ok(count)
    }

    /// How many sleep.
    fn load_pegs(&mut self, loader: &mut Loader<'_>) -> Result<usize, LoadError> {
        let (orders, pegs) = (&self.orders, &mut self.pegs);
        let (mut last, mut asleep) = (InstrumentId::NONE, 0);
        loader.each(Section::Pegs, usize::MAX, |slot: u32| {
            let order = orders.living(slot)?;
            let id = order.terms.instrument;
            let list = &mut pegs[id.index().unwrap_or(usize::MAX)];
            let right = matches!(order.terms.pricing, Pricing::Peg(_))
                && order.resting != order.waiting
                && order.terms.trigger.is_none();
            if !right || id < last || list.len() >= limits::PEGS || list.contains(&slot) {
                return Err(format!(
                    "slot {slot} is no peg, there twice or out of order"
                ));
            }
            (last, asleep) = (id, asleep + usize::from(order.waiting));
            list.push(slot);
            Ok(())
        })?;
        Ok(asleep)
    }

    /// Every living order stands in its account's list.
    fn check_lists(&self, loader: &Loader<'_>) -> Result<(), LoadError> {
        let mut listed = 0;
        for account in &self.accounts {
            let count = self.orders.check_list(account.id, account.orders);
            let wrong = |what| loader.damaged(format!("account {}: {what}", account.id.0));
            listed += count.map_err(wrong)?;
        }
        let live = self.orders.live();
        if listed != live {
            let lost = format!("{listed} orders have owners, {live} live");
            return Err(loader.damaged(lost));
        }
        Ok(())
    }
}

/// Better prices first.
fn rank(side: Side, price: Ticks) -> i64 {
    match side {
        Side::Buy => -price.0,
        Side::Sell => price.0,
    }
}

fn save_accounts(accounts: &[Account], saver: &mut Saver<'_>) -> io::Result<()> {
    saver.section(Section::Accounts, accounts.len())?;
    for account in accounts {
        let Account {
            id,
            firm,
            maker_fee_offset,
            taker_fee_offset,
            orders,
            // In sections of their own.
            groups: _,
            kind,
            status,
            blocked,
            killed,
            firm_killed,
            created_at,
            label,
            cancel_timer,
            sessions,
        } = account;
        saver.item(&(
            (id, firm, maker_fee_offset, taker_fee_offset, orders),
            (kind, status, blocked, killed, firm_killed),
            (created_at, label, cancel_timer, sessions),
        ))?;
    }
    Ok(())
}

impl SavedAccount {
    fn account(self) -> Account {
        Account {
            id: self.id,
            firm: self.firm,
            maker_fee_offset: self.maker_fee_offset,
            taker_fee_offset: self.taker_fee_offset,
            orders: self.orders,
            groups: Vec::new(),
            kind: self.kind,
            status: self.status,
            blocked: self.blocked,
            killed: self.killed,
            firm_killed: self.firm_killed,
            created_at: self.created_at,
            label: self.label,
            cancel_timer: self.cancel_timer,
            sessions: self.sessions,
        }
    }
}

/// Resting orders by contract, buys first, best first, and what each shows.
fn save_books(books: &[Book], orders: &Orders, saver: &mut Saver<'_>) -> io::Result<()> {
    let sides = || {
        books
            .iter()
            .flat_map(|book| [(book, Side::Buy), (book, Side::Sell)])
    };
    let resting = |(book, side): (&Book, Side)| {
        let levels = book.levels(side);
        levels
            .map(|(_, level)| level.orders as usize)
            .sum::<usize>()
    };
    saver.section(Section::Books, sides().map(resting).sum())?;
    for (book, side) in sides() {
        for slot in book.queue(side, orders) {
            saver.item(&(slot, orders.nodes().at(slot).lots))?;
        }
    }
    Ok(())
}
