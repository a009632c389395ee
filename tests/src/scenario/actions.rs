//! Lines in which somebody does something: orders, changes and cancels.
//!
//! `WHO buy|sell LOTS @ PRICE|market|peg best|index OFFSET cap PRICE
//! [ioc|fok|gtc|day|at-auction|gtd +S] [show LOTS] [least LOTS] [stop last|mark|index PRICE]
//! [post|slide] [reduce] [stp
//! resting|incoming|both|decrement] [group N] [label N] [keep] [on CONTRACT] [#N]`,
//! `WHO replace #N [price P] [lots N] [show N] [stop P] [post|slide|take] [gtd +S] [keep-priority]`, `WHO cancel #N`,
//! `WHO mass-cancel [SELECTION] [block]`. All of them: `[via DESK [seq N] [login N]] [deadline +S]`.
//! `#N` is the client's own id; `bob #N` means bob's order by the exchange's id.

use engine::{
    command::{
        Cancel, Command, MassCancel, OrderTerms, Origin, Peg, PegTo, Place, PostOnly, Pricing,
        Replace, Selection, SelfTrade, Side, Tag, Target, TimeInForce, Trigger, TriggerSource,
    },
    event::Event,
    ids::{AccountId, InstrumentId, OrderId, ProductId},
    units::{Lots, Ticks},
};

use super::{
    desks, operator, quoting,
    words::{Words, number, seconds},
    world::{UNNAMED, World},
};

/// What a line did.
#[derive(Default)]
pub(super) struct Done {
    pub(super) events: Vec<Event>,
    /// The order that the line was about.
    pub(super) own: Option<(AccountId, u64)>,
    /// Lots of a new order, as asked.
    pub(super) asked: Option<i64>,
}

impl Done {
    pub(super) fn of(events: Vec<Event>) -> Self {
        Self {
            events,
            ..Self::default()
        }
    }

    /// No refusal, and nothing happened to any order.
    pub(super) fn quiet(&self) -> bool {
        let loud = |event: &Event| matches!(event, Event::Refused(_) | Event::Order(_));
        !self.events.iter().any(loud)
    }
}

const SIDES: [(&str, Side); 2] = [("buy", Side::Buy), ("sell", Side::Sell)];
const POSTS: [(&str, PostOnly); 3] = [
    ("post", PostOnly::Reject),
    ("slide", PostOnly::Slide),
    ("take", PostOnly::No),
];
const MODES: [(&str, SelfTrade); 4] = [
    ("resting", SelfTrade::CancelResting),
    ("incoming", SelfTrade::CancelIncoming),
    ("both", SelfTrade::CancelBoth),
    ("decrement", SelfTrade::Decrement),
];

/// Runs one line.
pub(super) fn act(world: &mut World, line: &str) -> Result<Done, String> {
    let mut words = Words::new(line);
    let who = words.next("who does it")?;
    if let Some(done) = operator::act(world, who, line)? {
        return Ok(done);
    }
    if let Some(done) = super::delivery::act(world, who, line)? {
        return Ok(done);
    }
    let account = world.account(who)?;
    match words.next("what is done")? {
        "buy" => place(world, account, Side::Buy, words),
        "sell" => place(world, account, Side::Sell, words),
        "replace" => replace(world, account, words),
        "cancel" => cancel(world, account, words),
        "quote" | "batch" | "group" | "reset" => quoting::act(world, account, line),
        "mass-cancel" => mass_cancel(world, account, words),
        "bid" => super::clearing::bid(world, account, words),
        verb => desks::act(world, account, verb, words),
    }
}

/// `via`, `seq`, `login` and `deadline`.
pub(super) fn origin(
    world: &mut World,
    account: AccountId,
    words: &mut Words<'_>,
) -> Result<Origin, String> {
    let mut origin = Origin {
        account,
        ..Origin::default()
    };
    if let Some(span) = words.value("deadline")?.map(seconds).transpose()? {
        origin.deadline = world.now.after(1 + span);
    }
    let Some(name) = words.value("via")? else {
        return Ok(origin);
    };
    let desk = world.desk(name)?;
    let seq = words
        .unsigned("seq")?
        .unwrap_or(desk.client_seq.saturating_add(1));
    let login = words
        .number("login")?
        .map(|login| u32::try_from(login).unwrap_or(0));
    desk.client_seq = desk.client_seq.max(seq);
    (origin.session, origin.client_seq) = (desk.id, seq);
    origin.login = login.unwrap_or(desk.login);
    Ok(origin)
}

fn place(
    world: &mut World,
    account: AccountId,
    side: Side,
    words: Words<'_>,
) -> Result<Done, String> {
    let (place, id) = read_place(world, account, side, words)?;
    Ok(Done {
        events: world.apply(Command::Place(place))?,
        own: Some((account, id)),
        asked: Some(place.order.lots.0),
    })
}

/// A new order and the client's name for it.
pub(super) fn read_place(
    world: &mut World,
    account: AccountId,
    side: Side,
    mut words: Words<'_>,
) -> Result<(Place, u64), String> {
    let lots = words.next_number("a quantity")?;
    let pricing = match words.next("'@ PRICE' or 'market'")? {
        "market" => Pricing::Market,
        "peg" => peg(&mut words)?,
        "@" => Pricing::Limit(Ticks(words.next_number("a price")?)),
        word => return Err(format!("  unknown word {word:?}")),
    };
    let gtd = words.value("gtd")?.map(seconds).transpose()?;
    let lives = [
        ("ioc", TimeInForce::Ioc),
        ("fok", TimeInForce::Fok),
        ("gtc", TimeInForce::Gtc),
        ("day", TimeInForce::Day),
        ("at-auction", TimeInForce::AtAuction),
    ];
    let life = words.one_of(&lives).unwrap_or(TimeInForce::Gtc);
    let self_trade = match words.value("stp")? {
        None => SelfTrade::default(),
        Some(word) => {
            let mode = MODES.iter().find(|(name, _)| *name == word);
            mode.ok_or_else(|| format!("  unknown word {word:?}"))?.1
        }
    };
    let small = |number: Option<i64>| u32::try_from(number.unwrap_or(0)).map_err(|e| e.to_string());
    world.unnamed += 1;
    let order = OrderTerms {
        client_order_id: words.tagged()?.unwrap_or(UNNAMED + world.unnamed),
        instrument: world.contract(words.value("on")?)?,
        side,
        pricing,
        lots: Lots(lots),
        time_in_force: gtd.map_or(life, |span| TimeInForce::Gtd(world.now.after(1 + span))),
        post_only: words.one_of(&POSTS).unwrap_or(PostOnly::No),
        reduce_only: words.flag("reduce"),
        self_trade,
        self_trade_group: small(words.number("group")?)?,
        cancel_group: small(words.number("label")?)?,
        display: Lots(words.number("show")?.unwrap_or(0)),
        min_fill: Lots(words.number("least")?.unwrap_or(0)),
        trigger: trigger(&mut words)?,
        mmp_group: quoting::group(&mut words)?,
        keep_on_disconnect: words.flag("keep"),
        tag: Tag::default(),
    };
    let origin = origin(world, account, &mut words)?;
    words.finish()?;
    Ok((Place { origin, order }, order.client_order_id))
}

/// `peg best|index OFFSET cap PRICE`.
fn peg(words: &mut Words<'_>) -> Result<Pricing, String> {
    let to = match words.next("'best' or 'index'")? {
        "best" => PegTo::Best,
        "index" => PegTo::Index,
        word => return Err(format!("  unknown word {word:?}")),
    };
    Ok(Pricing::Peg(Peg {
        to,
        offset: Ticks(words.next_number("an offset")?),
        cap: Ticks(words.number("cap")?.ok_or("  a peg needs 'cap PRICE'")?),
    }))
}

/// `stop last|mark|index PRICE`.
fn trigger(words: &mut Words<'_>) -> Result<Option<Trigger>, String> {
    let Some((source, price)) = words.pair("stop")? else {
        return Ok(None);
    };
    let source = match source {
        "last" => TriggerSource::Last,
        "mark" => TriggerSource::Mark,
        "index" => TriggerSource::Index,
        word => return Err(format!("  unknown word {word:?}")),
    };
    let price = Ticks(number(price)?);
    Ok(Some(Trigger { source, price }))
}

/// `#N`: by the client's id. `bob #N`: by the exchange's id of bob's order.
fn target(world: &World, words: &mut Words<'_>) -> Result<(Target, u64), String> {
    let first = words.next("an order")?;
    if let Some(id) = first.strip_prefix('#') {
        let id = number(id)?.unsigned_abs();
        return Ok((Target::Client(id), id));
    }
    let owner = world.account(first)?;
    let id = words.tagged()?.ok_or("  which order of that account?")?;
    let order = world.order_id(owner, id).unwrap_or(OrderId(u64::MAX));
    Ok((Target::Order(order), id))
}

fn optional_contract(world: &World, words: &mut Words<'_>) -> Result<InstrumentId, String> {
    match words.value("on")? {
        None => Ok(InstrumentId::NONE),
        name => world.contract(name),
    }
}

fn replace(world: &mut World, account: AccountId, words: Words<'_>) -> Result<Done, String> {
    let (replace, id) = read_replace(world, account, words)?;
    Ok(Done {
        events: world.apply(Command::Replace(replace))?,
        own: Some((account, id)),
        ..Done::default()
    })
}

/// A change and the client's name of its order.
pub(super) fn read_replace(
    world: &mut World,
    account: AccountId,
    mut words: Words<'_>,
) -> Result<(Replace, u64), String> {
    let (target, id) = target(world, &mut words)?;
    let expire = words.value("gtd")?.map(seconds).transpose()?;
    let replace = Replace {
        target,
        instrument: optional_contract(world, &mut words)?,
        price: words.number("price")?.map(Ticks),
        lots: words.number("lots")?.map(Lots),
        post_only: words.one_of(&POSTS),
        expire: expire.map(|span| world.now.after(1 + span)),
        display: words.number("show")?.map(Lots),
        trigger: words.number("stop")?.map(Ticks),
        reject_if_priority_lost: words.flag("keep-priority"),
        origin: origin(world, account, &mut words)?,
    };
    words.finish()?;
    Ok((replace, id))
}

fn cancel(world: &mut World, account: AccountId, words: Words<'_>) -> Result<Done, String> {
    let (cancel, id) = read_cancel(world, account, words)?;
    Ok(Done {
        events: world.apply(Command::Cancel(cancel))?,
        own: Some((account, id)),
        ..Done::default()
    })
}

/// A cancel and the client's name of its order.
pub(super) fn read_cancel(
    world: &mut World,
    account: AccountId,
    mut words: Words<'_>,
) -> Result<(Cancel, u64), String> {
    let (target, id) = target(world, &mut words)?;
    let cancel = Cancel {
        target,
        instrument: optional_contract(world, &mut words)?,
        origin: origin(world, account, &mut words)?,
    };
    words.finish()?;
    Ok((cancel, id))
}

/// `[on CONTRACT] [product P] [buy|sell] [label N] [session] [better PRICE]`.
pub(super) fn selection(world: &World, words: &mut Words<'_>) -> Result<Selection, String> {
    let product = match words.value("product")? {
        None => ProductId::NONE,
        Some(name) => {
            let known = world
                .exchange
                .products()
                .iter()
                .position(|known| known == name);
            ProductId::nth(known.ok_or_else(|| format!("  unknown word {name:?}: no product"))?)
        }
    };
    let label = words.number("label")?.unwrap_or(0);
    Ok(Selection {
        instrument: optional_contract(world, words)?,
        product,
        side: words.one_of(&SIDES),
        cancel_group: u32::try_from(label).map_err(|e| e.to_string())?,
        mmp_group: quoting::group(words)?,
        this_session_only: words.flag("session"),
        price_at_or_better: words.number("better")?.map(Ticks),
    })
}

fn mass_cancel(
    world: &mut World,
    account: AccountId,
    mut words: Words<'_>,
) -> Result<Done, String> {
    let mass = MassCancel {
        selection: selection(world, &mut words)?,
        block_new_orders: words.flag("block"),
        origin: origin(world, account, &mut words)?,
    };
    words.finish()?;
    world.apply(Command::MassCancel(mass)).map(Done::of)
}
