//! `oracle`: for whoever runs a source. What it observes is signed with the key file and handed in.
//!
//! The operator registers the public half once (`oracle feed`, `oracle source`, `oracle method`).

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use engine::{
    command::{Header, Observation as Seen, Tip, ValueKind},
    units::{Decimal, Nanos},
};
use proto::admin::v1::{
    FixingKind, IndexFixing, IndexFormula, ListOracleFeedsRequest, OracleFeed, OracleFeedKind,
    OracleSource, SetIndexMethodRequest, SetOracleFeedRequest, SetOracleSourceRequest,
    set_oracle_source_request::Scope,
};

use super::{
    Connection, print,
    table::{Align, Table},
};
use crate::{
    client::{
        Client, ClientError, now_unix_nanos,
        reports::{self, number, wire},
    },
    keys::PrivateKey,
};

/// Observations of the world outside: prices, chains, headers, index values.
#[derive(Args, Clone, Debug)]
pub struct Oracle {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Reports a price, seen now.
    Price {
        /// Feed, such as BTC/USD.
        feed: String,
        /// Price, such as 89316.00.
        #[arg(value_parser = decimal)]
        price: Decimal,
    },
    /// Reports the newest block of a chain, as this node sees it now.
    Tip(TipWords),
    /// Reports a block that is deep enough to count.
    Header {
        /// Coin, such as BTC.
        coin: String,
        /// Height.
        height: u64,
        /// Hash, 64 hex digits.
        #[arg(value_parser = hash)]
        hash: [u8; 32],
        /// Compact target, 8 hex digits.
        #[arg(value_parser = hex)]
        bits: u32,
        /// The block's own time, seconds since 1970.
        #[arg(long, default_value_t = 0)]
        time: i64,
        /// Blocks on top of it.
        #[arg(long, default_value_t = 6)]
        depth: u32,
    },
    /// Signs a value of an index.
    Value {
        /// Index, such as H100-USD.
        index: String,
        /// indicative, daily or restatement.
        #[arg(value_parser = kind)]
        kind: ValueKind,
        /// Round; of a computed index: days since 1970.
        round: u64,
        /// Value in the index's asset.
        #[arg(value_parser = decimal)]
        value: Decimal,
    },
    /// Lists feeds and their sources.
    Feeds,
    /// Adds a chain (its coin's name) or a price (such as BTC/USD), or changes its rules. Operator.
    Feed {
        /// Name.
        name: String,
        /// It is a price with so many decimals; a chain otherwise.
        #[arg(long, value_name = "N")]
        price_decimals: Option<i32>,
        /// Sources that must agree, or contribute.
        #[arg(long, default_value_t = 2)]
        agreeing: i32,
        /// An observation counts for so long; by default 10,000 of a price, 600,000 of a chain.
        #[arg(long)]
        stale_ms: Option<i32>,
        /// Blocks on top of a header.
        #[arg(long, default_value_t = 6)]
        depth: i32,
    },
    /// Registers a source by its public key, or changes its weight. Operator.
    Source {
        /// Feed or index.
        scope: String,
        /// Its short name.
        name: String,
        /// 64 hex digits, as `key show` prints them.
        #[arg(value_parser = hash)]
        public_key: [u8; 32],
        /// In a median; 0 = it only checks.
        #[arg(long, default_value_t = 1)]
        weight: i32,
        /// It may not report any more.
        #[arg(long)]
        off: bool,
    },
    /// Says how an index gets its value. Operator.
    Method(MethodWords),
}

/// A chain's newest block.
#[derive(Args, Clone, Debug)]
struct TipWords {
    /// Coin, such as BTC.
    coin: String,
    /// Height of the newest block.
    height: u64,
    /// Its hash, 64 hex digits.
    #[arg(value_parser = hash)]
    hash: [u8; 32],
    /// Compact target of the next block, 8 hex digits; 0 where the window's work is used.
    #[arg(long, value_parser = hex, default_value = "0")]
    bits: u32,
    /// Blocks of the window.
    #[arg(long, default_value_t = 144)]
    blocks: u32,
    /// Fees of the window, in the coin's smallest unit.
    #[arg(long, default_value_t = 0)]
    fees: u128,
    /// Work of the window as nodes count it.
    #[arg(long, default_value_t = 0)]
    work: u128,
    /// KAS: DAA score.
    #[arg(long, default_value_t = 0)]
    daa: u64,
}

/// The method of an index.
#[derive(Args, Clone, Debug)]
struct MethodWords {
    /// Index.
    index: String,
    /// Version; grows with every change.
    version: i32,
    /// submitted, sha256, sha256-window, scrypt, kheavyhash or etchash.
    #[arg(value_parser = formula)]
    formula: IndexFormula,
    /// Chains it reads, main one first.
    #[arg(long)]
    chain: Vec<String>,
    /// Prices of their coins in the index's asset, in the same order.
    #[arg(long)]
    price: Vec<String>,
    /// Signatures that a submitted value needs.
    #[arg(long, default_value_t = 2)]
    agreeing: i32,
    /// Decimals of its values: 11 for millisat of BTC.
    #[arg(long, default_value_t = 11)]
    decimals: i32,
    /// Work that pools do not pay (scrypt), in parts per million.
    #[arg(long, default_value_t = 0)]
    stale_ppm: i32,
    /// Contracts on it halt after so long without a valid sample.
    #[arg(long, default_value_t = 300_000)]
    halt_after_ms: i32,
    /// A day's value may be restated for so long.
    #[arg(long, default_value_t = 3_600_000)]
    settle_after_ms: i32,
}

fn decimal(text: &str) -> Result<Decimal, String> {
    let plain = text.replace('_', "");
    let (whole, part) = plain.split_once('.').unwrap_or((&plain, ""));
    let mantissa = format!("{whole}{part}").parse();
    Ok(Decimal {
        mantissa: mantissa.map_err(|_| "a decimal number such as 89316.00".to_owned())?,
        exponent: i32::try_from(part.len()).map_or(i32::MIN, |digits| -digits),
    })
}

fn hex(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 16).map_err(|_| "up to 8 hex digits".to_owned())
}

fn hash(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "64 hex digits".to_owned();
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        let pair = &text[2 * place..2 * place + 2];
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}

fn kind(text: &str) -> Result<ValueKind, String> {
    match text {
        "indicative" => Ok(ValueKind::Indicative),
        "daily" => Ok(ValueKind::Daily),
        "restatement" => Ok(ValueKind::Restatement),
        _ => Err("indicative, daily or restatement".into()),
    }
}

fn formula(text: &str) -> Result<IndexFormula, String> {
    match text {
        "submitted" => Ok(IndexFormula::Submitted),
        "sha256" => Ok(IndexFormula::Sha256),
        "sha256-window" => Ok(IndexFormula::Sha256Window),
        "scrypt" => Ok(IndexFormula::Scrypt),
        "kheavyhash" => Ok(IndexFormula::Kheavyhash),
        "etchash" => Ok(IndexFormula::Etchash),
        _ => Err("submitted, sha256, sha256-window, scrypt, kheavyhash or etchash".into()),
    }
}

impl Oracle {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let path = self.connection.key.as_deref();
        let key = PrivateKey::load(path.context("no key")?).context("cannot use the key")?;
        let request_id = now_unix_nanos().unsigned_abs();
        match self.what {
            What::Price { feed, price } => report(&client, &key, &feed, &Seen::Price(price)).await,
            What::Tip(words) => {
                let tip = Tip {
                    height: words.height,
                    hash: words.hash,
                    bits: words.bits,
                    blocks: words.blocks,
                    fees: words.fees,
                    work: words.work,
                    daa: words.daa,
                };
                report(&client, &key, &words.coin, &Seen::Tip(tip)).await
            }
            What::Header {
                coin,
                height,
                hash,
                bits,
                time,
                depth,
            } => {
                let header = Header {
                    height,
                    hash,
                    bits,
                    time: Nanos(time.saturating_mul(1_000_000_000)),
                };
                let request = reports::header(&key, &coin, &header, depth);
                let answer = client.oracle().submit_chain_header(request).await;
                let answer = answer.map_err(ClientError::from)?.into_inner();
                agreed(answer.agreeing_oracles, answer.in_force)
            }
            What::Value {
                index,
                kind,
                round,
                value,
            } => {
                let wished = match kind {
                    ValueKind::Indicative => FixingKind::Indicative,
                    ValueKind::Daily => FixingKind::Daily,
                    ValueKind::Restatement => FixingKind::Restatement,
                };
                let fixing = IndexFixing {
                    index_name: index,
                    kind: wished.into(),
                    round_id: number(round),
                    value: Some(wire(value)),
                    ..IndexFixing::default()
                };
                let request = reports::value(&key, kind, fixing);
                let answer = client.oracle().submit_index_fixing(request).await;
                let answer = answer.map_err(ClientError::from)?.into_inner();
                agreed(answer.agreeing_oracles, answer.in_force)
            }
            What::Feeds => {
                let feeds = feeds(&client).await?;
                print(&table(&feeds)).map(drop)
            }
            What::Feed {
                name,
                price_decimals,
                agreeing,
                stale_ms,
                depth,
            } => {
                let price = price_decimals.is_some();
                let kind = if price {
                    OracleFeedKind::Price
                } else {
                    OracleFeedKind::Chain
                };
                let feed = OracleFeed {
                    feed_name: name.clone(),
                    kind: kind.into(),
                    depth: if price { 0 } else { depth },
                    price_exponent: -price_decimals.unwrap_or(0),
                    required_oracles: agreeing,
                    stale_after_ms: stale_ms.unwrap_or(if price { 10_000 } else { 600_000 }),
                    ..OracleFeed::default()
                };
                let request = SetOracleFeedRequest {
                    feed: Some(feed),
                    request_id,
                };
                let answer = client.oracle().set_oracle_feed(request).await;
                answer.map_err(ClientError::from)?;
                print(&format!("{name} is observed; {agreeing} must agree\n")).map(drop)
            }
            What::Source {
                scope,
                name,
                public_key,
                weight,
                off,
            } => {
                let feeds = feeds(&client).await?;
                let named = match feeds.iter().any(|feed| feed.feed_name == scope) {
                    true => Scope::FeedName(scope.clone()),
                    false => Scope::IndexName(scope.clone()),
                };
                let request = SetOracleSourceRequest {
                    scope: Some(named),
                    source: Some(OracleSource {
                        source: name.clone(),
                        public_key: public_key.to_vec(),
                        weight,
                        active: !off,
                        ..OracleSource::default()
                    }),
                    request_id,
                };
                let answer = client.oracle().set_oracle_source(request).await;
                answer.map_err(ClientError::from)?;
                let may = if off { "may not report" } else { "may report" };
                print(&format!("{name} {may} {scope}\n")).map(drop)
            }
            What::Method(words) => method(&client, words, request_id).await,
        }
    }
}

async fn method(client: &Client, words: MethodWords, request_id: u64) -> Result<()> {
    let request = SetIndexMethodRequest {
        index_name: words.index.clone(),
        method_version: words.version,
        formula: words.formula.into(),
        stale_work_ppm: words.stale_ppm,
        chain_feeds: words.chain,
        price_feeds: words.price,
        required_oracles: words.agreeing,
        value_exponent: -words.decimals,
        halt_after_ms: words.halt_after_ms,
        settle_after_ms: words.settle_after_ms,
        request_id,
    };
    let answer = client.oracle().set_index_method(request).await;
    answer.map_err(ClientError::from)?;
    let (index, version) = (words.index, words.version);
    print(&format!("{index} follows version {version}\n")).map(drop)
}

async fn feeds(client: &Client) -> Result<Vec<OracleFeed>> {
    let request = ListOracleFeedsRequest {};
    let answer = client.oracle().list_oracle_feeds(request).await;
    Ok(answer.map_err(ClientError::from)?.into_inner().feeds)
}

/// The next number of this source is the one after its newest report's.
async fn report(client: &Client, key: &PrivateKey, feed: &str, seen: &Seen) -> Result<()> {
    let feeds = feeds(client).await?;
    let Some(known) = feeds.iter().find(|known| known.feed_name == feed) else {
        bail!("nothing is observed under the name {feed}; see `oracle feeds`");
    };
    let mut sources = known.sources.iter();
    let own = sources.find(|source| source.public_key == key.public_key());
    let Some(own) = own else {
        bail!("this key is not registered for {feed}; the operator does that with `oracle source`");
    };
    let sequence = own.last_sequence.unsigned_abs() + 1;
    let request = reports::observation(key, feed, sequence, Nanos(now_unix_nanos()), seen);
    let answer = client.oracle().submit_observation(request).await;
    let answer = answer.map_err(ClientError::from)?.into_inner();
    let agreeing = answer.agreeing_oracles;
    print(&format!("report {sequence} taken; {agreeing} say so now\n")).map(drop)
}

fn agreed(agreeing: i32, in_force: bool) -> Result<()> {
    let force = if in_force {
        "in force"
    } else {
        "not in force yet"
    };
    print(&format!("taken; {agreeing} agree, {force}\n")).map(drop)
}

fn table(feeds: &[OracleFeed]) -> String {
    let mut table = Table::new(&[
        ("feed", Align::Left),
        ("source", Align::Left),
        ("weight", Align::Right),
        ("reports", Align::Right),
        ("state", Align::Left),
    ]);
    for feed in feeds {
        for source in &feed.sources {
            let state = match (source.active, source.excluded) {
                (false, _) => "off",
                (true, true) => "left out",
                (true, false) => "counts",
            };
            table.row(vec![
                feed.feed_name.clone(),
                source.source.clone(),
                source.weight.to_string(),
                source.last_sequence.to_string(),
                state.to_owned(),
            ]);
        }
    }
    table.render("nothing is observed\n")
}
