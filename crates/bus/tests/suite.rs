//! The bus of one process passes the suite, and keeps its own promises.

use std::sync::Arc;
use tokio::task::yield_now;
use tolmach_bus::InProcess;
use tolmach_domain::{Event, EventKind, Timestamp, UserId};
use tolmach_engine::ports::Bus;

mod suite {
    use super::*;

    /// Little room, so that publishers wait.
    fn make() -> Option<(Arc<dyn Bus>, ())> {
        Some((Arc::new(InProcess::new(64)), ()))
    }

    tolmach_engine::bus_suite!(make);
}

fn event() -> Arc<Event> {
    let kind =
        EventKind::SessionsEnded { user: UserId::new(1).expect("1 is an id"), session: None };
    Arc::new(Event::new(Timestamp::default(), kind))
}

#[tokio::test]
async fn publishing_waits_for_room_and_goes_on_when_there_is_some() {
    let bus = Arc::new(InProcess::new(2));
    let mut parts = bus.receivers(1);
    for _ in 0..2 {
        bus.publish(&[event()]).await;
    }
    let waiting = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish(&[event()]).await }
    });
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(!waiting.is_finished(), "there is no room");
    assert!(parts[0].next().await.is_some());
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_subscription_is_forgotten_when_its_last_part_is_dropped() {
    let bus = InProcess::new(2);
    let mut parts = bus.receivers(2);
    let other = bus.receivers(1);
    assert_eq!(bus.subscriptions(), 2);
    parts.pop();
    assert_eq!(bus.subscriptions(), 2);
    parts.pop();
    assert_eq!(bus.subscriptions(), 1);
    drop(other);
    bus.publish(&[event()]).await;
    assert_eq!(bus.subscriptions(), 0);
}
