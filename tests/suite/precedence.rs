//! Does the earlier of two reasons win? For each pair of neighbouring ranks (RULES.md, RANK) one order
//! that breaks both, and the same order without the earlier fault, to see that the later one is there.

use std::collections::BTreeSet;

use tests::scenario;

/// Two faults in one command.
struct Case {
    /// Ranks of the two; the same twice: the order within a row of the table.
    ranks: (u32, u32),
    /// Lines that come first.
    before: &'static str,
    /// The command with both faults, and what must be told.
    both: &'static str,
    /// Without the earlier fault.
    later: &'static str,
}

/// The market of every case. In `shut` nothing may be entered; `tight` has a small position limit.
const MARKET: &str = "
given spot day mark 100 min 2 max 50 notional 3_000 orders 2 limit 40
given spot shut mark 100 min 2 closed
given spot tight mark 100 limit 10
given alice 10_000
given bob 10_000
given poor 200
";

const TWO_LOGINS: &str = "alice login algo -> login 1\nalice login algo -> login 2";
const USED: &str = "alice buy 5 @ 100 #1 -> rests";
const BLOCKED: &str = "alice mass-cancel block -> 0 cancelled, blocked";
const SUSPENDED: &str = "status alice suspended";
const TWO_ORDERS: &str = "alice buy 2 @ 90 #1 -> rests\nalice buy 2 @ 90 #2 -> rests";
const LONG_30: &str =
    "alice buy 30 @ 100 #1 -> rests\nbob sell 30 @ 100 -> fills 30 @ 100 from alice #1";
const ASK: &str = "bob sell 5 @ 101 #1 -> rests";

const fn case(
    ranks: (u32, u32),
    before: &'static str,
    both: &'static str,
    later: &'static str,
) -> Case {
    Case {
        ranks,
        before,
        both,
        later,
    }
}

const PLACES: [Case; 28] = [
    case(
        (1, 1),
        TWO_LOGINS,
        "alice buy 5 @ 100 via algo login 1 seq 0 -> refused SESSION_FENCED",
        "alice buy 5 @ 100 via algo seq 0 -> refused STALE_CLIENT_SEQ",
    ),
    case(
        (1, 2),
        TWO_LOGINS,
        "alice buy 5 @ 100 via algo login 1 deadline -1 -> refused SESSION_FENCED",
        "alice buy 5 @ 100 via algo deadline -1 -> rejected DEADLINE_PASSED",
    ),
    case(
        (2, 3),
        USED,
        "alice buy 6 @ 100 #1 deadline -1 -> rejected DEADLINE_PASSED",
        "alice buy 6 @ 100 #1 -> rejected DUPLICATE_CLIENT_ORDER_ID",
    ),
    case(
        (3, 4),
        "alice mass-cancel block -> 0 cancelled, blocked",
        "alice buy 5 @ 100 #0 -> rejected INVALID_FIELD",
        "alice buy 5 @ 100 #1 -> rejected KILL_SWITCH_ACCOUNT",
    ),
    case(
        (3, 4),
        "alice buy 5 @ 100 #1 -> rests\n\
         alice mass-cancel sell block -> 0 cancelled, blocked",
        "alice buy 6 @ 100 #1 -> rejected DUPLICATE_CLIENT_ORDER_ID",
        "alice buy 6 @ 100 #2 -> rejected KILL_SWITCH_ACCOUNT",
    ),
    case(
        (4, 5),
        "alice mass-cancel block -> 0 cancelled, blocked\n\
         status alice suspended\nstatus bob suspended",
        "alice buy 5 @ 100 -> rejected KILL_SWITCH_ACCOUNT",
        "bob buy 5 @ 100 -> rejected ACCOUNT_NOT_ACTIVE",
    ),
    case(
        (5, 6),
        SUSPENDED,
        "alice buy 5 @ 100 on unlisted -> rejected ACCOUNT_NOT_ACTIVE",
        "bob buy 5 @ 100 on unlisted -> rejected UNKNOWN_INSTRUMENT",
    ),
    case(
        (7, 8),
        "",
        "alice buy 5 market on shut -> rejected INSTRUMENT_NOT_TRADING",
        "alice buy 5 market -> rejected UNSUPPORTED_COMBINATION",
    ),
    case(
        (8, 8),
        "",
        "alice buy 5 @ 0 ioc post -> rejected UNSUPPORTED_COMBINATION",
        "alice buy 5 @ 0 ioc -> rejected INVALID_FIELD",
    ),
    case(
        (8, 8),
        "",
        "alice buy 5 @ 0 gtd -5 -> rejected EXPIRE_TIME_INVALID",
        "alice buy 5 @ 0 gtd +5 -> rejected INVALID_FIELD",
    ),
    case(
        (8, 9),
        "",
        "alice buy 1 @ 100 gtd -5 -> rejected EXPIRE_TIME_INVALID",
        "alice buy 1 @ 100 gtd +5 -> rejected QUANTITY_OUT_OF_RANGE",
    ),
    case(
        (9, 10),
        "",
        "alice buy 1 @ 111 -> rejected QUANTITY_OUT_OF_RANGE",
        "alice buy 2 @ 111 -> rejected PRICE_OUTSIDE_BAND",
    ),
    case(
        (10, 11),
        "",
        "alice buy 50 @ 111 -> rejected PRICE_OUTSIDE_BAND",
        "alice buy 50 @ 110 -> rejected NOTIONAL_TOO_LARGE",
    ),
    case(
        (11, 12),
        TWO_ORDERS,
        "alice buy 31 @ 100 -> rejected NOTIONAL_TOO_LARGE",
        "alice buy 30 @ 100 -> rejected OPEN_ORDER_LIMIT",
    ),
    case(
        (12, 13),
        TWO_ORDERS,
        "alice buy 5 @ 100 reduce -> rejected OPEN_ORDER_LIMIT",
        "bob buy 5 @ 100 reduce -> rejected REDUCE_ONLY_WOULD_INCREASE",
    ),
    case(
        (13, 14),
        LONG_30,
        "alice buy 11 @ 100 reduce -> rejected REDUCE_ONLY_WOULD_INCREASE",
        "alice buy 11 @ 100 -> rejected POSITION_LIMIT",
    ),
    case(
        (14, 15),
        "",
        "poor buy 11 @ 100 on tight -> rejected POSITION_LIMIT",
        "poor buy 10 @ 100 on tight -> rejected INSUFFICIENT_BALANCE",
    ),
    case(
        (15, 16),
        ASK,
        "poor buy 5 @ 101 post -> rejected INSUFFICIENT_BALANCE",
        "alice buy 5 @ 101 post -> rejected POST_ONLY_WOULD_CROSS",
    ),
    case(
        (15, 17),
        "",
        "poor buy 5 @ 100 fok -> rejected INSUFFICIENT_BALANCE",
        "alice buy 5 @ 100 fok -> rejected FOK_NOT_FILLABLE",
    ),
    case(
        (15, 17),
        "",
        "poor buy 5 market ioc -> rejected INSUFFICIENT_BALANCE",
        "alice buy 5 market ioc -> rejected NO_LIQUIDITY",
    ),
    // No order can break 16 and 17: post-only with FOK or market is refused at rank 8.
    case(
        (8, 17),
        ASK,
        "alice buy 6 @ 101 fok post -> rejected UNSUPPORTED_COMBINATION",
        "alice buy 6 @ 101 fok -> rejected FOK_NOT_FILLABLE",
    ),
    case(
        (17, 17),
        "",
        "alice buy 5 market fok -> rejected FOK_NOT_FILLABLE",
        "alice buy 5 market ioc -> rejected NO_LIQUIDITY",
    ),
    // The first and the last.
    case(
        (3, 17),
        USED,
        "alice buy 1 @ 500 #1 fok -> rejected DUPLICATE_CLIENT_ORDER_ID",
        "alice buy 5 @ 99 fok -> rejected FOK_NOT_FILLABLE",
    ),
    case(
        (4, 4),
        "alice login algo -> login 1\n\
         alice entry algo blocked -> blocked KILL_SWITCH_SESSION\n\
         bob login bot -> login 1\n\
         bob entry bot blocked -> blocked KILL_SWITCH_SESSION\n\
         alice mass-cancel block -> 0 cancelled, blocked",
        "alice buy 5 @ 100 via algo -> rejected KILL_SWITCH_ACCOUNT",
        "bob buy 5 @ 100 via bot -> rejected KILL_SWITCH_SESSION",
    ),
    case(
        (4, 4),
        "kill venue -> killed\nkill firm alice -> killed\nkill firm bob -> killed",
        "alice buy 5 @ 100 -> rejected KILL_SWITCH_EXCHANGE",
        "release venue -> released\nalice buy 5 @ 100 -> rejected KILL_SWITCH_FIRM",
    ),
    case(
        (4, 4),
        "kill firm alice -> killed\nkill account alice -> killed\nkill account bob -> killed",
        "alice buy 5 @ 100 -> rejected KILL_SWITCH_FIRM",
        "bob buy 5 @ 100 -> rejected KILL_SWITCH_ACCOUNT",
    ),
    case(
        (12, 12),
        TWO_ORDERS,
        "alice buy 5 @ 100 mmp 1 -> rejected OPEN_ORDER_LIMIT",
        "bob buy 5 @ 100 reduce mmp 1 -> rejected NOT_FOUND",
    ),
    case(
        (4, 6),
        BLOCKED,
        "alice buy 5 @ 100 on unlisted -> rejected KILL_SWITCH_ACCOUNT",
        "bob buy 5 @ 100 on unlisted -> rejected UNKNOWN_INSTRUMENT",
    ),
];

const REPLACES: [Case; 9] = [
    case(
        (5, 6),
        SUSPENDED,
        "alice replace #9 lots 5 -> rejected ACCOUNT_NOT_ACTIVE",
        "bob replace #9 lots 5 -> rejected UNKNOWN_ORDER",
    ),
    case(
        (6, 7),
        "alice buy 5 @ 100 #1 -> rests\nalice buy 5 @ 100 #2 -> rests\n\
         alice cancel #1 -> cancelled CLIENT_REQUEST\nstate halted",
        "alice replace #1 lots 6 -> rejected TOO_LATE_ALREADY_CANCELLED",
        "alice replace #2 lots 6 -> rejected INSTRUMENT_NOT_TRADING",
    ),
    case(
        (7, 8),
        "alice buy 5 @ 100 #1 -> rests\nalice buy 5 @ 100 #2 on tight -> rests\nstate halted",
        "alice replace #1 gtd +5 -> rejected INSTRUMENT_NOT_TRADING",
        "alice replace #2 gtd +5 -> rejected UNSUPPORTED_COMBINATION",
    ),
    case(
        (8, 9),
        USED,
        "alice replace #1 lots 51 price 0 -> rejected INVALID_FIELD",
        "alice replace #1 lots 51 price 99 -> rejected QUANTITY_OUT_OF_RANGE",
    ),
    case(
        (9, 10),
        USED,
        "alice replace #1 lots 51 price 111 -> rejected QUANTITY_OUT_OF_RANGE",
        "alice replace #1 lots 50 price 111 -> rejected PRICE_OUTSIDE_BAND",
    ),
    case(
        (10, 11),
        USED,
        "alice replace #1 lots 50 price 111 -> rejected PRICE_OUTSIDE_BAND",
        "alice replace #1 lots 50 price 110 -> rejected NOTIONAL_TOO_LARGE",
    ),
    case(
        (13, 14),
        "bob sell 5 @ 100 #1 on tight -> rests\n\
         alice buy 5 @ 100 on tight -> fills 5 @ 100 from bob #1\n\
         alice sell 5 @ 105 #2 reduce on tight -> rests\n\
         bob sell 5 @ 105 #3 on tight -> rests",
        "alice replace #2 lots 16 -> rejected REDUCE_ONLY_WOULD_INCREASE",
        "bob replace #3 lots 6 -> rejected POSITION_LIMIT",
    ),
    case(
        (15, 16),
        "poor buy 2 @ 100 #1 -> rests\nalice buy 2 @ 100 #2 -> rests",
        "poor replace #1 lots 3 keep-priority -> rejected INSUFFICIENT_BALANCE",
        "alice replace #2 lots 3 keep-priority -> rejected WOULD_LOSE_PRIORITY",
    ),
    case(
        (16, 16),
        "bob sell 5 @ 101 #1 -> rests\nalice buy 5 @ 100 #2 -> rests",
        "alice replace #2 price 101 post keep-priority -> rejected WOULD_LOSE_PRIORITY",
        "alice replace #2 price 101 post -> rejected POST_ONLY_WOULD_CROSS",
    ),
];

fn check(case: &Case) -> Option<String> {
    let run = |which: &str, line: &str| {
        let name = format!("ranks {:?}, {which}", case.ranks);
        scenario::run(&name, &format!("{MARKET}{}\n{line}", case.before)).err()
    };
    run("both", case.both).or_else(|| run("the later alone", case.later))
}

#[test]
fn the_earlier_reason_wins() {
    let cases = || PLACES.iter().chain(&REPLACES);
    let reports: Vec<_> = cases().filter_map(check).collect();
    assert!(reports.is_empty(), "{}", reports.join("\n\n"));
    let met: BTreeSet<_> = cases().map(|case| case.ranks).collect();
    let missing: Vec<_> = (1..17)
        .map(|rank| (rank, rank + 1))
        .filter(|pair| !met.contains(pair))
        .collect();
    assert_eq!(missing, [(16, 17)], "neighbours without a case");
}
