//! The loss of a connection, as its reading task notices it.

use crate::connection::ConnectionError;
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Notifies the users of a connection of its loss.
#[derive(Default)]
pub(crate) struct Disconnect {
    notify: Notify,
    /// The channels whose subscription this node is ending.
    unsubscribing: Mutex<HashSet<Vec<u8>>>,
}

impl Disconnect {
    /// Reports that the connection is lost.
    pub(crate) fn notify(&self) {
        self.notify.notify_one();
    }

    /// Waits until the connection is lost.
    pub(crate) async fn wait(&self) -> Result<Infallible, ConnectionError> {
        self.notify.notified().await;
        Err(ConnectionError::Lost)
    }

    /// Begins to end subscriptions: the end of others is a loss.
    pub(crate) fn unsubscribing(&self, channels: &[String]) {
        self.channels().extend(channels.iter().map(|channel| channel.clone().into_bytes()));
    }

    /// The subscriptions have ended.
    pub(crate) fn unsubscribed(&self) {
        self.channels().clear();
    }

    /// True if this node is ending the subscription to a channel.
    pub(crate) fn is_unsubscribing(&self, channel: &[u8]) -> bool {
        self.channels().contains(channel)
    }

    fn channels(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.unsubscribing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
