//! A market maker: two-sided ladders in every contract, moved in place as its view of the price moves.
//!
//! It owns one session with cancel-on-disconnect. It never quotes what it cannot see: no index, no quote.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use proto::{
    common::v1::Reason,
    trading::v1::{OrderEvent, OrderEventKind, SessionEvent, session_event::Event},
};
use tokio::time::{self, MissedTickBehavior};

use super::{
    fair::{self, Opinion},
    ladder::{self, Action, Shape},
    market::Market,
    quotes::{Quotes, Waiting},
    random::Random,
    stop::Stop,
    tally::Tally,
    wording,
};
use crate::client::{Client, ClientError, Session};

/// How often a maker thinks.
const THINK: Duration = Duration::from_millis(20);
/// Contracts looked at per thought; keeps a big move from being sent in one burst.
const CONTRACTS_PER_THOUGHT: usize = 6;
/// How far a maker's view of one contract wanders from its model.
const WANDER_PPM_MAX: i64 = 400;
const WANDER_STEP_PPM: i64 = 60;
/// Part of each leg's value that the ladder of a combination is measured by.
const COMBINED_PART: i64 = 8;
/// How long a stopping maker waits for its last answers.
const FAREWELL: Duration = Duration::from_secs(3);

/// One maker.
pub(super) struct Maker {
    pub(super) name: String,
    pub(super) account_id: i64,
    pub(super) client: Client,
    pub(super) market: Arc<Market>,
    pub(super) tally: Arc<Tally>,
    pub(super) random: Random,
    pub(super) opinion: Opinion,
    pub(super) shape: Shape,
    /// Quotes spreads and strips as well.
    pub(super) combines: bool,
    pub(super) quotes: Quotes,
    /// Deviation from the model, per contract.
    pub(super) wander_ppm: Vec<i64>,
    /// Contracts to look at, each at most once.
    pub(super) due: VecDeque<usize>,
    pub(super) last_round: Option<i64>,
    pub(super) next_client_order_id: u64,
}

impl Maker {
    /// The `number`-th maker of a demo. Makers differ a little, so that there is a market and not a wall.
    pub(super) fn new(
        number: i64,
        account_id: i64,
        client: Client,
        market: Arc<Market>,
        tally: Arc<Tally>,
        random: Random,
        first_client_order_id: u64,
    ) -> Self {
        Self {
            name: format!("demo-maker-{number}"),
            account_id,
            client,
            wander_ppm: vec![0; market.contracts.len()],
            due: VecDeque::new(),
            market,
            tally,
            random,
            opinion: Opinion {
                growth_ppm_per_month: 6_500 + 40 * (number % 4),
                bias_ppm: 100 * (number % 3 - 1),
                skew_ppm_per_lot: 8,
            },
            shape: Shape {
                half_spread_ppm: 700 + 150 * (number % 4),
                step_ppm: 600,
                levels: 3,
                lots: 4 + number % 3,
            },
            combines: number == 0,
            quotes: Quotes::default(),
            last_round: None,
            next_client_order_id: first_client_order_id,
        }
    }

    /// Trades until stopped, then takes its orders out and logs off.
    pub(super) async fn run(mut self, mut stop: Stop) {
        let Some(mut session) = self.log_on(&mut stop).await else {
            return;
        };
        let mut thoughts = time::interval(THINK);
        thoughts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                () = stop.wait() => break,
                event = session.next() => match event {
                    Ok(event) => {
                        self.hear(&event);
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                _ = thoughts.tick() => self.think(&mut session).await,
            };
            if let Err(error) = step
                && !self.recover(&mut session, error, &mut stop).await
            {
                return;
            }
        }
        if time::timeout(FAREWELL, self.farewell(session))
            .await
            .is_err()
        {
            self.tally
                .notice(format!("{}: no answer to the logout", self.name));
        }
    }

    /// Takes in one event.
    pub(super) fn hear(&mut self, event: &SessionEvent) {
        let now = Instant::now();
        let waiting = match event.client_seq {
            0 => None,
            seq => self.quotes.answered(seq),
        };
        if let Some(waiting) = &waiting
            && !event.replayed
        {
            self.tally.acked(now - waiting.sent);
        }
        match &event.event {
            Some(Event::Order(order)) => self.hear_order(order, waiting.as_ref(), now),
            Some(Event::CommandRejected(rejected)) => {
                self.tally.problem(rejected.problem.as_ref());
                if let Some(waiting) = &waiting {
                    self.quotes.had_no_effect(waiting, now);
                    self.look_at(waiting.contract);
                }
            }
            Some(Event::Terminated(end)) => {
                let reason = end.problem.as_ref().map_or(0, |p| p.reason);
                if reason != Reason::Unspecified as i32 {
                    self.tally.problem(end.problem.as_ref());
                }
            }
            Some(Event::Notice(notice)) => {
                self.tally
                    .notice(format!("{}: {}", self.name, notice.message));
            }
            _ => {}
        }
    }

    /// Takes in what happened to an order.
    fn hear_order(&mut self, order: &OrderEvent, waiting: Option<&Waiting>, now: Instant) {
        self.tally.order_event(order);
        let own = self.quotes.apply(order);
        // An event about an order that is gone by now still answers a command about a contract.
        let Some(contract) = own.or(waiting.map(|w| w.contract)) else {
            return;
        };
        for leg in order.fill.iter().flat_map(|fill| &fill.legs) {
            if let Some(leg_contract) = self.market.position(leg.instrument_id) {
                self.quotes.holds(leg_contract, leg.position_lots_after);
            }
        }
        let side = waiting.map_or(order.side(), |w| w.side);
        match order.kind() {
            // Where it now stands may be a slid price. Chasing that would never end: the next look
            // comes with the next change of mind.
            OrderEventKind::Accepted | OrderEventKind::Replaced => {
                self.quotes.welcomed(contract, side);
                return;
            }
            OrderEventKind::Rejected | OrderEventKind::ReplaceRejected
                if !wording::came_too_late(order) =>
            {
                self.quotes.refused(contract, side, now);
            }
            _ => {}
        }
        self.look_at(contract);
    }

    /// Wanders a little, then brings the contracts that are due to where they should be.
    async fn think(&mut self, session: &mut Session) -> Result<(), ClientError> {
        if self.market.contracts.is_empty() {
            return Ok(());
        }
        let round = self.market.picture().index.map(|i| i.round_id);
        if round != self.last_round {
            self.last_round = round;
            self.look_at_all();
        }
        let some = self.random.below(self.market.contracts.len());
        let step = self.random.between(-WANDER_STEP_PPM, WANDER_STEP_PPM);
        self.wander_ppm[some] =
            (self.wander_ppm[some] + step).clamp(-WANDER_PPM_MAX, WANDER_PPM_MAX);
        self.look_at(some);
        for _ in 0..CONTRACTS_PER_THOUGHT.min(self.due.len()) {
            let Some(contract) = self.due.pop_front() else {
                break;
            };
            if self.quotes.busy(contract) {
                // Decide again once the answers are here.
                self.due.push_back(contract);
                continue;
            }
            self.requote(session, contract).await?;
        }
        Ok(())
    }

    async fn requote(&mut self, session: &mut Session, contract: usize) -> Result<(), ClientError> {
        let now = Instant::now();
        let (quote, index) = {
            let picture = self.market.picture();
            (picture.quotes[contract], picture.index)
        };
        let terms = &self.market.contracts[contract];
        let index_ticks = index.and_then(|i| fair::in_ticks(&i.value, &terms.tick));
        let (Some(index_ticks), true) = (index_ticks, quote.accepts_quotes()) else {
            return Ok(());
        };
        let (fair, scale) = match terms.family.is_combination() {
            true if !self.combines => return Ok(()),
            true => self.combined(&terms.legs, index_ticks),
            false => {
                let fair = self.fair(contract, index_ticks);
                (fair, fair)
            }
        };
        let mut wished = ladder::target(fair, scale, self.shape, quote.band);
        // A side that is refused is pulled for a while: left behind, it would meet the other side.
        wished.retain(|rung| !self.quotes.rests(contract, rung.side, now));
        for rung in &mut wished {
            rung.lots = rung.lots.clamp(terms.lots.0, terms.lots.1);
        }
        for action in ladder::diff(&self.quotes.live(contract), &wished) {
            self.act(session, contract, action).await?;
        }
        Ok(())
    }

    /// What one contract is worth.
    fn fair(&self, contract: usize, index_ticks: i64) -> i64 {
        let opinion = Opinion {
            bias_ppm: self.opinion.bias_ppm + self.wander_ppm[contract],
            ..self.opinion
        };
        let days_out = self.market.contracts[contract].days_out;
        let position = self.quotes.position(contract);
        fair::fair(index_ticks, days_out, position, opinion)
    }

    /// What a combination is worth, and what its ladder is measured by: less than its legs' ladders, since
    /// whoever trades all legs at once takes less risk.
    fn combined(&self, legs: &[(i32, i64)], index_ticks: i64) -> (i64, i64) {
        let (mut fair, mut scale) = (0, 0);
        for (leg, ratio) in legs {
            if let Some(contract) = self.market.position(*leg) {
                let value = self.fair(contract, index_ticks);
                fair += ratio * value;
                scale += value / COMBINED_PART;
            }
        }
        (fair, scale)
    }

    async fn act(
        &mut self,
        session: &mut Session,
        contract: usize,
        action: Action,
    ) -> Result<(), ClientError> {
        let instrument_id = self.market.contracts[contract].id;
        let (client_order_id, side) = match action {
            Action::Cancel(id)
            | Action::Move {
                client_order_id: id,
                ..
            } => (id, self.quotes.side(id)),
            Action::New(rung) => {
                let id = self.next_client_order_id;
                self.next_client_order_id += 1;
                self.quotes.entered(contract, id, rung);
                (id, rung.side)
            }
        };
        // Noted before the send: should the send fail, the recovery settles it by its number.
        let waiting = Waiting {
            sent: Instant::now(),
            contract,
            side,
            client_order_id,
            new: matches!(action, Action::New(_)),
        };
        self.quotes.sent(session.upcoming_client_seq(), waiting);
        self.tally.sent();
        let command = wording::command(action, client_order_id, instrument_id);
        session.send(command).await?;
        Ok(())
    }

    fn look_at(&mut self, contract: usize) {
        if !self.due.contains(&contract) {
            self.due.push_back(contract);
        }
    }

    pub(super) fn look_at_all(&mut self) {
        for contract in 0..self.market.contracts.len() {
            self.look_at(contract);
        }
    }
}
