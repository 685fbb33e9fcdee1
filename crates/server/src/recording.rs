//! Copies of the frames of connections, for a recorder.

use crate::request_head::copied;
use bytes::{Buf, Bytes};
use http::Request;
use http::request::Parts;
use std::net::IpAddr;
use tolmach_dialect::{Frame, Manifest, Revision, Sender};
use tolmach_domain::{ConnectionId, UserId};

/// Takes copies of frames. Its methods are called on the way of every frame: they must not wait.
pub trait FrameRecorder: Send + Sync {
    /// The recorder of a connection that begins, or of one HTTP exchange; `None` if it is not
    /// recorded.
    fn open(&self, connection: &RecordedConnection<'_>) -> Option<Box<dyn ConnectionRecorder>>;
}

/// Takes copies of the frames of one connection. Dropped when the connection has ended.
pub trait ConnectionRecorder: Send {
    /// A frame was received, or is about to be sent. `name` is that of its command or event, where
    /// it is known.
    fn frame(&mut self, from: Sender, frame: Frame, name: Option<&'static str>);

    /// The user of the connection has become known, or has changed.
    fn user(&mut self, user: UserId);

    /// The session has decided on another revision.
    fn revision(&mut self, manifest: &Manifest, revision: Revision);

    /// The connection ends: by whom, and with which code.
    fn close(&mut self, by: Sender, code: Option<u16>);
}

/// A connection that begins.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RecordedConnection<'a> {
    /// Its number.
    pub id: ConnectionId,
    /// The dialect.
    pub manifest: &'a Manifest,
    /// The revision so far.
    pub revision: Revision,
    /// The transport.
    pub transport: RecordedTransport,
    /// The request of its handshake, or of the exchange; `None` on raw TCP.
    pub request: Option<&'a Parts>,
    /// The address of the client.
    pub address: IpAddr,
    /// The user, if the handshake has proven one.
    pub user: Option<UserId>,
}

/// The transport of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedTransport {
    /// A WebSocket.
    WebSocket,
    /// One HTTP exchange.
    Http,
    /// Raw TCP.
    Tcp,
}

/// The recorder of one connection, with the form of its frames.
pub(crate) struct Recording {
    recorder: Box<dyn ConnectionRecorder>,
    is_tcp: bool,
}

impl Recording {
    /// The recording of a connection, if it is recorded.
    pub(crate) fn open(
        recorder: &dyn FrameRecorder,
        connection: &RecordedConnection<'_>,
    ) -> Option<Self> {
        let is_tcp = connection.transport == RecordedTransport::Tcp;
        recorder.open(connection).map(|recorder| Self { recorder, is_tcp })
    }

    /// A frame of the client.
    pub(crate) fn received(&mut self, frame: &Frame, name: Option<&'static str>) {
        let frame = self.own_form(frame.clone());
        self.recorder.frame(Sender::Client, frame, name);
    }

    /// A frame of the server.
    pub(crate) fn sent(&mut self, frame: &Frame, name: Option<&'static str>) {
        let frame = self.own_form(frame.clone());
        self.recorder.frame(Sender::Server, frame, name);
    }

    /// A frame of the server that is encoded already, as [`crate::write_buffer::encode`] does it.
    pub(crate) fn sent_encoded(&mut self, encoded: &Bytes, name: &'static str) {
        let frame = self.own_form(decoded(encoded.clone()));
        self.recorder.frame(Sender::Server, frame, Some(name));
    }

    pub(crate) fn user(&mut self, user: UserId) {
        self.recorder.user(user);
    }

    pub(crate) fn revision(&mut self, manifest: &Manifest, revision: Revision) {
        self.recorder.revision(manifest, revision);
    }

    pub(crate) fn close(&mut self, by: Sender, code: Option<u16>) {
        self.recorder.close(by, code);
    }

    /// The values of a raw TCP stream are texts to the connection. A request waits without the
    /// buffer that it was read into.
    fn own_form(&self, frame: Frame) -> Frame {
        match frame {
            Frame::Text(bytes) if self.is_tcp => Frame::Value(bytes),
            Frame::Request(request) => {
                let (head, body) = request.into_parts();
                Frame::request(Request::from_parts(copied(&head), body))
            }
            frame => frame,
        }
    }
}

/// The frame that was encoded as a whole WebSocket message without a mask. RFC 6455 section 5.2.
fn decoded(mut encoded: Bytes) -> Frame {
    const TEXT: u8 = 1;
    let is_text = encoded.first().is_some_and(|first| first & 0x0F == TEXT);
    let header = match encoded.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    encoded.advance(header.min(encoded.len()));
    if is_text { Frame::Text(encoded) } else { Frame::Binary(encoded) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write_buffer::encode;

    #[test]
    fn an_encoded_frame_is_read_again() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let payload = Bytes::from(vec![b'x'; length]);
            for frame in [Frame::Text(payload.clone()), Frame::Binary(payload.clone())] {
                assert_eq!(decoded(encode(frame.clone())), frame, "{length}");
            }
        }
    }
}
