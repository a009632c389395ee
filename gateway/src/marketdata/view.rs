//! A book rebuilt from levels, and what a client who asked for its best N levels has been told of it.
//!
//! [`View::changes`] is the one way to tell: what it answers turns the client's levels into the real
//! best N, whatever entered or left them meanwhile.

use std::collections::BTreeMap;

use engine::command::Side;
use proto::marketdata::v1 as wire;

/// Levels per side that the digest covers.
const DIGEST_LEVELS: usize = 25;

/// What stands at a price; [`GONE`] if nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Sum of open lots.
    pub lots: i64,
    /// Orders.
    pub orders: u32,
}

/// No level.
pub const GONE: Level = Level { lots: 0, orders: 0 };

/// Where a price stands on its side; the best is the lowest.
type Rank = i64;

/// One side.
#[derive(Clone, Debug)]
struct Half {
    side: Side,
    levels: BTreeMap<Rank, Level>,
    /// With a limit: what the client has, best first.
    told: Vec<(Rank, Level)>,
    /// With a limit: something may have changed within it.
    dirty: bool,
    /// Without a limit: ranks that changed, with what the client has there.
    touched: BTreeMap<Rank, Level>,
}

impl Half {
    fn new(side: Side) -> Self {
        Self {
            side,
            levels: BTreeMap::new(),
            told: Vec::new(),
            dirty: false,
            touched: BTreeMap::new(),
        }
    }

    /// Best first means ascending on both sides. Prices are far from the ends of the integer.
    fn rank(&self, price: i64) -> Rank {
        match self.side {
            Side::Buy => price.saturating_neg(),
            Side::Sell => price,
        }
    }

    fn wire(&self, (rank, level): (Rank, Level)) -> wire::PriceLevel {
        wire::PriceLevel {
            price_ticks: self.rank(rank),
            lots: level.lots,
            order_count: i32::try_from(level.orders).unwrap_or(i32::MAX),
        }
    }

    fn set(&mut self, limit: usize, price: i64, level: Level) {
        let rank = self.rank(price);
        let before = if level.lots == 0 {
            self.levels.remove(&rank)
        } else {
            self.levels.insert(rank, level)
        };
        if limit == usize::MAX {
            self.touched
                .entry(rank)
                .or_insert(before.unwrap_or_default());
            return;
        }
        // Beyond the last of N levels told, nothing shows until one of those leaves.
        let worst = self.told.last().filter(|_| self.told.len() >= limit);
        self.dirty |= worst.is_none_or(|(worst, _)| rank <= *worst);
    }

    fn best(&self, limit: usize) -> impl Iterator<Item = (Rank, Level)> + '_ {
        self.levels
            .iter()
            .take(limit)
            .map(|(rank, level)| (*rank, *level))
    }

    fn changes(&mut self, limit: usize) -> Vec<wire::PriceLevel> {
        let changed: Vec<(Rank, Level)> = if limit == usize::MAX {
            let touched = std::mem::take(&mut self.touched);
            let now = |rank: Rank| self.levels.get(&rank).copied().unwrap_or(GONE);
            touched
                .into_iter()
                .map(|(rank, told)| (rank, told, now(rank)))
                .filter(|(_, told, now)| told != now)
                .map(|(rank, _, now)| (rank, now))
                .collect()
        } else if std::mem::take(&mut self.dirty) {
            let now: Vec<(Rank, Level)> = self.best(limit).collect();
            let changed = difference(&self.told, &now);
            self.told = now;
            changed
        } else {
            Vec::new()
        };
        changed.into_iter().map(|level| self.wire(level)).collect()
    }

    fn snapshot(&mut self, limit: usize) -> Vec<wire::PriceLevel> {
        self.touched.clear();
        self.dirty = false;
        let now: Vec<(Rank, Level)> = self.best(limit).collect();
        let shown = now.iter().map(|level| self.wire(*level)).collect();
        if limit != usize::MAX {
            self.told = now;
        }
        shown
    }
}

/// What turns one list of levels into another; both ascend by rank.
fn difference(old: &[(Rank, Level)], new: &[(Rank, Level)]) -> Vec<(Rank, Level)> {
    let (mut changed, mut at) = (Vec::new(), 0);
    for (rank, level) in new {
        while let Some((left, _)) = old.get(at).filter(|(left, _)| left < rank) {
            changed.push((*left, GONE));
            at += 1;
        }
        match old.get(at).filter(|(same, _)| same == rank) {
            Some((_, told)) => {
                at += 1;
                if told != level {
                    changed.push((*rank, *level));
                }
            }
            None => changed.push((*rank, *level)),
        }
    }
    changed.extend(old.iter().skip(at).map(|(left, _)| (*left, GONE)));
    changed
}

/// Both sides of one contract.
#[derive(Clone, Debug)]
pub struct View {
    limit: usize,
    bids: Half,
    asks: Half,
}

impl View {
    /// An empty book, seen through its best `limit` levels; 0 = all.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit: if limit == 0 { usize::MAX } else { limit },
            bids: Half::new(Side::Buy),
            asks: Half::new(Side::Sell),
        }
    }

    /// What stands at a price from now on; nothing if its lots are 0.
    pub fn set(&mut self, side: Side, price: i64, level: Level) {
        let half = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        half.set(self.limit, price, level);
    }

    /// What the client must hear to have the best levels of now; `None` if it has them.
    pub fn changes(&mut self) -> Option<wire::DepthDelta> {
        let bids = self.bids.changes(self.limit);
        let asks = self.asks.changes(self.limit);
        if bids.is_empty() && asks.is_empty() {
            return None;
        }
        let digest = self.digest();
        Some(wire::DepthDelta { bids, asks, digest })
    }

    /// Everything within the limit; the client has it from here on.
    pub fn snapshot(&mut self) -> wire::BookSnapshot {
        wire::BookSnapshot {
            bids: self.bids.snapshot(self.limit),
            asks: self.asks.snapshot(self.limit),
            digest: self.digest(),
        }
    }

    /// Best prices.
    #[must_use]
    pub fn bbo(&self) -> wire::Bbo {
        let first = |half: &Half| half.best(1).next().map(|level| half.wire(level));
        let (bid, ask) = (first(&self.bids), first(&self.asks));
        wire::Bbo {
            bid_ticks: bid.map(|bid| bid.price_ticks),
            bid_lots: bid.map_or(0, |bid| bid.lots),
            ask_ticks: ask.map(|ask| ask.price_ticks),
            ask_lots: ask.map_or(0, |ask| ask.lots),
        }
    }

    /// CRC-32C over the best 25 bids, then asks (fewer if the limit is lower), best first: price and lots
    /// as little-endian 64-bit integers.
    #[must_use]
    pub fn digest(&self) -> u32 {
        let mut bytes = [0_u8; DIGEST_LEVELS * 2 * 16];
        let levels = self.limit.min(DIGEST_LEVELS);
        let halves = [&self.bids, &self.asks];
        let rows = halves.iter().flat_map(|half| {
            half.best(levels)
                .map(|(rank, level)| (half.rank(rank), level))
        });
        let mut length = 0;
        for (cell, (price, level)) in bytes.chunks_exact_mut(16).zip(rows) {
            let (left, right) = cell.split_at_mut(8);
            left.copy_from_slice(&price.to_le_bytes());
            right.copy_from_slice(&level.lots.to_le_bytes());
            length += 16;
        }
        crc32c::crc32c(bytes.get(..length).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
