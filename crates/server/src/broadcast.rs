//! An event on its way to many connections, rendered at most once per dialect and variant.

use crate::metrics::DialectMetrics;
use crate::outgoing::encode;
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use tolmach_dialect::{Dialect, Notice, Variant};
use tolmach_domain::EventKind;

/// An event on its way to many connections.
pub(crate) struct Broadcast {
    notice: Arc<Notice>,
    rendered: OnceLock<Box<Rendered>>,
}

/// One form of it, and the next: a list that only grows is read without a lock.
struct Rendered {
    dialect: &'static str,
    variant: Variant,
    /// As it is written to sockets; `None` where the dialect cannot say it.
    frame: Option<Bytes>,
    next: OnceLock<Box<Rendered>>,
}

impl Broadcast {
    pub(crate) fn new(notice: Arc<Notice>) -> Self {
        Self { notice, rendered: OnceLock::new() }
    }

    pub(crate) fn notice(&self) -> &Arc<Notice> {
        &self.notice
    }

    /// Whether it ends sessions, and maybe connections with them.
    pub(crate) fn ends_sessions(&self) -> bool {
        matches!(self.notice.kind, EventKind::SessionsEnded { .. })
    }

    /// Roughly how many bytes it keeps from being freed.
    pub(crate) fn size(&self) -> usize {
        self.notice.size()
    }

    /// The size of the largest frame that it was turned into so far.
    pub(crate) fn rendered(&self) -> usize {
        let forms = std::iter::successors(self.rendered.get(), |form| form.next.get());
        forms.filter_map(|form| form.frame.as_ref().map(Bytes::len)).max().unwrap_or_default()
    }

    /// The frame whose bytes all connections of a dialect and variant share; rendered by the first
    /// one that asks, while others who ask wait.
    pub(crate) fn frame(
        &self,
        dialect: &dyn Dialect,
        variant: Variant,
        metrics: &DialectMetrics,
    ) -> Option<Bytes> {
        let id = dialect.manifest().id;
        let mut place = &self.rendered;
        loop {
            let rendered = place.get_or_init(|| {
                metrics.renders.increment(1);
                let frame = dialect.render(&self.notice, variant);
                let frame = frame.inspect_err(|loss| tracing::debug!(%loss, "a notice was asked for that this dialect cannot say"));
                Box::new(Rendered { dialect: id, variant, frame: frame.ok().map(encode), next: OnceLock::new() })
            });
            if rendered.variant == variant && rendered.dialect == id {
                return rendered.frame.clone();
            }
            place = &rendered.next;
        }
    }
}
