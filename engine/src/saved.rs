//! A whole state as bytes: sections in a fixed order, each with its name and how many items follow.
//!
//! ```text
//!   "HPST"  version        then for each section
//!   [ 4 ]   [ u32 ]        [ tag 4 ] [ count u64 ] item item item ...        last: "end " 0
//! ```
//!
//! Items are encoded as in the journal and go out through one small buffer, so that saving needs no
//! second copy of anything. Every state has exactly one encoding: what is looked up by a hash or lies
//! somewhere by chance is written in an order that follows from its meaning, or not at all if it
//! follows from the rest. Loading believes no number: tables grow with the items that are really there,
//! and whatever is used as an index later is checked now.

use std::io;

use bincode::{Decode, Encode, error::DecodeError};

/// Moves with every change of what a section holds, of the order of sections, or of an item's bytes.
pub const VERSION: u32 = 6;

/// First bytes of a saved state.
const MAGIC: [u8; 4] = *b"HPST";
/// Largest encoding of one item. It came in with one command, and records are bounded alike.
const ITEM_BYTES: usize = 1 << 20;
/// Bytes written or read at a time.
const CHUNK: usize = 1 << 16;

/// Declares the sections in the order in which they are written.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident = $tag:literal, $words:literal;)*) => {
        /// A part of the state.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Section {
            $($(#[$doc])* $name,)*
        }

        impl Section {
            /// The bytes it begins with.
            fn tag(self) -> [u8; 4] {
                match self {
                    $(Self::$name => *$tag,)*
                }
            }

            /// For people.
            fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)*
                }
            }
        }
    };
}

sections! {
    /// Sequence number, time, counters, the switch of all.
    Counters = b"cntr", "counters";
    Assets = b"asst", "assets";
    Commodities = b"comm", "commodities";
    Indexes = b"indx", "indexes";
    Products = b"prod", "products";
    Firms = b"firm", "firms";
    Keys = b"keys", "keys";
    Accounts = b"acct", "accounts";
    Sessions = b"sess", "sessions";
    Transfers = b"tran", "transfers";
    /// Administrative request ids, oldest first.
    Requests = b"rqid", "request ids";
    Instruments = b"inst", "contracts";
    /// Which combinations a contract is a leg of.
    Links = b"link", "combinations";
    Windows = b"wndw", "volatility windows";
    Auctions = b"auct", "auctions";
    /// Contracts in a call.
    Calls = b"call", "calls";
    /// Cancels put off until the end of a call.
    Deferred = b"dfrd", "deferred cancels";
    Positions = b"pstn", "positions";
    Balances = b"blnc", "balances";
    Flows = b"flow", "flows";
    /// Every slot, ended orders included.
    Orders = b"ordr", "orders";
    /// Slots of ended orders, oldest first.
    Ended = b"ende", "ended orders";
    /// Resting orders in matching order, with what they show.
    Books = b"book", "books";
    Stops = b"stop", "stops";
    Pegs = b"pegs", "pegged orders";
    /// Orders that wait for a call.
    AtAuction = b"atau", "at-auction orders";
    Groups = b"mmpg", "protection groups";
    GroupFills = b"mmpf", "fills of protection groups";
    GroupQuotes = b"mmpq", "quotes of protection groups";
    /// Commodities whose blocks are delivered.
    DeliveryRules = b"dlru", "delivery rules";
    Meters = b"metr", "meters";
    Attestations = b"atst", "attestations";
    Suspensions = b"susp", "suspensions of delivery";
    Destinations = b"dest", "destinations";
    Obligations = b"oblg", "obligations";
    Disputes = b"disp", "disputes";
    /// What delivered blocks traded.
    BlockTrades = b"bktr", "trades of blocks";
    ClientIds = b"clid", "client order ids";
    Timers = b"timr", "timers";
    /// Default terms, accounts in trouble, offers.
    Defaults = b"dflt", "defaults";
    /// What is observed, its sources and their newest words.
    Feeds = b"feed", "feeds";
    /// Methods, sources and rounds of indexes.
    Rounds = b"rnds", "rounds of indexes";
    Epochs = b"epch", "epochs";
    /// Addresses that may leave with balances, by account.
    Owners = b"ownr", "owners";
    /// Withdrawals that left the books, in order.
    Issued = b"issd", "issued withdrawals";
    /// How far deposits on the chain are credited.
    ChainDeposits = b"chdp", "deposits on the chain";
    /// Requests to leave, filed on the chain, by number.
    Exits = b"exit", "exit requests";
    /// Margin of families of forwards.
    Margins = b"mrgn", "margin methods";
    /// How many block trades were reported.
    Reports = b"rprt", "number of reports";
    OffBook = b"offb", "reported block trades";
    /// How many requests and quotes there were.
    RfqCounts = b"rfqn", "number of requests for quote";
    Rfqs = b"rfqs", "requests for quote";
    End = b"end ", "end";
}

/// Why bytes are not a state.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes could not be read.
    #[error("a saved state cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("no saved state: it begins with {found:02x?}, not with {MAGIC:02x?}")]
    Foreign {
        /// First bytes.
        found: [u8; 4],
    },
    /// It was saved by another version of this program.
    #[error("the saved state has version {found}, this program reads version {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// Its bytes make no state.
    #[error("the saved state is damaged: {section}, item {item}: {what}")]
    Damaged {
        /// Section, in words.
        section: &'static str,
        /// Which item of the section, from 1; 0 = the section itself.
        item: u64,
        /// What is wrong.
        what: String,
    },
}

/// Writes a state.
pub(crate) struct Saver<'a> {
    out: &'a mut dyn io::Write,
    buffer: Vec<u8>,
    section: Section,
    left: usize,
}

impl<'a> Saver<'a> {
    pub(crate) fn begin(out: &'a mut dyn io::Write) -> Self {
        let mut buffer = Vec::with_capacity(2 * CHUNK);
        buffer.extend_from_slice(&MAGIC);
        buffer.extend_from_slice(&VERSION.to_le_bytes());
        Self {
            out,
            buffer,
            section: Section::Counters,
            left: 0,
        }
    }

    /// Begins a section of so many items.
    pub(crate) fn section(&mut self, section: Section, items: usize) -> io::Result<()> {
        if self.left != 0 {
            let (words, left) = (self.section.words(), self.left);
            let short = format!("{words}: {left} items fewer than counted");
            return Err(io::Error::other(short));
        }
        (self.section, self.left) = (section, items);
        self.buffer.extend_from_slice(&section.tag());
        crate::record::append(&(items as u64), &mut self.buffer);
        Ok(())
    }

    /// Adds an item.
    pub(crate) fn item<T: Encode>(&mut self, item: &T) -> io::Result<()> {
        let words = self.section.words();
        let Some(left) = self.left.checked_sub(1) else {
            return Err(io::Error::other(format!(
                "{words}: more items than counted"
            )));
        };
        self.left = left;
        let before = self.buffer.len();
        crate::record::append(item, &mut self.buffer);
        let bytes = self.buffer.len() - before;
        if bytes > ITEM_BYTES {
            let large =
                format!("{words}: an item of {bytes} bytes, at most {ITEM_BYTES} can be read");
            return Err(io::Error::other(large));
        }
        if self.buffer.len() >= CHUNK {
            self.out.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// A whole section.
    pub(crate) fn items<T: Encode>(
        &mut self,
        section: Section,
        items: impl ExactSizeIterator<Item = T>,
    ) -> io::Result<()> {
        self.section(section, items.len())?;
        for item in items {
            self.item(&item)?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.section(Section::End, 0)?;
        self.out.write_all(&self.buffer)
    }
}

/// Reads a state, to the end of its bytes.
pub(crate) struct Loader<'a> {
    from: &'a mut dyn io::Read,
    /// Bytes read and not used yet: from `at` on.
    buffer: Vec<u8>,
    at: usize,
    /// Nothing comes any more.
    dry: bool,
    section: Section,
    item: u64,
}

impl<'a> Loader<'a> {
    pub(crate) fn begin(from: &'a mut dyn io::Read) -> Result<Self, LoadError> {
        let mut loader = Self {
            from,
            buffer: Vec::new(),
            at: 0,
            dry: false,
            section: Section::Counters,
            item: 0,
        };
        let found = loader.next()?;
        if found != MAGIC {
            return Err(LoadError::Foreign { found });
        }
        let found = loader.next()?;
        if found != VERSION {
            return Err(LoadError::Version { found });
        }
        Ok(loader)
    }

    /// Begins a section; how many items it says it has, none of which need be there.
    fn section(&mut self, section: Section, most: usize) -> Result<u64, LoadError> {
        (self.section, self.item) = (section, 0);
        let tag: [u8; 4] = self.next()?;
        if tag != section.tag() {
            let (found, want) = (tag.escape_ascii(), section.tag());
            let want = want.escape_ascii();
            return Err(self.damaged(format!("it begins with '{found}', not with '{want}'")));
        }
        let count: u64 = self.next()?;
        if count > most as u64 {
            return Err(self.damaged(format!("{count} items, at most {most} are possible")));
        }
        Ok(count)
    }

    /// Hands on each item of a section.
    pub(crate) fn each<T: Decode<()>>(
        &mut self,
        section: Section,
        most: usize,
        mut take: impl FnMut(T) -> Result<(), String>,
    ) -> Result<(), LoadError> {
        let count = self.section(section, most)?;
        while self.item < count {
            self.item += 1;
            let item = self.next()?;
            take(item).map_err(|what| self.damaged(what))?;
        }
        Ok(())
    }

    /// All items of a section, each checked with its place.
    pub(crate) fn table<T: Decode<()>>(
        &mut self,
        section: Section,
        most: usize,
        check: impl Fn(usize, &T) -> bool,
    ) -> Result<Vec<T>, LoadError> {
        let mut table = Vec::new();
        self.each(section, most, |row| {
            if !check(table.len(), &row) {
                return Err("it names what is not there, or itself wrongly".into());
            }
            table.push(row);
            Ok(())
        })?;
        Ok(table)
    }

    /// The one item of a section.
    pub(crate) fn one<T: Decode<()>>(&mut self, section: Section) -> Result<T, LoadError> {
        match self.section(section, 1)? {
            1 => self.next(),
            _ => Err(self.damaged("it is empty".into())),
        }
    }

    /// Nothing may follow.
    pub(crate) fn end(mut self) -> Result<(), LoadError> {
        self.section(Section::End, 0)?;
        while !self.dry && self.at == self.buffer.len() {
            self.fill()?;
        }
        if self.at < self.buffer.len() {
            return Err(self.damaged("bytes come after it".into()));
        }
        Ok(())
    }

    /// An error in the present section.
    pub(crate) fn damaged(&self, what: String) -> LoadError {
        LoadError::Damaged {
            section: self.section.words(),
            item: self.item,
            what,
        }
    }

    /// The next value.
    fn next<T: Decode<()>>(&mut self) -> Result<T, LoadError> {
        let config = crate::exchange::encoding().with_limit::<ITEM_BYTES>();
        loop {
            let bytes = &self.buffer[self.at..];
            match bincode::decode_from_slice(bytes, config) {
                Ok((value, used)) => {
                    self.at += used;
                    return Ok(value);
                }
                Err(DecodeError::UnexpectedEnd { .. }) if !self.dry && bytes.len() < ITEM_BYTES => {
                    self.fill()?;
                }
                Err(DecodeError::UnexpectedEnd { .. }) if self.dry => {
                    return Err(self.damaged("the bytes end here".into()));
                }
                Err(error) => return Err(self.damaged(error.to_string())),
            }
        }
    }

    /// Reads a chunk more.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let used = self.buffer.len();
        self.buffer.resize(used + CHUNK, 0);
        let mut filled = used;
        while filled < self.buffer.len() && !self.dry {
            match self.from.read(&mut self.buffer[filled..]) {
                Ok(read) => {
                    filled += read;
                    self.dry = read == 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }
}
