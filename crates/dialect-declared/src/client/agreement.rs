//! Agreement of a server's frame with the request that it may answer.

use crate::decode::Match;
use crate::model::{Datum, Found, Operation, Record, Source, read_named};
use tolmach_domain::{Command, UserId};

/// True if a response names no other objects than the request.
pub(super) fn agrees(
    operation: Operation,
    found: &Match,
    said: &Command,
    me: Option<UserId>,
) -> bool {
    let of = |path: &[&'static str]| field(said, path, me);
    let repeats = found.request.iter().all(|(path, value)| is_same(value, &of(path)));
    let record = &found.record;
    let is_about = |path: &[&'static str], name: &[&'static str]| match record.get(path) {
        Some(value) => is_same(value, &of(name)),
        None => true,
    };
    let is_right = match operation {
        Operation::OpenChat => {
            is_about(&["with", "login"], &["with", "login"])
                && is_about(&["with", "id"], &["with", "id"])
        }
        Operation::Send => is_about(&["message", "flow"], &["flow"]),
        Operation::GetFlow => is_about(&["id"], &["flow"]),
        Operation::Edit => is_about(&["id"], &["message"]),
        Operation::Delete => match (record.get(&["messages"]), said) {
            (Some(Found::List(found)), Command::Delete { messages, .. }) => {
                found.iter().all(|item| match item {
                    Found::Integer(id) => messages.iter().any(|message| message.get() == *id),
                    _ => false,
                })
            }
            _ => true,
        },
        Operation::DeleteFlow
        | Operation::History
        | Operation::AddMembers
        | Operation::RemoveMembers => is_about(&["flow"], &["flow"]),
        _ => true,
    };
    repeats && is_right
}

/// True if an item of a history is one of the flow that was asked for.
pub(super) fn item_agrees(item: &Record, said: &Command) -> bool {
    match item.get(&["flow"]) {
        Some(value) => is_same(value, &field(said, &["flow"], None)),
        None => true,
    }
}

/// True if an event with the request id of a message or an edit is that of the request: requests of
/// other connections may have the same id.
pub(super) fn event_agrees(operation: Operation, event: &Record, said: &Command) -> bool {
    let is_about = |path: &[&'static str], name: &'static str| match event.get(path) {
        Some(value) => is_same(value, &field(said, &[name], None)),
        None => true,
    };
    match operation {
        Operation::Send => is_about(&["message", "text"], "text") || names_files(event, said),
        Operation::Edit => {
            is_about(&["message", "id"], "message") && is_about(&["message", "text"], "text")
        }
        _ => true,
    }
}

/// True if the text of a posted message is that of the request with files named in further lines
/// ([`Content::text_naming_files`](tolmach_domain::Content::text_naming_files)).
fn names_files(event: &Record, said: &Command) -> bool {
    match (event.get(&["message", "text"]), said) {
        (Some(Found::Text(text)), Command::Send(said)) => {
            let files = text.strip_prefix(said.content.text.as_str());
            files.is_some_and(|files| files.trim_start_matches('\n').starts_with('['))
        }
        _ => false,
    }
}

/// A field of a command.
pub(super) fn field<'a>(
    command: &'a Command,
    path: &[&'static str],
    viewer: Option<UserId>,
) -> Datum<'a> {
    let start = Datum::Object(Source::Command(command));
    path.iter().fold(start, |datum, name| match datum {
        Datum::Object(source) => read_named(source, name, viewer),
        _ => Datum::None,
    })
}

/// False for two values of one type that differ. Case does not count.
fn is_same(found: &Found, datum: &Datum<'_>) -> bool {
    match (found, datum) {
        (Found::Integer(found), Datum::Integer(number)) => found == number,
        (Found::Text(found), Datum::Text(text)) => found.to_lowercase() == text.to_lowercase(),
        _ => true,
    }
}
