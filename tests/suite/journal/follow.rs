//! Somebody reads along while the journal is written: everything comes, once, and never too early.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::kit::*;
use engine::journal::*;

/// Everything that is proven by now.
fn read_along(follow: &mut Follow, found: &mut Vec<Record>) {
    while follow
        .turn(|view| {
            found.extend(decode(view.payload));
            Ok(())
        })
        .unwrap()
    {}
}

#[test]
fn a_follower_sees_every_record_once_and_none_before_it_is_durable() {
    let dir = Dir::new();
    let (journal, _, _) = reopen(dir.settings(IoChoice::Auto)).unwrap();
    let watermark = journal.durable_watermark();
    let (feeder, inbox) = inbox(64);
    let thread = spawn(journal, inbox, |_| {});
    let all = records(1, (0..1500).map(|place| place * 61 % 9000));
    let seen = AtomicU64::new(0);
    let mut found = Vec::new();
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
        let mut follow = Follow::start(Arc::new(RealDisk), &dir.0, None).unwrap();
        loop {
            let ended = feeder.has_ended();
            read_along(&mut follow, &mut found);
            let last = follow.position().last_seq();
            assert!(last >= seen.swap(last, Ordering::Relaxed), "never back");
            assert!(last <= watermark.load(Ordering::Acquire), "never too early");
            if ended {
                break;
            }
        }
    });
    thread.join().unwrap().unwrap();
    assert_eq!(found, all, "through several segments, to the last record");
}

#[test]
fn a_follower_goes_on_from_a_position_and_past_a_cut() {
    let all = records(1, vec![3000; 9]);
    let dir = killed_after(&all[..6]);
    let mut follow = Follow::start(Arc::new(RealDisk), &dir.0, None).unwrap();
    let mut found = Vec::new();
    read_along(&mut follow, &mut found);
    assert_eq!(found, all[..5], "the sixth is not proven by anything");
    let position = follow.position();
    let last = data_blocks(&dir).pop().unwrap();
    flip(&last.segment, last.offset, 3000);
    let mut again = records(all[5].first_seq, vec![200; 3]);
    write_each(dir.settings(IoChoice::Plain), &again);
    read_along(&mut follow, &mut found);
    assert_eq!(found[5..], again, "those after the cut, not the one before");
    let mut second = Follow::start(Arc::new(RealDisk), &dir.0, Some(&position)).unwrap();
    let mut later = Vec::new();
    read_along(&mut second, &mut later);
    assert_eq!(later, again);
    assert_eq!(second.position(), follow.position());
    again.clear();
    read_along(&mut second, &mut again);
    assert!(again.is_empty(), "nothing twice");
}

#[test]
fn opening_and_scanning_go_on_from_a_position_too() {
    let all = records(1, (0..700).map(|place| 3000 + place % 40));
    let dir = Dir::new();
    write_each(dir.settings(IoChoice::Auto), &all);
    let whole = scan_only(&dir).unwrap();
    let mut places = Vec::new();
    scan(&dir.0, |view| {
        places.push(view.after.clone());
        Ok(())
    })
    .unwrap();
    for position in places.iter().step_by(53).chain(places.last()) {
        let mut found = Vec::new();
        let report = scan_from(&RealDisk, &dir.0, Some(position), |view| {
            found.extend(decode(view.payload));
            Ok(())
        });
        assert_eq!(report.unwrap(), whole);
        let expected: Vec<&Record> = all
            .iter()
            .filter(|record| record.first_seq > position.last_seq())
            .collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        let settings = Settings {
            from: Some(position.clone()),
            ..dir.settings(IoChoice::Auto)
        };
        let (_, report, reopened) = reopen(settings).unwrap();
        assert_eq!(reopened, found);
        assert_eq!(
            (report.last_seq, report.chain),
            (whole.last_seq, whole.chain)
        );
    }
    // Segments before the position are not needed.
    let late = places.last().unwrap();
    assert!(late.segment_id() > 2);
    std::fs::remove_file(dir.segment(1)).unwrap();
    assert!(scan_from(&RealDisk, &dir.0, Some(late), |_| Ok(())).is_ok());
    assert!(matches!(
        reason(scan_only(&dir)),
        Reason::MissingSegment { id: 1 }
    ));
    let mut early = scan_from(&RealDisk, &dir.0, Some(&places[0]), |_| Ok(()));
    assert!(matches!(reason(early), Reason::MissingSegment { id: 1 }));
    // A journal that ends before the position has lost something.
    let other = Dir::new();
    write_each(other.settings(IoChoice::Auto), &records(1, [5, 5]));
    early = scan_from(&RealDisk, &other.0, Some(late), |_| Ok(()));
    // Its third segment may or may not be ready yet.
    assert!(matches!(
        reason(early),
        Reason::NotReached | Reason::MissingSegment { id: 3 }
    ));
}
