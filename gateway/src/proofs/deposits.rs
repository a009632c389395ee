//! Deposits and exit requests on the chain on their way into the books. Where they stand is the core's own, durable state, so a
//! restart anywhere repeats nothing and leaves nothing out.

use anyhow::Result;
use engine::{
    command::{ChainDeposit, Command, ServeExit},
    exchange::ChainDeposits,
};

use crate::{
    desk::Desk,
    sandbox::{request, send},
};

/// How many are credited, and what the vault's chain was with the last of them.
#[must_use]
pub fn cursor(desk: &Desk) -> ChainDeposits {
    desk.state(|state| state.chain_deposits().clone())
}

/// Credits the next deposit, which a final block of the chain shows. Answers the number of the transfer; it is
/// durable then.
///
/// # Errors
/// In words, if it is not the next one, does not continue the chain, or the exchange cannot take it. Nothing
/// has changed then, and it can be offered again.
pub async fn credit(desk: &Desk, deposit: ChainDeposit) -> Result<u32> {
    send(desk, Command::CreditChainDeposit(request(deposit))).await
}

/// Takes the next exit request, which a final block of the chain shows; it is durable then.
///
/// # Errors
/// In words, if it is not the next one, or the exchange cannot take it. It can be offered again.
pub async fn serve_exit(desk: &Desk, exit: ServeExit) -> Result<()> {
    send(desk, Command::ServeExit(request(exit)))
        .await
        .map(drop)
}
