//! The comparison of an answer with that of an upstream, by meaning.

use crate::forms::PAGE;
use serde_json::Value;
use std::collections::BTreeSet;
use tolmach_domain::{Answer, Fault, FlowKind, FlowSummary, Message, ObjectId, VisitIds};
use tolmach_domain::{FlowId, MessageId, UserId};
use tolmach_engine::PREVIEW_BYTES;
use tolmach_migration::canonical;

/// The paths of the fields in which an upstream's answer differs; `outcome` where only one of the
/// two is a refusal, `fault` where both are, and `answer` where they are of different kinds.
///
/// Ids and times are no differences, and neither is what the wire of the upstream does not tell.
pub(crate) fn differences(
    ours: &Result<Answer, Fault>,
    theirs: &Result<Answer, Fault>,
) -> BTreeSet<String> {
    let only = |path: &str| BTreeSet::from([path.to_owned()]);
    match (ours, theirs) {
        (Err(ours), Err(theirs)) if ours.name() == theirs.name() => BTreeSet::new(),
        (Err(_), Err(_)) => only("fault"),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => only("outcome"),
        (Ok(ours), Ok(theirs)) => {
            if std::mem::discriminant(ours) != std::mem::discriminant(theirs) {
                return only("answer");
            }
            let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
            align(&mut ours, &mut theirs);
            let mut found = match (list(&ours), list(&theirs)) {
                (Some((name, ours)), Some((_, theirs))) if ours != theirs => only(name),
                _ => BTreeSet::new(),
            };
            let [ours, theirs] = [ours, theirs].map(comparable);
            found.append(&mut canonical::differences(&theirs, &ours));
            found
        }
    }
}

/// Leaves of two answers what both servers were asked for.
fn align(ours: &mut Answer, theirs: &mut Answer) {
    match (ours, theirs) {
        (Answer::History(ours), Answer::History(theirs)) => {
            let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
            // Some wires have pages only: the newest messages are the same.
            if theirs.messages.len() == page && ours.messages.len() > page {
                ours.messages.drain(..ours.messages.len() - page);
            }
        }
        (Answer::Flow(ours), Answer::Flow(theirs)) => align_members(ours, theirs),
        (Answer::Flows(ours), Answer::Flows(theirs)) => {
            for flows in [&mut *ours, &mut *theirs] {
                // Their order is that of times, and chats are named by others.
                flows.sort_by_cached_key(flow_key);
            }
            for (ours, theirs) in ours.iter_mut().zip(theirs) {
                align_members(ours, theirs);
            }
        }
        // Each server's changes are those since a time of its own clock.
        (Answer::Changes(ours), Answer::Changes(theirs)) => {
            for changes in [ours, theirs] {
                changes.messages.clear();
                changes.flows.clear();
                (changes.user, changes.more) = (None, false);
            }
        }
        _ => {}
    }
}

/// The list that an answer consists of: its name and length. One that is empty at the upstream is
/// told, unlike a field that is.
fn list(answer: &Answer) -> Option<(&'static str, usize)> {
    match answer {
        Answer::History(page) => Some(("messages", page.messages.len())),
        Answer::Flows(flows) => Some(("flows", flows.len())),
        Answer::Users(users) => Some(("users", users.len())),
        _ => None,
    }
}

/// The order of flows that does not depend on a server.
fn flow_key(summary: &FlowSummary) -> (bool, String, Vec<String>, String) {
    let is_chat = summary.flow.kind == FlowKind::Chat;
    let mut logins: Vec<String> =
        summary.members.iter().map(|member| member.login.to_lowercase()).collect();
    logins.sort();
    let title = if is_chat { String::new() } else { summary.flow.title.clone() };
    let last = summary.last.as_ref().map(|message| message.content.text.clone());
    (is_chat, title, logins, last.unwrap_or_default())
}

/// Members are compared where both servers tell them.
fn align_members(ours: &mut FlowSummary, theirs: &mut FlowSummary) {
    if ours.members.is_empty() || theirs.members.is_empty() {
        ours.members.clear();
        theirs.members.clear();
    }
    for summary in [ours, theirs] {
        summary.members.sort_by_cached_key(|member| member.login.to_lowercase());
        if summary.flow.kind == FlowKind::Chat {
            summary.flow.title.clear();
        }
        // The number of a first message says nothing, and not every wire has one.
        summary.first = None;
        if let Some(Message { content, .. }) = &mut summary.last {
            content.text.truncate(content.text.floor_char_boundary(PREVIEW_BYTES));
            content.attachments.clear();
            content.emoji = None;
        }
    }
}

/// An answer as a canonical value without ids and times.
fn comparable(mut answer: Answer) -> Value {
    let [user, flow, message] = [
        UserId::new(1).ok().map(ObjectId::User),
        FlowId::new(1).ok().map(ObjectId::Flow),
        MessageId::new(1).ok().map(ObjectId::Message),
    ];
    answer.visit_ids(&mut |mut id| {
        let same = match id.get() {
            ObjectId::User(_) => user,
            ObjectId::Flow(_) => flow,
            ObjectId::Message(_) => message,
        };
        same.into_iter().for_each(|same| id.set(same));
    });
    let mut value = canonical::answer(&answer);
    clean(&mut value);
    value
}

/// The fields of which a wire that does not tell them says false.
const UNTOLD: [&str; 2] = ["created", "repeated"];

/// Removes times, the keys of photos, names that only repeat a login, and what not every wire
/// tells.
fn clean(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let is_noise = |key: &str| key.ends_with("_at") || ["until", "photo"].contains(&key);
            fields.retain(|key, _| !is_noise(key) && !UNTOLD.contains(&key.as_str()));
            let login = fields.get("login").cloned();
            for name in ["username", "name"] {
                if login.is_some() && fields.get(name) == login.as_ref() {
                    fields.remove(name);
                }
            }
            fields.values_mut().for_each(clean);
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{Content, Flow, MessagePage, Timestamp, User};

    fn user(id: i64, login: &str) -> User {
        User::named(UserId::new(id).unwrap(), login)
    }

    fn message(id: i64, text: &str) -> Message {
        Message::new(
            MessageId::new(id).unwrap(),
            (FlowId::new(id).unwrap(), FlowKind::Chat),
            user(id, "ann").summary(),
            Content::text(text),
            Timestamp::from_micros(id),
        )
    }

    fn history(messages: Vec<Message>) -> Result<Answer, Fault> {
        Ok(Answer::History(Box::new(MessagePage::new(FlowId::new(5).unwrap(), messages))))
    }

    fn found(ours: &Result<Answer, Fault>, theirs: &Result<Answer, Fault>) -> Vec<String> {
        differences(ours, theirs).into_iter().collect()
    }

    #[test]
    fn ids_and_times_are_no_differences_and_texts_and_numbers_of_messages_are() {
        let ours = history(vec![message(1, "a"), message(2, "b")]);
        assert_eq!(found(&ours, &history(vec![message(11, "a"), message(12, "b")])), [""; 0]);
        let changed = history(vec![message(11, "a"), message(12, "c")]);
        assert_eq!(found(&ours, &changed), ["messages[].content.text"]);
        for short in [vec![message(12, "b")], Vec::new()] {
            assert_eq!(found(&ours, &history(short)), ["messages"]);
        }
    }

    #[test]
    fn a_refusal_differs_from_an_answer_and_from_another_refusal() {
        let answer = history(Vec::new());
        let [one, other] = [Fault::NoSuchFlow, Fault::NotOwner].map(Err);
        assert_eq!(found(&answer, &one), ["outcome"]);
        assert_eq!(found(&one, &answer), ["outcome"]);
        assert_eq!(found(&one, &other), ["fault"]);
        assert_eq!(found(&one, &one), [""; 0]);
        assert_eq!(found(&answer, &Ok(Answer::LoggedOut)), ["answer"]);
    }

    #[test]
    fn lists_of_flows_have_no_order_and_members_are_compared_where_both_tell_them() {
        let flow = |id, title: &str, members| {
            let flow = Flow::new(FlowId::new(id).unwrap(), FlowKind::Group, title);
            FlowSummary { members, ..FlowSummary::new(flow) }
        };
        let members = |logins: &[&str]| logins.iter().map(|login| user(1, login)).collect();
        let none = Vec::new;
        let ours =
            Ok(Answer::Flows(vec![flow(1, "a", members(&["x", "y"])), flow(2, "b", none())]));
        let theirs = |first| Ok(Answer::Flows(vec![flow(7, "b", none()), flow(8, "a", first)]));
        assert_eq!(found(&ours, &theirs(none())), [""; 0]);
        assert_eq!(found(&ours, &theirs(members(&["y", "x"]))), [""; 0]);
        assert_eq!(found(&ours, &theirs(members(&["y", "z"]))), ["flows[].members[].login"]);
        let renamed = Ok(Answer::Flows(vec![flow(7, "b", none()), flow(8, "c", none())]));
        assert_eq!(found(&ours, &renamed), ["flows[].title"]);
    }
}
