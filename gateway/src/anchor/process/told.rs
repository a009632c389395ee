//! What the exchange is told of an epoch on its way, so that it can tell its users.

use proto::proof::v1 as wire;

use super::{Process, Record, Signed};
use crate::proofs::Step;

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

fn nanos(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(SECOND)).unwrap_or(i64::MAX)
}

impl Process {
    /// Enough signers signed.
    pub(super) fn tell_signed(&mut self, signed: &Signed) {
        let signatures = signed
            .iter()
            .map(|(signer, signature)| wire::RootSignature {
                signer: signer.to_vec(),
                signature: signature.bytes().to_vec(),
            });
        let epoch = self.epoch_in_flight();
        self.parts
            .heads
            .note(epoch, Step::Signed(signatures.collect()));
    }

    /// A record about this epoch is on disk.
    pub(super) fn tell(&mut self, record: &Record, epoch: u64) {
        let step = match record {
            Record::Intent(_) => Step::Submitted(self.transaction(0)),
            Record::Mined { at, .. } => Step::Mined(self.transaction(nanos(*at))),
            Record::Orphaned { .. } => Step::Reorganised,
            Record::Final { at, .. } => Step::Final(self.settled(nanos(*at), true)),
            Record::Began { .. }
            | Record::Sealed { .. }
            | Record::Signed { .. }
            | Record::Failed { .. }
            | Record::Exits(_) => return,
        };
        self.parts.heads.note(epoch, step);
    }

    /// After a start: how far the newest epochs came before.
    pub(super) fn tell_again(&mut self) {
        let last = self.state.last;
        if last.epoch > 0 {
            // The chain is not asked: it may be away.
            let step = Step::Final(self.settled(nanos(last.at), false));
            self.parts.heads.note(last.epoch, step);
        }
        let Some(open) = &self.state.open else { return };
        let (epoch, mined) = (open.content.header.epoch, open.mined.is_some());
        if open.live().is_some() {
            let anchor = self.transaction(0);
            let step = if mined {
                Step::Mined(anchor)
            } else {
                Step::Submitted(anchor)
            };
            self.parts.heads.note(epoch, step);
        }
    }

    fn anchor(&self, hash: &[u8], submitted: u64) -> wire::Anchor {
        let contract = &self.parts.contract;
        wire::Anchor {
            chain_id: i64::try_from(contract.chain_id).unwrap_or(i64::MAX),
            contract: contract.registry.to_vec(),
            tx_hash: hash.to_vec(),
            submitted_unix_nanos: nanos(submitted),
            ..wire::Anchor::default()
        }
    }

    /// The transaction in flight; mined at this time, or not yet (0).
    fn transaction(&self, mined: i64) -> wire::Anchor {
        let live = self
            .state
            .open
            .as_ref()
            .and_then(super::super::record::Open::live);
        let Some(live) = live else {
            return wire::Anchor::default();
        };
        let mut anchor = self.anchor(live.hash.as_slice(), live.at);
        anchor.mined_unix_nanos = mined;
        anchor
    }

    /// The newest final one: the transaction that the chain has, if it says so, else the last that was sent.
    fn settled(&self, final_at: i64, ask: bool) -> wire::Anchor {
        let sent = self.state.settled.iter().rev().filter(|_| ask);
        let found = sent.into_iter().find_map(|intent| {
            let receipt = self.parts.chain.receipt(intent.hash).ok().flatten()?;
            Some((intent, receipt))
        });
        let (intent, receipt) = match found {
            Some((intent, receipt)) => (Some(intent), Some(receipt)),
            None => (self.state.settled.last(), None),
        };
        let mut anchor = intent.map_or_else(wire::Anchor::default, |intent| {
            self.anchor(intent.hash.as_slice(), intent.at)
        });
        if let Some(receipt) = receipt {
            anchor.block_hash = receipt.block_hash.to_vec();
            anchor.block_number = i64::try_from(receipt.block).unwrap_or(i64::MAX);
        }
        anchor.final_unix_nanos = final_at;
        anchor
    }
}
