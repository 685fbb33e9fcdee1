//! Requests to frames: protocols/morelia/SPEC.md, section "Methods".

use super::decode::Expected;
use crate::wire::{self, FlowRef, Method, RequestData, RequestMessage, User, unsupported};
use std::borrow::Cow;
use tolmach_dialect::{Credentials, Request, Unsupported};
use tolmach_domain::{
    Authority, Command, GrantKind, MessageId, NewMessage, Registration, Secret, Timestamp, UserId,
    UserRef,
};

/// A request before its session signs it.
pub(super) struct Draft<'a> {
    pub(super) method: Method,
    pub(super) expected: Expected,
    data: RequestData<'a>,
    request: &'a Request,
}

/// The draft of a request.
pub(super) fn draft(request: &Request) -> Result<Draft<'_>, Unsupported> {
    let unsupported = unsupported(request.command.name());
    let (method, expected, data) = parts(request).ok_or(unsupported.clone())?;
    let provable = match &request.credentials {
        Credentials::TokenOf(..) | Credentials::Connection => true,
        Credentials::Nothing | Credentials::Token(_) => !method.is_signed(),
        Credentials::Bearer(_) => !method.is_signed() && method != Method::DeleteUser,
    };
    if request.authority == Authority::Administrator || !provable {
        return Err(unsupported);
    }
    Ok(Draft { method, expected, data, request })
}

impl<'a> Draft<'a> {
    /// Signs it. Fails where a signature is needed and there is none, and where it is another
    /// user's than the one whose account is to be deleted.
    pub(super) fn sign(
        &mut self,
        signature: Option<(UserId, &'a Secret)>,
    ) -> Result<(), Unsupported> {
        let user = &mut self.data.user;
        match (self.method, signature) {
            (Method::RegisterUser | Method::Authentication, _) | (Method::DeleteUser, None) => {}
            (_, Some((signer, token))) if user.id.is_none_or(|id| id == signer.get()) => {
                user.id = Some(signer.get());
                user.auth_id = Some(Cow::Borrowed(token.expose()));
            }
            _ => return Err(unsupported(self.request.command.name())),
        }
        Ok(())
    }

    /// The frame. A message without a key gets `key`.
    pub(super) fn frame(mut self, now: Timestamp, key: i64) -> wire::Request<'a> {
        if let Some(message) = &mut self.data.message {
            message.time = now.seconds();
            if matches!(&self.request.command, Command::Send(message) if message.key.is_none()) {
                message.id = key;
            }
        }
        wire::Request {
            kind: self.method.request_type(),
            data: self.data,
            jsonapi: wire::Version::default(),
            meta: (),
        }
    }
}

/// The method of a request, the expected reply, and the `data` without a signature; `None` where
/// this wire has none.
fn parts(request: &Request) -> Option<(Method, Expected, RequestData<'_>)> {
    let data = RequestData::default();
    Some(match &request.command {
        Command::Register(registration) => {
            let data = RequestData { user: register(registration)?, ..data };
            (Method::RegisterUser, Expected::Grant(registration.grant), data)
        }
        Command::Login { grant: GrantKind::Pair, .. } => return None,
        Command::Login { identifier, password, grant } => {
            let data = RequestData { user: by_password(identifier.as_str(), password), ..data };
            (Method::Authentication, Expected::Grant(*grant), data)
        }
        Command::DeleteAccount { user, login, password } => {
            let auth_id = match &request.credentials {
                Credentials::Token(token) => Some(token.expose().into()),
                _ => None,
            };
            let id = user.map(UserId::get);
            let user = User { id, auth_id, ..by_password(login, password) };
            (Method::DeleteUser, Expected::AccountDeleted, RequestData { user, ..data })
        }
        Command::GetUser { user: UserRef::Me } => (Method::UserInfo, Expected::User, data),
        Command::ListFlows { limit, offset, members: _ } => {
            (Method::AllFlow, Expected::Flows { limit: *limit, offset: *offset }, data)
        }
        Command::GetChanges { since, flow, limit: _ } => {
            let (time, flow) = (Some(since.seconds()), flow.map(FlowRef::from));
            (Method::GetUpdate, Expected::Changes, RequestData { time, flow, ..data })
        }
        Command::Send(message) => {
            let (flow, message) = (Some(message.flow.into()), Some(send(message)?));
            (Method::SendMessage, Expected::Sent, RequestData { flow, message, ..data })
        }
        // Only with its flow: the reply is empty, and an edited message has one.
        Command::Edit { message, flow: Some(flow), text } => {
            let expected = Expected::Edited { message: *message, flow: *flow, text: text.clone() };
            let message =
                RequestMessage { id: message.get(), text: Some(text), ..Default::default() };
            let (flow, message) = (Some((*flow).into()), Some(message));
            (Method::EditedMessage, expected, RequestData { flow, message, ..data })
        }
        Command::Delete { messages, flow, all_or_none: _ } => {
            let [message] = messages[..] else { return None };
            let expected = Expected::Deleted { message };
            let message = Some(RequestMessage { id: message.get(), ..Default::default() });
            let flow = flow.map(FlowRef::from);
            (Method::DeleteMessage, expected, RequestData { flow, message, ..data })
        }
        _ => return None,
    })
}

fn register(registration: &Registration) -> Option<User<'_>> {
    if registration.grant == GrantKind::Pair {
        return None;
    }
    let login = registration.login.as_ref().or(registration.email.as_ref())?;
    Some(User {
        username: registration.username.as_deref().map(Cow::Borrowed),
        is_bot: registration.bot.then_some(true),
        email: registration.email.as_deref().map(Cow::Borrowed),
        avatar: registration.avatar.as_deref().map(Cow::Borrowed),
        bio: registration.bio.as_deref().map(Cow::Borrowed),
        ..by_password(login, &registration.password)
    })
}

fn by_password<'a>(login: &'a str, password: &'a Secret) -> User<'a> {
    User { login: Some(login.into()), password: Some(password.expose()), ..User::default() }
}

/// The message to send; `None` where two of its files are of one kind, which the wire has one place
/// for.
fn send(message: &NewMessage) -> Option<RequestMessage<'_>> {
    let content = &message.content;
    let files = &content.attachments;
    let kinds = || files.iter().map(|file| file.kind);
    if (1..files.len()).any(|place| kinds().take(place).any(|kind| kind == files[place].kind)) {
        return None;
    }
    Some(RequestMessage {
        id: message.key.as_deref().map_or(0, wire::number_of_key),
        text: Some(&content.text),
        time: 0.0,
        file: wire::File::new(files),
        emoji: content.emoji.as_deref().filter(|emoji| !emoji.is_empty()),
        reply_to: content.reply_to.map(MessageId::get),
    })
}
