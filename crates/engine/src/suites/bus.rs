//! The trials of a [`Bus`].

use super::{Spawn, at_once};
use crate::ports::{Bus, BusReceiver, Signal, Topic};
use std::collections::VecDeque;
use std::sync::Arc;
use tolmach_domain::{Event, EventKind, FlowId, Timestamp, UserId};

/// An event of a flow, or of none, told apart by its moment.
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

async fn hear(part: &mut Box<dyn BusReceiver>, count: usize) -> Vec<Arc<Event>> {
    let mut heard = Vec::with_capacity(count);
    while heard.len() < count {
        heard.extend(events(part.next().await).expect("the bus is alive"));
    }
    heard
}

/// What a subscription gave; only what other nodes say can be missed.
fn events(signal: Option<Signal>) -> Option<Vec<Arc<Event>>> {
    match signal {
        Some(Signal::Events(events)) => {
            assert!(!events.is_empty(), "nothing is no signal");
            Some(events)
        }
        Some(Signal::Missed) => Some(Vec::new()),
        None => None,
    }
}

/// The next event; what came with it waits.
async fn next(
    part: &mut Box<dyn BusReceiver>,
    waiting: &mut VecDeque<Arc<Event>>,
) -> Option<Arc<Event>> {
    while waiting.is_empty() {
        waiting.extend(events(part.next().await)?);
    }
    waiting.pop_front()
}

/// Several publishers, each with a flow of its own; several subscriptions, differently split.
pub async fn events_of_a_flow_arrive_in_order_on_every_subscription(
    bus: Arc<dyn Bus>,
    spawn: Spawn,
) {
    const FLOWS: i64 = 5;
    const EVENTS: i64 = 400;
    let mut tasks = Vec::new();
    for shards in [1, 2, 7] {
        for mut part in bus.receivers(shards) {
            tasks.push(spawn(Box::pin(async move {
                let mut last: std::collections::BTreeMap<FlowId, i64> =
                    std::collections::BTreeMap::new();
                let mut waiting = VecDeque::new();
                while let Some(event) = next(&mut part, &mut waiting).await {
                    let (Some(flow), number) = (event.flow(), event.occurred_at.micros()) else {
                        break;
                    };
                    let expected = last.get(&flow).map_or(0, |last| last + 1);
                    assert_eq!(number, expected, "flow {flow} of {shards} parts");
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
    // The listeners go on until the bus is gone.
    drop(bus);
    for task in tasks {
        task.await;
    }
}

/// Whatever the split, one flow is one part, and there is no other part.
pub async fn a_flow_stays_on_its_part_and_the_rest_on_the_first(bus: Arc<dyn Bus>, _: Spawn) {
    let mut parts = bus.receivers(3);
    assert_eq!(parts.len(), 3);
    let mut homes = std::collections::BTreeMap::new();
    for round in 0..3 {
        for flow in 1..=12 {
            bus.publish(&[event(Some(flow), round)]).await;
        }
    }
    for (home, part) in parts.iter_mut().enumerate() {
        while let Some(Some(heard)) = at_once(part.next()).map(events) {
            heard
                .into_iter()
                .for_each(|event| homes.entry(event.flow()).or_insert_with(Vec::new).push(home));
        }
    }
    assert_eq!(homes.len(), 12);
    assert!(
        homes.values().all(|homes| homes.len() == 3 && homes.iter().all(|home| *home == homes[0])),
        "{homes:?}"
    );
    bus.publish(&[event(None, 1)]).await;
    assert_eq!(hear(&mut parts[0], 1).await, [event(None, 1)]);
}

/// Nothing from before, everything after.
pub async fn a_subscription_hears_from_now_on(bus: Arc<dyn Bus>, _: Spawn) {
    bus.publish(&[event(Some(1), 1)]).await;
    let mut early = bus.receivers(1);
    bus.publish(&[event(Some(1), 2)]).await;
    let mut late = bus.receivers(1);
    bus.publish(&[event(Some(1), 3)]).await;
    assert_eq!(hear(&mut early[0], 2).await, [event(Some(1), 2), event(Some(1), 3)]);
    assert_eq!(hear(&mut late[0], 1).await, [event(Some(1), 3)]);
}

/// A listener that begins only when the publisher has gone on for as long as it can.
pub async fn a_lagging_listener_loses_nothing(bus: Arc<dyn Bus>, spawn: Spawn) {
    const EVENTS: i64 = 20_000;
    let mut parts = bus.receivers(2);
    let publisher = spawn(Box::pin(async move {
        for number in 0..EVENTS {
            bus.publish(&[event(Some(2), number)]).await;
        }
    }));
    for _ in 0..100 {
        super::turn().await;
    }
    let mut heard = Vec::new();
    let (first, second) = parts.split_at_mut(1);
    // A flow has one home; which of the two it is, is the bus's own affair.
    while let Some(events) = std::future::poll_fn(|context| {
        for part in [&mut first[0], &mut second[0]] {
            if let std::task::Poll::Ready(signal) = part.next().as_mut().poll(context) {
                return std::task::Poll::Ready(events(signal));
            }
        }
        if heard.len() as i64 == EVENTS {
            std::task::Poll::Ready(None)
        } else {
            std::task::Poll::Pending
        }
    })
    .await
    {
        heard.extend(events.iter().map(|event| event.occurred_at.micros()));
    }
    publisher.await;
    assert!(heard.into_iter().eq(0..EVENTS));
}

/// More events than any channel has room for go by a dropped part and a dropped subscription.
pub async fn a_dropped_subscription_holds_nobody_up(bus: Arc<dyn Bus>, _: Spawn) {
    const EVENTS: i64 = 5_000;
    drop(bus.receivers(2));
    let mut half = bus.receivers(2);
    drop(half.remove(1));
    let mut whole = bus.receivers(1);
    for number in 0..EVENTS {
        // An odd and an even flow: one of them lived on the part that was dropped, whichever it
        // was; the other is heard.
        for flow in [1, 2] {
            bus.publish(&[event(Some(flow), number)]).await;
            assert_eq!(hear(&mut whole[0], 1).await, [event(Some(flow), number)]);
            let _ = at_once(half[0].next());
        }
    }
}

/// What was published before is still heard.
pub async fn a_subscription_ends_with_its_bus(bus: Arc<dyn Bus>, _: Spawn) {
    let mut parts = bus.receivers(2);
    bus.publish(&[event(None, 1)]).await;
    drop(bus);
    assert_eq!(hear(&mut parts[0], 1).await, [event(None, 1)]);
    for part in &mut parts {
        let mut waiting = VecDeque::new();
        assert_eq!(next(part, &mut waiting).await, None);
        assert_eq!(part.next().await, None);
    }
}

/// Topics are about what other nodes say.
pub async fn a_node_hears_itself_whatever_it_listens_to(bus: Arc<dyn Bus>, _: Spawn) {
    let mut parts = bus.receivers(1);
    let flow = |number| {
        FlowId::new(number).map(Topic::Flow).expect("flows of the trials have positive numbers")
    };
    let user = UserId::new(1).map(Topic::User).expect("1 is an id");
    bus.unsubscribe(&[flow(1), user]);
    for round in 0..3 {
        bus.subscribe(&[flow(1), flow(1), flow(2)]);
        bus.publish(&[event(Some(1), round), event(Some(3), round), event(None, round)]).await;
        assert_eq!(
            hear(&mut parts[0], 3).await,
            [event(Some(1), round), event(Some(3), round), event(None, round)]
        );
        bus.unsubscribe(&[flow(1), flow(1)]);
        bus.subscribe(&[user]);
    }
}

/// A wait that is dropped takes no event with it.
pub async fn waiting_for_an_event_may_be_given_up(bus: Arc<dyn Bus>, _: Spawn) {
    let mut parts = bus.receivers(1);
    for number in 0..10 {
        while let Some(signal) = at_once(parts[0].next()) {
            assert_eq!(signal, Some(Signal::Missed), "nothing was published yet");
        }
        bus.publish(&[event(Some(1), number)]).await;
        assert_eq!(hear(&mut parts[0], 1).await, [event(Some(1), number)]);
    }
}
