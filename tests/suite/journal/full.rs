//! A disk fills up: new orders are refused in time, whoever wants out gets out, nothing said is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::command::{Cancel, Command, Origin, Replace, Target};
use engine::ids::{AccountId, InstrumentId};
use engine::journal::*;
use engine::pipeline::{
    self, Batch, Intake, Outlet, Recovered, Refusal, Settings as Threads, SystemClock,
};

use tests::small_disk::SmallDisk;

use super::kit::Dir;

/// Notes the last position told.
struct Told(Arc<AtomicU64>);

impl Outlet<()> for Told {
    fn publish(&mut self, batch: Batch<()>) {
        let last = batch.stamped.last().map_or(0, |stamped| stamped.seq);
        self.0.store(last, Ordering::SeqCst);
    }
}

fn origin() -> Origin {
    Origin {
        account: AccountId(1),
        ..Origin::default()
    }
}

/// A change of an order of an account that does not exist: the core refuses it, and the journal keeps it.
fn change() -> Command {
    Command::Replace(Replace {
        origin: origin(),
        target: Target::Client(1),
        instrument: InstrumentId(0),
        price: None,
        lots: None,
        post_only: None,
        expire: None,
        display: None,
        trigger: None,
        reject_if_priority_lost: false,
    })
}

fn cancel() -> Command {
    Command::Cancel(Cancel {
        origin: origin(),
        target: Target::Client(1),
        instrument: InstrumentId(0),
    })
}

/// Submits until the answer is `end`; anything but that, acceptance and a full queue fails the test.
fn submit_until(intake: &Intake<()>, command: &Command, end: Result<(), Refusal>) -> u64 {
    let mut accepted = 0;
    loop {
        let answer = intake.submit(command.clone(), None);
        accepted += u64::from(answer.is_ok());
        if answer == end {
            return accepted;
        }
        match answer {
            Ok(()) => {}
            Err(Refusal::Overloaded | Refusal::DiskFull) => std::thread::yield_now(),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_full_disk_lets_cancels_out_refuses_orders_recovers_and_stops_before_it_lies() {
    const SEGMENT: u64 = SEGMENT_BYTES_MIN;
    let dir = Dir::new();
    let segments = |count: i64| count * i64::try_from(SEGMENT).unwrap();
    let disk = SmallDisk::with_room(segments(5));
    let settings = Settings {
        segment_bytes: SEGMENT,
        disk: Arc::new(disk.clone()),
        ..Settings::new(&dir.0, 7)
    };
    let Recovered {
        exchange, journal, ..
    } = pipeline::recover(settings, |_| Ok(())).unwrap();
    let told = Arc::new(AtomicU64::new(0));
    let outlet = Told(Arc::clone(&told));
    let running =
        pipeline::start(exchange, journal, Threads::default(), SystemClock, outlet).unwrap();
    let intake = running.intake.clone();

    // The fourth segment in use: two more are ready, the next cannot be made.
    let first = submit_until(&intake, &change(), Err(Refusal::DiskFull));
    assert!(first > 0);
    assert_eq!(running.fault.reason(), None, "foreseen");
    for _ in 0..100 {
        assert_eq!(intake.submit(cancel(), None), Ok(()), "the way out is open");
        assert_eq!(intake.submit(change(), None), Err(Refusal::DiskFull));
    }

    // Somebody makes room.
    disk.make_room(segments(3));
    submit_until(&intake, &change(), Ok(()));

    // Nobody does: cancels go into the reserve until that is used up too, then the exchange stops.
    submit_until(&intake, &change(), Err(Refusal::DiskFull));
    let out = submit_until(&intake, &cancel(), Err(Refusal::Stopped));
    assert!(out > 1_000, "{out} cancels fitted into the reserve");
    let why = running.fault.reason().unwrap().to_owned();
    assert!(why.contains("no room for another segment"), "{why}");
    running.stop();

    // With room again everything told is there.
    let back = pipeline::recover(Settings::new(&dir.0, 7), |_| Ok(())).unwrap();
    let (exchange, report) = (back.exchange, back.report);
    assert!(report.last_seq >= told.load(Ordering::SeqCst));
    assert_eq!(exchange.seq(), report.last_seq);
}
