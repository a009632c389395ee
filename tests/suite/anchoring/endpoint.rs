//! What an endpoint may answer, and what is made of it: never a belief, never an endless wait.

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::{Duration, Instant},
};

use gateway::anchor::{
    chain::{At, Chain, ChainError},
    rpc::{Finality, Rpc},
};
use revm::primitives::Address;

/// An HTTP server that says this to everything; none hangs up only when the test is over.
fn says(answer: Option<String>) -> Rpc {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!(
        "http://{}/v2/SECRET",
        listener.local_addr().expect("an address")
    );
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Some(answer) = &answer else {
                silent.push(stream);
                continue;
            };
            let mut buffer = [0; 4_096];
            // The request is small; whatever it is, the answer is the same.
            drop(stream.read(&mut buffer));
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    let finality = Finality {
        tag: true,
        confirmations: 0,
    };
    Rpc::new(&url, Duration::from_secs(1), finality)
}

fn http(status: &str, body: &str) -> Option<String> {
    let length = body.len();
    Some(format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))
}

#[test]
fn nonsense_is_told_from_absence() {
    let ok = "200 OK";
    let nonsense = [
        http(ok, "<html>busy</html>"),
        http(ok, r#"{"jsonrpc":"2.0","id":1}"#),
        http(ok, r#"{"jsonrpc":"2.0","id":99,"result":"0x1"}"#),
        http(ok, r#"{"jsonrpc":"2.0","id":1,"result":17}"#),
        http(ok, r#"{"jsonrpc":"2.0","id":1,"result":"0x"}"#),
        http(
            ok,
            r#"{"jsonrpc":"2.0","id":1,"result":"0x10000000000000000"}"#,
        ),
        http(ok, "[]"),
    ];
    for answer in nonsense {
        let error = says(answer.clone()).chain_id().expect_err("no number");
        assert!(error.is_contradiction(), "{answer:?}: {error}");
    }
    let away = [
        http("502 Bad Gateway", "<html>busy</html>"),
        Some("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".into()),
        Some("what?".into()),
        http("301 Moved Permanently\r\nlocation: http://127.0.0.1:1/", ""),
        None,
    ];
    for answer in away {
        let since = Instant::now();
        let error = says(answer.clone()).chain_id().expect_err("no answer");
        assert!(
            matches!(error, ChainError::Unreachable { .. }),
            "{answer:?}: {error}"
        );
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "{answer:?}: a bounded wait"
        );
    }
    let busy = http(
        "429 Too Many Requests",
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"limit"}}"#,
    );
    let error = says(busy).chain_id().expect_err("refused");
    assert!(matches!(error, ChainError::Missing { .. }), "{error}");
    assert_eq!(
        says(http(ok, r#"{"jsonrpc":"2.0","id":1,"result":"0x2ced"}"#)).chain_id(),
        Ok(11_501)
    );
}

#[test]
fn a_block_that_is_not_the_one_asked_for_is_nonsense() {
    let hash = format!("0x{}", "11".repeat(32));
    let block = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"number":"0x7","hash":"{hash}","parentHash":"{hash}","timestamp":"0x5"}}}}"#
    );
    let error = says(http("200 OK", &block))
        .block(At::Number(8))
        .expect_err("another one");
    assert!(error.is_contradiction(), "{error}");
    let error = says(http("200 OK", r#"{"jsonrpc":"2.0","id":1,"result":null}"#))
        .block(At::Finalized)
        .expect_err("not served");
    assert!(matches!(error, ChainError::Missing { .. }), "{error}");
}

#[test]
fn no_message_holds_the_endpoints_key() {
    let rpc = says(http("502 Bad Gateway", "<html>busy</html>"));
    let error = rpc.code_hash(Address::ZERO).expect_err("no answer");
    let shown = format!("{error} {error:?} {rpc:?} {}", rpc.name());
    assert!(!shown.contains("SECRET"), "{shown}");
}
