//! Acceptance: which quotes trade, and how much of each. First everything is decided, then booked (RFQ-06).

use super::{Acceptance, Exchange, Rfq, by, check_count, check_key, check_lots, closed, done};
use crate::{
    command::{AcceptQuote, QuotedSide, Side, Tag},
    event::{Done, Event, OffBook, RfqAccepted, RfqEvent, RfqQuoteState, RfqState},
    exchange::off_book::Part,
    ids::AccountId,
    limits,
    reason::{Field, Problem, Reason},
    units::{Lots, Ticks},
};

/// A quote that will trade.
struct Deal {
    quote: u64,
    maker: AccountId,
    lots: Lots,
    /// As the taker sees them.
    parts: Vec<Part>,
}

/// What an acceptance would do.
struct Plan {
    deals: Vec<Deal>,
    /// Quotes whose makers cannot keep them any more.
    broken: Vec<(u64, Problem)>,
    lots: Lots,
}

impl Exchange {
    pub(super) fn accept_quote(
        &mut self,
        accept: &AcceptQuote,
        out: &mut Vec<Event>,
    ) -> Result<Done, Problem> {
        let (number, taker) = (accept.rfq, accept.origin.account);
        check_key(accept.client_id)?;
        let row = self.own_rfq(number, taker)?;
        let wish = (accept.side, accept.limit, accept.lots, accept.several);
        let mut before = row.accepts.iter();
        if let Some(known) = before.find(|known| known.done.client_id == accept.client_id) {
            if known.wish != wish {
                return Err(Problem::about(Reason::RequestIdConflict, Field::Request));
            }
            let (first, told) = (known.seq, RfqEvent::Accepted(known.done.clone()));
            out.push(Event::Rfq(Box::new(told)));
            return Ok(done(number, first));
        }
        if !self.takes_part(row) {
            return Err(closed());
        }
        self.check_trader(&accept.origin, false)?;
        for leg in &row.terms.legs {
            self.check_off_book(leg.instrument)?;
        }
        if row.terms.side.is_some_and(|side| side != accept.side) {
            return Err(Problem::about(Reason::InvalidField, Field::Side));
        }
        let left = row.terms.lots - row.filled;
        let least = match row.terms.min_lots {
            Lots::ZERO => left,
            least => least.min(left),
        };
        check_lots(accept.lots, least, left)?;
        check_count(row.accepts.len(), limits::RFQ_ACCEPTS)?;
        let plan = self.plan(row, accept, least)?;
        let enough = plan.lots >= least;
        if enough {
            let all = plan
                .deals
                .iter()
                .flat_map(|deal| deal.parts.iter().copied());
            let all: Vec<Part> = all.collect();
            self.check_party(taker, &all)?;
        }
        // From here on nothing can fail.
        let mut result = RfqAccepted {
            rfq: number,
            client_id: accept.client_id,
            trades: Vec::new(),
            filled: Lots::ZERO,
            problem: None,
        };
        for (quote, why) in plan.broken {
            let end = RfqQuoteState::Cancelled;
            self.end_quote((number, quote), end, Some(why), out);
        }
        if enough {
            let tag = Tag::new(&format!("rfq {number}")).unwrap_or_default();
            for deal in &plan.deals {
                let sides = [(taker, tag), (deal.maker, tag)];
                let trades = self.trade_off_book(OffBook::Rfq, sides, &deal.parts, out);
                result.trades.extend(trades.iter().map(|trade| trade.0));
                self.shrink_quote((number, deal.quote), accept.side, deal.lots, out);
            }
            result.filled = plan.lots;
        } else {
            let (least, found) = (least.0, plan.lots.0);
            let why = Problem::limit(Reason::NoLiquidity, Field::Quantity, least, found);
            result.problem = Some(why);
        }
        let seq = self.seq;
        if let Some(row) = self.rfqs.rows.get_mut(&number) {
            row.filled += result.filled;
            row.accepts.push(Acceptance {
                wish,
                done: result.clone(),
                seq,
            });
        }
        if enough {
            self.go_on(number, out);
        }
        out.push(Event::Rfq(Box::new(RfqEvent::Accepted(result))));
        Ok(done(number, 0))
    }

    /// The best price first, then the oldest quote.
    fn plan(&self, row: &Rfq, accept: &AcceptQuote, least: Lots) -> Result<Plan, Problem> {
        let side = accept.side;
        // What a buyer takes is the ask.
        let place = usize::from(side == Side::Buy);
        let worse = |price: Ticks| match side {
            Side::Buy => price.0,
            Side::Sell => -price.0,
        };
        let live = row
            .quotes
            .iter()
            .filter(|(_, quote)| quote.state == RfqQuoteState::Live && quote.valid_until > self.at);
        let mut offers: Vec<(u64, AccountId, QuotedSide)> = live
            .filter_map(|(number, quote)| Some((*number, quote.maker, quote.left[place]?)))
            .filter(|(_, _, offer)| worse(offer.price) <= worse(accept.limit))
            .filter(|(_, _, offer)| accept.several || offer.lots >= least)
            .collect();
        offers.sort_by_key(|(number, _, offer)| (worse(offer.price), *number));
        let mut plan = Plan {
            deals: Vec::new(),
            broken: Vec::new(),
            lots: Lots::ZERO,
        };
        for (quote, maker, offer) in offers.into_iter().take(limits::RFQ_LOOKS) {
            let lots = offer.lots.min(accept.lots - plan.lots);
            let parts = self.parts_of(&row.terms, (side, offer.price, lots))?;
            match self.check_maker(maker, &parts) {
                Ok(()) => {
                    plan.lots += lots;
                    plan.deals.push(Deal {
                        quote,
                        maker,
                        lots,
                        parts,
                    });
                }
                Err(why) => plan.broken.push((quote, why)),
            }
            if plan.lots == accept.lots || (!accept.several && !plan.deals.is_empty()) {
                break;
            }
        }
        Ok(plan)
    }

    /// Whether a maker can keep its quote now.
    fn check_maker(&self, maker: AccountId, parts: &[Part]) -> Result<(), Problem> {
        self.check_trader(&by(maker), false)?;
        for part in parts {
            self.check_part(part)?;
        }
        let turned: Vec<Part> = parts.iter().map(|part| part.turned()).collect();
        self.check_party(maker, &turned)
    }

    /// What a quote traded is gone from it; a side without lots ends it.
    fn shrink_quote(
        &mut self,
        (rfq, number): (u64, u64),
        side: Side,
        lots: Lots,
        out: &mut Vec<Event>,
    ) {
        let row = self.rfqs.rows.get_mut(&rfq);
        let Some(quote) = row.and_then(|row| row.quotes.get_mut(&number)) else {
            return;
        };
        let offer = &mut quote.left[usize::from(side == Side::Buy)];
        *offer = offer.map(|offer| QuotedSide {
            lots: offer.lots - lots,
            ..offer
        });
        if offer.is_some_and(|offer| offer.lots > Lots::ZERO) {
            self.tell_quote((rfq, number), out);
        } else {
            self.end_quote((rfq, number), RfqQuoteState::Traded, None, out);
        }
    }

    /// After a trade: wants more, or is done.
    fn go_on(&mut self, number: u64, out: &mut Vec<Event>) {
        let Some(row) = self.rfqs.rows.get_mut(&number) else {
            return;
        };
        if row.filled == row.terms.lots {
            self.close_rfq(number, RfqState::Filled, out);
        } else {
            row.state = RfqState::PartlyFilled;
            self.tell_rfq(number, out);
        }
    }
}
