//! One client's stream: its subscriptions, the news it listens to, and its bounded way out.
//!
//! The task that runs a feed stops reading the news while the client does not read, so a slow client
//! falls behind in the bounded broadcast, never in memory of its own, and never holds up anybody else.

use engine::{event::Event, ids::InstrumentId, reason::Reason};
use prost::Message;
use proto::marketdata::v1::{
    self as wire, MarketDataUpdate as Update, market_data_update::Payload, stream_request::Action,
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::{
    sync::broadcast::{
        Receiver,
        error::{RecvError, TryRecvError},
    },
    time::{Duration, Instant, MissedTickBehavior},
};
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::{
    past,
    row::{Moment, public},
    subscription::{Subscription, status, wrong},
};
use crate::{
    bulletin::Bulletin,
    desk::{Desk, wide},
    outbound::{Outbound, Over},
    refusal,
};

/// Subscriptions of one stream.
pub const SUBSCRIPTIONS: usize = 64;
/// Updates and bytes of one message, unless a single update is larger.
const MESSAGE_UPDATES: usize = 512;
const MESSAGE_BYTES: usize = 64 * 1024;
/// Updates gathered before they are sent, when many bulletins wait.
const GATHER: usize = 256;
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Whether the caller's key still opens anything.
pub type StillValid = Box<dyn Fn() -> bool + Send + Sync>;

/// The feed.
pub struct Feed {
    desk: Desk,
    still_valid: StillValid,
    news: Receiver<Arc<Bulletin>>,
    subscriptions: Vec<Subscription>,
    interest: Interest,
    out: Vec<Update>,
}

/// Which public events any subscription wants.
#[derive(Debug, Default)]
struct Interest {
    all: bool,
    contracts: BTreeSet<InstrumentId>,
}

impl Interest {
    fn of(subscriptions: &[Subscription]) -> Self {
        Self {
            all: subscriptions.iter().any(Subscription::wants_all),
            contracts: subscriptions
                .iter()
                .flat_map(Subscription::contracts)
                .collect(),
        }
    }

    fn covers(&self, event: &Event) -> bool {
        match public(event) {
            Some((id, _)) => self.all || self.contracts.contains(&id),
            None => matches!(event, Event::Index(_) | Event::Round(_) | Event::Listed(_)),
        }
    }
}

impl Feed {
    /// Listens from here on.
    #[must_use]
    pub fn new(desk: Desk, still_valid: StillValid) -> Self {
        Self {
            news: desk.hub.listen(),
            desk,
            still_valid,
            subscriptions: Vec::new(),
            interest: Interest::default(),
            out: Vec::new(),
        }
    }

    /// Serves until the client leaves or we must end it.
    pub async fn run(
        mut self,
        mut requests: impl Stream<Item = Result<wire::StreamRequest, Status>> + Unpin,
        out: &Outbound<Vec<Update>>,
    ) -> Over {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut talks = true;
        loop {
            if let Err(over) = self.send(out).await {
                return over;
            }
            let due = self
                .subscriptions
                .iter()
                .filter_map(Subscription::due)
                .min();
            let done = tokio::select! {
                biased;
                over = out.drained() => Err(over),
                over = out.gone() => Err(over),
                _ = heartbeat.tick() => self.beat(out),
                () = sleep_until(due) => {
                    self.flush();
                    Ok(())
                }
                request = requests.next(), if talks => match request {
                    Some(Ok(request)) => self.obey(request, out).await,
                    // Half-closed: the subscriptions go on.
                    None => {
                        talks = false;
                        Ok(())
                    }
                    Some(Err(_)) => Err(Over::Gone),
                },
                news = self.news.recv() => self.hear(news),
            };
            if let Err(over) = done {
                return over;
            }
        }
    }

    /// A request of the client.
    async fn obey(
        &mut self,
        request: wire::StreamRequest,
        out: &Outbound<Vec<Update>>,
    ) -> Result<(), Over> {
        match request.action {
            Some(Action::Subscribe(asked)) => self.subscribe(&asked).await,
            Some(Action::UnsubscribeId(id)) => self.unsubscribe(id),
            Some(Action::Ping(_)) => return self.beat(out),
            None => return Err(refusal::invalid("action", "missing").into()),
        }
        Ok(())
    }

    /// Begins a subscription, or answers REJECTED. One that continues a tape from before what memory holds waits
    /// until the journal was read, and the stream's others with it.
    pub async fn subscribe(&mut self, asked: &wire::Subscription) {
        let id = asked.subscription_id;
        let begun = if self.subscriptions.len() >= SUBSCRIPTIONS {
            let most = wide(SUBSCRIPTIONS as u64);
            Err(wrong(Reason::TooManyItems, "subscriptions", most, most + 1))
        } else if self.subscriptions.iter().any(|known| known.id == id) {
            Err(wrong(
                Reason::AlreadyExists,
                "subscription_id",
                0,
                id.into(),
            ))
        } else {
            match past::of_a_tape(asked, &self.desk).await {
                Ok(past) => {
                    Subscription::begin(asked, past, &self.desk, Instant::now(), &mut self.out)
                }
                Err(problem) => Err(problem),
            }
        };
        match begun {
            Ok(subscription) => self.subscriptions.push(subscription),
            Err(problem) => {
                let state = wire::SubscriptionState::Rejected;
                self.out.push(status(id, state, Some(problem)));
            }
        }
        self.interest = Interest::of(&self.subscriptions);
    }

    fn unsubscribe(&mut self, id: i32) {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|known| known.id != id);
        let answer = if self.subscriptions.len() < before {
            status(id, wire::SubscriptionState::Ended, None)
        } else {
            let problem = wrong(Reason::NotFound, "unsubscribe_id", 0, id.into());
            status(id, wire::SubscriptionState::Rejected, Some(problem))
        };
        self.out.push(answer);
        self.interest = Interest::of(&self.subscriptions);
    }

    /// News came; takes along what else is there already.
    fn hear(&mut self, news: Result<Arc<Bulletin>, RecvError>) -> Result<(), Over> {
        match news {
            Ok(bulletin) => self.read(&bulletin),
            Err(RecvError::Lagged(skipped)) => return self.lag(skipped),
            Err(RecvError::Closed) => return Err(refusal::no(Reason::ServerDraining).into()),
        }
        while self.out.len() < GATHER {
            match self.news.try_recv() {
                Ok(bulletin) => self.read(&bulletin),
                Err(TryRecvError::Lagged(skipped)) => return self.lag(skipped),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        Ok(())
    }

    fn read(&mut self, bulletin: &Bulletin) {
        let touches = |event: &Event| self.interest.covers(event);
        if self.subscriptions.is_empty() || !bulletin.events.iter().any(touches) {
            return;
        }
        let now = Instant::now();
        let mut listed = false;
        for (stamped, events) in bulletin.commands() {
            if !events.iter().any(|event| self.interest.covers(event)) {
                continue;
            }
            listed |= events.iter().any(|event| matches!(event, Event::Listed(_)));
            let moment = Moment::of(stamped);
            for subscription in &mut self.subscriptions {
                subscription.command(&self.desk, moment, events, now, &mut self.out);
            }
        }
        self.flush();
        if listed {
            self.interest = Interest::of(&self.subscriptions);
        }
    }

    fn flush(&mut self) {
        let now = Instant::now();
        for subscription in &mut self.subscriptions {
            subscription.flush(&self.desk, now, &mut self.out);
        }
    }

    /// News went by unread.
    fn lag(&mut self, skipped: u64) -> Result<(), Over> {
        if self.subscriptions.iter().any(|known| known.ends_on_lag) {
            return Err(refusal::no(Reason::SlowConsumer).into());
        }
        // From the newest on: what is older is in the snapshots.
        self.news = self.news.resubscribe();
        let now = Instant::now();
        for subscription in &mut self.subscriptions {
            subscription.restart(&self.desk, skipped, now, &mut self.out);
        }
        self.interest = Interest::of(&self.subscriptions);
        Ok(())
    }

    fn beat(&mut self, out: &Outbound<Vec<Update>>) -> Result<(), Over> {
        if !(self.still_valid)() {
            return Err(refusal::no(Reason::AuthenticationFailed).into());
        }
        let ids: BTreeSet<InstrumentId> = self
            .subscriptions
            .iter()
            .flat_map(Subscription::contracts)
            .collect();
        let (moment, last_seqs) = self.desk.state(|exchange| {
            let rows = ids.iter().filter_map(|id| exchange.instrument(*id));
            let seq = |row: &engine::instrument::Instrument| wire::InstrumentSeq {
                instrument_id: crate::translate::reference::id(row.id.0),
                seq: wide(row.public_seq),
            };
            (Moment::now(exchange), rows.map(seq).collect())
        });
        let heartbeat = wire::StreamHeartbeat {
            last_seqs,
            queued_bytes: i32::try_from(out.queued_bytes()).unwrap_or(i32::MAX),
        };
        self.out.push(Update {
            journal_seq: wide(moment.journal),
            payload: Some(Payload::Heartbeat(heartbeat)),
            ..Update::default()
        });
        Ok(())
    }

    /// Sends what has gathered, in messages of bounded size.
    async fn send(&mut self, out: &Outbound<Vec<Update>>) -> Result<(), Over> {
        let (mut message, mut bytes) = (Vec::new(), 0);
        for update in self.out.drain(..) {
            let size = update.encoded_len();
            let full = message.len() >= MESSAGE_UPDATES || bytes + size > MESSAGE_BYTES;
            if full && !message.is_empty() {
                out.send(std::mem::take(&mut message), bytes).await?;
                bytes = 0;
            }
            bytes += size;
            message.push(update);
        }
        if message.is_empty() {
            return Ok(());
        }
        out.send(message, bytes).await
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Feed");
        shown.field("subscriptions", &self.subscriptions);
        shown.finish_non_exhaustive()
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
