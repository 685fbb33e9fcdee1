//! The client's side of a connection.

mod decode;
mod encode;

use crate::wire::{self, ID, Operation, PATH};
use decode::Expected;
use encode::EncodedRequest;
use tolmach_dialect::pending::PendingRequests;
use tolmach_dialect::{
    ClientSession, Correlation, DialectClient, Frame, Handshake, HandshakeRejection, Incoming,
    InvalidReply, Request, Response, Unsupported, WireNames, json, websocket_request,
};
use tolmach_domain::{Answer, Credentials, GrantKind, Secret, Timestamp};

/// The client's side of the dialect.
pub(crate) struct Client;

impl DialectClient for Client {
    fn dial(&self, request: &Request) -> Result<http::request::Parts, Unsupported> {
        encode::request(request)?;
        Ok(websocket_request(PATH))
    }

    fn connect(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ClientSession>, HandshakeRejection> {
        Ok(Box::new(Session {
            max_json_depth: handshake.max_json_depth,
            pending: PendingRequests::default(),
            connection_token: None,
        }))
    }
}

/// The state of a connection.
struct Session {
    max_json_depth: usize,
    /// Requests that wait for their replies: the wire has no request ids.
    pending: PendingRequests<Pending>,
    /// The token of a login of the connection itself, added to its requests because the wire has no
    /// such login.
    connection_token: Option<Secret>,
}

struct Pending {
    correlation: Correlation,
    operation: Operation,
    expected: Expected,
    /// True if the request has the token of the connection.
    by_connection: bool,
}

impl ClientSession for Session {
    fn request(
        &mut self,
        now: Timestamp,
        request: &Request,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let EncodedRequest { operation, expected, fields } = encode::request(request)?;
        self.pending.reserve(ID, 1)?;
        self.pending.push(Pending {
            correlation: request.correlation.clone(),
            operation,
            expected,
            by_connection: request.credentials == Credentials::Connection,
        });
        let token = self.connection_token.as_ref();
        let frame = encode::frame(now, operation, fields, &request.credentials, token);
        out.push(Frame::Text(json::write(&frame)));
        Ok(())
    }

    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let reply: wire::Reply<'_> = frame.json_object(self.max_json_depth)?;
        match reply.chat_id {
            Some(chat) if reply.mode.as_deref() == Some(Operation::GetMessages.name()) => {
                out.extend(decode::push(chat, reply)?.into_iter().map(Incoming::from));
            }
            _ => out.push(Incoming::Response(self.response(reply)?)),
        }
        Ok(())
    }
}

impl Session {
    /// Decodes the reply to the oldest request with its `mode`, or to the oldest of all if it has
    /// none.
    fn response(&mut self, reply: wire::Reply<'_>) -> Result<Response, InvalidReply> {
        let answers = |pending: &Pending| {
            reply.mode.as_deref().is_none_or(|mode| pending.operation.name() == mode)
        };
        let Pending { correlation, operation, expected, by_connection } =
            self.pending.take_first(answers).ok_or(InvalidReply::SHAPE)?;
        let token = reply.token.iter().flatten().next().map(|token| Secret::new(&**token));
        let outcome = decode::outcome(operation, &expected, reply)?;
        match (&outcome, expected) {
            (Ok(Answer::Granted(_)), Expected::Grant(GrantKind::Connection)) => {
                self.connection_token = token;
            }
            (Ok(Answer::LoggedOut), _) if by_connection => self.connection_token = None,
            _ => {}
        }
        Ok(Response::new(correlation, outcome))
    }
}
