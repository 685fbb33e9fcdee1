//! The attackers at work, in a runtime of their own.

use super::arena::Arena;
use super::attack::Attack;
use crate::result::BenchResult;
use rustix::process::setpriority_process;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// The priority of the attackers' threads: the lowest.
const PRIORITY: i32 = 19;

/// The attackers at work, until it is dropped.
pub(super) struct Attackers(Option<Runtime>);

impl Attackers {
    pub(super) fn start(attack: Attack, arena: Arena) -> BenchResult<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(|| {
                // Without it the people are delayed by the attackers, which the figures show.
                let _ = setpriority_process(None, PRIORITY);
            })
            .build()?;
        runtime.spawn(attack.run(Arc::new(arena)));
        Ok(Self(Some(runtime)))
    }
}

impl Drop for Attackers {
    /// Ends all their connections.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting for its tasks is not allowed in a task.
            runtime.shutdown_background();
        }
    }
}
