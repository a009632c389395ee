//! Lines about sessions (desks), switches, timers and money out.
//!
//! `WHO login DESK [action session|account|keep] [grace +S]`, `WHO lost DESK [heartbeat] [login N]`,
//! `WHO logout DESK [cancel]`, `WHO entry DESK blocked|open`, `WHO timer +S|off [SELECTION] [via DESK]`,
//! `WHO withdraw MONEY #N [manual|chain]`.

use engine::{
    command::{
        Command, DisconnectAction, Login, Logout, Lost, Origin, Rail, RequestWithdrawal,
        SetCancelTimer, SetOrderEntry,
    },
    event::Event,
    ids::{AccountId, SessionId},
    reason::Reason,
    units::MILLISECOND,
};

use super::{
    actions::{Done, origin, selection},
    words::{Words, seconds},
    world::{Desk, MONEY, World},
};

/// Runs one line.
pub(super) fn act(
    world: &mut World,
    account: AccountId,
    verb: &str,
    mut words: Words<'_>,
) -> Result<Done, String> {
    let command = match verb {
        "login" => return login(world, account, words),
        "lost" => lost(world, &mut words)?,
        "logout" => {
            let cancel_orders = words.flag("cancel");
            let origin = of_desk(world, account, &mut words)?;
            Command::Logout(Logout {
                origin,
                cancel_orders,
            })
        }
        "entry" => {
            let states = [("blocked", true), ("open", false)];
            let blocked = words.one_of(&states).ok_or("  blocked or open?")?;
            let origin = of_desk(world, account, &mut words)?;
            Command::SetOrderEntry(SetOrderEntry { origin, blocked })
        }
        "timer" => {
            let after_ms = match words.next("a span or 'off'")? {
                "off" => 0,
                span => milliseconds(span)?,
            };
            Command::SetCancelTimer(SetCancelTimer {
                after_ms,
                selection: selection(world, &mut words)?,
                origin: origin(world, account, &mut words)?,
            })
        }
        "withdraw" => {
            let (manual, chain) = (words.flag("manual"), words.flag("chain"));
            Command::RequestWithdrawal(RequestWithdrawal {
                account,
                client_transfer_id: words.tagged()?.ok_or("  a withdrawal needs a #N")?,
                asset: MONEY,
                amount: words.next_number("an amount")?,
                rail: match (manual, chain) {
                    (true, _) => Rail::Manual,
                    (false, true) => Rail::Chain,
                    (false, false) => Rail::Sandbox,
                },
            })
        }
        word => return Err(format!("  unknown word {word:?}")),
    };
    words.finish()?;
    world.apply(command).map(Done::of)
}

fn milliseconds(span: &str) -> Result<i32, String> {
    i32::try_from(seconds(span)? / MILLISECOND).map_err(|e| e.to_string())
}

/// The desk is the next word; its numbers as in `origin`.
fn of_desk(world: &mut World, account: AccountId, words: &mut Words<'_>) -> Result<Origin, String> {
    let named = words.next("a session")?;
    let (login, seq) = (words.number("login")?, words.unsigned("seq")?);
    let desk = world.desk(named)?;
    let client_seq = seq.unwrap_or(desk.client_seq.saturating_add(1));
    desk.client_seq = desk.client_seq.max(client_seq);
    Ok(Origin {
        account,
        session: desk.id,
        login: login.map_or(desk.login, |login| u32::try_from(login).unwrap_or(0)),
        client_seq,
        ..Origin::default()
    })
}

fn login(world: &mut World, account: AccountId, mut words: Words<'_>) -> Result<Done, String> {
    let name = words.next("a session")?;
    let actions = [
        ("session", DisconnectAction::CancelSession),
        ("account", DisconnectAction::CancelAccount),
        ("keep", DisconnectAction::Keep),
    ];
    let action = match words.value("action")? {
        None => DisconnectAction::CancelSession,
        Some(word) => {
            let known = actions.iter().find(|(known, _)| *known == word);
            known.ok_or_else(|| format!("  unknown word {word:?}"))?.1
        }
    };
    let grace_ms = words.value("grace")?.map_or(Ok(0), milliseconds)?;
    words.finish()?;
    let events = world.apply(Command::Login(Login {
        account,
        name: name.into(),
        heartbeat_ms: 1_000,
        action,
        grace_ms,
        key_id: "key".into(),
    }))?;
    for event in &events {
        let Event::SessionOpened(opened) = event else {
            continue;
        };
        if world.desk(name).is_err() {
            world.desks.push(Desk {
                name: name.into(),
                id: SessionId::NONE,
                login: 0,
                client_seq: 0,
            });
        }
        let desk = world.desk(name)?;
        (desk.id, desk.login) = (opened.session, opened.login);
        desk.client_seq = opened.next_client_seq - 1;
    }
    Ok(Done::of(events))
}

fn lost(world: &mut World, words: &mut Words<'_>) -> Result<Command, String> {
    let heartbeat = words.flag("heartbeat");
    let login = words.number("login")?;
    let desk = world.desk(words.next("a session")?)?;
    Ok(Command::Lost(Lost {
        session: desk.id,
        login: login.map_or(desk.login, |login| u32::try_from(login).unwrap_or(0)),
        cause: if heartbeat {
            Reason::HeartbeatLost
        } else {
            Reason::Disconnect
        },
    }))
}
