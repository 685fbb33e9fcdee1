//! Publishing a commit, beside the next transaction.

use crate::job::{Answer, JobSpace};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tolmach_domain::Event;
use tolmach_engine::ports::Bus;

/// A commit that is being published and answered.
pub(crate) struct Publication {
    /// Resolves when the events are published, before the callers are answered.
    pub(crate) published: oneshot::Receiver<()>,
    task: JoinHandle<()>,
}

impl Publication {
    /// Publishes the events, then answers the callers, then releases the space of their jobs.
    pub(crate) fn begin(
        bus: Arc<dyn Bus>,
        events: Vec<Arc<Event>>,
        answers: Vec<Answer>,
        space: Vec<JobSpace>,
    ) -> Self {
        let (sender, published) = oneshot::channel();
        let task = tokio::spawn(async move {
            if !events.is_empty() {
                bus.publish(&events).await;
            }
            // The writer has no receiver while it runs a transaction.
            let _ = sender.send(());
            for answer in answers {
                answer(Ok(()));
            }
            drop(space);
        });
        Self { published, task }
    }

    /// Waits until the callers are answered.
    pub(crate) async fn finished(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "publishing a commit panicked");
        }
    }
}
