//! `margin [price P%] [difficulty D%] [fees SHARE% RANGE%] [retarget DOWN% UP%] [extreme E%]
//! [tenors DAYS:SHARE% ...] [delivery D%] [adjacent A%] [other O%] [blocks +S] [every N notice +S]
//! [halving HEIGHT days DAYS]`: how far the hashprice of the forwards may go, and what stands against what.
//! `tenors` ends the line.

use engine::{
    command::{ChainCalendar, Command, MarginMethod, SubsidyStep, Tenor},
    ids::FeedId,
    margin::Ranges,
    units::{MILLISECOND, Ppm, SECOND},
};

use super::{
    given::request,
    words::{Words, number, seconds, share},
    world::{HASHES, MONEY, World},
};

/// The chain of `given oracle`.
const CHAIN: FeedId = FeedId(1);

pub(super) fn method(_: &World, words: &mut Words<'_>) -> Result<Command, String> {
    let tenors = words.rest_after("tenors");
    let tenors = tenors.into_iter().map(|text| {
        let (days, part) = text.split_once(':').ok_or("  a tenor is DAYS:SHARE%")?;
        Ok(Tenor {
            days: u16::try_from(number(days)?).map_err(|e| e.to_string())?,
            share: share(part)?,
        })
    });
    let tenors = tenors.collect::<Result<Vec<_>, String>>()?;
    let (fee_share, fees) = words.shares("fees")?.unwrap_or_default();
    let (retarget_down, retarget_up) = words.shares("retarget")?.unwrap_or_default();
    let mut part = |name| words.value(name)?.map_or(Ok(Ppm(0)), share);
    let ranges = Ranges {
        price: part("price")?,
        difficulty: part("difficulty")?,
        fee_share,
        fees,
        retarget_down,
        retarget_up,
        extreme_counts: part("extreme")?,
    };
    let (delivery, adjacent_credit) = (part("delivery")?, part("adjacent")?);
    let other_credit = part("other")?;
    Ok(Command::SetMarginMethod(request(MarginMethod {
        commodity: HASHES,
        asset: MONEY,
        ranges,
        tenors,
        delivery,
        adjacent_credit,
        other_credit,
        calendar: calendar(words)?,
    })))
}

fn calendar(words: &mut Words<'_>) -> Result<Option<ChainCalendar>, String> {
    let Some(block) = words.value("blocks")?.map(seconds).transpose()? else {
        return Ok(None);
    };
    let small = |value: i64| u16::try_from(value).map_err(|e| e.to_string());
    let halving = words.number("halving")?;
    let step = match halving {
        Some(height) => Some(SubsidyStep {
            height: height.unsigned_abs(),
            left: Ppm(500_000),
            notice_days: small(words.number("days")?.ok_or("  how many days of notice?")?)?,
        }),
        None => None,
    };
    let every = words.number("every")?.unwrap_or(0);
    let notice = words.value("notice")?.map_or(Ok(0), seconds)?;
    Ok(Some(ChainCalendar {
        feed: CHAIN,
        block_ms: u32::try_from(block / MILLISECOND).map_err(|e| e.to_string())?,
        retarget_blocks: u32::try_from(every).map_err(|e| e.to_string())?,
        retarget_notice_hours: small(notice / (3_600 * SECOND))?,
        step,
    }))
}
