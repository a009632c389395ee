//! Who calls: every call carries a self-signed token bound to exactly that method.
//!
//! The key ring is a copy of the durable state's keys, read again whenever rights changed. Health and
//! reflection answer without a key; they reveal nothing but the public contract.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use engine::{
    ids::{AccountId, FirmId},
    reason::Reason,
};
use proto::common::v1::Permission;
use tonic::Status;
use tower::{Layer, Service};

use crate::{desk::Desk, keys, refusal};

/// A caller whose token was good.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Key.
    pub key_id: String,
    /// Firm.
    pub firm: FirmId,
    /// Bit n = permission n.
    pub permissions: u32,
    /// Accounts; empty = all of the firm.
    accounts: Vec<AccountId>,
    /// 0 = never.
    pub expires_unix_nanos: i64,
    desk: Desk,
}

impl Caller {
    /// Whether the key holds a permission.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions & (1 << permission as u32) != 0
    }

    /// Insists on a permission.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn need(&self, permission: Permission) -> Result<(), Status> {
        if self.may(permission) {
            return Ok(());
        }
        Err(refusal::no(Reason::NotAuthorized))
    }

    /// Insists on a permission for an account of the key.
    ///
    /// # Errors
    /// PERMISSION_DENIED, also for accounts that do not exist: nobody learns which do.
    pub fn need_on(&self, permission: Permission, account_id: i64) -> Result<AccountId, Status> {
        self.need(permission)?;
        let account = u32::try_from(account_id).map(AccountId).unwrap_or_default();
        let owned = self.desk.state(|exchange| {
            exchange
                .account(account)
                .is_some_and(|row| row.firm == self.firm)
        });
        let listed = self.accounts.is_empty() || self.accounts.contains(&account);
        if owned && listed {
            return Ok(account);
        }
        Err(refusal::about(
            Reason::NotAuthorized,
            engine::reason::Field::Account,
        ))
    }

    /// Accounts the key may use.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountId> {
        self.desk.state(|exchange| {
            let rows = exchange
                .accounts()
                .iter()
                .filter(|row| row.firm == self.firm);
            rows.map(|row| row.id)
                .filter(|id| self.accounts.is_empty() || self.accounts.contains(id))
                .collect()
        })
    }

    /// Whether the key is for every account of the firm, also those to come.
    #[must_use]
    pub fn has_all_accounts(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Whether the key still opens anything.
    #[must_use]
    pub fn still_valid(&self) -> bool {
        let now = now_nanos();
        self.desk.state(|exchange| {
            exchange.keys().iter().any(|key| {
                key.details.key_id == self.key_id
                    && !key.revoked
                    && (key.details.expires.0 == 0 || key.details.expires.0 > now)
            })
        })
    }
}

/// Wall clock in Unix nanoseconds, for tokens and heartbeats; never reaches the core.
#[must_use]
pub fn now_nanos() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
}

/// The caller of a request.
///
/// # Errors
/// UNAUTHENTICATED if the layer did not see a good token.
pub fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    request
        .extensions()
        .get::<Caller>()
        .cloned()
        .ok_or_else(|| refusal::no(Reason::AuthenticationFailed))
}

#[derive(Debug, Default)]
struct Ring {
    version: u64,
    keys: HashMap<String, engine::command::NewKey>,
}

/// Checks tokens.
#[derive(Clone, Debug)]
pub struct Doorman {
    desk: Desk,
    ring: Arc<RwLock<Ring>>,
}

impl Doorman {
    /// For this exchange.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self {
            desk,
            ring: Arc::default(),
        }
    }

    fn refresh(&self) {
        let version = self.desk.hub.access_version();
        let stale = self
            .ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .version
            != version;
        if stale {
            let keys = self.desk.state(|exchange| {
                exchange
                    .keys()
                    .iter()
                    .filter(|key| !key.revoked)
                    .map(|key| (key.details.key_id.clone(), key.details.clone()))
                    .collect()
            });
            *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Ring { version, keys };
        }
    }

    fn admit(&self, headers: &http::HeaderMap, method: &str) -> Result<Caller, Status> {
        self.refresh();
        let denied = |why: String| {
            let details = tonic_types::ErrorDetails::with_error_info(
                refusal::name(Reason::AuthenticationFailed),
                refusal::DOMAIN,
                HashMap::from([("why".to_owned(), why.clone())]),
            );
            <Status as tonic_types::StatusExt>::with_error_details(
                tonic::Code::Unauthenticated,
                format!("authentication failed: {why}"),
                details,
            )
        };
        let token = headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(|| denied("no `authorization: Bearer` token".into()))?;
        let now = now_nanos();
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let public_key_of = |id: &str| ring.keys.get(id).map(|key| key.public_key);
        let key_id = keys::verify(token, method, now / 1_000_000_000, public_key_of)
            .map_err(|why| denied(why.to_string()))?;
        let key = ring
            .keys
            .get(&key_id)
            .ok_or_else(|| denied("unknown key".into()))?;
        if key.expires.0 != 0 && key.expires.0 <= now {
            return Err(denied("the key has expired".into()));
        }
        Ok(Caller {
            key_id,
            firm: key.firm,
            permissions: key.permissions,
            accounts: key.accounts.clone(),
            expires_unix_nanos: key.expires.0,
            desk: self.desk.clone(),
        })
    }
}

impl<S> Layer<S> for Doorman {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded {
            inner,
            doorman: self.clone(),
        }
    }
}

/// A service behind the doorman.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    doorman: Doorman,
}

type Answering<S, B> = std::pin::Pin<
    Box<
        dyn Future<
                Output = Result<
                    http::Response<tonic::body::Body>,
                    <S as Service<http::Request<B>>>::Error,
                >,
            > + Send,
    >,
>;

impl<S, B> Service<http::Request<B>> for Guarded<S>
where
    S: Service<http::Request<B>, Response = http::Response<tonic::body::Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = S::Error;
    type Future = Answering<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let method = request.uri().path();
        let open = method.starts_with("/grpc.health.") || method.starts_with("/grpc.reflection.");
        if !open {
            if self.doorman.desk.is_alarmed() {
                let status = refusal::no(Reason::ServerDraining);
                return Box::pin(async move { Ok(status.into_http()) });
            }
            match self.doorman.admit(request.headers(), method) {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                }
                Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
            }
        }
        let (desk, answer) = (self.doorman.desk.clone(), self.inner.call(request));
        Box::pin(async move {
            let answer = answer.await?;
            // It may have read what raised an alarm meanwhile; and a command may have been done.
            Ok(match desk.is_alarmed() {
                true => crate::desk::unknown_outcome().into_http(),
                false => answer,
            })
        })
    }
}
