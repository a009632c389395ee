//! Everything that a seed decides before the run begins, printed when something is wrong.

use engine::{command::DisconnectAction, pipeline};

use super::{
    clients::Habits,
    disk::{Lie, Manners, Trap},
};
use crate::generator::Random;

/// A mistake on purpose. The harness must find each, or it proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutation {
    /// None.
    #[default]
    None,
    /// The disk answers syncs and stores nothing.
    SyncStoresNothing,
    /// The journal lets entries out before they are stored.
    ToldBeforeDurable,
    /// A failed sync counts as a good one.
    SyncErrorSwallowed,
    /// A start cuts whatever has a bad checksum.
    CutsAnyDamage,
    /// A start forgets to raise the epoch after a cut, and to clear what lies behind it.
    EpochNotRaised,
    /// The follower leaves a command out.
    FollowerSkips,
    /// A client's live event is lost on the way.
    EventDropped,
    /// Two orders are told under one number.
    OrderIdReused,
    /// What was durable and not yet told is not in the archive after a restart.
    ResumeForgets,
    /// A repeated deposit comes without its name.
    NameForgotten,
    /// Batches are told in another order.
    ToldOutOfOrder,
}

/// What a seed decides.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// Clients on sessions.
    pub clients: Vec<Habits>,
    /// Calls without a session.
    pub calls: usize,
    /// Queue sizes and batches.
    pub pipeline: pipeline::Settings,
    /// Zero-written segments ahead.
    pub reserve: usize,
    /// The disk, while things go wrong.
    pub manners: Manners,
    /// Moments before everything calms down.
    pub steps: u64,
    /// Of ten thousand moments, in how many the process is killed.
    pub kills: i64,
    /// Of ten thousand moments, in how many the power goes.
    pub cuts: i64,
    /// Of ten thousand moments, in how many the clock jumps.
    pub jumps: i64,
    /// Of a hundred starts, how many meet rot.
    pub rot: i64,
    /// Of a hundred starts, how many are interrupted themselves.
    pub crashes_in_start: i64,
    /// Of a hundred starts, how many are checked for being repeatable.
    pub repeats_start: i64,
    /// Weights of core, journal, publisher, clients, door, and time.
    pub pace: [i64; 6],
    /// Microseconds that pass at a time.
    pub step_us: i64,
    /// Of a thousand moments, in how many the keeper does something.
    pub keeper: i64,
    /// Harm at a chosen operation, counted from the first start.
    pub trap: Option<Trap>,
    /// A mistake on purpose.
    pub mutation: Mutation,
}

impl Options {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut options = match Random::new(seed ^ 0x4a4d).percent(12) {
            true => Self::hard(seed),
            false => Self::plain(seed),
        };
        // Drawn apart: what else a seed decides stays as it was.
        let mut random = Random::new(seed ^ 0x6b65_6570);
        if random.percent(50) {
            options.keeper = random.between(2, 30);
        }
        options
    }

    /// A machine as good or bad as the seed says.
    #[must_use]
    pub fn plain(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed_0f0f);
        let r = &mut random;
        let disorderly = r.percent(70);
        let long = if r.percent(15) { 6 } else { 1 };
        let clients = (0..r.between(2, 4)).map(|number| Habits {
            wishes: (long * r.between(15, 70)) as usize,
            window: r.between(1, 12) as usize,
            repeats: if disorderly { r.between(0, 15) } else { 0 },
            reorders: if disorderly { r.between(0, 8) } else { 0 },
            vanishes: if disorderly { r.between(0, 8) } else { 0 },
            action: match r.between(0, 2) {
                0 if number > 0 => DisconnectAction::Keep,
                1 => DisconnectAction::CancelAccount,
                _ => DisconnectAction::CancelSession,
            },
            grace_ms: [0, 50, 60_000][r.between(0, 2) as usize],
            maker: number == 0,
        });
        let clients = clients.collect();
        let queue = r.between(4, 48) as usize;
        let latency = [10, 100, 800, 4_000][r.between(0, 3) as usize];
        let full = r.percent(15);
        Self {
            seed,
            clients,
            calls: r.between(0, 12) as usize,
            pipeline: pipeline::Settings {
                queue,
                cancel_room: (queue / 4).max(1),
                batch: r.between(1, 24) as usize,
                batches: r.between(1, 6) as usize,
                post_only_ms: r.between(0, 20) as i32,
                recovery_grace_ms: r.between(0, 2_000) as i32,
                epoch_ms: 0,
            },
            reserve: r.between(1, 2) as usize,
            manners: Manners {
                errors: if r.percent(40) { r.between(1, 60) } else { 0 },
                latency,
                slow: if r.percent(30) { r.between(1, 20) } else { 0 },
                capacity: match full {
                    true => r.between(2, 4).unsigned_abs() * super::SEGMENT_BYTES,
                    false => u64::MAX,
                },
                pressure: if r.percent(30) { r.between(1, 30) } else { 0 },
                lie: Lie::None,
            },
            steps: r.between(500, 5_000).unsigned_abs(),
            kills: if r.percent(60) { r.between(1, 25) } else { 0 },
            cuts: if r.percent(70) { r.between(1, 25) } else { 0 },
            jumps: if r.percent(50) { r.between(1, 40) } else { 0 },
            rot: if r.percent(50) { r.between(10, 80) } else { 0 },
            crashes_in_start: if r.percent(60) { r.between(10, 60) } else { 0 },
            repeats_start: 30,
            pace: [
                r.between(2, 20),
                r.between(2, 30),
                r.between(2, 20),
                r.between(10, 40),
                r.between(10, 40),
                r.between(1, 10),
            ],
            step_us: (latency * [1, 4, 20][r.between(0, 2) as usize] / 4).max(5),
            keeper: 0,
            trap: None,
            mutation: Mutation::None,
        }
    }

    /// With a mistake on purpose.
    #[must_use]
    pub fn with(mut self, mutation: Mutation) -> Self {
        self.mutation = mutation;
        self.manners.lie = match mutation {
            Mutation::SyncStoresNothing => Lie::SyncStoresNothing,
            Mutation::ToldBeforeDurable => Lie::SyncAnswersEarly,
            Mutation::SyncErrorSwallowed => Lie::SyncErrorSwallowed,
            _ => Lie::None,
        };
        if mutation == Mutation::SyncErrorSwallowed {
            (self.manners.errors, self.cuts) = (100, 20);
        }
        if mutation == Mutation::NameForgotten {
            (self.calls, self.kills) = (30, 25);
        }
        self
    }

    /// Nothing goes wrong by itself, and it is soon over: for sweeps over one chosen harm.
    #[must_use]
    pub fn orderly(seed: u64, wishes: usize) -> Self {
        let mut options = Self::plain(seed);
        options.manners = Manners::GOOD;
        (options.kills, options.cuts, options.jumps, options.rot) = (0, 0, 0, 0);
        (options.crashes_in_start, options.repeats_start) = (0, 0);
        options.clients.truncate(2);
        for habits in &mut options.clients {
            habits.vanishes = 0;
            habits.wishes = wishes;
        }
        (options.calls, options.steps, options.step_us) = (2, 600, 40);
        options
    }

    /// A failing disk and a kernel short of memory: what a start reads may be gone a moment later.
    #[must_use]
    pub fn hard(seed: u64) -> Self {
        let mut options = Self::plain(seed);
        (options.manners.errors, options.manners.pressure) = (150, 25);
        (options.kills, options.cuts, options.crashes_in_start) = (10, 15, 40);
        options
    }
}
