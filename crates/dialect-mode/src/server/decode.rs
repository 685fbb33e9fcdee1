//! Requests from the wire: protocols/mode/SPEC.md, section "Operations".

use crate::wire::{self, Operation};
use std::borrow::Cow;
use tolmach_dialect::errors::RequestError;
use tolmach_dialect::field::FieldError;
use tolmach_domain::{
    Command, Content, ContentType, Credentials, Fault, FlowKindFilter, GrantKind, HistoryRange,
    NewMessage, RecoveryIdentifier, Registration, Secret,
};

/// The credentials and the command of a request.
pub(super) fn request(
    operation: Operation,
    mut request: wire::Request<'_>,
) -> Result<(Credentials, Command), RequestError> {
    let credentials = if operation.needs_token() {
        let token = std::mem::take(&mut request.token).nullable("token")?;
        Credentials::Token(Secret::new(token.ok_or(Fault::Unauthenticated)?))
    } else {
        Credentials::Nothing
    };
    Ok((credentials, command(operation, request)?))
}

fn command(operation: Operation, request: wire::Request<'_>) -> Result<Command, RequestError> {
    Ok(match operation {
        Operation::Register => {
            let username = request.username.required("username")?;
            let password = Secret::new(request.password.required("password")?);
            Command::Register(Box::new(Registration {
                email: request.email.nullable("email")?.map(Cow::into_owned),
                ..Registration::new(username, password, GrantKind::Token)
            }))
        }
        Operation::Auth => Command::Login {
            identifier: request.username.required("username")?.into_owned().into(),
            password: Secret::new(request.password.required("password")?),
            grant: GrantKind::Token,
        },
        Operation::Recovery => {
            request.username.optional("username")?;
            let known_data = request.known_data.required("known_data")?.into_owned();
            let identifier = match &*request.known_data_type.required("known_data_type")? {
                "email" => RecoveryIdentifier::Email(known_data),
                "username" => RecoveryIdentifier::Login(known_data),
                _ => {
                    let reason = "\"email\" or \"username\" is expected";
                    return Err(FieldError { field: "known_data_type", reason }.into());
                }
            };
            Command::Recover { identifier }
        }
        Operation::Logout => {
            Command::Logout { login: request.username.optional("username")?.map(Cow::into_owned) }
        }
        Operation::GetChats => Command::ListFlows { limit: None, offset: 0, members: false },
        Operation::GetMessages => Command::History {
            flow: request.chat_id.required("chat_id")?.id().ok_or(Fault::NoSuchFlow)?,
            kinds: FlowKindFilter::Any,
            range: HistoryRange::All,
            mark_read: false,
        },
        Operation::SendMessage => send(FlowKindFilter::Any, request)?,
        Operation::SendGroupMessage => send(FlowKindFilter::Shared, request)?,
    })
}

fn send(kinds: FlowKindFilter, request: wire::Request<'_>) -> Result<Command, RequestError> {
    let flow = request.chat_id.required("chat_id")?.id().ok_or(Fault::NoSuchFlow)?;
    let text = request.content.required("content")?;
    let content_type = match request.content_type.optional("content_type")? {
        None => ContentType::Text,
        Some(name) => wire::content_type(&name).ok_or(FieldError {
            field: "content_type",
            reason: "1 to 64 characters are expected",
        })?,
    };
    let content = Content { content_type, ..Content::text(text) };
    Ok(Command::Send(Box::new(NewMessage { flow, kinds, content, key: None })))
}
