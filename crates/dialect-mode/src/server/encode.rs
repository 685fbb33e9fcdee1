//! Replies and pushes for the wire: protocols/mode/SPEC.md, sections "Operations" and "Pushes".

use crate::errors::ERRORS;
use crate::wire::{self, ChatType, ID, Operation, Reply};
use std::borrow::Cow;
use tolmach_dialect::time::{TimeFormat, WireTime};
use tolmach_dialect::{Event, Response, Unsupported, Variant, WireNames};
use tolmach_domain::{
    Answer, EventKind, FlowKind, FlowSummary, Message, Timestamp, Tokens, UserId,
};

/// The properties of a request that its reply depends on.
pub(super) struct ReplyForm {
    pub(super) operation: Operation,
    pub(super) time_format: TimeFormat,
}

/// The reply to a request.
pub(super) fn reply<'a>(
    now: Timestamp,
    form: &ReplyForm,
    response: &'a Response,
) -> Result<Reply<'a>, Unsupported> {
    let ReplyForm { operation, time_format } = *form;
    let timestamp = WireTime::new(now, time_format);
    let mode = Some(operation.name().into());
    let answer = match &response.outcome {
        Ok(answer) => answer,
        Err(fault) => return Ok(Reply::error(mode, timestamp, ERRORS.encode(fault))),
    };
    let ok = Reply::new(mode, timestamp);
    Ok(match (operation, answer) {
        (Operation::Register | Operation::Auth, Answer::Granted(grant)) => match &grant.tokens {
            Tokens::Token(token) => Reply { token: Some(Some(token.expose().into())), ..ok },
            _ => return Err(Unsupported { dialect: ID, what: operation.name() }),
        },
        (Operation::Recovery, Answer::RecoveryAccepted) => Reply { status: 202, ..ok },
        (Operation::Logout, Answer::LoggedOut) => ok,
        (Operation::GetChats, Answer::Flows(flows)) => {
            let viewer = response.identity.map(|identity| identity.user);
            let chats = flows.iter().map(|summary| chat(viewer, summary)).collect();
            Reply { chats: Some(chats), ..ok }
        }
        (Operation::GetMessages, Answer::History(page)) => {
            let rows = page.messages.iter().map(|message| row(time_format, message)).collect();
            Reply { messages: Some(rows), ..ok }
        }
        (Operation::SendMessage | Operation::SendGroupMessage, Answer::Sent { .. }) => ok,
        _ => return Err(Unsupported { dialect: ID, what: operation.name() }),
    })
}

/// The push of an event: new messages only, in one variant for each form of timestamps.
pub(crate) fn push(event: &Event, variant: Variant) -> Result<Reply<'_>, Unsupported> {
    let mut formats = [TimeFormat::Plain, TimeFormat::Seconds].into_iter();
    match (&event.kind, formats.find(|format| self::variant(*format) == variant)) {
        (EventKind::Posted(message), Some(format)) => {
            let mode = Some(Operation::GetMessages.name().into());
            Ok(Reply {
                chat_id: Some(message.flow.get()),
                messages: Some(vec![row(format, message)]),
                ..Reply::new(mode, WireTime::new(event.occurred_at, format))
            })
        }
        _ => Err(Unsupported { dialect: ID, what: event.name() }),
    }
}

/// The variant of pushes with this form of timestamps.
pub(super) fn variant(format: TimeFormat) -> Variant {
    match format {
        TimeFormat::Plain => Variant(0),
        TimeFormat::Seconds => Variant(1),
    }
}

fn chat(viewer: Option<UserId>, summary: &FlowSummary) -> wire::Chat<'_> {
    let flow = &summary.flow;
    let chat_name = match viewer {
        Some(viewer) => summary.title_for(viewer, |member| &member.username).into(),
        // A response from a wire without identities does not show which member is the viewer.
        None if flow.title.is_empty() => {
            let names: Vec<_> = summary.members.iter().map(|member| &*member.username).collect();
            names.join(", ").into()
        }
        None => Cow::Borrowed(flow.title.as_str()),
    };
    let chat_type = match flow.kind {
        FlowKind::Chat => ChatType::Personal,
        FlowKind::Group | FlowKind::Channel => ChatType::Group,
    };
    wire::Chat { chat_id: flow.id.get(), chat_name, chat_type }
}

fn row(format: TimeFormat, message: &Message) -> wire::Message<'_> {
    wire::Message {
        message_id: message.id.get(),
        from_id: message.author.id.get(),
        from_name: Cow::Borrowed(&message.author.username),
        content: message.content.text_naming_files(),
        content_type: Cow::Borrowed(wire::content_type_name(&message.content.content_type)),
        content_time: WireTime::new(message.posted_at, format),
    }
}
