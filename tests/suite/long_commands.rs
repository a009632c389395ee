//! Do many long commands at once still fit the journal's blocks? A batch of orders that comes too late does
//! nothing but is recorded whole, so a core that only counts commands and events would make an entry that
//! no block can hold, and stop the exchange.

use crossbeam::channel::{Receiver, Sender, bounded};
use engine::{
    command::{
        BatchItem, BatchPolicy, Command, NewKey, Origin, Place, PostOnly, Pricing, Request,
        SelfTrade, Side, Tag, TimeInForce,
    },
    ids::{AccountId, FirmId, InstrumentId},
    journal::IoChoice,
    limits,
    pipeline::{self, Batch, Clock, Outlet, Settings},
    units::{Lots, Nanos, Ticks},
};
use tests::venue::Folder;

struct Steps(i64);

impl Clock for Steps {
    fn now(&mut self) -> Nanos {
        self.0 += 1_000;
        Nanos(self.0)
    }
}

/// Waits at a gate before the first batch, so that everything else waits in the queue meanwhile.
struct Gate {
    open: Receiver<()>,
    told: Sender<usize>,
}

impl Outlet<()> for Gate {
    fn publish(&mut self, batch: Batch<()>) {
        // A closed gate means "go on".
        self.open.recv().unwrap_or_default();
        self.told.send(batch.stamped.len()).unwrap_or_default();
    }
}

/// As long as a batch of orders can be, and too late from the beginning.
fn batch() -> Command {
    let origin = Origin {
        account: AccountId(1),
        deadline: Nanos(1),
        ..Origin::default()
    };
    let order = engine::command::OrderTerms {
        client_order_id: 1,
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
        display: Lots(0),
        min_fill: Lots(0),
        trigger: None,
        mmp_group: 0,
        keep_on_disconnect: false,
        tag: Tag::default(),
    };
    Command::Batch(engine::command::Batch {
        origin,
        policy: BatchPolicy::BestEffort,
        items: vec![BatchItem::Place(Place { origin, order }); limits::BATCH_ITEMS],
    })
}

/// A key for more accounts than there may be: refused, and recorded.
fn key(accounts: usize) -> Command {
    Command::CreateKey(Request {
        id: 0,
        key_id: "operator".into(),
        note: String::new(),
        body: NewKey {
            key_id: "wide".into(),
            firm: FirmId(1),
            label: String::new(),
            public_key: [1; 32],
            permissions: 0,
            accounts: vec![AccountId(1); accounts],
            expires: Nanos(0),
        },
    })
}

#[test]
fn a_full_queue_of_the_longest_commands_fits_the_blocks() {
    const EACH: usize = 1_500;
    let folder = Folder::new("long-commands");
    let mut journal = engine::journal::Settings::new(folder.path().join("journal"), 7);
    journal.segment_bytes = 8 << 20;
    journal.io = IoChoice::Plain;
    let back = pipeline::recover(journal.clone(), |_| Ok(())).expect("a new journal");
    let (exchange, journal_) = (back.exchange, back.journal);
    let (gate, open) = bounded::<()>(0);
    let (told, heard) = bounded(1 << 20);
    let settings = Settings {
        queue: 8_192,
        cancel_room: 16,
        batch: 512,
        batches: 2,
        ..Settings::default()
    };
    let running = pipeline::start(
        exchange,
        journal_,
        settings,
        Steps(1_000),
        Gate { open, told },
    )
    .expect("threads start");
    for place in 0..EACH {
        running.intake.submit(batch(), None).expect("room");
        if place % 10 == 0 {
            running.intake.submit(key(60_000), None).expect("room");
        }
    }
    let fault = running.fault.clone();
    drop(gate);
    running.stop();
    assert_eq!(fault.reason(), None);
    let told: usize = heard.try_iter().sum();
    assert_eq!(told, EACH + EACH / 10);
    let back = pipeline::recover(journal, |_| Ok(())).expect("all of it is read back");
    assert_eq!(back.exchange.seq(), told as u64);
}
