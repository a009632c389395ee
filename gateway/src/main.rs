//! The one binary: `hashpit serve`, `hashpit demo`, and the people's commands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gateway::{cli, commands};

/// The core's tables are large and read at random.
#[global_allocator]
static MEMORY: engine::memory::LargePages = engine::memory::LargePages;

/// Hashpit: the exchange where hashrate trades as a commodity.
#[derive(Parser)]
#[command(name = "hashpit", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the exchange with everything embedded.
    Serve(commands::serve::Serve),
    /// Runs an exchange with makers, miners and takers on the real hashprice series, live on this
    /// terminal.
    Demo(commands::demo::Demo),
    /// Makes API keys.
    #[command(subcommand)]
    Key(commands::key::Key),
    /// Mints a token for one method, for grpcurl and scripts.
    Token(commands::key::Token),
    /// Runs the reference meter: a Stratum V1 proxy that counts a delivery's shares and signs readings.
    Meter(commands::meter::MeterCommand),
    /// Follows the journal of a running exchange in a second process, checking every command. Reads only.
    Follow(commands::follow::Follow),
    /// Checks and shows journals. Reads only.
    #[command(subcommand)]
    Journal(commands::journal::Journal),
    /// Shows how anchoring on the chain stands; makes keys for it.
    #[command(subcommand)]
    Anchor(commands::anchor::Anchor),
    /// Serves the embedded chain of a stopped exchange by JSON-RPC.
    Chain(commands::chain::ChainCommand),
    /// Deposits coins on the chain.
    Deposit(commands::onchain::Deposit),
    /// Has the contract pay the withdrawals in a proof file. Needs no exchange.
    Claim(commands::onchain::Claim),
    /// Leaves without the operator: request, freeze, settle, escape. Needs no exchange.
    #[command(subcommand)]
    Exit(commands::onchain::Exit),
    /// What the guardian of the contracts may do.
    #[command(subcommand)]
    Guardian(commands::onchain::Guardian),
    /// Checks a proof file, without the exchange.
    Verify(commands::verify::Verify),
    /// Executes a journal again and computes every epoch's root. Reads only.
    Audit(commands::audit::Audit),
    #[command(flatten)]
    Client(cli::Command),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("hashpit: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = match arguments.command {
        Command::Serve(serve) => runtime.block_on(serve.run()),
        Command::Demo(demo) => runtime.block_on(demo.run()),
        Command::Key(key) => key.run(),
        Command::Token(token) => token.run(),
        Command::Meter(meter) => runtime.block_on(meter.run()),
        Command::Follow(follow) => runtime.block_on(follow.run()),
        Command::Journal(journal) => journal.run(),
        Command::Anchor(anchor) => anchor.run(),
        Command::Chain(chain) => runtime.block_on(chain.run()),
        Command::Deposit(deposit) => deposit.run(),
        Command::Claim(claim) => claim.run(),
        Command::Exit(exit) => exit.run(),
        Command::Guardian(guardian) => guardian.run(),
        Command::Verify(verify) => verify.run(),
        Command::Audit(audit) => audit.run(),
        Command::Client(command) => runtime.block_on(cli::run(command)),
    };
    // Tasks of a stopped server may still wait for clients; nothing of theirs is lost.
    runtime.shutdown_background();
    cli::report(result)
}
