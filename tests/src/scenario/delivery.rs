//! Lines of deliveries.
//!
//! `given delivery [interval S] [tolerance BP] [surcharge P%] [fee P%] [duty] [reserve P%] [attestors K]
//! [settle S] [dispute S] [grace S] [failures N]`, `given meter NAME proxy|pool|buyer|seller [attests]`;
//! `attest WHO THS by METER [site NAME] until +S`, `destination WHO ADDRESS WORKER [default] [unusable]
//! [difficulty N]`, `assign WHO obligation N destination N`, `read METER obligation N interval K
//! share PERMILLE difficulty D [at +S] [down S] [shares N] [early]`, `dispute WHO obligation N interval K claims TH`,
//! `decide N TH`, `force-majeure WHO begins|ends`, `retire METER`. Checks: `obligation N [escrow N] [bond N]
//! [paid N]`, and `capacity WHO [attested TH] [sellable TH] [committed TH] [open TH]`.
//!
//! A reading of `share 930` is 93.0 % of what its span expects, in whole shares.

use engine::{
    command::{
        AssignDestination, Attest, Command, CreditDeposit, Delivery, DisputeInterval, MeterReading,
        NewMeter, Rail, ResolveDispute, SetDeliveryRules, SetDeliverySuspension, SetDestination,
        Signed,
    },
    delivery::{MeterKind, Rules, StratumProtocol},
    event::{DeliveryEvent, Event},
    ids::{CommodityId, DestinationId, DisputeId, MeterId, ObligationId, house},
    units::{Nanos, Ppm, SECOND},
};

use super::{
    actions::Done,
    given::request,
    words::{Words, grouped, seconds, share},
    world::{HASHES, MONEY, World},
};

const KINDS: [(&str, MeterKind); 4] = [
    ("proxy", MeterKind::ExchangeProxy),
    ("pool", MeterKind::Pool),
    ("buyer", MeterKind::Buyer),
    ("seller", MeterKind::Seller),
];

const TERA: u128 = 1_000_000_000_000;

fn small<T: TryFrom<i64>>(number: i64) -> Result<T, String> {
    T::try_from(number).map_err(|_| format!("  {number} is out of range"))
}

/// `given delivery` and `given meter`.
pub(super) fn given(what: &str, mut words: Words<'_>) -> Result<Command, String> {
    let wish = if what == "meter" {
        let name = words.next("the meter's name")?;
        let kind = words.one_of(&KINDS).ok_or("  which kind of meter?")?;
        Delivery::RegisterMeter(NewMeter {
            name: name.into(),
            kind,
            public_key: key_of(name),
            attests: words.flag("attests"),
        })
    } else {
        let mut number = |name: &str, usual: i64| {
            let given = words.number(name)?;
            small(given.unwrap_or(usual))
        };
        let (interval_seconds, tolerance_bp) =
            (number("interval", 3_600)?, number("tolerance", 200)?);
        let settle_after_seconds = number("settle", 3_600)?;
        let (dispute_seconds, grace_seconds) = (number("dispute", 43_200)?, number("grace", 60)?);
        let mut few = |name: &str, usual: i64| small(words.number(name)?.unwrap_or(usual));
        let (attestors, failures) = (few("attestors", 1)?, few("failures", 3)?);
        let mut part = |name: &str, usual: i32| words.value(name)?.map_or(Ok(Ppm(usual)), share);
        let (surcharge, fee) = (part("surcharge", 50_000)?, part("fee", 0)?);
        let reserve = part("reserve", 0)?;
        Delivery::SetRules(SetDeliveryRules {
            commodity: HASHES,
            rules: Some(Rules {
                interval_seconds,
                tolerance_bp,
                surcharge,
                fee,
                capacity_duty: words.flag("duty"),
                reserve,
                attestors,
                settle_after_seconds,
                dispute_seconds,
                grace_seconds,
                failures,
            }),
        })
    };
    words.finish()?;
    Ok(Command::Delivery(request(wish)))
}

/// `given insurance MONEY`: the venue's first loss.
pub(super) fn insurance(amount: i64) -> Command {
    Command::CreditDeposit(request(CreditDeposit {
        account: house::INSURANCE,
        asset: MONEY,
        amount,
        rail: Rail::Sandbox,
    }))
}

/// A key that belongs to a name; nothing is signed in stories.
fn key_of(name: &str) -> [u8; 32] {
    let mut key = [0; 32];
    for (place, byte) in name.bytes().enumerate() {
        key[place % 32] ^= byte;
    }
    key
}

fn meter(world: &World, name: &str) -> Result<(MeterId, Signed), String> {
    let known = world
        .exchange
        .meters()
        .iter()
        .find(|meter| meter.name == name);
    let known = known.ok_or_else(|| format!("  unknown word {name:?}: no such meter"))?;
    let signed = Signed {
        public_key: known.public_key,
        signature: [7; 64],
    };
    Ok((known.id, signed))
}

fn start_of(world: &World, id: ObligationId, interval: i64) -> Result<(Nanos, Nanos), String> {
    let row = id
        .index()
        .and_then(|at| world.exchange.obligations().get(at));
    let row = row.ok_or("  no such obligation")?;
    let step = row.intervals.get(small::<usize>(interval - 1)?);
    Ok(step.map_or((Nanos(-1), Nanos(-1)), |step| (step.start, step.end)))
}

/// Runs one line, if it is about deliveries.
pub(super) fn act(world: &mut World, verb: &str, line: &str) -> Result<Option<Done>, String> {
    let mut words = Words::new(line);
    words.next("a command")?;
    let wish = match verb {
        "attest" => attest(world, &mut words)?,
        "destination" => Delivery::SetDestination(SetDestination {
            account: world.account(words.next("an account")?)?,
            id: DestinationId(small(words.number("id")?.unwrap_or(0))?),
            label: "pool".into(),
            commodity: HASHES,
            address: words.next("an address")?.into(),
            worker: words.next("a worker")?.into(),
            protocol: StratumProtocol::V1,
            account_default: words.flag("default"),
            usable: !words.flag("unusable"),
            share_difficulty: words.number("difficulty")?.unwrap_or(0),
        }),
        "assign" => Delivery::AssignDestination(AssignDestination {
            account: world.account(words.next("an account")?)?,
            obligation: obligation(&mut words)?,
            destination: DestinationId(small(words.number("destination")?.unwrap_or(0))?),
        }),
        "read" => read(world, &mut words)?,
        "dispute" => {
            let account = world.account(words.next("an account")?)?;
            let obligation = obligation(&mut words)?;
            let interval = words.number("interval")?.ok_or("  which interval?")?;
            Delivery::Dispute(DisputeInterval {
                account,
                obligation,
                start: start_of(world, obligation, interval)?.0,
                claimed_terahashes: words.number("claims")?.unwrap_or(0),
            })
        }
        "decide" => Delivery::Resolve(ResolveDispute {
            dispute: DisputeId(small(words.next_number("a dispute")?)?),
            decided_terahashes: words.next_number("terahashes")?,
        }),
        "force-majeure" => Delivery::Suspend(SetDeliverySuspension {
            account: world.account(words.next("an account")?)?,
            commodity: CommodityId::NONE,
            suspended: words
                .one_of(&[("begins", true), ("ends", false)])
                .ok_or("  begins or ends?")?,
        }),
        "retire" => Delivery::RetireMeter(meter(world, words.next("a meter")?)?.0),
        _ => return Ok(None),
    };
    words.finish()?;
    let events = world.apply(Command::Delivery(request(wish)))?;
    Ok(Some(Done::of(events)))
}

fn obligation(words: &mut Words<'_>) -> Result<ObligationId, String> {
    let number = words.number("obligation")?.ok_or("  which obligation?")?;
    small(number).map(ObligationId)
}

fn attest(world: &World, words: &mut Words<'_>) -> Result<Delivery, String> {
    let account = world.account(words.next("an account")?)?;
    let attested_ths = words.next_number("terahashes per second")?;
    let (meter, signed) = meter(world, words.value("by")?.ok_or("  by whom?")?)?;
    let until = words.value("until")?.map(seconds).transpose()?;
    Ok(Delivery::Attest(Attest {
        account,
        commodity: HASHES,
        attested_ths,
        measured_from: Nanos(world.now.0 - 86_400 * SECOND),
        measured_to: world.now,
        accepted_shares: 100_000,
        valid_until: world.now.after(1 + until.ok_or("  until when?")?),
        meter,
        site: words.value("site")?.unwrap_or("hall-1").into(),
        jurisdiction: "NO".into(),
        machine_class: "S21".into(),
        signed,
    }))
}

fn read(world: &World, words: &mut Words<'_>) -> Result<Delivery, String> {
    let (meter, signed) = meter(world, words.next("a meter")?)?;
    let obligation = obligation(words)?;
    let interval = words.number("interval")?.ok_or("  which interval?")?;
    let (start, end) = start_of(world, obligation, interval)?;
    let span = words.value("at")?.map(seconds).transpose()?;
    let end = span.map_or(end, |span| start.after(span));
    let difficulty = words.number("difficulty")?.unwrap_or(1).unsigned_abs();
    let rate = obligation
        .index()
        .and_then(|at| world.exchange.obligations().get(at));
    let expected = rate.map_or(0, |row| row.hashes_of(end.0 - start.0));
    let share = words.number("share")?.unwrap_or(0).unsigned_abs();
    let shares = expected * u128::from(share) / 1_000 / (1 << 32) / u128::from(difficulty);
    let shares = match words.number("shares")? {
        Some(shares) => shares.unsigned_abs(),
        None => u64::try_from(shares).map_err(|e| e.to_string())?,
    };
    Ok(Delivery::Read(MeterReading {
        meter,
        obligation,
        start,
        end,
        accepted_difficulty: shares * difficulty,
        accepted_shares: shares,
        mean_difficulty: if shares == 0 { 0 } else { difficulty },
        rejected_difficulty: 0,
        rejected_shares: 0,
        down_seconds: small(words.number("down")?.unwrap_or(0))?,
        blocks_found: 0,
        committed: !words.flag("early"),
        signed,
    }))
}

fn terahashes(hashes: u128) -> String {
    grouped(i64::try_from(hashes / TERA).unwrap_or(i64::MAX))
}

/// Phrases of a delivery's events; readings are told only to those who ask for `reading`, capacity for
/// `capacity`.
pub(super) fn told(world: &World, event: &Event, wish: &str) -> Option<String> {
    let Event::Delivery(event) = event else {
        return None;
    };
    Some(match &**event {
        DeliveryEvent::Obligation(row) => {
            let (state, id) = (format!("{:?}", row.state).to_uppercase(), row.id.0);
            let cause = row
                .cause
                .map_or(String::new(), |cause| format!(" {cause:?}"));
            let uncovered = if row.uncovered { " uncovered" } else { "" };
            let who = if wish.contains(" owes ") {
                let (seller, buyer) = (
                    world.account_name(row.seller),
                    world.account_name(row.buyer),
                );
                format!(" {seller} owes {} to {buyer}", grouped(row.lots.0))
            } else {
                String::new()
            };
            format!("obligation {id}{who} is {state}{cause}{uncovered}")
        }
        DeliveryEvent::Interval(row) if wish.contains("reading") => {
            let short = row.shortfall / TERA;
            let verdict = if short > 0 {
                format!(" short {}", terahashes(row.shortfall))
            } else {
                String::new()
            };
            format!(
                "reading {} of {}{verdict}",
                terahashes(row.accepted),
                terahashes(row.expected)
            )
        }
        DeliveryEvent::Settlement(row) => {
            let mut text = format!(
                "settles {} pays {}",
                row.obligation.0,
                grouped(row.payment.0)
            );
            for (name, amount) in [
                ("charge", row.charge),
                ("index", row.difference),
                ("fee", row.fee),
                ("returns", row.returned),
                ("bond", row.bond_released),
                ("insured", row.insured),
            ] {
                if amount.0 != 0 {
                    text += &format!(" {name} {}", grouped(amount.0));
                }
            }
            text
        }
        DeliveryEvent::Dispute(row) => match row.decided {
            Some(work) => format!("dispute {} decided {}", row.id.0, terahashes(work)),
            None => format!("dispute {} opened", row.id.0),
        },
        DeliveryEvent::Capacity(row) if wish.contains("capacity") => {
            format!("capacity {}", terahashes(row.attested))
        }
        _ => return None,
    })
}

/// Rows of an obligation or a seller's capacity.
pub(super) fn rows(
    world: &World,
    what: &str,
    words: &mut Words<'_>,
) -> Result<Vec<(&'static str, i64)>, String> {
    if what == "obligation" {
        let place: usize = small(words.next_number("a number")?)?;
        let row = place
            .checked_sub(1)
            .and_then(|at| world.exchange.obligations().get(at));
        let row = row.ok_or("  no such obligation")?;
        let lots = row.lots;
        let (escrow, bond, paid) = (row.escrow.0, row.bond.0, row.paid_money.0);
        return Ok(vec![
            ("escrow", escrow),
            ("bond", bond),
            ("paid", paid),
            ("lots", lots),
        ]);
    }
    let account = world.account(words.next("an account")?)?;
    let row = world
        .exchange
        .capacity(account, HASHES)
        .ok_or("  nothing is delivered")?;
    let wide = |hashes: u128| i64::try_from(hashes / TERA).unwrap_or(i64::MAX);
    Ok(vec![
        ("attested", wide(row.attested)),
        ("sellable", wide(row.sellable)),
        ("committed", wide(row.committed)),
        ("open", wide(row.open)),
    ])
}
