//! The ids of a mirrored request: objects of one server, and the same objects of the other.

use crate::caches::of_latest;
use moka::sync::Cache;
use std::collections::HashMap;
use tolmach_domain::{
    Answer, Command, FlowKind, FlowSummary, Message, ObjectId, User, UserId, UserSummary, VisitIds,
};

/// The pairs of ids that are remembered.
const MAX_PAIRS: u64 = 100_000;

/// The ids of the mirrored server, and those of the upstream for the same objects, as answers to
/// the same requests tell them. Each world numbers its objects for itself.
pub(crate) struct IdPairs(Cache<ObjectId, ObjectId>);

impl IdPairs {
    pub(crate) fn new() -> Self {
        Self(of_latest(MAX_PAIRS).build())
    }

    /// Gives the objects in a command the ids of the upstream. Returns false if one is not known,
    /// and the command is of no use.
    pub(crate) fn translate(&self, command: &mut Command) -> bool {
        let mut is_known = true;
        command.visit_ids(&mut |mut id| match self.0.get(&id.get()) {
            Some(theirs) => id.set(theirs),
            None => is_known = false,
        });
        is_known
    }

    /// Learns from the answers to one request of a user.
    pub(crate) fn learn(&self, login: &str, ours: &Answer, theirs: &Answer) {
        match (ours, theirs) {
            (Answer::Granted(ours), Answer::Granted(theirs)) => {
                if let (Some(ours), Some(theirs)) = (&ours.user, &theirs.user) {
                    self.users_with(ours.id, theirs.id);
                }
            }
            (Answer::User(ours), Answer::User(theirs)) => self.users_with(ours.id, theirs.id),
            (Answer::Users(ours), Answer::Users(theirs)) => self.users(ours, theirs),
            (
                Answer::ChatOpened { flow: ours, with: our_user, .. },
                Answer::ChatOpened { flow: theirs, with: their_user, .. },
            ) => {
                self.put(ObjectId::Flow(*ours), ObjectId::Flow(*theirs));
                if let (Some(ours), Some(theirs)) = (our_user, their_user) {
                    self.authors(ours, theirs);
                }
            }
            (Answer::FlowCreated { flow: ours, .. }, Answer::FlowCreated { flow: theirs, .. }) => {
                self.put(ObjectId::Flow(*ours), ObjectId::Flow(*theirs))
            }
            (Answer::Flow(ours), Answer::Flow(theirs)) => self.summaries(ours, theirs),
            (Answer::Flows(ours), Answer::Flows(theirs)) => {
                self.learn_flows(login, ours, theirs);
            }
            (
                Answer::Sent { message: Some(ours), .. },
                Answer::Sent { message: Some(theirs), .. },
            ) => self.messages(ours, theirs),
            (Answer::Edited(ours), Answer::Edited(theirs)) => self.messages(ours, theirs),
            (Answer::History(ours), Answer::History(theirs)) => {
                let newest = ours.messages.iter().rev().zip(theirs.messages.iter().rev());
                newest.for_each(|(ours, theirs)| self.messages(ours, theirs));
            }
            (Answer::Changes(ours), Answer::Changes(theirs)) => {
                self.learn_flows(login, &ours.flows, &theirs.flows);
            }
            _ => {}
        }
    }

    /// Learns from the flows of a user: chats are the same by their other member, groups and
    /// channels by a title that no other one has.
    pub(crate) fn learn_flows(&self, login: &str, ours: &[FlowSummary], theirs: &[FlowSummary]) {
        let theirs = only_ones(login, theirs);
        for (name, ours) in only_ones(login, ours) {
            if let (Some(ours), Some(Some(theirs))) = (ours, theirs.get(&name))
                && !is_chat_without_members(ours)
            {
                self.summaries(ours, theirs);
            }
        }
    }

    fn summaries(&self, ours: &FlowSummary, theirs: &FlowSummary) {
        self.put(ObjectId::Flow(ours.flow.id), ObjectId::Flow(theirs.flow.id));
        self.users(&ours.members, &theirs.members);
        if let (Some(ours), Some(theirs)) = (&ours.last, &theirs.last) {
            self.messages(ours, theirs);
        }
    }

    fn users(&self, ours: &[User], theirs: &[User]) {
        let theirs: HashMap<String, UserId> =
            theirs.iter().map(|user| (user.login.to_lowercase(), user.id)).collect();
        for user in ours {
            if let Some(other) = theirs.get(&user.login.to_lowercase()) {
                self.users_with(user.id, *other);
            }
        }
    }

    /// Two messages are the same if their authors and texts are.
    fn messages(&self, ours: &Message, theirs: &Message) {
        let is_same = ours.content.text == theirs.content.text
            && ours.author.login.to_lowercase() == theirs.author.login.to_lowercase();
        if is_same {
            self.put(ObjectId::Message(ours.id), ObjectId::Message(theirs.id));
            self.put(ObjectId::Flow(ours.flow), ObjectId::Flow(theirs.flow));
            self.authors(&ours.author, &theirs.author);
        }
    }

    fn authors(&self, ours: &UserSummary, theirs: &UserSummary) {
        if ours.login.to_lowercase() == theirs.login.to_lowercase() {
            self.users_with(ours.id, theirs.id);
        }
    }

    fn users_with(&self, ours: UserId, theirs: UserId) {
        self.put(ObjectId::User(ours), ObjectId::User(theirs));
    }

    fn put(&self, ours: ObjectId, theirs: ObjectId) {
        self.0.insert(ours, theirs);
    }
}

/// The name by which a flow of one server is that of another to a user.
#[derive(PartialEq, Eq, Hash)]
enum FlowName<'a> {
    /// The title of a group or channel.
    Shared(&'a str),
    /// The login of the other member of a chat, in lower case.
    Chat(String),
    /// The chat with oneself.
    Own,
}

impl<'a> FlowName<'a> {
    fn of(login: &str, summary: &'a FlowSummary) -> Self {
        if summary.flow.kind != FlowKind::Chat {
            return Self::Shared(&summary.flow.title);
        }
        match partner(login, summary) {
            Some(partner) => Self::Chat(partner),
            None if is_chat_without_members(summary) => {
                Self::Chat(summary.flow.title.to_lowercase())
            }
            None => Self::Own,
        }
    }
}

/// The other member of a chat, by login in lower case; a chat with oneself has none.
fn partner(login: &str, chat: &FlowSummary) -> Option<String> {
    chat.members.iter().map(|member| member.login.to_lowercase()).find(|member| member != login)
}

/// True for a chat without members, as a wire has one that names chats after the other member. The
/// title of such a chat of the mirrored server may be anything.
fn is_chat_without_members(summary: &FlowSummary) -> bool {
    summary.flow.kind == FlowKind::Chat && summary.members.is_empty()
}

/// The flows of a user by their names; `None` where several have one.
fn only_ones<'a>(
    login: &str,
    flows: &'a [FlowSummary],
) -> HashMap<FlowName<'a>, Option<&'a FlowSummary>> {
    let mut named = HashMap::new();
    for summary in flows {
        let only = named.entry(FlowName::of(login, summary));
        only.and_modify(|only| *only = None).or_insert(Some(summary));
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use tolmach_domain::{
        Content, Flow, FlowId, FlowKindFilter, MessageId, NewMessage, Timestamp, UserRef,
    };

    fn user(id: i64, login: &str) -> User {
        User::named(UserId::new(id).unwrap(), login)
    }

    fn flow(id: i64, kind: FlowKind, title: &str, members: Vec<User>) -> FlowSummary {
        let flow = Flow::new(FlowId::new(id).unwrap(), kind, title);
        FlowSummary { members, ..FlowSummary::new(flow) }
    }

    fn message(id: i64, flow: i64, author: User, text: &str) -> Message {
        Message::new(
            MessageId::new(id).unwrap(),
            (FlowId::new(flow).unwrap(), FlowKind::Chat),
            author.summary(),
            Content::text(text),
            Timestamp::default(),
        )
    }

    fn send(flow: i64, reply_to: Option<i64>) -> Command {
        let reply_to = reply_to.map(|id| MessageId::new(id).unwrap());
        let content = Content { reply_to, ..Content::text("x") };
        let (flow, kinds) = (FlowId::new(flow).unwrap(), FlowKindFilter::Any);
        Command::Send(Box::new(NewMessage { flow, kinds, content, key: None }))
    }

    #[test]
    fn a_command_is_translated_once_all_of_its_objects_are_known_at_both() {
        let ids = IdPairs::new();
        let ours = vec![
            flow(1, FlowKind::Chat, "", vec![user(1, "Ann"), user(2, "bob")]),
            flow(2, FlowKind::Group, "team", Vec::new()),
            flow(3, FlowKind::Group, "twin", Vec::new()),
            flow(4, FlowKind::Group, "twin", Vec::new()),
        ];
        let theirs = vec![
            flow(11, FlowKind::Group, "twin", Vec::new()),
            flow(12, FlowKind::Group, "team", Vec::new()),
            flow(13, FlowKind::Chat, "", vec![user(21, "bob"), user(22, "ann")]),
        ];
        ids.learn("ann", &Answer::Flows(ours), &Answer::Flows(theirs));
        for (command, expected) in [
            (send(1, None), Some(send(13, None))),
            (send(2, None), Some(send(12, None))),
            (send(3, None), None),
            (send(4, None), None),
            (send(1, Some(7)), None),
        ] {
            let mut translated = command.clone();
            let known = ids.translate(&mut translated).then_some(translated);
            assert_eq!(known, expected, "{command:?}");
        }
        let mut open = Command::OpenChat { with: UserRef::Id(UserId::new(2).unwrap()) };
        assert!(ids.translate(&mut open));
        assert_eq!(open, Command::OpenChat { with: UserRef::Id(UserId::new(21).unwrap()) });
    }

    #[test]
    fn chats_are_the_same_by_the_other_member_or_by_a_title_in_the_place_of_members() {
        let chat = |id, title: &str, members: &[&str]| {
            let members = members.iter().zip(10 * id..).map(|(login, id)| user(id, login));
            flow(id, FlowKind::Chat, title, members.collect())
        };
        for (name, ours, theirs, expected) in [
            ("a title", vec![chat(1, "", &["ann", "Bob"])], vec![chat(11, "BOB", &[])], Some(11)),
            ("oneself", vec![chat(1, "", &["Ann"])], vec![chat(11, "", &["ann"])], Some(11)),
            ("another", vec![chat(1, "", &["ann", "bob"])], vec![chat(11, "cid", &[])], None),
            (
                "two there",
                vec![chat(1, "", &["ann", "bob"])],
                vec![chat(11, "bob", &[]), chat(12, "", &["bob", "ann"])],
                None,
            ),
            (
                "two here",
                vec![chat(1, "", &["ann", "bob"]), chat(2, "bob", &[])],
                vec![chat(11, "", &["bob", "ann"])],
                None,
            ),
            ("no members here", vec![chat(1, "bob", &[])], vec![chat(11, "bob", &[])], None),
            (
                "a group of that title",
                vec![chat(1, "", &["ann", "bob"])],
                vec![flow(11, FlowKind::Group, "bob", Vec::new())],
                None,
            ),
        ] {
            let ids = IdPairs::new();
            ids.learn_flows("ann", &ours, &theirs);
            let mut command = send(1, None);
            let known = ids.translate(&mut command).then_some(command);
            assert_eq!(known, expected.map(|flow| send(flow, None)), "{name}");
        }
    }

    #[test]
    fn messages_are_known_by_their_answers_and_only_if_they_are_the_same() {
        let ids = IdPairs::new();
        let sent = |message| Answer::Sent { message: Some(Box::new(message)), repeated: false };
        let ours = message(7, 1, user(1, "ann"), "hello");
        ids.learn("ann", &sent(ours.clone()), &sent(message(77, 11, user(21, "ann"), "another")));
        assert!(!ids.translate(&mut send(1, Some(7))));
        ids.learn("ann", &sent(ours), &sent(message(78, 11, user(21, "Ann"), "hello")));
        let mut reply = send(1, Some(7));
        assert!(ids.translate(&mut reply));
        assert_eq!(reply, send(11, Some(78)));
    }
}
