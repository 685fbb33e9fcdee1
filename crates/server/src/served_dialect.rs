//! A dialect with what this server adds to it.

use crate::memory_budget::MemoryBudget;
use crate::metrics::DialectMetrics;
use crate::options::{DialectOptions, Limits};
use crate::pins::{Pins, UnknownRevision};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tolmach_dialect::{Dialect, Handshake, HandshakeRejection, Manifest, ServerSession};
use tolmach_domain::IdNamespace;
use tolmach_engine::ExternalIds;

/// The number of the next [`ServedDialect`].
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// A dialect with what this server adds to it.
pub(crate) struct ServedDialect {
    /// Its own within the process: a dialect that takes the place of another one of the same id
    /// writes other frames.
    pub(crate) number: u64,
    pub(crate) dialect: Arc<dyn Dialect>,
    /// The largest WebSocket message, in bytes.
    pub(crate) max_frame_bytes: usize,
    /// The largest HTTP body, in bytes.
    pub(crate) max_body_bytes: usize,
    pub(crate) pins: Pins,
    /// The ids that its clients know objects by; `None` if they know those of the world.
    pub(crate) external_ids: Option<Arc<ExternalIds>>,
    /// The same dialect without those, made with its first use.
    without_external_ids: OnceLock<Arc<Self>>,
    pub(crate) metrics: DialectMetrics,
    /// The budget that rendered events count in.
    pub(crate) memory: Arc<MemoryBudget>,
}

impl ServedDialect {
    /// `external_ids` gives the ids of the namespace that the options name. Fails if a pin has a
    /// revision that the dialect has not.
    pub(crate) fn new(
        dialect: Arc<dyn Dialect>,
        options: &DialectOptions,
        limits: &Limits,
        memory: Arc<MemoryBudget>,
        external_ids: impl FnOnce(IdNamespace) -> Arc<ExternalIds>,
    ) -> Result<Self, UnknownRevision> {
        let manifest = dialect.manifest();
        let max_frame_bytes = options
            .max_frame_bytes
            .or(limits.max_frame_bytes)
            .unwrap_or(manifest.limits.max_frame_bytes);
        Ok(Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            max_frame_bytes,
            max_body_bytes: manifest.limits.max_body_bytes,
            pins: Pins::new(manifest, &options.pins)?,
            external_ids: options.ids.clone().map(external_ids),
            without_external_ids: OnceLock::new(),
            metrics: DialectMetrics::new(manifest),
            memory,
            dialect,
        })
    }

    /// The same dialect for a client of an upstream, whose ids are not those of this world.
    pub(crate) fn without_external_ids(&self) -> Arc<Self> {
        let without = self.without_external_ids.get_or_init(|| {
            Arc::new(Self {
                number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
                dialect: self.dialect.clone(),
                pins: self.pins.clone(),
                external_ids: None,
                without_external_ids: OnceLock::new(),
                metrics: self.metrics.clone(),
                memory: self.memory.clone(),
                ..*self
            })
        });
        without.clone()
    }

    /// Starts the server's side of a connection.
    pub(crate) fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        self.dialect.accept(&handshake.external_ids(self.external_ids.is_some()))
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        self.dialect.manifest()
    }

    pub(crate) fn id(&self) -> &'static str {
        self.manifest().id
    }
}
