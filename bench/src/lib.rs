//! What the exchange costs, measured so that somebody else can repeat it.
//!
//! | bench | run | measures |
//! |---|---|---|
//! | `core` | `cargo bench -p bench --bench core` | the exchange as a function, one thread, no I/O: single operations on a prepared book, and whole flows with ledger, margin, fees, sessions and events |
//! | `core`, latency | `cargo bench -p bench --bench core -- --latency` | single commands of three flows, against the wall clock |
//! | `rules` | `cargo bench -p bench --bench rules` | what single rules cost: flows with one rule more in turns with those without, and what a day of clearing costs for each position |
//! | `books` | `cargo bench -p bench --bench books` | bare order books, ours and published ones, on the same messages |
//! | `books`, table | `cargo bench -p bench --bench books -- --table` | the same in turns: one table of medians with ratios to ours, and latencies of single messages |
//! | `instructions` | `cargo bench -p bench --bench instructions` | instructions per operation below valgrind, against `bench/instructions.txt` |
//! | `journal` | `cargo bench -p bench --bench journal` | encoding; one durable append after the other; saturated group commit; core, journal, follower and publisher together |
//! | `recovery` | `cargo bench -p bench --bench recovery` | latency with and without snapshots being written, a keeper catching up, coming back from the journal alone and from a snapshot |
//! | `shaped` | `cargo bench -p bench --bench shaped` | every flow through core, journal, follower and publisher, arriving in bursts like a market's: from due to told |
//! | `load` | `cargo bench -p bench --bench load -- --rate 5000` | orders and cancels over gRPC sessions, from the intended send time to the durable answer |
//! | `load`, peak | `cargo bench -p bench --bench load -- --peak` | the highest rate that is still kept up with, then latency at half of it |
//!
//! `core` and `books` take criterion's arguments: a filter such as `-- apply`, `-- --save-baseline main`.
//! `books -- --table` takes `--flows hot,deep`, `--books lobster`, `--rounds 9`, `--batch 1`, `--patience 20`;
//! `books -- --latency` leaves the table out. `instructions -- --bless` accepts what it counts.
//! `load -- --help` lists its own; with `--address`, `--key` and `--account` it drives an exchange
//! elsewhere.
//!
//! # How
//!
//! A [`workload`] is a list of commands made in advance from a seed by a shadow exchange, and after the
//! clock stops the run must have done what the shadow did: so many accepted, cancelled, traded. An empty
//! loop cannot pass. Books are made, cloned and dropped outside the clock. The flows are 60 % adds, 35 %
//! cancels by order id, 5 % orders that take about five resting ones each, from 10,000 funded accounts with
//! a session each: `balanced` (50,000 live orders), `hot` (1,000) and `deep` (900,000). Further ones send
//! the messages of bare flows.
//!
//! A bare flow ([`flows`], described in `FLOWS.md`) is a list of 24-byte messages, made in advance from a
//! seed by a simple book that knows every answer. Each book gets them in batches of 256 and appends its
//! reports to one list that is read and emptied after each batch; `--batch 1` forbids looking ahead. Books
//! are made and filled outside the clock, which is the thread's own CPU time, since machines are shared.
//! Before a book is measured all its reports are compared with the known ones. `tests/books.rs` does the
//! same message by message.
//!
//! `load` is an open loop. One thread keeps a fixed schedule and never waits for an answer; message `k`
//! is due at `start + k / rate` whatever happened to those before it, and its latency counts from then,
//! so a stall is charged to everything that had to wait behind it. Nothing is corrected on top of that.
//! How late the sending thread itself woke up is printed beside it and lies inside the latencies.
//! An answer is the session event that the exchange sends once the command is durable and its follower
//! agrees. Every second message cancels; one order in twenty takes liquidity when several accounts play.
//!
//! # What is not measured
//!
//! A network: load generator and exchange share one machine, and in process also its cores, so the
//! generator's own work is inside the figures. TLS, which a proxy in front would do. Subscribers: nobody
//! listens to market data during `load`. More than one contract. Replication. The long run: segments
//! far into a disk, weeks of archive. Results of `journal` and `load` are those of the disk below the
//! temporary folder (`TMPDIR`); compare them by the ratio to the raw loop that is printed with them.
//! That loop overwrites one file for ever; the journal also hashes, and writes each coming segment
//! full of zeros ahead of itself, which in the saturated figure is a second byte for every byte.

pub mod books;
pub mod flows;
pub mod report;
pub mod workload;
