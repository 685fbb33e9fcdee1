//! Replies and pushes for the wire: protocols/sndmsg/SPEC.md, sections "Operations" and "Pushes".

use super::caller::Caller;
use crate::errors;
use crate::wire::{ID, Ids, MessageType, Operation, Reply, Status, same_login};
use std::borrow::Cow;
use tolmach_dialect::{Event, Unsupported, Variant};
use tolmach_domain::{
    Answer, Command, EventKind, Fault, Flow, FlowId, FlowKind, FlowSummary, Message, MessageId,
    UserRef, UserSummary,
};

/// The one variant of pushes.
pub(super) const SHARED: Variant = Variant(0);

/// The properties of a request that its reply depends on.
pub(super) struct ReplyForm {
    pub(super) operation: Operation,
    /// The `login` of `REQUEST_LOGIN`, the `customer` of `CREATE_ROOM`.
    pub(super) name: Option<String>,
    /// The room of `SND_MSG`.
    flow: Option<FlowId>,
}

impl ReplyForm {
    /// The properties of the request that made a command.
    pub(super) fn new(operation: Operation, command: &Command) -> Self {
        let (name, flow) = match command {
            Command::Login { identifier, .. } => (Some(identifier.as_str().to_owned()), None),
            Command::OpenChat { with: UserRef::Login(name) } => (Some(name.clone()), None),
            Command::Send(message) => (None, Some(message.flow)),
            _ => (None, None),
        };
        Self { operation, name, flow }
    }
}

/// The replies to a request that was granted: one for each message of a history, else one.
pub(super) fn replies<'a>(
    form: &'a ReplyForm,
    answer: &'a Answer,
    caller: Option<&Caller>,
) -> Result<Vec<Reply<'a>>, Unsupported> {
    let operation = form.operation;
    let reply = Reply::new(operation);
    let with_status = |status| Reply::with_status(operation, status);
    Ok(vec![match (operation, answer) {
        (Operation::Login, Answer::Granted(_)) => with_status(Status::LoginOk),
        (Operation::Signup, Answer::Granted(_)) => with_status(Status::SignupOk),
        (Operation::CreateRoom, Answer::ChatOpened { flow, with, created: _ }) => {
            // The name as the request wrote it: clients match replies to requests by it.
            let customer = form.name.as_deref().or(with.as_ref().map(|with| &*with.login));
            let customer = customer.map(Cow::Borrowed);
            Reply { id: Some(Ids::One(flow.get())), customer, ..reply }
        }
        (Operation::SendMessage, Answer::Sent { message, repeated: _ }) => Reply {
            room_id: form.flow.map(FlowId::get),
            message_id: message.as_ref().map(|message| message.id.get()),
            date: message.as_ref().map(|message| message.posted_at.rfc3339_micros().into()),
            ..with_status(Status::Success)
        },
        (Operation::ReadMessage, Answer::History(page)) if page.messages.is_empty() => {
            Reply { room_id: Some(page.flow.get()), ..with_status(Status::Success) }
        }
        (Operation::ReadMessage, Answer::History(page)) => {
            return Ok(page.messages.iter().map(row).collect());
        }
        (Operation::SearchUser, Answer::Users(users)) => {
            let logins = users.iter().map(|user| user.login.as_str().into());
            Reply { user: Some(logins.collect()), ..reply }
        }
        (Operation::DeleteRoom, Answer::FlowDeleted { flow }) => room_deletion(*flow),
        (Operation::DeleteMessage, Answer::Deleted { deleted, left: _ }) => match deleted.first() {
            Some(message) => deletion(*message),
            None => errors::encode(operation, &Fault::NoSuchMessage, false),
        },
        (Operation::EditMessage, Answer::Edited(message)) => edit(message),
        (Operation::OldDialogs, Answer::Flows(flows)) => {
            let firsts = flows.iter().map(|summary| summary.first.map_or(0, MessageId::get));
            Reply {
                dialogs: Some(flows.iter().map(|summary| title(caller, summary)).collect()),
                id: Some(Ids::Each(flows.iter().map(|summary| summary.flow.id.get()).collect())),
                first_massage_id: Some(firsts.collect()),
                ..reply
            }
        }
        _ => return Err(Unsupported { dialect: ID, what: operation.reply_type() }),
    }])
}

/// The push of an event whose frame is the same for all connections.
pub(crate) fn push(event: &Event, variant: Variant) -> Result<Reply<'_>, Unsupported> {
    let reply = match &event.kind {
        _ if variant != SHARED => None,
        EventKind::Posted(message) => Some(row(message)),
        EventKind::Edited(message) => Some(edit(message)),
        EventKind::FlowDeleted { flow, .. } => Some(room_deletion(*flow)),
        EventKind::Deleted { messages, .. } if messages.len() == 1 => Some(deletion(messages[0].0)),
        _ => None,
    };
    reply.ok_or(Unsupported { dialect: ID, what: event.name() })
}

/// The push of a new room of two, whose `customer` is the other one than the caller. `None` for
/// other flows.
pub(super) fn new_room<'a>(
    flow: &Flow,
    members: &'a [UserSummary],
    caller: Option<&Caller>,
) -> Option<Reply<'a>> {
    let caller = caller.filter(|_| flow.kind == FlowKind::Chat)?;
    let customer = members.iter().find(|member| !caller.is_named(&member.login))?;
    let customer = Some(Cow::Borrowed(&*customer.login));
    let id = Some(Ids::One(flow.id.get()));
    Some(Reply { id, customer, ..Reply::new(Operation::CreateRoom) })
}

/// The reply to the deletion of a message, and its push.
pub(super) fn deletion<'a>(message: MessageId) -> Reply<'a> {
    Reply { id: Some(Ids::One(message.get())), ..Reply::new(Operation::DeleteMessage) }
}

fn room_deletion<'a>(flow: FlowId) -> Reply<'a> {
    Reply { id: Some(Ids::One(flow.get())), ..Reply::new(Operation::DeleteRoom) }
}

fn edit(message: &Message) -> Reply<'_> {
    let new_msg = Some(message.content.text_naming_files());
    let id = Some(Ids::One(message.id.get()));
    Reply { id, new_msg, ..Reply::new(Operation::EditMessage) }
}

fn row(message: &Message) -> Reply<'_> {
    Reply {
        room_id: Some(message.flow.get()),
        message_id: Some(message.id.get()),
        msg_type: Some(MessageType::nearest(&message.content.content_type)),
        message: Some(message.content.text_naming_files()),
        date: Some(message.posted_at.rfc3339_micros().into()),
        sender: Some(Cow::Borrowed(&message.author.login)),
        ..Reply::with_status(Operation::ReadMessage, Status::Success)
    }
}

/// The title of a room for the caller: the other one's login for a room of two.
fn title<'a>(caller: Option<&Caller>, summary: &'a FlowSummary) -> Cow<'a, str> {
    let is_other = |login: &str| !caller.is_some_and(|caller| same_login(&caller.login, login));
    let other = match summary.flow.kind {
        FlowKind::Chat => summary
            .members
            .iter()
            .find(|member| is_other(&member.login))
            .or(summary.members.first()),
        FlowKind::Group | FlowKind::Channel => None,
    };
    Cow::Borrowed(other.map_or(summary.flow.title.as_str(), |member| member.login.as_str()))
}
