//! Several witnesses trading with each other on one exchange, until they are told to finish.

use std::{process::ExitStatus, sync::Arc, time::Duration};

use proto::{
    common::v1::TradingState,
    reference::v1::{Instrument, ListInstrumentsRequest},
    risk::v1::{MmpGroup, SetMmpGroupRequest},
    trading::v1::SubmitOrderRequest,
};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    process::{Plan, Server},
    venue::connect,
    witness::{Habit, Phase, Progress, Terms, Witness, maker, quoter, taker, tidy_maker},
};

/// The sandbox's traders have these accounts; a wrong number would be refused at once.
const ACCOUNTS: [(&str, i64); 7] = [
    ("maker-1", 4),
    ("maker-2", 5),
    ("maker-3", 6),
    ("miner-1", 7),
    ("miner-2", 8),
    ("taker-1", 9),
    ("taker-2", 10),
];
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// Number of an actor's account.
///
/// # Panics
/// If there is no such actor.
#[must_use]
pub fn account(actor: &str) -> i64 {
    let found = ACCOUNTS.iter().find(|(name, _)| *name == actor);
    found.expect("a known actor").1
}

/// The nearest BTC forward that is open.
///
/// # Panics
/// If none is listed.
pub async fn forward(plan: &Plan) -> Instrument {
    let client = connect(&plan.address(), &plan.keys(), "maker-1").await;
    let request = ListInstrumentsRequest::default();
    let all = client.reference().list_instruments(request).await;
    let all = all.expect("instruments").into_inner().instruments;
    let open = TradingState::Open as i32;
    all.into_iter()
        .find(|contract| contract.symbol.starts_with("BTC-FWD-") && contract.state == open)
        .expect("an open forward")
}

/// The witnesses at work.
pub struct Crowd {
    at_work: JoinSet<Witness>,
    phase: watch::Sender<Phase>,
    progress: Arc<watch::Sender<Progress>>,
    contract: Instrument,
    plan: Plan,
}

impl Crowd {
    /// Two makers, a quoter under protection, two takers and a miner, on the nearest forward.
    ///
    /// # Panics
    /// If the exchange does not let them in.
    pub async fn gather(plan: &Plan, seed: u64) -> Self {
        Self::gather_as(plan, seed, |terms| terms).await
    }

    /// The same, on other terms.
    ///
    /// # Panics
    /// If the exchange does not let them in.
    pub async fn gather_as(plan: &Plan, seed: u64, change: impl Fn(Terms) -> Terms) -> Self {
        let contract = forward(plan).await;
        protect(plan, &contract).await;
        let (phase, told) = watch::channel(Phase::Work);
        let mut crowd = Self {
            at_work: JoinSet::new(),
            progress: Arc::new(watch::Sender::new(Progress::default())),
            plan: plan.clone(),
            contract: contract.clone(),
            phase,
        };
        type Makes = fn(u64, &Instrument) -> Habit;
        let habits: [(&str, Makes); 6] = [
            ("maker-1", maker),
            ("maker-2", quoter),
            ("maker-3", tidy_maker),
            ("miner-1", maker),
            ("taker-1", taker),
            ("taker-2", taker),
        ];
        for (nth, (actor, makes)) in (0_u64..).zip(habits) {
            let terms = match actor {
                "maker-2" => Terms::quoting(actor, account(actor)),
                _ => Terms::patient(actor, account(actor)),
            };
            let habit = makes(seed.wrapping_mul(31).wrapping_add(nth), &contract);
            let terms = change(terms);
            let mut witness =
                Witness::new(&plan.address(), &plan.keys(), terms, habit, &crowd.progress);
            let told = told.clone();
            crowd.at_work.spawn(async move {
                witness.work(told).await;
                witness
            });
        }
        crowd
    }

    /// What they have done so far.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Waits until they have come so far.
    ///
    /// # Panics
    /// If one of them fails, the server ends, or it takes too long.
    pub async fn reach(&mut self, server: &mut Server, far: impl FnMut(&Progress) -> bool) {
        let mut progress = self.progress.subscribe();
        tokio::select! {
            reached = tokio::time::timeout(PATIENCE, progress.wait_for(far)) => {
                assert!(reached.is_ok(), "stuck at {:?}: {}", self.progress(), server.errors());
            }
            Some(ended) = self.at_work.join_next() => {
                drop(ended.expect("a witness failed"));
                panic!("a witness stopped by itself");
            }
            status = server.ended() => panic!("it ended by itself: {status}: {}", server.errors()),
        }
    }

    /// Lets them work until the server ends by itself.
    ///
    /// # Panics
    /// If one of them fails, or it takes too long.
    pub async fn until_it_ends(&mut self, server: &mut Server) -> ExitStatus {
        tokio::select! {
            status = tokio::time::timeout(PATIENCE, server.ended()) => {
                status.unwrap_or_else(|_| panic!("it does not end: {:?}", self.progress()))
            }
            Some(ended) = self.at_work.join_next() => {
                drop(ended.expect("a witness failed"));
                panic!("a witness stopped by itself");
            }
        }
    }

    /// They stop where they are; the server is gone.
    ///
    /// # Panics
    /// If one of them fails.
    pub async fn abandon(mut self) -> Vec<Witness> {
        self.phase.send_replace(Phase::Abandon);
        let mut witnesses = Vec::new();
        while let Some(ended) = self.at_work.join_next().await {
            witnesses.push(ended.expect("a witness failed"));
        }
        witnesses
    }

    /// Lets them finish what they asked, and hear everything there is to hear.
    ///
    /// # Panics
    /// If one of them fails, or it takes too long.
    pub async fn finish(mut self) -> Vec<Witness> {
        self.phase.send_replace(Phase::Finish);
        let mut witnesses = Vec::new();
        let all = async {
            while let Some(ended) = self.at_work.join_next().await {
                witnesses.push(ended.expect("a witness failed"));
            }
        };
        let ended = tokio::time::timeout(PATIENCE, all).await;
        assert!(
            ended.is_ok(),
            "not everything is answered: {:?}",
            self.progress.borrow()
        );
        for witness in &mut witnesses {
            witness.catch_up().await;
        }
        witnesses
    }

    /// The contract they trade.
    #[must_use]
    pub fn contract(&self) -> Instrument {
        self.contract.clone()
    }

    /// The server that they trade on.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// The quoter needs a protection group; it freezes for a moment now and then.
async fn protect(plan: &Plan, contract: &Instrument) {
    let group = MmpGroup {
        mmp_group: 1,
        product_id: contract.product_id,
        window_ms: 1_000,
        frozen_ms: 20,
        fill_count_limit: 200,
        max_quote_lots: 100,
        ..MmpGroup::default()
    };
    let request = SetMmpGroupRequest {
        account_id: account("maker-2"),
        group: Some(group),
        request_id: 1,
    };
    let client = connect(&plan.address(), &plan.keys(), "maker-2").await;
    let answer = client.risk().set_mmp_group(request).await;
    answer.expect("the group is set");
}

/// Sends acknowledged orders once more, as single calls on a connection of their own; the answer is
/// the first one's. Gives back how many were asked.
///
/// # Panics
/// If one of them has an effect, or another answer.
pub async fn ask_once_more(plan: &Plan, witnesses: &[Witness], each: usize) -> usize {
    use proto::trading::v1::{OrderEventKind, open_session_request::Command};
    let mut asked = 0;
    for witness in witnesses {
        let client = connect(&plan.address(), &plan.keys(), &witness.terms.actor).await;
        let accepted = witness.record.orders().filter(|(_, order)| {
            order.kind == OrderEventKind::Accepted as i32 && order.quote.is_none()
        });
        let accepted: Vec<_> = accepted.collect();
        for (event, order) in accepted.into_iter().rev() {
            let Some(Command::NewOrder(sent)) = witness.record.sent.get(&event.client_seq) else {
                continue;
            };
            let request = SubmitOrderRequest {
                account_id: witness.terms.account,
                order: Some(sent.clone()),
                ..SubmitOrderRequest::default()
            };
            let answer = client.trading().submit_order(request).await;
            let answer = answer.expect("the first answer").into_inner();
            assert!(
                answer.replayed,
                "order {} came twice",
                order.client_order_id
            );
            let first = answer.events.first().expect("an event");
            assert_eq!(
                (first.order_id, answer.journal_seq),
                (order.order_id, event.journal_seq)
            );
            asked += 1;
            if asked % each == 0 {
                break;
            }
        }
    }
    asked
}
