//! A raw TCP listener: accepting its connections and opening their sessions.

use super::value_stream::ValueStream;
use crate::connection::{Connection, ConnectionSession, Inbound, websocket_config};
use crate::listener::{Entering, accept, accepted_by_system};
use crate::places::{Client, Place};
use crate::recording::RecordedTransport;
use crate::state::ServerState;
use crate::tls::Tls;
use socket2::{SockRef, TcpKeepalive};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;
use tolmach_dialect::{Frame, Handshake};

/// The probes that a peer may leave unanswered before its connection ends.
const KEEPALIVE_PROBES: u32 = 4;

/// The way of the connections of a raw TCP listener into the server.
pub(crate) struct TcpEntrance {
    /// The place of its listener in their order, by which its dialect is found.
    pub(crate) index: usize,
    pub(crate) tls: Option<Tls>,
    /// True if it listens on a loopback address.
    pub(crate) on_loopback: bool,
}

impl TcpEntrance {
    /// Accepts connections until `shutdown` is cancelled, and then those that the system has
    /// accepted already: they are asked to close like all others.
    pub(crate) async fn serve(
        self: Arc<Self>,
        state: Arc<ServerState>,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) {
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = accept(&listener) => accepted,
            };
            self.admit(&state, stream, peer);
            // In a flood of connections, each of them leaves every other task its turn.
            yield_now().await;
        }
        for (stream, peer) in accepted_by_system(listener) {
            self.admit(&state, stream, peer);
        }
    }

    /// Serves a connection if there is a place for it, and closes it otherwise.
    fn admit(self: &Arc<Self>, state: &Arc<ServerState>, stream: TcpStream, peer: IpAddr) {
        // Each message is written at once. Fails only if the connection has ended.
        let _ = stream.set_nodelay(true);
        keep_alive(state, &stream);
        // The client behind a proxy is known later.
        let known = (!state.proxies.trusts(peer)).then_some(peer);
        match state.places.take(known) {
            Ok(place) => {
                let entering = Entering { state: state.clone(), stream, peer, place };
                state.tasks.spawn(self.clone().enter(entering));
            }
            Err(reason) => crate::metrics::connection_refused(reason.name()),
        }
    }

    async fn enter(self: Arc<Self>, mut entering: Entering) {
        match entering.identify().await {
            Some(Ok(())) => {}
            Some(Err(reason)) => return crate::metrics::connection_refused(reason.name()),
            None => return,
        }
        let Some(tls) = &self.tls else {
            let Entering { state, stream, peer, place } = entering;
            return self.open(state, stream, peer, place).await;
        };
        let Some((mut stream, state, peer, place)) = entering.begin_tls(tls).await else { return };
        // A connection times its own writes.
        stream.get_mut().0.disable_timeout();
        self.open(state, stream, peer, place).await;
    }

    /// Opens the session of a connection in a task of its own, which holds nothing else.
    async fn open<S>(&self, state: Arc<ServerState>, stream: S, client: IpAddr, place: Arc<Place>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let routes = state.routes();
        let Some((dialect, revision)) = routes.tcp(self.index) else { return };
        let dialect = dialect.clone();
        drop(routes);
        let id = state.new_connection();
        let mut handshake = Handshake::new(id)
            .local(self.on_loopback && client.is_loopback())
            .max_json_depth(state.limits.max_json_depth);
        if let Some(revision) = revision {
            handshake = handshake.revision(revision);
        }
        let Ok(session) = dialect.accept(&handshake) else {
            return dialect.metrics.handshakes_rejected.increment(1);
        };
        let pace = session.pace();
        let subscriber = state.connect(id);
        let client = Client::new(client, place, state.limits.first_proof_timeout);
        let mut session =
            ConnectionSession::new(state.clone(), dialect.clone(), session, subscriber, client);
        let frames = session.initialise().await;
        if frames.iter().any(|frame| matches!(frame, Frame::Response(_))) {
            return dialect.metrics.handshakes_rejected.increment(1);
        }
        session.begin_recording(RecordedTransport::Tcp, None);
        let stream = ValueStream::new(stream, pace);
        let stream = Inbound::new(&state, session.address(), stream, &[]);
        let config = Some(websocket_config(dialect.max_frame_bytes));
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, config).await;
        // Publishers would write frames of a WebSocket.
        let connection = Connection::new(socket, None, session);
        state.tasks.spawn(connection.run(frames, None));
    }
}

/// Has the system end the connection of a peer that is gone: a client of raw values answers no
/// ping, and one that is silent may live.
fn keep_alive(state: &ServerState, stream: &TcpStream) {
    let least = Duration::from_secs(1);
    let keepalive = TcpKeepalive::new()
        .with_time(state.keepalive.ping_interval.max(least))
        .with_interval((state.keepalive.pong_timeout / KEEPALIVE_PROBES).max(least))
        .with_retries(KEEPALIVE_PROBES);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "a connection has no keepalive");
    }
}
