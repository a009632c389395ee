//! Snapshot files on a real disk, and what becomes of damaged ones.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
};

use engine::{
    command::Stamped,
    exchange::Exchange,
    journal::{self, Entry, IoChoice, Position, RealDisk, Settings},
    record::{self, Record, Results},
    snapshots::{self, Flaw, Found, SnapshotError, keep, newest_valid, write},
};
use tests::{generator::Features, streams};

const EXCHANGE: u64 = 0xE0;
const COMMANDS: usize = 600;
pub(super) const ANNEX: &[u8] = b"what the gateway remembers";

/// A folder that goes away with the value.
pub(super) struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("snapshots-{test}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    pub(super) fn dir(&self) -> PathBuf {
        snapshots::beside(&self.journal())
    }

    pub(super) fn path(&self, seq: u64) -> PathBuf {
        self.dir().join(format!("snapshot-{seq:020}.snap"))
    }

    fn names(&self) -> Vec<String> {
        let files = fs::read_dir(self.dir()).expect("a folder");
        let name = |file: fs::DirEntry| file.file_name().to_string_lossy().into_owned();
        let mut names: Vec<_> = files.flatten().map(name).collect();
        names.sort();
        names
    }

    pub(super) fn newest(&self) -> Found {
        newest_valid(&RealDisk, &self.dir(), EXCHANGE, u64::MAX).expect("a folder that can be read")
    }
}

/// A command in a block of its own.
struct One(Record);

impl Entry for One {
    fn first_seq(&self) -> u64 {
        self.0.stamped.seq
    }

    fn count(&self) -> u32 {
        1
    }

    fn encode(&mut self, out: &mut Vec<u8>) {
        record::write(&self.0.stamped, &self.0.results, out);
    }
}

/// A journal of a stream, the states and places after some of its commands, and the last digest.
pub(super) struct Story {
    pub(super) folder: Folder,
    pub(super) moments: Vec<(Exchange, Position)>,
    end: [u8; 32],
}

/// Commands after which a snapshot can be written.
const MOMENTS: [u64; 3] = [200, 350, 500];

pub(super) fn story(test: &str) -> Story {
    let folder = Folder::new(test);
    let stream = streams::record(3, Features::ALL, COMMANDS);
    write_journal(&folder.journal(), &stream);
    let mut exchange = Exchange::new();
    let mut moments = Vec::new();
    journal::scan(&folder.journal(), |view| {
        apply(&mut exchange, view.payload, view.count)?;
        if view.count > 0 && MOMENTS.contains(&view.first_seq) {
            moments.push((exchange.clone(), view.after.clone()));
        }
        Ok(())
    })
    .expect("a whole journal");
    Story {
        folder,
        moments,
        end: exchange.digest(),
    }
}

fn write_journal(dir: &Path, stream: &[Stamped]) {
    let settings = Settings {
        segment_bytes: 1 << 20,
        io: IoChoice::Plain,
        ..Settings::new(dir, EXCHANGE)
    };
    let (journal, _) = journal::open(settings, |_| Ok(())).expect("a new folder");
    let (feeder, inbox) = journal::inbox(4);
    let (out, durable) = mpsc::channel();
    let thread = journal::spawn(journal, inbox, move |entries: Vec<One>| {
        out.send(entries.len()).expect("somebody listens");
    });
    for stamped in stream {
        let record = Record {
            stamped: stamped.clone(),
            results: Results::default(),
        };
        assert!(feeder.push(One(record)).is_ok());
        assert_eq!(durable.recv(), Ok(1));
    }
    feeder.close();
    thread.join().expect("it ends").expect("it is written");
}

fn apply(exchange: &mut Exchange, payload: &[u8], count: u32) -> Result<(), String> {
    for record in record::decode(payload, count)? {
        exchange.apply(&record.stamped, &mut Vec::new());
    }
    Ok(())
}

impl Story {
    fn write_all(&self) {
        for (exchange, position) in &self.moments {
            let written = write(&RealDisk, &self.folder.dir(), exchange, position, ANNEX);
            let written = written.expect("a disk with room");
            assert_eq!(written.path, self.folder.path(exchange.seq()));
            assert_eq!(written.digest, exchange.digest());
            let length = fs::metadata(&written.path).expect("it is there").len();
            assert_eq!(written.bytes, length);
        }
    }

    /// What loading now leads to: from the snapshot of this command, and the tail of the journal.
    pub(super) fn expect(&self, seq: u64, rejected: usize) -> Found {
        let found = self.folder.newest();
        let loaded = found.loaded.as_ref().expect("a snapshot");
        assert_eq!(
            (loaded.exchange.seq(), found.rejected.len()),
            (seq, rejected)
        );
        assert_eq!(loaded.exchange.digest(), loaded.digest);
        let mut exchange = loaded.exchange.clone();
        let (dir, from) = (self.folder.journal(), Some(&loaded.position));
        journal::scan_from(&RealDisk, &dir, from, |view| {
            apply(&mut exchange, view.payload, view.count)
        })
        .expect("the tail");
        assert_eq!(exchange.seq(), COMMANDS as u64);
        assert_eq!(exchange.digest(), self.end, "the same end by a shorter way");
        found
    }

    /// Changes the newest snapshot's bytes.
    fn spoil(&self, how: impl FnOnce(&mut Vec<u8>)) {
        let path = self.folder.path(MOMENTS[2]);
        let mut bytes = fs::read(&path).expect("it is there");
        how(&mut bytes);
        fs::write(&path, bytes).expect("it can be written");
    }
}

/// Makes a header's checksum right again.
fn reseal(bytes: &mut [u8]) {
    let sum = crc32c::crc32c(&bytes[..508]);
    bytes[508..512].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn the_newest_snapshot_and_the_tail_lead_to_the_same_state() {
    let story = story("tail");
    let nothing = story.folder.newest();
    assert!(nothing.loaded.is_none() && nothing.rejected.is_empty());
    story.write_all();
    story.expect(500, 0);
    let names = MOMENTS.map(|seq| format!("snapshot-{seq:020}.snap"));
    assert_eq!(story.folder.names(), names, "nothing half-made is left");
}

#[test]
fn a_state_of_another_moment_than_its_place_is_not_written() {
    let story = story("step");
    let (exchange, position) = (&story.moments[0].0, &story.moments[1].1);
    let error =
        write(&RealDisk, &story.folder.dir(), exchange, position, ANNEX).expect_err("refused");
    assert!(
        matches!(
            error,
            SnapshotError::OutOfStep {
                seq: 200,
                place: 350
            }
        ),
        "{error}"
    );
}

#[test]
fn a_damaged_newest_snapshot_is_passed_over_and_named() {
    type Spoil = (&'static str, fn(&mut Vec<u8>), &'static str);
    let ways: [Spoil; 9] = [
        (
            "flipped",
            |bytes| bytes[5_000] ^= 16,
            "does not agree with its hash",
        ),
        (
            "last",
            |bytes| *bytes.last_mut().expect("a byte") ^= 1,
            "agree with its hash",
        ),
        (
            "head",
            |bytes| bytes[17] ^= 1,
            "header does not agree with its checksum",
        ),
        (
            "mark",
            |bytes| bytes[0] = b'X',
            "does not begin with the snapshots' mark",
        ),
        (
            "cut",
            |bytes| bytes.truncate(5_000),
            "has 5000 bytes, its header asks for",
        ),
        ("longer", |bytes| bytes.push(0), "its header asks for"),
        (
            "short",
            |bytes| bytes.truncate(100),
            "has 100 bytes, fewer than a header",
        ),
        ("empty", Vec::clear, "has 0 bytes, fewer than a header"),
        (
            "zeros",
            |bytes| bytes.fill(0),
            "does not begin with the snapshots' mark",
        ),
    ];
    let story = story("damaged");
    story.write_all();
    let whole = fs::read(story.folder.path(500)).expect("it is there");
    for (way, how, words) in ways {
        story.spoil(how);
        let found = story.expect(350, 1);
        let rejected = &found.rejected[0];
        assert_eq!(rejected.path, story.folder.path(500), "{way}");
        let flaw = rejected.flaw.to_string();
        assert!(flaw.contains(words), "{way}: {flaw}");
        fs::write(story.folder.path(500), &whole).expect("it can be written");
    }
    story.expect(500, 0);
}

#[test]
fn a_half_made_snapshot_is_none() {
    let story = story("half");
    story.write_all();
    let newest = story.folder.path(500);
    // Killed before the rename.
    fs::rename(&newest, newest.with_extension("tmp")).expect("renamed");
    story.expect(350, 0);
    // Killed behind it, and the disk had the name but not all of the bytes.
    let bytes = fs::read(newest.with_extension("tmp")).expect("it is there");
    let mut half = bytes.clone();
    half[bytes.len() / 2..].fill(0);
    fs::write(&newest, half).expect("written");
    let found = story.expect(350, 1);
    assert!(matches!(found.rejected[0].flaw, Flaw::StateHash));
}

#[test]
fn a_snapshot_of_another_exchange_or_under_another_name_is_passed_over() {
    let story = story("foreign");
    story.write_all();
    story.spoil(|bytes| {
        // In header and place alike.
        bytes[8] = 0xE1;
        bytes[112] = 0xE1;
        reseal(bytes);
    });
    let found = story.expect(350, 1);
    let flaw = found.rejected[0].flaw.to_string();
    assert_eq!(flaw, "it belongs to exchange 0xe1, not to 0xe0");
    let copy = story.folder.path(999);
    fs::copy(story.folder.path(350), &copy).expect("copied");
    let found = story.expect(350, 2);
    assert_eq!(found.rejected[0].path, copy);
    let flaw = found.rejected[0].flaw.to_string();
    assert!(
        flaw.contains("snapshot-00000000000000000350.snap"),
        "{flaw}"
    );
}

#[test]
fn a_snapshot_of_a_newer_version_is_refused_by_name_unless_an_older_one_can_be_used() {
    let story = story("newer");
    story.write_all();
    story.spoil(|bytes| {
        bytes[4] += 1;
        reseal(bytes);
    });
    let found = story.expect(350, 1);
    assert!(
        found.rejected[0].flaw.is_newer(),
        "{}",
        found.rejected[0].flaw
    );
    // Nothing else can be used.
    fs::remove_file(story.folder.path(200)).expect("removed");
    fs::write(story.folder.path(350), b"").expect("emptied");
    let error =
        newest_valid(&RealDisk, &story.folder.dir(), EXCHANGE, u64::MAX).expect_err("refused");
    let words = error.to_string();
    assert!(matches!(error, SnapshotError::Newer { .. }), "{words}");
    for part in [
        "00500.snap",
        &format!(
            "version {}, this program reads version {}",
            engine::snapshots::VERSION + 1,
            engine::snapshots::VERSION
        ),
        "Start the program",
    ] {
        assert!(words.contains(part), "{words}");
    }
}

#[test]
fn only_the_newest_whole_snapshots_are_kept() {
    let story = story("keep");
    story.write_all();
    let (dir, keep) = (story.folder.dir(), |count| {
        keep(&RealDisk, &story.folder.dir(), EXCHANGE, count)
            .expect("a folder")
            .len()
    });
    assert_eq!(keep(5), 0);
    assert_eq!(keep(3), 0);
    // A damaged one does not count, and while there are too few whole ones nothing goes.
    let whole = fs::read(story.folder.path(500)).expect("it is there");
    story.spoil(|bytes| bytes.truncate(700));
    assert_eq!(keep(3), 0);
    fs::write(dir.join("snapshot-00000000000000000600.tmp"), b"half").expect("written");
    fs::write(dir.join("notes.txt"), b"mine").expect("written");
    assert_eq!(keep(1), 2, "the half-made one and 200");
    assert_eq!(
        story.folder.names().len(),
        3,
        "350, the damaged newer one, the notes"
    );
    story.expect(350, 1);
    // What an exchange of a later version wrote is not ours to remove.
    fs::write(story.folder.path(500), whole).expect("written");
    let mut newer = fs::read(story.folder.path(350)).expect("it is there");
    newer[4] += 1;
    reseal(&mut newer);
    fs::write(story.folder.path(350), newer).expect("written");
    assert_eq!(keep(1), 0);
    fs::write(story.folder.path(350), b"nothing").expect("written");
    assert_eq!(keep(1), 1, "damage goes when it is old");
    story.expect(500, 0);
}
