//! `rfq`: asks makers for firm prices of size, quotes, accepts.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use proto::{
    common::v1::Side,
    rfq::v1::{
        AcceptQuoteRequest, CancelRfqRequest, CreateRfqRequest, GetRfqRequest, GetRfqResponse,
        Quote, QuoteState, RfqLeg, RfqState, StreamRfqsRequest, SubmitQuoteRequest,
        stream_rfqs_response::Event,
    },
};
use tokio::signal;

use super::{
    AccountChoice, Connection, amounts,
    block::after_minutes,
    names, parse, print,
    table::{Align, Table},
};
use crate::client::{Client, ClientError, now_unix_nanos};

/// Requests for quote.
#[derive(Args, Clone, Debug)]
pub struct Rfq {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Asks makers for prices.
    Create(Create),
    /// Shows a request and the quotes on it that you may see.
    Quotes {
        /// Number of the request.
        rfq: i64,
    },
    /// Quotes on a request; replaces your quote before it.
    Quote(Answer),
    /// Trades against the best quotes within a limit.
    Accept(Accept),
    /// Takes a request back.
    Cancel {
        /// Number of the request.
        rfq: i64,
    },
    /// Follows requests, quotes and block trades until Ctrl-C.
    Watch,
}

#[derive(Args, Clone, Debug)]
struct Create {
    /// Contracts of the package: a symbol, or `SYMBOL:RATIO` (bought by the package's buyer) and
    /// `SYMBOL:-RATIO` (sold), several of them, such as `BTC-FWD-2026-12:1 BTC-FWD-2027-01:-1`.
    #[arg(required = true)]
    legs: Vec<String>,
    /// How many packages.
    #[arg(long, value_parser = parse::lots)]
    lots: i64,
    /// Smallest trade; without it all or nothing.
    #[arg(long, value_parser = parse::lots)]
    min_lots: Option<i64>,
    /// What you want to do; without it makers must quote both sides blind.
    #[arg(long, value_parser = parse::side)]
    side: Option<Side>,
    /// Show makers your firm's code.
    #[arg(long)]
    disclosed: bool,
    /// Code of a firm to ask, once for each; without it all are asked.
    #[arg(long = "ask", value_name = "FIRM")]
    makers: Vec<String>,
    /// How long it stays open, in minutes; at most a day.
    #[arg(long, default_value_t = 10)]
    minutes: i64,
    /// Own number of the request. The same number with the same content asks once.
    #[arg(long, value_name = "ID")]
    client_id: Option<u64>,
}

#[derive(Args, Clone, Debug)]
struct Answer {
    /// Number of the request.
    rfq: i64,
    /// Price of the package in ticks at which you buy.
    #[arg(long, value_parser = parse::ticks, allow_hyphen_values = true)]
    bid: Option<i64>,
    /// For how many packages; without it --lots.
    #[arg(long, value_parser = parse::lots, requires = "bid")]
    bid_lots: Option<i64>,
    /// Price of the package in ticks at which you sell.
    #[arg(long, value_parser = parse::ticks, allow_hyphen_values = true)]
    ask: Option<i64>,
    /// For how many packages; without it --lots.
    #[arg(long, value_parser = parse::lots, requires = "ask")]
    ask_lots: Option<i64>,
    /// For how many packages on either side.
    #[arg(long, value_parser = parse::lots)]
    lots: Option<i64>,
    /// Firm for so many seconds, at most as long as the request is open.
    #[arg(long, default_value_t = 60)]
    seconds: i64,
    /// Own number of the quote. The same number with the same content quotes once.
    #[arg(long, value_name = "ID")]
    client_id: Option<u64>,
}

#[derive(Args, Clone, Debug)]
struct Accept {
    /// Number of the request.
    rfq: i64,
    /// buy or sell.
    #[arg(long, value_parser = parse::side)]
    side: Side,
    /// How many packages.
    #[arg(long, value_parser = parse::lots)]
    lots: i64,
    /// Worst price of the package in ticks.
    #[arg(long, value_parser = parse::ticks, allow_hyphen_values = true)]
    limit: i64,
    /// Several makers may fill it.
    #[arg(long)]
    several: bool,
    /// Own number of the acceptance. The same number with the same content trades once.
    #[arg(long, value_name = "ID")]
    client_id: Option<u64>,
}

impl Rfq {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account = self.account.resolve(&client).await?;
        let text = match self.what {
            What::Create(create) => create.run(&client, account).await?,
            What::Quotes { rfq } => quotes(&client, account, rfq).await?,
            What::Quote(answer) => answer.run(&client, account).await?,
            What::Accept(accept) => accept.run(&client, account).await?,
            What::Cancel { rfq } => {
                let request = CancelRfqRequest {
                    account_id: account,
                    rfq_id: rfq,
                };
                let answer = client.rfq().cancel_rfq(request).await;
                answer.map_err(ClientError::from)?;
                format!("request {rfq} is taken back\n")
            }
            What::Watch => return watch(&client, account).await,
        };
        print(&text).map(drop)
    }
}

/// The caller's key, or the time: unique enough for one person's account.
fn key(wished: Option<u64>) -> Result<u64> {
    if wished == Some(0) {
        bail!("--client-id 0 means \"not set\"; use a number above zero");
    }
    Ok(wished.unwrap_or(now_unix_nanos().unsigned_abs()))
}

impl Create {
    async fn run(self, client: &Client, account_id: i64) -> Result<String> {
        let mut legs = Vec::with_capacity(self.legs.len());
        for leg in &self.legs {
            let (symbol, ratio) = leg.split_once(':').unwrap_or((leg, "1"));
            let Ok(ratio) = ratio.parse::<i32>() else {
                bail!("leg {leg}: SYMBOL or SYMBOL:RATIO, a negative ratio is sold");
            };
            let instrument = names::instrument(client, symbol).await?;
            let side = if ratio < 0 { Side::Sell } else { Side::Buy };
            legs.push(RfqLeg {
                instrument_id: instrument.instrument_id,
                side: side.into(),
                ratio: ratio.saturating_abs(),
            });
        }
        let request = CreateRfqRequest {
            account_id,
            client_rfq_id: key(self.client_id)?,
            legs,
            lots: self.lots,
            min_lots: self.min_lots.unwrap_or(0),
            side: self.side.map_or(0, i32::from),
            disclosed: self.disclosed,
            maker_firm_codes: self.makers,
            expire_unix_nanos: after_minutes(now_unix_nanos(), self.minutes),
            allocations: Vec::new(),
        };
        let answer = client.rfq().create_rfq(request).await;
        let rfq = answer.map_err(ClientError::from)?.into_inner().rfq_id;
        Ok(format!("request {rfq} is open\n"))
    }
}

impl Answer {
    async fn run(self, client: &Client, account_id: i64) -> Result<String> {
        let lots = |price: Option<i64>, own: Option<i64>| match (price, own.or(self.lots)) {
            (None, _) => Ok(0),
            (Some(_), Some(lots)) => Ok(lots),
            (Some(_), None) => bail!("for how many packages? --lots, --bid-lots or --ask-lots"),
        };
        let seconds = self.seconds.saturating_mul(1_000_000_000);
        let request = SubmitQuoteRequest {
            account_id,
            rfq_id: self.rfq,
            client_quote_id: key(self.client_id)?,
            bid_ticks: self.bid,
            bid_lots: lots(self.bid, self.bid_lots)?,
            ask_ticks: self.ask,
            ask_lots: lots(self.ask, self.ask_lots)?,
            valid_until_unix_nanos: now_unix_nanos().saturating_add(seconds),
            mmp_group: 0,
        };
        let answer = client.rfq().submit_quote(request).await;
        let quote = answer.map_err(ClientError::from)?.into_inner().quote_id;
        Ok(format!("quote {quote} is firm\n"))
    }
}

impl Accept {
    async fn run(self, client: &Client, account_id: i64) -> Result<String> {
        let request = AcceptQuoteRequest {
            account_id,
            rfq_id: self.rfq,
            side: self.side.into(),
            limit_ticks: self.limit,
            lots: self.lots,
            allow_multi_maker: self.several,
            client_accept_id: key(self.client_id)?,
        };
        let answer = client.rfq().accept_quote(request).await;
        let done = answer.map_err(ClientError::from)?.into_inner();
        if let Some(problem) = done.problem {
            bail!("nothing traded: {}", problem.message);
        }
        let trades: Vec<String> = done.trade_ids.iter().map(i64::to_string).collect();
        let (lots, trades) = (amounts::grouped(done.filled_lots), trades.join(", "));
        Ok(format!("{lots} traded as {trades}\n"))
    }
}

async fn quotes(client: &Client, account_id: i64, rfq_id: i64) -> Result<String> {
    let request = GetRfqRequest { account_id, rfq_id };
    let answer = client.rfq().get_rfq(request).await;
    let seen = answer.map_err(ClientError::from)?.into_inner();
    let names = names::Names::fetch_with_past(client).await?;
    Ok(request_line(&seen, &names) + &table(&seen.quotes))
}

fn request_line(seen: &GetRfqResponse, names: &names::Names) -> String {
    let Some(rfq) = &seen.rfq else {
        return String::new();
    };
    let legs = rfq.legs.iter().map(|leg| {
        let sign = if leg.side() == Side::Sell { "-" } else { "" };
        format!("{}:{sign}{}", names.symbol(leg.instrument_id), leg.ratio)
    });
    let legs: Vec<String> = legs.collect();
    let wants = match rfq.side() {
        Side::Buy => "to buy",
        Side::Sell => "to sell",
        Side::Unspecified => "both sides of",
    };
    format!(
        "request {} {}: {wants} {} x {}, {} traded, until {}\n",
        rfq.rfq_id,
        rfq_state(rfq.state()),
        amounts::grouped(rfq.lots),
        legs.join(" "),
        amounts::grouped(rfq.filled_lots),
        names::clock(rfq.expire_unix_nanos)
    )
}

fn rfq_state(state: RfqState) -> &'static str {
    match state {
        RfqState::Unspecified => "unknown",
        RfqState::Open => "open",
        RfqState::PartlyFilled => "partly filled",
        RfqState::Filled => "filled",
        RfqState::Cancelled => "cancelled",
        RfqState::Expired => "expired",
    }
}

fn quote_state(state: QuoteState) -> &'static str {
    match state {
        QuoteState::Unspecified => "unknown",
        QuoteState::Live => "live",
        QuoteState::Traded => "traded",
        QuoteState::Replaced => "replaced",
        QuoteState::Cancelled => "cancelled",
        QuoteState::Expired => "expired",
    }
}

/// `100 @ 42_640`, or `-`.
fn offer(price: Option<i64>, lots: i64) -> String {
    let text = |price| format!("{} @ {}", amounts::grouped(lots), amounts::grouped(price));
    price.map_or_else(|| "-".into(), text)
}

fn table(quotes: &[Quote]) -> String {
    let mut table = Table::new(&[
        ("quote", Align::Right),
        ("state", Align::Left),
        ("bid", Align::Right),
        ("ask", Align::Right),
        ("firm until", Align::Left),
        ("why", Align::Left),
    ]);
    for quote in quotes {
        table.row(vec![
            quote.quote_id.to_string(),
            quote_state(quote.state()).into(),
            offer(quote.bid_ticks, quote.bid_lots),
            offer(quote.ask_ticks, quote.ask_lots),
            names::clock(quote.valid_until_unix_nanos),
            quote
                .problem
                .as_ref()
                .map_or_else(String::new, |why| why.message.clone()),
        ]);
    }
    table.render("no quotes")
}

/// One line per change.
async fn watch(client: &Client, account_id: i64) -> Result<()> {
    let request = StreamRfqsRequest {
        account_id,
        resume_after_journal_seq: None,
    };
    let names = names::Names::fetch_with_past(client).await?;
    let answer = client.rfq().stream_rfqs(request).await;
    let mut stream = answer.map_err(ClientError::from)?.into_inner();
    loop {
        let told = tokio::select! {
            told = stream.message() => told.map_err(ClientError::from)?,
            _ = signal::ctrl_c() => return Ok(()),
        };
        let Some(told) = told else {
            return Ok(());
        };
        let line = match told.event {
            Some(Event::Rfq(rfq)) => {
                let seen = GetRfqResponse {
                    rfq: Some(rfq),
                    ..GetRfqResponse::default()
                };
                request_line(&seen, &names)
            }
            Some(Event::Quote(quote)) => format!(
                "quote {} on request {} {}: bid {}, ask {}\n",
                quote.quote_id,
                quote.rfq_id,
                quote_state(quote.state()),
                offer(quote.bid_ticks, quote.bid_lots),
                offer(quote.ask_ticks, quote.ask_lots)
            ),
            Some(Event::BlockTrade(block)) => {
                let state = block.state().as_str_name();
                let state = state.trim_start_matches("BLOCK_TRADE_STATE_");
                format!(
                    "block {} {}: {} @ {} with {}\n",
                    block.block_id,
                    state.to_ascii_lowercase(),
                    amounts::grouped(block.lots),
                    amounts::grouped(block.price_ticks),
                    block.counterparty_firm_code
                )
            }
            _ => continue,
        };
        if !print(&line)? {
            return Ok(());
        }
    }
}
