//! Closed loops: clients that each send the next request after the answer to the one before.

use crate::connection::Connection;
use crate::result::BenchResult;
use crate::users::BenchUser;
use crate::wire::Wire;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tolmach_domain::{Answer, FlowId};

/// The length of a sent text, in bytes.
pub(crate) const TEXT_BYTES: usize = 200;

/// A connection that sends messages to a group.
pub(crate) struct Sender {
    pub(crate) connection: Connection,
    pub(crate) wire: Wire,
    pub(crate) user: BenchUser,
    pub(crate) flow: FlowId,
}

impl Sender {
    /// Sends one message without waiting for its acknowledgement.
    pub(crate) async fn send(&mut self) -> BenchResult<()> {
        let text = "x".repeat(TEXT_BYTES);
        self.connection.send(self.wire.send_request(&self.user, self.flow, text)).await
    }

    /// Receives the next acknowledgement.
    pub(crate) async fn receive_acknowledgement(&mut self) -> BenchResult<()> {
        match self.connection.receive_answer().await? {
            Answer::Sent { .. } => Ok(()),
            answer => Err(format!("an acknowledgement was expected, not {answer:?}").into()),
        }
    }

    /// Sends one message and waits until it is acknowledged.
    pub(crate) async fn send_and_wait(&mut self) -> BenchResult<()> {
        self.send().await?;
        self.receive_acknowledgement().await
    }
}

/// The requests of a measurement.
pub(crate) struct Throughput {
    /// The number of answered requests.
    pub(crate) count: u64,
    elapsed: Duration,
    /// Microseconds to the answers.
    times: Histogram<u64>,
}

impl Throughput {
    pub(crate) fn new(times: Histogram<u64>, elapsed: Duration) -> BenchResult<Self> {
        if times.is_empty() {
            return Err("no request was answered".into());
        }
        Ok(Self { count: times.len(), elapsed, times })
    }

    /// The figures, for a server that used `cpu` meanwhile.
    pub(crate) fn figures(&self, cpu: Duration) -> Value {
        json!({
            "per_second": self.count as f64 / self.elapsed.as_secs_f64(),
            "answer_us_p50": self.times.value_at_quantile(0.5),
            "answer_us_p99": self.times.value_at_quantile(0.99),
            "cpu_us_each": cpu.as_secs_f64() * 1e6 / self.count as f64,
        })
    }
}

/// Repeats `request` with every client for this many seconds; all start at once.
pub(crate) async fn repeat<C, F>(
    clients: Vec<C>,
    seconds: f64,
    request: impl Fn(C) -> F + Clone + Send + Sync + 'static,
) -> BenchResult<Throughput>
where
    C: Send + 'static,
    F: Future<Output = BenchResult<C>> + Send,
{
    let duration = Duration::try_from_secs_f64(seconds)?;
    let start = Arc::new(Barrier::new(clients.len() + 1));
    let mut loops = JoinSet::new();
    for mut client in clients {
        let (start, request) = (start.clone(), request.clone());
        loops.spawn(async move {
            let mut times = Histogram::<u64>::new(2)?;
            start.wait().await;
            let started = Instant::now();
            while started.elapsed() < duration {
                let sent = Instant::now();
                client = request(client).await?;
                times.record(u64::try_from(sent.elapsed().as_micros())?)?;
            }
            BenchResult::Ok(times)
        });
    }
    start.wait().await;
    let started = Instant::now();
    let mut times = Histogram::<u64>::new(2)?;
    while let Some(of_client) = loops.join_next().await {
        times.add(of_client??)?;
    }
    Throughput::new(times, started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[tokio::test]
    async fn every_answered_request_is_counted_and_a_failed_one_is_an_error() {
        let count = Arc::new(AtomicU64::new(0));
        let counted = repeat(vec![count.clone(), count.clone()], 0.001, |count| async move {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(count)
        });
        assert_eq!(counted.await.unwrap().count, count.load(Ordering::Relaxed));
        assert!(repeat(vec![()], 0.001, |()| async { Err("refused".into()) }).await.is_err());
        assert!(repeat(vec![()], 0.0, |()| async { Ok(()) }).await.is_err(), "nothing was sent");
    }
}
