//! What a crash may leave is cut and counted; what rot or hands have done is refused.

use std::fs;

use super::kit::*;
use engine::journal::*;

/// Opens a damaged folder: the records are `left`, something was cut, and a second opening and a scan
/// find nothing to do.
fn cut_to(dir: &Dir, left: &[Record], what: &str) -> RecoveryReport {
    let torn = scan_only(dir).unwrap();
    let (journal, report, found) = reopen(dir.settings(IoChoice::Plain)).unwrap();
    assert_eq!(found, left, "{what}");
    assert_eq!(report.epoch, 2, "{what}");
    assert!(report.cut.is_some() && report.cut == torn.torn, "{what}");
    drop(journal);
    let after = dir.bytes();
    let (_, second, again) = reopen(dir.settings(IoChoice::Plain)).unwrap();
    assert_eq!(again, left, "{what}");
    assert_eq!(
        second,
        RecoveryReport {
            cut: None,
            ..report.clone()
        },
        "{what}"
    );
    assert!(
        dir.bytes() == after,
        "the second opening changes nothing: {what}"
    );
    assert_eq!(scan_only(dir).unwrap().torn, None, "{what}");
    report
}

/// `open` and `scan` refuse for the same reason, and change nothing.
fn refused(dir: &Dir) -> Reason {
    let before = dir.bytes();
    let by_scan = reason(scan_only(dir));
    assert_eq!(reason(reopen(dir.settings(IoChoice::Plain))), by_scan);
    assert!(dir.bytes() == before);
    by_scan
}

#[test]
fn the_last_block_cut_at_every_sector() {
    let all = records(1, [100, 3000, 14_000]);
    let whole = killed_after(&all);
    let last = data_blocks(&whole).pop().unwrap();
    let used = (HEADER_BYTES + last.payload) as u64;
    for kept in (0..=last.bytes).step_by(512) {
        let dir = whole.copy();
        zero(
            &last.segment_in(&dir),
            last.offset + kept,
            last.bytes - kept,
        );
        let what = format!("{kept} of {} bytes kept", last.bytes);
        if kept >= used {
            let (_, report, found) = reopen(dir.settings(IoChoice::Plain)).unwrap();
            assert_eq!((found, report.epoch), (all.clone(), 1), "{what}");
        } else if kept == 0 {
            let (_, report, found) = reopen(dir.settings(IoChoice::Plain)).unwrap();
            assert_eq!((found, report.cut), (all[..2].to_vec(), None), "{what}");
        } else {
            let report = cut_to(&dir, &all[..2], &what);
            let cut = report.cut.unwrap();
            assert_eq!((cut.offset, cut.first_seq), (last.offset, last.first_seq));
            write_each(dir.settings(IoChoice::Plain), &records(3, [50, 60]));
            let (_, report, found) = reopen(dir.settings(IoChoice::Plain)).unwrap();
            assert_eq!((found.len(), report.last_seq), (4, 4), "{what}");
        }
    }
}

#[test]
fn the_last_block_cut_at_every_byte() {
    let dir = killed_after(&records(1, [100, 3000, 5_000]));
    let last = data_blocks(&dir).pop().unwrap();
    let used = HEADER_BYTES + last.payload;
    let whole = fs::read(&last.segment).unwrap();
    let start = last.offset as usize;
    // From the end to the beginning, one byte less each time. A byte that was zero anyway makes no tear.
    let mut rest = whole[start..start + used].to_vec();
    for kept in (0..used).rev() {
        let lost = std::mem::take(&mut rest[kept]);
        zero(&last.segment, (start + kept) as u64, 1);
        let torn = scan_only(&dir).unwrap().torn;
        let gone = rest.iter().all(|byte| *byte == 0);
        let intact = rest[..] == whole[start..start + used];
        assert_eq!(
            torn.is_some(),
            !gone && !intact,
            "{kept} bytes kept, {lost} lost"
        );
        if let Some(torn) = torn {
            assert_eq!(torn.first_seq, last.first_seq, "{kept} bytes kept");
        }
    }
}

#[test]
fn sectors_of_the_last_block_missing_in_the_middle() {
    let all = records(1, [100, 3000, 14_000]);
    let whole = killed_after(&all);
    let last = data_blocks(&whole).pop().unwrap();
    for lost in (0..HEADER_BYTES as u64 + last.payload as u64).step_by(512) {
        let dir = whole.copy();
        zero(&last.segment_in(&dir), last.offset + lost, 512);
        cut_to(&dir, &all[..2], &format!("sector at {lost} lost"));
    }
    let dir = whole.copy();
    zero(&last.segment_in(&dir), last.offset, 4096);
    cut_to(&dir, &all[..2], "first page lost, others there");
}

#[test]
fn a_rotten_bit_in_the_last_block_that_nothing_covers_is_cut() {
    let all = records(1, [100, 3000, 500]);
    let whole = killed_after(&all);
    let last = data_blocks(&whole).pop().unwrap();
    for bit in (0..last.bytes * 8).step_by(997) {
        let dir = whole.copy();
        flip(&last.segment_in(&dir), last.offset, bit);
        cut_to(&dir, &all[..2], &format!("bit {bit}"));
    }
}

#[test]
fn any_rotten_bit_in_a_block_that_was_told_is_refused() {
    let dir = killed_after(&records(1, [100, 300, 500]));
    let inner = data_blocks(&dir).remove(1);
    // Every bit of the header, one bit of every byte behind it.
    let bytes = (128..inner.bytes).map(|byte| byte * 8 + byte % 8);
    for bit in (0..1024).chain(bytes) {
        flip(&inner.segment, inner.offset, bit);
        match reason(scan_only(&dir)) {
            Reason::ToldAndDamaged { proof_offset, .. } => assert!(proof_offset > inner.offset),
            other => panic!("bit {bit}: {other}"),
        }
        flip(&inner.segment, inner.offset, bit);
    }
    flip(&inner.segment, inner.offset, 2000);
    assert!(matches!(refused(&dir), Reason::ToldAndDamaged { .. }));
    let error = reopen(dir.settings(IoChoice::Plain)).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    let text = error.to_string();
    let place = format!("00000001.seg, byte {}, sequence 2", inner.offset);
    assert!(text.contains(&place) && text.contains("Restore"), "{text}");
}

#[test]
fn a_watermark_covers_the_last_block_and_is_itself_expendable() {
    let all = records(1, [100, 200]);
    let dir = Dir::new();
    write_each(dir.settings(IoChoice::Plain), &all);
    let found = blocks(&dir);
    let (watermark, last) = (&found[found.len() - 1], &found[found.len() - 2]);
    assert_eq!((watermark.kind, last.kind), (Kind::Watermark, Kind::Data));
    let damaged = dir.copy();
    flip(&last.segment_in(&damaged), last.offset, 1500);
    assert!(matches!(refused(&damaged), Reason::ToldAndDamaged { .. }));
    flip(&watermark.segment_in(&dir), watermark.offset, 600);
    cut_to(&dir, &all, "a rotten watermark");
}

#[test]
fn a_rotten_watermark_between_blocks_is_refused() {
    let all = records(1, [100, 200, 300]);
    let dir = Dir::new();
    write_each(dir.settings(IoChoice::Plain), &all[..2]);
    write_each(dir.settings(IoChoice::Plain), &all[2..]);
    let found = blocks(&dir);
    let inner = found
        .iter()
        .rev()
        .skip(1)
        .find(|block| block.kind == Kind::Watermark)
        .unwrap();
    let last = found.last().unwrap();
    zero(&last.segment, last.offset, last.bytes);
    flip(&inner.segment, inner.offset, 600);
    assert!(
        matches!(refused(&dir), Reason::ToldAndDamaged { .. }),
        "sealed after it was durable"
    );
}

#[test]
fn the_first_block_of_all() {
    let dir = Dir::new();
    drop(reopen(dir.settings(IoChoice::Plain)).unwrap());
    let fresh = dir.bytes();
    zero(&dir.segment(1), 0, 4096);
    drop(reopen(dir.settings(IoChoice::Plain)).unwrap());
    assert!(
        dir.bytes() == fresh,
        "killed before the first block: begun again"
    );
    flip(&dir.segment(1), 0, 333);
    let (_, report, _) = reopen(dir.settings(IoChoice::Plain)).unwrap();
    assert_eq!((report.epoch, report.cut.is_some()), (1, true));
    assert!(dir.bytes() == fresh);
    write_each(dir.settings(IoChoice::Plain), &records(1, [10]));
    flip(&dir.segment(1), 0, 333);
    assert!(matches!(refused(&dir), Reason::ToldAndDamaged { .. }));
}

#[test]
fn a_recovery_that_was_itself_cut_short_ends_the_same() {
    let all = records(1, [100, 3000, 30_000]);
    let torn = killed_after(&all);
    let last = data_blocks(&torn).pop().unwrap();
    zero(&last.segment, last.offset, 4096);
    let expected = torn.copy();
    cut_to(&expected, &all[..2], "in one go");
    let mark = [b'!'; 4096];
    for zeroed in (0..last.bytes).step_by(4096) {
        for marked in (0..=4096).step_by(512) {
            let dir = torn.copy();
            let segment = last.segment_in(&dir);
            write_at(&segment, last.offset, &mark[..marked]);
            if marked == mark.len() && zeroed >= 4096 {
                zero(&segment, last.offset + 4096, zeroed - 4096);
            }
            cut_to(
                &dir,
                &all[..2],
                &format!("{marked} marked, {zeroed} zeroed"),
            );
            assert!(dir.used_bytes() == expected.used_bytes());
        }
    }
}

#[test]
fn a_tail_torn_in_the_first_block_of_a_segment() {
    let all = records(1, [600_000, 600_000]);
    let dir = killed_after(&all);
    let last = data_blocks(&dir).pop().unwrap();
    assert_eq!((last.segment_in(&dir), last.offset), (dir.segment(2), 0));
    let told = dir.copy();
    zero(&last.segment, 200 * 512, 512);
    let report = cut_to(&dir, &all[..1], "torn across a segment's beginning");
    assert_eq!((report.segment_id, report.offset), (2, 4096));
    let first = data_blocks(&told).remove(0);
    flip(&first.segment_in(&told), first.offset, 5000);
    assert!(matches!(refused(&told), Reason::CompleteAndDamaged { .. }));
    zero(&first.segment_in(&told), first.offset, first.bytes);
    assert!(
        matches!(refused(&told), Reason::BlockHole { .. }),
        "lost without a trace"
    );
}

/// Rewrites one header field of a block and both makes its header checksum right again.
fn forge(block: &Block, at: usize, field: &[u8]) {
    let mut bytes = fs::read(&block.segment).unwrap();
    let header = &mut bytes[block.offset as usize..][..HEADER_BYTES];
    header[at..at + field.len()].copy_from_slice(field);
    let sum = crc32c::crc32c(&header[..124]);
    header[124..128].copy_from_slice(&sum.to_le_bytes());
    let header = header.to_vec();
    write_at(&block.segment, block.offset, &header);
}

#[test]
fn sound_blocks_that_do_not_belong_are_refused() {
    let whole = killed_after(&records(1, [100, 200, 300]));
    type Check = fn(&Reason) -> bool;
    let cases: [(&str, usize, &[u8], Check); 12] = [
        ("an older version", 4, &[2, 0], |r| {
            matches!(
                r,
                Reason::UnknownVersion {
                    found: 2,
                    known: engine::journal::VERSION
                }
            )
        }),
        ("a newer version", 4, &[99, 0], |r| {
            matches!(r, Reason::UnknownVersion { found: 99, .. })
        }),
        ("another exchange", 8, &[1; 8], |r| {
            matches!(r, Reason::ForeignExchange { .. })
        }),
        ("another segment", 16, &[9], |r| {
            matches!(r, Reason::Misplaced { segment_id: 9, .. })
        }),
        ("another place", 24, &[9; 4], |r| {
            matches!(r, Reason::Misplaced { .. })
        }),
        ("an epoch from nowhere", 32, &[7], |r| {
            matches!(r, Reason::Contradiction(_))
        }),
        ("another block", 40, &[77], |r| {
            matches!(r, Reason::BlockHole { found: 77, .. })
        }),
        ("other numbers", 48, &[77], |r| {
            matches!(r, Reason::Contradiction(_))
        }),
        ("the future told", 64, &[77], |r| {
            matches!(r, Reason::Contradiction(_))
        }),
        ("a future block durable", 104, &[77], |r| {
            matches!(r, Reason::Contradiction(_))
        }),
        ("no block durable", 104, &[0; 8], |r| {
            matches!(r, Reason::Contradiction(_))
        }),
        ("another chain", 72, &[0; 32], |r| *r == Reason::BrokenChain),
    ];
    for (what, at, field, check) in cases {
        for last in [false, true] {
            let dir = whole.copy();
            let place = if last { 2 } else { 1 };
            let mut block = data_blocks(&dir).remove(place);
            block.segment = block.segment_in(&dir);
            forge(&block, at, field);
            let reason = refused(&dir);
            assert!(check(&reason), "{what}: {reason}");
        }
    }
}

#[test]
fn an_edited_payload_with_right_checksums_breaks_the_chain() {
    let dir = killed_after(&records(1, [100, 200, 300]));
    let block = data_blocks(&dir).remove(1);
    let mut bytes = fs::read(&block.segment).unwrap();
    let whole = &mut bytes[block.offset as usize..][..block.bytes as usize];
    whole[HEADER_BYTES + 50] ^= 1;
    let sum = crc32c::crc32c(&whole[HEADER_BYTES..]).to_le_bytes();
    fs::write(&block.segment, &bytes).unwrap();
    forge(&block, 120, &sum);
    assert_eq!(refused(&dir), Reason::BrokenChain);
}

#[test]
fn an_abandoned_block_does_not_come_back() {
    let all = records(1, [100, 200]);
    let dir = killed_after(&all);
    let last = data_blocks(&dir).pop().unwrap();
    let old = fs::read(&last.segment).unwrap()[last.offset as usize..][..4096].to_vec();
    flip(&last.segment, last.offset, 3000);
    let report = cut_to(&dir, &all[..1], "first");
    write_at(&last.segment, report.offset, &old);
    let reason = refused(&dir);
    assert!(matches!(reason, Reason::Misplaced { .. }), "{reason}");
    write_at(&last.segment, report.offset, &[0; 4096]);
    let moved = Block {
        offset: report.offset,
        ..last
    };
    write_at(&moved.segment, moved.offset, &old);
    forge(&moved, 24, &moved.offset.to_le_bytes());
    let (_, report, found) = reopen(dir.settings(IoChoice::Plain)).unwrap();
    assert_eq!((found, report.epoch), (all[..1].to_vec(), 3));
    assert!(matches!(report.cut.unwrap().fault, Fault::Abandoned(1)));
}

#[test]
fn another_exchange_is_refused_by_name() {
    let dir = killed_after(&records(1, [100]));
    let other = Settings {
        exchange_id: 7,
        ..dir.settings(IoChoice::Plain)
    };
    let expected = Reason::ForeignExchange {
        expected: 7,
        found: EXCHANGE,
    };
    assert_eq!(reason(reopen(other)), expected);
}

#[test]
fn an_older_format_is_refused_with_file_place_and_advice() {
    let dir = killed_after(&records(1, [100, 200]));
    let mut block = data_blocks(&dir).remove(1);
    block.segment = block.segment_in(&dir);
    forge(&block, 4, &[2, 0]);
    let before = dir.bytes();
    let error = reopen(dir.settings(IoChoice::Plain)).map(|_| ());
    let error = error.expect_err("refused");
    assert_eq!(error.exit_code(), 65);
    let text = error.to_string();
    let file = block.segment.display().to_string();
    for part in [
        file.as_str(),
        &format!("byte {}", block.offset),
        "sequence 2",
        &format!(
            "format version 2, this program reads version {}",
            engine::journal::VERSION
        ),
        "Start the program version that wrote it",
    ] {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
    assert!(dir.bytes() == before, "nothing was changed");
}

#[test]
fn missing_doubled_and_shortened_segments() {
    let whole = killed_after(&records(1, [600_000, 600_000, 600_000, 10]));
    let dir = whole.copy();
    fs::remove_file(dir.segment(2)).unwrap();
    assert_eq!(refused(&dir), Reason::MissingSegment { id: 2 });
    let dir = whole.copy();
    fs::remove_file(dir.segment(1)).unwrap();
    assert_eq!(refused(&dir), Reason::MissingSegment { id: 1 });
    let dir = whole.copy();
    fs::copy(dir.segment(2), dir.segment(3)).unwrap();
    assert!(matches!(
        refused(&dir),
        Reason::Misplaced { segment_id: 2, .. }
    ));
    let dir = whole.copy();
    fs::copy(dir.segment(2), dir.0.join("2.seg")).unwrap();
    assert!(matches!(refused(&dir), Reason::MisnamedSegment { .. }));
    let dir = whole.copy();
    fs::OpenOptions::new()
        .write(true)
        .open(dir.segment(3))
        .unwrap()
        .set_len(524_288)
        .unwrap();
    assert!(matches!(
        refused(&dir),
        Reason::SegmentLength { found: 524_288, .. }
    ));
    let dir = whole.copy();
    fs::write(dir.0.join("00000009.tmp"), b"half made").unwrap();
    assert!(reopen(dir.settings(IoChoice::Plain)).is_ok());
    assert!(!dir.0.join("00000009.tmp").exists());
}

#[test]
fn arbitrary_bytes_never_panic_and_never_become_a_block() {
    let whole = killed_after(&records(1, [100, 200]));
    let end = scan_only(&whole).unwrap();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..50 {
        let mut noise = vec![0; 16_384];
        for byte in &mut noise {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        noise[0..4].copy_from_slice(b"HPJL");
        write_at(&whole.segment(1), end.offset, &noise);
        let seen = scan_only(&whole).unwrap();
        assert_eq!((seen.blocks, seen.last_seq), (end.blocks, end.last_seq));
        assert!(seen.torn.is_some());
    }
}

impl Block {
    /// The same block's segment in a copy of its folder.
    fn segment_in(&self, dir: &Dir) -> std::path::PathBuf {
        dir.0.join(self.segment.file_name().unwrap())
    }
}
