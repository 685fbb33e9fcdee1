//! `sndmsg` on raw TCP: the limits of WebSockets hold there, and silence does not end a login.
//! `python/story_sndmsg_uchat.py` has whole conversations.

use crate::harness::{Gateway, Mode, PASSWORD, eventually, read_to_end, within};
use serde_json::{Deserializer, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

const LISTEN: (&str, &str) = ("TCP__SNDMSG__LISTEN", "127.0.0.1:0");
/// The largest value before a login, and after it, in bytes.
const BEFORE_LOGIN: usize = 64 << 10;
const AFTER_LOGIN: usize = 1 << 20;

async fn gateway(options: &[(&str, &str)]) -> Gateway {
    Gateway::with(&[&[LISTEN], options].concat()).await
}

/// A client of values back to back.
pub(crate) struct Values<S = TcpStream> {
    pub(crate) stream: S,
    received: Vec<u8>,
}

impl Values {
    async fn connect(gateway: &Gateway) -> Self {
        let address = gateway.sndmsg_tcp.expect("the ready line has the address");
        Self::new(within("a connection", TcpStream::connect(address)).await.expect("it listens"))
    }

    /// Reads until the gateway closes the connection.
    async fn end(mut self) -> Vec<Value> {
        self.received.extend(read_to_end(&mut self.stream).await);
        let values = Deserializer::from_slice(&self.received).into_iter();
        values.collect::<Result<_, _>>().expect("the gateway writes whole values")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Values<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, received: Vec::new() }
    }

    /// Sends bytes, which the gateway need not read to their end.
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within("a write", self.stream.write_all(bytes.as_ref())).await;
    }

    pub(crate) async fn receive(&mut self) -> Value {
        loop {
            let mut values = Deserializer::from_slice(&self.received).into_iter();
            if let Some(Ok(value)) = values.next() {
                self.received.drain(..values.byte_offset());
                return value;
            }
            let read = self.stream.read_buf(&mut self.received);
            let read = within("a value", read).await.expect("the connection is open");
            assert!(read > 0, "the gateway closed the connection");
        }
    }

    pub(crate) async fn request(&mut self, value: Value) -> Value {
        self.send(value.to_string()).await;
        self.receive().await
    }

    /// Signs up, which logs in.
    pub(crate) async fn sign_up(&mut self, login: &str) {
        let reply = self.request(json!({"type": 1, "login": login, "pass": PASSWORD})).await;
        assert_eq!(reply, json!({"type": 1, "status": 0}));
    }

    /// Makes a request that is granted after a login.
    async fn goes_on(&mut self) {
        let reply = self.request(json!({"type": 5, "user": "zed"})).await;
        assert_eq!(reply, json!({"type": 5, "status": 0, "user": []}));
    }
}

/// A request of so many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let mut value = br#"{"type":5,"user":"zed""#.to_vec();
    value.resize(bytes - 1, b' ');
    value.push(b'}');
    value
}

#[tokio::test]
async fn it_is_off_by_default() {
    assert_eq!(Gateway::start().await.sndmsg_tcp, None);
}

#[tokio::test]
async fn a_value_at_the_bound_is_answered_and_one_byte_more_ends_the_connection() {
    let gateway = gateway(&[]).await;
    for (login, bound) in [(None, BEFORE_LOGIN), (Some("ann"), AFTER_LOGIN)] {
        let mut peer = Values::connect(&gateway).await;
        if let Some(login) = login {
            peer.sign_up(login).await;
        }
        peer.send(padded(bound)).await;
        assert_eq!(peer.receive().await["type"], 5, "{bound}");
        peer.send(padded(bound + 1)).await;
        assert!(peer.end().await.is_empty(), "{bound}");
    }
    let closed = gateway.metric("tolmach_connections_closed_total", "too_large").await;
    assert_eq!(closed, 2.0);
}

#[tokio::test]
async fn ten_values_in_a_row_that_are_not_json_end_the_connection_and_nine_do_not() {
    let gateway = gateway(&[]).await;
    let mut peer = Values::connect(&gateway).await;
    peer.sign_up("ann").await;
    // The client dies of an answer, so that there is none.
    peer.send("word {broken} ".repeat(4) + "word ").await;
    peer.goes_on().await;
    peer.send("word {broken} ".repeat(5)).await;
    assert!(peer.end().await.is_empty());
    assert_eq!(gateway.metric("tolmach_connections_closed_total", "syntax").await, 1.0);
    let mut peer = Values::connect(&gateway).await;
    peer.send(b"{\"type\":\xff}").await;
    assert!(peer.end().await.is_empty(), "text that is not UTF-8 ends it at once");
}

#[tokio::test]
async fn a_value_has_a_deadline_and_a_word_that_may_have_ended_has_none() {
    let gateway = gateway(&[("LIMITS__MESSAGE_TIMEOUT", "300ms")]).await;
    let mut word = Values::connect(&gateway).await;
    word.sign_up("ann").await;
    word.send("TEST").await;
    let mut value = Values::connect(&gateway).await;
    value.sign_up("bob").await;
    value.send("{\"type\"").await;
    assert!(value.end().await.is_empty());
    word.goes_on().await;
}

#[tokio::test]
async fn a_login_has_a_deadline_and_nothing_has_one_after_it() {
    const OPTIONS: [(&str, &str); 3] = [
        ("LIMITS__FIRST_PROOF_TIMEOUT", "500ms"),
        ("KEEPALIVE__PING_INTERVAL", "200ms"),
        ("KEEPALIVE__PONG_TIMEOUT", "200ms"),
    ];
    let gateway = gateway(&OPTIONS).await;
    let mut ann = Values::connect(&gateway).await;
    ann.sign_up("ann").await;
    assert!(Values::connect(&gateway).await.end().await.is_empty(), "no login");
    // A WebSocket that answers no ping ends.
    let _silent = Mode::register(&gateway, "bob").await;
    eventually("the end of a silent WebSocket", async || {
        let open = gateway.metric("tolmach_connections", "mode").await;
        (open == 0.0).then_some(())
    })
    .await;
    ann.goes_on().await;
}

#[tokio::test]
async fn an_address_has_its_places_over_raw_tcp_and_websockets_together() {
    let gateway = gateway(&[("HTTP__MAX_CONNECTIONS_PER_ADDRESS", "2")]).await;
    let mut ann = Values::connect(&gateway).await;
    ann.sign_up("ann").await;
    let _websocket = gateway.websocket("/mode").await;
    assert!(Values::connect(&gateway).await.end().await.is_empty(), "it has no place");
    let refused = gateway.metric("tolmach_connections_refused_total", "address_full").await;
    assert_eq!(refused, 1.0);
    ann.goes_on().await;
}

#[tokio::test]
async fn a_drain_ends_the_stream_after_the_replies() {
    let mut gateway = gateway(&[]).await;
    let mut ann = Values::connect(&gateway).await;
    ann.sign_up("ann").await;
    ann.goes_on().await;
    gateway.signal("TERM").await;
    assert!(ann.end().await.is_empty());
    assert_eq!(gateway.ended().await.0, Some(0));
}
