//! An epoch on its way to a chain can be proven until a later one is final, whatever trades meanwhile.

use engine::{
    exchange::Exchange,
    ids::{AccountId, AssetId, InstrumentId},
    roots::{Epoch, KEPT_MOST, ProvenPosition, Roots, leaf::BalanceLeaf, proof::Inclusion},
};

use super::{marked, newest, step};

type Balance = Option<(BalanceLeaf, Inclusion)>;

/// Everything that can be proven of an epoch.
#[derive(Debug, PartialEq)]
struct All {
    balances: Vec<Balance>,
    positions: Vec<Vec<ProvenPosition>>,
    withdrawals: Vec<Option<engine::roots::ProvenWithdrawal>>,
}

fn all(roots: &Roots, epoch: &Epoch, (accounts, transfers): (usize, u32)) -> All {
    let number = epoch.header.epoch;
    let accounts = || (0..accounts).map(AccountId::nth);
    let assets = epoch.state.assets.iter();
    let assets = assets.map(|tree| AssetId(tree.asset.into()));
    All {
        balances: assets
            .flat_map(|asset| accounts().map(move |account| (account, asset)))
            .map(|(account, asset)| roots.prove_balance(number, account, asset))
            .collect(),
        positions: accounts()
            .map(|account| roots.prove_positions(number, account))
            .collect(),
        withdrawals: (1..=transfers)
            .map(|transfer| roots.prove_withdrawal(number, transfer))
            .collect(),
    }
}

#[test]
fn a_kept_epoch_is_proven_as_it_was_when_it_was_new() {
    let (mut exchange, mut roots) = (Exchange::new(), Roots::default());
    let mut kept: Vec<(Epoch, (usize, u32), All)> = Vec::new();
    let mut compared = 0;
    for stamped in &marked(8, 3_000, 60) {
        if !step(&mut exchange, &mut [&mut roots], stamped) {
            continue;
        }
        let epoch = newest(&roots);
        let number = epoch.header.epoch;
        for (old, counts, proven) in &kept {
            assert_eq!(roots.provable_at(old.header.epoch), Some(old));
            assert_eq!(&all(&roots, old, *counts), proven, "{number}");
            compared += 1;
        }
        if number % 5 == 2 {
            assert_eq!(roots.keep_newest(), Some(number));
            assert_eq!(roots.keep_newest(), Some(number), "once is enough");
            let transfers = u32::try_from(exchange.transfers().len()).expect("few");
            // Also accounts and transfers that do not exist yet.
            let counts = (exchange.accounts().len() + 2, transfers + 5);
            let proven = all(&roots, &epoch, counts);
            kept.push((epoch, counts, proven));
            if kept.len() > KEPT_MOST {
                // The oldest went by itself.
                let gone = kept.remove(0).0.header.epoch;
                assert_eq!(roots.provable_at(gone), None);
                let first = AccountId::nth(3);
                assert_eq!(roots.prove_balance(gone, first, AssetId(1)), None);
            }
        }
        // One in the middle fails: the ones around it stay.
        if number % 15 == 9 && kept.len() > 2 {
            let failed = kept.remove(1).0.header.epoch;
            roots.let_go(failed);
            assert_eq!(roots.provable_at(failed), None);
        }
    }
    assert!(compared > 100 && roots.remembered() > 0, "{compared}");
    let held: usize = kept
        .iter()
        .flat_map(|(_, _, proven)| &proven.positions)
        .map(Vec::len)
        .sum();
    assert!(held > 10, "{held} positions in kept epochs");
    for (old, _, _) in &kept {
        roots.let_go(old.header.epoch);
    }
    assert_eq!(roots.remembered(), 0, "nothing is kept for nobody");
}

#[test]
fn a_chosen_epoch_is_kept_when_its_mark_is_executed_again() {
    let stream = marked(9, 800, 50);
    let (mut exchange, mut roots) = (Exchange::new(), Roots::default());
    let mut chosen = None;
    for stamped in &stream {
        if step(&mut exchange, &mut [&mut roots], stamped) && newest(&roots).header.epoch == 4 {
            roots.keep_newest().expect("sealed");
            chosen = Some(newest(&roots));
        }
    }
    let chosen = chosen.expect("there were four");
    let (mut exchange, mut again) = (Exchange::new(), Roots::default());
    again.want([4, 999]);
    for stamped in &stream {
        step(&mut exchange, &mut [&mut again], stamped);
    }
    assert_eq!(again.kept().collect::<Vec<u64>>(), [4]);
    let counts = (exchange.accounts().len(), 10);
    assert_eq!(all(&again, &chosen, counts), all(&roots, &chosen, counts));
    // Fills come from their pages.
    let fill = (1, InstrumentId(0));
    let accounts = exchange.accounts().iter();
    let mut proven = accounts.filter_map(|account| again.prove_fill(4, account.id, fill));
    let (_, path) = proven.next().expect("there was a trade");
    let root = path.reach().expect("a sound path").root;
    assert_eq!(root, chosen.header.fills_root);
}

#[test]
fn saved_roots_of_another_version_or_cut_short_are_refused_in_words() {
    let (mut exchange, mut roots) = (Exchange::new(), Roots::default());
    for stamped in &marked(10, 300, 100) {
        step(&mut exchange, &mut [&mut roots], stamped);
    }
    let bytes = roots.save();
    let again = Roots::load(&bytes).expect("as saved");
    assert_eq!(
        (again.epochs(), again.save()),
        (roots.epochs(), bytes.clone())
    );
    let mut newer = bytes.clone();
    newer[0] += 1;
    let error = Roots::load(&newer).expect_err("newer");
    assert!(
        error.contains("version 2, and this program reads 1"),
        "{error}"
    );
    for cut in [0, 3, 4, 20, bytes.len() / 2, bytes.len() - 1] {
        Roots::load(&bytes[..cut]).expect_err("cut short");
    }
}
