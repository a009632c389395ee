//! `hashpit key new` and `hashpit token`: the private key stays in its file.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use crate::{auth::now_nanos, keys::PrivateKey};

/// Keys.
#[derive(Subcommand, Clone, Debug)]
pub enum Key {
    /// Makes a key file; prints what an operator needs to register it.
    New {
        /// File to write; must not exist.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Remark stored in the file.
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// Mints a token for one method.
#[derive(Args, Clone, Debug)]
pub struct Token {
    /// Key file.
    #[arg(long, env = "HASHPIT_KEY", value_name = "FILE")]
    pub key: PathBuf,
    /// Method, such as `hashpit.trading.v1.TradingService/GetOrder`.
    #[arg(long)]
    pub method: String,
    /// Seconds it lives, 1 to 60.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(i64).range(1..=60))]
    pub seconds: i64,
}

impl Key {
    /// Makes the key.
    ///
    /// # Errors
    /// The file.
    pub fn run(self) -> Result<()> {
        let Self::New { out, note } = self;
        let key = PrivateKey::generate()?;
        key.save(&out, &note)?;
        let public: String = key
            .public_key()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        println!("key file    {}", out.display());
        println!("key id      {}", key.key_id());
        println!("public key  {public}");
        println!(
            "Register the public key with AdminService.CreateApiKey; the file stays with you."
        );
        Ok(())
    }
}

impl Token {
    /// Prints the token.
    ///
    /// # Errors
    /// The file, or a method that is not one.
    pub fn run(self) -> Result<()> {
        let method = self.method.trim_start_matches('/');
        let Some((service, name)) = method.split_once('/') else {
            bail!(
                "--method {:?}: expected package.Service/Method",
                self.method
            );
        };
        if service.is_empty() || name.is_empty() || name.contains('/') {
            bail!(
                "--method {:?}: expected package.Service/Method",
                self.method
            );
        }
        let key = PrivateKey::load(&self.key)?;
        println!(
            "{}",
            key.mint(
                &format!("/{method}"),
                now_nanos() / 1_000_000_000,
                self.seconds
            )
        );
        Ok(())
    }
}
