//! The server's side of a connection.

mod decode;
mod encode;
mod pending;

pub(crate) use encode::render;

use crate::handshake;
use crate::wire::{ID, Method};
use bytes::Bytes;
use decode::Decoded;
use encode::SHARED;
use pending::PendingChanges;
use tolmach_dialect::{
    Close, Correlation, Delivery, Event, Frame, Handshake, RenderContext, Request, Response,
    ServerSession, Subscription, Unsupported, Violation, WireNames,
};
use tolmach_domain::{
    Answer, Authority, Command, ConnectionId, Credentials, EventKind, FlowId, Identity, MessageId,
    Secret, Timestamp, UserId, UserRef, Version,
};

/// The state of one connection.
pub(crate) struct Session {
    connection: ConnectionId,
    authority: Authority,
    max_json_depth: usize,
    /// From the handshake, until the engine is asked to prove it.
    token: Option<Secret>,
    user: Option<UserId>,
    room: Option<JoinedRoom>,
    changes: PendingChanges,
}

struct JoinedRoom {
    flow: FlowId,
    /// The version of the flow when it was joined: events up to it are older than the joining.
    version: Version,
}

/// The state that a response needs of its request.
enum Pending {
    Handshake,
    Action {
        method: Method,
        request_id: Bytes,
        /// The room that was joined when it was decoded.
        room: Option<FlowId>,
        /// The number of a pending change.
        change: Option<u64>,
    },
}

impl Session {
    pub(crate) fn new(handshake: &Handshake<'_>, authority: Authority, token: Secret) -> Self {
        Self {
            connection: handshake.connection,
            authority,
            max_json_depth: handshake.max_json_depth,
            token: Some(token),
            user: None,
            room: None,
            changes: PendingChanges::default(),
        }
    }
}

impl ServerSession for Session {
    fn initial_requests(&mut self, _now: Timestamp, out: &mut Vec<Request>) {
        if let Some(token) = self.token.take() {
            let correlation = Correlation::new(Pending::Handshake);
            let command = Command::GetUser { user: UserRef::Me };
            let request = Request::new(correlation, Credentials::Bearer(token), command);
            out.push(Request { authority: self.authority, ..request });
        }
    }

    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        let room = self.room.as_ref().map(|room| room.flow);
        let Decoded { method, request_id, command, requested } =
            decode::request(frame, self.max_json_depth, self.authority, room)?;
        let is_change =
            matches!(command, Command::Send(_) | Command::Edit { .. } | Command::Delete { .. });
        let change = is_change.then(|| self.changes.add(method, request_id.clone(), requested));
        let client_tag = is_change.then(|| request_id.clone());
        let correlation = Correlation::new(Pending::Action { method, request_id, room, change });
        let request = Request::new(correlation, Credentials::Connection, command);
        out.push(Request { authority: self.authority, client_tag, ..request });
        Ok(())
    }

    fn respond(
        &mut self,
        _now: Timestamp,
        response: &Response,
        context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        let (&method, request_id, room, change) = match response.correlation.get() {
            Some(Pending::Action { method, request_id, room, change }) => {
                (method, request_id, *room, *change)
            }
            Some(Pending::Handshake) => {
                if response.outcome.is_err() {
                    out.push(Frame::response(handshake::forbidden()));
                }
                return Ok(());
            }
            None => {
                let what = "a response to a request of another session";
                return Err(Unsupported { dialect: ID, what });
            }
        };
        match (method, &response.outcome, room) {
            (_, Err(fault), _) => {
                if method == Method::LeaveRoom {
                    // Later requests of the client are not meant for this room.
                    self.leave(context, out);
                }
                self.changes.refuse(change);
                out.push(encode::fault(method, self.authority, fault, request_id));
            }
            (Method::List, Ok(Answer::Flows(flows)), _) => {
                out.push(encode::rooms(flows, request_id));
            }
            (Method::JoinRoom, Ok(Answer::Flow(summary)), _) => {
                self.leave(context, out);
                let (flow, version) = (summary.flow.id, summary.flow.version);
                self.room = Some(JoinedRoom { flow, version });
                out.push(encode::room(method, summary, request_id));
            }
            (Method::CurrentRoomInfo, Ok(Answer::Flow(summary)), _) => {
                out.push(encode::room(method, summary, request_id));
            }
            (Method::LeaveRoom, Ok(Answer::User(_)), Some(room)) => {
                self.leave(context, out);
                out.push(encode::left_room(room, request_id));
            }
            (Method::CreateMessage, Ok(answer @ Answer::Sent { .. }), _)
            | (Method::EditMessage, Ok(answer @ Answer::Edited(_)), _)
            | (Method::DeleteMessages, Ok(answer @ Answer::Deleted { .. }), _) => {
                self.changes.grant(change, answer);
            }
            _ => return Err(Unsupported { dialect: ID, what: method.name() }),
        }
        Ok(())
    }

    fn authenticated(&mut self, identity: Option<Identity>) {
        self.user = identity.map(|identity| identity.user);
    }

    fn subscription(&self) -> Subscription {
        match &self.room {
            Some(room) if self.user.is_some() => Subscription::Flow(room.flow),
            _ => Subscription::None,
        }
    }

    fn deliver(&mut self, event: &Event, context: &RenderContext<'_>) -> Delivery {
        match &event.kind {
            EventKind::Posted(_) | EventKind::Edited(_) | EventKind::Deleted { .. } => {
                self.deliver_change(event, context)
            }
            EventKind::MembersRemoved { users, .. }
                if self.user.is_some_and(|user| users.contains(&user)) =>
            {
                self.expel()
            }
            EventKind::FlowDeleted { .. } => self.expel(),
            EventKind::SessionsEnded { .. } => {
                Delivery::Close(Close::new(1008, "the session has ended"))
            }
            EventKind::FlowCreated { .. }
            | EventKind::MembersAdded { .. }
            | EventKind::MembersRemoved { .. }
            | EventKind::Typing { .. } => Delivery::Skip,
        }
    }
}

impl Session {
    /// Leaves the room. Granted changes whose events have not been delivered are answered before:
    /// the events will not be delivered any more.
    fn leave(&mut self, context: &RenderContext<'_>, out: &mut Vec<Frame>) {
        let room = self.room.take();
        for change in self.changes.drain() {
            let answer = change.answer.as_ref().zip(room.as_ref());
            out.extend(answer.and_then(|(answer, room)| {
                encode::answer(answer, room.flow, &change.requested, &change.request_id, context)
            }));
        }
    }

    /// Leaves a room that was deleted, or that the user was removed from.
    fn expel(&mut self) -> Delivery {
        self.room = None;
        self.changes.drain().for_each(drop);
        Delivery::Skip
    }

    fn deliver_change(&mut self, event: &Event, context: &RenderContext<'_>) -> Delivery {
        let Some(room) = &self.room else { return Delivery::Skip };
        if event.versions().is_some_and(|(_, last)| !last.is_newer_than(room.version)) {
            return Delivery::Skip;
        }
        let Some(change) = self.changes.take_caused(event, self.connection) else {
            return Delivery::Shared(SHARED);
        };
        let left = match &event.kind {
            EventKind::Deleted { messages, .. } => {
                let deleted: Vec<MessageId> = messages.iter().map(|(id, _)| *id).collect();
                encode::left(&change.requested, &deleted)
            }
            _ => Vec::new(),
        };
        if event.origin.is_some() && left.is_empty() {
            return Delivery::Shared(SHARED);
        }
        let frame = encode::change(&event.kind, &left, Some(&change.request_id), context);
        Delivery::Private(frame.into_iter().collect())
    }
}
