//! `tolmach serve`

use crate::arguments::{ListenArguments, Location};
use crate::backend::{self, Backend};
use crate::config::Config;
use crate::dialect_reload::ServedDialects;
use crate::dialects::compile_revisions;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::file_retention::remove_daily;
use crate::gateway_recording;
use crate::serving::server_builder;
use crate::signals::{Hangups, shutdown_on_signal};
use crate::{bus_metrics, logging, upstreams};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use tokio::net::TcpListener;
use tolmach_adapters::OsEntropy;
use tolmach_engine::ports::Entropy;
use tolmach_server::{Metrics, TcpOptions, Upstream};

pub(crate) async fn run(location: &Location, listen: &ListenArguments) -> Result<String, CliError> {
    let config = location.load_config(listen).map_err(UsageError::from)?;
    serve(config, &location.data, None).await
}

/// Serves until a signal comes, with its data in this folder: by the engine or, with an upstream,
/// by that.
pub(crate) async fn serve(
    mut config: Config,
    data: &Path,
    upstream: Option<Arc<dyn Upstream>>,
) -> Result<String, CliError> {
    // Beside all that comes before the dialects. Without the thread they are compiled when they are
    // needed.
    let _ = thread::Builder::new().name("dialects".to_owned()).spawn(compile_revisions);
    logging::start(&config.log).map_err(UsageError::from)?;
    backend::check_proxy_protocol(&config.http)?;
    backend::check_tcp(&config)?;
    let tls = backend::tls(&config.http)?;
    let (listener, address) = bind(&config.http.listen).await?;
    let admin = match config.admin.listen.as_str() {
        "" => None,
        listen => Some(bind(listen).await?),
    };
    let tcp = match config.tcp.sndmsg.listen.as_str() {
        "" => None,
        listen => Some(bind(listen).await?),
    };
    if config.http.listen.ends_with(":0") {
        // Links name the port that was taken.
        config.http.listen = address.to_string();
    }
    let metrics = Metrics::install()?;
    let backend = Backend::open(&config, data).await?;
    if let Some(redis) = &backend.redis {
        bus_metrics::record(redis);
    }
    let shutdown = shutdown_on_signal().map_err(RuntimeError::Signals)?;
    let hangups = Hangups::new().map_err(RuntimeError::Signals)?;
    let mut dialects = ServedDialects::read(&config).map_err(UsageError::from)?;
    let mut builder = server_builder(&backend, &config, dialects.list()).metrics(metrics);
    if let Some(upstream) = upstream {
        builder = builder.upstream(upstream);
    }
    if !config.bridge.upstreams.is_empty() {
        let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy::new()?);
        for (name, upstream) in upstreams::named(&config, &entropy)? {
            builder = builder.named_upstream(name, upstream);
        }
    }
    if let Some(tls) = &tls {
        builder = builder.tls(tls.clone());
    }
    let recording = gateway_recording::start(&config, data, &backend.engine)?;
    if let Some(recording) = &recording {
        builder = builder.recorder(gateway_recording::recorder(recording, &config));
    }
    let mut ready = format!("ready http={address}");
    if let Some((listener, address)) = admin {
        builder = builder.admin(listener);
        ready.push_str(&format!(" admin={address}"));
    }
    if let Some((listener, address)) = tcp {
        builder = builder.tcp(listener, sndmsg_on_tcp(config.tcp.sndmsg.tls));
        ready.push_str(&format!(" sndmsg-tcp={address}"));
    }
    let server = builder.bind(listener).await?;
    tracing::info!(url = config.public_url(), data = %data.display(), "serving");
    for line in server.routes().describe() {
        tracing::info!("{line}");
    }
    let reloader = server.reloader();
    hangups.each(move || {
        if let Some(tls) = &tls {
            // An error was logged, and the certificate stays.
            let _ = tls.reload();
        }
        dialects.reload(&config, &reloader);
    });
    // Connections are queued from the moment of binding, so that clients may connect from here on.
    writeln!(std::io::stdout(), "{ready}").map_err(RuntimeError::Output)?;
    let file_retention = tokio::spawn(remove_daily(backend.engine.clone()));
    server.serve(shutdown).await;
    // Writes what waits.
    drop(recording);
    file_retention.abort();
    backend.close().await;
    tracing::info!("stopped");
    Ok(String::new())
}

/// `sndmsg` on raw TCP: the clients that exist there are of one revision.
fn sndmsg_on_tcp(tls: bool) -> TcpOptions {
    TcpOptions { dialect: "sndmsg".to_owned(), revision: Some("uchat".to_owned()), tls }
}

/// A listener, and the address that it has.
async fn bind(address: &str) -> Result<(TcpListener, SocketAddr), RuntimeError> {
    let cannot_listen = |source| RuntimeError::Listen { address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
    let bound = listener.local_addr().map_err(cannot_listen)?;
    Ok((listener, bound))
}
