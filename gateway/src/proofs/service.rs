//! The proof service.

use std::{sync::Arc, time::Duration};

use engine::{
    command::{Command, SetAccountOwner},
    event::Event,
    ids::{AccountId, AssetId, InstrumentId},
    reason::{Field, Reason},
    roots::Roots,
};
use proto::{
    account::v1 as account_wire,
    common::v1::Permission,
    proof::v1::{self as wire, proof_service_server::ProofService},
};
use tokio::sync::broadcast::error::RecvError;
use tonic::{Request, Response, Status};

use super::{
    Book, provable,
    words::{self, long},
};
use crate::{
    admin::{asked, position, run},
    auth::{Caller, caller},
    desk::Desk,
    outbound::{Outbound, Outgoing, Over, pipe},
    paging::{List, Page},
    refusal,
};

/// Longest silence of a watching stream.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// About as many bytes as a told epoch has.
const EPOCH_BYTES: usize = 512;

type Reply<T> = Result<Response<T>, Status>;

/// The service.
#[derive(Clone, Debug)]
pub struct Service {
    desk: Desk,
    book: Arc<Book>,
}

impl Service {
    /// For this exchange.
    #[must_use]
    pub fn new(desk: Desk, book: Arc<Book>) -> Self {
        Self { desk, book }
    }

    fn told(&self, epoch: &engine::roots::Epoch) -> wire::Epoch {
        words::epoch(epoch, self.book.standing(epoch.header.epoch))
    }

    /// The account, if the caller may see its proofs.
    fn readable(&self, caller: &Caller, account_id: i64) -> Result<AccountId, Status> {
        if caller.may(Permission::Audit) {
            let account = u32::try_from(account_id).map(AccountId).unwrap_or_default();
            let known = self.desk.state(|state| state.account(account).is_some());
            return known
                .then_some(account)
                .ok_or_else(|| refusal::about(Reason::NotFound, Field::Account));
        }
        caller.need_on(Permission::Read, account_id)
    }

    /// Runs `prove` with the epoch that is asked for, if it is in memory.
    fn with<T>(
        &self,
        wanted: i64,
        prove: impl FnOnce(&Roots, &engine::roots::Epoch) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let Ok(number) = u64::try_from(wanted) else {
            return Err(refusal::no(Reason::UnknownEpoch));
        };
        let roots = self.book.roots();
        if let Some(epoch) = provable(&roots, number) {
            return prove(&roots, epoch);
        }
        let newest = roots.epochs().back().map_or(0, |epoch| epoch.header.epoch);
        // After a start the trees are there with the first mark.
        let reason = if number == 0 || number > newest || roots.provable().is_none() {
            Reason::EpochNotSealed
        } else {
            Reason::EpochPruned
        };
        Err(refusal::no(reason))
    }
}

/// Names the address that may leave with an account's balances.
///
/// # Errors
/// A key without WITHDRAW on the account, an address that is not 20 bytes or zero, a closed account.
pub async fn set_owner(
    desk: &Desk,
    request: Request<account_wire::SetL2OwnerRequest>,
) -> Reply<account_wire::SetL2OwnerResponse> {
    let caller = caller(&request)?;
    let request = request.into_inner();
    let account = caller.need_on(Permission::Withdraw, request.account_id)?;
    let owner = <[u8; 20]>::try_from(&request.l2_owner[..])
        .map_err(|_| refusal::invalid("l2_owner", "20 bytes expected"))?;
    let body = SetAccountOwner { account, owner };
    let command = asked(&caller, request.request_id, &request.note, body)?;
    let (answer, done) = run(desk, Command::SetAccountOwner(command)).await?;
    let changed = answer.events().iter().find_map(|event| match event {
        Event::Owner(change) => Some(change.nonce),
        _ => None,
    });
    let nonce = changed.unwrap_or_else(|| desk.state(|state| state.owner(account).nonce));
    Ok(Response::new(account_wire::SetL2OwnerResponse {
        journal_seq: position(&answer, &done),
        nonce: long(nonce),
    }))
}

#[tonic::async_trait]
impl ProofService for Service {
    async fn list_epochs(
        &self,
        request: Request<wire::ListEpochsRequest>,
    ) -> Reply<wire::ListEpochsResponse> {
        caller(&request)?;
        let request = request.into_inner();
        let page = Page::read(List::Epochs, request.page_size, &request.page_token)?;
        let roots = self.book.roots();
        let newest = roots.epochs().back().map_or(0, |epoch| epoch.header.epoch);
        let is_final =
            |number: &u64| self.book.standing(*number).status == wire::EpochStatus::Final;
        let newest_final = roots
            .epochs()
            .iter()
            .rev()
            .map(|epoch| epoch.header.epoch)
            .find(is_final);
        // Newest first; a page goes on by how far below the newest possible number the last row was.
        let key = |number: u64| u64::MAX - number;
        let rows = roots.epochs().iter().rev().filter(|epoch| {
            let header = &epoch.header;
            let seq = u64::try_from(request.journal_seq).unwrap_or(u64::MAX);
            let before = u64::try_from(request.before_epoch).unwrap_or(0);
            key(header.epoch) > page.after
                && (before == 0 || header.epoch < before)
                && (seq == 0 || (epoch.first_seq..=header.seq).contains(&seq))
        });
        let rows = rows
            .map(|epoch| self.told(epoch))
            .filter(|epoch| request.status == 0 || epoch.status == request.status);
        let (epochs, next_page_token) =
            page.cut(rows, |epoch| key(u64::try_from(epoch.epoch).unwrap_or(0)));
        Ok(Response::new(wire::ListEpochsResponse {
            epochs,
            next_page_token,
            newest_sealed_epoch: long(newest),
            newest_final_epoch: long(newest_final.unwrap_or(0)),
        }))
    }

    async fn get_epoch(
        &self,
        request: Request<wire::GetEpochRequest>,
    ) -> Reply<wire::GetEpochResponse> {
        caller(&request)?;
        let wanted = request.into_inner().epoch;
        let roots = self.book.roots();
        let first = roots.epochs().front().map_or(0, |epoch| epoch.header.epoch);
        let newest = roots.epochs().back().map_or(0, |epoch| epoch.header.epoch);
        let number = u64::try_from(wanted).map_err(|_| refusal::no(Reason::UnknownEpoch))?;
        let number = if number == 0 { newest } else { number };
        let Some(epoch) = roots.epoch(number) else {
            return Err(refusal::no(if number > newest || newest == 0 {
                Reason::EpochNotSealed
            } else if number < first {
                Reason::EpochPruned
            } else {
                Reason::UnknownEpoch
            }));
        };
        Ok(Response::new(wire::GetEpochResponse {
            epoch: Some(self.told(epoch)),
            header_preimage: epoch.header.bytes(),
            state_preimage: epoch.state.bytes(),
        }))
    }

    type WatchEpochsStream = Outgoing<wire::WatchEpochsResponse, wire::WatchEpochsResponse>;

    async fn watch_epochs(
        &self,
        request: Request<wire::WatchEpochsRequest>,
    ) -> Reply<Self::WatchEpochsStream> {
        let caller = caller(&request)?;
        let after = u64::try_from(request.into_inner().after_epoch)
            .map_err(|_| refusal::no(Reason::UnknownEpoch))?;
        let (outbound, outgoing) = pipe(&self.desk, |message| message);
        let service = self.clone();
        tokio::spawn(async move {
            let Err(over) = service.follow(&caller, after, &outbound).await;
            outbound.end(over);
        });
        Ok(Response::new(outgoing))
    }

    async fn get_account_proof(
        &self,
        request: Request<wire::GetAccountProofRequest>,
    ) -> Reply<wire::GetAccountProofResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = self.readable(&caller, request.account_id)?;
        let asset = u16::try_from(request.asset_id)
            .map_err(|_| refusal::about(Reason::NotFound, Field::Asset))?;
        let answer = self.with(request.epoch, |roots, epoch| {
            let assets = epoch.state.assets.iter().map(|row| row.asset);
            let wanted: Vec<u16> = assets.filter(|id| asset == 0 || *id == asset).collect();
            if asset != 0 && wanted.is_empty() {
                return Err(refusal::about(Reason::NotFound, Field::Asset));
            }
            let mut balances = Vec::new();
            for id in wanted {
                let proven = roots.prove_balance(epoch.header.epoch, account, AssetId(id.into()));
                let (leaf, path) =
                    proven.ok_or_else(|| refusal::about(Reason::NotInEpoch, Field::Account))?;
                balances.push(wire::AccountLeafProof {
                    leaf: Some(wire::AccountLeaf {
                        account_id: account.0.into(),
                        asset_id: id.into(),
                        owner: match leaf.owner == [0; 20] {
                            true => Vec::new(),
                            false => leaf.owner.to_vec(),
                        },
                        nonce: long(leaf.nonce),
                        available_minor: long(leaf.available),
                        locked_minor: long(leaf.locked),
                        closed: leaf.closed,
                    }),
                    proof: Some(words::path(&path)),
                });
            }
            let positions = match request.include_positions {
                true => roots.prove_positions(epoch.header.epoch, account),
                false => Vec::new(),
            };
            let positions = positions.iter().map(|position| wire::PositionLeafProof {
                leaf: Some(wire::PositionLeaf {
                    account_id: account.0.into(),
                    instrument_id: i32::try_from(position.leaf.contract).unwrap_or(i32::MAX),
                    net_lots: long(position.leaf.long) - long(position.leaf.short),
                    // It is in the balance already.
                    exit_value_minor: 0,
                }),
                proof: Some(words::path(&position.path)),
                contract_proof: Some(words::path(&position.contract_path)),
            });
            Ok(wire::GetAccountProofResponse {
                epoch: Some(self.told(epoch)),
                header_preimage: epoch.header.bytes(),
                state_preimage: epoch.state.bytes(),
                positions: positions.collect(),
                balances,
            })
        })?;
        Ok(Response::new(answer))
    }

    async fn get_fill_proof(
        &self,
        request: Request<wire::GetFillProofRequest>,
    ) -> Reply<wire::GetFillProofResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = self.readable(&caller, request.account_id)?;
        let trade = u64::try_from(request.trade_id).unwrap_or(0);
        let answer = self.with(request.epoch, |roots, epoch| {
            let fill = (trade, InstrumentId::NONE);
            let proven = roots.prove_fill(epoch.header.epoch, account, fill);
            let (place, path) = proven.ok_or_else(|| refusal::no(Reason::NotInEpoch))?;
            Ok(wire::GetFillProofResponse {
                epoch: Some(self.told(epoch)),
                header_preimage: epoch.header.bytes(),
                proof: Some(words::path(&path)),
                fill_offset: i32::try_from(place.offset).unwrap_or(0),
                fill_length: i32::try_from(engine::roots::fills::FILL_BYTES).unwrap_or(0),
            })
        })?;
        Ok(Response::new(answer))
    }

    async fn get_withdrawal_proof(
        &self,
        request: Request<wire::GetWithdrawalProofRequest>,
    ) -> Reply<wire::GetWithdrawalProofResponse> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = self.readable(&caller, request.account_id)?;
        let transfer = u32::try_from(request.transfer_id).unwrap_or(0);
        let mine = self.desk.state(|state| {
            let place = (transfer as usize).checked_sub(1);
            let row = place.and_then(|place| state.transfers().get(place));
            row.is_some_and(|row| row.account == account)
        });
        if !mine {
            return Err(refusal::about(Reason::NotFound, Field::Transfer));
        }
        let answer = self.with(request.epoch, |roots, epoch| {
            let proven = roots.prove_withdrawal(epoch.header.epoch, transfer);
            let proven = proven.ok_or_else(|| refusal::no(Reason::NotInEpoch))?;
            Ok(wire::GetWithdrawalProofResponse {
                epoch: Some(self.told(epoch)),
                header_preimage: epoch.header.bytes(),
                proof: Some(words::path(&proven.path)),
                // Known once a chain holds the epoch.
                claimable_unix_nanos: 0,
                already_claimed: false,
            })
        })?;
        Ok(Response::new(answer))
    }

    type StreamJournalStream = Outgoing<wire::StreamJournalResponse, wire::StreamJournalResponse>;

    async fn stream_journal(
        &self,
        request: Request<wire::StreamJournalRequest>,
    ) -> Reply<Self::StreamJournalStream> {
        caller(&request)?.need(Permission::Audit)?;
        Err(refusal::unimplemented("StreamJournal"))
    }
}

impl Service {
    /// Tells present statuses, then changes, until somebody goes.
    async fn follow(
        &self,
        caller: &Caller,
        after: u64,
        outbound: &Outbound<wire::WatchEpochsResponse>,
    ) -> Result<std::convert::Infallible, Over> {
        let mut changes = self.book.watch();
        let mut told = after;
        loop {
            // Whatever was missed comes from the book, so that nothing is skipped.
            for epoch in self.later(told) {
                told = u64::try_from(epoch.epoch).unwrap_or(told);
                self.tell(Some(epoch), outbound).await?;
            }
            let change = tokio::select! {
                change = tokio::time::timeout(HEARTBEAT, changes.recv()) => change,
                over = outbound.gone() => return Err(over),
                over = outbound.drained() => return Err(over),
            };
            if !caller.still_valid() {
                return Err(refusal::no(Reason::AuthenticationFailed).into());
            }
            match change {
                Err(_) => self.tell(None, outbound).await?,
                Ok(Ok(number)) if number <= told => {
                    let epoch = self
                        .book
                        .roots()
                        .epoch(number)
                        .map(|epoch| self.told(epoch));
                    if epoch.is_some() && number > after {
                        self.tell(epoch, outbound).await?;
                    }
                }
                Ok(Ok(_)) => {}
                // Behind by more than the channel holds: all statuses again.
                Ok(Err(RecvError::Lagged(_))) => told = after,
                Ok(Err(RecvError::Closed)) => {
                    return Err(refusal::no(Reason::ServerDraining).into());
                }
            }
        }
    }

    fn later(&self, after: u64) -> Vec<wire::Epoch> {
        let roots = self.book.roots();
        let epochs = roots.epochs().iter();
        epochs
            .filter(|epoch| epoch.header.epoch > after)
            .map(|epoch| self.told(epoch))
            .collect()
    }

    async fn tell(
        &self,
        epoch: Option<wire::Epoch>,
        outbound: &Outbound<wire::WatchEpochsResponse>,
    ) -> Result<(), Over> {
        let heartbeat = epoch.is_none();
        let message = wire::WatchEpochsResponse { epoch, heartbeat };
        outbound.send(message, EPOCH_BYTES).await
    }
}
