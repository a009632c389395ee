//! A maker who refreshes a whole forward curve with one command.

use engine::{
    command::{Command, DisconnectAction, MassQuote, MmpGroup, QuoteEntry, QuoteSide, Stamped},
    event::Event,
    ids::{AccountId, InstrumentId, ProductId},
    limits::QUOTE_ENTRIES,
    units::{Lots, Ticks},
};

use super::{MIDDLE, USUAL, Venue, login, request};

/// Contracts of the curve, and rungs of a ladder in each: together as many entries as a quote may have.
const CONTRACTS: u16 = 16;
const RUNGS: u8 = 4;
const _: () = assert!(CONTRACTS as usize * RUNGS as usize == QUOTE_ENTRIES);
/// Distance of the first rung from the middle.
const AWAY: i64 = 50;
/// Lots of a fresh side.
const LOTS: i64 = 1_000;

/// What a refresh changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Every price by one tick, to and fro.
    Moves,
    /// Every size by one lot less, priority kept.
    Shrinks,
    /// Nothing.
    Repeats,
}

/// A venue with a curve and a maker on it.
#[derive(Debug)]
pub struct Curve {
    /// The venue.
    pub venue: Venue,
    maker: usize,
    group: u16,
    contracts: Vec<InstrumentId>,
    sent: i64,
}

impl Curve {
    /// Lists the curve, with a protection group for the maker and a crowd of other accounts.
    ///
    /// # Panics
    /// If the exchange refuses any of it.
    #[must_use]
    pub fn new(accounts: usize) -> Self {
        let mut venue = Venue::with(accounts, CONTRACTS, USUAL);
        let account = venue.traders[0].account;
        venue.create(Command::SetMmpGroup(request(group_of(account))));
        // Quotes want a session that gives them up when it is lost.
        let mut login = login(account);
        login.action = DisconnectAction::CancelSession;
        venue.run(Command::Login(login));
        venue.traders[0].login = 2;
        let contracts = venue.contracts.clone();
        Self {
            venue,
            maker: 0,
            group: 1,
            contracts,
            sent: 0,
        }
    }

    /// So many refreshes, stamped, after one unmeasured fresh quote.
    pub fn refreshes(&mut self, what: Refresh, count: usize) -> Vec<Stamped> {
        let fresh = self.quote(0, LOTS);
        self.venue.run(fresh);
        assert_eq!(accepted(&self.venue.events), 2 * QUOTE_ENTRIES);
        let commands: Vec<Command> = (1..=count as i64)
            .map(|turn| match what {
                Refresh::Moves => self.quote(turn % 2, LOTS),
                Refresh::Shrinks => self.quote(0, LOTS - turn),
                Refresh::Repeats => self.quote(0, LOTS),
            })
            .collect();
        commands
            .into_iter()
            .enumerate()
            .map(|(ahead, command)| self.venue.stamp(ahead, command))
            .collect()
    }

    fn quote(&mut self, shift: i64, lots: i64) -> Command {
        self.sent += 1;
        let side = |price| {
            Some(QuoteSide {
                price: Ticks(price),
                lots: Lots(lots),
            })
        };
        let entry = |instrument, slot: u8| {
            let away = AWAY + i64::from(slot);
            QuoteEntry {
                instrument,
                slot,
                bid: side(MIDDLE - away + shift),
                ask: side(MIDDLE + away + shift),
            }
        };
        let entries = self.contracts.iter();
        let entries = entries.flat_map(|id| (0..RUNGS).map(move |slot| (*id, slot)));
        let entries = entries.map(|(id, slot)| entry(id, slot)).collect();
        Command::MassQuote(MassQuote {
            origin: self.venue.origin(self.maker),
            quote_id: self.sent,
            mmp_group: self.group,
            entries,
            report_order_ids: false,
        })
    }
}

/// Sides that a quote's answer accepts.
fn accepted(events: &[Event]) -> usize {
    events
        .iter()
        .find_map(|event| match event {
            Event::Quoted(quoted) => Some(usize::from(quoted.accepted)),
            _ => None,
        })
        .unwrap_or_default()
}

/// All limits on, none near.
fn group_of(account: AccountId) -> MmpGroup {
    MmpGroup {
        account,
        mmp_group: 1,
        product: ProductId(1),
        window_ms: 1_000,
        frozen_ms: 0,
        quantity_limit: 1 << 50,
        net_limit: 1 << 50,
        notional_limit: 1 << 50,
        fill_limit: 1 << 16,
        contracts_limit: 64,
        max_quote_lots: Lots(1_000_000),
    }
}
