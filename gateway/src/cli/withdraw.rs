//! `withdraw` and `approve`: money on its way out by the chain.

use anyhow::{Context, Result};
use clap::Args;
use proto::{
    account::v1::{RequestWithdrawalRequest, TransferRail},
    admin::v1::{ResolveWithdrawalRequest, WithdrawalDecision},
    common::v1::Amount,
};

use super::{AccountChoice, Connection, print};
use crate::client::{Client, ClientError};

/// Asks for a withdrawal to the account's owner on the chain: once it is approved and anchored, `hashpit claim`
/// takes it out of the contract.
#[derive(Args, Clone, Debug)]
pub struct Withdraw {
    /// Minor units, such as satoshi.
    amount: i64,
    /// Number of the asset.
    #[arg(long, default_value_t = 1)]
    asset: i32,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
}

/// Lets a withdrawal leave the books (operator).
#[derive(Args, Clone, Debug)]
pub struct Approve {
    /// Number of the transfer.
    transfer: i64,
    #[command(flatten)]
    connection: Connection,
}

fn id() -> Result<u64> {
    let mut id = [0; 8];
    getrandom::fill(&mut id)
        .map_err(|error| anyhow::anyhow!("cannot draw a request id: {error}"))?;
    Ok(u64::from_le_bytes(id) | 1)
}

/// Asks for a withdrawal by the chain; answers the transfer's number.
///
/// # Errors
/// The exchange's refusal.
pub async fn request(client: &Client, account_id: i64, asset_id: i32, minor: i64) -> Result<i64> {
    let request = RequestWithdrawalRequest {
        account_id,
        client_transfer_id: id()?,
        amount: Some(Amount {
            asset_id,
            minor_units: minor,
        }),
        rail: TransferRail::L2.into(),
        l2_address: Vec::new(),
    };
    let answer = client.account().request_withdrawal(request).await;
    let transfer = answer.map_err(ClientError::from)?.into_inner().transfer;
    Ok(transfer
        .context("an answer without a transfer")?
        .transfer_id)
}

/// Approves a withdrawal.
///
/// # Errors
/// The exchange's refusal.
pub async fn approve(operator: &Client, transfer_id: i64) -> Result<()> {
    let request = ResolveWithdrawalRequest {
        transfer_id,
        decision: WithdrawalDecision::Approve.into(),
        l2_tx_hash: Vec::new(),
        note: String::new(),
        request_id: id()?,
    };
    let answer = operator.admin().resolve_withdrawal(request).await;
    answer.map_err(ClientError::from)?;
    Ok(())
}

impl Withdraw {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let transfer = request(&client, account_id, self.asset, self.amount).await?;
        print(&format!(
            "transfer {transfer} waits for the operator's approval\n"
        ))?;
        Ok(())
    }
}

impl Approve {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        approve(&client, self.transfer).await?;
        print(&format!("transfer {} has left the books\n", self.transfer))?;
        Ok(())
    }
}
