//! An event on its way to many connections, rendered at most once per dialect and variant.

use crate::connection::message;
use crate::metrics::DialectMetrics;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_tungstenite::tungstenite::Message;
use tolmach_dialect::{Dialect, Notice, Variant};

/// An event on its way to many connections.
pub(crate) struct Broadcast {
    notice: Arc<Notice>,
    rendered: Mutex<Vec<Rendered>>,
}

struct Rendered {
    dialect: &'static str,
    variant: Variant,
    /// As the socket takes it; `None` where the dialect cannot say it.
    message: Option<Message>,
}

impl Broadcast {
    pub(crate) fn new(notice: Arc<Notice>) -> Self {
        Self { notice, rendered: Mutex::default() }
    }

    pub(crate) fn notice(&self) -> &Arc<Notice> {
        &self.notice
    }

    /// Roughly how many bytes it keeps from being freed.
    pub(crate) fn size(&self) -> usize {
        self.notice.size()
    }

    /// The message whose bytes all connections of a dialect and variant share; rendered by the first one that asks.
    pub(crate) fn message(&self, dialect: &dyn Dialect, variant: Variant, metrics: &DialectMetrics) -> Option<Message> {
        let id = dialect.manifest().id;
        // Held while rendering, so that a second one who asks waits instead of rendering again.
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = rendered.iter().find(|known| known.variant == variant && known.dialect == id) {
            return known.message.clone();
        }
        metrics.renders.increment(1);
        let message = dialect
            .render(&self.notice, variant)
            .inspect_err(|loss| tracing::debug!(%loss, "a notice was asked for that this dialect cannot say"))
            .ok()
            .map(message);
        rendered.push(Rendered { dialect: id, variant, message: message.clone() });
        message
    }
}
