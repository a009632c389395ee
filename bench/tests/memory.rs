//! What a resting order costs in memory, and what a forged record may ask for.
//!
//! Counted for the bound of 64 bytes is everything that a book holds: the places of its orders
//! ([`Nodes`]), and of the [`Book`] both rows of levels, the words above them, all pages of levels and
//! the map of levels outside the rows; each with the room that is there for more, as the system's
//! allocator was asked for it. Not counted is what ledger and clients need of an order whether it rests
//! or not: its record, its owner's list, its client id. What all of that costs together is printed.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
    sync::Mutex,
};

use bench::workload::{Random, Venue};
use engine::{
    book::{Book, Node, Nodes},
    command::{Batch, BatchItem, BatchPolicy, Command, Side},
    ids::AccountId,
    order::Order,
    position::Position,
    record::{self, Results},
    units::{Lots, Ticks},
};

/// The system's allocator, and how many bytes this thread holds of it.
struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static MOST: Cell<i64> = const { Cell::new(0) };
}

fn took(bytes: usize) {
    HELD.set(HELD.get() + bytes as i64);
    MOST.set(MOST.get().max(HELD.get()));
}

fn gave(bytes: usize) {
    HELD.set(HELD.get() - bytes as i64);
}

#[allow(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call goes to the system's allocator as it came; counting touches no memory of others and
// allocates nothing, since the counter is a constant without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller promises what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        gave(layout.size());
        // SAFETY: as above, and the pointer came from it.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        gave(layout.size());
        took(size);
        // SAFETY: as above, and the pointer came from it.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: the process's memory is looked at as a whole.
static ALONE: Mutex<()> = Mutex::new(());

const ORDERS: u32 = 1_000_000;
const BOUND: f64 = 64.0;
const MIDDLE: i64 = 10_000_000;

/// Bytes of a book with a million resting orders over so many levels a side, so many ticks apart, for
/// each order; its places and its levels.
fn bytes_of_an_order(levels: i64, apart: i64) -> (f64, f64) {
    let before = HELD.get();
    let mut nodes = Nodes::with_capacity(ORDERS as usize);
    let places = HELD.get() - before;
    let mut book = Book::default();
    for slot in 0..ORDERS {
        nodes.grow();
        let (side, away) = if slot % 2 == 0 {
            (Side::Buy, -1)
        } else {
            (Side::Sell, 1)
        };
        // From the middle outwards and round again, so that queues grow at all levels together.
        let level = 1 + i64::from(slot / 2) % levels;
        let price = Ticks(MIDDLE + away * level * apart);
        book.rest(
            &mut nodes,
            slot,
            Node::new(side, price, Lots(5), AccountId(slot % 1_000)),
        );
    }
    let all = HELD.get() - before;
    for side in [Side::Buy, Side::Sell] {
        assert_eq!(book.levels(side).count() as i64, levels);
        let orders = book.levels(side).map(|(_, level)| level.orders);
        assert_eq!(orders.sum::<u32>(), ORDERS / 2);
    }
    assert!(
        (all - places) as usize <= book.bytes() + 64,
        "the book knows its size: {} and {}",
        all - places,
        book.bytes()
    );
    black_box((&book, &nodes));
    let each = |bytes: i64| bytes as f64 / f64::from(ORDERS);
    (each(places), each(all - places))
}

#[test]
fn a_resting_order_takes_at_most_64_bytes_of_its_book() {
    let _alone = ALONE.lock();
    for (what, levels, apart) in [
        ("2,000 neighbouring levels a side", 2_000, 1),
        ("2,000 levels a side, each in a page of its own", 2_000, 64),
        ("4,000 levels a side, 1,000 ticks apart", 4_000, 1_000),
    ] {
        let (places, rest) = bytes_of_an_order(levels, apart);
        println!("{what}: {places:.1} + {rest:.1} bytes for each of {ORDERS} orders");
        assert!(places + rest <= BOUND, "{what}: {:.1} bytes", places + rest);
    }
}

/// Bytes of memory that the process has in use.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = text.lines().find(|line| line.starts_with("Rss:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1_024)
}

/// Printed, not bounded: what the whole exchange takes for it.
#[test]
fn what_a_resting_order_costs_over_all_tables() {
    let _alone = ALONE.lock();
    let mut venue = Venue::new(1_000);
    let mut random = Random::new(3);
    let mut events = Vec::with_capacity(1 << 12);
    let before = resident();
    for number in 0..ORDERS as usize {
        let (side, away) = [(Side::Buy, -1), (Side::Sell, 1)][number % 2];
        let price = 42_000 + away * (1 + random.below(2_000).cast_signed());
        let place = venue.order(number, side, price, 5);
        let stamped = venue.stamp(0, Command::Place(place));
        events.clear();
        venue.exchange.apply(&stamped, &mut events);
    }
    assert_eq!(venue.exchange.orders().live(), ORDERS as usize);
    let (order, position) = (size_of::<Order>(), size_of::<Position>());
    println!("a record of {order} bytes, a place of 32; a position of {position}");
    match resident().zip(before) {
        Some((after, before)) => println!(
            "{} bytes for each of {ORDERS} orders over all tables of the exchange",
            after.saturating_sub(before) / u64::from(ORDERS)
        ),
        None => println!("NOT MEASURED: this system does not say how much memory is in use"),
    }
}

/// A length inside a record is only believed as far as a record may be long, whatever it says and
/// wherever it stands.
#[test]
fn a_forged_length_asks_for_little_memory() {
    const BOUND: i64 = 3 << 20;
    let mut venue = Venue::new(3);
    let mut records = Vec::new();
    let policy = BatchPolicy::BestEffort;
    let place = venue.order(0, Side::Buy, 42_000, 5);
    let batch = Batch {
        origin: place.origin,
        policy,
        items: vec![BatchItem::Place(place); 3],
    };
    venue.history.truncate(40);
    let set_up = std::mem::take(&mut venue.history);
    let batch = venue.stamp(0, Command::Batch(batch));
    for stamped in set_up.into_iter().chain([batch]) {
        let mut bytes = Vec::new();
        record::write(&stamped, &Results::default(), &mut bytes);
        assert!(record::decode(&bytes, 1).is_ok());
        records.push(bytes);
    }
    let (mut most, mut refused) = (0, 0);
    for bytes in records {
        for at in 0..bytes.len().saturating_sub(8) {
            for length in [u64::MAX, 1 << 40, 1 << 32, 1 << 20, 1 << 16, 1_000] {
                let mut forged = bytes.clone();
                forged[at..at + 8].copy_from_slice(&length.to_le_bytes());
                let before = HELD.get();
                MOST.set(before);
                refused += u32::from(record::decode(&forged, 1).is_err());
                most = most.max(MOST.get() - before);
            }
        }
    }
    println!("at most {most} bytes at once, {refused} refused");
    assert!(most <= BOUND, "{most} bytes");
    assert!(refused > 1_000, "{refused} refused");
}
