//! The ids of a mirrored request: objects of one server, and the same objects of the other.

use moka::sync::Cache;
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
        Self(Cache::new(MAX_PAIRS))
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
        for summary in ours {
            let is_same = |other: &&FlowSummary| is_same_flow(login, summary, other);
            let twins = ours.iter().filter(|other| is_same_flow(login, summary, other)).count();
            let mut same = theirs.iter().filter(is_same);
            if let (Some(theirs), None, 1) = (same.next(), same.next(), twins) {
                self.summaries(summary, theirs);
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
        for user in ours {
            let login = user.login.to_lowercase();
            let mut others = theirs.iter();
            if let Some(other) = others.find(|other| other.login.to_lowercase() == login) {
                self.users_with(user.id, other.id);
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

/// True if a flow of one server and one of another are the same to a user.
fn is_same_flow(login: &str, one: &FlowSummary, other: &FlowSummary) -> bool {
    let is_chat = |summary: &FlowSummary| summary.flow.kind == FlowKind::Chat;
    if is_chat(one) != is_chat(other) {
        return false;
    }
    if !is_chat(one) {
        return one.flow.title == other.flow.title;
    }
    let partner = |summary: &FlowSummary| {
        let logins = summary.members.iter().map(|member| member.login.to_lowercase());
        // A chat with oneself has nobody else.
        let others: Vec<String> = logins.filter(|member| member != login).collect();
        others.into_iter().next()
    };
    match (partner(one), partner(other)) {
        (Some(one), Some(other)) => one == other,
        // The wire of the other server names the chat, and no members.
        (Some(one), None) => other.members.is_empty() && other.flow.title.to_lowercase() == one,
        (None, None) => !one.members.is_empty() && !other.members.is_empty(),
        (None, Some(_)) => false,
    }
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
