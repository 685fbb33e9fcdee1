//! One connection of the proxy, as it is recorded.

use super::dialects::{Recognised, RecordedDialects};
use http::request::Parts;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tolmach_capture::{ConnectionLog, GapReason, Opening, RecordingHandle, Transport};
use tolmach_client::tap::{TapEvent, TapObserver};
use tolmach_dialect::{ClientSession, Frame, Handshake, Incoming, Request, Sender, ServerSession};
use tolmach_domain::{ConnectionId, Timestamp};

/// The most bytes of a connection that wait until its dialect is known.
const HELD_BYTES: usize = 256 << 10;

/// The numbers of frames that all connections had.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) frames: AtomicU64,
    /// Those that the capture has not; where their number is not known, one for each gap.
    pub(super) missing: AtomicU64,
}

/// Records the connections that one TCP connection carries: an HTTP connection, and the WebSocket
/// that it may become.
pub(super) struct Observer {
    handle: RecordingHandle,
    dialects: Arc<RecordedDialects>,
    address: IpAddr,
    counts: Arc<Counts>,
    live: Option<Live>,
    /// True for a connection that began when the queue was full.
    is_left_out: bool,
}

/// A connection that is recorded.
struct Live {
    log: ConnectionLog,
    transport: Transport,
    /// The request of a WebSocket's handshake.
    request: Option<Box<Parts>>,
    recognised: Option<Recognised>,
    sessions: Option<Sessions>,
}

/// Both sides of a connection, which find the names of its frames.
struct Sessions {
    server: Box<dyn ServerSession>,
    client: Option<Box<dyn ClientSession>>,
}

impl Observer {
    pub(super) fn new(
        handle: RecordingHandle,
        dialects: Arc<RecordedDialects>,
        address: IpAddr,
        counts: Arc<Counts>,
    ) -> Self {
        Self { handle, dialects, address, counts, live: None, is_left_out: false }
    }

    /// Begins a connection. It is held until its dialect is known.
    fn open(
        &mut self,
        transport: Transport,
        request: Option<Box<Parts>>,
        recognised: Option<Recognised>,
    ) {
        let opening = Opening {
            connection: 0,
            at: 0,
            transport,
            dialect: recognised.as_ref().map(Recognised::known),
            request: request.clone(),
            address: Some(self.address),
            user: None,
        };
        let hold = recognised.is_none().then_some(HELD_BYTES);
        let log = self.handle.open(opening, hold);
        let sessions =
            recognised.as_ref().and_then(|it| Sessions::open(it, request.as_deref(), None));
        self.is_left_out = log.is_none();
        self.live = log.map(|log| Live { log, transport, request, recognised, sessions });
    }

    fn frame(&mut self, from: Sender, frame: Frame) {
        if self.live.is_none() && !self.is_left_out {
            match &frame {
                Frame::Request(request) => {
                    let (parts, ()) = head(request).into_parts();
                    let recognised = self.dialects.recognise(Some(&parts), false, None);
                    self.open(Transport::Http, None, recognised);
                }
                _ => {
                    let given = self.dialects.given();
                    self.open(Transport::Tcp, None, given);
                }
            }
        }
        self.counts.frames.fetch_add(1, Relaxed);
        let Some(live) = &mut self.live else {
            self.counts.missing.fetch_add(1, Relaxed);
            return;
        };
        live.recognise(&self.dialects, from, &frame);
        let name = live.name(from, &frame);
        if !live.log.frame(from, frame, name) {
            self.counts.missing.fetch_add(1, Relaxed);
        }
    }
}

impl TapObserver for Observer {
    fn event(&mut self, event: TapEvent) {
        match event {
            TapEvent::WebSocket(request) => {
                // The HTTP connection has become another one.
                self.live = None;
                let given = self.dialects.given();
                self.open(Transport::WebSocket, Some(request), given);
            }
            TapEvent::Frame(from, frame) => self.frame(from, frame),
            TapEvent::Gap(frames, reason) => {
                self.counts.frames.fetch_add(frames, Relaxed);
                self.counts.missing.fetch_add(frames.max(1), Relaxed);
                if self.live.is_none() && !self.is_left_out {
                    self.open(Transport::Tcp, None, self.dialects.given());
                }
                if let Some(live) = &mut self.live {
                    live.log.gap(frames, reason);
                    if reason == GapReason::Unreadable {
                        live.release();
                    }
                }
            }
            TapEvent::Close(from, code) => {
                if let Some(live) = &mut self.live {
                    live.release();
                    live.log.close(Some(from), code);
                }
            }
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if let Some(live) = &mut self.live {
            live.release();
        }
    }
}

impl Live {
    /// Finds out the dialect by a client's first frame, or by any request of HTTP.
    fn recognise(&mut self, dialects: &RecordedDialects, from: Sender, frame: &Frame) {
        if self.recognised.is_some() || from == Sender::Server {
            return;
        }
        if let Frame::Request(request) = frame {
            let (parts, ()) = head(request).into_parts();
            self.recognised = dialects.recognise(Some(&parts), false, Some(frame));
            if let Some(recognised) = &self.recognised
                && !self.log.is_held()
            {
                self.log.dialect(recognised.known());
            }
            return self.release();
        }
        if !self.log.is_held() {
            return;
        }
        let is_websocket = self.transport == Transport::WebSocket;
        let request = self.request.as_deref();
        self.recognised = dialects.recognise(request, is_websocket, Some(frame));
        if let Some(recognised) = &self.recognised {
            self.sessions = Sessions::open(recognised, request, Some(frame));
        }
        self.release();
    }

    /// Records what was held, of whichever dialect is known by now.
    fn release(&mut self) {
        self.log.release(None, self.recognised.as_ref().map(Recognised::known));
    }

    /// The name of the command or event of a frame, where it is known.
    fn name(&mut self, from: Sender, frame: &Frame) -> Option<&'static str> {
        let recognised = self.recognised.as_ref()?;
        if let Frame::Request(request) = frame {
            // Each exchange has a session of its own.
            let (parts, ()) = head(request).into_parts();
            self.sessions = Sessions::open(recognised, Some(&parts), None);
        }
        let sessions = self.sessions.as_mut()?;
        match from {
            Sender::Server => sessions.event(frame),
            Sender::Client => {
                let name = sessions.command(frame);
                let revision = sessions.server.revision();
                if revision != recognised.revision {
                    let recognised = recognised.at(revision);
                    self.log.dialect(recognised.known());
                    self.recognised = Some(recognised);
                }
                name
            }
        }
    }
}

impl Sessions {
    fn open(
        recognised: &Recognised,
        request: Option<&Parts>,
        first: Option<&Frame>,
    ) -> Option<Self> {
        let mut handshake =
            Handshake::new(ConnectionId(0)).local(true).revision(recognised.revision);
        // Its own: frames of connections are only named here.
        let numbers = Arc::default();
        handshake = handshake.wide_id_numbers(&numbers);
        if let Some(request) = request {
            handshake = handshake.request(request);
        }
        if let Some(first) = first {
            handshake = handshake.first_frame(first);
        }
        let server = recognised.dialect.accept(&handshake).ok()?;
        let client = recognised.dialect.client();
        let client = client.and_then(|client| client.connect(&handshake).ok());
        Some(Self { server, client })
    }

    /// The name of the command of a client's frame.
    fn command(&mut self, frame: &Frame) -> Option<&'static str> {
        let mut requests: Vec<Request> = Vec::new();
        self.server.decode(Timestamp::default(), frame, &mut requests).ok()?;
        if let Some(client) = &mut self.client {
            for request in &requests {
                // Its responses are then expected; where this side has no such request, they are
                // not.
                let _ = client.request(Timestamp::default(), request, &mut Vec::new());
            }
        }
        requests.first().map(|request| request.command.name())
    }

    /// The name of the event of a server's frame.
    fn event(&mut self, frame: &Frame) -> Option<&'static str> {
        let mut incoming = Vec::new();
        self.client.as_mut()?.decode(Timestamp::default(), frame, &mut incoming).ok()?;
        incoming.iter().find_map(|incoming| match incoming {
            Incoming::Event(event) => Some(event.name()),
            Incoming::Response(_) => None,
        })
    }
}

/// The head of a request.
fn head<T>(request: &http::Request<T>) -> http::Request<()> {
    let mut head = http::Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.headers_mut() = request.headers().clone();
    head
}
