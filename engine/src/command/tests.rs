//! What may use the room that is reserved for the way out.

use super::*;
use crate::{
    ids::{InstrumentId, OrderId, ProductId},
    instrument::TradingState,
    reason::Reason,
    units::{Lots, Ticks},
};

fn asked<T>(body: T) -> Request<T> {
    Request {
        id: 1,
        key_id: "risk".into(),
        note: String::new(),
        body,
    }
}

fn switch(scope: SwitchScope, engaged: bool) -> Command {
    Command::SetKillSwitch(asked(SetKillSwitch {
        scope,
        engaged,
        cancel_open_orders: true,
    }))
}

#[test]
fn a_risk_officer_always_gets_through() {
    for scope in [
        SwitchScope::Session(SessionId(1)),
        SwitchScope::Account(AccountId(4)),
        SwitchScope::Firm(crate::ids::FirmId(2)),
        SwitchScope::Venue,
    ] {
        assert!(switch(scope, true).is_cancel(), "{scope:?} engaged");
        assert!(!switch(scope, false).is_cancel(), "{scope:?} released");
    }
    let status = |status| {
        Command::SetAccountStatus(asked(SetAccountStatus {
            account: AccountId(4),
            status,
            cancel_open_orders: true,
        }))
        .is_cancel()
    };
    assert!(status(AccountStatus::Suspended) && status(AccountStatus::ReduceOnly));
    assert!(!status(AccountStatus::Active));
    let state = |target| {
        Command::SetTradingState(asked(SetTradingState {
            scope: StateScope::All,
            target,
            reason: Reason::Operator,
            effective: Nanos(0),
            cancel_open_orders: false,
        }))
        .is_cancel()
    };
    assert!(state(TradingState::Halted) && state(TradingState::CancelOnly));
    assert!(!state(TradingState::Open) && !state(TradingState::PreOpen));
    let revoked = RevokeKey {
        key_id: "lost".into(),
        cancel_open_orders: true,
    };
    assert!(Command::RevokeKey(asked(revoked)).is_cancel());
    let mass_cancel = MassCancel {
        origin: Origin::default(),
        selection: Selection::default(),
        block_new_orders: true,
    };
    assert!(Command::MassCancel(mass_cancel).is_cancel());
}

#[test]
fn a_batch_or_a_quote_counts_as_a_cancel_only_if_all_of_it_is_one() {
    let origin = Origin::default();
    let cancel = BatchItem::Cancel(Cancel {
        origin,
        target: Target::Order(OrderId(1)),
        instrument: InstrumentId::NONE,
    });
    let place = BatchItem::Place(Place {
        origin,
        order: OrderTerms::BLANK,
    });
    let batch = |items: &[BatchItem]| {
        Command::Batch(Batch {
            origin,
            policy: BatchPolicy::BestEffort,
            items: items.to_vec(),
        })
        .is_cancel()
    };
    assert!(batch(&[cancel, cancel]));
    assert!(!batch(&[cancel, place]));
    let side = |lots| {
        Some(QuoteSide {
            price: Ticks(1),
            lots: Lots(lots),
        })
    };
    let quote = |bid, ask| {
        Command::MassQuote(MassQuote {
            origin,
            quote_id: 1,
            mmp_group: 1,
            entries: vec![QuoteEntry {
                instrument: InstrumentId(1),
                slot: 0,
                bid,
                ask,
            }],
            report_order_ids: false,
        })
        .is_cancel()
    };
    assert!(quote(side(0), None) && quote(side(0), side(0)));
    assert!(!quote(side(0), side(1)) && !quote(side(5), None));
}

#[test]
fn what_lets_orders_back_in_waits_like_an_order() {
    let origin = Origin::default();
    let mmp_group = 1;
    assert!(!Command::ResetMmp(ResetMmp { origin, mmp_group }).is_cancel());
    let group = MmpGroup {
        account: AccountId(4),
        mmp_group,
        product: ProductId(1),
        window_ms: 1_000,
        frozen_ms: 0,
        quantity_limit: 0,
        net_limit: 0,
        notional_limit: 0,
        fill_limit: 1,
        contracts_limit: 0,
        max_quote_lots: Lots(1),
    };
    assert!(!Command::SetMmpGroup(asked(group)).is_cancel());
}
