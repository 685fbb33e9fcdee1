//! From the domain to the wire: how a command is asked, how it is answered, how a notice is pushed.

use crate::faults::{self, Refusal};
use crate::lift::Expected;
use crate::wire::{self, Errors, Form, Items, Method, Served};
use crate::{ID, session::Asked};
use std::borrow::Cow;
use tolmach_dialect::{Ask, Loss, Notice, Reply};
use tolmach_domain::{
    Answer, Attachment, AttachmentKind, Authority, Command, Content, Credentials, Event, EventKind,
    Flow, FlowId, FlowSummary, Grant, GrantKind, Identity, Message, MessageId, NewMessage,
    Registration, Secret, Timestamp, Tokens, User, UserId, UserRef, Version,
};

/// Who asks, and the token that proves it.
pub(crate) type Signature = (UserId, Secret);

/// How a command is asked.
pub(crate) struct Request<'a> {
    /// Which method says it.
    pub(crate) method: Method,
    data: wire::RequestData<'a>,
    /// Of a draft that names no key, the key is chosen by whoever says it.
    wants_key: bool,
    signed: bool,
}

impl<'a> Request<'a> {
    fn new(method: Method, signed: bool, data: wire::RequestData<'a>) -> Self {
        Self { method, data, wants_key: false, signed }
    }

    /// Whether the request must say who asks.
    pub(crate) fn is_signed(&self) -> bool {
        self.signed
    }

    /// The frame.
    pub(crate) fn frame(
        mut self,
        now: Timestamp,
        signature: Option<&Signature>,
        key: i64,
    ) -> wire::Request<'a> {
        if let Some((user, token)) = signature.filter(|_| self.signed) {
            self.data.user.id = Some(user.get());
            self.data.user.auth_id = Some(Cow::Owned(token.expose().to_owned()));
        }
        if let Some(message) = &mut self.data.message {
            message.time = now.seconds();
            if self.wants_key {
                message.id = key;
            }
        }
        wire::Request {
            kind: self.method.said(),
            data: self.data,
            jsonapi: Served::default(),
            meta: (),
        }
    }
}

/// How an ask is said, if it can be.
pub(crate) fn ask(ask: &Ask) -> Result<Request<'_>, Loss> {
    let loss = Loss { dialect: ID, what: ask.command.name() };
    if ask.authority == Authority::Administrator {
        return Err(loss);
    }
    let request = match &ask.command {
        Command::Register(registration) => {
            let user = register(registration).ok_or(loss.clone())?;
            Request::new(
                Method::RegisterUser,
                false,
                wire::RequestData { user, ..Default::default() },
            )
        }
        Command::Login { grant: GrantKind::Pair, .. } => return Err(loss),
        Command::Login { identifier, password, grant: _ } => {
            let user = credentials(identifier, password);
            Request::new(
                Method::Authentication,
                false,
                wire::RequestData { user, ..Default::default() },
            )
        }
        Command::DeleteAccount { login, password } => {
            let user = credentials(login, password);
            Request::new(
                Method::DeleteUser,
                false,
                wire::RequestData { user, ..Default::default() },
            )
        }
        Command::GetUser { who: UserRef::Me } => {
            Request::new(Method::UserInfo, true, wire::RequestData::default())
        }
        Command::GetUser { who: UserRef::Id(_) | UserRef::Login(_) } => return Err(loss),
        Command::ListFlows { .. } => {
            Request::new(Method::AllFlow, true, wire::RequestData::default())
        }
        Command::GetChanges { since, flow, limit: _ } => {
            let data = wire::RequestData {
                time: Some(since.seconds()),
                flow: flow.map(flow_id),
                ..Default::default()
            };
            Request::new(Method::GetUpdate, true, data)
        }
        Command::Send(draft) => Request {
            wants_key: draft.key.is_none(),
            ..Request::new(Method::SendMessage, true, send(draft).ok_or(loss.clone())?)
        },
        // The reply says nothing: where the message is must be known from the request.
        Command::Edit { flow: None, .. } => return Err(loss),
        Command::Edit { message, flow, text } => {
            let message = wire::Draft { id: message.get(), text: Some(text), ..Default::default() };
            let data = wire::RequestData {
                flow: flow.map(flow_id),
                message: Some(message),
                ..Default::default()
            };
            Request::new(Method::EditedMessage, true, data)
        }
        Command::Delete { messages, flow } => {
            let [message] = messages[..] else { return Err(loss) };
            let message = wire::Draft { id: message.get(), ..Default::default() };
            let data = wire::RequestData {
                flow: flow.map(flow_id),
                message: Some(message),
                ..Default::default()
            };
            Request::new(Method::DeleteMessage, true, data)
        }
        Command::Refresh { .. }
        | Command::Logout { .. }
        | Command::Recover { .. }
        | Command::ResetPassword { .. }
        | Command::CreateProfile(_)
        | Command::SearchUsers { .. }
        | Command::GetPhoto { .. }
        | Command::OpenChat { .. }
        | Command::CreateFlow(_)
        | Command::DeleteFlow { .. }
        | Command::GetFlow { .. }
        | Command::AddMembers { .. }
        | Command::RemoveMembers { .. }
        | Command::History { .. }
        | Command::ShowTyping { .. } => return Err(loss),
    };
    // A token is only one together with its owner.
    let provable = matches!(ask.proof, Credentials::TokenOf(..) | Credentials::Connection);
    if request.signed && !provable { Err(loss) } else { Ok(request) }
}

/// What the reply to an ask that [`ask`] can say will give; `asker` signs it.
pub(crate) fn expected(command: &Command, asker: Option<UserId>) -> Option<Expected> {
    Some(match command {
        Command::Register(registration) => Expected::Grant(registration.grant),
        Command::Login { grant, .. } => Expected::Grant(*grant),
        Command::DeleteAccount { .. } => Expected::AccountDeleted,
        Command::GetUser { .. } => Expected::User,
        Command::ListFlows { limit, offset, members: _ } => {
            Expected::Flows { limit: *limit, offset: *offset }
        }
        Command::GetChanges { .. } => Expected::Changes,
        Command::Send(_) => Expected::Sent,
        Command::Edit { message, flow: Some(flow), text } => {
            Expected::Edited { author: asker?, message: *message, flow: *flow, text: text.clone() }
        }
        Command::Delete { messages, .. } => Expected::Deleted { message: *messages.first()? },
        _ => return None,
    })
}

fn register(registration: &Registration) -> Option<wire::RequestUser<'_>> {
    if registration.grant == GrantKind::Pair {
        return None;
    }
    let login = registration.login.as_ref().or(registration.email.as_ref())?;
    Some(wire::RequestUser {
        username: registration.username.as_deref(),
        is_bot: registration.bot.then_some(true),
        email: registration.email.as_deref(),
        avatar: registration.avatar.as_deref(),
        bio: registration.bio.as_deref(),
        ..credentials(login, &registration.password)
    })
}

fn credentials<'a>(login: &'a str, password: &'a Secret) -> wire::RequestUser<'a> {
    wire::RequestUser {
        login: Some(login),
        password: Some(password.expose()),
        ..Default::default()
    }
}

/// `None` where two attached files are of one kind: there is one place for each.
fn send(draft: &NewMessage) -> Option<wire::RequestData<'_>> {
    let files = &draft.content.attachments;
    if files
        .iter()
        .enumerate()
        .any(|(place, file)| files[..place].iter().any(|other| other.kind == file.kind))
    {
        return None;
    }
    let message = wire::Draft {
        id: draft.key.as_deref().map_or(0, key),
        text: Some(&draft.content.text),
        time: 0.0,
        file: file(files),
        emoji: draft.content.emoji.as_deref().filter(|emoji| !emoji.is_empty()),
        reply_to: draft.content.reply_to.map(MessageId::get),
    };
    Some(wire::RequestData {
        flow: Some(flow_id(draft.flow)),
        message: Some(message),
        ..Default::default()
    })
}

/// A key as an integer: itself where it is one, else one that stands for it.
fn key(key: &str) -> i64 {
    let number = key.parse().ok().filter(|number: &i64| number.to_string() == key);
    number
        .filter(|number| number.unsigned_abs() < tolmach_domain::ID_LIMIT.unsigned_abs())
        .unwrap_or_else(|| wire::id_of_text(key))
}

fn flow_id(flow: FlowId) -> wire::FlowId {
    wire::FlowId { id: flow.get() }
}

/// How an ask is answered. `id` is this reply's own.
pub(crate) fn reply<'a>(
    now: Timestamp,
    id: i64,
    asked: &'a Asked,
    reply: &'a Reply,
) -> Result<wire::Reply<'a>, Loss> {
    let unsaid = Loss { dialect: ID, what: asked.kind };
    let answer = match &reply.outcome {
        Ok(answer) => answer,
        Err(fault) => return Ok(refusal(now, id, Cow::Borrowed(asked.kind), faults::lower(fault))),
    };
    let timed = wire::Data { time: Some(now.seconds()), ..Default::default() };
    let data = match (asked.method, answer) {
        (Method::RegisterUser | Method::Authentication, Answer::Granted(grant)) => {
            Some(wire::Data { user: Some(granted(grant, reply.identity).ok_or(unsaid)?), ..timed })
        }
        (Method::DeleteUser, Answer::AccountDeleted { user }) => {
            let login = asked.login.as_deref().map(Cow::Borrowed);
            Some(wire::Data {
                user: Some(wire::User { id: user.get(), login, ..Default::default() }),
                ..Default::default()
            })
        }
        (Method::UserInfo, Answer::User(user)) => {
            Some(wire::Data { user: Some(record(asked, user)), ..timed })
        }
        (Method::AllFlow, Answer::Flows(flows)) => {
            Some(wire::Data { flow: overviews(asked, flows), user: signature(asked), ..timed })
        }
        (Method::GetUpdate, Answer::Changes(changes)) => Some(wire::Data {
            time: Some(changes.until.seconds()),
            flow: overviews(asked, &changes.flows),
            message: messages(&changes.messages),
            user: changes.user.as_deref().map(|user| record(asked, user)),
            meta: (),
        }),
        (Method::AllMessages, Answer::Changes(changes)) => Some(wire::Data {
            time: Some(changes.until.seconds()),
            message: messages(&changes.messages),
            user: signature(asked),
            ..Default::default()
        }),
        (Method::SendMessage, Answer::Sent { .. }) => Some(timed),
        (Method::EditedMessage, Answer::Edited(_))
        | (Method::DeleteMessage, Answer::Deleted { .. }) => None,
        _ => return Err(unsaid),
    };
    Ok(granted_frame(now, id, asked.kind, data))
}

fn granted_frame<'a>(
    now: Timestamp,
    id: i64,
    kind: &'a str,
    data: Option<wire::Data<'a>>,
) -> wire::Reply<'a> {
    let errors = Errors {
        id,
        time: now.seconds(),
        status: "OK".into(),
        code: 200,
        detail: "successfully".into(),
    };
    wire::Reply { kind: Cow::Borrowed(kind), data, errors, jsonapi: Served::default(), meta: None }
}

/// A refusal: of a request, or of a frame that is none.
pub(crate) fn refusal(
    now: Timestamp,
    id: i64,
    kind: Cow<'_, str>,
    refusal: Refusal,
) -> wire::Reply<'_> {
    let (status, code) = (refusal.status().into(), refusal.code);
    let errors = Errors { id, time: now.seconds(), status, code, detail: refusal.detail };
    wire::Reply { kind, data: None, errors, jsonapi: Served::default(), meta: None }
}

/// How a notice is pushed.
pub(crate) fn push(notice: &Notice) -> Result<wire::Reply<'_>, Loss> {
    let (flow, version, messages) = match &notice.kind {
        EventKind::Posted(message) | EventKind::Edited(message) => {
            (message.flow, message.version, vec![row(message)])
        }
        EventKind::Deleted { flow, by, messages } => {
            let rows = messages
                .iter()
                .map(|(message, _)| deleted_row(notice.occurred_at, *flow, *by, *message))
                .collect();
            (*flow, messages.first().map_or(Version::default(), |(_, version)| *version), rows)
        }
        EventKind::FlowCreated { .. }
        | EventKind::FlowDeleted { .. }
        | EventKind::MembersAdded { .. }
        | EventKind::MembersRemoved { .. }
        | EventKind::Typing { .. }
        | EventKind::SessionsEnded { .. } => {
            return Err(Loss { dialect: ID, what: Event::name(notice) });
        }
    };
    let data = wire::Data {
        time: Some(notice.occurred_at.seconds()),
        message: Items(messages),
        ..Default::default()
    };
    let id = wire::id_of_pair(flow.get().unsigned_abs(), version.0.unsigned_abs());
    let frame = granted_frame(notice.occurred_at, id, Method::GetUpdate.name(), Some(data));
    Ok(wire::Reply { meta: Some(Cow::Borrowed(wire::PUSH)), ..frame })
}

/// Who is logged in now, and the token; `None` where either is not known.
fn granted<'a>(grant: &'a Grant, identity: Option<Identity>) -> Option<wire::User<'a>> {
    let Tokens::Token(token) = &grant.tokens else { return None };
    let id = grant.user.as_ref().map(|user| user.id).or(identity.map(|identity| identity.user))?;
    Some(wire::User { id: id.get(), auth_id: Some(token.expose().into()), ..Default::default() })
}

/// What the request was signed with.
fn signature(asked: &Asked) -> Option<wire::User<'_>> {
    let (user, token) = asked.signature.as_ref()?;
    Some(wire::User { id: user.get(), auth_id: Some(token.expose().into()), ..Default::default() })
}

/// The caller's record, with the token that the request was signed with.
fn record<'a>(asked: &'a Asked, user: &'a User) -> wire::User<'a> {
    wire::User {
        id: user.id.get(),
        login: Some(Cow::Borrowed(&user.login)),
        username: Some(Cow::Borrowed(&user.username)),
        is_bot: Some(user.bot),
        auth_id: asked.signature.as_ref().map(|(_, token)| token.expose().into()),
        email: user.email.as_deref().map(Cow::Borrowed),
        avatar: user.avatar.as_deref().map(Cow::Borrowed),
        bio: Some(Cow::Borrowed(&user.bio)),
    }
}

fn overviews<'a>(asked: &Asked, overviews: &'a [FlowSummary]) -> Items<wire::Flow<'a>> {
    let viewer = asked.signature.as_ref().map(|(user, _)| *user);
    Items(overviews.iter().map(|overview| flow(viewer, overview)).collect())
}

fn flow(viewer: Option<UserId>, overview: &FlowSummary) -> wire::Flow<'_> {
    let Flow { id, kind, title, info, changed_at, .. } = &overview.flow;
    let title = match viewer {
        Some(viewer) => overview.title_for(viewer, |member| &member.username).into(),
        None => Cow::Borrowed(title.as_str()),
    };
    wire::Flow {
        id: id.get(),
        time: changed_at.seconds(),
        kind: (*kind).into(),
        title,
        info: Cow::Borrowed(info),
    }
}

fn messages(messages: &[Message]) -> Items<wire::Message<'_>> {
    Items(messages.iter().map(row).collect())
}

fn row(message: &Message) -> wire::Message<'_> {
    let Content { text, attachments, emoji, reply_to, content_type: _ } = &message.content;
    let changed_at = message.deleted_at.or(message.edited_at);
    let alive = message.deleted_at.is_none();
    wire::Message {
        id: message.id.get(),
        text: Cow::Borrowed(if alive { text } else { "" }),
        from_user: wire::FromUser {
            id: message.author.id.get(),
            username: Some(Cow::Borrowed(&message.author.username)),
        },
        time: message.posted_at.seconds(),
        from_flow: wire::FromFlow { id: message.flow.get(), kind: Some(message.flow_kind.into()) },
        file: file(attachments).filter(|_| alive),
        emoji: emoji.as_deref().filter(|emoji| alive && !emoji.is_empty()).map(Cow::Borrowed),
        edited_message: changed_at
            .map(|at| wire::EditedMessage { time: at.seconds(), status: true }),
        reply_to: reply_to.filter(|_| alive).map(MessageId::get),
    }
}

/// A deletion as it is pushed: of the message only its id is known.
fn deleted_row<'a>(
    at: Timestamp,
    flow: FlowId,
    by: UserId,
    message: MessageId,
) -> wire::Message<'a> {
    wire::Message {
        id: message.get(),
        text: Cow::Borrowed(""),
        from_user: wire::FromUser { id: by.get(), username: None },
        time: at.seconds(),
        from_flow: wire::FromFlow { id: flow.get(), kind: None },
        file: None,
        emoji: None,
        edited_message: Some(wire::EditedMessage { time: at.seconds(), status: true }),
        reply_to: None,
    }
}

/// The first file of each kind; an empty one is none.
fn file(attachments: &[Attachment]) -> Option<wire::File<'_>> {
    let of = |kind: AttachmentKind| {
        let first = attachments.iter().find(|file| file.kind == kind && !file.data.is_empty());
        first.map(|file| Cow::Borrowed(file.data.as_str()))
    };
    let file = wire::File {
        picture: of(AttachmentKind::Picture),
        video: of(AttachmentKind::Video),
        audio: of(AttachmentKind::Audio),
        document: of(AttachmentKind::Document),
    };
    (file != wire::File::default()).then_some(file)
}

/// A frame in the form of the connection.
pub(crate) fn frame(form: Form, reply: &wire::Reply<'_>) -> tolmach_dialect::Frame {
    form.frame(wire::write(reply))
}
