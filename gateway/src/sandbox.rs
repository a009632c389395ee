//! What a new exchange is born with: assets, commodities, indexes; in a sandbox also firms, accounts,
//! keys and play money. All of it journaled commands, sent once, when the journal is empty.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use engine::{
    command::{
        AccountKind, Command, CreditDeposit, FixingKind, MarginMethod, NewAccount, NewFirm, NewKey,
        Rail, Request, SetAccountOwner, SubmitFixing,
    },
    event::Event,
    exchange::{Exchange, Family},
    ids::{AccountId, AssetId, CommodityId, FirmId, IndexId},
    instrument::{Algorithm, Asset, Commodity, Index, IndexKind},
    margin::Ranges,
    units::{Decimal, Nanos, Ppm},
};
use proto::common::v1::Permission;

use crate::{
    anchor::{
        home::{self, Home},
        key_file::Role,
        signer::Signer,
    },
    desk::{Desk, Environment, refused},
    keys::PrivateKey,
    refusal,
    settings::Settings,
};

/// Name under which the exchange prepares itself.
const SELF: &str = "exchange";
/// Bitcoin, for contracts quoted in satoshi.
pub const BTC: AssetId = AssetId(1);
/// Dollars in millionths, for compute.
pub const USDC: AssetId = AssetId(2);

/// One ready-made actor of the sandbox.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Such as `maker-1`; also the name of its key file.
    pub name: String,
    /// Its account; 0 for the operator.
    pub account: i64,
    /// Its key file.
    pub key: std::path::PathBuf,
}

/// Ready-made accounts and keys.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Everybody, the operator first.
    pub actors: Vec<Actor>,
    /// They were made just now, as opposed to found.
    pub fresh: bool,
}

impl Sandbox {
    /// Actors of a role, such as `maker`.
    pub fn role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Actor> {
        self.actors
            .iter()
            .filter(move |actor| actor.name.starts_with(role))
    }
}

/// The sandbox's traders.
const TRADERS: [(&str, AccountKind); 7] = [
    ("maker-1", AccountKind::MarketMaker),
    ("maker-2", AccountKind::MarketMaker),
    ("maker-3", AccountKind::MarketMaker),
    ("miner-1", AccountKind::Client),
    ("miner-2", AccountKind::Client),
    ("taker-1", AccountKind::Client),
    ("taker-2", AccountKind::Client),
];

/// What each trader begins with, satoshi.
const FIRST_SAT: i64 = 1_000 * 100_000_000;
/// What each trader begins with, millionths of a dollar.
const FIRST_DOLLARS: i64 = 10_000_000 * 1_000_000;

/// Prepares a new exchange; finds what an old one has. With an embedded chain the play money is deposited there,
/// so that the books can be anchored; without one it is only written down.
///
/// # Errors
/// Files, or a refused command.
pub async fn prepare(
    desk: &Desk,
    settings: &Settings,
    home: Option<&Home>,
) -> Result<Option<Sandbox>> {
    // Each piece is looked up by its name first: a start that was interrupted goes on where it ended.
    let fresh = desk.state(|state| state.keys().len() <= TRADERS.len());
    reference_data(desk, settings).await?;
    match settings.environment {
        Environment::Production => {
            let registered = desk.state(|state| !state.keys().is_empty());
            if let Some(public_key) = settings.operator_public_key.filter(|_| !registered) {
                register(desk, FirmId(1), "operator", public_key, operator_rights()).await?;
            } else if !registered {
                bail!("a new production exchange needs --operator-public-key");
            }
            Ok(None)
        }
        Environment::Sandbox => {
            let actors = if fresh {
                make_actors(desk, settings, home).await?
            } else {
                find_actors(desk, &settings.keys())
            };
            Ok(Some(Sandbox { actors, fresh }))
        }
    }
}

/// Sends a command as the exchange itself; the number of what it made.
pub(crate) async fn send(desk: &Desk, command: Command) -> Result<u32> {
    let answer = desk
        .ask(command)
        .await
        .map_err(|status| anyhow!("{}", status.message()))?;
    if let Some(problem) = refused(&answer) {
        bail!("{}", refusal::sentence(&problem));
    }
    let done = answer.events().iter().find_map(|event| match event {
        Event::Done(done) => Some(done.object),
        _ => None,
    });
    done.and_then(|object| u32::try_from(object).ok())
        .context("a command without an answer")
}

pub(crate) fn request<T>(body: T) -> Request<T> {
    Request {
        id: 0,
        key_id: SELF.into(),
        note: String::new(),
        body,
    }
}

struct Kind {
    symbol: &'static str,
    algorithm: Algorithm,
    coins: &'static [&'static str],
    rate_unit: &'static str,
    hashes_per_second: i64,
    hashes_per_share: i64,
    index: &'static str,
    index_unit: &'static str,
    quote: AssetId,
    /// First value of the index, as mantissa and exponent.
    value: (i64, i32),
}

/// Commodities of domain.md section 14 with their index. The first values of the smaller families are
/// plausible round figures, only there so that a sandbox has a mark before its first fixing.
fn kinds(first_hashprice_millisat: i64) -> [Kind; 7] {
    let kind = |symbol, algorithm, coins, (rate_unit, hashes_per_second, hashes_per_share)| Kind {
        symbol,
        algorithm,
        coins,
        rate_unit,
        hashes_per_second,
        hashes_per_share,
        index: "",
        index_unit: "",
        quote: BTC,
        value: (0, 0),
    };
    [
        Kind {
            index: "BTC-HASHPRICE-SAT",
            index_unit: "sat per PH/s per day",
            value: (first_hashprice_millisat, -11),
            ..kind(
                "BTC",
                Algorithm::Sha256d,
                &["BTC"],
                ("PH/s", 1_000_000_000_000_000, 1 << 32),
            )
        },
        Kind {
            index: "BCH-HASHPRICE-SAT",
            index_unit: "sat per PH/s per day",
            value: (42_000_000, -11),
            ..kind(
                "BCH",
                Algorithm::Sha256d,
                &["BCH"],
                ("PH/s", 1_000_000_000_000_000, 1 << 32),
            )
        },
        Kind {
            index: "LTC-DOGE-HASHPRICE-SAT",
            index_unit: "sat per GH/s per day",
            value: (880_100, -11),
            ..kind(
                "LTC-DOGE",
                Algorithm::Scrypt,
                &["LTC", "DOGE"],
                ("GH/s", 1_000_000_000, 1 << 16),
            )
        },
        Kind {
            index: "KAS-HASHPRICE-SAT",
            index_unit: "sat per TH/s per day",
            value: (80_000, -11),
            ..kind(
                "KAS",
                Algorithm::KHeavyHash,
                &["KAS"],
                ("TH/s", 1_000_000_000_000, 1),
            )
        },
        Kind {
            index: "ETC-HASHPRICE-SAT",
            index_unit: "sat per GH/s per day",
            value: (900_000, -11),
            ..kind(
                "ETC",
                Algorithm::Etchash,
                &["ETC"],
                ("GH/s", 1_000_000_000, 1),
            )
        },
        Kind {
            index: "H100-HOUR-USD",
            index_unit: "USD per GPU per day",
            quote: USDC,
            value: (52_800_000, -6),
            ..kind("H100", Algorithm::Compute, &[], ("GPU", 1_000, 0))
        },
        Kind {
            index: "BTC-HASHPRICE-USD",
            index_unit: "USD per PH/s per day",
            quote: USDC,
            // 42,636 sat at 89,316 dollars a coin (hashrate reference, section 7.1).
            value: (38_081_000, -6),
            ..kind(
                "BTC",
                Algorithm::Sha256d,
                &["BTC"],
                ("PH/s", 1_000_000_000_000_000, 1 << 32),
            )
        },
    ]
}

async fn reference_data(desk: &Desk, settings: &Settings) -> Result<()> {
    for (symbol, decimals, min_withdrawal) in [("BTC", 8, 10_000), ("USDC", 6, 1_000_000)] {
        if desk.state(|state| state.assets().iter().any(|known| known.symbol == symbol)) {
            continue;
        }
        let asset = Asset {
            symbol: symbol.into(),
            decimals,
            min_withdrawal,
        };
        send(desk, Command::CreateAsset(request(asset))).await?;
    }
    for kind in kinds(settings.first_hashprice_millisat) {
        let commodity = Commodity {
            symbol: kind.symbol.into(),
            algorithm: kind.algorithm,
            coins: kind.coins.iter().map(|coin| (*coin).into()).collect(),
            rate_unit: kind.rate_unit.into(),
            rate_unit_hashes_per_second: kind.hashes_per_second,
            hashes_per_share: kind.hashes_per_share,
        };
        let known = desk.state(|state| {
            let same = |known: &Commodity| known.symbol == commodity.symbol;
            state
                .commodities()
                .iter()
                .position(same)
                .map(CommodityId::nth)
        });
        let commodity = match known {
            Some(known) => known,
            None => CommodityId(send(desk, Command::CreateCommodity(request(commodity))).await?),
        };
        let index = Index {
            name: kind.index.into(),
            kind: match kind.algorithm {
                Algorithm::Compute => IndexKind::Compute,
                _ => IndexKind::Hashprice,
            },
            commodity,
            quote: kind.quote,
            unit: kind.index_unit.into(),
        };
        let known = desk.state(|state| {
            let same = |known: &engine::exchange::IndexState| known.details.name == kind.index;
            let at = state.indexes().iter().position(same)?;
            Some((IndexId::nth(at), state.indexes()[at].value.is_some()))
        });
        let (index, has_value) = match known {
            Some(known) => known,
            None => (
                IndexId(send(desk, Command::CreateIndex(request(index))).await?),
                false,
            ),
        };
        if settings.environment == Environment::Sandbox && !has_value {
            let (mantissa, exponent) = kind.value;
            let fixing = SubmitFixing {
                index,
                kind: FixingKind::Indicative,
                round: 1,
                value: Decimal { mantissa, exponent },
                day: Nanos(0),
                key_id: SELF.into(),
            };
            send(desk, Command::SubmitFixing(fixing)).await?;
        }
        let of_family = |family: &Family| {
            (family.method.commodity, family.method.asset) == (commodity, kind.quote)
        };
        let known = desk.state(|state| state.families().iter().any(of_family));
        if settings.environment == Environment::Sandbox && kind.symbol == "BTC" && !known {
            let method = first_margin_method(commodity, kind.quote);
            send(desk, Command::SetMarginMethod(request(method))).await?;
        }
    }
    Ok(())
}

/// Margin of the sandbox's BTC forwards. Its scenarios stay below the contracts' own 18 % (1 / 1.12 with dry
/// fees asks 12.5 % of a long, 1 / 0.88 with rich ones 15.9 % of a short) and 35 % (in dollars the coin's price
/// adds 15 % either way: 25.6 and 33.3 %); credit is that of the hashrate reference, section 11. No calendar:
/// the sandbox's chain is whatever its sources say.
fn first_margin_method(commodity: CommodityId, asset: AssetId) -> MarginMethod {
    MarginMethod {
        commodity,
        asset,
        ranges: Ranges {
            price: Ppm(if asset == BTC { 0 } else { 150_000 }),
            difficulty: Ppm(120_000),
            fee_share: Ppm(50_000),
            fees: Ppm(400_000),
            ..Ranges::default()
        },
        tenors: Vec::new(),
        delivery: Ppm(0),
        adjacent_credit: Ppm(700_000),
        other_credit: Ppm(400_000),
        calendar: None,
    }
}

fn rights(permissions: &[Permission]) -> u32 {
    permissions
        .iter()
        .fold(0, |set, permission| set | (1 << *permission as u32))
}

fn operator_rights() -> u32 {
    rights(&[
        Permission::Operator,
        Permission::Oracle,
        Permission::Meter,
        Permission::Read,
        Permission::DropCopy,
    ])
}

async fn register(
    desk: &Desk,
    firm: FirmId,
    label: &str,
    public_key: [u8; 32],
    permissions: u32,
) -> Result<()> {
    let key = NewKey {
        key_id: crate::keys::key_id_of(&public_key),
        firm,
        label: label.into(),
        public_key,
        permissions,
        accounts: Vec::new(),
        expires: Nanos(0),
    };
    send(desk, Command::CreateKey(request(key))).await.map(drop)
}

/// Makes a key file, or uses one that an interrupted start left behind.
fn key_file(folder: &Path, name: &str) -> Result<(std::path::PathBuf, PrivateKey)> {
    let path = folder.join(format!("{name}.key"));
    if path.exists() {
        let key = PrivateKey::load(&path)?;
        return Ok((path, key));
    }
    let key = PrivateKey::generate()?;
    key.save(&path, &format!("sandbox {name}"))?;
    Ok((path, key))
}

async fn make_actors(desk: &Desk, settings: &Settings, home: Option<&Home>) -> Result<Vec<Actor>> {
    let folder = &settings.keys();
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the key folder {}", folder.display()))?;
    let (path, key) = key_file(folder, "operator")?;
    if !is_registered(desk, &key) {
        register(
            desk,
            FirmId(1),
            "operator",
            key.public_key(),
            operator_rights(),
        )
        .await?;
    }
    let mut actors = vec![Actor {
        name: "operator".into(),
        account: 0,
        key: path,
    }];
    for (name, kind) in TRADERS {
        let (path, key) = key_file(folder, name)?;
        let account = match account_of(desk, name) {
            // The key comes last: with it, the actor is complete.
            Some(account) if is_registered(desk, &key) => account,
            found => make_actor(desk, (name, kind), found, (&key, settings, home)).await?,
        };
        actors.push(Actor {
            name: name.into(),
            account: i64::from(account.0),
            key: path,
        });
    }
    Ok(actors)
}

fn is_registered(desk: &Desk, key: &PrivateKey) -> bool {
    desk.state(|state| {
        state
            .keys()
            .iter()
            .any(|known| known.details.key_id == key.key_id())
    })
}

fn account_of(desk: &Desk, label: &str) -> Option<AccountId> {
    desk.state(|state| {
        let labelled = state
            .accounts()
            .iter()
            .find(|account| account.label == label);
        labelled.map(|account| account.id)
    })
}

/// Makes what is missing of a trader: firm, account, money, and last the key.
async fn make_actor(
    desk: &Desk,
    (name, kind): (&str, AccountKind),
    found: Option<AccountId>,
    (key, settings, home): (&PrivateKey, &Settings, Option<&Home>),
) -> Result<AccountId> {
    let code = name.to_ascii_uppercase();
    let known = desk.state(|state| {
        let same = state.firms().iter().find(|firm| firm.details.code == code);
        same.map(|firm| firm.id)
    });
    let firm = match known {
        Some(firm) => firm,
        None => {
            let legal_name = format!("Sandbox {name}");
            let firm = NewFirm {
                code,
                legal_name,
                lei: String::new(),
            };
            FirmId(send(desk, Command::CreateFirm(request(firm))).await?)
        }
    };
    let account = match found {
        Some(account) => account,
        None => {
            let account = NewAccount {
                firm,
                label: name.into(),
                kind,
                maker_fee_offset: 0,
                taker_fee_offset: 0,
            };
            AccountId(send(desk, Command::CreateAccount(request(account))).await?)
        }
    };
    let play_money = match home {
        Some(home) => !deposit(desk, home, (name, account), &settings.keys()).await?,
        None => settings.play_money,
    };
    for (asset, amount) in [(BTC, FIRST_SAT), (USDC, FIRST_DOLLARS)] {
        let funded = desk.state(|state| state.ledger().balance(account, asset).cash.0 > 0);
        if play_money && !funded {
            let deposit = CreditDeposit {
                account,
                asset,
                amount,
                rail: Rail::Sandbox,
            };
            send(desk, Command::CreditDeposit(request(deposit))).await?;
        }
    }
    let permissions = rights(&[
        Permission::Read,
        Permission::Trade,
        Permission::Quote,
        Permission::Risk,
        Permission::Withdraw,
        Permission::DropCopy,
        Permission::Delivery,
        Permission::Rfq,
    ]);
    register(desk, firm, name, key.public_key(), permissions).await?;
    Ok(account)
}

/// Has a trader deposit his money on the embedded chain, with a key of his own beside his other one. False if
/// this exchange was given play money before: then more of it does no harm.
async fn deposit(
    desk: &Desk,
    home: &Home,
    (name, account): (&str, AccountId),
    folder: &Path,
) -> Result<bool> {
    let played = |state: &Exchange| state.transfers().iter().any(|row| row.rail != Rail::Chain);
    if desk.state(played) {
        return Ok(false);
    }
    let passphrase = home::passphrase(folder, true)?;
    let owner = home::key(folder, &owner_key(name), Role::Owner, &passphrase, true)?;
    let set = SetAccountOwner {
        account,
        owner: owner.address().into_array(),
    };
    send(desk, Command::SetAccountOwner(request(set))).await?;
    let (sat, dollars) = (FIRST_SAT.unsigned_abs(), FIRST_DOLLARS.unsigned_abs());
    home.fund(&owner, sat.into(), dollars.into())?;
    Ok(true)
}

/// Name of the file, without its ending, of an actor's key on the chain.
#[must_use]
pub fn owner_key(name: &str) -> String {
    format!("{name}.owner")
}

/// The actors of an exchange that was prepared before.
fn find_actors(desk: &Desk, folder: &Path) -> Vec<Actor> {
    desk.state(|state: &Exchange| {
        let keys = state.keys().iter().filter(|key| !key.revoked);
        keys.map(|key| {
            let owned = state
                .accounts()
                .iter()
                .find(|account| account.firm == key.details.firm && account.firm != FirmId(1));
            Actor {
                name: key.details.label.clone(),
                account: owned.map_or(0, |account| i64::from(account.id.0)),
                key: folder.join(format!("{}.key", key.details.label)),
            }
        })
        .filter(|actor| actor.key.exists())
        .collect()
    })
}
