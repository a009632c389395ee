//! Lines about leaving by the chain: `exit WHO|N by NN [patience SECONDS] [number N]` is a request that the registry
//! shows (N: the number of an account, whether somebody has it or not; NN: who filed it, as in `owner`). Check:
//! `exits [taken N] [served N] [claim N]`; claim = what a header behind one of the newest epoch may claim (-1 =
//! none may be formed).

use engine::{
    command::{Command, ServeExit},
    event::{Event, ExitStage},
    ids::AccountId,
};

use super::{actions::Done, given::request, roots::address, words::Words, world::World};

/// Runs one line, if it is one of these.
pub(super) fn act(world: &mut World, verb: &str, line: &str) -> Result<Option<Done>, String> {
    if verb != "exit" {
        return Ok(None);
    }
    let mut words = Words::new(line);
    words.next("a command")?;
    let name = words.next("an account")?;
    let account = match name.parse() {
        Ok(number) => AccountId(number),
        Err(_) => world.account(name)?,
    };
    let owner = address(words.value("by")?.ok_or("  by whom?")?)?;
    let patience = words.unsigned("patience")?.unwrap_or(86_400);
    let id = words.unsigned("number")?;
    words.finish()?;
    let command = Command::ServeExit(request(ServeExit {
        id: id.unwrap_or(world.exchange.exit_requests().len() as u64),
        account,
        owner,
        time: 1_700_000_000,
        block: 1,
        patience: u32::try_from(patience).map_err(|e| e.to_string())?,
    }));
    Ok(Some(Done::of(world.apply(command)?)))
}

/// In a story's words.
pub(super) fn told(event: &Event) -> Option<String> {
    let Event::Exit(step) = event else {
        return None;
    };
    let stage = match step.stage {
        ExitStage::UnknownAccount => "of an unknown account",
        ExitStage::NotTheOwner => "not by the owner",
        ExitStage::VenueAccount => "of the venue",
        ExitStage::WindingUp => "begins",
        ExitStage::WaitsForCall => "waits for a call",
        ExitStage::WaitsForDelivery => "waits for deliveries",
        ExitStage::WaitsForTransfer => "waits for a transfer",
        ExitStage::WaitsForFund => "waits for the fund",
        ExitStage::Served => "served",
    };
    Some(format!("exit {} {stage}", step.request))
}

/// Numbers of exits.
pub(super) fn rows(world: &World) -> Vec<(&'static str, i64)> {
    let wide = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let newest = world.exchange.epochs().newest;
    let claim = world.roots.claim_exits(newest, 0);
    vec![
        ("taken", wide(world.exchange.exit_requests().len() as u64)),
        ("served", wide(world.exchange.exits_served())),
        ("claim", claim.map_or(-1, wide)),
    ]
}
