//! Once it is warm, the book asks the system for no memory.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bench::{
    books::{BareBook, hashpit::Hashpit},
    flows::{self, Flow, Shape},
    workload,
};
use engine::event::Event;

/// The system's allocator, and how often this thread called it.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn counted() {
    CALLS.set(CALLS.get() + 1);
}

#[allow(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call goes to the system's allocator as it came; counting touches no memory of others and
// allocates nothing, since the counter is a constant without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        counted();
        // SAFETY: the caller promises what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        counted();
        // SAFETY: as above, and the pointer came from it.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        counted();
        // SAFETY: as above, and the pointer came from it.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The whole exchange: orders, fills, money, positions, client ids and all events, with ten thousand
/// accounts.
#[test]
fn a_warm_exchange_allocates_nothing() {
    const COMMANDS: usize = 50_000;
    for shape in [workload::HOT, workload::BALANCED] {
        let flow = workload::Flow::new(shape, 2 * COMMANDS, 3);
        let mut exchange = flow.start.clone();
        exchange.reserve(1 << 21, 1 << 18);
        let mut out = Vec::with_capacity(1 << 16);
        let (warm, measured) = flow.commands.split_at(COMMANDS);
        for stamped in warm {
            out.clear();
            exchange.apply(stamped, &mut out);
        }
        let before = CALLS.get();
        let mut trades = 0;
        for (place, stamped) in measured.iter().enumerate() {
            exchange.look_ahead(|at| measured.get(at).map(|ahead| &ahead.command), place);
            out.clear();
            exchange.apply(stamped, &mut out);
            let is_trade = |event: &&Event| matches!(event, Event::Trade(_));
            trades += out.iter().filter(is_trade).count();
        }
        let calls = CALLS.get() - before;
        println!(
            "{}: {calls} calls in {COMMANDS} commands, {trades} trades",
            shape.name
        );
        assert!(trades > 1_000, "{} hardly traded", shape.name);
        assert_eq!(calls, 0, "{}", shape.name);
    }
}

#[test]
fn a_warm_book_allocates_nothing() {
    for shape in [flows::HOT, flows::STATIC, flows::QUEUE, flows::ZIPF] {
        let flow = Flow::new(Shape {
            messages: 200_000,
            ..shape
        });
        let mut book = Hashpit::new(&flow.room);
        let mut out = Vec::with_capacity(1 << 16);
        for batch in flow.prelude.chunks(256) {
            out.clear();
            book.apply_batch(batch, &mut out);
        }
        let before = CALLS.get();
        for batch in flow.messages.chunks(256) {
            out.clear();
            book.apply_batch(batch, &mut out);
        }
        let calls = CALLS.get() - before;
        println!(
            "{}: {calls} calls in {} messages",
            shape.name,
            flow.messages.len()
        );
        assert_eq!(calls, 0, "{}", shape.name);
    }
}
