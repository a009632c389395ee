//! What goes into a sample: each source's word, and whether it counts (INDEX-05).

use super::{Feed, Rounds, Seen};
use crate::{
    command::{Formula, SetMethod, Tip},
    event::{Input, Said, Standing},
    exchange::Exchange,
    ids::FeedId,
    index::{
        etchash, kheavyhash, median,
        median::Voice,
        price::{self, ITSELF, Leg},
        scrypt, sha256,
    },
    instrument::IndexKind,
    units::{Decimal, Nanos},
};

/// What the sources of an index come to at one moment.
pub(super) struct Sampled {
    /// In the method's exponent.
    pub(super) value: Option<Decimal>,
    /// Every source with weight contributes, and no checker disagrees.
    pub(super) whole: bool,
    pub(super) inputs: Vec<Input>,
}

impl Exchange {
    /// Values an index now; notes in its price feeds which sources are left out.
    pub(super) fn value_now(&mut self, method: &SetMethod) -> Sampled {
        let at = self.at;
        let mut sampled = Sampled {
            value: None,
            whole: true,
            inputs: Vec::new(),
        };
        let tips: Vec<Option<Tip>> = method
            .chains
            .iter()
            .map(|id| {
                self.feed(*id)
                    .and_then(|feed| feed.tip_now(*id, at, &mut sampled))
            })
            .collect();
        let mut prices = Vec::new();
        for id in &method.prices {
            let feed = self.feed_mut(*id);
            prices.push(feed.and_then(|feed| feed.price_now(*id, at, &mut sampled)));
        }
        let index = method.index.index().and_then(|at| self.indexes.get(at));
        let Some(index) = index else { return sampled };
        let commodity = index.details.commodity.index();
        let commodity = commodity.and_then(|at| self.commodities.get(at));
        let unit = commodity.map(|row| row.rate_unit_hashes_per_second.unsigned_abs());
        let fees = index.details.kind != IndexKind::Difficulty;
        let legs: Option<Vec<Leg>> = tips
            .into_iter()
            .enumerate()
            .map(|(place, tip)| {
                let price = match prices.get(place) {
                    Some(price) => (*price)?,
                    None => ITSELF,
                };
                leg(method.formula, place, &tip?, price, fees)
            })
            .collect();
        let stale = match method.formula {
            Formula::Scrypt { stale_ppm } => stale_ppm,
            _ => 0,
        };
        let value = legs
            .zip(unit)
            .and_then(|(legs, unit)| price::value(&legs, unit, stale, method.exponent));
        sampled.value = value.filter(|value| value.mantissa > 0);
        sampled
    }
}

/// One chain's part of a formula.
fn leg(formula: Formula, place: usize, tip: &Tip, price: Decimal, with_fees: bool) -> Option<Leg> {
    let fees = if with_fees { tip.fees } else { 0 };
    let narrow = u64::try_from(fees).ok()?;
    let next = tip.height.checked_add(1)?;
    match (formula, place) {
        (Formula::Submitted, _) => None,
        (Formula::Sha256, _) => {
            let whole = tip.blocks == sha256::FEE_BLOCKS;
            whole.then(|| sha256::leg(next, tip.bits, narrow, price))?
        }
        (Formula::Sha256Window, _) => {
            sha256::window(tip.height, tip.blocks, narrow, tip.work, price)
        }
        (Formula::Scrypt { .. }, 0) => scrypt::ltc_leg(next, tip.bits, tip.blocks, narrow, price),
        (Formula::Scrypt { .. }, _) => {
            scrypt::doge_leg(tip.height, tip.blocks, narrow, tip.work, price)
        }
        (Formula::KHeavyHash, _) => kheavyhash::leg(tip.daa, tip.work, price),
        (Formula::Etchash, _) => etchash::leg(tip.height, tip.blocks, fees, tip.work, price),
    }
    .filter(|leg| leg.work > 0)
}

fn said(seen: Seen) -> Said {
    match seen {
        Seen::Price(price) => Said::Price(price),
        Seen::Tip(tip) => Said::Tip {
            height: tip.height,
            hash: tip.hash.first_chunk().copied().unwrap_or_default(),
            bits: tip.bits,
            fees: tip.fees,
            work: tip.work,
        },
    }
}

impl Feed {
    /// The agreed chain, while it is confirmed.
    fn tip_now(&self, id: FeedId, at: Nanos, sampled: &mut Sampled) -> Option<Tip> {
        let agreed = self.agreed.filter(|agreed| self.is_fresh(agreed.at, at));
        let tip = agreed.map(|agreed| agreed.tip);
        for (place, source) in self.active() {
            let newest = source
                .newest
                .filter(|word| self.is_fresh(word.observed, at));
            let same = newest.map(|word| tip.map(Seen::Tip) == Some(word.said));
            // Behind or ahead by a block is a moment's difference; another block of that height is not.
            let fork = newest.is_some_and(|word| match (word.said, tip) {
                (Seen::Tip(other), Some(tip)) => other.height == tip.height && other != tip,
                _ => false,
            });
            let checker = source.details.weight == 0;
            let standing = match (newest.is_some(), same == Some(true), checker) {
                (false, ..) => Standing::Silent,
                (_, true, false) => Standing::Used,
                (_, true, true) => Standing::Checked,
                (_, false, false) => Standing::Excluded,
                (_, false, true) if fork => Standing::Disputed,
                (_, false, true) => Standing::Checked,
            };
            sampled.whole &= newest.is_some() && !fork;
            sampled.add(id, place, source.newest, standing);
        }
        tip
    }

    /// The median of what is fresh; leaves out and takes back as the rule says.
    fn price_now(&mut self, id: FeedId, at: Nanos, sampled: &mut Sampled) -> Option<Decimal> {
        let crate::command::FeedKind::Price { exponent } = self.details.kind else {
            return None;
        };
        let speaking: Vec<(usize, i64)> = self
            .active()
            .filter_map(|(place, source)| {
                let word = source
                    .newest
                    .filter(|word| self.is_fresh(word.observed, at))?;
                match word.said {
                    Seen::Price(value) => Some((place, value)),
                    Seen::Tip(_) => None,
                }
            })
            .collect();
        let mut voices: Vec<Voice> = speaking
            .iter()
            .map(|(place, value)| Voice {
                value: *value,
                weight: self.sources[*place].details.weight,
                excluded: self.sources[*place].excluded,
            })
            .collect();
        let settled = median::settle(&mut voices);
        let mut used = 0;
        for ((place, _), voice) in speaking.iter().zip(&voices) {
            self.sources[*place].excluded = voice.excluded;
            used += usize::from(voice.weight > 0 && !voice.excluded);
        }
        for (place, source) in self.active() {
            let speaks = speaking.iter().any(|(other, _)| *other == place);
            let checker = source.details.weight == 0;
            let standing = match (speaks, source.excluded, checker) {
                (false, ..) => Standing::Silent,
                (_, true, true) => Standing::Disputed,
                (_, true, false) => Standing::Excluded,
                (_, false, true) => Standing::Checked,
                (_, false, false) => Standing::Used,
            };
            sampled.whole &= speaks && !source.excluded;
            sampled.add(id, place, source.newest, standing);
        }
        let enough = used >= usize::from(self.details.agreeing);
        let mantissa = settled.filter(|_| enough)?;
        Some(Decimal { mantissa, exponent })
    }

    fn active(&self) -> impl Iterator<Item = (usize, &super::Source)> {
        let all = self.sources.iter().enumerate();
        all.filter(|(_, source)| source.details.active)
    }
}

impl Sampled {
    fn add(&mut self, feed: FeedId, place: usize, word: Option<super::Word>, standing: Standing) {
        self.inputs.push(Input {
            feed,
            source: u8::try_from(place).unwrap_or(u8::MAX),
            observed: word.map_or(Nanos::ZERO, |word| word.observed),
            said: word.map_or(Said::Nothing, |word| said(word.said)),
            standing,
        });
    }
}

impl Rounds {
    /// Version of the present method; 0 = none.
    pub(super) fn version(&self) -> u32 {
        self.method.as_ref().map_or(0, |method| method.version)
    }
}
