//! From the wire to the domain: requests and frames to commands, responses and frames to answers
//! and events.

use crate::faults::Problem;
use crate::form::{self, BODY_LIMIT, JSON_LIMIT};
use crate::lower::{self, WEBSOCKET_PROTOCOL};
use crate::routes::{self, Body, Operation, Route};
use crate::wire::{self, Object, RoomKind};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, Method, Response, Uri};
use std::ops::RangeInclusive;
use std::sync::Arc;
use tolmach_dialect::json::JsonError;
use tolmach_domain::{
    Answer, Command, Content, Event, EventKind, Flow, FlowId, FlowKind, FlowKindFilter,
    FlowSummary, Grant, GrantKind, HistoryRange, Message, MessagePage, NewFlow, Photo, PhotoOf,
    Profile, Registration, Secret, Timestamp, Tokens, User, UserId, UserRef, UserSummary, Version,
};

/// The longest login, username and telephone number, in characters.
const LOGIN_LIMIT: usize = 64;
/// The longest name, in characters.
const NAME_LIMIT: usize = 255;
/// The longest description, in characters.
const TEXT_LIMIT: usize = 4096;
/// The longest e-mail address, in characters.
const EMAIL_LIMIT: usize = 254;
/// The most users that one request names.
const USERS_LIMIT: usize = 1000;
/// The longest key of a retry, in characters.
pub(crate) const KEY_LIMIT: usize = 255;
/// What carries it (draft-ietf-httpapi-idempotency-key-header).
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The most messages of a room's history.
pub(crate) const HISTORY_LIMIT: u32 = 1000;
/// How many messages of a room's history are sent without a `limit`.
pub(crate) const HISTORY_DEFAULT: u32 = 100;

/// What a request is about, as its head says: all that can be told before its body is read.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) route: &'static Route,
    id: Option<i64>,
    pub(crate) limit: Option<u32>,
    pub(crate) offset: u32,
    /// The access token; there is one wherever the route is secured.
    pub(crate) token: Option<Secret>,
    key: Option<String>,
}

impl Target {
    /// Reads the head of a request. What is wrong is told in this order: path, verb, token, id,
    /// query, key.
    pub(crate) fn read(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        websocket: bool,
    ) -> Result<Self, Problem> {
        let found = routes::find(method, uri.path(), websocket)?;
        let token = if found.route.secured { Some(token(headers, websocket)?) } else { None };
        let id = match found.id {
            Some(text) => {
                Some(text.parse::<FlowId>().map_err(|error| Problem::bad(error.to_string()))?.get())
            }
            None => None,
        };
        let mut target = Self { route: found.route, id, limit: None, offset: 0, token, key: None };
        if target.route.paged {
            let query = uri.query().unwrap_or_default();
            target.limit = number(query, "limit")?;
            target.offset = number(query, "offset")?.unwrap_or(0);
            if websocket && target.limit.is_some_and(|limit| limit > HISTORY_LIMIT) {
                return Err(Problem::bad(format!("limit: at most {HISTORY_LIMIT} messages")));
            }
        }
        if target.route.takes_key() {
            target.key = key(headers)?;
        }
        Ok(target)
    }

    /// The flow that the path names.
    pub(crate) fn flow(&self) -> Result<FlowId, Problem> {
        self.id.and_then(|id| FlowId::new(id).ok()).ok_or_else(no_id)
    }

    /// The user that the path names.
    pub(crate) fn user(&self) -> Result<UserId, Problem> {
        self.id.and_then(|id| UserId::new(id).ok()).ok_or_else(no_id)
    }
}

fn no_id() -> Problem {
    Problem::bad("the path names no id")
}

/// The one value of a query parameter: decimal digits only, at most `u32::MAX`.
fn number(query: &str, name: &str) -> Result<Option<u32>, Problem> {
    let mut values = query
        .split('&')
        .filter_map(|pair| pair.split_once('=').unwrap_or((pair, "")).into())
        .filter(|(key, _)| *key == name);
    let Some((_, value)) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::bad(format!("{name}: given twice")));
    }
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    number
        .map(Some)
        .ok_or_else(|| Problem::bad(format!("{name}: an integer from 0 to {}", u32::MAX)))
}

/// What a retry is known by: a string of structured fields (RFC 8941 section 3.3.3), or the same
/// without its quotes.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let key =
        value.to_str().ok().and_then(unquoted).filter(|key| given.next().is_none() && is_key(key));
    key.map(Some).ok_or_else(|| {
        Problem::bad(format!(
            "Idempotency-Key: one key of 1 to {KEY_LIMIT} visible ASCII characters is expected"
        ))
    })
}

/// What a quoted string says; a bare one has no characters that would need quotes.
fn unquoted(text: &str) -> Option<String> {
    let Some(quoted) = text.strip_prefix('"') else {
        return (!text.contains(['"', '\\', ',', ';'])).then(|| text.to_owned());
    };
    let mut said = String::with_capacity(quoted.len());
    let mut characters = quoted.strip_suffix('"')?.chars();
    while let Some(character) = characters.next() {
        said.push(match character {
            '\\' => characters.next().filter(|escaped| ['"', '\\'].contains(escaped))?,
            '"' => return None,
            other => other,
        });
    }
    Some(said)
}

/// Whether this is a key that a request can carry.
pub(crate) fn is_key(key: &str) -> bool {
    (1..=KEY_LIMIT).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The access token of a request. A browser cannot set `Authorization` on a WebSocket and names it
/// as a subprotocol.
fn token(headers: &HeaderMap, websocket: bool) -> Result<Secret, Problem> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let text = match (given.next(), given.next()) {
        (Some(value), None) => {
            let (scheme, token) = value
                .to_str()
                .ok()
                .and_then(|text| text.split_once(' '))
                .ok_or_else(Problem::unauthenticated)?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
        }
        (None, _) if websocket => {
            let mut offers =
                subprotocols(headers).skip_while(|offer| *offer != WEBSOCKET_PROTOCOL).skip(1);
            offers.by_ref().last()
        }
        _ => None,
    };
    let text = text.filter(|text| is_token(text)).ok_or_else(Problem::unauthenticated)?;
    Ok(Secret::new(text))
}

/// The subprotocols that a handshake offers.
pub(crate) fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
}

/// `b64token`, RFC 6750 section 2.1.
pub(crate) fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// The command of a request that is not for a WebSocket.
pub(crate) fn command(
    target: &Target,
    headers: &HeaderMap,
    body: &Bytes,
    depth: usize,
) -> Result<Command, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let (json, photo) = match target.route.body {
        Body::Nothing => (Bytes::new(), None),
        Body::Json(_) => (json_body(content_type, body)?, None),
        Body::Form(_) if body.len() > BODY_LIMIT => {
            return Err(Problem::too_large("the body", BODY_LIMIT));
        }
        Body::Form(_) => {
            let form = form::read(content_type, body)?;
            (form.json, form.photo)
        }
    };
    Ok(match target.route.operation {
        Operation::Register => register(wire::read(&json, depth)?)?,
        Operation::Login => login(wire::read(&json, depth)?)?,
        Operation::Refresh => {
            let body: wire::Refresh<'_> = wire::read(&json, depth)?;
            check("refresh_token", &body.refresh_token, 1..=usize::MAX, |_| true)?;
            Command::Refresh { token: Secret::new(body.refresh_token) }
        }
        Operation::Logout => Command::Logout { login: None },
        Operation::CreateUser => create_profile(wire::read(&json, depth)?, photo)?,
        Operation::GetMe => Command::GetUser { who: UserRef::Me },
        Operation::GetUser => Command::GetUser { who: UserRef::Id(target.user()?) },
        Operation::GetUserPhoto => Command::GetPhoto { of: PhotoOf::User(target.user()?) },
        Operation::OpenChat => Command::OpenChat { with: UserRef::Id(target.user()?) },
        Operation::GetChat => {
            Command::GetFlow { flow: target.flow()?, kinds: FlowKindFilter::Chat, members: true }
        }
        Operation::CreateGroup => {
            create_group(wire::read(&json, depth)?, photo, target.key.clone())?
        }
        Operation::DeleteGroup => {
            Command::DeleteFlow { flow: target.flow()?, kinds: FlowKindFilter::Shared }
        }
        Operation::GetGroup => {
            Command::GetFlow { flow: target.flow()?, kinds: FlowKindFilter::Shared, members: false }
        }
        Operation::GetGroupUsers => {
            Command::GetFlow { flow: target.flow()?, kinds: FlowKindFilter::Shared, members: true }
        }
        Operation::GetGroupPhoto => Command::GetPhoto { of: PhotoOf::Flow(target.flow()?) },
        Operation::AddUsers => {
            Command::AddMembers { flow: target.flow()?, users: named(wire::read(&json, depth)?)? }
        }
        Operation::RemoveUsers => Command::RemoveMembers {
            flow: target.flow()?,
            users: named(wire::read(&json, depth)?)?,
        },
        Operation::ListChats => {
            Command::ListFlows { limit: target.limit, offset: target.offset, members: false }
        }
        // The router gives these to a WebSocket only.
        Operation::ChatRoom | Operation::GroupRoom | Operation::Main => {
            return Err(routes::Miss::UpgradeRequired.into());
        }
    })
}

fn json_body(content_type: Option<&str>, body: &Bytes) -> Result<Bytes, Problem> {
    if !form::essence(content_type.unwrap_or_default()).eq_ignore_ascii_case("application/json") {
        return Err(Problem::media_type("application/json"));
    }
    if body.len() > JSON_LIMIT {
        return Err(Problem::too_large("the body", JSON_LIMIT));
    }
    Ok(body.clone())
}

/// Characters of a text that stands in one line.
fn in_line(character: char) -> bool {
    !character.is_control()
}

/// Characters of a text of several lines: all but NUL, which not every store can hold.
pub(crate) fn in_text(character: char) -> bool {
    character != '\0'
}

fn check(
    name: &str,
    text: &str,
    length: RangeInclusive<usize>,
    allowed: impl Fn(char) -> bool,
) -> Result<(), Problem> {
    let count = text.chars().count();
    if count < *length.start() {
        return Err(Problem::bad(format!("{name}: empty")));
    }
    if count > *length.end() {
        return Err(Problem::bad(format!("{name}: longer than {} characters", length.end())));
    }
    if !text.chars().all(allowed) {
        return Err(Problem::bad(format!("{name}: holds a control character")));
    }
    Ok(())
}

/// A name: one line that is not blank.
fn name(name: &str, text: &str, limit: usize) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err(Problem::bad(format!("{name}: empty")));
    }
    check(name, text, 1..=limit, in_line)
}

fn register(body: wire::Register<'_>) -> Result<Command, Problem> {
    // The address stands in for a login that is left out.
    check(
        "email",
        &body.email,
        1..=if body.username.is_some() { EMAIL_LIMIT } else { LOGIN_LIMIT },
        |_| true,
    )?;
    if !plausible_email(&body.email) {
        return Err(Problem::bad("email: not an address"));
    }
    check("password", &body.password, 1..=1024, |_| true)?;
    if let Some(username) = &body.username {
        name("username", username, LOGIN_LIMIT)?;
    }
    if let Some(number) = &body.number {
        check("number", number, 0..=LOGIN_LIMIT, in_line)?;
    }
    Ok(Command::Register(Box::new(Registration {
        login: body.username.map(String::from),
        password: Secret::new(body.password),
        username: None,
        email: Some(body.email.into()),
        phone: body.number.map(String::from),
        bot: false,
        bio: None,
        avatar: None,
        profile: false,
        grant: GrantKind::Pair,
    })))
}

/// One `@` with something on each side, and nothing that cannot be seen. Errs towards yes.
fn plausible_email(text: &str) -> bool {
    let visible = |part: &str| {
        !part.is_empty()
            && !part.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control())
    };
    text.split_once('@').is_some_and(|(name, host)| visible(name) && visible(host))
}

fn login(body: wire::Login<'_>) -> Result<Command, Problem> {
    let (name, identifier) = match (body.email, body.username) {
        (Some(email), None) => ("email", email),
        (None, Some(username)) => ("username", username),
        _ => return Err(Problem::bad("exactly one of email and username is expected")),
    };
    check(name, &identifier, 1..=usize::MAX, |_| true)?;
    check("password", &body.password, 1..=usize::MAX, |_| true)?;
    Ok(Command::Login {
        identifier: identifier.into(),
        password: Secret::new(body.password),
        grant: GrantKind::Pair,
    })
}

fn create_profile(body: wire::NewUser<'_>, photo: Option<Photo>) -> Result<Command, Problem> {
    let bio = body.description.unwrap_or_default();
    name("username", &body.username, LOGIN_LIMIT)?;
    name("name", &body.name, NAME_LIMIT)?;
    check("description", &bio, 0..=TEXT_LIMIT, in_text)?;
    Ok(Command::CreateProfile(Box::new(Profile {
        username: body.username.into(),
        name: body.name.into(),
        bio: bio.into(),
        photo,
    })))
}

fn create_group(
    body: wire::NewGroup<'_>,
    photo: Option<Photo>,
    key: Option<String>,
) -> Result<Command, Problem> {
    let info = body.description.unwrap_or_default();
    name("name", &body.name, NAME_LIMIT)?;
    check("description", &info, 0..=TEXT_LIMIT, in_text)?;
    let members = users(body.users, 0)?;
    let flow = NewFlow {
        kind: FlowKind::Group,
        title: body.name.into(),
        info: info.into(),
        members,
        photo,
        key,
    };
    Ok(Command::CreateFlow(Box::new(flow)))
}

/// The users that a request names: at least this many, and not too many.
fn users(named: Vec<Object<wire::Named<'_>>>, least: usize) -> Result<Vec<UserId>, Problem> {
    if !(least..=USERS_LIMIT).contains(&named.len()) {
        return Err(Problem::bad(format!("users: {least} to {USERS_LIMIT} are expected")));
    }
    Ok(named.into_iter().map(|user| user.0.id).collect())
}

fn named(body: wire::NamedUsers<'_>) -> Result<Vec<UserId>, Problem> {
    users(body.users, 1)
}

/// What a client says in a room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Utterance {
    Message(String),
    Typing(bool),
}

/// Why what a client says in a room is not understood.
#[derive(Debug)]
pub(crate) enum Misunderstood {
    /// Not a text frame.
    FrameKind,
    TooLarge,
    Json(JsonError),
    /// A message without words.
    Text,
    /// No type, or one that is no string.
    Type,
    UnknownType,
}

/// Reads a frame of a client in a room.
pub(crate) fn utterance(frame: &[u8], depth: usize) -> Result<Utterance, Misunderstood> {
    let heard: wire::Utterance = wire::read(frame, depth).map_err(Misunderstood::Json)?;
    match heard.kind {
        serde_json::Value::String(kind) => match kind.as_str() {
            "message" => match heard.text {
                serde_json::Value::String(text) if !text.is_empty() => Ok(Utterance::Message(text)),
                _ => Err(Misunderstood::Text),
            },
            "typing" => Ok(Utterance::Typing(true)),
            "stop_typing" => Ok(Utterance::Typing(false)),
            _ => Err(Misunderstood::UnknownType),
        },
        _ => Err(Misunderstood::Type),
    }
}

/// A response of another shape than its request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl From<JsonError> for Unreadable {
    fn from(_: JsonError) -> Self {
        Unreadable
    }
}

/// What a server granted. The command tells what the wire leaves unsaid.
pub(crate) fn answer(
    operation: Operation,
    command: &Command,
    response: &Response<Bytes>,
    depth: usize,
) -> Result<Answer, Unreadable> {
    let body = response.body();
    Ok(match (operation, command) {
        (Operation::Register | Operation::Login | Operation::Refresh, command) => {
            let pair: wire::TokenPair<'_> = wire::read(body, depth)?;
            Answer::Granted(Box::new(Grant { user: None, tokens: tokens(command, pair) }))
        }
        (Operation::Logout, _) => {
            wire::read::<wire::LoggedOut<'_>>(body, depth)?;
            Answer::LoggedOut
        }
        (Operation::CreateUser, _) => {
            status(body, depth)?;
            Answer::ProfileCreated
        }
        (Operation::GetMe | Operation::GetUser, _) => {
            Answer::User(Box::new(user(wire::read(body, depth)?)))
        }
        (Operation::GetUserPhoto | Operation::GetGroupPhoto, _) => {
            let media_type = response
                .headers()
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .ok_or(Unreadable)?;
            Answer::Photo(Photo { media_type: media_type.to_owned(), content: body.clone() })
        }
        (Operation::OpenChat, _) => {
            let opened: wire::ChatOpened<'_> = wire::read(body, depth)?;
            Answer::ChatOpened { flow: opened.chat.0.id, with: None, created: false }
        }
        (Operation::GetChat, _) => Answer::Flow(Box::new(chat(wire::read(body, depth)?))),
        (Operation::CreateGroup, _) => {
            let created: wire::GroupCreated<'_> = wire::read(body, depth)?;
            Answer::FlowCreated { flow: created.group.0.id, title: created.group.0.name.into() }
        }
        (Operation::DeleteGroup, Command::DeleteFlow { flow, .. }) => {
            status(body, depth)?;
            Answer::FlowDeleted { flow: *flow }
        }
        (Operation::GetGroup, _) => {
            let info: wire::GroupInfo<'_> = wire::read(body, depth)?;
            let mut flow = flow(info.id, FlowKind::Group, info.name.into());
            flow.info = info.description.into();
            Answer::Flow(Box::new(overview(flow, Vec::new(), None)))
        }
        (Operation::GetGroupUsers, Command::GetFlow { flow: id, .. }) => {
            let users: wire::GroupUsers<'_> = wire::read(body, depth)?;
            let flow = flow(*id, FlowKind::Group, String::new());
            Answer::Flow(Box::new(overview(
                flow,
                users.users.into_iter().map(member).collect(),
                None,
            )))
        }
        (Operation::AddUsers, Command::AddMembers { flow, users }) => {
            status(body, depth)?;
            Answer::MembersAdded { flow: *flow, users: users.clone() }
        }
        (Operation::RemoveUsers, Command::RemoveMembers { flow, users }) => {
            status(body, depth)?;
            Answer::MembersRemoved { flow: *flow, users: users.clone() }
        }
        (Operation::ListChats, _) => {
            let chats: wire::Chats<'_> = wire::read(body, depth)?;
            Answer::Flows(chats.rooms.into_iter().map(room).collect::<Result<_, _>>()?)
        }
        (
            Operation::DeleteGroup
            | Operation::GetGroupUsers
            | Operation::AddUsers
            | Operation::RemoveUsers
            | Operation::ChatRoom
            | Operation::GroupRoom
            | Operation::Main,
            _,
        ) => return Err(Unreadable),
    })
}

/// Who asked for one opaque token is given the access token: it is one to whoever does not look
/// inside.
fn tokens(command: &Command, pair: wire::TokenPair<'_>) -> Tokens {
    let one = match command {
        Command::Register(registration) => registration.grant == GrantKind::Token,
        Command::Login { grant, .. } => *grant == GrantKind::Token,
        _ => false,
    };
    let access = Secret::new(pair.access_token);
    if one {
        Tokens::Token(access)
    } else {
        Tokens::Pair { access, refresh: Secret::new(pair.refresh_token) }
    }
}

fn status(body: &[u8], depth: usize) -> Result<(), Unreadable> {
    wire::read::<wire::Status<'_>>(body, depth)?;
    Ok(())
}

fn user(wire: wire::User<'_>) -> User {
    User {
        username: wire.username.clone().into(),
        login: wire.username.into(),
        bio: wire.description.into(),
        ..someone(wire.id, wire.name.into())
    }
}

/// A user of whom a wire says the id and the name only.
fn someone(id: UserId, name: String) -> User {
    User {
        id,
        login: name.clone(),
        username: name.clone(),
        name,
        email: None,
        phone: None,
        bio: String::new(),
        avatar: None,
        photo: None,
        bot: false,
        admin: false,
        business: false,
        profile: true,
        created_at: Timestamp::default(),
        changed_at: Timestamp::default(),
        deleted_at: None,
    }
}

fn member(author: Object<wire::Author<'_>>) -> User {
    someone(author.0.id, author.0.name.into())
}

fn person(author: wire::Author<'_>) -> UserSummary {
    let name: Arc<str> = author.name.into();
    UserSummary { id: author.id, login: name.clone(), username: name.clone(), name }
}

fn chat(info: wire::ChatInfo<'_>) -> FlowSummary {
    overview(
        flow(info.id, FlowKind::Chat, String::new()),
        info.users.into_iter().map(member).collect(),
        None,
    )
}

fn room(room: Object<wire::Room<'_>>) -> Result<FlowSummary, Unreadable> {
    let room = room.0;
    let kind = match room.kind {
        RoomKind::Private => FlowKind::Chat,
        RoomKind::Group => FlowKind::Group,
    };
    let last = room.last_message.map(|last| message(last.0, kind)).transpose()?;
    Ok(overview(flow(room.id, kind, room.name.into()), Vec::new(), last))
}

fn flow(id: FlowId, kind: FlowKind, title: String) -> Flow {
    Flow {
        id,
        kind,
        title,
        info: String::new(),
        owner: None,
        photo: None,
        version: Version::default(),
        created_at: Timestamp::default(),
        changed_at: Timestamp::default(),
    }
}

fn overview(flow: Flow, members: Vec<User>, last: Option<Message>) -> FlowSummary {
    FlowSummary { flow, members, last, first: None, read: Version::default() }
}

fn message(wire: wire::Message<'_>, flow_kind: FlowKind) -> Result<Message, Unreadable> {
    let posted_at = Timestamp::parse_rfc3339(&wire.time).ok_or(Unreadable)?;
    Ok(Message {
        id: wire.id,
        flow: wire.chat_id,
        flow_kind,
        author: person(wire.author.0),
        content: Content::text(wire.text),
        posted: Version::default(),
        version: Version::default(),
        posted_at,
        edited_at: None,
        deleted_at: None,
        changed_at: posted_at,
    })
}

/// What a server says in a WebSocket.
#[derive(Debug)]
pub(crate) enum Pushed {
    History(Box<MessagePage>),
    Event(Box<Event>),
    Error(String),
}

/// Reads a frame of a server. `flow` is the room; in `/main` there is none, and messages do not
/// tell the kind of theirs.
pub(crate) fn pushed(
    frame: &[u8],
    now: Timestamp,
    flow: Option<(FlowId, FlowKind)>,
    depth: usize,
) -> Result<Pushed, Unreadable> {
    let head: wire::Head = wire::read(frame, depth)?;
    let kind = flow.map_or(FlowKind::Group, |(_, kind)| kind);
    let event = |at, kind| Pushed::Event(Box::new(Event::new(at, kind)));
    Ok(match (head.kind.as_str(), flow) {
        ("message" | "last_message", _) => {
            let message = message(wire::read(frame, depth)?, kind)?;
            event(message.posted_at, EventKind::Posted(message))
        }
        (typing @ (lower::TYPING | lower::STOP_TYPING), Some((flow, _))) => {
            let heard: wire::Typing<'_> = wire::read(frame, depth)?;
            event(
                now,
                EventKind::Typing {
                    flow,
                    user: person(heard.author.0),
                    active: typing == lower::TYPING,
                },
            )
        }
        ("history", Some((flow, _))) => {
            let history: wire::History<'_> = wire::read(frame, depth)?;
            // The wire says newest first, the domain oldest first.
            let messages = history
                .messages
                .into_iter()
                .rev()
                .map(|heard| message(heard.0, kind))
                .collect::<Result<_, _>>()?;
            Pushed::History(Box::new(MessagePage { flow, messages, version: Version::default() }))
        }
        ("error", _) => Pushed::Error(wire::read::<wire::Mistaken<'_>>(frame, depth)?.error.into()),
        _ => return Err(Unreadable),
    })
}

/// The window of history that a room is entered with.
pub(crate) fn window(target: &Target) -> HistoryRange {
    HistoryRange::Newest { limit: target.limit.unwrap_or(HISTORY_DEFAULT), offset: target.offset }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_with_and_without_its_quotes() {
        let long = "k".repeat(KEY_LIMIT);
        let too_long = "k".repeat(KEY_LIMIT + 1);
        for (values, expected) in [
            (&[][..], Ok(None)),
            (
                &["8e03978e-40d5-43e8-bc93-6894a57f9324"],
                Ok(Some("8e03978e-40d5-43e8-bc93-6894a57f9324")),
            ),
            (
                &[r#""8e03978e-40d5-43e8-bc93-6894a57f9324""#],
                Ok(Some("8e03978e-40d5-43e8-bc93-6894a57f9324")),
            ),
            (&[r#""a\"b\\c,d;e""#], Ok(Some(r#"a"b\c,d;e"#))),
            (&[&*long], Ok(Some(&*long))),
            (&[&*too_long], Err(())),
            (&[""], Err(())),
            (&[r#""""#], Err(())),
            (&[r#"""#], Err(())),
            (&[r#""a"#], Err(())),
            (&[r#"a""#], Err(())),
            (&[r#""a"b""#], Err(())),
            (&[r#""a\b""#], Err(())),
            (&[r#""a\""#], Err(())),
            (&[r#""a";v=1"#], Err(())),
            (&["a b"], Err(())),
            (&["a,b"], Err(())),
            (&["a;b"], Err(())),
            (&["a\tb"], Err(())),
            (&["кey"], Err(())),
            (&["a", "a"], Err(())),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(
                    IDEMPOTENCY_KEY,
                    http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                );
            }
            assert_eq!(
                key(&headers).as_ref().map(Option::as_deref).map_err(|_| ()),
                expected,
                "{values:?}"
            );
        }
    }
}
