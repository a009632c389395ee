//! One run: processes that live and die on one disk, clients that outlive them, and what must hold.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use engine::{
    command::{Command, MmpGroup, Stamped},
    event::{Event, OrderEventKind},
    follower::Follower,
    ids::{OrderId, ProductId},
    journal::Writer,
    keeper::Keeper,
    pipeline::{
        Batch, Clock, Fault, Intake, Outlet,
        by_hand::{self, Core, Teller, Turn},
    },
    units::{DAY, Lots, Nanos},
};
use gateway::hub::{Hub, HubOutlet, Reply};

use super::{
    clients::{Caller, Client},
    disk::{Harm, Manners, SimDisk},
    front::Front,
    keeping::Heard,
    options::{Mutation, Options},
    oracle::{History, Told},
    start::recover,
    trace::Trace,
};
use crate::{
    generator::Random,
    market::{Market, request},
};

/// What a run did, to know that it did something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Commands in the journal.
    pub commands: u64,
    /// Fills among their events.
    pub fills: u64,
    /// Processes.
    pub starts: u64,
    /// Ended by a kill.
    pub kills: u64,
    /// Ended by a power cut.
    pub power_cuts: u64,
    /// Ended by an error of the disk.
    pub errors: u64,
    /// Starts that failed at an error of the disk.
    pub failed_starts: u64,
    /// Starts that were interrupted.
    pub interrupted_starts: u64,
    /// Tails cut.
    pub cuts: u64,
    /// Rot that was refused.
    pub refusals: u64,
    /// Rot that was cut.
    pub rot_cut: u64,
    /// Rot not tried, in the documented window.
    pub windows: u64,
    /// Operations of the disk.
    pub operations: u64,
    /// Segments begun.
    pub segments: u64,
    /// Traps met.
    pub sprung: u64,
    /// Snapshots taken.
    pub snapshots: u64,
    /// Operations of the keeper that failed.
    pub keeper_errors: u64,
    /// Starts that began with a snapshot.
    pub snapshot_starts: u64,
    /// Segments let go of, in trials.
    pub retired: u64,
}

impl Report {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        let Self {
            commands,
            fills,
            starts,
            kills,
            power_cuts,
            errors,
            failed_starts,
            interrupted_starts,
            cuts,
            refusals,
            rot_cut,
            windows,
            operations,
            segments,
            sprung,
            snapshots,
            keeper_errors,
            snapshot_starts,
            retired,
        } = other;
        self.commands += commands;
        self.fills += fills;
        self.starts += starts;
        self.kills += kills;
        self.power_cuts += power_cuts;
        self.errors += errors;
        self.failed_starts += failed_starts;
        self.interrupted_starts += interrupted_starts;
        self.cuts += cuts;
        self.refusals += refusals;
        self.rot_cut += rot_cut;
        self.windows += windows;
        self.operations += operations;
        self.segments += segments;
        self.sprung += sprung;
        self.snapshots += snapshots;
        self.keeper_errors += keeper_errors;
        self.snapshot_starts += snapshot_starts;
        self.retired += retired;
    }
}

/// Time that jumps.
#[derive(Clone, Debug)]
struct SimClock(Arc<AtomicI64>);

impl Clock for SimClock {
    fn now(&mut self) -> Nanos {
        Nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Notes what is told, then tells through the gateway's hub.
struct Speaker {
    told: Arc<Mutex<Told>>,
    hub: HubOutlet,
    reuses_an_id: bool,
    last_id: Option<OrderId>,
}

impl Outlet<Reply> for Speaker {
    fn publish(&mut self, mut batch: Batch<Reply>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (stamped, events) in batch.commands() {
            told.tell(stamped, events);
        }
        drop(told);
        if self.reuses_an_id {
            for event in &mut batch.events {
                if let Event::Order(order) = event
                    && order.kind == OrderEventKind::Accepted
                    && let Some(last) = self.last_id.replace(order.order_id)
                {
                    order.order_id = last;
                }
            }
        }
        self.hub.publish(batch);
    }
}

type Let = Box<dyn FnMut(Vec<Batch<Reply>>)>;
type Durable = Rc<RefCell<VecDeque<Vec<Batch<Reply>>>>>;

struct Process {
    intake: Intake<Reply>,
    core: Core<Reply, SimClock>,
    writer: Option<Writer<Batch<Reply>, Let>>,
    durable: Durable,
    teller: Teller<Reply, Speaker>,
    follower: Follower,
    fault: Arc<Fault>,
    front: Front,
    keeper: Option<Keeper<Heard>>,
}

/// How a process ended, if it did.
enum End {
    Lives,
    /// By the disk's error.
    Fault,
    /// By a trap.
    Dead(Harm),
}

pub(super) struct World {
    pub(super) options: Options,
    pub(super) random: Random,
    pub(super) disk: SimDisk,
    pub(super) trace: Trace,
    pub(super) report: Report,
    /// Decides what the keeper does.
    pub(super) keeps: Random,
    /// The longest history that a keeper has seen.
    pub(super) seen: Vec<u64>,
    clock: Arc<AtomicI64>,
    drift: i64,
    told: Arc<Mutex<Told>>,
    clients: Vec<Client>,
    operator: Caller,
    single: Caller,
    next_line: u64,
}

/// A run from its options.
///
/// # Errors
/// What does not hold.
pub(super) fn run(options: &Options, trace: Trace) -> Result<Report, String> {
    World::new(options, trace).run()
}

impl World {
    pub(super) fn new(options: &Options, trace: Trace) -> Self {
        let mut random = Random::new(options.seed);
        let disk = SimDisk::new(random.next_u64(), options.manners, trace.clone());
        if let Some(trap) = options.trap {
            disk.set(trap);
        }
        let market = Market::open(options.clients.len() + 1);
        let accounts = market.accounts.clone();
        let mut wishes: VecDeque<Command> =
            market.commands.into_iter().map(|one| one.command).collect();
        for (number, habits) in options.clients.iter().enumerate() {
            if habits.maker {
                wishes.push_back(Command::SetMmpGroup(request(MmpGroup {
                    account: accounts[number],
                    mmp_group: 1,
                    product: ProductId(1),
                    window_ms: 1_000,
                    frozen_ms: 100,
                    quantity_limit: 0,
                    net_limit: 0,
                    notional_limit: 0,
                    fill_limit: 20,
                    contracts_limit: 0,
                    max_quote_lots: Lots(100),
                })));
            }
        }
        for (id, wish) in (1..).zip(&mut wishes) {
            name(wish, id);
        }
        let clients = options.clients.iter().zip(&accounts).zip(1..);
        let clients = clients
            .map(|((habits, account), number)| {
                Client::new(number, *account, *habits, random.next_u64())
            })
            .collect();
        let mut single = Caller::of_single_calls(
            accounts[options.clients.len()],
            options.calls,
            random.next_u64(),
        );
        single.forgets_the_name = options.mutation == Mutation::NameForgotten;
        Self {
            options: options.clone(),
            random,
            disk,
            trace,
            report: Report::default(),
            keeps: Random::new(options.seed ^ 0x736e_6170),
            seen: Vec::new(),
            clock: Arc::new(AtomicI64::new(10 * DAY)),
            drift: 0,
            told: Arc::default(),
            clients,
            operator: Caller::new(wishes),
            single,
            next_line: 1,
        }
    }

    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(mut self) -> Result<Report, String> {
        let mut process = self.start(false, false)?;
        let mut step = 0;
        while step < self.options.steps {
            step += 1;
            self.step(&mut process, false)?;
            let end = self.end_of(&process)?;
            let cut = match end {
                End::Lives => {
                    let chance = self.random.between(1, 10_000);
                    match chance {
                        _ if chance <= self.options.kills => false,
                        _ if chance <= self.options.kills + self.options.cuts => true,
                        _ => continue,
                    }
                }
                End::Fault => {
                    self.report.errors += 1;
                    self.last_words(&mut process)?;
                    self.random.percent(40)
                }
                End::Dead(harm) => harm == Harm::PowerCut,
            };
            self.fall(process, cut);
            process = self.start(cut, false)?;
        }
        self.trace.say(|| "everything calms down".into());
        if self.options.trap.is_none() {
            self.disk.disarm();
        }
        self.disk.behave(Manners {
            lie: self.options.manners.lie,
            ..Manners::GOOD
        });
        let mut process = self.drain(process)?;
        self.disk.disarm();
        self.stop(&mut process)?;
        self.compare(process)?;
        self.report.operations = self.disk.count(None);
        self.report.sprung = self.disk.sprung();
        Ok(self.report)
    }

    /// A process that begins on what is there.
    fn start(&mut self, settled: bool, calm: bool) -> Result<Process, String> {
        loop {
            let recovered = self.start_up(settled, calm)?;
            self.report.starts += 1;
            let clock = SimClock(self.clock.clone());
            let parts = by_hand::parts::<Reply, _>(
                recovered.exchange,
                &recovered.journal,
                self.options.pipeline,
                clock,
            );
            let hub = Hub::new(recovered.archive);
            let speaker = Speaker {
                told: self.told.clone(),
                hub: HubOutlet(hub.clone()),
                reuses_an_id: self.options.mutation == Mutation::OrderIdReused,
                last_id: None,
            };
            let teller = Teller::new(&parts, speaker);
            let durable = Durable::default();
            let out = durable.clone();
            let let_out: Let = Box::new(move |batches| out.borrow_mut().push_back(batches));
            let io =
                engine::journal::Disk::journal_io(&self.disk, engine::journal::IoChoice::Plain)
                    .map_err(|error| error.to_string())?;
            let writer = Writer::start(recovered.journal, parts.inbox, let_out, io, true);
            let writer = match writer {
                Ok(writer) => writer,
                Err(error) => {
                    self.trace
                        .say(|| format!("the journal does not begin: {error}"));
                    let cut = self.disk.dead() == Some(Harm::PowerCut);
                    self.disk.crash(cut);
                    continue;
                }
            };
            let mut front = Front::new(
                parts.intake.clone(),
                hub,
                self.next_line,
                self.trace.clone(),
            );
            front.drops_an_event_of = if self.options.mutation == Mutation::EventDropped {
                30
            } else {
                0
            };
            return Ok(Process {
                intake: parts.intake,
                core: parts.core,
                writer: Some(writer),
                durable,
                teller,
                follower: parts.follower,
                fault: parts.fault,
                front,
                keeper: None,
            });
        }
    }

    /// Runs until something is in flight, and switches the machine off: once with, once without the end of
    /// what was on its way.
    pub(super) fn switched_off(&mut self, commands: u64) -> Result<(), String> {
        let mut process = self.start(false, false)?;
        for _ in 0..1_000_000 {
            self.step(&mut process, false)?;
            let busy = process
                .writer
                .as_ref()
                .is_some_and(|writer| writer.in_flight() > 2);
            if busy && self.told().newest() >= commands {
                self.fall(process, true);
                return Ok(());
            }
        }
        Err("never busy".into())
    }

    /// Runs to the end of everything, and stops in order.
    pub(super) fn run_out(&mut self) -> Result<(), String> {
        let process = self.start(false, false)?;
        let mut process = self.drain(process)?;
        self.stop(&mut process)
    }

    fn end_of(&self, process: &Process) -> Result<End, String> {
        if let Some(wrong) = &self.told().wrong {
            return Err(wrong.clone());
        }
        if let Some(harm) = self.disk.dead() {
            return Ok(End::Dead(harm));
        }
        match process.fault.reason() {
            Some(reason) if reason.contains("differ") => Err(reason.into()),
            Some(reason) => {
                self.trace.say(|| format!("the exchange stops: {reason}"));
                Ok(End::Fault)
            }
            None => Ok(End::Lives),
        }
    }

    /// What is durable may still be told while a process ends by itself.
    fn last_words(&mut self, process: &mut Process) -> Result<(), String> {
        for _ in 0..self.random.between(0, 4) {
            self.publish(process)?;
            for line in process.front.lines() {
                process.front.deliver(line);
            }
            for client in &mut self.clients {
                client.act(&mut process.front, true, &self.trace)?;
            }
            self.single.act(&process.intake)?;
        }
        Ok(())
    }

    fn fall(&mut self, process: Process, power_cut: bool) {
        self.next_line = process.front.next_line();
        drop(process);
        self.disk.crash(power_cut);
        match power_cut {
            true => self.report.power_cuts += 1,
            false => self.report.kills += 1,
        }
        for client in &mut self.clients {
            client.cut_off();
        }
        self.operator.cut_off();
        self.single.cut_off();
    }

    fn pass(&mut self, micros: i64) {
        self.disk.pass(micros.unsigned_abs());
        self.clock.fetch_add(micros * 1_000, Ordering::Relaxed);
    }

    /// Somebody does something.
    fn step(&mut self, process: &mut Process, calm: bool) -> Result<(), String> {
        let pace = self.options.pace;
        let mut ticket = self.random.between(1, pace.iter().sum());
        let mut actor = 0;
        while ticket > pace[actor] {
            ticket -= pace[actor];
            actor += 1;
        }
        match actor {
            0 => drop(process.core.turn()),
            1 => self.turn_journal(process),
            2 => self.publish(process)?,
            3 => {
                let who = self.random.between(-2, self.clients.len() as i64 - 1);
                match usize::try_from(who) {
                    Ok(who) if self.operator.is_done() => {
                        let client = &mut self.clients[who];
                        client.act(&mut process.front, calm, &self.trace)?;
                    }
                    _ if !self.operator.is_done() => self.operator.act(&process.intake)?,
                    _ => self.single.act(&process.intake)?,
                }
            }
            4 => {
                process.front.report();
                let lines = process.front.lines();
                for _ in 0..self.random.between(1, 4) {
                    let Some(line) = self.random.pick(&lines).copied() else {
                        break;
                    };
                    process.front.hear(line);
                    process.front.deliver(line);
                }
                if calm || self.random.percent(20) {
                    for line in lines {
                        if !process.front.waits(line) || self.random.percent(20) {
                            process.front.notice(line);
                        }
                    }
                }
            }
            _ => {
                // What was slow before the calm must come to its end too.
                let step = self.options.step_us.max(if calm { 3_000 } else { 0 });
                let micros = self.random.between(1, step);
                self.pass(micros);
            }
        }
        if self.options.keeper > 0
            && let Some(error) = self.keep(&mut process.keeper)?
        {
            // As the keeper's thread: what cannot be read or checked stops the exchange.
            by_hand::journal_ended(Err(error), &process.fault, &process.intake);
        }
        if !calm && self.random.between(1, 10_000) <= self.options.jumps {
            self.jump();
        }
        if !calm && self.options.manners.capacity < u64::MAX && self.random.between(1, 1_000) == 1 {
            self.make_room();
        }
        Ok(())
    }

    /// Somebody clears the disk, or fills it again.
    fn make_room(&mut self) {
        let capacity = match self.random.percent(50) {
            true => u64::MAX,
            false => self.options.manners.capacity,
        };
        self.disk.behave(Manners {
            capacity,
            ..self.options.manners
        });
        self.trace
            .say(|| format!("the disk has room for {capacity} bytes"));
    }

    /// The wall clock is set, at most half a day from the truth: client ids are remembered for a day.
    fn jump(&mut self) {
        let hour = 3_600_000_000_000;
        let by = match self.random.between(0, 2) {
            0 => -self.random.between(1, hour),
            1 => self.random.between(1, 1_000_000_000),
            _ => self.random.between(1, hour),
        };
        if (self.drift + by).abs() < 10 * hour {
            self.drift += by;
            self.clock.fetch_add(by, Ordering::Relaxed);
            self.trace.say(|| format!("the clock jumps by {by} ns"));
        }
    }

    fn turn_journal(&mut self, process: &mut Process) {
        let Some(writer) = &mut process.writer else {
            return;
        };
        let ended = match writer.turn() {
            Ok(false) => return,
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        };
        process.writer = None;
        by_hand::journal_ended(ended, &process.fault, &process.intake);
    }

    fn publish(&mut self, process: &mut Process) -> Result<(), String> {
        let mut durable = process.durable.borrow_mut();
        let wrong_one = self.options.mutation == Mutation::ToldOutOfOrder && durable.len() > 1;
        let Some(mut batches) = durable.remove(usize::from(wrong_one)) else {
            return Ok(());
        };
        drop(durable);
        if self.options.mutation == Mutation::FollowerSkips && self.random.percent(3) {
            return skip_one(process, batches);
        }
        self.trace.say(|| {
            let last = batches.last().and_then(|batch| batch.stamped.last());
            format!(
                "told up to position {}",
                last.map_or(0, |last: &Stamped| last.seq)
            )
        });
        batches.retain(|batch| !batch.stamped.is_empty());
        process.teller.tell(batches);
        Ok(())
    }

    /// Without any more faults everything comes to an end.
    fn drain(&mut self, process: Process) -> Result<Process, String> {
        let mut process = process;
        for _ in 0..400_000 {
            self.step(&mut process, true)?;
            match self.end_of(&process)? {
                End::Lives => {}
                // Something begun before the calm, or a trap.
                end => {
                    let cut = matches!(end, End::Dead(Harm::PowerCut));
                    if matches!(end, End::Fault) {
                        self.last_words(&mut process)?;
                    }
                    self.fall(process, cut);
                    process = self.start(cut, true)?;
                }
            }
            let idle = self.clients.iter().all(Client::is_done)
                && self.operator.is_done()
                && self.single.is_done()
                && !process.front.is_busy()
                && process.intake.depth() == 0
                && process.durable.borrow().is_empty()
                && process
                    .writer
                    .as_ref()
                    .is_none_or(|writer| writer.in_flight() == 0)
                && process.core.turn() == Turn::Nothing;
            if idle {
                return Ok(process);
            }
        }
        let waiting: Vec<String> = self.clients.iter().map(Client::waits_for).collect();
        Err(format!(
            "does not drain: {waiting:?}, queue {}, operator done {}, calls done {}, {:?}",
            process.intake.depth(),
            self.operator.is_done(),
            self.single.is_done(),
            process.writer
        ))
    }

    /// A stop in order: what was accepted becomes durable and is told.
    fn stop(&mut self, process: &mut Process) -> Result<(), String> {
        process.intake.close();
        for _ in 0..100_000 {
            if process.writer.is_none() && process.durable.borrow().is_empty() {
                break;
            }
            process.core.turn();
            self.turn_journal(process);
            self.publish(process)?;
            self.pass(1_000);
        }
        if let Some(reason) = process.fault.reason() {
            return Err(format!("a stop in order ends with {reason}"));
        }
        if process.writer.is_some() {
            return Err("the journal does not stop".into());
        }
        // The clients hear the last of it.
        for _ in 0..10_000 {
            for line in process.front.lines() {
                process.front.deliver(line);
            }
            if !process.front.is_busy() {
                break;
            }
            for client in &mut self.clients {
                client.act(&mut process.front, true, &self.trace)?;
            }
        }
        self.end_of(process).map(drop)
    }

    /// The whole truth, once the machine has been switched off.
    fn compare(&mut self, process: Process) -> Result<(), String> {
        let core = process.core.exchange();
        let (seq, digest) = (core.seq(), core.digest());
        core.audit()?;
        let follower = process.follower.read();
        follower.audit()?;
        if (follower.seq(), follower.digest()) != (seq, digest) {
            return Err(format!(
                "the core is at position {seq}, the follower at {}, or their states differ",
                follower.seq()
            ));
        }
        drop(follower);
        if self.told().newest() != seq {
            return Err(format!(
                "told up to {}, done up to {seq}",
                self.told().newest()
            ));
        }
        drop(process);
        self.disk.crash(true);
        let recovered =
            recover(&self.disk, self.options.reserve, self.options.mutation).map_err(|error| {
                format!("after a stop in order the exchange does not start: {error}")
            })?;
        if let Some(cut) = recovered.report.cut {
            return Err(format!("after a stop in order a tail is cut: {cut:?}"));
        }
        self.report.segments = recovered.report.segment_id;
        self.told().compare(&recovered.history)?;
        if (recovered.exchange.seq(), recovered.exchange.digest()) != (seq, digest) {
            return Err("the replay from scratch gives another state".into());
        }
        let mut history = History::default();
        let mut exchange = engine::exchange::Exchange::new();
        drop(recovered.journal);
        let settings = engine::journal::Settings {
            disk: Arc::new(self.disk.clone()),
            segment_bytes: super::SEGMENT_BYTES,
            ..engine::journal::Settings::new(super::start::folder(), super::EXCHANGE_ID)
        };
        let mut replay = engine::pipeline::Replay::default();
        engine::journal::open(settings, |block| {
            replay.block(
                &mut exchange,
                block.payload,
                block.count,
                |stamped, events| {
                    history.add(stamped, events);
                },
            )
        })
        .map_err(|error| error.to_string())?;
        let callers = [&self.single];
        history.agrees(&self.clients, &callers)?;
        self.report.commands = seq;
        self.report.fills = history.fills;
        Ok(())
    }
}

/// A mistake on purpose: the follower gets a clock tick in place of a command, and what it did is told.
fn skip_one(process: &mut Process, batches: Vec<Batch<Reply>>) -> Result<(), String> {
    let mut scratch = Vec::new();
    for mut batch in batches {
        let Some(last) = batch.stamped.len().checked_sub(1) else {
            continue;
        };
        let kept = batch.stamped[last].command.clone();
        batch.stamped[last].command = Command::Tick;
        let agreed =
            process
                .follower
                .apply(&batch.stamped, &batch.events, &batch.ends, &mut scratch);
        batch.stamped[last].command = kept;
        agreed.map_err(|difference| difference.to_string())?;
        process.teller.tell(vec![batch]);
    }
    Ok(())
}

/// Gives an operator's request its name.
fn name(command: &mut Command, id: u64) {
    match command {
        Command::CreateAsset(request) => request.id = id,
        Command::CreateCommodity(request) => request.id = id,
        Command::CreateIndex(request) => request.id = id,
        Command::CreateFirm(request) => request.id = id,
        Command::CreateInstrument(request) => request.id = id,
        Command::SetTradingState(request) => request.id = id,
        Command::CreateAccount(request) => request.id = id,
        Command::CreditDeposit(request) => request.id = id,
        Command::SetMmpGroup(request) => request.id = id,
        _ => {}
    }
}
