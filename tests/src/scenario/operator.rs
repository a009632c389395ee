//! Lines of the operator and of time.
//!
//! `state open|post-only|cancel-only|halted|closed|pre-open|no-cancel|volatility [on CONTRACT|product P|all] [in +S] [cancel]`,
//! `insure MONEY`, `list spot|forward NAME ...` as in `given` (and not open), `fixing daily|indicative ROUND VALUE`, `clock +S`, `restart post-only +S recovery +S`,
//! `status WHO active|reduce-only|suspended|closed [cancel]`, `deposit WHO MONEY`,
//! `resolve WHO #N approve|complete|reject`. Without `->` nothing may be refused and no order touched.

use engine::{
    command::{
        AccountStatus, Command, CreditDeposit, Decision, FixingKind, Rail, ResolveWithdrawal,
        Restart, SetAccountStatus, SetTradingState, StateScope, SubmitFixing,
    },
    ids::ProductId,
    instrument::TradingState,
    reason::Reason,
    units::{MILLISECOND, Nanos},
};

use super::{
    actions::Done,
    clearing,
    given::request,
    words::{Words, decimal, seconds},
    world::{INDEX, MONEY, World},
};

/// Names of trading states.
pub(super) const STATES: [(&str, TradingState); 10] = [
    ("open", TradingState::Open),
    ("post-only", TradingState::PostOnly),
    ("cancel-only", TradingState::CancelOnly),
    ("halted", TradingState::Halted),
    ("closed", TradingState::Closed),
    ("pre-open", TradingState::PreOpen),
    ("no-cancel", TradingState::NoCancel),
    ("volatility", TradingState::VolatilityAuction),
    ("in-delivery", TradingState::InDelivery),
    ("settled", TradingState::Settled),
];

/// Runs one line, if it is the operator's.
pub(super) fn act(world: &mut World, verb: &str, line: &str) -> Result<Option<Done>, String> {
    let mut words = Words::new(line);
    words.next("a command")?;
    let command = match verb {
        "clock" => return clock(world, words).map(Some),
        "days" => return clearing::days(world, words).map(Some),
        "state" => state(world, &mut words)?,
        "fixing" => fixing(world, &mut words)?,
        "default" => clearing::terms(world, &mut words)?,
        "margin" => super::margins::method(world, &mut words)?,
        "insure" => super::delivery::insurance(words.next_number("an amount")?),
        "list" => super::given::listing(world, words.next("a kind")?, &mut words)?,
        "restart" => {
            let span = |text: Option<&str>| text.map_or(Ok(0), seconds);
            let until = span(words.value("post-only")?)?;
            let recovery = span(words.value("recovery")?)? / MILLISECOND;
            Command::Restart(Restart {
                post_only_until: world.now.after(1 + until),
                recovery_grace_ms: i32::try_from(recovery).map_err(|e| e.to_string())?,
            })
        }
        "status" => {
            let statuses = [
                ("active", AccountStatus::Active),
                ("reduce-only", AccountStatus::ReduceOnly),
                ("suspended", AccountStatus::Suspended),
                ("closed", AccountStatus::Closed),
            ];
            Command::SetAccountStatus(request(SetAccountStatus {
                account: world.account(words.next("an account")?)?,
                status: words.one_of(&statuses).ok_or("  which status?")?,
                cancel_open_orders: words.flag("cancel"),
            }))
        }
        "deposit" => Command::CreditDeposit(request(CreditDeposit {
            account: world.account(words.next("an account")?)?,
            asset: MONEY,
            amount: words.next_number("an amount")?,
            rail: Rail::Sandbox,
        })),
        "resolve" => {
            let account = world.account(words.next("an account")?)?;
            let id = words.tagged()?.ok_or("  which withdrawal?")?;
            let mut transfers = world.exchange.transfers().iter();
            let known = transfers.find(|row| row.account == account && row.client_id == id);
            let decisions = [
                ("approve", Decision::Approve),
                ("complete", Decision::Complete),
                ("reject", Decision::Reject),
            ];
            Command::ResolveWithdrawal(request(ResolveWithdrawal {
                transfer: known.map_or(0, |row| row.id),
                decision: words.one_of(&decisions).ok_or("  which decision?")?,
            }))
        }
        "kill" | "release" => super::quoting::switch(world, verb, &mut words)?,
        _ => {
            return match super::roots::act(world, verb, line)? {
                None => match super::blocks::act(world, verb, line)? {
                    None => match super::rfq::act(world, verb, line)? {
                        None => super::oracle::act(world, verb, line),
                        done => Ok(done),
                    },
                    done => Ok(done),
                },
                done => Ok(done),
            };
        }
    };
    words.finish()?;
    Ok(Some(Done::of(world.apply(command)?)))
}

fn clock(world: &mut World, mut words: Words<'_>) -> Result<Done, String> {
    world.now = world.now.after(seconds(words.next("a span")?)?);
    words.finish()?;
    let mut events = world.apply(Command::Tick)?;
    while world
        .exchange
        .next_deadline()
        .is_some_and(|due| due <= world.now)
    {
        events.extend(world.apply(Command::Tick)?);
    }
    Ok(Done::of(events))
}

fn state(world: &World, words: &mut Words<'_>) -> Result<Command, String> {
    let span = words.value("in")?.map(seconds).transpose()?;
    let scope = match (words.flag("all"), words.value("product")?) {
        (true, _) => StateScope::All,
        (false, Some(name)) => {
            let known = world
                .exchange
                .products()
                .iter()
                .position(|known| known == name);
            let known = known.ok_or_else(|| format!("  unknown word {name:?}: no product"))?;
            StateScope::Product(ProductId::nth(known))
        }
        (false, None) => StateScope::Instrument(world.contract(words.value("on")?)?),
    };
    Ok(Command::SetTradingState(request(SetTradingState {
        scope,
        target: words.one_of(&STATES).ok_or("  which state?")?,
        reason: Reason::Operator,
        effective: span.map_or(Nanos(0), |span| world.now.after(1 + span)),
        cancel_open_orders: words.flag("cancel"),
    })))
}

fn fixing(world: &World, words: &mut Words<'_>) -> Result<Command, String> {
    let kinds = [
        ("daily", FixingKind::Daily),
        ("indicative", FixingKind::Indicative),
    ];
    let kind = words.one_of(&kinds).ok_or("  daily or indicative?")?;
    let round = words.next_number("a round")?.unsigned_abs();
    let mut value = decimal(words.next("a value")?)?;
    value.exponent -= 8; // written in sat, told in BTC
    Ok(Command::SubmitFixing(SubmitFixing {
        index: INDEX,
        kind,
        round,
        value,
        day: clearing::day(world, words)?,
        key_id: "oracle".into(),
    }))
}
