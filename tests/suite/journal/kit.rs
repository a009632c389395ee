//! What the journal's tests share: folders, entries, and a disk that fails on purpose.
#![allow(
    unreachable_pub,
    reason = "shared by several test binaries, no crate's interface"
)]
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use engine::journal::*;

pub const EXCHANGE: u64 = 0xE0;

/// An empty folder that goes away with the value.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("journal-{}-{number}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub fn copy(&self) -> Self {
        let copy = Self::new();
        for item in fs::read_dir(&self.0).unwrap() {
            let path = item.unwrap().path();
            fs::copy(&path, copy.0.join(path.file_name().unwrap())).unwrap();
        }
        copy
    }

    pub fn settings(&self, io: IoChoice) -> Settings {
        Settings {
            segment_bytes: 1024 * 1024,
            io,
            ..Settings::new(&self.0, EXCHANGE)
        }
    }

    pub fn segment(&self, id: u64) -> PathBuf {
        self.0.join(format!("{id:08}.seg"))
    }

    /// Every segment's bytes, in order.
    pub fn bytes(&self) -> Vec<Vec<u8>> {
        (1..)
            .map_while(|id| fs::read(self.segment(id)).ok())
            .collect()
    }

    /// Bytes of the segments up to the last one that holds anything.
    pub fn used_bytes(&self) -> Vec<Vec<u8>> {
        let mut bytes = self.bytes();
        while bytes
            .last()
            .is_some_and(|last| last.iter().all(|byte| *byte == 0))
        {
            bytes.pop();
        }
        bytes
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub first_seq: u64,
    pub count: u32,
    pub bytes: Vec<u8>,
}

impl Entry for Record {
    fn first_seq(&self) -> u64 {
        self.first_seq
    }
    fn count(&self) -> u32 {
        self.count
    }
    fn encode(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.bytes);
    }
}

/// Records of these sizes, distinguishable, from `first_seq` on; every third covers two numbers.
pub fn records(first_seq: u64, sizes: impl IntoIterator<Item = usize>) -> Vec<Record> {
    let mut next = first_seq;
    let make = |(place, size): (usize, usize)| {
        let count = if place % 3 == 2 { 2 } else { 1 };
        let bytes = (0..size)
            .map(|at| (at as u64 * 31 + next * 7 + 1) as u8)
            .collect();
        next += u64::from(count);
        Record {
            first_seq: next - u64::from(count),
            count,
            bytes,
        }
    };
    sizes.into_iter().enumerate().map(make).collect()
}

/// Takes a payload apart again.
pub fn decode(mut payload: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    while !payload.is_empty() {
        let length = u32::from_le_bytes(payload[..4].try_into().unwrap()) as usize;
        let first_seq = u64::from_le_bytes(payload[4..12].try_into().unwrap());
        let count = u32::from_le_bytes(payload[12..16].try_into().unwrap());
        found.push(Record {
            first_seq,
            count,
            bytes: payload[16..16 + length].to_vec(),
        });
        payload = &payload[16 + length..];
    }
    found
}

/// Opens and answers every record in the journal.
pub fn reopen(settings: Settings) -> Result<(Journal, RecoveryReport, Vec<Record>), JournalError> {
    let mut found = Vec::new();
    let (journal, report) = open(settings, |view| {
        found.extend(decode(view.payload));
        Ok(())
    })?;
    Ok((journal, report, found))
}

/// Writes one block per record, each durable before the next, and closes cleanly.
pub fn write_each(settings: Settings, records: &[Record]) {
    let (journal, _, _) = reopen(settings).unwrap();
    let (feeder, inbox) = inbox(4);
    let (out, durable) = mpsc::channel();
    let thread = spawn(journal, inbox, move |entries| out.send(entries).unwrap());
    for record in records {
        feeder.push(record.clone()).unwrap();
        assert_eq!(durable.recv().unwrap(), std::slice::from_ref(record));
    }
    feeder.close();
    thread.join().unwrap().unwrap();
}

/// Where a block lies.
#[derive(Clone, Debug)]
pub struct Block {
    pub kind: Kind,
    pub segment: PathBuf,
    pub offset: u64,
    pub bytes: u64,
    pub payload: usize,
    pub first_seq: u64,
}

pub fn blocks(dir: &Dir) -> Vec<Block> {
    let mut found = Vec::new();
    scan(&dir.0, |view| {
        found.push(Block {
            kind: view.kind,
            segment: view.segment.to_owned(),
            offset: view.offset,
            bytes: (HEADER_BYTES + view.payload.len()).next_multiple_of(BLOCK_ALIGN) as u64,
            payload: view.payload.len(),
            first_seq: view.first_seq,
        });
        Ok(())
    })
    .unwrap();
    found
}

pub fn data_blocks(dir: &Dir) -> Vec<Block> {
    blocks(dir)
        .into_iter()
        .filter(|block| block.kind == Kind::Data)
        .collect()
}

/// Writes one block per record and takes away what follows the last: as if killed right there.
pub fn killed_after(records: &[Record]) -> Dir {
    let dir = Dir::new();
    write_each(dir.settings(IoChoice::Plain), records);
    let last = data_blocks(&dir).pop().unwrap();
    for block in blocks(&dir)
        .iter()
        .filter(|block| block.first_seq > last.first_seq)
    {
        zero(&block.segment, block.offset, block.bytes);
    }
    dir
}

pub fn write_at(path: &Path, offset: u64, bytes: &[u8]) {
    OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .write_all_at(bytes, offset)
        .unwrap();
}

pub fn zero(path: &Path, offset: u64, bytes: u64) {
    write_at(path, offset, &vec![0; bytes as usize]);
}

pub fn flip(path: &Path, offset: u64, bit: u64) {
    let mut byte = [0];
    let at = offset + bit / 8;
    File::open(path)
        .unwrap()
        .read_exact_at(&mut byte, at)
        .unwrap();
    write_at(path, at, &[byte[0] ^ (1 << (bit % 8))]);
}

/// The reason of a refusal; anything else fails the test.
pub fn reason<T: std::fmt::Debug>(result: Result<T, JournalError>) -> Reason {
    match result {
        Err(JournalError::Refused(refusal)) => refusal.reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub fn scan_only(dir: &Dir) -> Result<ScanReport, JournalError> {
    scan(&dir.0, |_| Ok(()))
}

/// A plain disk that fails one operation: at the `left`-th call of the chosen verb.
pub struct Failing {
    disk: PlainIo,
    fault: Fails,
    left: u64,
    failed: VecDeque<Done>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fails {
    Write,
    ShortWrite,
    Sync,
    NextSegment,
}

impl Failing {
    pub fn new(fault: Fails, left: u64) -> Self {
        Self {
            disk: PlainIo::new(),
            fault,
            left,
            failed: VecDeque::new(),
        }
    }

    fn now(&mut self, verbs: &[Fails]) -> bool {
        if !verbs.contains(&self.fault) {
            return false;
        }
        self.left = self.left.wrapping_sub(1);
        self.left == 0
    }
}

impl JournalIo for Failing {
    fn backend(&self) -> Backend {
        Backend::Other
    }

    fn waker(&self) -> Waker {
        self.disk.waker()
    }

    fn next_segment(&mut self, path: &Path) -> io::Result<()> {
        if self.now(&[Fails::NextSegment]) {
            return Err(io::Error::other("asked to fail"));
        }
        self.disk.next_segment(path)
    }

    fn write(&mut self, block_seq: u64, block: Buffer, offset: u64) {
        if self.now(&[Fails::Write, Fails::ShortWrite]) {
            let result = Err(if self.fault == Fails::ShortWrite {
                io::ErrorKind::WriteZero.into()
            } else {
                io::Error::other("asked to fail")
            });
            self.failed.push_back(Done::Write {
                block_seq,
                result,
                block,
            });
        } else {
            self.disk.write(block_seq, block, offset);
        }
    }

    fn sync(&mut self) {
        if self.now(&[Fails::Sync]) {
            let result = Err(io::Error::other("asked to fail"));
            self.failed.push_back(Done::Sync(result));
        } else {
            self.disk.sync();
        }
    }

    fn wait(&mut self, door: Option<&dyn Door>, limit: Option<Duration>) -> Woken {
        match self.failed.pop_front() {
            Some(done) => Woken::Done(done),
            None => self.disk.wait(door, limit),
        }
    }
}
