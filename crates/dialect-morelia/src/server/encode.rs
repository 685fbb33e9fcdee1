//! Responses and events to frames: protocols/morelia/SPEC.md, sections "Methods", "Pushes" and
//! "Errors".

use super::decode::RequestInfo;
use crate::errors::{ERRORS, status};
use crate::wire::{self, Data, Errors, FlowType, Items, Method, unsupported};
use std::borrow::Cow;
use tolmach_dialect::errors::ErrorBody;
use tolmach_dialect::field::Field;
use tolmach_dialect::{Response, Unsupported, WireNames};
use tolmach_domain::{
    Answer, Event, EventKind, FlowId, FlowSummary, Grant, Identity, Message, MessageId, Timestamp,
    Tokens, User, UserId,
};

/// The reply to a request. `id` is the reply's own.
pub(super) fn reply<'a>(
    now: Timestamp,
    id: i64,
    info: &'a RequestInfo,
    response: &'a Response,
) -> Result<wire::Reply<'a>, Unsupported> {
    let answer = match &response.outcome {
        Ok(answer) => answer,
        Err(fault) => return Ok(error(now, id, info.kind.into(), ERRORS.encode(fault))),
    };
    let at = |time: Timestamp| Data { time: Some(time.seconds()), ..Default::default() };
    let data = match (info.method, answer) {
        (Method::RegisterUser | Method::Authentication, Answer::Granted(grant)) => {
            let user = granted(grant, response.identity).ok_or(unsupported(info.kind))?;
            Some(Data { user: Some(user), ..at(now) })
        }
        (Method::DeleteUser, Answer::AccountDeleted { user }) => {
            let login = info.login.as_deref().map(Cow::Borrowed);
            let user = wire::User { id: Some(user.get()), login, ..Default::default() };
            Some(Data { user: Some(user), ..Default::default() })
        }
        (Method::UserInfo, Answer::User(user)) => {
            Some(Data { user: Some(record(info, user)), ..at(now) })
        }
        (Method::AllFlow, Answer::Flows(summaries)) => {
            Some(Data { flow: flows(info, summaries), user: signature(info), ..at(now) })
        }
        (Method::GetUpdate, Answer::Changes(changes)) => Some(Data {
            flow: flows(info, &changes.flows),
            message: changes.messages.iter().map(message).collect(),
            user: changes.user.as_deref().map(|user| record(info, user)),
            ..at(changes.until)
        }),
        (Method::AllMessages, Answer::Changes(changes)) => Some(Data {
            message: changes.messages.iter().map(message).collect(),
            user: signature(info),
            ..at(changes.until)
        }),
        (Method::SendMessage, Answer::Sent { .. }) => Some(at(now)),
        (Method::EditedMessage, Answer::Edited(_))
        | (Method::DeleteMessage, Answer::Deleted { .. }) => None,
        _ => return Err(unsupported(info.kind)),
    };
    Ok(success(now, id, info.kind, data))
}

/// The refusal of a request, or of a frame that is none.
pub(super) fn error(
    now: Timestamp,
    id: i64,
    kind: Cow<'_, str>,
    error: ErrorBody<u16>,
) -> wire::Reply<'_> {
    let status = status(error.code).into();
    let errors = Errors { id, time: now.seconds(), status, code: error.code, detail: error.text };
    frame(kind, None, errors)
}

/// The push of an event.
pub(super) fn push(event: &Event) -> Result<wire::Reply<'_>, Unsupported> {
    let (flow, version, messages) = match &event.kind {
        EventKind::Posted(posted) | EventKind::Edited(posted) => {
            (posted.flow, posted.version, Items(vec![message(posted)]))
        }
        EventKind::Deleted { flow, by, messages } => {
            let version = messages.first().map(|(_, version)| *version).unwrap_or_default();
            let deleted = |(id, _): &_| deletion(event.occurred_at, *flow, *by, *id);
            (*flow, version, messages.iter().map(deleted).collect())
        }
        _ => return Err(unsupported(event.name())),
    };
    let time = event.occurred_at;
    let data = Data { time: Some(time.seconds()), message: messages, ..Default::default() };
    let id = wire::number_of_pair(flow.get(), version.0);
    let frame = success(time, id, Method::GetUpdate.name(), Some(data));
    Ok(wire::Reply { meta: Field::Value(Cow::Borrowed(wire::PUSH)), ..frame })
}

fn success<'a>(now: Timestamp, id: i64, kind: &'a str, data: Option<Data<'a>>) -> wire::Reply<'a> {
    let (status, detail) = ("OK".into(), "successfully".into());
    frame(kind.into(), data, Errors { id, time: now.seconds(), status, code: 200, detail })
}

fn frame<'a>(kind: Cow<'a, str>, data: Option<Data<'a>>, errors: Errors<'a>) -> wire::Reply<'a> {
    wire::Reply { kind, data, errors, jsonapi: Default::default(), meta: Field::Null }
}

/// The user who has logged in, with the token; `None` where either is not known.
fn granted(grant: &Grant, identity: Option<Identity>) -> Option<wire::User<'_>> {
    let Tokens::Token(token) = &grant.tokens else { return None };
    let user = identity.map(|identity| identity.user);
    let id = user.or(grant.user.as_ref().map(|user| user.id))?.get();
    let auth_id = Some(token.expose().into());
    Some(wire::User { id: Some(id), auth_id, ..Default::default() })
}

/// The signature of the request.
fn signature(info: &RequestInfo) -> Option<wire::User<'_>> {
    let (user, token) = info.signature.as_ref()?;
    let auth_id = Some(token.expose().into());
    Some(wire::User { id: Some(user.get()), auth_id, ..Default::default() })
}

/// The caller's record, with the token of the request.
fn record<'a>(info: &'a RequestInfo, user: &'a User) -> wire::User<'a> {
    wire::User {
        id: Some(user.id.get()),
        login: Some(Cow::Borrowed(&user.login)),
        password: None,
        username: Some(Cow::Borrowed(&user.username)),
        is_bot: Some(user.bot),
        auth_id: info.signature.as_ref().map(|(_, token)| token.expose().into()),
        email: user.email.as_deref().map(Cow::Borrowed),
        avatar: user.avatar.as_deref().map(Cow::Borrowed),
        bio: Some(Cow::Borrowed(&user.bio)),
    }
}

fn flows<'a>(info: &RequestInfo, summaries: &'a [FlowSummary]) -> Items<wire::Flow<'a>> {
    let viewer = info.signature.as_ref().map(|(user, _)| *user);
    summaries.iter().map(|summary| flow(viewer, summary)).collect()
}

fn flow(viewer: Option<UserId>, summary: &FlowSummary) -> wire::Flow<'_> {
    let flow = &summary.flow;
    let title = match viewer {
        Some(viewer) => summary.title_for(viewer, |member| &member.username).into(),
        None => Cow::Borrowed(flow.title.as_str()),
    };
    wire::Flow {
        id: flow.id.get(),
        time: flow.changed_at.seconds(),
        kind: FlowType(flow.kind),
        title,
        info: Cow::Borrowed(&flow.info),
    }
}

fn message(message: &Message) -> wire::Message<'_> {
    let kept = message.deleted_at.is_none();
    let content = &message.content;
    let emoji = content.emoji.as_deref().filter(|emoji| kept && !emoji.is_empty());
    wire::Message {
        id: message.id.get(),
        text: Cow::Borrowed(if kept { &content.text } else { "" }),
        from_user: wire::FromUser {
            id: message.author.id.get(),
            username: Some(Cow::Borrowed(&message.author.username)),
        },
        time: message.posted_at.seconds(),
        from_flow: wire::FromFlow {
            id: message.flow.get(),
            kind: Some(FlowType(message.flow_kind)),
        },
        file: wire::File::new(&content.attachments).filter(|_| kept),
        emoji: emoji.map(Cow::Borrowed),
        edited_message: message.deleted_at.or(message.edited_at).map(wire::EditedMessage::at),
        reply_to: content.reply_to.filter(|_| kept).map(MessageId::get),
    }
}

/// A pushed deletion: of the message only the id is known.
fn deletion<'a>(at: Timestamp, flow: FlowId, by: UserId, message: MessageId) -> wire::Message<'a> {
    wire::Message {
        id: message.get(),
        text: Cow::Borrowed(""),
        from_user: wire::FromUser { id: by.get(), username: None },
        time: at.seconds(),
        from_flow: wire::FromFlow { id: flow.get(), kind: None },
        file: None,
        emoji: None,
        edited_message: Some(wire::EditedMessage::at(at)),
        reply_to: None,
    }
}
