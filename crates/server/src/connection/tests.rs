//! Whole connections over streams in memory, in one thread and without a clock: a test goes on once
//! every task waits.

use super::connection::{Connection, websocket_config};
use super::inbound::Inbound;
use super::pipeline::{Answered, Submitted};
use super::session::ConnectionSession;
use crate::broadcast::Broadcast;
use crate::hub::{Hub, Subscriber};
use crate::options::Limits;
use crate::places::Client;
use crate::state::UPSTREAM_PROOFS_OF_ADDRESS;
use crate::test_support::{TestServer, settle, toy};
use crate::test_upstream::ToyUpstream;
use crate::toy::PASSWORD;
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tolmach_dialect::{Correlation, Handshake, Request, Subscription};
use tolmach_domain::{
    Authority, Command, Content, Credentials, Event, EventKind, FlowId, FlowKind, GrantKind,
    Message as Posted, MessageId, RecoveryIdentifier, Secret, SessionId, Timestamp, UserId,
    UserSummary,
};
use tolmach_engine::RuleSet;
use tolmach_engine::ports::{
    Bus, FlowLimits, FlowStore, LedgerDay, LedgerQuery, LedgerScope, LedgerStore, Rule, RuleEffect,
    RuleSubject, SessionStore, UserStore,
};

/// The bytes that the stream between a connection and its peer holds.
const STREAM: usize = 64;

/// The address of all peers.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The session of a new connection.
fn session(server: &TestServer) -> ConnectionSession {
    let (state, dialect) = (server.state.clone(), server.dialect());
    let subscriber = state.connect(state.new_connection());
    let session = dialect.dialect.accept(&Handshake::new(subscriber.id)).unwrap();
    let place = state.places.take(None).unwrap();
    let client = Client::new(ADDRESS, place, state.limits.first_proof_timeout);
    ConnectionSession::new(state, dialect, session, subscriber, client)
}

/// Carries out a request of a connection without a task.
async fn carry_out(session: &mut ConnectionSession, command: Command) {
    let mut request = Request::new(Correlation::NONE, Credentials::Nothing, command);
    let (context, caller) = session.begin(&mut request).await;
    let submitted = session.submit(caller, context, request).await;
    let Submitted { outcome, context, .. } = submitted;
    let mut answered = Answered { completed: outcome.completed().await, context };
    session.respond(&mut answered, &mut Vec::new()).await;
}

/// A peer of the server.
struct Peer {
    socket: WebSocketStream<DuplexStream>,
    subscriber: Arc<Subscriber>,
}

impl Peer {
    /// A peer whose stream holds so many bytes.
    async fn connect(server: &TestServer, stream: usize) -> Self {
        let (ours, theirs) = duplex(stream);
        let session = session(server);
        let subscriber = session.subscriber.clone();
        let ours = Inbound::new(&server.state, session.address(), ours, &[]);
        let config = Some(websocket_config(1 << 20));
        let socket = WebSocketStream::from_raw_socket(ours, Role::Server, config).await;
        let connection = Connection::new(socket, None, session);
        tokio::spawn(connection.run(Vec::new(), None));
        let socket = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
        Self { socket, subscriber }
    }

    /// A peer that is logged in and follows all flows of its user.
    async fn follower(server: &TestServer, login: &str, stream: usize) -> Self {
        let mut peer = Self::connect(server, stream).await;
        peer.login(login).await;
        assert_eq!(peer.request("follow all").await, "ok");
        peer
    }

    async fn login(&mut self, login: &str) {
        assert_eq!(self.request(&format!("login {login}")).await, "ok");
    }

    async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    async fn request(&mut self, text: &str) -> String {
        self.send(text).await;
        self.receive().await
    }

    async fn receive(&mut self) -> String {
        match self.socket.next().await.unwrap().unwrap() {
            Message::Text(text) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// The next frame, if there is one once every task waits.
    async fn received(&mut self) -> Option<String> {
        settle().await;
        self.receive().now_or_never()
    }

    /// The texts up to the close, and its code.
    async fn receive_to_close(&mut self) -> (Vec<String>, Option<u16>) {
        let mut texts = Vec::new();
        loop {
            match self.socket.next().await.unwrap().unwrap() {
                Message::Text(text) => texts.push(text.to_string()),
                Message::Close(frame) => return (texts, frame.map(|frame| frame.code.into())),
                other => panic!("{other:?}"),
            }
        }
    }
}

async fn server(limits: Limits) -> (TestServer, FlowId) {
    let server = TestServer::new(toy(), limits).await;
    let users = [server.backend.user("ann").await.id, server.backend.user("bob").await.id];
    let group = server.backend.group(&users).await;
    settle().await;
    (server, group)
}

/// Subscribes a connection without a task for the user `ann`.
async fn subscribe_ann(hub: &Hub, subscriber: &Arc<Subscriber>, flow: FlowId) {
    let ann = UserId::new(1).unwrap();
    let reader = (ann, Authority::Member);
    hub.subscribe_to_flow(subscriber, ann, reader, (flow, false), None).await.unwrap();
}

fn is_connected(server: &TestServer, peer: &Peer) -> bool {
    let connections = server.state.hub.connections();
    connections.iter().filter_map(|it| it.upgrade()).any(|it| it.id == peer.subscriber.id)
}

/// The bytes of an event with this long text on the wire: a header of four and the text.
fn event_bytes(text: &str) -> usize {
    format!("event posted {text}").len() + 4
}

/// The size of the future that a function makes of these arguments, in bytes.
fn future_size<A, B, F: Future>(_: fn(A, B) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn the_futures_that_are_boxed_for_every_frame_are_small() {
    type Tested = Connection<DuplexStream>;
    for (name, size) in
        [("received", future_size(Tested::received)), ("advanced", future_size(Tested::advanced))]
    {
        assert!(size <= 2_048, "{name}: {size} bytes are copied for every frame");
    }
}

#[tokio::test]
async fn every_change_of_the_identity_is_announced_once() {
    let (server, _) = server(Limits::default()).await;
    let ann = UserId::new(1).unwrap();
    let mut peer = Peer::connect(&server, 4096).await;
    for (request, calls) in [
        ("whoami", &["respond unauthenticated"][..]),
        ("login ann", &["authenticated Some(1)", "respond ok"]),
        ("whoami", &["respond ok"]),
        ("login ann", &["authenticated Some(1)", "respond ok"]),
        ("logout", &["authenticated None", "respond ok"]),
        ("whoami", &["respond unauthenticated"]),
        ("login bob", &["authenticated Some(2)", "respond ok"]),
        ("login cid", &["respond wrong_credentials"]),
    ] {
        peer.request(request).await;
        settle().await;
        assert_eq!(server.take_calls(), calls, "{request}");
    }
    server.backend.store.delete_user(ann, server.state.engine.now()).await.unwrap();
    settle().await;
    assert_eq!(server.take_calls(), [""; 0], "another user's sessions end");
    server
        .backend
        .store
        .delete_user(UserId::new(2).unwrap(), server.state.engine.now())
        .await
        .unwrap();
    assert_eq!(peer.receive_to_close().await, (vec![], Some(4008)));
    assert_eq!(server.take_calls(), ["authenticated None", "deliver sessions_ended"]);
}

#[tokio::test]
async fn credentials_that_are_refused_end_the_identity_and_the_subscription() {
    let (server, group) = server(Limits::default()).await;
    let mut peer = Peer::follower(&server, "ann", 4096).await;
    let mut other = Peer::follower(&server, "bob", 4096).await;
    other.request(&format!("send {group} hello")).await;
    assert_eq!(peer.receive().await, "event posted hello");
    // The end of the session is not received, as if it happened on another node a moment ago.
    server.state.hub.detach(&peer.subscriber, UserId::new(1).ok());
    server
        .backend
        .store
        .delete_user(UserId::new(1).unwrap(), server.state.engine.now())
        .await
        .unwrap();
    settle().await;
    server.take_calls();
    assert_eq!(peer.request("whoami").await, "unauthenticated");
    assert_eq!(server.take_calls(), ["authenticated None", "respond unauthenticated"]);
    other.send(format!("send {group} hello")).await;
    assert_eq!(peer.received().await, None);
}

#[tokio::test]
async fn only_the_subscribed_flow_is_delivered() {
    let (server, group) = server(Limits::default()).await;
    let other = server.backend.group(&[UserId::new(1).unwrap(), UserId::new(2).unwrap()]).await;
    let mut writer = Peer::connect(&server, 4096).await;
    writer.login("bob").await;
    let mut peer = Peer::connect(&server, 4096).await;
    peer.login("ann").await;
    for (follow, expected) in [
        ("none".to_owned(), &[][..]),
        (group.to_string(), &["event posted one"]),
        (other.to_string(), &["event posted two"]),
        ("all".to_owned(), &["event posted one", "event posted two"]),
        ("none".to_owned(), &[]),
    ] {
        assert_eq!(peer.request(&format!("follow {follow}")).await, "ok");
        writer.request(&format!("send {group} one")).await;
        writer.request(&format!("send {other} two")).await;
        let mut received = Vec::new();
        while let Some(text) = peer.received().await {
            received.push(text);
        }
        assert_eq!(received, expected, "{follow}");
    }
}

#[tokio::test]
async fn a_dialect_that_needs_summaries_renders_with_one() {
    let server = TestServer::new(toy().needs_flow_summaries(), Limits::default()).await;
    let (ann, bob) = (server.backend.user("ann").await.id, server.backend.user("bob").await.id);
    let (cid, group) =
        (server.backend.user("cid").await.id, server.backend.group(&[ann, bob]).await);
    settle().await;
    let mut writer = Peer::connect(&server, 4096).await;
    writer.login("ann").await;
    let mut peer = Peer::connect(&server, 4096).await;
    peer.login("bob").await;
    assert_eq!(peer.request(&format!("follow {group}")).await, "ok");
    writer.request(&format!("send {group} hello")).await;
    assert_eq!(peer.receive().await, "event posted of 2 hello");
    let now = server.state.engine.now();
    server
        .backend
        .store
        .add_members(group, ann, &[cid], FlowLimits::NONE, None, now)
        .await
        .unwrap();
    assert_eq!(peer.receive().await, "event members_added of 3 ");
    writer.request(&format!("send {group} hello")).await;
    assert_eq!(peer.receive().await, "event posted of 3 hello");
    server.backend.store.remove_members(group, ann, &[cid], None, now).await.unwrap();
    assert_eq!(peer.receive().await, "event members_removed of 3 ");
    writer.request(&format!("send {group} hello")).await;
    assert_eq!(peer.receive().await, "event posted of 2 hello");
    assert_eq!(peer.request("follow none").await, "ok");
    assert!(server.state.hub.flow_summary(group).is_none(), "no subscriber needs it any more");
}

#[tokio::test]
async fn a_flow_that_a_request_reads_is_not_read_again_for_its_subscription() {
    let server = TestServer::new(toy().needs_flow_summaries(), Limits::default()).await;
    let users = [server.backend.user("ann").await.id, server.backend.user("bob").await.id];
    let mut writer = Peer::connect(&server, 4096).await;
    writer.login("ann").await;
    let mut peer = Peer::connect(&server, 4096).await;
    peer.login("bob").await;
    let reads = async |peer: &mut Peer, request: &str, group: FlowId| {
        let before = server.backend.store.reads();
        let response = peer.request(&format!("{request} {group}")).await;
        assert!(response.starts_with("ok"), "{request}: {response}");
        server.backend.store.reads() - before
    };
    // A request reads more where a cache has just forgotten something: the fewest count.
    let mut fewest = [u64::MAX; 4];
    for _ in 0..4 {
        let group = server.backend.group(&users).await;
        settle().await;
        // From here on the engine has the members of the room, for a moment.
        reads(&mut peer, "get", group).await;
        let alone = reads(&mut peer, "get", group).await;
        // Subscribes after the answer, whose summary is that of all subscribers.
        let joined = reads(&mut peer, "join", group).await;
        writer.request(&format!("send {group} one")).await;
        assert_eq!(peer.receive().await, "event posted of 2 one");
        // Subscribes before the request is carried out. There is a summary already.
        let opened = reads(&mut writer, "open", group).await;
        let again = reads(&mut writer, "open", group).await;
        peer.request(&format!("send {group} two")).await;
        assert_eq!(writer.receive().await, "event posted of 2 two");
        for (fewest, reads) in fewest.iter_mut().zip([alone, joined, opened, again]) {
            *fewest = reads.min(*fewest);
        }
    }
    let [alone, joined, opened, again] = fewest;
    assert_eq!((joined, opened), (alone, again));
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_closed_one_byte_past_the_bound() {
    const EVENTS: usize = 20;
    let text = "x".repeat(20_000);
    // The first event is being written, and may have any size.
    let waiting = (EVENTS - 1) * event_bytes(&text);
    for (bound, closed) in [(waiting, false), (waiting - 1, true)] {
        let limits = Limits { send_queue_bytes: bound, ..Limits::default() };
        let (server, group) = server(limits).await;
        let mut reader = Peer::follower(&server, "ann", STREAM).await;
        let mut writer = Peer::connect(&server, 4096).await;
        writer.login("bob").await;
        for _ in 0..EVENTS {
            // The reader does not hold the writer back.
            assert_eq!(writer.request(&format!("send {group} {text}")).await, format!("ok {text}"));
        }
        settle().await;
        assert_eq!(is_connected(&server, &reader), !closed, "{bound}");
        if closed {
            assert_eq!(reader.receive_to_close().await.1, Some(4013));
        } else {
            for _ in 0..EVENTS {
                assert_eq!(reader.receive().await, format!("event posted {text}"));
            }
        }
    }
}

#[tokio::test]
async fn responses_do_not_make_a_peer_slow() {
    const MESSAGES: usize = 50;
    let limits = Limits { send_queue_bytes: 1000, ..Limits::default() };
    let (server, group) = server(limits).await;
    let mut peer = Peer::connect(&server, STREAM).await;
    peer.login("ann").await;
    let text = "x".repeat(100);
    for _ in 0..MESSAGES {
        peer.send(format!("send {group} {text}")).now_or_never();
        settle().await;
    }
    assert!(is_connected(&server, &peer));
}

#[tokio::test]
async fn a_peer_is_never_slow_by_events_that_it_is_not_sent() {
    const MESSAGES: usize = 128;
    let limits = Limits { send_queue_bytes: 1 << 10, ..Limits::default() };
    let (server, group) = server(limits).await;
    // The session skips the events of its own messages.
    let mut peer = Peer::follower(&server, "ann", 4 << 20).await;
    for number in 0..MESSAGES {
        let text = "x".repeat(10_000);
        peer.send(format!("send {group} {number} {text}")).await;
    }
    for number in 0..MESSAGES {
        assert_eq!(peer.receive().await, format!("ok {number}"));
    }
    assert!(is_connected(&server, &peer));
}

#[tokio::test]
async fn writers_wait_in_turn_while_a_subscriber_is_behind_and_no_reader_is_closed() {
    const MESSAGES: usize = 30;
    const IN_FLIGHT: usize = 4;
    let text = "x".repeat(1000);
    // A flow lags past a quarter of it: after two messages.
    let limits = Limits { send_queue_bytes: 4 * 2400, ..Limits::default() };
    let (server, group) = server(limits).await;
    let hub = &server.state.hub;
    let mut reader = Peer::follower(&server, "ann", 1 << 20).await;
    let mut writers =
        [Peer::connect(&server, 1 << 20).await, Peer::connect(&server, 1 << 20).await];
    for writer in &mut writers {
        writer.login("bob").await;
    }
    // A subscriber whose task has no turn.
    let behind = hub.connect(server.state.new_connection());
    subscribe_ann(hub, &behind, group).await;
    let (mut sent, mut responses, mut held_back) = ([0; 2], [0; 2], 0);
    while responses != [MESSAGES; 2] {
        for index in 0..writers.len() {
            while sent[index] < MESSAGES && sent[index] - responses[index] < IN_FLIGHT {
                writers[index].send(format!("send {group} {} {text}", sent[index])).await;
                sent[index] += 1;
                while let Some(response) = writers[index].received().await {
                    assert_eq!(response, format!("ok {}", responses[index]));
                    responses[index] += 1;
                }
            }
        }
        held_back += usize::from(sent != responses);
        assert!(is_connected(&server, &reader), "a reader that is not behind is not closed");
        let apart = responses[0].abs_diff(responses[1]);
        assert!(apart <= IN_FLIGHT, "they share what there is: {responses:?}");
        // The subscriber has its turn, and so have the writers.
        let mut taken = Vec::new();
        behind.queue.try_take(&mut taken);
        assert!(taken.len() <= 2 * IN_FLIGHT + 2, "what is outstanding is bounded");
        drop(taken);
        for (writer, responses) in writers.iter_mut().zip(&mut responses) {
            while let Some(response) = writer.received().await {
                assert_eq!(response, format!("ok {responses}"));
                *responses += 1;
            }
        }
    }
    assert!(held_back > MESSAGES / IN_FLIGHT, "they were held back again and again");
    for _ in 0..2 * MESSAGES {
        assert!(reader.receive().await.starts_with("event posted "));
    }
    hub.disconnect(&behind, UserId::new(1).ok());
}

#[tokio::test]
async fn nothing_more_is_read_from_a_writer_whose_response_waits() {
    let limits = Limits { send_queue_bytes: 4, ..Limits::default() };
    let (server, group) = server(limits).await;
    let hub = &server.state.hub;
    let mut writer = Peer::connect(&server, 1 << 20).await;
    writer.login("bob").await;
    let behind = hub.connect(server.state.new_connection());
    subscribe_ann(hub, &behind, group).await;
    assert_eq!(writer.request(&format!("send {group} first")).await, "ok first");
    settle().await;
    writer.send(format!("send {group} second")).await;
    assert_eq!(writer.received().await, None, "its response waits");
    server.take_calls();
    writer.send("whoami").await;
    settle().await;
    assert_eq!(server.take_calls(), [""; 0], "the next request is not carried out");
    hub.disconnect(&behind, UserId::new(1).ok());
    assert_eq!(writer.receive().await, "ok second");
    assert_eq!(writer.receive().await, "ok");
}

#[tokio::test]
async fn a_connection_that_is_closed_holds_no_writer_back() {
    let limits = Limits { send_queue_bytes: 4, ..Limits::default() };
    let (server, group) = server(limits).await;
    let mut reader = Peer::follower(&server, "ann", STREAM).await;
    let mut writer = Peer::connect(&server, 1 << 20).await;
    writer.login("bob").await;
    let text = "x".repeat(20_000);
    for connected in [true, false] {
        assert!(writer.request(&format!("send {group} {text}")).await.starts_with("ok"));
        settle().await;
        assert_eq!(is_connected(&server, &reader), connected);
    }
    for _ in 0..3 {
        assert!(writer.request(&format!("send {group} {text}")).await.starts_with("ok"));
    }
    assert_eq!(reader.receive_to_close().await.1, Some(4013));
}

#[tokio::test]
async fn a_connection_closes_after_everything_was_written_when_the_server_shuts_down() {
    let (server, group) = server(Limits::default()).await;
    let mut reader = Peer::follower(&server, "ann", 4096).await;
    let mut writer = Peer::connect(&server, 4096).await;
    writer.login("bob").await;
    writer.request(&format!("send {group} last")).await;
    reader.subscriber.queue.go_away();
    let (texts, code) = reader.receive_to_close().await;
    assert_eq!((texts, code), (vec!["event posted last".to_owned()], Some(4001)));
}

#[tokio::test]
async fn a_peer_whose_response_waits_goes_when_it_is_the_costliest() {
    const KIB: usize = 1 << 10;
    let limits = Limits { memory_bytes: 60 * KIB, ..Limits::default() };
    let (server, group) = server(limits).await;
    let mut peer = Peer::connect(&server, STREAM).await;
    peer.login("ann").await;
    peer.send(format!("send {group} {}", "x".repeat(40 * KIB))).await;
    settle().await;
    let other = server.state.memory.open([192, 0, 2, 1].into());
    let held = other.reserve(20 * KIB);
    settle().await;
    assert!(held.is_ok() && is_connected(&server, &peer), "there is room for both");
    let more = other.reserve(10 * KIB);
    settle().await;
    assert!(more.is_ok() && !other.is_evicted());
    assert!(!is_connected(&server, &peer));
}

#[tokio::test]
async fn a_reader_for_whom_most_events_wait_goes_past_the_budget_and_writers_go_on() {
    const EVENTS: usize = 20;
    let text = "x".repeat(20_000);
    let waiting = EVENTS * event_bytes(&text);
    for (memory_bytes, connected) in [(2 * waiting, true), (waiting / 2, false)] {
        let limits = Limits { memory_bytes, ..Limits::default() };
        let (server, group) = server(limits).await;
        let reader = Peer::follower(&server, "ann", STREAM).await;
        let mut writer = Peer::connect(&server, 1 << 20).await;
        writer.login("bob").await;
        for _ in 0..EVENTS {
            assert_eq!(writer.request(&format!("send {group} {text}")).await, format!("ok {text}"));
            settle().await;
        }
        assert_eq!(is_connected(&server, &reader), connected, "{memory_bytes}");
        assert!(is_connected(&server, &writer));
    }
}

#[tokio::test]
async fn an_answer_that_becomes_a_refusal_or_has_no_frame_leaves_its_messages_unread() {
    let with_ids = TestServer::with_external_ids(toy()).await;
    let without = TestServer::new(toy(), Limits::default()).await;
    for (server, lost, response) in
        [(with_ids, "read", Some("unavailable")), (without, "lose", None)]
    {
        let users = [server.backend.user("ann").await.id, server.backend.user("bob").await.id];
        let group = server.backend.group(&users).await;
        settle().await;
        let mut reader = Peer::connect(&server, 4096).await;
        reader.login("ann").await;
        let mut writer = Peer::connect(&server, 4096).await;
        writer.login("bob").await;
        // A message whose ids are not cached.
        server.backend.store.fail_external_ids(true).await;
        writer.request(&format!("send {group} hello")).await;
        settle().await;
        reader.send(format!("{lost} {group}")).await;
        assert_eq!(reader.received().await.as_deref(), response);
        server.backend.store.fail_external_ids(false).await;
        for response in ["ok hello", "ok"] {
            assert_eq!(reader.request(&format!("read {group}")).await, response);
        }
    }
}

#[tokio::test]
async fn events_are_delivered_while_a_read_mark_is_moved_and_the_next_request_waits_for_it() {
    let (server, group) = server(Limits::default()).await;
    let mut writer = Peer::connect(&server, 4096).await;
    writer.login("bob").await;
    let mut reader = Peer::follower(&server, "ann", STREAM).await;
    let text = "x".repeat(10 * STREAM);
    writer.request(&format!("send {group} {text}")).await;
    assert_eq!(reader.receive().await, format!("event posted {text}"));
    settle().await;
    // The stream does not hold the answer, and the mark moves after it.
    reader.send(format!("read {group}\nread {group}")).await;
    settle().await;
    let held = server.backend.store.hold().await;
    assert_eq!(reader.receive().await, format!("ok {text}"));
    assert_eq!(reader.received().await, None, "the second read waits");
    let user = UserSummary::named(UserId::new(2).unwrap(), "bob");
    let typing = EventKind::Typing { flow: group, user, active: true };
    let event = Arc::new(Event::new(server.state.engine.now(), typing));
    server.backend.bus.publish(&[event]).await;
    assert_eq!(reader.received().await.as_deref(), Some("event typing "));
    drop(held);
    assert_eq!(reader.receive().await, "ok", "nothing is unread any more");
}

/// A rule that refuses the clients of the toy dialect that fit this subject.
fn refuse(server: &TestServer, subject: RuleSubject) {
    let effect = RuleEffect::Refused { from: Timestamp::default() };
    server.state.rules.replace(RuleSet::new(1, vec![Rule { number: 1, subject, effect }]));
}

#[tokio::test]
async fn a_refused_request_is_answered_and_nothing_after_it_is_carried_out() {
    let (server, group) = server(Limits::default()).await;
    let mut peer = Peer::follower(&server, "ann", 4096).await;
    let mut other = Peer::connect(&server, 4096).await;
    refuse(&server, RuleSubject { dialect: Some("toy".into()), ..RuleSubject::default() });
    server.take_calls();
    peer.send(format!("whoami\nsend {group} hello\nlogout")).await;
    assert_eq!(peer.receive_to_close().await, (vec!["invalid".into()], Some(4001)));
    assert_eq!(server.take_calls(), ["respond invalid"]);
    other.send("login ann").await;
    assert_eq!(other.receive_to_close().await, (vec!["invalid".into()], Some(4001)));
    server.state.rules.replace(RuleSet::new(2, Vec::new()));
    let mut again = Peer::connect(&server, 4096).await;
    again.login("ann").await;
    assert_eq!(again.request(&format!("read {group}")).await, "ok", "nothing was sent");
}

#[tokio::test]
async fn a_login_by_a_refused_user_opens_no_session() {
    let (server, _) = server(Limits::default()).await;
    let ann = UserId::new(1).ok();
    refuse(&server, RuleSubject { user: ann, ..RuleSubject::default() });
    let mut peer = Peer::connect(&server, 4096).await;
    peer.send("login ann\nwhoami").await;
    assert_eq!(peer.receive_to_close().await, (vec!["invalid".into()], Some(4001)));
    assert_eq!(server.take_calls(), ["respond invalid"], "no identity is announced");
    let mut other = Peer::connect(&server, 4096).await;
    other.login("bob").await;
    assert_eq!(other.request("login cid").await, "wrong_credentials");
    // The session that the login opened has ended.
    let session = SessionId::new(1).unwrap();
    let ended = server.backend.store.session(session).await.unwrap();
    assert!(ended.is_some_and(|(session, _)| session.ended_at.is_some()));
}

#[tokio::test]
async fn an_upstream_answers_in_the_place_of_the_engine_and_gives_events() {
    let upstream = ToyUpstream::default();
    let server =
        TestServer::with_upstream(toy(), Limits::default(), Arc::new(upstream.clone())).await;
    let mut peer = Peer::connect(&server, 4096).await;
    assert_eq!(peer.request("whoami").await, "unauthenticated", "nobody has logged in");
    assert_eq!(upstream.take_requests(), [""; 0]);
    // The engine knows nobody.
    peer.login("ann").await;
    assert_eq!(peer.request("send 5 hello").await, "ok");
    assert_eq!(peer.request("whoami").await, "unavailable");
    assert_eq!(upstream.take_requests(), ["login", "send", "get_user"]);
    assert_eq!(peer.request("follow all").await, "unavailable");
    let wanted = upstream.notes().subscriptions.clone();
    assert_eq!(wanted, [(SessionId::new(7).ok(), Subscription::AllFlows)]);
    let posted = Posted::new(
        MessageId::new(1).unwrap(),
        (FlowId::new(5).unwrap(), FlowKind::Group),
        UserSummary::named(UserId::new(71).unwrap(), "bob"),
        Content::text("hi"),
        Timestamp::default(),
    );
    let events = upstream.notes().events.clone().unwrap();
    events.push(Event::new(Timestamp::default(), EventKind::Posted(posted)));
    assert_eq!(peer.receive().await, "event posted hi");
    events.room().await;
}

#[tokio::test]
async fn an_upstream_gives_the_events_of_the_last_login_of_a_connection() {
    let upstream = ToyUpstream::default();
    let server =
        TestServer::with_upstream(toy(), Limits::default(), Arc::new(upstream.clone())).await;
    let mut peer = Peer::connect(&server, 4096).await;
    peer.login("ann").await;
    peer.request("follow all").await;
    peer.login("bob").await;
    assert_eq!(peer.request("send 5 hello").await, "ok");
    let wanted = upstream.notes().subscriptions.clone();
    let as_session = |number| (SessionId::new(number).ok(), Subscription::AllFlows);
    assert_eq!(wanted, [as_session(7), as_session(8)]);
}

#[tokio::test]
async fn an_upstream_waits_while_its_client_has_not_encoded_what_it_was_given() {
    let upstream = ToyUpstream::default();
    let limits = Limits { send_queue_bytes: 1 << 10, ..Limits::default() };
    let server = TestServer::with_upstream(toy(), limits, Arc::new(upstream.clone())).await;
    let _peer = Peer::connect(&server, 4096).await;
    let events = upstream.notes().events.clone().unwrap();
    let typing = || {
        let flow = FlowId::new(5).unwrap();
        let user = UserSummary::named(UserId::new(71).unwrap(), "bob");
        let kind = EventKind::Typing { flow, user, active: true };
        Event::new(Timestamp::default(), kind)
    };
    // An event counts 128 bytes.
    (0..8).for_each(|_| events.push(typing()));
    assert!(events.room().now_or_never().is_some(), "at the bound");
    events.push(typing());
    assert!(events.room().now_or_never().is_none(), "past the bound");
    settle().await;
    assert!(events.room().now_or_never().is_some(), "the connection has looked at them");
}

/// The user with this login.
fn of(login: &str) -> RuleSubject {
    RuleSubject { login: Some(login.into()), ..RuleSubject::default() }
}

fn served(by: &str) -> RuleEffect {
    RuleEffect::Served { by: Some(by.into()) }
}

fn mirrored() -> RuleEffect {
    RuleEffect::Mirrored { to: "old".into() }
}

#[tokio::test]
async fn a_mirror_gets_what_was_carried_out_for_a_proven_user_and_nothing_else() {
    let upstream = ToyUpstream::default();
    let server = TestServer::dual(&[("old", &upstream)]).await;
    server.backend.user("ann").await;
    let everybody = || (RuleSubject::default(), mirrored());
    server.set_rules([everybody()]);
    let mut peer = Peer::connect(&server, 4096).await;
    for (request, response, copies) in [
        ("whoami", "unauthenticated", &[][..]),
        ("recover ann", "ok", &[]),
        ("login cid", "wrong_credentials", &[]),
        ("login ann", "ok", &["ann login"]),
        ("whoami", "ok", &["ann get_user"]),
        ("read 999", "no_such_flow", &["ann history"]),
        ("login cid", "wrong_credentials", &[]),
        ("list junk", "unauthenticated", &[]),
        ("whoami", "ok", &["ann get_user"]),
        ("logout", "ok", &["ann logout"]),
        ("whoami", "unauthenticated", &[]),
        ("login ann", "ok", &["ann login"]),
    ] {
        assert_eq!(peer.request(request).await, response, "{request}");
        assert_eq!(upstream.take_copies(), copies, "{request}");
    }
    let refused = RuleEffect::Refused { from: Timestamp::default() };
    let toy = RuleSubject { dialect: Some("toy".into()), ..RuleSubject::default() };
    server.set_rules([everybody(), (toy, refused)]);
    peer.send("whoami").await;
    assert_eq!(peer.receive_to_close().await.0, ["invalid"]);
    assert_eq!(upstream.take_copies(), [""; 0]);
}

#[tokio::test]
async fn a_user_whom_a_request_only_names_changes_nobodys_mirror() {
    let upstream = ToyUpstream::default();
    let server = TestServer::dual(&[("old", &upstream)]).await;
    for login in ["ann", "bob"] {
        server.backend.user(login).await;
    }
    server.set_rules([(of("ann"), mirrored())]);
    for (login, other, copies) in
        [("ann", "bob", &["ann login", "ann get_user", "ann get_user"][..]), ("bob", "ann", &[])]
    {
        let mut peer = Peer::connect(&server, 4096).await;
        let requests = [format!("login {login}"), "whoami".into(), format!("recover {other}")];
        for request in requests.iter().chain(&requests[1..2]) {
            assert_eq!(peer.request(request).await, "ok", "{request}");
        }
        assert_eq!(upstream.take_copies(), copies, "{login}");
    }
}

/// The requests that the ledger has counted for a user.
async fn counted(server: &TestServer, user: UserId) -> Vec<(String, u64)> {
    server.state.ledger.as_ref().unwrap().write().await;
    let scope = LedgerScope::User(user);
    let query = LedgerQuery { scope, since: LedgerDay(0), after: None, limit: 10 };
    let page = server.backend.store.ledger_page(&query).await.unwrap();
    let uses = page.records.into_iter().flat_map(|record| record.uses);
    uses.map(|used| (used.operation, used.requests)).collect()
}

#[tokio::test]
async fn a_client_of_an_upstream_counts_as_another_user_only_once_the_login_is_granted() {
    let upstream = ToyUpstream::default();
    let server = TestServer::dual(&[("old", &upstream)]).await;
    let [eve, bob] = ["eve", "bob"];
    let [eve_here, bob_here] =
        [server.backend.user(eve).await.id, server.backend.user(bob).await.id];
    server.set_rules([(RuleSubject::default(), served("old"))]);
    let login = |name: &str| {
        let (password, grant) = (Secret::new(PASSWORD), GrantKind::Connection);
        Command::Login { identifier: name.into(), password, grant }
    };
    let mut session = session(&server);
    carry_out(&mut session, login(eve)).await;
    assert_eq!(session.owner(), Some(eve_here));
    let identifier = RecoveryIdentifier::Login(bob.to_owned());
    carry_out(&mut session, Command::Recover { identifier }).await;
    assert_eq!(session.owner(), Some(eve_here), "bob was named");
    upstream.notes().refuses_logins = true;
    carry_out(&mut session, login(bob)).await;
    assert_eq!(session.owner(), Some(eve_here), "the login was refused");
    assert!(counted(&server, bob_here).await.is_empty());
    let of_eve = [("login".to_owned(), 2), ("recover".to_owned(), 1)];
    assert_eq!(counted(&server, eve_here).await, of_eve);
    upstream.notes().refuses_logins = false;
    carry_out(&mut session, login(bob)).await;
    assert_eq!(session.owner(), Some(bob_here));
    assert_eq!(counted(&server, bob_here).await, [("login".to_owned(), 1)]);
}

#[tokio::test]
async fn a_connection_is_listed_by_its_user_for_as_long_as_it_has_one() {
    let upstream = ToyUpstream::default();
    let server = TestServer::dual(&[("old", &upstream)]).await;
    let ann = server.backend.user("ann").await.id;
    for login in ["bob", "cid"] {
        server.backend.user(login).await;
    }
    let password = || Secret::new(PASSWORD);
    let login = |name: &str| {
        let grant = GrantKind::Connection;
        Command::Login { identifier: name.into(), password: password(), grant }
    };
    server.set_rules([(of("eve"), served("old"))]);
    let [mut ended, mut kept] = [session(&server), session(&server)];
    carry_out(&mut ended, login("ann")).await;
    let kind = EventKind::SessionsEnded { user: ann, session: None };
    let event = Arc::new(Event::new(server.state.engine.now(), kind));
    assert!(ended.deliver(&Broadcast::of_user(event)).is_some());
    carry_out(&mut kept, login("bob")).await;
    let delete =
        Command::DeleteAccount { user: None, login: "cid".to_owned(), password: password() };
    carry_out(&mut kept, delete).await;
    server.set_rules([(RuleSubject::default(), served("old"))]);
    server.state.dual.as_ref().unwrap().rules_changed();
    assert!(!ended.is_refused(), "another server serves nobody of this connection");
    assert!(kept.is_refused(), "the account of another user was deleted");
}

#[tokio::test]
async fn upstreams_are_asked_for_tokens_that_the_engine_does_not_know_and_for_no_others() {
    let (gone, old) = (ToyUpstream::default(), ToyUpstream::default());
    let server = TestServer::dual(&[("gone", &gone), ("old", &old)]).await;
    for login in ["ann", "bob"] {
        server.backend.user(login).await;
    }
    let [ann, bob] = [server.token("ann").await, server.token("bob").await];
    server.set_rules([(of("ann"), served("old")), (of("cid"), served("gone"))]);
    for (name, token, is_gone, known_as, response, proofs) in [
        ("a user of the engine", bob.expose(), true, None, "ok", [0, 0]),
        ("one whom another server serves", ann.expose(), false, None, "unauthenticated", [0, 0]),
        ("nobody's", "junk", false, None, "unauthenticated", [1, 1]),
        ("perhaps of one that is gone", "junk", true, None, "unavailable", [1, 1]),
        ("a user of an upstream", "theirs", false, Some("ann"), "ok", [1, 1]),
        ("the same while another is gone", "theirs", true, Some("ann"), "ok", [1, 1]),
        ("one whom the engine serves", "theirs", false, Some("bob"), "unauthenticated", [1, 1]),
    ] {
        gone.notes().is_gone = is_gone;
        old.notes().login_of_tokens = known_as.map(str::to_owned);
        let mut peer = Peer::connect(&server, 4096).await;
        assert_eq!(peer.request(&format!("list {token}")).await, response, "{name}");
        assert_eq!([gone.take_proofs(), old.take_proofs()], proofs, "{name}");
        let next = format!("list {}", bob.expose());
        assert_eq!(peer.request(&next).await, "ok", "the connection goes on after {name}");
        old.take_proofs();
    }
}

#[tokio::test]
async fn an_address_waits_for_its_turn_at_the_upstreams_and_not_for_the_engine() {
    let upstream = ToyUpstream::default();
    let server = TestServer::dual(&[("old", &upstream)]).await;
    server.backend.user("bob").await;
    let bob = server.token("bob").await;
    server.set_rules([(of("ann"), served("old"))]);
    let mut turns = Vec::new();
    for _ in 0..UPSTREAM_PROOFS_OF_ADDRESS {
        turns.push(server.state.upstream_turn(ADDRESS).await.unwrap());
    }
    let mut waiting = Peer::connect(&server, 4096).await;
    waiting.send("list junk").await;
    assert_eq!(waiting.received().await, None);
    assert_eq!(upstream.take_proofs(), 0);
    let mut peer = Peer::connect(&server, 4096).await;
    assert_eq!(peer.request(&format!("list {}", bob.expose())).await, "ok");
    drop(turns.pop());
    assert_eq!(waiting.receive().await, "unauthenticated");
    assert_eq!(upstream.take_proofs(), 1);
}

#[test]
fn a_connection_fits_into_the_allocation_that_idle_memory_is_planned_with() {
    // The allocator's next sizes are 1,024 and 1,280 bytes; `BENCH.md` has the memory of an idle
    // connection.
    let bytes = size_of::<Connection<crate::stream::Stream>>();
    assert!(bytes <= 1_024, "{bytes}");
}
