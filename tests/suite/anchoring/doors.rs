//! The doors for the worst beginning: the guardian stops an exchange that never anchored anything, and everybody gets
//! his deposits back, by commands alone.

use std::sync::Arc;

use engine::journal::{Disk, RealDisk};
use gateway::{
    anchor::{embedded::BASE_FEE, home, key_file::Role, run, signer::Signer},
    commands::onchain::{Doing, Exit, Guardian, Owner},
};
use revm::primitives::U256;
use tests::venue::Folder;

use super::leaving::{Node, command, doing};

/// What somebody deposited: satoshi, and millionths of dollars.
const SATOSHI: u128 = 5_000_000;
const DOLLARS: u128 = 7_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deposits_come_back_from_an_exchange_that_never_anchored() {
    let folder = Folder::new("anchor-doors");
    let (data, keys) = (folder.path().join("data"), folder.path().join("keys"));
    std::fs::create_dir_all(&keys).expect("made");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (home, _) = home::open(&disk, &run::folder(&data), true, Arc::new(run::now)).expect("made");
    let passphrase = home::passphrase(&keys, true).expect("made");
    let saver = home::key(&keys, "saver.owner", Role::Owner, &passphrase, true).expect("made");
    home.fund(&saver, SATOSHI, DOLLARS).expect("deposited");
    let registry = home.contract.registry;
    drop(home);

    let node = Node::start(&data, 0).await;
    let on = || doing(node.address, registry, &keys, "saver");
    let guardian = || Doing {
        owner: Owner {
            key: run::folder(&data).join("keys/guardian.key"),
            passphrase_file: run::folder(&data).join("keys/passphrase"),
            patience: 5,
        },
        ..on()
    };
    let refund = |deposit| {
        let refund = Exit::Refund { deposit, on: on() };
        command(|| refund.run())
    };
    let settle = || {
        let settle = Exit::Settle {
            file: None,
            on: on(),
        };
        command(|| settle.run())
    };
    // Nothing is frozen yet, and only the guardian is the guardian.
    let refused = refund(0).await.expect_err("nothing is settled");
    assert!(refused.contains("NotSettled"), "{refused}");
    let refused = settle().await.expect_err("nothing is frozen");
    assert!(refused.contains("NotFrozen"), "{refused}");
    let stranger = Guardian::Freeze { on: on() };
    let refused = command(|| stranger.run())
        .await
        .expect_err("a key of an owner");
    assert!(refused.contains("Owner, not Guardian"), "{refused}");
    let nothing = Guardian::WithdrawRotation { on: guardian() };
    let refused = command(|| nothing.run())
        .await
        .expect_err("none was proposed");
    assert!(refused.contains("NoRotation"), "{refused}");

    let pause = Guardian::Pause { on: guardian() };
    command(|| pause.run()).await.expect("paused");
    let freeze = Guardian::Freeze { on: guardian() };
    command(|| freeze.run()).await.expect("frozen");
    settle().await.expect("settled at nothing");
    let refused = settle().await.expect_err("once");
    assert!(refused.contains("AlreadySettled"), "{refused}");

    let before = node.chain.balance(saver.address());
    refund(0).await.expect("the coins");
    let paid = node.chain.balance(saver.address()) - before;
    let coins = U256::from(SATOSHI) * U256::from(home::WEI_PER_SAT);
    let fee = U256::from(1_000_000) * U256::from(BASE_FEE);
    assert!(paid <= coins && paid > coins - fee, "{paid} wei");
    refund(1).await.expect("the dollars");
    let refused = refund(0).await.expect_err("once");
    assert!(refused.contains("AlreadyPaid(id: 0)"), "{refused}");
    let refused = refund(2).await.expect_err("nobody's");
    assert!(refused.contains("nobody made deposit 2"), "{refused}");
}
