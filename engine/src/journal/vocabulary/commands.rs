//! One of every command, each field with a value of its own.

use super::*;
use crate::{
    ids::{
        AccountId, AssetId, CommodityId, FeedId, FirmId, IndexId, InstrumentId, OrderId, ProductId,
        SessionId,
    },
    instrument::{
        Asset, Commodity, EntryLimits, Index, Leg, MarginTerms, Terms, Volatility, Window,
    },
    margin::Ranges,
    units::{Decimal, Lots, Nanos, Ppm, Ticks},
};

fn origin() -> Origin {
    Origin {
        account: AccountId(1),
        session: SessionId(2),
        login: 3,
        client_seq: 4,
        deadline: Nanos(5),
    }
}

pub(super) fn request<T>(body: T) -> Request<T> {
    Request {
        id: 6,
        key_id: "key".into(),
        note: "note".into(),
        body,
    }
}

fn order() -> OrderTerms {
    OrderTerms {
        client_order_id: 10,
        instrument: InstrumentId(11),
        side: Side::Sell,
        pricing: Pricing::Limit(Ticks(-12)),
        lots: Lots(13),
        time_in_force: TimeInForce::Gtd(Nanos(14)),
        post_only: PostOnly::Slide,
        reduce_only: true,
        self_trade: SelfTrade::CancelBoth,
        self_trade_group: 15,
        cancel_group: 16,
        display: Lots(17),
        min_fill: Lots(18),
        trigger: Some(Trigger {
            source: TriggerSource::Mark,
            price: Ticks(19),
        }),
        mmp_group: 20,
        keep_on_disconnect: true,
        tag: Tag::new("tag").unwrap(),
    }
}

fn place() -> Place {
    Place {
        origin: origin(),
        order: order(),
    }
}

fn replace() -> Replace {
    Replace {
        origin: origin(),
        target: Target::Order(OrderId(30)),
        instrument: InstrumentId(31),
        price: Some(Ticks(32)),
        lots: Some(Lots(33)),
        post_only: Some(PostOnly::Reject),
        expire: Some(Nanos(34)),
        display: Some(Lots(35)),
        trigger: Some(Ticks(36)),
        reject_if_priority_lost: true,
    }
}

fn cancel() -> Cancel {
    Cancel {
        origin: origin(),
        target: Target::Client(40),
        instrument: InstrumentId(41),
    }
}

fn selection() -> Selection {
    Selection {
        instrument: InstrumentId(50),
        product: ProductId(51),
        side: Some(Side::Buy),
        cancel_group: 52,
        mmp_group: 53,
        this_session_only: true,
        price_at_or_better: Some(Ticks(54)),
    }
}

fn terms() -> Terms {
    Terms {
        symbol: "SYMBOL".into(),
        kind: Kind::CalendarSpread,
        product: "PRODUCT".into(),
        commodity: CommodityId(60),
        price_asset: AssetId(61),
        tick_size: Decimal {
            mantissa: 62,
            exponent: -63,
        },
        price_unit: "unit".into(),
        lot_hashes_per_second: 64,
        window: Window {
            start: Nanos(65),
            end: Nanos(66),
        },
        index: IndexId(67),
        last_trade: Nanos(68),
        margin: MarginTerms {
            initial_buy: Ppm(69),
            initial_sell: Ppm(70),
            maintenance_of_initial: Ppm(71),
            delivery_bond: Ppm(72),
            concentration_lots: 73,
            concentration: Ppm(74),
        },
        limits: EntryLimits {
            min_lots: 73,
            max_lots: 74,
            max_notional: 75,
            band_basis_points: 76,
            max_open_orders: 77,
            position_limit: 78,
            min_display: 79,
        },
        maker_fee: Ppm(-80),
        taker_fee: Ppm(81),
        reference: Ticks(82),
        volatility: Volatility {
            window_ms: 83,
            move_ppm: 84,
        },
        legs: vec![
            Leg {
                instrument: InstrumentId(85),
                ratio: -1,
            },
            Leg {
                instrument: InstrumentId(86),
                ratio: 1,
            },
        ],
        cascade: vec![InstrumentId(87)],
    }
}

fn mass_quote() -> MassQuote {
    MassQuote {
        origin: origin(),
        quote_id: 90,
        mmp_group: 91,
        entries: vec![QuoteEntry {
            instrument: InstrumentId(92),
            slot: 7,
            bid: Some(QuoteSide {
                price: Ticks(93),
                lots: Lots(94),
            }),
            ask: None,
        }],
        report_order_ids: true,
    }
}

pub(super) fn all() -> Vec<Command> {
    let origin = origin();
    vec![
        Command::Tick,
        Command::Restart(Restart {
            post_only_until: Nanos(100),
            recovery_grace_ms: 101,
        }),
        Command::Place(place()),
        Command::Replace(replace()),
        Command::Cancel(cancel()),
        Command::MassCancel(MassCancel {
            origin,
            selection: selection(),
            block_new_orders: true,
        }),
        Command::SetCancelTimer(SetCancelTimer {
            origin,
            after_ms: 102,
            selection: selection(),
        }),
        Command::SetOrderEntry(SetOrderEntry {
            origin,
            blocked: true,
        }),
        Command::Login(Login {
            account: AccountId(103),
            name: "session".into(),
            heartbeat_ms: 104,
            action: DisconnectAction::CancelAccount,
            grace_ms: 105,
            key_id: "login".into(),
        }),
        Command::Lost(Lost {
            session: SessionId(106),
            login: 107,
            cause: Reason::HeartbeatLost,
        }),
        Command::Logout(Logout {
            origin,
            cancel_orders: true,
        }),
        Command::CreateAsset(request(Asset {
            symbol: "ASSET".into(),
            decimals: 108,
            min_withdrawal: 109,
        })),
        Command::CreateCommodity(request(Commodity {
            symbol: "COMMODITY".into(),
            algorithm: Algorithm::Scrypt,
            coins: vec!["LTC".into(), "DOGE".into()],
            rate_unit: "GH/s".into(),
            rate_unit_hashes_per_second: 110,
            hashes_per_share: 111,
        })),
        Command::CreateIndex(request(Index {
            name: "INDEX".into(),
            kind: IndexKind::Compute,
            commodity: CommodityId(112),
            quote: AssetId(113),
            unit: "unit".into(),
        })),
        Command::CreateFirm(request(NewFirm {
            code: "FIRM".into(),
            legal_name: "legal name".into(),
            lei: "lei".into(),
        })),
        Command::CreateAccount(request(NewAccount {
            firm: FirmId(114),
            label: "label".into(),
            kind: AccountKind::MarketMaker,
            maker_fee_offset: -115,
            taker_fee_offset: 116,
        })),
        Command::SetAccountStatus(request(SetAccountStatus {
            account: AccountId(117),
            status: AccountStatus::Suspended,
            cancel_open_orders: true,
        })),
        Command::CreateKey(request(NewKey {
            key_id: "new".into(),
            firm: FirmId(118),
            label: "label".into(),
            public_key: [119; 32],
            permissions: 120,
            accounts: vec![AccountId(121)],
            expires: Nanos(122),
        })),
        Command::RevokeKey(request(RevokeKey {
            key_id: "old".into(),
            cancel_open_orders: true,
        })),
        Command::CreateInstrument(request(terms())),
        Command::SetTradingState(request(SetTradingState {
            scope: StateScope::Product(ProductId(123)),
            target: TradingState::NoCancel,
            reason: Reason::Operator,
            effective: Nanos(124),
            cancel_open_orders: true,
        })),
        Command::CreditDeposit(request(CreditDeposit {
            account: AccountId(125),
            asset: AssetId(126),
            amount: 127,
            rail: Rail::Manual,
        })),
        Command::RequestWithdrawal(RequestWithdrawal {
            account: AccountId(128),
            client_transfer_id: 129,
            asset: AssetId(130),
            amount: 131,
            rail: Rail::Sandbox,
        }),
        Command::ResolveWithdrawal(request(ResolveWithdrawal {
            transfer: 132,
            decision: Decision::Reject,
        })),
        Command::SubmitFixing(SubmitFixing {
            index: IndexId(133),
            kind: FixingKind::Daily,
            round: 134,
            value: Decimal {
                mantissa: 135,
                exponent: -11,
            },
            day: Nanos(88),
            key_id: "oracle".into(),
        }),
        Command::Batch(Batch {
            origin,
            policy: BatchPolicy::StopOnReject,
            items: items(),
        }),
        Command::MassQuote(mass_quote()),
        Command::ResetMmp(ResetMmp {
            origin,
            mmp_group: 136,
        }),
        Command::SetMmpGroup(request(MmpGroup {
            account: AccountId(137),
            mmp_group: 138,
            product: ProductId(139),
            window_ms: 140,
            frozen_ms: 141,
            quantity_limit: 142,
            net_limit: 143,
            notional_limit: 144,
            fill_limit: 145,
            contracts_limit: 146,
            max_quote_lots: Lots(147),
        })),
        Command::SetKillSwitch(request(SetKillSwitch {
            scope: SwitchScope::Firm(FirmId(148)),
            engaged: true,
            cancel_open_orders: true,
        })),
        Command::SetDefaultTerms(request(DefaultTerms {
            reach: Ppm(1),
            slice: Ppm(2),
            pause_ms: 3,
            tries: 4,
            offer_ms: 5,
            offer_reach: Ppm(6),
            debt_cap: 7,
            backstop: AccountId(8),
        })),
        Command::BidOffer(BidOffer {
            origin,
            offer: 1,
            price: Ticks(2),
            lots: Lots(3),
        }),
        Command::SetFeed(request(SetFeed {
            name: "BTC".into(),
            kind: FeedKind::Chain { depth: 200 },
            agreeing: 201,
            stale_ms: 202,
        })),
        Command::SetSource(request(SetSource {
            scope: Scope::Index(IndexId(203)),
            name: "node".into(),
            public_key: [204; 32],
            weight: 205,
            active: true,
        })),
        Command::SetMethod(request(SetMethod {
            index: IndexId(206),
            version: 207,
            formula: Formula::Scrypt { stale_ppm: 208 },
            chains: vec![FeedId(209)],
            prices: vec![FeedId(210)],
            agreeing: 211,
            exponent: -11,
            halt_after_ms: 212,
            settle_after_ms: 213,
        })),
        Command::Report(Box::new(Report {
            feed: FeedId(214),
            sequence: 215,
            observed: Nanos(216),
            observation: Observation::Tip(Tip {
                height: 217,
                hash: [218; 32],
                bits: 219,
                blocks: 220,
                fees: 221,
                work: 222,
                daa: 223,
            }),
            public_key: [224; 32],
            signature: [225; 64],
        })),
        Command::SubmitHeader(Box::new(SubmitHeader {
            feed: FeedId(226),
            header: Header {
                height: 227,
                hash: [228; 32],
                bits: 229,
                time: Nanos(230),
            },
            depth: 231,
            public_key: [232; 32],
            signature: [233; 64],
        })),
        Command::SignValue(Box::new(SignValue {
            index: IndexId(234),
            kind: ValueKind::Restatement,
            round: 235,
            value: Decimal {
                mantissa: 236,
                exponent: -11,
            },
            public_key: [237; 32],
            signature: [238; 64],
        })),
        Command::Delivery(request(delivery::retire())),
        Command::MarkEpoch,
        Command::SetAccountOwner(request(SetAccountOwner {
            account: AccountId(160),
            owner: [161; 20],
        })),
        Command::CreditChainDeposit(request(ChainDeposit {
            id: 162,
            owner: [163; 20],
            asset: AssetId(164),
            amount: 165,
            totals: vec![166, 167],
            chain: [168; 32],
            block: 169,
        })),
        Command::ServeExit(request(ServeExit {
            id: 170,
            account: AccountId(171),
            owner: [172; 20],
            time: 173,
            block: 174,
            patience: 175,
        })),
        Command::SetMarginMethod(request(MarginMethod {
            commodity: CommodityId(176),
            asset: AssetId(177),
            ranges: Ranges {
                price: Ppm(178),
                difficulty: Ppm(179),
                fee_share: Ppm(180),
                fees: Ppm(181),
                retarget_down: Ppm(182),
                retarget_up: Ppm(183),
                extreme_counts: Ppm(184),
            },
            tenors: vec![Tenor {
                days: 185,
                share: Ppm(186),
            }],
            delivery: Ppm(187),
            adjacent_credit: Ppm(188),
            other_credit: Ppm(189),
            calendar: Some(ChainCalendar {
                feed: FeedId(190),
                block_ms: 191,
                retarget_blocks: 192,
                retarget_notice_hours: 193,
                step: Some(SubsidyStep {
                    height: 194,
                    left: Ppm(195),
                    notice_days: 196,
                }),
            }),
        })),
        block_wishes()[0].clone(),
        block_wishes()[1].clone(),
        Command::Rfq(Box::new(RfqWish::Create(CreateRfq {
            origin,
            client_id: 181,
            terms: rfq_terms(),
        }))),
        Command::Rfq(Box::new(RfqWish::Cancel(CancelRfq { origin, rfq: 188 }))),
        Command::Rfq(Box::new(RfqWish::Quote(SubmitQuote {
            origin,
            rfq: 189,
            client_id: 190,
            bid: Some(quoted_side()),
            ask: None,
            valid_until: Nanos(193),
        }))),
        Command::Rfq(Box::new(RfqWish::Pull(PullQuote {
            origin,
            rfq: 194,
            quote: 195,
        }))),
        Command::Rfq(Box::new(RfqWish::Accept(AcceptQuote {
            origin,
            rfq: 196,
            side: Side::Sell,
            limit: Ticks(-197),
            lots: Lots(198),
            several: true,
            client_id: 199,
        }))),
    ]
}

/// A trade as it is reported.
pub(super) fn block_terms() -> BlockTerms {
    BlockTerms {
        counterparty: FirmId(174),
        instrument: InstrumentId(175),
        side: Side::Sell,
        price: Ticks(176),
        lots: Lots(177),
        affirm_by: Nanos(178),
    }
}

/// What a taker wants.
pub(super) fn rfq_terms() -> RfqTerms {
    RfqTerms {
        legs: vec![RfqLeg {
            instrument: InstrumentId(182),
            side: Side::Sell,
            ratio: 183,
        }],
        lots: Lots(184),
        min_lots: Lots(185),
        side: Some(Side::Sell),
        disclosed: true,
        makers: vec![FirmId(186)],
        expire: Nanos(187),
    }
}

/// One side of a quote.
pub(super) fn quoted_side() -> QuotedSide {
    QuotedSide {
        price: Ticks(-191),
        lots: Lots(192),
    }
}

fn block_wishes() -> [Command; 2] {
    let origin = origin();
    [
        Command::Block(BlockWish::Report(ReportBlock {
            origin,
            client_id: 179,
            terms: block_terms(),
        })),
        Command::Block(BlockWish::Affirm(AffirmBlock {
            origin,
            block: 180,
            accept: true,
        })),
    ]
}

pub(super) fn feed_kinds() -> Vec<FeedKind> {
    vec![
        FeedKind::Chain { depth: 1 },
        FeedKind::Price { exponent: -2 },
    ]
}

pub(super) fn scopes() -> Vec<Scope> {
    vec![Scope::Feed(FeedId(1)), Scope::Index(IndexId(2))]
}

pub(super) fn formulas() -> Vec<Formula> {
    vec![
        Formula::Submitted,
        Formula::Sha256,
        Formula::Sha256Window,
        Formula::Scrypt { stale_ppm: 1 },
        Formula::KHeavyHash,
        Formula::Etchash,
    ]
}

pub(super) fn observations() -> Vec<Observation> {
    vec![
        Observation::Price(Decimal {
            mantissa: 1,
            exponent: -2,
        }),
        Observation::Tip(Tip::default()),
    ]
}

pub(super) fn items() -> Vec<BatchItem> {
    vec![
        BatchItem::Place(place()),
        BatchItem::Replace(replace()),
        BatchItem::Cancel(cancel()),
    ]
}

pub(super) fn pricings() -> Vec<Pricing> {
    vec![
        Pricing::Limit(Ticks(-1)),
        Pricing::Market,
        Pricing::Peg(Peg {
            to: PegTo::Index,
            offset: Ticks(-2),
            cap: Ticks(3),
        }),
    ]
}

pub(super) fn times_in_force() -> Vec<TimeInForce> {
    vec![
        TimeInForce::Gtc,
        TimeInForce::Ioc,
        TimeInForce::Fok,
        TimeInForce::Gtd(Nanos(1)),
        TimeInForce::Day,
        TimeInForce::AtAuction,
    ]
}

pub(super) fn targets() -> Vec<Target> {
    vec![Target::Order(OrderId(1)), Target::Client(2)]
}

pub(super) fn state_scopes() -> Vec<StateScope> {
    vec![
        StateScope::Instrument(InstrumentId(1)),
        StateScope::Product(ProductId(2)),
        StateScope::All,
    ]
}

pub(super) fn switch_scopes() -> Vec<SwitchScope> {
    vec![
        SwitchScope::Session(SessionId(1)),
        SwitchScope::Account(AccountId(2)),
        SwitchScope::Firm(FirmId(3)),
        SwitchScope::Venue,
    ]
}

pub(super) fn stamped() -> Stamped {
    Stamped {
        seq: 150,
        at: Nanos(151),
        command: Command::Tick,
    }
}
