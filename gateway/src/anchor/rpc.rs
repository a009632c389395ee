//! Any EVM chain by JSON-RPC over HTTP: one endpoint of it.
//!
//! Small on purpose: nine questions, each a bounded wait and a bounded answer. An endpoint's words are read
//! strictly; what is not exactly an answer is nonsense, and said so. Names in messages carry the host only,
//! because paths and queries of paid endpoints hold keys.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use revm::primitives::{Address, B256, Bytes, U256, hex, keccak256};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::chain::{Answer, At, Block, Call, Chain, ChainError, Log, Reading, Receipt, Sent};

/// When a block counts as final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finality {
    /// The node must call it `finalized`.
    pub tag: bool,
    /// And at least so many blocks must stand on it.
    pub confirmations: u64,
}

/// Longest answer, bytes.
const ANSWER_MAX: u64 = 32 << 20;
/// How often a block that moves on is read.
const READS: usize = 3;

/// One endpoint. See the module's page.
pub struct Rpc {
    url: String,
    name: String,
    agent: ureq::Agent,
    finality: Finality,
    ids: AtomicU64,
}

impl std::fmt::Debug for Rpc {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Rpc({})", self.name)
    }
}

/// What a node answered instead of a result.
struct NodeError {
    message: String,
    data: Option<String>,
}

impl Rpc {
    /// An endpoint, every call to which ends within `timeout`. Nothing is asked yet.
    #[must_use]
    pub fn new(url: &str, timeout: Duration, finality: Finality) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            // A node's errors may come with any status; the body says what they are.
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        Self {
            url: url.into(),
            name: host(url),
            agent,
            finality,
            ids: AtomicU64::new(1),
        }
    }

    fn ask(&self, method: &str, params: Value) -> Result<Result<Value, NodeError>, ChainError> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let away = |error: ureq::Error| ChainError::Unreachable {
            endpoint: self.name.clone(),
            why: format!("{method}: {}", words_of(&error)),
        };
        let mut response = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .send(request.to_string().as_bytes())
            .map_err(away)?;
        let status = response.status();
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX)
            .read_to_vec()
            .map_err(away)?;
        let answer: Value = match serde_json::from_slice(&body) {
            Ok(answer) => answer,
            // A proxy in front of the node speaks HTML.
            Err(_) if !status.is_success() => {
                return Err(ChainError::Unreachable {
                    endpoint: self.name.clone(),
                    why: format!("{method}: HTTP {}", status.as_u16()),
                });
            }
            Err(error) => return Err(self.nonsense(method, &error.to_string())),
        };
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            let message = error
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or("an error without words");
            return Ok(Err(NodeError {
                message: message.chars().take(300).collect(),
                data: revert_data(error.get("data")),
            }));
        }
        if answer.get("id") != Some(&json!(id)) {
            return Err(self.nonsense(method, "the answer to another question"));
        }
        match answer.get("result") {
            Some(result) => Ok(Ok(result.clone())),
            None => Err(self.nonsense(method, "neither a result nor an error")),
        }
    }

    /// A result, where an error of the node's is no answer.
    fn result(&self, method: &str, params: Value) -> Result<Value, ChainError> {
        self.ask(method, params)?
            .map_err(|error| ChainError::Missing {
                endpoint: self.name.clone(),
                what: format!("an answer to {method}: {}", error.message),
            })
    }

    fn nonsense(&self, method: &str, what: &str) -> ChainError {
        ChainError::Nonsense {
            endpoint: self.name.clone(),
            what: format!("{method}: {what}"),
        }
    }

    fn number(&self, method: &str, value: &Value) -> Result<u64, ChainError> {
        self.wide(method, value).and_then(|number| {
            u64::try_from(number).map_err(|_| self.nonsense(method, "a number above 2^64"))
        })
    }

    fn wide(&self, method: &str, value: &Value) -> Result<U256, ChainError> {
        value
            .as_str()
            .and_then(|text| text.strip_prefix("0x"))
            .filter(|digits| !digits.is_empty())
            .and_then(|digits| U256::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.nonsense(method, &format!("{value} is no number")))
    }

    fn field<T: DeserializeOwned>(
        &self,
        method: &str,
        value: &Value,
        name: &str,
    ) -> Result<T, ChainError> {
        let field = value.get(name).cloned().unwrap_or(Value::Null);
        serde_json::from_value(field)
            .map_err(|_| self.nonsense(method, &format!("{name} is missing or malformed")))
    }

    fn block_by(&self, tag: &str) -> Result<Block, ChainError> {
        let method = "eth_getBlockByNumber";
        let value = self.result(method, json!([tag, false]))?;
        if value.is_null() {
            return Err(ChainError::Missing {
                endpoint: self.name.clone(),
                what: format!("block {tag}"),
            });
        }
        Ok(Block {
            number: self.number(method, &value["number"])?,
            hash: self.field(method, &value, "hash")?,
            parent: self.field(method, &value, "parentHash")?,
            time: self.number(method, &value["timestamp"])?,
        })
    }

    fn finalized(&self) -> Result<Block, ChainError> {
        let Finality { tag, confirmations } = self.finality;
        let named = if tag {
            Some(self.block_by("finalized")?)
        } else {
            None
        };
        if confirmations == 0
            && let Some(named) = named
        {
            return Ok(named);
        }
        let head = self.block_by("latest")?;
        let deep = head.number.saturating_sub(confirmations);
        match named {
            Some(named) if named.number <= deep => Ok(named),
            _ if deep == head.number => Ok(head),
            _ => self.block_by(&format!("{deep:#x}")),
        }
    }
}

/// Only the host: the rest of an address may hold a key.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.into()
}

/// Words without the address that the library may put into them.
fn words_of(error: &ureq::Error) -> String {
    match error {
        ureq::Error::BadUri(_) => "the address is malformed".into(),
        ureq::Error::Timeout(_) => "no answer in time".into(),
        ureq::Error::Io(error) => error.kind().to_string(),
        ureq::Error::HostNotFound => "the host is not found".into(),
        ureq::Error::BodyExceedsLimit(limit) => format!("an answer of more than {limit} bytes"),
        ureq::Error::ConnectionFailed => "no connection".into(),
        ureq::Error::Tls(what) => format!("TLS: {what}"),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        _ => "the transport failed".into(),
    }
}

/// The refusal's bytes, wherever a node puts them.
fn revert_data(data: Option<&Value>) -> Option<String> {
    let data = data?;
    let text = data
        .as_str()
        .or_else(|| data.get("data").and_then(Value::as_str))
        .or_else(|| data.get("result").and_then(Value::as_str))?;
    Some(text.trim_start_matches("Reverted ").to_owned())
}

/// Whether a node's error is the contract's refusal, and not the node's trouble.
fn is_refusal(error: &NodeError) -> bool {
    let words = error.message.to_lowercase();
    [
        "revert",
        "vm execution",
        "out of gas",
        "invalid opcode",
        "insufficient funds",
        "vm exception",
    ]
    .iter()
    .any(|word| words.contains(word))
}

/// What a node's complaint about a transaction means.
fn complaint(message: &str) -> Sent {
    let words = message.to_lowercase();
    let any = |of: &[&str]| of.iter().any(|word| words.contains(word));
    if any(&[
        "already known",
        "already imported",
        "known transaction",
        "already in mempool",
    ]) {
        Sent::Known
    } else if any(&[
        "nonce too low",
        "nonce is too low",
        "stale",
        "old nonce",
        "invalidtransaction::stale",
    ]) {
        Sent::NonceTooLow
    } else if any(&[
        "underpriced",
        "priority is too low",
        "too low priority",
        "toolowpriority",
        "replacement",
    ]) {
        Sent::Underpriced
    } else if any(&["insufficient funds", "not enough funds", "payment"]) {
        Sent::NoFunds
    } else {
        Sent::Refused(message.into())
    }
}

impl Rpc {
    /// Reads once; what is missing may be there the next time.
    fn read_once(&self, at: At, account: Address, calls: &[Call]) -> Result<Reading, ChainError> {
        let block = self.block(at)?;
        let tag = format!("{:#x}", block.number);
        let nonce = self.result("eth_getTransactionCount", json!([account, tag]))?;
        let balance = self.result("eth_getBalance", json!([account, tag]))?;
        let mut answers = Vec::with_capacity(calls.len());
        for call in calls {
            let question = json!({"from": call.from, "to": call.to, "data": call.data});
            answers.push(match self.ask("eth_call", json!([question, tag]))? {
                Ok(result) => Answer::Returned(
                    serde_json::from_value(result)
                        .map_err(|_| self.nonsense("eth_call", "it is no bytes"))?,
                ),
                Err(error) if error.data.is_some() || is_refusal(&error) => {
                    let data = error
                        .data
                        .and_then(|data| hex::decode(data).ok())
                        .unwrap_or_default();
                    Answer::Reverted(data.into(), error.message)
                }
                Err(error) => {
                    return Err(ChainError::Missing {
                        endpoint: self.name.clone(),
                        what: format!(
                            "an answer to eth_call at block {}: {}",
                            block.number, error.message
                        ),
                    });
                }
            });
        }
        // Several questions were asked by number: a reorganisation in between would mix two stories.
        let again = self.block(At::Number(block.number))?;
        if again.hash != block.hash {
            return Err(ChainError::Missing {
                endpoint: self.name.clone(),
                what: format!(
                    "one story of block {}: it changed while it was read",
                    block.number
                ),
            });
        }
        Ok(Reading {
            nonce: self.number("eth_getTransactionCount", &nonce)?,
            balance: self.wide("eth_getBalance", &balance)?,
            answers,
            block,
        })
    }
}

impl Chain for Rpc {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn chain_id(&self) -> Result<u64, ChainError> {
        let id = self.result("eth_chainId", json!([]))?;
        self.number("eth_chainId", &id)
    }

    fn block(&self, at: At) -> Result<Block, ChainError> {
        match at {
            At::Latest => self.block_by("latest"),
            At::Finalized => self.finalized(),
            At::Number(number) => {
                let block = self.block_by(&format!("{number:#x}"))?;
                if block.number != number {
                    return Err(
                        self.nonsense("eth_getBlockByNumber", "another block than was asked for")
                    );
                }
                Ok(block)
            }
        }
    }

    fn code_hash(&self, contract: Address) -> Result<B256, ChainError> {
        let code = self.result("eth_getCode", json!([contract, "latest"]))?;
        let code: Bytes = serde_json::from_value(code)
            .map_err(|_| self.nonsense("eth_getCode", "it is no bytes"))?;
        Ok(keccak256(code))
    }

    fn read(&self, at: At, account: Address, calls: &[Call]) -> Result<Reading, ChainError> {
        // Blocks go on while several questions are asked about one, and a node may forget the state of it
        // meanwhile: then the newest is asked about. One that was named by its number stays that one.
        let attempts = if matches!(at, At::Number(_)) {
            1
        } else {
            READS
        };
        for _ in 1..attempts {
            match self.read_once(at, account, calls) {
                Err(ChainError::Missing { .. }) => {}
                done => return done,
            }
        }
        self.read_once(at, account, calls)
    }

    fn logs(
        &self,
        contract: Address,
        event: B256,
        from: u64,
        to: u64,
    ) -> Result<Vec<Log>, ChainError> {
        let method = "eth_getLogs";
        let (from_block, to_block) = (format!("{from:#x}"), format!("{to:#x}"));
        let filter = json!([{"address": contract, "topics": [event], "fromBlock": from_block, "toBlock": to_block}]);
        let found = self.result(method, filter)?;
        let found = found
            .as_array()
            .ok_or_else(|| self.nonsense(method, "no list"))?;
        let mut logs = Vec::with_capacity(found.len());
        for value in found {
            if value.get("removed") == Some(&Value::Bool(true)) {
                return Err(self.nonsense(method, "a removed log in a block that was asked for"));
            }
            let log = Log {
                block: self.number(method, &value["blockNumber"])?,
                index: self.number(method, &value["logIndex"])?,
                block_hash: self.field(method, value, "blockHash")?,
                transaction: self.field(method, value, "transactionHash")?,
                address: self.field(method, value, "address")?,
                topics: self.field(method, value, "topics")?,
                data: self.field(method, value, "data")?,
            };
            if log.address != contract
                || log.topics.first() != Some(&event)
                || !(from..=to).contains(&log.block)
            {
                return Err(self.nonsense(method, "a log that was not asked for"));
            }
            logs.push(log);
        }
        logs.sort();
        Ok(logs)
    }

    fn gas_price(&self) -> Result<u128, ChainError> {
        let price = self.result("eth_gasPrice", json!([]))?;
        let price = self.wide("eth_gasPrice", &price)?;
        u128::try_from(price).map_err(|_| self.nonsense("eth_gasPrice", "a price above 2^128"))
    }

    fn send(&self, raw: &[u8]) -> Result<Sent, ChainError> {
        let method = "eth_sendRawTransaction";
        match self.ask(method, json!([hex::encode_prefixed(raw)]))? {
            Ok(hash) if hash == json!(keccak256(raw)) => Ok(Sent::Accepted),
            Ok(_) => Err(self.nonsense(method, "the hash of another transaction")),
            Err(error) => Ok(complaint(&error.message)),
        }
    }

    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        let method = "eth_getTransactionReceipt";
        let value = self.result(method, json!([transaction]))?;
        if value.is_null() {
            return Ok(None);
        }
        if self.field::<B256>(method, &value, "transactionHash")? != transaction {
            return Err(self.nonsense(method, "another transaction's"));
        }
        Ok(Some(Receipt {
            block: self.number(method, &value["blockNumber"])?,
            block_hash: self.field(method, &value, "blockHash")?,
            success: self.number(method, &value["status"])? == 1,
            gas_used: self.number(method, &value["gasUsed"])?,
            created: self.field(method, &value, "contractAddress")?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoints_name_holds_no_key_of_it() {
        assert_eq!(
            host("https://rpc.example.org/v2/SECRET?key=SECRET"),
            "rpc.example.org"
        );
        assert_eq!(host("http://user:SECRET@127.0.0.1:8545"), "127.0.0.1:8545");
    }

    #[test]
    fn nodes_say_the_same_in_many_words() {
        let cases = [
            ("already known", Sent::Known),
            ("transaction already imported", Sent::Known),
            ("nonce too low: next nonce 5, tx nonce 4", Sent::NonceTooLow),
            (
                "submit transaction to pool failed: InvalidTransaction(InvalidTransaction::Stale)",
                Sent::NonceTooLow,
            ),
            ("replacement transaction underpriced", Sent::Underpriced),
            (
                "submit transaction to pool failed: Pool(TooLowPriority { old: 5, new: 5 })",
                Sent::Underpriced,
            ),
            ("Priority is too low: (5 vs 4)", Sent::Underpriced),
            ("insufficient funds for gas * price + value", Sent::NoFunds),
            ("InvalidTransaction::Payment", Sent::NoFunds),
            (
                "intrinsic gas too low",
                Sent::Refused("intrinsic gas too low".into()),
            ),
        ];
        for (words, meaning) in cases {
            let words_read = complaint(words);
            assert_eq!(words_read, meaning, "{words}");
        }
    }
}
