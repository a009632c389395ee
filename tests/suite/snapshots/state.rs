//! The state itself as bytes.

use std::{io, ops::Range};

use engine::{
    command::{
        Command, FeedKind, NewKey, RevokeKey, Scope, ServeExit, SetAccountOwner, SetFeed,
        SetSource, Side, Stamped,
    },
    event::Event,
    exchange::Exchange,
    ids::{AccountId, FeedId, FirmId, IndexId},
    limits, record,
    saved::LoadError,
    units::Nanos,
};
use tests::{
    generator::{Features, Random},
    market::{Market, request},
    streams,
};

/// Every section in its order.
const TAGS: [&[u8; 4]; 44] = [
    b"cntr", b"asst", b"comm", b"indx", b"prod", b"firm", b"keys", b"acct", b"sess", b"tran",
    b"rqid", b"inst", b"link", b"wndw", b"auct", b"dfrd", b"call", b"pstn", b"blnc", b"flow",
    b"ordr", b"ende", b"book", b"stop", b"pegs", b"atau", b"mmpg", b"mmpf", b"mmpq", b"clid",
    b"timr", b"feed", b"rnds", b"epch", b"ownr", b"issd", b"chdp", b"exit", b"mrgn", b"rprt",
    b"offb", b"rfqn", b"rfqs", b"end ",
];

fn commands() -> usize {
    let wished = std::env::var("HASHPIT_MODEL_COMMANDS").ok();
    wished.and_then(|text| text.parse().ok()).unwrap_or(4_000)
}

fn saved(exchange: &Exchange) -> Vec<u8> {
    let mut bytes = Vec::new();
    exchange.save(&mut bytes).expect("memory takes everything");
    bytes
}

fn loaded(bytes: &[u8]) -> Exchange {
    Exchange::load(&mut &bytes[..]).unwrap_or_else(|error| panic!("{error}"))
}

fn applied(exchange: &mut Exchange, stamped: &Stamped) -> (Vec<Event>, Vec<u8>) {
    let (mut events, mut bytes) = (Vec::new(), Vec::new());
    exchange.apply(stamped, &mut events);
    for event in &events {
        record::append(event, &mut bytes);
    }
    (events, bytes)
}

/// Two keys, a source and an owner come at the end of a stream, which has none of its own, and one key is revoked.
fn with_keys(stream: &mut Vec<Stamped>) {
    let key = |name: &str| NewKey {
        key_id: name.into(),
        firm: FirmId(1),
        label: "of the desk".into(),
        public_key: [7; 32],
        permissions: 3,
        accounts: vec![AccountId(1)],
        expires: Nanos(0),
    };
    let source = |scope| SetSource {
        scope,
        name: "node".into(),
        public_key: [8; 32],
        weight: 1,
        active: true,
    };
    let revoke = RevokeKey {
        key_id: "one".into(),
        cancel_open_orders: false,
    };
    let owner = SetAccountOwner {
        account: AccountId(2),
        owner: [9; 20],
    };
    // Of an account that nobody has.
    let exit = ServeExit {
        id: 0,
        account: AccountId(1_000_000),
        owner: [10; 20],
        time: 1,
        block: 2,
        patience: 3,
    };
    for command in [
        Command::CreateKey(request(key("one"))),
        Command::CreateKey(request(key("other"))),
        Command::RevokeKey(request(revoke)),
        Command::SetFeed(request(SetFeed {
            name: "BTC".into(),
            kind: FeedKind::Chain { depth: 6 },
            agreeing: 2,
            stale_ms: 600_000,
        })),
        Command::SetSource(request(source(Scope::Feed(FeedId(1))))),
        Command::SetSource(request(source(Scope::Index(IndexId(1))))),
        Command::SetAccountOwner(request(owner)),
        Command::ServeExit(request(exit)),
    ] {
        let last = stream.last().map(|last| (last.seq, last.at));
        let (seq, at) = last.unwrap_or_default();
        stream.push(Stamped {
            seq: seq + 1,
            at: at.after(1),
            command,
        });
    }
}

/// The sections of a saved state, each with the number of its items.
fn sections(bytes: &[u8]) -> Vec<(&'static str, Range<usize>, u64)> {
    let mut found: Vec<(&'static str, Range<usize>, u64)> = Vec::new();
    let mut from = 8;
    for tag in TAGS {
        let here = |at: &usize| {
            let long = bytes.get(at + 4..at + 12);
            bytes[*at..].starts_with(tag) && long.is_some_and(|count| count[4..] == [0; 4])
        };
        let at = (from..bytes.len())
            .find(here)
            .expect("the section is there");
        if let Some(last) = found.last_mut() {
            last.1.end = at;
        }
        let count = bytes[at + 4..at + 12].try_into().expect("eight bytes");
        let name = std::str::from_utf8(tag).expect("a name");
        found.push((name, at..bytes.len(), u64::from_le_bytes(count)));
        from = at + 12;
    }
    found
}

#[test]
fn a_copy_that_was_saved_and_loaded_again_and_again_never_differs() {
    let mut most = vec![0; TAGS.len()];
    for seed in 1..=4 {
        let mut stream = streams::record(seed, Features::ALL, commands());
        with_keys(&mut stream);
        super::agreed::with_agreements(&mut stream);
        let mut random = Random::new(seed);
        let (mut one, mut other) = (Exchange::new(), Exchange::new());
        // Copies of different ages, each of which runs to the end.
        let mut copies: Vec<(u64, Exchange)> = Vec::new();
        for stamped in &stream {
            let (_, expected) = applied(&mut one, stamped);
            let (events, bytes) = applied(&mut other, stamped);
            assert_eq!(bytes, expected, "seed {seed}, {stamped:?}: {events:?}");
            for (since, copy) in &mut copies {
                let (events, bytes) = applied(copy, stamped);
                let what = format!("seed {seed}, saved after {since}, {stamped:?}: {events:?}");
                assert_eq!(bytes, expected, "{what}");
            }
            if random.percent(2) || stamped.seq as usize == stream.len() {
                let bytes = saved(&one);
                let place = format!("seed {seed} after {}", stamped.seq);
                assert!(bytes == saved(&other), "{place}: equal states, equal bytes");
                other = loaded(&bytes);
                assert!(
                    bytes == saved(&other),
                    "{place}: loaded, saved, equal bytes"
                );
                assert_eq!(other.audit(), Ok(()), "{place}");
                for (most, (_, _, items)) in most.iter_mut().zip(sections(&bytes)) {
                    *most = items.max(*most);
                }
            }
            if stamped.seq.is_multiple_of(commands() as u64 / 5) {
                copies.push((stamped.seq, loaded(&saved(&one))));
            }
        }
        for (since, copy) in copies.iter().chain([&(0, other)]) {
            assert_eq!(
                copy.digest(),
                one.digest(),
                "seed {seed}, saved after {since}"
            );
            assert_eq!(copy.audit(), Ok(()), "seed {seed}, saved after {since}");
        }
    }
    let met: Vec<_> = TAGS.iter().zip(most).collect();
    let mut text = String::new();
    for (tag, most) in &met {
        text += &format!("{} {most}  ", tag.escape_ascii());
    }
    println!("most items of each section: {text}");
    let empty = met
        .iter()
        .filter(|(tag, most)| *most == 0 && **tag != b"end ");
    assert_eq!(empty.count(), 0, "every section was met: {text}");
}

#[test]
fn slots_are_used_again_in_the_same_order_and_under_the_same_names() {
    let mut market = Market::open(1);
    market.exchange.skip_audits();
    let mut newest = 0;
    for _ in 0..limits::ENDED_ORDERS_KEPT + 2_000 {
        let (order, _) = market.enter(0, Side::Buy, 9_000_000, 1);
        newest = order.0;
        // Some stay.
        if !newest.is_multiple_of(101) {
            market.cancel(0, order);
        }
    }
    let bytes = saved(&market.exchange);
    let mut copy = loaded(&bytes);
    copy.skip_audits();
    assert!(bytes == saved(&copy));
    for number in 0..300 {
        let (order, events) = market.enter(0, Side::Buy, 9_000_000 - number, 1);
        if number % 2 == 0 {
            market.cancel(0, order);
        }
        let last = market.commands.len() - usize::from(number % 2 == 0) - 1;
        for (place, stamped) in market.commands[last..].iter().enumerate() {
            let (told, _) = applied(&mut copy, stamped);
            assert!(place > 0 || told == events, "{order:?}");
        }
        newest = newest.max(order.0);
    }
    assert!(newest >> 32 > 0, "a slot was used a second time");
    assert_eq!(copy.digest(), market.exchange.digest());
}

#[test]
fn an_exchange_before_its_first_command_can_be_saved() {
    let new = Exchange::new();
    let copy = loaded(&saved(&new));
    assert_eq!(copy.digest(), new.digest());
    assert_eq!((copy.seq(), copy.accounts().len()), (0, 3));
}

/// A state in which every section has items, and how it was saved.
fn rich() -> Vec<u8> {
    let stream = streams::record(2, Features::ALL, 2_500);
    let mut exchange = Exchange::new();
    let mut best: (usize, Vec<u8>) = Default::default();
    for stamped in &stream {
        applied(&mut exchange, stamped);
        if stamped.seq > 500 && stamped.seq.is_multiple_of(25) {
            let bytes = saved(&exchange);
            let met = sections(&bytes)
                .iter()
                .filter(|(_, _, items)| *items > 0)
                .count();
            if met > best.0 {
                best = (met, bytes);
            }
        }
    }
    println!(
        "{} of {} sections have items, {} bytes",
        best.0,
        TAGS.len(),
        best.1.len()
    );
    best.1
}

#[test]
fn flipped_bits_are_refused_or_a_different_state_but_never_a_panic() {
    let bytes = rich();
    let mut random = Random::new(5);
    let (mut refused, mut different) = (0, 0);
    for (name, place, items) in sections(&bytes) {
        let places: Vec<usize> = (place.start..(place.start + 40).min(place.end))
            .chain(
                (0..30).map(|_| random.between(place.start as i64, place.end as i64 - 1) as usize),
            )
            .collect();
        for at in places {
            let bit = random.between(0, 7);
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            match Exchange::load(&mut &flipped[..]) {
                Err(error) => {
                    let words = error.to_string();
                    assert!(words.contains("damaged"), "{name} of {items}: {words}");
                    refused += 1;
                }
                // No bit is without meaning.
                Ok(other) => {
                    assert!(
                        saved(&other) == flipped,
                        "{name}: byte {at}, bit {bit} is lost"
                    );
                    different += 1;
                }
            }
        }
    }
    println!("{refused} refused, {different} made another state");
    assert!(refused > 500 && different > 100);
}

#[test]
fn cut_bytes_are_refused_with_the_section_that_is_not_whole() {
    let bytes = rich();
    for (name, place, items) in sections(&bytes) {
        for end in [
            place.start,
            place.start + 3,
            place.start + 11,
            place.end - 1,
        ] {
            let error = Exchange::load(&mut &bytes[..end]).expect_err("cut");
            let LoadError::Damaged {
                section,
                item,
                what,
            } = &error
            else {
                panic!("{name}: {error}");
            };
            assert!(what.contains("end here"), "{name} cut at {end}: {error}");
            assert!(*item <= items && !section.is_empty(), "{name}: {error}");
        }
    }
    for end in 0..8 {
        assert!(Exchange::load(&mut &bytes[..end]).is_err());
    }
    let more = [&bytes[..], &[0]].concat();
    let error = Exchange::load(&mut &more[..]).expect_err("longer");
    assert!(error.to_string().contains("bytes come after it"), "{error}");
}

#[test]
fn foreign_bytes_and_other_versions_are_named() {
    let bytes = saved(&Exchange::new());
    let error = Exchange::load(&mut &b"#!/bin/sh"[..]).expect_err("foreign");
    assert!(matches!(error, LoadError::Foreign { .. }), "{error}");
    let mut newer = bytes;
    newer[4] += 1;
    let error = Exchange::load(&mut &newer[..]).expect_err("newer");
    let known = engine::saved::VERSION;
    let newer = known + 1;
    let want = format!("the saved state has version {newer}, this program reads version {known}");
    assert_eq!(error.to_string(), want);
}

/// A reader that gives a byte at a time, and fails in the end.
struct Slow<'a>(&'a [u8]);

impl io::Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else {
            return Err(io::Error::other("the cable is out"));
        };
        buffer[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn errors_of_reader_and_writer_come_through() {
    let bytes = saved(&Exchange::new());
    let error = Exchange::load(&mut Slow(&bytes)).expect_err("it fails");
    assert!(error.to_string().contains("the cable is out"), "{error}");
    let mut small = [0_u8; 64];
    let error = Exchange::new().save(&mut &mut small[..]).expect_err("full");
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

/// The encoding of a small story. If this changes, saved states of before cannot be read any more, or
/// mean something else: give `engine::saved::VERSION` the next number, then this its new value.
#[test]
fn the_same_story_gives_the_same_bytes_for_ever() {
    let mut market = Market::open(3);
    for number in 0..5 {
        market.enter(0, Side::Buy, 9_000_000 - number, 10);
        market.enter(1, Side::Sell, 11_000_000 + number, 10);
    }
    market.enter(2, Side::Buy, 11_000_000, 4);
    market.run(Command::Tick);
    let digest = market.exchange.digest();
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        (engine::saved::VERSION, hex.as_str()),
        (6, "4b6bbd6f1ecb05cf")
    );
}

/// The encoding of what the gateway remembers of a small story. If this changes, give the `VERSION` of
/// `gateway/src/archive/saved.rs` the next number, then this its new value.
#[test]
fn the_same_past_gives_the_same_bytes_for_ever() {
    let mut market = Market::open(3);
    for number in 0..5 {
        market.enter(0, Side::Buy, 9_000_000 - number, 10);
        market.enter(1, Side::Sell, 11_000_000 + number, 10);
    }
    market.enter(2, Side::Buy, 11_000_000, 4);
    let (mut again, mut archive) = (Exchange::new(), gateway::archive::Archive::default());
    for stamped in &market.commands {
        let mut events = Vec::new();
        again.apply(stamped, &mut events);
        archive.index(stamped, &events);
    }
    let bytes = archive.save();
    let hex = blake3::hash(&bytes).to_hex();
    assert_eq!((bytes[0], &hex[..16]), (2, "5586326810e5a88c"));
    let loaded = gateway::archive::Archive::load(&bytes, again.seq()).expect("as saved");
    assert_eq!(
        loaded.save(),
        bytes,
        "and they are read as they were written"
    );
    let mut newer = bytes;
    newer[0] += 1;
    let error = gateway::archive::Archive::load(&newer, 0).expect_err("newer");
    assert!(
        error.contains("is of version 3, and this program reads 2"),
        "{error}"
    );
}
