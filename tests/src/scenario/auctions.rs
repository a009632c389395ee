//! Words of auctions: what a contract's volatility check is, and what a call would do.
//!
//! `given ... volatility +SECONDS MOVE%`; told, to those who ask: `auction [of NAME] LOTS @ PRICE
//! surplus N` or `auction of nothing`.

use engine::{
    event::AuctionChange,
    instrument::Volatility,
    units::{MILLISECOND, Ticks},
};

use super::{
    words::{Words, grouped, seconds, share},
    world::World,
};

/// `volatility +SECONDS MOVE%`, if it stands there.
pub(super) fn volatility(words: &mut Words<'_>) -> Result<Volatility, String> {
    let Some((window, most)) = words.pair("volatility")? else {
        return Ok(Volatility::default());
    };
    let window = seconds(window)? / MILLISECOND;
    Ok(Volatility {
        window_ms: i32::try_from(window).map_err(|e| e.to_string())?,
        move_ppm: share(most)?.0,
    })
}

/// What an auction would do, or did.
pub(super) fn tell_change(world: &World, change: &AuctionChange) -> String {
    let whose = if world.contracts.len() > 1 {
        format!("of {} ", world.contract_name(change.instrument))
    } else {
        String::new()
    };
    match change.price {
        None => format!("auction {whose}finds nothing"),
        Some(Ticks(price)) => {
            let (lots, price) = (grouped(change.lots.0), grouped(price));
            let surplus = grouped(change.imbalance.0);
            format!("auction {whose}{lots} @ {price} surplus {surplus}")
        }
    }
}
