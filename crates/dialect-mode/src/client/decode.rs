//! Replies and pushes from the wire: protocols/mode/SPEC.md, sections "Operations" and "Pushes".

use crate::errors;
use crate::wire::{self, ChatType, Operation};
use tolmach_dialect::{Event, InvalidReply};
use tolmach_domain::{
    Answer, Content, EventKind, Fault, Flow, FlowId, FlowKind, FlowKindFilter, FlowSummary, Grant,
    GrantKind, HistoryRange, Message, MessageId, MessagePage, Secret, Tokens, UserId, UserSummary,
};

/// The answer that a request waits for.
pub(super) enum Expected {
    /// An answer that the reply adds nothing to.
    Answer(Answer),
    /// A token, handed out or kept for the connection.
    Grant(GrantKind),
    /// A part of the caller's flows; the reply has all of them.
    Flows { limit: Option<u32>, offset: u32 },
    /// A part of a flow's history; the reply has all of it.
    History { flow: FlowId, kinds: FlowKindFilter, range: HistoryRange },
}

/// Decodes the reply to a request of an operation.
pub(super) fn outcome(
    operation: Operation,
    expected: &Expected,
    reply: wire::Reply<'_>,
) -> Result<Result<Answer, Fault>, InvalidReply> {
    if !(200..=299).contains(&reply.status) {
        let text = reply.error_msg.as_deref().unwrap_or_default();
        return Ok(Err(errors::decode(operation, reply.status, text)));
    }
    Ok(Ok(match expected {
        Expected::Answer(answer) => answer.clone(),
        Expected::Grant(kind) => {
            let token = reply.token.flatten().ok_or(InvalidReply::SHAPE)?;
            let tokens = match kind {
                GrantKind::Nothing => Tokens::Nothing,
                GrantKind::Connection => Tokens::Connection,
                GrantKind::Token | GrantKind::Pair => Tokens::Token(Secret::new(token)),
            };
            Answer::Granted(Box::new(Grant { user: None, tokens }))
        }
        Expected::Flows { limit, offset } => {
            let length = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
            let chats = reply.chats.ok_or(InvalidReply::SHAPE)?.into_iter();
            let part = chats.skip(length(*offset)).take(limit.map_or(usize::MAX, length));
            Answer::Flows(part.map(flow_summary).collect::<Result<_, _>>()?)
        }
        Expected::History { flow, kinds, range } => {
            // The server refuses a flow of another kind than the request meant.
            let flow_kind =
                if *kinds == FlowKindFilter::Shared { FlowKind::Group } else { FlowKind::Chat };
            let rows = reply.messages.ok_or(InvalidReply::SHAPE)?.into_iter();
            let messages = rows.map(|row| message(*flow, flow_kind, row));
            let mut messages = messages.collect::<Result<Vec<_>, _>>()?;
            range.cut(&mut messages);
            Answer::History(Box::new(MessagePage::new(*flow, messages)))
        }
    }))
}

/// Decodes a push: one event for each message.
pub(super) fn push(chat: i64, reply: wire::Reply<'_>) -> Result<Vec<Event>, InvalidReply> {
    let flow = FlowId::new(chat)?;
    let occurred_at = reply.timestamp.timestamp().ok_or(InvalidReply::SHAPE)?;
    let rows = reply.messages.ok_or(InvalidReply::SHAPE)?.into_iter();
    let messages = rows.map(|row| message(flow, FlowKind::Chat, row));
    messages.map(|message| Ok(Event::new(occurred_at, EventKind::Posted(message?)))).collect()
}

fn flow_summary(chat: wire::Chat<'_>) -> Result<FlowSummary, InvalidReply> {
    let kind = match chat.chat_type {
        ChatType::Personal => FlowKind::Chat,
        ChatType::Group => FlowKind::Group,
    };
    Ok(FlowSummary::new(Flow::new(FlowId::new(chat.chat_id)?, kind, chat.chat_name)))
}

fn message(
    flow: FlowId,
    flow_kind: FlowKind,
    row: wire::Message<'_>,
) -> Result<Message, InvalidReply> {
    let content_type = wire::content_type(&row.content_type).ok_or(InvalidReply::SHAPE)?;
    Ok(Message::new(
        MessageId::new(row.message_id)?,
        (flow, flow_kind),
        UserSummary::named(UserId::new(row.from_id)?, row.from_name),
        Content { content_type, ..Content::text(row.content) },
        row.content_time.timestamp().ok_or(InvalidReply::SHAPE)?,
    ))
}
