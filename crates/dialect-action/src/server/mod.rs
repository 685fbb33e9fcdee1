//! What one connection remembers, on either side.

use crate::faults::{self, Refusal};
use crate::handshake;
use crate::lift::{self, Expected, Nonsense};
use crate::lower::{self, Aside};
use crate::rooms::{Room, Rooms, Stay};
use crate::wire::{self, Method, Utterance};
use crate::{ID, SHARED};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use tolmach_dialect::json::JsonError;
use tolmach_dialect::{
    Ask, Close, Delivery, Echo, Frame, Interest, Line, Loss, Notice, Opening, Reply, Session,
    Violation, ViolationKind,
};
use tolmach_domain::{
    Answer, Authority, Command, ConnectionId, Credentials, EventKind, Fault, FlowId, Identity,
    MessageId, Secret, Timestamp, UserRef, Version,
};

/// How many asks of a client may wait for their replies.
const PENDING: usize = 1024;

/// How many granted changes may wait to be heard by whoever made them.
const OWED: usize = 1024;

/// The server's end of a connection.
pub(crate) struct Server {
    connection: ConnectionId,
    authority: Authority,
    depth: usize,
    /// From the handshake, until it is proven.
    token: Option<Secret>,
    identity: Option<Identity>,
    rooms: Arc<Rooms>,
    /// The room that was joined.
    stay: Option<Stay>,
    /// Up to which version of that room everything was over when it was joined.
    entered: Version,
    /// How many changes were asked for.
    changes: u64,
    /// Changes that were asked for and not heard of yet, the oldest first.
    owed: VecDeque<Owed>,
    /// What the next notice says to this connection alone.
    aside: Option<Aside>,
}

/// What a reply needs of its request.
enum Asked {
    /// The handshake asked.
    Opening,
    /// A frame asked.
    Frame {
        method: Method,
        request_id: Bytes,
        /// The room that it was asked in.
        room: Option<FlowId>,
        /// Which change it is, if it is one.
        change: Option<u64>,
    },
}

/// A change whose author hears of it as everybody does, and is told otherwise when that cannot be
/// any more.
struct Owed {
    change: u64,
    method: Method,
    request_id: Bytes,
    /// What was to be deleted.
    messages: Vec<MessageId>,
    /// Once it is granted.
    answer: Option<Answer>,
}

impl Owed {
    /// Whether a notice tells of this change.
    fn is_told_by(&self, notice: &Notice, connection: ConnectionId) -> bool {
        let version = match (self.method, &notice.kind) {
            (Method::CreateMessage, EventKind::Posted(message))
            | (Method::EditMessage, EventKind::Edited(message)) => {
                Some((message.id, message.version))
            }
            (Method::DeleteMessages, EventKind::Deleted { .. }) => None,
            _ => return false,
        };
        match &notice.origin {
            Some(origin) => {
                origin.connection == connection
                    && origin.dialect == ID
                    && origin.tag.as_ref() == Some(&self.request_id)
            }
            // An event that was lost on its way is told again without its origin.
            None => version.is_some() && version == self.version(),
        }
    }

    /// What the change came to.
    fn version(&self) -> Option<(MessageId, Version)> {
        match self.answer.as_ref()? {
            Answer::Sent { message: Some(message), .. } | Answer::Edited(message) => {
                Some((message.id, message.version))
            }
            _ => None,
        }
    }
}

impl Server {
    pub(crate) fn new(
        opening: &Opening<'_>,
        authority: Authority,
        token: Secret,
        rooms: Arc<Rooms>,
    ) -> Self {
        Self {
            connection: opening.connection,
            authority,
            depth: opening.settings.depth,
            token: Some(token),
            identity: None,
            rooms,
            stay: None,
            entered: Version::default(),
            changes: 0,
            owed: VecDeque::new(),
            aside: None,
        }
    }

    fn room(&self) -> Option<FlowId> {
        self.stay.as_ref().map(Stay::flow)
    }

    fn ask(&mut self, frame: &Frame) -> Result<Ask, Box<Violation>> {
        let unread = Bytes::from_static(b"null");
        let nameless = |kind, text: String| violation(kind, None, &unread, Refusal::new(400, text));
        let Frame::Text(text) = frame else {
            return Err(nameless(ViolationKind::FrameKind, "A text frame is expected".to_owned()));
        };
        let request: wire::Request<'_> =
            wire::read(text, self.depth).map_err(|error| match error {
                JsonError::Syntax(_) => {
                    nameless(ViolationKind::Syntax, "JSON is expected".to_owned())
                }
                JsonError::Shape(_) => nameless(
                    ViolationKind::Shape,
                    "A JSON object that names each field once is expected".to_owned(),
                ),
                JsonError::Depth(depth) => nameless(
                    ViolationKind::Shape,
                    format!("At most {depth} levels of nesting are expected"),
                ),
            })?;
        let action = lift::action(&request);
        let request_id = lift::request_id(&request)
            .map_err(|refusal| violation(ViolationKind::Shape, action.clone(), &unread, refusal))?;
        let Some(action) = action else {
            return Err(violation(
                ViolationKind::Shape,
                None,
                &request_id,
                Refusal::field("action", "a string is expected"),
            ));
        };
        // The document leaves it out for administrators.
        let served = |method: &Method| {
            *method != Method::CurrentRoomInfo || self.authority == Authority::Member
        };
        let Some(method) = Method::from_action(&action).filter(served) else {
            let refusal = Refusal::unknown(&action);
            return Err(violation(
                ViolationKind::UnknownMethod,
                Some(action),
                &request_id,
                refusal,
            ));
        };
        let room = self.room();
        let command = lift::command(method, self.authority, room, &request).map_err(|refusal| {
            violation(ViolationKind::Shape, Some(action), &request_id, *refusal)
        })?;
        let change = self.owe(method, &request_id, &command);
        let tag = change.is_some().then(|| request_id.clone());
        let echo = Echo::new(Asked::Frame { method, request_id, room, change });
        Ok(Ask { echo, proof: Credentials::Connection, authority: self.authority, tag, command })
    }

    /// Remembers a change that is asked for.
    fn owe(&mut self, method: Method, request_id: &Bytes, command: &Command) -> Option<u64> {
        let messages = match command {
            Command::Send(_) | Command::Edit { .. } => Vec::new(),
            Command::Delete { messages, .. } => messages.clone(),
            _ => return None,
        };
        if self.owed.len() == OWED {
            self.owed.pop_front();
        }
        self.changes += 1;
        self.owed.push_back(Owed {
            change: self.changes,
            method,
            request_id: request_id.clone(),
            messages,
            answer: None,
        });
        Some(self.changes)
    }

    fn reply(&mut self, reply: &Reply) -> Result<Vec<Frame>, Loss> {
        let (method, request_id, room, change) = match reply.echo.get::<Asked>() {
            None => return Err(Loss { dialect: ID, what: "a reply to nothing asked here" }),
            Some(Asked::Opening) => {
                if reply.outcome.is_err() {
                    return Ok(vec![Frame::response(handshake::forbidden())]);
                }
                self.identity = reply.identity.or(self.identity);
                return Ok(Vec::new());
            }
            Some(Asked::Frame { method, request_id, room, change }) => {
                (*method, request_id, *room, *change)
            }
        };
        let answer = match &reply.outcome {
            Ok(answer) => answer,
            Err(fault) => {
                let mut frames = Vec::new();
                if method == Method::LeaveRoom {
                    // Leaving needs nobody's leave: what follows must not be said in this room.
                    frames = self.settle();
                    self.stay = None;
                }
                self.owed.retain(|owed| Some(owed.change) != change);
                frames.push(lower::refusal(
                    Some(method.action().into()),
                    request_id,
                    faults::lower(method, self.authority, fault),
                ));
                return Ok(frames);
            }
        };
        Ok(match (method, answer) {
            (Method::List, Answer::Flows(flows)) => vec![lower::rooms(request_id, flows)],
            (Method::JoinRoom, Answer::Flow(overview)) => {
                let mut frames = self.settle();
                self.stay = Some(self.rooms.enter(overview.flow.id, Room::new(&overview.members)));
                self.entered = overview.flow.version;
                frames.push(lower::room(method, request_id, overview));
                frames
            }
            (Method::CurrentRoomInfo, Answer::Flow(overview)) => {
                if let Some(stay) =
                    self.stay.as_ref().filter(|stay| stay.flow() == overview.flow.id)
                {
                    stay.learn(Room::new(&overview.members));
                }
                vec![lower::room(method, request_id, overview)]
            }
            (Method::LeaveRoom, Answer::User(_)) => {
                let room = room.ok_or(Loss { dialect: ID, what: "leaving no room" })?;
                let mut frames = self.settle();
                self.stay = None;
                frames.push(lower::left_room(request_id, room));
                frames
            }
            (Method::CreateMessage, Answer::Sent { .. })
            | (Method::EditMessage, Answer::Edited(_))
            | (Method::DeleteMessages, Answer::Deleted { .. }) => {
                self.granted(change, answer);
                Vec::new()
            }
            _ => return Err(Loss { dialect: ID, what: method.action() }),
        })
    }

    /// A change was granted: its author hears of it as everybody in the room does.
    fn granted(&mut self, change: Option<u64>, answer: &Answer) {
        // A repetition changes nothing, so that nothing will be told of it. Drafts of this wire
        // have no key to repeat.
        if matches!(answer, Answer::Sent { repeated: true, .. }) {
            self.owed.retain(|owed| Some(owed.change) != change);
        } else if let Some(owed) = self.owed.iter_mut().find(|owed| Some(owed.change) == change) {
            owed.answer = Some(answer.clone());
        }
    }

    /// Tells what is still owed: its events will not be heard any more, or be old news.
    fn settle(&mut self) -> Vec<Frame> {
        let owed = std::mem::take(&mut self.owed);
        owed.iter().filter_map(|owed| self.tell(owed)).collect()
    }

    fn tell(&self, owed: &Owed) -> Option<Frame> {
        let flow = self.room()?;
        lower::answer(
            &owed.request_id,
            owed.answer.as_ref()?,
            &owed.messages,
            flow,
            self.rooms.get(flow).as_deref(),
        )
    }

    /// How what was changed in the room is told.
    fn change(&mut self, notice: &Notice) -> Delivery {
        // Its event was late. A change without a version is one that another wire told.
        if notice
            .versions()
            .is_some_and(|(_, last)| last > Version::default() && last <= self.entered)
        {
            return Delivery::Skip;
        }
        let Some(place) =
            self.owed.iter().position(|owed| owed.is_told_by(notice, self.connection))
        else {
            return Delivery::Shared(SHARED);
        };
        let Some(Owed { request_id, messages, .. }) = self.owed.remove(place) else {
            return Delivery::Shared(SHARED);
        };
        let left = match &notice.kind {
            EventKind::Deleted { messages: deleted, .. } => lower::left(&messages, deleted),
            _ => Vec::new(),
        };
        if notice.origin.is_some() && left.is_empty() {
            return Delivery::Shared(SHARED);
        }
        self.aside = Some(Aside { request_id, left });
        Delivery::Private
    }

    /// The room is no more, or no longer this user's.
    fn put_out(&mut self) {
        self.stay = None;
        self.owed.clear();
    }
}

impl Session for Server {
    fn greet(&mut self, _now: Timestamp, out: &mut Vec<Line>) {
        if let Some(token) = self.token.take() {
            let command = Command::GetUser { who: UserRef::Me };
            let ask = Ask::new(Echo::new(Asked::Opening), Credentials::Bearer(token), command);
            out.push(Line::Ask(Ask { authority: self.authority, ..ask }));
        }
    }

    fn identified(&mut self, identity: Identity) {
        self.identity = Some(identity);
    }

    fn decode(
        &mut self,
        _now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        out.push(Line::Ask(self.ask(frame).map_err(|violation| *violation)?));
        Ok(())
    }

    fn encode(&mut self, _now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        match line {
            Line::Reply(reply) => out.extend(self.reply(reply)?),
            Line::Notice(notice) => {
                let aside = self.aside.take();
                let room = notice.flow().and_then(|flow| self.rooms.get(flow));
                out.push(lower::notice(notice, room.as_deref(), aside.as_ref())?);
            }
            Line::Ask(_) => return Err(Loss { dialect: ID, what: "an ask to a client" }),
        }
        Ok(())
    }

    fn interest(&self) -> Interest {
        self.room().map_or(Interest::Nothing, Interest::Flow)
    }

    fn delivery(&mut self, notice: &Notice) -> Delivery {
        if let EventKind::SessionsEnded { user, session } = &notice.kind {
            let own = self.identity.is_some_and(|own| {
                own.user == *user && (session.is_none() || own.session == *session)
            });
            return if own {
                Delivery::Close(Close::new(1008, "the session has ended"))
            } else {
                Delivery::Skip
            };
        }
        let Some(stay) = self.stay.as_ref().filter(|stay| notice.flow() == Some(stay.flow()))
        else {
            return Delivery::Skip;
        };
        match &notice.kind {
            EventKind::Posted(_) | EventKind::Edited(_) | EventKind::Deleted { .. } => {
                return self.change(notice);
            }
            EventKind::MembersAdded { users, .. } => {
                stay.change(|room| users.iter().for_each(|user| room.add(user)))
            }
            EventKind::MembersRemoved { users, .. } => {
                stay.change(|room| users.iter().for_each(|user| room.remove(*user)));
                if self.identity.is_some_and(|own| users.contains(&own.user)) {
                    self.put_out();
                }
            }
            EventKind::FlowDeleted { .. } => self.put_out(),
            EventKind::FlowCreated { .. }
            | EventKind::Typing { .. }
            | EventKind::SessionsEnded { .. } => {}
        }
        Delivery::Skip
    }
}

fn violation(
    kind: ViolationKind,
    action: Option<Cow<'_, str>>,
    request_id: &Bytes,
    refusal: Refusal,
) -> Box<Violation> {
    Box::new(Violation::answered(kind, lower::refusal(action, request_id, refusal)))
}

/// The client's end of a connection.
///
/// The wire changes things in the joined room only, so the session joins the room of an ask first.
/// Before that it leaves the one that it is in: were it refused the next one, what follows would be
/// said in the former.
pub(crate) struct Client {
    authority: Authority,
    depth: usize,
    /// What request ids begin with, so that two clients in one room hardly ever use the same.
    prefix: u64,
    asked: u64,
    /// Requests that wait for their replies, the oldest first.
    pending: VecDeque<Pending>,
    /// The room that the server will have let this client into when it has answered everything.
    room: Option<FlowId>,
}

struct Pending {
    request_id: u64,
    method: Method,
    purpose: Purpose,
}

enum Purpose {
    /// What was asked for.
    Ask {
        echo: Echo,
        expected: Expected,
        room: Option<FlowId>,
        /// Whether it is what takes this client into the room.
        enters: bool,
    },
    /// The room is left for another.
    Leaving,
    /// The room is joined for the sake of the request with this id.
    Joining { for_the_sake_of: u64, room: FlowId },
    /// Its ask has been answered already: the room could not be joined.
    Spoilt,
}

impl Client {
    pub(crate) fn new(opening: &Opening<'_>, authority: Authority) -> Self {
        // All of it stays below 2^53: 21 bits of the connection, 32 that count.
        let prefix = (opening.connection.0 & 0x1f_ffff) << 32;
        Self {
            authority,
            depth: opening.settings.depth,
            prefix,
            asked: 0,
            pending: VecDeque::new(),
            room: None,
        }
    }

    fn ask(&mut self, ask: &Ask) -> Result<Vec<Frame>, Loss> {
        lower::check_authority(ask, self.authority)?;
        let lower::Request { method, expected, room, utterance } = lower::ask(ask)?;
        // Leaving, joining and the ask itself.
        if self.pending.len() + 3 > PENDING {
            return Err(Loss {
                dialect: ID,
                what: "one more ask before earlier ones are answered",
            });
        }
        let mut frames = Vec::new();
        let other = |method: Method| Utterance { action: method.action(), ..Utterance::default() };
        let here = room.is_none() || room == self.room;
        let asks = Purpose::Ask {
            echo: ask.echo.clone(),
            expected,
            room,
            enters: method == Method::JoinRoom && !here,
        };
        if !here && std::mem::replace(&mut self.room, room).is_some() {
            frames.push(self.say(Method::LeaveRoom, other(Method::LeaveRoom), Purpose::Leaving));
        }
        match (method, room) {
            (Method::JoinRoom, Some(_)) if here && self.authority == Authority::Member => {
                frames.push(self.say(
                    Method::CurrentRoomInfo,
                    other(Method::CurrentRoomInfo),
                    asks,
                ));
            }
            (Method::JoinRoom, _) => frames.push(self.say(method, utterance, asks)),
            (_, Some(room)) if !here => {
                let join = Utterance { room_pk: Some(room.get()), ..other(Method::JoinRoom) };
                let joining = Purpose::Joining { for_the_sake_of: self.id(self.asked + 2), room };
                frames.push(self.say(Method::JoinRoom, join, joining));
                frames.push(self.say(method, utterance, asks));
            }
            _ => frames.push(self.say(method, utterance, asks)),
        }
        Ok(frames)
    }

    /// The id of the request with this number.
    fn id(&self, number: u64) -> u64 {
        self.prefix | (number & 0xffff_ffff)
    }

    fn say(&mut self, method: Method, utterance: Utterance<'_>, purpose: Purpose) -> Frame {
        self.asked += 1;
        let request_id = self.id(self.asked);
        self.pending.push_back(Pending { request_id, method, purpose });
        lower::said(utterance, request_id)
    }

    /// What a frame with this id and action answers. A refusal may leave out the action.
    fn answered(&mut self, request_id: Option<&RawValue>, action: Option<&str>) -> Option<Pending> {
        let request_id: u64 = request_id?.get().parse().ok()?;
        let fits = |pending: &Pending| {
            pending.request_id == request_id
                && action.is_none_or(|action| pending.method.action() == action)
        };
        let place = self.pending.iter().position(fits)?;
        self.pending.remove(place)
    }

    fn hear(&mut self, now: Timestamp, heard: &wire::Heard<'_>) -> Result<Vec<Line>, Nonsense> {
        let method = heard.action.as_deref().and_then(Method::from_action);
        let pending = self.answered(heard.request_id, heard.action.as_deref());
        if !(200..=299).contains(&heard.response_status) {
            let text = heard.errors.first().map(String::as_str).unwrap_or_default();
            return Ok(self
                .refused(pending.ok_or(Nonsense)?, heard.response_status, text)
                .into_iter()
                .collect());
        }
        let method = method.ok_or(Nonsense)?;
        let data = heard.data.ok_or(Nonsense)?;
        let event = lift::event(method, now, data)?;
        let mut lines = Vec::new();
        match pending.map(|pending| pending.purpose) {
            Some(Purpose::Ask { echo, expected, .. }) => {
                let answer =
                    lift::answer(&expected, event.as_ref().map(|event| &event.kind), data)?;
                lines.push(Line::Reply(Reply { echo, identity: None, outcome: Ok(answer) }));
            }
            Some(Purpose::Leaving | Purpose::Joining { .. } | Purpose::Spoilt) => {}
            None if event.is_none() => return Err(Nonsense),
            None => {}
        }
        lines.extend(event.map(|event| Line::Notice(Arc::new(event))));
        Ok(lines)
    }

    /// A request was refused; the reply to the ask behind it, if it has none yet.
    fn refused(&mut self, pending: Pending, status: u16, text: &str) -> Option<Line> {
        let fault = faults::lift(pending.method, self.authority, status, text);
        let refused =
            |echo, fault| Some(Line::Reply(Reply { echo, identity: None, outcome: Err(fault) }));
        match pending.purpose {
            Purpose::Leaving | Purpose::Spoilt => None,
            Purpose::Joining { for_the_sake_of, room } => {
                self.room.take_if(|joined| *joined == room);
                let spoilt = self
                    .pending
                    .iter_mut()
                    .find(|pending| pending.request_id == for_the_sake_of)?;
                match std::mem::replace(&mut spoilt.purpose, Purpose::Spoilt) {
                    Purpose::Ask { echo, .. } => refused(echo, fault),
                    Purpose::Leaving | Purpose::Joining { .. } | Purpose::Spoilt => None,
                }
            }
            Purpose::Ask { echo, room, enters, .. } => {
                if enters || faults::says_outside(status, text) {
                    self.room.take_if(|joined| Some(*joined) == room);
                }
                refused(echo, fault)
            }
        }
    }
}

impl Session for Client {
    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Line>,
    ) -> Result<(), Violation> {
        let unanswered = |kind| Violation { kind, answer: None, close: None };
        let text = match frame {
            Frame::Text(text) => text,
            // The handshake was refused, and with it whatever was to be asked.
            Frame::Response(_) => {
                let asked = self.pending.drain(..).filter_map(|pending| match pending.purpose {
                    Purpose::Ask { echo, .. } => Some(echo),
                    Purpose::Leaving | Purpose::Joining { .. } | Purpose::Spoilt => None,
                });
                out.extend(asked.map(|echo| {
                    Line::Reply(Reply {
                        echo,
                        identity: None,
                        outcome: Err(Fault::Unauthenticated),
                    })
                }));
                return Ok(());
            }
            Frame::Binary(_) | Frame::Value(_) | Frame::Request(_) => {
                return Err(unanswered(ViolationKind::FrameKind));
            }
        };
        let heard: wire::Heard<'_> = wire::read(text, self.depth).map_err(|error| match error {
            JsonError::Syntax(_) => unanswered(ViolationKind::Syntax),
            JsonError::Shape(_) | JsonError::Depth(_) => unanswered(ViolationKind::Shape),
        })?;
        out.extend(self.hear(now, &heard).map_err(|Nonsense| unanswered(ViolationKind::Shape))?);
        Ok(())
    }

    fn encode(&mut self, _now: Timestamp, line: &Line, out: &mut Vec<Frame>) -> Result<(), Loss> {
        match line {
            Line::Ask(ask) => out.extend(self.ask(ask)?),
            Line::Reply(_) => return Err(Loss { dialect: ID, what: "a reply to a server" }),
            Line::Notice(_) => return Err(Loss { dialect: ID, what: "a notice to a server" }),
        }
        Ok(())
    }
}
