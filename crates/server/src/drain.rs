//! The drain at shutdown: every connection is asked to close in its turn.

use crate::state::ServerState;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

/// The HTTP connections that wait for their turn to close.
pub(crate) type Turns = mpsc::UnboundedReceiver<oneshot::Sender<()>>;

/// The means by which an HTTP connection learns that it has to close.
#[derive(Clone)]
pub(crate) struct Drain {
    shutdown: CancellationToken,
    turns: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

impl Drain {
    /// A drain that begins with `shutdown`, and its turns, which end with the last clone.
    pub(crate) fn new(shutdown: CancellationToken) -> (Self, Turns) {
        let (turns, waiting) = mpsc::unbounded_channel();
        (Self { shutdown, turns }, waiting)
    }

    /// Waits for the shutdown, and then for the turn of this connection.
    pub(crate) async fn turn(self) {
        self.shutdown.cancelled().await;
        let (sender, turn) = oneshot::channel();
        // Without a receiver of turns, there is none to wait for.
        if self.turns.send(sender).is_ok() {
            drop(self.turns);
            let _ = turn.await;
        }
    }
}

/// Asks every connection to close, so many in a second: WebSockets first, because an HTTP/2
/// connection may carry some.
pub(crate) async fn close_connections(state: &ServerState, mut waiting: Turns, per_second: u32) {
    let period = Duration::from_secs(1) / per_second;
    let mut pace = interval_at(Instant::now() + period, period);
    let subscribers = state.hub.connections();
    tracing::info!(websockets = subscribers.len(), per_second, "draining");
    for subscriber in subscribers {
        // Checked before the pause and after it: a connection that has ended takes no turn.
        if subscriber.strong_count() > 0 {
            pace.tick().await;
        }
        if let Some(subscriber) = subscriber.upgrade() {
            subscriber.queue.go_away();
        }
    }
    // Ends when every HTTP connection was asked or has ended.
    while let Some(turn) = waiting.recv().await {
        if !turn.is_closed() {
            pace.tick().await;
            // Fails if the connection has ended meanwhile.
            let _ = turn.send(());
        }
    }
}
