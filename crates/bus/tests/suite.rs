//! The bus of one process: the suite, and its own behaviour.

use std::sync::Arc;
use tokio::task::yield_now;
use tolmach_bus::InProcess;
use tolmach_domain::{Event, EventKind, Timestamp, UserId};
use tolmach_engine::ports::Bus;

mod suite {
    use super::*;

    /// A small capacity, so that publishers wait.
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
async fn publishing_waits_while_a_channel_is_full() {
    let bus = Arc::new(InProcess::new(2));
    let mut receivers = bus.receivers(1);
    for _ in 0..2 {
        bus.publish(&[event()]).await;
    }
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish(&[event()]).await }
    });
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(!publishing.is_finished(), "the channel is full");
    assert!(receivers[0].next().await.is_some());
    publishing.await.unwrap();
}

#[tokio::test]
async fn a_stream_is_removed_with_its_last_receiver() {
    let bus = InProcess::new(2);
    let mut receivers = bus.receivers(2);
    let other = bus.receivers(1);
    assert_eq!(bus.subscriptions(), 2);
    receivers.pop();
    assert_eq!(bus.subscriptions(), 2);
    receivers.pop();
    assert_eq!(bus.subscriptions(), 1);
    drop(other);
    bus.publish(&[event()]).await;
    assert_eq!(bus.subscriptions(), 0);
}
