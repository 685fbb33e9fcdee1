//! The client's side of a connection.

mod decode;
mod encode;
mod expected;

use crate::errors;
use crate::wire::{self, ID, Operation, PATH, Reply};
use encode::EncodedRequest;
use expected::Expected;
use tolmach_dialect::known_messages::KnownMessages;
use tolmach_dialect::pending::PendingRequests;
use tolmach_dialect::{
    ClientSession, Correlation, DialectClient, Event, Frame, Handshake, HandshakeRejection,
    Incoming, InvalidReply, Request, Response, Unsupported, json, websocket_request,
};
use tolmach_domain::{Answer, EventKind, Fault, Message, Timestamp};

/// The most bytes that the messages of one history may have.
const MAX_HISTORY_BYTES: usize = 64 << 20;

/// The bytes that a message counts for beside its content.
const MESSAGE_OVERHEAD: usize = 128;

/// The client's side of the dialect.
pub(crate) struct Client;

impl DialectClient for Client {
    fn dial(&self, request: &Request) -> Result<http::request::Parts, Unsupported> {
        encode::request(request, "")?;
        Ok(websocket_request(PATH))
    }

    fn connect(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ClientSession>, HandshakeRejection> {
        Ok(Box::new(Session {
            max_json_depth: handshake.max_json_depth,
            pending: PendingRequests::default(),
            login: String::new(),
            known: KnownMessages::default(),
        }))
    }
}

/// The state of a connection.
struct Session {
    max_json_depth: usize,
    /// Requests that wait for their replies: the wire has no request ids.
    pending: PendingRequests<Pending>,
    /// The login of the connection; empty before.
    login: String,
    known: KnownMessages,
}

struct Pending {
    correlation: Correlation,
    operation: Operation,
    expected: Expected,
    /// The messages of a history so far, and their size in bytes.
    messages: Vec<Message>,
    size: usize,
}

impl ClientSession for Session {
    fn request(
        &mut self,
        _now: Timestamp,
        request: &Request,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let encoded = encode::request(request, &self.login)?;
        let is_history = matches!(encoded.expected, Expected::History { .. });
        let fence = is_history.then(|| (EncodedRequest::fence(), Correlation::NONE));
        self.pending.reserve(ID, 1 + usize::from(is_history))?;
        for (encoded, correlation) in
            [(encoded, request.correlation.clone())].into_iter().chain(fence)
        {
            out.push(Frame::Text(json::write(&encoded.frame)));
            self.pending.push(Pending {
                correlation,
                operation: encoded.operation,
                expected: encoded.expected,
                messages: Vec::new(),
                size: 0,
            });
        }
        Ok(())
    }

    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let reply: wire::Reply<'_> = frame.json_object(self.max_json_depth)?;
        self.incoming(now, reply, out)
    }
}

impl Session {
    /// The place of the oldest request of an operation whose expected answer fits.
    fn position(&self, operation: Operation, fits: impl Fn(&Expected) -> bool) -> Option<usize> {
        self.pending.position(|pending| pending.operation == operation && fits(&pending.expected))
    }

    /// Decodes a reply or a push.
    fn incoming(
        &mut self,
        now: Timestamp,
        reply: Reply<'_>,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let fault = reply
            .status
            .as_deref()
            .and_then(|status| errors::decode(status, reply.detail.as_deref()));
        let Some(operation) = Operation::from_reply_type(&reply.kind) else {
            // The error for a frame that the server could not read: it answers the oldest request.
            return self.finish(0, Err(fault.ok_or(InvalidReply::SHAPE)?), out);
        };
        if let Some(fault) = fault {
            let position = self.position(operation, |_| true).ok_or(InvalidReply::SHAPE)?;
            return self.finish(position, Err(fault), out);
        }
        if operation == Operation::ReadMessage {
            return self.read_message(now, &reply, out);
        }
        let Some(position) = self.position(operation, |expected| expected.fits(&reply)) else {
            let kind = decode::push(now, operation, reply, &self.login, &self.known)?;
            out.push(Event::new(now, kind).into());
            return Ok(());
        };
        let expected = &self.pending.get(position).ok_or(InvalidReply::SHAPE)?.expected;
        let answer = decode::answer(now, expected, reply, &self.login, &self.known)?;
        match (expected, &answer) {
            (Expected::LoggedIn { identifier }, _) => self.login.clone_from(identifier),
            (_, Answer::Sent { message: Some(message), .. }) => self.known.insert(message),
            _ => {}
        }
        self.finish(position, Ok(answer), out)
    }

    /// Decodes a frame of a history that is being read, or a new message.
    fn read_message(
        &mut self,
        now: Timestamp,
        reply: &Reply<'_>,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let message = decode::message(reply)?;
        let position = self.position(Operation::ReadMessage, |expected| expected.fits(reply));
        match (message, position) {
            (Some(message), Some(position)) => {
                let pending = self.pending.get_mut(position).ok_or(InvalidReply::SHAPE)?;
                let size = pending.size + message.content.size() + MESSAGE_OVERHEAD;
                if size > MAX_HISTORY_BYTES {
                    return Err(InvalidReply::SHAPE);
                }
                self.known.insert(&message);
                pending.size = size;
                pending.messages.push(message);
            }
            (Some(message), None) => {
                self.known.insert(&message);
                out.push(Event::new(now, EventKind::Posted(message)).into());
            }
            (None, Some(position)) => self.finish_history(position, out),
            (None, None) => return Err(InvalidReply::SHAPE),
        }
        Ok(())
    }

    /// Responds to a request. The reply to a fence ends the history before it, if that still waits.
    fn finish(
        &mut self,
        position: usize,
        outcome: Result<Answer, Fault>,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let request = self.pending.take(position).ok_or(InvalidReply::SHAPE)?;
        if request.expected != Expected::Fence {
            out.push(Incoming::Response(Response::new(request.correlation, outcome)));
            return Ok(());
        }
        // Replies come in order: a history that waits before this fence is the one that it ends.
        let history =
            self.position(Operation::ReadMessage, |_| true).filter(|history| *history < position);
        if let Some(history) = history {
            self.finish_history(history, out);
        }
        Ok(())
    }

    /// Responds to a request for a history with the messages that have come.
    fn finish_history(&mut self, position: usize, out: &mut Vec<Incoming>) {
        if let Some(Pending {
            correlation,
            expected: Expected::History { flow, kinds, range },
            messages,
            ..
        }) = self.pending.take(position)
        {
            let answer = decode::history(flow, kinds, range, messages);
            out.push(Incoming::Response(Response::new(correlation, Ok(answer))));
        }
    }
}
