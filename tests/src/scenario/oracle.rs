//! Lines of sources outside.
//!
//! `given oracle NAME NAME ... [priced] [agreeing N] [halt +S] [settle +S] [exponent E] [submitted]` registers the sources for
//! the chain, with `priced` for the coin's price as well, and for values of the index; `submitted` leaves out the
//! formula. `node NAME height H [fees F] [bits HEX] [fork N] [seq N] [ago +S]`, `price NAME P [seq N] [ago +S]`,
//! `header NAME height H [fork N] [depth N]`, `sign NAME indicative|daily|restate ROUND VALUE`,
//! `source NAME weight N|off`, `method version N`, and `samples N [NAME ...]`: so many steps of 15 s, before each
//! of which the named sources (or all) say again what they said last. `index value V valid N quality N ...` looks.
//! Signatures are the gateway's to check; here they are empty.

use engine::{
    command::{
        Command, FeedKind, Formula, Header, Observation, Report, Scope, SetFeed, SetMethod,
        SetSource, SignValue, SubmitHeader, Tip, ValueKind,
    },
    event::{Event, RoundKind, Standing},
    ids::FeedId,
    index::fixing::SAMPLE,
    units::{Decimal, MILLISECOND, Nanos, SECOND},
};

use super::{
    actions::Done,
    given::request,
    words::{Words, decimal, grouped, number, seconds},
    world::{INDEX, World},
};

/// The chain that the index of every story reads.
const CHAIN: FeedId = FeedId(1);
/// Price of its coin, if it has one.
const PRICE: FeedId = FeedId(2);
/// Difficulty 148,200,069,082,773.
const BITS: u32 = 0x1701_e636;
/// Millisat.
const EXPONENT: i32 = -11;

/// What a source said last.
#[derive(Clone, Debug)]
pub(super) struct Source {
    name: String,
    key: [u8; 32],
    sequence: u64,
    tip: Option<Tip>,
    price: Option<Decimal>,
}

impl Source {
    fn named(name: &str) -> Self {
        let mut key = [0; 32];
        for (place, byte) in name.bytes().take(32).enumerate() {
            key[place] = byte;
        }
        Self {
            name: name.into(),
            key,
            sequence: 0,
            tip: None,
            price: None,
        }
    }
}

fn must(world: &mut World, command: Command) -> Result<(), String> {
    let events = world.apply(command)?;
    let refused = events.iter().find_map(|event| match event {
        Event::Refused(refused) => Some(refused.problem),
        _ => None,
    });
    refused.map_or(Ok(()), |problem| Err(format!("  refused: {problem:?}")))
}

fn millis(text: Option<&str>, none: i64) -> Result<u32, String> {
    let span = text.map_or(Ok(none), |text| {
        seconds(text).map(|span| span / MILLISECOND)
    });
    u32::try_from(span?).map_err(|error| error.to_string())
}

fn count(value: Option<i64>, none: u8) -> Result<u8, String> {
    value.map_or(Ok(none), |n| u8::try_from(n).map_err(|e| e.to_string()))
}

/// `given oracle ...`.
pub(super) fn given(world: &mut World, mut words: Words<'_>) -> Result<(), String> {
    let priced = words.flag("priced");
    let submitted = words.flag("submitted");
    let agreeing = count(words.number("agreeing")?, 2)?;
    let exponent = words.number("exponent")?.unwrap_or(EXPONENT.into());
    let exponent = i32::try_from(exponent).map_err(|error| error.to_string())?;
    let halt_after_ms = millis(words.value("halt")?, 60_000)?;
    let settle_after_ms = millis(words.value("settle")?, 0)?;
    let feed = |name: &str, kind, stale_ms| {
        Command::SetFeed(request(SetFeed {
            name: name.into(),
            kind,
            agreeing,
            stale_ms,
        }))
    };
    must(world, feed("BTC", FeedKind::Chain { depth: 6 }, 600_000))?;
    let mut scopes = vec![Scope::Feed(CHAIN), Scope::Index(INDEX)];
    if priced {
        must(
            world,
            feed("COIN/BTC", FeedKind::Price { exponent: -8 }, 10_000),
        )?;
        scopes.push(Scope::Feed(PRICE));
    }
    while words.peek().is_some() {
        let source = Source::named(words.next("a source")?);
        for scope in &scopes {
            must(world, register(&source, *scope, 1, true))?;
        }
        world.sources.push(source);
    }
    let method = SetMethod {
        index: INDEX,
        version: 1,
        formula: if submitted {
            Formula::Submitted
        } else {
            Formula::Sha256
        },
        chains: if submitted { vec![] } else { vec![CHAIN] },
        prices: if priced { vec![PRICE] } else { vec![] },
        agreeing,
        exponent,
        halt_after_ms,
        settle_after_ms,
    };
    must(world, Command::SetMethod(request(method)))
}

fn register(source: &Source, scope: Scope, weight: u8, active: bool) -> Command {
    Command::SetSource(request(SetSource {
        scope,
        name: source.name.clone(),
        public_key: source.key,
        weight,
        active,
    }))
}

fn source<'a>(world: &'a mut World, name: &str) -> &'a mut Source {
    let at = world.sources.iter().position(|known| known.name == name);
    let at = at.unwrap_or_else(|| {
        // Somebody whom nobody registered.
        world.sources.push(Source::named(name));
        world.sources.len() - 1
    });
    &mut world.sources[at]
}

/// Runs one line, if it is a source's.
pub(super) fn act(world: &mut World, verb: &str, line: &str) -> Result<Option<Done>, String> {
    let mut words = Words::new(line);
    words.next("a command")?;
    let command = match verb {
        "samples" => return samples(world, words).map(Some),
        "node" | "price" => {
            let name = words.next("a source")?;
            report(world, verb, name, &mut words)?
        }
        "header" => header(world, &mut words)?,
        "sign" => {
            let key = source(world, words.next("a source")?).key;
            let kinds = [
                ("indicative", ValueKind::Indicative),
                ("daily", ValueKind::Daily),
                ("restate", ValueKind::Restatement),
            ];
            let kind = words.one_of(&kinds).ok_or("  which kind?")?;
            let round = words.next_number("a round")?.unsigned_abs();
            let mut value = decimal(words.next("a value")?)?;
            value.exponent -= 8; // written in sat, told in BTC
            Command::SignValue(Box::new(SignValue {
                index: INDEX,
                kind,
                round,
                value,
                public_key: key,
                signature: [0; 64],
            }))
        }
        "source" => {
            let source = source(world, words.next("a source")?).clone();
            let weight = count(words.number("weight")?, 1)?;
            let active = !words.flag("off");
            let on_price = world.exchange.feeds().len() > 1;
            words.finish()?;
            for scope in [Scope::Index(INDEX), Scope::Feed(PRICE)] {
                if on_price || scope != Scope::Feed(PRICE) {
                    must(world, register(&source, scope, weight, active))?;
                }
            }
            let command = register(&source, Scope::Feed(CHAIN), weight, active);
            return Ok(Some(Done::of(world.apply(command)?)));
        }
        "method" => {
            let present = world
                .exchange
                .rounds(INDEX)
                .and_then(|row| row.method.clone());
            let mut method = present.ok_or("  no method is given")?;
            method.version = u32::try_from(words.number("version")?.unwrap_or(0)).unwrap_or(0);
            Command::SetMethod(request(method))
        }
        _ => return Ok(None),
    };
    words.finish()?;
    Ok(Some(Done::of(world.apply(command)?)))
}

fn report(
    world: &mut World,
    verb: &str,
    name: &str,
    words: &mut Words<'_>,
) -> Result<Command, String> {
    let ago = words.value("ago")?.map_or(Ok(0), seconds)?;
    let sequence = words.unsigned("seq")?;
    let observed = Nanos(world.now.0 + 1 - ago);
    let feed = if verb == "node" { CHAIN } else { PRICE };
    let observation = if verb == "node" {
        let height = words.unsigned("height")?.ok_or("  which height?")?;
        let bits = words.value("bits")?;
        let bits = bits.map_or(Ok(BITS), |hex| u32::from_str_radix(hex, 16));
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&height.to_le_bytes());
        hash[8] = count(words.number("fork")?, 0)?;
        Observation::Tip(Tip {
            height,
            hash,
            bits: bits.map_err(|error| error.to_string())?,
            blocks: 144,
            fees: words.unsigned("fees")?.unwrap_or(230_400_000).into(),
            work: 0,
            daa: 0,
        })
    } else {
        Observation::Price(decimal(words.next("a price")?)?)
    };
    let source = source(world, name);
    match observation {
        Observation::Tip(tip) => source.tip = Some(tip),
        Observation::Price(price) => source.price = Some(price),
    }
    Ok(said(source, feed, sequence, observed, observation))
}

fn said(
    source: &mut Source,
    feed: FeedId,
    sequence: Option<u64>,
    observed: Nanos,
    observation: Observation,
) -> Command {
    source.sequence += 1;
    Command::Report(Box::new(Report {
        feed,
        sequence: sequence.unwrap_or(source.sequence),
        observed,
        observation,
        public_key: source.key,
        signature: [0; 64],
    }))
}

fn header(world: &mut World, words: &mut Words<'_>) -> Result<Command, String> {
    let key = source(world, words.next("a source")?).key;
    let height = words.unsigned("height")?.ok_or("  which height?")?;
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&height.to_le_bytes());
    hash[8] = count(words.number("fork")?, 0)?;
    let depth = words.number("depth")?.unwrap_or(6);
    Ok(Command::SubmitHeader(Box::new(SubmitHeader {
        feed: CHAIN,
        header: Header {
            height,
            hash,
            bits: BITS,
            time: Nanos(SECOND),
        },
        depth: u32::try_from(depth).map_err(|error| error.to_string())?,
        public_key: key,
        signature: [0; 64],
    })))
}

fn samples(world: &mut World, mut words: Words<'_>) -> Result<Done, String> {
    let steps = number(words.next("how many")?)?;
    let mut names = Vec::new();
    while words.peek().is_some() {
        names.push(words.next("a source")?.to_owned());
    }
    let mut events = Vec::new();
    for _ in 0..steps {
        let step = (world.now.0.div_euclid(SAMPLE) + 1) * SAMPLE;
        let before = Nanos(step - SECOND);
        world.now = before.max(world.now);
        run_due(world, &mut events)?;
        for place in 0..world.sources.len() {
            let source = &world.sources[place];
            if !names.is_empty() && !names.contains(&source.name) {
                continue;
            }
            let tip = source.tip.map(|tip| (CHAIN, Observation::Tip(tip)));
            let price = source.price.map(|price| (PRICE, Observation::Price(price)));
            for (feed, seen) in tip.into_iter().chain(price) {
                let observed = world.now.after(1);
                let command = said(&mut world.sources[place], feed, None, observed, seen);
                must(world, command)?;
            }
        }
        world.now = Nanos(step);
        run_due(world, &mut events)?;
    }
    Ok(Done::of(events))
}

/// Runs the timers that are due.
fn run_due(world: &mut World, events: &mut Vec<Event>) -> Result<(), String> {
    let due = |world: &World| world.exchange.next_deadline();
    while due(world).is_some_and(|due| due <= world.now.after(1)) {
        events.extend(world.apply(Command::Tick)?);
    }
    Ok(())
}

/// What became of it; samples only for those who ask.
pub(super) fn told(event: &Event, wish: &str) -> Option<String> {
    let value = |value: Option<Decimal>| value.map_or(0, millisat);
    Some(match event {
        Event::Quality(change) => format!("index {:?}", change.quality).to_lowercase(),
        Event::ChainHeight(change) => {
            format!(
                "chain at {}",
                grouped(i64::try_from(change.header.height).ok()?)
            )
        }
        Event::Round(round) if round.kind == RoundKind::Sample => {
            if !wish.contains("sample ") {
                return None;
            }
            let out = |input: &&engine::event::Input| input.standing == Standing::Excluded;
            let out = round.inputs.iter().filter(out).count();
            format!("sample {} without {out}", grouped(value(round.value)))
        }
        Event::Round(round) => {
            let day = grouped(i64::try_from(round.number).ok()?);
            match (round.kind, round.basis) {
                (RoundKind::Postponed, _) | (_, None) => format!("day {day} postponed"),
                (RoundKind::Restated, _) => {
                    format!("day {day} restated {}", grouped(value(round.value)))
                }
                (_, Some(basis)) => {
                    let basis = format!("{basis:?}").to_lowercase();
                    format!("day {day} at {} by {basis}", grouped(value(round.value)))
                }
            }
        }
        _ => return None,
    })
}

fn millisat(value: Decimal) -> i64 {
    let fine = Decimal {
        mantissa: 1,
        exponent: EXPONENT,
    };
    value.ratio(fine).unwrap_or(0)
}

/// Numbers of the index.
pub(super) fn rows(world: &World) -> Result<Vec<(&'static str, i64)>, String> {
    let rounds = world.exchange.rounds(INDEX).ok_or("  no oracle is given")?;
    let index = &world.exchange.indexes()[0];
    let value = index.value.map_or(0, |value| {
        value
            .ratio(Decimal {
                mantissa: 1,
                exponent: EXPONENT,
            })
            .unwrap_or(0)
    });
    let height = world.exchange.chain_height("BTC");
    let wide = |number: u64| i64::try_from(number).unwrap_or(-1);
    Ok(vec![
        ("value", value),
        ("valid", rounds.samples.count().into()),
        ("quality", rounds.quality as i64),
        ("pending", i64::try_from(rounds.pending.len()).unwrap_or(-1)),
        ("settled", wide(rounds.settled)),
        (
            "kept",
            i64::try_from(rounds.samples_kept.len()).unwrap_or(-1),
        ),
        ("height", height.map_or(0, |header| wide(header.height))),
    ])
}
