//! Drawn markets in which, again and again, somebody asks the chain to leave: whatever he has open then, his
//! account ends closed and empty and stays so, nobody's money is lost, and the state can be saved on the way.

use std::collections::BTreeMap;

use engine::{
    command::{Command, ServeExit, SetAccountOwner, Stamped},
    event::{Event, ExitStage},
    exchange::{Exchange, TransferState},
    ids::{AccountId, AssetId, InstrumentId, house},
    instrument::TradingState,
    units::{Nanos, SECOND},
};
use tests::{
    compare::{self, Fast},
    generator::{Features, Random},
    market::request,
    model::{BalanceView, Levels, PositionView},
};

/// Commands of a market.
const COMMANDS: usize = 4_000;
/// Commands between two requests.
const EVERY: usize = 250;

/// An exchange that writes down what it is told; the comparison only draws commands for it.
struct Recorder(Exchange, Vec<Stamped>);

impl Fast for Recorder {
    fn apply(&mut self, stamped: &Stamped) -> Vec<Event> {
        let mut events = Vec::new();
        self.1.push(stamped.clone());
        self.0.apply(stamped, &mut events);
        events
    }

    fn book(&self, instrument: InstrumentId) -> (Levels, Levels) {
        use engine::command::Side;
        let side = |side| {
            let book = self.0.book(instrument).into_iter();
            book.flat_map(|book| book.levels(side))
                .map(|(price, level)| (price.0, level.lots, level.orders))
                .collect()
        };
        (side(Side::Buy), side(Side::Sell))
    }

    fn balance(&self, account: AccountId, asset: AssetId) -> BalanceView {
        let balance = self.0.ledger().balance(account, asset);
        BalanceView {
            cash: balance.cash.0,
            held: balance.held.0,
            margin: balance.margin.0,
            result: balance.result.0,
        }
    }

    fn position(&self, account: AccountId, instrument: InstrumentId) -> PositionView {
        let position = self.0.positions().view(account, instrument);
        PositionView {
            net: position.net.0,
            open_buy: position.open_buy.0,
            open_sell: position.open_sell.0,
            cost: position.cost.0,
            requirement: position.requirement.0,
        }
    }

    fn mark(&self, instrument: InstrumentId) -> i64 {
        self.0
            .instrument(instrument)
            .map_or(0, |contract| contract.mark.0)
    }

    fn trading_state(&self, instrument: InstrumentId) -> Option<TradingState> {
        self.0.instrument(instrument).map(|contract| contract.state)
    }

    fn next_deadline(&self) -> Option<Nanos> {
        self.0.next_deadline()
    }

    fn audit(&self) -> Result<(), String> {
        self.0.audit()
    }
}

/// The market with leavers in it.
struct Leaving {
    exchange: Exchange,
    now: Nanos,
    /// How often each stage was told, and each thing met.
    seen: BTreeMap<String, usize>,
}

impl Leaving {
    fn apply(&mut self, command: Command, at: Nanos) {
        self.now = at.max(self.now.after(1));
        while self
            .exchange
            .next_deadline()
            .is_some_and(|due| due <= self.now)
        {
            self.step(Command::Tick);
            self.now = self.now.after(1);
        }
        if command != Command::Tick {
            self.step(command);
        }
    }

    fn step(&mut self, command: Command) {
        let stamped = Stamped {
            seq: self.exchange.seq() + 1,
            at: self.now,
            command,
        };
        let mut events = Vec::new();
        self.exchange.apply(&stamped, &mut events);
        for event in &events {
            if let Event::Exit(step) = event {
                *self.seen.entry(format!("{:?}", step.stage)).or_default() += 1;
            }
        }
    }

    /// Nothing of anybody who left is left.
    fn check(&self) {
        let rows = self.exchange.exit_requests().iter();
        for row in rows.filter(|row| row.stage == ExitStage::Served) {
            let account = row.account;
            let positions = self.exchange.positions();
            assert!(self.exchange.orders_of(account).next().is_none());
            assert!(
                positions
                    .of(account)
                    .all(engine::position::Position::is_flat),
                "{account:?}: {:?}",
                positions.of(account).collect::<Vec<_>>()
            );
            for (asset, balance) in self.exchange.ledger().balances(account) {
                let nothing = engine::ledger::Balance::default();
                assert_eq!(balance, nothing, "{account:?} in {asset:?}");
            }
        }
        if let Err(why) = self.exchange.audit() {
            panic!("{why}");
        }
    }

    /// Somebody leaves, or tries to.
    fn leave(&mut self, random: &mut Random) {
        let accounts = self.exchange.accounts().len() as i64;
        let account = AccountId(u32::try_from(random.between(1, accounts + 1)).expect("small"));
        let owner = [u8::try_from(account.0 % 200).expect("small") + 1; 20];
        let at = self.now;
        if account > house::INSURANCE || random.percent(20) {
            self.apply(
                Command::SetAccountOwner(request(SetAccountOwner { account, owner })),
                at,
            );
        }
        let orders = self.exchange.orders_of(account).count();
        let lots = self.exchange.positions().of(account);
        let lots = lots.filter(|position| position.net.0 != 0).count();
        let asker = if random.percent(85) { owner } else { [255; 20] };
        let id = self.exchange.exit_requests().len() as u64;
        let exit = ServeExit {
            id,
            account,
            owner: asker,
            time: 1,
            block: id,
            patience: 3_600,
        };
        self.apply(Command::ServeExit(request(exit)), at);
        let row = self.exchange.exit_requests()[usize::try_from(id).expect("small")];
        if !row.stage.is_done() || row.stage == ExitStage::Served {
            *self.seen.entry("orders".into()).or_default() += orders;
            *self.seen.entry("positions".into()).or_default() += lots;
        }
        self.check();
    }
}

#[test]
fn whoever_leaves_a_drawn_market_leaves_nothing_behind() {
    let mut seen = BTreeMap::new();
    for seed in 31..=36 {
        let mut recorder = Recorder(Exchange::new(), Vec::new());
        compare::run(seed, Features::ALL, COMMANDS, &mut recorder)
            .unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        let mut random = Random::new(seed);
        let mut market = Leaving {
            exchange: Exchange::new(),
            now: Nanos::ZERO,
            seen: BTreeMap::new(),
        };
        for (place, stamped) in recorder.1.into_iter().enumerate() {
            market.apply(stamped.command, stamped.at);
            if place % EVERY == EVERY - 1 {
                market.leave(&mut random);
            }
            if place % 1_000 == 500 {
                let mut bytes = Vec::new();
                market.exchange.save(&mut bytes).expect("saved");
                let loaded = Exchange::load(&mut &bytes[..]).expect("loads");
                assert_eq!(loaded.digest(), market.exchange.digest());
                market.exchange = loaded;
            }
        }
        // A week later everything that waited has ended, or waits for money: the fund's, or an operator's word on a
        // withdrawal that is paid by hand.
        for _ in 0..200 {
            let later = market.now.after(3_600 * SECOND);
            market.apply(Command::Tick, later);
        }
        market.check();
        let waits = market.exchange.exit_requests().iter();
        let waits = waits.filter(|row| !row.stage.is_done());
        for row in waits {
            let mut transfers = market.exchange.transfers().iter();
            let by_hand = transfers.any(|transfer| {
                transfer.account == row.account && transfer.state == TransferState::Approved
            });
            let waits = match by_hand {
                true => ExitStage::WaitsForTransfer,
                false => ExitStage::WaitsForFund,
            };
            assert_eq!(row.stage, waits, "seed {seed}: {row:?}");
        }
        for (what, count) in market.seen {
            *seen.entry(what).or_insert(0) += count;
        }
    }
    println!("{seen:?}");
    for what in [
        "Served",
        "NotTheOwner",
        "UnknownAccount",
        "orders",
        "positions",
    ] {
        assert!(seen.get(what).copied().unwrap_or(0) > 3, "{what}: {seen:?}");
    }
}
