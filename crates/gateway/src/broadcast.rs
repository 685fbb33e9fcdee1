//! An event on its way to many connections, rendered at most once per dialect and variant.

use crate::metrics::DialectMetrics;
use std::sync::{Arc, Mutex, PoisonError};
use tolmach_dialect::{Dialect, Frame, Notice, Variant};

/// An event on its way to many connections.
pub(crate) struct Broadcast {
    notice: Arc<Notice>,
    rendered: Mutex<Vec<Rendered>>,
}

struct Rendered {
    dialect: &'static str,
    variant: Variant,
    /// `None` where the dialect cannot say it.
    frame: Option<Frame>,
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

    /// The frame that all connections of a dialect and variant share; rendered by the first one that asks.
    pub(crate) fn frame(&self, dialect: &dyn Dialect, variant: Variant, metrics: &DialectMetrics) -> Option<Frame> {
        let id = dialect.manifest().id;
        // Held while rendering, so that a second one who asks waits instead of rendering again.
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = rendered.iter().find(|known| known.variant == variant && known.dialect == id) {
            return known.frame.clone();
        }
        metrics.renders.increment(1);
        let frame = dialect
            .render(&self.notice, variant)
            .inspect_err(|loss| tracing::debug!(%loss, "a notice was asked for that this dialect cannot say"))
            .ok();
        rendered.push(Rendered { dialect: id, variant, frame: frame.clone() });
        frame
    }
}
