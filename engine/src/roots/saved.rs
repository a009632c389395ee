//! What a snapshot keeps of the roots beside the state. The trees follow from the state; the past does not.

use bincode::{Decode, Encode};

use super::{
    Epoch, Roots,
    chain::{Tip, Tops},
    fills::{Fills, SavedFills},
    header::{Header, State},
};

#[derive(Encode, Decode)]
struct SavedEpoch {
    header: Vec<u8>,
    state: Vec<u8>,
    tops: Tops,
    tip: Tip,
    first_seq: u64,
}

#[derive(Encode, Decode)]
struct Saved {
    /// Oldest first.
    epochs: Vec<SavedEpoch>,
    fills: SavedFills,
}

/// First in the bytes. Goes up whenever they change.
const VERSION: u32 = 1;

/// A forged length asks for no more memory than this.
const BYTES: usize = 1 << 28;

impl Roots {
    /// What is not in the state: the headers so far, and the frontier of the fills.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let epochs = self.epochs.iter().map(|epoch| SavedEpoch {
            header: epoch.header.bytes(),
            state: epoch.state.bytes(),
            tops: epoch.tops.clone(),
            tip: epoch.tip.clone(),
            first_seq: epoch.first_seq,
        });
        let saved = Saved {
            epochs: epochs.collect(),
            fills: self.fills.save(),
        };
        let mut bytes = VERSION.to_le_bytes().to_vec();
        crate::record::append(&saved, &mut bytes);
        bytes
    }

    /// Goes on from what was saved. The trees are there again with the next mark.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn load(bytes: &[u8]) -> Result<Self, String> {
        let (version, bytes) = bytes
            .split_first_chunk::<4>()
            .ok_or("the saved roots end before their version")?;
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(format!(
                "the saved roots are of version {version}, and this program reads {VERSION}"
            ));
        }
        let config = crate::exchange::encoding().with_limit::<BYTES>();
        let (saved, used) = bincode::decode_from_slice::<Saved, _>(bytes, config)
            .map_err(|error| format!("the saved roots: {error}"))?;
        if used != bytes.len() {
            return Err(format!(
                "the saved roots have {} bytes too many",
                bytes.len() - used
            ));
        }
        let mut roots = Self::default();
        for epoch in saved.epochs {
            let SavedEpoch {
                header,
                state,
                tops,
                tip,
                first_seq,
            } = epoch;
            let parsed = Header::parse(&header).zip(State::parse(&state));
            let (header, state) = parsed.ok_or("a saved epoch is damaged")?;
            let flows = header.assets.iter();
            let out: Vec<([u8; 32], u128)> = flows
                .map(|flow| (flow.withdrawals_root, flow.withdrawn))
                .collect();
            if state.root() != header.state_root || !tops.fit(&state, &out) {
                return Err(format!("saved epoch {} contradicts itself", header.epoch));
            }
            let hash = header.hash();
            if let Some(last) = roots.epochs.back()
                && (header.previous != last.hash || header.epoch != last.header.epoch + 1)
            {
                return Err(format!(
                    "saved epoch {} does not follow the one before",
                    header.epoch
                ));
            }
            roots.epochs.push_back(Epoch {
                header,
                state,
                tops,
                tip,
                first_seq,
                hash,
            });
        }
        roots.fills = Fills::load(saved.fills)?;
        Ok(roots)
    }
}
