//! From the wire to the domain: what a request asks, what a reply answers, what a push tells.

use crate::faults::{self, Refusal};
use crate::wire::{self, Method};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use tolmach_dialect::Notice;
use tolmach_domain::{
    Answer, Attachment, AttachmentKind, Changes, Command, Content, Credentials, EventKind, Fault,
    Flow, FlowId, FlowKindFilter, FlowSummary, Grant, GrantKind, Identity, Message, MessageId,
    NewMessage, Registration, Secret, Timestamp, Tokens, User, UserId, UserRef, UserSummary,
    Version,
};

/// The most messages of a reply: a client goes on from its `time`.
pub(crate) const MESSAGES_LIMIT: u32 = 1000;

/// The fields of `file` and what they hold, in the order in which they are said.
const FILES: [(&str, AttachmentKind); 4] = [
    ("picture", AttachmentKind::Picture),
    ("video", AttachmentKind::Video),
    ("audio", AttachmentKind::Audio),
    ("document", AttachmentKind::Document),
];

/// What a request asks, and how it proves who asks. The request has been validated by its schema;
/// large texts are taken out of it, not copied.
pub(crate) fn ask(method: Method, request: &mut Value) -> Result<(Credentials, Command), Refusal> {
    let mut data = take(request, "data");
    let mut user = take(&mut data, "user");
    let mut message = take(&mut data, "message");
    let proof = match method {
        Method::RegisterUser | Method::Authentication | Method::DeleteUser => Credentials::Nothing,
        Method::GetUpdate
        | Method::SendMessage
        | Method::AllMessages
        | Method::AllFlow
        | Method::UserInfo
        | Method::DeleteMessage
        | Method::EditedMessage => {
            let id = UserId::new(integer("/data/user/id", &user["id"])?)
                .map_err(|_| expected("/data/user/id", "an id"))?;
            // Who writes in another's name is refused before the proof is looked at: whose name it
            // is tells nothing.
            let author = &message["from_user"]["id"];
            if !author.is_null() && integer("/data/message/from_user/id", author)? != id.get() {
                return Err(Refusal::new(
                    403,
                    "/data/message/from_user/id: only the author may write in this name",
                ));
            }
            Credentials::TokenOf(
                id,
                Secret::new(required("/data/user/auth_id", &mut user, "auth_id")?),
            )
        }
    };
    let command = match method {
        Method::RegisterUser => Command::Register(Box::new(Registration {
            login: Some(required("/data/user/login", &mut user, "login")?),
            password: Secret::new(required("/data/user/password", &mut user, "password")?),
            username: text(&mut user, "username"),
            email: text(&mut user, "email"),
            phone: None,
            bot: user["is_bot"].as_bool().unwrap_or_default(),
            bio: text(&mut user, "bio"),
            avatar: text(&mut user, "avatar"),
            profile: true,
            grant: GrantKind::Token,
        })),
        Method::Authentication => Command::Login {
            identifier: required("/data/user/login", &mut user, "login")?,
            password: Secret::new(required("/data/user/password", &mut user, "password")?),
            grant: GrantKind::Token,
        },
        Method::DeleteUser => Command::DeleteAccount {
            login: required("/data/user/login", &mut user, "login")?,
            password: Secret::new(required("/data/user/password", &mut user, "password")?),
        },
        Method::GetUpdate => Command::GetChanges {
            since: since(&data)?,
            flow: flow(&data, &message)?,
            limit: MESSAGES_LIMIT,
        },
        Method::AllMessages => {
            Command::GetChanges { since: since(&data)?, flow: None, limit: MESSAGES_LIMIT }
        }
        Method::AllFlow => Command::ListFlows { limit: None, offset: 0, members: false },
        Method::UserInfo => Command::GetUser { who: UserRef::Me },
        Method::SendMessage => {
            let flow = flow(&data, &message)?
                .ok_or_else(|| expected("/data/flow/id", "the flow to post to"))?;
            let key = integer("/data/message/id", &message["id"])?.to_string();
            let content = content(&data, &mut message)?;
            Command::Send(Box::new(NewMessage {
                flow,
                kinds: FlowKindFilter::Any,
                content,
                key: Some(key),
            }))
        }
        Method::EditedMessage => Command::Edit {
            message: message_id(&message)?,
            flow: flow(&data, &message)?,
            text: required("/data/message/text", &mut message, "text")?,
        },
        Method::DeleteMessage => {
            Command::Delete { messages: vec![message_id(&message)?], flow: flow(&data, &message)? }
        }
    };
    Ok((proof, command))
}

fn content(data: &Value, message: &mut Value) -> Result<Content, Refusal> {
    // The document has it in the message in one place and beside it in another.
    let reply_to =
        [&message["reply_to"], &data["reply_to"]].into_iter().find(|reply_to| !reply_to.is_null());
    let reply_to = match reply_to {
        None => None,
        Some(id) => Some(
            MessageId::new(integer("/data/message/reply_to", id)?)
                .map_err(|_| expected("/data/message/reply_to", "an id"))?,
        ),
    };
    let mut file = take(message, "file");
    let attachment =
        |(name, kind): (&str, _)| some_text(&mut file, name).map(|data| Attachment { kind, data });
    Ok(Content {
        attachments: FILES.into_iter().filter_map(attachment).collect(),
        emoji: some_text(message, "emoji"),
        reply_to,
        ..Content::text(text(message, "text").unwrap_or_default())
    })
}

/// Where something is meant to be, if the request says: `flow` goes before `message.from_flow`.
fn flow(data: &Value, message: &Value) -> Result<Option<FlowId>, Refusal> {
    for (name, id) in [
        ("/data/flow/id", &data["flow"]["id"]),
        ("/data/message/from_flow/id", &message["from_flow"]["id"]),
    ] {
        if !id.is_null() {
            return FlowId::new(integer(name, id)?).map(Some).map_err(|_| expected(name, "an id"));
        }
    }
    Ok(None)
}

fn message_id(message: &Value) -> Result<MessageId, Refusal> {
    MessageId::new(integer("/data/message/id", &message["id"])?)
        .map_err(|_| expected("/data/message/id", "an id"))
}

fn since(data: &Value) -> Result<Timestamp, Refusal> {
    data["time"]
        .as_f64()
        .and_then(Timestamp::from_seconds)
        .ok_or_else(|| expected("/data/time", "seconds since the epoch"))
}

/// To a JSON Schema `1.0` is an integer too.
fn integer(name: &str, value: &Value) -> Result<i64, Refusal> {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    let whole =
        |number: f64| (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64);
    value
        .as_i64()
        .or_else(|| value.as_f64().and_then(whole))
        .ok_or_else(|| expected(name, "an integer below 2^53"))
}

fn expected(name: &str, what: &str) -> Refusal {
    Refusal::bad_request(format!("{name}: {what} is expected"))
}

/// A value, taken out of its object; `null` if it is not there.
fn take(object: &mut Value, key: &str) -> Value {
    object.get_mut(key).map(Value::take).unwrap_or_default()
}

fn text(object: &mut Value, key: &str) -> Option<String> {
    match take(object, key) {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// A text in which the empty string stands for nothing.
fn some_text(object: &mut Value, key: &str) -> Option<String> {
    text(object, key).filter(|text| !text.is_empty())
}

fn required(name: &str, object: &mut Value, key: &str) -> Result<String, Refusal> {
    text(object, key).ok_or_else(|| expected(name, "a string"))
}

/// What an ask that waits for its reply wants out of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expected {
    /// A token, to hand out or to bind the connection with.
    Grant(GrantKind),
    AccountDeleted,
    /// The caller's own record.
    User,
    /// A part of the caller's flows; the wire gives all of them.
    Flows {
        limit: Option<u32>,
        offset: u32,
    },
    Sent,
    /// The wire says only that it is done: the rest is what was asked.
    Edited {
        author: UserId,
        message: MessageId,
        flow: FlowId,
        text: String,
    },
    Deleted {
        message: MessageId,
    },
    Changes,
}

/// A frame of the other side that does not say what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonsense;

/// What a reply answers, and who it says is logged in now.
pub(crate) fn outcome(
    method: Method,
    expected: Expected,
    reply: wire::Reply<'_>,
) -> Result<(Option<Identity>, Result<Answer, Fault>), Nonsense> {
    if !(200..=299).contains(&reply.errors.code) {
        return Ok((None, Err(faults::lift(method, reply.errors.code, &reply.errors.detail))));
    }
    let at = moment(reply.errors.time)?;
    let data = reply.data.unwrap_or_default();
    let mut identity = None;
    let answer = match expected {
        Expected::Grant(kind) => {
            let granted = data.user.ok_or(Nonsense)?;
            let token = granted.auth_id.ok_or(Nonsense)?;
            identity = Some(Identity { user: user_id(granted.id)?, session: None });
            let tokens = match kind {
                GrantKind::Nothing => Tokens::Nothing,
                GrantKind::Connection => Tokens::Connection,
                GrantKind::Token | GrantKind::Pair => Tokens::Token(Secret::new(token)),
            };
            Answer::Granted(Box::new(Grant { user: None, tokens }))
        }
        Expected::AccountDeleted => {
            Answer::AccountDeleted { user: user_id(data.user.ok_or(Nonsense)?.id)? }
        }
        Expected::User => Answer::User(Box::new(user(data.user.ok_or(Nonsense)?)?)),
        Expected::Flows { limit, offset } => {
            let flows =
                data.flow.0.into_iter().skip(length(offset)).take(limit.map_or(usize::MAX, length));
            Answer::Flows(flows.map(overview).collect::<Result<_, _>>()?)
        }
        Expected::Sent => Answer::Sent { message: None, repeated: false },
        Expected::Edited { author, message, flow, text } => {
            Answer::Edited(Box::new(edited(at, author, message, flow, text)))
        }
        Expected::Deleted { message } => {
            Answer::Deleted { deleted: vec![message], left: Vec::new() }
        }
        Expected::Changes => {
            let messages =
                data.message.0.into_iter().map(message).collect::<Result<Vec<_>, _>>()?;
            Answer::Changes(Box::new(Changes {
                // The wire does not say: as many as there may be are taken for not all.
                more: messages.len() >= length(MESSAGES_LIMIT),
                messages,
                flows: data.flow.0.into_iter().map(overview).collect::<Result<_, _>>()?,
                user: data
                    .user
                    .filter(|record| record.login.is_some())
                    .map(user)
                    .transpose()?
                    .map(Box::new),
                until: moment(data.time.ok_or(Nonsense)?)?,
            }))
        }
    };
    Ok((identity, Ok(answer)))
}

/// What a push tells: one notice a message, and one for all that were deleted at once.
pub(crate) fn push(reply: wire::Reply<'_>) -> Result<Vec<Notice>, Nonsense> {
    let data = reply.data.ok_or(Nonsense)?;
    let at = moment(data.time.ok_or(Nonsense)?)?;
    let mut kinds: Vec<EventKind> = Vec::new();
    for told in data.message.0 {
        let kind = match is_deleted(&told) {
            true => {
                let (flow, by) = (flow_id(told.from_flow.id)?, user_id(told.from_user.id)?);
                let deleted = (message_id_of(told.id)?, Version::default());
                match kinds.last_mut() {
                    Some(EventKind::Deleted { flow: its, by: whose, messages })
                        if (*its, *whose) == (flow, by) =>
                    {
                        messages.push(deleted);
                        continue;
                    }
                    _ => EventKind::Deleted { flow, by, messages: vec![deleted] },
                }
            }
            false => match message(told)? {
                edited if edited.edited_at.is_some() => EventKind::Edited(edited),
                posted => EventKind::Posted(posted),
            },
        };
        kinds.push(kind);
    }
    if kinds.is_empty() {
        return Err(Nonsense);
    }
    Ok(kinds.into_iter().map(|kind| Event::new(at, kind)).collect())
}

/// An edit leaves a text, so an edited message that says nothing at all is a deleted one.
fn is_deleted(message: &wire::Message<'_>) -> bool {
    message.text.is_empty()
        && message.edited_message.is_some_and(|edited| edited.status)
        && message.emoji.is_none()
        && message.file.as_ref().is_none_or(|file| *file == wire::File::default())
}

fn message(told: wire::Message<'_>) -> Result<Message, Nonsense> {
    let deleted = is_deleted(&told);
    let changed_at = told
        .edited_message
        .filter(|edited| edited.status)
        .map(|edited| moment(edited.time))
        .transpose()?;
    let posted_at = moment(told.time)?;
    let file = told.file.unwrap_or_default();
    let files = [file.picture, file.video, file.audio, file.document];
    let attachment = |((_, kind), data): ((&str, _), Option<Cow<'_, str>>)| {
        data.filter(|data| !data.is_empty())
            .map(|data| Attachment { kind, data: data.into_owned() })
    };
    Ok(Message {
        id: message_id_of(told.id)?,
        flow: flow_id(told.from_flow.id)?,
        flow_kind: told.from_flow.kind.ok_or(Nonsense)?.into(),
        author: person(user_id(told.from_user.id)?, told.from_user.username.ok_or(Nonsense)?),
        content: Content {
            attachments: FILES.into_iter().zip(files).filter_map(attachment).collect(),
            emoji: told.emoji.filter(|emoji| !emoji.is_empty()).map(Cow::into_owned),
            reply_to: told.reply_to.map(message_id_of).transpose()?,
            ..Content::text(told.text)
        },
        posted: Version::default(),
        version: Version::default(),
        posted_at,
        edited_at: changed_at.filter(|_| !deleted),
        deleted_at: changed_at.filter(|_| deleted),
        changed_at: changed_at.unwrap_or(posted_at),
    })
}

/// The message as far as whoever edited it knows it.
fn edited(at: Timestamp, author: UserId, id: MessageId, flow: FlowId, text: String) -> Message {
    Message {
        id,
        flow,
        flow_kind: tolmach_domain::FlowKind::Chat,
        author: person(author, Cow::Borrowed("")),
        content: Content::text(text),
        posted: Version::default(),
        version: Version::default(),
        posted_at: Timestamp::default(),
        edited_at: Some(at),
        deleted_at: None,
        changed_at: at,
    }
}

fn overview(flow: wire::Flow<'_>) -> Result<FlowSummary, Nonsense> {
    let changed_at = moment(flow.time)?;
    let flow = Flow {
        id: flow_id(flow.id)?,
        kind: flow.kind.into(),
        title: flow.title.into_owned(),
        info: flow.info.into_owned(),
        owner: None,
        photo: None,
        version: Version::default(),
        created_at: Timestamp::default(),
        changed_at,
    };
    Ok(FlowSummary { flow, members: Vec::new(), last: None, first: None, read: Version::default() })
}

fn user(record: wire::User<'_>) -> Result<User, Nonsense> {
    let login = record.login.ok_or(Nonsense)?.into_owned();
    let username = record.username.map_or_else(|| login.clone(), Cow::into_owned);
    Ok(User {
        id: user_id(record.id)?,
        name: username.clone(),
        username,
        login,
        email: record.email.map(Cow::into_owned),
        phone: None,
        bio: record.bio.map(Cow::into_owned).unwrap_or_default(),
        avatar: record.avatar.map(Cow::into_owned),
        photo: None,
        bot: record.is_bot.unwrap_or_default(),
        admin: false,
        business: false,
        profile: true,
        created_at: Timestamp::default(),
        changed_at: Timestamp::default(),
        deleted_at: None,
    })
}

fn person(id: UserId, username: Cow<'_, str>) -> UserSummary {
    let username: Arc<str> = username.into();
    UserSummary { id, login: username.clone(), username: username.clone(), name: username }
}

fn moment(seconds: f64) -> Result<Timestamp, Nonsense> {
    Timestamp::from_seconds(seconds).ok_or(Nonsense)
}

fn user_id(number: i64) -> Result<UserId, Nonsense> {
    UserId::new(number).map_err(|_| Nonsense)
}

fn flow_id(number: i64) -> Result<FlowId, Nonsense> {
    FlowId::new(number).map_err(|_| Nonsense)
}

fn message_id_of(number: i64) -> Result<MessageId, Nonsense> {
    MessageId::new(number).map_err(|_| Nonsense)
}

fn length(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
