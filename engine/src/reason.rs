//! Every way to say no, with the number the wire uses.
//!
//! A rejection is a number with a name and a rank, never a sentence; wording is the gateway's. Numbers
//! are never reused. The order of precedence is the order of the checks in `exchange/admission.rs`, as
//! written down in `RULES.md`; the order here is the order of the numbers.

use bincode::{Decode, Encode};

/// Why something was refused, or why the exchange changed an order by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[repr(u16)]
#[allow(
    missing_docs,
    reason = "documented one by one in hashpit/common/v1/common.proto"
)]
pub enum Reason {
    ClientSeqGap = 1,
    DuplicateClientOrderId = 2,
    DeadlinePassed = 3,
    RateLimited = 4,
    NotAuthorized = 5,
    SessionFenced = 6,
    SlowConsumer = 7,
    ServerDraining = 8,
    ResumeTooOld = 9,
    StaleClientSeq = 10,
    NotEstablished = 11,
    InvalidField = 12,
    Overloaded = 13,
    AuthenticationFailed = 14,
    RequestIdConflict = 15,
    HeartbeatTimeout = 16,
    NotImplemented = 17,
    UnknownInstrument = 20,
    InstrumentNotTrading = 21,
    PriceOutsideBand = 22,
    PriceNotOnTick = 23,
    QuantityOutOfRange = 24,
    NotionalTooLarge = 25,
    PostOnlyWouldCross = 26,
    ReduceOnlyWouldIncrease = 27,
    FokNotFillable = 28,
    UnknownOrder = 29,
    TooLateAlreadyFilled = 30,
    TooLateAlreadyCancelled = 31,
    WouldLosePriority = 32,
    OpenOrderLimit = 33,
    UnsupportedCombination = 34,
    DisplayTooSmall = 35,
    TooManyItems = 36,
    BatchStopped = 37,
    NoLiquidity = 38,
    ExpireTimeInvalid = 39,
    QuoteCrossed = 40,
    NoCancelPeriod = 41,
    DestinationRequired = 42,
    InsufficientMargin = 60,
    PositionLimit = 61,
    KillSwitchSession = 62,
    MmpFrozen = 63,
    MmpTriggered = 64,
    SelfTradePrevented = 65,
    KillSwitchAccount = 66,
    KillSwitchFirm = 67,
    KillSwitchExchange = 68,
    AccountNotActive = 69,
    InsufficientBalance = 70,
    CapacityExceeded = 71,
    ClientRequest = 80,
    MassCancel = 81,
    Disconnect = 82,
    HeartbeatLost = 83,
    Expired = 84,
    IocRemainder = 85,
    InstrumentHalted = 86,
    InstrumentExpired = 87,
    Operator = 88,
    QuoteReplaced = 89,
    DeliveryCapacity = 90,
    CancelTimer = 91,
    Liquidation = 92,
    AuctionRemainder = 93,
    IcebergRefresh = 94,
    PostOnlySlid = 95,
    PegRepriced = 96,
    UnknownRfq = 100,
    RfqClosed = 101,
    QuoteWithdrawn = 102,
    AllocationMismatch = 103,
    BelowBlockMinimum = 104,
    CounterpartyRefused = 105,
    UnknownCounterparty = 106,
    UnknownObligation = 120,
    DestinationUnreachable = 121,
    DestinationRefusedWorker = 122,
    PoolDifficultyOutOfRange = 123,
    ExtranonceTooSmall = 124,
    DeliveryWindowClosed = 125,
    DisputeWindowClosed = 126,
    OfferClosed = 127,
    UnknownEpoch = 140,
    EpochNotSealed = 141,
    EpochPruned = 142,
    NotInEpoch = 143,
    AlreadyExists = 160,
    NotFound = 161,
    ImmutableField = 162,
    IllegalTransition = 163,
    StaleObservation = 164,
    ObservationConflict = 165,
    SignatureInvalid = 166,
    NotSandbox = 167,
    VersionMismatch = 168,
    Schedule = 180,
    Volatility = 181,
    DailyLimit = 182,
    IndexUnavailable = 183,
    Restart = 184,
    DebtCap = 185,
    // Out of the order of numbers: the journal stores places in this list, which only grows at its end.
    DiskFull = 18,
}

impl Reason {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> i32 {
        i32::from(self as u16)
    }
}

/// Which field of a request a refusal is about. The gateway knows the full path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs, reason = "the name of each field is its meaning")]
pub enum Field {
    #[default]
    None,
    ClientOrderId,
    Instrument,
    Side,
    OrderType,
    TimeInForce,
    Price,
    Quantity,
    PostOnly,
    ReduceOnly,
    Expire,
    Account,
    Asset,
    Amount,
    Symbol,
    Target,
    State,
    Request,
    Window,
    Margin,
    Fee,
    Band,
    Limit,
    Index,
    Round,
    Value,
    Session,
    Key,
    Name,
    Commodity,
    Firm,
    Product,
    Rail,
    Transfer,
    Version,
    Timer,
    Grace,
    Lot,
    TickSize,
    LastTrade,
    Display,
    MinFill,
    Trigger,
    MmpGroup,
    Slot,
    Volatility,
    Items,
    Legs,
    Cascade,
    Feed,
    Observed,
    Sequence,
    Source,
    Height,
    Depth,
    Formula,
    Meter,
    Destination,
    Obligation,
    Interval,
    Capacity,
    Dispute,
    Rules,
    Owner,
}

/// A refusal with the numbers a bot needs: the limit that applied and what was seen, in the unit of
/// the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Problem {
    /// Why.
    pub reason: Reason,
    /// About which field.
    pub field: Field,
    /// The limit that applied; 0 if none.
    pub limit: i64,
    /// What was seen; 0 if nothing.
    pub actual: i64,
}

impl Problem {
    /// A refusal without numbers.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            field: Field::None,
            limit: 0,
            actual: 0,
        }
    }

    /// About this field.
    #[must_use]
    pub fn about(reason: Reason, field: Field) -> Self {
        Self {
            reason,
            field,
            limit: 0,
            actual: 0,
        }
    }

    /// About this field, with the limit and what was seen.
    #[must_use]
    pub fn limit(reason: Reason, field: Field, limit: i64, actual: i64) -> Self {
        Self {
            reason,
            field,
            limit,
            actual,
        }
    }
}
