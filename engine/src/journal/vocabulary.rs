//! Golden bytes of one of every command and every event: what a journal of this version is made of.
//!
//! The journal stores the position of each variant and the bytes of each field, and replaying executes and
//! compares them. A change of either makes older journals unreadable, so it needs a new format version: the
//! digest of all golden bytes stands in `JOURNAL.md` beside the version that they belong to.

use bincode::{Decode, Encode, error::AllowedEnumVariants, error::DecodeError};

use super::block::VERSION;
use crate::{
    command::{self as asked, *},
    event::{self as told, *},
    instrument::{Algorithm, IndexKind, Kind, TradingState},
    reason::{Field, Reason},
    record,
};

mod commands;
mod delivery;
mod events;

const GOLDEN: &str = include_str!("vocabulary/golden.txt");

fn bytes<T: Encode>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    record::append(value, &mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Numbers of all variants that an enum's decoder takes.
fn variants<T: Decode<()> + std::fmt::Debug>() -> Vec<u32> {
    let refused = bincode::decode_from_slice::<T, _>(&[0xff; 8], crate::exchange::encoding());
    match refused {
        Err(DecodeError::UnexpectedVariant { allowed, .. }) => match allowed {
            AllowedEnumVariants::Range { min, max } => (*min..=*max).collect(),
            AllowedEnumVariants::Allowed(numbers) => numbers.to_vec(),
            other => panic!("unknown: {other:?}"),
        },
        other => panic!("no enum: {other:?}"),
    }
}

/// A line for each sample: number, name, bytes.
fn lines<T>(kind: &str, samples: &[T], text: &mut String)
where
    T: Encode + Decode<()> + std::fmt::Debug + PartialEq,
{
    let mut seen = Vec::new();
    for sample in samples {
        let bytes = bytes(sample);
        let (again, used) =
            bincode::decode_from_slice::<T, _>(&bytes, crate::exchange::encoding()).unwrap();
        assert_eq!((&again, used), (sample, bytes.len()));
        let number = u32::from_le_bytes(bytes[..4].try_into().unwrap());
        seen.push(number);
        let name: String = format!("{sample:?}")
            .chars()
            .take_while(|letter| letter.is_alphanumeric())
            .collect();
        let line = format!("{kind} {number} {name} {}", hex(&bytes[4..]));
        *text += line.trim_end();
        *text += "\n";
    }
    // Steps of clearing are one event with variants of its own.
    seen.dedup();
    assert_eq!(
        seen,
        variants::<T>(),
        "one golden {kind} for every variant, in their order"
    );
}

/// An enum without fields: which number means which word.
fn numbers<T: Decode<()> + std::fmt::Debug>(kind: &str, text: &mut String) {
    *text += kind;
    for number in variants::<T>() {
        let bytes = number.to_le_bytes();
        let word = bincode::decode_from_slice::<T, _>(&bytes, crate::exchange::encoding());
        *text += &format!(" {number}={:?}", word.unwrap().0);
    }
    *text += "\n";
}

/// A whole record, with the lengths of its parts.
fn whole_record() -> Vec<u8> {
    let mut bytes = Vec::new();
    record::write(&commands::stamped(), &events::results(), &mut bytes);
    bytes
}

fn vocabulary() -> String {
    let mut text = String::new();
    lines("command", &commands::all(), &mut text);
    lines("event", &events::all(), &mut text);
    lines("pricing", &commands::pricings(), &mut text);
    lines("time-in-force", &commands::times_in_force(), &mut text);
    lines("target", &commands::targets(), &mut text);
    lines("item", &commands::items(), &mut text);
    lines("state-scope", &commands::state_scopes(), &mut text);
    lines("switch-scope", &commands::switch_scopes(), &mut text);
    lines("feed-kind", &commands::feed_kinds(), &mut text);
    lines("source-scope", &commands::scopes(), &mut text);
    lines("formula", &commands::formulas(), &mut text);
    lines("observation", &commands::observations(), &mut text);
    lines("said", &events::saids(), &mut text);
    lines("delivery", &delivery::wishes(), &mut text);
    lines("delivery-event", &delivery::events(), &mut text);
    numbers::<Kind>("kind", &mut text);
    numbers::<Algorithm>("algorithm", &mut text);
    numbers::<IndexKind>("index-kind", &mut text);
    numbers::<TradingState>("trading-state", &mut text);
    numbers::<Reason>("reason", &mut text);
    numbers::<Field>("field", &mut text);
    numbers::<asked::Side>("side", &mut text);
    numbers::<asked::PegTo>("peg-to", &mut text);
    numbers::<asked::TriggerSource>("trigger-source", &mut text);
    numbers::<asked::PostOnly>("post-only", &mut text);
    numbers::<asked::SelfTrade>("self-trade", &mut text);
    numbers::<asked::BatchPolicy>("batch-policy", &mut text);
    numbers::<asked::DisconnectAction>("disconnect-action", &mut text);
    numbers::<asked::AccountKind>("account-kind", &mut text);
    numbers::<asked::AccountStatus>("account-status", &mut text);
    numbers::<asked::Rail>("rail", &mut text);
    numbers::<asked::Decision>("decision", &mut text);
    numbers::<asked::FixingKind>("fixing-kind", &mut text);
    numbers::<told::OrderEventKind>("order-event", &mut text);
    numbers::<told::OrderStatus>("order-status", &mut text);
    numbers::<told::Liquidity>("liquidity", &mut text);
    numbers::<told::PostingKind>("posting", &mut text);
    numbers::<told::MmpLimit>("mmp-limit", &mut text);
    numbers::<asked::ValueKind>("value-kind", &mut text);
    numbers::<told::Quality>("quality", &mut text);
    numbers::<told::RoundKind>("round-kind", &mut text);
    numbers::<told::Standing>("standing", &mut text);
    numbers::<crate::index::fixing::Basis>("basis", &mut text);
    numbers::<crate::delivery::MeterKind>("meter-kind", &mut text);
    numbers::<crate::delivery::StratumProtocol>("stratum", &mut text);
    numbers::<crate::delivery::ObligationState>("obligation-state", &mut text);
    numbers::<crate::delivery::CloseCause>("close-cause", &mut text);
    numbers::<told::ExitStage>("exit-stage", &mut text);
    numbers::<told::OffBook>("off-book", &mut text);
    numbers::<told::BlockState>("block-state", &mut text);
    numbers::<told::RfqState>("rfq-state", &mut text);
    numbers::<told::RfqQuoteState>("rfq-quote-state", &mut text);
    text += &format!("stamped {}\n", hex(&bytes(&commands::stamped())));
    text += &format!("results {}\n", hex(&bytes(&events::results())));
    text += &format!("record {}\n", hex(&whole_record()));
    text
}

/// To write the golden bytes of a new version, set `HASHPIT_WRITE_GOLDEN` for one run of this test.
#[test]
fn every_command_and_event_has_the_bytes_of_this_version() {
    let now = vocabulary();
    if std::env::var_os("HASHPIT_WRITE_GOLDEN").is_some() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/journal/vocabulary/golden.txt"
        );
        std::fs::write(path, &now).unwrap();
    }
    let (mut before, mut after) = (GOLDEN.lines(), now.lines());
    loop {
        let (was, is) = (before.next(), after.next());
        assert_eq!(
            was, is,
            "the bytes of a command or event changed: older journals cannot be read any more. Raise VERSION, \
             add a line to JOURNAL.md, and write the golden bytes anew"
        );
        if was.is_none() {
            break;
        }
    }
}

#[test]
fn the_document_shows_a_record_in_bytes() {
    let bytes = whole_record();
    let mut page = String::new();
    for (row, bytes) in bytes.chunks(16).enumerate() {
        let words: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        page += &format!("{:08x}  {}\n", row * 16, words.join(" "));
    }
    let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/JOURNAL.md"));
    assert!(document.contains(&page), "JOURNAL.md should show\n{page}");
    let records = record::decode(&bytes, 1).unwrap();
    assert_eq!(records[0].stamped, commands::stamped());
    assert_eq!(records[0].results, events::results());
}

#[test]
fn a_record_whose_lengths_are_wrong_is_refused_in_words() {
    let sound = whole_record();
    let with = |at: usize, length: u32| {
        let mut bytes = sound.clone();
        bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        record::decode(&bytes, 1).unwrap_err()
    };
    for (refusal, words) in [
        (with(0, 19), "record 0 of 1: its command part: "),
        (with(0, 21), "its command part claims 21 bytes and needs 20"),
        (with(4, 95), "its results part: "),
        (
            with(4, 97),
            "its results part claims 97 bytes, the block has 96 left",
        ),
        (
            with(0, 1 << 20),
            "its command part claims 1048576 bytes, the block has 116 left",
        ),
        (
            with(0, u32::MAX),
            "its command part claims 4294967295 bytes, the limit is 1048576",
        ),
        (
            with(4, (1 << 20) + 1),
            "its results part claims 1048577 bytes, the limit is 1048576",
        ),
        (
            record::decode(&sound[..3], 1).unwrap_err(),
            "3 bytes where the length of its command part should be, 4 bytes",
        ),
        (
            record::decode(&[&sound[..], &[0]].concat(), 1).unwrap_err(),
            "1 bytes after the last of 1 records",
        ),
        (
            record::decode(&sound, 2).unwrap_err(),
            "record 1 of 2: 0 bytes where",
        ),
    ] {
        assert!(refusal.contains(words), "{refusal:?} without {words:?}");
    }
    let mut longer = sound.clone();
    longer[4..8].copy_from_slice(&97_u32.to_le_bytes());
    longer.push(0);
    let refusal = record::decode(&longer, 1).unwrap_err();
    assert!(
        refusal.contains("its results part claims 97 bytes and needs 96"),
        "{refusal}"
    );
}

#[test]
fn the_version_in_the_document_belongs_to_these_bytes() {
    let digest = blake3::hash(vocabulary().as_bytes()).to_hex();
    let digest = &digest[..16];
    let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/JOURNAL.md"));
    let (_, changes) = document.split_once("## Changes of the format").unwrap();
    let versions: Vec<&str> = changes
        .lines()
        .filter(|line| line.starts_with("- "))
        .collect();
    assert_eq!(
        versions.len(),
        usize::from(VERSION),
        "one line for each version up to the present one"
    );
    let newest = versions.last().unwrap();
    assert!(
        newest.starts_with(&format!("- {VERSION}: ")) && newest.contains(&format!("`{digest}`")),
        "these bytes have the digest `{digest}`; the newest line says: {newest}. A version that was in use \
         keeps its line: raise VERSION and add one"
    );
}
