//! One of every event, each field with a value of its own.

use super::*;
use crate::{
    ids::{AccountId, AssetId, FeedId, IndexId, InstrumentId, OrderId, SessionId, TradeId},
    index::fixing::Basis,
    instrument::Statistics,
    reason::Problem,
    record::{RecordedFill, Results},
    units::{Decimal, Lots, Minor, Nanos, TickLots, Ticks},
};

fn to() -> Address {
    Address {
        account: AccountId(1),
        session: SessionId(2),
        event_seq: 3,
        client_seq: 4,
        item: 5,
    }
}

fn problem() -> Problem {
    Problem::limit(Reason::PositionLimit, Field::Quantity, 6, 7)
}

fn fill() -> Fill {
    Fill {
        trade: TradeId(8),
        price: Ticks(-9),
        lots: Lots(10),
        liquidity: Liquidity::Taker,
        fee: Minor(-11),
        position_after: Lots(-12),
    }
}

fn order() -> OrderEvent {
    OrderEvent {
        to: to(),
        copy: true,
        repeated: true,
        kind: OrderEventKind::Fill,
        status: OrderStatus::Filled,
        problem: Some(problem()),
        order_id: OrderId(20),
        client_order_id: 21,
        instrument: InstrumentId(22),
        side: Side::Sell,
        price: Ticks(23),
        total: Lots(24),
        filled: Lots(25),
        open: Lots(26),
        display: Lots(27),
        priority_lost: true,
        priority: 28,
        cancel_group: 29,
        mmp_group: 30,
        quote: Some(QuoteKey {
            quote_id: 31,
            slot: 7,
        }),
        tag: Tag::new("tag").unwrap(),
        fill: Some(fill()),
    }
}

fn statistics() -> Statistics {
    Statistics {
        day: Nanos(40),
        open: Some(Ticks(41)),
        high: Some(Ticks(42)),
        low: Some(Ticks(43)),
        last: Some(Ticks(44)),
        volume: 45,
        open_interest: 46,
        settlement: Some(Ticks(47)),
    }
}

pub(super) fn all() -> Vec<Event> {
    let (to, instrument, public_seq) = (to(), InstrumentId(50), 51);
    vec![
        Event::Order(order()),
        Event::Refused(Refused {
            to,
            problem: problem(),
        }),
        Event::MassCancelled(MassCancelled {
            to,
            orders: 52,
            quotes: 53,
            kept: 54,
            blocked: true,
        }),
        Event::OrderEntry(OrderEntry {
            to,
            blocked: true,
            level: Reason::KillSwitchSession,
        }),
        Event::CancelTimer(CancelTimerSet {
            account: AccountId(55),
            fires_at: Nanos(56),
        }),
        Event::SessionOpened(SessionOpened {
            account: AccountId(57),
            session: SessionId(58),
            login: 59,
            next_client_seq: 60,
            last_event_seq: 61,
            heartbeat_ms: 62,
            action: DisconnectAction::Keep,
            grace_ms: 63,
            action_ran: true,
        }),
        Event::SessionClosed(SessionClosed {
            session: SessionId(64),
            login: 65,
            cause: Reason::Disconnect,
            cancelled: 66,
        }),
        Event::Trade(Trade {
            instrument,
            public_seq,
            trade: TradeId(67),
            price: Ticks(68),
            lots: Lots(69),
            aggressor: Some(Side::Sell),
            off_book: Some(OffBook::Rfq),
        }),
        Event::Level(LevelChange {
            instrument,
            public_seq,
            side: Side::Sell,
            price: Ticks(70),
            lots: Lots(71),
            orders: 72,
        }),
        Event::Status(StatusChange {
            instrument,
            public_seq,
            state: TradingState::Halted,
            reason: Reason::Schedule,
            scheduled: Some((Nanos(73), TradingState::Open)),
        }),
        Event::Statistics(StatisticsChange {
            instrument,
            public_seq,
            statistics: statistics(),
            mark: Ticks(74),
            band: (Ticks(75), Ticks(76)),
        }),
        Event::Index(IndexChange {
            index: IndexId(77),
            round: 78,
            value: Decimal {
                mantissa: 79,
                exponent: -11,
            },
            fixing: true,
        }),
        Event::Listed(instrument),
        Event::Posting(Posting {
            entry: 80,
            account: AccountId(81),
            asset: AssetId(82),
            delta: Minor(-83),
            balance: Minor(84),
            kind: PostingKind::Rounding,
            trade: TradeId(85),
            instrument,
            transfer: 86,
        }),
        Event::Balance(BalanceRow {
            account: AccountId(87),
            asset: AssetId(88),
            cash: Minor(89),
            held: Minor(90),
            margin: Minor(91),
            result: Minor(-92),
        }),
        Event::Position(PositionRow {
            account: AccountId(93),
            instrument,
            net: Lots(-94),
            open_buy: Lots(95),
            open_sell: Lots(96),
            cost: TickLots(-97),
            realised: Minor(98),
            unrealised: Minor(-99),
            result: Minor(100),
            requirement: Minor(101),
        }),
        Event::Done(Done {
            object: 102,
            count: 103,
            cancelled: 104,
            first_seq: 105,
        }),
        Event::Access(AccountId(106)),
        Event::BatchDone(BatchDone {
            to,
            accepted: 107,
            rejected: 108,
            not_attempted: 109,
        }),
        Event::QuoteProblem(QuoteProblem {
            to,
            entry: 110,
            side: Side::Sell,
            problem: problem(),
        }),
        Event::QuoteOrder(QuoteOrder {
            to,
            entry: 111,
            side: Side::Sell,
            order_id: OrderId(112),
            priority: 113,
        }),
        Event::Quoted(Quoted {
            to,
            quote_id: 114,
            accepted: 115,
            kept: 116,
        }),
        Event::Mmp(MmpChange {
            account: AccountId(117),
            mmp_group: 118,
            frozen: true,
            until: Nanos(119),
            limit: Some(MmpLimit::Notional),
            cancelled: 120,
        }),
        Event::Switch(SwitchChange {
            scope: SwitchScope::Venue,
            engaged: true,
        }),
        Event::Auction(AuctionChange {
            instrument,
            public_seq,
            price: Some(Ticks(121)),
            lots: Lots(122),
            imbalance: Lots(-123),
        }),
        Event::Leg(LegFill {
            to,
            copy: true,
            order_id: OrderId(124),
            client_order_id: 125,
            combination: InstrumentId(126),
            instrument,
            side: Side::Sell,
            fill: fill(),
        }),
        Event::Clearing(ClearingEvent::Cascaded(Cascaded {
            account: AccountId(1),
            instrument: InstrumentId(2),
            net: Lots(-3),
            cost: TickLots(-4),
        })),
        Event::Clearing(ClearingEvent::DaySettled(DaySettled {
            settlement: 1,
            account: AccountId(2),
            instrument: InstrumentId(3),
            day: Nanos(4),
            net: Lots(-5),
            fixing: Decimal {
                mantissa: 6,
                exponent: -7,
            },
            round: 8,
            paid: Minor(-9),
            variation: Minor(10),
        })),
        Event::Clearing(ClearingEvent::Called(health())),
        Event::Clearing(ClearingEvent::CallMet(health())),
        Event::Clearing(ClearingEvent::LiquidationBegan(health())),
        Event::Clearing(ClearingEvent::LiquidationEnded(health())),
        Event::Clearing(ClearingEvent::Offered(Offered {
            offer: 1,
            account: AccountId(2),
            instrument: InstrumentId(3),
            net: Lots(-4),
            worst: Ticks(5),
            closes: Nanos(6),
        })),
        Event::Clearing(ClearingEvent::Moved(Moved {
            account: AccountId(1),
            instrument: InstrumentId(2),
            side: Side::Sell,
            lots: Lots(3),
            price: Ticks(4),
            net: Lots(-5),
            why: Moving::Offer(6),
        })),
        Event::Clearing(ClearingEvent::Covered(Covered {
            account: AccountId(1),
            asset: AssetId(2),
            amount: Minor(3),
            fund: Minor(-4),
        })),
        Event::Round(Box::new(Round {
            index: IndexId(140),
            kind: RoundKind::Restated,
            number: 141,
            at: Nanos(142),
            value: Some(Decimal {
                mantissa: 143,
                exponent: -11,
            }),
            quality: Quality::Degraded,
            version: 144,
            valid: 145,
            basis: Some(Basis::Agreed),
            settles: Nanos(146),
            inputs: vec![Input {
                feed: FeedId(147),
                source: 148,
                observed: Nanos(149),
                said: Said::Price(150),
                standing: Standing::Excluded,
            }],
        })),
        Event::Quality(QualityChange {
            index: IndexId(151),
            quality: Quality::Halted,
        }),
        Event::ChainHeight(ChainHeight {
            feed: FeedId(152),
            header: Header {
                height: 153,
                hash: [154; 32],
                bits: 155,
                time: Nanos(156),
            },
            agreeing: 157,
        }),
        Event::Delivery(Box::new(delivery::rules_changed())),
        Event::Epoch(EpochMarked { epoch: 162 }),
        Event::Owner(OwnerChanged {
            account: AccountId(163),
            owner: [164; 20],
            nonce: 165,
        }),
        Event::Exit(ExitStep {
            request: 166,
            account: AccountId(167),
            owner: [168; 20],
            stage: ExitStage::WaitsForDelivery,
        }),
        Event::Block(Box::new(BlockChange {
            block: 166,
            state: BlockState::Affirmed,
            reporter: AccountId(167),
            firm: crate::ids::FirmId(168),
            client_id: 169,
            terms: super::commands::block_terms(),
            affirmer: AccountId(170),
            trade: TradeId(171),
            fees: [Minor(172), Minor(173)],
        })),
        Event::Rfq(Box::new(RfqEvent::Request(RfqChange {
            rfq: 174,
            state: RfqState::Filled,
            taker: AccountId(175),
            firm: crate::ids::FirmId(176),
            client_id: 177,
            terms: super::commands::rfq_terms(),
            filled: Lots(178),
        }))),
        Event::Rfq(Box::new(RfqEvent::Quote(RfqQuoteChange {
            rfq: 179,
            taker: AccountId(180),
            quote: 181,
            state: RfqQuoteState::Traded,
            maker: AccountId(182),
            client_id: 183,
            bid: None,
            ask: Some(super::commands::quoted_side()),
            valid_until: Nanos(184),
            problem: Some(problem()),
        }))),
        Event::Rfq(Box::new(RfqEvent::Accepted(RfqAccepted {
            rfq: 185,
            client_id: 186,
            trades: vec![TradeId(187)],
            filled: Lots(188),
            problem: Some(problem()),
        }))),
    ]
}

pub(super) fn saids() -> Vec<Said> {
    vec![
        Said::Nothing,
        Said::Price(1),
        Said::Tip {
            height: 2,
            hash: [3; 8],
            bits: 4,
            fees: 5,
            work: 6,
        },
    ]
}

pub(super) fn results() -> Results {
    Results {
        fills: vec![RecordedFill {
            trade: TradeId(130),
            account: AccountId(131),
            order: OrderId(132),
            instrument: InstrumentId(133),
            price: Ticks(-134),
            lots: Lots(135),
            fee: Minor(136),
        }],
        refusals: vec![problem()],
        events: 137,
        checksum: 138,
    }
}

fn health() -> Health {
    Health {
        account: AccountId(1),
        asset: AssetId(2),
        equity: Minor(-3),
        maintenance: Minor(4),
        missing: Minor(5),
    }
}
