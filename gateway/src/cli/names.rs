//! Numbers of the wire as the words people use: symbols, assets, states, sides, times.

use std::collections::HashMap;

use anyhow::{Result, bail};
use jiff::{Timestamp, tz::Offset};
use proto::{
    common::v1::{Side, TradingState},
    reference::v1::{Asset, GetInstrumentRequest, Instrument, get_instrument_request::Key},
};

use super::amounts;
use crate::client::{Client, ClientError};

/// Symbols and assets, fetched once per command.
pub(super) struct Names {
    instruments: HashMap<i32, Instrument>,
    assets: HashMap<i32, Asset>,
}

impl Names {
    /// Asks the exchange.
    pub(super) async fn fetch(client: &Client) -> Result<Self> {
        let (instruments, assets) = tokio::try_join!(client.instruments(), client.assets())?;
        Ok(Self {
            instruments: instruments
                .into_iter()
                .map(|i| (i.instrument_id, i))
                .collect(),
            assets: assets.into_iter().map(|a| (a.asset_id, a)).collect(),
        })
    }

    /// As [`Self::fetch`], with the contracts that are settled: for looking back.
    pub(super) async fn fetch_with_past(client: &Client) -> Result<Self> {
        let (past, now) = tokio::try_join!(client.every_instrument(), client.assets())?;
        Ok(Self {
            instruments: past.into_iter().map(|i| (i.instrument_id, i)).collect(),
            assets: now.into_iter().map(|a| (a.asset_id, a)).collect(),
        })
    }

    /// Symbol of an instrument; settled ones keep their number.
    pub(super) fn symbol(&self, instrument_id: i32) -> String {
        match self.instruments.get(&instrument_id) {
            Some(i) => i.symbol.clone(),
            None => format!("#{instrument_id}"),
        }
    }

    /// An amount with its asset's decimals and symbol.
    pub(super) fn money(&self, minor: i64, asset_id: i32) -> String {
        match self.assets.get(&asset_id) {
            Some(a) => format!(
                "{} {}",
                amounts::money(minor, a.decimals.unsigned_abs()),
                a.symbol
            ),
            None => format!("{minor} of asset {asset_id}"),
        }
    }

    /// Decimals and symbol of an asset.
    pub(super) fn coin(&self, asset_id: i32) -> (u32, String) {
        match self.assets.get(&asset_id) {
            Some(a) => (a.decimals.unsigned_abs(), a.symbol.clone()),
            None => (0, format!("asset {asset_id}")),
        }
    }

    /// Decimals and symbol of the asset that an instrument is priced in.
    pub(super) fn price_coin(&self, instrument_id: i32) -> (u32, String) {
        let asset = self.instruments.get(&instrument_id);
        self.coin(asset.map_or(0, |i| i.price_asset_id))
    }

    /// As [`Names::money`], in the asset that an instrument is priced in.
    pub(super) fn price_money(&self, minor: i64, instrument_id: i32) -> String {
        let asset = self.instruments.get(&instrument_id);
        self.money(minor, asset.map_or(0, |i| i.price_asset_id))
    }
}

/// One instrument by its symbol.
pub(super) async fn instrument(client: &Client, symbol: &str) -> Result<Instrument> {
    let request = GetInstrumentRequest {
        key: Some(Key::Symbol(symbol.to_owned())),
    };
    let answer = client.reference().get_instrument(request).await;
    match answer.map_err(ClientError::from) {
        Ok(answer) => Ok(answer
            .into_inner()
            .instrument
            .ok_or(ClientError::Incomplete("the instrument"))?),
        Err(e) if e.reason() == "UNKNOWN_INSTRUMENT" => {
            bail!("there is no contract {symbol:?}; `contracts` lists them all")
        }
        Err(e) => Err(e.into()),
    }
}

/// `OPEN`, `HALTED` and so on.
pub(super) fn state(number: i32) -> String {
    match TradingState::try_from(number) {
        Ok(state) => state
            .as_str_name()
            .trim_start_matches("TRADING_STATE_")
            .to_owned(),
        Err(_) => format!("STATE_{number}"),
    }
}

/// `buy` or `sell`.
pub(super) fn side(number: i32) -> &'static str {
    match Side::try_from(number) {
        Ok(Side::Buy) => "buy",
        Ok(Side::Sell) => "sell",
        Ok(Side::Unspecified) | Err(_) => "-",
    }
}

/// UTC time of day to the millisecond.
pub(super) fn clock(unix_nanos: i64) -> String {
    match Timestamp::from_nanosecond(unix_nanos.into()) {
        Ok(at) => {
            let at = Offset::UTC.to_datetime(at);
            let millis = at.subsec_nanosecond() / 1_000_000;
            format!(
                "{:02}:{:02}:{:02}.{millis:03}",
                at.hour(),
                at.minute(),
                at.second()
            )
        }
        Err(_) => "-".into(),
    }
}

/// UTC date, with the hour where it is not midnight.
pub(super) fn date(unix_nanos: i64) -> String {
    match Timestamp::from_nanosecond(unix_nanos.into()) {
        Ok(at) => {
            let at = Offset::UTC.to_datetime(at);
            match at.hour() {
                0 => at.date().to_string(),
                hour => format!("{}T{hour:02}", at.date()),
            }
        }
        Err(_) => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(clock(1_767_225_600_123_456_789), "00:00:00.123");
        assert_eq!(date(1_767_225_600_000_000_000), "2026-01-01");
        assert_eq!(date(1_767_229_200_000_000_000), "2026-01-01T01");
        assert_eq!(side(1), "buy");
        assert_eq!(state(3), "OPEN");
    }
}
