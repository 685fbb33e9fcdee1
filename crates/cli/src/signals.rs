//! Signals that end the process, or have it read files again.

use std::io;
use tokio_util::sync::CancellationToken;
use tolmach_server::Tls;

/// The exit code after a second signal.
const FORCED_EXIT_CODE: i32 = 1;

/// A token that the first shutdown signal cancels: an interrupt, and on Unix SIGTERM. The second
/// one ends the process at once.
pub(crate) fn shutdown_on_signal() -> io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let (mut signals, token) = (Signals::new()?, shutdown.clone());
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("shutdown signal received");
        token.cancel();
        signals.next().await;
        tracing::warn!("second shutdown signal, exiting");
        std::process::exit(FORCED_EXIT_CODE);
    });
    Ok(shutdown)
}

/// Reads the certificate of TLS again at each SIGHUP, on Unix.
#[cfg(unix)]
pub(crate) fn reload_on_signal(tls: Tls) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let tls = tls.clone();
            // An error was logged, and the certificate stays.
            let _ = tokio::task::spawn_blocking(move || tls.reload()).await;
        }
    });
    Ok(())
}

/// Elsewhere there is no such signal.
#[cfg(not(unix))]
pub(crate) fn reload_on_signal(_: Tls) -> io::Result<()> {
    Ok(())
}

struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
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
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
