//! What operators, risk managers and oracles ask for.

use bincode::{Decode, Encode};

use crate::{
    ids::{AccountId, AssetId, FirmId, IndexId, InstrumentId, ProductId, SessionId},
    instrument::TradingState,
    reason::Reason,
    units::{Decimal, Nanos},
};

/// An administrative command: idempotent by id.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Request<T> {
    /// Chosen by the caller; 0 = no protection against repeats.
    pub id: u64,
    /// Key of the caller, for the audit trail.
    pub key_id: String,
    /// The caller's remark, for the audit trail; at most [`crate::limits::NOTE_BYTES`].
    pub note: String,
    /// What is asked.
    pub body: T,
}

/// A legal entity.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewFirm {
    /// Public short name.
    pub code: String,
    /// Legal name.
    pub legal_name: String,
    /// Legal entity identifier; may be empty.
    pub lei: String,
}

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "named as in admin.v1.AccountKind")]
pub enum AccountKind {
    Client,
    MarketMaker,
    House,
    InsuranceFund,
    Backstop,
}

/// A new account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewAccount {
    /// Of this firm.
    pub firm: FirmId,
    /// For people.
    pub label: String,
    /// Purpose.
    pub kind: AccountKind,
    /// Added to the contract's maker fee, in parts per million.
    pub maker_fee_offset: i32,
    /// Added to the contract's taker fee, in parts per million.
    pub taker_fee_offset: i32,
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AccountStatus {
    /// Everything.
    Active,
    /// Only shrink positions.
    ReduceOnly,
    /// Cancels only.
    Suspended,
    /// Nothing; it is empty.
    Closed,
}

/// A new status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetAccountStatus {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub status: AccountStatus,
    /// Also cancel its open orders.
    pub cancel_open_orders: bool,
}

/// A credential.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NewKey {
    /// Name of the key.
    pub key_id: String,
    /// Whose.
    pub firm: FirmId,
    /// For people.
    pub label: String,
    /// Ed25519.
    pub public_key: [u8; 32],
    /// Set of permissions, bit n = `common.v1.Permission` n.
    pub permissions: u32,
    /// Accounts it may use; empty = all of the firm.
    pub accounts: Vec<AccountId>,
    /// 0 = never.
    pub expires: Nanos,
}

/// Ends a credential.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RevokeKey {
    /// Which.
    pub key_id: String,
    /// Also cancel the open orders of sessions that logged on with it.
    pub cancel_open_orders: bool,
}

/// What a change of trading state covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum StateScope {
    /// One contract.
    Instrument(InstrumentId),
    /// One product.
    Product(ProductId),
    /// Everything.
    All,
}

/// Changes trading states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetTradingState {
    /// Of what.
    pub scope: StateScope,
    /// To which.
    pub target: TradingState,
    /// Told to clients.
    pub reason: Reason,
    /// 0 = now.
    pub effective: Nanos,
    /// Also cancel open orders.
    pub cancel_open_orders: bool,
}

/// Where money comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Rail {
    /// Play money.
    Sandbox,
    /// Booked by hand.
    Manual,
    /// The vault on an EVM chain: it took the deposit, and pays the withdrawal by proof.
    Chain,
}

/// Money in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CreditDeposit {
    /// For whom.
    pub account: AccountId,
    /// What.
    pub asset: AssetId,
    /// How much, in minor units; positive.
    pub amount: i64,
    /// From where.
    pub rail: Rail,
}

/// Asks for money out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RequestWithdrawal {
    /// From whom.
    pub account: AccountId,
    /// Idempotency key of the account; non-zero.
    pub client_transfer_id: u64,
    /// What.
    pub asset: AssetId,
    /// How much, in minor units; positive.
    pub amount: i64,
    /// To where.
    pub rail: Rail,
}

/// The operator's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Decision {
    /// Pay; in the sandbox this completes it.
    Approve,
    /// It has been paid.
    Complete,
    /// Give the held amount back.
    Reject,
}

/// Decides a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResolveWithdrawal {
    /// Which.
    pub transfer: u32,
    /// What.
    pub decision: Decision,
}

/// What an index value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FixingKind {
    /// One sample; moves marks, never settles.
    Indicative,
    /// Of a UTC day; moves marks and posts the day's result.
    Daily,
}

/// An index value. Write-once per (index, kind, round).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SubmitFixing {
    /// Of which index.
    pub index: IndexId,
    /// For what.
    pub kind: FixingKind,
    /// Increasing per index and kind.
    pub round: u64,
    /// Per rate unit and day, in the quote asset.
    pub value: Decimal,
    /// Daily: midnight that began the UTC day whose mean it is, which settles that day of every contract
    /// in delivery; 0 = it is of no certain day and only moves marks and pays variation.
    pub day: Nanos,
    /// Key of the submitter.
    pub key_id: String,
}

/// What a kill switch covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SwitchScope {
    /// One session.
    Session(SessionId),
    /// One account.
    Account(AccountId),
    /// All accounts of a firm.
    Firm(FirmId),
    /// Everybody.
    Venue,
}

/// Moves a kill switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetKillSwitch {
    /// Which.
    pub scope: SwitchScope,
    /// On or off.
    pub engaged: bool,
    /// Also cancel the open orders it covers.
    pub cancel_open_orders: bool,
}
