//! The same cases on every backend: what goes in comes out durable, in order, and is there again.

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use super::kit::*;
use engine::journal::*;

/// Sizes from nothing to the largest entry, enough to pass through several segments of 1 MiB.
fn sizes() -> Vec<usize> {
    let mut sizes = vec![
        0, 1, 3951, 3952, 3953, 64, 64, 64, 200_000, 100_000, 262_128, 262_129,
    ];
    sizes.extend([900_000, 10, 1024 * 1024 - 128 - 16, 5, 700_000]);
    sizes.extend((0..400).map(|place| place * 37 % 5000));
    sizes
}

fn conformance(io: IoChoice, backend: Backend) {
    let dir = Dir::new();
    let all = records(1, sizes());
    let mut told = Vec::new();
    for part in all.chunks(all.len() / 3 + 1) {
        let (journal, report, found) = reopen(dir.settings(io)).unwrap();
        assert_eq!(found, told, "a restart replays what was told");
        assert_eq!((report.epoch, report.cut), (1, None));
        assert_eq!(journal.next_seq(), part[0].first_seq);
        let (watermark, stats) = (journal.durable_watermark(), journal.stats());
        assert_eq!(watermark.load(Ordering::Acquire), report.last_seq);
        let (feeder, inbox) = inbox(64);
        let (out, durable) = mpsc::channel();
        let seen = journal.durable_watermark();
        let thread = spawn(journal, inbox, move |entries: Vec<Record>| {
            let last = entries.last().unwrap();
            assert!(seen.load(Ordering::Acquire) >= last.first_seq + u64::from(last.count) - 1);
            out.send(entries).unwrap();
        });
        for record in part {
            let mut entry = record.clone();
            while let Err(refused) = feeder.push(entry) {
                assert!(!feeder.has_ended());
                entry = refused;
                std::thread::yield_now();
            }
        }
        feeder.close();
        thread.join().unwrap().unwrap();
        assert!(feeder.has_ended());
        assert!(feeder.push(part[0].clone()).is_err());
        told.extend(durable.into_iter().flatten());
        let last = told.last().unwrap();
        assert_eq!(
            watermark.load(Ordering::Acquire),
            last.first_seq + u64::from(last.count) - 1
        );
        assert_eq!(stats.backend(), Some(backend));
        assert!((1..=stats.blocks()).contains(&stats.syncs()));
        assert!(stats.watermarks() >= 1);
    }
    assert_eq!(told, all);
    check_folder(&dir, &all);
}

/// The folder holds these records, `scan` and `open` agree, and neither changes anything.
fn check_folder(dir: &Dir, all: &[Record]) {
    let before = dir.bytes();
    assert!(before.len() >= 4, "several segments, the last ones waiting");
    let seen = scan_only(dir).unwrap();
    let (journal, report, found) = reopen(dir.settings(IoChoice::Auto)).unwrap();
    assert_eq!(found, all);
    assert_eq!(seen.torn, None);
    assert_eq!(seen.segments, before.len() as u64);
    assert_eq!(
        (
            seen.exchange_id,
            seen.blocks,
            seen.last_seq,
            seen.epoch,
            seen.chain,
            seen.offset
        ),
        (
            EXCHANGE,
            report.blocks,
            report.last_seq,
            report.epoch,
            report.chain,
            report.offset
        )
    );
    assert_eq!(seen.segment, dir.segment(report.segment_id));
    assert_eq!(
        seen.durable_seq, report.last_seq,
        "the last block is covered by a watermark"
    );
    assert!(
        dir.bytes() == before,
        "opening a sound journal changes nothing"
    );
    drop(journal);
    assert_eq!(blocks(dir).last().unwrap().kind, Kind::Watermark);
}

#[test]
fn plain() {
    conformance(IoChoice::Plain, Backend::Plain);
}

#[test]
fn uring() {
    match UringIo::new() {
        Ok(_) => {
            conformance(IoChoice::Uring, Backend::Uring);
            conformance(IoChoice::Auto, Backend::Uring);
        }
        Err(error) => println!("skipped: io_uring cannot be had: {error}"),
    }
}

#[test]
fn an_idle_journal_writes_one_watermark_and_no_more() {
    let dir = Dir::new();
    let (journal, _, _) = reopen(dir.settings(IoChoice::Auto)).unwrap();
    let stats = journal.stats();
    let (feeder, inbox) = inbox(4);
    let thread = spawn(journal, inbox, |_| {});
    for record in records(1, [10, 10]) {
        let before = stats.watermarks();
        feeder.push(record).unwrap();
        while stats.watermarks() == before {
            std::thread::yield_now();
        }
    }
    feeder.close();
    thread.join().unwrap().unwrap();
    assert_eq!((stats.blocks(), stats.watermarks()), (4, 2));
    let before = dir.bytes();
    for _ in 0..3 {
        write_each(dir.settings(IoChoice::Auto), &[]);
    }
    assert!(
        dir.bytes() == before,
        "starting and stopping does not grow the journal"
    );
}

#[test]
fn a_full_inbox_gives_the_entry_back() {
    let (feeder, inbox) = inbox(2);
    let three = records(1, [1, 2, 3]);
    assert_eq!(feeder.push(three[0].clone()), Ok(()));
    assert_eq!(feeder.push(three[1].clone()), Ok(()));
    assert_eq!(feeder.push(three[2].clone()), Err(three[2].clone()));
    drop(inbox);
    assert!(feeder.has_ended());
}

#[test]
fn what_is_ready_together_goes_into_one_block() {
    let dir = Dir::new();
    let (journal, _, _) = reopen(dir.settings(IoChoice::Auto)).unwrap();
    let (feeder, inbox) = inbox(100);
    let all = records(1, vec![5000; 100]);
    for record in &all {
        feeder.push(record.clone()).unwrap();
    }
    feeder.close();
    spawn(journal, inbox, |_| {}).join().unwrap().unwrap();
    let payloads: Vec<usize> = data_blocks(&dir)
        .iter()
        .map(|block| block.payload)
        .collect();
    assert_eq!(
        payloads,
        [52 * 5016, 48 * 5016],
        "as many as 256 KiB hold, then the rest"
    );
}

#[test]
fn an_entry_that_is_too_large_ends_the_thread_before_anything_is_written() {
    let dir = Dir::new();
    let (journal, _, _) = reopen(dir.settings(IoChoice::Auto)).unwrap();
    let limit = journal.entry_bytes_max();
    assert_eq!(
        limit,
        1024 * 1024 - HEADER_BYTES,
        "what fits into a segment of 1 MiB"
    );
    let before = dir.used_bytes();
    let (feeder, inbox) = inbox(4);
    for record in records(1, [10, limit - 15]) {
        feeder.push(record).unwrap();
    }
    let thread = spawn(journal, inbox, |_| panic!("nothing can be durable"));
    let error = thread.join().unwrap().unwrap_err();
    assert!(
        matches!(error, JournalError::EntryTooLarge { first_seq: 2, bytes, .. }
        if bytes == limit + 1)
    );
    assert!(dir.used_bytes() == before);
    assert!(feeder.has_ended());
}

#[test]
fn a_gap_in_the_numbers_stops_the_thread() {
    let dir = Dir::new();
    let (journal, _, _) = reopen(dir.settings(IoChoice::Auto)).unwrap();
    let (feeder, inbox) = inbox(4);
    feeder.push(records(2, [10]).remove(0)).unwrap();
    let thread = spawn(journal, inbox, |_| panic!("nothing can be durable"));
    assert!(thread.join().is_err());
    assert!(feeder.has_ended());
}

#[test]
fn the_first_error_ends_the_thread_and_nothing_more_comes_out() {
    let all = records(1, vec![200_000; 12]);
    for fault in [
        Fails::Write,
        Fails::ShortWrite,
        Fails::Sync,
        Fails::NextSegment,
    ] {
        let mut completed = false;
        let mut at = 0;
        while !completed {
            at += 1;
            completed = fail_at(fault, at, &all);
        }
        assert!(at > 3, "{fault:?} was reached {at} times");
    }
}

/// Fails the `at`-th operation; answers whether the run ended without reaching it.
fn fail_at(fault: Fails, at: u64, all: &[Record]) -> bool {
    let dir = Dir::new();
    let (journal, _, _) = reopen(dir.settings(IoChoice::Plain)).unwrap();
    let watermark = journal.durable_watermark();
    let (feeder, inbox) = inbox(all.len());
    let (out, durable) = mpsc::channel();
    for record in all {
        feeder.push(record.clone()).unwrap();
    }
    feeder.close();
    let thread = spawn_with(
        journal,
        inbox,
        move |entries| out.send(entries).unwrap(),
        move || Ok(Box::new(Failing::new(fault, at))),
    );
    let result = thread.join().unwrap();
    let told: Vec<Record> = durable.into_iter().flatten().collect();
    let (_, report, found) = reopen(dir.settings(IoChoice::Plain)).unwrap();
    assert!(
        all.starts_with(&told) && found.starts_with(&told),
        "{fault:?} at {at}"
    );
    assert!(report.last_seq >= watermark.load(Ordering::Acquire));
    let result_is_complete = result.is_ok();
    match (result, fault) {
        (Ok(()), _) => assert_eq!(told, all),
        // The failed write is of no block that was told; the failed sync told nobody.
        (Err(JournalError::Io { .. }), Fails::Write | Fails::ShortWrite) => {
            assert!((told.len() as u64) < at, "{fault:?}");
        }
        (Err(JournalError::Io { .. }), _) => {}
        (Err(other), _) => panic!("{other}"),
    }
    result_is_complete
}

#[test]
fn one_process_at_a_time() {
    let dir = Dir::new();
    let (journal, _, _) = reopen(dir.settings(IoChoice::Auto)).unwrap();
    let second = reopen(dir.settings(IoChoice::Auto)).unwrap_err();
    assert!(matches!(&second, JournalError::InUse { .. }));
    assert_eq!(second.exit_code(), 75);
    assert!(scan_only(&dir).is_ok(), "looking is allowed");
    drop(journal);
    assert!(reopen(dir.settings(IoChoice::Auto)).is_ok());
}

#[test]
fn a_new_folder_needs_an_exchange_id_and_an_old_one_knows_it() {
    let dir = Dir::new();
    let unnamed = Settings {
        exchange_id: 0,
        ..dir.settings(IoChoice::Auto)
    };
    let error = reopen(unnamed.clone()).unwrap_err();
    assert!(matches!(error, JournalError::ExchangeIdNeeded { .. }));
    assert!(dir.bytes().is_empty());
    assert!(matches!(
        scan_only(&dir).unwrap_err(),
        JournalError::NoJournal { .. }
    ));
    write_each(dir.settings(IoChoice::Auto), &records(1, [5]));
    assert_eq!(reopen(unnamed).unwrap().1.exchange_id, EXCHANGE);
    let odd = Settings {
        segment_bytes: 1_000_000,
        ..dir.settings(IoChoice::Auto)
    };
    assert!(matches!(
        reopen(odd).unwrap_err(),
        JournalError::SegmentBytes { .. }
    ));
}

#[test]
fn a_visitor_can_refuse() {
    let dir = Dir::new();
    write_each(dir.settings(IoChoice::Auto), &records(1, [5, 5]));
    let refuse_second = |view: BlockView<'_>| match view.first_seq {
        2 => Err("unreadable record".to_owned()),
        _ => Ok(()),
    };
    let error = open(dir.settings(IoChoice::Auto), refuse_second).unwrap_err();
    assert!(matches!(&error, JournalError::Visitor { first_seq: 2, .. }));
    assert!(error.to_string().contains("unreadable record"));
}

#[test]
fn a_journal_can_be_read_while_it_is_written() {
    let dir = Dir::new();
    let (journal, _, _) = reopen(dir.settings(IoChoice::Auto)).unwrap();
    let watermark = journal.durable_watermark();
    let (feeder, inbox) = inbox(64);
    let thread = spawn(journal, inbox, |_| {});
    let all = records(1, vec![9000; 1500]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for record in &all {
                let mut entry = record.clone();
                while let Err(refused) = feeder.push(entry) {
                    entry = refused;
                    std::thread::yield_now();
                }
            }
            feeder.close();
        });
        loop {
            let done = feeder.has_ended();
            let durable = watermark.load(Ordering::Acquire);
            let seen = scan_only(&dir).unwrap();
            assert!(seen.last_seq >= durable, "{} of {durable}", seen.last_seq);
            if done {
                break;
            }
        }
    });
    thread.join().unwrap().unwrap();
    check_folder(&dir, &all);
}
