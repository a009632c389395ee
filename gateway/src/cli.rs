//! The people's commands: look at the market, trade, look at the account. All of it through public gRPC.
//!
//! A refusal is an error, and an error ends the process with a status other than 0, so that scripts need
//! no parsing. Tables go to standard output, everything else to standard error.

mod account;
pub mod amounts;
mod block;
mod delivery;
mod hedge;
mod margin;
mod market;
mod names;
mod offers;
mod oracle;
mod orders;
pub mod parse;
pub mod proof;
mod quote;
mod rfq;
mod risk;
mod statement;
mod submit;
pub(crate) mod table;
mod tail;
pub mod withdraw;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use engine::{journal::JournalError, pipeline::RecoverError};

use crate::{
    client::Client, commands::serve::StoppedByItself, keys::PrivateKey, server::StartError,
};

/// Where the exchange is and who asks.
#[derive(Args, Clone, Debug)]
pub struct Connection {
    /// Address of the exchange.
    #[arg(
        long,
        env = "HASHPIT_ADDRESS",
        default_value = "http://127.0.0.1:7070",
        value_name = "URL"
    )]
    pub address: String,
    /// Key file that signs the calls.
    #[arg(long, env = "HASHPIT_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
}

impl Connection {
    /// Connects with the key of the key file.
    pub async fn open(&self) -> Result<Client> {
        let Some(path) = &self.key else {
            bail!("no key: name a key file with --key FILE or in HASHPIT_KEY");
        };
        let key = PrivateKey::load(path).context("cannot use the key")?;
        Ok(Client::connect(&self.address, key).await?)
    }
}

/// Whose money.
#[derive(Args, Clone, Debug)]
pub struct AccountChoice {
    /// Account number; by default the key's only account.
    #[arg(long, env = "HASHPIT_ACCOUNT", value_name = "N")]
    pub account: Option<i64>,
}

impl AccountChoice {
    /// The chosen account, or the only one.
    pub async fn resolve(&self, client: &Client) -> Result<i64> {
        if let Some(account) = self.account {
            return Ok(account);
        }
        match client.account_ids().await?.as_slice() {
            [] => bail!("the key has no account; an operator's key cannot trade"),
            [only] => Ok(*only),
            many => {
                let list: Vec<String> = many.iter().map(i64::to_string).collect();
                bail!(
                    "the key has {} accounts ({}): choose one with --account N",
                    many.len(),
                    list.join(", ")
                )
            }
        }
    }
}

/// What a person can ask.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Lists the contracts with their best prices.
    Contracts(market::Contracts),
    /// Shows both sides of a book.
    Book(market::Book),
    /// Enters an order.
    Submit(submit::Submit),
    /// Cancels an order, or all that match.
    Cancel(orders::Cancel),
    /// Sets, moves or pulls a two-sided quote.
    Quote(quote::Quote),
    /// Lists open orders.
    Orders(orders::Orders),
    /// Lists fills.
    Fills(orders::Fills),
    /// Shows balances, positions and margin.
    Balance(account::Balance),
    /// Shows and directs deliveries: obligations, destinations, settlements, capacity.
    Delivery(delivery::Delivery),
    /// Shows what one day did to an account: realised, unrealised, fees, margin, cash.
    Statement(statement::Statement),
    /// Lists the settled days of an account's positions.
    Settlements(statement::Settlements),
    /// Plans which forwards a miner sells: contracts, margin, revenue hedged and not.
    Hedge(hedge::Hedge),
    /// Follows trades and best prices until Ctrl-C.
    Tail(tail::Tail),
    /// Sets, lists and resets market maker protection.
    Mmp(risk::Mmp),
    /// Blocks and releases order entry of a session, an account or the firm.
    KillSwitch(risk::KillSwitch),
    /// Asks makers for firm prices of size, quotes, accepts.
    Rfq(rfq::Rfq),
    /// Trades agreed off the book: reports, affirms, lists.
    Block(block::Block),
    /// Positions of defaulters: what makers may bid for, and bids.
    Offers(offers::Offers),
    /// Margin of forwards: what is asked for and why; what an order would need; the operator's way to set it.
    Margin(margin::Margin),
    /// Signs and submits what a source of an index observes; registers sources.
    Oracle(oracle::Oracle),
    /// Prints a proof of what an account has.
    Proof(proof::Proof),
    /// Asks for a withdrawal by the chain.
    Withdraw(withdraw::Withdraw),
    /// Approves a withdrawal (operator).
    Approve(withdraw::Approve),
    /// Names the address that may leave with an account's balances.
    Owner(proof::Owner),
}

/// Runs one command to its end.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Contracts(c) => c.run().await,
        Command::Book(c) => c.run().await,
        Command::Submit(c) => c.run().await,
        Command::Cancel(c) => c.run().await,
        Command::Orders(c) => c.run().await,
        Command::Fills(c) => c.run().await,
        Command::Balance(c) => c.run().await,
        Command::Delivery(c) => c.run().await,
        Command::Statement(c) => c.run().await,
        Command::Settlements(c) => c.run().await,
        Command::Hedge(c) => c.run().await,
        Command::Tail(c) => c.run().await,
        Command::Quote(c) => c.run().await,
        Command::Mmp(c) => c.run().await,
        Command::KillSwitch(c) => c.run().await,
        Command::Rfq(c) => c.run().await,
        Command::Block(c) => c.run().await,
        Command::Offers(c) => c.run().await,
        Command::Margin(c) => c.run().await,
        Command::Oracle(c) => c.run().await,
        Command::Proof(c) => c.run().await,
        Command::Withdraw(c) => c.run().await,
        Command::Approve(c) => c.run().await,
        Command::Owner(c) => c.run().await,
    }
}

/// The end of a command: nothing said and status 0, or one sentence on standard error and status 1.
pub fn report(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes on one line; a backtrace helps nobody at a prompt.
            eprintln!("error: {error:#}");
            exit_code(&error)
        }
    }
}

/// What scripts and service managers go by: the codes of `engine/JOURNAL.md` for trouble with the journal,
/// 1 for everything else.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    let found = error.chain().find_map(|cause| {
        let journal = cause.downcast_ref::<JournalError>();
        let recovery = cause.downcast_ref::<RecoverError>();
        let start = cause.downcast_ref::<StartError>();
        journal
            .map(JournalError::exit_code)
            .or_else(|| recovery.map(RecoverError::exit_code))
            .or_else(|| match start {
                Some(StartError::Journal(error)) => Some(error.exit_code()),
                _ => None,
            })
            .or_else(|| cause.downcast_ref::<StoppedByItself>()?.code)
    });
    found.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Writes to standard output. A reader that has gone away, such as `head`, is no error: `false`.
fn print(text: &str) -> Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(e).context("cannot write to standard output"),
    }
}
