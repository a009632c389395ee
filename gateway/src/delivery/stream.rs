//! StreamDelivery: every change of the account's deliveries, live or from a journal position on.

use std::sync::Arc;

use engine::{
    event::DeliveryEvent,
    exchange::Exchange,
    ids::{AccountId, Seq},
    reason::Reason,
};
use prost::Message;
use proto::delivery::v1::{
    StreamDeliveryResponse as Told, stream_delivery_response::Event as Body,
};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Duration, Instant},
};
use tonic::Status;

use super::{concerns, too_old};
use crate::{
    auth::Caller,
    bulletin::Bulletin,
    desk::{Desk, wide},
    outbound::{Outbound, Over},
    refusal,
    translate::delivery as out_words,
};

/// Silence ends with a heartbeat.
const HEARTBEAT: Duration = Duration::from_millis(900);

/// One client's stream.
#[derive(Debug)]
pub(super) struct DeliveryStream {
    desk: Desk,
    caller: Caller,
    account: AccountId,
    news: Receiver<Arc<Bulletin>>,
    /// Newest position told or passed over.
    seen: Seq,
}

impl DeliveryStream {
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
        self.send(self.seen, Body::Heartbeat(true), out)
            .await
            .map(|()| true)
    }

    async fn send(&self, seq: Seq, body: Body, out: &Outbound<Told>) -> Result<(), Over> {
        let told = Told {
            journal_seq: wide(seq),
            event: Some(body),
        };
        let bytes = told.encoded_len();
        out.send(told, bytes).await
    }

    /// Answers whether something was sent.
    async fn tell(&mut self, bulletin: &Bulletin, out: &Outbound<Told>) -> Result<bool, Over> {
        let mut sent = false;
        for (stamped, events) in bulletin.commands() {
            if stamped.seq <= self.seen {
                continue;
            }
            self.seen = stamped.seq;
            for event in events
                .iter()
                .filter_map(|event| concerns(event, self.account))
            {
                let body = match event {
                    DeliveryEvent::Capacity(row) => Body::Capacity(out_words::capacity(row)),
                    DeliveryEvent::Interval(row) => Body::Interval(out_words::interval(row)),
                    DeliveryEvent::Obligation(row) => {
                        let look =
                            |state: &Exchange| out_words::obligation_row(state, row, self.account);
                        Body::Obligation(self.desk.state(look))
                    }
                    _ => continue,
                };
                self.send(stamped.seq, body, out).await?;
                sent = true;
            }
        }
        Ok(sent)
    }
}
