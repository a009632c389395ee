//! The exchange of one story, the names its lines use, and what must hold after every command.

use std::collections::BTreeMap;

use engine::{
    command::{Command, Side, Stamped},
    event::{Event, Liquidity, OrderEventKind},
    exchange::Exchange,
    ids::{AccountId, AssetId, CommodityId, FirmId, IndexId, InstrumentId, OrderId, SessionId},
    instrument::TradingState,
    order::Order,
    roots::Roots,
    units::{Nanos, SECOND},
};

use super::{combinations, words::grouped};
use crate::commitments;

/// Noon of 30 November 2026, UTC.
const START: i64 = (20_787 * 86_400 + 43_200) * SECOND;
/// Client order ids from here on belong to orders that the story gave no name.
pub(super) const UNNAMED: u64 = 1 << 32;
/// The one asset, commodity and index of every story.
pub(super) const MONEY: AssetId = AssetId(1);
/// What every contract delivers.
pub(super) const HASHES: CommodityId = CommodityId(1);
/// What every contract settles on.
pub(super) const INDEX: IndexId = IndexId(1);

/// A named session and its present login.
pub(super) struct Desk {
    pub(super) name: String,
    pub(super) id: SessionId,
    pub(super) login: u32,
    /// Newest command number it used.
    pub(super) client_seq: u64,
}

/// The exchange of one story.
#[derive(Default)]
pub(super) struct World {
    pub(super) exchange: Exchange,
    pub(super) roots: Roots,
    history: Vec<(Stamped, Vec<Event>)>,
    pub(super) now: Nanos,
    pub(super) accounts: Vec<(String, AccountId)>,
    pub(super) firms: Vec<(String, FirmId)>,
    pub(super) contracts: Vec<(String, InstrumentId)>,
    pub(super) desks: Vec<Desk>,
    pub(super) unnamed: u64,
    pub(super) sources: Vec<super::oracle::Source>,
    orders: BTreeMap<(AccountId, u64), OrderId>,
    trades: u64,
    told: BTreeMap<SessionId, u64>,
}

fn find<T: Copy>(table: &[(String, T)], name: &str, what: &str) -> Result<T, String> {
    let row = table.iter().find(|(known, _)| known == name);
    row.map(|(_, id)| *id)
        .ok_or_else(|| format!("  unknown word {name:?}: no such {what}"))
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            exchange: Exchange::new(),
            now: Nanos(START),
            ..Self::default()
        }
    }

    /// Gives a command its number and its time, runs it, and checks what every command must keep.
    pub(super) fn apply(&mut self, command: Command) -> Result<Vec<Event>, String> {
        self.now = self.now.after(1);
        let due = self
            .exchange
            .next_deadline()
            .is_some_and(|due| due <= self.now);
        if due && command != Command::Tick {
            return Err("  a timer is due: a clock line is missing".into());
        }
        let stamped = Stamped {
            seq: self.exchange.seq() + 1,
            at: self.now,
            command,
        };
        let mut events = Vec::new();
        self.exchange.apply(&stamped, &mut events);
        self.roots.hear(&self.exchange, &stamped, &events);
        self.roots.end_of_block([0xcc; 32]);
        self.history.push((stamped, events.clone()));
        self.check_events(&events)?;
        Ok(events)
    }

    /// ORDER-02, ORDER-15 and SESSION-03, on everything that is told.
    fn check_events(&mut self, events: &[Event]) -> Result<(), String> {
        crate::legs::check_legs(&self.exchange, events)?;
        let mut taker: Option<engine::event::Fill> = None;
        let mut makers = 0;
        for event in events {
            self.check_number(event)?;
            let Event::Order(order) = event else {
                continue;
            };
            let to = order.to;
            let key = (to.account, order.client_order_id);
            if order.quote.is_none() && order.kind == OrderEventKind::Accepted {
                self.orders.insert(key, order.order_id);
            }
            if order.copy {
                continue;
            }
            let Some(fill) = order.fill else { continue };
            let off_book = fill.liquidity == Liquidity::Block;
            if order.quote.is_none()
                && !off_book
                && !self.orders.values().any(|id| *id == order.order_id)
            {
                return Err("  ORDER-02: a fill of an order that was not accepted".into());
            }
            let paired = taker
                .is_some_and(|t| (t.trade, t.price, t.lots) == (fill.trade, fill.price, fill.lots));
            let implied = combinations::is_implied(events, fill.trade);
            match fill.liquidity {
                // COMBO-11: one taker, then everybody it trades with, each at a price of his own.
                Liquidity::Maker if implied => {
                    let sum = taker.is_some_and(|t| (t.trade, t.lots) == (fill.trade, fill.lots));
                    if !sum {
                        return Err("  COMBO-11: a fill outside of its trade".into());
                    }
                    makers += 1;
                    if makers == combinations::makers(events, fill.trade) {
                        (taker, makers) = (None, 0);
                    }
                }
                Liquidity::Taker | Liquidity::Auction | Liquidity::Block if taker.is_none() => {
                    if fill.liquidity == Liquidity::Auction && order.side != Side::Buy {
                        return Err("  AUCTION-04: the buyer's fill comes first".into());
                    }
                    self.trades += 1;
                    if fill.trade.0 != self.trades {
                        let (id, want) = (fill.trade.0, self.trades);
                        return Err(format!("  ORDER-15: trade {id} should be {want}"));
                    }
                    taker = Some(fill);
                }
                Liquidity::Maker | Liquidity::Auction | Liquidity::Block if paired => taker = None,
                _ => return Err("  ORDER-02: taker's and maker's fills do not alternate".into()),
            }
            if fill.lots.0 <= 0 {
                return Err("  a fill of nothing".into());
            }
        }
        Ok(())
    }

    /// Events of a session are numbered without a gap.
    fn check_number(&mut self, event: &Event) -> Result<(), String> {
        let to = match event {
            Event::Order(order) => order.to,
            Event::Refused(refused) => refused.to,
            Event::MassCancelled(mass) => mass.to,
            Event::OrderEntry(entry) => entry.to,
            Event::BatchDone(done) => done.to,
            Event::Quoted(quoted) => quoted.to,
            _ => return Ok(()),
        };
        if !to.session.is_set() {
            return Ok(());
        }
        let last = self.told.entry(to.session).or_default();
        *last += 1;
        if to.event_seq == *last {
            return Ok(());
        }
        Err(format!(
            "  SESSION-03: event {} should be {last}",
            to.event_seq
        ))
    }

    /// The books add up, no book that matches is crossed.
    pub(super) fn audit(&self) -> Result<(), String> {
        let audited = self.exchange.audit();
        audited.map_err(|problem| format!("  the books do not add up: {problem}"))?;
        for (name, id) in &self.contracts {
            let best = |side| self.exchange.book(*id).and_then(|book| book.best(side));
            let state = self.exchange.instrument(*id).map(|contract| contract.state);
            if let (Some(bid), Some(ask)) = (best(Side::Buy), best(Side::Sell))
                && bid >= ask
                && matches!(state, Some(TradingState::Open | TradingState::PostOnly))
            {
                return Err(format!("  {name}: crossed, bid {} ask {}", bid.0, ask.0));
            }
        }
        Ok(())
    }

    /// The same commands give the same events, also where the state was saved and loaded on the way.
    pub(super) fn replay(&self) -> Result<(), String> {
        let (mut exchange, mut roots) = (Exchange::new(), Roots::default());
        let places = [1, 2, 3].map(|quarter| self.history.len() * quarter / 4);
        for (place, (stamped, first)) in self.history.iter().enumerate() {
            if places.contains(&place) {
                let mut bytes = Vec::new();
                let saved = exchange.save(&mut bytes);
                saved.map_err(|error| format!("saving: {error}"))?;
                let copy = Exchange::load(&mut bytes.as_slice());
                let copy = copy.map_err(|error| format!("command {}: {error}", stamped.seq))?;
                if copy.digest() != exchange.digest() {
                    return Err(format!("command {}: a loaded state differs", stamped.seq));
                }
                exchange = copy;
            }
            let mut again = Vec::new();
            exchange.apply(stamped, &mut again);
            if again != *first {
                return Err(format!(
                    "command {} differs on replay: {again:?}",
                    stamped.seq
                ));
            }
            roots.hear(&exchange, stamped, &again);
            roots.end_of_block([0xcc; 32]);
            // From the middle on, so that what changes later comes on top of trees that are there.
            let looked_at = place % 23 == 3 || place + 1 == self.history.len();
            if looked_at && place >= self.history.len() / 3 {
                commitments::check(&roots, &exchange, stamped)?;
                roots = commitments::marked(roots, &exchange, stamped);
            }
        }
        Ok(())
    }

    pub(super) fn account(&self, name: &str) -> Result<AccountId, String> {
        find(&self.accounts, name, "account, contract or command")
    }

    /// A listed contract by name; the first one without a name; `unlisted` is nobody's number.
    pub(super) fn contract(&self, name: Option<&str>) -> Result<InstrumentId, String> {
        match name {
            Some("unlisted") => Ok(InstrumentId(999)),
            Some(name) => find(&self.contracts, name, "contract"),
            None => {
                let first = self.contracts.first();
                first
                    .map(|(_, id)| *id)
                    .ok_or("  no contract is given".into())
            }
        }
    }

    pub(super) fn desk(&mut self, name: &str) -> Result<&mut Desk, String> {
        let desk = self.desks.iter_mut().find(|desk| desk.name == name);
        desk.ok_or_else(|| format!("  unknown word {name:?}: no such session"))
    }

    pub(super) fn contract_name(&self, id: InstrumentId) -> String {
        let row = self.contracts.iter().find(|(_, known)| *known == id);
        row.map_or("?".into(), |(name, _)| name.clone())
    }

    /// The exchange's id of an account's order.
    pub(super) fn order_id(&self, account: AccountId, id: u64) -> Option<OrderId> {
        self.orders.get(&(account, id)).copied()
    }

    pub(super) fn account_name(&self, account: AccountId) -> &str {
        let row = self.accounts.iter().find(|(_, known)| *known == account);
        if account == engine::ids::house::INSURANCE {
            return "insurance";
        }
        row.map_or("?", |(name, _)| name)
    }

    /// `bob #7`, or `bob` if the order has no name.
    pub(super) fn order_name(&self, account: AccountId, id: u64) -> String {
        let row = self.accounts.iter().find(|(_, known)| *known == account);
        let name = row.map_or("?", |(name, _)| name);
        if id == 0 {
            format!("{name} quote")
        } else if id >= UNNAMED {
            name.into()
        } else {
            format!("{name} #{id}")
        }
    }

    /// A book in the words of a `book` line.
    pub(super) fn book(&self, id: InstrumentId) -> String {
        let side = |side| {
            let Some(book) = self.exchange.book(id) else {
                return "empty".to_owned();
            };
            let orders = self.exchange.orders();
            let queue: Vec<&Order> = book
                .queue(side, orders)
                .map(|slot| orders.at(slot))
                .collect();
            let level = |(price, level): (engine::units::Ticks, &engine::book::Level)| {
                let here = queue.iter().filter(|order| order.price == price);
                let names: Vec<_> = here
                    .map(|order| self.order_name(order.account, order.terms.client_order_id))
                    .collect();
                let (lots, price) = (grouped(level.lots), grouped(price.0));
                format!("{lots} @ {price} ({})", names.join(", "))
            };
            let levels: Vec<_> = book.levels(side).map(level).collect();
            if levels.is_empty() {
                "empty".into()
            } else {
                levels.join(", ")
            }
        };
        format!("bid {}; ask {}", side(Side::Buy), side(Side::Sell))
    }

    /// All books, for a report.
    pub(super) fn books(&self) -> String {
        let book =
            |(name, id): &(String, InstrumentId)| format!("  book {name}  {}", self.book(*id));
        self.contracts
            .iter()
            .map(book)
            .collect::<Vec<_>>()
            .join("\n")
    }
}
