//! `mmp` and `kill-switch`: what a risk manager holds over the own firm.

use anyhow::Result;
use clap::{ArgGroup, Args, Subcommand};
use proto::risk::v1::{
    ListKillSwitchesRequest, ListMmpGroupsRequest, MmpGroup, ResetMmpGroupRequest,
    SetKillSwitchRequest, SetMmpGroupRequest, kill_switch, set_kill_switch_request::Scope,
};

use super::{
    AccountChoice, Connection, amounts, names, parse, print,
    table::{Align, Table},
};
use crate::client::{ClientError, now_unix_nanos};

/// Market maker protection: limits on a group's fills that cancel its orders and quotes when hit.
#[derive(Args, Clone, Debug)]
pub struct Mmp {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    account: AccountChoice,
    #[command(subcommand)]
    what: MmpWhat,
}

#[derive(Subcommand, Clone, Debug)]
enum MmpWhat {
    /// Creates or replaces a group. A limit that is not given is off.
    Set(Group),
    /// Lists the account's groups.
    List,
    /// Ends a freeze and sets the counters to zero.
    Reset {
        /// Number of the group.
        group: i32,
    },
}

/// A group's limits.
#[derive(Args, Clone, Debug)]
struct Group {
    /// Number of the group, 1 to 65535.
    group: i32,
    /// A contract of the product that the group covers.
    #[arg(long)]
    symbol: String,
    /// Rolling window in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    window_ms: i32,
    /// Length of a freeze in milliseconds; 0 = until reset.
    #[arg(long, default_value_t = 0)]
    frozen_ms: i32,
    /// Filled lots times hours of the delivery window.
    #[arg(long, default_value_t = 0)]
    quantity: i64,
    /// The same with sign.
    #[arg(long, default_value_t = 0)]
    net: i64,
    /// Value of the fills, in minor units.
    #[arg(long, default_value_t = 0)]
    notional: i64,
    /// Number of fills.
    #[arg(long, default_value_t = 0)]
    fills: i32,
    /// Distinct contracts filled.
    #[arg(long, default_value_t = 0)]
    contracts: i32,
    /// Largest quote side.
    #[arg(long, value_parser = parse::lots)]
    max_quote_lots: i64,
}

impl Group {
    fn message(&self, product_id: i32) -> MmpGroup {
        MmpGroup {
            mmp_group: self.group,
            product_id,
            window_ms: self.window_ms,
            frozen_ms: self.frozen_ms,
            quantity_limit_lot_hours: self.quantity,
            net_quantity_limit_lot_hours: self.net,
            notional_limit_minor: self.notional,
            fill_count_limit: self.fills,
            instruments_hit_limit: self.contracts,
            max_quote_lots: self.max_quote_lots,
            ..MmpGroup::default()
        }
    }
}

impl Mmp {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let account_id = self.account.resolve(&client).await?;
        match self.what {
            MmpWhat::Set(group) => {
                let contract = names::instrument(&client, &group.symbol).await?;
                let request = SetMmpGroupRequest {
                    account_id,
                    group: Some(group.message(contract.product_id)),
                    request_id: now_unix_nanos().unsigned_abs(),
                };
                let answer = client.risk().set_mmp_group(request).await;
                answer.map_err(ClientError::from)?;
                let (number, product) = (group.group, contract.product);
                print(&format!("group {number} protects {product}\n"))?;
            }
            MmpWhat::List => {
                let request = ListMmpGroupsRequest {
                    account_id,
                    page_size: 0,
                    page_token: String::new(),
                };
                let answer = client.risk().list_mmp_groups(request).await;
                let groups = answer.map_err(ClientError::from)?.into_inner().groups;
                print(&table(&groups))?;
            }
            MmpWhat::Reset { group } => {
                let request = ResetMmpGroupRequest {
                    account_id,
                    mmp_group: group,
                };
                let answer = client.risk().reset_mmp_group(request).await;
                answer.map_err(ClientError::from)?;
                print(&format!("group {group} is not frozen\n"))?;
            }
        }
        Ok(())
    }
}

fn table(groups: &[MmpGroup]) -> String {
    let mut table = Table::new(&[
        ("group", Align::Right),
        ("product", Align::Right),
        ("window ms", Align::Right),
        ("frozen ms", Align::Right),
        ("quantity", Align::Right),
        ("net", Align::Right),
        ("notional", Align::Right),
        ("fills", Align::Right),
        ("contracts", Align::Right),
        ("quote lots", Align::Right),
        ("state", Align::Left),
    ]);
    for group in groups {
        let state = match (group.frozen, group.frozen_until_unix_nanos) {
            (false, _) => "on".into(),
            (true, 0) => "frozen until reset".into(),
            (true, until) => format!("frozen until {}", names::clock(until)),
        };
        table.row(vec![
            group.mmp_group.to_string(),
            group.product_id.to_string(),
            group.window_ms.to_string(),
            group.frozen_ms.to_string(),
            limit(group.quantity_limit_lot_hours),
            limit(group.net_quantity_limit_lot_hours),
            limit(group.notional_limit_minor),
            limit(group.fill_count_limit.into()),
            limit(group.instruments_hit_limit.into()),
            amounts::grouped(group.max_quote_lots),
            state,
        ]);
    }
    table.render("no protection groups")
}

fn limit(number: i64) -> String {
    match number {
        0 => "off".into(),
        number => amounts::grouped(number),
    }
}

/// Refuses new orders of a session, an account or a firm, until released.
#[derive(Args, Clone, Debug)]
pub struct KillSwitch {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    what: SwitchWhat,
}

#[derive(Subcommand, Clone, Debug)]
enum SwitchWhat {
    /// Switches on.
    Engage {
        #[command(flatten)]
        scope: ScopeChoice,
        /// Also cancel the open orders it covers.
        #[arg(long)]
        cancel: bool,
    },
    /// Switches off.
    Release {
        #[command(flatten)]
        scope: ScopeChoice,
    },
    /// Lists the firm's switches that are on.
    List,
}

/// Exactly one.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("scope").required(true).args(["session", "of_account", "firm"])))]
struct ScopeChoice {
    /// One session, by number.
    #[arg(long, value_name = "N")]
    session: Option<i64>,
    /// One account.
    #[arg(long = "account", value_name = "N")]
    of_account: Option<i64>,
    /// The whole firm.
    #[arg(long, value_name = "N")]
    firm: Option<i64>,
    /// Remark for the audit log.
    #[arg(long, default_value = "")]
    note: String,
}

impl ScopeChoice {
    fn request(self, engaged: bool, cancel_open_orders: bool) -> SetKillSwitchRequest {
        let session = self.session.map(Scope::SessionId);
        let account = self.of_account.map(Scope::AccountId);
        SetKillSwitchRequest {
            scope: session.or(account).or(self.firm.map(Scope::FirmId)),
            engaged,
            cancel_open_orders,
            note: self.note,
            request_id: now_unix_nanos().unsigned_abs(),
        }
    }
}

impl KillSwitch {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let request = match self.what {
            SwitchWhat::Engage { scope, cancel } => scope.request(true, cancel),
            SwitchWhat::Release { scope } => scope.request(false, false),
            SwitchWhat::List => {
                let request = ListKillSwitchesRequest::default();
                let answer = client.risk().list_kill_switches(request).await;
                let on = answer.map_err(ClientError::from)?.into_inner().switches;
                let mut table = Table::new(&[
                    ("level", Align::Left),
                    ("number", Align::Right),
                    ("since", Align::Left),
                    ("key", Align::Left),
                    ("note", Align::Left),
                ]);
                for switch in on {
                    let (level, number) = match switch.scope {
                        Some(kill_switch::Scope::SessionId(id)) => ("session", id),
                        Some(kill_switch::Scope::AccountId(id)) => ("account", id),
                        Some(kill_switch::Scope::FirmId(id)) => ("firm", id),
                        None => ("-", 0),
                    };
                    table.row(vec![
                        level.into(),
                        number.to_string(),
                        names::clock(switch.engaged_unix_nanos),
                        switch.key_id,
                        switch.note,
                    ]);
                }
                print(&table.render("no switch is on"))?;
                return Ok(());
            }
        };
        let engaged = request.engaged;
        let answer = client.risk().set_kill_switch(request).await;
        let cancelled = answer
            .map_err(ClientError::from)?
            .into_inner()
            .cancelled_orders;
        let state = if engaged { "engaged" } else { "released" };
        print(&format!("{state}, {cancelled} orders cancelled\n"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct MmpLine {
        #[command(flatten)]
        mmp: Mmp,
    }

    #[derive(Parser)]
    struct SwitchLine {
        #[command(flatten)]
        switch: KillSwitch,
    }

    #[test]
    fn limits_that_are_not_given_are_off() {
        let line = "mmp set 3 --symbol X --fills 5 --max-quote-lots 1_000";
        let line = MmpLine::try_parse_from(line.split(' ')).expect("well formed");
        let MmpWhat::Set(group) = line.mmp.what else {
            panic!("set")
        };
        let group = group.message(9);
        assert_eq!((group.mmp_group, group.product_id), (3, 9));
        assert_eq!((group.fill_count_limit, group.max_quote_lots), (5, 1_000));
        assert_eq!((group.window_ms, group.notional_limit_minor), (1_000, 0));
        let shown = table(&[group]);
        assert!(shown.contains("off") && shown.contains("1_000"), "{shown}");
    }

    #[test]
    fn a_switch_covers_exactly_one_thing() {
        let parse = |line: &str| SwitchLine::try_parse_from(line.split(' '));
        let one = parse("kill-switch engage --account 4 --cancel").expect("well formed");
        let SwitchWhat::Engage { scope, cancel } = one.switch.what else {
            panic!("engage")
        };
        let request = scope.request(true, cancel);
        assert_eq!(request.scope, Some(Scope::AccountId(4)));
        assert!(request.engaged && request.cancel_open_orders && request.request_id > 0);
        assert!(parse("kill-switch engage").is_err());
        assert!(parse("kill-switch release --account 4 --firm 1").is_err());
    }
}
