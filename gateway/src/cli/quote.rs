//! `quote`: one rung of a two-sided quote.

use anyhow::{Result, bail};
use clap::Args;
use proto::trading::v1::{DisconnectAction, MassQuoteDone, session_event::Event};

use super::{
    AccountChoice, Connection, amounts, names, parse, print,
    submit::{problem_words, sentence},
};
use crate::client::{Quotes, Session, SessionOptions};

/// Sets, moves or pulls the quote on one rung of a protection group's ladder. It stays until it is pulled
/// or cancelled.
#[derive(Args, Clone, Debug)]
pub struct Quote {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    /// Contract, such as BTC-FWD-2026-12.
    symbol: String,
    /// Protection group, made with `mmp set`.
    #[arg(long)]
    mmp_group: i32,
    /// Rung, 0 to 7.
    #[arg(long, default_value_t = 0)]
    slot: i32,
    /// Bid in ticks; without it the bid stays as it is.
    #[arg(long, value_parser = parse::ticks, allow_hyphen_values = true, requires = "bid_lots")]
    bid: Option<i64>,
    /// Lots of the bid; 0 pulls it.
    #[arg(long, value_parser = parse::size, requires = "bid")]
    bid_lots: Option<i64>,
    /// Ask in ticks; without it the ask stays as it is.
    #[arg(long, value_parser = parse::ticks, allow_hyphen_values = true, requires = "ask_lots")]
    ask: Option<i64>,
    /// Lots of the ask; 0 pulls it.
    #[arg(long, value_parser = parse::size, requires = "ask")]
    ask_lots: Option<i64>,
}

impl Quote {
    fn quotes(&self, instrument_id: i32) -> Quotes {
        let rung = (instrument_id, self.slot);
        let mut quotes = Quotes::new(self.mmp_group, 0).with_order_ids();
        if let (Some(ticks), Some(lots)) = (self.bid, self.bid_lots) {
            quotes = quotes.bid(rung, ticks, lots);
        }
        if let (Some(ticks), Some(lots)) = (self.ask, self.ask_lots) {
            quotes = quotes.ask(rung, ticks, lots);
        }
        quotes
    }

    pub(super) async fn run(self) -> Result<()> {
        if self.bid.is_none() && self.ask.is_none() {
            bail!("nothing to quote: give --bid with --bid-lots, --ask with --ask-lots, or both");
        }
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let instrument = names::instrument(&client, &self.symbol).await?;
        let options = SessionOptions {
            name: "quote".into(),
            account_id,
            heartbeat_interval_ms: 1_000,
            disconnect_action: DisconnectAction::CancelSessionOrders,
            disconnect_grace_ms: 0,
        };
        let mut session = Session::open(client, options).await?;
        let mut fills = Vec::new();
        let quotes = self.quotes(instrument.instrument_id);
        let done = session.quote(quotes, |event| {
            if let Event::Order(order) = event {
                fills.push(sentence(&order));
            }
        });
        let done = done.await;
        // An orderly logout leaves the quotes where they are; a refusal must not take the former ones away.
        session.terminate(false).await?;
        let done = done?;
        for line in fills {
            print(&(line + "\n"))?;
        }
        print(&answer(&done))?;
        match done.problems.first() {
            Some(_) => bail!("{} of the sides was refused", done.problems.len()),
            None => Ok(()),
        }
    }
}

fn answer(done: &MassQuoteDone) -> String {
    let mut text = format!(
        "{} sides accepted, {} kept their place\n",
        done.accepted_sides, done.kept_priority_sides
    );
    for side in &done.sides {
        let order = amounts::grouped(side.order_id);
        text += &format!("{} is order {order}\n", names::side(side.side));
    }
    for refused in &done.problems {
        let why = problem_words(refused.problem.as_ref());
        text += &format!("{} refused: {why}\n", names::side(refused.side));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use proto::trading::v1::open_session_request::Command;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        quote: Quote,
    }

    #[test]
    fn a_side_needs_price_and_lots() {
        let parse = |rest: &str| {
            let words = ["hashpit", "X", "--mmp-group", "1"];
            Line::try_parse_from(words.into_iter().chain(rest.split(' ')))
        };
        let line = parse("--slot 2 --bid -5 --bid-lots 0").expect("well formed");
        let Command::MassQuote(said) = line.quote.quotes(3).into() else {
            panic!("a mass quote")
        };
        let [entry] = said.entries.as_slice() else {
            panic!("one rung: {said:?}")
        };
        assert_eq!((entry.instrument_id, entry.slot), (3, 2));
        assert_eq!((entry.bid_ticks, entry.bid_lots), (Some(-5), 0));
        assert_eq!(entry.ask_ticks, None, "left alone");
        assert!(parse("--bid 5").is_err());
        assert!(parse("--ask-lots 5").is_err());
        assert!(parse("--bid 5 --bid-lots -1").is_err());
    }
}
