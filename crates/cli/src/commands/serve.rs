//! `tolmach serve`

use crate::arguments::{ListenArguments, Location};
use crate::backend::Backend;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::serving::server_builder;
use crate::signals::shutdown_on_signal;
use crate::{bus_metrics, logging};
use std::io::Write;
use tokio::net::TcpListener;
use tolmach_server::Metrics;

pub(crate) async fn run(location: &Location, listen: &ListenArguments) -> Result<String, CliError> {
    let mut config = location.load_config(listen).map_err(UsageError::from)?;
    logging::start(&config.log).map_err(UsageError::from)?;
    let cannot_listen =
        |source| RuntimeError::Listen { address: config.http.listen.clone(), source };
    let listener = TcpListener::bind(&config.http.listen).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    if config.http.listen.ends_with(":0") {
        // Links name the port that was taken.
        config.http.listen = address.to_string();
    }
    let metrics = Metrics::install()?;
    let backend = Backend::open(&config, &location.data).await?;
    if let Some(redis) = &backend.redis {
        bus_metrics::record(redis);
    }
    let shutdown = shutdown_on_signal().map_err(RuntimeError::Signals)?;
    let server = server_builder(&backend, &config)?.metrics(metrics).bind(listener).await?;
    tracing::info!(url = config.public_url(), data = %location.data.display(), "serving");
    for line in server.routes().describe() {
        tracing::info!("{line}");
    }
    // Connections are queued from the moment of binding, so that clients may connect from here on.
    writeln!(std::io::stdout(), "ready http={address}").map_err(RuntimeError::Output)?;
    server.serve(shutdown).await;
    backend.close().await;
    tracing::info!("stopped");
    Ok(String::new())
}
