//! `ottla serve`.

use super::Settings;
use crate::{broker, config::BrokerConfig};
use std::time::Instant;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs a broker until it is told to stop.
pub(super) async fn serve(settings: Settings) -> anyhow::Result<()> {
    let stop = StopSignal::listen()?;
    let running = start(settings).await?;
    stop.wait().await;
    running.stop().await
}

/// Starts a broker and says in a few lines what it is.
pub(super) async fn start(settings: Settings) -> anyhow::Result<broker::Running> {
    let begin = Instant::now();
    let (config, warnings) = BrokerConfig::load(settings.file.as_ref(), &settings.overrides)?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let running = broker::start(config).await?;
    let broker = running.broker();
    for listener in running.addresses() {
        eprintln!("listening on  {listener}");
    }
    if let Some(http) = running.http_address() {
        eprintln!("metrics at    http://{http}/metrics");
    }
    let dirs: Vec<String> = broker
        .config
        .log_dirs
        .iter()
        .map(|dir| dir.display().to_string())
        .collect();
    eprintln!("data in       {}", dirs.join(", "));
    eprintln!("cluster id    {}, node {}", broker.cluster_id, broker.node_id);
    eprintln!("ready after   {} ms", begin.elapsed().as_millis());
    Ok(running)
}

/// SIGTERM and SIGINT. One that comes while the broker starts is not lost, nor does it end the process without a clean
/// stop.
pub(super) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Listens from now on.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one.
    pub(super) async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
