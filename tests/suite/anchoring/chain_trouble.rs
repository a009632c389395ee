//! Stuck transactions, reorganisations, liars, outages, an empty gas account, strangers.

use gateway::anchor::{
    decide::Rest,
    health::Level,
    signer::Signer,
    transaction::{Price, Transaction},
};
use revm::primitives::{Bytes, U256};
use tests::anchor::{ANYBODY, CALM, GAS, GUARDIAN, Lie, Pool, SIGNERS, key};

use super::Desk;

/// Prices of the transaction in flight, oldest first.
fn prices(desk: &Desk) -> Vec<u128> {
    let open = desk.state().open.as_ref().expect("in flight");
    open.intents
        .iter()
        .map(|intent| intent.price.most())
        .collect()
}

#[test]
fn a_stuck_transaction_is_bumped_by_a_quarter_until_the_cap() {
    for (rules, legacy) in [
        (Pool::Ordinary, true),
        (Pool::Frontier, true),
        (Pool::Ordinary, false),
        (Pool::Frontier, false),
    ] {
        let mut desk = Desk::new(10);
        desk.policy.legacy = legacy;
        desk.policy.fee_cap = CALM * 4;
        desk.restart(false);
        desk.world.net().rules = rules;
        desk.world.net().stuck = true;
        desk.turn();
        desk.go_on(60);
        assert_eq!(desk.rest, Rest::AtCap);
        let prices = prices(&desk);
        assert!(prices.len() >= 3, "{prices:?}");
        for (old, new) in prices.iter().zip(prices.iter().skip(1)) {
            assert!(*new >= old + old / 4, "{rules:?}: {old} then {new}");
        }
        assert!(prices.iter().all(|price| *price <= CALM * 4));
        assert_eq!(
            desk.world.net().waiting(),
            1,
            "one nonce, one place in the pool"
        );
        let open = desk.state().open.clone().expect("in flight");
        assert!(
            open.intents
                .iter()
                .all(|intent| intent.nonce == open.intents[0].nonce)
        );
        // The pool held the newest: every bump was taken.
        desk.world.net().stuck = false;
        desk.until_final(1);
        desk.each_was_posted_once();
        let newest = open.intents.last().expect("one").hash;
        let receipt = desk.chain().receipt(newest).expect("asked");
        assert!(
            receipt.expect("mined").success,
            "{rules:?}, legacy {legacy}"
        );
    }
}

#[test]
fn a_fee_above_the_cap_waits_for_better_times() {
    let mut desk = Desk::new(11);
    desk.world.net().base_fee = desk.policy.fee_cap * 3;
    desk.turn();
    desk.go_on(20);
    assert_eq!(desk.rest, Rest::AtCap);
    assert!(
        desk.health()
            .alarms
            .iter()
            .any(|alarm| alarm.what.contains("at the cap"))
    );
    desk.world.net().base_fee = CALM;
    desk.until_final(1);
    desk.each_was_posted_once();
}

#[test]
fn a_reorganisation_throws_the_post_out_and_the_same_bytes_bring_it_back() {
    for remember in [true, false] {
        let mut desk = Desk::new(12);
        desk.until_final(1);
        while desk
            .state()
            .open
            .as_ref()
            .is_none_or(|open| open.mined.is_none())
        {
            desk.go_on(1);
        }
        let open = desk.state().open.clone().expect("in flight");
        assert_eq!(desk.world.found().1, open.hash);
        desk.world.net().reorganise(2, remember);
        assert_eq!(desk.world.found().0, 1, "the post is gone");
        desk.turn();
        desk.until_final(2);
        assert_eq!(desk.state().last.head, open.hash, "the same head");
        assert_eq!(desk.state().settled.len(), 1, "the same bytes");
        desk.each_was_posted_once();
    }
}

#[test]
fn a_final_block_that_goes_away_is_told_and_the_stored_bytes_bring_it_back() {
    let mut desk = Desk::new(13);
    desk.until_final(2);
    let head = desk.state().last.head;
    desk.world.net().reorganise(6, false);
    assert_eq!(desk.world.found().0, 1, "what was final is gone");
    desk.world.mine(3);
    desk.now = desk.world.now();
    assert_eq!(desk.turn(), Rest::FinalityBroken);
    assert_eq!(desk.health().alarms[0].level, Level::Page);
    desk.go_on(8);
    assert_eq!(desk.world.found().0.min(2), 2);
    desk.until_final(3);
    assert_eq!(desk.state().last.previous, head);
    desk.each_was_posted_once();
}

#[test]
fn one_lying_endpoint_stops_everything_and_an_honest_word_starts_it_again() {
    for lie in [Lie::Fork, Lie::Head, Lie::ChainId, Lie::Code] {
        let mut desk = Desk::new(14);
        if matches!(lie, Lie::Fork | Lie::Head) {
            desk.until_final(1);
        }
        let before = desk.state().clone();
        desk.endpoints[1].tell(lie);
        desk.go_on(20);
        assert!(
            matches!(desk.rest, Rest::Contradiction(_)),
            "{lie:?}: {:?}",
            desk.rest
        );
        assert_eq!(*desk.state(), before, "nothing is believed");
        assert_eq!(desk.health().alarms[0].level, Level::Page);
        desk.endpoints[1].tell(Lie::None);
        desk.until_final(3);
        desk.each_was_posted_once();
    }
}

#[test]
fn an_endpoint_that_is_behind_only_slows_things_down() {
    let mut desk = Desk::new(15);
    desk.endpoints[0].tell(Lie::Behind(4));
    desk.until_final(3);
    desk.each_was_posted_once();
}

#[test]
fn an_answer_that_is_lost_sends_nothing_twice() {
    let mut desk = Desk::new(16);
    desk.endpoints
        .iter()
        .for_each(|endpoint| endpoint.tell(Lie::AnswerLost));
    desk.until_final(3);
    desk.each_was_posted_once();
}

#[test]
fn a_pool_that_forgets_gets_the_same_bytes_again() {
    let mut desk = Desk::new(17);
    desk.world.net().forgetful = true;
    desk.turn();
    desk.go_on(3);
    assert_eq!(desk.world.net().waiting(), 0);
    desk.world.net().forgetful = false;
    desk.until_final(1);
    assert_eq!(desk.state().settled.len(), 1, "no bump was needed");
    desk.each_was_posted_once();
}

#[test]
fn a_chain_that_is_down_for_days_alarms_and_comes_back_with_one_transaction() {
    let mut desk = Desk::new(18);
    desk.until_final(1);
    let last = desk.state().last.at;
    desk.endpoints
        .iter()
        .for_each(|endpoint| endpoint.tell(Lie::Down));
    let at = |desk: &mut Desk, seconds: u64| {
        desk.now = last + seconds;
        assert!(matches!(desk.turn(), Rest::Away(_)));
        desk.health()
    };
    assert_eq!(at(&mut desk, 100).alarms, []);
    assert_eq!(
        at(&mut desk, 200).alarms[0].level,
        Level::Warning,
        "three are missed"
    );
    assert_eq!(at(&mut desk, 3_700).alarms[0].level, Level::Page, "an hour");
    let day = at(&mut desk, 86_400);
    assert!(day.stop_deposits && !day.stop_trading);
    let five = at(&mut desk, 6 * 86_400);
    assert!(
        five.stop_deposits && five.stop_trading,
        "before the contract's seven days are over"
    );
    // Another restart in the middle of it changes nothing.
    desk.restart(true);
    assert!(matches!(desk.turn(), Rest::Away(_)));
    desk.endpoints
        .iter()
        .for_each(|endpoint| endpoint.tell(Lie::None));
    let now = desk.now;
    desk.turn();
    assert_eq!(
        desk.world.net().waiting(),
        1,
        "one transaction, not a queue"
    );
    desk.world.mine(4);
    desk.turn();
    assert_eq!((desk.state().last.number, desk.now), (2, now));
    assert_eq!(desk.health().alarms, []);
    desk.each_was_posted_once();
}

#[test]
fn a_chain_that_stands_still_bumps_nothing() {
    let mut desk = Desk::new(19);
    desk.turn();
    for _ in 0..500 {
        desk.now += 60;
        desk.turn();
    }
    assert_eq!((prices(&desk).len(), desk.world.net().waiting()), (1, 1));
    desk.until_final(1);
    desk.each_was_posted_once();
}

#[test]
fn an_empty_gas_account_is_told_and_filled_up() {
    let mut desk = Desk::new(20);
    desk.until_final(1);
    // All but a little goes away.
    let (_, _, _, balance) = desk.world.found();
    let fee = CALM * 2 * 21_000;
    let left = CALM * 100_000;
    let sent = u128::try_from(balance).expect("fits") - fee - left;
    desk.world.pay(GAS, key(ANYBODY).address(), sent);
    for _ in 0..60 {
        desk.go_on(1);
        if matches!(desk.rest, Rest::NoGas { .. }) {
            break;
        }
    }
    assert!(matches!(desk.rest, Rest::NoGas { .. }), "{:?}", desk.rest);
    let alarms = desk.health().alarms;
    assert_eq!(alarms[0].level, Level::Page);
    assert!(
        alarms
            .iter()
            .any(|alarm| alarm.what.contains("gas account lasts")),
        "{alarms:?}"
    );
    let number = desk.state().last.number;
    desk.world.transact(
        ANYBODY,
        Some(key(GAS).address()),
        10_u128.pow(18),
        Bytes::new(),
    );
    desk.until_final(number + 1);
    assert_eq!(desk.world.posts().1, 0, "nothing was refused");
}

#[test]
fn a_nonce_that_somebody_else_spent_costs_only_a_nonce() {
    let mut desk = Desk::new(21);
    desk.until_final(1);
    desk.world.net().forgetful = true;
    while desk
        .state()
        .open
        .as_ref()
        .is_none_or(|open| open.intents.is_empty())
    {
        desk.go_on(1);
    }
    desk.world
        .transact(GAS, Some(key(ANYBODY).address()), 1, Bytes::new());
    desk.go_on(1);
    desk.world.net().forgetful = false;
    assert_eq!(
        desk.rest,
        Rest::InFlight,
        "nobody knows yet whether it stays"
    );
    let head = desk.state().open.as_ref().expect("in flight").hash;
    desk.until_final(2);
    assert_eq!(desk.state().last.head, head);
    assert_eq!(desk.state().settled.last().expect("sent").nonce, 2);
    assert_eq!(desk.world.posts(), (2, 0));
}

/// A header of somebody's, signed by the signers, straight to the contract.
fn foreign_post(desk: &Desk) {
    let (number, head, _, _) = desk.world.found();
    let mut content = tests::anchor::empty(number + 1, head);
    content.header.seq = 1_000_000;
    content.header.time = 1_000_000;
    let digest = desk.world.contract.digest(content.hash(), 0);
    let mut keys: Vec<_> = SIGNERS.iter().take(2).map(|signer| key(*signer)).collect();
    keys.sort_by_key(|key| key.address());
    let signatures: Vec<_> = keys
        .iter()
        .map(|key| key.sign_digest(&digest).expect("signs"))
        .collect();
    let call = desk.world.contract.post(&content, &signatures);
    desk.world
        .transact(ANYBODY, Some(desk.world.contract.registry), 0, call);
}

#[test]
fn a_header_that_is_not_ours_stops_the_process_at_once() {
    let mut desk = Desk::new(22);
    desk.until_final(1);
    foreign_post(&desk);
    desk.go_on(1);
    assert!(
        matches!(desk.rest, Rest::ForeignPending(_)),
        "{:?}",
        desk.rest
    );
    desk.go_on(4);
    assert!(matches!(desk.rest, Rest::Foreign(_)), "{:?}", desk.rest);
    let (_, _, nonce, _) = desk.world.found();
    desk.go_on(40);
    assert_eq!(desk.world.found().2, nonce, "not one more transaction");
    assert_eq!(desk.health().alarms[0].level, Level::Page);
}

#[test]
fn a_lost_log_goes_on_only_behind_a_header_that_an_operator_names() {
    let mut desk = Desk::new(23);
    desk.until_final(2);
    let head = desk.state().last.head;
    desk.disk =
        tests::sim::disk::SimDisk::new(1, tests::sim::disk::Manners::GOOD, Default::default());
    desk.restart(false);
    assert!(matches!(desk.turn(), Rest::Foreign(_)));
    desk.policy.adopt = Some(head);
    desk.restart(false);
    desk.until_final(3);
    assert_eq!(desk.state().last.previous, head);
}

#[test]
fn a_pause_holds_up_payments_and_a_freeze_ends_it() {
    let mut desk = Desk::new(24);
    desk.until_final(1);
    let guardian = |name: &str| gateway::anchor::abi::Words::new().call(name);
    let contract = desk.world.contract.registry;
    desk.world
        .transact(GUARDIAN, Some(contract), 0, guardian("guardianPause()"));
    desk.until_final(3);
    desk.each_was_posted_once();
    desk.world
        .transact(GUARDIAN, Some(contract), 0, guardian("guardianFreeze()"));
    desk.go_on(1);
    assert_eq!(desk.rest, Rest::Frozen);
    assert_eq!(desk.health().alarms[0].level, Level::Page);
}

#[test]
fn a_header_that_the_contract_would_refuse_is_not_sent() {
    let mut desk = Desk::new(25);
    desk.until_final(1);
    // A sequence number that goes back is refused by the contract's monotonic counters.
    desk.heads.set(gateway::anchor::header::Newest {
        epoch: 1_000_000,
        seq: 0,
        urgent: false,
    });
    desk.now += 120;
    let process = desk.process.as_mut().expect("it runs");
    let rest = process.turn(desk.now).expect("the log holds");
    let refusal = "Backwards(field: seq, got: 0, last: 30)";
    assert_eq!(rest, Rest::Unpostable(refusal.into()));
    assert_eq!(
        desk.state().open,
        None,
        "not even signed: another one may stand for its number"
    );
    assert_eq!(desk.world.posts(), (1, 0));
    desk.until_final(2);
    desk.each_was_posted_once();
}

#[test]
fn a_signer_that_disagrees_is_a_page_and_one_of_three_may_be_away() {
    let mut desk = Desk::new(26);
    desk.witnesses[0].say(Some("the state root at 17 is another one"));
    desk.until_final(1);
    let health = desk.health();
    assert!(
        health
            .alarms
            .iter()
            .any(|alarm| alarm.what.contains("signers refused")),
        "{health:?}"
    );
    desk.witnesses[1].say(Some("so it is"));
    desk.go_on(15);
    assert!(
        matches!(&desk.rest, Rest::Unsigned(why) if why.contains("so it is")),
        "{:?}",
        desk.rest
    );
    assert_eq!(
        desk.state().open.as_ref().map(|open| open.word()),
        Some("sealed")
    );
    desk.witnesses[1].say(None);
    desk.until_final(2);
    desk.each_was_posted_once();
}

#[test]
fn raw_transactions_read_back_as_they_were_signed() {
    for price in [Price::Legacy(CALM), Price::Market { cap: 7, tip: 3 }] {
        for to in [None, Some(key(2).address())] {
            let transaction = Transaction {
                chain_id: 11_501,
                nonce: 0,
                price,
                gas: 21_000,
                to,
                value: U256::from(1) << 130,
                data: vec![0; 300].into(),
            };
            let signed = transaction.sign(&key(1)).expect("signs");
            let (read, from) = Transaction::decode(&signed.raw).expect("reads");
            assert_eq!((read, from), (transaction, key(1).address()));
            for cut in 0..signed.raw.len() {
                assert!(Transaction::decode(&signed.raw[..cut]).is_err());
            }
        }
    }
}
