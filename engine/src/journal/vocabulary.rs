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
    text += &format!("stamped {}\n", hex(&bytes(&commands::stamped())));
    text += &format!("results {}\n", hex(&bytes(&events::results())));
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
