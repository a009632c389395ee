//! Puts a token on each call, good for exactly the method that is called and for a minute at most.
//!
//! The token is made where the request already carries its path, so no caller can name the wrong method
//! or forget it. A token is used again for half its life: signing costs more than sending.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use tonic::{
    body::Body,
    transport::{Channel, Error, channel::ResponseFuture},
};
use tower::Service;

use super::now_unix_nanos;
use crate::keys::PrivateKey;

/// Life written into a token.
const LIFE_SECONDS: i64 = 60;
/// How long a token is sent before a new one is made.
const USED_FOR: Duration = Duration::from_secs(30);

/// A key and the tokens it made lately, one per method. Bounded by the number of methods that exist.
pub struct Signer {
    key: Arc<PrivateKey>,
    tokens: Mutex<HashMap<String, Token>>,
}

struct Token {
    header: HeaderValue,
    made: Instant,
}

impl Signer {
    /// Signs with this key.
    pub fn new(key: Arc<PrivateKey>) -> Self {
        Self {
            key,
            tokens: Mutex::default(),
        }
    }

    /// Name of the key.
    pub fn key_id(&self) -> &str {
        self.key.key_id()
    }

    /// `Bearer <token>` for a method path such as `/hashpit.trading.v1.TradingService/SubmitOrder`.
    fn header(&self, method: &str) -> HeaderValue {
        // A panic elsewhere cannot leave half a token behind, so a poisoned lock is still good.
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = tokens.get(method)
            && token.made.elapsed() < USED_FOR
        {
            return token.header.clone();
        }
        let now = now_unix_nanos() / 1_000_000_000;
        let text = format!("Bearer {}", self.key.mint(method, now, LIFE_SECONDS));
        let mut header =
            HeaderValue::try_from(text).expect("a token is base64url and dots, legal in a header");
        header.set_sensitive(true);
        tokens.insert(
            method.to_owned(),
            Token {
                header: header.clone(),
                made: Instant::now(),
            },
        );
        header
    }
}

/// A connection on which every request is signed.
#[derive(Clone)]
pub struct Signed {
    channel: Channel,
    signer: Arc<Signer>,
}

impl Signed {
    pub(super) fn new(channel: Channel, signer: Arc<Signer>) -> Self {
        Self { channel, signer }
    }
}

impl Service<Request<Body>> for Signed {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> ResponseFuture {
        let header = self.signer.header(request.uri().path());
        request.headers_mut().insert(AUTHORIZATION, header);
        self.channel.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_serves_one_method_and_is_used_again() {
        let signer = Signer::new(Arc::new(PrivateKey::from_seed([7; 32])));
        let submit = signer.header("/hashpit.trading.v1.TradingService/SubmitOrder");
        let again = signer.header("/hashpit.trading.v1.TradingService/SubmitOrder");
        let cancel = signer.header("/hashpit.trading.v1.TradingService/CancelOrder");
        assert_eq!(submit, again);
        assert_ne!(submit, cancel);
        assert!(submit.is_sensitive());
    }
}
