//! Deliveries of posted messages: their count and their times.

use crate::numbered_text::number_in;
use crate::result::BenchResult;
use crate::sync::lock;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The largest number of messages in one run.
const MAX_MESSAGES: usize = 1 << 16;

/// The posted messages, and the deliveries of each.
pub(crate) struct DeliveryTracker {
    started: Instant,
    messages: Vec<PostedMessage>,
    /// The number of messages that some recipient has not received.
    in_flight: AtomicUsize,
    /// Notified when a message has reached all its recipients.
    delivered: Notify,
    /// The number of the first message that is timed.
    first_timed: AtomicUsize,
    /// Microseconds from posting to delivery.
    times: Mutex<Histogram<u64>>,
    sample: Mutex<Option<Utf8Bytes>>,
}

#[derive(Default)]
struct PostedMessage {
    /// Nanoseconds from the start of the tracker to posting.
    posted_at: AtomicU64,
    /// Recipients that have not received it.
    outstanding: AtomicU32,
}

impl DeliveryTracker {
    pub(crate) fn new() -> BenchResult<Self> {
        Ok(Self {
            started: Instant::now(),
            messages: (0..MAX_MESSAGES).map(|_| PostedMessage::default()).collect(),
            in_flight: AtomicUsize::new(0),
            delivered: Notify::new(),
            first_timed: AtomicUsize::new(0),
            times: Mutex::new(Histogram::new(2)?),
            sample: Mutex::new(None),
        })
    }

    /// Discards the times so far, and times only messages from this number on.
    pub(crate) fn restart_timing(&self, first: usize) {
        self.first_timed.store(first, Ordering::Relaxed);
        lock(&self.times).clear();
    }

    /// Records a message that is posted now.
    pub(crate) fn record_post(&self, number: usize, recipients: u32) -> BenchResult<()> {
        let message = self
            .messages
            .get(number)
            .ok_or_else(|| format!("one run posts at most {MAX_MESSAGES} messages"))?;
        message.posted_at.store(self.nanoseconds(), Ordering::Relaxed);
        message.outstanding.store(recipients, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Records a frame that a recipient has received; a frame without a numbered message is
    /// ignored.
    pub(crate) fn record_frame(&self, frame: Utf8Bytes) -> BenchResult<()> {
        if let Some(number) = number_in(&frame) {
            self.record_delivery(number)?;
            lock(&self.sample).get_or_insert(frame);
        }
        Ok(())
    }

    /// Waits until fewer messages than this are in flight. One task at a time may wait.
    pub(crate) async fn wait_for_fewer_in_flight(&self, count: usize) {
        while self.in_flight.load(Ordering::Relaxed) >= count {
            self.delivered.notified().await;
        }
    }

    /// The first frame with a numbered message.
    pub(crate) fn sample(&self) -> Option<String> {
        lock(&self.sample).as_ref().map(|frame| frame.as_str().to_owned())
    }

    /// The figures of a measurement with this many deliveries, in which the server used `cpu`.
    pub(crate) fn figures(&self, deliveries: usize, cpu: Duration, elapsed: Duration) -> Value {
        let times = lock(&self.times);
        json!({
            "deliveries": deliveries,
            "cpu_us_per_delivery": cpu.as_secs_f64() * 1e6 / deliveries as f64,
            "deliveries_per_second": deliveries as f64 / elapsed.as_secs_f64(),
            "delivery_us_p50": times.value_at_quantile(0.5),
            "delivery_us_p99": times.value_at_quantile(0.99),
        })
    }

    fn nanoseconds(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn record_delivery(&self, number: usize) -> BenchResult<()> {
        let message = self.messages.get(number).ok_or("a message arrived that was not posted")?;
        if number >= self.first_timed.load(Ordering::Relaxed) {
            let posted_at = message.posted_at.load(Ordering::Relaxed);
            lock(&self.times).record(self.nanoseconds().saturating_sub(posted_at) / 1_000)?;
        }
        let outstanding =
            message
                .outstanding
                .try_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        match outstanding {
            Err(_) => {
                return Err("a message arrived that was not posted, or more often than it has \
                    recipients"
                    .into());
            }
            Ok(1) => {
                self.in_flight.fetch_sub(1, Ordering::Relaxed);
                self.delivered.notify_one();
            }
            Ok(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_in_flight_until_all_recipients_have_it() {
        let tracker = DeliveryTracker::new().unwrap();
        tracker.record_post(0, 3).unwrap();
        for (received, in_flight) in [(1, 1), (2, 1), (3, 0)] {
            tracker.record_delivery(0).unwrap();
            assert_eq!(tracker.in_flight.load(Ordering::Relaxed), in_flight, "after {received}");
        }
        tracker.wait_for_fewer_in_flight(1).await;
        assert!(tracker.record_delivery(0).is_err(), "more deliveries than recipients");
        assert!(tracker.record_delivery(2).is_err(), "not posted");
        assert!(tracker.record_post(MAX_MESSAGES, 1).is_err(), "too many messages");
    }
}
