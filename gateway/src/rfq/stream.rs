//! StreamRfqs: requests, quotes and reported trades that an account may see: everything open, or from a journal
//! position on, then live.

use std::sync::Arc;

use engine::{
    event::{BlockState, Event, RfqEvent, RfqQuoteState},
    exchange::Exchange,
    ids::{AccountId, Seq},
    reason::Reason,
};
use prost::Message;
use proto::rfq::v1::{StreamRfqsResponse as Told, stream_rfqs_response::Event as Body};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Duration, Instant},
};
use tonic::Status;

use super::{
    Row,
    requests::{Role, change, quote_words, rfq_words, role},
};
use crate::{
    auth::Caller,
    bulletin::Bulletin,
    delivery::too_old,
    desk::{Desk, wide},
    outbound::{Outbound, Over},
    refusal,
};

/// Silence ends with a heartbeat.
const HEARTBEAT: Duration = Duration::from_millis(900);

/// One client's stream.
#[derive(Debug)]
pub(super) struct RfqStream {
    desk: Desk,
    caller: Caller,
    account: AccountId,
    news: Receiver<Arc<Bulletin>>,
    /// Newest position told or passed over.
    seen: Seq,
}

impl RfqStream {
    /// Listens first, so that nothing lies between past and news.
    pub(super) fn new(desk: Desk, caller: Caller, account: AccountId) -> Self {
        Self {
            news: desk.hub.listen(),
            seen: desk.state(Exchange::seq),
            desk,
            caller,
            account,
        }
    }

    /// What happened after a position.
    pub(super) fn past(&self, after: Seq) -> Result<(Seq, Vec<Arc<Bulletin>>), Status> {
        if after > self.seen {
            let field = "resume_after_journal_seq";
            return Err(crate::paging::beyond(field, wide(self.seen), wide(after)));
        }
        let archive = self.desk.hub.archive();
        let past = archive
            .after(after)
            .ok_or_else(|| too_old(archive.oldest(), after))?;
        Ok((after, past))
    }

    /// Serves until the client leaves or we must end it.
    pub(super) async fn run(
        mut self,
        past: Option<(Seq, Vec<Arc<Bulletin>>)>,
        out: &Outbound<Told>,
    ) -> Over {
        if let Some((after, bulletins)) = past {
            self.seen = after;
            for bulletin in bulletins {
                if let Err(over) = self.tell(&bulletin, out).await {
                    return over;
                }
            }
        } else if let Err(over) = self.tell_open(out).await {
            return over;
        }
        let mut silence = Instant::now() + HEARTBEAT;
        loop {
            let step = tokio::select! {
                biased;
                over = out.drained() => Err(over),
                over = out.gone() => Err(over),
                () = tokio::time::sleep_until(silence) => self.beat(out).await,
                news = self.news.recv() => match news {
                    Ok(bulletin) => self.tell(&bulletin, out).await,
                    Err(RecvError::Closed) => {
                        Err(refusal::no(Reason::ServerDraining).into())
                    }
                    // Who reads too slowly resumes where it stopped.
                    Err(RecvError::Lagged(_)) => Err(refusal::no(Reason::SlowConsumer).into()),
                },
            };
            match step {
                Err(over) => return over,
                Ok(true) => silence = Instant::now() + HEARTBEAT,
                Ok(false) => {}
            }
        }
    }

    async fn beat(&self, out: &Outbound<Told>) -> Result<bool, Over> {
        if !self.caller.still_valid() {
            return Err(refusal::no(Reason::AuthenticationFailed).into());
        }
        self.send((self.seen, 0), Body::Heartbeat(true), out)
            .await
            .map(|()| true)
    }

    async fn send(
        &self,
        (seq, at): (Seq, i64),
        body: Body,
        out: &Outbound<Told>,
    ) -> Result<(), Over> {
        let told = Told {
            journal_seq: wide(seq),
            matched_unix_nanos: at,
            event: Some(body),
        };
        let bytes = told.encoded_len();
        out.send(told, bytes).await
    }

    /// Reports that wait, open requests and live quotes, as of one position.
    async fn tell_open(&mut self, out: &Outbound<Told>) -> Result<(), Over> {
        let account = self.account;
        let look = |state: &Exchange| {
            let rows = state.blocks().map(|(number, block)| Row {
                number,
                state: block.state,
                reporter: block.reporter,
                terms: block.terms,
                trade: block.trade.0,
            });
            let open = rows.filter(|row| row.state == BlockState::Reported);
            let own = open.filter(|row| row.concerns(state, account));
            let rows = own.map(|row| Body::BlockTrade(row.words(state)));
            let mut rows: Vec<Body> = rows.collect();
            open_requests(state, account, &mut rows);
            (state.seq(), rows)
        };
        let (seq, rows) = self.desk.state(look);
        self.seen = seq;
        for row in rows {
            self.send((seq, 0), row, out).await?;
        }
        Ok(())
    }

    /// Answers whether something was sent.
    async fn tell(&mut self, bulletin: &Bulletin, out: &Outbound<Told>) -> Result<bool, Over> {
        let mut sent = false;
        for (stamped, events) in bulletin.commands() {
            if stamped.seq <= self.seen {
                continue;
            }
            self.seen = stamped.seq;
            for event in events {
                let account = self.account;
                let told = match event {
                    Event::Block(change) => {
                        let row = Row {
                            number: change.block,
                            state: change.state,
                            reporter: change.reporter,
                            terms: change.terms,
                            trade: change.trade.0,
                        };
                        self.desk.state(|state| {
                            let words = || Body::BlockTrade(row.words(state));
                            row.concerns(state, account).then(words)
                        })
                    }
                    Event::Rfq(told) => self.desk.state(|state| rfq_body(state, account, told)),
                    _ => continue,
                };
                if let Some(body) = told {
                    let moment = (stamped.seq, stamped.at.0);
                    self.send(moment, body, out).await?;
                    sent = true;
                }
            }
        }
        Ok(sent)
    }
}

/// Open requests that an account may see, each with the live quotes that it may see.
fn open_requests(state: &Exchange, account: AccountId, rows: &mut Vec<Body>) {
    for (number, row) in state.rfqs().filter(|(_, row)| row.state.is_open()) {
        let Some(role) = role(state, account, (row.taker, &row.terms)) else {
            continue;
        };
        let words = rfq_words(state, &change(state, number, row), role, Some(row));
        rows.push(Body::Rfq(words));
        for (at, quote) in &row.quotes {
            let mine = role == Role::Taker || quote.maker == account;
            if mine && quote.state == RfqQuoteState::Live {
                let told = quote.change((number, *at), row.taker);
                rows.push(Body::Quote(quote_words(&told, account)));
            }
        }
    }
}

/// What an account hears of an event, if it may hear it. What an acceptance did is in its answer, in the
/// quotes and in the fills.
fn rfq_body(state: &Exchange, account: AccountId, event: &RfqEvent) -> Option<Body> {
    match event {
        RfqEvent::Request(told) => {
            let role = role(state, account, (told.taker, &told.terms))?;
            Some(Body::Rfq(rfq_words(state, told, role, None)))
        }
        RfqEvent::Quote(told) => (account == told.taker || account == told.maker)
            .then(|| Body::Quote(quote_words(told, account))),
        RfqEvent::Accepted(_) => None,
    }
}
