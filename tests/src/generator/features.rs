//! Which of the newer features a stream uses.
//!
//! `HASHPIT_MODEL_FEATURES=icebergs,stops` switches on these alone, `none` none of them; without the
//! variable all are on. The names are those of [`Features::NAMES`].

/// Features that can be left out of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the name of each field is its meaning")]
#[allow(clippy::struct_excessive_bools, reason = "a set of switches")]
pub struct Features {
    pub icebergs: bool,
    pub min_fill: bool,
    pub stops: bool,
    pub pegs: bool,
    pub batches: bool,
    pub switches: bool,
    pub protection: bool,
    pub quotes: bool,
    pub auctions: bool,
    pub volatility: bool,
    pub combinations: bool,
    pub margins: bool,
}

impl Features {
    /// All of them.
    pub const ALL: Self = Self::of(true);
    /// None of them.
    pub const NONE: Self = Self::of(false);
    /// Their names, in the order in which they build on each other.
    pub const NAMES: [&str; 12] = [
        "icebergs",
        "min_fill",
        "stops",
        "pegs",
        "batches",
        "switches",
        "protection",
        "quotes",
        "auctions",
        "volatility",
        "combinations",
        "margins",
    ];

    const fn of(on: bool) -> Self {
        Self {
            icebergs: on,
            min_fill: on,
            stops: on,
            pegs: on,
            batches: on,
            switches: on,
            protection: on,
            quotes: on,
            auctions: on,
            volatility: on,
            combinations: on,
            margins: on,
        }
    }

    fn switch(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "icebergs" => &mut self.icebergs,
            "min_fill" => &mut self.min_fill,
            "stops" => &mut self.stops,
            "pegs" => &mut self.pegs,
            "batches" => &mut self.batches,
            "switches" => &mut self.switches,
            "protection" => &mut self.protection,
            "quotes" => &mut self.quotes,
            "auctions" => &mut self.auctions,
            "volatility" => &mut self.volatility,
            "combinations" => &mut self.combinations,
            "margins" => &mut self.margins,
            _ => return None,
        })
    }

    /// Whether a feature is on.
    #[must_use]
    pub fn has(mut self, name: &str) -> bool {
        self.switch(name).is_some_and(|on| *on)
    }

    /// From names with commas between them; `all` and `none` are names too. Quotes bring protection
    /// groups with them.
    ///
    /// # Errors
    /// A name that is none.
    pub fn from_names(names: &str) -> Result<Self, String> {
        let mut features = Self::NONE;
        for name in names.split(',').map(str::trim) {
            match (name, features.switch(name)) {
                ("all", _) => features = Self::ALL,
                ("none" | "", _) => {}
                (_, Some(on)) => *on = true,
                (_, None) => return Err(format!("no feature {name:?}: {:?}", Self::NAMES)),
            }
        }
        features.protection |= features.quotes;
        Ok(features)
    }

    /// From the environment.
    ///
    /// # Panics
    /// If a name there is none.
    #[must_use]
    pub fn from_environment() -> Self {
        match std::env::var("HASHPIT_MODEL_FEATURES") {
            Ok(names) => Self::from_names(&names).unwrap_or_else(|wrong| panic!("{wrong}")),
            Err(_) => Self::ALL,
        }
    }

    /// The names of those that are on.
    #[must_use]
    pub fn names(self) -> String {
        let on: Vec<&str> = Self::NAMES
            .into_iter()
            .filter(|name| self.has(name))
            .collect();
        match on.is_empty() {
            true => "none".into(),
            false => on.join(","),
        }
    }
}
