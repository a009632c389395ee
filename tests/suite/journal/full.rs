//! A disk fills up: new orders are refused in time, whoever wants out gets out, nothing said is lost.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use engine::command::{Cancel, Command, Origin, Replace, Target};
use engine::ids::{AccountId, InstrumentId};
use engine::journal::*;
use engine::pipeline::{
    self, Batch, Intake, Outlet, Recovered, Refusal, Settings as Threads, SystemClock,
};

use super::kit::Dir;

/// A disk with room for so many bytes more; what is there already stays writable.
#[derive(Debug, Default)]
struct Small {
    room: AtomicI64,
}

#[derive(Debug)]
struct SmallFile {
    file: Box<dyn DiskFile>,
    /// Only a file being made needs new room; segments are zero-written ahead.
    disk: Option<Arc<Small>>,
}

impl DiskFile for SmallFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Some(disk) = &self.disk {
            let needed = i64::try_from(bytes.len()).unwrap();
            let room = disk.room.load(Ordering::SeqCst);
            if room < needed {
                return Err(ErrorKind::StorageFull.into());
            }
            disk.room.fetch_sub(needed, Ordering::SeqCst);
        }
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

#[derive(Clone, Debug)]
struct SmallDisk(Arc<Small>);

impl Disk for SmallDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.make_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (file, disk) = (RealDisk.create(path)?, Some(Arc::clone(&self.0)));
        Ok(Box::new(SmallFile { file, disk }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.open(path)
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.open_to_write(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let bytes = i64::try_from(self.open(path)?.length()?).unwrap();
        self.0.room.fetch_add(bytes, Ordering::SeqCst);
        RealDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        RealDisk.lock(path)
    }

    fn journal_io(&self, choice: IoChoice) -> Result<Box<dyn JournalIo>, JournalError> {
        RealDisk.journal_io(choice)
    }
}

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
    let disk = SmallDisk(Arc::default());
    let segments = |count: i64| count * i64::try_from(SEGMENT).unwrap();
    disk.0.room.store(segments(5), Ordering::SeqCst);
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
    disk.0.room.fetch_add(segments(3), Ordering::SeqCst);
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
