//! `proof` and `owner`: what to keep in case the exchange is gone one day, and who may use it.

use anyhow::{Context, Result, bail};
use clap::Args;
use proto::{
    account::v1::SetL2OwnerRequest,
    proof::v1::{GetAccountProofRequest, ListEpochsRequest},
};

use super::{AccountChoice, Connection, print};
use crate::{
    client::{Client, ClientError},
    proofs::file::{Path, ProofFile, unhex},
};

/// Prints a proof of an account's balances and positions at an epoch. Keep it: `hashpit
/// verify` checks it without the exchange.
#[derive(Args, Clone, Debug)]
pub struct Proof {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    /// Also withdrawals of these transfer numbers.
    #[arg(long, value_name = "TRANSFER")]
    withdrawal: Vec<i64>,
    /// Also every withdrawal by the chain that the epoch has, the newest hundred: after an exit, what it paid.
    #[arg(long, conflicts_with = "withdrawal")]
    withdrawals: bool,
    /// Also fills of these trades.
    #[arg(long, value_name = "TRADE")]
    trade: Vec<i64>,
    /// At this epoch instead of the newest: one on its way to the chain, or the newest that is final there.
    #[arg(long, value_name = "EPOCH", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    epoch: i64,
    /// At the newest epoch that is final on the chain: what `hashpit claim` and `exit` take.
    #[arg(long, conflicts_with = "epoch")]
    anchored: bool,
}

/// What is to be in a proof file.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Whose.
    pub account_id: i64,
    /// At which epoch; 0 = the newest.
    pub epoch: i64,
    /// Numbers of transfers.
    pub withdrawals: &'a [i64],
    /// Numbers of trades.
    pub trades: &'a [i64],
}

/// The newest epoch that is final on the chain.
///
/// # Errors
/// A refusal of the exchange, or there is none.
pub async fn newest_final(client: &Client) -> Result<i64> {
    let request = ListEpochsRequest::default();
    let answer = client.proof().list_epochs(request).await;
    let newest = answer
        .map_err(ClientError::from)?
        .into_inner()
        .newest_final_epoch;
    if newest == 0 {
        bail!("no epoch is final on a chain yet");
    }
    Ok(newest)
}

/// Transfers of an account that left by the chain and that an epoch has (0 = the newest), newest first; of its
/// newest hundred withdrawals.
///
/// # Errors
/// A refusal of the exchange, or an epoch that has none of them.
pub async fn paid_out(client: &Client, account_id: i64, epoch: i64) -> Result<Vec<i64>> {
    use proto::{
        account::v1::{ListTransfersRequest, TransferDirection, TransferRail, TransferState},
        proof::v1::GetWithdrawalProofRequest,
    };
    let request = ListTransfersRequest {
        account_id,
        direction: TransferDirection::Withdrawal.into(),
        state: TransferState::Completed.into(),
        page_size: 100,
        ..ListTransfersRequest::default()
    };
    let answer = client.account().list_transfers(request).await;
    let transfers = answer.map_err(ClientError::from)?.into_inner().transfers;
    let by_the_chain = |rail: i32| rail == i32::from(TransferRail::L2);
    let mut found = Vec::new();
    for row in transfers.iter().filter(|row| by_the_chain(row.rail)) {
        let request = GetWithdrawalProofRequest {
            account_id,
            transfer_id: row.transfer_id,
            epoch,
        };
        // What left later is in a later epoch.
        if client.proof().get_withdrawal_proof(request).await.is_ok() {
            found.push(row.transfer_id);
        }
    }
    if found.is_empty() {
        bail!("the epoch has no withdrawal of account {account_id}");
    }
    Ok(found)
}

impl Proof {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let epoch = match self.anchored {
            true => newest_final(&client).await?,
            false => self.epoch,
        };
        let withdrawals = match self.withdrawals {
            true => paid_out(&client, account_id, epoch).await?,
            false => self.withdrawal,
        };
        let wanted = Wanted {
            account_id,
            epoch,
            withdrawals: &withdrawals,
            trades: &self.trade,
        };
        let file = download(&client, &wanted).await?;
        print(&format!("{}\n", file.json()))?;
        Ok(())
    }
}

/// Names the address on an EVM chain that may claim the account's withdrawals and leave with its balances.
#[derive(Args, Clone, Debug)]
pub struct Owner {
    /// Address, 40 hex digits.
    #[arg(value_name = "ADDRESS")]
    address: String,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
}

impl Owner {
    pub(super) async fn run(self) -> Result<()> {
        let l2_owner = unhex(&self.address).map_err(anyhow::Error::msg)?;
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let mut id = [0; 8];
        getrandom::fill(&mut id)
            .map_err(|error| anyhow::anyhow!("cannot draw a request id: {error}"))?;
        let answer = client
            .account()
            .set_l2_owner(SetL2OwnerRequest {
                account_id,
                l2_owner,
                note: String::new(),
                request_id: u64::from_le_bytes(id) | 1,
            })
            .await
            .map_err(ClientError::from)?
            .into_inner();
        print(&format!(
            "account {account_id} belongs to {} from journal position {} on (change {})\n",
            self.address, answer.journal_seq, answer.nonce
        ))?;
        Ok(())
    }
}

/// Downloads what is wanted, all of one epoch.
///
/// # Errors
/// A refusal of the exchange.
pub async fn download(client: &Client, wanted: &Wanted<'_>) -> Result<ProofFile> {
    use proto::proof::v1::{GetFillProofRequest, GetWithdrawalProofRequest};
    let mut proofs = client.proof();
    let Wanted {
        account_id,
        epoch,
        withdrawals,
        trades,
    } = wanted;
    let account_id = *account_id;
    // An epoch may end between two calls; then everything is asked again.
    loop {
        let answer = proofs
            .get_account_proof(GetAccountProofRequest {
                account_id,
                epoch: *epoch,
                asset_id: 0,
                include_positions: true,
            })
            .await
            .map_err(ClientError::from)?
            .into_inner();
        let account = u32::try_from(account_id).context("--account")?;
        let header = answer.header_preimage;
        let mut file = ProofFile::with(&header, &answer.state_preimage, account);
        let paths = answer.balances.iter().filter_map(|b| b.proof.as_ref());
        file.balances = paths.map(Path::from).collect();
        for position in &answer.positions {
            if let Some((path, over)) = position
                .proof
                .as_ref()
                .zip(position.contract_proof.as_ref())
            {
                let contract = Some(Box::new(Path::from(over)));
                file.positions.push(Path {
                    contract,
                    ..Path::from(path)
                });
            }
        }
        let mut same = true;
        for transfer_id in *withdrawals {
            let request = GetWithdrawalProofRequest {
                account_id,
                transfer_id: *transfer_id,
                epoch: *epoch,
            };
            let answer = proofs.get_withdrawal_proof(request).await;
            let answer = answer.map_err(ClientError::from)?.into_inner();
            same &= answer.header_preimage == header;
            file.withdrawals
                .extend(answer.proof.as_ref().map(Path::from));
        }
        for trade_id in *trades {
            let request = GetFillProofRequest {
                account_id,
                trade_id: *trade_id,
                epoch: *epoch,
            };
            let answer = proofs.get_fill_proof(request).await;
            let answer = answer.map_err(ClientError::from)?.into_inner();
            same &= answer.header_preimage == header;
            file.fills.extend(answer.proof.as_ref().map(Path::from));
        }
        if same {
            return Ok(file);
        }
    }
}
