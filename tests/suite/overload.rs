//! Does a full exchange say no in words, keep the way out open, and forget nothing it accepted?

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crossbeam::channel::{Receiver, Sender, bounded};
use engine::{
    command::{
        Command, Origin, Place, PostOnly, Pricing, Selection, SelfTrade, Side, Tag, TimeInForce,
    },
    event::Event,
    ids::{AccountId, InstrumentId},
    journal::IoChoice,
    pipeline::{self, Batch, Clock, Outlet, Refusal, Settings},
    units::{Lots, Nanos, Ticks},
};
use tests::{slow_disk::SlowDisk, venue::Folder};

mod flood;

/// A clock that a test can reason about: one microsecond a look.
struct Steps(i64);

impl Clock for Steps {
    fn now(&mut self) -> Nanos {
        self.0 += 1_000;
        Nanos(self.0)
    }
}

/// An outlet that waits at a gate before it lets each batch out.
struct Gate {
    open: Receiver<()>,
    told: Sender<usize>,
}

impl Outlet<()> for Gate {
    fn publish(&mut self, batch: Batch<()>) {
        // A closed gate at the end of the test means "go on".
        self.open.recv().unwrap_or_default();
        let refused = batch
            .events
            .iter()
            .filter(|event| matches!(event, Event::Order(_)))
            .count();
        self.told.send(refused).unwrap_or_default();
    }
}

fn place(id: u64) -> Command {
    Command::Place(Place {
        origin: Origin {
            account: AccountId(1),
            ..Origin::default()
        },
        order: engine::command::OrderTerms {
            client_order_id: id,
            instrument: InstrumentId(1),
            side: Side::Buy,
            pricing: Pricing::Limit(Ticks(1)),
            lots: Lots(1),
            time_in_force: TimeInForce::Gtc,
            post_only: PostOnly::No,
            reduce_only: false,
            self_trade: SelfTrade::CancelResting,
            self_trade_group: 0,
            cancel_group: 0,
            display: engine::units::Lots(0),
            min_fill: engine::units::Lots(0),
            trigger: None,
            mmp_group: 0,
            keep_on_disconnect: false,
            tag: Tag::default(),
        },
    })
}

fn mass_cancel() -> Command {
    Command::MassCancel(engine::command::MassCancel {
        origin: Origin {
            account: AccountId(1),
            ..Origin::default()
        },
        selection: Selection::default(),
        block_new_orders: false,
    })
}

/// No order with its refusal takes fewer bytes in the journal.
const RECORD_BYTES_LEAST: usize = 150;

#[test]
fn a_full_queue_refuses_orders_and_still_takes_cancels() {
    for io in [IoChoice::Plain, IoChoice::Auto] {
        let folder = Folder::new("overload");
        let mut journal = engine::journal::Settings::new(folder.path().join("journal"), 7);
        journal.segment_bytes = 1 << 20;
        journal.io = io;
        let back = pipeline::recover(journal, |_| Ok(())).expect("a new journal");
        let (exchange, journal) = (back.exchange, back.journal);
        let (gate, open) = bounded::<()>(0);
        let (told, heard) = bounded(1 << 20);
        let settings = Settings {
            queue: 64,
            cancel_room: 16,
            batch: 4,
            batches: 2,
            ..Settings::default()
        };
        let running = pipeline::start(exchange, journal, settings, Steps(0), Gate { open, told })
            .expect("threads start");

        assert_eq!(running.intake.cancel_share(), None, "nobody needs to share");
        // Nobody lets anything out: sooner or later the bounded queues are full.
        let (mut id, mut accepted) = (0, 0);
        let mut refusals = 0;
        while refusals < 1_000 {
            id += 1;
            match running.intake.submit(place(id), None) {
                Ok(()) => accepted += 1,
                Err(Refusal::Overloaded) => {
                    refusals += 1;
                    std::thread::yield_now();
                }
                Err(other) => panic!("{other:?}: {:?}", running.fault.reason()),
            }
        }
        // The core may have taken a few more just now: it has nowhere to put the next ones.
        while running.intake.depth() < 48 {
            if running.intake.submit(place(id + 1), None).is_ok() {
                (id, accepted) = (id + 1, accepted + 1);
            }
            std::thread::yield_now();
        }
        assert_eq!(
            running.intake.cancel_share(),
            Some(1),
            "each session may have so many cancels waiting"
        );
        for _ in 0..8 {
            assert_eq!(
                running.intake.submit(mass_cancel(), None),
                Ok(()),
                "the way out is open"
            );
        }
        // Bounded: the queue, and between core and publisher the blocks of the journal: those in flight,
        // and as many again in each of two answers that wait, one that is being told, and the next.
        let blocks = 5 * usize::try_from(engine::journal::BLOCKS_IN_FLIGHT_MAX).expect("small");
        let most = 64 + blocks * engine::journal::BATCH_BYTES_MAX / RECORD_BYTES_LEAST;
        assert!(
            accepted < most,
            "{accepted} orders were taken in with nobody served, at most {most}"
        );

        // Let everything out: each accepted order was answered, none of the refused ones.
        drop(gate);
        running.stop();
        let answered: usize = heard.iter().sum();
        assert_eq!(answered, accepted, "backend {io:?}");
    }
}

/// Counts how many syncs lie between a command's acceptance and its telling.
struct Patience {
    disk: SlowDisk,
    /// Syncs that had begun when each accepted order was handed in.
    since: Arc<Mutex<Vec<u64>>>,
    told: Arc<AtomicUsize>,
    longest: Arc<AtomicU64>,
}

impl Outlet<()> for Patience {
    fn publish(&mut self, batch: Batch<()>) {
        let orders = batch.stamped.iter();
        let orders = orders.filter(|one| matches!(one.command, Command::Place(_)));
        let since = self.since.lock().expect("nobody panicked");
        for _ in orders {
            let nth = self.told.fetch_add(1, Ordering::SeqCst);
            let waited = self.disk.syncs() - since[nth];
            self.longest.fetch_max(waited, Ordering::SeqCst);
        }
    }
}

#[test]
fn a_slow_disk_makes_refusals_and_neither_long_waits_nor_long_queues() {
    const ORDERS: usize = 2_000;
    for io in [IoChoice::Plain, IoChoice::Auto] {
        let folder = Folder::new("slow-disk");
        let disk = SlowDisk::new(Duration::from_millis(20));
        let mut journal = engine::journal::Settings::new(folder.path().join("journal"), 7);
        journal.segment_bytes = 1 << 20;
        journal.io = io;
        journal.disk = Arc::new(disk.clone());
        let back = pipeline::recover(journal, |_| Ok(())).expect("a new journal");
        let settings = Settings {
            queue: 256,
            batch: 64,
            batches: 2,
            ..Settings::default()
        };
        let patience = Patience {
            disk: disk.clone(),
            since: Arc::default(),
            told: Arc::default(),
            longest: Arc::default(),
        };
        let (since, told) = (patience.since.clone(), patience.told.clone());
        let longest = patience.longest.clone();
        let running = pipeline::start(back.exchange, back.journal, settings, Steps(0), patience)
            .expect("threads start");

        // As fast as they are taken, and as fast as they are refused.
        let (mut accepted, mut refused, mut most_waiting) = (0, 0_u64, 0);
        while accepted < ORDERS {
            since.lock().expect("nobody panicked").push(disk.syncs());
            match running.intake.submit(place(accepted as u64 + 1), None) {
                Ok(()) => accepted += 1,
                Err(Refusal::Overloaded) => {
                    since.lock().expect("nobody panicked").pop();
                    refused += 1;
                    std::thread::yield_now();
                }
                Err(other) => panic!("{other:?}: {:?}", running.fault.reason()),
            }
            most_waiting = most_waiting.max(accepted - told.load(Ordering::SeqCst));
        }
        running.stop();
        let (waited, blocks) = (
            longest.load(Ordering::SeqCst),
            engine::journal::BLOCKS_IN_FLIGHT_MAX,
        );
        println!(
            "{io:?}: {accepted} orders taken, {refused} refused, {} syncs of 20 ms; told at most {waited} \
             syncs after they were taken, at most {most_waiting} waiting",
            disk.syncs()
        );
        assert_eq!(told.load(Ordering::SeqCst), accepted, "each was told");
        assert!(refused > 0, "no word of the disk's slowness");
        // A block holds at least a batch; each sync brings at least one home.
        let batches = (settings.queue / settings.batch + settings.batches) as u64;
        assert!(waited <= batches + 3 * blocks, "{waited} syncs");
        let blocks = 5 * usize::try_from(engine::journal::BLOCKS_IN_FLIGHT_MAX).expect("small");
        let most = settings.queue + blocks * engine::journal::BATCH_BYTES_MAX / RECORD_BYTES_LEAST;
        assert!(
            most_waiting <= most,
            "{most_waiting} waiting, at most {most}"
        );
    }
}
