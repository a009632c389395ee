//! What is agreed off the book, at the end of a drawn stream, which has none of it: a report that waits, and a
//! request with a quote, in every forward that is open by then.

use engine::{
    command::{
        AccountKind, BlockTerms, BlockWish, Command, CreateRfq, CreditDeposit, NewAccount, NewFirm,
        Origin, QuotedSide, Rail, ReportBlock, RfqLeg, RfqTerms, RfqWish, Side, Stamped,
        SubmitQuote,
    },
    exchange::Exchange,
    ids::{AccountId, FirmId, InstrumentId},
    instrument::{Kind, TradingState},
    units::{Lots, Nanos, SECOND},
};
use tests::market::request;

/// Appends them.
pub(super) fn with_agreements(stream: &mut Vec<Stamped>) {
    let mut state = Exchange::new();
    for stamped in stream.iter() {
        state.apply(stamped, &mut Vec::new());
    }
    let last = stream.last().map(|last| (last.seq, last.at));
    let (mut seq, mut at) = last.unwrap_or_default();
    let until = at.after(3_600 * SECOND);
    let firm = FirmId::nth(state.firms().len());
    let [one, other] = [0, 1].map(|more| AccountId::nth(state.accounts().len() + more));
    let mut commands = vec![Command::CreateFirm(request(NewFirm {
        code: "agreed".into(),
        legal_name: "Off the Book".into(),
        lei: String::new(),
    }))];
    for firm in [firm, FirmId(1)] {
        commands.push(Command::CreateAccount(request(NewAccount {
            firm,
            label: "agreed".into(),
            kind: AccountKind::Client,
            maker_fee_offset: 0,
            taker_fee_offset: 0,
        })));
    }
    let open = state.instruments().iter().filter(|contract| {
        contract.terms.kind == Kind::Forward && contract.state == TradingState::Open
    });
    for (place, contract) in open.enumerate() {
        for account in [one, other] {
            commands.push(Command::CreditDeposit(request(CreditDeposit {
                account,
                asset: contract.terms.price_asset,
                amount: 1_000_000_000_000,
                rail: Rail::Sandbox,
            })));
        }
        let (id, lots) = (contract.id, Lots(contract.terms.limits.min_lots.max(1)));
        let client_id = place as u64 + 1;
        commands.push(Command::Block(BlockWish::Report(ReportBlock {
            origin: by(one),
            client_id,
            terms: BlockTerms {
                counterparty: FirmId(1),
                instrument: id,
                side: Side::Buy,
                price: contract.mark,
                lots,
                affirm_by: until,
            },
        })));
        commands.push(asked(one, client_id, (id, lots), until));
        commands.push(Command::Rfq(Box::new(RfqWish::Quote(SubmitQuote {
            origin: by(other),
            rfq: client_id,
            client_id,
            bid: None,
            ask: Some(QuotedSide {
                price: contract.mark,
                lots,
            }),
            valid_until: until,
        }))));
    }
    for command in commands {
        (seq, at) = (seq + 1, at.after(1));
        stream.push(Stamped { seq, at, command });
    }
}

fn by(account: AccountId) -> Origin {
    Origin {
        account,
        ..Origin::default()
    }
}

fn asked(
    account: AccountId,
    client_id: u64,
    (instrument, lots): (InstrumentId, Lots),
    expire: Nanos,
) -> Command {
    Command::Rfq(Box::new(RfqWish::Create(CreateRfq {
        origin: by(account),
        client_id,
        terms: RfqTerms {
            legs: vec![RfqLeg {
                instrument,
                side: Side::Buy,
                ratio: 1,
            }],
            lots,
            min_lots: Lots(0),
            side: None,
            disclosed: true,
            makers: Vec::new(),
            expire,
        },
    })))
}
