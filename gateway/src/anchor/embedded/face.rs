//! The embedded chain by JSON-RPC, so that a user's commands work against it as against any other chain: the
//! questions that `anchor/rpc.rs` asks, and no more.

use std::{convert::Infallible, sync::Arc};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes as Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use revm::primitives::{Address, B256, Bytes, keccak256};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{BASE_FEE, Embedded};
use crate::anchor::chain::{Answer, At, Block, Call, Chain, ChainError, Log, Sent};

/// Longest question, bytes.
const QUESTION_MAX: usize = 1 << 20;
/// Longest wait for a question's head.
const HEAD_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Why there is no result: code and words, and a contract's refusal.
struct No(i64, String, Option<Bytes>);

impl From<ChainError> for No {
    fn from(error: ChainError) -> Self {
        Self(-32_000, error.to_string(), None)
    }
}

fn field<T: DeserializeOwned>(params: &Value, place: usize) -> Result<T, No> {
    let value = params.get(place).cloned().unwrap_or(Value::Null);
    serde_json::from_value(value)
        .map_err(|error| No(-32_602, format!("parameter {place}: {error}"), None))
}

fn tag(value: Option<&Value>) -> Result<At, No> {
    let wrong = || No(-32_602, "a block's tag or number expected".into(), None);
    match value.and_then(Value::as_str) {
        None | Some("latest" | "pending") => Ok(At::Latest),
        Some("finalized" | "safe") => Ok(At::Finalized),
        Some("earliest") => Ok(At::Number(0)),
        Some(number) => {
            let digits = number.strip_prefix("0x").ok_or_else(wrong)?;
            let number = u64::from_str_radix(digits, 16).map_err(|_| wrong())?;
            Ok(At::Number(number))
        }
    }
}

fn number(number: impl std::fmt::LowerHex) -> Value {
    json!(format!("{number:#x}"))
}

fn block(block: &Block) -> Value {
    json!({
        "number": number(block.number),
        "hash": block.hash,
        "parentHash": block.parent,
        "timestamp": number(block.time),
        "baseFeePerGas": number(BASE_FEE),
        "transactions": [],
    })
}

fn log(log: &Log) -> Value {
    json!({
        "address": log.address,
        "topics": log.topics,
        "data": log.data,
        "blockNumber": number(log.block),
        "blockHash": log.block_hash,
        "transactionHash": log.transaction,
        "logIndex": number(log.index),
        "removed": false,
    })
}

/// The answer to a question.
#[must_use]
pub fn answer(chain: &Embedded, question: &Value) -> Value {
    let id = question.get("id").cloned().unwrap_or(Value::Null);
    let method = question["method"].as_str().unwrap_or_default();
    match result(chain, method, &question["params"]) {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(No(code, message, data)) => {
            let mut error = json!({"code": code, "message": message});
            if let Some(data) = data {
                error["data"] = json!(data);
            }
            json!({"jsonrpc": "2.0", "id": id, "error": error})
        }
    }
}

fn result(chain: &Embedded, method: &str, params: &Value) -> Result<Value, No> {
    Ok(match method {
        "eth_chainId" => number(chain.chain_id()?),
        "net_version" => json!(chain.chain_id()?.to_string()),
        "eth_blockNumber" => number(chain.block(At::Latest)?.number),
        "eth_gasPrice" => number(chain.gas_price()?),
        "eth_getBlockByNumber" => match chain.block(tag(params.get(0))?) {
            Ok(found) => block(&found),
            Err(_) => Value::Null,
        },
        "eth_getTransactionCount" => number(
            chain
                .read(tag(params.get(1))?, field(params, 0)?, &[])?
                .nonce,
        ),
        "eth_getBalance" => number(
            chain
                .read(tag(params.get(1))?, field(params, 0)?, &[])?
                .balance,
        ),
        "eth_getCode" => json!(chain.code(field::<Address>(params, 0)?)),
        "eth_call" => {
            let asked = params.get(0).cloned().unwrap_or(Value::Null);
            let part = |name: &str| asked.get(name).cloned().unwrap_or(Value::Null);
            let wrong = |error: serde_json::Error| No(-32_602, error.to_string(), None);
            let data = match part("data") {
                Value::Null => part("input"),
                data => data,
            };
            let call = Call {
                from: serde_json::from_value(part("from")).unwrap_or(Address::ZERO),
                to: serde_json::from_value(part("to")).map_err(wrong)?,
                data: serde_json::from_value(data).map_err(wrong)?,
            };
            let reading = chain.read(tag(params.get(1))?, Address::ZERO, &[call])?;
            match reading.answers.into_iter().next() {
                Some(Answer::Returned(bytes)) => json!(bytes),
                Some(Answer::Reverted(data, why)) => return Err(No(3, why, Some(data))),
                None => Value::Null,
            }
        }
        "eth_getLogs" => {
            let filter = params.get(0).cloned().unwrap_or(Value::Null);
            let wrong = |error: serde_json::Error| No(-32_602, error.to_string(), None);
            let contract = serde_json::from_value(filter["address"].clone()).map_err(wrong)?;
            let event = serde_json::from_value(filter["topics"][0].clone()).map_err(wrong)?;
            let end =
                |name: &str| -> Result<u64, No> { Ok(chain.block(tag(filter.get(name))?)?.number) };
            let logs = chain.logs(contract, event, end("fromBlock")?, end("toBlock")?)?;
            logs.iter().map(log).collect()
        }
        "eth_sendRawTransaction" => {
            let raw: Bytes = field(params, 0)?;
            let words = match chain.send(&raw)? {
                Sent::Accepted => return Ok(json!(keccak256(&raw))),
                Sent::Known => "already known".into(),
                Sent::NonceTooLow => "nonce too low".into(),
                Sent::Underpriced => "replacement transaction underpriced".into(),
                Sent::NoFunds => "insufficient funds for gas * price + value".into(),
                Sent::Refused(why) => why,
            };
            return Err(No(-32_000, words, None));
        }
        "eth_getTransactionReceipt" => {
            let hash: B256 = field(params, 0)?;
            let Some(receipt) = chain.receipt(hash)? else {
                return Ok(Value::Null);
            };
            json!({
                "transactionHash": hash,
                "blockNumber": number(receipt.block),
                "blockHash": receipt.block_hash,
                "status": number(u8::from(receipt.success)),
                "gasUsed": number(receipt.gas_used),
                "contractAddress": receipt.created,
            })
        }
        _ => return Err(No(-32_601, format!("{method} is not served here"), None)),
    })
}

async fn serve_one(
    chain: Arc<Embedded>,
    request: Request<Incoming>,
) -> Result<Response<Full<Body>>, Infallible> {
    let plain = |status: StatusCode, text: &str| {
        let mut response = Response::new(Full::new(Body::from(text.to_owned())));
        *response.status_mut() = status;
        response
    };
    if request.method() != Method::POST {
        return Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "JSON-RPC by POST\n"));
    }
    let Ok(body) = Limited::new(request.into_body(), QUESTION_MAX)
        .collect()
        .await
    else {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "at most a megabyte\n"));
    };
    let Ok(question) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
        return Ok(plain(StatusCode::BAD_REQUEST, "no JSON\n"));
    };
    // A transaction runs for milliseconds and waits for the disk.
    let told = tokio::task::spawn_blocking(move || answer(&chain, &question)).await;
    let Ok(told) = told else {
        return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, "no answer\n"));
    };
    let mut response = plain(StatusCode::OK, &told.to_string());
    let json = http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    Ok(response)
}

/// Serves the chain until the task is dropped.
pub async fn serve(chain: Arc<Embedded>, listener: TcpListener) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the embedded chain's listener");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let chain = chain.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| serve_one(chain.clone(), request));
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WAIT)
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away harms nobody.
            drop(served.await);
        });
    }
}

impl Embedded {
    /// An account's code; empty if it is no contract.
    #[must_use]
    pub fn code(&self, account: Address) -> Bytes {
        self.lock().machine.code(account)
    }
}
