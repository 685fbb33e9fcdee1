//! Attacks by HTTP requests without a token.

use crate::result::BenchResult;
use crate::siege::arena::Attacker;
use crate::websocket::connect_tcp;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

/// The bytes of a body: less than a multipart request may have.
const BODY: usize = 5_900_000;
/// The streams of one HTTP/2 connection.
const STREAMS: usize = 250;
/// The bytes of one write.
const CHUNK: usize = 16 << 10;
/// The paths of the requests in turn.
const PATHS: [&str; 4] = ["/api/v1/user", "/api/v1/login", "/nothing", "/"];

static ZEROS: [u8; BODY] = [0; BODY];

/// Sends large bodies on all streams of a connection.
pub(crate) async fn http2_bodies(attacker: Attacker) -> BenchResult<()> {
    let sender = connect(&attacker).await?;
    let mut streams = JoinSet::new();
    for stream in 0..STREAMS {
        let (mut sender, tally) = (sender.clone(), attacker.arena.tally.clone());
        streams.spawn(async move {
            loop {
                let request = post(PATHS[stream % PATHS.len()], &ZEROS)?;
                tally.act();
                sender.ready().await?;
                let response = sender.send_request(request).await?;
                if response.status().is_success() {
                    tally.granted();
                }
            }
        });
    }
    let ended: Option<BenchResult<()>> = streams.join_next().await.transpose()?;
    ended.unwrap_or(Ok(()))
}

/// Sends requests and cancels them before they are answered.
pub(crate) async fn http2_resets(attacker: Attacker) -> BenchResult<()> {
    let mut sender = connect(&attacker).await?;
    loop {
        sender.ready().await?;
        drop(sender.send_request(post("/api/v1/login", &ZEROS[..CHUNK])?));
        attacker.arena.tally.act();
        tokio::task::yield_now().await;
    }
}

/// Sends a large body over HTTP/1.1.
pub(crate) async fn http1_bodies(attacker: Attacker) -> BenchResult<()> {
    let mut stream = connect_tcp(attacker.arena.server, attacker.source()).await?;
    let path = PATHS[attacker.number % PATHS.len()];
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    attacker.arena.tally.act();
    for chunk in ZEROS.chunks(CHUNK) {
        stream.write_all(chunk).await?;
    }
    attacker.arena.tally.granted();
    Ok(())
}

async fn connect(attacker: &Attacker) -> BenchResult<SendRequest<Full<Bytes>>> {
    let stream = connect_tcp(attacker.arena.server, attacker.source()).await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

fn post(path: &str, body: &'static [u8]) -> BenchResult<Request<Full<Bytes>>> {
    let request = Request::post(format!("http://localhost{path}"));
    Ok(request.body(Full::new(Bytes::from_static(body)))?)
}
