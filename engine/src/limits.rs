//! Every bound of the engine, next to the others.

/// Resting and recently ended orders together, over all contracts.
pub const ORDERS: usize = 1 << 21;
/// An ended order stays readable until this many others have ended.
pub const ENDED_ORDERS_KEPT: usize = 1 << 16;
/// Client order ids remembered of one account; its oldest ended ones go first.
pub const CLIENT_IDS_PER_ACCOUNT: usize = 1_000_000;
/// Client order ids remembered over the whole exchange; beyond, an account pushes out its own.
pub const CLIENT_IDS: usize = 1 << 24;
/// Client order ids that there is room for before the first one comes.
pub const CLIENT_IDS_ROOM: usize = 1 << 18;
/// Orders that there is memory for before the first one comes, ended ones included.
pub const ORDERS_ROOM: usize = 1 << 17;
/// Client order ids are remembered at most this long after use, in nanoseconds (24 hours).
pub const CLIENT_ID_LIFE: i64 = crate::units::DAY;
/// Administrative request ids remembered over the whole exchange.
pub const REQUEST_IDS: usize = 1 << 16;
/// Accounts, including the venue's own.
pub const ACCOUNTS: usize = 1 << 20;
/// Contracts ever listed.
pub const INSTRUMENTS: usize = 1 << 16;
/// Assets; small, because balances are a dense row per account.
pub const ASSETS: usize = 64;
/// Commodities, indexes, products, firms and keys each.
pub const REFERENCE_ROWS: usize = 1 << 16;
/// Sessions ever named.
pub const SESSIONS: usize = 1 << 16;
/// Sessions of one account.
pub const SESSIONS_PER_ACCOUNT: usize = 16;
/// Pending withdrawals and deposits remembered.
pub const TRANSFERS: usize = 1 << 20;
/// Reported block trades of an account that are remembered: those of the last day.
pub const BLOCKS_OF_AN_ACCOUNT: usize = 256;
/// Requests for quote of an account that are remembered: those of the last day.
pub const RFQS_OF_AN_ACCOUNT: usize = 256;
/// Of them, open at once.
pub const RFQS_OPEN: usize = 16;
/// Legs of a package.
pub const RFQ_LEGS: usize = 8;
/// Lots of one leg per lot of a package.
pub const RFQ_RATIO: i64 = 100;
/// Firms that one request asks by name.
pub const RFQ_MAKERS: usize = 64;
/// Quotes of one account on one request, replaced ones counted.
pub const RFQ_QUOTES_OF_A_MAKER: usize = 64;
/// Quotes that one acceptance looks at, so that what it does is bounded.
pub const RFQ_LOOKS: usize = 64;
/// Acceptances of one request.
pub const RFQ_ACCEPTS: usize = 64;
/// Largest price, in ticks, either sign.
pub const PRICE_TICKS: i64 = 1_000_000_000_000;
/// Largest mark, in ticks: far below the largest price, so that a band always fits.
pub const MARK_TICKS: i64 = PRICE_TICKS / 16;
/// A book's best level counts for the mark from this many smallest orders on.
pub const MARK_LOTS: i64 = 5;
/// Withdrawals of one account that wait for a decision.
pub const PENDING_WITHDRAWALS: usize = 100;
/// Accounts that one key may be limited to.
pub const KEY_ACCOUNTS: usize = 1_024;
/// Largest order, in lots.
pub const ORDER_LOTS: i64 = 1_000_000_000;
/// Largest balance movement in minor units: half the supply of satoshi times a thousand still fits.
pub const MONEY_MINOR: i64 = 1 << 60;
/// Meters and attestors ever registered.
pub const METERS: usize = 1 << 10;
/// Attestations kept of one account and commodity: newest of each attestor and site.
pub const ATTESTATIONS: usize = 64;
/// Largest attested capacity, in terahashes per second: a thousand times the whole network of 2026.
pub const ATTESTED_THS: i64 = 1_000_000_000_000;
/// Destinations of one account.
pub const DESTINATIONS: usize = 256;
/// Meters that may speak about one interval.
pub const READINGS: usize = 8;
/// Largest sum of share difficulties of one reading.
pub const DIFFICULTY: u64 = 1 << 60;
/// Trades of one incoming order; what is left beyond is cancelled, so that a command's record stays
/// inside one journal block.
pub const TRADES_PER_COMMAND: usize = 4_096;
/// Items of a batch.
pub const BATCH_ITEMS: usize = 64;
/// Entries of a mass quote.
pub const QUOTE_ENTRIES: usize = 64;
/// Rungs of a quote ladder in one contract.
pub const QUOTE_SLOTS: usize = 8;
/// Market maker protection groups of one account.
pub const MMP_GROUPS: usize = 64;
/// Protection groups that one count of what can trade at once keeps apart; at one more it ends.
pub const COUNTED_GROUPS: usize = 32;
/// Fills of one protection group inside its window; one more freezes the group.
pub const MMP_FILLS: usize = 1 << 16;
/// Shortest and longest window of a protection group, in milliseconds.
pub const MMP_WINDOW_MS: std::ops::RangeInclusive<i32> = 100..=3_600_000;
/// Longest freeze of a protection group, in milliseconds (one day).
pub const MMP_FROZEN_MS: i32 = 86_400_000;
/// Sources of one feed or index.
pub const SOURCES: usize = 16;
/// Chains, and so prices, that one index reads.
pub const INDEX_CHAINS: usize = 4;
/// Sample rounds of an index that are kept with their inputs: ten minutes. The rest follows from the journal.
pub const SAMPLES_KEPT: usize = 40;
/// Daily rounds of an index that are kept: more than a year.
pub const DAYS_KEPT: usize = 400;
/// Days of an index that wait for their value or for settlement.
pub const DAYS_PENDING: usize = 31;
/// Signed values of an index that are remembered.
pub const VALUES_REMEMBERED: usize = 64;
/// Newest headers of a chain that are kept, and headers that sources do not agree on yet.
pub const HEADERS: usize = 64;
/// First headers of an epoch that are kept beyond those.
pub const EPOCH_HEADERS: usize = 64;
/// Reports may be ahead of the exchange's time by so many milliseconds.
pub const REPORT_AHEAD_MS: i64 = 2_000;
/// Longest time that an observation counts, an index may be without a sample, and a day may wait for its
/// settlement, in milliseconds (a day).
pub const ORACLE_MS: u32 = 86_400_000;
/// Valid samples in a row that end a halt: a minute.
pub const SAMPLES_TO_RESUME: u8 = 4;
/// Stops that one command releases; more run in the next tick.
pub const TRIGGERS_PER_COMMAND: usize = 256;
/// Pegged orders in one contract: all of them may move with one command.
pub const PEGS: usize = 64;

/// Of those, in one account, so that nobody can use up the room of all.
pub const PEGS_PER_ACCOUNT: usize = 8;
/// Legs of a combination.
pub const COMBINATION_LEGS: usize = 12;
/// Combinations that one contract may be a leg of at a time.
pub const COMBINATIONS_OF_A_CONTRACT: usize = 16;
/// Shortest and longest window of the volatility check, in milliseconds.
pub const VOLATILITY_WINDOW_MS: std::ops::RangeInclusive<i32> = 100..=86_400_000;
/// Call of a volatility auction, its no-cancel end included, in milliseconds.
pub const VOLATILITY_CALL_MS: i64 = 120_000;
/// No-cancel end of a call, in milliseconds.
pub const NO_CANCEL_MS: i64 = 10_000;
/// Resting orders only, after a volatility auction, in milliseconds.
pub const REOPEN_MS: i64 = 10_000;
/// Least time between two indicative prices of a call, in milliseconds.
pub const INDICATIVE_MS: i64 = 100;
/// Timers that one tick of the clock runs; more due timers make more ticks.
pub const TIMERS_PER_TICK: usize = 256;
/// Longest text of a name, symbol or label, in bytes.
pub const NAME_BYTES: usize = 64;
/// Exit requests on the chain that are remembered, each with its fee; more are refused.
pub const EXITS: usize = 1 << 22;
/// Longest time that a leaver's calls and begun deliveries may take, in seconds (a week).
pub const EXIT_PATIENCE: u32 = 604_800;
/// Orders of an account that leaves which one step cancels.
pub const EXIT_ORDERS: usize = 1_024;
/// Contracts of each kind in which one step closes an account's position.
pub const EXIT_CONTRACTS: usize = 16;
/// Until an exit looks again at what it waits for without a moment of its own, in nanoseconds (a minute).
pub const EXIT_LOOKS_AGAIN: i64 = 60 * crate::units::SECOND;
/// Buckets of maturities of one family.
pub const MARGIN_TENORS: usize = 8;
/// Longest free text, in bytes.
pub const NOTE_BYTES: usize = 256;
/// Longest echoed client tag, in bytes.
pub const TAG_BYTES: usize = 36;
/// Shortest and longest heartbeat interval, in milliseconds.
pub const HEARTBEAT_MS: std::ops::RangeInclusive<i32> = 100..=30_000;
/// Longest time to come back before the disconnect action runs, in milliseconds.
pub const GRACE_MS: i32 = 600_000;
/// Shortest and longest cancel timer, in milliseconds.
pub const CANCEL_TIMER_MS: std::ops::RangeInclusive<i32> = 1_000..=600_000;

const _: () = assert!(
    ENDED_ORDERS_KEPT * 4 <= ORDERS,
    "most slots are for orders that live"
);
const _: () = assert!(ORDERS < u32::MAX as usize, "slots are u32 links");
