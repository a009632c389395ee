//! `submit`: one order in, and what happened to it in words.

use anyhow::{Context, Result, bail};
use clap::Args;
use proto::{
    common::v1::{Problem, Side},
    trading::v1::{
        NewOrder, OrderEvent, OrderEventKind, OrderStatus, OrderType, PegReference, PostOnly,
        SubmitOrderRequest, TimeInForce, TriggerSource,
    },
};

use super::{AccountChoice, Connection, amounts, names, parse, print};
use crate::client::{ClientError, now_unix_nanos, reason_name};

/// Enters an order.
#[derive(Args, Clone, Debug)]
pub struct Submit {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    /// Contract, such as BTC-FWD-2026-12.
    symbol: String,
    /// buy or sell.
    #[arg(long, value_parser = parse::side)]
    side: Side,
    /// Quantity in lots.
    #[arg(long, value_parser = parse::lots, allow_hyphen_values = true)]
    lots: i64,
    /// Limit in ticks, such as 42_640; of a peg its cap. Without it the order takes what is there inside
    /// the price band.
    #[arg(long, value_parser = parse::ticks, allow_hyphen_values = true)]
    price: Option<i64>,
    /// gtc, ioc, fok, day or auction. Default: gtc with a price, ioc without.
    #[arg(long, value_parser = parse::time_in_force, conflicts_with = "at_auction")]
    tif: Option<TimeInForce>,
    /// Never take: reject instead, or slide to one tick outside the best opposite price.
    #[arg(
        long,
        value_parser = parse::post_only,
        num_args = 0..=1,
        default_missing_value = "reject",
        value_name = "reject|slide"
    )]
    post_only: Option<PostOnly>,
    /// May only shrink the position.
    #[arg(long)]
    reduce_only: bool,
    /// Wait until --trigger is at this price in ticks: at or above for a buy, at or below for a sell.
    #[arg(
        long,
        value_name = "PRICE",
        value_parser = parse::ticks,
        allow_hyphen_values = true,
        requires = "trigger"
    )]
    stop: Option<i64>,
    /// What releases a stop: last, mark or index.
    #[arg(long, value_parser = parse::trigger, requires = "stop", value_name = "last|mark|index")]
    trigger: Option<TriggerSource>,
    /// Show only so many lots at a time.
    #[arg(long, value_parser = parse::lots, value_name = "LOTS")]
    display: Option<i64>,
    /// Trade at least so many lots at once, or nothing; with --tif ioc.
    #[arg(long, value_parser = parse::lots, value_name = "LOTS")]
    min_fill: Option<i64>,
    /// Only in the next auction.
    #[arg(long)]
    at_auction: bool,
    /// Follow the best price of the own side, or the index; never beyond --price.
    #[arg(
        long,
        value_parser = parse::peg,
        value_name = "best|index",
        requires = "price",
        conflicts_with = "stop"
    )]
    peg: Option<PegReference>,
    /// Distance of a peg from what it follows, in ticks.
    #[arg(
        long,
        value_name = "TICKS",
        value_parser = parse::ticks,
        allow_hyphen_values = true,
        requires = "peg"
    )]
    offset: Option<i64>,
    /// Under this group of market maker protection.
    #[arg(long, value_name = "N")]
    mmp_group: Option<i32>,
    /// Own number of the order. The same number with the same content is entered once, however often it
    /// is sent.
    #[arg(long, value_name = "ID")]
    client_id: Option<u64>,
    /// Run every check, enter nothing.
    #[arg(long)]
    validate_only: bool,
}

impl Submit {
    pub(super) async fn run(self) -> Result<()> {
        if self.client_id == Some(0) {
            bail!("--client-id 0 means \"not set\"; use a number above zero");
        }
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        let instrument = names::instrument(&client, &self.symbol).await?;
        // The time is unique enough for one person's account and repeats for nobody.
        let client_order_id = self.client_id.unwrap_or(now_unix_nanos().unsigned_abs());
        let order = self.order(client_order_id, instrument.instrument_id);
        let request = SubmitOrderRequest {
            account_id,
            order: Some(order),
            validate_only: self.validate_only,
            deadline_unix_nanos: 0,
        };
        let answer = client
            .trading()
            .submit_order(request)
            .await
            .map_err(ClientError::from);
        let answer = match answer {
            Err(error @ ClientError::Unknown(_)) => {
                let advice = format!(
                    "the outcome is unknown; repeat with --client-id {client_order_id} to be sure, \
                     the order will be entered at most once"
                );
                return Err(error).context(advice);
            }
            other => other?.into_inner(),
        };
        if self.validate_only {
            print("the order would be accepted\n")?;
            return Ok(());
        }
        let lines: Vec<String> = answer.events.iter().map(sentence).collect();
        print(&(lines.join("\n") + "\n"))?;
        let rejected = |e: &&OrderEvent| e.kind() == OrderEventKind::Rejected;
        match answer.events.iter().find(rejected) {
            Some(event) => bail!("refused: {}", cause(event)),
            None => Ok(()),
        }
    }

    fn order(&self, client_order_id: u64, instrument_id: i32) -> NewOrder {
        let order_type = match (self.price, self.stop, self.peg) {
            (_, _, Some(_)) => OrderType::Pegged,
            (Some(_), None, None) => OrderType::Limit,
            (Some(_), Some(_), None) => OrderType::StopLimit,
            (None, Some(_), None) => OrderType::StopMarket,
            (None, None, None) => OrderType::Market,
        };
        let tif = match self.price {
            _ if self.at_auction => TimeInForce::AtAuction,
            Some(_) => TimeInForce::Gtc,
            None => TimeInForce::Ioc,
        };
        NewOrder {
            client_order_id,
            instrument_id,
            side: self.side.into(),
            order_type: order_type.into(),
            time_in_force: self.tif.unwrap_or(tif).into(),
            price_ticks: self.price,
            quantity_lots: self.lots,
            post_only: self.post_only.unwrap_or_default().into(),
            reduce_only: self.reduce_only,
            trigger_price_ticks: self.stop,
            trigger_source: self.trigger.unwrap_or_default().into(),
            display_lots: self.display.unwrap_or(0),
            min_fill_lots: self.min_fill.unwrap_or(0),
            peg_reference: self.peg.unwrap_or_default().into(),
            peg_offset_ticks: self.offset.unwrap_or(0),
            mmp_group: self.mmp_group.unwrap_or(0),
            ..Default::default()
        }
    }
}

/// One event in words.
pub(super) fn sentence(event: &OrderEvent) -> String {
    let order = format!(
        "order {} (client id {})",
        event.order_id, event.client_order_id
    );
    let side = names::side(event.side);
    let price = amounts::grouped(event.price_ticks);
    let fill = event.fill.clone().unwrap_or_default();
    match event.kind() {
        OrderEventKind::Accepted => {
            let lots = amounts::grouped(event.total_lots);
            let waits = match event.status() {
                OrderStatus::Untriggered => ", waits for its trigger",
                _ => "",
            };
            format!("accepted {order}: {side} {lots} @ {price}{waits}")
        }
        OrderEventKind::Triggered => format!("triggered {order}: {side} @ {price}"),
        OrderEventKind::Fill => {
            let mut text = format!(
                "filled {} @ {} in trade {}, {} lots left",
                amounts::grouped(fill.lots),
                amounts::grouped(fill.price_ticks),
                fill.trade_id,
                amounts::grouped(event.open_lots)
            );
            for leg in &fill.legs {
                text += &format!(
                    "\n  {} {} of contract {} @ {}",
                    names::side(leg.side),
                    amounts::grouped(leg.lots),
                    leg.instrument_id,
                    amounts::grouped(leg.price_ticks)
                );
            }
            text
        }
        OrderEventKind::Cancelled => {
            let filled = amounts::grouped(event.filled_lots);
            format!("cancelled {order}, {filled} lots filled: {}", cause(event))
        }
        OrderEventKind::Rejected => format!("rejected {order}: {}", cause(event)),
        OrderEventKind::CancelRejected => format!("not cancelled, {order}: {}", cause(event)),
        OrderEventKind::Unspecified
        | OrderEventKind::Replaced
        | OrderEventKind::ReplaceRejected
        | OrderEventKind::Restated
        | OrderEventKind::TradeBusted => {
            let kind = event.kind().as_str_name();
            let kind = kind.trim_start_matches("ORDER_EVENT_KIND_");
            format!("{} {order}: {}", kind.to_lowercase(), cause(event))
        }
    }
}

/// Why, in the exchange's word and its explanation.
pub(super) fn cause(event: &OrderEvent) -> String {
    problem_words(event.problem.as_ref())
}

/// The same of a problem that stands alone.
pub(super) fn problem_words(problem: Option<&Problem>) -> String {
    match problem {
        Some(p) if p.message.is_empty() => reason_name(p.reason),
        Some(p) => format!("{}: {}", reason_name(p.reason), p.message),
        None => "no reason given".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        submit: Submit,
    }

    fn parse(rest: &str) -> Result<NewOrder, clap::Error> {
        let words = ["hashpit", "BTC-FWD-2026-12"]
            .into_iter()
            .chain(rest.split(' '));
        Ok(Line::try_parse_from(words)?.submit.order(7, 3))
    }

    #[test]
    fn flags_become_an_order() {
        let order = parse("--side buy --lots 5 --price 42_640 --post-only").expect("well formed");
        assert_eq!((order.side(), order.quantity_lots), (Side::Buy, 5));
        assert_eq!(order.price_ticks, Some(42_640));
        assert_eq!(order.time_in_force(), TimeInForce::Gtc);
        assert_eq!(order.post_only(), PostOnly::Reject);
        let spread = parse("--side sell --lots 1 --price -5 --tif ioc").expect("well formed");
        assert_eq!(spread.price_ticks, Some(-5));
        let spread = parse("--side buy --lots 10 --price -1_350").expect("well formed");
        assert_eq!(spread.price_ticks, Some(-1_350));
        let even = parse("--side buy --lots 10 --price 0").expect("well formed");
        assert_eq!(even.price_ticks, Some(0));
        let market = parse("--side sell --lots 1").expect("well formed");
        assert_eq!(market.order_type(), OrderType::Market);
        assert_eq!(market.time_in_force(), TimeInForce::Ioc);
    }

    #[test]
    fn each_kind_of_order_has_its_flags() {
        let stop = parse("--side sell --lots 5 --stop 42_000 --trigger mark").expect("well formed");
        assert_eq!(stop.order_type(), OrderType::StopMarket);
        assert_eq!(stop.time_in_force(), TimeInForce::Ioc);
        assert_eq!(stop.trigger_price_ticks, Some(42_000));
        assert_eq!(stop.trigger_source(), TriggerSource::Mark);
        let limited = parse("--side sell --lots 5 --stop 9 --trigger last --price 8");
        assert_eq!(
            limited.expect("well formed").order_type(),
            OrderType::StopLimit
        );
        let iceberg = parse("--side buy --lots 50 --price 9 --display 5 --mmp-group 2");
        let iceberg = iceberg.expect("well formed");
        assert_eq!((iceberg.display_lots, iceberg.mmp_group), (5, 2));
        let peg = parse("--side buy --lots 5 --price 9 --peg best --offset -2");
        let peg = peg.expect("well formed");
        assert_eq!(peg.order_type(), OrderType::Pegged);
        assert_eq!(peg.peg_reference(), PegReference::Best);
        assert_eq!((peg.price_ticks, peg.peg_offset_ticks), (Some(9), -2));
        let auction = parse("--side buy --lots 5 --price 9 --at-auction").expect("well formed");
        assert_eq!(auction.time_in_force(), TimeInForce::AtAuction);
        for bad in [
            "--side buy --lots 5 --stop 9",
            "--side buy --lots 5 --trigger mark",
            "--side buy --lots 5 --peg best",
            "--side buy --lots 5 --price 9 --offset 1",
            "--side buy --lots 5 --price 9 --at-auction --tif gtc",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_price_is_named_on_the_command_line() {
        let error = parse("--side buy --lots 5 --price 42,64O").expect_err("malformed");
        assert!(error.to_string().contains("\"42,64O\""), "{error}");
    }
}
