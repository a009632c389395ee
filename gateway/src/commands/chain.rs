//! `hashpit chain`: the embedded chain alone, for users who want to leave while the exchange is stopped.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail};
use clap::Args;
use engine::journal::{Disk, RealDisk};

use crate::anchor::{
    embedded::{Embedded, Genesis, face},
    home, run,
};

/// Serves the embedded chain of a stopped exchange. It takes transactions like any node; the exchange goes on
/// behind them at its next start.
#[derive(Args, Clone, Debug)]
pub struct ChainCommand {
    /// The exchange's data folder.
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8545")]
    listen: SocketAddr,
    /// The chain's clock is so much ahead: waiting times pass at once. Nobody has this on a public chain.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    ahead: u64,
}

impl ChainCommand {
    /// Serves until Ctrl-C.
    ///
    /// # Errors
    /// A folder without a chain, or one in use; the address.
    pub async fn run(self) -> Result<()> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let folder = run::folder(&self.folder);
        if !folder.join("chain/blocks.log").exists() {
            bail!("{} has no embedded chain", self.folder.display());
        }
        let lock = disk.lock(&folder.join("lock"))?;
        let Some(_lock) = lock else {
            bail!(
                "{} is in use: the running exchange serves its chain with --chain-rpc",
                self.folder.display()
            );
        };
        let ahead = self.ahead;
        // It has begun, so what a new one would begin with does not matter.
        let genesis = Genesis {
            chain_id: home::CHAIN_ID,
            coins: Vec::new(),
        };
        let clock = Arc::new(move || run::now() + ahead);
        let chain = Embedded::open(disk, &folder.join("chain"), &genesis, clock)?;
        let listener = tokio::net::TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        println!(
            "chain {} on http://{}",
            home::CHAIN_ID,
            listener.local_addr()?
        );
        tokio::select! {
            () = face::serve(Arc::new(chain), listener) => {}
            stopped = tokio::signal::ctrl_c() => stopped.context("cannot listen for Ctrl-C")?,
        }
        Ok(())
    }
}
