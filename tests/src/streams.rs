//! Streams of the generator as plain lists, for tests that need many commands and no comparison.

use engine::{
    command::{Command, SetKillSwitch, SetTradingState, Stamped, StateScope, SwitchScope},
    exchange::Exchange,
    ids::InstrumentId,
    instrument::TradingState,
    reason::Reason,
    units::Nanos,
};

use crate::{
    compare,
    generator::{Features, Generator},
    market::request,
    model::{Model, Names},
};

/// The first commands of a seed, good and bad, as the fast exchange met them.
#[must_use]
pub fn record(seed: u64, features: Features, commands: usize) -> Vec<Stamped> {
    let (mut model, mut generator) = (Model::new(), Generator::new(seed, features));
    let (mut names, mut exchange) = (Names::default(), Exchange::new());
    let mut events = Vec::new();
    let mut stream = Vec::with_capacity(commands);
    for _ in 0..commands {
        let stamped = generator.next(&model, &names);
        events.clear();
        exchange.apply(&stamped, &mut events);
        compare::learn(&mut names, &stamped.command, &events);
        let seen = model.apply(&stamped, &names);
        generator.learn(&stamped, &seen);
        stream.push(stamped);
    }
    stream
}

/// The command after the newest one, at the next moment at which nothing is overdue.
#[must_use]
pub fn stamp(exchange: &Exchange, command: Command) -> Stamped {
    Stamped {
        seq: exchange.seq() + 1,
        at: exchange.at().after(1),
        command,
    }
}

/// Halts a contract now.
#[must_use]
pub fn halt(exchange: &Exchange, id: InstrumentId) -> Stamped {
    let set = SetTradingState {
        scope: StateScope::Instrument(id),
        target: TradingState::Halted,
        reason: Reason::Operator,
        effective: Nanos(0),
        cancel_open_orders: false,
    };
    stamp(exchange, Command::SetTradingState(request(set)))
}

/// Engages a kill switch that cancels.
#[must_use]
pub fn kill(exchange: &Exchange, scope: SwitchScope) -> Stamped {
    let set = SetKillSwitch {
        scope,
        engaged: true,
        cancel_open_orders: true,
    };
    stamp(exchange, Command::SetKillSwitch(request(set)))
}

/// All contracts, by number.
#[must_use]
pub fn contracts(exchange: &Exchange) -> Vec<InstrumentId> {
    let listed = exchange.instruments().iter();
    listed.map(|contract| contract.id).collect()
}
