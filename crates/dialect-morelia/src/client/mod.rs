//! The client's side of a connection.

mod decode;
mod encode;

use crate::errors::decode_fault;
use crate::wire::{self, Form, ID, Method, PUSH};
use decode::{Expected, Signature};
use tolmach_dialect::field::Field;
use tolmach_dialect::pending::PendingRequests;
use tolmach_dialect::{
    ClientSession, Correlation, Credentials, Frame, Handshake, Incoming, InvalidReply, Request,
    Response, Unsupported, json,
};
use tolmach_domain::{ConnectionId, GrantKind, Identity, Secret, Timestamp, UserId};

/// The state of one connection.
pub(crate) struct Session {
    max_json_depth: usize,
    connection: ConnectionId,
    /// The number of messages sent, whose keys are made of it.
    sent: u64,
    /// Replies have no request ids: each answers the oldest request of its method.
    pending: PendingRequests<Pending>,
    /// The user and token of a login that bound the connection. The wire has no such login, so the
    /// session signs with it.
    bound: Option<Signature>,
}

struct Pending {
    correlation: Correlation,
    method: Method,
    expected: Expected,
    signer: Option<UserId>,
}

impl Session {
    pub(crate) fn new(handshake: &Handshake<'_>) -> Self {
        Self {
            max_json_depth: handshake.max_json_depth,
            connection: handshake.connection,
            sent: 0,
            pending: PendingRequests::default(),
            bound: None,
        }
    }

    /// The request that a reply answers. A refusal that names no method answers the oldest of all.
    fn take_pending(&mut self, kind: &str) -> Option<Pending> {
        match Method::from_type(kind) {
            Some((method, _)) => self.pending.take_first(|pending| pending.method == method),
            None => self.pending.take(0),
        }
    }

    fn response(&mut self, reply: wire::Reply<'_>) -> Result<Response, InvalidReply> {
        let Pending { correlation, method, expected, signer } =
            self.take_pending(&reply.kind).ok_or(InvalidReply::SHAPE)?;
        let errors = &reply.errors;
        if !(200..=299).contains(&errors.code) {
            let fault = decode_fault(method, errors.code, &errors.detail);
            return Ok(Response::new(correlation, Err(fault)));
        }
        let binds = expected == Expected::Grant(GrantKind::Connection);
        let (answer, signature) = decode::answer(expected, signer, reply)?;
        let identity = signature.as_ref().map(|(user, _)| Identity { user: *user, session: None });
        if binds {
            self.bound = signature;
        }
        Ok(Response { identity, ..Response::new(correlation, Ok(answer)) })
    }
}

/// The user and the token that a request is signed with.
fn signature<'a>(
    bound: Option<&'a Signature>,
    credentials: &'a Credentials,
) -> Option<(UserId, &'a Secret)> {
    match credentials {
        Credentials::TokenOf(user, token) => Some((*user, token)),
        Credentials::Connection => bound.map(|(user, token)| (*user, token)),
        Credentials::Nothing | Credentials::Token(_) | Credentials::Bearer(_) => None,
    }
}

impl ClientSession for Session {
    fn request(
        &mut self,
        now: Timestamp,
        request: &Request,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let mut draft = encode::draft(request)?;
        let signature = signature(self.bound.as_ref(), &request.credentials);
        draft.sign(signature)?;
        self.pending.reserve(ID, 1)?;
        let method = draft.method;
        self.pending.push(Pending {
            correlation: request.correlation.clone(),
            method,
            expected: draft.expected.clone(),
            signer: signature.map(|(user, _)| user),
        });
        let key = wire::number_on(self.connection, self.sent);
        if method == Method::SendMessage {
            self.sent = self.sent.wrapping_add(1);
        }
        out.push(Form::Text.frame(json::write(&draft.frame(now, key))));
        Ok(())
    }

    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let (_, bytes) = Form::of(frame).ok_or(InvalidReply::FRAME_KIND)?;
        let reply: wire::Reply<'_> = json::parse_object(bytes, self.max_json_depth)?;
        match &reply.meta {
            Field::Value(meta) if meta == PUSH => {
                out.extend(decode::push(reply)?.into_iter().map(Incoming::from));
            }
            _ => out.push(Incoming::Response(self.response(reply)?)),
        }
        Ok(())
    }
}

/// Fails if this wire has no frame for a request, whatever the connection.
pub(crate) fn check(request: &Request) -> Result<(), Unsupported> {
    encode::draft(request).map(|_| ())
}
