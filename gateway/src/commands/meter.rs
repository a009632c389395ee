//! `hashpit meter`: runs the reference meter for one obligation.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use engine::units::SECOND;
use tokio::net::TcpListener;

use crate::{
    auth::now_nanos,
    cli::Connection,
    client::{Client, ClientError},
    keys::PrivateKey,
    meter::{Meter, Plan, serve, sign},
};

/// Counts the shares of one delivery between miners and the buyer's pool, and submits signed readings.
#[derive(Args, Clone, Debug)]
pub struct MeterCommand {
    #[command(flatten)]
    connection: Connection,
    /// Where miners connect to.
    #[arg(long, default_value = "127.0.0.1:3333")]
    listen: SocketAddr,
    /// `host:port` of the buyer's pool, Stratum V1.
    #[arg(long)]
    pool: String,
    /// Name that the meter is registered under.
    #[arg(long)]
    meter: String,
    /// Key file that signs the readings; its public key is registered for the meter.
    #[arg(long, value_name = "FILE")]
    meter_key: PathBuf,
    /// Number of the obligation.
    #[arg(long)]
    obligation: i64,
    /// Beginning of its window, UTC seconds since 1970.
    #[arg(long)]
    from: i64,
    /// End of its window.
    #[arg(long)]
    until: i64,
    /// Step of metering, in seconds.
    #[arg(long, default_value_t = 3_600)]
    interval: i64,
    /// Hashes behind a share of difficulty 1: 2^32, for Scrypt 2^16.
    #[arg(long, default_value_t = 1 << 32)]
    hashes_per_share: u64,
    /// Seconds between provisional readings.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    every: u64,
}

impl MeterCommand {
    /// Serves until the last interval is committed.
    ///
    /// # Errors
    /// The listener, the key files, or a reading that the exchange refuses for good.
    pub async fn run(self) -> Result<()> {
        let client = self.connection.open().await?;
        let key = PrivateKey::load(&self.meter_key).context("cannot use the meter's key")?;
        let listener = TcpListener::bind(self.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", self.listen))?;
        let meter = Arc::new(Meter::new(Plan {
            pool: self.pool,
            meter_id: self.meter,
            obligation_id: self.obligation,
            from: self.from.saturating_mul(SECOND),
            until: self.until.saturating_mul(SECOND),
            interval_seconds: self.interval,
            hashes_per_share: self.hashes_per_share,
        }));
        let server = tokio::spawn(serve(meter.clone(), listener));
        let told = tell(&meter, &client, &key, Duration::from_secs(self.every)).await;
        server.abort();
        told
    }
}

/// Submits readings of one interval after the other, each until it is committed.
async fn tell(meter: &Meter, client: &Client, key: &PrivateKey, every: Duration) -> Result<()> {
    for interval in 0.. {
        let (start, end) = meter.span(interval);
        if start >= end {
            return Ok(());
        }
        loop {
            let now = now_nanos();
            let next = now.saturating_add(i64::try_from(every.as_nanos()).unwrap_or(i64::MAX));
            let wake = if now < end {
                next.min(end).max(start)
            } else {
                next
            };
            if now > start + SECOND {
                let reading = meter.reading(interval, now);
                let committed = reading.committed;
                let answer = client
                    .oracle()
                    .submit_meter_reading(sign(key, reading))
                    .await;
                match answer.map_err(ClientError::from) {
                    Ok(_) if committed => break,
                    Ok(_) => {}
                    // Before the last trade there is no obligation yet; anything else is not worth waiting for.
                    Err(error) if error.reason() == "UNKNOWN_OBLIGATION" => {}
                    Err(error) if committed => return Err(error.into()),
                    Err(error) => tracing::warn!(%error, "a provisional reading was refused"),
                }
            }
            let wait = wake.saturating_sub(now_nanos()).max(SECOND / 10);
            tokio::time::sleep(Duration::from_nanos(wait.unsigned_abs())).await;
        }
    }
    Ok(())
}
