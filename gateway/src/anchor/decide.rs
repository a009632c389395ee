//! The anchoring process as a function: what is on disk, what the chain shows, the time → the one next step.
//!
//! No I/O, no clock, no memory of its own. The rules, each with its reason, are those of the design's
//! chapter on the anchoring process:
//!
//! - Truth is the contract at the finalized block: its newest header is ours → final; it is the one before
//!   ours → ours must be sent; anything else → touch nothing and call a person.
//! - One header in flight. The next one is chosen when the last is final.
//! - A transaction is written down before it is sent, and the same bytes are sent again as often as needed.
//! - A new nonce only when a *final* block shows that the old one is gone for nothing. So there is never
//!   more than one transaction of ours that can still be mined.
//! - A bump keeps nonce and call, and pays a quarter more in every part of the price: ordinary pools ask
//!   for a tenth, Frontier's rank by price above base fee and by tip, and both must rise.

use revm::primitives::{B256, U256};

use super::{
    chain::Block,
    contract::Standing,
    record::{Intent, Open, State},
    transaction::Price,
};

/// How the process behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Seconds between two anchors.
    pub every: u64,
    /// Seconds between two anchors when somebody waits for a withdrawal.
    pub every_urgent: u64,
    /// Seconds without an anchor after which an idle exchange makes an epoch for one.
    pub heartbeat: u64,
    /// Most gas of a post.
    pub gas: u64,
    /// Most that a unit of gas may cost, wei.
    pub fee_cap: u128,
    /// Legacy prices; otherwise type 2.
    pub legacy: bool,
    /// Blocks after which a transaction that is not mined is bumped.
    pub bump_after: u64,
    /// Blocks after which the same bytes are sent again.
    pub resend_after: u64,
    /// Final refusals of one header after which a person must look.
    pub failures_max: usize,
    /// A new log goes on after this header, which an operator named; none begins with an unused contract.
    pub adopt: Option<B256>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            every: 600,
            every_urgent: 60,
            heartbeat: 1_800,
            gas: 400_000,
            fee_cap: 5_000_000_000,
            legacy: true,
            bump_after: 5,
            resend_after: 2,
            failures_max: 3,
            adopt: None,
        }
    }
}

/// What the chain shows, all endpoints agreed.
#[derive(Clone, Debug)]
pub struct View {
    /// Newest block.
    pub latest: Block,
    /// The contract there.
    pub at_latest: Standing,
    /// Next nonce of the gas account there.
    pub nonce: u64,
    /// Coins of the gas account there, wei.
    pub balance: U256,
    /// Newest final block.
    pub finalized: Block,
    /// The contract there.
    pub at_final: Standing,
    /// Next nonce of the gas account there.
    pub nonce_final: u64,
    /// What a unit of gas costs now, wei.
    pub gas_price: u128,
    /// What the contract says to the signed header before it is sent; none if it was not asked.
    pub rehearsal: Option<Result<(), String>>,
}

/// What this process did since it started; lost at a restart, and then done again, harmlessly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Newest transaction sent, and the newest block then.
    pub sent: Option<(B256, u64)>,
    /// Newest epoch of the exchange.
    pub epoch: u64,
    /// Somebody waits for a withdrawal to be anchored.
    pub urgent: bool,
    /// When an idle exchange was last asked for an epoch, seconds since 1970.
    pub beat: u64,
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do, for this reason.
    Rest(Rest),
    /// Begin the log after what the contract has.
    Begin,
    /// Choose the header of this number.
    Seal(u64),
    /// Have it signed.
    Sign,
    /// Ask the contract what it would say to it.
    Rehearse,
    /// Write this transaction down, with this nonce and price.
    Intend(u64, Price),
    /// Send these bytes.
    Send(Box<Intent>),
    /// Write down that it was seen in this block.
    NoteMined(u64),
    /// Write down that the block it was in is gone.
    NoteOrphaned,
    /// Write down that this nonce is gone for nothing.
    NoteFailed(u64),
    /// Write down that it is final.
    NoteFinal,
}

/// Why there is nothing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The next anchor is not due.
    NotDue,
    /// The exchange has nothing to anchor.
    NothingNew,
    /// Sent, and not in a block yet.
    InFlight,
    /// In a block that is not final yet.
    Mined,
    /// Its price is at the cap, and it is not mined.
    AtCap,
    /// The gas account cannot pay.
    NoGas {
        /// What a post may cost, wei.
        needed: u128,
    },
    /// The contract is frozen for ever.
    Frozen,
    /// The contract would refuse the header.
    WouldRefuse(String),
    /// It did, several times.
    Refused(usize),
    /// The exchange's newest epoch cannot stand on the chain.
    Unpostable(String),
    /// The signers did not sign.
    Unsigned(String),
    /// The contract holds something that is not ours, in a final block.
    Foreign(String),
    /// The contract holds something that is not ours, in a block that is not final.
    ForeignPending(String),
    /// A final block went away: the chain broke its word.
    FinalityBroken,
    /// The gas account's nonce went back: wait until the chain shows one story.
    NonceBehind,
    /// No answer.
    Away(String),
    /// Endpoints contradict each other.
    Contradiction(String),
}

impl Rest {
    /// Whether a person must look at once.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        matches!(
            self,
            Self::NoGas { .. }
                | Self::Frozen
                | Self::WouldRefuse(_)
                | Self::Refused(_)
                | Self::Unpostable(_)
                | Self::Unsigned(_)
                | Self::Foreign(_)
                | Self::ForeignPending(_)
                | Self::FinalityBroken
                | Self::Contradiction(_)
        )
    }
}

impl std::fmt::Display for Rest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotDue => write!(out, "the next anchor is not due"),
            Self::NothingNew => write!(out, "the exchange has nothing new to anchor"),
            Self::InFlight => write!(out, "sent, not in a block yet"),
            Self::Mined => write!(out, "in a block, not final yet"),
            Self::AtCap => write!(out, "not mined, and its price is at the cap"),
            Self::NoGas { needed } => write!(out, "the gas account cannot pay {needed} wei"),
            Self::Frozen => write!(out, "the contract is frozen"),
            Self::WouldRefuse(why) => write!(out, "the contract would refuse the header: {why}"),
            Self::Refused(times) => write!(out, "the contract refused the header {times} times"),
            Self::Unpostable(why) => write!(out, "the newest epoch cannot be anchored: {why}"),
            Self::Unsigned(why) => write!(out, "the header is not signed: {why}"),
            Self::Foreign(what) => write!(out, "the contract holds what is not ours: {what}"),
            Self::ForeignPending(what) => {
                write!(
                    out,
                    "the contract holds what is not ours, not final yet: {what}"
                )
            }
            Self::FinalityBroken => write!(out, "a final block went away"),
            Self::NonceBehind => write!(out, "the gas account's nonce went back"),
            Self::Away(why) => write!(out, "no answer from the chain: {why}"),
            Self::Contradiction(what) => write!(out, "{what}"),
        }
    }
}

/// The next step.
#[must_use]
pub fn decide(policy: &Policy, state: &State, view: &View, memory: &Memory, now: u64) -> Step {
    let (found, last) = (&view.at_final, &state.last);
    if state.contract.is_none() {
        let ours = found.number == 0 || policy.adopt == Some(found.head);
        return if ours {
            Step::Begin
        } else {
            Step::Rest(Rest::Foreign(foreign(found, 0)))
        };
    }
    if found.frozen || view.at_latest.frozen {
        return Step::Rest(Rest::Frozen);
    }
    if found.number + 1 == last.number && found.head == last.previous && !state.settled.is_empty() {
        return broken_finality(state, view, memory, policy);
    }
    let ours =
        |standing: &Standing, number, head| (standing.number, standing.head) == (number, head);
    let Some(open) = &state.open else {
        return if !ours(found, last.number, last.head) {
            Step::Rest(Rest::Foreign(foreign(found, last.number)))
        } else if !ours(&view.at_latest, last.number, last.head) {
            Step::Rest(Rest::ForeignPending(foreign(&view.at_latest, last.number)))
        } else {
            due(policy, state, memory, now)
        };
    };
    if ours(found, open.number, open.hash) {
        return Step::NoteFinal;
    }
    if !ours(found, last.number, last.head) {
        return Step::Rest(Rest::Foreign(foreign(found, open.number)));
    }
    if ours(&view.at_latest, open.number, open.hash) {
        return if open.mined.is_some() {
            Step::Rest(Rest::Mined)
        } else {
            Step::NoteMined(view.latest.number)
        };
    }
    if !ours(&view.at_latest, last.number, last.head) {
        return Step::Rest(Rest::ForeignPending(foreign(&view.at_latest, open.number)));
    }
    if open.call.is_none() {
        return Step::Sign;
    }
    match open.live() {
        Some(live) if view.nonce_final > live.nonce => Step::NoteFailed(live.nonce),
        Some(live) if view.nonce > live.nonce => Step::Rest(Rest::InFlight),
        Some(live) => again(policy, live, open, view, memory),
        None => first(policy, state, open, view),
    }
}

fn foreign(found: &Standing, number: u64) -> String {
    format!(
        "{} anchors, the newest {}, while ours is number {number}",
        found.number, found.head
    )
}

/// The last anchor was final and is gone; its stored bytes bring the same head back.
fn broken_finality(state: &State, view: &View, memory: &Memory, policy: &Policy) -> Step {
    match state.settled.last() {
        Some(settled) if view.nonce <= settled.nonce && resend(policy, settled, view, memory) => {
            Step::Send(Box::new(settled.clone()))
        }
        _ => Step::Rest(Rest::FinalityBroken),
    }
}

/// Nothing is in flight.
fn due(policy: &Policy, state: &State, memory: &Memory, now: u64) -> Step {
    let every = if memory.urgent {
        policy.every_urgent.min(policy.every)
    } else {
        policy.every
    };
    if state.last.sealed_at != 0 && now < state.last.sealed_at.saturating_add(every) {
        Step::Rest(Rest::NotDue)
    } else if memory.epoch <= state.last.epoch {
        Step::Rest(Rest::NothingNew)
    } else {
        Step::Seal(state.last.number + 1)
    }
}

/// Signed, and nothing on its way.
fn first(policy: &Policy, state: &State, open: &Open, view: &View) -> Step {
    if open.failed.len() >= policy.failures_max {
        return Step::Rest(Rest::Refused(open.failed.len()));
    }
    match &view.rehearsal {
        None => return Step::Rehearse,
        Some(Err(why)) => return Step::Rest(Rest::WouldRefuse(why.clone())),
        Some(Ok(())) => {}
    }
    if view.nonce < state.next_nonce {
        return Step::Rest(Rest::NonceBehind);
    }
    let price = opening(policy, view.gas_price);
    match affordable(policy, price, view) {
        Ok(()) => Step::Intend(view.nonce, price),
        Err(rest) => Step::Rest(rest),
    }
}

/// Written down, and not mined.
fn again(policy: &Policy, live: &Intent, open: &Open, view: &View, memory: &Memory) -> Step {
    if open.mined.is_some() {
        return Step::NoteOrphaned;
    }
    let sent = memory.sent.is_some_and(|(hash, _)| hash == live.hash);
    if !sent {
        return Step::Send(Box::new(live.clone()));
    }
    let since = live.block.max(open.orphaned);
    let waits = view.latest.number.saturating_sub(since) >= policy.bump_after;
    let mut rest = Rest::InFlight;
    if waits {
        match bumped(policy, live.price, view.gas_price) {
            None => rest = Rest::AtCap,
            Some(price) => match affordable(policy, price, view) {
                Ok(()) => return Step::Intend(live.nonce, price),
                Err(no_gas) => rest = no_gas,
            },
        }
    }
    if resend(policy, live, view, memory) {
        return Step::Send(Box::new(live.clone()));
    }
    Step::Rest(rest)
}

fn resend(policy: &Policy, intent: &Intent, view: &View, memory: &Memory) -> bool {
    memory.sent.is_none_or(|(hash, block)| {
        hash != intent.hash || view.latest.number.saturating_sub(block) >= policy.resend_after
    })
}

fn affordable(policy: &Policy, price: Price, view: &View) -> Result<(), Rest> {
    let needed = price.most().saturating_mul(policy.gas.into());
    if view.balance < U256::from(needed) {
        return Err(Rest::NoGas { needed });
    }
    Ok(())
}

/// The first price of a transaction.
#[must_use]
pub fn opening(policy: &Policy, gas_price: u128) -> Price {
    if policy.legacy {
        return Price::Legacy(gas_price.clamp(1, policy.fee_cap));
    }
    // Room for the base fee to double; a tenth of today's price for the miner.
    let cap = gas_price.saturating_mul(2).clamp(1, policy.fee_cap);
    Price::Market {
        cap,
        tip: (gas_price / 10).clamp(1, cap),
    }
}

/// The price that replaces another one: a quarter more in every part, or today's if that is higher. None if
/// the cap does not leave room for the quarter.
#[must_use]
pub fn bumped(policy: &Policy, old: Price, gas_price: u128) -> Option<Price> {
    let quarter = |part: u128| part.saturating_mul(5).div_ceil(4).max(part + 1);
    let new = match (old, opening(policy, gas_price)) {
        (Price::Legacy(old), Price::Legacy(now)) => Price::Legacy(quarter(old).max(now)),
        (
            Price::Market { cap, tip },
            Price::Market {
                cap: now,
                tip: tip_now,
            },
        ) => Price::Market {
            cap: quarter(cap).max(now),
            tip: quarter(tip).max(tip_now),
        },
        // The settings changed while it was on its way: a replacement must still rise in every part.
        (Price::Legacy(old), Price::Market { .. }) => Price::Market {
            cap: quarter(old),
            tip: quarter(old),
        },
        (Price::Market { cap, .. }, Price::Legacy(now)) => Price::Legacy(quarter(cap).max(now)),
    };
    (new.most() <= policy.fee_cap).then_some(new)
}
