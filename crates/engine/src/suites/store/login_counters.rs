//! Trials of [`LoginCounterStore`](crate::ports::LoginCounterStore).

use super::fixture::{Fixture, HOUR};
use crate::ports::{Counter, CounterKey};
use crate::suites::support::Task;
use std::time::Duration;
use tolmach_domain::Timestamp;

/// Each key by itself; the first count sets the time of expiry.
pub async fn login_counters_count_until_they_expire(fixture: &mut Fixture) {
    let (now, store) = (fixture.tick(), fixture.store.clone());
    let (end, minute) = (now.after(HOUR), Duration::from_secs(60));
    let [one, two, three] = [1, 2, 3].map(|byte| CounterKey([byte; 32]));
    let counter = |count, expires_at| Counter { count, expires_at };
    assert_eq!(store.login_counters(&[one, two], now).await, Ok(vec![None, None]));
    assert_eq!(
        store.increment_login_counters(&[two, one], now, end).await,
        Ok(vec![counter(1, end), counter(1, end)])
    );
    let later = now.after(minute);
    assert_eq!(
        store.increment_login_counters(&[one, three], later, later.after(HOUR)).await,
        Ok(vec![counter(2, end), counter(1, later.after(HOUR))])
    );
    let all = [three, one, two];
    let expected =
        vec![Some(counter(1, later.after(HOUR))), Some(counter(2, end)), Some(counter(1, end))];
    assert_eq!(store.login_counters(&all, later).await, Ok(expected));
    assert_eq!(store.clear_login_counters(&[two, CounterKey([9; 32])]).await, Ok(()));
    let just_before = Timestamp::from_micros(end.micros() - 1);
    assert_eq!(
        store.login_counters(&all, just_before).await,
        Ok(vec![Some(counter(1, later.after(HOUR))), Some(counter(2, end)), None])
    );
    assert_eq!(
        store.login_counters(&all, end).await,
        Ok(vec![Some(counter(1, later.after(HOUR))), None, None])
    );
    assert_eq!(
        store.increment_login_counters(&[one], end, end.after(HOUR)).await,
        Ok(vec![counter(1, end.after(HOUR))])
    );
    assert_eq!(store.login_counters(&[], now).await, Ok(vec![]));
    assert_eq!(fixture.published(), []);
}

/// The final count is the number of increments.
pub async fn concurrent_counts_are_all_counted(fixture: &mut Fixture) {
    const COUNTS: u32 = 40;
    let (now, key) = (fixture.tick(), CounterKey([7; 32]));
    let tasks = (0..COUNTS).map(|_| {
        let store = fixture.store.clone();
        Box::pin(async move {
            store
                .increment_login_counters(&[key], now, now.after(HOUR))
                .await
                .expect("the store answers");
        }) as Task
    });
    fixture.together(tasks.collect::<Vec<_>>()).await;
    let counted = fixture.store.login_counters(&[key], now).await;
    assert_eq!(counted, Ok(vec![Some(Counter { count: COUNTS, expires_at: now.after(HOUR) })]));
}
