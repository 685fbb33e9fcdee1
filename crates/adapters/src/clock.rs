//! The system's clock.

use async_trait::async_trait;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tolmach_domain::Timestamp;
use tolmach_engine::ports::Clock;

/// The system's clock, made monotonic: while the system's goes back, it stands still.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest: AtomicI64,
}

impl SystemClock {
    /// The later of `micros` and the latest time so far.
    fn advance(&self, micros: i64) -> Timestamp {
        let earlier = self.latest.fetch_max(micros, Ordering::Relaxed);
        Timestamp::from_micros(micros.max(earlier))
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.advance(timestamp(SystemTime::now()).micros())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A time of the system; one before the epoch is the epoch.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_while_the_system_goes_back() {
        let clock = SystemClock::default();
        let times = [5, 7, 3, 7, 8].map(|micros| clock.advance(micros).micros());
        assert_eq!(times, [5, 7, 7, 7, 8]);
    }

    #[test]
    fn it_follows_the_systems_time() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let now = SystemClock::default().now().micros();
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        assert!((before..=after).contains(&u128::try_from(now).unwrap()));
    }
}
