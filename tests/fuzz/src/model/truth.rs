//! The state that the gateway must show, built from the events that it published, and the checks of
//! events and answers by it.

use std::collections::{BTreeMap, BTreeSet};
use tolmach_domain::{
    Answer, Authority, Command, Event, EventKind, FlowId, FlowKind, FlowSummary, HistoryRange,
    Message, MessageId, Timestamp, UserId, UserRef, Version,
};

/// Every flow as it must be.
#[derive(Default)]
pub(super) struct Truth {
    flows: BTreeMap<FlowId, FlowTruth>,
    /// Flows that were deleted: no id is used twice.
    deleted: BTreeSet<FlowId>,
    administrators: BTreeSet<UserId>,
    /// Blockers with the users whom they block.
    blocks: BTreeSet<(UserId, UserId)>,
    last_commit: Option<Timestamp>,
    last_message: Option<MessageId>,
}

/// One flow as it must be.
#[derive(Clone)]
pub(super) struct FlowTruth {
    kind: FlowKind,
    owner: Option<UserId>,
    pub(super) members: BTreeSet<UserId>,
    /// For members who came after the flow was created, the number of the addition.
    joined: BTreeMap<UserId, usize>,
    additions: usize,
    pub(super) version: Version,
    pub(super) messages: BTreeMap<MessageId, MessageTruth>,
    /// The members who created the flow, opened the chat or posted.
    acted: BTreeSet<UserId>,
}

/// One message as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MessageTruth {
    pub(super) author: UserId,
    pub(super) text: String,
    pub(super) version: Version,
    pub(super) deleted: bool,
}

/// The user of a request, and the authority that it claims.
#[derive(Clone, Copy)]
pub(super) struct Requester {
    pub(super) user: UserId,
    pub(super) authority: Authority,
}

impl FlowTruth {
    /// True for a chat of two users.
    pub(super) fn is_chat(&self) -> bool {
        self.kind == FlowKind::Chat
    }

    /// The owner after the present one: who has been there longest, and of several who came at once
    /// the oldest account.
    fn heir(&self) -> Option<UserId> {
        let joined = |user: &UserId| self.joined.get(user).copied().unwrap_or_default();
        self.members.iter().copied().min_by_key(|user| (joined(user), *user))
    }
}

impl Truth {
    /// Nothing but these administrators.
    pub(super) fn new(administrators: BTreeSet<UserId>) -> Self {
        Self { administrators, ..Self::default() }
    }

    /// The ids of all flows.
    pub(super) fn flows(&self) -> impl Iterator<Item = FlowId> {
        self.flows.keys().copied()
    }

    /// One flow.
    pub(super) fn flow(&self, flow: FlowId) -> Option<&FlowTruth> {
        self.flows.get(&flow)
    }

    /// The ids of all messages, with their flows.
    pub(super) fn messages(&self) -> Vec<(MessageId, FlowId)> {
        let of = |(flow, truth): (&FlowId, &FlowTruth)| {
            truth.messages.keys().map(|id| (*id, *flow)).collect::<Vec<_>>()
        };
        self.flows.iter().flat_map(of).collect()
    }

    /// True if a request may show a flow.
    pub(super) fn is_readable(&self, requester: Requester, flow: FlowId) -> bool {
        let Some(flow) = self.flows.get(&flow) else { return false };
        match requester.authority {
            Authority::Member => flow.members.contains(&requester.user),
            Authority::Administrator => self.administrators.contains(&requester.user),
        }
    }

    /// True if a request may show the contact data of a user: to the user, to those who have acted
    /// in a flow in which the user has acted too, and to administrators.
    pub(super) fn shows_contact(&self, requester: Requester, of: UserId) -> bool {
        let Requester { user, authority } = requester;
        let is_administrator = self.administrators.contains(&user);
        user == of
            || (authority == Authority::Administrator && is_administrator)
            || self
                .flows
                .values()
                .any(|flow| flow.acted.contains(&user) && flow.acted.contains(&of))
    }

    /// Notes a block, or the end of one.
    pub(super) fn note_block(&mut self, blocker: UserId, blocked: UserId, blocks: bool) {
        if blocks {
            self.blocks.insert((blocker, blocked));
        } else {
            self.blocks.remove(&(blocker, blocked));
        }
    }

    /// True if a flow is a chat whose other member blocks the user.
    fn is_blocked_in(&self, flow: FlowId, user: UserId) -> bool {
        let flow = self.flows.get(&flow).filter(|flow| flow.is_chat());
        flow.is_some_and(|flow| self.is_blocked_by(user, &flow.members))
    }

    fn is_blocked_by<'a>(
        &self,
        user: UserId,
        others: impl IntoIterator<Item = &'a UserId>,
    ) -> bool {
        others.into_iter().any(|other| self.blocks.contains(&(*other, user)))
    }

    /// Notes that a user opened a chat that was there.
    pub(super) fn note_opening(&mut self, user: UserId, flow: FlowId) {
        if let Some(flow) = self.flows.get_mut(&flow) {
            flow.acted.insert(user);
        }
    }

    /// True if a text is the present one of a message that is there.
    pub(super) fn is_current(&self, flow: FlowId, text: &str) -> bool {
        self.flows.get(&flow).is_some_and(|flow| {
            flow.messages.values().any(|message| message.text == text && !message.deleted)
        })
    }

    /// Applies an event.
    ///
    /// # Panics
    ///
    /// If it cannot follow on what was before.
    pub(super) fn apply(&mut self, event: &Event) {
        if let Some(committed_at) = event.committed_at {
            let previous = self.last_commit.replace(committed_at);
            assert!(previous < Some(committed_at), "commit times do not ascend: {event:?}");
        }
        match &event.kind {
            EventKind::FlowCreated { flow, members } => {
                assert!(!self.deleted.contains(&flow.id), "a flow's id is used twice");
                let truth = FlowTruth {
                    kind: flow.kind,
                    owner: flow.owner,
                    members: members.iter().map(|member| member.id).collect(),
                    joined: BTreeMap::new(),
                    additions: 0,
                    version: flow.version,
                    messages: BTreeMap::new(),
                    acted: flow.owner.into_iter().collect(),
                };
                assert!(self.flows.insert(flow.id, truth).is_none(), "a flow is created twice");
            }
            EventKind::FlowDeleted { flow, .. } => {
                assert!(self.flows.remove(flow).is_some(), "an absent flow is deleted");
                self.deleted.insert(*flow);
            }
            EventKind::MembersAdded { flow, users, version } => {
                let flow = self.existing(*flow);
                assert_eq!(*version, flow.version, "{event:?}");
                flow.additions += 1;
                for user in users {
                    flow.joined.insert(user.id, flow.additions);
                    assert!(flow.members.insert(user.id), "a member is added again: {event:?}");
                }
            }
            EventKind::MembersRemoved { flow, users } => {
                let flow = self.existing(*flow);
                for user in users {
                    assert!(flow.members.remove(user), "no member is removed: {event:?}");
                    flow.acted.remove(user);
                    flow.joined.remove(user);
                }
                if flow.owner.is_some_and(|owner| users.contains(&owner)) {
                    flow.owner = flow.heir();
                }
            }
            EventKind::Posted(message) => {
                let previous = self.last_message.replace(message.id);
                assert!(previous < Some(message.id), "the ids of messages do not ascend");
                assert_eq!(message.posted, message.version, "{event:?}");
                let flow = self.advanced(message.flow, message.version);
                let truth = MessageTruth {
                    author: message.author.id,
                    text: message.content.text.clone(),
                    version: message.version,
                    deleted: false,
                };
                flow.messages.insert(message.id, truth);
                flow.acted.insert(message.author.id);
            }
            EventKind::Edited(message) => {
                let flow = self.advanced(message.flow, message.version);
                let truth = flow.messages.get_mut(&message.id).expect("an edited message exists");
                assert!(!truth.deleted, "a deleted message is edited: {event:?}");
                assert_eq!(truth.author, message.author.id, "an edit changes the author");
                truth.text.clone_from(&message.content.text);
                truth.version = message.version;
            }
            EventKind::Deleted { flow, messages, .. } => {
                for (message, version) in messages {
                    let flow = self.advanced(*flow, *version);
                    let truth = flow.messages.get_mut(message).expect("a deleted message exists");
                    assert!(!truth.deleted, "a message is deleted twice: {event:?}");
                    truth.deleted = true;
                    truth.version = *version;
                }
            }
            _ => {}
        }
    }

    fn existing(&mut self, flow: FlowId) -> &mut FlowTruth {
        self.flows.get_mut(&flow).expect("an event is of a flow that exists")
    }

    /// The flow, after the change that took this version.
    fn advanced(&mut self, flow: FlowId, version: Version) -> &mut FlowTruth {
        let flow = self.existing(flow);
        assert_eq!(version.0, flow.version.0 + 1, "a version is not the next one of its flow");
        flow.version = version;
        flow
    }

    /// Checks a granted request; `before` is the flow that the command names, as it was before.
    ///
    /// # Panics
    ///
    /// If it must not have been granted, or if the answer shows anything else than what is.
    pub(super) fn check(
        &self,
        requester: Requester,
        command: &Command,
        before: Option<&FlowTruth>,
        answer: &Answer,
    ) {
        let Requester { user, authority } = requester;
        let is_blocked_in = |flow| authority == Authority::Member && self.is_blocked_in(flow, user);
        let is_owner = || before.is_some_and(|flow| flow.owner == Some(user));
        match (command, answer) {
            (Command::Send(new), Answer::Sent { message: Some(message), repeated }) => {
                assert!(self.is_readable(requester, new.flow), "a stranger has sent a message");
                assert_eq!(message.flow, new.flow);
                if !repeated {
                    assert!(!is_blocked_in(new.flow), "a blocked user has sent a message");
                    assert_eq!(message.content.text, new.content.text);
                    self.check_message(message);
                }
            }
            (Command::Edit { message, text, .. }, Answer::Edited(edited)) => {
                assert_eq!((edited.id, &edited.content.text), (*message, text));
                assert_eq!(edited.author.id, user, "another author's message was edited");
                assert!(!is_blocked_in(edited.flow), "a blocked user has edited a message");
                assert!(self.is_readable(requester, edited.flow), "a stranger has edited");
                self.check_message(edited);
            }
            (Command::Delete { .. }, Answer::Deleted { deleted, .. }) => {
                for id in deleted {
                    let found = self.flows.iter().find(|(_, flow)| flow.messages.contains_key(id));
                    let (flow, truth) = found.expect("a deleted message existed");
                    let message = &truth.messages[id];
                    assert!(message.deleted, "a deletion is acknowledged and not published");
                    assert!(self.is_readable(requester, *flow), "a stranger has deleted");
                    assert!(
                        message.author == user || requester.authority == Authority::Administrator,
                        "another author's message was deleted"
                    );
                }
            }
            (Command::History { flow, range, .. }, Answer::History(page)) => {
                assert!(self.is_readable(requester, *flow), "a stranger has read a history");
                let truth = &self.flows[flow];
                assert_eq!(page.version, truth.version, "the version of a history");
                page.messages.iter().for_each(|message| self.check_message(message));
                let shown: Vec<MessageId> =
                    page.messages.iter().map(|message| message.id).collect();
                assert!(shown.is_sorted_by(|a, b| a < b), "a history is out of order: {shown:?}");
                let live: Vec<MessageId> = truth
                    .messages
                    .iter()
                    .filter(|(_, message)| !message.deleted)
                    .map(|(id, _)| *id)
                    .collect();
                match range {
                    HistoryRange::All => assert_eq!(shown, live, "a whole history"),
                    HistoryRange::Newest { limit, offset } => {
                        let end = live.len().saturating_sub(*offset as usize);
                        let begin = end.saturating_sub(*limit as usize);
                        assert_eq!(shown, live[begin..end], "the newest messages");
                    }
                    HistoryRange::Unread => {}
                }
            }
            (Command::ListFlows { limit, offset, .. }, Answer::Flows(flows)) => {
                let shown: BTreeSet<FlowId> = flows.iter().map(|summary| summary.flow.id).collect();
                assert_eq!(shown.len(), flows.len(), "a flow is listed twice");
                let readable: BTreeSet<FlowId> =
                    self.flows().filter(|flow| self.is_readable(requester, *flow)).collect();
                assert!(shown.is_subset(&readable), "a stranger's flow is listed");
                if limit.is_none() && *offset == 0 {
                    assert_eq!(shown, readable, "all flows");
                }
                flows.iter().for_each(|summary| self.check_summary(summary));
            }
            (Command::GetFlow { flow, .. }, Answer::Flow(summary)) => {
                assert!(self.is_readable(requester, *flow), "a stranger has read a flow");
                self.check_summary(summary);
            }
            (Command::GetChanges { .. }, Answer::Changes(changes)) => {
                let member = Requester { authority: Authority::Member, ..requester };
                for message in &changes.messages {
                    assert!(self.is_readable(member, message.flow), "a stranger has read changes");
                    self.check_message(message);
                }
                for summary in &changes.flows {
                    let flow = summary.flow.id;
                    assert!(self.is_readable(member, flow), "a stranger has read changes");
                    self.check_summary(summary);
                }
            }
            (Command::ShowTyping { flow, .. }, Answer::TypingShown) => {
                let member = Requester { authority: Authority::Member, ..requester };
                assert!(self.is_readable(member, *flow), "a stranger types");
            }
            (Command::OpenChat { with }, Answer::ChatOpened { flow, created, .. }) => {
                assert!(
                    !created || !self.is_blocked_in(*flow, user),
                    "a blocked user has opened a chat"
                );
                let truth = &self.flows[flow];
                assert_eq!(truth.kind, FlowKind::Chat);
                assert!(truth.members.contains(&user), "the chat of others was opened");
                if let UserRef::Id(other) = with {
                    assert!(truth.members.contains(other), "another chat was opened");
                }
            }
            (Command::CreateFlow(new), Answer::FlowCreated { flow, .. }) => {
                let is_new = new.key.is_none();
                assert!(
                    !is_new || !self.is_blocked_by(user, &new.members),
                    "a blocked user has a flow with the blocker"
                );
                assert_eq!(self.flows[flow].owner, Some(user), "a flow of another was created");
            }
            (Command::AddMembers { flow, users }, Answer::MembersAdded { .. }) => {
                assert!(is_owner(), "another than the owner has added members");
                assert!(!self.is_blocked_by(user, users), "a blocked user has added the blocker");
                let members = &self.flows[flow].members;
                assert!(users.iter().all(|user| members.contains(user)), "an addition is lost");
            }
            (Command::RemoveMembers { flow, users }, Answer::MembersRemoved { .. }) => {
                let leaves = users.iter().all(|removed| *removed == user);
                assert!(is_owner() || leaves, "another than the owner has removed members");
                let members = self.flows.get(flow).map(|flow| &flow.members);
                let is_left = |user: &UserId| members.is_some_and(|all| all.contains(user));
                assert!(!users.iter().any(is_left), "a removal is lost");
            }
            (Command::DeleteFlow { flow, .. }, Answer::FlowDeleted { .. }) => {
                assert!(is_owner(), "another than the owner has deleted a flow");
                assert!(!self.flows.contains_key(flow), "a deletion is lost");
            }
            _ => {}
        }
    }

    fn check_summary(&self, summary: &FlowSummary) {
        let truth = &self.flows[&summary.flow.id];
        assert_eq!(summary.flow.version, truth.version, "the version of a summary");
        let shown: BTreeSet<UserId> = summary.members.iter().map(|member| member.id).collect();
        assert!(shown.is_empty() || shown == truth.members, "the members of a summary");
        if let Some(last) = &summary.last {
            self.check_message(last);
        }
    }

    /// Checks a message that an answer shows.
    pub(super) fn check_message(&self, message: &Message) {
        let flow = &self.flows[&message.flow];
        let truth = flow.messages.get(&message.id).expect("a message that is shown was published");
        let shown = MessageTruth {
            author: message.author.id,
            text: message.content.text.clone(),
            version: message.version,
            deleted: message.deleted_at.is_some(),
        };
        if truth.deleted {
            assert!(shown.deleted, "a deleted message is shown");
            assert_eq!(shown.version, truth.version);
        } else {
            assert_eq!(&shown, truth, "a message is shown otherwise than it is");
        }
    }
}

/// The flow that a command names.
pub(super) fn named_flow(command: &Command) -> Option<FlowId> {
    match command {
        Command::Send(new) => Some(new.flow),
        Command::AddMembers { flow, .. }
        | Command::RemoveMembers { flow, .. }
        | Command::DeleteFlow { flow, .. }
        | Command::GetFlow { flow, .. }
        | Command::History { flow, .. } => Some(*flow),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use tolmach_dialect_kit::fixtures::{self, ANN, BOB, CAROL, GROUP, flow_id, message_id};
    use tolmach_domain::{FlowKindFilter, MessagePage};

    /// The group of the fixtures, without Carol, and its first message.
    fn truth() -> Truth {
        let mut truth = Truth::new(BTreeSet::new());
        let flow = tolmach_domain::Flow { version: Version(0), ..fixtures::flow(GROUP) };
        let members = vec![fixtures::user(1).summary(), fixtures::user(2).summary()];
        for (second, kind) in [
            (1, EventKind::FlowCreated { flow, members }),
            (2, EventKind::Posted(fixtures::message(GROUP, 1))),
        ] {
            truth.apply(&event(second, kind));
        }
        truth
    }

    fn event(second: u64, kind: EventKind) -> Event {
        let committed_at = Some(fixtures::time(second));
        Event { committed_at, ..Event::new(fixtures::time(second), kind) }
    }

    fn breaks(action: impl FnOnce()) -> bool {
        catch_unwind(AssertUnwindSafe(action)).is_err()
    }

    #[test]
    fn events_that_cannot_follow_are_noticed() {
        let edited = |version| {
            let message = fixtures::message(GROUP, 1);
            EventKind::Edited(Message { version: Version(version), ..message })
        };
        let deleted = |version| EventKind::Deleted {
            flow: flow_id(GROUP),
            by: ANN.user(),
            messages: vec![(message_id(GROUP * 10 + 1), Version(version))],
        };
        for (name, event, is_broken) in [
            ("the next message", event(3, EventKind::Posted(fixtures::message(GROUP, 2))), false),
            ("it twice", event(3, EventKind::Posted(fixtures::message(GROUP, 1))), true),
            ("a gap", event(3, EventKind::Posted(fixtures::message(GROUP, 3))), true),
            ("an earlier commit", event(2, EventKind::Posted(fixtures::message(GROUP, 2))), true),
            ("an edit", event(3, edited(2)), false),
            ("an edit without a version", event(3, edited(1)), true),
            ("a deletion", event(3, deleted(2)), false),
            ("a deletion past a gap", event(3, deleted(3)), true),
        ] {
            let mut truth = truth();
            assert_eq!(breaks(|| truth.apply(&event)), is_broken, "{name}");
        }
    }

    #[test]
    fn answers_that_show_something_else_are_noticed() {
        let truth = truth();
        let flow = flow_id(GROUP);
        let command = Command::History {
            flow,
            kinds: FlowKindFilter::Any,
            range: HistoryRange::All,
            mark_read: false,
        };
        let page = |messages, version| {
            let version = Version(version);
            Answer::History(Box::new(MessagePage { flow, messages, version }))
        };
        let first = || fixtures::message(GROUP, 1);
        let changed = || Message { content: tolmach_domain::Content::text("x"), ..first() };
        for (name, reader, answer, is_broken) in [
            ("a member", &BOB, page(vec![first()], 1), false),
            ("a stranger", &CAROL, page(vec![first()], 1), true),
            ("a message is missing", &BOB, page(Vec::new(), 1), true),
            ("another text", &BOB, page(vec![changed()], 1), true),
            ("another version", &BOB, page(vec![first()], 2), true),
            ("an unknown message", &BOB, page(vec![fixtures::message(GROUP, 2)], 1), true),
        ] {
            let requester = Requester { user: reader.user(), authority: Authority::Member };
            let check = || truth.check(requester, &command, truth.flow(flow), &answer);
            assert_eq!(breaks(check), is_broken, "{name}");
        }
    }
}
