//! What saving and loading a state costs in memory, also when its bytes lie, and how long a large one
//! takes:
//!
//! ```text
//! cargo test --release -p bench --test saved -- --ignored --nocapture
//! ```

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    io,
    time::Instant,
};

use engine::{
    command::{AccountKind, Command, CreditDeposit, NewAccount, Rail, Side, Stamped},
    exchange::Exchange,
    ids::{AccountId, AssetId, FirmId},
    memory::LargePages,
};
use tests::{
    generator::Features,
    market::{Market, request},
    streams,
};

/// The allocator of the binaries, and how many bytes this thread holds of it.
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
// SAFETY: every call goes to that allocator as it came; counting touches no memory of others and
// allocates nothing, since the counter is a constant without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller promises what every allocator asks for.
        unsafe { LargePages.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as above.
        unsafe { LargePages.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        gave(layout.size());
        // SAFETY: as above, and the pointer came from it.
        unsafe { LargePages.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        gave(layout.size());
        took(size);
        // SAFETY: as above, and the pointer came from it.
        unsafe { LargePages.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a task answers, and the most bytes it held at once.
fn watched<T>(task: impl FnOnce() -> T) -> (T, i64) {
    let before = HELD.get();
    MOST.set(before);
    let answer = task();
    (answer, MOST.get() - before)
}

fn saved(exchange: &Exchange) -> Vec<u8> {
    let mut bytes = Vec::new();
    exchange.save(&mut bytes).expect("memory takes everything");
    bytes
}

/// A state of all features.
fn rich(commands: usize) -> Exchange {
    let mut exchange = Exchange::new();
    for stamped in streams::record(2, Features::ALL, commands) {
        exchange.apply(&stamped, &mut Vec::new());
    }
    exchange
}

#[test]
fn saving_needs_one_small_buffer() {
    let exchange = rich(3_000);
    let (saved, most) = watched(|| exchange.save(&mut io::sink()));
    println!("at most {most} bytes at once");
    assert!(saved.is_ok() && most < 1 << 19, "{most} bytes");
}

/// A count or a length is believed as far as bytes follow, wherever it stands. What every exchange takes
/// from the start, address space for all its orders, is not counted.
#[test]
fn forged_lengths_ask_for_little_memory() {
    const BOUND: i64 = 3 << 20;
    let (_, always) = watched(Exchange::default);
    let bytes = saved(&rich(700));
    let (honest, most) = watched(|| Exchange::load(&mut &bytes[..]).is_ok());
    println!("{} bytes load in {} more", bytes.len(), most - always);
    assert!(honest);
    let (mut worst, mut refused) = (0, 0);
    // Every place near the beginning of a section, and every seventh elsewhere.
    let names = |at: usize| {
        bytes[at.saturating_sub(24)..at]
            .iter()
            .filter(|byte| byte.is_ascii_lowercase())
    };
    let places =
        (8..bytes.len() - 8).filter(|at| at % 97 == 0 || names(*at).count() >= 4 && at % 3 == 0);
    for at in places {
        for length in [u64::MAX, 1 << 20, 30_000] {
            let mut forged = bytes.clone();
            forged[at..at + 8].copy_from_slice(&length.to_le_bytes());
            let (loaded, most) = watched(|| Exchange::load(&mut &forged[..]).is_ok());
            refused += u32::from(!loaded);
            worst = worst.max(most - always);
        }
    }
    println!("at most {worst} bytes at once, {refused} refused");
    assert!(worst <= most - always + BOUND, "{worst} bytes");
    assert!(refused > 1_000, "{refused} refused");
}

/// Bytes of memory that the process has in use, and the most it ever had.
fn resident() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Some((field("VmRSS:")? >> 10, field("VmHWM:")? >> 10))
}

fn apply(exchange: &mut Exchange, command: Command) {
    let stamped = Stamped {
        seq: exchange.seq() + 1,
        at: exchange.at().after(1_000),
        command,
    };
    exchange.apply(&stamped, &mut Vec::new());
}

/// So many accounts with money, each with one resting order.
fn large(accounts: usize) -> Exchange {
    let mut market = Market::open(1);
    market.exchange.skip_audits();
    for number in 1..accounts {
        let account = AccountId(u32::try_from(number + 4).expect("a number"));
        let new = NewAccount {
            firm: FirmId(1),
            label: format!("account {number}"),
            kind: AccountKind::Client,
            maker_fee_offset: 0,
            taker_fee_offset: 0,
        };
        apply(&mut market.exchange, Command::CreateAccount(request(new)));
        let credit = CreditDeposit {
            account,
            asset: AssetId(1),
            amount: 1 << 40,
            rail: Rail::Sandbox,
        };
        apply(
            &mut market.exchange,
            Command::CreditDeposit(request(credit)),
        );
        market.accounts.push(account);
    }
    for number in 0..accounts {
        let (side, away) = [(Side::Buy, -1), (Side::Sell, 1)][number % 2];
        let level = 1 + (number as i64 * 7_919) % 2_000;
        let place = market.order(number, side, tests::market::MARK + away * level, 5);
        apply(&mut market.exchange, Command::Place(place));
    }
    assert_eq!(market.exchange.orders().live(), accounts);
    market.exchange
}

#[test]
#[ignore = "a million accounts; meant for a release build"]
fn a_million_accounts_and_a_million_resting_orders() {
    let start = Instant::now();
    let exchange = large(1_000_000);
    println!(
        "made in {:.1?}, (resident, most) MiB {:?}",
        start.elapsed(),
        resident()
    );
    for round in 1..=3 {
        let start = Instant::now();
        let (_, most) = watched(|| exchange.save(&mut io::sink()).expect("nothing refuses"));
        let only = start.elapsed();
        let start = Instant::now();
        let digest = exchange.digest();
        let hashed = start.elapsed();
        let start = Instant::now();
        let bytes = saved(&exchange);
        let into_memory = start.elapsed();
        let start = Instant::now();
        let (copy, more) = watched(|| Exchange::load(&mut &bytes[..]).expect("it was saved"));
        let loading = start.elapsed();
        let (_, always) = watched(Exchange::default);
        println!(
            "round {round}: {} MiB; saved into nothing {only:.2?} with {most} bytes more, hashed \
             {hashed:.2?}, into memory {into_memory:.2?}; loaded {loading:.2?} with at most {} MiB \
             more; (resident, most) MiB {:?}",
            bytes.len() >> 20,
            (more - always) >> 20,
            resident(),
        );
        assert_eq!(copy.digest(), digest);
        let start = Instant::now();
        let clone = exchange.clone();
        println!("  cloned in {:.2?}", start.elapsed());
        drop(clone);
    }
}

/// All commands of a journal at once: only their number counts here.
struct All(u64);

impl engine::journal::Entry for All {
    fn first_seq(&self) -> u64 {
        1
    }

    fn count(&self) -> u32 {
        u32::try_from(self.0).expect("not so many")
    }

    fn encode(&mut self, out: &mut Vec<u8>) {
        out.push(0);
    }
}

#[test]
#[ignore = "a million accounts; meant for a release build"]
fn a_large_snapshot_file() {
    use engine::{
        journal::{self, IoChoice, RealDisk, Settings},
        snapshots,
    };
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("large-snapshot");
    let _ = std::fs::remove_dir_all(&folder);
    let exchange = large(1_000_000);
    let settings = Settings {
        io: IoChoice::Plain,
        ..Settings::new(folder.join("journal"), 7)
    };
    let (journal, _) = journal::open(settings, |_| Ok(())).expect("a new folder");
    let (feeder, inbox) = journal::inbox(4);
    let thread = journal::spawn(journal, inbox, |_: Vec<All>| ());
    assert!(feeder.push(All(exchange.seq())).is_ok());
    feeder.close();
    thread.join().expect("it ends").expect("it is written");
    let mut place = None;
    journal::scan(&folder.join("journal"), |view| {
        place = Some(view.after.clone());
        Ok(())
    })
    .expect("a whole journal");
    let place = place.expect("blocks");
    let dir = snapshots::beside(&folder.join("journal"));
    for round in 1..=3 {
        let start = Instant::now();
        let write = || snapshots::write(&RealDisk, &dir, &exchange, &place, &[]);
        let (written, most) = watched(write);
        let bytes = written.expect("room").bytes;
        println!(
            "round {round}: {bytes} bytes written, synced, read back in {:.2?}, {most} bytes more",
            start.elapsed()
        );
        let start = Instant::now();
        let found = snapshots::newest_valid(&RealDisk, &dir, 7, u64::MAX);
        assert!(found.expect("read").loaded.is_some());
        println!("  found and loaded in {:.2?}", start.elapsed());
    }
    let _ = std::fs::remove_dir_all(&folder);
}
