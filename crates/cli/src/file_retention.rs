//! The removal of mails and photos that are no longer kept, beside a gateway.

use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, interval_at};
use tolmach_engine::ports::PruneCount;
use tolmach_engine::{Engine, ErrorChain};

/// The time from the start to the first removal: gateways that are restarted often come to it too.
const FIRST: Duration = Duration::from_secs(10 * 60);

/// The time from one removal to the next.
const INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes them once a day. Several gateways may do so at once.
pub(crate) async fn remove_daily(engine: Arc<Engine>) {
    let mut interval = interval_at(Instant::now() + FIRST, INTERVAL);
    loop {
        interval.tick().await;
        match engine.prune_files(engine.now(), false).await {
            Ok(counts) => {
                for PruneCount { kind, records, bytes } in counts {
                    tracing::info!(kind, records, bytes, "old files were removed");
                }
            }
            Err(error) => {
                let error = ErrorChain(&error);
                tracing::warn!(%error, "old files could not be removed");
            }
        }
    }
}
