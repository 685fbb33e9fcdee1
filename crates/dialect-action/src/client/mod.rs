//! The client's side of a connection.

mod decode;
mod encode;

pub(crate) use encode::check;

use crate::errors;
use crate::wire::{self, ID, Method};
use decode::Expected;
use encode::Encoded;
use serde_json::value::RawValue;
use tolmach_dialect::pending::PendingRequests;
use tolmach_dialect::{
    ClientSession, Correlation, Frame, Handshake, Incoming, InvalidReply, Request, Response,
    Unsupported, WireNames, json,
};
use tolmach_domain::{Authority, Fault, FlowId, Timestamp};

/// The most frames that one request takes: leaving a room, joining another, and its own.
const MAX_FRAMES: usize = 3;

/// The state of one connection.
///
/// The wire changes messages of the joined room only, so the session joins the room of a request
/// first. Before that it leaves the joined one: if the joining is refused, the request must not
/// reach the former room.
pub(crate) struct Session {
    authority: Authority,
    max_json_depth: usize,
    /// The high bits of request ids, so that two clients in one room hardly ever use the same.
    prefix: u64,
    /// The number of requests that were sent.
    sent: u64,
    pending: PendingRequests<Pending>,
    /// The room that is joined once the server has answered every request.
    room: Option<FlowId>,
}

/// A request that waits for its reply.
struct Pending {
    request_id: u64,
    method: Method,
    purpose: Purpose,
}

enum Purpose {
    /// A canonical request.
    Request {
        correlation: Correlation,
        expected: Expected,
        room: Option<FlowId>,
        /// True if it joins the room.
        joins: bool,
    },
    /// Leaving a room for another.
    Leave,
    /// Joining a room for the request with this id.
    Join { for_request: u64, room: FlowId },
    /// A canonical request that was answered already, because its room could not be joined.
    Answered,
}

impl Session {
    pub(crate) fn new(handshake: &Handshake<'_>, authority: Authority) -> Self {
        Self {
            authority,
            max_json_depth: handshake.max_json_depth,
            // Ids stay below 2^53: 21 bits of the connection, 32 of the count.
            prefix: (handshake.connection.0 & 0x1f_ffff) << 32,
            sent: 0,
            pending: PendingRequests::default(),
            room: None,
        }
    }
}

impl ClientSession for Session {
    fn request(
        &mut self,
        _now: Timestamp,
        request: &Request,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        if request.authority != self.authority {
            let what = "a request in another right than the connection's";
            return Err(Unsupported { dialect: ID, what });
        }
        let Encoded { mut method, expected, room, request: mut own } = encode::request(request)?;
        self.pending.reserve(ID, MAX_FRAMES)?;
        let other = room.filter(|_| room != self.room);
        let joins = method == Method::JoinRoom && other.is_some();
        if let Some(room) = other {
            if self.room.replace(room).is_some() {
                out.push(self.send(Method::LeaveRoom, wire::Request::default(), Purpose::Leave));
            }
            if !joins {
                let purpose = Purpose::Join { for_request: self.id(self.sent + 2), room };
                out.push(self.send(Method::JoinRoom, encode::join(room), purpose));
            }
        } else if method == Method::JoinRoom && self.authority == Authority::Member {
            (method, own) = (Method::CurrentRoomInfo, wire::Request::default());
        }
        let correlation = request.correlation.clone();
        out.push(self.send(method, own, Purpose::Request { correlation, expected, room, joins }));
        Ok(())
    }

    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Incoming>,
    ) -> Result<(), InvalidReply> {
        let text = match frame {
            Frame::Text(text) => text,
            // The handshake was rejected, and every request with it.
            Frame::Response(_) => {
                let refused = |correlation| {
                    Incoming::Response(Response::new(correlation, Err(Fault::Unauthenticated)))
                };
                let pending = self.pending.drain();
                out.extend(
                    pending.filter_map(|pending| pending.purpose.correlation()).map(refused),
                );
                return Ok(());
            }
            Frame::Binary(_) | Frame::Value(_) | Frame::Request(_) => {
                return Err(InvalidReply::FRAME_KIND);
            }
        };
        let reply: wire::Reply<'_, &RawValue> = json::parse_object(text, self.max_json_depth)?;
        let pending = self.take_pending(reply.request_id, reply.action.as_deref());
        if !(200..=299).contains(&reply.response_status) {
            let text = reply.errors.first().map(AsRef::as_ref).unwrap_or_default();
            let pending = pending.ok_or(InvalidReply::SHAPE)?;
            out.extend(self.refuse(pending, reply.response_status, text).map(Incoming::Response));
            return Ok(());
        }
        let method = reply.action.as_deref().and_then(Method::from_name);
        let (method, data) = method.zip(reply.data).ok_or(InvalidReply::SHAPE)?;
        let event = decode::event(method, now, data)?;
        match pending.map(|pending| pending.purpose) {
            Some(Purpose::Request { correlation, expected, .. }) => {
                let kind = event.as_ref().map(|event| &event.kind);
                let answer = decode::answer(&expected, kind, data)?;
                out.push(Incoming::Response(Response::new(correlation, Ok(answer))));
            }
            None if event.is_none() => return Err(InvalidReply::SHAPE),
            Some(Purpose::Leave | Purpose::Join { .. } | Purpose::Answered) | None => {}
        }
        out.extend(event.map(Incoming::from));
        Ok(())
    }
}

impl Session {
    /// The id of the request with this number.
    fn id(&self, number: u64) -> u64 {
        self.prefix | (number & 0xffff_ffff)
    }

    fn send(&mut self, method: Method, request: wire::Request<'_>, purpose: Purpose) -> Frame {
        self.sent += 1;
        let request_id = self.id(self.sent);
        self.pending.push(Pending { request_id, method, purpose });
        encode::frame(method, request, request_id)
    }

    /// Takes the request that a reply with this id and action answers. An error may leave out the
    /// action.
    fn take_pending(
        &mut self,
        request_id: Option<&RawValue>,
        action: Option<&str>,
    ) -> Option<Pending> {
        let request_id: u64 = request_id?.get().parse().ok()?;
        self.pending.take_first(|pending| {
            pending.request_id == request_id
                && action.is_none_or(|action| pending.method.name() == action)
        })
    }

    /// The response that an error means, unless the canonical request has its response already.
    fn refuse(&mut self, pending: Pending, status: u16, text: &str) -> Option<Response> {
        let correlation = match pending.purpose {
            Purpose::Leave | Purpose::Answered => None,
            Purpose::Join { for_request, room } => {
                self.room.take_if(|joined| *joined == room);
                let waiting = self.pending.find_mut(|other| other.request_id == for_request)?;
                std::mem::replace(&mut waiting.purpose, Purpose::Answered).correlation()
            }
            Purpose::Request { correlation, room, joins, .. } => {
                if joins || errors::is_outside(status, text) {
                    self.room.take_if(|joined| Some(*joined) == room);
                }
                Some(correlation)
            }
        };
        let fault = errors::decode(pending.method, self.authority, status, text);
        Some(Response::new(correlation?, Err(fault)))
    }
}

impl Purpose {
    /// The correlation of a canonical request that waits for its response.
    fn correlation(self) -> Option<Correlation> {
        match self {
            Purpose::Request { correlation, .. } => Some(correlation),
            Purpose::Leave | Purpose::Join { .. } | Purpose::Answered => None,
        }
    }
}
