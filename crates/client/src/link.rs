//! Connections that carry frames as they are, without a dialect: for tools that play captured
//! frames.

use crate::endpoint::{Endpoint, Stream, Trust};
use crate::error::Cause;
use crate::net;
use crate::value_buffer::ValueBuffer;
use bytes::Bytes;
use futures_util::stream::SplitStream;
use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tolmach_dialect::Frame;

/// The frames that may wait to be sent.
const CAPACITY: usize = 64;
/// The largest value of a raw TCP stream, message of a WebSocket and body of a response, in bytes.
const MAX_FRAME: usize = 16 << 20;

/// Headers of one hop, which each connection has of its own.
const HOP_HEADERS: [HeaderName; 9] = [
    CONNECTION,
    CONTENT_LENGTH,
    HOST,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Of those, the headers of a handshake.
const UPGRADE_HEADERS: [HeaderName; 5] =
    [CONNECTION, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE];

/// A connection that carries frames as they are. What it receives goes to a channel that many links
/// can share. It ends with the last of its clones.
#[derive(Debug, Clone)]
pub struct Link {
    outgoing: mpsc::Sender<Outgoing>,
}

/// A value that a link received.
#[derive(Debug)]
pub struct LinkArrival {
    /// The number of the link.
    pub link: u64,
    /// The value.
    pub content: LinkContent,
}

/// The value of a [`LinkArrival`].
#[derive(Debug)]
pub enum LinkContent {
    /// A frame.
    Frame(Box<Frame>),
    /// Nothing follows: the server closed it, or answered a close, with this code where it gave
    /// one.
    Closed(Option<u16>),
    /// Nothing follows: it broke.
    Broken(Cause),
}

/// A server, and the channel for what comes from it.
#[derive(Debug, Clone)]
pub struct LinkTarget {
    /// The address. If it has a path, WebSockets are opened there instead of at the captured one.
    pub endpoint: Endpoint,
    /// The certificates that it is trusted by.
    pub trust: Trust,
    /// Gets what arrives.
    pub arrivals: mpsc::Sender<LinkArrival>,
}

#[derive(Debug)]
enum Outgoing {
    Frame(Frame),
    Close(Option<u16>),
}

impl LinkTarget {
    /// Opens a WebSocket with a captured request. Its path and headers are used but for those of
    /// one hop; an `Origin` of the captured host becomes one of this server. The inner error is the
    /// response that rejected the handshake.
    pub async fn websocket(
        &self,
        link: u64,
        head: http::request::Parts,
    ) -> Result<Result<Link, Frame>, Cause> {
        let stream = self.endpoint.connect(&self.trust).await?;
        let mut request = net::handshake(&self.endpoint, self.own_head(head)?)?;
        let upgrade =
            [(CONNECTION, "Upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_VERSION, "13")];
        for (name, value) in upgrade {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_FRAME))
            .max_frame_size(Some(MAX_FRAME));
        let opened =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
        let stream = match opened {
            Ok((stream, _)) => stream,
            Err(tungstenite::Error::Http(response)) => {
                let response = response.map(|body| Bytes::from(body.unwrap_or_default()));
                return Ok(Err(Frame::response(response)));
            }
            Err(error) => return Err(error.into()),
        };
        let (outgoing, frames) = mpsc::channel(CAPACITY);
        tokio::spawn(run_websocket(stream, link, frames, self.arrivals.clone()));
        Ok(Ok(Link { outgoing }))
    }

    /// Opens a raw TCP stream of JSON values.
    pub async fn tcp(&self, link: u64) -> Result<Link, Cause> {
        let stream = self.endpoint.connect(&self.trust).await?;
        let (outgoing, frames) = mpsc::channel(CAPACITY);
        tokio::spawn(run_tcp(stream, link, frames, self.arrivals.clone()));
        Ok(Link { outgoing })
    }

    /// A link for HTTP requests, one at a time. It connects with the first one, and again after the
    /// server has closed.
    pub fn http(&self, link: u64) -> Link {
        let (outgoing, frames) = mpsc::channel(CAPACITY);
        tokio::spawn(run_http(self.clone(), link, frames));
        Link { outgoing }
    }

    /// The captured head without the headers of one hop.
    fn own_head(&self, mut head: http::request::Parts) -> Result<http::request::Parts, Cause> {
        head.headers = self.own_headers(&head.headers, false)?;
        if let Some(path) = self.endpoint.path() {
            let query = head.uri.query().map(|query| format!("?{query}"));
            let uri = format!("{path}{}", query.unwrap_or_default());
            head.uri = uri.parse::<Uri>().map_err(invalid)?;
        }
        Ok(head)
    }

    /// The captured headers without those of one hop. A request for a WebSocket over a link for
    /// HTTP is a handshake that was rejected: it keeps what asks for the upgrade.
    fn own_headers(&self, captured: &HeaderMap, keeps_upgrade: bool) -> Result<HeaderMap, Cause> {
        let mut headers = captured.clone();
        for name in &HOP_HEADERS {
            let is_kept = keeps_upgrade && UPGRADE_HEADERS.contains(name);
            if !is_kept {
                headers.remove(name);
            }
        }
        let origin = captured.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        let host = captured.get(HOST).and_then(|host| host.to_str().ok());
        if let (Some(origin), Some(host)) = (origin, host)
            && let Some((scheme, authority)) = origin.split_once("://")
            && authority == host
        {
            let own = format!("{scheme}://{}", self.endpoint.authority());
            headers.insert(ORIGIN, HeaderValue::try_from(own).map_err(invalid)?);
        }
        Ok(headers)
    }
}

impl Link {
    /// Sends a frame, as soon as the ones before are sent. False if the link has ended.
    pub async fn send(&self, frame: Frame) -> bool {
        self.outgoing.send(Outgoing::Frame(frame)).await.is_ok()
    }

    /// Closes the connection, a WebSocket with this code. Frames that the server has sent before it
    /// answers still arrive.
    pub async fn close(&self, code: Option<u16>) {
        // An error means that the link has ended already.
        let _ = self.outgoing.send(Outgoing::Close(code)).await;
    }
}

fn invalid(error: impl Into<http::Error>) -> Cause {
    Cause::Request(error.into())
}

async fn run_websocket(
    stream: WebSocketStream<Stream>,
    link: u64,
    mut frames: mpsc::Receiver<Outgoing>,
    arrivals: mpsc::Sender<LinkArrival>,
) {
    let (mut sink, messages) = stream.split();
    let reader = tokio::spawn(read_websocket(messages, link, arrivals));
    while let Some(outgoing) = frames.recv().await {
        let message = match outgoing {
            Outgoing::Frame(frame) => net::message(&frame),
            Outgoing::Close(code) => {
                let close = code.map(|code| CloseFrame {
                    code: CloseCode::from(code),
                    reason: Default::default(),
                });
                Some(Message::Close(close))
            }
        };
        let Some(message) = message else { continue };
        if sink.send(message).await.is_err() {
            break;
        }
    }
    // The reader names the reason.
    let _ = reader.await;
}

async fn read_websocket(
    mut messages: SplitStream<WebSocketStream<Stream>>,
    link: u64,
    arrivals: mpsc::Sender<LinkArrival>,
) {
    loop {
        let content = match messages.next().await {
            Some(Ok(Message::Text(text))) => LinkContent::Frame(Box::new(Frame::Text(text.into()))),
            Some(Ok(Message::Binary(bytes))) => LinkContent::Frame(Box::new(Frame::Binary(bytes))),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(close))) => {
                LinkContent::Closed(close.map(|close| close.code.into()))
            }
            Some(Err(
                tungstenite::Error::ConnectionClosed
                | tungstenite::Error::Protocol(
                    tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
                ),
            ))
            | None => LinkContent::Closed(None),
            Some(Err(error)) => LinkContent::Broken(error.into()),
        };
        let is_last = !matches!(content, LinkContent::Frame(_));
        if arrivals.send(LinkArrival { link, content }).await.is_err() || is_last {
            return;
        }
    }
}

async fn run_tcp(
    stream: Stream,
    link: u64,
    mut frames: mpsc::Receiver<Outgoing>,
    arrivals: mpsc::Sender<LinkArrival>,
) {
    let (reader, mut writer) = tokio::io::split(stream);
    let reader = tokio::spawn(read_values(reader, link, arrivals));
    while let Some(outgoing) = frames.recv().await {
        let sent = match outgoing {
            Outgoing::Frame(frame) => writer.write_all(frame.payload()).await,
            Outgoing::Close(_) => writer.shutdown().await,
        };
        if sent.is_err() {
            break;
        }
    }
    drop(writer);
    let _ = reader.await;
}

/// Reads JSON values that stand back to back.
async fn read_values(mut reader: ReadHalf<Stream>, link: u64, arrivals: mpsc::Sender<LinkArrival>) {
    let mut buffer = ValueBuffer::default();
    let value =
        |value| LinkArrival { link, content: LinkContent::Frame(Box::new(Frame::Value(value))) };
    let end = loop {
        while let Some(next) = buffer.next() {
            if arrivals.send(value(next)).await.is_err() {
                return;
            }
        }
        if buffer.len() > MAX_FRAME {
            let reason = format!("a value has more than {MAX_FRAME} bytes");
            break LinkContent::Broken(Cause::Other(reason));
        }
        match reader.read_buf(buffer.bytes_mut()).await {
            Ok(0) => break LinkContent::Closed(None),
            Ok(_) => {}
            Err(error) => break LinkContent::Broken(error.into()),
        }
    };
    // An error means that the receiver is gone.
    if let Some(word) = buffer.last_word() {
        let _ = arrivals.send(value(word)).await;
    }
    let _ = arrivals.send(LinkArrival { link, content: end }).await;
}

async fn run_http(target: LinkTarget, link: u64, mut frames: mpsc::Receiver<Outgoing>) {
    let mut connection: Option<SendRequest<Full<Bytes>>> = None;
    let end = loop {
        let request = match frames.recv().await {
            Some(Outgoing::Frame(Frame::Request(request))) => *request,
            Some(Outgoing::Frame(_)) => continue,
            Some(Outgoing::Close(_)) | None => break LinkContent::Closed(None),
        };
        match target.exchange(&mut connection, request).await {
            Ok(response) => {
                let content = LinkContent::Frame(Box::new(Frame::response(response)));
                if target.arrivals.send(LinkArrival { link, content }).await.is_err() {
                    return;
                }
            }
            Err(cause) => break LinkContent::Broken(cause),
        }
    };
    // An error means that the receiver is gone.
    let _ = target.arrivals.send(LinkArrival { link, content: end }).await;
}

impl LinkTarget {
    async fn exchange(
        &self,
        connection: &mut Option<SendRequest<Full<Bytes>>>,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, Cause> {
        let is_open = match connection {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !is_open {
            let stream = self.endpoint.connect(&self.trust).await?;
            let (sender, driver) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            // It ends with the sender, or with the connection.
            tokio::spawn(driver);
            *connection = Some(sender);
        }
        let (mut head, body) = request.into_parts();
        let is_upgrade = head
            .headers
            .get(UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
        head.headers = self.own_headers(&head.headers, is_upgrade)?;
        head.headers
            .insert(HOST, HeaderValue::try_from(self.endpoint.authority()).map_err(invalid)?);
        let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        head.uri = path.parse::<Uri>().map_err(invalid)?;
        head.version = http::Version::HTTP_11;
        let Some(sender) = connection else { return Err(Cause::NotConnected) };
        let response =
            sender.send_request(http::Request::from_parts(head, Full::new(body))).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_FRAME).collect().await.map_err(Cause::Body)?;
        Ok(http::Response::from_parts(parts, body.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_hop_are_left_out_and_the_origin_is_the_servers_own() {
        let (arrivals, _received) = mpsc::channel(1);
        let endpoint = "wss://new.example:9/chat".parse().unwrap();
        let target = LinkTarget { endpoint, trust: Trust::new(None).unwrap(), arrivals };
        let mut captured = HeaderMap::new();
        for (name, value) in [
            ("host", "old.example"),
            ("origin", "https://old.example"),
            ("content-length", "5"),
            ("sec-websocket-key", "x"),
            ("authorization", "Bearer x"),
        ] {
            captured.insert(name, HeaderValue::from_static(value));
        }
        let own = target.own_headers(&captured, false).unwrap();
        assert_eq!(own.len(), 2);
        assert_eq!(own[ORIGIN], "https://new.example:9");
        captured.insert(ORIGIN, HeaderValue::from_static("https://page.example"));
        assert_eq!(target.own_headers(&captured, false).unwrap()[ORIGIN], "https://page.example");
        let head = http::Request::get("/ws?token=1").body(()).unwrap().into_parts().0;
        assert_eq!(target.own_head(head).unwrap().uri, "/chat?token=1");
    }

    #[tokio::test]
    async fn values_of_a_raw_stream_arrive_in_linear_time_and_its_end_ends_a_word() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (arrivals, mut received) = mpsc::channel(1);
        let target = LinkTarget { endpoint, trust: Trust::new(None).unwrap(), arrivals };
        let _link = target.tcp(1).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        // Looking at all of it after every read would take minutes.
        let large = format!("[\"{}\"]", "x".repeat(MAX_FRAME / 2));
        let sent = format!("{{\"a\":1}}{{\"b\":2}} {large} TEST");
        let sending = tokio::spawn(async move { stream.write_all(sent.as_bytes()).await });
        for expected in ["{\"a\":1}", "{\"b\":2}", &large, "TEST"] {
            let arrival = received.recv().await.unwrap();
            let LinkContent::Frame(frame) = arrival.content else { panic!("{arrival:?}") };
            assert!(frame.payload() == expected.as_bytes(), "{} bytes", frame.payload().len());
        }
        let arrival = received.recv().await.unwrap();
        assert!(matches!(arrival.content, LinkContent::Closed(None)), "{arrival:?}");
        sending.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_rejected_handshake_is_sent_as_a_handshake_again() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (arrivals, mut received) = mpsc::channel(1);
        let target = LinkTarget { endpoint, trust: Trust::new(None).unwrap(), arrivals };
        let link = target.http(1);
        let request = http::Request::get("/ws?a=b")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("host", "old.example")
            .body(Bytes::new())
            .unwrap();
        assert!(link.send(Frame::request(request)).await);
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        for line in ["get /ws?a=b ", "\nupgrade: websocket", "\nsec-websocket-version: 13"] {
            assert!(head.contains(line), "{head}");
        }
        assert!(!head.contains("old.example"), "{head}");
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let arrival = received.recv().await.unwrap();
        let LinkContent::Frame(frame) = arrival.content else { panic!("{arrival:?}") };
        let Frame::Response(response) = *frame else { panic!("{frame:?}") };
        assert_eq!(response.status(), 403);
    }
}
