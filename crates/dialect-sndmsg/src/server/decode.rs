//! Requests from the wire: protocols/sndmsg/SPEC.md, section "Operations".

use super::caller::Caller;
use crate::wire::{self, MessageType, Operation};
use std::borrow::Cow;
use tolmach_dialect::WireNames;
use tolmach_dialect::errors::RequestError;
use tolmach_dialect::field::{Field, FieldError, Integer};
use tolmach_domain::{
    Command, Content, ContentType, Fault, FlowId, FlowKindFilter, GrantKind, HistoryRange,
    MessageId, NewMessage, Registration, Secret, UserRef,
};

/// The most users that one search finds.
const MAX_FOUND_USERS: u32 = 50;

/// The command of a request.
pub(super) fn command(
    operation: Operation,
    request: wire::Request<'_>,
    caller: Option<&Caller>,
) -> Result<Command, RequestError> {
    Ok(match operation {
        Operation::Login => Command::Login {
            identifier: request.login.required("login")?.into_owned().into(),
            password: Secret::new(request.pass.required("pass")?),
            grant: GrantKind::Connection,
        },
        Operation::Signup => {
            let login = request.login.required("login")?;
            let password = Secret::new(request.pass.required("pass")?);
            Command::Register(Box::new(Registration::new(login, password, GrantKind::Nothing)))
        }
        Operation::CreateRoom => {
            check_username(request.username, caller)?;
            let customer = request.customer.required("customer")?.into_owned();
            Command::OpenChat { with: UserRef::Login(customer) }
        }
        Operation::SendMessage => {
            check_username(request.username, caller)?;
            let flow = room("room_id", request.room_id)?;
            let text = request.message.required("message")?;
            let content_type = content_type(request.msg_type)?;
            let content = Content { content_type, ..Content::text(text) };
            let kinds = FlowKindFilter::Any;
            Command::Send(Box::new(NewMessage { flow, kinds, content, key: None }))
        }
        Operation::ReadMessage => {
            let range = history_range(request.read)?;
            let flow = room("room_id", request.room_id)?;
            Command::History { flow, kinds: FlowKindFilter::Any, range, mark_read: true }
        }
        Operation::SearchUser => Command::SearchUsers {
            query: request.user.required("user")?.into_owned(),
            limit: MAX_FOUND_USERS,
        },
        Operation::DeleteRoom => {
            Command::DeleteFlow { flow: room("id", request.id)?, kinds: FlowKindFilter::Any }
        }
        Operation::DeleteMessage => {
            let messages = vec![message(request.id)?];
            Command::Delete { messages, flow: None, all_or_none: false }
        }
        Operation::EditMessage => Command::Edit {
            message: message(request.id)?,
            flow: None,
            text: request.new_msg.required("new_msg")?.into_owned(),
        },
        Operation::OldDialogs => {
            check_username(request.username, caller)?;
            Command::ListFlows { limit: None, offset: 0, members: false }
        }
    })
}

/// Fails if a request names another user than the caller. Before a login every name is
/// accepted here: the engine refuses the request.
fn check_username(
    username: Field<Cow<'_, str>>,
    caller: Option<&Caller>,
) -> Result<(), FieldError> {
    let username = username.required("username")?;
    match caller {
        Some(caller) if !caller.is_named(&username) => {
            Err(FieldError { field: "username", reason: "your own login is expected" })
        }
        _ => Ok(()),
    }
}

fn room(name: &'static str, field: Field<Integer>) -> Result<FlowId, RequestError> {
    Ok(field.required(name)?.id().ok_or(Fault::NoSuchFlow)?)
}

fn message(field: Field<Integer>) -> Result<MessageId, RequestError> {
    Ok(field.required("id")?.id().ok_or(Fault::NoSuchMessage)?)
}

fn content_type(field: Field<Cow<'_, str>>) -> Result<ContentType, FieldError> {
    let Some(name) = field.optional("msg_type")? else { return Ok(ContentType::Text) };
    let reason = "\"TEXT\", \"FILE\" or \"IMAGE\" is expected";
    MessageType::from_name(&name)
        .map(MessageType::content_type)
        .ok_or(FieldError { field: "msg_type", reason })
}

fn history_range(field: Field<Cow<'_, str>>) -> Result<HistoryRange, FieldError> {
    match field.optional("read")?.as_deref() {
        None | Some("RESENT" | "RECENT") => Ok(HistoryRange::Unread),
        Some("ALL") => Ok(HistoryRange::All),
        Some(_) => Err(FieldError { field: "read", reason: "\"ALL\" or \"RESENT\" is expected" }),
    }
}
