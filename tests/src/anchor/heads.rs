//! The exchange's side, as a test wants it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::roots::{
    chain::{AssetLine, ChainHeader, Top, Tops},
    header::{AssetRoot, State},
    leaf::tag,
};
use gateway::{
    anchor::{
        header::{Behind, Content, Heads, Newest},
        root_signer::Witness,
    },
    proofs::Step,
};
use revm::primitives::{B256, keccak256};

/// An exchange that seals an epoch every ten seconds.
#[derive(Clone, Debug, Default)]
pub struct TestHeads(Arc<Mutex<Newest>>, Arc<Mutex<Vec<(u64, &'static str)>>>);

impl TestHeads {
    /// From now on.
    pub fn set(&self, newest: Newest) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = newest;
    }
}

impl Heads for TestHeads {
    fn newest(&mut self) -> Newest {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn content(&mut self, number: u64, behind: &Behind) -> Result<Option<Content>, String> {
        let newest = self.newest();
        let mut content = empty(number, behind.head);
        content.header.seq = newest.seq;
        content.header.time = newest.seq;
        content.header.forced_count = behind.served;
        content.header.journal_head = keccak256(newest.epoch.to_be_bytes()).0;
        Ok(Some(content))
    }

    fn note(&mut self, epoch: u64, step: Step) {
        let word = match step {
            Step::Signed(_) => "signed",
            Step::Submitted(_) => "submitted",
            Step::Mined(_) => "mined",
            Step::Reorganised => "reorganised",
            Step::Final(_) => "final",
            Step::Failed => "failed",
        };
        self.told().push((epoch, word));
    }

    fn heartbeat(&mut self) {
        self.told().push((0, "heartbeat"));
    }
}

impl TestHeads {
    /// What the exchange was told of its epochs.
    pub fn told(&self) -> MutexGuard<'_, Vec<(u64, &'static str)>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A header of an exchange in which nobody has anything.
///
/// # Panics
/// Never: nothing adds up to nothing.
#[must_use]
pub fn empty(number: u64, previous: B256) -> Content {
    let tops = Tops {
        balances: vec![Top::default()],
        withdrawals: vec![Top::default()],
        positions: [0; 32],
    };
    let root = |tag| Top::default().root(tag).expect("no sums");
    let (root, sum) = root(tag::BALANCE_NODE);
    let assets = vec![AssetRoot {
        asset: 1,
        root,
        sum,
    }];
    let positions = tops.positions;
    let line = AssetLine {
        asset: 1,
        withdraw_root: Top::default()
            .root(tag::WITHDRAWAL_NODE)
            .expect("no sums")
            .0,
        ..AssetLine::default()
    };
    let header = ChainHeader {
        epoch: number,
        anchor: number,
        previous: previous.0,
        state_root: State { assets, positions }.root(),
        assets: vec![line],
        ..ChainHeader::default()
    };
    Content {
        header,
        tops,
        ..Content::default()
    }
}

/// A signer's copy that agrees, or has something else.
#[derive(Clone, Debug, Default)]
pub struct TestWitness(Arc<Mutex<Option<String>>>);

impl TestWitness {
    /// From now on.
    pub fn say(&self, what: Option<&str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what.map(Into::into);
    }
}

impl Witness for TestWitness {
    fn agrees(&self, _: &ChainHeader) -> Result<(), String> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(what) => Err(what.clone()),
        }
    }
}
