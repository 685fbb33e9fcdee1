//! The bus of several nodes passes the suite on a real Redis, and joins nodes through whatever
//! happens to that Redis.

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

    /// Little room, so that publishers wait.
    fn make() -> Option<(Arc<dyn Bus>, Redis)> {
        let redis = Redis::start_or_skip()?;
        let bus = RedisBus::open(&redis.url(), Options { capacity: 64, ..options() })
            .expect("the URL is right");
        Some((Arc::new(bus), redis))
    }

    tolmach_engine::bus_suite!(make);
}

/// Options of a node of its own.
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

/// A node, and all that it hears.
struct Node {
    bus: RedisBus,
    part: Box<dyn BusReceiver>,
}

impl Node {
    /// A node that has begun, perhaps without Redis.
    fn begin(url: &str, options: Options) -> Self {
        let bus = RedisBus::open(url, options).expect("the URL is right");
        let part = bus.receivers(1).remove(0);
        Self { bus, part }
    }

    /// A node that has reached its Redis.
    async fn join(url: &str, options: Options) -> Self {
        let mut node = Self::begin(url, options);
        node.told().await;
        assert_eq!(node.bus.last_error(), None);
        node
    }

    async fn next(&mut self) -> Signal {
        self.part.next().await.expect("the bus is alive")
    }

    /// Waits until it is told that something may have been missed; nothing else comes before.
    async fn told(&mut self) {
        assert_eq!(self.next().await, Signal::Missed);
    }

    /// Listens, and waits until that has come about.
    async fn subscribe(&mut self, topics: &[Topic]) {
        self.bus.subscribe(topics);
        self.told().await;
    }

    /// The next events; nothing else comes before.
    async fn hear(&mut self, count: usize) -> Vec<Arc<Event>> {
        let mut heard = Vec::new();
        while heard.len() < count {
            match self.next().await {
                Signal::Events(events) => heard.extend(events),
                Signal::Missed => panic!("nothing was missed; heard so far: {heard:?}"),
            }
        }
        heard
    }
}

fn flow(number: i64) -> FlowId {
    FlowId::new(number).expect("numbers of these tests are ids")
}

fn user(number: i64) -> UserId {
    UserId::new(number).expect("numbers of these tests are ids")
}

fn person(number: i64) -> UserSummary {
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

/// Something that happens in a flow.
fn in_flow(number: i64, of: i64) -> Arc<Event> {
    event(number, EventKind::Typing { flow: flow(of), user: person(1), active: true })
}

/// Members leave a flow.
fn leave(number: i64, of: i64, users: impl IntoIterator<Item = i64>) -> Arc<Event> {
    event(
        number,
        EventKind::MembersRemoved { flow: flow(of), users: users.into_iter().map(user).collect() },
    )
}

/// Waits for what only can be looked at.
async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Has the Redis do something.
async fn ask(redis: &Redis, command: &Cmd) -> Value {
    let client = Client::open(redis.url()).expect("the URL is right");
    let mut connection =
        client.get_multiplexed_async_connection().await.expect("the Redis is there");
    command.query_async(&mut connection).await.expect("the Redis does what it is asked")
}

/// The same for what it answers with text.
async fn text(redis: &Redis, command: &Cmd) -> String {
    redis::from_redis_value(ask(redis, command).await).expect("it answers with text")
}

/// How often the Redis was given a command, in whatever way.
async fn calls(redis: &Redis, command: &str) -> u64 {
    let stats = text(redis, redis::cmd("INFO").arg("commandstats")).await;
    let line =
        stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    let calls = line.and_then(|line| line.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("calls are counted"))
}

#[tokio::test]
async fn nodes_hear_each_other_on_the_topics_that_they_listen_to() {
    let Some(redis) = Redis::start_or_skip() else { return };
    hear_each_other(&redis.url(), false).await;
}

#[tokio::test]
async fn nodes_hear_each_other_by_the_sharded_channels_of_a_cluster() {
    let Some(redis) = Redis::cluster_or_skip() else { return };
    hear_each_other(&redis.url(), true).await;
    assert!(calls(&redis, "spublish").await > 0 && calls(&redis, "ssubscribe").await > 0);
    assert_eq!((calls(&redis, "publish").await, calls(&redis, "subscribe").await), (0, 0));
}

async fn hear_each_other(url: &str, sharded: bool) {
    let mut anna = Node::join(url, Options { sharded, ..options() }).await;
    let mut boris = Node::join(url, Options { sharded, ..options() }).await;
    boris.subscribe(&[Topic::Flow(flow(1)), Topic::User(user(5))]).await;

    let ended = event(3, EventKind::SessionsEnded { user: user(5), session: None });
    let said = [
        in_flow(1, 1),
        in_flow(2, 2),
        ended.clone(),
        event(4, EventKind::SessionsEnded { user: user(6), session: None }),
        in_flow(5, 1),
    ];
    anna.bus.publish(&said).await;
    assert_eq!(anna.hear(5).await, said, "a node hears all of itself, once");
    // They lie on different nodes of a cluster, perhaps, and then in whichever order.
    let mut heard = boris.hear(3).await;
    heard.sort_by_key(|event| event.occurred_at);
    assert_eq!(heard, [in_flow(1, 1), ended, in_flow(5, 1)]);

    boris.bus.unsubscribe(&[Topic::Flow(flow(1))]);
    boris.subscribe(&[Topic::Flow(flow(3))]).await;
    anna.bus.publish(&[in_flow(6, 1), in_flow(7, 3)]).await;
    assert_eq!(boris.hear(1).await, [in_flow(7, 3)]);

    // The other way round. Redis sends a node its own events back from now on; it hears them once
    // all the same.
    assert_eq!(anna.hear(2).await, [in_flow(6, 1), in_flow(7, 3)]);
    anna.subscribe(&[Topic::Flow(flow(1))]).await;
    anna.bus.publish(&[in_flow(8, 1)]).await;
    assert_eq!(anna.hear(1).await, [in_flow(8, 1)]);
    boris.bus.publish(&[in_flow(9, 1)]).await;
    assert_eq!(anna.hear(1).await, [in_flow(9, 1)]);
}

#[tokio::test]
async fn a_cluster_of_three_shares_the_topics() {
    let Some(first) = Redis::cluster_or_skip() else { return };
    let nodes = [first, Redis::cluster(), Redis::cluster()];
    join_into_one(&nodes).await;
    let sharded = || Options { sharded: true, ..options() };
    let mut anna = Node::join(&nodes[0].url(), sharded()).await;
    let mut boris = Node::join(&format!("{},{}", nodes[1].url(), nodes[2].url()), sharded()).await;
    let topics: Vec<Topic> = (1..=2_000).map(|number| Topic::Flow(flow(number))).collect();
    boris.subscribe(&topics).await;
    let said: Vec<_> = (1..=4_000).map(|number| in_flow(number, number % 2_000 + 1)).collect();
    anna.bus.publish(&said).await;
    assert_eq!(anna.hear(4_000).await, said);
    let heard = boris.hear(4_000).await;
    for number in 1..=2_000 {
        let moments = |of: &[Arc<Event>]| -> Vec<_> {
            of.iter()
                .filter(|event| event.flow() == Some(flow(number)))
                .map(|event| event.occurred_at)
                .collect()
        };
        assert_eq!(moments(&heard), moments(&said), "the order within a flow is kept");
    }
    for node in &nodes {
        let subscriptions = calls(node, "ssubscribe").await;
        assert!(
            subscriptions > 0 && calls(node, "spublish").await > 0,
            "every node of the cluster has its share"
        );
        assert!(subscriptions < 300, "few commands: {subscriptions}");
    }
    nodes[2].kill();
    until(|| anna.bus.last_error().is_some() && boris.bus.last_error().is_some()).await;
}

/// Makes one cluster of three that each had all slots.
async fn join_into_one(nodes: &[Redis; 3]) {
    let slots = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];
    for (index, node) in nodes.iter().enumerate() {
        for (other, (first, last)) in slots.iter().enumerate() {
            if other != index {
                ask(node, redis::cmd("CLUSTER").arg("DELSLOTSRANGE").arg(*first).arg(*last)).await;
            }
        }
        ask(node, redis::cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(index + 1)).await;
    }
    // "<id> 127.0.0.1:<port>@<the port where nodes talk> myself,…"
    let itself = text(&nodes[0], redis::cmd("CLUSTER").arg("NODES")).await;
    let ports =
        itself.split([' ', ',']).find_map(|word| word.strip_prefix("127.0.0.1:")?.split_once('@'));
    let (port, talk) = ports.expect("a node names its ports");
    for node in &nodes[1..] {
        ask(node, redis::cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(port).arg(talk)).await;
    }
    for node in nodes {
        let whole = ["cluster_state:ok", "cluster_size:3", "cluster_slots_assigned:16384"];
        while let info = text(node, redis::cmd("CLUSTER").arg("INFO")).await
            && !whole.iter().all(|part| info.contains(part))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn those_who_come_and_go_are_told_by_their_own_topic_and_once_a_node() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let anna = Node::join(&redis.url(), options()).await;
    let mut boris = Node::join(&redis.url(), options()).await;
    boris.subscribe(&[Topic::Flow(flow(1)), Topic::User(user(2)), Topic::User(user(3))]).await;
    let made = Flow {
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
    let said = [
        event(1, EventKind::FlowCreated { flow: made, members: vec![person(2), person(3)] }),
        event(
            2,
            EventKind::MembersAdded {
                flow: flow(9),
                users: vec![person(3), person(2)],
                version: Version(4),
            },
        ),
        leave(3, 9, [2, 3, 4]),
        leave(4, 1, [2, 3, 4]),
        // Told by the flow only, and by nobody who listens.
        leave(5, 1, [8]),
        leave(6, 9, [8]),
        // More than are told one by one: every node hears it, and does once.
        leave(7, 9, 100..200),
        leave(8, 1, 1..200),
        in_flow(9, 1),
    ];
    anna.bus.publish(&said).await;
    let heard = [0, 1, 2, 3, 4, 6, 7, 8].map(|index: usize| said[index].clone());
    assert_eq!(boris.hear(8).await, heard);
}

#[tokio::test]
async fn worlds_with_prefixes_of_their_own_share_a_redis() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let mut here = Node::join(&redis.url(), options()).await;
    let there = Node::join(&redis.url(), Options { prefix: "other:".into(), ..options() }).await;
    let beside = Node::join(&redis.url(), options()).await;
    here.subscribe(&[Topic::Flow(flow(1))]).await;
    there.bus.publish(&[in_flow(1, 1), leave(2, 1, 1..100)]).await;
    there.bus.close().await;
    assert_eq!(there.bus.stats().published, 2);
    beside.bus.publish(&[in_flow(3, 1)]).await;
    assert_eq!(here.hear(1).await, [in_flow(3, 1)]);
}

#[tokio::test]
async fn a_storm_of_topics_is_few_commands() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let mut node = Node::join(&redis.url(), options()).await;
    let topics: Vec<Topic> = (1..=2_500)
        .flat_map(|number| [Topic::Flow(flow(number)), Topic::User(user(number))])
        .collect();
    // Nothing else gets a turn until the node waits.
    for topic in &topics {
        node.bus.subscribe(&[*topic]);
        node.bus.subscribe(&[*topic]);
    }
    node.told().await;
    assert_eq!(
        calls(&redis, "subscribe").await,
        1 + 5,
        "one for everyone's channel, and a thousand channels by each of the others"
    );
    for topic in &topics {
        node.bus.unsubscribe(&[*topic]);
    }
    node.bus.subscribe(&topics[..1]);
    let last = Topic::Flow(flow(9_999));
    node.subscribe(&[last]).await;
    assert_eq!((calls(&redis, "unsubscribe").await, calls(&redis, "subscribe").await), (5, 7));
    let other = Node::join(&redis.url(), options()).await;
    other.bus.publish(&[in_flow(1, 2), in_flow(2, 1), in_flow(3, 9_999)]).await;
    assert_eq!(node.hear(2).await, [in_flow(2, 1), in_flow(3, 9_999)]);
}

#[tokio::test]
async fn a_killed_redis_that_comes_back_joins_the_nodes_again() {
    let Some(redis) = Redis::start_or_skip() else { return };
    // They begin without it.
    redis.kill();
    let mut anna = Node::begin(&redis.url(), options());
    let mut boris = Node::begin(&redis.url(), options());
    boris.bus.subscribe(&[Topic::Flow(flow(1))]);
    for round in 1..=3 {
        for node in [&anna, &boris] {
            until(|| node.bus.last_error().is_some_and(|trouble| trouble.contains("refused")))
                .await;
        }
        anna.bus.publish(&[in_flow(round, 2)]).await;
        assert_eq!(anna.hear(1).await, [in_flow(round, 2)], "this node goes on");
        redis.start_again();
        anna.told().await;
        boris.told().await;
        assert_eq!((anna.bus.last_error(), boris.bus.last_error()), (None, None));
        anna.bus.publish(&[in_flow(round, 1)]).await;
        assert_eq!(boris.hear(1).await, [in_flow(round, 1)]);
        assert_eq!(anna.hear(1).await, [in_flow(round, 1)]);
        assert_eq!(boris.bus.stats().connections, u64::try_from(round).unwrap());
        redis.kill();
    }
}

#[tokio::test]
async fn a_paused_redis_holds_nobody_up_and_is_told_of() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let mut anna = Node::join(&redis.url(), options()).await;
    let mut boris = Node::join(&redis.url(), options()).await;
    boris.subscribe(&[Topic::Flow(flow(1))]).await;
    redis.pause();
    // Five times what waits for Redis at most.
    let size = in_flow(1, 1).size();
    let count = 5 * (1 << 20) / size;
    for number in 0..count {
        let said = in_flow(number as i64, 1);
        anna.bus.publish(std::slice::from_ref(&said)).await;
        assert_eq!(anna.hear(1).await, [said]);
    }
    for node in [&anna, &boris] {
        until(|| node.bus.last_error().is_some()).await;
    }
    let dropped = anna.bus.stats().dropped as usize;
    assert!((count / 2..=count).contains(&dropped), "{dropped} of {count}");
    redis.resume();
    // What was on the way before may still come.
    while boris.bus.last_error().is_some() || anna.bus.last_error().is_some() {
        boris.next().await;
        until(|| boris.bus.last_error().is_none() && anna.bus.last_error().is_none()).await;
    }
    let last = leave(0, 1, [1]);
    anna.bus.publish(std::slice::from_ref(&last)).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&last) {
        if let Signal::Events(events) = boris.next().await {
            heard.extend(events);
        }
    }
    let numbers: Vec<i64> =
        heard[..heard.len() - 1].iter().map(|event| event.occurred_at.micros()).collect();
    assert!(numbers.is_sorted(), "the newest were kept, in order");
}

#[tokio::test]
async fn what_cannot_be_read_is_looked_up() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let mut node = Node::join(&redis.url(), options()).await;
    let other = Node::join(&redis.url(), options()).await;
    node.subscribe(&[Topic::Flow(flow(1))]).await;
    for (count, said) in [
        "",
        "noise",
        r#"{"v":2,"node":1}"#,
        r#"{"v":1,"node":77,"seq":1,"at":1,"event":{"invented":{"flow":1}}}"#,
        r#"{"v":1,"node":77,"seq":1,"at":1,"event":{"flow_deleted":{"flow":0,"by":1}}}"#,
    ]
    .into_iter()
    .enumerate()
    {
        ask(&redis, redis::cmd("PUBLISH").arg("tolmach:flow:1").arg(said)).await;
        node.told().await;
        assert_eq!(node.bus.stats().undecodable, count as u64 + 1);
    }
    other.bus.publish(&[in_flow(1, 1)]).await;
    assert_eq!(node.hear(1).await, [in_flow(1, 1)]);
    assert_eq!(node.bus.last_error(), None);
}

#[tokio::test]
async fn a_listener_that_lags_finds_out_that_it_missed_something() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let mut slow = Node::join(&redis.url(), Options { queue_bytes: 10_000, capacity: 1, ..options() }).await;
    let mut anna = Node::join(&redis.url(), options()).await;
    slow.subscribe(&[Topic::Flow(flow(1))]).await;
    let mut number = 0;
    while slow.bus.stats().overflowed == 0 {
        number += 1;
        anna.bus.publish(&[in_flow(number, 1)]).await;
        anna.hear(1).await;
    }
    let mut heard = Vec::new();
    while let Signal::Events(events) = slow.next().await {
        heard.extend(events.iter().map(|event| event.occurred_at.micros()));
    }
    assert!(heard.is_sorted() && (heard.len() as i64) < number, "{heard:?} of {number}");
}

#[tokio::test]
async fn closing_hands_on_what_was_published() {
    let Some(redis) = Redis::start_or_skip() else { return };
    let mut boris = Node::join(&redis.url(), options()).await;
    boris.subscribe(&[Topic::Flow(flow(1))]).await;
    let anna = Node::join(&redis.url(), options()).await;
    let said: Vec<_> = (0..500).map(|number| in_flow(number, 1)).collect();
    anna.bus.publish(&said).await;
    anna.bus.close().await;
    assert_eq!((anna.bus.stats().published, anna.bus.stats().dropped), (500, 0));
    assert_eq!(boris.hear(500).await, said);
    anna.bus.close().await;
    assert!(anna.bus.last_error().is_some());
}

#[tokio::test]
async fn a_password_opens_and_is_never_shown() {
    let Some(redis) = Redis::start_or_skip() else { return };
    ask(&redis, redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("hunter2")).await;
    let url = |password: &str| format!("redis://:{password}@{}", redis.address());
    Node::join(&url("hunter2"), options()).await;
    for password in ["hunter3", ""] {
        let node = Node::begin(&url(password), options());
        until(|| node.bus.last_error().is_some_and(|trouble| !trouble.contains("yet"))).await;
        let trouble = node.bus.last_error().unwrap();
        assert!(trouble.contains(&redis.address()) && !trouble.contains("hunter"), "{trouble}");
        assert!(trouble.contains("assword") || trouble.contains("uthenti"), "{trouble}");
    }
}

#[tokio::test]
async fn a_slot_that_leaves_its_node_is_found_again() {
    let Some(redis) = Redis::cluster_or_skip() else { return };
    let mut anna = Node::join(&redis.url(), Options { sharded: true, ..options() }).await;
    let mut boris = Node::join(&redis.url(), Options { sharded: true, ..options() }).await;
    boris.subscribe(&[Topic::Flow(flow(7))]).await;
    ask(&redis, redis::cmd("CLUSTER").arg("DELSLOTSRANGE").arg(0).arg(16_383)).await;
    until(|| boris.bus.last_error().is_some() && anna.bus.last_error().is_some()).await;
    ask(&redis, redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16_383)).await;
    anna.told().await;
    boris.told().await;
    anna.bus.publish(&[in_flow(1, 7)]).await;
    assert_eq!(boris.hear(1).await, [in_flow(1, 7)]);
}
