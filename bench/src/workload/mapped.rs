//! Bare flows as commands: the same messages, now with owners, sessions, margin and fees.

use engine::{
    command::{Command, Side, Target, TimeInForce},
    event::{Event, OrderEventKind},
    ids::{AccountId, OrderId},
    units::Ppm,
};

use super::{ACCOUNTS, Band, Flow, Live, Random, Tally, Venue};
use crate::flows::{self, Message, Shape};

/// Half the mark either way, so that swings and crashes fit, and the margin such a band asks for.
const WIDE: Band = Band {
    basis_points: 5_000,
    margin: Ppm(600_000),
};

/// Sends messages and remembers what became of their ids.
struct Sender {
    venue: Venue,
    random: Random,
    live: Live,
    /// Owner and exchange's id, by the flow's id.
    orders: Vec<Option<(AccountId, OrderId)>>,
}

impl Flow {
    /// Makes a flow of the messages of a bare one, which is cut to so many of them.
    ///
    /// Owners are drawn at random. Where one meets himself his resting order is cancelled, which a bare
    /// book does not do; when the flow cancels that order later, another one is cancelled in its place.
    ///
    /// # Panics
    /// If the exchange refuses anything.
    #[must_use]
    pub fn mapped(shape: Shape, commands: usize) -> Self {
        let mut shape = shape;
        shape.messages = shape.messages.min(commands);
        let bare = flows::Flow::new(shape);
        let mut sender = Sender {
            venue: Venue::with(ACCOUNTS, shape.books, WIDE),
            random: Random::new(shape.seed),
            live: Live::default(),
            orders: vec![None; bare.room.ids],
        };
        for message in &bare.prelude {
            sender.send(message);
        }
        let prelude = std::mem::take(&mut sender.venue.history);
        let start = sender.venue.exchange.clone();
        let levels = sender.venue.levels();
        let mut tally = Tally::default();
        for message in &bare.messages {
            sender.send(message);
            tally.count(&sender.venue.events);
        }
        assert_eq!(tally.refused, 0, "nothing in a flow is refused");
        // Who meets himself trades a little less.
        let least = bare.tally.fills * 9 / 10;
        assert!(tally.trades >= least, "{} trades", tally.trades);
        Self {
            prelude,
            start,
            commands: sender.venue.history,
            tally,
            levels,
        }
    }
}

impl Sender {
    fn send(&mut self, message: &Message) {
        let command = match *message {
            Message::Add {
                book,
                side,
                id,
                lots,
                price,
            }
            | Message::Cross {
                book,
                side,
                id,
                lots,
                price,
            } => {
                let side = match side {
                    flows::Side::Buy => Side::Buy,
                    flows::Side::Sell => Side::Sell,
                };
                let trader = self.random.index(ACCOUNTS);
                let mut place = self.venue.order(trader, side, price, lots.into());
                place.order.instrument = self.venue.contracts[usize::from(book)];
                if matches!(message, Message::Cross { .. }) {
                    place.order.time_in_force = TimeInForce::Ioc;
                }
                self.venue.run(Command::Place(place));
                self.orders[id as usize] = accepted(&self.venue.events);
                self.live.hear(&self.venue.events);
                return;
            }
            Message::Cancel { id, .. } => {
                let known = self.orders[id as usize];
                let orders = self.venue.exchange.orders();
                let lives = |order| orders.get(order).is_some_and(|order| order.is_open());
                let (account, order) = match known {
                    Some((account, order)) if lives(order) => (account, order),
                    _ => self.live.any(&mut self.random),
                };
                let contract = orders.get(order).map(|order| order.terms.instrument);
                let mut cancel = self.venue.cancel(account, Target::Order(order));
                if let (Command::Cancel(cancel), Some(contract)) = (&mut cancel, contract) {
                    cancel.instrument = contract;
                }
                cancel
            }
        };
        self.venue.run(command);
        self.live.hear(&self.venue.events);
    }
}

/// The order that these events let in: the first they speak of.
fn accepted(events: &[Event]) -> Option<(AccountId, OrderId)> {
    events.iter().find_map(|event| match event {
        Event::Order(order) if order.kind == OrderEventKind::Accepted => {
            Some((order.to.account, order.order_id))
        }
        _ => None,
    })
}
