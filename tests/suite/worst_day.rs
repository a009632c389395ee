//! What a fresh pair of eyes found about the worst day, each story once: room given back, damage noticed
//! by whoever reads along, a first start that was killed, an archive that is never overwritten, and a
//! restart under a clock that was set back.

use std::{fs, path::Path, sync::Arc};

use engine::{
    command::Stamped,
    event::Event,
    ids::Seq,
    instrument::TradingState,
    journal::{self, RealDisk, SEGMENT_BYTES_MIN},
    keeper::{History, Keeper, KeeperError},
    pipeline::{self, Batch, Outlet, Settings},
    units::{DAY, Nanos, SECOND},
};
use gateway::commands::{follow::Follow, journal::verify};
use tests::{
    market::Market,
    small_disk::SmallDisk,
    venue::{Folder, Venue, connect, limit, settings},
};

struct Nobody;

impl Outlet<()> for Nobody {
    fn publish(&mut self, _: Batch<()>) {}
}

/// Remembers nothing.
#[derive(Default)]
struct Nothing;

impl History for Nothing {
    fn hear(&mut self, _: &Stamped, _: &[Event]) {}

    fn annex(&self) -> Vec<u8> {
        Vec::new()
    }

    fn try_annex(annex: &[u8], seq: Seq) -> Result<(), String> {
        <() as History>::try_annex(annex, seq)
    }
}

/// Moves by a microsecond whenever it is asked.
struct Clock(i64);

impl pipeline::Clock for Clock {
    fn now(&mut self) -> Nanos {
        self.0 += 1_000;
        Nanos(self.0)
    }
}

fn journal_settings(dir: &Path) -> journal::Settings {
    journal::Settings {
        segment_bytes: SEGMENT_BYTES_MIN,
        ..journal::Settings::new(dir, 7)
    }
}

/// A market's commands, durable in a journal of their own.
fn market_in(dir: &Path, clock: i64) {
    let first = pipeline::recover(journal_settings(dir), |_| Ok(())).expect("a new folder");
    let threads = Settings::default();
    let running = pipeline::start(first.exchange, first.journal, threads, Clock(clock), Nobody)
        .expect("started");
    for stamped in Market::open(2).commands {
        running.intake.submit(stamped.command, None).expect("taken");
    }
    running.stop();
}

#[test]
fn a_snapshot_that_finds_no_room_gives_back_what_it_took() {
    let folder = Folder::new("no-room-for-a-snapshot");
    let dir = folder.path().join("journal");
    market_in(&dir, 10 * DAY);
    let small = SmallDisk::with_room(100);
    let disk = Arc::new(small.clone());
    let exchange = engine::exchange::Exchange::new();
    let mut keeper = Keeper::start(disk, &dir, None, exchange, Nothing).expect("a journal");
    assert!(
        matches!(keeper.snapshot(), Err(KeeperError::Nothing)),
        "nothing has been read yet"
    );
    while keeper.turn().expect("sound") {}
    let refused = keeper.snapshot().expect_err("no room");
    assert!(
        refused.to_string().contains("no storage space") || refused.to_string().contains("space")
    );
    let snapshots = folder.path().join("snapshots");
    let left = || fs::read_dir(&snapshots).expect("a folder").count();
    assert_eq!(left(), 0, "what was begun is gone");
    // What a crash left goes at the next start, before anything needs the room.
    fs::write(snapshots.join("00000000000000000009.tmp"), [1; 4096]).expect("written");
    drop(pipeline::recover(journal_settings(&dir), |_| Ok(())).expect("sound"));
    assert_eq!(left(), 0, "a start removes it");
    small.make_room(1 << 30);
    keeper.snapshot().expect("room again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_follows_a_damaged_journal_says_so() {
    use proto::{common::v1::Side, trading::v1::open_session_request::Command as Asked};
    let folder = Folder::new("follow-damage");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let mut maker = venue.session("maker-1", "m", 60_000).await;
    for id in 1..=20 {
        let order = limit(id, &contract, Side::Buy, 1, 42_000);
        maker.send(Asked::NewOrder(order)).await.expect("sent");
        while maker.next().await.expect("answered").event_seq == 0 {}
    }
    drop(maker);
    venue.running.stop().await;
    let mut blocks = Vec::new();
    journal::scan(&folder.path().join("journal"), |block| {
        blocks.push((block.segment.to_owned(), block.offset));
        Ok(())
    })
    .expect("sound");
    let (segment, offset) = blocks[blocks.len() / 2].clone();
    let mut bytes = fs::read(&segment).expect("read");
    bytes[usize::try_from(offset).expect("small") + 140] ^= 1;
    fs::write(&segment, bytes).expect("written");
    let refusal = verify(folder.path()).map(|_| ()).expect_err("refused");
    for from_start in [true, false] {
        let follow = Follow {
            folder: folder.path().to_owned(),
            once: true,
            from_start,
        };
        let said = follow.run().await.expect_err("damage is not an end");
        assert_eq!(said.to_string(), refusal.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_was_killed_can_be_repeated() {
    let folder = Folder::new("killed-at-birth");
    // What kill -9 leaves between making the folder and writing the first block.
    let dir = folder.path().join("journal");
    fs::create_dir_all(&dir).expect("made");
    fs::write(dir.join("00000001.tmp"), [0; 4096]).expect("written");
    fs::write(dir.join("lock"), b"").expect("written");
    let running = gateway::server::start(settings(folder.path())).await;
    running.expect("started").stop().await;
}

#[test]
fn an_archive_is_never_overwritten() {
    let folder = Folder::new("two-archives");
    let (dir, archive) = (folder.path().join("journal"), folder.path().join("old"));
    fs::create_dir_all(&dir).expect("made");
    fs::create_dir_all(&archive).expect("made");
    let segment = vec![0; usize::try_from(SEGMENT_BYTES_MIN).expect("small")];
    for id in 1..=3 {
        fs::write(dir.join(format!("{id:08}.seg")), &segment).expect("written");
    }
    let theirs = archive.join("00000001.seg");
    fs::write(&theirs, b"another exchange's").expect("written");
    let refused = journal::retire(&RealDisk, &dir, 3, Some(&archive)).expect_err("taken");
    assert!(refused.to_string().contains("00000001.seg"), "{refused}");
    assert_eq!(fs::read(&theirs).expect("read"), b"another exchange's");
    assert!(dir.join("00000001.seg").exists(), "nothing was moved");
}

#[test]
fn a_restart_under_a_clock_that_was_set_back_is_post_only_too() {
    for back in [0, 3_600 * SECOND] {
        let folder = Folder::new("set-back");
        let dir = folder.path().join("journal");
        market_in(&dir, 10 * DAY);
        let second = pipeline::recover(journal_settings(&dir), |_| Ok(())).expect("sound");
        let clock = Clock(10 * DAY + SECOND - back);
        let threads = Settings::default();
        let running = pipeline::start(second.exchange, second.journal, threads, clock, Nobody)
            .expect("started");
        let follower = running.follower.clone();
        running.stop();
        let exchange = follower.read();
        let mut states = exchange.instruments().iter().map(|contract| contract.state);
        assert!(
            states.all(|state| state == TradingState::PostOnly),
            "SESSION-05"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_raised_the_alarm_is_not_shown() {
    let folder = Folder::new("alarm");
    let venue = Venue::start(folder.path()).await;
    let client = connect(
        &format!("http://{}", venue.running.address),
        &venue.keys,
        "maker-1",
    )
    .await;
    let account_id = venue.account("maker-1");
    let look = || async {
        let asked = proto::account::v1::GetAccountRequest { account_id };
        client.account().get_account(asked).await
    };
    look().await.expect("shown");
    let why = "core and follower differ at journal position 7";
    venue.running.desk.fault.set(why.to_owned());
    let refused = look().await.expect_err("not any more");
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    venue.running.stop().await;
}
