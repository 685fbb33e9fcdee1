//! Commands of the fields that were found in a frame.

use super::record::{Found, Record, RecordError};
use super::shapes::Operation;
use tolmach_domain::{
    Attachment, AttachmentKind, Command, Content, ContentType, Fault, FlowKind, FlowKindFilter,
    GrantKind, HistoryRange, NewFlow, NewMessage, Profile, RecoveryIdentifier, Registration,
    Secret, UserRef,
};

/// The messages of a request for changes that names no number.
const CHANGES_LIMIT: u32 = 1_000;

/// The command of an operation with these fields.
pub(crate) fn command(operation: Operation, mut record: Record) -> Result<Command, RecordError> {
    let fields = &mut record;
    Ok(match operation {
        Operation::Register => Command::Register(Box::new(Registration {
            login: fields.optional_text("login"),
            password: Secret::new(fields.text("password")?),
            username: fields.optional_text("username"),
            email: fields.optional_text("email"),
            phone: fields.optional_text("phone"),
            bot: fields.flag("bot").unwrap_or_default(),
            bio: fields.optional_text("bio"),
            avatar: fields.optional_text("avatar"),
            profile: fields.flag("profile").ok_or(RecordError::Missing("profile"))?,
            grant: grant(fields)?,
        })),
        Operation::Login => Command::Login {
            identifier: fields.text("identifier")?.into(),
            password: Secret::new(fields.text("password")?),
            grant: grant(fields)?,
        },
        Operation::Refresh => Command::Refresh { token: Secret::new(fields.text("token")?) },
        Operation::Logout => Command::Logout { login: fields.optional_text("login") },
        Operation::Recover => {
            let mut known = fields.record("known").unwrap_or_default();
            let identifier = match (known.optional_text("email"), known.optional_text("login")) {
                (Some(email), _) => RecoveryIdentifier::Email(email),
                (None, Some(login)) => RecoveryIdentifier::Login(login),
                (None, None) => return Err(RecordError::Missing("known")),
            };
            Command::Recover { identifier }
        }
        Operation::ResetPassword => Command::ResetPassword {
            token: Secret::new(fields.text("token")?),
            password: Secret::new(fields.text("password")?),
        },
        Operation::DeleteAccount => Command::DeleteAccount {
            user: fields.optional_id("user", Fault::NoSuchUser)?,
            login: fields.text("login")?,
            password: Secret::new(fields.text("password")?),
        },
        Operation::CreateProfile => Command::CreateProfile(Box::new(Profile {
            username: fields.text("username")?,
            name: fields.text("name")?,
            bio: fields.optional_text("bio").unwrap_or_default(),
            photo: None,
        })),
        Operation::GetUser => Command::GetUser { user: reference(fields, "who")? },
        Operation::SearchUsers => Command::SearchUsers {
            query: fields.text("query")?,
            limit: count(fields, "limit")?.ok_or(RecordError::Missing("limit"))?,
        },
        Operation::OpenChat => match reference(fields, "with")? {
            UserRef::Me => return Err(RecordError::Missing("with")),
            with => Command::OpenChat { with },
        },
        Operation::CreateFlow => Command::CreateFlow(Box::new(NewFlow {
            kind: kind(fields)?,
            title: fields.text("title")?,
            info: fields.optional_text("info").unwrap_or_default(),
            members: fields.ids("members", &Fault::NoSuchUser)?.unwrap_or_default(),
            photo: None,
            key: fields.optional_text("key"),
        })),
        Operation::DeleteFlow => Command::DeleteFlow {
            flow: fields.id("flow", Fault::NoSuchFlow)?,
            kinds: kinds(fields),
        },
        Operation::GetFlow => Command::GetFlow {
            flow: fields.id("flow", Fault::NoSuchFlow)?,
            kinds: kinds(fields),
            members: fields.flag("members").unwrap_or_default(),
        },
        Operation::AddMembers => Command::AddMembers {
            flow: fields.id("flow", Fault::NoSuchFlow)?,
            users: fields.ids("users", &Fault::NoSuchUser)?.ok_or(RecordError::Missing("users"))?,
        },
        Operation::RemoveMembers => Command::RemoveMembers {
            flow: fields.id("flow", Fault::NoSuchFlow)?,
            users: fields.ids("users", &Fault::NoSuchUser)?.ok_or(RecordError::Missing("users"))?,
        },
        Operation::ListFlows => Command::ListFlows {
            limit: count(fields, "limit")?,
            offset: count(fields, "offset")?.unwrap_or_default(),
            members: fields.flag("members").unwrap_or_default(),
        },
        Operation::Send => Command::Send(Box::new(NewMessage {
            flow: fields.id("flow", Fault::NoSuchFlow)?,
            kinds: kinds(fields),
            key: fields.optional_text("key"),
            content: content(fields)?,
        })),
        Operation::Edit => Command::Edit {
            message: fields.id("message", Fault::NoSuchMessage)?,
            flow: fields.optional_id("flow", Fault::NoSuchFlow)?,
            text: fields.text("text")?,
        },
        Operation::Delete => Command::Delete {
            messages: fields
                .ids("messages", &Fault::NoSuchMessage)?
                .ok_or(RecordError::Missing("messages"))?,
            flow: fields.optional_id("flow", Fault::NoSuchFlow)?,
            all_or_none: fields.flag("all_or_none").unwrap_or_default(),
        },
        Operation::History => Command::History {
            flow: fields.id("flow", Fault::NoSuchFlow)?,
            kinds: kinds(fields),
            range: range(fields)?,
            mark_read: fields.flag("mark_read").unwrap_or_default(),
        },
        Operation::GetChanges => Command::GetChanges {
            since: fields.time("since")?,
            flow: fields.optional_id("flow", Fault::NoSuchFlow)?,
            limit: count(fields, "limit")?.unwrap_or(CHANGES_LIMIT),
        },
        Operation::ShowTyping => Command::ShowTyping {
            flow: fields.id("flow", Fault::NoSuchFlow)?,
            active: fields.flag("active").ok_or(RecordError::Missing("active"))?,
        },
        // The engine proves the credentials, and the answer is not looked at.
        Operation::Nothing => Command::GetUser { user: UserRef::Me },
    })
}

fn grant(fields: &mut Record) -> Result<GrantKind, RecordError> {
    Ok(match fields.word("grant").ok_or(RecordError::Missing("grant"))? {
        "connection" => GrantKind::Connection,
        "token" => GrantKind::Token,
        "pair" => GrantKind::Pair,
        _ => GrantKind::Nothing,
    })
}

fn kinds(fields: &mut Record) -> FlowKindFilter {
    match fields.word("kinds") {
        Some("chat") => FlowKindFilter::Chat,
        Some("shared") => FlowKindFilter::Shared,
        _ => FlowKindFilter::Any,
    }
}

fn kind(fields: &mut Record) -> Result<FlowKind, RecordError> {
    match fields.take("kind") {
        Some(Found::FlowKind(kind)) => Ok(kind),
        _ => Err(RecordError::Missing("kind")),
    }
}

fn range(fields: &mut Record) -> Result<HistoryRange, RecordError> {
    Ok(match fields.word("window").ok_or(RecordError::Missing("window"))? {
        "unread" => HistoryRange::Unread,
        "newest" => HistoryRange::Newest {
            limit: count(fields, "limit")?.ok_or(RecordError::Missing("limit"))?,
            offset: count(fields, "offset")?.unwrap_or_default(),
        },
        _ => HistoryRange::All,
    })
}

/// A number of things.
fn count(fields: &mut Record, name: &'static str) -> Result<Option<u32>, RecordError> {
    let fault = || Fault::invalid(name, "a number that is not negative is expected");
    fields.integer(name).map(|number| u32::try_from(number).map_err(|_| fault().into())).transpose()
}

/// A user by id or by login, or the caller.
fn reference(fields: &mut Record, name: &'static str) -> Result<UserRef, RecordError> {
    let mut reference = fields.record(name).unwrap_or_default();
    if let Some(id) = reference.optional_id("id", Fault::NoSuchUser)? {
        return Ok(UserRef::Id(id));
    }
    Ok(reference.optional_text("login").map_or(UserRef::Me, UserRef::Login))
}

/// The content of a message.
pub(crate) fn content(fields: &mut Record) -> Result<Content, RecordError> {
    let content_type = match fields.take("content_type") {
        Some(Found::ContentType(content_type)) => content_type,
        _ => ContentType::Text,
    };
    let kinds = [
        ("picture", AttachmentKind::Picture),
        ("video", AttachmentKind::Video),
        ("audio", AttachmentKind::Audio),
        ("document", AttachmentKind::Document),
    ];
    let attachments: Vec<Attachment> = kinds
        .into_iter()
        .filter_map(|(name, kind)| Some(Attachment { kind, data: fields.optional_text(name)? }))
        .collect();
    let emoji = fields.optional_text("emoji");
    let is_text_needed = attachments.is_empty() && emoji.is_none();
    let text = match fields.optional_text("text") {
        Some(text) => text,
        None if is_text_needed => return Err(RecordError::Missing("text")),
        None => String::new(),
    };
    let reply_to = fields.optional_id("reply_to", Fault::NoSuchMessage)?;
    Ok(Content { text, content_type, attachments, emoji, reply_to })
}
