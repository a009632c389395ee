//! Everything at once, from seeds: crashes, reorganisations, liars, lost answers, moving fees, outages.
//!
//! `HASHPIT_ANCHOR_SEEDS=1-500` runs those; one seed alone prints nothing more than the others, but is the
//! same every time.

use gateway::anchor::{decide::Rest, health::Level};
use tests::{
    anchor::{CALM, Lie, Pool},
    generator::Random,
    sim::disk::{Harm, Trap},
};

use super::Desk;

/// One story; how it went, in one line.
fn story(seed: u64) -> String {
    let mut random = Random::new(seed);
    let mut desk = Desk::new(seed);
    desk.policy.legacy = random.percent(70);
    desk.restart(false);
    desk.world.net().rules = if random.percent(50) {
        Pool::Ordinary
    } else {
        Pool::Frontier
    };
    let (mut crashes, mut reorgs, mut lies) = (0, 0, 0);
    let mut until_honest = 0;
    for _ in 0..120 {
        match random.between(0, 19) {
            0 | 1 => {
                let harm = *random.pick(&[Harm::Kill, Harm::PowerCut]).expect("two");
                let left = random.between(1, 12).unsigned_abs();
                desk.disk.set(Trap {
                    verb: None,
                    left,
                    harm,
                });
            }
            2 => desk.fuse.set(Some(random.between(0, 40).unsigned_abs())),
            3 | 4 => {
                // Never deeper than what is called final.
                let depth = random.between(1, 3) as usize;
                let remember = random.percent(60);
                desk.world.net().reorganise(depth, remember);
                reorgs += 1;
            }
            5 | 6 => {
                let lie = *random
                    .pick(&[
                        Lie::Down,
                        Lie::AnswerLost,
                        Lie::Behind(2),
                        Lie::Behind(6),
                        Lie::Fork,
                        Lie::Head,
                        Lie::ChainId,
                        Lie::Code,
                    ])
                    .expect("some");
                let place = random.between(0, 1) as usize;
                desk.endpoints[place].tell(lie);
                until_honest = random.between(1, 8);
                lies += 1;
            }
            7 => desk.world.net().base_fee = CALM * random.between(1, 60).unsigned_abs() as u128,
            8 => desk.world.net().stuck = true,
            9 | 10 => desk.world.net().stuck = false,
            11 => desk.world.net().forgetful = true,
            12 | 13 => desk.world.net().forgetful = false,
            14 => desk.world.net().forget(),
            15 => desk.now += random.between(1, 100_000).unsigned_abs(),
            _ => {}
        }
        until_honest -= 1;
        if until_honest <= 0 {
            desk.endpoints
                .iter()
                .for_each(|endpoint| endpoint.tell(Lie::None));
        }
        desk.world.mine(random.between(0, 3).unsigned_abs());
        desk.now = desk.now.max(desk.world.now());
        desk.exchange_at(desk.now);
        let turn = desk.process.as_mut().expect("it runs").turn(desk.now);
        if desk.disk.dead().is_some() || desk.fuse.burnt() || turn.is_err() {
            desk.restart(random.percent(50));
            crashes += 1;
        } else if let Ok(rest) = turn {
            assert!(
                !matches!(rest, Rest::Foreign(_) | Rest::WouldRefuse(_)),
                "seed {seed}: {rest:?}"
            );
            desk.rest = rest;
        }
        let (done, refused) = desk.world.posts();
        assert_eq!(refused, 0, "seed {seed}: a post was sent twice");
        assert_eq!(done as u64, desk.world.found().0, "seed {seed}");
    }
    // Good times again: it goes on from whatever is left.
    desk.endpoints
        .iter()
        .for_each(|endpoint| endpoint.tell(Lie::None));
    desk.fuse.set(None);
    desk.disk.disarm();
    {
        let mut net = desk.world.net();
        (net.stuck, net.forgetful, net.base_fee) = (false, false, CALM);
    }
    let number = desk.state().last.number;
    desk.until_final(number + 2);
    desk.each_was_posted_once();
    assert!(
        desk.health()
            .alarms
            .iter()
            .all(|alarm| alarm.level != Level::Page),
        "seed {seed}"
    );
    format!(
        "seed {seed}: {} anchors, {} bumps, {crashes} crashes, {reorgs} reorganisations, {lies} lies",
        desk.state().last.number,
        desk.state().bumps
    )
}

#[test]
fn every_header_is_posted_once_through_any_trouble() {
    let (from, to) = seeds("HASHPIT_ANCHOR_SEEDS", (1, 6));
    for seed in from..=to {
        println!("{}", story(seed));
    }
}

fn seeds(name: &str, otherwise: (u64, u64)) -> (u64, u64) {
    let Ok(text) = std::env::var(name) else {
        return otherwise;
    };
    let (from, to) = text.split_once('-').unwrap_or((&text, &text));
    (from.parse().expect("a seed"), to.parse().expect("a seed"))
}
