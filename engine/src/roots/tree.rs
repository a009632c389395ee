//! Dense, index-addressed Merkle trees whose nodes carry sums, and the ones without.
//!
//! A node hashes the hash **and** the sums of both its children, so that no subtree can hide a debt behind a
//! true total (ePrint 2018/1139). Every proof has 32 steps, whatever is in memory: what was never filled is an
//! empty subtree, whose hash is known. All of a pair fits one block of Keccak, and the tag stands last, so that
//! the words of the children lie in memory as they are hashed.
//!
//! ```text
//! node, S = 0, 1 or 2 sums:   left hash 32 | left sums 16 S | right hash 32 | right sums 16 S | tag
//! empty leaf:                 hash 32 zero bytes, sums 0
//! ```

use super::{
    keccak::{self, Block, Digest, Lanes, bytes_of, digest_of},
    past::Past,
};

/// Steps of every proof: 2^32 places.
pub const DEPTH: usize = 32;

/// Parents hashed in one go, so that no list of them all is needed.
const BATCH: usize = 1 << 10;

/// A node with `W / 2` sums. Its words lie as they are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<const W: usize> {
    hash: Digest,
    /// Each sum as two words of big-endian bytes.
    sums: [u64; W],
}

/// A node without sums.
pub type Plain = Node<0>;
/// A node with one sum: money.
pub type Sum = Node<2>;
/// A node with two sums: lots long and lots short.
pub type Pair = Node<4>;

impl<const W: usize> Node<W> {
    /// Of a place that nobody has.
    pub const EMPTY: Self = Self {
        hash: [0; 4],
        sums: [0; W],
    };

    /// A node of this hash and these sums; as many as it carries.
    ///
    /// # Panics
    /// If the number of sums is another.
    #[must_use]
    pub fn new(hash: Digest, sums: &[u128]) -> Self {
        assert_eq!(sums.len() * 2, W, "a node carries its number of sums");
        let mut words = [0; W];
        for (pair, sum) in words.chunks_exact_mut(2).zip(sums) {
            pair[0] = ((sum >> 64) as u64).swap_bytes();
            pair[1] = (*sum as u64).swap_bytes();
        }
        Self { hash, sums: words }
    }

    /// From the bytes of a proof: a hash, then sums of 16 bytes each. `None` if there are more or fewer.
    #[must_use]
    pub fn from_bytes(hash: &[u8], sums: &[u8]) -> Option<Self> {
        if sums.len() != W * 8 {
            return None;
        }
        let sums: Vec<u128> = sums
            .chunks_exact(16)
            .map(|bytes| u128::from_be_bytes(bytes.try_into().unwrap_or_default()))
            .collect();
        Some(Self::new(digest_of(hash.try_into().ok()?), &sums))
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        bytes_of(&self.hash)
    }

    /// One of its sums; 0 if it carries fewer.
    #[must_use]
    pub fn sum(&self, which: usize) -> u128 {
        let word = |at: usize| self.sums.get(at).map_or(0, |word| word.swap_bytes());
        (u128::from(word(2 * which)) << 64) | u128::from(word(2 * which + 1))
    }

    /// Its sums, 16 bytes each, as they are hashed.
    #[must_use]
    pub fn sum_bytes(&self) -> Vec<u8> {
        self.sums
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect()
    }

    /// The parent of two nodes; `None` if a sum does not fit 128 bits, which no honest tree has.
    #[must_use]
    pub fn parent(tag: u8, left: &Self, right: &Self) -> Option<Self> {
        let sums = Self::added(left, right)?;
        let hash = keccak::hash_block(&Self::block(tag, left, right));
        Some(Self { hash, sums })
    }

    fn added(left: &Self, right: &Self) -> Option<[u64; W]> {
        let mut sums = [0; W];
        for which in 0..W / 2 {
            let sum = left.sum(which).checked_add(right.sum(which))?;
            sums[2 * which] = ((sum >> 64) as u64).swap_bytes();
            sums[2 * which + 1] = (sum as u64).swap_bytes();
        }
        Some(sums)
    }

    /// What is hashed for a pair, padded.
    fn block(tag: u8, left: &Self, right: &Self) -> Block {
        let mut block: Block = [0; 17];
        let mut at = 0;
        for node in [left, right] {
            block[at..at + 4].copy_from_slice(&node.hash);
            block[at + 4..at + 4 + W].copy_from_slice(&node.sums);
            at += 4 + W;
        }
        // The tag, then the first byte of padding; the last one in byte 135.
        block[at] = u64::from(tag) | 1 << 8;
        block[16] |= 1 << 63;
        block
    }
}

/// Roots of empty subtrees by height, 0 to [`DEPTH`].
#[must_use]
pub fn empty_subtrees<const W: usize>(tag: u8) -> [Node<W>; DEPTH + 1] {
    let mut empty = [Node::EMPTY; DEPTH + 1];
    for height in 0..DEPTH {
        let below = empty[height];
        empty[height + 1] = Node::parent(tag, &below, &below).unwrap_or(Node::EMPTY);
    }
    empty
}

/// The root that a leaf and its siblings, bottom up, lead to; `None` if a sum does not fit 128 bits.
#[must_use]
pub fn climb<const W: usize>(
    tag: u8,
    index: u32,
    leaf: Node<W>,
    siblings: &[Node<W>; DEPTH],
) -> Option<Node<W>> {
    let mut node = leaf;
    for (height, sibling) in siblings.iter().enumerate() {
        node = match index >> height & 1 {
            0 => Node::parent(tag, &node, sibling)?,
            _ => Node::parent(tag, sibling, &node)?,
        };
    }
    Some(node)
}

/// A tree in memory: as many nodes as were filled, level by level.
#[derive(Clone, Debug)]
pub struct Tree<const W: usize> {
    tag: u8,
    lanes: Lanes,
    /// `levels[0]` are the leaves; each level has half as many as the one below it, rounded up, and the last
    /// has at most one.
    levels: Vec<Vec<Node<W>>>,
    empty: [Node<W>; DEPTH + 1],
    scratch: Vec<u32>,
    /// Nodes as they were at kept epochs, by [`key`].
    past: Past<Node<W>>,
    /// Kept epochs with the leaves there were.
    kept: Vec<(u64, usize)>,
}

/// A node's place in the tree as one number.
fn key(height: usize, place: u32) -> u64 {
    (height as u64) << 32 | u64::from(place)
}

impl<const W: usize> Tree<W> {
    /// Without a leaf.
    #[must_use]
    pub fn new(tag: u8, lanes: Lanes) -> Self {
        Self {
            tag,
            lanes,
            levels: vec![Vec::new()],
            empty: empty_subtrees(tag),
            scratch: Vec::new(),
            past: Past::default(),
            kept: Vec::new(),
        }
    }

    /// Leaves that there is a place for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.levels[0].len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes leaves, in the order of their indices (each at most once), and rehashes what is above them.
    /// Answers how many nodes were hashed.
    ///
    /// # Panics
    /// If the indices do not ascend, or a sum does not fit 128 bits: sums are liabilities, and each balance is
    /// below 2^63.
    pub fn update(&mut self, leaves: &[(u32, Node<W>)]) -> usize {
        assert!(
            leaves.is_sorted_by(|one, other| one.0 < other.0),
            "indices ascend"
        );
        if let Some((last, _)) = leaves.last() {
            self.grow(*last as usize + 1);
        }
        let mut places = std::mem::take(&mut self.scratch);
        places.clear();
        for (index, leaf) in leaves {
            let old = std::mem::replace(&mut self.levels[0][*index as usize], *leaf);
            if self.past.is_wanted() {
                self.past.note(key(0, *index), old);
            }
            places.push(*index);
        }
        let mut hashed = 0;
        for height in 0..self.levels.len() - 1 {
            for place in &mut places {
                *place >>= 1;
            }
            places.dedup();
            hashed += places.len();
            if self.past.is_wanted() {
                let above = &self.levels[height + 1];
                for place in &places {
                    let old = above[*place as usize];
                    self.past.note(key(height + 1, *place), old);
                }
            }
            for batch in places.chunks(BATCH) {
                self.rehash(height, batch);
            }
        }
        self.scratch = places;
        hashed
    }

    /// Makes room for so many leaves.
    fn grow(&mut self, leaves: usize) {
        if leaves <= self.len() {
            return;
        }
        self.levels[0].resize(leaves, Node::EMPTY);
        let mut height = 0;
        while self.levels[height].len() > 1 {
            let above = self.levels[height].len().div_ceil(2);
            if height + 1 == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let fresh = self.levels[height + 1].is_empty();
            self.levels[height + 1].resize(above, self.empty[height + 1]);
            if fresh {
                // What was the top until now hangs below it.
                self.rehash(height, &[0]);
            }
            height += 1;
        }
    }

    /// Hashes these nodes of the level above `height` again.
    fn rehash(&mut self, height: usize, places: &[u32]) {
        let (below, above) = self.levels.split_at_mut(height + 1);
        let (below, above) = (&below[height], &mut above[0]);
        let (tag, none) = (self.tag, self.empty[height]);
        let pair = |place: u32| {
            let left = 2 * place as usize;
            (&below[left], below.get(left + 1).unwrap_or(&none))
        };
        let block = |n: usize| {
            // The pair after next is far away: it is asked for now.
            if let Some(ahead) = places.get(n + 16) {
                crate::prefetch::prefetch_whole(&below[2 * *ahead as usize]);
            }
            let (left, right) = pair(places[n]);
            Node::block(tag, left, right)
        };
        keccak::hash_blocks(self.lanes, places.len(), block, |n, hash| {
            let (left, right) = pair(places[n]);
            let sums = Node::added(left, right);
            let sums = sums.expect("liabilities of all accounts fit 128 bits");
            above[places[n] as usize] = Node { hash, sums };
        });
    }

    /// A node, `height` levels above the leaves.
    #[must_use]
    pub fn node(&self, height: usize, place: u32) -> Node<W> {
        let top = self.levels.len() - 1;
        if place == 0 && height > top {
            let mut node = self.node(top, 0);
            for empty in &self.empty[top..height] {
                node = Node::parent(self.tag, &node, empty).unwrap_or(Node::EMPTY);
            }
            return node;
        }
        let level = self.levels.get(height);
        let node = level.and_then(|level| level.get(place as usize));
        node.copied().unwrap_or(self.empty[height])
    }

    /// The root, always 32 levels up.
    #[must_use]
    pub fn root(&self) -> Node<W> {
        self.node(DEPTH, 0)
    }

    /// The two nodes below the root.
    #[must_use]
    pub fn tops(&self) -> [Node<W>; 2] {
        [self.node(DEPTH - 1, 0), self.node(DEPTH - 1, 1)]
    }

    /// Siblings of a leaf, bottom up.
    #[must_use]
    pub fn siblings(&self, index: u32) -> [Node<W>; DEPTH] {
        std::array::from_fn(|height| self.node(height, index >> height ^ 1))
    }

    /// Keeps what the tree is now as this epoch; epochs come in their order.
    pub fn keep(&mut self, epoch: u64) {
        if !self.past.has(epoch) {
            self.kept.push((epoch, self.len()));
            self.past.keep(epoch);
        }
    }

    /// Lets a kept epoch go.
    pub fn drop(&mut self, epoch: u64) {
        self.kept.retain(|kept| kept.0 != epoch);
        self.past.drop(epoch);
    }

    /// Nodes remembered for kept epochs.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.past.len()
    }

    /// A node as it was at a kept epoch, at which there were so many leaves.
    fn node_at(&self, (epoch, leaves): (u64, usize), height: usize, place: u32) -> Node<W> {
        // Levels that there were: none above the first with one node.
        let top = leaves.next_power_of_two().trailing_zeros() as usize;
        if place == 0 && height > top {
            let mut node = self.node_at((epoch, leaves), top, 0);
            for empty in &self.empty[top..height] {
                node = Node::parent(self.tag, &node, empty).unwrap_or(Node::EMPTY);
            }
            return node;
        }
        // What was filled later was empty then, whatever was hashed of it since.
        if height > top || place as usize >= leaves.div_ceil(1 << height) {
            return self.empty[height];
        }
        let old = self.past.changed(epoch, key(height, place));
        old.copied().unwrap_or_else(|| self.node(height, place))
    }

    /// Siblings of a leaf as they were at a kept epoch; `None` if it is not kept.
    #[must_use]
    pub fn siblings_at(&self, epoch: u64, index: u32) -> Option<[Node<W>; DEPTH]> {
        let kept = *self.kept.iter().find(|kept| kept.0 == epoch)?;
        Some(std::array::from_fn(|height| {
            self.node_at(kept, height, index >> height ^ 1)
        }))
    }

    /// The root as it was at a kept epoch; `None` if it is not kept.
    #[must_use]
    pub fn root_at(&self, epoch: u64) -> Option<Node<W>> {
        let kept = *self.kept.iter().find(|kept| kept.0 == epoch)?;
        Some(self.node_at(kept, DEPTH, 0))
    }
}

#[cfg(test)]
mod tests;
