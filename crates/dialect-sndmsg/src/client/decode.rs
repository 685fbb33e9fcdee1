//! Replies and pushes from the wire: protocols/sndmsg/SPEC.md, sections "Operations" and "Pushes".

use super::expected::Expected;
use crate::wire::{Ids, Operation, Reply};
use std::borrow::Cow;
use std::collections::BTreeSet;
use tolmach_dialect::InvalidReply;
use tolmach_dialect::known_messages::KnownMessages;
use tolmach_dialect::placeholders::{placeholder_flow_id, placeholder_user, placeholder_user_id};
use tolmach_domain::{
    Answer, Content, EventKind, Flow, FlowId, FlowKind, FlowKindFilter, FlowSummary, Grant,
    HistoryRange, Message, MessageId, MessagePage, Timestamp, Tokens, User, Version,
};

/// Decodes a granted reply to a connection with this login, but for a history: [`history`].
pub(super) fn answer(
    now: Timestamp,
    expected: &Expected,
    reply: Reply<'_>,
    login: &str,
    known: &KnownMessages,
) -> Result<Answer, InvalidReply> {
    let granted = |tokens| Answer::Granted(Box::new(Grant { user: None, tokens }));
    Ok(match expected {
        Expected::Registered => granted(Tokens::Nothing),
        Expected::LoggedIn { .. } => granted(Tokens::Connection),
        Expected::Opened { .. } => Answer::ChatOpened {
            flow: FlowId::new(id(&reply)?)?,
            with: Some(placeholder_user(&reply.customer.ok_or(InvalidReply::SHAPE)?)),
            created: false,
        },
        Expected::Sent { flow, kinds, content } => {
            let message = |id| {
                Ok::<_, InvalidReply>(Box::new(Message::new(
                    MessageId::new(id)?,
                    (*flow, flow_kind(*kinds)),
                    placeholder_user(login),
                    content.clone(),
                    date(&reply)?,
                )))
            };
            Answer::Sent { message: reply.message_id.map(message).transpose()?, repeated: false }
        }
        Expected::Users { limit } => {
            let logins = reply.user.ok_or(InvalidReply::SHAPE)?.into_iter();
            let user = |login: Cow<'_, str>| User::named(placeholder_user_id(&login), login);
            Answer::Users(logins.take(length(*limit)).map(user).collect())
        }
        Expected::RoomDeleted { flow } => Answer::FlowDeleted { flow: *flow },
        Expected::MessageDeleted { message } => {
            Answer::Deleted { deleted: vec![*message], left: Vec::new() }
        }
        Expected::Edited { message, flow } => {
            let mut edited = edited(now, *message, &reply, known)?;
            if edited.flow == placeholder_flow_id() {
                // The user's own message, posted on another connection.
                edited.flow = flow.unwrap_or(edited.flow);
                edited.author = placeholder_user(login);
            }
            Answer::Edited(Box::new(edited))
        }
        Expected::Flows { limit, offset } => {
            let flows = flow_summaries(reply)?.into_iter().skip(length(*offset));
            Answer::Flows(flows.take(limit.map_or(usize::MAX, length)).collect())
        }
        Expected::Fence => Answer::Users(Vec::new()),
        Expected::History { .. } => return Err(InvalidReply::SHAPE),
    })
}

/// The part of a history that a request asked for, out of the messages that came while it was read.
/// One that was pushed meanwhile may have come twice; the later frame counts.
pub(super) fn history(
    flow: FlowId,
    kinds: FlowKindFilter,
    range: HistoryRange,
    messages: Vec<Message>,
) -> Answer {
    let mut seen = BTreeSet::new();
    let is_last = |message: &Message| seen.insert((message.id, message.posted_at));
    let mut messages: Vec<Message> = messages.into_iter().rev().filter(is_last).collect();
    messages.reverse();
    messages.iter_mut().for_each(|message| message.flow_kind = flow_kind(kinds));
    range.cut(&mut messages);
    Answer::History(Box::new(MessagePage::new(flow, messages)))
}

/// Decodes the message of a `READ_MSG` frame. `None` for the frame of a history without messages.
pub(super) fn message(reply: &Reply<'_>) -> Result<Option<Message>, InvalidReply> {
    let Some(id) = reply.message_id else { return Ok(None) };
    let text = reply.message.as_deref().ok_or(InvalidReply::SHAPE)?;
    let content_type = reply.msg_type.ok_or(InvalidReply::SHAPE)?.content_type();
    Ok(Some(Message::new(
        MessageId::new(id)?,
        (FlowId::new(reply.room_id.ok_or(InvalidReply::SHAPE)?)?, FlowKind::Chat),
        placeholder_user(reply.sender.as_deref().ok_or(InvalidReply::SHAPE)?),
        Content { content_type, ..Content::text(text) },
        date(reply)?,
    )))
}

/// Decodes a push, but for a new message: [`message`].
pub(super) fn push(
    now: Timestamp,
    operation: Operation,
    reply: Reply<'_>,
    login: &str,
    known: &KnownMessages,
) -> Result<EventKind, InvalidReply> {
    Ok(match operation {
        Operation::CreateRoom => {
            let flow = Flow {
                created_at: now,
                changed_at: now,
                ..Flow::new(FlowId::new(id(&reply)?)?, FlowKind::Chat, "")
            };
            let customer = placeholder_user(&reply.customer.ok_or(InvalidReply::SHAPE)?);
            EventKind::FlowCreated { flow, members: vec![customer, placeholder_user(login)] }
        }
        Operation::DeleteRoom => {
            let flow = FlowId::new(id(&reply)?)?;
            EventKind::FlowDeleted { flow, by: placeholder_user_id("") }
        }
        Operation::DeleteMessage => {
            let message = MessageId::new(id(&reply)?)?;
            let known = known.get(message);
            let messages = vec![(message, Version::default())];
            EventKind::Deleted { flow: known.flow, by: known.author.id, messages }
        }
        Operation::EditMessage => {
            let message = MessageId::new(id(&reply)?)?;
            EventKind::Edited(edited(now, message, &reply, known)?)
        }
        Operation::Login
        | Operation::Signup
        | Operation::SendMessage
        | Operation::ReadMessage
        | Operation::SearchUser
        | Operation::OldDialogs => return Err(InvalidReply::SHAPE),
    })
}

fn edited(
    now: Timestamp,
    id: MessageId,
    reply: &Reply<'_>,
    known: &KnownMessages,
) -> Result<Message, InvalidReply> {
    let text = reply.new_msg.as_deref().ok_or(InvalidReply::SHAPE)?;
    let known = known.get(id);
    let content = Content { content_type: known.content_type, ..Content::text(text) };
    let flow = (known.flow, FlowKind::Chat);
    Ok(Message {
        edited_at: Some(now),
        changed_at: now,
        ..Message::new(id, flow, known.author, content, known.posted_at)
    })
}

fn flow_summaries(reply: Reply<'_>) -> Result<Vec<FlowSummary>, InvalidReply> {
    let (Some(titles), Some(Ids::Each(ids)), Some(firsts)) =
        (reply.dialogs, reply.id, reply.first_massage_id)
    else {
        return Err(InvalidReply::SHAPE);
    };
    if titles.len() != ids.len() || ids.len() != firsts.len() {
        return Err(InvalidReply::SHAPE);
    }
    let rows = titles.into_iter().zip(ids).zip(firsts);
    rows.map(|((title, id), first)| {
        let first = if first == 0 { None } else { Some(MessageId::new(first)?) };
        let flow = Flow::new(FlowId::new(id)?, FlowKind::Chat, title);
        Ok(FlowSummary { first, ..FlowSummary::new(flow) })
    })
    .collect()
}

/// The kind of a flow that a request was granted for: the server refuses another one than meant.
fn flow_kind(kinds: FlowKindFilter) -> FlowKind {
    if kinds == FlowKindFilter::Shared { FlowKind::Group } else { FlowKind::Chat }
}

fn id(reply: &Reply<'_>) -> Result<i64, InvalidReply> {
    match reply.id {
        Some(Ids::One(id)) => Ok(id),
        Some(Ids::Each(_)) | None => Err(InvalidReply::SHAPE),
    }
}

fn date(reply: &Reply<'_>) -> Result<Timestamp, InvalidReply> {
    reply.date.as_deref().and_then(Timestamp::parse_rfc3339).ok_or(InvalidReply::SHAPE)
}

fn length(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
