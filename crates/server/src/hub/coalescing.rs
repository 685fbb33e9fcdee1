//! The delay after a large fan-out, in which later events are gathered into one batch.

use std::sync::LazyLock;
use std::time::Duration;
use tokio::time::Instant;

/// The delay for each delivered frame: after a large fan-out the flow waits this long per frame and
/// sends later events in one batch, because a `write` costs far more than one more frame in it. The
/// cores share it.
const PER_FRAME: Duration = Duration::from_micros(2);
/// Frames of so many bytes that are sent together have twice that delay, because they keep sockets
/// and peers as long again; larger ones in proportion.
const LARGE_FRAME: usize = 4096;
/// The longest delay.
const MAX_DELAY: Duration = Duration::from_millis(100);
/// The most events that count for the delay.
const MAX_COUNTED: usize = 10;
/// The fewest subscribers for which events are gathered.
const MIN_SUBSCRIBERS: usize = 100;

static CORES: LazyLock<f64> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64));

/// The delay after a large fan-out, in which later events are gathered into one batch.
pub(super) struct Coalescing {
    until: Instant,
}

impl Coalescing {
    /// Without a delay.
    pub(super) fn new() -> Self {
        Self { until: Instant::now() }
    }

    /// The end of the delay.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }

    /// Begins the delay after so many events with frames of so many bytes.
    pub(super) fn begin(&mut self, subscribers: usize, events: usize, frame_bytes: usize) {
        if subscribers >= MIN_SUBSCRIBERS {
            self.until = Instant::now() + delay(subscribers, events, frame_bytes);
        }
    }

    #[cfg(test)]
    pub(super) fn end_at(&mut self, until: Instant) {
        self.until = until;
    }
}

/// The delay after so many events with frames of so many bytes.
fn delay(subscribers: usize, events: usize, frame_bytes: usize) -> Duration {
    let events = events.min(MAX_COUNTED);
    let large = events.saturating_sub(1) as f64 * frame_bytes as f64 / LARGE_FRAME as f64;
    let weight = events as f64 + large;
    PER_FRAME.mul_f64(subscribers as f64 * weight / *CORES).min(MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_with_what_was_delivered_up_to_its_bound() {
        let base = delay(100, 1, 0);
        for (name, subscribers, events, bytes, expected) in [
            ("one event, however large", 100, 1, 1 << 20, base),
            ("several", 100, 4, 0, base * 4),
            ("more than count", 100, 1000, 0, base * 10),
            ("more subscribers", 300, 4, 0, base * 12),
            ("large ones", 100, 4, LARGE_FRAME, base * 7),
            ("a great deal", 1_000_000, 1000, 1 << 20, MAX_DELAY),
        ] {
            let apart = delay(subscribers, events, bytes).abs_diff(expected);
            assert!(apart < Duration::from_nanos(100), "{name}: {apart:?} apart");
        }
    }

    #[test]
    fn few_subscribers_have_no_delay() {
        let mut coalescing = Coalescing::new();
        coalescing.begin(MIN_SUBSCRIBERS - 1, 10, 1 << 20);
        assert!(coalescing.is_over());
        let before = Instant::now();
        coalescing.begin(MIN_SUBSCRIBERS, 10, 1 << 20);
        assert!(coalescing.until() > before);
    }
}
