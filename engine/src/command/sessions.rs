//! Sessions: logging on, getting lost, saying good-bye; and what a restart does to all of them.

use bincode::{Decode, Encode};

use super::Origin;
use crate::{
    ids::{AccountId, SessionId},
    reason::Reason,
    units::Nanos,
};

/// What happens to a session's orders when its stream ends without good-bye.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum DisconnectAction {
    /// Cancel what the session entered.
    #[default]
    CancelSession,
    /// Cancel everything of the account.
    CancelAccount,
    /// Orders stay.
    Keep,
}

/// A client logs on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Login {
    /// Of this account.
    pub account: AccountId,
    /// Stable name of the strategy.
    pub name: String,
    /// Agreed heartbeat interval.
    pub heartbeat_ms: i32,
    /// On loss.
    pub action: DisconnectAction,
    /// Time to come back before the action runs.
    pub grace_ms: i32,
    /// Key that logged on.
    pub key_id: String,
}

/// A session's stream is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Lost {
    /// Which session.
    pub session: SessionId,
    /// Which login of it; a stale one changes nothing.
    pub login: u32,
    /// Heartbeat lost, or disconnect.
    pub cause: Reason,
}

/// A session ends in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Logout {
    /// From whom.
    pub origin: Origin,
    /// Cancel the session's orders first.
    pub cancel_orders: bool,
}

/// The process started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Restart {
    /// Contracts that were open accept only resting orders until then.
    pub post_only_until: Nanos,
    /// Sessions have this long, plus their grace, to come back.
    pub recovery_grace_ms: i32,
}
