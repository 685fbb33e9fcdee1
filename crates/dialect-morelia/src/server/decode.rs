//! Frames to requests: protocols/morelia/SPEC.md, sections "Frames" and "Methods".

use crate::errors::bad_request;
use crate::schema;
use crate::wire::{self, Form, MAX_MESSAGES, MAX_VALUES, Method};
use serde_json::Value;
use std::borrow::Cow;
use tolmach_dialect::errors::ErrorBody;
use tolmach_dialect::{Correlation, Request, ViolationKind, json};
use tolmach_domain::{
    Command, Content, Credentials, FlowId, FlowKindFilter, GrantKind, MessageId, NewMessage,
    Registration, Secret, Timestamp, UserId, UserRef,
};

/// The longest unknown `type` that is repeated, in characters.
const MAX_REPEATED_TYPE: usize = 64;

/// The `type` of a reply to a frame whose own cannot be repeated.
const UNUSABLE_TYPE: &str = "error";

/// The place of a message's id, or of its key.
const MESSAGE_ID: &str = "/data/message/id";

/// The expectation of an integer.
const INTEGER: &str = "an integer below 2^53";

/// A value of a request, or the refusal of the request.
type Checked<T> = Result<T, ErrorBody<u16>>;

/// The part of a request that its reply needs.
pub(super) struct RequestInfo {
    pub(super) method: Method,
    /// The `type`, which the reply repeats.
    pub(super) kind: &'static str,
    /// The form of the request, which the reply has too.
    pub(super) form: Form,
    /// The `id` and `auth_id`, which some replies repeat.
    pub(super) signature: Option<(UserId, Secret)>,
    /// The login of an account to delete.
    pub(super) login: Option<String>,
}

/// A frame that is no request, and its reply.
pub(super) struct Rejection {
    pub(super) violation: ViolationKind,
    /// The `type` of the reply.
    pub(super) kind: Cow<'static, str>,
    pub(super) error: ErrorBody<u16>,
}

impl Rejection {
    /// The rejection of a frame whose `type` is not known.
    pub(super) fn unnamed(violation: ViolationKind, detail: impl Into<String>) -> Self {
        Self { violation, kind: Cow::Borrowed(UNUSABLE_TYPE), error: bad_request(detail) }
    }
}

/// Decodes a request.
pub(super) fn request(form: Form, bytes: &[u8], max_depth: usize) -> Result<Request, Rejection> {
    let shape = |detail: &str| Rejection::unnamed(ViolationKind::Shape, detail);
    if wire::has_too_many_values(bytes) {
        return Err(shape(&format!("at most {MAX_VALUES} values are expected")));
    }
    let request: Value = json::parse(bytes, max_depth)
        .map_err(|error| Rejection::unnamed(error.violation_kind(), error.expectation()))?;
    let Value::Object(object) = &request else {
        return Err(shape("a JSON object is expected"));
    };
    let Some(named) = object.get("type").and_then(Value::as_str) else {
        return Err(shape("/type: a string is expected"));
    };
    let Some((method, kind)) = Method::from_type(named) else {
        let rejection = Rejection::unnamed(ViolationKind::UnknownMethod, "unknown type");
        return Err(match named.chars().nth(MAX_REPEATED_TYPE) {
            None => Rejection { kind: Cow::Owned(named.to_owned()), ..rejection },
            Some(_) => rejection,
        });
    };
    let (credentials, command) = decode(method, request).map_err(|error| Rejection {
        violation: ViolationKind::Shape,
        kind: Cow::Borrowed(kind),
        error,
    })?;
    let signature = match &credentials {
        Credentials::TokenOf(user, token) => Some((*user, token.clone())),
        _ => None,
    };
    let login = match &command {
        Command::DeleteAccount { login, .. } => Some(login.clone()),
        _ => None,
    };
    let info = RequestInfo { method, kind, form, signature, login };
    Ok(Request::new(Correlation::new(info), credentials, command))
}

/// The credentials and the command of a request, which is validated first.
fn decode(method: Method, request: Value) -> Checked<(Credentials, Command)> {
    check_version(&request)?;
    schema::check(method, &request).map_err(bad_request)?;
    let mut values = Values(request);
    let (user, token) = match method {
        Method::RegisterUser | Method::Authentication => (None, None),
        _ => (values.id("/data/user/id")?, values.text("/data/user/auth_id").map(Secret::new)),
    };
    if method.is_signed() {
        check_author(user, &mut values)?;
    }
    let command = command(method, user, &mut values)?;
    let credentials = match (user, token) {
        (Some(user), Some(token)) => Credentials::TokenOf(user, token),
        (None, Some(token)) => Credentials::Token(token),
        (_, None) => Credentials::Nothing,
    };
    Ok((credentials, command))
}

/// Checks the version; none is 1.0, and a `jsonapi` of another shape is left to the schema.
fn check_version(request: &Value) -> Checked<()> {
    let served = match request.get("jsonapi").and_then(|jsonapi| jsonapi.get("version")) {
        None | Some(Value::Null) => true,
        Some(Value::String(version)) => version == "1.0",
        Some(version) => version.as_f64() == Some(wire::VERSION),
    };
    let detail = "/jsonapi/version: the versions served are: 1.0";
    if served { Ok(()) } else { Err(bad_request(detail)) }
}

/// Refuses a message in another user's name, before the credentials are verified: the answer does
/// not depend on them.
fn check_author(user: Option<UserId>, values: &mut Values) -> Checked<()> {
    const AUTHOR: &str = "/data/message/from_user/id";
    match values.integer(AUTHOR)? {
        Some(author) if user.map(UserId::get) != Some(author) => {
            let detail = format!("{AUTHOR}: only the author may write in this name");
            Err(ErrorBody::new(403, detail))
        }
        _ => Ok(()),
    }
}

fn command(method: Method, user: Option<UserId>, values: &mut Values) -> Checked<Command> {
    Ok(match method {
        Method::RegisterUser => {
            let (login, password) = login(values)?;
            Command::Register(Box::new(Registration {
                login: Some(login),
                password,
                username: values.text("/data/user/username"),
                email: values.text("/data/user/email"),
                phone: None,
                bot: values.take("/data/user/is_bot").as_bool().unwrap_or_default(),
                bio: values.text("/data/user/bio"),
                avatar: values.text("/data/user/avatar"),
                profile: true,
                grant: GrantKind::Token,
            }))
        }
        Method::Authentication => {
            let (identifier, password) = login(values)?;
            Command::Login { identifier: identifier.into(), password, grant: GrantKind::Token }
        }
        Method::DeleteUser => {
            let (login, password) = login(values)?;
            Command::DeleteAccount { user, login, password }
        }
        Method::GetUpdate => {
            let flow = flow(values)?;
            Command::GetChanges { since: since(values)?, flow, limit: MAX_MESSAGES }
        }
        Method::AllMessages => {
            Command::GetChanges { since: since(values)?, flow: None, limit: MAX_MESSAGES }
        }
        Method::AllFlow => Command::ListFlows { limit: None, offset: 0, members: false },
        Method::UserInfo => Command::GetUser { user: UserRef::Me },
        Method::SendMessage => {
            let flow =
                flow(values)?.ok_or_else(|| expected("/data/flow/id", "the flow to post to"))?;
            let key = values.integer(MESSAGE_ID)?.ok_or_else(|| expected(MESSAGE_ID, INTEGER))?;
            Command::Send(Box::new(NewMessage {
                flow,
                kinds: FlowKindFilter::Any,
                content: content(values)?,
                key: Some(key.to_string()),
            }))
        }
        Method::EditedMessage => Command::Edit {
            message: message(values)?,
            flow: flow(values)?,
            text: values.required_text("/data/message/text")?,
        },
        Method::DeleteMessage => {
            let messages = vec![message(values)?];
            Command::Delete { messages, flow: flow(values)?, all_or_none: false }
        }
    })
}

fn login(values: &mut Values) -> Checked<(String, Secret)> {
    let login = values.required_text("/data/user/login")?;
    Ok((login, Secret::new(values.required_text("/data/user/password")?)))
}

fn since(values: &mut Values) -> Checked<Timestamp> {
    const TIME: &str = "/data/time";
    let time = values.take(TIME).as_f64().and_then(Timestamp::from_seconds);
    time.ok_or_else(|| expected(TIME, "seconds since the epoch"))
}

/// The flow: `flow` goes before `message.from_flow`.
fn flow(values: &mut Values) -> Checked<Option<FlowId>> {
    values.first_id(["/data/flow/id", "/data/message/from_flow/id"])
}

fn message(values: &mut Values) -> Checked<MessageId> {
    values.id(MESSAGE_ID)?.ok_or_else(|| expected(MESSAGE_ID, INTEGER))
}

fn content(values: &mut Values) -> Checked<Content> {
    let file = serde_json::from_value::<Option<wire::File<'_>>>(values.take("/data/message/file"));
    let file = file.ok().flatten().unwrap_or_default();
    Ok(Content {
        attachments: file.attachments(),
        emoji: values.text("/data/message/emoji").filter(|emoji| !emoji.is_empty()),
        // The document has it in the message in one place and beside it in another.
        reply_to: values.first_id(["/data/message/reply_to", "/data/reply_to"])?,
        ..Content::text(values.text("/data/message/text").unwrap_or_default())
    })
}

fn expected(pointer: &str, what: &str) -> ErrorBody<u16> {
    bad_request(format!("{pointer}: {what} is expected"))
}

/// A request whose values are taken out of it by JSON pointer, so that large texts are moved, not
/// copied. Its schema has been validated.
struct Values(Value);

impl Values {
    /// A value; null where there is none.
    fn take(&mut self, pointer: &str) -> Value {
        let mut keys = pointer.split('/').skip(1);
        let value = keys.try_fold(&mut self.0, |value, key| value.get_mut(key));
        value.map(Value::take).unwrap_or_default()
    }

    fn text(&mut self, pointer: &str) -> Option<String> {
        match self.take(pointer) {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    fn required_text(&mut self, pointer: &str) -> Checked<String> {
        self.text(pointer).ok_or_else(|| expected(pointer, "a string"))
    }

    /// An integer, unless it is null. In a JSON Schema `1.0` is an integer too.
    fn integer(&mut self, pointer: &str) -> Checked<Option<i64>> {
        const EXACT: f64 = 9_007_199_254_740_991.0;
        let whole =
            |number: f64| (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64);
        let value = self.take(pointer);
        let integer = value.as_i64().or_else(|| value.as_f64().and_then(whole));
        if integer.is_none() && !value.is_null() {
            return Err(expected(pointer, INTEGER));
        }
        Ok(integer)
    }

    fn id<T: TryFrom<i64>>(&mut self, pointer: &str) -> Checked<Option<T>> {
        let id = self.integer(pointer)?.map(T::try_from).transpose();
        id.map_err(|_| expected(pointer, "an id"))
    }

    /// The first id that is there.
    fn first_id<T: TryFrom<i64>>(&mut self, pointers: [&str; 2]) -> Checked<Option<T>> {
        let first = self.id(pointers[0])?;
        if first.is_some() { Ok(first) } else { self.id(pointers[1]) }
    }
}
