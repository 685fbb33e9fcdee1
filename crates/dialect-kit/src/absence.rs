//! Answers and events with legal values left out.

use tolmach_domain::{
    Answer, Changes, Content, EventKind, Flow, FlowSummary, Grant, Message, MessagePage, User,
};

/// A value with optional parts.
pub(crate) trait Absence: Clone {
    /// The value with one part left out, for each part that is there and may be absent, with the
    /// part's name.
    fn variants(&self) -> Vec<(String, Self)>;

    /// The same, and last the value with every such part left out.
    fn all_variants(&self) -> Vec<(String, Self)> {
        let mut all = self.variants();
        if all.len() > 1 {
            let mut least = self.clone();
            while let Some((_, less)) = least.variants().into_iter().next() {
                least = less;
            }
            all.push(("everything that may be absent".to_owned(), least));
        }
        all
    }
}

/// Adds variants of a value: for each named field that is `Some`, the value with `None`.
macro_rules! without {
    ($value:expr, $all:ident, $($($field:ident).+),+) => {
        $(
            if $value.$($field).+.is_some() {
                let mut less = $value.clone();
                less.$($field).+ = None;
                $all.push((stringify!($($field).+).to_owned(), less));
            }
        )+
    };
}

/// The variants of a part, put into the whole.
fn within<P: Absence, W>(name: &str, part: &P, put: impl Fn(P) -> W) -> Vec<(String, W)> {
    let variants = part.variants().into_iter();
    variants.map(|(inner, part)| (format!("{name}.{inner}"), put(part))).collect()
}

/// The variants of the first item of a list, put into the list.
fn within_first<P: Absence>(name: &str, list: &[P]) -> Vec<(String, Vec<P>)> {
    let Some((first, rest)) = list.split_first() else { return Vec::new() };
    within(name, first, |first| [std::slice::from_ref(&first), rest].concat())
}

impl Absence for User {
    fn variants(&self) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        without!(self, all, email, phone, avatar, photo);
        all
    }
}

impl Absence for Content {
    fn variants(&self) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        without!(self, all, emoji, reply_to);
        all
    }
}

impl Absence for Message {
    fn variants(&self) -> Vec<(String, Self)> {
        let mut all =
            within("content", &self.content, |content| Message { content, ..self.clone() });
        without!(self, all, edited_at, deleted_at);
        all
    }
}

impl Absence for Flow {
    fn variants(&self) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        without!(self, all, owner, photo);
        all
    }
}

impl Absence for FlowSummary {
    fn variants(&self) -> Vec<(String, Self)> {
        let mut all = within("flow", &self.flow, |flow| FlowSummary { flow, ..self.clone() });
        let members = within_first("members", &self.members);
        let put = |(name, members)| (name, FlowSummary { members, ..self.clone() });
        all.extend(members.into_iter().map(put));
        if let Some(last) = &self.last {
            let put = |last| FlowSummary { last: Some(last), ..self.clone() };
            all.extend(within("last", last, put));
        }
        without!(self, all, last, first);
        all
    }
}

impl Absence for Grant {
    fn variants(&self) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        if let Some(user) = &self.user {
            let put = |user| Grant { user: Some(Box::new(user)), ..self.clone() };
            all.extend(within("user", user.as_ref(), put));
        }
        without!(self, all, user);
        all
    }
}

impl Absence for MessagePage {
    fn variants(&self) -> Vec<(String, Self)> {
        let messages = within_first("messages", &self.messages).into_iter();
        messages.map(|(name, messages)| (name, MessagePage { messages, ..self.clone() })).collect()
    }
}

impl Absence for Changes {
    fn variants(&self) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        let messages = within_first("messages", &self.messages).into_iter();
        all.extend(messages.map(|(name, messages)| (name, Changes { messages, ..self.clone() })));
        let flows = within_first("flows", &self.flows).into_iter();
        all.extend(flows.map(|(name, flows)| (name, Changes { flows, ..self.clone() })));
        if let Some(user) = &self.user {
            let put = |user| Changes { user: Some(Box::new(user)), ..self.clone() };
            all.extend(within("user", user.as_ref(), put));
        }
        without!(self, all, user);
        all
    }
}

impl Absence for Answer {
    fn variants(&self) -> Vec<(String, Self)> {
        match self {
            Answer::Granted(grant) => {
                within("granted", grant.as_ref(), |grant| Answer::Granted(Box::new(grant)))
            }
            Answer::User(user) => {
                within("user", user.as_ref(), |user| Answer::User(Box::new(user)))
            }
            Answer::Users(users) => {
                let users = within_first("users", users).into_iter();
                users.map(|(name, users)| (name, Answer::Users(users))).collect()
            }
            Answer::ChatOpened { flow, with: Some(_), created } => {
                let absent = Answer::ChatOpened { flow: *flow, with: None, created: *created };
                vec![("with".to_owned(), absent)]
            }
            Answer::Flow(summary) => {
                within("flow", summary.as_ref(), |summary| Answer::Flow(Box::new(summary)))
            }
            Answer::Flows(flows) => {
                let flows = within_first("flows", flows).into_iter();
                flows.map(|(name, flows)| (name, Answer::Flows(flows))).collect()
            }
            Answer::Sent { message: Some(message), repeated } => {
                let mut all = within("message", message.as_ref(), |message| Answer::Sent {
                    message: Some(Box::new(message)),
                    repeated: *repeated,
                });
                let absent = Answer::Sent { message: None, repeated: *repeated };
                all.push(("message".to_owned(), absent));
                all
            }
            Answer::Edited(message) => {
                within("message", message.as_ref(), |message| Answer::Edited(Box::new(message)))
            }
            Answer::History(page) => {
                within("history", page.as_ref(), |page| Answer::History(Box::new(page)))
            }
            Answer::Changes(changes) => {
                within("changes", changes.as_ref(), |changes| Answer::Changes(Box::new(changes)))
            }
            Answer::LoggedOut
            | Answer::RecoveryAccepted
            | Answer::PasswordReset
            | Answer::AccountDeleted { .. }
            | Answer::Photo(_)
            | Answer::ChatOpened { with: None, .. }
            | Answer::ProfileCreated
            | Answer::FlowCreated { .. }
            | Answer::FlowDeleted { .. }
            | Answer::MembersAdded { .. }
            | Answer::MembersRemoved { .. }
            | Answer::Sent { message: None, .. }
            | Answer::Deleted { .. }
            | Answer::TypingShown
            | Answer::Blocked { .. }
            | Answer::Unblocked { .. } => Vec::new(),
        }
    }
}

impl Absence for EventKind {
    fn variants(&self) -> Vec<(String, Self)> {
        match self {
            EventKind::Posted(message) => within("message", message, EventKind::Posted),
            EventKind::Edited(message) => within("message", message, EventKind::Edited),
            EventKind::FlowCreated { flow, members } => within("flow", flow, |flow| {
                EventKind::FlowCreated { flow, members: members.clone() }
            }),
            EventKind::Deleted { .. }
            | EventKind::FlowDeleted { .. }
            | EventKind::MembersAdded { .. }
            | EventKind::MembersRemoved { .. }
            | EventKind::Typing { .. }
            | EventKind::SessionsEnded { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{ANN, flow_summary, posted, rich_content};
    use crate::fixtures::{CHAT, flow_id};

    #[test]
    fn each_variant_lacks_one_part_and_the_last_one_all() {
        let message = posted(&ANN, flow_id(CHAT), rich_content());
        let sent = Answer::Sent { message: Some(Box::new(message)), repeated: false };
        let names: Vec<String> = sent.all_variants().into_iter().map(|(name, _)| name).collect();
        let expected = [
            "message.content.emoji",
            "message.content.reply_to",
            "message",
            "everything that may be absent",
        ];
        assert_eq!(names, expected);
        let (_, least) = sent.all_variants().pop().expect("there is more than one variant");
        assert_eq!(least, Answer::Sent { message: None, repeated: false });
        let flows = Answer::Flows(vec![flow_summary(CHAT, true)]);
        let (_, least) = flows.all_variants().pop().expect("there is more than one variant");
        assert_eq!(least.variants(), []);
    }
}
