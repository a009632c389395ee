//! What every service works with: the way in, the durable state, and what was told.

use std::{path::PathBuf, sync::Arc};

use engine::{
    command::{Command, Stamped},
    event::Event,
    exchange::Exchange,
    follower::Follower,
    ids::Seq,
    journal::{self, RealDisk},
    pipeline::{Fault, Intake, Replay},
    reason::{Field, Problem, Reason},
    snapshots,
};
use tokio::sync::{Semaphore, oneshot};
use tonic::Status;

use crate::{
    bulletin::{Answer, Bulletin},
    clock::ExchangeClock,
    hub::{Hub, Reply},
    mailbox::Slot,
    refusal,
};

/// Events of one look into the far past; more is too much to hand out at once.
const EXCAVATED_EVENTS: usize = 1_000_000;

/// Who looks into the far past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digger {
    /// A session that resumes: waits for its turn.
    Session,
    /// A listing or a drop copy: refused while another one digs.
    Reader,
}

/// What kind of deployment this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Play money, ready-made accounts and keys.
    Sandbox,
    /// The real thing: no play money.
    Production,
}

/// The gateway's hands. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The way into the core.
    pub intake: Intake<Reply>,
    /// The durable state.
    pub follower: Follower,
    /// The exchange's time.
    pub clock: ExchangeClock,
    /// What was told, and to whom.
    pub hub: Arc<Hub>,
    /// Why the exchange stopped, if it did.
    pub fault: Arc<Fault>,
    /// Newest durable position.
    pub durable: Arc<std::sync::atomic::AtomicU64>,
    /// Sandbox or production.
    pub environment: Environment,
    /// Where the journal lies, for resuming further back than memory reaches.
    pub journal: PathBuf,
    /// Told to every stream when the server stops.
    pub draining: tokio::sync::watch::Receiver<bool>,
    /// One look into the far past at a time for sessions, and one for everybody else.
    pub excavations: [Arc<Semaphore>; 2],
}

impl Desk {
    /// Sends a command and waits until what it did is durable.
    ///
    /// # Errors
    /// Overload or stop: certainly not done. Anything else is "outcome unknown" and carries no detail.
    pub async fn ask(&self, command: Command) -> Result<Answer, Status> {
        let (reply, answer) = oneshot::channel();
        self.send(command, Some(Reply::Answer(reply)))?;
        answer.await.map_err(|_| unknown_outcome())
    }

    /// Sends a login; its mailbox opens exactly where the answer stands among the events.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn log_in(&self, command: Command, slot: Slot) -> Result<Answer, Status> {
        let (reply, answer) = oneshot::channel();
        self.send(command, Some(Reply::Login(reply, slot)))?;
        answer.await.map_err(|_| unknown_outcome())
    }

    /// Sends a command without waiting.
    ///
    /// # Errors
    /// Overload or stop, as a status.
    pub fn send(&self, command: Command, reply: Option<Reply>) -> Result<(), Status> {
        self.intake.submit(command, reply).map_err(refusal::intake)
    }

    /// Whether there is an alarm: what raised it may be in the very state that would be shown.
    #[must_use]
    pub fn is_alarmed(&self) -> bool {
        self.follower.differs() || self.fault.reason().is_some()
    }

    /// A short look at the durable state.
    pub fn state<T>(&self, look: impl FnOnce(&Exchange) -> T) -> T {
        look(&self.follower.read())
    }

    /// Waits until the server is told to stop.
    pub async fn drained(&self) {
        let mut draining = self.draining.clone();
        // A closed channel means the same.
        drop(draining.wait_for(|draining| *draining).await);
    }

    /// Position of the durable state; not before anything that was told.
    #[must_use]
    pub fn as_of(&self) -> i64 {
        wide(self.state(Exchange::seq))
    }

    /// Answers at journal positions, from memory or from the journal itself.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn answers(&self, seqs: &[Seq], digger: Digger) -> Result<Vec<Answer>, Status> {
        let recent: Vec<Option<Answer>> = {
            let archive = self.hub.archive();
            seqs.iter().map(|seq| archive.answer(*seq)).collect()
        };
        if recent.iter().all(Option::is_some) {
            return Ok(recent.into_iter().flatten().collect());
        }
        let (wanted, oldest) = (seqs.to_vec(), seqs.iter().min().copied().unwrap_or(1));
        let bulletin = self
            .excavate(digger, oldest, move |stamped, _| {
                wanted.binary_search(&stamped.seq).is_ok()
            })
            .await?;
        Ok((0..bulletin.stamped.len())
            .map(|place| Answer::new(bulletin.clone(), place))
            .collect())
    }

    /// The oldest position that the journal and its snapshots can still tell of.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub async fn oldest_on_disk(&self) -> Result<Seq, Status> {
        let dir = self.journal.clone();
        let look = move || -> Result<Seq, String> {
            if journal::reaches_back(&RealDisk, &dir).map_err(|error| error.to_string())? {
                return Ok(1);
            }
            let oldest = snapshots::oldest(&RealDisk, &snapshots::beside(&dir));
            Ok(oldest
                .map_err(|error| error.to_string())?
                .map_or(1, |seq| seq + 1))
        };
        let found = tokio::task::spawn_blocking(look).await;
        found
            .map_err(|_| Status::internal("looking at the journal failed"))?
            .map_err(|why| Status::internal(format!("looking at the journal: {why}")))
    }

    /// Executes the journal again on a scratch copy, away from the core, from the newest snapshot before
    /// position `from` on, and keeps the commands that `wanted` chooses.
    ///
    /// # Errors
    /// If the journal cannot be read or no longer reaches back that far, if it is too much, or for readers
    /// while somebody else digs.
    pub async fn excavate(
        &self,
        digger: Digger,
        from: Seq,
        wanted: impl Fn(&Stamped, &[Event]) -> bool + Send + 'static,
    ) -> Result<Arc<Bulletin>, Status> {
        let [sessions, readers] = &self.excavations;
        let permit = match digger {
            Digger::Session => sessions.clone().acquire_owned().await.ok(),
            Digger::Reader => readers.clone().try_acquire_owned().ok(),
        };
        let _permit = permit.ok_or_else(|| refusal::no(Reason::Overloaded))?;
        let (dir, last) = (self.journal.clone(), self.state(Exchange::seq));
        let dug = tokio::task::spawn_blocking(move || dig(&dir, (from, last), wanted)).await;
        let found = dug
            .map_err(|_| Status::internal("reading the journal failed"))?
            .map_err(|why| match why {
                Undug::Gone(oldest) => refusal::status(&Problem::limit(
                    Reason::ResumeTooOld,
                    Field::None,
                    wide(oldest),
                    wide(from),
                )),
                Undug::Unreadable(why) => Status::internal(format!("reading the journal: {why}")),
            })?;
        if found.events.len() > EXCAVATED_EVENTS {
            return Err(refusal::no(Reason::ResumeTooOld));
        }
        Ok(Arc::new(found))
    }
}

/// Why there is no answer from the far past.
enum Undug {
    /// Those segments are retired; the oldest position that can be asked for.
    Gone(Seq),
    /// Anything else.
    Unreadable(String),
}

fn dig(
    dir: &std::path::Path,
    (from, last): (Seq, Seq),
    wanted: impl Fn(&Stamped, &[Event]) -> bool,
) -> Result<Bulletin, Undug> {
    let mut found = Bulletin {
        stamped: Vec::new(),
        events: Vec::new(),
        ends: Vec::new(),
    };
    let unreadable = |error: &dyn std::fmt::Display| Undug::Unreadable(error.to_string());
    let snapshots_dir = snapshots::beside(dir);
    let before = from.saturating_sub(1);
    let begin = snapshots::newest_valid(&RealDisk, &snapshots_dir, 0, before);
    let begin = begin.map_err(|error| unreadable(&error))?.loaded;
    if begin.is_none() && !journal::reaches_back(&RealDisk, dir).map_err(|e| unreadable(&e))? {
        let oldest = snapshots::oldest(&RealDisk, &snapshots_dir);
        return Err(Undug::Gone(
            oldest.map_err(|error| unreadable(&error))?.unwrap_or(last) + 1,
        ));
    }
    let position = begin.as_ref().map(|begin| begin.position.clone());
    let mut exchange = begin.map_or_else(Exchange::new, |begin| begin.exchange);
    let mut replay = Replay::default();
    let scanned = journal::scan_from(&RealDisk, dir, position.as_ref(), |block| {
        if block.first_seq > last {
            return Ok(());
        }
        replay.block(
            &mut exchange,
            block.payload,
            block.count,
            |stamped, events| {
                let room = found.events.len() <= EXCAVATED_EVENTS;
                if room && (from..=last).contains(&stamped.seq) && wanted(stamped, events) {
                    found.stamped.push(stamped.clone());
                    found.events.extend_from_slice(events);
                    found
                        .ends
                        .push(u32::try_from(found.events.len()).unwrap_or(u32::MAX));
                }
            },
        )
    });
    match scanned {
        // The live journal's last block may be half written; what was asked for lies before it.
        Err(error) if exchange.seq() < last => Err(unreadable(&error)),
        _ => Ok(found),
    }
}

/// The exchange stopped in the middle of a call.
#[must_use]
pub fn unknown_outcome() -> Status {
    // No ErrorInfo on purpose: the command may have been done (G9).
    Status::unavailable("the exchange stopped before it answered; ask again by the same id")
}

/// The refusal in an answer, if the command was refused as a whole.
#[must_use]
pub fn refused(answer: &Answer) -> Option<Problem> {
    answer.events().iter().find_map(|event| match event {
        Event::Refused(refused) => Some(refused.problem),
        _ => None,
    })
}

/// A position as the wire carries it.
#[must_use]
pub fn wide(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
