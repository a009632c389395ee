//! StreamAccount: a snapshot, then every change of the account, with a sign of life in silence.

use std::sync::Arc;

use engine::{
    command::Stamped,
    event::{ClearingEvent, Event},
    exchange::Exchange,
    ids::AccountId,
    reason::Reason,
};
use prost::Message;
use proto::account::v1::StreamAccountResponse as Told;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Duration, Instant},
};
use tonic::Status;

use crate::{
    auth::Caller,
    bulletin::Bulletin,
    desk::{Desk, Digger, wide},
    outbound::{Outbound, Over},
    refusal,
    translate::account::Image,
};

/// Silence ends with a heartbeat.
const HEARTBEAT: Duration = Duration::from_millis(900);
/// How often, and how many times, to look whether the archive has what the state has.
const FILING: (Duration, u32) = (Duration::from_millis(2), 500);

/// One client's stream.
#[derive(Debug)]
pub struct AccountStream {
    desk: Desk,
    caller: Caller,
    account: AccountId,
    news: Receiver<Arc<Bulletin>>,
    image: Image,
}

impl AccountStream {
    /// Listens first and reads the image then, so that nothing lies between.
    #[must_use]
    pub fn new(desk: Desk, caller: Caller, account: AccountId) -> Self {
        Self {
            news: desk.hub.listen(),
            image: desk.state(|exchange| Image::read(exchange, account)),
            desk,
            caller,
            account,
        }
    }

    /// Whether a resume point exists. One that memory does not reach back to is looked for in the journal.
    ///
    /// # Errors
    /// INVALID_FIELD for a position that does not exist yet.
    pub fn check_resume(&self, after: u64) -> Result<(), Status> {
        if after > self.image.seq {
            let (field, newest) = ("resume_after_journal_seq", wide(self.image.seq));
            return Err(crate::paging::beyond(field, newest, wide(after)));
        }
        Ok(())
    }

    /// Serves until the client leaves or we must end it.
    pub async fn run(mut self, resume_after: Option<u64>, out: &Outbound<Told>) -> Over {
        let begun = match resume_after {
            None => self.snapshot(out).await,
            Some(after) => self.replay(after, out).await,
        };
        if let Err(over) = begun {
            return over;
        }
        let mut silence = Instant::now() + HEARTBEAT;
        let mut checked = Instant::now();
        loop {
            let step = tokio::select! {
                biased;
                over = out.drained() => Err(over),
                over = out.gone() => Err(over),
                () = tokio::time::sleep_until(silence) => self.beat(out).await,
                news = self.news.recv() => self.hear(news, out).await,
            };
            match step {
                Err(over) => return over,
                Ok(true) => silence = Instant::now() + HEARTBEAT,
                Ok(false) => {}
            }
            if checked.elapsed() >= HEARTBEAT {
                checked = Instant::now();
                if !self.caller.still_valid() {
                    return refusal::no(Reason::AuthenticationFailed).into();
                }
            }
        }
    }

    async fn snapshot(&self, out: &Outbound<Told>) -> Result<(), Over> {
        let told = Told {
            snapshot: true,
            balances: self.image.balances(),
            positions: self.image.positions(),
            margin: Some(self.image.margin()),
            ..self.blank()
        };
        send(out, told).await
    }

    /// What every message says: where it stands.
    fn blank(&self) -> Told {
        Told {
            journal_seq: wide(self.image.seq),
            status: self.image.wire_status(),
            ..Told::default()
        }
    }

    /// Changed rows of the past, up to the image; then margin and status as of the image.
    async fn replay(&self, after: u64, out: &Outbound<Told>) -> Result<(), Over> {
        let until = self.image.seq;
        let (pause, times) = FILING;
        let mut left = times;
        while after < until && self.desk.hub.archive().answer(until).is_none() && left > 0 {
            tokio::time::sleep(pause).await;
            left -= 1;
        }
        if left == 0 {
            return Err(refusal::no(Reason::Overloaded).into());
        }
        let past = self.desk.hub.archive().after(after);
        let past = match past {
            Some(past) => past,
            None => vec![self.dig_up(after, until).await?],
        };
        let mut then = self.image.clone();
        for bulletin in past {
            for (stamped, events) in bulletin.commands() {
                let wanted = (after + 1..=until).contains(&stamped.seq);
                if !wanted || !events.iter().any(|event| then.concerns(event)) {
                    continue;
                }
                let changes = then.apply(events, stamped.seq);
                if !changes.is_empty() {
                    let told = Told {
                        journal_seq: wide(stamped.seq),
                        balances: changes.balances,
                        positions: changes.positions,
                        ..self.blank()
                    };
                    send(out, told).await?;
                }
            }
        }
        let told = Told {
            margin: Some(self.image.margin()),
            ..self.blank()
        };
        send(out, told).await
    }

    /// What concerned the account after a position that memory does not reach back to.
    async fn dig_up(&self, after: u64, until: u64) -> Result<Arc<Bulletin>, Over> {
        let image = self.image.clone();
        let concerns = move |stamped: &Stamped, events: &[Event]| {
            stamped.seq <= until && events.iter().any(|event| image.concerns(event))
        };
        let dug = self.desk.excavate(Digger::Reader, after + 1, concerns);
        Ok(dug.await?)
    }

    /// A sign of life. Answers whether something was sent.
    async fn beat(&mut self, out: &Outbound<Told>) -> Result<bool, Over> {
        let told = Told {
            heartbeat: true,
            ..self.blank()
        };
        send(out, told).await.map(|()| true)
    }

    /// News came. Answers whether something was sent.
    async fn hear(
        &mut self,
        news: Result<Arc<Bulletin>, RecvError>,
        out: &Outbound<Told>,
    ) -> Result<bool, Over> {
        let bulletin = match news {
            Ok(bulletin) => bulletin,
            Err(RecvError::Closed) => return Err(refusal::no(Reason::ServerDraining).into()),
            Err(RecvError::Lagged(_)) => {
                self.news = self.news.resubscribe();
                let account = self.account;
                self.image = self.desk.state(|exchange| Image::read(exchange, account));
                return self.snapshot(out).await.map(|()| true);
            }
        };
        let mut sent = false;
        for (stamped, events) in bulletin.commands() {
            if stamped.seq <= self.image.seq {
                continue;
            }
            let teaches = |event: &Event| {
                matches!(
                    event,
                    Event::Listed(_) | Event::Clearing(ClearingEvent::DaySettled(_))
                )
            };
            if events.iter().any(teaches) {
                self.desk.state(|exchange| self.image.learn(exchange));
            }
            if !events.iter().any(|event| self.image.concerns(event)) {
                continue;
            }
            let changes = self.image.apply(events, stamped.seq);
            if changes.status {
                self.image.status = self.desk.state(|exchange| self.status_in(exchange));
            }
            if changes.is_empty() {
                continue;
            }
            let told = Told {
                balances: changes.balances,
                positions: changes.positions,
                margin: Some(self.image.margin()),
                ..self.blank()
            };
            send(out, told).await?;
            sent = true;
        }
        self.image.seq = self.image.seq.max(bulletin.last_seq());
        Ok(sent)
    }

    fn status_in(&self, exchange: &Exchange) -> engine::command::AccountStatus {
        let row = exchange.account(self.account);
        row.map_or(self.image.status, |row| row.status)
    }
}

async fn send(out: &Outbound<Told>, told: Told) -> Result<(), Over> {
    let bytes = told.encoded_len();
    out.send(told, bytes).await
}
