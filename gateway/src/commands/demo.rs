//! `hashpit demo`: an exchange of its own, a market on it, and a proof at the end.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{
    journal::{hex, verify},
    leaving,
    serve::Io,
};
use crate::{
    anchor::settings::Choice,
    demo::{self, DemoKeys, DemoOptions, series},
    keys::PrivateKey,
    sandbox::{Actor, Sandbox},
    server::{self, Running},
    settings::Settings,
};

/// Runs the demo.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    #[command(flatten)]
    options: DemoOptions,
    /// Folder for the demo's journal and keys, must not hold an exchange yet; by default a temporary
    /// one, removed at the end.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// How the journal writes.
    #[arg(long, value_enum, default_value = "auto")]
    io: Io,
    /// Where state roots are anchored: on the embedded chain, nowhere (off), or as a file says.
    #[arg(
        long,
        value_name = "embedded|off|FILE.toml",
        default_value = "embedded"
    )]
    anchor: Choice,
}

impl Demo {
    /// Runs it.
    ///
    /// # Errors
    /// What keeps it from starting, or a proof that fails.
    pub async fn run(self) -> Result<()> {
        let (folder, temporary) = match &self.data {
            Some(folder) => (folder.clone(), false),
            None => {
                let name = format!("hashpit-demo-{}", std::process::id());
                (std::env::temp_dir().join(name), true)
            }
        };
        let result = self.run_in(&folder).await;
        if temporary {
            // A demo's journal is of no use to anybody afterwards.
            drop(std::fs::remove_dir_all(&folder));
        }
        result
    }

    async fn run_in(self, folder: &Path) -> Result<()> {
        let days = series::load().context("cannot read the hashprice series")?;
        let mut settings = Settings::sandbox(folder);
        settings.io = self.io.choice();
        settings.anchor = match self.anchor {
            Choice::Embedded => Choice::EmbeddedQuick,
            other => other,
        };
        settings.pipeline.epoch_ms = 1_000;
        let key_folder = settings.keys();
        if let Some(first) = days.first() {
            settings.first_hashprice_millisat = first.millisat;
        }
        let running = server::start(settings).await?;
        let sandbox = running
            .sandbox
            .clone()
            .context("the demo runs in a sandbox")?;
        if !sandbox.fresh {
            running.stop().await;
            bail!(
                "{} holds an exchange already; the demo needs a new folder",
                folder.display()
            );
        }
        let keys = keys(&sandbox)?;
        let address = format!("http://{}", running.address);
        let outcome = demo::run(&address, self.options, keys, async || {
            prove(running, &sandbox, folder, &key_folder).await
        })
        .await?;
        println!("{outcome}");
        if outcome.succeeded()
            && outcome
                .remarks
                .iter()
                .all(|line| !line.starts_with("FAILED"))
        {
            return Ok(());
        }
        bail!("the demo's proof failed; see the summary above")
    }
}

fn keys(sandbox: &Sandbox) -> Result<DemoKeys> {
    let load = |actor: &Actor| -> Result<(i64, PrivateKey)> {
        Ok((actor.account, PrivateKey::load(&actor.key)?))
    };
    let role = |role: &str| sandbox.role(role).map(load).collect::<Result<Vec<_>>>();
    let operator = sandbox
        .role("operator")
        .next()
        .context("a sandbox has an operator")?;
    Ok(DemoKeys {
        operator: load(operator)?.1,
        makers: role("maker")?,
        miners: role("miner")?,
        takers: role("taker")?,
    })
}

/// Stops the exchange, replays its journal from the first command, and compares.
async fn prove(mut running: Running, sandbox: &Sandbox, folder: &Path, keys: &Path) -> Vec<String> {
    let follower = running.desk.follower.clone();
    let stats = running.journal.clone();
    let on_chain = match running
        .anchoring
        .as_ref()
        .map(|anchoring| anchoring.home.is_some())
    {
        Some(true) => Some(leaving::withdraw(&mut running, sandbox, keys).await),
        _ => None,
    };
    running.stop().await;
    let live = follower.read().digest();
    let conserved = follower.read().audit();
    let mut lines = vec![match conserved {
        Ok(()) => "books        recounted from scratch: money conserved, longs equal shorts".into(),
        Err(why) => format!("FAILED books do not add up: {why}"),
    }];
    let backend = stats
        .backend()
        .map_or("unknown".into(), |backend| format!("{backend:?}"));
    lines.push(format!("journal      written by {backend}"));
    let escaped = match on_chain {
        None => Vec::new(),
        Some(Err(why)) => vec![format!("FAILED on the chain: {why:#}")],
        Some(Ok((mut told, last))) => {
            match leaving::escape(folder, &last) {
                Ok(more) => told.extend(more),
                Err(why) => told.push(format!("FAILED to leave: {why:#}")),
            }
            told
        }
    };
    lines.extend(escaped);
    let folder = folder.to_path_buf();
    let started = std::time::Instant::now();
    let verified = tokio::task::spawn_blocking(move || verify(&folder)).await;
    lines.push(match verified {
        Ok(Ok(found)) if found.digest == live => format!(
            "replay       {} commands and {} fills executed again in {:.1} s: same results, same \
             state digest {}",
            found.commands,
            found.fills,
            started.elapsed().as_secs_f64(),
            &hex(&found.digest)[..16]
        ),
        Ok(Ok(found)) => format!(
            "FAILED replay ends in digest {}, the live exchange in {}",
            hex(&found.digest),
            hex(&live)
        ),
        Ok(Err(why)) => format!("FAILED replay: {why:#}"),
        Err(why) => format!("FAILED replay: {why}"),
    });
    lines
}
