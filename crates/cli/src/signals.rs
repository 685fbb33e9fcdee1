//! Signals that end the process, or have it read files again.

use std::io;
use tokio_util::sync::CancellationToken;

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

/// SIGHUP, which from now on no longer ends the process. Elsewhere than on Unix it never comes.
pub(crate) struct Hangups {
    #[cfg(unix)]
    signals: tokio::signal::unix::Signal,
}

impl Hangups {
    /// Begins to receive the signal; those that come before [`Hangups::each`] are kept as one.
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { signals: signal(SignalKind::hangup())? })
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Calls `reload` at each signal, one call after the other, on a thread that may block.
    #[cfg(unix)]
    pub(crate) fn each<F: FnMut() + Send + 'static>(mut self, mut reload: F) {
        let call = |mut reload: F| {
            tokio::task::spawn_blocking(move || {
                reload();
                reload
            })
        };
        tokio::spawn(async move {
            while self.signals.recv().await.is_some() {
                match call(reload).await {
                    Ok(again) => reload = again,
                    // Fails only if it panicked.
                    Err(error) => {
                        tracing::error!(%error, "files are no longer read again");
                        return;
                    }
                }
            }
        });
    }

    #[cfg(not(unix))]
    pub(crate) fn each<F: FnMut() + Send + 'static>(self, _: F) {}
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
