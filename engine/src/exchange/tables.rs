//! Rows of the exchange's tables: who may trade, and under which name.

use bincode::{Decode, Encode};

use crate::{
    command::{AccountKind, AccountStatus, DisconnectAction, NewFirm, NewKey, Rail, Selection},
    ids::{AccountId, AssetId, FirmId, SessionId},
    instrument::Index,
    order::OwnerList,
    reason::Reason,
    units::{Decimal, Nanos, Ppm},
};

/// An account. What every order needs comes first and lies in one cache line.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Whose.
    pub firm: FirmId,
    /// Added to the contract's maker fee.
    pub maker_fee_offset: i32,
    /// Added to the contract's taker fee.
    pub taker_fee_offset: i32,
    /// Open orders, in order of entry.
    pub orders: OwnerList,
    /// Market maker protection groups, by number.
    pub groups: Vec<super::Group>,
    /// Purpose.
    pub kind: AccountKind,
    /// What it may do.
    pub status: AccountStatus,
    /// New orders are refused until a session releases them.
    pub blocked: bool,
    /// New orders are refused until the operator releases them.
    pub killed: bool,
    /// The same for its whole firm; a copy of the firm's switch, where every order looks anyway.
    pub firm_killed: bool,
    /// Core time of opening.
    pub created_at: Nanos,
    /// For people.
    pub label: String,
    /// When its dead man's switch fires, which session armed it, and what it cancels.
    pub cancel_timer: Option<(Nanos, SessionId, Selection)>,
    /// Its sessions, in order of first login.
    pub sessions: Vec<SessionId>,
}

const _: () = assert!(std::mem::offset_of!(Account, firm_killed) < 64);

impl Account {
    /// Its maker fee, given the contract's.
    #[must_use]
    pub fn maker_fee(&self, contract: Ppm) -> Ppm {
        Ppm(contract.0.saturating_add(self.maker_fee_offset))
    }

    /// Its taker fee, given the contract's.
    #[must_use]
    pub fn taker_fee(&self, contract: Ppm) -> Ppm {
        Ppm(contract.0.saturating_add(self.taker_fee_offset))
    }
}

/// A legal entity.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Firm {
    /// Its number.
    pub id: FirmId,
    /// As created.
    pub details: NewFirm,
    /// New orders of its accounts are refused until the operator releases them.
    pub killed: bool,
}

/// A registered public key.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Key {
    /// As registered.
    pub details: NewKey,
    /// Opens nothing any more.
    pub revoked: bool,
}

/// An index with its newest values.
#[derive(Clone, Debug, Encode, Decode)]
pub struct IndexState {
    /// As created.
    pub details: Index,
    /// Newest value of any kind.
    pub value: Option<Decimal>,
    /// Newest round, value and journal position: indicative, daily.
    pub rounds: [Option<(u64, Decimal, u64)>; 2],
    /// Core time of the newest value.
    pub at: Nanos,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Presence {
    /// Its client is there.
    Connected,
    /// Its client is gone; the action runs at this time, for this reason.
    Waiting(Nanos, Reason),
    /// Its client is gone and nothing is pending.
    Away,
}

/// A named order session. What every command needs comes first and lies in one cache line.
#[derive(Clone, Debug, Encode, Decode)]
#[repr(C, align(64))]
pub struct Session {
    /// Its number.
    pub id: SessionId,
    /// Whose.
    pub account: AccountId,
    /// Newest command that reached the core.
    pub last_client_seq: u64,
    /// Newest event.
    pub last_event_seq: u64,
    /// Where it stands.
    pub presence: Presence,
    /// Present login; older ones are fenced.
    pub login: u32,
    /// Time to come back, in milliseconds.
    pub grace_ms: i32,
    /// On loss.
    pub action: DisconnectAction,
    /// The disconnect action has run since the last login.
    pub action_ran: bool,
    /// New orders of this session are refused.
    pub blocked: bool,
    /// New orders are refused until the operator releases them.
    pub killed: bool,
    /// Stable name of the strategy.
    pub name: String,
    /// Key of the present login.
    pub key_id: String,
}

const _: () = assert!(std::mem::offset_of!(Session, killed) < 64);

/// Direction and state of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum TransferState {
    /// A deposit, credited.
    Credited,
    /// A withdrawal, asked for and held.
    Pending,
    /// A withdrawal, approved and held.
    Approved,
    /// A withdrawal, paid.
    Paid,
    /// A withdrawal, refused; the hold is gone.
    Refused,
}

/// A deposit or withdrawal.
#[derive(Clone, Copy, Debug, Encode, Decode)]
pub struct Transfer {
    /// Its number.
    pub id: u32,
    /// Whose.
    pub account: AccountId,
    /// What.
    pub asset: AssetId,
    /// How much.
    pub amount: i64,
    /// Where from or to.
    pub rail: Rail,
    /// State.
    pub state: TransferState,
    /// Client's or caller's id.
    pub client_id: u64,
    /// Core time of creation.
    pub created_at: Nanos,
    /// Core time of the last change.
    pub updated_at: Nanos,
    /// Journal position of the last change.
    pub seq: u64,
}
