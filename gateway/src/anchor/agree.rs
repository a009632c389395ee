//! Several endpoints of one chain that must tell one story.
//!
//! Endpoints lie, lag and fork. Anything that is believed is told by at least so many of them, about the
//! same block hash, and contradicted by none. Lagging is no lie: everybody is asked about a block that the
//! slowest of them has. A contradiction is an error of its own, because a person must look.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use revm::primitives::{Address, B256};

use super::chain::{At, Block, Call, Chain, ChainError, Log, Reading, Receipt, Sent};

/// The endpoints together, as one chain.
#[derive(Debug)]
pub struct Agreeing {
    endpoints: Vec<Arc<dyn Chain>>,
    needed: usize,
}

/// Answers, each with the place of its endpoint.
type Told<T> = Vec<(usize, T)>;

impl Agreeing {
    /// So many of the endpoints must answer; of those that do, all must agree.
    ///
    /// # Panics
    /// If there are fewer endpoints than must answer, or none must.
    #[must_use]
    pub fn new(endpoints: Vec<Arc<dyn Chain>>, needed: usize) -> Self {
        assert!(
            needed > 0 && needed <= endpoints.len(),
            "settings checked it"
        );
        Self { endpoints, needed }
    }

    /// What those say that answer, if they are enough.
    fn ask<T>(
        &self,
        question: impl Fn(&dyn Chain) -> Result<T, ChainError>,
    ) -> Result<Told<T>, ChainError> {
        let mut told = Vec::new();
        let mut silent = Vec::new();
        for (place, endpoint) in self.endpoints.iter().enumerate() {
            match question(&**endpoint) {
                Ok(answer) => told.push((place, answer)),
                // Nonsense is not absence: who talks it may not be counted out quietly.
                Err(error @ ChainError::Nonsense { .. }) => return Err(error),
                Err(error) => silent.push(error.to_string()),
            }
        }
        if told.len() < self.needed {
            return Err(ChainError::TooFew {
                answering: told.len(),
                needed: self.needed,
                why: silent.join("; "),
            });
        }
        Ok(told)
    }

    /// What all say.
    fn same<T: PartialEq + Debug>(
        &self,
        what: &str,
        question: impl Fn(&dyn Chain) -> Result<T, ChainError>,
    ) -> Result<T, ChainError> {
        self.agreed(what, self.ask(question)?)
    }

    /// The block that everybody can be asked about.
    fn common(&self, at: At) -> Result<Block, ChainError> {
        if let At::Number(number) = at {
            return self.same(&format!("block {number}"), |chain| {
                chain.block(At::Number(number))
            });
        }
        let heads = self.ask(|chain| chain.block(at))?;
        let lowest = heads
            .iter()
            .map(|(_, block)| block.number)
            .min()
            .unwrap_or_default();
        let mut told = Vec::new();
        for (place, block) in heads {
            let block = match self.endpoints.get(place) {
                Some(endpoint) if block.number > lowest => endpoint.block(At::Number(lowest))?,
                _ => block,
            };
            told.push((place, block));
        }
        self.agreed(&format!("block {lowest}"), told)
    }

    /// The one answer of all.
    fn agreed<T: PartialEq + Debug>(&self, what: &str, told: Told<T>) -> Result<T, ChainError> {
        let name = |place: usize| {
            self.endpoints
                .get(place)
                .map_or_else(String::new, |endpoint| endpoint.name())
        };
        let mut told = told.into_iter();
        let Some((one, first)) = told.next() else {
            return Err(ChainError::TooFew {
                answering: 0,
                needed: self.needed,
                why: "nobody was asked".into(),
            });
        };
        for (other, second) in told {
            if second != first {
                let short = |value: &T| format!("{value:?}").chars().take(400).collect::<String>();
                return Err(ChainError::Disagree {
                    what: what.into(),
                    one: name(one),
                    first: short(&first),
                    other: name(other),
                    second: short(&second),
                });
            }
        }
        Ok(first)
    }
}

impl Chain for Agreeing {
    fn name(&self) -> String {
        let names: Vec<String> = self
            .endpoints
            .iter()
            .map(|endpoint| endpoint.name())
            .collect();
        names.join(" and ")
    }

    fn chain_id(&self) -> Result<u64, ChainError> {
        self.same("the chain id", |chain| chain.chain_id())
    }

    fn block(&self, at: At) -> Result<Block, ChainError> {
        self.common(at)
    }

    fn code_hash(&self, contract: Address) -> Result<B256, ChainError> {
        self.same("the contract's code", |chain| chain.code_hash(contract))
    }

    fn read(&self, at: At, account: Address, calls: &[Call]) -> Result<Reading, ChainError> {
        let block = self.common(at)?;
        let what = format!("the state of block {}", block.number);
        let reading = self.same(&what, |chain| {
            let mut reading = chain.read(At::Number(block.number), account, calls)?;
            // A node may word its refusal as it likes.
            for answer in &mut reading.answers {
                if let super::chain::Answer::Reverted(_, words) = answer {
                    *words = "execution reverted".into();
                }
            }
            Ok(reading)
        })?;
        if reading.block != block {
            return Err(ChainError::Missing {
                endpoint: self.name(),
                what: format!(
                    "one story of block {}: it changed while it was read",
                    block.number
                ),
            });
        }
        Ok(reading)
    }

    fn logs(
        &self,
        contract: Address,
        event: B256,
        from: u64,
        to: u64,
    ) -> Result<Vec<Log>, ChainError> {
        let what = format!("the logs of blocks {from} to {to}");
        self.same(&what, |chain| chain.logs(contract, event, from, to))
    }

    /// The dearest that anybody names: too cheap is stuck, too dear is capped.
    fn gas_price(&self) -> Result<u128, ChainError> {
        let told = self.ask(|chain| chain.gas_price())?;
        Ok(told
            .into_iter()
            .map(|(_, price)| price)
            .max()
            .unwrap_or_default())
    }

    /// To all of them; one that takes it is enough.
    fn send(&self, raw: &[u8]) -> Result<Sent, ChainError> {
        let mut best: Option<Sent> = None;
        let mut silent = Vec::new();
        for endpoint in &self.endpoints {
            match endpoint.send(raw) {
                Ok(sent) => {
                    let better = |old: &Sent| rank(&sent) < rank(old);
                    if best.as_ref().is_none_or(better) {
                        best = Some(sent);
                    }
                }
                Err(error) => silent.push(error.to_string()),
            }
        }
        best.ok_or_else(|| ChainError::TooFew {
            answering: 0,
            needed: 1,
            why: silent.join("; "),
        })
    }

    /// The one that enough of them tell; it only informs.
    fn receipt(&self, transaction: B256) -> Result<Option<Receipt>, ChainError> {
        let told = self.ask(|chain| chain.receipt(transaction))?;
        let mut counts: BTreeMap<String, (usize, Receipt)> = BTreeMap::new();
        for receipt in told.into_iter().filter_map(|(_, receipt)| receipt) {
            counts
                .entry(format!("{receipt:?}"))
                .or_insert((0, receipt))
                .0 += 1;
        }
        Ok(counts
            .into_values()
            .find(|(count, _)| *count >= self.needed)
            .map(|(_, receipt)| receipt))
    }
}

fn rank(sent: &Sent) -> u8 {
    match sent {
        Sent::Accepted => 0,
        Sent::Known => 1,
        Sent::NonceTooLow => 2,
        Sent::Underpriced => 3,
        Sent::NoFunds => 4,
        Sent::Refused(_) => 5,
    }
}
