//! The system's clock.

use async_trait::async_trait;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tolmach_domain::Timestamp;
use tolmach_engine::ports::Clock;

/// The system's clock, which never goes back: while the system's does, it stands still.
#[derive(Debug, Default)]
pub(crate) struct SystemClock {
    latest: AtomicI64,
}

impl SystemClock {
    /// The moment to tell when the system says `micros`.
    fn tell(&self, micros: i64) -> Timestamp {
        let earlier = self.latest.fetch_max(micros, Ordering::Relaxed);
        Timestamp::from_micros(micros.max(earlier))
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.tell(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_while_the_system_goes_back() {
        let clock = SystemClock::default();
        let told = [5, 7, 3, 7, 8].map(|micros| clock.tell(micros).micros());
        assert_eq!(told, [5, 7, 7, 7, 8]);
    }

    #[test]
    fn it_tells_the_systems_time() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let told = SystemClock::default().now().micros();
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        assert!((before..=after).contains(&u128::try_from(told).unwrap()));
    }
}
