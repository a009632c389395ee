//! Lines about requests for quote.
//!
//! `rfq WHO LOTS #KEY [legs A+1,B-2] [min LOTS] [side buy|sell] [ask FIRM,FIRM] [by +S]` asks (the first contract if no
//! leg is named; `+` is bought by the package's buyer; `by` as in `blocks`),
//! `rfq-quote WHO RFQ #KEY [bid LOTS@PRICE] [offer LOTS@PRICE] [by +S]`, `rfq-pull WHO RFQ QUOTE`,
//! `accept WHO RFQ buy|sell LOTS @ LIMIT #KEY [several]`, `rfq-cancel WHO RFQ`.
//! Told: `rfq N STATE FILLED`, `quote N STATE [REASON]`, `accepted LOTS in N trades`, `accepted nothing REASON`.

use engine::{
    command::{
        AcceptQuote, CancelRfq, Command, CreateRfq, Origin, PullQuote, QuotedSide, RfqLeg,
        RfqTerms, RfqWish, Side, SubmitQuote,
    },
    event::{RfqEvent, RfqQuoteState, RfqState},
    ids::FirmId,
    units::{Lots, Nanos, Ticks},
};

use super::{
    actions::Done,
    blocks::this_hour,
    words::{Words, grouped, number, reason, seconds},
    world::World,
};

const SIDES: [(&str, Side); 2] = [("buy", Side::Buy), ("sell", Side::Sell)];

/// Runs one line, if it is one of these.
pub(super) fn act(world: &mut World, verb: &str, line: &str) -> Result<Option<Done>, String> {
    let mut words = Words::new(line);
    words.next("a command")?;
    if !["rfq", "rfq-quote", "rfq-pull", "rfq-cancel", "accept"].contains(&verb) {
        return Ok(None);
    }
    let origin = Origin {
        account: world.account(words.next("an account")?)?,
        ..Origin::default()
    };
    let wish = match verb {
        "rfq" => RfqWish::Create(create(world, origin, &mut words)?),
        "rfq-quote" => {
            let client_id = words.tagged()?.ok_or("  under which key?")?;
            let bid = words.value("bid")?.map(quoted).transpose()?;
            let ask = words.value("offer")?.map(quoted).transpose()?;
            let valid_until = until(world, &mut words)?;
            RfqWish::Quote(SubmitQuote {
                origin,
                rfq: words.next_number("a request")?.cast_unsigned(),
                client_id,
                bid,
                ask,
                valid_until,
            })
        }
        "rfq-pull" => RfqWish::Pull(PullQuote {
            origin,
            rfq: words.next_number("a request")?.cast_unsigned(),
            quote: words.next_number("a quote")?.cast_unsigned(),
        }),
        "rfq-cancel" => RfqWish::Cancel(CancelRfq {
            origin,
            rfq: words.next_number("a request")?.cast_unsigned(),
        }),
        _ => {
            let client_id = words.tagged()?.ok_or("  under which key?")?;
            let several = words.flag("several");
            let limit = Ticks(words.number("@")?.ok_or("  at which limit?")?);
            let side = words.one_of(&SIDES).ok_or("  buy or sell?")?;
            RfqWish::Accept(AcceptQuote {
                origin,
                rfq: words.next_number("a request")?.cast_unsigned(),
                side,
                limit,
                lots: Lots(words.next_number("lots")?),
                several,
                client_id,
            })
        }
    };
    words.finish()?;
    let command = Command::Rfq(Box::new(wish));
    Ok(Some(Done::of(world.apply(command)?)))
}

fn create(world: &World, origin: Origin, words: &mut Words<'_>) -> Result<CreateRfq, String> {
    let legs = match words.value("legs")? {
        None => vec![leg(world, None, Side::Buy, 1)?],
        Some(text) => {
            let mut legs = Vec::new();
            for word in text.split(',') {
                let at = word.find(['+', '-']).ok_or("  which side of the leg?")?;
                let side = if word[at..].starts_with('+') {
                    Side::Buy
                } else {
                    Side::Sell
                };
                legs.push(leg(
                    world,
                    Some(&word[..at]),
                    side,
                    number(&word[at + 1..])?,
                )?);
            }
            legs
        }
    };
    let firm = |name: &str| {
        let known = world.firms.iter().find(|(known, _)| known == name);
        known.map_or(FirmId(u32::MAX), |(_, id)| *id)
    };
    let asked = words.value("ask")?;
    let side = match words.value("side")? {
        None => None,
        Some("buy") => Some(Side::Buy),
        Some("sell") => Some(Side::Sell),
        Some(other) => return Err(format!("  what is {other}?")),
    };
    let terms = RfqTerms {
        legs,
        min_lots: Lots(words.number("min")?.unwrap_or(0)),
        side,
        disclosed: false,
        makers: asked.map_or_else(Vec::new, |names| names.split(',').map(firm).collect()),
        expire: until(world, words)?,
        lots: Lots::ZERO,
    };
    let client_id = words.tagged()?.ok_or("  under which key?")?;
    let lots = Lots(words.next_number("lots")?);
    Ok(CreateRfq {
        origin,
        client_id,
        terms: RfqTerms { lots, ..terms },
    })
}

fn leg(world: &World, name: Option<&str>, side: Side, ratio: i64) -> Result<RfqLeg, String> {
    Ok(RfqLeg {
        instrument: world.contract(name)?,
        side,
        ratio,
    })
}

fn until(world: &World, words: &mut Words<'_>) -> Result<Nanos, String> {
    let span = words.value("by")?.map_or(seconds("+7200"), seconds)?;
    Ok(Nanos(this_hour(world).0 + span))
}

fn quoted(text: &str) -> Result<QuotedSide, String> {
    let (lots, price) = text.split_once('@').ok_or("  LOTS@PRICE")?;
    Ok(QuotedSide {
        price: Ticks(number(price)?),
        lots: Lots(number(lots)?),
    })
}

/// In a story's words.
pub(super) fn told(event: &RfqEvent) -> String {
    match event {
        RfqEvent::Request(change) => {
            let state = match change.state {
                RfqState::Open => "open".into(),
                RfqState::PartlyFilled => format!("partly filled {}", grouped(change.filled.0)),
                RfqState::Filled => "filled".into(),
                RfqState::Cancelled => "cancelled".into(),
                RfqState::Expired => "expired".into(),
            };
            format!("rfq {} {state}", change.rfq)
        }
        RfqEvent::Quote(change) => {
            let state = match change.state {
                RfqQuoteState::Live => "live",
                RfqQuoteState::Traded => "traded",
                RfqQuoteState::Replaced => "replaced",
                RfqQuoteState::Cancelled => "cancelled",
                RfqQuoteState::Expired => "expired",
            };
            let why = change.problem.map(|problem| reason(problem.reason));
            let why = why.map_or_else(String::new, |why| format!(" {why}"));
            format!("quote {} {state}{why}", change.quote)
        }
        RfqEvent::Accepted(done) => match done.problem {
            Some(problem) => format!("accepted nothing {}", reason(problem.reason)),
            None => {
                let (lots, trades) = (grouped(done.filled.0), done.trades.len());
                format!("accepted {lots} in {trades} trades")
            }
        },
    }
}
