//! The bus of several nodes on a real Redis: the suite, and failures of that Redis.

use redis::{Client, Cmd, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tolmach_bus::{Options, RedisBus};
use tolmach_domain::{
    Event, EventKind, Flow, FlowId, FlowKind, Timestamp, UserId, UserSummary, Version,
};
use tolmach_engine::ports::{Bus, BusReceiver, Signal, Topic};
use tolmach_test_servers::Redis;

mod suite {
    use super::*;

    /// A small capacity, so that publishers wait.
    fn make() -> Option<(Arc<dyn Bus>, Redis)> {
        let redis = Redis::start_or_skip()?;
        let bus = RedisBus::open(&redis.url(), Options { capacity: 64, ..options() })
            .expect("the URL is right");
        Some((Arc::new(bus), redis))
    }

    tolmach_engine::bus_suite!(make);
}

/// Options with an unused node id.
fn options() -> Options {
    static NODES: AtomicU64 = AtomicU64::new(1);
    Options {
        prefix: "tolmach:".into(),
        sharded: false,
        queue_bytes: 1 << 20,
        capacity: tolmach_bus::DEFAULT_CAPACITY,
        node: NODES.fetch_add(1, Ordering::Relaxed),
        dialects: vec!["mode"],
    }
}

/// A node with a receiver of all events.
struct Node {
    bus: RedisBus,
    receiver: Box<dyn BusReceiver>,
}

impl Node {
    /// A node that may not be connected yet.
    fn start(url: &str, options: Options) -> Self {
        let bus = RedisBus::open(url, options).expect("the URL is right");
        let receiver = bus.receivers(1).remove(0);
        Self { bus, receiver }
    }

    /// A node that is connected.
    async fn connect(url: &str, options: Options) -> Self {
        let mut node = Self::start(url, options);
        node.missed().await;
        assert_eq!(node.bus.last_error(), None);
        node
    }

    async fn next(&mut self) -> Signal {
        self.receiver.next().await.expect("the bus is alive")
    }

    /// Expects the next signal to be [`Signal::Missed`].
    async fn missed(&mut self) {
        assert_eq!(self.next().await, Signal::Missed);
    }

    /// Subscribes, and waits until Redis has done so.
    async fn subscribe(&mut self, topics: &[Topic]) {
        self.bus.subscribe(topics);
        self.missed().await;
    }

    /// The next events. Panics if a signal before them is [`Signal::Missed`].
    async fn receive(&mut self, count: usize) -> Vec<Arc<Event>> {
        let mut received = Vec::new();
        while received.len() < count {
            match self.next().await {
                Signal::Events(events) => received.extend(events),
                Signal::Missed => panic!("an event was lost after {received:?}"),
            }
        }
        received
    }
}

fn flow(number: i64) -> FlowId {
    FlowId::new(number).expect("numbers of these tests are ids")
}

fn user(number: i64) -> UserId {
    UserId::new(number).expect("numbers of these tests are ids")
}

fn summary(number: i64) -> UserSummary {
    UserSummary {
        id: user(number),
        login: "anna".into(),
        username: "Anna".into(),
        name: String::new().as_str().into(),
    }
}

fn event(number: i64, kind: EventKind) -> Arc<Event> {
    Arc::new(Event::new(Timestamp::from_micros(number), kind))
}

/// An event of a flow.
fn in_flow(number: i64, of: i64) -> Arc<Event> {
    event(number, EventKind::Typing { flow: flow(of), user: summary(1), active: true })
}

/// The removal of members of a flow.
fn leave(number: i64, of: i64, users: impl IntoIterator<Item = i64>) -> Arc<Event> {
    event(
        number,
        EventKind::MembersRemoved { flow: flow(of), users: users.into_iter().map(user).collect() },
    )
}

/// Polls a condition until it is true.
async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Runs a command.
async fn run(redis: &Redis, command: &Cmd) -> Value {
    let client = Client::open(redis.url()).expect("the URL is right");
    let mut connection =
        client.get_multiplexed_async_connection().await.expect("the Redis is running");
    command.query_async(&mut connection).await.expect("the command succeeds")
}

/// Runs a command that replies with text.
async fn text(redis: &Redis, command: &Cmd) -> String {
    redis::from_redis_value(run(redis, command).await).expect("the reply is a text")
}

/// The number of times that a command was run.
async fn calls(redis: &Redis, command: &str) -> u64 {
    let stats = text(redis, redis::cmd("INFO").arg("commandstats")).await;
    let line =
        stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    let calls = line.and_then(|line| line.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("calls are counted"))
}

#[tokio::test]
async fn nodes_receive_events_of_others_on_subscribed_topics() {
    let Some(redis) = Redis::start_or_skip() else { return };
    receive_events_of_others(&redis.url(), false).await;
}

#[tokio::test]
async fn nodes_of_a_cluster_receive_events_by_sharded_channels() {
    let Some(redis) = Redis::cluster_or_skip() else { return };
    receive_events_of_others(&redis.url(), true).await;
    assert!(calls(&redis, "spublish").await > 0 && calls(&redis, "ssubscribe").await > 0);
    assert_eq!((calls(&redis, "publish").await, calls(&redis, "subscribe").await), (0, 0));
}

async fn receive_events_of_others(url: &str, sharded: bool) {
    let mut anna = Node::connect(url, Options { sharded, ..options() }).await;
    let mut boris = Node::connect(url, Options { sharded, ..options() }).await;
    boris.subscribe(&[Topic::Flow(flow(1)), Topic::User(user(5))]).await;

    let ended = event(3, EventKind::SessionsEnded { user: user(5), session: None });
    let published = [
        in_flow(1, 1),
        in_flow(2, 2),
        ended.clone(),
        event(4, EventKind::SessionsEnded { user: user(6), session: None }),
        in_flow(5, 1),
    ];
    anna.bus.publish(&published).await;
    assert_eq!(anna.receive(5).await, published, "a node receives its own events once");
    // Events on different nodes of a cluster may arrive in any order.
    let mut received = boris.receive(3).await;
    received.sort_by_key(|event| event.occurred_at);
    assert_eq!(received, [in_flow(1, 1), ended, in_flow(5, 1)]);

    boris.bus.unsubscribe(&[Topic::Flow(flow(1))]);
    boris.subscribe(&[Topic::Flow(flow(3))]).await;
    anna.bus.publish(&[in_flow(6, 1), in_flow(7, 3)]).await;
    assert_eq!(boris.receive(1).await, [in_flow(7, 3)]);

    // The other direction. Redis now sends the node its own events back, which are not delivered a
    // second time.
    assert_eq!(anna.receive(2).await, [in_flow(6, 1), in_flow(7, 3)]);
    anna.subscribe(&[Topic::Flow(flow(1))]).await;
    anna.bus.publish(&[in_flow(8, 1)]).await;
    assert_eq!(anna.receive(1).await, [in_flow(8, 1)]);
    boris.bus.publish(&[in_flow(9, 1)]).await;
    assert_eq!(anna.receive(1).await, [in_flow(9, 1)]);
}

#[tokio::test]
async fn a_cluster_of_three_shares_the_topics() {
    let Some(first) = Redis::cluster_or_skip() else { return };
    let nodes = [first, Redis::cluster(), Redis::cluster()];
    join_into_one(&nodes).await;
    let sharded = || Options { sharded: true, ..options() };
    let mut anna = Node::connect(&nodes[0].url(), sharded()).await;
    let mut boris =
        Node::connect(&format!("{},{}", nodes[1].url(), nodes[2].url()), sharded()).await;
    let topics: Vec<Topic> = (1..=2_000).map(|number| Topic::Flow(flow(number))).collect();
    boris.subscribe(&topics).await;
    let published: Vec<_> = (1..=4_000).map(|number| in_flow(number, number % 2_000 + 1)).collect();
    anna.bus.publish(&published).await;
    assert_eq!(anna.receive(4_000).await, published);
    let received = boris.receive(4_000).await;
    for number in 1..=2_000 {
        let times = |of: &[Arc<Event>]| -> Vec<_> {
            of.iter()
                .filter(|event| event.flow() == Some(flow(number)))
                .map(|event| event.occurred_at)
                .collect()
        };
        assert_eq!(times(&received), times(&published), "the order within a flow is kept");
    }
    for node in &nodes {
        let subscriptions = calls(node, "ssubscribe").await;
        assert!(
            subscriptions > 0 && calls(node, "spublish").await > 0,
            "every node of the cluster has a share"
        );
        assert!(subscriptions < 300, "few commands: {subscriptions}");
    }
    nodes[2].kill();
    until(|| anna.bus.last_error().is_some() && boris.bus.last_error().is_some()).await;
}

/// Joins three nodes that each have all slots into one cluster.
async fn join_into_one(nodes: &[Redis; 3]) {
    let slots = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];
    for (index, node) in nodes.iter().enumerate() {
        for (other, (first, last)) in slots.iter().enumerate() {
            if other != index {
                run(node, redis::cmd("CLUSTER").arg("DELSLOTSRANGE").arg(*first).arg(*last)).await;
            }
        }
        run(node, redis::cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(index + 1)).await;
    }
    // "<id> 127.0.0.1:<port>@<the port where nodes talk> myself,…"
    let itself = text(&nodes[0], redis::cmd("CLUSTER").arg("NODES")).await;
    let ports =
        itself.split([' ', ',']).find_map(|word| word.strip_prefix("127.0.0.1:")?.split_once('@'));
    let (port, talk) = ports.expect("a node reports its ports");
    for node in &nodes[1..] {
        run(node, redis::cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(port).arg(talk)).await;
    }
    for node in nodes {
        let whole = ["cluster_state:ok", "cluster_size:3", "cluster_slots_assigned:16384"];
        while let info = text(node, redis::cmd("CLUSTER").arg("INFO")).await
            && !whole.iter().all(|line| info.contains(line))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn new_and_former_members_get_events_on_their_own_topic_once_a_node() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let anna = Node::connect(&redis.url(), options()).await;
    let mut boris = Node::connect(&redis.url(), options()).await;
    boris.subscribe(&[Topic::Flow(flow(1)), Topic::User(user(2)), Topic::User(user(3))]).await;
    let created = Flow {
        id: flow(1),
        kind: FlowKind::Group,
        title: "three".into(),
        info: String::new(),
        owner: Some(user(2)),
        photo: None,
        version: Version(0),
        created_at: Timestamp::default(),
        changed_at: Timestamp::default(),
    };
    let published = [
        event(1, EventKind::FlowCreated { flow: created, members: vec![summary(2), summary(3)] }),
        event(
            2,
            EventKind::MembersAdded {
                flow: flow(9),
                users: vec![summary(3), summary(2)],
                version: Version(4),
            },
        ),
        leave(3, 9, [2, 3, 4]),
        leave(4, 1, [2, 3, 4]),
        // On the topic of the flow only, which is not subscribed.
        leave(5, 1, [8]),
        leave(6, 9, [8]),
        // More users than topics are used for: every node receives it, once.
        leave(7, 9, 100..200),
        leave(8, 1, 1..200),
        in_flow(9, 1),
    ];
    anna.bus.publish(&published).await;
    let received = [0, 1, 2, 3, 4, 6, 7, 8].map(|index: usize| published[index].clone());
    assert_eq!(boris.receive(8).await, received);
}

#[tokio::test]
async fn installations_with_different_prefixes_share_a_redis() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let mut here = Node::connect(&redis.url(), options()).await;
    let there = Node::connect(&redis.url(), Options { prefix: "other:".into(), ..options() }).await;
    let beside = Node::connect(&redis.url(), options()).await;
    here.subscribe(&[Topic::Flow(flow(1))]).await;
    there.bus.publish(&[in_flow(1, 1), leave(2, 1, 1..100)]).await;
    there.bus.close().await;
    assert_eq!(there.bus.stats().published, 2);
    beside.bus.publish(&[in_flow(3, 1)]).await;
    assert_eq!(here.receive(1).await, [in_flow(3, 1)]);
}

#[tokio::test]
async fn many_topics_are_few_commands() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let mut node = Node::connect(&redis.url(), options()).await;
    let topics: Vec<Topic> = (1..=2_500)
        .flat_map(|number| [Topic::Flow(flow(number)), Topic::User(user(number))])
        .collect();
    // The tasks of the bus do not run until the test waits.
    for topic in &topics {
        node.bus.subscribe(&[*topic]);
        node.bus.subscribe(&[*topic]);
    }
    node.missed().await;
    assert_eq!(
        calls(&redis, "subscribe").await,
        1 + 5,
        "one for the channel of all nodes, and one for each thousand channels"
    );
    for topic in &topics {
        node.bus.unsubscribe(&[*topic]);
    }
    node.bus.subscribe(&topics[..1]);
    let last = Topic::Flow(flow(9_999));
    node.subscribe(&[last]).await;
    assert_eq!((calls(&redis, "unsubscribe").await, calls(&redis, "subscribe").await), (5, 7));
    let other = Node::connect(&redis.url(), options()).await;
    other.bus.publish(&[in_flow(1, 2), in_flow(2, 1), in_flow(3, 9_999)]).await;
    assert_eq!(node.receive(2).await, [in_flow(2, 1), in_flow(3, 9_999)]);
}

#[tokio::test]
async fn nodes_reconnect_to_a_restarted_redis() {
    let Some(redis) = Redis::start_or_skip() else { return };
    // The nodes start without it.
    redis.kill();
    let mut anna = Node::start(&redis.url(), options());
    let mut boris = Node::start(&redis.url(), options());
    boris.bus.subscribe(&[Topic::Flow(flow(1))]);
    for round in 1..=3 {
        for node in [&anna, &boris] {
            until(|| node.bus.last_error().is_some_and(|error| error.contains("refused"))).await;
        }
        anna.bus.publish(&[in_flow(round, 2)]).await;
        assert_eq!(anna.receive(1).await, [in_flow(round, 2)], "this node works without Redis");
        redis.start_again();
        anna.missed().await;
        boris.missed().await;
        assert_eq!((anna.bus.last_error(), boris.bus.last_error()), (None, None));
        anna.bus.publish(&[in_flow(round, 1)]).await;
        assert_eq!(boris.receive(1).await, [in_flow(round, 1)]);
        assert_eq!(anna.receive(1).await, [in_flow(round, 1)]);
        assert_eq!(boris.bus.stats().connections, u64::try_from(round).unwrap());
        redis.kill();
    }
}

#[tokio::test]
async fn a_paused_redis_delays_no_publisher_and_is_reported() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let mut anna = Node::connect(&redis.url(), options()).await;
    let mut boris = Node::connect(&redis.url(), options()).await;
    boris.subscribe(&[Topic::Flow(flow(1))]).await;
    redis.pause();
    // Five times the size of the queue.
    let size = in_flow(1, 1).size();
    let count = 5 * (1 << 20) / size;
    for number in 0..count {
        let published = in_flow(number as i64, 1);
        anna.bus.publish(std::slice::from_ref(&published)).await;
        assert_eq!(anna.receive(1).await, [published]);
    }
    for node in [&anna, &boris] {
        until(|| node.bus.last_error().is_some()).await;
    }
    let dropped = anna.bus.stats().dropped as usize;
    assert!((count / 2..=count).contains(&dropped), "{dropped} of {count}");
    redis.resume();
    // Events sent before may still arrive.
    while boris.bus.last_error().is_some() || anna.bus.last_error().is_some() {
        boris.next().await;
        until(|| boris.bus.last_error().is_none() && anna.bus.last_error().is_none()).await;
    }
    let last = leave(0, 1, [1]);
    anna.bus.publish(std::slice::from_ref(&last)).await;
    let mut received = Vec::new();
    while received.last() != Some(&last) {
        if let Signal::Events(events) = boris.next().await {
            received.extend(events);
        }
    }
    let numbers: Vec<i64> =
        received[..received.len() - 1].iter().map(|event| event.occurred_at.micros()).collect();
    assert!(numbers.is_sorted(), "the newest events are kept, in order");
}

#[tokio::test]
async fn an_undecodable_message_is_signalled_as_a_loss() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let mut node = Node::connect(&redis.url(), options()).await;
    let other = Node::connect(&redis.url(), options()).await;
    node.subscribe(&[Topic::Flow(flow(1))]).await;
    for (count, published) in [
        "",
        "noise",
        r#"{"v":2,"node":1}"#,
        r#"{"v":1,"node":77,"seq":1,"at":1,"event":{"invented":{"flow":1}}}"#,
        r#"{"v":1,"node":77,"seq":1,"at":1,"event":{"flow_deleted":{"flow":0,"by":1}}}"#,
    ]
    .into_iter()
    .enumerate()
    {
        run(&redis, redis::cmd("PUBLISH").arg("tolmach:flow:1").arg(published)).await;
        node.missed().await;
        assert_eq!(node.bus.stats().undecodable, count as u64 + 1);
    }
    other.bus.publish(&[in_flow(1, 1)]).await;
    assert_eq!(node.receive(1).await, [in_flow(1, 1)]);
    assert_eq!(node.bus.last_error(), None);
}

#[tokio::test]
async fn a_lagging_receiver_is_signalled_its_loss() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let mut slow =
        Node::connect(&redis.url(), Options { queue_bytes: 10_000, capacity: 1, ..options() })
            .await;
    let mut anna = Node::connect(&redis.url(), options()).await;
    slow.subscribe(&[Topic::Flow(flow(1))]).await;
    let mut number = 0;
    while slow.bus.stats().overflowed == 0 {
        number += 1;
        anna.bus.publish(&[in_flow(number, 1)]).await;
        anna.receive(1).await;
    }
    let mut received = Vec::new();
    while let Signal::Events(events) = slow.next().await {
        received.extend(events.iter().map(|event| event.occurred_at.micros()));
    }
    assert!(received.is_sorted() && (received.len() as i64) < number, "{received:?} of {number}");
}

#[tokio::test]
async fn closing_publishes_queued_events() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let mut boris = Node::connect(&redis.url(), options()).await;
    boris.subscribe(&[Topic::Flow(flow(1))]).await;
    let anna = Node::connect(&redis.url(), options()).await;
    let published: Vec<_> = (0..500).map(|number| in_flow(number, 1)).collect();
    anna.bus.publish(&published).await;
    anna.bus.close().await;
    assert_eq!((anna.bus.stats().published, anna.bus.stats().dropped), (500, 0));
    assert_eq!(boris.receive(500).await, published);
    anna.bus.close().await;
    assert!(anna.bus.last_error().is_some());
}

#[tokio::test]
async fn a_password_authenticates_and_is_never_shown() {
    let Some(redis) = Redis::start_or_skip() else { return };
    run(&redis, redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("hunter2")).await;
    let url = |password: &str| format!("redis://:{password}@{}", redis.address());
    Node::connect(&url("hunter2"), options()).await;
    for password in ["hunter3", ""] {
        let node = Node::start(&url(password), options());
        until(|| node.bus.last_error().is_some_and(|error| !error.contains("yet"))).await;
        let error = node.bus.last_error().unwrap();
        assert!(error.contains(&redis.address()) && !error.contains("hunter"), "{error}");
        assert!(error.contains("assword") || error.contains("uthenti"), "{error}");
    }
}

#[tokio::test]
async fn a_slot_that_left_its_node_is_found_again() {
    let Some(redis) = Redis::cluster_or_skip() else { return };
    let mut anna = Node::connect(&redis.url(), Options { sharded: true, ..options() }).await;
    let mut boris = Node::connect(&redis.url(), Options { sharded: true, ..options() }).await;
    boris.subscribe(&[Topic::Flow(flow(7))]).await;
    run(&redis, redis::cmd("CLUSTER").arg("DELSLOTSRANGE").arg(0).arg(16_383)).await;
    until(|| boris.bus.last_error().is_some() && anna.bus.last_error().is_some()).await;
    run(&redis, redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16_383)).await;
    anna.missed().await;
    boris.missed().await;
    anna.bus.publish(&[in_flow(1, 7)]).await;
    assert_eq!(boris.receive(1).await, [in_flow(1, 7)]);
}
