//! What witnesses do for a living. Everything they do follows from a seed and from what they heard.

use proto::{
    common::v1::Side,
    reference::v1::Instrument,
    trading::v1::{
        Batch, BatchItem, BatchPolicy, Cancel, MassCancelSelection, MassQuote, NewOrder, OrderType,
        QuoteEntry, Replace, TimeInForce, batch_item::Item, cancel, open_session_request::Command,
        replace,
    },
};

use super::Record;
use crate::generator::Random;

/// The next command of a client.
pub type Habit = Box<dyn FnMut(&Record) -> Command + Send>;

/// Where the market is, in ticks.
const MIDDLE: i64 = 42_600;
/// Orders rest within so many ticks of it.
const WIDTH: i64 = 60;

/// Names orders, and remembers the newest names.
struct Desk {
    random: Random,
    contract: i32,
    names: u64,
}

impl Desk {
    fn new(seed: u64, contract: &Instrument) -> Self {
        Self {
            random: Random::new(seed),
            contract: contract.instrument_id,
            names: 0,
        }
    }

    fn side(&mut self) -> Side {
        if self.random.percent(50) {
            Side::Buy
        } else {
            Side::Sell
        }
    }

    fn order(&mut self, side: Side, away: i64, lots: i64, life: TimeInForce) -> NewOrder {
        self.names += 1;
        let price = match side {
            Side::Buy => MIDDLE - away,
            _ => MIDDLE + away,
        };
        NewOrder {
            client_order_id: self.names,
            instrument_id: self.contract,
            side: side as i32,
            order_type: OrderType::Limit as i32,
            time_in_force: life as i32,
            price_ticks: Some(price),
            quantity_lots: lots,
            ..NewOrder::default()
        }
    }

    fn resting(&mut self) -> NewOrder {
        let (side, away) = (self.side(), self.random.between(1, WIDTH));
        let lots = self.random.between(1, 5);
        self.order(side, away, lots, TimeInForce::Gtc)
    }

    /// One of the newest names; its order may be over already.
    fn recent(&mut self) -> u64 {
        let newest = i64::try_from(self.names).expect("small");
        self.random
            .between((newest - 40).max(1), newest.max(1))
            .unsigned_abs()
    }

    fn cancel(&mut self) -> Cancel {
        Cancel {
            target: Some(cancel::Target::ClientOrderId(self.recent())),
            instrument_id: self.contract,
        }
    }

    fn replace(&mut self) -> Replace {
        Replace {
            target: Some(replace::Target::ClientOrderId(self.recent())),
            instrument_id: self.contract,
            quantity_lots: Some(self.random.between(1, 8)),
            ..Replace::default()
        }
    }
}

/// Rests orders, cancels and changes some.
#[must_use]
pub fn maker(seed: u64, contract: &Instrument) -> Habit {
    let mut desk = Desk::new(seed, contract);
    Box::new(move |_| match desk.random.between(1, 10) {
        1..=6 => Command::NewOrder(desk.resting()),
        7 | 8 => Command::Cancel(desk.cancel()),
        _ => Command::Replace(desk.replace()),
    })
}

/// The same in batches, and cleans up from time to time.
#[must_use]
pub fn tidy_maker(seed: u64, contract: &Instrument) -> Habit {
    let mut desk = Desk::new(seed, contract);
    let item = |item| BatchItem { item: Some(item) };
    Box::new(move |_| match desk.random.between(1, 20) {
        1 => Command::MassCancel(MassCancelSelection {
            instrument_id: desk.contract,
            ..MassCancelSelection::default()
        }),
        2..=12 => Command::Batch(Batch {
            policy: BatchPolicy::BestEffort as i32,
            items: vec![
                item(Item::Cancel(desk.cancel())),
                item(Item::NewOrder(desk.resting())),
                item(Item::NewOrder(desk.resting())),
            ],
        }),
        _ => Command::NewOrder(desk.resting()),
    })
}

/// Quotes two rungs on both sides, again and again.
#[must_use]
pub fn quoter(seed: u64, contract: &Instrument) -> Habit {
    let mut desk = Desk::new(seed, contract);
    let mut quote_id = 0;
    Box::new(move |_| {
        quote_id += 1;
        let middle = MIDDLE + desk.random.between(-3, 3);
        let entry = |slot: i32| QuoteEntry {
            instrument_id: desk.contract,
            slot,
            bid_ticks: Some(middle - 4 - i64::from(slot)),
            bid_lots: 5,
            ask_ticks: Some(middle + 4 + i64::from(slot)),
            ask_lots: 5,
        };
        Command::MassQuote(MassQuote {
            quote_id,
            mmp_group: 1,
            entries: (0..2).map(entry).collect(),
            report_order_ids: true,
        })
    })
}

/// Takes what is there, both ways, sometimes all or nothing.
#[must_use]
pub fn taker(seed: u64, contract: &Instrument) -> Habit {
    let mut desk = Desk::new(seed, contract);
    Box::new(move |_| {
        let side = desk.side();
        let (away, lots) = (-desk.random.between(2, WIDTH), desk.random.between(1, 7));
        let life = match desk.random.between(1, 10) {
            1 => TimeInForce::Fok,
            2 => TimeInForce::Gtc,
            _ => TimeInForce::Ioc,
        };
        Command::NewOrder(desk.order(side, away, lots, life))
    })
}
