//! The built binary serves Tolmach's five dialects and `tinychat` to each other.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tolmach_client::{Client, Direction, FrameObserver, Notification, Outcome, credentials_of};
use tolmach_dialect::{Dialect, Frame};
use tolmach_domain::{
    Answer, Command as Request, Content, EventKind, FlowId, FlowKindFilter, GrantKind,
    HistoryRange, NewMessage, Secret, Timestamp, Tokens, UserId,
};

const PASSWORD: &str = "hunter22";

struct Gateway {
    child: Child,
    address: SocketAddr,
    _data: tempfile::TempDir,
}

impl Gateway {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_own-gateway"))
            .arg(data.path())
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let address = ready.trim().strip_prefix("ready http=").unwrap().parse().unwrap();
        Self { child, address, _data: data }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A peer that speaks `tinychat`, with a WebSocket library of others.
struct TinyPeer {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    requests: u64,
    events: Vec<Value>,
}

impl TinyPeer {
    async fn connect(gateway: &Gateway, path: &str) -> Self {
        let url = format!("ws://{}{path}", gateway.address);
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Self { socket, requests: 0, events: Vec::new() }
    }

    async fn read(&mut self) -> Value {
        loop {
            match self.socket.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    /// The `ok` of a response.
    async fn request(&mut self, mut request: Value) -> Value {
        self.requests += 1;
        request["id"] = self.requests.into();
        self.socket.send(Message::text(request.to_string())).await.unwrap();
        loop {
            let frame = self.read().await;
            if frame.get("event").is_some() {
                self.events.push(frame);
                continue;
            }
            assert_eq!(frame["id"], self.requests);
            return frame.get("ok").unwrap_or_else(|| panic!("{request}: {frame}")).clone();
        }
    }

    /// The next event that was pushed.
    async fn event(&mut self) -> Value {
        match self.events.is_empty() {
            true => self.read().await,
            false => self.events.remove(0),
        }
    }
}

struct NoObserver;

impl FrameObserver for NoObserver {
    fn frame(&self, _: &str, _: &'static str, _: Direction, _: &Frame) {}
}

/// A client of one of Tolmach's dialects, logged in as bob; `access` serves dialects that have no
/// login of their own.
async fn client(
    gateway: &Gateway,
    dialect: Arc<dyn Dialect>,
    bob: UserId,
    access: Option<&Tokens>,
) -> (Client, Option<Tokens>) {
    let mut client = Client::new("bob", dialect, gateway.address, Arc::new(NoObserver));
    let logins: Vec<_> = [GrantKind::Pair, GrantKind::Token, GrantKind::Connection]
        .map(|grant| Request::Login {
            identifier: "bob".into(),
            password: Secret::new(PASSWORD),
            grant,
        })
        .into();
    let tokens = match client.request_any(&logins).await.unwrap() {
        Outcome::Answer(Answer::Granted(grant)) => Some(grant.tokens.clone()),
        Outcome::Unsupported => None,
        outcome => panic!("{outcome:?}"),
    };
    let used = tokens.as_ref().or(access).expect("one dialect hands out access tokens");
    client.set_credentials(credentials_of(bob, used));
    (client, tokens)
}

fn text(flow: FlowId, text: &str) -> Request {
    Request::Send(Box::new(NewMessage {
        flow,
        kinds: FlowKindFilter::Any,
        content: Content::text(text),
        key: None,
    }))
}

#[tokio::test]
async fn every_dialect_talks_with_the_own_one() {
    let gateway = Gateway::start();
    let mut ann = TinyPeer::connect(&gateway, "/tinychat").await;
    ann.request(json!({"op": "sign_up", "user": "ann", "secret": PASSWORD})).await;
    let mut bob = TinyPeer::connect(&gateway, "/").await;
    let signed_up = bob.request(json!({"op": "sign_up", "user": "bob", "secret": PASSWORD})).await;
    let user = UserId::new(signed_up["user"].as_i64().unwrap()).unwrap();
    let room = ann.request(json!({"op": "open", "user": "bob"})).await["room"].clone();
    let flow = FlowId::new(room.as_i64().unwrap()).unwrap();

    let dialects: [Arc<dyn Dialect>; 5] = [
        Arc::new(tolmach_dialect_bearer::Bearer),
        Arc::new(tolmach_dialect_mode::Mode::default()),
        Arc::new(tolmach_dialect_sndmsg::SndMsg::default()),
        Arc::new(tolmach_dialect_morelia::Morelia::default()),
        Arc::new(tolmach_dialect_action::Action::default()),
    ];
    let mut access: Option<Tokens> = None;
    for dialect in dialects {
        let id = dialect.manifest().id;
        let (mut client, tokens) = client(&gateway, dialect, user, access.as_ref()).await;
        access = access.or(tokens.filter(|tokens| matches!(tokens, Tokens::Pair { .. })));

        let sent = client.request_any(&[text(flow, id)]).await.unwrap();
        assert!(matches!(sent, Outcome::Answer(_)), "{id}: {sent:?}");
        let event = ann.event().await;
        assert_eq!((&event["event"], &event["text"]), (&json!("said"), &json!(id)));

        let answer = format!("{id} is read");
        ann.request(json!({"op": "say", "room": room, "text": answer})).await;
        let ranges = [HistoryRange::All, HistoryRange::Newest { limit: 10, offset: 0 }];
        let mut histories: Vec<_> = ranges
            .into_iter()
            .flat_map(|range| {
                [FlowKindFilter::Any, FlowKindFilter::Chat].map(|kinds| Request::History {
                    flow,
                    kinds,
                    range,
                    mark_read: false,
                })
            })
            .collect();
        let since = Timestamp::default();
        histories.push(Request::GetChanges { since, flow: Some(flow), limit: 100 });
        match client.request_any(&histories).await.unwrap() {
            Outcome::Answer(Answer::History(page)) => {
                let last = page.messages.last().map(|message| message.content.text.clone());
                assert_eq!(last, Some(answer), "{id}");
            }
            Outcome::Answer(Answer::Changes(changes)) => {
                let last = changes.messages.last().map(|message| message.content.text.clone());
                assert_eq!(last, Some(answer), "{id}");
            }
            // A wire without histories pushes.
            Outcome::Unsupported => {
                let posted = client.wait_for("message", |notification| match notification {
                    Notification::Event(event) => match &event.kind {
                        EventKind::Posted(message) if message.content.text == answer => Some(()),
                        _ => None,
                    },
                    Notification::Closed(_) => None,
                });
                posted.await.unwrap();
            }
            outcome => panic!("{id}: {outcome:?}"),
        }
    }
    let everything = ann.request(json!({"op": "read", "room": room})).await;
    assert_eq!(everything["messages"].as_array().unwrap().len(), 10);
}
