//! Canonical values as JSON: to show them, and to name the fields in which two of them differ.
//!
//! Left out is what no wire carries as such, or what a proxy makes itself: versions, commit times,
//! read marks, and which tokens are asked for. Secrets are not shown. A field that a client cannot
//! know has the default value in the domain, and `null` here.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tolmach_domain::{
    Answer, Changes, Command, Content, ContentType, EventKind, Fault, Flow, FlowKind,
    FlowKindFilter, FlowSummary, HistoryRange, Message, Photo, PhotoOf, Profile,
    RecoveryIdentifier, Registration, Timestamp, User, UserId, UserRef, UserSummary,
};

/// The text that stands for a password or a token.
const HIDDEN: &str = "hidden";

/// The fields of a command.
pub fn command(command: &Command) -> Value {
    match command {
        Command::Register(registration) => register(registration),
        Command::Login { identifier, password: _, grant: _ } => {
            json!({"login": identifier.as_str(), "password": HIDDEN})
        }
        Command::Refresh { token: _ } => json!({"token": HIDDEN}),
        Command::Logout { login } => json!({"login": login}),
        Command::Recover { identifier } => match identifier {
            RecoveryIdentifier::Email(email) => json!({"email": email}),
            RecoveryIdentifier::Login(login) => json!({"login": login}),
        },
        Command::ResetPassword { token: _, password: _ } => {
            json!({"token": HIDDEN, "password": HIDDEN})
        }
        Command::DeleteAccount { user, login, password: _ } => {
            json!({"user": user.map(UserId::get), "login": login, "password": HIDDEN})
        }
        Command::CreateProfile(profile) => create_profile(profile),
        Command::GetUser { user } | Command::Block { user } | Command::Unblock { user } => {
            json!({"user": user_ref(user)})
        }
        Command::SearchUsers { query, limit } => json!({"query": query, "limit": limit}),
        Command::GetPhoto { of } => match of {
            PhotoOf::User(user) => json!({"user": user.get()}),
            PhotoOf::Flow(flow) => json!({"flow": flow.get()}),
        },
        Command::OpenChat { with } => json!({"with": user_ref(with)}),
        Command::CreateFlow(new) => json!({
            "kind": flow_kind(new.kind),
            "title": new.title,
            "info": new.info,
            "members": new.members.iter().map(|user| user.get()).collect::<Vec<_>>(),
            "photo": new.photo.as_ref().map(photo),
            "key": new.key,
        }),
        Command::DeleteFlow { flow, kinds } => json!({"flow": flow.get(), "kinds": filter(*kinds)}),
        Command::GetFlow { flow, kinds, members } => {
            json!({"flow": flow.get(), "kinds": filter(*kinds), "members": members})
        }
        Command::AddMembers { flow, users } | Command::RemoveMembers { flow, users } => {
            json!({"flow": flow.get(), "users": user_ids(users)})
        }
        Command::ListFlows { limit, offset, members } => {
            json!({"limit": limit, "offset": offset, "members": members})
        }
        Command::Send(new) => json!({
            "flow": new.flow.get(),
            "kinds": filter(new.kinds),
            "content": content(&new.content),
            "key": new.key,
        }),
        Command::Edit { message, flow, text } => {
            json!({"message": message.get(), "flow": flow.map(|flow| flow.get()), "text": text})
        }
        Command::Delete { messages, flow, all_or_none } => json!({
            "messages": messages.iter().map(|message| message.get()).collect::<Vec<_>>(),
            "flow": flow.map(|flow| flow.get()),
            "all_or_none": all_or_none,
        }),
        Command::History { flow, kinds, range, mark_read } => json!({
            "flow": flow.get(),
            "kinds": filter(*kinds),
            "range": history_range(*range),
            "mark_read": mark_read,
        }),
        Command::GetChanges { since, flow, limit } => json!({
            "since": time(*since),
            "flow": flow.map(|flow| flow.get()),
            "limit": limit,
        }),
        Command::ShowTyping { flow, active } => json!({"flow": flow.get(), "active": active}),
        Command::ListBlocked => json!({}),
    }
}

/// The fields of an outcome. A fault has one, its name, and those that it carries.
pub fn outcome(outcome: &Result<Answer, Fault>) -> Value {
    match outcome {
        Ok(granted) => answer(granted),
        Err(fault) => {
            let mut value = json!({"fault": fault.name()});
            if let (Fault::TooMany { retry_after }, Value::Object(fields)) = (fault, &mut value) {
                fields.insert("retry_after".to_owned(), json!(retry_after.as_secs()));
            }
            value
        }
    }
}

/// The fields of an answer.
pub fn answer(answer: &Answer) -> Value {
    match answer {
        Answer::Granted(grant) => json!({"user": grant.user.as_deref().map(user)}),
        Answer::LoggedOut
        | Answer::RecoveryAccepted
        | Answer::PasswordReset
        | Answer::ProfileCreated
        | Answer::TypingShown => json!({}),
        Answer::AccountDeleted { user } | Answer::Blocked { user } | Answer::Unblocked { user } => {
            json!({"user": user.get()})
        }
        Answer::User(found) => json!({"user": user(found)}),
        Answer::Users(found) => json!({"users": found.iter().map(user).collect::<Vec<_>>()}),
        Answer::Photo(found) => json!({"photo": photo(found)}),
        Answer::ChatOpened { flow, with, created } => json!({
            "flow": flow.get(),
            "with": with.as_ref().map(user_summary),
            "created": created,
        }),
        Answer::FlowCreated { flow, title } => json!({"flow": flow.get(), "title": title}),
        Answer::FlowDeleted { flow } => json!({"flow": flow.get()}),
        Answer::Flow(summary) => flow_summary(summary),
        Answer::MembersAdded { flow, users } | Answer::MembersRemoved { flow, users } => {
            json!({"flow": flow.get(), "users": user_ids(users)})
        }
        Answer::Flows(flows) => {
            json!({"flows": flows.iter().map(flow_summary).collect::<Vec<_>>()})
        }
        Answer::Sent { message: sent, repeated } => {
            json!({"message": sent.as_deref().map(message), "repeated": repeated})
        }
        Answer::Edited(edited) => json!({"message": message(edited)}),
        Answer::Deleted { deleted, left } => json!({
            "deleted": deleted.iter().map(|message| message.get()).collect::<Vec<_>>(),
            "left": left.iter().map(|message| message.get()).collect::<Vec<_>>(),
        }),
        Answer::History(page) => json!({
            "flow": page.flow.get(),
            "messages": page.messages.iter().map(message).collect::<Vec<_>>(),
        }),
        Answer::Changes(changes) => changes_since(changes),
    }
}

/// The fields of an event.
pub fn event(kind: &EventKind) -> Value {
    match kind {
        EventKind::Posted(posted) => json!({"message": message(posted)}),
        EventKind::Edited(edited) => json!({"message": message(edited)}),
        EventKind::Deleted { flow, by, messages } => json!({
            "flow": flow.get(),
            "by": by.get(),
            "messages": messages.iter().map(|(message, _)| message.get()).collect::<Vec<_>>(),
        }),
        EventKind::FlowCreated { flow: created, members } => json!({
            "flow": flow(created),
            "members": members.iter().map(user_summary).collect::<Vec<_>>(),
        }),
        EventKind::FlowDeleted { flow, by } => json!({"flow": flow.get(), "by": by.get()}),
        EventKind::MembersAdded { flow, users, version: _ } => json!({
            "flow": flow.get(),
            "users": users.iter().map(user_summary).collect::<Vec<_>>(),
        }),
        EventKind::MembersRemoved { flow, users } => {
            json!({"flow": flow.get(), "users": user_ids(users)})
        }
        EventKind::Typing { flow, user, active } => {
            json!({"flow": flow.get(), "user": user_summary(user), "active": active})
        }
        EventKind::SessionsEnded { user, session: _ } => json!({"user": user.get()}),
    }
}

/// The paths of the fields that `given` has and `arrived` has not, or has with another value:
/// `content.reply_to`, and `messages[].author.id` for each of a list. Lists of different lengths
/// differ as a whole.
pub fn differences(given: &Value, arrived: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    add_differences("", given, arrived, &mut found);
    found
}

fn add_differences(path: &str, given: &Value, arrived: &Value, found: &mut BTreeSet<String>) {
    let absent = Value::Null;
    match (given, arrived) {
        (Value::Object(given), Value::Object(arrived)) => {
            for (key, value) in given {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                add_differences(&path, value, arrived.get(key).unwrap_or(&absent), found);
            }
        }
        (Value::Array(given), Value::Array(arrived)) if given.len() == arrived.len() => {
            let path = format!("{path}[]");
            for (given, arrived) in given.iter().zip(arrived) {
                add_differences(&path, given, arrived, found);
            }
        }
        (given, arrived) if is_empty(given) || given == arrived => {}
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// True for a value that says nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn register(registration: &Registration) -> Value {
    json!({
        "login": registration.login,
        "password": HIDDEN,
        "username": registration.username,
        "email": registration.email,
        "phone": registration.phone,
        "bot": registration.bot.then_some(true),
        "bio": registration.bio,
        "avatar": registration.avatar,
    })
}

fn create_profile(profile: &Profile) -> Value {
    json!({
        "username": profile.username,
        "name": profile.name,
        "bio": profile.bio,
        "photo": profile.photo.as_ref().map(photo),
    })
}

fn user_ref(user: &UserRef) -> Value {
    match user {
        UserRef::Me => json!("me"),
        UserRef::Id(id) => json!(id.get()),
        UserRef::Login(login) => json!(login),
    }
}

fn user_ids(users: &[UserId]) -> Vec<i64> {
    users.iter().map(|user| user.get()).collect()
}

fn photo(photo: &Photo) -> Value {
    json!({"media_type": photo.media_type, "bytes": photo.content.len()})
}

fn filter(kinds: FlowKindFilter) -> Value {
    match kinds {
        FlowKindFilter::Any => Value::Null,
        FlowKindFilter::Chat => json!("chat"),
        FlowKindFilter::Shared => json!("group or channel"),
    }
}

fn flow_kind(kind: FlowKind) -> &'static str {
    match kind {
        FlowKind::Chat => "chat",
        FlowKind::Group => "group",
        FlowKind::Channel => "channel",
    }
}

fn history_range(range: HistoryRange) -> Value {
    match range {
        HistoryRange::Newest { limit, offset } => json!({"limit": limit, "offset": offset}),
        HistoryRange::All => json!("all"),
        HistoryRange::Unread => json!("unread"),
    }
}

fn time(time: Timestamp) -> Option<String> {
    (time != Timestamp::default()).then(|| time.rfc3339_micros())
}

fn content(content: &Content) -> Value {
    let kind = match &content.content_type {
        ContentType::Text => Value::Null,
        ContentType::Image => json!("image"),
        ContentType::File => json!("file"),
        ContentType::Sticker => json!("sticker"),
        ContentType::Other(name) => json!(name),
    };
    let attachments =
        content.attachments.iter().map(|file| json!({"kind": file.kind.name(), "data": file.data}));
    json!({
        "text": content.text,
        "type": kind,
        "attachments": attachments.collect::<Vec<_>>(),
        "emoji": content.emoji,
        "reply_to": content.reply_to.map(|message| message.get()),
    })
}

fn message(message: &Message) -> Value {
    json!({
        "id": message.id.get(),
        "flow": message.flow.get(),
        "flow_kind": flow_kind(message.flow_kind),
        "author": user_summary(&message.author),
        "content": content(&message.content),
        "posted_at": time(message.posted_at),
        "edited_at": message.edited_at.and_then(time),
        "deleted_at": message.deleted_at.and_then(time),
    })
}

fn user_summary(user: &UserSummary) -> Value {
    json!({
        "id": user.id.get(),
        "login": &*user.login,
        "username": &*user.username,
        "name": &*user.name,
    })
}

fn user(user: &User) -> Value {
    let mark = |is_set: bool| is_set.then_some(true);
    json!({
        "id": user.id.get(),
        "login": user.login,
        "username": user.username,
        "name": user.name,
        "email": user.email,
        "phone": user.phone,
        "bio": user.bio,
        "avatar": user.avatar,
        "photo": user.photo.as_ref().map(|photo| &photo.key),
        "bot": mark(user.bot),
        "admin": mark(user.admin),
        "business": mark(user.business),
        "created_at": time(user.created_at),
        "deleted_at": user.deleted_at.and_then(time),
    })
}

fn flow(flow: &Flow) -> Value {
    json!({
        "id": flow.id.get(),
        "kind": flow_kind(flow.kind),
        "title": flow.title,
        "info": flow.info,
        "owner": flow.owner.map(UserId::get),
        "photo": flow.photo.as_ref().map(|photo| &photo.key),
        "created_at": time(flow.created_at),
    })
}

fn flow_summary(summary: &FlowSummary) -> Value {
    let mut fields = match flow(&summary.flow) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let members = summary.members.iter().map(user).collect();
    fields.insert("members".to_owned(), Value::Array(members));
    fields.insert("last".to_owned(), summary.last.as_ref().map_or(Value::Null, message));
    fields.insert("first".to_owned(), json!(summary.first.map(|message| message.get())));
    Value::Object(fields)
}

fn changes_since(changes: &Changes) -> Value {
    json!({
        "messages": changes.messages.iter().map(message).collect::<Vec<_>>(),
        "flows": changes.flows.iter().map(flow_summary).collect::<Vec<_>>(),
        "user": changes.user.as_deref().map(user),
        "until": time(changes.until),
        "more": changes.more.then_some(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{FlowId, MessageId, NewMessage, Secret};

    #[test]
    fn fields_that_did_not_arrive_are_named_and_additions_are_not() {
        for (given, arrived, expected) in [
            (json!({"a": 1, "b": null}), json!({"a": 1, "b": 2}), &[][..]),
            (json!({"a": {"b": "x"}}), json!({"a": {}}), &["a.b"]),
            (json!({"a": [{"b": 1}, {"b": 2}]}), json!({"a": [{"b": 1}, {"b": 3}]}), &["a[].b"]),
            (json!({"a": [1, 2]}), json!({"a": [1]}), &["a"]),
            (json!({"a": "", "b": false}), json!({"b": true}), &["b"]),
        ] {
            let found: Vec<String> = differences(&given, &arrived).into_iter().collect();
            assert_eq!(found, expected, "{given} {arrived}");
        }
    }

    #[test]
    fn a_lost_part_of_a_message_is_named_by_its_path() {
        let send = |reply_to| {
            let text = Content { reply_to, ..Content::text("x") };
            let flow = FlowId::new(3).expect("it is positive");
            let kinds = FlowKindFilter::Any;
            command(&Command::Send(Box::new(NewMessage { flow, kinds, content: text, key: None })))
        };
        let reply = send(Some(MessageId::new(7).expect("it is positive")));
        let found = differences(&reply, &send(None));
        assert_eq!(found, BTreeSet::from(["content.reply_to".to_owned()]));
    }

    #[test]
    fn no_secret_is_shown() {
        let secret = || Secret::new("s3cr3t");
        let login = "ann".to_owned();
        for value in [
            Command::Refresh { token: secret() },
            Command::ResetPassword { token: secret(), password: secret() },
            Command::DeleteAccount { user: None, login, password: secret() },
        ] {
            assert!(!command(&value).to_string().contains("s3cr3t"), "{value:?}");
        }
    }
}
