//! `ottla serve`.

use super::Settings;
use crate::{broker, config::BrokerConfig};
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// Runs a broker until it is told to stop.
pub(super) async fn serve(settings: Settings) -> anyhow::Result<()> {
    let running = start(settings).await?;
    await_stop_signal().await?;
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

/// Waits for SIGTERM or SIGINT.
pub(super) async fn await_stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
