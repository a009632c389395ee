//! Block trades (BLOCK): agreed off the book, reported by one side and affirmed by the other.
//!
//! Both sides are checked again when the trade comes into being; until then nothing is held, so that a
//! report binds nobody's money that its counterparty may never confirm.

pub(super) mod saved;

use std::collections::BTreeMap;

use bincode::{Decode, Encode};

use super::{Exchange, admission::Door, off_book::Part, timers::Timer};
use crate::{
    command::{AffirmBlock, BlockTerms, BlockWish, Origin, ReportBlock, Side, Tag},
    event::{BlockChange, BlockState, Done, Event, OffBook},
    ids::{AccountId, TradeId},
    limits,
    reason::{Field, Problem, Reason},
    units::{DAY, Minor, Nanos},
};

/// A reported trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Block {
    /// Who reported it.
    pub reporter: AccountId,
    /// The reporter's key.
    pub client_id: u64,
    /// What was agreed.
    pub terms: BlockTerms,
    /// Where it stands.
    pub state: BlockState,
    /// Core time of the report.
    pub at: Nanos,
    /// Journal position of the report.
    pub seq: u64,
    /// Who affirmed or refused; none before.
    pub affirmer: AccountId,
    /// The trade; 0 if there is none.
    pub trade: TradeId,
    /// Fees of the trade: the reporter's, the affirmer's.
    pub fees: [Minor; 2],
}

/// Reports of the last day, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    rows: BTreeMap<u64, Block>,
    /// Reports so far.
    reported: u64,
    /// By reporter and key; follows from the rows.
    by_client_id: BTreeMap<(AccountId, u64), u64>,
}

impl Blocks {
    /// Forgets reports older than a day from the oldest on. None that waits is that old.
    fn forget(&mut self, now: Nanos) {
        while let Some(oldest) = self.rows.first_entry() {
            let row = *oldest.get();
            if row.state == BlockState::Reported || row.at.after(DAY) > now {
                return;
            }
            oldest.remove();
            self.by_client_id.remove(&(row.reporter, row.client_id));
        }
    }

    fn of(&self, account: AccountId) -> impl Iterator<Item = u64> + '_ {
        let keys = (account, 0)..=(account, u64::MAX);
        self.by_client_id.range(keys).map(|(_, number)| *number)
    }
}

impl Exchange {
    /// Reported trades that are remembered, by number.
    pub fn blocks(&self) -> impl Iterator<Item = (u64, &Block)> {
        self.blocks.rows.iter().map(|(number, row)| (*number, row))
    }

    pub(super) fn block(&mut self, wish: &BlockWish, out: &mut Vec<Event>) {
        let origin = match wish {
            BlockWish::Report(report) => report.origin,
            BlockWish::Affirm(affirm) => affirm.origin,
        };
        if matches!(self.enter(&origin, out), Door::Shut) {
            return;
        }
        let done = self.check_deadline(&origin).and_then(|()| match wish {
            BlockWish::Report(report) => self.report_block(report, out),
            BlockWish::Affirm(affirm) => self.affirm_block(affirm, out),
        });
        match done {
            Ok(done) => out.push(Event::Done(done)),
            Err(problem) => self.refuse(&origin, problem, out),
        }
    }

    fn report_block(
        &mut self,
        report: &ReportBlock,
        out: &mut Vec<Event>,
    ) -> Result<Done, Problem> {
        let (reporter, terms) = (report.origin.account, report.terms);
        if self.account(reporter).is_none() {
            return Err(Problem::about(Reason::NotFound, Field::Account));
        }
        if report.client_id == 0 {
            return Err(Problem::about(Reason::InvalidField, Field::Request));
        }
        self.blocks.forget(self.at);
        let known = self.blocks.by_client_id.get(&(reporter, report.client_id));
        if let Some((number, row)) = known.and_then(|at| self.blocks.rows.get_key_value(at)) {
            if row.terms != terms {
                return Err(Problem::about(Reason::RequestIdConflict, Field::Request));
            }
            return Ok(done(*number, row.seq));
        }
        self.check_block(&report.origin, terms.side, &terms)?;
        self.check_affirm_by(terms.affirm_by)?;
        let room = limits::BLOCKS_OF_AN_ACCOUNT;
        let actual = self.blocks.of(reporter).take(room).count();
        if actual >= room {
            let wide = i64::try_from(room).unwrap_or(i64::MAX);
            let reason = Reason::TooManyItems;
            return Err(Problem::limit(reason, Field::Request, wide, wide + 1));
        }
        self.blocks.reported += 1;
        let number = self.blocks.reported;
        let row = Block {
            reporter,
            client_id: report.client_id,
            terms,
            state: BlockState::Reported,
            at: self.at,
            seq: self.seq,
            affirmer: AccountId::default(),
            trade: TradeId::default(),
            fees: [Minor::ZERO; 2],
        };
        self.blocks.rows.insert(number, row);
        let key = (reporter, report.client_id);
        self.blocks.by_client_id.insert(key, number);
        self.timers.set(terms.affirm_by, Timer::Block(number));
        self.tell_block(number, out);
        Ok(done(number, 0))
    }

    fn check_affirm_by(&self, by: Nanos) -> Result<(), Problem> {
        self.check_expire(by)?;
        let latest = self.at.after(DAY);
        if by > latest {
            let reason = Reason::ExpireTimeInvalid;
            return Err(Problem::limit(reason, Field::Expire, latest.0, by.0));
        }
        Ok(())
    }

    /// Whether one side may make the trade now: its rights, the contract, the terms, its money.
    fn check_block(&self, origin: &Origin, side: Side, terms: &BlockTerms) -> Result<(), Problem> {
        self.check_trader(origin, false)?;
        self.check_off_book(terms.instrument)?;
        if self.firms.get(firm_place(terms)).is_none() {
            return Err(Problem::about(Reason::UnknownCounterparty, Field::Firm));
        }
        if side == terms.side && self.firm_of(origin.account) == terms.counterparty {
            return Err(Problem::about(Reason::SelfTradePrevented, Field::Firm));
        }
        let part = part_of(terms, side);
        self.check_part(&part)?;
        self.check_party(origin.account, &[part])
    }

    fn affirm_block(
        &mut self,
        affirm: &AffirmBlock,
        out: &mut Vec<Event>,
    ) -> Result<Done, Problem> {
        let affirmer = affirm.origin.account;
        if self.account(affirmer).is_none() {
            return Err(Problem::about(Reason::NotFound, Field::Account));
        }
        let firm = self.firm_of(affirmer);
        // What is not for one's firm does not exist for it.
        let row = self.blocks.rows.get(&affirm.block);
        let row = row.filter(|row| row.terms.counterparty == firm);
        let row = *row.ok_or(Problem::about(Reason::UnknownRfq, Field::Request))?;
        let asked = match affirm.accept {
            true => BlockState::Affirmed,
            false => BlockState::Refused,
        };
        if row.state == asked && row.affirmer == affirmer {
            return Ok(done(affirm.block, row.seq));
        }
        // A timer that is due runs in a Tick of its own, which may come after this.
        if row.state != BlockState::Reported || row.terms.affirm_by <= self.at {
            return Err(Problem::about(Reason::RfqClosed, Field::Request));
        }
        if affirm.accept {
            let side = row.terms.side.opposite();
            self.check_block(&affirm.origin, side, &row.terms)?;
            let reporter = Origin {
                account: row.reporter,
                ..Origin::default()
            };
            // The affirmer is told that it is the other side, and neither field nor amount.
            self.check_block(&reporter, row.terms.side, &row.terms)
                .map_err(|_| Problem::about(Reason::CounterpartyRefused, Field::Firm))?;
        }
        self.timers
            .clear(row.terms.affirm_by, Timer::Block(affirm.block));
        if affirm.accept {
            let tag = Tag::new(&format!("block {}", affirm.block)).unwrap_or_default();
            let part = part_of(&row.terms, row.terms.side);
            let sides = [(row.reporter, tag), (affirmer, tag)];
            let trades = self.trade_off_book(OffBook::Block, sides, &[part], out);
            if let (Some(row), Some((trade, fees))) =
                (self.blocks.rows.get_mut(&affirm.block), trades.first())
            {
                (row.trade, row.fees) = (*trade, *fees);
            }
        }
        self.end_block(affirm.block, asked, affirmer, out);
        Ok(done(affirm.block, 0))
    }

    /// Nobody affirmed it in time.
    pub(super) fn expire_block(&mut self, number: u64, out: &mut Vec<Event>) {
        self.end_block(number, BlockState::Expired, AccountId::default(), out);
    }

    fn end_block(
        &mut self,
        number: u64,
        state: BlockState,
        affirmer: AccountId,
        out: &mut Vec<Event>,
    ) {
        if let Some(row) = self.blocks.rows.get_mut(&number) {
            (row.state, row.affirmer) = (state, affirmer);
        }
        self.tell_block(number, out);
    }

    fn tell_block(&self, number: u64, out: &mut Vec<Event>) {
        let Some(row) = self.blocks.rows.get(&number) else {
            return;
        };
        out.push(Event::Block(Box::new(BlockChange {
            block: number,
            state: row.state,
            reporter: row.reporter,
            firm: self.firm_of(row.reporter),
            client_id: row.client_id,
            terms: row.terms,
            affirmer: row.affirmer,
            trade: row.trade,
            fees: row.fees,
        })));
    }
}

fn part_of(terms: &BlockTerms, side: Side) -> Part {
    Part {
        instrument: terms.instrument,
        side,
        price: terms.price,
        lots: terms.lots,
    }
}

fn firm_place(terms: &BlockTerms) -> usize {
    terms.counterparty.index().unwrap_or(usize::MAX)
}

fn done(object: u64, first_seq: u64) -> Done {
    Done {
        object,
        count: 1,
        cancelled: 0,
        first_seq,
    }
}
