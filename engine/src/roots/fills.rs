//! All fills so far, in pages of 32, under one root that only grows.
//!
//! A page is hashed with SHA-256, which an EVM chain has built in, and only its digest goes into the tree. What
//! has to be remembered of the past is the frontier: the roots of the complete subtrees to the left, at most
//! one for each height. The newest pages stay at hand, so that a fill in them can be proven.

use std::collections::VecDeque;

use bincode::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use super::{
    keccak,
    leaf::{Fields, tag},
    tree::{DEPTH, Node, Plain, empty_subtrees},
};
use crate::{
    command::Side,
    event::{Event, Liquidity},
};

/// Fills in a page.
pub const PAGE_FILLS: usize = 32;
/// Bytes of a fill.
pub const FILL_BYTES: usize = 64;
/// Bytes of a page; what is not filled yet is zero.
pub const PAGE_BYTES: usize = PAGE_FILLS * FILL_BYTES;
/// Complete pages kept at hand: the newest 131,072 fills, 8 MiB.
pub const PAGES_KEPT: usize = 4_096;

/// One side of a trade, as it is committed to: nothing that names an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillEntry {
    /// Trade, the same number for both sides.
    pub trade: u64,
    /// Order that traded; 0 off the book.
    pub order: u64,
    /// Price in ticks.
    pub price: i64,
    /// Quantity in lots.
    pub lots: i64,
    /// Position of the command in the journal.
    pub seq: u64,
    /// Core time, Unix nanoseconds.
    pub at: i64,
    /// Number of the contract; for a leg of a combination, the leg's.
    pub contract: u32,
    /// Bought, as opposed to sold.
    pub bought: bool,
    /// 0 rested, 1 came in, 2 in an auction, 3 off the book.
    pub role: u8,
}

impl FillEntry {
    /// As it stands in its page.
    #[must_use]
    pub fn bytes(&self) -> [u8; FILL_BYTES] {
        let mut bytes = [0; FILL_BYTES];
        bytes[..8].copy_from_slice(&self.trade.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.order.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.price.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.lots.to_be_bytes());
        bytes[32..40].copy_from_slice(&self.seq.to_be_bytes());
        bytes[40..48].copy_from_slice(&self.at.to_be_bytes());
        bytes[48..52].copy_from_slice(&self.contract.to_be_bytes());
        bytes[52] = if self.bought { 1 } else { 2 };
        bytes[53] = self.role;
        bytes
    }

    /// Of these bytes, if they are a fill.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let entry = Self {
            trade: u64::from_be_bytes(fields.take()?),
            order: u64::from_be_bytes(fields.take()?),
            price: i64::from_be_bytes(fields.take()?),
            lots: i64::from_be_bytes(fields.take()?),
            seq: u64::from_be_bytes(fields.take()?),
            at: i64::from_be_bytes(fields.take()?),
            contract: u32::from_be_bytes(fields.take()?),
            bought: match fields.take()? {
                [1] => true,
                [2] => false,
                _ => return None,
            },
            role: fields.take::<1>()?[0],
        };
        (fields.0 == [0; 10]).then_some(entry)
    }
}

/// Hash of a page in the tree.
#[must_use]
pub fn page_node(page: u64, bytes: &[u8]) -> Plain {
    let mut message = [0; 41];
    message[..8].copy_from_slice(&page.to_be_bytes());
    message[8..40].copy_from_slice(&Sha256::digest(bytes));
    message[40] = tag::FILLS;
    Node::new(keccak::hash_block(&keccak::pad(&message)), &[])
}

/// The left edge of a growing tree.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frontier {
    /// Complete pages under it.
    pages: u64,
    /// By height; meaningful where the bit of `pages` is set.
    roots: [Plain; DEPTH],
}

impl Frontier {
    fn push(&mut self, page: Plain) {
        let (mut node, mut height) = (page, 0);
        while self.pages >> height & 1 == 1 {
            node = join(&self.roots[height], &node);
            height += 1;
        }
        self.roots[height] = node;
        self.pages += 1;
    }
}

fn join(left: &Plain, right: &Plain) -> Plain {
    // Without sums there is nothing that could overflow.
    Node::parent(tag::FILLS_NODE, left, right).unwrap_or(Node::EMPTY)
}

/// Where a fill lies, with what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillProof {
    /// Number of the page.
    pub page: u64,
    /// The page as it was at the epoch's end.
    pub bytes: Vec<u8>,
    /// Where the fill begins in it.
    pub offset: usize,
    /// Siblings, bottom up.
    pub siblings: [Plain; DEPTH],
}

/// All fills so far.
#[derive(Clone, Debug)]
pub struct Fills {
    /// Behind the last complete page.
    frontier: Frontier,
    /// Before the oldest page at hand.
    base: Frontier,
    /// Pages at hand, the last one not complete yet (it may be empty).
    pages: VecDeque<Vec<u8>>,
    /// Whose fills they are, in the same order.
    accounts: VecDeque<u32>,
    empty: [Plain; DEPTH + 1],
    /// Fills under the newest sealed root.
    sealed: u64,
}

/// What has to be remembered of all fills so far.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub(super) struct SavedFills {
    pages: u64,
    roots: Vec<[u8; 32]>,
    open: Vec<u8>,
    accounts: Vec<u32>,
    sealed: u64,
}

impl Default for Fills {
    fn default() -> Self {
        let none = Frontier {
            pages: 0,
            roots: [Node::EMPTY; DEPTH],
        };
        Self {
            frontier: none.clone(),
            base: none,
            pages: VecDeque::from([Vec::new()]),
            accounts: VecDeque::new(),
            empty: empty_subtrees(tag::FILLS_NODE),
            sealed: 0,
        }
    }
}

impl Fills {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        let open = self.pages.back().map_or(0, Vec::len) / FILL_BYTES;
        self.frontier.pages * PAGE_FILLS as u64 + open as u64
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes up the fills of a command.
    pub(super) fn hear(&mut self, seq: u64, at: i64, events: &[Event]) {
        for event in events {
            let (account, order, contract, side, fill) = match event {
                Event::Order(told) if !told.copy => match told.fill {
                    Some(fill) => (
                        told.to.account,
                        told.order_id,
                        told.instrument,
                        told.side,
                        fill,
                    ),
                    None => continue,
                },
                Event::Leg(leg) if !leg.copy => (
                    leg.to.account,
                    leg.order_id,
                    leg.instrument,
                    leg.side,
                    leg.fill,
                ),
                _ => continue,
            };
            let entry = FillEntry {
                trade: fill.trade.0,
                order: order.0,
                price: fill.price.0,
                lots: fill.lots.0,
                seq,
                at,
                contract: contract.0,
                bought: side == Side::Buy,
                role: match fill.liquidity {
                    Liquidity::Maker => 0,
                    Liquidity::Taker => 1,
                    Liquidity::Auction => 2,
                    Liquidity::Block => 3,
                },
            };
            self.push(account.0, &entry);
        }
    }

    fn push(&mut self, account: u32, entry: &FillEntry) {
        if self.pages.is_empty() {
            self.pages.push_back(Vec::new());
        }
        let Some(open) = self.pages.back_mut() else {
            return;
        };
        open.extend_from_slice(&entry.bytes());
        self.accounts.push_back(account);
        if open.len() == PAGE_BYTES {
            let page = page_node(self.frontier.pages, open);
            self.frontier.push(page);
            self.pages.push_back(Vec::new());
        }
        if self.pages.len() > PAGES_KEPT + 1
            && let Some(oldest) = self.pages.pop_front()
        {
            let page = page_node(self.base.pages, &oldest);
            self.base.push(page);
            self.accounts.drain(..PAGE_FILLS);
        }
    }

    /// Ends an epoch: the root over all fills up to now.
    pub(super) fn seal(&mut self) -> [u8; 32] {
        self.sealed = self.len();
        let last = self.frontier.pages;
        let mut node = match self.pages.back() {
            Some(open) if !open.is_empty() => page_node(last, &padded(open)),
            _ => Node::EMPTY,
        };
        for height in 0..DEPTH {
            node = match last >> height & 1 {
                1 => join(&self.frontier.roots[height], &node),
                _ => join(&node, &self.empty[height]),
            };
        }
        node.hash()
    }

    /// Proves the fill of an account in a trade against the root over the first `sealed` fills. Of the two
    /// sides of an account that traded with itself, or of the legs of a combination, `contract` picks one;
    /// 0 = the first. `None` if it is older than the pages at hand, or newer than that root.
    #[must_use]
    pub fn prove(
        &self,
        (account, trade, contract): (u32, u64, u32),
        sealed: u64,
    ) -> Option<FillProof> {
        // Behind a root that old everything at hand is new.
        if sealed > self.sealed || sealed < self.base.pages * PAGE_FILLS as u64 {
            return None;
        }
        let entries = self.pages.iter().flat_map(|page| page.chunks(FILL_BYTES));
        let mut all = entries.zip(&self.accounts);
        let place = all.position(|(bytes, whose)| {
            *whose == account
                && FillEntry::parse(bytes).is_some_and(|entry| {
                    entry.trade == trade && (contract == 0 || entry.contract == contract)
                })
        })?;
        let number = self.base.pages * PAGE_FILLS as u64 + place as u64;
        if number >= sealed {
            return None;
        }
        let page = number / PAGE_FILLS as u64;
        let siblings =
            std::array::from_fn(|height| self.node((height, page >> height ^ 1), sealed));
        Some(FillProof {
            page,
            bytes: self.page_at(page, sealed),
            offset: place % PAGE_FILLS * FILL_BYTES,
            siblings,
        })
    }

    /// A page at hand, as far as it was filled when the epoch ended.
    fn page_at(&self, page: u64, sealed: u64) -> Vec<u8> {
        let place = usize::try_from(page - self.base.pages).unwrap_or(usize::MAX);
        let sealed = sealed.saturating_sub(page * PAGE_FILLS as u64);
        let sealed = usize::try_from(sealed)
            .unwrap_or(usize::MAX)
            .min(PAGE_FILLS)
            * FILL_BYTES;
        let bytes = self.pages.get(place).map_or(&[][..], Vec::as_slice);
        padded(&bytes[..sealed.min(bytes.len())])
    }

    /// A node of the tree over the first `sealed` fills, at or beside the path of a page at hand.
    fn node(&self, (height, place): (usize, u64), sealed: u64) -> Plain {
        let first = place << height;
        let behind = first + (1 << height);
        if behind <= self.base.pages {
            // Left of a page at hand lies exactly the frontier of what is not at hand.
            return self.base.roots[height];
        }
        if first * PAGE_FILLS as u64 >= sealed {
            return self.empty[height];
        }
        if height == 0 {
            return page_node(place, &self.page_at(place, sealed));
        }
        let left = self.node((height - 1, 2 * place), sealed);
        join(&left, &self.node((height - 1, 2 * place + 1), sealed))
    }

    pub(super) fn save(&self) -> SavedFills {
        let open = self.pages.back().cloned().unwrap_or_default();
        let mine = open.len() / FILL_BYTES;
        SavedFills {
            pages: self.frontier.pages,
            roots: self.frontier.roots.iter().map(Node::hash).collect(),
            accounts: self
                .accounts
                .iter()
                .skip(self.accounts.len() - mine)
                .copied()
                .collect(),
            open,
            sealed: self.sealed,
        }
    }

    pub(super) fn load(saved: SavedFills) -> Result<Self, String> {
        let mut fills = Self::default();
        let whole = saved.open.len().is_multiple_of(FILL_BYTES) && saved.open.len() < PAGE_BYTES;
        if saved.roots.len() != DEPTH
            || !whole
            || saved.accounts.len() != saved.open.len() / FILL_BYTES
            || saved.pages >> DEPTH != 0
        {
            return Err("the fills' frontier is damaged".into());
        }
        fills.frontier.pages = saved.pages;
        for (root, bytes) in fills.frontier.roots.iter_mut().zip(&saved.roots) {
            *root = Node::new(keccak::digest_of(bytes), &[]);
        }
        fills.base = fills.frontier.clone();
        fills.pages = VecDeque::from([saved.open]);
        fills.accounts = saved.accounts.into();
        fills.sealed = saved.sealed;
        Ok(fills)
    }
}

/// A page with zeros where no fill is yet.
fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut page = bytes.to_vec();
    page.resize(PAGE_BYTES, 0);
    page
}

#[cfg(test)]
mod tests;
