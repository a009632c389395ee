//! Instructions per operation, counted by valgrind: the same on a busy machine as on an idle one.
//!
//! The program runs itself below callgrind, once for each operation, which counts only what happens
//! inside the two functions named `measured_…`. The result is compared with `bench/instructions.txt`:
//! more than a twentieth above is a regression and ends with status 1. `-- --bless` writes the file
//! anew. Counts are of this compiler and these build settings, not of a processor; what a cache miss
//! costs they do not know.

use std::{
    collections::BTreeMap,
    hint::black_box,
    path::Path,
    process::{Command as Process, ExitCode},
};

use bench::{
    books::{BareBook, Report, Room, hashpit::Hashpit},
    flows::{Message, Side},
    report,
    workload::Venue,
};
use engine::{
    command::{self, Command, Stamped, Target, TimeInForce},
    event::{Event, OrderEventKind},
    exchange::Exchange,
    ids::{AccountId, OrderId},
};

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");
/// Share of the baseline by which a count may differ.
const TOLERANCE: f64 = 0.05;
/// Operations of a count, except sweeps, of which there are a tenth.
const COUNT: u32 = 1_000;
const SWEEPS: u32 = COUNT / 10;
const MAKERS: u32 = 10;
/// The standing book: levels of one side, orders at each, best prices, size of an order.
const LEVELS: u32 = 500;
const QUEUE: u32 = 8;
const BID: i64 = 41_900;
const ASK: i64 = 42_100;
const LOTS: u32 = 3;
/// Accounts of the full exchange. Makers are even, takers odd, so that nobody meets himself.
const TRADERS: usize = 256;

/// An operation: its name, how many are counted, and what runs below valgrind.
struct Operation {
    name: &'static str,
    count: u32,
    run: fn(),
}

const OPERATIONS: [Operation; 10] = [
    Operation {
        name: "bare/add/existing-level",
        count: COUNT,
        run: || bare(|book, n| book.add(Side::Buy, BID - i64::from(n * 13 % LEVELS), LOTS)),
    },
    Operation {
        name: "bare/add/new-level",
        count: COUNT,
        run: || bare(|book, n| book.add(Side::Buy, BID - i64::from(LEVELS + n), LOTS)),
    },
    Operation {
        name: "bare/cancel",
        count: COUNT,
        // The third order of a queue of eight, never the same queue twice.
        run: || {
            bare(|_, n| Message::Cancel {
                book: 0,
                id: n * 13 % (2 * LEVELS) * QUEUE + 3,
            });
        },
    },
    Operation {
        name: "bare/cross/one-maker",
        count: COUNT,
        run: || bare(|book, _| book.cross(Side::Sell, 1, LOTS)),
    },
    Operation {
        name: "bare/sweep/ten-makers",
        count: SWEEPS,
        run: bare_sweeps,
    },
    Operation {
        name: "exchange/place/resting",
        count: COUNT,
        run: || {
            full(|venue, _, n| {
                Command::Place(venue.order(maker(n), command::Side::Buy, spread(n), LOTS.into()))
            });
        },
    },
    Operation {
        name: "exchange/cancel",
        count: COUNT,
        run: || {
            full(|venue, orders, n| {
                let (account, order) = orders[(n * 3) as usize];
                venue.cancel(account, Target::Order(order))
            });
        },
    },
    Operation {
        name: "exchange/replace/keeps-priority",
        count: COUNT,
        run: || {
            full(|venue, orders, n| {
                let (account, order) = orders[(n * 3) as usize];
                venue.replace(
                    account,
                    Target::Order(order),
                    None,
                    Some(i64::from(LOTS - 1)),
                )
            });
        },
    },
    Operation {
        name: "exchange/replace/new-price",
        count: COUNT,
        run: || {
            full(|venue, orders, n| {
                // Bids and asks in turn: each goes one tick away from the middle.
                let (account, order) = orders[(n * 3) as usize];
                let known = venue.exchange.orders().get(order).expect("it lives");
                let price = known.price.0;
                let away = if price < ASK { price - 1 } else { price + 1 };
                venue.replace(account, Target::Order(order), Some(away), None)
            });
        },
    },
    Operation {
        name: "exchange/cross/one-maker",
        count: COUNT,
        run: || {
            full(|venue, _, n| {
                let side = command::Side::Sell;
                let mut taker =
                    venue.order(maker(n) + 1, side, BID - i64::from(LEVELS), LOTS.into());
                taker.order.time_in_force = TimeInForce::Ioc;
                Command::Place(taker)
            });
        },
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments
        .iter()
        .position(|argument| argument == "--measure")
    {
        let name = arguments.get(at + 1).map_or("", String::as_str);
        let operation = OPERATIONS.iter().find(|operation| operation.name == name);
        (operation.expect("the parent names an operation").run)();
        return ExitCode::SUCCESS;
    }
    if !report::wanted() {
        return ExitCode::SUCCESS;
    }
    if Process::new("valgrind").arg("--version").output().is_err() {
        println!("instructions: NOT COUNTED, valgrind is not installed");
        return ExitCode::SUCCESS;
    }
    let bless = arguments.iter().any(|argument| argument == "--bless");
    table(bless)
}

/// Counts everything and compares.
fn table(bless: bool) -> ExitCode {
    let known = baseline();
    let mut status = ExitCode::SUCCESS;
    let mut text = String::from(
        "# Instructions per operation, by `cargo bench -p bench --bench instructions -- --bless`.\n",
    );
    println!("| operation | instructions | baseline | change |");
    println!("|---|---:|---:|---:|");
    for operation in &OPERATIONS {
        let name = operation.name;
        let Some(all) = counted(name) else {
            println!("| {name} | not counted: valgrind failed | | REGRESSION |");
            status = ExitCode::FAILURE;
            continue;
        };
        let each = all as f64 / f64::from(operation.count);
        text.push_str(&format!("{name} {each:.1}\n"));
        let Some(before) = known.get(name) else {
            println!("| {name} | {each:.1} | - | new |");
            continue;
        };
        let change = each / before - 1.0;
        let verdict = if change > TOLERANCE {
            if !bless {
                status = ExitCode::FAILURE;
            }
            " REGRESSION"
        } else if change < -TOLERANCE {
            " better: --bless it"
        } else {
            ""
        };
        println!(
            "| {name} | {each:.1} | {before:.1} | {:+.1} %{verdict} |",
            change * 100.0
        );
    }
    if bless {
        match std::fs::write(BASELINE, text) {
            Ok(()) => println!("the baseline is written anew"),
            Err(error) => {
                println!("the baseline is not written: {error}");
                status = ExitCode::FAILURE;
            }
        }
    }
    status
}

/// Counts of the committed file, by name.
fn baseline() -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(Path::new(BASELINE)).unwrap_or_default();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (name, count) = line.split_once(' ')?;
            Some((name.to_owned(), count.trim().parse().ok()?))
        })
        .collect()
}

/// Runs this program below callgrind; instructions inside the measured functions.
fn counted(name: &str) -> Option<u64> {
    let program = std::env::current_exe().ok()?;
    let run = Process::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*measured_*")
        .arg(program)
        .args(["--measure", name])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    let count = said
        .lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    if !run.status.success() || count == Some(0) {
        eprintln!("{said}");
        return None;
    }
    count
}

/// A bare book that is counted. The name is what callgrind looks for.
#[inline(never)]
fn measured_bare(book: &mut Hashpit, messages: &[Message], out: &mut Vec<Report>) {
    book.apply_batch(black_box(messages), out);
}

/// The exchange that is counted. The name is what callgrind looks for.
#[inline(never)]
fn measured_exchange(exchange: &mut Exchange, commands: &[Stamped], out: &mut Vec<Event>) {
    for stamped in commands {
        out.clear();
        exchange.apply(black_box(stamped), out);
        black_box(&*out);
    }
}

/// The standing book, and names for new orders.
struct Standing {
    book: Hashpit,
    out: Vec<Report>,
    next_id: u32,
}

impl Standing {
    fn new() -> Self {
        let room = Room {
            books: 1,
            ids: 1 << 16,
            live: 1 << 15,
            prices: (BID - 4_000, ASK + 4_000),
        };
        let mut standing = Self {
            book: Hashpit::new(&room),
            out: Vec::with_capacity(1 << 16),
            next_id: 0,
        };
        // Level by level, bids first: an id tells its place.
        for side in [Side::Buy, Side::Sell] {
            for level in 0..LEVELS {
                for _ in 0..QUEUE {
                    let price = match side {
                        Side::Buy => BID - i64::from(level),
                        Side::Sell => ASK + i64::from(level),
                    };
                    let add = standing.add(side, price, LOTS);
                    standing.book.apply(&add, &mut standing.out);
                }
            }
        }
        standing
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn add(&mut self, side: Side, price: i64, lots: u32) -> Message {
        Message::Add {
            book: 0,
            side,
            id: self.id(),
            lots,
            price,
        }
    }

    fn cross(&mut self, side: Side, price: i64, lots: u32) -> Message {
        Message::Cross {
            book: 0,
            side,
            id: self.id(),
            lots,
            price,
        }
    }
}

/// Counts messages on the standing book.
fn bare(message: impl Fn(&mut Standing, u32) -> Message) {
    let mut standing = Standing::new();
    let messages: Vec<Message> = (0..COUNT).map(|n| message(&mut standing, n)).collect();
    standing.out.clear();
    measured_bare(&mut standing.book, &messages, &mut standing.out);
    assert!(standing.out.len() >= COUNT as usize);
    let refused = |report: &Report| matches!(report, Report::Rejected { .. });
    assert!(!standing.out.iter().any(refused), "all are accepted");
}

/// Counts sales that take ten orders on ten levels, made ready one by one.
fn bare_sweeps() {
    let mut standing = Standing::new();
    for _ in 0..SWEEPS {
        for level in 1..=i64::from(MAKERS) {
            let add = standing.add(Side::Buy, BID + level, LOTS);
            standing.book.apply(&add, &mut standing.out);
        }
        let sweep = standing.cross(Side::Sell, BID + 1, LOTS * MAKERS);
        standing.out.clear();
        measured_bare(&mut standing.book, &[sweep], &mut standing.out);
        assert_eq!(
            standing.out.len(),
            1 + MAKERS as usize,
            "an ack and ten fills"
        );
    }
}

/// A trader who makes, by the number of the order.
fn maker(n: u32) -> usize {
    n as usize * 14 % TRADERS
}

fn spread(n: u32) -> i64 {
    BID - i64::from(n * 13 % LEVELS)
}

/// Counts commands on an exchange with the standing book.
fn full(command: impl Fn(&mut Venue, &[(AccountId, OrderId)], u32) -> Command) {
    let mut venue = Venue::new(TRADERS);
    let mut orders = Vec::new();
    for n in 0..LEVELS * QUEUE {
        let level = i64::from(n % LEVELS);
        let sides = [
            (command::Side::Buy, BID - level),
            (command::Side::Sell, ASK + level),
        ];
        for (side, price) in sides {
            let place = venue.order(maker(n), side, price, LOTS.into());
            venue.run(Command::Place(place));
            orders.extend(venue.events.iter().find_map(|event| match event {
                Event::Order(order) if order.kind == OrderEventKind::Accepted => {
                    Some((order.to.account, order.order_id))
                }
                _ => None,
            }));
        }
    }
    assert_eq!(orders.len(), 2 * (LEVELS * QUEUE) as usize);
    let commands: Vec<Stamped> = (0..COUNT)
        .map(|n| {
            let command = command(&mut venue, &orders, n);
            venue.stamp(n as usize, command)
        })
        .collect();
    let mut out = std::mem::take(&mut venue.events);
    out.reserve(1 << 12);
    measured_exchange(&mut venue.exchange, &commands, &mut out);
    let refused = out.iter().any(|event| match event {
        Event::Order(order) => matches!(
            order.kind,
            OrderEventKind::Rejected
                | OrderEventKind::ReplaceRejected
                | OrderEventKind::CancelRejected
        ),
        Event::Refused(_) => true,
        _ => false,
    });
    assert!(!refused, "the last one is accepted: {out:?}");
}
