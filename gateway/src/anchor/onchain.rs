//! What somebody who trusts nobody finds on the chain, and what he can do there, with a proof file, the
//! registry's address and endpoints. Nothing of the exchange is asked.
//!
//! A proof's epoch is on the chain if an `Anchored` log names it and the header formed from the file hashes to
//! what that log says; the only field that the file does not have, how many exits were served, is tried.

use std::sync::Arc;

use engine::roots::{
    chain::{AssetLine, ChainHeader, Tip},
    header::{Header, State},
    leaf::{BalanceLeaf, WithdrawalLeaf},
    proof::Inclusion,
};
use revm::primitives::{Address, B256, Bytes, U256, keccak256};

use super::{
    abi::{Part, Reader, Words, tuple},
    chain::{Answer, At, Call, Chain, ChainError, Receipt, Sent},
    contract::{Contract, Standing, header},
    deposits::SPAN,
    header::{header_tuple, tip_tuple},
    refusals,
    signer::{LocalKey, Signer, SignerError},
    transaction::{Price, Transaction},
};

/// Why it does not go on.
#[derive(Debug, thiserror::Error)]
pub enum OnChainError {
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The key.
    #[error(transparent)]
    Key(#[from] SignerError),
    /// The chain has something else, or nothing.
    #[error("{0}")]
    NotThere(String),
    /// A contract refuses.
    #[error("the contract refuses: {0}")]
    Refused(String),
    /// The network does not take the transaction.
    #[error("the transaction is not taken: {0}")]
    NotTaken(String),
}

/// When a header was posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Posted {
    /// Seconds since 1970.
    pub time: u64,
    /// Block.
    pub number: u64,
}

/// A header on the chain, as its log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Number on the chain.
    pub anchor: u64,
    /// The exchange's epoch.
    pub epoch: u64,
    /// The header's hash.
    pub hash: B256,
    /// When.
    pub posted: Posted,
}

/// A proof's header, found on the chain.
#[derive(Clone, Debug)]
pub struct Found {
    /// The header in full.
    pub header: ChainHeader,
    /// Its log.
    pub row: Row,
    /// The one after it, if there is one.
    pub next: Option<Row>,
    /// The contracts at the same block.
    pub standing: Standing,
    /// The final block that was looked at.
    pub block: u64,
    /// Whether the vault pays from it now; else why not.
    pub payable: Result<(), String>,
}

/// The contracts on a chain.
#[derive(Clone, Debug)]
pub struct OnChain {
    /// The chain; for several endpoints, their agreement.
    pub chain: Arc<dyn Chain>,
    /// The contracts.
    pub contract: Contract,
    /// Logs are looked for from this block on.
    pub from_block: u64,
}

impl Posted {
    fn words(self) -> Words {
        Words::new().number(self.time).number(self.number)
    }
}

/// A path as an argument.
fn nodes(path: &Inclusion) -> Words {
    let words = Words::new().number(path.steps.len() as u64);
    path.steps.iter().fold(words, |words, step| {
        let sum = <[u8; 16]>::try_from(&step.sums[..]).map_or(0, u128::from_be_bytes);
        words.word(step.hash.into()).wide(sum)
    })
}

/// The place of an asset in a header.
fn place(header: &ChainHeader, asset: u16) -> u64 {
    let at = |line: &AssetLine| line.asset == asset;
    header.assets.iter().position(at).unwrap_or(0) as u64
}

/// The header of an epoch as a log has it. How many exits it claims as served is tried: up to `requested`.
fn form(header: &Header, row: &Row, before: B256, requested: u64) -> Result<ChainHeader, String> {
    let form = |served| ChainHeader::of(header, (row.anchor, before.0), served);
    let matching = (0..=requested)
        .filter_map(|served| form(served).ok())
        .find(|formed| formed.hash() == row.hash.0);
    matching.ok_or_else(|| match form(0) {
        Err(why) => format!("epoch {} cannot stand on a chain: {why}", row.epoch),
        Ok(_) => format!(
            "the chain has ANOTHER header for epoch {}, {}: somebody was shown other books",
            row.epoch, row.hash
        ),
    })
}

/// The call that settles at a header, with the one behind it.
fn settle(header: &ChainHeader, posted: Posted, next: Option<Row>) -> Bytes {
    let (next, behind) = next.map_or((B256::ZERO, Posted::default()), |next| {
        (next.hash, next.posted)
    });
    tuple(&[
        Part::Far(header_tuple(header)),
        Part::Here(posted.words()),
        Part::Here(Words::new().word(next)),
        Part::Here(behind.words()),
    ])
    .call(concat!(
        "settleEpoch(",
        header!(),
        ",(uint64,uint64),bytes32,(uint64,uint64))"
    ))
}

impl OnChain {
    /// All headers on the chain until a block, in order; those that a rotation dropped are left out.
    ///
    /// # Errors
    /// No answer, or logs that are none.
    pub fn rows(&self, until: u64) -> Result<Vec<Row>, OnChainError> {
        let mut rows: Vec<Row> = Vec::new();
        let mut from = self.from_block;
        while from <= until {
            let to = until.min(from + SPAN - 1);
            let event = Contract::anchored_event();
            for log in self.chain.logs(self.contract.registry, event, from, to)? {
                let row = (|| {
                    let [_, anchor, epoch] = log.topics.as_slice() else {
                        return None;
                    };
                    let mut data = Reader::new(&log.data);
                    let hash = data.word()?;
                    let posted = Posted {
                        time: data.number()?,
                        number: data.number()?,
                    };
                    Some(Row {
                        anchor: Reader::new(anchor.as_slice()).number()?,
                        epoch: Reader::new(epoch.as_slice()).number()?,
                        hash,
                        posted,
                    })
                })();
                let row =
                    row.ok_or_else(|| OnChainError::NotThere("a log does not read".into()))?;
                rows.retain(|before| before.anchor < row.anchor);
                rows.push(row);
            }
            from = to + 1;
        }
        Ok(rows)
    }

    /// One word that a contract answers at a block.
    fn word(&self, at: At, to: Address, data: Bytes) -> Result<B256, OnChainError> {
        let call = Call {
            from: Address::ZERO,
            to,
            data,
        };
        let reading = self.chain.read(at, Address::ZERO, &[call])?;
        match reading.answers.into_iter().next() {
            Some(Answer::Returned(bytes)) if bytes.len() >= 32 => {
                Ok(B256::from_slice(&bytes[..32]))
            }
            Some(Answer::Reverted(data, _)) => Err(OnChainError::Refused(refusals::words(&data))),
            _ => Err(OnChainError::NotThere("no word in an answer".into())),
        }
    }

    /// Looks for a proof's epoch at the newest final block.
    ///
    /// # Errors
    /// If it is not there as the file has it.
    pub fn find(&self, header: &Header) -> Result<Found, OnChainError> {
        // A node may have forgotten the state of a block a moment after it named it.
        for _ in 0..2 {
            match self.find_now(header) {
                Err(OnChainError::Chain(ChainError::Missing { .. })) => {}
                found => return found,
            }
        }
        self.find_now(header)
    }

    fn find_now(&self, header: &Header) -> Result<Found, OnChainError> {
        let none = OnChainError::NotThere;
        let reading = self
            .chain
            .read(At::Finalized, Address::ZERO, &self.contract.reads())?;
        let standing = self
            .contract
            .standing(&reading.answers, &self.chain.name())?;
        let rows = self.rows(reading.block.number)?;
        let number = header.epoch;
        let Some(at) = rows.iter().position(|row| row.epoch == number) else {
            let later = rows.iter().find(|row| row.epoch > number);
            return Err(none(match later {
                Some(row) => format!(
                    "epoch {number} was not anchored itself: anchor {} with epoch {} stands for it",
                    row.anchor, row.epoch
                ),
                None => format!(
                    "epoch {number} is not on the chain at final block {} ({} anchors there)",
                    reading.block.number, standing.number
                ),
            }));
        };
        let row = rows[at];
        let before = at
            .checked_sub(1)
            .map_or(B256::ZERO, |before| rows[before].hash);
        let formed = form(header, &row, before, standing.exits_requested).map_err(none)?;
        let committed = Words::new().number(row.anchor).call("committed(uint64)");
        let at = At::Number(reading.block.number);
        let found = self.word(at, self.contract.registry, committed)?;
        let stated = Words::new().word(row.hash).raw(row.posted.words().bytes());
        if found != keccak256(stated.bytes()) {
            return Err(none(format!(
                "anchor {} has another commitment",
                row.anchor
            )));
        }
        let payable = Words::new()
            .number(row.anchor)
            .word(row.hash)
            .raw(row.posted.words().bytes())
            .call("requirePayable(uint64,bytes32,(uint64,uint64))");
        let call = self.contract.call(Address::ZERO, payable);
        let answer = self.chain.read(At::Latest, Address::ZERO, &[call])?;
        let payable = match answer.answers.into_iter().next() {
            Some(Answer::Reverted(data, _)) => Err(refusals::words(&data)),
            _ => Ok(()),
        };
        Ok(Found {
            header: formed,
            next: rows.into_iter().find(|next| next.anchor == row.anchor + 1),
            row,
            standing,
            block: reading.block.number,
            payable,
        })
    }

    /// Compares every header on the chain with the one of its epoch in somebody's own books. Answers how many
    /// are the same, and how many are of epochs that he does not have. `claim` says how many exit requests a
    /// header behind one of that epoch, which claimed so many, may claim as served.
    ///
    /// # Errors
    /// No answer, or a header that his books do not give.
    pub fn audit<'a>(
        &self,
        own: impl Fn(u64) -> Option<&'a Header>,
        claim: impl Fn(u64, u64) -> Result<u64, String>,
    ) -> Result<(usize, usize), OnChainError> {
        let reading = self
            .chain
            .read(At::Finalized, Address::ZERO, &self.contract.reads())?;
        let standing = self
            .contract
            .standing(&reading.answers, &self.chain.name())?;
        let (mut same, mut unknown, mut before) = (0, 0, B256::ZERO);
        let (mut previous, mut claimed) = (0, 0);
        for row in self.rows(reading.block.number)? {
            match own(row.epoch) {
                None => unknown += 1,
                Some(header) => {
                    let formed = form(header, &row, before, standing.exits_requested);
                    let formed = formed.map_err(OnChainError::NotThere)?;
                    let most = claim(previous, claimed).map_err(OnChainError::NotThere)?;
                    claimed = formed.forced_count;
                    if claimed > most {
                        return Err(OnChainError::NotThere(format!(
                            "anchor {} claims {claimed} exit requests as served; by these books {most} are",
                            row.anchor
                        )));
                    }
                    same += 1;
                }
            }
            (before, previous) = (row.hash, row.epoch);
        }
        Ok((same, unknown))
    }

    /// The call that pays a withdrawal to its receiver.
    #[must_use]
    pub fn withdraw(found: &Found, leaf: &WithdrawalLeaf, path: &Inclusion) -> Bytes {
        let to = Address::from(leaf.to);
        let withdrawal = Words::new()
            .number(leaf.id)
            .word(to.into_word())
            .wide(leaf.amount)
            .number(leaf.asset.into());
        tuple(&[
            Part::Far(header_tuple(&found.header)),
            Part::Here(found.row.posted.words()),
            Part::Here(Words::new().number(place(&found.header, leaf.asset))),
            Part::Here(withdrawal),
            Part::Far(nodes(path)),
        ])
        .call(concat!(
            "withdraw(",
            header!(),
            ",(uint64,uint64),uint256,(uint64,address,uint128,uint16),(bytes32,uint128)[])"
        ))
    }

    /// The call that pays an account's whole balance in an asset to its owner, after a freeze.
    #[must_use]
    pub fn escape(found: &Found, state: &State, leaf: &BalanceLeaf, path: &Inclusion) -> Bytes {
        let roots = Words::new().number(state.assets.len() as u64);
        let roots = state
            .assets
            .iter()
            .fold(roots, |words, tree| words.word(tree.root.into()));
        let positions = Words::new().word(state.positions.into());
        let opening = tuple(&[Part::Far(roots), Part::Here(positions)]);
        let balance = Words::new()
            .number(leaf.index.into())
            .word(Address::from(leaf.owner).into_word())
            .number(leaf.nonce)
            .wide(leaf.available)
            .wide(leaf.locked)
            .number(leaf.asset.into())
            .number(leaf.closed.into());
        tuple(&[
            Part::Far(header_tuple(&found.header)),
            Part::Here(found.row.posted.words()),
            Part::Here(Words::new().number(place(&found.header, leaf.asset))),
            Part::Far(opening),
            Part::Here(balance),
            Part::Far(nodes(path)),
        ])
        .call(concat!(
            "escape(",
            header!(),
            ",(uint64,uint64),uint256,(bytes32[],bytes32),",
            "(uint32,address,uint64,uint128,uint128,uint16,bool),(bytes32,uint128)[])"
        ))
    }

    /// The call that fixes, after a freeze, the newest header that was final when it happened.
    #[must_use]
    pub fn settle(found: &Found) -> Bytes {
        settle(&found.header, found.row.posted, found.next)
    }

    /// What an exit request costs, wei.
    ///
    /// # Errors
    /// No answer.
    pub fn exit_fee(&self) -> Result<U256, OnChainError> {
        let call = Words::new().call("exitFee()");
        let fee = self.word(At::Latest, self.contract.registry, call)?;
        Ok(U256::from_be_bytes(fee.0))
    }

    /// Wei of a minor unit of an asset, and the token (zero = the chain's own coin).
    ///
    /// # Errors
    /// No answer, or no such asset.
    pub fn asset(&self, asset: u16) -> Result<(u128, Address), OnChainError> {
        let call = Call {
            from: Address::ZERO,
            to: self.contract.vault,
            data: Words::new().number(asset.into()).call("asset(uint16)"),
        };
        let reading = self.chain.read(At::Latest, Address::ZERO, &[call])?;
        let read = |bytes: &Bytes| {
            let mut reader = Reader::new(bytes);
            reader.word()?;
            let token = Address::from_word(reader.word()?);
            Some((reader.wide()?, token))
        };
        match reading.answers.first() {
            Some(Answer::Returned(bytes)) => {
                read(bytes).ok_or_else(|| OnChainError::NotThere("an asset does not read".into()))
            }
            Some(Answer::Reverted(data, _)) => Err(OnChainError::Refused(refusals::words(data))),
            None => Err(OnChainError::NotThere("no answer".into())),
        }
    }

    /// The request of this number, as its log has it: (account, owner, filed) in words.
    ///
    /// # Errors
    /// No answer, or no such request.
    pub fn exit_request(&self, id: u64) -> Result<Words, OnChainError> {
        let head = self.chain.block(At::Latest)?.number;
        let event = keccak256("ExitRequested(uint64,uint32,address,uint64,uint64)");
        let mut from = self.from_block;
        while from <= head {
            let to = head.min(from + SPAN - 1);
            for log in self.chain.logs(self.contract.registry, event, from, to)? {
                let [_, number, account, owner] = log.topics.as_slice() else {
                    continue;
                };
                if Reader::new(number.as_slice()).number() == Some(id) {
                    let words = Words::new().word(*account).word(*owner);
                    return Ok(words.raw(&log.data));
                }
            }
            from = to + 1;
        }
        Err(OnChainError::NotThere(format!(
            "nobody made exit request {id}"
        )))
    }

    /// The deposit of this number, as its log has it, and the chain of deposits before it.
    ///
    /// # Errors
    /// No answer, or no such deposit.
    pub fn deposit(&self, id: u64) -> Result<Tip, OnChainError> {
        let before = Words::new().number(id).call("depositAccAt(uint64)");
        let before = self.word(At::Latest, self.contract.vault, before)?;
        let head = self.chain.block(At::Latest)?.number;
        let event = Contract::deposit_event();
        let mut from = self.from_block;
        while from <= head {
            let to = head.min(from + SPAN - 1);
            for log in self.chain.logs(self.contract.vault, event, from, to)? {
                let read = Contract::deposit(&log, before);
                if let Some((_, tip)) = read.filter(|(deposit, _)| deposit.id == id) {
                    return Ok(tip);
                }
            }
            from = to + 1;
        }
        let gone = format!("nobody made deposit {id} after block {}", self.from_block);
        Err(OnChainError::NotThere(gone))
    }

    /// The call that gives a deposit back which the settled header has not credited.
    #[must_use]
    pub fn refund(id: u64, deposit: &Tip) -> Bytes {
        tuple(&[
            Part::Here(Words::new().number(id)),
            Part::Far(tip_tuple(deposit)),
        ])
        .call("refund(uint64,(bytes32,address,uint16,uint128,uint128[]))")
    }

    /// The call that settles after a freeze before any header was final: anchor 0, the deployment, is looked for
    /// among the first [`SPAN`] blocks.
    ///
    /// # Errors
    /// No answer, or no deployment there.
    pub fn settle_at_nothing(&self) -> Result<Bytes, OnChainError> {
        let head = self.chain.block(At::Latest)?.number;
        let committed = Words::new().number(0).call("committed(uint64)");
        let committed = self.word(At::Latest, self.contract.registry, committed)?;
        let last = head.min(self.from_block + SPAN);
        for number in self.from_block..=last {
            let time = self.chain.block(At::Number(number))?.time;
            let posted = Posted { time, number };
            let stated = Words::new().word(B256::ZERO).raw(posted.words().bytes());
            if committed == keccak256(stated.bytes()) {
                let next = self.rows(head)?.into_iter().find(|row| row.anchor == 1);
                return Ok(settle(&ChainHeader::default(), posted, next));
            }
        }
        Err(OnChainError::NotThere(format!(
            "the registry was not deployed in blocks {} to {last}: --from-block names one shortly before it was",
            self.from_block
        )))
    }

    /// Asks the contract, then signs, sends and waits until the transaction is in a block.
    ///
    /// # Errors
    /// A refusal, or no answer; `patience` seconds without a block.
    pub fn send(
        &self,
        key: &LocalKey,
        (to, value, data): (Address, U256, Bytes),
        patience: u64,
    ) -> Result<(B256, Receipt), OnChainError> {
        let from = key.address();
        let call = Call {
            from,
            to,
            data: data.clone(),
        };
        // A question carries no coins: what is paid for is refused by the network if at all.
        let calls: &[Call] = if value.is_zero() { &[call] } else { &[] };
        let reading = self.chain.read(At::Latest, from, calls)?;
        if let Some(Answer::Reverted(data, words)) = reading.answers.first() {
            let told = if data.is_empty() {
                words.clone()
            } else {
                refusals::words(data)
            };
            return Err(OnChainError::Refused(told));
        }
        let transaction = Transaction {
            chain_id: self.contract.chain_id,
            nonce: reading.nonce,
            price: Price::Legacy(self.chain.gas_price()?),
            gas: 1_000_000,
            to: Some(to),
            value,
            data,
        };
        let signed = transaction.sign(key)?;
        match self.chain.send(&signed.raw)? {
            Sent::Accepted | Sent::Known => {}
            other => return Err(OnChainError::NotTaken(format!("{other:?}"))),
        }
        for _ in 0..=patience {
            if let Some(receipt) = self.chain.receipt(signed.hash)? {
                return match receipt.success {
                    true => Ok((signed.hash, receipt)),
                    false => Err(OnChainError::Refused(format!(
                        "transaction {} reverted, {} gas used",
                        signed.hash, receipt.gas_used
                    ))),
                };
            }
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
        let hash = signed.hash;
        Err(OnChainError::NotTaken(format!(
            "transaction {hash} is in no block after {patience} s; it may still come"
        )))
    }
}
