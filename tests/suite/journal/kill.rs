//! A process is killed while it writes; what it had said was durable is there afterwards.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::kit::*;
use engine::journal::*;

const DIR: &str = "JOURNAL_KILL_DIR";
const BACKEND: &str = "JOURNAL_KILL_BACKEND";

/// Not a test by itself: the process that [`killed`] starts and kills. Says each durable number.
#[test]
#[ignore = "started by the other tests as a process of its own"]
fn writes_until_killed() {
    let dir = PathBuf::from(std::env::var(DIR).unwrap());
    let io = if std::env::var(BACKEND).unwrap() == "uring" {
        IoChoice::Uring
    } else {
        IoChoice::Plain
    };
    let settings = Settings {
        segment_bytes: 1024 * 1024,
        io,
        ..Settings::new(dir, EXCHANGE)
    };
    let (journal, _, _) = reopen(settings).unwrap();
    let mut next = journal.next_seq();
    let (feeder, inbox) = inbox(64);
    let thread = spawn(journal, inbox, |entries: Vec<Record>| {
        let last = entries.last().unwrap();
        let told = last.first_seq + u64::from(last.count) - 1;
        std::io::stdout()
            .write_all(format!("\ntold {told}\n").as_bytes())
            .unwrap();
    });
    while !thread.is_finished() {
        let record = records(next, [next as usize * 131 % 9000]).remove(0);
        if feeder.push(record).is_ok() {
            next += 1;
        } else {
            std::thread::yield_now();
        }
    }
    panic!("the journal ended by itself");
}

fn killed(backend: &str) {
    let dir = Dir::new();
    let mut told = 0;
    for round in 0..15 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "journal::kill::writes_until_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(DIR, &dir.0)
            .env(BACKEND, backend)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut seen = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let Some(seq) = line
                .unwrap()
                .strip_prefix("told ")
                .map(|seq| seq.parse().unwrap_or(0))
            else {
                continue;
            };
            told = told.max(seq);
            seen += 1;
            if seen == 3 + round * 4 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let (_, report, found) = reopen(dir.settings(IoChoice::Plain)).unwrap();
        assert!(
            report.last_seq >= told,
            "told {told}, found {}",
            report.last_seq
        );
        assert_eq!(found.len() as u64, report.last_seq);
        for (record, seq) in found.iter().zip(1..) {
            assert_eq!(*record, records(seq, [seq as usize * 131 % 9000])[0]);
        }
    }
    assert!(told > 15);
}

#[test]
fn plain() {
    killed("plain");
}

#[test]
fn uring() {
    match UringIo::new() {
        Ok(_) => killed("uring"),
        Err(error) => println!("skipped: io_uring cannot be had: {error}"),
    }
}
