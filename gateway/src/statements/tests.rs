//! Statements without an exchange: what is kept, what goes, and what they say.

use engine::{
    command::Command,
    event::PostingKind,
    ids::TradeId,
    units::{Decimal, TickLots},
};

use super::*;

const MINER: AccountId = AccountId(4);
const BTC: AssetId = AssetId(1);
const DECEMBER: InstrumentId = InstrumentId(2);

fn at(seq: Seq, day: i64) -> Stamped {
    Stamped {
        seq,
        at: Nanos(day * DAY + 1),
        command: Command::Tick,
    }
}

fn posting(delta: i64, balance: i64, kind: PostingKind) -> Event {
    Event::Posting(Posting {
        entry: 1,
        account: MINER,
        asset: BTC,
        delta: Minor(delta),
        balance: Minor(balance),
        kind,
        trade: TradeId(0),
        instrument: InstrumentId(0),
        transfer: 0,
    })
}

fn cash(cash: i64) -> Event {
    Event::Balance(BalanceRow {
        account: MINER,
        asset: BTC,
        cash: Minor(cash),
        held: Minor(0),
        margin: Minor(0),
        result: Minor(0),
    })
}

fn position(net: i64) -> Event {
    Event::Position(PositionRow {
        account: MINER,
        instrument: DECEMBER,
        net: Lots(net),
        open_buy: Lots(0),
        open_sell: Lots(0),
        cost: TickLots(0),
        realised: Minor(7),
        unrealised: Minor(0),
        result: Minor(0),
        requirement: Minor(0),
    })
}

fn settled(settlement: u64, day: i64) -> Event {
    Event::Clearing(ClearingEvent::DaySettled(DaySettled {
        settlement,
        account: MINER,
        instrument: DECEMBER,
        day: Nanos(day * DAY),
        net: Lots(-50),
        fixing: Decimal {
            mantissa: 40_000,
            exponent: -8,
        },
        round: settlement,
        paid: Minor(100_000),
        variation: Minor(0),
    }))
}

fn line(statement: &Statement, kind: PostingKind) -> Line {
    let line = statement.lines.get(&(BTC, kind as u8));
    line.copied().unwrap_or_default()
}

#[test]
fn a_day_begins_with_what_the_day_before_left() {
    let mut all = Statements::default();
    let deposit = posting(1_000, 1_000, PostingKind::Deposit);
    all.hear(&at(1, 10), &[deposit, cash(1_000)]);
    let fees = [
        posting(-3, 997, PostingKind::TradeFee),
        posting(-4, 993, PostingKind::TradeFee),
        cash(993),
        position(-50),
    ];
    all.hear(&at(2, 12), &fees);
    all.hear(
        &at(3, 12),
        &[posting(20, 1_013, PostingKind::Variation), cash(1_013)],
    );

    let first = all.of(MINER, 10);
    assert_eq!((first.seqs, first.gap()), ((1, 1), None));
    assert!(first.opening.balances.is_empty() && first.closing.positions.is_empty());
    let quiet = all.of(MINER, 11);
    assert_eq!(quiet.opening.balances, quiet.closing.balances);
    assert_eq!((quiet.seqs, quiet.lines.len()), ((0, 0), 0));
    let today = all.of(MINER, 12);
    assert_eq!(today.seqs, (2, 3));
    assert_eq!(today.opening.balances[&BTC].cash, Minor(1_000));
    assert_eq!(
        line(&today, PostingKind::TradeFee),
        Line {
            sum: Minor(-7),
            count: 2
        }
    );
    assert_eq!(line(&today, PostingKind::Variation).sum, Minor(20));
    assert_eq!(today.closing.balances[&BTC].cash, Minor(1_013));
    assert_eq!(today.gap(), None);
    // Nobody's money, before and for accounts that never were.
    for nothing in [all.of(MINER, 9), all.of(AccountId(99), 12)] {
        assert!(nothing.closing.balances.is_empty() && nothing.lines.is_empty());
    }
}

#[test]
fn money_that_no_posting_explains_is_a_gap() {
    let mut all = Statements::default();
    all.hear(&at(1, 10), &[posting(5, 5, PostingKind::Deposit), cash(6)]);
    assert_eq!(all.of(MINER, 10).gap(), Some(BTC));
}

#[test]
fn a_closed_position_is_told_on_its_last_day_only() {
    let mut all = Statements::default();
    all.hear(&at(1, 10), &[position(-50)]);
    all.hear(&at(2, 11), &[position(0)]);
    all.hear(&at(3, 13), &[posting(1, 1, PostingKind::Rebate), cash(1)]);
    let net = |day| {
        let positions = all.of(MINER, day).closing.positions;
        positions.get(&DECEMBER).map(|row| row.net.0)
    };
    assert_eq!(
        [net(10), net(11), net(12), net(13)],
        [Some(-50), Some(0), None, None]
    );
}

#[test]
fn the_oldest_days_go_and_what_is_left_is_still_right() {
    let mut all = Statements::default();
    for day in 10..30_i64 {
        let seq = u64::try_from(day - 9).expect("later");
        let now = (day - 9) * 100;
        let events = [
            posting(100, now, PostingKind::FinalSettlement),
            cash(now),
            settled(seq, day - 1),
        ];
        // A day that is over is a row of opening (but the first), of movements, of closing; and one settled.
        all.hear_within(&at(seq, day), &events, 20);
        assert!(all.rows <= 20, "day {day}: {} rows", all.rows);
    }
    let (first, newest) = all.span().expect("days");
    assert_eq!(newest, 29);
    assert!((24..=26).contains(&first), "{first}");
    for day in first..=newest {
        let told = all.of(MINER, day);
        assert_eq!(told.gap(), None);
        assert_eq!(told.opening.balances[&BTC].cash, Minor((day - 10) * 100));
    }
    let kept: Vec<u64> = all.settled(MINER).map(|row| row.what.settlement).collect();
    assert_eq!(kept.first().copied(), Some(all.settled_gone(MINER) + 1));
    assert_eq!(kept.last(), Some(&20));
}

#[test]
fn who_rests_for_long_keeps_what_he_has() {
    let mut all = Statements::default();
    all.hear_within(
        &at(1, 10),
        &[posting(9, 9, PostingKind::Deposit), cash(9)],
        8,
    );
    for day in 11..40 {
        let other = Posting {
            entry: 2,
            account: AccountId(5),
            asset: BTC,
            delta: Minor(0),
            balance: Minor(0),
            kind: PostingKind::Rounding,
            trade: TradeId(0),
            instrument: InstrumentId(0),
            transfer: 0,
        };
        all.hear_within(&at(2, day), &[Event::Posting(other)], 8);
    }
    assert_eq!(all.of(MINER, 39).closing.balances[&BTC].cash, Minor(9));
}

#[test]
fn saved_and_loaded_it_is_the_same() {
    let mut all = Statements::default();
    all.hear(
        &at(1, 10),
        &[posting(5, 5, PostingKind::Deposit), cash(5), position(-1)],
    );
    all.hear(&at(2, 11), &[settled(1, 10), position(0)]);
    let encoding = bincode::config::standard();
    let bytes = bincode::encode_to_vec(&all, encoding).expect("encodes");
    let (back, used): (Statements, usize) =
        bincode::decode_from_slice(&bytes, encoding).expect("decodes");
    assert_eq!((back, used), (all, bytes.len()));
}
