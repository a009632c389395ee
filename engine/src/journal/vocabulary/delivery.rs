//! One of every wish and every event of deliveries, each field with a value of its own.

use crate::{
    command::{
        AssignDestination, Attest, Delivery, DisputeInterval, MeterReading, NewMeter,
        ResolveDispute, SetDeliveryRules, SetDeliverySuspension, SetDestination, Signed,
    },
    delivery::{CloseCause, MeterKind, ObligationState, Rules, Shares, StratumProtocol},
    event::{CapacityRow, DeliveryEvent, DisputeRow, IntervalRow, ObligationRow, SettlementRow},
    ids::{AccountId, CommodityId, DestinationId, DisputeId, InstrumentId, MeterId, ObligationId},
    units::{Lots, Minor, Nanos, Ppm, Ticks},
};

pub(super) fn retire() -> Delivery {
    Delivery::RetireMeter(MeterId(200))
}

pub(super) fn rules_changed() -> DeliveryEvent {
    DeliveryEvent::Rules(CommodityId(201))
}

fn signed() -> Signed {
    Signed {
        public_key: [202; 32],
        signature: [203; 64],
    }
}

pub(super) fn wishes() -> Vec<Delivery> {
    vec![
        Delivery::SetRules(SetDeliveryRules {
            commodity: CommodityId(1),
            rules: Some(Rules {
                interval_seconds: 2,
                tolerance_bp: 3,
                surcharge: Ppm(4),
                fee: Ppm(5),
                capacity_duty: true,
                reserve: Ppm(6),
                attestors: 7,
                settle_after_seconds: 8,
                dispute_seconds: 9,
                grace_seconds: 10,
                failures: 11,
            }),
        }),
        Delivery::RegisterMeter(NewMeter {
            name: "meter".into(),
            kind: MeterKind::Pool,
            public_key: [12; 32],
            attests: true,
        }),
        retire(),
        Delivery::Attest(Attest {
            account: AccountId(13),
            commodity: CommodityId(14),
            attested_ths: 15,
            measured_from: Nanos(16),
            measured_to: Nanos(17),
            accepted_shares: 18,
            valid_until: Nanos(19),
            meter: MeterId(20),
            site: "site".into(),
            jurisdiction: "NO".into(),
            machine_class: "class".into(),
            signed: signed(),
        }),
        Delivery::SetDestination(SetDestination {
            account: AccountId(21),
            id: DestinationId(22),
            label: "label".into(),
            commodity: CommodityId(23),
            address: "pool:1".into(),
            worker: "worker".into(),
            protocol: StratumProtocol::V1Tls,
            account_default: true,
            usable: true,
            share_difficulty: 24,
        }),
        Delivery::AssignDestination(AssignDestination {
            account: AccountId(25),
            obligation: ObligationId(26),
            destination: DestinationId(27),
        }),
        Delivery::Read(MeterReading {
            meter: MeterId(28),
            obligation: ObligationId(29),
            start: Nanos(30),
            end: Nanos(31),
            accepted_difficulty: 32,
            accepted_shares: 33,
            mean_difficulty: 34,
            rejected_difficulty: 35,
            rejected_shares: 36,
            down_seconds: 37,
            blocks_found: 38,
            committed: true,
            signed: signed(),
        }),
        Delivery::Dispute(DisputeInterval {
            account: AccountId(39),
            obligation: ObligationId(40),
            start: Nanos(41),
            claimed_terahashes: 42,
        }),
        Delivery::Resolve(ResolveDispute {
            dispute: DisputeId(43),
            decided_terahashes: 44,
        }),
        Delivery::Suspend(SetDeliverySuspension {
            account: AccountId(45),
            commodity: CommodityId(46),
            suspended: true,
        }),
    ]
}

pub(super) fn events() -> Vec<DeliveryEvent> {
    let (seller, buyer) = (AccountId(50), AccountId(51));
    let (obligation, instrument) = (ObligationId(52), InstrumentId(53));
    vec![
        rules_changed(),
        DeliveryEvent::Meter(MeterId(54)),
        DeliveryEvent::Capacity(CapacityRow {
            account: seller,
            commodity: CommodityId(55),
            attested: 56,
            sellable: 57,
            committed: 58,
            open: 59,
            until: Nanos(60),
        }),
        DeliveryEvent::Destination(buyer, DestinationId(61)),
        DeliveryEvent::Obligation(ObligationRow {
            id: obligation,
            instrument,
            seller,
            buyer,
            lots: Lots(62),
            state: ObligationState::Short,
            cause: Some(CloseCause::ShareTimeout),
            destination: DestinationId(63),
            owed: 64,
            delivered: 65,
            uncovered: true,
        }),
        DeliveryEvent::Interval(IntervalRow {
            obligation,
            seller,
            buyer,
            meter: MeterKind::Seller,
            start: Nanos(66),
            end: Nanos(67),
            expected: 68,
            accepted: 69,
            rejected: 70,
            shares: Shares {
                difficulty: 71,
                mean_difficulty: 72,
            },
            count: 73,
            shortfall: 74,
            committed: true,
        }),
        DeliveryEvent::Settlement(SettlementRow {
            id: 75,
            obligation,
            instrument,
            seller,
            buyer,
            lots: Lots(76),
            start: Nanos(77),
            delivered: 78,
            missing: 79,
            cashed: 80,
            payment: Minor(81),
            charge: Minor(82),
            difference: Minor(-83),
            fee: Minor(84),
            returned: Minor(85),
            bond_released: Minor(86),
            insured: Minor(87),
            index: Ticks(88),
            imbalance: Ticks(89),
        }),
        DeliveryEvent::Dispute(DisputeRow {
            id: DisputeId(90),
            obligation,
            seller,
            buyer,
            start: Nanos(91),
            by: AccountId(92),
            until: Nanos(93),
            decided: Some(94),
        }),
    ]
}
