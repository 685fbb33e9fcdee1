//! Frames to responses and events: protocols/morelia/SPEC.md, sections "Methods", "Pushes" and
//! "Errors".

use crate::wire::{self, MAX_MESSAGES};
use std::borrow::Cow;
use tolmach_dialect::{Event, InvalidReply};
use tolmach_domain::{
    Answer, Changes, Content, EventKind, Flow, FlowId, FlowKind, FlowSummary, Grant, GrantKind,
    Message, MessageId, Secret, Timestamp, Tokens, User, UserId, UserSummary, Version,
};

/// The answer that a request expects, with what the wire does not repeat of the request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expected {
    /// A token, to hand out or to bind the connection with.
    Grant(GrantKind),
    AccountDeleted,
    /// The caller's own record.
    User,
    /// A part of the caller's flows; the reply has all of them.
    Flows {
        limit: Option<u32>,
        offset: u32,
    },
    Sent,
    /// The reply is empty.
    Edited {
        message: MessageId,
        flow: FlowId,
        text: String,
    },
    /// The reply is empty.
    Deleted {
        message: MessageId,
    },
    Changes,
}

/// The user that a token belongs to, and the token.
pub(super) type Signature = (UserId, Secret);

/// The answer that a granting reply gives to a request of `signer`, and the signature that a login
/// handed out.
pub(super) fn answer(
    expected: Expected,
    signer: Option<UserId>,
    reply: wire::Reply<'_>,
) -> Result<(Answer, Option<Signature>), InvalidReply> {
    let replied_at = timestamp(reply.errors.time)?;
    let data = reply.data.unwrap_or_default();
    let answer = match expected {
        Expected::Grant(kind) => {
            let user = data.user.ok_or(InvalidReply::SHAPE)?;
            let token = Secret::new(user.auth_id.ok_or(InvalidReply::SHAPE)?);
            let tokens = match kind {
                GrantKind::Nothing => Tokens::Nothing,
                GrantKind::Connection => Tokens::Connection,
                GrantKind::Token | GrantKind::Pair => Tokens::Token(token.clone()),
            };
            let answer = Answer::Granted(Box::new(Grant { user: None, tokens }));
            return Ok((answer, Some((user_id(user.id)?, token))));
        }
        Expected::AccountDeleted => {
            Answer::AccountDeleted { user: user_id(data.user.ok_or(InvalidReply::SHAPE)?.id)? }
        }
        Expected::User => Answer::User(Box::new(user(data.user.ok_or(InvalidReply::SHAPE)?)?)),
        Expected::Flows { limit, offset } => {
            let flows = data.flow.0.into_iter().skip(length(offset));
            let flows = flows.take(limit.map_or(usize::MAX, length));
            Answer::Flows(flows.map(flow).collect::<Result<_, _>>()?)
        }
        Expected::Sent => Answer::Sent { message: None, repeated: false },
        Expected::Edited { message: id, flow, text } => {
            let author = UserSummary::named(signer.ok_or(InvalidReply::SHAPE)?, "");
            let (flow, content) = ((flow, FlowKind::Chat), Content::text(text));
            let message = Message::new(id, flow, author, content, Timestamp::default());
            let changed_at = replied_at;
            Answer::Edited(Box::new(Message { edited_at: Some(changed_at), changed_at, ..message }))
        }
        Expected::Deleted { message } => {
            Answer::Deleted { deleted: vec![message], left: Vec::new() }
        }
        Expected::Changes => {
            let messages = data.message.0.into_iter().map(message);
            let messages = messages.collect::<Result<Vec<_>, _>>()?;
            let user = data.user.filter(|record| record.login.is_some()).map(user).transpose()?;
            Answer::Changes(Box::new(Changes {
                // The wire has no such flag: a full reply may be followed by another.
                more: messages.len() >= length(MAX_MESSAGES),
                messages,
                flows: data.flow.0.into_iter().map(flow).collect::<Result<_, _>>()?,
                user: user.map(Box::new),
                until: timestamp(data.time.ok_or(InvalidReply::SHAPE)?)?,
            }))
        }
    };
    Ok((answer, None))
}

/// The events of a push: one for each message, and one for all that were deleted at once.
pub(super) fn push(reply: wire::Reply<'_>) -> Result<Vec<Event>, InvalidReply> {
    let data = reply.data.ok_or(InvalidReply::SHAPE)?;
    let occurred_at = timestamp(data.time.ok_or(InvalidReply::SHAPE)?)?;
    let mut kinds: Vec<EventKind> = Vec::new();
    for pushed in data.message.0 {
        if !is_deleted(&pushed) {
            let message = message(pushed)?;
            kinds.push(match message.edited_at {
                Some(_) => EventKind::Edited(message),
                None => EventKind::Posted(message),
            });
            continue;
        }
        let place = (FlowId::new(pushed.from_flow.id)?, UserId::new(pushed.from_user.id)?);
        let deleted = (MessageId::new(pushed.id)?, Version::default());
        match kinds.last_mut() {
            Some(EventKind::Deleted { flow, by, messages }) if (*flow, *by) == place => {
                messages.push(deleted);
            }
            _ => {
                let (flow, by) = place;
                kinds.push(EventKind::Deleted { flow, by, messages: vec![deleted] });
            }
        }
    }
    if kinds.is_empty() {
        return Err(InvalidReply::SHAPE);
    }
    Ok(kinds.into_iter().map(|kind| Event::new(occurred_at, kind)).collect())
}

/// True if the message was deleted: an edit leaves a text, so an edited message without any content
/// is a deleted one.
fn is_deleted(message: &wire::Message<'_>) -> bool {
    message.text.is_empty()
        && message.edited_message.as_ref().is_some_and(|edited| edited.status)
        && message.emoji.is_none()
        && message.file.as_ref().is_none_or(|file| *file == wire::File::default())
}

fn message(message: wire::Message<'_>) -> Result<Message, InvalidReply> {
    let deleted = is_deleted(&message);
    let edited = message.edited_message.filter(|edited| edited.status);
    let changed_at = edited.map(|edited| timestamp(edited.time)).transpose()?;
    let posted_at = timestamp(message.time)?;
    let username = message.from_user.username.ok_or(InvalidReply::SHAPE)?;
    let kind = message.from_flow.kind.ok_or(InvalidReply::SHAPE)?.0;
    let content = Content {
        attachments: message.file.unwrap_or_default().attachments(),
        emoji: message.emoji.filter(|emoji| !emoji.is_empty()).map(Cow::into_owned),
        reply_to: message.reply_to.map(MessageId::new).transpose()?,
        ..Content::text(message.text)
    };
    Ok(Message {
        edited_at: changed_at.filter(|_| !deleted),
        deleted_at: changed_at.filter(|_| deleted),
        changed_at: changed_at.unwrap_or(posted_at),
        ..Message::new(
            MessageId::new(message.id)?,
            (FlowId::new(message.from_flow.id)?, kind),
            UserSummary::named(UserId::new(message.from_user.id)?, username),
            content,
            posted_at,
        )
    })
}

fn flow(flow: wire::Flow<'_>) -> Result<FlowSummary, InvalidReply> {
    let changed_at = timestamp(flow.time)?;
    let (info, title) = (flow.info.into_owned(), flow.title);
    let flow = Flow::new(FlowId::new(flow.id)?, flow.kind.0, title);
    Ok(FlowSummary::new(Flow { info, changed_at, ..flow }))
}

fn user(record: wire::User<'_>) -> Result<User, InvalidReply> {
    let login = record.login.ok_or(InvalidReply::SHAPE)?.into_owned();
    let username = record.username.map_or_else(|| login.clone(), Cow::into_owned);
    Ok(User {
        login,
        email: record.email.map(Cow::into_owned),
        bio: record.bio.map(Cow::into_owned).unwrap_or_default(),
        avatar: record.avatar.map(Cow::into_owned),
        bot: record.is_bot.unwrap_or_default(),
        ..User::named(user_id(record.id)?, username)
    })
}

fn user_id(number: Option<i64>) -> Result<UserId, InvalidReply> {
    Ok(UserId::new(number.ok_or(InvalidReply::SHAPE)?)?)
}

fn timestamp(seconds: f64) -> Result<Timestamp, InvalidReply> {
    Timestamp::from_seconds(seconds).ok_or(InvalidReply::SHAPE)
}

fn length(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
