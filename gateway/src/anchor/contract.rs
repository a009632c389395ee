//! The contracts as this process sees them: the one place that knows their functions. What they promise, and
//! every byte that is encoded here, stands in `proto/l2/README.md`.

use engine::{command::ChainDeposit, ids::AssetId, roots::chain::Tip};
use revm::primitives::{Address, B256, Bytes, hex, keccak256};
use serde::{Deserialize, Serialize};

use super::{
    abi::{Part, Reader, Words, tuple},
    chain::{Answer, Call, Chain, ChainError, Log},
    header::{Content, tip_tuple, tops_tuple},
    signer::Signature,
};

/// Where they are. Deployed together, in this order: vault, registry, judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Chain (EIP-155).
    pub chain_id: u64,
    /// Decides which headers count. It names the other two.
    pub registry: Address,
    /// Holds the coins.
    pub vault: Address,
    /// Reads proofs of lies.
    pub judge: Address,
}

/// What they hold at some block, as far as anchoring and deposits need it.
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
    /// The guardian holds payments up until then, seconds since 1970. Headers go on.
    pub paused_until: u64,
    /// Silence after which anybody may freeze it, seconds.
    pub silence: u64,
    /// Which signers count; part of what they sign.
    pub signer_set: u64,
    /// Forced exits asked for.
    pub exits_requested: u64,
    /// Of those, claimed as served by the newest header.
    pub exits_served: u64,
}

/// A waiting time: both must have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Seconds.
    pub time: u64,
    /// Blocks.
    pub blocks: u64,
}

/// An asset of the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VaultAsset {
    /// The exchange's number of it.
    pub id: u16,
    /// ERC-20 contract; zero = the chain's own coin.
    pub token: Address,
    /// Wei per minor unit.
    pub scale: u128,
    /// Minor units that leave at once in a day.
    pub day_cap: u128,
    /// Smallest deposit, minor units.
    pub min_deposit: u128,
}

/// Who may do what, and the waiting times, of contracts to be deployed. Ranges are checked by the contracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// All of the exchange's, by number.
    pub assets: Vec<VaultAsset>,
    /// Seconds that the day caps outlive a freeze.
    pub cap_tail: u64,
    /// Root signers.
    pub signers: Vec<Address>,
    /// Signatures that a header needs.
    pub threshold: u64,
    /// Who may stop it.
    pub guardian: Address,
    /// Challenge window.
    pub window: Span,
    /// Silence after which anybody may freeze.
    pub silence: Span,
    /// Time to serve an exit request.
    pub exit: Span,
    /// Delay of a change of signers.
    pub rotation: Span,
    /// Seconds of a pause.
    pub pause_length: u64,
    /// Seconds between two pauses.
    pub pause_every: u64,
    /// Exit requests in a block.
    pub exits_per_block: u64,
    /// Open exit requests.
    pub exits_open: u64,
    /// Fee of an exit request, wei.
    pub exit_fee: u128,
    /// Who gets these fees.
    pub treasury: Address,
}

/// Three transactions of one account, in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Where the contracts will be.
    pub contract: Contract,
    /// What to send: vault, registry, judge.
    pub calls: [Bytes; 3],
}

/// The code that deploys a contract, from its committed artifact.
fn code(artifact: &str) -> Vec<u8> {
    let parsed: Option<Vec<u8>> = serde_json::from_str::<serde_json::Value>(artifact)
        .ok()
        .and_then(|artifact| hex::decode(artifact["bytecode"]["object"].as_str()?).ok());
    parsed.unwrap_or_else(|| unreachable!("the committed artifacts read; a test does so"))
}

const VAULT: &str = include_str!("../../../proto/l2/artifact/HashpitVault.json");
const REGISTRY: &str = include_str!("../../../proto/l2/artifact/HashpitRegistry.json");
const JUDGE: &str = include_str!("../../../proto/l2/artifact/HashpitJudge.json");

/// With the contracts' interfaces and code.
pub(super) const ARTIFACTS: [&str; 3] = [VAULT, REGISTRY, JUDGE];

/// A header as the contracts' functions name it.
#[rustfmt::skip]
macro_rules! header { () => { "(uint64,uint64,uint64,uint64,bytes32,bytes32,(uint16,uint128,uint128,bytes32)[],bytes32,bytes32,uint64,bytes32,uint64,uint64)" } }
pub(super) use header;

const POST: &str = concat!(
    "post(",
    header!(),
    ",((bytes32,uint128,bytes32,uint128)[],(bytes32,uint128,bytes32,uint128)[],bytes32),",
    "(bytes32,address,uint16,uint128,uint128[]),bytes)"
);

/// Questions of which the registry answers these, and the vault the last two.
const READS: [&str; 11] = [
    "anchor()",
    "head()",
    "lastPostTime()",
    "frozen()",
    "pausedUntil()",
    "silenceTime()",
    "signerSet()",
    "exitsRequested()",
    "exitsServed()",
    "depositCount()",
    "depositAcc()",
];
const OF_THE_VAULT: usize = 9;

impl Deployment {
    /// By this account, with this nonce and the next two.
    #[must_use]
    pub fn new(chain_id: u64, deployer: Address, nonce: u64, terms: &Terms) -> Self {
        let contract = Contract {
            chain_id,
            vault: deployer.create(nonce),
            registry: deployer.create(nonce + 1),
            judge: deployer.create(nonce + 2),
        };
        let assets = terms.assets.iter().fold(
            Words::new().number(terms.assets.len() as u64),
            |words, asset| {
                words
                    .number(asset.id.into())
                    .word(asset.token.into_word())
                    .wide(asset.scale)
                    .wide(asset.day_cap)
                    .wide(asset.min_deposit)
            },
        );
        let vault = tuple(&[
            Part::Here(Words::new().word(contract.registry.into_word())),
            Part::Far(assets),
            Part::Here(Words::new().number(terms.cap_tail)),
        ]);
        let spans = [terms.window, terms.silence, terms.exit, terms.rotation];
        let settings = spans.iter().fold(Words::new(), |words, span| {
            words.number(span.time).number(span.blocks)
        });
        let settings = settings
            .number(terms.pause_length)
            .number(terms.pause_every)
            .number(terms.exits_per_block)
            .number(terms.exits_open)
            .wide(terms.exit_fee)
            .word(terms.treasury.into_word());
        let mut sorted = terms.signers.clone();
        sorted.sort_unstable();
        let signers = sorted
            .iter()
            .fold(Words::new().number(sorted.len() as u64), |words, signer| {
                words.word(signer.into_word())
            });
        let registry = tuple(&[
            Part::Here(
                Words::new()
                    .word(contract.vault.into_word())
                    .word(contract.judge.into_word()),
            ),
            Part::Here(settings),
            Part::Far(signers),
            Part::Here(
                Words::new()
                    .number(terms.threshold)
                    .word(terms.guardian.into_word()),
            ),
        ]);
        let judge = Words::new().word(contract.registry.into_word());
        let with = |artifact: &str, arguments: &Words| -> Bytes {
            [&code(artifact), arguments.bytes()].concat().into()
        };
        Self {
            contract,
            calls: [
                with(VAULT, &vault),
                with(REGISTRY, &registry),
                with(JUDGE, &judge),
            ],
        }
    }
}

impl Contract {
    /// The contracts of which only the registry is known: it names the others.
    ///
    /// # Errors
    /// No answer, or there is no registry.
    pub fn find(chain: &dyn Chain, registry: Address) -> Result<Self, ChainError> {
        let ask = |function: &str| Call {
            from: Address::ZERO,
            to: registry,
            data: Words::new().call(function),
        };
        let calls = [ask("vault()"), ask("judge()")];
        let reading = chain.read(super::chain::At::Latest, Address::ZERO, &calls)?;
        let mut found = reading.answers.iter().map(|answer| match answer {
            Answer::Returned(bytes) if bytes.len() == 32 => {
                Some(Address::from_word(B256::from_slice(bytes)))
            }
            _ => None,
        });
        match (found.next().flatten(), found.next().flatten()) {
            (Some(vault), Some(judge)) => Ok(Self {
                chain_id: chain.chain_id()?,
                registry,
                vault,
                judge,
            }),
            _ => Err(ChainError::Missing {
                endpoint: chain.name(),
                what: format!("a registry at {registry}"),
            }),
        }
    }

    /// Keccak of the code hashes of registry, vault and judge: what an operator pins.
    ///
    /// # Errors
    /// No answer.
    pub fn code_hash(&self, chain: &dyn Chain) -> Result<B256, ChainError> {
        let mut hashes = Vec::with_capacity(96);
        for address in [self.registry, self.vault, self.judge] {
            hashes.extend_from_slice(chain.code_hash(address)?.as_slice());
        }
        Ok(keccak256(hashes))
    }

    /// What to ask to learn the [`Standing`].
    #[must_use]
    pub fn reads(&self) -> Vec<Call> {
        let address = |place| {
            if place < OF_THE_VAULT {
                self.registry
            } else {
                self.vault
            }
        };
        let call = |(place, function): (usize, &&str)| Call {
            from: Address::ZERO,
            to: address(place),
            data: Words::new().call(function),
        };
        READS.iter().enumerate().map(call).collect()
    }

    /// A call of the registry by somebody.
    #[must_use]
    pub fn call(&self, from: Address, data: Bytes) -> Call {
        Call {
            from,
            to: self.registry,
            data,
        }
    }

    /// Reads the answers to [`Self::reads`].
    ///
    /// # Errors
    /// If they are not of these contracts.
    pub fn standing(&self, answers: &[Answer], endpoint: &str) -> Result<Standing, ChainError> {
        let nonsense = |function: &str| ChainError::Nonsense {
            endpoint: endpoint.into(),
            what: format!(
                "no answer of the anchoring contract {} to {function}",
                self.registry
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
            frozen: number(word()?)? != 0,
            paused_until: number(word()?)?,
            silence: number(word()?)?,
            signer_set: number(word()?)?,
            exits_requested: number(word()?)?,
            exits_served: number(word()?)?,
            deposits: number(word()?)?,
            deposit_acc: word()?,
        })
    }

    /// What a signer signs for a header's hash (EIP-712).
    #[must_use]
    pub fn digest(&self, hash: B256, signer_set: u64) -> B256 {
        let domain = Words::new()
            .word(keccak256(
                "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
            ))
            .word(keccak256("Hashpit Registry"))
            .word(keccak256("1"))
            .number(self.chain_id)
            .word(self.registry.into_word());
        let action = Words::new()
            .word(keccak256("Anchor(bytes32 header,uint64 signerSet)"))
            .word(hash)
            .number(signer_set);
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
        let joined: Vec<u8> = signatures.iter().flat_map(Signature::bytes).collect();
        tuple(&[
            Part::Far(content.header_tuple()),
            Part::Far(tops_tuple(&content.tops)),
            Part::Far(tip_tuple(&content.tip)),
            Part::Far(Words::new().tail(&joined)),
        ])
        .call(POST)
    }

    /// The call that deposits the chain's own coin.
    #[must_use]
    pub fn deposit_call(asset: u16) -> Bytes {
        Words::new().number(asset.into()).call("deposit(uint16)")
    }

    /// The call that deposits an ERC-20 which the vault may take.
    #[must_use]
    pub fn deposit_token_call(asset: u16, wei: u128) -> Bytes {
        Words::new()
            .number(asset.into())
            .wide(wei)
            .call("depositToken(uint16,uint256)")
    }

    /// First topic of a deposit's log.
    #[must_use]
    pub fn deposit_event() -> B256 {
        keccak256("Deposited(uint64,address,uint16,uint128,uint128[],bytes32)")
    }

    /// First topic of an anchor's log.
    #[must_use]
    pub fn anchored_event() -> B256 {
        keccak256("Anchored(uint64,uint64,bytes32,uint64,uint64)")
    }

    /// Reads a deposit; `previous` is the chain before it. None if the log is not one, or of an amount that
    /// no account could hold.
    #[must_use]
    pub fn deposit(log: &Log, previous: B256) -> Option<(ChainDeposit, Tip)> {
        let [event, id, owner, asset] = log.topics.as_slice() else {
            return None;
        };
        if *event != Self::deposit_event() {
            return None;
        }
        let id = Reader::new(id.as_slice()).number()?;
        let asset = u16::try_from(Reader::new(asset.as_slice()).number()?).ok()?;
        let mut reader = Reader::new(&log.data);
        let amount = reader.wide()?;
        (reader.number()? == 96).then_some(())?;
        let acc = reader.word()?;
        let count = reader.number()?;
        let totals: Option<Vec<u128>> = (0..count.min(64)).map(|_| reader.wide()).collect();
        let tip = Tip {
            previous: previous.0,
            owner: Address::from_word(*owner).into_array(),
            asset,
            amount,
            totals: totals?,
        };
        let deposit = ChainDeposit {
            id,
            owner: tip.owner,
            asset: AssetId(asset.into()),
            amount: i64::try_from(amount).ok()?,
            totals: tip.totals.clone(),
            chain: acc.0,
            block: log.block,
        };
        Some((deposit, tip))
    }
}
