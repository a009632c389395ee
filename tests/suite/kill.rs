//! Does a kill -9 under load lose an acknowledged order or fill, invent one, or do something twice?
//!
//! Six clients trade with each other over gRPC (resting orders, quotes, batches, takers of both sides)
//! while the server process is killed again and again, at moments that a seed chooses: after so many
//! commands, answers or fills, or while it starts. Each client keeps its own record, comes back by itself
//! and asks again what was not answered; at the end the records and the journal must tell one story.
//!
//! `HASHPIT_KILL_ROUNDS=100` for the long version (default 10), `HASHPIT_KILL_SEED` for other moments.

use std::time::{Duration, Instant};

use tests::{
    crowd::{Crowd, ask_once_more},
    generator::Random,
    journalled::Journalled,
    process::Plan,
    venue::Folder,
    witness::{Progress, Witness, judge},
};

mod freeze;

/// Commands between two snapshots: one or two a round, so that kills meet their writing too.
const SNAPSHOT_EVERY: u64 = 250;

fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// What lies on the disk beside the journal.
struct Files {
    /// The newest snapshot; empty if there is none.
    newest: String,
    /// A snapshot is being written.
    unfinished: bool,
    /// Segments in the archive.
    archived: usize,
}

impl Files {
    fn of(plan: &Plan) -> Self {
        let names = |folder: &str| {
            let files = std::fs::read_dir(plan.folder().join(folder));
            let names = files.into_iter().flatten().flatten();
            names.filter_map(|file| file.file_name().into_string().ok())
        };
        let finished = names("snapshots").filter(|name| name.ends_with(".snap"));
        Self {
            newest: finished.max().unwrap_or_default(),
            unfinished: names("snapshots").any(|name| name.ends_with(".tmp")),
            archived: names("archive").count(),
        }
    }
}

/// When the server is killed, counted from the moment it listens.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Sent(u64),
    Answers(u64),
    Fills(u64),
    /// While a snapshot is being written.
    Writing,
    /// A snapshot later than all before is there.
    Snapshot,
    /// A segment has just gone to the archive.
    Archived,
    /// Again, so long after it was started the next time.
    Starting(Duration),
}

impl Moment {
    fn choose(round: u64, random: &mut Random) -> Self {
        let mut up_to = |most| random.between(1, most).unsigned_abs();
        match (round, up_to(11)) {
            // Each of these at least once, however few the rounds.
            (1, _) | (4.., 9) => Self::Snapshot,
            (2, _) | (4.., 10) => Self::Writing,
            (3, _) | (4.., 11) => Self::Archived,
            (_, kind) => Self::of_trade(kind, up_to),
        }
    }

    fn of_trade(kind: u64, mut up_to: impl FnMut(i64) -> u64) -> Self {
        match kind {
            1..=3 => Self::Sent(up_to(1_200)),
            4 | 5 => Self::Answers(up_to(800)),
            6 | 7 => Self::Fills(up_to(400)),
            _ => Self::Starting(Duration::from_micros(up_to(400_000))),
        }
    }

    fn is_reached(self, from: &Progress, now: &Progress, before: &Files, plan: &Plan) -> bool {
        match self {
            Self::Writing => Files::of(plan).unfinished,
            Self::Snapshot => Files::of(plan).newest > before.newest,
            Self::Archived => Files::of(plan).archived > before.archived,
            Self::Sent(count) => now.sent + now.resent >= from.sent + from.resent + count,
            Self::Answers(count) => now.acks >= from.acks + count,
            Self::Fills(count) => now.fills >= from.fills + count,
            Self::Starting(_) => now.acks > from.acks,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_and_journal_tell_one_story_after_kill_9() {
    let rounds = number("HASHPIT_KILL_ROUNDS", 10);
    let seed = number("HASHPIT_KILL_SEED", 1);
    println!("seed {seed}, {rounds} rounds");
    let started = Instant::now();
    let folder = Folder::new("kill");
    let plan = Plan::new(folder.path()).snapshot_every(SNAPSHOT_EVERY);
    let mut random = Random::new(seed);
    let mut server = plan.start().await;
    let mut crowd = Crowd::gather(&plan, seed).await;
    let (mut kills, mut from_snapshots, mut half_written) = (0, 0, 0);
    for round in 1..=rounds {
        let moment = Moment::choose(round, &mut random);
        let from = crowd.progress();
        let before = Files::of(&plan);
        crowd
            .reach(&mut server, |now| {
                moment.is_reached(&from, now, &before, &plan)
            })
            .await;
        server.kill().await;
        kills += 1;
        half_written += u64::from(Files::of(&plan).unfinished);
        if let Moment::Starting(after) = moment {
            // Not a wait for anything: wherever the start is by then, it must bear it.
            let starting = plan.launch();
            tokio::time::sleep(after).await;
            starting.kill().await;
            kills += 1;
        }
        server = plan.start().await;
        from_snapshots += u64::from(server.began() > 0);
        if rounds <= 20 || round % 10 == 0 {
            println!("round {round}: {moment:?}, {:?}", crowd.progress());
        }
    }
    // Everybody is back and answered once more before the end.
    let from = crowd.progress();
    crowd
        .reach(&mut server, |now| now.acks >= from.acks + 100)
        .await;
    let progress = crowd.progress();
    let witnesses = crowd.finish().await;
    let asked = ask_once_more(&plan, &witnesses, 10).await;
    server.kill().await;

    let archived = plan.bring_back_archived();
    let journal = Journalled::read(&folder.path().join("journal"));
    let verdict = judge(&witnesses, &journal);
    a_false_journal_is_seen(&witnesses, &journal);
    let verified = gateway::commands::journal::verify(folder.path()).expect("a good journal");
    assert_eq!(verified.commands, journal.length);
    println!("{verdict}");
    println!(
        "{kills} kills, {from_snapshots} of the {rounds} starts after them began with a snapshot, {half_written} met a half-written one; {archived} segments archived; {} logons, {} commands sent again, {} of them had happened and were answered as \
         before; {asked} orders asked for once more by single calls; {} commands in the journal; {:.1?}",
        progress.logons,
        progress.resent,
        progress.repeats,
        journal.length,
        started.elapsed()
    );
    assert_eq!(verdict.doubles, 0, "a command ran twice");
    assert!(
        verdict.fills > 0 && verdict.orders > 0,
        "nothing was at stake"
    );
    assert!(progress.resent > 0, "nothing was under way at any kill");
    assert!(
        from_snapshots > 0 && (archived > 0 || rounds < 3),
        "no start met a snapshot and a journal without its beginning"
    );
}

/// The control: a journal that lost one fill, or holds one order too many or a command twice, must not pass.
fn a_false_journal_is_seen(witnesses: &[Witness], journal: &Journalled) {
    let condemned = |falsify: &dyn Fn(&mut Journalled)| {
        let mut journal = journal.clone();
        falsify(&mut journal);
        let judged = std::panic::AssertUnwindSafe(|| judge(witnesses, &journal).doubles);
        std::panic::catch_unwind(judged).map_or(true, |doubles| doubles > 0)
    };
    let session = witnesses[0].record.session;
    let account = u32::try_from(witnesses[0].terms.account).expect("a number");
    assert!(condemned(&|journal| {
        let told = journal.told.get_mut(&session).expect("a session");
        let filled = |told: &tests::journalled::Told| told.order.is_some_and(|o| o.fill.is_some());
        let (fill, _) = told.iter().find(|(_, told)| filled(told)).expect("a fill");
        let fill = *fill;
        told.remove(&fill);
    }));
    assert!(condemned(&|journal| {
        journal.accepted.insert((account, u64::MAX), vec![1]);
    }));
    assert!(condemned(&|journal| {
        let command = journal
            .commands
            .iter_mut()
            .find(|((of, _), _)| *of == session);
        let (_, command) = command.expect("a command");
        command.push(command[0].clone());
    }));
}
