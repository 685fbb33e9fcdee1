//! The resident memory of a server, sampled.

use crate::result::BenchResult;
use crate::server::{ResidentMemory, Server};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The time between two samples.
const INTERVAL: Duration = Duration::from_millis(20);

/// The longest time to wait for memory to go back.
pub(super) const RECOVERY_TIME: Duration = Duration::from_secs(30);
/// The part of the memory by which it falls in `settled`, if it has not settled.
const FALL: f64 = 0.01;

/// Waits until the memory of a server has not fallen for `quiet`, and returns it in bytes.
pub(super) async fn settled(server: &Server, quiet: Duration) -> BenchResult<u64> {
    let memory = server.resident_memory();
    let started = Instant::now();
    let (mut lowest, mut since) = (memory.read()?, started);
    while since.elapsed() < quiet && started.elapsed() < RECOVERY_TIME {
        tokio::time::sleep(INTERVAL).await;
        let bytes = memory.read()?;
        if (bytes as f64) < lowest as f64 * (1.0 - FALL) {
            (lowest, since) = (bytes, Instant::now());
        }
    }
    memory.read()
}

/// Samples the memory of a server on a thread of its own until it is dropped.
pub(super) struct MemorySampler {
    memory: ResidentMemory,
    samples: Arc<Samples>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Samples {
    peak: AtomicU64,
    stopped: AtomicBool,
}

/// Memory after an attack, in bytes.
pub(super) struct Recovery {
    /// The highest sample since the sampler was started.
    pub(super) peak: u64,
    /// The last sample.
    pub(super) last: u64,
    /// The time until a sample was below the bound; `None` if none was.
    pub(super) elapsed: Option<Duration>,
}

impl MemorySampler {
    pub(super) fn start(server: &Server) -> BenchResult<Self> {
        let memory = server.resident_memory();
        let samples = Arc::new(Samples::default());
        let (sampled, target) = (memory.clone(), samples.clone());
        let thread = std::thread::Builder::new().name("memory".into()).spawn(move || {
            while !target.stopped.load(Ordering::Relaxed) {
                // Fails once the server has ended, which the people notice.
                let Ok(bytes) = sampled.read() else { return };
                target.peak.fetch_max(bytes, Ordering::Relaxed);
                std::thread::sleep(INTERVAL);
            }
        })?;
        Ok(Self { memory, samples, thread: Some(thread) })
    }

    /// Waits until the memory is below `bound` bytes, at most for `longest` and [`RECOVERY_TIME`].
    pub(super) async fn wait_until_below(
        &self,
        bound: f64,
        longest: Duration,
    ) -> BenchResult<Recovery> {
        let longest = longest.min(RECOVERY_TIME);
        let started = Instant::now();
        loop {
            let (last, elapsed) = (self.memory.read()?, started.elapsed());
            let peak = self.samples.peak.load(Ordering::Relaxed).max(last);
            if last as f64 <= bound {
                return Ok(Recovery { peak, last, elapsed: Some(elapsed) });
            }
            if elapsed >= longest {
                return Ok(Recovery { peak, last, elapsed: None });
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

impl Drop for MemorySampler {
    fn drop(&mut self) {
        self.samples.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Fails only if the thread panicked, which its message has said.
            let _ = thread.join();
        }
    }
}
