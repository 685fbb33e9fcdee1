//! Connections to the gateway that use a dialect through its own client session.

use crate::clock::now;
use crate::result::BenchResult;
use crate::users::BenchUser;
use crate::websocket::{WebSocket, connect, next_text};
use crate::wire::{Wire, login_request};
use futures_util::SinkExt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tolmach_dialect::{ClientSession, Frame, Handshake, Incoming, Request};
use tolmach_domain::{Answer, ConnectionId, FlowId, Tokens};

/// A WebSocket with its client session.
pub(crate) struct Connection {
    socket: WebSocket,
    codec: ClientCodec,
}

impl Connection {
    /// Connects to the endpoint of a request.
    pub(crate) async fn open(
        server: SocketAddr,
        source: Ipv4Addr,
        wire: Wire,
        request: &Request,
    ) -> BenchResult<Self> {
        let handshake = wire.client()?.dial(request)?;
        let codec = ClientCodec::new(wire, &handshake)?;
        Ok(Self { socket: connect(server, source, handshake).await?, codec })
    }

    /// Connects a user and subscribes to `flow`, or to all flows of the user; returns once the
    /// gateway has confirmed it.
    pub(crate) async fn subscribe(
        server: SocketAddr,
        source: Ipv4Addr,
        wire: Wire,
        user: &BenchUser,
        flow: Option<FlowId>,
    ) -> BenchResult<Self> {
        let request = wire.first_request(user, flow)?;
        let mut connection = Self::open(server, source, wire, &request).await?;
        connection.request(request).await?;
        Ok(connection)
    }

    /// As [`Connection::subscribe`], for a user who logs in first. Gives the user with the tokens
    /// of that login.
    pub(crate) async fn log_in(
        server: SocketAddr,
        source: Ipv4Addr,
        wire: Wire,
        mut user: BenchUser,
        flow: FlowId,
    ) -> BenchResult<(Self, BenchUser)> {
        let login = login_request(&user, wire.grant_kind());
        let mut connection = Self::open(server, source, wire, &login).await?;
        let Answer::Granted(grant) = connection.request(login).await? else {
            return Err("a login was not answered by a grant".into());
        };
        // A bridge may have another number for the user than the gateway behind it.
        user.id = grant.user.map_or(user.id, |user| user.id);
        match grant.tokens {
            Tokens::Token(token) => user.token = token,
            Tokens::Pair { access, .. } => user.access = access,
            Tokens::Connection | Tokens::Nothing => return Ok((connection, user)),
        }
        connection.request(wire.first_request(&user, Some(flow))?).await?;
        Ok((connection, user))
    }

    /// Sends a request and receives its answer. A fault is an error.
    pub(crate) async fn request(&mut self, request: Request) -> BenchResult<Answer> {
        self.send(request).await?;
        self.receive_answer().await
    }

    /// Sends a request without waiting for its answer.
    pub(crate) async fn send(&mut self, request: Request) -> BenchResult<()> {
        for message in self.codec.encode(request)? {
            self.socket.send(message).await?;
        }
        Ok(())
    }

    /// Receives frames up to the next answer. A fault is an error.
    pub(crate) async fn receive_answer(&mut self) -> BenchResult<Answer> {
        loop {
            let frame = next_text(&mut self.socket).await?;
            let frame = frame.ok_or("the server closed the connection")?;
            if let Some(answer) = self.codec.decode(frame)?.answer {
                return Ok(answer);
            }
        }
    }

    /// The socket and the session.
    pub(crate) fn into_parts(self) -> (WebSocket, ClientCodec) {
        (self.socket, self.codec)
    }
}

/// The client session of one connection: encodes requests and decodes frames.
pub(crate) struct ClientCodec(Box<dyn ClientSession>);

impl ClientCodec {
    fn new(wire: Wire, handshake: &http::request::Parts) -> BenchResult<Self> {
        // Unique: a dialect may make idempotency keys of it.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let connection = ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed));
        let session = wire.client()?.connect(&Handshake::new(connection).request(handshake));
        Ok(Self(session.map_err(|rejection| {
            format!("{wire} rejects its own handshake: {}", rejection.response.status())
        })?))
    }

    /// The frames of a request.
    pub(crate) fn encode(&mut self, request: Request) -> BenchResult<Vec<Message>> {
        let mut frames = Vec::new();
        self.0.request(now(), &request, &mut frames)?;
        frames.into_iter().map(|frame| Ok(Message::Text(text_of(frame)?))).collect()
    }

    /// The contents of a frame. A fault is an error.
    pub(crate) fn decode(&mut self, frame: Utf8Bytes) -> BenchResult<Received> {
        let mut incoming = Vec::new();
        self.0.decode(now(), &Frame::Text(frame.into()), &mut incoming)?;
        let mut received = Received::default();
        for value in incoming {
            match value {
                Incoming::Response(response) => received.answer = Some(response.outcome?),
                Incoming::Event(_) => received.has_event = true,
            }
        }
        Ok(received)
    }
}

/// The contents of a frame from the gateway.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) answer: Option<Answer>,
    /// True if the frame carries an event.
    pub(crate) has_event: bool,
}

fn text_of(frame: Frame) -> BenchResult<Utf8Bytes> {
    match frame {
        Frame::Text(text) => Ok(Utf8Bytes::try_from(text)?),
        frame => Err(format!("a text frame was expected, not a {}", frame.kind()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{Secret, UserId};

    #[test]
    fn every_dialect_can_subscribe_to_a_group_and_send_there() {
        let (id, secret) = (UserId::new(1).unwrap(), || Secret::new("token"));
        let user = BenchUser { id, login: "member-0".into(), access: secret(), token: secret() };
        let flow = FlowId::new(1).unwrap();
        for id in tolmach_cli::dialects::ids() {
            let wire: Wire = id.parse().unwrap_or_else(|error| panic!("{error}"));
            let request = wire.first_request(&user, Some(flow)).unwrap();
            let handshake = wire.client().unwrap().dial(&request).unwrap();
            let mut codec = ClientCodec::new(wire, &handshake).unwrap();
            codec.encode(request).unwrap();
            let sent = codec.encode(wire.send_request(&user, flow, "hello".into())).unwrap();
            assert!(
                sent.iter().any(|message| message.to_text().unwrap().contains("hello")),
                "{id}: {sent:?}"
            );
        }
    }
}
