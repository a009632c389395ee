//! Can people look into a journal? `hashpit journal verify`, `dump`, `replay`, and a reader in another
//! language that was written from `engine/JOURNAL.md` alone.
//!
//! The reader needs Python, but nothing beyond its standard library. Where there is none the test says so
//! and passes; under CI, or with `HASHPIT_PYTHON` naming an interpreter, it must run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::mpsc,
};

use engine::{
    exchange::Exchange,
    journal::{self, Entry, IoChoice, RealDisk, ScanReport, Settings},
    record::{self, Record, Results},
    snapshots,
};
use gateway::commands::journal::{Export, Exported, replay, verify};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use proto::{
    common::v1::Side,
    trading::v1::{SubmitOrderRequest, open_session_request},
};
use tests::{
    generator::Features,
    streams,
    venue::{Folder, Venue, limit},
};

const EXCHANGE: u64 = 0x1122_3344_5566_7788;
const COMMANDS: usize = 1_600;
const SEGMENT_BYTES: u64 = 512 << 10;

/// Some records in one journal entry.
struct Several(Vec<Record>);

impl Entry for Several {
    fn first_seq(&self) -> u64 {
        self.0.first().map_or(0, |record| record.stamped.seq)
    }

    fn count(&self) -> u32 {
        self.0.len() as u32
    }

    fn encode(&mut self, out: &mut Vec<u8>) {
        for record in &self.0 {
            record::write(&record.stamped, &record.results, out);
        }
    }
}

/// A stream of all kinds of commands with what they did.
fn history(commands: usize) -> Vec<Record> {
    let mut exchange = Exchange::new();
    let (mut events, mut scratch) = (Vec::new(), Vec::new());
    let stream = streams::record(3, Features::ALL, commands);
    let executed = stream.into_iter().map(|stamped| {
        events.clear();
        exchange.apply(&stamped, &mut events);
        let results = Results::of(&events, &mut scratch);
        Record { stamped, results }
    });
    executed.collect()
}

/// Appends records to the journal in a data folder, some in a block; opened anew each time, as after a
/// restart.
fn write(folder: &Path, history: &[Record]) {
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES,
        io: IoChoice::Plain,
        ..Settings::new(folder.join("journal"), EXCHANGE)
    };
    let (journal, _) = journal::open(settings, |_| Ok(())).expect("a folder that can be used");
    let (feeder, inbox) = journal::inbox(4);
    let (out, durable) = mpsc::channel();
    let thread = journal::spawn(journal, inbox, move |entries: Vec<Several>| {
        out.send(entries.len()).expect("somebody listens");
    });
    for (place, records) in history.chunks(9).enumerate() {
        // Blocks of one to nine records.
        for part in records.chunks(place % 9 + 1) {
            assert!(feeder.push(Several(part.to_vec())).is_ok());
            assert_eq!(durable.recv(), Ok(1));
        }
    }
    feeder.close();
    thread.join().expect("it ends").expect("it is written");
}

/// What this program finds in a journal.
#[derive(Default)]
struct Found {
    records: u64,
    fills: u64,
    refusals: u64,
    lots: i64,
    /// Segment, offset and payload bytes of each block.
    blocks: Vec<(PathBuf, u64, u64)>,
}

fn look(folder: &Path) -> (Found, ScanReport) {
    let mut found = Found::default();
    let report = journal::scan(&folder.join("journal"), |block| {
        for record in record::decode(block.payload, block.count)? {
            found.records += 1;
            found.fills += record.results.fills.len() as u64;
            found.refusals += record.results.refusals.len() as u64;
            let lots = record.results.fills.iter().map(|fill| fill.lots.0);
            found.lots += lots.sum::<i64>();
        }
        let bytes = block.payload.len() as u64;
        found
            .blocks
            .push((block.segment.to_owned(), block.offset, bytes));
        Ok(())
    });
    (found, report.expect("a whole journal"))
}

fn hex(bytes: &[u8]) -> String {
    gateway::commands::journal::hex(bytes)
}

/// An interpreter, if there is one.
fn python() -> Option<String> {
    let chosen = std::env::var("HASHPIT_PYTHON").ok();
    let must_run = chosen.is_some() || std::env::var("CI").is_ok();
    let python = chosen.unwrap_or_else(|| "python3".into());
    let version = Command::new(&python).arg("--version").output();
    let ready = version.is_ok_and(|out| out.status.success());
    if !ready {
        assert!(!must_run, "{python} does not run");
        println!("NOT RUN: there is no {python}");
    }
    ready.then_some(python)
}

fn read_with(python: &str, folder: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/journal_reader.py");
    let mut reader = Command::new(python);
    reader.arg("-B").arg(script).arg(folder.join("journal"));
    reader.output().expect("python runs")
}

/// The Python reader and this program find the same.
fn agree(python: &str, folder: &Path) -> Found {
    let (found, report) = look(folder);
    let output = read_with(python, folder);
    let (text, complaint) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{complaint}");
    println!("{}", text.trim());
    for (name, value) in [
        ("exchange", report.exchange_id),
        ("segments", report.segments),
        ("blocks", report.blocks),
        ("records", found.records),
        ("fills", found.fills),
        ("refusals", found.refusals),
        ("lots", found.lots as u64),
        ("last_seq", report.last_seq),
        ("durable_seq", report.durable_seq),
        ("epoch", report.epoch),
    ] {
        let part = format!("\"{name}\": {value}");
        let ends = [format!("{part},"), format!("{part}}}")];
        assert!(ends.iter().any(|end| text.contains(end)), "{part}: {text}");
    }
    for part in [
        format!("\"chain\": \"{}\"", hex(&report.chain)),
        "\"torn\": null".into(),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    let verified = verify(folder).expect("the journal is good");
    assert_eq!(
        (verified.blocks, verified.chain, verified.commands),
        (report.blocks, report.chain, report.last_seq)
    );
    assert_eq!(
        (verified.executed, verified.fills, verified.refusals),
        (found.records, found.fills, found.refusals)
    );
    found
}

fn flip(segment: &Path, at: u64) {
    let mut bytes = fs::read(segment).expect("a segment");
    bytes[at as usize] ^= 0x10;
    fs::write(segment, bytes).expect("a segment");
}

#[test]
fn a_reader_in_another_language_finds_the_same_and_refuses_damage() {
    let Some(python) = python() else { return };
    let folder = Folder::new("stranger");
    let history = history(COMMANDS);
    write(folder.path(), &history[..1_000]);
    // A write that a crash cut short: the next start cuts it off, and the epoch is one higher.
    let (_, report) = look(folder.path());
    let mut bytes = fs::read(&report.segment).expect("a segment");
    bytes[report.offset as usize..][..5_000].fill(b'?');
    fs::write(&report.segment, bytes).expect("a segment");
    let torn = read_with(&python, folder.path());
    let text = String::from_utf8_lossy(&torn.stdout);
    assert!(
        torn.status.success() && text.contains("\"torn\": {"),
        "{text}"
    );
    write(folder.path(), &history[1_000..]);

    let found = agree(&python, folder.path());
    assert_eq!(found.records, COMMANDS as u64);
    assert!(found.fills > 100 && found.refusals > 100, "it has both");
    let last = found.blocks.last().expect("blocks").0.clone();
    let last = last
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    assert_ne!(last, "00000001.seg", "several segments");

    // An inner block of a finished segment, and one of the segment that was written last.
    let inner = |end: &str| {
        let blocks = found.blocks.iter();
        let mut inner = blocks.filter(|(segment, _, bytes)| segment.ends_with(end) && *bytes > 100);
        inner.nth(3).expect("a block with records").clone()
    };
    for (end, word) in [
        ("00000001.seg", "had been complete"),
        (last, "had been durable"),
    ] {
        let (segment, offset, bytes) = inner(end);
        let padding = (offset + 128 + bytes).next_multiple_of(4_096) - 1;
        for place in [offset + 50, offset + 128 + 60, padding] {
            flip(&segment, place);
            let output = read_with(&python, folder.path());
            flip(&segment, place);
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(65), "{complaint}");
            for part in [end, &format!("byte {offset}:"), word] {
                assert!(complaint.contains(part), "{part} in {complaint}");
            }
        }
    }
    agree(&python, folder.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_reads_the_journal_of_a_running_exchange() {
    let Some(python) = python() else { return };
    let folder = Folder::new("stranger-live");
    let venue = Venue::start(folder.path()).await;
    let contract = venue.forward().await;
    let mut maker = venue.session("maker-1", "quoter", 60_000).await;
    for id in 1..=30 {
        let order = limit(id, &contract, Side::Buy, 2, 42_000 + id as i64);
        maker
            .send(open_session_request::Command::NewOrder(order))
            .await
            .expect("sent");
    }
    let mut last = 0;
    while last < 30 {
        last = maker.next().await.expect("acks").event_seq.max(last);
    }
    let taker = venue.client("taker-1").await;
    let mut trading = taker.trading();
    for (id, lots) in [(1, 7), (2, 1), (3, 9)] {
        let request = SubmitOrderRequest {
            account_id: venue.account("taker-1"),
            order: Some(limit(id, &contract, Side::Sell, lots, 42_001)),
            ..Default::default()
        };
        let answer = trading.submit_order(request).await;
        answer.expect("it trades");
    }
    // While it runs: whatever is durable by now, and all of it good.
    let output = read_with(&python, folder.path());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("\"fills\": "),
        "{text}"
    );
    let live = replay(folder.path(), 1, false).expect("the first command is there");
    assert_eq!(live.exchange.seq(), 1);
    drop(trading);
    drop(taker);
    venue.running.stop().await;
    let found = agree(&python, folder.path());
    // 7 lots against orders of 2 make 4 trades, the 1 lot that is left of the last another, 9 lots 5.
    assert_eq!(found.lots, 2 * 17, "each lot counts on both sides");
    assert!(found.fills >= 2 * 10, "{} fills", found.fills);
}

#[test]
fn replay_stops_after_any_command_and_shows_the_books() {
    let folder = Folder::new("replay-until");
    let history = history(700);
    write(folder.path(), &history);
    let mut exchange = Exchange::new();
    for record in &history {
        exchange.apply(&record.stamped, &mut Vec::new());
        let seq = exchange.seq();
        if [1, 2, 333, 500, 699, 700].contains(&seq) {
            // By its data folder, and by its journal folder.
            for place in [folder.path().to_owned(), folder.path().join("journal")] {
                let moment = replay(&place, seq, false).expect("a moment in the journal");
                assert_eq!(moment.exchange.digest(), exchange.digest(), "after {seq}");
                assert_eq!((moment.executed, moment.began), (seq, None));
            }
        }
    }
    let refused = |until| format!("{:#}", replay(folder.path(), until, false).unwrap_err());
    assert_eq!(refused(0), "--until 0: positions begin at 1");
    assert_eq!(
        refused(701),
        "--until 701 is beyond the end: the last position in the journal is 700"
    );
    let text = replay(folder.path(), 700, true).expect("the end").text();
    let digest = hex(&exchange.digest());
    for part in [
        "position      700\n",
        &format!("open orders   {}\n", exchange.orders().live()),
        &format!("state digest  {digest}\n"),
        "available",
        "open buy",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

/// Segments are retired when snapshots make them needless; what is left is verified from the oldest snapshot
/// that is whole.
#[test]
fn a_journal_without_its_beginning_is_verified_from_the_oldest_whole_snapshot() {
    let folder = Folder::new("retired");
    let history = history(COMMANDS);
    write(folder.path(), &history);
    let dir = folder.path().join("journal");
    let (mut exchange, mut moments) = (Exchange::new(), Vec::new());
    journal::scan(&dir, |block| {
        for record in record::decode(block.payload, block.count)? {
            exchange.apply(&record.stamped, &mut Vec::new());
        }
        if block.segment.ends_with("00000002.seg") && block.count > 0 {
            moments.push((exchange.clone(), block.after.clone()));
        }
        Ok(())
    })
    .expect("a whole journal");
    let whole = verify(folder.path()).expect("from the first command");
    assert!(whole.began.is_none());
    let beside = snapshots::beside(&dir);
    let mut written = Vec::new();
    for place in [2, moments.len() / 2, moments.len() - 2] {
        let (exchange, position) = &moments[place];
        let snapshot = snapshots::write(&RealDisk, &beside, exchange, position, b"");
        written.push(snapshot.expect("a disk with room"));
    }
    let retired = journal::retire(&RealDisk, &dir, 2, None).expect("a segment less");
    assert_eq!(retired.len(), 1);
    if let Some(python) = python() {
        let output = read_with(&python, folder.path());
        let text = String::from_utf8_lossy(&output.stdout);
        for part in [hex(&whole.chain), format!("\"last_seq\": {COMMANDS},")] {
            assert!(text.contains(&part), "{part}: {text}");
        }
    }

    let check = |began: &snapshots::Written| {
        let found = verify(folder.path()).expect("from a snapshot");
        assert_eq!(found.began, Some((began.path.clone(), began.seq)));
        assert_eq!(found.executed, COMMANDS as u64 - began.seq);
        let ends = (found.commands, found.digest, found.chain, found.blocks);
        assert_eq!(
            ends,
            (whole.commands, whole.digest, whole.chain, whole.blocks)
        );
    };
    check(&written[0]);
    // The newest at or before is where a replay begins.
    let until = written[2].seq - 1;
    let moment = replay(folder.path(), until, false).expect("from a snapshot");
    assert_eq!(
        moment.began,
        Some((written[1].path.clone(), written[1].seq))
    );
    assert_eq!(moment.executed, until - written[1].seq);
    let exactly = replay(folder.path(), written[1].seq, false).expect("nothing to execute");
    assert_eq!(
        (exactly.executed, exactly.exchange.digest()),
        (0, written[1].digest)
    );
    let gone = replay(folder.path(), 5, false).unwrap_err().to_string();
    assert!(
        gone.contains("position 5 is no longer in the journal: the oldest"),
        "{gone}"
    );
    let gone = replay(folder.path(), until, true).unwrap_err().to_string();
    assert!(gone.contains("no longer reaches back"), "{gone}");

    // The oldest one rots: the next is taken. All rot: refused, in words.
    flip(&written[0].path, 600);
    check(&written[1]);
    flip(&written[1].path, 600);
    flip(&written[2].path, 600);
    let refused = verify(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("no whole snapshot"), "{refused}");
}

/// All rows of a table, as (column, value).
fn rows(file: &Path) -> Vec<Vec<(String, Field)>> {
    let reader = fs::File::open(file).expect("a file");
    let reader = SerializedFileReader::new(reader).expect("a Parquet file");
    let rows = reader.get_row_iter(None).expect("rows");
    let rows = rows.map(|row| row.expect("a row").into_columns());
    rows.collect()
}

fn number(row: &[(String, Field)], name: &str) -> i64 {
    match &row.iter().find(|(column, _)| column == name).expect(name).1 {
        Field::Long(value) => *value,
        Field::ULong(value) => value.cast_signed(),
        Field::Null => 0,
        other => panic!("{name} is {other:?}"),
    }
}

fn word<'a>(row: &'a [(String, Field)], name: &str) -> &'a str {
    match &row.iter().find(|(column, _)| column == name).expect(name).1 {
        Field::Str(word) => word,
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn exported_tables_hold_every_command_fill_and_refusal() {
    let folder = Folder::new("export");
    let history = history(COMMANDS);
    write(folder.path(), &history);
    let out = folder.path().join("tables");
    let export = |from, to, force| Export {
        folder: folder.path().to_owned(),
        out: out.clone(),
        from,
        to,
        force,
    };
    let exported = export(1, u64::MAX, false).write().expect("three files");
    let fills: Vec<_> = history
        .iter()
        .flat_map(|record| record.results.fills.iter().map(move |fill| (record, fill)))
        .collect();
    let refusals: Vec<_> = history
        .iter()
        .flat_map(|record| record.results.refusals.iter().map(move |no| (record, no)))
        .collect();
    let expected = Exported {
        commands: COMMANDS as u64,
        fills: fills.len() as u64,
        refusals: refusals.len() as u64,
    };
    assert_eq!(exported, expected);

    let commands = rows(&out.join("commands.parquet"));
    assert_eq!(commands.len(), COMMANDS);
    for (row, record) in commands.iter().zip(&history) {
        let stamped = &record.stamped;
        assert_eq!(number(row, "seq"), stamped.seq as i64);
        assert_eq!(number(row, "time"), stamped.at.0);
        let kind = word(row, "kind");
        let name = format!("{:?}", stamped.command);
        assert!(name.starts_with(kind), "{kind}: {name}");
        if let engine::command::Command::Place(place) = &stamped.command {
            let origin = &place.origin;
            let named = ["account", "session", "contract", "client_order_id"]
                .map(|column| number(row, column));
            let asked = [
                origin.account.0.into(),
                origin.session.0.into(),
                place.order.instrument.0.into(),
                place.order.client_order_id.cast_signed(),
            ];
            assert_eq!(named, asked);
        }
    }
    let table = rows(&out.join("fills.parquet"));
    assert_eq!(table.len(), fills.len());
    for (row, (record, fill)) in table.iter().zip(&fills) {
        let told = ["seq", "trade", "account", "order", "contract"].map(|name| number(row, name));
        let kept = [
            record.stamped.seq as i64,
            fill.trade.0 as i64,
            fill.account.0.into(),
            fill.order.0 as i64,
            fill.instrument.0.into(),
        ];
        assert_eq!(told, kept);
        let told = ["price_ticks", "lots", "fee"].map(|name| number(row, name));
        assert_eq!(told, [fill.price.0, fill.lots.0, fill.fee.0]);
    }
    let sum: i64 = table.iter().map(|row| number(row, "lots")).sum();
    assert!(sum > 0);
    assert_eq!(sum, fills.iter().map(|(_, fill)| fill.lots.0).sum::<i64>());
    let table = rows(&out.join("refusals.parquet"));
    assert_eq!(table.len(), refusals.len());
    for (row, (record, problem)) in table.iter().zip(&refusals) {
        let told = ["seq", "limit", "actual"].map(|name| number(row, name));
        assert_eq!(
            told,
            [record.stamped.seq as i64, problem.limit, problem.actual]
        );
        assert_eq!(word(row, "reason"), format!("{:?}", problem.reason));
        assert_eq!(word(row, "field"), format!("{:?}", problem.field));
    }

    // What is there stays, unless it is told to go; and a part is a part.
    let refused = format!("{:#}", export(1, 9, false).write().unwrap_err());
    assert!(
        refused.contains("commands.parquet is there already"),
        "{refused}"
    );
    assert_eq!(rows(&out.join("commands.parquet")).len(), COMMANDS);
    let part = export(500, 599, true).write().expect("replaced");
    let inside = |seq: u64| (500..=599).contains(&seq);
    assert_eq!(part.commands, 100);
    let count = fills
        .iter()
        .filter(|(record, _)| inside(record.stamped.seq));
    assert_eq!(part.fills, count.count() as u64);
    let table = rows(&out.join("commands.parquet"));
    let ends = [&table[0], &table[99]].map(|row| number(row, "seq"));
    assert_eq!(ends, [500, 599]);
    let beyond = format!("{:#}", export(9_999, 10_000, true).write().unwrap_err());
    assert!(
        beyond.contains("position 9999 is not in the journal: its last is 1600"),
        "{beyond}"
    );
    let files = fs::read_dir(&out).expect("the folder");
    assert_eq!(files.count(), 3, "nothing half made stays behind");
    assert_eq!(rows(&out.join("commands.parquet")).len(), 100);
}
