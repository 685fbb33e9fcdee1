//! The trials of a [`Bus`].

use super::support::{Spawn, at_once, turn};
use crate::ports::{Bus, BusReceiver, Signal, Topic};
use std::collections::VecDeque;
use std::sync::Arc;
use tolmach_domain::{Event, EventKind, FlowId, Timestamp, UserId};

/// An event of a flow, or of none, identified by its time.
fn event(flow: Option<i64>, number: i64) -> Arc<Event> {
    let by = UserId::new(1).expect("1 is an id");
    let kind = match flow {
        Some(flow) => EventKind::FlowDeleted {
            flow: FlowId::new(flow).expect("flows of the trials have positive numbers"),
            by,
        },
        None => EventKind::SessionsEnded { user: by, session: None },
    };
    Arc::new(Event::new(Timestamp::from_micros(number), kind))
}

/// Receives this many events.
async fn receive(receiver: &mut Box<dyn BusReceiver>, count: usize) -> Vec<Arc<Event>> {
    let mut received = Vec::with_capacity(count);
    while received.len() < count {
        received.extend(events(receiver.next().await).expect("the bus is alive"));
    }
    received
}

/// The events of a signal. [`Signal::Missed`] has none: it is about other nodes.
fn events(signal: Option<Signal>) -> Option<Vec<Arc<Event>>> {
    match signal {
        Some(Signal::Events(events)) => {
            assert!(!events.is_empty(), "a signal has events");
            Some(events)
        }
        Some(Signal::Missed) => Some(Vec::new()),
        None => None,
    }
}

/// The next event. The other events of its signal are buffered.
async fn next(
    receiver: &mut Box<dyn BusReceiver>,
    buffer: &mut VecDeque<Arc<Event>>,
) -> Option<Arc<Event>> {
    while buffer.is_empty() {
        buffer.extend(events(receiver.next().await)?);
    }
    buffer.pop_front()
}

/// Several publishers, each with a flow of its own; several streams with different numbers of
/// shards.
pub async fn events_of_a_flow_arrive_in_order_at_every_receiver(bus: Arc<dyn Bus>, spawn: Spawn) {
    const FLOWS: i64 = 5;
    const EVENTS: i64 = 400;
    let mut tasks = Vec::new();
    for shards in [1, 2, 7] {
        for mut receiver in bus.receivers(shards) {
            tasks.push(spawn(Box::pin(async move {
                let mut last: std::collections::BTreeMap<FlowId, i64> =
                    std::collections::BTreeMap::new();
                let mut buffer = VecDeque::new();
                while let Some(event) = next(&mut receiver, &mut buffer).await {
                    let (Some(flow), number) = (event.flow(), event.occurred_at.micros()) else {
                        break;
                    };
                    let expected = last.get(&flow).map_or(0, |last| last + 1);
                    assert_eq!(number, expected, "flow {flow} of {shards} shards");
                    last.insert(flow, number);
                }
                assert!(last.values().all(|last| *last == EVENTS - 1), "{last:?}");
            })));
        }
    }
    let publishers: Vec<_> = (1..=FLOWS)
        .map(|flow| {
            let bus = bus.clone();
            spawn(Box::pin(async move {
                for number in 0..EVENTS {
                    bus.publish(&[event(Some(flow), number)]).await;
                }
            }))
        })
        .collect();
    for publisher in publishers {
        publisher.await;
    }
    // The receivers end with the bus.
    drop(bus);
    for task in tasks {
        task.await;
    }
}

/// The events of a flow arrive at one receiver, those without a flow at the first.
pub async fn a_flow_stays_on_its_shard_and_other_events_on_the_first(bus: Arc<dyn Bus>, _: Spawn) {
    let mut receivers = bus.receivers(3);
    assert_eq!(receivers.len(), 3);
    let mut shards = std::collections::BTreeMap::new();
    for round in 0..3 {
        for flow in 1..=12 {
            bus.publish(&[event(Some(flow), round)]).await;
        }
    }
    for (shard, receiver) in receivers.iter_mut().enumerate() {
        while let Some(Some(events)) = at_once(receiver.next()).map(events) {
            for event in events {
                shards.entry(event.flow()).or_insert_with(Vec::new).push(shard);
            }
        }
    }
    assert_eq!(shards.len(), 12);
    let is_one = |shards: &Vec<usize>| shards.len() == 3 && shards.iter().all(|s| *s == shards[0]);
    assert!(shards.values().all(is_one), "{shards:?}");
    bus.publish(&[event(None, 1)]).await;
    assert_eq!(receive(&mut receivers[0], 1).await, [event(None, 1)]);
}

/// It gets no event published before, and all published after.
pub async fn a_receiver_gets_the_events_published_after_it_was_created(
    bus: Arc<dyn Bus>,
    _: Spawn,
) {
    bus.publish(&[event(Some(1), 1)]).await;
    let mut early = bus.receivers(1);
    bus.publish(&[event(Some(1), 2)]).await;
    let mut late = bus.receivers(1);
    bus.publish(&[event(Some(1), 3)]).await;
    assert_eq!(receive(&mut early[0], 2).await, [event(Some(1), 2), event(Some(1), 3)]);
    assert_eq!(receive(&mut late[0], 1).await, [event(Some(1), 3)]);
}

/// It begins to receive when the publisher has filled all buffers.
pub async fn a_lagging_receiver_loses_nothing(bus: Arc<dyn Bus>, spawn: Spawn) {
    const EVENTS: i64 = 20_000;
    let mut receivers = bus.receivers(2);
    let publisher = spawn(Box::pin(async move {
        for number in 0..EVENTS {
            bus.publish(&[event(Some(2), number)]).await;
        }
    }));
    for _ in 0..100 {
        turn().await;
    }
    let mut received = Vec::new();
    let (first, second) = receivers.split_at_mut(1);
    // The bus decides which of the two shards the flow has.
    while let Some(events) = std::future::poll_fn(|context| {
        for receiver in [&mut first[0], &mut second[0]] {
            if let std::task::Poll::Ready(signal) = receiver.next().as_mut().poll(context) {
                return std::task::Poll::Ready(events(signal));
            }
        }
        if received.len() as i64 == EVENTS {
            std::task::Poll::Ready(None)
        } else {
            std::task::Poll::Pending
        }
    })
    .await
    {
        received.extend(events.iter().map(|event| event.occurred_at.micros()));
    }
    publisher.await;
    assert!(received.into_iter().eq(0..EVENTS));
}

/// More events than any buffer holds are published beside a dropped receiver and a dropped stream.
pub async fn dropped_receivers_do_not_delay_publishers(bus: Arc<dyn Bus>, _: Spawn) {
    const EVENTS: i64 = 5_000;
    drop(bus.receivers(2));
    let mut half = bus.receivers(2);
    drop(half.remove(1));
    let mut whole = bus.receivers(1);
    for number in 0..EVENTS {
        // One of an odd and an even flow had the dropped receiver; the other one is received.
        for flow in [1, 2] {
            bus.publish(&[event(Some(flow), number)]).await;
            assert_eq!(receive(&mut whole[0], 1).await, [event(Some(flow), number)]);
            let _ = at_once(half[0].next());
        }
    }
}

/// It still gets the events published before.
pub async fn a_receiver_ends_with_its_bus(bus: Arc<dyn Bus>, _: Spawn) {
    let mut receivers = bus.receivers(2);
    bus.publish(&[event(None, 1)]).await;
    drop(bus);
    assert_eq!(receive(&mut receivers[0], 1).await, [event(None, 1)]);
    for receiver in &mut receivers {
        let mut buffer = VecDeque::new();
        assert_eq!(next(receiver, &mut buffer).await, None);
        assert_eq!(receiver.next().await, None);
    }
}

/// Topics select events of other nodes only.
pub async fn a_node_receives_its_own_events_on_every_topic(bus: Arc<dyn Bus>, _: Spawn) {
    let mut receivers = bus.receivers(1);
    let flow = |number| {
        FlowId::new(number).map(Topic::Flow).expect("flows of the trials have positive numbers")
    };
    let user = UserId::new(1).map(Topic::User).expect("1 is an id");
    bus.unsubscribe(&[flow(1), user]);
    for round in 0..3 {
        bus.subscribe(&[flow(1), flow(1), flow(2)]);
        bus.publish(&[event(Some(1), round), event(Some(3), round), event(None, round)]).await;
        assert_eq!(
            receive(&mut receivers[0], 3).await,
            [event(Some(1), round), event(Some(3), round), event(None, round)]
        );
        bus.unsubscribe(&[flow(1), flow(1)]);
        bus.subscribe(&[user]);
    }
}

/// A receiving future that is dropped loses no event.
pub async fn receiving_can_be_cancelled(bus: Arc<dyn Bus>, _: Spawn) {
    let mut receivers = bus.receivers(1);
    for number in 0..10 {
        while let Some(signal) = at_once(receivers[0].next()) {
            assert_eq!(signal, Some(Signal::Missed), "nothing was published yet");
        }
        bus.publish(&[event(Some(1), number)]).await;
        assert_eq!(receive(&mut receivers[0], 1).await, [event(Some(1), number)]);
    }
}
