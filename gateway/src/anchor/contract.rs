//! The anchoring contract as this process sees it: the one file that knows its functions.

use revm::primitives::{Address, B256, Bytes, hex, keccak256};
use serde::{Deserialize, Serialize};

use super::{
    abi::{Reader, Words},
    chain::{Answer, Call, ChainError, Log},
    header::{Content, Link},
    signer::Signature,
};

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Chain (EIP-155).
    pub chain_id: u64,
    /// Address.
    pub address: Address,
}

/// What it holds at some block, as far as anchoring and deposits need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Anchors so far.
    pub number: u64,
    /// Hash of the newest header; zero if there is none.
    pub head: B256,
    /// Time of the newest post, seconds since 1970.
    pub posted_at: u64,
    /// Deposits so far.
    pub deposits: u64,
    /// The deposit chain.
    pub deposit_acc: B256,
    /// Somebody froze it: nothing can be posted ever again.
    pub frozen: bool,
    /// The guardian paused it until then, seconds since 1970.
    pub paused_until: u64,
    /// Silence after which anybody may freeze it, seconds.
    pub silence: u64,
}

/// A deposit, as the contract told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// Number, from 0, without gaps.
    pub id: u64,
    /// Who deposited, how much, and the chain before it.
    pub link: Link,
    /// The chain after it.
    pub acc: B256,
    /// Block that it is in.
    pub block: u64,
    /// Hash of that block.
    pub block_hash: B256,
    /// Its transaction.
    pub transaction: B256,
}

/// Who may do what, and the waiting times, of a contract to be deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Root signers.
    pub signers: Vec<Address>,
    /// Signatures that a header needs.
    pub threshold: u64,
    /// Who may stop it.
    pub guardian: Address,
    /// Challenge window, seconds.
    pub window: u64,
    /// Silence after which anybody may freeze, seconds.
    pub silence: u64,
    /// Time to serve an exit request, seconds.
    pub exit: u64,
    /// Withdrawals a day, wei.
    pub day_cap: u128,
}

/// The code that deploys the contract, before its arguments.
///
/// # Panics
/// Never: a test reads it.
#[must_use]
pub fn code() -> Vec<u8> {
    let text = include_str!("../../fixtures/anchor_contract.hex").trim();
    hex::decode(text).unwrap_or_else(|_| unreachable!("the committed artifact is hex"))
}

const POST: &str = "post((uint64,uint64,uint64,uint64,uint64,uint64,bytes32,bytes32,uint128,uint128,bytes32,\
                    bytes32,bytes32,bytes32),(bytes32,address,uint128,uint128),bytes)";
const READS: [&str; 8] = [
    "epoch()",
    "head()",
    "lastPost()",
    "depositCount()",
    "depositAcc()",
    "frozen()",
    "pausedUntil()",
    "maxSilence()",
];

impl Contract {
    /// What to ask it to learn its [`Standing`].
    #[must_use]
    pub fn reads(&self) -> Vec<Call> {
        READS
            .iter()
            .map(|function| self.call(Address::ZERO, Words::new().call(function)))
            .collect()
    }

    /// A call by somebody.
    #[must_use]
    pub fn call(&self, from: Address, data: Bytes) -> Call {
        Call {
            from,
            to: self.address,
            data,
        }
    }

    /// Reads the answers to [`Self::reads`].
    ///
    /// # Errors
    /// If they are not of this contract.
    pub fn standing(&self, answers: &[Answer], endpoint: &str) -> Result<Standing, ChainError> {
        let nonsense = |function: &str| ChainError::Nonsense {
            endpoint: endpoint.into(),
            what: format!(
                "no answer of the anchoring contract {} to {function}",
                self.address
            ),
        };
        let mut words = READS
            .iter()
            .zip(answers)
            .map(|(function, answer)| match answer {
                Answer::Returned(bytes) if bytes.len() == 32 => Ok(B256::from_slice(bytes)),
                _ => Err(nonsense(function)),
            });
        let mut word = || words.next().unwrap_or_else(|| Err(nonsense("anything")));
        let number = |word: B256| {
            Reader::new(word.as_slice())
                .number()
                .ok_or_else(|| nonsense("a number"))
        };
        Ok(Standing {
            number: number(word()?)?,
            head: word()?,
            posted_at: number(word()?)?,
            deposits: number(word()?)?,
            deposit_acc: word()?,
            frozen: number(word()?)? != 0,
            paused_until: number(word()?)?,
            silence: number(word()?)?,
        })
    }

    /// What a signer signs for a header's hash (EIP-712).
    #[must_use]
    pub fn digest(&self, hash: B256) -> B256 {
        let domain = Words::new()
            .word(keccak256(
                "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
            ))
            .word(keccak256("HashAnchor"))
            .word(keccak256("1"))
            .number(self.chain_id)
            .word(self.address.into_word());
        let action = Words::new()
            .word(keccak256("Anchor(bytes32 header)"))
            .word(hash);
        keccak256(
            [
                &[0x19, 0x01],
                keccak256(domain.bytes()).as_slice(),
                keccak256(action.bytes()).as_slice(),
            ]
            .concat(),
        )
    }

    /// The call that posts a header. Signatures in ascending order of their addresses.
    #[must_use]
    pub fn post(&self, content: &Content, signatures: &[Signature]) -> Bytes {
        let header = content.header.words();
        let tip = &content.tip;
        let joined: Vec<u8> = signatures.iter().flat_map(Signature::bytes).collect();
        let offset = header.len() as u64 + 5 * 32;
        Words::new()
            .raw(&header)
            .word(tip.previous)
            .word(tip.owner.into_word())
            .wide(tip.amount)
            .wide(tip.total)
            .number(offset)
            .tail(&joined)
            .call(POST)
    }

    /// First topic of a deposit's log.
    #[must_use]
    pub fn deposit_event() -> B256 {
        keccak256("Deposited(uint64,address,uint128,uint128,bytes32)")
    }

    /// Reads a deposit; `previous` is the chain before it. None if the log is not one.
    #[must_use]
    pub fn deposit(log: &Log, previous: B256) -> Option<Deposit> {
        let [event, id, owner] = log.topics.as_slice() else {
            return None;
        };
        if *event != Self::deposit_event() {
            return None;
        }
        let mut reader = Reader::new(&log.data);
        Some(Deposit {
            id: Reader::new(id.as_slice()).number()?,
            link: Link {
                previous,
                owner: Address::from_word(*owner),
                amount: reader.wide()?,
                total: reader.wide()?,
            },
            acc: reader.word()?,
            block: log.block,
            block_hash: log.block_hash,
            transaction: log.transaction,
        })
    }

    /// The code that deploys it.
    #[must_use]
    pub fn deployment(code: &[u8], terms: &Terms) -> Bytes {
        let arguments = Words::new()
            .number(7 * 32)
            .number(terms.threshold)
            .word(terms.guardian.into_word())
            .number(terms.window)
            .number(terms.silence)
            .number(terms.exit)
            .wide(terms.day_cap)
            .number(terms.signers.len() as u64);
        let arguments = terms
            .signers
            .iter()
            .fold(arguments, |words, signer| words.word(signer.into_word()));
        [code, arguments.bytes()].concat().into()
    }
}
