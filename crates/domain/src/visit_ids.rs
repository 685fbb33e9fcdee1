//! The ids in a value, to read or to replace them all.

use crate::{
    Answer, Command, Credentials, Event, EventKind, Flow, FlowId, FlowSummary, Identity, Message,
    MessageId, ObjectId, PhotoOf, User, UserId, UserRef, UserSummary,
};

/// An id in a value.
#[derive(Debug, PartialEq, Eq)]
pub enum IdMut<'a> {
    /// Of a user.
    User(&'a mut UserId),
    /// Of a flow.
    Flow(&'a mut FlowId),
    /// Of a message.
    Message(&'a mut MessageId),
}

impl IdMut<'_> {
    /// The id.
    pub fn get(&self) -> ObjectId {
        match self {
            IdMut::User(id) => ObjectId::User(**id),
            IdMut::Flow(id) => ObjectId::Flow(**id),
            IdMut::Message(id) => ObjectId::Message(**id),
        }
    }

    /// Replaces the id by one of the same kind; one of another kind changes nothing.
    pub fn set(&mut self, id: ObjectId) {
        match (self, id) {
            (IdMut::User(place), ObjectId::User(id)) => **place = id,
            (IdMut::Flow(place), ObjectId::Flow(id)) => **place = id,
            (IdMut::Message(place), ObjectId::Message(id)) => **place = id,
            _ => {}
        }
    }
}

/// A value with ids of users, flows and messages.
pub trait VisitIds {
    /// Calls `visit` with each id, as often as it is there.
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>));
}

impl<T: VisitIds + ?Sized> VisitIds for Box<T> {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        (**self).visit_ids(visit);
    }
}

impl<T: VisitIds> VisitIds for Option<T> {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        self.iter_mut().for_each(|value| value.visit_ids(visit));
    }
}

impl<T: VisitIds> VisitIds for Vec<T> {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        self.iter_mut().for_each(|value| value.visit_ids(visit));
    }
}

impl<T: VisitIds, E> VisitIds for Result<T, E> {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        if let Ok(value) = self {
            value.visit_ids(visit);
        }
    }
}

impl VisitIds for UserId {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        visit(IdMut::User(self));
    }
}

impl VisitIds for FlowId {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        visit(IdMut::Flow(self));
    }
}

impl VisitIds for MessageId {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        visit(IdMut::Message(self));
    }
}

impl VisitIds for Identity {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        self.user.visit_ids(visit);
    }
}

impl VisitIds for Credentials {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        match self {
            Credentials::TokenOf(user, _) => user.visit_ids(visit),
            Credentials::Nothing
            | Credentials::Connection
            | Credentials::Token(_)
            | Credentials::Bearer(_) => {}
        }
    }
}

impl VisitIds for UserRef {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        match self {
            UserRef::Id(user) => user.visit_ids(visit),
            UserRef::Me | UserRef::Login(_) => {}
        }
    }
}

impl VisitIds for User {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        self.id.visit_ids(visit);
    }
}

impl VisitIds for UserSummary {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        self.id.visit_ids(visit);
    }
}

impl VisitIds for Flow {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        self.id.visit_ids(visit);
        self.owner.visit_ids(visit);
    }
}

impl VisitIds for FlowSummary {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        self.flow.visit_ids(visit);
        self.members.visit_ids(visit);
        self.last.visit_ids(visit);
        self.first.visit_ids(visit);
    }
}

impl VisitIds for Message {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        self.id.visit_ids(visit);
        self.flow.visit_ids(visit);
        self.author.visit_ids(visit);
        self.content.reply_to.visit_ids(visit);
    }
}

impl VisitIds for Event {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        match &mut self.kind {
            EventKind::Posted(message) | EventKind::Edited(message) => message.visit_ids(visit),
            EventKind::Deleted { flow, by, messages } => {
                flow.visit_ids(visit);
                by.visit_ids(visit);
                messages.iter_mut().for_each(|(message, _)| message.visit_ids(visit));
            }
            EventKind::FlowCreated { flow, members } => {
                flow.visit_ids(visit);
                members.visit_ids(visit);
            }
            EventKind::FlowDeleted { flow, by } => {
                flow.visit_ids(visit);
                by.visit_ids(visit);
            }
            EventKind::MembersAdded { flow, users, version: _ } => {
                flow.visit_ids(visit);
                users.visit_ids(visit);
            }
            EventKind::MembersRemoved { flow, users } => {
                flow.visit_ids(visit);
                users.visit_ids(visit);
            }
            EventKind::Typing { flow, user, active: _ } => {
                flow.visit_ids(visit);
                user.visit_ids(visit);
            }
            EventKind::SessionsEnded { user, session: _ } => user.visit_ids(visit),
        }
    }
}

impl VisitIds for Command {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        match self {
            Command::DeleteAccount { user, .. } => user.visit_ids(visit),
            Command::GetUser { user }
            | Command::OpenChat { with: user }
            | Command::Block { user }
            | Command::Unblock { user } => user.visit_ids(visit),
            Command::GetPhoto { of: PhotoOf::User(user) } => user.visit_ids(visit),
            Command::GetPhoto { of: PhotoOf::Flow(flow) }
            | Command::DeleteFlow { flow, .. }
            | Command::GetFlow { flow, .. }
            | Command::History { flow, .. }
            | Command::ShowTyping { flow, .. } => flow.visit_ids(visit),
            Command::CreateFlow(flow) => flow.members.visit_ids(visit),
            Command::AddMembers { flow, users } | Command::RemoveMembers { flow, users } => {
                flow.visit_ids(visit);
                users.visit_ids(visit);
            }
            Command::Send(message) => {
                message.flow.visit_ids(visit);
                message.content.reply_to.visit_ids(visit);
            }
            Command::Edit { message, flow, .. } => {
                message.visit_ids(visit);
                flow.visit_ids(visit);
            }
            Command::Delete { messages, flow, .. } => {
                messages.visit_ids(visit);
                flow.visit_ids(visit);
            }
            Command::GetChanges { flow, .. } => flow.visit_ids(visit),
            Command::Register(_)
            | Command::Login { .. }
            | Command::Refresh { .. }
            | Command::Logout { .. }
            | Command::Recover { .. }
            | Command::ResetPassword { .. }
            | Command::CreateProfile(_)
            | Command::SearchUsers { .. }
            | Command::ListFlows { .. }
            | Command::ListBlocked => {}
        }
    }
}

impl VisitIds for Answer {
    fn visit_ids(&mut self, visit: &mut dyn FnMut(IdMut<'_>)) {
        match self {
            Answer::Granted(grant) => grant.user.visit_ids(visit),
            Answer::AccountDeleted { user }
            | Answer::Blocked { user }
            | Answer::Unblocked { user } => user.visit_ids(visit),
            Answer::User(user) => user.visit_ids(visit),
            Answer::Users(users) => users.visit_ids(visit),
            Answer::ChatOpened { flow, with, .. } => {
                flow.visit_ids(visit);
                with.visit_ids(visit);
            }
            Answer::FlowCreated { flow, .. } | Answer::FlowDeleted { flow } => {
                flow.visit_ids(visit);
            }
            Answer::Flow(summary) => summary.visit_ids(visit),
            Answer::MembersAdded { flow, users } | Answer::MembersRemoved { flow, users } => {
                flow.visit_ids(visit);
                users.visit_ids(visit);
            }
            Answer::Flows(summaries) => summaries.visit_ids(visit),
            Answer::Sent { message, .. } => message.visit_ids(visit),
            Answer::Edited(message) => message.visit_ids(visit),
            Answer::Deleted { deleted, left } => {
                deleted.visit_ids(visit);
                left.visit_ids(visit);
            }
            Answer::History(page) => {
                page.flow.visit_ids(visit);
                page.messages.visit_ids(visit);
            }
            Answer::Changes(changes) => {
                changes.messages.visit_ids(visit);
                changes.flows.visit_ids(visit);
                changes.user.visit_ids(visit);
            }
            Answer::LoggedOut
            | Answer::RecoveryAccepted
            | Answer::PasswordReset
            | Answer::Photo(_)
            | Answer::ProfileCreated
            | Answer::TypingShown => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Content, FlowKind, ObjectKind, Timestamp};

    #[test]
    fn every_id_of_a_message_is_visited_and_replaced() {
        let author = UserSummary::named(UserId::new(1).unwrap(), "ann");
        let (id, flow) = (MessageId::new(2).unwrap(), FlowId::new(3).unwrap());
        let content = Content { reply_to: MessageId::new(4).ok(), ..Content::text("hello") };
        let flow = (flow, FlowKind::Group);
        let message = Message::new(id, flow, author, content, Timestamp::default());
        let mut event = Event::new(Timestamp::default(), EventKind::Posted(message));
        let mut found = Vec::new();
        event.visit_ids(&mut |mut id| {
            found.push((id.get().kind(), id.get().get()));
            let next = ObjectId::new(id.get().kind(), id.get().get() + 10);
            id.set(next.unwrap());
        });
        let (user, flow, message) = (ObjectKind::User, ObjectKind::Flow, ObjectKind::Message);
        assert_eq!(found, [(message, 2), (flow, 3), (user, 1), (message, 4)]);
        let mut replaced = Vec::new();
        event.visit_ids(&mut |id| replaced.push(id.get().get()));
        assert_eq!(replaced, [12, 13, 11, 14]);
    }
}
