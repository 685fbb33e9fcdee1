//! `tolmach serve`

use super::Failure;
use crate::cli::{Address, Place};
use crate::server::Server;
use crate::world::World;
use crate::{logging, metrics};
use std::io::Write;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(super) async fn run(place: &Place, address: &Address) -> Result<String, Failure> {
    let mut config = place.load(address)?;
    logging::start(&config.log)
        .map_err(|error| Failure::Configuration(format!("`log.filter`: {error}")))?;
    let listen = &config.http.listen;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| Failure::Failed(format!("cannot listen on {listen}: {error}")))?;
    let bound = listener.local_addr().map_err(|error| Failure::Failed(error.to_string()))?;
    if listen.ends_with(":0") {
        // Links have to name the port that was taken.
        config.http.listen = bound.to_string();
    }
    let metrics = metrics::install()
        .map_err(|error| Failure::Failed(format!("metrics cannot be kept: {error}")))?;
    let world = World::open(&config, &place.data).await?;
    let stop = stop_on_signal()
        .map_err(|error| Failure::Failed(format!("signals cannot be heard: {error}")))?;
    let server =
        Server::new(world.engine.clone(), world.bus.clone(), &config, listener, metrics).await?;
    tracing::info!(url = config.public_url(), data = %place.data.display(), "serving");
    for place in server.places() {
        tracing::info!("{place}");
    }
    // The listener queues connections from the moment it was bound.
    let told = writeln!(std::io::stdout(), "ready http={bound}");
    told.map_err(|error| Failure::Failed(format!("cannot write to the standard output: {error}")))?;
    server.serve(stop).await;
    world.close().await;
    tracing::info!("stopped");
    Ok(String::new())
}

/// Cancelled by the first signal to stop; the second ends the process at once.
fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut signals, told) = (Signals::new()?, stop.clone());
    tokio::spawn(async move {
        signals.next().await;
        told.cancel();
        signals.next().await;
        tracing::warn!("told to stop twice");
        std::process::exit(1);
    });
    Ok(stop)
}

/// What tells a process to stop: an interrupt, and on Unix SIGTERM too.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
