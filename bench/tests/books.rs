//! All books say the same, word for word, about the same flow.

use bench::{
    books::{BareBook, Report, Room, hashpit::Hashpit},
    flows::{self, Flow, Message, Reference, Shape, Side},
    workload::{self, Random},
};

#[path = "../peers/mod.rs"]
mod peers;

/// Large enough for every part of a flow, small enough for a build without optimisation.
fn small(shape: Shape) -> Flow {
    Flow::new(shape.small(1_000, 8_000))
}

fn shapes() -> impl Iterator<Item = Shape> {
    flows::ALL.into_iter().chain([flows::SPARSE_IN_BAND])
}

#[test]
fn every_book_gives_the_reports_of_the_reference() {
    for shape in shapes() {
        let flow = small(shape);
        assert!(flow.tally.fills > 300, "{}", flow.describe());
        let (mut expected, mut given) = (Vec::new(), Vec::new());
        for entrant in peers::ALL {
            let mut reference = Reference::default();
            let mut book = (entrant.make)(&flow.room);
            for (number, message) in flow.prelude.iter().chain(&flow.messages).enumerate() {
                expected.clear();
                given.clear();
                reference.apply(message, &mut expected);
                book.apply(message, &mut given);
                assert_eq!(
                    given, expected,
                    "{} in {}, message {number}: {message:?}",
                    entrant.name, shape.name
                );
            }
        }
    }
}

/// A book may take a batch apart; what it says must not depend on where batches end.
#[test]
fn batches_change_nothing() {
    for shape in shapes() {
        let flow = small(shape);
        for size in [1, 7, 256, usize::MAX] {
            let mut book = Hashpit::new(&flow.room);
            let mut out = Vec::new();
            for batch in flow.prelude.chunks(size) {
                book.apply_batch(batch, &mut out);
            }
            let mut tally = flows::Tally::default();
            for batch in flow.messages.chunks(size) {
                out.clear();
                book.apply_batch(batch, &mut out);
                tally.count(&out);
            }
            assert_eq!(tally, flow.tally, "{} in batches of {size}", shape.name);
        }
    }
}

/// What no flow holds: ids used twice, ended, or never seen, and orders for nothing.
#[test]
fn nonsense_is_rejected_like_by_the_reference() {
    let room = Room {
        books: 2,
        ids: 4_000,
        live: 4_000,
        prices: (1, 200_000),
    };
    let mut random = Random::new(17);
    let (mut reference, mut ours) = (Reference::default(), Hashpit::new(&room));
    let (mut expected, mut given) = (Vec::new(), Vec::new());
    let mut rejected = 0;
    for step in 0..60_000 {
        let id = random.below(room.ids as u64) as u32;
        let message = match random.below(4) {
            // A client knows its order's book; an id nobody knows may come from anywhere.
            0 => Message::Cancel {
                book: reference.where_is(id).unwrap_or(0),
                id,
            },
            kind => {
                let book = random.below(2) as u16;
                let far = if random.below(10) == 0 { 100_000 } else { 20 };
                let price = 100_000 + random.below(2 * far) as i64 - far as i64 + 1;
                let side = [Side::Buy, Side::Sell][random.index(2)];
                let lots = random.below(10) as u32;
                if kind == 1 {
                    Message::Cross {
                        book,
                        side,
                        id,
                        lots,
                        price,
                    }
                } else {
                    Message::Add {
                        book,
                        side,
                        id,
                        lots,
                        price,
                    }
                }
            }
        };
        expected.clear();
        given.clear();
        reference.apply(&message, &mut expected);
        ours.apply(&message, &mut given);
        assert_eq!(given, expected, "step {step}: {message:?}");
        rejected += usize::from(matches!(expected[..], [Report::Rejected { .. }]));
    }
    assert!(rejected > 10_000, "{rejected} rejected");
}

/// The same flows on every machine, for ever: published figures depend on it.
#[test]
fn flows_are_what_they_were() {
    let digests: Vec<(&str, u64)> = shapes()
        .map(|shape| (shape.name, small(shape).tally.digest))
        .collect();
    let expected = EXPECTED;
    assert_eq!(digests, expected, "a flow changed: say so in FLOWS.md");
}

const EXPECTED: &[(&str, u64)] = &[
    ("balanced", 0xd0c75e51a51a7375),
    ("hot", 0xce57c11cbcef8729),
    ("deep", 0x60f08d7e00ced245),
    ("static", 0x868a56677c6ff46b),
    ("trending", 0xd24d5dacf2c1cf3f),
    ("swing25", 0xbf11ccbe3ddb428),
    ("swing40", 0x49cd994ef2fa043),
    ("crash", 0x23ac9979c8c86ef1),
    ("queue", 0xbb24ebabe58cf83),
    ("sparse", 0xf9e7a441dffc4a5b),
    ("zipf", 0xa44bd89af5f20d49),
    ("sparse", 0xdaf2c3727c193384),
];

/// The full exchange takes every bare flow, and does again what it did.
#[test]
fn flows_become_commands() {
    for shape in [flows::SWING_40, flows::CRASH, flows::SPARSE_IN_BAND] {
        let flow = workload::Flow::mapped(shape.small(1_000, 4_000), 4_000);
        let (mut exchange, mut out) = (flow.start.clone(), Vec::new());
        let mut tally = workload::Tally::default();
        for stamped in &flow.commands {
            out.clear();
            exchange.apply(stamped, &mut out);
            tally.count(&out);
        }
        assert_eq!(tally, flow.tally, "{}", shape.name);
        assert_eq!(exchange.audit(), Ok(()), "{}", shape.name);
    }
}
