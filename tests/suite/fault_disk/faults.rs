//! The server process on an ext4 on a loop device on a fault disk.

use std::{panic::AssertUnwindSafe, process::Command};

use engine::reason::Reason;
use proto::trading::v1::{Cancel, CancelOrderRequest, SubmitOrderRequest, cancel};
use tests::{
    crowd::{Crowd, account},
    fault_disk::Mounted,
    generator::Random,
    journalled::Journalled,
    process::{Plan, STOPPED_BY_ITSELF, Server},
    venue::{Folder, connect, limit},
    witness::{Verdict, Witness, judge, lost},
};

const MIB: usize = 1 << 20;

fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Bytes of a disk that keeps one journal for all rounds.
fn room_for(rounds: u64) -> usize {
    (256 + 2 * usize::try_from(rounds).expect("not so many")) * MIB
}

/// A venue on a fault disk. Dropped from the top: first the process, then what it stands on.
struct Stage {
    server: Option<Server>,
    plan: Plan,
    files: Mounted,
    _folder: Folder,
}

impl Stage {
    /// None, and a word why, where the machine does not permit it.
    async fn set(name: &str, bytes: usize) -> Option<Self> {
        let folder = Folder::new(name);
        let files = match Mounted::new(folder.path(), bytes) {
            Ok(files) => files,
            Err(why) => {
                println!("skipped: {why}");
                return None;
            }
        };
        let data = files.folder().join("data");
        std::fs::create_dir(&data).expect("a folder");
        let plan = Plan::new(&data)
            .log(&folder.path().join("stderr.txt"))
            .snapshot_every(200);
        let server = Some(plan.start().await);
        Some(Self {
            server,
            plan,
            files,
            _folder: folder,
        })
    }

    fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("running")
    }

    /// The power goes and comes back; the process is gone, the file system repeats its journal.
    async fn cut(&mut self, seed: u64) {
        let cut = self.files.disk.power_off(seed);
        self.server.take().expect("running").finish_off().await;
        self.files.unmount().expect("taken off");
        self.files.disk.power_on();
        self.files.mount().expect("the file system comes back");
        println!(
            "  seed {seed}: of the unsynced sectors {} were kept, {} lost",
            cut.kept, cut.lost
        );
    }

    async fn start(&mut self) {
        self.server = Some(self.plan.start().await);
    }

    /// Everybody finishes; records and journal must tell one story.
    async fn judge(mut self, mut crowd: Crowd) -> (Verdict, Vec<Witness>) {
        let from = crowd.progress();
        crowd
            .reach(self.server(), |now| {
                now.acks - now.refused >= from.acks - from.refused + 200
            })
            .await;
        let witnesses = crowd.finish().await;
        self.server.take().expect("running").kill().await;
        let archived = self.plan.bring_back_archived();
        println!("{archived} segments had been archived");
        let journal = Journalled::read(&self.plan.folder().join("journal"));
        let verdict = judge(&witnesses, &journal);
        gateway::commands::journal::verify(self.plan.folder()).expect("a good journal");
        println!("{verdict}");
        (verdict, witnesses)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_takes_nothing_that_was_told() {
    let (rounds, seed) = (
        number("HASHPIT_FAULT_ROUNDS", 4),
        number("HASHPIT_FAULT_SEED", 1),
    );
    let Some(mut stage) = Stage::set("power", room_for(rounds)).await else {
        return;
    };
    let (mut random, mut cuts) = (Random::new(seed), 0);
    let mut crowd = Crowd::gather(&stage.plan, seed).await;
    stage.files.sync().expect("keys and folders are there");
    for round in 0..rounds {
        let from = crowd.progress();
        let far = random.between(20, 500).unsigned_abs();
        crowd
            .reach(stage.server(), |now| now.acks >= from.acks + far)
            .await;
        let seed = random.next_u64();
        if round % 4 != 0 {
            // In the middle of a write, so that the last blocks tear; else at any moment between.
            let nth = random.between(1, 30).unsigned_abs();
            stage.files.disk.power_off_at_write(nth, seed);
            crowd.until_it_ends(stage.server()).await;
        }
        stage.cut(seed).await;
        cuts += 1;
        if round % 2 == 1 {
            // And again while it starts: recovery must bear to be cut off anywhere.
            let seed = random.next_u64();
            let nth = random.between(1, 6).unsigned_abs();
            stage.files.disk.power_off_at_write(nth, seed);
            stage.server = Some(stage.plan.launch());
            let up = stage.server().comes_up().await;
            let was = if up { "was" } else { "was not" };
            println!("  again with write {nth} of the start; it {was} up");
            stage.cut(seed).await;
            cuts += 1;
        }
        stage.start().await;
    }
    let (verdict, _) = stage.judge(crowd).await;
    assert_eq!(verdict.doubles, 0);
    println!("{cuts} power cuts, 0 told events lost");
}

/// The control: the same cuts under a disk that says "synced" and has done nothing must lose what was told,
/// or the test above proves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_only_says_synced_is_caught() {
    for seed in 1..=3 {
        let Some(mut stage) = Stage::set(&format!("control-{seed}"), 128 * MIB).await else {
            return;
        };
        let mut crowd = Crowd::gather(&stage.plan, seed).await;
        stage.files.sync().expect("keys and folders are there");
        stage.files.disk.lie();
        let from = crowd.progress();
        crowd
            .reach(stage.server(), |now| now.acks >= from.acks + 500)
            .await;
        let cut = stage.files.disk.power_off(seed);
        stage.server.take().expect("running").finish_off().await;
        let witnesses = crowd.abandon().await;
        stage.files.unmount().expect("taken off");
        stage.files.disk.power_on();
        assert!(cut.lost > 0, "everything was written anyway");
        let folder = stage.plan.folder().join("journal");
        let found = stage.files.mount().and_then(|()| {
            let read = AssertUnwindSafe(|| Journalled::read(&folder));
            std::panic::catch_unwind(read).map_err(|_| "the journal is refused".into())
        });
        match found {
            Ok(journal) => {
                let lost = lost(&witnesses, &journal);
                println!("control, seed {seed}: {lost} told events lost");
                assert!(
                    lost > 0,
                    "nothing was lost without a sync: the harness proves nothing"
                );
            }
            Err(why) => println!("control, seed {seed}: {why}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_breaks_stops_the_exchange_before_it_tells() {
    let (rounds, seed) = (
        number("HASHPIT_FAULT_ROUNDS", 4),
        number("HASHPIT_FAULT_SEED", 2),
    );
    let Some(mut stage) = Stage::set("breaks", room_for(rounds)).await else {
        return;
    };
    let mut crowd = Crowd::gather(&stage.plan, seed).await;
    stage.files.sync().expect("keys and folders are there");
    for round in 0..rounds {
        let from = crowd.progress();
        crowd
            .reach(stage.server(), |now| now.acks >= from.acks + 100)
            .await;
        let nth = 1 + round / 2 * 3;
        if round % 2 == 0 {
            stage.files.disk.break_at_write(nth);
        } else {
            stage.files.disk.break_at_sync(nth);
        }
        let status = crowd.until_it_ends(stage.server()).await;
        assert_eq!(
            status.code(),
            Some(STOPPED_BY_ITSELF),
            "it stops, and says so"
        );
        let reason = stage.server().says("fault").await;
        let what = if round % 2 == 0 { "write" } else { "sync" };
        println!("{what} {nth} and all after it fail: {reason}");
        // What was told after the fault, if anything, is not on this disk any more.
        stage.cut(seed.wrapping_mul(1_000) + round).await;
        stage.start().await;
    }
    let (verdict, _) = stage.judge(crowd).await;
    assert_eq!(verdict.doubles, 0);
}

/// Fills the file system up to so many bytes, or gives them back.
fn ballast(files: &Mounted, leave: usize) {
    let df = Command::new("df")
        .args(["--output=avail", "-B1"])
        .arg(files.folder())
        .output();
    let text = String::from_utf8(df.expect("df").stdout).expect("text");
    let free: usize = text
        .split_whitespace()
        .last()
        .and_then(|word| word.parse().ok())
        .expect("a size");
    let size = free
        .checked_sub(leave)
        .expect("a large enough disk")
        .to_string();
    let made = Command::new("fallocate")
        .args(["-l", &size])
        .arg(files.folder().join("ballast"))
        .status();
    assert!(made.expect("fallocate").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_refuses_orders_then_stops_and_loses_nothing() {
    let Some(mut stage) = Stage::set("fills", 128 * MIB).await else {
        return;
    };
    let mut crowd = Crowd::gather(&stage.plan, 3).await;
    let client = connect(&stage.plan.address(), &stage.plan.keys(), "miner-2").await;
    let request = |id| SubmitOrderRequest {
        account_id: account("miner-2"),
        order: Some(limit(
            id,
            &crowd.contract(),
            proto::common::v1::Side::Buy,
            1,
            41_000,
        )),
        ..SubmitOrderRequest::default()
    };
    let (first, second, third) = (request(1), request(2), request(3));
    client
        .trading()
        .submit_order(first)
        .await
        .expect("it rests");

    ballast(&stage.files, 2 * MIB);
    crowd.reach(stage.server(), |now| now.refused >= 20).await;
    let refused = client
        .trading()
        .submit_order(second)
        .await
        .expect_err("no room");
    println!("a new order: {refused}");
    assert!(refused.message().contains("disk full"), "{refused}");
    let out = CancelOrderRequest {
        account_id: account("miner-2"),
        cancel: Some(Cancel {
            target: Some(cancel::Target::ClientOrderId(1)),
            instrument_id: crowd.contract().instrument_id,
        }),
    };
    client
        .trading()
        .cancel_order(out)
        .await
        .expect("the way out is open");

    // Room again: everything is accepted again, without a restart.
    let room = stage.files.folder().join("ballast");
    std::fs::remove_file(&room).expect("room");
    let from = crowd.progress();
    let served = |now: &tests::witness::Progress| now.acks - now.refused;
    crowd
        .reach(stage.server(), |now| served(now) >= served(&from) + 1_000)
        .await;
    client
        .trading()
        .submit_order(third)
        .await
        .expect("accepted again");

    // No room, and nobody makes any: cancels use the reserve up, then it stops in order.
    ballast(&stage.files, MIB);
    let status = crowd.until_it_ends(stage.server()).await;
    assert_eq!(
        status.code(),
        Some(STOPPED_BY_ITSELF),
        "it stops, and says so"
    );
    println!("it stopped: {}", stage.server().says("fault").await);
    std::fs::remove_file(&room).expect("room");
    stage.start().await;
    let (verdict, witnesses) = stage.judge(crowd).await;
    assert_eq!(verdict.doubles, 0);
    let reasons = witnesses
        .iter()
        .flat_map(|witness| witness.record.reasons.keys());
    for reason in reasons {
        assert!(
            [gateway::refusal::name(Reason::DiskFull), "SERVER_DRAINING"]
                .contains(&reason.as_str()),
            "{reason}"
        );
    }
}
