//! Listeners: accepting connections, giving them places, and what comes before HTTP on them.

use crate::drain::Drain;
use crate::http_connection::{serve_admin_http, serve_http, serve_http_without_place};
use crate::places::{NoPlace, Place, PlaceBounds, Places};
use crate::proxy_protocol::read_header;
use crate::state::ServerState;
use crate::tls::Tls;
use crate::write_timeout::WriteTimeoutStream;
use std::io::{self, Write};
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;

/// The pause after the system could not give a connection: out of files, most often.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The most connections that the system may have queued: as many as it was given for its backlog
/// when listening began.
const BACKLOG: usize = 1024;
/// The connections beyond the places, which are told that there is none, and shown the health
/// pages. A newcomer takes the place of the oldest.
const WITHOUT_PLACE: usize = 64;
/// The connections of the admin listener; more wait in the system's backlog.
const MAX_ADMIN_CONNECTIONS: usize = 64;
/// The response to an address that has all the connections that it may have: nothing is read from
/// it.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    content-length: 32\r\nretry-after: 5\r\nconnection: close\r\n\r\n\
    {\"error\":\"too many connections\"}";

/// The next connection, and the address of its other end. Waits through failures of the system.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip()),
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Closes the listener. Returns the connections that the system had accepted.
pub(crate) fn accepted_by_system(listener: TcpListener) -> Vec<(TcpStream, IpAddr)> {
    // The listener does not block, as it did not before.
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let next = || {
        let (stream, peer) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer.ip()))
    };
    std::iter::from_fn(next).take(BACKLOG).collect()
}

/// Serves the admin listener, until the future is dropped.
pub(crate) async fn serve_admin(state: Arc<ServerState>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, _) = accept(&listener), if connections.len() < MAX_ADMIN_CONNECTIONS => {
                let limit = state.keepalive.pong_timeout;
                let stream = WriteTimeoutStream::new(stream, limit);
                connections.spawn(serve_admin_http(state.clone(), stream));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The way of accepted connections into the server.
pub(crate) struct Entrance {
    state: Arc<ServerState>,
    without_place: Arc<Places>,
    drain: Drain,
}

impl Entrance {
    pub(crate) fn new(state: Arc<ServerState>, drain: Drain) -> Self {
        let bounds = PlaceBounds {
            total: WITHOUT_PLACE,
            unproven: WITHOUT_PLACE,
            per_address: WITHOUT_PLACE,
        };
        Self { state, without_place: Places::new(bounds), drain }
    }

    /// Serves a connection if there is a place for it, and refuses it otherwise.
    pub(crate) fn admit(&self, stream: TcpStream, peer: IpAddr) {
        let state = &self.state;
        // Frames are joined before they are written, so that waiting for more would only delay
        // them. Fails only if the connection has ended.
        let _ = stream.set_nodelay(true);
        // The client behind a proxy is known later.
        let known = (!state.proxies.trusts(peer)).then_some(peer);
        match state.places.take(known) {
            Ok(place) => {
                let connection = Entering { state: state.clone(), stream, peer, place };
                state.tasks.spawn(connection.serve(self.drain.clone()));
            }
            Err(reason @ NoPlace::Full) => {
                crate::metrics::connection_refused(reason.name());
                let Ok(place) = self.without_place.take(None) else { return };
                let connection = Entering { state: state.clone(), stream, peer, place };
                state.tasks.spawn(connection.serve_without_place());
            }
            Err(NoPlace::AddressFull) => refuse(state, stream, peer),
        }
    }
}

/// A connection on which nothing has begun.
pub(crate) struct Entering {
    pub(crate) state: Arc<ServerState>,
    pub(crate) stream: TcpStream,
    /// The address of the other end: the client, or a proxy.
    pub(crate) peer: IpAddr,
    pub(crate) place: Arc<Place>,
}

impl Entering {
    async fn serve(mut self, drain: Drain) {
        match self.identify().await {
            Some(Ok(())) => {}
            Some(Err(_)) => return refuse(&self.state, self.stream, self.peer),
            None => return,
        }
        let Some(tls) = self.state.tls.clone() else {
            let Self { state, stream, peer, place } = self;
            let stream = WriteTimeoutStream::new(stream, state.keepalive.pong_timeout);
            return serve_http(state, stream, peer, place, drain).await;
        };
        if let Some((stream, state, peer, place)) = self.begin_tls(&tls).await {
            Box::pin(serve_http(state, stream, peer, place, drain)).await;
        }
    }

    /// Reads the header of the PROXY protocol, where one comes, and counts the connection for the
    /// client. `None` if the connection is over; an error if the client has all that it may have.
    pub(crate) async fn identify(&mut self) -> Option<Result<(), NoPlace>> {
        if !self.has_proxy_header() {
            return Some(Ok(()));
        }
        let place = self.place.clone();
        // Boxed, because most connections need nothing of it.
        let reading = Box::pin(timeout(self.state.http.header_timeout, self.read_proxy_header()));
        let read = tokio::select! {
            read = reading => read,
            () = place.evicted() => return None,
        };
        match read {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "no header of the PROXY protocol");
                return None;
            }
            Err(_) => {
                tracing::debug!("no header of the PROXY protocol in time");
                return None;
            }
        }
        let is_proxy = self.state.proxies.trusts(self.peer);
        Some(if is_proxy { Ok(()) } else { place.count_for(self.peer) })
    }

    /// Begins TLS. `None` if the connection is over.
    pub(crate) async fn begin_tls(
        self,
        tls: &Tls,
    ) -> Option<(TlsStream<WriteTimeoutStream>, Arc<ServerState>, IpAddr, Arc<Place>)> {
        let Self { state, stream, peer, place } = self;
        let stream = WriteTimeoutStream::new(stream, state.keepalive.pong_timeout);
        let handshake = Box::pin(begin_tls(&state, tls, stream));
        let begun = tokio::select! {
            begun = handshake => begun,
            () = place.evicted() => return None,
        };
        begun.map(|stream| (stream, state, peer, place))
    }

    async fn serve_without_place(mut self) {
        let place = self.place.clone();
        let serving = Box::pin(async move {
            if self.has_proxy_header() {
                let limit = self.state.http.header_timeout;
                if !matches!(timeout(limit, self.read_proxy_header()).await, Ok(Ok(()))) {
                    return;
                }
            }
            let Self { state, stream, .. } = self;
            let stream = WriteTimeoutStream::new(stream, state.keepalive.pong_timeout);
            let Some(tls) = state.tls.clone() else {
                return serve_http_without_place(state, stream).await;
            };
            if let Some(stream) = begin_tls(&state, &tls, stream).await {
                serve_http_without_place(state, stream).await;
            }
        });
        tokio::select! {
            () = serving => {}
            () = place.evicted() => {}
        }
    }

    fn has_proxy_header(&self) -> bool {
        self.state.http.proxy_protocol && self.state.proxies.trusts(self.peer)
    }

    /// Reads the header of the PROXY protocol, and takes the address of the client from it.
    async fn read_proxy_header(&mut self) -> io::Result<()> {
        if let Some(client) = read_header(&mut self.stream).await? {
            self.peer = client.to_canonical();
        }
        Ok(())
    }
}

/// The handshake of TLS, which has the same time as the head of a request.
async fn begin_tls(
    state: &ServerState,
    tls: &Tls,
    stream: WriteTimeoutStream,
) -> Option<TlsStream<WriteTimeoutStream>> {
    let handshake = tls.acceptor().accept(stream);
    match timeout(state.http.header_timeout, handshake).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("no TLS handshake in time");
            None
        }
    }
}

/// Refuses a connection of an address that has all it may have, without reading from it.
fn refuse(state: &ServerState, stream: TcpStream, address: IpAddr) {
    crate::metrics::connection_refused(NoPlace::AddressFull.name());
    tracing::debug!(%address, "a connection was refused: its address has too many");
    if state.tls.is_some() {
        return;
    }
    // The response may be lost, if the peer is gone or closes at once.
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(REFUSAL).and_then(|_| stream.shutdown(Shutdown::Write));
    }
}
