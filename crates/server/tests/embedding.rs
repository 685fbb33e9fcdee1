//! A binary that embeds the server with a dialect of its own, over real sockets.

mod toy;

use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use tolmach_server::{BuildError, Limits, RouteError, Server, ServerOptions};
use toy::{Backend, Toy, toy};

/// A server that accepts connections.
struct Running {
    address: SocketAddr,
    backend: Backend,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Running {
    async fn start(options: ServerOptions) -> Self {
        let backend = Backend::new();
        let listener = listener().await;
        let server = Server::builder(backend.engine.clone(), backend.bus.clone())
            .options(options)
            .dialect(Toy::new(toy()))
            .bind(listener)
            .await
            .expect("the dialect can be served");
        let (address, shutdown) =
            (server.local_addr().expect("it is bound"), CancellationToken::new());
        let serving = tokio::spawn(server.serve(shutdown.clone()));
        Self { address, backend, shutdown, serving }
    }

    async fn connect(&self, path: &str) -> Peer {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        let url = format!("ws://{}{path}", self.address);
        Peer(tokio_tungstenite::client_async(url, stream).await.expect("it is accepted").0)
    }

    /// A peer that is logged in.
    async fn login(&self, login: &str) -> Peer {
        let mut peer = self.connect("/toy").await;
        assert_eq!(peer.request(&format!("login {login}")).await, "ok");
        peer
    }

    /// The response to a request over HTTP/1.1, as text.
    async fn http(&self, request: &str) -> String {
        http(self.address, request).await
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port is free")
}

/// The response to a request over HTTP/1.1, as text.
async fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("it responds");
    response
}

struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    async fn request(&mut self, text: &str) -> String {
        self.0.send(Message::text(text)).await.expect("it reads");
        self.receive().await.expect("it responds")
    }

    /// The next text, or the code of the close.
    async fn receive(&mut self) -> Result<String, Option<u16>> {
        match self.0.next().await.expect("it is open").expect("it is a WebSocket") {
            Message::Text(text) => Ok(text.to_string()),
            Message::Close(frame) => Err(frame.map(|frame| frame.code.into())),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_servers_own_pages_and_errors_are_served() {
    let running = Running::start(ServerOptions::default()).await;
    for (request, status, part) in [
        ("GET /healthz HTTP/1.1", "200", "ok\n"),
        ("POST /healthz HTTP/1.1", "405", "this page can only be read"),
        ("GET /readyz HTTP/1.1", "200", "ready\n"),
        ("GET /metrics HTTP/1.1", "404", "there is nothing at this path"),
        ("GET /recover HTTP/1.1", "410", "<html"),
        ("GET /nowhere HTTP/1.1", "404", "there is nothing at this path"),
        ("GET /toy HTTP/1.1", "426", "this path takes WebSocket connections"),
        ("GET /ws HTTP/1.1", "426", "this path takes WebSocket connections"),
    ] {
        let response = running.http(request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {response}");
        assert!(response.contains(part), "{request}: {response}");
    }
}

#[tokio::test]
async fn the_admin_listener_serves_the_pages_for_operators_and_no_dialect() {
    let backend = Backend::new();
    let (listener, admin) = (listener().await, listener().await);
    let address = admin.local_addr().expect("it is bound");
    let server = Server::builder(backend.engine.clone(), backend.bus.clone())
        .dialect(Toy::new(toy()))
        .admin(admin)
        .bind(listener)
        .await
        .expect("the dialect can be served");
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(server.serve(shutdown.clone()));
    for (request, status, part) in [
        ("GET /healthz HTTP/1.1", "200", "ok\n"),
        ("HEAD /healthz HTTP/1.1", "200", ""),
        ("GET /readyz HTTP/1.1", "200", "ready\n"),
        ("POST /readyz HTTP/1.1", "405", "this page can only be read"),
        ("GET /metrics HTTP/1.1", "404", "there is nothing at this path"),
        ("GET /recover HTTP/1.1", "404", "there is nothing at this path"),
        ("GET /toy HTTP/1.1", "404", "there is nothing at this path"),
    ] {
        let response = http(address, request).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {response}");
        assert!(response.contains(part), "{request}: {response}");
    }
    shutdown.cancel();
    serving.await.expect("it does not panic");
    assert!(TcpStream::connect(address).await.is_err(), "it ends with the server");
}

#[tokio::test]
async fn a_shared_path_serves_the_dialect_that_claims_the_first_frame() {
    let options = ServerOptions {
        limits: Limits { max_first_frame_bytes: 64, ..Limits::default() },
        shared_paths: vec!["/chat".into()],
        ..ServerOptions::default()
    };
    let running = Running::start(options).await;
    running.backend.user("ann").await;
    let mut peer = running.connect("/chat").await;
    assert_eq!(peer.request("login ann").await, "ok");
    assert_eq!(peer.request("whoami").await, "ok");

    let mut unknown = running.connect("/chat/").await;
    unknown.0.send(Message::binary(&b"?"[..])).await.unwrap();
    let expected = r#"{"error":"unrecognised dialect","expected":[{"dialect":"toy","#;
    assert!(unknown.receive().await.unwrap().starts_with(expected));
    assert_eq!(unknown.receive().await, Err(Some(1008)));

    let mut large = running.connect("/chat").await;
    large.0.send(Message::text("x".repeat(65))).await.unwrap();
    assert_eq!(large.receive().await, Err(Some(1009)));
}

#[tokio::test]
async fn every_reader_receives_everything_that_busy_writers_send() {
    const READERS: usize = 24;
    const WRITERS: usize = 4;
    const MESSAGES: usize = 100;
    let options = ServerOptions {
        limits: Limits { send_queue_bytes: 256 << 10, ..Limits::default() },
        ..ServerOptions::default()
    };
    let running = Running::start(options).await;
    let (ann, bob) = (running.backend.user("ann").await, running.backend.user("bob").await);
    let group = running.backend.group(&[ann.id, bob.id]).await;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = running.login("ann").await;
        assert_eq!(reader.request(&format!("follow {group}")).await, "ok");
        readers.push(tokio::spawn(async move {
            let mut texts = Vec::new();
            for _ in 0..WRITERS * MESSAGES {
                texts.push(reader.receive().await.unwrap());
            }
            texts
        }));
    }
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let (mut sink, mut stream) = running.login("bob").await.0.split();
        writers.push(tokio::spawn(async move {
            let sending = async {
                for message in 0..MESSAGES {
                    let text = format!("send {group} {number}/{message} {}", "x".repeat(10_000));
                    sink.send(Message::text(text)).await.unwrap();
                }
            };
            let receiving = async {
                for message in 0..MESSAGES {
                    let response = stream.next().await.unwrap().unwrap();
                    assert_eq!(response, Message::text(format!("ok {number}/{message}")));
                }
            };
            tokio::join!(sending, receiving);
        }));
    }
    let mut orders = Vec::new();
    for reader in readers {
        orders.push(reader.await.unwrap());
    }
    assert!(orders.windows(2).all(|pair| pair[0] == pair[1]), "every reader sees one order");
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_shutdown_closes_every_connection_and_returns() {
    let running = Running::start(ServerOptions::default()).await;
    running.backend.user("ann").await;
    let mut peer = running.login("ann").await;
    running.shutdown.cancel();
    assert_eq!(peer.receive().await, Err(Some(4001)));
    drop(peer);
    running.serving.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn two_dialects_at_one_path_are_an_error_with_a_source() {
    let backend = Backend::new();
    let builder = Server::builder(backend.engine.clone(), backend.bus.clone())
        .dialect(Toy::new(toy()))
        .dialect(Toy::new(toy()));
    assert_eq!(builder.routes().unwrap_err(), RouteError::DuplicateDialect { id: "toy" });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let Err(error) = builder.bind(listener).await else { panic!("it is not made") };
    assert!(matches!(error, BuildError::Routes(_)));
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "two dialects have the id toy");
}
