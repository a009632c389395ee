//! Clients that keep books on what they asked and heard: makers and takers on sessions, who repeat, send out
//! of order, vanish and resume; one with single calls; and the operator.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use engine::{
    command::{
        Batch, BatchItem, BatchPolicy, Cancel, Command, CreditDeposit, DisconnectAction,
        MassCancel, MassQuote, OrderTerms, Origin, Place, PostOnly, Pricing, QuoteEntry, QuoteSide,
        Rail, Replace, Request, Selection, SelfTrade, SetOrderEntry, Side, Tag, Target,
        TimeInForce, Trigger, TriggerSource,
    },
    event::{Event, OrderEventKind},
    ids::{AccountId, AssetId, OrderId, SessionId},
    pipeline::{Intake, Refusal},
    reason::Reason,
    units::{Lots, Ticks},
};
use gateway::{
    bulletin::{Answer, address},
    hub::Reply,
};
use tokio::sync::oneshot;

use super::{
    front::{Front, Hear, LineId, Say},
    oracle::fingerprint,
    trace::Trace,
};
use crate::{
    generator::Random,
    market::{CONTRACT, MARK, request},
};

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Commands it wants to see through.
    pub wishes: usize,
    /// Commands on their way at a time.
    pub window: usize,
    /// Of a hundred messages, how many are sent twice.
    pub repeats: i64,
    /// Of a hundred messages, how many are sent before their turn.
    pub reorders: i64,
    /// Of a thousand moments, in how many it vanishes.
    pub vanishes: i64,
    /// What happens to its orders then.
    pub action: DisconnectAction,
    /// Time to come back, milliseconds.
    pub grace_ms: i32,
    /// Quotes instead of orders, mostly.
    pub maker: bool,
}

/// Something heard: its number, what it answers, and its fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Position in the session.
    pub event_seq: u64,
    /// Fingerprint of the event.
    pub print: u64,
}

/// A client on a session.
#[derive(Debug)]
pub struct Client {
    /// Whose.
    pub account: AccountId,
    /// Its session's name.
    pub name: String,
    /// How it behaves.
    pub habits: Habits,
    /// Its session, once known.
    pub session: SessionId,
    /// Everything heard, in order, each once.
    pub heard: Vec<Heard>,
    /// Client order ids asked for under which a refusal at the door was the answer.
    pub refused_ids: BTreeSet<u64>,
    /// What was acknowledged under a client order id.
    pub acked: BTreeMap<u64, OrderId>,
    /// Exchange's order numbers and who has them, to notice one that is used twice.
    named: BTreeMap<OrderId, u64>,
    line: Option<LineId>,
    established: bool,
    next_seq: u64,
    unanswered: BTreeMap<u64, Command>,
    open: VecDeque<u64>,
    made: usize,
    next_id: u64,
    quote_id: i64,
    random: Random,
    group_open: bool,
}

impl Client {
    /// One that has not connected yet.
    #[must_use]
    pub fn new(number: u64, account: AccountId, habits: Habits, seed: u64) -> Self {
        Self {
            account,
            name: format!("client-{number}"),
            habits,
            session: SessionId::NONE,
            heard: Vec::new(),
            refused_ids: BTreeSet::new(),
            acked: BTreeMap::new(),
            named: BTreeMap::new(),
            line: None,
            established: false,
            next_seq: 1,
            unanswered: BTreeMap::new(),
            open: VecDeque::new(),
            made: 0,
            next_id: (number + 1) * 1_000_000,
            quote_id: 0,
            random: Random::new(seed),
            group_open: false,
        }
    }

    /// Whether everything was asked and answered.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.made >= self.habits.wishes && self.unanswered.is_empty() && self.established
    }

    /// What it still waits for, for a message.
    #[must_use]
    pub fn waits_for(&self) -> String {
        format!(
            "{} made {} of {}, established {}, unanswered {:?}",
            self.name,
            self.made,
            self.habits.wishes,
            self.established,
            self.unanswered.keys().collect::<Vec<_>>()
        )
    }

    /// The venue is gone, with every stream.
    pub fn cut_off(&mut self) {
        self.line = None;
        self.established = false;
        // The answer to a mass quote is one message on the wire: half of it was not heard.
        if std::mem::take(&mut self.group_open) {
            let open = self.last();
            self.heard.retain(|heard| heard.event_seq != open);
        }
    }

    /// Does one thing. `calm`: nothing disorderly any more.
    ///
    /// # Errors
    /// What it heard and must not have heard.
    pub fn act(&mut self, front: &mut Front, calm: bool, trace: &Trace) -> Result<(), String> {
        let Some(line) = self.line else {
            let line = front.connect();
            front.send(
                line,
                Say::Establish {
                    account: self.account,
                    name: self.name.clone(),
                    action: self.habits.action,
                    grace_ms: self.habits.grace_ms,
                    resume_after: self.last(),
                },
            );
            self.line = Some(line);
            return Ok(());
        };
        if !calm && self.random.between(1, 1_000) <= self.habits.vanishes {
            trace.say(|| format!("{} vanishes from line {line}", self.name));
            front.vanish(line);
            self.cut_off();
            return Ok(());
        }
        if self.random.percent(60) {
            for _ in 0..self.random.between(1, 8) {
                match front.read(line) {
                    Some(heard) => self.hear(heard, front, trace)?,
                    None => break,
                }
                if self.line != Some(line) {
                    return Ok(());
                }
            }
            return Ok(());
        }
        if !self.established {
            return Ok(());
        }
        if self.made < self.habits.wishes && self.unanswered.len() < self.habits.window {
            self.made += 1;
            let wish = self.wish();
            let seq = self.next_seq;
            self.next_seq += 1;
            if !calm && self.random.percent(self.habits.reorders) {
                // Before its turn: refused, and said again once the gap is told.
                front.send(line, Say::Do(seq + 1, Box::new(wish.clone())));
            }
            front.send(line, Say::Do(seq, Box::new(wish.clone())));
            self.unanswered.insert(seq, wish);
        }
        if !calm && self.random.percent(self.habits.repeats) {
            let numbers: Vec<u64> = self.unanswered.keys().copied().collect();
            if let Some(seq) = self.random.pick(&numbers).copied() {
                front.send(line, Say::Do(seq, Box::new(self.unanswered[&seq].clone())));
            }
        }
        Ok(())
    }

    fn last(&self) -> u64 {
        self.heard.last().map_or(0, |heard| heard.event_seq)
    }

    fn hear(&mut self, heard: Hear, front: &mut Front, trace: &Trace) -> Result<(), String> {
        trace.say(|| format!("{} hears {heard:?}", self.name));
        match heard {
            Hear::Established {
                session,
                next_client_seq,
                last_event_seq,
            } => {
                if self.session.is_set() && self.session != session {
                    return Err(format!("{} has another session now", self.name));
                }
                if last_event_seq < self.last() {
                    return Err(format!(
                        "{} heard event {}, the venue knows only {last_event_seq}",
                        self.name,
                        self.last()
                    ));
                }
                self.session = session;
                self.established = true;
                self.renumber(next_client_seq);
                let Some(line) = self.line else { return Ok(()) };
                // Everything unanswered once more, with the same numbers.
                for (seq, wish) in &self.unanswered {
                    front.send(line, Say::Do(*seq, Box::new(wish.clone())));
                }
                Ok(())
            }
            Hear::Told { event, stored } => self.told(&event, stored),
            Hear::Rejected(seq, Reason::ClientSeqGap, expected) => {
                if seq < self.next_seq {
                    let Some(line) = self.line else { return Ok(()) };
                    for (seq, wish) in self.unanswered.range(expected..) {
                        front.send(line, Say::Do(*seq, Box::new(wish.clone())));
                    }
                }
                Ok(())
            }
            Hear::Rejected(seq, _, _) => {
                // Certainly not done.
                if let Some(wish) = self.unanswered.remove(&seq) {
                    self.refused_ids.extend(ids_of(&wish));
                }
                Ok(())
            }
            Hear::Gone => {
                self.cut_off();
                Ok(())
            }
        }
    }

    /// What the venue has not taken by this login it never will: the old login is fenced. Those commands get
    /// the numbers that come next, which are their own unless something before them was refused at the door.
    fn renumber(&mut self, next: u64) {
        let later = self.unanswered.split_off(&next);
        self.next_seq = next;
        for wish in later.into_values() {
            self.unanswered.insert(self.next_seq, wish);
            self.next_seq += 1;
        }
    }

    fn told(&mut self, event: &Event, stored: bool) -> Result<(), String> {
        let Some(to) = address(event).copied() else {
            return Err(format!(
                "{} hears what is not addressed: {event:?}",
                self.name
            ));
        };
        let print = fingerprint(event);
        let heard = Heard {
            event_seq: to.event_seq,
            print,
        };
        if stored {
            let known = self.heard.contains(&heard);
            if !known && to.event_seq <= self.last() {
                return Err(format!(
                    "{}: the stored answer {event:?} is not the first one",
                    self.name
                ));
            }
            if !known {
                return Err(format!(
                    "{}: the stored answer {event:?} runs ahead",
                    self.name
                ));
            }
        } else {
            let last = self.last();
            let goes_on = self.group_open && to.event_seq == last;
            if !goes_on && to.event_seq != last + 1 {
                return Err(format!(
                    "{} heard event {last} and then {}: {event:?}",
                    self.name, to.event_seq
                ));
            }
            self.group_open = matches!(event, Event::QuoteProblem(_) | Event::QuoteOrder(_));
            self.heard.push(heard);
        }
        if to.client_seq > 0 && !self.group_open {
            self.unanswered.remove(&to.client_seq);
        }
        if let Event::Order(order) = event
            && order.kind == OrderEventKind::Accepted
            && !order.copy
        {
            self.open.push_back(order.client_order_id);
            if order.quote.is_none() {
                let before = self.acked.insert(order.client_order_id, order.order_id);
                if before.is_some_and(|before| before != order.order_id) {
                    return Err(format!(
                        "{}: two orders under one client id: {order:?}",
                        self.name
                    ));
                }
                let before = self.named.insert(order.order_id, order.client_order_id);
                if before.is_some_and(|before| before != order.client_order_id) {
                    return Err(format!(
                        "{}: order number {:?} used twice",
                        self.name, order.order_id
                    ));
                }
            }
            if self.open.len() > 40 {
                self.open.pop_front();
            }
        }
        Ok(())
    }

    fn wish(&mut self) -> Command {
        let origin = Origin::default();
        if self.habits.maker && self.random.percent(40) {
            self.quote_id += 1;
            let rungs = self.random.between(1, 3);
            let entries = (0..rungs)
                .map(|slot| {
                    let skew = self.random.between(-3, 3);
                    let side = |random: &mut Random, offset: i64| {
                        random.percent(85).then(|| QuoteSide {
                            price: Ticks(MARK + skew + offset),
                            lots: Lots(random.between(0, 20)),
                        })
                    };
                    QuoteEntry {
                        instrument: CONTRACT,
                        slot: slot as u8,
                        bid: side(&mut self.random, -4 - slot),
                        ask: side(&mut self.random, 4 + slot),
                    }
                })
                .collect();
            return Command::MassQuote(MassQuote {
                origin,
                quote_id: self.quote_id,
                mmp_group: 1,
                entries,
                report_order_ids: self.random.percent(50),
            });
        }
        let open: Vec<u64> = self.open.iter().copied().filter(|id| *id > 0).collect();
        let target = self.random.pick(&open).copied();
        match (self.random.between(0, 99), target) {
            (0..=14, Some(id)) => Command::Cancel(Cancel {
                origin,
                target: Target::Client(id),
                instrument: CONTRACT,
            }),
            (15..=26, Some(id)) => Command::Replace(self.replace(id)),
            (27..=34, _) => {
                let items = (0..self.random.between(1, 5))
                    .map(|_| match (self.random.percent(30), target) {
                        (true, Some(id)) => BatchItem::Cancel(Cancel {
                            origin,
                            target: Target::Client(id),
                            instrument: CONTRACT,
                        }),
                        _ => BatchItem::Place(Place {
                            origin,
                            order: self.order(),
                        }),
                    })
                    .collect();
                let policies = [
                    BatchPolicy::BestEffort,
                    BatchPolicy::StopOnReject,
                    BatchPolicy::AllOrNoneValidate,
                ];
                let policy = self.random.pick(&policies).copied();
                Command::Batch(Batch {
                    origin,
                    policy: policy.unwrap_or(BatchPolicy::BestEffort),
                    items,
                })
            }
            (35..=37, _) => Command::MassCancel(MassCancel {
                origin,
                selection: Selection {
                    side: self.random.percent(50).then_some(Side::Buy),
                    this_session_only: self.random.percent(50),
                    ..Selection::default()
                },
                block_new_orders: false,
            }),
            (38..=39, _) => Command::SetOrderEntry(SetOrderEntry {
                origin,
                blocked: self.random.percent(30),
            }),
            _ => Command::Place(Place {
                origin,
                order: self.order(),
            }),
        }
    }

    fn replace(&mut self, id: u64) -> Replace {
        Replace {
            origin: Origin::default(),
            target: Target::Client(id),
            instrument: CONTRACT,
            price: Some(Ticks(MARK + self.random.between(-10, 10))),
            lots: self
                .random
                .percent(50)
                .then(|| Lots(self.random.between(1, 30))),
            post_only: None,
            expire: None,
            display: None,
            trigger: None,
            reject_if_priority_lost: self.random.percent(10),
        }
    }

    fn order(&mut self) -> OrderTerms {
        self.next_id += 1;
        order(&mut self.random, self.next_id)
    }
}

/// Client order ids of new orders in a command.
fn ids_of(command: &Command) -> Vec<u64> {
    match command {
        Command::Place(place) => vec![place.order.client_order_id],
        Command::Batch(batch) => {
            let items = batch.items.iter();
            items
                .filter_map(|item| match item {
                    BatchItem::Place(place) => Some(place.order.client_order_id),
                    _ => None,
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

fn order(random: &mut Random, client_order_id: u64) -> OrderTerms {
    let side = if random.percent(50) {
        Side::Buy
    } else {
        Side::Sell
    };
    let price = Ticks(MARK + random.between(-10, 10));
    let immediate = random.percent(25);
    let stop = !immediate && random.percent(6);
    OrderTerms {
        client_order_id,
        instrument: CONTRACT,
        side,
        pricing: match immediate && random.percent(30) {
            true => Pricing::Market,
            false => Pricing::Limit(price),
        },
        lots: Lots(random.between(1, 30)),
        time_in_force: match (immediate, random.between(0, 9)) {
            (true, 0..=7) => TimeInForce::Ioc,
            (true, _) => TimeInForce::Fok,
            (false, 0) => TimeInForce::Day,
            (false, _) => TimeInForce::Gtc,
        },
        post_only: match (immediate || stop, random.between(0, 9)) {
            (false, 0) => PostOnly::Reject,
            (false, 1) => PostOnly::Slide,
            _ => PostOnly::No,
        },
        reduce_only: random.percent(3),
        self_trade: SelfTrade::CancelResting,
        self_trade_group: 0,
        cancel_group: 0,
        display: Lots(0),
        min_fill: Lots(0),
        trigger: stop.then_some(Trigger {
            source: TriggerSource::Last,
            price,
        }),
        mmp_group: 0,
        keep_on_disconnect: random.percent(30),
        tag: Tag::default(),
    }
}

/// Somebody who asks one thing at a time without a session, and asks again under the same name until there is
/// an answer: the operator's set-up and deposits, and orders of single calls.
#[derive(Debug)]
pub struct Caller {
    wishes: VecDeque<Command>,
    asked: Option<oneshot::Receiver<Answer>>,
    /// Answers, by the name they were asked under.
    pub answered: BTreeMap<u64, u64>,
    /// Deposits that were answered or may have been done.
    pub deposits: BTreeSet<u64>,
    /// A mistake on purpose: repeats are asked under no name.
    pub forgets_the_name: bool,
    asked_before: bool,
}

impl Caller {
    /// One with these wishes.
    #[must_use]
    pub fn new(wishes: VecDeque<Command>) -> Self {
        Self {
            wishes,
            asked: None,
            answered: BTreeMap::new(),
            deposits: BTreeSet::new(),
            forgets_the_name: false,
            asked_before: false,
        }
    }

    /// Deposits and single orders.
    #[must_use]
    pub fn of_single_calls(account: AccountId, count: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let wishes = (0..count as u64).map(|number| {
            if random.percent(30) {
                let deposit = CreditDeposit {
                    account,
                    asset: AssetId(1),
                    amount: random.between(1, 1_000_000),
                    rail: Rail::Sandbox,
                };
                let id = 1_000_000 + number;
                return Command::CreditDeposit(Request {
                    id,
                    ..request(deposit)
                });
            }
            let origin = Origin {
                account,
                ..Origin::default()
            };
            let order = order(&mut random, 500_000 + number);
            Command::Place(Place { origin, order })
        });
        Self::new(wishes.collect())
    }

    /// Whether everything was answered.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.wishes.is_empty()
    }

    /// The venue is gone. What was asked is asked again.
    pub fn cut_off(&mut self) {
        self.asked = None;
    }

    /// Asks, or looks for the answer.
    ///
    /// # Errors
    /// If one name has two different answers, or the set-up is refused.
    pub fn act(&mut self, intake: &Intake<Reply>) -> Result<(), String> {
        let Some(wish) = self.wishes.front() else {
            return Ok(());
        };
        let Some(asked) = &mut self.asked else {
            let (reply, answer) = oneshot::channel();
            let mut wish = wish.clone();
            if let Command::CreditDeposit(deposit) = &mut wish {
                self.deposits.insert(deposit.id);
                if self.forgets_the_name && self.asked_before {
                    deposit.id = 0;
                }
            }
            match intake.submit(wish, Some(Reply::Answer(reply))) {
                Ok(()) => {
                    self.asked = Some(answer);
                    self.asked_before = true;
                }
                Err(Refusal::Stopped | Refusal::Overloaded | Refusal::DiskFull) => {}
            }
            return Ok(());
        };
        match asked.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => {}
            Err(oneshot::error::TryRecvError::Closed) => self.asked = None,
            Ok(answer) => {
                let failed = answer
                    .events()
                    .iter()
                    .find(|event| matches!(event, Event::Refused(_)));
                if let Some(event) = failed {
                    return Err(format!("the operator is refused {wish:?}: {event:?}"));
                }
                if let Command::Place(place) = wish {
                    let first = answer.events().iter().find_map(|event| match event {
                        Event::Order(order)
                            if order.client_order_id == place.order.client_order_id =>
                        {
                            Some(order.order_id.0)
                        }
                        _ => None,
                    });
                    let Some(first) = first else {
                        return Err(format!("no answer in {:?}", answer.events()));
                    };
                    self.answered.insert(place.order.client_order_id, first);
                }
                self.wishes.pop_front();
                self.asked = None;
                self.asked_before = false;
            }
        }
        Ok(())
    }
}
