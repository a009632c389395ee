//! Whoever holds a proof of an epoch can show what he had, and the books of everybody add up to it.

use engine::{
    command::{Command, SetAccountOwner, Stamped},
    exchange::Exchange,
    ids::{AccountId, AssetId, InstrumentId},
    record,
    roots::{Epoch, Roots, header::Header, keccak::Lanes, leaf::ContractLeaf},
};
use tests::{commitments::from_scratch, generator::Features, market::request, streams};

mod anchored;
mod chain;
mod document;
mod kept;
pub(crate) mod served;

/// A stream with an epoch's mark after each `every` commands, and owners named now and then.
fn marked(seed: u64, commands: usize, every: usize) -> Vec<Stamped> {
    let mut stream: Vec<Stamped> = Vec::new();
    let mut push = |at, command| {
        let last = stream.last().map(|last: &Stamped| (last.seq, last.at));
        let (seq, before) = last.unwrap_or_default();
        stream.push(Stamped {
            seq: seq + 1,
            at: before.after(1).max(at),
            command,
        });
    };
    let recorded = streams::record(seed, Features::ALL, commands);
    for (place, stamped) in recorded.into_iter().enumerate() {
        let at = stamped.at;
        push(at, stamped.command);
        if place % 97 == 96 {
            let owner = SetAccountOwner {
                account: AccountId((place % 12) as u32 + 1),
                owner: [(place % 250) as u8 + 1; 20],
            };
            push(at, Command::SetAccountOwner(request(owner)));
        }
        if place % every == every - 1 {
            push(at, Command::MarkEpoch);
        }
    }
    stream
}

/// Executes a command and has it heard; a block of the journal ends with each mark.
fn step(exchange: &mut Exchange, roots: &mut [&mut Roots], stamped: &Stamped) -> bool {
    let mut events = Vec::new();
    exchange.apply(stamped, &mut events);
    let marked = stamped.command == Command::MarkEpoch;
    for roots in roots {
        roots.hear(exchange, stamped, &events);
        if marked {
            roots.end_of_block(*blake3_like(stamped.seq));
        }
    }
    marked
}

/// Stands for the chain value of the block.
fn blake3_like(seq: u64) -> Box<[u8; 32]> {
    let mut chain = [0xab; 32];
    chain[..8].copy_from_slice(&seq.to_be_bytes());
    Box::new(chain)
}

fn newest(roots: &Roots) -> Epoch {
    roots.provable().expect("sealed").clone()
}

fn check_epoch(exchange: &Exchange, roots: &Roots, seed: u64) {
    let epoch = newest(roots);
    let header = &epoch.header;
    assert_eq!(header.seq, exchange.seq());
    assert_eq!(epoch.state.root(), header.state_root);
    assert_eq!(Header::parse(&header.bytes()).as_ref(), Some(header));
    for (place, flow) in header.assets.iter().enumerate() {
        let asset = AssetId::nth(place);
        let books = exchange.ledger().flow(asset);
        let uncovered = flow.uncovered().expect("never less than there should be");
        assert_eq!(
            flow.liabilities,
            u128::try_from(books.cash).expect("not negative") + uncovered,
            "seed {seed}, epoch {}",
            header.epoch
        );
        assert_eq!(flow.withdrawn, books.withdrawn as u128);
        let mut sum = 0;
        for account in exchange.accounts() {
            let (leaf, path) = roots
                .prove_balance(header.epoch, account.id, asset)
                .expect("open");
            sum += leaf.sum();
            let reached = path.reach().expect("a sound path");
            assert_eq!(reached.root, epoch.state.assets[place].root);
            assert_eq!(reached.sums, [flow.liabilities]);
            let owner = exchange.owner(account.id);
            assert_eq!((leaf.owner, leaf.nonce), (owner.address, owner.nonce));
        }
        assert_eq!(sum, flow.liabilities);
    }
    for account in exchange.accounts() {
        let proven = roots.prove_positions(header.epoch, account.id);
        let held = exchange.positions().of(account.id);
        let held: Vec<(u32, i64)> = held
            .filter(|position| position.net.0 != 0)
            .map(|position| (position.instrument.0, position.net.0))
            .collect();
        let shown: Vec<(u32, i64)> = proven
            .iter()
            .map(|position| {
                let leaf = position.leaf;
                (leaf.contract, leaf.long as i64 - leaf.short as i64)
            })
            .collect();
        assert_eq!(shown, held, "account {}", account.id.0);
        for position in proven {
            let reached = position.path.reach().expect("a sound path");
            let ContractLeaf {
                root, long, short, ..
            } = position.contract;
            assert_eq!(
                (reached.root, &reached.sums[..]),
                (root, &[long, short][..])
            );
            assert_eq!(long, short, "every lot has a buyer and a seller");
            let over = position.contract_path.reach().expect("a sound path");
            assert_eq!(over.root, epoch.state.positions);
        }
    }
}

#[test]
fn a_root_kept_along_is_the_root_of_the_whole_state_and_proves_everybody() {
    let (mut fills, mut withdrawals, mut gains) = (0, 0, 0);
    for seed in 1..=3 {
        let mut exchange = Exchange::new();
        let (mut wide, mut narrow) = (Roots::default(), Roots::new(Lanes::One));
        let mut last = [0; 32];
        for stamped in &marked(seed, 2_500, 130) {
            if !step(&mut exchange, &mut [&mut wide, &mut narrow], stamped) {
                continue;
            }
            let epoch = newest(&wide);
            assert_eq!(epoch, newest(&narrow), "any number of lanes");
            let again = from_scratch(&exchange, stamped);
            assert_eq!(epoch.state, again.state, "seed {seed}, {}", stamped.seq);
            assert_eq!(epoch.header.assets, again.header.assets);
            assert_eq!(epoch.header.deposits, again.header.deposits);
            assert_eq!(epoch.header.previous, last);
            last = epoch.hash;
            check_epoch(&exchange, &wide, seed);
            fills = fills.max(epoch.header.fills);
            let paid = epoch.header.assets.iter().map(|flow| flow.withdrawals);
            withdrawals = withdrawals.max(paid.sum());
            for transfer in exchange.issued() {
                let proven = wide
                    .prove_withdrawal(epoch.header.epoch, transfer.transfer)
                    .expect("issued");
                let reached = proven.path.reach().expect("a sound path");
                let asset = usize::from(proven.leaf.asset) - 1;
                let flow = &epoch.header.assets[asset];
                assert_eq!(reached.root, flow.withdrawals_root);
                assert_eq!(reached.sums, [flow.withdrawn]);
                assert_eq!(proven.leaf.to, transfer.to);
            }
            let accounts = exchange.accounts().iter();
            gains += accounts
                .flat_map(|account| exchange.positions().of(account.id))
                .filter(|position| position.result.0 != 0)
                .count();
        }
    }
    println!("{fills} fills, {withdrawals} withdrawals, {gains} positions with variation");
    assert!(fills > 100 && withdrawals > 0 && gains > 100);
}

#[test]
fn a_start_from_a_snapshot_gives_the_roots_of_a_replay_from_the_beginning() {
    for seed in [4, 5] {
        let stream = marked(seed, 1_500, 70);
        let (mut exchange, mut roots) = (Exchange::new(), Roots::default());
        let mut copies: Vec<(Exchange, Roots)> = Vec::new();
        for (place, stamped) in stream.iter().enumerate() {
            let marked = step(&mut exchange, &mut [&mut roots], stamped);
            for (copy, its_roots) in &mut copies {
                step(copy, &mut [its_roots], stamped);
                if marked {
                    assert_eq!(newest(its_roots), newest(&roots), "seed {seed}, {place}");
                    assert_eq!(its_roots.epochs(), roots.epochs());
                }
            }
            if place % 333 == 332 {
                let mut bytes = Vec::new();
                exchange.save(&mut bytes).expect("memory takes everything");
                let copy = Exchange::load(&mut &bytes[..]).expect("a state");
                let its_roots = Roots::load(&roots.save()).expect("roots");
                copies.push((copy, its_roots));
            }
        }
        assert!(copies.len() > 3 && roots.epochs().len() > 10);
    }
}

#[test]
fn every_fill_of_an_epoch_is_proven_to_whoever_made_it() {
    let (mut exchange, mut roots) = (Exchange::new(), Roots::default());
    let mut mine: Vec<record::RecordedFill> = Vec::new();
    for stamped in &marked(6, 1_200, 300) {
        let mut events = Vec::new();
        exchange.apply(stamped, &mut events);
        roots.hear(&exchange, stamped, &events);
        mine.extend(record::Results::lists(&events).fills);
        if stamped.command != Command::MarkEpoch {
            continue;
        }
        roots.end_of_block([7; 32]);
        let Header {
            epoch,
            fills_root: root,
            ..
        } = newest(&roots).header;
        for fill in &mine {
            let which = (fill.trade.0, fill.instrument);
            let proof = roots.prove_fill(epoch, fill.account, which);
            let (place, path) = proof.expect("at hand");
            assert_eq!(path.reach().expect("a sound path").root, root);
            let bytes = &place.bytes[place.offset..place.offset + 64];
            let told = engine::roots::fills::FillEntry::parse(bytes).expect("a fill");
            assert_eq!(
                (told.trade, told.contract),
                (fill.trade.0, fill.instrument.0)
            );
            assert_eq!((told.price, told.lots), (fill.price.0, fill.lots.0));
        }
    }
    assert!(mine.len() > 30, "{} fills", mine.len());
    let which = (mine[0].trade.0, InstrumentId(0));
    let stranger = roots.prove_fill(newest(&roots).header.epoch, AccountId(999), which);
    assert!(stranger.is_none());
}

/// An interpreter, if there is one; under CI there must be.
fn python() -> Option<String> {
    let chosen = std::env::var("HASHPIT_PYTHON").ok();
    let must_run = chosen.is_some() || std::env::var("CI").is_ok();
    let python = chosen.unwrap_or_else(|| "python3".into());
    let version = std::process::Command::new(&python)
        .arg("--version")
        .output();
    let ready = version.is_ok_and(|out| out.status.success());
    if !ready {
        assert!(!must_run, "{python} does not run");
        println!("NOT RUN: there is no {python}");
    }
    ready.then_some(python)
}
