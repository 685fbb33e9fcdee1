//! The proxy.

use super::dialects::RecordedDialects;
use super::observer::{Counts, Observer};
use crate::arguments::{ListenArguments, Location};
use crate::error::{CliError, RuntimeError, UsageError};
use crate::logging;
use crate::record_arguments::RecordArguments;
use crate::signals::shutdown_on_signal;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::TcpListener;
use tolmach_adapters::OsEntropy;
use tolmach_capture::{Recorder, Recording, RecordingOptions, Replacer, Target};
use tolmach_client::tap::{Relay, TapObserver, TapTransport};
use tolmach_engine::ErrorChain;
use tolmach_engine::ports::Entropy;

/// The most bytes of frames that wait to be written.
const QUEUE_BYTES: usize = 64 << 20;

/// Relays and records until a signal comes.
pub(crate) async fn run(
    location: &Location,
    arguments: &RecordArguments,
) -> Result<String, CliError> {
    let config = location.load_config(&ListenArguments::default()).map_err(UsageError::from)?;
    logging::start(&config.log).map_err(UsageError::from)?;
    let dialects = Arc::new(RecordedDialects::of(&config, arguments.dialect.as_deref())?);
    let cannot_listen = |source| RuntimeError::Listen { address: arguments.listen.clone(), source };
    let listener = TcpListener::bind(&arguments.listen).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let mut key = [0; 32];
    OsEntropy::new().map_err(RuntimeError::from)?.fill(&mut key);
    let options = RecordingOptions {
        recorder: Recorder::Proxy,
        target: Target::File(arguments.output.clone()),
        replacer: Replacer::new(&key, arguments.texts),
        queue_bytes: QUEUE_BYTES,
    };
    let recording = Recording::start(options, |error| {
        tracing::error!(error = %ErrorChain(&error), "the capture cannot be written any more");
    });
    let output = &arguments.output;
    let recording =
        recording.map_err(|source| UsageError::CaptureOutput { path: output.clone(), source })?;
    let shutdown = shutdown_on_signal().map_err(RuntimeError::Signals)?;
    let transport = arguments.upstream.transport;
    let name = match transport {
        TapTransport::Http => "http",
        TapTransport::Values => "tcp",
    };
    writeln!(std::io::stdout(), "ready {name}={address}").map_err(RuntimeError::Output)?;
    let handle = recording.handle();
    let counts = Arc::new(Counts::default());
    let of_connections = counts.clone();
    let observe = move |client: std::net::SocketAddr| {
        let counts = of_connections.clone();
        let observer = Observer::new(handle.clone(), dialects.clone(), client.ip(), counts);
        Box::new(observer) as Box<dyn TapObserver>
    };
    let failed = |error: std::io::Error| {
        tracing::warn!(error = %ErrorChain(&error), "a connection was not relayed");
    };
    let upstream = arguments.upstream.authority.clone();
    let relay = Relay { listener, upstream, transport };
    relay.run(shutdown.cancelled(), observe, failed).await;
    // Writes what waits.
    drop(recording);
    let [frames, missing] = [&counts.frames, &counts.missing].map(|count| count.load(Relaxed));
    if missing > 0 {
        tracing::warn!(missing, "the capture has gaps: its lines `gap` name the reasons");
    }
    tracing::info!(capture = %output.display(), frames, "stopped");
    Ok(String::new())
}
