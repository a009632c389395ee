//! `block`: trades agreed off the book, reported by one side and affirmed by the other.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use proto::{
    common::v1::Side,
    rfq::v1::{
        AffirmBlockTradeRequest, BlockTrade, BlockTradeState, ReportBlockTradeRequest, RfqLeg,
        StreamRfqsRequest, stream_rfqs_response::Event,
    },
};

use super::{
    AccountChoice, Connection, amounts, names, parse, print,
    table::{Align, Table},
};
use crate::client::{ClientError, now_unix_nanos};

/// Trades agreed off the book.
#[derive(Args, Clone, Debug)]
pub struct Block {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Reports one; it trades when the other firm affirms it.
    Report {
        /// Contract, such as BTC-FWD-2026-12.
        symbol: String,
        /// Code of the other firm.
        #[arg(long)]
        with: String,
        /// What you do: buy or sell.
        #[arg(long, value_parser = parse::side)]
        side: Side,
        /// Quantity in lots.
        #[arg(long, value_parser = parse::lots)]
        lots: i64,
        /// Agreed price in ticks.
        #[arg(long, value_parser = parse::ticks)]
        price: i64,
        /// How long the other firm may take, in minutes; at most a day.
        #[arg(long, default_value_t = 60)]
        minutes: i64,
        /// Own number of the report. The same number with the same content is reported once.
        #[arg(long, value_name = "ID")]
        client_id: Option<u64>,
    },
    /// Affirms one that another firm reported; it trades at once.
    Affirm {
        /// Number of the report.
        block: i64,
        /// Say that it is not known instead.
        #[arg(long)]
        refuse: bool,
    },
    /// Lists those that wait for the account's firm or for the other one.
    List,
}

impl Block {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let text = match self.what {
            What::Report {
                symbol,
                with,
                side,
                lots,
                price,
                minutes,
                client_id,
            } => {
                if client_id == Some(0) {
                    bail!("--client-id 0 means \"not set\"; use a number above zero");
                }
                let instrument = names::instrument(&client, &symbol).await?;
                let now = now_unix_nanos();
                let request = ReportBlockTradeRequest {
                    account_id,
                    client_block_id: client_id.unwrap_or(now.unsigned_abs()),
                    counterparty_firm_code: with,
                    legs: vec![RfqLeg {
                        instrument_id: instrument.instrument_id,
                        side: Side::Buy.into(),
                        ratio: 1,
                    }],
                    side: side.into(),
                    price_ticks: price,
                    lots,
                    affirm_by_unix_nanos: after_minutes(now, minutes),
                    allocations: Vec::new(),
                };
                let answer = client.rfq().report_block_trade(request).await;
                let block = answer.map_err(ClientError::from)?.into_inner().block_id;
                format!("block {block} waits for the other firm\n")
            }
            What::Affirm { block, refuse } => {
                let request = AffirmBlockTradeRequest {
                    account_id,
                    block_id: block,
                    accept: !refuse,
                    allocations: Vec::new(),
                };
                let answer = client.rfq().affirm_block_trade(request).await;
                let trades = answer.map_err(ClientError::from)?.into_inner().trade_ids;
                match trades.first() {
                    Some(trade) => format!("block {block} traded as trade {trade}\n"),
                    None => format!("block {block} refused\n"),
                }
            }
            What::List => {
                let request = StreamRfqsRequest {
                    account_id,
                    resume_after_journal_seq: None,
                };
                let answer = client.rfq().stream_rfqs(request).await;
                let mut stream = answer.map_err(ClientError::from)?.into_inner();
                let mut blocks = Vec::new();
                // What is open comes first; the first heartbeat ends it.
                while let Some(told) = stream.message().await.map_err(ClientError::from)? {
                    match told.event {
                        Some(Event::BlockTrade(block)) => keep(&mut blocks, block),
                        Some(Event::Heartbeat(_)) => break,
                        _ => {}
                    }
                }
                let names = names::Names::fetch(&client).await?;
                table(&blocks, &names)
            }
        };
        print(&text).map(drop)
    }
}

/// A time so many minutes ahead.
pub(super) fn after_minutes(now: i64, minutes: i64) -> i64 {
    now.saturating_add(minutes.saturating_mul(60_000_000_000))
}

/// The newest word on each report, as long as it waits.
fn keep(blocks: &mut Vec<BlockTrade>, block: BlockTrade) {
    blocks.retain(|known| known.block_id != block.block_id);
    if block.state() == BlockTradeState::Reported {
        blocks.push(block);
    }
}

fn table(blocks: &[BlockTrade], names: &names::Names) -> String {
    let mut table = Table::new(&[
        ("block", Align::Right),
        ("contract", Align::Left),
        ("reported by", Align::Left),
        ("who", Align::Left),
        ("lots", Align::Right),
        ("price", Align::Right),
        ("with", Align::Left),
        ("until", Align::Left),
    ]);
    for block in blocks {
        let contract = block.legs.first().map_or(0, |leg| leg.instrument_id);
        let does = match block.side() {
            Side::Sell => "sells",
            _ => "buys",
        };
        table.row(vec![
            block.block_id.to_string(),
            names.symbol(contract),
            block.reporter_firm_code.clone(),
            does.into(),
            amounts::grouped(block.lots),
            amounts::grouped(block.price_ticks),
            block.counterparty_firm_code.clone(),
            names::clock(block.affirm_by_unix_nanos),
        ]);
    }
    table.render("no block trade waits")
}
